package fhirapi_test

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
)

const number, otherNumber, nobodysNumber = "9990000018", "9990000026", "9990000034"

// numbered is a patient with an NHS number; security is a code of confidentiality, "" for none.
func numbered(id, number, security string) string {
	meta := ""
	if security != "" {
		meta = fmt.Sprintf(`"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"%s"}]},`, security)
	}
	return fmt.Sprintf(`{"resourceType":"Patient","id":"%s",%s"identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"%s"}],"name":[{"family":"Marsh"}],"birthDate":"1980-04-01"}`, id, meta, number)
}

// note is an Observation with any subject; more comes before it.
func note(id, subject, more string) string {
	return fmt.Sprintf(`{"resourceType":"Observation","id":"%s",%s"status":"final","code":{"text":"a note"},"valueString":"quite private"%s}`, id, more, subject)
}

func byNumber(number string) string {
	return `,"subject":{"identifier":{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + number + `"}}`
}

func about(reference string) string { return `,"subject":{"reference":"` + reference + `"}` }

// visiting is a clinician of another organisation who may act in the hospital's records, and is related to nobody there by their
// organisation.
func visiting(user string) access.Principal {
	p := principal(access.Clinician, user, hospital)
	p.Organisation = ident.MustODSCode("FZ901")
	return p
}

