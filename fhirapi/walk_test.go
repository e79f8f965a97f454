package fhirapi_test

import (
	"compress/gzip"
	"encoding/base64"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Each test opens with what the specification says (https://hl7.org/fhir/R4/http.html) and walks through it.

// "The capabilities interaction retrieves the information about a server's capabilities."
func TestCapabilities(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.token = "" // anybody may ask
	a := c.get("metadata").wants(200).has("Content-Type", "application/fhir+json; charset=utf-8").
		is("resourceType", "CapabilityStatement").is("fhirVersion", "4.0.1").is("kind", "instance")
	types := map[string]bool{}
	for res := range a.resource().Get("rest.0.resource").Items() {
		typ := res.Field("type").String()
		types[typ] = true
		for i := range res.Field("interaction").Items() {
			code := i.Field("code").String()
			if typ == "AuditEvent" && code != "read" && code != "search-type" {
				t.Errorf("the account promises %s", code)
			}
		}
	}
	if !types["Patient"] || !types["AuditEvent"] || len(types) < 140 {
		t.Errorf("%d types", len(types))
	}
	c.get("metadata?mode=full").wants(200)
	c.get("metadata?mode=terminology").wants(400)
	c.get("metadata?mode=nonsense").wants(400)
	c.get(".well-known/smart-configuration").wants(200)
}

// "Servers SHALL support the explicit use of the _format parameter … and the Accept header for content negotiation."
func TestFormats(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("1", "Smith"))
	for _, ask := range []struct{ query, accept, media string }{
		{"", "", "json"}, {"", "application/fhir+json", "json"}, {"", "application/fhir+xml", "xml"}, {"", "application/xml", "xml"}, {"", "text/xml", "xml"},
		{"", "*/*", "json"}, {"", "text/html,application/xhtml+xml,*/*;q=0.8", "json"}, {"", "application/fhir+json;q=0.5, application/fhir+xml;q=0.9", "xml"},
		{"", "application/fhir+xml; fhirVersion=4.0", "xml"}, {"", "application/json; charset=utf-8", "json"},
		{"?_format=xml", "application/json", "xml"}, {"?_format=json", "application/xml", "json"}, {"?_format=application/fhir%2Bxml", "", "xml"},
		{"?_format=application/fhir+xml", "", "xml"}, {"?_format=text/xml", "", "xml"},
	} {
		headers := []string{}
		if ask.accept != "" {
			headers = append(headers, "Accept", ask.accept)
		}
		c.get("Patient/1"+ask.query, headers...).wants(200).has("Content-Type", "application/fhir+"+ask.media+"; charset=utf-8")
	}
	for _, accept := range []string{"image/png", "application/fhir+json; fhirVersion=3.0", "application/json;q=0", "nonsense", "text/turtle"} {
		c.get("Patient/1", "Accept", accept).wants(406)
	}
	c.get("Patient/1?_format=ttl").wants(406)
	c.get("Patient/1?_format=application/fhir%2Bjson%3BfhirVersion=3.0").wants(406)
	if a := c.get("Patient/none?_format=xml").wants(404); !strings.Contains(a.body, `<OperationOutcome xmlns="http://hl7.org/fhir">`) {
		t.Errorf("a failure in XML is %s", a.body)
	}
	if a := c.get("Patient/1?_pretty=true").wants(200); !strings.Contains(a.body, "\n  ") {
		t.Error("not pretty")
	}
	if a := c.do("POST", "Patient/_search", "_id=1&_format=xml", "Content-Type", "application/x-www-form-urlencoded").wants(200); !strings.HasPrefix(a.body, "<?xml") {
		t.Error("_format in the form of a search was not heard")
	}
}

// "Servers MAY support gzip": long answers are compressed for whoever takes them.
func TestGzip(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("1", strings.Repeat("Smith", 1000)))
	a := c.get("Patient/1", "Accept-Encoding", "gzip").wants(200).has("Content-Encoding", "gzip")
	z, err := gzip.NewReader(strings.NewReader(a.body))
	if err != nil {
		t.Fatal(err)
	}
	text, err := io.ReadAll(z)
	if err != nil || !strings.Contains(string(text), `"versionId":"1"`) {
		t.Errorf("%v %.80s", err, text)
	}
	c.get("Patient/1", "Accept-Encoding", "gzip;q=0").wants(200).has("Content-Encoding", "")
}

