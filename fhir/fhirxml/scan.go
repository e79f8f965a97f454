package fhirxml

import (
	"bytes"
	"strconv"
	"strings"
	"unicode/utf8"
)

// The scanner reads the XML that FHIR needs and nothing else: elements, attributes, text, comments, CDATA and
// namespaces. A document type, a processing instruction or an entity that is not one of XML's own five is an error,
// so nothing is ever expanded or fetched.

type tokenKind uint8

const (
	endOfInput tokenKind = iota
	startTag
	endTag
	characters
)

type attribute struct {
	prefix, local string
	raw           string // as written, between the quotes
	quote         byte
}

// token is one piece of the document: raw bytes [start:end).
type token struct {
	kind          tokenKind
	start, end    int
	prefix, local string
	attrs         []attribute // valid until the next token
	alone         bool        // a start tag that is also the end: <br/>
	blank         bool        // characters that are white space only
}

// mistake is a fault in the text at a byte offset, before it is worded for the caller.
type mistake struct {
	at      int
	message string
}

type scanner struct {
	b     []byte
	pos   int
	attrs []attribute
	wrong *mistake
}

const maxAttributes = 32

func (s *scanner) fail(at int, message string) token {
	if s.wrong == nil {
		s.wrong = &mistake{at, message}
	}
	return token{kind: endOfInput, start: at, end: at}
}

// prolog checks the encoding of the whole document and reads the XML declaration.
func (s *scanner) prolog() bool {
	if len(s.b) >= 2 && (s.b[0] == 0xFE && s.b[1] == 0xFF || s.b[0] == 0xFF && s.b[1] == 0xFE) {
		s.fail(0, "the document must be in UTF-8")
		return false
	}
	if strings.HasPrefix(string(s.b[:min(3, len(s.b))]), "\xef\xbb\xbf") {
		s.pos = 3
	}
	if at := badCharacter(s.b); at >= 0 {
		s.fail(at, "this is not a character that XML may hold")
		return false
	}
	if !s.at("<?xml") || s.pos+5 >= len(s.b) || !isSpace(s.b[s.pos+5]) {
		return true
	}
	end := s.find("?>", s.pos)
	if end < 0 {
		s.fail(s.pos, "the XML declaration does not end")
		return false
	}
	declaration := strings.ToLower(string(s.b[s.pos+5 : end]))
	if i := strings.Index(declaration, "encoding"); i >= 0 {
		value := strings.Trim(declaration[i+len("encoding"):], " \t\r\n=")
		if value == "" || !strings.HasPrefix(value[1:], "utf-8"+value[:1]) && !strings.HasPrefix(value[1:], "us-ascii"+value[:1]) {
			s.fail(s.pos, "the document must be in UTF-8")
			return false
		}
	}
	s.pos = end + 2
	return true
}

// badCharacter is where the first byte stands that is not UTF-8 or not an XML 1.0 Char; -1 if there is none.
func badCharacter(b []byte) int {
	for i := 0; i < len(b); {
		c := b[i]
		if c < utf8.RuneSelf {
			if c < 0x20 && !isSpace(c) {
				return i
			}
			i++
			continue
		}
		r, n := utf8.DecodeRune(b[i:])
		if r == utf8.RuneError && n == 1 || r == 0xFFFE || r == 0xFFFF {
			return i
		}
		i += n
	}
	return -1
}

func isSpace(c byte) bool { return c == ' ' || c == '\t' || c == '\r' || c == '\n' }

func (s *scanner) at(prefix string) bool {
	return len(s.b)-s.pos >= len(prefix) && string(s.b[s.pos:s.pos+len(prefix)]) == prefix
}

func (s *scanner) find(what string, from int) int {
	if i := bytes.Index(s.b[from:], []byte(what)); i >= 0 {
		return from + i
	}
	return -1
}

