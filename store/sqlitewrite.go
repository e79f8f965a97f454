package store

import (
	"context"
	"errors"
	"log/slog"
	"runtime"
	"sync"
	"time"

	"github.com/openspine/openspine/fault"
)

// writer is SQLite's one writer. Whoever finds it free runs their function on their own goroutine; those who come meanwhile wait in a queue, and a goroutine of the writer's
// runs their functions one after the other, so that none has to be woken for its turn. A baton says who owns the connection. Those that wait while one batch is being made
// durable are the next batch, so a lone caller never waits for others, and many callers share one fsync.
//
//	enqueue → [run → savepoint → fn → release] → the next of the queue … → the batch is committed, its callers are woken
//	                                                                    ↘ shared transaction lost: each again, alone
type writer struct {
	opt     Options
	dial    func() (*conn, error)
	readers *readers
	mover   *mover // nil: the writer moves the log by itself

	mu     sync.Mutex
	queue  []*job
	gone   int // cancelled jobs still in queue
	held   bool
	closed bool
	free   sync.Cond // held became false

	// These belong to whoever holds the baton.
	conn  *conn
	batch []*job
	open  bool // a transaction is open
	empty bool // and nothing is in it yet
	lanes map[Lane]*laneState
	began time.Time
	crowd int         // the size of the last batch
	tx    *Tx         // of the function that is running
	saved []savedLane // its sequences as they were before it
	wal   walState
	wide  bool // it holds more pages, see widen
}

// job is one call of Write.
type job struct {
	ctx   context.Context
	lanes []Lane
	aside bool // see DB.WriteAside
	fn    func(*Tx) error
	turn  chan turn
	state jobState // under writer.mu
	solo  bool     // its shared transaction was lost: it now gets one of its own
	ended ending
	err   error
}

// ending is how a function ended, and with what if it panicked.
type ending struct {
	how   howEnded
	panic any
}

type howEnded uint8

const (
	returned howEnded = iota
	panicked
	exited // it ended its goroutine (runtime.Goexit, as testing.T.FailNow does)
)

// outcome gives the caller what came of the function: also that it panicked or ended its goroutine, which was not the caller's.
func (j *job) outcome() error {
	switch j.ended.how {
	case panicked:
		panic(j.ended.panic)
	case exited:
		runtime.Goexit()
	}
	return j.err
}

type turn uint8

const (
	run  turn = iota // the baton is yours
	done             // the outcome is known
)

type jobState uint8

const (
	waiting jobState = iota
	running
	cancelled
)

// longestBatch is when a batch ends although others wait: its first caller has waited long enough.
const longestBatch = 20 * time.Millisecond

// slowFunction is when a function that held everybody up is named in the log.
const slowFunction = time.Second

func newWriter(c *conn, m *mover, dial func() (*conn, error), r *readers, o Options) *writer {
	w := &writer{opt: o, mover: m, dial: dial, readers: r, lanes: map[Lane]*laneState{}}
	w.free.L = &w.mu
	w.wal.every = o.CheckpointPages
	w.use(c)
	return w
}

func (w *writer) write(ctx context.Context, lanes []Lane, aside bool, fn func(*Tx) error) error {
	if ctx.Err() != nil {
		return gaveUp(ctx)
	}
	j := &job{ctx: ctx, lanes: lanes, aside: aside, fn: fn, turn: make(chan turn, 1)}
	if err := w.enqueue(j); err != nil {
		return err
	}
	for {
		t, ok := w.await(j)
		if !ok {
			return gaveUp(ctx)
		}
		if t == done {
			return j.outcome()
		}
		w.lead(j)
	}
}

