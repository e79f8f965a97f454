package referral_test

import (
	"context"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/referral"
)

// TestTheHospitalIsToldWhoTookTheTime: whether the patient did themselves, by which they knew of it; not where the practice booked, or moved it since.
func TestTheHospitalIsToldWhoTookTheTime(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		w.gives("one", 3, 20)
		at := func(id string) referral.SlotRef { return referral.SlotRef{Provider: west, Session: "one", Slot: id} }
		r := w.refers(referral.Routine)
		for _, step := range []struct {
			who  referral.Caller
			kind referral.Kind
			slot string
			self bool
		}{{w.gp, referral.ActBook, "one-0", false}, {w.patient(r.UBRN), referral.ActMove, "one-1", true}, {w.gp, referral.ActMove, "one-2", false}, {w.patient(r.UBRN), referral.ActMove, "one-0", true}} {
			if _, err := w.s.Act(ctx, step.who, r.UBRN, referral.Work{Kind: step.kind, Slot: at(step.slot), Service: waitingFor}); err != nil {
				t.Fatal(err)
			}
			c, err := w.s.Case(ctx, r.Chart, r.UBRN)
			if err != nil || c.ByPatient.IsZero() == step.self || step.self && c.ByPatient.Sub(w.time.Now()).Abs() > time.Second {
				t.Errorf("%s to %s: told %s, %v", step.kind, step.slot, c.ByPatient, err)
			}
		}
		if _, err := w.s.Act(ctx, w.gp, r.UBRN, referral.Work{Kind: referral.ActPriority, Priority: referral.Urgent, Comment: "worse"}); err != nil {
			t.Fatal(err)
		}
		if c, err := w.s.Case(ctx, r.Chart, r.UBRN); err != nil || c.ByPatient.IsZero() {
			t.Errorf("forgotten by another act: %v", err)
		}
		// A restore of the spine has lost it: the hospital tells it back.
		told, err := w.s.Case(ctx, r.Chart, r.UBRN)
		if err != nil {
			t.Fatal(err)
		}
		w.restores("", r.UBRN)
		w.answers([]booking.Case{told}, booking.SlotMark{ID: "one-0", Epoch: 1, Session: "one", Base: 1})
		if c, err := w.s.Case(ctx, r.Chart, r.UBRN); err != nil || c.Appointment == nil || !c.ByPatient.Equal(told.ByPatient) {
			t.Errorf("after a restore: %+v, taken by the patient %s, not %s, %v", c.Appointment, c.ByPatient, told.ByPatient, err)
		}
	})
}
