package messaging

import (
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// By is who decides about a message, and why: it is entered on the account, and in the message's timeline.
type By struct {
	Principal access.Principal
	Reason    string // 1 to 500 characters
	RequestID string
}

// LanesFor are the lanes that a transaction must hold to decide about the message at ref, or to redirect it to an organisation.
func (p *Post) LanesFor(it Item, to ident.ODSCode) []store.Lane {
	lanes := []store.Lane{it.Ref.Lane, p.LaneOf(it.From, it.Conversation)}
	if !to.IsZero() {
		lanes = append(lanes, p.LaneOf(to, it.Conversation))
	}
	if h := p.handlers[it.Workflow]; h != nil && h.LearnLanes != nil {
		lanes = append(lanes, h.LearnLanes(it.Message)...)
	}
	return lanes
}

// decision reads the message that a person decides about, and enters the deed on the account.
func (p *Post) decision(tx *store.Tx, ref Ref, by By, what string) (*letter, why, error) {
	if by.Reason = strings.TrimSpace(by.Reason); by.Reason == "" || len(by.Reason) > longestReason {
		return nil, 0, fault.New(fault.Invalid, "Give a reason, of at most %d characters.", longestReason)
	}
	if p.o.Account == nil {
		return nil, 0, fault.New(fault.Internal, "the post was given no account to enter decisions on")
	}
	if !tx.Holds(ref.Lane) {
		return nil, 0, fault.New(fault.Internal, "to decide about a message a transaction must hold LanesFor it")
	}
	l, err := letterAt(tx, ref.Lane, ref.Queue, ref.Num)
	if err != nil {
		return nil, 0, err
	}
	var w int64
	err = tx.QueryRow(`SELECT why FROM post_held WHERE lane = ? AND queue = ? AND num = ?`, ref.Lane, ref.Queue, ref.Num).Scan(&w)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, 0, err
	}
	if _, err := p.o.Account.Append(tx, ref.Lane, audit.Entry{
		Tenant: l.To, Actor: by.Principal.ID, ActorName: by.Principal.Name, Role: string(by.Principal.Role), Organisation: by.Principal.Organisation,
		Action: "message-" + what, Purpose: "HOPERAT", Basis: "messaging", Outcome: audit.OutcomeOK, Detail: "message " + l.ID + ": " + by.Reason, RequestID: by.RequestID,
	}); err != nil {
		return nil, 0, err
	}
	return l, why(w), event(tx, l, words[what], by.Principal.ID, by.Reason) //nolint:gosec // as it was put
}

// words are how a timeline says what a person did.
var words = map[string]string{"retry": "retried", "take": "taken", "redirect": "redirected", "abandon": "abandoned"}

// Retry tries a parked message, or one that is due later, at once, as part of tx. Errors: fault.NotFound; fault.Conflict when it waits for nothing.
func (p *Post) Retry(tx *store.Tx, ref Ref, by By) error {
	l, w, err := p.decision(tx, ref, by, "retry")
	if err != nil {
		return err
	}
	if w != retrying && w != fetching && w != parked {
		return fault.New(fault.Conflict, "That message does not wait for a decision any more.")
	}
	q, err := p.queue(tx, l.queue)
	if err != nil {
		return err
	}
	if q.to.Kind == kindNode { // of days that a restore has lost: it goes out under a new number
		_, err := p.moveOn(tx, l, w, l.To, by)
		return err
	}
	next := retrying
	if w == fetching {
		next = fetching
	}
	if _, err := tx.Exec(`UPDATE post_held SET why = ?, tries = 0, due = ? WHERE lane = ? AND queue = ? AND num = ?`, int64(next), p.clock.Now(), l.lane, l.queue, l.num); err != nil {
		return err
	}
	p.ringAfter(tx, Work{Queue: l.queue, Lane: l.lane, Fetch: next == fetching})
	if l.state != Parked {
		return nil
	}
	if _, err := tx.Exec(`UPDATE post_message SET state = ?, turn = turn + 1 WHERE lane = ? AND queue = ? AND num = ?`, int64(Delivered), l.lane, l.queue, l.num); err != nil {
		return err
	}
	if l.source != 0 {
		return p.note(tx, l.lane, l.source, l.number, l.number, Delivered, l.base+l.turn+1, "")
	}
	return nil
}

// Take makes owner the one who looks after a held message, as part of tx. Errors: fault.NotFound; fault.Conflict when it is not held any more.
func (p *Post) Take(tx *store.Tx, ref Ref, owner string, by By) error {
	if owner = strings.TrimSpace(owner); owner == "" || len(owner) > 100 {
		return fault.New(fault.Invalid, "Say in 1 to 100 characters who looks after the message.")
	}
	_, w, err := p.decision(tx, ref, by, "take")
	if err != nil {
		return err
	}
	if w == 0 {
		return fault.New(fault.Conflict, "That message does not wait for a decision any more.")
	}
	_, err = tx.Exec(`UPDATE post_held SET owner = ? WHERE lane = ? AND queue = ? AND num = ?`, owner, ref.Lane, ref.Queue, ref.Num)
	return err
}

