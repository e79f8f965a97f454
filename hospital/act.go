package hospital

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/referral/codes"
	"github.com/openspine/openspine/store"
)

// States of an act.
const (
	actWaiting   = "waiting" // for the spine's answer
	actConfirmed = "confirmed"
	actRefused   = "refused"
	actDealt     = "dealt" // refused, and somebody has seen to it
)

// Act is what the hospital decided of a referral, and what the spine answered.
type Act struct {
	booking.Act
	State, Answer string
	message       string // by which the spine was told
	answered      int64  // see schema/0002_answered.sql
}

// news reports whether an act is, or may be, news to what the spine sent of its referral when it had sent so much: it waits for its answer, or was confirmed since.
func (a Act) news(sent int64) bool {
	return a.State == actWaiting || a.State == actConfirmed && a.answered >= sent
}

// actsOf are the acts of one referral, in their order: they are few.
func (o *Outpatients) actsOf(tx *store.Tx, hospital ident.ODSCode, ubrn string) ([]Act, error) {
	return o.actsIn(tx, hospital, `ubrn = ?`, ubrn)
}

func (o *Outpatients) actsIn(tx *store.Tx, hospital ident.ODSCode, cond string, args ...any) (list []Act, err error) {
	err = rowsOf(tx, func(r *store.Rows) error {
		var a Act
		var body []byte
		var number int64
		if err := r.Scan(&body, &a.State, &a.Answer, &a.message, &a.answered, &number); err != nil {
			return err
		}
		if err := json.Unmarshal(body, &a.Act); err != nil {
			return fault.Wrap(err, fault.Internal, "an act that is kept cannot be read")
		}
		a.Number = number
		list = append(list, a)
		return nil
	}, `SELECT body, state, answer, message, answered, number FROM hospital_act WHERE lane = ? AND tenant = ? AND `+cond+` ORDER BY at, ubrn, number`, append([]any{int64(o.lane(hospital)), hospital.String()}, args...)...)
	return list, err
}

// tell writes down what was decided of a referral and sends it to the spine, in the transaction of the decision.
func (o *Outpatients) tell(tx *store.Tx, hospital ident.ODSCode, c Case, a booking.Act) error {
	lane, h := int64(o.lane(hospital)), hospital.String()
	if err := tx.QueryRow(`SELECT coalesce(max(number), 0) + 1 FROM hospital_act WHERE lane = ? AND tenant = ? AND ubrn = ?`, lane, h, c.UBRN.String()).Scan(&a.Number); err != nil {
		return err
	}
	a.UBRN, a.Seen, a.At = c.UBRN, c.Version, tx.At()
	message, err := send(o, tx, hospital, booking.WorkflowAct, c.UBRN.String(), a)
	if err != nil {
		return err
	}
	body, err := json.Marshal(a)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "an act could not be written")
	}
	if _, err := tx.Exec(`INSERT INTO hospital_act (lane, tenant, ubrn, number, kind, body, actor, at, message, state, answer) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '')`,
		lane, h, c.UBRN.String(), a.Number, a.Kind, body, a.By, tx.At().UnixMicro(), message, actWaiting); err != nil {
		return err
	}
	return o.event(tx, hospital, c.UBRN.String(), a.Kind, a.Comment, a.By)
}

