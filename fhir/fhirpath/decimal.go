package fhirpath

import (
	"strings"

	"github.com/cockroachdb/apd/v3"
)

const (
	maxDigits     = 1000 // of a number that is read or computed; beyond it a result is an overflow, which is empty
	divisionScale = 8    // decimals of a quotient that does not end (https://hl7.org/fhirpath/N1/#decimal: step 10^-8)
	workingDigits = 40   // for roots, powers and logarithms
	resultDigits  = 16   // decimals kept of those
)

// parseDecimal reads a number as FHIR writes it: -1, 1.50, 1e3. ok is false for anything else, and for a number of
// more digits than could be meant.
func parseDecimal(s string) (*apd.Decimal, bool) {
	if len(s) == 0 || len(s) > maxDigits || !plainNumber(s) {
		return nil, false
	}
	d, _, err := apd.NewFromString(s)
	if err != nil || d.Exponent > maxDigits || d.Exponent < -maxDigits {
		return nil, false
	}
	return d, true
}

// plainNumber refuses the words (NaN, Infinity) and forms that apd also reads.
func plainNumber(s string) bool {
	rest := strings.TrimLeft(s, "+-")
	if len(s)-len(rest) > 1 || rest == "" || !isDigit(rest[0]) || !isDigit(rest[len(rest)-1]) {
		return false
	}
	for i := range len(rest) {
		if c := rest[i]; !isDigit(c) && c != '.' && c != 'e' && c != 'E' && c != '+' && c != '-' {
			return false
		}
	}
	return true
}

// exact is the context in which sums and products are never rounded. It is a constant.
var exact = apd.BaseContext.WithPrecision(2*maxDigits + 10)

// working is the context of what must be rounded. It is a constant.
var working = &apd.Context{Precision: workingDigits, MaxExponent: apd.MaxExponent, MinExponent: apd.MinExponent, Traps: apd.DefaultTraps, Rounding: apd.RoundHalfUp}

// bounded gives d unless it has grown too large to be meant.
func bounded(d *apd.Decimal, err error) (*apd.Decimal, bool) {
	if err != nil || d.Form != apd.Finite || d.NumDigits() > maxDigits || d.Exponent > maxDigits || d.Exponent < -maxDigits {
		return nil, false
	}
	return d, true
}

func add(a, b *apd.Decimal) (*apd.Decimal, bool) {
	d := new(apd.Decimal)
	_, err := exact.Add(d, a, b)
	return bounded(d, err)
}

func subtract(a, b *apd.Decimal) (*apd.Decimal, bool) {
	d := new(apd.Decimal)
	_, err := exact.Sub(d, a, b)
	return bounded(d, err)
}

func multiply(a, b *apd.Decimal) (*apd.Decimal, bool) {
	d := new(apd.Decimal)
	_, err := exact.Mul(d, a, b)
	return bounded(d, err)
}

// divide is the exact quotient if it ends within the working digits, else it is rounded to eight decimals. ok is
// false for a division by zero.
func divide(a, b *apd.Decimal) (*apd.Decimal, bool) {
	if b.IsZero() {
		return nil, false
	}
	d := new(apd.Decimal)
	c := *working
	c.Precision = uint32(workingDigits + a.NumDigits() + b.NumDigits())
	condition, err := c.Quo(d, a, b)
	if err == nil && condition.Inexact() {
		return roundTo(d, divisionScale, apd.RoundHalfUp)
	}
	d.Reduce(d)
	if d.Exponent > 0 {
		return roundTo(d, 0, apd.RoundHalfUp)
	}
	return bounded(d, err)
}

// roundTo writes d with exactly that many decimals.
func roundTo(d *apd.Decimal, decimals int, how apd.Rounder) (*apd.Decimal, bool) {
	c := *exact
	c.Rounding = how
	out := new(apd.Decimal)
	_, err := c.Quantize(out, d, int32(-decimals))
	return bounded(out, err)
}

// scale is how many decimals d is written with.
func scale(d *apd.Decimal) int { return max(0, -int(d.Exponent)) }

// tidy rounds an irrational result and drops the zeros at its end.
func tidy(d *apd.Decimal, err error) (*apd.Decimal, bool) {
	if err != nil || d.Form != apd.Finite {
		return nil, false
	}
	out := d
	if scale(d) > resultDigits {
		var ok bool
		if out, ok = roundTo(d, resultDigits, apd.RoundHalfUp); !ok {
			return nil, false
		}
	}
	out.Reduce(out)
	if out.Exponent > 0 {
		return roundTo(out, 0, apd.RoundHalfUp)
	}
	return bounded(out, nil)
}

// decimalBoundary is the least (or greatest) number that d, read to its last written digit, can mean, with the given
// number of decimals. A boundary that needs more digits than that is cut towards the lower magnitude for the lower
// one, and rounded for the higher, as HL7's suite has it; for negative numbers the two change places.
func decimalBoundary(d *apd.Decimal, decimals int, high bool) (*apd.Decimal, bool) {
	if decimals < 0 || decimals > 31 {
		return nil, false
	}
	half := apd.New(5, int32(-scale(d)-1))
	outward := high != d.Negative
	magnitude := new(apd.Decimal).Abs(d)
	how, step := apd.RoundDown, subtract
	if outward {
		how, step = apd.RoundHalfUp, add
	}
	edge, ok := step(magnitude, half)
	if !ok {
		return nil, false
	}
	if edge.Negative { // below zero: the magnitude was smaller than half a step
		how = apd.RoundHalfUp
	}
	if d.Negative {
		edge.Neg(edge)
	}
	return roundTo(edge, decimals, how)
}
