package hospital_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/sim/simtest"
)

// TestADecisionThatIsSentTwice: by a double click, before the spine has answered, the spine is told once, and refuses nothing that somebody would have to see to. What is decided otherwise than before is told.
func TestADecisionThatIsSentTwice(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	u := w.spine.refer("9990000018", 1, true)
	w.registered(u)
	w.link("cut")
	accept := hospital.Decision{Kind: booking.ActAccept, Seen: 1}
	cancel := hospital.Decision{Kind: booking.ActCancel, Seen: 1, Reason: "CLINIC_CANCELLED", Comment: "The consultant is ill."}
	for _, d := range []hospital.Decision{accept, accept, cancel, cancel, cancel} {
		if err := w.o.Decide(t.Context(), w.clerk(), rqx, u, d); err != nil {
			t.Fatalf("%s: %v", d.Kind, err)
		}
	}
	w.link("heal")
	var kinds []string
	simtest.Eventually(t, func() bool {
		w.spine.look(func() {
			kinds = nil
			for _, a := range w.spine.acts[u] {
				kinds = append(kinds, a.Kind)
			}
		})
		return len(kinds) > 1
	})
	clerk := w.nodes[1].SignedIn(t, "clerk")
	simtest.Eventually(t, func() bool { return !strings.Contains(clerk.Get("/clinics/cases/"+u).Text(), "Not confirmed") })
	w.spine.look(func() {
		if n := len(w.spine.acts[u]); n != 2 {
			t.Errorf("the spine was told %d acts, not 2", n)
		}
	})
	if got, want := strings.Join(kinds, " "), booking.ActAccept+" "+booking.ActCancel; got != want {
		t.Errorf("the spine was told %q, not %q", got, want)
	}
}

// TestAFollowUpThatIsBookedTwice: by a double click they are booked once, and whoever subscribed is told once.
func TestAFollowUpThatIsBookedTwice(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	u := w.spine.refer("9990000018", 1, true)
	w.registered(u)
	starts := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 20).Add(9 * time.Hour)
	if err := w.o.MakeSession(t.Context(), rqx, hospital.Session{ID: "again", Clinic: "heart", Starts: starts, Ends: starts.Add(time.Hour), Minutes: 30, State: "open"}, 2, 2, false); err != nil {
		t.Fatal(err)
	}
	for range 2 {
		if err := w.o.FollowUp(t.Context(), w.clerk(), rqx, u, "again", "again-"+starts.Format("1504")); err != nil {
			t.Fatal(err)
		}
	}
	other := w.spine.refer("9990000026", 2, true)
	w.registered(other)
	if err := w.o.FollowUp(t.Context(), w.clerk(), rqx, other, "again", "again-"+starts.Format("1504")); !fault.Is(err, fault.Conflict) {
		t.Errorf("two people in one time: %v", err)
	}
	if n := strings.Count(w.nodes[1].SignedIn(t, "clerk").Get("/clinics/cases/"+u).Text(), "Follow-up booked"); n != 1 {
		t.Errorf("the history says %d times that it was booked", n)
	}
}

// TestARefusedDecisionLosesNobody: a clinician takes a referral while the line is cut, which was taken at the national node meanwhile. The spine refuses the second decision, and they wait for a time as before.
func TestARefusedDecisionLosesNobody(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	u := w.spine.refer("9990000018", 1, false)
	w.registered(u)
	w.spine.state(u, "AWAITING_TRIAGE")
	doctor := w.nodes[1].SignedIn(t, "doctor")
	simtest.Eventually(t, func() bool { return strings.Contains(doctor.Get("/clinics/triage").Text(), "1 referral") })
	w.link("cut")
	if err := w.o.Decide(t.Context(), w.doctor(), rqx, u, hospital.Decision{Kind: booking.ActTriageAccept, Service: "RQX-heart"}); err != nil {
		t.Fatal(err)
	}
	w.spine.look(func() { w.spine.refuse[booking.ActTriageAccept] = "It was taken already." })
	w.spine.change(u, func(c *booking.Case) { c.State, c.Accepted = "TRIAGED_PROVIDER_TO_ACTION", true })
	w.link("heal")
	simtest.Eventually(t, func() bool {
		return strings.Contains(doctor.Get("/clinics/reconciliation").Text(), "It was taken already.")
	})
	simtest.Eventually(t, func() bool { return strings.Contains(doctor.Get("/clinics/rebook").Text(), "1 referral") })
	if text := doctor.Get("/clinics/cases/" + u).Text(); strings.Contains(text, "Waits to be reviewed") {
		t.Error("they are to be read anew")
	}
}
