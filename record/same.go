package record

import (
	"strings"

	"github.com/openspine/openspine/fhir/definition"
)

// Two parameters of text that draw on the same element have the same rows in the index: a Patient's `phonetic` is what their `name` is, and
// only the comparison differs, if at all. Such rows are written once, under the first of the two, and looked for there. What an older
// program wrote under the other is in the way of nobody, and is taken away by Reindex.

// same maps each parameter of text to the one under whose number its rows stand, where that is another. Both must have rows.
func (x *indexer) same(typ string) map[string]string {
	x.mu.RLock()
	known, ok := x.sames[typ]
	x.mu.RUnlock()
	if ok {
		return known
	}
	made := map[string]string{}
	first := map[string]string{}
	for _, p := range x.defs.SearchParameters(typ) {
		from := drawnFrom(typ, &p)
		if from == "" || !x.indexed(typ, p.Code) {
			continue
		}
		if code, ok := first[from]; ok {
			made[p.Code] = code
		} else {
			first[from] = p.Code
		}
	}
	x.mu.Lock()
	x.sames[typ] = made
	x.mu.Unlock()
	return made
}

// drawnFrom is what a parameter of text draws on in resources of a type: of "Patient.name | Person.name" the first for a Patient. It is ""
// when that cannot be told, and for other parameters, which may differ in more than their expression.
func drawnFrom(typ string, p *definition.SearchParameter) string {
	if p.Type != "string" {
		return ""
	}
	var mine []string
	for _, path := range strings.Split(p.Expression, "|") {
		path = strings.TrimSpace(path)
		of, _, simple := strings.Cut(path, ".")
		if !simple || strings.ContainsAny(path, "() []'\"") {
			return ""
		}
		if of == typ {
			mine = append(mine, path)
		}
	}
	return strings.Join(mine, "|")
}
