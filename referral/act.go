package referral

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Draft is what a referrer says of a new referral.
type Draft struct {
	Patient      ident.NHSNumber
	Priority     Priority
	Request      Request
	Specialty    string
	ClinicType   string
	Services     []string  // the shortlist, by the directory's ids
	Letter       string    // its text
	Files        []FileRef // uploaded before, for no referral
	PathwayStart time.Time // zero for now
	Criteria     string    // as Search has them
	LetterDue    time.Time // zero when no letter was promised
	Requirements []string
	Related      []ident.UBRN
	// Referrer is on whose behalf the caller refers; zero for themselves.
	Referrer Staff
	// Form names the form that was sent, so that one that is sent twice makes one referral; empty for none.
	Form string
	// UBRN is given for what is brought from elsewhere; zero for a new one.
	UBRN ident.UBRN
	// AtOnce is done with the new referral in the same write, if it has a kind: ActBook, or ActDefer, which here asks not whether anything is free (BaRS hands patients over).
	AtOnce Work
	// Once makes it happen once; nil when nobody asks twice.
	Once *Once
}

// Made is a new referral, with the password that its patient is given: it is shown this once and kept as a hash. It is empty when the form was sent before.
type Made struct {
	Referral
	Password string
}

// Create makes a referral, for the caller's organisation. Errors: fault.Invalid for a draft that is not sound; fault.NotFound for a patient or service that is
// not there; fault.Unprocessable for a service that does not take the person, and for a person who has died; what the rules refuse by.
func (s *Referrals) Create(ctx context.Context, c Caller, d Draft) (Made, error) {
	p := c.Principal
	if d.Patient.IsZero() || p.Organisation.IsZero() {
		return Made{}, fault.New(fault.Invalid, "A referral names its patient, and is made for an organisation.")
	}
	if len(d.Letter) > MostLetter {
		return Made{}, fault.New(fault.TooLarge, "A letter has at most %d bytes.", MostLetter)
	}
	person, err := s.person(ctx, c, d.Patient)
	if err != nil {
		return Made{}, err
	}
	if person.Dead() {
		return Made{}, fault.Wrap(ErrPatient, fault.Unprocessable, "This person has died, as the register says.")
	}
	list, take, err := s.choicesTaking(ctx, d.Services, person, s.k.Clock.Now())
	if err != nil {
		return Made{}, err
	}
	if err := checkRequest(d.Request, list, take); err != nil {
		return Made{}, err
	}
	of := access.TypeReferral
	if d.Referrer.ID != "" && d.Letter == "" && len(d.Files) == 0 {
		of = access.TypeBooking // a clinician has decided, and somebody else asks for the appointment
	}
	acts := []access.Act{{Action: access.Create, Place: access.Place{Tenant: s.k.National, Chart: person.Chart, Type: of}}}
	if d.AtOnce.Kind != "" {
		acts = append(acts, access.Act{Action: access.Update, Place: access.Place{Tenant: s.k.National, Chart: person.Chart, Type: access.TypeBooking}})
	}
	grants, err := s.k.Gate.DecideAll(ctx, p, acts)
	if err != nil {
		return Made{}, err
	}
	for range 10 {
		made, err := s.create(ctx, p, grants, d, person, list)
		var number *numberTaken
		if !errors.As(err, &number) || !d.UBRN.IsZero() {
			return made, s.withNext(ctx, err, d.AtOnce.Holder, person.Chart)
		}
	}
	return Made{}, fault.New(fault.Unavailable, "No number was free; try again.")
}

// errTaken is the kind of failure when a number that was drawn is somebody's already.
const errTaken = fault.Conflict

// numberTaken is that failure, of a referral.
type numberTaken struct{ cause error }

// Error is the cause's.
func (e *numberTaken) Error() string { return e.cause.Error() }

// Unwrap is the cause.
func (e *numberTaken) Unwrap() error { return e.cause }