// "The read interaction accesses the current contents of a resource."
func TestRead(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("1", "Smith"))
	a := c.get("Patient/1").wants(200).has("ETag", `W/"1"`).is("id", "1").is("meta.versionId", "1").is("name.0.family", "Smith")
	modified := a.header.Get("Last-Modified")
	if _, err := http.ParseTime(modified); err != nil {
		t.Errorf("Last-Modified is %q", modified)
	}
	if h := c.do("HEAD", "Patient/1", nil).wants(200); h.body != "" || h.header.Get("ETag") != `W/"1"` || h.header.Get("Content-Length") == "" {
		t.Errorf("HEAD: %v %q", h.header, h.body)
	}
	// "cread": 304 when nothing is newer.
	for _, tag := range []string{`W/"1"`, `"1"`, `*`, `W/"7", W/"1"`} {
		if n := c.get("Patient/1", "If-None-Match", tag).wants(304); n.body != "" || n.header.Get("ETag") != `W/"1"` {
			t.Errorf("If-None-Match %s: %q %v", tag, n.body, n.header)
		}
	}
	c.get("Patient/1", "If-None-Match", `W/"2"`).wants(200)
	c.get("Patient/1", "If-Modified-Since", modified).wants(304)
	c.get("Patient/1", "If-Modified-Since", "Sat, 01 Jan 2000 00:00:00 GMT").wants(200)
	// "_summary" and "_elements" mark what they leave out.
	c.get("Patient/1?_elements=birthDate").wants(200).is("name.0.family", "").is("birthDate", "1980-04-01").is("meta.tag.0.code", "SUBSETTED")
	c.get("Patient/1?_summary=true").wants(200).is("meta.tag.0.code", "SUBSETTED")
	c.get("Patient/1?_summary=nonsense").wants(400)
	c.get("Patient/none").wants(404)
	c.get("Nonsense/1").wants(404)
	c.get("patient/1").wants(404)
}

// "The vread interaction performs a version specific read of the resource."
func TestVread(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("1", "Smith"))
	c.put(patient("1", "Jones"))
	c.get("Patient/1/_history/1").wants(200).is("name.0.family", "Smith").is("meta.versionId", "1").has("ETag", `W/"1"`)
	c.get("Patient/1/_history/2").wants(200).is("name.0.family", "Jones")
	c.do("DELETE", "Patient/1", nil).wants(204)
	c.get("Patient/1/_history/3").wants(410)
	c.get("Patient/1/_history/1").wants(200).is("name.0.family", "Smith")
	for _, ver := range []string{"0", "-1", "4", "x", "99999999999999999999"} {
		c.get("Patient/1/_history/" + ver).wants(404)
	}
}

// "The create interaction creates a new resource in a server-assigned location."
func TestCreate(t *testing.T) {
	c := newWorld(t, setting{}).system()
	a := c.do("POST", "Patient", patient("mine", "Smith")).wants(201).has("ETag", `W/"1"`).is("meta.versionId", "1")
	id := a.text("id")
	if id == "mine" || a.header.Get("Location") != c.url+"/Patient/"+id+"/_history/1" {
		t.Errorf("id %s at %s", id, a.header.Get("Location"))
	}
	c.get("Patient/"+id).wants(200).is("name.0.family", "Smith")
	c.do("POST", "Observation", patient("x", "y")).wants(400)
	c.do("POST", "Patient/1", patient("1", "y")).wants(405)
	if m := c.do("POST", "Patient", patient("x", "Min"), "Prefer", "return=minimal").wants(201); m.body != "" {
		t.Errorf("return=minimal answered %q", m.body)
	}
	c.do("POST", "Patient", patient("x", "Out"), "Prefer", "return=OperationOutcome").wants(201).is("resourceType", "OperationOutcome")
	xml := `<Patient xmlns="http://hl7.org/fhir"><name><family value="Xavier"/></name></Patient>`
	x := c.do("POST", "Patient", xml, "Content-Type", "application/fhir+xml").wants(201).is("name.0.family", "Xavier")
	if y := c.do("POST", "Patient", xml, "Content-Type", "application/fhir+xml", "Accept", "application/fhir+xml").wants(201); !strings.Contains(y.body, `<family value="Xavier"/>`) {
		t.Errorf("in XML: %s", y.body)
	}
	c.get("Patient/" + x.text("id")).wants(200)
}

