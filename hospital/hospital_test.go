package hospital_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/sim/simtest"
)

// TestAReferralFromItsBookingToItsOutcome takes one person from the spine's booking through review, check-in and outcome, by page.
func TestAReferralFromItsBookingToItsOutcome(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	u := w.spine.refer("9990000018", 1, true)
	doctor, clerk := w.nodes[1].SignedIn(t, "doctor"), w.nodes[1].SignedIn(t, "clerk")
	simtest.Eventually(t, func() bool { return strings.Contains(doctor.Get("/clinics/review").Text(), "CARROW, Edith (Mrs)") })
	page := doctor.Link("/o/RQX/clinics/cases/" + u)
	doctor.Get(page).Sees(200, "CARROW", "Chest pain on stairs", "Waits to be reviewed", "2 weeks")
	clerk.Get(page).Sees(200, "CARROW", "The letter is for clinicians").SeesNot("Chest pain")
	doctor.Get(page+"/decide/accept").Sees(200, "CARROW").Send(page+"/decide/accept", "comment", "").Sees(200, "Accepted", "It is decided")
	simtest.Eventually(t, func() bool { return strings.Contains(doctor.Get(page).Text(), "Confirmed") })
	for _, how := range []string{"/letter.pdf", "/letter.pdf?print=large"} {
		if clerk.Get(page + how); clerk.Status != 200 || !strings.HasPrefix(clerk.Body, "%PDF-") {
			t.Errorf("the letter %s: %d %.200s", how, clerk.Status, clerk.Body)
		}
	}
	doctor.Get(page+"/letter").Sees(200, "You have an appointment at", "in large print")
	doctor.Get(page)
	record := doctor.Link("/o/RQX/patients/[^/\"]+")
	doctor.Get(record).Sees(200, "CARROW")

	var at booking.Appointment
	w.spine.look(func() { at = *w.spine.cases[u].Appointment })
	day := at.Start.Format("2006-01-02")
	clerk.Get("/clinics/desk?day="+day).Sees(200, "CARROW, Edith (Mrs)", "Booked").SeesNot("Arrived")
	w.until(at)
	doctor, clerk = w.nodes[1].SignedIn(t, "doctor"), w.nodes[1].SignedIn(t, "clerk")
	clerk.Get("/clinics/desk?day="+day).Sees(200, "CARROW, Edith (Mrs)", "Booked", "Arrived")
	form := clerk.Form()
	form.Set("come", inputOf(clerk.Body, "come"))
	clerk.Post("/o/RQX/clinics/desk", form).Sees(200, "They have arrived", "Not arrived after all")
	come := doctor.Get("/clinics/desk?day=" + day).Link("/o/RQX/clinics/cases/[0-9]+/come[^\"]+")
	doctor.Get(come).Sees(200, "What came of the appointment")
	doctor.Send(come, "outcome", "").Sees(422, "Choose what happened")
	doctor.Get(come).Send(come, "outcome", "discharged", "status", "34").Sees(200, "It is written down")
	doctor.Get(page).Sees(200, "stopped", "Decided not to treat", "Discharged")
	simtest.Eventually(t, func() (done bool) {
		w.spine.look(func() {
			a := w.spine.acts[u]
			done = len(a) == 3 && a[0].Kind == booking.ActAccept && a[1].Kind == booking.ActAttended && a[2].Kind == booking.ActDischarged
		})
		return done
	})
	simtest.Eventually(t, func() bool { return strings.Count(doctor.Get(page).Text(), "Confirmed") == 3 })
	w.spine.change(u, func(c *booking.Case) { c.Comment = "told once more" })
	simtest.Eventually(t, func() bool { return strings.Contains(doctor.Get(page).Text(), "told once more") })
	simtest.Eventually(t, func() bool { return strings.Contains(doctor.Get(page).Text(), "Nothing is to be decided") })
	doctor.SeesNot("Find a time in our own slots")
	for _, gone := range []string{"/book", "/letter", "/letter.pdf", "/decide/cancel", "/decide/reject"} {
		doctor.Get(page+gone).Sees(409, "cannot be decided of this referral")
	}
	doctor.Get(page + "/decide/nothing").Sees(404)
	if err := w.o.Decide(t.Context(), w.doctor(), rqx, u, hospital.Decision{Kind: booking.ActReject, Reason: "SERVICE_INAPPROPRIATE", Comment: "Another clinic."}); !fault.Is(err, fault.Conflict) {
		t.Errorf("a discharged referral is rejected: %v", err)
	}
	if err := w.o.FollowUp(t.Context(), w.clerk(), rqx, u, at.Session, at.Slot); !fault.Is(err, fault.Conflict) {
		t.Errorf("a follow-up of somebody discharged: %v", err)
	}
}

// inputOf is the value of a button.
func inputOf(body, name string) string {
	_, after, _ := strings.Cut(body, `name="`+name+`" value="`)
	value, _, _ := strings.Cut(after, `"`)
	return value
}
