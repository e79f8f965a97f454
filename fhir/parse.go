package fhir

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"math/bits"
	"sync"
	"unicode/utf8"

	"github.com/openspine/openspine/fault"
)

// Parse reads one resource. It keeps b and hands out text that shares its memory: the caller gives b away and must
// not change it afterwards.
//
// Refused, as fault.Invalid with line, column and path: anything that is not exactly one JSON object (RFC 8259) naming
// its resourceType; a name that occurs twice in an object; invalid UTF-8 and unpaired surrogates, escaped or not; control
// characters other than tab, carriage return and line feed, escaped or not; empty objects, arrays and strings; null
// outside an array; an array in an array; more than 64 levels; more than 1000 members in one object (looking a member up
// is a walk past the others). More than 16 MiB is fault.TooLarge. A leading byte order mark is dropped.
func Parse(b []byte) (*Resource, error) { return ParseLimited(b, Limits{}) }

// ParseLimited is Parse with bounds of its own.
func ParseLimited(b []byte, l Limits) (*Resource, error) {
	r := &Resource{}
	if err := parse(&r.doc, b, l, true); err != nil {
		return nil, err
	}
	root := r.Root()
	if root.Kind() != Object {
		return nil, fault.New(fault.Invalid, "a resource is a JSON object, and this is not one")
	}
	t := root.Field("resourceType")
	if t.Kind() != String {
		return nil, fault.New(fault.Invalid, "a resource names its type in resourceType, and this does not")
	}
	r.typ = t.String()
	if !isTypeName(r.typ) {
		return nil, fault.New(fault.Invalid, "resourceType does not hold the name of a resource type")
	}
	if id := root.Field("id"); id.Kind() == String {
		r.id = id.String()
	}
	return r, nil
}

// ParseJSON reads any JSON value as strictly as Parse, but without the rules that only FHIR has: null, empty objects, arrays
// and strings, arrays in arrays and escaped control characters are accepted. It keeps b, as Parse does.
func ParseJSON(b []byte, l Limits) (Node, error) {
	d := &document{}
	if err := parse(d, b, l, false); err != nil {
		return Node{}, err
	}
	return Node{d: d}, nil
}

func isTypeName(s string) bool {
	if len(s) == 0 || len(s) > 64 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i] | 0x20; (c < 'a' || c > 'z') && (s[i] < '0' || s[i] > '9') {
			return false
		}
	}
	return true
}

type parser struct {
	b       []byte
	pos     int
	entries []entry
	depth   int
	fhir    bool
	fault   *parseFault
}

type parseFault struct {
	pos     int
	message string
	path    string
}

func newParser() any { return &parser{entries: make([]entry, 0, 512)} }

// parsers keeps scratch space between calls, so that a document's index is one exact allocation.
var parsers = sync.Pool{New: newParser}

func parse(d *document, b []byte, l Limits, asFHIR bool) error {
	l = l.orDefault()
	if len(b) > l.Bytes {
		return fault.New(fault.TooLarge, "the document is larger than %d bytes", l.Bytes)
	}
	b = bytes.TrimPrefix(b, []byte("\xef\xbb\xbf"))
	p := parsers.Get().(*parser)
	p.b, p.pos, p.entries, p.depth, p.fhir, p.fault = b, 0, p.entries[:0], l.Depth, asFHIR, nil
	ok := p.document()
	f := p.fault
	if ok {
		d.raw = b
		d.entries = make([]entry, len(p.entries))
		copy(d.entries, p.entries)
	}
	p.b, p.fault = nil, nil
	if cap(p.entries) <= 1<<16 {
		parsers.Put(p)
	}
	if !ok {
		return f.error(b)
	}
	return nil
}

func (f *parseFault) error(b []byte) error {
	line, start := 1, 0
	for i, c := range b[:min(f.pos, len(b))] {
		if c == '\n' {
			line, start = line+1, i+1
		}
	}
	column := utf8.RuneCount(b[start:min(f.pos, len(b))]) + 1
	where := fmt.Sprintf("line %d, column %d", line, column)
	issue := fault.Issue{Severity: "fatal", Code: "structure"}
	if f.path != "" {
		path := f.path
		if path[0] == '.' {
			path = path[1:]
		}
		where += " (" + path + ")"
		issue.Expression = []string{path}
	}
	message := "the JSON cannot be read at " + where + ": " + f.message
	issue.Diagnostics = message
	return fault.WithIssues(fault.Invalid, message, issue)
}

