package ers

import (
	"context"
	"fmt"
	"io"
	"mime"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral/codes"
)

// mostBody bounds what an operation reads, files apart (bytes).
const mostBody = 1 << 20

// Systems of identifiers and codes in STU3 (OpenAPI components/stu3).
const (
	stu3NHSNumber  = "http://fhir.nhs.net/Id/nhs-number"
	stu3Service    = "http://fhir.nhs.net/Id/ers-service"
	stu3User       = "http://fhir.nhs.net/Id/sds-user-id"
	stu3Priority   = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-Priority-1"
	stu3ClinicType = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-ClinicType-1"
	stu3Intention  = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-ReferralLetterIntention-1"
	structureSTU3  = "https://fhir.nhs.uk/STU3/StructureDefinition/"
)

// read is the body of a request, of a type and profile.
func read(r *http.Request, typ, profile string) (*fhir.Resource, error) {
	if ct, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || ct != mimeFHIR {
		return nil, fault.New(fault.UnsupportedMedia, "Send application/fhir+json.")
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, mostBody+1))
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "The body could not be read.")
	}
	if len(body) > mostBody {
		return nil, refuse(invalidValue, "The body is longer than %d bytes.", mostBody)
	}
	res, err := fhir.Parse(body)
	if err != nil {
		return nil, refuse(invalidStructure, "%s", fault.MessageOf(err))
	}
	if res.Type() != typ {
		return nil, refuse(invalidStructure, "'resourceType' is '%s'; it must be '%s'", shown(res.Type()), typ)
	}
	return res, hasProfile(res.Root(), "meta", profile)
}

// hasProfile refuses a resource that does not say that it keeps to a profile.
func hasProfile(n fhir.Node, path, profile string) error {
	for p := range n.Get("meta.profile").Items() {
		if p.String() == structureSTU3+profile {
			return nil
		}
	}
	return refuse(missingValue, "'%s/profile' must hold '%s'", path, structureSTU3+profile)
}

// parameters are those of a Parameters resource, by name.
type parameters map[string]parameter

type parameter struct {
	value fhir.Node
	path  string // as diagnostics name it: parameter[0]
}

// readParameters reads the parameters of n, each of which has its value in the member that allowed says. What is not allowed is refused.
func readParameters(n fhir.Node, path string, allowed map[string]string) (parameters, error) {
	all := parameters{}
	i := 0
	for p := range n.Get("parameter").Items() {
		at := fmt.Sprintf("%sparameter[%d]", path, i)
		i++
		name := p.Field("name").String()
		member, known := allowed[name]
		_, twice := all[name]
		switch {
		case name == "":
			return nil, refuse(missingValue, "'%s' (missingParameterName) a parameter has a name", at)
		case !known:
			return nil, refuse(unexpectedField, "'%s' (unknownParameter) unknown parameter name", at)
		case twice:
			return nil, refuse(invalidStructure, "'%s' (%s) may be there once only", at, name)
		case !p.Field(member).Exists():
			return nil, refuse(missingValue, "'%s' (%s) must have a %s", at, name, member)
		}
		for k := range p.Fields() {
			if k != "name" && k != member {
				return nil, refuse(unexpectedField, "'%s/%s' (%s) unknown field", at, shown(k), name)
			}
		}
		all[name] = parameter{p.Field(member), at + "/" + member}
	}
	return all, nil
}

// need refuses when one of the names is missing.
func (p parameters) need(names ...string) error {
	for _, n := range names {
		if _, ok := p[n]; !ok {
			return refuse(missingValue, "the parameter '%s' is missing", n)
		}
	}
	return nil
}

// identifier is the value of an identifier parameter of a system; "" when it is not there.
func (p parameters) identifier(name, system string) (string, error) {
	x, ok := p[name]
	if !ok {
		return "", nil
	}
	if got := x.value.Field("system").String(); got != system {
		return "", refuse(invalidValue, "'%s/system' must be '%s'", x.path, system)
	}
	v := x.value.Field("value").String()
	if v == "" {
		return "", refuse(missingValue, "'%s/value' is missing", x.path)
	}
	return v, nil
}

