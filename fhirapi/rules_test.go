package fhirapi_test

import (
	"slices"
	"strings"
	"testing"
)

// A rule is one sentence of https://hl7.org/fhir/R4/http.html (or the page that it names), in our words, with a request and
// what must come back. The rules are asked in their order, of one record.
type rule struct {
	section, says string
	ask           string // method and path
	body          any
	headers       []string
	status        int
	check         func(a *answer)
}

func header(name, want string) func(*answer) {
	return func(a *answer) { a.t.Helper(); a.has(name, want) }
}

func element(path, want string) func(*answer) {
	return func(a *answer) { a.t.Helper(); a.is(path, want) }
}

func holding(text string) func(*answer) {
	return func(a *answer) {
		a.t.Helper()
		if !strings.Contains(a.body, text) {
			a.t.Errorf("%s has no %s: %.400s", a.what, text, a.body)
		}
	}
}

func matching(ids ...string) func(*answer) {
	return func(a *answer) {
		a.t.Helper()
		if got := a.ids("match"); !slices.Equal(got, ids) {
			a.t.Errorf("%s finds %q, not %q", a.what, got, ids)
		}
	}
}

func bodiless(a *answer) {
	a.t.Helper()
	if a.body != "" {
		a.t.Errorf("%s has a body: %.200s", a.what, a.body)
	}
}

func all(checks ...func(*answer)) func(*answer) {
	return func(a *answer) {
		a.t.Helper()
		for _, check := range checks {
			check(a)
		}
	}
}

const (
	form      = "application/x-www-form-urlencoded"
	jsonPatch = "application/json-patch+json"
)

func TestRules(t *testing.T) {
	w := newWorld(t, setting{})
	c := w.system().in(t)
	c.put(patient("1", "Smith"))
	c.put(patient("1", "Smythe"))
	c.put(patient("2", "Jones"))
	c.put(observation("o", "1", "70"))
	c.put(`{"resourceType":"Encounter","id":"e","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/1"}}`)
	c.put(patient("gone", "Gone"))
	c.do("DELETE", "Patient/gone", nil).wants(204)
	read := c.get("Patient/1")
	for _, rules := range [][]rule{
		headersAndFormats(read.header.Get("Last-Modified"), c.url), readingRules(c.url), creatingRules(c.url), updatingRules(c.url), patchingRules(), deletingRules(), searchingRules(), historyRules(), bundleRules(),
	} {
		for _, r := range rules {
			t.Run(r.section+" "+r.says, func(t *testing.T) {
				method, path, _ := strings.Cut(r.ask, " ")
				ask := c.in(t)
				if rest, slash := strings.CutPrefix(path, "/"); slash {
					ask.url, path = ask.url+"/", rest
				}
				a := ask.do(method, path, r.body, r.headers...).wants(r.status)
				if r.check != nil {
					r.check(a)
				}
			})
		}
	}
}

