package fhirapi

import (
	"net/url"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/record"
)

// view is how much of a resource the caller wants (https://hl7.org/fhir/R4/search.html#summary and #elements).
type view struct {
	defs     *definition.Set
	summary  string // "", true, text, data, count
	elements map[string][]string
}

// viewOf reads _summary and _elements.
func (a *api) viewOf(values url.Values) (view, error) {
	v := view{defs: a.defs, summary: values.Get("_summary")}
	switch v.summary {
	case "", "true", "text", "data", "count":
	case "false":
		v.summary = ""
	default:
		return v, fault.New(fault.Invalid, "_summary is true, false, text, data or count; not %s", v.summary)
	}
	for _, list := range values["_elements"] {
		for name := range strings.SplitSeq(list, ",") {
			if name = strings.TrimSpace(name); name == "" {
				continue
			}
			typ := ""
			if before, after, ok := strings.Cut(name, "."); ok && isTypeName(before) {
				typ, name = before, after
			}
			top, _, _ := strings.Cut(name, ".")
			if v.elements == nil {
				v.elements = map[string][]string{}
			}
			v.elements[typ] = append(v.elements[typ], top)
		}
	}
	if v.summary != "" && v.elements != nil {
		return v, fault.New(fault.Invalid, "_summary and _elements do not go together; use one of them")
	}
	return v, nil
}

// whole reports whether resources are shown as they are.
func (v view) whole() bool { return v.summary == "" && v.elements == nil }

// render is one version as the view shows it. A part of a resource is tagged SUBSETTED, so that nobody saves it back.
func (v view) render(ver record.Version) ([]byte, error) {
	if v.whole() || ver.Resource == nil {
		return ver.Rendered(), nil
	}
	full, err := fhir.Parse(ver.Rendered())
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "a kept resource cannot be read")
	}
	t := v.defs.Type(full.Type())
	if t == nil {
		return ver.Rendered(), nil
	}
	part := v.part(full.Root(), t, true)
	res, err := part.Resource()
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "a summary cannot be made")
	}
	return subsetted(res)
}

// part keeps what the view wants of an object of type t.
func (v view) part(n fhir.Node, t *definition.Type, top bool) fhir.Value {
	var pairs []any
	for name, child := range n.Fields() {
		if top && name == "resourceType" {
			pairs = append(pairs, name, child.String())
			continue
		}
		e, content, ok := t.Element(strings.TrimPrefix(name, "_"))
		if !ok || !v.wants(t, e, top) {
			continue
		}
		inner := v.defs.Type(content)
		if v.summary == "true" && inner != nil && inner.Kind == definition.Backbone && !strings.HasPrefix(name, "_") {
			var items []any
			for item := range child.Items() {
				items = append(items, v.part(item, inner, false))
			}
			if child.Kind() == fhir.Array {
				pairs = append(pairs, name, fhir.Arr(items...))
			} else if len(items) == 1 {
				pairs = append(pairs, name, items[0])
			}
			continue
		}
		pairs = append(pairs, name, fhir.RawValue(child.Raw()))
	}
	return fhir.Obj(pairs...)
}

// wants reports whether an element is in the view. What must be there, and what changes the meaning of the rest, always is.
func (v view) wants(t *definition.Type, e *definition.Element, top bool) bool {
	always := e.Name == "id" || e.Name == "meta" || e.Modifier || e.Min > 0
	switch {
	case v.elements != nil:
		return always || !top || slices.Contains(v.elements[""], e.Name) || slices.Contains(v.elements[t.Name], e.Name)
	case v.summary == "text":
		return e.Name == "id" || e.Name == "meta" || e.Name == "text" || e.Min > 0
	case v.summary == "data":
		return e.Name != "text"
	default:
		return e.Summary || e.Name == "id" || e.Name == "meta"
	}
}

// subsetted adds the tag of https://hl7.org/fhir/R4/search.html#summary.
func subsetted(res *fhir.Resource) ([]byte, error) {
	tag := fhir.Obj("system", "http://terminology.hl7.org/CodeSystem/v3-ObservationValue", "code", "SUBSETTED")
	edit, meta := res.Edit(), res.Get("meta")
	switch {
	case !meta.Exists():
		edit.Set(res.Root(), "meta", fhir.Obj("tag", fhir.Arr(tag)))
	case meta.Field("tag").Exists():
		edit.Insert(meta.Field("tag"), meta.Field("tag").Len(), tag)
	default:
		edit.Set(meta, "tag", fhir.Arr(tag))
	}
	return edit.Bytes()
}
