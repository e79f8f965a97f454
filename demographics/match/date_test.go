package match_test

import (
	"fmt"
	"testing"
	"time"

	"github.com/openspine/openspine/demographics/match"
)

func TestADayThatNoCalendarHasIsNone(t *testing.T) {
	for text, want := range map[string]match.Date{"1990-03-25": 19900325, "1990-25-03": 0, "1990-02-30": 0, "1990-02-29": 0, "1992-02-29": 19920229, "1990-13": 0, "1990-03": 19900300, "1990": 19900000, "1990-03-25T10:00:00Z": 19900325,
		"": 0, "x": 0, "25/03/1990": 0, "1990-03-99": 0} {
		if got := match.ParseDate(text); got != want {
			t.Errorf("%q is %d, want %d", text, got, want)
		}
	}
}

// TestASlipInTheYearSaysAsMuch as one in the day or month: among all days of a hundred years, as many are one slip of the year away from a day as are one other slip
// away, within a factor of two. Two strangers meet in either as seldom (u of Fellegi and Sunter), so that one level holds both.
func TestASlipInTheYearSaysAsMuch(t *testing.T) {
	var all []match.Date
	for d := time.Date(1926, 1, 1, 0, 0, 0, 0, time.UTC); d.Year() < 2026; d = d.AddDate(0, 0, 1) {
		all = append(all, match.ParseDate(d.Format(time.DateOnly)))
	}
	inYear, elsewhere := 0, 0
	for i := 0; i < len(all); i += 911 {
		for _, other := range all {
			if other == all[i] || !match.Slip(all[i], other) {
				continue
			}
			if all[i]/10000 != other/10000 && all[i]%10000 == other%10000 {
				inYear++
			} else {
				elsewhere++
			}
		}
	}
	if ratio := float64(inYear) / float64(elsewhere); ratio < 0.5 || ratio > 2 {
		t.Errorf("%d slips of the year, %d others: they are levels of their own", inYear, elsewhere)
	}
	for pair, want := range map[string]bool{"1958-02-03 1985-02-03": true, "1958-02-03 1968-02-03": true, "1958-02-03 1959-02-03": true, "1958-02-03 1967-02-03": false, "1958-02-03 1958-03-02": true, "1958-02-03 1958-02-08": true} {
		var a, b string
		if _, err := fmt.Sscan(pair, &a, &b); err != nil {
			t.Fatal(err)
		}
		if match.Slip(match.ParseDate(a), match.ParseDate(b)) != want {
			t.Errorf("%s: a slip is %t", pair, !want)
		}
	}
}
