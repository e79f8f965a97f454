// Package format writes names, dates, ages, numbers and medicines the one way that cannot be misread: the rules of the
// NHS Common User Interface, so that 05-Jun-2026 is never taken for the sixth of May, and 0.5 mg never for 5 mg.
//
// What it writes is notation, the same in every language, and not prose: words for people are in web/messages.
package format

import (
	"strconv"
	"strings"
	"sync"
	"time"
	_ "time/tzdata" // the zone of the United Kingdom is needed on machines that have no zone files
	"unicode"
)

// Name is a person's name as every list and banner shows it: "SMITH, John (Mr)". The family name is in capitals and
// first; accents and apostrophes are kept. A part that is not known is left out with its punctuation.
func Name(family, given, title string) string {
	var b strings.Builder
	family, given, title = clean(family), clean(given), clean(title)
	b.WriteString(strings.ToUpper(family))
	if given != "" {
		if family != "" {
			b.WriteString(", ")
		}
		b.WriteString(given)
	}
	if title != "" && b.Len() > 0 {
		b.WriteString(" (" + title + ")")
	}
	return b.String()
}

// clean makes one line of a text: control and direction-changing characters go, runs of space become one.
func clean(s string) string {
	s = strings.Map(func(r rune) rune {
		switch {
		case unicode.IsSpace(r):
			return ' '
		case unicode.IsControl(r), r >= 0x202A && r <= 0x202E, r >= 0x2066 && r <= 0x2069:
			return -1
		}
		return r
	}, s)
	return strings.Join(strings.Fields(s), " ")
}

// NHSNumber is ten digits as three, three and four: "943 476 5919". Anything else is given back as it came.
func NHSNumber(s string) string {
	digits := strings.ReplaceAll(s, " ", "")
	if len(digits) != 10 || strings.Trim(digits, "0123456789") != "" {
		return s
	}
	return digits[:3] + " " + digits[3:6] + " " + digits[6:]
}

// london is the zone in which every time is shown; the program carries the zone file, so that it is always found.
var london = sync.OnceValue(func() *time.Location {
	zone, err := time.LoadLocation("Europe/London")
	if err != nil {
		panic(err) // the file is in the program: see time/tzdata
	}
	return zone
})

// Midnight is when the day of t begins in the United Kingdom.
func Midnight(t time.Time) time.Time {
	year, month, day := t.In(london()).Date()
	return time.Date(year, month, day, 0, 0, 0, 0, london())
}

// Begins is when a day of the calendar begins in the United Kingdom, from the day at any time in UTC.
func Begins(day time.Time) time.Time {
	year, month, d := day.UTC().Date()
	return time.Date(year, month, d, 0, 0, 0, 0, london())
}

// Date is a day in the United Kingdom: "05-Jun-2026".
func Date(t time.Time) string { return t.In(london()).Format("02-Jan-2006") }

// Weekday is the day of the week in the United Kingdom: "Friday".
func Weekday(t time.Time) string { return t.In(london()).Weekday().String() }

// Time is a time of day in the United Kingdom, of 24 hours: "14:05".
func Time(t time.Time) string { return t.In(london()).Format("15:04") }

// DateTime is a day and a time of day: "05-Jun-2026 14:05".
func DateTime(t time.Time) string { return t.In(london()).Format("02-Jan-2006 15:04") }

// Seconds is a day and a time to the second, where order matters, as in an account: "05-Jun-2026 14:05:09".
func Seconds(t time.Time) string { return t.In(london()).Format("02-Jan-2006 15:04:05") }

// Partial is a moment known as well as it is known, from a FHIR date or dateTime (https://hl7.org/fhir/R4/datatypes.html#dateTime):
// a year, a month, a day or an instant.
type Partial struct {
	at        time.Time // its start
	precision precision
}

type precision int

const (
	none precision = iota
	year
	month
	day
	instant
)

// Day is a moment known to the day. The zone of t says which day.
func Day(t time.Time) Partial {
	return Partial{time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, london()), day}
}

// Instant is a moment known exactly.
func Instant(t time.Time) Partial { return Partial{t, instant} }

// FHIR reads "1978", "1978-06", "1978-06-05" or "1978-06-05T14:05:00+01:00". Anything else is no moment at all.
func FHIR(s string) Partial {
	for _, form := range []struct {
		layout    string
		precision precision
	}{{"2006", year}, {"2006-01", month}, {"2006-01-02", day}, {time.RFC3339Nano, instant}} {
		if t, err := time.ParseInLocation(form.layout, s, london()); err == nil {
			return Partial{t, form.precision}
		}
	}
	return Partial{}
}

// Known is false for the zero Partial.
func (p Partial) Known() bool { return p.precision != none }

// String is the moment as it is shown: "1978", "Jun-1978", "05-Jun-1978" or "05-Jun-1978 14:05"; empty when unknown.
func (p Partial) String() string {
	switch p.precision {
	case year:
		return p.at.Format("2006")
	case month:
		return p.at.Format("Jan-2006")
	case day:
		return p.at.Format("02-Jan-2006")
	case instant:
		return DateTime(p.at)
	}
	return ""
}

