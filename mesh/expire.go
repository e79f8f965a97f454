package mesh

import (
	"context"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// expiredAtOnce is how many pieces of mail one round of the job looks at.
const expiredAtOnce = 500

// Expire ends what has waited too long: uploads that were not finished, mail that nobody collected, and what is put away after 30 days. It is the job's.
func (o *Office) Expire(ctx context.Context) error {
	for {
		due, err := o.due(ctx)
		if err != nil {
			return err
		}
		for i := range due {
			if err := o.end(ctx, &due[i]); err != nil {
				return err
			}
		}
		if len(due) < expiredAtOnce {
			return nil
		}
	}
}

// due is mail whose state ends by itself now. What is in an outbox and was taken ends when the recipient's side says so.
func (o *Office) due(ctx context.Context) (list []Mail, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		list, err = readMails(tx, `WHERE expires > 0 AND expires <= ? AND (side = ? OR state = ?) ORDER BY expires LIMIT ?`, o.k.Clock.Now(), int64(inbox), int64(Uploading), expiredAtOnce)
		return err
	})
	return list, err
}

// end ends one piece of mail.
func (o *Office) end(ctx context.Context, was *Mail) error {
	b, err := o.Mailbox(ctx, was.Mailbox)
	if err != nil {
		return err
	}
	lanes := []store.Lane{o.lane(b.ID), o.k.Post().LaneOf(b.ODS, ""), o.k.Gate.DeedLane(b.principal())}
	return o.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		m, err := o.readMail(tx, was.Mailbox, was.Side, was.ID)
		if err != nil || m.State != was.State || !m.Expires.Equal(was.Expires) {
			return err // it was collected meanwhile
		}
		switch m.State {
		case Uploading:
			return o.abandon(tx, m)
		case Accepted:
			return o.undelivered(ctx, tx, b, m)
		}
		return o.putAway(tx, m)
	})
}

// abandon ends a message whose last chunk never came.
func (o *Office) abandon(tx *store.Tx, m *Mail) error {
	parts, err := o.parts(tx, m)
	if err != nil {
		return err
	}
	return o.report(tx, m, codeNoData, describe(codeNoData)+": chunks that never came: "+missing(parts, m.Chunks))
}

// undelivered ends mail that nobody collected in five days: the sender learns it by a report.
func (o *Office) undelivered(ctx context.Context, tx *store.Tx, b *Mailbox, m *Mail) error {
	until := m.At.Add(KeepFor)
	if !until.After(tx.At()) {
		until = tx.At().Add(time.Second) // the node was away for so long: it goes with the next round
	}
	if err := o.become(tx, m, Failed, until, codeUndelivered, notCollected); err != nil {
		return err
	}
	if err := o.note(ctx, tx, b, "undelivered", m.ID); err != nil || m.Kind != kindData || m.Other == "" {
		return err
	}
	to, err := senderOf(m)
	if err != nil {
		return err
	}
	_, err = o.mail(ctx, tx, b.ODS, to, nil, envelope{What: whatReport, ID: newID(tx.At()), From: b.ID, To: m.Other, At: tx.At(), Workflow: m.Workflow, Subject: reportSubject(m.Subject), Local: m.Local, Linked: m.ID,
		Event: "SEND", Code: codeUndelivered, Description: notCollected})
	if fault.Is(err, fault.NotFound) {
		return nil // nobody is known to keep the sender's post any more
	}
	return err
}

const notCollected = "Message not collected by recipient after 5 days"

func (o *Office) become(tx *store.Tx, m *Mail, s MailState, until time.Time, code, why string) error {
	event := "SEND"
	if code == "" {
		event = ""
	}
	_, err := tx.Exec(`UPDATE mesh_mail SET state = ?, changed = ?, expires = ?, event = ?, code = ?, description = ? WHERE lane = ? AND mailbox = ? AND side = ? AND id = ?`,
		int64(s), tx.At(), micros(until), event, code, why, o.lane(m.Mailbox), m.Mailbox, m.Side, m.ID)
	return err
}

// putAway lets go of what mail held, 30 days after it came: that it was there stays.
func (o *Office) putAway(tx *store.Tx, m *Mail) error {
	for _, table := range []string{"mesh_part", "mesh_body"} {
		cond := ""
		args := []any{o.lane(m.Mailbox), m.Mailbox, m.ID}
		if table == "mesh_part" {
			cond, args = " AND side = ?", append(args, m.Side)
		}
		if _, err := tx.Exec(`DELETE FROM `+table+` WHERE lane = ? AND mailbox = ? AND id = ?`+cond, args...); err != nil {
			return err
		}
	}
	s := m.State
	if s == Failed {
		s = PutAway
	}
	_, err := tx.Exec(`UPDATE mesh_mail SET state = ?, changed = CASE WHEN state = ? THEN changed ELSE ? END, expires = 0 WHERE lane = ? AND mailbox = ? AND side = ? AND id = ?`,
		int64(s), int64(s), tx.At(), o.lane(m.Mailbox), m.Mailbox, m.Side, m.ID)
	return err
}
