package provider

import (
	"context"
	"crypto/subtle"
	"errors"
	"net/http"
	"strings"
	"time"

	"github.com/coreos/go-oidc/v3/oidc"
	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
	"golang.org/x/oauth2"

	"github.com/openspine/openspine/fault"
)

// Arrival is somebody who has come back from a provider that vouches for them.
type Arrival struct {
	Provider   *Provider
	Subject    string // the provider's name for them
	Session    string // the provider's session; "" when it does not say
	Name       string // for the page that has no account for them
	Assurance  string // AAL1 to AAL3, or P0, P5, P9
	Proofing   string // IAL1 to IAL3; "" when not known
	Identifier string // of a professional, as published (nhsid_useruid)
	NHSNumber  string // of a patient whose identity was verified (P9)

	To, Connect, Link string // of the Start
}

// Finish takes the browser that comes back from a provider: it changes the code for an ID token, and checks all that it says (OpenID Connect
// Core section 3.1.3.7). Errors: Stale, Declined, Untrue, Weak, Down.
func (ps *Providers) Finish(ctx context.Context, p *Provider, r *http.Request) (Arrival, error) {
	a, err := ps.returned(ctx, p, r)
	if err != nil {
		return Arrival{}, err
	}
	n, err := p.discover(ctx)
	if err != nil {
		return Arrival{}, err
	}
	q := r.URL.Query()
	switch {
	case q.Get("iss") == "" && n.SaysIss, q.Get("iss") != "" && q.Get("iss") != p.Issuer:
		return Arrival{}, refuse(Untrue, "the answer is not this issuer's (iss)") // RFC 9207 section 2.4
	case q.Get("error") == "temporarily_unavailable" || q.Get("error") == "server_error":
		return Arrival{}, refuse(Down, "it says that something went wrong there")
	case q.Get("error") != "":
		return Arrival{}, refuse(Declined, "it says no")
	case q.Get("code") == "":
		return Arrival{}, refuse(Untrue, "there is no code")
	}
	token, err := ps.redeem(ctx, p, n, q.Get("code"), a)
	if err != nil {
		return Arrival{}, err
	}
	raw, _ := token.Extra("id_token").(string)
	id, err := p.verified(ctx, n, raw)
	if err != nil {
		return Arrival{}, err
	}
	if err := p.holds(id, a, token.AccessToken); err != nil {
		return Arrival{}, err
	}
	c, err := p.claimsOf(ctx, n, id, token)
	if err != nil {
		return Arrival{}, err
	}
	arrival := Arrival{Provider: p, Subject: id.Subject, Session: c.text("sid"), Name: c.text("name"), To: a.To, Connect: a.Connect, Link: a.Link}
	return arrival, p.assure(&arrival, c)
}

// redeem changes a code for tokens, with the proof that this attempt began it (RFC 7636) and that we are the client.
func (ps *Providers) redeem(ctx context.Context, p *Provider, n *known, code string, a attempt) (*oauth2.Token, error) {
	config := oauth2.Config{ClientID: p.Client, ClientSecret: p.secret, RedirectURL: ps.Back(p), Endpoint: oauth2.Endpoint{TokenURL: n.Token, AuthStyle: n.authStyle()}}
	options := []oauth2.AuthCodeOption{oauth2.VerifierOption(a.Verifier)}
	if p.secret == "" {
		config.Endpoint.AuthStyle = oauth2.AuthStyleInParams
		assertion, err := p.assertion(n.Token)
		if err != nil {
			return nil, err
		}
		options = append(options, oauth2.SetAuthURLParam("client_assertion_type", "urn:ietf:params:oauth:client-assertion-type:jwt-bearer"), oauth2.SetAuthURLParam("client_assertion", assertion))
	}
	token, err := config.Exchange(oidc.ClientContext(ctx, p.fetch), code, options...)
	var refused *oauth2.RetrieveError
	switch {
	case errors.As(err, &refused) && refused.Response.StatusCode < 500 && refused.Response.StatusCode != http.StatusTooManyRequests:
		return nil, refuse(Untrue, "it does not take the code: "+http.StatusText(refused.Response.StatusCode)+" "+refused.ErrorCode)
	case err != nil:
		return nil, refuseFor(Down, errors.New("its token endpoint does not answer"))
	}
	return token, nil
}

// authStyle is how a secret is sent: in the body when the provider takes it so, and in the header otherwise, as every provider must
// (RFC 6749 section 2.3.1).
func (n *known) authStyle() oauth2.AuthStyle {
	for _, m := range n.AuthMethods {
		if m == "client_secret_post" {
			return oauth2.AuthStyleInParams
		}
	}
	return oauth2.AuthStyleInHeader
}

