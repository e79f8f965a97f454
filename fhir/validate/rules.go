package validate

import (
	"context"
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirpath"
)

// rule is an invariant made ready to be tested.
type rule struct {
	definition.Constraint
	// holds tests the rule in Go, for those that stand on very common types; expression all others.
	holds      func(n fhir.Node) bool
	expression *fhirpath.Expression
}

// structural are the rules that the walk itself keeps, in every level, with better words than an expression has.
var structural = setOf("ele-1 ext-1 dom-2 dom-3 dom-4 dom-5 txt-1 txt-2 ref-1")

// inGo are rules on very common types, written in Go because they are tested so often. A test holds each to its
// FHIRPath on every example.
var inGo = map[string]func(n fhir.Node) bool{
	"qty-3": func(n fhir.Node) bool { return !present(n, "code") || present(n, "system") },
	"cpt-2": func(n fhir.Node) bool { return !present(n, "value") || present(n, "system") },
	"att-1": func(n fhir.Node) bool { return !present(n, "data") || present(n, "contentType") },
	"dom-6": func(n fhir.Node) bool { return present(n.Field("text"), "div") },
}

// present says whether a primitive has a value or, failing that, an id or extensions.
func present(n fhir.Node, name string) bool {
	return n.Field(name).Exists() || n.Field("_"+name).Exists()
}

// compile readies the rules of a type or an element, without those that are structural or already in others.
func (p *plan) compile(typ string, list, others []definition.Constraint) []*rule {
	var out []*rule
	for _, c := range list {
		if structural[c.Key] || has(others, c.Key) {
			continue
		}
		key := typ + "\x00" + c.Key + "\x00" + c.Expression
		r, ok := p.rules.Load(key)
		if !ok {
			r, _ = p.rules.LoadOrStore(key, p.ready(typ, c))
		}
		if r := r.(*rule); r.holds != nil || r.expression != nil {
			out = append(out, r)
		}
	}
	return out
}

func has(list []definition.Constraint, key string) bool {
	for i := range list {
		if list[i].Key == key {
			return true
		}
	}
	return false
}

// words says a rule for people: in our own words where it is met often, else by its expression.
func (r *rule) words(typ string) string {
	say := sayings[r.Key]
	switch {
	case say != "":
	case strings.HasPrefix(r.Expression, "name.matches('[A-Z]"):
		say = machineName
	default:
		say = r.Human
	}
	if say != "" {
		return strings.TrimSuffix(say, ".") + " (rule " + r.Key + ")."
	}
	return "This " + typ + " breaks rule " + r.Key + ", which requires that " + r.Expression
}

// ready compiles a rule. One whose expression cannot be compiled holds everywhere; a test shows that R4 has none.
func (p *plan) ready(typ string, c definition.Constraint) *rule {
	r := &rule{Constraint: c, holds: inGo[c.Key]}
	if r.holds == nil {
		if e, err := fhirpath.Compile(c.Expression, fhirpath.WithDefinitions(p.set)); err == nil {
			r.expression = e
		}
	}
	return r
}

// member answers memberOf() from the definitions.
func (p *plan) member(_ context.Context, valueSet, system, code string) (in, known bool, err error) {
	v := p.set.ValueSet(valueSet)
	if v == nil {
		return false, false, nil
	}
	in, known = v.Contains(system, code)
	return in, known, nil
}

// apply tests rules on a value. A contained resource need not follow best practice: its narrative is its container's.
func (w *walker) apply(n fhir.Node, typ string, rules []*rule) {
	for _, r := range rules {
		if w.ctx.Err() != nil || w.full() {
			return
		}
		if r.BestPractice && w.at.current >= 0 {
			continue
		}
		ok, err := w.test(r, n, typ)
		switch {
		case err != nil && w.ctx.Err() == nil:
			w.report("information", "incomplete", w.expression(), "Rule "+r.Key+" could not be tested here, so nothing is said about it.")
		case err == nil && !ok:
			w.report(r.Severity, "invariant", w.expression(), r.words(typ))
		}
	}
}

// test says whether a rule holds; a result that is neither true nor false counts as holding.
func (w *walker) test(r *rule, n fhir.Node, typ string) (bool, error) {
	if r.holds != nil {
		return r.holds(n), nil
	}
	ok, known, err := r.expression.Test(w.ctx, fhirpath.OnNode(typ, n), w.plan.membership, w.plan.conformance)
	return ok || !known, err
}
