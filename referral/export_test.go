package referral

import (
	"context"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// Came handles a message as if the post had brought it.
func (s *Referrals) Came(ctx context.Context, m messaging.Message) error {
	for _, h := range s.handlers() {
		if h.Workflow != m.Workflow {
			continue
		}
		lanes := []store.Lane{s.k.DB.LaneOf(m.To.String(), m.Conversation)}
		if h.Lanes != nil {
			lanes = append(lanes, h.Lanes(m)...)
		}
		return s.k.DB.Write(ctx, lanes, func(tx *store.Tx) error { return h.Handle(ctx, tx, m) })
	}
	panic("nobody handles " + m.Workflow)
}

// Due does what this package does by the clock.
func (s *Referrals) Due(ctx context.Context) error {
	if err := s.withdrawDue(ctx); err != nil {
		return err
	}
	return s.giveBackDue(ctx)
}

// Own is the epoch of a slot, as the spine knows it.
func (s *Referrals) Own(ctx context.Context, ref SlotRef) (e booking.Epoch, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		x, err := s.slot(tx, ref)
		e = x.Epoch
		return err
	})
	return e, err
}
