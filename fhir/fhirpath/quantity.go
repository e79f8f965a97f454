package fhirpath

import (
	"math/big"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/openspine/openspine/fhir"
)

const ucumSystem = "http://unitsofmeasure.org"

// fromFHIRQuantity is the System.Quantity that a FHIR Quantity stands for: one in UCUM without a comparator, of which
// the codes for spans of time become calendar words (https://hl7.org/fhir/R4/fhirpath.html#quantity); or a bare number.
func fromFHIRQuantity(n fhir.Node) (Value, bool) {
	number := n.Field("value")
	if number.Kind() != fhir.Number || n.Field("comparator").Exists() {
		return Value{}, false
	}
	d, ok := parseDecimal(number.String())
	if !ok {
		return Value{}, false
	}
	system, code := n.Field("system").String(), n.Field("code").String()
	switch {
	case system == ucumSystem && code != "":
		return Quantity(d, calendarForUCUM(code)), true
	case system == "" && code == "" && n.Field("unit").String() == "":
		return Quantity(d, "1"), true
	}
	return Value{}, false
}

func calendarForUCUM(code string) string {
	switch code {
	case "a":
		return "year"
	case "mo":
		return "month"
	case "d":
		return "day"
	case "h":
		return "hour"
	case "min":
		return "minute"
	case "s":
		return "second"
	}
	return code
}

// unitOf is a unit by its UCUM code or calendar word. A year and a month of the calendar are of a dimension
// of their own: they are no fixed number of days.
func unitOf(unit string) (unitValue, bool) {
	switch strings.TrimSuffix(unit, "s") {
	case "year":
		return unitValue{factor: big.NewRat(12, 1), dims: map[string]int{"month": 1}}, true
	case "month":
		return unitValue{factor: big.NewRat(1, 1), dims: map[string]int{"month": 1}}, true
	}
	if isCalendarWord(unit) {
		u, _ := calendarUnitOf(unit)
		return unitValue{factor: big.NewRat(u.size, 1e9), dims: map[string]int{"s": 1}}, true
	}
	if unit == "" {
		unit = "1"
	}
	return parseUnit(unit)
}

// definite turns years and months of the calendar into UCUM's a and mo, for equivalence and arithmetic of units.
func definite(unit string) string {
	switch strings.TrimSuffix(unit, "s") {
	case "year":
		return "a"
	case "month":
		return "mo"
	case "week":
		return "wk"
	case "day":
		return "d"
	case "hour":
		return "h"
	case "minute":
		return "min"
	case "second":
		return "s"
	case "millisecond":
		return "ms"
	}
	return unit
}

func ratOf(d *apd.Decimal) *big.Rat {
	r, _ := new(big.Rat).SetString(d.Text('E'))
	return r
}

// base is the number of base units that d of unit u is.
func (u *unitValue) base(d *apd.Decimal) *big.Rat {
	r := ratOf(d)
	if u.offset != nil {
		r.Add(r, u.offset)
	}
	return r.Mul(r, u.factor)
}

// compareQuantity orders two quantities. known is false when their units measure different things.
func compareQuantity(a, b *Value) (order int, known bool) {
	x, y := a.ref.(*apd.Decimal), b.ref.(*apd.Decimal)
	if a.str == b.str {
		return x.Cmp(y), true
	}
	u, ok := unitOf(a.str)
	if !ok {
		return 0, false
	}
	if isCalendarWord(a.str) && isCalendarWord(b.str) && inMonths(a.str) != inMonths(b.str) {
		return compareSpans(x, y, a.str, b.str), true
	}
	v, ok := unitOf(b.str)
	if !ok || u.dimension() != v.dimension() {
		return 0, false
	}
	return u.base(x).Cmp(v.base(y)), true
}

// inMonths says whether a calendar word is a year or a month, of which the length varies.
func inMonths(unit string) bool {
	u, ok := calendarUnitOf(unit)
	return ok && u.calendar
}

// compareSpans orders years or months beside weeks, days or shorter, all of the calendar: a year counts as 365 days and
// a month as 30 (https://hl7.org/fhirpath/N1/#time-valued-quantities).
func compareSpans(x, y *apd.Decimal, unitX, unitY string) int {
	u, _ := calendarUnitOf(unitX)
	v, _ := calendarUnitOf(unitY)
	a, b := ratOf(x), ratOf(y)
	return a.Mul(a, big.NewRat(u.size, 1)).Cmp(b.Mul(b, big.NewRat(v.size, 1)))
}

