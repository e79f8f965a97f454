package hospital

import (
	"context"
	"encoding/json"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Somebody who was put in by hand comes like anybody else, also while the line is cut: that they arrived, and what came of it, is written down in the diary at once. The spine knows of no such appointment, so it is told
// when the clash is settled: they are booked where they were seen, and then what came of it is said.

// comeByHand is what came of somebody who was put in by hand, until the spine can be told.
type comeByHand struct {
	Coming
	By string
}

// putComeByHand keeps what came of somebody until the clash is settled.
func (o *Outpatients) putComeByHand(tx *store.Tx, hospital ident.ODSCode, b Booked, come comeByHand) error {
	body, err := json.Marshal(come)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "what came of an appointment could not be written")
	}
	_, err = tx.Exec(`UPDATE hospital_override SET come = ? WHERE lane = ? AND tenant = ? AND session = ? AND slot = ? AND who = ? AND settled = 0`,
		string(body), int64(o.lane(hospital)), hospital.String(), b.Slot.Session, b.Slot.ID, b.Who)
	return err
}

// openByHand are the slots into which somebody was put by hand that nobody has settled.
func (o *Outpatients) openByHand(tx *store.Tx, hospital ident.ODSCode, who string) ([]Override, error) {
	return o.overridesIn(tx, hospital, `who = ? AND settled = 0`, who)
}

// seenByHand reports whether what came of somebody is written down and cannot be told to the spine yet; closed, whether they were discharged by it.
func seenByHand(open []Override) (seen, closed bool) {
	for _, x := range open {
		seen = seen || x.Come != nil
		closed = closed || x.Come != nil && x.Come.Outcome == outcomeDischarged
	}
	return seen, closed
}

// byHandIn is who was put by hand into the slots of a session, or one of them, and how their coming stands.
func (o *Outpatients) byHandIn(tx *store.Tx, hospital ident.ODSCode, at inSession) (list []Booked, err error) {
	open, err := o.overridesIn(tx, hospital, at.where("session", "slot")+` AND settled = 0`, at.args()...)
	if err != nil || len(open) == 0 {
		return nil, err
	}
	slots, err := o.slotsIn(tx, hospital, at.session)
	if err != nil {
		return nil, err
	}
	visits, err := o.visitsIn(tx, hospital, at)
	if err != nil {
		return nil, err
	}
	for _, x := range open {
		i := slices.IndexFunc(slots, func(s Slot) bool { return s.ID == x.Slot })
		if i < 0 {
			continue
		}
		c, err := o.caseIn(tx, hospital, x.Who)
		if err != nil {
			return nil, err
		}
		list = append(list, Booked{Slot: slots[i], Who: x.Who, Case: c, ByHand: &x, Visit: visits[visitKey{x.Slot, x.Who}]})
	}
	return list, nil
}

// dropArrival forgets that somebody arrived at a slot which they are not in after all.
func (o *Outpatients) dropArrival(tx *store.Tx, hospital ident.ODSCode, who, session, slot string) error {
	_, err := tx.Exec(`DELETE FROM hospital_visit WHERE lane = ? AND tenant = ? AND session = ? AND slot = ? AND who = ? AND state IN (?, ?)`,
		int64(o.lane(hospital)), hospital.String(), session, slot, who, visitBooked, visitArrived)
	return err
}

// moveVisit has somebody's coming stand where the spine is told that they were booked.
func (o *Outpatients) moveVisit(tx *store.Tx, hospital ident.ODSCode, x Override, to *booking.Appointment) error {
	_, err := tx.Exec(`UPDATE hospital_visit SET session = ?, slot = ?, epoch = ? WHERE lane = ? AND tenant = ? AND session = ? AND slot = ? AND who = ?`,
		to.Session, to.Slot, int64(to.Epoch), int64(o.lane(hospital)), hospital.String(), x.Session, x.Slot, x.Who)
	return err
}

// settleTold settles what the spine itself has settled: it had booked somebody where they were put, which says nothing of what came of it, or has given their referral to another hospital. What was written down of their
// coming is told then; where the referral is another's that is for a person to say.
func (o *Outpatients) settleTold(tx *store.Tx, hospital ident.ODSCode, c Case, open []Override) error {
	for _, x := range open {
		switch {
		case c.Gone && x.Come == nil:
			if err := o.dropArrival(tx, hospital, x.Who, x.Session, x.Slot); err != nil {
				return err
			}
			if _, err := o.settleOverrides(tx, hospital, x.Who, x.Slot, settledGone); err != nil {
				return err
			}
		case !c.Gone && c.Appointment != nil && c.Appointment.Session == x.Session && c.Appointment.Slot == x.Slot:
			if x.Come != nil && !tx.Holds(o.k.Post().LaneOf(hospital, x.Who)) {
				continue // settled by a person
			}
			if err := o.settleAt(tx, hospital, c, x, c.Appointment, settledBooked); err != nil {
				return err
			}
		}
	}
	return nil
}

