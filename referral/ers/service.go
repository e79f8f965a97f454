package ers

import (
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"strings"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/referral"
)

// serviceRoutes are the operations that tell about services.
func (a *API) serviceRoutes() []catalogue.Route {
	return []catalogue.Route{
		a.onPerson("POST", "/STU3/HealthcareService/$ers.searchHealthcareServicesForPatient", (*call).searchServices, ReferringClinician, ReferringClinicianAdmin),
		a.forRole("GET", "/R4/HealthcareService", a.services, ReferringClinician, ReferringClinicianAdmin, ProviderApplication),
		a.forRole("GET", "/R4/HealthcareService/{id}", a.service, ReferringClinician, ReferringClinicianAdmin, ProviderApplication), // HEAD too: A037
	}
}

var serviceForm = regexp.MustCompile(`^[A-Za-z0-9.-]{1,64}$`)

// service is A033, and A037 where only the headers are asked for: a service as it is now, with its version.
func (a *API) service(w http.ResponseWriter, r *http.Request, _ caller) error {
	list, err := a.dir.ServiceResources(r.Context(), r.PathValue("id"))
	if err != nil {
		return err
	}
	if len(list) == 0 {
		return fault.New(fault.NotFound, "There is no such service.")
	}
	w.Header().Set("ETag", fmt.Sprintf(`W/"%d"`, list[0].Ver))
	return send(w, http.StatusOK, serviceR4(list[0]).JSON())
}

// services is A035: up to twenty services at once.
func (a *API) services(w http.ResponseWriter, r *http.Request, _ caller) error {
	asked := r.URL.Query()["_id"]
	ids := strings.Split(strings.Join(asked, ","), ",")
	if len(asked) != 1 || len(ids) > referral.MostChoices {
		return fault.New(fault.Invalid, "The parameter _id names 1 to %d services.", referral.MostChoices)
	}
	for _, id := range ids {
		if !serviceForm.MatchString(id) {
			return fault.New(fault.Invalid, "'%s' is no service's id.", shown(id))
		}
	}
	list, err := a.dir.ServiceResources(r.Context(), ids...)
	if err != nil {
		return err
	}
	base := a.k.BaseURL() + Base + "/R4/HealthcareService"
	var entries []any
	for _, v := range list {
		entries = append(entries, fhir.Obj("fullUrl", base+"/"+v.ID, "resource", serviceR4(v), "search", fhir.Obj("mode", "match")))
	}
	now := a.k.Clock.Now()
	return send(w, http.StatusOK, fhir.Obj("id", uuid.NewString(), "meta", fhir.Obj("lastUpdated", now), "resourceType", "Bundle", "type", "searchset", "timestamp", now, "total", len(entries),
		"link", fhir.Arr(fhir.Obj("relation", "self", "url", base+"?_id="+strings.ReplaceAll(url.QueryEscape(asked[0]), "%2C", ","))), "entry", fhir.Arr(entries...)).JSON())
}

// serviceR4 is a service as the API shows it: what the directory says of it, of what the API knows.
func serviceR4(v record.Version) fhir.Value {
	n := v.Resource.Root()
	var extensions, places, kinds, traits []any
	for e := range n.Field("extension").Items() {
		switch strings.TrimPrefix(e.Field("url").String(), "https://fhir.nhs.uk/StructureDefinition/Extension-eRS-") {
		case "HoursOfOperation", "ServiceInstructions", "HealthcareService-Contact":
			extensions = append(extensions, e)
		}
	}
	for l := range n.Field("location").Items() {
		if id := l.Field("identifier"); id.Exists() {
			places = append(places, fhir.Obj("identifier", fhir.Obj("system", "https://fhir.nhs.uk/Id/ods-site-code", "value", id.Field("value").String())))
		}
	}
	for t := range n.Field("type").Items() {
		if code := t.Get("coding.0.code").String(); code != "" {
			kinds = append(kinds, fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "https://fhir.nhs.uk/CodeSystem/eRS-AppointmentType", "code", code, "display", stateName(referral.State(code))))))
		}
	}
	for t := range n.Field("characteristic").Items() {
		system, code := t.Get("coding.0.system").String(), t.Get("coding.0.code").String()
		display := stateName(referral.State(code))
		if strings.HasSuffix(system, "eRS-RequestFlowType") {
			code, display = flowR4(code)
		}
		traits = append(traits, fhir.Obj("coding", fhir.Arr(fhir.Obj("system", system, "code", code, "display", display))))
	}
	return fhir.Obj("id", v.ID, "meta", fhir.Obj("versionId", fmt.Sprint(v.Ver)), "language", "en", "resourceType", "HealthcareService", "extension", fhir.Arr(extensions...),
		"active", n.Field("active"), "location", fhir.Arr(places...), "name", n.Field("name"), "type", fhir.Arr(kinds...), "characteristic", fhir.Arr(traits...))
}

// flowR4 is a kind of request that a service takes as R4 calls it, and in words.
func flowR4(code string) (r4, display string) {
	switch code {
	case "APPOINTMENT_REQUEST":
		return "BOOKABLE", "A service which supports a patient appointment"
	case "TRIAGE_REQUEST":
		return "REVIEW", "A service that reviews referrals, without the support or need for any appointment with the patient to be made"
	}
	return "ADVICE_AND_GUIDANCE", "A service that gives advice and guidance"
}
