package access

import (
	"flag"
	"fmt"
	"os"
	"strings"
	"testing"
	"testing/fstest"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

var update = flag.Bool("update", false, "rewrite testdata/access-table.txt")

// The access table: every role, action and class of type, for each thing that a principal can be to a chart. It is read in
// review; a change of policy shows here as a change of words.
func TestAccessTable(t *testing.T) {
	t.Parallel()
	r, err := loadRules(nil)
	if err != nil {
		t.Fatal(err)
	}
	const path = "testdata/access-table.txt"
	got := accessTable(r)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if got != string(want) {
		t.Errorf("the access table has changed; read the difference after go test ./access -run TestAccessTable -update\n%s", firstDifference(got, string(want)))
	}
}

func firstDifference(got, want string) string {
	g, w := strings.Split(got, "\n"), strings.Split(want, "\n")
	for i := range min(len(g), len(w)) {
		if g[i] != w[i] {
			return fmt.Sprintf("line %d\n got %s\nwant %s", i+1, g[i], w[i])
		}
	}
	return "one is longer"
}

var tableTypes = []string{"Patient", "Appointment", TypeCorrection, TypeReferral, TypeBooking, "MedicationRequest", "Observation", "Organization", "AuditEvent", TypeAccount, TypeAlert, TypeObjection, TypeFigures, TypeSealed, TypeSeal, TypeNode, TypeUser, TypeClient}

// tableRows are what a place can be to a principal. Alerts, seals and nodes are in nobody's chart.
var tableRows = []struct {
	name  string
	chart string
	label Label
	b     bond
}{
	{"about nobody", "", 0, bond{}},
	{unfiledRow, "", 0, bond{}},
	{writtenRow, "", 0, bond{}},
	{"own", "me", 0, bond{}},
	{"own, restricted", "me", Restricted, bond{}},
	{"unrelated", "other", 0, bond{}},
	{"related", "other", 0, bond{related: true}},
	{"restricted, unrelated", "other", Restricted, bond{}},
	{"restricted, related", "other", Restricted, bond{related: true}},
	{"restricted, direct", "other", Restricted, bond{related: true, direct: true}},
	{"restricted, glass broken", "other", Restricted, bond{related: true, broken: true}},
	{"sealed, related", "other", Sealed, bond{related: true}},
}

// Rows in nobody's chart that speak of a person.
const (
	unfiledRow = "unfiled"
	writtenRow = "unfiled, user's own"
)

func accessTable(r *rules) string {
	home, nation, other := ident.MustODSCode("RZ9"), ident.MustODSCode("X26"), ident.MustODSCode("RY9")
	var b strings.Builder
	b.WriteString("Who may do what: yes and the rule that permits, 403, or 404 where existence is a secret.\n")
	b.WriteString("Tenants: home is the user's own organisation, nation the national one, other a third. A row that is missing is refused with 403 for every action.\n")
	for _, role := range Roles() {
		p := Principal{ID: "u", Role: role, Organisation: home, Person: "me", Assurance: "AAL2"}
		if role == Patient {
			p.Assurance = "P9"
			p.Organisation, p.Tenants = ident.ODSCode{}, []ident.ODSCode{home}
		}
		fmt.Fprintf(&b, "\n%s\n", strings.ToUpper(string(role)))
		for _, tenant := range []struct {
			name string
			code ident.ODSCode
		}{{"home", home}, {"nation", nation}, {"other", other}} {
			for _, typ := range tableTypes {
				for _, row := range tableRows {
					if (row.chart == "me") != (role == Patient && row.chart != "" && row.chart != "other") && row.chart == "me" {
						continue
					}
					if strings.HasPrefix(row.name, unfiledRow) && typ != "Appointment" && typ != "MedicationRequest" && typ != "Observation" {
						continue
					}
					line, some := tableLine(r, p, tenant.code, nation, typ, row.name, row.chart, row.label, row.b)
					if some {
						fmt.Fprintf(&b, "  %-6s %-17s %-24s %s\n", tenant.name, typ, row.name, line)
					}
				}
			}
		}
	}
	return b.String()
}

func tableLine(r *rules, p Principal, tenant, nation ident.ODSCode, typ, row, chart string, label Label, bo bond) (string, bool) {
	var cells []string
	some := false
	for _, a := range Actions() {
		pl := Place{Tenant: tenant, Chart: chart, Type: typ, ID: "1", Label: label, Author: map[string]string{unfiledRow: "somebody", writtenRow: p.ID}[row], Exists: true}
		f := lookFacts(p, a, pl, bo, nation, "TREAT")
		v := r.decide(f)
		word := "yes " + v.basis
		if !v.allowed {
			word = fmt.Sprint(fault.KindOf(r.refusal(f)).HTTPStatus())
		}
		some = some || word != "403"
		cells = append(cells, string(a)+" "+word)
	}
	return grouped(cells), some
}

// grouped puts actions with the same answer together.
func grouped(cells []string) string {
	var order []string
	by := map[string][]string{}
	for _, c := range cells {
		a, answer, _ := strings.Cut(c, " ")
		if by[answer] == nil {
			order = append(order, answer)
		}
		by[answer] = append(by[answer], a)
	}
	var parts []string
	for _, answer := range order {
		parts = append(parts, strings.Join(by[answer], ",")+": "+answer)
	}
	return strings.Join(parts, "; ")
}

// What is hidden from somebody answers exactly as what is not there, for every role, type and action. (What is not there is
// decided as in no chart; whoever may look in no chart is then told by the record that it is not there.)
func TestASecretLooksLikeNothing(t *testing.T) {
	t.Parallel()
	r, err := loadRules(nil)
	if err != nil {
		t.Fatal(err)
	}
	home, nation := ident.MustODSCode("RZ9"), ident.MustODSCode("X26")
	answer := func(p Principal, a Action, pl Place, b bond) string {
		f := lookFacts(p, a, pl, b, nation, "TREAT")
		if v := r.decide(f); v.allowed {
			return NotHere().Error()
		}
		return r.refusal(f).Error()
	}
	for _, role := range Roles() {
		p := Principal{ID: "u", Role: role, Organisation: home, Person: "me"}
		for _, tenant := range []ident.ODSCode{home, nation} {
			for _, typ := range []string{"Patient", "Appointment", "MedicationRequest", "Observation", "AuditEvent"} {
				for _, a := range []Action{Read, History} {
					absent := Place{Tenant: tenant, Type: typ, ID: "1"}
					secret := Place{Tenant: tenant, Type: typ, ID: "1", Chart: "other", Label: Restricted, Exists: true}
					if r.decide(lookFacts(p, a, secret, bond{}, nation, "TREAT")).allowed {
						continue
					}
					if x, y := answer(p, a, absent, bond{}), answer(p, a, secret, bond{}); x != y {
						t.Errorf("%s %s %s in %s: absent %q, secret %q", role, a, typ, tenant, x, y)
					}
				}
			}
		}
	}
}

func TestLocalPoliciesMayOnlyForbidMore(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct{ text, want string }{
		"a permit":             {`@id("x") permit (principal, action, resource);`, "may only forbid"},
		"no id":                {`forbid (principal, action, resource);`, "no @id"},
		"unknown attribute":    {`@id("x") forbid (principal, action, resource) when { resource.colour == "red" };`, "does not fit the schema"},
		"unknown fact":         {`@id("x") forbid (principal, action, resource) when { context.moon };`, "does not fit the schema"},
		"wrong type":           {`@id("x") forbid (principal, action, resource) when { context.own == "yes" };`, "does not fit the schema"},
		"unknown action":       {`@id("x") forbid (principal, action == Action::"burn", resource);`, "no action called"},
		"unknown role":         {`@id("x") forbid (principal in Role::"wizard", action, resource);`, "no role called"},
		"unknown class":        {`@id("x") forbid (principal, action, resource in Class::"gossip");`, "no class called"},
		"unknown kind of name": {`@id("x") forbid (principal, action, resource in Cupboard::"1");`, "no cupboard called"},
		"one named item":       {`@id("x") forbid (principal, action, resource == Item::"Patient/1");`, "about one named item"},
		"not Cedar":            {`let x = 1`, "cannot be understood"},
	} {
		_, err := loadRules(fstest.MapFS{"local.cedar": {Data: []byte(c.text)}})
		if !fault.Is(err, fault.Invalid) || !strings.Contains(fault.MessageOf(err), c.want) || !strings.Contains(fault.MessageOf(err), "local.cedar") {
			t.Errorf("%s: %v", name, err)
		}
	}
	r, err := loadRules(fstest.MapFS{"quiet.cedar": {Data: []byte(`
		@id("no-exports") forbid (principal, action == Action::"export", resource) when { resource.filed };`)}})
	if err != nil {
		t.Fatal(err)
	}
	f := facts{user: "u", role: Clinician, action: Export, typ: "Observation", tenant: "X26", flags: fHere | fScoped | fFiled | fRelated}
	if v := r.decide(f); v.allowed || v.basis != "local:no-exports" {
		t.Errorf("a local forbid: %+v", v)
	}
	f.action = Read
	if v := r.decide(f); !v.allowed {
		t.Errorf("what the local policy does not speak of: %+v", v)
	}
}

// A rule that fails to evaluate denies, even though Cedar itself would skip it and allow.
func TestAnErroringRuleDenies(t *testing.T) {
	t.Parallel()
	r, err := loadRules(fstest.MapFS{"overflow.cedar": {Data: []byte(`
		@id("overflow") forbid (principal, action, resource) when { 9223372036854775807 + 1 == 0 };`)}})
	if err != nil {
		t.Fatal(err)
	}
	v := r.decide(facts{user: "u", role: Clinician, action: Read, typ: "Observation", tenant: "X26", flags: fHere | fScoped | fFiled | fRelated})
	if v.allowed || v.basis != "rule-error" {
		t.Errorf("an erroring rule: %+v", v)
	}
}

func TestScopesOfTokens(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		scopes string
		action Action
		typ    string
		want   bool
	}{
		{"system/*.*", Delete, "Patient", true}, {"system/*.read", Search, "Observation", true}, {"system/*.read", Create, "Observation", false},
		{"system/Patient.rs", Read, "Patient", true}, {"system/Patient.rs", Update, "Patient", false}, {"system/Patient.rs", Read, "Observation", false},
		{"user/Patient.cruds", Delete, "Patient", true}, {"system/Patient.sr", Read, "Patient", false}, {"system/Patient.", Read, "Patient", false},
		{"launch openid", Read, "Patient", false}, {"", Read, "Patient", false}, {"system/Patient.rs?x=y", Read, "Patient", false}, {"other/*.*", Read, "Patient", false},
		{"system/Observation.write", Update, "Observation", true}, {"system/Observation.write", Read, "Observation", false},
	} {
		if got := scoped(Principal{Role: Patient, Person: "p", Scopes: append([]string{}, strings.Fields(c.scopes)...)}, c.action, Place{Chart: "p", Type: c.typ}, true); got != c.want {
			t.Errorf("%q %s %s: %v", c.scopes, c.action, c.typ, got)
		}
	}
	if !scoped(Principal{}, Delete, Place{Type: "Patient"}, false) {
		t.Error("who has no token is not limited by one")
	}
}

func BenchmarkDecide(b *testing.B) {
	r, err := loadRules(nil)
	if err != nil {
		b.Fatal(err)
	}
	f := facts{user: "u", role: Clinician, action: Read, typ: "Observation", tenant: "X26", purpose: "TREAT", flags: fHere | fScoped | fFiled | fRelated}
	b.Run("remembered", func(b *testing.B) {
		for b.Loop() {
			r.decide(f)
		}
	})
	b.Run("evaluated", func(b *testing.B) {
		for b.Loop() {
			r.evaluate(f)
		}
	})
}