// actAnswered learns what the spine made of an act. What it refused is undone here as far as it can be, and on a worklist.
func (o *Outpatients) actAnswered(_ context.Context, tx *store.Tx, r messaging.Receipt) error {
	if !r.State.Final() {
		return nil
	}
	state := actRefused
	if r.State == messaging.Handled {
		state = actConfirmed
	}
	const answered = `UPDATE hospital_act SET state = ?, answer = ?, answered = ? WHERE lane = ? AND tenant = ? AND ubrn = ? AND message = ?`
	lane, h := int64(o.lane(r.From)), r.From.String()
	if holds, err := o.holds(tx, r.From, r.Conversation); err != nil || !holds && state == actConfirmed { // nearly always: there is nothing to let go of
		if err == nil {
			_, err = tx.Exec(answered, state, r.Reason, micros(r.At), lane, h, r.Conversation, r.ID)
			o.changed(tx, r.From)
		}
		return err
	}
	acts, err := o.actsOf(tx, r.From, r.Conversation)
	if err != nil {
		return err
	}
	at := slices.IndexFunc(acts, func(a Act) bool { return a.message == r.ID })
	if at < 0 {
		return nil
	}
	a := &acts[at]
	a.State, a.Answer, a.answered = state, r.Reason, micros(r.At)
	if _, err := tx.Exec(answered, state, r.Reason, micros(r.At), lane, h, r.Conversation, r.ID); err != nil {
		return err
	}
	o.changed(tx, r.From)
	c, err := o.caseIn(tx, r.From, r.Conversation)
	if err != nil {
		return err
	}
	if state == actConfirmed {
		return o.release(tx, r.From, c.Case, acts)
	}
	p := c.Pathway
	switch a.Kind {
	case booking.ActMove, booking.ActOffer:
		if err := o.release(tx, r.From, c.Case, acts); err != nil {
			return err
		}
		if seen, err := o.cameTo(tx, r.From, r.Conversation, a.Appointment); err != nil {
			return err
		} else if !seen { // whoever was seen needs no other time: what the spine refused is on its list
			p.Rebook, p.Reason = tx.At(), r.Reason
		}
	case booking.ActAccept, booking.ActReject, booking.ActTriageAccept, booking.ActTriageReturn, booking.ActAssessed:
		p.Review = reviewWaiting
		p.review(false, c.Case, nil) // what the spine has told meanwhile stands: it was decided elsewhere, or before
		if p.Reason == reasonTriaged && !waitsForTime(c.Case) {
			p.Rebook, p.Reason = time.Time{}, ""
		}
	case booking.ActDischarged:
		p.Closed = c.Gone || c.Closed
	}
	if err := o.putPathway(tx, r.From, r.Conversation, p); err != nil {
		return err
	}
	return o.event(tx, r.From, r.Conversation, "refused", a.Kind+": "+r.Reason, "")
}

// Place is what a hospital keeps of somebody's appointments in their chart, and Clinical what it keeps of why they came.
func placeOf(hospital ident.ODSCode, chart string, clinical bool) access.Place {
	p := access.Place{Tenant: hospital, Chart: chart, Type: "Appointment", Exists: true}
	if clinical {
		p.Type = "ServiceRequest"
	}
	return p
}

// Decision is what somebody at the hospital decides of a referral.
type Decision struct {
	Kind    string // booking.Act…
	Seen    int64  // the version of the case that they saw; 0 for whichever it is
	Reason  string
	Comment string
	// Of triage-accept: which of the hospital's services takes it (empty for the one that it was sent to), and whether the patient chooses the date. Of triage: how urgent it is; empty
	// leaves it.
	Service  string
	Invite   bool
	Priority string
	// To is the slot that somebody is put into, of move and book.
	Session, Slot string
}

// reasonTriaged is why somebody waits for a time who was accepted after triage.
const reasonTriaged = "triaged"

// needsClinician reports whether a decision is one that only those who look after people make.
func (d Decision) needsClinician() bool {
	return d.Kind == booking.ActReject || d.Kind == booking.ActTriageAccept || d.Kind == booking.ActTriageReturn
}

// Decide does what somebody decided of a referral: here at once, and as an act that the spine confirms or refuses. Errors: fault.NotFound; fault.Conflict when the referral has
// changed since it was looked at, or the slot is taken; those of the rules.
func (o *Outpatients) Decide(ctx context.Context, by access.Principal, hospital ident.ODSCode, ubrn string, d Decision) error {
	return o.onCase(ctx, by, hospital, ubrn, d.needsClinician(), func(tx *store.Tx, c Case) error {
		if d.Seen != 0 && d.Seen != c.Version {
			return fault.New(fault.Conflict, "The referral has changed since you looked at it. Look again, and decide then.")
		}
		if c.Gone {
			return fault.New(fault.Conflict, "The referral is not this hospital's any more.")
		}
		if c.Pathway.Closed {
			return discharged()
		}
		return o.decide(tx, by, hospital, c, d)
	})
}