func (p *parser) fail(pos int, message string) bool {
	p.fault = &parseFault{pos: pos, message: message}
	return false
}

// within notes, while a failure unwinds, which member or element held the culprit.
func (p *parser) within(step string) bool {
	if len(p.fault.path) < 400 {
		p.fault.path = step + p.fault.path
	}
	return false
}

func (p *parser) document() bool {
	p.space()
	if p.pos == len(p.b) {
		return p.fail(p.pos, "the document is empty")
	}
	if !p.value(0, 0, 0) {
		return false
	}
	p.space()
	if p.pos != len(p.b) {
		return p.fail(p.pos, "something follows the end of the document")
	}
	return true
}

const eightSpaces = 0x2020202020202020

func (p *parser) space() {
	b, i := p.b, p.pos
	for i < len(b) && b[i] <= ' ' {
		switch b[i] {
		case ' ':
			for i+8 < len(b) && binary.LittleEndian.Uint64(b[i:]) == eightSpaces {
				i += 8
			}
			for i < len(b) && b[i] == ' ' {
				i++
			}
		case '\n', '\r', '\t':
			i++
		default:
			p.pos = i
			return
		}
	}
	p.pos = i
}

// value reads the value at p.pos, which is the member named by key, if flags say so.
func (p *parser) value(key uint32, keyLen uint16, flags uint8) bool {
	if p.pos >= len(p.b) {
		return p.fail(p.pos, "the document ends where a value should be")
	}
	start := p.pos
	var kind Kind
	var ok bool
	switch p.b[start] {
	case '{', '[':
		return p.container(key, keyLen, flags)
	case '"':
		var escaped bool
		kind = String
		escaped, ok = p.text()
		if escaped {
			flags |= flagEscaped
		}
		if ok && p.fhir && p.pos-start == 2 {
			return p.fail(start, "a string may not be empty; leave the element out")
		}
	case 't':
		kind, ok = Bool, p.literal("true")
	case 'f':
		kind, ok = Bool, p.literal("false")
	case 'n':
		kind, ok = Null, p.literal("null")
		if ok && p.fhir && (len(p.entries) == 0 || flags&flagMember != 0) {
			return p.fail(start, "null may stand only in an array; leave the element out")
		}
	default:
		kind, ok = Number, p.number()
	}
	if ok {
		p.entries = append(p.entries, entry{
			start: uint32(start), end: uint32(p.pos), next: uint32(len(p.entries) + 1), key: key, keyLen: keyLen, kind: kind, flags: flags,
		})
	}
	return ok
}

// container reads the object or array at p.pos. Its entry stands before those of what it holds.
func (p *parser) container(key uint32, keyLen uint16, flags uint8) bool {
	at := len(p.entries)
	p.entries = append(p.entries, entry{start: uint32(p.pos), key: key, keyLen: keyLen, flags: flags})
	var count int
	var ok bool
	kind := Array
	if p.b[p.pos] == '{' {
		kind = Object
		count, ok = p.object(at)
	} else {
		count, ok = p.array()
	}
	if ok {
		e := &p.entries[at]
		e.end, e.next, e.count, e.kind = uint32(p.pos), uint32(len(p.entries)), uint32(count), kind
	}
	return ok
}

// maxMembers bounds what one object may hold, so that no document makes looking members up slow.
const maxMembers = 1000

// manyNames is from how many members on an object's names are kept in a map to find a repeated one.
const manyNames = 24

