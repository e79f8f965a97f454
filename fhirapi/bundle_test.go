package fhirapi_test

import (
	"fmt"
	"strings"
	"testing"
)

// bundle is a Bundle of a type with entries, each "METHOD url" or "METHOD url resource", with more members of request or
// entry before them as "{…}".
func bundle(kind string, entries ...string) string {
	return `{"resourceType":"Bundle","type":"` + kind + `","entry":[` + strings.Join(entries, ",") + `]}`
}

func entry(method, url, resource string, more ...string) string {
	request := `{"method":"` + method + `","url":"` + url + `"`
	fullURL := ""
	for i := 0; i < len(more); i += 2 {
		if more[i] == "fullUrl" {
			fullURL = `"fullUrl":"` + more[i+1] + `",`
			continue
		}
		request += fmt.Sprintf(`,"%s":%q`, more[i], more[i+1])
	}
	if resource != "" {
		resource = `"resource":` + resource + `,`
	}
	return `{` + fullURL + resource + `"request":` + request + `}}`
}

const urn = "urn:uuid:0c3151bd-1cbf-4d64-b04d-cd9187a4c6e"

// "For a transaction, servers SHALL either accept all actions and return an overall 200 OK, or reject all resources."
func TestTransaction(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.system().in(t)
		c.put(patient("old", "Old"))
		c.put(patient("gone", "Gone"))
		c.put(`{"resourceType":"Practitioner","id":"d","identifier":[{"system":"urn:p","value":"7"}]}`)
		a := c.do("POST", "", bundle("transaction",
			entry("GET", "Patient/new", ""),
			entry("GET", "Observation?code=8867-4&_summary=count", ""),
			entry("PUT", "Patient/new", `{"resourceType":"Patient","id":"new","generalPractitioner":[{"reference":"Practitioner?identifier=urn:p|7"}]}`, "fullUrl", urn+"1"),
			entry("POST", "Observation", strings.Replace(observation("x", "1", "70"), "Patient/1", urn+"1", 1), "fullUrl", urn+"2"),
			entry("POST", "Provenance", `{"resourceType":"Provenance","target":[{"reference":"`+urn+`2"}],"recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"reference":"Practitioner/d"}}]}`),
			entry("PATCH", "Patient/old", binaryPatch(`[{"op":"replace","path":"/name/0/family","value":"Patched"}]`), "ifMatch", `W/"1"`),
			entry("DELETE", "Patient/gone", ""),
		)).wants(200).is("resourceType", "Bundle").is("type", "transaction-response").
			is("entry.0.response.status", "200 OK").is("entry.0.resource.id", "new").is("entry.1.resource.total", "1").
			is("entry.2.response.status", "201 Created").is("entry.2.response.etag", `W/"1"`).is("entry.2.resource.generalPractitioner.0.reference", "Practitioner/d").
			is("entry.3.response.status", "201 Created").is("entry.3.resource.subject.reference", "Patient/new").
			is("entry.5.resource.name.0.family", "Patched").is("entry.6.response.status", "204 No Content")
		at := a.text("entry.3.response.location")
		if !strings.HasPrefix(at, c.url+"/Observation/") {
			t.Errorf("created at %s", at)
		}
		id := a.text("entry.3.resource.id")
		if got := a.text("entry.4.resource.target.0.reference"); got != "Observation/"+id {
			t.Errorf("the provenance is of %s", got)
		}
		c.get("Patient/gone").wants(410)
		c.get("Patient/new/_history").is("total", "1")
	})
}

