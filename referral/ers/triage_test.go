package ers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/referral/ers"
)

// TestTriageByProgram creates for triage (A021), returns it with advice and a file and takes it (A028), and sends it elsewhere (A032).
func TestTriageByProgram(t *testing.T) {
	w := newWorld(t)
	w.registered("9990000018")
	gp := w.as(staff("gp", access.Clinician, practice), acting(ers.ReferringClinician, practice)...)
	consultant := w.as(staff("consultant", access.Clinician, hospital), acting(ers.ProviderClinician, hospital)...)
	body := func(services ...string) string {
		return strings.Replace(w.createBody("9990000018", services...), "eRS-CreateReferral-Parameters-1", "eRS-CreateReferralAndSendForTriage-Parameters-1", 1)
	}
	if a := gp.post("/STU3/ReferralRequest/$ers.createReferralAndSendForTriage", body("11002", "11010")); a.code() != "TOO_MANY_ITEMS" {
		t.Errorf("two services: %d %s", a.status, a.body)
	}
	made := gp.post("/STU3/ReferralRequest/$ers.createReferralAndSendForTriage", body("11002"))
	if state, _ := stateOf(t, made.json); made.status != http.StatusCreated || state != "AWAITING_TRIAGE" {
		t.Fatalf("A021: %d %s", made.status, made.body)
	}
	ubrn := made.json["id"].(string)
	record := func(version, outcome, more string) answer {
		return consultant.post("/STU3/ReferralRequest/"+ubrn+"/$ers.recordReviewOutcome", `{"meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-RecordReviewOutcome-Parameters-1"]},"resourceType":"Parameters","parameter":[
			{"name":"reviewOutcome","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-ReviewOutcome-1","code":"`+outcome+`"}}`+more+`]}`, "If-Match", `W/"`+version+`"`)
	}
	const comment = `,{"name":"reviewComments","valueString":"Try a statin first."}`
	if a := record("2", "RETURN_TO_REFERRER_WITH_ADVICE", ""); a.code() != "MISSING_VALUE" {
		t.Errorf("without comment: %d %s", a.status, a.body)
	}
	if a := record("2", "SEND_HOME", comment); a.code() != "INVALID_CODE" {
		t.Errorf("an unknown outcome: %d %s", a.status, a.body)
	}
	file := consultant.uploaded("plan.pdf", "application/pdf", "%PDF-1.4 plan", ubrn)
	returned := record("2", "RETURN_TO_REFERRER_WITH_ADVICE", comment+","+documentParameter("reviewAttachmentFile", "PROVIDER", file, "the plan"))
	if state, _ := stateOf(t, returned.json); returned.status != http.StatusOK || state != "TRIAGE_RESPONSE" || !strings.Contains(returned.body, `"code":"PROVIDER"`) {
		t.Fatalf("returned: %d %s", returned.status, returned.body)
	}
	if a := gp.get("/STU3/" + file); a.status != http.StatusOK || a.body != "%PDF-1.4 plan" {
		t.Errorf("the referrer reads the provider's file: %d %s", a.status, a.body)
	}
	_, list, _ := strings.Cut(w.createBody("9990000018", "11010"), `{"name":"shortlist"`)
	again := gp.post("/STU3/ReferralRequest/"+ubrn+"/$ers.changeShortlistAndSendForTriage", `{"resourceType":"Parameters","meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-ChangeShortlistAndSendForTriage-Request-Parameters-1"]},"parameter":[
		{"name":"intentionToAddReferralLetter","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-ReferralLetterIntention-1","code":"NOT_INTENDING_TO_ADD"}},{"name":"firstReminderLetterFollowUpDays","valueUnsignedInt":0},{"name":"shortlist"`+list, "If-Match", `W/"3"`)
	if again.status != http.StatusOK || !strings.Contains(again.body, "updatedReferralRequest") || !strings.Contains(again.body, "A full clinic") {
		t.Fatalf("A032: %d %s", again.status, again.body)
	}
	taken := record("4", "ACCEPT_REFER_BOOK_LATER", comment+`,{"name":"reviewPriority","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-Priority-1","code":"TWO_WEEK_WAIT"}}`)
	if state, _ := stateOf(t, taken.json); taken.status != http.StatusOK || state != "TRIAGED_PROVIDER_TO_ACTION" || !strings.Contains(taken.body, `"code":"TWO_WEEK_WAIT"`) {
		t.Errorf("taken: %d %s", taken.status, taken.body)
	}
}
