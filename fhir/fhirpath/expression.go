// Package fhirpath compiles and evaluates FHIRPath (normative release 2.0.0, https://hl7.org/fhirpath/N1/) with what
// FHIR R4 adds to it (https://hl7.org/fhir/R4/fhirpath.html).
//
// It is how FHIR itself says where in a record to look: what a search finds ("Patient.name.family"), what a record
// must satisfy ("contact must have a name, a telecom, an address or an organisation"), what a patch changes.
//
//	expr, err := fhirpath.Compile("Patient.name.where(use = 'official').given")
//	given, err := expr.Eval(ctx, fhirpath.On(resource))
//
// An expression is compiled once and may be evaluated by any number of goroutines. Two ways of reading are offered:
// plain, in which an element that no type has is simply not there, as search parameters and invariants expect; and
// checked ([WithType]), which infers the type of every part beforehand and refuses what can never mean anything.
//
// Values keep their place: a [Value] that comes from a document knows its node, its type and its path. Decimals are
// exact, dates keep the precision they were written with, and quantities convert between UCUM units. Every evaluation
// is bounded in depth, steps and size, and stops when its context does. Time is handed in with [At].
package fhirpath

import (
	"errors"
	"strings"

	"github.com/openspine/openspine/fhir/definition"
)

// Expression is a compiled expression. It does not change and may be shared.
type Expression struct {
	source string
	root   node
	model  *model
	strict bool
}

type compiling struct {
	set   *definition.Set
	focus string
	names map[string]bool
}

// CompileOption changes how an expression is compiled.
type CompileOption func(*compiling)

// WithDefinitions compiles against definitions other than R4's own, for example with national profiles.
func WithDefinitions(set *definition.Set) CompileOption {
	return func(c *compiling) { c.set = set }
}

// WithType checks the expression for a focus of the named type ("Patient", "HumanName", "Patient.contact"): an unknown
// element, an operand that can never have the right type, or a list where one value must stand is an error of the
// Semantic phase. It also makes evaluation strict: as() on several items fails instead of choosing among them.
func WithType(name string) CompileOption {
	return func(c *compiling) { c.focus = name }
}

// WithVariables names the environment variables that will be given with [Variable], so that checking knows them.
func WithVariables(names ...string) CompileOption {
	return func(c *compiling) {
		for _, n := range names {
			c.names[n] = true
		}
	}
}

// Compile reads an expression. An error is a fault of kind Invalid, and holds an [Error] that says where.
func Compile(source string, options ...CompileOption) (*Expression, error) {
	c := compiling{names: map[string]bool{}}
	for _, o := range options {
		o(&c)
	}
	if c.set == nil {
		c.set = definition.R4()
	}
	e := &Expression{source: source, model: modelOf(c.set), strict: c.focus != ""}
	var err error
	if e.root, err = parse(source); err == nil {
		err = bind(e.root, e.model)
	}
	if err == nil && c.focus != "" {
		err = e.check(c.focus, c.names)
	}
	if err != nil {
		return nil, e.place(err)
	}
	return e, nil
}

// place tells an error in which expression it happened, and gives it its kind.
func (e *Expression) place(err error) error {
	var own *Error
	if !errors.As(err, &own) {
		return err
	}
	placed := *own
	placed.Source = e.source
	return placed.asFault()
}

// Source is the expression as it was written.
func (e *Expression) Source() string { return e.source }

// String is the expression in canonical form, which compiles to the same.
func (e *Expression) String() string {
	var b strings.Builder
	e.root.print(&b, 0)
	return b.String()
}

// bind finds the functions and types that names stand for.
func bind(n node, m *model) error {
	switch n := n.(type) {
	case *constant:
		n.uri = knownConstant(n.name)
	case *member:
		if n.start {
			n.types, _ = m.resolve("FHIR", n.name)
		}
	case *path:
		return bindAll(m, n.left, n.right)
	case *index:
		return bindAll(m, n.of, n.which)
	case *unary:
		return bind(n.x, m)
	case *binary:
		n.fn = operators[n.op]
		return bindAll(m, n.left, n.right)
	case *typing:
		if err := n.types.bind(m); err != nil {
			return err
		}
		return bind(n.left, m)
	case *call:
		return n.bind(m)
	}
	return nil
}

func bindAll(m *model, nodes ...node) error {
	for _, n := range nodes {
		if err := bind(n, m); err != nil {
			return err
		}
	}
	return nil
}

func (s *typeSpec) bind(m *model) error {
	var known bool
	if s.types, known = m.resolve(s.namespace, s.name); !known {
		return failure(Semantic, s.at, "there is no type %s", s.text)
	}
	return nil
}

func (n *call) bind(m *model) error {
	fn, ok := functions[n.name]
	if !ok {
		return failure(Semantic, n.at, "there is no function %s()", n.name)
	}
	n.fn = &fn
	if takesType(n.name) {
		return n.types.bind(m)
	}
	if len(n.args) < fn.least || len(n.args) > fn.most {
		return failure(Semantic, n.at, "%s() takes %s, not %d", n.name, arity(fn.least, fn.most), len(n.args))
	}
	if err := bindAll(m, n.args...); err != nil {
		return err
	}
	if fn.prepare != nil {
		return fn.prepare(n)
	}
	return nil
}

func arity(least, most int) string {
	count := [...]string{"no argument", "one argument", "two arguments", "three arguments"}
	switch {
	case most > 3:
		return "at least " + count[min(least, 3)]
	case least == most:
		return count[least]
	}
	return count[least] + " to " + count[most]
}

// knownConstant is what the constants that FHIR fixes stand for; "" for any other name.
func knownConstant(name string) string {
	switch name {
	case "sct":
		return "http://snomed.info/sct"
	case "loinc":
		return "http://loinc.org"
	case "ucum":
		return ucumSystem
	}
	if vs, ok := strings.CutPrefix(name, "vs-"); ok {
		return "http://hl7.org/fhir/ValueSet/" + vs
	}
	if ext, ok := strings.CutPrefix(name, "ext-"); ok {
		return "http://hl7.org/fhir/StructureDefinition/" + ext
	}
	return ""
}

// MustCompile is Compile for expressions in code, which are known to be right. It panics when one is not.
func MustCompile(source string, options ...CompileOption) *Expression {
	e, err := Compile(source, options...)
	if err != nil {
		panic(err)
	}
	return e
}
