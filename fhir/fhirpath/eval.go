package fhirpath

import (
	"context"
	"sync"
	"time"

	"github.com/openspine/openspine/fhir"
)

// Input is what an expression is evaluated on.
type Input struct {
	typ   string
	node  fhir.Node
	value Value
}

// On is a whole resource.
func On(r *fhir.Resource) Input { return Input{typ: r.Type(), node: r.Root()} }

// OnNode is an element of a resource, of the named type ("HumanName", "Patient.contact"). Extensions of a primitive
// are found beside it in its document.
func OnNode(typ string, n fhir.Node) Input { return Input{typ: typ, node: n} }

// OnValue is a value that another expression gave.
func OnValue(v Value) Input { return Input{value: v} }

// Resolver finds the resource that a reference or canonical URL names. It gives nil for one that is not there.
type Resolver func(ctx context.Context, reference string) (*fhir.Resource, error)

// Conformance says whether a resource or element conforms to the profile with a canonical URL; known is false when the
// profile cannot be had.
type Conformance func(ctx context.Context, v Value, profile string) (conforms, known bool, err error)

// Membership says whether a coding is in a value set; known is false when that cannot be told.
type Membership func(ctx context.Context, valueSet, system, code string) (in, known bool, err error)

// Slicing says whether an element belongs to a named slice of a profile; known is false when there is no such slice.
type Slicing func(ctx context.Context, v Value, profile, slice string) (member, known bool, err error)

type settings struct {
	at       time.Time
	resolve  Resolver
	conforms Conformance
	memberOf Membership
	slices   Slicing
	trace    func(name string, values Collection)
	vars     *scope
	steps    int
	items    int
}

// Option changes one evaluation.
type Option func(*settings)

// At is the instant that now(), today() and timeOfDay() tell. Without it they fail.
func At(t time.Time) Option { return func(s *settings) { s.at = t } }

// WithResolver is how resolve() finds what is not contained in the resource or in its Bundle. Without it resolve()
// gives, for a reference that names a resource type, a resource of which only the type is known: enough for
// "resolve() is Patient", as search parameters have it.
func WithResolver(f Resolver) Option { return func(s *settings) { s.resolve = f } }

// WithConformance is how conformsTo() judges profiles. Without it only the types of FHIR itself are known.
func WithConformance(f Conformance) Option { return func(s *settings) { s.conforms = f } }

// WithMembership is how memberOf() judges value sets that the definitions do not hold.
func WithMembership(f Membership) Option { return func(s *settings) { s.memberOf = f } }

// WithSlicing is how slice() judges which elements belong to a slice. Without it slice() fails.
func WithSlicing(f Slicing) Option { return func(s *settings) { s.slices = f } }

// WithTrace receives what trace() is called on. The values are valid for as long as their documents.
func WithTrace(f func(name string, values Collection)) Option {
	return func(s *settings) { s.trace = f }
}

// Variable gives the environment variable %name a value.
func Variable(name string, values ...Value) Option {
	return func(s *settings) { s.vars = &scope{name, values, s.vars} }
}

// Limits bounds an evaluation: how many steps it may take, and how many values it may hold at a time. Zero keeps the
// default, a million of each.
func Limits(steps, items int) Option {
	return func(s *settings) {
		if steps > 0 {
			s.steps = steps
		}
		if items > 0 {
			s.items = items
		}
	}
}

const defaultLimit = 1_000_000

// scope is a list of variables, the innermost first.
type scope struct {
	name   string
	values []Value
	outer  *scope
}

func (s *scope) find(name string) ([]Value, bool) {
	for ; s != nil; s = s.outer {
		if s.name == name {
			return s.values, true
		}
	}
	return nil, false
}

// run is one evaluation. Results are pushed on its stack; whoever consumes them takes them off.
type run struct {
	settings
	ctx    context.Context
	model  *model
	strict bool
	stack  []Value
	this   []Value // the focus: $this
	index  int     // $index; -1 outside of a loop
	total  []Value
	focus  [1]Value
	taken  int
}

var runs = sync.Pool{New: func() any { return &run{stack: make([]Value, 0, 32)} }}

// Eval evaluates the expression. An error is a fault: Unprocessable when the expression cannot be evaluated on this
// input, TooCostly when a limit was reached; or the context's own error.
func (e *Expression) Eval(ctx context.Context, in Input, options ...Option) (Collection, error) {
	return e.Append(ctx, nil, in, options...)
}

// Append evaluates the expression and appends its results to dst.
func (e *Expression) Append(ctx context.Context, dst Collection, in Input, options ...Option) (Collection, error) {
	r := runs.Get().(*run)
	defer r.release()
	if err := r.evaluate(ctx, e, in, options); err != nil {
		return dst, err
	}
	return append(dst, r.stack...), nil
}

// Test evaluates the expression as a condition: true, false or not known (an empty result). A single value that is no
// boolean counts as true.
func (e *Expression) Test(ctx context.Context, in Input, options ...Option) (holds, known bool, err error) {
	r := runs.Get().(*run)
	defer r.release()
	if err := r.evaluate(ctx, e, in, options); err != nil {
		return false, false, err
	}
	t, err := truth(r.stack, 0)
	if err != nil {
		return false, false, e.place(err)
	}
	return t == yes, t != unknown, nil
}

