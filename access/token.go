package access

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rsa"
	"crypto/sha256"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/store"
)

// What a token may be.
const (
	tokenMaxBytes  = 8 << 10
	tokenSkew      = 30 * time.Second
	tokenMaxLife   = 24 * time.Hour
	rememberTokens = 20_000
)

// Verifier checks bearer tokens: JWTs (RFC 7519) signed with ES256 or RS512, and nothing else. It is safe for use by
// many goroutines.
type Verifier struct {
	gate     *Gate
	clock    clock.Clock
	audience string
	issuers  map[string]map[string]jose.JSONWebKey // iss → kid → key
	own      map[string]bool                       // iss that speak for users of this node
	realms   map[string][]string                   // iss → those whose users it may speak for; none means all
	self     *Issuer                               // the node's own issuer; nil for none
	selfOwn  bool

	mu    sync.RWMutex
	known map[[32]byte]*knownToken
}

type knownToken struct {
	principal Principal
	jti, sid  string // as idOf gives them
	origins   []string
	user      string // of this node; "" when the issuer is another's
	edition   int64  // of the user's rights when the token was minted
	kid       string // of this node's own issuer; "" when the issuer is another's
	from, to  time.Time
}

// Trust is an issuer and its public keys.
type Trust struct {
	Issuer string
	Keys   jose.JSONWebKeySet
	// Own says that the subjects of its tokens are users of this node (Gate.PutUser): a token ends with what its user may do,
	// and with the session that it was minted from.
	Own bool
	// Realms are those whose users it may speak for; none means all.
	Realms []string

	self *Issuer // whose names and keys change while the node runs
}

// NewVerifier makes the verifier of a node with one audience. Each key must be public, carry a kid, and be P-256 (ES256) or
// RSA of at least 2048 bits (RS512). Errors: fault.Invalid for another key.
func (g *Gate) NewVerifier(audience string, trust ...Trust) (*Verifier, error) {
	if audience == "" {
		return nil, fault.New(fault.Invalid, "a node's tokens have an audience")
	}
	v := &Verifier{gate: g, clock: g.opt.Clock, audience: audience, issuers: map[string]map[string]jose.JSONWebKey{},
		own: map[string]bool{}, realms: map[string][]string{}, known: map[[32]byte]*knownToken{}}
	for _, t := range trust {
		keys := map[string]jose.JSONWebKey{}
		for _, k := range t.Keys.Keys {
			if _, err := algOf(k); err != nil {
				return nil, err
			}
			keys[k.KeyID] = k
		}
		if t.Issuer == "" || len(keys) == 0 {
			return nil, fault.New(fault.Invalid, "a trusted issuer has a name and at least one key")
		}
		if t.self != nil {
			v.self, v.selfOwn = t.self, t.Own
			continue
		}
		v.issuers[t.Issuer], v.own[t.Issuer], v.realms[t.Issuer] = keys, t.Own, t.Realms
	}
	return v, nil
}

// algOf is the one algorithm that a key is for.
func algOf(k jose.JSONWebKey) (jose.SignatureAlgorithm, error) {
	if k.KeyID == "" {
		return "", fault.New(fault.Invalid, "a key has a kid")
	}
	switch key := k.Key.(type) {
	case *ecdsa.PublicKey:
		if key.Curve == elliptic.P256() && (k.Algorithm == "" || k.Algorithm == string(jose.ES256)) {
			return jose.ES256, nil
		}
	case *rsa.PublicKey:
		if key.N.BitLen() >= 2048 && (k.Algorithm == "" || k.Algorithm == string(jose.RS512)) {
			return jose.RS512, nil
		}
	}
	return "", fault.New(fault.Invalid, "the key %q is neither P-256 for ES256 nor RSA of 2048 bits for RS512", k.KeyID)
}

