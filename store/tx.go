package store

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"slices"
	"time"

	"github.com/openspine/openspine/fault"
)

// Tx is a transaction, handed to the function of a Write or Read and good only until that function returns.
// It is for one goroutine.
type Tx struct {
	ctx      context.Context
	at       time.Time
	sess     session
	lanes    map[Lane]*laneState // those held; empty in a Read
	rows     *Rows               // the open ones
	failed   error               // the first failed statement since the last savepoint
	answers  map[any]any         // in a Read: see Once
	behind   func() bool         // in a Read on SQLite: something has been written aside since the snapshot
	depth    int
	then     []func() // in a Write: see Then
	over     bool
	readonly bool
}

// laneState is the row of one lane in store_lane while a writer holds it.
type laneState struct {
	next  int64 // the next change sequence
	first int64 // next as it was when the writer began
	at    int64 // µs since 1970 of its last transaction
}

// session is one engine's transaction, as Tx drives it.
type session interface {
	exec(query string, args []any) (int64, error)
	query(query string, args []any) (cursor, error)
	// queue runs a statement before the next that answers, or at once; flush sees to it that all have been run.
	queue(query string, args []any, explain func(error) error) error
	flush() error
	script(sql string) error
	load(t BackupTable, rows [][]any) error
	savepoint(depth int) error
	release(depth int) error
	rollbackTo(depth int) error
}

// cursor is a result set. Its values are nil, int64, float64, string or []byte, the last good until the next step.
type cursor interface {
	next() (bool, error)
	scan(dest []any) error
	close() error
}

// Context is the context of the caller of Write or Read.
func (tx *Tx) Context() context.Context { return tx.ctx }

// At is the one instant of this transaction, in whole microseconds, UTC: in a Write later than that of every
// transaction before it in its lanes, in a Read the time at which it began.
func (tx *Tx) At() time.Time { return tx.at }

// ReadOnly reports whether this is a Read.
func (tx *Tx) ReadOnly() bool { return tx.readonly }

// Then runs fn on the caller's goroutine once this Write is durable, before Write returns: for hints to whoever is to look at what was written, which come
// too early inside the transaction. A process that stops between does not run it, nor is it undone with a Savepoint. In a Read it runs at once.
func (tx *Tx) Then(fn func()) {
	if tx.readonly {
		fn()
		return
	}
	tx.then = append(tx.then, fn)
}

// Holds reports whether this Write holds lane.
func (tx *Tx) Holds(lane Lane) bool { return tx.lanes[lane] != nil }

// Take takes further lanes for this Write, if that can be done without waiting: it is false when somebody else holds one of them, when one has had a transaction later than At, and on an engine that
// cannot. Then the Write is to be begun again with them. It waits for nobody, so that it cannot deadlock; asking for all lanes in Write is the rule, and this is for who learns only from what they read which they need.
func (tx *Tx) Take(lanes ...Lane) (bool, error) {
	if err := tx.usable(); err != nil || tx.readonly {
		return false, err
	}
	taker, can := tx.sess.(interface {
		takeNow(lanes []Lane) (map[Lane]*laneState, error)
	})
	if !can {
		return false, nil
	}
	lacking := slices.DeleteFunc(slices.Clone(lanes), tx.Holds)
	slices.Sort(lacking)
	if lacking = slices.Compact(lacking); len(lacking) == 0 {
		return true, nil
	}
	taken, err := taker.takeNow(lacking)
	if err != nil {
		return false, tx.fail(err)
	}
	if len(taken) < len(lacking) {
		return false, nil
	}
	for _, state := range taken {
		if state.at >= tx.at.UnixMicro() {
			return false, nil
		}
	}
	maps.Copy(tx.lanes, taken)
	return true, nil
}

// Seq is the next change sequence of a lane that this Write holds: 1, 2, 3 … without gaps, in the order of commits.
func (tx *Tx) Seq(lane Lane) (int64, error) {
	if err := tx.usable(); err != nil {
		return 0, err
	}
	s := tx.lanes[lane]
	if s == nil {
		return 0, tx.fail(fault.New(fault.Internal, "lane %d is not held by this write", lane))
	}
	seq := s.next
	s.next++
	return seq, nil
}

