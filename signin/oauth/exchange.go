package oauth

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// The kinds of token that can be exchanged (RFC 8693 section 3).
const (
	typeID     = "urn:ietf:params:oauth:token-type:id_token"
	typeAccess = "urn:ietf:params:oauth:token-type:access_token"
)

// exchange changes what shows that somebody has signed in for tokens of this client (RFC 8693): an ID token, as NHS England
// publishes it, or an access token for a narrower one.
func (s *Server) exchange(r *http.Request, form url.Values, base string) (tokens, error) {
	ctx := r.Context()
	if form.Get("actor_token") != "" {
		return tokens{}, bad("actor_token is not taken")
	}
	kind := form.Get("subject_token_type")
	if kind != typeID && kind != typeAccess {
		return tokens{}, bad("missing or invalid subject_token_type - must be '" + typeID + "'")
	}
	if want := form.Get("requested_token_type"); want != "" && want != typeAccess {
		return tokens{}, bad("invalid requested_token_type - must be '" + typeAccess + "'")
	}
	if form.Get("subject_token") == "" {
		return tokens{}, bad("Missing subject_token")
	}
	c, _, err := s.asserted(r, form, base, true)
	if err != nil {
		return tokens{}, err
	}
	if c.Kind == System {
		return tokens{}, refuse(http.StatusBadRequest, unauthorizedClient, "the client acts for nobody")
	}
	var t tokens
	if kind == typeID {
		t, err = s.exchangeID(ctx, c, form)
	} else {
		t, err = s.exchangeAccess(ctx, c, form)
	}
	t.IssuedTokenType = typeAccess
	return t, err
}

// mayExchange reports whether c may present tokens that were made for another client: otherwise a token that one program was
// given could be used by any other (RFC 9700 section 4.9).
func (c Client) mayExchange(other string) bool {
	return other == c.ID || slices.Contains(c.ExchangesFor, other)
}

type idClaims struct {
	jwt.Claims
	Session string `json:"sid"`
	Realm   string `json:"realm"`
	Azp     string `json:"azp"`
}

func (s *Server) exchangeID(ctx context.Context, c Client, form url.Values) (tokens, error) {
	var id idClaims
	if err := s.k.Issuer.Open(access.TypeID, form.Get("subject_token"), &id); err != nil {
		return tokens{}, bad("Malformed JWT in subject_token")
	}
	switch now := s.now(); {
	case id.Issuer != s.issuer():
		return tokens{}, bad("Missing or invalid iss claim in subject_token JWT")
	case id.Expiry == nil || !now.Before(id.Expiry.Time()):
		return tokens{}, bad("Invalid exp claim in subject_token JWT - JWT has expired")
	case len(id.Audience) != 1 || !c.mayExchange(id.Audience[0]):
		return tokens{}, bad("Missing or invalid aud claim in subject_token JWT")
	case id.Realm != c.Realm:
		return tokens{}, bad("Invalid realm claim in subject_token JWT - it is of another realm than the client")
	}
	var from Grant
	err := s.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		from, err = s.readGrant(tx, id.Session)
		return err
	})
	if fault.Is(err, fault.NotFound) || err == nil && (!from.Ended.IsZero() || from.User != id.Subject || !s.now().Before(from.Until)) {
		return tokens{}, refuse(http.StatusBadRequest, invalidGrant, "the person has signed out")
	}
	if err != nil {
		return tokens{}, err
	}
	scopes, ok := c.grantable(strings.Fields(form.Get("scope")))
	if !ok {
		return tokens{}, refuse(http.StatusBadRequest, invalidScope, "scope is invalid - the client may have none of what it asks for")
	}
	p, err := s.k.Gate.PrincipalOf(ctx, from.User, from.Profile)
	if err != nil {
		return tokens{}, refuse(http.StatusBadRequest, invalidGrant, "the person's rights have changed or ended; they have to sign in again")
	}
	g := Grant{Client: c.ID, User: from.User, Profile: from.Profile, Scopes: forRealm(scopes, c.Realm), Assurance: from.Assurance, Proofing: from.Proofing, Method: from.Method, SignedIn: from.SignedIn,
		Edition: from.Edition, Chart: from.Chart, Until: from.Until, Session: from.Session, Parent: from.ID}
	if err := s.beginExchanged(ctx, p, &g); err != nil {
		return tokens{}, err
	}
	return s.issue(ctx, c, g, g.Scopes, byExchange, nil)
}

// beginExchanged writes the grant that an exchange makes: it lasts no longer than the one that it came of.
func (s *Server) beginExchanged(ctx context.Context, p access.Principal, g *Grant) error {
	secret, err := secretOf("")
	if err != nil {
		return err
	}
	g.ID = secret[1:21]
	lane := s.grantLane(g.ID)
	return s.k.DB.Write(ctx, []store.Lane{lane, s.k.Gate.DeedLane(p)}, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO oauth_grant (lane, id, client, user_id, profile, scope, assurance, proofing, method, signed_in, edition, chart, nonce, since, until, session, parent, ended, why)
			VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', ?, ?, ?, ?, 0, '')`,
			int64(lane), g.ID, g.Client, g.User, g.Profile, strings.Join(g.Scopes, " "), g.Assurance, g.Proofing, g.Method, g.SignedIn.UnixMicro(), g.Edition, g.Chart,
			tx.At().UnixMicro(), g.Until.UnixMicro(), g.Session, g.Parent)
		if err != nil {
			return err
		}
		return s.k.Gate.Record(ctx, tx, p, access.Deed{Action: access.ActConsent, Basis: byExchange, Detail: "client " + g.Client})
	})
}

// exchangeAccess narrows an access token. What comes of it ends with it: it has its sid, no longer a life, and no refresh token.
func (s *Server) exchangeAccess(ctx context.Context, c Client, form url.Values) (tokens, error) {
	found, err := s.k.Verifier.Inspect(ctx, form.Get("subject_token"))
	if fault.Is(err, fault.Unauthenticated) {
		return tokens{}, bad("subject_token does not hold")
	}
	if err != nil {
		return tokens{}, err
	}
	p := found.Principal
	if p.Role.Realm() != c.Realm {
		return tokens{}, bad("subject_token is of another realm than the client")
	}
	if !c.mayExchange(p.Client) {
		return tokens{}, refuse(http.StatusBadRequest, unauthorizedClient, "subject_token is another client's")
	}
	asked := strings.Fields(form.Get("scope"))
	granted, ok := c.grantable(asked)
	scopes := resources(granted)
	if len(asked) == 0 {
		scopes = p.Scopes
	}
	if !ok || !within(scopes, p.Scopes) {
		return tokens{}, refuse(http.StatusBadRequest, invalidScope, "scope is invalid - wider than the token that is exchanged")
	}
	lasts := min(AccessFor, found.Expires.Sub(s.now()).Truncate(time.Second))
	if lasts < time.Second {
		return tokens{}, bad("subject_token does not hold")
	}
	p.AuthMethod, p.Client, p.Scopes = "grant", c.ID, scopes
	err = s.k.DB.Write(ctx, []store.Lane{s.k.Gate.DeedLane(p)}, func(tx *store.Tx) error {
		return s.k.Gate.Record(ctx, tx, p, access.Deed{Action: access.ActToken, Basis: byExchange, Detail: "client " + c.ID})
	})
	if err != nil {
		return tokens{}, err
	}
	t := tokens{TokenType: bearer, ExpiresIn: int(lasts / time.Second), Scope: strings.Join(scopes, " ")}
	t.AccessToken, err = s.k.Issuer.Mint(p, lasts)
	return t, err
}
