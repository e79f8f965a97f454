package node_test

import (
	"net/http"
	"testing"

	"github.com/openspine/openspine/internal/node"
)

// A token that is presented is always checked: a second Authorization header does not hide behind the first.
func TestOneAuthorizationHeader(t *testing.T) {
	r := serve(t, config(t.TempDir()), node.Options{}).seed()
	for _, headers := range [][]string{
		{"Bearer " + r.token("stranger"), "Bearer garbage"},
		{"Basic eDp5", "Bearer garbage"},
		{"", "Bearer garbage"},
	} {
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, r.n.URL()+"/FHIR/R4/Organization", nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header["Authorization"] = headers
		resp, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		if err := resp.Body.Close(); err != nil {
			t.Error(err)
		}
		if resp.StatusCode != http.StatusBadRequest {
			t.Errorf("%q: %s", headers[0], resp.Status)
		}
	}
}
