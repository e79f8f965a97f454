package messaging

import (
	"context"
	"errors"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// exchangeBytes is when an exchange is full.
const exchangeBytes = 1 << 20

// lanesAtOnce is how many lanes one exchange takes from.
const lanesAtOnce = 64

// outbound is an exchange with what is needed to write down its outcome.
type outbound struct {
	exchange
	from  []outgoing // the stream of each batch
	notes []noteKey
	more  bool
}

func (o *outbound) empty() bool { return len(o.batches) == 0 && len(o.notices) == 0 }

// turnPeer makes one exchange with a peer, if there is anything to say. An error means that the peer is to be tried again later.
func (p *Post) turnPeer(ctx context.Context, peer network.NodeID) (more bool, err error) {
	s := p.peer(peer)
	if !s.turn.TryLock() {
		return false, nil // another turn is under way, and will see what there is
	}
	defer s.turn.Unlock()
	s.mu.Lock()
	due, life := s.due, s.inc
	s.mu.Unlock()
	if !p.isDue(due) {
		return false, nil
	}
	more, err = p.talk(ctx, peer, s, life)
	if k := fault.KindOf(err); err != nil && (k == fault.Unavailable || k == fault.Timeout) {
		err = errors.Join(err, p.sweep(ctx, peer, s))
	}
	p.noted(peer, s, err)
	return more, err
}

// noted remembers how a turn with a peer went, and when the next is due.
func (p *Post) noted(peer network.NodeID, s *peerState, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if err == nil {
		s.tries, s.due, s.failed = 0, time.Time{}, ""
		return
	}
	if s.tries == 0 {
		s.since = p.clock.Now()
	}
	s.tries++
	s.failed = describe(err)
	s.due = p.clock.Now().Add(p.backoff(s.tries))
	if s.tries == 1 {
		p.log.Info("messaging: a peer is not reached; what is for it waits", "peer", peer.String(), "error", err)
	}
}

func (p *Post) talk(ctx context.Context, peer network.NodeID, s *peerState, life string) (more bool, err error) {
	told, err := p.retell(ctx, peer)
	if err != nil {
		return false, err
	}
	if life == "" {
		return true, p.greet(ctx, peer, s)
	}
	out, err := p.collect(ctx, peer, life)
	if err != nil || out.empty() {
		return told || out.more, err
	}
	for _, o := range out.from { // durable since collect has returned: who sends there need not write it down again
		p.remember(queue{id: o.queue, to: ToNode(peer), life: o.life, incarnation: o.incarnation})
	}
	began := p.clock.Now()
	text, err := p.ask(ctx, peer, pathExchange, out.encode())
	if k := fault.KindOf(err); err != nil && (k == fault.Conflict || k == fault.Gone) {
		s.mu.Lock()
		s.inc = "" // one of us lives anew: greet first
		s.mu.Unlock()
		if k == fault.Conflict {
			return true, nil
		}
	}
	if err != nil {
		return false, err
	}
	s.mu.Lock()
	s.round = p.clock.Now().Sub(began)
	s.mu.Unlock()
	answer, err := decodeExchanged(text)
	if err != nil {
		return false, fault.Wrap(err, fault.Unavailable, "the node %s answers in words that are not understood", peer)
	}
	return true, p.settle(ctx, out, answer)
}

// collect puts together the next exchange, and keeps what it tries before it is tried.
func (p *Post) collect(ctx context.Context, peer network.NodeID, life string) (out outbound, err error) {
	lanes := []store.Lane{0}
	if p.db.Lanes() > 1 {
		if lanes, err = p.lanesTo(ctx, peer); err != nil {
			return out, err
		}
	}
	for range 16 {
		err = p.db.Write(ctx, lanes, func(tx *store.Tx) error {
			out = outbound{exchange: exchange{mine: p.db.Incarnation(), yours: life}}
			return p.gather(tx, peer, &out)
		})
		var want wantLanes
		if !errors.As(err, &want) {
			return out, err
		}
		lanes = append(lanes, want.lanes...)
	}
	return out, err
}

// lanesTo are lanes in which something waits for a peer.
func (p *Post) lanesTo(ctx context.Context, peer network.NodeID) (lanes []store.Lane, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		lanes = nil
		list, err := streamsTo(tx, peer, true)
		for i := 0; i < len(list) && i < lanesAtOnce; i++ {
			lanes = append(lanes, list[i].lane)
		}
		return err
	})
	return lanes, err
}

func (p *Post) gather(tx *store.Tx, peer network.NodeID, out *outbound) error {
	streams, err := streamsTo(tx, peer, true)
	if err != nil {
		return err
	}
	items, size := 0, int64(0)
	for _, o := range streams {
		if items >= p.o.Batch || size >= exchangeBytes {
			out.more = true
			break
		}
		if !tx.Holds(o.lane) {
			out.more = true
			continue
		}
		b, bytes, err := p.gatherStream(tx, o, p.o.Batch-items, exchangeBytes-size)
		if err != nil {
			return err
		}
		if b.through > b.after {
			out.batches, out.from = append(out.batches, b), append(out.from, o)
			items, size = items+len(b.items), size+bytes
		}
		if b.through < o.next-1 {
			out.more = true
			break // a later life's stream may go on with a conversation of this one
		}
	}
	out.notices, out.notes, err = notesFor(tx, peer, mostNotes/2)
	return err
}

