package referral_test

import (
	"context"
	"fmt"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/web/format"
)

// turns18 is the patient of quiet, with their eighteenth birthday on a day.
func turns18(t testing.TB, birthday time.Time) *fhir.Resource {
	t.Helper()
	res, err := fhir.Parse([]byte(`{"resourceType":"Patient","id":"9990000018","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000018"}],"name":[{"use":"usual","family":"O'Neill"}],"gender":"female","birthDate":"` +
		birthday.AddDate(-18, 0, 0).Format(time.DateOnly) + `"}`))
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// ofAges is a service for people of these ages.
func ofAges(t testing.TB, id string, youngest, oldest int) *fhir.Resource {
	t.Helper()
	res, err := directory.HealthcareService{ID: id, Name: id, Provider: west, Wait: -1, Youngest: youngest, Oldest: oldest, Active: true}.Resource()
	if err != nil {
		t.Fatal(err)
	}
	return res
}

// TestWhatIsCountedCanBeBooked: what a search says is free, and when the first time is, is what the person can book: not the times after a birthday on which they are too old, nor those before one on which they are old
// enough. What somebody is told instead of a time that has gone is so too.
func TestWhatIsCountedCanBeBooked(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		const both, late, grown, any = "RZZ01-both", "RZZ01-late", "RZZ01-grown", "RZZ01-any"
		ctx, birthday := context.Background(), format.Midnight(w.time.Now()).AddDate(0, 0, 12)
		patient := turns18(t, birthday)
		loadsInto(t, w.node, ofAges(t, both, -1, 17), ofAges(t, late, -1, 17), ofAges(t, grown, 18, -1), ofAges(t, any, -1, 20), patient)
		day := func(n int) time.Time { return birthday.AddDate(0, 0, n).Add(9 * time.Hour).UTC() }
		for service, days := range map[string][]int{both: {-3, -2, -1, 0, 1}, late: {0, 1}, grown: {-1, 0, 1}, any: {-1, 0, 1}} {
			given := booking.Slots{Session: service, Service: service}
			for _, n := range days {
				given.Slots = append(given.Slots, booking.Slot{ID: fmt.Sprint("day", n), Epoch: 1, Start: day(n), End: day(n).Add(20 * time.Minute)})
			}
			cameTo(t, w.s, booking.WorkflowSlots, service, given)
		}
		person := referral.Person{Chart: "9990000018", Number: ident.MustNHSNumber("9990000018"), Resource: patient}
		counted := func(step string, want map[string]referral.Free) {
			t.Helper()
			found, err := w.s.Services(ctx, person, referral.ServiceQuery{})
			if err != nil {
				t.Fatal(err)
			}
			n := 0
			for _, x := range found {
				free, ok := want[x.ID]
				if !ok {
					continue
				}
				if n++; x.Free.Slots != free.Slots || !x.Free.First.Equal(free.First) || free.Slots == 0 && x.Wait != -1 {
					t.Errorf("%s: %s has %d from %s (wait %d), want %d from %s", step, x.ID, x.Free.Slots, x.Free.First, x.Wait, free.Slots, free.First)
				}
			}
			if n != len(want) {
				t.Errorf("%s: %d of %d services were found", step, n, len(want))
			}
		}
		counted("before", map[string]referral.Free{both: {Slots: 3, First: day(-3)}, late: {}, any: {Slots: 3, First: day(-1)}})
		all, err := w.s.FindServices(ctx, w.gp, referral.ServiceSearch{Patient: person.Number, Anybody: true, Soonest: true})
		if err != nil {
			t.Fatal(err)
		}
		first := map[string]time.Time{}
		for _, x := range all {
			first[x.ID] = x.Free.First
		}
		for id, want := range map[string]time.Time{both: day(-3), late: {}, grown: day(0), any: day(-1)} {
			if !first[id].Equal(want) {
				t.Errorf("a program is told that the first of %s is %s, not %s", id, first[id], want)
			}
		}
		draft := referral.Draft{Patient: person.Number, Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{both}}
		for i, n := range []int{-3, -2} {
			m, err := w.s.Create(ctx, w.gp, draft)
			if err != nil {
				t.Fatal(err)
			}
			book := referral.Work{Kind: referral.ActBook, Slot: referral.SlotRef{Provider: west, Session: both, Slot: fmt.Sprint("day", n)}, Service: both}
			if _, err := w.s.Act(ctx, w.gp, m.UBRN, book); err != nil {
				t.Fatal(err)
			}
			other, err := w.s.Create(ctx, w.gp, draft)
			if err != nil {
				t.Fatal(err)
			}
			for name, tries := range map[string]func() error{
				"booking": func() error { _, err := w.s.Act(ctx, w.gp, other.UBRN, book); return err },
				"holding": func() error { _, err := w.s.Hold(ctx, book.Slot, other.UBRN.String()); return err },
			} {
				if next, gone := referral.Taken(tries()); !gone || len(next) != 2-i || !next[len(next)-1].Start.Equal(day(-1)) {
					t.Errorf("%s what has gone: %v, %v", name, next, gone)
				}
			}
		}
		counted("when two are booked", map[string]referral.Free{both: {Slots: 1, First: day(-1)}, late: {}})
		w.time.Advance(birthday.Sub(w.time.Now()) - 72*time.Hour) // too near to be booked: what is left begins on the birthday
		counted("when it is near", map[string]referral.Free{both: {Slots: 1, First: day(-1)}, late: {}})
		w.time.Advance(48 * time.Hour)
		counted("when it is too near", map[string]referral.Free{both: {}, late: {}})
	})
}
