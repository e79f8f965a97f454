package messaging

import (
	"context"
	"errors"
	"io"
	"net/http"
	"slices"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// mostHops is how many nodes may pass a message on.
const mostHops = 8

// Handler answers peers: it is served below /messages/ on links, whose requests carry their peer (network.PeerFrom), and to nobody else.
func (p *Post) Handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("POST "+pathGreet, p.serve(p.serveGreet))
	mux.HandleFunc("POST "+pathExchange, p.serve(p.serveExchange))
	mux.HandleFunc("POST "+pathLedger, p.serve(p.serveLedger))
	mux.HandleFunc("GET "+pathFiles+"{hash}", p.serveFile)
	return mux
}

// serve reads a bounded request of a peer and answers it whole.
func (p *Post) serve(answer func(ctx context.Context, peer network.Peer, body []byte) ([]byte, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		peer, ok := network.PeerFrom(r.Context())
		if !ok {
			refuse(w, fault.New(fault.Forbidden, "post is taken from nodes only"))
			return
		}
		body, err := io.ReadAll(io.LimitReader(r.Body, mostWire+1))
		switch {
		case err != nil:
			err = fault.Wrap(err, fault.Invalid, "the request broke off")
		case len(body) > mostWire:
			err = fault.New(fault.TooLarge, "the request is too long")
		default:
			body, err = answer(r.Context(), peer, body)
		}
		if err != nil {
			p.log.Info("messaging: a request of a peer was refused", "peer", peer.Node.String(), "path", r.URL.Path, "error", err)
			refuse(w, err)
			return
		}
		p.changed()
		w.Header().Set("Content-Type", "application/octet-stream")
		_, _ = w.Write(body) // a peer that is gone asks again
	}
}

func refuse(w http.ResponseWriter, err error) {
	http.Error(w, fault.MessageOf(err), fault.KindOf(err).HTTPStatus())
}

