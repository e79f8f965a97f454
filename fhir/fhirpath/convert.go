package fhirpath

import (
	"math"
	"strconv"
	"strings"

	"github.com/cockroachdb/apd/v3"
)

// conversion gives the value as another type; ok is false when it has no such form.
type conversion func(v Value) (Value, bool)

// fnTo is toX(): empty for what does not convert.
func fnTo(to conversion) func(*run, *call, []Value) error {
	return func(r *run, n *call, in []Value) error {
		v, ok, err := n.convertible(in)
		if err != nil || !ok {
			return err
		}
		if out, ok := to(v); ok {
			r.push(out)
		}
		return nil
	}
}

// fnConverts is convertsToX().
func fnConverts(to conversion) func(*run, *call, []Value) error {
	return func(r *run, n *call, in []Value) error {
		if len(in) == 0 {
			return nil
		}
		v, ok, err := n.convertible(in)
		if err != nil {
			return err
		}
		if ok {
			_, ok = to(v)
		}
		r.push(Bool(ok))
		return nil
	}
}

// convertible is the one System value of the input; ok is false for an element that has none.
func (n *call) convertible(in []Value) (Value, bool, error) {
	if len(in) > 1 {
		return Value{}, false, n.fail("the input must be one value, but there are %d", len(in))
	}
	if len(in) == 0 {
		return Value{}, false, nil
	}
	v, ok := in[0].system()
	return v, ok, nil
}

func toBoolean(v Value) (Value, bool) {
	switch v.typ {
	case typeBoolean:
		return v, true
	case typeInteger:
		return Bool(v.num == 1), v.num == 0 || v.num == 1
	case typeDecimal:
		d := v.ref.(*apd.Decimal)
		isOne := d.Cmp(apd.New(1, 0)) == 0
		return Bool(isOne), isOne || d.IsZero()
	case typeString:
		switch strings.ToLower(v.str) {
		case "true", "t", "yes", "y", "1", "1.0":
			return Bool(true), true
		case "false", "f", "no", "n", "0", "0.0":
			return Bool(false), true
		}
	}
	return Value{}, false
}

func toInteger(v Value) (Value, bool) {
	switch v.typ {
	case typeInteger:
		return v, true
	case typeBoolean:
		return Integer(v.num), true
	case typeString:
		n, err := strconv.ParseInt(v.str, 10, 32)
		return Integer(n), err == nil
	}
	return Value{}, false
}

func toDecimal(v Value) (Value, bool) {
	switch v.typ {
	case typeDecimal:
		return v, true
	case typeInteger:
		return Decimal(apd.New(v.num, 0)), true
	case typeBoolean:
		return Decimal(apd.New(v.num*10, -1)), true
	case typeString:
		if strings.ContainsAny(v.str, "eE") {
			return Value{}, false
		}
		d, ok := parseDecimal(v.str)
		return Decimal(d), ok
	}
	return Value{}, false
}

func toString(v Value) (Value, bool) {
	if v.typ.kind == kindTypeInfo {
		return Value{}, false
	}
	return String(v.text()), true
}

func toDate(v Value) (Value, bool) {
	switch v.typ {
	case typeDate:
		return v, true
	case typeDateTime:
		t := v.ref.(*Temporal).cut(Day)
		t.Kind = KindDate
		return Time(t), true
	}
	return readTemporal(KindDate, v)
}

func toDateTime(v Value) (Value, bool) {
	switch v.typ {
	case typeDateTime:
		return v, true
	case typeDate:
		t := *v.ref.(*Temporal)
		t.Kind = KindDateTime
		return Time(t), true
	}
	return readTemporal(KindDateTime, v)
}

func toTime(v Value) (Value, bool) {
	if v.typ == typeTime {
		return v, true
	}
	return readTemporal(KindTime, v)
}

func readTemporal(kind Kind, v Value) (Value, bool) {
	if v.typ != typeString {
		return Value{}, false
	}
	t, ok := parseTemporal(kind, v.str)
	if !ok {
		return Value{}, false
	}
	return Time(t), true
}

