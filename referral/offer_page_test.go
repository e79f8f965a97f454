package referral_test

import (
	"context"
	"strings"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/simtest"
)

// offeredTo is a referral whose patient waits for a date at the skin clinic, where nothing was free, and is offered the one time of a session.
func offeredTo(t *testing.T, w *simtest.World, session string) referral.Made {
	t.Helper()
	ctx, s := context.Background(), referrals(w)
	m, err := s.Create(ctx, caller(w), referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.TwoWeekWait, Request: referral.ForAppointment, Services: []string{"RZZ01-dermatology"}, Letter: "Please see."})
	if err == nil {
		_, err = s.Act(ctx, caller(w), m.UBRN, referral.Work{Kind: referral.ActDefer, Service: "RZZ01-dermatology", Reason: "BOOKING_ATTEMPT_PROBLEM"})
	}
	if err != nil {
		t.Fatal(err)
	}
	givenSlots(t, w, session, "RZZ01-dermatology", 1, 12)
	if err := s.OfferDue(ctx); err != nil {
		t.Fatal(err)
	}
	return m
}

// TestAnOfferIsAnsweredByPage: the patient's page says what is offered and until when; they say no, or take it, and a form that is sent twice does nothing twice. The practice sees each step.
func TestAnOfferIsAnsweredByPage(t *testing.T) {
	w := shared.Given(t)
	m := offeredTo(t, w, "skin-one")
	gp, patient := w.SignedIn(t, "gp"), w.Visitor(t)
	patient.Get("/appointments").Send("/appointments", "ubrn", m.UBRN.String(), "password", m.Password)
	patient.Get("/appointments/choose").Sees(200, "A time is offered to you", "We keep it for you until", "Take this time", "I cannot come then").SeesNot("Choose where to go", "No free times now")
	gp.Get("/refer/case/"+m.UBRN.String()).Sees(200, "Time offered", "held until", "Decline the time offered", "the national booking office")
	gp.Get("/refer?show=waiting").Sees(200, "Time offered")

	form := patient.Form()
	patient.Send("/appointments/offer", "answer", "no").Sees(200, "We offer the time to somebody else").SeesNot("Take this time")
	form.Set("answer", "no")
	patient.Post("/appointments/offer", form).Sees(200, "We offer the time to somebody else")
	gp.Get("/refer/case/"+m.UBRN.String()).Sees(200, "Time offered to the patient").SeesNot("held until")
	if _, err := referrals(w).Act(context.Background(), caller(w), m.UBRN, referral.Work{Kind: referral.ActDecline}); !fault.Is(err, fault.Conflict) {
		t.Errorf("they said no twice: %v", err)
	}

	givenSlots(t, w, "skin-two", "RZZ01-dermatology", 1, 12)
	if err := referrals(w).OfferDue(context.Background()); err != nil {
		t.Fatal(err)
	}
	patient.Get("/appointments/choose").Sees(200, "Take this time")
	patient.Send("/appointments/offer", "slot", "RZZ01/skin-one/skin-one-0").Sees(409, "That time is not offered to you any more")
	form = patient.Get("/appointments/choose").Form()
	givenSlots(t, w, "skin-three", "RZZ01-dermatology", 2, 13)
	patient.Get("/appointments/choose").Sees(200, "A time is offered to you", "Or book another time yourself", "goes to somebody else", "See times").SeesNot("Choose where to go")
	patient.Send("/appointments/offer").Sees(200, "Your appointment is booked")
	patient.Post("/appointments/offer", form).Sees(200, "Your appointment is booked")
	list, err := referrals(w).History(context.Background(), caller(w), m.UBRN)
	if err != nil {
		t.Fatal(err)
	}
	var acts []string
	for _, v := range list {
		acts = append(acts, string(v.Act))
	}
	if got, want := strings.Join(acts, " "), "create defer offer decline-offer offer book"; got != want {
		t.Errorf("the history is %s, not %s", got, want)
	}
}

// TestTheLetterTellsOfAnOffer: for those who do not look at the page, and with how they answer.
func TestTheLetterTellsOfAnOffer(t *testing.T) {
	w := shared.Given(t)
	m := offeredTo(t, w, "skin-letter")
	l, r, err := referrals(w).PatientLetter(context.Background(), caller(w), m.UBRN, m.Password)
	if err != nil || r.Offer == nil {
		t.Fatalf("%+v: %v", r.Offer, err)
	}
	var words string
	for _, p := range l.Parts {
		words += p.Heading + "\n" + strings.Join(p.Text, "\n")
	}
	for _, want := range []string{"A time is offered to you", "A time has come free for you", "with your booking reference and password by"} {
		if !strings.Contains(words, want) {
			t.Errorf("the letter does not say %q:\n%s", want, words)
		}
	}
	if _, err := referrals(w).Act(context.Background(), caller(w), m.UBRN, referral.Work{Kind: referral.ActDecline}); err != nil {
		t.Fatal(err)
	}
}