// "The conditional create interaction allows a client to create a new resource only if some equivalent resource does not already exist."
func TestConditionalCreate(t *testing.T) {
	c := newWorld(t, setting{}).system()
	first := c.do("POST", "Patient", patient("x", "Smith"), "If-None-Exist", "identifier=urn:test|x").wants(201)
	again := c.do("POST", "Patient", patient("x", "Jones"), "If-None-Exist", "identifier=urn:test|x").wants(200).is("name.0.family", "Smith")
	if again.text("id") != first.text("id") || again.header.Get("Location") != first.header.Get("Location") {
		t.Error("another one was made")
	}
	c.do("POST", "Patient", patient("x", "Jones"), "If-None-Exist", "?identifier=urn:test|x").wants(200)
	c.do("POST", "Patient", patient("x", "Jones")).wants(201)
	c.do("POST", "Patient", patient("x", "Jones"), "If-None-Exist", "identifier=urn:test|x").wants(412)
	c.do("POST", "Patient", patient("x", "Jones"), "If-None-Exist", "nonsense=1").wants(400)
	c.do("POST", "Patient", patient("x", "Jones"), "If-None-Exist", "_format=json").wants(412)
}

// "The update interaction creates a new current version for an existing resource or creates an initial version."
func TestUpdate(t *testing.T) {
	c := newWorld(t, setting{}).system()
	a := c.do("PUT", "Patient/1", patient("1", "Smith")).wants(201).has("ETag", `W/"1"`)
	if a.header.Get("Location") != c.url+"/Patient/1/_history/1" || a.header.Get("Last-Modified") == "" {
		t.Errorf("headers %v", a.header)
	}
	c.do("PUT", "Patient/1", patient("1", "Jones")).wants(200).has("ETag", `W/"2"`)
	c.do("PUT", "Patient/1", patient("1", "Brown"), "If-Match", `W/"1"`).wants(412)
	c.do("PUT", "Patient/1", patient("1", "Brown"), "If-Match", `W/"2"`).wants(200).has("ETag", `W/"3"`)
	c.do("PUT", "Patient/1", patient("1", "Green"), "If-None-Match", `*`).wants(412)
	c.do("PUT", "Patient/2", patient("2", "Green"), "If-None-Match", `*`).wants(201)
	c.do("PUT", "Patient/3", patient("3", "Green"), "If-Match", `W/"1"`).wants(404)
	c.do("PUT", "Patient/1", patient("2", "Brown")).wants(400)
	c.do("PUT", "Patient/1", `{"resourceType":"Patient"}`).wants(400)
	c.do("PUT", "Patient/a_b", `{"resourceType":"Patient","id":"a_b"}`).wants(422)
	c.get("Patient/1").is("name.0.family", "Brown").is("meta.versionId", "3")
	// A deleted resource may be brought back.
	c.do("DELETE", "Patient/2", nil).wants(204)
	c.do("PUT", "Patient/2", patient("2", "Back")).wants(201).has("ETag", `W/"3"`)
}

// "The conditional update interaction allows a client to update an existing resource based on some identification criteria."
func TestConditionalUpdate(t *testing.T) {
	c := newWorld(t, setting{}).system()
	body := `{"resourceType":"Patient","identifier":[{"system":"urn:test","value":"k"}],"name":[{"family":"%"}]}`
	named := func(family string) string { return strings.Replace(body, "%", family, 1) }
	a := c.do("PUT", "Patient?identifier=urn:test|k", named("One")).wants(201)
	b := c.do("PUT", "Patient?identifier=urn:test|k", named("Two")).wants(200).has("ETag", `W/"2"`)
	if a.text("id") != b.text("id") {
		t.Error("another one was made")
	}
	c.do("PUT", "Patient?identifier=urn:test|k", strings.Replace(named("Three"), `"Patient",`, `"Patient","id":"other",`, 1)).wants(400)
	c.do("PUT", "Patient?identifier=urn:test|k", named("Three"), "If-Match", `W/"1"`).wants(412)
	c.do("PUT", "Patient?identifier=urn:test|new", `{"resourceType":"Patient","id":"chosen"}`).wants(201).is("id", "chosen")
	c.do("POST", "Patient", named("Twin")).wants(201)
	c.do("PUT", "Patient?identifier=urn:test|k", named("Four")).wants(412)
	c.do("PUT", "Patient", named("Five")).wants(412)
	c.do("PUT", "Patient?nonsense=1", named("Six")).wants(400)
}

