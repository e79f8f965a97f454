package fhirapi

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// everything: "return all the information related to the one or more patients"
// (https://hl7.org/fhir/R4/patient-operation-everything.html): the person, then the chart page by page (_count, _since,
// _type), and with each page what its resources name that is in nobody's chart (practitioners, organisations, medications).
// Whoever may not know of the person is answered as if there were none.
func (a *api) everything(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	values, err := a.operationParameters(r)
	if err != nil {
		return err
	}
	query, err := everythingQuery(values)
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
	q, _, err := a.k.Records.ParseQuery("", query, false)
	if err != nil {
		return err
	}
	wanted := slices.Clone(q.Types)
	if q, err = a.k.Records.InCompartment(q, "Patient", id); err != nil {
		return err
	}
	if i := slices.Index(q.Types, "Patient"); i > 0 {
		q.Types = slices.Insert(slices.Delete(slices.Clone(q.Types), i, i+1), 0, "Patient")
	}
	page, err := a.chart(r, scope, q, wanted)
	if err != nil {
		return err
	}
	return a.sendSet(w, r, values, view{defs: a.defs}, page, nil)
}

// everythingQuery is the operation's parameters as a search of the compartment.
func everythingQuery(values url.Values) (url.Values, error) {
	query := url.Values{"_count": {"200"}, "_include": {"*:*"}}
	for name, list := range values {
		switch name {
		case "_type", "_count", "_cursor":
			query[name] = list
		case "_since":
			since, err := instant(name, list[0])
			if err != nil {
				return nil, err
			}
			query.Set("_lastUpdated", "ge"+since.Format("2006-01-02T15:04:05.999999999Z07:00"))
		case "_format", "_pretty":
		default:
			return nil, fault.New(fault.Invalid, "$everything has no parameter of that name here; there are _type, _since and _count.")
		}
	}
	return query, nil
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

// chart finds a page of a compartment and leaves out, of what it refers to, other people's records and types that were not
// asked for. Only what is shown is disclosed.
func (a *api) chart(r *http.Request, scope access.Scope, q record.Query, types []string) (record.Page, error) {
	var page record.Page
	err := a.k.DB.Read(r.Context(), func(tx *store.Tx) error {
		var err error
		page, err = a.k.Records.SearchTx(tx, scope, q)
		return err
	})
	if err != nil {
		return page, err
	}
	page.Included = slices.DeleteFunc(page.Included, func(v record.Version) bool { return v.Chart != "" || !slices.Contains(types, v.Type) })
	for _, list := range [][]record.Version{page.Matches, page.Included} {
		for _, v := range list {
			scope.Disclose(placeOf(v))
		}
	}
	return page, nil
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
	sent, err := readResource(r, a.defs)
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
