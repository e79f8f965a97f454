package signin_test

import (
	"crypto/sha256"
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/signin"
	"github.com/openspine/openspine/signin/oauth"
)

const theVerifier = "a-verifier-of-forty-three-characters-or-more-1234"

func challenge() string {
	sum := sha256.Sum256([]byte(theVerifier))
	return base64.RawURLEncoding.EncodeToString(sum[:])
}

// words is an error in OAuth's words.
func words(t *testing.T, r reply) string {
	t.Helper()
	m := r.json(t)
	code, _ := m["error"].(string)
	says, _ := m["error_description"].(string)
	return code + ": " + says
}

// TestACodeIsForOneUse holds a code to its client, address, proof, minute and one use, in the published words; a second use ends what
// came of the first.
func TestACodeIsForOneUse(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at)
	c := browser()
	h.signIn(c, "clinician")
	h.client(oauth.Client{ID: "other", Name: "Another", Kind: oauth.Public, Realm: access.Professionals, Redirects: []string{back}, Trusted: true, Scopes: []string{"openid"}})
	for name, x := range map[string]struct {
		form   url.Values
		status int
		says   string
	}{
		"no client":         {change("", "client_id", ""), 401, "invalid_request: client_id is missing"},
		"unknown client":    {change("", "client_id", "x"), 401, "invalid_client: client_id or client_secret is invalid"},
		"no secret":         {change("", "client_secret", ""), 401, "invalid_request: client_secret is missing"},
		"wrong secret":      {change("", "client_secret", "x"), 401, "invalid_client: client_id or client_secret is invalid"},
		"no address":        {change("", "redirect_uri", ""), 400, "invalid_request: redirect_uri is missing"},
		"another address":   {change("", "redirect_uri", back+"/"), 400, "invalid_request: redirect_uri is invalid"},
		"another client":    {change("", "client_id", "other", "client_secret", ""), 400, "invalid_grant: authorization_code is invalid"},
		"a proof unasked":   {change("", "code_verifier", theVerifier), 400, "invalid_grant: code_verifier is invalid - there was no code_challenge"},
		"no code":           {change(""), 400, "invalid_request: authorization_code is missing"},
		"a code of nobody":  {change("invalid"), 400, "invalid_grant: authorization_code is invalid"},
		"too late":          {change(""), 400, "invalid_grant: authorization_code is invalid"},
		"the other secret":  {change("", "client_assertion", "a.b.c"), 400, "invalid_request: a client shows who it is in one way only"},
		"refresh, no token": {url.Values{"grant_type": {"refresh_token"}, "client_id": {signin.DemoApp}, "client_secret": {signin.DemoSecret}}, 400, "invalid_request: refresh_token is missing"},
	} {
		t.Run(name, func(t *testing.T) {
			if x.form.Get("code") == "" && name != "no code" && x.form.Get("grant_type") == "authorization_code" {
				x.form.Set("code", h.code(c, ask()))
			}
			if name == "too late" {
				at.Advance(61 * time.Second)
			}
			if got := h.token(x.form); got.status != x.status || words(t, got) != x.says {
				t.Errorf("%d %s\nwant %d %s", got.status, got.body, x.status, x.says)
			}
		})
	}
	code := h.code(c, ask())
	first := h.token(change(code))
	m := first.json(t)
	bearer, _ := m["access_token"].(string)
	refresh, _ := m["refresh_token"].(string)
	read := func() int {
		return h.call(http.DefaultClient, "GET", "/FHIR/R4/Patient/"+ownNumber, nil, "Authorization: Bearer "+bearer).status
	}
	if first.status != 200 || read() != 200 {
		t.Fatalf("the first use: %d %s", first.status, first.body)
	}
	if got := h.token(change(code)); got.status != 400 || words(t, got) != "invalid_grant: authorization_code is invalid" {
		t.Errorf("the second use: %d %s", got.status, got.body)
	}
	if got := read(); got != 401 {
		t.Errorf("the access token outlives a replayed code: %d", got)
	}
	if got := h.refresh(refresh); got.status != 400 {
		t.Errorf("the refresh token outlives a replayed code: %d", got.status)
	}
}

