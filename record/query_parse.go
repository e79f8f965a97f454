package record

import (
	"cmp"
	"errors"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/definition"
)

// ParseQuery understands the parameters of a search (https://hl7.org/fhir/R4/search.html) over typ, or over the types
// that _type names when typ is "". The parameter _cursor is Page.Next.
//
// A parameter that the definitions do not know is fault.Invalid, which lists those that they do; when lenient it is left out
// and an issue says so. What is known but malformed is always fault.Invalid.
func (r *Records) ParseQuery(typ string, params url.Values, lenient bool) (Query, []fault.Issue, error) {
	p := &parser{defs: r.index.defs, lenient: lenient}
	q := Query{Type: typ, Count: defaultCount, conds: map[string][]cond{}}
	if typ != "" && !r.index.isResource(typ) {
		return q, nil, fault.New(fault.NotFound, "There is no resource type %q.", typ)
	}
	if err := p.types(&q, params); err != nil {
		return q, nil, err
	}
	names := make([]string, 0, len(params))
	for name := range params {
		names = append(names, name)
	}
	slices.Sort(names)
	bound := url.Values{}
	for _, name := range names {
		for _, text := range params[name] {
			if err := p.one(&q, name, text); err != nil {
				return q, nil, err
			}
		}
		if name != "_cursor" && name != "_format" && name != "_pretty" {
			bound[name] = params[name]
		}
	}
	q.text = typ + "?" + bound.Encode()
	return q, p.issues, nil
}

type parser struct {
	defs    *definition.Set
	lenient bool
	issues  []fault.Issue
	depth   int
}

// maxHops bounds how many resources a chain may go through.
const maxHops = 8

func (p *parser) types(q *Query, params url.Values) error {
	if q.Type != "" {
		return nil
	}
	for _, list := range params["_type"] {
		for _, typ := range strings.Split(list, ",") {
			if !p.defs.IsResource(typ) {
				return fault.New(fault.Invalid, "_type: there is no resource type %q.", typ)
			}
			if !slices.Contains(q.Types, typ) {
				q.Types = append(q.Types, typ)
			}
		}
	}
	if len(q.Types) == 0 {
		q.Types = p.defs.ResourceTypes()
	}
	return nil
}

// one understands one parameter with one value.
func (p *parser) one(q *Query, name, text string) error {
	known, err := p.result(q, name, text)
	if known || err != nil {
		return err
	}
	if strings.TrimSpace(text) == "" {
		return fault.New(fault.Invalid, "The parameter %s has no value.", name)
	}
	if q.Type != "" {
		return p.add(q, q.Type, name, text)
	}
	for _, typ := range q.Types {
		if err := p.add(q, typ, name, text); err != nil {
			return err
		}
	}
	return nil
}

func (p *parser) add(q *Query, typ, name, text string) error {
	c, err := p.cond(typ, name, text)
	if err == nil {
		q.conds[typ] = append(q.conds[typ], c)
		return nil
	}
	var u unknownParam
	if errors.As(err, &u) && p.lenient {
		p.issues = append(p.issues, fault.Issue{Severity: "warning", Code: "not-supported",
			Diagnostics: "The parameter " + u.name + " is not known for " + u.typ + " and was left out."})
		return nil
	}
	return err
}

// unknownParam is a parameter that the definitions of a type do not have.
type unknownParam struct {
	error
	typ, name string
}

func (u unknownParam) Unwrap() error { return u.error }

func (p *parser) unknown(typ, name string) error {
	var known []string
	for _, sp := range p.defs.SearchParameters(typ) {
		if formOf(&sp) != formUnknown {
			known = append(known, sp.Code)
		}
	}
	return unknownParam{fault.WithIssues(fault.Invalid, "The parameter "+name+" is not known for "+typ+".", fault.Issue{
		Severity: "error", Code: "not-supported",
		Diagnostics: "The parameter " + name + " is not known for " + typ + ". Known are: " + strings.Join(known, ", ") + "."}), typ, name}
}

const formUnknown = form(255)