func (s *Referrals) create(ctx context.Context, p access.Principal, grants []access.Grant, d Draft, person Person, list []Choice) (Made, error) {
	u, err := s.newUBRN(d.UBRN)
	if err != nil {
		return Made{}, err
	}
	password, salt, hash, err := newPassword()
	if err != nil {
		return Made{}, err
	}
	var made Made
	lanes := append(append(s.fileLanes(d.Files), s.ubrnLane(u)), d.Once.lanes()...)
	if d.AtOnce.Slot.Session != "" {
		lanes = append(lanes, s.sessionLane(d.AtOnce.Slot.Session))
	}
	err = s.k.Gate.Act(ctx, grants, lanes, func(tx *store.Tx) (err error) {
		if err := d.Once.before(tx); err != nil {
			return err
		}
		defer func() { err = d.Once.after(tx, made.Referral, err) }()
		made = Made{Password: password}
		if was, ok, err := s.sentBefore(tx, person.Chart, d.Form); err != nil || ok {
			made = Made{Referral: was}
			return err
		}
		err = tx.QueueOr(func(err error) error { return &numberTaken{err} }, `INSERT INTO referral_number (lane, ubrn, chart, salt, password) VALUES (?, ?, ?, ?, ?)`,
			int64(s.ubrnLane(u)), u.String(), person.Chart, salt, hash)
		if err != nil {
			return err
		}
		files, err := s.attached(tx, p, fileTo{ubrn: u, chart: person.Chart, kind: FromReferrer, fresh: true}, d.Files)
		if err != nil {
			return err
		}
		r, err := Apply(Referral{}, Act{Kind: ActCreate, By: actorOf(p, Referrer), At: tx.At(), Shortlist: list, Priority: d.Priority, Letter: hashOf(d.Letter), Attachments: files,
			Search: Search{Criteria: d.Criteria, LetterDue: d.LetterDue},
			New: &Referral{UBRN: u, PathwaySaid: !d.PathwayStart.IsZero(), Requirements: d.Requirements, Related: d.Related, Patient: d.Patient, Chart: person.Chart, Request: d.Request, Specialty: d.Specialty, ClinicType: d.ClinicType, PathwayStart: d.PathwayStart,
				Referrer: cmp.Or(d.Referrer, Staff{p.ID, p.Name}), Practice: p.Organisation, PracticeName: s.k.Organisation(ctx, p.Organisation)}})
		if err != nil {
			return err
		}
		made.Referral = r
		if err := s.keepLetter(tx, r.Chart, d.Letter); err != nil {
			return err
		}
		if d.Form != "" {
			if err := tx.Queue(`INSERT INTO referral_form (lane, chart, form, ubrn) VALUES (?, ?, ?, ?)`, int64(s.chartLane(r.Chart)), r.Chart, d.Form, u.String()); err != nil {
				return err
			}
		}
		if err := s.save(tx, Referral{}, r, Act{Kind: ActCreate, By: actorOf(p, Referrer), At: tx.At()}); err != nil {
			return err
		}
		switch {
		case r.Request == ForTriage:
			made.Referral, err = s.commit(tx, r, Act{Kind: ActSendTriage, By: actorOf(p, Referrer), At: tx.At(), Service: r.Shortlist[0].Service})
		case d.AtOnce.Kind != "":
			made.Referral, err = s.atOnce(tx, p, r, d.AtOnce)
		}
		return err
	})
	return made, err
}

// sentBefore is the referral that a form made when it was sent before.
func (s *Referrals) sentBefore(tx *store.Tx, chart, form string) (r Referral, ok bool, err error) {
	if form == "" {
		return r, false, nil
	}
	var number string
	err = tx.QueryRow(`SELECT ubrn FROM referral_form WHERE lane = ? AND chart = ? AND form = ?`, int64(s.chartLane(chart)), chart, form).Scan(&number)
	if fault.Is(err, fault.NotFound) {
		return r, false, nil
	}
	if err != nil {
		return r, false, err
	}
	u, err := ident.ParseUBRN(number)
	if err != nil {
		return r, false, fault.Wrap(err, fault.Internal, "a form's UBRN cannot be read")
	}
	r, err = s.load(tx, chart, u)
	return r, true, err
}