func headersAndFormats(modified, base string) []rule {
	xml := `<Patient xmlns="http://hl7.org/fhir"><id value="x"/><active value="true"/></Patient>`
	return []rule{
		{"3.1.0.1.2", "the base may end in a slash", "GET /?_type=Patient&_id=1", nil, nil, 200, matching("Patient/1")},
		{"3.1.0.1.3", "a version is told as a weak ETag", "GET Patient/1", nil, nil, 200, all(header("ETag", `W/"2"`), header("Last-Modified", modified), element("meta.versionId", "2"))},
		{"3.1.0.1.5", "a failure is an OperationOutcome", "GET Patient/none", nil, nil, 404, element("resourceType", "OperationOutcome")},
		{"3.1.0.1.5", "a method that is not offered is 405, with those that are", "POST Patient/1", patient("1", "x"), nil, 405, func(a *answer) {
			if allow := a.header.Get("Allow"); !strings.Contains(allow, "GET") || !strings.Contains(allow, "PUT") {
				a.t.Errorf("Allow is %q", allow)
			}
		}},
		{"3.1.0.1.5", "an unknown type is 404", "GET Nonsense/1", nil, nil, 404, nil},
		{"3.1.0.1.6", "X-Request-ID is given back", "GET Patient/1", nil, []string{"X-Request-ID", "6ba7b810-9dad-41d1-80b4-00c04fd430c8"}, 200, header("X-Request-ID", "6ba7b810-9dad-41d1-80b4-00c04fd430c8")},
		{"3.1.0.1.8", "If-None-Match with the current version is 304", "GET Patient/1", nil, []string{"If-None-Match", `W/"2"`}, 304, bodiless},
		{"3.1.0.1.8", "If-None-Match with an older version is 200", "GET Patient/1", nil, []string{"If-None-Match", `W/"1"`}, 200, nil},
		{"3.1.0.1.8", "If-Modified-Since the last change is 304", "GET Patient/1", nil, []string{"If-Modified-Since", modified}, 304, bodiless},
		{"3.1.0.1.8", "If-Modified-Since before it is 200", "GET Patient/1", nil, []string{"If-Modified-Since", "Sat, 01 Jan 2000 00:00:00 GMT"}, 200, nil},
		{"3.1.0.1.8", "If-None-Match is heard, not If-Modified-Since, when both are sent", "GET Patient/1", nil, []string{"If-None-Match", `W/"1"`, "If-Modified-Since", modified}, 200, nil},
		{"3.1.0.1.8", "a date that cannot be read is no condition", "GET Patient/1", nil, []string{"If-Modified-Since", "yesterday"}, 200, nil},
		{"3.1.0.1.8", "HEAD has the same conditions", "HEAD Patient/1", nil, []string{"If-None-Match", `W/"2"`}, 304, bodiless},
		{"3.1.0.1.10", "JSON is the answer when nothing is said", "GET Patient/1", nil, nil, 200, header("Content-Type", "application/fhir+json; charset=utf-8")},
		{"3.1.0.1.10", "Accept asks for XML", "GET Patient/1", nil, []string{"Accept", "application/fhir+xml"}, 200, header("Content-Type", "application/fhir+xml; charset=utf-8")},
		{"3.1.0.1.10", "Accept in the form of STU2 is understood", "GET Patient/1", nil, []string{"Accept", "application/xml+fhir"}, 200, header("Content-Type", "application/fhir+xml; charset=utf-8")},
		{"3.1.0.1.10", "what is not offered is 406", "GET Patient/1", nil, []string{"Accept", "text/turtle"}, 406, nil},
		{"3.1.0.1.10", "a write that cannot be answered is refused before it is done", "PUT Patient/turtle", patient("turtle", "x"), []string{"Accept", "text/turtle"}, 406, nil},
		{"3.1.0.1.10", "and has not been done", "GET Patient/turtle", nil, nil, 404, nil},
		{"3.1.0.1.10", "a Content-Type that is not read is 415", "PUT Patient/x", patient("x", "x"), []string{"Content-Type", "text/plain"}, 415, nil},
		{"3.1.0.1.10", "a resource in a form is 415", "POST Patient", "active=true", []string{"Content-Type", form}, 415, nil},
		{"3.1.0.1.10", "XML is read", "PUT Patient/x", xml, []string{"Content-Type", "application/fhir+xml"}, 201, element("active", "true")},
		{"3.1.0.1.10", "JSON sent as XML is 400", "PUT Patient/x", patient("x", "x"), []string{"Content-Type", "application/fhir+xml"}, 400, nil},
		{"3.1.0.1.10", "all is UTF-8", "PUT Patient/x", patient("x", "x"), []string{"Content-Type", "application/fhir+json; charset=iso-8859-1"}, 415, nil},
		{"3.1.0.1.11", "_format wins over Accept", "GET Patient/1?_format=xml", nil, []string{"Accept", "application/json"}, 200, header("Content-Type", "application/fhir+xml; charset=utf-8")},
		{"3.1.0.1.11", "_format holds for writes", "PUT Patient/x?_format=xml", patient("x", "x"), nil, 200, header("Content-Type", "application/fhir+xml; charset=utf-8")},
		{"3.1.0.1.11", "an unknown _format is 406", "GET Patient/1?_format=ttl", nil, nil, 406, nil},
		{"3.1.0.1.11", "_pretty asks for lines", "GET Patient/1?_pretty=true", nil, nil, 200, holding("\n  ")},
		{"3.1.0.1.11", "_summary holds for a read", "GET Patient/1?_summary=text", nil, nil, 200, element("meta.tag.0.code", "SUBSETTED")},
		{"3.1.0.1.12", "this release may be asked for", "GET Patient/1", nil, []string{"Accept", "application/fhir+json; fhirVersion=4.0"}, 200, nil},
		{"3.1.0.1.12", "another is 406", "GET Patient/1", nil, []string{"Accept", "application/fhir+json; fhirVersion=3.0"}, 406, nil},
		{"3.1.0.1.12", "another release's content is 415", "PUT Patient/x", patient("x", "x"), []string{"Content-Type", "application/fhir+json; fhirVersion=5.0"}, 415, nil},
		{"3.1.0.14", "capabilities are JSON or XML", "GET metadata?_format=xml", nil, nil, 200, holding("<CapabilityStatement")},
		{"3.1.0.14", "mode is full, normative or terminology; the last is not offered", "GET metadata?mode=terminology", nil, nil, 400, nil},
		{"3.1.0.14", "what is said of deletes is what is done", "GET metadata", nil, nil, 200, all(holding(`"conditionalDelete":"multiple"`), element("implementation.url", base))},
	}
}

