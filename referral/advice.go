package referral

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"slices"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// A practice asks a service for advice before it refers anybody, or instead: a conversation under a UBRN of its own, of messages that nobody changes once they are sent. The service answers, or
// asks for more; both bring the question back to the practice, and the service may add to what it said.

// AdviceState is whose turn it is in a conversation (eRS-AdviceAndGuidanceStatus-1).
type AdviceState string

// The states that a conversation comes into.
const (
	AdviceAsked    AdviceState = "PROVIDER_RESPONSE_REQUIRED"
	AdviceMore     AdviceState = "REFERRER_TO_SUBMIT_FURTHER_INFORMATION"
	AdviceAnswered AdviceState = "REFERRER_TO_REVIEW_RESPONSE"
)

// MostAdvice is how long a message may be, in characters (A026, A044).
const MostAdvice = 8000

// What can be wrong with a question for advice; errors.Is finds which.
var (
	ErrNotAdvice = errors.New("referral: the number is a referral's, not a question's")
	ErrPatient   = errors.New("referral: nobody can be asked about this patient")
)

// Recommendations are what an answer may advise (eRS-GuidanceIntendedRecommendation-1).
func Recommendations() []string {
	return booking.Recommendations()
}

// Remark is one message of a conversation.
type Remark struct {
	ID             string        `json:"id"` // a UUID
	At             time.Time     `json:"at"`
	Version        int64         `json:"version"` // of the question that it made
	By             Staff         `json:"by"`      // who sent it
	For            Staff         `json:"for"`     // the clinician whose words they are: the sender, or for whom a clerk sent it
	Organisation   ident.ODSCode `json:"organisation"`
	Provider       bool          `json:"provider,omitempty"` // from the service
	Text           string        `json:"text"`
	Files          []Attachment  `json:"files,omitempty"`
	Recommendation string        `json:"recommendation,omitempty"` // of an answer
}

// Advice is a question for advice at one version, with its conversation. It is a value: its messages are added to, and never changed.
type Advice struct {
	UBRN         ident.UBRN      `json:"ubrn"`
	Version      int64           `json:"version"`
	Patient      ident.NHSNumber `json:"patient"`
	Chart        string          `json:"chart"`
	State        AdviceState     `json:"state"`
	Priority     Priority        `json:"priority"`
	Specialty    string          `json:"specialty,omitempty"`
	ClinicType   string          `json:"clinicType,omitempty"`
	Service      Choice          `json:"service"`
	Criteria     string          `json:"criteria,omitempty"`   // as Search has them
	MayConvert   bool            `json:"mayConvert,omitempty"` // the referrer lets the provider make a referral of it
	Referrer     Staff           `json:"referrer"`
	Practice     ident.ODSCode   `json:"practice"`
	PracticeName string          `json:"practiceName"`
	Created      time.Time       `json:"created"`
	Changed      time.Time       `json:"changed"`
	Remarks      []Remark        `json:"remarks"` // the first one first
	// Told is the version of an earlier life of the database that a hospital told back and this one repeats; 0 for what somebody has said.
	Told int64 `json:"told,omitempty"`
}

// Files are those of all messages.
func (a Advice) Files() (list []Attachment) {
	for _, m := range a.Remarks {
		list = append(list, m.Files...)
	}
	return list
}

// AdviceQuestion is what a referrer asks.
type AdviceQuestion struct {
	Patient    ident.NHSNumber
	Priority   Priority
	Specialty  string
	ClinicType string
	Service    string // by the directory's id
	Criteria   string
	MayConvert bool
	Text       string
	Files      []FileRef  // uploaded before, for nothing yet
	Referrer   Staff      // for whom a clerk asks; zero for the caller
	UBRN       ident.UBRN // given for what is brought from elsewhere; zero for a new one
}