// enqueue gives j the baton if it is free, and else a place in the queue.
func (w *writer) enqueue(j *job) error {
	w.mu.Lock()
	defer w.mu.Unlock()
	switch {
	case w.closed:
		return errClosed()
	case !w.held:
		w.held, j.state = true, running
		j.turn <- run
	case len(w.queue)-w.gone >= w.opt.MaxQueue:
		return fault.New(fault.Unavailable, "too many changes are waiting to be written; try again in a moment")
	default:
		w.queue = append(w.queue, j)
	}
	return nil
}

// await waits for j's turn or outcome; false means that j was given up before it ran.
func (w *writer) await(j *job) (turn, bool) {
	select {
	case t := <-j.turn:
		return t, true
	default:
	}
	select {
	case t := <-j.turn:
		return t, true
	case <-j.ctx.Done():
	}
	w.mu.Lock()
	if j.state == waiting {
		j.state = cancelled
		w.gone++
		w.mu.Unlock()
		return 0, false
	}
	w.mu.Unlock()
	return <-j.turn, true
}

// lead runs j with the baton in hand, on its caller's goroutine, and then gives the baton on. It also does so when fn panics or ends its goroutine:
// then nothing of fn is kept, and the others in the batch do not notice.
func (w *writer) lead(j *job) {
	came := false
	defer func() {
		if !came {
			w.abandon()
			w.pass()
		}
	}()
	j.err = w.attempt(j)
	came = true
	w.batch = append(w.batch, j)
	w.pass()
}

// serve runs what waits, with the baton in hand, until nothing does.
func (w *writer) serve() {
	for {
		j := w.next()
		if j == nil {
			if w.settle() {
				return
			}
			continue
		}
		w.runFor(j)
		if w.lost(); !w.room() {
			w.end()
		}
	}
}

// runFor runs the function of a caller who waits. If it panics or ends its goroutine, which is this one, its caller is given that, and another goroutine goes on.
func (w *writer) runFor(j *job) {
	j.ended.how = exited
	defer func() {
		if j.ended.how == returned {
			return
		}
		w.abandon()
		went := j.ended.how
		if v := recover(); v != nil {
			j.ended, went = ending{panicked, v}, panicked
		}
		j.turn <- done
		if went == exited {
			go w.serve()
		}
	}()
	j.err = w.attempt(j)
	j.ended.how = returned
	w.batch = append(w.batch, j)
}

func (w *writer) attempt(j *job) error {
	if err := w.begin(); err != nil {
		return err
	}
	start := w.opt.Clock.Now()
	tx, err := w.newTx(j)
	if err != nil {
		return err
	}
	defer func() { tx.over = true }()
	if rehearsed(j.ctx, w.opt) {
		if err := w.rehearse(tx, j.fn); err != nil {
			return err
		}
	}
	err = w.within(tx, j.fn)
	if took := w.opt.Clock.Now().Sub(start); took > slowFunction {
		slow(w.opt.Logger, "a function kept every other writer waiting", took)
	}
	return err
}

// within runs fn so that, if it fails, only what it did is undone. The first of a batch has the transaction to itself until then
// and needs no savepoint, for which SQLite keeps each page that is changed as it was.
func (w *writer) within(tx *Tx, fn func(*Tx) error) error {
	if !w.empty {
		if err := w.conn.savepoint(0); err != nil {
			return err
		}
	}
	w.tx, w.saved = tx, tx.saveLanes()
	err := tx.settle(call(fn, tx))
	if err == nil && !w.empty {
		err = w.conn.release(0)
	}
	if err == nil {
		w.empty = false
		for _, s := range tx.lanes {
			s.at = tx.at.UnixMicro()
		}
		return nil
	}
	tx.restoreLanes(w.saved)
	if uerr := w.undo(); uerr != nil {
		err = errors.Join(err, uerr)
	}
	return err
}

// undo takes back what the function that ran has done.
func (w *writer) undo() error {
	if !w.empty {
		err := w.conn.rollbackTo(0)
		w.conn.lost = w.conn.lost || err != nil
		return err
	}
	if w.conn.lost {
		return nil // pass deals with it
	}
	w.open = false
	err := w.conn.end()
	w.conn.broke = w.conn.broke || err != nil
	return err
}

