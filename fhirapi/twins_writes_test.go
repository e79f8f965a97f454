package fhirapi_test

import (
	"fmt"
	"regexp"
	"strings"
)

// ofType is a resource of a type as the hidden chart has one, made to be about somebody who is known, under an id or without.
func ofType(typ, id string) string {
	text := observation("x", "ann", "70")
	for _, hers := range hiddenChart() {
		if strings.HasPrefix(hers, `{"resourceType":"`+typ+`"`) {
			text = hers
			break
		}
	}
	with := `"id":"` + id + `",`
	if id == "" {
		with = ""
	}
	text = ownID.ReplaceAllString(text, "$1"+with)
	return strings.NewReplacer(restricted, "", "Patient/hid", "Patient/ann", "Observation/hid-obs", "Observation/ann-obs", herNumber, "9990000034", "Quellmarsh", "Marsh").Replace(text)
}

var ownID = regexp.MustCompile(`^(\{"resourceType":"[A-Za-z]+",)"id":"[^"]*",`)

// choosing are the ways to make a resource under an id of one's own choice.
func choosing(typ, id, body string) []request {
	return []request{
		{"POST", typ + "/" + id + "/$validate?mode=update", body, nil},
		{"PUT", typ + "/" + id, body, nil},
		{"PUT", typ + "/" + id, body, []string{"If-None-Match", "*"}},
		{"PUT", typ + "?_id=nobodys", body, nil},
		{"POST", "", bundle("transaction", entry("PUT", typ+"/"+id, body)), nil},
		{"POST", "", bundle("batch", entry("PUT", typ+"/"+id, body)), nil},
	}
}

// herNames are the ways to name her as the subject of something, and others that come to nobody.
func herNames() []string {
	contained := func(inside string) string {
		return `,"subject":{"reference":"#p"},"contained":[` + inside + `]`
	}
	numbered := `"identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + herNumber + `"}]`
	return []string{
		about("Patient/hid"), about("Patient/none"), about("Patient/hid/_history/1"), byNumber(herNumber), byNumber("9990000034"),
		`,"subject":{"reference":"Patient/ann","identifier":{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + herNumber + `"}}`,
		`,"subject":{"type":"Patient","display":"Isolde Quellmarsh"}`, about("http://example.org/Patient/hid"), about("Group/hid-group"), about("Device/hid-dev"),
		contained(`{"resourceType":"Patient","id":"p",` + numbered + `}`), contained(`{"resourceType":"Patient","id":"p","link":[{"other":{"reference":"Patient/hid"},"type":"seealso"}]}`),
		contained(`{"resourceType":"Device","id":"p","patient":{"reference":"Patient/hid"}}`),
	}
}

