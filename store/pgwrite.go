package store

import (
	"context"
	"errors"
	"math/rand/v2"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/openspine/openspine/fault"
)

// pgAttempts is how often a write is run before its deadlocks or lost connections are the caller's to know.
const pgAttempts = 6

// outcomeWithin is how long the fate of a commit is looked for after its connection was lost.
const outcomeWithin = 15 * time.Second

func (e *pgEngine) write(ctx context.Context, lanes []Lane, _ bool, fn func(*Tx) error) error {
	if e.closed.Load() {
		return errClosed()
	}
	if ctx.Err() != nil {
		return gaveUp(ctx)
	}
	if e.waiting.Add(1) > int64(e.opt.MaxQueue+pgWriters) {
		e.waiting.Add(-1)
		return fault.New(fault.Unavailable, "too many changes are waiting to be written; try again in a moment")
	}
	defer e.waiting.Add(-1)
	for n := 1; ; n++ {
		err := e.attempt(ctx, lanes, fn)
		var t *transient
		if !errors.As(err, &t) {
			return readFault(ctx, err)
		}
		if n == pgAttempts {
			return readFault(ctx, t.cause)
		}
		select {
		case <-e.opt.Clock.After(time.Duration(rand.Int64N(int64(time.Millisecond) << n))):
		case <-ctx.Done():
			return gaveUp(ctx)
		}
	}
}

// transient is a failure after which nothing was kept and the write may be run again.
type transient struct{ cause error }

func (t *transient) Error() string { return t.cause.Error() }

func (e *pgEngine) attempt(ctx context.Context, lanes []Lane, fn func(*Tx) error) error {
	c, err := e.writers.Acquire(ctx)
	if err != nil {
		return e.unavailable(err)
	}
	sound := false
	defer func() { e.giveBack(c, sound) }()
	s := &pgSession{e: e, c: c.Conn(), ctx: ctx}
	tx, xid, err := e.begin(ctx, s, lanes)
	if err != nil {
		return e.maybeAgain(err)
	}
	defer func() { tx.over = true }()
	if rehearsed(ctx, e.opt) {
		if err := pgRehearse(tx, fn); err != nil {
			sound = s.rollback() == nil
			return err
		}
	}
	err = tx.settle(call(fn, tx))
	if err == nil {
		var told bool
		if told, err, sound = e.commit(ctx, c, tx, s, xid); told {
			return err
		}
	}
	sound = s.rollback() == nil
	if tx.failed != nil && again(tx.failed) {
		return &transient{err}
	}
	return err
}

func (e *pgEngine) maybeAgain(err error) error {
	if again(err) && !e.closed.Load() {
		return &transient{err}
	}
	return err
}

func pgRehearse(tx *Tx, fn func(*Tx) error) error {
	if err := tx.sess.savepoint(0); err != nil {
		return err
	}
	saved := tx.saveLanes()
	err := tx.settle(call(fn, tx))
	if err == nil {
		err = tx.sess.flush()
	}
	tx.failed = nil
	tx.restoreLanes(saved)
	if rerr := tx.sess.rollbackTo(0); rerr != nil {
		return errors.Join(err, rerr)
	}
	return nil
}

// What begins and ends a Write. A Write of one lane, which most are, takes the lane by moving its time on, and has
// nothing to put down at its end unless it took a sequence.
const (
	takeLane = "UPDATE store_lane SET at = greatest(at + 1, $2) WHERE lane = $1 " +
		"RETURNING lane, next, at, CAST(pg_current_xact_id() AS TEXT)"
	takeLanes = "SELECT lane, next, greatest(at + 1, $2), CAST(pg_current_xact_id() AS TEXT) FROM store_lane WHERE lane = ANY($1) ORDER BY lane FOR UPDATE"
	takeMore  = "SELECT lane, next, at FROM store_lane WHERE lane = ANY($1) ORDER BY lane FOR UPDATE SKIP LOCKED"
	putLane   = "UPDATE store_lane SET next = $2, at = $3 WHERE lane = $1"
	putLanes  = "UPDATE store_lane SET next = k.next, at = $3 " +
		"FROM unnest(CAST($1 AS BIGINT[]), CAST($2 AS BIGINT[])) AS k(lane, next) WHERE store_lane.lane = k.lane"
)

// begin starts the transaction and locks its lanes, in order, in one exchange with the server.
// The transaction's own id comes back, by which its fate can be asked for later.
func (e *pgEngine) begin(ctx context.Context, s *pgSession, lanes []Lane) (*Tx, string, error) {
	tx := &Tx{ctx: context.WithValue(ctx, inWrite{}, true), sess: s, lanes: make(map[Lane]*laneState, len(lanes))}
	now := e.opt.Clock.Now().UnixMicro()
	take := pending{query: takeLane, args: []any{int64(lanes[0]), now}}
	if len(lanes) > 1 {
		numbers := make([]int64, len(lanes))
		for i, l := range lanes {
			numbers[i] = int64(l)
		}
		take = pending{query: takeLanes, args: []any{numbers, now}}
	}
	res, err := s.send(ctx, []pending{{query: "BEGIN ISOLATION LEVEL READ COMMITTED"}}, take)
	if err != nil {
		return nil, "", err
	}
	var xid string
	var at int64
	rows, err := res.Query()
	for err == nil && rows.Next() {
		var lane Lane
		var state laneState
		if err = rows.Scan(&lane, &state.next, &state.at, &xid); err == nil {
			state.first = state.next
			tx.lanes[lane] = &state
			at = max(at, state.at)
		}
	}
	if rows != nil {
		rows.Close()
		err = errors.Join(err, rows.Err())
	}
	if err = errors.Join(err, res.Close()); err != nil {
		return nil, "", s.fault(err)
	}
	if len(tx.lanes) != len(lanes) {
		return nil, "", fault.New(fault.Internal, "the database holds %d of the %d lanes asked for", len(tx.lanes), len(lanes))
	}
	tx.at = microTime(at)
	return tx, xid, nil
}

