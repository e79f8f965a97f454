package referral_test

import (
	"context"
	"io"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/simtest"
)

// restored is a country whose spine comes back from a backup. A world of its own: a spine that was restored books nothing for anybody until it is answered.
var restored = simtest.Share("restored", nil)

func refers(t *testing.T, w *simtest.World, s *referral.Referrals) referral.Made {
	t.Helper()
	m, err := s.Create(t.Context(), caller(w), referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{"RZZ01-cardiology"}, Letter: "Please see."})
	if err != nil {
		t.Fatal(err)
	}
	return m
}

// TestASpineThatWasRestored books nothing until the hospital has answered, takes up again what the hospital was told, and numbers what it does from then on beyond anything that it has
// forgotten.
func TestASpineThatWasRestored(t *testing.T) {
	w := restored.Given(t)
	ctx, s, c := context.Background(), referrals(w), caller(w)
	givenSlots(t, w, "life", "RZZ01-cardiology", 4, 20)
	slot := func(id string) referral.SlotRef {
		return referral.SlotRef{Provider: west, Session: "life", Slot: id}
	}
	book := func(s *referral.Referrals, u ident.UBRN, id string) error {
		_, err := s.Act(ctx, c, u, referral.Work{Kind: referral.ActBook, Slot: slot(id), Service: "RZZ01-cardiology"})
		return err
	}
	lost, kept, other := refers(t, w, s), refers(t, w, s), refers(t, w, s)
	for u, id := range map[ident.UBRN]string{lost.UBRN: "life-0", kept.UBRN: "life-1"} {
		if err := book(s, u, id); err != nil {
			t.Fatal(err)
		}
	}
	went := refers(t, w, s) // to another hospital, in the days that will be lost; what this one decided then was refused
	if _, err := s.Act(ctx, c, went.UBRN, referral.Work{Kind: referral.ActDefer, Service: "RZZ01-cardiology", Reason: "BOOKING_ATTEMPT_PROBLEM"}); err != nil {
		t.Fatal(err)
	}
	gone, err := s.Case(ctx, went.Chart, went.UBRN)
	if err != nil {
		t.Fatal(err)
	}
	gone.Version, gone.Gone, gone.State, gone.Acted = gone.Version+1, true, "BOOKED", 1
	file, err := s.Upload(ctx, c, referral.Upload{Name: "trace.txt", For: lost.UBRN}, strings.NewReader("a trace"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Act(ctx, c, lost.UBRN, referral.Work{Kind: referral.ActLetter, Files: []referral.FileRef{{ID: file.ID, Description: "of March"}}}); err != nil {
		t.Fatal(err)
	}
	told, err := s.Case(ctx, lost.Chart, lost.UBRN)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Forget(ctx, lost.Chart, lost.UBRN); err != nil {
		t.Fatal(err)
	}
	if s, err = s.Restored(ctx); err != nil {
		t.Fatal(err)
	}
	if err := book(s, other.UBRN, "life-0"); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("a spine that was restored booked before it was answered: %v", err)
	}
	// Two questions of the hospital's are handled at one instant, and the spine asks after each: only the answer to the last one counts.
	rounds, err := s.AskTimes(ctx, west, 2)
	if err != nil {
		t.Fatal(err)
	}
	cameTo(t, s, booking.WorkflowTally, "tally", booking.Tally{Round: rounds[0], Last: true, Slots: []booking.SlotMark{{ID: "life-1", Epoch: 5001, Session: "life", Base: 1}}})
	if err := book(s, other.UBRN, "life-1"); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("the answer to the first of two questions was taken for that to the last: %v", err)
	}
	round := rounds[1]
	// The hospital got life-2 back in the days that were lost; of the others it knows what the spine knows. It has been given life-9 meanwhile, and its slot life-3 was handed over once more.
	told.Acted = 1
	answer := booking.Tally{Round: round, Last: true, Told: []booking.Case{told, gone}, Slots: []booking.SlotMark{{ID: "life-0", Epoch: 1, Session: "life", Base: 1}, {ID: "life-1", Epoch: 1, Session: "life", Base: 1},
		{ID: "life-2", Epoch: 5000, Session: "life", Base: 5000}, {ID: "life-3", Epoch: 5001, Session: "life", Base: 3}, {ID: "life-9", Epoch: 5000, Session: "life", Base: 5000}}}
	earlier := answer
	earlier.Round = "an earlier question"
	cameTo(t, s, booking.WorkflowTally, "tally", earlier)
	if err := book(s, other.UBRN, "life-1"); !fault.Is(err, fault.Unavailable) {
		t.Fatalf("an answer to an earlier question was taken: %v", err)
	}
	cameTo(t, s, booking.WorkflowTally, "tally", answer)
	r, err := s.Get(ctx, c, lost.UBRN)
	if err != nil || r.State != referral.Booked || r.Appointment == nil || r.Appointment.Slot != "life-0" || r.Version <= told.Version {
		t.Fatalf("what the hospital was told is not known again: %+v (%v)", r, err)
	}
	if text, err := s.Letter(ctx, c, lost.UBRN); err != nil || text != "Please see." {
		t.Errorf("its letter: %q (%v)", text, err)
	}
	if len(r.Attachments) != 1 || r.Attachments[0].Description != "of March" || r.Attachments[0].Kind != referral.FromReferrer || r.Attachments[0].Organisation != c.Principal.Organisation {
		t.Errorf("its files: %+v", r.Attachments)
	}
	if o, err := s.OpenFile(ctx, c, lost.UBRN, file.ID); err != nil {
		t.Errorf("its file cannot be read: %v", err)
	} else if text, err := io.ReadAll(o); err != nil || string(text) != "a trace" {
		t.Errorf("its file: %q (%v)", text, err)
	}
	for _, id := range []string{"life-0", "life-1", "life-2", "life-9"} {
		if _, gone := referral.Taken(book(s, other.UBRN, id)); !gone {
			t.Errorf("%s was booked twice, or is not the spine's to book", id)
		}
	}
	if err := book(s, other.UBRN, "life-3"); err != nil {
		t.Fatal(err)
	}
	if r, err = s.Get(ctx, c, other.UBRN); err != nil || r.Appointment.Epoch != 3 || r.Version < 1_700_000_000 {
		t.Errorf("the booking names epoch %d of its slot, at version %d (%v)", r.Appointment.Epoch, r.Version, err)
	}
	// An act of days that were lost, which the hospital knows to be over, comes once more with the post: nothing happens.
	over := booking.Act{UBRN: lost.UBRN, Number: 1, Seen: 1, Kind: booking.ActCancel, Reason: "CLINIC_CANCELLED", By: "Dr Q", At: r.Changed, Appointment: told.Appointment}
	cameTo(t, s, booking.WorkflowAct, lost.UBRN.String(), over)
	if r, err := s.Get(ctx, c, lost.UBRN); err != nil || r.State != referral.Booked {
		t.Errorf("an act that was over has made the referral %s (%v)", r.State, err)
	}
	over.Number = 2
	cameTo(t, s, booking.WorkflowAct, lost.UBRN.String(), over)
	if r, err := s.Get(ctx, c, lost.UBRN); err != nil || r.State != referral.CancelledByProvider {
		t.Errorf("one that was not leaves it %s (%v)", r.State, err)
	}
	own := &booking.Appointment{Slot: "own-1", Session: "own", Start: r.Appointment.Start, End: r.Appointment.End}
	for number, want := range []referral.State{1: referral.Deferred, 2: referral.Booked} {
		if number == 0 {
			continue
		}
		cameTo(t, s, booking.WorkflowAct, went.UBRN.String(), booking.Act{UBRN: went.UBRN, Number: int64(number), Seen: 2, Kind: booking.ActMove, By: "Dr Q", At: r.Changed, Appointment: own})
		if r, err := s.Get(ctx, c, went.UBRN); err != nil || r.State != want {
			t.Errorf("after act %d of the hospital the referral is %s, not %s (%v)", number, r.State, want, err)
		}
	}
	late := booking.Slots{Session: "life", Service: "RZZ01-cardiology", Slots: []booking.Slot{{ID: "life-9", Epoch: 1, Start: r.Appointment.Start, End: r.Appointment.End}}}
	cameTo(t, s, booking.WorkflowSlots, "life", late)
	if _, gone := referral.Taken(book(s, kept.UBRN, "life-9")); !gone {
		t.Error("a slot that the hospital owns was booked because of a message from days that were lost")
	}
}

