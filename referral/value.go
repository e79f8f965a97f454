package referral

import (
	"cmp"
	"slices"
	"time"

	"github.com/openspine/openspine/ident"
)

// State is what has become of a referral, as the e-Referral Service publishes it (Extension-eRS-ReferralState-1).
type State string

// The twelve states. Advice before a referral, and the treatment after it, are not states of it.
const (
	NotBooked           State = "NOT_BOOKED"
	Booked              State = "BOOKED"
	Deferred            State = "DEFERRED_TO_PROVIDER" // there was no free slot: the provider finds one
	AwaitingTriage      State = "AWAITING_TRIAGE"
	TriageResponse      State = "TRIAGE_RESPONSE" // returned to the referrer with advice
	TriagedToAct        State = "TRIAGED_PROVIDER_TO_ACTION"
	AssessmentResult    State = "ASSESSMENT_RESULT"
	Rejected            State = "REJECTED"
	DidNotAttend        State = "DID_NOT_ATTEND"
	CancelledByProvider State = "APPT_CANCELLED_BY_PROVIDER"
	CancelledByPatient  State = "APPT_CANCELLED_BY_PATIENT"
	Cancelled           State = "CANCELLED_REFERRAL"
)

// States lists them in the order of a referral's life.
func States() []State {
	return []State{NotBooked, Booked, Deferred, AwaitingTriage, TriageResponse, TriagedToAct, AssessmentResult, Rejected, DidNotAttend, CancelledByProvider, CancelledByPatient, Cancelled}
}

// Priority is how soon somebody must be seen.
type Priority string

// The priorities. The code of the last one remains, though the standard behind it is now a diagnosis within 28 days.
const (
	Routine     Priority = "ROUTINE"
	Urgent      Priority = "URGENT"
	TwoWeekWait Priority = "TWO_WEEK_WAIT"
)

// Priorities lists them, the least urgent first.
func Priorities() []Priority { return []Priority{Routine, Urgent, TwoWeekWait} }

// Request is what is asked of the provider.
type Request string

// The kinds of request.
const (
	ForAppointment Request = "APPOINTMENT_REQUEST"
	ForTriage      Request = "TRIAGE_REQUEST"
)

// Code is a code of one of the published code systems, as package codes names them.
type Code struct {
	System string `json:"system"`
	Code   string `json:"code"`
}

// Choice is a service that the patient may choose.
type Choice struct {
	Service      string        `json:"service"` // the directory's id of the HealthcareService
	Name         string        `json:"name"`
	Provider     ident.ODSCode `json:"provider"`
	ProviderName string        `json:"providerName"`
}

// MostChoices is how many services a shortlist may hold.
const MostChoices = 20

// SlotRef names a slot.
type SlotRef struct {
	Provider ident.ODSCode `json:"provider"`
	Session  string        `json:"session"`
	Slot     string        `json:"slot"`
}

// Appointment is when and where the patient is to be seen.
type Appointment struct {
	SlotRef
	Epoch     int64     `json:"epoch"` // of the slot, when it was booked (package booking)
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	Clinician string    `json:"clinician,omitempty"` // as a name
	// ClinicianID is the same as a user id; empty where it is not known.
	ClinicianID string `json:"clinicianId,omitempty"`
	Theirs      bool   `json:"theirs,omitempty"` // it stands in a slot that the hospital itself owns
	Remote      string `json:"remote,omitempty"` // the id that a hospital's own system gave it, which is asked before anything becomes of it
}

// Attachment is a file with a referral, or with a question for advice, whose bytes are stored once.
type Attachment struct {
	ID   string `json:"id"` // a UUID, under which the file is read
	Name string `json:"name"`
	Type string `json:"type"` // MIME
	Size int64  `json:"size"`
	Hash string `json:"hash"` // SHA-256, hexadecimal

	Description  string         `json:"description,omitempty"`
	Kind         AttachmentKind `json:"kind,omitempty"`
	Status       Availability   `json:"status,omitempty"` // empty for available
	By           Staff          `json:"by,omitzero"`
	Organisation ident.ODSCode  `json:"organisation,omitzero"`
	OnBehalf     string         `json:"onBehalf,omitempty"` // of which clinician, by their user id
	At           time.Time      `json:"at,omitzero"`        // when it was attached
	// ForPatient says that whoever attached it meant the patient to read it on their own page. What comes by program is not marked: it was written for colleagues.
	ForPatient bool `json:"forPatient,omitempty"`
}

// AttachmentKind says whose a file is (eRS-AttachmentType-1).
type AttachmentKind string

// The kinds of attachment.
const (
	FromReferrer AttachmentKind = "REFERRER"
	FromProvider AttachmentKind = "PROVIDER"
	WithQuestion AttachmentKind = "ADVICE_REQUEST"
	WithAnswer   AttachmentKind = "GUIDANCE_RESPONSE"
)

// Availability says whether a file can be read (eRS-AvailabilityStatus-1). What is uploaded here is looked at before it is kept, so that it is available at once; what is brought from
// elsewhere may not be.
type Availability string

// The values of Availability; empty means Available.
const (
	Available        Availability = "AVAILABLE"
	Pending          Availability = "PENDING"
	ThreatsFound     Availability = "THREATS_FOUND"
	ValidationFailed Availability = "VALIDATION_FAILED"
)

