package signin_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/web/webtest"
)

// office is a house with a national administrator and a registrar of the practice.
func office(t *testing.T, options ...houseOption) *house {
	h := open(t, nil, options...)
	own := h.clerk()
	for _, m := range []access.Member{
		{User: access.User{Principal: access.Principal{ID: "boss", Name: "Grace Mwangi", Role: access.Administrator, Organisation: national}, Demo: true}},
		{User: access.User{Principal: access.Principal{ID: "reg", Name: "Olwen Sato", Role: access.Registrar, Organisation: practice}, Demo: true}},
	} {
		if _, err := h.node.Kernel().Gate.PutMember(t.Context(), own, m, "test"); err != nil {
			t.Fatal(err)
		}
	}
	return h
}

// sendForm opens a page, fills its form and sends it.
func (h *house) sendForm(c *http.Client, path string, pairs ...string) reply {
	h.t.Helper()
	page := h.call(c, "GET", path, nil)
	if page.status != 200 {
		h.t.Fatalf("GET %s: %d", path, page.status)
	}
	return h.call(c, "POST", path, hidden(page.body, pairs...))
}

// TestARegistrarKeepsTheirOrganisation by page: adds, gives a role, suspends, resets; and sees nobody elsewhere.
func TestARegistrarKeepsTheirOrganisation(t *testing.T) {
	t.Parallel()
	h := office(t)
	c := browser()
	h.signIn(c, "reg")
	if got := h.sendForm(c, "/admin/users/new", "id", "nora", "name", "Nora Quist", "role", "clinician", "job", "R8000"); got.status != 422 || !strings.Contains(got.body, "Say why") || !strings.Contains(got.body, `value="Nora Quist"`) {
		t.Errorf("without a reason: %d", got.status)
	}
	if got := h.sendForm(c, "/admin/users/new", "id", "nora", "name", "Nora Quist", "role", "clinician", "job", "R8000", "organisation", "X26", "reason", "starts today"); got.status != 303 {
		t.Fatalf("adding: %d %s", got.status, got.body)
	}
	m, err := h.node.Kernel().Gate.Member(t.Context(), "nora")
	if err != nil || m.Organisation != practice {
		t.Errorf("the user: %+v %v", m, err)
	}
	if got := h.sendForm(c, "/admin/users/nora/role", "role", "privacy-officer", "reason", "covers for Ann"); got.status != 303 {
		t.Errorf("a further role: %d", got.status)
	}
	reset := h.sendForm(c, "/admin/users/nora/do/reset", "reason", "first sign-in")
	if reset.status != 200 || !strings.Contains(reset.body, "/sign-in/enrol?code=") {
		t.Errorf("a link: %d", reset.status)
	}
	if got := h.sendForm(c, "/admin/users/nora/do/suspend", "reason", "lost her badge"); got.status != 303 {
		t.Errorf("suspending: %d", got.status)
	}
	page := h.call(c, "GET", "/admin/users/nora?done=suspend", nil)
	for _, want := range []string{"The user is suspended", "lost her badge", "Olwen Sato", "Sign-in reset", "Privacy officer"} {
		if !strings.Contains(page.body, want) {
			t.Errorf("the user's page does not say %q", want)
		}
	}
	for path, want := range map[string]int{"/admin/users/boss": 404, "/admin/users/reg/do/end": 200, "/admin/clients": 403, "/admin/keys": 403, "/admin/users?show=odd": 400, "/admin/users/nora/do/odd": 404, "/admin/users?after=odd": 404} {
		if got := h.call(c, "GET", path, nil); got.status != want {
			t.Errorf("GET %s: %d, want %d", path, got.status, want)
		}
	}
	if got := h.sendForm(c, "/admin/users/reg/do/suspend", "reason", "tired"); got.status != 403 {
		t.Errorf("a registrar on themself: %d", got.status)
	}
	file := "id,name,role,organisation\nnora,Nora Quist,clerk,A99901\nzed,Zed Moor,clerk,X26\nyan,Yan Moor,clerk,A99901\n"
	preview := h.sendForm(c, "/admin/users/import", "paste", file)
	if preview.status != 200 || !strings.Contains(preview.body, "1 added, 1 changed or moved, 0 unchanged, 1 refused") {
		t.Errorf("the preview: %d %s", preview.status, preview.body)
	}
	if _, err := h.node.Kernel().Gate.Member(t.Context(), "yan"); err == nil {
		t.Error("the preview added somebody")
	}
	if got := h.call(c, "POST", "/admin/users/import", hidden(preview.body, "reason", "the autumn list")); got.status != 200 || !strings.Contains(got.body, "The changes were made") {
		t.Errorf("the import: %d", got.status)
	}
	if m, err := h.node.Kernel().Gate.Member(t.Context(), "yan"); err != nil || m.Role != access.Clerk {
		t.Errorf("who was imported: %+v %v", m, err)
	}
	if list := h.call(c, "GET", "/admin/users?q=quist&show=all&format=csv", nil); !strings.Contains(list.body, "nora,Nora Quist,clerk,A99901") || strings.Contains(list.body, "boss") {
		t.Errorf("the list: %s", list.body)
	}
}

