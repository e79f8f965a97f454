// Package calendar says on which days England works: Monday to Friday, but for bank holidays. They follow from the rules of the Banking and Financial Dealings Act 1971 and the
// proclamations that have stood since 1978; a single day that is proclaimed for one year (a coronation) is added to proclaimed when it is known.
package calendar

import "time"

// The names of the bank holidays of England and Wales.
const (
	NewYear      = "New Year's Day"
	GoodFriday   = "Good Friday"
	EasterMonday = "Easter Monday"
	EarlyMay     = "Early May bank holiday"
	Spring       = "Spring bank holiday"
	Summer       = "Summer bank holiday"
	Christmas    = "Christmas Day"
	Boxing       = "Boxing Day"
)

// Holiday is a day on which England does not work. Substitute is set where the day itself falls on a weekend, or on another holiday, and this one is kept instead.
type Holiday struct {
	Name       string
	Substitute bool
	day        int // of the year
}

// proclaimed are bank holidays of one year alone, as 2006-01-02. None is proclaimed for 2026 to 2030.
var proclaimed = map[string]string{}

// HolidayOn is the holiday that a day is, of England and Wales; the day is that of t in its own location. Christmas Day itself is one also where a substitute day is kept for it.
func HolidayOn(t time.Time) (h Holiday, ok bool) {
	if name := proclaimed[t.Format(time.DateOnly)]; name != "" {
		return Holiday{Name: name, day: t.YearDay()}, true
	}
	for _, h := range of(t.Year()) {
		if h.day == t.YearDay() {
			return h, true
		}
	}
	return Holiday{}, false
}

// Works reports whether England works on the day of t.
func Works(t time.Time) bool {
	_, holiday := HolidayOn(t)
	return !holiday && !weekend(t)
}

// WorkingDays is the day that is so many working days after that of t.
func WorkingDays(t time.Time, days int) time.Time {
	for days > 0 {
		if t = t.AddDate(0, 0, 1); Works(t) {
			days--
		}
	}
	return t
}

func weekend(t time.Time) bool { return t.Weekday() == time.Saturday || t.Weekday() == time.Sunday }

// of are the holidays of a year.
func of(year int) (list []Holiday) {
	on := func(name string, t time.Time) {
		list = append(list, Holiday{Name: name, day: t.YearDay()})
	}
	date := func(m time.Month, d int) time.Time { return time.Date(year, m, d, 0, 0, 0, 0, time.UTC) }
	monday := func(t time.Time) time.Time { // that day, or the next Monday
		return t.AddDate(0, 0, (int(time.Monday)-int(t.Weekday())+7)%7)
	}
	instead := func(name string, t, kept time.Time) { // on its day, and where that is a weekend on the day that is kept for it
		if on(name, t); weekend(t) {
			list = append(list, Holiday{name, true, kept.YearDay()})
		}
	}
	easter := Easter(year)
	instead(NewYear, date(time.January, 1), monday(date(time.January, 2)))
	on(GoodFriday, easter.AddDate(0, 0, -2))
	on(EasterMonday, easter.AddDate(0, 0, 1))
	on(EarlyMay, monday(date(time.May, 1)))
	on(Spring, monday(date(time.May, 25)))
	on(Summer, monday(date(time.August, 25)))
	instead(Christmas, date(time.December, 25), date(time.December, 27))
	instead(Boxing, date(time.December, 26), date(time.December, 28))
	return list
}

// Easter is Easter Sunday of a year, by the Gregorian computus (Book of Common Prayer, as Butcher's algorithm puts it).
func Easter(year int) time.Time {
	a, b, c := year%19, year/100, year%100
	d, e, f := b/4, b%4, (b+8)/25
	g := (b - f + 1) / 3
	h := (19*a + b - d - g + 15) % 30
	i, k := c/4, c%4
	l := (32 + 2*e + 2*i - h - k) % 7
	m := (a + 11*h + 22*l) / 451
	n := h + l - 7*m + 114
	return time.Date(year, time.Month(n/31), n%31+1, 0, 0, 0, 0, time.UTC)
}
