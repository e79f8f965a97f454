// Package codes is the reference data of referrals as England's e-Referral Service publishes it: priorities, specialties, clinic types, and the reasons for
// which an appointment or a referral is cancelled or missed. Which reason may be given by whom, whether it needs a comment, and since when and until when it may be used are
// properties of the code; nothing of this is known anywhere else.
//
// Source: e-Referral Service FHIR API, Retrieve reference data (A004). The service's own sample of specialties and clinic types is short; More adds those that the
// directory's services have.
package codes

import (
	_ "embed"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openspine/openspine/fault"
)

// The systems, by the name in their address.
const (
	Priority         = "PRIORITY"
	Specialty        = "SPECIALTY"
	ClinicType       = "CLINIC-TYPE"
	CancelledVisit   = "APPOINTMENT-CANCELLATION-REASON"   // why an appointment was cancelled, or a referral rejected
	CancelledRequest = "REFERRAL-CANCELLATION-REASON"      // why a referral was cancelled
	Missed           = "APPOINTMENT-NON-ATTENDANCE-REASON" // why somebody did not come
)

// The types of reasons: who explains what by them.
const (
	TypePatient  = "PATIENT"         // the patient cancels an appointment, or somebody for them
	TypeProvider = "PROVIDER"        // the provider cancels an appointment
	TypeRejected = "PROVIDER_REJECT" // the provider returns a referral
	// TypeTriageEnded: the provider ends a referral that it has triaged.
	TypeTriageEnded = "PROVIDER_TRIAGE"
)

// Systems lists them.
func Systems() []string {
	return []string{Priority, Specialty, ClinicType, CancelledVisit, CancelledRequest, Missed}
}

// Code is one code of a system.
type Code struct {
	Code    string
	Display string
	// From and Until bound the time in which it may be used; zero where there is no bound.
	From, Until time.Time
	// Type groups reasons: PATIENT, PROVIDER, PROVIDER_REJECT, REFERRER …; empty for other codes.
	Type string
	// CommentNeeded says that whoever gives the reason says more in words.
	CommentNeeded bool
	// Functions are the business functions that may give the reason; none means all.
	Functions []string
	// Usages say what a reason is for: REJECT …; none means that it is not said.
	Usages []string
	// CancelsReferral says that an appointment cancelled for this reason ends the referral as well.
	CancelsReferral bool
	// CancelsAppointment says that a referral may be cancelled for this reason while its appointment stands, which is then cancelled too.
	CancelsAppointment bool
	// ContactDays and TriageDays are the working days within which a provider contacts a patient of a Priority: whose booking was deferred, and who is to be triaged.
	ContactDays, TriageDays int
	// Specialty is the one that a ClinicType belongs to.
	Specialty string
}

// InForce reports whether the code may be used at a time.
func (c Code) InForce(at time.Time) bool {
	return !at.Before(c.From) && (c.Until.IsZero() || at.Before(c.Until))
}

// GivenBy reports whether a business function may give the reason.
func (c Code) GivenBy(function string) bool {
	return len(c.Functions) == 0 || slices.Contains(c.Functions, function)
}

//go:embed codes.json
var published []byte

//go:embed more.json
var more []byte

type property struct {
	name  string
	value any // string, bool, float64, or map[string]any for a coding
}

// UnmarshalJSON reads a pair of name and value.
func (p *property) UnmarshalJSON(b []byte) error {
	pair := []any{&p.name, &p.value}
	return json.Unmarshal(b, &pair)
}

type concept struct {
	Code       string     `json:"code"`
	Display    string     `json:"display"`
	Properties []property `json:"properties"`
}

type system struct {
	ID          string      `json:"id"`
	Name        string      `json:"name"`
	Description string      `json:"description"`
	Date        string      `json:"date"`
	Profile     []string    `json:"profile"`
	Properties  [][2]string `json:"properties"`
	Concepts    []concept   `json:"concepts"`
	codes       map[string]Code
}

// load reads the tables once; they are part of the program, so a fault in them is found by the first test.
var load = sync.OnceValue(func() map[string]*system {
	all := map[string]*system{}
	for _, file := range [][]byte{published, more} {
		var list []system
		if err := json.Unmarshal(file, &list); err != nil {
			panic("codes: " + err.Error())
		}
		for _, s := range list {
			if all[s.ID] == nil {
				all[s.ID] = &s
				continue
			}
			all[s.ID].Concepts = append(all[s.ID].Concepts, s.Concepts...)
		}
	}
	for _, s := range all {
		s.codes = make(map[string]Code, len(s.Concepts))
		for _, c := range s.Concepts {
			s.codes[c.Code] = c.code()
		}
	}
	return all
})

