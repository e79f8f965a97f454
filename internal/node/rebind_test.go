package node_test

import (
	"net/http"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/node"
)

// Under --open, a request that names another host is refused: a page on the Web could otherwise act as the demonstration clinician, by a
// name of its own that leads to this machine.
func TestOpenAnswersToThisMachineOnly(t *testing.T) {
	r := serve(t, config(t.TempDir()), node.Options{}).seed()
	status := func(host, path string) int {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.n.URL()+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		if host != "" {
			req.Host = host
		}
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		return resp.StatusCode
	}
	if got := status("spine.example", "/FHIR/R4/metadata"); got != 200 {
		t.Errorf("without --open: %d", got)
	}
	u, err := r.n.Kernel().Gate.UserByID(t.Context(), string(access.Clinician))
	if err != nil {
		t.Fatal(err)
	}
	r.n.SetOpen(u.Principal)
	for host, want := range map[string]int{"": 200, "localhost": 200, "localhost:8080": 200, "LOCALHOST.": 200, "demo.localhost:1": 200, "127.0.0.1": 200, "127.9.9.9:80": 200, "[::1]:80": 200, "[::1]": 200,
		"evil.example": 403, "evil.example:8080": 403, "127.0.0.1.evil.example": 403, "localhost.evil.example": 403, "10.0.0.1": 403, "0.0.0.0:80": 403, "evillocalhost": 403} {
		if got := status(host, "/FHIR/R4/Patient/"+otherNumber); got != want {
			t.Errorf("%q: %d, want %d", host, got, want)
		}
		if got := status(host, "/healthz"); got != want {
			t.Errorf("%q /healthz: %d, want %d", host, got, want)
		}
	}
}
