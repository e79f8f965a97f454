package directory

import (
	"errors"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/store"
)

// terminology runs fn over the code systems in one snapshot. edition is the day of the newest change, which versions them.
func (d *Directory) terminology(r *http.Request, fn func(tx *store.Tx, systems []codeSystem, edition string) error) error {
	reads, err := d.reads(r.Context(), "Organization")
	if err != nil {
		return err
	}
	return d.k.DB.Read(r.Context(), func(tx *store.Tx) error {
		var edition string
		if err := tx.QueryRow(`SELECT coalesce(max(changed), '') FROM directory_organisation`).Scan(&edition); err != nil {
			return err
		}
		if edition == "" {
			edition = string(DayOf(d.k.Clock.Now()))
		}
		return fn(tx, d.codeSystems(reads), edition)
	})
}

func query(r *http.Request, known ...string) (url.Values, error) {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The parameters cannot be read: check what follows each percent sign.")
	}
	known = append(known, "_format", "_pretty")
	for name := range values {
		if !slices.Contains(known, name) && len(known) > 2 {
			slices.Sort(known)
			return nil, unknownParameter("CodeSystem", harmlessName(name), known)
		}
	}
	return values, nil
}

// odtCodeSystems lists code systems, in summary or whole (ODT, search-codesystem). With a code it is $lookup.
func (d *Directory) odtCodeSystems(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "url", "system", "code", "property", "_summary", "_summmary", "_count", "_offset", "name", "_id")
	if err != nil {
		return err
	}
	if values.Has("code") {
		return d.odtLookup(w, r)
	}
	page, err := readPaging(url.Values{"_count": values["_count"], "_offset": values["_offset"]})
	if err != nil {
		return err
	}
	asked := values.Get("_summary") + values.Get("_summmary") // the specification's list of parameters has three m, its text two
	whole := asked == "false" || asked == "data"
	wanted := values.Get("url") + values.Get("system")
	var entries []fhir.Value
	total := 0
	err = d.terminology(r, func(tx *store.Tx, systems []codeSystem, edition string) error {
		entries, total = nil, 0
		for _, s := range systems {
			if wanted != "" && s.url != wanted ||
				values.Has("name") && !strings.HasPrefix(strings.ToLower(s.name), strings.ToLower(values.Get("name"))) ||
				values.Has("_id") && values.Get("_id") != s.id+"-"+edition {
				continue
			}
			if total++; total <= page.offset || len(entries) >= page.count {
				continue
			}
			if whole && s.large {
				return fault.New(fault.TooCostly, "Too many records requested (Use _count and _offset)")
			}
			res, err := s.resource(tx, edition, whole)
			if err != nil {
				return err
			}
			entries = append(entries, fhir.Obj("fullUrl", d.k.BaseURL()+odtBase+"/CodeSystem/"+s.id+"-"+edition, "resource", res, "search", fhir.Obj("mode", "match")))
		}
		return nil
	})
	if err != nil {
		return err
	}
	self := fhir.Arr(fhir.Obj("relation", "self", "url", d.k.BaseURL()+odtBase+"/CodeSystem"+question(r.URL.RawQuery)))
	return d.sendBundle(w, r, self, fhir.Of(total), fhir.List(entries))
}

// resource is the code system as FHIR: what it is and what can be asked of it, and its concepts when whole.
func (s codeSystem) resource(tx *store.Tx, edition string, whole bool) (fhir.Value, error) {
	page, total, err := s.list(tx, nil, false, 0, map[bool]int{true: odtMost, false: 0}[whole])
	if err != nil {
		return fhir.Value{}, err
	}
	var properties, filters, concepts []fhir.Value
	for _, p := range s.properties {
		properties = append(properties, fhir.Obj("code", strings.ReplaceAll(p, " ", "-"), "description", p, "type", "string"))
		filters = append(filters, fhir.Obj("code", strings.ReplaceAll(p, " ", "-"), "operator", fhir.Arr("=", "in"), "value", "A value of "+p))
	}
	for _, c := range page {
		concepts = append(concepts, fhir.Obj("code", c.code, "display", c.display))
	}
	content := "complete"
	tag := fhir.Value{}
	if !whole {
		tag = fhir.Arr(fhir.Obj("system", "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code", "SUBSETTED"))
	}
	return fhir.Obj("resourceType", "CodeSystem", "id", s.id+"-"+edition, "meta", fhir.Obj("tag", tag), "url", s.url, "version", edition, "name", strings.ReplaceAll(s.name, " ", ""),
		"title", s.name, "status", "active", "experimental", false, "content", content, "count", total, "filter", fhir.List(filters), "property", fhir.List(properties),
		"concept", fhir.List(concepts)), nil
}

