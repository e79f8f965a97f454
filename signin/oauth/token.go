package oauth

import (
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"encoding/base64"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// The grant types.
const (
	byCode       = "authorization_code"
	byRefresh    = "refresh_token"
	byAssertion  = "client_credentials"
	byExchange   = "urn:ietf:params:oauth:grant-type:token-exchange"
	bearer       = "Bearer"
	verifierForm = `^[A-Za-z0-9._~-]{43,128}$` // RFC 7636 section 4.1
)

var verifier = regexp.MustCompile(verifierForm)

// tokens is the answer of the token endpoint (RFC 6749 section 5.1, as NHS England publishes it; SMART App Launch 2 section 2.0.10).
type tokens struct {
	AccessToken      string `json:"access_token"`
	IssuedTokenType  string `json:"issued_token_type,omitempty"`
	TokenType        string `json:"token_type"`
	ExpiresIn        int    `json:"expires_in"`
	RefreshToken     string `json:"refresh_token,omitempty"`
	RefreshCount     string `json:"refresh_count,omitempty"`
	RefreshExpiresIn int    `json:"refresh_token_expires_in,omitempty"`
	Scope            string `json:"scope,omitempty"`
	IDToken          string `json:"id_token,omitempty"`
	Patient          string `json:"patient,omitempty"`
	NeedBanner       *bool  `json:"need_patient_banner,omitempty"`
	FHIRUser         string `json:"fhirUser,omitempty"`
}

// token is the token endpoint.
func (s *Server) token(w http.ResponseWriter, r *http.Request, base string) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	var t tokens
	switch form.Get("grant_type") {
	case "":
		return bad("grant_type is missing")
	case byCode:
		t, err = s.fromCode(r, form, base)
	case byRefresh:
		t, err = s.fromRefresh(r, form, base)
	case byAssertion:
		t, err = s.fromAssertion(r, form, base)
	case byExchange:
		t, err = s.exchange(r, form, base)
	default:
		return refuse(http.StatusBadRequest, unsupportedGrant, "grant_type is invalid")
	}
	if err != nil {
		return err
	}
	w.Header().Set("Pragma", "no-cache")
	return answer(w, t)
}

// tokenURL is what a client assertion must be meant for.
func (s *Server) tokenURL(base string) string { return s.k.BaseURL() + base + "/token" }

// client says which client calls, and holds it to its proof: a secret, a signed JWT, or, for a public client, its id alone.
func (s *Server) client(r *http.Request, form url.Values, base string) (Client, error) {
	id, secret, basic := r.BasicAuth()
	if basic {
		if form.Get("client_secret") != "" || form.Get("client_assertion") != "" || form.Has("client_id") && form.Get("client_id") != id {
			return Client{}, bad("a client shows who it is in one way only")
		}
		var err1, err2 error
		id, err1 = url.QueryUnescape(id) // RFC 6749 section 2.3.1
		secret, err2 = url.QueryUnescape(secret)
		if err1 != nil || err2 != nil {
			return Client{}, refuse(http.StatusUnauthorized, invalidClient, "client_id or client_secret is invalid")
		}
	} else {
		id, secret = form.Get("client_id"), form.Get("client_secret")
	}
	if form.Has("client_assertion") || form.Has("client_assertion_type") {
		if secret != "" {
			return Client{}, bad("a client shows who it is in one way only")
		}
		c, _, err := s.asserted(r, form, base, true)
		if err == nil && id != "" && id != c.ID {
			err = refuse(http.StatusUnauthorized, invalidClient, "client_id is not that of the client_assertion")
		}
		return c, err
	}
	if id == "" {
		return Client{}, refuse(http.StatusUnauthorized, invalidRequest, "client_id is missing")
	}
	return s.secretly(r, id, secret)
}

// secretly is the client that a secret proves to be there, or a public client, which has none.
func (s *Server) secretly(r *http.Request, id, secret string) (Client, error) {
	c, err := s.Client(r.Context(), id)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return c, err
	}
	if err == nil && c.Kind == Public && secret == "" {
		return c, s.turn(r, c)
	}
	who := callerOf(r, c.ID) // the zero client, when there is none of that name
	if err := s.listens(who); err != nil {
		return c, err
	}
	switch {
	case err == nil && secret == "":
		return c, refuse(http.StatusUnauthorized, invalidRequest, "client_secret is missing")
	case err != nil || !c.holds(secret):
		return c, s.wrong(who, refuse(http.StatusUnauthorized, invalidClient, "client_id or client_secret is invalid"))
	}
	return c, s.turn(r, c)
}

