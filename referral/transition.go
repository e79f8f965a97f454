package referral

import (
	"cmp"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral/codes"
)

// Kind is what somebody does to a referral.
type Kind string

// The kinds of act.
const (
	ActCreate       Kind = "create"
	ActShortlist    Kind = "shortlist" // offer other services
	ActLetter       Kind = "letter"    // write, replace or add to the letter and its files
	ActBook         Kind = "book"
	ActMove         Kind = "move"              // from one slot to another, in one act
	ActCancelBy     Kind = "cancel-by-patient" // the appointment, by or for the patient
	ActCancelFrom   Kind = "cancel-by-provider"
	ActDefer        Kind = "defer"
	ActSendTriage   Kind = "send-for-triage"
	ActTriageAccept Kind = "triage-accept"
	ActTriageReturn Kind = "triage-return"
	ActAssessed     Kind = "assessed"
	ActAccept       Kind = "accept"
	ActReject       Kind = "reject"
	ActAttended     Kind = "attended"
	ActNotAttended  Kind = "did-not-attend"
	ActDischarged   Kind = "discharged"
	ActCancel       Kind = "cancel" // the referral
	ActReinstate    Kind = "reinstate"
	ActOffer        Kind = "offer"           // a time that has come free, to whoever waits
	ActDecline      Kind = "decline-offer"   // they cannot come then
	ActLapse        Kind = "offer-lapsed"    // nobody answered in time
	ActUnoffer      Kind = "offer-withdrawn" // the session will not take place
	ActRebookLater  Kind = "rebook-later"    // the provider cancels the appointment and finds another one
	ActPriority     Kind = "priority"
	ActConvert      Kind = "convert"     // a question for advice was made a referral of
	ActTold         Kind = "told-back"   // by a hospital, after the spine was restored from a backup: no act of anybody's, and in no table
	ActAsk          Kind = "ask"         // a hospital's own system, whether something may be done
	ActAskRefused   Kind = "ask-refused" // it said no
)

// offers reports whether an act makes an offer or ends one.
func (k Kind) offers() bool {
	return k == ActOffer || k == ActDecline || k == ActLapse || k == ActUnoffer
}

// Party is on whose side somebody acts.
type Party string

// The parties.
const (
	Referrer Party = "referrer"
	Provider Party = "provider"
	Patient  Party = "patient"
	System   Party = "system" // the spine itself
)

// Actor is who acts.
type Actor struct {
	ID, Name     string
	Party        Party
	Organisation ident.ODSCode
}

// Act is something done to a referral: by whom, when, why, and what more each kind needs.
type Act struct {
	Kind    Kind
	By      Actor
	At      time.Time
	Seen    int64  // the version that was acted upon; 0 for whichever is current
	Reason  string // a code of the kind's system
	Comment string

	Appointment *Appointment // of book and move
	Service     string       // of book, move, defer and send-for-triage
	Shortlist   []Choice     // of create and shortlist; of send-for-triage where it changes
	Letter      string       // of create and letter: the hash of the text; empty leaves what was
	Attachments []Attachment // of create, letter and triage: added to what was
	To          *Choice      // of triage-accept: the service of the same provider that takes it; nil for the one that it was sent to
	Invite      bool         // of triage-accept: the patient chooses the date
	Replace     bool         // of letter: the attachments are all that the referrer's side has from now on
	Priority    Priority     // of create and priority; of rebook-later, empty for as it was
	Search      Search       // of create and shortlist
	Outcome     string       // of attended and assessed: what came of it, as the hospital calls it
	Offer       *Offer       // of offer
	New         *Referral    // of create: who, what for and by whom

	question *Asked  // of ask
	answers  bool    // it is what was asked for, and the hospital's system said yes
	person   *Person // the patient as the register has them in the act's transaction; nil where nobody has looked
}

// Transition is one row of the table: who may do what in which states, what comes of it, and from which code system the reason is.
type Transition struct {
	Act     Kind
	From    []State // none: there is no referral yet
	To      State   // empty: the state stays
	Who     []Party
	Reasons string   // the code system; empty for an act that gives no reason
	Types   []string // of the reasons that may be given; none means all
	Outcome string   // of ReviewOutcomes, for an act that is one
	// OfProvider narrows From for a provider, where it is not empty.
	OfProvider []State
	// Clinical acts read or write what ails the person: they are for clinicians. The others are about when and where somebody comes.
	Clinical bool
}

// waiting are the states in which somebody has yet to choose a date.
func waiting() []State {
	return []State{NotBooked, CancelledByPatient, CancelledByProvider, DidNotAttend, TriageResponse, AssessmentResult, Rejected}
}