// newUBRN draws a number at random, so that none tells of another; numbers below a thousand million are kept for examples as published.
func (s *Referrals) newUBRN(given ident.UBRN) (ident.UBRN, error) {
	if !given.IsZero() {
		return given, nil
	}
	var b [8]byte
	rand.Read(b[:]) // never fails: crypto/rand, Go 1.24
	const lowest, beyond = 1_000_000_000, 1_000_000_000_000
	return ident.ParseUBRN(fmt.Sprintf("%012d", lowest+binary.BigEndian.Uint64(b[:])%(beyond-lowest)))
}

func actorOf(p access.Principal, party Party) Actor {
	return Actor{ID: p.ID, Name: p.Name, Party: party, Organisation: p.Organisation}
}

// ErrNoPart is that somebody may read a referral or a question, and has no part in it: their organisation neither made it nor was asked.
var ErrNoPart = errors.New("referral: no part in it")

// partyOf is on whose side a principal acts in a referral. Error: fault.Forbidden (ErrNoPart) when on none.
func partyOf(p access.Principal, r Referral) (Party, error) {
	switch {
	case p.Role == access.Patient && p.Person == r.Chart:
		return Patient, nil
	case p.Organisation == r.Practice:
		return Referrer, nil
	case !p.Organisation.IsZero() && p.Organisation == r.Provider():
		return Provider, nil
	case p.AuthMethod == "service":
		return System, nil
	}
	return "", fault.Wrap(ErrNoPart, fault.Forbidden, "This referral is neither your organisation's nor made to it.")
}

// of is the side on which a principal acts who has said as what, where an organisation may be on both: the one that they are on otherwise when they said nothing. Error: fault.Forbidden for a side that
// is not theirs.
func (as Party) of(p access.Principal, r Referral, found Party) (Party, error) {
	switch {
	case as == "" || as == found:
		return found, nil
	case as == Provider && found == Referrer && p.Organisation == r.Provider():
		return Provider, nil
	case as == Referrer:
		return "", fault.Wrap(ErrNoPart, fault.Forbidden, "This referral was not made by your organisation.")
	}
	return "", fault.Wrap(ErrNoPart, fault.Forbidden, "This referral is not made to your organisation.")
}

// Get is a referral as it is now. Errors: those of the rules; fault.NotFound.
func (s *Referrals) Get(ctx context.Context, c Caller, u ident.UBRN) (r Referral, err error) {
	err = s.open(ctx, c, u, access.Read, false, func(tx *store.Tx, chart string) error {
		if r, err = s.load(tx, chart, u); err == nil {
			err = s.stillOffered(tx, &r)
		}
		return err
	})
	s.unheard(&r)
	return r, err
}

// History is every version of a referral, the first one first. Errors: those of Get.
func (s *Referrals) History(ctx context.Context, c Caller, u ident.UBRN) (list []Version, err error) {
	err = s.open(ctx, c, u, access.History, false, func(tx *store.Tx, chart string) error {
		list, err = s.versions(tx, chart, u)
		return err
	})
	return list, err
}

// Letter is the text of a referral's letter; empty while there is none. It is for clinicians and the patient. Errors: those of Get.
func (s *Referrals) Letter(ctx context.Context, c Caller, u ident.UBRN) (text string, err error) {
	err = s.open(ctx, c, u, access.Read, true, func(tx *store.Tx, chart string) error {
		r, err := s.load(tx, chart, u)
		if err == nil {
			text, err = s.letterOf(tx, r)
		}
		return err
	})
	return text, err
}

// open reads what is a referral's, once the caller may. Whoever may see the person but has no part in the referral sees it too: they look after them.
func (s *Referrals) open(ctx context.Context, c Caller, u ident.UBRN, action access.Action, clinical bool, fn func(tx *store.Tx, chart string) error) error {
	chart, err := s.ownerOf(ctx, u)
	if err != nil {
		return err
	}
	if _, err := c.Ask(access.Act{Action: action, Place: s.place(chart, u, clinical)}); err != nil {
		return err
	}
	return s.read(ctx, func(tx *store.Tx) error { return fn(tx, chart) })
}

