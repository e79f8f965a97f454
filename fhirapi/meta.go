package fhirapi

import (
	"net/http"
	"net/url"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// meta: "retrieves a summary of the profiles, tags, and security labels" (https://hl7.org/fhir/R4/resource-operation-meta.html).
func (a *api) meta(w http.ResponseWriter, r *http.Request, g access.Grant) error {
	v, err := a.k.Records.Read(r.Context(), g, ref(r))
	if err != nil {
		return err
	}
	return a.sendMeta(w, r, v)
}

func (a *api) sendMeta(w http.ResponseWriter, r *http.Request, v record.Version) error {
	full, err := fhir.Parse(v.Rendered())
	if err != nil {
		return fault.Wrap(err, fault.Internal, "a kept resource cannot be read")
	}
	return a.send(w, r, http.StatusOK, metaParameters(fhir.RawValue(full.Get("meta").Raw())))
}

// mostMeta bounds how many resources $meta of a type or of everything looks at.
const mostMeta = 20_000

// metaOfSet is what profiles, tags and labels are in use, as far as the caller may see. It shows nothing of any one record.
func (a *api) metaOfSet(w http.ResponseWriter, r *http.Request, s access.Scope) error {
	if typ := r.PathValue("type"); typ != "" {
		if err := a.known(typ); err != nil {
			return err
		}
	}
	var used metaInUse
	err := a.k.DB.Read(r.Context(), func(tx *store.Tx) error {
		used = metaInUse{seen: map[string]bool{}, lists: map[string][]any{}}
		q, _, err := a.k.Records.ParseQuery(r.PathValue("type"), url.Values{"_count": {"1000"}}, false)
		for n := 0; err == nil; {
			var page record.Page
			if page, err = a.k.Records.SearchTx(tx, s, q); err != nil {
				return err
			}
			for _, v := range page.Matches {
				used.add(v.Resource)
			}
			if q.Cursor = page.Next; q.Cursor == "" {
				return nil
			}
			if n += len(page.Matches); n >= mostMeta {
				return fault.New(fault.TooCostly, "There are over %d resources; ask $meta of one of them.", mostMeta)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	return a.send(w, r, http.StatusOK, metaParameters(used.value()))
}

type metaInUse struct {
	seen  map[string]bool
	lists map[string][]any
}

func (u *metaInUse) add(res *fhir.Resource) {
	for _, kind := range metaLists() {
		for n := range res.Get("meta." + kind).Items() {
			if key := kind + " " + metaKey(n); !u.seen[key] {
				u.seen[key] = true
				u.lists[kind] = append(u.lists[kind], fhir.RawValue(n.Raw()))
			}
		}
	}
}

func (u *metaInUse) value() fhir.Value {
	var pairs []any
	for _, kind := range metaLists() {
		pairs = append(pairs, kind, fhir.Arr(u.lists[kind]...))
	}
	return fhir.Obj(pairs...)
}

func metaLists() []string { return []string{"profile", "security", "tag"} }

func metaParameters(meta fhir.Value) fhir.Value {
	return fhir.Obj("resourceType", "Parameters", "parameter", fhir.Arr(fhir.Obj("name", "return", "valueMeta", meta)))
}

// metaAdd adds profiles, tags and labels; metaDelete takes them away. Both make a version, as every change here does.
func (a *api) metaAdd(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	return a.changeMeta(w, r, ask, true)
}

func (a *api) metaDelete(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	return a.changeMeta(w, r, ask, false)
}

func (a *api) changeMeta(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, add bool) error {
	to := ref(r)
	if err := a.writable(to.Type); err != nil {
		return err
	}
	sent, err := a.readResource(r)
	if err != nil {
		return err
	}
	var given fhir.Node
	for p := range sent.Get("parameter").Items() {
		if p.Field("name").String() == "meta" {
			given = p.Field("valueMeta")
		}
	}
	if sent.Type() != "Parameters" || !given.Exists() {
		return fault.New(fault.Invalid, "Send Parameters with one parameter, meta, that has a valueMeta.")
	}
	c := record.Change{Verb: record.Patch, Ref: to, Reason: reason(r), Patch: func(current *fhir.Resource) (*fhir.Resource, error) {
		next, err := withMeta(current, given, add)
		if err != nil {
			return nil, err
		}
		return next, a.accept(r.Context(), to.Type, next, current)
	}}
	if c.IfMatch, err = ifMatch(r); err != nil {
		return err
	}
	out, err := a.apply(r, ask, c)
	if err != nil {
		return err
	}
	validators(w, out.Version)
	return a.sendMeta(w, r, out.Version)
}

// withMeta is current with the lists of given added to its meta, or taken out of it.
func withMeta(current *fhir.Resource, given fhir.Node, add bool) (*fhir.Resource, error) {
	meta := current.Get("meta")
	var pairs []any
	for name, n := range meta.Fields() {
		if name != "profile" && name != "security" && name != "tag" {
			pairs = append(pairs, name, fhir.RawValue(n.Raw()))
		}
	}
	for _, kind := range metaLists() {
		named := map[string]bool{}
		for n := range given.Field(kind).Items() {
			named[metaKey(n)] = true
		}
		var list []any
		for n := range meta.Field(kind).Items() {
			if add || !named[metaKey(n)] {
				list = append(list, fhir.RawValue(n.Raw()))
			}
			if add {
				delete(named, metaKey(n))
			}
		}
		for n := range given.Field(kind).Items() {
			if add && named[metaKey(n)] {
				list = append(list, fhir.RawValue(n.Raw()))
				delete(named, metaKey(n))
			}
		}
		pairs = append(pairs, kind, fhir.Arr(list...))
	}
	return current.Edit().Set(current.Root(), "meta", fhir.Obj(pairs...)).Done()
}

// metaKey tells profiles, tags and labels apart: codings by system and code (display does not count).
func metaKey(n fhir.Node) string {
	if n.Kind() == fhir.Object {
		return n.Field("system").String() + "|" + n.Field("code").String()
	}
	return n.String()
}
