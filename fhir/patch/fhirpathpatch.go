package patch

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirpath"
)

// FHIRPath applies a FHIRPath Patch (https://hl7.org/fhir/R4/fhirpatch.html): a Parameters resource whose parameters
// named operation each say type (add, insert, delete, replace, move), path and what that type needs.
//
// What is not such a Parameters is fault.Invalid. A path that does not lead to exactly one element (for insert and
// move: to one list; for delete: to one or none) and whatever else cannot be done are fault.Unprocessable, naming the
// operation by its position from 0. A primitive takes its id and extensions with it, and what is left empty is taken out.
func FHIRPath(ctx context.Context, r, patch *fhir.Resource, defs *definition.Set) (*fhir.Resource, error) {
	list, err := parameters(patch)
	if err != nil {
		return nil, err
	}
	work := 0
	for i, c := range list {
		next, err := c.apply(ctx, r, defs)
		if ctx.Err() != nil {
			return nil, ctx.Err()
		}
		if err != nil {
			kind := fault.KindOf(err)
			if kind != fault.Invalid && kind != fault.TooCostly && kind != fault.Internal {
				kind = fault.Unprocessable
			}
			return nil, fault.Wrap(err, kind, "operation %d (%s): %s", i, c.kind, fault.MessageOf(err))
		}
		if work += len(next.JSON()); work > maxWork {
			return nil, fault.New(fault.TooLarge, "the patch is too much work on a document of this size")
		}
		r = next
	}
	return r, nil
}

// change is one operation of a FHIRPath Patch.
type change struct {
	kind, path, name           string
	value                      fhir.Node // the part named value; absent if there is none
	index, source, destination int       // -1 if not given
}

// needs lists the parts that each type must have besides path.
var needs = map[string][]string{
	"add": {"name", "value"}, "insert": {"value", "index"}, "delete": nil, "replace": {"value"}, "move": {"source", "destination"},
}

func parameters(patch *fhir.Resource) ([]change, error) {
	if patch.Type() != "Parameters" {
		return nil, fault.New(fault.Invalid, "a FHIRPath Patch is a Parameters resource")
	}
	var list []change
	for p := range patch.Get("parameter").Items() {
		if p.Field("name").String() != "operation" {
			return nil, fault.New(fault.Invalid, "every parameter of a FHIRPath Patch is called operation")
		}
		if len(list) == MaxOperations {
			return nil, fault.New(fault.Invalid, "a patch may hold at most %d operations", MaxOperations)
		}
		c, err := readChange(p)
		if err != nil {
			return nil, fault.New(fault.Invalid, "operation %d: %s", len(list), fault.MessageOf(err))
		}
		list = append(list, c)
	}
	return list, nil
}

func readChange(n fhir.Node) (change, error) {
	c := change{index: -1, source: -1, destination: -1}
	given := map[string]bool{}
	for part := range n.Field("part").Items() {
		name := part.Field("name").String()
		if given[name] {
			return c, fault.New(fault.Invalid, "a part occurs twice")
		}
		given[name] = true
		switch name {
		case "type":
			c.kind = firstText(part, "valueCode", "valueString")
		case "path":
			c.path = firstText(part, "valueString")
		case "name":
			c.name = firstText(part, "valueString", "valueCode", "valueId")
		case "value":
			c.value = part
		case "index":
			c.index = whole(part)
		case "source":
			c.source = whole(part)
		case "destination":
			c.destination = whole(part)
		default:
			return c, fault.New(fault.Invalid, "a part is one of type, path, name, value, index, source, destination")
		}
	}
	wanted, known := needs[c.kind]
	if !known {
		return c, fault.New(fault.Invalid, "type is one of add, insert, delete, replace, move")
	}
	if c.path == "" {
		return c, fault.New(fault.Invalid, "%s needs path, a string", c.kind)
	}
	for _, name := range wanted {
		if !given[name] || name == "name" && c.name == "" || name == "index" && c.index < 0 ||
			name == "source" && c.source < 0 || name == "destination" && c.destination < 0 {
			return c, fault.New(fault.Invalid, "%s needs %s", c.kind, name)
		}
	}
	return c, nil
}

