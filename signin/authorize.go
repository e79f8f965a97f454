package signin

import (
	"net/http"
	"net/url"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/signin/oauth"
	"github.com/openspine/openspine/web"
)

// session is who is signed in with this browser; nil for nobody.
func (d *Door) session(r *http.Request) (*access.Session, error) {
	secret := access.SecretOf(r)
	if secret == "" {
		return nil, nil
	}
	s, err := d.k.Gate.SessionOf(r.Context(), secret)
	if fault.Is(err, fault.Unauthenticated) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	return &s, nil
}

// authorize is where a program sends somebody to sign in to it (RFC 6749 section 3.1).
func (d *Door) authorize(w http.ResponseWriter, r *http.Request) error {
	req, err := d.tokens.Parse(r.Context(), r.URL.Query())
	if err != nil {
		return d.unasked(w, r, err)
	}
	return d.answerRequest(w, r, req)
}

func (d *Door) answerRequest(w http.ResponseWriter, r *http.Request, req oauth.Request) error {
	session, err := d.session(r)
	if err != nil {
		return err
	}
	waits, err := d.tokens.Waits(r.Context(), req, session)
	if err != nil {
		return d.unasked(w, r, err)
	}
	switch waits {
	case oauth.NeedSignIn:
		return web.SeeOther(w, r, "/sign-in?"+url.Values{"to": {oauth.PathAuthorize + "?" + req.Query.Encode()}}.Encode())
	case oauth.NeedPatient:
		return d.askPatient(w, r, req, "")
	case oauth.NeedConsent:
		web.FormsMayGoTo(w, d.tokens.ReturnsTo(r.Context(), req.Query))
		return web.Render(w, r, http.StatusOK, consentPage(consentOf(req, session.Principal)))
	}
	return d.grant(w, r, req, *session)
}

func (d *Door) grant(w http.ResponseWriter, r *http.Request, req oauth.Request, session access.Session) error {
	location, err := d.tokens.Grant(r.Context(), req, session)
	if err != nil {
		return d.unasked(w, r, err)
	}
	return found(w, location)
}

// found sends the browser to a client's address: as it was registered, for it is not for us to tidy it up.
func found(w http.ResponseWriter, location string) error {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusFound)
	return nil
}

// unasked answers an authorisation request that fails: by way of the browser when the client may know, and otherwise here, as a page
// for a person and as the published error for a program.
func (d *Door) unasked(w http.ResponseWriter, r *http.Request, err error) error {
	if location, told := d.tokens.Returned(err); told {
		return found(w, location)
	}
	if !strings.Contains(r.Header.Get("Accept"), "text/html") {
		oauth.Face{}.Refuse(w, r, err)
		return nil
	}
	if fault.Is(err, fault.Unauthenticated) {
		return fault.Wrap(err, fault.Invalid, "%s", web.Text(r.Context(), "signin.client.unknown"))
	}
	return err
}

// consentForm is what somebody is asked to agree to.
type consentForm struct {
	Client  oauth.Client
	Name    string
	Realm   string
	May     []string // keys of what the client may do, with what it is about
	Query   string
	Patient bool
}

func consentOf(req oauth.Request, p access.Principal) consentForm {
	return consentForm{Client: req.Client, Name: p.Name, Realm: req.Realm(), May: req.Scopes, Query: req.Query.Encode(), Patient: p.Role == access.Patient}
}

// consent takes the answer.
func (d *Door) consent(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	q, err := url.ParseQuery(r.PostForm.Get("request"))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "The form could not be read.")
	}
	req, err := d.tokens.Parse(r.Context(), q)
	if err != nil {
		return d.unasked(w, r, err)
	}
	if r.PostForm.Get("answer") != "yes" {
		return found(w, d.tokens.Denied(req))
	}
	session, err := d.session(r)
	if err != nil {
		return err
	}
	if session == nil || session.Principal.ID != p.ID {
		return fault.New(fault.Unauthenticated, "You are not signed in any more.")
	}
	if err := d.tokens.Agree(r.Context(), p.ID, req.Client.ID, req.Scopes); err != nil {
		return err
	}
	return d.grant(w, r, req, *session)
}

