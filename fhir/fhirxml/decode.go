// Package fhirxml turns FHIR's XML into the documents of package fhir, and back.
//
// Both directions follow the definitions: XML does not say by itself what is a list, a number or a choice. A decimal keeps
// its digits, an id or extension on a primitive keeps its place in a list, and the narrative's div is kept as it is
// written. What the definitions do not know is refused rather than guessed at.
//
// Format: https://hl7.org/fhir/R4/xml.html and https://hl7.org/fhir/R4/json.html.
package fhirxml

import (
	"fmt"
	"strings"
	"unicode/utf8"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
)

const (
	fhirSpace  = "http://hl7.org/fhir"
	xhtmlSpace = "http://www.w3.org/1999/xhtml"
	xsiSpace   = "http://www.w3.org/2001/XMLSchema-instance"
	xmlSpace   = "http://www.w3.org/XML/1998/namespace"
)

// Decode reads one resource in XML.
//
// Refused as fault.Invalid, with line, column and path: what is not well-formed XML in UTF-8, a document type, a
// processing instruction, an entity of the document's own, text outside an attribute, more than 64 levels. Refused as
// fault.Unprocessable: a resource, element or attribute that defs do not know, an element that repeats though it may
// not, elements of one name that do not stand together. More than 16 MiB is fault.TooLarge.
func Decode(b []byte, defs *definition.Set) (*fhir.Resource, error) {
	if len(b) > fhir.DefaultMaxBytes {
		return nil, fault.New(fault.TooLarge, "the document is larger than %d bytes", fhir.DefaultMaxBytes)
	}
	d := &decoder{codec: codec{defs}, s: scanner{b: b}, out: make([]byte, 0, len(b))}
	if !d.document() {
		return nil, d.error()
	}
	return fhir.Parse(d.out)
}

type decoder struct {
	codec
	s      scanner
	out    []byte
	spaces []binding
	path   []string
	kind   fault.Kind
}

// binding is a namespace prefix in force from a depth on.
type binding struct {
	prefix, uri string
	depth       int
}

func (d *decoder) error() error {
	w := d.s.wrong
	line, start := 1, 0
	for i, c := range d.s.b[:w.at] {
		if c == '\n' {
			line, start = line+1, i+1
		}
	}
	column := utf8.RuneCount(d.s.b[start:w.at]) + 1
	message := fmt.Sprintf("the XML cannot be read at line %d, column %d", line, column)
	issue := fault.Issue{Severity: "fatal", Code: "structure"}
	if len(d.path) > 0 {
		path := strings.Join(d.path, ".")
		message += " (" + path + ")"
		issue.Expression = []string{path}
	}
	issue.Diagnostics = message + ": " + w.message
	if d.kind == 0 {
		d.kind = fault.Invalid
	}
	return fault.WithIssues(d.kind, issue.Diagnostics, issue)
}

func (d *decoder) fail(at int, format string, args ...any) bool {
	d.s.fail(at, fmt.Sprintf(format, args...))
	return false
}

// unknown fails because the definitions do not allow what stands there.
func (d *decoder) unknown(at int, format string, args ...any) bool {
	if d.s.wrong == nil {
		d.kind = fault.Unprocessable
	}
	return d.fail(at, format, args...)
}

func (d *decoder) document() bool {
	if !d.s.prolog() {
		return false
	}
	t := d.element()
	if t.kind != startTag {
		return d.fail(t.start, "a resource's start tag should stand here")
	}
	if !d.resource(t) {
		return false
	}
	if t = d.element(); t.kind != endOfInput || d.s.wrong != nil {
		return d.fail(t.start, "something follows the end of the document")
	}
	return true
}

// element is the next tag; text between elements, which FHIR does not have, is a failure.
func (d *decoder) element() token {
	for {
		t := d.s.next()
		if t.kind != characters {
			return t
		}
		if !t.blank {
			return d.s.fail(t.start, "text may not stand outside of an attribute")
		}
	}
}

// enter notes the namespaces that t declares, steps into it, and gives its namespace.
func (d *decoder) enter(t token) (space string, ok bool) {
	if len(d.path) >= fhir.DefaultMaxDepth {
		return "", d.fail(t.start, "elements stand too deep inside one another")
	}
	d.path = append(d.path, safeName(t.local))
	for i := range t.attrs {
		a := &t.attrs[i]
		switch {
		case a.prefix == "" && a.local == "xmlns":
			d.spaces = append(d.spaces, binding{"", a.value(), len(d.path)})
		case a.prefix == "xmlns":
			d.spaces = append(d.spaces, binding{a.local, a.value(), len(d.path)})
		}
	}
	space, known := d.space(t.prefix)
	if !known && t.prefix != "" {
		return "", d.fail(t.start, "the namespace prefix is not declared")
	}
	return space, true
}

func (d *decoder) leave() {
	for len(d.spaces) > 0 && d.spaces[len(d.spaces)-1].depth == len(d.path) {
		d.spaces = d.spaces[:len(d.spaces)-1]
	}
	d.path = d.path[:len(d.path)-1]
}

