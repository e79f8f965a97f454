package messaging

import (
	"context"
	"fmt"
	"slices"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/store"
)

// Ref is where a message is kept on this node. Its text form is for links and forms.
type Ref struct {
	Lane       store.Lane
	Queue, Num int64
}

// String is lane, queue and number.
func (r Ref) String() string { return fmt.Sprintf("%d-%x-%d", r.Lane, r.Queue, r.Num) }

// ParseRef reads what Ref.String made. Errors: fault.Invalid.
func ParseRef(s string) (Ref, error) {
	var r Ref
	if n, err := fmt.Sscanf(s, "%d-%x-%d", &r.Lane, &r.Queue, &r.Num); err != nil || n != 3 || r.String() != s {
		return Ref{}, fault.New(fault.Invalid, "That is not the place of a message.")
	}
	return r, nil
}

// Item is a message as this node knows it, without its body.
type Item struct {
	Message
	Ref       Ref
	To        Destination // where it went or goes from here; Message.To is the recipient
	Peer      network.NodeID
	State     State
	Size      int64
	Delivered time.Time // zero while it has not been
	Ended     time.Time // zero while it has not
	Tried     bool      // it may have reached the next node although that has not said so
	Held      *Held     // nil when it is in its course
}

// Held is why a message is out of its queue's course, and who looks after it.
type Held struct {
	Parked bool   // until a person decides; otherwise it goes on by itself
	Why    string // "retrying", "behind", "fetching", "parked" or "telling"
	Tries  int
	Due    time.Time // of the next try; zero for none
	Since  time.Time
	Owner  string
	Reason string
	Behind int // how many of its conversation wait behind it; only from At, Held and Parked
}

// Step is one line of a message's timeline.
type Step struct {
	At     time.Time
	What   string
	Actor  string // the user who did it; empty for the post itself
	Reason string
}

const itemColumns = letterColumns + `, m.delivered, m.ended, q.kind, q.name, coalesce(h.why, 0), coalesce(h.tries, 0), coalesce(h.due, 0), coalesce(h.since, 0), coalesce(h.owner, ''), coalesce(h.reason, ''),
	coalesce((SELECT peer FROM post_source o WHERE o.lane = 0 AND o.source = m.source), ''), coalesce((SELECT tried FROM post_stream s WHERE s.lane = m.lane AND s.queue = m.queue), 0)`

const itemJoins = ` JOIN post_queue q ON q.lane = 0 AND q.queue = m.queue
	LEFT JOIN post_held h ON h.lane = m.lane AND h.queue = m.queue AND h.num = m.num `

func items(tx *store.Tx, where string, args ...any) ([]Item, error) {
	return scanItems(tx, `SELECT `+itemColumns+` FROM post_message m`+itemJoins+where, args...)
}

func scanItems(tx *store.Tx, query string, args ...any) ([]Item, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Item
	for rows.Next() {
		var l letter
		var it Item
		var delivered, ended, w, due, since, tried int64
		var h Held
		var peer string
		dest, done := l.fields()
		dest = append(dest, &delivered, &ended, &it.To.Kind, &it.To.Name, &w, &h.Tries, &due, &since, &h.Owner, &h.Reason, &peer, &tried)
		if err := rows.Scan(dest...); err != nil {
			return nil, err
		}
		if err := done(); err != nil {
			return nil, err
		}
		it.Message, it.Ref, it.State, it.Size = l.Message, Ref{l.lane, l.queue, l.num}, l.state, l.size
		it.Delivered, it.Ended = fromMicros(delivered), fromMicros(ended)
		it.Tried = it.To.Kind == kindNode && l.num <= tried
		if peer != "" {
			if it.Peer, err = network.ParseNodeID(peer); err != nil {
				return nil, err
			}
		}
		if w != 0 {
			h.Why, h.Parked, h.Due, h.Since = why(w).String(), why(w) == parked, fromMicros(due), fromMicros(since) //nolint:gosec // as it was put
			it.Held = &h
		}
		list = append(list, it)
	}
	return list, rows.Err()
}