// askPatient asks a professional whom an app is to be about (SMART App Launch 2, standalone launch).
func (d *Door) askPatient(w http.ResponseWriter, r *http.Request, req oauth.Request, failed string) error {
	return web.Render(w, r, http.StatusOK, patientPage(req.Client.Name, req.Query, failed))
}

// choosePatient takes the number and goes on with the request.
func (d *Door) choosePatient(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	q, err := url.ParseQuery(r.PostForm.Get("request"))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "The form could not be read.")
	}
	req, err := d.tokens.Parse(r.Context(), q)
	if err != nil {
		return d.unasked(w, r, err)
	}
	number := strings.ReplaceAll(strings.TrimSpace(r.PostForm.Get("patient")), " ", "")
	if err := d.tokens.Sees(r.Context(), p, number); err != nil {
		if fault.KindOf(err).HTTPStatus() >= 500 {
			return err
		}
		return d.askPatient(w, r, req, web.Text(r.Context(), "signin.patient.unknown"))
	}
	launch, err := d.tokens.Launch(p, req.Client, number)
	if err != nil {
		return err
	}
	q.Set("launch", launch)
	return web.SeeOther(w, r, oauth.PathAuthorize+"?"+q.Encode())
}

// realmOf is the realm of the program that somebody is on their way to; "" when they come for these pages themselves.
func (d *Door) realmOf(r *http.Request, to string) string {
	q, ok := requestIn(to)
	if !ok {
		return ""
	}
	req, err := d.tokens.Parse(r.Context(), q)
	if err != nil {
		return ""
	}
	return req.Realm()
}

// requestIn is the authorisation request in the address that somebody will go on to.
func requestIn(to string) (url.Values, bool) {
	query, ok := strings.CutPrefix(to, oauth.PathAuthorize+"?")
	if !ok {
		return nil, false
	}
	q, err := url.ParseQuery(query)
	return q, err == nil
}

// mayReturn lets a page's forms lead to the program that somebody is on their way to: a browser follows its form-action through
// every redirect.
func (d *Door) mayReturn(w http.ResponseWriter, r *http.Request, to string) {
	if q, ok := requestIn(to); ok {
		web.FormsMayGoTo(w, d.tokens.ReturnsTo(r.Context(), q))
	}
}

// mockRoutes are the sign-in of client tests: whoever knows a user's id of the demonstration is that user.
func (d *Door) mockRoutes() []catalogue.Route {
	return []catalogue.Route{
		catalogue.Public("GET "+oauth.Mock+"/authorize", func(w http.ResponseWriter, r *http.Request) error {
			if _, err := d.tokens.Parse(r.Context(), r.URL.Query()); err != nil {
				return d.unasked(w, r, err)
			}
			return found(w, d.k.BaseURL()+oauth.Mock+"/sign-in?"+r.URL.RawQuery)
		}),
		catalogue.Public("GET "+oauth.Mock+"/sign-in", func(w http.ResponseWriter, r *http.Request) error {
			return d.mockForm(w, r, http.StatusOK, "")
		}),
		catalogue.Public("POST "+oauth.Mock+"/sign-in", d.mockEnter),
	}
}

func (d *Door) mockForm(w http.ResponseWriter, r *http.Request, status int, failed string) error {
	req, err := d.tokens.Parse(r.Context(), r.URL.Query())
	if err != nil {
		return d.unasked(w, r, err)
	}
	web.FormsMayGoTo(w, d.tokens.ReturnsTo(r.Context(), r.URL.Query()))
	return web.Render(w, r, status, mockPage(d.k.BaseURL()+oauth.Mock+"/sign-in?"+r.URL.RawQuery, req.Client.Name, failed))
}