// Exec runs a statement and returns how many rows it changed. Arguments may be nil, any integer, float, bool, string
// or []byte, types made from them, time.Time (µs since 1970) or a driver.Valuer.
func (tx *Tx) Exec(query string, args ...any) (int64, error) {
	if err := tx.usable(); err != nil {
		return 0, err
	}
	vals, err := values(args)
	if err != nil {
		return 0, tx.fail(err)
	}
	n, err := tx.sess.exec(query, vals)
	if err != nil {
		return 0, tx.fail(err)
	}
	return n, nil
}

// Queue runs a statement whose answer nobody waits for: at the latest before the next statement that answers, the end of
// the Savepoint, and the commit. On PostgreSQL that saves an exchange with the server for each; on both engines its
// failure is told by a later call on the transaction, and fails the Savepoint or Write that it was queued in. What its
// arguments refer to must not be changed before the function returns.
func (tx *Tx) Queue(query string, args ...any) error { return tx.QueueOr(nil, query, args...) }

// QueueOr is Queue with explain, which words the statement's failure if it fails.
func (tx *Tx) QueueOr(explain func(error) error, query string, args ...any) error {
	if err := tx.usable(); err != nil {
		return err
	}
	if tx.readonly {
		return tx.fail(fault.New(fault.Internal, "a statement was queued in a read"))
	}
	vals, err := values(args)
	if err != nil {
		return tx.fail(err)
	}
	if err := tx.sess.queue(query, vals, explain); err != nil {
		_ = tx.fail(err) // for the next to tell
	}
	return nil
}

// Query runs a statement that answers with rows. No other statement may run until they are read to the end or closed.
func (tx *Tx) Query(query string, args ...any) (*Rows, error) {
	if err := tx.usable(); err != nil {
		return nil, err
	}
	vals, err := values(args)
	if err != nil {
		return nil, tx.fail(err)
	}
	cur, err := tx.sess.query(query, vals)
	if err != nil {
		return nil, tx.fail(err)
	}
	tx.rows = &Rows{tx: tx, cur: cur}
	return tx.rows, nil
}

// QueryRow runs a statement for its first row; any failure waits for Row.Scan.
func (tx *Tx) QueryRow(query string, args ...any) Row {
	rows, err := tx.Query(query, args...)
	return Row{rows: rows, err: err}
}

// Savepoint runs fn so that, if it fails, only what fn did is undone and the transaction can go on.
// It returns fn's error.
func (tx *Tx) Savepoint(fn func() error) error {
	if err := tx.usable(); err != nil {
		return err
	}
	if tx.readonly {
		return tx.fail(fault.New(fault.Internal, "a savepoint in a read"))
	}
	if err := tx.sess.flush(); err != nil { // what was queued before is none of fn's
		return tx.fail(err)
	}
	tx.depth++
	depth := tx.depth
	defer func() { tx.depth = depth - 1 }()
	if err := tx.sess.savepoint(depth); err != nil {
		return tx.fail(err)
	}
	saved := tx.saveLanes()
	err := fn()
	err = tx.settle(err)
	if err == nil {
		err = tx.sess.flush()
	}
	if err == nil {
		if err := tx.sess.release(depth); err != nil {
			return tx.fail(err)
		}
		return nil
	}
	if rerr := tx.sess.rollbackTo(depth); rerr != nil {
		return tx.fail(errors.Join(rerr, err))
	}
	tx.failed = nil
	tx.restoreLanes(saved)
	return err
}

func microTime(us int64) time.Time { return time.UnixMicro(us).UTC() }

// settle ends a function's use of tx: rows that it left open are closed, and a statement that failed fails it.
func (tx *Tx) settle(err error) error {
	if tx.rows != nil {
		tx.rows.Close()
	}
	if err == nil {
		err = tx.failed
	}
	return err
}

// savedLane is the sequence of a lane as it was.
type savedLane struct {
	lane Lane
	next int64
}

func (tx *Tx) saveLanes() []savedLane {
	saved := make([]savedLane, 0, 2)
	for lane, state := range tx.lanes {
		saved = append(saved, savedLane{lane, state.next})
	}
	return saved
}

