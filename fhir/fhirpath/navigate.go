package fhirpath

import (
	"strings"

	"github.com/openspine/openspine/fhir"
)

func (n *constant) eval(r *run, _ []Value) error {
	if n.uri != "" {
		r.push(String(n.uri))
		return nil
	}
	if values, ok := r.vars.find(n.name); ok {
		r.stack = append(r.stack, values...)
		return nil
	}
	switch n.name {
	case "context":
		if r.focus[0].typ != nil {
			r.push(r.focus[0])
		}
	case "resource":
		r.pushResource(nearestResource(r.focus[0]))
	case "rootResource":
		r.pushResource(rootResource(nearestResource(r.focus[0])))
	default:
		return failure(Execution, n.at, "there is no variable %%%s", n.name)
	}
	return nil
}

func (r *run) pushResource(n fhir.Node) {
	if n.Exists() {
		r.push(r.model.resource(n))
	}
}

func (m *model) resource(n fhir.Node) Value {
	if t := m.typ(n.Field("resourceType").String()); t != nil {
		return Value{typ: t, node: n}
	}
	return Value{typ: typeUnknown, node: n}
}

// nearestResource is the resource that holds the value, or is it.
func nearestResource(v Value) fhir.Node {
	n := v.node
	if !n.Exists() {
		n = v.under
	}
	for n.Exists() && !n.Field("resourceType").Exists() {
		n = n.Parent()
	}
	return n
}

// rootResource is the resource in which n is contained, or n itself.
func rootResource(n fhir.Node) fhir.Node {
	list := n.Parent()
	if list.Name() == "contained" || list.Kind() == fhir.Object && n.Name() == "contained" {
		if outer := nearestResource(Value{node: list.Parent()}); outer.Exists() {
			return outer
		}
	}
	return n
}

func (n *member) eval(r *run, in []Value) error {
	if err := r.tick(1 + len(in)); err != nil {
		return err
	}
	for i := range in {
		v := &in[i]
		if n.start && len(n.types) > 0 && v.typ.Is(n.types[0]) {
			r.push(*v)
			continue
		}
		if v.typ.def == nil {
			r.pushPlain(v, n.name)
			continue
		}
		if f := n.cache.field(v.typ, n.name); f != nil {
			r.pushField(v, f)
		} else if v.typ.primitive && n.name == "value" {
			if s, ok := v.system(); ok {
				r.push(s)
			}
		}
	}
	return nil
}

// pushPlain finds the elements of what has no definition: System values and unknown JSON.
func (r *run) pushPlain(v *Value, name string) {
	switch {
	case v.typ == typeUnknown:
		r.pushNodes(v.node.Field(name), fhir.Node{}, typeUnknown)
	case v.typ == typeQuantity && name == "value":
		r.push(Value{typ: typeDecimal, ref: v.ref})
	case v.typ == typeQuantity && (name == "unit" || name == "code"):
		r.push(String(v.str))
	case v.typ.kind == kindTypeInfo:
		t := v.ref.(*Type)
		switch {
		case name == "name":
			r.push(String(t.name))
		case name == "namespace":
			r.push(String(t.namespace))
		case name == "baseType" && t.base != nil:
			r.push(String(t.base.String()))
		}
	}
}

// holder is the object in which the elements of v stand.
func (v *Value) holder() fhir.Node {
	if v.typ.primitive {
		return v.under
	}
	return v.node
}

func (r *run) pushField(v *Value, f *field) {
	holder := v.holder()
	if !holder.Exists() {
		return
	}
	if f.choices == nil {
		r.pushMember(holder, f.name, f.under, f.typ)
		return
	}
	for name, n := range holder.Fields() {
		under := name[:min(len(name), 1)] == "_"
		if under {
			name = name[1:]
		}
		if !strings.HasPrefix(name, f.name) {
			continue
		}
		c, ok := f.choices[name]
		switch {
		case !ok:
		case !under:
			var u fhir.Node
			if c.typ.primitive {
				u = holder.Field(c.under)
			}
			r.pushNodes(n, u, c.typ)
		case !holder.Field(name).Exists():
			r.pushNodes(fhir.Node{}, n, c.typ)
		}
	}
}

func (r *run) pushMember(holder fhir.Node, name, under string, t *Type) {
	var u fhir.Node
	if t.primitive {
		u = holder.Field(under)
	}
	r.pushNodes(holder.Field(name), u, t)
}

// pushNodes pushes an element, or each item of a repeating one, with the _sibling of each.
func (r *run) pushNodes(n, under fhir.Node, t *Type) {
	switch n.Kind() {
	case fhir.Absent:
		r.pushExtrasOnly(under, t)
	case fhir.Array:
		i := 0
		for item := range n.Items() {
			var u fhir.Node
			if under.Exists() {
				u = under.Index(i)
			}
			r.pushOne(item, u, t)
			i++
		}
		for ; i < under.Len() && under.Kind() == fhir.Array; i++ {
			r.pushOne(fhir.Node{}, under.Index(i), t)
		}
	default:
		r.pushOne(n, under, t)
	}
}

func (r *run) pushExtrasOnly(under fhir.Node, t *Type) {
	for u := range under.Items() {
		r.pushOne(fhir.Node{}, u, t)
	}
}

func (r *run) pushOne(n, under fhir.Node, t *Type) {
	if n.Kind() == fhir.Null {
		n = fhir.Node{}
	}
	if under.Kind() != fhir.Object {
		under = fhir.Node{}
	}
	if !n.Exists() && !under.Exists() {
		return
	}
	r.push(Value{typ: r.model.named(t, n), node: n, under: under})
}