// reasons are the code system and the types of the reasons by which an act is explained; "" for one that gives none.
func reasons(kind string) (system string, types []string) {
	switch kind {
	case booking.ActReject:
		return codes.CancelledVisit, []string{codes.TypeRejected}
	case booking.ActCancel:
		return codes.CancelledVisit, []string{codes.TypeProvider}
	case booking.ActNotAttended:
		return codes.Missed, nil
	}
	return "", nil
}

// explained refuses an act whose reason is not one of those that may be given for it: the spine would refuse it too, but later.
func explained(kind, reason, comment string, at time.Time) error {
	system, types := reasons(kind)
	switch {
	case system == "" && reason != "":
		return fault.New(fault.Invalid, "This needs no reason from a list; say why in words.")
	case system == "":
		return nil
	}
	_, err := codes.Reason(system, reason, comment, at, types...)
	return err
}

// discharged refuses what is to be done for somebody whose referral is over.
func discharged() error {
	return fault.New(fault.Conflict, "They were discharged. Whoever sees them again is referred anew.")
}

func (o *Outpatients) decide(tx *store.Tx, by access.Principal, hospital ident.ODSCode, c Case, d Decision) error {
	if err := explained(d.Kind, d.Reason, d.Comment, tx.At()); err != nil {
		return err
	}
	a, p := booking.Act{Kind: d.Kind, Reason: d.Reason, Comment: d.Comment, By: by.Name, Appointment: c.Appointment}, c.Pathway
	switch d.Kind {
	case booking.ActAccept:
		if c.State == stateTriage {
			return fault.New(fault.Conflict, "The referral waits for triage: take it or return it there.")
		}
		p.Review = reviewAccepted
	case booking.ActReject:
		p.Review, p.Rebook, a.Appointment = reviewRejected, time.Time{}, nil
	case booking.ActTriageAccept:
		p.Review, a.Appointment = reviewTriaged, nil
		if a.Invite, a.Priority = d.Invite, d.Priority; d.Service != c.Service {
			a.Service = d.Service
		}
		if !d.Invite {
			p.Rebook, p.Reason = tx.At(), reasonTriaged
		}
	case booking.ActTriageReturn:
		p.Review, a.Appointment, a.Priority = reviewReturned, nil, d.Priority
	case booking.ActCancel:
		if c.Appointment == nil {
			return fault.New(fault.Conflict, "There is no appointment to cancel.")
		}
		p.Lost = c.Appointment.Start
		if p.Rebook, p.Reason = tx.At(), d.Comment; p.Reason == "" {
			p.Reason = codes.Display(codes.CancelledVisit, d.Reason)
		}
	case booking.ActMove, booking.ActOffer:
		open, err := o.openByHand(tx, hospital, c.UBRN.String())
		if err != nil {
			return err
		}
		if seen, _ := seenByHand(open); seen {
			return fault.New(fault.Conflict, "They were put in by hand, and it is written down what came of it. Settle that first, under Differences with the spine.")
		}
		to, err := o.hold(tx, hospital, d.Session, d.Slot, c.UBRN.String())
		if err != nil {
			return err
		}
		a.Appointment, a.Kind = to, booking.ActMove
		if c.Appointment == nil {
			a.Kind = booking.ActOffer
		}
		p.Rebook, p.Reason = time.Time{}, ""
		for _, x := range open {
			if x.Session == d.Session && x.Slot == d.Slot {
				err = o.settleAt(tx, hospital, c, x, to, settledTaken)
			} else {
				err = o.dropArrival(tx, hospital, x.Who, x.Session, x.Slot)
			}
			if err != nil {
				return err
			}
		}
		if _, err := o.settleOverrides(tx, hospital, c.UBRN.String(), "", settledMoved); err != nil {
			return err
		}
	default:
		return fault.New(fault.Invalid, "There is no such decision.")
	}
	if p.Review != c.Pathway.Review && c.Pathway.Review != reviewWaiting && d.Kind != booking.ActReject {
		return fault.New(fault.Conflict, "The referral was reviewed already.")
	}
	if again, err := o.saidAlready(tx, hospital, c, a); err != nil || again {
		return err
	}
	if err := o.putPathway(tx, hospital, c.UBRN.String(), p); err != nil {
		return err
	}
	return o.tell(tx, hospital, c, a)
}

