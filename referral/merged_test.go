package referral_test

import (
	"context"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
)

// joined finds two people of the register to be one, and gives the undoing.
func joined(t *testing.T, k catalogue.Kernel, from, to string) (part func()) {
	t.Helper()
	var acts []access.Act
	for _, id := range []string{from, to} {
		acts = append(acts, access.Act{Action: access.Update, Place: access.Place{Tenant: k.National, Chart: id, Type: "Patient", ID: id, Exists: true}})
	}
	act := func(do func(tx *store.Tx, grants []access.Grant) error) {
		grants, err := k.Gate.DecideAll(t.Context(), access.Service("test", k.National), acts)
		if err == nil {
			err = k.Gate.Act(t.Context(), grants, k.Records.LinkLanes(k.National, from, to), func(tx *store.Tx) error { return do(tx, grants) })
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	act(func(tx *store.Tx, grants []access.Grant) error {
		return k.Records.Merge(tx, k.Gate, k.National, from, to, "one person", grants...)
	})
	return func() {
		act(func(tx *store.Tx, grants []access.Grant) error {
			return k.Records.Unmerge(tx, k.Gate, k.National, from, to, "two people", grants...)
		})
	}
}

// TestReferralsOfAPersonOfTwoNumbers: who is found to be one person has the referrals of both numbers, under whichever they sign in; and no longer once they are parted.
func TestReferralsOfAPersonOfTwoNumbers(t *testing.T) {
	w := shared.Given(t)
	ctx, s, c := context.Background(), referrals(w), caller(w)
	old, kept := digits(w.Number(t, "correct")), digits(w.Number(t, "accents"))
	made := map[string]ident.UBRN{}
	for _, number := range []string{old, kept} {
		m, err := s.Create(ctx, c, referral.Draft{Patient: ident.MustNHSNumber(number), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{"RZZ01-cardiology"}})
		if err != nil {
			t.Fatal(err)
		}
		made[number] = m.UBRN
	}
	sees := func(person string) map[ident.UBRN]bool {
		t.Helper()
		k := w.Node.Kernel()
		scope, err := k.Gate.DecideSet(ctx, access.Principal{ID: "person-" + person, Name: "A person", Role: access.Patient, Person: person, Assurance: "P9"}, access.Search, k.National, []string{access.TypeBooking})
		if err != nil {
			t.Fatal(err)
		}
		list, err := s.Waiting(ctx, scope, referral.Worklist{Chart: person})
		if err != nil {
			t.Fatal(err)
		}
		found := map[ident.UBRN]bool{}
		for _, r := range list {
			found[r.UBRN] = true
		}
		return found
	}
	both := func(want bool) {
		t.Helper()
		for person, other := range map[string]string{old: kept, kept: old} {
			if found := sees(person); !found[made[person]] || found[made[other]] != want {
				t.Errorf("under one number their own referral is shown: %v, that of the other number: %v, want %v", found[made[person]], found[made[other]], want)
			}
		}
	}
	both(false)
	part := joined(t, w.Node.Kernel(), old, kept)
	both(true)
	part()
	both(false)
}