func (r *run) evaluate(ctx context.Context, e *Expression, in Input, options []Option) error {
	r.ctx, r.model, r.strict, r.index = ctx, e.model, e.strict, -1
	r.settings = settings{steps: defaultLimit, items: defaultLimit}
	for _, o := range options {
		o(&r.settings)
	}
	r.focus[0] = in.bind(e.model)
	r.this = r.focus[:]
	if r.focus[0].typ == nil {
		r.this = nil
	}
	if err := e.root.eval(r, r.this); err != nil {
		return e.place(err)
	}
	return nil
}

func (r *run) release() {
	if cap(r.stack) > 1024 {
		return
	}
	clear(r.stack)
	*r = run{stack: r.stack[:0]}
	runs.Put(r)
}

func (in *Input) bind(m *model) Value {
	if in.value.typ != nil {
		return in.value
	}
	if !in.node.Exists() {
		return Value{}
	}
	t := m.typ(in.typ)
	if t == nil {
		return Value{typ: typeUnknown, node: in.node}
	}
	v := Value{typ: m.named(t, in.node), node: in.node}
	if t.primitive {
		v.under = sibling(in.node)
	}
	return v
}

// sibling finds the _name that stands beside a primitive in its document.
func sibling(n fhir.Node) fhir.Node {
	if name := n.Name(); name != "" {
		return n.Parent().Field("_" + name)
	}
	array := n.Parent()
	if array.Kind() != fhir.Array {
		return fhir.Node{}
	}
	at := 0
	for item := range array.Items() {
		if item == n {
			break
		}
		at++
	}
	return array.Parent().Field("_" + array.Name()).Index(at)
}

// tick counts work and stops an evaluation that does too much of it.
func (r *run) tick(n int) error {
	before := r.taken
	r.taken += n
	if r.taken > r.steps || len(r.stack) > r.items {
		return failure(Limit, -1, "the evaluation was stopped: it takes too much work or too much memory")
	}
	if before>>10 != r.taken>>10 {
		return r.ctx.Err()
	}
	return nil
}

func (r *run) push(v Value) { r.stack = append(r.stack, v) }

// collapse drops what lies on the stack between mark and results, so that the results start at mark.
func (r *run) collapse(mark, results int) {
	if mark == results {
		return
	}
	n := copy(r.stack[mark:], r.stack[results:])
	r.drop(mark + n)
}

// drop takes everything from mark on off the stack.
func (r *run) drop(mark int) {
	clear(r.stack[mark:])
	r.stack = r.stack[:mark]
}

// sub evaluates n on the focus. The results stay on the stack until the caller drops them.
func (r *run) sub(n node) ([]Value, error) {
	mark, vars := len(r.stack), r.vars
	err := n.eval(r, r.this)
	r.vars = vars
	return r.stack[mark:len(r.stack):len(r.stack)], err
}

// each evaluates n with every item of in as the focus, in turn. visit sees the results, which are then dropped; it
// stops the loop by returning false.
func (r *run) each(n node, in []Value, visit func(item *Value, results []Value) (bool, error)) error {
	this, index := r.this, r.index
	defer func() { r.this, r.index = this, index }()
	mark := len(r.stack)
	for i := range in {
		r.this, r.index = in[i:i+1:i+1], i
		if err := r.tick(1); err != nil {
			return err
		}
		results, err := r.sub(n)
		if err != nil {
			return err
		}
		on, err := visit(&in[i], results)
		r.drop(mark)
		if err != nil || !on {
			return err
		}
	}
	return nil
}

func (n *literal) eval(r *run, _ []Value) error {
	r.push(n.value)
	return nil
}

func (n *empty) eval(*run, []Value) error { return nil }

func (n *variable) eval(r *run, in []Value) error {
	switch n.name {
	case "$this":
		r.stack = append(r.stack, r.this...)
	case "$index":
		if r.index >= 0 {
			r.push(Integer(int64(r.index)))
		}
	default:
		r.stack = append(r.stack, r.total...)
	}
	return r.tick(1)
}

func (n *path) eval(r *run, in []Value) error {
	mark := len(r.stack)
	if err := n.left.eval(r, in); err != nil {
		return err
	}
	mid := len(r.stack)
	if err := n.right.eval(r, r.stack[mark:mid:mid]); err != nil {
		return err
	}
	r.collapse(mark, mid)
	return nil
}

func (n *index) eval(r *run, in []Value) error {
	mark := len(r.stack)
	if err := n.of.eval(r, in); err != nil {
		return err
	}
	mid := len(r.stack)
	which, err := r.sub(n.which)
	if err != nil {
		return err
	}
	at, ok, err := oneInteger(which, n.at, "an index")
	if err != nil {
		return err
	}
	if !ok || at < 0 || at >= int64(mid-mark) {
		r.drop(mark)
		return nil
	}
	r.stack[mark] = r.stack[mark+int(at)]
	r.drop(mark + 1)
	return nil
}

func (n *call) eval(r *run, in []Value) error {
	if err := r.tick(1); err != nil {
		return err
	}
	return n.fn.eval(r, n, in)
}

func (n *typing) eval(r *run, in []Value) error {
	mark := len(r.stack)
	if err := n.left.eval(r, in); err != nil {
		return err
	}
	mid := len(r.stack)
	var err error
	if n.op == "is" {
		err = r.isType(&n.types, r.stack[mark:mid:mid], n.at)
	} else {
		err = r.asType(&n.types, r.stack[mark:mid:mid], n.at)
	}
	r.collapse(mark, mid)
	return err
}