func (d *decoder) space(prefix string) (uri string, known bool) {
	if prefix == "xml" {
		return xmlSpace, true
	}
	for i := len(d.spaces) - 1; i >= 0; i-- {
		if d.spaces[i].prefix == prefix {
			return d.spaces[i].uri, true
		}
	}
	return "", false
}

// close reads the end tag that belongs to t.
func (d *decoder) close(t, end token) bool {
	if end.kind != endTag {
		return d.fail(end.start, "an end tag should stand here")
	}
	if end.local != t.local || end.prefix != t.prefix {
		return d.fail(end.start, "this end tag does not belong to the element that is open")
	}
	d.leave()
	return true
}

// resource appends the resource whose start tag is t as an object.
func (d *decoder) resource(t token) bool {
	space, ok := d.enter(t)
	if !ok {
		return false
	}
	if space != fhirSpace {
		return d.unknown(t.start, "a resource stands in the namespace %s", fhirSpace)
	}
	if !d.defs.IsResource(t.local) {
		return d.unknown(t.start, "there is no resource type of this name")
	}
	d.out = append(d.out, `{"resourceType":`...)
	d.out = fhir.AppendString(d.out, t.local)
	return d.members(t, d.plan(t.local), false)
}

// object appends the element whose start tag is t, of a complex type, as an object. It has been entered.
func (d *decoder) object(t token, p *plan) bool {
	d.out = append(d.out, '{')
	start := len(d.out)
	if !d.members(t, p, true) {
		return false
	}
	if len(d.out) == start+1 {
		return d.fail(t.start, "an element may not be empty")
	}
	return true
}

// members appends the members of an open object from t's attributes and children, and closes object and element.
func (d *decoder) members(t token, p *plan, first bool) bool {
	if p == nil {
		return d.unknown(t.start, "the definitions do not know this type")
	}
	g := group{first: first}
	for i := range t.attrs {
		if !d.attribute(t, &t.attrs[i], p, &g) {
			return false
		}
	}
	for !t.alone {
		c := d.element()
		if c.kind != startTag {
			if !d.finish(&g) || !d.close(t, c) {
				return false
			}
			d.out = append(d.out, '}')
			return true
		}
		if !d.child(c, p, &g) {
			return false
		}
	}
	d.leave()
	d.out = append(d.out, '}')
	return true
}

// attribute appends id or an extension's url; declarations and schema locations are stepped over.
func (d *decoder) attribute(t token, a *attribute, p *plan, g *group) bool {
	if skip, ok := d.meaningless(t, a); skip || !ok {
		return ok
	}
	m := p.members[a.local]
	if m == nil || !m.attribute || a.prefix != "" {
		return d.unknown(t.start, "the attribute %s does not belong here", safeName(a.local))
	}
	g.comma(d)
	d.out = append(fhir.AppendString(d.out, a.local), ':')
	return d.text(t, a.value(), formText)
}

func (d *decoder) meaningless(t token, a *attribute) (skip, ok bool) {
	switch {
	case a.prefix == "xmlns" || a.prefix == "" && a.local == "xmlns":
		return true, true
	case a.prefix != "":
		uri, known := d.space(a.prefix)
		if !known {
			return false, d.fail(t.start, "the namespace prefix is not declared")
		}
		return uri == xsiSpace && a.local == "schemaLocation", true
	}
	return false, true
}

// group is the run of elements of one name that is being read, and which elements were read before.
type group struct {
	first  bool // nothing has been appended to the object yet
	m      *member
	seen   [4]uint64
	mark   int    // where the member's text starts in out, comma included
	count  int    // elements so far
	values bool   // some primitive has a value
	extras bool   // some primitive has an id or extension
	side   []byte // the parallel list of ids and extensions
	was    bool   // first, before this group began
}

func (g *group) comma(d *decoder) {
	if !g.first {
		d.out = append(d.out, ',')
	}
	g.first = false
}

// take marks the element as read, and reports whether it was before.
func (g *group) take(m *member) (again bool) {
	word, bit := m.element/64%4, uint64(1)<<(m.element%64)
	again = g.seen[word]&bit != 0
	g.seen[word] |= bit
	return again
}