// bookable are the states from which an appointment can be made: what a provider rejected or returned goes to other services first.
func bookable() []State {
	return []State{NotBooked, CancelledByPatient, CancelledByProvider, DidNotAttend, Deferred, TriagedToAct}
}

func alive() []State {
	return slices.DeleteFunc(States(), func(s State) bool { return s == Cancelled })
}

// Transitions is the table of what may follow what. Pages, APIs, messages and the simulator all go through it.
func Transitions() []Transition {
	held := []State{Deferred, AwaitingTriage, TriagedToAct}
	return []Transition{
		{Act: ActCreate, To: NotBooked, Who: []Party{Referrer}, Clinical: true},
		{Act: ActShortlist, From: waiting(), To: NotBooked, Who: []Party{Referrer}},
		{Act: ActLetter, From: alive(), Who: []Party{Referrer}, Clinical: true},
		{Act: ActPriority, From: alive(), Who: []Party{Referrer, Provider}, Clinical: true},
		{Act: ActBook, From: bookable(), To: Booked, Who: []Party{Referrer, Patient, Provider, System}},
		{Act: ActMove, From: []State{Booked}, To: Booked, Who: []Party{Referrer, Patient, Provider}},
		{Act: ActCancelBy, From: []State{Booked}, To: CancelledByPatient, Who: []Party{Referrer, Patient, Provider}, Reasons: codes.CancelledVisit, Types: []string{codes.TypePatient}},
		{Act: ActCancelFrom, From: []State{Booked}, To: CancelledByProvider, Who: []Party{Provider}, Reasons: codes.CancelledVisit, Types: []string{codes.TypeProvider}},
		{Act: ActDefer, From: []State{NotBooked, CancelledByPatient, CancelledByProvider, DidNotAttend}, To: Deferred, Who: []Party{Referrer, Patient}},
		{Act: ActOffer, From: []State{Deferred}, Who: []Party{System}},
		{Act: ActDecline, From: []State{Deferred}, Who: []Party{Referrer, Patient, Provider}},
		{Act: ActLapse, From: []State{Deferred}, Who: []Party{System}},
		{Act: ActUnoffer, From: []State{Deferred}, Who: []Party{System}},
		{Act: ActSendTriage, From: waiting(), To: AwaitingTriage, Who: []Party{Referrer}},
		{Act: ActTriageAccept, From: []State{AwaitingTriage, Deferred}, To: TriagedToAct, Who: []Party{Provider}, Clinical: true, Outcome: "ACCEPT_REFER_BOOK_LATER"},
		{Act: ActTriageReturn, From: []State{AwaitingTriage, TriagedToAct, Deferred}, To: TriageResponse, Who: []Party{Provider}, Clinical: true, Outcome: "RETURN_TO_REFERRER_WITH_ADVICE"},
		{Act: ActAssessed, From: []State{Booked}, To: AssessmentResult, Who: []Party{Provider}, Clinical: true},
		{Act: ActAccept, From: append([]State{Booked}, held...), Who: []Party{Provider}},
		{Act: ActReject, From: append([]State{Booked}, held...), To: Rejected, Who: []Party{Provider}, Reasons: codes.CancelledVisit, Types: []string{codes.TypeRejected}},
		{Act: ActAttended, From: []State{Booked}, Who: []Party{Provider}},
		{Act: ActNotAttended, From: []State{Booked}, To: DidNotAttend, Who: []Party{Provider}, Reasons: codes.Missed},
		{Act: ActDischarged, From: []State{Booked, TriageResponse, AssessmentResult, DidNotAttend}, Who: []Party{Provider}},
		{Act: ActCancel, From: alive(), To: Cancelled, Who: []Party{Referrer, Patient, Provider}, Reasons: codes.CancelledRequest,
			OfProvider: []State{Booked, Deferred, TriagedToAct, CancelledByPatient, CancelledByProvider, DidNotAttend}}, // what waits for triage is answered, and what went back is the referrer's
		{Act: ActAsk, From: append(bookable(), Booked), Who: []Party{Referrer, Patient, Provider}},
		{Act: ActAskRefused, From: append(bookable(), Booked), Who: []Party{System}},
		{Act: ActReinstate, From: []State{Cancelled}, To: NotBooked, Who: []Party{Referrer}},
		{Act: ActConvert, From: []State{NotBooked}, To: TriagedToAct, Who: []Party{Provider}, Clinical: true, Outcome: "PROVIDER_CONVERTED_ADVICE_AND_GUIDANCE_ADMIN_TO_REFER"},
		{Act: ActRebookLater, From: []State{Booked}, To: TriagedToAct, Who: []Party{Provider}, Clinical: true, Outcome: ActionLater},
	}
}

