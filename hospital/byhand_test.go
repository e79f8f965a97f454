package hospital_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/web/webtest"
)

func TestWhoWasPutInByHandIsSeen(t *testing.T) {
	t.Parallel()
	seenByHand(t, given(t, false))
}

func TestWhoWasPutInByHandIsSeenOnPostgres(t *testing.T) {
	t.Parallel()
	seenByHand(t, given(t, true))
}

// seenByHand takes somebody by page from a slot of the spine's, into which they were put while the line was cut, through the check-in desk to their outcome; the spine has booked another there meanwhile. Afterwards each side has both.
// (sim/bookings/testdata/story/byhand.txtar has the other ends, with the spine as it runs.)
func seenByHand(t *testing.T, w *world) {
	u := w.spine.refer("9990000018", 1, false)
	w.registered(u)
	w.link("cut")
	clerk := w.nodes[1].SignedIn(t, "clerk")
	page := "/o/RQX/clinics/cases/" + u
	simtest.Eventually(t, func() bool { return clerk.Get(page+"/override").Status == 200 })
	_, after, _ := strings.Cut(clerk.Body, `name="slot" type="radio" value="`)
	value, _, _ := strings.Cut(after, `"`)
	session, slot, _ := strings.Cut(value, " ")
	clerk.Send(page+"/override", "slot", value, "reason", "She cannot wait").Sees(200, "as a possible clash")
	other := w.spine.refer("9990000042", 2, true)
	var at booking.Appointment
	w.spine.look(func() { at = *w.spine.cases[other].Appointment })
	if at.Slot != slot {
		t.Fatalf("the spine booked %s, and %s was to clash", at.Slot, slot)
	}

	desk := "/clinics/desk?day=" + at.Start.Format("2006-01-02")
	clerk.Get(desk).Sees(200, "CARROW, Edith (Mrs)", "Possible clash", "Put in by Name of clerk while there was no line").SeesNot("Not arrived after all")
	w.until(at)
	doctor, clerk := w.nodes[1].SignedIn(t, "doctor"), w.nodes[1].SignedIn(t, "clerk")
	come := clerk.Get(desk).Link("/o/RQX/clinics/cases/[0-9]+/come[^\"]+")
	form := clerk.Form()
	form.Set("come", inputOf(clerk.Body, "come"))
	clerk.Post("/o/RQX/clinics/desk", form).Sees(200, "They have arrived", "Not arrived after all")
	clerk.Get("/clinics/sessions/"+session).Sees(200, "Arrived", "Put in by Name of clerk")
	if err := w.o.TellSeen(t.Context(), w.clerk(), rqx, u, slot); !fault.Is(err, fault.Conflict) {
		t.Errorf("told before anything came of it: %v", err)
	}
	doctor.Get(come).Sees(200, "the spine is told when somebody has settled it").Send(come, "outcome", "discharged", "status", "34").Sees(200, "It is written down")
	doctor.Get(page).Sees(200, "stopped", "Decided not to treat").SeesNot("Find a time in our own slots")
	clerk.Get("/clinics/reconciliation").Sees(200, "They were seen here.", "The spine has not answered").SeesNot("Tell the spine where they were put")
	if err := w.o.TakeOff(t.Context(), w.clerk(), rqx, u, slot); !fault.Is(err, fault.Conflict) {
		t.Errorf("taken off though they were seen: %v", err)
	}
	if err := w.o.TellSeen(t.Context(), w.clerk(), rqx, u, slot); !fault.Is(err, fault.Conflict) {
		t.Errorf("told before the spine has answered: %v", err)
	}

	w.link("heal")
	w.spine.change(u, func(c *booking.Case) { c.Comment = "told once more" }) // it waits for a time, as far as the spine knows
	simtest.Eventually(t, func() bool {
		return strings.Contains(clerk.Get("/clinics/reconciliation").Text(), "Clash: somebody else is booked") && strings.Contains(doctor.Get(page).Text(), "told once more")
	})
	clerk.Get("/clinics/rebook").Sees(200, "Nobody waits for a time")
	clerk.Get("/clinics/reconciliation")
	do := "seen " + u + " " + slot
	if !strings.Contains(clerk.Body, `value="`+do+`"`) {
		t.Fatal("there is no button to tell the spine")
	}
	before, _, _ := strings.Cut(clerk.Body, `value="`+do+`"`)
	clerk.Body = before[strings.LastIndex(before, "<form"):] + "></form>" // each button is a form of its own
	settle := clerk.Form()
	settle.Set("do", do)
	clerk.Post("/o/RQX/clinics/reconciliation", settle).Sees(200, "It is settled").SeesNot("They were seen here.")
	simtest.Eventually(t, func() (done bool) {
		w.spine.look(func() {
			acts, both := w.spine.acts[u], w.spine.cases[other].Appointment
			done = len(acts) == 3 && acts[0].Kind == booking.ActOffer && acts[0].Appointment.Session == session && acts[0].Appointment.Slot != slot && acts[0].Appointment.Start.Equal(at.Start) &&
				acts[1].Kind == booking.ActAttended && acts[1].Outcome == "discharged" && acts[1].By == "Name of doctor" && acts[2].Kind == booking.ActDischarged && both != nil && both.Slot == slot
		})
		return done
	})
	simtest.Eventually(t, func() bool { return strings.Count(doctor.Get(page).Text(), "Confirmed") == 3 })
	clerk.Get("/clinics/sessions/"+session).Sees(200, "Seen").SeesNot("Possible clash", "Put in by")
	if err := w.o.TellSeen(t.Context(), w.clerk(), rqx, u, slot); !fault.Is(err, fault.Conflict) {
		t.Errorf("settled twice: %v", err)
	}
}

