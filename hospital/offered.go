package hospital

import (
	"slices"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// What can be done with a referral beside the decisions of it (booking.Acts).
const (
	offerBook     = "book"      // one of the hospital's own times, for the referral itself
	offerFollowUp = "follow-up" // the same, for somebody who was seen
	offerLetter   = "letter"
)

// cameHere is what a hospital knows of somebody's coming that the referral does not say.
type cameHere struct {
	attended, missed bool // the appointment that stands; the spine may have yet to hear of it
	seen             bool // they were seen once, then or before
	byHand           bool // they were put in by hand, what came of it is written down, and the spine has yet to be told
}

// cameIn reads how somebody's coming stands.
func (o *Outpatients) cameIn(tx *store.Tx, hospital ident.ODSCode, c Case) (came cameHere, err error) {
	list, err := o.visitsWhere(tx, hospital, `who = ?`, c.UBRN.String())
	for _, v := range list {
		came.seen = came.seen || v.State == visitAttended
		if a := c.Appointment; a == nil || v.Session != a.Session || v.Slot != a.Slot || v.Epoch < a.Epoch {
			continue
		}
		came.attended, came.missed = v.State == visitAttended, v.State == visitMissed
	}
	if err != nil {
		return came, err
	}
	open, err := o.openByHand(tx, hospital, c.UBRN.String())
	came.byHand, _ = seenByHand(open)
	return came, err
}

// cameTo reports whether somebody was seen at an appointment, or did not come to it.
func (o *Outpatients) cameTo(tx *store.Tx, hospital ident.ODSCode, who string, at *booking.Appointment) (bool, error) {
	if at == nil {
		return false, nil
	}
	list, err := o.visitsWhere(tx, hospital, `session = ? AND slot = ? AND who = ?`, at.Session, at.Slot, who)
	return len(list) > 0 && !list[0].Ended.IsZero(), err
}

// offered is what can be done with a referral as it stands: only what the spine takes in its state (referral.Transitions), and only decisions that are still to be made. Nothing is offered
// for somebody who was discharged, or is another hospital's.
func offered(c Case, came cameHere, clinician bool) (acts []string) {
	if c.Gone || c.Pathway.Closed {
		return nil
	}
	can := func(act string, in ...string) {
		if slices.Contains(in, c.State) {
			acts = append(acts, act)
		}
	}
	const booked, deferred, taken, cancelled, missed = "BOOKED", "DEFERRED_TO_PROVIDER", "TRIAGED_PROVIDER_TO_ACTION", "APPT_CANCELLED_BY_PROVIDER", "DID_NOT_ATTEND"
	open := !came.attended && !came.missed && !came.byHand
	if c.Pathway.Review == reviewWaiting && open {
		can(booking.ActAccept, booked, deferred, taken)
		if clinician {
			can(booking.ActTriageAccept, stateTriage)
			can(booking.ActTriageReturn, stateTriage)
		}
	}
	settled := slices.Contains([]string{reviewRejected, reviewReturned, reviewAssessed}, c.Pathway.Review)
	if clinician && !settled && open {
		can(booking.ActReject, booked, deferred, taken)
	}
	if c.Appointment != nil && c.Pathway.Rebook.IsZero() && open && !settled {
		can(booking.ActCancel, booked)
	}
	if !settled && !came.attended && !came.byHand {
		can(offerBook, booked, deferred, taken, cancelled, missed)
	}
	if came.seen && !came.byHand && !waitsForTime(c.Case) {
		acts = append(acts, offerFollowUp)
	}
	if (!settled || c.State == stateAssessed) && !came.attended && !came.byHand {
		acts = append(acts, offerLetter)
	}
	return acts
}
