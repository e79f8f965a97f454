package fhirapi

import (
	"maps"
	"mime"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
)

// searchType: "searches a set of resources based on some filter criteria" (https://hl7.org/fhir/R4/http.html#search), by GET or
// by POST to _search. A parameter that is not known is 400, unless Prefer: handling=lenient, which answers with a warning.
func (a *api) searchType(w http.ResponseWriter, r *http.Request, s access.Scope) error {
	typ := r.PathValue("type")
	if err := a.known(typ); err != nil {
		return err
	}
	values, err := parameters(r)
	if err != nil {
		return err
	}
	return a.search(w, r, s, typ, values)
}

// searchSystem searches all types, or those of _type.
func (a *api) searchSystem(w http.ResponseWriter, r *http.Request, s access.Scope) error {
	values, err := parameters(r)
	if err != nil {
		return err
	}
	return a.search(w, r, s, "", values)
}

// searchCompartment searches what belongs to one resource: Patient/123/Observation, or Patient/123/* for all
// (https://hl7.org/fhir/R4/http.html#vsearch, https://hl7.org/fhir/R4/compartmentdefinition.html).
func (a *api) searchCompartment(w http.ResponseWriter, r *http.Request, s access.Scope) error {
	values, err := parameters(r)
	if err != nil {
		return err
	}
	typ := r.PathValue("related")
	if a.defs.Compartment(r.PathValue("type")) == nil {
		return fault.New(fault.NotFound, "There is no such compartment; Patient, Encounter, RelatedPerson, Practitioner and Device have one.")
	}
	if typ == "*" {
		typ = ""
	} else if err := a.known(typ); err != nil {
		return err
	}
	id, err := ident.ParseFHIRID(r.PathValue("id"))
	if err != nil {
		return access.NotHere()
	}
	return a.search(w, r, s, typ, values, func(q record.Query) (record.Query, error) {
		return a.k.Records.InCompartment(q, r.PathValue("type"), id)
	})
}

// parameters are those of the address and, for a POSTed search, of its form.
func parameters(r *http.Request) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The parameters cannot be read: check what follows each percent sign.")
	}
	if r.Method != http.MethodPost {
		return values, nil
	}
	media, _, err := mime.ParseMediaType(r.Header.Get("Content-Type"))
	if (err != nil || media != mimeForm) && r.ContentLength != 0 {
		return nil, fault.New(fault.UnsupportedMedia, "A search by POST is sent as %s.", mimeForm)
	}
	body, err := readBody(r)
	if err != nil {
		return nil, err
	}
	form, err := url.ParseQuery(string(body))
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The parameters cannot be read: check what follows each percent sign.")
	}
	query := r.URL.Query()
	for name, list := range form {
		values[name] = append(values[name], list...)
		if name == "_format" || name == "_pretty" {
			query[name] = list
			r.URL.RawQuery = query.Encode() // where wanted looks for the format
		}
	}
	return values, nil
}

// search runs a query under the scope and answers with a searchset.
func (a *api) search(w http.ResponseWriter, r *http.Request, s access.Scope, typ string, values url.Values, narrow ...func(record.Query) (record.Query, error)) error {
	if _, err := wanted(r); err != nil {
		return err
	}
	if typ != "" && values.Has("_type") {
		return fault.New(fault.Invalid, "_type is for a search over several types; this one is for %s.", typ)
	}
	q, warnings, err := a.k.Records.ParseQuery(typ, a.atHome(r, typ, values), preferences(r).Lenient)
	if err != nil {
		return err
	}
	for _, n := range narrow {
		if q, err = n(q); err != nil {
			return err
		}
	}
	view, err := a.viewOf(values)
	if err != nil {
		return err
	}
	page, err := a.k.Records.Search(r.Context(), s, q)
	if err != nil {
		return err
	}
	return a.sendSet(w, r, a.used(typ, values, warnings), view, page, warnings)
}

// used are the parameters that were used, for the self link: what a lenient search left out is not among them
// (https://hl7.org/fhir/R4/search.html#conformance).
func (a *api) used(typ string, values url.Values, warnings []fault.Issue) url.Values {
	if len(warnings) == 0 {
		return values
	}
	kept := url.Values{}
	for name, list := range values {
		alone := url.Values{name: list}
		if types := values["_type"]; types != nil {
			alone["_type"] = types
		}
		if _, _, err := a.k.Records.ParseQuery(typ, alone, false); err == nil {
			kept[name] = list
		}
	}
	return kept
}

// atHome writes references to this interface's own address as relative ones: they are the same
// (https://hl7.org/fhir/R4/search.html#reference).
func (a *api) atHome(r *http.Request, typ string, values url.Values) url.Values {
	base := a.base(r) + "/"
	var changed url.Values
	for name, list := range values {
		code, _, _ := strings.Cut(name, ":")
		if sp, ok := a.defs.SearchParameter(typ, code); !ok || sp.Type != "reference" {
			continue
		}
		for i, text := range list {
			if !strings.Contains(text, base) {
				continue
			}
			if changed == nil {
				changed = maps.Clone(values)
			}
			if &changed[name][0] == &list[0] {
				changed[name] = slices.Clone(list)
			}
			changed[name][i] = strings.ReplaceAll(text, base, "")
		}
	}
	if changed == nil {
		return values
	}
	return changed
}

// sendSet is a Bundle of type searchset.
func (a *api) sendSet(w http.ResponseWriter, r *http.Request, values url.Values, view view, page record.Page, warnings []fault.Issue) error {
	var entries []any
	add := func(list []record.Version, mode string) error {
		for _, v := range list {
			body, err := view.render(v)
			if err != nil {
				return err
			}
			entries = append(entries, fhir.Obj("fullUrl", a.base(r)+"/"+v.Ref.String(), "resource", fhir.RawValue(body), "search", fhir.Obj("mode", mode)))
		}
		return nil
	}
	if view.summary != "count" {
		if err := add(page.Matches, "match"); err != nil {
			return err
		}
		if err := add(page.Included, "include"); err != nil {
			return err
		}
	}
	if len(warnings) > 0 {
		entries = append(entries, fhir.Obj("resource", outcome(warnings...), "search", fhir.Obj("mode", "outcome")))
	}
	links := []any{fhir.Obj("relation", "self", "url", a.searchLink(r, values, ""))}
	if page.Next != "" {
		links = append(links, fhir.Obj("relation", "next", "url", a.searchLink(r, values, page.Next)))
	}
	pairs := []any{"resourceType", "Bundle", "type", "searchset"}
	if page.Total != nil {
		pairs = append(pairs, "total", *page.Total)
	}
	pairs = append(pairs, "link", fhir.Arr(links...), "entry", fhir.Arr(entries...))
	return a.send(w, r, http.StatusOK, fhir.Obj(pairs...))
}

// searchLink is link for a search, which a POST makes at _search and a GET follows at the type.
func (a *api) searchLink(r *http.Request, values url.Values, cursor string) string {
	get := r
	if r.Method == http.MethodPost {
		get = r.Clone(r.Context())
		get.URL.Path = strings.TrimSuffix(r.URL.Path, "/_search")
	}
	return a.link(get, values, cursor)
}
