package mesh_test

import (
	"io"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
)

// desk asks for pages as somebody who is signed in.
func (w *world) desk(id string, role access.Role, org string) func(path string, form url.Values) (int, string) {
	w.t.Helper()
	gate := w.n.Kernel().Gate
	p := access.Principal{ID: id, Name: "Name of " + id, Role: role, Organisation: ident.MustODSCode(org)}
	if err := gate.PutUsers(w.t.Context(), []access.User{{Principal: p}}); err != nil {
		w.t.Fatal(err)
	}
	s, err := gate.SignIn(w.t.Context(), id, "test", "")
	if err != nil {
		w.t.Fatal(err)
	}
	return func(path string, form url.Values) (int, string) {
		w.t.Helper()
		method := "GET"
		if form != nil {
			method = "POST"
		}
		r, err := http.NewRequestWithContext(w.t.Context(), method, w.url+path, strings.NewReader(form.Encode()))
		if err != nil {
			w.t.Fatal(err)
		}
		r.AddCookie(s.Cookie(false))
		if form != nil {
			r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
		}
		resp, err := http.DefaultClient.Do(r)
		if err != nil {
			w.t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil {
			w.t.Fatal(err)
		}
		return resp.StatusCode, string(text)
	}
}

var hidden = regexp.MustCompile(`<input type="hidden" name="([^"]+)" value="([^"]*)"`)

// An administrator makes a mailbox, gives it another password, suspends and opens it; a clerk sees what waits in their own organisation's, and no other's.
func TestMailboxesByPage(t *testing.T) {
	t.Parallel()
	w := given(t)
	keeper, clerk := w.desk("keeper", access.Administrator, "X26"), w.desk("clerk", access.Clerk, "X27")
	send := func(path string, values ...string) (int, string) {
		t.Helper()
		return w.filled(keeper, path, values...)
	}
	if status, page := keeper("/mailboxes", nil); status != 200 || !strings.Contains(page, "X26ABC1") || !strings.Contains(page, "X26ABC3") {
		t.Errorf("the list is answered %d", status)
	}
	if status, _ := send("/mailboxes/new", "mailbox", "x27new", "organisation", "X27", "name", "New", "owner", "", "reason", "asked for"); status != http.StatusUnprocessableEntity {
		t.Errorf("without an owner: %d", status)
	}
	status, page := send("/mailboxes/new", "mailbox", "x27new", "organisation", "X27", "name", "New", "owner", "the office", "takes", "TEST_A TEST_B", "reason", "asked for")
	shown := regexp.MustCompile(`<code class="os-reference">([^<]+)</code>`).FindStringSubmatch(page)
	if status != 200 || shown == nil {
		t.Fatalf("making one is answered %d", status)
	}
	for _, act := range []string{"suspend", "open", "password"} {
		if status, _ := send("/mailboxes/X27NEW/do/"+act, "reason", ""); status != http.StatusUnprocessableEntity {
			t.Errorf("%s without a reason is answered %d", act, status)
		}
		if status, page := send("/mailboxes/X27NEW/do/"+act, "reason", "to see"); status != 200 || act == "password" && strings.Contains(page, shown[1]) {
			t.Errorf("%s is answered %d", act, status)
		}
	}
	w.send(first, "X26ABC3", "secret words", "Mex-Subject: hidden")
	if status, page := clerk("/mailboxes/X26ABC3", nil); status != 200 || !strings.Contains(page, "API-DOCS-TEST") || strings.Contains(page, "secret words") {
		t.Errorf("a clerk's own mailbox is answered %d", status)
	}
	if status, page := clerk("/mailboxes", nil); status != 200 || strings.Contains(page, "X26ABC1") || !strings.Contains(page, "X26ABC3") {
		t.Errorf("a clerk's list is answered %d", status)
	}
	if status, _ := clerk("/mailboxes/"+first, nil); status != http.StatusNotFound {
		t.Errorf("another organisation's mailbox is answered %d", status)
	}
	for _, path := range []string{"/mailboxes?sort=-waiting&q=x27&show=open", "/mailboxes?format=csv", "/mailboxes/X26ABC1?side=outbox", "/mailboxes/X26ABC1?side=outbox&format=csv", "/mailboxes/X26ABC1/change"} {
		if status, _ := keeper(path, nil); status != 200 {
			t.Errorf("%s is answered %d", path, status)
		}
	}
}
