package signin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/go-jose/go-jose/v4"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/signin"
	"github.com/openspine/openspine/signin/oauth"
)

// cookie is a cookie that an answer sets; it fails when there is none of that name.
func (r reply) cookie(t *testing.T, name string) *http.Cookie {
	t.Helper()
	for _, c := range (&http.Response{Header: r.header}).Cookies() {
		if c.Name == name {
			return c
		}
	}
	t.Fatalf("no cookie %s: %v", name, r.header["Set-Cookie"])
	return nil
}

// TestCookiesAreForTLSAlone where the node's address is https, also when something in front of it ends TLS: a session is never sent in the clear, and one
// that arrives under the plain name is nobody's.
func TestCookiesAreForTLSAlone(t *testing.T) {
	t.Parallel()
	f := fake(t)
	h := open(t, nil, func(c *node.Config) { c.BaseURL = "https://spine.example" })
	h.url = h.node.PlainURL()
	in := h.call(browser(), "POST", "/sign-in", url.Values{"user": {"clinician"}})
	c := in.cookie(t, "__Host-openspine")
	if !c.Secure || !c.HttpOnly || c.SameSite != http.SameSiteLaxMode || c.Path != "/" || c.Domain != "" || c.MaxAge != 0 || !c.Expires.IsZero() {
		t.Errorf("the session's cookie: %+v", c)
	}
	if got := in.header.Get("Strict-Transport-Security"); !strings.HasPrefix(got, "max-age=") {
		t.Errorf("Strict-Transport-Security: %q", got)
	}
	for name, want := range map[string]int{"__Host-openspine": 200, "openspine": 401} {
		if got := h.call(http.DefaultClient, "GET", oauth.PathManage, nil, "Cookie: "+name+"="+c.Value, "Accept: application/json"); got.status != want {
			t.Errorf("a session under the name %s: %d, want %d", name, got.status, want)
		}
	}
	far := open(t, nil, trusting(f.settings("far")), func(c *node.Config) { c.BaseURL = "https://spine.example" })
	far.url = far.node.PlainURL()
	for _, c := range (&http.Response{Header: far.call(browser(), "GET", "/sign-in/with/far", nil).header}).Cookies() {
		if !c.Secure || !c.HttpOnly || !strings.HasPrefix(c.Name, "__Host-") {
			t.Errorf("the cookie of a way to a provider: %+v", c)
		}
	}
	plain := open(t, nil)
	if got := plain.call(browser(), "POST", "/sign-in", url.Values{"user": {"clinician"}}); got.cookie(t, "openspine").Secure || got.header.Get("Strict-Transport-Security") != "" {
		t.Error("a node without TLS sets a cookie that no browser would send back")
	}
}

