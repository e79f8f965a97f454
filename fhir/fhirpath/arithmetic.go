package fhirpath

import (
	"math"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

func (r *run) arithmetic(n *binary, left, right []Value) error {
	a, ok, err := single(left, n.at, "the left side of "+n.op)
	if err != nil {
		return err
	}
	b, alsoOK, err := single(right, n.at, "the right side of "+n.op)
	if err != nil || !ok || !alsoOK {
		return err
	}
	plain := n.op == "+" || n.op == "-"
	switch {
	case a.typ == typeString && b.typ == typeString && n.op == "+":
		return r.pushString(a.str + b.str)
	case isTemporal(&a) && b.typ == typeQuantity && plain:
		return r.shift(n, &a, &b)
	case a.typ == typeInteger && b.typ == typeInteger && n.op != "/":
		r.integers(n.op, a.num, b.num)
		return nil
	case a.typ == typeQuantity || b.typ == typeQuantity:
		return r.quantities(n, &a, &b)
	}
	x, ok := a.number()
	y, alsoOK := b.number()
	if !ok || !alsoOK {
		return failure(Execution, n.at, "%s has no meaning between a %s and a %s", n.op, a.typ, b.typ)
	}
	if d, ok := decimals(n.op, x, y); ok {
		if n.op == "div" {
			r.pushWhole(d)
		} else {
			r.push(Decimal(d))
		}
	}
	return nil
}

// integers computes in 32 bits; what does not fit is empty.
func (r *run) integers(op string, a, b int64) {
	var n int64
	switch op {
	case "+":
		n = a + b
	case "-":
		n = a - b
	case "*":
		n = a * b
	case "div":
		if b == 0 {
			return
		}
		n = a / b
	default:
		if b == 0 {
			return
		}
		n = a % b
	}
	if n >= math.MinInt32 && n <= math.MaxInt32 {
		r.push(Integer(n))
	}
}

func decimals(op string, a, b *apd.Decimal) (*apd.Decimal, bool) {
	switch op {
	case "+":
		return add(a, b)
	case "-":
		return subtract(a, b)
	case "*":
		return multiply(a, b)
	case "/":
		return divide(a, b)
	}
	if b.IsZero() {
		return nil, false
	}
	quotient := new(apd.Decimal)
	if _, err := exact.QuoInteger(quotient, a, b); err != nil {
		return nil, false
	}
	if op == "div" {
		return bounded(quotient, nil)
	}
	back, ok := multiply(quotient, b)
	if !ok {
		return nil, false
	}
	return subtract(a, back)
}

// pushWhole pushes a whole number as an Integer if it is one that fits.
func (r *run) pushWhole(d *apd.Decimal) {
	if whole, ok := roundTo(d, 0, apd.RoundDown); ok {
		if n, err := whole.Int64(); err == nil && n >= math.MinInt32 && n <= math.MaxInt32 {
			r.push(Integer(n))
		}
	}
}

func (r *run) quantities(n *binary, a, b *Value) error {
	if n.op == "+" || n.op == "-" {
		a, b = meet(a, b)
		if a.typ != typeQuantity || b.typ != typeQuantity {
			return failure(Execution, n.at, "%s has no meaning between a %s and a %s", n.op, a.typ, b.typ)
		}
		if sum, ok := addQuantity(a, b, n.op == "-"); ok {
			r.push(sum)
		}
		return nil
	}
	a, b = meet(a, b)
	if a.typ != typeQuantity || b.typ != typeQuantity || n.op != "*" && n.op != "/" {
		return failure(Execution, n.at, "%s has no meaning between a %s and a %s", n.op, a.typ, b.typ)
	}
	d, ok := decimals(n.op, a.ref.(*apd.Decimal), b.ref.(*apd.Decimal))
	if !ok {
		return nil
	}
	unit := productUnit(a.str, b.str, n.op == "/")
	if b.str == "1" {
		unit = a.str // a number of years is still in years
	}
	r.push(Quantity(d, unit))
	return nil
}

// shift moves a date or time by a span. Of the number of units the whole part counts, except for the word second, of
// which a fraction counts too. (HL7's suite has it that a fraction of UCUM's s does not: testPlusDate19.)
func (r *run) shift(n *binary, t, span *Value) error {
	unit, ok := calendarUnitOf(span.str)
	if !ok {
		return failure(Execution, n.at, "'%s' is no span of time that a date can be moved by; there are year, month, week, day, hour, minute, second, millisecond", span.str)
	}
	if t.typ == typeTime && unit.precision < Hour {
		return failure(Execution, n.at, "a time of day cannot be moved by '%s'", span.str)
	}
	number := span.ref.(*apd.Decimal)
	if strings.TrimSuffix(span.str, "s") == "second" {
		unit.size /= 1000
		if number, ok = multiply(number, apd.New(1000, 0)); !ok {
			return nil
		}
	}
	d, ok := roundTo(number, 0, apd.RoundDown)
	if !ok {
		return nil
	}
	if count, err := d.Int64(); err == nil { // beyond int64 no date is reached
		if n.op == "-" {
			count = -count
		}
		if moved, ok := t.ref.(*Temporal).shift(count, unit); ok {
			r.push(Time(moved))
		}
	}
	return nil
}
