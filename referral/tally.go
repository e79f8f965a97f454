package referral

import (
	"context"

	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// tallyCame answers what a hospital knows with what the spine knows.
func (s *Referrals) tallyCame(_ context.Context, tx *store.Tx, m messaging.Message) error {
	return s.heard(tx, s.k.Post().LaneOf(m.To, m.Conversation), m.From)
}
