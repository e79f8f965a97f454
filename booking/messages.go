package booking

import (
	"bytes"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"slices"
	"time"
	"unicode/utf8"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
)

// The workflows of the post. Slots and their recall go in a conversation for each session, cases and acts in one for each referral.
const (
	WorkflowSlots    = "booking.slots"    // hospital → spine: Slots
	WorkflowRecall   = "booking.recall"   // hospital → spine: Recall
	WorkflowReturned = "booking.returned" // spine → hospital: Returned
	WorkflowCase     = "booking.case"     // spine → hospital: Case
	WorkflowAct      = "booking.act"      // hospital → spine: Act
	WorkflowVisit    = "booking.visit"    // hospital → spine: Visit
	WorkflowTally    = "booking.tally"    // both ways: Tally
)

// Limits of what one message holds.
const (
	MostSlots = 500
	MostTold  = 8
	MostText  = 32 << 10 // bytes of each text
	MostID    = 64       // bytes of each id
)

// Slot is a time at which somebody can be seen.
type Slot struct {
	ID        string    `json:"id"` // the hospital's own; unique among its slots for ever
	Epoch     Epoch     `json:"epoch"`
	Base      Epoch     `json:"base,omitempty"` // see SlotMark; Epoch when it is left out
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	Clinician string    `json:"clinician,omitempty"` // who will see the patient, as a name
	// ClinicianID is the same as a user id; empty for somebody who does not sign in.
	ClinicianID string `json:"clinicianId,omitempty"`
}

// Slots hands slots of one session to the spine.
type Slots struct {
	Session string `json:"session"`
	Service string `json:"service"` // the directory's id of the HealthcareService
	Slots   []Slot `json:"slots"`
}

// Recall asks the spine to give slots of a session back. What is booked stays booked, unless the session is withdrawn: then it will not take place, and
// whoever is booked there is told so and returns to the referrer's and the hospital's worklists. What is offered to somebody who waits stays theirs until they answer, unless the session is withdrawn, or the clinic
// has put somebody into these slots by hand while there was no line: then the offer ends, for nobody has said yes to it.
type Recall struct {
	Session   string   `json:"session"`
	Slots     []string `json:"slots,omitempty"` // none means all of the session
	Withdrawn bool     `json:"withdrawn,omitempty"`
	ByHand    bool     `json:"byHand,omitempty"`
	Reason    string   `json:"reason,omitempty"`
}

// Since is the epoch from which bookings of the slot hold.
func (x Slot) Since() Epoch {
	if x.Base == 0 {
		return x.Epoch
	}
	return x.Base
}

// Returned gives slots of a session back to the hospital. Only ID and Epoch are said of each.
type Returned struct {
	Session string     `json:"session"`
	Slots   []SlotMark `json:"slots"`
}

// SlotMark is what one side knows of whose a slot is. A tally names its session too, and the epoch at which its owner came by it: a settlement after a restore raises
// the epoch of a slot that stays whose it is, and with it no booking ends.
type SlotMark struct {
	ID      string `json:"id"`
	Epoch   Epoch  `json:"epoch"`
	Session string `json:"session,omitempty"`
	Base    Epoch  `json:"base,omitempty"`
}

// Since is the epoch from which bookings of the slot hold. A slot of the hospital's that was never the spine's is so since epoch 0, however far a settlement has raised its own.
func (m SlotMark) Since() Epoch {
	if m.Base == 0 && Spine.Owns(m.Epoch) {
		return m.Epoch
	}
	return m.Base
}

// Appointment is when and where a referral's patient is to be seen.
type Appointment struct {
	Slot      string    `json:"slot"`
	Epoch     Epoch     `json:"epoch"` // of the slot, when it was booked
	Session   string    `json:"session"`
	Start     time.Time `json:"start"`
	End       time.Time `json:"end"`
	Clinician string    `json:"clinician,omitempty"`
	// ClinicianID is the same as a user id, as of Slot.
	ClinicianID string `json:"clinicianId,omitempty"`
}

