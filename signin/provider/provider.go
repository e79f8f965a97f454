// Package provider lets in people for whom somebody else vouches: an OpenID provider elsewhere, as NHS CIS2 does for professionals
// and NHS login for patients.
//
//	"Sign in with …" ── state, nonce, PKCE ──► the provider (they sign in there) ── code ──► ID token, checked whole
//	  known here ─────────────────────────────────────────────────────────────► signed in, as surely as the provider says
//	  by the identifier that an administrator expects (nhsid_useruid),
//	  by a verified NHS number (P9), by a one-time link, or while signed in ───► linked, and known from then on
//	  none of these ──────────────────────────────────────────────────────────► a page that says whom to ask
//	  the provider says that they have left (back-channel) ───────────────────► the sessions that came of it end, and what programs were given in them
//
// The provider is believed about who somebody is and how sure that is, within its own realm, and about nothing else: what they may do
// is what this node's administrators say. A provider that is down closes one door, not the others.
//
// Sources: OpenID Connect Core 1.0 (sections 3.1, 5.3), Discovery 1.0, RP-Initiated and Back-Channel Logout 1.0; RFC 7636 (PKCE), 7523 (private_key_jwt),
// 9207 (iss in the answer), 9700; the claims of NHS CIS2 (nhsid_useruid, authentication_assurance_level, id_assurance_level) and of NHS login
// (nhs_number, identity_proofing_level, vot).
package provider