// "The patch interaction": a JSON Patch or a FHIRPath Patch; all of it holds or nothing changes.
func TestPatch(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("1", "Smith"))
	const jsonPatch = "application/json-patch+json"
	c.do("PATCH", "Patient/1", `[{"op":"replace","path":"/name/0/family","value":"Jones"}]`, "Content-Type", jsonPatch).wants(200).
		has("ETag", `W/"2"`).is("name.0.family", "Jones")
	c.do("PATCH", "Patient/1", `[{"op":"test","path":"/name/0/family","value":"Smith"}]`, "Content-Type", jsonPatch).wants(422)
	c.do("PATCH", "Patient/1", `[{"op":"add","path":"/nonsense","value":1}]`, "Content-Type", jsonPatch).wants(422)
	c.do("PATCH", "Patient/1", `[{"op":"replace","path":"/id","value":"2"}]`, "Content-Type", jsonPatch).wants(422)
	c.do("PATCH", "Patient/1", `[{"op":"replace","path":"/resourceType","value":"Group"}]`, "Content-Type", jsonPatch).wants(422)
	c.do("PATCH", "Patient/1", `[{"op":`, "Content-Type", jsonPatch).wants(400)
	c.do("PATCH", "Patient/1", `[]`, "Content-Type", "text/plain").wants(415)
	c.do("PATCH", "Patient/1", `[]`, "Content-Type", "").wants(415)
	fhirPath := `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"replace"},` +
		`{"name":"path","valueString":"Patient.birthDate"},{"name":"value","valueDate":"1999-09-09"}]}]}`
	c.do("PATCH", "Patient/1", fhirPath).wants(200).is("birthDate", "1999-09-09").has("ETag", `W/"3"`)
	xml := `<Parameters xmlns="http://hl7.org/fhir"><parameter><name value="operation"/><part><name value="type"/><valueCode value="delete"/></part>` +
		`<part><name value="path"/><valueString value="Patient.birthDate"/></part></parameter></Parameters>`
	c.do("PATCH", "Patient/1", xml, "Content-Type", "application/fhir+xml").wants(200).is("birthDate", "")
	c.do("PATCH", "Patient/1", fhirPath, "If-Match", `W/"1"`).wants(412)
	c.do("PATCH", "Patient/none", fhirPath).wants(404)
	add := `[{"op":"add","path":"/birthDate","value":"1999-09-09"}]`
	c.do("PATCH", "Patient?identifier=urn:test|1", add, "Content-Type", jsonPatch).wants(200).is("birthDate", "1999-09-09")
	c.do("PATCH", "Patient?identifier=urn:test|none", fhirPath).wants(404)
	c.do("DELETE", "Patient/1", nil).wants(204)
	c.do("PATCH", "Patient/1", fhirPath).wants(410)
}

// "The delete interaction removes an existing resource": it is voided with a reason, and its history stays.
func TestDelete(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("1", "Smith"))
	c.do("DELETE", "Patient/1", nil, "If-Match", `W/"9"`).wants(412)
	c.do("DELETE", "Patient/1", nil, "X-Reason", "entered in error").wants(204).has("ETag", `W/"2"`)
	c.do("DELETE", "Patient/1", nil).wants(204)
	c.get("Patient/1").wants(410).is("issue.0.code", "deleted")
	c.get("Patient?_id=1").wants(200).is("total", "0")
	c.get("Patient/1/_history").wants(200).is("total", "2").is("entry.0.request.method", "DELETE")
	c.do("DELETE", "Patient/none", nil).wants(404)
	c.put(patient("a", "Conditional"))
	c.do("DELETE", "Patient", nil).wants(412)
	c.do("DELETE", "Patient?identifier=urn:test|a", nil).wants(204)
	c.do("DELETE", "Patient?identifier=urn:test|a", nil).wants(204)
	c.get("Patient/a").wants(410)
	c.get("Patient?family=Conditional&_total=accurate").is("total", "0")
}