// TestASessionIsNotSomebodyElses: what a browser had before signing in is worth nothing afterwards (session fixation), and no other site's page, and no link,
// signs anybody in or out.
func TestASessionIsNotSomebodyElses(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	planted := strings.Repeat("A", 43)
	in := h.call(http.DefaultClient, "POST", "/sign-in", url.Values{"user": {"clinician"}}, "Cookie: openspine="+planted)
	own := in.header.Get("Set-Cookie")
	if strings.Contains(own, planted) {
		t.Error("the session that somebody planted was signed in")
	}
	noRedirect := browser()
	noRedirect.Jar = nil
	attacker := h.call(noRedirect, "POST", "/sign-in", url.Values{"user": {"clerk"}})
	victim := h.call(noRedirect, "POST", "/sign-in", url.Values{"user": {"clinician"}}, "Cookie: openspine="+attacker.cookie(t, "openspine").Value)
	for name, x := range map[string]struct {
		secret string
		want   int
	}{"planted": {planted, 401}, "the attacker's own": {attacker.cookie(t, "openspine").Value, 401}, "the victim's": {victim.cookie(t, "openspine").Value, 200}} {
		if got := h.call(noRedirect, "GET", oauth.PathManage, nil, "Cookie: openspine="+x.secret, "Accept: application/json"); got.status != x.want {
			t.Errorf("the session that was %s: %d, want %d", name, got.status, x.want)
		}
	}

	c := browser()
	h.signIn(c, "clinician")
	page := h.call(c, "GET", oauth.PathManage, nil).body
	evil := []string{"Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Mode: navigate"}
	for name, x := range map[string]struct {
		method, path string
		form         url.Values
		headers      []string
		want         int
	}{
		"sign-out by a link":                     {"GET", "/sign-out", nil, nil, 405},
		"sign-out by a bare form":                {"POST", "/sign-out", url.Values{}, nil, 403},
		"sign-out by another site's form":        {"POST", "/sign-out", hidden(page), evil, 403},
		"a program's sign-out by a bare form":    {"POST", oauth.PathLogout, url.Values{"request": {"client_id=" + signin.DemoApp}}, nil, 403},
		"a program's sign-out by another site's": {"POST", oauth.PathLogout, hidden(page), evil, 403},
		"everywhere by another site's form":      {"POST", oauth.PathManage, hidden(page, "everywhere", "1"), evil, 403},
		"a passkey by a bare form":               {"POST", "/sign-in/passkeys", url.Values{"seal": {"x"}}, nil, 403},
		"a role by a bare form":                  {"POST", "/sign-in/role", url.Values{"role": {""}}, nil, 403},
		"consent by a bare form":                 {"POST", "/oauth2/consent", url.Values{"answer": {"yes"}, "request": {ask("client_id", signin.DemoPatientApp).Encode()}}, nil, 403},
		"a patient by a bare form":               {"POST", "/oauth2/patient", url.Values{"patient": {ownNumber}, "request": {ask().Encode()}}, nil, 403},
		"signing in by another site's form":      {"POST", "/sign-in", url.Values{"user": {"clerk"}}, evil, 403},
		"with a code by another site's form":     {"POST", "/sign-in/recover", url.Values{"user": {"clerk"}, "code": {"x"}}, evil, 403},
		"with a passkey by another site's form":  {"POST", "/sign-in/passkey", url.Values{"seal": {"x"}}, evil, 403},
		"by a one-time link's form elsewhere":    {"POST", "/sign-in/enrol/codes", url.Values{"code": {"x"}}, evil, 403},
		"first, by another site's form":          {"POST", "/sign-in/first", url.Values{"code": {"x"}}, evil, 403},
		"in the mock by another site's form":     {"POST", oauth.Mock + "/sign-in?" + ask().Encode(), url.Values{"username": {"clerk"}}, evil, 403},
		"another account by a bare link":         {"GET", "/sign-in/with/far?connect=x", nil, nil, 404},
	} {
		if got := h.call(c, x.method, x.path, x.form, x.headers...); got.status != x.want || got.header.Get("Set-Cookie") != "" {
			t.Errorf("%s: %d, want %d, %q", name, got.status, x.want, got.header.Get("Set-Cookie"))
		}
	}
	asked := h.call(c, "GET", oauth.PathLogout+"?client_id="+signin.DemoApp+"&post_logout_redirect_uri=https://evil.example/", nil)
	if asked.status != 200 || strings.Contains(asked.header.Get("Content-Security-Policy"), "evil") {
		t.Errorf("a program's sign-out asks first: %d %s", asked.status, asked.header.Get("Content-Security-Policy"))
	}
	if got := h.call(c, "GET", oauth.PathManage, nil); got.status != 200 {
		t.Fatalf("somebody else signed them out: %d", got.status)
	}
	if to, _ := h.call(c, "POST", oauth.PathLogout, hidden(asked.body)).location(t); to != "/sign-in" {
		t.Errorf("after signing out somebody is sent to %s", to)
	}
	if to, _ := h.call(c, "GET", oauth.PathLogout+"?client_id="+signin.DemoApp+"&post_logout_redirect_uri=https://evil.example/", nil).location(t); to != "/sign-in" {
		t.Errorf("signed out already, somebody is sent to %s", to)
	}
}

