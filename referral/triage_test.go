package referral_test

import (
	"context"
	"io"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
)

// TestTriageFirst refers for triage by page; the hospital takes it at another of its clinics and lets the patient choose, who does.
func TestTriageFirst(t *testing.T) {
	w := shared.Given(t)
	givenSlots(t, w, "triaged", "RZZ01-dermatology", 2, 12)
	gp := w.SignedIn(t, "gp")
	at := "/refer/person/" + digits(w.Number(t, "correct"))
	gp.Get(at + "/letter?service=RZZ01-cardiology&service=RZZ01-dermatology")
	form := gp.Form()
	form["service"] = []string{"RZZ01-cardiology", "RZZ01-dermatology"}
	form.Set("request", "TRIAGE_REQUEST")
	form.Set("letter", "Rash and palpitations.")
	gp.Post(at+"/letter", form).Sees(422, "choose one")
	gp.Get(at+"/letter?service=RZZ01-cardiology").Send(at+"/letter", "service", "RZZ01-cardiology", "priority", "ROUTINE", "request", "TRIAGE_REQUEST", "letter", "Rash and palpitations.").Sees(200, "Referral made", "reads the referral first").SeesNot("Book now, with the patient")
	ubrn, password := digits(fact(t, gp.Body, "Booking reference")), fact(t, gp.Body, "Password")
	gp.Get("/refer/case/"+ubrn).Sees(200, "Awaiting triage", "Sent for triage")
	gp.Get("/refer/case/"+ubrn+"/book").Sees(409, "No time can be chosen for a referral that is awaiting triage")
	u := ident.MustUBRN(ubrn)
	patient := w.Visitor(t)
	patient.Get("/appointments").Send("/appointments", "ubrn", ubrn, "password", password).Sees(200, "is reading your referral").SeesNot("See times")

	came(t, w, booking.WorkflowAct, ubrn, booking.Act{UBRN: u, Number: 1, Seen: 2, Kind: booking.ActTriageAccept, By: "Dr Owain Pugh", At: time.Now(), Service: "RZZ01-dermatology", Invite: true, Priority: "URGENT", Comment: "A skin clinic first."})
	gp.Get("/refer/case/"+ubrn).Sees(200, "Triaged, hospital to act", "Urgent", "A skin clinic first.")
	patient.Get("/appointments/choose").Sees(200, "asks you to choose a date", "See times")
	patient.Get("/appointments/times?service=RZZ01-dermatology").Send("/appointments/times", "slot", "RZZ01/triaged/triaged-0", "service", "RZZ01-dermatology").Sees(200, "Check before you book").Send("/appointments/check").Sees(200, "Your appointment is booked")
}

// TestTriageReturnsWithAdvice: what goes back says why, and is on the practice's list; whoever was not invited does not book.
func TestTriageReturnsWithAdvice(t *testing.T) {
	w := shared.Given(t)
	ctx, s, c := context.Background(), referrals(w), caller(w)
	givenSlots(t, w, "untriaged", "RZZ01-cardiology", 1, 12)
	draft := referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.Routine, Request: referral.ForTriage, Services: []string{"RZZ01-cardiology"}, Letter: "Please see."}
	m, err := s.Create(ctx, c, draft)
	if err != nil || m.State != referral.AwaitingTriage || m.Version != 2 || m.Provider() != west {
		t.Fatalf("%+v, %v", m.Referral, err)
	}
	act := func(a booking.Act) (err error) {
		a.UBRN, a.Number, a.Seen, a.By, a.At = m.UBRN, 1, 2, "Dr Owain Pugh", time.Now()
		return refusedAs(w, a)
	}
	if err := act(booking.Act{Kind: booking.ActTriageReturn}); err == nil || !strings.Contains(err.Error(), "advice") {
		t.Errorf("returned without advice: %v", err)
	}
	if err := act(booking.Act{Kind: booking.ActTriageAccept, Service: "RZZ99-nowhere"}); err == nil {
		t.Error("taken by a service that is none")
	}
	if err := act(booking.Act{Kind: booking.ActTriageAccept}); err != nil {
		t.Fatal(err)
	}
	visit, err := s.Enter(ctx, "192.0.2.1", m.UBRN.String(), m.Password)
	if err != nil {
		t.Fatal(err)
	}
	book := referral.Work{Kind: referral.ActBook, Slot: referral.SlotRef{Provider: west, Session: "untriaged", Slot: "untriaged-0"}, Service: "RZZ01-cardiology"}
	if _, err := s.Act(ctx, referral.Caller{Principal: visit.Principal(), Ask: c.Ask}, m.UBRN, book); !fault.Is(err, fault.Conflict) {
		t.Errorf("the patient booked where the hospital finds the date: %v", err)
	}
	if err := act(booking.Act{Kind: booking.ActTriageReturn, Comment: "Try a statin first."}); err != nil {
		t.Fatal(err)
	}
	r, err := s.Get(ctx, c, m.UBRN)
	if err != nil || r.State != referral.TriageResponse || r.Comment != "Try a statin first." || r.Accepted {
		t.Errorf("%+v, %v", r, err)
	}
	again, err := s.Act(ctx, c, m.UBRN, referral.Work{Kind: referral.ActSendTriage, Services: []string{"RZZ01-dermatology"}, Service: "RZZ01-dermatology"})
	if err != nil || again.State != referral.AwaitingTriage || again.Chosen.Service != "RZZ01-dermatology" || len(again.Shortlist) != 1 {
		t.Errorf("sent to another service: %+v, %v", again, err)
	}
}

