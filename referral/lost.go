package referral

import (
	"context"
	"errors"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// A spine that was restored to when somebody was booked learns from the hospital that the slot has changed hands since. What became of the booking in the days that were lost the hospital tells back, and that is taken;
// but where the referral has been changed in the new life it stands as it is here, and its booking names an epoch that is over. It is cancelled then, so that a person finds another time.

// lose notes that whoever was booked in a slot has it no more, now that it is its owner's since another epoch than it had. After a restore it looks also where the spine does not know that somebody is: they may have been told back first.
func (s *Referrals) lose(tx *store.Tx, ref SlotRef, had slotRow, base booking.Epoch) error {
	if had.Base == base {
		return nil
	}
	if had.state != slotBooked {
		if least, err := s.life(tx); err != nil || least == 0 {
			return err
		}
	}
	return tx.Queue(`UPDATE referral_booking SET lost = 1 WHERE lane = ? AND provider = ? AND session = ? AND slot = ? AND (epoch = ? OR epoch < ?)`,
		int64(s.sessionLane(ref.Session)), ref.Provider.String(), ref.Session, ref.Slot, int64(had.Base), int64(base))
}

// loseAt notes the same of a booking that a hospital tells back, where the slot has become its owner's anew before that.
func (s *Referrals) loseAt(tx *store.Tx, a Appointment) error {
	return tx.Queue(`UPDATE referral_booking SET lost = 1 WHERE lane = ? AND provider = ? AND session = ? AND slot = ? AND epoch = ?
		AND EXISTS (SELECT 1 FROM referral_slot s WHERE s.lane = referral_booking.lane AND s.provider = referral_booking.provider AND s.session = referral_booking.session AND s.slot = referral_booking.slot AND s.base > referral_booking.epoch)`,
		int64(s.sessionLane(a.Session)), a.Provider.String(), a.Session, a.Slot, a.Epoch)
}

// lostBooking is a booking that is noted as lost.
type lostBooking struct {
	SlotRef
	epoch int64
	ubrn  ident.UBRN
	chart string
}

// mostLost is how many lost bookings of a hospital are read at once.
const mostLost = 100

// lostDue cancels what is still booked at an epoch that is over, once the hospital has told what it knows. Hospitals that have not are passed over, and so is whatever cannot be cancelled: neither keeps others waiting.
func (s *Referrals) lostDue(ctx context.Context) (err error) {
	var sure []ident.ODSCode
	if err := s.read(ctx, func(tx *store.Tx) (err error) {
		sure, err = s.lostAt(tx)
		return err
	}); err != nil {
		return err
	}
	for _, provider := range sure {
		err = errors.Join(err, s.lostDueAt(ctx, provider))
	}
	return err
}

// lostAt are the hospitals with lost bookings that have told what they know.
func (s *Referrals) lostAt(tx *store.Tx) (sure []ident.ODSCode, err error) {
	for after := ""; ; {
		var next string
		err := tx.QueryRow(`SELECT provider FROM referral_booking WHERE lost = 1 AND provider > ? ORDER BY provider LIMIT 1`, after).Scan(&next)
		if fault.Is(err, fault.NotFound) {
			return sure, nil
		}
		if err != nil {
			return nil, err
		}
		code, err := ident.ParseODSCode(next)
		if err != nil {
			return nil, fault.Wrap(err, fault.Internal, "a booking's provider cannot be read")
		}
		st, err := s.standingIn(tx, code)
		if err != nil {
			return nil, err
		}
		if st.sure {
			sure = append(sure, code)
		}
		after = next
	}
}

// lostDueAt is lostDue at one hospital.
func (s *Referrals) lostDueAt(ctx context.Context, provider ident.ODSCode) (err error) {
	var last lostBooking
	for ctx.Err() == nil {
		var due []lostBooking
		if failed := s.read(ctx, func(tx *store.Tx) (err error) {
			due, err = s.lostBookings(tx, provider, last)
			return err
		}); failed != nil {
			return errors.Join(err, failed)
		}
		for _, b := range due {
			if failed := s.cancelLost(ctx, b); fault.Is(failed, fault.Conflict) {
				s.k.Logger.Warn("a booking of an epoch that is over stands", "session", b.Session, "cause", failed)
			} else {
				err = errors.Join(err, failed)
			}
		}
		if len(due) < mostLost {
			break
		}
		last = due[len(due)-1]
	}
	return err
}

// lostBookings are those of a hospital behind one of them.
func (s *Referrals) lostBookings(tx *store.Tx, at ident.ODSCode, last lostBooking) (list []lostBooking, err error) {
	rows, err := tx.Query(`SELECT provider, session, slot, epoch, ubrn FROM referral_booking WHERE lost = 1 AND provider = ? AND (session, slot, epoch) > (?, ?, ?) ORDER BY session, slot, epoch LIMIT ?`,
		at.String(), last.Session, last.SlotRef.Slot, last.epoch, int64(mostLost))
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var b lostBooking
		var provider, ubrn string
		if err := rows.Scan(&provider, &b.Session, &b.SlotRef.Slot, &b.epoch, &ubrn); err != nil {
			return nil, err
		}
		if b.Provider, err = ident.ParseODSCode(provider); err == nil {
			b.ubrn, err = ident.ParseUBRN(ubrn)
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.Internal, "a booking cannot be read")
		}
		list = append(list, b)
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].chart, err = s.chartOf(tx, list[i].ubrn); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func (s *Referrals) cancelLost(ctx context.Context, b lostBooking) error {
	lanes := []store.Lane{s.sessionLane(b.Session), s.chartLane(b.chart), s.ubrnLane(b.ubrn)}
	return s.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		if st, err := s.standingIn(tx, b.Provider); err != nil || !st.sure {
			return err // what became of it may yet be told
		}
		err := tx.Queue(`UPDATE referral_booking SET lost = 0 WHERE lane = ? AND provider = ? AND session = ? AND slot = ? AND epoch = ?`,
			int64(s.sessionLane(b.Session)), b.Provider.String(), b.Session, b.SlotRef.Slot, b.epoch)
		if err != nil {
			return err
		}
		r, err := s.load(tx, b.chart, b.ubrn)
		if err != nil {
			return err
		}
		at := r.Appointment
		if at == nil || at.SlotRef != b.SlotRef || at.Epoch != b.epoch || at.Theirs || r.Attended {
			return nil // they have moved meanwhile, or were seen
		}
		a := Act{Kind: ActCancelFrom, At: tx.At(), Reason: reasonWithdrawn, By: Actor{ID: "hospital/" + b.Provider.String(), Name: s.k.Organisation(ctx, b.Provider), Party: Provider, Organisation: b.Provider}}
		if _, err := s.commit(tx, r, a); err != nil {
			return err
		}
		return s.account(tx, r, a, "")
	})
}
