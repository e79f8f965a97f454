package definition_test

import (
	"slices"
	"testing"

	"github.com/openspine/openspine/fhir/definition"
)

func TestValueSetMembership(t *testing.T) {
	s := definition.R4()
	const vs = "http://hl7.org/fhir/ValueSet/"
	for _, c := range []struct {
		set, system, code string
		in, known         bool
	}{
		{vs + "administrative-gender", "", "female", true, true},
		{vs + "administrative-gender|4.0.1", "http://hl7.org/fhir/administrative-gender", "female", true, true},
		{vs + "administrative-gender", "", "Female", false, true},
		{vs + "administrative-gender", "http://example.org", "female", false, true},
		{vs + "condition-clinical", "http://terminology.hl7.org/CodeSystem/condition-clinical", "relapse", true, true},
		{vs + "all-types", "", "Patient", true, true},
		{vs + "all-types", "", "Patiant", false, true},
		{vs + "resource-types", "", "Type", false, true},
		{vs + "mimetypes", "", "text/plain; charset=utf-8", true, false},
		{vs + "mimetypes", "", "not a type", false, true},
		{vs + "all-languages", "", "en-GB", true, false},
		{vs + "all-languages", "", "en_GB", false, true},
		{vs + "ucum-units", "http://unitsofmeasure.org", "mm[Hg]", true, false},
		{vs + "ucum-units", "http://unitsofmeasure.org", "mm[Hg", false, true},
		{vs + "ucum-units", "http://unitsofmeasure.org", "mm Hg", false, true},
		{vs + "body-site", "http://snomed.info/sct", "368208006", true, false},
		{vs + "observation-codes", "http://loinc.org", "1234-5", true, false},
		{"http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", "http://terminology.hl7.org/CodeSystem/v3-ActCode", "AMB", true, true},
		{"http://terminology.hl7.org/ValueSet/v3-ActEncounterCode", "http://terminology.hl7.org/CodeSystem/v3-ActCode", "ACCTRECEIVABLE", false, true},
	} {
		v := s.ValueSet(c.set)
		if v == nil {
			if c.set != vs+"v3-ActCode" {
				t.Errorf("%s is not held", c.set)
			}
			continue
		}
		in, known := v.Contains(c.system, c.code)
		if known != c.known || known && in != c.in {
			t.Errorf("%s holds %s|%s: in %v known %v, want %v %v", c.set, c.system, c.code, in, known, c.in, c.known)
		}
	}
}

func TestHierarchy(t *testing.T) {
	cs := definition.R4().CodeSystem("http://terminology.hl7.org/CodeSystem/condition-clinical")
	if got := cs.Below("active"); !slices.Equal(got, []string{"active", "recurrence", "relapse"}) {
		t.Errorf("below active: %v", got)
	}
	if got := cs.Above("relapse"); !slices.Equal(got, []string{"relapse", "active"}) {
		t.Errorf("above relapse: %v", got)
	}
	if got := cs.Above("nothing"); got != nil {
		t.Errorf("above an unknown code: %v", got)
	}
	act := definition.R4().CodeSystem("http://terminology.hl7.org/CodeSystem/v3-ActCode")
	for _, k := range act.Concepts {
		for _, below := range act.Below(k.Code) {
			if !slices.Contains(act.Above(below), k.Code) {
				t.Fatalf("%s is below %s but %s is not above it", below, k.Code, k.Code)
			}
		}
	}
}
