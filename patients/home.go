package patients

import (
	"context"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// homeView is what this viewer can do here, what this node runs and keeps, and its health.
type homeView struct {
	Viewer     access.Principal
	Home       catalogue.Tenant
	Services   web.Table
	Tenants    web.Table
	Types      web.Table
	Facts      []web.Row
	Parked     record.ParkedSum
	Post       messaging.ParkedSum // what waits for a person of the post that this viewer may decide about
	PostOldest string
	DiskLow    bool
	Work       []web.Link // what this viewer can do here
}

func (f *face) home(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	v := homeView{Viewer: p, Home: f.homeOf(p), DiskLow: f.k.DiskLow()}
	if p.Role == access.Patient {
		return web.Render(w, r, http.StatusOK, ownHomePage(v)) // how the node does is no care of theirs
	}
	for _, s := range f.k.Services() {
		for _, l := range s.Links {
			if l.Path == "/" || l.Last || !l.For(p) {
				continue
			}
			text, err := linkText(ctx, l, p)
			if err != nil {
				return err
			}
			v.Work = append(v.Work, web.Link{Text: text, URL: l.Path})
		}
	}
	unsealed, err := f.k.Audit.Unsealed(ctx)
	if err != nil {
		return err
	}
	counts, err := f.k.Records.Counts(ctx)
	if err != nil {
		return err
	}
	if v.Parked, err = f.k.Records.ParkedSum(ctx); err != nil {
		return err
	}
	if p.Role == access.Administrator || p.Role == access.Clerk && !p.Organisation.IsZero() {
		own := p.Organisation
		if p.Role == access.Administrator {
			own = ident.ODSCode{}
		}
		if v.Post, err = f.k.Post().ParkedSum(ctx, own); err != nil {
			return err
		}
		v.PostOldest = web.Text(ctx, "patients.home.oldest", web.Ago(ctx, f.k.Clock.Now(), v.Post.Oldest), format.DateTime(v.Post.Oldest))
	}
	v.Facts = f.homeFacts(ctx, v, int(unsealed))
	v.Tenants, v.Types, v.Services = f.tenantTable(ctx, counts), f.typeTable(ctx, counts), f.serviceTable(ctx)
	return web.Render(w, r, http.StatusOK, homePage(v))
}

// linkText is a link with how many things wait behind it.
func linkText(ctx context.Context, l catalogue.Link, p access.Principal) (string, error) {
	if l.Count == nil || p.Organisation.IsZero() {
		return web.Text(ctx, l.Key), nil
	}
	n, err := l.Count(ctx, p)
	switch {
	case err != nil || n == 0:
		return web.Text(ctx, l.Key), err
	case n >= catalogue.MostWaiting:
		return web.Text(ctx, "patients.home.many-wait", web.Text(ctx, l.Key), catalogue.MostWaiting), nil
	}
	return web.Text(ctx, "patients.home.wait", web.Text(ctx, l.Key), n), nil
}

// homeFacts are the node's health in few words.
func (f *face) homeFacts(ctx context.Context, v homeView, unsealed int) []web.Row {
	health, seal, parked := web.Tag(web.Text(ctx, "patients.home.up"), web.Green), web.Tag(web.Text(ctx, "patients.home.sealed"), web.Green), web.Lines(web.Text(ctx, "patients.home.nothing-parked"), "")
	if v.DiskLow {
		health = web.Tag(web.Text(ctx, "patients.home.disk-low"), web.Red)
	}
	if unsealed > 0 {
		seal = web.Lines(web.Count(ctx, "patients.home.unsealed", unsealed), web.Text(ctx, "patients.home.unsealed-help"))
	}
	if v.Parked.Count > 0 {
		parked = web.Lines(web.Count(ctx, "patients.home.parked", int(v.Parked.Count)), web.Text(ctx, "patients.home.oldest", web.Ago(ctx, f.k.Clock.Now(), v.Parked.Oldest), format.DateTime(v.Parked.Oldest)))
	}
	return []web.Row{
		{Key: web.Text(ctx, "patients.home.health"), Value: health},
		{Key: web.Text(ctx, "patients.home.engine"), Text: web.Text(ctx, "patients.home.engine-"+f.k.DB.Engine())},
		{Key: web.Text(ctx, "patients.home.seal"), Value: seal},
		{Key: web.Text(ctx, "patients.home.changes"), Value: parked},
	}
}

// runs reports whether the viewer keeps the node running, or answers for it: others need its state only when something is wrong.
func (v homeView) runs() bool {
	return v.Viewer.Role == access.Administrator || v.Viewer.Role == access.Auditor
}

// tenantTable is how much each organisation's record holds.
func (f *face) tenantTable(ctx context.Context, counts []record.Count) web.Table {
	t := web.Table{ID: "tenants", Caption: web.Text(ctx, "patients.home.tenants"), RowHeader: true, Columns: []web.Column{
		{Text: web.Text(ctx, "patients.home.organisation"), Share: 6}, {Text: web.Text(ctx, "patients.home.code"), Whole: true, Share: 3}, {Text: web.Text(ctx, "patients.home.kind"), Share: 4},
		{Text: web.Text(ctx, "patients.home.people"), Numeric: true, Share: 3}, {Text: web.Text(ctx, "patients.home.resources"), Numeric: true, Share: 4}}}
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
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(tenant.Name), web.Cell(tenant.Code.String()), web.Cell(web.Text(ctx, "patients.home.kind-"+tenant.Kind)), numberCell(ctx, people), numberCell(ctx, all)}})
	}
	return t
}