// restoreLanes makes the lanes what they were. Those that were taken since are let go: whatever undid the rest let go of them too.
func (tx *Tx) restoreLanes(saved []savedLane) {
	for lane, state := range tx.lanes {
		i := slices.IndexFunc(saved, func(s savedLane) bool { return s.lane == lane })
		if i < 0 {
			delete(tx.lanes, lane)
			continue
		}
		state.next = saved[i].next
	}
}

func (tx *Tx) held() []Lane {
	held := make([]Lane, 0, len(tx.lanes))
	for lane := range tx.lanes {
		held = append(held, lane)
	}
	slices.Sort(held)
	return held
}

func (tx *Tx) usable() error {
	switch {
	case tx.over:
		return fault.New(fault.Internal, "a transaction was used after its function had returned")
	case tx.failed != nil:
		return fault.Wrap(tx.failed, fault.KindOf(tx.failed), "%s", fault.MessageOf(tx.failed))
	case tx.rows != nil:
		return tx.fail(fault.New(fault.Internal, "a statement was run while rows were open; read them to the end or close them first"))
	}
	return nil
}

func (tx *Tx) fail(err error) error {
	if tx.failed == nil {
		tx.failed = err
	}
	return err
}

// Rows is a result set. What is left open is closed when the function of the transaction returns.
type Rows struct {
	tx     *Tx
	cur    cursor
	err    error
	closed bool
}

// Next goes to the next row and reports whether there is one; after the last, or a failure (see Err), the rows are closed.
func (r *Rows) Next() bool {
	if r.closed {
		return false
	}
	more, err := r.cur.next()
	if err != nil {
		r.err = r.tx.fail(err)
	}
	if !more || err != nil {
		r.Close()
		return false
	}
	return true
}

// Scan copies the columns of the current row into dest: pointers to integers, floats, bool, string, []byte, types
// made from them, time.Time (from µs since 1970), any, a pointer to such a pointer (nil for NULL), or a sql.Scanner.
// What is copied stays good after the next step.
func (r *Rows) Scan(dest ...any) error {
	if r.closed {
		return fault.New(fault.Internal, "Scan after the rows were closed")
	}
	if err := r.cur.scan(dest); err != nil {
		return r.tx.fail(fault.Wrap(err, fault.Internal, "reading a row"))
	}
	return nil
}

// Err is the failure that ended the rows, if one did.
func (r *Rows) Err() error { return r.err }

// Close ends the rows. It may be called more than once.
func (r *Rows) Close() {
	if r.closed {
		return
	}
	r.closed = true
	if r.tx.rows == r {
		r.tx.rows = nil
	}
	if err := r.cur.close(); err != nil && r.err == nil {
		r.err = r.tx.fail(err)
	}
}

// Row is the first row of a query.
type Row struct {
	rows *Rows
	err  error
}

// Scan copies the row's columns into dest, as Rows.Scan. Without a row it is fault.NotFound, which leaves the transaction usable.
func (r Row) Scan(dest ...any) error {
	if r.err != nil {
		return r.err
	}
	defer r.rows.Close()
	if !r.rows.Next() {
		if err := r.rows.Err(); err != nil {
			return err
		}
		return errNoRow
	}
	if err := r.rows.Scan(dest...); err != nil {
		return err
	}
	r.rows.Close()
	return r.rows.Err()
}

// errNoRow is of many rows that nobody expects to be there.
var errNoRow = fault.New(fault.NotFound, "there is no such row")

// order sorts lanes, drops doubles, and refuses those that do not exist.
func (db *DB) order(lanes []Lane) ([]Lane, error) {
	if len(lanes) == 0 {
		return []Lane{0}, nil
	}
	held := lanes
	if len(lanes) > 1 {
		held = slices.Clone(lanes)
		slices.Sort(held)
		held = slices.Compact(held)
	}
	if first, last := held[0], held[len(held)-1]; first < 0 || int32(last) >= db.lanes {
		return nil, fault.New(fault.Internal, "lanes run from 0 to %d: %s", db.lanes-1, fmt.Sprint(held))
	}
	return held, nil
}
