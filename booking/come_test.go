package booking_test

import (
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
)

// TestNobodyComesBeforeTheDay says of two appointments, the day after the clocks went back and the day before they go forward, that somebody came or missed it, at both sides of the
// instant from which that can be said.
func TestNobodyComesBeforeTheDay(t *testing.T) {
	for _, x := range []struct{ start, day string }{
		{"2026-10-26T00:15:00Z", "2026-10-26T00:00:00Z"}, // Greenwich time since the day before
		{"2026-03-29T08:30:00Z", "2026-03-29T00:00:00Z"}, // half past nine in summer time, which began at one
		{"2026-07-01T07:00:00Z", "2026-06-30T23:00:00Z"}, // midnight of summer time
	} {
		start, day := instant(t, x.start), instant(t, x.day)
		for visit, from := range map[string]time.Time{booking.VisitArrived: day, booking.VisitAttended: day, booking.VisitMissed: start} {
			if err := booking.Come(visit, start, from); err != nil {
				t.Errorf("%s of %s at %s: %v", visit, x.start, from, err)
			}
			if err := booking.Come(visit, start, from.Add(-time.Second)); !fault.Is(err, fault.Conflict) {
				t.Errorf("%s of %s a second before %s: %v", visit, x.start, from, err)
			}
			if err := booking.CameTold(visit, start, from.Add(-time.Hour)); err != nil {
				t.Errorf("a hospital whose clock is an hour ahead says %s of %s: %v", visit, x.start, err)
			}
			if err := booking.CameTold(visit, start, from.Add(-time.Hour-time.Second)); !fault.Is(err, fault.Conflict) {
				t.Errorf("%s of %s more than an hour before %s, as told: %v", visit, x.start, from, err)
			}
		}
		if err := booking.Come(booking.VisitBooked, start, day.AddDate(0, 0, -9)); err != nil {
			t.Errorf("an arrival is not taken back: %v", err)
		}
	}
}

func instant(t *testing.T, s string) time.Time {
	t.Helper()
	at, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return at
}
