package oauth

import (
	"context"
	"errors"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
)

// Request is an authorisation request that has been checked.
type Request struct {
	Client    Client
	Redirect  string
	implied   bool // the client named no address and has one only
	Scopes    []string
	State     string
	Nonce     string
	Challenge string // PKCE, S256
	Prompt    []string
	MaxAge    time.Duration // at most this long since they signed in; negative for no limit
	Launch    string        // SMART: the context that the launching page passed on
	Query     url.Values    // as it was asked
}

// asked is the address as the token request must repeat it: "" when it was left out.
func (r Request) asked() string {
	if r.implied {
		return ""
	}
	return r.Redirect
}

// Realm is where whoever is asked signs in.
func (r Request) Realm() string { return r.Client.Realm }

// returned is a failure that is told to the client, by way of the person's browser.
type returned struct {
	to   string
	code string
	says string
}

// Error is the code and the description.
func (e *returned) Error() string { return e.code + ": " + e.says }

// Returned is where the browser goes with a failure that the client is told of; ok is false when err is one that must not leave
// this site, because nobody knows whose the address is.
func (s *Server) Returned(err error) (location string, ok bool) {
	var e *returned
	if !errors.As(err, &e) {
		return "", false
	}
	return e.to, true
}

// fails is err for the client: RFC 6749 section 4.1.2.1, with iss (RFC 9207).
func (s *Server) fails(redirect, state, code, description string) error {
	v := url.Values{"error": {code}, "error_description": {ascii(description)}, "iss": {s.issuer()}}
	if state != "" {
		v.Set("state", state)
	}
	return fault.Wrap(&returned{withQuery(redirect, v), code, description}, fault.Invalid, "%s", description)
}

// withQuery adds to an address, and leaves what it has.
func withQuery(address string, v url.Values) string {
	separator := "?"
	if strings.Contains(address, "?") {
		separator = "&"
	}
	return address + separator + v.Encode()
}

var challengeForm = regexp.MustCompile(`^[A-Za-z0-9_-]{43}$`)

// Parse checks an authorisation request. Until the address to return to is known to be the client's, a failure stays here
// (RFC 9700 section 4.11.2); after that it is for the client (Returned). The wording is that of NHS England's identity service.
func (s *Server) Parse(ctx context.Context, q url.Values) (Request, error) {
	r := Request{Query: q, MaxAge: -1, State: q.Get("state"), Nonce: q.Get("nonce"), Challenge: q.Get("code_challenge"), Launch: q.Get("launch"),
		Prompt: strings.Fields(q.Get("prompt"))}
	if err := once(q); err != nil {
		return r, err
	}
	if q.Get("client_id") == "" {
		return r, refuse(http.StatusUnauthorized, invalidRequest, "client_id is missing")
	}
	var err error
	if r.Client, err = s.Client(ctx, q.Get("client_id")); fault.Is(err, fault.NotFound) {
		return r, refuse(http.StatusUnauthorized, invalidRequest, "client_id is invalid")
	} else if err != nil {
		return r, err
	}
	r.Redirect = q.Get("redirect_uri")
	switch {
	case r.Redirect == "" && len(r.Client.Redirects) == 1 && !slices.Contains(strings.Fields(q.Get("scope")), "openid"):
		r.Redirect, r.implied = r.Client.Redirects[0], true
	case r.Redirect == "":
		return r, bad("redirect_uri is missing")
	case !r.Client.sendsTo(r.Redirect):
		return r, bad("redirect_uri is invalid")
	}
	return r, s.parseRest(&r, q)
}

func (s *Server) parseRest(r *Request, q url.Values) error {
	fails := func(code, description string) error { return s.fails(r.Redirect, r.State, code, description) }
	method := q.Get("code_challenge_method")
	switch {
	case q.Get("request") != "":
		return fails("request_not_supported", "a request object is not taken")
	case q.Get("request_uri") != "":
		return fails("request_uri_not_supported", "a request_uri is not taken")
	case q.Get("response_type") == "":
		return fails(invalidRequest, "response_type is missing")
	case q.Get("response_type") != "code":
		return fails(unsupportedResponse, "response_type is invalid")
	case q.Get("response_mode") != "" && q.Get("response_mode") != "query":
		return fails(invalidRequest, "response_mode is invalid - must be 'query'")
	case r.Challenge == "" && method != "":
		return fails(invalidRequest, "code_challenge is missing")
	case r.Challenge == "" && r.Client.Kind == Public:
		return fails(invalidRequest, "code_challenge is missing - a public client must use PKCE")
	case r.Challenge != "" && method != "S256":
		return fails(invalidRequest, "code_challenge_method is invalid - must be 'S256'")
	case r.Challenge != "" && !challengeForm.MatchString(r.Challenge):
		return fails(invalidRequest, "code_challenge is invalid")
	case len(r.State) > 2000 || len(r.Nonce) > 500 || len(r.Launch) > launchBytes:
		return fails(invalidRequest, "state, nonce or launch is too long")
	case slices.Contains(r.Prompt, "none") && len(r.Prompt) > 1:
		return fails(invalidRequest, "prompt is invalid - 'none' stands alone")
	}
	if aud := q.Get("aud"); aud != "" && strings.TrimSuffix(aud, "/") != s.k.BaseURL()+"/FHIR/R4" && !s.ownBase(aud) {
		return fails(invalidRequest, "aud is invalid - it must be the address of a FHIR API of this node")
	}
	if m := q.Get("max_age"); m != "" {
		seconds, err := strconv.Atoi(m)
		if err != nil || seconds < 0 || seconds > 1e9 {
			return fails(invalidRequest, "max_age is invalid")
		}
		r.MaxAge = time.Duration(seconds) * time.Second
	}
	asked := strings.Fields(q.Get("scope"))
	granted, ok := r.Client.grantable(asked)
	if !ok {
		return fails(invalidScope, "scope is invalid - the client may have none of what it asks for")
	}
	r.Scopes = granted
	return nil
}

