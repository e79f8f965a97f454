package messaging

import (
	"cmp"
	"context"
	"slices"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// line is one line of a ledger: how many messages of a stream are in a state.
type line struct {
	stream
	state State
	count int64
}

// Difference is where the ledgers of two nodes disagree.
type Difference struct {
	Incarnation    string // of the sender's database
	Lane           int64  // of the sender
	State          State
	Sent, Received int64 // messages in that state, as the sender and the recipient have it
}

// Reconciled is how the ledger of what this node sent to a peer compares with the peer's.
type Reconciled struct {
	Peer        network.NodeID
	Sent        int64 // messages that the peer has, as this node has it
	OnTheWay    int64 // that the peer has not acknowledged
	Undelivered int64 // that ended before they were ever sent
	Differences []Difference
}

// Even reports whether the ledgers come to zero.
func (r Reconciled) Even() bool { return len(r.Differences) == 0 }

// Reconcile compares what this node believes it sent to a peer with what the peer says it has, message states included. While messages
// and notes are on their way the two may differ; at rest they must not. Errors: those of the link.
func (p *Post) Reconcile(ctx context.Context, peer network.NodeID) (Reconciled, error) {
	r := Reconciled{Peer: peer}
	text, err := p.ask(ctx, peer, pathLedger, []byte{edition})
	if err != nil {
		return r, err
	}
	theirs, err := decodeLines(text)
	if err != nil {
		return r, err
	}
	var ours []line
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		ours, err = p.sent(tx, peer, &r)
		return err
	})
	if err != nil {
		return r, err
	}
	type key struct {
		stream
		state State
	}
	both := map[key]*Difference{}
	at := func(l line) *Difference {
		k := key{l.stream, l.state}
		if both[k] == nil {
			both[k] = &Difference{Incarnation: l.incarnation, Lane: l.lane, State: l.state}
		}
		return both[k]
	}
	for _, l := range ours {
		at(l).Sent += l.count
	}
	for _, l := range theirs {
		at(l).Received += l.count
	}
	for _, d := range both {
		if d.Sent != d.Received {
			r.Differences = append(r.Differences, *d)
		}
	}
	slices.SortFunc(r.Differences, func(a, b Difference) int {
		return cmp.Or(cmp.Compare(a.Incarnation, b.Incarnation), cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.State, b.State))
	})
	return r, nil
}

// sent is our side: what became of what we sent to a peer, by stream and state; what never reached it is summed up in r.
func (p *Post) sent(tx *store.Tx, peer network.NodeID, r *Reconciled) ([]line, error) {
	rows, err := tx.Query(`SELECT q.incarnation, m.lane, m.state, CASE WHEN m.delivered > 0 AND m.state <> 1 THEN 1 ELSE 0 END, count(*)
		FROM post_queue q JOIN post_message m ON m.queue = q.queue WHERE q.lane = 0 AND q.kind = ? AND q.name = ? GROUP BY 1, 2, 3, 4
		UNION ALL SELECT q.incarnation, d.lane, d.state, 1, d.messages FROM post_queue q JOIN post_pruned d ON d.queue = q.queue WHERE q.lane = 0 AND q.kind = ? AND q.name = ?`,
		kindNode, peer.String(), kindNode, peer.String())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []line
	for rows.Next() {
		var l line
		var state, reached int64
		if err := rows.Scan(&l.incarnation, &l.lane, &state, &reached, &l.count); err != nil {
			return nil, err
		}
		l.state = State(state) //nolint:gosec // as it was put
		switch {
		case reached == 1:
			r.Sent += l.count
			list = append(list, l)
		case l.state.Final() || l.state == Parked:
			r.Undelivered += l.count
		default:
			r.OnTheWay += l.count
		}
	}
	return list, rows.Err()
}

// received is the other side: what came from a peer, by stream and state.
func received(tx *store.Tx, peer network.NodeID) ([]line, error) {
	rows, err := tx.Query(`SELECT o.incarnation, o.peerlane, m.state, count(*) FROM post_source o JOIN post_message m ON m.source = o.source WHERE o.lane = 0 AND o.peer = ? GROUP BY 1, 2, 3
		UNION ALL SELECT o.incarnation, o.peerlane, d.state, d.messages FROM post_source o JOIN post_pruned d ON d.source = o.source WHERE o.lane = 0 AND o.peer = ?`, peer.String(), peer.String())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []line
	for rows.Next() {
		var l line
		var state int64
		if err := rows.Scan(&l.incarnation, &l.lane, &state, &l.count); err != nil {
			return nil, err
		}
		if l.state = State(state); l.state == Accepted { //nolint:gosec // as it was put
			l.state = Delivered // on its way to a further node
		}
		list = append(list, l)
	}
	return list, rows.Err()
}

func (p *Post) serveLedger(ctx context.Context, peer network.Peer, body []byte) ([]byte, error) {
	if len(body) != 1 || body[0] != edition {
		return nil, fault.New(fault.Invalid, "the ledger is asked for in another edition")
	}
	var list []line
	err := p.db.Read(ctx, func(tx *store.Tx) (err error) {
		list, err = received(tx, peer.Node)
		return err
	})
	b := putInt([]byte{edition}, int64(len(list)))
	for _, l := range list {
		b = putInt(putInt(putStream(b, l.stream), int64(l.state)), l.count)
	}
	return b, err
}

func decodeLines(b []byte) ([]line, error) {
	r := reader{b: b}
	r.begin()
	list := make([]line, r.count(mostStreams*int64(states)))
	for i := range list {
		list[i] = line{r.stream(), State(r.small(int64(states) - 1)), r.int()}
	}
	return list, r.end()
}
