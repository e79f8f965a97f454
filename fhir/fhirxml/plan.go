package fhirxml

import (
	"github.com/openspine/openspine/fhir/definition"
)

// plan is what the codec needs to know of one type, made once per set of definitions.
type plan struct {
	typ     string
	members map[string]*member
	order   []*member // by position in the specification, choices by type
}

// form is how a value is written in JSON and in XML.
type form uint8

const (
	formText     form = iota // a JSON string, an XML attribute called value
	formNumber               // a JSON number
	formBool                 // true or false
	formXHTML                // a JSON string holding a div; XML in place
	formResource             // a resource inside an element
	formComplex              // an object with members of its own
)

type member struct {
	name      string
	element   int // position of the element in its type; a choice's types share one
	typ       string
	form      form
	repeats   bool
	attribute bool
}

type planKey string

// codec holds the definitions while one document is converted.
type codec struct {
	defs *definition.Set
}

func (c codec) plan(typ string) *plan {
	p, _ := c.defs.Memo(planKey(typ), func() any { return c.build(typ) }).(*plan)
	return p
}

func (c codec) build(typ string) *plan {
	t := c.defs.Type(typ)
	if t == nil {
		return (*plan)(nil)
	}
	p := &plan{typ: typ, members: map[string]*member{}}
	for i := range t.Elements {
		e := &t.Elements[i]
		names := []string{e.Name}
		if e.Choice {
			names = names[:0]
			for _, ref := range e.Types {
				names = append(names, e.Name+upperFirst(ref.Code))
			}
		}
		for _, name := range names {
			_, content, ok := t.Element(name)
			if !ok {
				continue
			}
			m := &member{name: name, element: i, typ: content, form: c.form(content), repeats: e.Repeats(), attribute: e.Attribute}
			p.members[name] = m
			p.order = append(p.order, m)
		}
	}
	return p
}

func (c codec) form(typ string) form {
	switch typ {
	case "boolean":
		return formBool
	case "integer", "positiveInt", "unsignedInt", "decimal":
		return formNumber
	case "xhtml":
		return formXHTML
	case "Resource", "DomainResource":
		return formResource
	}
	if definition.IsPrimitive(typ) {
		return formText
	}
	return formComplex
}

func upperFirst(s string) string {
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		return string(s[0]-'a'+'A') + s[1:]
	}
	return s
}
