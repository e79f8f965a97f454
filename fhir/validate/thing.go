package validate

import (
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
)

// thing is one value in a document, with what is known of its place: what a profile is held against.
type thing struct {
	// node is the value; beside is the _name with a primitive's id and extensions. Either may be absent.
	node, beside fhir.Node
	// typ describes the value ("Patient.contact", "HumanName"); code is the type it was declared with ("BackboneElement").
	typ, code string
	// at is where it stands, as FHIRPath; path the same by the definition's names, without positions.
	at, path string
	// el is the element it is a value of; nil for a resource.
	el *definition.Element
	// home is the resource to which contained resources belong.
	home fhir.Node
	// holder is the extension in which it stands, "" for none.
	holder string
}

// whole is a resource as a thing.
func whole(n fhir.Node, at string) thing {
	typ := n.Field("resourceType").String()
	return thing{node: n, typ: typ, code: typ, at: at, path: typ, home: n}
}

// members are the values of an element of t, in order.
func (p *plan) members(t thing, name string) []thing {
	def := p.set.Type(t.typ)
	if def == nil {
		return nil
	}
	var out []thing
	from := t.node
	if t.node.Kind() != fhir.Object { // a primitive's members stand beside it
		from = t.beside
	}
	el, ok := def.ElementByName(name)
	if !ok || from.Kind() != fhir.Object {
		return nil
	}
	if !el.Choice {
		content := el.ContentRef
		code := content
		if len(el.Types) > 0 {
			code = el.Types[0].Code
			content = el.Content(code)
		}
		return p.values(out, t, from, el, name, content, code)
	}
	for _, ref := range el.Types {
		out = p.values(out, t, from, el, name+upperFirst(ref.Code), el.Content(ref.Code), ref.Code)
	}
	return out
}

// values adds what stands under one JSON name.
func (p *plan) values(out []thing, t thing, from fhir.Node, el *definition.Element, json, content, code string) []thing {
	value, beside := from.Field(json), fhir.Node{}
	if definition.IsPrimitive(content) {
		beside = from.Field("_" + json)
	}
	if !value.Exists() && !beside.Exists() {
		return out
	}
	add := func(v, b fhir.Node, i int) {
		if v.Kind() == fhir.Null {
			v = fhir.Node{}
		}
		if b.Kind() != fhir.Object {
			b = fhir.Node{}
		}
		if !v.Exists() && !b.Exists() {
			return
		}
		next := thing{node: v, beside: b, typ: content, code: code, at: t.at + "." + el.Name, path: t.path + "." + el.Name, el: el, home: t.home, holder: t.holder}
		if t.code == "Extension" {
			next.holder = t.node.Field("url").String()
		}
		if i >= 0 {
			next.at += "[" + strconv.Itoa(i) + "]"
		}
		if def := p.set.Type(content); def != nil && def.Kind == definition.Resource {
			next = p.inner(next, v, el.Name == "contained")
		}
		out = append(out, next)
	}
	if value.Kind() != fhir.Array && beside.Kind() != fhir.Array {
		add(value, beside, -1)
		return out
	}
	for i := range max(value.Len(), beside.Len()) {
		add(value.Index(i), beside.Index(i), i)
	}
	return out
}

// inner is a resource within another.
func (p *plan) inner(t thing, n fhir.Node, contained bool) thing {
	typ := n.Field("resourceType").String()
	t.typ, t.code, t.path, t.el = typ, typ, typ, nil
	if !contained {
		t.home = n
	}
	return t
}

// everyMember calls visit for each member of t.
func (p *plan) everyMember(t thing, visit func(thing)) {
	def := p.set.Type(t.typ)
	if def == nil || t.node.Kind() != fhir.Object && !t.beside.Exists() {
		return
	}
	from := t.node
	if from.Kind() != fhir.Object {
		from = t.beside
	}
	done := make([]string, 0, 16)
	for name := range from.Fields() {
		el, _, ok := def.Element(name)
		if !ok || slices.Contains(done, el.Name) {
			continue
		}
		done = append(done, el.Name)
		for _, m := range p.members(t, el.Name) {
			visit(m)
		}
	}
}

// isPlace says whether t is a place that an extension's context names: an element's path, or a type that it is of.
func (p *plan) isPlace(t thing, expression string) bool {
	expression = strings.ReplaceAll(expression, "[x]", "")
	if expression == "Element" || expression == t.path || expression == t.code || p.set.IsA(t.typ, expression) || p.set.IsA(t.code, expression) {
		return true
	}
	return t.el != nil && strings.ReplaceAll(t.el.Path, "[x]", "") == expression
}

// same says whether a value is exactly what was given.
func same(given *definition.Value, n fhir.Node) bool {
	if len(given.Parts) == 0 || n.Kind() != fhir.Object {
		return len(given.Parts) == 0 && n.Kind() != fhir.Object && n.String() == given.Text
	}
	count := map[string]int{}
	for i := range given.Parts {
		part := &given.Parts[i]
		item := n.Field(part.Name)
		if item.Kind() == fhir.Array {
			item = item.Index(count[part.Name])
		}
		if !item.Exists() || !same(part, item) {
			return false
		}
		count[part.Name]++
	}
	for name, v := range n.Fields() {
		if want := count[name]; want == 0 || v.Kind() == fhir.Array && v.Len() != want {
			return false
		}
	}
	return true
}

// holds says whether a value has at least what the pattern has.
func holds(pattern *definition.Value, n fhir.Node) bool {
	if len(pattern.Parts) == 0 {
		return n.Exists() && n.Kind() != fhir.Object && n.String() == pattern.Text
	}
	for i := range pattern.Parts {
		part, found := &pattern.Parts[i], false
		for item := range n.Field(part.Name).Items() {
			found = found || holds(part, item)
		}
		if !found {
			return false
		}
	}
	return true
}

// partOf is what a given value says of one of its members; nil when it says nothing.
func partOf(given *definition.Value, name string) *definition.Value {
	if given != nil {
		for i := range given.Parts {
			if given.Parts[i].Name == name {
				return &given.Parts[i]
			}
		}
	}
	return nil
}
