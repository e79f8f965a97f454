package store

import (
	"context"
	"sync"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
)

// readers is the pool of connections that read. The one used last is used next, so that its cache is warm.
type readers struct {
	dial  func() (*conn, error)
	clock clock.Clock
	slots chan struct{} // one per Read under way

	mu     sync.Mutex
	idle   []*conn
	closed bool
}

func newReaders(dial func() (*conn, error), o Options) *readers {
	return &readers{dial: dial, clock: o.Clock, slots: make(chan struct{}, o.Readers)}
}

func (r *readers) read(ctx context.Context, limit time.Duration, fn func(*Tx) error) error {
	select {
	case r.slots <- struct{}{}:
	default:
		select {
		case r.slots <- struct{}{}:
		case <-ctx.Done():
			return gaveUp(ctx)
		}
	}
	defer func() { <-r.slots }()
	c, err := r.take()
	if err != nil {
		return err
	}
	defer r.put(c)
	at := r.clock.Now().Truncate(time.Microsecond)
	lim := &readLimit{Context: ctx, clock: r.clock, until: at.Add(limit)}
	if limit == 0 {
		lim.until = time.Time{}
	}
	c.c.SetInterrupt(lim)
	if err := c.step("BEGIN"); err != nil {
		return readFault(ctx, err)
	}
	tx := &Tx{ctx: ctx, at: at, sess: c, readonly: true}
	defer func() { tx.over = true }()
	err = fn(tx)
	return readFault(ctx, tx.settle(err))
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

// put ends the snapshot and keeps the connection, or closes it if it is of no more use.
func (r *readers) put(c *conn) {
	c.c.SetInterrupt(context.Background())
	for _, s := range c.stmts {
		if s.busy {
			c.giveBack(s)
		}
	}
	err := c.end()
	r.mu.Lock()
	defer r.mu.Unlock()
	if err != nil || c.broke || r.closed {
		c.discard()
		return
	}
	r.idle = append(r.idle, c)
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
