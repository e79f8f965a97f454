package calendar_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/internal/calendar"
)

// TestBankHolidaysAreThePublishedOnes compares each weekday of five years with the days that the government has published for England and Wales (* marks a substitute day).
func TestBankHolidaysAreThePublishedOnes(t *testing.T) {
	t.Parallel()
	for year, want := range map[int]string{
		2026: "01-01 04-03 04-06 05-04 05-25 08-31 12-25 12-28*",
		2027: "01-01 03-26 03-29 05-03 05-31 08-30 12-27* 12-28*",
		2028: "01-03* 04-14 04-17 05-01 05-29 08-28 12-25 12-26",
		2029: "01-01 03-30 04-02 05-07 05-28 08-27 12-25 12-26",
		2030: "01-01 04-19 04-22 05-06 05-27 08-26 12-25 12-26",
		2022: "01-03* 04-15 04-18 05-02 05-30 08-29 12-26 12-27*", // Christmas on a Sunday; the Queen's jubilee moved that year's spring holiday by proclamation
	} {
		var got []string
		for day := time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC); day.Year() == year; day = day.AddDate(0, 0, 1) {
			h, ok := calendar.HolidayOn(day)
			if weekend := day.Weekday()%6 == 0; ok && !weekend {
				got = append(got, day.Format("01-02")+map[bool]string{true: "*"}[h.Substitute])
			} else if calendar.Works(day) != (!ok && !weekend) {
				t.Errorf("%s: works %v", day.Format(time.DateOnly), calendar.Works(day))
			}
		}
		if text := strings.Join(got, " "); text != want {
			t.Errorf("%d: %s, not %s", year, text, want)
		}
	}
}

// TestWorkingDaysPassOverHolidays counts on from Christmas Eve, and from a Friday before a long weekend.
func TestWorkingDaysPassOverHolidays(t *testing.T) {
	t.Parallel()
	for from, want := range map[string]string{"2026-12-24 1": "2026-12-29", "2026-12-24 3": "2026-12-31", "2026-12-24 4": "2027-01-04", "2028-04-13 2": "2028-04-19", "2026-11-23 2": "2026-11-25", "2027-12-25 1": "2027-12-29"} {
		day, days, _ := strings.Cut(from, " ")
		at, err := time.Parse(time.DateOnly, day)
		if err != nil {
			t.Fatal(err)
		}
		if got := calendar.WorkingDays(at, int(days[0]-'0')).Format(time.DateOnly); got != want {
			t.Errorf("%s working days after %s: %s, not %s", days, day, got, want)
		}
	}
}