func (h *house) refresh(token string, pairs ...string) reply {
	return h.token(with(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {token}, "client_id": {signin.DemoApp}, "client_secret": {signin.DemoSecret}}, pairs...))
}

// TestARefreshTokenIsForOneUse ends the whole family when one of it is used twice, after an hour of nothing, and when the person's
// rights change.
func TestARefreshTokenIsForOneUse(t *testing.T) {
	t.Parallel()
	at := clock.NewFake(time.Now())
	h := open(t, at)
	c := browser()
	h.signIn(c, "clinician")
	family := func() (bearer, refresh string) {
		m := h.token(change(h.code(c, ask()))).json(t)
		bearer, _ = m["access_token"].(string)
		refresh, _ = m["refresh_token"].(string)
		return bearer, refresh
	}
	_, stolen := family()
	m := h.refresh(stolen).json(t)
	bearer, _ := m["access_token"].(string)
	second, _ := m["refresh_token"].(string)
	if got := h.refresh(stolen); got.status != 400 || words(t, got) != "invalid_grant: refresh_token is invalid" {
		t.Errorf("the second use: %d %s", got.status, got.body)
	}
	if got := h.refresh(second); got.status != 400 {
		t.Errorf("the rightful one goes on after a theft: %d", got.status)
	}
	if got := h.call(http.DefaultClient, "GET", "/FHIR/R4/Patient/"+ownNumber, nil, "Authorization: Bearer "+bearer); got.status != 401 {
		t.Errorf("the access token goes on after a theft: %d", got.status)
	}
	_, wide := family()
	if got := h.refresh(wide, "scope", "system/*.cruds"); got.status != 400 || !strings.HasPrefix(words(t, got), "invalid_scope") {
		t.Errorf("a wider scope: %d %s", got.status, got.body)
	}
	if m := h.refresh(wide, "scope", "user/Patient.r").json(t); m["scope"] != "user/Patient.r" {
		t.Errorf("a narrower scope: %v", m)
	}
	_, changed := family()
	if err := h.node.Kernel().Gate.RevokeUser(t.Context(), h.clerk(), "clinician"); err != nil {
		t.Fatal(err)
	}
	if got := h.refresh(changed); got.status != 400 || !strings.HasPrefix(words(t, got), "invalid_grant") {
		t.Errorf("the person's rights changed: %d %s", got.status, got.body)
	}
	_, late := family()
	at.Advance(61 * time.Minute)
	if got := h.refresh(late); got.status != 400 {
		t.Errorf("after an hour: %d", got.status)
	}
}

// TestPKCEIsHeldTo has public clients use it, takes S256 alone, and lets nobody talk a client out of it.
func TestPKCEIsHeldTo(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	h.client(oauth.Client{ID: "phone", Name: "A phone app", Kind: oauth.Public, Realm: access.Professionals, Redirects: []string{back}, Trusted: true, Scopes: []string{"openid", "user/*.rs"}})
	c := browser()
	h.signIn(c, "clinician")
	public := func(pairs ...string) url.Values {
		return ask(append([]string{"client_id", "phone", "code_challenge", challenge(), "code_challenge_method", "S256"}, pairs...)...)
	}
	redeem := func(q url.Values, pairs ...string) reply {
		return h.token(change(h.code(c, q), append([]string{"client_id", "phone", "client_secret", "", "code_verifier", theVerifier}, pairs...)...))
	}
	for name, x := range map[string]struct {
		q    url.Values
		says string
	}{
		"a public client without":   {public("code_challenge", "", "code_challenge_method", ""), "code_challenge is missing - a public client must use PKCE"},
		"plain":                     {public("code_challenge_method", "plain"), "code_challenge_method is invalid - must be 'S256'"},
		"no method, which is plain": {public("code_challenge_method", ""), "code_challenge_method is invalid - must be 'S256'"},
		"a method alone":            {public("code_challenge", ""), "code_challenge is missing"},
		"a challenge of nothing":    {public("code_challenge", "x"), "code_challenge is invalid"},
	} {
		_, v := h.call(c, "GET", oauth.PathAuthorize+"?"+x.q.Encode(), nil).location(t)
		if v.Get("error") != "invalid_request" || v.Get("error_description") != x.says || v.Get("state") != "s1" {
			t.Errorf("%s: %v", name, v)
		}
	}
	if got := redeem(public()); got.status != 200 {
		t.Errorf("with its proof: %d %s", got.status, got.body)
	}
	if got := redeem(public(), "code_verifier", ""); got.status != 400 || words(t, got) != "invalid_request: code_verifier is missing" {
		t.Errorf("without its proof: %d %s", got.status, got.body)
	}
	if got := redeem(public(), "code_verifier", strings.ToUpper(theVerifier)); got.status != 400 || words(t, got) != "invalid_grant: code_verifier is invalid" {
		t.Errorf("with another's: %d %s", got.status, got.body)
	}
}

