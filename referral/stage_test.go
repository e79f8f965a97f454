package referral_test

import (
	"slices"
	"testing"

	"github.com/openspine/openspine/referral"
)

func TestNobodyIsBookedWhoHasBeenSeen(t *testing.T) {
	t.Parallel()
	past := []referral.Kind{referral.ActMove, referral.ActCancelBy, referral.ActCancelFrom, referral.ActCancel, referral.ActRebookLater}
	for _, c := range []struct {
		name string
		r    referral.Referral
		want referral.Stage
		may  bool // something about the appointment that is to come
	}{
		{"booked", referral.Referral{State: referral.Booked}, "BOOKED", true},
		{"seen", referral.Referral{State: referral.Booked, Attended: true}, referral.StageSeen, false},
		{"discharged", referral.Referral{State: referral.Booked, Attended: true, Closed: true}, referral.StageDischarged, false},
		{"discharged unseen", referral.Referral{State: referral.DidNotAttend, Closed: true}, referral.StageDischarged, false},
		{"cancelled", referral.Referral{State: referral.Cancelled, Closed: true}, "CANCELLED_REFERRAL", false},
		{"assessed", referral.Referral{State: referral.AssessmentResult, Attended: true}, "ASSESSMENT_RESULT", true}, // the practice ends it, or books anew
	} {
		if got := c.r.Stage(); got != c.want {
			t.Errorf("%s: %s, not %s", c.name, got, c.want)
		}
		may := slices.ContainsFunc(past, func(k referral.Kind) bool {
			return c.r.May(k, referral.Patient) || c.r.May(k, referral.Referrer) || c.r.May(k, referral.Provider)
		})
		if may != c.may {
			t.Errorf("%s: an appointment may be moved or cancelled: %v", c.name, may)
		}
		if text := referral.Tells(t.Context(), c.r); text == "" || (c.want != "BOOKED" && text == referral.Tells(t.Context(), referral.Referral{State: referral.Booked})) {
			t.Errorf("%s: the patient is told %q", c.name, text)
		}
	}
}
