package validate

import (
	"encoding/json"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirpath"
	"github.com/openspine/openspine/internal/spectest"
)

// everyRule lists the rules of R4 with the type that each is tested on.
func everyRule() map[string]definition.Constraint {
	set, out := definition.R4(), map[string]definition.Constraint{}
	for _, name := range set.TypeNames() {
		t := set.Type(name)
		for _, c := range t.Constraints {
			out[name+" "+c.Key] = c
		}
		for _, e := range t.Elements {
			for _, c := range e.Constraints {
				for _, ref := range e.Types {
					out[e.Content(ref.Code)+" "+c.Key] = c
				}
			}
		}
	}
	return out
}

func TestEveryRuleIsTested(t *testing.T) {
	p := planOf(definition.R4())
	keys, walked, compiled, native := map[string]bool{}, 0, 0, 0
	meant := map[string]string{}
	for at, c := range everyRule() {
		if other := meant[c.Key]; other != "" && other != c.Expression && (inGo[c.Key] != nil || structural[c.Key] || sayings[c.Key] != "") {
			t.Errorf("two rules are called %s: %s and %s", c.Key, other, c.Expression)
		}
		meant[c.Key] = c.Expression
		if keys[c.Key] {
			continue
		}
		typ, _, _ := strings.Cut(at, " ")
		if structural[c.Key] {
			walked++
		} else if r := p.ready(typ, c); r.holds != nil {
			native++
		} else if r.expression != nil {
			compiled++
		} else {
			t.Errorf("%s cannot be compiled: %s", at, c.Expression)
		}
		keys[c.Key] = true
	}
	t.Logf("%d rules: %d kept by the walk, %d in Go, %d by FHIRPath", len(keys), walked, native, compiled)
	for key := range inGo {
		if !keys[key] {
			t.Errorf("there is no rule %s", key)
		}
	}
	for key := range structural {
		if !keys[key] {
			t.Errorf("there is no rule %s", key)
		}
	}
	for key := range sayings {
		if !keys[key] {
			t.Errorf("there is no rule %s to put into words", key)
		}
	}
}

// A rule in Go must say what its FHIRPath says, on every object of every example and on small made-up ones.
func TestRulesInGoAgreeWithTheirExpressions(t *testing.T) {
	p := planOf(definition.R4())
	expressions := map[string]*fhirpath.Expression{}
	types := map[string]string{}
	for at, c := range everyRule() {
		typ, _, _ := strings.Cut(at, " ")
		if inGo[c.Key] == nil || types[c.Key] != "" && typ != "Quantity" && typ != "Patient" {
			continue
		}
		e, err := fhirpath.Compile(c.Expression, fhirpath.WithDefinitions(p.set))
		if err != nil {
			t.Fatal(err)
		}
		expressions[c.Key], types[c.Key] = e, typ
	}
	made := []string{`{}`, `{"code":"x"}`, `{"system":"x"}`, `{"code":"x","system":"y"}`, `{"value":"1"}`, `{"value":"1","system":"phone"}`,
		`{"data":"aaaa"}`, `{"data":"aaaa","contentType":"a/b"}`, `{"resourceType":"Patient"}`, `{"resourceType":"Patient","text":{"div":"<div/>"}}`,
		`{"resourceType":"Patient","text":{"status":"empty"}}`, `{"resourceType":"Patient","text":{"_div":{"id":"x"}}}`, `{"_value":{"id":"x"}}`, `{"_data":{"id":"x"}}`, `{"_code":{"id":"x"}}`, `{"code":"x","_system":{"id":"y"}}`,
		`{"start":"2020","end":"2019"}`, `{"start":"2020-01-01","end":"2020"}`, `{"start":"2020","end":"2020-01-01"}`, `{"start":"2020-02-01","end":"2020-01"}`,
		`{"start":"2020-01-01T00:00:00Z","end":"2020-01-01T00:30:00+01:00"}`, `{"start":"2020-01-01","end":"2020-01-01T00:30:00+01:00"}`,
		`{"start":"2020-01-01T00:00:00.5Z","end":"2020-01-01T00:00:00Z"}`, `{"start":"2020-01-01T00:00:00Z","end":"2020-01-01T00:00:00.1Z"}`,
		`{"_start":{"id":"x"},"end":"2020"}`, `{"start":"2021"}`, `{"end":"2021"}`, `{"start":"2019-05-05","end":"2020"}`}
	tested := 0
	for key, e := range expressions {
		for _, s := range made {
			n, err := fhir.ParseJSON([]byte(s), fhir.Limits{})
			if err != nil {
				t.Fatal(err)
			}
			ok, known, err := e.Test(t.Context(), fhirpath.OnNode(types[key], n))
			if got := inGo[key](n); err == nil && got != (ok || !known) {
				t.Errorf("%s on %s: Go says %v, FHIRPath %v (known %v)", key, s, got, ok, known)
			}
			tested++
		}
	}
	if len(expressions) != len(inGo) {
		t.Errorf("%d of %d rules have an expression", len(expressions), len(inGo))
	}
	t.Logf("%d comparisons", tested)
}

