package booking_test

import (
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
)

func at(t *testing.T, s string) time.Time {
	t.Helper()
	x, err := time.Parse(time.RFC3339, s)
	if err != nil {
		t.Fatal(err)
	}
	return x
}

// TestLimits: days are counted by the calendar, also where a clock change makes a day of 23 or 25 hours.
func TestLimits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name      string
		wait      booking.Wait
		now       string
		left      int
		flagged   bool
		diagnosis bool
		late      bool
	}{
		{"fresh", booking.Wait{Priority: "TWO_WEEK_WAIT", Began: at(t, "2026-03-20T10:00:00Z")}, "2026-03-21T10:00:00Z", 13, false, false, false},
		{"near, over the change to summer time", booking.Wait{Priority: "TWO_WEEK_WAIT", Began: at(t, "2026-03-20T23:59:00Z")}, "2026-03-29T23:30:00Z", 4, true, false, false},
		{"the last minute of winter time is a day earlier", booking.Wait{Priority: "TWO_WEEK_WAIT", Began: at(t, "2026-03-20T23:59:00Z")}, "2026-03-29T22:59:00Z", 5, false, false, false},
		{"the last day, over the change to winter time", booking.Wait{Priority: "TWO_WEEK_WAIT", Began: at(t, "2026-10-20T22:59:00Z")}, "2026-11-03T23:59:00Z", 0, true, false, false},
		{"begun a minute later it began the next day", booking.Wait{Priority: "TWO_WEEK_WAIT", Began: at(t, "2026-10-20T23:00:00Z")}, "2026-11-03T23:59:00Z", 1, true, false, false},
		{"passed", booking.Wait{Priority: "TWO_WEEK_WAIT", Began: at(t, "2026-01-01T10:00:00Z")}, "2026-01-16T00:00:00Z", -1, true, false, false},
		{"booked within it", booking.Wait{Priority: "TWO_WEEK_WAIT", Began: at(t, "2026-01-01T10:00:00Z"), Booked: at(t, "2026-01-15T23:00:00Z")}, "2026-01-14T10:00:00Z", 1, false, false, false},
		{"booked within it and not seen", booking.Wait{Priority: "TWO_WEEK_WAIT", Began: at(t, "2026-01-01T10:00:00Z"), Booked: at(t, "2026-01-15T09:00:00Z")}, "2026-01-16T00:00:00Z", -1, true, false, false},
		{"booked too late", booking.Wait{Priority: "TWO_WEEK_WAIT", Began: at(t, "2026-01-01T10:00:00Z"), Booked: at(t, "2026-01-16T09:00:00Z")}, "2026-01-02T10:00:00Z", 13, true, false, true},
		{"seen, and told nothing yet", booking.Wait{Priority: "TWO_WEEK_WAIT", Began: at(t, "2026-01-01T10:00:00Z"), Seen: true}, "2026-01-22T10:00:00Z", 7, true, true, false},
		{"urgent", booking.Wait{Priority: "URGENT", Began: at(t, "2026-01-01T10:00:00Z")}, "2026-02-02T10:00:00Z", 10, true, false, false},
		{"routine", booking.Wait{Priority: "ROUTINE", Began: at(t, "2026-01-01T10:00:00Z")}, "2026-05-07T10:00:00Z", 0, true, false, false},
	} {
		l := c.wait.Limit()
		now := at(t, c.now)
		if l.Left(now) != c.left || l.Flagged(now) != c.flagged || l.Diagnosis != c.diagnosis || l.Booked != c.late {
			t.Errorf("%s: %d days left, flagged %v, diagnosis %v, late %v", c.name, l.Left(now), l.Flagged(now), l.Diagnosis, l.Booked)
		}
	}
	for name, w := range map[string]booking.Wait{"over": {Priority: "TWO_WEEK_WAIT", Began: at(t, "2026-01-01T10:00:00Z"), Over: true}, "routine and seen": {Priority: "ROUTINE", Began: at(t, "2026-01-01T10:00:00Z"), Seen: true}} {
		if l := w.Limit(); !l.Last.IsZero() || l.Flagged(at(t, "2030-01-01T00:00:00Z")) {
			t.Errorf("%s: a limit runs: %+v", name, l)
		}
	}
}