// Date is the moment without its time of day: "05-Jun-1978".
func (p Partial) Date() string {
	if p.precision == instant {
		return Date(p.at)
	}
	return p.String()
}

// Attribute is the moment for the datetime attribute of HTML's time element; empty when unknown.
func (p Partial) Attribute() string {
	switch p.precision {
	case year:
		return p.at.Format("2006")
	case month:
		return p.at.Format("2006-01")
	case day:
		return p.at.Format("2006-01-02")
	case instant:
		return p.at.UTC().Format(time.RFC3339)
	}
	return ""
}

// Age is how old somebody born then is at now, in the units that matter at that age:
//
//	under 2 hours   minutes           45min
//	under 2 days    hours             36hrs
//	under 4 weeks   days              20d
//	under 1 year    weeks and days    30w 3d
//	under 2 years   months and days   18m 5d
//	under 18 years  years and months  10y 3m
//	then            years             48y
//
// A birth known to the day counts days from the first; one known to the month or the year gives the span that it
// allows, as in 47–48y, and nothing for a child. It is empty when the birth is unknown or after now.
func Age(born Partial, now time.Time) string {
	now = now.In(london())
	switch born.precision {
	case instant:
		return ageFrom(born.at.In(london()), now)
	case day:
		return daysOrMore(born.at, now)
	case month:
		return ageSpan(born.at, born.at.AddDate(0, 1, -1), now)
	case year:
		return ageSpan(born.at, born.at.AddDate(1, 0, -1), now)
	}
	return ""
}

func ageFrom(born, now time.Time) string {
	old := now.Sub(born)
	switch {
	case old < 0:
		return ""
	case old < 2*time.Hour:
		return strconv.Itoa(int(old/time.Minute)) + "min"
	case old < 48*time.Hour:
		return strconv.Itoa(int(old/time.Hour)) + "hrs"
	}
	return daysOrMore(born, now)
}

// daysOrMore counts whole days of the calendar, and months and years by their day of the month.
func daysOrMore(born, now time.Time) string {
	days := dayNumber(now) - dayNumber(born)
	months, over := monthsAndDays(born, now)
	switch {
	case days < 0:
		return ""
	case days < 28:
		return strconv.Itoa(days) + "d"
	case months < 12:
		return strconv.Itoa(days/7) + "w " + strconv.Itoa(days%7) + "d"
	case months < 24:
		return strconv.Itoa(months) + "m " + strconv.Itoa(over) + "d"
	case months < 18*12:
		return strconv.Itoa(months/12) + "y " + strconv.Itoa(months%12) + "m"
	}
	return strconv.Itoa(months/12) + "y"
}

// dayNumber counts days since some day, without summer time.
func dayNumber(t time.Time) int {
	return int(time.Date(t.Year(), t.Month(), t.Day(), 0, 0, 0, 0, time.UTC).Unix() / 86400)
}

// monthsAndDays counts whole months and the days over. Somebody born on the 31st is a month older on the first day
// after a shorter month has ended, and somebody born on 29 February a year older on 1 March of a common year.
func monthsAndDays(born, now time.Time) (months, days int) {
	months = (now.Year()-born.Year())*12 + int(now.Month()) - int(born.Month())
	if now.Day() < born.Day() {
		months--
	}
	since := born.Month() + time.Month(months)
	start := time.Date(born.Year(), since, born.Day(), 0, 0, 0, 0, time.UTC)
	if next := time.Date(born.Year(), since+1, 1, 0, 0, 0, 0, time.UTC); start.After(next) {
		start = next
	}
	return months, dayNumber(now) - dayNumber(start)
}

func ageSpan(earliest, latest, now time.Time) string {
	oldest, _ := monthsAndDays(earliest, now)
	youngest, _ := monthsAndDays(latest, now)
	if youngest < 18*12 {
		return ""
	}
	if oldest/12 == youngest/12 {
		return strconv.Itoa(oldest/12) + "y"
	}
	return strconv.Itoa(youngest/12) + "–" + strconv.Itoa(oldest/12) + "y"
}

// Time is the moment as an instant when it is known to the day or better; a day is its noon, so that it is the same day
// in any zone of Europe.
func (p Partial) Time() (t time.Time, ok bool) {
	switch p.precision {
	case instant:
		return p.at, true
	case day:
		return p.at.Add(12 * time.Hour), true
	}
	return time.Time{}, false
}

// Bytes is a size as people read it: 512 B, 1.5 KB, 4.9 MB.
func Bytes(n int64) string {
	switch {
	case n < 1<<10:
		return strconv.FormatInt(n, 10) + " B"
	case n < 1<<20:
		return strconv.FormatFloat(float64(n)/(1<<10), 'f', 1, 64) + " KB"
	}
	return strconv.FormatFloat(float64(n)/(1<<20), 'f', 1, 64) + " MB"
}