func firstText(part fhir.Node, names ...string) string {
	for _, name := range names {
		if n := part.Field(name); n.Kind() == fhir.String {
			return n.String()
		}
	}
	return ""
}

func whole(part fhir.Node) int {
	for _, name := range []string{"valueInteger", "valueUnsignedInt", "valuePositiveInt"} {
		if n := part.Field(name); n.Kind() == fhir.Number {
			if i, err := strconv.Atoi(n.String()); err == nil && i >= 0 {
				return i
			}
		}
	}
	return -1
}

func (c *change) apply(ctx context.Context, r *fhir.Resource, defs *definition.Set) (*fhir.Resource, error) {
	found, err := c.find(ctx, r, defs, c.path)
	if err != nil {
		return nil, err
	}
	switch c.kind {
	case "add":
		return c.add(r, defs, found)
	case "insert":
		return c.insert(ctx, r, defs, found)
	case "move":
		return c.move(r, found)
	case "delete":
		if len(found) == 0 {
			return r, nil
		}
	}
	if len(found) != 1 {
		return nil, fault.New(fault.Unprocessable, "the path must lead to one element, and it leads to %d", len(found))
	}
	s, err := slotOf(found[0])
	if err != nil {
		return nil, err
	}
	if c.kind == "delete" {
		s.items = slices.Delete(s.items, s.at, s.at+1)
		return s.store(r, s.name)
	}
	return c.replace(r, defs, s)
}

// find evaluates a path, which may lead only to elements of the resource itself.
func (c *change) find(ctx context.Context, r *fhir.Resource, defs *definition.Set, path string) (fhirpath.Collection, error) {
	e, err := fhirpath.Compile(path, fhirpath.WithDefinitions(defs))
	if err != nil {
		return nil, err
	}
	found, err := e.Eval(ctx, fhirpath.On(r))
	if err != nil {
		return nil, err
	}
	for _, v := range found {
		if n := nodeOf(v); !n.Root().Same(r.Root()) {
			return nil, fault.New(fault.Unprocessable, "the path leads to something that is not an element of the resource")
		}
	}
	return found, nil
}

// nodeOf is the element's node, or that of the extensions of a primitive that has no value.
func nodeOf(v fhirpath.Value) fhir.Node {
	if n := v.Node(); n.Exists() {
		return n
	}
	return v.Extras()
}

func (c *change) add(r *fhir.Resource, defs *definition.Set, found fhirpath.Collection) (*fhir.Resource, error) {
	if len(found) != 1 {
		return nil, fault.New(fault.Unprocessable, "the path must lead to one element, and it leads to %d", len(found))
	}
	v := found[0]
	t := defs.Type(v.Type().Name())
	if t == nil {
		return nil, fault.New(fault.Unprocessable, "the definitions do not know the type of the element")
	}
	item, e, name, err := contentFor(defs, t, c.name, c.value)
	if err != nil {
		return nil, err
	}
	if n := v.Node(); n.Kind() != fhir.Object {
		return addToPrimitive(r, v, e, name, item)
	}
	s := load(v.Node(), name, e.Repeats())
	if !e.Repeats() && (len(s.items) > 0 || e.Choice && chosen(v.Node(), e)) {
		return nil, fault.New(fault.Unprocessable, "the element has %s already, and may have only one", e.Name)
	}
	s.items = append(s.items, item)
	return s.store(r, name)
}

// chosen reports whether the object has a value for the choice e, of whatever type.
func chosen(obj fhir.Node, e *definition.Element) bool {
	for _, ref := range e.Types {
		json := e.Name + strings.ToUpper(ref.Code[:1]) + ref.Code[1:]
		if obj.Field(json).Exists() || obj.Field("_"+json).Exists() {
			return true
		}
	}
	return false
}