// TestNobodyIsSentToAnotherSite after signing in, whatever address a link brought along (RFC 9700 section 4.11).
func TestNobodyIsSentToAnotherSite(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	here := mustURL(t, h.url)
	for _, to := range []string{"//evil.example", "///evil.example", "https://evil.example/", "https:evil.example", "https:/evil.example", "/\\evil.example", "\\\\evil.example", "/\t/evil.example",
		"/\n/evil.example", "/.//evil.example", "/..//evil.example", "/x/..//evil.example", "/%2f/evil.example", "/%5cevil.example", "javascript:alert(1)", "data:text/html,x", "//evil.example@127.0.0.1",
		"http://127.0.0.1@evil.example", "?x", "evil.example", "/;//evil.example", "/#//evil.example", " //evil.example", "/\x00/evil.example", "\u2215/evil.example", "/\u3002/evil.example", "//[::1]", "/%09/evil.example"} {
		got := h.call(browser(), "POST", "/sign-in", url.Values{"user": {"clinician"}, "to": {to}})
		// as a browser reads it (WHATWG URL): tabs and line ends fall out, a backslash is a slash
		location := strings.NewReplacer("\t", "", "\n", "", "\r", "", "\\", "/").Replace(strings.TrimSpace(got.header.Get("Location")))
		u, err := here.Parse(location)
		if got.status != 303 || err != nil || u.Host != here.Host || u.Scheme != here.Scheme {
			t.Errorf("%q: %d to %q (%v)", to, got.status, got.header.Get("Location"), err)
		}
	}
	for _, path := range []string{"/sign-in?to=//evil.example", "/sign-in/recover?to=https://evil.example", "/sign-in/recover?to=/%5C/evil.example", "/sign-in?left=//evil.example"} {
		if got := h.call(browser(), "GET", path, nil); got.status != 200 || strings.Contains(got.body, "evil.example") {
			t.Errorf("%s: %d, and the page leads on", path, got.status)
		}
	}
}

