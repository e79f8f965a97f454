package hospital

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/store/storetest"
)

// Once a second a hospital asks who is referred and no patient yet. Those are few among all that were ever referred, and must be found without walking those.
func TestWhoIsNoPatientYetIsFoundByIt(t *testing.T) {
	t.Parallel()
	db := storetest.Open(t, Schema())
	steps := storetest.Plan(t, db, "SELECT "+caseColumns+" WHERE "+nobodyYet, 0, "RQX", 10)
	if plan := strings.Join(steps, "; "); !strings.Contains(plan, "hospital_case_chart (tenant=? AND chart=?)") || strings.Contains(plan, "TEMP B-TREE") {
		t.Errorf("the plan walks more than those who are no patients yet: %s", plan)
	}
}