// String is the reason's name.
func (w why) String() string {
	names := []string{"", "retrying", "behind", "fetching", "parked", "telling"}
	if int(w) >= len(names) {
		return ""
	}
	return names[w]
}

// ByID finds a message by its id, as this node knows it: more than one where it was redirected, or sent from here to here by way of another node. The latest of its legs comes first:
// the one to which it came by most nodes and, of those within a node, after most of its changes.
func (p *Post) ByID(ctx context.Context, id string) (list []Item, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		list, err = items(tx, `WHERE m.id = ? ORDER BY m.hops DESC, m.base DESC, m.num DESC LIMIT 20`, id)
		return err
	})
	return list, err
}

// UnderWay reports whether a message that was sent from here has yet to be dealt with: it waits, is on its way, or is parked, here or elsewhere. Of one that this node does not know nothing is under way.
func (p *Post) UnderWay(tx *store.Tx, id string) (bool, error) {
	if id == "" {
		return false, nil
	}
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM post_message WHERE id = ? AND state IN (?, ?, ?)`, id, int64(Accepted), int64(Delivered), int64(Parked)).Scan(&n)
	return n > 0, err
}

// Stopped reports whether what somebody sent here in a conversation waits for a person: a message is parked, and those after it wait behind it.
func (p *Post) Stopped(tx *store.Tx, from ident.ODSCode, conversation string) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM post_held WHERE lane = ? AND sender = ? AND conversation = ? AND why = ?`, int64(p.LaneOf(from, conversation)), from.String(), conversation, int64(parked)).Scan(&n)
	return n > 0, err
}

// At is the message at a place. Errors: fault.NotFound.
func (p *Post) At(ctx context.Context, ref Ref) (it Item, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		list, err := items(tx, `WHERE m.lane = ? AND m.queue = ? AND m.num = ?`, ref.Lane, ref.Queue, ref.Num)
		if err == nil && len(list) == 0 {
			err = fault.New(fault.NotFound, "There is no such message on this node.")
		}
		if err != nil {
			return err
		}
		it = list[0]
		return countBehind(tx, &it)
	})
	return it, err
}

// Body is what a message holds, while this node keeps it. Errors: fault.Gone when it does not any more.
func (p *Post) Body(ctx context.Context, ref Ref) (body []byte, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(`SELECT body FROM post_body WHERE lane = ? AND queue = ? AND num = ?`, ref.Lane, ref.Queue, ref.Num).Scan(&body)
		if fault.Is(err, fault.NotFound) {
			return fault.New(fault.Gone, "What the message held is not kept here any more.")
		}
		return err
	})
	return body, err
}

