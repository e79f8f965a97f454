package referral_test

import (
	"context"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
)

// TestATimeThatIsOver: what has begun, what begins too soon to be told of, and what was held for too long is refused in words of its own, for whoever books, moves or holds; and nothing is lost by it.
func TestATimeThatIsOver(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx, now := context.Background(), w.time.Now()
		given := booking.Slots{Session: "over", Service: waitingFor}
		for id, in := range map[string]time.Duration{"soon": time.Hour, "near": 47 * time.Hour, "edge": 48*time.Hour + 20*time.Minute, "far": 300 * time.Hour, "own": 301 * time.Hour} {
			given.Slots = append(given.Slots, booking.Slot{ID: id, Epoch: 1, Start: now.Add(in), End: now.Add(in + 20*time.Minute)})
		}
		cameTo(t, w.s, booking.WorkflowSlots, "over", given)
		at := func(id string) referral.SlotRef { return referral.SlotRef{Provider: west, Session: "over", Slot: id} }
		one, other := w.refers(referral.Routine), w.refers(referral.Routine)
		book := func(u ident.UBRN, kind referral.Kind, id, holder string) error {
			_, err := w.s.Act(ctx, w.patient(u), u, referral.Work{Kind: kind, Slot: at(id), Service: waitingFor, Holder: holder})
			return err
		}
		if err := book(one.UBRN, referral.ActBook, "own", ""); err != nil {
			t.Fatal(err)
		}
		refused := func(id, words string) {
			t.Helper()
			_, held := w.s.Hold(ctx, at(id), "somebody")
			for how, err := range map[string]error{"booked": book(other.UBRN, referral.ActBook, id, ""), "moved to": book(one.UBRN, referral.ActMove, id, ""), "held": held} {
				if next, gone := referral.Taken(err); !gone || !strings.Contains(err.Error(), words) || len(next) == 0 {
					t.Errorf("%s, %s: %v (next %v)", id, how, err, next)
				}
			}
		}
		refused("near", "too near to be booked here")
		w.time.Advance(61 * time.Minute)
		refused("soon", "has passed")
		if r := w.get(one.UBRN); r.Appointment == nil || r.Appointment.SlotRef != at("own") {
			t.Errorf("who could not be moved has lost what they had: %+v", r.Appointment)
		}
		refused("edge", "too near to be booked here")

		// Held for longer than a person decides: somebody else may have it, and who held it is told.
		if _, err := w.s.Hold(ctx, at("far"), other.UBRN.String()); err != nil {
			t.Fatal(err)
		}
		if err := book(one.UBRN, referral.ActMove, "far", one.UBRN.String()); !fault.Is(err, fault.Conflict) {
			t.Errorf("what somebody else holds: %v", err)
		}
		w.time.Advance(11 * time.Minute)
		if err := book(one.UBRN, referral.ActMove, "far", one.UBRN.String()); err != nil {
			t.Errorf("what nobody holds any more: %v", err)
		}
		if _, gone := referral.Taken(book(other.UBRN, referral.ActBook, "far", other.UBRN.String())); !gone {
			t.Error("booked by who had held it too long")
		}
		if r := w.get(other.UBRN); r.State != referral.NotBooked || r.Version != other.Version {
			t.Errorf("a refusal changed something: %+v", r)
		}
	})
}

// TestMergedBetweenHoldAndBooking: somebody is found to be a person of another number while they decide. They book what they held, once; the referral is as it was, and stays theirs when the two are parted again.
func TestMergedBetweenHoldAndBooking(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		loadsInto(t, w.node, another(t))
		w.gives("one", 2, 20)
		m := w.refers(referral.Routine)
		at := func(id string) referral.SlotRef { return referral.SlotRef{Provider: west, Session: "one", Slot: id} }
		if _, err := w.s.Hold(ctx, at("one-0"), m.UBRN.String()); err != nil {
			t.Fatal(err)
		}
		part := joined(t, w.k, "9990000018", "9990000026")
		book := func(kind referral.Kind, id string, seen int64) (referral.Referral, error) {
			return w.s.Act(ctx, w.patient(m.UBRN), m.UBRN, referral.Work{Kind: kind, Seen: seen, Slot: at(id), Service: waitingFor, Holder: m.UBRN.String()})
		}
		r, err := book(referral.ActBook, "one-0", m.Version)
		if err != nil || r.State != referral.Booked || r.Appointment.SlotRef != at("one-0") || r.Chart != m.Chart || r.Patient != m.Patient {
			t.Fatalf("after they were found to be one: %+v, %v", r, err)
		}
		if again, err := book(referral.ActBook, "one-0", m.Version); err != nil || again.Version != r.Version {
			t.Errorf("the form sent twice: version %d after %d, %v", again.Version, r.Version, err)
		}
		if c, err := w.s.Case(ctx, m.Chart, m.UBRN); err != nil || c.Person.NHSNumber != m.Patient || c.Appointment == nil {
			t.Errorf("the hospital is told of %+v, %v", c.Person, err)
		}
		part()
		if r, err = book(referral.ActMove, "one-1", r.Version); err != nil || r.Appointment.SlotRef != at("one-1") {
			t.Errorf("after they were parted: %v", err)
		}
		if free, err := w.s.FreeSlots(ctx, waitingFor, time.Time{}, time.Time{}, "", 9); err != nil || len(free) != 1 || free[0].SlotRef != at("one-0") {
			t.Errorf("free are %v, %v", free, err)
		}
	})
}