func (d *Door) mockEnter(w http.ResponseWriter, r *http.Request) error {
	req, err := d.tokens.Parse(r.Context(), r.URL.Query())
	if err != nil {
		return d.unasked(w, r, err)
	}
	if err := r.ParseForm(); err != nil {
		return fault.Wrap(err, fault.Invalid, "The form could not be read.")
	}
	u, err := d.demoUser(r, r.PostForm.Get("username"))
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	if err != nil || u.Role.Realm() != req.Realm() {
		return d.mockForm(w, r, http.StatusBadRequest, web.Text(r.Context(), "signin.mock.unknown"))
	}
	p, err := d.k.Gate.PrincipalOf(r.Context(), u.ID, "")
	if err != nil {
		return err
	}
	p.Assurance = assuranceOf(u, "mock")
	return d.grant(w, r, req, access.Session{Principal: p, Method: "mock", Since: d.k.Clock.Now()})
}

// demoUser is somebody of the demonstration by their id or, for a patient, their NHS number.
func (d *Door) demoUser(r *http.Request, name string) (access.User, error) {
	none := fault.New(fault.NotFound, "There is no such user in this demonstration.")
	name = strings.TrimSpace(name)
	users, err := d.k.Gate.DemoUsers(r.Context())
	if err != nil {
		return access.User{}, err
	}
	for _, u := range users {
		if name != "" && (u.ID == name || u.Role == access.Patient && u.Person == name) {
			return u, nil
		}
	}
	return access.User{}, none
}

// assuranceOf is how sure a sign-in by some method is of a user (NHS CIS2: AAL2, AAL3; NHS login: P5, P9). The people of a
// demonstration are as sure as can be, so that everything can be tried.
func assuranceOf(u access.User, method string) string {
	switch {
	case method == "demo" || method == "mock":
		if u.Role == access.Patient {
			return "P9"
		}
		return "AAL3"
	case u.Role == access.Patient:
		return u.Proofed
	case method == "passkey":
		return "AAL3"
	case method == "recovery code" || method == "link" || method == "one-time link":
		return "AAL2"
	}
	return ""
}

// logout ends the session for a client that asks (OpenID Connect RP-Initiated Logout 1.0): the person is asked first, and goes back to
// the client only when the address is one of its own.
func (d *Door) logout(w http.ResponseWriter, r *http.Request) error {
	q := r.URL.Query()
	back := ""
	if c, err := d.tokens.Client(r.Context(), q.Get("client_id")); err == nil {
		back = d.tokens.ReturnsAfterLogout(c, q.Get("post_logout_redirect_uri"), q.Get("state"))
	} else if !fault.Is(err, fault.NotFound) {
		return err
	}
	session, err := d.session(r)
	if err != nil {
		return err
	}
	if session == nil {
		if back != "" {
			return found(w, back)
		}
		return web.SeeOther(w, r, "/sign-in")
	}
	if back != "" {
		if u, err := url.Parse(back); err == nil {
			web.FormsMayGoTo(w, u.Scheme+"://"+u.Host)
		}
	}
	return web.Render(w, r, http.StatusOK, logoutPage(session.Principal.Name, q.Encode()))
}

// logoutNow is the person's yes.
func (d *Door) logoutNow(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	q, err := url.ParseQuery(r.PostForm.Get("request"))
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "The form could not be read.")
	}
	if err := d.signOut(r, p); err != nil {
		return err
	}
	http.SetCookie(w, access.NoCookie(access.Secure(r)))
	if c, err := d.tokens.Client(r.Context(), q.Get("client_id")); err == nil {
		if back := d.tokens.ReturnsAfterLogout(c, q.Get("post_logout_redirect_uri"), q.Get("state")); back != "" {
			return found(w, back)
		}
	}
	return web.SeeOther(w, r, "/sign-in")
}
