package search

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
)

// Index draws search values by one set of definitions. It is safe for any number of goroutines.
type Index struct {
	defs *definition.Set
	zone *time.Location
}

type indexKey struct{}

// For is the index of a set of definitions; one per set, kept as long as the set. Dates without a time zone are in UTC.
func For(defs *definition.Set) *Index {
	return defs.Memo(indexKey{}, func() any { return &Index{defs: defs, zone: time.UTC} }).(*Index)
}

// parameter is a search parameter of one resource type, compiled.
type parameter struct {
	definition *definition.SearchParameter
	kind       kind
	routes     []route
	engine     *engine // for what is not a simple path; nil otherwise
	from       string  // the type of what the engine starts from
	parts      []parameter
}

type kind uint8

const (
	kindNone kind = iota
	kindToken
	kindString
	kindDate
	kindNumber
	kindQuantity
	kindReference
	kindURI
	kindComposite
	kindNear
)

// kinds are the names of parameter types in the definitions.
func kindOf(p *definition.SearchParameter) kind {
	switch p.Type {
	case "token":
		return kindToken
	case "string":
		return kindString
	case "date":
		return kindDate
	case "number":
		return kindNumber
	case "quantity":
		return kindQuantity
	case "reference":
		return kindReference
	case "uri":
		return kindURI
	case "composite":
		return kindComposite
	case "special":
		if p.Code == "near" {
			return kindNear
		}
	}
	return kindNone
}

type parametersKey string

// parameters is every parameter of a resource type that has an expression, in the order of their codes.
type parameters struct {
	list  []parameter
	heads map[string]int // the members of the resource that some path starts with, numbered
	err   error
}

// compiled gives the parameters of a type, compiled on first use.
func (x *Index) compiled(resourceType string) (*parameters, error) {
	// Only known types are remembered: names come from documents and would pile up.
	if !x.defs.IsResource(resourceType) {
		return nil, fault.New(fault.Unprocessable, "the definitions do not know this type of resource")
	}
	c := x.defs.Memo(parametersKey(resourceType), func() any {
		c := &parameters{heads: map[string]int{}}
		c.list, c.err = x.compile(resourceType)
		for i := range c.list {
			routes := c.list[i].routes
			for j := range routes {
				routes[j].head = -1
				if steps := routes[j].steps; len(steps) > 0 && steps[0].kind == stepField {
					name := steps[0].name
					if _, known := c.heads[name]; !known {
						c.heads[name] = len(c.heads)
					}
					routes[j].head = c.heads[name]
				}
			}
		}
		return c
	}).(*parameters)
	return c, c.err
}

func (x *Index) compile(resourceType string) ([]parameter, error) {
	list := x.defs.SearchParameters(resourceType)
	out := make([]parameter, 0, len(list))
	for i := range list {
		if list[i].Expression == "" || kindOf(&list[i]) == kindNone {
			continue
		}
		p, err := x.parameter(resourceType, []string{resourceType}, &list[i], list[i].Expression)
		if err != nil {
			return nil, err
		}
		if len(p.routes) > 0 || p.engine != nil {
			out = append(out, p)
		}
	}
	return out, nil
}

// parameter compiles an expression that starts from values of the given types.
func (x *Index) parameter(resourceType string, from []string, d *definition.SearchParameter, expression string) (parameter, error) {
	p := parameter{definition: d, kind: kindOf(d)}
	for _, typ := range from {
		routes, simple := compileRoutes(x.defs, resourceType, typ, expression)
		if !simple {
			var err error
			p.routes, p.from = nil, typ
			if p.engine, err = compileEngine(x.defs, expression); err != nil {
				return p, fault.Wrap(err, fault.Internal, "the search parameter %s", d.URL)
			}
			break
		}
		for _, r := range routes {
			if !slices.ContainsFunc(p.routes, func(o route) bool { return slices.Equal(o.steps, r.steps) && o.anchor == r.anchor }) {
				p.routes = append(p.routes, r)
			}
		}
	}
	if p.kind != kindComposite {
		return p, nil
	}
	var types []string
	for _, r := range p.routes {
		types = append(types, r.typ)
	}
	for _, c := range d.Components {
		inner, ok := x.defs.SearchParameterByURL(c.Definition)
		if !ok {
			return p, fault.New(fault.Internal, "the search parameter %s has an unknown component", d.URL)
		}
		part, err := x.parameter(resourceType, types, inner, c.Expression)
		if err != nil {
			return p, err
		}
		p.parts = append(p.parts, part)
	}
	return p, nil
}

