package referral

import (
	"context"
	"encoding/json"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// tallyCame answers what a hospital knows with what the spine knows, once the last page of it is here: the hospital compares. A hospital that was
// restored from a backup and asks to settle whose each slot is, is refused: that takes a person.
func (s *Referrals) tallyCame(ctx context.Context, tx *store.Tx, m messaging.Message) error {
	msg, err := decoded[booking.Tally](m)
	if err != nil {
		return err
	}
	if msg.Unsure {
		return messaging.Refuse("The spine does not settle the slots of a restored hospital by itself.")
	}
	lane := s.k.Post().LaneOf(s.k.National, m.Conversation)
	if err := s.heard(tx, lane, m.From); err != nil || !msg.Last {
		return err
	}
	slots, err := s.slots(tx, `WHERE provider = ? AND starts >= ? ORDER BY session, slot`, m.From.String(), tx.At().Add(-24*time.Hour).UnixMicro())
	if err != nil {
		return err
	}
	cases, err := s.marks(tx, m)
	if err != nil {
		return err
	}
	for page := 0; ; page++ {
		t := booking.Tally{Round: msg.Round, Page: page}
		n := min(len(slots), booking.MostSlots)
		for _, x := range slots[:n] {
			t.Slots = append(t.Slots, booking.SlotMark{ID: x.SlotRef.Slot, Epoch: x.Epoch})
		}
		k := min(len(cases), booking.MostSlots)
		t.Cases, slots, cases = cases[:k], slots[n:], cases[k:]
		t.Last = len(slots) == 0 && len(cases) == 0
		body, err := booking.Encode(t)
		if err != nil {
			return err
		}
		if _, err := s.k.Post().Send(ctx, tx, messaging.Message{From: s.k.National, To: m.From, Workflow: booking.WorkflowTally, Conversation: m.Conversation, Body: body}); err != nil || t.Last {
			return err
		}
	}
}

// marks are the referrals that are a hospital's business.
func (s *Referrals) marks(tx *store.Tx, m messaging.Message) (list []booking.CaseMark, err error) {
	rows, err := tx.Query(`SELECT body FROM referral_case WHERE provider = ? ORDER BY ubrn`, m.From.String())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var body []byte
		if err := rows.Scan(&body); err != nil {
			return nil, err
		}
		var r Referral
		if err := json.Unmarshal(body, &r); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "a referral cannot be read")
		}
		if !theirs(r) {
			continue
		}
		c := booking.CaseMark{UBRN: r.UBRN, Version: r.Version}
		if a := r.Appointment; a != nil {
			c.Slot, c.Epoch = a.Slot, booking.Epoch(a.Epoch)
		}
		list = append(list, c)
	}
	return list, rows.Err()
}
