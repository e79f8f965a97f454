package fhirpath

import (
	"slices"
	"strings"
	"unicode"

	"github.com/cockroachdb/apd/v3"

	"github.com/openspine/openspine/fhir"
)

// equivalentAll is the ~ operator: the same items in any order; two empty collections are equivalent.
func equivalentAll(a, b []Value) bool {
	if len(a) != len(b) {
		return false
	}
	if len(a) == 1 {
		return equivalent(&a[0], &b[0])
	}
	used := make([]bool, len(b))
	for i := range a {
		at := -1
		for j := range b {
			if !used[j] && equivalent(&a[i], &b[j]) {
				at = j
				break
			}
		}
		if at < 0 {
			return false
		}
		used[at] = true
	}
	return true
}

// equivalent compares two items (https://hl7.org/fhirpath/N1/#equivalent).
func equivalent(a, b *Value) bool {
	x, ok := a.system()
	y, alsoOK := b.system()
	if ok != alsoOK {
		return false
	}
	if !ok {
		return a.typ.primitive == b.typ.primitive && equivalentNodes(a.node, b.node)
	}
	p, q := meet(&x, &y)
	switch {
	case p.typ == typeString && q.typ == typeString:
		return folded(p.str) == folded(q.str)
	case p.typ == typeQuantity && q.typ == typeQuantity:
		return equivalentQuantity(p, q)
	}
	if m, ok := p.number(); ok {
		if n, ok := q.number(); ok {
			return equivalentNumbers(m, n)
		}
	}
	return equalSystem(p, q) == yes
}

// equivalentNumbers compares to the decimals of the less precise, zeros at the end aside.
func equivalentNumbers(a, b *apd.Decimal) bool {
	decimals := min(significantScale(a), significantScale(b))
	x, ok := roundTo(a, decimals, apd.RoundHalfUp)
	y, alsoOK := roundTo(b, decimals, apd.RoundHalfUp)
	return ok && alsoOK && x.Cmp(y) == 0
}

func significantScale(d *apd.Decimal) int {
	reduced, _ := new(apd.Decimal).Reduce(d)
	return scale(reduced)
}

// folded is text without case, and with every white character as a space.
func folded(s string) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsSpace(r) {
			return ' '
		}
		return unicode.ToLower(r)
	}, s)
}

// equivalentNodes compares elements, ignoring ids and the order of what repeats.
func equivalentNodes(a, b fhir.Node) bool {
	if a.Kind() != b.Kind() {
		return false
	}
	switch a.Kind() {
	case fhir.Object:
		return equivalentMembers(a, b) && equivalentMembers(b, a)
	case fhir.Array:
		return a.Len() == b.Len() && equivalentItems(a, b)
	case fhir.Number:
		x, ok := parseDecimal(a.String())
		y, alsoOK := parseDecimal(b.String())
		return ok && alsoOK && equivalentNumbers(x, y)
	case fhir.String:
		return folded(a.String()) == folded(b.String())
	}
	return a.String() == b.String()
}

func equivalentMembers(a, b fhir.Node) bool {
	for name, x := range a.Fields() {
		if name != "id" && !equivalentNodes(x, b.Field(name)) {
			return false
		}
	}
	return true
}

func equivalentItems(a, b fhir.Node) bool {
	rest := slices.Collect(b.Items())
	for x := range a.Items() {
		at := slices.IndexFunc(rest, func(y fhir.Node) bool { return equivalentNodes(x, y) })
		if at < 0 {
			return false
		}
		rest = slices.Delete(rest, at, at+1)
	}
	return true
}