// All or nothing: whatever is wrong with one entry, none is done, and the answer names the entry.
func TestTransactionFailsWhole(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("old", "Old"))
	c.put(patient("twin1", "Twin"))
	c.put(patient("twin2", "Twin"))
	good := entry("PUT", "Patient/good", patient("good", "Good"), "fullUrl", urn+"0")
	for name, wrong := range map[string]struct {
		entry  string
		status int
	}{
		"wrong version":             {entry("PUT", "Patient/old", patient("old", "New"), "ifMatch", `W/"9"`), 412},
		"no such version":           {entry("PUT", "Patient/old", patient("old", "New"), "ifMatch", `nonsense`), 400},
		"unknown element":           {entry("POST", "Patient", `{"resourceType":"Patient","shoes":2}`), 422},
		"wrong id":                  {entry("PUT", "Patient/old", patient("other", "New")), 400},
		"wrong type":                {entry("POST", "Observation", patient("other", "New")), 400},
		"unknown type":              {entry("POST", "Nonsense", patient("other", "New")), 404},
		"the account":               {entry("POST", "AuditEvent", `{"resourceType":"AuditEvent"}`), 405},
		"a delete of the account":   {entry("DELETE", "AuditEvent/0-1", ""), 405},
		"no resource":               {entry("POST", "Patient", ""), 400},
		"no method":                 {`{"resource":` + patient("x", "y") + `}`, 400},
		"a strange method":          {entry("BREW", "Patient", patient("x", "y")), 400},
		"dangling urn":              {entry("POST", "Observation", strings.Replace(observation("x", "1", "70"), "Patient/1", urn+"9", 1)), 400},
		"no match for a reference":  {entry("POST", "Observation", strings.Replace(observation("x", "1", "70"), "Patient/1", "Patient?identifier=urn:test|none", 1)), 412},
		"two match for a reference": {entry("POST", "Observation", strings.Replace(observation("x", "1", "70"), "Patient/1", "Patient?family=Twin", 1)), 412},
		"two match":                 {entry("PUT", "Patient?family=Twin", `{"resourceType":"Patient"}`), 412},
		"nothing to patch":          {entry("PATCH", "Patient/none", binaryPatch(`[]`)), 404},
		"a patch that fails":        {entry("PATCH", "Patient/old", binaryPatch(`[{"op":"test","path":"/name/0/family","value":"x"}]`)), 422},
		"a patch of the id":         {entry("PATCH", "Patient/old", binaryPatch(`[{"op":"replace","path":"/id","value":"x"}]`)), 422},
		"written twice":             {entry("PUT", "Patient/good", patient("good", "Twice")), 400},
		"the same fullUrl":          {entry("POST", "Patient", patient("x", "y"), "fullUrl", urn+"0"), 400},
		"a url of elsewhere":        {entry("POST", "http://elsewhere.example/Patient", patient("x", "y")), 400},
		"a nested bundle":           {entry("POST", "/", bundle("batch", entry("GET", "Patient", ""))), 400},
	} {
		for _, order := range []string{bundle("transaction", good, wrong.entry), bundle("transaction", wrong.entry, good)} {
			a := c.do("POST", "", order)
			if a.status != wrong.status || !strings.Contains(a.body, "OperationOutcome") {
				t.Errorf("%s: %d, want %d: %s", name, a.status, wrong.status, a.body)
			} else if !strings.Contains(a.body, "Bundle.entry[") {
				t.Errorf("%s: the answer does not say which entry: %s", name, a.body)
			}
			c.get("Patient/good").wants(404)
		}
	}
	c.get("Patient/old").is("meta.versionId", "1")
	c.get("Patient?family=Twin").is("total", "2")
	c.do("POST", "", bundle("history")).wants(400)
	c.do("POST", "", patient("x", "y")).wants(400)
	c.do("POST", "", `{"resourceType":"Bundle","type":"transaction"}`).wants(200)
}

// Conditional entries: what is there is used, what is not is made, and references follow.
func TestTransactionConditions(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		c := w.system().in(t)
		send := func() *answer {
			return c.do("POST", "", bundle("transaction",
				entry("POST", "Patient", patient("x", "Smith"), "fullUrl", urn+"1", "ifNoneExist", "identifier=urn:test|x"),
				entry("PUT", "Practitioner?identifier=urn:p|9", `{"resourceType":"Practitioner","identifier":[{"system":"urn:p","value":"9"}]}`, "fullUrl", urn+"2"),
				entry("POST", "Observation", strings.Replace(observation("x", "1", "70"), `"Patient/1"`, `"`+urn+`1"},"performer":[{"reference":"`+urn+`2"}],"device":{"display":"a"`, 1)),
			)).wants(200)
		}
		first := send().is("entry.0.response.status", "201 Created").is("entry.1.response.status", "201 Created").is("entry.2.response.status", "201 Created")
		second := send().is("entry.0.response.status", "200 OK").is("entry.1.response.status", "200 OK").is("entry.2.response.status", "201 Created")
		for _, path := range []string{"entry.0.resource.id", "entry.1.resource.id", "entry.2.resource.subject.reference", "entry.2.resource.performer.0.reference"} {
			if first.text(path) != second.text(path) || first.text(path) == "" {
				t.Errorf("%s: %q and %q", path, first.text(path), second.text(path))
			}
		}
		first.is("entry.2.resource.subject.reference", "Patient/"+first.text("entry.0.resource.id"))
		twice := entry("POST", "Patient", patient("n", "New"), "ifNoneExist", "identifier=urn:test|n")
		c.do("POST", "", bundle("transaction", twice, twice)).wants(400)
		c.do("POST", "", bundle("transaction", entry("DELETE", "Patient?identifier=urn:test|none", ""))).wants(200).is("entry.0.response.status", "204 No Content")
		c.do("POST", "", bundle("transaction", entry("PUT", "Patient/q", patient("q", "Q"), "ifNoneMatch", "*"))).wants(200)
		c.do("POST", "", bundle("transaction", entry("PUT", "Patient/q", patient("q", "Q"), "ifNoneMatch", "*"))).wants(412)
	})
}

