package outward

import (
	"context"
	"crypto/rsa"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
)

// OAuth is this node's system as an identity service knows it.
type OAuth struct {
	TokenURL, ID, KeyID string
	Key                 []byte // an RSA private key as PEM
	Of                  string // whose identity service it is, for what is said of failures: "the national register"
	Clock               clock.Clock
}

// Credentials shows who asks by OAuth 2 client credentials with a signed JWT (RS512, as NHS England's identity service asks), and carries
// requests by next. A token is kept until shortly before it ends. Error: fault.Invalid for a key that is none.
func Credentials(next http.RoundTripper, c OAuth) (http.RoundTripper, error) {
	key, err := rsaKey(c.Key)
	if err != nil {
		return nil, err
	}
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.RS512, Key: key}, (&jose.SignerOptions{}).WithType("JWT").WithHeader("kid", c.KeyID))
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the key cannot sign: %v", err)
	}
	return &credentials{next: next, client: c, signer: signer}, nil
}

func rsaKey(text []byte) (*rsa.PrivateKey, error) {
	block, _ := pem.Decode(text)
	if block == nil {
		return nil, fault.New(fault.Invalid, "the key is no PEM")
	}
	if key, err := x509.ParsePKCS1PrivateKey(block.Bytes); err == nil {
		return key, nil
	}
	any, err := x509.ParsePKCS8PrivateKey(block.Bytes)
	if key, ok := any.(*rsa.PrivateKey); err == nil && ok {
		return key, nil
	}
	return nil, fault.New(fault.Invalid, "the key is no RSA private key")
}

type credentials struct {
	next   http.RoundTripper
	client OAuth
	signer jose.Signer

	mu    sync.Mutex
	token string
	until time.Time
}

const (
	assertionLife = 4 * time.Minute // five are allowed
	tokenSlack    = 30 * time.Second
	tokenBytes    = 64 << 10
)

// RoundTrip carries a request with a token. A token that is refused is not used again.
func (t *credentials) RoundTrip(r *http.Request) (*http.Response, error) {
	token, err := t.bearer(r.Context())
	if err != nil {
		return nil, err
	}
	out := r.Clone(r.Context())
	out.Header.Set("Authorization", "Bearer "+token)
	resp, err := t.next.RoundTrip(out)
	if err == nil && resp.StatusCode == http.StatusUnauthorized {
		t.mu.Lock()
		if t.token == token {
			t.token = ""
		}
		t.mu.Unlock()
	}
	return resp, err
}

// bearer is a token that still holds.
func (t *credentials) bearer(ctx context.Context) (string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	now := t.client.Clock.Now()
	if t.token != "" && now.Before(t.until) {
		return t.token, nil
	}
	signed, err := jwt.Signed(t.signer).Claims(jwt.Claims{Issuer: t.client.ID, Subject: t.client.ID, Audience: jwt.Audience{t.client.TokenURL}, ID: uuid.NewString(),
		Expiry: jwt.NewNumericDate(now.Add(assertionLife))}).Serialize()
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "signing an assertion")
	}
	form := url.Values{"grant_type": {"client_credentials"}, "client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"}, "client_assertion": {signed}}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, t.client.TokenURL, strings.NewReader(form.Encode()))
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "the address for tokens is none")
	}
	req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	resp, err := t.next.RoundTrip(req)
	if err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "The identity service of %s cannot be reached.", t.client.Of)
	}
	defer resp.Body.Close()
	var said struct {
		Token   string      `json:"access_token"`
		Seconds json.Number `json:"expires_in"`
		Error   string      `json:"error"`
	}
	err = json.NewDecoder(io.LimitReader(resp.Body, tokenBytes)).Decode(&said)
	if err != nil || resp.StatusCode != http.StatusOK || said.Token == "" {
		return "", fault.Wrap(errors.Join(err, fmt.Errorf("status %d, error %q", resp.StatusCode, said.Error)), fault.Unavailable, "The identity service of %s gave no token (%d).", t.client.Of, resp.StatusCode)
	}
	seconds, err := said.Seconds.Int64()
	if err != nil {
		seconds = 60
	}
	t.token, t.until = said.Token, now.Add(time.Duration(seconds)*time.Second-tokenSlack)
	return t.token, nil
}
