package signin

import (
	"context"
	"net/http"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/signin/credential"
	"github.com/openspine/openspine/signin/oauth"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// deviceRoutes are "my devices and sessions": what is open in somebody's name, and how to close it.
func (d *Door) deviceRoutes() []catalogue.Route {
	return []catalogue.Route{
		catalogue.ForRole("GET "+oauth.PathManage, d.showDevices),
		catalogue.ForRole("POST "+oauth.PathManage, d.act),
		catalogue.ForRole("POST /sign-in/passkeys", d.addPasskey),
	}
}

// devicesView is the page.
type devicesView struct {
	Sessions, Programs, Passkeys web.Table
	Providers                    web.Table
	Connect                      []connection
	Codes                        string
	Ceremony                     credential.Ceremony
	Elsewhere                    string
	Done                         string
}

func (d *Door) showDevices(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	v := devicesView{Elsewhere: d.addressFor(r)}
	if done := r.URL.Query().Get("done"); web.HasText("signin.devices.done-" + done) {
		v.Done = web.Text(ctx, "signin.devices.done-"+done)
	}
	u, err := d.k.Gate.UserByID(ctx, p.ID)
	if err != nil {
		return fault.Wrap(err, fault.Forbidden, "This page is for people who sign in.")
	}
	if v.Sessions, err = d.sessionTable(ctx, p); err != nil {
		return err
	}
	if v.Programs, err = d.programTable(ctx, p); err != nil {
		return err
	}
	if v.Passkeys, err = d.passkeyTable(ctx, p); err != nil {
		return err
	}
	if v.Providers, v.Connect, err = d.providerTable(r, p); err != nil {
		return err
	}
	left, err := d.credentials.RecoveryLeft(ctx, p.ID)
	if err != nil {
		return err
	}
	v.Codes = web.Count(ctx, "signin.devices.codes", left)
	if v.Ceremony, err = d.credentials.BeginPasskey(ctx, u); err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, devicesPage(v))
}

func (d *Door) sessionTable(ctx context.Context, p access.Principal) (web.Table, error) {
	t := web.Table{ID: "sessions", RowHeader: true, Caption: web.Text(ctx, "signin.devices.sessions"), Columns: columns(ctx, "device", "method", "since", "seen", "act")}
	sessions, err := d.k.Gate.Sessions(ctx, p.ID)
	if err != nil {
		return t, err
	}
	for _, s := range sessions {
		device := s.Device
		if device == "" {
			device = web.Text(ctx, "signin.devices.unknown")
		}
		act := web.ShowCell(actButton("session", s.ID, web.Text(ctx, "signin.devices.end"), device))
		if s.ID == p.SessionID {
			act = web.Cell(web.Text(ctx, "signin.devices.this"))
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(device), web.Cell(d.methodName(ctx, s.Method)), web.Cell(format.DateTime(s.Since)), web.Cell(format.DateTime(s.Seen)), act}})
	}
	return t, nil
}

func columns(ctx context.Context, names ...string) []web.Column {
	var list []web.Column
	for _, n := range names {
		list = append(list, web.Column{Text: web.Text(ctx, "signin.devices.column-"+n)})
	}
	return list
}

func (d *Door) methodName(ctx context.Context, method string) string {
	key := map[string]string{"passkey": "passkey", "recovery code": "code", "link": "link", "one-time link": "link", "demo": "demo", "mock": "demo"}[method]
	if key == "" {
		return d.titleOf(method)
	}
	return web.Text(ctx, "signin.method."+key)
}

func (d *Door) programTable(ctx context.Context, p access.Principal) (web.Table, error) {
	t := web.Table{ID: "programs", RowHeader: true, Caption: web.Text(ctx, "signin.devices.programs"), Columns: columns(ctx, "program", "since", "act"),
		Empty: web.Empty{Text: web.Text(ctx, "signin.devices.no-programs"), Help: web.Text(ctx, "signin.devices.no-programs-help")}}
	grants, err := d.tokens.GrantsOf(ctx, p.ID)
	if err != nil {
		return t, err
	}
	seen := map[string]bool{}
	for _, g := range grants {
		if seen[g.Client] {
			continue
		}
		seen[g.Client] = true
		name := g.Client
		if c, err := d.tokens.Client(ctx, g.Client); err == nil {
			name = c.Name
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(name), web.Cell(format.DateTime(g.Since)), web.ShowCell(actButton("program", g.Client, web.Text(ctx, "signin.devices.stop"), name))}})
	}
	return t, nil
}

