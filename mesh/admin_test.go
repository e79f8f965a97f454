package mesh_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
)

// given an administrator's program; when it makes, changes, suspends, opens and closes a mailbox and sets routes, then the rules of the pages hold, and the history says who and why.
func TestMailboxesAndRoutesAreKeptByProgram(t *testing.T) {
	t.Parallel()
	w := given(t)
	token := func(role access.Role) string {
		text, err := w.n.Kernel().Issuer.Mint(access.Principal{ID: "program", Name: "A program", Role: role, Organisation: ident.MustODSCode("X26")}, time.Hour)
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	admin, clerk := token(access.Administrator), token(access.Clerk)
	do := func(token, method, path, body string, want int, words ...string) map[string]any {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), method, w.url+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Authorization", "Bearer "+token)
		r.Header.Set("Content-Type", "application/json")
		resp, err := w.client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		defer resp.Body.Close()
		text, err := io.ReadAll(resp.Body)
		if err != nil || resp.StatusCode != want {
			t.Fatalf("%s %s answers %d %s %v, not %d", method, path, resp.StatusCode, text, err, want)
		}
		for _, word := range words {
			if !strings.Contains(string(text), word) {
				t.Errorf("%s %s answers %s without %q", method, path, text, word)
			}
		}
		var doc map[string]any
		if err := json.Unmarshal(text, &doc); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		return doc
	}
	do(admin, "GET", "/api/mailboxes", "", 200, `"mailbox":"X26ABC1"`, `"organisation":"X27"`)
	for name, bad := range map[string]string{"no reason": `{"organisation":"RZ9","name":"Ward","owner":"IT"}`, "no organisation": `{"name":"Ward","owner":"IT","reason":"new ward"}`, "a member too many": `{"organisation":"RZ9","colour":"red"}`,
		"two values": `{"organisation":"RZ9","name":"Ward","owner":"IT","reason":"new ward"} {}`, "no JSON": "{"} {
		t.Log(name)
		do(admin, "PUT", "/api/mailboxes/RZ9HC001", bad, 400)
	}
	do(admin, "GET", "/api/mailboxes/RZ9HC001", "", 404)
	made := do(admin, "PUT", "/api/mailboxes/rz9hc001", `{"organisation":"RZ9","name":"Ward","owner":"IT","reason":"new ward","bound":true,"takes":["LETTERS"]}`, 201, `"state":"open"`, `"takes":["LETTERS"]`, `"reason":"new ward"`)
	if password, _ := made["password"].(string); len(password) < 12 {
		t.Errorf("the password is %q", password)
	}
	changed := do(admin, "PUT", "/api/mailboxes/RZ9HC001", `{"organisation":"RZ9","name":"Ward 7","owner":"IT","reason":"renamed"}`, 200, `"name":"Ward 7"`)
	if changed["password"] != nil {
		t.Error("another password")
	}
	do(admin, "PUT", "/api/mailboxes/RZ9HC001", `{"organisation":"RZ8","name":"Ward 7","owner":"IT","reason":"moved"}`, 409)
	do(admin, "POST", "/api/mailboxes/RZ9HC001/suspend", `{"reason":"lost"}`, 200, `"state":"suspended"`)
	do(admin, "POST", "/api/mailboxes/RZ9HC001/suspend", `{"reason":"lost"}`, 409)
	do(admin, "POST", "/api/mailboxes/RZ9HC001/open", `{"reason":"found"}`, 200, `"state":"open"`)
	do(admin, "POST", "/api/mailboxes/RZ9HC001/password", `{"reason":"leaked"}`, 200, `"password"`)
	do(admin, "POST", "/api/mailboxes/RZ9HC001/burn", `{"reason":"leaked"}`, 404)
	do(admin, "POST", "/api/mailboxes/RZ9HC001/close", `{"reason":"ward closed"}`, 200, `"state":"closed"`)
	do(admin, "POST", "/api/mailboxes/RZ9HC001/open", `{"reason":"again"}`, 409)

	do(admin, "GET", "/api/routes", "", 200, `"organisation":"RZ9","workflow":"mesh","kind":"mailbox"`)
	do(admin, "PUT", "/api/routes", `{"organisation":"RZ9","workflow":"LETTERS","kind":"mailbox","to":"RZ9HC001","reason":"no"}`, 400)
	do(admin, "PUT", "/api/routes", `{"organisation":"RZ9","workflow":"LETTERS","kind":"pigeon","to":"RZ9HC001","reason":"their own"}`, 400)
	do(admin, "PUT", "/api/routes", `{"organisation":"RZ9","workflow":"LETTERS","kind":"endpoint","to":"nowhere","reason":"their own"}`, 422)
	do(admin, "PUT", "/api/routes", `{"organisation":"RZ9","workflow":"LETTERS","kind":"mailbox","to":"RZ9HC001","reason":"their own"}`, 200, `"workflow":"LETTERS","kind":"mailbox","to":"RZ9HC001"`)
	do(admin, "POST", "/api/routes/remove", `{"organisation":"RZ9","workflow":"LETTERS","reason":"they moved"}`, 200)
	do(admin, "POST", "/api/routes/remove", `{"organisation":"RZ9","workflow":"LETTERS","reason":"they moved"}`, 404)
	if list, err := w.n.Kernel().Gate.Changes(t.Context(), "post-routes"); err != nil || len(list) != 2 || list[0].Act != "drop" || list[1].By != "program" || list[1].Reason != "their own" {
		t.Errorf("the history of the routes: %+v %v", list, err)
	}
	for _, path := range []string{"/api/mailboxes", "/api/mailboxes/X26ABC1", "/api/routes"} {
		do(clerk, "GET", path, "", 403)
	}
	do(clerk, "POST", "/api/mailboxes/X26ABC1/close", `{"reason":"I may not"}`, 403)
}
