package bookings_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/bookings"
	"github.com/openspine/openspine/sim/simtest"
)

// TestOffersOverTwoNodes, on SQLite and on PostgreSQL.
func TestOffersOverTwoNodes(t *testing.T) {
	t.Parallel()
	for name, postgres := range map[string]bool{"sqlite": false, "postgres": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			offersOverTwoNodes(given(t, postgres))
		})
	}
}

// offersOverTwoNodes: a session of which a time is on offer is withdrawn; a clinic puts somebody by hand, without a line, into a time that another is offered, and into one that another has taken meanwhile.
func offersOverTwoNodes(c *country) {
	t, ctx := c.t, c.t.Context()
	gate := c.hospital.Kernel().Gate
	if err := gate.PutUsers(ctx, []access.User{{Demo: true, Principal: access.Principal{ID: "offers-clerk", Name: "Mrs Gwladys Fenn", Role: access.Clerk, Organisation: rqx}}}); err != nil {
		t.Fatal(err)
	}
	clerk := (&simtest.World{URL: c.hospital.URL(), Node: c.hospital}).SignedIn(t, "offers-clerk")
	made := c.referAll(3)
	waits, byHand, clash := made[0], made[1], made[2]
	for _, u := range made {
		if _, err := c.act(u, referral.Work{Kind: referral.ActDefer, Service: bookings.ServiceOf(rqx)}); err != nil {
			t.Fatal(err)
		}
		c.known(u)
	}
	offered := func(session string, days int, to ident.UBRN) referral.Offer {
		t.Helper()
		at := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, days).Add(9 * time.Hour)
		if err := c.clinic.MakeSession(ctx, rqx, hospital.Session{ID: session, Clinic: "heart", Starts: at, Ends: at.Add(30 * time.Minute), Minutes: 30, State: "open"}, 1, 0, true); err != nil {
			t.Fatal(err)
		}
		simtest.Eventually(t, func() bool { c.offers(); o := c.get(to).Offer; return o != nil && o.Session == session })
		c.known(to)
		return *c.get(to).Offer
	}
	ended := func(u ident.UBRN) {
		t.Helper()
		simtest.Eventually(t, func() bool {
			c.offers()
			list, err := c.refer.History(ctx, c.gp(), u)
			return err == nil && list[len(list)-1].Act == referral.ActUnoffer
		})
		if r := c.get(u); r.Offer != nil || r.State != referral.Deferred || len(r.Passed) > 0 {
			t.Errorf("after the offer: %+v, %s, %d let pass", r.Offer, r.State, len(r.Passed))
		}
		c.known(u)
	}

	offered("withdrawn", 20, waits)
	clerk.Get("/clinics/rebook").Sees(200, "The spine offers them")
	if _, err := c.clinic.Withdraw(ctx, c.staff(access.Clerk), rqx, "withdrawn", "The consultant is ill"); err != nil {
		t.Fatal(err)
	}
	ended(waits)
	clerk.Get("/clinics/rebook").Sees(200).SeesNot("The spine offers them")
	c.even()

	put := func(u ident.UBRN, o referral.Offer) {
		t.Helper()
		c.link("cut")
		simtest.Eventually(t, func() bool {
			return c.clinic.Override(ctx, c.staff(access.Clerk), rqx, u.String(), o.Session, o.Slot, "She cannot wait") == nil
		})
	}
	book := func(u ident.UBRN, o referral.Offer) error {
		return c.clinic.Decide(ctx, c.staff(access.Clerk), rqx, u.String(), hospital.Decision{Kind: booking.ActMove, Session: o.Session, Slot: o.Slot})
	}
	o := offered("by-hand", 21, waits)
	put(byHand, o)
	if now := c.get(waits).Offer; now == nil || now.Slot != o.Slot {
		t.Fatalf("what the hospital does without a line is known at the spine: %+v", now)
	}
	c.link("heal")
	ended(waits)
	simtest.Eventually(t, func() bool { return book(byHand, o) == nil })
	simtest.Eventually(t, func() bool { r := c.get(byHand); return r.State == referral.Booked && r.Appointment.Slot == o.Slot })
	c.known(byHand)

	// Taken while there is no line: theirs it is, and the clash is a person's to settle.
	o = offered("taken", 22, waits)
	put(clash, o)
	if _, err := c.act(waits, referral.Work{Kind: referral.ActBook, Slot: o.SlotRef, Service: bookings.ServiceOf(rqx)}); err != nil {
		t.Fatal(err)
	}
	c.link("heal")
	c.known(waits)
	simtest.Eventually(t, func() bool {
		return strings.Contains(clerk.Get("/clinics/reconciliation").Text(), "Clash: somebody else is booked")
	})
	if err := book(clash, o); err == nil {
		t.Error("booked into the slot of somebody else")
	}
	if r := c.get(waits); r.State != referral.Booked || r.Appointment.Slot != o.Slot {
		t.Errorf("whoever took the time that they were offered has lost it: %s, %+v", r.State, r.Appointment)
	}
	if err := c.clinic.TakeOff(ctx, c.staff(access.Clerk), rqx, clash.String(), o.Slot); err != nil {
		t.Error(err)
	}
	c.even()
}

// offers lets the spine offer what is free to those who wait, as it does every few seconds.
func (c *country) offers() {
	c.t.Helper()
	jobs := c.refer.Service().Jobs
	i := slices.IndexFunc(jobs, func(j catalogue.Job) bool { return j.Name == "offers" })
	if err := jobs[i].Run(c.t.Context()); err != nil {
		c.t.Fatal(err)
	}
}