func (d *Door) passkeyTable(ctx context.Context, p access.Principal) (web.Table, error) {
	t := web.Table{ID: "passkeys", RowHeader: true, Caption: web.Text(ctx, "signin.devices.passkeys"), Columns: columns(ctx, "passkey", "made", "used", "act"),
		Empty: web.Empty{Text: web.Text(ctx, "signin.devices.no-passkeys"), Help: web.Text(ctx, "signin.devices.no-passkeys-help")}}
	keys, err := d.credentials.Passkeys(ctx, p.ID)
	if err != nil {
		return t, err
	}
	for _, k := range keys {
		name, used := k.Name, web.Text(ctx, "signin.devices.never")
		if name == "" {
			name = web.Text(ctx, "signin.devices.unknown")
		}
		if !k.Used.IsZero() {
			used = format.DateTime(k.Used)
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(name), web.Cell(format.DateTime(k.Made)), web.Cell(used),
			web.ShowCell(actButton("passkey", encodeID(k.ID), web.Text(ctx, "signin.devices.remove"), name))}})
	}
	return t, nil
}

// act does what a button of the page says: for the user themself, and nobody else.
func (d *Door) act(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	f, ctx := r.PostForm, r.Context()
	var done string
	var err error
	switch {
	case f.Has("session"):
		done, err = "session", d.endSession(ctx, p, p.ID, f.Get("session"))
	case f.Has("program"):
		done, err = "program", d.tokens.Withdraw(ctx, p, p.ID, f.Get("program"))
	case f.Has("passkey"):
		done, err = "removed", d.credentials.RemovePasskey(ctx, p, p.ID, decodeID(f.Get("passkey")))
	case f.Has("provider"):
		done, err = "unlinked", d.elsewhere.Unlink(ctx, p, f.Get("provider"))
	case f.Has("codes"):
		codes, err := d.credentials.NewRecovery(ctx, p, p.ID)
		if err != nil {
			return err
		}
		return web.Render(w, r, http.StatusOK, codesPage(p.ID, codes))
	case f.Has("everywhere"):
		if err := d.Everywhere(ctx, p, p.ID); err != nil {
			return err
		}
		http.SetCookie(w, access.NoCookie(access.Secure(r)))
		return web.SeeOther(w, r, "/sign-in")
	default:
		return fault.New(fault.Invalid, "The form could not be read.")
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return err
	}
	return web.SeeOther(w, r, oauth.PathManage+"?done="+done)
}

// endSession ends one of a user's sessions, and what programs were given in it. Errors: fault.NotFound.
func (d *Door) endSession(ctx context.Context, by access.Principal, user, id string) error {
	origin, err := d.k.Gate.EndSession(ctx, by, user, id)
	if err != nil {
		return err
	}
	return d.tokens.EndOrigin(ctx, by, []string{origin})
}

// Everywhere signs a user out of everything: pages, programs, and every token that was made for them.
func (d *Door) Everywhere(ctx context.Context, by access.Principal, user string) error {
	if err := d.tokens.EndAllOf(ctx, by, user, "signed out everywhere"); err != nil {
		return err
	}
	return d.k.Gate.EndSessions(ctx, by, user)
}

func (d *Door) addPasskey(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	u, err := d.k.Gate.UserByID(r.Context(), p.ID)
	if err != nil {
		return err
	}
	if err := d.credentials.FinishPasskey(r.Context(), p, u, r.PostForm.Get("seal"), r.PostForm.Get("credential"), deviceOf(r)); err != nil {
		return err
	}
	return web.SeeOther(w, r, oauth.PathManage+"?done=passkey")
}
