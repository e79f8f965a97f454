package hospital

import (
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
)

// TestALetterSaysHowItStands: each letter says what has become of the appointment, and nobody who did not come is told that we are sorry that it could not take place.
func TestALetterSaysHowItStands(t *testing.T) {
	t.Parallel()
	at := &booking.Appointment{Start: time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)}
	rebook := time.Unix(1, 0)
	for name, c := range map[string]struct {
		of    booking.Case
		p     Pathway
		came  cameHere
		says  string
		never string
	}{
		"booked":            {booking.Case{State: "BOOKED", Appointment: at}, Pathway{}, cameHere{}, "You have an appointment at Heart clinic on 30-Nov-2026 at 09:00.", "sorry"},
		"session withdrawn": {booking.Case{State: "BOOKED", Appointment: at}, Pathway{Rebook: rebook, Reason: "The doctor is ill."}, cameHere{}, "cannot take place. The reason: The doctor is ill. We will give you another time", "You have an appointment"},
		"cancelled by us":   {booking.Case{State: "APPT_CANCELLED_BY_PROVIDER"}, Pathway{Rebook: rebook}, cameHere{}, "cannot take place", "You have an appointment"},
		"missed, again":     {booking.Case{State: "DID_NOT_ATTEND"}, Pathway{Rebook: rebook, Reason: visitMissed}, cameHere{}, "did not come. We will give you another time", "sorry"},
		"missed, at an end": {booking.Case{State: "DID_NOT_ATTEND"}, Pathway{}, cameHere{}, "did not come. If you still need to be seen", "We will give you another time"},
		"missed, not told":  {booking.Case{State: "BOOKED", Appointment: at}, Pathway{}, cameHere{missed: true}, "did not come", "You have an appointment"},
		"triaged":           {booking.Case{State: "TRIAGED_PROVIDER_TO_ACTION"}, Pathway{Rebook: rebook, Reason: reasonTriaged}, cameHere{}, "We have read your referral and will see you", "cannot take place"},
		"to be triaged":     {booking.Case{State: stateTriage}, Pathway{}, cameHere{}, "A clinician reads your referral first", "cannot take place"},
		"deferred":          {booking.Case{State: "DEFERRED_TO_PROVIDER"}, Pathway{Rebook: rebook}, cameHere{}, "We will write to you when you have an appointment", "cannot take place"},
	} {
		c.of.ServiceName = "Heart clinic"
		d := &desk{ctx: t.Context()}
		said := strings.Join(d.letterText(Case{Case: c.of, Pathway: c.p}, c.came), " ")
		if !strings.Contains(said, c.says) || strings.Contains(said, c.never) {
			t.Errorf("%s: %q, want %q and not %q", name, said, c.says, c.never)
		}
	}
}