// AskAdvice makes a question for advice, for the caller's organisation. Errors: fault.Invalid for a question that is not sound; fault.NotFound for a patient or service that is not there;
// ErrPatient for somebody who has died; fault.Unprocessable for a service that gives no advice, or does not take the person; what the rules refuse by.
func (s *Referrals) AskAdvice(ctx context.Context, c Caller, q AdviceQuestion) (a Advice, err error) {
	p := c.Principal
	if q.Patient.IsZero() || p.Organisation.IsZero() {
		return a, fault.New(fault.Invalid, "A question names its patient, and is asked for an organisation.")
	}
	if !slices.Contains(Priorities(), q.Priority) {
		return a, fault.New(fault.Invalid, "There is no priority called %q.", q.Priority)
	}
	person, err := s.person(ctx, c, q.Patient)
	if err != nil {
		return a, err
	}
	if person.Dead() {
		return a, fault.Wrap(ErrPatient, fault.Unprocessable, "This person has died, as the register says.")
	}
	list, err := s.choices(ctx, []string{q.Service}, person, s.k.Clock.Now())
	if err != nil {
		return a, err
	}
	if err := s.givesAdvice(ctx, q.Service); err != nil {
		return a, err
	}
	of := access.TypeReferral
	if q.Referrer.ID != "" {
		of = access.TypeBooking // a clinician asks, and somebody else writes it down
	}
	grants, err := s.k.Gate.DecideAll(ctx, p, []access.Act{{Action: access.Create, Place: access.Place{Tenant: s.k.National, Chart: person.Chart, Type: of}}})
	if err != nil {
		return a, err
	}
	for range 10 {
		if a, err = s.drawAdvice(ctx, p, grants, q, person.Chart, list[0]); !fault.Is(err, errTaken) {
			return a, err
		}
	}
	return a, fault.New(fault.Unavailable, "No number was free; try again.")
}

// givesAdvice refuses a service of which the directory does not say that it gives advice (eRS-RequestFlowType).
func (s *Referrals) givesAdvice(ctx context.Context, service string) error {
	list, err := s.places.ServiceResources(ctx, service)
	if err != nil {
		return err
	}
	for _, v := range list {
		for x := range v.Resource.Get("characteristic").Items() {
			if x.Get("coding.0.code").String() == "ADVICE_AND_GUIDANCE_REQUEST" {
				return nil
			}
		}
	}
	return fault.New(fault.Unprocessable, "This service gives no advice.")
}

// drawAdvice makes a question under a number that is drawn. Error: errTaken when it is somebody's.
func (s *Referrals) drawAdvice(ctx context.Context, p access.Principal, grants []access.Grant, q AdviceQuestion, chart string, to Choice) (a Advice, err error) {
	u, err := s.newUBRN(q.UBRN)
	if err != nil {
		return a, err
	}
	_, salt, hash, err := newPassword() // of which nobody is told: a question has no door for its patient
	if err != nil {
		return a, err
	}
	practice := s.k.Organisation(ctx, p.Organisation)
	err = s.k.Gate.Act(ctx, grants, append(s.fileLanes(q.Files), s.ubrnLane(u), s.chartLane(chart)), func(tx *store.Tx) error {
		if was, ok, err := s.askedBefore(tx, p, q, chart, to); err != nil || ok {
			a = was
			return err
		}
		err := tx.QueueOr(func(err error) error { return err }, `INSERT INTO referral_number (lane, ubrn, chart, salt, password) VALUES (?, ?, ?, ?, ?)`,
			int64(s.ubrnLane(u)), u.String(), chart, salt, hash)
		if err != nil {
			return err
		}
		files, err := s.attached(tx, p, fileTo{ubrn: u, chart: chart, kind: WithQuestion, fresh: true}, q.Files)
		if err != nil {
			return err
		}
		a = Advice{UBRN: u, Patient: q.Patient, Chart: chart, Priority: q.Priority, Specialty: q.Specialty, ClinicType: q.ClinicType, Service: to, Criteria: q.Criteria, MayConvert: q.MayConvert,
			Referrer: cmp.Or(q.Referrer, Staff{p.ID, p.Name}), Practice: p.Organisation, PracticeName: practice, Created: tx.At()}
		m := Remark{By: Staff{p.ID, p.Name}, For: a.Referrer, Organisation: p.Organisation, Text: q.Text, Files: files}
		if a, err = s.say(tx, a, m, AdviceAsked, q.Priority); err != nil {
			return err
		}
		if err := s.k.Gate.Relate(tx, adviceBond(s.k.National, a)); err != nil {
			return err
		}
		return s.saveAdvice(tx, a)
	})
	return a, err
}

