package referral_test

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/web/format"
)

// elsewhere is a hospital's own system that keeps the slots of one service.
type elsewhere struct {
	service string
	free    []referral.Slot
	asked   int
}

func (e *elsewhere) Services(context.Context) ([]string, error) { return []string{e.service}, nil }

func (e *elsewhere) Free(context.Context, string, time.Time, time.Time) ([]referral.Slot, error) {
	return append([]referral.Slot(nil), e.free...), nil
}

func (e *elsewhere) Ask(context.Context, referral.Question) (referral.Reply, error) {
	e.asked++
	return referral.Reply{Yes: true, Remote: fmt.Sprint("there-", e.asked)}, nil
}

// TestNobodyIsAskedForWhatIsNot: a hospital's own system is not asked for a time at which the directory says that its service does not take the person, and its times are counted as its own are.
func TestNobodyIsAskedForWhatIsNot(t *testing.T) {
	t.Parallel()
	onBoth(t, func(t *testing.T, w *quiet) {
		const service = "RZZ01-there"
		ctx, birthday := context.Background(), format.Midnight(w.time.Now()).AddDate(0, 0, 12)
		patient := turns18(t, birthday)
		loadsInto(t, w.node, ofAges(t, service, -1, 17), patient)
		there := &elsewhere{service: service}
		for id, n := range map[string]int{"before": -1, "on": 0} {
			at := birthday.AddDate(0, 0, n).Add(9 * time.Hour).UTC()
			there.free = append(there.free, referral.Slot{SlotRef: referral.SlotRef{Provider: west, Slot: id}, Start: at, End: at.Add(20 * time.Minute)})
		}
		s := referral.New(w.k, directory.New(w.k, true), referral.Options{Elsewhere: there})
		at := func(id string) referral.SlotRef {
			return referral.SlotRef{Provider: west, Session: "ask-" + service, Slot: id}
		}
		m, err := s.Create(ctx, w.gp, referral.Draft{Patient: ident.MustNHSNumber("9990000018"), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{service}})
		if err != nil {
			t.Fatal(err)
		}
		book := func(id string) error {
			r, err := s.Act(ctx, w.gp, m.UBRN, referral.Work{Kind: referral.ActBook, Slot: at(id), Service: service})
			if r.Asked != nil {
				t.Errorf("%s: the question stands: %+v", id, r.Asked)
			}
			return err
		}
		if err := book("on"); !errors.Is(err, referral.ErrAge) || there.asked != 0 {
			t.Errorf("on their birthday: %v, asked %d times", err, there.asked)
		}
		if next, gone := referral.Taken(book("nowhere")); !gone || len(next) != 1 || next[0].Slot != "before" {
			t.Errorf("instead of what has gone: %v, %v", next, gone)
		}
		found, err := s.Services(ctx, referral.Person{Chart: "9990000018", Resource: patient}, referral.ServiceQuery{IDs: []string{service}})
		if err != nil || len(found) != 1 || found[0].Free.Slots != 1 || !found[0].Free.First.Equal(birthday.AddDate(0, 0, -1).Add(9*time.Hour)) {
			t.Errorf("what is free there for them: %+v, %v", found, err)
		}
		res, err := directory.HealthcareService{ID: service, Name: "There", Provider: west, Wait: -1, Youngest: -1, Oldest: 17, Sex: "male", Active: true}.Resource()
		if err != nil {
			t.Fatal(err)
		}
		loadsInto(t, w.node, res)
		if err := book("before"); !errors.Is(err, referral.ErrSex) || there.asked != 0 {
			t.Errorf("of the other sex: %v, asked %d times", err, there.asked)
		}
		loadsInto(t, w.node, ofAges(t, service, -1, 17))
		if err := book("before"); err != nil || there.asked != 1 {
			t.Errorf("the day before: %v, asked %d times", err, there.asked)
		}
	})
}