// rehearse runs fn in a savepoint that is undone. Its error is left for the real run to repeat.
func (w *writer) rehearse(tx *Tx, fn func(*Tx) error) error {
	if err := w.conn.savepoint(0); err != nil {
		return err
	}
	w.tx, w.saved = tx, tx.saveLanes()
	err := tx.settle(call(fn, tx))
	tx.failed = nil
	tx.restoreLanes(w.saved)
	if rerr := w.conn.rollbackTo(0); rerr != nil {
		return errors.Join(err, rerr)
	}
	return nil
}

func (w *writer) begin() error {
	if w.open {
		return nil
	}
	if err := w.reconnect(); err != nil {
		return err
	}
	clear(w.lanes)
	if err := w.conn.step("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	w.open, w.empty, w.began = true, true, w.opt.Clock.Now()
	return nil
}

// reconnect replaces a connection that broke.
func (w *writer) reconnect() error {
	if !w.conn.broke {
		return nil
	}
	c, err := w.dial()
	if err != nil {
		return sqliteFault(err)
	}
	w.conn.discard()
	w.use(c)
	return nil
}

// use makes c the connection that writes.
func (w *writer) use(c *conn) {
	w.conn, w.wide = c, false
	c.c.WALHook(w.wal.grown)
}

func (w *writer) newTx(j *job) (*Tx, error) {
	tx := &Tx{
		ctx: context.WithValue(j.ctx, inWrite{}, true), sess: w.conn,
		lanes: make(map[Lane]*laneState, len(j.lanes)),
	}
	at := w.opt.Clock.Now().UnixMicro()
	for _, lane := range j.lanes {
		s := w.lanes[lane]
		if s == nil {
			s = &laneState{next: 1}
			row := (&Tx{sess: w.conn}).QueryRow("SELECT next, at FROM store_lane WHERE lane = ?", int64(lane))
			if err := row.Scan(&s.next, &s.at); err != nil && !fault.Is(err, fault.NotFound) {
				return nil, err
			}
			w.lanes[lane] = s
		}
		tx.lanes[lane] = s
		at = max(at, s.at+1)
	}
	tx.at = microTime(at)
	return tx, nil
}

// abandon undoes a function that did not return.
func (w *writer) abandon() {
	for _, s := range w.conn.stmts {
		if s.busy {
			w.conn.giveBack(s)
		}
	}
	if w.tx != nil {
		w.tx.over = true
		w.tx.restoreLanes(w.saved)
		w.tx = nil
	}
	if w.open {
		_ = w.undo() // what it could not undo is lost, or the connection is broken
	}
}

// pass gives the baton on after the function of whoever found the writer free: to those who wait, or to nobody once the batch is committed.
func (w *writer) pass() {
	w.lost()
	if w.room() && w.waited() {
		go w.serve()
		return
	}
	for !w.settle() {
		if w.waited() {
			go w.serve()
			return
		}
	}
}

// settle ends the batch, and lays the baton down if nobody waits.
func (w *writer) settle() bool {
	w.end()
	w.mu.Lock()
	defer w.mu.Unlock()
	if len(w.queue) > w.gone {
		return false
	}
	w.queue, w.gone, w.held = nil, 0, false
	w.free.Broadcast()
	return true
}

// end commits the batch, if there is one, and tends the log.
func (w *writer) end() {
	w.lost()
	w.finish()
	w.tend()
}

// lost sees to it that the functions of a transaction that is gone are run again.
func (w *writer) lost() {
	if w.conn.lost || (w.open && w.conn.c.GetAutocommit()) {
		w.retrySolo(errLost)
	}
}

// room reports whether the batch may take another function.
func (w *writer) room() bool {
	n := len(w.batch)
	return n == 0 || !w.batch[n-1].solo && n < w.opt.MaxBatch && w.opt.Clock.Now().Sub(w.began) <= longestBatch
}

// waited reports whether somebody waits. There was a crowd a moment ago: then it is let come to the queue.
func (w *writer) waited() bool {
	waits := func() bool {
		w.mu.Lock()
		defer w.mu.Unlock()
		return len(w.queue) > w.gone
	}
	if waits() {
		return true
	}
	if w.opt.Fleeting && len(w.batch) > 0 { // no disk is waited for, during which the next batch would gather
		for range 8 {
			runtime.Gosched()
			if waits() {
				return true
			}
		}
		return false
	}
	if n := len(w.batch); n == 0 || n >= w.crowd {
		return false
	}
	runtime.Gosched()
	return waits()
}

// next takes the first who waits out of the queue, if that one may join the batch; nil if there is none.
func (w *writer) next() *job {
	if len(w.batch) > 0 && !w.waited() {
		return nil
	}
	w.mu.Lock()
	defer w.mu.Unlock()
	for len(w.queue) > 0 {
		j := w.queue[0]
		if j.state != cancelled && j.solo && len(w.batch) > 0 {
			return nil
		}
		w.queue[0] = nil
		w.queue = w.queue[1:]
		if j.state != cancelled {
			j.state = running
			return j
		}
		w.gone--
	}
	return nil
}

// finish commits the batch and tells its callers.
func (w *writer) finish() {
	if len(w.batch) == 0 && !w.open {
		return
	}
	err := w.commit()
	w.readers.written.count(w.batch)
	if err != nil {
		if rerr := w.conn.end(); rerr != nil {
			w.conn.broke = true
		}
		w.open = false
		w.retrySolo(err)
		return
	}
	w.crowd = len(w.batch)
	w.tell()
}

// tell hands each of the batch its outcome.
func (w *writer) tell() {
	for i, j := range w.batch {
		w.batch[i] = nil
		j.turn <- done
	}
	w.batch = w.batch[:0]
}

func (w *writer) commit() error {
	if !w.open {
		return nil
	}
	for lane, s := range w.lanes {
		if s.at == 0 {
			continue
		}
		if _, err := w.conn.exec("INSERT INTO store_lane (lane, next, at) VALUES (?, ?, ?) ON CONFLICT (lane) DO UPDATE "+
			"SET next = excluded.next, at = excluded.at WHERE next <> excluded.next OR at <> excluded.at",
			[]any{int64(lane), s.next, s.at}); err != nil {
			return err
		}
	}
	if err := w.conn.step("COMMIT"); err != nil {
		return err
	}
	w.open = false
	return nil
}

// retrySolo deals with a batch whose shared transaction was lost because of cause: each function gets a transaction of
// its own, so that the one at fault fails alone. One that was alone already has its answer.
func (w *writer) retrySolo(cause error) {
	if err := w.conn.end(); err != nil {
		w.conn.broke = true
	}
	w.open = false
	if len(w.batch) == 1 && w.batch[0].solo {
		if j := w.batch[0]; j.err == nil || errors.Is(j.err, errLost) {
			j.err = cause
		}
		w.tell()
		return
	}
	w.opt.Logger.LogAttrs(context.Background(), slog.LevelWarn, "store: a shared transaction was lost; its functions are run again one by one",
		slog.Int("functions", len(w.batch)), slog.String("error", cause.Error()))
	w.mu.Lock()
	again := make([]*job, 0, len(w.batch)+len(w.queue))
	for _, j := range w.batch {
		j.solo, j.state, j.err = true, waiting, nil
		again = append(again, j)
	}
	w.queue = append(again, w.queue...)
	w.mu.Unlock()
	w.batch = w.batch[:0]
}

func (w *writer) close() error {
	w.mu.Lock()
	w.closed = true
	for w.held {
		w.free.Wait()
	}
	w.mu.Unlock()
	w.mover.close()
	w.conn.discard()
	return nil
}
