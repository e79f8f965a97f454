package definition

import "strings"

// Profile is a StructureDefinition that constrains a type, as a package loaded at run time gives it.
type Profile struct {
	URL, Version, Name string
	// Type is the constrained type, "Patient" or "Extension"; Base the URL of the profile or type it starts from.
	Type, Base string
	Abstract   bool
	// Snapshot says whether Elements are the whole snapshot; otherwise they are the differential alone.
	Snapshot bool
	Elements []ProfileElement
	// Contexts are the places where an extension may be used.
	Contexts []Context
}

// Context is a place where an extension may be used (https://hl7.org/fhir/R4/defining-extensions.html#context).
type Context struct {
	// Type is element, extension or fhirpath.
	Type string
	// Expression is an element's path ("Patient", "Patient.name", "HumanName.family"), an extension's URL, or FHIRPath.
	Expression string
}

// ProfileElement is what a profile says of one element.
type ProfileElement struct {
	Element
	// ID is unique in the profile: "Patient.identifier:nhsNumber.value".
	ID string
	// Slice is the name of the slice that starts here, if one does.
	Slice string
	// MinSet and MaxSet say whether a differential states the bound.
	MinSet, MaxSet bool
	MustSupport    bool
	// FixedType is the type of Fixed, such as "Uri"; for a complex value Fixed is empty.
	FixedType string
	// FixedValue is what every value must be exactly, and Pattern what it must hold at least; nil when the profile says nothing.
	FixedValue, Pattern *Value
	// Slicing says how the element's values are told apart; nil when it does not say.
	Slicing *Slicing
}

// Value is a value of any type that a profile gives. An array is a run of parts of one name.
type Value struct {
	// Name is the member's name; empty on the value itself.
	Name string
	// Text is a primitive as text; Parts are the members of anything else.
	Text  string
	Parts []Value
}

// Slicing says how an element's values are told apart (https://hl7.org/fhir/R4/profiling.html#slicing).
type Slicing struct {
	Discriminators []Discriminator
	// Rules are open, closed or openAtEnd.
	Rules string
	// Ordered says that the values come in the order of the slices.
	Ordered bool
}

// Discriminator is one thing by which slices differ.
type Discriminator struct {
	// Type is value, exists, pattern, type or profile.
	Type string
	// Path is simple FHIRPath from the element: "system", "$this", "resolve().code", "extension('http://…').value".
	Path string
}

// profile draws the facts out of a StructureDefinition that constrains a type.
func profile(sd *tree) *Profile {
	p := &Profile{
		URL: sd.val("url"), Version: sd.val("version"), Name: sd.val("name"),
		Type: sd.val("type"), Base: unversioned(sd.val("baseDefinition")), Abstract: sd.val("abstract") == "true",
	}
	view := sd.get("snapshot")
	p.Snapshot = view != nil
	if view == nil {
		view = sd.get("differential")
	}
	for _, e := range view.all("element") {
		pe := ProfileElement{
			Element: element(e), ID: e.val("id"), Slice: e.val("sliceName"),
			MinSet: e.val("min") != "", MaxSet: e.val("max") != "", MustSupport: e.val("mustSupport") == "true",
		}
		if f := e.prefixed("fixed"); f != nil {
			pe.FixedType = strings.TrimPrefix(f.name, "fixed")
			pe.FixedValue = f.given("")
		}
		if f := e.prefixed("pattern"); f != nil {
			pe.Pattern = f.given("")
		}
		pe.Slicing = slicing(e.get("slicing"))
		p.Elements = append(p.Elements, pe)
	}
	for _, c := range sd.all("context") {
		p.Contexts = append(p.Contexts, Context{c.val("type"), c.val("expression")})
	}
	return p
}

func slicing(s *tree) *Slicing {
	if s == nil {
		return nil
	}
	out := &Slicing{Rules: s.val("rules"), Ordered: s.val("ordered") == "true"}
	for _, d := range s.all("discriminator") {
		out.Discriminators = append(out.Discriminators, Discriminator{d.val("type"), d.val("path")})
	}
	return out
}

// given is the value that a node stands for.
func (t *tree) given(name string) *Value {
	v := &Value{Name: name, Text: t.value}
	for _, k := range t.kids {
		v.Parts = append(v.Parts, *k.given(k.name))
	}
	return v
}
