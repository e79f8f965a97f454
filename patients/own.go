package patients

import (
	"context"
	"net/http"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/account"
)

// ownChart is one organisation's record of whoever is signed in as a patient, with what they may see of it.
type ownChart struct {
	tenant catalogue.Tenant
	chart  string
	as     access.Principal // the patient as that organisation knows them
}

// meView is a person's own record.
type meView struct {
	Page   web.Page
	Charts []*chart
}

// own finds a patient's own records. The national one says what their NHS number is; an organisation's record with that
// number is theirs too. The rules then decide as for any record of their own.
func (f *face) own(ctx context.Context, p access.Principal) ([]ownChart, error) {
	all := []ownChart{{tenant: f.tenant(f.k.National), chart: p.Person, as: p}}
	g, err := f.grantOwn(ctx, p, f.k.National, access.Read, "Patient")
	if err != nil {
		return nil, err
	}
	v, err := f.k.Records.Read(ctx, g, record.Ref{Tenant: f.k.National, Type: "Patient", ID: p.Person})
	if err != nil {
		return nil, err
	}
	number := identifier(v.Resource, ident.SystemNHSNumber)
	if number == "" {
		return all, nil
	}
	for _, t := range f.k.Tenants {
		if t.Code == f.k.National {
			continue
		}
		scope, err := f.k.Gate.DecideSet(ctx, access.Service("patients", t.Code), access.Search, t.Code, []string{"Patient"})
		if err != nil {
			return nil, err
		}
		v, err := f.byNumber(ctx, scope, number)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return nil, err
		}
		as := p
		as.Person, as.Tenants = v.ID, []ident.ODSCode{t.Code}
		all = append(all, ownChart{tenant: t, chart: v.ID, as: as})
	}
	return all, nil
}

func (f *face) grantOwn(ctx context.Context, p access.Principal, tenant ident.ODSCode, a access.Action, typ string) (access.Grant, error) {
	place, err := f.k.Records.Locate(ctx, record.Ref{Tenant: tenant, Type: "Patient", ID: p.Person})
	if err != nil {
		return access.Grant{}, err
	}
	if !place.Exists {
		return access.Grant{}, access.NotHere()
	}
	if place.Type = typ; typ != "Patient" {
		place.ID = ""
	}
	return f.k.Gate.Decide(ctx, p, a, place)
}

// me is a patient's own record, in plain words.
func (f *face) me(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	own, err := f.own(ctx, p)
	if err != nil {
		return err
	}
	v := meView{Page: web.Page{Title: web.Text(ctx, "patients.me.title")}}
	var shown []access.Grant
	for _, o := range own {
		g, err := f.grantOwn(ctx, o.as, o.tenant.Code, access.Read, "Patient")
		if err != nil {
			return err
		}
		shown = append(shown, g)
		c, err := f.read(ctx, o.as, g, func(acts ...access.Act) error {
			grants, err := f.k.Gate.DecideAll(ctx, o.as, acts)
			shown = append(shown, grants...)
			return err
		}, true)
		if err != nil {
			return err
		}
		v.Charts = append(v.Charts, c)
	}
	if err := f.k.Gate.Account(ctx, shown, nil); err != nil {
		return err
	}
	v.Page.Person = v.Charts[0].banner(true)
	v.Page.Person.Allergies = f.ownAllergies(v.Charts)
	v.Page.Access = web.Access{Why: account.Why(ctx, "own-record", ""), SeenURL: "/me/seen"}
	return web.Render(w, r, http.StatusOK, mePage(v))
}

// ownAllergies are those that any of the records knows.
func (f *face) ownAllergies(charts []*chart) web.Allergies {
	var a web.Allergies
	for _, c := range charts {
		b := c.banner(true).Allergies
		a.Known = append(a.Known, b.Known...)
		if b.NoneKnownOn.Known() {
			a.NoneKnownOn, a.NoneKnownBy = b.NoneKnownOn, b.NoneKnownBy
		}
	}
	return a
}

// plain is a section of a patient's own record.
func (c *chart) plain(ctx context.Context, key string) web.Table {
	t := web.Table{ID: "own-" + c.person.tenant.Code.String() + "-" + key, Caption: web.Text(ctx, "patients.section."+key), RowHeader: true,
		Columns: []web.Column{{Text: web.Text(ctx, "patients.column.what"), Share: 4}, {Text: web.Text(ctx, "patients.column.detail"), Share: 3}, {Text: web.Text(ctx, "patients.column.when"), Whole: true}, {Text: web.Text(ctx, "patients.column.by")}}}
	for _, e := range c.of(key) {
		if !e.Wrong {
			t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(e.Title), web.NoteCell(e.Detail), web.Cell(e.When.Date()), web.Cell(e.By)}})
		}
	}
	return t
}
