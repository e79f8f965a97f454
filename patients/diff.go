package patients

import (
	"context"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"unicode"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// difference is one thing that two versions say differently. An empty text means that it was not there.
type difference struct{ Name, Before, After string }

// differences are what changed from one version to the next, in words. Either may be nil: voided, or not yet written.
func differences(ctx context.Context, before, after *fhir.Resource) []difference {
	old, oldOrder := flat(before)
	now, order := flat(after)
	for _, path := range oldOrder {
		if _, still := now[path]; !still {
			order = append(order, path)
		}
	}
	var list []difference
	for _, path := range order {
		if old[path] != now[path] {
			list = append(list, difference{Name: pathText(ctx, path), Before: valueText(old[path]), After: valueText(now[path])})
		}
	}
	return list
}

// flat is a resource as paths and texts, in document order, without what only machines read.
func flat(r *fhir.Resource) (map[string]string, []string) {
	facts := map[string]string{}
	var order []string
	if r == nil {
		return facts, nil
	}
	var walk func(path string, n fhir.Node)
	walk = func(path string, n fhir.Node) {
		switch n.Kind() {
		case fhir.Object:
			for name, child := range n.Fields() {
				if path == "" && (name == "resourceType" || name == "id" || name == "meta" || name == "text") || path != "" && name == "id" {
					continue
				}
				walk(strings.TrimPrefix(path+"."+name, "."), child)
			}
		case fhir.Array:
			i := 0
			for child := range n.Items() {
				walk(path+"."+strconv.Itoa(i), child)
				i++
			}
		default:
			facts[path] = n.String()
			order = append(order, path)
		}
	}
	walk("", r.Root())
	return facts, order
}

// forPeople reports whether a fact is for people to read; the rest is in the history and in the API.
func forPeople(path string, facts map[string]string) bool {
	for _, step := range strings.Split(path, ".") {
		if slices.Contains([]string{"extension", "system", "version", "use", "reference", "url", "contentType", "language", "data", "period", "security"}, step) {
			return false
		}
	}
	if parent, isCode := strings.CutSuffix(path, ".code"); isCode && facts[parent+".display"] != "" {
		return false
	}
	return true
}

// pathText is a path in words: "name.0.given.0" is "Name: given".
func pathText(ctx context.Context, path string) string {
	var parts []string
	for _, step := range strings.Split(path, ".") {
		if n, err := strconv.Atoi(step); err == nil {
			if n > 0 {
				parts[len(parts)-1] += fmt.Sprintf(" %d", n+1)
			}
			continue
		}
		parts = append(parts, elementText(ctx, step))
	}
	parts = slices.Compact(parts)
	for i, p := range parts {
		if i > 0 {
			parts[i] = strings.ToLower(p)
		}
	}
	return strings.Join(parts, ": ")
}

// elementText is the name of an element in words, from the messages or from the name itself.
func elementText(ctx context.Context, name string) string {
	if key := "patients.element." + name; web.HasText(key) {
		return web.Text(ctx, key)
	}
	var b strings.Builder
	for i, r := range name {
		if unicode.IsUpper(r) && i > 0 {
			b.WriteByte(' ')
			r = unicode.ToLower(r)
		}
		b.WriteRune(r)
	}
	s := b.String()
	return strings.ToUpper(s[:1]) + s[1:]
}

// valueText is a value for people: dates as care writes them.
func valueText(s string) string {
	if len(s) >= 10 && s[4] == '-' && s[7] == '-' {
		if p := format.FHIR(s); p.Known() {
			return p.String()
		}
	}
	return s
}