// TestWhoMustBeSeenSoonComesFirst: the wait that has passed its limit stands before that which is near it, and both before what has waited longest; referrals of an
// earlier edition are reckoned, and all are counted. It takes the practice's whole list, so that it runs alone.
func TestWhoMustBeSeenSoonComesFirst(t *testing.T) {
	w := shared.Given(t)
	ctx, s := context.Background(), referrals(w)
	near0, passed0, err := s.Flagged(ctx)
	if err != nil {
		t.Fatal(err)
	}
	at := make(map[string]string)
	for name, x := range map[string]struct {
		p    referral.Priority
		days int
	}{"none": {referral.Routine, 30}, "near": {referral.TwoWeekWait, 12}, "passed": {referral.TwoWeekWait, 17}} {
		m, err := s.Create(ctx, caller(w), referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: x.p, Request: referral.ForAppointment, Services: []string{"RZZ01-cardiology"}, Letter: "Please see.", PathwayStart: time.Now().AddDate(0, 0, -x.days)})
		if err != nil {
			t.Fatal(err)
		}
		at[name] = m.UBRN.String()
	}
	if err := s.Unreckon(ctx); err != nil {
		t.Fatal(err)
	}
	near, passed, err := s.Flagged(ctx)
	if err != nil || near-near0 != 1 || passed-passed0 != 1 {
		t.Errorf("%d are near their limit and %d have passed it (%v)", near-near0, passed-passed0, err)
	}
	gp := w.SignedIn(t, "gp")
	gp.Get("/refer").Sees(200, "3 days past the limit", "2 days left to be seen")
	if a, b, c := strings.Index(gp.Body, at["passed"]), strings.Index(gp.Body, at["near"]), strings.Index(gp.Body, at["none"]); a < 0 || a > b || c >= 0 && b > c { // whose wait is not flagged may be on a later page
		t.Errorf("the list is in the order %d, %d, %d", a, b, c)
	}
	gp.Get("/refer/case/"+at["passed"]).Sees(200, "To be seen by", "3 days past the limit")
}

// TestWhatGoesBackWithAdviceStaysTheHospitals: a hospital that returns what it has triaged is told of the file that it sent along, and of no other; after a restore of the spine it tells it back.
func TestWhatGoesBackWithAdviceStaysTheHospitals(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		consultant := w.as(access.Principal{ID: "consultant", Name: "Dr Owain Pugh", Role: access.Clinician, Organisation: west, AuthMethod: "session"})
		m, err := w.s.Create(ctx, w.gp, referral.Draft{Patient: ident.MustNHSNumber("9990000018"), Priority: referral.Routine, Request: referral.ForTriage, Services: []string{waitingFor}, Letter: "Please see."})
		if err != nil {
			t.Fatal(err)
		}
		adds := func(c referral.Caller, name, holds string, work referral.Work) (id string) {
			t.Helper()
			f, err := w.s.Upload(ctx, c, referral.Upload{Name: name, For: m.UBRN}, strings.NewReader(holds))
			if err != nil {
				t.Fatal(err)
			}
			work.Files = []referral.FileRef{{ID: f.ID}}
			if _, err := w.s.Act(ctx, c, m.UBRN, work); err != nil {
				t.Fatal(err)
			}
			return f.ID
		}
		adds(w.gp, "trace.txt", "a trace", referral.Work{Kind: referral.ActLetter})
		plan := adds(consultant, "plan.txt", "the plan", referral.Work{Kind: referral.ActTriageReturn, Comment: "Try a statin first."})
		told, err := w.s.Case(ctx, m.Chart, m.UBRN)
		if err != nil || !told.Gone || told.Letter != "" || len(told.Attachments) != 1 || told.Attachments[0].ID != plan {
			t.Fatalf("the hospital is told of %+v, a letter %q, gone: %t (%v)", told.Attachments, told.Letter, told.Gone, err)
		}
		w.restores("", m.UBRN)
		w.answers([]booking.Case{told})
		if r := w.get(m.UBRN); r.State != referral.TriageResponse || len(r.Attachments) != 1 || r.Attachments[0].Kind != referral.FromProvider || r.Attachments[0].Organisation != west {
			t.Fatalf("told back: %s with %+v", r.State, r.Attachments)
		}
		if o, err := w.s.OpenFile(ctx, w.gp, m.UBRN, plan); err != nil {
			t.Errorf("its file cannot be read: %v", err)
		} else if text, err := io.ReadAll(o); err != nil || string(text) != "the plan" {
			t.Errorf("its file: %q (%v)", text, err)
		}
	})
}
