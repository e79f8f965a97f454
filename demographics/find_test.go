package demographics_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/audit"
)

// person is a record of the published shape, for tests; more are further elements of JSON.
func person(number, family, given, born string, more ...string) []byte {
	names := `"` + strings.ReplaceAll(given, ",", `","`) + `"`
	doc := fmt.Sprintf(`{"resourceType":"Patient","id":"%s","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"%s"}],"gender":"female","birthDate":"%s","name":[{"id":"N1","use":"usual","family":"%s","given":[%s]}]`,
		number, number, born, family, names)
	if len(more) > 0 {
		doc += "," + strings.Join(more, ",")
	}
	return []byte(doc + "}")
}

func home(postcode string) string {
	return `"address":[{"id":"A1","use":"home","line":["1 High Street"],"postalCode":"` + postcode + `"}]`
}

const restricted = `"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R","display":"restricted"}]}`

func (a *answer) found() []string {
	a.t.Helper()
	ids := []string{}
	for e := range a.want(200).json().Get("entry").Items() {
		ids = append(ids, e.Field("resource").Field("id").String())
	}
	return ids
}

func TestWhoIsFound(t *testing.T) {
	t.Parallel()
	each(t, func(t *testing.T, w *world) {
		gp := `"generalPractitioner":[{"id":"G1","type":"Organization","identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"A20047"}}]`
		reach := `"telecom":[{"id":"T1","system":"phone","use":"home","value":"+44 1632 960 587"},{"id":"T2","system":"email","use":"home","value":"Rhian@Example.com"}]`
		w.load(
			person("9990000018", "O’Reilly-Hughes", "Siân,Mair", "1980-02-29", home("LS1 6AE"), gp, reach),
			person("9990000026", "Smith", "Ann Marie", "1981-03-01", home("LS1 6AB")),
			person("9990000034", "Smythe", "Anne", "1981-03-01", home("LS2 7XY")),
			person("9990000042", "Thomas", "Adam", "1990-01-01"),
			person("9990000069", "Knight", "Philip", "1990-01-02"),
			person("9990000077", "Hidden", "Heather", "1970-07-07", home("LS9 9ZZ"), gp, restricted),
			person("9990000085", "Before", "Bea", "1960-06-06", home("AA1 1AA")),
			person("9990000093", "Trần", "Đức", "1992-05-06"),
		)
		w.load(person("9990000085", "After", "Bea", "1960-06-06", home("BB2 2BB")))
		c := w.worker()
		for _, q := range []struct {
			want  string
			pairs []string
		}{
			{"9990000018", []string{"family", "oreilly hughes", "birthdate", "1980-02-29"}},
			{"9990000018", []string{"family", "O'Reilly-Hughes", "birthdate", "eq1980-02-29", "given", "sian"}},
			{"9990000018", []string{"family", "O'Reilly-Hughes", "birthdate", "eq1980-02-29", "given", "mair"}},
			{"", []string{"family", "O'Reilly-Hughes", "birthdate", "eq1980-02-29", "given", "mair", "given", "sian"}},
			{"9990000018", []string{"family", "O'R*es", "birthdate", "ge1980-02-01", "birthdate", "le1980-03-31"}},
			{"", []string{"family", "O'R*x", "birthdate", "ge1980-02-01"}},
			{"9990000018", []string{"family", "O'R*", "birthdate", "ge1900-01-01", "address-postcode", "ls16ae"}},
			{"9990000018", []string{"family", "O'R*", "birthdate", "ge1900-01-01", "address-postalcode", "LS1*"}},
			{"9990000018", []string{"family", "O'R*", "birthdate", "ge1900-01-01", "general-practitioner", "a20047"}},
			{"9990000018", []string{"family", "O'R*", "birthdate", "ge1900-01-01", "phone", "01632 960587"}},
			{"9990000018", []string{"family", "O'R*", "birthdate", "ge1900-01-01", "phone", "00441632960587", "email", "RHIAN@example.com"}},
			{"", []string{"family", "O'R*", "birthdate", "ge1900-01-01", "email", "rhian@example.co"}},
			{"9990000026", []string{"family", "Smith", "birthdate", "1981-03-01", "given", "Ann*"}},
			{"9990000026", []string{"family", "Smith", "birthdate", "1981-03-01", "given", "Ann Marie"}},
			{"", []string{"family", "Smith", "birthdate", "1981-03-01", "given", "Mar*"}},
			{"9990000026 9990000034", []string{"family", "Sm*", "birthdate", "1981-03-01"}},
			{"9990000026 9990000034", []string{"family", "Smith", "given", "Ann Marie", "birthdate", "1981-03-01", "_fuzzy-match", "true", "gender", "female", "address-postalcode", "LS2 7XY"}},
			{"9990000034", []string{"family", "Smith", "given", "Ann", "birthdate", "1981-03-01", "_fuzzy-match", "true"}},
			{"9990000042", []string{"family", "Adam", "given", "Thomas", "birthdate", "1990-01-01", "_fuzzy-match", "true"}},
			{"9990000042", []string{"family", "Adam", "given", "Thomas", "birthdate", "ge1989-01-01", "_fuzzy-match", "true"}},
			{"9990000042", []string{"family", "Tohmas", "given", "Adma", "birthdate", "1990-01-01", "_fuzzy-match", "true"}},
			{"9990000069", []string{"family", "Nite", "given", "Filip", "birthdate", "1990-01-02", "_fuzzy-match", "true"}},
			{"", []string{"family", "Adam", "given", "Thomas", "birthdate", "1990-01-01"}},
			{"9990000077", []string{"family", "Hidden", "birthdate", "1970-07-07"}},
			{"", []string{"family", "Hidden", "birthdate", "1970-07-07", "address-postalcode", "LS9 9ZZ"}},
			{"", []string{"family", "Hidden", "birthdate", "1970-07-07", "general-practitioner", "A20047"}},
			{"", []string{"family", "Before", "birthdate", "1960-06-06"}},
			{"9990000085", []string{"family", "Before", "birthdate", "1960-06-06", "_history", "true"}},
			{"9990000085", []string{"family", "After", "birthdate", "1960-06-06", "_history", "true", "address-postalcode", "AA1 1AA"}},
			{"", []string{"family", "After", "birthdate", "1960-06-06", "address-postalcode", "AA1 1AA"}},
			{"9990000085", []string{"family", "Before", "given", "Bea", "birthdate", "1960-06-06", "_fuzzy-match", "true"}},
			{"", []string{"family", "O'Reilly-Hughes", "birthdate", "eq1980-02-29", "given", "sian", "_exact-match", "true"}},
			{"9990000026", []string{"family", "SMITH", "birthdate", "eq1981-03-01", "_exact-match", "true"}},
			{"", []string{"family", "Smith", "birthdate", "1981-03-01", "gender", "male"}},
			{"9990000093", []string{"family", "Trần", "birthdate", "1992-05-06"}},
			{"9990000093", []string{"family", "tran", "given", "duc", "birthdate", "1992-05-06"}},
			{"9990000018", []string{"family", "O'*", "birthdate", "1980-02-29"}},
		} {
			if got := strings.Join(c.get(query(q.pairs...)).found(), " "); got != q.want {
				t.Errorf("%v finds %q, want %q", q.pairs, got, q.want)
			}
		}
		hidden := c.get(query("family", "Hidden", "birthdate", "1970-07-07")).body
		if strings.Contains(hidden, "LS9") || strings.Contains(hidden, "A20047") || !strings.Contains(hidden, `"code":"R"`) {
			t.Errorf("a restricted person is shown with where they are: %s", hidden)
		}
		seen, err := w.node.Kernel().Audit.Search(t.Context(), audit.Query{Tenant: national, Chart: "9990000077", Actor: "worker", Limit: 50})
		if err != nil || len(seen.Entries) == 0 || seen.Entries[0].Action != "trace" {
			t.Errorf("who was found is not on the account: %v %+v", err, seen.Entries)
		}
		w.system().get(query("family", "Sm*", "birthdate", "1981-03-01")).want(200).refused(200, "TOO_MANY_MATCHES", "")
		if got := w.system().get(query("family", "Smythe", "birthdate", "1981-03-01")).found(); !slices.Equal(got, []string{"9990000034"}) {
			t.Errorf("a system traces %v", got)
		}
	})
}

