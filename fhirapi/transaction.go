package fhirapi

import (
	"context"
	"encoding/base64"
	"net/http"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// transaction writes all entries in one commit, or none (https://hl7.org/fhir/R4/http.html#trules): deletes, creates,
// updates and patches, in that order whatever the Bundle's; then the reads, which see what was written. Entries refer to
// one another by fullUrl. Every Grant is asked for before anything is touched.
func (a *api) transaction(r *http.Request, ask catalogue.Asker, entries []entry) ([]answered, error) {
	answers := make([]answered, len(entries))
	writes, err := a.writes(r, ask, entries)
	if err != nil {
		return nil, err
	}
	if len(writes) > 0 {
		err = record.Retry(attempts, func() error { return a.together(r, ask, writes, answers) })
		if err != nil {
			return nil, err
		}
	}
	return answers, a.reads(r, ask, entries, answers)
}

// reads answers the entries that read, all from one snapshot, which begins once the rest is durable: they see what the
// transaction wrote and agree with one another. Each is its own request with its own rule, and one that finds nothing (404) or
// is refused (403) says so in its own entry: what was written stays.
func (a *api) reads(r *http.Request, ask catalogue.Asker, entries []entry, answers []answered) error {
	looks := func(e entry) bool { return e.method == "GET" || e.method == "HEAD" }
	if !slices.ContainsFunc(entries, looks) {
		return nil
	}
	return a.k.DB.View(r.Context(), func(ctx context.Context) error {
		for _, e := range entries {
			if looks(e) {
				answers[e.at] = a.alone(r.WithContext(ctx), ask, e)
			}
		}
		return nil
	})
}

// write is one entry that changes the record, as a change.
type write struct {
	entry  entry
	change record.Change
	// several says that it is one of the deletes of an entry whose criteria match more than one.
	several bool
}

// writes turns the entries into changes, in the order in which they are done, with an id for each new resource.
func (a *api) writes(r *http.Request, ask catalogue.Asker, entries []entry) ([]write, error) {
	var writes []write
	conditions := map[string]bool{}
	for _, methods := range inOrder() {
		for _, e := range entries {
			if !slices.Contains(methods, e.method) || e.method == "GET" || e.method == "HEAD" {
				continue
			}
			c, err := a.change(r, ask, e)
			if err != nil {
				return nil, err
			}
			if c.Verb == record.Create && c.Criteria != nil {
				key := c.Ref.Type + "?" + criteriaOf(e.ifNoneExist)
				if conditions[key] {
					return nil, e.fault(fault.New(fault.Invalid, "Two entries would create on the same condition; one is enough."))
				}
				conditions[key] = true
			}
			writes = append(writes, write{entry: e, change: c})
		}
	}
	return writes, nil
}

func (a *api) change(r *http.Request, ask catalogue.Asker, e entry) (record.Change, error) {
	typ, id, query, err := e.path()
	if err != nil {
		return record.Change{}, err
	}
	c := record.Change{Ref: record.Ref{Tenant: catalogue.TenantOf(r), Type: typ, ID: id}, Resource: e.resource, Reason: reason(r), May: mayChange(ask), Would: a.would(ask)}
	if c.IfMatch, err = versionTag(e.ifMatch); err != nil {
		return c, e.fault(err)
	}
	c.IfAbsent = strings.TrimSpace(e.ifNoneMatch) == "*"
	switch e.method {
	case "POST":
		c.Verb, query = record.Create, criteriaOf(e.ifNoneExist)
		if id != "" {
			return c, e.fault(fault.New(fault.Invalid, "A POST goes to a type; to choose the id, use PUT."))
		}
		if c.Ref.ID, err = a.k.Records.NewIDFor(c.Ref.Tenant, e.resource); err != nil {
			return c, err
		}
	case "PUT":
		c.Verb = record.Put
		if id == "" {
			c.Ref.ID = e.resource.ID()
		} else if e.resource.ID() != id {
			return c, e.fault(fault.New(fault.Invalid, "The id in the resource is not the one in the url."))
		}
	case "PATCH":
		c.Verb = record.Patch
		if err := a.patchEntry(r, e, &c); err != nil {
			return c, e.fault(err)
		}
	case "DELETE":
		c.Verb, c.Resource = record.Delete, nil
	}
	if err := a.writable(typ); err != nil {
		return c, e.fault(err)
	}
	if c.Verb == record.Create || c.Verb == record.Put {
		if err := a.checked(r.Context(), e, typ); err != nil {
			return c, err
		}
	}
	if query != "" || id == "" && c.Verb != record.Create {
		if c.Criteria, err = a.criteria(ask, typ, strings.TrimPrefix(query, "?")); err != nil {
			return c, e.fault(err)
		}
	}
	return c, nil
}

// patchEntry reads the patch that an entry carries: a Parameters resource, or a Binary that holds a JSON Patch.
func (a *api) patchEntry(r *http.Request, e entry, c *record.Change) error {
	contentType, body := mimeJSON, e.resource.JSON()
	if e.resource.Type() == "Binary" {
		var err error
		if body, err = binaryData(e.resource); err != nil {
			return err
		}
		contentType = e.resource.Get("contentType").String()
	}
	apply, err := a.patcher(r.Context(), contentType, body)
	if err != nil {
		return err
	}
	typ, id := c.Ref.Type, c.Ref.ID
	c.Resource = nil
	c.Patch = func(current *fhir.Resource) (*fhir.Resource, error) {
		next, err := apply(current)
		if err != nil {
			return nil, err
		}
		if next.ID() != "" && id != "" && next.ID() != id {
			return nil, fault.New(fault.Unprocessable, "A patch cannot change a resource's id.")
		}
		return next, a.accepted(r.Context(), typ, next, current)
	}
	return nil
}

func binaryData(res *fhir.Resource) ([]byte, error) {
	data, err := base64.StdEncoding.DecodeString(res.Get("data").String())
	return data, fault.Wrap(err, fault.Invalid, "The Binary's data is not base64.")
}

// together prepares all changes, asks for every Grant, and writes in one commit.
func (a *api) together(r *http.Request, ask catalogue.Asker, writes []write, answers []answered) error {
	writes, err := a.spread(r, writes)
	if err != nil {
		return err
	}
	changes, named, err := a.linked(r, ask, writes)
	if err != nil {
		return err
	}
	drafts, at, err := a.drafts(r, writes, changes, named, answers)
	if err != nil || len(drafts) == 0 {
		return err
	}
	record.FoundedBy(drafts...)
	var acts []access.Act
	for _, d := range drafts {
		acts = append(acts, d.Acts()...)
	}
	if len(acts) == 0 {
		return nil
	}
	grants, err := ask.Grants(acts...)
	if err != nil {
		return err
	}
	var outcomes []record.Outcome
	failed := -1
	err = a.k.Gate.Act(r.Context(), grants, record.LanesOf(drafts...), func(tx *store.Tx) error {
		outcomes, failed, err = a.k.Records.ApplyAll(tx, drafts, grants...)
		for i := range outcomes {
			if err == nil && outcomes[i].Matched && outcomes[i].Version.Ref != drafts[i].Ref() {
				failed, err = i, record.Again("a conditional create found its resource")
			}
		}
		return err
	})
	if err != nil {
		if failed >= 0 && failed < len(at) && !record.Moved(err) {
			if w := writes[at[failed]]; !w.several || !record.Moved(changed(err)) {
				return w.entry.fault(err)
			}
			return changed(err)
		}
		return err
	}
	minimal := preferences(r).Return == "minimal"
	for i, out := range outcomes {
		w := writes[at[i]]
		answers[w.entry.at] = a.written(r, w.change.Verb, out, minimal)
		if w.several {
			answers[w.entry.at] = answered{status: http.StatusNoContent}
		}
	}
	return nil
}

// linked gives each change its resource with references to the other entries replaced by the addresses they will have;
// named are those addresses, where other entries may use them.
func (a *api) linked(r *http.Request, ask catalogue.Asker, writes []write) (changes []record.Change, named []record.Ref, err error) {
	to := links{}
	changes, named = make([]record.Change, len(writes)), make([]record.Ref, len(writes))
	for i, w := range writes {
		changes[i] = w.change
		if w.entry.fullURL == "" || w.change.Verb == record.Delete {
			continue
		}
		ref := w.change.Ref
		if w.change.Criteria != nil {
			d, err := a.k.Records.Prepare(r.Context(), w.change)
			if err != nil {
				return nil, nil, w.entry.fault(err)
			}
			ref = d.Ref()
			if w.change.Verb == record.Put {
				changes[i].Ref.ID = ref.ID // so that a new one gets the id that others refer to
			}
		}
		if _, twice := to[w.entry.fullURL]; twice {
			return nil, nil, w.entry.fault(fault.New(fault.Invalid, "Two entries have the same fullUrl."))
		}
		to[w.entry.fullURL], named[i] = ref.String(), ref
	}
	for i, w := range writes {
		if changes[i].Resource == nil {
			continue
		}
		changes[i].Resource, err = to.rewrite(changes[i].Resource, func(typ, query string) (string, error) { return a.only(r, ask, typ, query) })
		if err != nil {
			return nil, nil, w.entry.fault(err)
		}
	}
	beside := map[record.Ref]*fhir.Resource{}
	for i := range changes {
		if changes[i].Resource != nil && changes[i].Ref.ID != "" {
			beside[changes[i].Ref] = changes[i].Resource
		}
	}
	for i := range changes {
		changes[i].Beside = func(ref record.Ref) *fhir.Resource { return beside[ref] }
	}
	return changes, named, nil
}

// only is the one resource that a conditional reference names (https://hl7.org/fhir/R4/http.html#trules).
func (a *api) only(r *http.Request, ask catalogue.Asker, typ, query string) (string, error) {
	criteria, err := a.criteria(ask, typ, query)
	if err != nil {
		return "", err
	}
	page, err := a.k.Records.Search(r.Context(), criteria.Scope, criteria.Query)
	if err != nil {
		return "", err
	}
	if len(page.Matches) != 1 {
		return "", fault.New(fault.PreconditionFailed, "A reference by criteria to %s must match one resource; it matches %d.", typ, len(page.Matches))
	}
	return page.Matches[0].Ref.String(), nil
}

// drafts prepares each change; at says which write each draft is. What a conditional create found is answered at once.
func (a *api) drafts(r *http.Request, writes []write, changes []record.Change, named []record.Ref, answers []answered) (drafts []*record.Draft, at []int, err error) {
	seen := map[record.Ref]bool{}
	minimal := preferences(r).Return == "minimal"
	for i, c := range changes {
		e := writes[i].entry
		d, err := a.k.Records.Prepare(r.Context(), c)
		if err != nil {
			if assigned := c.Ref.ID != writes[i].change.Ref.ID; assigned && fault.Is(err, fault.Invalid) {
				err = record.Again("something matches now")
			}
			if writes[i].several {
				err = changed(err)
			}
			if record.Moved(err) {
				return nil, nil, err
			}
			return nil, nil, e.fault(err)
		}
		if named[i].ID != "" && d.Ref() != named[i] {
			return nil, nil, record.Again("another resource matches now") // and other entries refer to the one before
		}
		if found, ok := d.Matched(); ok {
			c.Criteria.Scope.Disclose(access.Place{Tenant: found.Tenant, Chart: found.Chart, Type: found.Type, ID: found.ID, Exists: true})
			answers[e.at] = a.written(r, c.Verb, record.Outcome{Version: found, Matched: true}, minimal)
			continue
		}
		if len(d.Acts()) == 0 {
			answers[e.at] = answered{status: http.StatusNoContent}
			continue
		}
		if seen[d.Ref()] {
			return nil, nil, e.fault(fault.New(fault.Invalid, "Two entries write the same resource; in a transaction each is written once."))
		}
		seen[d.Ref()] = true
		if err := a.owners(r, d); err != nil {
			return nil, nil, e.fault(err)
		}
		drafts, at = append(drafts, d), append(at, i)
	}
	return drafts, at, nil
}

// written is the answer to one entry that was written.
func (a *api) written(r *http.Request, verb record.Verb, out record.Outcome, minimal bool) answered {
	v := out.Version
	ans := answered{status: http.StatusOK, etag: etag(v.Ver), lastModified: fhir.Instant(v.At)}
	if verb == record.Delete {
		ans.status = http.StatusNoContent
		return ans
	}
	if out.Created {
		ans.status = http.StatusCreated
	}
	ans.location = a.base(r) + "/" + v.Ref.String() + "/_history/" + v.VersionID()
	if !minimal {
		ans.resource = v.Rendered()
	}
	return ans
}
