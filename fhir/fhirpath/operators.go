package fhirpath

import (
	"github.com/cockroachdb/apd/v3"

	"github.com/openspine/openspine/fhir"
)

// tri is a truth value of FHIRPath's three-valued logic.
type tri uint8

const (
	no tri = iota
	yes
	unknown
)

func triOf(b bool) tri {
	if b {
		return yes
	}
	return no
}

func (r *run) pushTri(t tri) {
	if t != unknown {
		r.push(Bool(t == yes))
	}
}

// truth reads a collection as a condition: a boolean as it is, nothing as not known, and a single value of another
// kind as true (https://hl7.org/fhirpath/N1/#singleton-evaluation-of-collections).
func truth(values []Value, at int) (tri, error) {
	switch len(values) {
	case 0:
		return unknown, nil
	case 1:
		v := &values[0]
		if v.typ.kind == KindBoolean {
			b, ok := v.Bool()
			if !ok {
				return unknown, nil
			}
			return triOf(b), nil
		}
		return yes, nil
	}
	return unknown, failure(Execution, at, "one value should stand here, but there are %d", len(values))
}

// single is the one System value of a collection. ok is false when there is none, or the item has no value.
func single(values []Value, at int, what string) (v Value, ok bool, err error) {
	switch len(values) {
	case 0:
		return Value{}, false, nil
	case 1:
		v, ok = values[0].system()
		if !ok && !values[0].typ.primitive && values[0].typ.kind != KindQuantity {
			return v, false, failure(Execution, at, "%s cannot be a %s", what, values[0].typ)
		}
		return v, ok, nil
	}
	return Value{}, false, failure(Execution, at, "%s must be one value, but there are %d", what, len(values))
}

func oneInteger(values []Value, at int, what string) (int64, bool, error) {
	v, ok, err := single(values, at, what)
	if err != nil || !ok {
		return 0, false, err
	}
	if v.typ != typeInteger {
		return 0, false, failure(Execution, at, "%s must be an integer, not a %s", what, v.typ)
	}
	return v.num, true, nil
}

func oneString(values []Value, at int, what string) (string, bool, error) {
	v, ok, err := single(values, at, what)
	if err != nil || !ok {
		return "", false, err
	}
	if v.typ != typeString {
		return "", false, failure(Execution, at, "%s must be a string, not a %s", what, v.typ)
	}
	return v.str, true, nil
}

// operator works on two evaluated operands.
type operator func(r *run, n *binary, left, right []Value) error

// operators are all binary operators but those of logic, which need not evaluate both sides.
var operators = map[string]operator{
	"=": func(r *run, _ *binary, a, b []Value) error { r.pushTri(equalAll(a, b)); return nil },
	"!=": func(r *run, _ *binary, a, b []Value) error {
		r.pushTri(not(equalAll(a, b)))
		return nil
	},
	"~":  func(r *run, _ *binary, a, b []Value) error { r.push(Bool(equivalentAll(a, b))); return nil },
	"!~": func(r *run, _ *binary, a, b []Value) error { r.push(Bool(!equivalentAll(a, b))); return nil },
	"<":  (*run).compare, ">": (*run).compare, "<=": (*run).compare, ">=": (*run).compare,
	"|": func(r *run, _ *binary, a, b []Value) error { return r.pushDistinct(a, b) },
	"in": func(r *run, n *binary, a, b []Value) error {
		return r.member(n, a, b)
	},
	"contains": func(r *run, n *binary, a, b []Value) error {
		return r.member(n, b, a)
	},
	"+": (*run).arithmetic, "-": (*run).arithmetic, "*": (*run).arithmetic, "/": (*run).arithmetic,
	"div": (*run).arithmetic, "mod": (*run).arithmetic, "&": (*run).concatenate,
}

func not(t tri) tri {
	switch t {
	case yes:
		return no
	case no:
		return yes
	}
	return unknown
}

func (n *binary) eval(r *run, in []Value) error {
	if err := r.tick(1); err != nil {
		return err
	}
	if n.fn == nil {
		t, err := n.logic(r, in)
		r.pushTri(t)
		return err
	}
	mark, vars := len(r.stack), r.vars
	if err := n.left.eval(r, in); err != nil {
		return err
	}
	mid := len(r.stack)
	r.vars = vars
	if err := n.right.eval(r, in); err != nil {
		return err
	}
	r.vars = vars
	end := len(r.stack)
	if err := n.fn(r, n, r.stack[mark:mid:mid], r.stack[mid:end:end]); err != nil {
		return err
	}
	r.collapse(mark, end)
	return nil
}

