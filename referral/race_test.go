package referral_test

import (
	"context"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/simtest"
)

// caller is the practice's doctor.
func caller(w *simtest.World) referral.Caller {
	p := access.Principal{ID: "gp", Name: "Dr Amara Whitfield", Role: access.Clinician, Organisation: ident.MustODSCode("Z99801"), AuthMethod: "session"}
	return referral.Caller{Principal: p, Ask: func(acts ...access.Act) ([]access.Grant, error) {
		return w.Node.Kernel().Gate.DecideAll(context.Background(), p, acts)
	}}
}

// TestOneSlotIsBookedOnce lets many callers book one slot at the same moment: one has it, and each of the others is told which times are free.
func TestOneSlotIsBookedOnce(t *testing.T) {
	w := shared.Given(t)
	givenSlots(t, w, "race", "RZZ01-cardiology", 3, 20)
	s, c, ctx := referrals(w), caller(w), context.Background()
	const callers = 40
	var made []ident.UBRN
	for range callers {
		m, err := s.Create(ctx, c, referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{"RZZ01-cardiology"}, Letter: "Please see."})
		if err != nil {
			t.Fatal(err)
		}
		made = append(made, m.UBRN)
	}
	slot := referral.SlotRef{Provider: west, Session: "race", Slot: "race-0"}
	var booked, refused atomic.Int64
	var wait sync.WaitGroup
	for _, u := range made {
		wait.Go(func() {
			_, err := s.Act(ctx, c, u, referral.Work{Kind: referral.ActBook, Slot: slot, Service: "RZZ01-cardiology"})
			next, gone := referral.Taken(err)
			switch {
			case err == nil:
				booked.Add(1)
			case gone && len(next) > 0:
				refused.Add(1)
			default:
				t.Errorf("neither booked nor told what is free: %v", err)
			}
		})
	}
	wait.Wait()
	if booked.Load() != 1 || refused.Load() != callers-1 {
		t.Errorf("%d booked and %d refused of %d", booked.Load(), refused.Load(), callers)
	}
}
