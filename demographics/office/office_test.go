package office_test

import (
	"net/url"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
)

var shared = simtest.Share("office", nil)

func TestMain(m *testing.M) { shared.Main(m) }

// squeezed is a number without spaces, as addresses have it.
func squeezed(number string) string { return strings.ReplaceAll(number, " ", "") }

// double is the address of the pair of the cast that is one person under two numbers.
func double(t *testing.T, w *simtest.World) (url, one, two string) {
	t.Helper()
	one, two = squeezed(w.Number(t, "double-1")), squeezed(w.Number(t, "double-2"))
	if one > two {
		one, two = two, one
	}
	return "/duplicates/" + one + "/" + two, one, two
}

// compared is the worklist after everybody was compared.
func compared(t *testing.T, w *simtest.World) *simtest.Reader {
	t.Helper()
	clerk := w.SignedIn(t, "records")
	simtest.Eventually(t, func() bool { // the comparison of the start is over
		return !strings.Contains(clerk.Get("/duplicates").Text(), "Everybody is being compared at this moment")
	})
	return clerk.Send("/duplicates").Sees(200, "Everybody has been compared", "Who looks into it")
}

// One person under two numbers is found, merged and parted; whoever asks for one number finds what was written under either, and
// afterwards each has its own again.
func TestADuplicateIsFoundMergedAndParted(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	pair, one, two := double(t, w)
	clerk := compared(t, w).Sees(200, "VAUGHAN, Bronwyn Elizabeth (Mrs)", "VAUGHN, Bronwen (Mrs)", "Probable").
		SeesNot("OKAFOR") // twins are never proposed
	clerk.Get(pair).Sees(200, "Two records side by side", "VAUGHAN", "VAUGHN", "nearly the same", "address, number")
	clerk.Send(pair, "act", "take").Sees(200, "This pair is yours", "Tomos Griffith looks into it")
	clerk.Get("/duplicates?whose=mine").Sees(200, "VAUGHAN")

	clerk.Get(pair+"/merge").Send(pair+"/merge", "survivor", "", "reason", "no").Sees(422, "Choose the number that you keep", "Enter a reason of 5 to 500 characters")
	clerk.Send(pair+"/merge", "survivor", one, "reason", "Both cards were shown at the desk").Sees(200, "The two numbers are one person now", "Merged into")
	clerk.Get(pair+"/merge").Sees(409, "Somebody else has decided this meanwhile")

	isOne := func(want ...string) {
		t.Helper()
		charts, err := w.Node.Kernel().Records.Charts(t.Context(), sim.National, two)
		if err != nil || !slices.Equal(charts, want) {
			t.Errorf("%s is one person with %v (%v), want %v", two, charts, err, want)
		}
	}
	isOne(one, two)
	changes := func(want int) {
		t.Helper()
		db, got := w.Node.Kernel().DB, 0
		if err := db.Read(t.Context(), func(tx *store.Tx) error {
			got = 0
			events, err := demographics.Events(tx, db.LaneOf(sim.National.String(), two), 0, 100)
			for _, e := range events {
				if e.Kind == demographics.NHSNumberChange && e.Person == two {
					got++
				}
			}
			return err
		}); err != nil || got != want {
			t.Errorf("%d changes of number were told, want %d (%v)", got, want, err)
		}
	}
	changes(1)
	clerk.Get(pair+"/part").Sees(200, "Part two records", "Each number answers for itself again").
		Send(pair+"/part", "reason", "They are sisters, as both say").Sees(200, "The two numbers are two people again", "Tomos Griffith looks into it")
	isOne(two)
	changes(2)
	clerk.Get(pair + "/part").Sees(409)
	clerk.Get(pair).Send(pair, "act", "different", "reason", "They are sisters, as both say").Sees(200, "Recorded as two people")
	compared(t, w).SeesNot("VAUGHAN")
	clerk.Get("/duplicates?state=different").Sees(200, "VAUGHAN", "Tomos Griffith")
}

// The worklists are for the clerks of the national organisation.
func TestOnlyTheRecordsOfficeSeesItsWorklists(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	pair, _, _ := double(t, w)
	for _, user := range []string{"clerk", "hospital-clerk", "gp", "stranger", "patient", "auditor", "privacy", "admin", "pharmacist"} {
		r := w.SignedIn(t, user)
		for _, path := range []string{"/duplicates", pair, pair + "/merge", "/duplicates/matching", "/confusions", "/confusions/9990000018/2"} {
			r.Get(path).Sees(403)
			r.Post(path, url.Values{"reason": {"because I can"}})
			if r.Status == 200 || r.Status >= 500 {
				t.Errorf("%s posts to %s: %d", user, path, r.Status)
			}
		}
	}
	clerk := w.SignedIn(t, "records")
	for _, path := range []string{"/duplicates/1/2", "/duplicates/9990000018/9990000026/merge", "/confusions/9990000018/1", "/confusions/x/y"} {
		clerk.Get(path).Sees(404)
	}
	clerk.Get("/duplicates?state=nonsense").Sees(400)
	clerk.Get("/duplicates?before=-1").Sees(400)
	clerk.Get("/duplicates/matching").Sees(200, "Every weight", "Family name", "1 in")
}

// A correction that makes somebody else of a person is noticed; one that a life brings about is not.
func TestAConfusionIsNoticedAndSettled(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	correct := func(key string, pairs ...string) {
		t.Helper()
		at := w.Chart(t, key, "X26")
		r := w.SignedIn(t, "records").Get(at+"/correct").Send(at+"/correct", append(pairs, "reason", "As written on the form")...)
		r.Sees(200, "Check")
		r.Send(at+"/correct").Sees(200, "is corrected")
	}
	correct("fada", "family", "Ní Bhriain-Walsh", "given", "Úna")
	correct("accents", "family", "Okonkwo", "given", "Peter", "gender", "male")
	name := "OKONKWO, Peter"
	clerk := w.SignedIn(t, "records")
	simtest.Eventually(t, func() bool { return strings.Contains(clerk.Get("/confusions").Text(), name) })
	clerk.Sees(200, "family name different", "Tomos Griffith").SeesNot("BHRIAIN")
	at := clerk.Link("/confusions/[0-9]+/[0-9]+")
	clerk.Get(at).Sees(200, "A record before and after a change", "BRZĘCZYSZCZYKIEWICZ", "OKONKWO", "As written on the form")
	clerk.Send(at, "reason", "").Sees(422, "Say whether it is one person or two", "Enter a reason")
	clerk.Send(at, "found", "two", "reason", "The form was her neighbour's").Sees(200, "What you found is recorded", "Undo the change")
	clerk.Get("/confusions").SeesNot("OKONKWO").Get("/confusions?state=two").Sees(200, "OKONKWO")
	clerk.Get(at).Post(at, url.Values{"found": {"one"}}).Sees(409)
}
