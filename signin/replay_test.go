package signin_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"sync"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/signin"
	"github.com/openspine/openspine/signin/oauth"
)

// atOnce sends the same form many times at once; it is how many were answered with 200, and what one of those said.
func (h *house) atOnce(form url.Values) (ok int, m map[string]any) {
	h.t.Helper()
	const callers = 40
	replies := make([]reply, callers)
	var wg sync.WaitGroup
	for i := range callers {
		wg.Go(func() { replies[i] = h.token(form) })
	}
	wg.Wait()
	for _, r := range replies {
		switch r.status {
		case 200:
			ok, m = ok+1, r.json(h.t)
		case 400:
		default:
			h.t.Errorf("one of many: %d %s", r.status, r.body)
		}
	}
	return ok, m
}

// TestOfManyAtOnceOneAtMostIsAnswered: a code, a refresh token and an assertion that are sent forty times at once; and what came of a code or refresh
// token that was sent more than once is at an end.
func TestOfManyAtOnceOneAtMostIsAnswered(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	h.system("lab")
	c := browser()
	h.signIn(c, "clinician")
	ended := func(what string, m map[string]any) {
		t.Helper()
		if m == nil {
			return // every one of them was too late: that is allowed
		}
		if a, b := h.read(get(m, "access_token"), "Patient/"+ownNumber), h.refresh(get(m, "refresh_token")); a != 401 || b.status != 400 {
			t.Errorf("what came of %s that was sent forty times: %d, refreshed %d", what, a, b.status)
		}
	}
	ok, m := h.atOnce(change(h.code(c, ask())))
	if ok > 1 {
		t.Errorf("%d of one code", ok)
	}
	ended("a code", m)
	first := h.token(change(h.code(c, ask()))).json(t)
	ok, m = h.atOnce(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {get(first, "refresh_token")}, "client_id": {signin.DemoApp}, "client_secret": {signin.DemoSecret}})
	if ok > 1 {
		t.Errorf("%d of one refresh token", ok)
	}
	ended("a refresh token", m)
	if ok, _ := h.atOnce(h.asserts(sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab")))); ok != 1 {
		t.Errorf("%d of one assertion", ok)
	}
}

// TestWhatCameOfACodeEndsWithIt, also what was exchanged for a token that came of it, and for a token that came of that.
func TestWhatCameOfACodeEndsWithIt(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	for id, from := range map[string]string{"first": signin.DemoApp, "second": "first"} {
		h.client(oauth.Client{ID: id, Name: id, Kind: oauth.Confidential, Realm: access.Professionals, Redirects: []string{back}, Keys: keySet(), Trusted: true,
			Scopes: []string{"openid", "user/*.rs"}, Default: []string{"user/*.rs"}, ExchangesFor: []string{from}})
	}
	c := browser()
	h.signIn(c, "clinician")
	code := h.code(c, ask())
	m := h.token(change(code)).json(t)
	one := h.exchange("first", idType, get(m, "id_token"), "scope", "openid user/*.rs").json(t)
	two := h.exchange("second", idType, get(one, "id_token")).json(t)
	for name, x := range map[string]map[string]any{"itself": m, "exchanged": one, "exchanged twice": two} {
		if got := h.read(get(x, "access_token"), "Patient/"+ownNumber); got != 200 {
			t.Fatalf("%s before: %d %v", name, got, x)
		}
	}
	if got := h.token(change(code)); got.status != 400 {
		t.Fatalf("the second use: %d", got.status)
	}
	for name, x := range map[string]map[string]any{"itself": m, "exchanged": one, "exchanged twice": two} {
		if got := h.read(get(x, "access_token"), "Patient/"+ownNumber); got != 401 {
			t.Errorf("%s: its access token after the code was used twice: %d", name, got)
		}
	}
	for client, x := range map[string]map[string]any{"first": one, "second": two} {
		got := h.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {get(x, "refresh_token")}, "client_assertion_type": {assertionType},
			"client_assertion": {sign(t, rsaKey(), jose.RS512, lawful(), h.proof(client))}})
		if got.status != 400 || get(got.json(t), "error") != "invalid_grant" {
			t.Errorf("%s: refreshed after the code was used twice: %d %s", client, got.status, got.body)
		}
	}
	if got := h.exchange("first", idType, get(m, "id_token")); got.status != 400 {
		t.Errorf("its ID token is exchanged again: %d", got.status)
	}
}

