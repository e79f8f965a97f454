package messaging

import (
	"context"
	"fmt"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// source is a stream that comes in.
type source struct {
	id          int64
	peer        network.NodeID
	incarnation string
	peerLane    int64
}

// sourceOf is the id of a peer's stream.
func sourceOf(peer network.NodeID, s stream) int64 {
	return hashOf(peer.String(), s.incarnation, string(putInt(nil, s.lane)))
}

// sourceAt reads a stream that comes in.
func sourceAt(tx *store.Tx, id int64) (source, error) {
	s := source{id: id}
	var peer string
	err := tx.QueryRow(`SELECT peer, incarnation, peerlane FROM post_source WHERE lane = 0 AND source = ?`, id).Scan(&peer, &s.incarnation, &s.peerLane)
	if err == nil {
		s.peer, err = network.ParseNodeID(peer)
	}
	return s, fault.Wrap(err, fault.Internal, "a message came in by a stream that is not known")
}

// note tells the node that messages came from what became of them: as soon as it can, as part of tx.
func (p *Post) note(tx *store.Tx, lane store.Lane, from, low, high int64, s State, turn int64, reason string) error {
	return p.noteAnswer(tx, lane, from, low, high, s, turn, reason, nil)
}

// noteAnswer is note with what was answered to one message, as answered gives it.
func (p *Post) noteAnswer(tx *store.Tx, lane store.Lane, from, low, high int64, s State, turn int64, reason string, answer []byte) error {
	src, err := sourceAt(tx, from)
	if err != nil {
		return err
	}
	p.ringAfter(tx, Work{Peer: src.peer})
	return putNote(tx, lane, src, low, high, s, turn, clip(reason), answer)
}

// answered is the envelope in which the answer to a message goes back to its sender: the message, with the answer as its body. A node that knows of no answers
// finds in it a message that it has, and goes on.
func (l *letter) answered() []byte {
	if len(l.answer) == 0 {
		return nil
	}
	it := item{num: l.number, hops: l.hops, Message: l.Message}
	it.Body = l.answer
	return putItem(nil, &it)
}

// notesBytes bounds what one exchange takes of answers.
const notesBytes = 2 << 20

func putNote(tx *store.Tx, lane store.Lane, src source, low, high int64, s State, turn int64, reason string, envelope []byte) error {
	return tx.Queue(`INSERT INTO post_note (lane, peer, source, low, high, at, state, turn, reason, envelope) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, peer, at, source, low) DO UPDATE SET high = excluded.high, state = excluded.state, turn = excluded.turn, reason = excluded.reason, envelope = excluded.envelope`,
		lane, src.peer.String(), src.id, low, high, tx.At(), int64(s), turn, reason, nonNil(envelope))
}

// noteKey is the place of a note.
type noteKey struct {
	lane            store.Lane
	peer            string
	source, low, at int64
}

// notesFor reads what a peer is to be told, some of it.
func notesFor(tx *store.Tx, peer network.NodeID, most int) ([]notice, []noteKey, error) {
	rows, err := tx.Query(`SELECT n.lane, n.source, n.low, n.high, n.at, n.state, n.turn, n.reason, n.envelope, s.incarnation, s.peerlane
		FROM post_note n JOIN post_source s ON s.lane = 0 AND s.source = n.source WHERE n.peer = ? ORDER BY n.lane, n.at, n.source, n.low LIMIT ?`, peer.String(), most)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	var list []notice
	var keys []noteKey
	for size := 0; size < notesBytes && rows.Next(); {
		var n notice
		var state int64
		var envelope []byte
		key := noteKey{peer: peer.String()}
		if err := rows.Scan(&key.lane, &key.source, &n.low, &n.high, &n.at, &state, &n.turn, &n.reason, &envelope, &n.incarnation, &n.lane); err != nil {
			return nil, nil, err
		}
		n.state = State(state) //nolint:gosec // as it was put
		key.low, key.at = n.low, n.at
		size += len(envelope)
		if len(envelope) > 0 {
			r := reader{b: envelope}
			it := r.item()
			if err := r.end(); err != nil {
				return nil, nil, err
			}
			n.envelope = &it
		}
		list, keys = append(list, n), append(keys, key)
	}
	return list, keys, rows.Err()
}

func forgetNotes(tx *store.Tx, keys []noteKey) error {
	for _, k := range keys {
		if err := tx.Queue(`DELETE FROM post_note WHERE lane = ? AND peer = ? AND at = ? AND source = ? AND low = ?`, k.lane, k.peer, k.at, k.source, k.low); err != nil {
			return err
		}
	}
	return nil
}

// hear applies what a peer says became of messages that went to it, as part of tx, which holds the lanes of their streams.
func (p *Post) hear(tx *store.Tx, peer network.NodeID, notices []notice) error {
	if len(notices) == 0 {
		return nil
	}
	var ordinal int64
	if err := tx.QueryRow(`SELECT ordinal FROM post_peer WHERE lane = 0 AND peer = ? AND latest = 1`, peer.String()).Scan(&ordinal); err != nil {
		return err
	}
	for i := range notices {
		if err := p.hearOne(tx, peer, ordinal, &notices[i]); err != nil {
			return err
		}
	}
	return nil
}

// hearOne applies one note, to those of its messages of which nothing later is known: later is what a later life of the peer's says, or the
// same life in a later turn.
func (p *Post) hearOne(tx *store.Tx, peer network.NodeID, ordinal int64, n *notice) error {
	q := queue{to: ToNode(peer), incarnation: n.incarnation}
	q.id = hashOf(q.to.Kind, q.to.Name, q.incarnation)
	if p.o.Seams.SameNumbers {
		q.id = hashOf(q.to.Kind, q.to.Name)
	}
	lane := store.Lane(n.lane) //nolint:gosec // bounded by the caller
	if n.envelope != nil {
		if err := p.recover(tx, q, lane, n); err != nil {
			return err
		}
	}
	heard := ordinal<<32 + n.turn + 1
	guard := ` AND heard < ?`
	if p.o.Seams.NoTurns {
		guard = ` AND heard <> - ?`
	}
	guard += fmt.Sprintf(` AND state <> %d`, Redirected) // by a person here: what becomes of it is told of its new leg
	args := []any{lane, q.id, n.low, n.high, heard}
	changed, err := letters(tx, false, 0, `SELECT `+letterColumns+` FROM post_message m WHERE lane = ? AND queue = ? AND num >= ? AND num <= ?`+guard+` ORDER BY num`, args...)
	if err != nil || len(changed) == 0 {
		return err
	}
	ended := int64(0)
	if n.state.Final() {
		ended = n.at
	}
	state := int64(n.state)
	set := []any{state, state, heard, tx.At(), ended}
	if _, err := tx.Exec(`UPDATE post_message SET turn = CASE WHEN state = ? THEN turn ELSE turn + 1 END, state = ?, heard = ?, delivered = CASE WHEN delivered > 0 THEN delivered ELSE ? END, ended = ?
		WHERE lane = ? AND queue = ? AND num >= ? AND num <= ?`+guard, append(set, args...)...); err != nil {
		return err
	}
	for j := range changed {
		if l := &changed[j]; l.state != n.state {
			if err := p.heard(tx, l, n); err != nil {
				return err
			}
		}
	}
	return nil
}

// heard passes on what became of a message: to the node that it came from, or to the sender's service.
func (p *Post) heard(tx *store.Tx, l *letter, n *notice) error {
	if n.reason != "" {
		if err := event(tx, l, n.state.String(), "", n.reason); err != nil {
			return err
		}
	}
	if n.envelope != nil && n.state == Handled {
		l.answer = n.envelope.Body
	}
	if l.source != 0 {
		return p.noteAnswer(tx, l.lane, l.source, l.number, l.number, n.state, l.base+l.turn+1, n.reason, l.answered())
	}
	return p.tell(tx, l, n.state, fromMicros(n.at), n.reason)
}

// recover puts back the row of a message that we sent in days that a restore has lost, as its recipient knows it.
func (p *Post) recover(tx *store.Tx, q queue, lane store.Lane, n *notice) error {
	var num int64
	err := tx.QueryRow(`SELECT num FROM post_message WHERE lane = ? AND queue = ? AND num = ?`, lane, q.id, n.low).Scan(&num)
	if err == nil || !fault.Is(err, fault.NotFound) {
		return err
	}
	err = tx.QueryRow(`SELECT num FROM post_message WHERE id = ? AND source <> 0 LIMIT 1`, n.envelope.ID).Scan(&num)
	if err == nil {
		return p.passAnew(tx, lane, q.to, n.envelope.ID) // or it has come to us again, and is on its way once more
	}
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	err = tx.QueryRow(`SELECT num FROM post_message WHERE id = ? AND queue = ? AND state <> ? LIMIT 1`, n.envelope.ID, p.queueOf(q.to).id, int64(Redirected)).Scan(&num)
	if err == nil || !fault.Is(err, fault.NotFound) {
		return err // a person here decided about it anew: it goes there, or is there, by that number
	}
	if err := tx.QueryRow(`SELECT coalesce(max(life), 0) FROM post_life WHERE lane = 0 AND incarnation = ?`, q.incarnation).Scan(&q.life); err != nil {
		return err
	}
	if err := p.intern(tx, q); err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO post_stream (lane, queue, next, done, tried) VALUES (?, ?, ?, 0, ?) ON CONFLICT (lane, queue) DO UPDATE
		SET next = CASE WHEN post_stream.next < excluded.next THEN excluded.next ELSE post_stream.next END,
		tried = CASE WHEN post_stream.tried < excluded.tried THEN excluded.tried ELSE post_stream.tried END`, lane, q.id, n.low+1, n.low); err != nil {
		return err
	}
	l := letter{Message: n.envelope.Message, lane: lane, queue: q.id, num: n.low, state: n.state, turn: 1, hops: n.envelope.hops}
	ended := int64(0)
	if n.state.Final() {
		ended = n.at
	}
	if err := l.insert(tx, n.at, ended); err != nil {
		return err
	}
	if _, err := tx.Exec(`DELETE FROM post_body WHERE lane = ? AND queue = ? AND num = ?`, lane, q.id, n.low); err != nil {
		return err
	}
	if err := event(tx, &l, "known from the recipient", "", "this node was restored from a backup that did not hold the message"); err != nil {
		return err
	}
	return p.wasRedirected(tx, &l, n)
}

// wasRedirected ends what waits here of a message that a person here sent elsewhere, in days that a restore has lost: it is where that person
// sent it, as they know there, and whoever sent it learns of that.
func (p *Post) wasRedirected(tx *store.Tx, on *letter, n *notice) error {
	if p.o.Seams.NoRedirected {
		return nil
	}
	list, err := letters(tx, false, 0, `SELECT `+letterColumns+` FROM post_message m JOIN post_queue q ON q.lane = 0 AND q.queue = m.queue LEFT JOIN post_held h ON h.lane = m.lane AND h.queue = m.queue AND h.num = m.num
		WHERE m.id = ? AND (m.queue <> ? OR m.num <> ?) AND m.source = 0 AND m.state IN (?, ?, ?) AND (q.kind <> ? OR h.why = ?)`,
		on.ID, on.queue, on.num, int64(Accepted), int64(Delivered), int64(Parked), kindNode, int64(parked))
	if err != nil || len(list) == 0 {
		return err
	}
	for i := range list {
		l := &list[i]
		if !tx.Holds(l.lane) {
			return wantLanes{[]store.Lane{l.lane}}
		}
		var w why
		err := tx.QueryRow(`SELECT why FROM post_held WHERE lane = ? AND queue = ? AND num = ?`, l.lane, l.queue, l.num).Scan(&w)
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if _, err := tx.Exec(`UPDATE post_message SET state = ?, turn = turn + 1, ended = ? WHERE lane = ? AND queue = ? AND num = ?`, int64(Redirected), tx.At(), l.lane, l.queue, l.num); err != nil {
			return err
		}
		if err := event(tx, l, "redirected", "", "by somebody here, in days that a restore from a backup has lost: its recipient is "+on.To.String()); err != nil {
			return err
		}
		if err := p.release(tx, l, w); err != nil {
			return err
		}
	}
	return p.heard(tx, on, n)
}

// passAnew sends a message again, in this life, that we passed on in an earlier one under another number than that by which its recipient
// knows it. Of two restores the first may have made us pass it on anew, and the second given us back the row with the number before: the
// recipient speaks of a number that nothing here has, and knows nothing of ours. Brought once more it is known again by its id, and from
// then on both go by its new number. What this life numbered keeps its place: the recipient has or will have that, whatever it said before.
func (p *Post) passAnew(tx *store.Tx, lane store.Lane, to Destination, id string) error {
	if p.o.Seams.NoPassAnew {
		return nil
	}
	q := p.queueOf(to)
	var was, num int64
	err := tx.QueryRow(`SELECT m.queue, m.num FROM post_message m JOIN post_queue q ON q.lane = 0 AND q.queue = m.queue JOIN post_stream s ON s.lane = m.lane AND s.queue = m.queue
		JOIN post_body b ON b.lane = m.lane AND b.queue = m.queue AND b.num = m.num
		WHERE m.id = ? AND m.source <> 0 AND m.lane = ? AND m.state <> ? AND m.num <= s.done AND q.kind = ? AND q.name = ? AND q.queue <> ? ORDER BY m.at DESC, m.num DESC LIMIT 1`,
		id, lane, int64(Redirected), to.Kind, to.Name, q.id).Scan(&was, &num)
	if err != nil {
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		return err
	}
	if err := p.intern(tx, q); err != nil {
		return err
	}
	next, err := nextNumber(tx, lane, q.id)
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE post_message SET state = ?, heard = 0, delivered = 0, ended = 0, expires = 0 WHERE lane = ? AND queue = ? AND num = ?`, int64(Accepted), lane, was, num); err != nil {
		return err
	}
	for _, table := range []string{"post_message", "post_body", "post_event", "post_attach", "post_answer"} {
		if _, err := tx.Exec(`UPDATE `+table+` SET queue = ?, num = ? WHERE lane = ? AND queue = ? AND num = ?`, q.id, next, lane, was, num); err != nil {
			return err
		}
	}
	if _, err := tx.Exec(`DELETE FROM post_held WHERE lane = ? AND queue = ? AND num = ?`, lane, was, num); err != nil {
		return err
	}
	p.ringAfter(tx, q.work(lane))
	return event(tx, &letter{lane: lane, queue: q.id, num: next}, "sent again", "", "this node was restored from two backups in turn, and the recipient knows the message by another number")
}