// claims are what a token of ours says.
type claims struct {
	jwt.Claims
	Name    string   `json:"name,omitempty"`
	Role    Role     `json:"role"`
	ODS     string   `json:"ods,omitempty"`
	Tenants []string `json:"tenants,omitempty"`
	Patient string   `json:"patient,omitempty"`
	Scope   *string  `json:"scope,omitempty"`
	Session string   `json:"sid,omitempty"`     // the session that it was minted from (OpenID Connect Front-Channel Logout 1.0 section 3)
	Edition int64    `json:"edition,omitempty"` // of the user's rights

	Realm     string `json:"realm,omitempty"`
	Client    string `json:"client_id,omitempty"` // RFC 9068 section 2.2
	Assurance string `json:"acr,omitempty"`
	Proofing  string `json:"ial,omitempty"`
	Profile   string `json:"nhsd_session_urid,omitempty"`
	Confined  string `json:"launch_patient,omitempty"`

	Origins []string `json:"origins,omitempty"`
}

// Verify is who a bearer token speaks for. A token is checked fully once and then remembered until it expires; that it was
// revoked is noticed at once, and within refreshRevoked when another process of the same database did it.
// Errors: fault.Unauthenticated, which Challenge words for the WWW-Authenticate header (RFC 6750 section 3).
func (v *Verifier) Verify(ctx context.Context, token string) (Principal, error) {
	if len(token) > tokenMaxBytes {
		return Principal{}, invalidToken("the token is too long")
	}
	now := v.clock.Now()
	if err := v.gate.refresh(ctx, now); err != nil {
		return Principal{}, err
	}
	var room [1024]byte
	sum := sha256.Sum256(append(room[:0], token...))
	v.mu.RLock()
	k, ok := v.known[sum]
	v.mu.RUnlock()
	if !ok {
		var err error
		if k, err = v.meet(ctx, token, sum, now); err != nil {
			return Principal{}, err
		}
	}
	switch {
	case !v.gate.revoked.holds(k), k.kid != "" && !v.self.knows(k.kid):
		return Principal{}, invalidToken("the token was revoked")
	case !now.Before(k.to):
		return Principal{}, invalidToken("the token has expired")
	case now.Before(k.from):
		return Principal{}, invalidToken("the token is not valid yet")
	}
	return k.principal, nil
}

// Inspected is what may be said of a token that holds.
type Inspected struct {
	Principal  Principal
	ID, Issuer string
	Issued     time.Time
	Expires    time.Time
}

// Inspect is Verify for whoever must know more of a token than whom it speaks for. Errors: as Verify.
func (v *Verifier) Inspect(ctx context.Context, token string) (Inspected, error) {
	p, err := v.Verify(ctx, token)
	if err != nil {
		return Inspected{}, err
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS512})
	if err != nil {
		return Inspected{}, invalidToken("the token is not a JWT signed with ES256 or RS512")
	}
	var c jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&c); err != nil { // Verify has checked it
		return Inspected{}, invalidToken("the claims cannot be read")
	}
	return Inspected{p, c.ID, c.Issuer, c.IssuedAt.Time(), c.Expiry.Time()}, nil
}

// meet checks a token that is not remembered, and remembers it.
func (v *Verifier) meet(ctx context.Context, token string, sum [32]byte, now time.Time) (*knownToken, error) {
	k, err := v.check(token, now)
	if err != nil {
		return nil, err
	}
	if err := v.gate.standing(ctx, &k); err != nil {
		return nil, err
	}
	v.mu.Lock()
	defer v.mu.Unlock()
	if len(v.known) >= rememberTokens {
		clear(v.known)
	}
	v.known[sum] = &k
	return &k, nil
}

