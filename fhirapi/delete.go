package fhirapi

import (
	"net/http"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// mostDeleted bounds what one conditional delete may delete.
const mostDeleted = 100

// delete: "removes an existing resource" (https://hl7.org/fhir/R4/http.html#delete): here it is voided, and its history
// stays. Deleting what is already gone is 204 as well. X-Reason says why, and is kept.
func (a *api) delete(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	c, err := a.deletion(r)
	if err != nil {
		return err
	}
	return a.commit(w, r, ask, c)
}

func (a *api) deletion(r *http.Request) (record.Change, error) {
	c := record.Change{Verb: record.Delete, Ref: ref(r), Reason: reason(r)}
	if err := a.writable(c.Ref.Type); err != nil {
		return c, err
	}
	var err error
	c.IfMatch, err = ifMatch(r)
	return c, err
}

// deleteWhere is the conditional delete (https://hl7.org/fhir/R4/http.html#3.1.0.7.1), which this server declares as
// "multiple": no match is 204; what matches is voided in one commit, all of it or none, each with its Grant, its place on the
// account and the reason. Over a hundred matches are 412, and nothing is deleted.
func (a *api) deleteWhere(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	c, err := a.deletion(r)
	if err != nil {
		return err
	}
	if c.Criteria, err = a.criteria(ask, c.Ref.Type, r.URL.RawQuery); err != nil {
		return err
	}
	if _, err := wanted(r); err != nil {
		return err
	}
	var list []record.Change
	err = record.Retry(attempts, func() error {
		if list, err = a.matched(r, c); err != nil || len(list) < 2 {
			return err
		}
		return a.deleteAll(r, ask, list)
	})
	if err != nil {
		return err
	}
	if len(list) < 2 {
		return a.commit(w, r, ask, c)
	}
	return a.deleted(w, r)
}

// deleted answers a delete: "200 OK if the response contains a payload, or 204 No Content with no response payload".
func (a *api) deleted(w http.ResponseWriter, r *http.Request) error {
	if preferences(r).Return == "OperationOutcome" {
		return a.send(w, r, http.StatusOK, outcome(allOK("Deleted.")))
	}
	w.WriteHeader(http.StatusNoContent)
	return nil
}

// matched are the deletes of what the criteria of c match at this moment, each of the version that matched.
func (a *api) matched(r *http.Request, c record.Change) ([]record.Change, error) {
	q := c.Criteria.Query
	q.Count = mostDeleted + 1
	var page record.Page
	err := a.k.DB.Read(r.Context(), func(tx *store.Tx) error {
		var err error
		page, err = a.k.Records.SearchTx(tx, c.Criteria.Scope, q)
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(page.Matches) > mostDeleted {
		return nil, fault.WithIssues(fault.PreconditionFailed, "The criteria match too many.", fault.Issue{Severity: "error", Code: "too-costly",
			Diagnostics: "The criteria match more than may be deleted at once; nothing was deleted. Choose narrower criteria."})
	}
	if len(page.Matches) > 1 && c.IfMatch != 0 {
		return nil, fault.New(fault.PreconditionFailed, "If-Match names the version of one resource, and the criteria match several.")
	}
	var list []record.Change
	for _, v := range page.Matches {
		list = append(list, record.Change{Verb: record.Delete, Ref: v.Ref, IfMatch: v.Ver, Reason: c.Reason, May: c.May})
	}
	return list, nil
}

// deleteAll voids resources in one commit with its account. When one of them has changed meanwhile, the criteria are asked again.
func (a *api) deleteAll(r *http.Request, ask catalogue.Asker, list []record.Change) error {
	var drafts []*record.Draft
	var acts []access.Act
	for _, c := range list {
		c.May = mayChange(ask)
		d, err := a.k.Records.Prepare(r.Context(), c)
		if err == nil {
			err = a.owners(r, d)
		}
		if err != nil {
			return changed(err)
		}
		drafts, acts = append(drafts, d), append(acts, d.Acts()...)
	}
	if len(acts) == 0 {
		return nil
	}
	grants, err := ask.Grants(acts...)
	if err != nil {
		return err
	}
	return changed(a.k.Gate.Act(r.Context(), grants, record.LanesOf(drafts...), func(tx *store.Tx) error {
		_, _, err := a.k.Records.ApplyAll(tx, drafts, grants...)
		return err
	}))
}

// changed tells a version that is no longer current as a reason to ask the criteria again.
func changed(err error) error {
	if fault.Is(err, fault.PreconditionFailed) {
		return record.Again("what the criteria matched has changed")
	}
	return err
}

// spread replaces each delete of a transaction whose criteria match several by the deletes of those.
func (a *api) spread(r *http.Request, writes []write) ([]write, error) {
	var all []write
	for _, w := range writes {
		if w.change.Verb != record.Delete || w.change.Criteria == nil {
			all = append(all, w)
			continue
		}
		list, err := a.matched(r, w.change)
		if err != nil {
			return nil, w.entry.fault(err)
		}
		if len(list) < 2 {
			all = append(all, w)
			continue
		}
		for _, c := range list {
			all = append(all, write{entry: w.entry, change: c, several: true})
		}
	}
	return all, nil
}
