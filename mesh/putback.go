package mesh

import (
	"context"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// PutBack places mail that nobody collected in time into its inbox again, for five days, or for what is left until it is put away. As published ("Message expiration") it is what a sender asks of whoever
// keeps the exchange, with the report in hand. When it is collected then, the sender's outbox says so.
//
// Errors: fault.Invalid without a reason; fault.NotFound; fault.Conflict for mail that is not undelivered, and for a mailbox that takes none; fault.Gone once it is put away.
func (o *Office) PutBack(ctx context.Context, by access.Principal, mailbox, id, reason string) error {
	return o.change(ctx, by, mailbox, reason, func(tx *store.Tx, b *Mailbox) (string, string, error) {
		m, err := o.back(tx, b, mailbox, inbox, id)
		if err != nil {
			return "", "", err
		}
		until := tx.At().Add(CollectWithin)
		if last := m.At.Add(KeepFor); last.Before(until) {
			until = last
		}
		return "put-back", m.ID, o.become(tx, m, Accepted, until, "", "")
	}, o.lane(mailbox))
}

// SendAgain sends mail that came back to its sender once more, under the same id, with what it held. Errors: those of PutBack; fault.Gone when what it held is not kept any more.
func (o *Office) SendAgain(ctx context.Context, by access.Principal, mailbox, id, reason string) error {
	lanes := []store.Lane{o.lane(mailbox)}
	if b, err := o.Mailbox(ctx, mailbox); err == nil {
		lanes = append(lanes, o.k.Post().LaneOf(b.ODS, ""))
	}
	return o.change(ctx, by, mailbox, reason, func(tx *store.Tx, b *Mailbox) (string, string, error) {
		m, err := o.back(tx, b, mailbox, outbox, id)
		if err != nil {
			return "", "", err
		}
		parts, err := o.parts(tx, m)
		if err != nil {
			return "", "", err
		}
		if len(parts) == 0 || len(parts) != m.Chunks {
			return "", "", fault.New(fault.Gone, "Not all of what message %s held is here: its program sends it anew.", m.ID)
		}
		files := make([]messaging.File, len(parts))
		for i, p := range parts {
			files[i] = p.file
		}
		if m.Post, err = o.post(ctx, tx, b, m, files); fault.Is(err, fault.Conflict) {
			return "", "", fault.New(fault.Gone, "What message %s held is not kept any more: its program sends it anew.", m.ID)
		} else if err != nil {
			return "", "", err
		}
		if err := o.become(tx, m, Accepted, tx.At().Add(CollectWithin), "", ""); err != nil {
			return "", "", err
		}
		_, err = tx.Exec(`UPDATE mesh_mail SET post = ? WHERE lane = ? AND mailbox = ? AND side = ? AND id = ?`, m.Post, o.lane(mailbox), mailbox, m.Side, m.ID)
		return "sent-again", m.ID, err
	}, lanes...)
}

// back is mail that can be placed or sent again.
func (o *Office) back(tx *store.Tx, b *Mailbox, mailbox string, side int64, id string) (*Mail, error) {
	switch {
	case b == nil || b.Elsewhere:
		return nil, fault.New(fault.NotFound, "There is no mailbox %s at this node.", mailbox)
	case b.State != Open:
		return nil, fault.New(fault.Conflict, "The mailbox %s is %s.", b.ID, b.State)
	}
	m, err := o.readMail(tx, b.ID, side, id)
	switch {
	case err != nil:
		return nil, err
	case m.State == PutAway:
		return nil, fault.New(fault.Gone, "Message %s is put away: what it held is not here any more.", m.ID)
	case m.State != Failed || m.Kind != kindData:
		return nil, fault.New(fault.Conflict, "Message %s did not come back: it is %s.", m.ID, m.State)
	}
	return m, nil
}

// RememberFor is how long it is seen that mail was there, from when it came.
const RememberFor = 90 * 24 * time.Hour

// forgottenAtOnce is how much mail one transaction forgets.
const forgottenAtOnce = 500

// Forget lets go of all that is known of mail that ended and came longer ago than RememberFor. Mail that still waits for anybody, or whose time to be put away has not come, is kept. It is the job's.
func (o *Office) Forget(ctx context.Context) error {
	all, err := o.Standings(ctx)
	for i := range all {
		for more := err == nil && !all[i].Elsewhere; more && err == nil; {
			more, err = o.forgetSome(ctx, all[i].ID)
		}
	}
	return err
}

// forgetSome forgets some of a mailbox's mail; more means that there may be other.
func (o *Office) forgetSome(ctx context.Context, mailbox string) (more bool, err error) {
	old := func(tx *store.Tx) (list []Mail, err error) {
		for _, side := range []int64{outbox, inbox} {
			for _, state := range []MailState{Acknowledged, Failed, PutAway} {
				some, err := readMails(tx, `WHERE lane = ? AND mailbox = ? AND side = ? AND state = ? AND at < ? AND expires = 0 ORDER BY at, id LIMIT ?`,
					o.lane(mailbox), mailbox, side, int64(state), o.k.Clock.Now().Add(-RememberFor), forgottenAtOnce-len(list))
				if err != nil {
					return nil, err
				}
				if list = append(list, some...); len(list) == forgottenAtOnce {
					return list, nil
				}
			}
		}
		return list, nil
	}
	some := false // most rounds find none, and need no writer
	if err := o.k.DB.Read(ctx, func(tx *store.Tx) error {
		list, err := old(tx)
		some = len(list) > 0
		return err
	}); err != nil || !some {
		return false, err
	}
	err = o.k.DB.Write(ctx, []store.Lane{o.lane(mailbox)}, func(tx *store.Tx) error {
		list, err := old(tx)
		if err != nil {
			return err
		}
		more = len(list) == forgottenAtOnce
		for i := range list {
			if err := o.forget(tx, &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return more, err
}

func (o *Office) forget(tx *store.Tx, m *Mail) error {
	if m.Side == inbox {
		if err := tx.Queue(`DELETE FROM mesh_body WHERE lane = ? AND mailbox = ? AND id = ?`, o.lane(m.Mailbox), m.Mailbox, m.ID); err != nil {
			return err
		}
	}
	for _, table := range []string{"mesh_part", "mesh_mail"} {
		if err := tx.Queue(`DELETE FROM `+table+` WHERE lane = ? AND mailbox = ? AND side = ? AND id = ?`, o.lane(m.Mailbox), m.Mailbox, m.Side, m.ID); err != nil {
			return err
		}
	}
	return nil
}
