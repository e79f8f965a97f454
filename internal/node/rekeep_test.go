package node_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// A service that comes to an old data folder is given what was written before, while the node serves, and /readyz says how far it is.
func TestAServiceThatComesLaterIsGivenWhatWasWrittenBefore(t *testing.T) {
	cfg := config(t.TempDir())
	r := serve(t, cfg, node.Options{}).seed()
	r.end()
	let, given := make(chan struct{}), make(chan string, 100)
	r = serve(t, cfg, node.Options{Services: func(catalogue.Kernel) []catalogue.Service {
		return []catalogue.Service{{Name: "late", Keeps: []record.Keeper{{Name: "late", Edition: 1, Type: "Patient", Tenant: national,
			Keep: func(_ *store.Tx, kept []record.Kept) error {
				<-let
				for _, k := range kept {
					given <- k.Version.ID
				}
				return nil
			}}}}}
	}})
	a := r.call("GET", "/readyz", "", "").want(t, 200)
	if !strings.Contains(a.body, "late: 0 of 3") {
		t.Errorf("while it goes on: %q", a.body)
	}
	close(let)
	r.until(func() bool { return strings.TrimSpace(r.call("GET", "/readyz", "", "").body) == "ready" })
	if len(given) != 3 {
		t.Errorf("%d people were given, want 3", len(given))
	}
}