func readingRules(base string) []rule {
	return []rule{
		{"3.1.0.2", "a read gives the current version, its tag and where that version is", "GET Patient/1", nil, nil, 200, all(element("id", "1"), header("Content-Location", base+"/Patient/1/_history/2"))},
		{"3.1.0.2", "HEAD gives the same headers and no body", "HEAD Patient/1", nil, nil, 200, all(bodiless, header("ETag", `W/"2"`))},
		{"3.1.0.2", "a deleted resource is 410", "GET Patient/gone", nil, nil, 410, element("issue.0.code", "deleted")},
		{"3.1.0.2", "an unknown one is 404", "GET Patient/none", nil, nil, 404, nil},
		{"3.1.0.2", "an id that cannot be is 404", "GET Patient/a_b", nil, nil, 404, nil},
		{"3.1.0.3", "a version is read by its number", "GET Patient/1/_history/1", nil, nil, 200, all(element("name.0.family", "Smith"), header("ETag", `W/"1"`))},
		{"3.1.0.3", "a version that deleted is 410", "GET Patient/gone/_history/2", nil, nil, 410, nil},
		{"3.1.0.3", "what was there before can be read", "GET Patient/gone/_history/1", nil, nil, 200, nil},
		{"3.1.0.3", "an unknown version is 404", "GET Patient/1/_history/99", nil, nil, 404, nil},
		{"search 3.1.1.5.8", "_elements gives those, what is mandatory, and the tag", "GET Patient/1?_elements=birthDate", nil, nil, 200, all(element("birthDate", "1980-04-01"), element("name.0.family", ""), element("meta.tag.0.code", "SUBSETTED"))},
		{"search 3.1.1.5.8", "an element of another type is no element of this", "GET Patient/1?_elements=Observation.code", nil, nil, 200, element("name.0.family", "")},
	}
}