// TestLeavingEndsWhatProgramsWereGiven: at once, whichever way somebody leaves, but for what was to last beyond it (offline_access); choosing another role or
// showing again who they are is not leaving.
func TestLeavingEndsWhatProgramsWereGiven(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at)
	app, err := h.tokens().Client(t.Context(), signin.DemoApp)
	if err != nil {
		t.Fatal(err)
	}
	app.Scopes = append(app.Scopes, "offline_access")
	h.client(app)
	second, err := h.node.Kernel().Gate.GiveRole(t.Context(), h.clerk(), "clinician", access.Profile{Role: access.PrivacyOfficer, Organisation: practice}, "test")
	if err != nil {
		t.Fatal(err)
	}
	for name, leave := range map[string]func(c *http.Client) reply{
		"signing out": func(c *http.Client) reply {
			return h.call(c, "POST", "/sign-out", hidden(h.call(c, "GET", oauth.PathManage, nil).body))
		},
		"signing out for a program": func(c *http.Client) reply {
			return h.call(c, "POST", oauth.PathLogout, hidden(h.call(c, "GET", oauth.PathLogout+"?client_id="+signin.DemoApp, nil).body))
		},
		"being signed out from another device": func(c *http.Client) reply {
			there, other := h.sessions("clinician")[0], browser()
			h.signIn(other, "clinician")
			return h.call(other, "POST", oauth.PathManage, hidden(h.call(other, "GET", oauth.PathManage, nil).body, "session", there.ID))
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := browser()
			h.signIn(c, "clinician")
			short := h.token(change(h.code(c, ask()))).json(t)
			long := h.token(change(h.code(c, ask("scope", "openid offline_access user/*.rs")))).json(t)
			// a role, and back, and the same person again: the session has another name each time
			if got := h.call(c, "POST", "/sign-in/role", hidden(h.call(c, "GET", "/sign-in/role", nil).body, "role", second.ID)); got.status != 303 {
				t.Fatalf("choosing a role: %d", got.status)
			}
			h.signIn(c, "clinician")
			if a, b := h.read(get(short, "access_token"), "Patient/"+ownNumber), h.refresh(get(short, "refresh_token")); a != 200 || b.status != 200 {
				t.Fatalf("after choosing a role: %d %d %s", a, b.status, b.body)
			} else {
				short = b.json(t)
			}
			if got := leave(c); got.status != 303 && got.status != 302 {
				t.Fatalf("%d %s", got.status, got.body)
			}
			if a, b := h.read(get(short, "access_token"), "Patient/"+ownNumber), h.refresh(get(short, "refresh_token")); a != 401 || b.status != 400 || words(t, b) == "" {
				t.Errorf("what was given in the session: %d, refreshed %d %s", a, b.status, b.body)
			}
			if a, b := h.read(get(long, "access_token"), "Patient/"+ownNumber), h.refresh(get(long, "refresh_token")); a != 200 || b.status != 200 {
				t.Errorf("what was to last: %d, refreshed %d %s", a, b.status, b.body)
			}
			if err := h.node.Door().Everywhere(t.Context(), h.clerk(), "clinician"); err != nil {
				t.Fatal(err)
			}
		})
	}
}

// TestAProvidersWordEndsPrograms: who leaves at the provider has left the programs here as well, also when nothing had happened in the session for an hour.
func TestAProvidersWordEndsPrograms(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	f := fake(t)
	f.now = at.Now
	h := open(t, at, trusting(f.settings("far")))
	h.expect("far", "someone", "clinician")
	app := oauth.Client{ID: signin.DemoApp, Name: "An app", Kind: oauth.Confidential, Realm: access.Professionals, Redirects: []string{back}, Trusted: true, Scopes: []string{"openid", "profile", "user/*.rs"}, Default: []string{"user/*.rs"}}
	app.SetSecret(signin.DemoSecret)
	h.client(app)
	for _, idle := range []time.Duration{0, access.SessionIdle + time.Minute} {
		c := browser()
		if got := f.arrive(h, c, nil); got.status != 303 {
			t.Fatalf("coming in: %d %s", got.status, got.body)
		}
		m := h.token(change(h.code(c, ask()))).json(t)
		at.Advance(idle)
		if m = h.refresh(get(m, "refresh_token")).json(t); h.read(get(m, "access_token"), "Patient/"+ownNumber) != 200 {
			t.Fatalf("after %v: %v", idle, m)
		}
		if got := h.call(http.DefaultClient, "POST", "/sign-in/with/far/logout", url.Values{"logout_token": {f.logoutToken(nil)}}); got.status != 200 {
			t.Fatalf("the provider's word: %d %s", got.status, got.body)
		}
		if a, b := h.read(get(m, "access_token"), "Patient/"+ownNumber), h.refresh(get(m, "refresh_token")); a != 401 || b.status != 400 {
			t.Errorf("after %v the program goes on: %d, refreshed %d", idle, a, b.status)
		}
		if grants, err := h.tokens().GrantsOf(t.Context(), "clinician"); err != nil || len(grants) != 0 {
			t.Errorf("programs that are shown as using the account: %d %v", len(grants), err)
		}
	}
}

