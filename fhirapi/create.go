package fhirapi

import (
	"net/http"
	"strings"

	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
)

// create: "creates a new resource in a server-assigned location" (https://hl7.org/fhir/R4/http.html#create). An id in the
// resource is not kept. With If-None-Exist it is conditional (https://hl7.org/fhir/R4/http.html#ccreate): nothing is made
// when one matches, and 412 says that several do.
func (a *api) create(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	typ := r.PathValue("type")
	res, err := a.incoming(r, typ)
	if err != nil {
		return err
	}
	c := record.Change{Verb: record.Create, Ref: record.Ref{Tenant: catalogue.TenantOf(r), Type: typ}, Resource: res, Reason: reason(r)}
	if query := r.Header.Get("If-None-Exist"); query != "" {
		if c.Criteria, err = a.criteria(ask, typ, criteriaOf(query)); err != nil {
			return err
		}
	}
	return a.commit(w, r, ask, c)
}

// criteriaOf takes what some clients put before the criteria off: "?", or "Patient?".
func criteriaOf(query string) string {
	if head, rest, ok := strings.Cut(query, "?"); ok && !strings.ContainsAny(head, "=&") {
		return rest
	}
	return query
}
