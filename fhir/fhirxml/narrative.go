package fhirxml

import (
	"bytes"
	"html"
	"strings"

	"github.com/openspine/openspine/fhir"
)

// narrative appends the div whose start tag is t as a string: byte for byte, if it can stand by itself; otherwise (its
// namespace is declared outside, or by a prefix) with the tags rewritten and nothing else.
func (d *decoder) narrative(t token) bool {
	verbatim := t.prefix == ""
	if verbatim {
		verbatim = false
		for _, a := range t.attrs {
			verbatim = verbatim || a.prefix == "" && a.local == "xmlns"
		}
	}
	from := t.start
	inside, _ := d.space(t.prefix)
	var b bytes.Buffer
	tags := []token{t}
	d.copyTag(&b, t)
	at := t.end
	for !tags[0].alone && len(tags) > 0 {
		c := d.s.next()
		if d.s.wrong != nil {
			return false
		}
		b.Write(d.s.b[at:c.start])
		at = c.end
		switch c.kind {
		case characters:
			b.Write(d.s.b[c.start:c.end])
		case startTag:
			space, ok := d.enter(c)
			if !ok {
				return false
			}
			if space != inside {
				return d.fail(c.start, "the narrative holds an element that is not XHTML")
			}
			verbatim = verbatim && c.prefix == ""
			d.copyTag(&b, c)
			if c.alone {
				d.leave()
			} else {
				tags = append(tags, c)
			}
		case endTag:
			d.copyTag(&b, c)
			if !d.close(tags[len(tags)-1], c) {
				return false
			}
			tags = tags[:len(tags)-1]
			if len(tags) == 0 {
				return d.appendDiv(from, &b, verbatim)
			}
		default:
			return d.fail(c.start, "the document ends inside the narrative")
		}
	}
	d.leave()
	return d.appendDiv(from, &b, verbatim)
}

func (d *decoder) appendDiv(from int, rewritten *bytes.Buffer, verbatim bool) bool {
	if verbatim {
		d.out = fhir.AppendString(d.out, string(d.s.b[from:d.s.pos]))
	} else {
		d.out = fhir.AppendString(d.out, rewritten.String())
	}
	return true
}

// copyTag writes a tag of the narrative without its prefix; the outermost one declares the namespace.
func (d *decoder) copyTag(b *bytes.Buffer, t token) {
	if t.kind == endTag {
		b.WriteString("</" + t.local + ">")
		return
	}
	b.WriteString("<" + t.local)
	if b.Len() == len(t.local)+1 {
		b.WriteString(` xmlns="` + xhtmlSpace + `"`)
	}
	for _, a := range t.attrs {
		if a.prefix == "xmlns" || a.prefix == "" && a.local == "xmlns" {
			continue
		}
		b.WriteByte(' ')
		if a.prefix != "" {
			b.WriteString(a.prefix + ":")
		}
		b.WriteString(a.local + "=")
		b.WriteByte(a.quote)
		b.WriteString(a.raw)
		b.WriteByte(a.quote)
	}
	if t.alone {
		b.WriteByte('/')
	}
	b.WriteByte('>')
}

// narrativeXML is the XML to write for a div that stands in a JSON string; false if it is not one well-formed div.
// HTML's named entities, which XML does not have, become the characters they stand for.
func narrativeXML(div string) (string, bool) {
	div = plainEntities(strings.TrimSpace(div))
	d := decoder{s: scanner{b: []byte(div)}}
	if badCharacter(d.s.b) >= 0 {
		return "", false
	}
	t := d.s.next()
	if t.kind != startTag || t.local != "div" {
		return "", false
	}
	space, ok := d.enter(t)
	if !ok || space != xhtmlSpace && (space != "" || t.prefix != "") {
		return "", false
	}
	declared := space == xhtmlSpace
	if !d.narrative(t) || d.s.pos != len(div) {
		return "", false
	}
	if declared {
		return div, true
	}
	return div[:4] + ` xmlns="` + xhtmlSpace + `"` + div[4:], true
}

// plainEntities resolves the named entities of HTML except XML's own.
func plainEntities(s string) string {
	if !strings.Contains(s, "&") {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); {
		if s[i] == '&' {
			end := strings.IndexByte(s[i:min(len(s), i+40)], ';')
			if _, n := reference(s[i:]); n == 0 && end > 1 && s[i+1] != '#' {
				if char := html.UnescapeString(s[i : i+end+1]); !strings.Contains(char, "&") {
					b.WriteString(char)
					i += end + 1
					continue
				}
			}
		}
		b.WriteByte(s[i])
		i++
	}
	return b.String()
}
