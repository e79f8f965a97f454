// Package fhir reads, makes and changes FHIR resources as documents.
//
// A resource is what somebody wrote about a person, in their own words and their own order. So it is kept as the
// bytes that came, with an index over them made in one pass: nothing is dropped because a program did not know it, a
// decimal keeps its digits (1.50 is not 1.5), and what is read back is what was sent.
//
//	r, err := fhir.Parse(body)                     // strict JSON; a fault.Invalid says where and why
//	r.Get("name.0.family").String()                // "Smith"
//	for given := range r.Get("name.0.given").Items() { … }
//	r2, err := r.Edit().Set(r.Root(), "active", fhir.Of(false)).Done()
//
// The package knows JSON as FHIR writes it (https://hl7.org/fhir/R4/json.html) and no resource type: what a Patient
// may hold is known to fhir/definition.
package fhir

import (
	"unicode/utf8"
)

// DefaultMaxBytes and DefaultMaxDepth bound what Parse reads.
const (
	DefaultMaxBytes = 16 << 20
	DefaultMaxDepth = 64
)

// Limits bounds a document. A zero field means the default.
type Limits struct {
	// Bytes is the largest document accepted; at most 1 GiB.
	Bytes int
	// Depth is how many objects and arrays may stand inside one another; at most 1000.
	Depth int
}

func (l Limits) orDefault() Limits {
	if l.Bytes <= 0 {
		l.Bytes = DefaultMaxBytes
	}
	if l.Depth <= 0 {
		l.Depth = DefaultMaxDepth
	}
	l.Bytes, l.Depth = min(l.Bytes, 1<<30), min(l.Depth, 1000)
	return l
}

// document is raw JSON and the index over it. Entry 0 is the root; children follow their parent in document order.
type document struct {
	raw     []byte
	entries []entry
}

// entry is one JSON value: 24 bytes for every value in a document.
type entry struct {
	start, end uint32 // the value's bytes are raw[start:end]
	next       uint32 // the entry after this value and all that it holds
	key        uint32 // where the member's name starts, after its quote; 0 for array elements and the root
	count      uint32 // how many members or elements
	keyLen     uint16
	kind       Kind
	flags      uint8
}

const (
	flagEscaped    = 1 << iota // the string holds a backslash
	flagKeyEscaped             // the member's name holds a backslash
	flagMember                 // the entry is a member of an object
)

func (d *document) keyText(e *entry) string {
	b := d.raw[e.key : e.key+uint32(e.keyLen)]
	if e.flags&flagKeyEscaped != 0 {
		return string(unescape(nil, b))
	}
	return text(b)
}

func (d *document) keyIs(e *entry, name string) bool {
	if e.flags&flagKeyEscaped != 0 {
		return d.keyText(e) == name
	}
	return int(e.keyLen) == len(name) && string(d.raw[e.key:e.key+uint32(e.keyLen)]) == name
}

// unescape appends the text that the inside of a valid JSON string stands for.
func unescape(dst, b []byte) []byte {
	for i := 0; i < len(b); {
		if b[i] != '\\' {
			dst = append(dst, b[i])
			i++
			continue
		}
		c := b[i+1]
		i += 2
		switch c {
		case 'b':
			dst = append(dst, '\b')
		case 'f':
			dst = append(dst, '\f')
		case 'n':
			dst = append(dst, '\n')
		case 'r':
			dst = append(dst, '\r')
		case 't':
			dst = append(dst, '\t')
		case 'u':
			u := hex4(b[i:])
			i += 4
			if u >= 0xD800 && u < 0xDC00 {
				u = 0x10000 + (u-0xD800)<<10 + (hex4(b[i+2:]) - 0xDC00)
				i += 6
			}
			dst = utf8.AppendRune(dst, u)
		default:
			dst = append(dst, c)
		}
	}
	return dst
}

// hex4 is the value of four hexadecimal digits, or -1.
func hex4(b []byte) rune {
	if len(b) < 4 {
		return -1
	}
	var u rune
	for _, c := range b[:4] {
		switch {
		case c >= '0' && c <= '9':
			u = u<<4 | rune(c-'0')
		case c >= 'a' && c <= 'f':
			u = u<<4 | rune(c-'a'+10)
		case c >= 'A' && c <= 'F':
			u = u<<4 | rune(c-'A'+10)
		default:
			return -1
		}
	}
	return u
}
