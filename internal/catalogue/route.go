package catalogue

import (
	"context"
	"net/http"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
)

// Route is one method and pattern of net/http's ServeMux with the rule that guards it.
// Only the constructors of this package make one.
type Route struct {
	method, pattern string
	rule            Rule
	roles           []access.Role
	changes         bool // it may change what the node keeps
	streams         bool
	uploads         int64
	serve           func(d Desk, w http.ResponseWriter, r *http.Request) error
}

// Rule names how a route is guarded.
type Rule string

// The rules there are.
const (
	RulePublic   Rule = "public"   // anybody: nothing about a person is behind it
	RuleRole     Rule = "role"     // somebody signed in, in one of the roles
	RulePerson   Rule = "person"   // the person is in the request
	RuleResource Rule = "resource" // a located resource: its chart and label are known before it is read
	RuleBody     Rule = "body"     // what is sent names the places it touches; all Grants come first
	RuleSet      Rule = "set"      // a search or export, under a Scope
	RulePeer     Rule = "peer"     // another system, which shows who it is as its protocol says
)

// Desk is where a request is received: the edge gives it to the route's rule.
type Desk interface {
	// Principal is who asks; a fault of kind Unauthenticated when nobody has signed in.
	Principal(r *http.Request) (access.Principal, error)
	// Gate decides and accounts.
	Gate() *access.Gate
	// Locate names the place of a resource before its row is read.
	Locate(ctx context.Context, tenant ident.ODSCode, typ, id string) (access.Place, error)
	// Disclose commits one entry for each chart shown, before the answer is sent. Buffered answers only.
	Disclose(r *http.Request, grants []access.Grant, scopes []access.Scope)
}

// Pattern is the ServeMux pattern, for example "GET /FHIR/R4/{type}/{id}".
func (rt Route) Pattern() string { return rt.method + " " + rt.pattern }

// Method is the HTTP method.
func (rt Route) Method() string { return rt.method }

// Path is the pattern without its method.
func (rt Route) Path() string { return rt.pattern }

// Rule is how the route is guarded.
func (rt Route) Rule() Rule { return rt.rule }

// Roles are those let in, or none when the rule does not go by role.
func (rt Route) Roles() []access.Role { return rt.roles }

// Changes reports whether the route may change what the node keeps about people: it is closed while the disk is nearly full,
// so that what is left goes to the account of those who read.
func (rt Route) Changes() bool { return rt.changes }

// Streams reports whether the answer leaves as it is written, rather than whole.
func (rt Route) Streams() bool { return rt.streams }

// Streamed is rt with an answer that leaves as it is written, for server-sent events and exports that fit in no buffer. What the
// rule disclosed is put on the account before the first byte leaves, and what is disclosed later before the next. A failure before
// the first byte is worded like any other; after it the connection is cut, so that half an answer never passes for a whole one.
// The request's context ends when the node stops or the stream has lasted long enough; the caller then asks again.
// A search cannot be streamed: which charts it showed is known only at its end.
func (rt Route) Streamed() Route {
	if rt.rule == RuleSet {
		panic("catalogue: a search cannot be streamed: " + rt.Pattern())
	}
	rt.streams = true
	return rt
}

// Uploads is how many bytes the route takes as they come; 0 when it does not, and the edge's own bound holds.
func (rt Route) Uploads() int64 { return rt.uploads }

// Uploaded is rt with a body of up to most bytes that the handler reads as it comes, in any content coding: it is never held whole, and may take
// as long as a stream lasts. What it says of the body's end is io.EOF; a body that is longer is *http.MaxBytesError.
func (rt Route) Uploaded(most int64) Route {
	rt.uploads = most
	return rt
}

// Serve runs the rule, then the handler. The edge calls it; nothing else should.
func (rt Route) Serve(d Desk, w http.ResponseWriter, r *http.Request) error {
	return rt.serve(d, w, r)
}

// Resource is what a located route is about.
type Resource struct{ Type, ID string }

func newRoute(pattern string, rule Rule, changes bool, roles []access.Role, serve func(Desk, http.ResponseWriter, *http.Request) error) Route {
	method, path, ok := strings.Cut(pattern, " ")
	if !ok || !strings.HasPrefix(path, "/") {
		panic("catalogue: a pattern is a method, a space and a path: " + pattern)
	}
	return Route{method: method, pattern: path, rule: rule, changes: changes, roles: roles, serve: serve}
}

// writes reports whether the pattern's method is one that changes things (RFC 9110 section 9.2.1).
func writes(pattern string) bool {
	return !strings.HasPrefix(pattern, "GET ") && !strings.HasPrefix(pattern, "HEAD ")
}

type tenantKey struct{}

// WithTenant marks a request as addressed to a tenant's own API (/o/{ods}/…).
func WithTenant(ctx context.Context, t ident.ODSCode) context.Context {
	return context.WithValue(ctx, tenantKey{}, t)
}

// TenantOf is the tenant a request is addressed to. The edge sets it on every request.
func TenantOf(r *http.Request) ident.ODSCode {
	t, _ := r.Context().Value(tenantKey{}).(ident.ODSCode)
	return t
}
