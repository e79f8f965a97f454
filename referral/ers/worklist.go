package ers

import (
	"errors"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/calendar"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/codes"
)

// worklistRoutes are the operations that look over many referrals, and what can be done to one.
func (a *API) worklistRoutes() []catalogue.Route {
	return []catalogue.Route{
		a.onPerson("POST", "/STU3/ReferralRequest/$ers.fetchworklist", (*call).worklist, ReferringClinician, ReferringClinicianAdmin, ReferringAdmin, ProviderClinician, ProviderClinicianAdmin, ProviderAdmin, ProviderApplication),
		a.onPerson("GET", "/STU3/Task", (*call).actions, ReferringClinician, ReferringClinicianAdmin, ProviderClinician, ProviderClinicianAdmin, ProviderApplication),
		a.onPerson("GET", "/R4/ServiceRequest", (*call).serviceRequests, ReferringClinician, ReferringClinicianAdmin, ProviderClinician, ProviderClinicianAdmin),
	}
}

// worklistKind is one of the published worklists: whose it is, in which states referrals stand on it, and what is shown of each.
type worklistKind struct {
	code     string
	provider bool
	name     string // of its extension
	states   []referral.State
	item     func(x writer, r referral.Referral) []any
}

// worklistKinds are all published worklists of referrals (eRS-ReferralListSelector-1).
func worklistKinds() []worklistKind {
	return []worklistKind{
		{"REFERRALS_FOR_REVIEW", true, "ReferralsforReview", []referral.State{referral.Booked, referral.AwaitingTriage}, writer.reviewItem},
		{"APPOINTMENT_SLOT_ISSUES", true, "AppointmentSlotIssues", []referral.State{referral.Deferred}, writer.issueItem},
		{"REJECTED_TRIAGE_RESPONSE", false, "RejectedTriageResponse", []referral.State{referral.Rejected, referral.TriageResponse}, writer.stateItem},
		{"ASSESSMENT_RETURNED_CANCELLED_DNA", false, "AssessmentReturnedCancelledDna", []referral.State{referral.AssessmentResult, referral.Cancelled, referral.DidNotAttend}, writer.stateItem},
		{"AWAITING_BOOKING", false, "AwaitingBooking", []referral.State{referral.NotBooked, referral.CancelledByPatient, referral.CancelledByProvider, referral.Deferred, referral.AwaitingTriage}, writer.stateItem},
		{"LETTERS_OUTSTANDING", false, "LettersOutstanding", nil, writer.letterItem},
	}
}

// worklistQuery is what A008 asks for.
type worklistQuery struct {
	kind                               worklistKind
	service, specialty, clinician      string
	specialtyAssigned, clinicianAssign string // ASSIGNED, UNASSIGNED or empty for either
}

// readWorklist reads eRS-FetchWorklist-Parameters-1.
func (c *call) readWorklist() (q worklistQuery, err error) {
	res, err := read(c.r, "Parameters", "eRS-FetchWorklist-Parameters-1")
	if err != nil {
		return q, err
	}
	p, err := readParameters(res.Root(), "", map[string]string{"listType": "valueCodeableConcept", "service": "valueIdentifier", "specialtyAssignedIndicator": "valueCodeableConcept",
		"specialty": "valueCodeableConcept", "clinicianAssignedIndicator": "valueCodeableConcept", "clinician": "valueIdentifier"})
	if err == nil {
		err = p.need("listType")
	}
	if err != nil {
		return q, err
	}
	concept := func(name, system string) string {
		if err != nil {
			return ""
		}
		var code string
		code, err = p.concept(name, system)
		return code
	}
	const ers = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-"
	list := concept("listType", ers+"ReferralListSelector-1")
	q.specialtyAssigned, q.clinicianAssign = concept("specialtyAssignedIndicator", ers+"AssignedIndicator-1"), concept("clinicianAssignedIndicator", ers+"AssignedIndicator-1")
	q.specialty = concept("specialty", codes.URL(codes.Specialty, c.a.k.BaseURL()+Base))
	if err == nil {
		q.service, err = p.identifier("service", stu3Service)
	}
	if err == nil {
		q.clinician, err = p.identifier("clinician", stu3User)
	}
	if err != nil {
		return q, err
	}
	i := slices.IndexFunc(worklistKinds(), func(k worklistKind) bool { return k.code == list })
	if i < 0 {
		return q, refuse(invalidCode, "'%s' is '%s', which is no worklist of referrals", p["listType"].path, shown(list))
	}
	q.kind = worklistKinds()[i]
	if err := c.mayList(q, len(p) > 1); err != nil {
		return q, err
	}
	if err := c.isService(q.service); err != nil || q.clinician == "" {
		return q, err
	}
	var gone *problem
	if _, _, err = c.a.profiles(c.r.Context(), q.clinician); errors.As(err, &gone) && gone.code == notActive {
		err = nil // who has left may have referrals still
	}
	return q, err
}