// formOf is how a parameter is found by its type.
func formOf(sp *definition.SearchParameter) form {
	switch sp.Code {
	case "_id":
		return formID
	case "_lastUpdated":
		return formUpdated
	case "_text", "_content":
		return formText
	case "near":
		return formNear
	case "_query", "_list", "_has", "_type", "_filter":
		return formUnknown
	}
	switch sp.Type {
	case "token":
		return formToken
	case "string":
		return formString
	case "date":
		return formDate
	case "number":
		return formNumber
	case "quantity":
		return formQuantity
	case "reference":
		return formReference
	case "uri":
		return formURI
	case "composite":
		return formComposite
	}
	return formUnknown
}

// cond understands name=text for typ: a parameter, a chain or a _has.
func (p *parser) cond(typ, name, text string) (cond, error) {
	if p.depth++; p.depth > maxHops {
		return cond{}, fault.New(fault.Invalid, "A chain may go through %d resources at most.", maxHops-1)
	}
	defer func() { p.depth-- }()
	if rest, ok := strings.CutPrefix(name, "_has:"); ok {
		return p.has(typ, name, rest, text)
	}
	head, tail, chained := strings.Cut(name, ".")
	code, modifier, _ := strings.Cut(head, ":")
	sp, ok := p.defs.SearchParameter(typ, code)
	if !ok || formOf(sp) == formUnknown {
		return cond{}, p.unknown(typ, code)
	}
	if chained {
		return p.chain(sp, modifier, tail, name, text)
	}
	c := cond{code: code, param: sp, form: formOf(sp), modifier: modifier}
	return c, p.values(&c, text)
}

// has understands _has:Other:parameter:rest=text: this resource is referred to by an Other that satisfies the rest.
func (p *parser) has(typ, name, rest, text string) (cond, error) {
	parts := strings.SplitN(rest, ":", 3)
	if len(parts) < 3 {
		return cond{}, fault.New(fault.Invalid, "%s: write _has:Type:reference:parameter.", name)
	}
	if !p.defs.IsResource(parts[0]) {
		return cond{}, fault.New(fault.Invalid, "%s: there is no resource type %q.", name, parts[0])
	}
	sp, ok := p.defs.SearchParameter(parts[0], parts[1])
	if !ok || sp.Type != "reference" {
		return cond{}, fault.New(fault.Invalid, "%s: %s is no reference parameter of %s.", name, parts[1], parts[0])
	}
	if !mayPointAt(sp, typ) {
		return cond{}, fault.New(fault.Invalid, "%s: %s of %s does not refer to a %s.", name, parts[1], parts[0], typ)
	}
	inner, err := p.cond(parts[0], parts[2], text)
	if err != nil {
		return cond{}, err
	}
	return cond{code: "_has", form: formHas, target: parts[0], via: parts[1], inner: map[string][]cond{parts[0]: {inner}}}, nil
}

func mayPointAt(sp *definition.SearchParameter, typ string) bool {
	return len(sp.Targets) == 0 || slices.Contains(sp.Targets, typ) || slices.Contains(sp.Targets, "Resource")
}

// chain understands reference[:Type].rest=text.
func (p *parser) chain(sp *definition.SearchParameter, modifier, tail, name, text string) (cond, error) {
	if sp.Type != "reference" {
		return cond{}, fault.New(fault.Invalid, "%s: %s is no reference, so nothing can be chained to it.", name, sp.Code)
	}
	targets := sp.Targets
	if modifier != "" {
		if !p.defs.IsResource(modifier) || !mayPointAt(sp, modifier) {
			return cond{}, fault.New(fault.Invalid, "%s: %s does not refer to a %q.", name, sp.Code, modifier)
		}
		targets = []string{modifier}
	}
	if len(targets) == 0 || slices.Contains(targets, "Resource") {
		targets = p.defs.ResourceTypes()
	}
	c := cond{code: sp.Code, param: sp, form: formChain, inner: map[string][]cond{}}
	var first error
	for _, target := range targets {
		inner, err := p.cond(target, tail, text)
		if err != nil {
			if first == nil {
				first = err
			}
			continue
		}
		c.inner[target] = []cond{inner}
	}
	if len(c.inner) == 0 {
		return cond{}, first
	}
	return c, nil
}