// What speaks of a person whom it does not place is for whoever wrote it, the keeper's systems and its privacy officer.
func TestWhatIsInNobodysChartIsForItsAuthor(t *testing.T) {
	w := newWorld(t, setting{})
	system := w.system().at(hospital)
	system.put(numbered("ann", number, ""))
	system.put(numbered("hid", otherNumber, "R"))
	system.put(numbered("ben", "9990000042", ""))
	for _, chart := range []string{"ann", "ben"} {
		w.relate(hospital, chart, "author")
	}
	w.relate(hospital, "ann", "carer")
	author, colleague := w.as(principal(access.Clinician, "author")).at(hospital), w.as(principal(access.Clinician, "colleague")).at(hospital)
	officer, carer := w.as(principal(access.PrivacyOfficer, "officer")).at(hospital), w.as(principal(access.Clinician, "carer")).at(hospital)
	elsewhere := principal(access.SystemClient, "elsewhere", hospital)
	elsewhere.Organisation = w.system().who.Organisation
	foreign := w.as(elsewhere).at(hospital)
	contained := `"contained":[{"resourceType":"Patient","id":"p","name":[{"family":"Marsh"}]}],`
	for name, resource := range map[string]string{
		"no subject":             note("ID", "", ""),
		"a number of nobody":     note("ID", byNumber(nobodysNumber), ""),
		"a number of the hidden": note("ID", byNumber(otherNumber), ""),
		"an identifier":          note("ID", `,"subject":{"identifier":{"system":"urn:x","value":"1"}}`, ""),
		"a name":                 note("ID", `,"subject":{"display":"Mrs Marsh"}`, ""),
		"another server":         note("ID", about("https://example.org/Patient/ann"), ""),
		"contained":              note("ID", about("#p"), contained),
		"a Binary":               `{"resourceType":"Binary","id":"ID","contentType":"text/plain","data":"cXVpdGUgcHJpdmF0ZQ=="}`,
		"a Binary of nothing":    `{"resourceType":"Binary","id":"ID","contentType":"text/plain","data":"cXVpdGUgcHJpdmF0ZQ==","securityContext":{"reference":"DocumentReference/none"}}`,
		"a Person":               `{"resourceType":"Person","id":"ID","name":[{"family":"Marsh"}]}`,
		"a Person with two":      `{"resourceType":"Person","id":"ID","link":[{"target":{"reference":"Patient/ann"}},{"target":{"reference":"Patient/ben"}}]}`,
		"two patients meet":      `{"resourceType":"Appointment","id":"ID","status":"proposed","participant":[{"status":"accepted","actor":{"reference":"Patient/ann"}},{"status":"accepted","actor":{"reference":"Patient/ben"}}]}`,
		"a joint account":        `{"resourceType":"Account","id":"ID","status":"active","subject":[{"reference":"Patient/ann"},{"reference":"Patient/ben"}]}`,
		"a Bundle of two":        `{"resourceType":"Bundle","id":"ID","type":"collection","entry":[{"resource":` + numbered("1", number, "") + `},{"resource":` + numbered("2", "9990000042", "") + `}]}`,
		"a Bundle of another's":  `{"resourceType":"Bundle","id":"ID","type":"collection","entry":[{"resource":` + observation("1", "ann", "1") + `}]}`,
		"a Provenance of two":    `{"resourceType":"Provenance","id":"ID","target":[{"reference":"Patient/ann"},{"reference":"Patient/ben"}],"recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			typ, _, _ := strings.Cut(strings.TrimPrefix(resource, `{"resourceType":"`), `"`)
			author := author.in(t)
			path := author.post(resource)
			id := strings.TrimPrefix(path, typ+"/")
			author.get(path).wants(200)
			if !slices.Contains(author.get(typ+"?_id="+id).wants(200).ids("match"), path) {
				t.Error("its author does not find it")
			}
			absent := typ + "/absent"
			for _, c := range []*caller{colleague.in(t), carer.in(t), foreign.in(t)} {
				for _, suffix := range []string{"", "/_history", "/_history/1"} {
					got, want := c.get(path+suffix), c.get(absent+suffix)
					if got.status != want.status || got.body != want.body || got.status != 404 {
						t.Errorf("%s: %s of an unfiled one %d %s, of an absent one %d", c.who.ID, suffix, got.status, got.body, want.status)
					}
				}
				c.do("DELETE", path, "").wants(404)
				for _, query := range []string{"?_id=" + id, "/_history?x=", "?_summary=count&_id=" + id} {
					query = strings.TrimSuffix(query, "?x=")
					if a := c.get(typ + query).wants(200); strings.Contains(a.body, `"id":"`+id+`"`) || strings.Contains(query, "count") && a.text("total") != "0" {
						t.Errorf("%s: %s%s shows it: %s", c.who.ID, typ, query, a.body)
					}
				}
			}
			officer.in(t).get(path).wants(200)
			officer.in(t).do("DELETE", path, "").wants(403)
			system.in(t).get(path).wants(200)
			w.as(principal(access.Administrator, "admin")).at(hospital).in(t).get(path).wants(403)
		})
	}
}

// A resource goes into the chart of what it belongs to, and of the person whom it names by number, if its writer may write there.
func TestWhatNamesAPersonOtherwiseIsFiled(t *testing.T) {
	w := newWorld(t, setting{})
	system := w.system().at(hospital)
	system.put(numbered("ann", number, ""))
	system.put(numbered("hid", otherNumber, "R"))
	for _, chart := range []string{"ann", "hid"} {
		w.relate(hospital, chart, "author")
		w.relate(hospital, chart, "carer")
	}
	author, carer, colleague := w.as(principal(access.Clinician, "author")).at(hospital), w.as(principal(access.Clinician, "carer")).at(hospital), w.as(visiting("colleague")).at(hospital)
	system.put(observation("obs", "ann", "71"))
	contained := `"contained":[{"resourceType":"Patient","id":"p","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + number + `"}]}],`
	for _, resource := range []string{
		note("ID", byNumber(number), ""),
		note("ID", byNumber(otherNumber), ""), // hidden, and the author may know
		note("ID", about("#p"), contained),
		`{"resourceType":"Binary","id":"ID","contentType":"text/plain","data":"cXVpdGUgcHJpdmF0ZQ==","securityContext":{"reference":"Patient/ann"}}`,
		`{"resourceType":"Binary","id":"ID","contentType":"text/plain","data":"cXVpdGUgcHJpdmF0ZQ==","securityContext":{"reference":"Observation/obs"}}`,
		`{"resourceType":"Provenance","id":"ID","target":[{"reference":"Observation/obs"},{"reference":"Patient/ann"}],"recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}`,
		`{"resourceType":"Person","id":"ID","link":[{"target":{"reference":"Patient/ann"}}]}`,
		`{"resourceType":"Bundle","id":"ID","type":"collection","entry":[{"fullUrl":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0","resource":` + numbered("ann", number, "") +
			`},{"resource":` + strings.Replace(observation("1", "ann", "1"), "Patient/ann", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e0", 1) + `}]}`,
	} {
		path := author.post(resource)
		if a := carer.get(path); a.status != 200 {
			t.Errorf("%s: whoever looks after the person is told %d", resource, a.status)
		}
		if a := colleague.get(path); a.status != 404 {
			t.Errorf("%s: whoever does not is told %d", resource, a.status)
		}
	}
	both := author.do("POST", "", bundle("transaction", entry("POST", "Observation", observation("x", "ann", "1"), "fullUrl", "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e1"),
		entry("POST", "Provenance", `{"resourceType":"Provenance","target":[{"reference":"urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e1"}],"recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}`))).wants(200)
	location := both.text("entry[1].response.location")
	_, location, _ = strings.Cut(location, "/FHIR/R4/")
	location, _, _ = strings.Cut(location, "/_history")
	carer.get(location).wants(200)
}

// By number, a hidden person and none at all come to the same for whoever may not know; so does what belongs to something.
func TestANumberTellsNobodyOfTheHidden(t *testing.T) {
	w := newWorld(t, setting{})
	w.system().at(hospital).put(numbered("hid", otherNumber, "R"))
	w.system().at(hospital).put(observation("obs", "hid", "71"))
	stranger := w.as(principal(access.Clinician, "stranger")).at(hospital)
	stranger.post(note("x", byNumber(otherNumber), ""))
	stranger.post(note("x", byNumber(nobodysNumber), ""))
	for _, to := range []string{"obs", "none"} {
		stranger.post(`{"resourceType":"Binary","contentType":"text/plain","data":"cXVpdGUgcHJpdmF0ZQ==","securityContext":{"reference":"Observation/` + to + `"}}`)
	}
}

// What was written in one chart stays with those who look after that person when the resource goes to another.
func TestAMoveShowsNothingOfTheChartBefore(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		system := w.system().at(hospital)
		for _, p := range []string{patient("one", "Smith"), numbered("two", otherNumber, "R"), patient("three", "Jones")} {
			system.put(p)
		}
		w.relate(hospital, "one", "one")
		w.relate(hospital, "two", "two")
		w.relate(hospital, "three", "three")
		as := func(user string) *caller { return w.as(visiting(user)).at(hospital) }
		for _, about := range []string{"one", "two", "three"} {
			system.put(observation("o", about, fmt.Sprint(40+len(about))))
		}
		system.put(note("o", "", "")) // and out of any
		system.put(observation("o", "three", "99"))
		charts := []string{"one", "two", "three", "", "three"}
		for _, user := range []string{"one", "two", "three", "nobody"} {
			for i, chart := range charts {
				want := 404
				if chart == user && user == "three" { // where the resource stands now
					want = 200
				}
				if got := as(user).get(fmt.Sprintf("Observation/o/_history/%d", i+1)).status; got != want {
					t.Errorf("%s reads version %d, of %q: %d, want %d", user, i+1, chart, got, want)
				}
			}
			for _, path := range []string{"Observation/o/_history", "Observation/_history", "_history"} {
				a := as(user).get(path)
				if user != "three" && strings.Contains(path, "o/") {
					a.wants(404)
					continue
				}
				a.wants(200)
				for e := range a.resource().Get("entry").Items() {
					res := e.Field("resource")
					if ref := res.Field("subject").Field("reference").String(); res.Field("id").String() == "o" && ref != "Patient/"+user {
						t.Errorf("%s sees in %s what is about %q", user, path, ref)
					}
				}
			}
		}
		as("three").get("Observation/o/_history").is("total", "2")
	})
}