// serveGreet makes a peer's acquaintance and says how far we have its streams.
func (p *Post) serveGreet(ctx context.Context, peer network.Peer, body []byte) ([]byte, error) {
	g, err := decodeGreeting(body)
	if err != nil {
		return nil, err
	}
	answer := greeted{mine: p.db.Incarnation()}
	err = p.db.Write(ctx, nil, func(tx *store.Tx) error {
		answer.marks, answer.again = nil, ""
		believed, err := p.believed(tx, peer.Node, g)
		if err != nil {
			return err
		}
		if !believed {
			answer.again, err = p.challenges(tx, peer.Node, g.mine)
			return err
		}
		if err := meet(tx, peer.Node, g.mine); err != nil {
			return err
		}
		for _, s := range g.streams {
			id := sourceOf(peer.Node, s.stream)
			m := mark{stream: s.stream}
			var err error
			if m.high, err = markOf(tx, id); err != nil {
				return err
			}
			if m.high > s.high {
				if m.gaps, err = gapsOf(tx, id, s.high); err != nil {
					return err
				}
			}
			answer.marks = append(answer.marks, m)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if answer.again == "" {
		p.metAnew(peer.Node, g.mine)
	}
	return answer.encode(), nil
}

// metAnew sees to it that we greet a peer, too, whose life is not the one that we know.
func (p *Post) metAnew(peer network.NodeID, inc string) {
	s := p.peer(peer)
	s.mu.Lock()
	anew := s.inc != inc
	if anew {
		s.inc = ""
	}
	s.due = p.clock.Now() // it is there
	s.mu.Unlock()
	if anew {
		p.ring(Work{Peer: peer})
	}
}

func markOf(tx *store.Tx, id int64) (high int64, err error) {
	err = tx.QueryRow(`SELECT mark FROM post_source WHERE lane = 0 AND source = ?`, id).Scan(&high)
	if fault.Is(err, fault.NotFound) {
		return 0, nil
	}
	return high, err
}

// gapsOf are the gaps in a stream after a number.
func gapsOf(tx *store.Tx, id, after int64) ([]gap, error) {
	rows, err := tx.Query(`SELECT low, high FROM post_gap WHERE lane = 0 AND source = ? AND high > ? ORDER BY low DESC LIMIT ?`, id, after, mostGaps)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []gap
	for rows.Next() {
		var g gap
		if err := rows.Scan(&g.low, &g.high); err != nil {
			return nil, err
		}
		list = append(list, g)
	}
	return list, rows.Err()
}

// leave notes the numbers above high that a batch leaves out.
func (b *batch) leave(tx *store.Tx, id, high int64) error {
	put := func(low, high int64) error {
		if low > high {
			return nil
		}
		return tx.Queue(`INSERT INTO post_gap (lane, source, low, high) VALUES (0, ?, ?, ?) ON CONFLICT (lane, source, low) DO NOTHING`, id, low, high)
	}
	for i := range b.items {
		n := b.items[i].num
		if n <= high {
			continue
		}
		if err := put(high+1, n-1); err != nil {
			return err
		}
		high = n
	}
	return put(high+1, b.through)
}

// serveExchange takes what a peer has for us, if both are in the lives that it means.
func (p *Post) serveExchange(ctx context.Context, peer network.Peer, body []byte) ([]byte, error) {
	e, err := decodeExchange(body)
	if err != nil {
		return nil, err
	}
	if err := p.writeAll(ctx, p.lanesOfNotices(e.notices), func(tx *store.Tx) error {
		if err := p.pair(tx, peer.Node, &e); err != nil {
			return err
		}
		return p.hear(tx, peer.Node, e.notices)
	}); err != nil {
		return nil, err
	}
	var answer exchanged
	err = p.writeAll(ctx, p.lanesOfBatches(peer.Node, e.batches), func(tx *store.Tx) error {
		answer.marks = nil
		if err := p.pair(tx, peer.Node, &e); err != nil {
			return err
		}
		for i := range e.batches {
			high, err := p.take(tx, peer, &e.batches[i])
			if err != nil {
				return err
			}
			answer.marks = append(answer.marks, mark{stream: e.batches[i].stream, high: high})
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	return answer.encode(), nil
}

// writeAll is Write, begun again with the lanes that fn finds it needs.
func (p *Post) writeAll(ctx context.Context, lanes []store.Lane, fn func(tx *store.Tx) error) error {
	var err error
	for range 16 {
		err = p.db.Write(ctx, lanes, fn)
		var want wantLanes
		if !errors.As(err, &want) {
			return err
		}
		lanes = append(lanes, want.lanes...)
	}
	return fault.Wrap(err, fault.Unavailable, "the lanes that are needed keep changing")
}

// pair refuses an exchange in which either side means a life that is not.
func (p *Post) pair(tx *store.Tx, peer network.NodeID, e *exchange) error {
	if e.yours != p.db.Incarnation() {
		return fault.New(fault.Conflict, "this node is in another life; greet first")
	}
	var latest bool
	err := tx.QueryRow(`SELECT latest FROM post_peer WHERE lane = 0 AND peer = ? AND incarnation = ?`, peer.String(), e.mine).Scan(&latest)
	switch {
	case fault.Is(err, fault.NotFound):
		return fault.New(fault.Conflict, "this life of yours is not known here; greet first")
	case err != nil:
		return err
	case !latest:
		return fault.New(fault.Gone, "a later copy of your database has replaced this one")
	}
	return nil
}

func (p *Post) lanesOfNotices(list []notice) []store.Lane {
	lanes := []store.Lane{0}
	for i := range list {
		if n := list[i].lane; n < int64(p.db.Lanes()) {
			lanes = append(lanes, store.Lane(n)) //nolint:gosec // bounded
		} else {
			list[i].lane = 0 // about nothing that was sent from here
		}
	}
	return lanes
}

func (p *Post) lanesOfBatches(peer network.NodeID, list []batch) []store.Lane {
	lanes := []store.Lane{p.db.LaneOf(peer.String(), "")}
	for i := range list {
		for j := range list[i].items {
			it := &list[i].items[j]
			lanes = append(lanes, p.LaneOf(it.To, it.Conversation))
		}
	}
	slices.Sort(lanes)
	return slices.Compact(lanes)
}

// take keeps what is new of a batch and moves the stream's mark, which it returns. A batch that begins after the mark is not
// taken: what lies between must come first.
func (p *Post) take(tx *store.Tx, peer network.Peer, b *batch) (high int64, err error) {
	id := sourceOf(peer.Node, b.stream)
	high, err = p.lockMark(tx, id, peer.Node, b.stream)
	if err != nil || b.after > high && !p.o.Seams.NoMark {
		return high, err
	}
	again, err := metBefore(tx, peer.Node)
	if err != nil {
		return 0, err
	}
	for i := range b.items {
		if it := &b.items[i]; it.num > high || p.o.Seams.NoMark {
			if err := p.arrive(tx, peer, id, it, again); err != nil {
				return 0, err
			}
		}
	}
	if b.through <= high {
		return high, nil
	}
	if err := b.leave(tx, id, high); err != nil {
		return 0, err
	}
	_, err = tx.Exec(`UPDATE post_source SET mark = ? WHERE lane = 0 AND source = ?`, b.through, id)
	return b.through, err
}

// metBefore reports whether a peer is in another life than that in which it was met first.
func metBefore(tx *store.Tx, peer network.NodeID) (again bool, err error) {
	var lives int64
	err = tx.QueryRow(`SELECT count(*) FROM post_peer WHERE lane = 0 AND peer = ?`, peer.String()).Scan(&lives)
	return lives > 1, err
}

// lockMark reads a stream's mark, which nobody else then changes before tx ends.
func (p *Post) lockMark(tx *store.Tx, id int64, peer network.NodeID, s stream) (high int64, err error) {
	err = tx.QueryRow(`UPDATE post_source SET mark = mark WHERE lane = 0 AND source = ? RETURNING mark`, id).Scan(&high)
	if !fault.Is(err, fault.NotFound) {
		return high, err
	}
	_, err = tx.Exec(`INSERT INTO post_source (lane, source, peer, incarnation, peerlane, mark) VALUES (0, ?, ?, ?, ?, 0)`, id, peer.String(), s.incarnation, s.lane)
	return 0, err
}

// arrive puts a peer's message into the queue that it is for. What cannot be taken is refused, and kept to be seen. A message may have come
// before by another way, or, where the peer has lost days in which a person there redirected it, by a number of those days.
func (p *Post) arrive(tx *store.Tx, peer network.Peer, id int64, it *item, again bool) error {
	l := letter{Message: it.Message, source: id, number: it.num, hops: it.hops + 1}
	to, err := p.route(tx, l.To, l.Workflow)
	if err == nil && (l.hops > 1 || to.Kind == kindNode || again && !p.o.Seams.NoRedirected) {
		known, err := p.cameBefore(tx, &l)
		if err != nil || known {
			return err
		}
	}
	reason := ""
	speaks, serr := speaksFor(tx, peer, &l)
	if serr != nil {
		return serr
	}
	switch {
	case fault.Is(err, fault.NotFound):
		reason = fault.MessageOf(err)
	case err != nil:
		return err
	case !speaks:
		reason = "the node " + peer.Node.String() + " may not speak for " + l.From.String()
	case to == ToNode(peer.Node) || l.hops > mostHops:
		reason = "there is no way on from here to " + l.To.String()
	}
	lane := p.LaneOf(l.To, l.Conversation)
	if reason != "" {
		to = Destination{kindNowhere, peer.Node.String()}
	}
	placed, err := p.place(tx, lane, to, l)
	if err != nil || reason == "" {
		return err
	}
	if err := event(tx, &placed, "refused", "", reason); err != nil {
		return err
	}
	return p.note(tx, lane, id, it.num, it.num, Refused, 1, reason)
}

// speaksFor reports whether a peer may bring a message from its sender: because it speaks for it, because it passes on what others send, or because
// the message went to it from here and a person there redirected it.
func speaksFor(tx *store.Tx, peer network.Peer, l *letter) (bool, error) {
	if peer.Speaks(l.From) || peer.Authority {
		return true, nil
	}
	var num int64
	err := tx.QueryRow(`SELECT m.num FROM post_message m JOIN post_queue q ON q.lane = 0 AND q.queue = m.queue WHERE m.id = ? AND m.sender = ? AND q.kind = ? AND q.name = ? LIMIT 1`,
		l.ID, l.From.String(), kindNode, peer.Node.String()).Scan(&num)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// cameBefore finds a message that passed here before, in days that this node or the one before it has lost: it is not handled twice, and
// whoever brings it is told what became of it. One that has come further than ours had when it passed went on from here
// and was redirected back by a person: that is new.
func (p *Post) cameBefore(tx *store.Tx, l *letter) (bool, error) {
	list, err := letters(tx, false, 0, `SELECT `+letterColumns+` FROM post_message m WHERE m.id = ? AND m.recipient = ? AND m.state <> ? AND m.hops >= ? ORDER BY m.at DESC, m.num DESC LIMIT 1`, l.ID, l.To.String(), int64(Redirected), l.hops)
	if err == nil && len(list) == 0 { // a person here sent it elsewhere: it is its new leg that they who bring it are told of
		list, err = letters(tx, false, 0, `SELECT `+letterColumns+` FROM post_message m WHERE m.id = ? AND m.base > 0 AND m.source <> 0 AND m.state <> ? AND m.hops >= ?
			AND EXISTS (SELECT 1 FROM post_message o WHERE o.id = m.id AND o.recipient = ? AND o.state = ?) ORDER BY m.hops DESC, m.base DESC LIMIT 1`, l.ID, int64(Redirected), l.hops, l.To.String(), int64(Redirected))
	}
	if err != nil || len(list) == 0 {
		return false, err
	}
	old := &list[0]
	q, err := p.queue(tx, old.queue)
	if err != nil {
		return false, err
	}
	if q.to.Kind == kindNode {
		if lost, err := p.found(tx, old); err != nil || lost {
			return false, err
		}
		if err := tx.Queue(`INSERT INTO post_body (lane, queue, num, body) VALUES (?, ?, ?, ?) ON CONFLICT (lane, queue, num) DO NOTHING`, old.lane, old.queue, old.num, nonNil(l.Body)); err != nil {
			return false, err
		}
	}
	if _, err := tx.Exec(`UPDATE post_message SET source = ?, number = ? WHERE lane = ? AND queue = ? AND num = ?`, l.source, l.number, old.lane, old.queue, old.num); err != nil {
		return false, err
	}
	if old.source, old.number = l.source, l.number; q.to.Kind == kindNode {
		if err := p.fetchOn(tx, q, old); err != nil {
			return false, err
		}
	}
	if old.base+old.turn == 0 {
		return true, nil
	}
	return true, p.note(tx, old.lane, l.source, l.number, l.number, old.state, old.base+old.turn, "")
}

// found ends a message that was lost, for it is here again; lost reports whether it was.
func (p *Post) found(tx *store.Tx, l *letter) (lost bool, err error) {
	n, err := tx.Exec(`DELETE FROM post_held WHERE lane = ? AND queue = ? AND num = ? AND why = ?`, l.lane, l.queue, l.num, int64(parked))
	if err != nil || n == 0 {
		return false, err
	}
	_, err = tx.Exec(`UPDATE post_message SET state = ?, ended = ? WHERE lane = ? AND queue = ? AND num = ?`, int64(Redirected), tx.At(), l.lane, l.queue, l.num)
	return true, err
}