// TestCodesGoToTheClientAlone tries addresses that nearly match: not one gets a code, or an error of ours to read.
func TestCodesGoToTheClientAlone(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	c := browser()
	h.signIn(c, "clinician")
	for _, near := range []string{back + "/", back + "?x=1", back + "#f", back + "/../callback", "https://example.org/Callback", "https://EXAMPLE.org/callback", "http://example.org/callback",
		"https://user@example.org/callback", "https://example.org.evil.example/callback", "https://evil.example/example.org/callback", "https://sub.example.org/callback",
		"https://example.org:443/callback", "https://example.org/callbac%6b", "https://example.org/%2e/callback", "https://example.org\\@evil.example/callback", "https://example.org/callback%00",
		"https://example.org//callback", " " + back, back + " ", "//example.org/callback", "javascript:alert(1)", "http://127.0.0.1.evil.example/callback", "http://127.0.0.1:80@evil.example/callback",
		"https://127.0.0.1:9/callback", "http://127.0.0.1:9/callback/", "http://localhost:9/callback", "http://127.0.0.2:9/callback"} {
		got := h.call(c, "GET", oauth.PathAuthorize+"?"+ask("redirect_uri", near).Encode(), nil)
		if got.status != 400 || got.header.Get("Location") != "" || words(t, got) != "invalid_request: redirect_uri is invalid" {
			t.Errorf("%q: %d to %q", near, got.status, got.header.Get("Location"))
		}
	}
	for _, own := range []string{back, "http://127.0.0.1:54321/callback", "http://127.0.0.1/callback", "http://localhost/callback"} {
		if to, v := h.call(c, "GET", oauth.PathAuthorize+"?"+ask("redirect_uri", own).Encode(), nil).location(t); to != own || v.Get("code") == "" {
			t.Errorf("%q: to %s with %v", own, to, v)
		}
	}
	for name, x := range map[string]struct {
		q      url.Values
		status int
		says   string
	}{
		"no client":      {ask("client_id", ""), 401, "invalid_request: client_id is missing"},
		"unknown client": {ask("client_id", "invalid"), 401, "invalid_request: client_id is invalid"},
		"no address":     {ask("redirect_uri", ""), 400, "invalid_request: redirect_uri is missing"},
		"twice":          {url.Values{"client_id": {signin.DemoApp, "other"}}, 400, "invalid_request: the parameter client_id is there more than once"},
	} {
		got := h.call(c, "GET", oauth.PathAuthorize+"?"+x.q.Encode(), nil)
		if got.status != x.status || words(t, got) != x.says {
			t.Errorf("%s: %d %s", name, got.status, got.body)
		}
		page := h.call(c, "GET", oauth.PathAuthorize+"?"+x.q.Encode(), nil, "Accept: text/html")
		if page.status/100 != 4 || !strings.Contains(page.header.Get("Content-Type"), "text/html") || page.header.Get("Location") != "" {
			t.Errorf("%s, for a person: %d %s", name, page.status, page.header.Get("Content-Type"))
		}
	}
	for _, bad := range []string{"https://app.example/*", "https://app.example/a#b", "http://app.example/", "https://u:p@app.example/", "ftp://app.example/", "app:/x", "/callback", "https://app.example/a/../b", "https://app.example/%2E%2e/b", "javascript:alert(1)"} {
		err := h.tokens().PutClient(t.Context(), h.clerk(), oauth.Client{ID: "x", Name: "x", Kind: oauth.Public, Realm: access.Patients, Redirects: []string{bad}}, "test")
		if err == nil {
			t.Errorf("a client with the address %q is registered", bad)
		}
	}
}

