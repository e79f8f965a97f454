package sim_test

import (
	"context"
	"testing"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/validate"
)

// Every type of resource, a sample of each tenant's, is valid base R4: shape, types, codes and invariants.
func TestResourcesAreValid(t *testing.T) {
	checked, left := map[string]int{}, map[string]int{}
	for i := range country(t, 1, 2000).Items() {
		key := i.Tenant.String() + " " + i.Type
		if left[key]++; checked[key] >= 12 && left[key]%37 != 0 {
			continue
		}
		checked[key]++
		r, err := fhir.Parse(i.Resource)
		if err != nil {
			t.Fatal(err)
		}
		for _, issue := range validate.Validate(context.Background(), r, validate.Options{}) {
			if issue.Severity == "error" || issue.Severity == "fatal" {
				t.Errorf("%s/%s: %s at %v: %s\n%s", i.Type, i.ID, issue.Code, issue.Expression, issue.Diagnostics, i.Resource)
			}
		}
	}
	if len(checked) < 40 {
		t.Errorf("only %d kinds were checked", len(checked))
	}
}