// asserted is the client that a signed JWT proves to be there; use records the JWT, so that it proves nothing a second time.
func (s *Server) asserted(r *http.Request, form url.Values, base string, use bool) (Client, assertion, error) {
	a, err := readAssertion(form, s.now())
	if err != nil {
		return Client{}, a, err
	}
	if !a.meant(s.tokenURL(base)) {
		return Client{}, a, refuse(http.StatusUnauthorized, invalidRequest, "Missing or invalid aud claim in JWT")
	}
	ctx := r.Context()
	c, err := s.Client(ctx, a.client)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return c, a, err
	}
	who := callerOf(r, c.ID) // the zero client, when there is none of that name
	if err := s.listens(who); err != nil {
		return c, a, err
	}
	if err != nil {
		return c, a, s.wrong(who, refuse(http.StatusUnauthorized, invalidRequest, "Invalid iss/sub claims in JWT - no such client"))
	}
	err = s.proves(ctx, c, a)
	if fault.Is(err, fault.Unauthenticated) {
		err = s.wrong(who, err)
	}
	if err != nil {
		return c, a, err
	}
	if err := s.turn(r, c); err != nil || !use {
		return c, a, err
	}
	err = s.k.Gate.UseOnce(ctx, "assertion", a.useID(), a.until)
	if fault.Is(err, fault.Conflict) {
		err = bad("Non-unique jti claim in JWT")
	}
	return c, a, err
}

func (a assertion) useID() string { return a.client + " " + a.jti }

// fromCode changes a code for tokens.
func (s *Server) fromCode(r *http.Request, form url.Values, base string) (tokens, error) {
	ctx := r.Context()
	c, err := s.client(r, form, base)
	switch {
	case err != nil:
		return tokens{}, err
	case form.Get("code") == "":
		return tokens{}, bad("authorization_code is missing")
	case c.Kind == System:
		return tokens{}, refuse(http.StatusBadRequest, unauthorizedClient, "the client acts for nobody")
	}
	g, err := s.redeem(ctx, c, form)
	if err != nil {
		return tokens{}, err
	}
	return s.issue(ctx, c, g, g.Scopes, byCode, nil)
}

// errReused is a failure after which the grant is at an end.
func errReused(what string) error {
	return refuse(http.StatusBadRequest, invalidGrant, what+" is invalid")
}

// redeem uses a code up. A code that was used before ends the grant: either it was stolen, or the client is broken (RFC 6749 section 4.1.2).
func (s *Server) redeem(ctx context.Context, c Client, form url.Values) (Grant, error) {
	code := form.Get("code")
	id := grantOf(code)
	lane := s.grantLane(id)
	var g Grant
	reused := false
	invalid := errReused("authorization_code")
	err := s.write(ctx, []store.Lane{lane}, func(tx *store.Tx) (failed, err error) {
		reused = false
		var redirect, challenge string
		var until, used int64
		hash := hashOf("code", code)
		err = tx.QueryRow(`SELECT redirect, challenge, until, used FROM oauth_code WHERE lane = ? AND hash = ? AND grant_id = ?`, int64(lane), hash, id).Scan(&redirect, &challenge, &until, &used)
		if fault.Is(err, fault.NotFound) {
			return invalid, nil
		}
		if err != nil {
			return nil, err
		}
		if g, err = s.readGrant(tx, id); err != nil {
			return nil, err
		}
		if g.Client != c.ID {
			return invalid, nil // another client's: it keeps it
		}
		if used != 0 {
			reused, err = s.endGrant(tx, id, "its code was used twice")
			return invalid, err
		}
		if failed = proper(form, redirect, challenge); failed != nil {
			return failed, nil
		}
		if tx.At().UnixMicro() >= until || !g.Ended.IsZero() {
			return invalid, nil
		}
		_, err = tx.Exec(`UPDATE oauth_code SET used = ? WHERE lane = ? AND hash = ?`, tx.At().UnixMicro(), int64(lane), hash)
		return nil, err
	})
	if reused {
		if ended := s.afterEnd(ctx, s.clientPrincipal(c), id); ended != nil {
			return g, ended
		}
	}
	return g, err
}

