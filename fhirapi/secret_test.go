package fhirapi_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
)

// Whatever is tried on a record that is a secret from the caller is answered word for word as on one that is not there.
func TestSecretsAnswerAsAbsent(t *testing.T) {
	w := newWorld(t, setting{})
	loader := w.system().at(hospital)
	hidden := strings.Replace(patient("secret", "Marsh"), `"identifier"`,
		`"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},"identifier"`, 1)
	loader.put(hidden)
	loader.put(observation("item", "secret", "71"))
	const jsonPatch = "application/json-patch+json"
	path := `{"resourceType":"Parameters","parameter":[{"name":"operation","part":[{"name":"type","valueCode":"delete"},{"name":"path","valueString":"Patient.name[0].given[0].period"}]}]}`
	meta := `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"system":"urn:x","code":"y"}]}}]}`
	for _, try := range []struct{ method, path, body, header, value string }{
		{"GET", "Patient/ID", "", "", ""},
		{"GET", "Patient/ID", "", "If-None-Match", `W/"1"`},
		{"GET", "Patient/ID/_history", "", "", ""},
		{"GET", "Patient/ID/_history/1", "", "", ""},
		{"GET", "Patient/ID/$everything", "", "", ""},
		{"GET", "Patient/ID/$meta", "", "", ""},
		{"GET", "Patient/ID/*", "", "", ""},
		{"GET", "AuditEvent?patient=Patient/ID", "", "", ""},
		{"GET", "Patient/ID/$validate?mode=delete", "", "", ""},
		{"PUT", "Patient/ID", patient("ID", "Marsh"), "If-Match", `W/"1"`},
		{"PUT", "Patient/ID", patient("ID", "Marsh"), "If-Match", `W/"9"`},
		{"PATCH", "Patient/ID", `[{"op":"test","path":"/name/0/family","value":"Marsh"}]`, "Content-Type", jsonPatch},
		{"PATCH", "Patient/ID", `[{"op":"test","path":"/name/0/family","value":"Other"}]`, "Content-Type", jsonPatch},
		{"PATCH", "Patient/ID", path, "If-Match", `W/"9"`},
		{"DELETE", "Patient/ID", "", "", ""},
		{"DELETE", "Patient/ID", "", "If-Match", `W/"9"`},
		{"POST", "Patient/ID/$meta-add", meta, "If-Match", `W/"9"`},
		{"POST", "", bundle("transaction", entry("DELETE", "Patient/ID", "", "ifMatch", `W/\"9\"`)), "", ""},
		{"POST", "", bundle("transaction", entry("PUT", "Patient/ID", patient("ID", "Marsh"), "ifMatch", `W/\"9\"`)), "", ""},
		{"POST", "", bundle("transaction", entry("PATCH", "Patient/ID", binaryPatch(`[{"op":"test","path":"/birthDate","value":"1999-01-01"}]`))), "", ""},
		{"POST", "", bundle("batch", entry("PATCH", "Patient/ID", binaryPatch(`[{"op":"test","path":"/birthDate","value":"1999-01-01"}]`))), "", ""},
	} {
		ask := func(role access.Role, typ, id string) string {
			replace := func(s string) string {
				return strings.ReplaceAll(strings.ReplaceAll(s, "ID", id), "Patient/", typ+"/")
			}
			headers := []string{}
			if try.header != "" {
				headers = []string{try.header, try.value}
			}
			body := replace(try.body)
			if try.method == "PUT" && typ == "Observation" {
				body = observation(id, "secret", "1")
			}
			a := w.as(principal(role, "stranger")).at(hospital).do(try.method, replace(try.path), body, headers...)
			return strings.ReplaceAll(a.header.Get("ETag")+a.header.Get("Last-Modified")+a.body, id, "ID")
		}
		for typ, id := range map[string]string{"Patient": "secret", "Observation": "item"} {
			if typ == "Observation" && (strings.Contains(try.path, "AuditEvent") || strings.Contains(try.path, "$everything") || strings.Contains(try.path, "*") || try.path == "") {
				continue
			}
			for _, role := range []access.Role{access.Clinician, access.Clerk, access.Pharmacist, access.Auditor, access.Administrator} {
				if role == access.Auditor && strings.HasPrefix(try.path, "AuditEvent") {
					continue // who sees the whole account
				}
				if got, want := ask(role, typ, id), ask(role, typ, "absent"); got != want {
					t.Errorf("%s %s of a secret %s (%s %s) to a %s:\n%.400s\nof an absent one:\n%.400s", try.method, try.path, typ, try.header, try.value, role, got, want)
				}
			}
		}
	}
	loader.get("Patient/secret").wants(200).has("ETag", `W/"1"`)
	loader.get("Observation/item").wants(200).has("ETag", `W/"1"`)
}

