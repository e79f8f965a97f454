package fhirpath

import (
	"strings"
	"sync"
	"sync/atomic"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
)

// Kind is what a value can be computed with: a System type, or None for what has only elements.
type Kind uint8

// The kinds, as FHIRPath's System namespace has them (https://hl7.org/fhirpath/N1/#using-types).
const (
	None Kind = iota
	KindBoolean
	KindInteger
	KindDecimal
	KindString
	KindDate
	KindDateTime
	KindTime
	KindQuantity
	kindTypeInfo
)

// Type is a type of the System or the FHIR namespace. Types are shared and are compared by pointer within one set of
// definitions.
type Type struct {
	namespace, name string
	kind            Kind
	primitive       bool // a FHIR primitive: a value, and an _element beside it
	base            *Type
	def             *definition.Type
	model           *model
	load            sync.Once
	fields          map[string]*field
	members         map[string]choice
}

// Namespace is System or FHIR.
func (t *Type) Namespace() string { return t.namespace }

// Name is the name within the namespace: Integer, Patient, Patient.contact.
func (t *Type) Name() string { return t.name }

// String is the qualified name: System.Integer, FHIR.Patient.
func (t *Type) String() string { return t.namespace + "." + t.name }

// Kind is what values of the type can be computed with.
func (t *Type) Kind() Kind { return t.kind }

// Is says whether t is, or specialises, the other type.
func (t *Type) Is(other *Type) bool {
	for ; t != nil; t = t.base {
		if t == other {
			return true
		}
	}
	return false
}

// The System types. They are constants.
var (
	typeAny      = &Type{namespace: "System", name: "Any"}
	typeBoolean  = &Type{namespace: "System", name: "Boolean", kind: KindBoolean, base: typeAny}
	typeInteger  = &Type{namespace: "System", name: "Integer", kind: KindInteger, base: typeAny}
	typeDecimal  = &Type{namespace: "System", name: "Decimal", kind: KindDecimal, base: typeAny}
	typeString   = &Type{namespace: "System", name: "String", kind: KindString, base: typeAny}
	typeDate     = &Type{namespace: "System", name: "Date", kind: KindDate, base: typeAny}
	typeDateTime = &Type{namespace: "System", name: "DateTime", kind: KindDateTime, base: typeAny}
	typeTime     = &Type{namespace: "System", name: "Time", kind: KindTime, base: typeAny}
	typeQuantity = &Type{namespace: "System", name: "Quantity", kind: KindQuantity, base: typeAny}
	typeSimple   = &Type{namespace: "System", name: "SimpleTypeInfo", kind: kindTypeInfo, base: typeAny}
	typeClass    = &Type{namespace: "System", name: "ClassInfo", kind: kindTypeInfo, base: typeAny}
	// typeUnknown is the type of what the definitions do not describe; its elements go by their JSON names.
	typeUnknown = &Type{namespace: "FHIR", name: "Unknown"}
)

func systemType(name string) *Type {
	switch name {
	case "Any":
		return typeAny
	case "Boolean":
		return typeBoolean
	case "Integer":
		return typeInteger
	case "Decimal":
		return typeDecimal
	case "String":
		return typeString
	case "Date":
		return typeDate
	case "DateTime":
		return typeDateTime
	case "Time":
		return typeTime
	case "Quantity":
		return typeQuantity
	}
	return nil
}

// primitiveKind is the System kind to which a FHIR primitive converts
// (https://hl7.org/fhir/R4/fhirpath.html#types).
func primitiveKind(name string) Kind {
	switch name {
	case "boolean":
		return KindBoolean
	case "integer", "unsignedInt", "positiveInt":
		return KindInteger
	case "decimal":
		return KindDecimal
	case "date":
		return KindDate
	case "dateTime", "instant":
		return KindDateTime
	case "time":
		return KindTime
	}
	return KindString
}

// field is an element of a type, as FHIRPath names it.
type field struct {
	name    string
	under   string // the JSON name of the sibling that carries a primitive's id and extensions
	typ     *Type
	choices map[string]choice // by JSON name, for value[x]
	repeats bool
}

