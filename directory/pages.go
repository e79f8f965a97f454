package directory

import (
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

const (
	findPath = "/directory"
	findID   = "organisations"
	findPage = 20
	findCSV  = 20_000
	mostRows = 50 // of a page of each list of an organisation
)

// pages are the directory's own.
func (d *Directory) pages() []catalogue.Route {
	return append([]catalogue.Route{
		catalogue.ForRole("GET "+findPath, d.findPage),
		catalogue.ForRole("GET "+findPath+"/services", d.servicesPage),
		catalogue.ForRole("GET "+findPath+"/{code}", d.organisationPage),
		catalogue.ForRole("GET "+findPath+"/services/{id}", d.servicePage),
		catalogue.ForRole("GET "+findPath+"/import", d.askImport, access.Administrator),
		catalogue.ForRole("POST "+findPath+"/import", d.previewImport, access.Administrator),
		catalogue.ForRole("GET "+findPath+"/import/{id}", d.showImport, access.Administrator),
		catalogue.ForRole("POST "+findPath+"/import/{id}", d.confirmImport, access.Administrator),
	}, d.keepPages()...)
}

func (d *Directory) links() []catalogue.Link {
	staff := []access.Role{access.Clinician, access.Clerk, access.Pharmacist, access.Administrator}
	return []catalogue.Link{{Key: "directory.nav.find", Path: findPath, Roles: staff}, {Key: "directory.services.nav", Path: findPath + "/services", Roles: staff},
		{Key: "directory.nav.import", Path: findPath + "/import", Roles: []access.Role{access.Administrator}}}
}

func serviceURL(id string) string { return findPath + "/services/" + id }

func orgURL(code string) string { return findPath + "/" + code }

// findPage finds organisations as somebody types.
func (d *Directory) findPage(w http.ResponseWriter, r *http.Request, _ access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "likely", "name", "code", "town", "postcode", "state")
	if err != nil {
		return err
	}
	q := Query{Text: state.Filter("q"), Role: state.Filter("role"), Postcode: state.Filter("postcode"), Closed: state.Filter("closed") == "yes", Limit: findPage}
	q.Sort, q.Descending = state.Sort()
	near, known, err := d.near(ctx, state.Filter("near"))
	if err != nil {
		return err
	}
	if q.Near = near; known {
		q.Distance = true
	}
	if q.Offset, err = offsetOf(state); err != nil {
		return err
	}
	if r.URL.Query().Get("format") == "csv" {
		q.Limit, q.Offset = findCSV, 0
	}
	results, err := d.Search(ctx, q)
	if err != nil {
		return err
	}
	if r.URL.Query().Get("format") == "csv" {
		return organisationsCSV(w, r, results.Found)
	}
	view := findView{Query: q, Roles: roleOptions(ctx), Table: web.Table{ID: findID, State: state, RowHeader: true, Caption: web.Text(ctx, "directory.find.caption"),
		Count: web.Count(ctx, "directory.find.count", results.Total), CSVURL: state.With("format", "csv"),
		Empty: web.Empty{Text: web.Text(ctx, "directory.find.none"), Help: web.Text(ctx, "directory.find.none-help")}}}
	columns := []string{"name", "code", "role", "town", "postcode", "state"}
	if q.Distance {
		columns = append(columns, "distance")
	} else if state.Filter("near") != "" {
		view.UnknownNear = state.Filter("near")
	}
	for i, name := range columnNames(ctx, columns...) {
		c := web.Column{Text: name}
		if key := columns[i]; key != "role" && key != "distance" {
			c.Sort = key
		}
		view.Table.Columns = append(view.Table.Columns, c)
	}
	for _, f := range results.Found {
		cells := []web.TableCell{web.LinkCell(f.Name, orgURL(f.Code.String())), web.Cell(f.Code.String()), web.Cell(f.what()),
			web.Cell(f.Town), web.Cell(f.Postcode), web.ShowCell(stateTag(ctx, f.State))}
		if q.Distance {
			cells = append(cells, web.Cell(kmText(ctx, f.Km)))
		}
		view.Table.Rows = append(view.Table.Rows, web.TableRow{Cells: cells})
	}
	turn(&view.Table, q.Offset, results.Total, findPage)
	return web.RenderPart(w, r, findID, web.DataTable(view.Table), findPageView(view))
}

// offsetOf is how many rows come before those of the page that the URL asks for. Error: fault.Invalid for what is no such number.
func offsetOf(state web.TableState) (int, error) {
	text := state.After() + state.Before() // either is how many rows come before
	if text == "" {
		return 0, nil
	}
	at, err := strconv.Atoi(text)
	if err != nil || at < 0 {
		return 0, fault.New(fault.Invalid, "This page of the list is not known; begin at the first.")
	}
	return at, nil
}

// turn leads from the page of size rows after offset to those before and after it.
func turn(t *web.Table, offset, total, size int) {
	if end := offset + size; end < total {
		t.NextCursor = strconv.Itoa(end)
	}
	if offset > 0 {
		t.PreviousCursor = strconv.Itoa(max(0, offset-size))
	}
}

func organisationsCSV(w http.ResponseWriter, r *http.Request, list []Found) error {
	ctx := r.Context()
	return web.CSV(w, "organisations", columnNames(ctx, "code", "name", "role", "town", "postcode", "opened", "closed", "state", "distance"), func(yield func([]string, error) bool) {
		for _, f := range list {
			if !yield([]string{f.Code.String(), f.Name, f.what(), f.Town, f.Postcode, dayText(f.Opened), dayText(f.Closed), web.Text(ctx, "directory.state."+string(f.State)), kmText(ctx, f.Km)}, nil) {
				return
			}
		}
	})
}