// An id that the caller chose for a person tells nothing of whom it belongs to, and registering a person opens nothing that was there.
func TestRegisteringAPersonTellsAndOpensNothing(t *testing.T) {
	w := newWorld(t, setting{})
	system := w.system().at(hospital)
	system.put(numbered("hid", otherNumber, "R"))
	system.put(observation("early", "late", "71"))
	for _, role := range []access.Role{access.Clinician, access.Clerk} {
		c := w.as(principal(role, "stranger")).at(hospital)
		for _, try := range []struct{ method, path, body string }{
			{"PUT", "Patient/ID", patient("ID", "Marsh")},
			{"PUT", "Patient?identifier=urn:test|nobody", patient("ID", "Marsh")},
			{"POST", "", bundle("transaction", entry("PUT", "Patient/ID", patient("ID", "Marsh")))},
			{"POST", "", bundle("batch", entry("PUT", "Patient/ID", patient("ID", "Marsh")))},
		} {
			ask := func(id string) string {
				a := c.do(try.method, strings.ReplaceAll(try.path, "ID", id), strings.ReplaceAll(try.body, "ID", id))
				return fmt.Sprint(a.status, strings.ReplaceAll(a.body, id, "ID"))
			}
			if got, want := ask("hid"), ask("absent"); got != want {
				t.Errorf("%s: %s %s of a hidden person: %s, of nobody: %s", role, try.method, try.path, got, want)
			}
			ask("late")
		}
		made := c.do("POST", "Patient", patient("x", "New")).wants(201)
		c.get("Patient/" + made.text("id")).wants(200)
	}
	w.as(principal(access.Clinician, "stranger")).at(hospital).get("Observation/early").wants(404)
	system.get("Patient/late").wants(404)
}

