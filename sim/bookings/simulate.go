// Package bookings is the simulator of choosing and booking: a national node with the real referrals and two hospitals with their real clinics, joined by the real post,
// in one goroutine, with clocks, links and disks of its own. Under each seed people refer, book, move and cancel, hospitals hand over, ask back and withdraw, and
// everything fails that can: links are cut, requests and answers are lost, late and doubled, the power goes at any write, clocks jump, a node is restored from an old backup.
//
//	people ──► X26: referral, directory ◄──── post over a failing network ────► RQX, RQY: hospital ◄── clerks, doctors
//
// When the faults stop, everything that was promised must be so (see check.go): nobody shares a slot, who was told "booked" is booked, what the patient's page says is what
// the hospital holds, the two sides differ in nothing, and whoever waits is on somebody's worklist.
//
// A seed that fails is replayed by its number: nothing here depends on time, on the machine, or on the order in which goroutines run.
package bookings

import (
	"context"
	"fmt"
	"hash"
	"hash/fnv"
	"io"
	"math/rand/v2"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/network"
)

// Options say what is simulated.
type Options struct {
	// Steps is how many things happen before the faults stop; 200 by default.
	Steps int
	// Restores lets nodes be restored from old backups, too.
	Restores bool
	// Seams take one duty of either side away: the simulator must then find a seed that fails.
	Seams booking.Seams
	// Log is told of each step; nil for nobody.
	Log io.Writer
	// Watch is a slot of which the log says whenever a side knows otherwise of it.
	Watch string
}

// Result is what came of one seed.
type Result struct {
	Seed                          uint64
	Referrals, Booked, Moved      int // referrals made; bookings and moves of which somebody was told that they are so
	Taken, Cancelled, Decided     int // told that the time is taken; appointments cancelled; decisions of hospitals
	Withdrawn, Given, Recalled    int // sessions that will not take place; slots handed over; sessions asked back
	Seen, Refused, Moves          int // people who came or did not; acts of hospitals that the spine refused; moves and bookings by hospitals
	Crashes, Restores, Lost, Late int
	Trace                         uint64
}

// Add sums up.
func (r *Result) Add(o Result) {
	r.Referrals, r.Booked, r.Moved = r.Referrals+o.Referrals, r.Booked+o.Booked, r.Moved+o.Moved
	r.Taken, r.Cancelled, r.Decided = r.Taken+o.Taken, r.Cancelled+o.Cancelled, r.Decided+o.Decided
	r.Withdrawn, r.Given, r.Recalled = r.Withdrawn+o.Withdrawn, r.Given+o.Given, r.Recalled+o.Recalled
	r.Seen, r.Refused, r.Moves = r.Seen+o.Seen, r.Refused+o.Refused, r.Moves+o.Moves
	r.Crashes, r.Restores, r.Lost, r.Late = r.Crashes+o.Crashes, r.Restores+o.Restores, r.Lost+o.Lost, r.Late+o.Late
}

// String is the figures in words.
func (r Result) String() string {
	return fmt.Sprintf("%d referrals, %d bookings, %d moves and %d cancelled by people, %d told that the time is taken; %d slots given, %d sessions asked back, %d withdrawn; %d decisions of hospitals, %d moves and bookings of theirs, %d refused, %d seen; %d power losses, %d restores, %d exchanges lost, %d late",
		r.Referrals, r.Booked, r.Moved, r.Cancelled, r.Taken, r.Given, r.Recalled, r.Withdrawn, r.Decided, r.Moves, r.Refused, r.Seen, r.Crashes, r.Restores, r.Lost, r.Late)
}

// start is when every simulation begins: a Monday.
var start = time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC)

// weights are how likely each fault is under a seed, of 1,000 steps or requests.
type weights struct {
	lose, loseAnswer, double, late int
	cut, crash, jump, restore      int
	days                           int // that a day or more passes
	people                         int // the share of what people do, of ten; the rest is the hospitals'
}

// world is the simulated country.
type world struct {
	o     Options
	ctx   context.Context
	rng   *rand.Rand
	w     weights
	nodes []*node // the spine first
	calm  bool    // the faults have stopped
	step  int
	cut   map[[2]network.NodeID]int // until which step
	late  []letter
	made  []made
	told  map[string]promise // by UBRN, the last booking that somebody was told of
	trace hash.Hash64
	res   Result
	taken []string          // what broke a promise
	seen  map[string]string // by node: what it last knew of the watched slot
}

// letter is a request that the network holds back.
type letter struct {
	due          int
	from, to     *node
	method, path string
	body         []byte
}

