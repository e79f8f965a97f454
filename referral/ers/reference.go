package ers

import (
	"encoding/json"
	"net/http"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/referral/codes"
)

const (
	idOrganisation = "https://fhir.nhs.uk/Id/ods-organization-code"
	idUser         = "https://fhir.nhs.uk/Id/sds-user-id"
	systemFunction = "https://fhir.nhs.uk/CodeSystem/eRS-BusinessFunction-1"
)

// referenceData is A004: one of the code systems.
func (a *API) referenceData(w http.ResponseWriter, r *http.Request, _ caller) error {
	res, err := codes.Resource(r.PathValue("system"), a.k.BaseURL()+Base)
	if err != nil {
		return err
	}
	body, err := json.Marshal(res)
	if err != nil {
		return err
	}
	return send(w, http.StatusOK, body)
}

// mostOnBehalf is how many clinicians A040 names.
const mostOnBehalf = 10_000

// onBehalfOf is A040: the clinicians of the caller's organisation, on whose behalf an administrator may act.
func (a *API) onBehalfOf(w http.ResponseWriter, r *http.Request, c caller) error {
	if q := r.URL.Query()["_query"]; len(q) != 1 || q[0] != "onBehalfOf" {
		return fault.New(fault.Invalid, "The parameter _query is onBehalfOf.")
	}
	page, err := a.k.Gate.Members(r.Context(), access.MemberQuery{Organisation: c.Organisation, Role: access.Clinician, Sort: "id", Limit: mostOnBehalf})
	if err != nil {
		return err
	}
	now := a.k.Clock.Now()
	var entries []any
	for _, m := range page.List {
		if a.isClinicianAt(r.Context(), m.ID, c.Organisation) != nil {
			continue // a clinician elsewhere, and something else here
		}
		entries = append(entries, fhir.Obj("fullUrl", "Practitioner/"+m.ID, "resource", fhir.Obj("id", m.ID, "meta", fhir.Obj("lastUpdated", now), "resourceType", "Practitioner",
			"identifier", fhir.Obj("system", idUser, "value", m.ID)), "search", fhir.Obj("mode", "match")))
	}
	return send(w, http.StatusOK, fhir.Obj("id", uuid.NewString(), "meta", fhir.Obj("lastUpdated", now), "resourceType", "Bundle", "type", "searchset", "total", len(entries), "timestamp", now,
		"link", fhir.Arr(fhir.Obj("relation", "self", "url", a.k.BaseURL()+Base+"/R4/Practitioner?_query=onBehalfOf")), "entry", fhir.Arr(entries...)).JSON())
}

// businessFunctions is A030: in which functions the caller may act, and where.
func (a *API) businessFunctions(w http.ResponseWriter, r *http.Request, c caller) error {
	if c.Role == access.SystemClient {
		return refuse(forbidden, "A program has no business functions; this endpoint is for signed-in users.")
	}
	_, profiles, err := a.k.Gate.Profiles(r.Context(), c.ID)
	if err != nil {
		return err
	}
	now := a.k.Clock.Now()
	base := a.k.BaseURL() + Base + "/R4/PractitionerRole"
	at := map[string][]Function{}
	var order []string
	for _, p := range profiles {
		may, err := a.functionsAt(r.Context(), p.Role, p.Organisation)
		if err != nil {
			return err
		}
		code := p.Organisation.String()
		if at[code] == nil {
			order = append(order, code)
		}
		at[code] = append(at[code], may...)
	}
	var entries []any
	for _, code := range order {
		if len(at[code]) == 0 {
			continue
		}
		id := "PractitionerRole-" + code + "-" + c.ID
		var codings []any
		for _, f := range at[code] {
			codings = append(codings, fhir.Obj("coding", fhir.Arr(fhir.Obj("system", systemFunction, "code", string(f)))))
		}
		entries = append(entries, fhir.Obj("fullUrl", base+"/"+id, "resource", fhir.Obj("id", id, "meta", fhir.Obj("lastUpdated", now), "resourceType", "PractitionerRole",
			"practitioner", fhir.Obj("identifier", fhir.Obj("system", idUser, "value", c.ID)), "organization", fhir.Obj("identifier", fhir.Obj("system", idOrganisation, "value", code)),
			"code", fhir.Arr(codings...)), "search", fhir.Obj("mode", "match")))
	}
	return send(w, http.StatusOK, fhir.Obj("id", uuid.NewString(), "meta", fhir.Obj("lastUpdated", now), "resourceType", "Bundle", "type", "searchset", "total", len(entries),
		"timestamp", now, "link", fhir.Arr(fhir.Obj("relation", "self", "url", base)), "entry", fhir.Arr(entries...)).JSON())
}
