package fhirpath

import (
	"slices"
	"strings"

	"github.com/cockroachdb/apd/v3"

	"github.com/openspine/openspine/fhir"
)

// fnClock is now(), today() and timeOfDay(): all tell the one instant of the evaluation.
func fnClock(kind Kind) func(*run, *call, []Value) error {
	return func(r *run, n *call, _ []Value) error {
		if r.at.IsZero() {
			return n.fail("no instant was handed in")
		}
		r.push(Time(temporalFrom(kind, r.at)))
		return nil
	}
}

func (r *run) fnTrace(n *call, in []Value) error {
	name, _, err := r.stringArgument(n, 0)
	if err != nil {
		return err
	}
	if r.trace != nil {
		mark := len(r.stack)
		shown := in
		if len(n.args) == 2 {
			err := r.each(n.args[1], in, func(_ *Value, results []Value) (bool, error) {
				shown = append(shown[:len(shown):len(shown)], results...)
				return true, nil
			})
			if err != nil {
				return err
			}
			shown = shown[len(in):]
		}
		r.drop(mark)
		r.trace(name, slices.Clone(shown))
	}
	r.stack = append(r.stack, in...)
	return nil
}

// fnDefineVariable makes %name stand for a value in the rest of the path.
func (r *run) fnDefineVariable(n *call, in []Value) error {
	name, ok, err := r.stringArgument(n, 0)
	if err != nil {
		return err
	}
	if !ok || name == "context" || name == "resource" || name == "rootResource" || knownConstant(name) != "" {
		return n.fail("%q is no name that a variable may have", name)
	}
	if _, taken := r.vars.find(name); taken {
		return n.fail("there is a variable %%%s already", name)
	}
	values := in
	mark := len(r.stack)
	if len(n.args) == 2 {
		if err := r.argumentOn(n, 1, in); err != nil {
			return err
		}
		values = r.stack[mark:]
	}
	r.vars = &scope{name, slices.Clone(values), r.vars}
	r.drop(mark)
	r.stack = append(r.stack, in...)
	return nil
}

// Digits that a boundary has when none are asked for.
const (
	decimalDigits  = 8
	dateDigits     = 8
	dateTimeDigits = 17
	timeDigits     = 9
)

// fnBoundary is lowBoundary() and highBoundary().
func fnBoundary(high bool) func(*run, *call, []Value) error {
	return func(r *run, n *call, in []Value) error {
		v, ok, err := n.input(in)
		if err != nil || !ok {
			return err
		}
		asked := int64(-1)
		if len(n.args) == 1 {
			if asked, ok, err = r.integerArgument(n, 0); err != nil || !ok {
				return err
			}
			if asked < 0 || asked > 31 {
				return nil
			}
		}
		if out, ok := boundary(v, int(asked), high); ok {
			r.push(out)
			return nil
		}
		if v.typ == typeString || v.typ == typeBoolean {
			return n.fail("a %s has no boundaries", v.typ)
		}
		return nil
	}
}

func boundary(v Value, digits int, high bool) (Value, bool) {
	otherwise := func(n int) int {
		if digits < 0 {
			return n
		}
		return digits
	}
	switch ref := v.ref.(type) {
	case *Temporal:
		n := dateTimeDigits
		switch ref.Kind {
		case KindDate:
			n = dateDigits
		case KindTime:
			n = timeDigits
		}
		t, ok := ref.boundary(otherwise(n), high)
		return Time(t), ok
	case *apd.Decimal:
		d, ok := decimalBoundary(ref, otherwise(decimalDigits), high)
		v.ref = d
		return v, ok
	}
	if v.typ == typeInteger {
		d, ok := decimalBoundary(apd.New(v.num, 0), otherwise(decimalDigits), high)
		return Decimal(d), ok
	}
	return v, false
}

func (r *run) fnPrecision(n *call, in []Value) error {
	v, ok, err := n.input(in)
	if err != nil || !ok {
		return err
	}
	switch ref := v.ref.(type) {
	case *Temporal:
		r.push(Integer(int64(ref.digits())))
	case *apd.Decimal:
		r.push(Integer(int64(scale(ref))))
	default:
		if v.typ != typeInteger {
			return n.fail("a %s has no precision", v.typ)
		}
		r.push(Integer(0))
	}
	return nil
}

func (r *run) fnComparable(n *call, in []Value) error {
	v, ok, err := n.input(in)
	if err != nil || !ok {
		return err
	}
	mark := len(r.stack)
	values, err := r.argument(n, 0)
	if err != nil {
		return err
	}
	other, ok, err := n.input(values)
	r.drop(mark)
	if err != nil || !ok {
		return err
	}
	if v.typ != typeQuantity || other.typ != typeQuantity {
		return n.fail("only quantities can be comparable")
	}
	r.push(Bool(comparableUnits(v.str, other.str)))
	return nil
}

func (r *run) fnChildren(_ *call, in []Value) error {
	for i := range in {
		if err := r.pushChildren(&in[i]); err != nil {
			return err
		}
	}
	return nil
}

// fnDescendants pushes the children, then theirs, and so on.
func (r *run) fnDescendants(_ *call, in []Value) error {
	mark := len(r.stack)
	for i := range in {
		if err := r.pushChildren(&in[i]); err != nil {
			return err
		}
	}
	for at := mark; at < len(r.stack); at++ {
		v := r.stack[at]
		if err := r.pushChildren(&v); err != nil {
			return err
		}
	}
	return nil
}

// pushChildren pushes all elements of v in document order.
func (r *run) pushChildren(v *Value) error {
	holder := v.holder()
	for name, n := range holder.Fields() {
		plain, under := strings.CutPrefix(name, "_")
		if name == "resourceType" && v.typ.def != nil || under && holder.Field(plain).Exists() {
			continue
		}
		t := typeUnknown
		if c, ok := v.typ.memberOf(plain); ok {
			t = c.typ
		}
		if under {
			r.pushNodes(fhir.Node{}, n, t)
			continue
		}
		var u fhir.Node
		if t.primitive {
			u = holder.Field("_" + plain)
		}
		r.pushNodes(n, u, t)
	}
	return r.tick(1 + holder.Len())
}
