package fhir

import (
	"slices"
	"strconv"
	"strings"
)

// Equal reports whether two resources say the same: the same members whatever their order, the same elements in the same
// order, the same text however escaped, and numbers with the same literal text (1.0 and 1.00 differ, because precision
// carries meaning in FHIR). What stands at an ignored path is not compared; a path names members only, without array
// positions: "meta.lastUpdated", "entry.response.lastModified".
func Equal(a, b *Resource, ignore ...string) bool {
	_, differs := Difference(a.Root(), b.Root(), ignore...)
	return !differs
}

// Difference is where two values first differ, as Equal compares them: a path such as "name[0].family" ("" is the
// value itself).
func Difference(a, b Node, ignore ...string) (path string, differs bool) {
	return difference(a, b, "", "", ignore)
}

func difference(a, b Node, path, bare string, ignore []string) (string, bool) {
	if a.Kind() != b.Kind() {
		return path, true
	}
	switch a.Kind() {
	case Array:
		if a.Len() != b.Len() {
			return path, true
		}
		x, y := a.i+1, b.i+1
		for i := range a.Len() {
			if p, differs := difference(Node{a.d, x}, Node{b.d, y}, indexed(path, i), bare, ignore); differs {
				return p, true
			}
			x, y = a.d.entries[x].next, b.d.entries[y].next
		}
	case Object:
		return differentMember(a, b, path, bare, ignore)
	default:
		return path, a.String() != b.String()
	}
	return "", false
}

func differentMember(a, b Node, path, bare string, ignore []string) (string, bool) {
	for name, x := range a.Fields() {
		at := joined(bare, name)
		if slices.Contains(ignore, at) {
			continue
		}
		if p, differs := difference(x, b.Field(name), joined(path, name), at, ignore); differs {
			return p, true
		}
	}
	for name := range b.Fields() {
		if !a.Field(name).Exists() && !slices.Contains(ignore, joined(bare, name)) {
			return joined(path, name), true
		}
	}
	return "", false
}

func joined(path, name string) string {
	if path == "" {
		return name
	}
	return path + "." + name
}

func indexed(path string, i int) string {
	var b strings.Builder
	b.WriteString(path)
	b.WriteByte('[')
	b.WriteString(strconv.Itoa(i))
	b.WriteByte(']')
	return b.String()
}
