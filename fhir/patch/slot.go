package patch

import (
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirpath"
)

// pair is one element: its value, and what a primitive keeps in the member with the underscore. Either may be empty.
type pair struct{ value, extra fhir.Value }

// slot is the member of an object in which an element stands, alone or in a list, with all that is in the member.
type slot struct {
	object fhir.Node
	name   string
	list   bool
	at     int // which item the element is
	items  []pair
}

// load reads a member with its parallel one.
func load(object fhir.Node, name string, list bool) *slot {
	s := &slot{object: object, name: name, list: list}
	values, extras := object.Field(name), object.Field("_"+name)
	if !list {
		if values.Exists() || extras.Exists() {
			s.items = []pair{{raw(values), raw(extras)}}
		}
		return s
	}
	s.items = make([]pair, max(values.Len(), extras.Len()))
	i := 0
	for n := range children(values) {
		s.items[i].value = raw(n)
		i++
	}
	i = 0
	for n := range children(extras) {
		s.items[i].extra = raw(n)
		i++
	}
	return s
}

// raw is the node's text; empty for what is absent or null.
func raw(n fhir.Node) fhir.Value {
	if n.Kind() == fhir.Null {
		return fhir.Value{}
	}
	return fhir.RawValue(n.Raw())
}

// slotOf finds the slot of an element.
func slotOf(v fhirpath.Value) (*slot, error) {
	n := nodeOf(v)
	holder := n.Parent()
	if !holder.Exists() {
		return nil, fault.New(fault.Unprocessable, "the path leads to the whole resource, which cannot be taken out or replaced")
	}
	if holder.Kind() != fhir.Array {
		name := n.Name()
		if !v.Node().Exists() {
			name = strings.TrimPrefix(name, "_")
		}
		return load(holder, name, false), nil
	}
	name := holder.Name()
	if !v.Node().Exists() {
		name = strings.TrimPrefix(name, "_")
	}
	s := load(holder.Parent(), name, true)
	for item := range holder.Items() {
		if item.Same(n) {
			break
		}
		s.at++
	}
	return s, nil
}

// listOf finds the one list in which all the elements stand.
func listOf(found fhirpath.Collection) (*slot, error) {
	first, err := slotOf(found[0])
	if err != nil {
		return nil, err
	}
	here := map[fhir.Node]bool{}
	for _, name := range []string{first.name, "_" + first.name} {
		for n := range children(first.object.Field(name)) {
			here[n] = true
		}
	}
	for _, v := range found {
		if !first.list || !here[nodeOf(v)] {
			return nil, fault.New(fault.Unprocessable, "the path must lead to the elements of one list")
		}
	}
	return first, nil
}

// store puts the items back, under the name given (a choice may change its type), and gives the changed resource.
func (s *slot) store(r *fhir.Resource, name string) (*fhir.Resource, error) {
	e := r.Edit()
	if name != s.name {
		e.Set(s.object, s.name, fhir.Value{}).Set(s.object, "_"+s.name, fhir.Value{})
	}
	var value, extra fhir.Value
	if s.list {
		value, extra = s.lists()
	} else if len(s.items) > 0 {
		value, extra = s.items[0].value, s.items[0].extra
	}
	b, err := e.Set(s.object, name, value).Set(s.object, "_"+name, extra).Bytes()
	if err != nil {
		return nil, err
	}
	doc, err := fhir.ParseJSON(b, fhir.Limits{})
	if err != nil {
		return nil, err
	}
	return finished(doc)
}

// lists writes the items as two parallel arrays, with null where one has nothing; an array of nothing but nulls is empty.
func (s *slot) lists() (value, extra fhir.Value) {
	values, extras := make([]any, len(s.items)), make([]any, len(s.items))
	someValue, someExtra := false, false
	null := fhir.RawValue([]byte("null"))
	for i, item := range s.items {
		values[i], extras[i] = item.value, item.extra
		if item.value.Empty() {
			values[i] = null
		} else {
			someValue = true
		}
		if item.extra.Empty() {
			extras[i] = null
		} else {
			someExtra = true
		}
	}
	if someValue {
		value = fhir.Arr(values...)
	}
	if someExtra {
		extra = fhir.Arr(extras...)
	}
	return value, extra
}

// typeOf is the definitions' type of an object in a resource: found by walking to it from the root.
func typeOf(defs *definition.Set, n fhir.Node) (typ string, ok bool) {
	if own := n.Field("resourceType"); own.Kind() == fhir.String && defs.IsResource(own.String()) {
		return own.String(), true
	}
	holder, name := n.Parent(), n.Name()
	if holder.Kind() == fhir.Array {
		holder, name = holder.Parent(), holder.Name()
	}
	if !holder.Exists() {
		return "", false
	}
	if strings.HasPrefix(name, "_") {
		return "Element", true
	}
	outer, ok := typeOf(defs, holder)
	if t := defs.Type(outer); ok && t != nil {
		_, typ, ok = t.Element(name)
		return typ, ok
	}
	return "", false
}

