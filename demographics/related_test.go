package demographics_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/spectest"
)

// loadRelated files the published related people and cards under their persons, as this node keeps them.
func loadRelated(t *testing.T, w *world, dir string) {
	t.Helper()
	var docs [][]byte
	for _, number := range []string{"9000000009", "9000000017"} {
		for e := range published(t, dir, "relatedPersonResponses/related_person_"+number+".json").Get("entry").Items() {
			docs = append(docs, []byte(filedUnder(t, e.Field("resource"), "patient", number, "")))
		}
	}
	for _, number := range []string{"9000000009", "9733162868"} {
		card := published(t, dir, "coverageResponses/patient_with_coverage_"+number+".json").Get("entry.0.resource")
		docs = append(docs, []byte(filedUnder(t, card, "beneficiary", number, "ehic-"+number)))
	}
	w.load(person("9000000017", "Smyth", "Jayne", "2010-10-22"), person("9733162868", "Card", "Carla", "1990-01-01"))
	w.load(docs...)
}

func published(t *testing.T, dir, file string) *fhir.Resource {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(dir, file))
	if err != nil {
		t.Fatal(err)
	}
	res, err := fhir.Parse(text)
	if err != nil {
		t.Fatal(err)
	}
	return res
}

func filedUnder(t *testing.T, n fhir.Node, by, number, id string) string {
	t.Helper()
	res, err := fhir.Parse(n.Raw())
	if err != nil {
		t.Fatal(err)
	}
	if id != "" {
		res = res.WithID(id)
	}
	out, err := res.Edit().Set(res.Get(by), "reference", fhir.Of("Patient/"+number)).Done()
	if err != nil {
		t.Fatal(err)
	}
	return string(out.JSON())
}

func relatedExamples(t *testing.T, dir string) []example {
	loaded := false
	load := func(w *world) {
		if !loaded {
			loaded = true
			loadRelated(t, w, dir)
		}
	}
	related := func(number string) example {
		return example{operation: "related people", file: "relatedPersonResponses/related_person_" + number + ".json", status: 200, ignore: ignoredOfSet,
			ask: func(w *world) *answer { load(w); return w.worker().get("/Patient/" + number + "/RelatedPerson") }}
	}
	card := func(file, number string) example {
		return example{operation: "coverage", file: "coverageResponses/" + file + ".json", status: 200, ignore: ignoredOfSet,
			ask: func(w *world) *answer {
				load(w)
				return w.patient(number).get("/Coverage?subscriber:identifier=" + number)
			}}
	}
	return []example{related("9000000009"), related("9000000017"), card("patient_with_coverage_9000000009", "9000000009"),
		card("patient_with_coverage_9733162868", "9733162868"), card("patient_without_coverage", "9000000033"),
		{operation: "coverage", file: "../specification/components/examples/CoverageSearch.json", status: 201, ignore: append([]string{"entry.resource.subscriber.type", "entry.resource.beneficiary.type"}, ignoredOfSet...),
			ask: func(w *world) *answer {
				load(w)
				text, err := os.ReadFile(filepath.Join(spectest.Dir(t, "pds", "specification", "components", "examples"), "Coverage.json"))
				if err != nil {
					t.Fatal(err)
				}
				own := w.patient("9000000009")
				ver := own.get("/Coverage?subscriber:identifier=9000000009").header.Get("ETag")
				return own.post("/Coverage", string(text), "If-Match", ver)
			}},
	}
}

func TestACardIsThePersonsOwn(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		w.load(person("9990000018", "Marsh", "Ada", "1980-01-02"), person("9990000026", "Hidden", "Heather", "1970-07-07", restricted))
		w.load([]byte(`{"resourceType":"RelatedPerson","id":"R1","patient":{"reference":"Patient/9990000026"},"name":[{"family":"Mother"}]}`))
		own := w.patient("9990000018")
		const path = "/Coverage?subscriber:identifier=9990000018"
		own.get("/Coverage").refused(400, "INVALID_SEARCH_DATA", "Invalid search data provided - 'Coverage search request must follow the format /Coverage?subscriber:identifier=NHS_NUMBER'")
		own.get(path+"&year=2003").refused(400, "INVALID_SEARCH_DATA", "")
		own.get("/Coverage?subscriber:identifier=9990000026").refused(403, "ACCESS_DENIED", "")
		w.worker().get(path).refused(403, "ACCESS_DENIED", "")
		none := own.get(path).want(200)
		if none.json().Get("total").String() != "0" || none.header.Get("ETag") != `W/"1"` {
			t.Errorf("without a card: %s", none.body)
		}
		card := `{"resourceType":"Coverage","status":"active","subscriber":{"identifier":{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000018"}},"identifier":[{"value":"2940","assigner":{"identifier":{"system":"urn:iso:std:iso:3166","value":"FRA"}}}],"payor":[{"identifier":{"value":"92847"}}],"beneficiary":{"identifier":{"value":"178705ABC"}},"period":{"end":"2030-12-31"}}`
		own.post("/Coverage", card).refused(412, "PRECONDITION_FAILED", "Invalid request with error - If-Match header must be supplied to update this resource")
		own.post("/Coverage", card, "If-Match", `W/"7"`).refused(409, "RESOURCE_VERSION_MISMATCH", "")
		own.post("/Coverage", strings.Replace(card, `"value":"178705ABC"`, `"system":"x"`, 1), "If-Match", `W/"1"`).refused(400, "MISSING_VALUE", "Missing value - 'beneficiary/identifier/value'")
		own.post("/Coverage", strings.Replace(card, `"value":"2940",`, "", 1), "If-Match", `W/"1"`).refused(400, "MISSING_VALUE", "Missing value - 'identifier/0/value'")
		own.post("/Coverage", strings.Replace(card, "2030-12-31", "1860-12-15", 1), "If-Match", `W/"1"`).refused(400, "INVALID_VALUE", "Invalid value - '1860-12-15' in field 'period/end'")
		own.post("/Coverage", strings.Replace(card, `"payor":[`, `"payor":[{"identifier":{"value":"1"}},`, 1), "If-Match", `W/"1"`).refused(400, "TOO_MANY_VALUES_SUBMITTED", "")
		own.post("/Coverage", strings.Replace(card, "9990000018", "9990000026", 1), "If-Match", `W/"1"`).refused(403, "ACCESS_DENIED", "")
		made := own.post("/Coverage", card, "If-Match", `W/"1"`).want(201)
		if made.header.Get("ETag") != `W/"2"` || made.json().Get("entry.0.resource.identifier.0.assigner.display").String() != "France" {
			t.Errorf("the card: %s %s", made.header.Get("ETag"), made.body)
		}
		own.post("/Coverage", strings.Replace(card, "2940", "3000", 1), "If-Match", `W/"2"`).want(201)
		if got := own.get(path).want(200).json(); got.Get("total").String() != "1" || got.Get("entry.0.resource.identifier.0.value").String() != "3000" {
			t.Errorf("there is one card, the new one: %s", got.JSON())
		}
		if got := w.worker().get("/Patient/9990000026/RelatedPerson").want(200).json(); got.Get("total").String() != "0" {
			t.Errorf("a restricted person's mother is told: %s", got.JSON())
		}
	})
}
