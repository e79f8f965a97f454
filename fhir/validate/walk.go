package validate

import (
	"fmt"
	"slices"
	"strings"

	"github.com/openspine/openspine/fhir"
)

// mostSlots is the number of elements that are tracked without allocation; the largest R4 type has fewer.
const mostSlots = 96

// resource checks a resource at the current path: the root, one contained, or one in an entry. in is the field that
// holds it, nil for the root.
func (w *walker) resource(n fhir.Node, in *field) {
	if n.Kind() != fhir.Object {
		w.wrong("structure", "This must be a resource: a JSON object with a resourceType.")
		return
	}
	typ := n.Field("resourceType")
	if typ.Kind() != fhir.String {
		w.wrong("structure", "Say which type of resource this is, as a string in resourceType.")
		return
	}
	name := typ.String()
	s := w.plan.shape(name)
	if s == nil || !s.resource || !w.plan.set.IsResource(name) {
		w.wrong("structure", "There is no resource type named "+quoted(name)+" in FHIR R4. Check the spelling of resourceType.")
		return
	}
	outer := w.at
	if in == nil || in.name != "contained" {
		w.at = w.contents(n)
		defer func() { w.at = outer }()
	} else {
		w.contained(n)
	}
	before := w.broken
	w.object(n, s)
	if w.rules && w.broken == before {
		w.apply(n, s.name, s.rules)
		if in != nil {
			w.apply(n, s.name, in.rules)
		}
	}
	if w.at != outer {
		w.unreferenced()
	}
	w.at.current = -1
}

// object checks the members of an object against a shape.
func (w *walker) object(n fhir.Node, s *shape) { w.members(n, s, false) }

// members is object; idAlone says that an id is content enough, as beside a primitive that has a value.
func (w *walker) members(n fhir.Node, s *shape, idAlone bool) {
	if n.Kind() != fhir.Object {
		w.wrong("structure", "This must be a JSON object, since it is a "+s.name+", but it is "+article(n.Kind())+".")
		return
	}
	var few [mostSlots]*field
	seen := few[:]
	if s.slots > mostSlots {
		seen = make([]*field, s.slots)
	}
	children := 0
	for name, v := range n.Fields() {
		f := s.fields[name]
		if f == nil {
			if name != "resourceType" || !s.resource {
				w.unknown(s, name)
			}
			children++
			continue
		}
		if f.json != "id" {
			children++
		}
		if before := seen[f.slot]; before == nil {
			seen[f.slot] = f
		} else if before.content != f.content {
			w.wrongAt(f.name, "structure", "Only one form of "+f.name+"[x] may be given: keep "+before.value.plainJSON()+" or "+f.plainJSON()+".")
			continue
		}
		if f.sibling {
			w.sibling(n, f, v)
		} else {
			w.member(n, f, v)
		}
		if w.full() {
			return
		}
	}
	if children == 0 && !s.resource && (!idAlone || n.Len() == 0) {
		w.wrong("structure", "This "+s.name+" is empty. Give it content, or leave it out.")
		return
	}
	for _, f := range s.required {
		if seen[f.slot] == nil {
			w.missing(s, f)
		}
	}
}

// plainJSON is the member's name without a sibling's underscore.
func (f *field) plainJSON() string { return strings.TrimPrefix(f.json, "_") }

func (w *walker) missing(s *shape, f *field) {
	name := f.json
	if f.choice {
		name = f.name + "[x]"
	}
	w.wrongAt(f.name, "required", "Every "+s.name+" needs "+name+". Add it.")
}

// member checks the value of a member: one, or an array of them.
func (w *walker) member(parent fhir.Node, f *field, v fhir.Node) {
	array := v.Kind() == fhir.Array
	if !f.repeats {
		w.push(f.name, -1)
		if array {
			w.wrong("structure", f.json+" occurs at most once: write the value itself, not an array.")
		} else if f.max == 0 {
			w.wrong("structure", f.json+" may not be given here. Remove it.")
		} else {
			w.one(parent, f, v, -1)
		}
		w.pop()
		return
	}
	if !array {
		w.wrongAt(f.name, "structure", f.json+" may repeat: write an array, even for one value.")
		return
	}
	if v.Len() == 0 {
		w.wrongAt(f.name, "structure", f.json+" is an empty array. Leave it out when there is nothing to say.")
		return
	}
	if f.max > 0 && v.Len() > f.max {
		w.wrongAt(f.name, "structure", fmt.Sprintf("%s may occur at most %d times, but there are %d.", f.json, f.max, v.Len()))
	}
	i := 0
	for item := range v.Items() {
		w.push(f.name, i)
		w.one(parent, f, item, i)
		w.pop()
		if i++; w.full() {
			return
		}
	}
}