// next is the next start tag, end tag or run of characters. Comments are stepped over.
func (s *scanner) next() token {
	for s.wrong == nil {
		start := s.pos
		switch {
		case start >= len(s.b):
			return token{kind: endOfInput, start: start, end: start}
		case s.b[start] != '<':
			return s.chars()
		case s.at("<!--"):
			if !s.comment() {
				return s.fail(start, "the comment does not end, or holds two hyphens")
			}
		case s.at("<![CDATA["):
			end := s.find("]]>", start)
			if end < 0 {
				return s.fail(start, "the CDATA section does not end")
			}
			s.pos = end + 3
			return token{kind: characters, start: start, end: s.pos}
		case s.at("<!"):
			return s.fail(start, "a document type or entity declaration is not accepted")
		case s.at("<?"):
			return s.fail(start, "a processing instruction is not accepted")
		case s.at("</"):
			return s.endTag()
		default:
			return s.startTag()
		}
	}
	return token{kind: endOfInput, start: s.pos, end: s.pos}
}

func (s *scanner) comment() bool {
	end := s.find("--", s.pos+4)
	if end < 0 || end+2 >= len(s.b) || s.b[end+2] != '>' {
		return false
	}
	s.pos = end + 3
	return true
}

func (s *scanner) chars() token {
	t := token{kind: characters, start: s.pos, blank: true}
	i := s.pos
	for ; i < len(s.b) && s.b[i] != '<'; i++ {
		if c := s.b[i]; !isSpace(c) {
			t.blank = false
			if c == '>' && i-2 >= s.pos && s.b[i-1] == ']' && s.b[i-2] == ']' {
				return s.fail(i, "]]> may not stand in text")
			}
		}
	}
	if !t.blank {
		if off, message := badReference(string(s.b[s.pos:i])); message != "" {
			return s.fail(s.pos+off, message)
		}
	}
	s.pos, t.end = i, i
	return t
}

func (s *scanner) endTag() token {
	t := token{kind: endTag, start: s.pos}
	s.pos += 2
	var ok bool
	if t.prefix, t.local, ok = s.name(); !ok {
		return s.fail(s.pos, "a name should stand here")
	}
	s.spaces()
	if s.pos >= len(s.b) || s.b[s.pos] != '>' {
		return s.fail(s.pos, "the end tag should end with >")
	}
	s.pos++
	t.end = s.pos
	return t
}

func (s *scanner) startTag() token {
	t := token{kind: startTag, start: s.pos}
	s.pos++
	var ok bool
	if t.prefix, t.local, ok = s.name(); !ok {
		return s.fail(s.pos, "a name should stand here")
	}
	s.attrs = s.attrs[:0]
	for {
		spaced := s.spaces()
		switch {
		case s.pos >= len(s.b):
			return s.fail(s.pos, "the document ends inside a tag")
		case s.b[s.pos] == '>':
			s.pos++
			t.attrs, t.end = s.attrs, s.pos
			return t
		case s.at("/>"):
			s.pos += 2
			t.attrs, t.end, t.alone = s.attrs, s.pos, true
			return t
		case !spaced:
			return s.fail(s.pos, "white space should stand before an attribute")
		}
		if !s.attribute() {
			return token{kind: endOfInput, start: s.pos, end: s.pos}
		}
	}
}

func (s *scanner) attribute() bool {
	start := s.pos
	var a attribute
	var ok bool
	if a.prefix, a.local, ok = s.name(); !ok {
		s.fail(start, "a name should stand here")
		return false
	}
	s.spaces()
	if s.pos >= len(s.b) || s.b[s.pos] != '=' {
		s.fail(s.pos, "an attribute needs a value")
		return false
	}
	s.pos++
	s.spaces()
	if s.pos >= len(s.b) || s.b[s.pos] != '"' && s.b[s.pos] != '\'' {
		s.fail(s.pos, "an attribute's value stands in quotes")
		return false
	}
	a.quote = s.b[s.pos]
	from := s.pos + 1
	for s.pos = from; s.pos < len(s.b) && s.b[s.pos] != a.quote; s.pos++ {
		if s.b[s.pos] == '<' {
			s.fail(s.pos, "< may not stand in an attribute")
			return false
		}
	}
	if s.pos >= len(s.b) {
		s.fail(s.pos, "the document ends inside an attribute")
		return false
	}
	a.raw = string(s.b[from:s.pos])
	if off, message := badReference(a.raw); message != "" {
		s.fail(from+off, message)
		return false
	}
	s.pos++
	for _, other := range s.attrs {
		if other.local == a.local && other.prefix == a.prefix {
			s.fail(start, "this attribute occurs twice")
			return false
		}
	}
	if len(s.attrs) == maxAttributes {
		s.fail(start, "one element has too many attributes")
		return false
	}
	s.attrs = append(s.attrs, a)
	return true
}