// saidAlready reports whether the last thing that was decided of a referral, which has not changed since and of which the spine has not refused that, is the same: by a form that was sent twice. The spine
// would refuse the second one, and what it refuses is somebody's to see to.
func (o *Outpatients) saidAlready(tx *store.Tx, hospital ident.ODSCode, c Case, a booking.Act) (bool, error) {
	list, err := o.actsIn(tx, hospital, `ubrn = ? AND number = (SELECT max(t.number) FROM hospital_act t WHERE t.lane = hospital_act.lane AND t.tenant = hospital_act.tenant AND t.ubrn = hospital_act.ubrn)`, c.UBRN.String())
	if err != nil || len(list) == 0 {
		return false, err
	}
	last := list[0]
	if last.State != actWaiting && last.State != actConfirmed || last.Seen != c.Version {
		return false, nil
	}
	same := func(x, y *booking.Appointment) bool {
		return x == y || x != nil && y != nil && x.Session == y.Session && x.Slot == y.Slot && x.Epoch == y.Epoch
	}
	return last.Kind == a.Kind && last.Reason == a.Reason && last.Comment == a.Comment && last.Service == a.Service && last.Invite == a.Invite && last.Priority == a.Priority && same(last.Appointment, a.Appointment), nil
}

// hold puts somebody into a slot that the hospital owns: once, for the key is the slot and its epoch. Errors: fault.Conflict when it is not the hospital's to book, or taken.
func (o *Outpatients) hold(tx *store.Tx, hospital ident.ODSCode, session, slot, who string) (*booking.Appointment, error) {
	if err := o.sure(tx, hospital); err != nil {
		return nil, err
	}
	s, err := o.sessionIn(tx, hospital, session)
	if err != nil {
		return nil, err
	}
	list, err := o.slotsWhere(tx, hospital, `session = ? AND id = ?`, session, slot)
	if err != nil {
		return nil, err
	}
	switch {
	case len(list) == 0:
		return nil, fault.New(fault.NotFound, "There is no such slot.")
	case s.State == sessionWithdrawn:
		return nil, fault.New(fault.Conflict, "The session will not take place.")
	case !booking.Hospital.Owns(list[0].Epoch):
		return nil, fault.New(fault.Conflict, "The spine books this slot. Ask for it back first, or choose one of the hospital's own.")
	case !list[0].Starts.After(tx.At()) && list[0].Kind != kindExtra:
		return nil, fault.New(fault.Conflict, "That time has passed.")
	}
	x := list[0]
	held, err := o.heldIn(tx, hospital, session)
	if err != nil {
		return nil, err
	}
	if held[slot] != "" && held[slot] != who {
		return nil, fault.New(fault.Conflict, "Somebody else is in this slot.")
	}
	if err := o.notOverridden(tx, hospital, who, session, slot); err != nil {
		return nil, err
	}
	if held[slot] == "" {
		if _, err := tx.Exec(`INSERT INTO hospital_hold (lane, tenant, session, slot, epoch, who, at) VALUES (?, ?, ?, ?, ?, ?, ?)`,
			int64(o.lane(hospital)), hospital.String(), session, slot, int64(x.Epoch), who, tx.At().UnixMicro()); err != nil {
			return nil, err
		}
	}
	_, with, err := o.clinicOf(tx, hospital, s.Clinic)
	return &booking.Appointment{Slot: slot, Epoch: x.Epoch, Session: session, Start: x.Starts, End: x.Ends, Clinician: with.Name, ClinicianID: with.Login}, err
}

