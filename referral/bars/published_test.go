package bars_test

import (
	"encoding/json"
	"fmt"
	"io/fs"
	"maps"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/spectest"
)

// The published examples are sent, and compared with what comes back, element by element: what an example has must be in the answer, at the same path and of the same JSON
// type, but for what stands in allowed. Ids, times and names are the sandbox's own and differ.

const theirSlot, theirNumber, ourNumber = "deb4c4b3-870b-4599-84df-5e54cef7afda", "3478526985", "9990000026"

// allowed are the elements of published answers that may be missing in ours, by operation and reason.
func allowed() map[string]map[string]string {
	const (
		notKept  = "the sandbox's own data: nothing of the kind is kept with a session or referral here"
		notFHIR  = "not of FHIR R4, or not of its type there"
		byNumber = "the patient is named by their NHS number, not by a reference that names nothing in the answer"
		byCode   = "named by its code in the directory, not by a reference that names nothing in the answer"
		noChange = "slots, and what goes with them, have no time of change here"
		oneText  = "a clinician is known by one text: their name"
		echo     = "what the sender sent with the message comes back as it was sent; the sandbox's answer has other data"
	)
	referral := map[string]string{"basedOn": notKept, "encounter": notKept, "occurrencePeriod": notKept, "locationReference": notKept, "supportingInfo": notKept, "PatientInstruction": notFHIR,
		"subject.reference": byNumber, "requester.reference": byCode, "performer[].reference": byCode}
	visit := map[string]string{"participant[].actor.reference": byNumber}
	in := func(prefix string, of map[string]string, more ...string) map[string]string {
		out := map[string]string{}
		for k, v := range of {
			out[prefix+k] = v
		}
		for i := 0; i+1 < len(more); i += 2 {
			out[more[i]] = more[i+1]
		}
		return out
	}
	echoed := func(types ...string) (list []string) {
		for _, typ := range types {
			list = append(list, "entry[]."+typ, echo)
		}
		return list
	}
	less := func(of map[string]string, names ...string) map[string]string {
		out := maps.Clone(of)
		for _, n := range names {
			delete(out, n)
		}
		return out
	}
	return map[string]map[string]string{
		"GET /metadata": {"contact": "whoever runs the node is not BaRS's support", "rest[].interaction": "transactions and searches over everything are not served", "rest[].security": notFHIR,
			"rest[].resource[].searchParam[].documentation": "prose", "software.version": "not told to strangers"},
		"GET /MessageDefinition": {"entry[].MessageDefinition.useContext[].code": notFHIR},
		"GET /Slot": {"meta.versionId": "a searchset has no version", "entry[].Slot.meta.lastUpdated": noChange, "entry[].Schedule.meta.lastUpdated": noChange, "entry[].HealthcareService.meta.lastUpdated": noChange, "entry[].Location.meta.lastUpdated": noChange,
			"entry[].Practitioner.meta.lastUpdated": noChange, "entry[].PractitionerRole.meta.lastUpdated": noChange, "entry[].Slot.extension": notKept, "entry[].Slot.serviceCategory": notKept, "entry[].Slot.appointmentType": notKept,
			"entry[].Schedule.serviceCategory": notKept, "entry[].Schedule.serviceType": notKept, "entry[].Practitioner.identifier": oneText, "entry[].Practitioner.name[].family": oneText, "entry[].Practitioner.name[].given": oneText,
			"entry[].Practitioner.name[].prefix": oneText, "entry[].PractitionerRole.code": oneText},
		"POST /$process-message booking": in("entry[].Appointment.", visit, echoed("HealthcareService", "Location", "Organization", "Patient", "Practitioner", "PractitionerRole", "Schedule", "Slot")...),
		"POST /$process-message referral": in("entry[].ServiceRequest.", less(referral, "PatientInstruction", "supportingInfo", "basedOn"), append(echoed("Encounter", "Flag", "Location", "Observation", "Organization", "Patient", "Practitioner", "PractitionerRole"),
			"entry[].ServiceRequest.reasonCode", "what it says is kept as the letter", "entry[].MessageHeader.source.contact", "the answer is this node's, not the sender's", "entry[].MessageHeader.source.version", "the answer is this node's, not the sender's")...),
		"GET /Appointment":           in("entry[].Appointment.", visit),
		"GET /Appointment/{id}":      visit,
		"PUT /Appointment/{id}":      visit,
		"PATCH /Appointment/{id}":    visit,
		"POST /Appointment":          visit,
		"GET /ServiceRequest":        {"entry[].*": "in the published searchset the members of the ServiceRequest stand in the entry itself; here they stand in entry.resource, as FHIR has it"},
		"GET /ServiceRequest/{id}":   referral,
		"GET /Endpoint":              {"entry[].Endpoint.identifier[].display": notFHIR},
		"GET /Endpoint/{id}":         {"identifier[].display": notFHIR},
		"POST /Endpoint":             {"identifier[].display": notFHIR},
		"PUT /Endpoint/{id}":         {"identifier[].display": notFHIR},
		"PUT /ServiceRequest/{id}":   referral,
		"PATCH /ServiceRequest/{id}": referral,
	}
}

