package validate

import (
	"slices"
	"strings"

	"github.com/openspine/openspine/fhir/definition"
)

// mould is a profile made ready: what it and the profiles that it builds on ask beyond the base type, as one tree of elements.
// A differential is laid over its base's; a snapshot stands by itself. What nobody constrains is not in the tree: the
// base type says it.
type mould struct {
	profile *definition.Profile
	root    *piece
	// missing is a base profile that is not held, so that nothing can be said of what it asks.
	missing string
}

// piece is what a profile asks of one element, or of one slice of it.
type piece struct {
	name     string // the element's, without a choice's type
	slice    string // the slice's, "" for the element itself
	choice   bool   // value[x]
	min, max int    // bounds; -1 where the profile says nothing, or, for max, allows any number
	types    []definition.TypeRef
	binding  *definition.Binding
	fixed    *definition.Value
	pattern  *definition.Value
	slicing  *definition.Slicing
	rules    []definition.Constraint
	kids     []*piece
	slices   []*piece
}

// mostBases bounds how many profiles may build on one another.
const mostBases = 32

// mould finds or builds the tree of a profile, nil when none of that URL is held.
func (p *plan) mould(url string) *mould {
	profile := p.set.Profile(url)
	if profile == nil {
		return nil
	}
	if m, ok := p.moulds.Load(profile.URL); ok {
		return m.(*mould)
	}
	m := &mould{profile: profile, root: newPiece(profile.Type, "")}
	chain := []*definition.Profile{profile}
	for last := profile; !last.Snapshot && len(chain) < mostBases; {
		base := p.set.Profile(last.Base)
		if base == nil {
			if p.set.Type(strings.TrimPrefix(last.Base, coreURL)) == nil {
				m.missing = last.Base
			}
			break
		}
		chain, last = append(chain, base), base
	}
	for _, from := range slices.Backward(chain) {
		p.lay(m.root, from)
	}
	m.root.inherit()
	kept, _ := p.moulds.LoadOrStore(profile.URL, m)
	return kept.(*mould)
}

const coreURL = "http://hl7.org/fhir/StructureDefinition/"

func newPiece(name, slice string) *piece {
	return &piece{name: name, slice: slice, min: -1, max: definition.Unbounded}
}

// lay puts what one profile says over what its bases said.
func (p *plan) lay(root *piece, profile *definition.Profile) {
	var core map[string]bool
	if profile.Snapshot {
		core = p.core()
	}
	slice := map[string]string{} // path → the slice that it is in, for elements without an id
	for i := range profile.Elements {
		e := &profile.Elements[i]
		id := e.ID
		if e.Slice != "" {
			slice[e.Path] = e.Slice
		}
		if id == "" {
			id = idOf(e, slice)
		}
		at, typ := root, profile.Type
		for step := range strings.SplitSeq(afterDot(id), ".") {
			if step != "" {
				at, typ = p.step(at, typ, step)
			}
		}
		at.say(e, core)
	}
}

// idOf makes the id of an element that has none from its path and the slices that were opened before it.
func idOf(e *definition.ProfileElement, slice map[string]string) string {
	id, path := "", ""
	for i, step := range strings.Split(e.Path, ".") {
		if i > 0 {
			id, path = id+".", path+"."
		}
		id, path = id+step, path+step
		if name := slice[path]; name != "" && (path != e.Path || e.Slice != "") {
			id += ":" + name
		}
	}
	return id
}

func afterDot(id string) string {
	_, rest, _ := strings.Cut(id, ".")
	return rest
}

