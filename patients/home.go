package patients

import (
	"context"
	"net/http"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
)

// homeView is what this node runs, and its health.
type homeView struct {
	Viewer   access.Principal
	Home     catalogue.Tenant
	Services []catalogue.Service
	Table    web.Table
	Facts    []web.Row
}

func (f *face) home(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	v := homeView{Viewer: p, Home: f.homeOf(p), Services: f.k.Services()}
	unsealed, err := f.k.Audit.Unsealed(ctx)
	if err != nil {
		return err
	}
	counts, err := f.k.Records.Counts(ctx)
	if err != nil {
		return err
	}
	v.Facts = []web.Row{
		{Key: web.Text(ctx, "patients.home.health"), Value: web.Tag(web.Text(ctx, "patients.home.up"), web.Green)},
		{Key: web.Text(ctx, "patients.home.engine"), Text: web.Text(ctx, "patients.home.engine-"+f.k.DB.Engine())},
		{Key: web.Text(ctx, "patients.home.unsealed"), Text: web.Count(ctx, "patients.home.entries", int(unsealed))},
	}
	v.Table = f.homeTable(r, counts)
	return web.Render(w, r, http.StatusOK, homePage(v))
}

// homeTable is how much each organisation's record holds.
func (f *face) homeTable(r *http.Request, counts []record.Count) web.Table {
	ctx := r.Context()
	t := web.Table{ID: "tenants", Caption: web.Text(ctx, "patients.home.tenants"), RowHeader: true, Columns: []web.Column{
		{Text: web.Text(ctx, "patients.home.organisation")}, {Text: web.Text(ctx, "patients.home.code"), Whole: true}, {Text: web.Text(ctx, "patients.home.kind")},
		{Text: web.Text(ctx, "patients.home.people"), Numeric: true}, {Text: web.Text(ctx, "patients.home.resources"), Numeric: true}}}
	for _, tenant := range f.k.Tenants {
		var people, all int64
		for _, c := range counts {
			if c.Tenant == tenant.Code {
				all += c.Live
				if c.Type == "Patient" {
					people = c.Live
				}
			}
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(tenant.Name), web.Cell(tenant.Code.String()), web.Cell(web.Text(ctx, "patients.home.kind-"+tenant.Kind)),
			web.Cell(web.Count(ctx, "patients.home.number", int(people))), web.Cell(web.Count(ctx, "patients.home.number", int(all)))}})
	}
	return t
}

func (v homeView) serviceRows(ctx context.Context) []web.Row {
	var rows []web.Row
	for _, s := range v.Services {
		rows = append(rows, web.Row{Key: s.Name, Text: s.Summary})
	}
	return rows
}
