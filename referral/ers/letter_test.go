package ers_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/referral/ers"
)

// TestALetterForThePatient is A019: a file whose name tells the reference, while there is something that the patient may do.
func TestALetterForThePatient(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.registered("9990000018")
	gp := w.as(staff("gp", access.Clinician, practice), acting(ers.ReferringClinician, practice)...)
	consultant := w.as(staff("consultant", access.Clinician, hospital), acting(ers.ProviderClinician, hospital)...)
	made := gp.post("/STU3/ReferralRequest/$ers.createReferral", w.createBody("9990000018", "11002"))
	if made.status != http.StatusCreated {
		t.Fatalf("create: %d %s", made.status, made.body)
	}
	at := "/STU3/ReferralRequest/" + made.json["id"].(string)

	a := gp.post(at+"/$ers.generatePatientLetter", "")
	if want := `attachment; filename="` + made.json["id"].(string) + `_Appointment_Request_Summary_20260115093000.pdf"`; a.header.Get("Content-Disposition") != want {
		t.Errorf("%s, want %s", a.header.Get("Content-Disposition"), want)
	}
	if a.status != http.StatusOK || a.header.Get("Content-Type") != "application/pdf" || !strings.HasPrefix(a.body, "%PDF-") {
		t.Errorf("%d %v", a.status, a.header)
	}
	if a := consultant.post(at+"/$ers.generatePatientLetter", ""); a.status != http.StatusForbidden || a.code() != "FORBIDDEN" {
		t.Errorf("a hospital: %d %s", a.status, a.body)
	}
	if a := gp.post("/STU3/ReferralRequest/000000099999/$ers.generatePatientLetter", ""); a.status != http.StatusNotFound {
		t.Errorf("nobody's: %d %s", a.status, a.body)
	}
	reason := `{"resourceType":"Parameters","meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-CancelReferral-Request-Parameters-1"]},"parameter":[{"name":"cancellationReason","valueCoding":{"system":"` + w.url +
		`/STU3/CodeSystem/REFERRAL-CANCELLATION-REASON","code":"RAISED_IN_ERROR"}},{"name":"cancellationComments","valueString":"twice"}]}`
	if a := gp.post(at+"/$ers.cancelReferral", reason, "If-Match", `W/"1"`); a.status != http.StatusOK {
		t.Fatalf("cancel: %d %s", a.status, a.body)
	}
	if a := gp.post(at+"/$ers.generatePatientLetter", ""); a.status != http.StatusUnprocessableEntity || a.code() != "INVALID_REQUEST_STATE" {
		t.Errorf("cancelled: %d %s", a.status, a.body)
	}
}