var byAct = func() map[Kind]Transition {
	table := map[Kind]Transition{}
	for _, t := range Transitions() {
		table[t.Act] = t
	}
	return table
}()

// from are the states in which a party may do the act.
func (t Transition) from(by Party) []State {
	if by == Provider && len(t.OfProvider) > 0 {
		return t.OfProvider
	}
	return t.From
}

// TypesFor are the types of the reasons that a party may give in a referral's state; none means all. A provider ends what it has triaged for a reason of its own, and any other request for
// one of the patient's or the provider's (e-Referral Service FHIR API, A036, "Important notes").
func (t Transition) TypesFor(by Party, in State) []string {
	switch {
	case t.Act != ActCancel || by != Provider:
		return t.Types
	case in == TriagedToAct:
		return []string{codes.TypeTriageEnded}
	}
	return []string{codes.TypeProvider, codes.TypePatient}
}

// TransitionOf is the row of an act; ok is false when there is no such act.
func TransitionOf(k Kind) (t Transition, ok bool) {
	t, ok = byAct[k]
	return t, ok
}

// May reports whether a party may do an act in a referral's state, for pages that offer only what is possible.
func (r Referral) May(k Kind, by Party) bool {
	t, ok := byAct[k]
	if k == ActBook && by == Patient && r.State == TriagedToAct && !r.Invited {
		return false // the provider finds the date
	}
	if k == ActDecline && r.Offer == nil {
		return false
	}
	if r.Stage() == StageSeen && (k == ActMove || k == ActCancelBy || k == ActCancelFrom || k == ActCancel || k == ActRebookLater) {
		return false // it has taken place
	}
	return ok && slices.Contains(t.from(by), r.State) && slices.Contains(t.Who, by) && (!r.Closed || k == ActLetter) && (r.Asked == nil || whileAsked(k))
}

// whileAsked reports whether an act may be done while the answer of a hospital's own system is awaited.
func whileAsked(k Kind) bool {
	return k == ActAskRefused || k == ActLetter || k == ActPriority || k == ActLapse || k == ActUnoffer
}

// Limits of what an act says.
const (
	MostLetter  = booking.MostText // bytes
	mostComment = 2000             // characters
)

// Apply is r after an act, at the next version. It decides by what it is given alone: whether a slot is free, or a service takes the person, is
// for whoever calls it.
//
// Errors: fault.Invalid when the act lacks something or names what is unknown; fault.Forbidden when it is not for this party;
// fault.PreconditionFailed when r has changed since Act.Seen; fault.Conflict when r's state does not allow it.
func Apply(r Referral, a Act) (Referral, error) {
	t, ok := byAct[a.Kind]
	switch {
	case !ok:
		return r, fault.New(fault.Invalid, "There is no act called %q.", a.Kind)
	case !slices.Contains(t.Who, a.By.Party):
		return r, fault.New(fault.Forbidden, "This is for %s, not for the %s.", partyList(t.Who), a.By.Party)
	case a.Kind == ActCreate:
		return created(r, a)
	case a.Seen != 0 && a.Seen != r.Version:
		return r, fault.New(fault.PreconditionFailed, "The referral has changed since you looked at it: look again, then decide.")
	case r.Asked != nil && !a.answers && !whileAsked(a.Kind):
		return r, fault.New(fault.Conflict, "The hospital has been asked, and has not answered yet. Wait for its answer.")
	case !slices.Contains(t.from(a.By.Party), r.State), r.Closed && a.Kind != ActLetter:
		return r, fault.New(fault.Conflict, "A referral that is %s cannot be changed in this way.", r.State.words())
	case utf8.RuneCountInString(a.Comment) > mostComment:
		return r, fault.New(fault.Invalid, "A comment has at most %d characters.", mostComment)
	}
	if t.Reasons != "" {
		if _, err := codes.Reason(t.Reasons, a.Reason, a.Comment, a.At, t.TypesFor(a.By.Party, r.State)...); err != nil {
			return r, err
		}
	}
	n := r.clone()
	if err := a.change(&n); err != nil {
		return r, err
	}
	n.Version, n.Changed, n.Told = r.Version+1, a.At, 0
	if a.answers {
		n.Asked, n.Refusal = nil, ""
	}
	if t.To != "" {
		if n.State = t.To; n.State != r.State {
			n.Since = a.At
		}
		n.Reason, n.Comment = Code{}, a.Comment
		n.Reason = a.reason(t)
	}
	if n.State != Booked {
		n.Appointment = nil
	}
	if n.State != Deferred {
		n.Offer, n.Passed = nil, nil
	}
	n.Arranged = arrangedAfter(r, n, a)
	return n, nil
}