// Timeline is all that is known here of what happened to a message, in order: who, when, why.
func (p *Post) Timeline(ctx context.Context, ref Ref) ([]Step, error) {
	it, err := p.At(ctx, ref)
	if err != nil {
		return nil, err
	}
	steps := []Step{{At: it.At, What: Accepted.String()}}
	if !it.Delivered.IsZero() {
		steps = append(steps, Step{At: it.Delivered, What: Delivered.String()})
	}
	known := false
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT at, what, actor, reason FROM post_event WHERE lane = ? AND queue = ? AND num = ? ORDER BY at, step`, ref.Lane, ref.Queue, ref.Num)
		if err != nil {
			return err
		}
		for rows.Next() {
			var s Step
			if err := rows.Scan(&s.At, &s.What, &s.Actor, &s.Reason); err != nil {
				return err
			}
			known = known || s.What == it.State.String() && it.State.Final()
			steps = append(steps, s)
		}
		return rows.Err()
	})
	if it.State.Final() && !known {
		steps = append(steps, Step{At: it.Ended, What: it.State.String()})
	}
	slices.SortStableFunc(steps, func(a, b Step) int { return a.At.Compare(b.At) })
	return steps, err
}

// Backlog is what waits in a queue.
type Backlog struct {
	To        Destination
	Waiting   int64 // not yet acknowledged by the node, or not yet handled
	Held      int64 // out of the queue's course, parked ones included
	Parked    int64
	Oldest    time.Time // when the oldest of those waiting or held was sent; zero when there is none
	UnderWay  time.Time // the same without those that are parked
	Failed    string    // why the destination is not reached, if it is not
	Since     time.Time // since when
	NextTry   time.Time
	RoundTrip time.Duration // of the last exchange with a node
}

// Backlogs says what waits where, by destination: without looking at the messages that wait, but for the oldest.
func (p *Post) Backlogs(ctx context.Context) (list []Backlog, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT q.kind, q.name, sum(s.next - 1 - s.done),
			coalesce(min((SELECT m.at FROM post_message m WHERE m.lane = s.lane AND m.queue = s.queue AND m.num > s.done ORDER BY m.num LIMIT 1)), 0),
			coalesce(sum((SELECT count(*) FROM post_held h WHERE h.lane = s.lane AND h.queue = s.queue)), 0),
			coalesce(sum((SELECT count(*) FROM post_held h WHERE h.lane = s.lane AND h.queue = s.queue AND h.why = ?)), 0),
			coalesce(min((SELECT min(h.since) FROM post_held h WHERE h.lane = s.lane AND h.queue = s.queue)), 0),
			coalesce(min((SELECT min(h.since) FROM post_held h WHERE h.lane = s.lane AND h.queue = s.queue AND h.why <> ?)), 0)
			FROM post_queue q JOIN post_stream s ON s.queue = q.queue WHERE q.lane = 0 AND q.kind <> ? GROUP BY q.kind, q.name ORDER BY q.kind, q.name`, int64(parked), int64(parked), kindNowhere)
		if err != nil {
			return err
		}
		defer rows.Close()
		list = nil
		for rows.Next() {
			var b Backlog
			var waits, held, moving int64
			if err := rows.Scan(&b.To.Kind, &b.To.Name, &b.Waiting, &waits, &b.Held, &b.Parked, &held, &moving); err != nil {
				return err
			}
			b.Oldest, b.UnderWay = earlier(waits, held), earlier(waits, moving)
			list = append(list, b)
		}
		return rows.Err()
	})
	for i := range list {
		p.reach(&list[i])
	}
	return list, err
}

// earlier is the earlier of two times in microseconds, of which 0 is none.
func earlier(a, b int64) time.Time {
	if a == 0 || b > 0 && b < a {
		a = b
	}
	return fromMicros(a)
}

// reach adds what this process remembers of a node.
func (p *Post) reach(b *Backlog) {
	if b.To.Kind != kindNode {
		return
	}
	peer, err := network.ParseNodeID(b.To.Name)
	if err != nil {
		return
	}
	s := p.peer(peer)
	s.mu.Lock()
	defer s.mu.Unlock()
	b.Failed, b.RoundTrip = s.failed, s.round
	if s.failed != "" {
		b.Since, b.NextTry = s.since, s.due
	}
}

// Waiting is what waits for a node.
type Waiting struct {
	Messages, Bytes int64     // of the bytes about how many, judged by the oldest
	Oldest          time.Time // when the oldest was sent; zero when none waits
}

// Waiting says what a node has not acknowledged, without looking at more than the oldest of it.
func (p *Post) Waiting(ctx context.Context, peer network.NodeID) (w Waiting, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		w = Waiting{}
		pending, err := streamsTo(tx, peer, true)
		if err != nil {
			return err
		}
		seen, bytes := int64(0), int64(0)
		for i, o := range pending {
			w.Messages += o.next - 1 - o.done
			if i >= 64 {
				continue // enough to judge by
			}
			var n, sum, at int64
			if err := tx.QueryRow(`SELECT count(*), coalesce(sum(size), 0), coalesce(min(at), 0) FROM (SELECT size, at FROM post_message WHERE lane = ? AND queue = ? AND num > ? ORDER BY num LIMIT 100) AS first`,
				o.lane, o.queue, o.done).Scan(&n, &sum, &at); err != nil {
				return err
			}
			seen, bytes = seen+n, bytes+sum
			if t := fromMicros(at); n > 0 && (w.Oldest.IsZero() || t.Before(w.Oldest)) {
				w.Oldest = t
			}
		}
		if seen > 0 {
			w.Bytes = w.Messages * bytes / seen
		}
		return nil
	})
	return w, err
}
