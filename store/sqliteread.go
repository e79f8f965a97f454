package store

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
)

// readers is the pool of connections that read. The one used last is used next, so that its cache is warm. SQLite empties a connection's
// cache when it begins a snapshot and anything at all was written since its last: so a connection rests with its snapshot, and goes on with it
// if nothing was written meanwhile but aside.
type readers struct {
	dial    func() (*conn, error)
	clock   clock.Clock
	slots   chan struct{} // one per Read under way
	written history

	mu     sync.Mutex
	idle   []*conn
	awake  bool // no connection rests
	closed bool
}

// history counts commits: all of them, and those of anything that was not written aside.
type history struct{ all, changes atomic.Int64 }

// count takes note of a commit, before its callers are told of it.
func (h *history) count(batch []*job) {
	h.all.Add(1)
	if slices.ContainsFunc(batch, func(j *job) bool { return !j.aside }) {
		h.changes.Add(1)
	}
}

// snapshot is what a connection that reads sees: at least so much of the history.
type snapshot struct {
	held         bool
	all, changes int64
	since        time.Time
}

// restsFor is how long a connection goes on with a snapshot, so that no log waits long for it, and nobody for what another process wrote.
const restsFor = 100 * time.Millisecond

func newReaders(dial func() (*conn, error), o Options) *readers {
	return &readers{dial: dial, clock: o.Clock, slots: make(chan struct{}, o.Readers)}
}

// enter waits for a place.
func (r *readers) enter(ctx context.Context) error {
	select {
	case r.slots <- struct{}{}:
		return nil
	default:
	}
	select {
	case r.slots <- struct{}{}:
		return nil
	case <-ctx.Done():
		return gaveUp(ctx)
	}
}

func (r *readers) read(ctx context.Context, limit time.Duration, as reading, fn func(*Tx) error) (err error) {
	if as != beside {
		if err := r.enter(ctx); err != nil {
			return err
		}
		defer func() { <-r.slots }()
	}
	c, err := r.take()
	if err != nil {
		return err
	}
	sound := false
	defer func() { r.put(c, sound) }()
	at := r.clock.Now().Truncate(time.Microsecond)
	lim := &readLimit{Context: ctx, clock: r.clock, until: at.Add(limit)}
	if limit == 0 {
		lim.until = time.Time{}
	}
	c.c.SetInterrupt(lim)
	if err := r.begin(c, at, as); err != nil {
		return readFault(ctx, err)
	}
	tx := &Tx{ctx: ctx, at: at, sess: c, readonly: true, behind: func() bool { return c.snap.all != r.written.all.Load() }}
	defer func() { tx.over = true }()
	err = tx.settle(fn(tx))
	sound = err == nil
	return readFault(ctx, err)
}

// begin gives c a snapshot: that with which it rests, if it will do.
func (r *readers) begin(c *conn, at time.Time, as reading) error {
	now := snapshot{held: true, all: r.written.all.Load(), changes: r.written.changes.Load(), since: at}
	if was := c.snap; was.held && was.changes == now.changes && (as == recent || was.all == now.all) && at.Sub(was.since).Abs() < restsFor {
		return nil
	}
	if err := c.end(); err != nil {
		return err
	}
	c.snap = now
	return c.step("BEGIN")
}

// readFault blames the caller's context where it, and not the time limit, ended a read.
func readFault(ctx context.Context, err error) error {
	if err != nil && ctx.Err() != nil && fault.KindOf(err) == fault.Timeout {
		return gaveUp(ctx)
	}
	return err
}

func gaveUp(ctx context.Context) error {
	return fault.Wrap(context.Cause(ctx), fault.Timeout, "given up before it was done")
}

func (r *readers) take() (*conn, error) {
	r.mu.Lock()
	if r.closed {
		r.mu.Unlock()
		return nil, errClosed()
	}
	if n := len(r.idle); n > 0 {
		c := r.idle[n-1]
		r.idle = r.idle[:n-1]
		r.mu.Unlock()
		return c, nil
	}
	r.mu.Unlock()
	c, err := r.dial()
	if err != nil {
		return nil, sqliteFault(err)
	}
	return c, nil
}

// put keeps the connection, with its snapshot if it is sound, or closes it if it is of no more use.
func (r *readers) put(c *conn, sound bool) {
	c.c.SetInterrupt(context.Background())
	for _, s := range c.stmts {
		if s.busy {
			c.giveBack(s)
		}
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	var err error
	if !sound || r.awake || c.lost {
		err = c.end()
	}
	if err != nil || c.broke || r.closed {
		c.discard()
		return
	}
	r.idle = append(r.idle, c)
}

// rest says whether connections may rest with their snapshots. When they no longer may, those that do end them.
func (r *readers) rest(may bool) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.awake = !may; may {
		return
	}
	r.idle = slices.DeleteFunc(r.idle, func(c *conn) bool {
		err := c.end()
		if err != nil {
			c.discard()
		}
		return err != nil
	})
}

func (r *readers) close() {
	r.mu.Lock()
	r.closed = true
	for _, c := range r.idle {
		c.discard()
	}
	r.idle = nil
	r.mu.Unlock()
	for range cap(r.slots) { // wait for those under way
		r.slots <- struct{}{}
	}
	for range cap(r.slots) {
		<-r.slots
	}
}

// readLimit is a context that also ends when a read has lasted too long by the store's own clock. SQLite asks for
// its Err before each row and every thousand steps.
type readLimit struct {
	context.Context
	clock clock.Clock
	until time.Time
}

// Err is why the read must stop, if it must.
func (l *readLimit) Err() error {
	if err := l.Context.Err(); err != nil {
		return err
	}
	if !l.until.IsZero() && l.clock.Now().After(l.until) {
		return context.DeadlineExceeded
	}
	return nil
}

func errClosed() error {
	return fault.New(fault.Unavailable, "the database is closing; try again")
}
