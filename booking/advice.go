package booking

import (
	"slices"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// The workflows of questions for advice: each question is a conversation of the post, of its UBRN.
const (
	WorkflowAdvice = "booking.advice" // spine → hospital: Advice; back, where a restore of the spine has lost it
	WorkflowAdvise = "booking.advise" // hospital → spine: Advise
)

// Limits of a question.
const (
	MostRemarks    = 200 // messages of a conversation
	MostFilesOfOne = 20  // files with one message
)

// Advice is a question for advice to one of a hospital's services, with all that was said, as the spine knows it at a version: the highest version wins.
type Advice struct {
	UBRN         ident.UBRN    `json:"ubrn"`
	Version      int64         `json:"version"`
	State        string        `json:"state"` // as published (eRS-AdviceAndGuidanceStatus-1)
	Ended        bool          `json:"ended,omitempty"`
	Priority     string        `json:"priority"`
	Service      string        `json:"service"`
	ServiceName  string        `json:"serviceName"`
	Practice     ident.ODSCode `json:"practice"`
	PracticeName string        `json:"practiceName"`
	Referrer     string        `json:"referrer"`
	Person       Person        `json:"person"`
	MayConvert   bool          `json:"mayConvert,omitempty"` // the practice lets the hospital make a referral of it
	Remarks      []Remark      `json:"remarks"`              // the first one first
	Changed      time.Time     `json:"changed"`
	Sent         int64         `json:"sent"` // as Case.Sent
}

// Remark is one message of a conversation.
type Remark struct {
	ID             string       `json:"id"`
	At             time.Time    `json:"at"`
	By             string       `json:"by"` // the clinician whose words they are
	Organisation   string       `json:"organisation"`
	Provider       bool         `json:"provider,omitempty"` // from the hospital
	Text           string       `json:"text"`
	Recommendation string       `json:"recommendation,omitempty"`
	Files          []Attachment `json:"files,omitempty"`
}

// What a hospital does with a question.
const (
	AdviseAnswer  = "answer"
	AdviseMore    = "more"    // it must know more first
	AdviseConvert = "convert" // a referral is made of it
)

// Recommendations are what an answer may advise (eRS-GuidanceIntendedRecommendation-1).
func Recommendations() []string {
	return []string{"ADVICE_ONLY_NO_REFERRAL_RECOMMENDED", "ADVICE_FOLLOWED_BY_REFERRAL_IF_REQUIRED", "REFERRAL_RECOMMENDED", "OTHER"}
}

// Advise is what a hospital says to a question, from the version that its clinician read. The spine takes it, or refuses it with a reason.
type Advise struct {
	UBRN           ident.UBRN   `json:"ubrn"`
	Number         int64        `json:"number"` // counts the hospital's answers to this question
	Seen           int64        `json:"seen"`
	Kind           string       `json:"kind"`
	Text           string       `json:"text"`
	Note           string       `json:"note,omitempty"` // of convert: to those who find the date
	Recommendation string       `json:"recommendation,omitempty"`
	Priority       string       `json:"priority"`
	ByID           string       `json:"byId"` // the clinician, as the hospital knows them
	By             string       `json:"by"`
	At             time.Time    `json:"at"`
	Files          []Attachment `json:"files,omitempty"` // whose bytes travel beside the message
}

func (a Advice) check() error {
	switch {
	case a.UBRN.IsZero() || a.Version < 1 || a.State == "":
		return fault.New(fault.Invalid, "A question has a UBRN, a version from 1 and a state.")
	case a.Person.NHSNumber.IsZero():
		return fault.New(fault.Invalid, "A question names its person by their NHS number.")
	case len(a.Remarks) == 0 || len(a.Remarks) > MostRemarks:
		return fault.New(fault.TooLarge, "A conversation has 1 to %d messages. Close it, and ask anew.", MostRemarks)
	}
	if err := ids(a.Service); err != nil {
		return err
	}
	for _, m := range a.Remarks {
		if err := ids(m.ID); err != nil {
			return err
		}
		if err := texts(m.By, m.Organisation, m.Text, m.Recommendation); err != nil {
			return err
		}
		if err := attachments(m.Files); err != nil {
			return err
		}
	}
	return texts(a.Priority, a.ServiceName, a.PracticeName, a.Referrer, a.Person.Family, a.Person.Given, a.Person.Address)
}

// Files are those of all messages.
func (a Advice) Files() (list []Attachment) {
	for _, m := range a.Remarks {
		list = append(list, m.Files...)
	}
	return list
}

func (a Advise) check() error {
	if a.UBRN.IsZero() || a.Number < 1 || a.Seen < 1 || !slices.Contains([]string{AdviseAnswer, AdviseMore, AdviseConvert}, a.Kind) || a.Text == "" {
		return fault.New(fault.Invalid, "An answer has a UBRN, a number and a version from 1, a kind that is known, and words.")
	}
	if len(a.Files) > MostFilesOfOne {
		return fault.New(fault.Invalid, "At most %d files go with a message.", MostFilesOfOne)
	}
	if err := texts(a.Text, a.Note, a.Recommendation, a.Priority, a.ByID, a.By); err != nil {
		return err
	}
	return attachments(a.Files)
}
