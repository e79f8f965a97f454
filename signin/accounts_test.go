package signin_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/signin/provider"
	"github.com/openspine/openspine/web/webtest"
)

// trustingHere is a demonstration that trusts providers too: whoever is in it signs in with one click.
func trustingHere(settings ...provider.Settings) houseOption {
	return func(c *node.Config) { c.Providers = settings }
}

// TestAnAccountElsewhereIsKeptByPage: expected with a reason, replaced, listed with what came of it, and removed with its sessions; each
// is in the user's history. What was typed stays beside what was wrong with it, and nobody takes another user's identifier.
func TestAnAccountElsewhereIsKeptByPage(t *testing.T) {
	t.Parallel()
	f := fake(t)
	h := office(t, trustingHere(f.settings("far")))
	boss, reg := browser(), browser()
	h.signIn(boss, "boss")
	h.signIn(reg, "reg")
	const at = "/admin/users/clinician"
	for name, x := range map[string]struct{ provider, identifier, reason, says string }{
		"no provider":   {"none", "some-one", "joins", "Choose a provider"},
		"no identifier": {"far", " ", "joins", "Enter what the provider calls the user"},
		"too long":      {"far", strings.Repeat("9", provider.IdentifierBytes+1), "joins", "at most 200 letters"},
		"no reason":     {"far", "some-one", " ", "Say why"},
	} {
		got := h.sendForm(reg, at+"/elsewhere", "provider", x.provider, "identifier", x.identifier, "reason", x.reason)
		if got.status != 422 || !strings.Contains(got.body, x.says) || !strings.Contains(got.body, `value="`+strings.TrimSpace(x.identifier)+`"`) {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	for _, identifier := range []string{"mistyped", "someone"} {
		if got := h.sendForm(reg, at+"/elsewhere", "provider", "far", "identifier", " "+identifier+" ", "reason", "seen on her card"); got.status != 303 {
			t.Fatalf("expecting %s: %d %s", identifier, got.status, got.body)
		}
	}
	page := h.call(reg, "GET", at+"?done=expected", nil)
	for _, want := range []string{"Accounts elsewhere", "Far away", "someone", "Not yet signed in there", "The user is expected", "seen on her card", "Account elsewhere expected", "Olwen Sato"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page does not say %q", want)
		}
	}
	if got := f.arrive(h, browser(), claims{"sub": "other", "nhsid_useruid": "mistyped"}); got.status != 403 {
		t.Errorf("the identifier that was replaced: %d", got.status)
	}
	if got := h.sendForm(reg, "/admin/users/clerk/elsewhere", "provider", "far", "identifier", "someone", "reason", "hers too"); got.status != 422 || !strings.Contains(got.body, `id="identifier-error"`) || !strings.Contains(got.body, "Another user is expected") {
		t.Errorf("another user's identifier: %d", got.status)
	}
	c := browser()
	if got := f.arrive(h, c, nil); got.status != 303 {
		t.Fatalf("signing in there: %d %s", got.status, got.body)
	}
	if got := h.sendForm(reg, at+"/elsewhere", "provider", "far", "identifier", "third", "reason", "another card"); got.status != 422 || !strings.Contains(got.body, `id="provider-error"`) || !strings.Contains(got.body, "stands for this user already") {
		t.Errorf("an account that is linked: %d", got.status)
	}
	if page := h.call(reg, "GET", at, nil); !strings.Contains(page.body, "By the identifier that was expected") {
		t.Error("the page does not say how the account was linked")
	}
	h.signIn(browser(), "clinician") // a session that did not come of it
	remove := at + "/do/unlink?" + url.Values{"role": {f.server.URL}}.Encode()
	if got := h.call(reg, "GET", remove, nil); got.status != 200 || !strings.Contains(got.body, "1 session of theirs") || !strings.Contains(got.body, "Far away") {
		t.Errorf("what would end: %d %s", got.status, got.body)
	}
	if got := h.sendForm(reg, remove, "reason", ""); got.status != 422 || len(h.sessions("clinician")) != 2 {
		t.Errorf("removing without a reason: %d", got.status)
	}
	if got := h.sendForm(reg, remove, "reason", "lost her card"); got.status != 303 {
		t.Fatalf("removing: %d %s", got.status, got.body)
	}
	if list := h.sessions("clinician"); len(list) != 1 || list[0].Method == "with far" {
		t.Errorf("the sessions that go on: %+v", list)
	}
	if got := f.arrive(h, browser(), nil); got.status != 403 {
		t.Errorf("signing in there afterwards: %d", got.status)
	}
	page = h.call(boss, "GET", at+"?done=unlink", nil)
	for _, want := range []string{"lost her card", "Account elsewhere removed", "none is expected", "the sessions that came of it have ended"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the page does not say %q afterwards", want)
		}
	}
	for path, want := range map[string]int{remove: 404, "/admin/users/patient/elsewhere": 404, "/admin/users/nobody/elsewhere": 404} {
		if got := h.call(boss, "GET", path, nil); got.status != want {
			t.Errorf("GET %s: %d, want %d", path, got.status, want)
		}
	}
}

