package access

import (
	"testing"
	"testing/fstest"

	"github.com/openspine/openspine/ident"
)

// Relationships are looked up where they can change what the rules say, and only there.
func TestRelationshipsAreAskedForWhereTheyMatter(t *testing.T) {
	t.Parallel()
	here := ident.MustODSCode("RZ9")
	national, err := loadRules(nil)
	if err != nil {
		t.Fatal(err)
	}
	jealous, err := loadRules(fstest.MapFS{"jealous.cedar": {Data: []byte(
		"@id(\"not-ones-own\")\nforbid (principal in Role::\"system-client\", action, resource) when { context.related };\n")}})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		name  string
		rules *rules
		role  Role
		typ   string
		want  bool
	}{
		{"a system reads where it is at home", national, SystemClient, "Observation", false},
		{"a clinician reads a chart", national, Clinician, "Observation", true},
		{"a clinician finds a person; the account names the relationship", national, Clinician, "Patient", true},
		{"what is shared concerns nobody", national, Clinician, "Organization", false},
		{"a local rule looks at relationships", jealous, SystemClient, "Observation", true},
	} {
		p := Principal{ID: "someone", Role: c.role, Organisation: here, Tenants: []ident.ODSCode{here}, Scopes: []string{"system/*.cruds", "user/*.cruds"}}
		f := lookFacts(p, Read, Place{Tenant: here, Chart: "9000000009", Type: c.typ, ID: "1"}, bond{}, ident.MustODSCode("X26"), "TREAT")
		for range 2 { // the second time from memory
			if got := c.rules.askBonds(f); got != c.want {
				t.Errorf("%s: relationships matter is %v, want %v", c.name, got, c.want)
			}
		}
	}
}