// TestAHospitalThatWasRestored asks the spine, which keeps what it has booked, gives back what it cannot know, and raises the rest beyond what is under way.
func TestAHospitalThatWasRestored(t *testing.T) {
	w := shared.Given(t)
	ctx, s, c := context.Background(), referrals(w), caller(w)
	givenSlots(t, w, "asks", "RZZ01-cardiology", 2, 25)
	m := refers(t, w, s)
	slot := func(id string) referral.SlotRef {
		return referral.SlotRef{Provider: west, Session: "asks", Slot: id}
	}
	if _, err := s.Act(ctx, c, m.UBRN, referral.Work{Kind: referral.ActBook, Slot: slot("asks-0"), Service: "RZZ01-cardiology"}); err != nil {
		t.Fatal(err)
	}
	asked := booking.Tally{Round: "RZZ01-restored", Unsure: true, Last: true, Slots: []booking.SlotMark{{ID: "asks-0", Session: "asks"}, {ID: "asks-1", Session: "asks", Epoch: 1, Base: 1}, {ID: "asks-2", Session: "asks", Epoch: 3, Base: 3}, {ID: "asks-3", Session: "asks"}}}
	cameTo(t, s, booking.WorkflowTally, "tally", asked)
	for id, right := range map[string]func(e booking.Epoch) bool{
		"asks-0": func(e booking.Epoch) bool { return e == 1 }, "asks-1": func(e booking.Epoch) bool { return e == 1 },
		"asks-2": func(e booking.Epoch) bool { return e > 1000 && booking.Hospital.Owns(e) }, "asks-3": func(e booking.Epoch) bool { return e > 1000 && booking.Hospital.Owns(e) },
	} {
		if e, err := s.Own(ctx, slot(id)); err != nil || !right(e) {
			t.Errorf("%s is at epoch %d (%v)", id, e, err)
		}
	}
	// Whom the hospital has in a slot that was never the spine's is there since epoch 0, and stays; one that was on its way to the spine nobody is in.
	marks, err := s.Marks(ctx, west)
	if err != nil {
		t.Fatal(err)
	}
	for _, m := range marks {
		if m.ID == "asks-3" && m.Since() != 0 || m.ID == "asks-2" && m.Since() != m.Epoch {
			t.Errorf("%s is the hospital's since %d", m.ID, m.Since())
		}
	}
	if _, err := s.Act(ctx, c, m.UBRN, referral.Work{Kind: referral.ActMove, Slot: slot("asks-1"), Service: "RZZ01-cardiology"}); err != nil {
		t.Errorf("the spine does not book what is its own while a hospital asks: %v", err)
	}
}