// Availability says whether the file can be read.
func (a Attachment) Availability() Availability { return cmp.Or(a.Status, Available) }

// Staff is somebody who acted, as the account names them.
type Staff struct {
	ID   string `json:"id"`
	Name string `json:"name"`
}

// Referral is all that is true of one referral at one version. It is a value: Apply makes the next one of it.
type Referral struct {
	UBRN    ident.UBRN `json:"ubrn"`
	Version int64      `json:"version"` // 1, 2, 3 …

	Patient ident.NHSNumber `json:"patient"`
	Chart   string          `json:"chart"` // the patient's, in the national tenant

	State   State     `json:"state"`
	Since   time.Time `json:"since"` // when it came into this state
	Reason  Code      `json:"reason,omitzero"`
	Comment string    `json:"comment,omitempty"`

	Priority   Priority `json:"priority"`
	Request    Request  `json:"request"`
	Specialty  string   `json:"specialty,omitempty"`
	ClinicType string   `json:"clinicType,omitempty"`
	Shortlist  []Choice `json:"shortlist"`
	Chosen     Choice   `json:"chosen,omitzero"` // whose it is now: where it is booked, deferred to or triaged

	Referrer     Staff         `json:"referrer"`
	Practice     ident.ODSCode `json:"practice"`
	PracticeName string        `json:"practiceName"`

	// Criteria, as Search has them; Requirements are what the person needs at a visit, as published codes (eRS-AdditionalRequirementType-1); Related are referrals that this one follows.
	Criteria     string       `json:"criteria,omitempty"`
	Requirements []string     `json:"requirements,omitempty"`
	Related      []ident.UBRN `json:"related,omitempty"`

	LetterDue     time.Time `json:"letterDue,omitzero"` // zero when none was promised
	Informed      time.Time `json:"informed,omitzero"`  // when the provider was first told what ails the person, by letter or file; zero while it was not
	InformedAgain time.Time `json:"informedAgain,omitzero"`

	Letter      string       `json:"letter,omitempty"` // SHA-256 of its text, hexadecimal; empty while there is none
	Attachments []Attachment `json:"attachments,omitempty"`

	Appointment *Appointment `json:"appointment,omitempty"`
	Arranged    *Arrangement `json:"arranged,omitempty"`
	Offer       *Offer       `json:"offer,omitempty"`    // a time that is held for whoever waits for one, while it is deferred
	Passed      []SlotRef    `json:"passed,omitempty"`   // what they were offered and did not take, since it was deferred
	Asked       *Asked       `json:"asked,omitempty"`    // what a hospital's own system was asked and has not answered
	Refusal     string       `json:"refusal,omitempty"`  // why it said no to the last question; empty after a yes
	Accepted    bool         `json:"accepted,omitempty"` // by the provider, who has read it
	Attended    bool         `json:"attended,omitempty"`
	Acted       int64        `json:"acted,omitempty"`      // after a restore of the spine: up to which of its acts the hospital says that this is so; see Case.Acted
	Took        string       `json:"took,omitempty"`       // the message of the last act of a hospital that was taken; see booking.Case
	Invited     bool         `json:"invited,omitempty"`    // by the provider, after triage: the patient chooses a date
	FromAdvice  bool         `json:"fromAdvice,omitempty"` // it was made of the question for advice of the same number
	Closed      bool         `json:"closed,omitempty"`     // the outpatient episode is over

	PathwayStart time.Time `json:"pathwayStart"`          // when the wait for treatment began: the clock of referral to treatment
	PathwaySaid  bool      `json:"pathwaySaid,omitempty"` // by the referrer; otherwise it began with the referral
	Created      time.Time `json:"created"`
	Changed      time.Time `json:"changed"` // when this version was made
	// Told is the version of an earlier life of the database that a hospital told back and this one repeats; 0 for what somebody has done.
	Told int64 `json:"told,omitempty"`

	// Unheard is since when nothing has been heard of the hospital, where it cannot know of the appointment yet: until it does, the patient has asked for the time. It is zero otherwise, and for what
	// is read by programs; see Referrals.Silent.
	Unheard time.Time `json:"-"`
}

// Provider is whose referral it is now; zero while nobody was chosen.
func (r Referral) Provider() ident.ODSCode { return r.Chosen.Provider }

// ChoiceOf is a service of the shortlist.
func (r Referral) ChoiceOf(service string) (Choice, bool) {
	i := slices.IndexFunc(r.Shortlist, func(c Choice) bool { return c.Service == service })
	if i < 0 {
		return Choice{}, false
	}
	return r.Shortlist[i], true
}

// Open reports whether anything is still to be done for it.
func (r Referral) Open() bool { return r.State != Cancelled && !r.Closed }

// clone is r with lists of its own.
func (r Referral) clone() Referral {
	r.Shortlist, r.Attachments = slices.Clone(r.Shortlist), slices.Clone(r.Attachments)
	if r.Appointment != nil {
		a := *r.Appointment
		r.Appointment = &a
	}
	if r.Offer != nil {
		o := *r.Offer
		r.Offer = &o
	}
	r.Passed = slices.Clone(r.Passed)
	r.Requirements, r.Related = slices.Clone(r.Requirements), slices.Clone(r.Related)
	return r
}

// Version is one version of a referral: what it was, who made it so, when and why.
type Version struct {
	Referral
	Act   Kind
	By    Actor
	Notes string // what was said to it
}