// result understands the parameters that say how to answer; known is false for any other.
func (p *parser) result(q *Query, name, text string) (known bool, err error) {
	switch name {
	case "_format", "_pretty", "_type":
		return true, nil
	case "_cursor":
		q.Cursor = text
	case "_count":
		n, err := strconv.Atoi(text)
		if err != nil || n < 0 {
			return true, fault.New(fault.Invalid, "_count is a number of entries, not %q.", text)
		}
		if q.Count = min(n, maxCount); n == 0 { // "treated the same as _summary=count" (https://hl7.org/fhir/R4/search.html#count)
			q.Total = "accurate"
		}
	case "_total":
		if text != "none" && text != "estimate" && text != "accurate" {
			return true, fault.New(fault.Invalid, "_total is none, estimate or accurate, not %q.", text)
		}
		q.Total = text
	case "_summary":
		if !slices.Contains([]string{"true", "text", "data", "count", "false"}, text) {
			return true, fault.New(fault.Invalid, "_summary is true, text, data, count or false, not %q.", text)
		}
		if q.Summary = text; text == "count" {
			q.Count, q.Total = 0, "accurate"
		}
	case "_elements":
		q.Elements = append(q.Elements, strings.Split(text, ",")...)
	case "_sort":
		return true, p.sort(q, text)
	case "_contained", "_containedType":
		if text != "false" && name == "_contained" {
			return true, fault.New(fault.Invalid, "Contained resources are not searched; only _contained=false is understood.")
		}
	default:
		return p.include(q, name, text)
	}
	return true, nil
}

func (p *parser) sort(q *Query, text string) error {
	for _, code := range strings.Split(text, ",") {
		k := sortKey{}
		k.code, k.desc = strings.CutPrefix(code, "-")
		if k.code != "_id" && k.code != "_lastUpdated" {
			if q.Type == "" {
				return severalSorts()
			}
			sp, ok := p.defs.SearchParameter(q.Type, k.code)
			if !ok || !sortable(sp) {
				return fault.New(fault.Invalid, "_sort: %s cannot be sorted by %q.", q.Type, k.code)
			}
			k.param = sp
		}
		q.sort = append(q.sort, k)
	}
	if q.Type == "" && len(q.sort) > 1 {
		return severalSorts()
	}
	return nil
}

func severalSorts() error {
	return fault.New(fault.Invalid, "_sort: a search over several types sorts by _id or by _lastUpdated.")
}

func sortable(sp *definition.SearchParameter) bool {
	switch formOf(sp) {
	case formToken, formString, formDate, formNumber, formQuantity, formURI, formReference:
		return true
	}
	return false
}

func (p *parser) include(q *Query, name, text string) (known bool, err error) {
	head, modifier, _ := strings.Cut(name, ":")
	if head != "_include" && head != "_revinclude" {
		return false, nil
	}
	inc := include{reverse: head == "_revinclude"}
	switch modifier {
	case "":
	case "iterate", "recurse":
		inc.iterate = true
	default:
		return true, fault.New(fault.Invalid, "%s: only :iterate may follow.", name)
	}
	parts := strings.SplitN(text, ":", 3)
	if len(parts) == 1 && parts[0] == "*" {
		parts = []string{cmp.Or(q.Type, "*"), "*"}
		if inc.reverse {
			return true, fault.New(fault.Invalid, "_revinclude: say which type refers, for example Observation:*.")
		}
	}
	if len(parts) < 2 || parts[0] != "*" && !p.defs.IsResource(parts[0]) {
		return true, fault.New(fault.Invalid, "%s: write Type:parameter or Type:parameter:TargetType.", name)
	}
	inc.source, inc.param = parts[0], parts[1]
	if inc.param != "*" {
		if sp, ok := p.defs.SearchParameter(inc.source, inc.param); !ok || sp.Type != "reference" {
			return true, fault.New(fault.Invalid, "%s: %s is no reference parameter of %s.", name, inc.param, inc.source)
		}
	}
	if len(parts) == 3 {
		if !p.defs.IsResource(parts[2]) {
			return true, fault.New(fault.Invalid, "%s: there is no resource type %q.", name, parts[2])
		}
		inc.target = parts[2]
	}
	q.includes = append(q.includes, inc)
	return true, nil
}

func unknownCompartment(name string) error {
	return fault.New(fault.NotFound, "There is no compartment %q.", name)
}

func notInCompartment(typ, compartment string) error {
	return fault.New(fault.Invalid, "A %s does not belong to a %s's compartment.", typ, compartment)
}
