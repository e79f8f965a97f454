package messaging

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// peerState is what the post remembers about a peer between turns; all of it can be forgotten.
type peerState struct {
	turn sync.Mutex // held by the one turn under way

	mu     sync.Mutex
	inc    string // the peer's life, once greeted in this process
	tries  int    // failures since the last success
	due    time.Time
	failed string // the last failure, as it may be shown
	since  time.Time
	round  time.Duration // of the last exchange
	told   retelling
	asked  challenge
	swept  map[place]int64 // how far each stream was looked through for messages whose time is up
}

// challenge is the word that a life of the peer's was asked to say, which we had not met; and which life was the latest then.
type challenge struct{ life, word, latest string }

// retelling is how far a restored peer has been told what it lost.
type retelling struct {
	inc  string
	upto place
}

// place is where a message is kept.
type place struct {
	lane       store.Lane
	queue, num int64
}

func (s *peerState) retold(inc string) place {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.told.inc != inc {
		s.told = retelling{inc: inc}
	}
	return s.told.upto
}

func (s *peerState) retelling(inc string, upto place) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.told = retelling{inc, upto}
}

func (p *Post) peer(id network.NodeID) *peerState {
	p.mu.Lock()
	defer p.mu.Unlock()
	s := p.peers[id]
	if s == nil {
		s = &peerState{}
		p.peers[id] = s
	}
	return s
}

// The paths at which a peer is served, below its own origin.
const (
	pathGreet    = "/messages/greet"
	pathExchange = "/messages/exchange"
	pathFiles    = "/messages/files/"
	pathLedger   = "/messages/ledger"
)

// ask sends a request to a peer and reads a whole, bounded answer. A refusal of the peer's is a fault of the kind that its status says.
func (p *Post) ask(ctx context.Context, peer network.NodeID, path string, body []byte) ([]byte, error) {
	if p.o.Carrier == nil {
		return nil, fault.New(fault.Unavailable, "this node has no links to others")
	}
	ctx, cancel := context.WithTimeout(ctx, askWithin)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, http.MethodPost, path, bytes.NewReader(body))
	if err != nil {
		return nil, err
	}
	r.Header.Set("Content-Type", "application/octet-stream")
	answer, err := p.o.Carrier.Do(ctx, peer, r)
	if err != nil {
		return nil, err
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(io.LimitReader(answer.Body, mostWire+1))
	switch {
	case err != nil:
		return nil, fault.Wrap(err, fault.Unavailable, "the answer of the node %s broke off", peer)
	case answer.StatusCode != http.StatusOK:
		return nil, fault.New(kindOfStatus(answer.StatusCode), "the node %s answers %d", peer, answer.StatusCode)
	case len(text) > mostWire:
		return nil, fault.New(fault.Unavailable, "the answer of the node %s is too long", peer)
	}
	return text, nil
}

// askWithin is how long one request to a peer may take.
const askWithin = time.Minute

func kindOfStatus(status int) fault.Kind {
	for _, k := range []fault.Kind{fault.Conflict, fault.Gone, fault.Forbidden, fault.NotFound, fault.Invalid} {
		if k.HTTPStatus() == status {
			return k
		}
	}
	return fault.Unavailable
}

// outgoing is one of our streams to a peer.
type outgoing struct {
	lane              store.Lane
	queue             int64
	life              int64
	incarnation       string
	next, done, tried int64
}

