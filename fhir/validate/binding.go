package validate

import (
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
)

// binding is a value set that codes must come from: a required binding, or the outer bound of a weaker one.
type binding struct {
	set  *definition.ValueSet
	name string
	kind codedKind
	// required bindings refuse. The outer bound of a weaker one refuses a malformed bare code (a language tag such as
	// en_GB), but only warns of a Coding from elsewhere: national profiles bind other systems (UK Core's languages).
	required bool
}

type codedKind uint8

const (
	bareCode codedKind = iota
	coding
	concept
	quantity
)

// bindingOf is the binding that must hold for a type of an element; nil when there is none or its value set is not
// held, so that nothing is refused for want of knowledge.
func bindingOf(set *definition.Set, el *definition.Element, code string) *binding {
	if el.Binding == nil {
		return nil
	}
	url := el.Binding.Max
	if el.Binding.Strength == "required" {
		url = el.Binding.ValueSet
	}
	v := set.ValueSet(url)
	if url == "" || v == nil {
		return nil
	}
	b := &binding{set: v, name: url[strings.LastIndexByte(url, '/')+1:], required: el.Binding.Strength == "required"}
	switch code {
	case "code", "string", "uri", "canonical", "url", "oid", "id", "markdown":
		b.kind = bareCode
	case "Coding":
		b.kind = coding
	case "CodeableConcept":
		b.kind = concept
	default:
		if !set.IsA(code, "Quantity") {
			return nil
		}
		b.kind = quantity
	}
	return b
}

// boundText checks the code in a primitive.
func (w *walker) boundText(code string, f *field) {
	if in, known := f.binding.set.Contains("", code); known && !in {
		w.wrong("code-invalid", quoted(code)+" is not a code for "+f.json+". Use one of "+f.binding.examples()+".")
	}
}

// examples names the codes to choose from, or their value set when they are many.
func (b *binding) examples() string {
	codes, ok := b.set.Codes()
	if !ok || len(codes) == 0 || len(codes) > 12 {
		return "value set " + b.name
	}
	names := make([]string, len(codes))
	for i, c := range codes {
		names[i] = c.Code
	}
	return strings.Join(names, ", ") + " (value set " + b.name + ")"
}

// bound checks the codes in a Coding, CodeableConcept or Quantity.
func (w *walker) bound(n fhir.Node, b *binding) {
	if !b.required {
		if w.rules {
			w.outerBound(n, b)
		}
		return
	}
	switch b.kind {
	case coding, quantity:
		if b.holds(n) == outside {
			w.wrongAt("code", "code-invalid", "This code is not from the value set that FHIR requires here. Use one of "+b.examples()+".")
		}
	case concept:
		if b.best(n) == outside {
			w.wrongAt("coding", "code-invalid", "One coding must be from the value set that FHIR requires here. Use one of "+b.examples()+".")
		}
	}
}

// outerBound warns of codes that are all from outside the value set that bounds a weaker binding.
func (w *walker) outerBound(n fhir.Node, b *binding) {
	out := false
	switch b.kind {
	case coding, quantity:
		out = b.holds(n) == outside
	case concept:
		out = n.Field("coding").Exists() && b.best(n) == outside
	}
	if out {
		w.report("warning", "code-invalid", w.expression(), "FHIR R4 expects a code from value set "+b.name+" here. Add one if you can.")
	}
}

// best is the most that is known of any coding of a concept.
func (b *binding) best(n fhir.Node) holding {
	best := outside
	for c := range n.Field("coding").Items() {
		best = max(best, b.holds(c))
	}
	return best
}

// holding is what is known of a coding and a value set, in rising order.
type holding uint8

const (
	outside holding = iota
	cannotTell
	inside
)

func (b *binding) holds(n fhir.Node) holding {
	code := n.Field("code")
	if !code.Exists() {
		if b.kind == concept {
			return outside
		}
		return cannotTell // absence is cardinality's business
	}
	system := n.Field("system").String()
	if system == "" {
		return outside
	}
	in, known := b.set.Contains(system, code.String())
	switch {
	case !known:
		return cannotTell
	case in:
		return inside
	}
	return outside
}
