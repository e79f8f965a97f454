package audit

import (
	"context"
	"runtime"
	"slices"
	"sync"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// gathering is where those wait who have only an entry to write. Whoever comes first writes for all who wait; those who come
// meanwhile are the next batch, and the first of them writes it. A lone caller never waits for others.
//
//	Record → first: lead → take all who wait → one commit → tell them → hand the lead to the next who waits
//	       → else:  wait ─────────────────────────────────────┘
type gathering struct {
	mu      sync.Mutex
	waiting []*slip
	led     bool // somebody leads
}

// slip is one call of Record.
type slip struct {
	entries []Placed
	turn    chan turn
}

// turn tells a waiting caller either to lead or that all is done, and how.
type turn struct {
	lead bool
	err  error
}

// slipsAtOnce bounds a batch.
const slipsAtOnce = 256

// Record puts entries on the account in a commit that tells of nothing else, shared with whoever else is waiting for one. It
// returns when they are durable; on an error other than that ctx has ended none of them is there.
func (l *Log) Record(ctx context.Context, entries ...Placed) error {
	s := &slip{entries: entries, turn: make(chan turn, 1)}
	if l.gather.join(s) {
		return l.lead(ctx, s)
	}
	var t turn
	select {
	case t = <-s.turn:
	case <-ctx.Done():
		if l.gather.leave(s) {
			return fault.Wrap(context.Cause(ctx), fault.Timeout, "given up before it was on the account")
		}
		t = <-s.turn
	}
	if t.lead {
		return l.lead(ctx, s)
	}
	return t.err
}

// join reports whether s leads.
func (g *gathering) join(s *slip) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.waiting = append(g.waiting, s)
	lead := !g.led
	g.led = true
	return lead
}

// leave reports whether s was still waiting.
func (g *gathering) leave(s *slip) bool {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.Index(g.waiting, s)
	if i < 0 || len(s.turn) > 0 {
		return false
	}
	g.waiting = slices.Delete(g.waiting, i, i+1)
	return true
}

// take is the next batch; the leader is the first of it.
func (g *gathering) take() []*slip {
	g.mu.Lock()
	defer g.mu.Unlock()
	n := min(len(g.waiting), slipsAtOnce)
	batch := slices.Clone(g.waiting[:n])
	g.waiting = slices.Delete(g.waiting, 0, n)
	return batch
}

// hand gives the lead to the next who waits.
func (g *gathering) hand() {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.led = len(g.waiting) > 0; g.led {
		g.waiting[0].turn <- turn{lead: true}
	}
}

// lead writes a batch, which begins with own, and tells the others.
func (l *Log) lead(ctx context.Context, own *slip) error {
	var batch []*slip
	defer func() {
		for _, s := range batch { // those who are still not told, because writing panicked
			s.turn <- turn{err: fault.New(fault.Internal, "the account was not written")}
		}
		l.gather.hand()
	}()
	runtime.Gosched() // whoever is about to come shares the commit
	batch = l.gather.take()
	ctx = context.WithoutCancel(ctx) // the others do not depend on the leader's caller
	all, shared := l.write(ctx, batch), len(batch) > 1
	for len(batch) > 0 {
		err := all
		if err != nil && shared {
			err = l.write(ctx, batch[:1]) // so that one who is at fault fails alone
		}
		batch[0].turn <- turn{err: err}
		batch = batch[1:]
	}
	return (<-own.turn).err
}

// write commits the entries of a batch.
func (l *Log) write(ctx context.Context, batch []*slip) error {
	entries, lanes := make([]Placed, 0, len(batch)), make([]store.Lane, 0, len(batch))
	for _, s := range batch {
		entries = append(entries, s.entries...)
	}
	for i := range entries {
		lanes = append(lanes, entries[i].Lane)
	}
	slices.Sort(lanes)
	return l.db.WriteAside(ctx, slices.Compact(lanes), func(tx *store.Tx) error {
		_, err := l.AppendAll(tx, entries)
		return err
	})
}