// streamsTo are our streams to a peer, in the order of our lives and lanes; pending ones only, or all.
func streamsTo(tx *store.Tx, peer network.NodeID, pending bool) ([]outgoing, error) {
	query := `SELECT s.lane, s.queue, q.life, q.incarnation, s.next, s.done, s.tried FROM post_queue q JOIN post_stream s ON s.queue = q.queue
		WHERE q.lane = 0 AND q.kind = ? AND q.name = ?`
	if pending {
		query += ` AND s.next > s.done + 1`
	}
	rows, err := tx.Query(query+` ORDER BY q.life, s.lane`, kindNode, peer.String())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []outgoing
	for rows.Next() {
		var o outgoing
		if err := rows.Scan(&o.lane, &o.queue, &o.life, &o.incarnation, &o.next, &o.done, &o.tried); err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, rows.Err()
}

// greet makes the acquaintance of a peer's present life: what it lost is to be sent again, what it has need not be.
func (p *Post) greet(ctx context.Context, peer network.NodeID, s *peerState) error {
	var ours []outgoing
	err := p.db.Read(ctx, func(tx *store.Tx) (err error) {
		ours, err = streamsTo(tx, peer, false)
		return err
	})
	if err != nil {
		return err
	}
	g := greeting{mine: p.db.Incarnation()}
	lanes := []store.Lane{0}
	for _, o := range ours {
		g.streams = append(g.streams, mark{stream: stream{o.incarnation, int64(o.lane)}, high: o.done})
		lanes = append(lanes, o.lane)
	}
	text, err := p.ask(ctx, peer, pathGreet, g.encode())
	if err != nil {
		return err
	}
	answer, err := decodeGreeted(text)
	if err == nil && answer.again != "" {
		g.word = answer.again
		if text, err = p.ask(ctx, peer, pathGreet, g.encode()); err != nil {
			return err
		}
		answer, err = decodeGreeted(text)
	}
	switch {
	case err != nil:
		return fault.Wrap(err, fault.Unavailable, "the node %s greets in words that are not understood", peer)
	case answer.again != "":
		return fault.New(fault.Unavailable, "the node %s does not believe that this node is there", peer)
	}
	marks := map[stream]mark{}
	for _, m := range answer.marks {
		marks[m.stream] = m
	}
	err = p.db.Write(ctx, lanes, func(tx *store.Tx) error {
		if err := meet(tx, peer, answer.mine); err != nil {
			return err
		}
		for _, o := range ours {
			if err := p.agree(tx, o, marks[stream{o.incarnation, int64(o.lane)}]); err != nil {
				return err
			}
		}
		return nil
	})
	if err == nil {
		s.mu.Lock()
		s.inc = answer.mine
		s.mu.Unlock()
	}
	return err
}

// believed reports whether a life that greets is there now: it is the one that we know, or the first of all, or it has said the word that it was asked for. A greeting that
// was held up on its way while its node was restored has nobody to say it; without this it would take the place of the life that came after it, which we should then refuse for good.
func (p *Post) believed(tx *store.Tx, peer network.NodeID, g greeting) (bool, error) {
	var known, others int64
	err := tx.QueryRow(`SELECT coalesce(sum(CASE WHEN incarnation = ? THEN 1 ELSE 0 END), 0), count(*) FROM post_peer WHERE lane = 0 AND peer = ?`, g.mine, peer.String()).Scan(&known, &others)
	if err != nil || known > 0 || others == 0 {
		return true, err
	}
	latest, err := latestOf(tx, peer)
	if err != nil {
		return false, err
	}
	s := p.peer(peer)
	s.mu.Lock()
	defer s.mu.Unlock()
	return g.word != "" && s.asked == challenge{g.mine, g.word, latest}, nil // a later life, which we greeted ourselves meanwhile, has taken the place of the one that was asked
}

// latestOf is the life of a peer that is believed to be there now; empty for none.
func latestOf(tx *store.Tx, peer network.NodeID) (life string, err error) {
	err = tx.QueryRow(`SELECT incarnation FROM post_peer WHERE lane = 0 AND peer = ? AND latest = 1`, peer.String()).Scan(&life)
	if fault.Is(err, fault.NotFound) {
		return "", nil
	}
	return life, err
}

// challenges asks a life of a peer's for a word.
func (p *Post) challenges(tx *store.Tx, peer network.NodeID, life string) (string, error) {
	latest, err := latestOf(tx, peer)
	if err != nil {
		return "", err
	}
	word, err := p.newID(tx.At())
	s := p.peer(peer)
	s.mu.Lock()
	s.asked = challenge{life, word, latest}
	s.mu.Unlock()
	return word, err
}

// meet notes a peer's life as its latest. One that a later has replaced is refused: two copies of one database are not both to be believed.
func meet(tx *store.Tx, peer network.NodeID, incarnation string) error {
	var latest bool
	err := tx.QueryRow(`SELECT latest FROM post_peer WHERE lane = 0 AND peer = ? AND incarnation = ?`, peer.String(), incarnation).Scan(&latest)
	switch {
	case err == nil && latest:
		return nil
	case err == nil:
		return fault.New(fault.Gone, "the node %s calls from a copy of its database that a later one has replaced", peer)
	case !fault.Is(err, fault.NotFound):
		return err
	}
	before, err := tx.Exec(`UPDATE post_peer SET latest = 0 WHERE lane = 0 AND peer = ? AND latest = 1`, peer.String())
	if err != nil {
		return err
	}
	_, err = tx.Exec(`INSERT INTO post_peer (lane, peer, incarnation, latest, ordinal, retell, at) SELECT 0, CAST(? AS TEXT), CAST(? AS TEXT), 1, count(*) + 1, CAST(? AS INTEGER), CAST(? AS INTEGER) FROM post_peer WHERE lane = 0 AND peer = ?`,
		peer.String(), incarnation, before > 0, tx.At(), peer.String())
	return err
}

// agree brings one of our streams to where the peer has it.
func (p *Post) agree(tx *store.Tx, o outgoing, m mark) error {
	high := m.high
	// It may have gone on since the greeting was made.
	if err := tx.QueryRow(`SELECT next, done, tried FROM post_stream WHERE lane = ? AND queue = ?`, o.lane, o.queue).Scan(&o.next, &o.done, &o.tried); err != nil {
		return err
	}
	if !p.o.Seams.NoRewind {
		if err := p.rewind(tx, o, high); err != nil {
			return err
		}
	}
	if high > o.done {
		if err := p.leftOut(tx, o, m.gaps); err != nil {
			return err
		}
		return p.acknowledged(tx, o, high, nil)
	}
	return nil
}

// leftOut deals with messages that we were not to send, as we knew in days that a restore has lost: those whose time is up have expired; about the
// others a person had decided, and must again.
func (p *Post) leftOut(tx *store.Tx, o outgoing, gaps []gap) error {
	t := turn{p: p, ctx: tx.Context(), tx: tx, lane: o.lane, at: tx.At()}
	for _, g := range gaps {
		list, err := letters(tx, false, 0, `SELECT `+letterColumns+` FROM post_message m WHERE m.lane = ? AND m.queue = ? AND m.num >= ? AND m.num <= ? AND m.num > ? AND m.state = ?`,
			o.lane, o.queue, g.low, g.high, o.done, int64(Accepted))
		if err != nil {
			return err
		}
		for i := range list {
			l := &list[i]
			if !l.Expires.IsZero() && !l.Expires.After(t.at) {
				t.end(l, Expired, "its time was up before it could be sent", "")
				continue
			}
			if h := p.handlers[l.Workflow]; h != nil && h.Compares {
				t.end(l, Abandoned, "it was not to be sent, as was known in days that a restore of this node has lost; both ends compare what they know", "")
				continue
			}
			if err := p.parkHere(tx, l, "parked", "it was decided not to send this message, in days that a restore of this node has lost: decide again"); err != nil {
				return err
			}
		}
	}
	return t.close()
}

// rewind goes back to what a peer has that was restored from a backup. What came to it before, and is lost there, is sent again; of what we do not hold
// ourselves any more, a person must know. What became of a message may be known before the peer's mark is: so all that was tried is looked at.
func (p *Post) rewind(tx *store.Tx, o outgoing, high int64) error {
	to := max(o.done, o.tried)
	if high >= to {
		return nil
	}
	if high < o.done {
		p.log.Warn("messaging: a peer has lost messages, which are sent again", "after", high, "to", o.done)
	}
	lost, err := letters(tx, false, 0, `SELECT `+letterColumns+` FROM post_message m WHERE m.lane = ? AND m.queue = ? AND m.num > ? AND m.num <= ? AND m.delivered > 0 AND m.state <> ?
		AND NOT EXISTS (SELECT 1 FROM post_body b WHERE b.lane = m.lane AND b.queue = m.queue AND b.num = m.num) ORDER BY m.num`, o.lane, o.queue, high, to, int64(Redirected))
	if err != nil {
		return err
	}
	const again = `lane = ? AND queue = ? AND num > ? AND num <= ? AND delivered > 0 AND state <> ?`
	if _, err := tx.Exec(`INSERT INTO post_event (lane, queue, num, at, step, what, actor, reason) SELECT lane, queue, num, CAST(? AS INTEGER), CAST(? AS INTEGER), 'sent again', '', 'the recipient''s node was restored from a backup'
		FROM post_message WHERE `+again+` ON CONFLICT (lane, queue, num, at, step) DO NOTHING`, tx.At(), steps("sent again"), o.lane, o.queue, high, to, int64(Redirected)); err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE post_message SET state = ?, turn = turn + 1, heard = 0, delivered = 0, ended = 0 WHERE `+again, int64(Accepted), o.lane, o.queue, high, to, int64(Redirected)); err != nil {
		return err
	}
	needed := int64(fetching) // files that are fetched to be passed on still are
	if p.o.Seams.NoRefetch {
		needed = 0
	}
	if _, err := tx.Exec(`DELETE FROM post_held WHERE lane = ? AND queue = ? AND num > ? AND num <= ? AND why <> ?`, o.lane, o.queue, high, to, needed); err != nil {
		return err
	}
	t := turn{p: p, ctx: tx.Context(), tx: tx, lane: o.lane, at: tx.At()}
	for i := range lost {
		if h := p.handlers[lost[i].Workflow]; h != nil && h.Compares {
			t.end(&lost[i], Abandoned, "neither this node nor the recipient's holds it any more after their restores; they compare what they know", "")
			continue
		}
		if err := p.lost(tx, &lost[i]); err != nil {
			return err
		}
	}
	if err := t.close(); err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE post_stream SET done = ? WHERE lane = ? AND queue = ? AND done > ?`, high, o.lane, o.queue, high)
	return err
}

