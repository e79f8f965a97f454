package ers_test

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/referral/ers"
)

// createBody is what a referrer sends, in the shape of the published example.
func (w *world) createBody(number string, services ...string) string {
	entries := make([]string, len(services))
	for i, s := range services {
		entries[i] = `{"item":{"identifier":{"system":"http://fhir.nhs.net/Id/ers-service","value":"` + s + `"}}}`
	}
	return `{"resourceType":"Parameters","meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-CreateReferral-Parameters-1"]},"parameter":[
		{"name":"patient","valueIdentifier":{"system":"http://fhir.nhs.net/Id/nhs-number","value":"` + number + `"}},
		{"name":"intentionToAddReferralLetter","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-ReferralLetterIntention-1","code":"NEED_TO_ADD_LATER"}},
		{"name":"firstReminderLetterFollowUpDays","valueUnsignedInt":0},
		{"name":"eReferralPathwayStart","valueInstant":"2026-01-10T09:55:00.000Z"},
		{"name":"shortlist","resource":{"meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-Shortlist-List-1"]},"resourceType":"List","status":"current","mode":"snapshot",
			"contained":[{"resourceType":"Parameters","meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-ServiceSearchCriteria-Parameters-1"]},"id":"ServiceSearchCriteria-1","parameter":[
				{"name":"priority","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-Priority-1","code":"URGENT"}},
				{"name":"specialty","valueCoding":{"system":"` + w.url + `/STU3/CodeSystem/SPECIALTY","code":"CARDIOLOGY"}},
				{"name":"clinicType","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-ClinicType-1","code":"HEART_FAILURE"}},
				{"name":"ageAndGenderAppropriate","valueBoolean":false}]}],
			"entry":[` + strings.Join(entries, ",") + `],
			"extension":[{"url":"https://fhir.nhs.uk/STU3/StructureDefinition/Extension-eRS-Shortlist-SearchCriteria-1","valueReference":{"reference":"#ServiceSearchCriteria-1"}}]}}]}`
}

func appointmentBody(ubrn string, version any, service, number, rest string) string {
	return fmt.Sprintf(`{"id":"appointment","meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-Appointment-1"]},"language":"en","resourceType":"Appointment","description":"e-Referral Appointment",
		"incomingReferral":[{"reference":"ReferralRequest/%s/_history/%v"}],%s,"participant":[
		{"actor":{"identifier":{"system":"http://fhir.nhs.net/Id/ers-service","value":"%s"}},"status":"accepted"},
		{"actor":{"identifier":{"system":"http://fhir.nhs.net/Id/nhs-number","value":"%s"}},"status":"accepted"}]}`, ubrn, version, rest, service, number)
}

// stateOf is the code of a referral's state.
func stateOf(t *testing.T, res map[string]any) (state, reason string) {
	t.Helper()
	for _, e := range res["extension"].([]any) {
		x := e.(map[string]any)
		if !strings.HasSuffix(x["url"].(string), "Extension-eRS-ReferralState-1") {
			continue
		}
		for _, p := range x["extension"].([]any) {
			part := p.(map[string]any)
			switch coding, _ := part["valueCoding"].(map[string]any); part["url"] {
			case "state":
				state = coding["code"].(string)
			case "reason":
				reason = coding["code"].(string)
			}
		}
	}
	return state, reason
}