// Extract draws the values of every parameter of the resource's type. Parameters without an expression (_text, _content:
// see Narrative and Content) give none, and a value that is not of its type (a date that is none) is passed over: telling its author is
// what validation is for. A type that the definitions do not know is fault.Unprocessable.
func (x *Index) Extract(r *fhir.Resource) ([]Entry, error) {
	c, err := x.compiled(r.Type())
	if err != nil {
		return nil, err
	}
	w := x.walker(r, c)
	w.entries = make([]Entry, 0, 48)
	for i := range c.list {
		if err := w.parameter(&c.list[i]); err != nil {
			return nil, err
		}
	}
	return w.entries, nil
}

// Values draws the values of one parameter; none if the type has no such parameter.
func (x *Index) Values(r *fhir.Resource, code string) ([]Value, error) {
	c, err := x.compiled(r.Type())
	if err != nil {
		return nil, err
	}
	i, found := slices.BinarySearchFunc(c.list, code, func(p parameter, code string) int {
		return strings.Compare(p.definition.Code, code)
	})
	if !found {
		return nil, nil
	}
	w := walker{x: x, root: r.Root(), resourceType: r.Type()}
	if err := w.parameter(&c.list[i]); err != nil {
		return nil, err
	}
	values := make([]Value, len(w.entries))
	for i := range w.entries {
		values[i] = w.entries[i].Value
	}
	return values, nil
}

// walker draws values from one resource.
type walker struct {
	x            *Index
	root         fhir.Node
	resourceType string
	heads        []fhir.Node // the resource's members by the numbers that routes know them by; nil if not looked up
	known        []knownValue
	entries      []Entry
	code         string
	kind         kind
	bound        string
	goal         goal
	composite    *parameter
	parts        *[]Value // where a composite's component collects, instead of entries
	is           bool     // what goalExistence has found
	err          error
}

// goal is what is done with what a walk arrives at.
type goal uint8

const (
	goalValue goal = iota
	goalExistence
	goalComposite
)

// knownValue is a value made before: the same name is looked at by family, name and phonetic.
type knownValue struct {
	node  fhir.Node
	kind  kind
	value Value
}

// maxKnown bounds the list of known values, which is searched from end to end.
const maxKnown = 24

// walker starts a walk for many parameters: the resource's members are looked up once for all of them.
func (x *Index) walker(r *fhir.Resource, c *parameters) walker {
	w := walker{x: x, root: r.Root(), resourceType: r.Type(), heads: make([]fhir.Node, len(c.heads)), known: make([]knownValue, 0, maxKnown)}
	for name, n := range w.root.Fields() {
		if i, ok := c.heads[name]; ok {
			w.heads[i] = n
		}
	}
	return w
}

// recall adds the value that was made of n before, if there is one.
func (w *walker) recall(n fhir.Node) bool {
	for i := range w.known {
		if k := &w.known[i]; k.node == n && k.kind == w.kind {
			w.add(k.value)
			return true
		}
	}
	return false
}

// addKnown adds a value and remembers that it was made of n.
func (w *walker) addKnown(n fhir.Node, v Value) {
	if len(w.known) < cap(w.known) {
		w.known = append(w.known, knownValue{n, w.kind, v})
	}
	w.add(v)
}

func (w *walker) add(v Value) {
	if w.parts != nil {
		*w.parts = append(*w.parts, v)
		return
	}
	w.entries = append(w.entries, Entry{w.code, v})
}