// TestABookingThatIsSentTwice: a double click, and the back button after the time was changed. It is booked once, and what has changed since is not undone by an old page.
func TestABookingThatIsSentTwice(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		w.gives("one", 3, 20)
		m := w.refers(referral.Routine)
		at := func(id string) referral.SlotRef { return referral.SlotRef{Provider: west, Session: "one", Slot: id} }
		click := func(kind referral.Kind, id string, seen int64) (referral.Referral, error) {
			return w.s.Act(ctx, w.patient(m.UBRN), m.UBRN, referral.Work{Kind: kind, Seen: seen, Slot: at(id), Service: waitingFor, Holder: m.UBRN.String()})
		}
		var clicks sync.WaitGroup
		said := make([]error, 8)
		for i := range said {
			clicks.Go(func() { _, said[i] = click(referral.ActBook, "one-0", m.Version) })
		}
		clicks.Wait()
		for _, err := range said {
			if err != nil {
				t.Errorf("one of eight clicks: %v", err)
			}
		}
		if sent := w.s.Sent(t, m.UBRN); sent != 1 {
			t.Errorf("the hospital is told %d times", sent)
		}
		r := w.get(m.UBRN)
		moved, err := click(referral.ActMove, "one-1", r.Version)
		if err != nil {
			t.Fatal(err)
		}
		for name, kind := range map[string]referral.Kind{"booked": referral.ActBook, "moved": referral.ActMove} {
			for _, seen := range []int64{m.Version, r.Version} {
				if _, err := click(kind, "one-0", seen); !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.PreconditionFailed) {
					t.Errorf("%s from a page of version %d: %v", name, seen, err)
				}
			}
		}
		if now := w.get(m.UBRN); now.Version != moved.Version || now.Appointment.SlotRef != at("one-1") {
			t.Errorf("an old page has moved them: %+v", now.Appointment)
		}
		if free, err := w.s.FreeSlots(ctx, waitingFor, time.Time{}, time.Time{}, "", 9); err != nil || len(free) != 2 {
			t.Errorf("%d of three times are free, %v", len(free), err)
		}
	})
}

// TestPagesThatAreSentTwice: the button that books, pressed twice or again after the back button, leads to the same page, and an old page says what has changed in words.
func TestPagesThatAreSentTwice(t *testing.T) {
	w := shared.Given(t)
	givenSlots(t, w, "twice", "RZZ01-cardiology", 3, 19)
	ubrn, password := refer(t, w.SignedIn(t, "gp"), w.Number(t, "correct"), "RZZ01-cardiology")
	patient := w.Visitor(t)
	patient.Get("/appointments").Send("/appointments", "ubrn", ubrn, "password", password)
	choose := func(id string) { // reads the page before the button
		t.Helper()
		patient.Get("/appointments/times?service=RZZ01-cardiology").Send("/appointments/times", "slot", "RZZ01/twice/twice-"+id, "service", "RZZ01-cardiology").Sees(200, "Check before you book")
	}
	choose("0")
	first := patient.Form()
	for range 2 {
		patient.Post("/appointments/check", first).Sees(200, "Your appointment is booked")
	}
	choose("1")
	patient.Send("/appointments/check").Sees(200, "Your appointment is booked")
	if patient.Post("/appointments/check", first); patient.Status != 409 && patient.Status != 412 {
		t.Errorf("the first page once more, after the time was changed: %d\n%s", patient.Status, patient.Text())
	}
	cancel := patient.Get("/appointments/cancel").Form()
	cancel.Set("reason", "PATIENT_ILL")
	for range 2 {
		patient.Post("/appointments/cancel", cancel).Sees(200, "is cancelled: you")
	}
	list, err := referrals(w).History(context.Background(), caller(w), ident.MustUBRN(ubrn))
	if err != nil {
		t.Fatal(err)
	}
	var acts []string
	for _, v := range list {
		acts = append(acts, string(v.Act))
	}
	if got, want := strings.Join(acts, " "), "create book move cancel-by-patient"; got != want {
		t.Errorf("the history is %s, not %s", got, want)
	}
}
