package mesh

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Standing is a mailbox with how it is doing.
type Standing struct {
	Mailbox
	Waiting int       // messages that nobody has acknowledged
	Oldest  time.Time // when the oldest of them came; zero when there is none
	Seen    time.Time // when its program called last; zero for never
	Program string    // what its program said that it is, at the last handshake
}

// Standings lists the mailboxes, by id, with how each is doing.
func (o *Office) Standings(ctx context.Context) (list []Standing, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		boxes, err := readMailboxes(tx, `1 = 1`)
		for i := range boxes {
			if err != nil {
				return err
			}
			s := Standing{Mailbox: boxes[i]}
			if !s.Elsewhere {
				err = o.stand(tx, &s)
			}
			list = append(list, s)
		}
		return err
	})
	return list, err
}

// Standing is one mailbox with how it is doing. Error: fault.NotFound.
func (o *Office) Standing(ctx context.Context, id string) (s Standing, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		b, err := readMailbox(tx, id)
		if err != nil {
			return err
		}
		s = Standing{Mailbox: *b}
		return o.stand(tx, &s)
	})
	return s, err
}

func (o *Office) stand(tx *store.Tx, s *Standing) error {
	lane := o.lane(s.ID)
	var oldest, seen int64
	if err := tx.QueryRow(`SELECT count(*), coalesce(min(at), 0) FROM mesh_mail WHERE lane = ? AND mailbox = ? AND side = ? AND state = ?`, lane, s.ID, int64(inbox), int64(Accepted)).Scan(&s.Waiting, &oldest); err != nil {
		return err
	}
	err := tx.QueryRow(`SELECT at, program FROM mesh_seen WHERE lane = ? AND mailbox = ?`, lane, s.ID).Scan(&seen, &s.Program)
	s.Oldest, s.Seen = fromMicros(oldest), fromMicros(seen)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// mailsShown is how many pieces of mail a page lists.
const mailsShown = 50

// Mails lists a mailbox's mail of one side, the latest first, from before an id of that side on; "" for the beginning. more says that there is more.
func (o *Office) mails(ctx context.Context, mailbox string, side int64, after string) (list []Mail, more bool, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		list, err = readMails(tx, `WHERE lane = ? AND mailbox = ? AND side = ? AND (? = '' OR id < ?) ORDER BY id DESC LIMIT ?`, o.lane(mailbox), mailbox, side, after, after, mailsShown+1)
		return err
	})
	if len(list) > mailsShown {
		return list[:mailsShown], true, err
	}
	return list, false, err
}

// Rights are the workflows of a mailbox from lists of those that it sends and takes.
func Rights(sends, takes []string) []WorkflowRight {
	rights := map[string]WorkflowRight{}
	for _, w := range sends {
		r := rights[w]
		r.Workflow, r.Sends = w, true
		rights[w] = r
	}
	for _, w := range takes {
		r := rights[w]
		r.Workflow, r.Takes = w, true
		rights[w] = r
	}
	list := make([]WorkflowRight, 0, len(rights))
	for _, r := range rights {
		list = append(list, r)
	}
	slices.SortFunc(list, func(a, b WorkflowRight) int { return strings.Compare(a.Workflow, b.Workflow) })
	return list
}

// PasswordFor is a new password where a mailbox needs one: it is new here, or another is asked for. "" where it keeps its own.
func (o *Office) PasswordFor(ctx context.Context, b Mailbox, another bool) (string, error) {
	_, err := o.Mailbox(ctx, b.ID)
	switch {
	case b.Elsewhere:
		return "", nil
	case another || fault.Is(err, fault.NotFound):
		return NewPassword(), nil
	}
	return "", err
}