func creatingRules(base string) []rule {
	conditional := `{"resourceType":"Patient","identifier":[{"system":"urn:c","value":"1"}]}`
	return []rule{
		{"3.1.0.8", "a create is 201 with where it is, and its version", "POST Patient", patient("chosen", "New"), nil, 201, func(a *answer) {
			if id := a.text("id"); id == "chosen" || a.header.Get("Location") != base+"/Patient/"+id+"/_history/1" || a.header.Get("ETag") != `W/"1"` || a.header.Get("Last-Modified") == "" {
				a.t.Errorf("%s: %v", id, a.header)
			}
		}},
		{"3.1.0.8", "version and time are the server's", "POST Basic", `{"resourceType":"Basic","code":{"text":"x"},"meta":{"versionId":"99","lastUpdated":"2001-01-01T00:00:00Z"}}`, nil, 201, element("meta.versionId", "1")},
		{"3.1.0.8", "another type than the address's is 400", "POST Observation", patient("x", "x"), nil, 400, nil},
		{"3.1.0.8", "what cannot be parsed is 400", "POST Patient", `{"resourceType":`, nil, 400, nil},
		{"3.1.0.8", "an unknown type is 404", "POST Nonsense", `{"resourceType":"Nonsense"}`, nil, 404, nil},
		{"3.1.0.8", "what breaks a rule is 422", "POST Patient", `{"resourceType":"Patient","contact":[{"gender":"male"}]}`, nil, 422, element("issue.0.expression.0", "Patient.contact[0]")},
		{"3.1.0.1.7", "return=minimal has no body, and all the headers", "POST Basic", `{"resourceType":"Basic","code":{"text":"x"}}`, []string{"Prefer", "return=minimal"}, 201, all(bodiless, header("ETag", `W/"1"`))},
		{"3.1.0.1.7", "return=representation has the resource", "POST Basic", `{"resourceType":"Basic","code":{"text":"x"}}`, []string{"Prefer", "return=representation"}, 201, element("resourceType", "Basic")},
		{"3.1.0.1.7", "return=OperationOutcome has one", "POST Basic", `{"resourceType":"Basic","code":{"text":"x"}}`, []string{"Prefer", "return=OperationOutcome"}, 201, element("resourceType", "OperationOutcome")},
		{"3.1.0.8.1", "a conditional create makes one when nothing matches", "POST Patient", conditional, []string{"If-None-Exist", "identifier=urn:c|1"}, 201, nil},
		{"3.1.0.8.1", "and nothing when one does", "POST Patient", conditional, []string{"If-None-Exist", "identifier=urn:c|1"}, 200, header("ETag", `W/"1"`)},
		{"3.1.0.8.1", "several are 412", "POST Patient", conditional, []string{"If-None-Exist", "birthdate=1980-04-01"}, 412, nil},
	}
}

func updatingRules(base string) []rule {
	cond := func(id string) string {
		if id != "" {
			id = `"id":"` + id + `",`
		}
		return `{"resourceType":"Patient",` + id + `"identifier":[{"system":"urn:u","value":"1"}]}`
	}
	return []rule{
		{"3.1.0.4", "an update is 200 with the new version", "PUT Patient/1", patient("1", "Third"), nil, 200, all(header("ETag", `W/"3"`), header("Location", base+"/Patient/1/_history/3"))},
		{"3.1.0.4.1", "an update of what is not there makes it: 201", "PUT Patient/new", patient("new", "x"), nil, 201, header("Location", base+"/Patient/new/_history/1")},
		{"3.1.0.4", "no id is 400", "PUT Patient/1", `{"resourceType":"Patient"}`, nil, 400, nil},
		{"3.1.0.4", "another id is 400", "PUT Patient/1", patient("2", "x"), nil, 400, nil},
		{"3.1.0.4", "what was deleted may be brought back", "PUT Patient/gone", patient("gone", "Back"), nil, 201, header("ETag", `W/"3"`)},
		{"3.1.0.4.2", "If-Match of another version is 412", "PUT Patient/1", patient("1", "x"), []string{"If-Match", `W/"1"`}, 412, nil},
		{"3.1.0.4.2", "If-Match that is no version is 400", "PUT Patient/1", patient("1", "x"), []string{"If-Match", `three`}, 400, nil},
		{"3.1.0.4.2", "If-Match of the current version is taken", "PUT Patient/1", patient("1", "Fourth"), []string{"If-Match", `W/"3"`}, 200, nil},
		{"3.1.0.4.3", "a conditional update without a match makes one", "PUT Patient?identifier=urn:u|1", cond(""), nil, 201, nil},
		{"3.1.0.4.3", "with one, it is replaced", "PUT Patient?identifier=urn:u|1", cond(""), nil, 200, header("ETag", `W/"2"`)},
		{"3.1.0.4.3", "another id than that of the match is 400", "PUT Patient?identifier=urn:u|1", cond("other"), nil, 400, nil},
		{"3.1.0.4.3", "without a match an id is taken as it is", "PUT Patient?identifier=urn:u|none", patient("taken", "x"), nil, 201, header("Location", base+"/Patient/taken/_history/1")},
		{"3.1.0.4.3", "several are 412", "PUT Patient?birthdate=1980-04-01", cond(""), nil, 412, nil},
		{"3.1.0.4.3", "no criteria are 412", "PUT Patient", cond(""), nil, 412, nil},
	}
}

