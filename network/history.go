package network

import (
	"context"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Span is how a link did in a minute, an hour or a day.
type Span struct {
	At          time.Time // of its beginning
	Long        time.Duration
	Up, Watched time.Duration // how long the link stood, of how long this node was there to see
	Beats       int64
	Mean        time.Duration // latency, over the beats
	Slowest     time.Duration
	Skew        time.Duration // by which the peer's clock was ahead, as last seen
	Sent        int64         // bytes
	Received    int64
	Requests    int64
	Failures    int64
	Backlog     int64         // messages that waited for the peer, at the most
	Oldest      time.Duration // how long the oldest of them had waited, at the most
	latency     time.Duration // the sum
}

// Event is something that happened to a link.
type Event struct {
	Peer NodeID
	At   time.Time
	What string // up, down, refused, cut, healed
	Note string
}

// The spans in which history is kept, and for how long.
var spans = []struct{ long, kept time.Duration }{
	{time.Minute, 26 * time.Hour},
	{time.Hour, 100 * 24 * time.Hour},
	{24 * time.Hour, 20 * 365 * 24 * time.Hour},
}

// eventsKept is for how long what happened to links is kept.
const eventsKept = 100 * 24 * time.Hour

// chronicle writes every minute how the links did, until ctx ends; a last time then.
func (n *Network) chronicle(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), n.timing.Answer)
			defer cancel()
			if err := n.Chronicle(last); err != nil {
				n.log.Warn("the last minute of the links could not be written", "cause", err)
			}
			return
		case <-n.clock.After(time.Minute):
		}
		if err := n.Chronicle(ctx); err != nil && ctx.Err() == nil {
			n.log.Error("how the links did could not be written", "cause", err)
		}
	}
}

// Chronicle writes how each link did since the last time, and leaves out what is older than it is kept.
func (n *Network) Chronicle(ctx context.Context) error {
	var peers []NodeID
	var done []Span
	for _, l := range n.allLinks() {
		n.backlog(ctx, l.peer.Load().Node)
		peers = append(peers, l.peer.Load().Node)
		done = append(done, l.take())
	}
	if len(peers) == 0 {
		return nil
	}
	lane := n.lane()
	return n.opt.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		for i, s := range done {
			for _, k := range spans {
				if err := addSpan(tx, lane, peers[i], s, tx.At().Truncate(k.long), k.long); err != nil {
					return err
				}
			}
		}
		for _, k := range spans {
			if _, err := tx.Exec(`DELETE FROM network_history WHERE lane = ? AND span = ? AND at < ?`, lane, int64(k.long/time.Second), tx.At().Add(-k.kept)); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`DELETE FROM network_event WHERE lane = ? AND at < ?`, lane, tx.At().Add(-eventsKept))
		return err
	})
}

func addSpan(tx *store.Tx, lane store.Lane, peer NodeID, s Span, at time.Time, long time.Duration) error {
	_, err := tx.Exec(`INSERT INTO network_history AS h (lane, peer, span, at, up, watched, beats, latency, slowest, skew, sent, received, requests, failures, backlog, oldest)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, peer, span, at) DO UPDATE SET up = h.up + excluded.up, watched = h.watched + excluded.watched, beats = h.beats + excluded.beats,
		latency = h.latency + excluded.latency, slowest = CASE WHEN h.slowest > excluded.slowest THEN h.slowest ELSE excluded.slowest END, skew = excluded.skew,
		sent = h.sent + excluded.sent, received = h.received + excluded.received, requests = h.requests + excluded.requests, failures = h.failures + excluded.failures,
		backlog = CASE WHEN h.backlog > excluded.backlog THEN h.backlog ELSE excluded.backlog END, oldest = CASE WHEN h.oldest > excluded.oldest THEN h.oldest ELSE excluded.oldest END`,
		lane, peer.String(), int64(long/time.Second), at, s.Up.Microseconds(), s.Watched.Microseconds(), s.Beats, s.latency.Microseconds(), s.Slowest.Microseconds(), s.Skew.Microseconds(),
		s.Sent, s.Received, s.Requests, s.Failures, s.Backlog, s.Oldest.Microseconds())
	return err
}

func (n *Network) allLinks() []*link {
	n.mu.Lock()
	defer n.mu.Unlock()
	all := make([]*link, 0, len(n.links))
	for _, l := range n.links {
		all = append(all, l)
	}
	return all
}

// take is the span since the last one.
func (l *link) take() Span {
	carried := l.carried()
	now := l.n.clock.Now()
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(now)
	s := l.span
	s.Sent, s.Received = carried.sent-l.marked.sent, carried.received-l.marked.received
	s.Requests, s.Failures = carried.requests-l.marked.requests, carried.failures-l.marked.failures
	if s.Watched > 0 {
		l.rate = [2]float64{float64(s.Sent) / s.Watched.Seconds(), float64(s.Received) / s.Watched.Seconds()}
	}
	l.marked = carried
	l.span = Span{Skew: l.skew}
	return s
}

