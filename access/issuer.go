package access

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
)

// Issuer makes tokens for developers and demonstrations, signed with the node's own ES256 key.
type Issuer struct {
	name, audience string
	clock          clock.Clock
	key            *ecdsa.PrivateKey
	kid            string
	signer         jose.Signer
}

// OpenIssuer opens the issuer whose key is in dir, as issuer.pem (PKCS 8, readable by its owner only); the key is made at the
// first opening. Errors: fault.Unavailable when the key cannot be read or made.
func OpenIssuer(dir, name, audience string, c clock.Clock) (*Issuer, error) {
	key, err := loadOrMakeKey(filepath.Join(dir, "issuer.pem"))
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the token issuer's key cannot be read or made")
	}
	public := jose.JSONWebKey{Key: &key.PublicKey}
	print, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "naming the token issuer's key")
	}
	i := &Issuer{name: name, audience: audience, clock: c, key: key, kid: base64.RawURLEncoding.EncodeToString(print)}
	i.signer, err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: key, KeyID: i.kid}},
		(&jose.SignerOptions{}).WithType("at+jwt"))
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "opening the token issuer")
	}
	return i, nil
}

// Mint makes a token that speaks for p for a time; p.Scopes, when not nil, go into it. It ends early with the session that p
// is signed in by, and with what the user p.ID of this node may do; p should therefore be as Gate.SessionOf or Gate.UserByID gave it just now.
// Errors: fault.Forbidden when p is known by a token: a token does not prolong itself.
func (i *Issuer) Mint(p Principal, lasts time.Duration) (string, error) {
	if p.AuthMethod == "token" {
		return "", fault.New(fault.Forbidden, "A token does not make another. Sign in, and make one there.")
	}
	if lasts <= 0 || lasts > tokenMaxLife {
		return "", fault.New(fault.Invalid, "a token lives for a day at most")
	}
	now := i.clock.Now()
	c := claims{Claims: jwt.Claims{Issuer: i.name, Subject: p.ID, Audience: jwt.Audience{i.audience}, ID: uuid.NewString(),
		IssuedAt: jwt.NewNumericDate(now), NotBefore: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(lasts))},
		Name: p.Name, Role: p.Role, ODS: p.Organisation.String(), Patient: p.Person, Session: p.SessionID, Edition: p.Edition}
	for _, t := range p.Tenants {
		c.Tenants = append(c.Tenants, t.String())
	}
	if p.Scopes != nil {
		scope := strings.Join(p.Scopes, " ")
		c.Scope = &scope
	}
	token, err := jwt.Signed(i.signer).Claims(c).Serialize()
	return token, fault.Wrap(err, fault.Internal, "signing a token")
}

// Trust is this issuer for a Verifier.
func (i *Issuer) Trust() Trust {
	return Trust{Issuer: i.name, Own: true, Keys: jose.JSONWebKeySet{Keys: []jose.JSONWebKey{
		{Key: &i.key.PublicKey, KeyID: i.kid, Algorithm: string(jose.ES256), Use: "sig"}}}}
}

// JWKS is the issuer's public keys as a JSON Web Key Set (RFC 7517).
func (i *Issuer) JWKS() ([]byte, error) {
	b, err := json.Marshal(i.Trust().Keys)
	return b, fault.Wrap(err, fault.Internal, "writing the key set")
}

func loadOrMakeKey(path string) (*ecdsa.PrivateKey, error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return makeKey(path)
	}
	if err != nil {
		return nil, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, errors.New("issuer.pem is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return nil, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return nil, errors.New("issuer.pem is not a P-256 key")
	}
	return key, nil
}

func makeKey(path string) (*ecdsa.PrivateKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return nil, err
	}
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return nil, err
	}
	f, err := os.OpenFile(path, os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		return nil, err
	}
	werr := pem.Encode(f, &pem.Block{Type: "PRIVATE KEY", Bytes: der})
	return key, errors.Join(werr, f.Sync(), f.Close())
}
