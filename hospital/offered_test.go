package hospital

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/referral"
)

// TestWhatIsOfferedFitsTheState goes through all states of a referral, with and without an appointment, seen or not, reviewed or not, for both kinds of staff: whatever is offered the spine would take.
func TestWhatIsOfferedFitsTheState(t *testing.T) {
	spines := map[string][]referral.Kind{booking.ActAccept: {referral.ActAccept}, booking.ActReject: {referral.ActReject}, booking.ActCancel: {referral.ActCancelFrom}, booking.ActTriageAccept: {referral.ActTriageAccept}, booking.ActTriageReturn: {referral.ActTriageReturn}, offerBook: {referral.ActBook, referral.ActMove}}
	offers := map[string]int{}
	for _, state := range referral.States() {
		for _, review := range []string{reviewWaiting, reviewAccepted, reviewRejected, reviewTriaged, reviewReturned, reviewAssessed} {
			for bits := range 1 << 5 {
				on := func(n int) bool { return bits&(1<<n) != 0 }
				c := Case{Case: booking.Case{State: string(state), Gone: on(0)}, Pathway: Pathway{Review: review, Closed: on(1)}}
				came := cameHere{attended: on(2) && state == referral.Booked, seen: on(2), missed: on(3) && !on(2) && state == referral.Booked}
				if state == referral.Booked {
					c.Appointment = &booking.Appointment{Slot: "s"}
				}
				clinician := on(4)
				acts := offered(c, came, clinician)
				if (c.Gone || c.Pathway.Closed) && len(acts) > 0 {
					t.Errorf("%s, gone %v, discharged %v: %v is offered", state, c.Gone, c.Pathway.Closed, acts)
				}
				for _, act := range acts {
					offers[act]++
					d := Decision{Kind: act}
					if d.needsClinician() && !clinician {
						t.Errorf("%s: a clerk is offered %s", state, act)
					}
					r := referral.Referral{State: state}
					if kinds := spines[act]; kinds != nil && !slices.ContainsFunc(kinds, func(k referral.Kind) bool { return r.May(k, referral.Provider) }) {
						t.Errorf("%s: %s is offered, and the spine refuses it", state, act)
					}
					if (came.attended || came.missed) && (act == booking.ActAccept || act == booking.ActReject || act == booking.ActCancel) || came.attended && act == offerBook {
						t.Errorf("%s: %s is offered for an appointment that is over (%+v)", state, act, came)
					}
					if act == offerFollowUp && !came.seen {
						t.Errorf("%s: a follow-up is offered for somebody who was not seen", state)
					}
				}
			}
		}
	}
	for _, act := range append(slices.DeleteFunc(booking.Acts(), func(a string) bool {
		return slices.Contains([]string{booking.ActAttended, booking.ActNotAttended, booking.ActMove, booking.ActDischarged, booking.ActAssessed}, a)
	}), offerFollowUp, offerLetter) {
		if offers[act] == 0 {
			t.Errorf("%s is never offered", act)
		}
	}
}

// TestWhatIsOfferedByName names what is offered in the states in which it was wrong, or might be.
func TestWhatIsOfferedByName(t *testing.T) {
	at := &booking.Appointment{Slot: "s"}
	for name, x := range map[string]struct {
		c    booking.Case
		p    Pathway
		came cameHere
		want string
	}{
		"booked":                 {booking.Case{State: "BOOKED", Appointment: at}, Pathway{Review: reviewWaiting}, cameHere{}, "accept reject cancel book letter"},
		"booked, accepted":       {booking.Case{State: "BOOKED", Appointment: at}, Pathway{Review: reviewAccepted}, cameHere{}, "reject cancel book letter"},
		"session withdrawn":      {booking.Case{State: "BOOKED", Appointment: at}, Pathway{Review: reviewAccepted, Rebook: time.Unix(1, 0)}, cameHere{}, "reject book letter"},
		"seen":                   {booking.Case{State: "BOOKED", Appointment: at}, Pathway{Review: reviewAccepted}, cameHere{attended: true, seen: true}, "follow-up"},
		"did not come":           {booking.Case{State: "BOOKED", Appointment: at}, Pathway{Review: reviewAccepted}, cameHere{missed: true}, "book letter"},
		"did not come, told":     {booking.Case{State: "DID_NOT_ATTEND"}, Pathway{Review: reviewWaiting}, cameHere{}, "book letter"},
		"discharged":             {booking.Case{State: "BOOKED", Appointment: at}, Pathway{Review: reviewAccepted, Closed: true}, cameHere{attended: true, seen: true}, ""},
		"elsewhere":              {booking.Case{State: "CANCELLED", Gone: true}, Pathway{Review: reviewWaiting}, cameHere{}, ""},
		"to be triaged":          {booking.Case{State: stateTriage}, Pathway{Review: reviewWaiting}, cameHere{}, "triage-accept triage-return letter"},
		"taken after triage":     {booking.Case{State: "TRIAGED_PROVIDER_TO_ACTION"}, Pathway{Review: reviewTriaged}, cameHere{}, "reject book letter"},
		"waits, not read":        {booking.Case{State: "TRIAGED_PROVIDER_TO_ACTION"}, Pathway{Review: reviewWaiting}, cameHere{}, "accept reject book letter"},
		"deferred":               {booking.Case{State: "DEFERRED_TO_PROVIDER"}, Pathway{Review: reviewAccepted}, cameHere{}, "reject book letter"},
		"we cancelled":           {booking.Case{State: "APPT_CANCELLED_BY_PROVIDER"}, Pathway{Review: reviewWaiting}, cameHere{}, "book letter"},
		"rejected, not told":     {booking.Case{State: "BOOKED", Appointment: at}, Pathway{Review: reviewRejected}, cameHere{}, ""},
		"assessed":               {booking.Case{State: "ASSESSMENT_RESULT"}, Pathway{Review: reviewAccepted}, cameHere{seen: true}, "follow-up letter"},
		"seen before, to rebook": {booking.Case{State: "APPT_CANCELLED_BY_PROVIDER"}, Pathway{Review: reviewAccepted}, cameHere{seen: true}, "book letter"},
	} {
		if got := strings.Join(offered(Case{Case: x.c, Pathway: x.p}, x.came, true), " "); got != x.want {
			t.Errorf("%s: offered %q, not %q", name, got, x.want)
		}
	}
}
