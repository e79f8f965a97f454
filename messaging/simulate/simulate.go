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
	"hash"
	"hash/fnv"
	"io"
	"math"
	"math/rand/v2"
	"os"
	"path/filepath"
	"time"

	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
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
	Seed                                uint64
	Sent, Handled, Parked, Ended        int // accepted messages that lasted, and what became of them
	Crashes, Restores, Exchanges, Lost  int // power losses, databases restored, requests between nodes, requests or answers lost
	Doubled, Late, Decisions, FullDisks int
	Files, Carried, Redirects           int // files found whole at rest, visits to systems elsewhere, messages sent on by people
	Trace                               uint64
}

// Add sums up.
func (r *Result) Add(o Result) {
	r.Sent, r.Handled, r.Parked, r.Ended = r.Sent+o.Sent, r.Handled+o.Handled, r.Parked+o.Parked, r.Ended+o.Ended
	r.Crashes, r.Restores, r.Exchanges, r.Lost = r.Crashes+o.Crashes, r.Restores+o.Restores, r.Exchanges+o.Exchanges, r.Lost+o.Lost
	r.Doubled, r.Late, r.Decisions, r.FullDisks = r.Doubled+o.Doubled, r.Late+o.Late, r.Decisions+o.Decisions, r.FullDisks+o.FullDisks
	r.Files, r.Carried, r.Redirects = r.Files+o.Files, r.Carried+o.Carried, r.Redirects+o.Redirects
}

// String is the figures in words.
func (r Result) String() string {
	return fmt.Sprintf("%d messages: %d handled, %d parked, %d ended otherwise; %d power losses, %d restores, %d exchanges (%d lost, %d doubled, %d late), %d full disks, %d decisions, %d of them to redirect; %d files whole, %d visits to systems elsewhere",
		r.Sent, r.Handled, r.Parked, r.Ended, r.Crashes, r.Restores, r.Exchanges, r.Lost, r.Doubled, r.Late, r.FullDisks, r.Decisions, r.Redirects, r.Files, r.Carried)
}

// start is when every simulation begins.
var start = time.Date(2026, 6, 5, 9, 0, 0, 0, time.UTC)

// weights are how likely each fault is under a seed, of 1,000 steps or requests.
type weights struct {
	lose, loseAnswer, double, late  int
	cut, crash, full, jump, restore int
	decide, poison, refuse, brief   int
	file, broken                    int           // messages with files; files that break off
	ttl                             time.Duration // of brief messages
}

// world is the simulated country.
type world struct {
	o      Options
	rng    *rand.Rand
	w      weights
	dir    string
	nodes  []*node
	calm   bool // the faults have stopped
	rested bool // and everything came to rest once
	step   int
	key    int
	cut    map[[2]network.NodeID]int // until which step
	late   []letter
	trace  hash.Hash64
	res    Result
	ctx    context.Context
	taken  []string // what broke a promise

	seen    map[string]string // by node: where the watched message was last
	watched string            // its id

	files      map[int][]int      // the numbers of the files that each message has
	outside    []visit            // what systems elsewhere have taken, in order
	redirected map[string][]*node // where people sent a message elsewhere
}

// letter is a request that the network holds back.
type letter struct {
	due          int // afterRest: until everything else has come to rest
	from, to     *node
	method, path string
	span         string // of a file, when not all of it is asked for
	body         []byte
}

const afterRest = math.MaxInt

