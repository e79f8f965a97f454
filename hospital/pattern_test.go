package hospital

import (
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/web/format"
)

// TestSlotsKeepTheirLengthWhenTheClocksChange makes a session among whose slots the clocks go forward, and one in which they go back.
func TestSlotsKeepTheirLengthWhenTheClocksChange(t *testing.T) {
	t.Parallel()
	pattern := Template{ID: "night", Weekday: time.Sunday, Starts: 30, Minutes: 30, Slots: 6, Reserve: 1}
	for day, first := range map[string]string{"2027-03-28": "2027-03-28T00:30:00Z", "2026-10-25": "2026-10-24T23:30:00Z"} {
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		s := pattern.session(format.Begins(at))
		if got := s.Starts.Format(time.RFC3339); got != first || s.Ends.Sub(s.Starts) != 3*time.Hour {
			t.Errorf("%s: from %s to %s", day, s.Starts, s.Ends)
		}
		seen, last := map[string]bool{}, s.Starts
		for _, x := range s.slots(pattern.Slots, pattern.Reserve) {
			if seen[x.ID] || !x.Starts.Equal(last) || x.Ends.Sub(x.Starts) != 30*time.Minute {
				t.Errorf("%s: slot %s from %s to %s", day, x.ID, x.Starts, x.Ends)
			}
			seen[x.ID], last = true, x.Ends
		}
		if !last.Equal(s.Ends) {
			t.Errorf("%s: the last slot ends at %s, the session at %s", day, last, s.Ends)
		}
	}
}

// TestAPatternStaysAtItsTimeOnTheWall: nine in the morning is nine in the morning, before and after the clocks go back; its first and last day are among its days.
func TestAPatternStaysAtItsTimeOnTheWall(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 10, 14, 12, 0, 0, 0, time.UTC)
	p := Template{ID: "m", Weekday: time.Monday, Starts: 9 * 60, Minutes: 20, Slots: 3, From: format.Begins(time.Date(2026, 10, 19, 0, 0, 0, 0, time.UTC)), To: format.Begins(time.Date(2026, 10, 26, 0, 0, 0, 0, time.UTC))}
	var starts []string
	for _, day := range p.days(now) {
		starts = append(starts, p.session(day).Starts.Format(time.RFC3339))
	}
	if len(starts) != 2 || starts[0] != "2026-10-19T08:00:00Z" || starts[1] != "2026-10-26T09:00:00Z" {
		t.Errorf("%v", starts)
	}
}

// TestNoSessionOnABankHoliday unless the pattern says so: Christmas Day 2026 is a Friday, and the Monday after it is kept for Boxing Day.
func TestNoSessionOnABankHoliday(t *testing.T) {
	t.Parallel()
	now := time.Date(2026, 12, 14, 12, 0, 0, 0, time.UTC)
	for weekday, want := range map[time.Weekday]string{time.Friday: "12-18 01-08", time.Monday: "12-21 01-04", time.Tuesday: "12-15 12-22 12-29 01-05"} {
		p := Template{ID: "m", Weekday: weekday, Starts: 9 * 60, Minutes: 20, Slots: 3, To: format.Begins(time.Date(2027, 1, 10, 0, 0, 0, 0, time.UTC))}
		var held []string
		for _, day := range p.days(now) {
			held = append(held, day.Format("01-02"))
		}
		if got := strings.Join(held, " "); got != want {
			t.Errorf("%s: %s, not %s", weekday, got, want)
		}
		p.Holidays = true
		if all := p.days(now); len(all) != map[time.Weekday]int{time.Friday: 4, time.Monday: 3, time.Tuesday: 4}[weekday] {
			t.Errorf("%s, on holidays too: %v", weekday, all)
		}
	}
}

func TestWhatIsWrongWithAPatternIsSaidOfItsField(t *testing.T) {
	t.Parallel()
	right := Template{Weekday: 1, Starts: 540, Minutes: 20, Slots: 9, Reserve: 2, Extra: 2}
	if w := right.wrong(); len(w) > 0 {
		t.Errorf("%v", w)
	}
	for field, spoil := range map[string]func(*Template){
		"weekday": func(p *Template) { p.Weekday = 7 }, "minutes": func(p *Template) { p.Minutes = 4 }, "slots": func(p *Template) { p.Slots, p.Reserve = 61, 0 }, "starts": func(p *Template) { p.Starts = 23 * 60 },
		"reserve": func(p *Template) { p.Reserve = 10 }, "extra": func(p *Template) { p.Extra = 21 }, "to": func(p *Template) { p.From, p.To = time.Unix(200000, 0), time.Unix(1, 0) },
	} {
		p := right
		spoil(&p)
		if w := p.wrong(); len(w) != 1 || w.Of(field) == "" {
			t.Errorf("%s: %v", field, w)
		}
	}
}
