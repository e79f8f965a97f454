package access

import (
	"cmp"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/base64"
	"encoding/pem"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
)

// How keys follow one another. A new key is shown in the key set before it signs, so that those who remember the set have met it;
// the one before it stays in the set until the last token that it signed has expired.
const (
	KeyLead    = 10 * time.Minute
	KeyOverlap = tokenMaxLife + 5*time.Minute
)

// refreshKeys is how soon a node notices that another process changed its keys.
const refreshKeys = 5 * time.Second

// SigningKey is what may be known of one of a node's keys.
type SigningKey struct {
	ID   string    // kid: the key's thumbprint (RFC 7638)
	From time.Time // it signs from then on; zero for a node's first key
	To   time.Time // it leaves the key set then; zero while it has no successor
}

// Signs reports whether this is a key in use at t, as opposed to one that waits or has been retired.
func (k SigningKey) Signs(t time.Time) bool {
	return !k.From.After(t) && (k.To.IsZero() || k.To.After(t))
}

// signingKey is a key with its file: PEM (PKCS 8), readable by its owner only, with From and To as PEM headers.
type signingKey struct {
	SigningKey
	path    string
	key     *ecdsa.PrivateKey
	signers map[string]jose.Signer // by the typ of what they sign
}

// The PEM headers of a key file.
const (
	headerFrom = "Signs-From"
	headerTo   = "Known-Until"
)

// signedTypes are the typ headers of what an issuer signs: access tokens (RFC 9068), ID tokens, and logout tokens.
func signedTypes() []string { return []string{TypeAccess, TypeID, TypeLogout} }

// The typ headers of what an issuer signs.
const (
	TypeAccess = "at+jwt"
	TypeID     = "JWT"
	TypeLogout = "logout+jwt"
)

// readKeys reads the keys of a folder, the oldest first. A folder without any gets its first one when begin says so.
func readKeys(dir string, begin bool) ([]signingKey, error) {
	paths, err := filepath.Glob(filepath.Join(dir, "issuer*.pem"))
	if err != nil {
		return nil, err
	}
	if len(paths) == 0 && begin {
		k, err := makeKey(filepath.Join(dir, "issuer.pem"), time.Time{})
		return []signingKey{k}, err
	}
	keys := make([]signingKey, 0, len(paths))
	for _, path := range paths {
		k, err := readKey(path)
		if err != nil {
			return nil, fmt.Errorf("%s: %w", filepath.Base(path), err)
		}
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b signingKey) int { return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.ID, b.ID)) })
	return keys, nil
}

func readKey(path string) (signingKey, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return signingKey{}, err
	}
	block, _ := pem.Decode(text)
	if block == nil {
		return signingKey{}, errors.New("it is not PEM")
	}
	parsed, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if err != nil {
		return signingKey{}, err
	}
	key, ok := parsed.(*ecdsa.PrivateKey)
	if !ok || key.Curve != elliptic.P256() {
		return signingKey{}, errors.New("it is not a P-256 key")
	}
	k := signingKey{path: path, key: key}
	for header, at := range map[string]*time.Time{headerFrom: &k.From, headerTo: &k.To} {
		if v := block.Headers[header]; v != "" {
			if *at, err = time.Parse(time.RFC3339, v); err != nil {
				return signingKey{}, err
			}
		}
	}
	return k.ready()
}

// ready names the key and opens its signers.
func (k signingKey) ready() (signingKey, error) {
	public := jose.JSONWebKey{Key: &k.key.PublicKey}
	print, err := public.Thumbprint(crypto.SHA256)
	if err != nil {
		return k, err
	}
	k.ID, k.signers = base64.RawURLEncoding.EncodeToString(print), map[string]jose.Signer{}
	for _, typ := range signedTypes() {
		k.signers[typ], err = jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: jose.JSONWebKey{Key: k.key, KeyID: k.ID}},
			(&jose.SignerOptions{}).WithType(jose.ContentType(typ)))
		if err != nil {
			return k, err
		}
	}
	return k, nil
}

func makeKey(path string, from time.Time) (signingKey, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return signingKey{}, err
	}
	k := signingKey{path: path, key: key, SigningKey: SigningKey{From: from}}
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return signingKey{}, err
	}
	if err := k.write(); err != nil {
		return signingKey{}, err
	}
	return k.ready()
}

// write puts the key where it belongs, whole or not at all.
func (k signingKey) write() error {
	der, err := x509.MarshalPKCS8PrivateKey(k.key)
	if err != nil {
		return err
	}
	block := &pem.Block{Type: "PRIVATE KEY", Bytes: der, Headers: map[string]string{}}
	for header, at := range map[string]time.Time{headerFrom: k.From, headerTo: k.To} {
		if !at.IsZero() {
			block.Headers[header] = at.UTC().Format(time.RFC3339)
		}
	}
	f, err := os.CreateTemp(filepath.Dir(k.path), ".issuer-*") // readable by its owner only
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	if err := errors.Join(pem.Encode(f, block), f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), k.path)
}

