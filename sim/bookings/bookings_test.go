package bookings_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/sim/bookings"
)

// TestSeeds runs seeds for some seconds: 4, or OPENSPINE_SIMULATE_BOOKINGS (20s in CI).
func TestSeeds(t *testing.T) {
	t.Parallel()
	spend := 4 * time.Second
	if s := os.Getenv("OPENSPINE_SIMULATE_BOOKINGS"); s != "" {
		var err error
		if spend, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	var sum bookings.Result
	const least = 12 // so that on a slow machine, too, something of each kind happens, but for restores: few seeds have any
	seeds := uint64(0)
	for until := time.Now().Add(spend); seeds < least || time.Now().Before(until); seeds++ {
		r, err := bookings.Run(t.Context(), seeds, bookings.Options{Restores: true})
		if err != nil {
			t.Fatalf("%v\nopenspine sim bookings --seeds 1 --seed %d --log replays it", err, seeds)
		}
		sum.Add(r)
	}
	t.Logf("%d seeds: %s", seeds, sum)
	if sum.Booked == 0 || sum.Moved == 0 || sum.Taken == 0 || sum.Withdrawn == 0 || sum.Moves == 0 || sum.Crashes == 0 || seeds > 68 && sum.Restores == 0 || sum.Lost == 0 || sum.Asked == 0 || sum.Files == 0 || seeds > 30 && (sum.Offered == 0 || sum.Accepted == 0 || sum.Declined == 0 || sum.Lapsed == 0) || seeds > 40 && sum.FullDisks == 0 {
		t.Error("nothing happened: the simulator tests nothing")
	}
}

// TestASeedReplays: a failing seed is of use only if it fails again. The power goes at a write that depends on how full the pages of a database are: under 2022 that differed by the order in
// which people were registered, and by names that were drawn outside the simulation.
func TestASeedReplays(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{2, 7, 2022} {
		var first, second strings.Builder
		a, err := bookings.Run(t.Context(), seed, bookings.Options{Restores: true, Log: &first})
		if err != nil {
			t.Fatal(err)
		}
		b, err := bookings.Run(t.Context(), seed, bookings.Options{Restores: true, Log: &second})
		if err != nil {
			t.Fatal(err)
		}
		if a != b || first.String() != second.String() {
			t.Fatalf("seed %d came out differently: %+v and %+v", seed, a, b)
		}
	}
}

// mutation is a duty that is taken away.
type mutation struct {
	seams booking.Seams
	from  uint64 // a seed shortly before one that notices
}

// TestMutations takes away one duty of either side at a time: the simulator must notice. Of some that is seen under one seed of a hundred, so that the search begins near it.
func TestMutations(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]mutation{
		"given back with whoever is in it": {booking.Seams{GiveBooked: true}, 0}, "nobody told of a withdrawal": {booking.Seams{NoWithdraw: true}, 0}, "let go by what was said before": {booking.Seams{LetGo: true}, 5},
		"asked again by another id": {booking.Seams{AskAnew: true}, 0}, "told without its files": {booking.Seams{NoFiles: true}, 0},
		"offered and not held": {booking.Seams{NotHeld: true}, 0}, "shown when it is gone": {booking.Seams{ShowGone: true}, 4}, "over and not ended": {booking.Seams{NoLapse: true}, 30}, "a lost offer not told back": {booking.Seams{NotTold: true}, 14},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := m.from; seed < m.from+40; seed++ {
				if _, err := bookings.Run(t.Context(), seed, bookings.Options{Seams: m.seams, Restores: m.seams.NotTold}); err != nil {
					t.Logf("noticed: %v", err)
					return
				}
			}
			t.Error("no seed noticed")
		})
	}
}
