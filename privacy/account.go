package privacy

import (
	"context"
	"net/http"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/account"
)

// searchView is a search of the account.
type searchView struct {
	Page     web.Page
	Whose    string
	Filters  account.Filters
	Table    web.Table
	Tenants  []web.Option
	Person   string
	Unsealed int
}

// search searches the account. A privacy officer sees the records of one of their organisations at a time; an auditor sees
// the whole of it.
func (o *office) search(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	filters, state, err := account.Read(r, o.k.Clock.Now())
	if err != nil {
		return err
	}
	v := searchView{Page: web.Page{Title: web.Text(ctx, "privacy.account.title")}, Filters: filters, Person: state.Filter("person")}
	place := access.Place{Type: access.TypeAccount}
	v.Whose = web.Text(ctx, "privacy.account.whole")
	if p.Role == access.PrivacyOfficer {
		place.Tenant = o.officers(ctx, &v, p, state.Filter("tenant"))
	} else {
		o.tenants(ctx, &v, state.Filter("tenant"))
	}
	o.person(ctx, &v)
	g, err := o.k.Gate.Decide(ctx, p, access.Search, place)
	if err != nil {
		return err
	}
	view := account.View{ID: "account", Name: o.k.Organisation, Caption: web.Text(ctx, "privacy.account.caption"), Charts: func(e audit.Entry) (string, string) {
		if e.Chart == "" {
			return "", ""
		}
		return subject(e.Chart) + " · " + o.k.Organisation(ctx, e.Tenant), "/account?tenant=" + e.Tenant.String() + "&person=" + e.Chart
	}, Empty: web.Empty{Text: web.Text(ctx, "privacy.account.empty"), Help: web.Text(ctx, "privacy.account.empty-help")}}
	find := func(q audit.Query) (audit.Page, error) { return o.k.Audit.Search(ctx, q) }
	status, page, total := http.StatusUnprocessableEntity, audit.Page{}, int64(0)
	if len(v.Filters.Errors) == 0 {
		status = http.StatusOK
		if g, err = o.aboutPerson(ctx, p, g, v.Filters.Query); err != nil {
			return err
		}
		if err := o.k.Gate.Account(ctx, []access.Grant{g}, nil); err != nil {
			return err
		}
		if r.URL.Query().Get("format") == "csv" {
			return view.CSV(w, r, "account", v.Filters.Query, find)
		}
		if page, err = find(v.Filters.Query); err != nil {
			return err
		}
		if total, err = o.k.Audit.Count(ctx, v.Filters.Query); err != nil {
			return err
		}
	}
	unsealed, err := o.k.Audit.Unsealed(ctx)
	if err != nil {
		return err
	}
	v.Unsealed, v.Page.Failed = int(unsealed), len(v.Filters.Errors) > 0
	v.Table = view.Table(ctx, page, total, state)
	if target, partial := web.Partial(r); partial && target == v.Table.ID {
		return web.Render(w, r, status, web.DataTable(v.Table))
	}
	return web.Render(w, r, status, accountPage(v))
}

// aboutPerson is the grant under which a search for what was done in one person's chart goes on the account: that of the chart, where the
// person sees it too, when there is something to show about them.
func (o *office) aboutPerson(ctx context.Context, p access.Principal, g access.Grant, q audit.Query) (access.Grant, error) {
	if q.Chart == "" {
		return g, nil
	}
	if n, err := o.k.Audit.Count(ctx, q); err != nil || n == 0 {
		return g, err
	}
	return o.k.Gate.Decide(ctx, p, access.Search, access.Place{Tenant: q.Tenant, Chart: q.Chart, Type: access.TypeAccount})
}

// officers offers a privacy officer the records of one of their organisations, and says which are chosen.
func (o *office) officers(ctx context.Context, v *searchView, p access.Principal, chosen string) ident.ODSCode {
	whose := p.Organisation
	for _, t := range p.Tenants {
		v.Tenants = append(v.Tenants, web.Option{Value: t.String(), Text: o.k.Organisation(ctx, t)})
		if t.String() == chosen {
			whose = t
		}
	}
	if len(v.Tenants) > 0 && !slices.Contains(p.Tenants, p.Organisation) {
		v.Tenants = append(v.Tenants, web.Option{Value: p.Organisation.String(), Text: o.k.Organisation(ctx, p.Organisation)})
	}
	v.Filters.Query.Tenant = whose
	v.Whose = web.Text(ctx, "privacy.account.whose", o.k.Organisation(ctx, whose))
	return whose
}

