package hospital

import (
	"context"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// States of a visit.
const (
	visitBooked    = booking.VisitBooked
	visitArrived   = booking.VisitArrived
	visitAttended  = booking.VisitAttended
	visitMissed    = booking.VisitMissed
	visitCancelled = booking.VisitCancelled
)

// Outcomes of a visit.
const (
	outcomeDischarged = "discharged"
	outcomeFollowUp   = "follow-up"
	outcomeTreatment  = "treatment"
	outcomeWatch      = "watch"
	outcomeAssessed   = "assessed" // back to who referred them, with the result: the referral is no more for this hospital to act on
)

func outcomes() []string {
	return []string{outcomeDischarged, outcomeFollowUp, outcomeTreatment, outcomeWatch, outcomeAssessed}
}

// statuses are the codes of referral to treatment that an outcome may have (NHS Data Dictionary, REFERRAL TO TREATMENT PERIOD STATUS): 10 to 12 start a clock, 20 and 21 let
// it run, 30 to 36 stop it, 33 as if it had never run (see nullifies), 90 to 98 are on none, 99 is not known yet.
func statuses() []string {
	return []string{"20", "21", "30", "31", "32", "33", "34", "35", "90", "91", "92", "99"}
}

// stops reports whether a status code stops the clock.
func stops(code string) bool { return code >= "30" && code <= "36" }

// Visit is one coming of somebody to a clinic.
type Visit struct {
	Session, Slot  string
	Epoch          booking.Epoch
	Who            string
	Kind           string // referral, follow-up
	State          string
	Outcome        string
	Status         string
	Note           string
	Arrived, Ended time.Time
	Actor          string
}

type visitKey struct{ slot, who string }

func (o *Outpatients) visitsIn(tx *store.Tx, hospital ident.ODSCode, at inSession) (map[visitKey]Visit, error) {
	all := map[visitKey]Visit{}
	list, err := o.visitsWhere(tx, hospital, at.where("session", "slot"), at.args()...)
	for _, v := range list {
		all[visitKey{v.Slot, v.Who}] = v
	}
	return all, err
}

func (o *Outpatients) visitsWhere(tx *store.Tx, hospital ident.ODSCode, cond string, args ...any) (list []Visit, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var v Visit
		var arrived, ended int64
		if err := r.Scan(&v.Session, &v.Slot, (*int64)(&v.Epoch), &v.Who, &v.Kind, &v.State, &v.Outcome, &v.Status, &v.Note, &arrived, &ended, &v.Actor); err != nil {
			return err
		}
		v.Arrived, v.Ended = fromMicros(arrived), fromMicros(ended)
		list = append(list, v)
		return nil
	}, `SELECT session, slot, epoch, who, kind, state, outcome, status, note, arrived, ended, actor FROM hospital_visit WHERE lane = ? AND tenant = ? AND `+cond+` ORDER BY session, slot, epoch`,
		append([]any{int64(o.lane(hospital)), hospital.String()}, args...)...)
	return list, err
}

func (o *Outpatients) putVisit(tx *store.Tx, hospital ident.ODSCode, v Visit) error {
	_, err := tx.Exec(`INSERT INTO hospital_visit (lane, tenant, session, slot, epoch, who, kind, state, outcome, status, note, arrived, ended, actor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, tenant, session, slot, epoch, who) DO UPDATE SET state = excluded.state, outcome = excluded.outcome, status = excluded.status, note = excluded.note, arrived = excluded.arrived, ended = excluded.ended, actor = excluded.actor`,
		int64(o.lane(hospital)), hospital.String(), v.Session, v.Slot, int64(v.Epoch), v.Who, v.Kind, v.State, v.Outcome, v.Status, v.Note, micros(v.Arrived), micros(v.Ended), v.Actor)
	return err
}

// Coming is what happens to somebody at a clinic.
type Coming struct {
	Session, Slot string
	State         string // arrived, attended, did-not-attend; booked takes an arrival back
	Outcome       string // of attended
	Reason        string // why they did not come: a code of codes.Missed
	Status        string // of referral to treatment, of attended and did-not-attend
	Note          string
	Rebook        bool // somebody who did not come is offered another time; otherwise they go back to who referred them
}

func (c Coming) check() error {
	known := func(all []string, s string) bool {
		for _, x := range all {
			if x == s {
				return true
			}
		}
		return false
	}
	switch {
	case c.State == visitAttended && !known(outcomes(), c.Outcome):
		return fault.New(fault.Invalid, "Say what came of it.")
	case c.State == visitAttended && !known(statuses(), c.Status):
		return fault.New(fault.Invalid, "Say how the wait for treatment stands.")
	case c.State == visitMissed && c.Status != "" && !known(statuses(), c.Status):
		return fault.New(fault.Invalid, "There is no code %q of the wait for treatment.", c.Status)
	case c.Outcome == outcomeAssessed && c.Note == "":
		return fault.New(fault.Invalid, "Write the result of the assessment, and what you advise. The practice reads it.")
	case c.State != visitAttended && c.State != visitArrived && c.State != visitMissed && c.State != visitBooked:
		return fault.New(fault.Invalid, "Nobody can be %s.", c.State)
	}
	return nil
}