// "The history interaction retrieves the history of either a particular resource, all resources of a given type, or all
// resources supported by the system."
func TestHistory(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("1", "One"))
	c.put(patient("1", "Two"))
	middle := c.get("Patient/1").text("meta.lastUpdated")
	c.put(patient("2", "Other"))
	c.put(observation("o", "1", "70"))
	c.put(patient("1", "Three"))
	c.do("DELETE", "Patient/2", nil).wants(204)

	a := c.get("Patient/1/_history").wants(200).is("type", "history").is("total", "3").
		is("entry.0.resource.name.0.family", "Three").is("entry.0.request.method", "PUT").is("entry.0.response.etag", `W/"3"`).
		is("entry.2.request.method", "PUT").is("entry.2.request.url", "Patient/1").is("entry.2.response.status", "201").
		is("entry.0.response.status", "200")
	if !strings.HasPrefix(a.text("entry.0.fullUrl"), c.url+"/Patient/1") {
		t.Error(a.text("entry.0.fullUrl"))
	}
	pages := func(path string) (ids []string) {
		for n := 0; path != "" && n < 20; n++ {
			a := c.get(path).wants(200)
			for e := range a.resource().Get("entry").Items() {
				ids = append(ids, e.Field("request").Field("method").String()+" "+e.Field("resource").Field("id").String()+" "+e.Field("response").Field("etag").String())
			}
			path = a.link("next")
		}
		return ids
	}
	for path, want := range map[string][]string{
		"Patient/1/_history?_count=1":                     {`PUT 1 W/"3"`, `PUT 1 W/"2"`, `PUT 1 W/"1"`},
		"Patient/1/_history?_since=" + middle:             {`PUT 1 W/"3"`, `PUT 1 W/"2"`},
		"Patient/1/_history?_at=" + middle:                {`PUT 1 W/"3"`, `PUT 1 W/"2"`},
		"Patient/_history?_count=2":                       {`DELETE  W/"2"`, `PUT 1 W/"3"`, `PUT 2 W/"1"`, `PUT 1 W/"2"`, `PUT 1 W/"1"`},
		"_history?_count=4":                               {`DELETE  W/"2"`, `PUT 1 W/"3"`, `PUT o W/"1"`, `PUT 2 W/"1"`, `PUT 1 W/"2"`, `PUT 1 W/"1"`},
		"Observation/_history":                            {`PUT o W/"1"`},
		"_history?_since=2100-01-01T00:00:00Z":            nil,
		"Patient/1/_history?_at=1999":                     nil,
		"Patient/_history?_since=" + middle + "&_count=1": {`DELETE  W/"2"`, `PUT 1 W/"3"`, `PUT 2 W/"1"`, `PUT 1 W/"2"`},
	} {
		if got := pages(path); !slices.Equal(got, want) {
			t.Errorf("%s:\n got %q\nwant %q", path, got, want)
		}
	}
	// A page's cursor goes on where it was, whatever has been written since.
	next := c.get("Patient/_history?_count=2").link("next")
	c.put(patient("9", "Late"))
	if got := pages(next); !slices.Equal(got, []string{`PUT 2 W/"1"`, `PUT 1 W/"2"`, `PUT 1 W/"1"`}) {
		t.Errorf("after a change the second page is %q", got)
	}
	made := c.do("POST", "Basic", `{"resourceType":"Basic","code":{"text":"x"}}`).wants(201).text("id")
	c.do("PUT", "Basic?_id=none", `{"resourceType":"Basic","code":{"text":"y"}}`).wants(201)
	c.do("DELETE", "Basic/"+made, nil).wants(204)
	c.put(`{"resourceType":"Basic","id":"` + made + `","code":{"text":"again"}}`)
	h := c.get("Basic/"+made+"/_history").is("entry.2.request.method", "POST").is("entry.2.request.url", "Basic").is("entry.2.response.status", "201").
		is("entry.1.request.method", "DELETE").is("entry.1.request.url", "Basic/"+made).is("entry.1.response.status", "204").
		is("entry.0.request.method", "PUT").is("entry.0.response.status", "201")
	if h.resource().Get("entry.1.resource").Exists() {
		t.Error("a deleted version has content")
	}
	if got, want := pages("Basic/_history"), 4; len(got) != want || !strings.HasPrefix(got[2], "PUT ") || !strings.HasPrefix(got[3], "POST ") {
		t.Errorf("Basic/_history: %q", got)
	}
	for _, bad := range []string{"_count=-1", "_count=x", "_count=0", "_since=yesterday", "_since=2024", "_at=x", "_cursor=abc", "family=x"} {
		c.get("Patient/1/_history?" + bad).wants(400)
		c.get("_history?" + bad).wants(400)
	}
	c.get("Patient/none/_history").wants(404)
	c.get("Nonsense/_history").wants(404)
}