// contentFor makes what a part holds into an element called name of the type t. It gives the element's definition and
// the name it has in JSON, which for a choice carries the type.
func contentFor(defs *definition.Set, t *definition.Type, name string, part fhir.Node) (item pair, e *definition.Element, json string, err error) {
	e, typ, ok := t.Element(name)
	if !ok {
		if e, ok = t.ElementByName(name); !ok {
			return item, nil, "", fault.New(fault.Unprocessable, "the element called for does not exist in %s", t.Name)
		}
	}
	if strings.HasPrefix(name, "_") {
		return item, nil, "", fault.New(fault.Unprocessable, "an element is named without an underscore")
	}
	json = name
	if e.Choice {
		member, valueType, given := partValue(defs, part)
		if !given {
			return item, nil, "", fault.New(fault.Unprocessable, "the value of a choice must be of one of its types")
		}
		json = e.Name + strings.TrimPrefix(member.Name(), "value")
		if _, typ, ok = t.Element(json); !ok || typ != valueType {
			return item, nil, "", fault.New(fault.Unprocessable, "%s cannot be of the type given", e.Path)
		}
	}
	item, err = content(defs, typ, part)
	return item, e, json, err
}

// partValue finds a part's value[x] and its type.
func partValue(defs *definition.Set, part fhir.Node) (value fhir.Node, typ string, ok bool) {
	t := defs.Type("Parameters.parameter")
	if t == nil {
		return fhir.Node{}, "", false
	}
	for name, n := range part.Fields() {
		if strings.HasPrefix(name, "value") {
			if _, typ, ok := t.Element(name); ok {
				return n, typ, true
			}
		}
	}
	return fhir.Node{}, "", false
}

// content makes what a part holds into a value of the type: a value[x], a resource, or parts that each hold one of
// its elements.
func content(defs *definition.Set, typ string, part fhir.Node) (pair, error) {
	if resource := part.Field("resource"); resource.Exists() {
		return pair{value: raw(resource)}, nil
	}
	if value, given, ok := partValue(defs, part); ok {
		if definition.IsPrimitive(given) != definition.IsPrimitive(typ) || definition.IsPrimitive(typ) && form(given) != form(typ) {
			return pair{}, fault.New(fault.Unprocessable, "the value is %s, and should be %s", given, typ)
		}
		return pair{raw(value), raw(part.Field("_" + value.Name()))}, nil
	}
	parts := part.Field("part")
	t := defs.Type(typ)
	if !parts.Exists() || t == nil || definition.IsPrimitive(typ) {
		if extra := onlyExtra(part); !extra.Empty() && definition.IsPrimitive(typ) {
			return pair{extra: extra}, nil
		}
		return pair{}, fault.New(fault.Unprocessable, "the part named value holds nothing that fits %s", typ)
	}
	return assemble(defs, t, parts)
}

// onlyExtra is what a part gives for a primitive that has extensions and no value.
func onlyExtra(part fhir.Node) fhir.Value {
	for name, n := range part.Fields() {
		if strings.HasPrefix(name, "_value") {
			return raw(n)
		}
	}
	return fhir.Value{}
}

// assemble makes an object of the type from one part for each of its elements.
func assemble(defs *definition.Set, t *definition.Type, parts fhir.Node) (pair, error) {
	slots := map[string]*slot{}
	var order []*slot
	for p := range parts.Items() {
		item, e, name, err := contentFor(defs, t, p.Field("name").String(), p)
		if err != nil {
			return pair{}, err
		}
		s := slots[name]
		if s == nil {
			s = &slot{name: name, list: e.Repeats()}
			slots[name] = s
			order = append(order, s)
		} else if !s.list {
			return pair{}, fault.New(fault.Unprocessable, "%s may occur only once", e.Path)
		}
		s.items = append(s.items, item)
	}
	var members []any
	for _, s := range order {
		value, extra := s.items[0].value, s.items[0].extra
		if s.list {
			value, extra = s.lists()
		}
		members = append(members, s.name, value, "_"+s.name, extra)
	}
	return pair{value: fhir.Obj(members...)}, nil
}

// form is how a primitive is written in JSON.
func form(typ string) fhir.Kind {
	switch typ {
	case "boolean":
		return fhir.Bool
	case "integer", "positiveInt", "unsignedInt", "decimal":
		return fhir.Number
	}
	return fhir.String
}
