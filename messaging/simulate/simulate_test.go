package simulate_test

import (
	"os"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/messaging/simulate"
)

// TestSeeds runs seeds for some seconds: 5, or OPENSPINE_SIMULATE (90s in CI).
func TestSeeds(t *testing.T) {
	t.Parallel()
	spend := 5 * time.Second
	if s := os.Getenv("OPENSPINE_SIMULATE"); s != "" {
		var err error
		if spend, err = time.ParseDuration(s); err != nil {
			t.Fatal(err)
		}
	}
	var sum simulate.Result
	const least = 16 // so that on a slow machine, too, something of each kind happens
	seeds := uint64(0)
	for until := time.Now().Add(spend); seeds < least || time.Now().Before(until); seeds++ {
		r, err := simulate.Run(t.Context(), seeds, simulate.Options{})
		if err != nil {
			t.Fatalf("%v\nopenspine sim messages --seed %d --log replays it", err, seeds)
		}
		sum.Add(r)
	}
	t.Logf("%d seeds: %s", seeds, sum)
	if sum.Handled == 0 || sum.Crashes == 0 || sum.Restores == 0 || sum.Lost == 0 || sum.Files == 0 || sum.Carried == 0 || sum.Redirects == 0 {
		t.Error("nothing happened: the simulator tests nothing")
	}
}

// TestASeedReplays: also where the power goes at a write that depends on how full the pages of the database are, and so on every key in it.
func TestASeedReplays(t *testing.T) {
	t.Parallel()
	for _, seed := range []uint64{0, 14, 26, 28} {
		var first, second strings.Builder
		a, err := simulate.Run(t.Context(), seed, simulate.Options{Log: &first})
		if err != nil {
			t.Fatal(err)
		}
		b, err := simulate.Run(t.Context(), seed, simulate.Options{Log: &second})
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
	seams messaging.Seams
	from  uint64 // a seed shortly before one that notices
}

// TestMutations takes away one duty of the post at a time: the simulator must notice. Of some that is seen under one seed of hundreds, so that the search
// begins near it; the rarest have tests of their own in package messaging as well.
func TestMutations(t *testing.T) {
	t.Parallel()
	for name, m := range map[string]mutation{
		"no mark": {messaging.Seams{NoMark: true}, 0}, "no order": {messaging.Seams{NoOrder: true}, 0}, "nothing sent again": {messaging.Seams{NoRewind: true}, 5},
		"numbers used again":                {messaging.Seams{SameNumbers: true}, 5},
		"acknowledged before it is handled": {messaging.Seams{AckFirst: true}, 0},
		"handled without its files":         {messaging.Seams{NoFiles: true}, 0},
		"files to be passed on forgotten":   {messaging.Seams{NoRefetch: true}, 500},
		"old notes believed":                {messaging.Seams{NoTurns: true}, 69},
		"what was tried is not kept":        {messaging.Seams{NoTried: true}, 372},
	} {
		seams, from := m.seams, m.from
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			for seed := from; seed < from+40; seed++ {
				if _, err := simulate.Run(t.Context(), seed, simulate.Options{Seams: seams}); err != nil {
					t.Logf("noticed: %v", err)
					return
				}
			}
			t.Error("no seed noticed")
		})
	}
}