// gatherStream takes the next messages of one stream. Those whose time was up before they were ever tried end here.
func (p *Post) gatherStream(tx *store.Tx, o outgoing, most int, mostBytes int64) (b batch, size int64, err error) {
	b = batch{stream: stream{o.incarnation, int64(o.lane)}, after: o.done, through: o.done}
	list, err := letters(tx, true, max(mostBytes, 1), `SELECT `+letterColumns+bodyColumn+`FROM post_message m
		WHERE m.lane = ? AND m.queue = ? AND m.num > ? AND m.num < ? ORDER BY m.num LIMIT ?`, o.lane, o.queue, o.done, o.next, most)
	if err != nil {
		return b, 0, err
	}
	expired := turn{p: p, ctx: tx.Context(), tx: tx, lane: o.lane, at: tx.At()}
	for i := range list {
		l := &list[i]
		b.through = l.num
		if l.state != Accepted {
			continue
		}
		if l.num > o.tried && !l.Expires.IsZero() && !l.Expires.After(tx.At()) && !p.doubtful(l) {
			expired.end(l, Expired, "its time was up before it could be sent", "")
			continue
		}
		size += l.size
		b.items = append(b.items, item{num: l.num, hops: l.hops, Message: l.Message})
	}
	if err := expired.close(); err != nil {
		return b, 0, err
	}
	if len(list) == 0 {
		b.through = o.next - 1 // the rest was pruned
	}
	if b.through > o.tried && !p.o.Seams.NoTried {
		_, err = tx.Exec(`UPDATE post_stream SET tried = ? WHERE lane = ? AND queue = ?`, b.through, o.lane, o.queue)
	}
	return b, size, err
}

// sweptAtOnce is how many of a stream's messages one sweep looks at.
const sweptAtOnce = 1000

// sweep ends messages for a peer that is not reached, whose time is up and which were never tried: the sender need not wait for the link to learn it. It looks at a
// piece of each stream, the next one each time.
func (p *Post) sweep(ctx context.Context, peer network.NodeID, s *peerState) error {
	var streams []outgoing
	err := p.db.Read(ctx, func(tx *store.Tx) (err error) {
		streams, err = streamsTo(tx, peer, true)
		return err
	})
	for i := 0; i < len(streams) && i < lanesAtOnce && err == nil; i++ {
		err = p.sweepStream(ctx, streams[i], s)
	}
	return err
}

func (p *Post) sweepStream(ctx context.Context, o outgoing, s *peerState) error {
	at := place{lane: o.lane, queue: o.queue}
	s.mu.Lock()
	from := s.swept[at]
	s.mu.Unlock()
	var last int64
	err := p.writeAll(ctx, []store.Lane{o.lane}, func(tx *store.Tx) error {
		last = 0
		var tried int64
		if err := tx.QueryRow(`SELECT tried FROM post_stream WHERE lane = ? AND queue = ?`, o.lane, o.queue).Scan(&tried); err != nil {
			return err
		}
		list, err := letters(tx, false, 0, `SELECT `+letterColumns+` FROM post_message m WHERE m.lane = ? AND m.queue = ? AND m.num > ? ORDER BY m.num LIMIT ?`,
			o.lane, o.queue, max(from, tried), sweptAtOnce)
		if err != nil {
			return err
		}
		t := turn{p: p, ctx: tx.Context(), tx: tx, lane: o.lane, at: tx.At()}
		for i := range list {
			if l := &list[i]; l.state == Accepted && !l.Expires.IsZero() && !l.Expires.After(t.at) && !p.doubtful(l) {
				t.end(l, Expired, "its time was up before it could be sent", "")
			}
		}
		if len(list) == sweptAtOnce {
			last = list[len(list)-1].num
		}
		return t.close()
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.swept == nil {
		s.swept = map[place]int64{}
	}
	s.swept[at] = last // from the beginning again once the end is reached
	return nil
}

// doubtful reports whether we may have passed a message on in days that a restore has lost: then the next node, which knows, decides whether
// its time is up. The day allows for clocks that differ.
func (p *Post) doubtful(l *letter) bool {
	return l.source != 0 && p.life > 1 && l.At.Before(p.lifeAt.Add(24*time.Hour))
}

// settle writes down what a peer has answered.
func (p *Post) settle(ctx context.Context, out outbound, answer exchanged) error {
	marks := map[stream]int64{}
	for _, m := range answer.marks {
		marks[m.stream] = m.high
	}
	lanes := []store.Lane{0}
	for _, o := range out.from {
		lanes = append(lanes, o.lane)
	}
	var err error
	for range 16 {
		err = p.db.Write(ctx, lanes, func(tx *store.Tx) error {
			for i, o := range out.from {
				if err := p.settleStream(tx, o, &out.batches[i], marks); err != nil {
					return err
				}
			}
			return forgetNotes(tx, out.notes)
		})
		var want wantLanes
		if !errors.As(err, &want) {
			return err
		}
		lanes = append(lanes, want.lanes...)
	}
	return err
}

func (p *Post) settleStream(tx *store.Tx, o outgoing, b *batch, marks map[stream]int64) error {
	high, told := marks[b.stream]
	if !told {
		return nil
	}
	if err := tx.QueryRow(`SELECT next, done, tried FROM post_stream WHERE lane = ? AND queue = ?`, o.lane, o.queue).Scan(&o.next, &o.done, &o.tried); err != nil {
		return err
	}
	switch {
	case high < o.done && !p.o.Seams.NoRewind:
		return p.rewind(tx, o, high)
	case high > o.done:
		return p.acknowledged(tx, o, min(high, o.next-1), b.items)
	}
	return nil
}
