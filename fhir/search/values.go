package search

import (
	"strconv"
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
)

// found adds what the node, which is of the type, means to a parameter of the kind at hand
// (https://hl7.org/fhir/R4/search.html#ptypes and the table of data types there).
func (w *walker) found(typ string, n fhir.Node) {
	switch w.kind {
	case kindToken:
		w.token(typ, n)
	case kindString:
		w.text(typ, n)
	case kindDate:
		w.date(typ, n)
	case kindNumber:
		w.number(typ, n)
	case kindQuantity:
		w.quantity(typ, n)
	case kindReference:
		w.reference(typ, n)
	case kindURI:
		if s := n.String(); s != "" && definition.IsPrimitive(typ) {
			w.add(URI{s})
		}
	case kindNear:
		lat, latErr := strconv.ParseFloat(n.Field("latitude").String(), 64)
		long, longErr := strconv.ParseFloat(n.Field("longitude").String(), 64)
		if latErr == nil && longErr == nil {
			w.add(Near{lat, long})
		}
	}
}

func (w *walker) token(typ string, n fhir.Node) {
	switch typ {
	case "Coding":
		w.coding(n)
	case "CodeableConcept":
		text := n.Field("text").String()
		for c := range n.Field("coding").Items() {
			w.coding(c)
		}
		if text != "" {
			w.add(Token{Text: text})
		}
	case "Identifier":
		if t := identifier(n); t.Code != "" || t.Text != "" || t.System != "" {
			w.add(t)
		}
	case "ContactPoint":
		if v := n.Field("value").String(); v != "" {
			w.add(Token{Code: v})
		}
	case "Reference":
		// A token parameter on a reference looks at its identifier.
		if id := n.Field("identifier"); id.Exists() {
			w.add(identifier(id))
		}
	default:
		if v := n.String(); v != "" && definition.IsPrimitive(typ) {
			w.add(Token{Implied: w.bound, Code: v})
		}
	}
}

func (w *walker) coding(n fhir.Node) {
	if w.recall(n) {
		return
	}
	t := Token{System: n.Field("system").String(), Code: n.Field("code").String(), Text: n.Field("display").String()}
	if t.Code != "" || t.Text != "" || t.System != "" {
		w.addKnown(n, t)
	}
}

func identifier(n fhir.Node) Token {
	t := Token{System: n.Field("system").String(), Code: n.Field("value").String()}
	kind := n.Field("type")
	t.Text = kind.Field("text").String()
	for c := range kind.Field("coding").Items() {
		if t.Text == "" {
			t.Text = c.Field("display").String()
		}
		if code := c.Field("code").String(); code != "" {
			t.Types = append(t.Types, Coding{c.Field("system").String(), code})
		}
	}
	return t
}

// Parts of a name and of an address that a string parameter looks at; each is found by itself.
var (
	nameParts    = [...]string{"family", "given", "prefix", "suffix", "text"}
	addressParts = [...]string{"line", "city", "district", "state", "postalCode", "country", "text"}
)

func (w *walker) text(typ string, n fhir.Node) {
	switch typ {
	case "HumanName":
		w.textParts(n, nameParts[:])
	case "Address":
		w.textParts(n, addressParts[:])
	case "CodeableConcept":
		w.oneText(n.Field("text"))
	case "ContactPoint":
		w.oneText(n.Field("value"))
	default:
		if definition.IsPrimitive(typ) {
			w.oneText(n)
		}
	}
}

func (w *walker) textParts(n fhir.Node, parts []string) {
	for name, member := range n.Fields() {
		for _, part := range parts {
			if name == part {
				for item := range member.Items() {
					w.oneText(item)
				}
				break
			}
		}
	}
}

func (w *walker) oneText(n fhir.Node) {
	if w.recall(n) {
		return
	}
	if s := n.String(); s != "" {
		w.addKnown(n, String{Folded: Fold(s), Text: s})
	}
}

func (w *walker) reference(typ string, n fhir.Node) {
	switch typ {
	case "Reference":
		if w.recall(n) {
			return
		}
		text := n.Field("reference").String()
		var ref Reference
		if text != "" && text[0] != '#' {
			ref = ParseReference(text)
		}
		if id := n.Field("identifier"); id.Exists() {
			ref.Identifier = identifier(id)
		}
		if ref.Type == "" {
			ref.Type = n.Field("type").String()
		}
		if ref.URL != "" || ref.Identifier.Code != "" {
			w.addKnown(n, ref)
		}
	case "canonical", "uri", "url":
		if s := n.String(); s != "" && s[0] != '#' {
			w.add(parseCanonical(s))
		}
	default:
		// Bundle.composition and Bundle.message point at a resource that is in the bundle.
		kind, id := n.Field("resourceType").String(), n.Field("id").String()
		if kind != "" && id != "" {
			w.add(Reference{URL: kind + "/" + id, Type: kind, ID: id})
		}
	}
}

// ParseReference takes a literal reference apart: "Patient/1", "Patient/1/_history/2", "https://host/base/Patient/1",
// "urn:uuid:…". What does not have the form of a resource's address keeps only its URL.
func ParseReference(s string) Reference {
	s, _, _ = strings.Cut(s, "#")
	ref := Reference{URL: s}
	path := s
	if i := strings.LastIndex(path, "/_history/"); i >= 0 {
		ref.Version = path[i+len("/_history/"):]
		path = path[:i]
		ref.URL = path
	}
	slash := strings.LastIndexByte(path, '/')
	if slash < 1 || !isID(path[slash+1:]) {
		return ref
	}
	before := strings.LastIndexByte(path[:slash], '/')
	typ := path[before+1 : slash]
	if !isTypeName(typ) {
		return ref
	}
	if before >= 0 && !strings.Contains(path[:before+1], "://") {
		return ref
	}
	ref.Base, ref.Type, ref.ID = path[:before+1], typ, path[slash+1:]
	return ref
}

// parseCanonical takes a canonical URL apart: "http://example.org/Questionnaire/q|1.0".
func parseCanonical(s string) Reference {
	url, version, _ := strings.Cut(s, "|")
	url, _, _ = strings.Cut(url, "#")
	ref := ParseReference(url)
	if version != "" {
		ref.Version = version
	}
	return ref
}

func isTypeName(s string) bool {
	if s == "" || len(s) > 64 || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for i := 1; i < len(s); i++ {
		if c := s[i] | 0x20; c < 'a' || c > 'z' {
			return false
		}
	}
	return true
}

// isID reports whether s has the form of a logical id: 1 to 64 letters, digits, hyphens and full stops.
func isID(s string) bool {
	if s == "" || len(s) > 64 {
		return false
	}
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c != '-' && c != '.' && (c < '0' || c > '9') && (c|0x20 < 'a' || c|0x20 > 'z') {
			return false
		}
	}
	return true
}
