package search

import (
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
)

// ParseDate is the span that a date covers, whatever its precision: "1970", "1970-03", "1970-03-01",
// "1970-03-01T09:30", "1970-03-01T09:30:00.5Z". Without a time zone it is in the given one. What is no date (31 February,
// year 0, hour 24) is fault.Invalid.
func ParseDate(s string, zone *time.Location) (Date, error) {
	if d, ok := parseDate(s, zone); ok {
		return d, nil
	}
	return Date{}, fault.New(fault.Invalid, "this is not a date: it should look like 2026, 2026-03, 2026-03-01 or 2026-03-01T09:30:00Z")
}

func parseDate(s string, zone *time.Location) (Date, bool) {
	year, ok := number(s, 0, 4)
	if !ok || year == 0 {
		return Date{}, false
	}
	if len(s) == 4 {
		return span(time.Date(year, 1, 1, 0, 0, 0, 0, zone), time.Date(year+1, 1, 1, 0, 0, 0, 0, zone))
	}
	if len(s) < 7 || s[4] != '-' {
		return Date{}, false
	}
	month, ok := number(s, 5, 2)
	if !ok || month < 1 || month > 12 {
		return Date{}, false
	}
	if len(s) == 7 {
		return span(time.Date(year, time.Month(month), 1, 0, 0, 0, 0, zone), time.Date(year, time.Month(month+1), 1, 0, 0, 0, 0, zone))
	}
	if len(s) < 10 || s[7] != '-' {
		return Date{}, false
	}
	day, ok := number(s, 8, 2)
	if !ok || day < 1 || day > daysIn(year, month) {
		return Date{}, false
	}
	if len(s) == 10 {
		return span(time.Date(year, time.Month(month), day, 0, 0, 0, 0, zone), time.Date(year, time.Month(month), day+1, 0, 0, 0, 0, zone))
	}
	if s[10] != 'T' {
		return Date{}, false
	}
	c, ok := parseClock(s[11:], zone)
	if !ok {
		return Date{}, false
	}
	at := time.Date(year, time.Month(month), day, c.hour, c.minute, c.second, 0, c.zone).Add(c.fraction)
	return span(at, at.Add(c.precision))
}

func span(from, until time.Time) (Date, bool) {
	return Date{from.UnixMicro(), until.UnixMicro() - 1}, true
}

type clock struct {
	hour, minute, second int
	fraction, precision  time.Duration
	zone                 *time.Location
}

// parseClock reads hh:mm[:ss[.fraction]][Z|±hh:mm].
func parseClock(s string, zone *time.Location) (c clock, ok bool) {
	c.zone, c.precision = zone, time.Minute
	if c.hour, ok = number(s, 0, 2); !ok || c.hour > 23 || len(s) < 5 || s[2] != ':' {
		return c, false
	}
	if c.minute, ok = number(s, 3, 2); !ok || c.minute > 59 {
		return c, false
	}
	s = s[5:]
	if strings.HasPrefix(s, ":") {
		if c.second, ok = number(s, 1, 2); !ok || c.second > 60 {
			return c, false
		}
		s, c.precision = s[3:], time.Second
		if strings.HasPrefix(s, ".") {
			if s, ok = c.readFraction(s[1:]); !ok {
				return c, false
			}
		}
	}
	switch {
	case s == "":
		return c, true
	case s == "Z":
		c.zone = time.UTC
		return c, true
	case len(s) != 6 || s[3] != ':' || s[0] != '+' && s[0] != '-':
		return c, false
	}
	h, hok := number(s, 1, 2)
	m, mok := number(s, 4, 2)
	if !hok || !mok || h > 14 || m > 59 {
		return c, false
	}
	offset := h*3600 + m*60
	if s[0] == '-' {
		offset = -offset
	}
	c.zone = time.FixedZone("", offset)
	return c, true
}

// readFraction reads the digits of a second's fraction. What is finer than a microsecond is cut off.
func (c *clock) readFraction(s string) (rest string, ok bool) {
	n := 0
	for n < len(s) && s[n] >= '0' && s[n] <= '9' {
		if c.precision > time.Microsecond {
			c.precision /= 10
			c.fraction += time.Duration(s[n]-'0') * c.precision
		}
		n++
	}
	return s[n:], n > 0
}

// number reads exactly n digits at position at.
func number(s string, at, n int) (int, bool) {
	if len(s) < at+n {
		return 0, false
	}
	v := 0
	for _, c := range []byte(s[at : at+n]) {
		if c < '0' || c > '9' {
			return 0, false
		}
		v = v*10 + int(c-'0')
	}
	return v, true
}

func daysIn(year, month int) int {
	return time.Date(year, time.Month(month+1), 0, 0, 0, 0, 0, time.UTC).Day()
}

func (w *walker) date(typ string, n fhir.Node) {
	switch typ {
	case "date", "dateTime", "instant":
		if d, ok := parseDate(n.String(), w.x.zone); ok {
			w.add(d)
		}
	case "Period":
		if d, ok := w.period(n); ok {
			w.add(d)
		}
	case "Timing":
		if d, ok := w.timing(n); ok {
			w.add(d)
		}
	}
}

// period is from the beginning of start to the end of end; a missing one is open. An end before the start is no period.
func (w *walker) period(n fhir.Node) (Date, bool) {
	d := Date{Beginning, Forever}
	start, hasStart := parseDate(n.Field("start").String(), w.x.zone)
	if hasStart {
		d.Lo = start.Lo
	}
	end, hasEnd := parseDate(n.Field("end").String(), w.x.zone)
	if hasEnd {
		d.Hi = end.Hi
	}
	return d, (hasStart || hasEnd) && d.Lo <= d.Hi
}

// timing is the outer bounds of a schedule: its events, and the period that bounds its repetition.
func (w *walker) timing(n fhir.Node) (Date, bool) {
	d := Date{Forever, Beginning}
	for event := range n.Field("event").Items() {
		if e, ok := parseDate(event.String(), w.x.zone); ok {
			d = Date{min(d.Lo, e.Lo), max(d.Hi, e.Hi)}
		}
	}
	if e, ok := w.period(n.Field("repeat").Field("boundsPeriod")); ok {
		d = Date{min(d.Lo, e.Lo), max(d.Hi, e.Hi)}
	}
	return d, d.Lo <= d.Hi
}