// coding is the code of a coding parameter of a system; "" when it is not there.
func (p parameters) coding(name, system string, known ...string) (string, error) {
	x, ok := p[name]
	if !ok {
		return "", nil
	}
	if got := x.value.Field("system").String(); got != system {
		return "", refuse(invalidValue, "'%s/system' must be '%s'", x.path, system)
	}
	code := x.value.Field("code").String()
	if code == "" || len(known) > 0 && !slices.Contains(known, code) {
		return "", refuse(invalidCode, "'%s/code' is '%s'; known are %s", x.path, shown(code), strings.Join(known, ", "))
	}
	return code, nil
}

// concept is the code of a concept parameter of a system; "" when it is not there.
func (p parameters) concept(name, system string) (string, error) {
	x, ok := p[name]
	if !ok {
		return "", nil
	}
	coding := x.value.Get("coding.0")
	if got := coding.Field("system").String(); got != system {
		return "", refuse(invalidValue, "'%s/coding[0]/system' must be '%s'", x.path, system)
	}
	code := coding.Field("code").String()
	if code == "" {
		return "", refuse(missingValue, "'%s/coding[0]/code' is missing", x.path)
	}
	return code, nil
}

// criteria is how services were searched for: kept with a referral as it was given.
type criteria struct {
	Priority, Specialty, ClinicType, Postcode string
	Term, Named, Organisation                 string // a clinical term of SNOMED CT, a clinician by their user id, an organisation by its code; empty where they are not asked for
	Wait, Within                              int    // at most so many days, and miles; -1 for no limit
	Fitting                                   bool   // only services that take somebody of the person's age and sex
	Parameters                                string // as JSON, of the Parameters resource
	Said                                      string // the same, without what holds where it is not said
}

// readCriteria reads eRS-ServiceSearchCriteria-Parameters-1.
func (a *API) readCriteria(ctx context.Context, n fhir.Node, path string) (c criteria, err error) {
	p, err := readParameters(n, path, map[string]string{"priority": "valueCoding", "specialty": "valueCoding", "clinicType": "valueCoding", "indicativeAppointmentWaitTimeLimit": "valueUnsignedInt",
		"postcode": "valueString", "distanceLimit": "valueUnsignedInt", "clinicalTerm": "valueCoding", "namedClinician": "valueIdentifier", "ageAndGenderAppropriate": "valueBoolean",
		"commissioningProvisioning": "valueCoding", "organisation": "valueIdentifier"})
	if err != nil {
		return c, err
	}
	if err := p.need("priority", "ageAndGenderAppropriate"); err != nil {
		return c, err
	}
	if c.Priority, err = p.coding("priority", stu3Priority, "ROUTINE", "URGENT", "TWO_WEEK_WAIT"); err != nil {
		return c, err
	}
	if c.Specialty, err = p.coding("specialty", codes.URL(codes.Specialty, a.k.BaseURL()+Base)); err != nil {
		return c, err
	}
	if c.ClinicType, err = p.coding("clinicType", stu3ClinicType); err != nil {
		return c, err
	}
	for of, code := range map[string]string{codes.Specialty: c.Specialty, codes.ClinicType: c.ClinicType} {
		if code == "" {
			continue
		}
		if _, err := codes.Find(of, code); err != nil {
			return c, refuse(invalidCode, "'%s' is no code of %s", shown(code), of)
		}
	}
	if kind, err := codes.Find(codes.ClinicType, c.ClinicType); c.Specialty != "" && err == nil && kind.Specialty != "" && kind.Specialty != c.Specialty {
		return c, refuse(inappropriateValue, "'%s' is a type of clinic of %s, not of %s", c.ClinicType, kind.Specialty, c.Specialty)
	}
	c.Postcode, c.Fitting = p["postcode"].value.String(), p["ageAndGenderAppropriate"].value.Bool()
	if err := a.readFilters(ctx, &c, p); err != nil {
		return c, err
	}
	list := []any{}
	for x := range n.Field("parameter").Items() {
		if x.Field("name").String() != "organisation" { // which, as published, is not told when the criteria are read
			list = append(list, x)
		}
	}
	kept := func() string {
		return strings.ReplaceAll(string(fhir.Arr(list...).JSON()), a.k.BaseURL()+Base, baseMark)
	}
	c.Said = kept()
	if _, said := p["commissioningProvisioning"]; !said {
		list = append(list, commissioning())
	}
	c.Parameters = kept()
	return c, nil
}

