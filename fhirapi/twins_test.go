package fhirapi_test

import (
	"fmt"
	"os"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/store/storetest"
)

// Whatever a stranger asks, the answer is the same whether there is somebody hidden or not: status, headers and body, page by page.
// Each request is asked by three of the strangers in turn; with OPENSPINE_TWINS=all by every one of them, which takes minutes.
func TestNobodyCanTellWhoIsHidden(t *testing.T) {
	t.Run("SQLite", func(t *testing.T) { interfere(t, [2]string{}, strangers()) })
	t.Run("PostgreSQL", func(t *testing.T) {
		interfere(t, [2]string{storetest.PostgresURL(t), storetest.PostgresURL(t)}, strangers()[:1]) // the rules are the same: what differs is how a search finds
	})
}

func interfere(t *testing.T, database [2]string, strangers []access.Principal) {
	tw := newTwins(t, database)
	for _, group := range []struct {
		name     string
		requests []request
		told     int // how many of them, of a hundred, tell her carer that she is there: the test's own power
	}{{"addresses", addresses(), 50}, {"searches", searches(), 30}, {"writes", writes(), 20}} {
		t.Run(group.name, func(t *testing.T) {
			tw.in(t)
			before, failures := tw.asked, 0
			compared := 0
			for j, p := range strangers {
				for i, q := range group.requests {
					if !inTurn(i, j, len(strangers)) {
						continue
					}
					compared++
					if !tw.same(p, q) {
						if failures++; failures > 40 {
							t.Fatal("too many")
						}
					}
				}
			}
			t.Logf("%d requests, %d comparisons, %d answers", len(group.requests), compared, tw.asked-before)
			tw.power(group.requests, group.told)
		})
	}
}

// inTurn says whether request i falls to stranger j of n: to three of them, others for each request.
func inTurn(i, j, n int) bool {
	if os.Getenv("OPENSPINE_TWINS") == "all" {
		return true
	}
	for k := range 3 {
		if (i+4*k)%n == j {
			return true
		}
	}
	return false
}

func (tw *twins) in(t testing.TB) {
	tw.t, tw.with.t, tw.sans.t = t, t, t
}

// power asks the same as the keeper's own system, which may know: a table of which none tells that one anything would prove nothing.
func (tw *twins) power(requests []request, least int) {
	told := 0
	for _, q := range requests {
		if with, sans := tw.ask(principal(access.SystemClient, "keeper"), q); with != sans {
			told++
		}
	}
	tw.t.Logf("%d of them tell the keeper's system", told)
	if told*100 < least*len(requests) {
		tw.t.Errorf("only %d of %d requests could have told anybody anything", told, len(requests))
	}
}

// addresses are all that can be asked at the address of one resource without writing.
func addresses() []request {
	var list []request
	for _, ref := range herIDs() {
		typ, id, _ := strings.Cut(ref, "/")
		get := func(path string, headers ...string) {
			list = append(list, request{"GET", path, "", headers})
		}
		get(ref)
		list = append(list, request{"HEAD", ref, "", nil}, request{"GET", ref + "?_summary=true", "", nil})
		get(ref, "If-None-Match", `W/"1"`)
		get(ref, "If-Modified-Since", "Mon, 01 Jan 2300 00:00:00 GMT")
		get(ref, "Accept", "application/fhir+xml")
		get(ref + "/_history")
		get(ref + "/_history?_count=1")
		get(ref + "/_history/1")
		get(ref + "/_history/2")
		get(ref + "/$meta")
		get(ref + "/$validate?mode=delete")
		get(ref + "/$validate")
		get(typ + "?_id=" + id + ",ann,ann-obs,dr")
		get(typ + "?_id=" + id + "&_summary=count")
		if typ == "Patient" || typ == "Encounter" || typ == "RelatedPerson" || typ == "Device" {
			for _, related := range []string{"*", "*?_summary=count", "Observation", "Observation?_total=accurate", "Encounter", "Provenance", "Appointment", "Condition?_include=*"} {
				get(ref + "/" + related)
			}
		}
		list = append(list, request{"POST", "", bundle("batch", entry("GET", ref, ""), entry("HEAD", ref, ""), entry("GET", ref+"/_history", ""), entry("GET", ref+"/_history/1", ""),
			entry("GET", ref, "", "ifNoneMatch", `W/"1"`)), nil},
			request{"POST", "", bundle("transaction", entry("GET", ref, ""), entry("GET", typ+"?_id="+id, "")), nil})
	}
	for _, path := range []string{"Patient/hid/$everything", "Patient/hid/$everything?_type=Observation&_count=3", "Patient/none/$everything", "Patient/ann/$everything", "Patient/ann/$everything?_count=7",
		"Patient/$everything", "Patient/$everything?_count=5", "AuditEvent?patient=Patient/hid", "AuditEvent?patient=Patient/none", "AuditEvent?entity=Observation/hid-obs", "_history", "_history?_count=7",
		"Patient/_history", "Observation/_history?_count=9", "Observation/_history", "Binary/_history", "DocumentReference/_history", "Appointment/_history", "Group/_history", "_history?_since=2000-01-01T00:00:00Z",
		"$meta", "Patient/$meta", "Observation/$meta", "metadata", "Practitioner/dr", "Slot/slot", "Device/dev", "Observation/ann-obs", "Patient/ann", "Encounter/ann-enc"} {
		list = append(list, request{"GET", path, "", nil})
	}
	return list
}