// TestWhatAHospitalKnowsOtherwiseIsToldAgain, whole and at the version that it has: both sides may have lost what told of it. What has changed since the hospital last heard is under way,
// unless it asks because it was restored. A slot of which the spine knows no more than its name is compared as well.
func TestWhatAHospitalKnowsOtherwiseIsToldAgain(t *testing.T) {
	w := shared.Given(t)
	ctx, s, c := context.Background(), referrals(w), caller(w)
	givenSlots(t, w, "again", "RZZ01-cardiology", 2, 26)
	booked, cancelled := refers(t, w, s), refers(t, w, s)
	for u, id := range map[ident.UBRN]string{booked.UBRN: "again-0", cancelled.UBRN: "again-1"} {
		if _, err := s.Act(ctx, c, u, referral.Work{Kind: referral.ActBook, Slot: referral.SlotRef{Provider: west, Session: "again", Slot: id}, Service: "RZZ01-cardiology"}); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.Act(ctx, c, cancelled.UBRN, referral.Work{Kind: referral.ActCancelBy, Reason: "PATIENT_ILL"}); err != nil {
		t.Fatal(err)
	}
	stale := func(tally booking.Tally) (list []ident.UBRN) {
		t.Helper()
		all, err := s.Stale(ctx, west, tally)
		if err != nil {
			t.Fatal(err)
		}
		for _, u := range all {
			if u == booked.UBRN || u == cancelled.UBRN {
				list = append(list, u)
			}
		}
		return list
	}
	r, err := s.Get(ctx, c, cancelled.UBRN)
	if err != nil {
		t.Fatal(err)
	}
	known := booking.Tally{Round: "RZZ01-hourly", Last: true, Heard: r.Changed.UnixMicro() - 1, Cases: []booking.CaseMark{{UBRN: cancelled.UBRN, Version: 2}}}
	if got := stale(known); len(got) != 1 || got[0] != booked.UBRN {
		t.Errorf("told again although it is under way, or not although it is lost: %v", got)
	}
	known.Heard++
	if got := stale(known); len(got) != 2 {
		t.Errorf("told again: %v", got)
	}
	known.Heard, known.Unsure = 0, true
	if got := stale(known); len(got) != 2 {
		t.Errorf("told again to a hospital that was restored: %v", got)
	}
	before := s.Sent(t, booked.UBRN)
	known.Slots = []booking.SlotMark{{ID: "again-9", Session: "again", Epoch: 4, Base: 4}}
	cameTo(t, s, booking.WorkflowTally, "tally", known)
	if n := s.Sent(t, booked.UBRN) - before; n != 1 {
		t.Errorf("the case was sent %d times", n)
	}
	simtest.Eventually(t, func() bool { return s.Settled(t, booked.UBRN) })
	for range 5 { // hours in which it is parked there
		if err := s.Become(ctx, booked.UBRN, messaging.Parked); err != nil {
			t.Fatal(err)
		}
		cameTo(t, s, booking.WorkflowTally, "tally", known)
	}
	if n := s.Sent(t, booked.UBRN) - before; n != 1 {
		t.Errorf("the case was sent %d times behind one that is still under way", n)
	}
	if err := s.Become(ctx, booked.UBRN, messaging.Handled); err != nil {
		t.Fatal(err)
	}
	cameTo(t, s, booking.WorkflowTally, "tally", known)
	if n := s.Sent(t, booked.UBRN) - before; n != 2 {
		t.Errorf("the case was sent %d times once the first was dealt with, and was lost", n)
	}
	if marks, err := s.Marks(ctx, west); err != nil || !slices.ContainsFunc(marks, func(m booking.SlotMark) bool { return m.ID == "again-9" && m.Epoch > 1000 }) {
		t.Errorf("a slot that was settled by its name alone is not compared: %v (%v)", marks, err)
	}
}

// TestAQuestionWithoutAnAnswerIsAskedAgain after an hour: with two restores, the question or its answer may be lost to both sides.
func TestAQuestionWithoutAnAnswerIsAskedAgain(t *testing.T) {
	at := time.Date(2026, 7, 1, 9, 0, 0, 0, time.UTC)
	for after, again := range map[time.Duration]bool{0: false, 59 * time.Minute: false, time.Hour: true, -30 * time.Minute: false, -2 * time.Hour: true} {
		if got := referral.AsksAgain(at, at.Add(after)); got != again {
			t.Errorf("%s after the question it is asked again: %v", after, got)
		}
	}
}

// handed is another country whose spine comes back from a backup: what was done in the same second as an earlier restore would be of the life after it.
var handed = simtest.Share("handed", nil)

// TestABookingWhoseSlotHasChangedHands is cancelled by a spine that was restored to when it stood, also where the referral has been changed since, so that what the hospital tells back is not taken.
func TestABookingWhoseSlotHasChangedHands(t *testing.T) {
	w := handed.Given(t)
	ctx, s, c := context.Background(), referrals(w), caller(w)
	givenSlots(t, w, "hands", "RZZ01-cardiology", 4, 20)
	slot := func(id string) referral.SlotRef {
		return referral.SlotRef{Provider: west, Session: "hands", Slot: id}
	}
	book := func(s *referral.Referrals, u ident.UBRN, id string) error {
		_, err := s.Act(ctx, c, u, referral.Work{Kind: referral.ActBook, Slot: slot(id), Service: "RZZ01-cardiology"})
		return err
	}
	state := func(s *referral.Referrals, u ident.UBRN) referral.State {
		r, err := s.Get(ctx, c, u)
		if err != nil {
			t.Fatal(err)
		}
		return r.State
	}
	back, anew, kept, told, other := refers(t, w, s), refers(t, w, s), refers(t, w, s), refers(t, w, s), refers(t, w, s)
	ids := map[string]ident.UBRN{"hands-0": back.UBRN, "hands-1": anew.UBRN, "hands-2": kept.UBRN, "hands-3": told.UBRN}
	var lost []booking.Case
	for _, id := range []string{"hands-0", "hands-1", "hands-2", "hands-3"} {
		u := ids[id]
		if err := book(s, u, id); err != nil {
			t.Fatal(err)
		}
		r, err := s.Get(ctx, c, u)
		if err != nil {
			t.Fatal(err)
		}
		told, err := s.Case(ctx, r.Chart, u)
		if err != nil {
			t.Fatal(err)
		}
		if id != "hands-2" { // it was cancelled in the days that were lost
			told.Version, told.State, told.Appointment = told.Version+1, string(referral.CancelledByPatient), nil
			lost = append(lost, told)
		}
	}
	s, err := s.Restored(ctx)
	if err != nil {
		t.Fatal(err)
	}
	for _, id := range []string{"hands-0", "hands-1", "hands-2"} { // the practice goes on with what it sees
		if _, err := s.Act(ctx, c, ids[id], referral.Work{Kind: referral.ActLetter, Letter: "Please see, also for the ankles."}); err != nil {
			t.Fatal(err)
		}
	}
	round, err := s.Ask(ctx, west)
	if err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(ctx, c, anew.UBRN)
	if err != nil {
		t.Fatal(err)
	}
	cameTo(t, s, booking.WorkflowSlots, "hands", booking.Slots{Session: "hands", Service: "RZZ01-cardiology", Slots: []booking.Slot{{ID: "hands-1", Epoch: 5001, Start: r.Appointment.Start, End: r.Appointment.End}}})
	if err := s.Due(ctx); err != nil {
		t.Fatal(err)
	}
	if got := state(s, anew.UBRN); got != referral.Booked {
		t.Errorf("before the hospital has told what it knows the booking is %s", got)
	}
	cameTo(t, s, booking.WorkflowTally, "tally", booking.Tally{Round: round, Last: true, Told: lost, Slots: []booking.SlotMark{{ID: "hands-0", Epoch: 5000, Session: "hands", Base: 5000},
		{ID: "hands-1", Epoch: 5001, Session: "hands", Base: 5001}, {ID: "hands-2", Epoch: 5001, Session: "hands", Base: 1}, {ID: "hands-3", Epoch: 5000, Session: "hands", Base: 5000}}})
	for range 2 {
		if err := s.Due(ctx); err != nil {
			t.Fatal(err)
		}
	}
	for id, want := range map[string]referral.State{"hands-0": referral.CancelledByProvider, "hands-1": referral.CancelledByProvider, "hands-2": referral.Booked, "hands-3": referral.CancelledByPatient} {
		if got := state(s, ids[id]); got != want {
			t.Errorf("whoever was booked in %s is %s, not %s", id, got, want)
		}
	}
	if _, gone := referral.Taken(book(s, other.UBRN, "hands-0")); !gone {
		t.Error("the hospital's slot was booked")
	}
	if err := book(s, other.UBRN, "hands-1"); err != nil {
		t.Errorf("the slot that was handed over anew: %v", err)
	}
	if err := s.Due(ctx); err != nil {
		t.Fatal(err)
	}
	if got := state(s, other.UBRN); got != referral.Booked {
		t.Errorf("whoever was booked in it then is %s", got)
	}
}

// TestAPastAppointmentThatTheHospitalLetGo: the hospital was told, in days that a restore of the spine has lost, that the referral went elsewhere, and nobody else knows of it. What the spine still has is a time that has
// passed without them: it is cancelled, so that somebody finds another. One that is yet to come stands, as it is here.
func TestAPastAppointmentThatTheHospitalLetGo(t *testing.T) {
	t.Parallel()
	w := newQuiet(t, "")
	ctx := context.Background()
	w.gives("soon", 1, 5)
	w.gives("late", 1, 30)
	var lost []booking.Case
	var numbers []ident.UBRN
	for _, session := range []string{"soon", "late"} {
		m := w.refers(referral.Routine)
		if _, err := w.s.Act(ctx, w.gp, m.UBRN, referral.Work{Kind: referral.ActBook, Slot: referral.SlotRef{Provider: west, Session: session, Slot: session + "-0"}, Service: waitingFor}); err != nil {
			t.Fatal(err)
		}
		c, err := w.s.Case(ctx, m.Chart, m.UBRN)
		if err != nil {
			t.Fatal(err)
		}
		c.Version, c.Gone, c.State, c.Appointment = c.Version+2, true, string(referral.Deferred), nil
		lost, numbers = append(lost, c), append(numbers, m.UBRN)
	}
	w.time.Advance(8 * 24 * time.Hour)
	s, err := w.s.Restored(ctx)
	if err != nil {
		t.Fatal(err)
	}
	round, err := s.Ask(ctx, west)
	if err != nil {
		t.Fatal(err)
	}
	cameTo(t, s, booking.WorkflowTally, "tally", booking.Tally{Round: round, Last: true, Told: lost, Slots: []booking.SlotMark{{ID: "soon-0", Epoch: 2, Session: "soon", Base: 2}, {ID: "late-0", Epoch: 1, Session: "late", Base: 1}}})
	for i, want := range []referral.State{referral.CancelledByProvider, referral.Booked} {
		r, err := s.Get(ctx, w.gp, numbers[i])
		if err != nil {
			t.Fatal(err)
		}
		if r.State != want || (r.Appointment == nil) != (want != referral.Booked) {
			t.Errorf("the appointment of session %d is %s: %+v", i, r.State, r.Appointment)
		}
		if want == referral.CancelledByProvider && (r.Reason.Code != "CLINIC_CANCELLED" || !r.May(referral.ActBook, referral.Patient)) {
			t.Errorf("its reason is %v", r.Reason)
		}
	}
}