// reasonWithdrawn is why an appointment of a withdrawn session is cancelled (APPOINTMENT-CANCELLATION-REASON).
const reasonWithdrawn = "CLINIC_CANCELLED"

// toRebook puts somebody who is in a session that is withdrawn on the worklist. Where the slot is the hospital's own the spine does not know by the session who is in it: it is told of the
// person.
func (o *Outpatients) toRebook(tx *store.Tx, hospital ident.ODSCode, b Booked, reason, actor string) error {
	p := b.Case.Pathway
	p.Rebook, p.Reason, p.Lost = tx.At(), reason, b.Slot.Starts
	if err := o.putPathway(tx, hospital, b.Who, p); err != nil {
		return err
	}
	if b.FollowUp {
		v := b.Visit
		v.State, v.Ended, v.Actor = visitCancelled, tx.At(), actor
		if err := o.putVisit(tx, hospital, v); err != nil {
			return err
		}
		if err := o.tellVisit(tx, hospital, b, v); err != nil {
			return err
		}
	} else if b.own() {
		x := b.Slot
		err := o.tell(tx, hospital, b.Case, booking.Act{Kind: booking.ActCancel, Reason: reasonWithdrawn, Comment: reason, By: actor,
			Appointment: &booking.Appointment{Slot: x.ID, Epoch: x.Epoch, Session: x.Session, Start: x.Starts, End: x.Ends}})
		if err != nil {
			return err
		}
	}
	return o.event(tx, hospital, b.Who, "withdrawn", reason, actor)
}

// onCase does something about a referral, as what its person's chart allows: with its account, in one transaction.
func (o *Outpatients) onCase(ctx context.Context, by access.Principal, hospital ident.ODSCode, ubrn string, clinical bool, do func(tx *store.Tx, c Case) error) error {
	return o.onCaseIn(ctx, by, hospital, ubrn, clinical, []string{ubrn}, do)
}

// onCaseIn is onCase where messages are sent in several conversations.
func (o *Outpatients) onCaseIn(ctx context.Context, by access.Principal, hospital ident.ODSCode, ubrn string, clinical bool, conversations []string, do func(tx *store.Tx, c Case) error) error {
	var chart string
	err := o.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		chart, err = o.chartOf(tx, hospital, ubrn)
		return err
	})
	if err != nil {
		return err
	}
	if chart == "" {
		return fault.New(fault.Conflict, "The person is being made a patient here; try again in a moment.")
	}
	grants, err := o.k.Gate.DecideAll(ctx, by, []access.Act{{Action: access.Update, Place: placeOf(hospital, chart, clinical)}})
	if err != nil {
		return err
	}
	return o.k.Gate.Act(ctx, grants, o.lanes(hospital, conversations), func(tx *store.Tx) error {
		now, err := o.caseIn(tx, hospital, ubrn)
		if err != nil {
			return err
		}
		if now.Chart != chart {
			return fault.New(fault.Conflict, "The referral is another person's by now. Look again.")
		}
		return do(tx, now)
	})
}

// Dealt takes a refused act from the worklist.
func (o *Outpatients) Dealt(ctx context.Context, by access.Principal, hospital ident.ODSCode, ubrn string, number int64) error {
	return o.onCase(ctx, by, hospital, ubrn, false, func(tx *store.Tx, c Case) error {
		n, err := tx.Exec(`UPDATE hospital_act SET state = ? WHERE lane = ? AND tenant = ? AND ubrn = ? AND number = ? AND state = ?`, actDealt, int64(o.lane(hospital)), hospital.String(), ubrn, number, actRefused)
		if err != nil || n == 0 {
			return err
		}
		return o.event(tx, hospital, ubrn, "dealt", "", by.Name)
	})
}
