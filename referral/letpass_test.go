package referral_test

import (
	"context"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/referral"
)

// TestWhatSomebodyLetPassIsToldBack: of what a restore of the spine has lost the hospital tells back what somebody said no to, and what they let pass. They are not offered it again, but the next time is; and after three in
// vain, lost or not, nothing more is offered.
func TestWhatSomebodyLetPassIsToldBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		u := w.waits(referral.Urgent)
		before := w.get(u)
		w.gives("one", 2, 20)
		w.due()
		if _, err := w.s.Act(ctx, w.patient(u), u, referral.Work{Kind: referral.ActDecline, Seen: w.get(u).Version}); err != nil {
			t.Fatal(err)
		}
		w.due()
		w.time.Advance(5 * 24 * time.Hour)
		w.due() // the second one lapses
		lost := w.get(u)
		if lost.Offer != nil || len(lost.Passed) != 2 {
			t.Fatalf("before the restore: %+v, %v", lost.Offer, lost.Passed)
		}
		told, err := w.s.Case(ctx, before.Chart, u)
		if err != nil {
			t.Fatal(err)
		}
		marks := []booking.SlotMark{{ID: "one-0", Epoch: 1, Session: "one", Base: 1}, {ID: "one-1", Epoch: 1, Session: "one", Base: 1}}
		w.restores("", u)
		w.answers([]booking.Case{told}, marks...)
		w.due()
		if r := w.get(u); r.State != referral.Deferred || r.Offer != nil || len(r.Passed) != 2 {
			t.Errorf("they are offered %+v again, who let %v pass", r.Offer, r.Passed)
		}
		w.gives("two", 1, 21)
		w.due()
		r := w.get(u)
		if r.Offer == nil || r.Offer.Session != "two" {
			t.Fatalf("the next time is not offered: %+v", r.Offer)
		}
		if _, err := w.s.Act(ctx, w.patient(u), u, referral.Work{Kind: referral.ActDecline, Seen: r.Version}); err != nil {
			t.Fatal(err)
		}
		w.gives("three", 1, 22)
		w.due()
		if r := w.get(u); r.Offer != nil || len(r.Passed) != referral.MostOffers {
			t.Errorf("a fourth is offered: %+v, %v", r.Offer, r.Passed)
		}
	})
}
