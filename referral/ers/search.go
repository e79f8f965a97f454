package ers

import (
	"context"
	"errors"
	"net/http"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/codes"
)

const (
	stu3Organisation = "https://directory.spineservices.nhs.uk/STU3/Organization"
	stu3RequestType  = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-RequestType-1"
	stu3SortBy       = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-SortBy-1"

	forAppointment = "APPOINTMENT_REQUEST"
	forTriage      = "TRIAGE_REQUEST"
	forAdvice      = "ADVICE_AND_GUIDANCE_REQUEST"

	mostFound  = 100  // services in an answer of A010
	mostLooked = 5000 // services that are looked at for it, the first ones first
	perMile    = 1.609344
)

// serviceSearch is what A010 asks for.
type serviceSearch struct {
	referral.ServiceSearch
	criteria criteria
	flow     string // of the request that is to be made
}

// readSearch reads eRS-PatientServiceSearch-Parameters-1.
func (c *call) readSearch() (q serviceSearch, err error) {
	res, err := read(c.r, "Parameters", "eRS-PatientServiceSearch-Parameters-1")
	if err != nil {
		return q, err
	}
	p, err := readParameters(res.Root(), "", map[string]string{"requestType": "valueCoding", "sortBy": "valueCoding", "patient": "valueIdentifier", "searchCriteria": "resource", "referringClinician": "valueIdentifier",
		"commissioningRuleOrganisation": "valueIdentifier"})
	if err == nil {
		err = p.need("requestType", "sortBy", "patient", "searchCriteria")
	}
	if err != nil {
		return q, err
	}
	if q.flow, err = p.coding("requestType", stu3RequestType, forAppointment, forAdvice); err != nil {
		return q, err
	}
	by, err := p.coding("sortBy", stu3SortBy, "DISTANCE", "IWT")
	if err != nil {
		return q, err
	}
	q.Soonest = by == "IWT"
	number, err := p.identifier("patient", stu3NHSNumber)
	if err != nil {
		return q, err
	}
	if q.Patient, err = ident.ParseNHSNumber(number); err != nil {
		return q, refuse(invalidValue, "'%s/value' is no NHS number", p["patient"].path)
	}
	at := p["searchCriteria"].path
	if err := hasProfile(p["searchCriteria"].value, at+"/meta", "eRS-ServiceSearchCriteria-Parameters-1"); err != nil {
		return q, err
	}
	if q.criteria, err = c.a.readCriteria(c.r.Context(), p["searchCriteria"].value, at+"/"); err != nil {
		return q, err
	}
	q.Specialty, q.Anybody = q.criteria.Specialty, !q.criteria.Fitting
	if q.criteria.Postcode != "" {
		pc, err := ident.ParsePostcode(q.criteria.Postcode)
		if err != nil {
			return q, refuse(invalidValue, "'%s' holds no postcode", at)
		}
		q.Near = pc.Outward()
	}
	return q, c.searcher(p, q.flow)
}

// searcher checks for whom is searched, and by which organisation's rules. A clinician may name themselves.
func (c *call) searcher(p parameters, flow string) error {
	ctx := c.r.Context()
	clinician, err := p.identifier("referringClinician", stu3User)
	switch {
	case err != nil:
		return err
	case c.c.Function == ReferringClinicianAdmin && clinician == "":
		return refuse(valueIsRequired, "%s names the referring clinician: the parameter 'referringClinician' is missing", ReferringClinicianAdmin)
	case c.c.Function == ReferringClinician && clinician != "" && clinician != c.c.ID:
		return refuse(fieldNotPermitted, "'%s' names somebody else: that is for %s only", p["referringClinician"].path, ReferringClinicianAdmin)
	case c.c.Function == ReferringClinicianAdmin:
		if _, err := c.a.isReferrerAt(ctx, clinician, c.c.Organisation); err != nil {
			return err
		}
	}
	rule, err := p.identifier("commissioningRuleOrganisation", idOrganisation)
	switch {
	case err != nil || rule == "":
		return err
	case flow == forAdvice:
		return refuse(fieldNotPermitted, "'%s' is not for searches for advice", p["commissioningRuleOrganisation"].path)
	}
	return c.a.isOpen(ctx, rule, p["commissioningRuleOrganisation"].path)
}