// readFilters reads what narrows a search for services down.
func (a *API) readFilters(ctx context.Context, c *criteria, p parameters) (err error) {
	c.Wait, c.Within = -1, -1
	for name, to := range map[string]*int{"indicativeAppointmentWaitTimeLimit": &c.Wait, "distanceLimit": &c.Within} {
		x, said := p[name]
		if !said {
			continue
		}
		if *to, err = strconv.Atoi(x.value.String()); err != nil || *to < 0 {
			return refuse(invalidValue, "'%s' is a whole number", x.path)
		}
	}
	if c.Term, err = p.coding("clinicalTerm", ident.SystemSNOMED); err != nil {
		return err
	}
	const shortest = 6 // digits of a code of SNOMED CT; the service's own terms have fewer
	if _, err := ident.ParseSNOMED(c.Term); len(c.Term) >= shortest && err != nil {
		return refuse(snomedNotFound, "'%s/code' is no code of SNOMED CT", p["clinicalTerm"].path)
	}
	if c.Named, err = p.identifier("namedClinician", stu3User); err != nil {
		return err
	}
	if c.Named != "" {
		if err := a.providesCare(ctx, c.Named); err != nil {
			return err
		}
	}
	if c.Organisation, err = p.identifier("organisation", stu3Organisation); err != nil || c.Organisation == "" {
		return err
	}
	return a.isOpen(ctx, c.Organisation, p["organisation"].path)
}

// baseMark stands for the address of the API in what is kept.
const baseMark = "{base}"

// mostShortlisted is how many services a shortlist may hold (A011).
const mostShortlisted = 20

// shortlist is what a referrer offers a patient.
type shortlist struct {
	Services []string
	Criteria criteria
}

// readShortlist reads eRS-Shortlist-List-1.
func (a *API) readShortlist(ctx context.Context, n fhir.Node, path string) (s shortlist, err error) {
	if n.Field("resourceType").String() != "List" {
		return s, refuse(invalidStructure, "'%s/resourceType' must be 'List'", path)
	}
	if err := hasProfile(n, path+"/meta", "eRS-Shortlist-List-1"); err != nil {
		return s, err
	}
	i := 0
	for e := range n.Field("entry").Items() {
		at := fmt.Sprintf("%s/entry[%d]/item/identifier", path, i)
		i++
		id := e.Get("item.identifier")
		if id.Field("system").String() != stu3Service || id.Field("value").String() == "" {
			return s, refuse(missingValue, "'%s' must name a service of system '%s'", at, stu3Service)
		}
		if slices.Contains(s.Services, id.Field("value").String()) {
			return s, refuse(duplicateService, "'%s' names a service that is on the shortlist already", at)
		}
		s.Services = append(s.Services, id.Field("value").String())
	}
	switch {
	case len(s.Services) == 0:
		return s, refuse(missingValue, "'%s/entry' must name a service", path)
	case len(s.Services) > mostShortlisted:
		return s, refuse(tooManyItems, "'%s/entry' holds %d services; %d are allowed", path, len(s.Services), mostShortlisted)
	}
	i = 0
	for c := range n.Field("contained").Items() {
		at := fmt.Sprintf("%s/contained[%d]/", path, i)
		i++
		if hasProfile(c, at+"meta", "eRS-ServiceSearchCriteria-Parameters-1") != nil {
			return s, refuse(unexpectedField, "'%s' is not search criteria", strings.TrimSuffix(at, "/"))
		}
		if s.Criteria, err = a.readCriteria(ctx, c, at); err != nil {
			return s, err
		}
	}
	if s.Criteria.Priority == "" {
		return s, refuse(missingValue, "'%s/contained' must hold the search criteria", path)
	}
	return s, a.satisfied(ctx, s, path)
}

// satisfied refuses a shortlist on which there is a service that its own criteria leave out, as the directory says. One that is not there is refused where it is used.
func (a *API) satisfied(ctx context.Context, s shortlist, path string) error {
	list, err := a.dir.ServiceResources(ctx, s.Services...)
	if err != nil {
		return err
	}
	for _, v := range list {
		if what := s.Criteria.leavesOut(v.Resource.Root()); what != "" {
			return refuse(notInResults, "'%s/entry[%d]': the service '%s' does not satisfy the criterion '%s'", path, slices.Index(s.Services, v.ID), v.ID, what)
		}
	}
	return nil
}