// TestAReferralFromPracticeToHospital refers, finds slots, books, accepts and rejects by programs of both.
func TestAReferralFromPracticeToHospital(t *testing.T) {
	w := newWorld(t)
	w.registered("9990000018")
	day := time.Date(2026, 2, 3, 9, 0, 0, 0, time.UTC)
	w.gives("11002", day, day.Add(20*time.Minute), day.Add(40*time.Minute))
	gp := w.as(staff("gp", access.Clinician, practice), acting(ers.ReferringClinician, practice)...)
	consultant := w.as(staff("consultant", access.Clinician, hospital), acting(ers.ProviderClinician, hospital)...)

	made := gp.post("/STU3/ReferralRequest/$ers.createReferral", w.createBody("9990000018", "11002"))
	if made.status != http.StatusCreated {
		t.Fatalf("create: %d %s", made.status, made.body)
	}
	ubrn := made.json["id"].(string)
	if state, _ := stateOf(t, made.json); state != "NOT_BOOKED" || made.header.Get("ETag") != `W/"1"` || !strings.HasSuffix(made.header.Get("Location"), "/STU3/ReferralRequest/"+ubrn+"/_history/1") {
		t.Errorf("created: %s %v", state, made.header)
	}
	if a := consultant.get("/STU3/ReferralRequest/" + ubrn); a.status != http.StatusForbidden && a.status != http.StatusNotFound {
		t.Errorf("a hospital that nobody has chosen saw it: %d", a.status)
	}

	page := gp.get(slotsOf("11002", 2, 1))
	first := page.json["entry"].([]any)[0].(map[string]any)["resource"].(map[string]any)
	if page.json["total"] != 3.0 || first["start"] != "2026-02-03T09:00:00.000Z" || len(page.json["link"].([]any)) != 2 {
		t.Fatalf("slots: %s", page.body)
	}
	if a := gp.get(slotsOf("11002", 2, 5)); a.code() != "INVALID_VALUE" || !strings.Contains(a.body, "'Page Number' (5) is invalid.") {
		t.Errorf("page 5: %s", a.body)
	}

	slot := `"status":"booked","slot":[{"reference":"Slot/` + first["id"].(string) + `"}]`
	booked := gp.post("/STU3/Appointment", appointmentBody(ubrn, 1, "11002", "9990000018", slot))
	if booked.status != http.StatusCreated || booked.json["status"] != "booked" || booked.json["start"] != "2026-02-03T09:00:00.000Z" {
		t.Fatalf("book: %d %s", booked.status, booked.body)
	}
	other := gp.post("/STU3/ReferralRequest/$ers.createReferral", w.createBody("9990000018", "11002"))
	if a := gp.post("/STU3/Appointment", appointmentBody(other.json["id"].(string), 1, "11002", "9990000018", slot)); a.status != http.StatusUnprocessableEntity || a.code() != "SLOT_NOT_AVAILABLE" {
		t.Errorf("a slot that is gone: %d %s", a.status, a.body)
	}
	deferral := `"status":"proposed","reason":[{"coding":[{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-ReviewReason-1","code":"NO_SLOTS_AT_SERVICE"}]}],"comment":"There are no slots"`
	if a := gp.post("/STU3/Appointment", appointmentBody(other.json["id"].(string), 1, "11002", "9990000018", deferral)); a.status != http.StatusUnprocessableEntity || a.code() != "SLOTS_CURRENTLY_AVAILABLE" {
		t.Errorf("deferred while there are slots: %d %s", a.status, a.body)
	}

	seen := consultant.get("/STU3/ReferralRequest/" + ubrn)
	if state, _ := stateOf(t, seen.json); seen.status != http.StatusOK || state != "BOOKED" {
		t.Fatalf("the hospital: %d %s", seen.status, seen.body)
	}
	accept := "/STU3/ReferralRequest/" + ubrn + "/$ers.acceptReferral"
	if a := consultant.post(accept, ""); a.status != http.StatusPreconditionFailed {
		t.Errorf("without a version: %d %s", a.status, a.body)
	}
	if a := consultant.post(accept, "", "If-Match", `W/"1"`); a.status != http.StatusConflict {
		t.Errorf("of an old version: %d %s", a.status, a.body)
	}
	if a := gp.post(accept, "", "If-Match", `W/"2"`); a.status != http.StatusForbidden {
		t.Errorf("the referrer accepted: %d %s", a.status, a.body)
	}
	if a := consultant.post(accept, "", "If-Match", `W/"2"`); a.status != http.StatusOK || a.header.Get("ETag") != `W/"3"` {
		t.Errorf("accept: %d %s", a.status, a.body)
	}

	reject := func(code, more string) answer {
		return consultant.post("/STU3/ReferralRequest/"+ubrn+"/$ers.rejectReferral", `{"meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-RejectReferral-Parameters-1"]},"resourceType":"Parameters","parameter":[
			{"name":"rejectionReason","valueCoding":{"system":"`+w.url+`/STU3/CodeSystem/APPOINTMENT-CANCELLATION-REASON","code":"`+code+`"}}`+more+`]}`, "If-Match", `W/"3"`)
	}
	if a := reject("NEVER", ""); a.code() != "INVALID_CODE" {
		t.Errorf("an unknown reason: %s", a.body)
	}
	if a := reject("PATIENT_ILL", ""); a.code() != "INAPPROPRIATE_VALUE" {
		t.Errorf("a referrer's reason: %s", a.body)
	}
	if a := reject("SERVICE_INAPPROPRIATE", `,{"name":"wish","valueString":"x"}`); a.code() != "UNEXPECTED_FIELD" || !strings.Contains(a.body, "'parameter[1]' (unknownParameter)") {
		t.Errorf("an unknown parameter: %s", a.body)
	}
	rejected := reject("SERVICE_INAPPROPRIATE", `,{"name":"rejectionComments","valueString":"This is a short comment"}`)
	if state, reason := stateOf(t, rejected.json); rejected.status != http.StatusOK || state != "REJECTED" || reason != "SERVICE_INAPPROPRIATE" {
		t.Errorf("reject: %d %s", rejected.status, rejected.body)
	}
	if a := gp.get(slotsOf("11002", 5, 1)); a.json["total"] != 3.0 {
		t.Errorf("the slot is not free again: %s", a.body)
	}
	w.cancels(gp, ubrn)
}