// "$meta": profiles, tags and labels of one resource, a type, or everything; -add and -delete change them.
func TestMeta(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("1", "Smith"))
	tagged := func(code string) string {
		return `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"system":"urn:t","code":"` + code + `"}]}}]}`
	}
	c.get("Patient/1/$meta").wants(200).is("parameter.0.valueMeta.versionId", "1")
	c.do("POST", "Patient/1/$meta-add", tagged("a")).wants(200).is("parameter.0.valueMeta.tag.0.code", "a").is("parameter.0.valueMeta.versionId", "2")
	c.do("POST", "Patient/1/$meta-add", tagged("b")).wants(200)
	if n := c.do("POST", "Patient/1/$meta-add", tagged("b")).wants(200).resource().Get("parameter.0.valueMeta.tag").Len(); n != 2 {
		t.Errorf("%d tags", n)
	}
	c.get("Patient?_tag=urn:t|b").is("total", "1")
	c.get("Patient/$meta").wants(200).is("parameter.0.valueMeta.tag.1.code", "b")
	c.get("$meta").wants(200).is("parameter.0.valueMeta.tag.0.code", "a")
	c.do("POST", "Patient/1/$meta-delete", tagged("a")).wants(200).is("parameter.0.valueMeta.tag.0.code", "b")
	c.do("POST", "Patient/1/$meta-delete", tagged("b")).wants(200).is("parameter.0.valueMeta.tag.0.code", "")
	c.get("Patient?_tag=urn:t|b").is("total", "0")
	c.get("Patient/1").is("name.0.family", "Smith")
	c.do("POST", "Patient/1/$meta-add", `{"resourceType":"Parameters"}`).wants(400)
	c.do("POST", "Patient/1/$meta-add", `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":"x"}}]}`).wants(422)
	c.do("POST", "Patient/none/$meta-add", tagged("a")).wants(404)
}

// "Compartments": what belongs to a patient, an encounter, a practitioner, a related person or a device.
func TestCompartments(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("1", "Smith"))
	c.put(patient("2", "Jones"))
	c.put(observation("a", "1", "70"))
	c.put(observation("b", "2", "80"))
	c.put(`{"resourceType":"Encounter","id":"e","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/1"}}`)
	for path, want := range map[string][]string{
		"Patient/1/Observation":                     {"Observation/a"},
		"Patient/1/Observation?value-quantity=gt75": {},
		"Patient/2/Observation?value-quantity=gt75": {"Observation/b"},
		"Patient/1/Encounter":                       {"Encounter/e"},
		"Patient/none/Observation":                  {},
		"Patient/1/*":                               {"Encounter/e", "Observation/a", "Patient/1"},
		"Patient/1/*?_type=Encounter":               {"Encounter/e"},
	} {
		got := c.get(path).wants(200).ids("")
		if slices.Sort(got); !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", path, got, want)
		}
	}
	if got := c.do("POST", "Patient/1/Observation/_search", "code=8867-4", "Content-Type", "application/x-www-form-urlencoded").wants(200).ids(""); len(got) != 1 {
		t.Errorf("by POST %q", got)
	}
	c.get("Patient/1/Organization").wants(400)
	c.get("Patient/1/Nonsense").wants(404)
	c.get("Observation/a/Patient").wants(404)
}

// JSON Patch inside a Bundle travels as a Binary.
func binaryPatch(patch string) string {
	return `{"resourceType":"Binary","contentType":"application/json-patch+json","data":"` + base64.StdEncoding.EncodeToString([]byte(patch)) + `"}`
}
