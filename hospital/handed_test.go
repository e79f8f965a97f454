package hospital_test

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
)

// compares waits until a comparison is answered.
func (w *world) compares() {
	w.t.Helper()
	ctx, k := w.t.Context(), w.nodes[1].Node.Kernel()
	if err := w.o.Tally(ctx, rqx); err != nil {
		w.t.Fatal(err)
	}
	simtest.Eventually(w.t, func() (answered bool) {
		err := k.DB.Read(ctx, func(tx *store.Tx) error {
			var n int64
			err := tx.QueryRow(`SELECT count(*) FROM hospital_standing WHERE answered >= asked`).Scan(&n)
			answered = n == 1
			return err
		})
		return err == nil && answered
	})
}

// TestSlotsThatTheSpineRefuses are shown with its reason, and are the hospital's again when a person settles whose they are.
func TestSlotsThatTheSpineRefuses(t *testing.T) {
	t.Parallel()
	slotsThatTheSpineRefuses(t, given(t, false))
}

// TestSlotsThatTheSpineRefusesOnPostgres is the same on the other engine.
func TestSlotsThatTheSpineRefusesOnPostgres(t *testing.T) {
	t.Parallel()
	slotsThatTheSpineRefuses(t, given(t, true))
}

func slotsThatTheSpineRefuses(t *testing.T, w *world) {
	ctx, clerk := t.Context(), w.nodes[1].SignedIn(t, "clerk")
	w.compares()
	clerk.Get("/clinics/reconciliation").SeesNot("Times that the spine did not take")
	w.spine.look(func() { w.spine.refuse[booking.WorkflowSlots] = "The directory has no such service." })
	starts := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 3).Add(18 * time.Hour)
	err := w.o.MakeSession(ctx, rqx, hospital.Session{ID: "evening", Clinic: "heart", Starts: starts, Ends: starts.Add(time.Hour), Minutes: 30, State: "open"}, 2, 0, true)
	if err != nil {
		t.Fatal(err)
	}
	simtest.Eventually(t, func() bool {
		return strings.Contains(clerk.Get("/clinics/reconciliation").Text(), "The directory has no such service.")
	})
	clerk.Get("/clinics/reconciliation").Sees(200, "Times that the spine did not take", "Heart clinic", "Settle whose each slot is")
	if n, err := w.o.Give(ctx, w.clerk(), rqx, "evening"); err != nil || n != 0 {
		t.Fatalf("%d slots were given that are not the hospital's (%v)", n, err)
	}
	w.compares()
	w.compares() // what was refused is not sent again of itself
	w.spine.look(func() { delete(w.spine.refuse, booking.WorkflowSlots) })
	if err := w.o.Repair(ctx, w.clerk(), rqx); err != nil {
		t.Fatal(err)
	}
	simtest.Eventually(t, func() bool {
		return !strings.Contains(clerk.Get("/clinics/reconciliation").Text(), "The directory has no such service.")
	})
	simtest.Eventually(t, func() bool {
		n, err := w.o.Give(ctx, w.clerk(), rqx, "evening")
		return err == nil && n == 2
	})
	simtest.Eventually(t, func() (there bool) {
		w.spine.look(func() { _, there = w.spine.slots["evening-1800"] })
		return there
	})
}

