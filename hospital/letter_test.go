package hospital

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
)

// TestALetterSaysHowItStands: each letter says what has become of the appointment, and nobody who did not come is told that we are sorry that it could not take place.
func TestALetterSaysHowItStands(t *testing.T) {
	t.Parallel()
	at := &booking.Appointment{Start: time.Date(2026, 11, 30, 9, 0, 0, 0, time.UTC)}
	rebook, lost := time.Unix(1, 0), time.Date(2026, 11, 23, 14, 30, 0, 0, time.UTC)
	for name, c := range map[string]struct {
		of    booking.Case
		p     Pathway
		came  cameHere
		says  string
		never string
	}{
		"booked":             {booking.Case{State: "BOOKED", Appointment: at}, Pathway{}, cameHere{}, "You have an appointment at Heart clinic on 30-Nov-2026 at 09:00.", "sorry"},
		"session withdrawn":  {booking.Case{State: "BOOKED", Appointment: at}, Pathway{Rebook: rebook, Reason: "The doctor is ill."}, cameHere{}, "cannot take place. The reason: The doctor is ill. We will give you another time", "You have an appointment"},
		"withdrawn, of when": {booking.Case{State: "APPT_CANCELLED_BY_PROVIDER"}, Pathway{Rebook: rebook, Reason: "The doctor is ill.", Lost: lost}, cameHere{}, "your appointment at Heart clinic on 23-Nov-2026 at 14:30 cannot take place. Please do not come then. The reason", "You have an appointment"},
		"missed, of when":    {booking.Case{State: "DID_NOT_ATTEND"}, Pathway{Lost: lost}, cameHere{}, "You had an appointment at Heart clinic on 23-Nov-2026 at 14:30 and did not come. If you", "sorry: your"},
		"deferred, before":   {booking.Case{State: "DEFERRED_TO_PROVIDER"}, Pathway{Rebook: rebook, Lost: lost}, cameHere{}, "We will write to you when you have an appointment", "14:30"},
		"cancelled by us":    {booking.Case{State: "APPT_CANCELLED_BY_PROVIDER"}, Pathway{Rebook: rebook}, cameHere{}, "cannot take place. We will give you another time", "The reason"},
		"missed, again":      {booking.Case{State: "DID_NOT_ATTEND"}, Pathway{Rebook: rebook, Reason: visitMissed}, cameHere{}, "did not come. We will give you another time", "sorry"},
		"missed, at an end":  {booking.Case{State: "DID_NOT_ATTEND"}, Pathway{}, cameHere{}, "did not come. If you still need to be seen", "We will give you another time"},
		"missed, not told":   {booking.Case{State: "BOOKED", Appointment: at}, Pathway{}, cameHere{missed: true}, "did not come", "You have an appointment"},
		"triaged":            {booking.Case{State: "TRIAGED_PROVIDER_TO_ACTION"}, Pathway{Rebook: rebook, Reason: reasonTriaged}, cameHere{}, "We have read your referral and will see you at Heart clinic. We will write to you with a date and time.", "another time"},
		"assessed":           {booking.Case{State: stateAssessed}, Pathway{Review: reviewAssessed, Lost: lost}, cameHere{seen: true}, "You were seen at Heart clinic on 23-Nov-2026 at 14:30. We have sent the result to your practice.", "You have an appointment"},
		"to be triaged":      {booking.Case{State: stateTriage}, Pathway{}, cameHere{}, "A clinician reads your referral first", "cannot take place"},
		"deferred":           {booking.Case{State: "DEFERRED_TO_PROVIDER"}, Pathway{Rebook: rebook}, cameHere{}, "We will write to you when you have an appointment", "cannot take place"},
	} {
		c.of.ServiceName = "Heart clinic"
		d := &desk{ctx: t.Context()}
		said := strings.Join(d.letterText(Case{Case: c.of, Pathway: c.p}, c.came), " ")
		if !strings.Contains(said, c.says) || strings.Contains(said, c.never) {
			t.Errorf("%s: %q, want %q and not %q", name, said, c.says, c.never)
		}
		sheet := d.sheet(letterView{From: "Fenmarket General Hospital", To: "Mrs Edith Carrow", Lines: []string{"1 Fen Lane", "Fenmarket", "FN1 6FR"}, Date: "23-Nov-2026", Reference: "0000 0000 5001", Text: d.letterText(Case{Case: c.of, Pathway: c.p}, c.came), Stands: stands(Case{Case: c.of, Pathway: c.p}, c.came)},
			Case{Case: c.of, Pathway: c.p}, false)
		for _, p := range sheet.Parts {
			if heading := "Date and time"; len(p.Rows) > 1 && p.Rows[0].Key == heading != strings.Contains(said, "You have an appointment") {
				t.Errorf("%s: rows %v", name, p.Rows)
			}
		}
		file, err := sheet.PDF()
		if err != nil {
			t.Fatal(err)
		}
		if dir := os.Getenv("OPENSPINE_SCREENSHOTS"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, "letter-"+strings.ReplaceAll(name, " ", "-")+".pdf"), file, 0o600); err != nil {
				t.Error(err)
			}
		}
	}
}