// TestAClockThatJumps makes nothing good that was not, nor good again what was used.
func TestAClockThatJumps(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at)
	h.system("lab")
	used := sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab"))
	m := h.token(h.asserts(used)).json(t)
	token := get(m, "access_token")
	if h.read(token, "Patient/"+ownNumber) != 200 {
		t.Fatal("a token does not hold")
	}
	at.Advance(9 * time.Minute) // ahead, by mistake: what was used may be forgotten …
	for range 20 {
		if got := h.token(h.asserts(sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab")))); got.status != 200 {
			t.Fatalf("%d %s", got.status, got.body)
		}
	}
	at.Advance(-9 * time.Minute) // … and set right
	if got := h.token(h.asserts(used)); got.status != 400 || get(got.json(t), "error_description") != "Non-unique jti claim in JWT" {
		t.Errorf("an assertion is used again after the clock was set back: %d %s", got.status, got.body)
	}
	for _, x := range []struct {
		by   time.Duration
		want int
	}{{oauth.AccessFor - time.Second, 200}, {29 * time.Second, 200}, {3 * time.Second, 401}, {-oauth.AccessFor, 200}, {-2 * time.Minute, 401}, {24 * 366 * time.Hour, 401}} {
		if at.Advance(x.by); h.read(token, "Patient/"+ownNumber) != x.want {
			t.Errorf("at %v: not %d", at.Now().Sub(h.node.Kernel().Clock.Now()), x.want)
		}
	}
}

// TestHeadersOfAnAssertionLeadNowhere: no address, key or path that a stranger writes into one is looked at; nothing but RS512 by the client's own key holds.
func TestHeadersOfAnAssertionLeadNowhere(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	h.system("lab")
	asked := make(chan string, 100)
	evil := httptestServer(t, func(r *http.Request) { asked <- r.URL.Path })
	stranger := newRSA(t)
	own := jose.JSONWebKey{Key: stranger.Public(), KeyID: "test-1", Algorithm: "RS512"}
	with := func(pairs ...any) map[string]any {
		m := map[string]any{"typ": "JWT", "kid": "test-1"}
		for i := 0; i < len(pairs); i += 2 {
			name, _ := pairs[i].(string)
			m[name] = pairs[i+1]
		}
		return m
	}
	secret := publicPEM(t, rsaKey().Public())
	for name, token := range map[string]string{
		"jku":                       sign(t, stranger, jose.RS512, with("jku", evil+"/jku"), h.proof("lab")),
		"x5u":                       sign(t, stranger, jose.RS512, with("x5u", evil+"/x5u"), h.proof("lab")),
		"jwk":                       sign(t, stranger, jose.RS512, with("jwk", own), h.proof("lab")),
		"x5c":                       sign(t, stranger, jose.RS512, with("x5c", []string{base64.StdEncoding.EncodeToString(secret)}), h.proof("lab")),
		"kid is an address":         sign(t, stranger, jose.RS512, with("kid", evil+"/kid"), h.proof("lab")),
		"kid is a path":             sign(t, stranger, jose.RS512, with("kid", "../../../../dev/null"), h.proof("lab")),
		"kid is SQL":                sign(t, stranger, jose.RS512, with("kid", "x' OR '1'='1"), h.proof("lab")),
		"kid is a list":             raw(t, stranger, `{"alg":"RS512","typ":"JWT","kid":["test-1"]}`, h.proof("lab")),
		"crit that nobody knows":    raw(t, rsaKey(), `{"alg":"RS512","typ":"JWT","kid":"test-1","crit":["x"],"x":1}`, h.proof("lab")),
		"b64 false":                 raw(t, rsaKey(), `{"alg":"RS512","typ":"JWT","kid":"test-1","crit":["b64"],"b64":false}`, h.proof("lab")),
		"alg twice":                 raw(t, rsaKey(), `{"alg":"none","typ":"JWT","kid":"test-1","alg":"RS512"}`, h.proof("lab")),
		"RS256":                     sign(t, rsaKey(), jose.RS256, lawful(), h.proof("lab")),
		"RS384":                     sign(t, rsaKey(), jose.RS384, lawful(), h.proof("lab")),
		"PS512":                     sign(t, rsaKey(), jose.PS512, lawful(), h.proof("lab")),
		"HS512 with the public key": sign(t, secret, jose.HS512, lawful(), h.proof("lab")),
		"RS256 that says RS512":     saying(t, "RS512", sign(t, rsaKey(), jose.RS256, lawful(), h.proof("lab"))),
		"RS512 that says rs512":     saying(t, "rs512", sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab"))),
		"another's claims":          swapped(sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab")), sign(t, stranger, jose.RS512, lawful(), h.proof("lab", "iss", "other", "sub", "other"))),
		"iat in the future":         sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab", "iat", time.Now().Add(time.Hour).Unix())),
		"exp in 1970":               sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab", "exp", 0)),
		"exp at the end of time":    sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab", "exp", 1e18)),
		"exp before time":           sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab", "exp", -1e10)),
		"two audiences":             sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab", "aud", []string{h.url + oauth.PathToken, evil})),
		"another port":              sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab", "aud", "http://127.0.0.1:1"+oauth.PathToken)),
		"a slash more":              sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab", "aud", h.url+oauth.PathToken+"/")),
		"the issuer as audience":    sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab", "aud", h.url)),
		"an empty jti":              sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab", "jti", "")),
		"a jti of spaces":           sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab", "jti", "  ")),
	} {
		got := h.token(h.asserts(token))
		if got.status != 400 && got.status != 401 || get(got.json(t), "error") != "invalid_request" || get(got.json(t), "access_token") != "" {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	select {
	case path := <-asked:
		t.Errorf("the node went to %s, which a stranger named", path)
	default:
	}
}