func (s *Referrals) ownerOf(ctx context.Context, u ident.UBRN) (chart string, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		chart, err = s.chartOf(tx, u)
		return err
	})
	return chart, err
}

// Work is an act as a caller asks for it: Act without who and when, which Act finds out.
type Work struct {
	// As is the side on which the caller acts, where they have said so; empty for the one on which their organisation is.
	As Party

	Kind    Kind
	Seen    int64
	Reason  string
	Comment string

	Slot      SlotRef // of book and move, as FreeSlots names it
	Service   string  // of book, move, defer, send-for-triage, and triage-accept where it is another than it was sent to
	Clinician string  // of book and move: who must be there in the slot, by their user id; empty for whoever is
	Services  []string
	Letter    string    // its text
	Files     []FileRef // of letter, triage-accept and triage-return: uploaded for this referral, or attached already
	Invite    bool      // of triage-accept: the patient chooses the date
	Replace   bool      // of letter: these files are all that there are from now on
	Priority  Priority
	Search    Search // of shortlist
	// Holder is who held the slot; see Hold.
	Holder string
	// Once makes it happen once; nil when nobody asks twice.
	Once *Once
}

// Act does something to a referral in one transaction: the version, the slot, the message to the hospital and the account.
//
// Errors: those of Apply; fault.Conflict (see Taken) when the slot is gone; fault.Unprocessable when a referral is deferred while there are free slots, and
// when a service does not take the person; what the rules refuse by.
func (s *Referrals) Act(ctx context.Context, c Caller, u ident.UBRN, w Work) (Referral, error) {
	return s.ActBoth(ctx, c, u, w, Work{})
}

// ActBoth does two acts in one transaction, or neither: the second sees the first. What it needs to be allowed, its Holder and its Once are the first's. The second is nothing when it has no kind,
// and otherwise neither books nor leaves a slot. Errors: those of Act.
func (s *Referrals) ActBoth(ctx context.Context, c Caller, u ident.UBRN, w, second Work) (Referral, error) {
	t, ok := TransitionOf(w.Kind)
	if !ok || w.Kind == ActCreate {
		return Referral{}, fault.New(fault.Invalid, "There is no act called %q.", w.Kind)
	}
	was, found := s.find(ctx, u)
	if found != nil && !errors.Is(found, ErrNotReferral) {
		return Referral{}, found
	}
	chart := was.Chart
	grants, err := s.k.Gate.DecideAll(ctx, c.Principal, []access.Act{{Action: access.Update, Place: s.place(chart, u, t.Clinical)}})
	if err != nil {
		return Referral{}, err
	}
	if found != nil {
		return Referral{}, found // what the number is, is for those who may know of the person
	}
	if r, asked, err := s.askFor(ctx, c, chart, u, grants, w); err != nil || asked {
		return r, err
	}
	var acts [2]Act
	for i, w := range []Work{w, second} {
		if acts[i], err = s.wanted(ctx, chart, w); err != nil {
			return Referral{}, err
		}
	}
	for range 5 {
		var after Referral
		err = s.k.Gate.Act(ctx, grants, slices.Concat(s.lanesFor(was, w.Slot), s.fileLanes(w.Files), w.Once.lanes()), func(tx *store.Tx) error {
			if err := w.Once.before(tx); err != nil {
				return err
			}
			after, err = s.act(tx, c.Principal, chart, u, acts[0], w)
			if err == nil && second.Kind != "" {
				after, err = s.act(tx, c.Principal, chart, u, acts[1], second)
			}
			return w.Once.after(tx, after, err)
		})
		if !moved(err) {
			return after, s.withNext(ctx, err, w.Holder, chart)
		}
		if was, err = s.peek(ctx, chart, u); err != nil {
			return Referral{}, err
		}
	}
	return Referral{}, fault.New(fault.Unavailable, "The referral keeps changing; try again.")
}