// TestEveryPageWithoutALine looks at what is shown while the line is cut.
func TestEveryPageWithoutALine(t *testing.T) {
	t.Parallel()
	b := webtest.NewBrowser(t)
	w := given(t, false)
	put, next := w.spine.refer("9990000018", 1, false), w.spine.refer("9990000026", 2, false)
	w.registered(put)
	w.registered(next)
	offered := w.spine.refer("9990000034", 3, false)
	w.registered(offered)
	w.spine.change(offered, func(c *booking.Case) { // a time of the second day
		var first, second booking.Slot
		for _, x := range w.spine.slots {
			if first.ID == "" || x.Start.Before(first.Start) {
				first = x
			}
		}
		for _, x := range w.spine.slots {
			if x.Start.After(first.Start.Add(12*time.Hour)) && (second.ID == "" || x.Start.Before(second.Start)) {
				second = x
			}
		}
		c.Passed, c.Offer = 1, &booking.Offer{Slot: second.ID, Session: w.spine.in[second.ID], Epoch: second.Epoch, Start: second.Start, End: second.End, Until: second.Start.Add(-time.Hour)}
	})
	w.compares()
	clerk := w.nodes[1].SignedIn(t, "clerk")
	simtest.Eventually(t, func() bool { return strings.Contains(clerk.Get("/clinics/rebook").Text(), "The spine offers them") })
	w.link("cut")
	c := "/o/RQX/clinics/"
	doctor := w.nodes[1].SignedIn(t, "doctor")
	simtest.Eventually(t, func() bool { return doctor.Get(c+"cases/"+put+"/override").Status == 200 })
	_, after, _ := strings.Cut(doctor.Body, `name="slot" type="radio" value="`)
	value, _, _ := strings.Cut(after, `"`)
	doctor.Send(c+"cases/"+put+"/override", "slot", value, "reason", "She cannot wait").Sees(200, "as a possible clash")
	session, slot, _ := strings.Cut(value, " ")
	var day string
	w.spine.look(func() {
		at := w.spine.slots[slot]
		w.until(booking.Appointment{Start: at.Start})
		day = at.Start.Format(time.DateOnly)
	})
	if err := w.o.Come(t.Context(), w.clerk(), rqx, put, hospital.Coming{Session: session, Slot: slot, State: "arrived"}); err != nil {
		t.Fatal(err)
	}
	cookie := w.nodes[1].SignedIn(t, "doctor").Cookie() // the days are over in which the first one held
	var visits []webtest.Visit
	for _, path := range []string{"cases/" + next + "/override", "cases/" + offered, "cases/" + put, "cases/" + put + "/come?session=" + session + "&slot=" + slot, "desk?day=" + day, "sessions/" + session, "reconciliation", "rebook"} {
		visits = append(visits, webtest.Visit{User: "cut", Path: c + path, Cookie: cookie, Walk: strings.HasSuffix(path, "override")})
	}
	b.EveryPage(t, w.nodes[1].URL, visits)
}
