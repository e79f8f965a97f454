package hospital

import (
	"context"
	"encoding/json"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// Case is a referral as the spine last told of it, and what this hospital has made of it.
type Case struct {
	booking.Case
	Chart    string // the person's record here; empty until they are a patient here
	Received time.Time
	Pathway  Pathway
}

// Review is how far the hospital is with a referral.
const (
	reviewWaiting  = "waiting"
	reviewAccepted = "accepted"
	reviewRejected = "rejected"
	reviewTriaged  = "triaged"
	reviewReturned = "returned"
	reviewAssessed = "assessed"
)

// Pathway is somebody's way through outpatients, with the clock of referral to treatment.
type Pathway struct {
	Review  string
	Clock   time.Time // since when they wait
	Status  string    // the latest status code
	Stopped time.Time // zero while the clock runs
	Closed  bool
	Rebook  time.Time // since when somebody must find them another time
	Reason  string    // why
	Lost    time.Time // when the appointment was that they had last and have no more; zero for none
	Began   time.Time // when the clock began anew here (see anew); zero where it is that of the referral
}

// Weeks is how many whole weeks somebody has waited by now, or had when the clock stopped.
func (p Pathway) Weeks(now time.Time) int {
	if !p.Stopped.IsZero() {
		now = p.Stopped
	}
	return max(0, int(now.Sub(p.Clock)/(7*24*time.Hour)))
}

// Limit is how long the person may wait yet: until they are seen here or, where a cancer is suspected, until they have been told.
func (c Case) Limit() booking.Limit {
	w := booking.Wait{Priority: c.Priority, Began: c.Pathway.Clock, Over: c.Gone || c.Pathway.Closed || !c.Pathway.Stopped.IsZero() || c.Pathway.Review == reviewReturned || c.Pathway.Review == reviewAssessed}
	w.Seen = c.Pathway.Status == "20" || c.Pathway.Status == "21" // more is to come, here or elsewhere
	if c.Appointment != nil {
		w.Booked = c.Appointment.Start
	}
	return w.Limit()
}

// caseCame keeps a referral as the spine tells of it: the highest version wins, whatever order they come in.
func (o *Outpatients) caseCame(_ context.Context, tx *store.Tx, m messaging.Message) error {
	c, err := decoded[booking.Case](o, m)
	if err != nil {
		return err
	}
	was, err := o.caseIn(tx, m.To, c.UBRN.String())
	known := err == nil
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if known && was.Version >= c.Version {
		return nil
	}
	if err := o.keepCase(tx, m.To, c); err != nil {
		return err
	}
	session, err := o.found(tx, m.To, c)
	if err != nil {
		return err
	}
	if len(m.Files) > 0 {
		if err := o.k.Post().Keep(tx, o.lane(m.To), "hospital/"+m.To.String()+"/"+c.UBRN.String(), m.Files...); err != nil {
			return err
		}
	}
	p := was.Pathway
	if !known {
		p = Pathway{Review: reviewWaiting, Status: statusBegins}
	}
	if p.Stopped.IsZero() && p.Began.IsZero() {
		p.Clock = c.ClockStart
	}
	if was.Appointment != nil && c.Appointment == nil {
		p.Lost = was.Appointment.Start
	}
	if err := o.uninform(tx, m.To, was.Appointment, c.Appointment, c.UBRN.String()); err != nil {
		return err
	}
	acts, err := o.actsOf(tx, m.To, c.UBRN.String())
	if err != nil {
		return err
	}
	if err := o.anew(tx, m.To, c, &p, acts); err != nil {
		return err
	}
	open, err := o.openByHand(tx, m.To, c.UBRN.String())
	if err != nil {
		return err
	}
	_, closed := seenByHand(open)
	over := slices.ContainsFunc(acts, func(a Act) bool { return a.Kind == booking.ActDischarged && a.news(c.Sent) })
	p.Closed = c.Gone || c.Closed || closed || over // what says that the spine has taken it may still be on its way
	p.review(known && was.Gone, c, acts)
	if err := o.follow(tx, m.To, c, &p, session, acts, open); err != nil {
		return err
	}
	if !known || p != was.Pathway {
		if err := o.putPathway(tx, m.To, c.UBRN.String(), p); err != nil {
			return err
		}
	}
	what, detail := "told", c.State
	if known && was.State == c.State && (was.Offer == nil) != (c.Offer == nil) { // no new issue: the figures count who is told to wait
		if what, detail = "offer-over", ""; c.Offer != nil {
			what, detail = "offered", c.Offer.Start.Format(time.RFC3339)
		}
	}
	return o.event(tx, m.To, c.UBRN.String(), what, detail, "")
}

// review is whether somebody must read the referral as it is now: not when the spine knows that they have, and anew when it has come back from elsewhere, or the spine has it as not
// read. What the hospital has just decided stands until the spine answers.
func (p *Pathway) review(cameBack bool, c booking.Case, acts []Act) {
	if c.Gone || slices.ContainsFunc(acts, func(a Act) bool { return a.State == actWaiting && a.decides() }) {
		return
	}
	if cameBack {
		p.Review = reviewWaiting
	}
	switch {
	case c.State == stateTriage:
		p.Review = reviewWaiting
	case c.State == stateAssessed:
		p.Review = reviewAssessed
	case c.Accepted && c.State == "TRIAGED_PROVIDER_TO_ACTION":
		p.Review = reviewTriaged
	case c.Accepted && p.Review != reviewTriaged:
		p.Review = reviewAccepted
	case !c.Accepted:
		p.Review = reviewWaiting
	}
}

// stateTriage is the state of a referral that the hospital has yet to triage: accepting it would decide nothing.
const stateTriage = "AWAITING_TRIAGE"

// stateBooked is the state of a referral that has an appointment.
const stateBooked = "BOOKED"

// stateAssessed is the state of a referral that went back to who made it, with the result of an assessment.
const stateAssessed = "ASSESSMENT_RESULT"

// decides reports whether an act says what the hospital has made of a referral.
func (a Act) decides() bool {
	switch a.Kind {
	case booking.ActAccept, booking.ActReject, booking.ActTriageAccept, booking.ActTriageReturn, booking.ActAssessed:
		return true
	}
	return false
}

// waitsForTime reports whether it is the hospital's to find a time for somebody.
func waitsForTime(c booking.Case) bool {
	switch c.State {
	case "DEFERRED_TO_PROVIDER", "TRIAGED_PROVIDER_TO_ACTION", "APPT_CANCELLED_BY_PROVIDER":
		return c.Appointment == nil && !c.Invited
	}
	return false
}

// follow draws from what the spine tells what it means for the hospital's own work. The session is that of the appointment, nil where there is none; the acts are all of the referral.
func (o *Outpatients) follow(tx *store.Tx, hospital ident.ODSCode, c booking.Case, p *Pathway, s *Session, acts []Act, byHand []Override) error {
	asked := slices.ContainsFunc(acts, func(a Act) bool {
		return a.State == actWaiting && (a.Kind == booking.ActMove || a.Kind == booking.ActOffer)
	})
	seen, _ := seenByHand(byHand)
	switch {
	case c.Gone || c.State == "REJECTED" || c.State == "AWAITING_TRIAGE" || c.State == stateAssessed || strings.HasPrefix(c.State, "CANCELLED"):
		p.Rebook, p.Reason = time.Time{}, ""
	case waitsForTime(c) && p.Rebook.IsZero() && !asked && !seen:
		p.Rebook, p.Reason = tx.At(), c.Comment
	case c.Appointment != nil:
		switch {
		case s == nil:
		case s.State != sessionWithdrawn:
			if p.Rebook.IsZero() && p.Reason == "" {
				break // there is nothing to take back
			}
			came, err := o.cameTo(tx, hospital, c.UBRN.String(), c.Appointment)
			if err != nil {
				return err
			}
			if !came { // whoever missed it is found another time
				p.Rebook, p.Reason = time.Time{}, ""
			}
		case slices.ContainsFunc(acts, func(a Act) bool { return a.Kind == booking.ActCancel && a.news(c.Sent) }): // the spine has been told
		case !asked && tx.Holds(o.k.Post().LaneOf(hospital, c.UBRN.String())):
			if err := o.outOfWithdrawn(tx, hospital, c, *s, p); err != nil {
				return err
			}
		}
	}
	if err := o.settleTold(tx, hospital, Case{Case: c, Pathway: *p}, byHand); err != nil {
		return err
	}
	return o.release(tx, hospital, c, acts)
}

// outOfWithdrawn puts somebody on the worklist, and has the spine cancel their appointment, where the hospital learns only now that they are in a slot of its own of a session that it has withdrawn: a
// restore had lost it. (Who is in a slot of the spine's is known to the spine by the session.)
func (o *Outpatients) outOfWithdrawn(tx *store.Tx, hospital ident.ODSCode, c booking.Case, s Session, p *Pathway) error {
	booked, err := o.bookedAt(tx, hospital, c.Appointment.Session, c.Appointment.Slot)
	for _, b := range booked {
		if err != nil {
			break
		}
		if b.Who != c.UBRN.String() || b.FollowUp || b.over() || !b.own() {
			continue
		}
		p.Rebook, p.Reason, p.Lost = tx.At(), s.Reason, b.Slot.Starts
		x, by := b.Slot, o.self(hospital).Name
		err = o.tell(tx, hospital, b.Case, booking.Act{Kind: booking.ActCancel, Reason: reasonWithdrawn, Comment: s.Reason, By: by,
			Appointment: &booking.Appointment{Slot: x.ID, Epoch: x.Epoch, Session: x.Session, Start: x.Starts, End: x.Ends}})
		if err == nil {
			err = o.event(tx, hospital, b.Who, "withdrawn", s.Reason, by)
		}
	}
	return err
}

// release lets go of the slots that the hospital held for a referral which is elsewhere now. What it has asked the spine for since the last act that is part of what the spine
// tells stays held until the spine refuses, or tells of it.
func (o *Outpatients) release(tx *store.Tx, hospital ident.ODSCode, c booking.Case, acts []Act) error {
	keep := map[[2]string]bool{}
	if c.Appointment != nil {
		keep[[2]string{c.Appointment.Session, c.Appointment.Slot}] = true
	}
	told := int64(0) // the last act that is part of what the spine tells
	for _, a := range acts {
		if a.message == c.Took {
			told = max(told, a.Number)
		}
	}
	for _, a := range acts {
		if (a.Kind == booking.ActMove || a.Kind == booking.ActOffer) && a.news(c.Sent) && a.Number > told && !o.seams.LetGo {
			keep[[2]string{a.Appointment.Session, a.Appointment.Slot}] = true
		}
	}
	var over [][2]string
	err := rowsOf(tx, func(r *store.Rows) error {
		var at [2]string
		if err := r.Scan(&at[0], &at[1]); err != nil {
			return err
		}
		if !keep[at] {
			over = append(over, at)
		}
		return nil
	}, `SELECT session, slot FROM hospital_hold WHERE lane = ? AND tenant = ? AND who = ?`, int64(o.lane(hospital)), hospital.String(), c.UBRN.String())
	for _, at := range over {
		if err == nil {
			_, err = tx.Exec(`DELETE FROM hospital_hold WHERE lane = ? AND tenant = ? AND session = ? AND slot = ? AND who = ?`, int64(o.lane(hospital)), hospital.String(), at[0], at[1], c.UBRN.String())
		}
	}
	return err
}

// holds reports whether the hospital holds a slot for a referral.
func (o *Outpatients) holds(tx *store.Tx, hospital ident.ODSCode, ubrn string) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM (SELECT 1 FROM hospital_hold WHERE lane = ? AND tenant = ? AND who = ? LIMIT 1) held`, int64(o.lane(hospital)), hospital.String(), ubrn).Scan(&n)
	return n > 0, err
}

func (o *Outpatients) keepCase(tx *store.Tx, hospital ident.ODSCode, c booking.Case) error {
	body, err := json.Marshal(c)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "a referral could not be written")
	}
	var a booking.Appointment
	if c.Appointment != nil {
		a = *c.Appointment
	}
	_, err = tx.Exec(`INSERT INTO hospital_case (lane, tenant, ubrn, version, state, gone, priority, service, number, chart, session, slot, epoch, starts, clock, received, sent, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, tenant, ubrn) DO UPDATE SET version = excluded.version, state = excluded.state, gone = excluded.gone, priority = excluded.priority, service = excluded.service,
		chart = CASE WHEN hospital_case.number = excluded.number THEN hospital_case.chart ELSE '' END, number = excluded.number,
		session = excluded.session, slot = excluded.slot, epoch = excluded.epoch, starts = excluded.starts, clock = excluded.clock, sent = excluded.sent, body = excluded.body`,
		int64(o.lane(hospital)), hospital.String(), c.UBRN.String(), c.Version, c.State, c.Gone, c.Priority, c.Service, c.Person.NHSNumber.String(),
		a.Session, a.Slot, int64(a.Epoch), micros(a.Start), micros(c.ClockStart), tx.At().UnixMicro(), c.Sent, body)
	return err
}

func (o *Outpatients) putPathway(tx *store.Tx, hospital ident.ODSCode, who string, p Pathway) error {
	_, err := tx.Exec(`INSERT INTO hospital_pathway (lane, tenant, who, review, clock, status, stopped, closed, rebook, reason, lost, began) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, tenant, who) DO UPDATE SET review = excluded.review, clock = excluded.clock, status = excluded.status, stopped = excluded.stopped, closed = excluded.closed, rebook = excluded.rebook, reason = excluded.reason, lost = excluded.lost, began = excluded.began`,
		int64(o.lane(hospital)), hospital.String(), who, p.Review, micros(p.Clock), p.Status, micros(p.Stopped), p.Closed, micros(p.Rebook), p.Reason, micros(p.Lost), micros(p.Began))
	return err
}

// event notes what happened on a pathway. Those of one transaction stand in the order of the calls.
func (o *Outpatients) event(tx *store.Tx, hospital ident.ODSCode, who, what, detail, actor string) error {
	o.changed(tx, hospital)
	lane, h, at := int64(o.lane(hospital)), hospital.String(), tx.At().UnixMicro()
	return tx.Queue(`INSERT INTO hospital_event (lane, tenant, who, at, what, detail, actor) VALUES (?, ?, ?,
		(SELECT CASE WHEN max(e.at) >= ? THEN max(e.at) + 1 ELSE CAST(? AS BIGINT) END FROM hospital_event e WHERE e.lane = ? AND e.tenant = ? AND e.who = ?), ?, ?, ?)`,
		lane, h, who, at, at, lane, h, who, what, detail, actor)
}

// Event is what happened on a pathway.
type Event struct {
	At                  time.Time
	What, Detail, Actor string
}

func (o *Outpatients) eventsIn(tx *store.Tx, hospital ident.ODSCode, who string) (list []Event, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var e Event
		var at int64
		if err := r.Scan(&at, &e.What, &e.Detail, &e.Actor); err != nil {
			return err
		}
		e.At = fromMicros(at)
		list = append(list, e)
		return nil
	}, `SELECT at, what, detail, actor FROM hospital_event WHERE lane = ? AND tenant = ? AND who = ? ORDER BY at DESC`, int64(o.lane(hospital)), hospital.String(), who)
	return list, err
}

const caseColumns = `c.body, c.chart, c.received, coalesce(p.review, 'waiting'), coalesce(p.clock, 0), coalesce(p.status, ''), coalesce(p.stopped, 0), coalesce(p.closed, 0), coalesce(p.rebook, 0), coalesce(p.reason, ''), coalesce(p.lost, 0), coalesce(p.began, 0)
	FROM hospital_case c LEFT JOIN hospital_pathway p ON p.lane = c.lane AND p.tenant = c.tenant AND p.who = c.ubrn`

// casesIn are the referrals that a condition finds: c is their row, p that of their pathway.
func (o *Outpatients) casesIn(tx *store.Tx, hospital ident.ODSCode, cond string, args ...any) (list []Case, err error) {
	return o.casesBy(tx, hospital, `c.lane = ? AND c.tenant = ? AND `+cond, args...)
}

// nobodyYet finds the referrals of those who are no patients here yet. The lane is no bare column, for it must not tempt the planner: it would walk all referrals of the hospital, in their order, for
// the few of these.
const nobodyYet = `c.lane + 0 = ? AND c.tenant = ? AND c.chart = '' AND c.gone + 0 = 0 ORDER BY c.ubrn LIMIT ?`

// casesBy is casesIn where the condition begins with the lane and the tenant.
func (o *Outpatients) casesBy(tx *store.Tx, hospital ident.ODSCode, cond string, args ...any) (list []Case, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var c Case
		var body []byte
		var received, clock, stopped, rebook, lost, began int64
		if err := r.Scan(&body, &c.Chart, &received, &c.Pathway.Review, &clock, &c.Pathway.Status, &stopped, &c.Pathway.Closed, &rebook, &c.Pathway.Reason, &lost, &began); err != nil {
			return err
		}
		if err := json.Unmarshal(body, &c.Case); err != nil {
			return fault.Wrap(err, fault.Internal, "a referral that is kept cannot be read")
		}
		c.Received, c.Pathway.Clock, c.Pathway.Stopped, c.Pathway.Rebook = fromMicros(received), fromMicros(clock), fromMicros(stopped), fromMicros(rebook)
		c.Pathway.Lost, c.Pathway.Began = fromMicros(lost), fromMicros(began)
		list = append(list, c)
		return nil
	}, `SELECT `+caseColumns+` WHERE `+cond, append([]any{int64(o.lane(hospital)), hospital.String()}, args...)...)
	return list, err
}

// chartOf is the record of a referral's person here; empty until they are a patient here.
func (o *Outpatients) chartOf(tx *store.Tx, hospital ident.ODSCode, ubrn string) (chart string, err error) {
	err = tx.QueryRow(`SELECT chart FROM hospital_case WHERE lane = ? AND tenant = ? AND ubrn = ?`, int64(o.lane(hospital)), hospital.String(), ubrn).Scan(&chart)
	if fault.Is(err, fault.NotFound) {
		err = noCase()
	}
	return chart, err
}

func noCase() error { return fault.New(fault.NotFound, "There is no referral of this number here.") }

func (o *Outpatients) caseIn(tx *store.Tx, hospital ident.ODSCode, ubrn string) (Case, error) {
	list, err := o.casesIn(tx, hospital, `c.ubrn = ?`, ubrn)
	if err == nil && len(list) == 0 {
		err = noCase()
	}
	if err != nil {
		return Case{}, err
	}
	return list[0], nil
}

// Booked is somebody in a slot.
type Booked struct {
	Slot     Slot
	Who      string // the UBRN of their pathway
	Case     Case
	FollowUp bool
	// Changing says that the spine has booked this slot otherwise since, and that what says so is on its way here.
	Changing bool
	// Waiting says that the spine has not confirmed yet that they are here.
	Waiting bool
	// ByHand says that they were put there while there was no line, and that nobody has settled it.
	ByHand *Override
	Visit  Visit
}

// over reports whether nothing more is to be done for somebody in a session that is withdrawn.
func (b Booked) over() bool {
	return b.Changing || b.Visit.State == visitAttended || b.Visit.State == visitMissed || b.Visit.State == visitCancelled
}

// own reports whether somebody is in a slot that the hospital itself owns, or will be when the spine has confirmed it.
func (b Booked) own() bool {
	at := b.Case.Appointment
	return b.Waiting || !b.FollowUp && at != nil && at.Slot == b.Slot.ID && booking.Hospital.Owns(at.Epoch)
}

// bookedIn is who is in a session, by slot.
func (o *Outpatients) bookedIn(tx *store.Tx, hospital ident.ODSCode, session string) ([]Booked, error) {
	slots, err := o.slotsIn(tx, hospital, session)
	if err != nil {
		return nil, err
	}
	return o.bookedOf(tx, hospital, slots, inSession{session: session})
}

// bookedAt is who is in one slot of a session.
func (o *Outpatients) bookedAt(tx *store.Tx, hospital ident.ODSCode, session, slot string) ([]Booked, error) {
	slots, err := o.slotsWhere(tx, hospital, `session = ? AND id = ?`, session, slot)
	if err != nil {
		return nil, err
	}
	return o.bookedOf(tx, hospital, slots, inSession{session, slot})
}

// inSession is a session, or one slot of it.
type inSession struct{ session, slot string }

func (x inSession) where(session, slot string) string {
	if x.slot == "" {
		return session + ` = ?`
	}
	return session + ` = ? AND ` + slot + ` = ?`
}

func (x inSession) args() []any {
	if x.slot == "" {
		return []any{x.session}
	}
	return []any{x.session, x.slot}
}

func (o *Outpatients) bookedOf(tx *store.Tx, hospital ident.ODSCode, slots []Slot, at inSession) (list []Booked, err error) {
	cases, err := o.casesIn(tx, hospital, at.where("c.session", "c.slot")+` AND c.gone + 0 = 0`, at.args()...) // found by the session: most of the hospital's are not gone
	if err != nil {
		return nil, err
	}
	visits, err := o.visitsIn(tx, hospital, at)
	if err != nil {
		return nil, err
	}
	held, err := o.heldIn(tx, hospital, at.session)
	if err != nil {
		return nil, err
	}
	for _, x := range slots {
		in := 0
		for _, c := range cases {
			if c.Appointment == nil || c.Appointment.Slot != x.ID {
				continue
			}
			b := Booked{Slot: x, Who: c.UBRN.String(), Case: c, Changing: c.Appointment.Epoch < x.Base}
			b.Visit = visits[visitKey{x.ID, b.Who}]
			if list = append(list, b); !b.Changing {
				in++
			}
		}
		who, followUp := strings.CutPrefix(held[x.ID], followUpMark)
		if who == "" || !followUp && slices.ContainsFunc(list, func(b Booked) bool { return b.Slot.ID == x.ID && b.Who == who && !b.FollowUp }) {
			continue
		}
		c, err := o.caseIn(tx, hospital, who)
		if fault.Is(err, fault.NotFound) {
			continue // held by what the spine answered after a restore; what tells of them is on its way
		}
		if err != nil {
			return nil, err
		}
		list = append(list, Booked{Slot: x, Who: who, Case: c, FollowUp: followUp, Waiting: !followUp, Visit: visits[visitKey{x.ID, who}]})
	}
	return list, nil
}

// seenIn is who came to a session, or did not, and whose appointment there has ended since with the spine: they stay on that day's list. booked is who is in it.
func (o *Outpatients) seenIn(tx *store.Tx, hospital ident.ODSCode, session string, slots []Slot, booked []Booked) (list []Booked, err error) {
	visits, err := o.visitsWhere(tx, hospital, `session = ? AND state IN (?, ?)`, session, visitAttended, visitMissed)
	if err != nil {
		return nil, err
	}
	for _, v := range visits {
		at := slices.IndexFunc(slots, func(x Slot) bool { return x.ID == v.Slot })
		if at < 0 || slices.ContainsFunc(slices.Concat(booked, list), func(b Booked) bool { return b.Slot.ID == v.Slot && b.Who == v.Who }) {
			continue
		}
		c, err := o.caseIn(tx, hospital, v.Who)
		if fault.Is(err, fault.NotFound) {
			continue // lost with a backup
		}
		if err != nil {
			return nil, err
		}
		list = append(list, Booked{Slot: slots[at], Who: v.Who, Case: c, FollowUp: v.Kind == offerFollowUp, Visit: v})
	}
	return list, nil
}

// followUpMark stands before the UBRN where a slot is held for a follow-up, which is no business of the spine's.
const followUpMark = "f:"
