package referral_test

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
)

// mostRounds is after how many rounds a race must have gone either way.
const mostRounds = 60

// race lets things happen at the same moment. The first of them has a head start in each second round, of a length that grows, and the others in each other one: so that each comes first sometimes.
func race(round int, first func(), others ...func()) {
	var wait sync.WaitGroup
	ready := make(chan struct{})
	for i, fn := range append([]func(){first}, others...) {
		wait.Go(func() {
			<-ready
			if (i == 0) == (round%2 == 0) {
				time.Sleep(time.Duration(round/2%8) * 200 * time.Microsecond)
			}
			fn()
		})
	}
	close(ready)
	wait.Wait()
}

// sound checks what must be so whatever won: nobody shares a slot, nobody is booked into what somebody else is offered, what is held for nobody is free, and each offer can be taken.
func (w *quiet) sound(step string, everybody []ident.UBRN) {
	w.t.Helper()
	has := map[referral.SlotRef]ident.UBRN{}
	for _, u := range everybody {
		r := w.get(u)
		at := referral.SlotRef{}
		switch {
		case r.Appointment != nil && r.Offer != nil:
			w.t.Fatalf("%s: %s is booked and offered a time", step, u)
		case r.Appointment != nil:
			at = r.Appointment.SlotRef
		case r.Offer != nil:
			at = r.Offer.SlotRef
		default:
			continue
		}
		if other, there := has[at]; there {
			w.t.Fatalf("%s: %s and %s both have %s", step, other, u, at.Slot)
		}
		has[at] = u
	}
	err := w.k.DB.Read(context.Background(), func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT session, slot, state, ubrn, holder FROM referral_slot WHERE epoch % 2 = 1 AND (state = 1 OR held > ?)`, w.time.Now().UnixMicro())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			at := referral.SlotRef{Provider: west}
			var state int64
			var ubrn, holder string
			if err := rows.Scan(&at.Session, &at.Slot, &state, &ubrn, &holder); err != nil {
				return err
			}
			if u := has[at]; ubrn+holder != u.String() {
				return fmt.Errorf("%s is in state %d for %q, held for %q, and %q has it", at.Slot, state, ubrn, holder, u)
			}
			delete(has, at)
		}
		return rows.Err()
	})
	if err != nil {
		w.t.Fatalf("%s: %v", step, err)
	}
	if len(has) > 0 {
		w.t.Fatalf("%s: the slots know nothing of %v", step, has)
	}
}

// takes lets somebody take what they are offered, which must work.
func (w *quiet) takes(step string, u ident.UBRN) {
	w.t.Helper()
	r := w.get(u)
	if _, err := w.s.Act(context.Background(), w.patient(u), u, referral.Work{Kind: referral.ActBook, Slot: r.Offer.SlotRef, Service: waitingFor, Seen: r.Version}); err != nil {
		w.t.Fatalf("%s: they were offered what they cannot take: %v", step, err)
	}
}

func (w *quiet) offers() {
	if err := w.s.OfferDue(context.Background()); err != nil {
		w.t.Error(err)
	}
}

// refused reports what went wrong otherwise than by being refused.
func (w *quiet) refused(what string, err error) {
	if _, gone := referral.Taken(err); err != nil && !gone && !fault.Is(err, fault.Conflict) && !fault.Is(err, fault.PreconditionFailed) {
		w.t.Errorf("%s: neither done nor refused: %v", what, err)
	}
}

// TestAnOfferRacesCallers: a slot comes free, one waits, and others book it at that moment. The offer has it, or one of them, and each comes about.
func TestAnOfferRacesCallers(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx, u := context.Background(), w.waits(referral.Routine)
		const callers = 3
		var made, all []ident.UBRN
		for range callers {
			made = append(made, w.refers(referral.Routine).UBRN)
		}
		won, lost := 0, 0
		for round := 0; round < mostRounds && (won == 0 || lost == 0 || round < 6); round++ {
			session, step := fmt.Sprint("race", round), fmt.Sprint("round ", round)
			w.gives(session, 1, 20)
			slot := referral.SlotRef{Provider: west, Session: session, Slot: session + "-0"}
			var book []func()
			for _, c := range made {
				book = append(book, func() {
					_, err := w.s.Act(ctx, w.gp, c, referral.Work{Kind: referral.ActBook, Slot: slot, Service: waitingFor})
					w.refused("a booking", err)
				})
			}
			race(round, w.offers, book...)
			w.sound(step, slices.Concat(all, made, []ident.UBRN{u}))
			booked := slices.IndexFunc(made, func(c ident.UBRN) bool { return w.get(c).State == referral.Booked })
			switch offered := w.get(u).Offer != nil; {
			case offered == (booked >= 0):
				t.Fatalf("%s: it is offered: %v, and booked by %d", step, offered, booked)
			case offered:
				won++
				w.takes(step, u)
				all = append(all, u)
				u = w.waits(referral.Routine)
			default:
				lost++
				all = append(all, made[booked])
				made[booked] = w.refers(referral.Routine).UBRN
			}
		}
		if won == 0 || lost == 0 {
			t.Errorf("of the races the offer won %d and lost %d: one of the two was not tried", won, lost)
		}
		t.Logf("the offer won %d and lost %d", won, lost)
	})
}

// TestAnOfferRacesTheHospital: a session is withdrawn while its only slot is offered, and while the offer is taken. In the end nobody has it, and the hospital does.
func TestAnOfferRacesTheHospital(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx, u := context.Background(), w.waits(referral.Routine)
		made, withdrawn := 0, 0
		for round := 0; round < mostRounds && (made == 0 || withdrawn == 0 || round < 6); round++ {
			session, step := fmt.Sprint("gone", round), fmt.Sprint("round ", round)
			w.gives(session, 1, 20)
			slot := referral.SlotRef{Provider: west, Session: session, Slot: session + "-0"}
			before := w.get(u).Version
			race(round, w.offers, func() {
				cameTo(w.t, w.s, booking.WorkflowRecall, session, booking.Recall{Session: session, Withdrawn: true})
			})
			r := w.get(u)
			if r.Offer != nil {
				t.Fatalf("%s: they are told of a time that will not take place", step)
			}
			if made++; r.Version == before {
				made--
				withdrawn++
			}
			_, err := w.s.Act(ctx, w.patient(u), u, referral.Work{Kind: referral.ActBook, Slot: slot, Service: waitingFor})
			if !fault.Is(err, fault.Conflict) {
				t.Fatalf("%s: it was taken: %v", step, err)
			}
			w.offers()
			w.sound(step, []ident.UBRN{u})
			if e, err := w.s.Own(ctx, slot); err != nil || booking.Spine.Owns(e) {
				t.Fatalf("%s: the slot is at epoch %d (%v)", step, e, err)
			}
			if r := w.get(u); len(r.Passed) > 0 || r.State != referral.Deferred {
				t.Fatalf("%s: they have lost their turn: %+v", step, r)
			}
		}
		if made == 0 || withdrawn == 0 {
			t.Errorf("%d offers came before the withdrawal, %d too late: one of the two was not tried", made, withdrawn)
		}
		t.Logf("%d offers came before the withdrawal, %d too late", made, withdrawn)
	})
}

// TestAnOfferRacesItsOwnPerson: they book another time, or end their referral, while they are offered one; and they say no while the time is being ended. Nothing stays held for them that they do not have.
func TestAnOfferRacesItsOwnPerson(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		var all []ident.UBRN
		met, missed := 0, 0
		for round := 0; round < mostRounds && (met == 0 || missed == 0 || round < 9); round++ {
			session, step := fmt.Sprint("own", round), fmt.Sprint("round ", round)
			u := w.waits(referral.Routine)
			all = append(all, u)
			w.gives(session, 2, 20)
			other := referral.SlotRef{Provider: west, Session: session, Slot: session + "-1"}
			does := map[int]func(){
				0: func() {
					_, err := w.s.Act(ctx, w.patient(u), u, referral.Work{Kind: referral.ActBook, Slot: other, Service: waitingFor})
					w.refused("a booking", err)
				},
				1: func() {
					_, err := w.s.Act(ctx, w.gp, u, referral.Work{Kind: referral.ActCancel, Reason: "TREATMENT_NO_LONGER_REQUIRED", Comment: "Better."})
					w.refused("the end of the referral", err)
				},
				2: func() {
					_, err := w.s.Act(ctx, w.patient(u), u, referral.Work{Kind: referral.ActDecline})
					w.refused("a no", err)
				},
			}
			race(round, w.offers, does[round%3])
			w.sound(step, all)
			history, err := w.s.History(ctx, w.gp, u)
			if err != nil {
				t.Fatal(err)
			}
			offered := slices.ContainsFunc(history, func(v referral.Version) bool { return v.Act == referral.ActOffer })
			if round%3 != 2 && offered {
				met++
			} else if round%3 != 2 {
				missed++
			}
			if r := w.get(u); round%3 == 0 && r.State != referral.Booked || round%3 == 1 && r.State != referral.Cancelled {
				t.Fatalf("%s: %s", step, r.State)
			}
			if w.get(u).Offer != nil {
				w.takes(step, u)
			}
			w.sound(step+", after", all)
			cameTo(w.t, w.s, booking.WorkflowRecall, session, booking.Recall{Session: session}) // so that the next round offers its own
		}
		if met == 0 || missed == 0 {
			t.Errorf("%d were offered a time at that moment, %d not: one of the two was not tried", met, missed)
		}
		t.Logf("%d were offered a time at that moment, %d not", met, missed)
	})
}
