package referral_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
)

// restores lets the spine come back from a backup in which some referrals, and the slots of a session if one is named, are not yet there.
func (w *quiet) restores(session string, lost ...ident.UBRN) {
	w.t.Helper()
	for _, u := range lost {
		if err := w.s.Forget(context.Background(), "9990000018", u); err != nil {
			w.t.Fatal(err)
		}
	}
	err := w.s.ForgetOffers(context.Background(), session)
	if err == nil {
		w.s, err = w.s.Restored(context.Background())
	}
	if err != nil {
		w.t.Fatal(err)
	}
}

// answers is the hospital's answer to the question of a spine that was restored.
func (w *quiet) answers(told []booking.Case, slots ...booking.SlotMark) {
	w.t.Helper()
	round, err := w.s.Ask(context.Background(), west)
	if err != nil {
		w.t.Fatal(err)
	}
	cameTo(w.t, w.s, booking.WorkflowTally, "tally", booking.Tally{Round: round, Last: true, Told: told, Slots: slots})
}

// stands checks that somebody is offered a time, which nobody else can book.
func (w *quiet) stands(step string, u ident.UBRN, want referral.Offer) {
	w.t.Helper()
	o := w.get(u).Offer
	if o == nil || o.SlotRef != want.SlotRef || !o.Until.Equal(want.Until) || !o.Start.Equal(want.Start) || !o.End.Equal(want.End) {
		w.t.Fatalf("%s: they are offered %+v, not %+v", step, o, want)
	}
	other := w.refers(referral.TwoWeekWait)
	if _, err := w.s.Act(context.Background(), w.gp, other.UBRN, referral.Work{Kind: referral.ActBook, Slot: want.SlotRef, Service: waitingFor}); !fault.Is(err, fault.Conflict) {
		w.t.Fatalf("%s: somebody else booked what is offered: %v", step, err)
	}
}

// TestALostOfferIsToldBack: a restore of the spine has lost that somebody was offered a time, or has their slot as it was before, or not at all. They have it again, until the same moment, and nobody gets it in between.
func TestALostOfferIsToldBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		offered := func(session string) (ident.UBRN, booking.Case, referral.Offer) {
			t.Helper()
			u := w.waits(referral.Urgent)
			w.gives(session, 1, 20)
			w.due()
			told, err := w.s.Case(ctx, "9990000018", u)
			if err != nil || told.Offer == nil {
				t.Fatalf("the hospital is told of %+v (%v)", told.Offer, err)
			}
			return u, told, *w.get(u).Offer
		}
		// The slot is there, and free.
		u, told, want := offered("known")
		mark := booking.SlotMark{ID: "known-0", Epoch: 1, Session: "known", Base: 1}
		w.restores("", u)
		w.answers([]booking.Case{told}, mark)
		w.stands("told back", u, want)
		w.due()
		w.stands("after the next round", u, want)
		// The referral is as before the offer, and somebody else waits whose turn it would be.
		second := w.waits(referral.TwoWeekWait)
		w.restores("", u)
		w.answers([]booking.Case{told}, mark)
		w.due()
		w.stands("told back, with another who waits", u, want)
		w.hasOffer("the other", ident.UBRN{}, second)
		if _, err := w.s.Act(ctx, w.patient(u), u, referral.Work{Kind: referral.ActBook, Slot: want.SlotRef, Service: waitingFor, Seen: w.get(u).Version}); err != nil {
			t.Fatalf("they cannot take it: %v", err)
		}
		if _, err := w.s.Act(ctx, w.gp, second, referral.Work{Kind: referral.ActCancel, Reason: "TREATMENT_NO_LONGER_REQUIRED", Comment: "Better."}); err != nil {
			t.Fatal(err)
		}
		// The slot was handed over in the days that are lost: the hospital hands it over anew, a while after it has answered.
		u, told, want = offered("lost")
		w.restores("lost", u)
		w.answers([]booking.Case{told}, booking.SlotMark{ID: "lost-0", Epoch: 5001, Session: "lost", Base: 1})
		w.due()
		if o := w.get(u).Offer; o != nil {
			t.Errorf("they are shown a time that the spine does not have: %+v", o)
		}
		cameTo(t, w.s, booking.WorkflowSlots, "lost", booking.Slots{Session: "lost", Service: waitingFor, Slots: []booking.Slot{{ID: "lost-0", Epoch: 5001, Base: 1, Start: want.Start, End: want.End}}})
		w.stands("handed over anew", u, want)
		w.due()
		w.stands("handed over anew, after the next round", u, want)
		// It ends as any other: with its time.
		w.time.Advance(5 * 24 * time.Hour)
		w.due()
		if r := w.get(u); r.Offer != nil || len(r.Passed) != 1 {
			t.Errorf("its time is up: %+v, %d let pass", r.Offer, len(r.Passed))
		}
	})
}

