// Package oauth gives programs tokens to act with: for somebody who signed in to them, or in the name of an organisation.
//
// A program is a client that an administrator registered. It never sees how somebody signs in; it sends them here, and gets a
// code, for one use within a minute, which it changes for an access token of ten minutes and a refresh token of an hour.
// A refresh token is for one use too, and a second use of either ends all that came of that sign-in: whoever
// stole it and whoever lost it are told the same, and the person signs in again.
//
//	person ── authorize ──► (sign in, choose a role, agree) ── code ──► client ── token ──► access + refresh
//	                                                             used twice ──► the grant ends, its tokens with it
//	grant:  allowed ──► refreshed … refreshed ──► ended (an hour of nothing, sign-out, a change of rights, reuse, revoked)
//	system: signed JWT (RS512, five minutes, once) ── token ──► access
//
// The published contract is NHS England's identity service (authorize and token, the errors' shape) and what it says of itself:
// OAuth 2 (RFC 6749) as RFC 9700 has it kept safe, PKCE (7636), JWT client authentication (7523), token exchange (8693), revocation (7009), introspection
// (7662), metadata (8414), issuer identification (9207), OpenID Connect Core and Discovery, SMART App Launch 2. docs/oauth.md lists each rule
// with the test that keeps it.
package oauth

import (
	"context"
	"embed"
	"net/http"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/signin/limit"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFS embed.FS

// Schema is what this package keeps in the database.
func Schema() store.Schema { return store.Embedded("oauth", schemaFS, "schema") }

// How long things last. Access and refresh tokens as NHS England publishes them.
const (
	AccessFor  = 10 * time.Minute
	RefreshFor = time.Hour
	GrantFor   = 12 * time.Hour // however often it is refreshed
	codeFor    = time.Minute
	idTokenFor = time.Hour
)

// Where the endpoints are, below the node's address.
const (
	PathAuthorize  = "/oauth2/authorize"
	PathToken      = "/oauth2/token"
	PathRevoke     = "/oauth2/revoke"
	PathIntrospect = "/oauth2/introspect"
	PathUserinfo   = "/oauth2/userinfo"
	PathKeys       = "/oauth2/jwks"
	PathLogout     = "/oauth2/logout"
	PathManage     = "/sign-in/sessions"
	Mock           = "/oauth2-mock"
)

// Server is the authorisation server of a node. It is safe for use by many goroutines.
type Server struct {
	k     catalogue.Kernel
	fetch *http.Client
	mock  bool
	keys  keyCache
	guard *limit.Guard
}

// Options say how the server is kept.
type Options struct {
	// Fetch is how clients' key sets are fetched; a client with short limits and no redirects when nil.
	Fetch *http.Client
	// Mock serves the same under /oauth2-mock, where anybody of a demonstration signs in by typing who they are.
	Mock bool
}

// New is the authorisation server of a node.
func New(k catalogue.Kernel, o Options) *Server {
	if o.Fetch == nil {
		o.Fetch = &http.Client{Timeout: 5 * time.Second, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	}
	return &Server{k: k, fetch: o.Fetch, mock: o.Mock, guard: limit.New(k.Clock, limit.Rates{Client: k.Limits.TokenClient, Address: k.Limits.TokenAddress})}
}

// Service is what programs call: no page, no session.
func (s *Server) Service() catalogue.Service {
	routes := s.endpoints("/oauth2")
	base := []catalogue.Published{{Face: Face{}, Posted: true, Routes: []catalogue.Route{catalogue.Public("POST "+PathAuthorize, repost)}}}
	if s.mock {
		base = append(base, catalogue.Published{Base: Mock + "/", Face: Face{}, Foreign: true, Routes: s.endpoints(Mock)})
	}
	routes = append(routes,
		catalogue.Public("GET /.well-known/openid-configuration", s.discovery),
		catalogue.Public("GET /.well-known/oauth-authorization-server", s.discovery),
		catalogue.Public("GET /FHIR/R4/.well-known/smart-configuration", s.smartConfiguration))
	return catalogue.Service{Name: "oauth", Summary: "Tokens for programs: OAuth 2, OpenID Connect, SMART on FHIR.", Schema: Schema(),
		Published: append(base, catalogue.Published{Base: "/oauth2/", Face: Face{}, Foreign: true, Routes: routes}),
		Jobs:      []catalogue.Job{{Name: "forget", Every: 10 * time.Minute, Run: s.forget}, {Name: "tell-of-logout", Every: 2 * time.Second, Run: s.deliver}}}
}

// endpoints are those that a client calls itself.
func (s *Server) endpoints(base string) []catalogue.Route {
	return []catalogue.Route{
		catalogue.Public("POST "+base+"/token", func(w http.ResponseWriter, r *http.Request) error { return s.token(w, r, base) }),
		catalogue.Public("POST "+base+"/revoke", s.revoke),
		catalogue.Public("POST "+base+"/introspect", s.introspect),
		catalogue.Public("GET "+base+"/userinfo", s.userinfo),
		catalogue.Public("POST "+base+"/userinfo", s.userinfo),
		catalogue.Public("GET "+base+"/jwks", s.jwks),
	}
}

// issuer is what tokens call this server.
func (s *Server) issuer() string { return s.k.Issuer.Name() }

func (s *Server) now() time.Time { return s.k.Clock.Now() }

// clientPrincipal is a client on the account, where no person is behind what it does.
func (s *Server) clientPrincipal(c Client) access.Principal {
	return access.Principal{ID: "client/" + c.ID, Name: c.Name, Role: access.SystemClient, Organisation: c.Organisation, Tenants: c.Tenants, Client: c.ID,
		AuthMethod: "client", SessionID: c.session()}
}

// Kernel is what the server stands on.
func (s *Server) Kernel() catalogue.Kernel { return s.k }

// write is a commit whose function may put a refusal on the account: failed is returned once the commit has held.
func (s *Server) write(ctx context.Context, lanes []store.Lane, fn func(tx *store.Tx) (failed, err error)) error {
	var failed error
	err := s.k.DB.Write(ctx, lanes, func(tx *store.Tx) (err error) {
		failed, err = fn(tx)
		return err
	})
	if err != nil {
		return err
	}
	return failed
}
