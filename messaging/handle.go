package messaging

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// A turn takes messages until their bodies reach this size.
const turnBytes = 4 << 20

// wantLanes says that a turn must be begun again with further lanes.
type wantLanes struct{ lanes []store.Lane }

func (wantLanes) Error() string { return "further lanes are needed" }

// errCareful says that a turn must be begun again with each message in a savepoint of its own, for one of them failed.
var errCareful = errors.New("a message failed")

// turn is one turn of a queue in one lane.
type turn struct {
	p       *Post
	ctx     context.Context
	tx      *store.Tx
	q       queue
	lane    store.Lane
	careful bool
	at      time.Time // of the transaction: it never goes back in a lane
	now     time.Time // by the clock, which may: what is to be tried again goes by it

	deliver func(tx *store.Tx, l *letter) error // what is done with each message; errNotYet ends the turn before it
	held    bool                                // something in this queue is held
	ended   []ending
	more    bool
}

// ending is what became of a message in this turn.
type ending struct {
	l      *letter
	state  State
	reason string
	actor  string
}

// errNotYet ends a turn before a message that it cannot deal with now.
var errNotYet = errors.New("not yet")

// turnQueue handles what a queue holds in a lane, a batch at most: new messages, then held ones that are due. more means that there may be more at once.
func (p *Post) turnQueue(ctx context.Context, w Work) (more bool, err error) {
	var q queue
	known := func() error {
		return p.db.Read(ctx, func(tx *store.Tx) error { q, err = p.queue(tx, w.Queue); return err })
	}
	if err = known(); fault.Is(err, fault.NotFound) {
		if err = p.settled(ctx, w); err == nil {
			err = known()
		}
	}
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			return false, nil // nobody has sent there yet
		}
		return false, err
	}
	p.remember(q)
	deliver := p.inTransaction(ctx, q)
	if c := p.couriers[q.to.Kind]; c != nil && c.away() {
		return p.turnCarrier(ctx, w, q, c)
	}
	if p.o.Seams.AckFirst {
		return p.ackFirst(ctx, w, q, deliver)
	}
	return p.runTurn(ctx, w, q, deliver)
}

// settled waits until whatever rang for a piece of work inside its transaction has ended it.
func (p *Post) settled(ctx context.Context, w Work) error {
	return p.db.Write(ctx, []store.Lane{w.Lane}, func(*store.Tx) error { return nil })
}

// ackFirst is the mistake that Seams.AckFirst makes.
func (p *Post) ackFirst(ctx context.Context, w Work, q queue, deliver func(*store.Tx, *letter) error) (more bool, err error) {
	var taken []letter
	more, err = p.runTurn(ctx, w, q, func(_ *store.Tx, l *letter) error {
		taken = append(taken, *l)
		return nil
	})
	for i := range taken {
		_ = p.db.Write(ctx, []store.Lane{w.Lane}, func(tx *store.Tx) error { return deliver(tx, &taken[i]) }) // the mistake
	}
	return more, err
}

// runTurn runs a turn, again with more lanes or with savepoints if it must.
func (p *Post) runTurn(ctx context.Context, w Work, q queue, deliver func(*store.Tx, *letter) error) (more bool, err error) {
	lanes, careful := []store.Lane{w.Lane}, false
	for range 16 {
		var t turn
		err = p.db.Write(ctx, lanes, func(tx *store.Tx) error {
			t = turn{p: p, ctx: tx.Context(), tx: tx, q: q, lane: w.Lane, careful: careful, at: tx.At(), now: p.clock.Now(), deliver: deliver}
			return t.run()
		})
		var want wantLanes
		switch {
		case err == nil:
			return t.more, nil
		case errors.As(err, &want):
			lanes = append(lanes, want.lanes...)
		case errors.Is(err, errCareful):
			careful = true
		default:
			return false, err
		}
	}
	return true, nil // what it needs keeps changing: let others go first
}

// inTransaction is how messages of a queue are handled that can be so inside a transaction.
func (p *Post) inTransaction(ctx context.Context, q queue) func(*store.Tx, *letter) error {
	if c := p.couriers[q.to.Kind]; c != nil && c.Place != nil {
		return func(tx *store.Tx, l *letter) error {
			if c.Lanes != nil {
				if err := needs(tx, c.Lanes(q.to, l.Message)); err != nil {
					return err
				}
			}
			return safely(func() error { return c.Place(tx.Context(), tx, q.to, l.Message) })
		}
	}
	return func(tx *store.Tx, l *letter) error {
		h := p.handlers[l.Workflow]
		if h == nil || h.Handle == nil {
			return Refuse("Nobody here handles messages of the workflow %s.", l.Workflow)
		}
		if h.Lanes != nil && p.db.Lanes() > 1 { // with one lane the turn holds it
			if err := needs(tx, h.Lanes(l.Message)); err != nil {
				return err
			}
		}
		return safely(func() error { return h.Handle(tx.Context(), tx, l.Message) })
	}
}