// Person is who is referred, as the national register says when the case is sent.
type Person struct {
	NHSNumber ident.NHSNumber `json:"nhsNumber"`
	Prefix    string          `json:"prefix,omitempty"`
	Given     string          `json:"given,omitempty"`
	Family    string          `json:"family"`
	Born      string          `json:"born"` // YYYY-MM-DD, or a part of it
	Gender    string          `json:"gender,omitempty"`
	Address   string          `json:"address,omitempty"` // lines, parted by commas
	Phone     string          `json:"phone,omitempty"`
	Email     string          `json:"email,omitempty"`
	Died      string          `json:"died,omitempty"`
}

// Attachment is a file with a referral; its bytes travel beside the message.
type Attachment struct {
	ID   string `json:"id"`
	Name string `json:"name"`
	Type string `json:"type"`
	Size int64  `json:"size"`
	Hash string `json:"hash"` // SHA-256, hexadecimal

	Description  string    `json:"description,omitempty"`
	By           string    `json:"by,omitempty"` // who attached it, as a name
	Organisation string    `json:"organisation,omitempty"`
	At           time.Time `json:"at,omitzero"`

	// Whose it is, as the spine keeps it (eRS-AttachmentType-1, and the organisation's code): a hospital tells it back to a spine that was restored.
	Kind string        `json:"kind,omitempty"`
	Code ident.ODSCode `json:"code,omitzero"`
}

// File is the attachment as the post knows it. Error: fault.Invalid when its hash is none.
func (a Attachment) File() (messaging.File, error) {
	f := messaging.File{Size: a.Size, Name: a.Name, Type: a.Type}
	b, err := hex.DecodeString(a.Hash)
	if err != nil || len(b) != len(f.Hash) || a.Size < 0 {
		return f, fault.New(fault.Invalid, "An attachment has the SHA-256 of its bytes.")
	}
	copy(f.Hash[:], b)
	return f, nil
}

func attachments(list []Attachment) error {
	for _, a := range list {
		if err := ids(a.ID); err != nil {
			return err
		}
		if err := texts(a.Name, a.Type, a.Description, a.By, a.Organisation, a.Kind); err != nil {
			return err
		}
		if _, err := a.File(); err != nil {
			return err
		}
	}
	return nil
}

// Case is all that a hospital needs to know of a referral to one of its services, as the spine knows it at a version.
type Case struct {
	UBRN        ident.UBRN    `json:"ubrn"`
	Version     int64         `json:"version"`
	State       string        `json:"state"`          // of the referral, as published: BOOKED, DEFERRED_TO_PROVIDER …
	Gone        bool          `json:"gone,omitempty"` // it is no longer this hospital's: it was cancelled, or went to another
	Priority    string        `json:"priority"`
	Service     string        `json:"service"`
	ServiceName string        `json:"serviceName"`
	Practice    ident.ODSCode `json:"practice"`
	Referrer    string        `json:"referrer"`
	Person      Person        `json:"person"`
	Letter      string        `json:"letter,omitempty"`
	Attachments []Attachment  `json:"attachments,omitempty"`
	ClockStart  time.Time     `json:"clockStart"` // when the wait for treatment began (referral to treatment rules)
	Appointment *Appointment  `json:"appointment,omitempty"`
	ByPatient   time.Time     `json:"byPatient,omitzero"` // when the patient took the time of the appointment themselves; zero where somebody else did for them
	Offer       *Offer        `json:"offer,omitempty"`    // a time of the spine's that is held for them while they wait for one
	Passed      int           `json:"passed,omitempty"`   // how many such they said no to, or let pass, since they wait
	LetPass     []SlotMark    `json:"letPass,omitempty"`  // which, so that a spine that was restored does not offer them again; only ID and Session are said
	Invited     bool          `json:"invited,omitempty"`  // after triage: the patient chooses a date
	Accepted    bool          `json:"accepted,omitempty"` // the hospital has read it, and takes the person
	Closed      bool          `json:"closed,omitempty"`   // the person was discharged
	Reason      string        `json:"reason,omitempty"`
	Comment     string        `json:"comment,omitempty"`
	Changed     time.Time     `json:"changed"`
	Acted       int64         `json:"acted,omitempty"` // by a hospital that tells it back: the number of its last act that is part of it, or was refused before
	Took        string        `json:"took,omitempty"`  // the message of the last act of a hospital that is part of it: what a hospital decided since is still to come
	Sent        int64         `json:"sent"`            // counts what the spine sent this hospital, for the tally
}