// step goes to a member of a piece, which it makes when nobody has spoken of it before. valueQuantity is read as the slice of
// value[x] that holds Quantities. typ is the type of the value there, where there is but one.
func (p *plan) step(at *piece, typ, step string) (*piece, string) {
	name, slice, _ := strings.Cut(step, ":")
	name = strings.TrimSuffix(name, "[x]")
	inner, choice := "", strings.Contains(step, "[x]")
	var only []definition.TypeRef
	if t := p.set.Type(typ); t != nil {
		if el, ok := t.ElementByName(name); ok {
			choice = el.Choice
			if len(el.Types) == 1 || el.ContentRef != "" {
				_, inner, _ = t.Element(name)
			}
		} else if el, content, ok := t.Element(name); ok {
			slice, name, inner, choice = name, el.Name, content, true
			for _, ref := range el.Types {
				if el.Content(ref.Code) == content {
					only = []definition.TypeRef{{Code: ref.Code}}
				}
			}
		}
	}
	next := member(&at.kids, name, "")
	next.choice = choice
	if len(next.types) == 1 && inner == "" {
		inner = next.types[0].Code
	}
	if slice != "" {
		next = member(&next.slices, name, slice)
		if next.types == nil {
			next.types = only
		}
	}
	return next, inner
}

func member(list *[]*piece, name, slice string) *piece {
	for _, p := range *list {
		if p.name == name && p.slice == slice {
			return p
		}
	}
	p := newPiece(name, slice)
	*list = append(*list, p)
	return p
}

// say takes over what a profile says of the element, without the rules of FHIR itself, which a snapshot repeats.
func (at *piece) say(e *definition.ProfileElement, core map[string]bool) {
	if e.MinSet {
		at.min = max(at.min, e.Min)
	}
	if e.MaxSet && e.Max != definition.Unbounded && (at.max == definition.Unbounded || e.Max < at.max) {
		at.max = e.Max
	}
	if len(e.Types) > 0 {
		at.types = e.Types
	}
	if e.Binding != nil {
		at.binding = e.Binding
	}
	if e.FixedValue != nil {
		at.fixed = e.FixedValue
	}
	if e.Pattern != nil {
		at.pattern = e.Pattern
	}
	if e.Slicing != nil {
		at.slicing = e.Slicing
	}
	for _, c := range e.Constraints {
		if !core[c.Key] && !has(at.rules, c.Key) {
			at.rules = append(at.rules, c)
		}
	}
}

// inherit gives each slice what is asked of its element: whatever is of a slice is looked at as that alone.
func (at *piece) inherit() {
	for _, s := range at.slices {
		s.take(at)
	}
	for _, list := range [][]*piece{at.kids, at.slices} {
		for _, k := range list {
			k.inherit()
		}
	}
}

// take adds what from asks and at does not say itself: everything but how from's values are told apart and how many there are.
func (at *piece) take(from *piece) {
	if at.types == nil {
		at.types = from.types
	}
	if at.binding == nil {
		at.binding = from.binding
	}
	if at.fixed == nil {
		at.fixed = from.fixed
	}
	if at.pattern == nil {
		at.pattern = from.pattern
	}
	for _, c := range from.rules {
		if !has(at.rules, c.Key) {
			at.rules = append(at.rules, c)
		}
	}
	for _, k := range from.kids {
		member(&at.kids, k.name, "").takeAll(k)
	}
}

// takeAll is take for a member, with its bounds and slices.
func (at *piece) takeAll(from *piece) {
	at.take(from)
	at.min = max(at.min, from.min)
	if at.max == definition.Unbounded || from.max != definition.Unbounded && from.max < at.max {
		at.max = from.max
	}
	if at.slicing == nil {
		at.slicing = from.slicing
	}
	for _, s := range from.slices {
		member(&at.slices, s.name, s.slice).takeAll(s)
	}
}

// core are the keys of the rules that FHIR's own types have.
func (p *plan) core() map[string]bool {
	p.coreOnce.Do(func() {
		p.coreKeys = map[string]bool{}
		note := func(list []definition.Constraint) {
			for i := range list {
				p.coreKeys[list[i].Key] = true
			}
		}
		for _, name := range p.set.TypeNames() {
			t := p.set.Type(name)
			note(t.Constraints)
			for i := range t.Elements {
				note(t.Elements[i].Constraints)
			}
		}
	})
	return p.coreKeys
}

// kid is what is asked of a member; nil when nothing is.
func (at *piece) kid(name string) *piece {
	for _, k := range at.kids {
		if k.name == name {
			return k
		}
	}
	return nil
}
