package signin

import (
	"encoding/base64"
	"net"
	"net/http"
	"net/url"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/signin/credential"
	"github.com/openspine/openspine/signin/limit"
	"github.com/openspine/openspine/web"
)

// credentialRoutes are the ways in: a passkey, a recovery code, an administrator's link; and, for somebody with several roles, the
// choice of one.
func (d *Door) credentialRoutes() []catalogue.Route {
	return []catalogue.Route{
		catalogue.Public("POST /sign-in/passkey", d.enterPasskey),
		catalogue.Public("GET /sign-in/recover", d.showRecover),
		catalogue.Public("POST /sign-in/recover", d.enterRecover),
		catalogue.Public("GET /sign-in/enrol", d.showEnrol),
		catalogue.Public("POST /sign-in/enrol", d.enrol),
		catalogue.Public("POST /sign-in/enrol/codes", d.enrolCodes),
		catalogue.ForRole("GET /sign-in/role", d.showRoles),
		catalogue.ForRole("POST /sign-in/role", d.takeRole),
	}
}

// deviceOf is what a browser says it is, in few words.
func deviceOf(r *http.Request) string {
	agent := r.UserAgent()
	name := func(all ...string) string {
		for i := 0; i < len(all); i += 2 {
			if strings.Contains(agent, all[i]) {
				return all[i+1]
			}
		}
		return ""
	}
	browser := name("Edg/", "Edge", "OPR/", "Opera", "Firefox/", "Firefox", "Chrome/", "Chrome", "Safari/", "Safari")
	system := name("iPhone", "iPhone", "iPad", "iPad", "Android", "Android", "Windows", "Windows", "Mac OS X", "Mac", "Linux", "Linux")
	switch {
	case browser != "" && system != "":
		return browser + ", " + system
	case browser != "" || system != "":
		return browser + system
	}
	return ""
}

// admit signs somebody in who has shown who they are, and sends them on: to the choice of a role when they have several.
func (d *Door) admit(w http.ResponseWriter, r *http.Request, user, method, assurance, to string) error {
	u, profiles, err := d.k.Gate.Profiles(r.Context(), user)
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.Forbidden, "You cannot sign in here any more. Ask an administrator.")
	}
	if err != nil {
		return err
	}
	if u.Role == access.Patient || assurance == "" {
		assurance = assuranceOf(u, method)
	}
	s, err := d.k.Gate.SignInAs(r.Context(), access.Entry{User: user, Method: method, Assurance: assurance, Device: deviceOf(r), Before: access.SecretOf(r)})
	if err != nil {
		return err
	}
	return d.entered(w, r, s, len(profiles), to)
}

// entered gives the browser its session and sends it on: to the choice of a role when there are several.
func (d *Door) entered(w http.ResponseWriter, r *http.Request, s access.Session, roles int, to string) error {
	http.SetCookie(w, s.Cookie(access.Secure(r)))
	if roles > 1 {
		return web.SeeOther(w, r, "/sign-in/role?"+url.Values{"to": {to}}.Encode())
	}
	return web.SeeOther(w, r, to)
}

func form(r *http.Request) error {
	return fault.Wrap(r.ParseForm(), fault.Invalid, "The form could not be read.")
}

func (d *Door) enterPasskey(w http.ResponseWriter, r *http.Request) error {
	if err := form(r); err != nil {
		return err
	}
	e, err := d.credentials.Enter(r.Context(), r.PostForm.Get("seal"), r.PostForm.Get("credential"), limit.Address(r))
	if err != nil {
		return err
	}
	return d.admit(w, r, e.User, "passkey", e.Assurance, within(r.PostForm.Get("to")))
}

func (d *Door) showRecover(w http.ResponseWriter, r *http.Request) error {
	to := within(r.URL.Query().Get("to"))
	d.mayReturn(w, r, to)
	return web.Render(w, r, http.StatusOK, recoverPage(to, "", ""))
}

func (d *Door) enterRecover(w http.ResponseWriter, r *http.Request) error {
	if err := form(r); err != nil {
		return err
	}
	user, to := strings.TrimSpace(r.PostForm.Get("user")), within(r.PostForm.Get("to"))
	err := d.credentials.Recover(r.Context(), user, r.PostForm.Get("code"), limit.Address(r))
	if fault.Is(err, fault.Invalid) || fault.Is(err, fault.TooMany) {
		d.mayReturn(w, r, to)
		return web.Render(w, r, fault.KindOf(err).HTTPStatus(), recoverPage(to, user, fault.MessageOf(err)))
	}
	if err != nil {
		return err
	}
	return d.admit(w, r, user, "recovery code", "", to)
}

