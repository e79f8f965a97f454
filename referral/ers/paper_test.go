package ers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/referral/ers"
)

// TestRequestsOnPaper is A007 and A043: a referral, and a question for advice, as a file for those who treat the person. Neither is drawn of the other.
func TestRequestsOnPaper(t *testing.T) {
	t.Parallel()
	w := newAdviceWorld(t)
	gp := w.as(staff("gp", access.Clinician, practice), acting(ers.ReferringClinician, practice)...)
	consultant := w.as(staff("consultant", access.Clinician, hospital), acting(ers.ProviderClinician, hospital)...)
	referral := gp.post("/STU3/ReferralRequest/$ers.createReferral", w.createBody("9990000018", "11002")).json["id"].(string)
	asked := gp.post("/STU3/CommunicationRequest/$ers.createAdviceAndGuidance", w.question("11014", ""))
	question := asked.json["parameter"].([]any)[0].(map[string]any)["resource"].(map[string]any)["id"].(string)
	const cri = "/$ers.generateCRI"
	for _, c := range []struct {
		who        *caller
		path, name string
		status     int
		code       string
	}{
		{gp, "/STU3/ReferralRequest/" + referral, referral + "_Clinical_Information_Summary_20260115093000.pdf", 200, ""},
		{gp, "/STU3/CommunicationRequest/" + question, question + "_Advice_And_Guidance_20260115093000.pdf", 200, ""},
		{consultant, "/STU3/CommunicationRequest/" + question, question + "_Advice_And_Guidance_20260115093000.pdf", 200, ""},
		{gp, "/STU3/ReferralRequest/" + question, "", 422, "INVALID_REQUEST_TYPE"},
		{gp, "/STU3/CommunicationRequest/" + referral, "", 422, "INVALID_REQUEST_TYPE"},
		{gp, "/STU3/ReferralRequest/000000099999", "", 404, ""},
		{gp, "/STU3/CommunicationRequest/000000099999", "", 404, ""},
	} {
		a := c.who.post(c.path+cri, "")
		if a.status != c.status || a.code() != c.code {
			t.Errorf("%s: %d %s", c.path, a.status, a.body)
		}
		if c.status == http.StatusOK && (a.header.Get("Content-Disposition") != `attachment; filename="`+c.name+`"` || a.header.Get("Content-Type") != "application/pdf" || !strings.HasPrefix(a.body, "%PDF-")) {
			t.Errorf("%s: %v %.20q", c.path, a.header, a.body)
		}
	}
}

// TestForWhomAnAdministratorMayAct is A040.
func TestForWhomAnAdministratorMayAct(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	booker := w.as(staff("booker", access.Clerk, hospital), acting(ers.ProviderClinicianAdmin, hospital)...)
	a := booker.get("/R4/Practitioner?_query=onBehalfOf")
	if a.status != http.StatusOK || a.json["total"] != 1.0 || a.json["entry"].([]any)[0].(map[string]any)["fullUrl"] != "Practitioner/consultant" {
		t.Errorf("%d %s", a.status, a.body)
	}
	for _, query := range []string{"", "?_query=other", "?_query=onBehalfOf&_query=onBehalfOf"} {
		if a := booker.get("/R4/Practitioner" + query); a.status != http.StatusBadRequest || a.code() != "REC_BAD_REQUEST" {
			t.Errorf("%q: %d %s", query, a.status, a.body)
		}
	}
	consultant := w.as(staff("consultant", access.Clinician, hospital), acting(ers.ProviderClinician, hospital)...)
	if a := consultant.get("/R4/Practitioner?_query=onBehalfOf"); a.status != http.StatusForbidden || a.code() != "REC_FORBIDDEN" {
		t.Errorf("a clinician: %d %s", a.status, a.body)
	}
}

