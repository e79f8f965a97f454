package search

import (
	"slices"
	"strings"

	"github.com/openspine/openspine/fhir/definition"
)

// Nearly every search parameter is a path or a union of paths, perhaps narrowed to a type or by one condition. Those are
// compiled here into routes: lists of JSON member names that can be walked without an engine. Anything else is given to
// fhir/fhirpath.

// route leads from the resource to values of one type.
type route struct {
	steps  []step
	head   int    // number of the first step's name among the resource's members; -1 if it is none
	typ    string // type of what is found
	bound  string // the system implied by a code's binding
	anchor bool   // starts at the resource even inside a composite
	exists bool   // gives true or false: exists and is not false
}

type stepKind uint8

const (
	stepField stepKind = iota // the member name, each element of it if it is an array
	stepIndex                 // the element at number, of what the step before found
	stepWhere                 // keep what has the member name with the text value
	stepIs                    // keep references whose target is of type name
)

type step struct {
	kind   stepKind
	name   string
	value  string
	number int
}

// reader takes an expression apart.
type reader struct {
	defs *definition.Set
	typ  string // the type that the expression starts from
	rest string
	bad  bool
}

// compileRoutes gives the routes of an expression from a value of type typ, and whether it is simple enough for that.
// A union's members that start from other resource types give none.
func compileRoutes(defs *definition.Set, resourceType, typ, expression string) ([]route, bool) {
	if subject, ok := strings.CutSuffix(expression, " != false"); ok {
		a, b, two := strings.Cut(subject, ".exists() and ")
		if !two || a != b {
			return nil, false
		}
		routes, ok := compileRoutes(defs, resourceType, typ, a)
		for i := range routes {
			routes[i].exists = true
			routes[i].typ = "boolean"
		}
		return routes, ok
	}
	p := &reader{defs: defs, typ: typ, rest: expression}
	routes := p.union(resourceType)
	p.spaces()
	if p.bad || p.rest != "" {
		return nil, false
	}
	return routes, true
}

func (p *reader) spaces() { p.rest = strings.TrimLeft(p.rest, " \t\r\n") }

func (p *reader) take(s string) bool {
	p.spaces()
	rest, ok := strings.CutPrefix(p.rest, s)
	if ok {
		p.rest = rest
	}
	return ok
}

func (p *reader) need(s string) {
	if !p.take(s) {
		p.bad = true
	}
}

func (p *reader) name() string {
	p.spaces()
	n := 0
	for n < len(p.rest) {
		c := p.rest[n]
		if c != '_' && (c|0x20 < 'a' || c|0x20 > 'z') && (n == 0 || c < '0' || c > '9') {
			break
		}
		n++
	}
	s := p.rest[:n]
	p.rest = p.rest[n:]
	if s == "" {
		p.bad = true
	}
	return s
}

func (p *reader) literal() string {
	p.need("'")
	s, rest, ok := strings.Cut(p.rest, "'")
	if !ok || strings.Contains(s, `\`) {
		p.bad = true
		return ""
	}
	p.rest = rest
	return s
}

func (p *reader) union(resourceType string) []route {
	routes := p.term(resourceType)
	for !p.bad && p.take("|") {
		routes = append(routes, p.term(resourceType)...)
	}
	return routes
}

func (p *reader) term(resourceType string) []route {
	var routes []route
	switch {
	case p.take("("):
		routes = p.union(resourceType)
		p.need(")")
	case p.take("%resource"):
		routes = []route{{typ: resourceType, anchor: true}}
	default:
		routes = p.start(resourceType)
	}
	for !p.bad {
		switch {
		case p.take("."):
			routes = p.step(routes)
		case p.take("["):
			digits := len(p.rest) - len(strings.TrimLeft(p.rest, "0123456789"))
			if digits == 0 || digits > 4 {
				p.bad = true
				return nil
			}
			number := 0
			for _, c := range p.rest[:digits] {
				number = number*10 + int(c-'0')
			}
			p.rest = p.rest[digits:]
			p.need("]")
			routes = extend(routes, step{kind: stepIndex, number: number})
		case p.take("as "):
			routes = narrow(routes, p.name())
		default:
			return routes
		}
	}
	return nil
}

// start is the first name of a path: the type that it starts from, or a member of it.
func (p *reader) start(resourceType string) []route {
	name := p.name()
	if p.bad {
		return nil
	}
	root := route{typ: p.typ}
	switch {
	case name[0] < 'A' || name[0] > 'Z':
		return p.field([]route{root}, name)
	case p.defs.IsA(p.typ, name):
		return []route{root}
	}
	return nil // a path of another resource type: it is read on, and leads nowhere
}

func (p *reader) step(routes []route) []route {
	name := p.name()
	if !p.take("(") {
		return p.field(routes, name)
	}
	switch name {
	case "as", "ofType":
		routes = narrow(routes, p.name())
	case "where":
		if p.take("resolve()") {
			p.need("is ")
			routes = extend(routes, step{kind: stepIs, name: p.name()})
		} else {
			member := p.name()
			p.need("=")
			routes = extend(routes, step{kind: stepWhere, name: member, value: p.literal()})
		}
	default:
		p.bad = true
	}
	p.need(")")
	return routes
}

// field follows a member; a choice branches into a route for each of its types.
func (p *reader) field(routes []route, name string) []route {
	var next []route
	for _, r := range routes {
		t := p.defs.Type(r.typ)
		if t == nil {
			continue
		}
		e, ok := t.ElementByName(name)
		if !ok {
			continue
		}
		names := []string{name}
		if e.Choice {
			names = names[:0]
			for _, ref := range e.Types {
				names = append(names, name+strings.ToUpper(ref.Code[:1])+ref.Code[1:])
			}
		}
		for _, json := range names {
			if _, typ, ok := t.Element(json); ok {
				branch := extend([]route{r}, step{kind: stepField, name: json})[0]
				branch.typ = typ
				branch.bound = impliedSystem(p.defs, e, typ)
				next = append(next, branch)
			}
		}
	}
	return next
}

// narrow keeps the routes that lead to the type. R4 writes DateTime for dateTime in one place.
func narrow(routes []route, typ string) []route {
	return slices.DeleteFunc(routes, func(r route) bool { return !strings.EqualFold(r.typ, typ) })
}

func extend(routes []route, s step) []route {
	next := make([]route, len(routes))
	for i, r := range routes {
		r.steps = append(slices.Clip(r.steps), s)
		next[i] = r
	}
	return next
}

// impliedSystem is the one system that a code's required binding draws from; "" if there are none or several.
func impliedSystem(defs *definition.Set, e *definition.Element, typ string) string {
	if typ != "code" || e.Binding == nil || e.Binding.Strength != "required" {
		return ""
	}
	return onlySystem(defs, e.Binding.ValueSet, 3)
}

func onlySystem(defs *definition.Set, url string, deep int) string {
	v := defs.ValueSet(url)
	if v == nil || deep == 0 {
		return ""
	}
	system := ""
	for _, in := range v.Include {
		found := []string{in.System}
		if in.System == "" {
			found = found[:0]
			for _, inner := range in.ValueSets {
				found = append(found, onlySystem(defs, inner, deep-1))
			}
		}
		for _, s := range found {
			if s == "" || system != "" && system != s {
				return ""
			}
			system = s
		}
	}
	return system
}