func (p *parser) object(at int) (count int, ok bool) {
	if p.depth--; p.depth < 0 {
		return 0, p.fail(p.pos, "objects and arrays stand too deep inside one another")
	}
	open := p.pos
	p.pos++
	p.space()
	if p.pos < len(p.b) && p.b[p.pos] == '}' {
		if p.fhir {
			return 0, p.fail(open, "an object may not be empty; leave the element out")
		}
		p.pos++
		p.depth++
		return 0, true
	}
	var names map[string]struct{}
	for {
		key, flags, ok := p.name()
		if !ok {
			return 0, false
		}
		this := entry{key: uint32(key), keyLen: uint16(p.pos - 1 - key), flags: flags}
		if count == maxMembers {
			return 0, p.fail(key-1, "an object may not have more than 1000 members")
		}
		if names, ok = p.fresh(at, count, &this, names); !ok {
			p.fail(key-1, "this name occurs twice in one object")
			return 0, p.within(p.step(&this))
		}
		p.space()
		if p.pos >= len(p.b) || p.b[p.pos] != ':' {
			return 0, p.fail(p.pos, "a colon should follow the name")
		}
		p.pos++
		p.space()
		if !p.value(this.key, this.keyLen, flags) {
			return 0, p.within(p.step(&this))
		}
		count++
		p.space()
		if p.pos < len(p.b) && p.b[p.pos] == ',' {
			p.pos++
			p.space()
			continue
		}
		if p.pos < len(p.b) && p.b[p.pos] == '}' {
			p.pos++
			p.depth++
			return count, true
		}
		return 0, p.fail(p.pos, "the object should go on with a comma or end with }")
	}
}

// name reads a member's name and leaves p.pos after its closing quote.
func (p *parser) name() (key int, flags uint8, ok bool) {
	if p.pos >= len(p.b) || p.b[p.pos] != '"' {
		return 0, 0, p.fail(p.pos, "a name in double quotes should stand here")
	}
	key = p.pos + 1
	escaped, ok := p.text()
	if !ok {
		return 0, 0, false
	}
	flags = flagMember
	if escaped {
		flags |= flagKeyEscaped
	}
	if p.pos-1-key > 1024 {
		return 0, 0, p.fail(key-1, "this name is longer than 1024 bytes")
	}
	return key, flags, true
}

// fresh reports whether no earlier member of the object at entry at has this name.
func (p *parser) fresh(at, count int, this *entry, names map[string]struct{}) (map[string]struct{}, bool) {
	d := document{raw: p.b}
	if count < manyNames {
		if this.flags&flagKeyEscaped != 0 {
			name := d.keyText(this)
			for i, n := at+1, count; n > 0; i, n = int(p.entries[i].next), n-1 {
				if d.keyIs(&p.entries[i], name) {
					return nil, false
				}
			}
			return nil, true
		}
		mine := p.b[this.key : this.key+uint32(this.keyLen)]
		for i, n := at+1, count; n > 0; n-- {
			e := &p.entries[i]
			if e.keyLen == this.keyLen && string(p.b[e.key:e.key+uint32(e.keyLen)]) == string(mine) ||
				e.flags&flagKeyEscaped != 0 && d.keyIs(e, string(mine)) {
				return nil, false
			}
			i = int(e.next)
		}
		return nil, true
	}
	if names == nil {
		names = make(map[string]struct{}, 2*count)
		for i, n := at+1, count; n > 0; i, n = int(p.entries[i].next), n-1 {
			names[d.keyText(&p.entries[i])] = struct{}{}
		}
	}
	name := d.keyText(this)
	_, twice := names[name]
	names[name] = struct{}{}
	return names, !twice
}

// step is how a path names this member; a name that FHIR could not have is not repeated to the caller.
func (p *parser) step(e *entry) string {
	name := p.b[e.key : e.key+uint32(e.keyLen)]
	for _, c := range name {
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == '_' || c == '-') || len(name) > 64 {
			return ".?"
		}
	}
	return "." + string(name)
}

func (p *parser) array() (count int, ok bool) {
	if p.depth--; p.depth < 0 {
		return 0, p.fail(p.pos, "objects and arrays stand too deep inside one another")
	}
	open := p.pos
	p.pos++
	p.space()
	if p.pos < len(p.b) && p.b[p.pos] == ']' {
		if p.fhir {
			return 0, p.fail(open, "an array may not be empty; leave the element out")
		}
		p.pos++
		p.depth++
		return 0, true
	}
	for {
		if p.fhir && p.pos < len(p.b) && p.b[p.pos] == '[' {
			return 0, p.fail(p.pos, "an array may not stand directly in an array")
		}
		if !p.value(0, 0, 0) {
			return 0, p.within(fmt.Sprintf("[%d]", count))
		}
		count++
		p.space()
		if p.pos < len(p.b) && p.b[p.pos] == ',' {
			p.pos++
			p.space()
			continue
		}
		if p.pos < len(p.b) && p.b[p.pos] == ']' {
			p.pos++
			p.depth++
			return count, true
		}
		return 0, p.fail(p.pos, "the array should go on with a comma or end with ]")
	}
}