// found is the concept that a request names by system (or url) and code.
func (d *Directory) found(r *http.Request, values url.Values) (s codeSystem, c concept, edition string, err error) {
	system, code := values.Get("system")+values.Get("url"), values.Get("code")
	if system == "" || code == "" {
		return s, c, "", fault.New(fault.Invalid, "system and code are both needed.")
	}
	err = d.terminology(r, func(tx *store.Tx, systems []codeSystem, day string) error {
		var known bool
		if s, known = named(systems, system); !known {
			return fault.New(fault.NotFound, "HAPI-2001: This code system is not known; CodeSystem lists those that are.")
		}
		edition = day
		var ok bool
		if c, ok, err = s.find(tx, code); err != nil {
			return err
		}
		if !ok {
			return errNoCode
		}
		return nil
	})
	return s, c, edition, err
}

// errNoCode says that a code system has no such code.
var errNoCode = fault.New(fault.NotFound, "HAPI-2001: The code system has no such code.")

// odtLookup is the details of one concept: CodeSystem/$lookup, with the properties that are asked for.
func (d *Directory) odtLookup(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r, "system", "url", "code", "property", "version", "_summary", "_summmary")
	if err != nil {
		return err
	}
	s, c, edition, err := d.found(r, values)
	if err != nil {
		return err
	}
	list := []fhir.Value{
		fhir.Obj("name", "code", "valueCode", c.code),
		fhir.Obj("name", "display", "valueString", c.display),
		fhir.Obj("name", "name", "valueString", s.name),
		fhir.Obj("name", "system", "valueUri", s.url),
		fhir.Obj("name", "version", "valueString", edition),
		fhir.Obj("name", "designation", "part", fhir.Arr(
			fhir.Obj("name", "use", "valueCoding", fhir.Obj("system", "http://terminology.hl7.org/CodeSystem/designation-usage", "code", "display")),
			fhir.Obj("name", "value", "valueString", c.display))),
	}
	asked := values["property"]
	for _, p := range c.properties {
		if slices.Contains(asked, "*") || slices.Contains(asked, p.code) {
			list = append(list, p.parameter())
		}
	}
	return fhirapi.Answer(w, r, http.StatusOK, fhir.Obj("resourceType", "Parameters", "parameter", fhir.List(list)).JSON())
}

func (p property) fhirValue() fhir.Value {
	switch p.kind {
	case "Boolean":
		return fhir.Of(p.value == "true")
	case "Coding":
		return fhir.Obj("system", p.system, "code", p.value)
	}
	return fhir.Of(p.value)
}

// parameter is a property as the published lookup writes it: its value twice, once under its type, but for codes.
func (p property) parameter() fhir.Value {
	name := "value" + p.kind
	parts := []any{fhir.Obj("name", "code", "valueCode", p.code)}
	if p.kind != "Code" {
		parts = append(parts, fhir.Obj("name", name, name, p.fhirValue()))
	}
	parts = append(parts, fhir.Obj("name", "value", name, p.fhirValue()))
	return fhir.Obj("name", "property", "part", fhir.Arr(parts...))
}

// odtValidate says whether a code is in a code system, and whether what else is asked of it holds: CodeSystem/$validate-code.
func (d *Directory) odtValidate(w http.ResponseWriter, r *http.Request) error {
	values, err := query(r)
	if err != nil {
		return err
	}
	_, c, _, err := d.found(r, values)
	result, message := err == nil, ""
	if err != nil {
		if values.Get("code") == "" || !errors.Is(err, errNoCode) {
			return err
		}
		message = "The code is not in the code system."
	}
	if display := values.Get("display"); result && display != "" && !strings.EqualFold(display, c.display) {
		result, message = false, "The display is not that of the code."
	}
	for name, asked := range values {
		if !result || slices.Contains([]string{"url", "system", "code", "display", "version", "_format", "_pretty"}, name) {
			continue
		}
		for _, value := range asked {
			if !slices.ContainsFunc(c.properties, func(p property) bool { return p.code == name && p.value == bare(value) }) {
				result, message = false, "The property "+harmlessName(name)+" has another value."
			}
		}
	}
	list := []fhir.Value{fhir.Obj("name", "result", "valueBoolean", result)}
	if message != "" {
		list = append(list, fhir.Obj("name", "message", "valueString", message))
	}
	if c.display != "" {
		list = append(list, fhir.Obj("name", "display", "valueString", c.display))
	}
	return fhirapi.Answer(w, r, http.StatusOK, fhir.Obj("resourceType", "Parameters", "parameter", fhir.List(list)).JSON())
}

