package fhirpath

import (
	"errors"
	"fmt"
	"strings"
	"time"
)

// Precision is how much of a date or time is known.
type Precision uint8

// The precisions. A second and its fraction count as one, as FHIRPath compares them.
const (
	Year Precision = iota + 1
	Month
	Day
	Hour
	Minute
	Second
)

// Temporal is a Date, DateTime or Time with the precision that it was written with. What lies beyond the precision
// has its lowest value.
type Temporal struct {
	Kind      Kind // KindDate, KindDateTime or KindTime
	Precision Precision
	Year      int
	Month     int // 1…12
	Day       int
	Hour      int
	Minute    int
	Second    int
	Nano      int
	Digits    int // of the second's fraction, as written
	Zoned     bool
	Offset    int // minutes east of UTC, when Zoned
}

var errTemporal = errors.New("not a date or time that exists")

// parseTemporalLiteral reads what follows the @ of a literal.
func parseTemporalLiteral(s string) (Temporal, error) {
	kind := KindDate
	switch {
	case strings.HasPrefix(s, "T"):
		kind, s = KindTime, s[1:]
	case strings.Contains(s, "T"):
		kind = KindDateTime
	}
	t, ok := parseTemporal(kind, s)
	if !ok {
		return Temporal{}, errTemporal
	}
	return t, nil
}

// parseTemporal reads s as the given kind, at any precision. A DateTime may be written as a date, with or without a T.
func parseTemporal(kind Kind, s string) (Temporal, bool) {
	t := Temporal{Kind: kind, Month: 1, Day: 1}
	l := lexer{source: s}
	if kind != KindTime {
		if !t.readDate(&l) {
			return Temporal{}, false
		}
		if kind == KindDateTime && l.at < len(s) && s[l.at] == 'T' {
			l.at++
			if l.at == len(s) {
				return t, true
			}
			if t.Precision != Day || !t.readClock(&l) || !t.readZone(&l) {
				return Temporal{}, false
			}
		}
	} else if !t.readClock(&l) {
		return Temporal{}, false
	}
	return t, l.at == len(s)
}

// two reads the two digits before the place l has reached.
func (l *lexer) two() int {
	return int(l.source[l.at-2]-'0')*10 + int(l.source[l.at-1]-'0')
}

func (t *Temporal) readDate(l *lexer) bool {
	if !l.shape("0000") {
		return false
	}
	t.Precision = Year
	at := l.at
	l.at -= 2
	t.Year = l.two() * 100
	l.at = at
	t.Year += l.two()
	if l.shape("-00") {
		t.Precision, t.Month = Month, l.two()
		if l.shape("-00") {
			t.Precision, t.Day = Day, l.two()
		}
	}
	return t.Year > 0 && t.Month >= 1 && t.Month <= 12 && t.Day >= 1 && t.Day <= daysIn(t.Year, t.Month)
}

func (t *Temporal) readClock(l *lexer) bool {
	if !l.shape("00") {
		return false
	}
	t.Precision, t.Hour = Hour, l.two()
	if l.shape(":00") {
		t.Precision, t.Minute = Minute, l.two()
		if l.shape(":00") {
			t.Precision, t.Second = Second, l.two()
			if l.shape(".0") {
				l.at--
				start := l.at
				t.Digits = l.digits()
				scale := int(1e8)
				for i := start; i < l.at && i < start+9; i++ {
					t.Nano += int(l.source[i]-'0') * scale
					scale /= 10
				}
				t.Digits = min(t.Digits, 9)
			}
		}
	}
	return t.Hour < 24 && t.Minute < 60 && t.Second <= 60 && (t.Second < 60 || t.Kind == KindDateTime)
}

func (t *Temporal) readZone(l *lexer) bool {
	switch {
	case l.shape("Z"):
		t.Zoned = true
	case l.shape("+00:00"), l.shape("-00:00"):
		minutes := l.two()
		l.at -= 3
		hours := l.two()
		l.at += 3
		t.Zoned, t.Offset = true, hours*60+minutes
		if l.source[l.at-6] == '-' {
			t.Offset = -t.Offset
		}
		return hours <= 14 && minutes < 60
	}
	return true
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day()
}