// happened writes down that something happened to a link. It is for people to read: that it cannot be written stops nothing.
func (n *Network) happened(peer NodeID, what, note string) {
	n.aside(func() {
		ctx, cancel := context.WithTimeout(context.Background(), n.timing.Answer)
		defer cancel()
		err := n.opt.DB.Write(ctx, []store.Lane{n.lane()}, func(tx *store.Tx) error {
			_, err := tx.Exec(`INSERT INTO network_event (lane, peer, at, what, note) VALUES (?, ?, ?, ?, ?) ON CONFLICT (lane, peer, at) DO NOTHING`, n.lane(), peer.String(), tx.At(), what, note)
			return err
		})
		if err != nil {
			n.log.Warn("what happened to a link could not be written", "peer", peer.String(), "what", what, "cause", err)
		}
	})
}

// History is how a link did in spans of long (a minute, an hour or a day) from a time on, the oldest first; 2,000 at most.
func (n *Network) History(ctx context.Context, peer NodeID, long time.Duration, from time.Time) (all []Span, err error) {
	err = n.opt.DB.Read(ctx, func(tx *store.Tx) error {
		all = nil
		rows, err := tx.Query(`SELECT at, up, watched, beats, latency, slowest, skew, sent, received, requests, failures, backlog, oldest FROM network_history
			WHERE lane = ? AND peer = ? AND span = ? AND at >= ? ORDER BY at LIMIT 2000`, n.lane(), peer.String(), int64(long/time.Second), from)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			s := Span{Long: long}
			var at, up, watched, latency, slowest, skew, oldest int64
			if err := rows.Scan(&at, &up, &watched, &s.Beats, &latency, &slowest, &skew, &s.Sent, &s.Received, &s.Requests, &s.Failures, &s.Backlog, &oldest); err != nil {
				return err
			}
			s.At, s.Up, s.Watched, s.Slowest, s.Skew, s.Oldest = instant(at), micros(up), micros(watched), micros(slowest), micros(skew), micros(oldest)
			if s.Beats > 0 {
				s.Mean = micros(latency / s.Beats)
			}
			all = append(all, s)
		}
		return rows.Err()
	})
	return all, err
}

func micros(us int64) time.Duration { return time.Duration(us) * time.Microsecond }

// Events are what happened to a link, or to all links for the zero NodeID, the newest first; limit is 1 to 500.
func (n *Network) Events(ctx context.Context, peer NodeID, limit int) (all []Event, err error) {
	if limit < 1 || limit > 500 {
		return nil, fault.New(fault.Invalid, "1 to 500 events can be asked for")
	}
	err = n.opt.DB.Read(ctx, func(tx *store.Tx) error {
		all = nil
		rows, err := tx.Query(`SELECT peer, at, what, note FROM network_event WHERE lane = ? AND (peer = ? OR ? = '') ORDER BY at DESC, peer LIMIT ?`, n.lane(), peer.String(), peer.String(), limit)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var e Event
			var node string
			var at int64
			if err := rows.Scan(&node, &at, &e.What, &e.Note); err != nil {
				return err
			}
			if e.Peer, err = ParseNodeID(node); err != nil {
				return err
			}
			e.At = instant(at)
			all = append(all, e)
		}
		return rows.Err()
	})
	return all, err
}

// tend keeps the authority's own certificate good, until ctx ends. Every other node renews over its link.
func (n *Network) tend(ctx context.Context) {
	select {
	case <-ctx.Done():
		return
	case <-n.joined:
	}
	a := n.office.Load()
	if a == nil {
		return
	}
	for {
		if n.due(a.issuer.Load().key()) {
			id, err := a.certifySelf(ctx, Peer{Node: n.Self(), Organisations: n.Organisations(), Authority: true})
			if err == nil {
				err = n.files.writeIdentity(id)
			}
			if err == nil {
				n.identity.Store(&id)
			} else if ctx.Err() == nil {
				n.log.Error("the authority's own certificate could not be renewed; it will be tried again", "cause", err)
			}
		}
		n.judgeSilent()
		select {
		case <-ctx.Done():
			return
		case <-n.clock.After(n.timing.Beat):
		}
	}
}

// judgeSilent ends links whose node has not been heard of for too long, though its connections seem to stand.
func (n *Network) judgeSilent() {
	now := n.clock.Now()
	for _, l := range n.allLinks() {
		l.mu.Lock()
		quiet := now.Sub(l.beaten)
		silent := l.state == StateUp && quiet > 4*n.timing.Beat+n.timing.Answer && quiet < maxCounted // longer, and this clock has jumped
		l.mu.Unlock()
		if silent {
			n.endLink(l.peer.Load().Node, errSilent)
		}
	}
}

var errSilent = fault.New(fault.Unavailable, "nothing was heard of it for too long")