// TestALostOfferWhoseSlotHasGone ends: the hospital has its slot back, or somebody else is in it.
func TestALostOfferWhoseSlotHasGone(t *testing.T) {
	t.Parallel()
	w, ctx := newQuiet(t, ""), context.Background()
	u := w.waits(referral.Urgent)
	w.gives("gone", 1, 20)
	w.due()
	told, err := w.s.Case(ctx, "9990000018", u)
	if err != nil {
		t.Fatal(err)
	}
	w.restores("", u)
	w.answers([]booking.Case{told}, booking.SlotMark{ID: "gone-0", Epoch: 4, Session: "gone", Base: 4})
	if o := w.get(u).Offer; o != nil {
		t.Errorf("they are shown a time that the hospital has back: %+v", o)
	}
	w.due()
	list, err := w.s.History(ctx, w.gp, u)
	if r := w.get(u); err != nil || r.Offer != nil || len(r.Passed) > 0 || list[len(list)-1].Act != referral.ActUnoffer {
		t.Errorf("%+v after %s (%v)", r.Offer, list[len(list)-1].Act, err)
	}
	w.gives("next", 1, 21)
	w.due()
	w.hasOffer("the next in turn", u, u)
}

// TestARestoredSpineIsLookedAt before it has written anything: whoever was offered a time sees none until their hospital has answered, and has it then.
func TestARestoredSpineIsLookedAt(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		u := w.waits(referral.Urgent)
		w.gives("kept", 1, 20)
		w.due()
		want := *w.get(u).Offer
		var err error
		if w.s, err = w.s.Restored(context.Background()); err != nil {
			t.Fatal(err)
		}
		if o := w.get(u).Offer; o != nil {
			t.Errorf("a spine that knows not whose its slots are shows %+v", o)
		}
		w.due()
		w.answers(nil, booking.SlotMark{ID: "kept-0", Epoch: 1, Session: "kept", Base: 1})
		w.stands("answered", u, want)
		w.due()
		w.stands("after the next round", u, want)
	})
}

// TestWhoIsNotAskedHindersNobody: somebody whose shortlist names a hospital whose post nobody keeps is offered a time by a spine that was restored, once the others have answered.
func TestWhoIsNotAskedHindersNobody(t *testing.T) {
	t.Parallel()
	w, ctx := newQuiet(t, ""), context.Background()
	res, err := fhir.Parse([]byte(`{"resourceType":"HealthcareService","id":"RZZ77-hearts","active":true,"providedBy":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"RZZ77"}},"name":"Hearts"}`))
	if err != nil {
		t.Fatal(err)
	}
	l := w.node.Loader("test", national, nil)
	if err := l.Add(ctx, res); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(ctx); err != nil {
		t.Fatal(err)
	}
	u := w.waits(referral.Urgent)
	if _, err := w.s.Act(ctx, w.gp, u, referral.Work{Kind: referral.ActCancel, Reason: "TREATMENT_NO_LONGER_REQUIRED", Comment: "Another."}); err != nil {
		t.Fatal(err)
	}
	m, err := w.s.Create(ctx, w.gp, referral.Draft{Patient: ident.MustNHSNumber("9990000018"), Priority: referral.Urgent, Request: referral.ForAppointment, Services: []string{waitingFor, "RZZ77-hearts"}, Letter: "Please see."})
	if err == nil {
		_, err = w.s.Act(ctx, w.gp, m.UBRN, referral.Work{Kind: referral.ActDefer, Service: waitingFor})
	}
	if err == nil {
		w.s, err = w.s.Restored(ctx)
	}
	if err != nil {
		t.Fatal(err)
	}
	w.gives("free", 1, 20)
	w.due()
	w.hasOffer("their hospital has not answered", ident.UBRN{}, m.UBRN)
	w.answers(nil, booking.SlotMark{ID: "free-0", Epoch: 1, Session: "free", Base: 1})
	w.due()
	w.hasOffer("it has", m.UBRN, m.UBRN)
}