// reason is the code by which an act is explained: the one that was given, or that which the act is by itself; empty for an act that needs none.
func (a Act) reason(t Transition) Code {
	switch {
	case t.Reasons != "" && a.Reason != "":
		return Code{t.Reasons, a.Reason}
	case t.Outcome != "":
		return Code{ReviewOutcomes, t.Outcome}
	case a.Kind == ActDefer || a.Kind == ActSendTriage:
		usual := map[Kind]string{ActDefer: "NO_SLOTS_AT_SERVICE", ActSendTriage: "TRIAGE"}
		return Code{ReviewReasons, cmp.Or(a.Reason, usual[a.Kind])}
	}
	return Code{}
}

// words is a state in words, for messages.
func (s State) words() string { return strings.ToLower(strings.ReplaceAll(string(s), "_", " ")) }

func partyList(list []Party) string {
	names := make([]string, len(list))
	for i, p := range list {
		names[i] = "the " + string(p)
	}
	return strings.Join(names, ", ")
}

// change does what is particular to each kind of act.
func (a Act) change(n *Referral) error {
	switch a.Kind {
	case ActShortlist:
		return a.offer(n)
	case ActLetter:
		return a.write(n)
	case ActPriority:
		return a.hasten(n)
	case ActBook, ActMove:
		return a.appoint(n)
	case ActDefer, ActSendTriage:
		if len(a.Shortlist) > 0 {
			if err := a.offer(n); err != nil {
				return err
			}
		}
		c, ok := n.ChoiceOf(a.Service)
		if !ok {
			return fault.New(fault.Invalid, "The service is not on the shortlist.")
		}
		n.Chosen, n.Accepted, n.Attended, n.Invited = c, false, false, false
	case ActOffer, ActDecline, ActLapse, ActUnoffer:
		return a.offered(n)
	case ActConvert:
		c, ok := n.ChoiceOf(a.Service)
		if !ok || !n.FromAdvice {
			return fault.New(fault.Conflict, "The referral was made of no question for advice.")
		}
		n.Chosen, n.Accepted = c, true
		if len(a.Attachments) > 0 {
			n.informed(a.At)
			return a.addFiles(n)
		}
	case ActReject:
		n.Accepted = false
	case ActAccept:
		n.Accepted = true
	case ActTriageReturn, ActTriageAccept:
		return a.triage(n)
	case ActAttended, ActNotAttended, ActAssessed:
		visit := booking.VisitAttended
		if a.Kind == ActNotAttended {
			visit = booking.VisitMissed
		}
		if err := booking.CameTold(visit, n.Appointment.Start, a.At); err != nil {
			return err
		}
		n.Attended = a.Kind != ActNotAttended
		if a.Kind == ActAssessed && a.Comment == "" {
			return fault.New(fault.Invalid, "Write the result of the assessment, which goes back with it.")
		}
	case ActCancelBy, ActCancelFrom:
		if n.Attended {
			return fault.New(fault.Conflict, "The appointment has taken place.")
		}
		n.Accepted = false
	case ActCancel:
		if n.Attended && n.State != AssessmentResult { // what was assessed is the referrer's again
			return fault.New(fault.Conflict, "The appointment has taken place: the hospital closes the referral.")
		}
	case ActRebookLater:
		if n.Attended {
			return fault.New(fault.Conflict, "The appointment has taken place.")
		}
		if err := a.addFiles(n); err != nil {
			return err
		}
		if n.Accepted = false; a.Priority != "" {
			return a.hasten(n)
		}
	case ActDischarged:
		if n.Appointment != nil && !n.Attended && n.Appointment.Start.After(a.At) {
			return fault.New(fault.Conflict, "They have an appointment to come: cancel it first.")
		}
		n.Closed = true
	case ActAsk:
		n.Asked, n.Refusal = a.question, ""
	case ActAskRefused:
		n.Asked, n.Refusal = nil, a.Comment
	case ActReinstate:
		n.Chosen, n.Accepted, n.Attended = Choice{}, false, false
	}
	return nil
}

