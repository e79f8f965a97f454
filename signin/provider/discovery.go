package provider

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"

	"github.com/openspine/openspine/internal/clock"
)

// Provider is one that the node trusts.
type Provider struct {
	Settings
	secret string
	key    jose.JSONWebKey // the node's own; empty when it has a secret
	clock  clock.Clock
	fetch  *http.Client

	mu    sync.Mutex // held while the provider is asked, so that it is asked once
	known *known
	tried time.Time
}

// known is what a provider has published about itself.
type known struct {
	oidc *oidc.Provider
	keys *keySet
	at   time.Time

	Authorization string   `json:"authorization_endpoint"`
	Token         string   `json:"token_endpoint"`
	Keys          string   `json:"jwks_uri"`
	Userinfo      string   `json:"userinfo_endpoint"`
	EndSession    string   `json:"end_session_endpoint"`
	AuthMethods   []string `json:"token_endpoint_auth_methods_supported"`
	SaysIss       bool     `json:"authorization_response_iss_parameter_supported"`
}

// discover is what the provider has published (OpenID Connect Discovery 1.0 section 4), remembered for an hour, and for a day while the
// provider does not answer. Errors: Down.
func (p *Provider) discover(ctx context.Context) (*known, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	now := p.clock.Now()
	if p.known != nil && now.Sub(p.known.at) < metadataFor {
		return p.known, nil
	}
	kept := p.known != nil && now.Sub(p.known.at) < metadataAtMost
	if now.Sub(p.tried) < retryAfter && !p.tried.IsZero() {
		if kept {
			return p.known, nil
		}
		return nil, refuse(Down, "it did not answer a moment ago")
	}
	p.tried = now
	// whoever asked may leave; the others who wait for the answer stay
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), fetchFor)
	defer cancel()
	fresh, err := p.read(ctx)
	switch {
	case err == nil:
		if p.known != nil && p.known.Keys == fresh.Keys {
			fresh.keys = p.known.keys
		}
		fresh.at, p.known = now, fresh
		return fresh, nil
	case kept:
		return p.known, nil
	}
	return nil, refuseFor(Down, err)
}

// read asks the provider. The library holds the answer to the issuer that was configured, to the letter.
func (p *Provider) read(ctx context.Context) (*known, error) {
	found, err := oidc.NewProvider(oidc.ClientContext(ctx, p.fetch), p.Issuer)
	if err != nil {
		return nil, err
	}
	n := &known{oidc: found}
	if err := found.Claims(n); err != nil {
		return nil, err
	}
	for _, address := range []string{n.Authorization, n.Token, n.Keys} {
		if !safeURL(address) {
			return nil, errAddress
		}
	}
	for _, address := range []*string{&n.Userinfo, &n.EndSession} {
		if !safeURL(*address) {
			*address = ""
		}
	}
	n.keys = &keySet{url: n.Keys, fetch: p.fetch, clock: p.clock}
	return n, nil
}

// Check asks the provider whether it is there, and for its keys: for whoever sets one up. Errors: Down, with its cause.
func (p *Provider) Check(ctx context.Context) (keys int, err error) {
	n, err := p.discover(ctx)
	if err != nil {
		return 0, err
	}
	list, err := n.keys.current(ctx, true)
	return len(list), err
}
