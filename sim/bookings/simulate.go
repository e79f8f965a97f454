// Package bookings is the simulator of choosing and booking: a national node with the real referrals and two hospitals with their real clinics, joined by the real post,
// in one goroutine, with clocks, links and disks of its own. Under each seed people refer, book, move and cancel, hospitals hand over, ask back and withdraw, and
// everything fails that can: links are cut, requests and answers are lost, late, doubled and broken off, the power goes at any write, disks are full, clocks jump, a node is restored from an old
// backup. A third hospital's system keeps its slots to itself and is asked; its answers are lost. Files go with referrals.
//
// While there is no line clinics put people in by hand; the practice asks for advice.
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
	"io"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/messaging/simulate/country"
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
	Seed                       uint64
	Referrals, Booked, Moved   int // referrals made; bookings and moves of which somebody was told that they are so
	Taken, Cancelled, Decided  int // told that the time is taken; appointments cancelled; decisions of hospitals
	Withdrawn, Given, Recalled int // sessions that will not take place; slots handed over; sessions asked back
	Asked, Attached, Files     int // questions to a hospital's own system; files attached, and found whole at hospitals
	Offered, Accepted          int // times offered to those who wait, and taken by them
	Declined, Lapsed           int // said no to, or let pass
	Instead, Ended, Died       int // people who were offered a time and booked another, whose referral ended, who died
	Unoffered, Back, Gone      int // offers that their slot was taken from; sessions asked back and withdrawn of which a time was on offer
	Unheard, Undone, Retold    int // offers made while the hospital was cut off; restores of a node that had heard of an open offer; offers that a restored spine was told back
	Seen, Refused, Moves       int // people who came or did not; acts of hospitals that the spine refused; moves and bookings by hospitals
	ByHand, Meanwhile, Settled int // people put in by hand while there was no line, times booked at the spine meanwhile, and people settled before the faults stopped
	Assessed                   int // results of assessments
	Questions, Remarks         int // for advice; what the practice, or somebody at the spine, said to them later
	Answers, Overtaken         int // what clinicians said on their own node; what the spine refused of it
	country.Faults
	Trace uint64
}

// Add sums up.
func (r *Result) Add(o Result) {
	r.Referrals, r.Booked, r.Moved = r.Referrals+o.Referrals, r.Booked+o.Booked, r.Moved+o.Moved
	r.Taken, r.Cancelled, r.Decided = r.Taken+o.Taken, r.Cancelled+o.Cancelled, r.Decided+o.Decided
	r.Withdrawn, r.Given, r.Recalled = r.Withdrawn+o.Withdrawn, r.Given+o.Given, r.Recalled+o.Recalled
	r.Seen, r.Refused, r.Moves = r.Seen+o.Seen, r.Refused+o.Refused, r.Moves+o.Moves
	r.Asked, r.Attached, r.Files = r.Asked+o.Asked, r.Attached+o.Attached, r.Files+o.Files
	r.Offered, r.Accepted, r.Declined, r.Lapsed = r.Offered+o.Offered, r.Accepted+o.Accepted, r.Declined+o.Declined, r.Lapsed+o.Lapsed
	r.Instead, r.Ended, r.Died = r.Instead+o.Instead, r.Ended+o.Ended, r.Died+o.Died
	r.Unoffered, r.Back, r.Gone = r.Unoffered+o.Unoffered, r.Back+o.Back, r.Gone+o.Gone
	r.Unheard, r.Undone, r.Retold = r.Unheard+o.Unheard, r.Undone+o.Undone, r.Retold+o.Retold
	r.ByHand, r.Meanwhile, r.Settled, r.Assessed = r.ByHand+o.ByHand, r.Meanwhile+o.Meanwhile, r.Settled+o.Settled, r.Assessed+o.Assessed
	r.Questions, r.Remarks, r.Answers, r.Overtaken = r.Questions+o.Questions, r.Remarks+o.Remarks, r.Answers+o.Answers, r.Overtaken+o.Overtaken
	r.Faults.Add(o.Faults)
}

// String is the figures in words.
func (r Result) String() string {
	return fmt.Sprintf("%d referrals, %d bookings, %d moves and %d cancelled by people, %d told that the time is taken; %d slots given, %d sessions asked back, %d withdrawn; %d decisions of hospitals, %d moves and bookings of theirs, %d refused, %d seen; %d times offered to those who wait (%d while the hospital was cut off), %d taken, %d said no to, %d let pass, %d given up for another time, %d ended with the referral, %d with the person, %d with the slot (%d sessions asked back and %d withdrawn with a time on offer), %d restores amid offers, %d offers told back; %d questions to a system elsewhere; %d files attached, %d found whole at hospitals; %d people put in by hand, %d such times booked by others, %d settled amid faults; %d assessed; %d questions for advice, %d replies and %d answers, %d of them refused; %s",
		r.Referrals, r.Booked, r.Moved, r.Cancelled, r.Taken, r.Given, r.Recalled, r.Withdrawn, r.Decided, r.Moves, r.Refused, r.Seen, r.Offered, r.Unheard, r.Accepted, r.Declined, r.Lapsed, r.Instead, r.Ended, r.Died, r.Unoffered, r.Back, r.Gone, r.Undone, r.Retold, r.Asked, r.Attached, r.Files, r.ByHand, r.Meanwhile, r.Settled, r.Assessed, r.Questions, r.Remarks, r.Answers, r.Overtaken, r.Faults)
}

// start is when every simulation begins: a Monday.
var start = time.Date(2026, 6, 1, 9, 0, 0, 0, time.UTC)