// isService refuses a service that is in no directory, or somebody else's; closed ones have referrals still.
func (c *call) isService(id string) error {
	if id == "" {
		return nil
	}
	list, err := c.a.dir.ServiceResources(c.r.Context(), id)
	switch {
	case err != nil:
		return err
	case len(list) == 0:
		return refuse(referenceNotFound, "There is no service '%s'.", shown(id))
	case list[0].Resource.Get("providedBy.identifier.value").String() != c.c.Organisation.String():
		return refuse(noRelationship, "The service '%s' is not one of %s.", shown(id), c.c.Organisation)
	}
	return nil
}

// mayList refuses the worklists of the other side, and filters where there are none.
func (c *call) mayList(q worklistQuery, filtered bool) error {
	refers := slices.Contains([]Function{ReferringClinician, ReferringClinicianAdmin, ReferringAdmin}, c.c.Function)
	assigned := []string{"", "ASSIGNED", "UNASSIGNED"}
	switch {
	case refers == q.kind.provider:
		return refuse(forbidden, "%s may not see the worklist %s.", c.c.Function, q.kind.code)
	case filtered && !q.kind.provider:
		return refuse(unexpectedField, "the worklist %s has no filters", q.kind.code)
	case !slices.Contains(assigned, q.specialtyAssigned) || !slices.Contains(assigned, q.clinicianAssign):
		return refuse(invalidCode, "an indicator is ASSIGNED or UNASSIGNED")
	case c.c.Function == ProviderApplication && q.service == "":
		return refuse(missingValue, "the parameter 'service' is missing: a program asks for one service at a time")
	}
	return nil
}

// takes reports whether a referral stands on the worklist.
func (q worklistQuery) takes(r referral.Referral) bool {
	clinician := ""
	if r.Arranged != nil {
		clinician = r.Arranged.Clinician
	}
	assigned := func(want, have string) bool { return want == "" || (want == "ASSIGNED") == (have != "") }
	switch {
	case q.kind.code == "LETTERS_OUTSTANDING" && !r.Owes(), q.kind.code == "REFERRALS_FOR_REVIEW" && r.Accepted:
		return false
	case q.service != "" && q.service != r.Chosen.Service, q.specialty != "" && q.specialty != r.Specialty, q.clinician != "" && q.clinician != clinician:
		return false
	}
	return assigned(q.specialtyAssigned, r.Specialty) && assigned(q.clinicianAssign, clinician)
}

// worklist is A008.
func (c *call) worklist() error {
	q, err := c.readWorklist()
	if err != nil {
		return err
	}
	scope, err := c.ask.Scope(access.Search, access.TypeBooking)
	if err != nil {
		return err
	}
	w := referral.Worklist{Practice: c.c.Organisation, States: q.kind.states, Ended: !q.kind.provider}
	if q.kind.provider {
		w.Practice, w.Provider = w.Provider, c.c.Organisation
	}
	list, err := c.a.referrals.Waiting(c.r.Context(), scope, w)
	if err != nil {
		return err
	}
	x := c.writer()
	var entries, patients, clinicians []any
	seen := map[string]bool{}
	once := func(to *[]any, id string, resource fhir.Value) {
		if !seen[id] {
			seen[id] = true
			*to = append(*to, resource)
		}
	}
	for _, r := range slices.Backward(list) {
		if !q.takes(r) {
			continue
		}
		if q.kind.code == "REFERRALS_FOR_REVIEW" {
			if r.Arranged != nil && r.Arranged.Clinician != "" {
				id := "Practitioner-" + r.Arranged.Clinician
				once(&clinicians, id, fhir.Obj("id", id, "meta", profiled("eRS-Practitioner-1"), "resourceType", "Practitioner", "identifier", fhir.Arr(fhir.Obj("system", stu3User, "value", r.Arranged.Clinician))))
			}
			id := "Patient-" + r.Patient.String()
			once(&patients, id, fhir.Obj("id", id, "meta", profiled("eRS-Patient-1"), "resourceType", "Patient", "identifier", fhir.Arr(fhir.Obj("system", stu3NHSNumber, "value", r.Patient.String()))))
		}
		entries = append(entries, fhir.Obj("extension", fhir.Arr(fhir.Obj("extension", fhir.Arr(q.kind.item(x, r)...), "url", structureSTU3+"Extension-eRS-"+q.kind.name+"-WorkListItem-1")),
			"item", fhir.Obj("reference", "ReferralRequest/"+r.UBRN.String())))
	}
	var none fhir.Value
	if len(entries) == 0 {
		none = fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "http://hl7.org/fhir/ValueSet/list-empty-reason", "code", "nilknown", "display", "no results")))
	}
	return send(c.w, http.StatusOK, fhir.Obj("meta", profiled("eRS-FetchWorklist-List-1"), "resourceType", "List", "contained", fhir.Arr(append(clinicians, patients...)...),
		"status", "current", "mode", "snapshot", "entry", fhir.Arr(entries...), "emptyReason", none).JSON())
}

