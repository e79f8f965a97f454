package referral_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/referral"
)

// loadsInto writes resources at a national node as if they were published.
func loadsInto(t testing.TB, n *node.Node, list ...*fhir.Resource) {
	t.Helper()
	l := n.Loader("test", national, nil)
	for _, res := range list {
		if err := l.Add(context.Background(), res); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(context.Background()); err != nil {
		t.Fatal(err)
	}
}

// takesOnly is a service that takes one sex only; everybody where it is empty.
func takesOnly(t testing.TB, id, sex string) *fhir.Resource {
	t.Helper()
	res, err := directory.HealthcareService{ID: id, Name: "One sex", Provider: west, Wait: -1, Youngest: -1, Oldest: -1, Sex: sex, Active: true}.Resource()
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// recorded is the patient of quiet, with this in the register as their gender.
func recorded(t testing.TB, gender string) *fhir.Resource {
	t.Helper()
	res, err := fhir.Parse([]byte(`{"resourceType":"Patient","id":"9990000018","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000018"}],"name":[{"use":"usual","family":"O'Neill"}],"gender":"` + gender + `","birthDate":"1970-01-02"}`))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// another is a second person of the register.
func another(t testing.TB) *fhir.Resource {
	t.Helper()
	res, err := fhir.Parse([]byte(`{"resourceType":"Patient","id":"9990000026","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000026"}],"name":[{"use":"usual","family":"O'Neill"}],"gender":"female","birthDate":"1970-01-02"}`))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestSexIsLookedAtWhenTheyBook: a service that takes one sex only, or the register's word, may have changed since the shortlist was made. Nobody books then for themselves, moves, refers and books at once, or is
// offered a time; the hospital may still be asked to find a date, and who is recorded as neither is refused nowhere.
func TestSexIsLookedAtWhenTheyBook(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		const service = "RZZ01-one"
		ctx := context.Background()
		loadsInto(t, w.node, takesOnly(t, service, ""))
		given := booking.Slots{Session: "one", Service: service}
		for id, day := range map[string]int{"a": 20, "b": 21, "c": 22} {
			at := w.time.Now().AddDate(0, 0, day)
			given.Slots = append(given.Slots, booking.Slot{ID: id, Epoch: 1, Start: at, End: at.Add(20 * time.Minute)})
		}
		cameTo(t, w.s, booking.WorkflowSlots, "one", given)
		at := func(id string) referral.SlotRef { return referral.SlotRef{Provider: west, Session: "one", Slot: id} }
		draft := referral.Draft{Patient: ident.MustNHSNumber("9990000018"), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{service}}
		var made []referral.Made
		for range 3 {
			m, err := w.s.Create(ctx, w.gp, draft)
			if err != nil {
				t.Fatal(err)
			}
			made = append(made, m)
		}
		booked, open, waits := made[0].UBRN, made[1].UBRN, made[2].UBRN
		if _, err := w.s.Act(ctx, w.gp, booked, referral.Work{Kind: referral.ActBook, Slot: at("a"), Service: service}); err != nil {
			t.Fatal(err)
		}
		refused := func(when string) {
			t.Helper()
			for name, x := range map[string]struct {
				who  referral.Caller
				u    ident.UBRN
				kind referral.Kind
			}{"by the practice": {w.gp, open, referral.ActBook}, "by themselves": {w.patient(open), open, referral.ActBook}, "moved": {w.gp, booked, referral.ActMove}} {
				_, err := w.s.Act(ctx, x.who, x.u, referral.Work{Kind: x.kind, Slot: at("b"), Service: service})
				if !errors.Is(err, referral.ErrSex) || !strings.Contains(err.Error(), "male patients only") {
					t.Errorf("%s, %s: %v", when, name, err)
				}
			}
			if times, err := w.s.Times(ctx, service, made[1].Referral); err != nil || len(times) != 0 {
				t.Errorf("%s: they are shown %v, %v", when, times, err)
			}
		}
		loadsInto(t, w.node, takesOnly(t, service, "male"))
		refused("the service has changed")
		if _, err := w.s.Act(ctx, w.gp, waits, referral.Work{Kind: referral.ActDefer, Service: service}); err != nil {
			t.Errorf("the hospital cannot be asked: %v", err)
		}
		w.due()
		if r := w.get(waits); r.Offer != nil {
			t.Errorf("they are offered a time that they cannot take: %+v", r.Offer)
		}
		loadsInto(t, w.node, takesOnly(t, service, "female"), recorded(t, "male"))
		refused("the register has changed")
		loadsInto(t, w.node, recorded(t, "unknown"))
		if _, err := w.s.Act(ctx, w.gp, open, referral.Work{Kind: referral.ActBook, Slot: at("b"), Service: service}); err != nil {
			t.Errorf("of whom the register does not say: %v", err)
		}
		w.due()
		offered := w.get(waits)
		if offered.Offer == nil {
			t.Fatal("nothing is offered to whom the service takes again")
		}
		loadsInto(t, w.node, recorded(t, "male"))
		if _, err := w.s.Act(ctx, w.patient(waits), waits, referral.Work{Kind: referral.ActBook, Slot: offered.Offer.SlotRef, Service: service}); !errors.Is(err, referral.ErrSex) {
			t.Errorf("taking what was offered: %v", err)
		}
	})
}

// TestPagesSayWhomAServiceTakes: of a service that does not take them any more a page shows no times and says why, and a form that was open before is refused in the same words.
func TestPagesSayWhomAServiceTakes(t *testing.T) {
	w := shared.Given(t)
	const service = "RZZ01-onesex"
	loadsInto(t, w.Node, takesOnly(t, service, ""))
	givenSlots(t, w, "onesex", service, 2, 12)
	person, err := referrals(w).Create(context.Background(), caller(w), referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{service}})
	if err != nil {
		t.Fatal(err)
	}
	gp, patient := w.SignedIn(t, "gp"), w.Visitor(t)
	patient.Get("/appointments").Send("/appointments", "ubrn", person.UBRN.String(), "password", person.Password)
	patient.Get("/appointments/times?service="+service).Send("/appointments/times", "slot", "RZZ01/onesex/onesex-0", "service", service).Sees(200, "Check before you book")
	at := "/refer/case/" + person.UBRN.String() + "/book"
	gp.Get(at).SeesNot("no times")
	form := gp.Form()
	for _, sex := range []string{"male", "female"} { // one of them is not theirs
		loadsInto(t, w.Node, takesOnly(t, service, sex))
		if gp.Get(at); strings.Contains(gp.Body, "patients only") {
			break
		}
	}
	gp.Sees(200, "patients only: choose another service").SeesNot("There are no free times now")
	form.Set("slot", "RZZ01/onesex/onesex-1")
	gp.Post(at, form).Sees(422, "patients only: choose another service")
	patient.Send("/appointments/check").Sees(422, "patients only: choose another service")
}
