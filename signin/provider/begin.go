package provider

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/uuid"
	"golang.org/x/oauth2"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
)

// Start is why somebody goes to a provider.
type Start struct {
	To      string        // where they go on to
	Fresh   bool          // they must sign in there now, even if they are signed in
	MaxAge  time.Duration // they must have signed in there at most this long ago; negative for no limit
	Connect string        // the user who is signed in and adds the provider to their ways in; "" for a sign-in
	Link    string        // the one-time link that an administrator gave them; "" for none
	Secure  bool          // the browser came over TLS
}

// attempt is what this browser set out to do. It travels in a cookie that this node signed: nothing is kept here for somebody who has not signed
// in yet, and only the browser that set out can come back.
type attempt struct {
	jwt.Claims
	State    string `json:"state"`
	Nonce    string `json:"nonce"`
	Verifier string `json:"verifier"`
	To       string `json:"to,omitempty"`
	MaxAge   int64  `json:"max_age"` // seconds; negative for no limit
	Connect  string `json:"connect,omitempty"`
	Link     string `json:"link,omitempty"`
}

// useAttempt is the kind under which an attempt is used up.
const useAttempt = "provider-attempt"

// cookieBytes is what a browser keeps in one cookie (RFC 6265 section 6.1), less its name and attributes.
const cookieBytes = 3900

func random() (string, error) {
	raw := make([]byte, 24)
	_, err := rand.Read(raw)
	return base64.RawURLEncoding.EncodeToString(raw), fault.Wrap(err, fault.Internal, "making a secret")
}

func (ps *Providers) sealName() string { return ps.k.Issuer.Name() + "/provider" }

// cookieName is that of one attempt: several pages of a browser may set out at once.
func cookieName(state string, secure bool) string {
	name := "openspine-with-" + state[:8]
	if secure {
		return "__Host-" + name
	}
	return name
}

func attemptCookie(state, value string, secure bool) *http.Cookie {
	return &http.Cookie{Name: cookieName(state, secure), Value: value, Path: "/", HttpOnly: true, Secure: secure, SameSite: http.SameSiteLaxMode, MaxAge: int(attemptFor / time.Second)}
}

// Begin is where the browser goes to sign in with a provider, and the cookie that it needs to come back (OpenID Connect Core section 3.1.2.1).
// Errors: Down; fault.Invalid when the address to go on to is too long to carry.
func (ps *Providers) Begin(ctx context.Context, p *Provider, s Start) (location string, cookie *http.Cookie, err error) {
	n, err := p.discover(ctx)
	if err != nil {
		return "", nil, err
	}
	now := ps.k.Clock.Now()
	a := attempt{To: s.To, MaxAge: -1, Connect: s.Connect, Link: s.Link, Verifier: oauth2.GenerateVerifier(),
		Claims: jwt.Claims{Issuer: ps.sealName(), Subject: p.ID, ID: uuid.NewString(), IssuedAt: jwt.NewNumericDate(now), Expiry: jwt.NewNumericDate(now.Add(attemptFor))}}
	if s.MaxAge >= 0 {
		a.MaxAge = int64(s.MaxAge / time.Second)
	}
	if s.Fresh {
		a.MaxAge = 0
	}
	if a.State, err = random(); err != nil {
		return "", nil, err
	}
	if a.Nonce, err = random(); err != nil {
		return "", nil, err
	}
	sealed, err := ps.k.Issuer.Sign(access.TypeID, a)
	if err != nil {
		return "", nil, err
	}
	if len(sealed) > cookieBytes {
		return "", nil, fault.New(fault.Invalid, "The address that you were on your way to is too long to come back to. Sign in first, and open it again.")
	}
	v := url.Values{"response_type": {"code"}, "client_id": {p.Client}, "redirect_uri": {ps.Back(p)}, "scope": {strings.Join(p.Scopes, " ")}, "state": {a.State}, "nonce": {a.Nonce},
		"code_challenge": {oauth2.S256ChallengeFromVerifier(a.Verifier)}, "code_challenge_method": {"S256"}}
	for name, value := range map[string]string{"acr_values": p.ACR, "vtr": p.VTR} {
		if value != "" {
			v.Set(name, value)
		}
	}
	if a.MaxAge >= 0 {
		v.Set("max_age", strconv.FormatInt(a.MaxAge, 10))
	}
	if s.Fresh {
		v.Set("prompt", "login")
	}
	return withQuery(n.Authorization, v), attemptCookie(a.State, sealed, s.Secure), nil
}

func withQuery(address string, v url.Values) string {
	if strings.Contains(address, "?") {
		return address + "&" + v.Encode()
	}
	return address + "?" + v.Encode()
}

// returned is the attempt with which a browser comes back, for one use. Errors: Stale when this browser did not set out so, or has come
// back before.
func (ps *Providers) returned(ctx context.Context, p *Provider, r *http.Request) (attempt, error) {
	var a attempt
	q := r.URL.Query()
	for _, values := range q {
		if len(values) > 1 {
			return a, refuse(Stale, "a parameter is there more than once")
		}
	}
	state := q.Get("state")
	if len(state) != base64.RawURLEncoding.EncodedLen(24) {
		return a, refuse(Stale, "there is no state")
	}
	c, err := r.Cookie(cookieName(state, access.Secure(r)))
	if err != nil {
		return a, refuse(Stale, "the browser did not set out from here")
	}
	if err := ps.k.Issuer.Open(access.TypeID, c.Value, &a); err != nil || a.Issuer != ps.sealName() {
		return attempt{}, refuse(Stale, "the cookie is not ours")
	}
	switch {
	case a.Subject != p.ID:
		return attempt{}, refuse(Stale, "it set out to another provider")
	case a.State != state:
		return attempt{}, refuse(Stale, "the state is that of another attempt")
	case a.Expiry == nil || !ps.k.Clock.Now().Before(a.Expiry.Time()):
		return attempt{}, refuse(Stale, "it set out too long ago")
	}
	err = ps.k.Gate.UseOnce(ctx, useAttempt, a.ID, a.Expiry.Time())
	if fault.Is(err, fault.Conflict) {
		return attempt{}, refuse(Stale, "it has come back before")
	}
	return a, err
}

// Used is the cookie that takes an attempt's away, once the browser has come back.
func Used(r *http.Request) *http.Cookie {
	state := r.URL.Query().Get("state")
	if len(state) < 8 || strings.ContainsFunc(state[:8], func(c rune) bool {
		return (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') && (c < '0' || c > '9') && c != '-' && c != '_'
	}) {
		return nil
	}
	c := attemptCookie(state, "", access.Secure(r))
	c.MaxAge = -1
	return c
}
