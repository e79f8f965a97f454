package fhirapi

import (
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
)

// links are the addresses that a transaction's entries will have: from an entry's fullUrl to Type/id
// (https://hl7.org/fhir/R4/http.html#trules: references within a transaction are to the new identities).
type links map[string]string

// rewrite gives res with every reference to an entry of the same transaction replaced by the entry's new address,
// and every conditional reference (Type?query) replaced by what find says it is. Narrative links follow as well.
func (l links) rewrite(res *fhir.Resource, find func(typ, query string) (string, error)) (*fhir.Resource, error) {
	edit := res.Edit()
	changed := false
	var walk func(n fhir.Node, name string) error
	walk = func(n fhir.Node, name string) error {
		switch n.Kind() {
		case fhir.Object:
			for field, child := range n.Fields() {
				if err := walk(child, field); err != nil {
					return err
				}
			}
		case fhir.Array:
			for child := range n.Items() {
				if err := walk(child, name); err != nil {
					return err
				}
			}
		case fhir.String:
			text, err := l.target(n.String(), name, find)
			if err != nil {
				return err
			}
			if text != "" {
				edit.Replace(n, fhir.Of(text))
				changed = true
			}
		}
		return nil
	}
	if err := walk(res.Root(), ""); err != nil {
		return nil, err
	}
	if !changed {
		return res, nil
	}
	return edit.Done()
}

// target is what a string becomes, or "" when it stays.
func (l links) target(text, name string, find func(typ, query string) (string, error)) (string, error) {
	if to, ok := l[text]; ok {
		return to, nil
	}
	switch {
	case name == "div":
		replaced := text
		for from, to := range l {
			for _, attribute := range []string{"href", "src"} {
				replaced = strings.ReplaceAll(replaced, attribute+`="`+from+`"`, attribute+`="`+to+`"`)
			}
		}
		if replaced != text {
			return replaced, nil
		}
	case name == "reference" && strings.HasPrefix(text, "urn:uuid:"):
		return "", fault.New(fault.Invalid, "the reference %s names no entry's fullUrl in this Bundle", text)
	case name == "reference":
		typ, query, conditional := strings.Cut(text, "?")
		if conditional && isTypeName(typ) {
			return find(typ, query)
		}
	}
	return "", nil
}

func isTypeName(s string) bool {
	if s == "" || s[0] < 'A' || s[0] > 'Z' {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}
