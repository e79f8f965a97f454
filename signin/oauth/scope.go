package oauth

import (
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
)

// resourceScope is a SMART scope: context/Type.letters (SMART App Launch 2.2, and 1's read, write and *).
type resourceScope struct {
	context, typ, letters string
}

// parseScope reads a SMART scope; ok is false for any other scope, and for one that is limited by a search parameter, which is
// not granted here.
func parseScope(s string) (rs resourceScope, ok bool) {
	context, rest, ok := strings.Cut(s, "/")
	if !ok || context != "patient" && context != "user" && context != "system" {
		return rs, false
	}
	typ, letters, ok := strings.Cut(rest, ".")
	if !ok || typ == "" || strings.ContainsFunc(typ, func(r rune) bool {
		return r != '*' && (r < 'A' || r > 'Z') && (r < 'a' || r > 'z')
	}) {
		return rs, false
	}
	switch letters {
	case "read":
		letters = "rs"
	case "write":
		letters = "cud"
	case "*":
		letters = "cruds"
	}
	rest = "cruds"
	for _, c := range letters {
		i := strings.IndexRune(rest, c)
		if i < 0 {
			return rs, false
		}
		rest = rest[i+1:]
	}
	return resourceScope{context, typ, letters}, letters != ""
}

// narrow is what allowed leaves of a scope that was asked for: itself, less, or "".
func narrow(asked string, allowed []string) string {
	if slices.Contains(allowed, asked) {
		return asked
	}
	want, ok := parseScope(asked)
	if !ok {
		return ""
	}
	left := ""
	for _, letter := range want.letters {
		for _, a := range allowed {
			have, ok := parseScope(a)
			if ok && have.context == want.context && (have.typ == "*" || have.typ == want.typ) && strings.ContainsRune(have.letters, letter) {
				left += string(letter)
				break
			}
		}
	}
	switch left {
	case "":
		return ""
	case want.letters:
		return asked
	}
	return want.context + "/" + want.typ + "." + left
}

// grantable is what of asked a client may have, in the order asked; what it asks for by default when it asks for nothing that opens a
// record. ok is false when it asked for something and may have nothing.
func (c Client) grantable(asked []string) (granted []string, ok bool) {
	opens := false
	for _, s := range asked {
		n := narrow(s, c.Scopes)
		if _, resource := parseScope(n); resource {
			opens = true
		}
		if n != "" && !slices.Contains(granted, n) {
			granted = append(granted, n)
		}
	}
	if len(asked) > 0 && len(granted) == 0 {
		return nil, false
	}
	if !opens && !slices.ContainsFunc(asked, func(s string) bool { _, resource := parseScope(s); return resource }) {
		granted = append(granted, c.Default...)
	}
	return granted, true
}

// forRealm leaves out what users of a realm never get: a system's scopes are for systems, a professional's for professionals.
func forRealm(scopes []string, realm string) []string {
	return slices.DeleteFunc(slices.Clone(scopes), func(s string) bool {
		rs, ok := parseScope(s)
		return ok && (rs.context == "system") != (realm == access.Systems)
	})
}

// resources are the scopes that open records.
func resources(scopes []string) []string {
	list := []string{}
	for _, s := range scopes {
		if _, ok := parseScope(s); ok {
			list = append(list, s)
		}
	}
	return list
}

// within reports whether each scope of asked is covered by held: a token is never exchanged or refreshed for a wider one.
func within(asked, held []string) bool {
	for _, s := range asked {
		if narrow(s, held) != s {
			return false
		}
	}
	return true
}
