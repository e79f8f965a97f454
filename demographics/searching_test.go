package demographics_test

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/store"
)

// searchWorld is a node that knows the people of the published searches as they stand there: some numbers have another body under
// patientResponses. What they were called before, or how they were reached, is not published; where a search is answered from it,
// the test supplies it.
func searchWorld(t *testing.T, dir string) *world {
	t.Helper()
	w := newWorld(t, "")
	files, err := filepath.Glob(filepath.Join(dir, "searchResponses", "*.json"))
	if err != nil {
		t.Fatal(err)
	}
	slices.Sort(files)
	bodies := map[string]string{}
	for _, f := range files {
		text, err := os.ReadFile(f)
		if err != nil {
			t.Fatal(err)
		}
		res, err := fhir.Parse(text)
		if err != nil {
			t.Fatalf("%s: %v", f, err)
		}
		if res.Type() == "Patient" {
			bodies[res.ID()] = string(res.JSON())
		}
		for e := range res.Get("entry").Items() {
			person := e.Field("resource")
			bodies[person.Field("id").String()] = string(person.Raw())
		}
	}
	janet := fhir.Arr(fhir.Obj("system", "email", "use", "home", "value", "janet.smythe@example.com"), fhir.Obj("system", "phone", "use", "home", "value", "01632960587"))
	bodies["9000000025"] = changed(t, bodies["9000000025"], "telecom", janet) // withheld from every answer
	before := map[string]string{
		"9693632109": changed(t, bodies["9693632109"], "name", fhir.Arr(fhir.Obj("use", "usual", "family", "Blogs", "given", fhir.Arr("Joe")))),
		"9733162450": changed(t, bodies["9733162450"], "name", fhir.Arr(fhir.Obj("use", "usual", "family", "HUME", "given", fhir.Arr("Casey")))),
		"5900020584": changed(t, bodies["5900020584"], "telecom", fhir.Arr(fhir.Obj("system", "email", "use", "home", "value", "Historic@historic.com"))),
	}
	var first, then [][]byte
	for id, body := range bodies {
		then = append(then, []byte(body))
		if b, ok := before[id]; ok {
			first = append(first, []byte(b))
		}
	}
	first = append(first, []byte(`{"resourceType":"Patient","id":"5900053636","gender":"female","birthDate":"1926-01-07","name":[{"use":"usual","family":"CUFF","given":["Eva"]}]}`))
	w.load(first...)
	w.load(then...)
	w.merge("5900053636", "9732019395")
	return w
}

// merge makes one record supersede another.
func (w *world) merge(from, to string) {
	w.t.Helper()
	k := w.node.Kernel()
	var acts []access.Act
	for _, id := range []string{from, to} {
		acts = append(acts, access.Act{Action: access.Update, Place: access.Place{Tenant: national, Chart: id, Type: "Patient", ID: id, Exists: true}})
	}
	grants, err := k.Gate.DecideAll(w.t.Context(), access.Service("test", national), acts)
	if err != nil {
		w.t.Fatal(err)
	}
	if err := k.Gate.Act(w.t.Context(), grants, k.Records.LinkLanes(national, from, to), func(tx *store.Tx) error {
		return k.Records.Merge(tx, k.Gate, national, from, to, "the same person", grants...)
	}); err != nil {
		w.t.Fatal(err)
	}
}

// changed is a document with another value for one element.
func changed(t *testing.T, doc, element string, v fhir.Value) string {
	t.Helper()
	res, err := fhir.Parse([]byte(doc))
	if err != nil {
		t.Fatal(err)
	}
	out, err := res.Edit().Set(res.Root(), element, v).Done()
	if err != nil {
		t.Fatal(err)
	}
	return string(out.JSON())
}

