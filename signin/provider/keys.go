package provider

import (
	"context"
	"crypto/ecdsa"
	"crypto/rsa"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"sync"
	"time"

	"github.com/go-jose/go-jose/v4"

	"github.com/openspine/openspine/internal/clock"
)

var (
	errAddress = errors.New("it publishes an address that is neither https nor on this machine")
	errKeys    = errors.New("its keys cannot be read")
	errNoKey   = errors.New("no key of the provider's signed it")
)

// algorithms are the signatures that are taken from a provider: with a key pair, never with a shared secret, and never none.
func algorithms() []jose.SignatureAlgorithm {
	return []jose.SignatureAlgorithm{jose.RS256, jose.RS384, jose.RS512, jose.PS256, jose.PS384, jose.PS512, jose.ES256, jose.ES384, jose.ES512}
}

// keySet is a provider's public keys. A key that is not known has them read again, at most once in keysAgain, so that a new key is met at once
// and nobody makes this node ask for ever; all are read again after keysFor, so that a key that was withdrawn ends.
type keySet struct {
	url   string
	fetch *http.Client
	clock clock.Clock

	mu    sync.Mutex
	list  []jose.JSONWebKey
	at    time.Time // when they were read
	tried time.Time
}

// VerifySignature is oidc.KeySet: the payload of a JWT that one of the keys signed.
func (s *keySet) VerifySignature(ctx context.Context, token string) ([]byte, error) {
	jws, err := jose.ParseSignedCompact(token, algorithms())
	if err != nil {
		return nil, err
	}
	for _, again := range []bool{false, true} {
		keys, err := s.current(ctx, again)
		if err != nil {
			return nil, err
		}
		if payload, ok := verified(jws, keys); ok {
			return payload, nil
		}
	}
	return nil, errNoKey
}

// verified tries the key that the token names, or each when it names none.
func verified(jws *jose.JSONWebSignature, keys []jose.JSONWebKey) ([]byte, bool) {
	header := jws.Signatures[0].Header
	for _, k := range keys {
		if header.KeyID != "" && k.KeyID != header.KeyID || k.Algorithm != "" && k.Algorithm != header.Algorithm {
			continue
		}
		if payload, err := jws.Verify(k); err == nil {
			return payload, true
		}
	}
	return nil, false
}

// current are the keys as they were read last; again says that one was missing. Errors: Down when there are none that are young enough.
func (s *keySet) current(ctx context.Context, again bool) ([]jose.JSONWebKey, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	age, pause := now.Sub(s.at), now.Sub(s.tried)
	if len(s.list) > 0 && age < keysFor && !again || pause < keysAgain && !s.tried.IsZero() {
		if len(s.list) == 0 || age >= keysAtMost {
			return nil, refuseFor(Down, errKeys)
		}
		return s.list, nil
	}
	s.tried = now
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchFor)
	defer cancel()
	list, err := s.read(ctx)
	if err == nil {
		s.list, s.at = list, now
		return list, nil
	}
	if len(s.list) > 0 && age < keysAtMost {
		return s.list, nil
	}
	return nil, refuseFor(Down, err)
}

func (s *keySet) read(ctx context.Context) ([]jose.JSONWebKey, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url, nil)
	if err != nil {
		return nil, err
	}
	resp, err := s.fetch.Do(req)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errKeys
	}
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		return nil, err
	}
	return readKeySet(text)
}

// readKeySet reads a JSON Web Key Set (RFC 7517 section 5). Keys of another kind, for another use, too short, or secret are left out:
// a set may hold what is not for us. Errors: when it is no set, or nothing is left.
func readKeySet(text []byte) ([]jose.JSONWebKey, error) {
	var set struct {
		Keys []json.RawMessage `json:"keys"`
	}
	if err := json.Unmarshal(text, &set); err != nil {
		return nil, err
	}
	var list []jose.JSONWebKey
	for _, raw := range set.Keys {
		var k jose.JSONWebKey
		if json.Unmarshal(raw, &k) != nil || !k.Valid() || k.Use != "" && k.Use != "sig" {
			continue
		}
		switch key := k.Key.(type) {
		case *rsa.PublicKey:
			if key.N.BitLen() < 2048 {
				continue
			}
		case *ecdsa.PublicKey:
		default:
			continue
		}
		list = append(list, k)
	}
	if len(list) == 0 {
		return nil, errKeys
	}
	return list, nil
}