func patchingRules() []rule {
	replace := `[{"op":"replace","path":"/name/0/family","value":"Patched"}]`
	fhirPath := `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},{"name":"path","valueString":"Patient.birthDate"},{"name":"value","valueDate":"1981-01-01"}]}]}`
	return []rule{
		{"3.1.0.6", "a JSON Patch makes a version", "PATCH Patient/2", replace, []string{"Content-Type", jsonPatch}, 200, all(element("name.0.family", "Patched"), header("ETag", `W/"2"`))},
		{"3.1.0.6", "a FHIRPath Patch does", "PATCH Patient/2", fhirPath, nil, 200, element("birthDate", "1981-01-01")},
		{"3.1.0.6", "an XML Patch is not offered: 415", "PATCH Patient/2", `<diff/>`, []string{"Content-Type", "application/xml-patch+xml"}, 415, holding("json-patch+json")},
		{"3.1.0.6", "no Content-Type is 415", "PATCH Patient/2", replace, []string{"Content-Type", ""}, 415, nil},
		{"3.1.0.6", "If-Match of another version is 412", "PATCH Patient/2", replace, []string{"Content-Type", jsonPatch, "If-Match", `W/"1"`}, 412, nil},
		{"3.1.0.6", "a patch that does not apply is 422", "PATCH Patient/2", `[{"op":"test","path":"/active","value":true}]`, []string{"Content-Type", jsonPatch}, 422, nil},
		{"3.1.0.6", "what it makes keeps to R4", "PATCH Patient/2", `[{"op":"add","path":"/contact","value":[{"gender":"male"}]}]`, []string{"Content-Type", jsonPatch}, 422, nil},
		{"3.1.0.6", "nothing to patch is 404", "PATCH Patient/none", replace, []string{"Content-Type", jsonPatch}, 404, nil},
		{"3.1.0.6.1", "a conditional patch concerns the one that matches", "PATCH Patient?identifier=urn:test|2", replace, []string{"Content-Type", jsonPatch}, 200, element("id", "2")},
		{"3.1.0.6.1", "none is 404", "PATCH Patient?identifier=urn:test|nobody", replace, []string{"Content-Type", jsonPatch}, 404, nil},
		{"3.1.0.6.1", "several are 412", "PATCH Patient?birthdate=1980-04-01", replace, []string{"Content-Type", jsonPatch}, 412, nil},
		{"3.1.0.1.7", "return=minimal holds for a patch", "PATCH Patient/2", replace, []string{"Content-Type", jsonPatch, "Prefer", "return=minimal"}, 200, bodiless},
	}
}