func (w *walker) parameter(p *parameter) error {
	w.code, w.kind, w.goal = p.definition.Code, p.kind, goalValue
	switch {
	case p.kind == kindComposite:
		w.goal, w.composite = goalComposite, p
	case len(p.routes) > 0 && p.routes[0].exists:
		w.goal, w.is = goalExistence, false
	}
	w.draw(p, w.root)
	if w.goal == goalExistence {
		w.add(Token{Code: strconv.FormatBool(w.is)})
	}
	return w.err
}

// draw walks p's paths from n.
func (w *walker) draw(p *parameter, n fhir.Node) {
	if p.engine != nil {
		if err := p.engine.each(w, p.from, n); err != nil {
			w.err = err
		}
		return
	}
	atRoot := w.heads != nil && n == w.root
	for i := range p.routes {
		r := &p.routes[i]
		if atRoot && r.head >= 0 && w.parts == nil && !w.heads[r.head].Exists() {
			continue
		}
		from := n
		if r.anchor {
			from = w.root
		}
		w.bound = r.bound
		w.walk(r, r.steps, from)
	}
	w.bound = ""
}

// walk follows the steps from n, through every element of the arrays on the way.
func (w *walker) walk(r *route, steps []step, n fhir.Node) {
	for i := range steps {
		s := &steps[i]
		switch s.kind {
		case stepField:
			if i == 0 && w.heads != nil && w.parts == nil && r.head >= 0 && n == w.root {
				n = w.heads[r.head]
			} else {
				n = n.Field(s.name)
			}
			if !n.Exists() {
				return
			}
			if n.Kind() == fhir.Array {
				rest := steps[i+1:]
				if len(rest) > 0 && rest[0].kind == stepIndex {
					w.walk(r, rest[1:], n.Index(rest[0].number))
					return
				}
				for item := range n.Items() {
					w.walk(r, rest, item)
				}
				return
			}
		case stepIndex:
			if s.number != 0 {
				return
			}
		case stepWhere:
			if n.Field(s.name).String() != s.value {
				return
			}
		case stepIs:
			if w.target(n) != s.name {
				return
			}
		}
	}
	if n.Exists() && n.Kind() != fhir.Null {
		w.arrive(r.typ, n)
	}
}

// arrive does with a node of a type what the walk is for.
func (w *walker) arrive(typ string, n fhir.Node) {
	switch w.goal {
	case goalExistence:
		w.is = w.is || n.Kind() != fhir.Bool || n.Bool()
	case goalComposite:
		w.combinations(n)
	default:
		w.found(typ, n)
	}
}

// target is the type of the resource that a Reference points at, as far as the document tells.
func (w *walker) target(n fhir.Node) string {
	text := n.Field("reference").String()
	if id, ok := strings.CutPrefix(text, "#"); ok {
		if id == "" {
			return w.resourceType
		}
		for c := range w.root.Field("contained").Items() {
			if c.Field("id").String() == id {
				return c.Field("resourceType").String()
			}
		}
		return ""
	}
	if ref := ParseReference(text); ref.Type != "" {
		return ref.Type
	}
	return n.Field("type").String()
}

// maxCombinations bounds what one element of a composite may multiply to.
const maxCombinations = 1024

// combinations adds every combination of the values of the composite's components below n.
func (w *walker) combinations(n fhir.Node) {
	p := w.composite
	var room [4][]Value
	lists := room[:0]
	w.goal = goalValue
	for i := range p.parts {
		var list []Value
		w.parts, w.kind = &list, p.parts[i].kind
		w.draw(&p.parts[i], n)
		if len(list) == 0 {
			break
		}
		lists = append(lists, list)
	}
	w.parts, w.goal = nil, goalComposite
	if len(lists) == len(p.parts) {
		w.combine(lists)
	}
}

func (w *walker) combine(lists [][]Value) {
	total := 1
	for _, l := range lists {
		if total *= len(l); total > maxCombinations {
			total = maxCombinations
			break
		}
	}
	for n := range total {
		parts := make([]Value, len(lists))
		for i, l := range lists {
			parts[i] = l[n%len(l)]
			n /= len(l)
		}
		w.add(Composite{parts})
	}
}