// Offer is a time that the spine holds for somebody who waits, until they answer.
type Offer struct {
	Slot      string    `json:"slot"`
	Session   string    `json:"session"`
	Epoch     Epoch     `json:"epoch,omitempty"` // since when the slot is the spine's; 0 where an earlier spine said it
	Start     time.Time `json:"start"`
	End       time.Time `json:"end,omitzero"`
	Clinician string    `json:"clinician,omitempty"`
	// ClinicianID is the same as a user id, as of Slot.
	ClinicianID string    `json:"clinicianId,omitempty"`
	Until       time.Time `json:"until"`
}

func (o *Offer) check() error {
	if o == nil {
		return nil
	}
	if o.Epoch != 0 && (o.Epoch < 0 || !Spine.Owns(o.Epoch) || !o.End.After(o.Start)) {
		return fault.New(fault.Invalid, "A time that is offered is the spine's, and ends after it starts.")
	}
	if o.Start.IsZero() || o.Until.IsZero() || !o.Until.Before(o.Start) {
		return fault.New(fault.Invalid, "A time that is offered begins after its offer ends.")
	}
	return ids(o.Slot, o.Session)
}

// Kinds of Act.
const (
	ActAccept       = "accept"         // the referral, with its appointment
	ActReject       = "reject"         // the referral, with a reason; it returns to the referrer's worklist
	ActAttended     = "attended"       // the patient came
	ActNotAttended  = "did-not-attend" // the patient did not come
	ActCancel       = "cancel"         // the appointment, by the hospital
	ActMove         = "move"           // the appointment, to a slot that the hospital owns
	ActOffer        = "book"           // an appointment for a referral that waited for one, in a slot that the hospital owns
	ActTriageAccept = "triage-accept"  // refer and book later
	ActTriageReturn = "triage-return"  // return with advice
	ActDischarged   = "discharged"     // the outpatient episode is over
	ActAssessed     = "assessed"       // the patient came; the referral returns to the referrer with the result, which is the comment
)

// Acts lists the kinds of Act.
func Acts() []string {
	return []string{ActAccept, ActReject, ActAttended, ActNotAttended, ActCancel, ActMove, ActOffer, ActTriageAccept, ActTriageReturn, ActDischarged, ActAssessed}
}

// Act is what a hospital decided of a referral. The spine takes it or refuses it with a reason; acts of one referral come in order.
type Act struct {
	UBRN        ident.UBRN   `json:"ubrn"`
	Number      int64        `json:"number"` // counts the hospital's acts of this referral
	Seen        int64        `json:"seen"`   // the version of the case that was decided upon
	Kind        string       `json:"kind"`
	Reason      string       `json:"reason,omitempty"` // a code, of the published system for the kind
	Comment     string       `json:"comment,omitempty"`
	By          string       `json:"by"` // who decided, as a name
	At          time.Time    `json:"at"`
	Appointment *Appointment `json:"appointment,omitempty"` // that the act is about; for move and book, the new one

	Outcome  string `json:"outcome,omitempty"`  // of attended and assessed: what came of it
	Service  string `json:"service,omitempty"`  // of triage-accept: the hospital's service that takes it, where it is another than it was sent to
	Invite   bool   `json:"invite,omitempty"`   // of triage-accept: the patient chooses the date
	Priority string `json:"priority,omitempty"` // of triage: as the clinician sees it
}

// The states of a Visit.
const (
	VisitBooked    = "booked"
	VisitArrived   = "arrived"
	VisitAttended  = "attended"
	VisitMissed    = "did-not-attend"
	VisitCancelled = "cancelled"
)

// Visit says how somebody's coming to a clinic stands, where that decides nothing of their referral: they are there, they are not there after all, and all of a follow-up, in which the
// spine has no other part. Who subscribed to such is told of it.
type Visit struct {
	UBRN        ident.UBRN  `json:"ubrn"`
	FollowUp    bool        `json:"followUp,omitempty"`
	State       string      `json:"state"`
	Outcome     string      `json:"outcome,omitempty"`
	At          time.Time   `json:"at"`
	By          string      `json:"by"` // who wrote it down, as a name
	Appointment Appointment `json:"appointment"`
}