func (d *Door) showEnrol(w http.ResponseWriter, r *http.Request) error {
	code := r.URL.Query().Get("code")
	user, err := d.credentials.Link(r.Context(), code, limit.Address(r))
	if err != nil {
		return err
	}
	u, err := d.k.Gate.UserByID(r.Context(), user)
	if err != nil {
		return err
	}
	c, err := d.credentials.BeginPasskey(r.Context(), u)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, enrolPage(u.Name, code, c, d.addressFor(r), d.elsewhere.All(u.Role.Realm())))
}

// addressFor is the address at which passkeys work, when this is not it: a browser takes a name, not a number.
func (d *Door) addressFor(r *http.Request) string {
	_, origin := credential.Site(d.k.BaseURL())
	if u, err := url.Parse(origin); err == nil && u.Host != r.Host && net.ParseIP(strings.Trim(hostOf(r.Host), "[]")) != nil {
		return origin + r.URL.RequestURI()
	}
	return ""
}

func hostOf(hostport string) string {
	if host, _, err := net.SplitHostPort(hostport); err == nil {
		return host
	}
	return hostport
}

// enrol keeps somebody's first passkey; until it does, the link stays good.
func (d *Door) enrol(w http.ResponseWriter, r *http.Request) error {
	if err := form(r); err != nil {
		return err
	}
	return d.enrolled(w, r, credential.Offer{Seal: r.PostForm.Get("seal"), Answer: r.PostForm.Get("credential"), Name: deviceOf(r)})
}

// enrolCodes is for somebody whose browser has no passkeys: ten codes, each for one sign-in.
func (d *Door) enrolCodes(w http.ResponseWriter, r *http.Request) error {
	if err := form(r); err != nil {
		return err
	}
	return d.enrolled(w, r, credential.Offer{})
}

// enrolled uses the link up, signs somebody in for the first time and shows them their recovery codes.
func (d *Door) enrolled(w http.ResponseWriter, r *http.Request, o credential.Offer) error {
	u, codes, err := d.credentials.Enrol(r.Context(), r.PostForm.Get("code"), limit.Address(r), o)
	if err != nil {
		return err
	}
	s, err := d.k.Gate.SignInAs(r.Context(), access.Entry{User: u.ID, Method: "link", Assurance: assuranceOf(u, "link"), Device: deviceOf(r), Before: access.SecretOf(r)})
	if err != nil {
		return err
	}
	http.SetCookie(w, s.Cookie(access.Secure(r)))
	return web.Render(w, r, http.StatusOK, codesPage(u.ID, codes))
}

// showRoles asks somebody with several roles in which they come in.
func (d *Door) showRoles(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	_, profiles, err := d.k.Gate.Profiles(r.Context(), p.ID)
	if err != nil {
		return err
	}
	var options []web.Option
	for _, pr := range profiles {
		options = append(options, web.Option{Value: pr.ID, Text: web.RoleName(r.Context(), string(pr.Role)), Hint: d.k.Organisation(r.Context(), pr.Organisation)})
	}
	to := within(r.URL.Query().Get("to"))
	d.mayReturn(w, r, to)
	return web.Render(w, r, http.StatusOK, rolesPage(options, p.Profile, to))
}

func (d *Door) takeRole(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	session, err := d.session(r)
	if err != nil {
		return err
	}
	if session == nil {
		return fault.New(fault.Unauthenticated, "You are not signed in any more.")
	}
	s, err := d.k.Gate.SignInAs(r.Context(), access.Entry{User: p.ID, Profile: r.PostForm.Get("role"), Method: session.Method, Assurance: p.Assurance, Proofing: p.Proofing, Device: deviceOf(r), Before: session.Secret})
	if err != nil {
		return err
	}
	if err := d.elsewhere.Moved(r.Context(), session.Principal.SessionID, s.Principal.SessionID); err != nil {
		return err
	}
	http.SetCookie(w, s.Cookie(access.Secure(r)))
	return web.SeeOther(w, r, within(r.PostForm.Get("to")))
}

// encodeID and decodeID carry a passkey's id through a form.
func encodeID(id []byte) string { return base64.RawURLEncoding.EncodeToString(id) }

func decodeID(s string) []byte {
	id, err := base64.RawURLEncoding.DecodeString(s)
	if err != nil {
		return nil // no passkey has it
	}
	return id
}