// shape is the JSON type of each element of a document, by its path without positions.
func shape(v any, path string, into map[string]string) {
	switch v := v.(type) {
	case map[string]any:
		if typ, ok := v["resourceType"].(string); ok && strings.HasSuffix(path, ".resource") {
			path = strings.TrimSuffix(path, "resource") + typ
		}
		for k, x := range v {
			at := k
			if path != "" {
				at = path + "." + k
			}
			into[at] = fmt.Sprintf("%T", x)
			shape(x, at, into)
		}
	case []any:
		for _, x := range v {
			shape(x, path+"[]", into)
		}
	}
}

func shapeOf(t *testing.T, text string) map[string]string {
	t.Helper()
	var v any
	if err := json.Unmarshal([]byte(text), &v); err != nil {
		t.Fatal(err)
	}
	m := map[string]string{}
	shape(v, "", m)
	return m
}

// tallies count what was sent, what was answered as published and what was compared, by operation.
type tallies struct {
	t    *testing.T
	sent map[string]int
	same map[string]int
	used map[string]bool
}

// compare holds an answer to a published one.
func (c *tallies) compare(operation, file string, want string, a answer, status int) {
	c.t.Helper()
	c.sent[operation]++
	if a.status != status {
		c.t.Errorf("%s (%s): %d, published is %d: %s", operation, file, a.status, status, a.body)
		return
	}
	missing := 0
	theirs, ours := shapeOf(c.t, want), shapeOf(c.t, a.body)
	for _, path := range slices.Sorted(maps.Keys(theirs)) {
		if ours[path] == theirs[path] || c.may(operation, path) {
			continue
		}
		missing++
		c.t.Errorf("%s (%s): %s is %s in the published answer, here %q", operation, file, path, theirs[path], ours[path])
	}
	if missing == 0 {
		c.same[operation]++
	}
}

// may reports whether an element may be missing, by itself or with what it stands in.
func (c *tallies) may(operation, path string) bool {
	list := allowed()[operation]
	for p, reason := range list {
		if reason == "" {
			continue
		}
		if path == p || strings.HasPrefix(path, p+".") || strings.HasPrefix(path, p+"[") || strings.HasSuffix(p, "*") && strings.HasPrefix(path, strings.TrimSuffix(p, "*")) {
			c.used[operation+" "+p] = true
			return true
		}
	}
	return false
}

func readFile(t *testing.T, parts ...string) string {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(parts...))
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// TestThePublishedExamplesAreAnsweredAsPublished sends each published request, and compares each published answer of an operation that is served, of both editions.
func TestThePublishedExamplesAreAnsweredAsPublished(t *testing.T) {
	t.Parallel()
	spec := spectest.Dir(t, "bars", "specification")
	c := &tallies{t, map[string]int{}, map[string]int{}, map[string]bool{}}
	for _, edition := range []string{"examples1.4.0", "examples"} {
		c.edition(newWorld(t), filepath.Join(spec, edition))
	}
	for _, op := range slices.Sorted(maps.Keys(c.sent)) {
		t.Logf("%-34s %d of %d as published", op, c.same[op], c.sent[op])
	}
	for op, list := range allowed() {
		for p, reason := range list {
			if reason != "" && !c.used[op+" "+p] {
				t.Errorf("%s: %s need not be allowed to be missing: it is there", op, p)
			}
		}
	}
}

