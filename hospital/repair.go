package hospital

import (
	"context"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Differing is how many differences there are with the spine, those apart that may be on their way: the target is 0.
func (o *Outpatients) Differing(ctx context.Context) (count int, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		count = 0
		for _, h := range o.hospitals() {
			list, err := o.differencesIn(tx, h)
			if err != nil {
				return err
			}
			for _, d := range list {
				if !d.UnderWay() {
					count++
				}
			}
		}
		return nil
	})
	return count, err
}

// Repair puts differences right: whose the slots are is settled with the spine as after a restore, and the hospital books none until it has answered. Error: fault.Conflict
// where the spine has never answered.
func (o *Outpatients) Repair(ctx context.Context, by access.Principal, hospital ident.ODSCode) error {
	return o.deed(ctx, by, hospital, conversationTally, "asked the spine whose each slot is", func(tx *store.Tx) error {
		s, err := o.standingIn(tx, hospital)
		if err != nil {
			return err
		}
		if s.Answered.IsZero() {
			return fault.New(fault.Conflict, "The spine has never answered a comparison. Compare first: while it does not answer, the hospital could book nothing.")
		}
		s.Sure, s.Round, s.Asked = false, booking.Round(hospital, o.k.DB.Incarnation(), tx.At()), tx.At()
		if s.message, err = o.tellAll(tx, hospital, s.Round, true, nil); err != nil {
			return err
		}
		return o.putStanding(tx, hospital, s)
	})
}