func deletingRules() []rule {
	return []rule{
		{"3.1.0.7", "a delete is 204 with the version that it made", "DELETE Patient/new", nil, nil, 204, all(bodiless, header("ETag", `W/"2"`))},
		{"3.1.0.7", "again, too", "DELETE Patient/new", nil, nil, 204, nil},
		{"3.1.0.7", "with an OperationOutcome, if that is preferred, it is 200", "DELETE Patient/new", nil, []string{"Prefer", "return=OperationOutcome"}, 200, element("issue.0.severity", "information")},
		{"3.1.0.7", "what never was is 404", "DELETE Patient/none", nil, nil, 404, nil},
		{"3.1.0.7", "no search finds it", "GET Patient?_id=new", nil, nil, 200, matching()},
		{"3.1.0.7.1", "a conditional delete without a match is 204", "DELETE Patient?identifier=urn:test|nobody", nil, nil, 204, nil},
		{"3.1.0.7.1", "without criteria is 412", "DELETE Patient", nil, nil, 412, nil},
		{"3.1.0.7.1", "an unknown criterion is 400, not everything", "DELETE Patient?shoes=2", nil, nil, 400, nil},
		{"3.1.0.7.1", "several go together", "DELETE Patient?identifier=urn:test|taken,urn:test|gone", nil, nil, 204, nil},
		{"3.1.0.7.1", "and are gone", "GET Patient/taken", nil, nil, 410, nil},
	}
}

