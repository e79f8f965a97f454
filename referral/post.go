package referral

import (
	"context"
	"errors"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// tell sends the hospital whose referral it is, or was, the whole of it as it is now. A provider without a node of its own reads the pages of this one.
// The person is nil where nobody has read them in this transaction.
func (s *Referrals) tell(tx *store.Tx, was, r Referral, person *Person) error {
	var to []ident.ODSCode
	if theirs(was) {
		to = append(to, was.Provider())
	}
	if theirs(r) && (len(to) == 0 || to[0] != r.Provider()) {
		to = append(to, r.Provider())
	}
	for _, org := range to {
		if _, err := s.tellOne(tx, r, org, was.Chosen, person); err != nil {
			return err
		}
	}
	return nil
}

// tellOne tells a hospital of a referral, by which message; by none where nobody keeps its post.
func (s *Referrals) tellOne(tx *store.Tx, r Referral, org ident.ODSCode, chosen Choice, person *Person) (message string, err error) {
	c, err := s.caseOf(tx, r, org, chosen, person)
	if err != nil {
		return "", err
	}
	body, err := booking.Encode(c)
	if err != nil {
		return "", err
	}
	files, err := filesOf(c.Attachments)
	if err != nil {
		return "", err
	}
	if s.o.Seams.NoFiles {
		files = nil
	}
	message, err = s.k.Post().Send(tx.Context(), tx, messaging.Message{From: s.k.National, To: org, Workflow: booking.WorkflowCase, Conversation: r.UBRN.String(), Body: body, Files: files})
	if fault.Is(err, fault.NotFound) {
		return "", nil
	}
	return message, err
}

// caseOf is a referral as a hospital is told of it. Chosen is the service that it had before, for a hospital that has it no more.
func (s *Referrals) caseOf(tx *store.Tx, r Referral, org ident.ODSCode, chosen Choice, person *Person) (c booking.Case, err error) {
	if theirs(r) && r.Provider() == org {
		chosen = r.Chosen
	} else {
		c.Gone = true
	}
	c.UBRN, c.Version, c.State, c.Priority, c.Service, c.ServiceName = r.UBRN, r.Version, string(r.State), string(r.Priority), chosen.Service, chosen.Name
	c.Practice, c.Referrer, c.ClockStart, c.Reason, c.Comment = r.Practice, r.Referrer.Name, r.PathwayStart, r.Reason.Code, r.Comment
	c.Accepted, c.Closed, c.Changed, c.Took, c.Sent = r.Accepted, r.Closed, r.Changed, r.Took, tx.At().UnixMicro()
	if person == nil {
		read, err := s.personIn(tx, r.Chart)
		if err != nil {
			return c, err
		}
		person = &read
	}
	c.Person = person.booked(r.Patient)
	for _, f := range r.Attachments {
		if f.Availability() == Available && (!c.Gone || f.Organisation == org) { // what it sent back with its advice stays the hospital's own
			c.Attachments = append(c.Attachments, f.booked(s.k.Organisation(tx.Context(), f.Organisation)))
		}
	}
	if c.Gone {
		return c, nil
	}
	c.Invited = r.Invited && r.State == TriagedToAct
	if a := r.Appointment; a != nil {
		c.Appointment = &booking.Appointment{Slot: a.Slot, Epoch: booking.Epoch(a.Epoch), Session: a.Session, Start: a.Start, End: a.End, Clinician: a.Clinician, ClinicianID: a.ClinicianID}
	}
	if a := r.Arranged; r.Appointment != nil && a != nil && a.Status == ArrangedBooked && a.By == Patient {
		c.ByPatient = a.Created
	}
	if o := r.Offer; o != nil {
		c.Offer = &booking.Offer{Slot: o.Slot, Session: o.Session, Epoch: booking.Epoch(o.Epoch), Start: o.Start, End: o.End, Clinician: o.Clinician, ClinicianID: o.ClinicianID, Until: o.Until}
	}
	c.Passed = len(r.Passed)
	for _, x := range r.Passed {
		if x.Provider == org && len(c.LetPass) < booking.MostTold {
			c.LetPass = append(c.LetPass, booking.SlotMark{ID: x.Slot, Session: x.Session})
		}
	}
	c.Letter, err = s.letterOf(tx, r)
	return c, err
}

// booked is the attachment as a hospital is told of it.
func (a Attachment) booked(organisation string) booking.Attachment {
	return booking.Attachment{ID: a.ID, Name: a.Name, Type: a.Type, Size: a.Size, Hash: a.Hash, Description: a.Description, By: a.By.Name, Organisation: organisation, At: a.At, Kind: string(a.Kind), Code: a.Organisation}
}

// filesOf are the files that travel beside a message.
func filesOf(list []booking.Attachment) (files []messaging.File, err error) {
	for _, a := range list {
		f, err := a.File()
		if err != nil {
			return nil, err
		}
		files = append(files, f)
	}
	return files, nil
}

// heard notes that a hospital has sent something.
func (s *Referrals) heard(tx *store.Tx, lane store.Lane, from ident.ODSCode) error {
	return tx.Queue(`INSERT INTO referral_heard (lane, provider, at) VALUES (?, ?, ?) ON CONFLICT (lane, provider) DO UPDATE SET at = excluded.at`, int64(lane), from.String(), tx.At().UnixMicro())
}

// decoded reads a message, or refuses it for good.
func decoded[M booking.Message](m messaging.Message) (M, error) {
	body, err := booking.Decode[M](m.Body)
	if err != nil {
		return body, messaging.Refuse("%s", fault.MessageOf(err))
	}
	return body, nil
}

// slotLanes are the lanes that a message about the slots of a session needs: the session's, which is not the message's own when the hospital is on this node.
func (s *Referrals) slotLanes(m messaging.Message) []store.Lane {
	return []store.Lane{s.sessionLane(m.Conversation)}
}

// slotsCame takes slots that a hospital hands to the spine. What is told late, or twice, changes nothing.
func (s *Referrals) slotsCame(_ context.Context, tx *store.Tx, m messaging.Message) error {
	msg, err := decoded[booking.Slots](m)
	if err != nil {
		return err
	}
	lane := s.sessionLane(msg.Session)
	if !tx.Holds(lane) {
		return messaging.Refuse("What is said of a session goes in a conversation of its name.")
	}
	known, booked, err := s.sessionKnown(tx, m.From, msg.Session)
	if err != nil {
		return err
	}
	again := map[string]bool{} // written by this message
	for _, x := range msg.Slots {
		was := known[x.ID]
		if again[x.ID] {
			if was, err = s.slot(tx, SlotRef{m.From, msg.Session, x.ID}); err != nil {
				return err
			}
		}
		e, changed, err := booking.Spine.Take(was.Epoch, x.Epoch)
		if err != nil {
			return messaging.Refuse("%s", fault.MessageOf(err))
		}
		if !changed {
			continue
		}
		if was.Service != "" && was.Service != msg.Service {
			s.supply.changed(tx, was.Service)
		}
		ref := SlotRef{m.From, msg.Session, x.ID}
		if err := s.lose(tx, ref, was, x.Since()); err != nil {
			return err
		}
		if err := s.keepSlot(tx, ref, e, x, msg.Service, booked[x.ID]); err != nil {
			return err
		}
		again[x.ID] = true
	}
	s.supply.changed(tx, msg.Service)
	return s.heard(tx, lane, m.From)
}

// sessionKnown is what the spine knows of a session: its slots, and those for which bookings stand, at whatever epoch.
func (s *Referrals) sessionKnown(tx *store.Tx, provider ident.ODSCode, session string) (known map[string]slotRow, booked map[string]bool, err error) {
	lane := int64(s.sessionLane(session))
	list, err := s.slots(tx, `WHERE lane = ? AND provider = ? AND session = ?`, lane, provider.String(), session)
	if err != nil {
		return nil, nil, err
	}
	known, booked = map[string]slotRow{}, map[string]bool{}
	for _, x := range list {
		known[x.SlotRef.Slot] = x
	}
	rows, err := tx.Query(`SELECT slot FROM referral_booking WHERE lane = ? AND provider = ? AND session = ?`, lane, provider.String(), session)
	if err != nil {
		return nil, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var slot string
		if err := rows.Scan(&slot); err != nil {
			return nil, nil, err
		}
		booked[slot] = true
	}
	return known, booked, rows.Err()
}

// keepSlot writes a slot that the spine owns from now on; bookings says whether any stands for it. Whoever is booked there since the epoch that it names still is: after a restore that may be known before the slot.
func (s *Referrals) keepSlot(tx *store.Tx, ref SlotRef, e booking.Epoch, x booking.Slot, service string, bookings bool) (err error) {
	state, ubrn, chart := slotFree, "", ""
	if bookings {
		if state, ubrn, chart, err = s.occupant(tx, ref, x.Since()); err != nil {
			return err
		}
	}
	err = tx.Queue(`INSERT INTO referral_slot (lane, provider, session, slot, epoch, base, service, starts, ends, clinician, clinician_id, state, ubrn, chart, holder, held, recalled, reason)
		VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', 0, ?, '') ON CONFLICT (lane, provider, session, slot) DO UPDATE SET epoch = excluded.epoch, base = excluded.base, service = excluded.service,
		starts = excluded.starts, ends = excluded.ends, clinician = excluded.clinician, clinician_id = excluded.clinician_id, state = excluded.state, ubrn = excluded.ubrn, chart = excluded.chart, holder = '', held = 0, recalled = excluded.recalled, reason = ''`,
		int64(s.sessionLane(ref.Session)), ref.Provider.String(), ref.Session, ref.Slot, int64(e), int64(x.Since()), service, x.Start.UnixMicro(), x.End.UnixMicro(), x.Clinician, x.ClinicianID, state, ubrn, chart, notRecalled)
	if err != nil {
		return err
	}
	return s.holdPromised(tx, ref)
}

// occupant is who is booked in a slot since an epoch at which the spine came by it, and the state that follows.
func (s *Referrals) occupant(tx *store.Tx, ref SlotRef, base booking.Epoch) (state int64, ubrn, chart string, err error) {
	err = tx.QueryRow(`SELECT ubrn FROM referral_booking WHERE lane = ? AND provider = ? AND session = ? AND slot = ? AND epoch = ?`,
		int64(s.sessionLane(ref.Session)), ref.Provider.String(), ref.Session, ref.Slot, int64(base)).Scan(&ubrn)
	if fault.Is(err, fault.NotFound) {
		return slotFree, "", "", nil
	}
	if err != nil {
		return 0, "", "", err
	}
	u, err := ident.ParseUBRN(ubrn)
	if err != nil {
		return 0, "", "", fault.Wrap(err, fault.Internal, "the number of a booking cannot be read")
	}
	chart, err = s.chartOf(tx, u)
	return slotBooked, ubrn, chart, err
}

// recallCame gives back what is free of a session. What is held is given back when nobody holds it any more; a session that is withdrawn will not take
// place: whoever is booked in it is told by withdrawDue, and whoever is offered a time of it loses it at once, as they do where the clinic has put somebody into it by hand.
func (s *Referrals) recallCame(_ context.Context, tx *store.Tx, m messaging.Message) error {
	msg, err := decoded[booking.Recall](m)
	if err != nil {
		return err
	}
	lane := s.sessionLane(msg.Session)
	if !tx.Holds(lane) {
		return messaging.Refuse("What is said of a session goes in a conversation of its name.")
	}
	how := askedBack
	if msg.Withdrawn && !s.o.Seams.NoWithdraw {
		how = withdrawn
	}
	const mark = `UPDATE referral_slot SET recalled = CASE WHEN recalled < ? THEN ? ELSE recalled END, reason = ? WHERE lane = ? AND provider = ? AND session = ?`
	args := []any{how, how, msg.Reason, int64(lane), m.From.String(), msg.Session}
	if len(msg.Slots) == 0 {
		err = tx.Queue(mark, args...)
	}
	for _, id := range msg.Slots {
		if err == nil {
			err = tx.Queue(mark+` AND slot = ?`, append(args, id)...)
		}
	}
	if err != nil {
		return err
	}
	if how == withdrawn || msg.ByHand {
		if err := s.dropOffers(tx, m.From, msg.Session, msg.Slots); err != nil {
			return err
		}
	}
	s.supply.changed(tx)
	if err := s.giveBack(tx, m.From, msg.Session); err != nil {
		return err
	}
	return s.heard(tx, lane, m.From)
}

// giveBack gives the hospital what is unbooked and unheld of a session, as far as it was asked back or begins too soon to be booked; of one that is withdrawn also what somebody had who
// has been told. Where somebody was seen before it was withdrawn the slot stays theirs.
func (s *Referrals) giveBack(tx *store.Tx, provider ident.ODSCode, session string) error {
	st, err := s.standingIn(tx, provider)
	if err != nil || !st.sure {
		return err // giveBackDue comes again
	}
	lane := int64(s.sessionLane(session))
	most := slotFree
	if s.o.Seams.GiveBooked {
		most = slotBooked
	}
	rows, err := s.slots(tx, `WHERE lane = ? AND provider = ? AND session = ? AND (state <= ? OR state = ? AND ubrn = '') AND epoch % 2 = 1 AND held < ? ORDER BY slot LIMIT ?`,
		lane, provider.String(), session, most, slotGone, tx.At().UnixMicro(), int64(booking.MostSlots))
	if err != nil {
		return err
	}
	frozen := false
	for _, x := range rows {
		frozen = frozen || x.Start.Before(tx.At().Add(s.o.Freeze))
	}
	back := booking.Returned{Session: session}
	for _, x := range rows {
		if x.recalled == notRecalled && !frozen {
			continue
		}
		e, err := booking.Spine.Give(x.Epoch)
		if err != nil {
			return err
		}
		back.Slots = append(back.Slots, booking.SlotMark{ID: x.SlotRef.Slot, Epoch: e})
		if err := tx.Queue(`UPDATE referral_slot SET epoch = ?, base = ?, holder = '', held = 0 WHERE lane = ? AND provider = ? AND session = ? AND slot = ?`,
			int64(e), int64(e), lane, provider.String(), session, x.SlotRef.Slot); err != nil {
			return err
		}
	}
	if len(back.Slots) == 0 {
		return nil
	}
	s.supply.changed(tx)
	body, err := booking.Encode(back)
	if err != nil {
		return err
	}
	_, err = s.k.Post().Send(tx.Context(), tx, messaging.Message{From: s.k.National, To: provider, Workflow: booking.WorkflowReturned, Conversation: session, Body: body})
	return err
}

// sessionOf is a session of a hospital.
type sessionOf struct {
	provider ident.ODSCode
	session  string
}

// sessions are those that a query names by provider and session.
func (s *Referrals) sessions(ctx context.Context, cond string, args ...any) (list []sessionOf, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT DISTINCT provider, session FROM referral_slot WHERE `+cond+` LIMIT 500`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var provider string
			var x sessionOf
			if err := rows.Scan(&provider, &x.session); err != nil {
				return err
			}
			if x.provider, err = ident.ParseODSCode(provider); err != nil {
				return fault.Wrap(err, fault.Internal, "a hospital's code cannot be read")
			}
			list = append(list, x)
		}
		return rows.Err()
	})
	return list, err
}

// giveBackDue gives back what begins too soon to be booked, and what was asked back and is free now.
func (s *Referrals) giveBackDue(ctx context.Context) error {
	now := s.k.Clock.Now()
	list, err := s.sessions(ctx, `state = 0 AND recalled = 0 AND epoch % 2 = 1 AND starts < ? AND held < ?`, now.Add(s.o.Freeze).UnixMicro(), now.UnixMicro())
	if err != nil {
		return err
	}
	back, err := s.sessions(ctx, `recalled > 0 AND state = 0 AND epoch % 2 = 1 AND held < ?`, now.UnixMicro())
	if err != nil {
		return err
	}
	left, err := s.sessions(ctx, `recalled > 0 AND recalled = ? AND state = ? AND starts > ? AND ubrn = '' AND epoch % 2 = 1`, withdrawn, slotGone, now.UnixMicro())
	if err != nil {
		return err
	}
	for _, x := range append(back, left...) {
		if !slices.Contains(list, x) {
			list = append(list, x)
		}
	}
	for _, x := range list {
		err := s.k.DB.Write(ctx, []store.Lane{s.sessionLane(x.session)}, func(tx *store.Tx) error { return s.giveBack(tx, x.provider, x.session) })
		if err != nil {
			return err
		}
	}
	return nil
}

// actLanes are those of the referral that a hospital acts upon.
func (s *Referrals) actLanes(m messaging.Message) []store.Lane {
	msg, err := decoded[booking.Act](m)
	if err != nil {
		return nil // it is refused
	}
	var lanes []store.Lane
	r, err := s.find(context.Background(), msg.UBRN)
	if err != nil {
		return nil
	}
	return append(lanes, s.lanesFor(r, SlotRef{})...)
}

// kindsOfActs say what an act of a hospital is.
var kindsOfActs = map[string]Kind{
	booking.ActAccept: ActAccept, booking.ActReject: ActReject, booking.ActAttended: ActAttended, booking.ActNotAttended: ActNotAttended, booking.ActCancel: ActCancelFrom,
	booking.ActMove: ActMove, booking.ActOffer: ActBook, booking.ActTriageAccept: ActTriageAccept, booking.ActTriageReturn: ActTriageReturn, booking.ActDischarged: ActDischarged,
	booking.ActAssessed: ActAssessed,
}

// actCame takes what a hospital decided of a referral, or refuses it and says why.
func (s *Referrals) actCame(ctx context.Context, tx *store.Tx, m messaging.Message) error {
	msg, err := decoded[booking.Act](m)
	if err != nil {
		return err
	}
	chart, err := s.chartOf(tx, msg.UBRN)
	if fault.Is(err, fault.NotFound) {
		if err := s.sure(tx, m.From); err != nil {
			return messaging.Wait(err)
		}
		return messaging.Refuse("There is no referral of this number.")
	}
	if err != nil {
		return err
	}
	if !tx.Holds(s.chartLane(chart)) {
		return errMoved()
	}
	if err := s.sure(tx, m.From); err != nil {
		return messaging.Wait(err) // it may be about what this life of the spine has yet to be told
	}
	r, err := s.load(tx, chart, msg.UBRN)
	if errors.Is(err, ErrNotReferral) {
		return messaging.Refuse("This is a question for advice, of which no referral was made.")
	}
	if err != nil {
		return err
	}
	if r.Appointment != nil && !tx.Holds(s.sessionLane(r.Appointment.Session)) {
		return errMoved()
	}
	if r.Provider() != m.From {
		return messaging.Refuse("The referral is not yours any more: it is %s.", r.State.words())
	}
	if msg.Number <= r.Acted {
		return s.heard(tx, s.ubrnLane(msg.UBRN), m.From) // it was dealt with in days that a restore has lost, and the referral is as it made it, or as somebody has changed it since
	}
	a := Act{Kind: kindsOfActs[msg.Kind], By: Actor{ID: "hospital/" + m.From.String(), Name: msg.By, Party: Provider, Organisation: m.From}, At: tx.At(), Reason: msg.Reason, Comment: msg.Comment, Service: r.Chosen.Service,
		Invite: msg.Invite, Priority: Priority(msg.Priority), Outcome: msg.Outcome}
	if a.Kind == ActTriageAccept && msg.Service != "" {
		if a.To, err = s.choiceFor(ctx, msg.Service, r); err != nil {
			return messaging.Refuse("%s", fault.MessageOf(err))
		}
	}
	if a.Kind == ActMove && r.State != Booked {
		a.Kind = ActBook // it lost its appointment while the hospital moved it
	}
	if err := s.stillTheirs(tx, m.From, a.Kind, msg.Appointment); err != nil {
		return err
	}
	if about := msg.Appointment; about != nil {
		if a.Kind == ActBook || a.Kind == ActMove {
			a.Appointment = &Appointment{SlotRef: SlotRef{m.From, about.Session, about.Slot}, Epoch: int64(about.Epoch), Start: about.Start, End: about.End, Clinician: about.Clinician, ClinicianID: about.ClinicianID, Theirs: true}
		} else if r.Appointment == nil || r.Appointment.Slot != about.Slot {
			return messaging.Refuse("The patient is not booked there any more.")
		}
	}
	r.Took = m.ID
	if seeksCare(a.Kind) {
		a.person, err = s.alive(tx, chart)
	}
	if err == nil {
		_, err = s.commit(tx, r, a)
	}
	if err != nil {
		if k := fault.KindOf(err); k == fault.Internal || k == fault.Unavailable {
			return err
		}
		return messaging.Refuse("%s", fault.MessageOf(err))
	}
	if err := s.account(tx, r, a, m.ID); err != nil {
		return err
	}
	return s.heard(tx, s.ubrnLane(msg.UBRN), m.From)
}

// stillTheirs refuses what a hospital decided in days that a restore of the spine has lost, where that put somebody into a slot of its own which it has handed over since: it comes once more, and whoever was in it had left it then.
func (s *Referrals) stillTheirs(tx *store.Tx, from ident.ODSCode, kind Kind, at *booking.Appointment) error {
	if at == nil || kind != ActBook && kind != ActMove {
		return nil
	}
	if least, err := s.life(tx); err != nil || least == 0 {
		return err
	}
	x, err := s.slot(tx, SlotRef{from, at.Session, at.Slot})
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err == nil && x.Epoch > at.Epoch && x.Base > at.Epoch {
		err = messaging.Refuse("That time has changed hands since you decided this. Choose another time for them.")
	}
	return err
}

// account puts an act that came as a message on the account of the person's chart.
func (s *Referrals) account(tx *store.Tx, r Referral, a Act, message string) error {
	_, err := s.k.Audit.Append(tx, s.chartLane(r.Chart), audit.Entry{Tenant: s.k.National, Chart: r.Chart, Actor: a.By.ID, ActorName: a.By.Name, Role: string(access.SystemClient), Organisation: a.By.Organisation,
		Action: string(access.Update), Purpose: "TREAT", Basis: "referral", Outcome: audit.OutcomeOK, Detail: access.TypeBooking + "/" + r.UBRN.String() + " " + string(a.Kind), RequestID: message})
	return err
}

// mostWithdrawn is how many bookings of withdrawn sessions are read at once.
const mostWithdrawn = 100

// withdrawDue tells those who are booked in sessions that will not take place: each returns to the worklists. So does who has lost a slot by a restore. Whatever cannot be cancelled is passed over, and keeps nobody waiting.
func (s *Referrals) withdrawDue(ctx context.Context) (err error) {
	var last SlotRef
	for ctx.Err() == nil {
		var due []slotRow
		if failed := s.read(ctx, func(tx *store.Tx) (err error) {
			due, err = s.slots(tx, `WHERE recalled > 0 AND recalled = ? AND state = ? AND (provider, session, slot) > (?, ?, ?) ORDER BY provider, session, slot LIMIT ?`,
				withdrawn, slotBooked, last.Provider.String(), last.Session, last.Slot, int64(mostWithdrawn))
			return err
		}); failed != nil {
			err = errors.Join(err, failed)
			break
		}
		for _, x := range due {
			if failed := s.withdraw(ctx, x); fault.Is(failed, fault.Conflict) {
				s.k.Logger.Warn("a booking of a withdrawn session stands", "session", x.Session, "cause", failed)
			} else {
				err = errors.Join(err, failed)
			}
		}
		if len(due) < mostWithdrawn {
			break
		}
		last = due[len(due)-1].SlotRef
	}
	return errors.Join(err, s.lostDue(ctx))
}

// reasonWithdrawn is why an appointment of a withdrawn session is cancelled (APPOINTMENT-CANCELLATION-REASON).
const reasonWithdrawn = "CLINIC_CANCELLED"

func (s *Referrals) withdraw(ctx context.Context, x slotRow) error {
	u, err := ident.ParseUBRN(x.ubrn)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "the number of a booking cannot be read")
	}
	lanes := []store.Lane{s.sessionLane(x.Session), s.chartLane(x.chart), s.ubrnLane(u)}
	return s.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		r, err := s.load(tx, x.chart, u)
		if err != nil {
			return err
		}
		if r.Appointment == nil || r.Appointment.SlotRef != x.SlotRef || r.Appointment.Theirs || r.Attended {
			return s.gone(tx, x) // they have moved meanwhile, or were seen before
		}
		a := Act{Kind: ActCancelFrom, At: tx.At(), Reason: reasonWithdrawn, By: Actor{ID: "hospital/" + x.Provider.String(), Name: s.k.Organisation(ctx, x.Provider), Party: Provider, Organisation: x.Provider}}
		if _, err := s.commit(tx, r, a); err != nil {
			return err
		}
		if err := s.gone(tx, x); err != nil {
			return err
		}
		if err := s.giveBack(tx, x.Provider, x.Session); err != nil {
			return err
		}
		return s.account(tx, r, a, "")
	})
}

// gone ends a slot of a withdrawn session, whoever had it.
func (s *Referrals) gone(tx *store.Tx, x slotRow) error {
	s.supply.changed(tx)
	return tx.Queue(`UPDATE referral_slot SET state = ? WHERE lane = ? AND provider = ? AND session = ? AND slot = ? AND epoch = ?`,
		slotGone, int64(s.sessionLane(x.Session)), x.Provider.String(), x.Session, x.SlotRef.Slot, int64(x.Epoch))
}