// TestWhatBothSidesHaveLostIsToldAgain: a handing over of which the other side was never told is said again, or taken, once a second comparison finds it.
func TestWhatBothSidesHaveLostIsToldAgain(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	var given, back, ahead string
	var gave, settled booking.Epoch
	w.spine.look(func() {
		var ids []string
		for id, x := range w.spine.slots {
			if booking.Spine.Owns(x.Epoch) && x.Start.After(time.Now().Add(72*time.Hour)) {
				ids = append(ids, id)
			}
		}
		slices.Sort(ids)
		given, back = ids[0], ids[len(ids)-1]
		delete(w.spine.slots, given)
		x := w.spine.slots[back]
		x.Epoch++
		gave, w.spine.slots[back] = x.Epoch, x
		ahead = ids[1]
		x = w.spine.slots[ahead]
		x.Epoch, x.Base = x.Epoch+2000, x.Epoch
		settled, w.spine.slots[ahead] = x.Epoch, x
	})
	w.compares()
	w.spine.look(func() {
		if _, there := w.spine.slots[given]; there {
			t.Error("what may still be on its way was sent again")
		}
	})
	w.compares()
	simtest.Eventually(t, func() (even bool) {
		w.spine.look(func() { even = w.spine.slots[given].Epoch == 1 })
		return even
	})
	err := w.nodes[1].Node.Kernel().DB.Read(t.Context(), func(tx *store.Tx) error {
		var e, base int64
		err := tx.QueryRow(`SELECT epoch, base FROM hospital_slot WHERE id = ?`, back).Scan(&e, &base)
		if booking.Epoch(e) != gave || base == 1 {
			t.Errorf("what the spine has given back is at %d since %d, and the spine says %d", e, base, gave)
		}
		if err != nil {
			return err
		}
		err = tx.QueryRow(`SELECT epoch, base FROM hospital_slot WHERE id = ?`, ahead).Scan(&e, &base)
		if booking.Epoch(e) != settled || base != 1 {
			t.Errorf("what both know to be the spine's is at %d since %d, and the spine says %d since 1", e, base, settled)
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

// TestComparisonsDoNotPileUp: while the line is cut the clock asks one question, however many hours that is; healed, it is answered, and the next one is asked.
func TestComparisonsDoNotPileUp(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	w.compares()
	var hourly func(context.Context) error
	for _, j := range w.o.Service().Jobs {
		if j.Name == "tally" {
			hourly = j.Run
		}
	}
	k := w.nodes[1].Node.Kernel()
	asked := func() (n int64) {
		t.Helper()
		err := k.DB.Read(t.Context(), func(tx *store.Tx) error {
			return tx.QueryRow(`SELECT count(*) FROM post_message WHERE workflow = ? AND sender = 'RQX'`, booking.WorkflowTally).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	simtest.Eventually(t, func() bool { // until what was asked at the start is handled as well
		before := asked()
		if err := hourly(t.Context()); err != nil {
			t.Fatal(err)
		}
		return asked() > before
	})
	w.compares()
	w.link("cut")
	before := asked()
	for range 24 {
		if err := hourly(t.Context()); err != nil {
			t.Fatal(err)
		}
	}
	if n := asked() - before; n < 1 || n > 2 { // of two pages at most
		t.Errorf("a day without a line leaves %d comparisons", n)
	}
	w.link("heal")
	after := asked()
	simtest.Eventually(t, func() bool {
		if err := hourly(t.Context()); err != nil {
			t.Fatal(err)
		}
		return asked() > after
	})
}

// TestABookingInASessionThatIsNotKnown stands in the diary all the same: the hospital was restored to a day before it made the session. Where it is a slot of the hospital's own, nobody else is put
// into it.
func TestABookingInASessionThatIsNotKnown(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	clerk := w.nodes[1].SignedIn(t, "clerk")
	starts := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 4).Add(18 * time.Hour)
	booked := func(n int, number string, i int, epoch booking.Epoch) string {
		t.Helper()
		u := w.spine.refer(number, n, false)
		at := starts.Add(time.Duration(i) * 30 * time.Minute)
		err := w.spine.k.DB.Write(t.Context(), []store.Lane{w.spine.k.Post().LaneOf(x26, u)}, func(tx *store.Tx) error {
			w.spine.mu.Lock()
			defer w.spine.mu.Unlock()
			c := w.spine.cases[u]
			c.State, c.Appointment = "BOOKED", &booking.Appointment{Slot: fmt.Sprint("lost-", i), Epoch: epoch, Session: "lost", Start: at, End: at.Add(30 * time.Minute)}
			return w.spine.told(tx, c)
		})
		if err != nil {
			t.Fatal(err)
		}
		w.registered(u)
		return u
	}
	booked(1, "9990000018", 1, 3)
	simtest.Eventually(t, func() bool { return clerk.Get("/clinics/sessions/lost").Status == 200 })
	own := booked(2, "9990000026", 0, 4)
	simtest.Eventually(t, func() bool { return strings.Count(clerk.Get("/clinics/sessions/lost").Text(), "Booked") == 2 })
	clerk.Get("/clinics/sessions/lost").Sees(200, "Made again after a restore", "CARROW, Edith (Mrs)")
	other := w.spine.refer("9990000034", 3, false)
	w.registered(other)
	d := hospital.Decision{Kind: booking.ActMove, Session: "lost", Slot: "lost-0"}
	if err := w.o.Decide(t.Context(), w.clerk(), rqx, other, d); !fault.Is(err, fault.Conflict) {
		t.Errorf("somebody was put beside %s: %v", own, err)
	}
	// The plan completes it: what is there stays, and what was planned besides is made.
	if err := w.o.MakeSession(t.Context(), rqx, hospital.Session{ID: "lost", Clinic: "heart", Starts: starts, Ends: starts.Add(2 * time.Hour), Minutes: 30, State: "open"}, 4, 0, false); err != nil {
		t.Fatal(err)
	}
	clerk.Get("/clinics/sessions/lost").Sees(200, "Booked", "19:30").SeesNot("Made again after a restore")
}

// TestWhatIsStillToComeIsHeld: somebody is moved from one of the hospital's own slots to another and back while the line is cut. What the spine then tells of the first of these moves, and of the
// second, does not let go of what the third waits for.
func TestWhatIsStillToComeIsHeld(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	ctx, k := t.Context(), w.nodes[1].Node.Kernel()
	starts := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 4).Add(18 * time.Hour)
	if err := w.o.MakeSession(ctx, rqx, hospital.Session{ID: "own", Clinic: "heart", Starts: starts, Ends: starts.Add(time.Hour), Minutes: 30, State: "open"}, 2, 0, false); err != nil {
		t.Fatal(err)
	}
	u, other := w.spine.refer("9990000018", 1, false), w.spine.refer("9990000026", 2, false)
	w.registered(u)
	w.registered(other)
	w.link("cut")
	for _, slot := range []string{"own-1800", "own-1830", "own-1800"} {
		if err := w.o.Decide(ctx, w.clerk(), rqx, u, hospital.Decision{Kind: booking.ActMove, Session: "own", Slot: slot}); err != nil {
			t.Fatal(err)
		}
	}
	var c booking.Case
	w.spine.look(func() { c = w.spine.cases[u] })
	for i, slot := range []string{"own-1800", "own-1830"} {
		err := k.DB.Read(ctx, func(tx *store.Tx) error {
			return tx.QueryRow(`SELECT message FROM hospital_act WHERE ubrn = ? AND number = ?`, u, int64(i+1)).Scan(&c.Took)
		})
		if err != nil {
			t.Fatal(err)
		}
		c.State, c.Version, c.Sent = "BOOKED", c.Version+1, c.Sent+1
		c.Appointment = &booking.Appointment{Slot: slot, Session: "own", Start: starts, End: starts.Add(30 * time.Minute)}
		came(w, booking.WorkflowCase, u, c)
	}
	into := func(slot string) error {
		return w.o.Decide(ctx, w.clerk(), rqx, other, hospital.Decision{Kind: booking.ActMove, Session: "own", Slot: slot})
	}
	if err := into("own-1800"); !fault.Is(err, fault.Conflict) {
		t.Errorf("somebody else was put into the slot that is asked for: %v", err)
	}
	c.State, c.Version, c.Sent, c.Appointment = "DEFERRED_TO_PROVIDER", c.Version+1, c.Sent+1, nil
	err := k.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT message FROM hospital_act WHERE ubrn = ? AND number = 3`, u).Scan(&c.Took)
	})
	if err != nil {
		t.Fatal(err)
	}
	came(w, booking.WorkflowCase, u, c)
	if err := into("own-1800"); err != nil {
		t.Errorf("the slot stays held although the spine has told of the last move, and that it was undone: %v", err)
	}
}

// TestWhoIsFoundInAWithdrawnSessionIsRebooked: a hospital has withdrawn a session, and is then told that somebody is in a slot of its own of it, which a restore had lost. The spine is told that the
// appointment will not take place, once, and they are on the worklist.
func TestWhoIsFoundInAWithdrawnSessionIsRebooked(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	ctx := t.Context()
	starts := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 4).Add(18 * time.Hour)
	if err := w.o.MakeSession(ctx, rqx, hospital.Session{ID: "own", Clinic: "heart", Starts: starts, Ends: starts.Add(time.Hour), Minutes: 30, State: "open"}, 2, 0, false); err != nil {
		t.Fatal(err)
	}
	u := w.spine.refer("9990000018", 1, false)
	w.registered(u)
	if n, err := w.o.Withdraw(ctx, w.clerk(), rqx, "own", "The consultant is ill"); err != nil || n != 0 {
		t.Fatalf("withdrawing leaves %d people to be rebooked: %v", n, err)
	}
	w.link("cut")
	var c booking.Case
	w.spine.look(func() { c = w.spine.cases[u] })
	c.Appointment = &booking.Appointment{Slot: "own-1800", Session: "own", Start: starts, End: starts.Add(30 * time.Minute)}
	for range 3 { // it is told of them again before the spine has taken it
		c.State, c.Version, c.Sent = "BOOKED", c.Version+1, c.Sent+1
		came(w, booking.WorkflowCase, u, c)
	}
	w.nodes[1].SignedIn(t, "clerk").Get("/clinics/rebook").Sees(200, "1 referral", "The consultant is ill")
	w.spine.look(func() { w.spine.cases[u] = c })
	w.link("heal")
	simtest.Eventually(t, func() (told bool) {
		w.spine.look(func() {
			list := w.spine.acts[u]
			told = len(list) == 1 && list[0].Kind == booking.ActCancel && list[0].Reason == "CLINIC_CANCELLED" && list[0].Appointment.Slot == "own-1800"
		})
		return told
	})
}
