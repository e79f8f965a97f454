package fhirapi

import (
	"net/http"
	"net/url"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/validate"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
)

// validate: "checks whether the attached content would be acceptable" (https://hl7.org/fhir/R4/resource-operation-validate.html).
// The content is the resource itself or Parameters with resource and mode; the answer is always 200 with an OperationOutcome.
func (a *api) validate(w http.ResponseWriter, r *http.Request, _ catalogue.Asker) error {
	if _, err := wanted(r); err != nil {
		return err
	}
	res, err := readResource(r, a.defs)
	if err != nil {
		return err
	}
	content := res.Root()
	if res.Type() == "Parameters" {
		content = fhir.Node{}
		for p := range res.Get("parameter").Items() {
			if p.Field("name").String() == "resource" {
				content = p.Field("resource")
			}
		}
		if !content.Exists() {
			return fault.New(fault.Invalid, "$validate needs the resource to look at, as the body or as the parameter resource.")
		}
	}
	issues := validate.Node(r.Context(), content, validate.Options{Definitions: a.defs})
	if typ := r.PathValue("type"); content.Field("resourceType").String() != typ {
		issues = append(issues, fault.Issue{Severity: "error", Code: "invalid", Diagnostics: "The address is for " + typ + ", the resource is another type."})
	}
	if len(issues) == 0 {
		issues = []fault.Issue{allOK("Nothing is wrong with it as FHIR R4.")}
	}
	send(w, r, http.StatusOK, outcome(issues...))
	return nil
}

// everything: "return all the information related to the one or more patients"
// (https://hl7.org/fhir/R4/patient-operation-everything.html): the chart, page by page.
func (a *api) everything(w http.ResponseWriter, r *http.Request, s access.Scope) error {
	values, err := parameters(r)
	if err != nil {
		return err
	}
	query := url.Values{}
	for name, list := range values {
		switch name {
		case "_type", "_count", "_cursor", "_total":
			query[name] = list
		case "_since":
			query.Set("_lastUpdated", "ge"+list[0])
		case "_format", "_pretty":
		default:
			return fault.New(fault.Invalid, "$everything has no parameter %s here; there are _type, _since and _count.", name)
		}
	}
	if query.Get("_count") == "" {
		query.Set("_count", "200")
	}
	id, err := ident.ParseFHIRID(r.PathValue("id"))
	if err != nil {
		return err
	}
	place, err := a.k.Records.Locate(r.Context(), record.Ref{Tenant: catalogue.TenantOf(r), Type: "Patient", ID: r.PathValue("id")})
	if err != nil {
		return err
	}
	if !place.Exists {
		return access.NotHere()
	}
	q, _, err := a.k.Records.ParseQuery("", query, false)
	if err != nil {
		return err
	}
	if q, err = a.k.Records.InCompartment(q, "Patient", id); err != nil {
		return err
	}
	page, err := a.k.Records.Search(r.Context(), s, q)
	if err != nil {
		return err
	}
	return a.sendSet(w, r, values, view{defs: a.defs}, page, nil)
}

// meta: "retrieves a summary of the profiles, tags, and security labels" (https://hl7.org/fhir/R4/resource-operation-meta.html).
func (a *api) meta(w http.ResponseWriter, r *http.Request, g access.Grant) error {
	v, err := a.k.Records.Read(r.Context(), g, ref(r))
	if err != nil {
		return err
	}
	return sendMeta(w, r, v)
}

func sendMeta(w http.ResponseWriter, r *http.Request, v record.Version) error {
	full, err := fhir.Parse(v.Rendered())
	if err != nil {
		return fault.Wrap(err, fault.Internal, "a kept resource cannot be read")
	}
	send(w, r, http.StatusOK, fhir.Obj("resourceType", "Parameters",
		"parameter", fhir.Arr(fhir.Obj("name", "return", "valueMeta", fhir.RawValue(full.Get("meta").Raw())))))
	return nil
}

// metaOfSet is what profiles, tags and labels are in use, as far as the caller may see.
func (a *api) metaOfSet(w http.ResponseWriter, r *http.Request, s access.Scope) error {
	q, _, err := a.k.Records.ParseQuery(r.PathValue("type"), url.Values{"_count": {"1000"}}, false)
	if err != nil {
		return err
	}
	page, err := a.k.Records.Search(r.Context(), s, q)
	if err != nil {
		return err
	}
	kinds := []string{"profile", "security", "tag"}
	seen, lists := map[string]bool{}, map[string][]any{}
	for _, v := range page.Matches {
		for _, kind := range kinds {
			for n := range v.Resource.Get("meta." + kind).Items() {
				if key := kind + string(n.Raw()); !seen[key] {
					seen[key] = true
					lists[kind] = append(lists[kind], fhir.RawValue(n.Raw()))
				}
			}
		}
	}
	meta := fhir.Obj("profile", fhir.Arr(lists["profile"]...), "security", fhir.Arr(lists["security"]...), "tag", fhir.Arr(lists["tag"]...))
	send(w, r, http.StatusOK, fhir.Obj("resourceType", "Parameters", "parameter", fhir.Arr(fhir.Obj("name", "return", "valueMeta", meta))))
	return nil
}

// metaAdd adds profiles, tags and labels; metaDelete takes them away. Both make a version, as every change here does.
func (a *api) metaAdd(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	return a.changeMeta(w, r, ask, true)
}

func (a *api) metaDelete(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	return a.changeMeta(w, r, ask, false)
}

func (a *api) changeMeta(w http.ResponseWriter, r *http.Request, ask catalogue.Asker, add bool) error {
	sent, err := readResource(r, a.defs)
	if err != nil {
		return err
	}
	given := sent.Get("parameter.0.valueMeta")
	if sent.Type() != "Parameters" || !given.Exists() {
		return fault.New(fault.Invalid, "Send Parameters with one parameter, meta, that has a valueMeta.")
	}
	c := record.Change{Verb: record.Patch, Ref: ref(r), Reason: r.Header.Get(reasonHeader), Patch: func(current *fhir.Resource) (*fhir.Resource, error) {
		return withMeta(current, given, add)
	}}
	out, err := a.apply(r, ask, c)
	if err != nil {
		return err
	}
	validators(w, out.Version)
	return sendMeta(w, r, out.Version)
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
	for _, kind := range []string{"profile", "security", "tag"} {
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
