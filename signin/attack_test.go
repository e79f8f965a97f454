package signin_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/signin/oauth"
	"github.com/openspine/openspine/signin/provider"
)

// claims are what a token says.
type claims map[string]any

// faker is a provider that can be told to lie.
type faker struct {
	t      testing.TB
	server *httptest.Server
	now    func() time.Time
	down   atomic.Bool
	asked  atomic.Int64 // for its metadata
	keyed  atomic.Int64 // for its keys

	mu       sync.Mutex
	keys     []jose.JSONWebKey // shown
	signer   jose.JSONWebKey
	base     claims // what it says of whoever comes
	changes  claims // what it says instead, this time
	minted   func(claims) string
	nonce    string
	verifier map[string]string // code → challenge
	userinfo claims
	saysIss  bool
}

func newKey(t testing.TB, kid string) jose.JSONWebKey {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return jose.JSONWebKey{Key: key, KeyID: kid, Algorithm: string(jose.ES256), Use: "sig"}
}

// fake starts a provider that vouches for one professional.
func fake(t testing.TB) *faker {
	t.Helper()
	f := &faker{t: t, now: time.Now, verifier: map[string]string{}, saysIss: true, userinfo: claims{"sub": "someone"}}
	f.signer = newKey(t, "k1")
	f.keys = []jose.JSONWebKey{f.signer.Public()}
	f.base = claims{"sub": "someone", "nhsid_useruid": "someone", "sid": "there", "authentication_assurance_level": "3", "id_assurance_level": "3", "name": "Someone"}
	f.server = httptest.NewServer(f)
	t.Cleanup(f.server.Close)
	return f
}

// patient has it vouch for a patient instead.
func (f *faker) patient() {
	f.base = claims{"sub": "someone", "sid": "there", "nhs_number": ownNumber, "identity_proofing_level": "P9"}
}

func (f *faker) settings(id string) provider.Settings {
	return provider.Settings{ID: id, Title: "Far away", Realm: access.Professionals, Issuer: f.server.URL, Client: "us", SecretFile: fileOf(f.t, "s3cret")}
}

// ServeHTTP is the provider.
func (f *faker) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/.well-known/openid-configuration" {
		f.asked.Add(1)
	}
	if f.down.Load() {
		w.WriteHeader(http.StatusBadGateway)
		return
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	var v any
	switch r.URL.Path {
	case "/.well-known/openid-configuration":
		v = claims{"issuer": f.server.URL, "authorization_endpoint": f.server.URL + "/authorize", "token_endpoint": f.server.URL + "/token", "jwks_uri": f.server.URL + "/keys",
			"userinfo_endpoint": f.server.URL + "/userinfo", "authorization_response_iss_parameter_supported": f.saysIss}
	case "/keys":
		f.keyed.Add(1)
		v = jose.JSONWebKeySet{Keys: f.keys}
	case "/userinfo":
		v = f.userinfo
	case "/token":
		_, secret, _ := r.BasicAuth()
		proof := sha256.Sum256([]byte(r.FormValue("code_verifier")))
		want, known := f.verifier[r.FormValue("code")]
		delete(f.verifier, r.FormValue("code"))
		if !known || secret != "s3cret" || want != base64.RawURLEncoding.EncodeToString(proof[:]) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusBadRequest)
			v = claims{"error": "invalid_grant"}
			break
		}
		m := f.idToken(f.nonce)
		mint := f.minted
		if mint == nil {
			mint = func(m claims) string { return f.sign(m, "JWT") }
		}
		v = claims{"access_token": "at", "token_type": "Bearer", "expires_in": 60, "id_token": mint(m)}
	default:
		w.WriteHeader(http.StatusNotFound)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(v)
}

// idToken is what it says this time.
func (f *faker) idToken(nonce string) claims {
	now := f.now()
	m := claims{"iss": f.server.URL, "aud": "us", "iat": now.Unix(), "exp": now.Add(5 * time.Minute).Unix(), "auth_time": now.Unix(), "nonce": nonce}
	maps.Copy(m, f.base)
	for name, v := range f.changes {
		if m[name] = v; v == nil {
			delete(m, name)
		}
	}
	return m
}