// Run simulates one seed. An error is a broken promise, or a failure of the simulator itself; it names the seed.
func Run(ctx context.Context, seed uint64, o Options) (res Result, err error) {
	if o.Steps <= 0 {
		o.Steps = 120
	}
	dir, err := os.MkdirTemp(shm(), "openspine-simulate-*")
	if err != nil {
		return Result{}, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	w := &world{o: o, rng: rand.New(rand.NewPCG(seed, 19)), dir: dir, cut: map[[2]network.NodeID]int{}, trace: fnv.New64a(), res: Result{Seed: seed}, ctx: ctx,
		files: map[int][]int{}, redirected: map[string][]*node{}, seen: map[string]string{}} //nolint:gosec // a simulation's chance
	w.draw()
	defer func() {
		for _, n := range w.nodes {
			n.close()
		}
	}()
	if err := w.build(seed); err != nil {
		return w.res, fmt.Errorf("seed %d: %w", seed, err)
	}
	for w.step = range o.Steps {
		if err := ctx.Err(); err != nil {
			return w.res, err
		}
		if err := w.happen(); err != nil {
			return w.res, fmt.Errorf("seed %d, step %d: %w", seed, w.step, err)
		}
	}
	if err := w.rest(); err != nil {
		return w.res, fmt.Errorf("seed %d, at rest: %w", seed, err)
	}
	w.check()
	w.res.Trace = w.trace.Sum64()
	if len(w.taken) > 0 {
		return w.res, fmt.Errorf("seed %d: %d promises broken, the first: %s", seed, len(w.taken), w.taken[0])
	}
	return w.res, nil
}

// shm is a folder in memory, where there is one: databases that are restored pass through it.
func shm() string {
	if s, err := os.Stat("/dev/shm"); err == nil && s.IsDir() {
		return "/dev/shm"
	}
	return ""
}

// draw decides what kind of world it is: some seeds have much of one fault and none of another.
func (w *world) draw() {
	some := func(most int) int {
		if w.rng.IntN(3) == 0 {
			return 0
		}
		return w.rng.IntN(most + 1)
	}
	w.w = weights{lose: some(150), loseAnswer: some(150), double: some(150), late: some(300), cut: some(40), crash: some(60), full: some(15), jump: some(40),
		restore: some(25), decide: some(80), poison: some(120), refuse: some(100), brief: some(150), file: some(250), broken: some(600),
		ttl: []time.Duration{20 * time.Second, time.Minute, 20 * time.Minute}[w.rng.IntN(3)]}
	if w.rng.IntN(4) == 0 { // files that take long, between nodes that come and go
		w.w.file, w.w.broken, w.w.cut, w.w.crash = 500, 700, 60, 80
	}
}

func (w *world) say(format string, args ...any) {
	line := fmt.Sprintf("%d "+format+"\n", append([]any{w.step}, args...)...)
	_, _ = w.trace.Write([]byte(line)) // a hash never fails
	if w.o.Log != nil {
		_, _ = io.WriteString(w.o.Log, line)
	}
	w.watch()
}

func (w *world) broken(format string, args ...any) {
	line := fmt.Sprintf(format, args...)
	w.taken = append(w.taken, line)
	w.say("BROKEN %s", line)
}

// chance is true so many times in a thousand, while there are faults.
func (w *world) chance(of int) bool { return w.rng.IntN(1000) < of && !w.calm }

func (w *world) build(seed uint64) error {
	for i, name := range []string{"X26", "RQX", "RQY"} {
		n, err := newNode(w, name, seed*8+uint64(i)) //nolint:gosec // small
		if err != nil {
			return err
		}
		w.nodes = append(w.nodes, n)
	}
	for _, n := range w.nodes {
		if err := n.open(); err != nil {
			return err
		}
	}
	return nil
}

// happen lets one thing happen.
func (w *world) happen() error {
	w.meanwhile()
	n := w.nodes[w.rng.IntN(len(w.nodes))]
	if !n.up {
		if n.down--; n.down > 0 {
			return nil
		}
		w.say("%s comes back", n.name)
		return n.open()
	}
	if w.chance(w.w.crash) {
		n.disk.CutPowerAfter(1 + w.rng.IntN(60))
	}
	switch {
	case w.chance(w.w.restore):
		return n.restore()
	case w.chance(w.w.full):
		w.res.FullDisks++
		n.fullTill = w.step + 1 + w.rng.IntN(10)
		n.disk.SetQuota(n.disk.Used() + int64(w.rng.IntN(40_000)))
	case w.chance(w.w.jump):
		n.clock.Advance(time.Duration(w.rng.IntN(7200)-3600) * time.Second)
	case w.chance(w.w.decide):
		n.decide()
	case w.rng.IntN(20) == 0:
		n.backup()
	case w.rng.IntN(5) < 2:
		n.send()
	default:
		n.work()
	}
	w.buryDead()
	return nil
}

// meanwhile lets time pass, links heal, and what the network held back arrive.
func (w *world) meanwhile() {
	passed := time.Duration(w.rng.IntN(4000)) * time.Millisecond
	for _, n := range w.nodes {
		n.clock.Advance(passed)
		if n.fullTill > 0 && n.fullTill <= w.step {
			n.fullTill = 0
			n.disk.SetQuota(0)
		}
	}
	if w.chance(w.w.cut) {
		a, all := w.nodes[w.rng.IntN(len(w.nodes))], w.rng.IntN(2) == 0
		for _, b := range w.nodes {
			if all || w.rng.IntN(len(w.nodes)) == 0 {
				w.cut[[2]network.NodeID{a.id, b.id}] = w.step + w.rng.IntN(30)
				w.cut[[2]network.NodeID{b.id, a.id}] = w.step + w.rng.IntN(30)
			}
		}
	}
	w.deliverLate()
}

func (w *world) deliverLate() {
	kept := w.late[:0]
	var due []letter
	for _, l := range w.late {
		if l.due > w.step && (!w.calm || l.due == afterRest && !w.rested) {
			kept = append(kept, l)
			continue
		}
		due = append(due, l)
	}
	w.late = kept
	for _, l := range due {
		w.res.Late++
		status, _ := w.hand(l) //nolint:bodyclose // in memory
		w.say("late %s to %s: %d", l.path, l.to.name, status)
	}
	w.buryDead()
}

// buryDead takes nodes down whose power went during what happened.
func (w *world) buryDead() {
	for _, n := range w.nodes {
		if n.up && n.disk.Dark() {
			n.die()
		}
	}
}

// rest stops the faults, and gives everything the time that it needs.
func (w *world) rest() error {
	w.calm = true
	w.step++
	clear(w.cut)
	for _, n := range w.nodes {
		n.disk.SetQuota(0)
		n.disk.CutPowerAfter(0)
		if !n.up {
			if err := n.open(); err != nil {
				return err
			}
		}
	}
	w.deliverLate()
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
	w.rested = true
	w.deliverLate()
	return w.settle()
}

// settle turns everything until nothing is to be done any more.
func (w *world) settle() error {
	quiet := 0
	for round := range 400 {
		busy := false
		for _, n := range w.nodes {
			did, err := n.drain()
			if err != nil {
				return err
			}
			busy = busy || did || n.expects()
			n.clock.Advance(7 * time.Minute)
		}
		if quiet++; busy {
			quiet = 0
		}
		if quiet == 4 {
			w.say("at rest after %d rounds", round)
			return nil
		}
	}
	return errors.New("it does not come to rest although nothing fails any more")
}

func (n *node) path() string { return filepath.Join("/", n.name+".db") }
