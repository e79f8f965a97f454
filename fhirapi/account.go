package fhirapi

import (
	"context"
	"net/http"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
)

// AuditEvent: "a record of an event made for purposes of maintaining a security log" (https://hl7.org/fhir/R4/auditevent.html).
// It is the account itself, read and searched here by those who may see it, and written by nobody but the acts. What is
// looked up in the account goes on the account.

// auditSearch searches the account of the tenant, or of one person in it.
func (a *api) auditSearch(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	if _, err := wanted(r); err != nil {
		return err
	}
	values, err := parameters(r)
	if err != nil {
		return err
	}
	ours := map[string][]string{}
	for name, list := range values {
		switch name {
		case "_format", "_pretty":
		case "_sort":
			if !slices.Equal(list, []string{"-date"}) {
				return fault.New(fault.Invalid, "The account is in one order, the newest first: _sort=-date.")
			}
		default:
			ours[name] = list
		}
	}
	q, err := audit.ParseSearch(catalogue.TenantOf(r), ours)
	if err != nil {
		return err
	}
	if q.Limit < 1 && values.Has("_count") {
		return fault.New(fault.Invalid, "_count is a number of entries, from 1.")
	}
	if err := a.accountOf(r.Context(), ask, &q); err != nil {
		return err
	}
	page, err := a.k.Audit.Search(r.Context(), q)
	if err != nil {
		return err
	}
	var entries []any
	for _, e := range page.Entries {
		entries = append(entries, fhir.Obj("fullUrl", a.base(r)+"/AuditEvent/"+e.ID(), "resource", audit.AuditEvent(e), "search", fhir.Obj("mode", "match")))
	}
	links := []any{fhir.Obj("relation", "self", "url", a.searchLink(r, values, ""))}
	if page.Next != "" {
		links = append(links, fhir.Obj("relation", "next", "url", a.searchLink(r, values, page.Next)))
	}
	return a.send(w, r, http.StatusOK, fhir.Obj("resourceType", "Bundle", "type", "searchset", "link", fhir.Arr(links...), "entry", fhir.Arr(entries...)))
}

// accountOf asks for leave to read the account of whom q is about: a patient's own, in each of their charts, when it does not say.
func (a *api) accountOf(ctx context.Context, ask catalogue.Asker, q *audit.Query) error {
	charts := []string{q.Chart}
	if q.Chart == "" && ask.Principal.Role == access.Patient {
		own, err := a.k.Gate.Selves(ctx, ask.Principal, q.Tenant)
		if err != nil {
			return err
		}
		switch len(own) {
		case 0:
		case 1:
			charts, q.Chart = own, own[0]
		default:
			charts = own
			for _, chart := range own {
				q.Charts = append(q.Charts, audit.Chart{Tenant: q.Tenant, Chart: chart})
			}
		}
	}
	acts := make([]access.Act, len(charts))
	for i, chart := range charts {
		acts[i] = access.Act{Action: access.Search, Place: access.Place{Tenant: q.Tenant, Chart: chart, Type: "AuditEvent"}}
		if chart != "" {
			person, err := ask.Locate("Patient", chart)
			if err != nil {
				return err
			}
			acts[i].Place.Label, acts[i].Place.Exists = person.Label, person.Exists
		}
	}
	if _, err := ask.Grants(acts...); err != nil {
		if charts[0] == "" {
			return fault.Wrap(err, fault.Forbidden, "You may not read the whole account; say whose with patient=.")
		}
		return err
	}
	return nil
}

// auditRead is one entry of the account, which the node's locator has placed in the chart that it is about.
func (a *api) auditRead(w http.ResponseWriter, r *http.Request, g access.Grant) error {
	e, err := a.k.Audit.ByID(r.Context(), r.PathValue("id"))
	if fault.Is(err, fault.NotFound) || err == nil && (e.Tenant != g.Tenant() || e.Chart != g.Chart()) {
		return access.NotHere()
	}
	if err != nil {
		return err
	}
	return a.send(w, r, http.StatusOK, audit.AuditEvent(e))
}
