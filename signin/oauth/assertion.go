package oauth

import (
	"context"
	"crypto/rsa"
	"encoding/base64"
	"encoding/json"
	"io"
	"math"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/openspine/openspine/fault"
)

// assertionType is how a client proves that it is itself (RFC 7523 section 2.2).
const assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"

const (
	assertionBytes = 8 << 10
	assertionLife  = 5 * time.Minute
	assertionSkew  = 10 * time.Second
)

// assertion is a client's signed JWT whose form is right; the signature is checked by proves.
type assertion struct {
	client, kid, jti string
	until            time.Time
	signed           string
	audience         []string
}

// readAssertion takes a client assertion apart. The refusals, and their order, are those of NHS England's identity service.
func readAssertion(form url.Values, now time.Time) (assertion, error) {
	if form.Get("client_assertion_type") != assertionType {
		// The quotation mark is not closed in what the service publishes; its clients compare the words.
		return assertion{}, bad("Missing or invalid client_assertion_type - must be '" + assertionType)
	}
	token := form.Get("client_assertion")
	if token == "" {
		return assertion{}, bad("Missing client_assertion")
	}
	header, claims, ok := takeApart(token)
	if !ok {
		return assertion{}, bad("Malformed JWT in client_assertion")
	}
	a := assertion{signed: token}
	if a.kid, _ = header["kid"].(string); a.kid == "" {
		return a, bad("Missing 'kid' header in JWT")
	}
	if typ, _ := header["typ"].(string); !strings.EqualFold(typ, "JWT") {
		return a, bad("Invalid 'typ' header in JWT - must be 'JWT'")
	}
	if alg, _ := header["alg"].(string); alg != string(jose.RS512) {
		return a, bad("Invalid 'alg' header in JWT - unsupported JWT algorithm - must be 'RS512'")
	}
	return a, a.readClaims(claims, now)
}

func (a *assertion) readClaims(claims map[string]any, now time.Time) error {
	exp, isNumber := claims["exp"].(float64)
	switch {
	case claims["exp"] == nil:
		return bad("Missing exp claim in JWT")
	case !isNumber || exp != math.Trunc(exp) || math.Abs(exp) > 1e11:
		return bad("Exp claim must be an integer")
	}
	a.until = time.Unix(int64(exp), 0)
	iss, _ := claims["iss"].(string)
	sub, _ := claims["sub"].(string)
	if iss == "" || iss != sub {
		return bad("Missing or non-matching iss/sub claims in JWT")
	}
	a.client = iss
	jti, isText := claims["jti"].(string)
	if claims["jti"] == nil || isText && strings.TrimSpace(jti) == "" {
		return bad("Missing jti claim in JWT")
	}
	if a.jti, isText = claims["jti"].(string); !isText || len(a.jti) > 200 {
		return bad("Jti claim must be a unique string value such as a GUID")
	}
	switch aud := claims["aud"].(type) {
	case string:
		a.audience = []string{aud}
	case []any:
		for _, one := range aud {
			s, _ := one.(string)
			a.audience = append(a.audience, s)
		}
	}
	for claim, at := range map[string]any{"nbf": claims["nbf"], "iat": claims["iat"]} {
		if t, isNumber := at.(float64); at != nil && (!isNumber || t > float64(now.Add(assertionSkew).Unix())) {
			return bad("Invalid " + claim + " claim in JWT - JWT is not valid yet")
		}
	}
	switch {
	case a.until.After(now.Add(assertionLife + assertionSkew)):
		return bad("Invalid exp claim in JWT - more than 5 minutes in future")
	case !a.until.After(now):
		return bad("Invalid exp claim in JWT - JWT has expired")
	}
	return nil
}

// takeApart reads the header and the claims of a JWT in its compact form; encrypted ones and ones with a repeated name are none.
func takeApart(token string) (header, claims map[string]any, ok bool) {
	parts := strings.Split(token, ".")
	if len(token) > assertionBytes || len(parts) != 3 || parts[2] == "" {
		return nil, nil, false
	}
	for i, into := range []*map[string]any{&header, &claims} {
		text, err := base64.RawURLEncoding.Strict().DecodeString(parts[i])
		if err != nil || !plainObject(text) || json.Unmarshal(text, into) != nil || *into == nil {
			return nil, nil, false
		}
	}
	return header, claims, true
}

// plainObject reports whether b is one JSON object, no name of which is there twice: two readers could believe different ones.
func plainObject(b []byte) bool {
	d := json.NewDecoder(strings.NewReader(string(b)))
	open, err := d.Token()
	if err != nil || open != json.Delim('{') {
		return false
	}
	seen := map[string]bool{}
	for d.More() {
		name, err := d.Token()
		if err != nil {
			return false
		}
		text, ok := name.(string)
		if !ok || seen[text] {
			return false
		}
		seen[text] = true
		var skip json.RawMessage
		if d.Decode(&skip) != nil {
			return false
		}
	}
	if _, err := d.Token(); err != nil {
		return false
	}
	_, err = d.Token()
	return err == io.EOF
}

