package referral_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
)

// TestWhoChoosesAnotherTimeLetsGoOfTheFirst: a patient holds one time at most, in whichever session, so that nobody can empty a clinic by looking at all that it has; what is offered to them stays theirs.
func TestWhoChoosesAnotherTimeLetsGoOfTheFirst(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		ctx := context.Background()
		m := w.refers(referral.Routine)
		for day := range 4 {
			w.gives(fmt.Sprintf("day%d", day), 3, 10+day)
		}
		free := func() int {
			t.Helper()
			list, err := w.s.FreeSlots(ctx, waitingFor, time.Time{}, time.Time{}, "somebody else", 100)
			if err != nil {
				t.Fatal(err)
			}
			return len(list)
		}
		at := func(day, i int) referral.SlotRef {
			return referral.SlotRef{Provider: west, Session: fmt.Sprintf("day%d", day), Slot: fmt.Sprintf("day%d-%d", day, i)}
		}
		for day := range 4 {
			for i := range 3 {
				if _, err := w.s.Hold(ctx, at(day, i), m.UBRN.String()); err != nil {
					t.Fatal(err)
				}
			}
		}
		if n := free(); n != 11 {
			t.Errorf("of 12 times %d are free while one patient decides", n)
		}
		if _, err := w.s.Hold(ctx, at(3, 2), "somebody else"); !fault.Is(err, fault.Conflict) {
			t.Errorf("the time that they hold last: %v", err)
		}
		// A time that is offered is held beside the one that they look at.
		who := w.refers(referral.Urgent)
		if _, err := w.s.Act(ctx, w.gp, who.UBRN, referral.Work{Kind: referral.ActDefer, Service: waitingFor, Reason: "BOOKING_ATTEMPT_PROBLEM"}); err != nil {
			t.Fatal(err)
		}
		w.due()
		r := w.get(who.UBRN)
		if r.Offer == nil {
			t.Fatal("nothing is offered")
		}
		for _, x := range []referral.SlotRef{at(2, 0), at(2, 1)} {
			if _, err := w.s.Hold(ctx, x, who.UBRN.String()); err != nil {
				t.Fatal(err)
			}
		}
		if now := w.get(who.UBRN); now.Offer == nil || now.Offer.SlotRef != r.Offer.SlotRef {
			t.Errorf("who looks at another time loses the one that is offered: %+v", now.Offer)
		}
		if _, err := w.s.Act(ctx, w.patient(who.UBRN), who.UBRN, referral.Work{Kind: referral.ActBook, Slot: r.Offer.SlotRef, Service: waitingFor}); err != nil {
			t.Errorf("the offer is not theirs any more: %v", err)
		}
	})
}

// TestNobodyHoldsWhatIsNotTheirs: a form that names a time of a service to which the patient was not referred holds nothing.
func TestNobodyHoldsWhatIsNotTheirs(t *testing.T) {
	w := shared.Given(t)
	givenSlots(t, w, "theirs", "RZZ01-cardiology", 1, 18)
	givenSlots(t, w, "foreign", "RZZ01-dermatology", 1, 18)
	gp := w.SignedIn(t, "gp")
	ubrn, password := refer(t, gp, w.Number(t, "correct"), "RZZ01-cardiology")
	patient := w.Visitor(t)
	patient.Get("/appointments").Send("/appointments", "ubrn", ubrn, "password", password)
	form := patient.Get("/appointments/times?service=RZZ01-cardiology").Form()
	for _, service := range []string{"RZZ01-dermatology", "RZZ01-cardiology"} {
		form.Set("slot", "RZZ01/foreign/foreign-0")
		form.Set("service", service)
		patient.Post("/appointments/times", form).SeesNot("Check before you book")
		if n := free(t, w, "RZZ01-dermatology", "foreign"); n != 1 {
			t.Errorf("a stranger to the clinic holds its time, as if it were of %s", service)
		}
	}
	form.Set("slot", "RZZ01/theirs/theirs-0")
	patient.Post("/appointments/times", form).Sees(200, "Check before you book")
}

// TestAFormThatIsSentAgain: by a double click or after the back button it makes one referral, and says that what was changed since was not sent.
func TestAFormThatIsSentAgain(t *testing.T) {
	w := shared.Given(t)
	gp := w.SignedIn(t, "gp")
	number := digits(w.Number(t, "correct"))
	at := "/refer/person/" + number + "/letter"
	form := gp.Get(at + "?service=RZZ01-cardiology").Form()
	form.Set("service", "RZZ01-cardiology")
	form.Set("priority", "ROUTINE")
	form.Set("request", "APPOINTMENT_REQUEST")
	form.Set("letter", "Chest pain.")
	gp.Post(at, form).Sees(200, "Referral made")
	ubrn := digits(fact(t, gp.Body, "Booking reference"))
	form.Set("letter", "Chest pain, and short of breath since yesterday.")
	gp.Post(at, form).Sees(200, "This form was sent before", "Chest pain.").SeesNot("since yesterday")
	if !strings.HasPrefix(gp.At(), "/refer/case/"+ubrn) {
		t.Errorf("it leads to %s", gp.At())
	}
	if list, err := referrals(w).History(context.Background(), caller(w), ident.MustUBRN(ubrn)); err != nil || len(list) != 1 {
		t.Errorf("%d versions, %v", len(list), err)
	}
}
