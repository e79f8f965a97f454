package referral_test

import (
	"context"
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/simtest"
)

// dies writes in the register that somebody has died.
func dies(t *testing.T, w *simtest.World, number string) {
	t.Helper()
	res, err := fhir.Obj("resourceType", "Patient", "id", number, "identifier", fhir.Arr(fhir.Obj("system", ident.SystemNHSNumber, "value", number)), "name", fhir.Arr(fhir.Obj("use", "usual", "family", "Gone")),
		"gender", "female", "birthDate", "1940-02-03", "deceasedBoolean", true).Resource()
	if err != nil {
		t.Fatal(err)
	}
	l := w.Node.Loader("test", w.Node.Kernel().National, nil)
	if err := l.Add(t.Context(), res); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsBegunForTheDead: who has died since they were referred is given no date, and goes to no other service; their referral is ended as before.
func TestNothingIsBegunForTheDead(t *testing.T) {
	w := shared.Given(t)
	ctx, s, c := context.Background(), referrals(w), caller(w)
	givenSlots(t, w, "late", "RZZ01-cardiology", 2, 12)
	number := digits(w.Number(t, "long-name"))
	slot := func(i string) referral.SlotRef {
		return referral.SlotRef{Provider: west, Session: "late", Slot: "late-" + i}
	}
	made, err := s.Create(ctx, c, referral.Draft{Patient: ident.MustNHSNumber(number), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{"RZZ01-cardiology"}})
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.Create(ctx, c, referral.Draft{Patient: ident.MustNHSNumber(number), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{"RZZ01-cardiology"}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Act(ctx, c, other.UBRN, referral.Work{Kind: referral.ActBook, Slot: slot("0"), Service: "RZZ01-cardiology"}); err != nil {
		t.Fatal(err)
	}
	visit, err := s.Enter(ctx, "192.0.2.1", made.UBRN.String(), made.Password)
	if err != nil {
		t.Fatal(err)
	}
	dies(t, w, number)
	patient := referral.Caller{Principal: visit.Principal(), Ask: c.Ask}
	for name, x := range map[string]struct {
		who  referral.Caller
		u    ident.UBRN
		work referral.Work
	}{
		"a date":                {c, made.UBRN, referral.Work{Kind: referral.ActBook, Slot: slot("1"), Service: "RZZ01-cardiology"}},
		"a date, by themselves": {patient, made.UBRN, referral.Work{Kind: referral.ActBook, Slot: slot("1"), Service: "RZZ01-cardiology"}},
		"another date":          {c, other.UBRN, referral.Work{Kind: referral.ActMove, Slot: slot("1"), Service: "RZZ01-cardiology"}},
		"other services":        {c, made.UBRN, referral.Work{Kind: referral.ActShortlist, Services: []string{"RZZ01-dermatology"}}},
		"triage":                {c, made.UBRN, referral.Work{Kind: referral.ActSendTriage, Service: "RZZ01-cardiology"}},
	} {
		if _, err := s.Act(ctx, x.who, x.u, x.work); !errors.Is(err, referral.ErrPatient) {
			t.Errorf("%s: %v", name, err)
		}
	}
	at := time.Now().UTC().Truncate(24*time.Hour).AddDate(0, 0, 12).Add(17 * time.Hour)
	own := &booking.Appointment{Slot: "own-1", Session: "own", Start: at, End: at.Add(20 * time.Minute)}
	if err := refusedAs(w, booking.Act{UBRN: other.UBRN, Number: 1, Seen: 2, Kind: booking.ActMove, By: "Dr Owain Pugh", At: time.Now(), Appointment: own}); err == nil || !strings.Contains(err.Error(), "has died") {
		t.Errorf("a hospital's own time for them: %v", err)
	}
	if r, err := s.Act(ctx, c, other.UBRN, referral.Work{Kind: referral.ActCancel, Reason: "PATIENT_DIED"}); err != nil || r.State != referral.Cancelled || r.Appointment != nil {
		t.Errorf("ending what there was: %+v, %v", r, err)
	}
	if n := free(t, w, "RZZ01-cardiology", "late"); n != 2 {
		t.Errorf("%d of two slots are free", n)
	}
}