// takeNow locks those of lanes that nobody else holds.
func (s *pgSession) takeNow(lanes []Lane) (map[Lane]*laneState, error) {
	numbers := make([]int64, len(lanes))
	for i, l := range lanes {
		numbers[i] = int64(l)
	}
	rows, err := s.query(takeMore, []any{numbers})
	if err != nil {
		return nil, err
	}
	defer func() { _ = rows.close() }() // says the same again
	taken := make(map[Lane]*laneState, len(lanes))
	for {
		more, err := rows.next()
		if err != nil {
			return nil, err
		}
		if !more {
			return taken, rows.close()
		}
		var lane Lane
		var state laneState
		if err := rows.scan([]any{&lane, &state.next, &state.at}); err != nil {
			return nil, err
		}
		state.first = state.next
		taken[lane] = &state
	}
}

// putDown are the statements that end a Write: the lanes' state, where it is not what begin left, and the commit.
func putDown(tx *Tx) []pending {
	held := tx.held()
	if len(held) == 1 {
		s := tx.lanes[held[0]]
		if s.next == s.first && s.at == tx.at.UnixMicro() {
			return []pending{{query: "COMMIT"}}
		}
		return []pending{{query: putLane, args: []any{int64(held[0]), s.next, tx.at.UnixMicro()}}, {query: "COMMIT"}}
	}
	lanes, next := make([]int64, len(held)), make([]int64, len(held))
	for i, lane := range held {
		lanes[i], next[i] = int64(lane), tx.lanes[lane].next
	}
	return []pending{{query: putLanes, args: []any{lanes, next, tx.at.UnixMicro()}}, {query: "COMMIT"}}
}

// commit runs what is still queued, keeps the lanes' state and commits, in one exchange. It is not stopped by the caller's
// context, so that the outcome is known; if the connection is lost meanwhile, the server is asked what became of the
// transaction. told is false when a queued statement failed: that is the function's own failure, and nothing was committed.
func (e *pgEngine) commit(ctx context.Context, c *pgxpool.Conn, tx *Tx, s *pgSession, xid string) (told bool, err error, sound bool) {
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outcomeWithin)
	defer cancel()
	down := putDown(tx)
	res, err := s.send(ctx, s.take(), down...)
	if err != nil {
		if c.Conn().IsClosed() {
			return true, e.ended(ctx, c, err, xid), false
		}
		return false, tx.fail(err), false
	}
	var tag pgconn.CommandTag
	for range down {
		if tag, err = res.Exec(); err != nil {
			break
		}
	}
	if cerr := res.Close(); err == nil {
		err = cerr
	}
	if err != nil {
		return true, e.ended(ctx, c, err, xid), false
	}
	if tag.String() != "COMMIT" {
		return true, fault.New(fault.Internal, "the database rolled the transaction back at its commit"), false
	}
	return true, nil, true
}

// ended says how a transaction ended whose commit answered with err.
func (e *pgEngine) ended(ctx context.Context, c *pgxpool.Conn, err error, xid string) error {
	if !c.Conn().IsClosed() {
		if again(err) {
			return &transient{pgFault(err)}
		}
		return pgFault(err)
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), outcomeWithin) // the commit may have used up its own
	defer cancel()
	status, serr := e.fate(ctx, xid)
	switch status {
	case "committed":
		return nil
	case "aborted":
		return &transient{fault.Wrap(err, fault.Unavailable, "the database went away during the change; nothing was changed")}
	}
	return fault.Wrap(errors.Join(err, serr), fault.Unavailable,
		"the database went away while the change was being made, and it is not known whether it was; look before doing it again")
}

// fate asks what became of a transaction, until it is known or ctx ends.
func (e *pgEngine) fate(ctx context.Context, xid string) (string, error) {
	for wait := time.Millisecond; ; wait = min(2*wait, time.Second) {
		var status *string
		err := e.writers.QueryRow(ctx, "SELECT pg_xact_status(CAST(CAST($1 AS TEXT) AS xid8))", xid).Scan(&status)
		if err == nil && status == nil {
			return "", errors.New("the transaction is too old to ask about")
		}
		if err == nil && *status != "in progress" {
			return *status, nil
		}
		select {
		case <-ctx.Done():
			return "", errors.Join(err, ctx.Err())
		case <-time.After(wait):
		}
	}
}