// proper holds a token request to the authorisation request that it follows: the same address, and the proof of PKCE exactly when
// it was promised, so that nobody can talk a client out of it (RFC 9700 section 2.1.1).
func proper(form url.Values, redirect, challenge string) error {
	given := form.Get("code_verifier")
	switch {
	case redirect != "" && form.Get("redirect_uri") == "":
		return bad("redirect_uri is missing")
	case redirect != form.Get("redirect_uri"):
		return bad("redirect_uri is invalid")
	case challenge == "" && form.Has("code_verifier"):
		return refuse(http.StatusBadRequest, invalidGrant, "code_verifier is invalid - there was no code_challenge")
	case challenge != "" && given == "":
		return bad("code_verifier is missing")
	case challenge != "":
		sum := sha256.Sum256([]byte(given))
		if !verifier.MatchString(given) || subtle.ConstantTimeCompare([]byte(base64.RawURLEncoding.EncodeToString(sum[:])), []byte(challenge)) != 1 {
			return refuse(http.StatusBadRequest, invalidGrant, "code_verifier is invalid")
		}
	}
	return nil
}

// fromRefresh changes a refresh token for a new pair.
func (s *Server) fromRefresh(r *http.Request, form url.Values, base string) (tokens, error) {
	ctx := r.Context()
	c, err := s.client(r, form, base)
	switch {
	case err != nil:
		return tokens{}, err
	case form.Get("refresh_token") == "":
		return tokens{}, bad("refresh_token is missing")
	}
	id := grantOf(form.Get("refresh_token"))
	var g Grant
	err = s.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		g, err = s.readGrant(tx, id)
		return err
	})
	if fault.Is(err, fault.NotFound) || err == nil && g.Client != c.ID {
		return tokens{}, errReused("refresh_token")
	}
	if err != nil {
		return tokens{}, err
	}
	scopes := g.Scopes
	if form.Get("scope") != "" {
		if scopes = strings.Fields(form.Get("scope")); !within(scopes, g.Scopes) {
			return tokens{}, refuse(http.StatusBadRequest, invalidScope, "scope is invalid - wider than what was granted")
		}
	}
	return s.issue(ctx, c, g, scopes, byRefresh, hashOf("refresh", form.Get("refresh_token")))
}

// rotate uses a refresh token up; a second use ends the family (RFC 9700 section 4.14.2). n is how often the family has been refreshed.
func (s *Server) rotate(tx *store.Tx, g Grant, hash []byte) (n int64, reused bool, failed, err error) {
	lane := s.grantLane(g.ID)
	var until, used int64
	err = tx.QueryRow(`SELECT n, until, used FROM oauth_refresh WHERE lane = ? AND hash = ? AND grant_id = ?`, int64(lane), hash, g.ID).Scan(&n, &until, &used)
	switch {
	case fault.Is(err, fault.NotFound):
		return 0, false, errReused("refresh_token"), nil
	case err != nil:
		return 0, false, nil, err
	case used != 0:
		reused, err = s.endGrant(tx, g.ID, "a refresh token was used twice")
		return 0, reused, errReused("refresh_token"), err
	case tx.At().UnixMicro() >= until:
		return 0, false, errReused("refresh_token"), nil
	}
	_, err = tx.Exec(`UPDATE oauth_refresh SET used = ? WHERE lane = ? AND hash = ?`, tx.At().UnixMicro(), int64(lane), hash)
	return n + 1, false, nil, err
}