// "For a batch … the success or failure of one action SHOULD NOT alter the success or failure of another."
func TestBatch(t *testing.T) {
	c := newWorld(t, setting{}).system().at(hospital)
	c.put(patient("old", "Old"))
	a := c.do("POST", "", bundle("batch",
		entry("GET", "Patient/new", ""),
		entry("PUT", "Patient/new", patient("new", "New")),
		entry("POST", "Patient", `{"resourceType":"Patient","shoes":2}`),
		entry("PATCH", "Patient/old", binaryPatch(`[{"op":"replace","path":"/name/0/family","value":"Patched"}]`)),
		entry("GET", "Patient?family=New", ""),
		entry("GET", "Patient/none", ""),
		entry("DELETE", "Patient/none", ""),
		entry("POST", "AuditEvent", `{"resourceType":"AuditEvent"}`),
		entry("POST", "/", bundle("batch", entry("GET", "Patient/old", ""))),
		entry("GET", "Patient/old/$everything", ""),
		entry("GET", c.url+"/Patient/old", ""),
		entry("HEAD", "Patient/old", ""),
		entry("GET", "../../metadata", ""),
		entry("GET", "Patient/%zz", ""),
		entry("GET", "Patient/old", "", "ifNoneMatch", `W/"2"`),
		entry("POST", "Patient/$validate", patient("v", "V")),
		entry("POST", "Patient", patient("old", "X"), "ifNoneExist", "identifier=urn:test|old"),
		entry("GET", "AuditEvent", ""),
		entry("GET", "/", ""),
		entry("GET", "metadata", ""),
	)).wants(200).is("type", "batch-response")
	for i, want := range []string{"200", "201", "422", "200", "200", "404", "404", "405", "400", "200", "200", "200", "404", "400", "304", "200", "200", "200", "200", "200"} {
		n := a.resource().Get(fmt.Sprintf("entry.%d", i))
		if got := n.Field("response").Field("status").String(); !strings.HasPrefix(got, want+" ") {
			t.Errorf("entry %d: %s, want %s: %s", i, got, want, n.Raw())
		}
		if want >= "400" && n.Get("response.outcome.resourceType").String() != "OperationOutcome" {
			t.Errorf("entry %d has no outcome: %s", i, n.Raw())
		}
	}
	c.get("Patient/old").is("name.0.family", "Patched")
	xml := `<Bundle xmlns="http://hl7.org/fhir"><type value="batch"/><entry><request><method value="GET"/><url value="Patient/old"/></request></entry></Bundle>`
	c.do("POST", "", xml, "Content-Type", "application/fhir+xml").wants(200).is("entry.0.resource.id", "old")
	c.do("POST", "?", bundle("batch", entry("GET", "Patient/old", ""))).wants(200)
}

// References inside narrative and attachments to entries of a transaction follow as well.
func TestTransactionLinksInNarrative(t *testing.T) {
	c := newWorld(t, setting{}).system()
	body := `{"resourceType":"Composition","status":"final","type":{"text":"x"},"date":"2024-01-01","title":"x","author":[{"reference":"` + urn + `1"}],` +
		`"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\"><a href=\"` + urn + `1\">who</a></div>"}}`
	a := c.do("POST", "", bundle("transaction", entry("POST", "Practitioner", `{"resourceType":"Practitioner"}`, "fullUrl", urn+"1"), entry("POST", "Composition", body))).wants(200)
	id := a.text("entry.0.resource.id")
	if !strings.Contains(a.text("entry.1.resource.text.div"), `href="Practitioner/`+id+`"`) {
		t.Error(a.text("entry.1.resource.text.div"))
	}
}