// sameQuestionWithin is for how long a question in the same words is the same one, sent twice.
const sameQuestionWithin = 10 * time.Minute

// askedBefore is the question that somebody has asked in the same words a moment ago, and nobody has answered: it was sent twice.
func (s *Referrals) askedBefore(tx *store.Tx, p access.Principal, q AdviceQuestion, chart string, to Choice) (a Advice, ok bool, err error) {
	rows, err := tx.Query(`SELECT body FROM referral_advice WHERE lane = ? AND chart = ? AND practice = ? AND provider = ? AND state = ? AND changed > ? ORDER BY changed DESC LIMIT 20`,
		int64(s.chartLane(chart)), chart, p.Organisation.String(), to.Provider.String(), string(AdviceAsked), tx.At().Add(-sameQuestionWithin).UnixMicro())
	if err != nil {
		return a, false, err
	}
	defer rows.Close()
	for rows.Next() {
		var was Advice
		if err := scanBody(rows, &was); err != nil {
			return a, false, err
		}
		if m := was.Remarks[0]; len(was.Remarks) == 1 && m.By.ID == p.ID && m.Text == strings.TrimSpace(q.Text) && was.Service.Service == to.Service && was.Priority == q.Priority && was.MayConvert == q.MayConvert && was.Criteria == q.Criteria && len(m.Files) == len(q.Files) {
			return was, true, rows.Err()
		}
	}
	return a, false, rows.Err()
}

// with is the question at another version, with one message more. Errors: fault.Invalid for a message without words, or too long; ErrSameName; fault.TooLarge for too many files.
func (a Advice) with(m Remark, version int64, state AdviceState, priority Priority, at time.Time) (Advice, error) {
	m.Text = strings.TrimSpace(m.Text)
	if m.Text == "" || utf8.RuneCountInString(m.Text) > MostAdvice {
		return a, fault.New(fault.Invalid, "A message has 1 to %d characters.", MostAdvice)
	}
	if !slices.Contains(Priorities(), priority) {
		return a, fault.New(fault.Invalid, "There is no priority called %q.", priority)
	}
	if err := (Act{Attachments: m.Files}).addFiles(&Referral{Attachments: a.Files()}); err != nil {
		return a, err
	}
	a.Version, a.State, a.Priority, a.Changed, a.Told = version, state, priority, at, 0
	m.ID, m.At, m.Version = uuid.NewString(), at, a.Version
	a.Remarks = append(slices.Clone(a.Remarks), m)
	return a, nil
}

// say is the question with one message more, at its next version. Errors: those of Advice.with.
func (s *Referrals) say(tx *store.Tx, was Advice, m Remark, state AdviceState, priority Priority) (Advice, error) {
	version, err := s.next(tx, was.Version+1)
	if err != nil {
		return was, err
	}
	return was.with(m, version, state, priority, tx.At())
}

func (s *Referrals) saveAdvice(tx *store.Tx, a Advice) error {
	body, err := json.Marshal(a)
	if err != nil {
		return fault.Wrap(err, fault.Internal, "a question for advice cannot be written")
	}
	tx.Then(func() {
		s.changes.Tell(a.Practice.String())
		s.changes.Tell(a.Service.Provider.String())
	})
	if _, err := s.tellAdvice(tx, a); err != nil {
		return err
	}
	return tx.Queue(`INSERT INTO referral_advice (lane, chart, ubrn, version, state, practice, provider, changed, body) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, chart, ubrn) DO UPDATE SET version = excluded.version, state = excluded.state, changed = excluded.changed, body = excluded.body`,
		int64(s.chartLane(a.Chart)), a.Chart, a.UBRN.String(), a.Version, string(a.State), a.Practice.String(), a.Service.Provider.String(), a.Changed.UnixMicro(), body)
}

// loadAdvice is a question as it is now. Error: ErrNotAdvice when the number is a referral's.
func (s *Referrals) loadAdvice(tx *store.Tx, chart string, u ident.UBRN) (a Advice, err error) {
	var body []byte
	err = tx.QueryRow(`SELECT body FROM referral_advice WHERE lane = ? AND chart = ? AND ubrn = ?`, int64(s.chartLane(chart)), chart, u.String()).Scan(&body)
	if fault.Is(err, fault.NotFound) {
		return a, fault.Wrap(ErrNotAdvice, fault.NotFound, "This number is a referral's.")
	}
	if err != nil {
		return a, err
	}
	return a, json.Unmarshal(body, &a)
}