// part is one fact of an item of a worklist.
func part(name, member string, value any) fhir.Value { return fhir.Obj("url", name, member, value) }

func conceptOf(system, code string) fhir.Value {
	return fhir.Obj("coding", fhir.Arr(fhir.Obj("system", system, "code", code)))
}

func ofPatient(r referral.Referral) fhir.Value {
	return fhir.Obj("identifier", fhir.Obj("system", stu3NHSNumber, "value", r.Patient.String()))
}

func ofService(r referral.Referral) fhir.Value {
	return part("service", "valueReference", fhir.Obj("identifier", fhir.Obj("system", stu3Service, "value", r.Chosen.Service), "display", r.Chosen.Name))
}

func (x writer) specialtyPart(r referral.Referral) []any {
	if r.Specialty == "" {
		return nil
	}
	return []any{part("specialty", "valueCodeableConcept", conceptOf(codes.URL(codes.Specialty, x.base), r.Specialty))}
}

// reviewItem is a referral that a provider has yet to read.
func (x writer) reviewItem(r referral.Referral) []any {
	const ers = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-"
	list := append([]any{part("priority", "valueCodeableConcept", conceptOf(stu3Priority, string(r.Priority)))}, x.specialtyPart(r)...)
	list = append(list, part("patient", "valueReference", fhir.Obj("reference", "#Patient-"+r.Patient.String())))
	if r.Arranged != nil && r.Arranged.Clinician != "" {
		list = append(list, part("allocatedClinician", "valueReference", fhir.Obj("reference", "#Practitioner-"+r.Arranged.Clinician)))
	}
	list = append(list, part("eReferralPathwayStart", "valueDateTime", instant(r.PathwayStart)), part("clinicalInfoPrinted", "valueBoolean", false),
		part("requestContextStatus", "valueCodeableConcept", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", ers+"RequestContextStatus-1", "code", "NEVER_REVIEWED", "display", "Never Reviewed")))))
	if !r.Informed.IsZero() {
		list = append(list, part("clinicalInfoFirstSubmitted", "valueDateTime", instant(r.Informed)))
	}
	if !r.InformedAgain.IsZero() {
		list = append(list, part("clinicalInfoLastUpdated", "valueDateTime", instant(r.InformedAgain)))
	}
	kind := "TRIAGE_DEFERRAL"
	if r.Appointment != nil {
		kind, list = "APPOINTMENT", append(list, part("appointmentStart", "valueDateTime", instant(r.Appointment.Start)))
	}
	return append(list, part("referralType", "valueCodeableConcept", conceptOf(ers+"ReferralType-1", kind)), ofService(r), part("referralRequestVersion", "valueInteger", r.Version))
}

// issueItem is a referral for which there was no free slot.
func (x writer) issueItem(r referral.Referral) []any {
	list := append([]any{part("priority", "valueCodeableConcept", conceptOf(stu3Priority, string(r.Priority)))}, x.specialtyPart(r)...)
	status := "PRESENT"
	if r.Informed.IsZero() {
		status = "NOT_PRESENT"
	}
	return append(list, part("patient", "valueReference", ofPatient(r)), part("eReferralPathwayStart", "valueDateTime", instant(r.PathwayStart)), part("clinicalInfoPrinted", "valueBoolean", false),
		part("ubrnReceived", "valueDateTime", instant(r.Since)), part("patientContactExpected", "valueDate", contactBy(r).Format(time.DateOnly)),
		part("clinicalInformationStatus", "valueCodeableConcept", conceptOf("https://fhir.nhs.uk/STU3/CodeSystem/eRS-ClinicalInformationStatus-1", status)),
		part("reason", "valueCodeableConcept", fhir.Obj("coding", fhir.Arr(x.reason(r.Reason, false)))), ofService(r))
}

// contactBy is the day by which a provider calls somebody for whom there was no slot: so many working days as their priority allows.
func contactBy(r referral.Referral) time.Time {
	day := r.Since.UTC()
	left := 0
	if code, err := codes.Find(codes.Priority, string(r.Priority)); err == nil {
		left = code.ContactDays
	}
	return calendar.WorkingDays(day, left)
}

// referrerItem begins what a referrer's worklist shows of each.
func referrerItem(r referral.Referral) []any {
	context := strings.Trim(r.Specialty+"/"+r.ClinicType, "/")
	list := []any{part("patient", "valueReference", ofPatient(r)), part("priority", "valueCodeableConcept", conceptOf(stu3Priority, string(r.Priority))),
		part("referralCreated", "valueDateTime", instant(r.Created)), part("referrer", "valueReference", fhir.Obj("identifier", fhir.Obj("system", stu3User, "value", r.Referrer.ID)))}
	if context != "" {
		list = append(list, part("clinicalContext", "valueString", context))
	}
	return list
}

// letterItem is a referral whose letter was promised.
func (x writer) letterItem(r referral.Referral) []any {
	return append(referrerItem(r), part("letterDue", "valueDate", r.LetterDue.Format(time.DateOnly)))
}

// stateItem is a referral on which its referrer has to act.
func (x writer) stateItem(r referral.Referral) []any {
	code, display := string(r.State), strings.ToLower(stateName(r.State))
	switch r.State { // worklists abbreviate, and write, some states otherwise than referrals do
	case referral.CancelledByPatient, referral.CancelledByProvider:
		code = strings.Replace(code, "APPT_", "APP_", 1)
	case referral.TriageResponse:
		display = stateName(r.State)
	}
	list := append(referrerItem(r), part("referralLastUpdated", "valueDateTime", instant(r.Changed)),
		part("status", "valueCodeableConcept", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", stu3State, "code", code, "display", strings.ToUpper(display[:1])+display[1:])))))
	if published := r.Reason.System == codes.CancelledVisit || r.Reason.System == codes.CancelledRequest; published {
		list = append(list, part("reason", "valueCodeableConcept", fhir.Obj("coding", fhir.Arr(x.reason(r.Reason, true)))))
	}
	return list
}

// tasks is a Bundle of what may be done to a referral now.
func (x writer) tasks(r referral.Referral, f Function, link string, now time.Time) fhir.Value {
	var entries []any
	about := strings.Split(strings.TrimPrefix(link, x.base+"/STU3/Task?focus="), "&")[0]
	for _, code := range possible(r, f) {
		id := uuid.NewString()
		words := strings.ReplaceAll(stateName(referral.State(code)), " And ", " and ")
		words = strings.ReplaceAll(words, " For ", " for ")
		entries = append(entries, fhir.Obj("fullUrl", x.base+"/STU3/Task/"+id, "resource", fhir.Obj("id", id, "meta", fhir.Obj("profile", fhir.Arr("https://fhir.hl7.org.uk/STU3/StructureDefinition/CareConnect-Task-1")),
			"resourceType", "Task", "status", "ready", "intent", "proposal", "focus", fhir.Obj("reference", about),
			"code", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "https://fhir.nhs.uk/STU3/CodeSystem/eRS-AvailableActionsForUser-1", "code", code, "display", words)))), "search", fhir.Obj("mode", "match")))
	}
	return fhir.Obj("id", uuid.NewString(), "meta", fhir.Obj("lastUpdated", instant(now), "profile", fhir.Arr("http://hl7.org/fhir/STU3/StructureDefinition/Bundle")), "resourceType", "Bundle",
		"type", "searchset", "link", fhir.Arr(fhir.Obj("relation", "self", "url", link)), "entry", fhir.Arr(entries...))
}
