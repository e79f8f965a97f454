package fhirpath

import (
	"encoding/xml"
	"errors"
	"io"
	"strings"
)

// What a narrative may hold: basic formatting, lists, tables, links and images, and nothing that acts
// (https://hl7.org/fhir/R4/narrative.html#xhtml, invariants txt-1 and txt-2).
const (
	htmlElements = " a abbr acronym b big blockquote br caption cite code col colgroup dd dfn div dl dt em h1 h2 h3 h4 h5 h6 hr i img li ol p pre q samp small span strong sub sup table tbody td tfoot th thead tr tt ul var ins del kbd "

	htmlAttributes = " title style class id lang xml:lang dir accesskey tabindex span width align valign char charoff abbr axis headers scope rowspan colspan summary border frame rules cellspacing cellpadding start type value name href hreflang rel rev charset shape coords src alt longdesc height usemap ismap cite datetime xmlns "
)

// fnHTMLChecks says whether the input is a narrative that may be shown.
func (r *run) fnHTMLChecks(n *call, in []Value) error {
	s, ok, err := n.stringInput(in)
	if err != nil || !ok {
		return err
	}
	r.push(Bool(cleanHTML(s)))
	return r.tick(len(s) >> 4)
}

// cleanHTML says whether s is one div of allowed elements and attributes, with something in it.
func cleanHTML(s string) bool {
	d := xml.NewDecoder(strings.NewReader(s))
	d.Entity = xml.HTMLEntity
	depth, content := 0, false
	for {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return depth == 0 && content
		}
		if err != nil {
			return false
		}
		switch t := token.(type) {
		case xml.StartElement:
			if !cleanElement(t, depth) {
				return false
			}
			content = content || t.Name.Local == "img"
			depth++
		case xml.EndElement:
			depth--
		case xml.CharData:
			blank := strings.TrimSpace(string(t)) == ""
			if depth == 0 && !blank {
				return false
			}
			content = content || !blank
		case xml.Directive, xml.ProcInst:
			return false
		}
	}
}

func cleanElement(t xml.StartElement, depth int) bool {
	if depth == 0 && t.Name.Local != "div" || !strings.Contains(htmlElements, " "+t.Name.Local+" ") {
		return false
	}
	for _, a := range t.Attr {
		name := a.Name.Local
		if a.Name.Space != "" && a.Name.Space != "xmlns" {
			name = "xml:" + name
		}
		if a.Name.Space == "xmlns" || !strings.Contains(htmlAttributes, " "+name+" ") {
			return false
		}
		value := strings.ToLower(strings.TrimSpace(a.Value))
		if (name == "href" || name == "src") && (strings.HasPrefix(value, "javascript:") || strings.HasPrefix(value, "vbscript:")) {
			return false
		}
	}
	return true
}
