package fhirapi

import (
	"net/http"

	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
)

// delete: "removes an existing resource" (https://hl7.org/fhir/R4/http.html#delete): here it is voided, and its history
// stays. Deleting what is already gone is 204 as well. X-Reason says why, and is kept.
func (a *api) delete(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	return a.void(w, r, ask, false)
}

// deleteWhere is the conditional delete of a single match (https://hl7.org/fhir/R4/http.html#3.1.0.7.1): no match is 204,
// several are 412 and nothing is deleted.
func (a *api) deleteWhere(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	return a.void(w, r, ask, true)
}

func (a *api) void(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, conditional bool) error {
	c := record.Change{Verb: record.Delete, Ref: ref(r), Reason: reason(r)}
	if err := a.writable(c.Ref.Type); err != nil {
		return err
	}
	var err error
	if c.IfMatch, err = ifMatch(r); err != nil {
		return err
	}
	if conditional {
		if c.Criteria, err = a.criteria(ask, c.Ref.Type, r.URL.RawQuery); err != nil {
			return err
		}
	}
	return a.commit(w, r, ask, c)
}