// operand evaluates one side of a logical operator.
func (n *binary) operand(r *run, side node, in []Value) (tri, error) {
	mark, vars := len(r.stack), r.vars
	if err := side.eval(r, in); err != nil {
		return unknown, err
	}
	t, err := truth(r.stack[mark:], n.at)
	r.drop(mark)
	r.vars = vars
	return t, err
}

func (n *binary) logic(r *run, in []Value) (tri, error) {
	a, err := n.operand(r, n.left, in)
	if err != nil {
		return unknown, err
	}
	switch { // what the left side alone decides
	case n.op == "and" && a == no:
		return no, nil
	case n.op == "or" && a == yes, n.op == "implies" && a == no:
		return yes, nil
	}
	b, err := n.operand(r, n.right, in)
	if err != nil {
		return unknown, err
	}
	switch n.op {
	case "and":
		return and(a, b), nil
	case "or":
		return not(and(not(a), not(b))), nil
	case "implies":
		return not(and(a, not(b))), nil
	}
	if a == unknown || b == unknown {
		return unknown, nil
	}
	return triOf(a != b), nil
}

func and(a, b tri) tri {
	switch {
	case a == no || b == no:
		return no
	case a == unknown || b == unknown:
		return unknown
	}
	return yes
}

func (n *unary) eval(r *run, in []Value) error {
	mark := len(r.stack)
	if err := n.x.eval(r, in); err != nil {
		return err
	}
	v, ok, err := single(r.stack[mark:], n.at, "what a sign stands before")
	r.drop(mark)
	if err != nil || !ok {
		return err
	}
	switch v.typ {
	case typeInteger, typeDecimal, typeQuantity:
		if n.op == '-' {
			v = negated(v)
		}
		r.push(v)
		return nil
	}
	return failure(Execution, n.at, "a %s has no sign", v.typ)
}

func negated(v Value) Value {
	if v.typ == typeInteger {
		v.num = -v.num
		return v
	}
	v.ref = new(apd.Decimal).Neg(v.ref.(*apd.Decimal))
	return v
}

// equalAll is the = operator: not known when a side is empty, or when the items leave it open.
func equalAll(a, b []Value) tri {
	if len(a) == 0 || len(b) == 0 {
		return unknown
	}
	if len(a) != len(b) {
		return no
	}
	result := yes
	for i := range a {
		switch equal(&a[i], &b[i]) {
		case no:
			return no
		case unknown:
			result = unknown
		}
	}
	return result
}

// equal compares two items (https://hl7.org/fhirpath/N1/#equals).
func equal(a, b *Value) tri {
	if a.node.Exists() && a.node == b.node {
		return yes
	}
	if a.typ.kind == KindString && b.typ.kind == KindString && a.node.Kind() == fhir.String && b.node.Kind() == fhir.String {
		return triOf(a.node.String() == b.node.String())
	}
	x, ok := a.system()
	y, alsoOK := b.system()
	switch {
	case ok && alsoOK:
		return equalSystem(&x, &y)
	case ok != alsoOK:
		return no
	}
	return triOf(a.typ.primitive == b.typ.primitive && sameNode(a.node, b.node) && sameNode(a.under, b.under))
}

func equalSystem(a, b *Value) tri {
	if a.typ == b.typ {
		switch a.typ {
		case typeString:
			return triOf(a.str == b.str)
		case typeBoolean, typeInteger:
			return triOf(a.num == b.num)
		case typeSimple, typeClass:
			return triOf(a.ref == b.ref)
		}
	}
	a, b = meet(a, b)
	switch {
	case isTemporal(a) && isTemporal(b):
		x, y := a.ref.(*Temporal), b.ref.(*Temporal)
		if (x.Kind == KindTime) != (y.Kind == KindTime) {
			return no
		}
		order, known := compareTemporal(x, y)
		if !known {
			return unknown
		}
		return triOf(order == 0)
	case a.typ == typeQuantity && b.typ == typeQuantity:
		order, known := compareQuantity(a, b)
		if !known {
			return unknown
		}
		return triOf(order == 0)
	}
	x, ok := a.number()
	y, alsoOK := b.number()
	return triOf(ok && alsoOK && x.Cmp(y) == 0)
}