func TestASupersededOrInvalidatedPersonIsNotFound(t *testing.T) {
	t.Parallel()
	w := newWorld(t, "")
	w.load(person("9990000018", "Cuff", "Eva", "1926-01-07"), person("9990000026", "Cuff", "Evie", "1926-01-07", home("LS1 6AB")))
	w.merge("9990000018", "9990000026")
	c := w.worker()
	if got := c.get(query("family", "Cuff", "given", "Eva", "birthdate", "1926-01-07")).found(); !slices.Equal(got, []string{"9990000026"}) {
		t.Errorf("the superseded number finds %v", got)
	}
	if got := c.get("/Patient/9990000018").want(200).json().ID(); got != "9990000026" {
		t.Errorf("the superseded number is answered with %s", got)
	}
	redacted := `"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"REDACTED"}]}`
	w.load(person("9990000034", "Gone", "Away", "1926-01-07", redacted))
	c.get("/Patient/9990000034").refused(404, "INVALIDATED_RESOURCE", "")
	if got := c.get(query("family", "Gone", "birthdate", "1926-01-07")).found(); len(got) != 0 {
		t.Errorf("an invalidated record is found: %v", got)
	}
	w.load(person("9990000018", "Cuff", "Eva", "1926-01-07", redacted))
	if got := c.get(query("family", "Cuff", "given", "Eva", "birthdate", "1926-01-07")).found(); !slices.Equal(got, []string{"9990000026"}) {
		t.Errorf("an invalidated record that was superseded finds %v", got)
	}
}