// TestWhatIsNeededNowIsNotOffered: a session that will not take place, and a slot into which the clinic has put somebody by hand, end an offer at once; what is only asked back stays with whoever was told that it is theirs.
func TestWhatIsNeededNowIsNotOffered(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		for i, x := range []struct {
			name string
			back booking.Recall
			ends bool
		}{
			{"asked back", booking.Recall{}, false}, {"another slot, by hand", booking.Recall{Slots: []string{"s1-1"}, ByHand: true}, false},
			{"by hand", booking.Recall{Slots: []string{"s2-0"}, ByHand: true}, true}, {"withdrawn", booking.Recall{Withdrawn: true}, true},
		} {
			session := fmt.Sprint("s", i)
			u := w.waits(referral.Urgent)
			w.gives(session, 1, 20)
			w.due()
			w.hasOffer(x.name, u, u)
			x.back.Session = session
			cameTo(t, w.s, booking.WorkflowRecall, session, x.back)
			slot := referral.SlotRef{Provider: west, Session: session, Slot: session + "-0"}
			if e, err := w.s.Own(ctx, slot); err != nil || booking.Hospital.Owns(e) != x.ends {
				t.Errorf("%s: the slot is at epoch %d (%v)", x.name, e, err)
			}
			if o := w.get(u).Offer; (o == nil) != x.ends {
				t.Errorf("%s: they are shown %+v", x.name, o)
			}
			if _, err := w.s.Act(ctx, w.patient(u), u, referral.Work{Kind: referral.ActBook, Slot: slot, Service: waitingFor}); (err != nil) != x.ends {
				t.Errorf("%s: taking it: %v", x.name, err)
			}
			w.due()
			list, err := w.s.History(ctx, w.gp, u)
			if r := w.get(u); err != nil || x.ends && (r.Offer != nil || len(r.Passed) > 0 || list[len(list)-1].Act != referral.ActUnoffer) {
				t.Errorf("%s: %+v after %s (%v)", x.name, r.Offer, list[len(list)-1].Act, err)
			}
			if _, err := w.s.Act(ctx, w.gp, u, referral.Work{Kind: referral.ActCancel, Reason: "TREATMENT_NO_LONGER_REQUIRED", Comment: "Better."}); err != nil {
				t.Fatal(err)
			}
			cameTo(t, w.s, booking.WorkflowRecall, session, booking.Recall{Session: session}) // so that nothing is free when the next one waits
		}
	})
}

// TestTheDeadAreOfferedNothing: who dies while a time is held for them is shown it no more, and it is anybody's again.
func TestTheDeadAreOfferedNothing(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		u := w.waits(referral.Urgent)
		w.gives("late", 1, 20)
		w.due()
		w.hasOffer("alive", u, u)
		res, err := fhir.Parse([]byte(`{"resourceType":"Patient","id":"9990000018","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000018"}],"name":[{"use":"usual","family":"O'Neill","given":["Zoë"]}],"gender":"female","birthDate":"1970-01-02","deceasedBoolean":true}`))
		if err != nil {
			t.Fatal(err)
		}
		l := w.node.Loader("test", national, nil)
		if err := l.Add(ctx, res); err != nil {
			t.Fatal(err)
		}
		if err := l.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		w.hasOffer("dead", ident.UBRN{}, u)
		for name, who := range map[string]referral.Caller{"somebody with their letter": w.patient(u), "the practice": w.gp} {
			if _, err := w.s.Act(ctx, who, u, referral.Work{Kind: referral.ActBook, Slot: referral.SlotRef{Provider: west, Session: "late", Slot: "late-0"}, Service: waitingFor}); !errors.Is(err, referral.ErrPatient) {
				t.Errorf("%s takes what was offered: %v", name, err)
			}
		}
		w.due()
		if free, err := w.s.FreeSlots(ctx, waitingFor, time.Time{}, time.Time{}, "", 9); err != nil || len(free) != 1 {
			t.Errorf("%d times are free (%v)", len(free), err)
		}
		w.due()
		w.hasOffer("dead, after the next round", ident.UBRN{}, u)
	})
}
