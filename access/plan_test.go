package access

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store/storetest"
)

// A practice has a relationship with everybody in it. To ask whether it has one with one person must not walk them all: neither
// for one row nor in a search's condition.
func TestARelationshipIsFoundByItsChart(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, audit.Schema(), Schema())
	s := &scope{principal: Principal{ID: "gp", Organisation: ident.MustODSCode("Z99801")}, tenant: ident.MustODSCode("Z99801"), now: 1}
	bound := s.bound(Columns{Lane: "k.lane", Chart: "k.chart"})
	for name, query := range map[string]clause{
		"one row":            {bondQuery, make([]any, 4*5+3)},
		"a search condition": {"SELECT 1 FROM access_kin k WHERE " + bound.text, bound.args},
	} {
		t.Run(name, func(t *testing.T) {
			steps := storetest.Plan(t, db, query.text, query.args...)
			asked := 0
			for _, step := range steps {
				if strings.Contains(step, "access_relation") || strings.Contains(step, " ar ") {
					asked++
					if !strings.Contains(step, "PRIMARY KEY (lane=? AND tenant=? AND chart=? AND subject=?)") {
						t.Errorf("the plan walks more than one chart's relationships: %s", step)
					}
				}
			}
			if asked == 0 {
				t.Errorf("no step of the plan asks for relationships: %q", steps)
			}
		})
	}
}
