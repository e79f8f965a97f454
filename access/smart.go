package access

import "strings"

// scoped reports whether a token's scopes cover an action on a type, by SMART App Launch: v1 `system/Patient.read`,
// `user/*.*`, `patient/Observation.write`; v2 `system/Patient.rs`, `user/*.cruds`. A search parameter constraint after
// `?` (v2) is not understood here and grants nothing. No scopes at all (nil) means that the principal is not limited by
// a token; an empty list grants nothing.
func scoped(scopes []string, a Action, typ string) bool {
	if scopes == nil {
		return true
	}
	for _, s := range scopes {
		context, rest, ok := strings.Cut(s, "/")
		if !ok || (context != "system" && context != "user" && context != "patient") {
			continue
		}
		what, may, ok := strings.Cut(rest, ".")
		if ok && (what == "*" || what == typ) && scopeLetters(may, a) {
			return true
		}
	}
	return false
}

func scopeLetters(may string, a Action) bool {
	switch may {
	case "*":
		return true
	case "read":
		return a.Sees()
	case "write":
		return !a.Sees()
	}
	if !inOrder(may, "cruds") {
		return false
	}
	letter := map[Action]string{Create: "c", Read: "r", History: "r", Update: "u", Delete: "d", Search: "s", Export: "s", Trace: "r", Amend: "u"}[a]
	return letter != "" && strings.Contains(may, letter)
}

// inOrder reports whether each letter of s occurs in all, in that order, and there is at least one.
func inOrder(s, all string) bool {
	for _, c := range s {
		i := strings.IndexRune(all, c)
		if i < 0 {
			return false
		}
		all = all[i+1:]
	}
	return s != ""
}
