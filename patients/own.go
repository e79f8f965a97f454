package patients

import (
	"context"
	"net/http"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/account"
)

// ownChart is one record of whoever is signed in as a patient, with what they may see of it. A person who was found under two numbers
// has two at one organisation.
type ownChart struct {
	tenant catalogue.Tenant
	chart  string
	as     access.Principal // the patient as that organisation knows them
	other  bool             // it is not their first there: it stands under another number
}

// meView is a person's own record.
type meView struct {
	Page   web.Page
	Charts []*chart
}

// own finds a patient's own records: the national ones that are theirs, and each organisation's that has the NHS number of one of
// those. The rules then decide as for any record of their own.
func (f *face) own(ctx context.Context, p access.Principal) ([]ownChart, error) {
	all, err := f.ownAt(ctx, f.tenant(f.k.National), p)
	if err != nil {
		return nil, err
	}
	var numbers []string
	for _, o := range all {
		g, err := f.grantOwn(ctx, o, access.Read, "Patient")
		if err != nil {
			return nil, err
		}
		v, err := f.k.Records.Read(ctx, g, record.Ref{Tenant: o.tenant.Code, Type: "Patient", ID: o.chart})
		if err != nil {
			return nil, err
		}
		if number := identifier(v.Resource, ident.SystemNHSNumber); number != "" {
			numbers = append(numbers, number)
		}
	}
	for _, t := range f.k.Tenants {
		if t.Code == f.k.National {
			continue
		}
		here, err := f.ownNumbered(ctx, p, t, numbers)
		if err != nil {
			return nil, err
		}
		all = append(all, here...)
	}
	return all, nil
}

// ownNumbered are a patient's records at one organisation, which knows them by their NHS numbers.
func (f *face) ownNumbered(ctx context.Context, p access.Principal, t catalogue.Tenant, numbers []string) (here []ownChart, err error) {
	scope, err := f.k.Gate.DecideSet(ctx, access.Service("patients", t.Code), access.Search, t.Code, []string{"Patient"})
	if err != nil {
		return nil, err
	}
	for _, number := range numbers {
		v, err := f.byNumber(ctx, scope, number)
		if fault.Is(err, fault.NotFound) || err == nil && slices.ContainsFunc(here, func(o ownChart) bool { return o.chart == v.ID }) {
			continue
		}
		if err != nil {
			return nil, err
		}
		as := p
		as.Person, as.Tenants = v.ID, []ident.ODSCode{t.Code}
		more, err := f.ownAt(ctx, t, as)
		if err != nil {
			return nil, err
		}
		for i := range more {
			more[i].other = more[i].other || len(here) > 0
		}
		here = append(here, more...)
	}
	return here, nil
}

// ownAt are a patient's records at one organisation, the one that they are known by there first.
func (f *face) ownAt(ctx context.Context, t catalogue.Tenant, as access.Principal) (list []ownChart, err error) {
	charts, err := f.k.Gate.Selves(ctx, as, t.Code)
	if err != nil {
		return nil, err
	}
	for _, chart := range charts {
		place, err := f.k.Records.Locate(ctx, record.Ref{Tenant: t.Code, Type: "Patient", ID: chart})
		if err != nil {
			return nil, err
		}
		if place.Exists || chart == as.Person {
			list = append(list, ownChart{tenant: t, chart: chart, as: as, other: chart != as.Person})
		}
	}
	return list, nil
}

func (f *face) grantOwn(ctx context.Context, o ownChart, a access.Action, typ string) (access.Grant, error) {
	place, err := f.k.Records.Locate(ctx, record.Ref{Tenant: o.tenant.Code, Type: "Patient", ID: o.chart})
	if err != nil {
		return access.Grant{}, err
	}
	if !place.Exists {
		return access.Grant{}, access.NotHere()
	}
	if place.Type = typ; typ != "Patient" {
		place.ID = ""
	}
	return f.k.Gate.Decide(ctx, o.as, a, place)
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
		g, err := f.grantOwn(ctx, o, access.Read, "Patient")
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
		c.other = o.other
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

// ownTitle says where a patient's own record is kept, and under which number when it is not the one that they sign in with.
func (c *chart) ownTitle(ctx context.Context) string {
	number := identifier(c.person.patient, ident.SystemNHSNumber)
	if n, err := ident.ParseNHSNumber(number); err == nil {
		number = n.Display()
	}
	if !c.other || number == "" {
		return web.Text(ctx, "patients.me.at", c.person.tenant.Name)
	}
	return web.Text(ctx, "patients.me.at-number", c.person.tenant.Name, number)
}

// plain is a section of a patient's own record.
func (c *chart) plain(ctx context.Context, key string) web.Table {
	id := "own-" + c.person.tenant.Code.String() + "-" + key
	if c.other {
		id += "-" + c.place.Chart
	}
	t := web.Table{ID: id, Caption: web.Text(ctx, "patients.section."+key), RowHeader: true,
		Columns: []web.Column{{Text: web.Text(ctx, "patients.column.what"), Share: 4}, {Text: web.Text(ctx, "patients.column.detail"), Share: 3}, {Text: web.Text(ctx, "patients.column.when"), Whole: true}, {Text: web.Text(ctx, "patients.column.by")}}}
	for _, e := range c.of(key) {
		if !e.Wrong {
			t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(e.Title), web.NoteCell(e.Detail), web.Cell(e.When.Date()), web.Cell(e.By)}})
		}
	}
	return t
}
