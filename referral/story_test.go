package referral_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/simtest"
)

var shared = simtest.Share("referral", nil)

func TestMain(m *testing.M) { shared.Main(m, restored) }

var national, west = ident.MustODSCode("X26"), ident.MustODSCode("RZZ01")

// referrals are those of the world's node.
func referrals(w *simtest.World) *referral.Referrals {
	k := w.Node.Kernel()
	return referral.New(k, directory.New(k, true), referral.Options{})
}

// given a session of n free slots of a service, which starts in so many days.
func givenSlots(t testing.TB, w *simtest.World, session, service string, n, days int) {
	t.Helper()
	start := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, days).Add(9 * time.Hour)
	msg := booking.Slots{Session: session, Service: service}
	for i := range n {
		at := start.Add(time.Duration(i) * 20 * time.Minute)
		msg.Slots = append(msg.Slots, booking.Slot{ID: fmt.Sprintf("%s-%d", session, i), Epoch: 1, Start: at, End: at.Add(20 * time.Minute), Clinician: "Dr Owain Pugh"})
	}
	came(t, w, booking.WorkflowSlots, session, msg)
}

func came[M booking.Message](t testing.TB, w *simtest.World, workflow, conversation string, msg M) {
	t.Helper()
	cameTo(t, referrals(w), workflow, conversation, msg)
}

func cameTo[M booking.Message](t testing.TB, s *referral.Referrals, workflow, conversation string, msg M) {
	t.Helper()
	body, err := booking.Encode(msg)
	if err != nil {
		t.Fatal(err)
	}
	if err := s.Came(context.Background(), messaging.Message{ID: "test", From: west, To: national, Workflow: workflow, Conversation: conversation, Body: body}); err != nil {
		t.Fatal(err)
	}
}

// refer makes a referral as the practice's doctor does, and returns its UBRN and password.
func refer(t testing.TB, gp *simtest.Reader, number, service string) (ubrn, password string) {
	t.Helper()
	at := "/refer/person/" + strings.ReplaceAll(number, " ", "")
	gp.Get(at + "/letter?service=" + service)
	gp.Send(at+"/letter", "service", service, "priority", "ROUTINE", "request", "APPOINTMENT_REQUEST", "letter", "Chest pain on the stairs for six weeks.\nPlease see.")
	if gp.Status != 200 || !strings.Contains(gp.Body, "Referral made") {
		t.Fatalf("referring: %d\n%s", gp.Status, gp.Body)
	}
	return strings.ReplaceAll(fact(t, gp.Body, "Booking reference"), " ", ""), fact(t, gp.Body, "Password")
}

// fact is the value of a row of a summary list.
func fact(t testing.TB, page, key string) string {
	t.Helper()
	_, rest, ok := strings.Cut(page, key+`</dt>`)
	if !ok {
		t.Fatalf("the page does not say %s\n%s", key, page)
	}
	_, rest, _ = strings.Cut(rest, "<bdi>")
	value, _, _ := strings.Cut(rest, "</bdi>")
	return value
}

// TestFromThePracticeToTheClinic is the whole journey: a doctor refers, the patient books, changes and cancels without an account, and the hospital decides.
func TestFromThePracticeToTheClinic(t *testing.T) {
	w := shared.Given(t)
	givenSlots(t, w, "journey", "RZZ01-cardiology", 6, 10)
	number := w.Number(t, "correct")
	gp := w.SignedIn(t, "gp")
	chart := w.Chart(t, "correct", "Z99801")
	gp.Get(chart)
	gp.Get(gp.Link("/refer/person/[0-9]+"))
	if !strings.Contains(gp.Body, "Cardiology outpatients") || strings.Contains(gp.Body, "Children&#39;s clinic") {
		t.Fatalf("the services are wrong for the person:\n%s", gp.Body)
	}
	gp.Get("/refer/person/"+digits(number)+"?specialty=394579002").Sees(200, "Cardiology outpatients").SeesNot("Dermatology outpatients")
	ubrn, password := refer(t, gp, number, "RZZ01-cardiology")

	patient := w.Visitor(t)
	patient.Get("/appointments").Send("/appointments", "ubrn", ubrn, "password", password)
	if !strings.Contains(patient.Body, "You have not booked yet") || !strings.Contains(patient.Body, "See times") {
		t.Fatalf("the patient does not see the choice: %d\n%s", patient.Status, patient.Body)
	}
	book := func(slot string) {
		t.Helper()
		patient.Get("/appointments/times?service=RZZ01-cardiology").Send("/appointments/times", "slot", "RZZ01/journey/"+slot, "service", "RZZ01-cardiology")
		if !strings.Contains(patient.Body, "Check before you book") {
			t.Fatalf("no check: %d\n%s", patient.Status, patient.Body)
		}
		patient.Send("/appointments/check")
		if !strings.Contains(patient.Body, "Your appointment is booked") {
			t.Fatalf("not booked: %d\n%s", patient.Status, patient.Body)
		}
	}
	book("journey-0")
	book("journey-1")
	if n := free(t, w, "RZZ01-cardiology", "journey"); n != 5 {
		t.Errorf("%d of 6 slots are free after a move", n)
	}
	patient.Get("/appointments/appointment.ics")
	if !strings.Contains(patient.Body, "BEGIN:VEVENT\r\n") {
		t.Errorf("the calendar: %s", patient.Body)
	}
	u := ident.MustUBRN(ubrn)
	came(t, w, booking.WorkflowAct, ubrn, booking.Act{UBRN: u, Number: 1, Seen: 3, Kind: booking.ActAccept, By: "Dr Owain Pugh", At: time.Now()})
	gp.Get("/refer/case/" + ubrn)
	for _, words := range []string{"Moved to another time", "Dr Owain Pugh", "Chest pain on the stairs"} {
		if !strings.Contains(gp.Body, words) {
			t.Errorf("the referral does not say %q", words)
		}
	}
	patient.Get("/appointments/cancel").Sees(200, "I am ill I have something else that I cannot move Something else").SeesNot("Patient is sick")
	patient.Send("/appointments/cancel", "reason", "PATIENT_ILL")
	if !strings.Contains(patient.Body, "is cancelled: you") {
		t.Fatalf("not cancelled: %d\n%s", patient.Status, patient.Body)
	}
	if n := free(t, w, "RZZ01-cardiology", "journey"); n != 6 {
		t.Errorf("%d of 6 slots are free after it was cancelled", n)
	}
	gp.Get("/refer?q=" + ubrn)
	if !strings.Contains(gp.Body, "/refer/case/"+ubrn) {
		t.Errorf("what the patient cancelled is not on the practice's worklist")
	}
}

