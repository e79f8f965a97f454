package messaging

import (
	"context"
	"errors"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// why a message is held.
type why uint8

const (
	retrying why = iota + 1 // it failed, and is due again
	behind                  // it waits for an earlier one of its conversation
	fetching                // it waits for its files
	parked                  // it waits for a person
	telling                 // it is over, but the sender's service could not be told yet
)

// retriesAtOnce is how many held conversations one turn tries.
const retriesAtOnce = 32

// blocked reports whether an earlier message of l's conversation is held.
func (t *turn) blocked(l *letter) (bool, error) {
	if l.Conversation == "" || !t.held || t.p.o.Seams.NoOrder {
		return false, nil
	}
	var n int64
	err := t.tx.QueryRow(`SELECT num FROM post_held WHERE lane = ? AND queue = ? AND sender = ? AND conversation = ? AND num < ? AND why <> ? LIMIT 1`,
		t.lane, t.q.id, l.From.String(), l.Conversation, l.num, int64(telling)).Scan(&n)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// hold takes a message out of the queue's course.
func (t *turn) hold(l *letter, w why, tries int, due time.Time, reason string) error {
	t.held = true
	_, err := t.tx.Exec(`INSERT INTO post_held (lane, queue, num, sender, conversation, why, tries, due, since, owner, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, queue, num) DO UPDATE SET why = excluded.why, tries = excluded.tries, due = excluded.due, owner = excluded.owner, reason = excluded.reason`,
		t.lane, l.queue, l.num, l.From.String(), l.Conversation, int64(w), tries, micros(due), t.at, t.p.owner(t.q, l), clip(reason))
	return err
}

// failed decides what becomes of a message that could not be handled: it is tried again later, or parked.
func (t *turn) failed(l *letter, tries int, cause error) error {
	most := 8
	if h := t.p.handlers[l.Workflow]; h != nil {
		most = h.Tries
	}
	if c := t.p.couriers[t.q.to.Kind]; c != nil {
		most = c.Tries
	}
	reason := fault.MessageOf(cause)
	if fault.KindOf(cause) == fault.Internal {
		reason = "the handler failed; the node's log says how, by the number of this message"
	}
	t.p.log.Warn("messaging: a message could not be handled", "workflow", l.Workflow, "message", l.ID, "tries", tries, "error", cause)
	var passes waits
	if tries < most || errors.As(cause, &passes) {
		if tries < most {
			if err := event(t.tx, l, "failed", "", reason); err != nil {
				return err
			}
		}
		return t.hold(l, retrying, tries, t.now.Add(t.p.backoff(tries)), reason)
	}
	if err := t.hold(l, parked, tries, time.Time{}, reason); err != nil {
		return err
	}
	return t.park(l, reason)
}

// park makes a held message a parked one, and lets the sender know.
func (t *turn) park(l *letter, reason string) error {
	if err := t.tx.Queue(`UPDATE post_message SET state = ?, turn = turn + 1 WHERE lane = ? AND queue = ? AND num = ?`, int64(Parked), l.lane, l.queue, l.num); err != nil {
		return err
	}
	if err := event(t.tx, l, "parked", "", reason); err != nil {
		return err
	}
	if l.source != 0 {
		return t.p.note(t.tx, l.lane, l.source, l.number, l.number, Parked, l.base+l.turn+1, reason)
	}
	return t.p.tell(t.tx, l, Parked, t.at, reason)
}

// heldRow is a held message that is due.
type heldRow struct {
	num   int64
	tries int
	why   why
}

// retry tries held messages that are due, each with what waits behind it.
func (t *turn) retry() error {
	rows, err := t.tx.Query(`SELECT num, tries, why FROM post_held WHERE due > 0 AND (due <= ? OR due > ?) AND lane = ? AND queue = ? AND why <> ? ORDER BY due LIMIT ?`,
		t.now, t.p.beyond(t.now), t.lane, t.q.id, int64(fetching), retriesAtOnce+1)
	if err != nil {
		return err
	}
	var due []heldRow
	for rows.Next() {
		var h heldRow
		if err := rows.Scan(&h.num, &h.tries, &h.why); err != nil {
			return err
		}
		due = append(due, h)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	if len(due) > 0 {
		t.careful = true
	}
	if len(due) > retriesAtOnce {
		due, t.more = due[:retriesAtOnce], true
	}
	for _, h := range due {
		l, err := t.letter(h.num)
		if err != nil {
			return err
		}
		if h.why == telling {
			err = t.tellAgain(l, h)
		} else {
			err = t.unhold(l, h)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// letter reads one message of the queue with its body.
func (t *turn) letter(num int64) (*letter, error) {
	return letterAt(t.tx, t.lane, t.q.id, num)
}

func letterAt(tx *store.Tx, lane store.Lane, queue, num int64) (*letter, error) {
	list, err := letters(tx, true, 0, `SELECT `+letterColumns+bodyColumn+`FROM post_message m
		WHERE m.lane = ? AND m.queue = ? AND m.num = ?`, lane, queue, num)
	if err == nil && len(list) == 0 {
		err = fault.New(fault.NotFound, "There is no such message.")
	}
	if err != nil {
		return nil, err
	}
	return &list[0], nil
}

// unhold tries a held message and, as long as that goes well, those behind it.
func (t *turn) unhold(l *letter, h heldRow) error {
	for n := 1; ; n++ {
		gone, err := t.again(l, h)
		if err != nil || !gone {
			return err
		}
		next, err := t.behind(l)
		if err != nil || next == 0 {
			return err
		}
		if n == t.p.o.Batch { // enough for one turn
			t.more = true
			_, err := t.tx.Exec(`UPDATE post_held SET why = ?, tries = 0, due = ? WHERE lane = ? AND queue = ? AND num = ?`, int64(retrying), t.now, t.lane, t.q.id, next)
			return err
		}
		if l, err = t.letter(next); err != nil {
			return err
		}
		h = heldRow{num: next, why: behind}
	}
}

// again tries one held message; gone means that it is held no more.
func (t *turn) again(l *letter, h heldRow) (gone bool, err error) {
	switch {
	case l.state.Final():
	case !l.Expires.IsZero() && !l.Expires.After(t.at):
		t.end(l, Expired, "its time was up before it could be handled", "")
	default:
		missing, err := t.lacksFiles(l)
		if err != nil {
			return false, err
		}
		if missing {
			return false, t.hold(l, fetching, 0, t.now, "waits for its files")
		}
		err = t.try(l)
		if isControl(err) {
			if t.resting(err) {
				return false, t.soon(h)
			}
			return false, err
		}
		if err != nil {
			return false, t.failed(l, h.tries+1, err)
		}
	}
	_, err = t.tx.Exec(`DELETE FROM post_held WHERE lane = ? AND queue = ? AND num = ?`, t.lane, t.q.id, l.num)
	return true, err
}

// soon makes a held message due at once, in a further turn.
func (t *turn) soon(h heldRow) error {
	if h.why != behind {
		return nil
	}
	t.more = true
	_, err := t.tx.Exec(`UPDATE post_held SET why = ?, due = ? WHERE lane = ? AND queue = ? AND num = ?`, int64(retrying), t.now, t.lane, t.q.id, h.num)
	return err
}

// resting reports that a held message keeps its place for a later turn.
func (t *turn) resting(err error) bool { return err == errNotYet } //nolint:errorlint // it is never wrapped

// behind is the next held message of a conversation; 0 for none.
func (t *turn) behind(l *letter) (next int64, err error) {
	if l.Conversation == "" {
		return 0, nil
	}
	err = t.tx.QueryRow(`SELECT num FROM post_held WHERE lane = ? AND queue = ? AND sender = ? AND conversation = ? AND num > ? AND why <> ? ORDER BY num LIMIT 1`,
		t.lane, t.q.id, l.From.String(), l.Conversation, l.num, int64(telling)).Scan(&next)
	if fault.Is(err, fault.NotFound) {
		return 0, nil
	}
	return next, err
}

// tellAgain tells the sender's service what became of a message, once more.
func (t *turn) tellAgain(l *letter, h heldRow) error {
	ended := t.at
	var reason string
	err := t.tx.QueryRow(`SELECT reason FROM post_event WHERE lane = ? AND queue = ? AND num = ? ORDER BY at DESC, step DESC LIMIT 1`, l.lane, l.queue, l.num).Scan(&reason)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	hd := t.p.handlers[l.Workflow]
	if hd != nil && hd.Learn != nil {
		if hd.LearnLanes != nil {
			if err := needs(t.tx, hd.LearnLanes(l.Message)); err != nil {
				return err
			}
		}
		r := Receipt{Message: l.Message, State: l.state, At: ended, Reason: reason}
		if r.Answer, err = t.answerOf(l); err != nil {
			return err
		}
		r.Body = nil
		err = t.tx.Savepoint(func() error { return safely(func() error { return hd.Learn(t.ctx, t.tx, r) }) })
		if isControl(err) {
			return err
		}
		if err != nil {
			_, err := t.tx.Exec(`UPDATE post_held SET tries = ?, due = ?, reason = ? WHERE lane = ? AND queue = ? AND num = ?`,
				h.tries+1, t.now.Add(t.p.backoff(h.tries+1)), clip(fault.MessageOf(err)), t.lane, t.q.id, h.num)
			return err
		}
	}
	if t.q.to.Kind != kindNode {
		if err := t.tx.Queue(`DELETE FROM post_body WHERE lane = ? AND queue = ? AND num = ?`, t.lane, t.q.id, h.num); err != nil {
			return err
		}
	}
	if err := t.tx.Queue(`DELETE FROM post_answer WHERE lane = ? AND queue = ? AND num = ?`, t.lane, t.q.id, h.num); err != nil {
		return err
	}
	_, err = t.tx.Exec(`DELETE FROM post_held WHERE lane = ? AND queue = ? AND num = ?`, t.lane, t.q.id, h.num)
	return err
}

// answerOf is the answer to a message that its sender could not hear at once.
func (t *turn) answerOf(l *letter) (answer []byte, err error) {
	err = t.tx.QueryRow(`SELECT answer FROM post_answer WHERE lane = ? AND queue = ? AND num = ?`, l.lane, l.queue, l.num).Scan(&answer)
	if !fault.Is(err, fault.NotFound) {
		return answer, err
	}
	if t.q.to.Kind != kindNode && len(l.Body) > 0 { // kept before there was a table of them; what the message held is gone when it is over
		answer = l.Body
	}
	return answer, nil
}

// turnCarrier takes messages to a system elsewhere, outside any transaction, and then writes down how that went.
func (p *Post) turnCarrier(ctx context.Context, w Work, q queue, c *Courier) (more bool, err error) {
	list, err := p.toCarry(ctx, w)
	if err == nil && len(list) == 0 {
		if err = p.settled(ctx, w); err == nil {
			list, err = p.toCarry(ctx, w)
		}
	}
	if err != nil {
		return false, err
	}
	outcome, answers := map[int64]error{}, map[int64][]byte{}
	failed := map[string]bool{}
	var unreached error
	for i := range list {
		l := &list[i]
		key := l.From.String() + "/" + l.Conversation
		if l.Conversation != "" && failed[key] {
			continue
		}
		var answer []byte
		err := safely(func() (err error) {
			answer, err = c.carry(ctx, q.to, l.Message)
			return err
		})
		if k := fault.KindOf(err); err != nil && (k == fault.Unavailable || k == fault.Timeout || k == fault.TooMany) {
			unreached = err
			break
		}
		failed[key] = err != nil
		outcome[l.num] = err
		if len(answer) <= MaxBody {
			answers[l.num] = answer
		}
	}
	more, err = p.runTurn(ctx, w, q, func(_ *store.Tx, l *letter) error {
		err, tried := outcome[l.num]
		if !tried {
			return errNotYet
		}
		l.answer = answers[l.num]
		return err
	})
	if err == nil {
		err = unreached
	}
	return more && unreached == nil, err
}

// carriedAtOnce is how many messages go to a system elsewhere before their outcome is written down.
const carriedAtOnce = 16

// toCarry reads what is to be carried next: held messages that are due, then new ones that no held one blocks.
func (p *Post) toCarry(ctx context.Context, w Work) (list []letter, err error) {
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		const body = bodyColumn + `FROM post_message m `
		due, err := letters(tx, true, turnBytes, `SELECT `+letterColumns+body+`JOIN post_held h ON h.lane = m.lane AND h.queue = m.queue AND h.num = m.num
			WHERE h.lane = ? AND h.queue = ? AND h.due > 0 AND (h.due <= ? OR h.due > ?) AND h.why = ? ORDER BY h.due LIMIT ?`, w.Lane, w.Queue, p.clock.Now(), p.beyond(p.clock.Now()), int64(retrying), carriedAtOnce)
		if err != nil {
			return err
		}
		fresh, err := letters(tx, true, turnBytes, `SELECT `+letterColumns+body+`WHERE m.lane = ? AND m.queue = ? AND m.state = ?
			AND m.num > (SELECT done FROM post_stream WHERE lane = ? AND queue = ?)
			AND (m.conversation = '' OR NOT EXISTS (SELECT 1 FROM post_held h WHERE h.lane = m.lane AND h.queue = m.queue AND h.sender = m.sender AND h.conversation = m.conversation AND h.why <> ?))
			AND (m.expires = 0 OR m.expires > ?) ORDER BY m.num LIMIT ?`,
			w.Lane, w.Queue, int64(Delivered), w.Lane, w.Queue, int64(telling), p.clock.Now(), carriedAtOnce)
		if err != nil {
			return err
		}
		list, err = p.upToFiles(tx, due, fresh)
		return err
	})
	return list, err
}

// upToFiles leaves out messages whose files are not here yet, and new ones after the first of these: the turn that follows takes it out of the queue's course.
func (p *Post) upToFiles(tx *store.Tx, due, fresh []letter) (list []letter, err error) {
	t := turn{p: p, ctx: tx.Context(), tx: tx}
	for i := range due {
		lacks, err := t.lacksFiles(&due[i])
		if err != nil {
			return nil, err
		}
		if !lacks {
			list = append(list, due[i])
		}
	}
	for i := range fresh {
		lacks, err := t.lacksFiles(&fresh[i])
		if err != nil || lacks {
			return list, err
		}
		list = append(list, fresh[i])
	}
	return list, nil
}
