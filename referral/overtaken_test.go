package referral_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/referral"
)

// books books somebody who is referred anew into a slot.
func (w *quiet) books(session, slot string) referral.Made {
	w.t.Helper()
	m := w.refers(referral.Routine)
	if _, err := w.s.Act(context.Background(), w.gp, m.UBRN, referral.Work{Kind: referral.ActBook, Slot: referral.SlotRef{Provider: west, Session: session, Slot: slot}, Service: waitingFor}); err != nil {
		w.t.Fatal(err)
	}
	return m
}

// told is a referral as its hospital is told of it.
func (w *quiet) told(u ident.UBRN) booking.Case {
	w.t.Helper()
	c, err := w.s.Case(context.Background(), "9990000018", u)
	if err != nil {
		w.t.Fatal(err)
	}
	return c
}

// becomes does what is due, and checks what has become of a referral.
func (w *quiet) becomes(step string, u ident.UBRN, want referral.State) {
	w.t.Helper()
	if err := w.s.Due(context.Background()); err != nil {
		w.t.Fatal(err)
	}
	if got := w.get(u); got.State != want {
		w.t.Errorf("%s: it is %s %+v, not %s", step, got.State, got.Appointment, want)
	}
}

// TestABookingThatIsToldBackBesideANewOwner: a restore has lost a booking, and the slot has changed hands since. The hospital tells both, in either order, and as of a slot that the backup knows or does not: nobody stays booked in a time that is somebody else's.
func TestABookingThatIsToldBackBesideANewOwner(t *testing.T) {
	t.Parallel()
	for name, known := range map[string]bool{"known": true, "unknown": false} {
		for order, slotFirst := range map[string]bool{"slot first": true, "booking first": false} {
			t.Run(name+", "+order, func(t *testing.T) {
				t.Parallel()
				onBoth(t, func(t *testing.T, w *quiet) {
					w.gives("one", 1, 20)
					r := w.books("one", "one-0")
					c := w.told(r.UBRN)
					forgotten := "one"
					if known {
						forgotten = ""
					}
					w.restores(forgotten, r.UBRN)
					anew := func() {
						cameTo(w.t, w.s, booking.WorkflowSlots, "one", booking.Slots{Session: "one", Service: waitingFor, Slots: []booking.Slot{{ID: "one-0", Epoch: 3, Base: 3, Start: c.Appointment.Start, End: c.Appointment.End}}})
					}
					if slotFirst {
						anew()
					}
					w.answers([]booking.Case{c}, booking.SlotMark{ID: "one-0", Epoch: 3, Session: "one", Base: 3})
					if !slotFirst {
						anew()
					}
					w.becomes("told back", r.UBRN, referral.CancelledByProvider)
					other := w.books("one", "one-0")
					w.becomes("the next one in the slot", other.UBRN, referral.Booked)
				})
			})
		}
	}
}

// TestAPastBookingWhoseSlotHadGone: they had left the slot before its time, in days that a restore has lost, and the practice has changed the referral since, so that what the hospital tells of it is not taken. The time has passed without them; somebody finds them another.
func TestAPastBookingWhoseSlotHadGone(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		w.gives("past", 2, 5)
		r, stays := w.books("past", "past-0"), w.books("past", "past-1")
		w.restores("")
		if _, err := w.s.Act(context.Background(), w.gp, r.UBRN, referral.Work{Kind: referral.ActLetter, Letter: "Please see, also for the ankles."}); err != nil {
			t.Fatal(err)
		}
		marks, err := w.s.CaseMarks(context.Background(), west) // with which the spine asks
		if i := slices.IndexFunc(marks, func(m booking.CaseMark) bool { return m.UBRN == r.UBRN }); err != nil || i < 0 || marks[i].Session != "past" || marks[i].Slot != "past-0" || marks[i].Epoch != 1 {
			t.Fatalf("it asks with %+v (%v)", marks, err)
		}
		w.time.Advance(9 * 24 * time.Hour)
		w.answers(nil, booking.SlotMark{ID: "past-0", Epoch: 2, Session: "past", Base: 2}) // the hospital names it, although it is long over, because the spine says that somebody is in it
		w.becomes("answered", r.UBRN, referral.CancelledByProvider)
		w.becomes("the other", stays.UBRN, referral.Booked)
	})
}

// TestAnActThatComesOnceMore: the hospital had put somebody into a slot of its own, they left it, and it was handed over; a restore of the spine has lost all three. The first comes again with the post: it is refused, and one that nothing has overtaken is taken.
func TestAnActThatComesOnceMore(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		u := w.waits(referral.Routine)
		w.gives("other", 1, 21)
		w.restores("")
		w.answers(nil)
		start := w.time.Now().AddDate(0, 0, 20)
		slot := booking.Slot{ID: "own-0", Epoch: 3, Base: 3, Start: start, End: start.Add(20 * time.Minute)}
		cameTo(w.t, w.s, booking.WorkflowSlots, "own", booking.Slots{Session: "own", Service: waitingFor, Slots: []booking.Slot{slot}})
		act := booking.Act{UBRN: u, Number: 1, Seen: w.get(u).Version, Kind: booking.ActMove, By: "Dr Q", At: w.time.Now(), Appointment: &booking.Appointment{Slot: "own-0", Session: "own", Epoch: 2, Start: slot.Start, End: slot.End}}
		body, err := booking.Encode(act)
		if err != nil {
			t.Fatal(err)
		}
		err = w.s.Came(context.Background(), messaging.Message{ID: "again", From: west, To: national, Workflow: booking.WorkflowAct, Conversation: u.String(), Body: body})
		if !fault.Is(err, fault.Unprocessable) || !strings.Contains(fault.MessageOf(err), "changed hands") {
			t.Errorf("it is answered with %v", err)
		}
		w.becomes("refused", u, referral.Deferred)
		act.Number, act.Appointment.Epoch = 2, 4
		cameTo(w.t, w.s, booking.WorkflowAct, u.String(), act)
		w.becomes("a later one", u, referral.Booked)
	})
}