func (c concept) code() Code {
	out := Code{Code: c.Code, Display: c.Display}
	for _, p := range c.Properties {
		switch p.name {
		case "effectiveFrom":
			out.From = instant(p.value)
		case "effectiveTo":
			out.Until = instant(p.value)
		case "appointmentBookingCancellationReasonType", "appointmentRequestCancellationReasonType":
			out.Type = coded(p.value)
		case "commentIsMandatory":
			out.CommentNeeded, _ = p.value.(bool)
		case "willCancelWholeRequest":
			out.CancelsReferral, _ = p.value.(bool)
		case "canCancelAppointment":
			out.CancelsAppointment, _ = p.value.(bool)
		case "businessFunction":
			out.Functions = append(out.Functions, coded(p.value))
		case "usage", "referrerUsage":
			out.Usages = append(out.Usages, coded(p.value))
		case "deferToProviderContactDays":
			out.ContactDays = number(p.value)
		case "triageContactDays":
			out.TriageDays = number(p.value)
		case "specialty":
			out.Specialty = coded(p.value)
		}
	}
	return out
}

func instant(v any) time.Time {
	s, _ := v.(string)
	t, _ := time.Parse(time.RFC3339, s)
	return t
}

func coded(v any) string {
	m, _ := v.(map[string]any)
	s, _ := m["code"].(string)
	return s
}

func number(v any) int {
	f, _ := v.(float64)
	return int(f)
}

// Find is a code of a system, in force or not. Errors: fault.NotFound for a system or a code that there is not.
func Find(of, code string) (Code, error) {
	s := load()[of]
	if s == nil {
		return Code{}, fault.New(fault.NotFound, "There is no code system %q.", of)
	}
	c, ok := s.codes[code]
	if !ok {
		return Code{}, fault.New(fault.NotFound, "%q is no code of %s.", code, of)
	}
	return c, nil
}

// Display is what a code is called; the code itself where it is not known.
func Display(of, code string) string {
	if c, err := Find(of, code); err == nil {
		return c.Display
	}
	return code
}

// List is the codes of a system that may be used at a time, in the published order. For reasons, types narrow the list; none means all.
func List(of string, at time.Time, types ...string) []Code {
	s := load()[of]
	if s == nil {
		return nil
	}
	var list []Code
	for _, c := range s.Concepts {
		if k := s.codes[c.Code]; k.InForce(at) && (len(types) == 0 || slices.Contains(types, k.Type)) {
			list = append(list, k)
		}
	}
	return list
}

// Reason is a reason that may be given at a time, with its comment; types narrow which, and none means all. Errors: fault.Invalid when there is no such reason, it is
// of another type or no longer in force, or when it needs a comment and has none; the message says which.
func Reason(of, code, comment string, at time.Time, types ...string) (Code, error) {
	c, err := Find(of, code)
	switch {
	case code == "":
		return c, fault.New(fault.Invalid, "Choose a reason from the list.")
	case err != nil:
		return c, fault.New(fault.Invalid, "Choose a reason from the list: %q is none.", code)
	case len(types) > 0 && !slices.Contains(types, c.Type):
		return c, fault.New(fault.Invalid, "The reason %q is not for this. Choose one from the list.", c.Display)
	case !c.InForce(at):
		return c, fault.New(fault.Invalid, "The reason %q is no longer in use.", c.Display)
	case c.CommentNeeded && strings.TrimSpace(comment) == "":
		return c, fault.New(fault.Invalid, "The reason %q needs a comment.", c.Display)
	}
	return c, nil
}

// BySnomed is the specialty code for the specialty of a service of the directory, which is a code of SNOMED CT; "" where there is none.
func BySnomed(snomed string) string { return snomedOf()[snomed] }

var snomedOf = sync.OnceValue(func() map[string]string {
	by := map[string]string{}
	for _, c := range load()[Specialty].Concepts {
		for _, p := range c.Properties {
			if s, ok := p.value.(string); ok && p.name == "snomed" {
				by[s] = c.Code
			}
		}
	}
	return by
})