// wanted is the act that a caller asks for, but for who and when.
func (s *Referrals) wanted(ctx context.Context, chart string, w Work) (a Act, err error) {
	a = Act{Kind: w.Kind, Seen: w.Seen, Reason: w.Reason, Comment: strings.TrimSpace(w.Comment), Service: w.Service, Letter: hashOf(w.Letter), Replace: w.Replace, Invite: w.Invite, Priority: w.Priority, Search: w.Search}
	if len(w.Services) > 0 {
		if a.Shortlist, err = s.choicesFor(ctx, w.Services, chart); err != nil {
			return a, err
		}
	}
	if len(w.Letter) > MostLetter {
		return a, fault.New(fault.TooLarge, "A letter has at most %d bytes.", MostLetter)
	}
	return a, nil
}

// find is a referral by its number alone, for finding out whose it is and which lanes an act of it needs. With ErrNotReferral, only whose the number is.
func (s *Referrals) find(ctx context.Context, u ident.UBRN) (r Referral, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		chart, err := s.chartOf(tx, u)
		if err == nil {
			r, err = s.load(tx, chart, u)
			r.Chart = chart
		}
		return err
	})
	return r, err
}

// peek is a referral for finding out which lanes an act of it needs.
func (s *Referrals) peek(ctx context.Context, chart string, u ident.UBRN) (r Referral, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		r, err = s.load(tx, chart, u)
		return err
	})
	return r, err
}

// lanesFor are the lanes that an act needs beside the chart's: of the UBRN, of the slot that is left and of that which is taken.
func (s *Referrals) lanesFor(r Referral, to SlotRef) []store.Lane {
	lanes := []store.Lane{s.ubrnLane(r.UBRN), s.chartLane(r.Chart)}
	if r.Appointment != nil {
		lanes = append(lanes, s.sessionLane(r.Appointment.Session))
	}
	if r.Offer != nil {
		lanes = append(lanes, s.sessionLane(r.Offer.Session))
	}
	if to.Session != "" {
		lanes = append(lanes, s.sessionLane(to.Session))
	}
	return lanes
}

// act is Act inside its transaction.
func (s *Referrals) act(tx *store.Tx, p access.Principal, chart string, u ident.UBRN, a Act, w Work) (Referral, error) {
	was, err := s.load(tx, chart, u)
	if err != nil {
		return was, err
	}
	if was.Appointment != nil && !tx.Holds(s.sessionLane(was.Appointment.Session)) {
		return was, errMoved()
	}
	party, err := partyOf(p, was)
	if err == nil {
		party, err = w.As.of(p, was, party)
	}
	if err != nil {
		return was, err
	}
	a.By, a.At = actorOf(p, party), tx.At()
	if again, ok := repeated(was, a, w); ok {
		return again, nil
	}
	if seeksCare(a.Kind) {
		if a.person, err = s.alive(tx, chart); err != nil {
			return was, err
		}
	}
	if a.Kind == ActBook || a.Kind == ActMove {
		if a.Appointment, a.Service, err = s.take(tx, was, w); err != nil {
			return was, err
		}
		if party != Provider {
			if err := s.fitAt(tx, chart, a.Service, a.Appointment.Start); err != nil {
				return was, err
			}
		}
	}
	if a.Kind == ActTriageAccept && a.Service != "" {
		if a.To, err = s.choiceFor(tx.Context(), a.Service, was); err != nil {
			return was, err
		}
	}
	if a.Kind == ActDefer {
		if err := s.deferrable(tx, chart, w); err != nil {
			return was, err
		}
	}
	if err := s.keepLetter(tx, chart, w.Letter); err != nil {
		return was, err
	}
	if len(w.Files) > 0 {
		kind := FromReferrer
		if party == Provider {
			kind = FromProvider
		}
		if a.Attachments, err = s.attached(tx, p, fileTo{ubrn: u, chart: chart, have: was.Attachments, kind: kind}, w.Files); err != nil {
			return was, err
		}
	}
	return s.commit(tx, was, a)
}

// seeksCare reports whether an act is for somebody who is to be seen. What ends or explains a referral is done for those as well who have died.
func seeksCare(k Kind) bool {
	return slices.Contains([]Kind{ActShortlist, ActBook, ActMove, ActDefer, ActSendTriage, ActTriageAccept, ActRebookLater}, k)
}