func (c *tallies) edition(w *world, dir string) {
	t := c.t
	w.load(`{"resourceType":"Patient","id":"` + ourNumber + `","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + ourNumber + `"}],"name":[{"use":"usual","family":"Jones","given":["Julie"]}],"gender":"female","birthDate":"1959-05-04"}`)
	w.gives(clinic, day(0, 0), day(0, 20), day(0, 40), day(1, 0), day(1, 20))
	p, h := w.program(practice), w.program(hospital)
	example := func(parts ...string) string { return readFile(t, append([]string{dir}, parts...)...) }
	c.compare("GET /metadata", "metadata", example("metadata", "BaRS_API_Capability_Statement.json"), p.but("NHSD-Target-Identifier", "").get("/metadata"), 200)
	c.compare("GET /MessageDefinition", "message_definition", example("message_definition", "MessageDefinition_ServiceRequest-request_CaseTransfer.json"),
		p.get("/MessageDefinition?context=https://fhir.nhs.uk/Id/dos-service-id|"+clinic+"&context=https://fhir.nhs.uk/CodeSystem/usecases-categories-bars|a1t1"), 200)
	slots := p.get(slotQuery())
	c.compare("GET /Slot", "slots", example("slots", "GET-success.json"), slots, 200)

	free := slots.found("Slot")
	visitID := c.bookings(p, free, example)
	c.visits(p, visitID, free, example)
	c.referrals(w, p, h, example)
	c.pointers(w, example, filepath.Base(dir) == "examples1.4.0")
	if filepath.Base(dir) == "examples1.4.0" {
		c.catalogue(w, p, example)
	}
}

// catalogue reads the published services and endpoints.
func (c *tallies) catalogue(w *world, p *program, example func(...string) string) {
	w.load(`{"resourceType":"Endpoint","id":"0cb21027-a246-43e6-9c7a-35b17163eab1","identifier":[{"system":"https://fhir.nhs.uk/Id/dos-service-id","value":"1000099999"},{"system":"https://fhir.nhs.uk/id/product-id","value":"P1"}],"status":"active","name":"An endpoint",
		"connectionType":{"system":"http://terminology.hl7.org/CodeSystem/endpoint-connection-type","code":"hl7-fhir-msg","display":"HL7 FHIR Messaging"},"payloadType":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/endpoint-payload-type","code":"bars","display":"BaRS"}]}],
		"managingOrganization":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R69"}},"address":"https://other.example/base","header":["public"],"period":{"start":"2021-10-11T15:23:30+00:00","end":"2031-10-11T15:23:30+00:00"}}`,
		elsewhere("7ded9440-3543-4809-b834-25c9be211195", "0cb21027-a246-43e6-9c7a-35b17163eab1"))
	w.time.Advance(2 * time.Second) // a search shows what was there a moment before
	for _, x := range [][2]string{{"GET /HealthcareService", "/HealthcareService?HealthcareService.providedBy=https://fhir.nhs.uk/Id/ods-organization-code|R68"}, {"GET /HealthcareService/{id}", "/HealthcareService/7ded9440-3543-4809-b834-25c9be211195"},
		{"GET /Endpoint", "/Endpoint?_has:HealthcareService.Id=7ded9440-3543-4809-b834-25c9be211195&Endpoint.identifier=https://fhir.nhs.uk/id/product-id|P1"}, {"GET /Endpoint/{id}", "/Endpoint/0cb21027-a246-43e6-9c7a-35b17163eab1"}} {
		kind, _, one := strings.Cut(strings.TrimPrefix(x[0], "GET /"), "/")
		file := "success_bundle.json"
		if one {
			file = "success_" + kind + "_Atomic.json"
		}
		c.compare(x[0], file, example(kind, file), p.get(x[1]), 200)
	}
	c.publishing(p, example)
}

// pointers writes and reads pointers. The published ones of 1.4.0 name patient and custodian by a placeholder, its change has another custodian, type and fewer identifiers than the description
// demands, and its searchset lacks a comma: each is put right here.
func (c *tallies) pointers(w *world, example func(...string) string, late bool) {
	const kind = "document_reference"
	w.load(`{"resourceType":"Patient","id":"9693893123","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9693893123"}],"name":[{"use":"usual","family":"Jones","given":["Jo"]}],"gender":"female","birthDate":"1959-05-04"}`)
	p := w.program(hospital)
	ours := strings.NewReplacer("$nhs-number", "9693893123", "$ods-code", "R68", `"RGT"`, `"R68"`, "\"type\": \"searchset\"\n", "\"type\": \"searchset\",\n").Replace
	sent := ours(example(kind, "POST-body.json"))
	made := p.do(http.MethodPost, "/DocumentReference", sent)
	if late { // the published body is empty, and so is refused
		if made.code() != "BAD_REQUEST required" && made.code() != "BAD_REQUEST invalid" {
			c.t.Errorf("the empty body: %d %s", made.status, made.body)
		}
		one := ours(example(kind, "id", "GET-success.json"))
		older := p.do(http.MethodPost, "/DocumentReference", strings.Replace(regexp.MustCompile(`(?s)"relatesTo": \[.*?\n\t\],`).ReplaceAllString(one, ""), "8c63d621", "00000000", 1))
		sent = strings.ReplaceAll(one, `"Yorkshire Ambulance Service|42345678105"`, `"`+older.header.Get("Location")[strings.LastIndexByte(older.header.Get("Location"), '/')+1:]+`"`)
		made = p.do(http.MethodPost, "/DocumentReference", sent)
	}
	c.compare("POST /DocumentReference", "POST-success.json", example(kind, "POST-success.json"), made, 201)
	id := made.header.Get("Location")[strings.LastIndexByte(made.header.Get("Location"), '/')+1:]
	at := "/DocumentReference/" + id
	c.compare("GET /DocumentReference", "GET-success.json", ours(example(kind, "GET-success.json")), p.get("/DocumentReference?subject:identifier=https://fhir.nhs.uk/Id/nhs-number|9693893123"), 200)
	c.compare("GET /DocumentReference/{id}", "id/GET-success.json", ours(example(kind, "id", "GET-success.json")), p.get(at), 200)
	changed := regexp.MustCompile(`"id": "[^"]*"`).ReplaceAllString(strings.NewReplacer("9556274839", "9693893123", "accredited-system-id", "ods-organization-code", `"value": "Yorkshire Ambulance Service"`, `"value":"R68"`, "736253002", "749001000000101", `"RGT"`, `"R68"`,
		`"value": "8c63d621-4d86-4f57-8699-e8e22d49935d"`, `"value":"8c63d621-4d86-4f57-8699-e8e22d49935d"},{"system":"https://fhir.nhs.uk/Id/dos-service-id","value":"2000072491"},{"system":"https://fhir.nhs.uk/id/product-id","value":"0B475C"`).Replace(example(kind, "id", "PUT-body.json")), `"id":"`+id+`"`)
	c.compare("PUT /DocumentReference/{id}", "200_PUT.json", readFile(c.t, spectest.Dir(c.t, "bars", "specification", "examples1.4.0"), "200_PUT.json"), p.do(http.MethodPut, at, changed), 200)
	c.compare("DELETE /DocumentReference/{id}", "DELETE-success.json", example(kind, "DELETE-success.json"), p.do(http.MethodDelete, at, ""), 200)
}

// publishing sends what an owner publishes, with the owner that the program is of.
func (c *tallies) publishing(p *program, example func(...string) string) {
	const deleted = "OperationOutcome/200-Delete.json"
	ours := strings.NewReplacer(`"X254"`, `"R69"`, `"R778"`, `"R69"`, `"111111111"`, `"222222222"`, "Endpoint/4e958d43-ad80-40c9-85ff-2be003d1ea86", "Endpoint/0cb21027-a246-43e6-9c7a-35b17163eab1")
	for _, x := range []struct{ kind, suffix, post, one string }{{"HealthcareService", "", "post_HealthcareService_Atomic.json", "success_HealthcareService_Atomic.json"}, {"Endpoint", "", "post_Endpoint_Atomic.json", "success_Endpoint_Atomic.json"},
		{"Endpoint", "/$template", "post_Endpoint_template.json", "success_Endpoint_template.json"}} {
		made := p.do(http.MethodPost, "/"+x.kind+x.suffix, ours.Replace(example(x.kind, x.post)))
		c.compare("POST /"+x.kind+x.suffix, x.post, example(x.kind, x.one), made, 200)
		if made.res == nil || made.res.ID() == "" {
			continue
		}
		if x.suffix != "" {
			if other := p.do(http.MethodPut, "/Endpoint/"+uuid.NewString()+"/$template", ours.Replace(example("Endpoint", "post_Endpoint_Atomic.json"))); other.status != http.StatusCreated {
				c.t.Errorf("another template: %d %s", other.status, other.body)
			}
			c.compare("GET /Endpoint/$template", "success_bundle_template.json", example(x.kind, "success_bundle_template.json"),
				p.get("/Endpoint/$template?PayloadType=https://terminology.hl7.org/CodeSystem/endpoint-payload-type|bars"), 200)
		}
		at, theirs := "/"+x.kind+"/"+made.res.ID()+x.suffix, regexp.MustCompile(`"id": ?"[0-9a-f-]{36}"`)
		c.compare("PUT /"+x.kind+"/{id}"+x.suffix, x.one, example(x.kind, x.one), p.do(http.MethodPut, at, theirs.ReplaceAllString(ours.Replace(example(x.kind, x.one)), `"id":"`+made.res.ID()+`"`)), 200)
		c.compare("DELETE /"+x.kind+"/{id}"+x.suffix, deleted, example(deleted), p.do(http.MethodDelete, at, ""), 200)
	}
}

// sendable is a published message with a slot that there is, and an id of its own where two examples have the same.
func sendable(text, slot string, fresh bool) string {
	text = strings.ReplaceAll(text, theirSlot, slot)
	if fresh {
		text = regexp.MustCompile(`"id": ?"777a156c-af3c-4748-a8a3-7e95e4b0df9a"`).ReplaceAllString(text, `"id":"`+uuid.NewString()+`"`)
	}
	return text
}

// bookings sends the published booking messages.
func (c *tallies) bookings(p *program, free []fhir.Node, example func(...string) string) (visitID string) {
	const op = "POST /$process-message booking"
	first := p.post(sendable(example("process_message", "POST-body.json"), free[0].Field("id").String(), false))
	c.compare(op, "POST-body", example("process_message", "POST-success.json"), first, 200)
	second := p.post(sendable(example("process_message", "request", "Booking (POST).json"), free[1].Field("id").String(), true))
	c.compare(op, "Booking (POST)", example("process_message", "response", "Booking (HTTP Response) .json"), second, 200)
	if len(first.found("Appointment")) == 0 {
		c.t.FailNow()
	}
	return first.found("Appointment")[0].Field("id").String()
}

// visits reads and changes an appointment by its address, with the published bodies.
func (c *tallies) visits(p *program, id string, free []fhir.Node, example func(...string) string) {
	c.compare("GET /Appointment", "appointment/GET-success", example("appointment", "GET-success.json"), p.get("/Appointment?patient:identifier=https://fhir.nhs.uk/Id/nhs-number|9476719931"), 200)
	one := example("appointment", "id", "GET-success.json")
	c.compare("GET /Appointment/{id}", "appointment/id", one, p.get("/Appointment/"+id), 200)
	ours := strings.NewReplacer("91607239-b002-470a-8709-6b25bd50fdd1", id, theirSlot, free[2].Field("id").String())
	c.compare("PUT /Appointment/{id}", "PUT-body", one, p.do(http.MethodPut, "/Appointment/"+id, ours.Replace(example("appointment", "PUT-body.json"))), 200)
	c.compare("PATCH /Appointment/{id}", "PATCH-body", one, p.do(http.MethodPatch, "/Appointment/"+id, ours.Replace(example("appointment", "PATCH-body.json"))), 200)
	removed := p.do(http.MethodDelete, "/Appointment/"+id, "")
	c.compare("DELETE /Appointment/{id}", "200_DELETE", `{"resourceType":"OperationOutcome","id":"x","meta":{"profile":["x"]},"issue":[{"severity":"x","code":"x","details":{"coding":[{"system":"x","code":"x","display":"x"}]},"diagnostics":"x"}]}`, removed, 200)
	if !strings.Contains(removed.body, `"RESOURCE_REMOVED"`) {
		c.t.Errorf("DELETE: %s", removed.body)
	}
	made := strings.NewReplacer("91607239-b002-470a-8709-6b25bd50fdd1", uuid.NewString(), theirSlot, free[3].Field("id").String(), `"reference":"urn:uuid:788660eb-d2c9-4773-abd4-318484673fb2"`, `"identifier":{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9476719931"}`,
		`"reference": "urn:uuid:788660eb-d2c9-4773-abd4-318484673fb2"`, `"identifier":{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9476719931"}`)
	c.compare("POST /Appointment", "PUT-body", one, p.do(http.MethodPost, "/Appointment", made.Replace(example("appointment", "PUT-body.json"))), 200)
}

// referrals sends the published referral messages, of a number whose check digit fits, and reads and changes what they make.
func (c *tallies) referrals(w *world, p, h *program, example func(...string) string) {
	t := c.t
	if a := p.post(example("process_message", "request", "ValidationRequest (POST) .json")); a.code() != "REC_BAD_REQUEST value" {
		t.Errorf("the published number, whose check digit does not fit: %d %s", a.status, a.body)
	}
	made := p.post(strings.ReplaceAll(example("process_message", "request", "ValidationRequest (POST) .json"), theirNumber, ourNumber))
	c.compare("POST /$process-message referral", "ValidationRequest", example("process_message", "response", "ValidationRequest (HTTP Response) .json"), made, 200)
	if len(made.found("ServiceRequest")) == 0 {
		t.FailNow()
	}
	id := made.found("ServiceRequest")[0].Field("id").String()
	one := example("service_request", "id", "GET-success.json")
	c.compare("GET /ServiceRequest", "service_request/GET-success", example("service_request", "GET-success.json"), p.get("/ServiceRequest?patient:identifier=https://fhir.nhs.uk/Id/nhs-number|"+ourNumber), 200)
	c.compare("GET /ServiceRequest/{id}", "service_request/id", one, p.get("/ServiceRequest/"+id), 200)
	answered := h.post(strings.NewReplacer("236bb75d-90ef-461f-b71e-fde7f899802c", id, theirNumber, ourNumber).Replace(example("process_message", "request", "ValidationResponse (POST) .json")))
	c.sent["POST /$process-message response"]++
	if answered.status == 200 && answered.json["type"] == "message" {
		c.same["POST /$process-message response"]++
	} else {
		t.Errorf("ValidationResponse: %d %s", answered.status, answered.body)
	}
	ours := strings.NewReplacer("71d2b38e-b81c-4894-a522-6a65265b1d58", id)
	if put, err := os.ReadFile(filepath.Join(filepath.Dir(spectest.Dir(t, "bars", "specification", "examples1.4.0")), "examples1.4.0", "service_request", "PUT-body.json")); err == nil {
		c.compare("PUT /ServiceRequest/{id}", "PUT-body", one, p.do(http.MethodPut, "/ServiceRequest/"+id, ours.Replace(string(put))), 200)
	}
	patch := readFile(t, spectest.Dir(t, "bars", "specification", "examples1.4.0"), "service_request", "PATCH-body.json")
	c.compare("PATCH /ServiceRequest/{id}", "PATCH-body", one, p.do(http.MethodPatch, "/ServiceRequest/"+id, ours.Replace(patch)), 200)
	if removed := p.do(http.MethodDelete, "/ServiceRequest/"+id, ""); removed.status != 200 || !strings.Contains(removed.body, `"RESOURCE_REMOVED"`) {
		t.Errorf("DELETE /ServiceRequest: %d %s", removed.status, removed.body)
	}
}

// saidByOthers are the published codes that this API never says itself, and why. It hands them on when the receiver says them.
func saidByOthers() map[string]string {
	const receivers = "a receiver elsewhere says it; it is handed on"
	return map[string]string{
		"BAD_REQUEST invalid": "TestWhatTheCatalogueRefuses", "BAD_REQUEST required": "TestWhatTheCatalogueRefuses", "BAD_REQUEST structure": "said with PROXY_ before it", "NOT_FOUND multiple-matches": "said with PROXY_ before it",
		"BAD_REQUEST duplicate": "TestAProviderPublishesItsService", "SERVER_ERROR transient": "a failure of our own is said to be an exception", "SEND_UNAUTHORIZED login": "said as unknown or security",
		"REC_UNAUTHORIZED forbidden": receivers, "REC_FORBIDDEN security": receivers, "REC_UNPROCESSABLE_ENTITY not-supported": receivers, "REC_SERVER_ERROR no-store": receivers, "REC_SERVER_ERROR too costly": "its issue type is none of FHIR; said as 422 too-costly",
		"REC_SERVER_ERROR transient": receivers, "REC_UNAUTHORIZED security": receivers, "PROXY_BAD_REQUEST 400": "its issue type is none of FHIR; said as structure", "REC_SERVICE_UNAVAILABLE 503": "its issue type is none of FHIR; said as transient",
		"REC_METHOD_NOT_ALLOWED not-supported": receivers, "RESOURCE_NOT_FOUND processing": "of an earlier edition; 1.4 has NOT_FOUND not-found for it",
		// Said here, and shown by tests of their own or by what the edge does for every API.
		"SEND_UNAUTHORIZED expired": "the edge", "SEND_TOO_MANY_REQUESTS throttled": "the edge", "SERVER_ERROR exception": "a failure of our own", "SERVICE_UNAVAILABLE transient": "the edge", "REC_TIMEOUT timeout": "TestWhatFailsOnTheWayIsSaidAsPublished",
		"REC_NOT_IMPLEMENTED not-supported": "TestWhatFailsOnTheWayIsSaidAsPublished", "REC_SERVICE_UNAVAILABLE transient": "TestWhatFailsOnTheWayIsSaidAsPublished", "REC_SERVER_ERROR exception": "TestWhatFailsOnTheWayIsSaidAsPublished",
		"REC_NOT_ACCEPTABLE processing": "TestWhatFailsOnTheWayIsSaidAsPublished", "REC_CONFLICT duplicate": "TestABookingIsMadeMovedAndCancelled", "REC_FORBIDDEN forbidden": "TestAValidationIsTriagedAndAnswered",
	}
}

// failureIn is the OperationOutcome in a published file; ok is false for what is no failure, and for what is no FHIR (the sandbox's status).
func failureIn(text string) (res *fhir.Resource, ok bool) {
	res, err := fhir.Parse([]byte(text))
	return res, err == nil && res.Type() == "OperationOutcome" && res.Get("issue.0.severity").String() != "information"
}

// TestEveryPublishedErrorIsSaidOrHandedOn: each published OperationOutcome is one that this API says itself, by code and issue type, or stands on the list; and each is handed
// on as it is when a receiver says it.
func TestEveryPublishedErrorIsSaidOrHandedOn(t *testing.T) {
	t.Parallel()
	spec := spectest.Dir(t, "bars", "specification")
	w, x := newWorld(t), newThird(t)
	x.offered(w)
	mine := map[string]bool{}
	for _, r := range refusals(t, w) {
		mine[r.code] = true
	}
	p := w.program(practice).but("NHSD-Target-Identifier", target(own))
	published, said, handed := 0, 0, 0
	used := map[string]bool{}
	err := filepath.WalkDir(spec, func(path string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || filepath.Ext(path) != ".json" || !strings.Contains(path, "examples") {
			return err
		}
		text := readFile(t, path)
		res, ok := failureIn(text)
		if !ok {
			return nil
		}
		published++
		code := res.Get("issue.0.details.coding.0.code").String() + " " + res.Get("issue.0.code").String()
		if mine[code] {
			said++
		} else if saidByOthers()[code] == "" {
			t.Errorf("%s: nothing says %q", path, code)
		}
		used[code] = true
		status := 400
		if n := 0; len(d.Name()) > 3 {
			if _, err := fmt.Sscanf(d.Name()[:3], "%d", &n); err == nil {
				status = n
			}
		}
		x.mu.Lock()
		x.says = map[string]thirdSays{"/base/Appointment/x": {status, "application/fhir+json", text}}
		x.mu.Unlock()
		if a := p.get("/Appointment/x"); a.status == status && a.body == text {
			handed++
		} else {
			t.Errorf("%s was handed on as %d %s", path, a.status, a.body)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	for code := range saidByOthers() {
		if !used[code] || mine[code] {
			t.Errorf("%q need not stand on the list", code)
		}
	}
	t.Logf("%d published errors: %d are said here by code and issue type, %d handed on byte for byte", published, said, handed)
}
