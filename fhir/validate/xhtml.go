package validate

import (
	"html"
	"strings"
)

// Elements and attributes that a narrative may hold (rule txt-1, https://hl7.org/fhir/R4/narrative.html): HTML 4.0
// chapters 7 to 11 (but section 4 of chapter 9) and 15, links, images and style attributes. An attribute with no
// elements listed may stand on any.
var (
	narrativeElements = setOf("a abbr acronym address area b bdo big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 " +
		"hr i img kbd li map ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var")
	narrativeAttributes = map[string]map[string]bool{
		"title": nil, "style": nil, "class": nil, "id": nil, "lang": nil, "xml:lang": nil, "xml:space": nil, "dir": nil, "accesskey": nil, "tabindex": nil,
		"span": nil, "width": nil, "align": nil, "valign": nil, "char": nil, "charoff": nil, "abbr": nil, "axis": nil, "headers": nil,
		"scope": nil, "rowspan": nil, "colspan": nil,
		"xmlns": setOf("div"), "cite": setOf("blockquote q"), "href": setOf("a area"), "name": setOf("a map"), "charset": setOf("a"), "type": setOf("a ol ul li"),
		"hreflang": setOf("a"), "rel": setOf("a"), "rev": setOf("a"), "shape": setOf("a area"), "coords": setOf("a area"), "src": setOf("img"),
		"alt": setOf("img area"), "longdesc": setOf("img"), "height": setOf("img td th"), "usemap": setOf("img"), "ismap": setOf("img"), "border": setOf("img table"),
		"nohref": setOf("area"), "summary": setOf("table"), "frame": setOf("table"), "rules": setOf("table"), "cellspacing": setOf("table"),
		"cellpadding": setOf("table"), "bgcolor": setOf("table tr td th"), "nowrap": setOf("td th"), "start": setOf("ol"), "value": setOf("li"), "clear": setOf("br"),
		"size": setOf("hr"), "noshade": setOf("hr"), "compact": setOf("ol ul dl"),
	}
)

const (
	xhtmlNamespace = "http://www.w3.org/1999/xhtml"
	xhtmlDepth     = 100
)

func setOf(words string) map[string]bool {
	m := map[string]bool{}
	for w := range strings.FieldsSeq(words) {
		m[w] = true
	}
	return m
}

// narrative checks the div of a Narrative.
func (w *walker) narrative(s string) {
	x := xhtml{s: s}
	x.document()
	if x.problem != "" {
		w.wrong(x.code, x.problem)
	}
}

// xhtml reads the XHTML of a narrative in one pass, stopping at the first thing wrong.
type xhtml struct {
	s       string
	at      int
	open    []string
	content bool // text or an image was seen (rule txt-2)
	code    string
	problem string
}

func (x *xhtml) fail(code, problem string) bool {
	if x.problem == "" {
		x.code, x.problem = code, problem
	}
	return false
}

func (x *xhtml) document() {
	x.s = strings.TrimSpace(x.s)
	if len(x.s) > 16*maxString {
		x.fail("too-long", "The narrative is too long.")
		return
	}
	if !strings.HasPrefix(x.s, "<div") {
		x.fail("structure", "A narrative is one XHTML div: start it with <div xmlns=\""+xhtmlNamespace+"\">.")
		return
	}
	for x.at < len(x.s) {
		if !x.token() {
			return
		}
		if len(x.open) == 0 {
			break
		}
	}
	switch {
	case len(x.open) > 0:
		x.fail("structure", "The narrative is cut short: <"+x.open[len(x.open)-1]+"> is not closed.")
	case x.at < len(x.s):
		x.fail("structure", "A narrative is one XHTML div, with nothing after it.")
	case !x.content:
		x.fail("invariant", "The narrative says nothing. Give it text or an image, or leave it out (rule txt-2).")
	}
}

// token reads one tag, comment, reference or run of text.
func (x *xhtml) token() bool {
	rest := x.s[x.at:]
	switch {
	case strings.HasPrefix(rest, "<!--"):
		end := strings.Index(rest[4:], "-->")
		if end < 0 {
			return x.fail("structure", "A comment in the narrative is not closed.")
		}
		x.at += 4 + end + 3
		return true
	case strings.HasPrefix(rest, "<!"), strings.HasPrefix(rest, "<?"):
		return x.fail("invariant", "A narrative may not hold a document type, CDATA or a processing instruction (rule txt-1).")
	case strings.HasPrefix(rest, "</"):
		return x.closing(rest)
	case rest[0] == '<':
		return x.opening()
	case rest[0] == '&':
		x.content = true
		return x.entity()
	}
	end := strings.IndexAny(rest, "<&")
	if end < 0 {
		end = len(rest)
	}
	for i := range end {
		if c := rest[i]; c < ' ' && !space(c) {
			return x.fail("structure", "The narrative holds a control character. Remove it.")
		} else if !space(c) {
			x.content = true
		}
	}
	x.at += end
	return true
}

func (x *xhtml) closing(rest string) bool {
	end := strings.IndexByte(rest, '>')
	if end < 0 {
		return x.fail("structure", "A closing tag in the narrative is not finished.")
	}
	name := strings.TrimRight(rest[2:end], " \t\r\n")
	if len(x.open) == 0 || x.open[len(x.open)-1] != name {
		return x.fail("structure", "The tags of the narrative do not pair up. Write it as well-formed XHTML.")
	}
	x.open = x.open[:len(x.open)-1]
	x.at += end + 1
	return true
}

