package patients

import (
	"net/http"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/account"
)

// seenView is who looked at a record.
type seenView struct {
	*chart
	Page    web.Page
	Filters account.Filters
	Table   web.Table
}

// seen lists who looked at a person's record here, for those who look after them.
func (f *face) seen(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	place, err := ask.Locate("Patient", r.PathValue("person"))
	if err != nil {
		return err
	}
	look := place
	look.Type, look.ID = access.TypeAccount, ""
	if _, err := ask.Grants(access.Act{Action: access.Search, Place: look}); err != nil {
		return err
	}
	if !place.Exists { // asked after, so that a role that may not ask is told the same of everybody
		return access.NotHere()
	}
	filters, state, err := account.Read(whole(r), f.k.Clock.Now())
	if err != nil {
		return err
	}
	filters.Query.Tenant, filters.Query.Chart = place.Tenant, place.Chart
	view := account.View{ID: "seen", Name: f.k.Organisation, Caption: web.Text(ctx, "patients.seen.caption"), Empty: web.Empty{Text: web.Text(ctx, "patients.seen.empty"), Help: web.Text(ctx, "patients.seen.empty-help")}}
	search := func(q audit.Query) (audit.Page, error) { return f.k.Audit.Search(ctx, q) }
	if len(filters.Errors) == 0 && r.URL.Query().Get("format") == "csv" {
		return view.CSV(w, r, "who-looked", filters.Query, search)
	}
	v := seenView{Filters: filters}
	status := http.StatusUnprocessableEntity
	if len(filters.Errors) == 0 {
		status = http.StatusOK
		page, err := search(filters.Query)
		if err != nil {
			return err
		}
		total, err := f.k.Audit.Count(ctx, filters.Query)
		if err != nil {
			return err
		}
		v.Table = view.Table(ctx, page, total, state)
	} else {
		v.Table = view.Table(ctx, audit.Page{}, 0, state)
	}
	if target, partial := web.Partial(r); partial && target == v.Table.ID {
		return web.Render(w, r, status, web.DataTable(v.Table))
	}
	if role := ask.Principal.Role; role == access.PrivacyOfficer || role == access.Auditor {
		v.Page = web.Page{Title: web.Text(ctx, "patients.seen.title")} // they watch over records without reading them
		return web.Render(w, r, status, seenPage(v))
	}
	if v.chart, err = f.open(r, ask, false); err != nil {
		return err
	}
	v.Page = v.chart.page(ctx, web.Text(ctx, "patients.seen.title"), false)
	v.Page.Failed = len(filters.Errors) > 0
	return web.Render(w, r, status, seenPage(v))
}
