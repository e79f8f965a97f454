package postroom_test

import (
	"io"
	"net/http"
	"strings"
	"testing"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
)

// given a message with a file that pretends to be a page; when it is asked for, whole or in part, then the clerks of both ends get it as a file to keep, which is
// on the account, and nobody else does.
func TestAFileOfAMessageIsTaken(t *testing.T) {
	w := country.Given(t)
	k := w.Node.Kernel()
	f, err := k.Post().Store(t.Context(), strings.NewReader("<script>alert(1)</script>"), `x-ray "1".html`, "text/html")
	if err != nil {
		t.Fatal(err)
	}
	var id string
	if err := k.DB.Write(t.Context(), []store.Lane{k.Post().LaneOf(practice, "")}, func(tx *store.Tx) (err error) {
		id, err = k.Post().Send(t.Context(), tx, messaging.Message{From: practice, To: west, Workflow: "letter.sent", Body: []byte("good"), Files: []messaging.File{f}})
		return err
	}); err != nil {
		t.Fatal(err)
	}
	path := at(comes(t, w, id, messaging.Handled))
	clerk := w.SignedIn(t, "clerk")
	if clerk.Get(path).Sees(200, "x-ray"); !strings.Contains(clerk.Body, path+"/files/1") {
		t.Error("there is no way to the file")
	}
	if clerk.Get(path + "/files/1"); clerk.Status != 200 || clerk.Body != "<script>alert(1)</script>" {
		t.Errorf("the file: %d %q", clerk.Status, clerk.Body)
	}
	for name, want := range map[string]string{"Content-Type": "application/octet-stream", "Content-Disposition": `attachment; filename="x-ray \"1\".html"`, "X-Content-Type-Options": "nosniff", "Cache-Control": "no-store"} {
		if got := clerk.Header.Get(name); got != want {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, w.URL+path+"/files/1", nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Range", "bytes=1-6")
	r.AddCookie(&http.Cookie{Name: "openspine", Value: clerk.Cookie()})
	part, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer part.Body.Close()
	if text, err := io.ReadAll(part.Body); err != nil || part.StatusCode != http.StatusPartialContent || string(text) != "script" {
		t.Errorf("a part: %d %q %v", part.StatusCode, text, err)
	}
	simtest.Eventually(t, func() bool {
		page, err := k.Audit.Search(t.Context(), audit.Query{Tenant: practice, Actions: []string{"read"}, Actor: "clerk"})
		n := 0
		for _, e := range page.Entries {
			if e.Detail == "file 1 of message "+id {
				n++
			}
		}
		return err == nil && n == 2
	})
	if got := w.SignedIn(t, "hospital-clerk").Get(path + "/files/1").Body; got != "<script>alert(1)</script>" {
		t.Errorf("the other end has %q", got)
	}
	for _, no := range []string{"/files/0", "/files/2", "/files/x"} {
		clerk.Get(path+no).Sees(404, "There is no such message here")
	}
	admin := w.SignedIn(t, "admin")
	if admin.Get(path).Sees(200, "x-ray"); strings.Contains(admin.Body, "/files/1") {
		t.Error("an administrator is shown the way to a file")
	}
	if got := admin.Get(path + "/files/1").Status; got != 403 {
		t.Errorf("an administrator takes a file: %d", got)
	}
}

// given much post with one hospital; when a clerk asks for that with another, then what there is stands on the first page.
func TestWhatPassedBetweenTwoFillsItsPage(t *testing.T) {
	w := country.Given(t)
	k := w.Node.Kernel()
	rare := send(t, w, practice, east, "letter.void", "", "void", messaging.Refused)
	if err := k.DB.Write(t.Context(), []store.Lane{k.Post().LaneOf(practice, "")}, func(tx *store.Tx) error {
		for range 60 {
			if _, err := k.Post().Send(t.Context(), tx, messaging.Message{From: practice, To: west, Workflow: "letter.sent", Body: []byte("good")}); err != nil {
				return err
			}
		}
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	clerk := w.SignedIn(t, "clerk")
	clerk.Get("/post").SeesNot(rare.ID)
	clerk.Get("/post?organisation=RZZ02").Sees(200, rare.ID)
	clerk.Get("/post.csv?organisation=RZZ02").Sees(200, rare.ID).SeesNot("RZZ01")
}