// retellAtOnce is how many rows are looked at for one page of what a restored peer is told.
const retellAtOnce = 500

// retell prepares notes about everything that a restored peer had sent here, page by page, as long as it has not too many to hear. It reports
// whether there is more.
func (p *Post) retell(ctx context.Context, peer network.NodeID) (more bool, err error) {
	var inc string
	var at int64
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(`SELECT incarnation, retell FROM post_peer WHERE lane = 0 AND peer = ? AND latest = 1 AND retell > 0`, peer.String()).Scan(&inc, &at)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		return err
	})
	if err != nil || at == 0 {
		return false, err
	}
	return true, p.retellPage(ctx, peer, inc)
}

func (p *Post) retellPage(ctx context.Context, peer network.NodeID, inc string) error {
	sources := map[int64]source{}
	var page []letter
	var last letter
	s := p.peer(peer)
	from := s.retold(inc)
	err := p.db.Read(ctx, func(tx *store.Tx) error {
		page, last = nil, letter{}
		list, err := letters(tx, false, 0, `SELECT `+letterColumns+` FROM post_message m WHERE (m.lane, m.queue, m.num) > (?, ?, ?) ORDER BY m.lane, m.queue, m.num LIMIT ?`,
			from.lane, from.queue, from.num, retellAtOnce)
		if err != nil {
			return err
		}
		for i := range list {
			l := &list[i]
			last = *l
			if l.source == 0 {
				continue
			}
			src, known := sources[l.source]
			if !known {
				if src, err = sourceAt(tx, l.source); err != nil {
					return err
				}
				sources[l.source] = src
			}
			if src.peer == peer {
				page = append(page, *l)
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	err = p.db.Write(ctx, append(lanesOf(page), 0), func(tx *store.Tx) error {
		for i := range page {
			if err := p.retellOne(tx, sources[page[i].source], &page[i]); err != nil {
				return err
			}
		}
		if last.num > 0 {
			return nil
		}
		_, err := tx.Exec(`UPDATE post_peer SET retell = 0 WHERE lane = 0 AND peer = ? AND incarnation = ?`, peer.String(), inc)
		return err
	})
	if err == nil {
		s.retelling(inc, place{last.lane, last.queue, last.num})
	}
	return err
}

func lanesOf(list []letter) []store.Lane {
	lanes := make([]store.Lane, 0, len(list)+1)
	for i := range list {
		lanes = append(lanes, list[i].lane)
	}
	return lanes
}

// retellOne makes the note about one message, as it is now.
func (p *Post) retellOne(tx *store.Tx, src source, l *letter) error {
	var state, turn, base int64
	err := tx.QueryRow(`SELECT state, turn, base FROM post_message WHERE lane = ? AND queue = ? AND num = ?`, l.lane, l.queue, l.num).Scan(&state, &turn, &base)
	if err != nil {
		return err
	}
	if State(state) == Accepted { //nolint:gosec // as it was put
		state = int64(Delivered) // it is on its way from here to another node
	}
	it := item{num: l.number, hops: l.hops, Message: l.Message}
	return putNote(tx, l.lane, src, l.number, l.number, State(state), base+turn, "", putItem(nil, &it)) //nolint:gosec // as it was put
}
