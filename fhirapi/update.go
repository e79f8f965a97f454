package fhirapi

import (
	"net/http"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
)

// update: "creates a new current version for an existing resource or creates an initial version if no resource already
// exists for the given id" (https://hl7.org/fhir/R4/http.html#update). If-Match names the version that must be current;
// If-None-Match: * refuses to replace.
func (a *api) update(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	to := ref(r)
	res, err := a.incoming(r, to.Type)
	if err != nil {
		return err
	}
	if res.ID() == "" {
		return fault.New(fault.Invalid, "The resource has no id; it must be the one in the address.")
	}
	if res.ID() != to.ID {
		return fault.New(fault.Invalid, "The id in the resource is not the one in the address.")
	}
	c := record.Change{Verb: record.Put, Ref: to, Resource: res, Reason: reason(r), IfAbsent: strings.TrimSpace(r.Header.Get("If-None-Match")) == "*"}
	if c.IfMatch, err = ifMatch(r); err != nil {
		return err
	}
	return a.commit(w, r, ask, c)
}

// updateWhere is the conditional update (https://hl7.org/fhir/R4/http.html#cond-update): the one that matches is replaced,
// with none one is made, with several nothing happens and the answer is 412.
func (a *api) updateWhere(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	to := ref(r)
	res, err := a.incoming(r, to.Type)
	if err != nil {
		return err
	}
	to.ID = res.ID()
	c := record.Change{Verb: record.Put, Ref: to, Resource: res, Reason: reason(r)}
	if c.IfMatch, err = ifMatch(r); err != nil {
		return err
	}
	if c.Criteria, err = a.criteria(ask, to.Type, r.URL.RawQuery); err != nil {
		return err
	}
	return a.commit(w, r, ask, c)
}
