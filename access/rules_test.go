package access

import "testing"

func TestNationalRulesLoad(t *testing.T) {
	t.Parallel()
	r, err := loadRules(nil)
	if err != nil {
		t.Fatal(err)
	}
	v := r.decide(facts{user: "u", role: Clinician, action: Read, typ: "Observation", tenant: "X26", flags: fHere | fScoped | fFiled | fRelated})
	if !v.allowed || v.basis != "clinician-relationship" {
		t.Errorf("a clinician with a relationship: %+v", v)
	}
}
