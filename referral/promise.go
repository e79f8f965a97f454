package referral

import (
	"context"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// An offer is a promise: whoever was told that a time is theirs until then has it, also when a restore of the spine from a backup has lost it. The hospital tells it back with the referral. Its slot may be known only
// later, when the hospital hands it over anew; it is held from then on, in the same transaction. Until then nobody is shown the offer, and the slot is nobody's.

// offerTold is what somebody is offered as their hospital was told; nil where it was told of none, or by a spine that did not say since when the slot was its own.
func offerTold(from ident.ODSCode, c booking.Case) *Offer {
	o := c.Offer
	if o == nil || o.Epoch == 0 || c.Gone || State(c.State) != Deferred {
		return nil
	}
	return &Offer{SlotRef: SlotRef{from, o.Session, o.Slot}, Epoch: int64(o.Epoch), Start: o.Start, End: o.End, Clinician: o.Clinician, ClinicianID: o.ClinicianID, Until: o.Until}
}

// holdPromised holds a slot that is free for whoever is offered it, after a restore. Of two, one of whom has yet to be told back, it is whose offer ends last: the other's was over when it was made.
func (s *Referrals) holdPromised(tx *store.Tx, ref SlotRef) error {
	if least, err := s.life(tx); err != nil || least == 0 {
		return err // nothing was lost
	}
	var holder string
	var until, epoch int64
	lane := int64(s.sessionLane(ref.Session))
	err := tx.QueryRow(`SELECT ubrn, offered, epoch FROM referral_wait WHERE slot_lane = ? AND provider = ? AND session = ? AND slot = ? AND offered > 0 AND offered > ? ORDER BY offered DESC, ubrn LIMIT 1`,
		lane, ref.Provider.String(), ref.Session, ref.Slot, tx.At().UnixMicro()).Scan(&holder, &until, &epoch)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	return tx.Queue(`UPDATE referral_slot SET holder = ?, held = ? WHERE lane = ? AND provider = ? AND session = ? AND slot = ? AND base = ? AND epoch % 2 = 1 AND state = ? AND recalled = ? AND held <= ?`,
		holder, until, lane, ref.Provider.String(), ref.Session, ref.Slot, epoch, slotFree, notRecalled, tx.At().UnixMicro())
}

// dropOffers takes slots of a session, or all of it, from those to whom they are offered. What they are told of it goes with the end of the offer (see offerDue); from now on nobody is shown it.
func (s *Referrals) dropOffers(tx *store.Tx, provider ident.ODSCode, session string, slots []string) error {
	const drop = `UPDATE referral_slot SET holder = '', held = 0 WHERE lane = ? AND provider = ? AND session = ? AND state = ? AND held > ?
		AND EXISTS (SELECT 1 FROM referral_wait w WHERE w.slot_lane = referral_slot.lane AND w.provider = referral_slot.provider AND w.session = referral_slot.session AND w.slot = referral_slot.slot AND w.offered > 0 AND w.ubrn = referral_slot.holder)`
	args := []any{int64(s.sessionLane(session)), provider.String(), session, slotFree, tx.At().UnixMicro()}
	if len(slots) == 0 {
		return tx.Queue(drop, args...)
	}
	for _, id := range slots {
		if err := tx.Queue(drop+` AND slot = ?`, append(args, id)...); err != nil {
			return err
		}
	}
	return nil
}

// nowhere are those who are offered a time of a hospital which neither the spine has nor the hospital names in its tally: both have lost the slot by their restores.
func (s *Referrals) nowhere(tx *store.Tx, provider ident.ODSCode, told booking.Tally) (list []waiter, err error) {
	named := map[SlotRef]bool{}
	for _, m := range told.Slots {
		named[SlotRef{provider, m.Session, m.ID}] = true
	}
	rows, err := tx.Query(`SELECT w.chart, w.ubrn, w.session, w.slot FROM referral_wait w WHERE w.offered > ? AND w.provider = ? AND NOT EXISTS (SELECT 1 FROM referral_slot x
		WHERE x.lane = w.slot_lane AND x.provider = w.provider AND x.session = w.session AND x.slot = w.slot AND x.epoch >= w.epoch) ORDER BY w.ubrn LIMIT ?`, tx.At().UnixMicro(), provider.String(), int64(mostOffered))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var x waiter
		var ubrn string
		ref := SlotRef{Provider: provider}
		if err := rows.Scan(&x.chart, &ubrn, &ref.Session, &ref.Slot); err != nil {
			return nil, err
		}
		if x.ubrn, err = ident.ParseUBRN(ubrn); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "the number of somebody who waits cannot be read")
		}
		if !named[ref] {
			list = append(list, x)
		}
	}
	return list, rows.Err()
}

