package referral_test

import (
	"context"
	"errors"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/web/format"
)

// TestAgeIsThatOfTheDay: in whole years on the day by the clocks of the hospitals, in summer as well, and for whoever was born on a 29 February.
func TestAgeIsThatOfTheDay(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		born, at string
		want     int
	}{
		{"2008-07-01", "2026-06-30T22:59:00Z", 17},
		{"2008-07-01", "2026-06-30T23:00:00Z", 18}, // midnight in London
		{"2008-12-01", "2026-11-30T23:59:00Z", 17},
		{"2008-12-01", "2026-12-01T00:00:00Z", 18},
		{"2008-02-29", "2026-02-28T23:59:00Z", 17},
		{"2008-02-29", "2026-03-01T00:00:00Z", 18},
		{"2008-02-29", "2028-02-29T00:00:00Z", 20},
		{"2008-02-29", "2028-02-28T23:59:00Z", 19},
		{"2008-03-01", "2028-02-29T12:00:00Z", 19}, // a leap year has the same birthdays
		{"2026-11-23", "2026-11-23T12:00:00Z", 0},
		{"2027-01-01", "2026-11-23T12:00:00Z", 0}, // the register has it wrong
		{"2008", "2026-11-23T12:00:00Z", -1},
		{"", "2026-11-23T12:00:00Z", -1},
	} {
		at, err := time.Parse(time.RFC3339, c.at)
		if err != nil {
			t.Fatal(err)
		}
		res, err := fhir.Obj("resourceType", "Patient", "birthDate", c.born).Resource()
		if c.born == "" {
			res, err = fhir.Obj("resourceType", "Patient").Resource()
		}
		if err != nil {
			t.Fatal(err)
		}
		if got := (referral.Person{Resource: res}).Age(at); got != c.want {
			t.Errorf("born %q, at %s: %d years, want %d", c.born, c.at, got, c.want)
		}
	}
}

// TestABirthdayBeforeTheAppointment: a clinic for people up to 17 sees nobody on their eighteenth birthday, though they were 17 when they were referred: such a time is neither booked nor shown nor offered. The minute
// before, in summer time, is theirs; and where only times are free that they are too old for, the hospital may be asked to find them one.
func TestABirthdayBeforeTheAppointment(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		const service = "RZZ01-young"
		ctx, birthday := context.Background(), format.Midnight(w.time.Now()).AddDate(0, 0, 12)
		young, err := directory.HealthcareService{ID: service, Name: "Young people", Provider: west, Wait: -1, Youngest: 11, Oldest: 17, Active: true}.Resource()
		if err != nil {
			t.Fatal(err)
		}
		person, err := fhir.Parse([]byte(`{"resourceType":"Patient","id":"9990000018","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000018"}],"name":[{"use":"usual","family":"O'Neill"}],"birthDate":"` +
			birthday.AddDate(-18, 0, 0).Format(time.DateOnly) + `"}`))
		if err != nil {
			t.Fatal(err)
		}
		l := w.node.Loader("test", national, nil)
		for _, res := range []*fhir.Resource{young, person} {
			if err := l.Add(ctx, res); err != nil {
				t.Fatal(err)
			}
		}
		if err := l.Flush(ctx); err != nil {
			t.Fatal(err)
		}
		given := booking.Slots{Session: "young", Service: service}
		for id, at := range map[string]time.Time{"before": birthday.Add(-time.Minute), "on": birthday} {
			given.Slots = append(given.Slots, booking.Slot{ID: id, Epoch: 1, Start: at.UTC(), End: at.Add(20 * time.Minute).UTC()})
		}
		cameTo(t, w.s, booking.WorkflowSlots, "young", given)
		at := func(id string) referral.SlotRef { return referral.SlotRef{Provider: west, Session: "young", Slot: id} }
		draft := referral.Draft{Patient: ident.MustNHSNumber("9990000018"), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{service}}
		var made []referral.Made
		for range 2 {
			m, err := w.s.Create(ctx, w.gp, draft)
			if err != nil {
				t.Fatal(err)
			}
			made = append(made, m)
		}
		one, other := made[0].UBRN, made[1].UBRN
		for name, who := range map[string]referral.Caller{"the practice": w.gp, "the patient": w.patient(one)} {
			if _, err := w.s.Act(ctx, who, one, referral.Work{Kind: referral.ActBook, Slot: at("on"), Service: service}); !errors.Is(err, referral.ErrAge) {
				t.Errorf("booked by %s on their birthday: %v", name, err)
			}
		}
		draft.AtOnce = referral.Work{Kind: referral.ActBook, Slot: at("on"), Service: service}
		if _, err = w.s.Create(ctx, w.gp, draft); !errors.Is(err, referral.ErrAge) {
			t.Errorf("referred and booked at once: %v", err)
		}
		if times, err := w.s.Times(ctx, service, made[0].Referral); err != nil || len(times) != 1 || times[0] != "23:59" {
			t.Errorf("they are shown %v, %v", times, err)
		}
		if _, err := w.s.Act(ctx, w.gp, other, referral.Work{Kind: referral.ActDefer, Service: service}); !slotsAvailable(err) {
			t.Errorf("it was deferred while there is a time that they can have: %v", err)
		}
		if _, err := w.s.Act(ctx, w.gp, one, referral.Work{Kind: referral.ActBook, Slot: at("before"), Service: service}); err != nil {
			t.Errorf("the day before: %v", err)
		}
		if _, err := w.s.Act(ctx, w.gp, one, referral.Work{Kind: referral.ActMove, Slot: at("on"), Service: service}); !errors.Is(err, referral.ErrAge) {
			t.Errorf("moved to their birthday: %v", err)
		}
		if _, err := w.s.Act(ctx, w.gp, other, referral.Work{Kind: referral.ActDefer, Service: service}); err != nil {
			t.Errorf("nothing is free that they can have, and they cannot be deferred: %v", err)
		}
		w.due()
		if r := w.get(other); r.Offer != nil {
			t.Errorf("they are offered a time for which they are too old: %+v", r.Offer)
		}
	})
}
