package match

import (
	"strconv"
	"time"
)

// Date is a day as yyyymmdd, with 00 for what is not known; zero is none.
type Date uint32

// ParseDate reads the date of a FHIR date or dateTime: its year, its month and its day as far as they are there. Anything
// else is none, and so is a day that no calendar has (1990-25-03).
func ParseDate(s string) Date {
	part := func(from, to int) Date {
		if len(s) < to {
			return 0
		}
		n, err := strconv.ParseUint(s[from:to], 10, 32)
		if err != nil {
			return 0
		}
		return Date(n)
	}
	year := part(0, 4)
	if year == 0 {
		return 0
	}
	month, day := part(5, 7), part(8, 10)
	switch {
	case month == 0:
		return year * 10000
	case month > 12 || day > daysIn(year, month):
		return 0 // there is no such day, and nobody knows which part of it is wrong
	}
	return year*10000 + month*100 + day
}

func daysIn(year, month Date) Date {
	return Date(time.Date(int(year), time.Month(month)+1, 0, 0, 0, 0, 0, time.UTC).Day())
}

func (d Date) year() Date  { return d / 10000 }
func (d Date) month() Date { return d / 100 % 100 }
func (d Date) day() Date   { return d % 100 }

// whole reports whether year, month and day are known.
func (d Date) whole() bool { return d != 0 && d.month() != 0 && d.day() != 0 }

// birthLevel compares two dates of birth.
func birthLevel(a, b Date) Level {
	switch {
	case a == 0 || b == 0:
		return Missing
	case a == b:
		return BirthSame
	case !a.whole() || !b.whole():
		if a.year() == b.year() && (a.month() == b.month() || a.month() == 0 || b.month() == 0) {
			return BirthPartly
		}
		return BirthDiffers
	case slip(a, b):
		return BirthSlip
	}
	same := 0
	for _, part := range [...]bool{a.year() == b.year(), a.month() == b.month(), a.day() == b.day()} {
		if part {
			same++
		}
	}
	if same == 2 {
		return BirthPartly
	}
	return BirthDiffers
}

// slip reports whether two whole dates are one slip of the hand apart: one digit, two neighbouring digits swapped, or day
// and month swapped. A digit of the year is as good a slip as one of the day or month: of all days on which somebody living may be born, about as many are a
// slip in the year away from one as are any other slip away (TestASlipInTheYearSaysAsMuch), so that two strangers meet in either as seldom, and one level
// holds both.
func slip(a, b Date) bool {
	if a.year() == b.year() && a.month() == b.day() && a.day() == b.month() {
		return true
	}
	var at [2]int
	wrong := 0
	var da, db [8]Date
	for i := range 8 {
		da[i], db[i] = a%10, b%10
		a, b = a/10, b/10
		if da[i] != db[i] {
			if wrong == 2 {
				return false
			}
			at[wrong] = i
			wrong++
		}
	}
	if wrong == 1 {
		return true
	}
	i, j := at[0], at[1]
	return j == i+1 && da[i] == db[j] && da[j] == db[i]
}
