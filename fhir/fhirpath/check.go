package fhirpath

import (
	"slices"

	"github.com/openspine/openspine/fhir/definition"
)

// static is what is known of a result before anything is evaluated.
type static struct {
	types     []*Type // what the items may be; none for {}
	anything  bool    // nothing is known of the types
	many      bool    // there may be more than one item
	unordered bool    // the order of the items means nothing
}

func oneOf(types ...*Type) static { return static{types: types} }

var staticAnything = static{anything: true, many: true}

// kinds says whether an item may be of one of the kinds. Where nothing is known, it may.
func (s *static) mayBe(kinds ...Kind) bool {
	if s.anything || len(s.types) == 0 {
		return true
	}
	for _, t := range s.types {
		if t == typeUnknown || slices.Contains(kinds, t.kind) {
			return true
		}
	}
	return false
}

func (s *static) name() string {
	if len(s.types) == 1 {
		return s.types[0].String()
	}
	return "value"
}

func (s static) item() static {
	s.many, s.unordered = false, false
	return s
}

func (s static) list() static {
	s.many = true
	return s
}

func union(a, b static) static {
	out := static{anything: a.anything || b.anything, many: true, unordered: a.unordered || b.unordered}
	out.types = slices.Clone(a.types)
	for _, t := range b.types {
		if !slices.Contains(out.types, t) {
			out.types = append(out.types, t)
		}
	}
	return out
}

// checker infers types. It keeps the first thing wrong.
type checker struct {
	model *model
	root  static
	focus static
	names map[string]bool
	err   error
}

func (c *checker) fail(at int, format string, args ...any) static {
	if c.err == nil {
		c.err = failure(Semantic, at, format, args...)
	}
	return staticAnything
}

// check infers the types of the whole expression for a focus of the named type.
func (e *Expression) check(focus string, names map[string]bool) error {
	t := e.model.typ(focus)
	if t == nil {
		return failure(Semantic, -1, "there is no type %s to check against", focus)
	}
	c := checker{model: e.model, root: oneOf(t), focus: oneOf(t), names: names}
	e.root.check(&c, c.focus)
	return c.err
}

func (n *literal) check(*checker, static) static { return oneOf(n.value.typ) }
func (n *empty) check(*checker, static) static   { return static{} }

func (n *constant) check(c *checker, _ static) static {
	switch {
	case n.uri != "":
		return oneOf(typeString)
	case n.name == "context":
		return c.root
	case n.name == "resource" || n.name == "rootResource":
		if t := c.root.types[0]; t.def != nil && t.def.Kind == definition.Resource {
			return c.root
		}
		return staticAnything
	case c.names[n.name]:
		return staticAnything
	}
	return c.fail(n.at, "there is no variable %%%s", n.name)
}

func (n *variable) check(c *checker, _ static) static {
	switch n.name {
	case "$this":
		return c.focus
	case "$index":
		return oneOf(typeInteger)
	}
	return staticAnything
}

func (n *path) check(c *checker, in static) static {
	return n.right.check(c, n.left.check(c, in))
}

func (n *index) check(c *checker, in static) static {
	of, which := n.of.check(c, in), n.which.check(c, c.focus)
	if of.unordered {
		c.fail(n.at, "what is numbered here has no order")
	}
	if !which.mayBe(KindInteger) {
		c.fail(n.at, "an index must be an integer, not a %s", which.name())
	}
	return of.item()
}

func (n *unary) check(c *checker, in static) static { return n.x.check(c, in) }

func (n *typing) check(c *checker, in static) static {
	left := n.left.check(c, in)
	if n.op == "is" {
		return oneOf(typeBoolean)
	}
	return narrowed(left, &n.types)
}

// narrowed is what as and ofType leave.
func narrowed(in static, s *typeSpec) static {
	return static{types: s.types, many: in.many, unordered: in.unordered}
}

func (n *member) check(c *checker, in static) static {
	if in.anything {
		return staticAnything
	}
	out := static{many: in.many, unordered: in.unordered}
	found := len(in.types) == 0
	for _, t := range in.types {
		if n.start && len(n.types) > 0 && t.Is(n.types[0]) {
			return in
		}
		f, known := t.staticField(n.name)
		switch {
		case f == nil && known:
			continue
		case f == nil:
			out.anything = true
		case f.choices != nil:
			for _, choice := range f.choices {
				out.add(choice.typ)
			}
		default:
			out.add(f.typ)
		}
		found = true
		out.many = out.many || f != nil && f.repeats
	}
	if !found {
		return c.fail(n.at, "a %s has no element %s", in.name(), n.name)
	}
	return out
}

func (s *static) add(t *Type) {
	if t == typeUnknown {
		s.anything = true
	} else if !slices.Contains(s.types, t) {
		s.types = append(s.types, t)
	}
}

// staticField finds an element of a type. known is false when there is none but values may have it all the same: a
// place for any resource may hold one that does.
func (t *Type) staticField(name string) (f *field, known bool) {
	if f := t.field(name); f != nil {
		return f, true
	}
	switch {
	case t == typeUnknown, t.def != nil && t.def.Abstract:
		return nil, false
	case t.primitive && name == "value":
		return &field{typ: t}, true
	case t.kind == kindTypeInfo && (name == "name" || name == "namespace" || name == "baseType"), t == typeQuantity && (name == "unit" || name == "code"):
		return &field{typ: typeString}, true
	case t == typeQuantity && name == "value":
		return &field{typ: typeDecimal}, true
	}
	return nil, true
}

