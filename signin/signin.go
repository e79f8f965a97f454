// Package signin is the door: who are you, and in which role do you come in? In a demonstration anybody can be anybody
// with one click; the full identity provider stands behind the same door later.
//
//	(nobody) ── choose who to be ──► signed in ── sign out, or half an hour of nothing ──► (nobody)
package signin

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/signin/admin"
	"github.com/openspine/openspine/signin/credential"
	"github.com/openspine/openspine/signin/oauth"
	"github.com/openspine/openspine/signin/provider"
	"github.com/openspine/openspine/web"
)

// Door is the sign-in of one node.
type Door struct {
	k      catalogue.Kernel
	demo   bool
	tokens *oauth.Server

	credentials *credential.Keeper
	elsewhere   *provider.Providers

	mu     sync.Mutex
	first  first
	beside func() []Neighbour
}

// New is the door of a node; demo offers everybody with one click.
func New(k catalogue.Kernel, demo bool) *Door {
	return &Door{k: k, demo: demo, tokens: oauth.New(k, oauth.Options{Mock: demo}), credentials: credential.New(k), elsewhere: &provider.Providers{}}
}

// Neighbour is another node of a demonstration, whose own people sign in there.
type Neighbour struct {
	Name, Kind string
	URL        string // of the node
}

// Beside says which other nodes a demonstration has; it is asked for each page. It is called before the door opens.
func (d *Door) Beside(neighbours func() []Neighbour) { d.beside = neighbours }

// neighbours are the other nodes of a demonstration.
func (d *Door) neighbours() []Neighbour {
	if d.beside == nil {
		return nil
	}
	return d.beside()
}

// Trust opens the door to those for whom providers elsewhere vouch. Errors: fault.Invalid and fault.NotFound, for whoever wrote the configuration.
func (d *Door) Trust(settings []provider.Settings) (err error) {
	d.elsewhere, err = provider.New(d.k, d.credentials, settings, provider.Options{End: d.endSession})
	return err
}

// Elsewhere are the providers whom the node trusts.
func (d *Door) Elsewhere() *provider.Providers { return d.elsewhere }

// Tokens is the authorisation server behind the door.
func (d *Door) Tokens() *oauth.Server { return d.tokens }

// Credentials are how this node's users show that they are themselves.
func (d *Door) Credentials() *credential.Keeper { return d.credentials }

// Services are the sign-in pages, and what programs call.
func (d *Door) Services() []catalogue.Service {
	pages := []catalogue.Route{
		catalogue.Public("GET /sign-in", d.show),
		catalogue.Public("POST /sign-in", d.enter),
		catalogue.Public("GET /sign-in/passkey", d.showEntry),
		catalogue.Public("GET /sign-in/first", d.showFirst),
		catalogue.Public("POST /sign-in/first", d.enterFirst),
		catalogue.ForRole("POST /sign-out", d.leave),
		catalogue.Public("GET "+oauth.PathAuthorize, d.authorize),
		catalogue.ForRole("POST /oauth2/consent", d.consent),
		catalogue.ForRole("POST /oauth2/patient", d.choosePatient),
		catalogue.Public("GET "+oauth.PathLogout, d.logout),
		catalogue.ForRole("POST "+oauth.PathLogout, d.logoutNow),
	}
	pages = append(append(pages, d.credentialRoutes()...), slices.Concat(d.deviceRoutes(), d.elsewhereRoutes(), d.appRoutes())...)
	if d.demo {
		pages = append(pages, d.mockRoutes()...)
	}
	return []catalogue.Service{{Name: "signin", Summary: "Sign in and out, with a passkey; choose a role; my devices and sessions.", Schema: credential.Schema(), Pages: pages,
		Jobs: []catalogue.Job{{Name: "leavers", Every: 30 * time.Second, Run: func(ctx context.Context) error {
			return d.k.Gate.EndLeavers(ctx, access.Service("signin", d.k.National))
		}}},
		Links: []catalogue.Link{{Key: "signin.devices.title", Path: oauth.PathManage, Last: true}}}, d.tokens.Service(), d.elsewhereService()}
}

// Administration is the pages of those who say who may come in.
func (d *Door) Administration() catalogue.Service {
	return admin.Service(d.k, d.tokens, d.credentials, d.elsewhere)
}

