package validate_test

import (
	"context"
	"fmt"
	"strings"
	"sync"
	"testing"
	"testing/fstest"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/validate"
)

type issue = fault.Issue

// goodPatient is valid, and uses most of what can go wrong. Mutations replace one of its lines.
const goodPatient = `{
"resourceType":"Patient",
"id":"p1",
"meta":{"versionId":"1","lastUpdated":"2024-02-29T23:59:59.123+01:00","profile":["https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient"],"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},
"language":"en-GB",
"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><p class=\"x\">Ada <b>Smith</b> &amp; co<br/></p></div>"},
"contained":[{"resourceType":"Organization","id":"gp","name":"Practice"}],
"extension":[{"url":"http://example.org/a","valueInteger":3},{"url":"http://example.org/b","extension":[{"url":"inner","valueString":"x"}]}],
"identifier":[{"use":"official","system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000018","period":{"start":"2001","end":"2002-05"}}],
"active":true,
"name":[{"use":"usual","family":"Smith","given":["Ada","Mary"],"_given":[null,{"extension":[{"url":"http://example.org/c","valueCode":"x"}]}]}],
"telecom":[{"system":"phone","value":"01632 960587","rank":1}],
"gender":"female",
"birthDate":"1950-02-28",
"_birthDate":{"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthTime","valueDateTime":"1950-02-28T10:00:00Z"}]},
"deceasedBoolean":false,
"address":[{"line":["1 High St"],"city":"Leeds"}],
"maritalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-MaritalStatus","code":"M"}]},
"multipleBirthInteger":2,
"photo":[{"contentType":"image/png","data":"aGVsbG8=","title":"me"}],
"contact":[{"name":{"text":"Bob"},"gender":"male"}],
"communication":[{"language":{"text":"English"},"preferred":true}],
"generalPractitioner":[{"reference":"#gp"},{"reference":"https://example.org/FHIR/R4/Practitioner/1"},{"reference":"urn:uuid:c757873d-ec9a-4326-a141-556f43239520"}],
"managingOrganization":{"reference":"Organization/1/_history/2","type":"Organization"},
"link":[{"other":{"reference":"Patient/2"},"type":"seealso"}]
}`

// parse reads a document as JSON alone: fhir.Parse refuses some of the faults that are tested here.
func parse(t testing.TB, s string) fhir.Node {
	t.Helper()
	n, err := fhir.ParseJSON([]byte(s), fhir.Limits{})
	if err != nil {
		t.Fatalf("the test's own document cannot be read: %v\n%s", err, s)
	}
	return n
}

func TestGoodPatientIsValid(t *testing.T) {
	for _, structure := range []bool{true, false} {
		if issues := validate.Node(t.Context(), parse(t, goodPatient), validate.Options{Structure: structure}); len(issues) > 0 {
			t.Errorf("structure %v: %s", structure, show(issues[0]))
		}
	}
}

// replaced is goodPatient with the line that starts with a member's name replaced, or a line added.
func replaced(t testing.TB, line string) string {
	t.Helper()
	name := line[:strings.Index(line, ":")+1]
	lines := strings.Split(goodPatient, "\n")
	for i, l := range lines {
		if strings.HasPrefix(l, name) {
			comma := ","
			if !strings.HasSuffix(l, ",") {
				comma = ""
			}
			lines[i] = line + comma
			return strings.Join(lines, "\n")
		}
	}
	return strings.Replace(goodPatient, "\"resourceType\":\"Patient\",", "\"resourceType\":\"Patient\",\n"+line+",", 1)
}

// want is a mutation's one expected error.
type want struct{ line, code, at, words string }

func TestBadPatients(t *testing.T) {
	for _, c := range badPatients {
		s := replaced(t, c.line)
		issues := validate.Node(t.Context(), parse(t, s), validate.Options{Structure: true})
		expect(t, c.line, issues, c.code, c.at, c.words)
	}
	t.Logf("%d mutations of a patient", len(badPatients))
}

// expect holds a list of issues to exactly one error.
func expect(t *testing.T, name string, issues []issue, code, at, words string) {
	t.Helper()
	var errs []issue
	for _, i := range issues {
		if i.Severity == "error" {
			errs = append(errs, i)
		}
	}
	if len(errs) != 1 {
		var all strings.Builder
		for _, e := range errs {
			fmt.Fprintf(&all, "\n    %s", show(e))
		}
		t.Errorf("%.160s\n  gave %d errors, want one %s at %s%s", name, len(errs), code, at, all.String())
		return
	}
	e := errs[0]
	if e.Code != code || len(e.Expression) != 1 || e.Expression[0] != at || !strings.Contains(e.Diagnostics, words) {
		t.Errorf("%.160s\n  gave %s\n  want error %s %s: …%s…", name, show(e), code, at, words)
	}
	if !strings.HasSuffix(e.Diagnostics, ".") && !strings.HasSuffix(e.Diagnostics, "?") && !strings.Contains(e.Diagnostics, "requires that") {
		t.Errorf("%q is not a sentence", e.Diagnostics)
	}
}

func TestUnknownResourceType(t *testing.T) {
	for _, s := range []string{`{"resourceType":"Patiant"}`, `{"resourceType":"DomainResource"}`, `{"resourceType":"HumanName","family":"x"}`} {
		r, err := fhir.Parse([]byte(s))
		if err != nil {
			continue // refused earlier still
		}
		expect(t, s, validate.Validate(t.Context(), r, validate.Options{}), "structure", r.Type(), "resourceType")
	}
}