// check is the full check of a token that is not remembered, expiry included.
func (v *Verifier) check(token string, now time.Time) (knownToken, error) {
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256, jose.RS512})
	if err != nil {
		return knownToken{}, invalidToken("the token is not a JWT signed with ES256 or RS512")
	}
	if len(parsed.Headers) != 1 {
		return knownToken{}, invalidToken("the token has more than one signature")
	}
	h := parsed.Headers[0]
	typ, _ := h.ExtraHeaders[jose.HeaderType].(string)
	if !strings.EqualFold(typ, "JWT") && !strings.EqualFold(typ, "at+jwt") {
		return knownToken{}, invalidToken("the header typ is not JWT")
	}
	var unchecked jwt.Claims
	if err := parsed.UnsafeClaimsWithoutVerification(&unchecked); err != nil {
		return knownToken{}, invalidToken("the claims cannot be read")
	}
	key, err := v.keyOf(unchecked.Issuer, h.KeyID)
	if err != nil {
		return knownToken{}, err
	}
	if alg, err := algOf(key); err != nil || string(alg) != h.Algorithm {
		return knownToken{}, invalidToken("the algorithm (alg) is not the key's")
	}
	var c claims
	if err := parsed.Claims(key.Key, &c); err != nil {
		return knownToken{}, invalidToken("the signature does not hold")
	}
	k, err := v.trusted(c, now)
	if v.isSelf(c.Issuer) {
		k.kid = h.KeyID
	}
	return k, err
}

// keyOf is the public key that an issuer's token was signed with.
func (v *Verifier) keyOf(issuer, kid string) (jose.JSONWebKey, error) {
	keys, trusted := v.issuers[issuer]
	key, ok := keys[kid]
	if v.isSelf(issuer) {
		trusted = true
		key, ok = v.self.publicKey(kid)
	}
	switch {
	case !trusted:
		return key, invalidToken("the issuer (iss) is not trusted here")
	case !ok:
		return key, invalidToken("the key (kid) is not known")
	}
	return key, nil
}

func (v *Verifier) isSelf(issuer string) bool { return v.self != nil && v.self.answersTo(issuer) }

// owns reports whether an issuer speaks for users of this node.
func (v *Verifier) owns(issuer string) bool {
	if v.isSelf(issuer) {
		return v.selfOwn
	}
	return v.own[issuer]
}

// trusted checks the claims of a token whose signature holds.
func (v *Verifier) trusted(c claims, now time.Time) (knownToken, error) {
	switch {
	case len(c.Audience) != 1 || c.Audience[0] != v.audience:
		return knownToken{}, invalidToken("the audience (aud) is not this node")
	case c.ID == "" || c.Subject == "" || c.Expiry == nil || c.IssuedAt == nil:
		return knownToken{}, invalidToken("one of sub, jti, iat and exp is missing")
	case c.IssuedAt.Time().After(now.Add(tokenSkew)):
		return knownToken{}, invalidToken("the token was issued in the future (iat)")
	case c.Expiry.Time().Sub(c.IssuedAt.Time()) > tokenMaxLife:
		return knownToken{}, invalidToken("the token lives longer than a day (exp)")
	case !c.Role.Known():
		return knownToken{}, invalidToken("the role is not known")
	case c.Realm != "" && c.Realm != c.Role.Realm():
		return knownToken{}, invalidToken("the role is of another realm than the token (realm)")
	case len(v.realms[c.Issuer]) > 0 && !slices.Contains(v.realms[c.Issuer], c.Role.Realm()):
		return knownToken{}, invalidToken("the issuer (iss) may not speak for users of this realm")
	}
	k := knownToken{jti: v.idOf(c.Issuer, c.ID), to: c.Expiry.Time().Add(tokenSkew)}
	if v.owns(c.Issuer) {
		k.user, k.edition, k.origins = c.Subject, c.Edition, c.Origins
	}
	if c.NotBefore != nil {
		k.from = c.NotBefore.Time().Add(-tokenSkew)
	}
	p := Principal{ID: c.Subject, Name: c.Name, Role: c.Role, Person: c.Patient, AuthMethod: "token", SessionID: c.ID,
		Client: c.Client, Assurance: c.Assurance, Proofing: c.Proofing, Profile: c.Profile, Confined: c.Confined, Origins: k.origins}
	if c.Session != "" {
		p.SessionID, k.sid = c.Session, v.idOf(c.Issuer, c.Session)
	}
	var err error
	if c.ODS != "" {
		if p.Organisation, err = ident.ParseODSCode(c.ODS); err != nil {
			return knownToken{}, invalidToken("the organisation (ods) is not an ODS code")
		}
	}
	if p.Tenants, err = parseTenants(c.Tenants); err != nil {
		return knownToken{}, invalidToken("one of the tenants is not an ODS code")
	}
	if p.Role == Patient && p.Person == "" || p.Role != Patient && p.Organisation.IsZero() {
		return knownToken{}, invalidToken("a patient's token names the patient, any other the organisation (ods)")
	}
	if c.Scope != nil {
		p.Scopes = append([]string{}, strings.Fields(*c.Scope)...)
	} else if p.Role == SystemClient {
		p.Scopes = []string{} // a system without scopes may do nothing
	}
	k.principal = p
	return k, nil
}