// meet converts implicitly: a number beside a quantity becomes a quantity without unit.
func meet(a, b *Value) (*Value, *Value) {
	if a.typ == typeQuantity {
		if d, ok := b.number(); ok {
			q := Quantity(d, "1")
			return a, &q
		}
	} else if b.typ == typeQuantity {
		if d, ok := a.number(); ok {
			q := Quantity(d, "1")
			return &q, b
		}
	}
	return a, b
}

func isTemporal(v *Value) bool {
	return v.typ == typeDate || v.typ == typeDateTime || v.typ == typeTime
}

// sameNode compares elements with all that is in them; numbers by value, members in any order.
func sameNode(a, b fhir.Node) bool {
	if a == b {
		return true
	}
	if a.Kind() != b.Kind() || a.Len() != b.Len() {
		return false
	}
	switch a.Kind() {
	case fhir.Object:
		for name, x := range a.Fields() {
			if !sameNode(x, b.Field(name)) {
				return false
			}
		}
		return true
	case fhir.Array:
		for i := range a.Len() {
			if !sameNode(a.Index(i), b.Index(i)) {
				return false
			}
		}
		return true
	case fhir.Number:
		x, ok := parseDecimal(a.String())
		y, alsoOK := parseDecimal(b.String())
		return ok && alsoOK && x.Cmp(y) == 0
	}
	return a.String() == b.String()
}

// compare is <, >, <= and >=.
func (r *run) compare(n *binary, left, right []Value) error {
	a, ok, err := single(left, n.at, "the left side of "+n.op)
	if err != nil {
		return err
	}
	b, alsoOK, err := single(right, n.at, "the right side of "+n.op)
	if err != nil || !ok || !alsoOK {
		return err
	}
	order, known, comparable := order(&a, &b)
	if !comparable {
		return failure(Execution, n.at, "a %s and a %s have no order", a.typ, b.typ)
	}
	if !known {
		return nil
	}
	switch n.op {
	case "<":
		r.push(Bool(order < 0))
	case ">":
		r.push(Bool(order > 0))
	case "<=":
		r.push(Bool(order <= 0))
	default:
		r.push(Bool(order >= 0))
	}
	return nil
}

// order compares two System values: known is false when their precision or units leave it open, comparable when their
// types have no order at all.
func order(a, b *Value) (order int, known, comparable bool) {
	a, b = meet(a, b)
	switch {
	case a.typ == typeString && b.typ == typeString:
		switch {
		case a.str < b.str:
			return -1, true, true
		case a.str > b.str:
			return 1, true, true
		}
		return 0, true, true
	case a.typ == typeInteger && b.typ == typeInteger:
		switch {
		case a.num < b.num:
			return -1, true, true
		case a.num > b.num:
			return 1, true, true
		}
		return 0, true, true
	case isTemporal(a) && isTemporal(b):
		x, y := a.ref.(*Temporal), b.ref.(*Temporal)
		if (x.Kind == KindTime) != (y.Kind == KindTime) {
			return 0, false, false
		}
		order, known = compareTemporal(x, y)
		return order, known, true
	case a.typ == typeQuantity && b.typ == typeQuantity:
		order, known = compareQuantity(a, b)
		return order, known, true
	}
	x, ok := a.number()
	y, alsoOK := b.number()
	if !ok || !alsoOK {
		return 0, false, false
	}
	return x.Cmp(y), true, true
}

// member is in and contains.
func (r *run) member(n *binary, item, list []Value) error {
	if len(item) == 0 {
		return nil
	}
	if len(item) > 1 {
		return failure(Execution, n.at, "only one value can be looked for, but there are %d", len(item))
	}
	for i := range list {
		if equal(&item[0], &list[i]) == yes {
			r.push(Bool(true))
			return nil
		}
	}
	r.push(Bool(false))
	return nil
}

func (r *run) concatenate(n *binary, left, right []Value) error {
	a, _, err := oneString(left, n.at, "what & joins")
	if err != nil {
		return err
	}
	b, _, err := oneString(right, n.at, "what & joins")
	if err != nil {
		return err
	}
	return r.pushString(a + b)
}

// pushString refuses texts that grow without bound.
func (r *run) pushString(s string) error {
	if len(s) > 1<<24 {
		return failure(Limit, -1, "a text grew over 16 MB")
	}
	r.push(String(s))
	return r.tick(len(s) >> 6)
}