// Run simulates one seed. An error is a broken promise, or a failure of the simulator itself; it names the seed.
func Run(ctx context.Context, seed uint64, o Options) (res Result, err error) {
	if o.Steps <= 0 {
		o.Steps = 200
	}
	w := &world{o: o, ctx: ctx, rng: rand.New(rand.NewPCG(seed, 23)), cut: map[[2]network.NodeID]int{}, told: map[string]promise{}, seen: map[string]string{}, trace: fnv.New64a(), res: Result{Seed: seed}} //nolint:gosec // a simulation's chance
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
		w.checkNow()
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

// draw decides what kind of world it is: some seeds have much of one fault and none of another.
func (w *world) draw() {
	some := func(most int) int {
		if w.rng.IntN(3) == 0 {
			return 0
		}
		return w.rng.IntN(most + 1)
	}
	w.w = weights{lose: some(150), loseAnswer: some(150), double: some(100), late: some(200), cut: some(60), crash: some(40), jump: some(20), restore: some(12), days: some(70), people: 3 + w.rng.IntN(3)}
	if w.rng.IntN(3) > 0 || !w.o.Restores {
		w.w.restore = 0
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
	begun, err := beginning()
	if err != nil {
		return err
	}
	for i, name := range names() {
		n, err := newNode(w, name, seed*8+uint64(i), begun) //nolint:gosec // small
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
	for _, n := range w.nodes[1:] {
		for range 2 {
			n.hold()
		}
	}
	return w.turnAll()
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
		n.disk.CutPowerAfter(1 + w.rng.IntN(80))
	}
	switch {
	case w.chance(w.w.restore):
		return n.restore()
	case w.chance(w.w.jump):
		n.clock.Advance(time.Duration(w.rng.IntN(7200)-3600) * time.Second)
	case w.rng.IntN(25) == 0:
		n.backup()
	case w.rng.IntN(4) == 0:
		n.work()
	case w.rng.IntN(12) == 0:
		n.job()
	case w.rng.IntN(10) < w.w.people && w.nodes[0].up:
		w.nodes[0].people()
	case n != w.nodes[0]:
		n.staff()
	default:
		n.work()
	}
	w.buryDead()
	return nil
}

// meanwhile lets time pass, links heal, and what the network held back arrive.
func (w *world) meanwhile() {
	passed := time.Duration(w.rng.IntN(90)) * time.Second
	if w.chance(w.w.days) {
		passed = time.Duration(12+w.rng.IntN(60)) * time.Hour
		w.say("%s pass", passed)
	}
	for _, n := range w.nodes {
		n.clock.Advance(passed)
	}
	if w.chance(w.w.cut) {
		a := w.nodes[1+w.rng.IntN(len(w.nodes)-1)]
		for _, pair := range [][2]network.NodeID{{w.nodes[0].id, a.id}, {a.id, w.nodes[0].id}} {
			w.cut[pair] = w.step + w.rng.IntN(40)
		}
	}
	w.deliverLate()
}

func (w *world) deliverLate() {
	kept := w.late[:0]
	var due []letter
	for _, l := range w.late {
		if l.due > w.step && !w.calm {
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

// rest stops the faults, and gives everything the time that it needs; then both sides compare.
func (w *world) rest() error {
	w.calm = true
	w.step++
	clear(w.cut)
	for _, n := range w.nodes {
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
	for range 4 { // what is repaired by a comparison is compared again, an hour later
		for _, n := range w.nodes {
			n.clock.Advance(time.Hour)
			if err := n.jobNamed("tally"); err != nil {
				return err
			}
		}
		if err := w.settle(); err != nil {
			return err
		}
	}
	return nil
}

// settle turns everything until nothing is to be done any more.
func (w *world) settle() error {
	quiet := 0
	for round := range 300 {
		busy := false
		for _, n := range w.nodes {
			did, err := n.drain()
			if err != nil {
				return err
			}
			if err := n.jobs(); err != nil {
				return err
			}
			if round%9 == 8 { // hourly
				if err := n.jobNamed("tally"); err != nil {
					return err
				}
			}
			list, err := n.post.Pending(w.ctx)
			if err != nil {
				return err
			}
			busy = busy || did || len(list) > 0
			n.clock.Advance(7 * time.Minute)
		}
		if quiet++; busy {
			quiet = 0
		}
		if quiet == 3 {
			w.say("at rest after %d rounds", round)
			return nil
		}
	}
	return fmt.Errorf("it does not come to rest although nothing fails any more: %s", w.waits())
}

// waits says what the nodes still hold, for whoever looks at a seed that does not come to rest.
func (w *world) waits() (words string) {
	for _, n := range w.nodes {
		list, _, err := n.post.Held(w.ctx, messaging.Worklist{Limit: 3})
		for _, it := range list {
			words += fmt.Sprintf("%s holds %s of %q, %s: %s; ", n.name, it.Workflow, it.Conversation, it.Held.Why, it.Held.Reason)
		}
		if err != nil {
			words += err.Error()
		}
	}
	return words
}

// turnAll lets the post carry all that it has now.
func (w *world) turnAll() error {
	for range 3 {
		for _, n := range w.nodes {
			if _, err := n.drain(); err != nil {
				return err
			}
		}
	}
	return nil
}
