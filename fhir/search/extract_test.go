package search_test

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/internal/spectest"
)

var update = flag.Bool("update", false, "rewrite the golden files")

const patient = `{"resourceType":"Patient","id":"p1","meta":{"lastUpdated":"2026-03-01T09:30:00.123456Z","tag":[{"system":"http://t","code":"x"}]},
 "identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000018","type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0203","code":"NH","display":"National"}]}},{"value":"A1"}],
 "active":true,"gender":"female","birthDate":"1970-03","deceasedDateTime":"2020-02-29T10:00:00+01:00",
 "name":[{"family":"O’Neill","given":["Siân","Łucja  M"],"prefix":["Dr"]}],
 "telecom":[{"system":"phone","value":"01632 960587"},{"system":"email","value":"a@example.org"}],
 "address":[{"line":["1 High St"],"city":"Ærø","postalCode":"LS1 6AE"}],
 "communication":[{"language":{"coding":[{"system":"urn:ietf:bcp:47","code":"cy"}],"text":"Cymraeg"}}],
 "generalPractitioner":[{"reference":"Practitioner/g1/_history/2"},{"identifier":{"system":"https://ods","value":"B81001"},"type":"Organization"}],
 "managingOrganization":{"reference":"https://example.org/FHIR/R4/Organization/o1"}}`

const observation = `{"resourceType":"Observation","id":"o1","status":"final",
 "category":[{"coding":[{"system":"http://c","code":"vital-signs"}]}],
 "code":{"coding":[{"system":"http://loinc.org","code":"85354-9","display":"Blood pressure"},{"system":"http://snomed.info/sct","code":"75367002"}],"text":"BP"},
 "subject":{"reference":"Patient/p1"},"encounter":{"reference":"#e"},"contained":[{"resourceType":"Encounter","id":"e"}],
 "effectivePeriod":{"start":"2020-01-01"},
 "valueQuantity":{"value":6.30,"unit":"mmol/l","system":"http://unitsofmeasure.org","code":"mmol/L"},
 "component":[{"code":{"coding":[{"code":"sys"}]},"valueQuantity":{"value":107,"comparator":"<","unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}]}`