// issue makes an access token and a refresh token of a grant, in one commit with the account of it and, when a refresh token is used
// for it, with its end. What the person may do is asked again: a role that ended, or rights that changed, end the grant.
func (s *Server) issue(ctx context.Context, c Client, g Grant, scopes []string, how string, spent []byte) (tokens, error) {
	p, err := s.k.Gate.PrincipalOf(ctx, g.User, g.Profile)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return tokens{}, err
	}
	if err != nil || p.Edition != g.Edition {
		if err := s.End(ctx, s.clientPrincipal(c), g.ID, "what the person may do has changed"); err != nil {
			return tokens{}, err
		}
		return tokens{}, refuse(http.StatusBadRequest, invalidGrant, "the person's rights have changed or ended; they have to sign in again")
	}
	if left, err := s.k.Gate.Ended(ctx, g.origins()); err != nil || left {
		if err == nil {
			err = s.End(ctx, s.clientPrincipal(c), g.ID, "signed out")
		}
		return tokens{}, cmp.Or(err, refuse(http.StatusBadRequest, invalidGrant, "the person has signed out"))
	}
	p.AuthMethod, p.SessionID, p.Client, p.Assurance, p.Proofing = "grant", g.ID, c.ID, g.Assurance, g.Proofing
	p.Origins = g.origins()
	p.Scopes, p.Confined = resources(scopes), g.Chart
	refresh, err := secretOf(g.ID)
	if err != nil {
		return tokens{}, err
	}
	var n int64
	reused := false
	lane := s.grantLane(g.ID)
	until := time.Time{}
	err = s.write(ctx, []store.Lane{lane, s.k.Gate.DeedLane(p)}, func(tx *store.Tx) (failed, err error) {
		n, reused = 0, false
		now, err := s.readGrant(tx, g.ID)
		if err != nil {
			return nil, err
		}
		if spent != nil {
			if n, reused, failed, err = s.rotate(tx, g, spent); failed != nil || err != nil {
				return failed, err
			}
		}
		if !now.Ended.IsZero() || !tx.At().Before(now.Until) {
			return refuse(http.StatusBadRequest, invalidGrant, "the grant has ended; the person has to sign in again"), nil
		}
		if until = tx.At().Add(RefreshFor); until.After(now.Until) {
			until = now.Until
		}
		if _, err := tx.Exec(`INSERT INTO oauth_refresh (lane, hash, grant_id, n, until, used) VALUES (?, ?, ?, ?, ?, 0)`,
			int64(lane), hashOf("refresh", refresh), g.ID, n, until.UnixMicro()); err != nil {
			return nil, err
		}
		return nil, s.k.Gate.Record(ctx, tx, p, access.Deed{Action: access.ActToken, Basis: how, Detail: "client " + c.ID})
	})
	if reused {
		if err := s.afterEnd(ctx, p, g.ID); err != nil {
			return tokens{}, err
		}
	}
	if err != nil {
		return tokens{}, err
	}
	t := tokens{TokenType: bearer, ExpiresIn: int(AccessFor / time.Second), RefreshToken: refresh, RefreshCount: strconv.FormatInt(n, 10),
		RefreshExpiresIn: int(until.Sub(s.now()) / time.Second), Scope: strings.Join(scopes, " ")}
	if t.AccessToken, err = s.k.Issuer.Mint(p, AccessFor); err != nil {
		return tokens{}, err
	}
	return s.dress(ctx, t, c, g, p, scopes)
}

// fromAssertion is a system's token: it acts in the name of its organisation, within its scopes.
func (s *Server) fromAssertion(r *http.Request, form url.Values, base string) (tokens, error) {
	ctx := r.Context()
	c, a, err := s.asserted(r, form, base, false)
	if err != nil {
		return tokens{}, err
	}
	if c.Kind != System {
		return tokens{}, refuse(http.StatusBadRequest, unauthorizedClient, "the client is not one that acts by itself")
	}
	scopes, ok := c.grantable(strings.Fields(form.Get("scope")))
	if !ok {
		return tokens{}, refuse(http.StatusBadRequest, invalidScope, "scope is invalid - the client may have none of what it asks for")
	}
	lasts := AccessFor
	if ms, err := strconv.Atoi(form.Get("_access_token_expiry_ms")); err == nil && ms >= 1000 {
		lasts = min(lasts, time.Duration(ms)*time.Millisecond)
	}
	p := s.clientPrincipal(c)
	p.Scopes = resources(scopes)
	err = s.k.DB.Write(ctx, []store.Lane{s.k.Gate.DeedLane(p), s.k.Gate.UseLane("assertion", a.useID())}, func(tx *store.Tx) error {
		if err := s.k.Gate.UseIn(tx, "assertion", a.useID(), a.until); err != nil {
			return err
		}
		return s.k.Gate.Record(ctx, tx, p, access.Deed{Action: access.ActToken, Basis: byAssertion, Detail: strings.Join(scopes, " ")})
	})
	if fault.Is(err, fault.Conflict) {
		return tokens{}, bad("Non-unique jti claim in JWT")
	}
	if err != nil {
		return tokens{}, err
	}
	t := tokens{TokenType: bearer, ExpiresIn: int(lasts / time.Second), Scope: strings.Join(scopes, " ")}
	t.AccessToken, err = s.k.Issuer.Mint(p, lasts)
	return t, err
}
