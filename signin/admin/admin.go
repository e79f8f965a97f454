// Package admin is for those who say who may come in: an organisation's registration authority for the people who work there, and the
// node's administrators for everybody, for programs and for the keys.
//
//	joins ──► may sign in ──► moves (keeps what the new post gives) ──► leaves: out at once
//	               │  └── reviewed, once a year
//	               └── suspended ──► restored
//
// Each act has a reason, and is kept with who did it. Nobody changes their own access, and the last administrator stays.
package admin

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/signin/credential"
	"github.com/openspine/openspine/signin/oauth"
	"github.com/openspine/openspine/signin/provider"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// desk is the pages of one node.
type desk struct {
	k           catalogue.Kernel
	tokens      *oauth.Server
	credentials *credential.Keeper
	elsewhere   *provider.Providers
}

// Service is the pages of administration.
func Service(k catalogue.Kernel, tokens *oauth.Server, credentials *credential.Keeper, elsewhere *provider.Providers) catalogue.Service {
	d := &desk{k, tokens, credentials, elsewhere}
	both := []access.Role{access.Registrar, access.Administrator}
	var pages []catalogue.Route
	add := func(pattern string, roles []access.Role, h func(http.ResponseWriter, *http.Request, access.Principal) error) {
		pages = append(pages, catalogue.ForRole(pattern, h, roles...))
	}
	form := func(path string, roles []access.Role, show, send func(http.ResponseWriter, *http.Request, access.Principal) error) {
		add("GET "+path, roles, show)
		add("POST "+path, roles, send)
	}
	add("GET /admin/users", both, d.users)
	add("GET /admin/reviews", both, d.reviews)
	form("/admin/users/new", both, d.askNew, d.addUser)
	form("/admin/users/import", both, d.askImport, d.importUsers)
	add("GET /admin/users/{user}", both, d.user)
	form("/admin/users/{user}/change", both, d.askChange, d.changeUser)
	form("/admin/users/{user}/role", both, d.askRole, d.giveRole)
	form("/admin/users/{user}/elsewhere", both, d.askExpect, d.expect)
	form("/admin/users/{user}/do/{act}", both, d.askAct, d.doAct)
	only := []access.Role{access.Administrator}
	add("GET /admin/clients", only, d.clients)
	form("/admin/clients/new", only, d.askClient, d.putClient)
	add("GET /admin/clients/{client}", only, d.client)
	form("/admin/clients/{client}/change", only, d.askClient, d.putClient)
	form("/admin/clients/{client}/do/{act}", only, d.askClientAct, d.doClientAct)
	add("GET /admin/keys", only, d.keys)
	form("/admin/keys/{act}", only, d.askKeyAct, d.doKeyAct)
	return catalogue.Service{Name: "admin", Summary: "Who may come in: users and their roles, programs, signing keys.", Pages: pages,
		Links: []catalogue.Link{{Key: "admin.nav.users", Path: "/admin/users", Roles: both}, {Key: "admin.nav.reviews", Path: "/admin/reviews", Roles: both},
			{Key: "admin.nav.clients", Path: "/admin/clients", Roles: only}, {Key: "admin.nav.keys", Path: "/admin/keys", Roles: only}}}
}

// field is one question of a form.
type field struct {
	kind string // text, area, select, date, check or hidden
	web.Field
	options []web.Option
	date    web.DateValue
	values  []string
}

// formView is a form: what will happen, to whom, and what is asked.
type formView struct {
	Title, About    string
	Explain         []string
	Back            string
	Fields          []field
	Errors          web.FieldErrors
	Submit          string
	Danger, Uploads bool
	Subject         string // what the form is about, for its token
}

func (d *desk) show(w http.ResponseWriter, r *http.Request, v formView) error {
	for i := range v.Fields {
		v.Fields[i].Error = v.Errors.Of(v.Fields[i].Name)
	}
	status := http.StatusOK
	if len(v.Errors) > 0 {
		status = http.StatusUnprocessableEntity
	}
	return web.Render(w, r, status, formPage(v))
}

// refused shows a form again with what was wrong; what is no fault of the form's is returned.
func (d *desk) refused(w http.ResponseWriter, r *http.Request, v formView, err error) error {
	if k := fault.KindOf(err); k != fault.Invalid && k != fault.Conflict {
		return err
	}
	at := ""
	if strings.Contains(fault.MessageOf(err), "Say why") {
		at = "reason"
	}
	v.Errors.Add(at, fault.MessageOf(err))
	return d.show(w, r, v)
}

func text(ctx context.Context, name, value string, width int) field {
	f := field{kind: "text", Field: web.Field{Name: name, Label: web.Text(ctx, "admin.field."+name), Value: value, Width: width, Autocomplete: "off"}}
	if hint := "admin.hint." + name; web.HasText(hint) {
		f.Hint = web.Text(ctx, hint)
	}
	return f
}

