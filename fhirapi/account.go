package fhirapi

import (
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
	if q.Chart == "" && ask.Principal.Role == access.Patient {
		q.Chart = ask.Principal.Person
	}
	place := access.Place{Tenant: q.Tenant, Chart: q.Chart, Type: "AuditEvent"}
	if q.Chart != "" {
		person, err := ask.Locate("Patient", q.Chart)
		if err != nil {
			return err
		}
		place.Label, place.Exists = person.Label, person.Exists
	}
	if _, err := ask.Grants(access.Act{Action: access.Search, Place: place}); err != nil {
		if q.Chart == "" {
			return fault.Wrap(err, fault.Forbidden, "You may not read the whole account; say whose with patient=.")
		}
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