// cancels ends a rejected referral, as its referrer.
func (w *world) cancels(gp *caller, ubrn string) {
	w.t.Helper()
	a := gp.post("/STU3/ReferralRequest/"+ubrn+"/$ers.cancelReferral", `{"meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-CancelReferral-Request-Parameters-1"]},"resourceType":"Parameters","parameter":[
		{"name":"cancellationReason","valueCoding":{"system":"`+w.url+`/STU3/CodeSystem/REFERRAL-CANCELLATION-REASON","code":"RAISED_IN_ERROR"}}]}`, "If-Match", `W/"4"`)
	if a.status != http.StatusOK {
		w.t.Fatalf("cancel: %d %s", a.status, a.body)
	}
	updated := a.json["parameter"].([]any)[0].(map[string]any)["resource"].(map[string]any)
	if updated["status"] != "cancelled" || updated["meta"].(map[string]any)["versionId"] != "5" {
		w.t.Errorf("cancelled: %s", a.body)
	}
}

func TestARequestThatIsNotSoundIsRefusedWithItsCode(t *testing.T) {
	w := newWorld(t)
	w.registered("9990000018")
	gp := w.as(staff("gp", access.Clinician, practice), acting(ers.ReferringClinician, practice)...)
	good := w.createBody("9990000018", "11002")
	many := make([]string, 21)
	for i := range many {
		many[i] = fmt.Sprint(i)
	}
	for name, c := range map[string]struct{ body, code string }{
		"a bad number":            {w.createBody("9990000019", "11002"), "INVALID_VALUE"},
		"nobody":                  {w.createBody("9990000026", "11002"), "REFERENCE_NOT_FOUND"},
		"a service that is none":  {w.createBody("9990000018", "99999"), "REFERENCE_NOT_FOUND"},
		"a service twice":         {w.createBody("9990000018", "11002", "11002"), "DUPLICATE_SERVICE"},
		"too many services":       {w.createBody("9990000018", many...), "TOO_MANY_ITEMS"},
		"no services":             {w.createBody("9990000018"), "INVALID_FHIR_STRUCTURE"},
		"an unknown parameter":    {strings.Replace(good, `"name":"patient"`, `"name":"person"`, 1), "UNEXPECTED_FIELD"},
		"an unknown criterion":    {strings.Replace(good, `"name":"clinicType"`, `"name":"colour"`, 1), "UNEXPECTED_FIELD"},
		"a field beside":          {strings.Replace(good, `{"name":"patient",`, `{"name":"patient","more":1,`, 1), "UNEXPECTED_FIELD"},
		"an unknown specialty":    {strings.Replace(good, `CARDIOLOGY`, `MAGIC`, 1), "INVALID_CODE"},
		"an unknown priority":     {strings.Replace(good, `"URGENT"`, `"SOON"`, 1), "INVALID_CODE"},
		"a start to come":         {strings.Replace(good, `2026-01-10`, `2026-03-10`, 1), "INAPPROPRIATE_VALUE"},
		"a start long ago":        {strings.Replace(good, `2026-01-10`, `2024-01-10`, 1), "INAPPROPRIATE_VALUE"},
		"on behalf, without need": {strings.Replace(good, `{"name":"intention`, `{"name":"referringClinician","valueIdentifier":{"system":"http://fhir.nhs.net/Id/sds-user-id","value":"gp"}},{"name":"intention`, 1), "FIELD_NOT_PERMITTED"},
		"no profile":              {strings.Replace(good, `eRS-CreateReferral-Parameters-1`, `Other-1`, 1), "MISSING_VALUE"},
		"another type":            {`{"resourceType":"Patient"}`, "INVALID_FHIR_STRUCTURE"},
		"no JSON":                 {`{"resourceType":`, "INVALID_FHIR_STRUCTURE"},
	} {
		if a := gp.post("/STU3/ReferralRequest/$ers.createReferral", c.body); a.status != http.StatusUnprocessableEntity || a.code() != c.code {
			t.Errorf("%s: %d %s %.300s", name, a.status, a.code(), a.body)
		}
	}
	if a := gp.do(http.MethodPost, "/STU3/ReferralRequest/$ers.createReferral", good, "Content-Type", "application/json"); a.status != http.StatusUnsupportedMediaType {
		t.Errorf("as plain JSON: %d", a.status)
	}
	if a := gp.get("/STU3/ReferralRequest/123456789012"); a.status != http.StatusNotFound {
		t.Errorf("nobody's number: %d %s", a.status, a.body)
	}
}