func toQuantity(v Value) (Value, bool) {
	switch v.typ {
	case typeQuantity:
		return v, true
	case typeInteger, typeDecimal, typeBoolean:
		d, ok := toDecimal(v)
		if v.typ == typeInteger {
			return Quantity(apd.New(v.num, 0), "1"), true
		}
		return Quantity(d.ref.(*apd.Decimal), "1"), ok
	case typeString:
		return parseQuantity(v.str)
	}
	return Value{}, false
}

// quantityIn is the input as a quantity, in the unit that the argument names if there is one.
func (r *run) quantityIn(n *call, in []Value) (Value, bool, error) {
	v, ok, err := n.convertible(in)
	if err != nil || !ok {
		return v, false, err
	}
	q, ok := toQuantity(v)
	if !ok || len(n.args) == 0 {
		return q, ok, nil
	}
	unit, ok, err := r.stringArgument(n, 0)
	if err != nil || !ok {
		return q, false, err
	}
	d, ok := inUnit(q.ref.(*apd.Decimal), q.str, unit)
	return Quantity(d, unit), ok, nil
}

func (r *run) fnToQuantity(n *call, in []Value) error {
	q, ok, err := r.quantityIn(n, in)
	if ok {
		r.push(q)
	}
	return err
}

func (r *run) fnConvertsToQuantity(n *call, in []Value) error {
	if len(in) == 0 {
		return nil
	}
	_, ok, err := r.quantityIn(n, in)
	if err == nil {
		r.push(Bool(ok))
	}
	return err
}

// fnIif evaluates only the branch that its criterion chooses. Its input becomes $this.
func (r *run) fnIif(n *call, in []Value) error {
	if len(in) > 1 {
		return n.fail("the input must be one value, but there are %d", len(in))
	}
	mark := len(r.stack)
	if err := r.argumentOn(n, 0, in); err != nil {
		return err
	}
	results := r.stack[mark:]
	if r.strict && len(results) == 1 && results[0].typ.kind != KindBoolean {
		return n.fail("the criterion must be a boolean, not a %s", results[0].typ)
	}
	t, err := truth(results, n.at)
	r.drop(mark)
	switch {
	case err != nil:
		return err
	case t == yes:
		return r.argumentOn(n, 1, in)
	case len(n.args) == 3:
		return r.argumentOn(n, 2, in)
	}
	return nil
}

// numberInput is the input as a number; ok is false when it is empty.
func (n *call) numberInput(in []Value) (*apd.Decimal, bool, error) {
	v, ok, err := n.input(in)
	if err != nil || !ok {
		return nil, false, err
	}
	d, ok := v.number()
	if !ok {
		return nil, false, n.fail("the input must be a number, not a %s", v.typ)
	}
	return d, true, nil
}

// numberArgument is the i-th argument as a number.
func (r *run) numberArgument(n *call, i int) (Value, bool, error) {
	mark := len(r.stack)
	values, err := r.argument(n, i)
	if err != nil {
		return Value{}, false, err
	}
	v, ok, err := single(values, n.at, "an argument of "+n.name+"()")
	r.drop(mark)
	if err != nil || !ok {
		return v, false, err
	}
	if _, ok := v.number(); !ok {
		return v, false, n.fail("the argument must be a number, not a %s", v.typ)
	}
	return v, true, nil
}

func (r *run) fnAbs(n *call, in []Value) error {
	v, ok, err := n.input(in)
	if err != nil || !ok {
		return err
	}
	switch v.typ {
	case typeInteger:
		r.push(Integer(max(v.num, -v.num)))
	case typeDecimal, typeQuantity:
		v.ref = new(apd.Decimal).Abs(v.ref.(*apd.Decimal))
		r.push(v)
	default:
		return n.fail("the input must be a number, not a %s", v.typ)
	}
	return nil
}

func (r *run) rounded(n *call, in []Value, how apd.Rounder) error {
	d, ok, err := n.numberInput(in)
	if err != nil || !ok {
		return err
	}
	if whole, ok := roundTo(d, 0, how); ok {
		r.pushWhole(whole)
	}
	return nil
}

func (r *run) fnCeiling(n *call, in []Value) error  { return r.rounded(n, in, apd.RoundCeiling) }
func (r *run) fnFloor(n *call, in []Value) error    { return r.rounded(n, in, apd.RoundFloor) }
func (r *run) fnTruncate(n *call, in []Value) error { return r.rounded(n, in, apd.RoundDown) }