// temporalFrom is an instant as a DateTime with milliseconds, or as the date or the time of day in its zone.
func temporalFrom(kind Kind, at time.Time) Temporal {
	_, offset := at.Zone()
	t := Temporal{Kind: kind, Precision: Second, Year: at.Year(), Month: int(at.Month()), Day: at.Day(), Hour: at.Hour(),
		Minute: at.Minute(), Second: at.Second(), Nano: at.Nanosecond() / 1e6 * 1e6, Digits: 3, Zoned: true, Offset: offset / 60}
	switch kind {
	case KindDate:
		return t.cut(Day)
	case KindTime:
		t.Zoned, t.Offset, t.Year, t.Month, t.Day = false, 0, 0, 1, 1
	}
	return t
}

// cut lowers the precision.
func (t Temporal) cut(p Precision) Temporal {
	if p >= t.Precision {
		return t
	}
	t.Precision = p
	t.Nano, t.Digits, t.Second = 0, 0, 0
	if p < Minute {
		t.Minute = 0
	}
	if p < Hour {
		t.Hour, t.Zoned, t.Offset = 0, false, 0
	}
	if p < Day {
		t.Day = 1
	}
	if p < Month {
		t.Month = 1
	}
	return t
}

// String is the value as a literal without its @ (and without a time's T): 2020-01, 10:30:00.000.
func (t Temporal) String() string {
	var b strings.Builder
	if t.Kind != KindTime {
		fmt.Fprintf(&b, "%04d", t.Year)
		if t.Precision >= Month {
			fmt.Fprintf(&b, "-%02d", t.Month)
		}
		if t.Precision >= Day {
			fmt.Fprintf(&b, "-%02d", t.Day)
		}
		if t.Precision >= Hour {
			b.WriteByte('T')
		}
	}
	if t.Precision >= Hour {
		fmt.Fprintf(&b, "%02d", t.Hour)
	}
	if t.Precision >= Minute {
		fmt.Fprintf(&b, ":%02d", t.Minute)
	}
	if t.Precision >= Second {
		fmt.Fprintf(&b, ":%02d", t.Second)
		if t.Digits > 0 {
			fmt.Fprintf(&b, ".%s", fmt.Sprintf("%09d", t.Nano)[:t.Digits])
		}
	}
	if t.Zoned && t.Offset == 0 {
		b.WriteByte('Z')
	} else if t.Zoned {
		sign, offset := '+', t.Offset
		if offset < 0 {
			sign, offset = '-', -offset
		}
		fmt.Fprintf(&b, "%c%02d:%02d", sign, offset/60, offset%60)
	}
	return b.String()
}

// Start is the first instant that the value can mean. A value without a zone is read in zone (nil is UTC). A Time is
// counted on the first day of year 0.
func (t Temporal) Start(zone *time.Location) time.Time {
	switch {
	case t.Zoned:
		zone = time.FixedZone("", t.Offset*60)
	case zone == nil:
		zone = time.UTC
	}
	return time.Date(t.Year, time.Month(t.Month), t.Day, t.Hour, t.Minute, t.Second, t.Nano, zone)
}

// End is the first instant after all that the value can mean: for 2020-02 it is the start of March. A second's
// fraction counts with its written digits.
func (t Temporal) End(zone *time.Location) time.Time {
	n := t
	switch t.Precision {
	case Year:
		n.Year++
	case Month:
		n.Month++
	case Day:
		n.Day++
	case Hour:
		n.Hour++
	case Minute:
		n.Minute++
	default:
		step := time.Second
		for range t.Digits {
			step /= 10
		}
		return t.Start(zone).Add(max(step, 1))
	}
	return n.Start(zone)
}

// part is the component at a precision; seconds include their fraction, in nanoseconds.
func (t *Temporal) part(p Precision) int {
	switch p {
	case Year:
		return t.Year
	case Month:
		return t.Month
	case Day:
		return t.Day
	case Hour:
		return t.Hour
	case Minute:
		return t.Minute
	}
	return t.Second*1e9 + t.Nano
}

// utc moves a zoned value with at least minutes to UTC.
func (t Temporal) utc() Temporal {
	if !t.Zoned || t.Offset == 0 || t.Precision < Hour {
		return t
	}
	at := t.Start(nil).UTC()
	t.Year, t.Month, t.Day, t.Hour, t.Minute, t.Second = at.Year(), int(at.Month()), at.Day(), at.Hour(), at.Minute(), at.Second()
	t.Offset = 0
	return t
}

// How far a clock of unknown zone can be from UTC.
const (
	furthestEast = 14 * time.Hour
	furthestWest = 12 * time.Hour
)