// Come writes down that somebody came to their appointment, or did not, and what came of it. It is done here at once; the spine is told. Saying the same again in the same words changes nothing.
// Errors: fault.Conflict when they are not booked there, it is over, or it is too soon to say so (booking.Come).
func (o *Outpatients) Come(ctx context.Context, by access.Principal, hospital ident.ODSCode, ubrn string, come Coming) error {
	if err := come.check(); err != nil {
		return err
	}
	return o.onCase(ctx, by, hospital, ubrn, come.State == visitAttended, func(tx *store.Tx, c Case) error {
		if come.State == visitMissed {
			if err := explained(booking.ActNotAttended, come.Reason, come.Note, tx.At()); err != nil {
				return err
			}
		}
		booked, err := o.bookedAt(tx, hospital, come.Session, come.Slot)
		if err != nil {
			return err
		}
		for _, b := range booked {
			if b.Who == ubrn && b.Slot.ID == come.Slot && !b.Changing {
				return o.come(tx, by, hospital, b, come)
			}
		}
		byHand, err := o.byHandIn(tx, hospital, inSession{come.Session, come.Slot})
		if err != nil {
			return err
		}
		for _, b := range byHand {
			if b.Who == ubrn {
				return o.come(tx, by, hospital, b, come)
			}
		}
		return fault.New(fault.Conflict, "They are not booked there any more.")
	})
}

func (o *Outpatients) come(tx *store.Tx, by access.Principal, hospital ident.ODSCode, b Booked, come Coming) error {
	v := b.Visit
	if v.Who == "" {
		v = Visit{Session: b.Slot.Session, Slot: b.Slot.ID, Epoch: b.Slot.Epoch, Who: b.Who, Kind: "referral", State: visitBooked}
	}
	if v.State == come.State && v.Outcome == come.Outcome && (v.Ended.IsZero() || v.Note == come.Note) {
		return nil // said before, in the same words
	}
	if v.State == visitAttended || v.State == visitMissed || v.State == visitCancelled {
		return fault.New(fault.Conflict, "This appointment is over: they are written down as %s.", v.State)
	}
	if come.Outcome == outcomeAssessed && !b.assessable() {
		return fault.New(fault.Conflict, "The referral is not booked here any more, and cannot be returned again. Choose another outcome.")
	}
	if err := booking.Come(come.State, b.Slot.Starts, tx.At()); err != nil {
		return err
	}
	if err := o.nullifies(tx, hospital, b, come); err != nil {
		return err
	}
	v.State, v.Actor, v.Note = come.State, by.Name, come.Note
	switch come.State {
	case visitArrived:
		v.Arrived = tx.At()
	case visitBooked:
		v.Arrived = time.Time{}
	default:
		v.Ended, v.Outcome, v.Status = tx.At(), come.Outcome, come.Status
	}
	if err := o.putVisit(tx, hospital, v); err != nil {
		return err
	}
	if come.State == visitArrived || come.State == visitBooked {
		if b.ByHand == nil { // the spine knows of no such appointment yet
			if err := o.tellVisit(tx, hospital, b, v); err != nil {
				return err
			}
		}
		return o.event(tx, hospital, b.Who, come.State, "", by.Name)
	}
	if err := o.conclude(tx, hospital, b, come); err != nil {
		return err
	}
	if b.ByHand != nil {
		if err := o.putComeByHand(tx, hospital, b, comeByHand{come, by.Name}); err != nil {
			return err
		}
		return o.event(tx, hospital, b.Who, come.State, come.Note, by.Name)
	}
	if b.FollowUp {
		if err := o.tellVisit(tx, hospital, b, v); err != nil {
			return err
		}
	}
	if b.FollowUp && come.Outcome != outcomeDischarged && come.Outcome != outcomeAssessed {
		return o.event(tx, hospital, b.Who, come.State, come.Note, by.Name)
	}
	return o.tellCome(tx, by, hospital, b, come)
}