// findView is what the search page shows.
type findView struct {
	Query       Query
	Roles       []web.Option
	Table       web.Table
	UnknownNear string // a postcode whose place is not known
}

func columnNames(ctx context.Context, keys ...string) []string {
	var names []string
	for _, k := range keys {
		names = append(names, web.Text(ctx, "directory.column."+k))
	}
	return names
}

// roleOptions are the roles that most organisations hold, with any first.
func roleOptions(ctx context.Context) []web.Option {
	list := []web.Option{{Value: "", Text: web.Text(ctx, "directory.find.any-role")}}
	for _, c := range []string{"RO76", "RO177", "RO182", "RO197", "RO198", "RO96", "RO80", "RO82", "RO87", "RO98", "RO110", "RO172", "RO181"} {
		list = append(list, web.Option{Value: c, Text: roleText(c)})
	}
	return list
}

// what is what an organisation is, in words: its prescribing setting, which says more than that it prescribes, or its primary role.
func (f Found) what() string {
	if s, ok := settingOf(f.Setting); ok && f.Setting != "0" {
		return s.Name
	}
	return roleText(f.Role)
}

// roleText is a role in words, or its code where it has none.
func roleText(c string) string {
	if name := RoleName(c); name != "" {
		return sentence(name)
	}
	return c
}

// sentence is a text in capitals as it is read: the first letter alone is a capital, and GP, NHS and their like stay.
func sentence(s string) string {
	words := strings.Fields(strings.ToLower(s))
	for i, w := range words {
		switch bare := strings.Trim(w, "(),-"); {
		case slices.Contains([]string{"gp", "nhs", "pct", "dmu", "lsp", "la", "dha", "csa", "h/c", "sarc", "covid", "icb", "ppa"}, bare):
			words[i] = strings.ToUpper(w)
		case i == 0:
			words[i] = strings.ToUpper(w[:1]) + w[1:]
		}
	}
	return strings.Join(words, " ")
}

// organisationView is what an organisation's page shows.
type organisationView struct {
	Organisation Organisation
	Lists        []web.Table
	Successors   []web.Link
	Predecessors []web.Link
	Keeps        bool
	Done         string
}

// doneText is what was just done, in words; empty for nothing.
func doneText(r *http.Request) string {
	if done := "directory.keep.done." + r.URL.Query().Get("done"); web.HasText(done) {
		return web.Text(r.Context(), done)
	}
	return ""
}

// organisationPage is everything that the directory knows of one organisation.
func (d *Directory) organisationPage(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	code, err := ident.ParseODSCode(r.PathValue("code"))
	if err != nil {
		return fault.Wrap(err, fault.NotFound, "There is no such organisation in the directory.")
	}
	if code.String() != r.PathValue("code") {
		return web.SeeOther(w, r, orgURL(code.String()))
	}
	reads, err := d.reads(ctx, "Organization", "HealthcareService", "Endpoint", "Device")
	if err != nil {
		return err
	}
	query := r.URL.Query()
	b := pageBuilder{ctx: ctx, asked: r, reads: reads, code: code.String(), keeps: p.Role == access.Administrator, only: query.Get("list"), csv: query.Has("list") && query.Get("format") == "csv"}
	if err := d.k.DB.Read(ctx, b.read); err != nil {
		if fault.Is(err, fault.NotFound) {
			return fault.New(fault.NotFound, "There is no organisation %s in the directory.", code)
		}
		return err
	}
	switch {
	case b.file != nil:
		return web.CSV(w, b.code+"-"+b.only, b.file[0], func(yield func([]string, error) bool) {
			for _, line := range b.file[1:] {
				if !yield(line, nil) {
					return
				}
			}
		})
	case b.only != "" && len(b.view.Lists) == 1:
		return web.RenderPart(w, r, b.only, web.DataTable(b.view.Lists[0]), organisationListView(b.view))
	case b.only != "":
		return fault.New(fault.NotFound, "An organisation has no such list.")
	}
	b.view.Keeps, b.view.Done = b.keeps, doneText(r)
	return web.Render(w, r, http.StatusOK, organisationPageView(b.view))
}

// servicePage is one healthcare service: what it is for, whom it takes, and how to reach it.
func (d *Directory) servicePage(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	reads, err := d.reads(ctx, "HealthcareService", "Location", "Organization")
	if err != nil {
		return err
	}
	var view serviceView
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		v, err := reads.version(tx, "HealthcareService", r.PathValue("id"))
		if err != nil {
			return err
		}
		view.HealthcareService = ParseHealthcareService(v.Resource)
		view.ProviderName = nameOf(tx, view.Provider.String())
		for i, p := range view.Places {
			if p.Name == "" && p.ID != "" {
				if at, err := reads.version(tx, "Location", p.ID); err == nil {
					view.Places[i].Name = at.Resource.Get("name").String()
				}
			}
		}
		return nil
	})
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.NotFound, "There is no such service in the directory.")
	}
	if err != nil {
		return err
	}
	view.Keeps, view.Done = p.Role == access.Administrator, doneText(r)
	return web.Render(w, r, http.StatusOK, servicePageView(view))
}

// nameOf is an organisation's name, or its code where the directory does not know it.
func nameOf(tx *store.Tx, code string) string {
	var name string
	if tx.QueryRow(`SELECT name FROM directory_organisation WHERE code = ?`, code).Scan(&name) != nil {
		return code
	}
	return name
}

// serviceView is what a service's page shows.
type serviceView struct {
	HealthcareService
	ProviderName string
	Keeps        bool // whoever looks may change it
	Done         string
}
