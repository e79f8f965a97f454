package demographics_test

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/spectest"
)

const authority = `"extension":[{"url":"https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-RegisteringAuthority","extension":[{"url":"registeringAuthorityType","valueCodeableConcept":{"coding":[{"system":"https://fhir.nhs.uk/CodeSystem/UKCore-RegisteringAuthorityType","code":"x"}]}},{"url":"organisationIdentifier","valueString":"RGS"}]}]`

// newcomer is a request to create somebody.
func newcomer(family, given, born, postcode string) string {
	return fmt.Sprintf(`{"resourceType":"Patient","name":[{"use":"usual","given":["%s"],"family":"%s","period":{"start":"2024-05-02"}}],"address":[{"use":"home","line":["1 Road","Leeds"],"postalCode":"%s","period":{"start":"2024-05-02"}}],"gender":"female","birthDate":"%s",%s}`,
		given, family, postcode, born, authority)
}

func (c *caller) post(path, body string, headers ...string) *answer {
	c.t.Helper()
	return c.do("POST", path, body, append([]string{"Content-Type", "application/json"}, headers...)...)
}

// createExamples are the published requests to create, and the answers that they get.
func createExamples(t *testing.T) []example {
	requests := spectest.Dir(t, "pds", "specification", "components", "examples", "requests", "PatientCreate")
	request := func(name string) string {
		text, err := os.ReadFile(filepath.Join(requests, name))
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
	known := func(number, name, postcode string) []byte {
		given, family, _ := strings.Cut(name, " ")
		return person(number, family, given, "1982-07-10", home(postcode))
	}
	fresh := []string{"id", "identifier.value", "name.id", "address.id"}
	return []example{
		{operation: "create patient", file: "postPatientResponses/new_patient.json", status: 201, ignore: fresh, ask: func(w *world) *answer {
			w.load(known("9990000018", "Jane McMatch-Single", "BAP 4WG"), known("9990000026", "Louisa McMatch-Multiple", "DN19 7UD"), known("9990000034", "Louise McMatch-Multiple", "DN19 7UD"))
			w.worker().post("/Patient", request("Allocate_NHS_Number.json")).want(201)
			return w.worker().post("/Patient", `{"name":[{"family":"Karate-test-vddfhwr","given":["Zebedee"],"period":{"start":"2024-05-02"},"prefix":["Mr"],"use":"usual"}],"address":[{"line":["42405 Bayer Glen"],"period":{"start":"2024-05-02"},"postalCode":"ZUQ9UT","use":"home"}],"birthDate":"1989-08-10","gender":"male",`+authority+`}`)
		}},
		{operation: "create patient", file: "postPatientResponses/SINGLE_MATCH_FOUND.json", status: 200, made: func(string) string {
			return `{"issue":[{"code":"value","details":{"coding":[{"code":"SINGLE_MATCH","display":"Single match found","system":"https://fhir.nhs.uk/R4/CodeSystem/Spine-ErrorOrWarningCode","version":"1"}]},"diagnostics":"Unable to create new patient. NHS number 9990000018 found for supplied demographic data.","severity":"error"}],"resourceType":"OperationOutcome"}`
		}, ask: func(w *world) *answer { return w.worker().post("/Patient", request("Single_Match_found.json")) }},
		{operation: "create patient", file: "postPatientResponses/MULTIPLE_MATCHES_FOUND.json", status: 200, ask: func(w *world) *answer {
			return w.worker().post("/Patient", request("Multi_Match_found.json"))
		}},
		{operation: "record at birth", file: "postPdsRecordAtBirthResponses/new_pds_record_at_birth.json", status: 201, ignore: fresh, ask: func(w *world) *answer {
			return w.worker().post("/Patient/$process-birth-details", bornTo("9990000018", "2026-01-02"))
		}},
	}
}

func bornTo(mother, born string) string {
	return `{"resourceType":"Bundle","type":"message","entry":[{"resource":{"resourceType":"Patient","name":[{"use":"usual","family":"ToRemove","given":["Earnestine","Kerstin"],"period":{"start":"2026-01-02"}}],"gender":"male","birthDate":"` + born + `","multipleBirthInteger":1,
		"address":[{"use":"home","line":["24 Park End St","BROCKLEY"],"postalCode":"BS19 5PZ","period":{"start":"1990-02-28"}}],
		"extension":[{"url":"http://hl7.org/fhir/StructureDefinition/patient-birthPlace","valueAddress":{"city":"Manchester","district":"Greater Manchester","country":"1"}}]}},
		{"resource":{"resourceType":"Observation","valueQuantity":{"value":3500,"unit":"g"}}},
		{"resource":{"resourceType":"Patient","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + mother + `"}]}}]}`
}

func TestNobodyIsRegisteredTwice(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		c := w.worker()
		var all sync.WaitGroup
		statuses := make([]int, 12)
		for i := range statuses {
			all.Go(func() {
				statuses[i] = c.post("/Patient", newcomer([]string{"Smyth", "Smith"}[i%2], "Ann", "1990-02-03", "LS1 6AE")).status
			})
		}
		all.Wait()
		made := 0
		for _, s := range statuses {
			if s == 201 {
				made++
			} else if s != 200 {
				t.Errorf("answered %d", s)
			}
		}
		if made != 1 {
			t.Fatalf("one person was registered %d times", made)
		}
		c.post("/Patient", newcomer("Smith", "Beth", "1990-02-03", "LS1 6AE")).want(201) // her twin
		c.post("/Patient", newcomer("Smith", "Ann", "1990-02-03", "ZE1 0AA")).want(201)  // a namesake born that day, far away
		for _, same := range [][3]string{{"Smith", "Annie", "1990-02-03"}, {"Smith", "Ann", "1990-03-02"}, {"Smith", "Ann", "1990-02-08"}} {
			c.post("/Patient", newcomer(same[0], same[1], same[2], "LS1 6AE")).refused(200, "SINGLE_MATCH", "") // a short name, a slip in the date
		}
		c.post("/Patient", newcomer("Okoro", "Ngozi", "1992-02-03", "LS1 6AE")).want(201)
		c.post("/Patient", newcomer("Ngozi", "Okoro", "1992-02-03", "LS1 6AE")).refused(200, "SINGLE_MATCH", "") // names changed about
		c.post("/Patient", newcomer("Smith", "Ann", "1958-02-03", "LS1 6AE")).want(201)                          // her mother, of one name and birthday
		if got := c.get(query("family", "Smi*", "birthdate", "1990-02-03", "_history", "true")).found(); len(got) < 2 {
			t.Errorf("the registered are found: %v", got)
		}
		id := uuid.NewString()
		first := c.post("/Patient", newcomer("Once", "Olive", "1991-02-03", "LS1 6AE"), "X-Request-ID", id).want(201)
		if again := c.post("/Patient", newcomer("Once", "Olive", "1991-02-03", "LS1 6AE"), "X-Request-ID", id).want(201); again.body != first.body {
			t.Errorf("the same request has another answer:\n%s\n%s", first.body, again.body)
		}
		res := first.json()
		if got := res.Get("address.0.line").Len(); got != 2 || len(res.Get("name.0.id").String()) != 8 || res.Get("meta.versionId").String() != "1" {
			t.Errorf("registered as %s", first.body)
		}
	})
}

func TestRegistrationsAreRefusedInPublishedWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.load(person("9990000018", "Mother", "Mia", "1990-01-01"))
	c := w.worker()
	good := newcomer("Marsh", "Ada", "1990-01-01", "LS1 6AE")
	edit := func(element string, v fhir.Value) string { return changed(t, good, element, v) }
	for _, p := range []struct{ body, code, diagnostics string }{
		{`{"bananas":"in pyjamas"}`, "MISSING_VALUE", "Missing value - 'name'"},
		{`{"name":{"family":"Smith"}}`, "MISSING_VALUE", "Missing value - 'address'"},
		{`{"name":{"family":"Smith"},"address":[{"line":["1"]}]}`, "MISSING_VALUE", "Missing value - 'gender'"},
		{`{"name":{"family":"Smith"},"address":[{"line":["1"]}],"gender":"male"}`, "MISSING_VALUE", "Missing value - 'birthDate'"},
		{edit("gender", fhir.Of("notAValidOption")), "INVALID_VALUE", "Invalid value - 'notAValidOption' in field 'gender'"},
		{edit("birthDate", fhir.Of("not-a-date")), "INVALID_VALUE", "Invalid value - 'not-a-date' in field 'birthDate'"},
		{edit("birthDate", fhir.Of("2199-01-01")), "INVALID_UPDATE", ""},
		{edit("address", fhir.Arr("not", "an", "object")), "INVALID_VALUE", "Invalid value - 'not' in field 'address/0'"},
		{edit("address", fhir.Arr(fhir.Obj("use", "home", "line", fhir.Arr("1 Road")))), "MISSING_VALUE", "Missing value - 'address/0/period'"},
		{edit("name", fhir.Arr(fhir.Obj("use", "usual", "family", "X", "given", "not an array"))), "INVALID_VALUE", "Invalid value - 'not an array' in field 'name/0/given'"},
		{edit("name", fhir.Arr(fhir.Obj("use", "usual", "family", "X"), fhir.Obj("use", "nickname", "family", "X"))), "TOO_MANY_VALUES_SUBMITTED", ""},
		{edit("name", fhir.Arr(fhir.Obj("use", "usual", "family", "😀"))), "UNSUPPORTED_CHARACTERS_IN_FIELD", ""},
		{edit("pets", fhir.Arr("cat")), "ADDITIONAL_PROPERTIES", "Invalid request with error - Additional properties are not allowed ('pets' was unexpected)"},
		{edit("extension", fhir.Arr(fhir.Obj("url", "https://example.org/pets"))), "INVALID_VALUE", ""},
	} {
		c.post("/Patient", p.body).refused(400, p.code, p.diagnostics)
	}
	c.post("/Patient", good, "X-Request-ID", "").refused(400, "MISSING_VALUE", "")
	c.post("/Patient", good, "Content-Type", "text/plain").refused(400, "UNSUPPORTED_SERVICE", "")
	w.patient("9990000018").post("/Patient", good).refused(403, "ACCESS_DENIED", "")
	w.system().post("/Patient", good).refused(403, "ACCESS_DENIED", "")
	c.post("/Patient/$process-birth-details", bornTo("9990000018", "2025-01-02")).refused(400, "INVALID_CREATE", "")
	c.post("/Patient/$process-birth-details", bornTo("9990000026", "2026-01-02")).refused(404, "RESOURCE_NOT_FOUND", "")
	c.post("/Patient/$process-birth-details", `{"resourceType":"Bundle","entry":[]}`).refused(400, "MISSING_VALUE", "Missing value - 'entry'")
}
