// Package definition knows what FHIR R4 says a resource may hold: which elements a Patient has, how often and of
// which types, which codes an Observation's status may take, by which parameters a Condition is found, and which
// resources belong to a person's compartment.
//
// The definitions are facts drawn from HL7's published R4 (4.0.1) files, without their prose, kept in one compressed
// file that is embedded in the program and decoded a type at a time. [R4] is loaded once per process and shared;
// [Load] lays further packages (national profiles such as UK Core) over it. A [Set] never changes once made and is
// safe for any number of goroutines.
//
//	patient := definition.R4().Type("Patient")
//	el, typ, ok := patient.Element("deceasedBoolean") // Patient.deceased[x], "boolean", true
//
// Sources: https://hl7.org/fhir/R4/structuredefinition.html, …/searchparameter.html, …/valueset.html,
// …/codesystem.html, …/compartmentdefinition.html.
package definition

import (
	"maps"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
)

// Kind says what sort of thing a type is.
type Kind uint8

// The kinds of type. Backbone is a part that is defined in place, such as Patient.contact or Timing.repeat.
const (
	Primitive Kind = iota + 1
	Complex
	Resource
	Backbone
)

// String names the kind.
func (k Kind) String() string {
	switch k {
	case Primitive:
		return "primitive"
	case Complex:
		return "complex"
	case Resource:
		return "resource"
	case Backbone:
		return "backbone"
	}
	return "none"
}

// Unbounded is the Max of an element that may repeat without limit.
const Unbounded = -1

// Type is one resource type, data type or backbone part. It is shared and must not be changed.
type Type struct {
	// Name is "Patient", "HumanName" or "string"; for a backbone its path, "Patient.contact".
	Name string
	// Base is the type this one specialises: "DomainResource", "Element", "BackboneElement", "string" for code.
	Base string
	Kind Kind
	// Abstract types (Resource, DomainResource, Element, BackboneElement) have no instances of their own.
	Abstract bool
	// URL is the canonical address of the StructureDefinition; empty for a backbone.
	URL string
	// Regex is the form of a primitive's text, to be matched whole; empty when the specification gives none.
	Regex string
	// Elements are in the order of the specification (which is the order of XML), inherited ones included.
	Elements []Element
	// Constraints hold for every value of this type.
	Constraints []Constraint

	names func() map[string]named
}

// Element is one element of a type. It is shared and must not be changed.
type Element struct {
	// Name as in JSON, without a choice's type: "birthDate"; "value" for value[x].
	Name string
	// Path as in the specification: "Patient.birthDate", "Observation.value[x]".
	Path string
	// Choice is true for value[x], whose JSON name carries the type: valueQuantity.
	Choice bool
	// Min and Max bound how often the element occurs. Max is Unbounded for "*"; a Max other than 0 or 1 makes it an
	// array in JSON.
	Min, Max int
	// Types that the value may take. A part defined in place has one, "BackboneElement" or "Element".
	Types []TypeRef
	// ContentRef names the backbone whose shape this element repeats: "Questionnaire.item". Usually empty.
	ContentRef string
	// Binding is the value set that codes come from; nil when there is none.
	Binding *Binding
	// Constraints hold for every value of this element, besides those of its type.
	Constraints []Constraint
	// Summary elements are returned for _summary=true.
	Summary bool
	// Modifier elements can change the meaning of what holds them.
	Modifier bool
	// Attribute elements (id, Extension.url) are XML attributes.
	Attribute bool
	// Fixed is the one value allowed, as text; empty when free. Base R4 fixes none.
	Fixed string

	// inPlace is the name of the backbone type that describes the element's content, if it has one.
	inPlace string
}

// Repeats says whether the element is an array in JSON.
func (e *Element) Repeats() bool { return e.Max != 0 && e.Max != 1 }

// Content names the type that describes a value of this element when its declared type is code: the backbone in
// place or referred to, else code itself.
func (e *Element) Content(code string) string {
	switch {
	case e.ContentRef != "":
		return e.ContentRef
	case e.inPlace != "":
		return e.inPlace
	}
	return code
}

// TypeRef is one type that an element may take.
type TypeRef struct {
	// Code is the type's name: "string", "Reference", "BackboneElement", "Resource".
	Code string
	// Profiles narrow the type, as full URLs (SimpleQuantity, or a national profile).
	Profiles []string
	// Targets are the types that a Reference or canonical may point at: "Patient" for base types, full URLs for
	// profiles. Empty, or holding "Resource", means any.
	Targets []string
}

// Binding ties a coded element to a value set.
type Binding struct {
	// Strength is required, extensible, preferred or example.
	Strength string
	// ValueSet is its canonical URL, without version.
	ValueSet string
	// Max is the value set that no code may lie outside of, however weak the binding; usually empty.
	Max string
}

