package hospital_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/web/format"
)

// TestAnAssessmentGoesBackToTheReferrer by page: the result is written, the spine is told, nobody here waits to be seen any more, and the letter says where the result went.
func TestAnAssessmentGoesBackToTheReferrer(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	u := w.spine.refer("9990000018", 1, true)
	w.registered(u)
	var at booking.Appointment
	w.spine.look(func() { at = *w.spine.cases[u].Appointment })
	day, page := at.Start.Format("2006-01-02"), "/clinics/cases/"+u
	w.until(at)
	doctor, clerk := w.nodes[1].SignedIn(t, "doctor"), w.nodes[1].SignedIn(t, "clerk")
	come := doctor.Get("/clinics/desk?day=" + day).Link("/o/RQX/clinics/cases/[0-9]+/come[^\"]+")
	clerk.Get(come).Sees(200, "Did not attend").SeesNot("returned to the referrer with the result")
	doctor.Get(come).Sees(200, "The appointment at Heart", "returned to the referrer with the result of the assessment")
	if what, wait := strings.Index(doctor.Body, "What happened"), strings.Index(doctor.Body, "The wait for treatment"); what < 0 || wait < what {
		t.Errorf("the page asks what happened at %d, and how the wait stands at %d", what, wait)
	}
	doctor.Send(come, "outcome", "assessed", "status", "34").Sees(422, "Write the result of the assessment")
	elsewhere := hospital.Coming{Session: at.Session, Slot: at.Slot, State: "attended", Outcome: "assessed", Status: "34"}
	if err := w.o.Come(t.Context(), w.doctor(), rqx, u, elsewhere); !fault.Is(err, fault.Invalid) {
		t.Errorf("assessed without a result: %v", err)
	}
	doctor.Get(come).Send(come, "outcome", "assessed", "status", "34", "note", "No disease of the heart. Try a statin.").Sees(200, "It is written down")
	simtest.Eventually(t, func() (told bool) {
		w.spine.look(func() {
			a := w.spine.acts[u]
			told = len(a) == 1 && a[0].Kind == booking.ActAssessed && a[0].Comment == "No disease of the heart. Try a statin." && a[0].Appointment != nil && a[0].Appointment.Slot == at.Slot
		})
		return told
	})
	simtest.Eventually(t, func() bool {
		said := doctor.Get(page).Text()
		return strings.Contains(said, "Confirmed") && strings.Contains(said, "Returned with the result of the assessment")
	})
	doctor.Sees(200, "stopped", "Decided not to treat").SeesNot("Accept the referral", "Reject the referral")
	doctor.Get(page+"/letter").Sees(200, "You were seen at", "We have sent the result to your practice").SeesNot("You have an appointment")
	doctor.Get("/clinics/review").SeesNot("CARROW")
	doctor.Get(page + "/decide/assessed").Sees(409)
	// Who was seen stays on the day's lists, with what became of them, and their time is not free.
	doctor.Get("/clinics/desk?day="+day).Sees(200, format.Weekday(at.Start)+" "+format.Date(at.Start), "CARROW", "Seen").SeesNot("Outcome", "They have arrived")
	doctor.Get("/o/RQX/clinics/sessions/"+at.Session).Sees(200, "CARROW", "Seen")
	if free := format.Time(at.Start) + " Free"; strings.Contains(doctor.Text(), free) {
		t.Errorf("their time is said to be free: %s", doctor.Text())
	}
}

// TestARefusedAssessmentIsUndone: what the spine does not take is on the list of what it refused, and the referral is to be read as before.
func TestARefusedAssessmentIsUndone(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	u := w.spine.refer("9990000018", 1, true)
	w.registered(u)
	var at booking.Appointment
	w.spine.look(func() {
		at = *w.spine.cases[u].Appointment
		w.spine.refuse[booking.ActAssessed] = "The patient is not booked there any more."
	})
	w.until(at)
	come := hospital.Coming{Session: at.Session, Slot: at.Slot, State: "attended", Outcome: "assessed", Status: "20", Note: "No disease of the heart."}
	if err := w.o.Come(t.Context(), w.doctor(), rqx, u, come); err != nil {
		t.Fatal(err)
	}
	if err := w.o.Come(t.Context(), w.doctor(), rqx, u, come); err != nil {
		t.Errorf("a double click: %v", err)
	}
	other := come
	other.Note = "She is to have an echocardiogram."
	if err := w.o.Come(t.Context(), w.doctor(), rqx, u, other); !fault.Is(err, fault.Conflict) {
		t.Errorf("another result is said to be written down, and is not: %v", err)
	}
	doctor := w.nodes[1].SignedIn(t, "doctor")
	simtest.Eventually(t, func() bool {
		said := doctor.Get("/clinics/cases/" + u).Text()
		return strings.Contains(said, "not booked there any more") && strings.Contains(said, "Waits to be reviewed")
	})
}
