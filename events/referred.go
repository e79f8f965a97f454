package events

import (
	"context"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// Referrals and their appointments are no resources of the record: they change by acts, and are shown by APIs of their own. A Subscription at the national organisation's FHIR interface whose
// criteria are over ServiceRequest or Appointment is told of them from their events, by the same rules: whose business it is, and who may see it.

// referredTypes are the types of resource as which referrals are told.
var referredTypes = []string{"ServiceRequest", "Appointment"}

// tellsReferrals reports whether a FHIR Subscription is told of referrals.
func (s *service) tellsReferrals(q *subscription) bool {
	return s.referred != nil && q.Tenant == s.k.National && slices.Contains(referredTypes, q.Kind)
}

// hooked are the FHIR Subscriptions that are told of events of these types.
func (s *service) hooked(ctx context.Context, kinds []string) (list []subscription, err error) {
	if s.referred == nil || !slices.Contains(kinds, demographics.ReferralChange) && !slices.Contains(kinds, demographics.VisitChange) {
		return nil, nil
	}
	err = s.k.DB.Read(ctx, func(tx *store.Tx) error {
		list, err = s.subscriptions(tx, `of = ? AND tenant = ? AND (kind = ? OR kind = ?) ORDER BY made, id`, ofResources, s.k.National.String(), referredTypes[0], referredTypes[1])
		return err
	})
	return slices.DeleteFunc(list, func(q subscription) bool { return !q.listens() }), err
}

// hookParcel is a change of a referral that a FHIR subscriber is told of.
type hookParcel struct {
	sub  subscription
	ref  record.Ref
	note hookNote
}

// noteOf finds which of the subscriptions a change of a referral is told to: those whose criteria it satisfies, of whoever may know of it.
func (s *service) noteOf(ctx context.Context, h demographics.Event, hooks []subscription) (list []hookParcel, err error) {
	hooks = slices.DeleteFunc(slices.Clone(hooks), func(q subscription) bool { return !q.Made.Before(h.At) || q.over(h.At) })
	if len(hooks) == 0 || h.Kind != demographics.ReferralChange && h.Kind != demographics.VisitChange {
		return nil, nil
	}
	changed, err := s.changedOf(ctx, h)
	if err != nil || len(changed) == 0 {
		return nil, err
	}
	e := &event{Kind: h.Kind, Subject: h.Person, About: h.About.ID, Filtering: h.About.Facts}
	place, err := s.k.Records.Locate(ctx, record.Ref{Tenant: s.k.National, Type: "Patient", ID: h.Person})
	if err != nil {
		return nil, err
	}
	for _, q := range hooks {
		i := slices.IndexFunc(changed, func(r *fhir.Resource) bool { return r.Type() == q.Kind })
		if i < 0 {
			continue
		}
		_, query, err := s.search(q.Criteria)
		if err != nil {
			return nil, err
		}
		ref := record.Ref{Tenant: s.k.National, Type: q.Kind, ID: changed[i].ID()}
		held, err := s.k.Records.Matches(query, record.Version{Ref: ref, Ver: h.Version, At: h.At, Resource: changed[i]})
		if err != nil {
			return nil, err
		}
		if !held {
			continue
		}
		_, ok, err := s.permitted(ctx, e, &target{sub: q, place: place})
		if err != nil {
			return nil, err
		}
		if ok {
			list = append(list, hookParcel{sub: q, ref: ref, note: hookNote{Type: q.Kind, ID: ref.ID, Ver: h.Version, Referral: h.About.ID}})
		}
	}
	return list, nil
}

// changedOf are the resources that an event is about: of a referral's change its ServiceRequest, and its Appointment where that is another than before; of a visit the Appointment, while
// the referral does not say itself what became of it.
func (s *service) changedOf(ctx context.Context, h demographics.Event) ([]*fhir.Resource, error) {
	if h.Kind == demographics.VisitChange {
		state := h.About.Facts[visitState]
		if slices.Contains(h.About.Facts[visitKind], "follow-up") || !slices.Contains(state, "arrived") && !slices.Contains(state, "booked") {
			return nil, nil
		}
		now, err := s.resources(ctx, h.About.ID, h.Version)
		return slices.DeleteFunc(now, func(r *fhir.Resource) bool { return r.Type() != "Appointment" }), err
	}
	now, err := s.resources(ctx, h.About.ID, h.Version)
	if err != nil {
		return nil, err
	}
	was, err := s.resources(ctx, h.About.ID, h.Version-1)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(now, func(r *fhir.Resource) bool {
		return r.Type() == "Appointment" && slices.ContainsFunc(was, func(old *fhir.Resource) bool { return old.Type() == r.Type() && len(changedElements(old, r)) == 0 })
	}), nil
}

// resources are a referral as FHIR says it, for this package itself; none where there is no such version.
func (s *service) resources(ctx context.Context, ubrn string, version int64) ([]*fhir.Resource, error) {
	me := access.Service(reader, s.k.National)
	list, err := s.referred.Resources(ctx, me, func(acts ...access.Act) ([]access.Grant, error) { return s.k.Gate.DecideAll(ctx, me, acts) }, ubrn, version)
	if fault.Is(err, fault.NotFound) {
		return nil, nil
	}
	return list, err
}

func (s *service) hookParcelLanes(list []hookParcel) (lanes []store.Lane) {
	for _, n := range list {
		lanes = append(lanes, s.k.Post().LaneOf(s.k.National, thread(n.ref)))
	}
	return lanes
}

// sendReferred puts what changed of a referral into the post for a FHIR subscriber, as part of tx.
func (s *service) sendReferred(ctx context.Context, tx *store.Tx, n hookParcel) error {
	now, err := s.subscriptionByID(tx, n.sub.ID)
	if fault.Is(err, fault.NotFound) {
		return nil // it was taken away
	}
	if err != nil {
		return err
	}
	if now.Criteria != n.sub.Criteria || now.Endpoint != n.sub.Endpoint || now.Status != n.sub.Status {
		return errMoved
	}
	return s.sendHook(ctx, tx, &now, thread(n.ref), n.note)
}

// lookUpReferral finds a referral as it was when it changed, if the subscriber may see it now, and puts that on the account.
func (s *service) lookUpReferral(ctx context.Context, p access.Principal, q *subscription, n hookNote, l *letter) (bool, error) {
	list, err := s.referred.Resources(ctx, p, func(acts ...access.Act) ([]access.Grant, error) {
		grants, err := s.k.Gate.DecideAll(ctx, p, acts)
		if err != nil {
			return nil, err
		}
		return grants, s.k.Gate.Account(ctx, grants, nil)
	}, n.Referral, n.Ver)
	i := slices.IndexFunc(list, func(r *fhir.Resource) bool { return r.Type() == n.Type })
	if fault.Is(err, fault.NotFound) || fault.Is(err, fault.Forbidden) || err == nil && i < 0 {
		return false, nil // on the account
	}
	if err != nil {
		return false, err
	}
	l.tell(q, n, list[i].JSON())
	return true, nil
}