// ownBase reports whether aud is the FHIR address of one of the node's tenants.
func (s *Server) ownBase(aud string) bool {
	for _, t := range s.k.Tenants {
		if strings.TrimSuffix(aud, "/") == s.k.BaseURL()+"/o/"+t.Code.String()+"/FHIR/R4" {
			return true
		}
	}
	return false
}

// Answer says what has to happen before a request can be answered for somebody.
type Answer string

// What a request waits for.
const (
	Ready       Answer = "ready"
	NeedSignIn  Answer = "sign-in"
	NeedConsent Answer = "consent"
	NeedPatient Answer = "patient" // SMART: which patient is this about?
)

// Waits says what a request waits for, given who is signed in: nil for nobody. With prompt=none it waits for nothing, and the
// failure is for the client (OpenID Connect Core section 3.1.2.6).
func (s *Server) Waits(ctx context.Context, r Request, session *access.Session) (Answer, error) {
	silent := slices.Contains(r.Prompt, "none")
	wait := func(a Answer, code string) (Answer, error) {
		if silent {
			return "", s.fails(r.Redirect, r.State, code, "the person would have to be asked")
		}
		return a, nil
	}
	if session == nil || session.Principal.Role.Realm() != r.Realm() {
		return wait(NeedSignIn, loginRequired)
	}
	if r.MaxAge >= 0 && s.now().Sub(session.Since) > r.MaxAge {
		return wait(NeedSignIn, loginRequired)
	}
	if slices.Contains(r.Prompt, "login") && s.now().Sub(session.Since) > 2*time.Minute {
		return wait(NeedSignIn, loginRequired)
	}
	if r.Launch == "" && slices.Contains(r.Scopes, "launch/patient") && session.Principal.Role != access.Patient {
		return wait(NeedPatient, interactionRequired)
	}
	if r.Client.Trusted {
		return Ready, nil
	}
	agreed, err := s.agreed(ctx, session.Principal.ID, r.Client.ID)
	if err != nil {
		return "", err
	}
	for _, scope := range r.Scopes {
		if !slices.Contains(agreed, scope) || slices.Contains(r.Prompt, "consent") || r.unsure() {
			return wait(NeedConsent, consentRequired)
		}
	}
	return Ready, nil
}

// unsure reports whether another program could be behind the address: one on the same device can listen at a loopback port, or claim a scheme. What
// the person agreed to before is then not taken for an answer (RFC 8252 sections 8.6 and 8.10, RFC 6749 section 10.2).
func (r Request) unsure() bool {
	return r.Client.Kind == Public && !strings.HasPrefix(r.Redirect, "https://")
}

// Denied is where the browser goes when the person says no.
func (s *Server) Denied(r Request) string {
	location, _ := s.Returned(s.fails(r.Redirect, r.State, accessDenied, "the person did not agree"))
	return location
}

// Grant answers a request for whoever is signed in: it is where the browser goes, with a code for the client.
func (s *Server) Grant(ctx context.Context, r Request, session access.Session) (location string, err error) {
	p := session.Principal
	if p.Role.Realm() != r.Realm() {
		return "", fault.New(fault.Forbidden, "This is for %s; you are signed in as somebody else.", r.Realm())
	}
	chart, err := s.context(ctx, r, p)
	if err != nil {
		return "", err
	}
	g := Grant{Client: r.Client.ID, User: p.ID, Profile: p.Profile, Scopes: forRealm(r.Scopes, r.Realm()), Assurance: p.Assurance, Proofing: p.Proofing, Method: session.Method, SignedIn: session.Since,
		Edition: p.Edition, Chart: chart, Nonce: r.Nonce}
	if len(p.Origins) > 0 && !slices.Contains(r.Scopes, "offline_access") {
		g.Session = p.Origins[0]
	}
	code, err := s.begin(ctx, p, r, g)
	if err != nil {
		return "", err
	}
	v := url.Values{"code": {code}, "iss": {s.issuer()}}
	if r.State != "" {
		v.Set("state", r.State)
	}
	return withQuery(r.Redirect, v), nil
}

// repost turns an authorisation request that was posted (OpenID Connect Core section 3.1.2.1) into one that is got: the browser then
// brings its session along.
func repost(w http.ResponseWriter, r *http.Request) error {
	form, err := readForm(r)
	if err != nil {
		return err
	}
	http.Redirect(w, r, r.URL.Path+"?"+form.Encode(), http.StatusSeeOther)
	return nil
}

// ReturnsTo is the origin to which the answer to an authorisation request will go, for a page's form-action; "" when the request
// does not hold.
func (s *Server) ReturnsTo(ctx context.Context, q url.Values) string {
	r, err := s.Parse(ctx, q)
	if _, told := s.Returned(err); err != nil && !told {
		return ""
	}
	u, err := url.Parse(r.Redirect)
	if err != nil {
		return ""
	}
	if u.Host == "" {
		return u.Scheme + ":"
	}
	return u.Scheme + "://" + u.Host
}

// ReturnsAfterLogout is where somebody goes once they have signed out for a client: "" unless the address is one of its own.
func (s *Server) ReturnsAfterLogout(c Client, address, state string) string {
	if address == "" || !c.sendsTo(address) {
		return ""
	}
	if state == "" {
		return address
	}
	return withQuery(address, url.Values{"state": {state}})
}