// TestToldAgainInVain: the hospital was told of a referral in days that a restore of the spine has lost, after it had answered the spine's question. What the spine tells it again it knows better; so it is asked once more.
func TestToldAgainInVain(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		w.gives("vain", 2, 20)
		r := w.books("vain", "vain-0")
		c := w.told(r.UBRN)
		c.Version, c.State, c.Appointment, c.Gone = c.Version+3, string(referral.NotBooked), nil, true
		marks := []booking.SlotMark{{ID: "vain-0", Epoch: 1, Session: "vain", Base: 1}, {ID: "vain-1", Epoch: 1, Session: "vain", Base: 1}}
		w.restores("")
		w.answers(nil, marks...)
		hourly := func(step string, asks bool) {
			t.Helper()
			w.time.Advance(4 * time.Hour)
			cameTo(w.t, w.s, booking.WorkflowTally, "tally", booking.Tally{Round: "RZZ01-" + step, Last: true, Heard: w.time.Now().UnixMicro(), Slots: marks})
			if err := w.s.Become(context.Background(), r.UBRN, messaging.Handled); err != nil {
				t.Fatal(err)
			}
			if got := w.s.Asking(context.Background(), west); got != asks {
				t.Errorf("%s: it asks again: %v", step, got)
			}
		}
		hourly("told again", false)
		hourly("in vain", true)
		w.answers(nil, marks...)
		hourly("the hospital does not take it", false)
		if _, err := w.s.Ask(context.Background(), west); err != nil {
			t.Fatal(err)
		}
		w.answers([]booking.Case{c}, marks...)
		w.becomes("told back", r.UBRN, referral.NotBooked)
		hourly("settled", false)
	})
}

// TestAnOfferOfATimeThatNobodyKnows: both sides have lost the slot by their restores. Nobody is shown the offer, and it ends without that they have let it pass, once the hospital says what it has; they are offered the next time.
func TestAnOfferOfATimeThatNobodyKnows(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		u := w.waits(referral.Urgent)
		w.gives("lost", 1, 20)
		w.due()
		c := w.told(u)
		w.restores("lost", u)
		w.answers([]booking.Case{c})
		w.gives("next", 1, 21)
		w.due()
		if list, err := w.s.History(ctx, w.gp, u); err != nil || list[len(list)-1].Act != referral.ActTold {
			t.Fatalf("it ended before the hospital said what it has: %s (%v)", list[len(list)-1].Act, err)
		}
		hourly := func(slots ...booking.SlotMark) {
			t.Helper()
			cameTo(w.t, w.s, booking.WorkflowTally, "tally", booking.Tally{Round: "RZZ01-hourly", Last: true, Slots: append(slots, booking.SlotMark{ID: "next-0", Epoch: 1, Session: "next", Base: 1})})
			w.due()
		}
		hourly(booking.SlotMark{ID: "lost-0", Epoch: 5001, Session: "lost", Base: 1}) // it is on its way
		if list, err := w.s.History(ctx, w.gp, u); err != nil || list[len(list)-1].Act != referral.ActTold {
			t.Fatalf("it ended although the hospital has it: %s (%v)", list[len(list)-1].Act, err)
		}
		hourly()
		r := w.get(u)
		if r.Offer == nil || r.Offer.Slot != "next-0" || len(r.Passed) > 0 {
			t.Errorf("they are offered %+v, and have let pass %v", r.Offer, r.Passed)
		}
	})
}

// TestNothingIsSaidOfAQuestionBeforeItIsToldBack: what somebody said to a question from before a restore would stand in the place of what was said in the days that are lost.
func TestNothingIsSaidOfAQuestionBeforeItIsToldBack(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		ask := func(text string) referral.Advice {
			t.Helper()
			a, err := w.s.AskAdvice(ctx, w.gp, referral.AdviceQuestion{Patient: ident.MustNHSNumber("9990000018"), Priority: referral.Routine, Service: waitingFor, Text: text})
			if err != nil {
				t.Fatal(err)
			}
			return a
		}
		a := ask("Is a monitor of use?")
		w.restores("")
		if _, err := w.s.CloseAdvice(ctx, w.gp, a.UBRN, a.Version); !fault.Is(err, fault.Unavailable) {
			t.Errorf("it was closed by a spine that does not know what was said: %v", err)
		}
		fresh := ask("May she fly?")
		if again := ask("May she fly?"); again.UBRN != fresh.UBRN {
			t.Errorf("a question that is sent twice is %s and %s", fresh.UBRN, again.UBRN)
		}
		if _, err := w.s.CloseAdvice(ctx, w.gp, fresh.UBRN, fresh.Version); err != nil {
			t.Errorf("what is asked since is not lost: %v", err)
		}
		w.answers(nil)
		if _, err := w.s.CloseAdvice(ctx, w.gp, a.UBRN, a.Version); err != nil {
			t.Errorf("once the hospital has answered: %v", err)
		}
	})
}