// TestAnAdministratorKeepsProgramsAndKeys by page, each with a reason; a secret is shown once, and the one before opens nothing.
func TestAnAdministratorKeepsProgramsAndKeys(t *testing.T) {
	t.Parallel()
	h := office(t)
	c := browser()
	h.signIn(c, "boss")
	form := []string{"client-id", "letters", "client-name", "Letters", "kind", "confidential", "realm", "professionals", "redirects", "https://letters.example/cb", "scopes", "openid"}
	if got := h.sendForm(c, "/admin/clients/new", append(form, "redirects", "https://letters.example/*", "reason", "new")...); got.status != 422 || !strings.Contains(got.body, "wildcard") {
		t.Errorf("a wildcard: %d", got.status)
	}
	made := h.sendForm(c, "/admin/clients/new", append(form, "reason", "new")...)
	first := between(made.body, `id="secret">`, "<")
	if made.status != 200 || len(first) < 40 {
		t.Fatalf("registering: %d %s", made.status, made.body)
	}
	try := func(secret string) int {
		return h.token(url.Values{"grant_type": {"authorization_code"}, "code": {"x"}, "client_id": {"letters"}, "client_secret": {secret}}).status
	}
	if got := try(first); got != 400 {
		t.Errorf("with the secret: %d", got)
	}
	again := h.sendForm(c, "/admin/clients/letters/do/secret", "reason", "it was mailed")
	if second := between(again.body, `id="secret">`, "<"); second == "" || try(second) != 400 || try(first) != 401 {
		t.Errorf("the secrets: new %d, old %d", try(second), try(first))
	}
	for _, act := range []string{"suspend-client", "restore-client", "end-client"} {
		if got := h.sendForm(c, "/admin/clients/letters/do/"+act, "reason", "trial"); got.status != 303 {
			t.Errorf("%s: %d", act, got.status)
		}
	}
	if got := h.call(c, "GET", "/admin/clients/letters", nil); !strings.Contains(got.body, "Suspended") || !strings.Contains(got.body, "it was mailed") || strings.Contains(got.body, first) {
		t.Errorf("its history: %d", got.status)
	}
	if got := h.call(c, "GET", "/admin/keys", nil); strings.Contains(got.body, "/admin/keys/retire") {
		t.Error("the only key can be retired")
	}
	if got := h.sendForm(c, "/admin/keys/rotate-now", "reason", "the yearly change"); got.status != 303 {
		t.Errorf("a new key: %d", got.status)
	}
	if got := h.call(c, "GET", "/admin/keys", nil); !strings.Contains(got.body, "/admin/keys/retire") {
		t.Error("of two keys neither can be retired")
	}
	keys, err := access.Keys(h.data)
	if err != nil || len(keys) != 2 {
		t.Fatalf("the keys: %+v %v", keys, err)
	}
	if got := h.sendForm(c, "/admin/keys/retire?key="+keys[0].ID, "reason", "seen by others"); got.status != 303 {
		t.Errorf("retiring: %d %s", got.status, got.body)
	}
	if got := h.call(c, "GET", "/admin/keys", nil); !strings.Contains(got.body, "seen by others") || !strings.Contains(got.body, "Grace Mwangi") {
		t.Errorf("the keys' history: %d", got.status)
	}
}