// idOf is under what a jti or sid is revoked. Those of this node stand by themselves; other issuers choose theirs, and so have
// them beside their name, in which there is a space.
func (v *Verifier) idOf(issuer, id string) string {
	if v.owns(issuer) {
		return id
	}
	return issuer + " " + id
}

// Revoke ends a token before it expires, whoever holds it and whoever issued it, and puts that on the account of by. A token
// that does not hold needs no revocation and is an error.
func (v *Verifier) Revoke(ctx context.Context, by Principal, token string) error {
	if _, err := v.Verify(ctx, token); err != nil {
		return err
	}
	k, err := v.check(token, v.clock.Now())
	if err != nil {
		return err
	}
	return v.gate.revoke(ctx, by, k.jti, k.to)
}

// bearer is why a token was refused, in the terms of RFC 6750 section 3.1.
type bearer struct{ code, description string }

func (b *bearer) Error() string { return b.code + ": " + b.description }

func invalidToken(description string) error {
	return fault.Wrap(&bearer{"invalid_token", description}, fault.Unauthenticated, "The access token does not hold: %s.", description)
}

// InvalidRequest is what a malformed Authorization header is told (RFC 6750 section 3.1).
func InvalidRequest(description string) error {
	return fault.Wrap(&bearer{"invalid_request", description}, fault.Invalid, "The Authorization header cannot be read: %s.", description)
}

// Challenge is the value of the WWW-Authenticate header that goes with err: with an error code and a description when a token
// was presented, bare when none was.
func Challenge(err error) string {
	var b *bearer
	if errors.As(err, &b) {
		return fmt.Sprintf(`Bearer realm="openspine", error=%q, error_description=%q`, b.code, b.description)
	}
	if fault.Is(err, fault.Forbidden) {
		return `Bearer realm="openspine", error="insufficient_scope"`
	}
	return `Bearer realm="openspine"`
}

// BearerToken takes the token out of an Authorization header; ok is false when there is none of the Bearer scheme.
func BearerToken(header string) (token string, ok bool, err error) {
	scheme, token, found := strings.Cut(header, " ")
	if !strings.EqualFold(scheme, "Bearer") {
		return "", false, nil
	}
	token = strings.TrimLeft(token, " ")
	plain := found && token != ""
	for i := 0; plain && i < len(token); i++ {
		c := token[i]
		plain = c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z' || c >= '0' && c <= '9' || strings.IndexByte("-._~+/=", c) >= 0
	}
	if !plain {
		return "", true, InvalidRequest("after Bearer comes one token")
	}
	return token, true, nil
}

// UseOnce records that an assertion, code or nonce was used, and refuses it the second time, until it would have expired
// anyway. kind keeps the namespaces of different callers apart. Errors: fault.Conflict when it was used before.
func (g *Gate) UseOnce(ctx context.Context, kind, id string, until time.Time) error {
	return g.db.Write(ctx, []store.Lane{g.UseLane(kind, id)}, func(tx *store.Tx) error { return g.UseIn(tx, kind, id, until) })
}