func free(t testing.TB, w *simtest.World, service, session string) (n int) {
	t.Helper()
	list, err := referrals(w).FreeSlots(context.Background(), service, time.Time{}, time.Time{}, "", 1000)
	if err != nil {
		t.Fatal(err)
	}
	for _, x := range list {
		if x.Session == session {
			n++
		}
	}
	return n
}

func digits(s string) string { return strings.ReplaceAll(s, " ", "") }

// TestASessionIsGivenBack: what is free goes back to the hospital when it asks, what is booked stays; when the session is withdrawn whoever is booked returns to the worklists.
func TestASessionIsGivenBack(t *testing.T) {
	w := shared.Given(t)
	ctx, s := context.Background(), referrals(w)
	givenSlots(t, w, "back", "RZZ01-dermatology", 2, 15)
	m, err := s.Create(ctx, caller(w), referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.Urgent, Request: referral.ForAppointment, Services: []string{"RZZ01-dermatology"}, Letter: "A changing mole."})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Act(ctx, caller(w), m.UBRN, referral.Work{Kind: referral.ActDefer, Service: "RZZ01-dermatology"}); !slotsAvailable(err) {
		t.Errorf("it was deferred while there are free slots: %v", err)
	}
	slot := func(id string) referral.SlotRef {
		return referral.SlotRef{Provider: west, Session: "back", Slot: id}
	}
	if _, err := s.Act(ctx, caller(w), m.UBRN, referral.Work{Kind: referral.ActBook, Slot: slot("back-0"), Service: "RZZ01-dermatology"}); err != nil {
		t.Fatal(err)
	}
	came(t, w, booking.WorkflowRecall, "back", booking.Recall{Session: "back"})
	hidden := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 15).Add(9*time.Hour + 20*time.Minute) // back-1, the first by its time and id
	givenSlots(t, w, "behind", "RZZ01-dermatology", 1, 16)
	if list, err := s.FreeSlots(ctx, "RZZ01-dermatology", hidden, hidden.AddDate(0, 0, 2), "", 1); err != nil || len(list) != 1 || list[0].Session == "back" {
		t.Errorf("a slot that was given back hides the one behind it: %v (%v)", list, err)
	}
	for id, want := range map[string]booking.Epoch{"back-0": 1, "back-1": 2} {
		if e, err := s.Own(ctx, slot(id)); err != nil || e != want {
			t.Errorf("%s is at epoch %d, want %d (%v)", id, e, want, err)
		}
	}
	came(t, w, booking.WorkflowRecall, "back", booking.Recall{Session: "back", Withdrawn: true})
	if err := s.Due(ctx); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(ctx, caller(w), m.UBRN)
	if err != nil || r.State != referral.CancelledByProvider || r.Appointment != nil {
		t.Errorf("after the session was withdrawn it is %s (%v)", r.State, err)
	}
	if e, err := s.Own(ctx, slot("back-0")); err != nil || e != 2 {
		t.Errorf("the slot of whoever was booked is at epoch %d: it was not handed back (%v)", e, err)
	}
}