// compareTemporal orders a and b: -1, 0, 1. known is false when their precisions, or an unknown zone, leave it open.
// Both are dates or date-times, or both are times.
func compareTemporal(a, b *Temporal) (order int, known bool) {
	if a.Zoned != b.Zoned && a.Precision >= Hour && b.Precision >= Hour {
		return compareHalfZoned(a, b)
	}
	x, y := *a, *b
	if x.Zoned && y.Zoned {
		x, y = x.utc(), y.utc()
	}
	first := Year
	if a.Kind == KindTime {
		first = Hour
	}
	for p := first; p <= x.Precision && p <= y.Precision; p++ {
		if d := x.part(p) - y.part(p); d != 0 {
			return sign(d), true
		}
	}
	return 0, x.Precision == y.Precision
}

// compareHalfZoned compares when only one zone is known: the order is known when no zone could change it.
func compareHalfZoned(a, b *Temporal) (int, bool) {
	if b.Zoned {
		order, known := compareHalfZoned(b, a)
		return -order, known
	}
	difference := a.Start(nil).Sub(b.Start(nil))
	// b is somewhere between its clock's reading minus 14 hours and plus 12 hours, in UTC.
	switch {
	case difference > furthestWest+time.Hour:
		return 1, true
	case difference < -furthestEast-time.Hour:
		return -1, true
	}
	return 0, false
}

func sign(n int) int {
	switch {
	case n < 0:
		return -1
	case n > 0:
		return 1
	}
	return 0
}

// calendarUnits are the time-valued units: the precision they belong to, and how many nanoseconds they have.
type calendarUnit struct {
	precision Precision
	size      int64 // nanoseconds; of a year and a month, those FHIRPath uses to convert: 365 and 30 days
	calendar  bool  // a year or month, whose length depends on where it stands
}

func calendarUnitOf(unit string) (calendarUnit, bool) {
	const (
		second = int64(time.Second)
		day    = 86400 * second
	)
	switch unit {
	case "year", "years":
		return calendarUnit{Year, 365 * day, true}, true
	case "month", "months":
		return calendarUnit{Month, 30 * day, true}, true
	case "week", "weeks", "wk":
		return calendarUnit{Day, 7 * day, false}, true
	case "day", "days", "d":
		return calendarUnit{Day, day, false}, true
	case "hour", "hours", "h":
		return calendarUnit{Hour, 3600 * second, false}, true
	case "minute", "minutes", "min":
		return calendarUnit{Minute, 60 * second, false}, true
	case "second", "seconds", "s":
		return calendarUnit{Second, second, false}, true
	case "millisecond", "milliseconds", "ms":
		return calendarUnit{Second, second / 1000, false}, true
	}
	return calendarUnit{}, false
}

// isCalendarWord says whether unit is a word for a span of time, as a literal may have without quotes.
func isCalendarWord(unit string) bool {
	switch unit {
	case "wk", "d", "h", "min", "s", "ms":
		return false
	}
	_, ok := calendarUnitOf(unit)
	return ok
}

// shift adds n of a unit (n may be negative). Only whole units count, so a fraction is gone already. ok is false
// when the result is no year between 1 and 9999.
func (t Temporal) shift(n int64, u calendarUnit) (Temporal, bool) {
	const limit = int64(1) << 40
	if n > limit || n < -limit {
		return t, false
	}
	if t.Kind == KindTime {
		return t.shiftClock(n, u), true
	}
	if u.calendar {
		months := n
		if u.precision == Year {
			months = n * 12
		}
		if t.Precision == Year {
			months = months / 12 * 12
		}
		return t.shiftMonths(months)
	}
	switch t.Precision {
	case Year:
		return t.shiftMonths(whole(n, u.size, 365*24*int64(time.Hour)) * 12)
	case Month:
		return t.shiftMonths(whole(n, u.size, 30*24*int64(time.Hour)))
	}
	step := 24 * time.Hour
	switch t.Precision {
	case Hour:
		step = time.Hour
	case Minute:
		step = time.Minute
	case Second:
		step = 1
	}
	count := whole(n, u.size, int64(step))
	return t.move(count, step)
}

// whole is how many whole steps n units of a size make.
func whole(n, size, step int64) int64 {
	if size >= step {
		return n * (size / step)
	}
	return n / (step / size)
}

