package node_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/internal/node"
)

// How much a search may include and how long it may take is as the configuration says: the same search is answered by a node that is given no limit, and refused as too costly by one that is.
func TestAConfiguredLimitOfASearchHolds(t *testing.T) {
	t.Parallel()
	const many = "/FHIR/R4/Observation?code=http://loinc.org|8867-4"
	for name, c := range map[string]struct {
		limit func(*node.Limits)
		path  string
		says  string
	}{
		"search-included": {func(l *node.Limits) { l.SearchIncluded = 1 }, many + "&_include=Observation:subject", "would include more than 1 resources"},
		"search-time":     {func(l *node.Limits) { l.SearchTime = time.Nanosecond }, many, "took too long"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for _, limited := range []bool{false, true} {
				cfg, want := config(t.TempDir()), 200
				if limited {
					c.limit(&cfg.Limits)
					want = 403
				}
				r := serve(t, cfg, node.Options{}).seed()
				got := r.call("GET", c.path, r.token("clinician"), "")
				if got.status != want || limited && !strings.Contains(got.body, c.says) {
					t.Errorf("limited %v: %d, want %d: %s", limited, got.status, want, got.body)
				}
			}
		})
	}
}