// needs takes lanes that tx does not hold, or asks for them where that would wait for somebody.
func needs(tx *store.Tx, lanes []store.Lane) error {
	var lacking []store.Lane
	for _, lane := range lanes {
		if !tx.Holds(lane) {
			lacking = append(lacking, lane)
		}
	}
	if lacking == nil {
		return nil
	}
	if taken, err := tx.Take(lacking...); taken || err != nil {
		return err
	}
	return wantLanes{lacking}
}

// safely makes a panic of what a service handed in a failure of the message.
func safely(fn func() error) (err error) {
	defer func() {
		if v := recover(); v != nil {
			err = fault.Wrap(fmt.Errorf("%v", v), fault.Internal, "the handler panicked")
		}
	}()
	return fn()
}

func (t *turn) run() error {
	var next, done, held int64
	err := t.tx.QueryRow(`SELECT next, done, (SELECT count(*) FROM (SELECT 1 FROM post_held WHERE lane = ? AND queue = ? LIMIT 1) h) FROM post_stream WHERE lane = ? AND queue = ?`,
		t.lane, t.q.id, t.lane, t.q.id).Scan(&next, &done, &held)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if t.held = held > 0; t.held {
		if err := t.retry(); err != nil {
			return err
		}
	}
	if done+1 < next {
		if err := t.fresh(next, done); err != nil {
			return err
		}
	}
	return t.close()
}

// fresh deals with new messages and moves the cursor past them.
func (t *turn) fresh(next, done int64) error {
	list, err := letters(t.tx, true, turnBytes, `SELECT `+letterColumns+bodyColumn+`FROM post_message m
		WHERE m.lane = ? AND m.queue = ? AND m.num > ? ORDER BY m.num LIMIT ?`, t.lane, t.q.id, done, t.p.o.Batch)
	if err != nil {
		return err
	}
	to := done
	for i := range list {
		err := t.one(&list[i])
		if errors.Is(err, errNotYet) {
			break
		}
		if err != nil {
			return err
		}
		to = list[i].num
	}
	if len(list) == 0 {
		to = next - 1 // what was there has been pruned
	}
	if to == done {
		return nil
	}
	t.more = t.more || to+1 < next
	return t.tx.Queue(`UPDATE post_stream SET done = ? WHERE lane = ? AND queue = ?`, to, t.lane, t.q.id)
}

// one deals with one new message.
func (t *turn) one(l *letter) error {
	if l.state.Final() {
		return nil
	}
	if !l.Expires.IsZero() && !l.Expires.After(t.at) {
		t.end(l, Expired, "its time was up before it could be handled", "")
		return nil
	}
	blocked, err := t.blocked(l)
	if err != nil {
		return err
	}
	if blocked {
		return t.hold(l, behind, 0, time.Time{}, "waits for an earlier message of its conversation")
	}
	missing, err := t.lacksFiles(l)
	if err != nil {
		return err
	}
	if missing {
		return t.hold(l, fetching, 0, t.now, "waits for its files")
	}
	err = t.try(l)
	switch {
	case err == nil:
		return nil
	case isControl(err):
		return err
	case !t.careful:
		return errCareful
	}
	return t.failed(l, 1, err)
}

// isControl reports errors that are about the turn, not about the message.
func isControl(err error) bool {
	var want wantLanes
	return errors.As(err, &want) || errors.Is(err, errCareful) || errors.Is(err, errNotYet) || fault.Is(err, fault.Full)
}

// try hands a message over, and notes how it ended if it did.
func (t *turn) try(l *letter) error {
	var err error
	if t.careful {
		err = t.tx.Savepoint(func() error { return t.deliver(t.tx, l) })
	} else {
		err = t.deliver(t.tx, l)
	}
	var no refusal
	switch {
	case err == nil:
		t.end(l, Handled, "", "")
		return nil
	case errors.As(err, &no) && t.careful:
		t.end(l, Refused, fault.MessageOf(err), "")
		return nil
	}
	return err
}

func (t *turn) end(l *letter, s State, reason, actor string) {
	t.ended = append(t.ended, ending{l, s, reason, actor})
}

