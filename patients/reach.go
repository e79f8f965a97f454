package patients

import (
	"net/http"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// mayClaim reports whether this reader can say that they look after the person.
func (c *chart) mayClaim() bool {
	return !c.person.hidden && (c.viewer.Role == access.Clinician || c.viewer.Role == access.Pharmacist)
}

// claimView asks why somebody looks after a person.
type claimView struct {
	*chart
	Page web.Page
	Form reasonForm
}

func (f *face) claiming(r *http.Request, ask catalogue.Asker) (*claimView, error) {
	c, err := f.open(r, ask, false)
	if err != nil {
		return nil, err
	}
	if !c.related && !c.mayClaim() {
		return nil, fault.New(fault.Forbidden, "%s", web.Text(r.Context(), "patients.stranger.cannot"))
	}
	return &claimView{chart: c, Page: c.page(r.Context(), web.Text(r.Context(), "patients.claim.title"), false)}, nil
}

func (f *face) askClaim(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.claiming(r, ask)
	if err != nil {
		return err
	}
	if v.related {
		return web.SeeOther(w, r, v.person.url())
	}
	return web.Render(w, r, http.StatusOK, claimPage(v))
}

func (f *face) claim(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if err := web.CheckForm(r, r.PathValue("person")); err != nil {
		return err
	}
	v, err := f.claiming(r, ask)
	if err != nil {
		return err
	}
	v.Form = readWhy(r)
	if len(v.Form.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, claimPage(v))
	}
	if _, err := f.k.Gate.ClaimRelationship(r.Context(), ask.Principal, v.place, v.Form.Reason); err != nil {
		return err
	}
	return web.SeeOther(w, r, v.person.url()+"?done=claimed")
}

// readWhy reads the reason for opening a record.
func readWhy(r *http.Request) reasonForm {
	f := reasonForm{Reason: strings.TrimSpace(r.PostForm.Get("reason"))}
	if n := len([]rune(f.Reason)); n < access.ReasonMin || n > access.ReasonMax {
		f.Errors.Add("reason", web.Text(r.Context(), "patients.glass.reason-wrong", access.ReasonMin, access.ReasonMax))
	}
	return f
}

// glassView is the page before and after the glass is broken.
type glassView struct {
	Page   web.Page
	Tenant catalogue.Tenant
	Number string
	Form   reasonForm
	Broken bool
	Until  string
	Record string
}

func (f *face) askBreakGlass(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	v := glassView{Tenant: f.tenant(catalogue.TenantOf(r)), Number: format.NHSNumber(strings.TrimSpace(r.URL.Query().Get("number"))), Page: web.Page{Title: web.Text(r.Context(), "patients.glass.title")}}
	v.Page.Back = link(web.Text(r.Context(), "patients.record.find"), base(v.Tenant.Code)+"/find")
	return web.Render(w, r, http.StatusOK, glassPage(v))
}

// breakGlass opens a record for half an hour to whoever gives a number and a reason. The answer for a number that nobody has
// is the same as for one whom no glass opens.
func (f *face) breakGlass(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	ctx := r.Context()
	v := glassView{Tenant: f.tenant(catalogue.TenantOf(r)), Number: strings.TrimSpace(r.PostForm.Get("number")), Form: readWhy(r), Page: web.Page{Title: web.Text(ctx, "patients.glass.title")}}
	v.Page.Back = link(web.Text(ctx, "patients.record.find"), base(v.Tenant.Code)+"/find")
	number, err := ident.ParseNHSNumber(v.Number)
	if err != nil {
		v.Form.Errors = append(web.FieldErrors{{Field: "number", Text: web.Text(ctx, "patients.find.number-wrong")}}, v.Form.Errors...)
	}
	if len(v.Form.Errors) > 0 {
		v.Page.Failed = true
		return web.Render(w, r, http.StatusUnprocessableEntity, glassPage(v))
	}
	place, err := f.placeByNumber(r, v.Tenant.Code, number)
	if err != nil {
		return err
	}
	until, err := f.k.Gate.BreakGlass(ctx, p, place, v.Form.Reason)
	if err != nil {
		return err
	}
	v.Broken, v.Until, v.Record = true, format.Time(until), chartURL(v.Tenant.Code, place.ID)
	return web.Render(w, r, http.StatusOK, brokenPage(v))
}

// placeByNumber is where a person with an NHS number is, found as the node's own service: who asks may not know yet.
func (f *face) placeByNumber(r *http.Request, tenant ident.ODSCode, number ident.NHSNumber) (access.Place, error) {
	ctx := r.Context()
	nobody := access.Place{Tenant: tenant, Type: "Patient"}
	scope, err := f.k.Gate.DecideSet(ctx, access.Service("patients", tenant), access.Search, tenant, []string{"Patient"})
	if err != nil {
		return nobody, err
	}
	v, err := f.byNumber(ctx, scope, number.String())
	if fault.Is(err, fault.NotFound) {
		return nobody, nil // BreakGlass refuses it, and the attempt is on the account
	}
	if err != nil {
		return nobody, err
	}
	return f.k.Records.Locate(ctx, record.Ref{Tenant: tenant, Type: "Patient", ID: v.ID})
}