import (
	"context"
	"embed"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/signin/credential"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFS embed.FS

// Schema is what this package keeps in the database.
func Schema() store.Schema { return store.Embedded("provider", schemaFS, "schema") }

// How long things last, and how often a provider is asked again.
const (
	attemptFor     = 10 * time.Minute // from "Sign in with …" to the way back
	metadataFor    = time.Hour
	metadataAtMost = 24 * time.Hour // while the provider does not answer
	retryAfter     = 10 * time.Second
	keysFor        = 10 * time.Minute
	keysAtMost     = time.Hour // while the provider does not answer
	keysAgain      = 30 * time.Second
	skew           = time.Minute
	tokenAge       = 10 * time.Minute // an ID token or logout token that was issued longer ago is not taken
	fetchFor       = 5 * time.Second
	answerBytes    = 1 << 20
	tokenBytes     = 16 << 10
)

// Providers are those that a node trusts. It is safe for use by many goroutines.
type Providers struct {
	k     catalogue.Kernel
	links *credential.Keeper
	list  []*Provider
	end   func(ctx context.Context, by access.Principal, user, session string) error
}

// Options are what is handed in.
type Options struct {
	// Fetch is how providers are asked; with short limits, few bytes and no redirects when nil.
	Fetch http.RoundTripper
	// End ends a user's session, with what programs were given in it. Errors: fault.NotFound when it has ended.
	End func(ctx context.Context, by access.Principal, user, session string) error
}

// New trusts the providers that a configuration names. links are the one-time links that administrators give. Errors: fault.Invalid and
// fault.NotFound, in words for whoever wrote the configuration.
func New(k catalogue.Kernel, links *credential.Keeper, settings []Settings, o Options) (*Providers, error) {
	if o.Fetch == nil {
		o.Fetch = http.DefaultTransport
	}
	fetch := &http.Client{Timeout: fetchFor, Transport: bounded{o.Fetch}, CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	ps := &Providers{k: k, links: links, end: o.End}
	for _, s := range settings {
		if err := s.check(); err != nil {
			return nil, err
		}
		if slices.ContainsFunc(ps.list, func(p *Provider) bool { return p.ID == s.ID || p.Issuer == s.Issuer }) {
			return nil, fault.New(fault.Invalid, "the provider %s (or its issuer) is named twice", s.ID)
		}
		p := &Provider{Settings: s, clock: k.Clock, fetch: fetch}
		if err := p.readSecrets(); err != nil {
			return nil, err
		}
		ps.list = append(ps.list, p)
	}
	return ps, nil
}

// All are the providers of a realm; of every realm when it is "".
func (ps *Providers) All(realm string) []*Provider {
	return slices.DeleteFunc(slices.Clone(ps.list), func(p *Provider) bool { return realm != "" && p.Realm != realm })
}

// ByID is the provider with an id. Errors: fault.NotFound.
func (ps *Providers) ByID(id string) (*Provider, error) {
	for _, p := range ps.list {
		if p.ID == id {
			return p, nil
		}
	}
	return nil, fault.New(fault.NotFound, "There is no such way to sign in here.")
}

// byIssuer is the id and title of an issuer that the node trusts; "" for one that it does not trust any more.
func (ps *Providers) byIssuer(issuer string) (id, title string) {
	for _, p := range ps.list {
		if p.Issuer == issuer {
			return p.ID, p.Title
		}
	}
	return "", issuer
}

// Back is where a provider sends people back to: the redirect URI to register with it. Each provider has its own (RFC 9700 section 4.4.2.2).
func (ps *Providers) Back(p *Provider) string { return ps.k.BaseURL() + p.path() + "/back" }

// Left is where a provider sends people who have signed out there: the post_logout_redirect_uri to register with it.
func (ps *Providers) Left(p *Provider) string { return ps.k.BaseURL() + p.path() + "/left" }

// Told is where a provider says that somebody has left: the backchannel_logout_uri to register with it.
func (ps *Providers) Told(p *Provider) string { return ps.k.BaseURL() + p.path() + "/logout" }

// KeysAt is where this node's public keys for a provider are.
func (ps *Providers) KeysAt(p *Provider) string { return ps.k.BaseURL() + p.path() + "/keys" }

// path is the provider's place among this node's addresses.
func (p *Provider) path() string { return "/sign-in/with/" + p.ID }

// Reason says why somebody was not let in, for the page that tells them.
type Reason string

// The reasons.
const (
	Down     Reason = "down"     // the provider does not answer, or is not well
	Stale    Reason = "stale"    // the way back was used before, is too old, or belongs to another browser
	Declined Reason = "declined" // the provider says that they did not sign in
	Untrue   Reason = "untrue"   // what the provider sent does not hold
	Weak     Reason = "weak"     // the provider is not sure enough
	Unknown  Reason = "unknown"  // nobody here
	Taken    Reason = "taken"    // linked to somebody else, or the user to another account
)

// refusal carries a Reason.
type refusal struct {
	reason Reason
	cause  error
}

// Error is for the log: it never names anybody.
func (r *refusal) Error() string { return string(r.reason) + ": " + r.cause.Error() }

// Unwrap is the cause.
func (r *refusal) Unwrap() error { return r.cause }

// refuse is why somebody is not let in; cause is for the log and holds nothing about a person.
func refuse(reason Reason, cause string) error { return refuseFor(reason, errors.New(cause)) }

func refuseFor(reason Reason, cause error) error {
	kind := map[Reason]fault.Kind{Down: fault.Unavailable, Weak: fault.Forbidden, Declined: fault.Forbidden, Unknown: fault.Forbidden, Taken: fault.Conflict}[reason]
	if reason == Stale || reason == Untrue {
		kind = fault.Invalid
	}
	return fault.Wrap(&refusal{reason, cause}, kind, "the sign-in at the provider did not hold (%s)", reason)
}

// ReasonOf is why somebody was not let in; ok is false for any other failure.
func ReasonOf(err error) (reason Reason, ok bool) {
	var r *refusal
	if !errors.As(err, &r) {
		return "", false
	}
	return r.reason, true
}

// bounded reads at most answerBytes of any answer.
type bounded struct{ base http.RoundTripper }

type boundedBody struct {
	io.Reader
	io.Closer
}

// RoundTrip is http.RoundTripper.
func (b bounded) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := b.base.RoundTrip(r)
	if err == nil {
		resp.Body = boundedBody{io.LimitReader(resp.Body, answerBytes), resp.Body}
	}
	return resp, err
}

// Forget removes which sessions came of which sign-in, once they have ended; it is a job.
func (ps *Providers) Forget(ctx context.Context) error {
	for lane := range ps.k.DB.Lanes() {
		err := ps.k.DB.Write(ctx, []store.Lane{store.Lane(lane)}, func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM provider_session WHERE lane = ? AND since < ?`, lane, tx.At().Add(-access.SessionMax-time.Hour).UnixMicro())
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