func (s *scanner) spaces() bool {
	start := s.pos
	for s.pos < len(s.b) && isSpace(s.b[s.pos]) {
		s.pos++
	}
	return s.pos > start
}

// name reads a name with at most one colon. What is not ASCII is accepted as a letter: no name that FHIR knows has any.
func (s *scanner) name() (prefix, local string, ok bool) {
	prefix = s.ncName()
	if prefix == "" {
		return "", "", false
	}
	if s.pos >= len(s.b) || s.b[s.pos] != ':' {
		return "", prefix, true
	}
	s.pos++
	local = s.ncName()
	return prefix, local, local != ""
}

func (s *scanner) ncName() string {
	start := s.pos
	for ; s.pos < len(s.b); s.pos++ {
		c := s.b[s.pos]
		letter := c|0x20 >= 'a' && c|0x20 <= 'z' || c == '_' || c >= utf8.RuneSelf
		if !letter && (s.pos == start || c != '-' && c != '.' && (c < '0' || c > '9')) {
			break
		}
	}
	return string(s.b[start:s.pos])
}

// badReference finds an & that does not start a character reference or one of XML's own five entities.
func badReference(s string) (offset int, message string) {
	for i := 0; i < len(s); {
		j := strings.IndexByte(s[i:], '&')
		if j < 0 {
			return 0, ""
		}
		i += j
		if _, n := reference(s[i:]); n > 0 {
			i += n
			continue
		}
		return i, "only the entities amp, lt, gt, quot and apos and references to allowed characters are accepted"
	}
	return 0, ""
}

// reference is the character that the reference at the start of s stands for, and its length; 0 if it is none.
func reference(s string) (r rune, n int) {
	end := strings.IndexByte(s[:min(len(s), 12)], ';')
	if end < 2 {
		return 0, 0
	}
	switch name := s[1:end]; name {
	case "amp":
		return '&', end + 1
	case "lt":
		return '<', end + 1
	case "gt":
		return '>', end + 1
	case "quot":
		return '"', end + 1
	case "apos":
		return '\'', end + 1
	default:
		if name[0] != '#' {
			return 0, 0
		}
		digits, base := name[1:], 10
		if strings.HasPrefix(digits, "x") {
			digits, base = digits[1:], 16
		}
		u, err := strconv.ParseUint(digits, base, 32)
		if err != nil || digits[0] == '+' || !isChar(rune(u)) || u > utf8.MaxRune {
			return 0, 0
		}
		return rune(u), end + 1
	}
}

// isChar is XML 1.0's Char production.
func isChar(r rune) bool {
	return r == '\t' || r == '\n' || r == '\r' || r >= 0x20 && r <= 0xD7FF || r >= 0xE000 && r <= 0xFFFD || r >= 0x10000 && r <= 0x10FFFF
}

// value is an attribute's text: references resolved, and literal white space made spaces as XML 1.0 section 3.3.3 says.
func (a *attribute) value() string {
	if !strings.ContainsAny(a.raw, "&\t\r\n") {
		return a.raw
	}
	var b strings.Builder
	for i := 0; i < len(a.raw); {
		switch c := a.raw[i]; c {
		case '&':
			r, n := reference(a.raw[i:])
			b.WriteRune(r)
			i += n
		case '\r':
			if i++; i < len(a.raw) && a.raw[i] == '\n' {
				continue
			}
			b.WriteByte(' ')
		case '\n', '\t':
			b.WriteByte(' ')
			i++
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String()
}