// assertion shows who this node is (private_key_jwt: RFC 7523 section 3; typ and kid as NHS England asks).
func (p *Provider) assertion(audience string) (string, error) {
	signer, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.SignatureAlgorithm(p.key.Algorithm), Key: p.key}, (&jose.SignerOptions{}).WithType("JWT"))
	if err != nil {
		return "", fault.Wrap(err, fault.Internal, "preparing to sign")
	}
	now := p.clock.Now()
	token, err := jwt.Signed(signer).Claims(jwt.Claims{Issuer: p.Client, Subject: p.Client, Audience: jwt.Audience{audience}, ID: uuid.NewString(),
		IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(2 * time.Minute))}).Serialize()
	return token, fault.Wrap(err, fault.Internal, "signing")
}

// Keys are the public keys with which this node shows a provider who it is, for the provider to read.
func (p *Provider) Keys() jose.JSONWebKeySet {
	if p.key.Key == nil {
		return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{}}
	}
	return jose.JSONWebKeySet{Keys: []jose.JSONWebKey{p.key.Public()}}
}

func (p *Provider) verifier(n *known) *oidc.IDTokenVerifier {
	var names []string
	for _, alg := range algorithms() {
		names = append(names, string(alg))
	}
	return oidc.NewVerifier(p.Issuer, n.keys, &oidc.Config{ClientID: p.Client, SupportedSigningAlgs: names, Now: p.clock.Now})
}

// compact is Untrue unless a token is one short JWT in compact form, with a typ that is among types; "" stands for none.
func compact(token string, types ...string) error {
	if len(token) == 0 || len(token) > tokenBytes {
		return refuse(Untrue, "the token is missing or too long")
	}
	parsed, err := jose.ParseSignedCompact(token, algorithms())
	if err != nil {
		return refuse(Untrue, "the token is no JWT, or not signed as we take it")
	}
	typ, _ := parsed.Signatures[0].Header.ExtraHeaders[jose.HeaderType].(string)
	for _, t := range types {
		if strings.EqualFold(typ, t) {
			return nil
		}
	}
	return refuse(Untrue, "the token is of another type (typ)")
}

// verified is an ID token whose signature, issuer, audience and end hold.
func (p *Provider) verified(ctx context.Context, n *known, raw string) (*oidc.IDToken, error) {
	if err := compact(raw, "", "JWT"); err != nil {
		return nil, err
	}
	if _, err := n.keys.current(ctx, false); err != nil {
		return nil, err
	}
	id, err := p.verifier(n).Verify(ctx, raw)
	if err != nil {
		return nil, refuse(Untrue, plain(err))
	}
	return id, nil
}

// plain is what the library found wrong, for the log, without what the token said.
func plain(err error) string {
	var expired *oidc.TokenExpiredError
	for what, short := range map[string]string{"different provider": "iss is another issuer's", "audience": "aud is not ours", "signature": "the signature does not hold", "nbf": "it is not valid yet"} {
		if strings.Contains(err.Error(), what) {
			return short
		}
	}
	if errors.As(err, &expired) {
		return "it has expired"
	}
	return "it cannot be read"
}

// holds checks what binds an ID token to this attempt, this client and this access token (OpenID Connect Core sections 3.1.3.7 and 3.1.3.8).
func (p *Provider) holds(id *oidc.IDToken, a attempt, accessToken string) error {
	var c struct {
		Azp      string `json:"azp"`
		AuthTime int64  `json:"auth_time"`
	}
	now := p.clock.Now()
	switch err := id.Claims(&c); {
	case err != nil:
		return refuse(Untrue, "the claims cannot be read")
	case id.Subject == "" || len(id.Subject) > 255:
		return refuse(Untrue, "sub is missing or too long")
	case subtle.ConstantTimeCompare([]byte(id.Nonce), []byte(a.Nonce)) != 1:
		return refuse(Untrue, "nonce is not that of this attempt")
	case len(id.Audience) > 1 && c.Azp == "" || c.Azp != "" && c.Azp != p.Client:
		return refuse(Untrue, "it was made for another client (azp)")
	case id.IssuedAt.IsZero() || id.IssuedAt.Unix() == 0 || id.IssuedAt.After(now.Add(skew)) || now.Sub(id.IssuedAt) > tokenAge:
		return refuse(Untrue, "it was issued at another time (iat)")
	case id.AccessTokenHash != "" && id.VerifyAccessToken(accessToken) != nil:
		return refuse(Untrue, "at_hash is not that of the access token")
	case a.MaxAge >= 0 && (c.AuthTime == 0 || now.Sub(time.Unix(c.AuthTime, 0)) > time.Duration(a.MaxAge)*time.Second+skew+now.Sub(a.IssuedAt.Time())):
		return refuse(Untrue, "they signed in longer ago than was asked (auth_time)")
	}
	return nil
}