// searchExamples are the published searches, with the requests that the specification and the published service's own tests give
// for them.
func searchExamples() []example {
	const placeholder = "entry.search.score" // 0.75 stands in the specification as an example of a score
	asked := func(file string, pairs ...string) example {
		return example{operation: "search", file: "searchResponses/" + file + ".json", status: 200, ignore: ignoredOfSet,
			ask: func(w *world) *answer { return w.worker().get(query(pairs...)) }}
	}
	documented := func(e example) example {
		e.ignore = append(slices.Clone(e.ignore), placeholder)
		return e
	}
	one := func(e example, at string) example {
		ask := e.ask
		e.ignore = ignoredOfPerson
		e.ask = func(w *world) *answer {
			a := ask(w)
			a.body = string(a.json().Get(at).Raw())
			return a
		}
		return e
	}
	missed := func(e example, why string) example {
		e.why = why
		return e
	}
	smiths := []string{"family", "Smythe", "given", "Mat", "birthdate", "ge2000-05-03", "gender", "male", "address-postalcode", "DN17 4AA", "_fuzzy-match", "true"}
	return []example{
		asked("jackie_jones_searchset", "family", "Jones", "gender", "male", "birthdate", "ge1992-01-01", "_max-results", "6"),
		asked("rodney_godsoe_searchset", "family", "Godsoe", "gender", "male", "birthdate", "eq1936-02-24"),
		asked("martha_massam_searchset", "family", "Massam", "birthdate", "le1920-08-11"),
		asked("youds_searchset", "family", "YOUDS", "birthdate", "1970-01-24"),
		asked("TOO_MANY_MATCHES", "family", "YOUDS", "birthdate", "1970-01-24", "_max-results", "1"),
		asked("bill_garton_searchset", "_fuzzy-match", "true", "family", "Blogs", "given", "Joe", "birthdate", "1955-11-05"),
		asked("pauline_attison_searchset", "_fuzzy-match", "true", "family", "ATTSÖN", "given", "PÀULINÉ", "birthdate", "1960-07-14"),
		asked("fuzzy_single_searchset", append([]string{"phone", "01222111111", "email", "test@test.com"}, smiths...)...),
		missed(asked("fuzzy_multimatch_searchset", smiths...), "all 20 are found; 19 scores are the published ones, and the score of Dave, 0.8716, follows from no likeness of Mat and Dave"),
		missed(asked("med_rowenad_searchset", "_fuzzy-match", "true", "family", "HUME", "given", "Casey", "birthdate", "1999-09-09"),
			"the person is found by a former name, which is not published, so that the score cannot be reckoned"),
		asked("cuff_superseded_searchset", "family", "CUFF", "birthdate", "eq1926-01-07", "gender", "female"),
		asked("other_givenName", "family", "Smith", "gender", "male", "birthdate", "eq2000-05-05", "given", "Sam", "given", "Bob"),
		asked("multimatch_phoneAndEmail_searchset", "family", "Smith", "gender", "male", "birthdate", "eq2000-05-05", "email", "test@test.com", "phone", "01234123123"),
		asked("countrycode_mobile_searchset", "family", "Muir", "gender", "male", "birthdate", "eq2017-09-06", "phone", "00917855986859"),
		asked("historic_email_searchset", "family", "Smith", "gender", "male", "birthdate", "eq2000-05-05", "email", "Historic@historic.com", "_history", "true"),
		asked("postalcode_wildcard_searchset", "family", "Smith", "birthdate", "eq2000-05-05", "gender", "male", "address-postalcode", "DN17*"),
		asked("general_practitioner_searchset", "family", "Me*", "birthdate", "eq2015-10-22", "general-practitioner", "A20047"),
		asked("dateOfDeath_searchset", "family", "TUNNEY", "birthdate", "ge1980-01-01", "death-date", "le2019-02-28"),
		asked("knap_kathy_exact_match", "_exact-match", "true", "family", "KNAPP", "gender", "female", "birthdate", "1943-07-03"),
		asked("mock_single_searchset", "family", "McMatch-Single", "address-postalcode", "BAP 4WG", "birthdate", "1954-10-26", "gender", "male"),
		asked("mock_multiple_searchset", "family", "McMatch-Multiple", "address-postalcode", "DN19 7UD", "birthdate", "1997-08-20"),
		asked("search_patient_9000000025", "family", "Smythe", "given", "Janet", "gender", "female", "birthdate", "eq2005-06-16", "email", "janet.smythe@example.com", "phone", "01632960587"),
		one(asked("search_patient_9000000009", "family", "Smith", "gender", "female", "birthdate", "eq2010-10-22", "email", "jane.smith@example.com", "phone", "01632960587"), "entry.0.resource"),
		one(asked("search_patient_9000000017", "family", "Sm*", "gender", "female", "birthdate", "eq2010-10-22"), "entry.1.resource"),
		documented(asked("john_paul_smith_searchset", "family", "Smith", "given", "John Paul", "given", "James", "gender", "male", "birthdate", "eq2010-10-22")),
		missed(documented(asked("PatientCompoundName", "family", "Smith", "given", "John Paul", "gender", "male", "birthdate", "eq2010-10-22", "email", "johnp.smith@example.com", "phone", "01632960587")),
			"the number has another body in john_paul_smith_searchset, with a second given name"),
		documented(asked("PatientSearch", "family", "Smith", "given", "Jane", "gender", "female", "birthdate", "eq2010-10-22")),
		documented(asked("PatientSearch-Jayne-Smyth", "family", "Smyth", "given", "Jayne", "gender", "female", "birthdate", "eq2010-10-22")),
		documented(asked("Sensitive_PatientSearch", "family", "Smythe", "given", "Janet", "gender", "female", "birthdate", "eq2005-06-16")),
		missed(documented(asked("Minimal_PatientSearch", "family", "Smith", "birthdate", "eq2010-10-22")), "the person has neither name nor birth date, and every search asks for both"),
		missed(example{operation: "search", file: "errorResponses/NOT_SUPPORTED_SEARCH.json", status: 200, ask: func(w *world) *answer {
			return w.worker().get(query("family", "Spiderman", "birthdate", "1962-07-31"))
		}}, "it says that the published mock has no example for a search; here searches are computed"),
	}
}