func (d *Door) show(w http.ResponseWriter, r *http.Request) error {
	if !d.demo {
		return d.showEntry(w, r)
	}
	users, err := d.k.Gate.DemoUsers(r.Context())
	if err != nil {
		return err
	}
	to := within(r.URL.Query().Get("to"))
	if realm := d.realmOf(r, to); realm != "" {
		users = slices.DeleteFunc(users, func(u access.User) bool { return u.Role.Realm() != realm })
	}
	d.mayReturn(w, r, to)
	return web.Render(w, r, http.StatusOK, choosePage(d.groups(r.Context(), users), d.neighbours(), to, d.waysIn(r, to)))
}

// showEntry asks for a passkey.
func (d *Door) showEntry(w http.ResponseWriter, r *http.Request) error {
	c, err := d.credentials.BeginEntry()
	if err != nil {
		return err
	}
	to := within(r.URL.Query().Get("to"))
	d.mayReturn(w, r, to)
	return web.Render(w, r, http.StatusOK, entryPage(c, to, d.addressFor(r), d.demo, d.waysIn(r, to)))
}

// group is the users of one organisation.
type group struct {
	Name, Kind string
	Users      []access.User
}

// kinds are the kinds of organisation in the order in which a visitor meets them; people themselves come last.
var kinds = []string{"practice", "hospital", "pharmacy", "national", "other", "patients"}

// groups puts together those who work at one place, and the patients.
func (d *Door) groups(ctx context.Context, users []access.User) []group {
	var all []group
	for _, u := range users {
		g := group{Name: u.Organisation.String(), Kind: "other"}
		for _, t := range d.k.Tenants {
			if t.Code == u.Organisation {
				g.Name, g.Kind = t.Name, t.Kind
			}
		}
		if g.Kind == "other" {
			g.Name = d.k.Organisation(ctx, u.Organisation)
		}
		if u.Role == access.Patient {
			g = group{Name: web.Text(ctx, "signin.patients"), Kind: "patients"}
		}
		i := slices.IndexFunc(all, func(x group) bool { return x.Name == g.Name })
		if i < 0 {
			i = len(all)
			all = append(all, g)
		}
		all[i].Users = append(all[i].Users, u)
	}
	slices.SortStableFunc(all, func(a, b group) int { return slices.Index(kinds, a.Kind) - slices.Index(kinds, b.Kind) })
	return all
}

func (d *Door) enter(w http.ResponseWriter, r *http.Request) error {
	if !d.demo {
		return fault.New(fault.Forbidden, "This is not a demonstration; sign in with your own account.")
	}
	if err := r.ParseForm(); err != nil {
		return fault.Wrap(err, fault.Invalid, "The form could not be read.")
	}
	u, err := d.k.Gate.UserByID(r.Context(), r.PostForm.Get("user"))
	if err != nil {
		return err
	}
	if !u.Demo {
		return fault.New(fault.Forbidden, "Nobody may sign in as this user with one click.")
	}
	return d.admit(w, r, u.ID, "demo", assuranceOf(u, "demo"), within(r.PostForm.Get("to")))
}

func (d *Door) leave(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	from, err := d.elsewhere.Of(r.Context(), p.SessionID)
	if err != nil {
		return err
	}
	if err := d.signOut(r, p); err != nil {
		return err
	}
	http.SetCookie(w, access.NoCookie(access.Secure(r)))
	if from != nil {
		return web.SeeOther(w, r, "/sign-in?"+url.Values{"left": {from.ID}}.Encode())
	}
	return web.SeeOther(w, r, "/sign-in")
}

// signOut ends the session of a browser, and what programs were given in it.
func (d *Door) signOut(r *http.Request, p access.Principal) error {
	if err := d.k.Gate.SignOut(r.Context(), access.Session{Secret: access.SecretOf(r), Principal: p}); err != nil {
		return err
	}
	return d.tokens.EndOrigin(r.Context(), p, p.Origins)
}

// within is to when it is a path on this site, and the home page otherwise: a link never sends anybody elsewhere.
func within(to string) string {
	u, err := url.Parse(to)
	if err != nil || u.IsAbs() || u.Host != "" || !strings.HasPrefix(to, "/") || strings.HasPrefix(to, "//") || strings.ContainsAny(to, "\\\r\n") {
		return "/"
	}
	return to
}
