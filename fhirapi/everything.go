package fhirapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// everything: "return all the information related to the one or more patients"
// (https://hl7.org/fhir/R4/patient-operation-everything.html): the person, then the chart page by page (start, end, _since,
// _type, _count), and with each page what its resources name that is in nobody's chart (practitioners, organisations,
// medications). Whoever may not know of the person is answered as if there were none.
func (a *api) everything(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	asked, err := a.everythingAsked(r)
	if err != nil {
		return err
	}
	id, err := ident.ParseFHIRID(r.PathValue("id"))
	if err != nil {
		return access.NotHere()
	}
	if err := a.present(r, ask, id.String()); err != nil {
		return err
	}
	scope, err := ask.Scope(access.Search)
	if err != nil {
		return err
	}
	q, err := a.k.Records.InCompartment(asked.query, "Patient", id)
	if err != nil {
		return err
	}
	return a.sendEverything(w, r, scope, asked, patientFirst(q), nil)
}

// everythingOfAll is $everything of the type: of every patient whom the caller may see, as far as they may see it, under one
// Scope. It is for programs, and for a person about themself: staff ask about one person at a time. What is in several
// people's compartments comes once.
func (a *api) everythingOfAll(w http.ResponseWriter, r *http.Request, scope access.Scope) error {
	asked, err := a.everythingAsked(r)
	if err != nil {
		return err
	}
	q, index, compartment := asked.query, search.For(a.defs), a.defs.Compartment("Patient")
	belongs := func(typ string) bool { return typ == "Patient" || compartment.Has(typ) && typ != "AuditEvent" }
	if q.Types = slices.DeleteFunc(slices.Clone(q.Types), func(typ string) bool { return !belongs(typ) }); len(q.Types) == 0 {
		return fault.New(fault.Invalid, "Nothing of the types in _type belongs to a patient.")
	}
	return a.sendEverything(w, r, scope, asked, patientFirst(q), func(v record.Version) bool {
		return v.Chart != "" || slices.ContainsFunc(index.Compartments(v.Resource), func(m search.Membership) bool { return m.Code == "Patient" })
	})
}

// patientFirst puts the person before what is about them.
func patientFirst(q record.Query) record.Query {
	if i := slices.Index(q.Types, "Patient"); i > 0 {
		q.Types = slices.Insert(slices.Delete(slices.Clone(q.Types), i, i+1), 0, "Patient")
	}
	return q
}

// everythingAsk is what $everything was asked for.
type everythingAsk struct {
	values   url.Values
	query    record.Query
	types    []string // those that may be shown
	from, to time.Time
}

func (a *api) everythingAsked(r *http.Request) (everythingAsk, error) {
	var asked everythingAsk
	if _, err := wanted(r); err != nil {
		return asked, err
	}
	var err error
	if asked.values, err = a.operationParameters(r); err != nil {
		return asked, err
	}
	query, err := asked.read()
	if err != nil {
		return asked, err
	}
	if asked.query, _, err = a.k.Records.ParseQuery("", query, false); err != nil {
		return asked, err
	}
	asked.types = slices.Clone(asked.query.Types)
	return asked, nil
}

// read takes start and end, and gives the other parameters as a search of the compartment.
func (q *everythingAsk) read() (url.Values, error) {
	query := url.Values{"_count": {"200"}, "_include": {"*:*"}}
	for name, list := range q.values {
		var err error
		switch name {
		case "_type":
			query[name] = []string{strings.Join(list, ",")} // "0..*" of the operation, or one list
		case "_count", "_cursor":
			query[name] = list
		case "_since":
			var since time.Time
			since, err = instant(name, list[0])
			query.Set("_lastUpdated", "ge"+since.Format("2006-01-02T15:04:05.999999999Z07:00"))
		case "start":
			q.from, _, err = day(name, list[0])
		case "end":
			_, q.to, err = day(name, list[0])
		case "_format", "_pretty":
		default:
			err = fault.New(fault.Invalid, "$everything has no parameter of that name here; there are start, end, _since, _type and _count.")
		}
		if err != nil {
			return nil, err
		}
	}
	if !q.from.IsZero() && !q.to.IsZero() && !q.from.Before(q.to) {
		return nil, fault.New(fault.Invalid, "start is after end.")
	}
	return query, nil
}

// day is the time that a FHIR date covers.
func day(name, text string) (from, to time.Time, err error) {
	from, to, err = span(text)
	if err != nil || strings.Contains(text, "T") {
		err = fault.New(fault.Invalid, "%s must be a date, for example 2026-06-05", name)
	}
	return from, to, err
}

