package sim

import "time"

// Day is a date in UTC: days since 1 January 1970. The zero Day means none; that one date is nobody's in this country.
type Day int32

// DayOf is the date of an instant, in UTC.
func DayOf(t time.Time) Day {
	s := t.Unix()
	d := s / 86400
	if s%86400 < 0 {
		d--
	}
	return Day(d)
}

// Time is midnight UTC at the start of the day; the zero time for none.
func (d Day) Time() time.Time {
	if d == 0 {
		return time.Time{}
	}
	return time.Unix(int64(d)*86400, 0).UTC()
}

// String is the date as FHIR writes it, 2006-01-02; empty for none.
func (d Day) String() string {
	if d == 0 {
		return ""
	}
	return string(d.append(nil))
}

// civil is the year, month and day of the month, by Howard Hinnant's days-from-civil algorithm.
func (d Day) civil() (year, month, day int) {
	z := int(d) + 719468
	era := z / 146097
	doe := z - era*146097
	yoe := (doe - doe/1460 + doe/36524 - doe/146096) / 365
	doy := doe - (365*yoe + yoe/4 - yoe/100)
	mp := (5*doy + 2) / 153
	day = doy - (153*mp+2)/5 + 1
	month = mp + 3
	if month > 12 {
		month -= 12
	}
	year = yoe + era*400
	if month <= 2 {
		year++
	}
	return year, month, day
}

func (d Day) append(b []byte) []byte {
	y, m, n := d.civil()
	return append(b, byte('0'+y/1000), byte('0'+y/100%10), byte('0'+y/10%10), byte('0'+y%10), '-',
		byte('0'+m/10), byte('0'+m%10), '-', byte('0'+n/10), byte('0'+n%10))
}

// years is how many whole years of age somebody born on d has on day at.
func (d Day) years(at Day) int {
	y, m, n := d.civil()
	ay, am, an := at.civil()
	age := ay - y
	if am < m || am == m && an < n {
		age--
	}
	return age
}

// dayOf is the day of a date, by the same algorithm.
func dayOf(year, month, day int) Day {
	if month <= 2 {
		year--
		month += 12
	}
	era := year / 400
	yoe := year - era*400
	doy := (153*(month-3)+2)/5 + day - 1
	doe := yoe*365 + yoe/4 - yoe/100 + doy
	return notZero(Day(era*146097 + doe - 719468))
}