// choice is what a JSON member name means.
type choice struct {
	field *field
	under string
	typ   *Type
}

// model gives definitions the shape that evaluation needs: a type knows its elements by their FHIRPath names. It is
// filled as types are first met.
type model struct {
	set   *definition.Set
	types sync.Map // name → *Type, or nil for a name that no type has
}

type modelKey struct{}

// modelOf is the one model of a set of definitions.
func modelOf(set *definition.Set) *model {
	return set.Memo(modelKey{}, func() any { return &model{set: set} }).(*model)
}

// typ is the FHIR type of that name, or nil.
func (m *model) typ(name string) *Type {
	if t, ok := m.types.Load(name); ok {
		return t.(*Type)
	}
	def := m.set.Type(name)
	if def == nil {
		return nil // not remembered: names come from documents and would pile up
	}
	t := &Type{namespace: "FHIR", name: name, def: def, model: m}
	if def.Kind == definition.Primitive {
		t.primitive, t.kind = true, primitiveKind(name)
	}
	if def.Base != "" && def.Base != name {
		t.base = m.typ(def.Base)
	}
	if name == "Quantity" || t.base != nil && t.base.kind == KindQuantity {
		t.kind = KindQuantity
	}
	kept, _ := m.types.LoadOrStore(name, t)
	return kept.(*Type)
}

// resolve finds the types that a written name may stand for. known is false for a bare name that no type has.
func (m *model) resolve(namespace, name string) (types []*Type, known bool) {
	if namespace == "" || namespace == "FHIR" {
		if t := m.typ(name); t != nil {
			types = append(types, t)
		}
	}
	if namespace == "" || namespace == "System" {
		if t := systemType(name); t != nil {
			types = append(types, t)
		}
	}
	return types, len(types) > 0 || namespace == "System" || namespace == "FHIR"
}

// fill reads the elements of a type from its definition.
func (t *Type) fill() {
	t.fields, t.members = map[string]*field{}, map[string]choice{}
	if t.def == nil {
		return
	}
	for i := range t.def.Elements {
		e := &t.def.Elements[i]
		f := &field{name: e.Name, under: "_" + e.Name, repeats: e.Repeats()}
		t.fields[e.Name] = f
		if e.Choice {
			f.choices = make(map[string]choice, len(e.Types))
			for _, ref := range e.Types {
				json := e.Name + strings.ToUpper(ref.Code[:1]) + ref.Code[1:]
				c := choice{f, "_" + json, t.model.typOrUnknown(e.Content(ref.Code))}
				f.choices[json], t.members[json] = c, c
			}
			continue
		}
		name := e.ContentRef
		if len(e.Types) > 0 {
			name = e.Content(e.Types[0].Code)
		}
		f.typ = t.model.typOrUnknown(name)
		t.members[e.Name] = choice{f, f.under, f.typ}
	}
}

func (m *model) typOrUnknown(name string) *Type {
	if t := m.typ(name); t != nil {
		return t
	}
	return typeUnknown
}

// field finds an element by its FHIRPath name; nil if the type has none.
func (t *Type) field(name string) *field {
	t.load.Do(t.fill)
	return t.fields[name]
}

// memberOf finds what a JSON member name means in the type.
func (t *Type) memberOf(json string) (choice, bool) {
	t.load.Do(t.fill)
	c, ok := t.members[json]
	return c, ok
}

// named is the type of an element: for a place that holds any resource, the type the resource says it is.
func (m *model) named(t *Type, n fhir.Node) *Type {
	if t.def == nil || t.def.Kind != definition.Resource || !t.def.Abstract {
		return t
	}
	if own := m.typ(n.Field("resourceType").String()); own != nil {
		return own
	}
	return t
}

// memberCache remembers the element that a name meant the last time, because it nearly always means the same.
type memberCache struct{ last atomic.Pointer[cached] }

type cached struct {
	typ   *Type
	field *field
}

func (c *memberCache) field(t *Type, name string) *field {
	if last := c.last.Load(); last != nil && last.typ == t {
		return last.field
	}
	f := t.field(name)
	c.last.Store(&cached{t, f})
	return f
}