// TestAQuestionMadeAReferral is A027: where the practice has allowed it, once, at the current version; a file of the provider's goes with the referral. A044 sent twice asks once.
func TestAQuestionMadeAReferral(t *testing.T) {
	t.Parallel()
	w := newAdviceWorld(t)
	gp := w.as(staff("gp", access.Clinician, practice), acting(ers.ReferringClinician, practice)...)
	consultant := w.as(staff("consultant", access.Clinician, hospital), acting(ers.ProviderClinician, hospital)...)
	const ask = "/STU3/CommunicationRequest/$ers.createAdviceAndGuidance"
	numberOf := func(body string) string {
		a := gp.post(ask, body)
		if a.status != http.StatusOK {
			t.Fatalf("A044: %d %s", a.status, a.body)
		}
		return a.json["parameter"].([]any)[0].(map[string]any)["resource"].(map[string]any)["id"].(string)
	}
	ubrn := numberOf(w.question("11014", ""))
	if again := numberOf(w.question("11014", "")); again != ubrn {
		t.Errorf("sent twice: %s and %s", ubrn, again)
	}
	alone := numberOf(strings.NewReplacer(`"AUTHORISED_TO_CONVERT"`, `"NOT_AUTHORISED_TO_CONVERT"`, "Breathless", "Tired").Replace(w.question("11014", "")))
	if alone == ubrn {
		t.Error("another question is the same one")
	}
	const convert = "/STU3/ReferralRequest/$ers.createFromCommunicationRequestActionLater"
	body := func(from, more string) string {
		return `{"resourceType":"Parameters","meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-CreateFromCommunicationRequestActionLater-Request-Parameters-1"]},"parameter":[
			{"name":"createFrom","valueReference":{"reference":"CommunicationRequest/` + from + `"}},{"name":"guidance","valueString":"We will see her."},{"name":"reviewComments","valueString":"Within four weeks."},
			{"name":"newReferralPriority","valueCoding":{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-Priority-1","code":"URGENT"}}` + more + `]}`
	}
	for name, c := range map[string]struct {
		who    *caller
		body   string
		status int
		code   string
	}{
		"not allowed by the practice": {consultant, body(alone+"/_history/1", ""), 422, "INVALID_REQUEST_STATE"},
		"by the practice":             {gp, body(ubrn+"/_history/1", ""), 403, "FORBIDDEN"},
		"of an old version":           {consultant, body(ubrn+"/_history/9", ""), 409, ""},
		"of nobody's":                 {consultant, body("000000099999/_history/1", ""), 422, "REFERENCE_NOT_FOUND"},
		"of something else":           {consultant, body("x", ""), 422, "INVALID_VALUE"},
		"with a file of nobody's":     {consultant, body(ubrn+"/_history/1", ","+documentParameter("reviewAttachmentFile", "PROVIDER", "Binary/none", "")), 422, "REFERENCE_NOT_FOUND"},
	} {
		if a := c.who.post(convert, c.body); a.status != c.status || a.code() != c.code {
			t.Errorf("%s: %d %s", name, a.status, a.body)
		}
	}
	plan := consultant.uploaded("plan.pdf", "application/pdf", "%PDF-1.4 plan", ubrn)
	a := consultant.post(convert, body(ubrn+"/_history/1", ","+documentParameter("reviewAttachmentFile", "PROVIDER", plan, "the plan")))
	if state, reason := stateOf(t, a.json); a.status != http.StatusCreated || a.json["id"] != ubrn || state != "TRIAGED_PROVIDER_TO_ACTION" || reason != "PROVIDER_CONVERTED_ADVICE_AND_GUIDANCE_ADMIN_TO_REFER" ||
		!strings.Contains(a.body, `"code":"PROVIDER"`) || !strings.Contains(a.body, `"reference":"CommunicationRequest/`+ubrn+`"`) {
		t.Fatalf("A027: %d %s", a.status, a.body)
	}
	if a := consultant.post(convert, body(ubrn+"/_history/2", "")); a.code() != "INVALID_REQUEST_STATE" {
		t.Errorf("twice: %d %s", a.status, a.body)
	}
	for _, path := range []string{"/STU3/ReferralRequest/" + ubrn, "/STU3/CommunicationRequest/" + ubrn} {
		if a := gp.get(path); a.status != http.StatusOK {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
	}
}