// caredFor reports whether a resource relates to care between start and end: one of its dates does, or none is known, as of a
// patient or an allergy without onset. Dates of birth and death, and measured values that are dates, are not care.
func (q *everythingAsk) caredFor(index *search.Index, v record.Version) (bool, error) {
	if v.Type == "Patient" || q.from.IsZero() && q.to.IsZero() {
		return true, nil
	}
	lo, hi := int64(search.Beginning), int64(search.Forever)
	if !q.from.IsZero() {
		lo = q.from.UnixMicro()
	}
	if !q.to.IsZero() {
		hi = q.to.UnixMicro() - 1
	}
	entries, err := index.Extract(v.Resource)
	dated := false
	for _, e := range entries {
		d, ok := e.Value.(search.Date)
		if !ok || e.Code == "_lastUpdated" || e.Code == "birthdate" || e.Code == "death-date" || e.Code == "value-date" {
			continue
		}
		if dated = true; d.Lo <= hi && d.Hi >= lo {
			return true, nil
		}
	}
	return !dated, err
}

// present asks for leave to see the person, so that a stranger learns nothing and a refusal is on the account.
func (a *api) present(r *http.Request, ask catalogue.Asker, id string) error {
	place, err := ask.Locate("Patient", id)
	if err != nil {
		return err
	}
	grants, err := ask.Grants(access.Act{Action: access.Read, Place: place})
	if err != nil {
		return err
	}
	_, err = a.k.Records.Read(r.Context(), grants[0], record.Ref{Tenant: place.Tenant, Type: "Patient", ID: id})
	return err
}

// mostRounds bounds how many pages of the search one page of $everything is gathered from.
const mostRounds = 20

// sendEverything gathers a page of what q finds, that keep (nil for all) keeps and that relates to the time asked for. Of what
// it refers to, other people's records and types that were not asked for are left out. Only what is shown is disclosed.
func (a *api) sendEverything(w http.ResponseWriter, r *http.Request, scope access.Scope, asked everythingAsk, q record.Query, keep func(record.Version) bool) error {
	index, first, most := search.For(a.defs), q.Cursor == "", q.Count
	var page record.Page
	err := a.k.DB.Read(r.Context(), func(tx *store.Tx) error {
		page = record.Page{}
		seen := map[record.Ref]bool{}
		for q, round := q, 0; ; round++ {
			more, err := a.k.Records.SearchTx(tx, scope, q)
			if err != nil {
				return err
			}
			for _, v := range more.Matches {
				cared, err := asked.caredFor(index, v)
				if err != nil {
					return err
				}
				if cared && (keep == nil || keep(v)) {
					page.Matches = append(page.Matches, v)
				}
			}
			for _, v := range more.Included {
				if v.Chart == "" && slices.Contains(asked.types, v.Type) && !seen[v.Ref] {
					seen[v.Ref] = true
					page.Included = append(page.Included, v)
				}
			}
			page.Next = more.Next
			q.Cursor, q.Count = more.Next, most-len(page.Matches)
			if page.Next == "" || q.Count <= 0 || round == mostRounds {
				return nil
			}
		}
	})
	if err != nil {
		return err
	}
	for _, list := range [][]record.Version{page.Matches, page.Included} {
		for _, v := range list {
			scope.Disclose(placeOf(v))
		}
	}
	if first && page.Next == "" {
		n := int64(len(page.Matches))
		page.Total = &n
	}
	return a.sendSet(w, r, asked.values, view{defs: a.defs}, page, nil)
}

// placeOf is where a version that is being shown stands.
func placeOf(v record.Version) access.Place {
	return access.Place{Tenant: v.Tenant, Chart: v.Chart, Type: v.Type, ID: v.ID, Exists: true}
}

// operationParameters are those of an operation: in the address, in a form, or in a Parameters resource
// (https://hl7.org/fhir/R4/operations.html#executing).
func (a *api) operationParameters(r *http.Request) (url.Values, error) {
	if r.Method != http.MethodPost || r.ContentLength == 0 || strings.HasPrefix(r.Header.Get("Content-Type"), mimeForm) {
		return parameters(r)
	}
	values, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The parameters cannot be read.")
	}
	sent, err := a.readResource(r)
	if err != nil {
		return nil, err
	}
	if sent.Type() != "Parameters" {
		return nil, fault.New(fault.Invalid, "An operation is sent Parameters, not another resource.")
	}
	for p := range sent.Get("parameter").Items() {
		for name, value := range p.Fields() {
			if strings.HasPrefix(name, "value") {
				values.Add(p.Field("name").String(), value.String())
			}
		}
	}
	return values, nil
}
