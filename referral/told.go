package referral

import (
	"context"
	"errors"
	"slices"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// toldLanes are those of a referral that a hospital tells back.
func (s *Referrals) toldLanes(c booking.Case) []store.Lane {
	lanes := []store.Lane{s.ubrnLane(c.UBRN), s.chartLane(c.Person.NHSNumber.String()), s.k.Post().LaneOf(s.k.National, c.UBRN.String())}
	for _, a := range c.Attachments {
		lanes = append(lanes, s.fileLane(a.ID))
	}
	if c.Appointment != nil {
		lanes = append(lanes, s.sessionLane(c.Appointment.Session))
	}
	if c.Offer != nil {
		lanes = append(lanes, s.sessionLane(c.Offer.Session))
	}
	if r, err := s.find(context.Background(), c.UBRN); err == nil {
		lanes = append(lanes, s.lanesFor(r, SlotRef{})...)
	}
	return lanes
}

// toldBack takes up again what a restore of the spine has lost of a referral: as a hospital was last told of it. What this life of the spine has changed since stands, and the
// hospital is told.
func (s *Referrals) toldBack(tx *store.Tx, from ident.ODSCode, c booking.Case) error {
	least, err := s.life(tx)
	if err != nil || least == 0 {
		return err // nothing was lost
	}
	if !slices.Contains(States(), State(c.State)) {
		return messaging.Refuse("There is no state called %q.", c.State)
	}
	elsewhere := c.Gone && theirs(Referral{State: State(c.State), Chosen: Choice{Provider: from}}) // with another hospital, when this one was told of it last
	was, err := s.lost(tx, c, !elsewhere)
	if err != nil {
		return err
	}
	known := was.Version
	if known > least {
		known = was.Told // 0 when somebody has changed it in this life
	}
	switch {
	case elsewhere && was.Version == 0:
		return nil // the other hospital tells of it, or it is lost to both
	case was.Version > least && (was.Told == 0 || c.Version < known):
		if theirs(was) && was.Provider() == from {
			return nil
		}
		_, err = s.tellOne(tx, was, from, Choice{Service: c.Service, Name: c.ServiceName, Provider: from}, nil)
		return err
	case c.Version < known, c.Version == known && (elsewhere || was.Version <= least || was.Provider() == from):
		return nil
	case elsewhere: // it stands as it is here, and the hospital has let it go: it is told, and so is whoever has it, should another hospital know better
		r := was.clone()
		r.Acted = max(was.Acted, c.Acted) // what it decided before is over with it
		if was.State == Booked && was.Provider() == from && !was.Attended && was.Appointment.Start.Before(tx.At()) {
			// Its time has passed without them: somebody finds them another, unless another hospital tells of it.
			r.State, r.Reason, r.Appointment, r.Since = CancelledByProvider, reasonOf(CancelledByProvider, reasonWithdrawn), nil, tx.At()
		}
		return s.again(tx, was, r, from, c)
	}
	r := s.recovered(tx.Context(), was, from, c)
	if err := s.keepLetter(tx, r.Chart, c.Letter); err != nil {
		return err
	}
	if err := s.refile(tx, was, r); err != nil {
		return err
	}
	if err := s.letGo(tx, was, r); err != nil { // what they are offered now is held once all is told: see holdPromised
		return err
	}
	if err := s.rebook(tx, was, r); err != nil {
		return err
	}
	return s.again(tx, was, r, from, c)
}

// again writes down what a hospital told back, and tells it to whose business it is, at a version that each of them takes.
func (s *Referrals) again(tx *store.Tx, was, r Referral, from ident.ODSCode, c booking.Case) (err error) {
	if r.Version, err = s.next(tx, max(was.Version, c.Version)+1); err != nil {
		return err
	}
	r.Changed, r.Told = tx.At(), c.Version
	a := Act{Kind: ActTold, At: tx.At(), By: Actor{ID: "hospital/" + from.String(), Name: s.k.Organisation(tx.Context(), from), Party: System, Organisation: from}}
	if err := s.save(tx, was, r, a); err != nil {
		return err
	}
	if err := s.keepWait(tx, was, r); err != nil {
		return err
	}
	if err := s.relate(tx, was, r); err != nil {
		return err
	}
	if err := s.account(tx, r, a, ""); err != nil {
		return err
	}
	if err := s.tell(tx, was, r, nil); err != nil || r.Provider() == from && theirs(r) || was.Provider() == from && theirs(was) {
		return err
	}
	_, err = s.tellOne(tx, r, from, Choice{Service: c.Service, Name: c.ServiceName, Provider: from}, nil)
	return err
}

// lost is a referral as the spine knows it; of one that it does not know the number is made known, with a password that nobody has been told,
// when number says so.
func (s *Referrals) lost(tx *store.Tx, c booking.Case, number bool) (Referral, error) {
	chart, err := s.chartOf(tx, c.UBRN)
	if fault.Is(err, fault.NotFound) && !number {
		return Referral{}, nil
	}
	if fault.Is(err, fault.NotFound) {
		chart = c.Person.NHSNumber.String()
		_, salt, hash, err := newPassword()
		if err != nil {
			return Referral{}, err
		}
		if !tx.Holds(s.ubrnLane(c.UBRN)) || !tx.Holds(s.chartLane(chart)) {
			return Referral{}, errMoved()
		}
		return Referral{UBRN: c.UBRN, Chart: chart}, tx.Queue(`INSERT INTO referral_number (lane, ubrn, chart, salt, password) VALUES (?, ?, ?, ?, ?)`,
			int64(s.ubrnLane(c.UBRN)), c.UBRN.String(), chart, salt, hash)
	}
	if err != nil {
		return Referral{}, err
	}
	was, err := s.load(tx, chart, c.UBRN)
	if errors.Is(err, ErrNotReferral) { // that a referral was made of the question is what was lost
		was, err = Referral{UBRN: c.UBRN, Chart: chart, FromAdvice: true}, nil
	}
	if err != nil {
		return was, err
	}
	for _, lane := range s.lanesFor(was, SlotRef{}) {
		if !tx.Holds(lane) {
			return was, errMoved()
		}
	}
	return was, nil
}

// recovered is a referral as a hospital was told of it.
func (s *Referrals) recovered(ctx context.Context, was Referral, from ident.ODSCode, c booking.Case) Referral {
	r := was.clone()
	if was.Version == 0 {
		r.Patient, r.Request, r.Practice, r.PracticeName, r.Referrer = c.Person.NHSNumber, ForAppointment, c.Practice, s.k.Organisation(ctx, c.Practice), Staff{Name: c.Referrer}
		r.PathwayStart, r.Created, r.Since = c.ClockStart, c.Changed, c.Changed
	}
	chosen, ok := r.ChoiceOf(c.Service)
	if !ok {
		chosen = Choice{Service: c.Service, Name: c.ServiceName, Provider: from, ProviderName: s.k.Organisation(ctx, from)}
		r.Shortlist = append(r.Shortlist, chosen)
	}
	if r.State = State(c.State); r.State != was.State {
		r.Since = c.Changed
	}
	if r.State == NotBooked {
		chosen = Choice{}
	}
	if chosen.Service != was.Chosen.Service {
		r.Accepted, r.Attended = false, false
	}
	r.Attended = r.State == AssessmentResult || r.Attended && was.State != AssessmentResult
	r.Acted, r.Took, r.Closed = c.Acted, c.Took, c.Closed
	if r.Offer = offerTold(from, c); s.o.Seams.NotTold {
		r.Offer = nil
	}
	r.Passed = passedTold(r, chosen, from, c)
	r.Chosen, r.Priority, r.Comment, r.Reason = chosen, Priority(c.Priority), c.Comment, reasonOf(r.State, c.Reason)
	if c.Letter != "" {
		r.Letter = hashOf(c.Letter)
	}
	r.Attachments = filesTold(was, from, c)
	r.Appointment = nil
	if a := c.Appointment; a != nil && r.State == Booked {
		r.Appointment = &Appointment{SlotRef: SlotRef{from, a.Session, a.Slot}, Epoch: int64(a.Epoch), Start: a.Start, End: a.End, Clinician: a.Clinician, ClinicianID: a.ClinicianID, Theirs: booking.Hospital.Owns(a.Epoch)}
		r.Arranged = arrangedAgain(r, c.ByPatient)
	}
	return r
}

// passedTold is what somebody who waits was offered and did not take, as the hospital was told: it is not offered to them again.
func passedTold(r Referral, chosen Choice, from ident.ODSCode, c booking.Case) (list []SlotRef) {
	if r.State != Deferred {
		return nil
	}
	if chosen.Service == r.Chosen.Service {
		list = slices.Clone(r.Passed) // known here before what is lost
	}
	for _, x := range c.LetPass {
		if ref := (SlotRef{from, x.Session, x.ID}); !slices.Contains(list, ref) {
			list = append(list, ref)
		}
	}
	return list
}

// arrangedAgain is the arrangement of an appointment that is told back: of who took it the hospital knows only whether the patient did.
func arrangedAgain(r Referral, byPatient time.Time) *Arrangement {
	last := r.Arranged
	if last == nil && byPatient.IsZero() {
		return nil
	}
	v := Arrangement{Status: ArrangedBooked, Created: byPatient, Clinician: r.Appointment.ClinicianID, Start: r.Appointment.Start}
	if last != nil {
		v.Version = last.Version + 1
		if byPatient.IsZero() {
			v.Created = last.Created
		}
	}
	if !byPatient.IsZero() {
		v.By = Patient
	}
	return &v
}

// filesTold are the files of a referral as a hospital was told of them, and those that it is not told of: what cannot be read. Where it has let the referral go it is told of none but its own, and all stay.
func filesTold(was Referral, from ident.ODSCode, c booking.Case) (list []Attachment) {
	for _, a := range was.Attachments {
		if a.Availability() != Available || c.Gone {
			list = append(list, a)
		}
	}
	for _, a := range c.Attachments {
		if i := slices.IndexFunc(was.Attachments, func(x Attachment) bool { return x.ID == a.ID }); i >= 0 {
			if !c.Gone { // it is there
				list = append(list, was.Attachments[i])
			}
			continue
		}
		x := Attachment{ID: a.ID, Name: a.Name, Type: a.Type, Size: a.Size, Hash: a.Hash, Description: a.Description, Kind: AttachmentKind(a.Kind), By: Staff{Name: a.By}, Organisation: a.Code, At: a.At}
		if x.Organisation.IsZero() { // told before hospitals were told whose a file is
			if x.Kind, x.Organisation = FromReferrer, c.Practice; x.Organisation.IsZero() {
				x.Organisation = from
			}
		}
		list = append(list, x)
	}
	return list
}

// refile keeps files again that a restore has lost: their bytes came beside what the hospital told.
func (s *Referrals) refile(tx *store.Tx, was, r Referral) error {
	for _, a := range r.Attachments {
		if slices.ContainsFunc(was.Attachments, func(x Attachment) bool { return x.ID == a.ID }) {
			continue
		}
		if !tx.Holds(s.fileLane(a.ID)) {
			return errMoved()
		}
		if err := s.keepFile(tx, a, "", r.UBRN.String(), r.Chart); err != nil {
			return err
		}
		if err := s.bind(tx, a, r.UBRN, r.Chart); err != nil {
			return err
		}
	}
	return nil
}

// reasonOf names the code system of a reason, as the act that leads into a state does.
func reasonOf(to State, code string) Code {
	if code == "" {
		return Code{}
	}
	for _, t := range Transitions() {
		if t.To == to && t.Reasons != "" {
			return Code{t.Reasons, code}
		}
	}
	return Code{}
}

// rebook lets go of the slot that a referral had by what the restore brought back, and takes the one that it has, from whomever a backup has in it.
func (s *Referrals) rebook(tx *store.Tx, was, r Referral) error {
	a := r.Appointment
	if a != nil && was.Appointment != nil && *a == *was.Appointment {
		return nil
	}
	left := r
	left.Appointment = nil
	if err := s.moveSlots(tx, was, left); err != nil || a == nil || a.Theirs {
		return err
	}
	s.supply.changed(tx)
	lane := int64(s.sessionLane(a.Session))
	if err := tx.Queue(`INSERT INTO referral_booking (lane, provider, session, slot, epoch, ubrn) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (lane, provider, session, slot, epoch) DO UPDATE SET ubrn = excluded.ubrn`,
		lane, a.Provider.String(), a.Session, a.Slot, a.Epoch, r.UBRN.String()); err != nil {
		return err
	}
	if err := s.loseAt(tx, *a); err != nil {
		return err
	}
	return tx.Queue(`UPDATE referral_slot SET state = ?, ubrn = ?, chart = ?, holder = '', held = 0 WHERE lane = ? AND provider = ? AND session = ? AND slot = ? AND base = ? AND epoch % 2 = 1`,
		slotBooked, r.UBRN.String(), r.Chart, lane, a.Provider.String(), a.Session, a.Slot, a.Epoch)
}
