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
	if a := consultant.get("/R4/Practitioner?_query=onBehalfOf"); a.status != http.StatusForbidden || a.code() != "FORBIDDEN" {
		t.Errorf("a clinician: %d %s", a.status, a.body)
	}
}