// leavesOut is the criterion by which a service is not what was searched for; "" where the directory says nothing against it.
func (q criteria) leavesOut(n fhir.Node) string {
	clinics := false
	for c := range n.Field("category").Items() {
		clinics = clinics || c.Get("coding.0.system").String() == stu3ClinicType
	}
	named := serviceExtension(n, "NamedClinician").Get("valueIdentifier.value").String()
	switch {
	case q.ClinicType != "" && clinics && !holdsCode(n, stu3ClinicType, q.ClinicType, "category"):
		return "clinicType"
	case q.Named != "" && named != "" && named != q.Named:
		return "namedClinician"
	case q.Organisation != "" && !slices.Contains([]string{n.Get("providedBy.identifier.value").String(), placeOf(n).Get("identifier.value").String()}, q.Organisation):
		return "organisation"
	}
	return ""
}

// createRequest is what A011 asks for.
type createRequest struct {
	Patient      ident.NHSNumber
	Clinician    string // on whose behalf an administrator refers, as their user id
	Intention    string
	ReminderDays int
	PathwayStart time.Time // zero when it is not said
	Shortlist    shortlist
}

// readCreate reads eRS-CreateReferral-Parameters-1, and what has its parameters.
func (a *API) readCreate(r *http.Request, c caller, profile string) (q createRequest, err error) {
	res, err := read(r, "Parameters", profile)
	if err != nil {
		return q, err
	}
	p, err := readParameters(res.Root(), "", map[string]string{"patient": "valueIdentifier", "referringClinician": "valueIdentifier", "intentionToAddReferralLetter": "valueCoding",
		"firstReminderLetterFollowUpDays": "valueUnsignedInt", "eReferralPathwayStart": "valueInstant", "shortlist": "resource"})
	if err != nil {
		return q, err
	}
	if err := p.need("patient", "intentionToAddReferralLetter", "shortlist"); err != nil {
		return q, err
	}
	number, err := p.identifier("patient", stu3NHSNumber)
	if err != nil {
		return q, err
	}
	if q.Patient, err = ident.ParseNHSNumber(number); err != nil {
		return q, refuse(invalidValue, "'%s/value' is no NHS number", p["patient"].path)
	}
	if q.Intention, err = p.coding("intentionToAddReferralLetter", stu3Intention, "NEED_TO_ADD_LATER", "NOT_INTENDING_TO_ADD"); err != nil {
		return q, err
	}
	if err := a.readPart(&q, p, c); err != nil {
		return q, err
	}
	q.Shortlist, err = a.readShortlist(r.Context(), p["shortlist"].value, p["shortlist"].path)
	return q, err
}

// readPart reads what may be left out, and who refers.
func (a *API) readPart(q *createRequest, p parameters, c caller) (err error) {
	if q.Clinician, err = p.identifier("referringClinician", stu3User); err != nil {
		return err
	}
	switch {
	case c.Function == ReferringClinicianAdmin && q.Clinician == "":
		return refuse(valueIsRequired, "%s names the referring clinician: the parameter 'referringClinician' is missing", ReferringClinicianAdmin)
	case c.Function == ReferringClinician && q.Clinician != "":
		return refuse(fieldNotPermitted, "'%s' is for %s only", p["referringClinician"].path, ReferringClinicianAdmin)
	}
	if x, ok := p["firstReminderLetterFollowUpDays"]; ok {
		n, err := strconv.Atoi(x.value.String())
		if err != nil || n < 0 || n > 365 {
			return refuse(invalidValue, "'%s' is a number of days from 0 to 365", x.path)
		}
		q.ReminderDays = n
	}
	if x, ok := p["eReferralPathwayStart"]; ok {
		now := a.k.Clock.Now()
		q.PathwayStart, err = time.Parse(time.RFC3339, x.value.String())
		switch {
		case err != nil:
			return refuse(invalidValue, "'%s' is no instant", x.path)
		case q.PathwayStart.After(now) || q.PathwayStart.Before(now.AddDate(0, 0, -365)):
			return refuse(inappropriateValue, "'%s' lies in the future, or more than 365 days ago", x.path)
		}
	}
	return nil
}