func (r *run) fnRound(n *call, in []Value) error {
	d, ok, err := n.numberInput(in)
	if err != nil || !ok {
		return err
	}
	decimals := int64(0)
	if len(n.args) == 1 {
		if decimals, ok, err = r.integerArgument(n, 0); err != nil || !ok {
			return err
		}
	}
	if decimals < 0 || decimals > maxDigits {
		return n.fail("the number of decimals must be between 0 and %d", maxDigits)
	}
	if scale(d) <= int(decimals) {
		r.push(Decimal(d))
	} else if out, ok := roundTo(d, int(decimals), apd.RoundHalfUp); ok {
		r.push(Decimal(out))
	}
	return nil
}

// transcendental computes with forty digits, and keeps sixteen decimals.
func (r *run) transcendental(n *call, in []Value, f func(d, x *apd.Decimal) (apd.Condition, error)) error {
	x, ok, err := n.numberInput(in)
	if err != nil || !ok {
		return err
	}
	short, d := new(apd.Decimal), new(apd.Decimal)
	if _, err = working.Round(short, x); err == nil {
		_, err = f(d, short)
	}
	if out, ok := tidy(d, err); ok {
		r.push(Decimal(out))
	}
	return r.tick(100)
}

func (r *run) fnExp(n *call, in []Value) error {
	return r.transcendental(n, in, func(d, x *apd.Decimal) (apd.Condition, error) {
		if f, err := x.Float64(); err != nil || math.Abs(f) > 2000 {
			return 0, strconv.ErrRange
		}
		return working.Exp(d, x)
	})
}

func (r *run) fnLn(n *call, in []Value) error { return r.transcendental(n, in, logarithm) }

func logarithm(d, x *apd.Decimal) (apd.Condition, error) {
	if x.Sign() <= 0 {
		return 0, strconv.ErrRange
	}
	return working.Ln(d, x)
}

func (r *run) fnSqrt(n *call, in []Value) error {
	return r.transcendental(n, in, func(d, x *apd.Decimal) (apd.Condition, error) {
		if x.Sign() < 0 {
			return 0, strconv.ErrRange
		}
		return working.Sqrt(d, x)
	})
}

func (r *run) fnLog(n *call, in []Value) error {
	base, ok, err := r.numberArgument(n, 0)
	if err != nil || !ok {
		return err
	}
	b, _ := base.number()
	return r.transcendental(n, in, func(d, x *apd.Decimal) (apd.Condition, error) {
		var over, under apd.Decimal
		if _, err := logarithm(&over, x); err != nil {
			return 0, err
		}
		if _, err := logarithm(&under, b); err != nil || under.IsZero() {
			return 0, strconv.ErrRange
		}
		return working.Quo(d, &over, &under)
	})
}

func (r *run) fnPower(n *call, in []Value) error {
	v, ok, err := n.input(in)
	if err != nil || !ok {
		return err
	}
	x, ok := v.number()
	if !ok {
		return n.fail("the input must be a number, not a %s", v.typ)
	}
	exponent, ok, err := r.numberArgument(n, 0)
	if err != nil || !ok {
		return err
	}
	if err := r.tick(100); err != nil {
		return err
	}
	e, _ := exponent.number()
	d, ok := power(x, e)
	switch {
	case !ok:
	case v.typ == typeInteger && exponent.typ == typeInteger && exponent.num >= 0:
		r.pushWhole(d)
	default:
		r.push(Decimal(d))
	}
	return nil
}

func power(x, e *apd.Decimal) (*apd.Decimal, bool) {
	f, err := x.Float64()
	g, alsoErr := e.Float64()
	if err != nil || alsoErr != nil || x.IsZero() && g < 0 || f != 0 && math.Abs(math.Log10(math.Abs(f))*g) > maxDigits {
		return nil, false
	}
	if k, err := e.Int64(); err == nil && k >= 0 && k*x.NumDigits() <= maxDigits {
		out := apd.New(1, 0)
		ok := true
		for ; k > 0 && ok; k-- {
			out, ok = multiply(out, x)
		}
		return out, ok
	}
	d := new(apd.Decimal)
	_, err = working.Pow(d, x, e)
	return tidy(d, err)
}