// triage is what a provider decided who has read a referral before anything was booked: it takes it, at this or another service of its own, and finds a date or lets the patient choose one; or
// returns it with advice.
func (a Act) triage(n *Referral) error {
	n.Accepted, n.Invited = a.Kind == ActTriageAccept, a.Kind == ActTriageAccept && a.Invite
	if a.Kind == ActTriageReturn && a.Comment == "" {
		return fault.New(fault.Invalid, "Write the advice that goes back with it.")
	}
	if a.To != nil && a.To.Service != n.Chosen.Service {
		if a.To.Provider != n.Chosen.Provider {
			return fault.New(fault.Invalid, "The service is another organisation's.")
		}
		n.Chosen = *a.To
	}
	if _, ok := n.ChoiceOf(n.Chosen.Service); !ok {
		n.Shortlist = []Choice{n.Chosen}
	}
	if a.Priority != "" {
		if err := a.hasten(n); err != nil {
			return err
		}
	}
	return a.addFiles(n)
}

func (a Act) offer(n *Referral) error {
	if err := checkShortlist(a.Shortlist); err != nil {
		return err
	}
	n.Shortlist, n.Chosen, n.Accepted, n.Attended = slices.Clone(a.Shortlist), Choice{}, false, false
	n.searched(a.Search)
	return nil
}

func (a Act) write(n *Referral) error {
	if a.Letter == "" && len(a.Attachments) == 0 {
		return fault.New(fault.Invalid, "There is nothing to add: neither a letter nor a file.")
	}
	if a.Letter != "" {
		n.Letter = a.Letter
	}
	n.informed(a.At)
	return a.addFiles(n)
}

func (a Act) hasten(n *Referral) error {
	if !slices.Contains(Priorities(), a.Priority) {
		return fault.New(fault.Invalid, "There is no priority called %q.", a.Priority)
	}
	n.Priority = a.Priority
	return nil
}

func (a Act) appoint(n *Referral) error {
	if a.Appointment == nil {
		return fault.New(fault.Invalid, "An appointment names its slot.")
	}
	if a.Kind == ActBook && a.By.Party == Patient && n.State == TriagedToAct && !n.Invited {
		return fault.New(fault.Conflict, "The hospital finds a date, and tells you.")
	}
	if a.Kind == ActMove && n.Attended {
		return fault.New(fault.Conflict, "The appointment has taken place.")
	}
	c, ok := n.ChoiceOf(a.Service)
	if a.By.Party == Provider && a.Service == n.Chosen.Service {
		c, ok = n.Chosen, true // a provider books what was handed to it, on the shortlist or not
	}
	if !ok {
		return fault.New(fault.Invalid, "The service is not on the shortlist.")
	}
	if c.Provider != a.Appointment.Provider {
		return fault.New(fault.Invalid, "The slot is another organisation's.")
	}
	if c.Service != n.Chosen.Service {
		n.Accepted = false
	}
	at := *a.Appointment
	n.Chosen, n.Appointment, n.Attended = c, &at, false
	return nil
}

func checkShortlist(list []Choice) error {
	if len(list) == 0 || len(list) > MostChoices {
		return fault.New(fault.Invalid, "A shortlist names 1 to %d services.", MostChoices)
	}
	seen := map[string]bool{}
	for _, c := range list {
		if c.Service == "" || c.Provider.IsZero() || seen[c.Service] {
			return fault.New(fault.Invalid, "Each service of a shortlist is named once, with its provider.")
		}
		seen[c.Service] = true
	}
	return nil
}

// created is the first version.
func created(r Referral, a Act) (Referral, error) {
	switch n := a.New; {
	case r.Version != 0:
		return r, fault.New(fault.Conflict, "The referral is there already.")
	case n == nil || n.UBRN.IsZero() || n.Patient.IsZero() || n.Chart == "" || n.Practice.IsZero():
		return r, fault.New(fault.Invalid, "A referral has a UBRN, a patient and a practice.")
	case n.Request != ForAppointment && n.Request != ForTriage:
		return r, fault.New(fault.Invalid, "There is no kind of request called %q.", n.Request)
	}
	n := a.New.clone()
	if err := a.offer(&n); err != nil {
		return r, err
	}
	if n.Request == ForTriage && len(n.Shortlist) > 1 {
		return r, fault.New(fault.Invalid, "One service triages a referral: choose one.")
	}
	if err := a.hasten(&n); err != nil {
		return r, err
	}
	n.Letter, n.Attachments = a.Letter, nil
	if err := a.addFiles(&n); err != nil {
		return r, err
	}
	n.Version, n.State, n.Since, n.Created, n.Changed = 1, NotBooked, a.At, a.At, a.At
	n.Appointment, n.Arranged, n.Closed, n.Reason, n.Comment = nil, nil, false, Code{}, a.Comment
	if a.Letter != "" || len(a.Attachments) > 0 {
		n.informed(a.At)
	}
	if n.PathwayStart.IsZero() || n.PathwayStart.After(a.At) {
		n.PathwayStart = a.At
	}
	return n, nil
}
