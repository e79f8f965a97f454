package hospital

import (
	"context"
	"slices"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Whoever does not come to their first appointment may have their wait for treatment nullified (status code 33), but only where it can be shown that they were told of that appointment. What shows it is written down
// before the appointment begins: that the patient took the time themselves, as the spine says, or how somebody here told them.

// statusNullified is the code of referral to treatment by which somebody who did not come to their first appointment has waited for nothing (NHS Data Dictionary, REFERRAL TO TREATMENT PERIOD STATUS).
const statusNullified = "33"

// statusBegins is the code by which a wait begins.
const statusBegins = "10"

// How somebody is told of an appointment.
const (
	byLetter    = "letter"
	byTelephone = "telephone"
	inPerson    = "person"
	byThemself  = "patient" // they took the time themselves: nobody writes it down here, the spine says so
)

func waysToTell() []string { return []string{byLetter, byTelephone, inPerson} }

// Informed is how somebody was told of an appointment. The zero value is for somebody of whom that is not known.
type Informed struct {
	How string
	At  time.Time
	By  string // who told them, as a name; empty for themselves
}

// Inform writes down that somebody was told of their appointment in a slot, and how. Saying it again changes nothing: what counts is when they were told first. Errors: fault.Invalid for a way that is none; fault.Conflict when
// they are not booked there, and once the appointment has begun: what is written down afterwards shows nothing.
func (o *Outpatients) Inform(ctx context.Context, by access.Principal, hospital ident.ODSCode, ubrn, session, slot, how string) error {
	if !slices.Contains(waysToTell(), how) {
		return fault.New(fault.Invalid, "Say how they were told: by letter, by telephone or in person.")
	}
	return o.onCase(ctx, by, hospital, ubrn, false, func(tx *store.Tx, c Case) error {
		booked, err := o.bookedAt(tx, hospital, session, slot)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(booked, func(b Booked) bool { return b.Who == ubrn && b.Slot.ID == slot && !b.over() })
		switch {
		case i < 0:
			return fault.New(fault.Conflict, "They are not booked there any more.")
		case !booked[i].Slot.Starts.After(tx.At()):
			return fault.New(fault.Conflict, "The appointment has begun: that they were told of it can be written down before it only.")
		}
		n, err := tx.Exec(`INSERT INTO hospital_informed (lane, tenant, who, session, slot, at, how, actor) VALUES (?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lane, tenant, who, session, slot) DO NOTHING`,
			int64(o.lane(hospital)), hospital.String(), ubrn, session, slot, tx.At().UnixMicro(), how, by.Name)
		if err != nil || n == 0 {
			return err
		}
		return o.event(tx, hospital, ubrn, "informed-"+how, booked[i].Slot.Starts.UTC().Format(time.RFC3339), by.Name)
	})
}

// informed is how somebody was told of an appointment in a slot.
func (o *Outpatients) informed(tx *store.Tx, hospital ident.ODSCode, c Case, session, slot string) (x Informed, err error) {
	var at int64
	err = tx.QueryRow(`SELECT at, how, actor FROM hospital_informed WHERE lane = ? AND tenant = ? AND who = ? AND session = ? AND slot = ?`, int64(o.lane(hospital)), hospital.String(), c.UBRN.String(), session, slot).Scan(&at, &x.How, &x.By)
	if err == nil {
		x.At = fromMicros(at)
		return x, nil
	}
	if !fault.Is(err, fault.NotFound) {
		return x, err
	}
	if a := c.Appointment; a != nil && a.Session == session && a.Slot == slot && !c.ByPatient.IsZero() {
		x = Informed{How: byThemself, At: c.ByPatient}
	}
	return x, nil
}

// uninform forgets that somebody was told of a time which they have no more: should they come to have it again, they are to be told again.
func (o *Outpatients) uninform(tx *store.Tx, hospital ident.ODSCode, was, now *booking.Appointment, who string) error {
	if was == nil || now != nil && now.Session == was.Session && now.Slot == was.Slot {
		return nil
	}
	return tx.Queue(`DELETE FROM hospital_informed WHERE lane = ? AND tenant = ? AND who = ? AND session = ? AND slot = ?`, int64(o.lane(hospital)), hospital.String(), who, was.Session, was.Slot)
}

// priorityTwoWeeks is the priority of somebody of whom a cancer is suspected.
const priorityTwoWeeks = "TWO_WEEK_WAIT"

// nullifies refuses the code 33 but for somebody who did not come to their first appointment, of which they were told, and of whom no cancer is suspected (NHS Data Dictionary, REFERRAL TO TREATMENT PERIOD). Errors: fault.Conflict.
func (o *Outpatients) nullifies(tx *store.Tx, hospital ident.ODSCode, b Booked, come Coming) error {
	if come.Status != statusNullified {
		return nil
	}
	if b.Case.Priority == priorityTwoWeeks {
		return fault.New(fault.Conflict, "Where a cancer is suspected the wait runs on, also of somebody who did not come. Choose another code.")
	}
	if come.State != visitMissed {
		return fault.New(fault.Conflict, "Code 33 is for somebody who did not come to their first appointment. Choose another.")
	}
	came, err := o.cameIn(tx, hospital, b.Case)
	if err != nil {
		return err
	}
	if b.FollowUp || came.seen {
		return fault.New(fault.Conflict, "Code 33 is for the first appointment only, and they have been seen before. Choose another.")
	}
	told, err := o.informed(tx, hospital, b.Case, b.Slot.Session, b.Slot.ID)
	if err != nil {
		return err
	}
	if told.At.IsZero() || !told.At.Before(b.Slot.Starts) {
		return fault.New(fault.Conflict, "Nothing shows that they were told of this appointment, so code 33 cannot take the wait away. Choose another.")
	}
	return nil
}

// anew begins the clock of somebody anew who has another time after their wait was nullified: on the day on which it was taken, by status code 10 (NHS Data Dictionary, REFERRAL TO TREATMENT PERIOD). A time that they had before they
// missed the other is none.
func (o *Outpatients) anew(tx *store.Tx, hospital ident.ODSCode, c booking.Case, p *Pathway, acts []Act) error {
	at := c.Appointment
	if p.Status != statusNullified || p.Stopped.IsZero() || c.Gone || c.State != stateBooked || at == nil {
		return nil
	}
	came, err := o.cameTo(tx, hospital, c.UBRN.String(), at)
	if err != nil || came { // it is the one that they missed
		return err
	}
	taken := c.Changed
	if !c.ByPatient.IsZero() {
		taken = c.ByPatient
	}
	for _, a := range acts {
		if a.Appointment != nil && (a.Kind == booking.ActMove || a.Kind == booking.ActOffer) && a.Appointment.Session == at.Session && a.Appointment.Slot == at.Slot {
			taken = a.At
		}
	}
	if taken.Before(p.Lost) {
		return nil
	}
	p.Clock, p.Began, p.Stopped, p.Status = taken, taken, time.Time{}, statusBegins
	return o.event(tx, hospital, c.UBRN.String(), "anew", taken.UTC().Format(time.RFC3339), "")
}