// Abandon gives a message up for good, as part of tx: the sender learns it with the reason, and its conversation goes on. Errors: fault.NotFound; fault.Conflict
// for one that is over, and for one that may have reached another node, which alone can tell.
func (p *Post) Abandon(tx *store.Tx, ref Ref, by By) error {
	l, w, err := p.decision(tx, ref, by, "abandon")
	if err != nil {
		return err
	}
	if err := p.stillOurs(tx, l, w); err != nil {
		return err
	}
	t := turn{p: p, ctx: tx.Context(), tx: tx, lane: l.lane, at: tx.At()}
	t.end(l, Abandoned, clip(by.Reason), by.Principal.ID)
	if err := t.close(); err != nil {
		return err
	}
	return p.release(tx, l, w)
}

// Redirect sends a message to another organisation instead, under the same id, as part of tx: the sender learns what becomes of it there. Its conversation here goes on.
// Errors: those of Abandon; fault.NotFound when nobody keeps the post of to; fault.Gone when this node does not hold the message any more.
func (p *Post) Redirect(tx *store.Tx, ref Ref, to ident.ODSCode, by By) (Ref, error) {
	l, w, err := p.decision(tx, ref, by, "redirect")
	if err != nil {
		return Ref{}, err
	}
	if err := p.stillOurs(tx, l, w); err != nil {
		return Ref{}, err
	}
	return p.moveOn(tx, l, w, to, by)
}

// moveOn places a message anew, for an organisation.
func (p *Post) moveOn(tx *store.Tx, l *letter, w why, to ident.ODSCode, by By) (Ref, error) {
	dest, err := p.route(tx, to, l.Workflow)
	if err != nil {
		return Ref{}, err
	}
	var kept int64 // a message that is known from its recipient alone has no size either
	if err := tx.QueryRow(`SELECT count(*) FROM post_body WHERE lane = ? AND queue = ? AND num = ?`, l.lane, l.queue, l.num).Scan(&kept); err != nil {
		return Ref{}, err
	}
	if kept == 0 {
		return Ref{}, fault.New(fault.Gone, "What the message held is not here any more: it can be abandoned, and sent anew by its sender.")
	}
	lane := p.LaneOf(l.From, l.Conversation)
	if l.source != 0 {
		lane = p.LaneOf(to, l.Conversation)
	}
	if !tx.Holds(lane) {
		return Ref{}, fault.New(fault.Internal, "to redirect a message a transaction must hold LanesFor it")
	}
	on := *l
	on.To, on.state, on.turn, on.base = to, 0, 0, l.base+l.turn+1
	placed, err := p.place(tx, lane, dest, on)
	if err != nil {
		return Ref{}, err
	}
	if _, err := tx.Exec(`UPDATE post_message SET state = ?, turn = turn + 1, ended = ?, source = 0, number = 0 WHERE lane = ? AND queue = ? AND num = ?`, int64(Redirected), tx.At(), l.lane, l.queue, l.num); err != nil {
		return Ref{}, err
	}
	if _, err := tx.Exec(`DELETE FROM post_body WHERE lane = ? AND queue = ? AND num = ?`, l.lane, l.queue, l.num); err != nil {
		return Ref{}, err
	}
	if err := event(tx, &placed, "redirected", by.Principal.ID, "from "+l.To.String()+": "+by.Reason); err != nil {
		return Ref{}, err
	}
	if l.source != 0 {
		if err := p.note(tx, placed.lane, l.source, l.number, l.number, Delivered, placed.base, "redirected to "+to.String()+": "+by.Reason); err != nil {
			return Ref{}, err
		}
	}
	return Ref{placed.lane, placed.queue, placed.num}, p.release(tx, l, w)
}

// stillOurs refuses a decision about a message that is over, or that may be elsewhere.
func (p *Post) stillOurs(tx *store.Tx, l *letter, w why) error {
	if l.state.Final() {
		return fault.New(fault.Conflict, "That message is %s already.", l.state)
	}
	q, err := p.queue(tx, l.queue)
	if err != nil || q.to.Kind != kindNode || w == parked {
		return err
	}
	var tried int64
	if err := tx.QueryRow(`SELECT tried FROM post_stream WHERE lane = ? AND queue = ?`, l.lane, l.queue).Scan(&tried); err != nil {
		return err
	}
	if l.num <= tried {
		return fault.New(fault.Conflict, "That message may have reached %s: decide about it there, or wait until the node is reached.", q.to.Name)
	}
	return nil
}

// release lets a conversation go on behind a message that is held no more.
func (p *Post) release(tx *store.Tx, l *letter, w why) error {
	p.ringAfter(tx, Work{Queue: l.queue, Lane: l.lane})
	if w == 0 {
		return nil
	}
	if _, err := tx.Exec(`DELETE FROM post_held WHERE lane = ? AND queue = ? AND num = ?`, l.lane, l.queue, l.num); err != nil || l.Conversation == "" || w == behind {
		return err
	}
	_, err := tx.Exec(`UPDATE post_held SET why = ?, due = ? WHERE lane = ? AND queue = ? AND why = ? AND num = (SELECT min(num) FROM post_held
		WHERE lane = ? AND queue = ? AND sender = ? AND conversation = ? AND why <> ?)`,
		int64(retrying), p.clock.Now(), l.lane, l.queue, int64(behind), l.lane, l.queue, l.From.String(), l.Conversation, int64(telling))
	return err
}
