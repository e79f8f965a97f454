package signin_test

import (
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/openspine/openspine/signin"
	"github.com/openspine/openspine/signin/oauth"
)

const back = "https://example.org/callback"

// ask is a lawful authorisation request of the demonstration's app.
func ask(pairs ...string) url.Values {
	return with(url.Values{"response_type": {"code"}, "client_id": {signin.DemoApp}, "redirect_uri": {back}, "scope": {"openid profile"}, "state": {"s1"}, "nonce": {"n1"}}, pairs...)
}

// change is the token request that goes with ask.
func change(code string, pairs ...string) url.Values {
	return with(url.Values{"grant_type": {"authorization_code"}, "code": {code}, "redirect_uri": {back}, "client_id": {signin.DemoApp}, "client_secret": {signin.DemoSecret}}, pairs...)
}

// code is a code for a user who is signed in to c.
func (h *house) code(c *http.Client, q url.Values) string {
	h.t.Helper()
	got := h.call(c, "GET", oauth.PathAuthorize+"?"+q.Encode(), nil)
	to, v := got.location(h.t)
	if got.status != 302 || v.Get("code") == "" {
		h.t.Fatalf("no code: %d to %s with %v", got.status, to, v)
	}
	return v.Get("code")
}

// TestSomebodySignsInToAProgram is the whole way: asked, sent to sign in, back with a code, tokens, a record, who they are, refreshed.
func TestSomebodySignsInToAProgram(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	c := browser()
	got := h.call(c, "GET", oauth.PathAuthorize+"?"+ask().Encode(), nil)
	door, v := got.location(t)
	if got.status != 303 || !strings.HasSuffix(door, "/sign-in") {
		t.Fatalf("somebody who is not signed in: %d to %s", got.status, door)
	}
	got = h.call(c, "POST", "/sign-in", url.Values{"user": {"clinician"}, "to": {v.Get("to")}})
	got = h.call(c, "GET", got.header.Get("Location"), nil)
	to, v := got.location(t)
	if got.status != 302 || to != back || v.Get("state") != "s1" || v.Get("iss") != h.url {
		t.Fatalf("the way back: %d to %s with %v", got.status, to, v)
	}
	tokens := h.token(change(v.Get("code")))
	m := tokens.json(t)
	if tokens.status != 200 || m["token_type"] != "Bearer" || m["expires_in"] != 600.0 || m["refresh_count"] != "0" || tokens.header.Get("Cache-Control") != "no-store" {
		t.Fatalf("the token answer: %d %v %s", tokens.status, m, tokens.header)
	}
	access, _ := m["access_token"].(string)
	if got := h.call(http.DefaultClient, "GET", "/FHIR/R4/Patient/"+ownNumber, nil, "Authorization: Bearer "+access); got.status != 200 {
		t.Errorf("the record: %d %s", got.status, got.body)
	}
	who := h.call(http.DefaultClient, "GET", oauth.PathUserinfo, nil, "Authorization: Bearer "+access)
	if m := who.json(t); who.status != 200 || m["sub"] != "clinician" || m["name"] != "Test clinician" {
		t.Errorf("who they are: %d %v", who.status, m)
	}
	refresh, _ := m["refresh_token"].(string)
	again := h.token(url.Values{"grant_type": {"refresh_token"}, "refresh_token": {refresh}, "client_id": {signin.DemoApp}, "client_secret": {signin.DemoSecret}})
	if m := again.json(t); again.status != 200 || m["refresh_count"] != "1" || m["refresh_token"] == refresh {
		t.Errorf("refreshed: %d %v", again.status, m)
	}
}

var action = regexp.MustCompile(`<form id="kc-form-login"[^>]* action="([^"]+)"`)

// TestAClientTestSignsInByTyping is how the tests of published clients sign in.
func TestAClientTestSignsInByTyping(t *testing.T) {
	t.Parallel()
	h := open(t, nil)
	c := browser()
	got := h.call(c, "GET", oauth.Mock+"/authorize?"+ask().Encode(), nil)
	form := h.call(c, "GET", got.header.Get("Location"), nil)
	found := action.FindStringSubmatch(form.body)
	if found == nil {
		t.Fatalf("%d: no form to post to", form.status)
	}
	address := strings.ReplaceAll(found[1], "&amp;", "&")
	if bad := h.call(c, "POST", address, url.Values{"username": {"nobody"}}); bad.status != 400 {
		t.Errorf("somebody unknown: %d", bad.status)
	}
	if bad := h.call(c, "POST", address, url.Values{"username": {"patient"}}); bad.status != 400 {
		t.Errorf("a patient at a door for professionals: %d", bad.status)
	}
	got = h.call(c, "POST", address, url.Values{"username": {"clinician"}})
	_, v := got.location(t)
	tokens := h.call(http.DefaultClient, "POST", oauth.Mock+"/token", change(v.Get("code")))
	if got.status != 302 || tokens.status != 200 {
		t.Fatalf("%d %v, then %d %s", got.status, v, tokens.status, tokens.body)
	}
}
