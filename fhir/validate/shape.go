package validate

import (
	"regexp"
	"slices"
	"strings"
	"sync"

	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirpath"
)

// plan is a definition set made ready for walking: one shape per type, built when first met.
type plan struct {
	set    *definition.Set
	shapes sync.Map // type name → *shape
	build  sync.Mutex
	rules  sync.Map // rule key and expression → *rule
	moulds sync.Map // URL of a profile → *mould
	// coreKeys are the keys of FHIR's own rules, once a snapshot has been met.
	coreOnce sync.Once
	coreKeys map[string]bool
	// membership answers memberOf in rules.
	membership fhirpath.Option
	// conformance answers conformsTo in rules.
	conformance fhirpath.Option
}

type planKey struct{}

func planOf(set *definition.Set) *plan {
	return set.Memo(planKey{}, func() any {
		p := &plan{set: set}
		p.membership, p.conformance = fhirpath.WithMembership(p.member), fhirpath.WithConformance(p.conformsTo)
		return p
	}).(*plan)
}

// shape is how values of one type must look.
type shape struct {
	name     string
	resource bool
	special  special
	fields   map[string]*field
	slots    int
	required []*field
	rules    []*rule
}

// special types need more than their elements checked.
type special uint8

const (
	plain special = iota
	reference
	extension
)

// field is one JSON member that a type may have.
type field struct {
	// name is the element's name without a choice's type; json the member's.
	name, json string
	slot       int
	repeats    bool
	max        int
	choice     bool
	// sibling fields (_birthDate) hold the id and extensions of the primitive in value.
	sibling bool
	value   *field
	content string
	form    *form  // for primitives
	shape   *shape // for everything but primitives and resources
	binding *binding
	targets []string
	rules   []*rule
	el      *definition.Element
}

// shape finds or builds the shape of a type, nil for an unknown one.
func (p *plan) shape(name string) *shape {
	if s, ok := p.shapes.Load(name); ok {
		return s.(*shape)
	}
	p.build.Lock()
	defer p.build.Unlock()
	b := builder{plan: p, made: map[string]*shape{}}
	s := b.shape(name)
	for name, s := range b.made {
		p.shapes.Store(name, s)
	}
	return s
}

// builder makes a shape and those it holds, which may hold one another; all are published together.
type builder struct {
	plan *plan
	made map[string]*shape
}

func (b *builder) shape(name string) *shape {
	if s, ok := b.plan.shapes.Load(name); ok {
		return s.(*shape)
	}
	if s := b.made[name]; s != nil {
		return s
	}
	t := b.plan.set.Type(name)
	if t == nil {
		return nil
	}
	s := &shape{name: name, resource: t.Kind == definition.Resource, slots: len(t.Elements), fields: make(map[string]*field, len(t.Elements)+8)}
	b.made[name] = s
	switch name {
	case "Reference":
		s.special = reference
	case "Extension":
		s.special = extension
	}
	s.rules = b.plan.compile(name, t.Constraints, nil)
	for i := range t.Elements {
		b.element(s, i, &t.Elements[i])
	}
	return s
}

// element adds the members by which one element may appear.
func (b *builder) element(s *shape, slot int, el *definition.Element) {
	types := el.Types
	if el.ContentRef != "" {
		types = []definition.TypeRef{{Code: el.ContentRef}}
	}
	for i, ref := range types {
		f := &field{
			name: el.Name, json: el.Name, slot: slot, repeats: el.Repeats(), max: el.Max, choice: el.Choice,
			content: el.Content(ref.Code), targets: ref.Targets, el: el,
		}
		if el.Choice {
			f.json += upperFirst(ref.Code)
		}
		f.value = f
		t := b.plan.set.Type(f.content)
		if t == nil {
			continue
		}
		f.binding = bindingOf(b.plan.set, el, ref.Code)
		f.rules = b.plan.compile(f.content, el.Constraints, t.Constraints)
		for _, url := range ref.Profiles { // SimpleQuantity is a Quantity with a rule of its own
			if narrow := b.plan.set.Type(url[strings.LastIndexByte(url, '/')+1:]); narrow != nil && narrow.Base == t.Name {
				f.rules = append(f.rules, b.plan.compile(f.content, narrow.Constraints, slices.Concat(el.Constraints, t.Constraints))...)
			}
		}
		switch {
		case t.Kind == definition.Primitive:
			f.form = b.plan.form(t)
			sibling := *f
			sibling.json, sibling.sibling, sibling.form, sibling.rules, sibling.binding = "_"+f.json, true, nil, nil, nil
			sibling.shape = b.shape("Element")
			s.fields[sibling.json] = &sibling
		case t.Kind != definition.Resource:
			f.shape = b.shape(f.content)
		}
		s.fields[f.json] = f
		if i == 0 && el.Min > 0 {
			s.required = append(s.required, f)
		}
	}
}

// form is the check for a primitive type: built in for FHIR's own, by its pattern for one that a package defines.
func (p *plan) form(t *definition.Type) *form {
	for name := t.Name; name != ""; {
		if f, ok := forms[name]; ok {
			return &f
		}
		base := p.set.Type(name)
		if base == nil {
			break
		}
		name = base.Base
	}
	if re, err := regexp.Compile("^(?:" + t.Regex + ")$"); err == nil && t.Regex != "" {
		return &form{text: func(s string) string {
			if re.MatchString(s) {
				return ""
			}
			return "does not have the form of its type"
		}}
	}
	return &form{text: checkString}
}

func upperFirst(s string) string {
	if s != "" && s[0] >= 'a' && s[0] <= 'z' {
		return string(s[0]-'a'+'A') + s[1:]
	}
	return s
}