// Constraint is an invariant in FHIRPath.
type Constraint struct {
	// Key is its short name, such as "pat-1".
	Key string
	// Severity is error or warning.
	Severity string
	// Expression is FHIRPath that must be true, evaluated on each value of the element.
	Expression string
	// Human is the rule in words when a package loaded at run time gives it. The embedded facts carry no prose.
	Human string
	// BestPractice marks advice that most validators report softly (dom-6: a resource should have narrative).
	BestPractice bool
}

// SearchParameter is one way to find resources. It is shared and must not be changed.
type SearchParameter struct {
	Code, URL string
	// Type is number, date, string, token, reference, composite, quantity, uri or special.
	Type string
	// Expression is FHIRPath over all Base types joined by "|"; empty for special ones such as _text.
	Expression string
	Base       []string
	// Targets are the types a reference parameter may point at.
	Targets     []string
	Components  []Component
	Modifiers   []string
	Comparators []string
	Chains      []string
	// SingleOr and SingleAnd say that values may not be joined by a comma, or the parameter not be repeated.
	SingleOr, SingleAnd bool
}

// Component is one part of a composite parameter.
type Component struct {
	// Definition is the URL of the parameter that the part behaves as.
	Definition string
	// Expression is FHIRPath, relative to each value of the composite's own expression.
	Expression string
}

// Compartment says which resources belong to one Patient, Encounter, RelatedPerson, Practitioner or Device.
type Compartment struct {
	Code, URL string
	// Params lists, for each resource type that can belong, the codes of the reference parameters that put it there.
	// "{def}" stands for the resource that is the compartment itself.
	Params map[string][]string
}

// Has says whether resources of the type can belong to the compartment.
func (c *Compartment) Has(resourceType string) bool { return len(c.Params[resourceType]) > 0 }

// Set is a closed collection of definitions: R4, or R4 with packages laid over it.
type Set struct {
	version      string
	types        map[string]*typeEntry
	profiles     map[string]*Profile
	valueSets    map[string]*lazy[ValueSet]
	codeSystems  map[string]*lazy[CodeSystem]
	compartments map[string]*Compartment
	allParams    func() []SearchParameter
	params       func() *parameters
	resources    []string
	packages     []string
	memo         sync.Map
}

// Version is the FHIR version of the base definitions: "4.0.1".
func (s *Set) Version() string { return s.version }

// Packages names what was loaded over R4, in order: "fhir.r4.ukcore.stu2#2.0.1" or a directory's name.
func (s *Set) Packages() []string { return slices.Clone(s.packages) }

// Type is the definition of a resource type, data type or backbone ("Patient", "HumanName", "string",
// "Patient.contact"), or nil when there is none of that name.
func (s *Set) Type(name string) *Type {
	if l := s.types[name]; l != nil {
		return l.get()
	}
	return nil
}

// IsA says whether name is of, or specialises, the type ancestor.
func (s *Set) IsA(name, ancestor string) bool {
	for name != "" {
		if name == ancestor {
			return true
		}
		entry := s.types[name]
		if entry == nil {
			return false
		}
		name = entry.base
	}
	return false
}

// ResourceTypes lists the resource types that can be stored (146 in R4), sorted.
func (s *Set) ResourceTypes() []string { return slices.Clone(s.resources) }

// IsResource says whether name is a concrete resource type.
func (s *Set) IsResource(name string) bool {
	_, found := slices.BinarySearch(s.resources, name)
	return found
}

// TypeNames lists every type, backbones included, sorted.
func (s *Set) TypeNames() []string { return slices.Sorted(maps.Keys(s.types)) }

// SearchParameters lists the parameters by which a resource type is found, those of Resource and DomainResource
// included, sorted by code. The slice is shared and must not be changed. It is empty for an unknown type.
func (s *Set) SearchParameters(resourceType string) []SearchParameter {
	return s.params().byType[resourceType]
}

// SearchParameter finds the parameter of a resource type by its code.
func (s *Set) SearchParameter(resourceType, code string) (*SearchParameter, bool) {
	list := s.SearchParameters(resourceType)
	i, found := slices.BinarySearchFunc(list, code, func(p SearchParameter, c string) int { return strings.Compare(p.Code, c) })
	if !found {
		return nil, false
	}
	return &list[i], true
}

// SearchParameterByURL finds a parameter by its canonical URL, as a composite's components name theirs.
func (s *Set) SearchParameterByURL(url string) (*SearchParameter, bool) {
	p, ok := s.params().byURL[url]
	return p, ok
}

// Compartment is the definition for Patient, Encounter, RelatedPerson, Practitioner or Device; nil for any other.
func (s *Set) Compartment(code string) *Compartment { return s.compartments[code] }

// Compartments lists the codes of the compartments, sorted.
func (s *Set) Compartments() []string { return slices.Sorted(maps.Keys(s.compartments)) }

// ValueSet finds a value set by its canonical URL, with or without "|version"; nil when it is not held.
func (s *Set) ValueSet(url string) *ValueSet {
	return lookup(s.valueSets, url)
}

