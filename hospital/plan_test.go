package hospital

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// Once a second a hospital asks who is referred and no patient yet. Those are few among all that were ever referred, and must be found without walking those.
func TestWhoIsNoPatientYetIsFoundByIt(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema())
	if db.Engine() != "sqlite" {
		t.Skip("the plan is read as SQLite words it")
	}
	var steps []string
	err := db.Read(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.Query("EXPLAIN QUERY PLAN SELECT "+caseColumns+" WHERE "+nobodyYet, 0, "RQX", 10)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, parent, unused int64
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				return err
			}
			steps = append(steps, step)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	if plan := strings.Join(steps, "; "); !strings.Contains(plan, "hospital_case_chart (tenant=? AND chart=?)") || strings.Contains(plan, "TEMP B-TREE") {
		t.Errorf("the plan walks more than those who are no patients yet: %s", plan)
	}
}
