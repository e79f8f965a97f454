package access

import "strings"

// scoped reports whether a token's scopes cover an action at a place, by SMART App Launch: v1 `system/Patient.read`,
// `user/*.*`, `patient/Observation.write`; v2 `system/Patient.rs`, `user/*.cruds`. A patient/ scope is about one person, in each of their
// charts (self): the patient, or the one whom a professional opened the app for (Principal.Confined), and what is about nobody in
// particular. A search parameter constraint after `?` (v2) is not understood here and grants nothing. No scopes at all (nil)
// means that the principal is not limited by a token; an empty list grants nothing.
func scoped(p Principal, a Action, pl Place, self bool) bool {
	if p.Scopes == nil {
		return true
	}
	for _, s := range p.Scopes {
		context, rest, ok := strings.Cut(s, "/")
		if !ok || context != "system" && context != "user" && (context != "patient" || !confined(a, pl, self)) {
			continue
		}
		what, may, ok := strings.Cut(rest, ".")
		if ok && (what == "*" || what == pl.Type) && scopeLetters(may, a) {
			return true
		}
	}
	return false
}

// person is the chart that p's patient/ scopes are about; "" for none.
func (p Principal) person() string {
	if p.Role == Patient {
		return p.Person
	}
	return p.Confined
}

// confined reports whether a place is within patient/ scopes; self says that it is in a chart of the person whom they are about.
func confined(a Action, pl Place, self bool) bool {
	if pl.Chart == "" {
		return a.Sees() && ClassOf(pl.Type) == classShared
	}
	return self
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
