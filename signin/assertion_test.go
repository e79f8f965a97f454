package signin_test

import (
	"crypto/rand"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/signin/oauth"
)

const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

// rsaKey is one key for all tests: making one takes longer than most of them.
var rsaKey = sync.OnceValue(func() *rsa.PrivateKey {
	k, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		panic(err)
	}
	return k
})

// sign is a JWT with any header and claims, as a client could write it.
func sign(t testing.TB, key any, alg jose.SignatureAlgorithm, header, claims map[string]any) string {
	t.Helper()
	o := &jose.SignerOptions{ExtraHeaders: map[jose.HeaderKey]any{}}
	for k, v := range header {
		o.ExtraHeaders[jose.HeaderKey(k)] = v
	}
	s, err := jose.NewSigner(jose.SigningKey{Algorithm: alg, Key: key}, o)
	if err != nil {
		t.Fatal(err)
	}
	text, err := json.Marshal(claims)
	if err != nil {
		t.Fatal(err)
	}
	signed, err := s.Sign(text)
	if err != nil {
		t.Fatal(err)
	}
	token, err := signed.CompactSerialize()
	if err != nil {
		t.Fatal(err)
	}
	return token
}

func keySet() *jose.JSONWebKeySet {
	return &jose.JSONWebKeySet{Keys: []jose.JSONWebKey{{Key: rsaKey().Public(), KeyID: "test-1", Algorithm: "RS512", Use: "sig"}}}
}

// system registers a client that acts in the name of the practice.
func (h *house) system(id string) oauth.Client {
	return h.client(oauth.Client{ID: id, Name: "A laboratory", Kind: oauth.System, Realm: access.Systems, Organisation: practice, Tenants: []ods{national}, Keys: keySet(),
		Scopes: []string{"system/*.rs"}, Default: []string{"system/*.rs"}})
}

// proof is a lawful assertion's claims; jti is new each time.
func (h *house) proof(client string, changes ...any) map[string]any {
	n := make([]byte, 12)
	if _, err := rand.Read(n); err != nil {
		h.t.Fatal(err)
	}
	m := map[string]any{"iss": client, "sub": client, "aud": h.url + oauth.PathToken, "jti": base64.RawURLEncoding.EncodeToString(n), "exp": h.node.Kernel().Clock.Now().Add(time.Minute).Unix()}
	for i := 0; i < len(changes); i += 2 {
		name, _ := changes[i].(string)
		if changes[i+1] == nil {
			delete(m, name)
			continue
		}
		m[name] = changes[i+1]
	}
	return m
}

func (h *house) asserts(token string) url.Values {
	return url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {assertionType}, "client_assertion": {token}}
}

func lawful() map[string]any { return map[string]any{"typ": "JWT", "kid": "test-1"} }