func (n *binary) check(c *checker, in static) static {
	a, b := n.left.check(c, in), n.right.check(c, in)
	switch n.level {
	case levelUnion:
		return union(a, b)
	case levelAdditive, levelMultiplicative:
		return n.checkArithmetic(c, a, b)
	case levelInequality:
		if !comparableKinds(a, b) {
			c.fail(n.at, "a %s and a %s have no order", a.name(), b.name())
		}
	}
	return oneOf(typeBoolean)
}

var (
	numberKinds   = []Kind{KindInteger, KindDecimal, KindQuantity}
	temporalKinds = []Kind{KindDate, KindDateTime}
)

// together says whether a may be of one of the kinds, and b of another of them.
func together(a, b static, kinds ...Kind) bool { return a.mayBe(kinds...) && b.mayBe(kinds...) }

func comparableKinds(a, b static) bool {
	return together(a, b, numberKinds...) || together(a, b, temporalKinds...) || together(a, b, KindString) || together(a, b, KindTime)
}

func (n *binary) checkArithmetic(c *checker, a, b static) static {
	if n.op == "&" {
		return oneOf(typeString)
	}
	plain := n.op == "+" || n.op == "-"
	switch {
	case together(a, b, numberKinds...):
		if n.op == "/" && !a.mayBe(KindQuantity) && !b.mayBe(KindQuantity) {
			return oneOf(typeDecimal)
		}
		out := union(a, b)
		out.many = false
		return out
	case n.op == "+" && together(a, b, KindString):
		return oneOf(typeString)
	case plain && a.mayBe(KindDate, KindDateTime, KindTime) && b.mayBe(KindQuantity):
		return a.item()
	}
	return c.fail(n.at, "%s has no meaning between a %s and a %s", n.op, a.name(), b.name())
}

func (n *call) check(c *checker, in static) static {
	switch {
	case n.fn.needs == needString && !in.mayBe(KindString):
		c.fail(n.at, "%s() needs a string, not a %s", n.name, in.name())
	case n.fn.needs == needNumber && !in.mayBe(numberKinds...):
		c.fail(n.at, "%s() needs a number, not a %s", n.name, in.name())
	case n.fn.needs == needOrder && in.unordered:
		c.fail(n.at, "%s() needs items in order, but children() and descendants() give them in any", n.name)
	}
	if n.name == "defineVariable" {
		if lit, ok := n.args[0].(*literal); ok && lit.value.typ == typeString {
			c.names[lit.value.str] = true
		}
	}
	focus := c.focus
	if n.fn.loop {
		c.focus = in.item()
	}
	args := make([]static, len(n.args))
	for i, arg := range n.args {
		args[i] = arg.check(c, c.focus)
	}
	c.focus = focus
	return n.fn.gives(c, n, in, args)
}

// What functions give.

func givesOne(t *Type) func(*checker, *call, static, []static) static {
	return func(*checker, *call, static, []static) static { return oneOf(t) }
}

func givesMany(t *Type) func(*checker, *call, static, []static) static {
	return func(*checker, *call, static, []static) static { return oneOf(t).list() }
}

func givesFHIR(name string, list bool) func(*checker, *call, static, []static) static {
	return func(c *checker, _ *call, _ static, _ []static) static {
		return static{types: []*Type{c.model.typOrUnknown(name)}, many: list}
	}
}

func givesAnything(*checker, *call, static, []static) static { return staticAnything }

func givesSame(_ *checker, _ *call, in static, _ []static) static { return in }

func givesDefined(_ *checker, _ *call, in static, _ []static) static { return in }

func givesItem(_ *checker, _ *call, in static, _ []static) static { return in.item() }

func givesSelected(_ *checker, _ *call, in static, args []static) static {
	out := args[0]
	out.many = out.many || in.many
	out.unordered = out.unordered || in.unordered
	return out
}

func givesRepeated(_ *checker, _ *call, _ static, args []static) static { return args[0].list() }

func givesFiltered(c *checker, n *call, in static, args []static) static {
	if !args[0].mayBe(KindBoolean) {
		c.fail(n.at, "the criterion of where() must be a boolean, not a %s", args[0].name())
	}
	return in
}

func givesSorted(_ *checker, _ *call, in static, _ []static) static {
	in.unordered = false
	return in
}

func givesTyped(_ *checker, n *call, in static, _ []static) static { return narrowed(in, &n.types) }

func givesUnion(_ *checker, _ *call, in static, args []static) static { return union(in, args[0]) }

func givesCoalesced(_ *checker, _ *call, _ static, args []static) static {
	out := args[0]
	for _, a := range args[1:] {
		out = union(out, a)
	}
	return out
}

func givesIif(c *checker, n *call, in static, args []static) static {
	if !args[0].mayBe(KindBoolean) {
		c.fail(n.at, "the criterion of iif() must be a boolean, not a %s", args[0].name())
	}
	out := args[1]
	if len(args) == 3 {
		many := out.many || args[2].many
		out = union(out, args[2])
		out.many = many
	}
	return out
}

func givesUnordered(*checker, *call, static, []static) static {
	return static{anything: true, many: true, unordered: true}
}

func givesValue(_ *checker, _ *call, in static, _ []static) static { return in.item() }