// tenants offers an auditor the records of one organisation.
func (o *office) tenants(ctx context.Context, v *searchView, chosen string) {
	v.Tenants = []web.Option{{Text: web.Text(ctx, "account.filter.any")}}
	for _, t := range o.k.Tenants {
		v.Tenants = append(v.Tenants, web.Option{Value: t.Code.String(), Text: t.Name})
		if t.Code.String() == chosen {
			v.Filters.Query.Tenant = t.Code
		}
	}
}

// person reads whose record is asked for: an NHS number in the national records, or a record's own id.
func (o *office) person(ctx context.Context, v *searchView) {
	if v.Person == "" {
		return
	}
	chart := strings.Join(strings.Fields(v.Person), "")
	if n, err := ident.ParseNHSNumber(v.Person); err == nil {
		chart = n.String()
	} else if _, err := ident.ParseFHIRID(chart); err != nil {
		v.Filters.Errors.Add("person", web.Text(ctx, "privacy.account.person-wrong"))
		return
	}
	v.Filters.Query.Chart = chart
	if v.Filters.Query.Tenant.IsZero() {
		v.Filters.Query.Tenant = o.k.National
	}
}

// sealView is the account's seal and, once asked for, what checking it found.
type sealView struct {
	Page       web.Page
	Unsealed   int
	Key        string
	Checkpoint string
	Report     *audit.Report
	Facts      []web.Row
	Table      web.Table
}

func (o *office) sealed(r *http.Request, p access.Principal) (*sealView, error) {
	ctx := r.Context()
	g, err := o.k.Gate.Decide(ctx, p, access.Read, access.Place{Type: access.TypeSeal})
	if err != nil {
		return nil, err
	}
	v := &sealView{Page: web.Page{Title: web.Text(ctx, "privacy.seal.title")}}
	unsealed, err := o.k.Audit.Unsealed(ctx)
	if err != nil {
		return nil, err
	}
	v.Unsealed = int(unsealed)
	if v.Key, err = o.k.Audit.VerifierKey(); err != nil {
		return nil, err
	}
	if v.Checkpoint, err = o.k.Audit.Checkpoint(); err != nil {
		v.Checkpoint = "" // nothing has been sealed yet
	}
	return v, o.k.Gate.Account(ctx, []access.Grant{g}, nil)
}

func (o *office) seal(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	v, err := o.sealed(r, p)
	if err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, sealPage(v))
}

// verify checks every row against the seal. It changes nothing, so that reloading its page does no harm.
func (o *office) verify(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	ctx := r.Context()
	report, err := o.k.Audit.Verify(ctx)
	if err != nil {
		return err
	}
	v, err := o.sealed(r, p)
	if err != nil {
		return err
	}
	v.Report = &report
	v.Facts = []web.Row{
		{Key: web.Text(ctx, "privacy.seal.entries"), Text: web.Count(ctx, "patients.home.number", int(report.Entries))},
		{Key: web.Text(ctx, "privacy.seal.batches"), Text: web.Count(ctx, "patients.home.number", int(report.Batches))},
		{Key: web.Text(ctx, "privacy.seal.leaves"), Text: web.Count(ctx, "patients.home.number", int(report.LogSize))},
		{Key: web.Text(ctx, "privacy.seal.unsealed"), Text: web.Count(ctx, "patients.home.number", int(report.Unsealed))},
	}
	if report.Archives > 0 {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "privacy.seal.archived"), Text: web.Count(ctx, "patients.home.number", int(report.Archived))})
	}
	if report.Lost > 0 {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "privacy.seal.lost"), Text: web.Count(ctx, "patients.home.number", int(report.Lost))})
	}
	v.Table = web.Table{ID: "findings", Caption: web.Text(ctx, "privacy.seal.findings"), Columns: []web.Column{{Text: web.Text(ctx, "privacy.seal.kind")}, {Text: web.Text(ctx, "privacy.seal.finding")}}}
	for _, f := range report.Findings {
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.ShowCell(web.Tag(web.Text(ctx, "privacy.found."+f.Kind), web.Red)), web.Cell(f.String())}})
	}
	return web.Render(w, r, http.StatusOK, sealPage(v))
}