// naming is what a stranger writes that names her, or finds her by a condition.
func naming() []request {
	var list []request
	add := func(method, path, body string, headers ...string) {
		list = append(list, request{method, path, body, headers})
	}
	for _, query := range []string{"identifier=https://fhir.nhs.uk/Id/nhs-number|" + herNumber, "identifier=" + herNumber, "family=Quellmarsh", "family=Quellmarsh&birthdate=1951-05-05", "birthdate=1951-05-05",
		"_has:Observation:patient:_tag=urn:t|hers", "link=Patient/hid", "general-practitioner.family=Healer", "_security=R"} {
		person := `{"resourceType":"Patient","name":[{"family":"Newcomer"}]}`
		add("POST", "Patient", person, "If-None-Exist", query)
		add("PUT", "Patient?"+query, person)
		add("PUT", "Patient?"+query, `{"resourceType":"Patient","id":"hid","name":[{"family":"Newcomer"}]}`)
		add("PUT", "Patient?"+query, person, "If-Match", `W/"1"`)
		add("PATCH", "Patient?"+query, `[{"op":"add","path":"/gender","value":"other"}]`, "Content-Type", jsonPatch)
		add("DELETE", "Patient?"+query+"&_count=5", "")
		add("DELETE", "Patient?"+query, "")
		add("POST", "", bundle("transaction", entry("POST", "Patient", person, "ifNoneExist", query)))
		add("POST", "", bundle("transaction", entry("DELETE", "Patient?"+query, "")))
		add("POST", "", bundle("transaction", entry("PUT", "Patient?"+query, person)))
		add("POST", "", bundle("batch", entry("DELETE", "Patient?"+query, ""), entry("POST", "Patient", person, "ifNoneExist", query)))
		conditional := note("", about("Patient?"+query), "")
		conditional = strings.Replace(conditional, `"id":"",`, "", 1)
		add("POST", "Observation", conditional)
		add("POST", "", bundle("transaction", entry("POST", "Observation", conditional)))
		add("POST", "", bundle("transaction", entry("POST", "Observation", strings.Replace(observationOf("Patient/ann"), `"status"`, `"performer":[{"reference":"Patient?`+query+`"}],"status"`, 1))))
		chain := strings.ReplaceAll(query, "general-practitioner.family", "patient.general-practitioner.family")
		if !strings.HasPrefix(chain, "_has") && !strings.HasPrefix(chain, "patient") && !strings.HasPrefix(chain, "_sec") {
			chain = "patient." + chain
		}
		add("DELETE", "Observation?"+chain, "")
		add("PATCH", "Observation?"+chain, `[{"op":"add","path":"/note","value":[{"text":"x"}]}]`, "Content-Type", jsonPatch)
		add("POST", "Observation", observationOf("Patient/ann"), "If-None-Exist", chain)
	}
	for _, hers := range []string{"Patient/hid", "Patient/none", "Observation/hid-obs", "Observation/none", "RelatedPerson/hid-rel", "RelatedPerson/none", "Encounter/hid-enc", "Device/hid-dev", "Binary/hid-bin", "DocumentReference/hid-doc", "Group/hid-group", "Group/hid-both"} {
		for _, text := range attachments(hers) {
			typ, _, _ := strings.Cut(strings.TrimPrefix(text, `{"resourceType":"`), `"`)
			add("POST", typ, text)
			add("POST", typ+"/$validate?mode=create", text)
			add("POST", "", bundle("transaction", entry("POST", typ, text)))
		}
	}
	for i, reference := range []string{"Patient/hid", "Patient/none"} {
		add("POST", "", bundle("transaction", entry("POST", "Patient", `{"resourceType":"Patient","name":[{"family":"New"}]}`, "fullUrl", fmt.Sprint(urn, i)), entry("POST", "Observation", observationOf(reference)), entry("POST", "Observation", observationOf(fmt.Sprint(urn, i)))))
	}
	return list
}

func observationOf(reference string) string {
	return `{"resourceType":"Observation","status":"final","code":{"text":"x"},"subject":{"reference":"` + reference + `"}}`
}

// attachments are resources that belong to something, or to several.
func attachments(to string) []string {
	return []string{
		`{"resourceType":"Provenance","target":[{"reference":"` + to + `"}],"recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}`,
		`{"resourceType":"Provenance","target":[{"reference":"` + to + `"},{"reference":"Patient/ann"}],"recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"display":"x"}}]}`,
		`{"resourceType":"Binary","contentType":"text/plain","data":"eA==","securityContext":{"reference":"` + to + `"}}`,
		`{"resourceType":"Appointment","status":"booked","start":"2024-06-01T10:00:00Z","end":"2024-06-01T10:30:00Z","participant":[{"actor":{"reference":"` + to + `"},"status":"accepted"}]}`,
		`{"resourceType":"Appointment","status":"booked","start":"2024-06-01T10:00:00Z","end":"2024-06-01T10:30:00Z","participant":[{"actor":{"reference":"Patient/ann"},"status":"accepted"},{"actor":{"reference":"` + to + `"},"status":"accepted"}]}`,
		`{"resourceType":"Group","type":"person","actual":true,"member":[{"entity":{"reference":"` + to + `"}}]}`,
		`{"resourceType":"Person","name":[{"family":"X"}],"link":[{"target":{"reference":"` + to + `"}}]}`,
		`{"resourceType":"Patient","name":[{"family":"Linked"}],"link":[{"other":{"reference":"` + to + `"},"type":"seealso"}]}`,
		`{"resourceType":"List","status":"current","mode":"working","subject":{"reference":"Patient/ann"},"entry":[{"item":{"reference":"` + to + `"}}]}`,
		`{"resourceType":"Task","status":"requested","intent":"order","focus":{"reference":"` + to + `"}}`,
	}
}
