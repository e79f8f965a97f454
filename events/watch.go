package events

import (
	"context"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// message is one of the post.
type message = messaging.Message

// refusedOr makes the failure of a handshake final: the subscription says what it was, and is written again to be tried again.
func refusedOr(err error) error {
	if err == nil {
		return nil
	}
	return messaging.Refuse("%s", fault.MessageOf(err))
}

// watched are the types that anybody has subscribed to.
func (s *service) watched(tx *store.Tx) (types []string, err error) {
	rows, err := tx.Query(`SELECT DISTINCT kind FROM events_subscription WHERE lane = ? AND of = ?`, int64(s.lane()), ofResources)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var t string
		if err := rows.Scan(&t); err != nil {
			return nil, err
		}
		types = append(types, t)
	}
	return types, rows.Err()
}

// thread is the conversation of one resource: what changes it is told in order, and what cannot be told holds up nothing else.
func thread(ref record.Ref) string { return nameOf("resource", ref.Tenant.String(), ref.Type, ref.ID) }

// hookLanes are what telling of a change needs.
func (s *service) hookLanes(c record.Version) []store.Lane {
	return []store.Lane{s.lane(), s.k.Post().LaneOf(c.Tenant, thread(c.Ref))}
}

// changed sends a change to each whose criteria it satisfies, in the commit that moves the watch on. Whether they may see it is asked when it is delivered.
func (s *service) changed(ctx context.Context, tx *store.Tx, c record.Version) error {
	if c.Deleted || c.Op == record.Left {
		return nil
	}
	subs, err := s.subscriptions(tx, `of = ? AND kind = ? AND tenant = ? ORDER BY made, id`, ofResources, c.Type, c.Tenant.String())
	if err != nil {
		return err
	}
	for i := range subs {
		q := &subs[i]
		if !q.listens() || c.At.Before(q.Made) || q.over(tx.At()) {
			continue
		}
		_, query, err := s.search(q.Criteria)
		if err != nil {
			return err
		}
		held, err := s.k.Records.Matches(query, c)
		if err != nil {
			return err
		}
		if held {
			if err := s.sendHook(ctx, tx, q, thread(c.Ref), hookNote{Type: c.Type, ID: c.ID, Ver: c.Ver}); err != nil {
				return err
			}
		}
	}
	return nil
}

// listens reports whether what happens is sent: also while nobody is reached, and while an administrator has paused it with a reason; not before the endpoint has answered once.
func (q *subscription) listens() bool {
	switch q.Status {
	case active:
		return true
	case failed:
		return !strings.HasPrefix(q.Note, errHandshake)
	case off:
		return q.Note != ""
	}
	return false
}

// sendHook puts a message to a FHIR subscriber into the post, as part of tx.
func (s *service) sendHook(ctx context.Context, tx *store.Tx, q *subscription, conversation string, n hookNote) error {
	to, workflow := q.destination()
	m := message{From: q.Tenant, To: q.Organisation, Workflow: workflow, Conversation: conversation, Body: mustJSON(n), Expires: tx.At().Add(ttl)}
	id, err := s.k.Post().SendTo(ctx, tx, to, m)
	if err != nil || n.Handshake {
		return err
	}
	return s.delivery(tx, q.ID, id, n.Type, n.Type)
}

// shown notes that the resource says what is so now.
func (s *service) shown(tx *store.Tx, q *subscription) error {
	_, err := tx.Exec(`UPDATE events_subscription SET shown = ? WHERE lane = ? AND id = ?`, q.Status+" "+q.told(), int64(s.lane()), q.ID)
	return err
}

// told is the error that the resource says.
func (q *subscription) told() string {
	if q.Status == failed || q.Status == off {
		return q.Note
	}
	return ""
}

// settle ends FHIR Subscriptions whose end has come, and writes into the resource of each what has become of it.
func (s *service) settle(ctx context.Context) error {
	var behind []subscription
	err := s.k.DB.Read(ctx, func(tx *store.Tx) error {
		list, err := s.subscriptions(tx, `of = ? ORDER BY id`, ofResources)
		if err != nil {
			return err
		}
		behind = nil
		for _, q := range list {
			var shown string
			if err := tx.QueryRow(`SELECT shown FROM events_subscription WHERE lane = ? AND id = ?`, int64(s.lane()), q.ID).Scan(&shown); err != nil {
				return err
			}
			if q.Status != off && q.over(s.k.Clock.Now()) {
				q.Status, q.Note = off, "The end of the Subscription has come."
			}
			if shown != q.Status+" "+q.told() {
				behind = append(behind, q)
			}
		}
		return nil
	})
	for i := range behind {
		if err == nil {
			err = s.say(ctx, &behind[i])
		}
	}
	return err
}

// say writes the status of a FHIR Subscription into its resource.
func (s *service) say(ctx context.Context, q *subscription) error {
	me := access.Service(reader, q.Tenant)
	err := record.Retry(attempts, func() error {
		draft, err := s.k.Records.Prepare(ctx, record.Change{Verb: record.Patch, Ref: q.ref(), Patch: q.say, Reason: "what became of the subscription"})
		if err != nil {
			return err
		}
		grants, err := s.k.Gate.DecideAll(ctx, me, draft.Acts())
		if err != nil {
			return err
		}
		return s.k.Gate.Act(ctx, grants, append(draft.Lanes(), s.lane()), func(tx *store.Tx) error {
			now, err := s.subscriptionByID(tx, q.ID)
			if err != nil {
				return err
			}
			if now.Status != q.Status && q.Status == off && q.Ends != "" { // its end has come
				now.Status, now.Note = q.Status, q.Note
				if err := s.put(tx, &now); err != nil {
					return err
				}
			}
			if now.Status != q.Status || now.told() != q.told() {
				return record.Again("the subscription")
			}
			if _, err := s.k.Records.Apply(tx, draft, grants...); err != nil {
				return err
			}
			return s.shown(tx, q)
		})
	})
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Gone) || record.Moved(err) {
		return nil // taken away, or changed again: next time
	}
	return err
}

// say is the resource with the status and the error as they are now.
func (q *subscription) say(res *fhir.Resource) (*fhir.Resource, error) {
	text := fhir.Value{}
	if told := q.told(); told != "" {
		text = fhir.Of(told)
	}
	return res.Edit().Set(res.Root(), "status", fhir.Of(q.Status)).Set(res.Root(), "error", text).Done()
}