// TestWhomAServiceTakesIsLookedAtAgain: a service that takes one sex only since the shortlist was made has no appropriate slot for the other.
func TestWhomAServiceTakesIsLookedAtAgain(t *testing.T) {
	w := newWorld(t)
	w.registered("9990000018")
	day := time.Date(2026, 2, 3, 9, 0, 0, 0, time.UTC)
	w.gives("11002", day)
	gp := w.as(staff("gp", access.Clinician, practice), acting(ers.ReferringClinician, practice)...)
	made := gp.post("/STU3/ReferralRequest/$ers.createReferral", w.createBody("9990000018", "11002"))
	slot := gp.get(slotsOf("11002", 2, 1)).json["entry"].([]any)[0].(map[string]any)["resource"].(map[string]any)["id"].(string)
	w.load(`{"resourceType":"HealthcareService","id":"11002","active":true,"providedBy":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}},"name":"Good Cardiology Business Service","eligibility":[{"code":{"coding":[{"system":"http://hl7.org/fhir/administrative-gender","code":"male"}]}}]}`)
	a := gp.post("/STU3/Appointment", appointmentBody(made.json["id"].(string), 1, "11002", "9990000018", `"status":"booked","slot":[{"reference":"Slot/`+slot+`"}]`))
	if a.status != http.StatusUnprocessableEntity || a.code() != "INAPPROPRIATE_SLOT" || !strings.Contains(a.body, "male patients only") {
		t.Errorf("%d %s", a.status, a.body)
	}
}
