package definition

import (
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
)

const structureURL = "http://hl7.org/fhir/StructureDefinition/"

// structureTypes draws the types out of the snapshot of a base StructureDefinition: the type itself first, then a
// backbone for each part defined in place.
func structureTypes(sd *tree) ([]*Type, error) {
	root := &Type{Name: sd.val("type"), URL: sd.val("url"), Abstract: sd.val("abstract") == "true"}
	root.Base = strings.TrimPrefix(sd.val("baseDefinition"), structureURL)
	switch sd.val("kind") {
	case "primitive-type":
		root.Kind = Primitive
	case "complex-type":
		root.Kind = Complex
	case "resource":
		root.Kind = Resource
	}
	if sd.val("derivation") == "constraint" { // SimpleQuantity and MoneyQuantity are types of their own
		root.Name = sd.val("name")
	}
	elements := sd.get("snapshot").all("element")
	if len(elements) == 0 || root.Name == "" || root.Kind == 0 {
		return nil, fault.New(fault.Invalid, "the StructureDefinition %s has no type, kind or snapshot", root.URL)
	}
	parents := map[string]bool{}
	for _, e := range elements {
		parents[parentPath(e.val("path"))] = true
	}
	root.Constraints = constraints(elements[0])
	types := []*Type{root}
	byPath := map[string]*Type{elements[0].val("path"): root}
	for _, e := range elements[1:] {
		path := e.val("path")
		if root.Kind == Primitive && strings.HasSuffix(path, ".value") {
			root.Regex = e.get("type").extension(structureURL + "regex")
			continue
		}
		owner := byPath[parentPath(path)]
		if owner == nil {
			return nil, fault.New(fault.Invalid, "the element %s comes before what holds it", path)
		}
		el := element(e)
		if root.Name == "Resource" || root.Kind == Resource {
			mendResource(&el)
		}
		if parents[path] {
			el.inPlace = path
			part := &Type{Name: path, Base: "BackboneElement", Kind: Backbone, Constraints: el.Constraints}
			if len(el.Types) > 0 {
				part.Base = el.Types[0].Code
			}
			byPath[path] = part
			types = append(types, part)
		}
		owner.Elements = append(owner.Elements, el)
	}
	return types, nil
}

// mendResource corrects a resource's id, which the published files call a string although the specification
// (https://hl7.org/fhir/R4/resource.html#id) and the JSON schema hold it to the id type.
func mendResource(el *Element) {
	if el.Name == "id" && strings.Count(el.Path, ".") == 1 {
		el.Types = []TypeRef{{Code: "id"}}
		el.Attribute = false
	}
}

func parentPath(path string) string {
	i := strings.LastIndexByte(path, '.')
	return path[:max(i, 0)]
}

// element draws the facts out of one ElementDefinition.
func element(e *tree) Element {
	path := e.val("path")
	el := Element{Path: path, Name: path[strings.LastIndexByte(path, '.')+1:], Max: Unbounded}
	el.Name, el.Choice = strings.CutSuffix(el.Name, "[x]")
	el.Min, _ = strconv.Atoi(e.val("min"))
	if m, err := strconv.Atoi(e.val("max")); err == nil {
		el.Max = m
	}
	for _, t := range e.all("type") {
		el.addType(t)
	}
	if _, ref, ok := strings.Cut(e.val("contentReference"), "#"); ok {
		el.ContentRef = ref
	}
	if b := e.get("binding"); b != nil && b.val("valueSet") != "" {
		el.Binding = &Binding{
			Strength: b.val("strength"),
			ValueSet: unversioned(b.val("valueSet")),
			Max:      unversioned(b.extension(structureURL + "elementdefinition-maxValueSet")),
		}
	}
	el.Constraints = constraints(e)
	el.Summary = e.val("isSummary") == "true"
	el.Modifier = e.val("isModifier") == "true"
	for _, r := range e.vals("representation") {
		el.Attribute = el.Attribute || r == "xmlAttr"
	}
	if f := e.prefixed("fixed"); f != nil {
		el.Fixed = f.value
	}
	return el
}

// addType adds a type, merging those that R3-style files repeat once per target.
func (e *Element) addType(t *tree) {
	code := t.val("code")
	if system, ok := strings.CutPrefix(code, "http://hl7.org/fhirpath/System."); ok {
		code = t.extension(structureURL + "structuredefinition-fhir-type")
		if code == "" && system != "" {
			code = strings.ToLower(system[:1]) + system[1:]
		}
	}
	if code == "" {
		return
	}
	ref := TypeRef{Code: code, Profiles: t.vals("profile")}
	for _, p := range t.vals("targetProfile") {
		ref.Targets = append(ref.Targets, targetName(p))
	}
	for i := range e.Types {
		if e.Types[i].Code == code {
			e.Types[i].Targets = append(e.Types[i].Targets, ref.Targets...)
			e.Types[i].Profiles = append(e.Types[i].Profiles, ref.Profiles...)
			return
		}
	}
	e.Types = append(e.Types, ref)
}

// targetName shortens the URL of a base type to its name and leaves profiles as they are.
func targetName(url string) string {
	if name, ok := strings.CutPrefix(url, structureURL); ok && !strings.ContainsAny(name, "-/|") {
		return name
	}
	return url
}

func constraints(e *tree) []Constraint {
	var out []Constraint
	for _, c := range e.all("constraint") {
		if c.val("expression") == "" {
			continue
		}
		out = append(out, Constraint{
			Key:          c.val("key"),
			Severity:     c.val("severity"),
			Expression:   c.val("expression"),
			Human:        c.val("human"),
			BestPractice: c.extension(structureURL+"elementdefinition-bestpractice") == "true",
		})
	}
	return out
}
