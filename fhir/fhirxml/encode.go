package fhirxml

import (
	"cmp"
	"slices"
	"unicode/utf8"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
)

// Encode writes a resource as XML in UTF-8, with the elements in the order of the specification and no white space
// between them.
//
// An element that defs do not know, a value of another JSON type than its own, a narrative that is not XML and a
// character that XML does not have are fault.Unprocessable, with the path.
func Encode(r *fhir.Resource, defs *definition.Set) ([]byte, error) {
	e := &encoder{codec: codec{defs}, out: make([]byte, 0, len(r.JSON())+len(r.JSON())/2)}
	e.out = append(e.out, `<?xml version="1.0" encoding="UTF-8"?>`...)
	if err := e.resource(r.Root(), true); err != nil {
		return nil, err
	}
	return e.out, nil
}

type encoder struct {
	codec
	out []byte
}

func refuse(n fhir.Node, what string) error {
	path := n.Path()
	message := "the element " + path + " cannot be written as XML: " + what
	return fault.WithIssues(fault.Unprocessable, message, fault.Issue{
		Severity: "error", Code: "structure", Diagnostics: message, Expression: []string{path},
	})
}

func (e *encoder) resource(n fhir.Node, outermost bool) error {
	if n.Kind() != fhir.Object {
		return refuse(n, "it should be a resource")
	}
	typ := n.Field("resourceType").String()
	if !e.defs.IsResource(typ) {
		return refuse(n, "the definitions do not know its type of resource")
	}
	e.out = append(append(e.out, '<'), typ...)
	if outermost {
		e.out = append(e.out, ` xmlns="`+fhirSpace+`"`...)
	}
	return e.content(n, e.plan(typ), typ, true)
}

// part is a member of an object with its parallel _member.
type part struct {
	m     *member
	value fhir.Node
	extra fhir.Node
}

// parts lists an object's members in the order of the specification.
func (e *encoder) parts(n fhir.Node, p *plan, isResource bool) ([]part, error) {
	var room [24]part
	parts := room[:0]
	if p == nil {
		return nil, refuse(n, "the definitions do not know its type")
	}
	for name, v := range n.Fields() {
		if name == "resourceType" && isResource {
			continue
		}
		sibling := name[0:min(1, len(name))] == "_"
		m := p.members[name]
		if sibling {
			m = p.members[name[1:]]
		}
		if m == nil || sibling && (m.form > formBool || m.attribute) {
			return nil, refuse(v, "the definitions do not know it")
		}
		at := slices.IndexFunc(parts, func(p part) bool { return p.m == m })
		if at < 0 {
			at = len(parts)
			parts = append(parts, part{m: m})
		}
		if sibling {
			parts[at].extra = v
		} else {
			parts[at].value = v
		}
	}
	slices.SortStableFunc(parts, func(a, b part) int { return cmp.Compare(a.m.element, b.m.element) })
	return parts, nil
}

// content writes the rest of a start tag, the children and the end tag of the element tag for the object n.
func (e *encoder) content(n fhir.Node, p *plan, tag string, isResource bool) error {
	parts, err := e.parts(n, p, isResource)
	if err != nil {
		return err
	}
	children := false
	for _, p := range parts {
		if !p.m.attribute {
			children = true
			continue
		}
		if p.value.Kind() != fhir.String {
			return refuse(p.value, "it should be a string")
		}
		if err := e.attribute(p.m.name, p.value); err != nil {
			return err
		}
	}
	if !children {
		e.out = append(e.out, "/>"...)
		return nil
	}
	e.out = append(e.out, '>')
	for _, p := range parts {
		if !p.m.attribute {
			if err := e.member(p); err != nil {
				return err
			}
		}
	}
	e.out = append(append(append(e.out, "</"...), tag...), '>')
	return nil
}

func (e *encoder) member(p part) error {
	for _, n := range []fhir.Node{p.value, p.extra} {
		if n.Exists() && p.m.repeats != (n.Kind() == fhir.Array) {
			if p.m.repeats {
				return refuse(n, "it should be an array")
			}
			return refuse(n, "it should not be an array")
		}
	}
	if !p.m.repeats {
		return e.element(p.m, p.value, p.extra)
	}
	values, extras := slices.Collect(p.value.Items()), slices.Collect(p.extra.Items())
	for i := range max(len(values), len(extras)) {
		var value, extra fhir.Node
		if i < len(values) {
			value = values[i]
		}
		if i < len(extras) {
			extra = extras[i]
		}
		if err := e.element(p.m, value, extra); err != nil {
			return err
		}
	}
	return nil
}

func (e *encoder) element(m *member, value, extra fhir.Node) error {
	if m.form == formXHTML {
		div, ok := narrativeXML(value.String())
		if !ok || value.Kind() != fhir.String {
			return refuse(value, "it should be a well-formed XHTML div")
		}
		e.out = append(e.out, div...)
		return nil
	}
	e.out = append(append(e.out, '<'), m.name...)
	switch m.form {
	case formComplex:
		if value.Kind() != fhir.Object {
			return refuse(value, "it should be an object")
		}
		return e.content(value, e.plan(m.typ), m.name, false)
	case formResource:
		e.out = append(e.out, '>')
		if err := e.resource(value, false); err != nil {
			return err
		}
		e.out = append(append(append(e.out, "</"...), m.name...), '>')
		return nil
	}
	return e.primitive(m, value, extra)
}

func (e *encoder) primitive(m *member, value, extra fhir.Node) error {
	has := value.Exists() && value.Kind() != fhir.Null
	if has {
		if want := [...]fhir.Kind{formText: fhir.String, formNumber: fhir.Number, formBool: fhir.Bool}[m.form]; value.Kind() != want {
			return refuse(value, "it should be a JSON "+want.String())
		}
		if err := e.attribute("value", value); err != nil {
			return err
		}
	}
	switch extra.Kind() {
	case fhir.Absent, fhir.Null:
		if !has {
			if !value.Exists() {
				value = extra
			}
			return refuse(value, "it has neither a value nor an extension")
		}
		e.out = append(e.out, "/>"...)
		return nil
	case fhir.Object:
		return e.content(extra, e.plan("Element"), m.name, false)
	}
	return refuse(extra, "it should be an object")
}

// attribute writes an attribute, with white space and quotes as references so that every reader gives them back.
func (e *encoder) attribute(name string, value fhir.Node) error {
	e.out = append(append(append(e.out, ' '), name...), `="`...)
	s := value.String()
	for i := 0; i < len(s); {
		c := s[i]
		if c >= utf8.RuneSelf {
			r, n := utf8.DecodeRuneInString(s[i:])
			if !isChar(r) {
				return refuse(value, "it holds a character that XML does not have")
			}
			e.out = append(e.out, s[i:i+n]...)
			i += n
			continue
		}
		i++
		switch c {
		case '&':
			e.out = append(e.out, "&amp;"...)
		case '<':
			e.out = append(e.out, "&lt;"...)
		case '>':
			e.out = append(e.out, "&gt;"...)
		case '"':
			e.out = append(e.out, "&quot;"...)
		case '\n':
			e.out = append(e.out, "&#10;"...)
		case '\r':
			e.out = append(e.out, "&#13;"...)
		case '\t':
			e.out = append(e.out, "&#9;"...)
		default:
			e.out = append(e.out, c)
		}
	}
	e.out = append(e.out, '"')
	return nil
}