// one checks a single value; i is its place in an array, or -1.
func (w *walker) one(parent fhir.Node, f *field, v fhir.Node, i int) {
	switch {
	case f.form != nil:
		w.primitive(parent, f, v, i)
	case f.shape == nil:
		w.resource(v, f)
	case v.Kind() == fhir.Array:
		w.wrong("structure", "An array may not stand inside an array.")
	case v.Kind() == fhir.Null:
		w.wrong("structure", "null is not a "+f.content+". Leave "+f.json+" out when there is nothing to say.")
	default:
		before := w.broken
		w.object(v, f.shape)
		if v.Kind() != fhir.Object {
			return
		}
		switch f.shape.special {
		case reference:
			w.reference(v, f)
		case extension:
			w.extension(v)
		}
		if f.binding != nil {
			w.bound(v, f.binding)
		}
		if w.rules && w.broken == before {
			w.apply(v, f.content, f.shape.rules)
			w.apply(v, f.content, f.rules)
		}
	}
}

// primitive checks a value of a primitive type.
func (w *walker) primitive(parent fhir.Node, f *field, v fhir.Node, i int) {
	kind := v.Kind()
	if kind == fhir.Null {
		if i < 0 {
			w.wrong("structure", "null is not a value. Leave "+f.json+" out when there is nothing to say.")
		} else if s := parent.Field("_" + f.json).Index(i); s.Kind() != fhir.Object {
			w.wrong("structure", "null may only hold a place for an id or extension in _"+f.json+", and there is none. Remove it.")
		}
		return
	}
	if kind != f.form.json {
		w.wrong("structure", f.json+" must be "+article(f.form.json)+", since it is a "+f.content+", but it is "+article(kind)+".")
		return
	}
	text := v.String()
	if problem := f.form.check(text); problem != "" {
		code := "value"
		if problem == tooLong {
			code = "too-long"
		}
		w.wrong(code, f.json+" "+problem+".")
		return
	}
	switch {
	case f.binding != nil:
		w.boundText(text, f)
	case f.form.xhtml:
		w.narrative(text)
	case f.form.link && w.at != nil:
		w.at.link(text)
	}
	if w.rules && len(f.rules) > 0 {
		w.apply(v, f.content, f.rules)
	}
}

// sibling checks _name: the ids and extensions of the primitives in name, aligned with them.
func (w *walker) sibling(parent fhir.Node, f *field, v fhir.Node) {
	plain := f.plainJSON()
	if !f.repeats {
		w.push(f.name, -1)
		if v.Kind() != fhir.Object {
			w.wrong("structure", f.json+" must be an object with the id and extensions of "+plain+".")
		} else {
			w.members(v, f.shape, parent.Field(plain).Kind() > fhir.Null)
		}
		w.pop()
		return
	}
	if v.Kind() != fhir.Array {
		w.wrongAt(f.name, "structure", f.json+" must be an array, since "+plain+" may repeat.")
		return
	}
	values := parent.Field(plain)
	if values.Kind() == fhir.Array && values.Len() != v.Len() {
		w.wrongAt(f.name, "structure", plain+" and "+f.json+" must be arrays of one length; fill the gaps with null.")
	}
	i := 0
	for item := range v.Items() {
		w.push(f.name, i)
		switch {
		case item.Kind() == fhir.Object:
			w.members(item, f.shape, values.Index(i).Kind() > fhir.Null)
		case item.Kind() != fhir.Null:
			w.wrong("structure", "An item of "+f.json+" is an object with an id or extensions, or null.")
		case values.Index(i).Kind() <= fhir.Null:
			w.wrong("structure", "There is neither a value nor an extension at this place of "+plain+". Remove it from both arrays.")
		}
		w.pop()
		i++
	}
}

