// Package simulate turns the real post of a small country under a seed: a national node and two hospitals, each with a clock, a disk and a database of
// its own, on one thread. Whatever can go wrong with the network, the disks, the clocks and the people goes wrong as the seed says; then
// the faults stop, and what was promised must be so.
//
//	faults: a request or its answer lost · delivered twice · delivered much later · a link cut
//	        power lost at any write, with what was not synced lost or torn · a disk full · a clock that jumps
//	        a database restored from an old backup · people who retry, redirect and abandon · a file that breaks off
//	        a system elsewhere that is not reached, fails, says no, or whose answer nobody writes down
//
//	checks: each message whose sending is durable was handled once in effect, or its sender knows why not, or it is parked and visible
//	        each conversation in order · ledgers of both ends equal · everything comes to rest
//	        each file of a message whole, byte by byte, when it is handled and afterwards
//
// A seed replays exactly: Result.Trace is the same each time.
package simulate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"time"

	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/messaging/simulate/country"
)

// Options say what is simulated.
type Options struct {
	// Steps is how many things happen before the faults stop; 120 by default.
	Steps int
	// Seams take one of the post's duties away: the simulator must then find a seed that fails.
	Seams messaging.Seams
	// Log is told of each step; nil for nobody.
	Log io.Writer
	// Watch is the number of a message of which Log is told wherever it goes; 0 for none.
	Watch int
}

// Result is what came of one seed.
type Result struct {
	Seed                         uint64
	Sent, Handled, Parked, Ended int // accepted messages that lasted, and what became of them
	country.Faults
	Decisions                 int
	Files, Carried, Redirects int // files found whole at rest, visits to systems elsewhere, messages sent on by people
	Trace                     uint64
}

// Add sums up.
func (r *Result) Add(o Result) {
	r.Sent, r.Handled, r.Parked, r.Ended = r.Sent+o.Sent, r.Handled+o.Handled, r.Parked+o.Parked, r.Ended+o.Ended
	r.Faults.Add(o.Faults)
	r.Decisions += o.Decisions
	r.Files, r.Carried, r.Redirects = r.Files+o.Files, r.Carried+o.Carried, r.Redirects+o.Redirects
}

// String is the figures in words.
func (r Result) String() string {
	return fmt.Sprintf("%d messages: %d handled, %d parked, %d ended otherwise; %s; %d decisions, %d of them to redirect; %d files whole, %d visits to systems elsewhere",
		r.Sent, r.Handled, r.Parked, r.Ended, r.Faults, r.Decisions, r.Redirects, r.Files, r.Carried)
}

// start is when every simulation begins.
var start = time.Date(2026, 6, 5, 9, 0, 0, 0, time.UTC)

// weights are how likely it is that something is asked of the post, of 1,000 steps or messages.
type weights struct {
	decide, poison, refuse, brief int
	file                          int           // messages with files
	ttl                           time.Duration // of brief messages
}

// world is the simulated country.
type world struct {
	*country.Country
	o     Options
	w     weights
	nodes []*node
	key   int
	res   Result

	seen    map[string]string // by node: where the watched message was last
	watched string            // its id

	files      map[int][]int      // the numbers of the files that each message has
	outside    []visit            // what systems elsewhere have taken, in order
	redirected map[string][]*node // where people sent a message elsewhere
}

// Run simulates one seed. An error is a broken promise, or a failure of the simulator itself; it names the seed.
func Run(ctx context.Context, seed uint64, o Options) (res Result, err error) {
	if o.Steps <= 0 {
		o.Steps = 120
	}
	w := &world{Country: country.New(ctx, rand.New(rand.NewPCG(seed, 19)), o.Log), o: o, res: Result{Seed: seed}, //nolint:gosec // a simulation's chance
		files: map[int][]int{}, redirected: map[string][]*node{}, seen: map[string]string{}}
	w.Said = w.watch
	w.draw()
	defer func() {
		w.Close()
		res.Faults = w.Faults
	}()
	if err := w.build(seed); err != nil {
		return w.res, fmt.Errorf("seed %d: %w", seed, err)
	}
	for w.Step = range o.Steps {
		if err := ctx.Err(); err != nil {
			return w.res, err
		}
		if err := w.happen(); err != nil {
			return w.res, fmt.Errorf("seed %d, step %d: %w", seed, w.Step, err)
		}
	}
	if err := w.rest(); err != nil {
		return w.res, fmt.Errorf("seed %d, at rest: %w", seed, err)
	}
	w.check()
	w.res.Trace = w.Trace()
	if len(w.Broken) > 0 {
		return w.res, fmt.Errorf("seed %d: %d promises broken, the first: %s", seed, len(w.Broken), w.Broken[0])
	}
	return w.res, nil
}