// Whoever may not know of everybody chooses no ids, and files nothing under the id of a Patient who is not here: both are answered as for what is
// secret. The keeper's own systems do both, and so does the demonstration's open principal.
func TestIDsAreChosenByWhoMayKnowOfEverybody(t *testing.T) {
	w := newWorld(t, setting{})
	keeper := w.system().at(hospital)
	keeper.put(numbered("hid", otherNumber, "R"))
	keeper.put(observation("taken", "hid", "71"))
	keeper.put(patient("ann", "Marsh"))
	keeper.put(observation("early", "late", "71"))
	w.relate(hospital, "ann", "carer")
	w.relate(hospital, "taken", "carer") // with nobody yet
	w.relate(hospital, "free", "carer")
	foreign := principal(access.SystemClient, "elsewhere", hospital)
	foreign.Organisation, foreign.Scopes = ident.MustODSCode("FZ901"), []string{"system/*.*"}
	booking := func(id, about string) string {
		return `{"resourceType":"Appointment","id":"` + id + `","status":"proposed","participant":[{"actor":{"reference":"Patient/` + about + `"},"status":"accepted"}]}`
	}
	for _, p := range []access.Principal{principal(access.Clinician, "carer"), principal(access.Clerk, "clerk"), foreign} {
		c := w.as(p).at(hospital)
		about := func(method, path, body string) string {
			a := c.do(method, path, body)
			return fmt.Sprint(a.status, " ", a.body)
		}
		if got, want := about("PUT", "Observation/taken", observation("taken", "ann", "1")), about("PUT", "Observation/free", observation("free", "ann", "1")); got != want {
			t.Errorf("%s: an id that is taken: %s, a free one: %s", p.ID, got, want)
		}
		for _, in := range []string{"", "batch", "transaction"} {
			file := func(whom string) string {
				if in == "" {
					return about("POST", "Appointment", booking("x", whom))
				}
				return about("POST", "", bundle(in, entry("POST", "Appointment", booking("x", whom))))
			}
			if got, want := file("hid"), file("nobody"); got != want || !strings.Contains(got, "no such record") {
				t.Errorf("%s files (%s) under somebody hidden: %s, under nobody: %s", p.ID, in, got, want)
			}
		}
		if p.Role != access.Clinician {
			c.post(booking("x", "ann"))
		}
	}
	keeper.put(observation("free", "nobody", "1"))
}

// What came before a person was registered is hidden with them.
func TestWhatCameEarlyIsHiddenWithThePerson(t *testing.T) {
	w := newWorld(t, setting{})
	keeper := w.system().at(hospital)
	keeper.put(observation("early", "late", "71"))
	keeper.put(numbered("late", otherNumber, "R"))
	foreign := principal(access.SystemClient, "elsewhere", hospital)
	foreign.Organisation, foreign.Scopes = ident.MustODSCode("FZ901"), []string{"system/*.*"}
	w.as(foreign).at(hospital).get("Observation/early").wants(404)
	keeper.get("Observation/early").wants(200)
}
