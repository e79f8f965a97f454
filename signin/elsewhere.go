package signin

import (
	"encoding/json"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/signin/limit"
	"github.com/openspine/openspine/signin/oauth"
	"github.com/openspine/openspine/signin/provider"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// elsewhereRoutes are the way to a provider and back.
func (d *Door) elsewhereRoutes() []catalogue.Route {
	return []catalogue.Route{
		catalogue.Public("GET /sign-in/with/{provider}", d.setOut),
		catalogue.Public("GET /sign-in/with/{provider}/back", d.comeBack),
		catalogue.Public("GET /sign-in/with/{provider}/leave", d.leaveElsewhere),
		catalogue.Public("GET /sign-in/with/{provider}/left", func(w http.ResponseWriter, r *http.Request) error { return web.SeeOther(w, r, "/sign-in") }),
	}
}

// elsewhereService is what providers call themselves.
func (d *Door) elsewhereService() catalogue.Service {
	return catalogue.Service{Name: "provider", Summary: "Sign-in by way of OpenID providers elsewhere.", Schema: provider.Schema(),
		Published: []catalogue.Published{{Face: oauth.Face{}, Routes: []catalogue.Route{
			catalogue.Public("GET /sign-in/with/{provider}/keys", d.keysForProvider),
			catalogue.Public("POST /sign-in/with/{provider}/logout", d.toldOfLogout),
		}}},
		Jobs: []catalogue.Job{{Name: "forget-sessions", Every: time.Hour, Run: d.elsewhere.Forget}}}
}

// waysIn are the providers that a sign-in page offers, and the one at which somebody who has just signed out may still be signed in.
type waysIn struct {
	Providers []*provider.Provider
	Left      *provider.Provider
	Out       string // in words, why the session is over that the browser still shows
}

func (d *Door) waysIn(r *http.Request, to string) waysIn {
	in := waysIn{Providers: d.elsewhere.All(d.realmOf(r, to))}
	if p, err := d.elsewhere.ByID(r.URL.Query().Get("left")); err == nil {
		in.Left = p
	}
	if why, err := d.k.Gate.WhyEnded(r.Context(), access.SecretOf(r)); err == nil && web.HasText("signin.out."+why) {
		in.Out = web.Text(r.Context(), "signin.out."+why)
	}
	return in
}

// viaPrefix begins the method of a session that came of a provider; its id follows.
const viaPrefix = "with "

// titleOf is how people know a way in.
func (d *Door) titleOf(method string) string {
	if id, ok := strings.CutPrefix(method, viaPrefix); ok {
		if p, err := d.elsewhere.ByID(id); err == nil {
			return p.Title
		}
	}
	return method
}

// setOut sends somebody to a provider.
func (d *Door) setOut(w http.ResponseWriter, r *http.Request) error {
	p, err := d.elsewhere.ByID(r.PathValue("provider"))
	if err != nil {
		return err
	}
	q := r.URL.Query()
	start := provider.Start{To: within(q.Get("to")), MaxAge: -1, Link: q.Get("code"), Secure: access.Secure(r)}
	if request, ok := requestIn(start.To); ok {
		if req, err := d.tokens.Parse(r.Context(), request); err == nil {
			start.MaxAge, start.Fresh = req.MaxAge, slices.Contains(req.Prompt, "login")
		}
	}
	if token := q.Get("connect"); token != "" {
		session, err := d.session(r)
		if err != nil {
			return err
		}
		if session == nil {
			return fault.New(fault.Unauthenticated, "You are not signed in any more.")
		}
		if err := session.CheckForm(token); err != nil {
			return err
		}
		start.Connect, start.To = session.Principal.ID, oauth.PathManage+"?done=connected"
	}
	location, cookie, err := d.elsewhere.Begin(r.Context(), p, start)
	if err != nil {
		return d.notLetIn(w, r, p, start.To, err)
	}
	http.SetCookie(w, cookie)
	return seeOther(w, location)
}

// seeOther sends a browser to another site, whose address is as it was published.
func seeOther(w http.ResponseWriter, location string) error {
	w.Header().Set("Location", location)
	w.WriteHeader(http.StatusSeeOther)
	return nil
}

// comeBack takes somebody who comes from a provider.
func (d *Door) comeBack(w http.ResponseWriter, r *http.Request) error {
	p, err := d.elsewhere.ByID(r.PathValue("provider"))
	if err != nil {
		return err
	}
	if c := provider.Used(r); c != nil {
		http.SetCookie(w, c)
	}
	a, err := d.elsewhere.Finish(r.Context(), p, r)
	if err != nil {
		return d.notLetIn(w, r, p, "/", err)
	}
	if a.Connect != "" {
		return d.connected(w, r, a)
	}
	var u access.User
	if a.Link != "" {
		u, err = d.elsewhere.Enrol(r.Context(), a, limit.Address(r))
	} else {
		u, err = d.elsewhere.Recognise(r.Context(), a)
	}
	if err != nil {
		return d.notLetIn(w, r, p, a.To, err)
	}
	_, profiles, err := d.k.Gate.Profiles(r.Context(), u.ID)
	if err != nil {
		return err
	}
	s, err := d.k.Gate.SignInAs(r.Context(), access.Entry{User: u.ID, Method: viaPrefix + p.ID, Assurance: a.Assurance, Proofing: a.Proofing, Device: deviceOf(r), Before: access.SecretOf(r)})
	if err != nil {
		return err
	}
	if err := d.elsewhere.Began(r.Context(), s.Principal.SessionID, u, a); err != nil {
		return err // nobody has the session's secret: it ends by itself
	}
	return d.entered(w, r, s, len(profiles), within(a.To))
}

// connected adds a provider to the ways in of whoever set out, if they are still the one who is signed in.
func (d *Door) connected(w http.ResponseWriter, r *http.Request, a provider.Arrival) error {
	session, err := d.session(r)
	if err != nil {
		return err
	}
	if session == nil || session.Principal.ID != a.Connect {
		return fault.New(fault.Unauthenticated, "You are not signed in any more.")
	}
	if err := d.elsewhere.Connect(r.Context(), a.Connect, a); err != nil {
		return d.notLetIn(w, r, a.Provider, oauth.PathManage, err)
	}
	return web.SeeOther(w, r, within(a.To))
}

// refusedView is why somebody was not let in.
type refusedView struct{ Reason, Title, Again, To string }

// notLetIn says why somebody who set out to a provider, or came from one, is not let in. The log has the cause; neither names them.
func (d *Door) notLetIn(w http.ResponseWriter, r *http.Request, p *provider.Provider, to string, err error) error {
	reason, ok := provider.ReasonOf(err)
	if !ok {
		return err
	}
	d.k.Logger.Warn("a sign-in at a provider did not hold", "provider", p.ID, "cause", err)
	v := refusedView{Reason: string(reason), Title: p.Title, To: to}
	if reason == provider.Down || reason == provider.Stale || reason == provider.Declined {
		v.Again = "/sign-in/with/" + p.ID + "?" + url.Values{"to": {to}}.Encode()
	}
	if reason == provider.Down {
		w.Header().Set("Retry-After", "30")
	}
	return web.Render(w, r, fault.KindOf(err).HTTPStatus(), refusedPage(v))
}

// leaveElsewhere signs somebody out at the provider, who asks them there.
func (d *Door) leaveElsewhere(w http.ResponseWriter, r *http.Request) error {
	p, err := d.elsewhere.ByID(r.PathValue("provider"))
	if err != nil {
		return err
	}
	if location, ok := d.elsewhere.LeaveAt(r.Context(), p); ok {
		return seeOther(w, location)
	}
	return web.Render(w, r, http.StatusServiceUnavailable, refusedPage(refusedView{Reason: "no-leave", Title: p.Title, To: "/"}))
}

// keysForProvider are the keys with which this node shows a provider who it is.
func (d *Door) keysForProvider(w http.ResponseWriter, r *http.Request) error {
	p, err := d.elsewhere.ByID(r.PathValue("provider"))
	if err != nil {
		return err
	}
	text, err := json.Marshal(p.Keys())
	if err != nil {
		return fault.Wrap(err, fault.Internal, "writing a key set")
	}
	w.Header().Set("Content-Type", "application/jwk-set+json")
	w.Header().Set("Cache-Control", "public, max-age=300")
	_, err = w.Write(text)
	return fault.Wrap(err, fault.Internal, "writing a key set")
}

// toldOfLogout takes a provider's word that somebody has left.
func (d *Door) toldOfLogout(w http.ResponseWriter, r *http.Request) error {
	p, err := d.elsewhere.ByID(r.PathValue("provider"))
	if err != nil {
		return err
	}
	token, err := oauth.LogoutToken(r)
	if err != nil {
		return err
	}
	w.Header().Set("Cache-Control", "no-store")
	err = d.elsewhere.LoggedOut(r.Context(), p, token)
	if reason, ok := provider.ReasonOf(err); ok && reason != provider.Down {
		d.k.Logger.Warn("a logout token does not hold", "provider", p.ID, "cause", err)
		return fault.Wrap(err, fault.Invalid, "the logout token does not hold")
	}
	if err != nil {
		return err
	}
	w.WriteHeader(http.StatusOK)
	return nil
}

// connection is a provider that somebody can add to their ways in.
type connection struct{ Title, URL string }

// providerTable lists the accounts elsewhere that stand for somebody, and those that they can add.
func (d *Door) providerTable(r *http.Request, p access.Principal) (web.Table, []connection, error) {
	ctx := r.Context()
	t := web.Table{ID: "providers", RowHeader: true, Caption: web.Text(ctx, "signin.with.accounts"), Columns: columns(ctx, "provider", "since", "act")}
	links, err := d.elsewhere.LinksOf(ctx, p.ID)
	if err != nil {
		return t, nil, err
	}
	have := map[string]bool{}
	for _, l := range links {
		have[l.Provider] = true
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(l.Title), web.Cell(format.DateTime(l.Since)), web.ShowCell(actButton("provider", l.Issuer, web.Text(ctx, "signin.with.unlink"), l.Title))}})
	}
	session, err := d.session(r)
	if err != nil || session == nil {
		return t, nil, err
	}
	var more []connection
	for _, o := range d.elsewhere.All(p.Role.Realm()) {
		if !have[o.ID] {
			more = append(more, connection{o.Title, "/sign-in/with/" + o.ID + "?" + url.Values{"connect": {session.FormToken()}}.Encode()})
		}
	}
	return t, more, nil
}