// searches are a grammar: what a search may begin with, by what else it may be shown.
func searches() []request {
	var list []request
	forms := []string{"", "_total=accurate", "_total=estimate", "_summary=count", "_count=3", "_count=1&_sort=-_lastUpdated", "_elements=id"}
	n := 0
	for _, base := range searchBases() {
		for i := range 2 { // each with two of the forms, in turn
			form := forms[(n+i*3)%len(forms)]
			path := base
			if form != "" {
				path += map[bool]string{true: "&", false: "?"}[strings.Contains(base, "?")] + form
			}
			list = append(list, request{"GET", path, "", nil})
		}
		if n++; n%3 == 0 {
			if typ, query, ok := strings.Cut(base, "?"); ok {
				where := strings.TrimPrefix(typ+"/_search", "/")
				list = append(list, request{"POST", where, query, []string{"Content-Type", "application/x-www-form-urlencoded"}})
				list = append(list, request{"POST", "", bundle("batch", entry("GET", strings.ReplaceAll(base, `"`, ""), "")), nil})
			}
		}
	}
	return list
}

func searchBases() []string {
	list := []string{
		"Patient", "Patient?family=Quellmarsh", "Patient?family=Marsh", "Patient?family:exact=Quellmarsh", "Patient?family:contains=uellm", "Patient?name=Isolde", "Patient?phonetic=x",
		"Patient?identifier=https://fhir.nhs.uk/Id/nhs-number|" + herNumber, "Patient?identifier=" + herNumber, "Patient?identifier:not=" + herNumber, "Patient?identifier:missing=false", "Patient?identifier:missing=true",
		"Patient?birthdate=1951-05-05", "Patient?birthdate=lt1960", "Patient?gender=female", "Patient?gender:not=male", "Patient?address-city=Quellford", "Patient?address-postalcode=QQ1", "Patient?telecom=07700900999",
		"Patient?phone=07700900999", "Patient?language=Quellish", "Patient?language:text=Quellish", "Patient?general-practitioner=Practitioner/dr", "Patient?general-practitioner.family=Healer", "Patient?organization=Organization/org",
		"Patient?link=Patient/hid", "Patient?link=Patient/ann", "Patient?link.family=Quellmarsh", "Patient?link:Patient.identifier=" + herNumber, "Patient?_security=R", "Patient?_security:not=R", "Patient?active=true",
		"Patient?_id=hid", "Patient?_id=hid,ann,none", "Patient?_has:Observation:patient:code=8867-4", "Patient?_has:Observation:patient:_tag=urn:t|hers", "Patient?_has:Condition:patient:code=rare", "Patient?_has:Appointment:patient:status=booked",
		"Patient?_has:Observation:patient:_has:Provenance:target:agent=Practitioner/dr", "Patient?_has:Group:member:type=person", "Patient?_revinclude=Observation:patient", "Patient?_revinclude=Appointment:patient&_revinclude:iterate=Slot:schedule",
		"Patient?_include=Patient:link", "Patient?_include=Patient:general-practitioner&_revinclude:iterate=Encounter:practitioner", "Patient?_sort=family", "Patient?_sort=-birthdate,family", "Patient?_sort=gender&_count=1",
		"Patient?_list=hid-list", "Patient?_content=Quellmarsh", "Patient?_text=Quelltext", "Patient?_filter=family eq Quellmarsh", "Patient?_lastUpdated=gt2000", "Patient?deceased:missing=true", "Patient?_tag:missing=true",
		"Observation", "Observation?patient=hid", "Observation?patient=Patient/hid", "Observation?subject=Patient/hid", "Observation?subject:identifier=https://fhir.nhs.uk/Id/nhs-number|" + herNumber, "Observation?patient:identifier=" + herNumber,
		"Observation?patient.family=Quellmarsh", "Observation?patient.family=Marsh", "Observation?subject:Patient.birthdate=1951-05-05", "Observation?patient.general-practitioner.family=Healer", "Observation?patient.link.family=Quellmarsh", "Observation?patient:missing=true",
		"Observation?patient:missing=false", "Observation?patient:not=Patient/ann", "Observation?code=8867-4", "Observation?code:text=note", "Observation?code:not=8867-4", "Observation?code:in=http://x", "Observation?value-quantity=71", "Observation?value-quantity=gt60&_sort=value-quantity",
		"Observation?_sort=date", "Observation?_sort=-code", "Observation?_sort=patient", "Observation?performer=Practitioner/dr", "Observation?performer:RelatedPerson.name=Quellmarsh", "Observation?performer.name=Tristan", "Observation?derived-from=Observation/hid-obs",
		"Observation?derived-from.value-quantity=71", "Observation?derived-from:Observation.value-quantity=72", "Observation?encounter.class=AMB", "Observation?encounter=Encounter/hid-enc", "Observation?encounter:Encounter.status=finished", "Observation?device=Device/hid-dev",
		"Observation?device.serial=Q1", "Observation?_tag=urn:t|hers", "Observation?_tag:not=urn:t|hers", "Observation?_profile=urn:profile:hers", "Observation?_text=Quelltext", "Observation?_content=Quellnote", "Observation?_has:Provenance:target:agent=Practitioner/dr",
		"Observation?_has:DiagnosticReport:result:status=final", "Observation?_has:Task:focus:status=requested", "Observation?_include=Observation:performer", "Observation?_include=Observation:derived-from", "Observation?_include:iterate=Observation:encounter&_include:iterate=Encounter:appointment",
		"Observation?_include=*", "Observation?_include=Observation:*", "Observation?_revinclude=Provenance:target", "Observation?_revinclude=DiagnosticReport:result&_include:iterate=DiagnosticReport:subject", "Observation?_revinclude=*", "Observation?code-value-quantity=8867-4$71", "Observation?component-code:missing=true",
		"Observation?_id=hid-obs,ann-obs", "Observation?date=2024-03-01", "Observation?date=ge2024-01-01&patient=hid", "Observation?status:not=final", "Observation?_security=R", "Observation?_security:missing=true", "Observation?value-string=quite", "Observation?_lastUpdated=gt2000&_sort=_lastUpdated",
		"Encounter?appointment=Appointment/hid-two", "Encounter?appointment.status=booked", "Encounter?part-of=Encounter/hid-enc", "Encounter?part-of.class=AMB", "Encounter?part-of.patient.family=Quellmarsh", "Encounter?_include=Encounter:part-of", "Encounter?_include=Encounter:appointment", "Encounter?service-provider=Organization/org",
		"Encounter?location=Location/loc", "Encounter?date=2024-03-01", "Encounter?_has:Observation:encounter:code=8867-4", "Condition?code=rare", "Condition?code=urn:hers|", "Condition?code:text=Quellitis", "Condition?evidence-detail=Observation/hid-obs", "Condition?evidence-detail:Observation.value-quantity=72",
		"Condition?subject.identifier=" + herNumber, "Condition?_include=Condition:evidence-detail", "RelatedPerson?patient=hid", "RelatedPerson?name=Tristan", "RelatedPerson?patient.family=Quellmarsh", "RelatedPerson?phone=07700900998", "Provenance?target=Observation/hid-obs", "Provenance?patient=hid",
		"Provenance?agent=Practitioner/dr", "Binary", "Binary?contenttype=text/plain", "Appointment", "Appointment?patient=ann", "Appointment?actor=Patient/hid", "Appointment?actor=Patient/ann", "Appointment?patient.family=Quellmarsh", "Appointment?slot=Slot/slot", "Appointment?date=ge2024-05-01", "Appointment?practitioner=Practitioner/dr",
		"Coverage?beneficiary=Patient/hid", "Coverage?payor=Organization/org", "DocumentReference", "DocumentReference?description=Quelldocument", "DocumentReference?author=Practitioner/dr", "MedicationRequest?medication=Medication/pill", "MedicationRequest?patient.gender=female", "MedicationRequest?_revinclude=Provenance:target",
		"AllergyIntolerance", "Composition?title=Quellletter", "Composition?entry=Observation/hid-obs", "List?item=Patient/hid", "List?item=Observation/ann-obs", "List?subject=hid", "Group", "Group?member=Patient/hid", "Group?member=Patient/ann", "Group?type=person", "Group?member.family=Quellmarsh", "Person?name=Quellmarsh", "Person?patient=hid",
		"Account?subject=Patient/ann", "Account?patient.family=Quellmarsh", "Task?focus=Observation/hid-obs", "Task?focus:Observation.value-quantity=72", "Task?_include=Task:focus", "Task?owner=Practitioner/dr", "Task?patient=hid", "DiagnosticReport?result=Observation/ann-obs", "DiagnosticReport?result.code=8867-4", "Device", "Device?patient=hid",
		"Device?_has:Observation:device:code=8867-4", "Device?_revinclude=Observation:device", "Communication?sender=Practitioner/dr", "QuestionnaireResponse", "Practitioner", "Practitioner?_has:Observation:performer:code=8867-4", "Practitioner?_has:Observation:performer:patient=hid", "Practitioner?_has:Condition:asserter:code=rare",
		"Practitioner?_has:Patient:general-practitioner:family=Quellmarsh", "Practitioner?_has:Encounter:practitioner:status=finished", "Practitioner?_revinclude=Patient:general-practitioner", "Practitioner?_revinclude=Task:owner", "Practitioner?_revinclude=*", "Organization?_has:Patient:organization:active=true",
		"Organization?_revinclude=Encounter:service-provider", "Location?_has:Encounter:location:status=finished", "Location?_revinclude=Appointment:location", "Medication?_has:MedicationRequest:medication:status=active", "Medication?_revinclude=MedicationRequest:medication", "Slot?_has:Appointment:slot:status=booked", "Slot?_revinclude=Appointment:slot",
		"Schedule?_revinclude=Slot:schedule&_revinclude:iterate=Appointment:slot", "?_type=Patient,Observation", "?_type=Observation&_tag=urn:t|hers", "?_type=Patient,RelatedPerson,Person&_lastUpdated=gt2000", "?_id=hid", "?_id=hid-obs,ann-obs", "?_content=Quellnote", "?_type=Condition,Encounter&_sort=-_lastUpdated", "?_security=R",
	}
	return append(list, "Patient?_has:Encounter:patient:_has:Observation:encounter:value-quantity=72", "Organization?_has:Coverage:payor:beneficiary.family=Quellmarsh", "Observation?patient._has:Condition:patient:code=rare", "Observation?patient:Patient._has:Group:member:type=person")
}