// RotateKeys begins a new signing key in a node's data folder: it is in the key set at once, signs after lead (KeyLead unless a
// key was lost), and the keys before it leave the set when the last token that they can have signed has expired. The node
// notices within seconds. Errors: fault.NotFound when the folder holds no keys; fault.Unavailable when it cannot be written.
func RotateKeys(dir string, now time.Time, lead time.Duration) (SigningKey, error) {
	keys, err := readKeys(dir, false)
	if err != nil {
		return SigningKey{}, fault.Wrap(err, fault.Unavailable, "the token keys cannot be read: %v", err)
	}
	if len(keys) == 0 {
		return SigningKey{}, fault.New(fault.NotFound, "there are no token keys in %s", dir)
	}
	from := now.Add(lead).UTC().Truncate(time.Second)
	fresh, err := makeKey(filepath.Join(dir, "issuer-"+from.Format("20060102T150405Z")+".pem"), from)
	if err != nil {
		return SigningKey{}, fault.Wrap(err, fault.Unavailable, "the new key cannot be written: %v", err)
	}
	for _, k := range keys {
		if !k.To.IsZero() && k.To.Before(now) {
			err = os.Remove(k.path)
		} else if k.To.IsZero() {
			k.To = from.Add(KeyOverlap)
			err = k.write()
		}
		if err != nil {
			return SigningKey{}, fault.Wrap(err, fault.Unavailable, "an old key cannot be retired: %v", err)
		}
	}
	return fresh.SigningKey, nil
}

// RetireKey removes a key at once, for one that others may have seen: every token that it signed ends within seconds.
// Errors: fault.NotFound for a key that is not there; fault.Conflict for the only one that signs.
func RetireKey(dir string, now time.Time, id string) error {
	keys, err := readKeys(dir, false)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the token keys cannot be read: %v", err)
	}
	at := slices.IndexFunc(keys, func(k signingKey) bool { return k.ID == id })
	if at < 0 {
		return fault.New(fault.NotFound, "there is no key %q", id)
	}
	others := slices.ContainsFunc(keys, func(k signingKey) bool { return k.ID != id && k.Signs(now) })
	if !others {
		return fault.New(fault.Conflict, "%s is the only key that signs: rotate first, with --now", id)
	}
	return fault.Wrap(os.Remove(keys[at].path), fault.Unavailable, "the key cannot be removed")
}

// Keys lists the keys of a node's data folder, the oldest first.
func Keys(dir string) ([]SigningKey, error) {
	keys, err := readKeys(dir, false)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the token keys cannot be read: %v", err)
	}
	list := make([]SigningKey, len(keys))
	for i, k := range keys {
		list[i] = k.SigningKey
	}
	return list, nil
}

// ring is the keys of an issuer as they were read last.
type ring struct {
	keys []signingKey
	read time.Time
}

// signer is the key that signs now: the newest that has begun.
func (r *ring) signer(now time.Time) signingKey {
	best := r.keys[0]
	for _, k := range r.keys {
		if k.Signs(now) {
			best = k
		}
	}
	return best
}

// current reads the keys again when it is time to. A folder that cannot be read leaves the issuer with the keys that it has.
func (i *Issuer) current() *ring {
	r := i.ring.Load()
	now := i.clock.Now()
	if age := now.Sub(r.read); age >= 0 && age < refreshKeys {
		return r
	}
	keys, err := readKeys(i.dir, false)
	if err != nil || len(keys) == 0 {
		keys = r.keys
	}
	fresh := &ring{keys: keys, read: now}
	i.ring.Store(fresh)
	return fresh
}

// publicKey is the key that kid names, while it is in the set.
func (i *Issuer) publicKey(kid string) (jose.JSONWebKey, bool) {
	now := i.clock.Now()
	for _, k := range i.current().keys {
		if k.ID == kid && (k.To.IsZero() || k.To.After(now)) {
			return k.public(), true
		}
	}
	return jose.JSONWebKey{}, false
}

// knows reports whether a key is in the set: a token that was signed with one that is not, has ended.
func (i *Issuer) knows(kid string) bool {
	r := i.current()
	for n := range r.keys {
		if r.keys[n].ID == kid {
			return r.keys[n].To.IsZero() || r.keys[n].To.After(r.read)
		}
	}
	return false
}

func (k signingKey) public() jose.JSONWebKey {
	return jose.JSONWebKey{Key: &k.key.PublicKey, KeyID: k.ID, Algorithm: string(jose.ES256), Use: "sig"}
}

// keySet is the public keys that are in the set now.
func (i *Issuer) keySet() jose.JSONWebKeySet {
	var set jose.JSONWebKeySet
	now := i.clock.Now()
	for _, k := range i.current().keys {
		if k.To.IsZero() || k.To.After(now) {
			set.Keys = append(set.Keys, k.public())
		}
	}
	return set
}

// openRing reads an issuer's keys for the first time.
func openRing(dir string, c clock.Clock) (*ring, error) {
	keys, err := readKeys(dir, true)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the token issuer's keys cannot be read or made: %s", strings.TrimSpace(err.Error()))
	}
	return &ring{keys: keys, read: c.Now()}, nil
}