const (
	ones  = 0x0101010101010101
	highs = 0x8080808080808080
)

// plain is how many of the eight bytes in w, from the lowest on, are ASCII that needs no care inside a string.
func plain(w uint64) int {
	quote := w ^ ones*'"'
	slash := w ^ ones*'\\'
	odd := (w | (w - ones*0x20) | (quote - ones) | (slash - ones)) & highs
	if odd == 0 {
		return 8
	}
	return bits.TrailingZeros64(odd) / 8
}

// text reads the string at p.pos, quotes included.
func (p *parser) text() (escaped, ok bool) {
	b, i := p.b, p.pos+1
	for {
		for i+8 <= len(b) {
			n := plain(binary.LittleEndian.Uint64(b[i:]))
			i += n
			if n < 8 {
				break
			}
		}
		if i >= len(b) {
			return false, p.fail(i, "the document ends inside a string")
		}
		switch c := b[i]; {
		case c == '"':
			p.pos = i + 1
			return escaped, true
		case c == '\\':
			n := p.escape(i)
			if n == 0 {
				return false, false
			}
			escaped = true
			i += n
		case c < 0x20:
			return false, p.fail(i, "a control character must be escaped inside a string")
		case c < utf8.RuneSelf:
			i++
		default:
			r, n := utf8.DecodeRune(b[i:])
			if r == utf8.RuneError && n == 1 {
				return false, p.fail(i, "this is not UTF-8")
			}
			i += n
		}
	}
}

// escape checks the escape sequence at i and returns its length, or 0 after noting a failure.
func (p *parser) escape(i int) int {
	b := p.b
	if i+1 >= len(b) {
		p.fail(i, "the document ends inside a string")
		return 0
	}
	switch b[i+1] {
	case '"', '\\', '/', 'n', 'r', 't':
		return 2
	case 'b', 'f':
		if p.fhir {
			p.fail(i, "only tab, carriage return and line feed are allowed of the control characters")
			return 0
		}
		return 2
	case 'u':
	default:
		p.fail(i, "this escape sequence does not exist")
		return 0
	}
	u := hex4(b[i+2:])
	switch {
	case u < 0:
		p.fail(i, "four hexadecimal digits should follow \\u")
	case u < 0x20 && u != '\t' && u != '\r' && u != '\n' && p.fhir:
		p.fail(i, "only tab, carriage return and line feed are allowed of the control characters")
	case u >= 0xDC00 && u < 0xE000:
		p.fail(i, "a surrogate stands alone")
	case u >= 0xD800 && u < 0xDC00:
		if len(b) < i+12 || b[i+6] != '\\' || b[i+7] != 'u' {
			p.fail(i, "a surrogate stands alone")
			return 0
		}
		if low := hex4(b[i+8:]); low < 0xDC00 || low >= 0xE000 {
			p.fail(i, "a surrogate stands alone")
			return 0
		}
		return 12
	default:
		return 6
	}
	return 0
}

func (p *parser) literal(word string) bool {
	if len(p.b)-p.pos < len(word) || string(p.b[p.pos:p.pos+len(word)]) != word {
		return p.fail(p.pos, "this is not a JSON value")
	}
	p.pos += len(word)
	return true
}

// number reads -?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)? and leaves what follows to the caller, who refuses it.
func (p *parser) number() bool {
	b, i := p.b, p.pos
	if b[i] == '-' {
		i++
	}
	n := digits(b, i)
	switch {
	case n == 0:
		return p.fail(p.pos, "this is not a JSON value")
	case n > 1 && b[i] == '0':
		return p.fail(p.pos, "a number may not start with a zero before other digits")
	}
	i += n
	if i < len(b) && b[i] == '.' {
		n = digits(b, i+1)
		if n == 0 {
			return p.fail(i, "a digit should follow the decimal point")
		}
		i += 1 + n
	}
	if i < len(b) && (b[i] == 'e' || b[i] == 'E') {
		i++
		if i < len(b) && (b[i] == '+' || b[i] == '-') {
			i++
		}
		n = digits(b, i)
		if n == 0 {
			return p.fail(i, "a digit should follow the exponent's sign")
		}
		i += n
	}
	p.pos = i
	return true
}

func digits(b []byte, i int) int {
	n := 0
	for i+n < len(b) && b[i+n] >= '0' && b[i+n] <= '9' {
		n++
	}
	return n
}