// conclude sets the clock by what came of a visit.
func (o *Outpatients) conclude(tx *store.Tx, hospital ident.ODSCode, b Booked, come Coming) error {
	p := b.Case.Pathway
	if b.ByHand != nil {
		p.Rebook, p.Reason = time.Time{}, "" // they have had a time
	}
	if come.Status != "" {
		p.Status = come.Status
		if stops(come.Status) && p.Stopped.IsZero() {
			p.Stopped = tx.At()
		}
	}
	if come.Outcome == outcomeDischarged {
		p.Closed = true
	}
	if come.Outcome == outcomeAssessed { // whether the clock runs on is what the status says; nobody here is to be seen within a limit any more
		p.Review, p.Rebook, p.Reason = reviewAssessed, time.Time{}, ""
	}
	if come.State == visitMissed {
		p.Lost = b.Slot.Starts
	}
	if come.State == visitMissed && come.Rebook {
		p.Rebook, p.Reason = tx.At(), visitMissed
	}
	return o.putPathway(tx, hospital, b.Who, p)
}

// assessable reports whether somebody's referral can be returned with the result of an assessment: not at a follow-up of what is not booked any more, for the spine takes it from there alone.
func (b Booked) assessable() bool { return !b.FollowUp || b.Case.State == "BOOKED" }

// tellCome tells the spine what came of an appointment of a referral.
func (o *Outpatients) tellCome(tx *store.Tx, by access.Principal, hospital ident.ODSCode, b Booked, come Coming) error {
	c := b.Case
	var acts []string
	switch {
	case come.State == visitMissed:
		acts = []string{booking.ActNotAttended}
	case come.Outcome == outcomeAssessed && o.seams.Unassessed:
	case come.Outcome == outcomeAssessed:
		acts = []string{booking.ActAssessed}
	case b.FollowUp:
	default:
		acts = []string{booking.ActAttended}
	}
	if come.Outcome == outcomeDischarged {
		acts = append(acts, booking.ActDischarged)
	}
	for _, kind := range acts {
		a := booking.Act{Kind: kind, Reason: come.Status, Comment: come.Note, By: by.Name}
		if kind != booking.ActDischarged {
			a.Appointment, a.Outcome = c.Appointment, come.Outcome
			a.Reason = come.Reason
		}
		if err := o.tell(tx, hospital, c, a); err != nil {
			return err
		}
	}
	return nil
}

// tellVisit tells the spine how somebody's coming stands, where no act says so: it decides nothing there, and whoever subscribed to such is told.
func (o *Outpatients) tellVisit(tx *store.Tx, hospital ident.ODSCode, b Booked, v Visit) error {
	x := b.Slot
	m := booking.Visit{UBRN: b.Case.UBRN, FollowUp: b.FollowUp, State: v.State, Outcome: v.Outcome, At: tx.At(), By: v.Actor,
		Appointment: booking.Appointment{Slot: x.ID, Epoch: x.Epoch, Session: x.Session, Start: x.Starts, End: x.Ends}}
	if at := b.Case.Appointment; !b.FollowUp && at != nil && at.Slot == x.ID {
		m.Appointment = *at
	}
	_, err := send(o, tx, hospital, booking.WorkflowVisit, b.Case.UBRN.String(), m)
	return err
}

// FollowUp books somebody who was seen into a slot of the hospital's own. The spine has no part in it, but to tell whoever subscribed.
func (o *Outpatients) FollowUp(ctx context.Context, by access.Principal, hospital ident.ODSCode, ubrn, session, slot string) error {
	return o.onCase(ctx, by, hospital, ubrn, false, func(tx *store.Tx, c Case) error {
		switch {
		case c.Gone:
			return fault.New(fault.Conflict, "The referral is not this hospital's any more.")
		case c.Pathway.Closed:
			return discharged()
		case waitsForTime(c.Case):
			return fault.New(fault.Conflict, "They wait for their first appointment: give them that, from the list of those who wait.")
		}
		at, err := o.hold(tx, hospital, session, slot, followUpMark+ubrn)
		if err != nil {
			return err
		}
		if was, err := o.visitsWhere(tx, hospital, `session = ? AND slot = ? AND epoch = ? AND who = ?`, session, slot, int64(at.Epoch), ubrn); err != nil || len(was) > 0 && was[0].State != visitCancelled {
			return err // the form was sent twice
		}
		p := c.Pathway
		p.Rebook, p.Reason = time.Time{}, ""
		if err := o.putPathway(tx, hospital, ubrn, p); err != nil {
			return err
		}
		v := Visit{Session: session, Slot: slot, Epoch: at.Epoch, Who: ubrn, Kind: "follow-up", State: visitBooked, Actor: by.Name}
		if err := o.putVisit(tx, hospital, v); err != nil {
			return err
		}
		b := Booked{Slot: Slot{ID: slot, Epoch: at.Epoch, Session: session, Starts: at.Start, Ends: at.End}, Who: ubrn, Case: c, FollowUp: true}
		if err := o.tellVisit(tx, hospital, b, v); err != nil {
			return err
		}
		return o.event(tx, hospital, ubrn, "follow-up", at.Start.UTC().Format(time.RFC3339), by.Name)
	})
}