// What would be filed in the chart of a hidden person is refused to whoever may not know of them, as for a person who is not there,
// though their organisation registered the person.
func TestNothingIsFiledWithASecret(t *testing.T) {
	w := newWorld(t, setting{})
	loader := w.system().at(hospital)
	loader.put(strings.Replace(patient("secret", "Marsh"), `"identifier"`,
		`"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},"identifier"`, 1))
	stranger := w.as(principal(access.Clinician, "stranger")).at(hospital)
	for _, method := range []string{"POST", "PUT"} {
		path := map[string]string{"POST": "Observation", "PUT": "Observation/new"}[method]
		got := stranger.do(method, path, observation("new", "secret", "1")).wants(404)
		if want := stranger.do(method, path, observation("new", "absent", "1")).wants(404); got.body != want.body {
			t.Errorf("%s in a secret chart: %s, in an absent one: %s", method, got.body, want.body)
		}
	}
	stranger.do("POST", "", bundle("transaction", entry("POST", "Observation", observation("new", "secret", "1")))).wants(404)
	w.relate(hospital, "secret", "stranger")
	made := stranger.post(observation("new", "secret", "1"))
	stranger.do("PUT", made, strings.Replace(observation("new", "secret", "2"), `"new"`, `"`+strings.TrimPrefix(made, "Observation/")+`"`, 1)).wants(200)
}

// A resource cannot be kept out of a person's chart, and from under their restriction, by naming the person with this interface's
// own address in front.
func TestReferencesHereAreRelative(t *testing.T) {
	c := newWorld(t, setting{}).system().at(hospital)
	c.put(patient("1", "Smith"))
	absolute := strings.Replace(observation("o", "1", "71"), "Patient/1", c.url+"/Patient/1", 1)
	c.do("POST", "Observation", absolute).wants(422)
	c.do("PUT", "Observation/o", absolute).wants(422)
	c.do("POST", "", bundle("transaction", entry("POST", "Observation", absolute))).wants(422)
	c.put(observation("o", "1", "71"))
	c.do("PATCH", "Observation/o", `[{"op":"replace","path":"/subject/reference","value":"`+c.url+`/Patient/1"}]`, "Content-Type", "application/json-patch+json").wants(422)
	c.put(strings.Replace(observation("elsewhere", "1", "71"), "Patient/1", "http://example.org/fhir/Patient/1", 1))
}

// "Servers SHOULD … keep tags and labels across updates" (https://hl7.org/fhir/R4/resource.html#Meta): a system that sends a person back
// without meta does not lay them open; saying so does.
func TestARestrictionOutlastsAnUpdateThatDoesNotMentionIt(t *testing.T) {
	const label = `"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"%"}]},"identifier"`
	w := newWorld(t, setting{})
	loader := w.system().at(hospital)
	colleague := w.as(principal(access.Clinician, "colleague")).at(hospital)
	with := func(code string) string {
		return strings.Replace(patient("secret", "Marsh"), `"identifier"`, strings.Replace(label, "%", code, 1), 1)
	}
	loader.put(with("R"))
	colleague.do("GET", "Patient/secret", "").wants(404)
	loader.put(patient("secret", "Marsh-Hill"))
	colleague.do("GET", "Patient/secret", "").wants(404)
	loader.do("PATCH", "Patient/secret", `[{"op":"add","path":"/gender","value":"female"}]`, "Content-Type", "application/json-patch+json").wants(200)
	colleague.do("GET", "Patient/secret", "").wants(404)
	reason := []string{"X-Reason", "The court order ended in May."}
	loader.do("PUT", "Patient/secret", with("U"), reason...).wants(200)
	colleague.do("GET", "Patient/secret", "").wants(200)
	loader.put(with("R"))
	colleague.do("GET", "Patient/secret", "").wants(404)
	loader.do("PATCH", "Patient/secret", `[{"op":"remove","path":"/meta/security"}]`, append(reason, "Content-Type", "application/json-patch+json")...).wants(200)
	colleague.do("GET", "Patient/secret", "").wants(200)
}