func (t Temporal) shiftMonths(months int64) (Temporal, bool) {
	total := int64(t.Year)*12 + int64(t.Month-1) + months
	if total < 12 || total >= 10000*12 {
		return t, false
	}
	t.Year, t.Month = int(total/12), int(total%12)+1
	t.Day = min(t.Day, daysIn(t.Year, t.Month))
	return t, true
}

func (t Temporal) move(count int64, step time.Duration) (Temporal, bool) {
	at := time.Date(t.Year, time.Month(t.Month), t.Day, t.Hour, t.Minute, t.Second, t.Nano, time.UTC)
	const day = 24 * time.Hour
	var days, rest int64
	if step >= day {
		days = count
	} else {
		perDay := int64(day / step)
		days, rest = count/perDay, count%perDay
	}
	if days > 4e6 || days < -4e6 {
		return t, false
	}
	at = at.AddDate(0, 0, int(days)).Add(time.Duration(rest) * step)
	if at.Year() < 1 || at.Year() > 9999 {
		return t, false
	}
	t.Year, t.Month, t.Day, t.Hour, t.Minute, t.Second, t.Nano = at.Year(), int(at.Month()), at.Day(), at.Hour(), at.Minute(), at.Second(), at.Nanosecond()
	if t.Nano != 0 && t.Digits < 3 {
		t.Digits = 3
	}
	return t, true
}

// shiftClock moves a time of day round the clock.
func (t Temporal) shiftClock(n int64, u calendarUnit) Temporal {
	step := int64(time.Hour)
	switch t.Precision {
	case Minute:
		step = int64(time.Minute)
	case Second:
		step = 1
	}
	day := int64(24 * time.Hour)
	total := int64(t.Hour)*int64(time.Hour) + int64(t.Minute)*int64(time.Minute) + int64(t.Second)*int64(time.Second) + int64(t.Nano)
	total = ((total+whole(n, u.size, step)%(day/step)*step)%day + day) % day
	t.Hour, t.Minute = int(total/int64(time.Hour)), int(total/int64(time.Minute)%60)
	t.Second, t.Nano = int(total/int64(time.Second)%60), int(total%int64(time.Second))
	if t.Nano != 0 && t.Digits < 3 {
		t.Digits = 3
	}
	return t
}

// digits is the precision as precision() counts it: 4 for a year, 17 for a date-time in milliseconds.
func (t *Temporal) digits() int {
	n := [...]int{0, 4, 6, 8, 10, 12, 14}[t.Precision]
	if t.Precision == Second {
		n += t.Digits
	}
	if t.Kind == KindTime {
		n -= 8
	}
	return n
}

// boundary is the least (or greatest) value that t can mean, written with the given number of digits; ok is false if
// that number names no precision.
func (t Temporal) boundary(digits int, high bool) (Temporal, bool) {
	if t.Kind == KindTime {
		digits += 8
	}
	precision := map[int]Precision{4: Year, 6: Month, 8: Day, 10: Hour, 12: Minute, 14: Second, 17: Second}[digits]
	if precision == 0 || t.Kind == KindDate && precision > Day || t.Kind == KindTime && precision < Hour {
		return t, false
	}
	known := t.Precision
	if high && t.Kind != KindTime {
		if known < Month {
			t.Month = 12
		}
		if known < Day {
			t.Day = daysIn(t.Year, t.Month)
		}
	}
	if high && t.Kind != KindDate {
		if known < Hour {
			t.Hour = 23
		}
		if known < Minute {
			t.Minute = 59
		}
		if known < Second {
			t.Second = 59
		}
		t.fillNines()
	}
	if t.Kind == KindDateTime && !t.Zoned && precision >= Hour {
		t.Zoned, t.Offset = true, int(furthestEast/time.Minute)
		if high {
			t.Offset = -int(furthestWest / time.Minute)
		}
	}
	t.Precision = Second
	if t.Kind == KindDate {
		t.Precision = Day
	}
	if t = t.cut(precision); digits == 17 {
		t.Digits, t.Nano = 3, t.Nano/1e6*1e6
	} else if precision == Second {
		t.Digits, t.Nano = 0, 0
	}
	return t, true
}

// fillNines raises the digits of a second's fraction that were not written.
func (t *Temporal) fillNines() {
	unit := int(1e9)
	if t.Precision == Second {
		for range t.Digits {
			unit /= 10
		}
	} else {
		t.Nano = 0
	}
	t.Nano = t.Nano/unit*unit + unit - 1
}
