package referral

import (
	"context"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// HandOver gives a referral to one of its services as it is, whatever is free there: the provider finds a date, or a booking follows. It is for whoever hands a patient
// over rather than lets them choose (BaRS). Errors: those of Act.
func (s *Referrals) HandOver(ctx context.Context, c Caller, u ident.UBRN, service string) (after Referral, err error) {
	chart, err := s.ownerOf(ctx, u)
	if err != nil {
		return after, err
	}
	grants, err := s.k.Gate.DecideAll(ctx, c.Principal, []access.Act{{Action: access.Update, Place: s.place(chart, u, false)}})
	if err != nil {
		return after, err
	}
	for range 5 {
		was, err := s.peek(ctx, chart, u)
		if err != nil {
			return after, err
		}
		err = s.k.Gate.Act(ctx, grants, s.lanesFor(was, SlotRef{}), func(tx *store.Tx) error {
			if was, err = s.load(tx, chart, u); err != nil {
				return err
			}
			if was.Appointment != nil && !tx.Holds(s.sessionLane(was.Appointment.Session)) {
				return errMoved()
			}
			party, err := partyOf(c.Principal, was)
			if err != nil {
				return err
			}
			after, err = s.commit(tx, was, Act{Kind: ActDefer, By: actorOf(c.Principal, party), At: tx.At(), Service: service})
			return err
		})
		if !moved(err) {
			return after, err
		}
	}
	return after, fault.New(fault.Unavailable, "The referral keeps changing; try again.")
}

// MadeBy is the referral of a patient that a form made when it was sent before; ok is false when it was not. Errors: fault.NotFound for a patient who is not there;
// what the rules refuse by.
func (s *Referrals) MadeBy(ctx context.Context, c Caller, patient ident.NHSNumber, form string) (r Referral, ok bool, err error) {
	person, err := s.person(ctx, c, patient)
	if err != nil {
		return r, false, err
	}
	if _, err := c.Ask(access.Act{Action: access.Read, Place: access.Place{Tenant: s.k.National, Chart: person.Chart, Type: access.TypeBooking}}); err != nil {
		return r, false, err
	}
	err = s.read(ctx, func(tx *store.Tx) error {
		r, ok, err = s.sentBefore(tx, person.Chart, form)
		return err
	})
	return r, ok, err
}
