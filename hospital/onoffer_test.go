package hospital_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/sim/simtest"
)

// TestTheListsTellOfAnOffer, on SQLite and on PostgreSQL.
func TestTheListsTellOfAnOffer(t *testing.T) {
	t.Parallel()
	t.Run("sqlite", func(t *testing.T) { t.Parallel(); listsTellOfAnOffer(t, given(t, false)) })
	t.Run("postgres", func(t *testing.T) { t.Parallel(); listsTellOfAnOffer(t, given(t, true)) })
}

// listsTellOfAnOffer: whoever is offered a time stays on the list of those for whom the hospital finds one, with what they are offered and until when; the figures count them once, however often they are offered one; and the
// hospital may give them another time meanwhile.
func listsTellOfAnOffer(t *testing.T, w *world) {
	u, other := w.spine.refer("9990000018", 1, false), w.spine.refer("9990000026", 2, false)
	for _, x := range []string{u, other} {
		w.registered(x)
	}
	clerk := w.nodes[1].SignedIn(t, "clerk")
	page := "/o/RQX/clinics/cases/" + u
	clerk.Get("/clinics/rebook").Sees(200, "2 referrals").SeesNot("The spine offers them")
	var slot booking.Slot
	session := ""
	w.spine.look(func() {
		for id, x := range w.spine.slots {
			if slot.ID == "" || x.Start.Before(slot.Start) {
				slot, session = x, w.spine.in[id]
			}
		}
	})
	offers := func(until time.Duration, passed int) {
		t.Helper()
		w.spine.change(u, func(c *booking.Case) {
			c.Passed, c.Offer = passed, &booking.Offer{Slot: slot.ID, Session: session, Epoch: slot.Epoch, Start: slot.Start, End: slot.End, Until: w.clock.Now().Add(until)}
		})
	}
	over := func(passed int) {
		t.Helper()
		w.spine.change(u, func(c *booking.Case) { c.Passed, c.Offer = passed, nil })
	}
	shows := func(words string) {
		t.Helper()
		simtest.Eventually(t, func() bool { return strings.Contains(clerk.Get("/clinics/rebook").Text(), words) })
	}
	offers(time.Hour, 0)
	shows("The spine offers them")
	if n := strings.Count(clerk.Text(), "The spine offers them"); n != 1 || !strings.Contains(clerk.Text(), "2 referrals") {
		t.Errorf("%d of the list are offered a time:\n%s", n, clerk.Text())
	}
	clerk.Get(page).Sees(200, "The spine offers them", "The spine offers them a time", "Find a time in our own slots")
	over(1)
	shows("Did not take the time that they were offered")
	clerk.SeesNot("The spine offers them")
	clerk.Get(page).Sees(200, "The time offered was not taken, or is gone")
	offers(time.Hour, 1)
	shows("The spine offers them")
	f, err := w.o.Figures(t.Context(), rqx, 1)
	if err != nil {
		t.Fatal(err)
	}
	issues := 0
	for _, m := range f.Services["RQX-heart"] {
		issues += m.Issues
	}
	if now := f.Waiting["RQX-heart"]; issues != 2 || now.Issues != 2 || now.All() != 2 {
		t.Errorf("two people wait, one of whom was offered a time twice: %d were told that there was none, and of %+v", issues, now)
	}
	// An offer whose time is up is not shown, though the spine has yet to say so.
	offers(time.Second, 1)
	simtest.Eventually(t, func() bool {
		text := clerk.Get("/clinics/rebook").Text()
		return !strings.Contains(text, "The spine offers them") && strings.Contains(text, "Did not take the time")
	})
	offers(time.Hour, 2)
	shows("The spine offers them")

	// No line: a slot that somebody is offered comes last among those into which another can be put, and says so; not to themselves.
	w.compares()
	w.link("cut")
	simtest.Eventually(t, func() bool {
		return clerk.Get("/o/RQX/clinics/cases/"+other+"/override").Status == 200
	})
	clerk.Sees(200, "offered to somebody who waits, until")
	options := strings.Split(clerk.Body, `name="slot" type="radio" value="`)[1:]
	if last := options[len(options)-1]; !strings.HasPrefix(last, session+" "+slot.ID+`"`) || strings.Count(clerk.Body, "offered to somebody who waits") != 1 {
		t.Errorf("what is on offer does not come last, and once: %.80s", last)
	}
	clerk.Get(page+"/override").Sees(200, "Put into a time").SeesNot("offered to somebody who waits")
	w.link("heal")

	// The hospital gives them a time of its own while they are offered one: then the spine's offer is over.
	at, ownSlot := w.ownSlot(t, clerk, page)
	if err := w.o.Decide(t.Context(), w.clerk(), rqx, u, hospital.Decision{Kind: booking.ActMove, Session: at, Slot: ownSlot}); err != nil {
		t.Fatal(err)
	}
	simtest.Eventually(t, func() (booked bool) {
		w.spine.look(func() {
			a := w.spine.cases[u].Appointment
			booked = a != nil && a.Slot == ownSlot
		})
		return booked
	})
	w.spine.change(u, func(c *booking.Case) { c.Passed, c.Offer = 0, nil })
	simtest.Eventually(t, func() bool {
		return strings.Contains(clerk.Get("/clinics/rebook").Text(), "1 referral") && !strings.Contains(clerk.Text(), "The spine offers them")
	})
}

// ownSlot is one of the hospital's own slots that it offers for somebody.
func (w *world) ownSlot(t *testing.T, clerk *simtest.Reader, page string) (session, slot string) {
	t.Helper()
	clerk.Get(page + "/book").Sees(200)
	list := strings.Split(clerk.Body, `name="slot" type="radio" value="`)[1:]
	if len(list) == 0 {
		t.Fatal("there is no time of the hospital's own")
	}
	value, _, _ := strings.Cut(list[0], `"`)
	session, slot, _ = strings.Cut(value, " ")
	return session, slot
}