func TestOtherResources(t *testing.T) {
	for _, c := range badOthers {
		issues := validate.Node(t.Context(), parse(t, c.line), validate.Options{Structure: true})
		expect(t, c.line, issues, c.code, c.at, c.words)
	}
	t.Logf("%d bad resources of other types", len(badOthers))
}

func TestGoodOnes(t *testing.T) {
	for _, s := range goodOnes {
		for _, i := range validate.Node(t.Context(), parse(t, s), validate.Options{Structure: true}) {
			t.Errorf("%.160s\n  gave %s", s, show(i))
		}
	}
	for _, line := range goodLines {
		for _, i := range validate.Node(t.Context(), parse(t, replaced(t, line)), validate.Options{Structure: true}) {
			t.Errorf("%.160s\n  gave %s", line, show(i))
		}
	}
}

// A code from outside a preferred binding's outer bound is worth a warning, and no more.
func TestOuterBoundWarns(t *testing.T) {
	n := parse(t, replaced(t, `"communication":[{"language":{"coding":[{"system":"https://fhir.hl7.org.uk/CodeSystem/UKCore-HumanLanguage","code":"fr"}]}}]`))
	issues := validate.Node(t.Context(), n, validate.Options{})
	if len(issues) != 1 || issues[0].Severity != "warning" || issues[0].Code != "code-invalid" || issues[0].Expression[0] != "Patient.communication[0].language" {
		t.Errorf("want one warning, got %v", issues)
	}
}

func TestCancelled(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	for _, i := range validate.Node(ctx, parse(t, `{"resourceType":"Patient","gender":"x","contact":[{"gender":"male"}]}`), validate.Options{}) {
		if i.Code == "invariant" {
			t.Errorf("an invariant was tested after the call was cancelled: %s", show(i))
		}
	}
}

// Many callers may share a definition set that nobody has validated against before.
func TestManyAtOnce(t *testing.T) {
	fresh, err := definition.LoadFS(definition.R4(), "none", fstest.MapFS{})
	if err != nil {
		t.Fatal(err)
	}
	var wg sync.WaitGroup
	for i := range 16 {
		wg.Go(func() {
			s := goodOnes[i%len(goodOnes)]
			r, err := fhir.Parse([]byte(s))
			if err != nil {
				t.Errorf("%v", err)
				return
			}
			if issues := validate.Structure(r, fresh); len(issues) > 0 {
				t.Errorf("%s: %s", s, show(issues[0]))
			}
		})
	}
	wg.Wait()
}

func TestLimit(t *testing.T) {
	var b strings.Builder
	b.WriteString(`{"resourceType":"Patient"`)
	for i := range 500 {
		fmt.Fprintf(&b, `,"x%d":1`, i)
	}
	b.WriteString("}")
	issues := validate.Node(t.Context(), parse(t, b.String()), validate.Options{Structure: true, Limit: 10})
	if len(issues) != 11 || issues[10].Code != "processing" {
		t.Errorf("%d issues, the last %s", len(issues), show(issues[len(issues)-1]))
	}
}

// What a sender wrote about a person never comes back in an issue.
func TestIssuesRepeatNoContent(t *testing.T) {
	const secret = "Zebedee"
	for _, line := range []string{
		`"birthDate":"Zebedee"`, `"gender":"Zebedee Zebedee Zebedee Zebedee Zebedee Zebedee"`, `"managingOrganization":{"reference":"Zebedee"}`,
		`"managingOrganization":{"reference":"#Zebedee"}`, `"name":"Zebedee"`, `"active":"Zebedee"`, `"identifier":[{"value":["Zebedee"]}]`,
		`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"javascript:Zebedee\">Zebedee</a></div>"}`,
		`"photo":[{"data":"Zebedee!"}]`, `"id":"Zebedee Zebedee"`, `"extension":[{"url":"Zebedee","valueInteger":3}]`,
	} {
		issues := validate.Node(t.Context(), parse(t, replaced(t, line)), validate.Options{Structure: true})
		if len(issues) == 0 {
			t.Errorf("%s is valid", line)
		}
		for _, i := range issues {
			if strings.Contains(show(i), secret) {
				t.Errorf("%s gave %s", line, show(i))
			}
		}
	}
}

func FuzzValidate(f *testing.F) {
	f.Add([]byte(goodPatient))
	for _, c := range badOthers {
		f.Add([]byte(c.line))
	}
	for _, s := range goodOnes {
		f.Add([]byte(s))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := fhir.Parse(b)
		if err != nil {
			return
		}
		structure := validate.Validate(t.Context(), r, validate.Options{Structure: true, Limit: 1000})
		full := validate.Validate(t.Context(), r, validate.Options{Limit: 1000})
		if validate.Fails(structure) && !validate.Fails(full) {
			t.Fatalf("the structural level refuses what the full one accepts: %s", show(structure[0]))
		}
		for _, i := range full {
			if i.Code == "" || i.Diagnostics == "" || len(i.Expression) != 1 || !strings.HasPrefix(i.Expression[0], r.Type()) {
				t.Fatalf("an issue is not whole: %s", show(i))
			}
		}
	})
}

func BenchmarkStructure(b *testing.B) { benchmark(b, true) }

func BenchmarkFull(b *testing.B) { benchmark(b, false) }

func benchmark(b *testing.B, structure bool) {
	r := parse(b, goodPatient)
	b.SetBytes(int64(len(goodPatient)))
	b.ReportAllocs()
	for b.Loop() {
		if issues := validate.Node(b.Context(), r, validate.Options{Structure: structure}); len(issues) > 0 {
			b.Fatal(show(issues[0]))
		}
	}
}
