package search

import (
	"context"
	"slices"
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
	engine     evaluator // for what is not a simple path; nil otherwise
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

// compiled is every parameter of a resource type that has an expression, in the order of its codes.
func (x *Index) compiled(resourceType string) ([]parameter, error) {
	type result struct {
		parameters []parameter
		err        error
	}
	r := x.defs.Memo(parametersKey(resourceType), func() any {
		var r result
		r.parameters, r.err = x.compile(resourceType)
		return r
	}).(result)
	return r.parameters, r.err
}

func (x *Index) compile(resourceType string) ([]parameter, error) {
	if !x.defs.IsResource(resourceType) {
		return nil, fault.New(fault.Unprocessable, "the definitions do not know this type of resource")
	}
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
			p.routes = nil
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
	parameters, err := x.compiled(r.Type())
	if err != nil {
		return nil, err
	}
	w := walker{x: x, root: r.Root(), resourceType: r.Type(), entries: make([]Entry, 0, 32)}
	for i := range parameters {
		if err := w.parameter(&parameters[i]); err != nil {
			return nil, err
		}
	}
	return w.entries, nil
}

// Values draws the values of one parameter; none if the type has no such parameter.
func (x *Index) Values(r *fhir.Resource, code string) ([]Value, error) {
	parameters, err := x.compiled(r.Type())
	if err != nil {
		return nil, err
	}
	w := walker{x: x, root: r.Root(), resourceType: r.Type()}
	i, found := slices.BinarySearchFunc(parameters, code, func(p parameter, code string) int {
		return strings.Compare(p.definition.Code, code)
	})
	if !found {
		return nil, nil
	}
	if err := w.parameter(&parameters[i]); err != nil {
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
	entries      []Entry
	code         string
	kind         kind
	bound        string
	parts        *[]Value // where a composite's component collects, instead of entries
}

func (w *walker) add(v Value) {
	if w.parts != nil {
		*w.parts = append(*w.parts, v)
		return
	}
	w.entries = append(w.entries, Entry{w.code, v})
}

func (w *walker) parameter(p *parameter) error {
	w.code, w.kind = p.definition.Code, p.kind
	if p.kind == kindComposite {
		return w.composites(p)
	}
	return w.draw(p, w.root)
}

// draw adds the values that p's paths find below n.
func (w *walker) draw(p *parameter, n fhir.Node) error {
	if p.engine != nil {
		return p.engine.each(context.Background(), w.root, w.resourceType, n, func(typ string, found fhir.Node) { w.found(typ, found) })
	}
	for i := range p.routes {
		r := &p.routes[i]
		from := n
		if r.anchor {
			from = w.root
		}
		w.bound = r.bound
		if r.exists {
			w.existence(p.routes, from)
			return nil
		}
		w.walk(r, r.steps, from, func(found fhir.Node) { w.found(r.typ, found) })
	}
	w.bound = ""
	return nil
}

// walk follows the steps from n, through every element of the arrays on the way.
func (w *walker) walk(r *route, steps []step, n fhir.Node, found func(fhir.Node)) {
	for i := range steps {
		s := &steps[i]
		switch s.kind {
		case stepField:
			n = n.Field(s.name)
			if !n.Exists() {
				return
			}
			if n.Kind() == fhir.Array {
				rest := steps[i+1:]
				if len(rest) > 0 && rest[0].kind == stepIndex {
					w.walk(r, rest[1:], n.Index(rest[0].number), found)
					return
				}
				for item := range n.Items() {
					w.walk(r, rest, item, found)
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
		found(n)
	}
}

// existence adds true or false: whether something is there that is not the literal false.
func (w *walker) existence(routes []route, n fhir.Node) {
	is := "false"
	for i := range routes {
		w.walk(&routes[i], routes[i].steps, n, func(found fhir.Node) {
			if found.Kind() != fhir.Bool || found.Bool() {
				is = "true"
			}
		})
	}
	w.add(Token{Code: is})
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

// composites adds every combination of the values of p's components, for each element that p's paths find.
func (w *walker) composites(p *parameter) error {
	var err error
	each := func(n fhir.Node) {
		lists := make([][]Value, len(p.parts))
		for i := range p.parts {
			w.parts, w.kind = &lists[i], p.parts[i].kind
			if err == nil {
				err = w.draw(&p.parts[i], n)
			}
			w.parts = nil
			if len(lists[i]) == 0 {
				return
			}
		}
		w.combine(lists)
	}
	for i := range p.routes {
		w.walk(&p.routes[i], p.routes[i].steps, w.root, each)
	}
	return err
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
