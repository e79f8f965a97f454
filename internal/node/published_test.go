package node_test

import (
	"net/http"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
)

// terse words every failure in one word.
type terse struct{}

func (terse) Refuse(w http.ResponseWriter, _ *http.Request, err error) {
	w.WriteHeader(fault.KindOf(err).HTTPStatus())
	w.Write([]byte("terse"))
}

// TestAPublishedFaceWordsItsOwnFailures holds an API with a wording of its own to it: in its routes, and where it has none.
func TestAPublishedFaceWordsItsOwnFailures(t *testing.T) {
	own := catalogue.Service{Name: "node", Summary: "An API with a wording of its own.", Published: []catalogue.Published{{
		Base: "/odd/", Face: terse{}, Foreign: true, Routes: []catalogue.Route{
			catalogue.ForRole("GET /odd/one", func(w http.ResponseWriter, _ *http.Request, _ access.Principal) error { return nil }),
		}}}}
	r := serve(t, config(t.TempDir()), node.Options{Services: func(catalogue.Kernel) []catalogue.Service { return []catalogue.Service{own} }})
	for path, want := range map[string]int{"/odd/one": 401, "/odd/two": 404} {
		got := r.call("GET", path, "", "")
		if got.status != want || got.body != "terse" {
			t.Errorf("GET %s: %d %q, want %d in one word", path, got.status, got.body, want)
		}
	}
	if got := r.call("POST", "/odd/one", "", ""); got.status != 405 || got.header.Get("Allow") != "GET" {
		t.Errorf("POST /odd/one: %d, allowed %q", got.status, got.header.Get("Allow"))
	}
	if got := r.call("OPTIONS", "/odd/one", "", "", "Origin: https://app.example"); got.status != 204 || got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("a preflight: %d, origin %q", got.status, got.header.Get("Access-Control-Allow-Origin"))
	}
	if got := r.call("GET", "/odd/one", "", "", "Origin: https://app.example", "Sec-Fetch-Site: cross-site"); got.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Error("a page of another site cannot read the answer")
	}
}