// isOpen refuses an organisation that is not in the directory, or has closed.
func (a *API) isOpen(ctx context.Context, organisation, path string) error {
	code, err := ident.ParseODSCode(organisation)
	if err != nil {
		return refuse(invalidValue, "'%s/value' is no code of an organisation", path)
	}
	o, err := a.dir.Organisation(ctx, code)
	switch {
	case fault.Is(err, fault.NotFound):
		return refuse(referenceNotFound, "'%s/value': there is no organisation '%s'", path, code)
	case err != nil:
		return err
	case !o.Active():
		return refuse(organisationIsClosed, "'%s/value': '%s' has closed", path, code)
	}
	return nil
}

// searchServices is A010: the services that somebody can be referred to, or that can be asked for advice.
func (c *call) searchServices() error {
	q, err := c.readSearch()
	if err != nil {
		return err
	}
	found, err := c.a.referrals.FindServices(c.r.Context(), c.who(), q.ServiceSearch)
	switch {
	case errors.Is(err, referral.ErrPatient):
		return refuse(patientError, "%s", fault.MessageOf(err))
	case fault.Is(err, fault.NotFound):
		return refuse(referenceNotFound, "%s", fault.MessageOf(err))
	case err != nil:
		return err
	}
	entries, err := c.fitting(q, found)
	if err != nil {
		return err
	}
	var none fhir.Value
	if len(entries) == 0 {
		none = fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "http://hl7.org/fhir/ValueSet/list-empty-reason", "code", "nilknown", "display", "no results")))
	}
	return send(c.w, http.StatusOK, fhir.Obj("meta", profiled("eRS-FetchServices-List-1"), "resourceType", "List", "status", "current", "mode", "snapshot", "entry", fhir.Arr(entries...), "emptyReason", none).JSON())
}

// fitting are the services of those found that fit all criteria, as entries of a list.
func (c *call) fitting(q serviceSearch, found []referral.FoundService) (entries []any, err error) {
	x := c.writer()
	found = slices.DeleteFunc(found[:min(len(found), mostLooked)], func(f referral.FoundService) bool {
		far := q.criteria.Within >= 0 && f.Km >= 0 && f.Km > float64(q.criteria.Within)*perMile
		late := q.criteria.Wait >= 0 && (f.Wait < 0 || f.Wait > q.criteria.Wait)
		return far || late
	})
	for part := range slices.Chunk(found, 50) {
		ids := make([]string, len(part))
		for i, f := range part {
			ids[i] = f.ID
		}
		list, err := c.a.dir.ServiceResources(c.r.Context(), ids...)
		if err != nil {
			return nil, err
		}
		at := map[string]fhir.Node{}
		for _, v := range list {
			at[v.ID] = v.Resource.Root()
		}
		for _, f := range part {
			n, there := at[f.ID]
			flows := flowsOf(n)
			asked := slices.Contains(flows, q.flow) || q.flow == forAppointment && slices.Contains(flows, forTriage)
			if there && asked && q.criteria.fit(n, f) && len(entries) < mostFound {
				entries = append(entries, x.serviceItem(f, n, flows))
			}
		}
	}
	return entries, nil
}

// fit reports whether a service is of the kind of clinic, the clinician, the clinical term and the organisation that are asked for.
func (q criteria) fit(n fhir.Node, f referral.FoundService) bool {
	term := q.Term == "" || holdsCode(n, ident.SystemSNOMED, q.Term, "specialty", "category", "type")
	clinic := q.ClinicType == "" || holdsCode(n, stu3ClinicType, q.ClinicType, "category")
	named := q.Named == "" || serviceExtension(n, "NamedClinician").Get("valueIdentifier.value").String() == q.Named
	return term && clinic && named && (q.Organisation == "" || f.Provider == q.Organisation || placeOf(n).Get("identifier.value").String() == q.Organisation)
}

// holdsCode reports whether one of a service's members has a code of a system.
func holdsCode(n fhir.Node, system, code string, members ...string) bool {
	for _, m := range members {
		for concept := range n.Field(m).Items() {
			for coding := range concept.Field("coding").Items() {
				if coding.Field("system").String() == system && coding.Field("code").String() == code {
					return true
				}
			}
		}
	}
	return false
}

