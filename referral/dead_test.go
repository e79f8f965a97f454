package referral_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/referral"
)

// dies writes in the register that somebody has died.
func dies(t *testing.T, n *node.Node, number string) {
	t.Helper()
	res, err := fhir.Obj("resourceType", "Patient", "id", number, "identifier", fhir.Arr(fhir.Obj("system", ident.SystemNHSNumber, "value", number)), "name", fhir.Arr(fhir.Obj("use", "usual", "family", "Gone")),
		"gender", "female", "birthDate", "1940-02-03", "deceasedBoolean", true).Resource()
	if err != nil {
		t.Fatal(err)
	}
	l := n.Loader("test", national, nil)
	if err := l.Add(t.Context(), res); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestNothingIsBegunForTheDead: who has died since they were referred is given no date, and goes to no other service; their referral is ended as before.
func TestNothingIsBegunForTheDead(t *testing.T) {
	t.Parallel()
	w := newQuiet(t, "") // a country of their own, for the others go on referring their patient
	ctx, s, c, number := context.Background(), w.s, w.gp, "9990000018"
	w.gives("late", 2, 12)
	slot := func(i string) referral.SlotRef {
		return referral.SlotRef{Provider: west, Session: "late", Slot: "late-" + i}
	}
	made, err := s.Create(ctx, c, referral.Draft{Patient: ident.MustNHSNumber(number), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{waitingFor}})
	if err != nil {
		t.Fatal(err)
	}
	other, err := s.Create(ctx, c, referral.Draft{Patient: ident.MustNHSNumber(number), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{waitingFor}})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := s.Act(ctx, c, other.UBRN, referral.Work{Kind: referral.ActBook, Slot: slot("0"), Service: waitingFor}); err != nil {
		t.Fatal(err)
	}
	visit, err := s.Enter(ctx, "192.0.2.1", made.UBRN.String(), made.Password)
	if err != nil {
		t.Fatal(err)
	}
	dies(t, w.node, number)
	patient := referral.Caller{Principal: visit.Principal(), Ask: c.Ask}
	for name, x := range map[string]struct {
		who  referral.Caller
		u    ident.UBRN
		work referral.Work
	}{
		"a date":                {c, made.UBRN, referral.Work{Kind: referral.ActBook, Slot: slot("1"), Service: waitingFor}},
		"a date, by themselves": {patient, made.UBRN, referral.Work{Kind: referral.ActBook, Slot: slot("1"), Service: waitingFor}},
		"another date":          {c, other.UBRN, referral.Work{Kind: referral.ActMove, Slot: slot("1"), Service: waitingFor}},
		"other services":        {c, made.UBRN, referral.Work{Kind: referral.ActShortlist, Services: []string{waitingFor}}},
		"triage":                {c, made.UBRN, referral.Work{Kind: referral.ActSendTriage, Service: waitingFor}},
	} {
		if _, err := s.Act(ctx, x.who, x.u, x.work); !errors.Is(err, referral.ErrPatient) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if r, err := s.Act(ctx, c, other.UBRN, referral.Work{Kind: referral.ActCancel, Reason: "PATIENT_DIED"}); err != nil || r.State != referral.Cancelled || r.Appointment != nil {
		t.Errorf("ending what there was: %+v, %v", r, err)
	}
	if list, err := s.FreeSlots(ctx, waitingFor, time.Time{}, time.Time{}, "", 9); err != nil || len(list) != 2 {
		t.Errorf("of two slots %v are free (%v)", list, err)
	}
}