// ValueSets lists the URLs of the value sets that are held, sorted.
func (s *Set) ValueSets() []string { return slices.Sorted(maps.Keys(s.valueSets)) }

// CodeSystem finds a code system by its URL, with or without "|version"; nil when it is not held.
func (s *Set) CodeSystem(url string) *CodeSystem {
	return lookup(s.codeSystems, url)
}

// CodeSystems lists the URLs of the code systems that are held, sorted.
func (s *Set) CodeSystems() []string { return slices.Sorted(maps.Keys(s.codeSystems)) }

// Profile finds a profile by its canonical URL, with or without "|version"; nil when no loaded package has it.
func (s *Set) Profile(url string) *Profile { return s.profiles[unversioned(url)] }

// Profiles lists the URLs of the profiles that are held, sorted.
func (s *Set) Profiles() []string { return slices.Sorted(maps.Keys(s.profiles)) }

// Memo keeps a value derived from the set (compiled expressions, a validator's plan) for as long as the set lives.
// build may run more than once when callers race; all get the same value. Use an unexported type of yours as key.
func (s *Set) Memo(key any, build func() any) any {
	if v, ok := s.memo.Load(key); ok {
		return v
	}
	v, _ := s.memo.LoadOrStore(key, build())
	return v
}

// Element resolves a JSON member's name: "birthDate"; "valueQuantity" to value[x] as a Quantity; and "_birthDate",
// which carries a primitive's id and extensions. typ is the name of the type that describes the value and can be
// given to [Set.Type]: "date", "Quantity", "Patient.contact". A bare choice name ("value") is not found.
func (t *Type) Element(jsonName string) (el *Element, typ string, ok bool) {
	sibling := strings.HasPrefix(jsonName, "_")
	n, ok := t.names()[strings.TrimPrefix(jsonName, "_")]
	if !ok || sibling && !IsPrimitive(n.typ) {
		return nil, "", false
	}
	return &t.Elements[n.index], n.typ, true
}

// ElementByName finds an element by its name without a choice's type, as FHIRPath does: "value" for value[x].
func (t *Type) ElementByName(name string) (*Element, bool) {
	for i := range t.Elements {
		if t.Elements[i].Name == name {
			return &t.Elements[i], true
		}
	}
	return nil, false
}

// IsPrimitive says whether a type's name is that of a primitive: they alone start with a small letter.
func IsPrimitive(name string) bool {
	return name != "" && name[0] >= 'a' && name[0] <= 'z'
}

type named struct {
	index int
	typ   string
}

// indexNames fills the table behind Type.Element, on first use.
func (t *Type) indexNames() {
	t.names = sync.OnceValue(func() map[string]named {
		m := make(map[string]named, len(t.Elements)+8)
		for i := range t.Elements {
			e := &t.Elements[i]
			switch {
			case e.Choice:
				for _, ref := range e.Types {
					m[e.Name+strings.ToUpper(ref.Code[:1])+ref.Code[1:]] = named{i, e.Content(ref.Code)}
				}
			case len(e.Types) > 0:
				m[e.Name] = named{i, e.Content(e.Types[0].Code)}
			default:
				m[e.Name] = named{i, e.ContentRef}
			}
		}
		return m
	})
}

func newSet() *Set {
	return &Set{
		types: map[string]*typeEntry{}, profiles: map[string]*Profile{},
		valueSets: map[string]*lazy[ValueSet]{}, codeSystems: map[string]*lazy[CodeSystem]{},
		compartments: map[string]*Compartment{},
	}
}

// listResources gathers the names of the concrete resource types.
func (s *Set) listResources() {
	s.resources = nil
	for name, t := range s.types {
		if t.kind == Resource && !t.abstract {
			s.resources = append(s.resources, name)
		}
	}
	slices.Sort(s.resources)
}

// unversioned cuts the "|version" off a canonical URL.
func unversioned(url string) string {
	u, _, _ := strings.Cut(url, "|")
	return u
}

// lazy decodes a value on first use. Racing callers may decode twice; all see one value.
type lazy[T any] struct {
	value  atomic.Pointer[T]
	decode func() *T
}

// typeEntry tells what is asked of a type most often without decoding it.
type typeEntry struct {
	lazy[Type]
	base     string
	kind     Kind
	abstract bool
}

func ready[T any](v *T) *lazy[T] {
	l := &lazy[T]{}
	l.value.Store(v)
	return l
}

// lookup finds a canonical URL as given (HL7's v2 tables have "|" in the URL itself), else without its version.
func lookup[T any](m map[string]*lazy[T], url string) *T {
	l := m[url]
	if l == nil {
		l = m[unversioned(url)]
	}
	if l == nil {
		return nil
	}
	return l.get()
}

func (l *lazy[T]) get() *T {
	if v := l.value.Load(); v != nil {
		return v
	}
	l.value.CompareAndSwap(nil, l.decode())
	return l.value.Load()
}
