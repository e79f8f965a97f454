package events

import (
	"cmp"
	"context"
	"errors"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// target is a subscriber who is told of an event, with the leave to be told.
type target struct {
	sub   subscription
	grant access.Grant
	place access.Place
	told  bool // whether the person's account says so
}

// parcel is an event with those who are told of it.
type parcel struct {
	event     *event
	publisher string
	targets   []target
	// register says that the event is this node's own: it is kept only where somebody is told of it, for it is known otherwise how far they were read.
	register bool
}

// errMoved says that a subscription changed while its events were made ready: they are made ready again.
var errMoved = errors.New("a subscription changed meanwhile")

// attempts is how often.
const attempts = 8

// again runs fn until it fails otherwise than by errMoved.
func again(fn func() error) (err error) {
	for range attempts {
		if err = fn(); !errors.Is(err, errMoved) {
			return err
		}
	}
	return err
}

// wanted are the subscriptions to a type of event that may be sent to, those before it happened.
func (s *service) wanted(ctx context.Context, kinds []string) (by map[string][]subscription, err error) {
	by = map[string][]subscription{}
	err = s.k.DB.Read(ctx, func(tx *store.Tx) error {
		clear(by)
		for _, k := range kinds {
			list, err := s.subscriptions(tx, `of = ? AND kind = ? ORDER BY made, id`, ofEvents, k)
			if err != nil {
				return err
			}
			by[k] = list
		}
		return nil
	})
	return by, err
}

// address finds who is told of an event: who asked for it, and may know of the person.
func (s *service) address(ctx context.Context, e *event, subs []subscription) (list []target, err error) {
	if len(subs) == 0 {
		return nil, nil
	}
	place := access.Place{Tenant: s.k.National, Type: "Patient"}
	if e.Subject != "" {
		if place, err = s.k.Records.Locate(ctx, record.Ref{Tenant: s.k.National, Type: "Patient", ID: e.Subject}); err != nil {
			return nil, err
		}
	}
	restricted := place.Label&access.Restricted != 0
	for _, q := range subs {
		c, err := parseCriteria(q.Criteria)
		if err != nil {
			return nil, err
		}
		if !c.holds(e, restricted, func(organisation string) []string { return s.makers(ctx, organisation) }) {
			continue
		}
		t := target{sub: q, place: place, told: e.Subject != "" && place.Exists}
		if ok, err := s.k.Gate.Stands(ctx, q.Principal); err != nil || !ok {
			if err != nil {
				return nil, err
			}
			continue
		}
		if e.Subject != "" {
			ok, err := s.mayKnow(ctx, e, &t)
			if err != nil {
				return nil, err
			}
			if !ok {
				continue
			}
		}
		list = append(list, t)
	}
	return list, nil
}

// mayKnow reports whether a subscriber may know of what happened to somebody, and if so gives the leave: to trace the person. What is not about who they are is told to
// those whose business it is alone, who may see it as well.
func (s *service) mayKnow(ctx context.Context, e *event, t *target) (bool, error) {
	action, ok, err := s.permitted(ctx, e, t)
	if err != nil || !ok {
		return false, err
	}
	t.grant, err = s.k.Gate.Decide(ctx, t.sub.Principal, action, t.place)
	return err == nil, err
}

// permitted is by which action a subscriber would learn what happened to somebody, with the place at which that is decided; false when they may not.
func (s *service) permitted(ctx context.Context, e *event, t *target) (action access.Action, ok bool, err error) {
	if ok, err = s.k.Gate.Would(ctx, t.sub.Principal, access.Trace, t.place); err != nil || !ok {
		return "", false, err
	}
	k, _ := kindOf(e.Kind)
	if len(k.parties) == 0 {
		return access.Trace, true, nil
	}
	if !t.place.Exists || !e.concerns(k, t.sub.Organisation.String()) && t.sub.Organisation != s.k.National {
		return "", false, nil
	}
	t.place.Type, t.place.ID = cmp.Or(k.sees, access.TypeBooking), e.About
	ok, err = s.k.Gate.Would(ctx, t.sub.Principal, access.Read, t.place)
	return access.Read, ok, err
}

// concerns reports whether an event is an organisation's business.
func (e *event) concerns(k kind, organisation string) bool {
	return slices.ContainsFunc(k.parties, func(party string) bool { return slices.Contains(e.Filtering[party], organisation) })
}

// lanes are what a transaction must hold to send parcels.
func (s *service) lanes(parcels ...parcel) []store.Lane {
	lanes := []store.Lane{s.lane(), s.k.Post().LaneOf(s.k.National, "")}
	for _, p := range parcels {
		for _, t := range p.targets {
			if t.told {
				lanes = append(lanes, s.k.Gate.NoteLane(t.grant, t.place))
			}
		}
	}
	return lanes
}

// send puts an event into the post for each who is told of it, as part of tx; not a second time if it was sent before.
func (s *service) send(ctx context.Context, tx *store.Tx, p parcel) error {
	if p.register && len(p.targets) == 0 {
		return nil
	}
	n, err := tx.Exec(`INSERT INTO events_event (lane, source, id, kind, at, publisher) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (lane, source, id) DO NOTHING`,
		int64(s.lane()), p.event.Source, p.event.ID, p.event.Kind, tx.At(), p.publisher)
	if err != nil || n == 0 {
		return err
	}
	for _, t := range p.targets {
		now, err := s.subscriptions(tx, `id = ?`, t.sub.ID)
		if err != nil {
			return err
		}
		if len(now) == 0 {
			continue // it was taken away
		}
		if q := now[0]; q.Criteria != t.sub.Criteria || q.Endpoint != t.sub.Endpoint || q.Payload != t.sub.Payload || q.Kind != t.sub.Kind {
			return errMoved
		}
		if err := s.sendTo(ctx, tx, p.event, t); err != nil {
			return err
		}
	}
	return nil
}

// ttl is how long an event waits for a subscriber who is not reached.
const ttl = keepFor / 5 * 2 // a fortnight

func (s *service) sendTo(ctx context.Context, tx *store.Tx, e *event, t target) error {
	body := e.Body
	if t.sub.Payload == asFHIR {
		body = e.bundle(s.k.BaseURL())
	}
	to, workflow := t.sub.destination()
	m := messaging.Message{From: s.k.National, To: t.sub.Organisation, Workflow: workflow, Body: body, Expires: tx.At().Add(ttl)}
	id, err := s.k.Post().SendTo(ctx, tx, to, m)
	if err != nil {
		return err
	}
	if err := s.delivery(tx, t.sub.ID, id, e.Kind, e.ID); err != nil || !t.told {
		return err
	}
	return s.k.Gate.Note(tx, t.grant, t.place, "told", e.Kind)
}

// delivery remembers what was sent to a subscriber.
func (s *service) delivery(tx *store.Tx, subscription, message, kind, event string) error {
	_, err := tx.Exec(`INSERT INTO events_delivery (lane, subscription, at, message, kind, event) VALUES (?, ?, ?, ?, ?, ?)`, int64(s.lane()), subscription, tx.At(), message, kind, event)
	return err
}

// publish sends an event that somebody publishes. When it returns, the event is durable with all its messages, and publishing it again does nothing.
func (s *service) publish(ctx context.Context, e *event, by access.Principal) error {
	return again(func() error {
		subs, err := s.wanted(ctx, []string{e.Kind})
		if err != nil {
			return err
		}
		p := parcel{event: e, publisher: by.ID}
		if p.targets, err = s.address(ctx, e, subs[e.Kind]); err != nil {
			return err
		}
		return s.k.DB.Write(ctx, s.lanes(p), func(tx *store.Tx) error { return s.send(ctx, tx, p) })
	})
}

// makers are those who make the accredited systems of an organisation, as the directory has them.
func (s *service) makers(ctx context.Context, organisation string) []string {
	code, err := ident.ParseODSCode(organisation)
	if err != nil {
		return nil
	}
	list, err := s.makersOf(ctx, code)
	if err != nil {
		s.k.Logger.Warn("events: the makers of an organisation's systems cannot be found; a filter by them lets nothing pass", "organisation", organisation, "error", err)
	}
	return list
}