// TestAnswersStayWithWhoAsked: no cache keeps a token, a code or a page; no page is framed; other sites' scripts may call what looks at no session, and nothing
// else; and no session counts there.
func TestAnswersStayWithWhoAsked(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	h.system("lab")
	c := browser()
	h.signIn(c, "clinician")
	redirected := h.call(c, "GET", oauth.PathAuthorize+"?"+ask().Encode(), nil)
	issued := h.token(change(redirected.codeIn(t)))
	m := issued.json(t)
	bearer := "Authorization: Bearer " + get(m, "access_token")
	own := url.Values{"client_id": {signin.DemoApp}, "client_secret": {signin.DemoSecret}, "token": {get(m, "access_token")}}
	for name, got := range map[string]reply{
		"a code": redirected, "tokens": issued, "a refusal": h.token(change("x")), "refreshed": h.refresh(get(m, "refresh_token")),
		"a system's":   h.token(h.asserts(sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab")))),
		"userinfo":     h.call(http.DefaultClient, "GET", oauth.PathUserinfo, nil, bearer),
		"introspected": h.call(http.DefaultClient, "POST", oauth.PathIntrospect, own),
		"revoked":      h.call(http.DefaultClient, "POST", oauth.PathRevoke, own),
		"the sign-in":  h.call(browser(), "GET", "/sign-in", nil), "the devices": h.call(c, "GET", oauth.PathManage, nil),
		"the mock": h.call(c, "GET", oauth.Mock+"/sign-in?"+ask().Encode(), nil),
	} {
		if cache := got.header.Get("Cache-Control"); cache != "no-store" {
			t.Errorf("%s: Cache-Control %q", name, cache)
		}
		if got.header.Get("X-Content-Type-Options") != "nosniff" {
			t.Errorf("%s: its type may be guessed", name)
		}
	}
	if issued.header.Get("Pragma") != "no-cache" {
		t.Error("tokens without Pragma (RFC 6749 section 5.1)")
	}
	for _, path := range []string{"/sign-in", "/sign-in/passkey", "/sign-in/recover", "/sign-in/enrol?code=x", oauth.PathManage, oauth.PathLogout, oauth.Mock + "/sign-in?" + ask().Encode(),
		oauth.PathAuthorize + "?" + ask("client_id", signin.DemoSmartApp, "scope", "launch/patient patient/Patient.rs", "code_challenge", challenge(), "code_challenge_method", "S256").Encode()} {
		got := h.call(c, "GET", path, nil, "Accept: text/html", "Origin: https://evil.example")
		if !strings.Contains(got.header.Get("Content-Security-Policy"), "frame-ancestors 'none'") || got.header.Get("X-Frame-Options") != "DENY" || got.header.Get("Referrer-Policy") != "same-origin" {
			t.Errorf("%s: %d may be framed, or tells others where it is", path, got.status)
		}
		if got.header.Get("Access-Control-Allow-Origin") != "" || got.header.Get("Access-Control-Allow-Credentials") != "" {
			t.Errorf("%s may be read by other sites", path)
		}
	}
	for _, path := range []string{oauth.PathToken, oauth.PathRevoke, oauth.PathIntrospect, oauth.PathUserinfo} {
		got := h.call(c, "POST", path, url.Values{}, "Origin: https://app.example")
		if got.header.Get("Access-Control-Allow-Origin") != "*" || got.header.Get("Access-Control-Allow-Credentials") != "" || got.status/100 != 4 {
			t.Errorf("%s: %d, other sites %q, with cookies %q", path, got.status, got.header.Get("Access-Control-Allow-Origin"), got.header.Get("Access-Control-Allow-Credentials"))
		}
	}
}

func (r reply) codeIn(t *testing.T) string {
	t.Helper()
	_, v := r.location(t)
	return v.Get("code")
}

// TestTooMuchIsRefused wherever it is put, before anything is done with it.
func TestTooMuchIsRefused(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	h.system("lab")
	c := browser()
	h.signIn(c, "clinician")
	long := func(n int) string { return strings.Repeat("x", n) }
	for name, q := range map[string]url.Values{"state": ask("state", long(2001)), "nonce": ask("nonce", long(501)), "launch": ask("launch", long(2001)), "challenge": ask("code_challenge", long(5000), "code_challenge_method", "S256"),
		"scope": ask("scope", strings.Repeat("user/Patient.zz ", 500)), "max_age": ask("max_age", "99999999999999999999"), "aud": ask("aud", long(5000))} {
		_, v := h.call(c, "GET", oauth.PathAuthorize+"?"+q.Encode(), nil).location(t)
		if v.Get("error") != "invalid_request" && v.Get("error") != "invalid_scope" || v.Get("code") != "" {
			t.Errorf("%s: %v", name, v)
		}
	}
	for name, q := range map[string]url.Values{"client_id": ask("client_id", long(20000)), "redirect_uri": ask("redirect_uri", back+long(20000)), "a byte that is no text": ask("client_id", "\xff"), "a zero": ask("client_id", "a\x00b")} {
		if got := h.call(c, "GET", oauth.PathAuthorize+"?"+q.Encode(), nil); got.status != 400 && got.status != 401 || got.header.Get("Location") != "" {
			t.Errorf("%s: %d to %q", name, got.status, got.header.Get("Location"))
		}
	}
	for name, form := range map[string]url.Values{"a form": with(change("x"), "padding", long(40<<10)), "a code": change(long(20000)), "a code of another form": change("...."), "a verifier": change("x", "code_verifier", long(20000)),
		"a secret": change("x", "client_secret", long(20000)), "a client": change("x", "client_id", long(20000)), "a refresh token": {"grant_type": {"refresh_token"}, "refresh_token": {long(20000)}, "client_id": {signin.DemoApp}, "client_secret": {signin.DemoSecret}},
		"a jti": h.asserts(sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab", "jti", long(201)))), "no text": change("\xff\xfe")} {
		if got := h.token(form); got.status != 400 && got.status != 401 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
	for name, x := range map[string]struct{ path, header string }{"a bearer token": {"/FHIR/R4/Patient/" + ownNumber, "Authorization: Bearer " + long(9000)}, "at userinfo": {oauth.PathUserinfo, "Authorization: Bearer " + long(9000)},
		"a cookie": {oauth.PathManage, "Cookie: openspine=" + long(9000)}, "in the address": {"/FHIR/R4/Patient/" + ownNumber + "?access_token=" + long(100), "X-Nothing: x"}} {
		got := h.call(http.DefaultClient, "GET", x.path, nil, x.header, "Accept: application/json")
		if got.status != 401 && got.status != 400 {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
	}
}

// TestNobodyLearnsWhoIsThere from what they are told when a user, a client or a link does not exist: the words, the status and the number of tries are the same.
func TestNobodyLearnsWhoIsThere(t *testing.T) {
	t.Parallel()
	h := open(t, nil, live, behindProxy)
	if _, err := h.node.Door().Credentials().NewRecovery(t.Context(), h.clerk(), "clinician"); err != nil {
		t.Fatal(err)
	}
	for i := range 8 {
		var said []string
		for _, user := range []string{"clinician", "nobody-here"} {
			got := h.call(browser(), "POST", "/sign-in/recover", url.Values{"user": {user}, "code": {"guess"}}, "X-Forwarded-For: 192.0.2."+user[:1])
			said = append(said, strings.ReplaceAll(http.StatusText(got.status)+got.body, user, "USER"))
		}
		if alike(said[0]) != alike(said[1]) {
			t.Fatalf("try %d: a user who is there and one who is not are answered differently:\n%s\n%s", i, said[0], said[1])
		}
	}
	h.client(oauth.Client{ID: "there", Name: "There", Kind: oauth.Confidential, Realm: access.Professionals, Redirects: []string{back}, Scopes: []string{"openid"}})
	answers := map[string]bool{}
	for _, id := range []string{"there", "not-there"} {
		got := h.token(change("x", "client_id", id, "client_secret", "guess"))
		answers[words(t, got)+http.StatusText(got.status)] = true
	}
	if len(answers) != 1 {
		t.Errorf("a client that is there and one that is not: %v", answers)
	}
}

// alike leaves out of a page what is another each time.
func alike(page string) string {
	return everChanging.ReplaceAllString(page, "")
}

// TestLogsHoldNoSecret that went over the wire in a whole sign-in: no code, token, secret, assertion, proof, cookie, one-time link or number of a patient.
func TestLogsHoldNoSecret(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	h.system("lab")
	c := browser()
	in := h.call(c, "POST", "/sign-in", url.Values{"user": {"clinician"}})
	code := h.code(c, ask("state", "the-state-of-it", "nonce", "the-nonce-of-it"))
	m := h.token(change(code)).json(t)
	fresh := h.refresh(get(m, "refresh_token")).json(t)
	assertion := sign(t, rsaKey(), jose.RS512, lawful(), h.proof("lab"))
	h.token(h.asserts(assertion))
	h.token(h.asserts(assertion))
	h.token(change(code))
	h.token(change("x", "client_secret", "the-wrong-secret-of-it"))
	h.read(get(m, "access_token"), "Patient/"+ownNumber)
	h.call(http.DefaultClient, "GET", "/FHIR/R4/Patient/"+ownNumber+"?access_token="+get(m, "access_token"), nil)
	h.call(http.DefaultClient, "GET", oauth.PathUserinfo, nil, "Authorization: Bearer "+get(m, "access_token")+"x")
	link, err := h.node.Door().Credentials().NewLink(t.Context(), h.clerk(), "clinician")
	if err != nil {
		t.Fatal(err)
	}
	h.call(browser(), "GET", "/sign-in/enrol?code="+link, nil)
	h.call(browser(), "GET", "/sign-in/enrol?code=the-wrong-link-of-it", nil)
	h.call(browser(), "POST", "/sign-in/recover", url.Values{"user": {"clinician"}, "code": {"the-wrong-code-of-it"}})
	logged := h.log.String()
	if !strings.Contains(logged, oauth.PathToken) {
		t.Fatal("nothing is logged of what came")
	}
	for name, secret := range map[string]string{"code": code, "access token": get(m, "access_token"), "refresh token": get(m, "refresh_token"), "ID token": get(m, "id_token"), "fresh access token": get(fresh, "access_token"),
		"secret": signin.DemoSecret, "wrong secret": "the-wrong-secret-of-it", "assertion": assertion, "state": "the-state-of-it", "nonce": "the-nonce-of-it", "session": in.cookie(t, "openspine").Value,
		"link": link, "wrong link": "the-wrong-link-of-it", "wrong code": "the-wrong-code-of-it", "patient": ownNumber} {
		if secret == "" || strings.Contains(logged, secret) {
			t.Errorf("the %s is in the log", name)
		}
	}
}
