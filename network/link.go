package network

import (
	"errors"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openspine/openspine/fault"
)

// State is how a link is.
type State string

// The states of a link.
//
//	never ──▶ up ◀──▶ down        cut: by a person, until healed; refused: the other end takes this node no longer; revoked: at the authority, no member any more
const (
	StateNever   State = "never"
	StateUp      State = "up"
	StateDown    State = "down"
	StateCut     State = "cut"
	StateRefused State = "refused"
	StateRevoked State = "revoked"
)

// link is what this node knows of one peer, and the connections on which it asks that peer.
type link struct {
	n    *Network
	peer atomic.Pointer[Peer]

	requests, failures atomic.Int64 // since the program started

	mu      sync.Mutex
	callers []*caller // the one in use is the last; those before it finish what was begun
	state   State
	since   time.Time
	err     string // the last that went wrong
	errAt   time.Time
	beaten  time.Time // when the peer was last heard of
	held    holder    // of the certificate that the peer last showed
	span    Span      // since the last minute was written
	counted totals    // of the connections that are gone
	marked  totals    // when the last minute was written
	marking time.Time // until when the time that the link stood is counted
	latency time.Duration
	skew    time.Duration
	theirs  Backlog // what waits at the peer for this node, as it said
	ours    Backlog
	rate    [2]float64 // bytes a second out and in, over the last whole span
	version string     // of the run of the program at the other end
}

// totals are bytes and requests.
type totals struct{ sent, received, requests, failures int64 }

func newLink(n *Network, p Peer) *link {
	l := &link{n: n, state: StateNever, since: n.clock.Now(), marking: n.clock.Now()}
	l.peer.Store(&p)
	return l
}

// caller is the connection on which to ask. Errors: fault.Unavailable, which says why there is none.
func (l *link) caller() (*caller, error) {
	node := l.peer.Load().Node
	if cut, ok := l.n.cutOf(node); ok {
		return nil, cut.fault(node)
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for i := len(l.callers) - 1; i >= 0; i-- {
		if c := l.callers[i]; c.http.Err() == nil {
			return c, nil
		}
	}
	switch {
	case l.state == StateNever:
		return nil, fault.New(fault.Unavailable, "There has been no link to %s yet.", node)
	case l.err != "":
		return nil, fault.New(fault.Unavailable, "There has been no link to %s since %s: %s", node, stamp(l.since), l.err)
	}
	return nil, fault.New(fault.Unavailable, "There has been no link to %s since %s.", node, stamp(l.since))
}

// asks reports whether there is a connection on which to ask.
func (l *link) asks() bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	return len(l.callers) > 0
}

// use asks on c from now on. What goes on on other connections may finish for a while.
func (l *link) use(c *caller) {
	l.mu.Lock()
	old := l.callers
	l.callers = append(append([]*caller{}, old...), c)
	l.held = c.conn.holder
	l.mu.Unlock()
	select {
	case <-c.conn.gone: // between its handshake and now
		l.collect(c.conn)
		return
	default:
	}
	for _, o := range old {
		l.n.aside(func() { o.retire() })
	}
}

// retire closes a connection once what goes on on it has ended, or a while has passed.
func (c *caller) retire() {
	until := c.conn.n.clock.After(c.conn.n.timing.Drain)
	idle := make(chan struct{}, 1)
	c.http.SetStateHook(func(cc *http.ClientConn) {
		if cc.InFlight() == 0 {
			select {
			case idle <- struct{}{}:
			default:
			}
		}
	})
	if c.http.InFlight() > 0 {
		select {
		case <-idle:
		case <-until:
		case <-c.conn.gone:
		}
	}
	_ = c.conn.end(errReplaced)
	c.close()
}

var errReplaced = fault.New(fault.Unavailable, "a newer connection took its place")

// collect adds up what a connection that is gone carried. When it was the last to ask on, the link is down.
func (l *link) collect(c *conn) {
	l.mu.Lock()
	l.counted.sent += c.out.Swap(0)
	l.counted.received += c.in.Swap(0)
	kept := l.callers[:0:0]
	for _, o := range l.callers {
		if o.conn != c {
			kept = append(kept, o)
		}
	}
	lost := len(l.callers) > 0 && len(kept) == 0
	l.callers = kept
	l.mu.Unlock()
	if lost {
		why := c.cause()
		if why == nil {
			why = errBroken
		}
		l.fell(StateDown, why)
	}
}

var errBroken = fault.New(fault.Unavailable, "the connection broke")

// rose says that the link stands.
func (l *link) rose() {
	now := l.n.clock.Now()
	l.mu.Lock()
	was := l.state
	l.count(now)
	l.state, l.beaten = StateUp, now
	if was != StateUp {
		l.since = now
	}
	l.mu.Unlock()
	if was == StateUp {
		return
	}
	node := l.peer.Load().Node
	l.n.log.Info("link up", "peer", node.String())
	l.n.happened(node, "up", "")
	for _, fn := range l.n.ups {
		l.n.aside(func() { fn(node) })
	}
}

// fell says that the link does not stand, and why.
func (l *link) fell(state State, why error) {
	now := l.n.clock.Now()
	text := fault.MessageOf(why)
	if fault.KindOf(why) == fault.Internal {
		text = why.Error()
	}
	node := l.peer.Load().Node
	if _, ok := l.n.cutOf(node); ok {
		state = StateCut
	}
	l.mu.Lock()
	was, same := l.state, l.state == state && l.err == text
	l.count(now)
	if l.state != state && !(l.state == StateNever && state == StateDown) {
		l.state, l.since = state, now
	}
	if !errors.Is(why, errStopping) {
		l.err, l.errAt = text, now
	}
	l.mu.Unlock()
	if same || errors.Is(why, errStopping) {
		return
	}
	if was != state {
		l.n.log.Warn("link "+string(state), "peer", node.String(), "why", text)
	}
	l.n.happened(node, string(state), text)
}

// count adds the time that has passed to that during which the link stood. The caller holds l.mu.
func (l *link) count(now time.Time) {
	if d := now.Sub(l.marking); d > 0 && d < maxCounted {
		l.span.Watched += d
		if l.state == StateUp {
			l.span.Up += d
		}
	}
	l.marking = now
}

// maxCounted is the longest that a node believes to have passed since it last looked: a clock that jumped is no time that a link stood.
const maxCounted = time.Hour

// heard takes in one beat: how long it took, and by how much the peer's clock is ahead.
func (l *link) heard(latency, skew time.Duration, theirs Backlog) {
	l.mu.Lock()
	l.beaten = l.n.clock.Now()
	l.latency, l.skew, l.theirs = latency, skew, theirs
	l.span.Beats++
	l.span.latency += latency
	l.span.Slowest = max(l.span.Slowest, latency)
	l.span.Skew = skew
	l.mu.Unlock()
}

// carried is what the link has carried since the program started.
func (l *link) carried() totals {
	l.n.mu.Lock()
	var open totals
	node := l.peer.Load().Node
	for c := range l.n.conns {
		if c.holder.Node == node {
			open.sent += c.out.Load()
			open.received += c.in.Load()
		}
	}
	l.n.mu.Unlock()
	l.mu.Lock()
	defer l.mu.Unlock()
	return totals{open.sent + l.counted.sent, open.received + l.counted.received, l.requests.Load(), l.failures.Load()}
}

// ahead is by how much the peer's clock was last seen ahead of this one's.
func (l *link) ahead() time.Duration {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.skew
}