// Advice is a question for advice as it is now: with its conversation, which is for clinicians, or without. Errors: ErrNotAdvice; fault.NotFound; what the rules refuse by.
func (s *Referrals) Advice(ctx context.Context, c Caller, u ident.UBRN, conversation bool) (a Advice, err error) {
	err = s.open(ctx, c, u, access.Read, conversation, func(tx *store.Tx, chart string) error {
		a, err = s.loadAdvice(tx, chart, u)
		return err
	})
	if !conversation {
		a.Remarks = nil
	}
	return a, err
}

// Answer is what a service says to a question.
type Answer struct {
	Seen           int64 // the version that was read
	More           bool  // it needs to know more first
	Recommendation string
	Text           string
	Priority       Priority
	Files          []FileRef // uploaded for this question
	For            Staff     // for whom a clerk answers; zero for the caller
}

// AnswerAdvice adds what the service says to the conversation, and gives the question back to the referrer. Errors: fault.PreconditionFailed when it has changed since it was read;
// fault.Forbidden for whoever is not the service's; fault.Invalid for an answer that is not sound; ErrNotAdvice; those of files; what the rules refuse by.
func (s *Referrals) AnswerAdvice(ctx context.Context, c Caller, u ident.UBRN, w Answer) (a Advice, err error) {
	if w.More != (w.Recommendation == "") || !w.More && !slices.Contains(Recommendations(), w.Recommendation) {
		return a, fault.New(fault.Invalid, "An answer says what is recommended, and a question back does not.")
	}
	chart, err := s.ownerOf(ctx, u)
	if err != nil {
		return a, err
	}
	p := c.Principal
	grants, err := s.k.Gate.DecideAll(ctx, p, []access.Act{{Action: access.Update, Place: s.place(chart, u, true)}})
	if err != nil {
		return a, err
	}
	err = s.k.Gate.Act(ctx, grants, append(s.fileLanes(w.Files), s.ubrnLane(u), s.chartLane(chart)), func(tx *store.Tx) error {
		was, err := s.loadAdvice(tx, chart, u)
		if err != nil {
			return err
		}
		switch {
		case p.Organisation.IsZero() || p.Organisation != was.Service.Provider:
			return fault.Wrap(ErrNoPart, fault.Forbidden, "Your organisation was not asked.")
		case w.Seen != was.Version:
			return fault.New(fault.PreconditionFailed, "The question has changed since you looked at it: look again, then answer.")
		case was.Ended():
			return fault.New(fault.Conflict, "This conversation is over.")
		}
		files, err := s.attached(tx, p, fileTo{ubrn: u, chart: chart, kind: WithAnswer}, w.Files)
		if err != nil {
			return err
		}
		state := AdviceAnswered
		if w.More {
			state = AdviceMore
		}
		m := Remark{By: Staff{p.ID, p.Name}, For: cmp.Or(w.For, Staff{p.ID, p.Name}), Organisation: p.Organisation, Provider: true, Text: w.Text, Files: files, Recommendation: w.Recommendation}
		if a, err = s.say(tx, was, m, state, w.Priority); err != nil {
			return err
		}
		return s.saveAdvice(tx, a)
	})
	return a, err
}

// AdviceList are the questions that a provider was asked, of those that the scope shows, the longest unchanged first: each is on the account as shown. Their conversations are left out.
func (s *Referrals) AdviceList(ctx context.Context, scope access.Scope, provider ident.ODSCode) ([]Advice, error) {
	return s.AdviceWaiting(ctx, scope, AdviceQuery{Provider: provider, States: []AdviceState{AdviceAsked, AdviceMore}})
}

// scanBody reads what a row holds as JSON.
func scanBody(rows interface{ Scan(dest ...any) error }, into any) error {
	var body []byte
	if err := rows.Scan(&body); err != nil {
		return err
	}
	return json.Unmarshal(body, into)
}