// typeTable is how much of each type each organisation's record holds, the most of all first.
func (f *face) typeTable(ctx context.Context, counts []record.Count) web.Table {
	t := web.Table{ID: "types", Caption: web.Text(ctx, "patients.home.types"), RowHeader: true, Columns: []web.Column{{Text: web.Text(ctx, "patients.home.type")}}}
	for _, tenant := range f.k.Tenants {
		t.Columns = append(t.Columns, web.Column{Text: tenant.Name, Numeric: true})
	}
	t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "patients.home.together"), Numeric: true})
	sums, at := map[string]int64{}, map[record.Count]int64{}
	for _, c := range counts {
		sums[c.Type] += c.Live
		at[record.Count{Tenant: c.Tenant, Type: c.Type}] = c.Live
	}
	types := slices.Collect(maps.Keys(sums))
	slices.SortFunc(types, func(a, b string) int {
		if sums[a] != sums[b] {
			return int(sums[b] - sums[a])
		}
		return strings.Compare(a, b)
	})
	for _, typ := range types {
		if sums[typ] == 0 {
			continue
		}
		row := web.TableRow{Cells: []web.TableCell{web.Cell(typ)}}
		for _, tenant := range f.k.Tenants {
			row.Cells = append(row.Cells, numberCell(ctx, at[record.Count{Tenant: tenant.Code, Type: typ}]))
		}
		row.Cells = append(row.Cells, numberCell(ctx, sums[typ]))
		t.Rows = append(t.Rows, row)
	}
	return t
}

func numberCell(ctx context.Context, n int64) web.TableCell {
	return web.Cell(web.Count(ctx, "patients.home.number", int(n)))
}

// serviceTable is what the node runs.
func (f *face) serviceTable(ctx context.Context) web.Table {
	t := web.Table{ID: "services", Caption: web.Text(ctx, "patients.home.services"), RowHeader: true,
		Columns: []web.Column{{Text: web.Text(ctx, "patients.home.service"), Share: 3}, {Text: web.Text(ctx, "patients.home.what"), Share: 6}, {Text: web.Text(ctx, "patients.home.routes"), Numeric: true, Share: 2}, {Text: web.Text(ctx, "patients.home.watches"), Numeric: true, Share: 2}, {Text: web.Text(ctx, "patients.home.jobs"), Numeric: true, Share: 2}}}
	for _, s := range f.k.Services() {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(s.Name), web.Cell(s.Summary), numberCell(ctx, int64(len(s.Routes()))), numberCell(ctx, int64(len(s.Watches))), numberCell(ctx, int64(len(s.Jobs)))}})
	}
	return t
}
