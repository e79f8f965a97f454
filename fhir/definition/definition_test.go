package definition_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/openspine/openspine/fhir/definition"
)

var update = flag.Bool("update", false, "rewrite the golden files")

func golden(t *testing.T, name, got string) {
	t.Helper()
	file := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	want, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if string(want) == got {
		return
	}
	w, g := strings.Split(string(want), "\n"), strings.Split(got, "\n")
	for i := range max(len(w), len(g)) {
		a, b := "(end)", "(end)"
		if i < len(w) {
			a = w[i]
		}
		if i < len(g) {
			b = g[i]
		}
		if a != b {
			t.Fatalf("%s line %d:\n want %s\n got  %s\nrun with -update if the change is meant", name, i+1, a, b)
		}
	}
}

func TestCounts(t *testing.T) {
	s := definition.R4()
	kinds := map[definition.Kind]int{}
	elements, choices, bindings, rules := 0, 0, map[string]int{}, map[string]bool{}
	for _, name := range s.TypeNames() {
		typ := s.Type(name)
		kinds[typ.Kind]++
		for _, e := range typ.Elements {
			elements++
			if e.Choice {
				choices++
			}
			if e.Binding != nil {
				bindings[e.Binding.Strength]++
			}
			for _, c := range e.Constraints {
				rules[c.Key] = true
			}
		}
		for _, c := range typ.Constraints {
			rules[c.Key] = true
		}
	}
	params := map[string]bool{}
	for _, r := range s.ResourceTypes() {
		for _, p := range s.SearchParameters(r) {
			params[p.URL] = true
		}
	}
	concepts, complete, known, listed := 0, 0, 0, 0
	for _, u := range s.CodeSystems() {
		cs := s.CodeSystem(u)
		concepts += len(cs.Concepts)
		if cs.Complete() {
			complete++
		}
	}
	for _, u := range s.ValueSets() {
		if codes, ok := s.ValueSet(u).Codes(); ok {
			known++
			listed += len(codes)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "version %s\n", s.Version())
	fmt.Fprintf(&b, "resource types that can be stored %d\n", len(s.ResourceTypes()))
	for k := definition.Primitive; k <= definition.Backbone; k++ {
		fmt.Fprintf(&b, "%s types %d\n", k, kinds[k])
	}
	fmt.Fprintf(&b, "elements %d, choices %d, distinct rules %d, search parameters %d\n", elements, choices, len(rules), len(params))
	fmt.Fprintf(&b, "bindings: required %d, extensible %d, preferred %d, example %d\n", bindings["required"], bindings["extensible"], bindings["preferred"], bindings["example"])
	fmt.Fprintf(&b, "code systems %d (complete %d) with %d codes\n", len(s.CodeSystems()), complete, concepts)
	fmt.Fprintf(&b, "value sets %d (membership known %d) with %d codes\n", len(s.ValueSets()), known, listed)
	fmt.Fprintf(&b, "compartments %s\n", strings.Join(s.Compartments(), " "))
	golden(t, "counts.txt", b.String())
}

func TestPatientElements(t *testing.T) {
	var b strings.Builder
	for _, name := range []string{"Patient", "Patient.contact", "Patient.link", "Meta", "Identifier", "Timing.repeat", "Extension", "Questionnaire.item"} {
		describe(&b, definition.R4().Type(name))
	}
	golden(t, "elements.txt", b.String())
}

func describe(b *strings.Builder, t *definition.Type) {
	fmt.Fprintf(b, "%s : %s %s%s\n", t.Name, t.Base, t.Kind, keys(t.Constraints))
	for _, e := range t.Elements {
		upper := fmt.Sprint(e.Max)
		if e.Max == definition.Unbounded {
			upper = "*"
		}
		var types []string
		for _, r := range e.Types {
			s := r.Code
			if len(r.Targets) > 0 {
				s += "(" + strings.Join(r.Targets, "|") + ")"
			}
			types = append(types, s)
		}
		fmt.Fprintf(b, "  %-36s %d..%s %s", e.Path, e.Min, upper, strings.Join(types, ","))
		if e.ContentRef != "" {
			fmt.Fprintf(b, " =%s", e.ContentRef)
		}
		if e.Binding != nil {
			fmt.Fprintf(b, " %s:%s", e.Binding.Strength, e.Binding.ValueSet)
			if e.Binding.Max != "" {
				fmt.Fprintf(b, "<%s", e.Binding.Max)
			}
		}
		if e.Summary {
			b.WriteString(" summary")
		}
		if e.Modifier {
			b.WriteString(" modifier")
		}
		if e.Attribute {
			b.WriteString(" attribute")
		}
		fmt.Fprintf(b, "%s\n", keys(e.Constraints))
	}
}

func keys(list []definition.Constraint) string {
	s := ""
	for _, c := range list {
		s += " !" + c.Key
	}
	return s
}

func TestSearchParameters(t *testing.T) {
	var b strings.Builder
	for _, r := range []string{"Patient", "Observation"} {
		for _, p := range definition.R4().SearchParameters(r) {
			fmt.Fprintf(&b, "%s?%s %s %s\n", r, p.Code, p.Type, p.Expression)
			if len(p.Targets)+len(p.Modifiers)+len(p.Comparators)+len(p.Chains) > 0 {
				fmt.Fprintf(&b, "    %v %v %v %v\n", p.Targets, p.Modifiers, p.Comparators, p.Chains)
			}
			for _, c := range p.Components {
				fmt.Fprintf(&b, "    + %s %s\n", c.Definition, c.Expression)
			}
		}
	}
	golden(t, "search-parameters.txt", b.String())
}

func TestCompartments(t *testing.T) {
	s := definition.R4()
	var b strings.Builder
	for _, code := range s.Compartments() {
		c := s.Compartment(code)
		for _, r := range s.ResourceTypes() {
			if c.Has(r) {
				fmt.Fprintf(&b, "%s: %s by %s\n", code, r, strings.Join(c.Params[r], " "))
			}
		}
	}
	golden(t, "compartments.txt", b.String())
}

func TestPrimitiveForms(t *testing.T) {
	s := definition.R4()
	var b strings.Builder
	for _, name := range s.TypeNames() {
		if typ := s.Type(name); typ.Kind == definition.Primitive {
			fmt.Fprintf(&b, "%s : %s %s\n", name, typ.Base, typ.Regex)
		}
	}
	golden(t, "primitives.txt", b.String())
}

func TestElementResolvesNames(t *testing.T) {
	s := definition.R4()
	for _, c := range []struct{ typ, member, path, content string }{
		{"Patient", "birthDate", "Patient.birthDate", "date"},
		{"Patient", "_birthDate", "Patient.birthDate", "date"},
		{"Patient", "deceasedBoolean", "Patient.deceased[x]", "boolean"},
		{"Patient", "_deceasedDateTime", "Patient.deceased[x]", "dateTime"},
		{"Patient", "contact", "Patient.contact", "Patient.contact"},
		{"Patient", "id", "Patient.id", "id"},
		{"Patient", "contained", "Patient.contained", "Resource"},
		{"Patient.contact", "name", "Patient.contact.name", "HumanName"},
		{"Observation", "valueQuantity", "Observation.value[x]", "Quantity"},
		{"Observation.component", "referenceRange", "Observation.component.referenceRange", "Observation.referenceRange"},
		{"Questionnaire.item", "item", "Questionnaire.item.item", "Questionnaire.item"},
		{"Extension", "url", "Extension.url", "uri"},
		{"Timing", "repeat", "Timing.repeat", "Timing.repeat"},
		{"Narrative", "div", "Narrative.div", "xhtml"},
		{"HumanName", "id", "HumanName.id", "string"},
		{"Bundle.entry", "resource", "Bundle.entry.resource", "Resource"},
	} {
		el, typ, ok := s.Type(c.typ).Element(c.member)
		if !ok || el.Path != c.path || typ != c.content {
			t.Errorf("%s.%s is %v %q %v, want %s %s", c.typ, c.member, el, typ, ok, c.path, c.content)
		}
	}
	for _, c := range []struct{ typ, member string }{
		{"Patient", "deceased"}, {"Patient", "deceased[x]"}, {"Patient", "_name"}, {"Patient", "valueString"},
		{"Patient", "deceasedString"}, {"Meta", "project"}, {"Meta", "account"}, {"Patient", "resourceType"}, {"Patient", ""}, {"Patient", "_"},
	} {
		if el, typ, ok := s.Type(c.typ).Element(c.member); ok {
			t.Errorf("%s.%s should not be found, is %s %s", c.typ, c.member, el.Path, typ)
		}
	}
	if s.Type("Patiant") != nil || s.Compartment("Organization") != nil || s.ValueSet("http://nowhere") != nil || s.CodeSystem("") != nil {
		t.Error("something was found that does not exist")
	}
}

// Every name that a definition uses must be defined, or a validator would meet a hole.
func TestNothingDangles(t *testing.T) {
	s := definition.R4()
	for _, name := range s.TypeNames() {
		typ := s.Type(name)
		if typ.Base != "" && s.Type(typ.Base) == nil {
			t.Errorf("%s has the unknown base %s", name, typ.Base)
		}
		if typ.Name != name {
			t.Errorf("%s is called %s", name, typ.Name)
		}
		for i := range typ.Elements {
			e := &typ.Elements[i]
			if e.ContentRef == "" && len(e.Types) == 0 {
				t.Errorf("%s has no type", e.Path)
			}
			for _, r := range e.Types {
				if s.Type(e.Content(r.Code)) == nil {
					t.Errorf("%s is of unknown type %s", e.Path, e.Content(r.Code))
				}
				for _, target := range r.Targets {
					if s.Type(target) == nil && r.Code == "Reference" {
						t.Errorf("%s points at unknown type %s", e.Path, target)
					}
				}
			}
			if e.Binding != nil && e.Binding.Strength == "required" && s.ValueSet(e.Binding.ValueSet) == nil {
				t.Logf("%s is bound to %s, which HL7's files do not hold", e.Path, e.Binding.ValueSet)
			}
		}
	}
	for _, code := range s.Compartments() {
		for r, params := range s.Compartment(code).Params {
			for _, p := range params {
				if _, ok := s.SearchParameter(r, p); !ok && p != "{def}" {
					t.Logf("compartment %s: %s has no parameter %s", code, r, p)
				}
			}
		}
	}
	for _, r := range s.ResourceTypes() {
		for _, p := range s.SearchParameters(r) {
			for _, c := range p.Components {
				if _, ok := s.SearchParameterByURL(c.Definition); !ok {
					t.Errorf("%s?%s has the unknown component %s", r, p.Code, c.Definition)
				}
			}
		}
	}
}

func TestIsA(t *testing.T) {
	s := definition.R4()
	for _, c := range []struct {
		name, ancestor string
		want           bool
	}{
		{"Patient", "DomainResource", true}, {"Patient", "Resource", true}, {"Bundle", "DomainResource", false},
		{"code", "string", true}, {"Age", "Quantity", true}, {"Patient.contact", "BackboneElement", true},
		{"Patient.contact", "Element", true}, {"Timing.repeat", "BackboneElement", false}, {"string", "code", false}, {"Nothing", "Resource", false},
	} {
		if got := s.IsA(c.name, c.ancestor); got != c.want {
			t.Errorf("IsA(%s, %s) = %v", c.name, c.ancestor, got)
		}
	}
}

func TestRacingCallersShareOneDefinition(t *testing.T) {
	s := definition.R4()
	var wg sync.WaitGroup
	got := make([]*definition.Type, 16)
	for i := range got {
		wg.Go(func() { got[i] = s.Type("VisionPrescription.lensSpecification") })
	}
	wg.Wait()
	for _, g := range got {
		if g == nil || g != got[0] {
			t.Fatal("two callers saw two definitions of one type")
		}
	}
}