// TestASystemProvesItselfBySignedJWT is the published way, and each rule of it with the published words.
func TestASystemProvesItselfBySignedJWT(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at)
	h.system("lab")
	now := at.Now().Unix()
	hmacKey := make([]byte, 64)
	other, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		t.Fatal(err)
	}
	good := func(changes ...any) string {
		return sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab", changes...))
	}
	none := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"none","typ":"JWT","kid":"test-1"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"lab"}`)) + "."
	twice := base64.RawURLEncoding.EncodeToString([]byte(`{"alg":"RS512","typ":"JWT","kid":"test-1"}`)) + "." + base64.RawURLEncoding.EncodeToString([]byte(`{"iss":"lab","iss":"other"}`)) + ".AAAA"
	for name, c := range map[string]struct {
		form        url.Values
		status      int
		code, words string
	}{
		"no grant_type":         {with(h.asserts(good()), "grant_type", ""), 400, "invalid_request", "grant_type is missing"},
		"another grant_type":    {with(h.asserts(good()), "grant_type", "password"), 400, "unsupported_grant_type", "grant_type is invalid"},
		"no assertion type":     {with(h.asserts(good()), "client_assertion_type", ""), 400, "invalid_request", "Missing or invalid client_assertion_type - must be '" + assertionType},
		"no assertion":          {with(h.asserts(good()), "client_assertion", ""), 400, "invalid_request", "Missing client_assertion"},
		"not a JWT":             {h.asserts("invalid"), 400, "invalid_request", "Malformed JWT in client_assertion"},
		"five parts":            {h.asserts("a.b.c.d.e"), 400, "invalid_request", "Malformed JWT in client_assertion"},
		"huge":                  {h.asserts(good("padding", strings.Repeat("x", 9000))), 400, "invalid_request", "Malformed JWT in client_assertion"},
		"a name there twice":    {h.asserts(twice), 400, "invalid_request", "Malformed JWT in client_assertion"},
		"no kid":                {h.asserts(sign(t, rsaKey(), jose.RS512, map[string]any{"typ": "JWT"}, h.proof("lab"))), 400, "invalid_request", "Missing 'kid' header in JWT"},
		"an unknown kid":        {h.asserts(sign(t, rsaKey(), jose.RS512, map[string]any{"typ": "JWT", "kid": "INVALID"}, h.proof("lab"))), 401, "invalid_request", "Invalid 'kid' header in JWT - no matching public key"},
		"another typ":           {h.asserts(sign(t, rsaKey(), jose.RS512, map[string]any{"typ": "at+jwt", "kid": "test-1"}, h.proof("lab"))), 400, "invalid_request", "Invalid 'typ' header in JWT - must be 'JWT'"},
		"alg none":              {h.asserts(none), 400, "invalid_request", "Malformed JWT in client_assertion"},
		"alg none, signed":      {h.asserts(none + "AAAA"), 400, "invalid_request", "Invalid 'alg' header in JWT - unsupported JWT algorithm - must be 'RS512'"},
		"alg RS256":             {h.asserts(sign(t, rsaKey(), jose.RS256, lawful(), h.proof("lab"))), 400, "invalid_request", "Invalid 'alg' header in JWT - unsupported JWT algorithm - must be 'RS512'"},
		"alg HS512":             {h.asserts(sign(t, hmacKey, jose.HS512, lawful(), h.proof("lab"))), 400, "invalid_request", "Invalid 'alg' header in JWT - unsupported JWT algorithm - must be 'RS512'"},
		"another key":           {h.asserts(sign(t, other, jose.RS512, lawful(), h.proof("lab"))), 401, "invalid_request", "Invalid signature in JWT - it is not that of the registered public key"},
		"no iss":                {h.asserts(good("iss", nil)), 400, "invalid_request", "Missing or non-matching iss/sub claims in JWT"},
		"sub is another":        {h.asserts(good("sub", "other")), 400, "invalid_request", "Missing or non-matching iss/sub claims in JWT"},
		"an unknown client":     {h.asserts(good("iss", "x", "sub", "x")), 401, "invalid_request", "Invalid iss/sub claims in JWT - no such client"},
		"no jti":                {h.asserts(good("jti", nil)), 400, "invalid_request", "Missing jti claim in JWT"},
		"jti is a number":       {h.asserts(good("jti", 1234567890)), 400, "invalid_request", "Jti claim must be a unique string value such as a GUID"},
		"no aud":                {h.asserts(good("aud", nil)), 401, "invalid_request", "Missing or invalid aud claim in JWT"},
		"another aud":           {h.asserts(good("aud", h.url+oauth.PathToken+"INVALID")), 401, "invalid_request", "Missing or invalid aud claim in JWT"},
		"aud of the mock":       {h.asserts(good("aud", h.url+oauth.Mock+"/token")), 401, "invalid_request", "Missing or invalid aud claim in JWT"},
		"no exp":                {h.asserts(good("exp", nil)), 400, "invalid_request", "Missing exp claim in JWT"},
		"exp is text":           {h.asserts(good("exp", "soon")), 400, "invalid_request", "Exp claim must be an integer"},
		"exp is a fraction":     {h.asserts(good("exp", float64(now)+30.5)), 400, "invalid_request", "Exp claim must be an integer"},
		"exp is past":           {h.asserts(good("exp", now-10)), 400, "invalid_request", "Invalid exp claim in JWT - JWT has expired"},
		"exp is too far":        {h.asserts(good("exp", now+330)), 400, "invalid_request", "Invalid exp claim in JWT - more than 5 minutes in future"},
		"not valid yet":         {h.asserts(good("nbf", now+100)), 400, "invalid_request", "Invalid nbf claim in JWT - JWT is not valid yet"},
		"a scope of its own":    {with(h.asserts(good()), "scope", "user/*.cruds"), 400, "invalid_scope", "scope is invalid - the client may have none of what it asks for"},
		"a parameter in double": {url.Values{"grant_type": {"client_credentials", "client_credentials"}}, 400, "invalid_request", "the parameter grant_type is there more than once"},
	} {
		t.Run(name, func(t *testing.T) {
			got := h.token(c.form)
			m := got.json(t)
			id, _ := m["message_id"].(string)
			if got.status != c.status || m["error"] != c.code || m["error_description"] != c.words || id == "" || id != got.header.Get("X-Request-ID") {
				t.Errorf("%d %s\nwant %d %s %q", got.status, got.body, c.status, c.code, c.words)
			}
		})
	}
	token := good()
	got := h.token(h.asserts(token))
	m := got.json(t)
	access, _ := m["access_token"].(string)
	if got.status != 200 || m["refresh_token"] != nil || m["expires_in"] != 600.0 || m["scope"] != "system/*.rs" {
		t.Fatalf("a lawful assertion: %d %s", got.status, got.body)
	}
	if got := h.call(http.DefaultClient, "GET", "/FHIR/R4/Patient/"+ownNumber, nil, "Authorization: Bearer "+access); got.status != 200 {
		t.Errorf("the system reads: %d", got.status)
	}
	if got := h.call(http.DefaultClient, "DELETE", "/FHIR/R4/Patient/"+ownNumber, nil, "Authorization: Bearer "+access); got.status != 403 {
		t.Errorf("the system deletes what it may only read: %d", got.status)
	}
	if m := h.token(h.asserts(token)).json(t); m["error_description"] != "Non-unique jti claim in JWT" {
		t.Errorf("the same again: %v", m)
	}
	if got := h.call(http.DefaultClient, "GET", oauth.PathUserinfo, nil, "Authorization: Bearer "+access); got.status != 400 {
		t.Errorf("a system asks who signed in: %d", got.status)
	}
	if got := h.call(http.DefaultClient, "POST", oauth.PathToken, h.asserts(good()), "Content-Type: application/json"); got.status != 400 {
		t.Errorf("a form that says it is JSON: %d", got.status)
	}
	if got := h.call(http.DefaultClient, "POST", oauth.PathToken+"?client_id=lab", h.asserts(good())); got.status != 400 {
		t.Errorf("parameters in the address: %d", got.status)
	}
	h.system("clinician") // as a user is called
	same := h.token(h.asserts(sign(t, rsaKey(), jose.RS512, lawful(), h.proof("clinician")))).json(t)
	if p, err := h.node.Kernel().Verifier.Verify(t.Context(), get(same, "access_token")); err != nil || p.ID == "clinician" || p.Role != "system-client" {
		t.Errorf("a client with the name of a user passes for them: %+v %v", p, err)
	}
	if m := h.token(with(h.asserts(good()), "_access_token_expiry_ms", "100000")).json(t); m["expires_in"] != 100.0 {
		t.Errorf("a shorter life was asked for: %v", m)
	}
	if err := h.tokens().EndClient(t.Context(), h.clerk(), "lab", "test", false); err != nil {
		t.Fatal(err)
	}
	if got := h.call(http.DefaultClient, "GET", "/FHIR/R4/Patient/"+ownNumber, nil, "Authorization: Bearer "+access); got.status != 401 {
		t.Errorf("a token outlives its client: %d", got.status)
	}
}

// TestAClientsKeysAreWhereItSays fetches them, and again when a new one signs.
func TestAClientsKeysAreWhereItSays(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at)
	set, fetched := *keySet(), 0
	keys := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		fetched++
		json.NewEncoder(w).Encode(set)
	}))
	t.Cleanup(keys.Close)
	c := h.system("lab")
	c.Keys, c.KeysURL = nil, keys.URL
	h.client(c)
	ask := func(kid string) reply {
		return h.token(h.asserts(sign(t, rsaKey(), jose.RS512, map[string]any{"typ": "JWT", "kid": kid}, h.proof("lab"))))
	}
	if a, b := ask("test-1"), ask("test-1"); a.status != 200 || b.status != 200 || fetched != 1 {
		t.Fatalf("%d and %d, fetched %d times", a.status, b.status, fetched)
	}
	set.Keys = append(set.Keys, jose.JSONWebKey{Key: rsaKey().Public(), KeyID: "test-2"})
	at.Advance(31 * time.Second)
	if got := ask("test-2"); got.status != 200 || fetched != 2 {
		t.Errorf("a new key: %d, fetched %d times", got.status, fetched)
	}
	keys.Close()
	at.Advance(6 * time.Minute)
	if m := ask("test-1").json(t); m["error"] != "public_key error" || m["error_description"] != "The JWKS endpoint, for your client_assertion can't be reached" {
		t.Errorf("nobody answers: %v", m)
	}
	c.KeysURL = ""
	h.client(c)
	if got := ask("test-1"); got.status != 403 || !strings.Contains(got.body, "You need to register a public key") {
		t.Errorf("no key: %d %s", got.status, got.body)
	}
}