func reasonField(ctx context.Context, value string) field {
	f := text(ctx, "reason", value, 0)
	f.kind, f.Rows = "area", 3
	return f
}

func dateField(ctx context.Context, name string, at time.Time) field {
	f := text(ctx, name, "", 0)
	f.kind = "date"
	if !at.IsZero() {
		f.date = web.DateValueOf(format.Midnight(at))
	}
	return f
}

func choice(ctx context.Context, name, value string, options []web.Option) field {
	f := text(ctx, name, value, 0)
	f.kind, f.options = "select", options
	return f
}

// take fills a form's fields with what was typed.
func (v *formView) take(r *http.Request) {
	for i, f := range v.Fields {
		switch f.kind {
		case "date":
			v.Fields[i].date, _, _ = web.ReadDate(r.PostForm, f.Name)
		case "check":
			v.Fields[i].values = r.PostForm[f.Name]
		default:
			v.Fields[i].Value = strings.TrimSpace(r.PostForm.Get(f.Name))
		}
	}
}

// day is a date of a form, at its beginning in the United Kingdom; the zero time when it was left empty. What is no day is an error of the form.
func (v *formView) day(r *http.Request, name string) time.Time {
	typed, at, ok := web.ReadDate(r.PostForm, name)
	if !typed.Empty() && !ok {
		v.Errors.Add(name, web.Text(r.Context(), "admin.no-day"))
	}
	if !at.IsZero() {
		at = format.Begins(at)
	}
	return at
}

func (d *desk) roleOptions(ctx context.Context, by access.Principal, further bool) []web.Option {
	var list []web.Option
	for _, role := range by.Gives() {
		if !further || role != access.Patient {
			list = append(list, web.Option{Value: string(role), Text: web.RoleName(ctx, string(role))})
		}
	}
	return list
}

// day shows a date, or that there is none.
func day(ctx context.Context, t time.Time, none string) string {
	if t.IsZero() {
		return web.Text(ctx, none)
	}
	return format.Date(t)
}

// did is an act in words.
func did(ctx context.Context, act string) string {
	if key := "admin.did." + act; web.HasText(key) {
		return web.Text(ctx, key)
	}
	return act
}

// history is what was done to a subject, by whom and why.
func (d *desk) history(ctx context.Context, subject string) (web.Table, error) {
	t := web.Table{ID: "history", RowHeader: true, Caption: web.Text(ctx, "admin.history.caption"), Columns: columns(ctx, "when", "what", "who", "why"),
		Empty: web.Empty{Text: web.Text(ctx, "admin.history.empty"), Help: web.Text(ctx, "admin.history.empty-help")}}
	list, err := d.k.Gate.Changes(ctx, subject)
	if err != nil {
		return t, err
	}
	for _, c := range list {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(format.DateTime(c.At)), web.ShowCell(web.Lines(did(ctx, c.Act), c.Detail)),
			web.ShowCell(web.Lines(c.ByName, web.RoleName(ctx, string(c.Role)))), web.NoteCell(c.Reason)}})
	}
	return t, nil
}

func columns(ctx context.Context, names ...string) []web.Column {
	var list []web.Column
	for _, n := range names {
		list = append(list, web.Column{Text: web.Text(ctx, "admin.column."+n)})
	}
	return list
}

// organisation reads an ODS code; a registrar's is their own, whatever was typed.
func organisation(by access.Principal, typed string) (ident.ODSCode, error) {
	if by.Role == access.Registrar {
		return by.Organisation, nil
	}
	if typed == "" {
		return ident.ODSCode{}, nil
	}
	return ident.ParseODSCode(strings.ToUpper(typed))
}

// found is a user whom by may see, and what they are called.
func (d *desk) found(r *http.Request, by access.Principal) (access.Member, error) {
	m, err := d.k.Gate.Member(r.Context(), r.PathValue("user"))
	if err != nil {
		return m, err
	}
	return m, d.k.Gate.Sees(r.Context(), by, m)
}

func option(ctx context.Context, prefix string, values ...string) []web.Option {
	var list []web.Option
	for _, v := range values {
		list = append(list, web.Option{Value: v, Text: web.Text(ctx, prefix+v)})
	}
	return list
}

// link is where an act on something is asked about.
func link(ctx context.Context, path, act string) web.Link {
	return web.Link{Text: web.Text(ctx, "admin.act."+act), URL: path + act}
}

// known is one of a list, or fault.NotFound.
func known(act string, acts ...string) error {
	if !slices.Contains(acts, act) {
		return fault.New(fault.NotFound, "There is nothing at this address.")
	}
	return nil
}