// Tally is what one side knows of the slots and cases between the two, in pages: Last marks the final one. Both sides compare; what differs is
// shown to people, and what a restore has lost is put right by it.
type Tally struct {
	Round  string     `json:"round"` // names the comparison
	Page   int        `json:"page"`
	Last   bool       `json:"last,omitempty"`
	Unsure bool       `json:"unsure,omitempty"` // the sender was restored from a backup and asks the other side what is so
	Heard  int64      `json:"heard"`            // by a hospital: the highest Case.Sent that it handled; what was sent since is under way and no difference
	Slots  []SlotMark `json:"slots,omitempty"`
	Cases  []CaseMark `json:"cases,omitempty"`
	// Advice is by a hospital the questions for advice that it knows as open, by a spine that was restored all that it knows of those which the hospital was asked; only UBRN and Version are said.
	Advice []CaseMark `json:"advice,omitempty"`
	// Told is what a hospital was told by the spine and the spine, which was restored from a backup, knows no more: at most MostTold to a page.
	Told []Case `json:"told,omitempty"`
}

// Round names a comparison: by who asks, in which life of its database, and when.
func Round(by ident.ODSCode, incarnation string, at time.Time) string {
	return fmt.Sprintf("%s-%s-%d", by, incarnation, at.UnixMicro())
}

// CaseMark is what one side knows of a case.
type CaseMark struct {
	UBRN    ident.UBRN `json:"ubrn"`
	Version int64      `json:"version"`
	Session string     `json:"session,omitempty"` // of its appointment; a hospital does not say
	Slot    string     `json:"slot,omitempty"`    // of its appointment; empty for none
	Epoch   Epoch      `json:"epoch,omitempty"`
}

// Message is one of this package's messages.
type Message interface {
	Slots | Recall | Returned | Case | Act | Visit | Tally | Advice | Advise
	check() error
}

// Encode is the body of a message. Error: fault.Invalid when it does not keep to its limits.
func Encode[M Message](m M) ([]byte, error) {
	if err := m.check(); err != nil {
		return nil, err
	}
	return json.Marshal(m)
}

// Decode reads the body of a message. Error: fault.Invalid; what is unknown in it is refused, never ignored.
func Decode[M Message](body []byte) (m M, err error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	if err := d.Decode(&m); err != nil {
		return m, fault.New(fault.Invalid, "The message cannot be read: %v", err)
	}
	if d.More() {
		return m, fault.New(fault.Invalid, "There is more than one message.")
	}
	return m, m.check()
}

func (s Slots) check() error {
	if err := ids(s.Session, s.Service); err != nil {
		return err
	}
	if len(s.Slots) == 0 || len(s.Slots) > MostSlots {
		return fault.New(fault.Invalid, "One to %d slots are handed over at once.", MostSlots)
	}
	for _, x := range s.Slots {
		if err := ids(x.ID); err != nil {
			return err
		}
		if !Spine.Owns(x.Epoch) || x.Epoch < 0 || !x.End.After(x.Start) || !Spine.Owns(x.Since()) || x.Base < 0 || x.Base > x.Epoch {
			return fault.New(fault.Invalid, "A slot that is handed to the spine has an odd epoch, and ends after it starts.")
		}
		if len(x.ClinicianID) > MostID || !utf8.ValidString(x.ClinicianID) {
			return fault.New(fault.Invalid, "A clinician's id has at most %d bytes.", MostID)
		}
	}
	return nil
}

func (r Recall) check() error {
	if len(r.Slots) > MostSlots {
		return fault.New(fault.Invalid, "At most %d slots are recalled at once.", MostSlots)
	}
	if err := ids(append([]string{r.Session}, r.Slots...)...); err != nil {
		return err
	}
	return texts(r.Reason)
}

func (r Returned) check() error {
	if len(r.Slots) == 0 || len(r.Slots) > MostSlots {
		return fault.New(fault.Invalid, "One to %d slots are returned at once.", MostSlots)
	}
	for _, x := range r.Slots {
		if err := ids(x.ID); err != nil {
			return err
		}
		if !Hospital.Owns(x.Epoch) || x.Epoch <= 0 {
			return fault.New(fault.Invalid, "A slot that is returned has an even epoch above 0.")
		}
	}
	return ids(r.Session)
}