func (f *faker) sign(m claims, typ string) string {
	return signedBy(f.t, jose.SigningKey{Algorithm: jose.ES256, Key: f.signer}, m, typ)
}

func signedBy(t testing.TB, key jose.SigningKey, m claims, typ string) string {
	signer, err := jose.NewSigner(key, (&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
	if err != nil {
		t.Error(err)
		return ""
	}
	token, err := jwt.Signed(signer).Claims(map[string]any(m)).Serialize()
	if err != nil {
		t.Error(err)
	}
	return token
}

// setOut has a browser set out to the provider; it is where it would be asked to come back with.
func (f *faker) setOut(h *house, c *http.Client, from string) (state string, q url.Values) {
	f.t.Helper()
	got := h.call(c, "GET", from, nil)
	to, q := got.location(f.t)
	if got.status != 303 || to != f.server.URL+"/authorize" {
		f.t.Fatalf("setting out: %d to %s %s", got.status, to, got.body)
	}
	f.mu.Lock()
	defer f.mu.Unlock()
	f.nonce = q.Get("nonce")
	f.verifier["code-"+q.Get("state")] = q.Get("code_challenge")
	return q.Get("state"), q
}

func (f *faker) comeBack(h *house, c *http.Client, state string, pairs ...string) reply {
	f.t.Helper()
	id := h.node.Door().Elsewhere().All("")[0].ID
	q := with(url.Values{"state": {state}, "code": {"code-" + state}, "iss": {f.server.URL}}, pairs...)
	return h.call(c, "GET", "/sign-in/with/"+id+"/back?"+q.Encode(), nil)
}

// arrive has a browser sign in by way of the provider, which says changes this time.
func (f *faker) arrive(h *house, c *http.Client, changes claims) reply {
	f.t.Helper()
	return f.arriveFrom(h, c, "/sign-in/with/"+h.node.Door().Elsewhere().All("")[0].ID, changes)
}

func (f *faker) arriveFrom(h *house, c *http.Client, from string, changes claims) reply {
	f.t.Helper()
	state, _ := f.setOut(h, c, from)
	f.mu.Lock()
	f.changes = changes
	f.mu.Unlock()
	return f.comeBack(h, c, state)
}

// logoutToken is its word that somebody has left.
func (f *faker) logoutToken(changes claims) string {
	now := f.now()
	m := claims{"iss": f.server.URL, "aud": "us", "iat": now.Unix(), "exp": now.Add(2 * time.Minute).Unix(), "jti": rand.Text(), "sub": "someone", "sid": "there",
		"events": claims{"http://schemas.openid.net/event/backchannel-logout": claims{}}}
	for name, v := range changes {
		if m[name] = v; v == nil {
			delete(m, name)
		}
	}
	return f.sign(m, "logout+jwt")
}

// TestAnIDTokenIsCheckedWhole: nothing that a provider, or somebody in its place, can send lets in but what was asked for, now, for us.
func TestAnIDTokenIsCheckedWhole(t *testing.T) {
	t.Parallel()
	f := fake(t)
	h := open(t, nil, trusting(f.settings("far")))
	h.expect("far", "someone", "clinician")
	now := time.Now()
	public, err := x509.MarshalPKIXPublicKey(f.signer.Public().Key)
	if err != nil {
		t.Fatal(err)
	}
	asPEM := pem.EncodeToMemory(&pem.Block{Type: "PUBLIC KEY", Bytes: public})
	stranger := newKey(t, "k1")
	text := base64.RawURLEncoding.EncodeToString
	none := func(m claims) string {
		body, err := json.Marshal(m)
		if err != nil {
			t.Error(err)
		}
		return text([]byte(`{"alg":"none","typ":"JWT"}`)) + "." + text(body) + "."
	}
	for name, x := range map[string]struct {
		changes claims
		mint    func(claims) string
	}{
		"another nonce":                {claims{"nonce": "another"}, nil},
		"no nonce":                     {claims{"nonce": nil}, nil},
		"another issuer":               {claims{"iss": "https://evil.example"}, nil},
		"the issuer and a slash":       {claims{"iss": f.server.URL + "/"}, nil},
		"another audience":             {claims{"aud": "them"}, nil},
		"no audience":                  {claims{"aud": nil}, nil},
		"two audiences, made for none": {claims{"aud": []string{"us", "them"}}, nil},
		"made for another (azp)":       {claims{"aud": []string{"us", "them"}, "azp": "them"}, nil},
		"expired":                      {claims{"exp": now.Add(-time.Second).Unix()}, nil},
		"no end":                       {claims{"exp": nil}, nil},
		"issued in the future":         {claims{"iat": now.Add(10 * time.Minute).Unix()}, nil},
		"issued long ago":              {claims{"iat": now.Add(-time.Hour).Unix()}, nil},
		"not issued":                   {claims{"iat": nil}, nil},
		"not valid yet":                {claims{"nbf": now.Add(time.Hour).Unix()}, nil},
		"about nobody":                 {claims{"sub": ""}, nil},
		"another access token":         {claims{"at_hash": text(make([]byte, 16))}, nil},
		"alg none":                     {nil, none},
		"HS256 with the public key": {nil, func(m claims) string {
			return signedBy(t, jose.SigningKey{Algorithm: jose.HS256, Key: asPEM}, m, "JWT")
		}},
		"HS256 with the client secret": {nil, func(m claims) string {
			return signedBy(t, jose.SigningKey{Algorithm: jose.HS256, Key: []byte("s3crets3crets3crets3crets3crets3")}, m, "JWT")
		}},
		"a stranger's key, same kid": {nil, func(m claims) string {
			return signedBy(t, jose.SigningKey{Algorithm: jose.ES256, Key: stranger}, m, "JWT")
		}},
		"a key of its own in the token": {nil, func(m claims) string { return embedded(t, stranger, m) }},
		"an access token's type":        {nil, func(m claims) string { return f.sign(m, "at+jwt") }},
		"a logout token":                {nil, func(claims) string { return f.logoutToken(nil) }},
		"two tokens in one":             {nil, func(m claims) string { return f.sign(m, "JWT") + "." + f.sign(m, "JWT") }},
		"a changed letter":              {nil, func(m claims) string { s := f.sign(m, "JWT"); return s[:len(s)-4] + "AAAA" }},
		"JSON form":                     {nil, func(m claims) string { return jsonForm(f.sign(m, "JWT")) }},
		"nothing":                       {nil, func(claims) string { return "" }},
		"more than a token holds":       {nil, func(m claims) string { m["x"] = strings.Repeat("x", 16<<10); return f.sign(m, "JWT") }},
		"no JSON":                       {nil, func(claims) string { return "a.b.c" }},
	} {
		f.minted = x.mint
		got := f.arrive(h, browser(), x.changes)
		if got.status != 400 || !strings.Contains(got.body, "You were not signed in") || len(h.sessions("clinician")) != 0 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	f.minted = nil
	for name, changes := range map[string]claims{"AAL1": {"authentication_assurance_level": "1"}, "no level": {"authentication_assurance_level": nil}, "a level that nobody knows": {"authentication_assurance_level": "4"},
		"acr alone, the lower of two": {"authentication_assurance_level": nil, "acr": "AAL1_OR_AAL3_ANY"}} {
		if got := f.arrive(h, browser(), changes); got.status != 403 || !strings.Contains(got.body, "is not sure enough") {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	half := sha256.Sum256([]byte("at"))
	for name, changes := range map[string]claims{"as asked": nil, "with at_hash": {"at_hash": text(half[:16])}, "levels as figures": {"authentication_assurance_level": 3, "id_assurance_level": 2},
		"level in acr": {"authentication_assurance_level": nil, "acr": "AAL2_OR_AAL3_ANY"}, "for several, made for us": {"aud": []string{"us", "them"}, "azp": "us"}} {
		if got := f.arrive(h, browser(), changes); got.status != 303 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// embedded is signed by a key that the token itself brings (jwk in the header), which nobody has reason to trust.
func embedded(t testing.TB, key jose.JSONWebKey, m claims) string {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: key.Key}, &jose.SignerOptions{EmbedJWK: true})
	if err != nil {
		t.Error(err)
		return ""
	}
	token, err := jwt.Signed(signer).Claims(map[string]any(m)).Serialize()
	if err != nil {
		t.Error(err)
	}
	return token
}

// jsonForm is a compact JWS in the JSON serialization.
func jsonForm(compact string) string {
	part := strings.Split(compact, ".")
	return `{"protected":"` + part[0] + `","payload":"` + part[1] + `","signature":"` + part[2] + `"}`
}

// TestTheWayBackIsForOneBrowserOnce: state and code are for one use, by the browser that set out, to the provider that it set out to.
func TestTheWayBackIsForOneBrowserOnce(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	f, evil := fake(t), fake(t)
	f.now, evil.now = at.Now, at.Now
	h := open(t, at, trusting(f.settings("far"), evil.settings("evil")))
	h.expect("far", "someone", "clinician")
	c := browser()
	state, q := f.setOut(h, c, "/sign-in/with/far")
	if len(q.Get("state")) < 22 || len(q.Get("nonce")) < 22 || q.Get("code_challenge_method") != "S256" || q.Get("redirect_uri") != h.url+"/sign-in/with/far/back" || q.Get("scope") != "openid" {
		t.Errorf("what is asked: %v", q)
	}
	if got := f.comeBack(h, browser(), state); got.status != 400 || !strings.Contains(got.body, "Start again") {
		t.Errorf("in another browser: %d", got.status)
	}
	other, _ := f.setOut(h, c, "/sign-in/with/far")
	for name, pairs := range map[string][]string{"no state": {"state", ""}, "a state that is made up": {"state", state[:8] + strings.Repeat("A", 24)}, "a state too short": {"state", "x"}} {
		if got := f.comeBack(h, c, state, pairs...); got.status != 400 || !strings.Contains(got.body, "Start again") {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if got := h.call(c, "GET", "/sign-in/with/far/back?state="+other+"&state="+state+"&code=x&iss="+url.QueryEscape(f.server.URL), nil); got.status != 400 {
		t.Errorf("two states: %d", got.status)
	}
	// mix-up (RFC 9700 section 4.4): the answer of one provider at the address of the other, and an answer under another's name
	if got := h.call(c, "GET", "/sign-in/with/evil/back?"+url.Values{"state": {state}, "code": {"code-" + state}, "iss": {f.server.URL}}.Encode(), nil); got.status != 400 || !strings.Contains(got.body, "Start again") {
		t.Errorf("back to another provider: %d", got.status)
	}
	for name, iss := range map[string]string{"under another's name": evil.server.URL, "under no name": ""} {
		mixed, _ := f.setOut(h, c, "/sign-in/with/far")
		if got := f.comeBack(h, c, mixed, "iss", iss); got.status != 400 || !strings.Contains(got.body, "You were not signed in") {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	if n := len(h.sessions("clinician")); n != 0 {
		t.Fatalf("%d sessions came of attacks", n)
	}
	// a code that was stolen from somebody else's sign-in does not fit this one's proof
	victim, _ := f.setOut(h, browser(), "/sign-in/with/far")
	mine, _ := f.setOut(h, c, "/sign-in/with/far")
	if got := f.comeBack(h, c, mine, "code", "code-"+victim); got.status != 400 || !strings.Contains(got.body, "You were not signed in") {
		t.Errorf("with another's code: %d", got.status)
	}
	cookies := c.Jar.Cookies(mustURL(t, h.url))
	state, _ = f.setOut(h, c, "/sign-in/with/far")
	kept := c.Jar.Cookies(mustURL(t, h.url))
	if len(kept) <= len(cookies) {
		t.Fatal("setting out leaves no cookie")
	}
	if got := f.comeBack(h, c, state); got.status != 303 {
		t.Fatalf("as it should be: %d %s", got.status, got.body)
	}
	c.Jar.SetCookies(mustURL(t, h.url), kept)
	f.mu.Lock()
	f.verifier["code-"+state] = challenge()
	f.mu.Unlock()
	if got := f.comeBack(h, c, state); got.status != 400 || !strings.Contains(got.body, "Start again") {
		t.Errorf("a second time, with the cookie: %d", got.status)
	}
	late, _ := f.setOut(h, c, "/sign-in/with/far")
	at.Advance(10*time.Minute + time.Second)
	if got := f.comeBack(h, c, late); got.status != 400 || !strings.Contains(got.body, "Start again") {
		t.Errorf("too late: %d", got.status)
	}
	for _, to := range []string{"https://evil.example/", "//evil.example/", "/\\evil.example", "javascript:alert(1)"} {
		if got := f.arriveFrom(h, browser(), "/sign-in/with/far?to="+url.QueryEscape(to), nil); got.status != 303 || got.header.Get("Location") != "/" {
			t.Errorf("on to %q: %d to %s", to, got.status, got.header.Get("Location"))
		}
	}
	if got := h.call(browser(), "GET", "/sign-in/with/nobody", nil); got.status != 404 {
		t.Errorf("a provider that is none: %d", got.status)
	}
}

func mustURL(t testing.TB, s string) *url.URL {
	t.Helper()
	u, err := url.Parse(s)
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestAProvidersKeysFollowOneAnother: a new key is met at once, one that was withdrawn ends, and a flood of keys that nobody knows does not make
// this node ask for ever.
func TestAProvidersKeysFollowOneAnother(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	f := fake(t)
	f.now = at.Now
	h := open(t, at, trusting(f.settings("far")))
	h.expect("far", "someone", "clinician")
	if got := f.arrive(h, browser(), nil); got.status != 303 {
		t.Fatalf("the first key: %d %s", got.status, got.body)
	}
	old, spare := f.signer, newKey(t, "spare")
	at.Advance(time.Minute)
	f.mu.Lock()
	f.signer = newKey(t, "k2")
	f.keys = []jose.JSONWebKey{f.signer.Public(), {Key: []byte("secret"), KeyID: "s", Algorithm: "HS256"}, spare.Public()}
	f.mu.Unlock()
	if got := f.arrive(h, browser(), nil); got.status != 303 {
		t.Errorf("a new key: %d %s", got.status, got.body)
	}
	at.Advance(time.Minute)
	before := f.keyed.Load()
	for i := range 20 {
		stray := newKey(t, "stray-"+string(rune('a'+i)))
		f.minted = func(m claims) string {
			return signedBy(t, jose.SigningKey{Algorithm: jose.ES256, Key: stray}, m, "JWT")
		}
		if got := f.arrive(h, browser(), nil); got.status != 400 {
			t.Errorf("a key that nobody knows: %d", got.status)
		}
	}
	if n := f.keyed.Load() - before; n > 1 {
		t.Errorf("twenty keys that nobody knows had the keys read %d times", n)
	}
	f.minted = func(m claims) string { return signedBy(t, jose.SigningKey{Algorithm: jose.ES256, Key: old}, m, "JWT") }
	at.Advance(11 * time.Minute)
	if got := f.arrive(h, browser(), nil); got.status != 400 {
		t.Errorf("the key that was withdrawn: %d", got.status)
	}
}

// TestAProvidersWordThatSomebodyLeft ends what came of it, and only such a word, once.
func TestAProvidersWordThatSomebodyLeft(t *testing.T) {
	t.Parallel()
	f := fake(t)
	h := open(t, nil, trusting(f.settings("far")))
	h.expect("far", "someone", "clinician")
	h.expect("far", "other", "clerk")
	tell := func(token string) reply {
		return h.call(http.DefaultClient, "POST", "/sign-in/with/far/logout", url.Values{"logout_token": {token}})
	}
	in := func() {
		if a, b := f.arrive(h, browser(), nil), f.arrive(h, browser(), claims{"sub": "other", "nhsid_useruid": "other", "sid": "elsewhere"}); a.status != 303 || b.status != 303 {
			t.Fatalf("signing in: %d %d", a.status, b.status)
		}
	}
	in()
	now := time.Now()
	for name, token := range map[string]string{"an ID token": f.sign(f.idToken("n"), "JWT"), "with a nonce": f.logoutToken(claims{"nonce": "n"}), "another's audience": f.logoutToken(claims{"aud": "them"}),
		"another issuer": f.logoutToken(claims{"iss": "https://evil.example"}), "expired": f.logoutToken(claims{"exp": now.Add(-time.Second).Unix()}), "old": f.logoutToken(claims{"iat": now.Add(-time.Hour).Unix()}),
		"about nobody": f.logoutToken(claims{"sub": nil, "sid": nil}), "without jti": f.logoutToken(claims{"jti": nil}), "without its event": f.logoutToken(claims{"events": claims{}}), "nonsense": "x", "nothing": ""} {
		if got := tell(token); got.status != 400 || words(t, got) == "" || len(h.sessions("clinician")) != 1 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	word := f.logoutToken(nil)
	if got := tell(word); got.status != 200 || len(h.sessions("clinician")) != 0 || len(h.sessions("clerk")) != 1 {
		t.Errorf("one session: %d %s", got.status, got.body)
	}
	if got := tell(word); got.status != 400 {
		t.Errorf("its word again: %d", got.status)
	}
	in()
	if got := tell(f.logoutToken(claims{"sid": nil})); got.status != 200 || len(h.sessions("clinician")) != 0 || len(h.sessions("clerk")) != 2 {
		t.Errorf("every session of somebody: %d %s", got.status, got.body)
	}
}

// TestWhoTheyAreMayComeFromUserinfo, about the same person alone.
func TestWhoTheyAreMayComeFromUserinfo(t *testing.T) {
	t.Parallel()
	f := fake(t)
	h := open(t, nil, trusting(f.settings("far")))
	h.expect("far", "someone", "clinician")
	f.userinfo = claims{"sub": "somebody-else", "nhsid_useruid": "someone"}
	if got := f.arrive(h, browser(), claims{"nhsid_useruid": nil}); got.status != 400 {
		t.Errorf("about somebody else: %d", got.status)
	}
	f.userinfo = claims{"sub": "someone", "nhsid_useruid": "someone", "authentication_assurance_level": "1", "iss": "https://evil.example"}
	if got := f.arrive(h, browser(), claims{"nhsid_useruid": nil}); got.status != 303 || h.sessions("clinician")[0].Assurance != "AAL3" {
		t.Errorf("about the same: %d %s", got.status, got.body)
	}
}

func freshApp() oauth.Client {
	return oauth.Client{ID: "fresh", Name: "An app", Kind: oauth.Public, Realm: access.Professionals, Redirects: []string{back}, Trusted: true, Scopes: []string{"openid"}}
}

// TestAProgramThatWantsAFreshSignInGetsOne from the provider too.
func TestAProgramThatWantsAFreshSignInGetsOne(t *testing.T) {
	t.Parallel()
	f := fake(t)
	h := open(t, nil, trusting(f.settings("far")))
	h.expect("far", "someone", "clinician")
	to := func(pairs ...string) string {
		h.client(freshApp())
		return "/sign-in/with/far?to=" + url.QueryEscape("/oauth2/authorize?"+ask(append([]string{"client_id", "fresh", "scope", "openid", "code_challenge", challenge(), "code_challenge_method", "S256"}, pairs...)...).Encode())
	}
	if _, q := f.setOut(h, browser(), to("prompt", "login")); q.Get("prompt") != "login" || q.Get("max_age") != "0" {
		t.Errorf("prompt=login is passed on as %v", q)
	}
	if _, q := f.setOut(h, browser(), to("max_age", "60")); q.Get("max_age") != "60" {
		t.Errorf("max_age is passed on as %v", q)
	}
	hour := time.Now().Add(-time.Hour).Unix()
	for name, changes := range map[string]claims{"an hour ago": {"auth_time": hour}, "nobody knows when": {"auth_time": nil}} {
		if got := f.arriveFrom(h, browser(), to("max_age", "60"), changes); got.status != 400 {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if got := f.arriveFrom(h, browser(), to("max_age", "60"), nil); got.status != 303 || !strings.HasPrefix(got.header.Get("Location"), "/oauth2/authorize?") {
		t.Errorf("just now: %d to %s", got.status, got.header.Get("Location"))
	}
	if got := h.call(browser(), "GET", to("state", strings.Repeat("s", 2000), "nonce", strings.Repeat("n", 500), "login_hint", strings.Repeat("x", 1500)), nil); got.status != 400 {
		t.Errorf("an address that is too long to carry: %d", got.status)
	}
}
