package fhirapi

import (
	"context"
	"net/http"
	"net/url"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/validate"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// reasonHeader may carry why a resource is changed or voided; it is kept with the version.
const reasonHeader = "X-Reason"

// attempts is how often a write is prepared again because the record moved meanwhile.
const attempts = 8

// create: "creates a new resource in a server-assigned location" (https://hl7.org/fhir/R4/http.html#create). With
// If-None-Exist it is conditional: nothing is made when one matches, and 412 says that several do.
func (a *api) create(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	typ := r.PathValue("type")
	res, err := a.incoming(r, typ)
	if err != nil {
		return err
	}
	c := record.Change{Verb: record.Create, Ref: record.Ref{Tenant: catalogue.TenantOf(r), Type: typ}, Resource: res, Reason: r.Header.Get(reasonHeader)}
	if query := r.Header.Get("If-None-Exist"); query != "" {
		if c.Criteria, err = a.criteria(ask, typ, strings.TrimPrefix(query, "?")); err != nil {
			return err
		}
	}
	return a.commit(w, r, ask, c)
}

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
	c := record.Change{Verb: record.Put, Ref: to, Resource: res, Reason: r.Header.Get(reasonHeader), IfAbsent: strings.TrimSpace(r.Header.Get("If-None-Match")) == "*"}
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
	c := record.Change{Verb: record.Put, Ref: to, Resource: res, Reason: r.Header.Get(reasonHeader)}
	if c.IfMatch, err = ifMatch(r); err != nil {
		return err
	}
	if c.Criteria, err = a.criteria(ask, to.Type, r.URL.RawQuery); err != nil {
		return err
	}
	return a.commit(w, r, ask, c)
}

// delete: "removes an existing resource" (https://hl7.org/fhir/R4/http.html#delete): here it is voided, and its history
// stays. Deleting what is already gone is 204 as well. X-Reason says why.
func (a *api) delete(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	c := record.Change{Verb: record.Delete, Ref: ref(r), Reason: r.Header.Get(reasonHeader)}
	var err error
	if c.IfMatch, err = ifMatch(r); err != nil {
		return err
	}
	return a.commit(w, r, ask, c)
}

// deleteWhere is the conditional delete of a single match (https://hl7.org/fhir/R4/http.html#3.1.0.7.1).
func (a *api) deleteWhere(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	c := record.Change{Verb: record.Delete, Ref: ref(r), Reason: r.Header.Get(reasonHeader)}
	var err error
	if c.IfMatch, err = ifMatch(r); err != nil {
		return err
	}
	if c.Criteria, err = a.criteria(ask, c.Ref.Type, r.URL.RawQuery); err != nil {
		return err
	}
	return a.commit(w, r, ask, c)
}

// incoming reads a resource of type typ and checks it against R4's definitions: what the definitions do not know is 422.
func (a *api) incoming(r *http.Request, typ string) (*fhir.Resource, error) {
	if err := a.known(typ); err != nil {
		return nil, err
	}
	res, err := readResource(r, a.defs)
	if err != nil {
		return nil, err
	}
	return res, a.accept(r, typ, res)
}

// accept checks what is to be written.
func (a *api) accept(r *http.Request, typ string, res *fhir.Resource) error {
	if res.Type() != typ {
		return fault.New(fault.Invalid, "This is a %s; the address is for %s.", res.Type(), typ)
	}
	if worst := a.wrong(r.Context(), res); len(worst) > 0 {
		return fault.WithIssues(fault.Unprocessable, "The resource does not keep to FHIR R4.", worst...)
	}
	return nil
}

// wrong lists what is wrong with a resource as FHIR R4, warnings left out.
func (a *api) wrong(ctx context.Context, res *fhir.Resource) []fault.Issue {
	var worst []fault.Issue
	for _, i := range validate.Validate(ctx, res, validate.Options{Definitions: a.defs, Structure: true}) {
		if i.Severity == "error" || i.Severity == "fatal" {
			worst = append(worst, i)
		}
	}
	return worst
}

// criteria are the search of a conditional change, under the caller's own Scope.
func (a *api) criteria(ask catalogue.Asker, typ, rawQuery string) (*record.Criteria, error) {
	if err := a.known(typ); err != nil {
		return nil, err
	}
	values, err := url.ParseQuery(rawQuery)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The criteria cannot be read as a search: %v", err)
	}
	for _, control := range []string{"_format", "_pretty"} {
		values.Del(control)
	}
	if len(values) == 0 {
		return nil, fault.New(fault.PreconditionFailed, "A conditional change needs criteria that choose one resource; there are none.")
	}
	scope, err := ask.Scope(access.Search, typ)
	if err != nil {
		return nil, err
	}
	q, _, err := a.k.Records.ParseQuery(typ, values, false)
	if err != nil {
		return nil, err
	}
	return &record.Criteria{Scope: scope, Query: q}, nil
}

// commit makes the change in one commit with its account, and answers as Prefer asks.
func (a *api) commit(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, c record.Change) error {
	if _, err := wanted(r); err != nil {
		return err
	}
	out, err := a.apply(r, ask, c)
	if err != nil {
		return err
	}
	if c.Verb == record.Delete {
		if out.Version.Ver > 0 {
			w.Header().Set("ETag", etag(out.Version.Ver))
		}
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	v := out.Version
	status := http.StatusOK
	if out.Created {
		status = http.StatusCreated
	}
	w.Header().Set("Location", a.base(r)+"/"+v.Ref.String()+"/_history/"+v.VersionID())
	validators(w, v)
	switch preferences(r).Return {
	case "minimal":
		w.WriteHeader(status)
		return nil
	case "OperationOutcome":
		text := "Updated."
		switch {
		case out.Created:
			text = "Created."
		case out.Matched:
			text = "There was one already; nothing was written."
		}
		send(w, r, status, outcome(allOK(text)))
		return nil
	}
	sendJSON(w, r, status, v.Rendered())
	return nil
}

// apply prepares, asks, and writes; when the record moved meanwhile it does so again.
func (a *api) apply(r *http.Request, ask catalogue.Asker, c record.Change) (record.Outcome, error) {
	var out record.Outcome
	err := record.Retry(attempts, func() error {
		draft, err := a.k.Records.Prepare(r.Context(), c)
		if err != nil {
			return err
		}
		if found, ok := draft.Matched(); ok {
			c.Criteria.Scope.Disclose(access.Place{Tenant: found.Tenant, Chart: found.Chart, Type: found.Type, ID: found.ID, Exists: true})
			out = record.Outcome{Version: found, Matched: true}
			return nil
		}
		if err := a.owners(r.Context(), draft); err != nil {
			return err
		}
		if len(draft.Acts()) == 0 {
			out = record.Outcome{Nothing: true}
			return nil
		}
		grants, err := ask.Grants(draft.Acts()...)
		if err != nil {
			return err
		}
		return a.k.Gate.Act(r.Context(), grants, draft.Lanes(), func(tx *store.Tx) error {
			out, err = a.k.Records.Apply(tx, draft, grants...)
			return err
		})
	})
	return out, err
}
