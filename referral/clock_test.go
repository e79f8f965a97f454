package referral_test

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/web/letter"
)

// TestTimesAroundAChangeOfTheClocks: a clinic at nine is at nine on page, on paper and in calendars before and after the clocks change, in autumn and in spring; calendars are told the instant.
func TestTimesAroundAChangeOfTheClocks(t *testing.T) {
	t.Parallel()
	w := newQuiet(t, "")
	ctx := context.Background()
	for _, c := range []struct{ session, starts, says string }{
		{"summer", "2026-10-24T08:00:00Z", "24-Oct-2026 09:00"},
		{"winter", "2026-10-26T09:00:00Z", "26-Oct-2026 09:00"},
		{"still", "2027-03-27T09:00:00Z", "27-Mar-2027 09:00"},
		{"again", "2027-03-29T08:00:00Z", "29-Mar-2027 09:00"},
	} {
		at, err := time.Parse(time.RFC3339, c.starts)
		if err != nil {
			t.Fatal(err)
		}
		cameTo(t, w.s, booking.WorkflowSlots, c.session, booking.Slots{Session: c.session, Service: waitingFor, Slots: []booking.Slot{{ID: c.session + "-0", Epoch: 1, Start: at, End: at.Add(20 * time.Minute)}}})
		m := w.refers(referral.Routine)
		if times, err := w.s.Times(ctx, waitingFor, m.Referral); err != nil || len(times) != 1 || times[0] != "09:00" {
			t.Errorf("%s: shown are %v, %v", c.session, times, err)
		}
		ref := referral.SlotRef{Provider: west, Session: c.session, Slot: c.session + "-0"}
		r, err := w.s.Act(ctx, w.patient(m.UBRN), m.UBRN, referral.Work{Kind: referral.ActBook, Slot: ref, Service: waitingFor})
		if err != nil {
			t.Fatal(err)
		}
		l, _, err := w.s.PatientLetter(ctx, w.gp, m.UBRN, "")
		if err != nil {
			t.Fatal(err)
		}
		says := func(p letter.Part) bool {
			return slices.ContainsFunc(p.Rows, func(x letter.Row) bool { return strings.Contains(x.Value, c.says) })
		}
		if !slices.ContainsFunc(l.Parts, says) {
			t.Errorf("%s: the letter does not say %s: %+v", c.session, c.says, l.Parts)
		}
		if file := referral.Calendar(ctx, r, w.time.Now()); !strings.Contains(file, "DTSTART:"+at.Format("20060102T150405Z")+"\r\n") {
			t.Errorf("%s: the calendar says %s", c.session, file)
		}
	}
}

// TestACalendarIsOneOfTheStandard: what stands in names does not end a line, and lines are no longer than 75 bytes, whatever letters they have (RFC 5545 sections 3.1 and 3.3.11).
func TestACalendarIsOneOfTheStandard(t *testing.T) {
	t.Parallel()
	r := referral.Referral{Chosen: referral.Choice{ProviderName: "Ysbyty; St. Mary's, \\ (\u202eEast\u202c) \r\nEND:VEVENT\x00\x1b " + strings.Repeat("مستشفى 🏥 ", 30)}, Appointment: &referral.Appointment{}}
	file := referral.Calendar(context.Background(), r, time.Now())
	if n := strings.Count(file, "\r\nEND:VEVENT\r\n"); n != 1 {
		t.Errorf("the event ends %d times:\n%s", n, file)
	}
	for _, line := range strings.Split(strings.TrimSuffix(file, "\r\n"), "\r\n") {
		if len(line) > 75 || strings.ToValidUTF8(line, "") != line || strings.ContainsAny(line, "\r\n\x00\x1b") {
			t.Errorf("%d bytes: %q", len(line), line)
		}
	}
	if whole := strings.ReplaceAll(file, "\r\n ", ""); !strings.Contains(whole, `LOCATION:Ysbyty\; St. Mary's\, \\ (`) || !strings.Contains(whole, `\nEND:VEVENT`) {
		t.Errorf("the place is written as %s", whole)
	}
}