// TestAPageOffersNothingThatIsRefused: a registrar and somebody who works elsewhere too.
func TestAPageOffersNothingThatIsRefused(t *testing.T) {
	t.Parallel()
	h := office(t)
	gate := h.node.Kernel().Gate
	if _, err := gate.GiveRole(t.Context(), h.clerk(), "clinician", access.Profile{Role: access.Auditor, Organisation: national}, "test"); err != nil {
		t.Fatal(err)
	}
	if _, err := gate.GiveRole(t.Context(), h.clerk(), "clinician", access.Profile{Role: access.PrivacyOfficer, Organisation: practice}, "test"); err != nil {
		t.Fatal(err)
	}
	for user, want := range map[string]int{"reg": 200, "boss": 200} {
		c := browser()
		h.signIn(c, user)
		page := h.call(c, "GET", "/admin/users/clinician", nil)
		ends := 1 // the role at the practice
		if user == "boss" {
			ends = 2
		}
		if page.status != want || strings.Count(page.body, "/do/end-role") != ends || strings.Contains(page.body, "/do/suspend") != (user == "boss") ||
			strings.Contains(page.body, "This person works elsewhere too") != (user == "reg") || !strings.Contains(page.body, "/clinician/role") || !strings.Contains(page.body, "/do/review") {
			t.Errorf("what %s is offered: %d, %d roles to end", user, page.status, strings.Count(page.body, "/do/end-role"))
		}
	}
}

// TestAMoverIsToldWhyTheyAreSignedOut at the page where they sign in again.
func TestAMoverIsToldWhyTheyAreSignedOut(t *testing.T) {
	t.Parallel()
	h := office(t)
	c := browser()
	h.signIn(c, "clinician")
	m, err := h.node.Kernel().Gate.Member(t.Context(), "clinician")
	if err != nil {
		t.Fatal(err)
	}
	m.Role = access.Clerk
	if _, err := h.node.Kernel().Gate.PutMember(t.Context(), h.clerk(), m, "a new post"); err != nil {
		t.Fatal(err)
	}
	got := h.call(c, "GET", "/sign-in/sessions", nil, "Accept: text/html")
	to, q := got.location(t)
	if got.status != 303 || to != "/sign-in" || q.Get("to") != "/sign-in/sessions" {
		t.Fatalf("the page that was open: %d %s", got.status, to)
	}
	for _, path := range []string{"/sign-in?to=/sign-in/sessions", "/sign-in/passkey"} {
		if got := h.call(c, "GET", path, nil); !strings.Contains(got.body, "what you may do here has changed") {
			t.Errorf("%s does not say why: %d", path, got.status)
		}
	}
	h.signIn(c, "clinician")
	if got := h.call(c, "GET", "/sign-in", nil); strings.Contains(got.body, "has changed") {
		t.Error("it is said after signing in again")
	}
}

func between(s, from, to string) string {
	_, s, _ = strings.Cut(s, from)
	s, _, _ = strings.Cut(s, to)
	return s
}

// TestAdministrationInABrowser looks at each page at a desk and on a phone, by keyboard and without scripts.
func TestAdministrationInABrowser(t *testing.T) {
	t.Parallel()
	h := office(t)
	s, err := h.node.Kernel().Gate.SignIn(t.Context(), "boss", "demo", "")
	if err != nil {
		t.Fatal(err)
	}
	var visits []webtest.Visit
	walked := map[string]bool{"/admin/users": true, "/admin/users/clinician": true, "/admin/users/new": true, "/admin/clients/demo-app": true, "/admin/clients/new": true, "/admin/keys": true}
	for _, path := range []string{"/admin/users", "/admin/users/clinician", "/admin/users/new", "/admin/users/import", "/admin/users/clinician/change", "/admin/users/clinician/role", "/admin/users/clinician/do/end",
		"/admin/reviews", "/admin/clients", "/admin/clients/demo-app", "/admin/clients/new", "/admin/keys", "/admin/keys/rotate"} {
		visits = append(visits, webtest.Visit{Path: path, Cookie: s.Secret, Walk: walked[path]})
	}
	webtest.NewBrowser(t).EveryPage(t, h.url, visits)
}
