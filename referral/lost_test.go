package referral_test

import (
	"context"
	"fmt"
	"testing"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
)

// TestAnUnsureHospitalKeepsNobodyElseWaiting: more bookings than are read at once are lost at a hospital that has not told what it knows. Those of another, which has, are cancelled all the same.
func TestAnUnsureHospitalKeepsNobodyElseWaiting(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		w.gives("one", 1, 20)
		r := w.refers(referral.Routine)
		if _, err := w.s.Act(ctx, w.gp, r.UBRN, referral.Work{Kind: referral.ActBook, Slot: referral.SlotRef{Provider: west, Session: "one", Slot: "one-0"}, Service: waitingFor}); err != nil {
			t.Fatal(err)
		}
		w.restores("")
		w.answers(nil, booking.SlotMark{ID: "one-0", Epoch: 1, Session: "one", Base: 1})
		err := w.k.DB.Write(ctx, []store.Lane{0}, func(tx *store.Tx) error {
			for i := range 600 {
				if err := tx.Queue(`INSERT INTO referral_booking (lane, provider, session, slot, epoch, ubrn, lost) VALUES (0, 'RZZ02', 'other', ?, 1, ?, 1)`, fmt.Sprintf("other-%03d", i), r.UBRN.String()); err != nil {
					return err
				}
			}
			return tx.Queue(`UPDATE referral_booking SET lost = 1 WHERE provider = 'RZZ01'`)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.s.Due(ctx); err != nil {
			t.Fatal(err)
		}
		if got := w.get(r.UBRN); got.State != referral.CancelledByProvider || got.Appointment != nil {
			t.Errorf("it stands at an epoch that is over: %s %+v", got.State, got.Appointment)
		}
		w.lost(t, ident.MustODSCode("RZZ02"), 600)
		w.lost(t, west, 0)
	})
}

// lost checks how many bookings of a hospital are noted as lost.
func (w *quiet) lost(t *testing.T, at ident.ODSCode, want int64) {
	t.Helper()
	var n int64
	err := w.k.DB.Read(t.Context(), func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM referral_booking WHERE lost = 1 AND provider = ?`, at.String()).Scan(&n)
	})
	if err != nil || n != want {
		t.Errorf("%d bookings of %s are noted as lost, want %d (%v)", n, at, want, err)
	}
}

// TestOneBadBookingKeepsNobodyElseWaiting: bookings of a withdrawn session that cannot be read, more than are read at once, keep neither somebody else of a withdrawn session waiting nor who has lost a slot.
func TestOneBadBookingKeepsNobodyElseWaiting(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		var booked []ident.UBRN
		for i, session := range []string{"off", "lost"} {
			w.gives(session, 1, 20+i)
			r := w.refers(referral.Routine)
			if _, err := w.s.Act(ctx, w.gp, r.UBRN, referral.Work{Kind: referral.ActBook, Slot: referral.SlotRef{Provider: west, Session: session, Slot: session + "-0"}, Service: waitingFor}); err != nil {
				t.Fatal(err)
			}
			booked = append(booked, r.UBRN)
		}
		cameTo(t, w.s, booking.WorkflowRecall, "off", booking.Recall{Session: "off", Withdrawn: true})
		err := w.k.DB.Write(ctx, []store.Lane{0}, func(tx *store.Tx) error {
			for i := range 600 {
				if err := tx.Queue(`INSERT INTO referral_slot (lane, provider, session, slot, epoch, service, starts, ends, clinician, state, ubrn, chart, holder, held, recalled, reason)
					VALUES (0, 'RZZ01', 'bad', ?, 1, ?, 1, 2, '', 1, 'not a number', '9990000018', '', 0, 2, '')`, fmt.Sprintf("bad-%03d", i), waitingFor); err != nil {
					return err
				}
			}
			return tx.Queue(`UPDATE referral_booking SET lost = 1 WHERE session = 'lost'`)
		})
		if err != nil {
			t.Fatal(err)
		}
		if err := w.s.Withdraw(ctx); err == nil {
			t.Error("what could not be read was passed over in silence")
		}
		for i, why := range []string{"of a withdrawn session", "at an epoch that is over"} {
			if got := w.get(booked[i]); got.State != referral.CancelledByProvider || got.Appointment != nil {
				t.Errorf("a booking %s stands: %s %+v", why, got.State, got.Appointment)
			}
		}
	})
}