// meant reports whether the assertion is for the token endpoint at which it was presented, and for no other.
func (a assertion) meant(tokenURL string) bool {
	return len(a.audience) == 1 && a.audience[0] == tokenURL
}

// proves checks the signature with the client's key.
func (s *Server) proves(ctx context.Context, c Client, a assertion) error {
	if c.Keys == nil && c.KeysURL == "" {
		return refuse(http.StatusForbidden, publicKeyError, "You need to register a public key to use this authentication method - please contact support to configure")
	}
	keys, err := s.keysOf(ctx, c, a.kid)
	if err != nil {
		return err
	}
	for _, k := range keys.Key(a.kid) {
		key, err := assertionKey(k)
		if err != nil {
			continue
		}
		signed, err := jose.ParseSignedCompact(a.signed, []jose.SignatureAlgorithm{jose.RS512})
		if err != nil {
			return bad("Malformed JWT in client_assertion")
		}
		if _, err := signed.Verify(key); err != nil {
			return refuse(http.StatusUnauthorized, invalidRequest, "Invalid signature in JWT - it is not that of the registered public key")
		}
		return nil
	}
	return refuse(http.StatusUnauthorized, invalidRequest, "Invalid 'kid' header in JWT - no matching public key")
}

// assertionKey is the RSA key of at least 2048 bits that a client signs with. Errors: fault.Invalid.
func assertionKey(k jose.JSONWebKey) (*rsa.PublicKey, error) {
	key, ok := k.Key.(*rsa.PublicKey)
	if !ok || k.KeyID == "" || key.N.BitLen() < 2048 || k.Algorithm != "" && k.Algorithm != string(jose.RS512) || k.Use != "" && k.Use != "sig" {
		return nil, fault.New(fault.Invalid, "A client's key is a public RSA key of 2048 bits or more for RS512, with a kid.")
	}
	return key, nil
}

// How long a client's key set is believed, how soon an unknown kid makes us look again, and how soon an address that gave none is asked again: whoever
// calls with a client's name makes this node call that client's address, no oftener.
const (
	keysFor    = 5 * time.Minute
	keysAgain  = 30 * time.Second
	keysFailed = 5 * time.Second
	keySetSize = 256 << 10
	keysCached = 1000
)

// keyCache remembers clients' key sets.
type keyCache struct {
	mu   sync.Mutex
	sets map[string]*keySetAt
}

// keySetAt is what an address gave; whoever holds mu is asking it.
type keySetAt struct {
	mu  sync.Mutex
	set jose.JSONWebKeySet
	err error
	at  time.Time
}

func (k *keyCache) of(address string) *keySetAt {
	k.mu.Lock()
	defer k.mu.Unlock()
	at, ok := k.sets[address]
	if !ok {
		if k.sets == nil || len(k.sets) >= keysCached {
			k.sets = map[string]*keySetAt{}
		}
		at = &keySetAt{}
		k.sets[address] = at
	}
	return at
}

// fresh reports whether what the address gave answers for kid now.
func (k *keySetAt) fresh(kid string, now time.Time) bool {
	age := now.Sub(k.at)
	switch {
	case k.at.IsZero() || age < 0:
		return false
	case k.err != nil:
		return age < keysFailed
	}
	return age < keysFor && (len(k.set.Key(kid)) > 0 || age < keysAgain)
}

// keysOf are the client's keys: those that were registered, or those at its address.
func (s *Server) keysOf(ctx context.Context, c Client, kid string) (jose.JSONWebKeySet, error) {
	if c.Keys != nil {
		return *c.Keys, nil
	}
	at, now := s.keys.of(c.KeysURL), s.now()
	at.mu.Lock()
	defer at.mu.Unlock()
	if !at.fresh(kid, now) {
		set, err := s.fetchKeys(context.WithoutCancel(ctx), c.KeysURL) // for all who wait; the fetch has a limit of its own
		at.set, at.err, at.at = set, err, now
	}
	if at.err != nil {
		return at.set, fault.Wrap(&refusal{status: http.StatusForbidden, code: publicKeyError, description: "The JWKS endpoint, for your client_assertion can't be reached"}, fault.Forbidden, "the key set of %s: %v", c.ID, at.err)
	}
	return at.set, nil
}

func (s *Server) fetchKeys(ctx context.Context, address string) (jose.JSONWebKeySet, error) {
	var set jose.JSONWebKeySet
	if !safeURL(address) {
		return set, fault.New(fault.Invalid, "the address of a key set is https")
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return set, err
	}
	req.Header.Set("Accept", "application/json")
	resp, err := s.fetch.Do(req)
	if err != nil {
		return set, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return set, fault.New(fault.Unavailable, "the key set's address answers %d", resp.StatusCode)
	}
	text, err := io.ReadAll(io.LimitReader(resp.Body, keySetSize))
	if err != nil {
		return set, err
	}
	return set, json.Unmarshal(text, &set)
}