// TestWhatIsFreeIsNeverOld: what was counted before is not said of a service whose slots were taken, held, given or asked back since, by whichever part of the node.
func TestWhatIsFreeIsNeverOld(t *testing.T) {
	w := shared.Given(t)
	ctx, s, other, service := context.Background(), frees{referrals(w)}, frees{referrals(w)}, "RZZ01-dermatology"
	before := s.free(ctx, t, service)
	is := func(what string, more int64) {
		t.Helper()
		for _, x := range []frees{s, other} {
			if got := x.free(ctx, t, service); got != before+more {
				t.Errorf("%s: %d free slots, want %d", what, got, before+more)
			}
		}
	}
	givenSlots(t, w, "count", service, 4, 20)
	is("given", 4)
	m, err := s.Create(ctx, caller(w), referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.Urgent, Request: referral.ForAppointment, Services: []string{service}, Letter: "A changing mole."})
	if err != nil {
		t.Fatal(err)
	}
	slot := func(id string) referral.SlotRef {
		return referral.SlotRef{Provider: west, Session: "count", Slot: id}
	}
	if _, err := s.Act(ctx, caller(w), m.UBRN, referral.Work{Kind: referral.ActBook, Slot: slot("count-0"), Service: service}); err != nil {
		t.Fatal(err)
	}
	is("booked", 3)
	if _, err := other.Hold(ctx, slot("count-1"), "somebody"); err != nil {
		t.Fatal(err)
	}
	is("held", 2)
	if _, err := other.Act(ctx, caller(w), m.UBRN, referral.Work{Kind: referral.ActMove, Slot: slot("count-2"), Service: service}); err != nil {
		t.Fatal(err)
	}
	is("moved", 2)
	if _, err := s.Act(ctx, caller(w), m.UBRN, referral.Work{Kind: referral.ActCancelBy, Reason: "PATIENT_ILL"}); err != nil {
		t.Fatal(err)
	}
	is("cancelled", 3)
	came(t, w, booking.WorkflowRecall, "count", booking.Recall{Session: "count", Slots: []string{"count-3"}})
	is("asked back", 2)
	came(t, w, booking.WorkflowRecall, "count", booking.Recall{Session: "count", Withdrawn: true})
	is("withdrawn", 0)
}

type frees struct{ *referral.Referrals }

// free is how many slots of a service are free.
func (s frees) free(ctx context.Context, t *testing.T, service string) int64 {
	t.Helper()
	n, err := s.FreesUpTo(ctx, service, 1000)
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// TestNobodyLearnsWhichWasWrong: five wrong passwords lock a number, one that is nobody's as well as one that is somebody's, in the same words.
func TestNobodyLearnsWhichWasWrong(t *testing.T) {
	w := shared.Given(t)
	ctx, s := context.Background(), referrals(w)
	m, err := s.Create(ctx, caller(w), referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{"RZZ01-cardiology"}, Letter: "Please see."})
	if err != nil {
		t.Fatal(err)
	}
	words := map[string]bool{}
	for _, number := range []string{m.UBRN.String(), "000000000001", "no number"} {
		for range 5 {
			_, err := s.Enter(ctx, "192.0.2.1", number, "wrong")
			if !fault.Is(err, fault.Unauthenticated) {
				t.Fatalf("a wrong password: %v", err)
			}
			words[err.Error()] = true
		}
	}
	if _, err := s.Enter(ctx, "192.0.2.1", m.UBRN.String(), m.Password); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("the right password while the number is locked: %v", err)
	} else {
		words[err.Error()] = true
	}
	if len(words) != 1 {
		t.Errorf("there are %d ways to say no: %v", len(words), words)
	}
	// The patient at home is not locked out by a stranger; by very many everybody is, until the practice gives a new password.
	if _, err := s.Enter(ctx, "192.0.2.2", m.UBRN.String(), m.Password); err != nil {
		t.Errorf("the patient, while a stranger is locked out: %v", err)
	}
	for i := range 95 {
		if _, err := s.Enter(ctx, fmt.Sprintf("198.51.100.%d", i), m.UBRN.String(), "wrong"); !fault.Is(err, fault.Unauthenticated) {
			t.Fatal(err)
		}
	}
	if _, err := s.Enter(ctx, "192.0.2.2", m.UBRN.String(), m.Password); !fault.Is(err, fault.Unauthenticated) {
		t.Errorf("after a hundred wrong passwords: %v", err)
	}
	password, err := s.NewPassword(ctx, caller(w), m.UBRN)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Enter(ctx, "192.0.2.1", m.UBRN.String(), password); err != nil {
		t.Errorf("with a new password: %v", err)
	}
}

func slotsAvailable(err error) bool {
	_, ok := referral.SlotsAvailable(err)
	return ok
}

// refusedAs is what an act of a hospital is refused with; nil when it is taken.
func refusedAs(w *simtest.World, a booking.Act) error {
	body, err := booking.Encode(a)
	if err != nil {
		return err
	}
	return referrals(w).Came(context.Background(), messaging.Message{ID: "test", From: west, To: national, Workflow: booking.WorkflowAct, Conversation: a.UBRN.String(), Body: body})
}
