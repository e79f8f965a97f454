package validate

import (
	"context"
	"fmt"
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirpath"
)

// profiler holds a document to profiles, after the base definitions have been looked at.
type profiler struct {
	*plan
	w *walker
	// root is the document, for references that lead to another entry of it.
	root thing
	// holding are the pairs of value and profile that are being looked at, so that references in a circle end.
	holding map[string]bool
	// quiet counts the trials whose issues are not told: is this value of that slice?
	quiet  int
	failed bool
}

// profiles holds the document to those asked for and, if claimed is set, each resource in it to those that its meta names and
// each extension to its definition.
func (w *walker) profiles(n fhir.Node, asked []string, claimed bool) {
	p := &profiler{plan: w.plan, w: w, root: whole(n, w.root), holding: map[string]bool{}}
	if w.plan.set.Type(p.root.typ) == nil {
		return
	}
	for _, url := range asked {
		if url, _, _ := strings.Cut(url, "|"); url == coreURL+p.root.typ {
			continue
		}
		p.hold(p.root, url, w.root, "error")
	}
	if claimed {
		p.claims(p.root, asked)
	}
}

// say reports an issue, or notes it on a trial.
func (p *profiler) say(severity, code, at, text string) {
	if p.quiet > 0 {
		p.failed = p.failed || severity == "error"
		return
	}
	p.w.report(severity, code, at, text)
}

func (p *profiler) wrong(code, at, text string) { p.say("error", code, at, text) }

// over says that it is time to stop.
func (p *profiler) over() bool { return p.w.ctx.Err() != nil || p.w.full() || p.quiet > 0 && p.failed }

// claims goes through a document for what its resources and extensions say of themselves.
func (p *profiler) claims(t thing, asked []string) {
	if p.over() {
		return
	}
	if t.el == nil {
		for i, n := range index(t.node.Field("meta").Field("profile")) {
			url, _, _ := strings.Cut(n.String(), "|")
			if url != coreURL+t.typ && !named(asked, url) {
				p.hold(t, url, fmt.Sprintf("%s.meta.profile[%d]", t.at, i), "warning")
			}
		}
	}
	p.everyMember(t, func(m thing) {
		if m.code == "Extension" {
			p.extended(t, m)
		}
		p.claims(m, nil)
	})
}

func named(list []string, url string) bool {
	for _, s := range list {
		if s, _, _ = strings.Cut(s, "|"); s == url {
			return true
		}
	}
	return false
}

func index(list fhir.Node) []fhir.Node {
	var out []fhir.Node
	for n := range list.Items() {
		out = append(out, n)
	}
	return out
}

// hold holds a value to a profile. unknown is how serious it is that no such profile is held here; said is where it was named.
func (p *profiler) hold(t thing, url, said, unknown string) {
	m := p.mould(url)
	switch {
	case m == nil:
		p.say(unknown, "not-supported", said, "The profile "+quotedURL(url)+" is not held here, so nothing is said of it.")
		return
	case m.profile.Type != t.typ && m.profile.Type != t.code && !p.set.IsA(t.typ, m.profile.Type):
		p.wrong("structure", said, "The profile "+quotedURL(url)+" is of "+m.profile.Type+", and this is a "+t.typ+".")
		return
	}
	key := url + " " + t.at
	if p.holding[key] {
		return
	}
	p.holding[key] = true
	defer delete(p.holding, key)
	if m.missing != "" {
		p.say("warning", "not-supported", said, "The profile "+quotedURL(url)+" builds on "+quotedURL(m.missing)+", which is not held here: only its own part was looked at.")
	}
	p.rulesOf(t, m.root)
	p.kidsOf(t, m.root)
}

// quotedURL shows an address that may have come with the document, when it looks like one of a profile.
func quotedURL(url string) string {
	for i := range len(url) {
		if c := url[i]; c <= ' ' || c > '~' || c == '"' {
			return "of that address"
		}
	}
	if len(url) > 200 {
		return "of that address"
	}
	return url
}

// conforms tries whether a value keeps to a profile, without a word; known is false when the profile is not held.
func (p *profiler) conforms(t thing, url string) (yes, known bool) {
	if p.mould(url) == nil {
		return false, false
	}
	return p.trial(func() { p.hold(t, url, t.at, "error") }), true
}

type nestingKey struct{}

// mostNested bounds conformsTo() within the rules of a profile that conformsTo() asks for.
const mostNested = 8

// conformsTo answers conformsTo() in rules, for profiles that are held.
func (p *plan) conformsTo(ctx context.Context, v fhirpath.Value, url string) (yes, known bool, err error) {
	url, _, _ = strings.Cut(url, "|")
	depth, _ := ctx.Value(nestingKey{}).(int)
	if v.Type() == nil || !v.Node().Exists() || p.mould(url) == nil || depth >= mostNested {
		return false, false, nil
	}
	t := thing{node: v.Node(), typ: v.Type().Name(), code: v.Type().Name(), at: v.Type().Name(), path: v.Type().Name(), home: v.Node()}
	w := &walker{ctx: context.WithValue(ctx, nestingKey{}, depth+1), plan: p, rules: true, limit: 1, root: t.typ}
	within := &profiler{plan: p, w: w, root: t, holding: map[string]bool{}}
	yes, known = within.conforms(t, url)
	return yes, known, w.ctx.Err()
}

// trial runs look without a word and says whether nothing was wrong.
func (p *profiler) trial(look func()) bool {
	before := p.failed
	p.failed = false
	p.quiet++
	look()
	p.quiet--
	ok := !p.failed
	p.failed = before
	return ok
}