// alive refuses what is done for somebody of whom the register says that they have died, since they were referred perhaps. Error: ErrPatient.
func (s *Referrals) alive(tx *store.Tx, chart string) (*Person, error) {
	person, err := s.personIn(tx, chart)
	if err == nil && person.Dead() {
		err = fault.Wrap(ErrPatient, fault.Unprocessable, "This person has died, as the register says.")
	}
	return &person, err
}

// commit applies an act, and does what follows from it: the slots, the relationship of the provider, and what the hospital is told.
func (s *Referrals) commit(tx *store.Tx, was Referral, a Act) (Referral, error) {
	r, err := Apply(was, a)
	if err != nil {
		return was, err
	}
	if r.Version, err = s.next(tx, r.Version); err != nil {
		return was, err
	}
	if a.By.Party == System && a.Kind.offers() {
		if r.Told, err = s.unchanged(tx, was); err != nil {
			return was, err
		}
	}
	if err := s.holdOffer(tx, was, r); err != nil {
		return was, err
	}
	if err := s.moveSlots(tx, was, r); err != nil {
		return was, err
	}
	if err := s.keepWait(tx, was, r); err != nil {
		return was, err
	}
	if err := s.save(tx, was, r, a); err != nil {
		return was, err
	}
	if err := s.relate(tx, was, r); err != nil {
		return was, err
	}
	return r, s.tell(tx, was, r, a.person)
}

// repeated reports whether an act was done already by the same form sent twice: the appointment is the one that is asked for.
func repeated(was Referral, a Act, w Work) (Referral, bool) {
	same := (a.Kind == ActBook || a.Kind == ActMove) && was.State == Booked && was.Appointment.SlotRef == w.Slot && a.Seen == was.Version-1
	same = same || a.Kind == ActCancelBy && was.State == CancelledByPatient && a.Seen == was.Version-1
	same = same || a.Kind == ActDecline && was.State == Deferred && was.Offer == nil && len(was.Passed) > 0 && a.Seen == was.Version-1
	return was, same
}

// relate lets the provider, and nobody who has it no more, open the person's chart.
func (s *Referrals) relate(tx *store.Tx, was, r Referral) error {
	bond := func(to ident.ODSCode) access.Relationship {
		return access.Relationship{Tenant: s.k.National, Chart: r.Chart, Organisation: to, Kind: "referral", Basis: "referred by " + r.Practice.String(), By: "service/referral"}
	}
	to, from := r.Provider(), was.Provider()
	if theirs(r) && (to != from || !theirs(was)) {
		if err := s.k.Gate.Relate(tx, bond(to)); err != nil {
			return err
		}
	}
	if !theirs(was) || theirs(r) && to == from {
		return nil
	}
	others, err := s.othersAt(tx, r, from)
	if err != nil || others {
		return err
	}
	err = s.k.Gate.EndRelation(tx, bond(from))
	if fault.Is(err, fault.NotFound) {
		return nil // it had ended before
	}
	return err
}

// theirs reports whether a referral is its provider's business.
func theirs(r Referral) bool {
	switch r.State {
	case NotBooked, CancelledByPatient, Rejected, TriageResponse, Cancelled:
		return false
	}
	return !r.Provider().IsZero()
}

// othersAt reports whether the person has another referral that is a provider's business.
func (s *Referrals) othersAt(tx *store.Tx, r Referral, at ident.ODSCode) (bool, error) {
	var n int64
	err := tx.QueryRow(`SELECT count(*) FROM referral_case WHERE lane = ? AND chart = ? AND provider || '' = ? AND ubrn <> ? AND state NOT IN (?, ?, ?, ?, ?)`, // found by the person: a provider's are very many
		int64(s.chartLane(r.Chart)), r.Chart, at.String(), r.UBRN.String(), string(NotBooked), string(CancelledByPatient), string(Rejected), string(TriageResponse), string(Cancelled)).Scan(&n)
	return n > 0, err
}
