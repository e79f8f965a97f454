package referral

import "time"

// The systems of reasons that the e-Referral Service gives no code system resource for: why a referral is left to its provider, and what a provider made of it.
const (
	ReviewReasons  = "REVIEW-REASON"
	ReviewOutcomes = "REVIEW-OUTCOME"
)

// ActionLater is the outcome (ReviewOutcomes) by which a provider cancels an appointment and finds another one itself.
const ActionLater = "CANCEL_APPOINTMENT_ACTION_LATER"

// ArrangementStatus is how it stands, as FHIR calls it (Appointment.status).
type ArrangementStatus string

// The statuses of an arrangement.
const (
	ArrangedBooked    ArrangementStatus = "booked"
	ArrangedProposed  ArrangementStatus = "proposed" // the provider is to find a time, or to say what should be done
	ArrangedCancelled ArrangementStatus = "cancelled"
	ArrangedMissed    ArrangementStatus = "noshow"
)

// Arrangement is what has come of the last appointment of a referral, or of the request for one. It stays when the appointment is cancelled, and goes when other services
// are offered.
type Arrangement struct {
	Version int64             `json:"version"` // 0 for a booking, 1 for a request; one more each time that it changes
	Status  ArrangementStatus `json:"status"`
	Reason  Code              `json:"reason,omitzero"`
	Comment string            `json:"comment,omitempty"`
	Created time.Time         `json:"created"`
	// Clinician is who was to see the person, by their user id, where the booking named somebody.
	Clinician string `json:"clinician,omitempty"`
	// Start is when the appointment is, or was; zero for a request, and for what was booked before this was kept.
	Start time.Time `json:"start,omitzero"`
	// By is Patient where the patient took the time themselves; empty where somebody else did, and for what was booked before this was kept.
	By Party `json:"by,omitempty"`
}

// arrangedAfter is what an act makes of the arrangement of was, of which it has made n.
func arrangedAfter(was, n Referral, a Act) *Arrangement {
	v := Arrangement{Reason: n.Reason, Comment: a.Comment, Created: a.At}
	switch a.Kind {
	case ActShortlist, ActReinstate:
		return nil
	case ActBook, ActMove:
		v.Status, v.Comment, v.Clinician, v.Start = ArrangedBooked, "", n.Appointment.ClinicianID, n.Appointment.Start
		if a.By.Party == Patient {
			v.By = Patient
		}
	case ActDefer, ActSendTriage, ActConvert:
		v.Status, v.Version = ArrangedProposed, 1
	}
	switch last := was.Arranged; {
	case v.Status != "":
		if last != nil {
			v.Version = last.Version + 1
		}
		return &v
	case last == nil || n.State == was.State:
		return last
	default:
		v.Created, v.Version, v.Clinician, v.Start = last.Created, last.Version+1, last.Clinician, last.Start
	}
	switch n.State {
	case TriageResponse, TriagedToAct, AssessmentResult:
		v.Status, v.Clinician, v.Start = ArrangedProposed, "", time.Time{}
	case Rejected, CancelledByPatient, CancelledByProvider:
		v.Status = ArrangedCancelled
	case DidNotAttend:
		v.Status = ArrangedMissed
	case Cancelled:
		if was.Arranged.Status != ArrangedBooked {
			return was.Arranged
		}
		v.Status, v.Reason, v.Comment = ArrangedCancelled, Code{}, ""
	default:
		return was.Arranged
	}
	return &v
}

// Search is how the services of a shortlist were searched for, and when the letter for them is due.
type Search struct {
	// Criteria are the parameters as a program gave them (eRS-ServiceSearchCriteria-Parameters-1), as JSON; empty when nobody did.
	Criteria              string
	Priority              Priority // empty leaves what was, as do the next two
	Specialty, ClinicType string
	LetterDue             time.Time // zero when no letter was promised
}

// searched keeps how the services were searched for.
func (n *Referral) searched(s Search) {
	if s.Criteria != "" {
		n.Criteria = s.Criteria
	}
	if s.Priority != "" {
		n.Priority = s.Priority
	}
	if s.Specialty != "" {
		n.Specialty = s.Specialty
	}
	if s.ClinicType != "" {
		n.ClinicType = s.ClinicType
	}
	n.LetterDue = s.LetterDue
}

// informed keeps when the provider was first told what ails the person, and when last.
func (n *Referral) informed(at time.Time) {
	if n.Informed.IsZero() {
		n.Informed = at
		return
	}
	n.InformedAgain = at
}

// Owes reports whether the referrer has promised a letter and not written it.
func (r Referral) Owes() bool { return !r.LetterDue.IsZero() && r.Informed.IsZero() && r.Open() }