func searchingRules() []rule {
	return []rule{
		{"3.1.0.9", "a search is a searchset with its own link", "GET Patient?_id=1", nil, nil, 200, all(element("type", "searchset"), element("total", "1"), element("entry.0.search.mode", "match"), element("link.0.relation", "self"))},
		{"3.1.0.9", "a search by POST is the same", "POST Patient/_search", "_id=1", []string{"Content-Type", form}, 200, matching("Patient/1")},
		{"3.1.0.9", "parameters of address and form are both heard", "POST Patient/_search?_id=1", "family=nobody", []string{"Content-Type", form}, 200, matching()},
		{"3.1.0.9", "also when they are the same parameter: both must hold", "POST Patient/_search?_id=1", "_id=2", []string{"Content-Type", form}, 200, matching()},
		{"3.1.0.9", "a form of another kind is 415", "POST Patient/_search", `{"_id":1}`, nil, 415, nil},
		{"3.1.0.9", "HEAD is a search without the answer", "HEAD Patient?_id=1", nil, nil, 200, bodiless},
		{"3.1.0.9", "nothing found is 200", "GET Patient?family=nobody", nil, nil, 200, element("total", "0")},
		{"3.1.0.9", "a search of the system by types", "GET ?_type=Patient,Observation&_id=1,o", nil, nil, 200, matching("Patient/1", "Observation/o")},
		{"3.1.0.9", "by POST", "POST _search", "_type=Observation&_id=o", []string{"Content-Type", form}, 200, matching("Observation/o")},
		{"3.1.0.9", "an unknown type is 400", "GET ?_type=Nonsense", nil, nil, 400, nil},
		{"3.1.0.9", "a compartment by type", "GET Patient/1/Observation", nil, nil, 200, matching("Observation/o")},
		{"3.1.0.9", "a compartment as a whole", "GET Patient/1/*", nil, nil, 200, func(a *answer) {
			got := a.ids("match")
			if slices.Sort(got); !slices.Equal(got, []string{"Encounter/e", "Observation/o", "Patient/1"}) && !slices.Equal(got, []string{"Encounter/e", "Observation/o"}) {
				a.t.Errorf("the compartment holds %q", got)
			}
		}},
		{"3.1.0.9", "a compartment by POST", "POST Patient/1/Observation/_search", "code=8867-4", []string{"Content-Type", form}, 200, matching("Observation/o")},
		{"3.1.0.9", "there is no compartment of that type", "GET Organization/1/Patient", nil, nil, 404, nil},
		{"search 3.1.1.1.1", "an unknown parameter is 400", "GET Patient?shoes=2", nil, nil, 400, element("issue.0.code", "not-supported")},
		{"search 3.1.1.1.1", "handling=lenient leaves it out and says so", "GET Patient?shoes=2&_id=1", nil, []string{"Prefer", "handling=lenient"}, 200, all(matching("Patient/1"), holding(`"mode":"outcome"`))},
		{"search 3.1.1.1.1", "handling=strict is 400", "GET Patient?shoes=2", nil, []string{"Prefer", "handling=strict"}, 400, nil},
		{"search 3.1.1.1.1", "an unknown modifier is 400", "GET Patient?family:loudly=x", nil, nil, 400, nil},
		{"search 3.1.1.5.5", "_count bounds the page, and a link leads on", "GET Patient?_count=1", nil, nil, 200, func(a *answer) {
			if len(a.ids("match")) != 1 || a.link("next") == "" {
				a.t.Errorf("%q %s", a.ids(""), a.link("next"))
			}
		}},
		{"search 3.1.1.5.5", "_count=0 is a count", "GET Observation?_count=0", nil, nil, 200, all(element("total", "1"), element("entry.0.fullUrl", ""))},
		{"search 3.1.1.5.7", "_summary=count has no entries", "GET Observation?_summary=count", nil, nil, 200, all(element("total", "1"), element("entry.0.fullUrl", ""))},
		{"search 3.1.1.5.7", "_summary=true has the summary's elements", "GET Observation?_summary=true", nil, nil, 200, all(element("entry.0.resource.status", "final"), element("entry.0.resource.meta.tag.0.code", "SUBSETTED"))},
		{"search 3.1.1.5.7", "_summary=text has the narrative and what is mandatory", "GET Observation?_summary=text", nil, nil, 200, all(element("entry.0.resource.code.coding.0.code", "8867-4"), element("entry.0.resource.valueQuantity.value", ""), element("entry.0.resource.meta.tag.0.code", "SUBSETTED"))},
		{"search 3.1.1.5.7", "_summary=data has all but the narrative", "GET Observation?_summary=data", nil, nil, 200, all(element("entry.0.resource.valueQuantity.value", "70"), element("entry.0.resource.meta.tag.0.code", "SUBSETTED"))},
		{"search 3.1.1.5.7", "_summary=false has all", "GET Observation?_summary=false", nil, nil, 200, element("entry.0.resource.meta.tag.0.code", "")},
		{"search 3.1.1.5.7", "_summary is one of these", "GET Observation?_summary=most", nil, nil, 400, nil},
		{"search 3.1.1.5.8", "_elements narrows entries", "GET Observation?_elements=status", nil, nil, 200, all(element("entry.0.resource.valueQuantity.value", ""), element("entry.0.resource.meta.tag.0.code", "SUBSETTED"))},
		{"search 3.1.1.5.8", "_summary and _elements do not go together", "GET Observation?_elements=status&_summary=true", nil, nil, 400, nil},
		{"search 3.1.1.5.6", "_total=accurate counts", "GET Patient?_count=1&_total=accurate&birthdate=1980-04-01", nil, nil, 200, func(a *answer) {
			if a.text("total") == "" {
				a.t.Error("there is no total")
			}
		}},
		{"search 3.1.1.5.9", "_contained is not offered, and says so", "GET Patient?_contained=true", nil, nil, 400, holding("_contained")},
		{"search 3.1.1.5.9", "_contained=false is what is done", "GET Patient?_contained=false&_id=1", nil, nil, 200, matching("Patient/1")},
		{"search 3.1.1.6", "_filter is not offered", "GET Patient?_filter=name%20eq%20x", nil, nil, 400, nil},
		{"search 3.1.1.6", "_query is not offered", "GET Patient?_query=all", nil, nil, 400, nil},
		{"search 3.1.1.5.4", "_include brings what is referred to", "GET Observation?_include=Observation:subject", nil, nil, 200, func(a *answer) {
			if got := a.ids("include"); !slices.Equal(got, []string{"Patient/1"}) {
				a.t.Errorf("included %q", got)
			}
		}},
	}
}