// world is the simulated country.
type world struct {
	*country.Country
	o     Options
	days  int // how likely it is, of 1,000 steps, that a day or more passes
	folk  int // the share of what people do, of ten; the rest is the hospitals'
	nodes []*node
	apart *apart
	made  []made
	told  map[string]promise // by UBRN, the last booking that somebody was told of
	queue waits
	hand  byHand
	talks talks
	files map[string][]byte // by id, what was attached
	res   Result
	seen  map[string]string // by node: what it last knew of the watched slot
}

// Run simulates one seed. An error is a broken promise, or a failure of the simulator itself; it names the seed.
func Run(ctx context.Context, seed uint64, o Options) (res Result, err error) {
	if o.Steps <= 0 {
		o.Steps = 200
	}
	w := &world{Country: country.New(ctx, rand.New(rand.NewPCG(seed, 23)), o.Log), o: o, told: map[string]promise{}, seen: map[string]string{}, files: map[string][]byte{}, queue: newWaits(), res: Result{Seed: seed}} //nolint:gosec // a simulation's chance
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
		w.checkNow()
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
	w.Weights = country.Weights{Lose: some(150), LoseAnswer: some(150), Double: some(100), Late: some(200), Broken: some(300), Cut: some(60), Crash: some(40), Full: some(10), Jump: some(20), Restore: some(12)}
	w.days, w.folk = some(70), 3+w.Rng.IntN(3)
	if w.Rng.IntN(3) > 0 || !w.o.Restores {
		w.Weights.Restore = 0
	}
	w.apart = newApart(w)
	w.drawWaits()
	w.drawByHand()
	w.talks.some = w.Rng.IntN(2) == 0
}

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
		if err := n.Open(); err != nil {
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
	n := w.nodes[w.Rng.IntN(len(w.nodes))]
	if !n.Up {
		_, err := n.Return()
		return err
	}
	if w.Chance(w.Weights.Crash) {
		n.Disk.CutPowerAfter(1 + w.Rng.IntN(80))
	}
	w.offer()
	w.withoutLine()
	if err := w.undo(); err != nil || !n.Up {
		w.BuryDead()
		return err
	}
	switch {
	case w.Chance(w.Weights.Restore):
		return w.restore(n)
	case w.Chance(w.Weights.Full):
		steps := 1 + w.Rng.IntN(10)
		n.Fill(w.Rng.IntN(60_000), steps)
	case w.Chance(w.Weights.Jump):
		n.Clock.Advance(time.Duration(w.Rng.IntN(7200)-3600) * time.Second)
	case w.Rng.IntN(25) == 0:
		n.Backup()
	case w.Rng.IntN(4) == 0:
		n.work()
	case w.Rng.IntN(12) == 0:
		n.job()
	case w.Rng.IntN(10) < w.folk && w.nodes[0].Up:
		w.nodes[0].people()
	case n != w.nodes[0]:
		n.staff()
	default:
		n.work()
	}
	w.BuryDead()
	return nil
}

// meanwhile lets time pass, links heal, and what the network held back arrive.
func (w *world) meanwhile() {
	passed := time.Duration(w.Rng.IntN(90)) * time.Second
	if w.Chance(w.days) {
		passed = time.Duration(12+w.Rng.IntN(60)) * time.Hour
		w.Say("%s pass", passed)
	}
	w.Pass(passed)
	if w.Chance(w.Weights.Cut) {
		a := w.nodes[1+w.Rng.IntN(len(w.nodes)-1)]
		w.Cut(w.nodes[0].Machine, a.Machine, w.Step+w.Rng.IntN(40))
		w.Cut(a.Machine, w.nodes[0].Machine, w.Step+w.Rng.IntN(40))
	}
	w.DeliverLate()
}

// rest stops the faults, and gives everything the time that it needs; then both sides compare.
func (w *world) rest() error {
	if err := w.Heal(); err != nil {
		return err
	}
	if err := w.settle(); err != nil {
		return err
	}
	w.Rested = true
	w.DeliverLate() // what the network has held back all the time
	if err := w.settle(); err != nil {
		return err
	}
	for round := range 4 { // what is repaired by a comparison is compared again, an hour later
		if err := w.compare(); err != nil {
			return err
		}
		if round > 0 || !w.settleAll() {
			continue
		}
		if err := w.settle(); err != nil {
			return err
		}
	}
	return nil
}

// compare lets both sides compare, an hour later.
func (w *world) compare() error {
	for _, n := range w.nodes {
		n.Clock.Advance(time.Hour)
		if err := n.jobNamed("tally"); err != nil {
			return err
		}
	}
	return w.settle()
}

// settle turns everything until nothing is to be done any more.
func (w *world) settle() error {
	quiet := 0
	for round := range 300 {
		busy := false
		for _, n := range w.nodes {
			did, err := n.Drain()
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
			list, err := n.Post.Pending(w.Ctx)
			if err != nil {
				return err
			}
			busy = busy || did || slices.ContainsFunc(list, func(x messaging.Work) bool { return !x.Fetch }) || n.Expects()
			n.Clock.Advance(7 * time.Minute)
		}
		if quiet++; busy {
			quiet = 0
		}
		if quiet == 3 {
			w.Say("at rest after %d rounds", round)
			return nil
		}
	}
	return fmt.Errorf("it does not come to rest although nothing fails any more: %s", w.waits())
}

// waits says what the nodes still hold, for whoever looks at a seed that does not come to rest.
func (w *world) waits() (words string) {
	for _, n := range w.nodes {
		list, _, err := n.Post.Held(w.Ctx, messaging.Worklist{Limit: 3})
		for _, it := range list {
			words += fmt.Sprintf("%s holds %s of %q, %s: %s; ", n.Name, it.Workflow, it.Conversation, it.Held.Why, it.Held.Reason)
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
			if _, err := n.Drain(); err != nil {
				return err
			}
		}
	}
	return nil
}
