package fhirapi

import (
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
)

// historyOfInstance: "retrieves the history of either a particular resource" (https://hl7.org/fhir/R4/http.html#history),
// newest first, voided versions included.
func (a *api) historyOfInstance(w http.ResponseWriter, r *http.Request, g access.Grant) error {
	values := r.URL.Query()
	p, err := period(values)
	if err != nil {
		return err
	}
	page, err := a.k.Records.History(r.Context(), g, ref(r), p)
	if err != nil {
		return err
	}
	return a.sendHistory(w, r, values, page)
}

// historyOfSet is "all resources of a given type, or all resources supported by the system", as far as the caller may see.
func (a *api) historyOfSet(w http.ResponseWriter, r *http.Request, s access.Scope) error {
	var types []string
	if typ := r.PathValue("type"); typ != "" {
		if err := a.known(typ); err != nil {
			return err
		}
		types = []string{typ}
	}
	values := r.URL.Query()
	p, err := period(values)
	if err != nil {
		return err
	}
	page, err := a.k.Records.HistoryOf(r.Context(), s, types, p)
	if err != nil {
		return err
	}
	return a.sendHistory(w, r, values, page)
}

// period reads _since, _at, _count and our own _cursor; anything else is refused.
func period(values url.Values) (record.Period, error) {
	var p record.Period
	for name, list := range values {
		text := list[0]
		var err error
		switch name {
		case "_since":
			p.Since, err = instant(name, text)
		case "_at":
			p.From, p.To, err = span(text)
		case "_count":
			p.Count, err = strconv.Atoi(text)
			if err != nil || p.Count < 1 {
				err = fault.New(fault.Invalid, "_count must be a number of versions, from 1")
			}
		case "_cursor":
			p.Cursor = text
		case "_format", "_pretty":
		default:
			err = fault.New(fault.Invalid, "A history has no parameter of that name; there are _since, _at, _count.")
		}
		if err != nil {
			return p, err
		}
	}
	return p, nil
}

func instant(name, text string) (time.Time, error) {
	t, err := time.Parse(time.RFC3339Nano, text)
	if err != nil {
		return t, fault.New(fault.Invalid, "%s must be an instant, for example 2026-06-05T14:05:00Z", name)
	}
	return t.UTC(), nil
}

// span is the time that a FHIR date or dateTime covers.
func span(text string) (from, to time.Time, err error) {
	for _, form := range []struct {
		layout              string
		years, months, days int
	}{{"2006", 1, 0, 0}, {"2006-01", 0, 1, 0}, {"2006-01-02", 0, 0, 1}} {
		if from, err = time.Parse(form.layout, text); err == nil {
			return from, from.AddDate(form.years, form.months, form.days), nil
		}
	}
	if from, err = time.Parse(time.RFC3339Nano, text); err == nil {
		return from.UTC(), from.UTC().Add(time.Second), nil
	}
	return from, to, fault.New(fault.Invalid, "_at must be a date or a time, for example 2026-06-05")
}

// sendHistory is a Bundle of type history (https://hl7.org/fhir/R4/http.html#history).
func (a *api) sendHistory(w http.ResponseWriter, r *http.Request, values url.Values, page record.HistoryPage) error {
	if _, err := wanted(r); err != nil {
		return err
	}
	var entries []any
	for _, v := range page.Versions {
		entries = append(entries, a.historyEntry(r, v))
	}
	links := []any{fhir.Obj("relation", "self", "url", a.link(r, values, ""))}
	if page.Next != "" {
		links = append(links, fhir.Obj("relation", "next", "url", a.link(r, values, page.Next)))
	}
	pairs := []any{"resourceType", "Bundle", "type", "history"}
	if page.Total >= 0 {
		pairs = append(pairs, "total", page.Total)
	}
	pairs = append(pairs, "link", fhir.Arr(links...), "entry", fhir.Arr(entries...))
	return a.send(w, r, http.StatusOK, fhir.Obj(pairs...))
}

func (a *api) historyEntry(r *http.Request, v record.Version) fhir.Value {
	method, status := "PUT", "200"
	switch {
	case v.Deleted:
		method, status = "DELETE", "204"
	case v.Op == record.Created && v.Ver == 1 && !v.ByPut:
		method, status = "POST", "201"
	case v.Op == record.Created: // by an update: under a chosen id, or again after it had been deleted
		status = "201"
	}
	at := v.Ref.String()
	if method == "POST" {
		at = v.Type
	}
	pairs := []any{"fullUrl", a.base(r) + "/" + v.Ref.String()}
	if v.Resource != nil {
		pairs = append(pairs, "resource", fhir.RawValue(v.Rendered()))
	}
	pairs = append(pairs, "request", fhir.Obj("method", method, "url", at),
		"response", fhir.Obj("status", status, "etag", etag(v.Ver), "lastModified", fhir.Instant(v.At)))
	return fhir.Obj(pairs...)
}

// link is the address of this page, or of the one that cursor opens.
func (a *api) link(r *http.Request, values url.Values, cursor string) string {
	next := url.Values{}
	for name, list := range values {
		if name != "_cursor" || cursor == "" {
			next[name] = slices.Clone(list)
		}
	}
	if cursor != "" {
		next.Set("_cursor", cursor)
	}
	address := a.base(r) + r.URL.Path[min(len(Base), len(r.URL.Path)):]
	if len(next) > 0 {
		address += "?" + next.Encode()
	}
	return address
}
