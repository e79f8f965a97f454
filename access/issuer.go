package access

import (
	"encoding/json"
	"strings"
	"sync/atomic"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
)

// Issuer makes this node's tokens, signed with its own ES256 keys.
type Issuer struct {
	dir, name, audience string
	clock               clock.Clock
	ring                atomic.Pointer[ring]
	address             atomic.Pointer[func() string]
}

// OpenIssuer opens the issuer whose keys are in dir, as issuer*.pem (see RotateKeys); the first is made at the
// first opening. Errors: fault.Unavailable when the keys cannot be read or made.
func OpenIssuer(dir, name, audience string, c clock.Clock) (*Issuer, error) {
	r, err := openRing(dir, c)
	if err != nil {
		return nil, err
	}
	i := &Issuer{dir: dir, name: name, audience: audience, clock: c}
	i.ring.Store(r)
	return i, nil
}

// At says where the node is reached, which is what its tokens call their issuer (iss) once it is known: an issuer's name is the
// address at which its metadata is found (OpenID Connect Discovery 1.0 section 3).
func (i *Issuer) At(address func() string) { i.address.Store(&address) }

// Name is what tokens call this issuer: the node's address, or the name that it was opened with while it has none.
func (i *Issuer) Name() string {
	if address := i.address.Load(); address != nil {
		if a := (*address)(); a != "" {
			return a
		}
	}
	return i.name
}

// answersTo reports whether a token's iss means this issuer.
func (i *Issuer) answersTo(iss string) bool { return iss == i.name || iss == i.Name() }

// Folder is where the keys are.
func (i *Issuer) Folder() string { return i.dir }

// Mint makes a token that speaks for p for a time; p.Scopes, when not nil, go into it. It ends early with the session that p
// is signed in by, and with what the user p.ID of this node may do; p should therefore be as Gate.SessionOf or Gate.UserByID gave it just now.
// Errors: fault.Forbidden when p is known by a token: a token does not prolong itself.
func (i *Issuer) Mint(p Principal, lasts time.Duration) (string, error) {
	if lasts <= 0 || lasts > tokenMaxLife {
		return "", fault.New(fault.Invalid, "a token lives for a day at most")
	}
	if p.AuthMethod == "token" {
		return "", fault.New(fault.Forbidden, "A token does not make another. Sign in, and make one there.")
	}
	now := i.clock.Now()
	c := claims{Claims: jwt.Claims{Issuer: i.Name(), Subject: p.ID, Audience: jwt.Audience{i.audience}, ID: uuid.NewString(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(lasts))},
		Name: p.Name, Role: p.Role, ODS: p.Organisation.String(), Patient: p.Person, Session: p.SessionID, Edition: p.Edition,
		Realm: p.Role.Realm(), Client: p.Client, Assurance: p.Assurance, Proofing: p.Proofing, Profile: p.Profile, Confined: p.Confined, Origins: p.Origins}
	for _, t := range p.Tenants {
		c.Tenants = append(c.Tenants, t.String())
	}
	if p.Scopes != nil {
		scope := strings.Join(p.Scopes, " ")
		c.Scope = &scope
	}
	return i.Sign(TypeAccess, c)
}

// Sign signs claims with the key in use; typ is one of TypeAccess, TypeID and TypeLogout.
func (i *Issuer) Sign(typ string, claims any) (string, error) {
	signer, ok := i.current().signer(i.clock.Now()).signers[typ]
	if !ok {
		return "", fault.New(fault.Internal, "no token has the type %q", typ)
	}
	token, err := jwt.Signed(signer).Claims(claims).Serialize()
	return token, fault.Wrap(err, fault.Internal, "signing a token")
}

// Open reads what this issuer signed under typ into claims; the caller checks what they say. Errors: fault.Unauthenticated when it is
// nothing that this issuer signed, or of another type.
func (i *Issuer) Open(typ, token string, claims any) error {
	if len(token) > tokenMaxBytes {
		return invalidToken("the token is too long")
	}
	parsed, err := jwt.ParseSigned(token, []jose.SignatureAlgorithm{jose.ES256})
	if err != nil || len(parsed.Headers) != 1 {
		return invalidToken("the token is not a JWT signed with ES256")
	}
	if got, _ := parsed.Headers[0].ExtraHeaders[jose.HeaderType].(string); !strings.EqualFold(got, typ) {
		return invalidToken("the token is of another type")
	}
	key, ok := i.publicKey(parsed.Headers[0].KeyID)
	if !ok {
		return invalidToken("the key (kid) is not known")
	}
	if err := parsed.Claims(key.Key, claims); err != nil {
		return invalidToken("the signature does not hold")
	}
	return nil
}

// Trust is this issuer for a Verifier: the keys are those in the set at each moment.
func (i *Issuer) Trust() Trust {
	return Trust{Issuer: i.Name(), Own: true, Keys: i.keySet(), self: i}
}

// Audience is what this node's tokens are for.
func (i *Issuer) Audience() string { return i.audience }

// JWKS is the issuer's public keys as a JSON Web Key Set (RFC 7517), those that will sign soon included.
func (i *Issuer) JWKS() ([]byte, error) {
	b, err := json.Marshal(i.keySet())
	return b, fault.Wrap(err, fault.Internal, "writing the key set")
}