// name reads a tag's or attribute's name.
func (x *xhtml) name() string {
	from := x.at
	for x.at < len(x.s) {
		c := x.s[x.at]
		if !(c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || c == ':' || c == '-' || c == '_' || c == '.') {
			break
		}
		x.at++
	}
	return x.s[from:x.at]
}

func (x *xhtml) skipSpace() bool {
	from := x.at
	for x.at < len(x.s) && space(x.s[x.at]) {
		x.at++
	}
	return x.at > from
}

func (x *xhtml) opening() bool {
	x.at++
	name := x.name()
	if !narrativeElements[name] {
		return x.fail("invariant", "A narrative may not hold the element "+quoted(name)+": only basic formatting, links, images and tables, in small letters (rule txt-1).")
	}
	if len(x.open) >= xhtmlDepth {
		return x.fail("structure", "The narrative is nested more than 100 deep.")
	}
	x.content = x.content || name == "img"
	var had []string
	for {
		spaced := x.skipSpace()
		switch {
		case x.at >= len(x.s):
			return x.fail("structure", "A tag in the narrative is not finished.")
		case x.s[x.at] == '>':
			x.at++
			x.open = append(x.open, name)
			return true
		case strings.HasPrefix(x.s[x.at:], "/>"):
			x.at += 2
			return true
		case !spaced:
			return x.fail("structure", "The narrative is not well-formed XHTML in the tag "+quoted(name)+".")
		}
		attribute, ok := x.attribute(name)
		if !ok {
			return false
		}
		for _, h := range had {
			if h == attribute {
				return x.fail("structure", "A tag of the narrative has the attribute "+quoted(attribute)+" twice.")
			}
		}
		had = append(had, attribute)
	}
}

func (x *xhtml) attribute(element string) (string, bool) {
	name := x.name()
	elements, known := narrativeAttributes[name]
	if !known || elements != nil && !elements[element] {
		return "", x.fail("invariant", "A narrative may not hold the attribute "+quoted(name)+" on "+quoted(element)+" (rule txt-1).")
	}
	x.skipSpace()
	if x.at >= len(x.s) || x.s[x.at] != '=' {
		return "", x.fail("structure", "The attribute "+quoted(name)+" in the narrative needs a value in quotes.")
	}
	x.at++
	x.skipSpace()
	if x.at >= len(x.s) || x.s[x.at] != '"' && x.s[x.at] != '\'' {
		return "", x.fail("structure", "The attribute "+quoted(name)+" in the narrative needs a value in quotes.")
	}
	quote := x.s[x.at]
	x.at++
	from := x.at
	for x.at < len(x.s) && x.s[x.at] != quote {
		switch x.s[x.at] {
		case '<':
			return "", x.fail("structure", "The narrative holds an unescaped < in an attribute. Write &lt;.")
		case '&':
			if !x.entity() {
				return "", false
			}
		default:
			x.at++
		}
	}
	if x.at >= len(x.s) {
		return "", x.fail("structure", "An attribute of the narrative is not closed.")
	}
	value := x.s[from:x.at]
	x.at++
	if !harmless(name, value) {
		return "", x.fail("invariant", "A narrative may not hold scripts: the attribute "+quoted(name)+" would run one (rule txt-1).")
	}
	if name == "xmlns" && value != xhtmlNamespace {
		return "", x.fail("structure", "The div of a narrative must be in the namespace "+xhtmlNamespace+".")
	}
	return name, true
}

// harmless says whether an attribute cannot run a script or fetch through a style.
func harmless(name, value string) bool {
	if name != "href" && name != "src" && name != "style" && name != "cite" && name != "longdesc" && name != "usemap" {
		return true
	}
	var b strings.Builder // without what browsers skip within a scheme
	for _, c := range strings.ToLower(html.UnescapeString(value)) {
		if c > ' ' {
			b.WriteRune(c)
		}
	}
	v := b.String()
	if name == "style" {
		return !strings.Contains(v, "expression(") && !strings.Contains(v, "javascript:") && !strings.Contains(v, "@import") &&
			!strings.Contains(v, "behavior:") && !strings.Contains(v, "-moz-binding") && !strings.Contains(v, "\\")
	}
	scheme, _, ok := strings.Cut(v, ":")
	if !ok || strings.ContainsAny(scheme, "/?#") {
		return true
	}
	switch scheme {
	case "http", "https", "mailto", "tel", "urn", "cid", "ftp":
		return true
	case "data":
		return name == "src" && strings.HasPrefix(v, "data:image/") && !strings.HasPrefix(v, "data:image/svg")
	}
	return name != "src" && scheme != "javascript" && scheme != "vbscript"
}

// entity reads a reference: the five of XML, a number, or a name of HTML 4's.
func (x *xhtml) entity() bool {
	end := strings.IndexByte(x.s[x.at:min(x.at+12, len(x.s))], ';')
	if end < 2 {
		return x.fail("structure", "The narrative holds a bare &. Write &amp;.")
	}
	name := x.s[x.at+1 : x.at+end]
	x.at += end + 1
	if digits, ok := strings.CutPrefix(name, "#"); ok {
		if hex, isHex := strings.CutPrefix(digits, "x"); isHex && hex != "" && strings.Trim(strings.ToLower(hex), "0123456789abcdef") == "" {
			return true
		}
		if digits != "" && allDigits(digits) {
			return true
		}
	} else if isName(name) {
		return true
	}
	return x.fail("structure", "The narrative holds a character reference that cannot be read.")
}