// serviceExtension is what the directory says of a service beside what FHIR has a place for.
func serviceExtension(n fhir.Node, name string) fhir.Node {
	for e := range n.Field("extension").Items() {
		if e.Field("url").String() == "https://fhir.nhs.uk/StructureDefinition/Extension-eRS-"+name {
			return e
		}
	}
	return fhir.Node{}
}

func placeOf(n fhir.Node) fhir.Node { return n.Get("location.0") }

// traitsOf are the codes that a service has of a system of characteristics; the system's name ends so.
func traitsOf(n fhir.Node, system string) (list []string) {
	for t := range n.Field("characteristic").Items() {
		if strings.HasSuffix(t.Get("coding.0.system").String(), system) {
			list = append(list, t.Get("coding.0.code").String())
		}
	}
	return list
}

// flowsOf are the kinds of request that a service takes: appointments, where nothing else is said.
func flowsOf(n fhir.Node) []string {
	if list := traitsOf(n, "eRS-RequestFlowType"); len(list) > 0 {
		return list
	}
	return []string{forAppointment}
}

// serviceItem is what A010 shows of a service: how soon and how far it is, and Extension-eRS-ServiceSummaryView-1.
func (x writer) serviceItem(f referral.FoundService, n fhir.Node, flows []string) fhir.Value {
	coded := func(name, system, code string) fhir.Value {
		return part(name, "valueCodeableConcept", conceptOf("https://fhir.nhs.uk/STU3/CodeSystem/eRS-"+system+"-1", code))
	}
	found := []any{part("displayProminently", "valueBoolean", false)}
	if f.Km >= 0 {
		found = append(found, part("distance", "valueUnsignedInt", int(f.Km/perMile)))
	}
	switch {
	case !slices.Contains(flows, forAppointment):
		found = append(found, coded("indicativeAppointmentWaitTime", "IWT", "NOT_APPLICABLE"))
	case f.Wait < 0:
		found = append(found, coded("indicativeAppointmentWaitTime", "IWT", "LIMITED_AVAILABILITY"))
	default:
		found = append(found, part("indicativeAppointmentWaitTime", "valueUnsignedInt", f.Wait))
	}
	view := []any{part("serviceName", "valueString", f.Name)}
	if code := codes.BySnomed(f.SpecialtyCode); code != "" {
		view = append(view, part("specialty", "valueCodeableConcept", conceptOf(codes.URL(codes.Specialty, x.base), code)))
	}
	sex, bookable := map[string]string{"female": "FEMALE", "male": "MALE"}[f.Sex], "UNSPECIFIED"
	if sex == "" {
		sex = "MALE_AND_FEMALE"
	}
	if said := traitsOf(n, "eRS-BookableType"); len(said) > 0 {
		bookable = said[0]
	} else if f.Free.Slots > 0 {
		bookable = "DIRECTLY_BOOKABLE"
	}
	view = append(view, coded("genderTreated", "GenderTreated", sex), coded("bookableType", "BookableType", bookable))
	if kind := n.Get("type.0.coding.0"); strings.HasSuffix(kind.Field("system").String(), "eRS-AppointmentType") {
		view = append(view, coded("supportedAppointmentType", "AppointmentType", kind.Field("code").String()))
	}
	at, name := placeOf(n).Get("identifier.value").String(), placeOf(n).Field("display").String()
	if at == "" {
		at, name = f.Provider, f.ProviderName
	}
	view = append(view, part("referralLetterRequired", "valueBoolean", serviceExtension(n, "LetterRequired").Field("valueBoolean").Bool()),
		part("location", "valueReference", fhir.Obj("identifier", fhir.Obj("system", stu3Organisation, "value", at), "display", name)))
	if link := serviceExtension(n, "LinkToNHSWebsite").Field("valueUri").String(); link != "" {
		view = append(view, part("linkToNHSWebsite", "valueString", link))
	}
	for _, flow := range flows {
		view = append(view, coded("supportedRequestFlowType", "RequestFlowType", flow))
	}
	return fhir.Obj("extension", fhir.Arr(fhir.Obj("extension", fhir.Arr(found...), "url", structureSTU3+"Extension-eRS-ServiceSearch-ListItem-1")),
		"item", fhir.Obj("extension", fhir.Arr(fhir.Obj("extension", fhir.Arr(view...), "url", structureSTU3+"Extension-eRS-ServiceSummaryView-1")), "identifier", fhir.Obj("system", stu3Service, "value", f.ID)))
}