// draw decides what kind of world it is: some seeds have much of one fault and none of another.
func (w *world) draw() {
	some := func(most int) int { return country.Some(w.Rng, most) }
	w.Weights = country.Weights{Lose: some(150), LoseAnswer: some(150), Double: some(150), Late: some(300), Cut: some(40), Crash: some(60), Full: some(15), Jump: some(40), Restore: some(25)}
	w.w = weights{decide: some(80), poison: some(120), refuse: some(100), brief: some(150), file: some(250)}
	w.Weights.Broken = some(600)
	w.w.ttl = []time.Duration{20 * time.Second, time.Minute, 20 * time.Minute}[w.Rng.IntN(3)]
	if w.Rng.IntN(4) == 0 { // files that take long, between nodes that come and go
		w.w.file, w.Weights.Broken, w.Weights.Cut, w.Weights.Crash = 500, 700, 60, 80
	}
}

func (w *world) build(seed uint64) error {
	for i, name := range []string{"X26", "RQX", "RQY"} {
		n, err := newNode(w, name, seed*8+uint64(i)) //nolint:gosec // small
		if err != nil {
			return err
		}
		w.nodes = append(w.nodes, n)
	}
	for _, n := range w.nodes {
		if err := n.Open(); err != nil {
			return err
		}
	}
	return nil
}

// happen lets one thing happen.
func (w *world) happen() error {
	w.meanwhile()
	n := w.nodes[w.Rng.IntN(len(w.nodes))]
	if !n.Up {
		_, err := n.Return()
		return err
	}
	if w.Chance(w.Weights.Crash) {
		n.Disk.CutPowerAfter(1 + w.Rng.IntN(60))
	}
	switch {
	case w.Chance(w.Weights.Restore):
		return n.Restore()
	case w.Chance(w.Weights.Full):
		steps := 1 + w.Rng.IntN(10)
		n.Fill(w.Rng.IntN(40_000), steps)
	case w.Chance(w.Weights.Jump):
		n.Clock.Advance(time.Duration(w.Rng.IntN(7200)-3600) * time.Second)
	case w.Chance(w.w.decide):
		n.decide()
	case w.Rng.IntN(20) == 0:
		n.Backup()
	case w.Rng.IntN(5) < 2:
		n.send()
	default:
		n.Turn()
	}
	w.BuryDead()
	return nil
}

// meanwhile lets time pass, links heal, and what the network held back arrive.
func (w *world) meanwhile() {
	passed := time.Duration(w.Rng.IntN(4000)) * time.Millisecond
	w.Pass(passed)
	if w.Chance(w.Weights.Cut) {
		a, all := w.nodes[w.Rng.IntN(len(w.nodes))], w.Rng.IntN(2) == 0
		for _, b := range w.nodes {
			if all || w.Rng.IntN(len(w.nodes)) == 0 {
				w.Cut(a.Machine, b.Machine, w.Step+w.Rng.IntN(30))
				w.Cut(b.Machine, a.Machine, w.Step+w.Rng.IntN(30))
			}
		}
	}
	w.DeliverLate()
}

// rest stops the faults, and gives everything the time that it needs.
func (w *world) rest() error {
	if err := w.Heal(); err != nil {
		return err
	}
	if err := w.settle(); err != nil {
		return err
	}
	// What people decide now is handled, and then comes what the network has held back all the time.
	for _, n := range w.nodes {
		n.decideAll()
	}
	if err := w.settle(); err != nil {
		return err
	}
	w.Rested = true
	w.DeliverLate()
	return w.settle()
}

// settle turns everything until nothing is to be done any more.
func (w *world) settle() error {
	quiet := 0
	for round := range 400 {
		busy := false
		for _, n := range w.nodes {
			did, err := n.Drain()
			if err != nil {
				return err
			}
			busy = busy || did || n.Expects()
			n.Clock.Advance(7 * time.Minute)
		}
		if quiet++; busy {
			quiet = 0
		}
		if quiet == 4 {
			w.Say("at rest after %d rounds", round)
			return nil
		}
	}
	return errors.New("it does not come to rest although nothing fails any more")
}