func TestSearchesAreRefusedInPublishedWords(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	c := w.worker()
	const nothing = "Invalid search data provided - 'No searches were performed as the search criteria did not meet the minimum requirements'"
	for _, q := range []struct {
		code, diagnostics string
		pairs             []string
	}{
		{"UNSUPPORTED_SERVICE", "", nil},
		{"ADDITIONAL_PROPERTIES", "Invalid request with error - Additional properties are not allowed ('manufacturer', 'model', 'year' were unexpected)", []string{"manufacturer", "Ford", "model", "focus", "year", "2003"}},
		{"ADDITIONAL_PROPERTIES", "Invalid request with error - Additional properties are not allowed ('invalidParam' was unexpected)", []string{"family", "Sm*", "birthdate", "eq2010-10-22", "invalidParam", "123"}},
		{"MISSING_VALUE", "Missing value - 'birth_date/birth_date_range_start/birth_date_range_end'", []string{"email", "j.smith@example.com", "phone", "0163"}},
		{"MISSING_VALUE", "Missing value - 'birth_date/birth_date_range_start/birth_date_range_end'", []string{"gender", "female"}},
		{"INVALID_VALUE", "Invalid value - '20101022' in field 'birthdate'", []string{"family", "Smith", "birthdate", "20101022"}},
		{"INVALID_VALUE", "Invalid value - '20101022' in field 'death-date'", []string{"family", "Smith", "death-date", "20101022"}},
		{"INVALID_VALUE", "Invalid value - 'gt2010-10-22' in field 'birthdate'", []string{"family", "Smith", "birthdate", "gt2010-10-22"}},
		{"INVALID_VALUE", "Invalid value - 'eq2010-02-30' in field 'birthdate'", []string{"family", "Smith", "birthdate", "eq2010-02-30"}},
		{"INVALID_VALUE", "Invalid value - 'eq2199-01-01' in field 'birthdate'", []string{"family", "Smith", "birthdate", "eq2199-01-01"}},
		{"INVALID_VALUE", "Invalid value - 'mal' in field 'gender'", []string{"family", "Smith", "birthdate", "eq2010-10-22", "gender", "mal"}},
		{"INVALID_SEARCH_DATA", nothing, []string{"birthdate", "eq2010-10-22"}},
		{"INVALID_SEARCH_DATA", nothing, []string{"birthdate", "eq2010-10-22", "family", "Smith", "_fuzzy-match", "true"}},
		{"INVALID_SEARCH_DATA", nothing, []string{"birthdate", "eq2010-10-22", "given", "Jane", "gender", "female", "_fuzzy-match", "true"}},
		{"INVALID_SEARCH_DATA", "", []string{"birthdate", "eq2010-10-22", "family", "Smith", "address-postcode", "LS1 6AE", "address-postalcode", "LS1 6AE"}},
		{"INVALID_SEARCH_DATA", "", []string{"birthdate", "eq2010-10-22", "family", "Sm*", "given", "Jane", "_fuzzy-match", "true"}},
		{"INVALID_SEARCH_DATA", "", []string{"birthdate", "ge2010-10-22", "birthdate", "le2009-10-22", "family", "Smith"}},
		{"INVALID_SEARCH_DATA", "", []string{"birthdate", "eq2010-10-22", "birthdate", "eq2009-10-22", "family", "Smith"}},
		{"INVALID_VALUE", "Invalid value - '*' in field 'family'", []string{"birthdate", "eq2010-10-22", "family", "*"}},
		{"INVALID_VALUE", "Invalid value - 's*' in field 'family'", []string{"birthdate", "eq2010-10-22", "family", "s*"}},
		{"INVALID_VALUE", "Invalid value - '**' in field 'family'", []string{"birthdate", "ge1900-01-01", "family", "**"}},
		{"INVALID_VALUE", "Invalid value - '-*' in field 'family'", []string{"birthdate", "ge1900-01-01", "family", "-*"}},
		{"INVALID_VALUE", "", []string{"birthdate", "eq2010-10-22", "family", "😀"}},
		{"INVALID_VALUE", "", []string{"birthdate", "eq2010-10-22", "family", "כהן"}},
		{"INVALID_VALUE", "", []string{"birthdate", "eq2010-10-22", "family", "   "}},
		{"INVALID_VALUE", "", []string{"birthdate", "eq2010-10-22", "family", strings.Repeat("a", 300)}},
		{"INVALID_VALUE", "", []string{"birthdate", "eq2010-10-22", "family", "Smith", "address-postalcode", "*"}},
		{"INVALID_VALUE", "", []string{"birthdate", "eq2010-10-22", "family", "Smith", "_max-results", "51"}},
		{"INVALID_VALUE", "", []string{"birthdate", "eq2010-10-22", "family", "Smith", "_max-results", "0"}},
		{"INVALID_VALUE", "", []string{"birthdate", "eq2010-10-22", "family", "Smith", "_fuzzy-match", "perhaps"}},
		{"INVALID_VALUE", "", []string{"birthdate", "eq2010-10-22", "family", "Smith", "phone", "zero"}},
		{"INVALID_SEARCH_DATA", "", []string{"birthdate", "eq2010-10-22", "family", "Smith", "family", "Jones"}},
	} {
		c.get(query(q.pairs...)).refused(400, q.code, q.diagnostics)
	}
	w.system().get(query("family", "Smith", "birthdate", "eq2010-10-22", "_max-results", "2")).refused(403, "INVALID_VALUE", "Invalid value - '2' in field '_max-results'")
	w.patient("9000000009").get(query("family", "Smith", "birthdate", "eq2010-10-22")).refused(403, "ACCESS_DENIED", "")
	(&caller{w, ""}).get(query("family", "Smith", "birthdate", "eq2010-10-22")).refused(401, "ACCESS_DENIED", "")
}