// addToPrimitive adds an id or an extension to a primitive, which keeps them in the member with the underscore.
func addToPrimitive(r *fhir.Resource, v fhirpath.Value, e *definition.Element, name string, item pair) (*fhir.Resource, error) {
	s, err := slotOf(v)
	if err != nil {
		return nil, err
	}
	extras := map[string]fhir.Value{}
	for member, n := range v.Extras().Fields() {
		extras[member] = fhir.RawValue(n.Raw())
	}
	switch {
	case !e.Repeats() && extras[name].Empty():
		extras[name] = item.value
	case e.Repeats():
		var all []fhir.Value
		for n := range v.Extras().Field(name).Items() {
			all = append(all, fhir.RawValue(n.Raw()))
		}
		extras[name] = fhir.List(append(all, item.value))
	default:
		return nil, fault.New(fault.Unprocessable, "the element has %s already, and may have only one", name)
	}
	s.items[s.at].extra = fhir.Obj("id", extras["id"], "extension", extras["extension"])
	return s.store(r, s.name)
}

func (c *change) insert(ctx context.Context, r *fhir.Resource, defs *definition.Set, found fhirpath.Collection) (*fhir.Resource, error) {
	if len(found) == 0 {
		return c.insertFirst(ctx, r, defs)
	}
	s, err := listOf(found)
	if err != nil {
		return nil, err
	}
	if c.index > len(s.items) {
		return nil, fault.New(fault.Unprocessable, "the index may be at most %d, which is the end of the list", len(s.items))
	}
	item, err := content(defs, found[0].Type().Name(), c.value)
	if err != nil {
		return nil, err
	}
	s.items = slices.Insert(s.items, c.index, item)
	return s.store(r, s.name)
}

// insertFirst inserts into a list that is not there yet: the last step of the path then names it.
func (c *change) insertFirst(ctx context.Context, r *fhir.Resource, defs *definition.Set) (*fhir.Resource, error) {
	dot := strings.LastIndexByte(c.path, '.')
	if dot < 0 || c.index != 0 {
		return nil, fault.New(fault.Unprocessable, "the path leads to no list")
	}
	outer := *c
	outer.path, outer.name = c.path[:dot], strings.Trim(strings.TrimSpace(c.path[dot+1:]), "`")
	found, err := c.find(ctx, r, defs, outer.path)
	if err != nil {
		return nil, err
	}
	return outer.add(r, defs, found)
}

func (c *change) move(r *fhir.Resource, found fhirpath.Collection) (*fhir.Resource, error) {
	if len(found) == 0 {
		return nil, fault.New(fault.Unprocessable, "the path leads to no list")
	}
	s, err := listOf(found)
	if err != nil {
		return nil, err
	}
	if c.source >= len(s.items) || c.destination >= len(s.items) {
		return nil, fault.New(fault.Unprocessable, "source and destination must be less than %d, the length of the list", len(s.items))
	}
	item := s.items[c.source]
	s.items = slices.Insert(slices.Delete(s.items, c.source, c.source+1), c.destination, item)
	return s.store(r, s.name)
}

func (c *change) replace(r *fhir.Resource, defs *definition.Set, s *slot) (*fhir.Resource, error) {
	typ, _ := typeOf(defs, s.object)
	t := defs.Type(typ)
	if t == nil {
		return nil, fault.New(fault.Unprocessable, "the definitions do not know the type of the element")
	}
	e, _, ok := t.Element(s.name)
	if !ok {
		return nil, fault.New(fault.Unprocessable, "the definitions do not know the element")
	}
	item, _, name, err := contentFor(defs, t, e.Name, c.value)
	if err != nil {
		return nil, err
	}
	s.items[s.at] = item
	return s.store(r, name)
}