// odtExpand is a value set's expansion: ValueSet/$expand, whose body says of which code system, filtered how, with which properties.
func (d *Directory) odtExpand(w http.ResponseWriter, r *http.Request) error {
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "The parameters cannot be read: check what follows each percent sign.")
	}
	for name := range values {
		if name != "_format" && name != "_pretty" {
			return unknownParameter("ValueSet", harmlessName(name), []string{"_format", "_pretty"})
		}
	}
	e, err := readExpansion(r)
	if err != nil {
		return err
	}
	var contains []fhir.Value
	total, edition := 0, ""
	err = d.terminology(r, func(tx *store.Tx, systems []codeSystem, day string) error {
		contains = nil
		s, known := named(systems, e.system)
		if !known {
			return fault.New(fault.NotFound, "HAPI-2001: This code system is not known; CodeSystem lists those that are.")
		}
		if e.count > odtMost {
			_, all, err := s.list(tx, e.filters, e.activeOnly, 0, 0)
			if err != nil {
				return err
			}
			if all-e.offset > odtMost {
				return fault.New(fault.TooCostly, "Too many records requested (Use _count and _offset)")
			}
		}
		page, all, err := s.list(tx, e.filters, e.activeOnly, e.offset, min(e.count, odtMost))
		if err != nil {
			return err
		}
		total, edition = all, day
		for _, c := range page {
			contains = append(contains, c.contained(e))
		}
		return nil
	})
	if err != nil {
		return err
	}
	version := e.system + "|" + edition
	parameters := []fhir.Value{
		fhir.Obj("name", "version", "valueUri", version), fhir.Obj("name", "used-codesystem", "valueUri", version),
		fhir.Obj("name", "activeOnly", "valueBoolean", e.activeOnly),
	}
	if e.counted {
		parameters = append(parameters, fhir.Obj("name", "count", "valueInteger", e.count))
	}
	if e.offset > 0 {
		parameters = append(parameters, fhir.Obj("name", "offset", "valueInteger", e.offset))
	}
	return fhirapi.Answer(w, r, http.StatusOK, fhir.Obj("resourceType", "ValueSet", "expansion", fhir.Obj("identifier", "urn:uuid:"+uuid.NewString(),
		"timestamp", d.k.Clock.Now().UTC().Format("2006-01-02T15:04:05")+"+00:00", "total", total, "offset", e.offset, "parameter", fhir.List(parameters), "contains", fhir.List(contains))).JSON())
}

// contained is a concept in an expansion, with the properties that were asked for as FHIR R5's extension.
func (c concept) contained(e expansion) fhir.Value {
	const asked = "http://hl7.org/fhir/5.0/StructureDefinition/extension-ValueSet.expansion.contains.property"
	var extensions []fhir.Value
	inactive := fhir.Value{}
	if c.inactive {
		inactive = fhir.Of(true)
		extensions = append(extensions, fhir.Obj("url", "http://ontoserver.csiro.au/profiles/expansion", "extension", fhir.Arr(fhir.Obj("url", "inactive", "valueBoolean", true))))
	}
	for _, name := range e.properties {
		for _, p := range c.properties {
			if p.code == name || name == "*" {
				extensions = append(extensions, fhir.Obj("url", asked, "extension", fhir.Arr(
					fhir.Obj("url", "code", "valueCode", p.code), fhir.Obj("url", "value", "value"+p.kind, p.fhirValue()))))
			}
		}
	}
	return fhir.Obj("extension", fhir.List(extensions), "system", e.system, "inactive", inactive, "code", c.code, "display", c.display)
}