// writes are what a stranger writes: at her addresses, with criteria that fit only her, and about her.
func writes() []request {
	var list []request
	add := func(method, path, body string, headers ...string) {
		list = append(list, request{method, path, body, headers})
	}
	meta := `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"tag":[{"system":"urn:x","code":"y"}]}}]}`
	for _, ref := range herIDs() {
		typ, id, _ := strings.Cut(ref, "/")
		body := ofType(typ, id)
		patch := `[{"op":"test","path":"/id","value":"` + id + `"}]`
		add("PATCH", ref, patch, "Content-Type", jsonPatch)
		add("PATCH", ref, `[{"op":"test","path":"/id","value":"x"}]`, "Content-Type", jsonPatch)
		add("DELETE", ref, "")
		add("DELETE", ref, "", "If-Match", `W/"9"`)
		add("PUT", ref, body, "If-Match", `W/"9"`)
		add("POST", ref+"/$meta-add", meta)
		add("POST", ref+"/$meta-delete", meta)
		add("POST", "", bundle("transaction", entry("DELETE", ref, "")))
		add("POST", "", bundle("batch", entry("DELETE", ref, ""), entry("PATCH", ref, binaryPatch(patch)), entry("PUT", ref, body, "ifMatch", `W/"9"`)))
		add("DELETE", typ+"?_id="+id, "")
		add("PATCH", typ+"?_id="+id, patch, "Content-Type", jsonPatch)
		add("POST", typ, ofType(typ, ""), "If-None-Exist", "_id="+id)
		list = append(list, choosing(typ, id, body)...)
	}
	for i, about := range herNames() {
		text := note("", about, "")
		text = strings.Replace(text, `"id":"",`, "", 1)
		add("POST", "Observation", text)
		add("POST", "Observation/$validate?mode=create", text)
		add("POST", "", bundle("transaction", entry("POST", "Observation", text)))
		add("POST", "", bundle("batch", entry("POST", "Observation", text)))
		add("PATCH", "Observation/ann-more-3", `[{"op":"add","path":"/subject","value":`+strings.TrimPrefix(about, `,"subject":`)+`}]`, "Content-Type", jsonPatch)
		add("PUT", fmt.Sprint("Observation/chosen-", i), note(fmt.Sprint("chosen-", i), about, ""))
		add("PUT", "Observation?value-quantity=72&patient=hid", text)
	}
	return append(list, naming()...)
}
