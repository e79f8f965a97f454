package signin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/signin/credential"
	"github.com/openspine/openspine/signin/oauth"
	"github.com/openspine/openspine/web/webtest"
)

// TestAWorkingDayInABrowser is one, with a passkey: somebody chooses in which role they come in, lets a program use their account or not, sees where they
// are signed in, and leaves everywhere at once.
func TestAWorkingDayInABrowser(t *testing.T) {
	t.Parallel()
	h := open(t, nil, live)
	b := webtest.NewBrowser(t)
	gate := h.node.Kernel().Gate
	second, err := gate.GiveRole(t.Context(), h.clerk(), "clinician", access.Profile{Role: access.PrivacyOfficer, Organisation: practice}, "test")
	if err != nil {
		t.Fatal(err)
	}
	program := h.client(oauth.Client{ID: "letters", Name: "Letter writer", Kind: oauth.Public, Realm: access.Professionals, Redirects: []string{h.named() + "/sign-in/sessions"}, Scopes: []string{"openid", "profile", "user/Observation.rs"}})
	p := b.Open(t, h.link("clinician"))
	device(t, p)
	p.Submit("form[data-passkey] button")
	p.Sees("Your recovery codes")
	if err := h.node.Door().Everywhere(t.Context(), h.clerk(), "clinician"); err != nil {
		t.Fatal(err)
	}

	// They were signed out; they are told so, and choose a role.
	p.Go(h.named() + "/sign-in?to=/sign-in/sessions")
	p.Sees("You were signed out from another device")
	p.Axe()
	for range credential.AddressTries { // somebody in the same building guesses; the user came in from there before
		h.call(http.DefaultClient, "POST", "/sign-in/recover", url.Values{"user": {"nobody"}, "code": {"guess"}})
	}
	for range credential.AddressTries - credential.UserTries {
		h.call(http.DefaultClient, "GET", "/sign-in/enrol?code=guess", nil)
	}
	if got := h.call(http.DefaultClient, "GET", "/sign-in/enrol?code=guess", nil); got.status != 429 {
		t.Errorf("the address is not locked: %d", got.status)
	}
	p.Submit("form[data-passkey] button")
	p.Sees("In which role are you working now?", "Privacy officer", "Riverside Surgery")
	p.Axe()
	p.Screenshot("roles.png")
	p.Click(`input[name="role"][value="` + second.ID + `"]`)
	p.Submit(`form[action="/sign-in/role"] button`)
	p.Sees("My devices and sessions")

	// A program asks; they say no, and then yes.
	q := url.Values{"response_type": {"code"}, "client_id": {program.ID}, "redirect_uri": program.Redirects, "scope": {"openid user/Observation.rs"}, "state": {"s1"},
		"code_challenge": {challenge()}, "code_challenge_method": {"S256"}}
	asks := h.named() + oauth.PathAuthorize + "?" + q.Encode()
	p.Go(asks)
	p.Sees("Letter writer wants to use your account", "Observation")
	p.Axe()
	p.Screenshot("consent.png")
	p.Submit(`button[name="answer"][value="no"]`)
	if v := address(p); v.Get("error") != "access_denied" || v.Get("state") != "s1" || v.Get("code") != "" {
		t.Errorf("no: %v", v)
	}
	p.Go(asks)
	p.Submit(`button[name="answer"][value="yes"]`)
	if v := address(p); v.Get("code") == "" || v.Get("iss") == "" || v.Get("state") != "s1" {
		t.Errorf("yes: %v", v)
	}
	p.Sees("Programs that use your account", "Letter writer")
	if grants, err := h.tokens().GrantsOf(t.Context(), "clinician"); err != nil || len(grants) != 1 || grants[0].Profile != second.ID || grants[0].Assurance != "AAL3" {
		t.Errorf("what the program was given: %+v %v", grants, err)
	}

	// They leave everywhere: this browser, another one and the program.
	other, err := gate.SignIn(t.Context(), "clinician", "recovery code", "")
	if err != nil {
		t.Fatal(err)
	}
	elsewhere := b.Open(t, h.url+"/sign-in/sessions", webtest.Cookie("openspine", other.Secret), webtest.Phone())
	elsewhere.Sees("This is where you are now")
	elsewhere.NoSideways()
	p.Submit(`button[name="everywhere"]`)
	p.Sees("Sign in")
	elsewhere.Go(h.url + "/sign-in/sessions")
	elsewhere.Sees("You were signed out from another device")
	elsewhere.NoSideways()
	elsewhere.Screenshot("signed-out-phone.png")
	left, err := gate.Sessions(t.Context(), "clinician")
	if err != nil || len(left) != 0 {
		t.Errorf("sessions that are left: %+v %v", left, err)
	}
	if grants, err := h.tokens().GrantsOf(t.Context(), "clinician"); err != nil || len(grants) != 0 {
		t.Errorf("programs that go on: %+v %v", grants, err)
	}
}

// address is the query of the page that a browser shows.
func address(p *webtest.Page) url.Values {
	var query string
	p.Eval("location.search", &query)
	v, err := url.ParseQuery(strings.TrimPrefix(query, "?"))
	if err != nil {
		return nil
	}
	return v
}
