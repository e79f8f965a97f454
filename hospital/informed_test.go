package hospital_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/web/format"
)

func TestAWaitIsNullifiedForWhoeverWasTold(t *testing.T) {
	t.Parallel()
	nullified(t, given(t, false))
}

func TestAWaitIsNullifiedForWhoeverWasToldOnPostgres(t *testing.T) {
	t.Parallel()
	nullified(t, given(t, true))
}

// nullified has people who do not come to their first appointment: the wait of whom it can be shown that they were told of it is taken away by code 33, and of nobody else. It begins anew with another time.
func nullified(t *testing.T, w *world) {
	ctx := t.Context()
	told, themself, untold, moved := w.spine.refer("9990000018", 1, true), w.spine.refer("9990000026", 2, true), w.spine.refer("9990000034", 3, true), w.spine.refer("9990000042", 4, true)
	cancer := w.spine.refer("9990000050", 5, true)
	for _, u := range []string{told, themself, untold, moved, cancer} {
		w.registered(u)
	}
	at := func(u string) (a booking.Appointment) {
		w.spine.look(func() { a = *w.spine.cases[u].Appointment })
		return a
	}
	clerk := w.nodes[1].SignedIn(t, "clerk")
	page := func(u string) string { return "/o/RQX/clinics/cases/" + u }
	clerk.Get(page(told)+"/letter").Sees(200, "Nothing shows yet that they were told of this appointment")
	clerk.Send(page(told)+"/informed", "how", "pigeon").Sees(400, "by letter, by telephone or in person")
	clerk.Get(page(told) + "/letter")
	form := clerk.Form()
	clerk.Send(page(told)+"/informed", "how", "letter").Sees(200, "It is written down how they were told", "told of this appointment by letter: Name of clerk").SeesNot("How were they told?")
	form.Set("how", "telephone")
	clerk.Post(page(told)+"/informed", form).Sees(200, "by letter: Name of clerk") // what counts is the first
	clerk.Get(page(told)).Sees(200, "Told of the appointment by letter", "When", format.Weekday(at(told).Start)+" "+format.DateTime(at(told).Start)).SeesNot("Since")

	w.spine.change(themself, func(c *booking.Case) { c.ByPatient = time.Now().Add(-time.Hour) })
	simtest.Eventually(t, func() bool {
		return strings.Contains(clerk.Get(page(themself)).Text(), "They took this time themselves")
	})

	// Whoever is told of a time, loses it and comes to have it again is to be told again.
	first := at(moved)
	if err := w.o.Inform(ctx, w.clerk(), rqx, moved, first.Session, first.Slot, "telephone"); err != nil {
		t.Fatal(err)
	}
	w.spine.change(moved, func(c *booking.Case) {
		c.Appointment, c.State, c.Comment = nil, "DEFERRED_TO_PROVIDER", "they have none"
	})
	simtest.Eventually(t, func() bool { return strings.Contains(clerk.Get(page(moved)).Text(), "they have none") })
	w.spine.change(moved, func(c *booking.Case) { c.Appointment, c.State, c.Comment = &first, "BOOKED", "they have it again" })
	simtest.Eventually(t, func() bool { return strings.Contains(clerk.Get(page(moved)).Text(), "they have it again") })
	clerk.Sees(200, "Nothing shows yet that they were told")

	last := at(moved)
	for _, u := range []string{told, themself, untold, cancer} {
		if a := at(u); a.Start.After(last.Start) {
			last = a
		}
	}
	w.until(last)
	doctor := w.nodes[1].SignedIn(t, "doctor")
	missed := func(u, status string) hospital.Coming {
		a := at(u)
		return hospital.Coming{Session: a.Session, Slot: a.Slot, State: "did-not-attend", Reason: "UNKNOWN", Status: status}
	}
	if err := w.o.Inform(ctx, w.clerk(), rqx, untold, at(untold).Session, at(untold).Slot, "letter"); !fault.Is(err, fault.Conflict) {
		t.Errorf("written down after it began: %v", err)
	}
	come := func(u string) string {
		a := at(u)
		return page(u) + "/come?session=" + a.Session + "&slot=" + a.Slot
	}
	doctor.Get(come(untold)).Sees(200, "Nothing shows yet that they were told", "Code 33 is only for somebody who did not come to their first appointment").
		Send(come(untold), "outcome", "missed", "missed", "UNKNOWN", "status", "33").Sees(422, "Nothing shows that they were told of this appointment")
	for u, why := range map[string]string{untold: "not told", moved: "told of it when they had it before"} {
		if err := w.o.Come(ctx, w.doctor(), rqx, u, missed(u, "33")); !fault.Is(err, fault.Conflict) {
			t.Errorf("%s: %v", why, err)
		}
	}
	if err := w.o.Come(ctx, w.doctor(), rqx, told, missed(told, "77")); !fault.Is(err, fault.Invalid) {
		t.Errorf("a code that is none: %v", err)
	}
	seen := missed(told, "33")
	seen.State, seen.Outcome, seen.Reason = "attended", "treatment", ""
	if err := w.o.Come(ctx, w.doctor(), rqx, told, seen); !fault.Is(err, fault.Conflict) {
		t.Errorf("of somebody who came: %v", err)
	}
	doctor.Get(come(told)).Sees(200, "told of this appointment by letter: Name of clerk").
		Send(come(told), "outcome", "missed", "missed", "UNKNOWN", "status", "33").Sees(200, "It is written down")
	doctor.Get(page(told)).Sees(200, "Did not attend the first appointment")
	doctor.Get(come(themself)).Sees(200, "They took this time themselves")
	if err := w.o.Come(ctx, w.doctor(), rqx, themself, missed(themself, "33")); err != nil {
		t.Errorf("of somebody who took the time themselves: %v", err)
	}
	w.spine.change(cancer, func(c *booking.Case) { c.Priority, c.ByPatient = "TWO_WEEK_WAIT", time.Now().Add(-time.Hour) })
	simtest.Eventually(t, func() bool {
		return strings.Contains(w.nodes[1].SignedIn(t, "clerk").Get(page(cancer)).Text(), "They took this time themselves")
	})
	if err := w.o.Come(ctx, w.doctor(), rqx, cancer, missed(cancer, "33")); !fault.Is(err, fault.Conflict) || !strings.Contains(err.Error(), "cancer") {
		t.Errorf("where a cancer is suspected: %v", err)
	}
	if err := w.o.Come(ctx, w.doctor(), rqx, untold, missed(untold, "")); err != nil {
		t.Errorf("without a code: %v", err)
	}
	// A late word about the appointment that was missed begins nothing; another time does, on the day on which it was taken, whatever the spine says of the referral later.
	says := func(u, comment string, how func(c *booking.Case), want ...string) {
		t.Helper()
		w.spine.change(u, func(c *booking.Case) { c.State, c.Comment = "BOOKED", comment; how(c) })
		simtest.Eventually(t, func() bool { return strings.Contains(clerk.Get(page(u)).Text(), comment) })
		clerk.Sees(200, want...)
	}
	clerk = w.nodes[1].SignedIn(t, "clerk") // weeks have gone by
	says(told, "as it was", func(*booking.Case) {}, "2 weeks, stopped")
	next := at(themself)
	w.spine.look(func() {
		free := booking.Slot{}
		for id, x := range w.spine.slots {
			if booking.Spine.Owns(x.Epoch) && x.Start.After(w.clock.Now().AddDate(0, 0, 3)) && !w.spine.booked(id) && (free.ID == "" || x.Start.Before(free.Start)) {
				free = x
			}
		}
		next = booking.Appointment{Slot: free.ID, Epoch: free.Epoch, Session: w.spine.in[free.ID], Start: free.Start, End: free.End}
	})
	another := func(c *booking.Case) { c.Appointment, c.ByPatient = &next, time.Time{} }
	anew := "0 weeks, since " + format.Date(w.clock.Now()) + ", when they took another time"
	says(themself, "another time", another, anew, "The wait for treatment begins anew")
	says(themself, "another time, still", func(*booking.Case) {}, anew)
	clerk.Get("/o/RQX/clinics/waiting").Sees(200, "999 000 0026")
	f, err := w.o.Figures(ctx, rqx, 12)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range f.Services["RQX-heart"] {
		if m.Stopped != 0 {
			t.Errorf("a wait that was taken away is counted as one that ended: %+v", m)
		}
	}
}