// settleAt settles where somebody is booked, and tells the spine what came of it.
func (o *Outpatients) settleAt(tx *store.Tx, hospital ident.ODSCode, c Case, x Override, at *booking.Appointment, how string) error {
	if err := o.moveVisit(tx, hospital, x, at); err != nil {
		return err
	}
	if _, err := o.settleOverrides(tx, hospital, x.Who, x.Slot, how); err != nil || x.Come == nil || o.seams.SeenUntold {
		return err
	}
	c.Appointment = at
	by := access.Principal{Name: x.Come.By}
	return o.tellCome(tx, by, hospital, Booked{Slot: Slot{Session: at.Session, ID: at.Slot, Epoch: at.Epoch, Starts: at.Start, Ends: at.End}, Who: x.Who, Case: c}, x.Come.Coming)
}

// TellSeen settles a clash of somebody who was seen, or did not come: the spine is told that they were booked where they were put, and what came of it. Where somebody else was booked there, both were in that time, and it is
// told as one more slot of the session; so it is where the spine has kept the slot until its time had passed. The spine may refuse, where the referral is another's by now: that is on the list of what it refused. Errors: fault.Conflict when nothing is written down of them, when it is
// settled already, or while the spine has not answered whose the slot is.
func (o *Outpatients) TellSeen(ctx context.Context, by access.Principal, hospital ident.ODSCode, ubrn, slot string) error {
	return o.onCase(ctx, by, hospital, ubrn, false, func(tx *store.Tx, c Case) error {
		list, err := o.overridesIn(tx, hospital, `who = ? AND slot = ? AND settled = 0`, ubrn, slot)
		switch {
		case err != nil:
			return err
		case len(list) == 0:
			return fault.New(fault.Conflict, "That is settled already.")
		case list[0].Come == nil:
			return fault.New(fault.Conflict, "Nothing is written down of what came of it. Say so at the check-in desk first.")
		}
		x := list[0]
		if a := c.Appointment; a != nil && !c.Gone && a.Session == x.Session && a.Slot == x.Slot {
			return o.settleAt(tx, hospital, c, x, a, settledBooked)
		}
		if a := c.Appointment; x.Come.State == visitMissed && a != nil && a.Start.After(tx.At()) {
			// They have another time, which nobody may take from them because they did not come to one that the spine knows nothing of.
			if _, err := o.settleOverrides(tx, hospital, ubrn, slot, settledSeen); err != nil {
				return err
			}
			return o.event(tx, hospital, ubrn, "kept-here", "", by.Name)
		}
		state, _, err := o.clash(tx, hospital, x)
		if err != nil {
			return err
		}
		if state == clashWaits {
			return fault.New(fault.Conflict, "The spine has not answered yet whose the time is. This goes on when there is a line.")
		}
		at, err := o.holdSeen(tx, hospital, x, state != clashFree)
		if err != nil {
			return err
		}
		kind := booking.ActMove
		if c.Appointment == nil {
			kind = booking.ActOffer
		}
		if err := o.tell(tx, hospital, c, booking.Act{Kind: kind, By: by.Name, Appointment: at}); err != nil {
			return err
		}
		return o.settleAt(tx, hospital, c, x, at, settledSeen)
	})
}

// holdSeen holds the slot in which somebody was seen, though its time has passed: the one that came back, or one more of the hospital's own beside that of somebody else.
func (o *Outpatients) holdSeen(tx *store.Tx, hospital ident.ODSCode, x Override, beside bool) (*booking.Appointment, error) {
	if err := o.sure(tx, hospital); err != nil {
		return nil, err
	}
	slots, err := o.slotsWhere(tx, hospital, `session = ? AND id = ?`, x.Session, x.Slot)
	if err != nil {
		return nil, err
	}
	if len(slots) == 0 {
		return nil, fault.New(fault.NotFound, "There is no such slot.")
	}
	held, err := o.heldIn(tx, hospital, x.Session)
	if err != nil {
		return nil, err
	}
	s := slots[0]
	if beside || held[s.ID] != "" && held[s.ID] != x.Who { // by a follow-up of their own, perhaps
		s = Slot{Session: s.Session, ID: o.newID(), Starts: s.Starts, Ends: s.Ends, Kind: kindExtra}
		if err := o.putSlot(tx, hospital, s); err != nil {
			return nil, err
		}
	}
	if held[s.ID] == "" {
		if _, err := tx.Exec(`INSERT INTO hospital_hold (lane, tenant, session, slot, epoch, who, at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			int64(o.lane(hospital)), hospital.String(), s.Session, s.ID, int64(s.Epoch), x.Who, tx.At().UnixMicro()); err != nil {
			return nil, err
		}
	}
	session, err := o.sessionIn(tx, hospital, s.Session)
	if err != nil {
		return nil, err
	}
	_, with, err := o.clinicOf(tx, hospital, session.Clinic)
	return &booking.Appointment{Slot: s.ID, Epoch: s.Epoch, Session: s.Session, Start: s.Starts, End: s.Ends, Clinician: with.Name, ClinicianID: with.Login}, err
}