// close writes down what became of the turn's messages: those that were handled in runs.
func (t *turn) close() error {
	for i := 0; i < len(t.ended); {
		n := 1
		if e := &t.ended[i]; e.state == Handled {
			for i+n < len(t.ended) && t.ended[i+n].follows(&t.ended[i+n-1]) {
				n++
			}
		}
		if err := t.write(t.ended[i : i+n]); err != nil {
			return err
		}
		i += n
	}
	return nil
}

// follows reports whether e can be written together with the one before it.
func (e *ending) follows(before *ending) bool {
	a, b := before.l, e.l
	return len(a.answer) == 0 && len(b.answer) == 0 && e.state == before.state && b.num == a.num+1 && b.source == a.source && (b.source == 0 || b.number == a.number+1) && b.turn == a.turn && b.base == a.base && e.reason == "" && before.reason == ""
}

// write writes down endings that follow one another.
func (t *turn) write(run []ending) error {
	first, last := run[0].l, run[len(run)-1].l
	e := run[0]
	if err := t.tx.Queue(`UPDATE post_message SET state = ?, turn = turn + 1, ended = ? WHERE lane = ? AND queue = ? AND num >= ? AND num <= ?`,
		int64(e.state), t.at, t.lane, first.queue, first.num, last.num); err != nil {
		return err
	}
	if e.state != Redirected { // whose body went with it
		if err := t.tx.Queue(`DELETE FROM post_body WHERE lane = ? AND queue = ? AND num >= ? AND num <= ?`, t.lane, first.queue, first.num, last.num); err != nil {
			return err
		}
	}
	if e.reason != "" {
		if err := event(t.tx, first, e.state.String(), e.actor, e.reason); err != nil {
			return err
		}
	}
	if first.source != 0 {
		return t.p.noteAnswer(t.tx, first.lane, first.source, first.number, last.number, e.state, first.base+first.turn+1, e.reason, first.answered())
	}
	for i := range run {
		if err := t.p.tell(t.tx, run[i].l, run[i].state, t.at, run[i].reason); err != nil {
			return err
		}
	}
	return nil
}

// tell lets the sender's service learn what became of a message that was sent from here. What fails is tried again.
func (p *Post) tell(tx *store.Tx, l *letter, s State, at time.Time, reason string) error {
	h := p.handlers[l.Workflow]
	if h == nil || h.Learn == nil {
		return nil
	}
	if h.LearnLanes != nil {
		if err := needs(tx, h.LearnLanes(l.Message)); err != nil {
			return err
		}
	}
	r := Receipt{Message: l.Message, State: s, At: at, Reason: reason, Answer: l.answer}
	r.Body = nil
	err := tx.Savepoint(func() error { return safely(func() error { return h.Learn(tx.Context(), tx, r) }) })
	if err == nil || isControl(err) {
		return err
	}
	p.log.Warn("messaging: a sender could not be told what became of a message; it is tried again", "workflow", l.Workflow, "state", s.String(), "error", err)
	if !s.Final() {
		return nil // it is told when it is over
	}
	if len(l.answer) > 0 { // kept until it is told
		if err := tx.Queue(`INSERT INTO post_answer (lane, queue, num, answer) VALUES (?, ?, ?, ?) ON CONFLICT (lane, queue, num) DO UPDATE SET answer = excluded.answer`, l.lane, l.queue, l.num, l.answer); err != nil {
			return err
		}
	}
	_, err = tx.Exec(`INSERT INTO post_held (lane, queue, num, sender, conversation, why, tries, due, since, owner, reason) VALUES (?, ?, ?, ?, ?, ?, 1, ?, ?, ?, ?)
		ON CONFLICT (lane, queue, num) DO UPDATE SET why = excluded.why, tries = excluded.tries, due = excluded.due, reason = excluded.reason`,
		l.lane, l.queue, l.num, l.From.String(), l.Conversation, int64(telling), p.clock.Now().Add(p.backoff(1)), tx.At(), l.From.String(), fault.MessageOf(err))
	return err
}

// event puts a row into a message's account of what happened out of the ordinary.
func event(tx *store.Tx, l *letter, what, actor, reason string) error {
	return tx.Queue(`INSERT INTO post_event (lane, queue, num, at, step, what, actor, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lane, queue, num, at, step) DO NOTHING`,
		l.lane, l.queue, l.num, tx.At(), steps(what), what, actor, clip(reason))
}

// steps tells apart what happened to one message in one instant.
func steps(what string) int64 {
	words := []string{"parked", "retried", "taken", "redirected", "abandoned", "refused", "expired", "failed", "handled", "sent again", "known from the recipient", "lost"}
	return int64(slices.Index(words, what))
}

// longestReason bounds a reason that is kept and told.
const longestReason = 500

func clip(s string) string {
	for i := range s {
		if i > longestReason {
			return s[:i]
		}
	}
	return s
}