func historyRules() []rule {
	return []rule{
		{"3.1.0.10", "the history of one resource, newest first", "GET Patient/1/_history", nil, nil, 200, all(element("type", "history"), element("total", "4"), element("entry.0.resource.meta.versionId", "4"), element("entry.3.request.method", "PUT"), element("entry.3.response.status", "201"))},
		{"3.1.0.10", "of a deleted one, too", "GET Patient/new/_history", nil, nil, 200, all(element("entry.0.request.method", "DELETE"), element("entry.0.resource.id", ""))},
		{"3.1.0.10", "of a type", "GET Observation/_history", nil, nil, 200, element("entry.0.request.url", "Observation/o")},
		{"3.1.0.10", "of the system, in pages", "GET _history?_count=1", nil, nil, 200, func(a *answer) {
			if len(a.ids("")) != 1 || a.link("next") == "" {
				a.t.Errorf("%q %s", a.ids(""), a.link("next"))
			}
		}},
		{"3.1.0.10", "_since is an instant", "GET Patient/1/_history?_since=2024", nil, nil, 400, nil},
		{"3.1.0.10", "_at is a time", "GET Patient/1/_history?_at=1999", nil, nil, 200, element("total", "0")},
		{"3.1.0.10", "_list is not offered", "GET Patient/1/_history?_list=1", nil, nil, 400, nil},
		{"3.1.0.10", "HEAD, too", "HEAD Patient/1/_history", nil, nil, 200, bodiless},
		{"3.1.0.10", "of what never was: 404", "GET Patient/none/_history", nil, nil, 404, nil},
	}
}

func bundleRules() []rule {
	return []rule{
		{"3.1.0.11", "a batch answers each entry by itself", "POST ", bundle("batch", entry("GET", "Patient/1", ""), entry("GET", "Patient/none", ""), entry("PUT", "Patient/1", `{"resourceType":"Patient","id":"1","shoes":2}`)), nil, 200,
			all(element("type", "batch-response"), element("entry.0.response.status", "200 OK"), element("entry.1.response.status", "404 Not Found"), element("entry.2.response.status", "422 Unprocessable Entity"), element("entry.2.response.outcome.resourceType", "OperationOutcome"))},
		{"3.1.0.11.2", "a transaction that fails is one OperationOutcome", "POST ", bundle("transaction", entry("PUT", "Patient/t", patient("t", "x")), entry("PUT", "Patient/1", `{"resourceType":"Patient","id":"1","shoes":2}`)), nil, 422, holding("Bundle.entry[1]")},
		{"3.1.0.11.2", "and does nothing", "GET Patient/t", nil, nil, 404, nil},
		{"3.1.0.11.2", "a read in a transaction sees what it wrote", "POST ", bundle("transaction", entry("GET", "Patient/t", ""), entry("HEAD", "Patient/t", ""), entry("GET", "Patient?_id=t", ""), entry("PUT", "Patient/t", patient("t", "x"))), nil, 200,
			all(element("entry.0.resource.id", "t"), element("entry.1.response.status", "200 OK"), element("entry.1.resource.id", ""), element("entry.2.resource.total", "1"), element("entry.3.response.status", "201 Created"))},
		{"3.1.0.11.2", "what it deletes, its reads do not find", "POST ", bundle("transaction", entry("GET", "Patient/t", ""), entry("DELETE", "Patient/t", "")), nil, 200, all(element("entry.0.response.status", "410 Gone"), element("entry.1.response.status", "204 No Content"))},
		{"3.1.0.11.2", "a read of it that is conditional is 304", "POST ", bundle("transaction", entry("GET", "Patient/1", "", "ifNoneMatch", `W/"4"`)), nil, 200, element("entry.0.response.status", "304 Not Modified")},
		{"3.1.0.11", "a Bundle of another type is 400", "POST ", bundle("collection"), nil, 400, nil},
		{"3.1.0.11", "another resource is 400", "POST ", patient("x", "x"), nil, 400, nil},
		{"3.1.0.11", "Prefer holds for the entries", "POST ", bundle("transaction", entry("PUT", "Patient/p", patient("p", "x"))), []string{"Prefer", "return=minimal"}, 200, all(element("entry.0.resource.id", ""), element("entry.0.response.etag", `W/"1"`))},
	}
}
