package signin

import (
	"context"
	"net/url"
	"slices"
	"strings"

	"github.com/openspine/openspine/web"
)

// scopeLines says in words what scopes let a program do, each thing once.
func scopeLines(ctx context.Context, scopes []string, patient bool) []string {
	var lines []string
	add := func(line string) {
		if !slices.Contains(lines, line) {
			lines = append(lines, line)
		}
	}
	for _, s := range scopes {
		context, rest, isResource := strings.Cut(s, "/")
		what, letters, _ := strings.Cut(rest, ".")
		switch {
		case s == "openid" || s == "profile" || s == "fhirUser":
			add(web.Text(ctx, "signin.scope.identity"))
		case s == "offline_access" || s == "online_access":
			add(web.Text(ctx, "signin.scope."+strings.TrimSuffix(s, "_access")))
		case s == "nationalrbacaccess" || s == "associatedorgs" || s == "selectedrole":
			add(web.Text(ctx, "signin.scope.roles"))
		case !isResource || context == "launch":
			continue
		default:
			whose := "theirs"
			if patient {
				whose = "yours"
			} else if context == "user" {
				whose = "all"
			}
			key := "signin.scope.read-" + whose
			if letters == "*" || letters == "write" || strings.ContainsAny(letters, "cud") && letters != "read" {
				key = "signin.scope.change-" + whose
			}
			if what == "*" {
				what = web.Text(ctx, "signin.scope.everything")
			}
			add(web.Text(ctx, key, what))
		}
	}
	return lines
}

// queryEscape carries an address in the query of another.
func queryEscape(to string) string { return url.QueryEscape(to) }