// kidsOf looks at each member of t of which the profile speaks.
func (p *profiler) kidsOf(t thing, pc *piece) {
	def := p.set.Type(t.typ)
	if def == nil {
		return
	}
	for _, k := range pc.kids {
		if p.over() {
			return
		}
		el, ok := def.ElementByName(k.name)
		if !ok {
			continue // of another type of a choice
		}
		list := p.members(t, k.name)
		if k.min > el.Min && len(list) < k.min {
			p.wrong("required", t.at+"."+k.name, "The profile needs "+counted(k.min)+" of "+k.name+" here, and there "+are(len(list))+".")
		}
		if k.max >= 0 && len(list) > k.max && (el.Max == definition.Unbounded || k.max < el.Max) {
			p.wrong("structure", t.at+"."+k.name, "The profile allows "+atMost(k.max)+" of "+k.name+" here, and there "+are(len(list))+".")
		}
		p.slicesOf(t, k, list)
	}
}

func counted(n int) string {
	if n == 1 {
		return "one"
	}
	return fmt.Sprintf("%d", n)
}

func atMost(n int) string {
	if n == 0 {
		return "none"
	}
	return counted(n) + " at the most"
}

func are(n int) string {
	switch n {
	case 0:
		return "is none"
	case 1:
		return "is one"
	}
	return fmt.Sprintf("are %d", n)
}

// one looks at one value of an element, or of a slice of it.
func (p *profiler) one(t thing, pc *piece) {
	if len(pc.types) > 0 && !p.typed(t, pc) {
		return
	}
	if pc.fixed != nil && !same(pc.fixed, t.node) {
		p.wrong("value", t.at, "The profile fixes the value here"+shown(pc.fixed)+".")
	}
	if pc.pattern != nil && !holds(pc.pattern, t.node) {
		p.wrong("value", t.at, "The value lacks what the profile's pattern asks"+shown(pc.pattern)+".")
	}
	if pc.binding != nil {
		p.bound(t, pc.binding)
	}
	p.rulesOf(t, pc)
	p.kidsOf(t, pc)
}

// shown is a given value in words, when it is short.
func shown(v *definition.Value) string {
	text := v.Text
	if len(v.Parts) > 0 {
		var codes []string
		var walk func(v *definition.Value)
		walk = func(v *definition.Value) {
			if v.Name == "code" || v.Name == "system" {
				codes = append(codes, v.Text)
			}
			for i := range v.Parts {
				walk(&v.Parts[i])
			}
		}
		walk(v)
		text = strings.Join(codes, " ")
	}
	if text == "" || len(text) > 200 {
		return ""
	}
	return ": " + text
}

// rulesOf tests the profile's own invariants.
func (p *profiler) rulesOf(t thing, pc *piece) {
	if len(pc.rules) == 0 || !t.node.Exists() || !p.w.rules {
		return
	}
	for _, r := range p.compile(t.typ, pc.rules, nil) {
		if p.over() {
			return
		}
		ok, err := p.w.test(r, t.node, t.typ)
		switch {
		case err != nil && p.w.ctx.Err() == nil:
			p.say("information", "incomplete", t.at, "Rule "+r.Key+" of the profile could not be tested here, so nothing is said about it.")
		case err == nil && !ok:
			p.say(r.Severity, "invariant", t.at, r.words(t.typ))
		}
	}
}

// bound looks at the codes of a value under the profile's binding.
func (p *profiler) bound(t thing, b *definition.Binding) {
	el := definition.Element{Binding: b}
	ready := bindingOf(p.set, &el, t.code)
	severity := "error"
	if ready == nil && b.Strength == "extensible" {
		ready = bindingOf(p.set, &definition.Element{Binding: &definition.Binding{Strength: "required", ValueSet: b.ValueSet}}, t.code)
		severity = "warning"
	}
	if ready == nil || !t.node.Exists() {
		return
	}
	if !ready.required {
		severity = "warning"
	}
	out := false
	switch ready.kind {
	case bareCode:
		in, known := ready.set.Contains("", t.node.String())
		out = known && !in
	case coding, quantity:
		out = ready.holds(t.node) == outside
	case concept:
		if severity == "warning" && !t.node.Field("coding").Exists() {
			return
		}
		out = ready.best(t.node) == outside
	}
	if out {
		p.say(severity, "code-invalid", t.at, "The profile binds this ("+b.Strength+") to other codes. Use one of "+ready.examples()+".")
	}
}

// extended holds an extension to its definition, if that is held, and to the places where it may be used.
func (p *profiler) extended(holder, t thing) {
	url := t.node.Field("url").String()
	m := p.mould(url)
	if m == nil || m.profile.Type != "Extension" {
		return
	}
	p.hold(t, url, t.at, "error")
	if len(m.profile.Contexts) == 0 {
		return
	}
	for _, c := range m.profile.Contexts {
		switch c.Type {
		case "extension":
			if holder.code == "Extension" && holder.node.Field("url").String() == c.Expression {
				return
			}
		case "fhirpath":
			return // where it holds is not worked out: nothing is refused for want of knowledge
		default:
			if p.isPlace(holder, c.Expression) || strings.Contains(c.Expression, "/") {
				return
			}
		}
	}
	var places []string
	for _, c := range m.profile.Contexts {
		places = append(places, c.Expression)
	}
	p.wrong("extension", t.at, "This extension is for "+orList(places)+", not for "+holder.path+".")
}