// offeredNowhere notes that those are offered nothing that there is: the next round ends their offer, which they have not let pass, and offers them another time.
func (s *Referrals) offeredNowhere(tx *store.Tx, provider ident.ODSCode, told booking.Tally) error {
	list, err := s.nowhere(tx, provider, told)
	for _, x := range list {
		if lane := s.chartLane(x.chart); err == nil && tx.Holds(lane) {
			err = tx.Queue(`UPDATE referral_wait SET session = '', slot = '' WHERE lane = ? AND chart = ? AND ubrn = ?`, int64(lane), x.chart, x.ubrn.String())
		}
	}
	return err
}

// isNowhere reports whether that was noted of somebody.
func (s *Referrals) isNowhere(tx *store.Tx, r Referral) (is bool, err error) {
	var n int64
	err = tx.QueryRow(`SELECT count(*) FROM referral_wait WHERE lane = ? AND chart = ? AND ubrn = ? AND offered > 0 AND slot = ''`, int64(s.chartLane(r.Chart)), r.Chart, r.UBRN.String()).Scan(&n)
	return n > 0, err
}

// offerStays reports whether an offer does not end after all: its time is not up, it is held, its hospital has yet to say what is so, or its slot is nobody's, and so theirs again.
func (s *Referrals) offerStays(tx *store.Tx, r Referral, kind Kind) (bool, error) {
	o := r.Offer
	if kind == ActLapse {
		return o.Until.After(tx.At()), nil
	}
	if dead, err := s.dead(tx, r.Chart); err != nil || dead {
		return false, err
	}
	st, err := s.standingIn(tx, o.Provider)
	if err != nil || !st.sure {
		return true, err
	}
	x, err := s.slot(tx, o.SlotRef)
	if fault.Is(err, fault.NotFound) || err == nil && int64(x.Epoch) < o.Epoch {
		lost, err := s.isNowhere(tx, r)
		return !lost, err // it is handed over anew, unless the hospital does not have it either
	}
	if err != nil || x.state != slotFree || x.recalled == withdrawn || !booking.Spine.Owns(x.Epoch) {
		return false, err
	}
	if x.holder == r.UBRN.String() {
		return true, nil
	}
	if err := s.holdPromised(tx, o.SlotRef); err != nil {
		return false, err
	}
	x, err = s.slot(tx, o.SlotRef)
	return err == nil && x.holder == r.UBRN.String(), err
}

// dead reports whether the register says that somebody has died. Of somebody whom it does not know it says nothing.
func (s *Referrals) dead(tx *store.Tx, chart string) (bool, error) {
	person, err := s.personIn(tx, chart)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil && person.Dead(), err
}

// mostLooked is of how many offers one round looks whether the person has died: the register tells nobody.
const mostLooked = 50

// deadOffered are those with an open offer of whom the register says that they have died: some are looked at in each round, in the order of their numbers.
func (s *Referrals) deadOffered(ctx context.Context) (dead []waiter, err error) {
	from := ""
	if last := s.looked.Load(); last != nil {
		from = *last
	}
	list, err := s.waiters(ctx, `w.offered > 0 AND w.ubrn > ? ORDER BY w.ubrn LIMIT ?`, from, int64(mostLooked))
	if err != nil {
		return nil, err
	}
	from = ""
	if len(list) == mostLooked {
		from = list[len(list)-1].ubrn.String()
	}
	s.looked.Store(&from)
	err = s.read(ctx, func(tx *store.Tx) error {
		dead = nil
		for _, x := range list {
			is, err := s.dead(tx, x.chart)
			if err != nil {
				return err
			}
			if is {
				dead = append(dead, x)
			}
		}
		return nil
	})
	return dead, err
}