// TestWhatGoesWrongIsToldToTheClient sends errors back with state and iss, once the address is known to be the client's.
func TestWhatGoesWrongIsToldToTheClient(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	c := browser()
	for name, x := range map[string]struct {
		q    url.Values
		code string
	}{
		"no response_type":      {ask("response_type", ""), "invalid_request"},
		"the implicit grant":    {ask("response_type", "token"), "unsupported_response_type"},
		"the hybrid flow":       {ask("response_type", "code id_token"), "unsupported_response_type"},
		"answer in a fragment":  {ask("response_mode", "fragment"), "invalid_request"},
		"no scope it may have":  {ask("scope", "system/*.cruds"), "invalid_scope"},
		"a request object":      {ask("request", "e30.e30."), "request_not_supported"},
		"silent, not signed in": {ask("prompt", "none"), "login_required"},
		"none and more":         {ask("prompt", "none login"), "invalid_request"},
		"another node's record": {ask("aud", "https://elsewhere.example/FHIR/R4"), "invalid_request"},
		"max_age is no number":  {ask("max_age", "soon"), "invalid_request"},
	} {
		got := h.call(c, "GET", oauth.PathAuthorize+"?"+x.q.Encode(), nil)
		to, v := got.location(t)
		if got.status != 302 || to != back || v.Get("error") != x.code || v.Get("state") != "s1" || v.Get("iss") != h.url || v.Get("code") != "" {
			t.Errorf("%s: %d to %s with %v", name, got.status, to, v)
		}
	}
	posted := h.call(c, "POST", oauth.PathAuthorize, ask(), "Origin: https://example.org", "Sec-Fetch-Site: cross-site")
	if posted.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a script of another site can read the answer to a request that it posts")
	}
	if to, v := posted.location(t); posted.status != 303 || to != oauth.PathAuthorize || v.Get("client_id") != signin.DemoApp {
		t.Errorf("a request that is posted: %d to %s", posted.status, to)
	}
	if got := h.call(c, "GET", oauth.PathAuthorize+"?"+ask().Encode(), nil, "Origin: https://example.org"); got.header.Get("Access-Control-Allow-Origin") != "" {
		t.Error("a script of another site can read the authorisation endpoint")
	}
	h.signIn(c, "clinician")
	if _, v := h.call(c, "GET", oauth.PathAuthorize+"?"+ask("prompt", "none").Encode(), nil).location(t); v.Get("code") == "" {
		t.Errorf("silent, signed in: %v", v)
	}
	got := h.call(c, "GET", oauth.PathAuthorize+"?"+ask("max_age", "0").Encode(), nil)
	if to, _ := got.location(t); !strings.HasSuffix(to, "/sign-in") {
		t.Errorf("signed in longer ago than the client takes: to %s", to)
	}
}

// TestNobodyTellsANodeItsAddress: headers that a proxy, or anybody, may add change neither what is published nor where anybody is sent.
func TestNobodyTellsANodeItsAddress(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	lies := []string{"Host: evil.example", "X-Forwarded-Host: evil.example", "X-Forwarded-Proto: https", "Forwarded: host=evil.example;proto=https", "X-Original-URL: /oauth2/jwks"}
	for _, path := range []string{"/.well-known/openid-configuration", "/FHIR/R4/.well-known/smart-configuration"} {
		if got := h.call(http.DefaultClient, "GET", path, nil, lies...); got.status != 200 || strings.Contains(got.body, "evil") || got.json(t)["issuer"] != h.url {
			t.Errorf("%s: %d %s", path, got.status, got.body)
		}
	}
	c := browser()
	h.signIn(c, "clinician")
	if to, v := h.call(c, "GET", oauth.PathAuthorize+"?"+ask().Encode(), nil, lies...).location(t); strings.Contains(to, "evil") || v.Get("iss") != "" && v.Get("iss") != h.url {
		t.Errorf("sent to %s with %v", to, v)
	}
}
