package booking

import (
	"time"

	"github.com/openspine/openspine/web/format"
)

// Somebody who was referred is to be seen within so many days of the day on which their wait began; the first day is day 0, and days are those of the calendar where
// they live, whatever the clocks do. A suspected cancer is to be ruled out, or told of, within DiagnosisDays as well.
//
// Sources: the two week wait of the Cancer Reform Strategy; the faster diagnosis standard of October 2023; 18 weeks of the NHS Constitution for what is routine. No national
// standard says when the urgent are seen: six weeks, a third of the time of the others, is this programme's.
const (
	TwoWeekDays   = 14
	UrgentDays    = 42
	RoutineDays   = 126
	DiagnosisDays = 28
)

// Wait is what is known of somebody's wait, for Alarm.
type Wait struct {
	Priority string // as published: TWO_WEEK_WAIT, URGENT, ROUTINE
	Began    time.Time
	Booked   time.Time // when they are to be seen; zero while nothing is booked
	Seen     bool
	Over     bool // nobody waits any more: discharged, cancelled, answered with advice
}

// Limit says how long somebody may wait yet.
type Limit struct {
	Diagnosis bool      // it is the limit until they are told what they have; otherwise until they are seen
	Last      time.Time // when the last day begins on which it is kept; zero when none runs
	From      time.Time // from when the wait is flagged; zero while it will be kept as things stand
	Booked    bool      // they have a time, and it is after the last day
}

// Limit is the limit that runs for a wait: its last day, and since when it is flagged. Flagged is what has no time yet in the last quarter before the last day, and what has a
// time after it at once.
func (w Wait) Limit() Limit {
	days := map[string]int{"TWO_WEEK_WAIT": TwoWeekDays, "URGENT": UrgentDays}[w.Priority]
	if days == 0 {
		days = RoutineDays
	}
	if w.Over || w.Began.IsZero() || w.Seen && w.Priority != "TWO_WEEK_WAIT" {
		return Limit{}
	}
	l := Limit{Diagnosis: w.Seen}
	if w.Seen {
		days = DiagnosisDays
	}
	first := format.Midnight(w.Began)
	l.Last = first.AddDate(0, 0, days)
	after := l.Last.AddDate(0, 0, 1)
	switch {
	case w.Seen || w.Booked.IsZero():
		l.From = l.Last.AddDate(0, 0, -(days+3)/4)
	case !w.Booked.Before(after):
		l.From, l.Booked = first, true
	default: // they have a time that keeps it; should they not be seen then, it shows when the limit has passed
		l.From = after
	}
	return l
}

// Flagged reports whether the wait is to be shown as near its limit, or beyond it.
func (l Limit) Flagged(now time.Time) bool { return !l.From.IsZero() && !now.Before(l.From) }

// Left is how many days of the calendar are left after today until the last day: 0 on the last day itself, below 0 after it.
func (l Limit) Left(now time.Time) int { return dayNumber(l.Last) - dayNumber(now) }

// dayNumber counts days of the calendar in the United Kingdom: an hour more or less of a day with a clock change makes no difference.
func dayNumber(t time.Time) int {
	y, m, d := format.Midnight(t).Date()
	return int(time.Date(y, m, d, 0, 0, 0, 0, time.UTC).Unix() / (24 * 60 * 60))
}