// broken are resources with the rule that each breaks, and where.
var broken = []struct{ rule, at, json string }{
	{"dom-6", "Patient", `{"resourceType":"Patient"}`},
	{"per-1", "Patient.name[0].period", `{"resourceType":"Patient","name":[{"period":{"start":"2021","end":"2020"}}]}`},
	{"per-1", "Patient.name[0].period", `{"resourceType":"Patient","name":[{"period":{"start":"2021-05-02T10:00:00Z","end":"2021-05-02T10:30:00+01:00"}}]}`},
	{"qty-3", "Observation.value", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueQuantity":{"value":1,"code":"mm"}}`},
	{"cpt-2", "Patient.telecom[0]", `{"resourceType":"Patient","telecom":[{"value":"1"}]}`},
	{"att-1", "Patient.photo[0]", `{"resourceType":"Patient","photo":[{"data":"aaaa"}]}`},
	{"pat-1", "Patient.contact[0]", `{"resourceType":"Patient","contact":[{"gender":"male"}]}`},
	{"obs-3", "Observation.referenceRange[0]", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"referenceRange":[{"type":{"text":"x"}}]}`},
	{"obs-6", "Observation", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueString":"x","dataAbsentReason":{"text":"y"}}`},
	{"obs-7", "Observation", `{"resourceType":"Observation","status":"final","code":{"coding":[{"system":"s:1","code":"x"}]},"valueString":"x","component":[{"code":{"coding":[{"system":"s:1","code":"x"}]},"valueString":"x"}]}`},
	{"rng-2", "Observation.value", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueRange":{"low":{"value":3},"high":{"value":2}}}`},
	{"rat-1", "Observation.value", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueRatio":{"numerator":{"value":3}}}`},
	{"sqty-1", "Observation.value.low", `{"resourceType":"Observation","status":"final","code":{"text":"x"},"valueRange":{"low":{"value":3,"comparator":"<"}}}`},
	{"con-4", "Condition", `{"resourceType":"Condition","subject":{"display":"x"},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},"abatementString":"x"}`},
	{"con-5", "Condition", `{"resourceType":"Condition","subject":{"display":"x"},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"active"}]},"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"entered-in-error"}]}}`},
	{"con-2", "Condition.evidence[0]", `{"resourceType":"Condition","subject":{"display":"x"},"evidence":[{"extension":[{"url":"a:b","valueInteger":1}]}]}`},
	{"ait-1", "AllergyIntolerance", `{"resourceType":"AllergyIntolerance","patient":{"display":"x"}}`},
	{"app-2", "Appointment", `{"resourceType":"Appointment","status":"cancelled","start":"2020-01-01T00:00:00Z","participant":[{"status":"accepted","actor":{"display":"x"}}]}`},
	{"app-3", "Appointment", `{"resourceType":"Appointment","status":"booked","participant":[{"status":"accepted","actor":{"display":"x"}}]}`},
	{"app-1", "Appointment.participant[0]", `{"resourceType":"Appointment","status":"cancelled","participant":[{"status":"accepted"}]}`},
	{"org-1", "Organization", `{"resourceType":"Organization","active":true}`},
	{"org-2", "Organization.address[0]", `{"resourceType":"Organization","name":"x","address":[{"use":"home"}]}`},
	{"org-3", "Organization.telecom[0]", `{"resourceType":"Organization","name":"x","telecom":[{"use":"home"}]}`},
	{"bdl-1", "Bundle", `{"resourceType":"Bundle","type":"collection","total":1}`},
	{"bdl-3", "Bundle", `{"resourceType":"Bundle","type":"batch","entry":[{"resource":{"resourceType":"Basic","code":{"text":"x"}}}]}`},
	{"bdl-5", "Bundle.entry[0]", `{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"a:b"}]}`},
	{"bdl-7", "Bundle", `{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"a:b","resource":{"resourceType":"Basic","code":{"text":"x"}}},{"fullUrl":"a:b","resource":{"resourceType":"Basic","code":{"text":"x"}}}]}`},
	{"bdl-8", "Bundle.entry[0]", `{"resourceType":"Bundle","type":"collection","entry":[{"fullUrl":"http://a/Basic/1/_history/2","resource":{"resourceType":"Basic","code":{"text":"x"}}}]}`},
	{"bdl-9", "Bundle", `{"resourceType":"Bundle","type":"document","timestamp":"2020-01-01T00:00:00Z","entry":[{"resource":{"resourceType":"Composition","status":"final","type":{"text":"x"},"date":"2020","author":[{"display":"x"}],"title":"x"}}]}`},
	{"bdl-11", "Bundle", `{"resourceType":"Bundle","type":"document","identifier":{"system":"a:b","value":"x"},"timestamp":"2020-01-01T00:00:00Z","entry":[{"resource":{"resourceType":"Basic","code":{"text":"x"}}}]}`},
	{"inv-1", "Parameters.parameter[0]", `{"resourceType":"Parameters","parameter":[{"name":"x","valueString":"x","part":[{"name":"y","valueString":"z"}]}]}`},
	{"que-1", "Questionnaire.item[0]", `{"resourceType":"Questionnaire","status":"active","item":[{"linkId":"1","type":"group"}]}`},
	{"que-2", "Questionnaire", `{"resourceType":"Questionnaire","status":"active","item":[{"linkId":"1","type":"string"},{"linkId":"1","type":"string"}]}`},
	{"tim-1", "ServiceRequest.occurrence.repeat", `{"resourceType":"ServiceRequest","status":"active","intent":"order","subject":{"display":"x"},"occurrenceTiming":{"repeat":{"duration":1}}}`},
	{"imm-1", "Immunization.education[0]", `{"resourceType":"Immunization","status":"completed","vaccineCode":{"text":"x"},"patient":{"display":"x"},"occurrenceString":"x","education":[{"publicationDate":"2020"}]}`},
	{"csd-0", "CodeSystem", `{"resourceType":"CodeSystem","status":"active","content":"complete","name":"not a name"}`},
	{"csd-1", "CodeSystem", `{"resourceType":"CodeSystem","status":"active","content":"complete","concept":[{"code":"a","concept":[{"code":"a"}]}]}`},
}

func TestBrokenRules(t *testing.T) {
	for _, c := range broken {
		r, err := fhir.Parse([]byte(c.json))
		if err != nil {
			t.Errorf("%s: %v", c.rule, err)
			continue
		}
		found := false
		for _, i := range Validate(t.Context(), r, Options{}) {
			if i.Code == "invariant" && i.Expression[0] == c.at && (strings.Contains(i.Diagnostics, "(rule "+c.rule+")") || strings.Contains(i.Diagnostics, "breaks rule "+c.rule+",")) {
				found = true
			} else if i.Code != "invariant" {
				t.Errorf("%s: %v", c.rule, i)
			}
		}
		if !found {
			t.Errorf("%s at %s was not found in %s: %v", c.rule, c.at, c.json, Validate(t.Context(), r, Options{}))
		}
		for _, i := range Validate(t.Context(), r, Options{Structure: true}) {
			t.Errorf("%s: the structural level says %v", c.rule, i)
		}
	}
	t.Logf("%d broken rules", len(broken))
}

// Every example is also valid after the trip that a client's own JSON library makes of it.
func TestOrderOfMembersDoesNotMatter(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(spectest.Dir(t), "fhir-test-cases/r4/examples/*.json"))
	if err != nil {
		t.Fatal(err)
	}
	for _, file := range files {
		b, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		d := json.NewDecoder(strings.NewReader(string(b)))
		d.UseNumber()
		var v any
		if err := d.Decode(&v); err != nil {
			t.Fatal(err)
		}
		sorted, err := json.Marshal(v)
		if err != nil {
			t.Fatal(err)
		}
		before, err := fhir.Parse(b)
		if err != nil {
			t.Fatal(err)
		}
		after, err := fhir.Parse(sorted)
		if err != nil {
			t.Fatal(err)
		}
		x, y := Validate(t.Context(), before, Options{}), Validate(t.Context(), after, Options{})
		if len(x) != len(y) {
			t.Errorf("%s: %d issues as published, %d with members sorted", filepath.Base(file), len(x), len(y))
		}
	}
}