// extension checks what Extension's elements do not say.
func (w *walker) extension(n fhir.Node) {
	url := n.Field("url")
	nested := len(w.path) > 1 && w.path[len(w.path)-1].name == "extension" && w.path[len(w.path)-2].name == "extension"
	if url.Kind() == fhir.String && !nested && !absolute(url.String()) {
		w.wrongAt("url", "extension", "The url of an extension must be absolute, such as https://fhir.hl7.org.uk/StructureDefinition/….")
	}
	values := 0
	for name := range n.Fields() {
		if strings.HasPrefix(name, "value") || strings.HasPrefix(name, "_value") {
			values++
		}
	}
	if (values > 0) == n.Field("extension").Exists() {
		w.wrong("invariant", "An extension holds either a value[x] or further extensions, not both and not neither (rule ext-1).")
	}
}

// absolute says whether a URI has a scheme.
func absolute(uri string) bool {
	scheme, rest, ok := strings.Cut(uri, ":")
	return ok && scheme != "" && rest != "" && !strings.ContainsAny(scheme, "/?#")
}

// unknown reports a member that the type does not have, with the nearest name that it has.
func (w *walker) unknown(s *shape, name string) {
	plain := strings.TrimPrefix(name, "_")
	say := s.name + " has no element " + quoted(name) + "."
	if f := s.fields[plain]; f != nil {
		say = "_" + plain + " is only for primitives; put the id and extensions of " + plain + " inside it."
	} else if types := s.choice(plain); len(types) > 0 {
		say += " Write one of " + strings.Join(types, ", ") + "."
	} else if near := s.nearest(plain); near != "" {
		say += " Did you mean " + near + "?"
	} else {
		say += " Remove it, or send it as an extension."
	}
	if !isName(plain) {
		name = "(unnamed)"
	}
	w.wrongAt(name, "structure", say)
}

// choice lists the members of the choice that a name starts like: deceasedString, or a bare deceased.
func (s *shape) choice(name string) []string {
	var out []string
	for json, f := range s.fields {
		if rest, ok := strings.CutPrefix(name, f.name); ok && f.choice && !f.sibling && (rest == "" || rest[0] >= 'A' && rest[0] <= 'Z') {
			out = append(out, json)
		}
	}
	slices.Sort(out)
	if len(out) > 8 {
		out = append(out[:8], "…")
	}
	return out
}

// nearest is the member whose name differs least from a wrong one, if it differs little.
func (s *shape) nearest(name string) string {
	best, least := "", 3
	for json, f := range s.fields {
		if f.sibling {
			continue
		}
		if d := distance(strings.ToLower(name), strings.ToLower(json)); d < least || d == least && best != "" && json < best {
			best, least = json, d
		}
	}
	return best
}

// distance is the number of letters to change, add or drop; 99 when the lengths differ much.
func distance(a, b string) int {
	if len(a) > 64 || len(b) > 64 || len(a)-len(b) > 2 || len(b)-len(a) > 2 {
		return 99
	}
	var rows [2][65]int
	for j := range len(b) + 1 {
		rows[0][j] = j
	}
	for i := range len(a) {
		above, row := &rows[i%2], &rows[(i+1)%2]
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(above[j]+cost, above[j+1]+1, row[j]+1)
		}
	}
	return rows[len(a)%2][len(b)]
}

func isName(s string) bool {
	for i := range len(s) {
		if c := s[i]; !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || (c >= '0' && c <= '9' || c == '_') && i > 0) {
			return false
		}
	}
	return s != "" && len(s) <= 64
}

// quoted shows a name or code that a sender wrote when it is short and plain, and otherwise not.
func quoted(s string) string {
	if len(s) > 40 {
		return "of that name"
	}
	for i := range len(s) {
		if s[i] < ' ' || s[i] > '~' || s[i] == '"' {
			return "of that name"
		}
	}
	return "'" + s + "'"
}

func article(k fhir.Kind) string {
	switch k {
	case fhir.Array, fhir.Object:
		return "an " + k.String()
	case fhir.Null:
		return "null"
	}
	return "a " + k.String()
}