// lost parks a message that neither side holds any more.
func (p *Post) lost(tx *store.Tx, l *letter) error {
	return p.parkHere(tx, l, "lost", "both this node and the recipient's were restored from backups, and neither holds the message any more: ask the sender to send it again")
}

// parkHere parks a message in the node that sends it.
func (p *Post) parkHere(tx *store.Tx, l *letter, what, reason string) error {
	if _, err := tx.Exec(`UPDATE post_message SET state = ?, turn = turn + 1, heard = 0 WHERE lane = ? AND queue = ? AND num = ?`, int64(Parked), l.lane, l.queue, l.num); err != nil {
		return err
	}
	if err := event(tx, l, what, "", reason); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO post_held (lane, queue, num, sender, conversation, why, tries, due, since, owner, reason) VALUES (?, ?, ?, ?, ?, ?, 0, 0, ?, ?, ?)
		ON CONFLICT (lane, queue, num) DO UPDATE SET why = excluded.why, due = 0, reason = excluded.reason`,
		l.lane, l.queue, l.num, l.From.String(), l.Conversation, int64(parked), tx.At(), l.From.String(), reason)
	if err != nil {
		return err
	}
	if l.source != 0 {
		return p.note(tx, l.lane, l.source, l.number, l.number, Parked, l.base+l.turn+1, reason)
	}
	return p.tell(tx, l, Parked, tx.At(), reason)
}

// acknowledged notes that a peer has a stream as far as high. sent are the messages, if they are known, whose senders are told.
func (p *Post) acknowledged(tx *store.Tx, o outgoing, high int64, sent []item) error {
	learns := func(it *item) bool {
		h := p.handlers[it.Workflow]
		return h != nil && h.Learn != nil && it.num > o.done && it.num <= high && it.hops == 0
	}
	waiting, err := p.waitingOf(tx, o, high, slices.ContainsFunc(sent, func(it item) bool { return learns(&it) }))
	if err != nil {
		return err
	}
	if _, err := tx.Exec(`UPDATE post_message SET state = ?, delivered = ? WHERE lane = ? AND queue = ? AND num > ? AND num <= ? AND state = ?`,
		int64(Delivered), tx.At(), o.lane, o.queue, o.done, high, int64(Accepted)); err != nil {
		return err
	}
	for i := range sent {
		it := &sent[i]
		if !learns(it) || !waiting[it.num] {
			continue // a later state may have overtaken the acknowledgement, and was told
		}
		l := letter{Message: it.Message, lane: o.lane, queue: o.queue, num: it.num, state: Delivered}
		if err := p.tell(tx, &l, Delivered, tx.At(), ""); err != nil {
			return err
		}
	}
	_, err = tx.Exec(`UPDATE post_stream SET done = ?, tried = CASE WHEN tried < ? THEN ? ELSE tried END, next = CASE WHEN next <= ? THEN ? + 1 ELSE next END WHERE lane = ? AND queue = ?`,
		high, high, high, high, high, o.lane, o.queue)
	return err
}

// waitingOf are the messages of a stream, as far as they are acknowledged now, of which nothing was known until now; nil where nobody asks.
func (p *Post) waitingOf(tx *store.Tx, o outgoing, high int64, asked bool) (map[int64]bool, error) {
	if !asked {
		return nil, nil
	}
	rows, err := tx.Query(`SELECT num FROM post_message WHERE lane = ? AND queue = ? AND num > ? AND num <= ? AND state = ?`, o.lane, o.queue, o.done, high, int64(Accepted))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	list := map[int64]bool{}
	for rows.Next() {
		var num int64
		if err := rows.Scan(&num); err != nil {
			return nil, err
		}
		list[num] = true
	}
	return list, rows.Err()
}

// describe says what a peer's state is, for the log and pages.
func describe(err error) string {
	if fault.KindOf(err) == fault.Internal {
		return fmt.Sprintf("failed here: %v", err)
	}
	return fault.MessageOf(err)
}