// equivalentQuantity compares to the precision of the less precise of the two.
func equivalentQuantity(a, b *Value) bool {
	x, y := a.ref.(*apd.Decimal), b.ref.(*apd.Decimal)
	u, ok := unitOf(definite(a.str))
	if !ok {
		return a.str == b.str && equivalentNumbers(x, y)
	}
	v, ok := unitOf(definite(b.str))
	if !ok || u.dimension() != v.dimension() {
		return false
	}
	// One step of each as it was written, in base units: the larger decides.
	step := new(big.Rat).Mul(ratOf(apd.New(1, x.Exponent)), u.factor)
	if other := new(big.Rat).Mul(ratOf(apd.New(1, y.Exponent)), v.factor); other.Cmp(step) > 0 {
		step = other
	}
	return steps(u.base(x), step).Cmp(steps(v.base(y), step)) == 0
}

// steps is how many steps r is, rounded half up.
func steps(r, step *big.Rat) *big.Int {
	q := new(big.Rat).Quo(r, step)
	negative := q.Sign() < 0
	q.Abs(q).Add(q, big.NewRat(1, 2))
	n := new(big.Int).Quo(q.Num(), q.Denom())
	if negative {
		n.Neg(n)
	}
	return n
}

// inUnit is a in the unit of b. The result may be rounded to the working digits.
func inUnit(d *apd.Decimal, from, to string) (*apd.Decimal, bool) {
	if from == to {
		return d, true
	}
	u, ok := unitOf(from)
	if !ok {
		return nil, false
	}
	v, ok := unitOf(to)
	if !ok || u.dimension() != v.dimension() {
		return nil, false
	}
	r := u.base(d)
	r.Quo(r, v.factor)
	if v.offset != nil {
		r.Sub(r, v.offset)
	}
	num, _, err := apd.NewFromString(r.Num().String())
	if err != nil {
		return nil, false
	}
	denom, _, err := apd.NewFromString(r.Denom().String())
	if err != nil {
		return nil, false
	}
	return divide(num, denom)
}

// addQuantity adds (or subtracts) in the finer of the two units.
func addQuantity(a, b *Value, minus bool) (Value, bool) {
	x, y := a.ref.(*apd.Decimal), b.ref.(*apd.Decimal)
	unit := a.str
	if a.str != b.str {
		u, known := unitOf(a.str)
		v, alsoKnown := unitOf(b.str)
		if !known || !alsoKnown {
			return Value{}, false
		}
		if v.factor.Cmp(u.factor) < 0 {
			unit = b.str
		}
		if x, known = inUnit(x, a.str, unit); !known {
			return Value{}, false
		}
		if y, known = inUnit(y, b.str, unit); !known {
			return Value{}, false
		}
	}
	sum := add
	if minus {
		sum = subtract
	}
	d, ok := sum(x, y)
	return Quantity(d, unit), ok
}

// productUnit is the UCUM code of a product or quotient of units.
func productUnit(a, b string, over bool) string {
	a, b = definite(a), definite(b)
	switch {
	case b == "1" || b == "":
		return a
	case over && a == b:
		return "1"
	case a == "1" || a == "":
		if !over {
			return b
		}
		a = ""
	}
	if !over {
		return a + "." + b
	}
	if strings.ContainsAny(b, "./") {
		b = "(" + b + ")"
	}
	return a + "/" + b
}

// comparableUnits says whether two units measure the same thing.
func comparableUnits(a, b string) bool {
	u, ok := unitOf(a)
	if !ok {
		return false
	}
	v, ok := unitOf(b)
	return ok && u.dimension() == v.dimension()
}

// parseQuantity reads toQuantity()'s text: a number, then nothing, a 'unit' or a calendar word.
func parseQuantity(s string) (Value, bool) {
	l := lexer{source: s}
	if strings.HasPrefix(s, "-") || strings.HasPrefix(s, "+") {
		l.at++
	}
	if l.at >= len(s) || !isDigit(s[l.at]) {
		return Value{}, false
	}
	l.number()
	d, ok := parseDecimal(s[:l.at])
	if !ok {
		return Value{}, false
	}
	unit, err := l.next()
	if err != nil {
		return Value{}, false
	}
	switch {
	case unit.kind == tokenEnd:
		return Quantity(d, "1"), true
	case unit.kind == tokenString, unit.kind == tokenName && isCalendarWord(unit.text):
		end, err := l.next()
		return Quantity(d, unit.text), err == nil && end.kind == tokenEnd
	}
	return Value{}, false
}