// child appends the child element whose start tag is t.
func (d *decoder) child(t token, p *plan, g *group) bool {
	space, ok := d.enter(t)
	if !ok {
		return false
	}
	m := p.members[t.local]
	switch {
	case m == nil || m.attribute:
		return d.unknown(t.start, "the element %s does not belong in %s", safeName(t.local), p.typ)
	case m.form == formXHTML && space != xhtmlSpace:
		return d.unknown(t.start, "the narrative stands in the namespace %s", xhtmlSpace)
	case m.form != formXHTML && space != fhirSpace:
		return d.unknown(t.start, "the element %s stands in another namespace than FHIR's", safeName(t.local))
	}
	if m != g.m {
		if !d.finish(g) {
			return false
		}
		if g.take(m) {
			return d.unknown(t.start, "elements of one name must stand together, and a choice may be made once")
		}
		*g = group{first: g.first, seen: g.seen, m: m, mark: len(d.out), was: g.first, side: g.side[:0]}
		g.comma(d)
		d.out = append(fhir.AppendString(d.out, m.name), ':')
		if m.repeats {
			d.out = append(d.out, '[')
		}
	} else if !m.repeats {
		return d.unknown(t.start, "the element %s may occur only once", safeName(t.local))
	}
	if g.count > 0 {
		d.out = append(d.out, ',')
	}
	g.count++
	switch m.form {
	case formComplex:
		return d.object(t, d.plan(m.typ))
	case formResource:
		return d.inner(t)
	case formXHTML:
		return d.narrative(t)
	}
	return d.primitive(t, g)
}

// inner appends the one resource that stands inside the element t.
func (d *decoder) inner(t token) bool {
	for i := range t.attrs {
		if skip, ok := d.meaningless(t, &t.attrs[i]); !skip || !ok {
			return d.unknown(t.start, "this element has no attributes")
		}
	}
	if t.alone {
		return d.fail(t.start, "an element may not be empty")
	}
	c := d.element()
	if c.kind != startTag {
		return d.fail(c.start, "a resource should stand here")
	}
	return d.resource(c) && d.close(t, d.element())
}

// primitive appends the value of the element t to the member, and its id and extensions to the parallel one.
func (d *decoder) primitive(t token, g *group) bool {
	value, has := "", false
	var id *attribute
	for i := range t.attrs {
		a := &t.attrs[i]
		skip, ok := d.meaningless(t, a)
		switch {
		case !ok:
			return false
		case skip:
		case a.prefix == "" && a.local == "value":
			value, has = a.value(), true
		case a.prefix == "" && a.local == "id":
			id = a
		default:
			return d.unknown(t.start, "the attribute %s does not belong here", safeName(a.local))
		}
	}
	if has {
		g.values = true
		if !d.text(t, value, g.m.form) {
			return false
		}
	} else {
		d.out = append(d.out, "null"...)
	}
	mark := len(d.out)
	if !d.extras(t, id) {
		return false
	}
	if g.count > 1 {
		g.side = append(g.side, ',')
	}
	if len(d.out) > mark {
		g.side = append(g.side, d.out[mark:]...)
		d.out = d.out[:mark]
		g.extras = true
	} else {
		if !has {
			return d.fail(t.start, "an element may not be empty")
		}
		g.side = append(g.side, "null"...)
	}
	return true
}

// extras appends an object with a primitive's id and extensions, if it has any, and closes the element.
func (d *decoder) extras(t token, id *attribute) bool {
	start := len(d.out)
	bare := t
	bare.attrs = nil
	if id != nil {
		d.out = append(d.out, `{"id":`...)
		if !d.text(t, id.value(), formText) {
			return false
		}
	} else {
		d.out = append(d.out, '{')
	}
	inside := len(d.out)
	if !d.members(bare, d.plan("Element"), id == nil) {
		return false
	}
	if id == nil && len(d.out) == inside+1 {
		d.out = d.out[:start]
	}
	return true
}

// finish closes the member that is being appended.
func (d *decoder) finish(g *group) bool {
	m := g.m
	if m == nil {
		return true
	}
	g.m = nil
	if m.repeats {
		d.out = append(d.out, ']')
	}
	if m.form > formBool {
		return true
	}
	if !g.values {
		d.out = d.out[:g.mark]
		g.first = g.was
	}
	if g.extras {
		g.comma(d)
		d.out = append(fhir.AppendString(d.out, "_"+m.name), ':')
		if m.repeats {
			d.out = append(d.out, '[')
		}
		d.out = append(d.out, g.side...)
		if m.repeats {
			d.out = append(d.out, ']')
		}
	}
	return true
}

// text appends a primitive's value as the JSON that its type wants.
func (d *decoder) text(t token, value string, f form) bool {
	switch f {
	case formBool:
		if value != "true" && value != "false" {
			return d.fail(t.start, "this should be true or false")
		}
		d.out = append(d.out, value...)
	case formNumber:
		if !isNumber(value) {
			return d.fail(t.start, "this should be a number")
		}
		d.out = append(d.out, value...)
	default:
		if value == "" {
			return d.fail(t.start, "a value may not be empty")
		}
		d.out = fhir.AppendString(d.out, value)
	}
	return true
}

func isNumber(s string) bool {
	n, err := fhir.ParseJSON([]byte(s), fhir.Limits{})
	return err == nil && n.Kind() == fhir.Number && len(n.Raw()) == len(s)
}

// safeName is a name that may be repeated to the caller: FHIR's own names are short and plain.
func safeName(s string) string {
	if len(s) > 64 || strings.IndexFunc(s, func(r rune) bool { return r >= utf8.RuneSelf }) >= 0 {
		return "?"
	}
	return s
}