func (c Case) check() error {
	switch {
	case c.UBRN.IsZero() || c.Version < 1 || c.State == "" || c.Acted < 0:
		return fault.New(fault.Invalid, "A case has a UBRN, a version from 1 and a state.")
	case c.Person.NHSNumber.IsZero():
		return fault.New(fault.Invalid, "A case names its person by their NHS number.")
	}
	if err := ids(c.Service); err != nil {
		return err
	}
	if err := texts(c.Letter, c.Comment, c.Reason, c.Took, c.Referrer, c.ServiceName, c.Person.Family, c.Person.Given, c.Person.Address); err != nil {
		return err
	}
	if err := attachments(c.Attachments); err != nil {
		return err
	}
	if c.Passed < 0 || len(c.LetPass) > MostTold {
		return fault.New(fault.Invalid, "Somebody let none or more times pass, and at most %d are named.", MostTold)
	}
	for _, x := range c.LetPass {
		if err := ids(x.ID, x.Session); err != nil {
			return err
		}
	}
	if err := c.Offer.check(); err != nil {
		return err
	}
	return c.Appointment.check()
}

func (a *Appointment) check() error {
	if a == nil {
		return nil
	}
	if a.Epoch < 0 || !a.End.After(a.Start) {
		return fault.New(fault.Invalid, "An appointment ends after it starts, and the epoch of its slot is not negative.")
	}
	return ids(a.Slot, a.Session)
}

func (a Act) check() error {
	known := false
	for _, k := range Acts() {
		known = known || k == a.Kind
	}
	if a.UBRN.IsZero() || a.Number < 1 || a.Seen < 1 || !known {
		return fault.New(fault.Invalid, "An act has a UBRN, a number and a version from 1, and a kind that is known.")
	}
	if (a.Kind == ActMove || a.Kind == ActOffer) && (a.Appointment == nil || !Hospital.Owns(a.Appointment.Epoch)) {
		return fault.New(fault.Invalid, "A hospital books and moves to slots of its own.")
	}
	if err := texts(a.Reason, a.Comment, a.By, a.Outcome, a.Service, a.Priority); err != nil {
		return err
	}
	return a.Appointment.check()
}

func (v Visit) check() error {
	switch v.State {
	case VisitBooked, VisitArrived, VisitAttended, VisitMissed, VisitCancelled:
	default:
		return fault.New(fault.Invalid, "Nobody can be %q at a clinic.", v.State)
	}
	if v.UBRN.IsZero() || v.At.IsZero() {
		return fault.New(fault.Invalid, "A visit has a UBRN, and says when.")
	}
	if err := texts(v.By, v.Outcome); err != nil {
		return err
	}
	return v.Appointment.check()
}

func (t Tally) check() error {
	if len(t.Slots) > MostSlots || len(t.Cases) > MostSlots || len(t.Advice) > MostSlots || len(t.Told) > MostTold || t.Page < 0 || t.Heard < 0 {
		return fault.New(fault.Invalid, "A page of a tally has at most %d slots, %d cases and %d cases that the spine has lost.", MostSlots, MostSlots, MostTold)
	}
	all := []string{t.Round}
	for _, x := range t.Slots {
		if x.Epoch < 0 || x.Base < 0 || x.Base > x.Epoch {
			return fault.New(fault.Invalid, "Epochs count from 0.")
		}
		all = append(all, x.ID)
		if x.Session != "" {
			all = append(all, x.Session)
		}
	}
	for _, c := range t.Told {
		if err := c.check(); err != nil {
			return err
		}
	}
	for _, x := range append(slices.Clone(t.Cases), t.Advice...) {
		if x.UBRN.IsZero() || x.Version < 1 || x.Epoch < 0 {
			return fault.New(fault.Invalid, "A case of a tally has a UBRN and a version from 1.")
		}
	}
	return ids(all...)
}

// ids refuses ids that are empty, too long or not text.
func ids(list ...string) error {
	for _, id := range list {
		if id == "" || len(id) > MostID || !utf8.ValidString(id) {
			return fault.New(fault.Invalid, "Ids have 1 to %d bytes.", MostID)
		}
	}
	return nil
}

func texts(list ...string) error {
	for _, s := range list {
		if len(s) > MostText || !utf8.ValidString(s) {
			return fault.New(fault.Invalid, "A text has at most %d bytes.", MostText)
		}
	}
	return nil
}
