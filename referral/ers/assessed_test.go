package ers_test

import (
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/seed/published"
)

// TestWhatWasAssessedIsOnTheReferrersList: A008 has it under ASSESSMENT_RETURNED_CANCELLED_DNA, in its published state, until the practice sends it on.
func TestWhatWasAssessedIsOnTheReferrersList(t *testing.T) {
	s := newStage(t)
	s.t = t
	r := s.booked(s.refers(referral.Draft{Patient: ident.MustNHSNumber(published.Third), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{"11003"}, Letter: "Knee pain."}), "11003")
	list := func() string {
		t.Helper()
		a := s.referrer().post("/STU3/ReferralRequest/$ers.fetchworklist", `{"meta":{"profile":["https://fhir.nhs.uk/STU3/StructureDefinition/eRS-FetchWorklist-Parameters-1"]},"resourceType":"Parameters","parameter":[
			{"name":"listType","valueCodeableConcept":{"coding":[{"system":"https://fhir.nhs.uk/STU3/CodeSystem/eRS-ReferralListSelector-1","code":"ASSESSMENT_RETURNED_CANCELLED_DNA"}]}}]}`)
		if a.status != http.StatusOK {
			t.Fatalf("A008: %d %s", a.status, a.body)
		}
		return a.body
	}
	if said := list(); strings.Contains(said, r.UBRN.String()) {
		t.Fatalf("it is there before it was assessed: %s", said)
	}
	s.time.Advance(r.Appointment.Start.Sub(s.time.Now()) + time.Hour)
	r = s.does(s.byReviewer(), r, referral.Work{Kind: referral.ActAssessed, Comment: "Exercise first."})
	if said := list(); r.State != referral.AssessmentResult || !strings.Contains(said, "ReferralRequest/"+r.UBRN.String()) || !strings.Contains(said, `"code":"ASSESSMENT_RESULT"`) || !strings.Contains(said, `"display":"Assessment result"`) {
		t.Errorf("%s: %s", r.State, said)
	}
	s.does(s.byReferrer(), r, referral.Work{Kind: referral.ActSendTriage, Service: "11003"})
	if said := list(); strings.Contains(said, r.UBRN.String()) {
		t.Errorf("it is there still: %s", said)
	}
}