// TestWhoMayNotKeepAnAccountElsewhere: nobody their own, no registrar that of somebody who works elsewhere too, and nobody at all where no
// provider is trusted.
func TestWhoMayNotKeepAnAccountElsewhere(t *testing.T) {
	t.Parallel()
	f := fake(t)
	h := office(t, trustingHere(f.settings("far")))
	if _, err := h.node.Kernel().Gate.GiveRole(t.Context(), h.clerk(), "clinician", access.Profile{Role: access.Auditor, Organisation: national}, "test"); err != nil {
		t.Fatal(err)
	}
	h.expect("far", "pharma", "pharmacist")
	try := func(user, of, path string, pairs ...string) int {
		c := browser()
		h.signIn(c, user)
		return h.sendForm(c, "/admin/users/"+of+path, append(pairs, "reason", "x")...).status
	}
	expecting := []string{"provider", "far", "identifier", "mine"}
	if got := try("reg", "reg", "/elsewhere", expecting...); got != 403 {
		t.Errorf("their own: %d", got)
	}
	if got := try("reg", "clinician", "/elsewhere", expecting...); got != 403 {
		t.Errorf("somebody who works elsewhere too: %d", got)
	}
	c := browser()
	h.signIn(c, "clinician")
	if got := h.call(c, "GET", "/admin/users/pharmacist/elsewhere", nil); got.status != 403 {
		t.Errorf("a clinician: %d", got.status)
	}
	h.signIn(c, "reg")
	if page := h.call(c, "GET", "/admin/users/clinician", nil); strings.Contains(page.body, "/clinician/elsewhere") {
		t.Error("a page offers what is refused")
	}
	alone := office(t)
	c = browser()
	alone.signIn(c, "boss")
	if page := alone.call(c, "GET", "/admin/users/clinician", nil); !strings.Contains(page.body, "trusts no provider elsewhere") || strings.Contains(page.body, "/clinician/elsewhere") {
		t.Errorf("without a provider: %d", page.status)
	}
	if got := alone.call(c, "GET", "/admin/users/clinician/elsewhere", nil); got.status != 404 {
		t.Errorf("without a provider: %d", got.status)
	}
}

// TestAccountsElsewhereInABrowser looks at the user's page with an account, at the form and at the removal.
func TestAccountsElsewhereInABrowser(t *testing.T) {
	t.Parallel()
	f := fake(t)
	h := office(t, trustingHere(f.settings("far")))
	h.expect("far", "someone", "clinician")
	if got := f.arrive(h, browser(), nil); got.status != 303 {
		t.Fatalf("signing in there: %d", got.status)
	}
	s, err := h.node.Kernel().Gate.SignIn(t.Context(), "boss", "demo", "")
	if err != nil {
		t.Fatal(err)
	}
	visits := []webtest.Visit{{Path: "/admin/users/clinician", Name: "accounts-user", Cookie: s.Secret},
		{Path: "/admin/users/clerk/elsewhere", Name: "accounts-expect", Cookie: s.Secret, Walk: true},
		{Path: "/admin/users/clinician/do/unlink?" + url.Values{"role": {f.server.URL}}.Encode(), Name: "accounts-remove", Cookie: s.Secret}}
	webtest.NewBrowser(t).EveryPage(t, h.url, visits)
}