func parse(t testing.TB, s string) *fhir.Resource {
	t.Helper()
	r, err := fhir.Parse([]byte(s))
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// shown writes a value as one line.
func shown(v search.Value) string {
	switch v := v.(type) {
	case search.Token:
		s := "token " + v.System + "|" + v.Code
		if v.Implied != "" {
			s += " implied " + v.Implied
		}
		if v.Text != "" {
			s += " " + fmt.Sprintf("%q", v.Text)
		}
		if len(v.Types) > 0 {
			s += fmt.Sprintf(" of %v", v.Types)
		}
		return s
	case search.String:
		return fmt.Sprintf("string %q %q", v.Folded, v.Text)
	case search.Date:
		return "date " + instant(v.Lo) + " to " + instant(v.Hi)
	case search.Number:
		return "number " + ends(v)
	case search.Quantity:
		s := "quantity " + ends(v.Number) + " " + v.System + "|" + v.Code + " " + fmt.Sprintf("%q", v.Unit)
		if v.Base.Code != "" {
			s += " = " + ends(v.Base.Number) + " " + v.Base.Code
		}
		return s
	case search.Reference:
		s := fmt.Sprintf("reference %s [%s %s/%s %s]", v.URL, v.Base, v.Type, v.ID, v.Version)
		if v.Identifier.Code != "" {
			s += " identified by " + shown(v.Identifier)
		}
		return s
	case search.URI:
		return "uri " + v.URI
	case search.Composite:
		var parts []string
		for _, p := range v.Parts {
			parts = append(parts, shown(p))
		}
		return "composite (" + strings.Join(parts, ") (") + ")"
	case search.Near:
		return fmt.Sprintf("near %g %g", v.Latitude, v.Longitude)
	}
	return fmt.Sprintf("%#v", v)
}

func ends(n search.Number) string { return fmt.Sprintf("%.6g..%.6g..%.6g", n.Lo, n.Value, n.Hi) }

func instant(us int64) string {
	switch us {
	case search.Beginning:
		return "beginning"
	case search.Forever:
		return "forever"
	}
	return time.UnixMicro(us).UTC().Format("2006-01-02T15:04:05.999999")
}

func lines(t testing.TB, r *fhir.Resource) []string {
	t.Helper()
	entries, err := search.Extract(r)
	if err != nil {
		t.Fatal(err)
	}
	var out []string
	for _, e := range entries {
		out = append(out, e.Code+": "+shown(e.Value))
	}
	return out
}

func TestExtract(t *testing.T) {
	for _, c := range []struct{ doc, want string }{
		{patient, `
_id: token |p1
_lastUpdated: date 2026-03-01T09:30:00.123456 to 2026-03-01T09:30:00.123456
_tag: token http://t|x
active: token |true
address: string "1 high st" "1 High St"
address: string "aero" "Ærø"
address: string "ls1 6ae" "LS1 6AE"
birthdate: date 1970-03-01T00:00:00 to 1970-03-31T23:59:59.999999
death-date: date 2020-02-29T09:00:00 to 2020-02-29T09:00:00.999999
deceased: token |true
email: token |a@example.org
family: string "o'neill" "O’Neill"
gender: token |female implied http://hl7.org/fhir/administrative-gender
general-practitioner: reference Practitioner/g1 [ Practitioner/g1 2]
general-practitioner: reference  [ Organization/ ] identified by token https://ods|B81001
given: string "lucja m" "Łucja  M"
given: string "sian" "Siân"
identifier: token https://fhir.nhs.uk/Id/nhs-number|9990000018 "National" of [{http://terminology.hl7.org/CodeSystem/v2-0203 NH}]
identifier: token |A1
language: token urn:ietf:bcp:47|cy
language: token | "Cymraeg"
name: string "dr" "Dr"
organization: reference https://example.org/FHIR/R4/Organization/o1 [https://example.org/FHIR/R4/ Organization/o1 ]
phone: token |01632 960587`},
		{observation, `
category: token http://c|vital-signs
code: token http://snomed.info/sct|75367002
code: token | "BP"
code-value-quantity: composite (token http://loinc.org|85354-9 "Blood pressure") (quantity 6.295..6.3..6.305 http://unitsofmeasure.org|mmol/L "mmol/l" = 0.006295..0.0063..0.006305 mol/L)
code-value-quantity: composite (token http://snomed.info/sct|75367002) (quantity 6.295..6.3..6.305 http://unitsofmeasure.org|mmol/L "mmol/l" = 0.006295..0.0063..0.006305 mol/L)
combo-code-value-quantity: composite (token |sys) (quantity -Inf..107..107 http://unitsofmeasure.org|mm[Hg] "mmHg" = -Inf..14265.5..14265.5 Pa)
component-value-quantity: quantity -Inf..107..107 http://unitsofmeasure.org|mm[Hg] "mmHg" = -Inf..14265.5..14265.5 Pa
date: date 2020-01-01T00:00:00 to forever
patient: reference Patient/p1 [ Patient/p1 ]
status: token |final implied http://hl7.org/fhir/observation-status
subject: reference Patient/p1 [ Patient/p1 ]`},
		{`{"resourceType":"Patient","deceasedBoolean":false,"birthDate":"1970-02-31"}`, `deceased: token |false`},
		{`{"resourceType":"Patient"}`, `deceased: token |false`},
		{`{"resourceType":"RiskAssessment","prediction":[{"probabilityDecimal":0.50},{"probabilityRange":{"low":{"value":1},"high":{"value":2}}}]}`, `
probability: number 0.495..0.5..0.505
probability: number 0.5..1.5..2.5`},
		{`{"resourceType":"Location","position":{"longitude":-1.54,"latitude":53.8}}`, `near: near 53.8 -1.54`},
		{`{"resourceType":"ValueSet","url":"http://v","compose":{"include":[{"system":"http://s","valueSet":["http://w|2"]}]}}`, `
url: uri http://v
reference: uri http://s`},
		{`{"resourceType":"QuestionnaireResponse","questionnaire":"http://q/Questionnaire/a|1.0"}`, `questionnaire: reference http://q/Questionnaire/a [http://q/ Questionnaire/a 1.0]`},
		{`{"resourceType":"ServiceRequest","occurrenceTiming":{"event":["2020-05","2020-01-02"],"repeat":{"boundsPeriod":{"end":"2021"}}}}`, `occurrence: date beginning to 2021-12-31T23:59:59.999999`},
		{`{"resourceType":"Bundle","entry":[{"resource":{"resourceType":"Composition","id":"c"}},{"resource":{"resourceType":"Patient","id":"x"}}]}`, `composition: reference Composition/c [ Composition/c ]`},
		{`{"resourceType":"Observation","valueSampledData":{"origin":{"value":10,"system":"http://unitsofmeasure.org","code":"mV"},"factor":2,"data":"1 E -3 4"}}`, `value-quantity: quantity 4..11..18 http://unitsofmeasure.org|mV "" = 0.004..0.011..0.018 V`},
		{`{"resourceType":"Invoice","totalNet":{"value":12.50,"currency":"GBP"}}`, `totalnet: quantity 12.495..12.5..12.505 urn:iso:std:iso:4217|GBP "GBP"`},
		{`{"resourceType":"MolecularSequence","referenceSeq":{"chromosome":{"coding":[{"code":"7"}]}},"variant":[{"start":5,"end":9}]}`, `chromosome-variant-coordinate: composite (token |7) (number 5..5..5) (number 9..9..9)`},
	} {
		got := lines(t, parse(t, c.doc))
		for _, want := range strings.Split(strings.TrimSpace(c.want), "\n") {
			if !slices.Contains(got, want) {
				t.Errorf("not found: %s\namong:\n  %s", want, strings.Join(got, "\n  "))
			}
		}
	}
	got := lines(t, parse(t, observation))
	for _, code := range []string{"encounter:", "value-concept:", "code-value-concept:"} {
		if i := slices.IndexFunc(got, func(l string) bool { return strings.HasPrefix(l, code) }); i >= 0 {
			t.Errorf("unexpected: %s", got[i])
		}
	}
	if _, err := search.Extract(parse(t, `{"resourceType":"Pirate"}`)); !fault.Is(err, fault.Unprocessable) {
		t.Errorf("an unknown type: %v", err)
	}
}

func TestChartAndCompartments(t *testing.T) {
	for doc, want := range map[string]string{
		patient:     "p1",
		observation: "p1",
		`{"resourceType":"Observation","subject":{"reference":"Group/g"},"performer":[{"reference":"Patient/p2"}]}`:                                                  "",
		`{"resourceType":"Appointment","participant":[{"actor":{"reference":"Patient/a"}},{"actor":{"reference":"Patient/b"}},{"actor":{"reference":"Patient/a"}}]}`: "",
		`{"resourceType":"Provenance","target":[{"reference":"Patient/a"},{"reference":"Observation/o"},{"reference":"Patient/a/_history/2"}]}`:                      "a",
		`{"resourceType":"Provenance","target":[{"reference":"Patient/a"},{"reference":"Patient/b"}]}`:                                                               "",
		`{"resourceType":"AppointmentResponse","actor":{"reference":"Patient/a"}}`:                                                                                   "a",
		`{"resourceType":"Person","link":[{"target":{"reference":"Patient/a"}}]}`:                                                                                    "",
		`{"resourceType":"SupplyRequest","deliverTo":{"reference":"Patient/a"}}`:                                                                                     "a",
		`{"resourceType":"Task","for":{"reference":"Patient/a"},"requester":{"reference":"Patient/b"}}`:                                                              "a",
		`{"resourceType":"Account","subject":[{"reference":"Device/d"},{"reference":"Patient/a"}]}`:                                                                  "a",
		`{"resourceType":"Flag","subject":{"reference":"Patient/"}}`:                                                                                                 "",
		`{"resourceType":"AllergyIntolerance","patient":{"reference":"https://example.org/Patient/p3"}}`:                                                             "",
		`{"resourceType":"AllergyIntolerance","patient":{"reference":"Patient/p3/_history/1"}}`:                                                                      "p3",
		`{"resourceType":"Appointment","participant":[{"actor":{"reference":"Practitioner/x"}},{"actor":{"reference":"Patient/p4"}}]}`:                               "p4",
		`{"resourceType":"Organization","id":"o"}`:                                                                                                                   "",
		`{"resourceType":"Condition","subject":{"reference":"#p"},"contained":[{"resourceType":"Patient","id":"p"}]}`:                                                "",
	} {
		if got := search.Chart(parse(t, doc)); got != want {
			t.Errorf("chart %q, want %q: %.80s", got, want, doc)
		}
	}
	all := search.Compartments(parse(t, `{"resourceType":"Observation","subject":{"reference":"Patient/a"},"encounter":{"reference":"Encounter/e"},"performer":[{"reference":"Practitioner/d"},{"reference":"Patient/a"},{"reference":"Patient/b"}],"device":{"reference":"Device/v"}}`))
	if got := fmt.Sprint(all); got != "[{Device v} {Encounter e} {Patient a} {Patient b} {Practitioner d}]" {
		t.Errorf("compartments %s", got)
	}
}

func TestFold(t *testing.T) {
	for in, want := range map[string]string{
		"  O’Neill  Siân ": "o'neill sian", "SMITH": "smith", "smith": "smith", "Straße": "strasse", "Łódź": "lodz", "Ærøskøbing": "aeroskobing",
		"ﬁn": "fin", "Zoë\u00a0Anne": "zoe anne", "İstanbul": "istanbul", "Jean–Luc": "jean-luc", "\t": "", "": "", "李": "李", "e\u0301": "e",
	} {
		if got := search.Fold(in); got != want {
			t.Errorf("Fold(%q) = %q, want %q", in, got, want)
		}
	}
}

func FuzzFold(f *testing.F) {
	f.Add("O’Neill")
	f.Add("  a\u0301 B")
	f.Add("\xe2\u0380\xf6ā")
	f.Fuzz(func(t *testing.T, s string) {
		once := search.Fold(s)
		if twice := search.Fold(once); twice != once {
			t.Errorf("folded again, %q becomes %q", once, twice)
		}
	})
}

func TestParseDate(t *testing.T) {
	london, err := time.LoadLocation("Europe/London")
	if err != nil {
		t.Fatal(err)
	}
	for s, want := range map[string]string{
		"2020":                            "2020-01-01T00:00:00 to 2020-12-31T23:59:59.999999",
		"2020-02":                         "2020-02-01T00:00:00 to 2020-02-29T23:59:59.999999",
		"2020-07-01":                      "2020-06-30T23:00:00 to 2020-07-01T22:59:59.999999",
		"2020-07-01T10:00":                "2020-07-01T09:00:00 to 2020-07-01T09:00:59.999999",
		"2020-07-01T10:00:00Z":            "2020-07-01T10:00:00 to 2020-07-01T10:00:00.999999",
		"2020-07-01T10:00:00.1+01:00":     "2020-07-01T09:00:00.1 to 2020-07-01T09:00:00.199999",
		"2020-07-01T10:00:00.1234567890Z": "2020-07-01T10:00:00.123456 to 2020-07-01T10:00:00.123456",
		"2020-07-01T10:00-05:30":          "2020-07-01T15:30:00 to 2020-07-01T15:30:59.999999",
	} {
		d, err := search.ParseDate(s, london)
		if got := instant(d.Lo) + " to " + instant(d.Hi); err != nil || got != want {
			t.Errorf("%s is %s (%v), want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "20", "0000", "2020-", "2020-13", "2020-1", "2020-02-30", "1900-02-29", "2020-01-01T", "2020-01-01T24:00", "2020-01-01T10", "2020-01-01T10:60",
		"2020-01-01T10:00:61", "2020-01-01T10:00:00.", "2020-01-01T10:00:00+1", "2020-01-01T10:00:00+15:00", "2020-01-01 10:00", "2020-01-01T10:00:00ZZ", "-2020", "2020/01/01", "２０２０"} {
		if d, err := search.ParseDate(s, london); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q was taken for %v", s, d)
		}
	}
}

func FuzzParseDate(f *testing.F) {
	f.Add("2020-07-01T10:00:00.123+01:00")
	f.Fuzz(func(t *testing.T, s string) {
		if d, err := search.ParseDate(s, time.UTC); err == nil && d.Lo > d.Hi {
			t.Errorf("%q ends before it begins", s)
		}
	})
}

func TestNumbers(t *testing.T) {
	for s, want := range map[string]string{"100": "99.5..100..100.5", "100.00": "99.995..100..100.005", "1e2": "50..100..150", "-0.5": "-0.55..-0.5..-0.45", "0": "-0.5..0..0.5"} {
		n, err := search.ParseNumber(s)
		if got := ends(n); err != nil || got != want {
			t.Errorf("%s is %s (%v), want %s", s, got, err, want)
		}
	}
	for _, s := range []string{"", "abc", "1.2.3", "0x10", "Inf", "NaN", "1_000", "1e999", "1e99999999999999999999"} {
		if n, err := search.ParseNumber(s); !fault.Is(err, fault.Invalid) {
			t.Errorf("%q was taken for %v", s, n)
		}
	}
	one := search.Number{Lo: 1, Hi: 1, Value: 1}
	for code, want := range map[string]string{"mg": "0.001 g", "mg/dL": "0.01 g/L", "mmol/L": "0.001 mol/L", "/min": "0.0166667 1/s", "{beats}/min": "0.0166667 1/s", "Cel": "274.15 K", "10*9/L": "1e+09 1/L", "[in_i]": "0.0254 m"} {
		m, ok := search.Canonical(one, code)
		if got := fmt.Sprintf("%.6g %s", m.Value, m.Code); !ok || got != want {
			t.Errorf("%s is %s, want %s", code, got, want)
		}
	}
	for _, code := range []string{"", "furlong", "mg/dL/h", "mg/furlong", "m.s"} {
		if m, ok := search.Canonical(one, code); ok {
			t.Errorf("%q became %v", code, m)
		}
	}
}

// TestExamples extracts from every published example and compares a summary with a golden file.
func TestExamples(t *testing.T) {
	files, err := filepath.Glob(filepath.Join(spectest.Dir(t, "fhir-test-cases", "r4", "examples"), "*.json"))
	if err != nil || len(files) < 60 {
		t.Fatalf("%d examples: %v", len(files), err)
	}
	var b strings.Builder
	total := 0
	for _, file := range files {
		doc, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		r := parse(t, string(doc))
		counts := map[string]int{}
		var order []string
		entries, err := search.Extract(r)
		if err != nil {
			t.Errorf("%s: %v", filepath.Base(file), err)
		}
		for _, e := range entries {
			if counts[e.Code]++; counts[e.Code] == 1 {
				order = append(order, e.Code)
			}
		}
		total += len(entries)
		fmt.Fprintf(&b, "%s chart=%q", filepath.Base(file), search.Chart(r))
		for _, code := range order {
			fmt.Fprintf(&b, " %s=%d", code, counts[code])
		}
		b.WriteByte('\n')
	}
	t.Logf("%d values from %d examples", total, len(files))
	golden := filepath.Join("testdata", "examples.golden")
	if *update {
		if err := os.MkdirAll("testdata", 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(golden, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(golden)
	if err != nil {
		t.Fatal(err)
	}
	if b.String() != string(want) {
		t.Errorf("what is found by has changed; read the difference, then run with -update:\n%s", b.String())
	}
}

func TestTexts(t *testing.T) {
	r := parse(t, `{"resourceType":"Patient","text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p>Siân &amp; <!-- no > no --><b>Co</b></p></div>"},"name":[{"family":"Émile"}]}`)
	if got := search.Narrative(r); got != "sian & co" {
		t.Errorf("narrative %q", got)
	}
	if got := search.Content(r); got != "generated sian & co emile" {
		t.Errorf("content %q", got)
	}
}

// FuzzExtract: whatever a document holds, values come out or it is refused; nothing fails.
func FuzzExtract(f *testing.F) {
	f.Add([]byte(patient))
	f.Add([]byte(observation))
	f.Add([]byte(`{"resourceType":"Bundle","entry":[{"resource":7}]}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := fhir.Parse(b)
		if err != nil {
			return
		}
		entries, err := search.Extract(r)
		if known := definition.R4().IsResource(r.Type()); known != (err == nil) {
			t.Fatalf("%s: %v", r.Type(), err)
		}
		for _, e := range entries {
			if d, ok := e.Value.(search.Date); ok && d.Lo > d.Hi {
				t.Fatalf("%s ends before it begins", e.Code)
			}
		}
		search.Compartments(r)
		search.Content(r)
	})
}

func BenchmarkExtract(b *testing.B) {
	for name, doc := range map[string]string{"patient": patient, "observation": observation} {
		r := parse(b, doc)
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for b.Loop() {
				if _, err := search.Extract(r); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
	r := parse(b, observation)
	b.Run("chart", func(b *testing.B) {
		b.ReportAllocs()
		for b.Loop() {
			if search.Chart(r) != "p1" {
				b.Fatal("chart")
			}
		}
	})
}
