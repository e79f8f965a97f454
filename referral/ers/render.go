package ers

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/codes"
)

// What else the STU3 documents name.
const (
	stu3State      = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-ReferralState-1"
	stu3Outcome    = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-ReviewOutcome-1"
	stu3Review     = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-ReviewReason-1"
	stu3RequestID  = "https://fhir.nhs.uk/Id/ers-request-id"
	profileVisit   = structureSTU3 + "eRS-Appointment-1"
	profileCare    = "https://fhir.hl7.org.uk/STU3/StructureDefinition/CareConnect-Appointment-1"
	instantPattern = "2006-01-02T15:04:05.000Z"
)

// requestSpace is the name space of the ids that R4 operations know a request by: a UBRN always has the same.
var requestSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://openspine.example/ers-request-id"))

// requestID is a referral's id as R4 operations know it.
func requestID(u ident.UBRN) string {
	return "r." + uuid.NewSHA1(requestSpace, []byte(u.String())).String()
}

// adviceID is that of a question for advice.
func adviceID(u ident.UBRN) string { return "a" + strings.TrimPrefix(requestID(u), "r") }

// writer draws the documents of the API from what is true of a referral.
type writer struct {
	base string // of the API, without a final slash
}

func profiled(name string) fhir.Value {
	return fhir.Obj("profile", fhir.Arr(structureSTU3+name))
}

func extension(name, member string, value any) fhir.Value {
	return fhir.Obj("url", structureSTU3+"Extension-eRS-"+name+"-1", member, value)
}

func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(instantPattern)
}

// referralRequest is eRS-ReferralRequest-1: a referral at one version.
func (x writer) referralRequest(r referral.Referral) fhir.Value {
	version := fmt.Sprint(r.Version)
	return fhir.Obj(
		"id", r.UBRN.String(), "meta", fhir.Obj("versionId", version, "profile", fhir.Arr(structureSTU3+"eRS-ReferralRequest-1")), "resourceType", "ReferralRequest",
		"extension", x.extensions(r), "contained", x.contained(r), "status", statusOf(r), "specialty", x.specialty(r),
		"subject", fhir.Obj("identifier", fhir.Obj("system", stu3NHSNumber, "value", r.Patient.String())), "supportingInfo", supporting(r), "intent", "plan",
		"identifier", fhir.Arr(fhir.Obj("system", stu3RequestID, "value", requestID(r.UBRN))))
}

// statusOf is FHIR's status of a referral.
func statusOf(r referral.Referral) string {
	switch {
	case r.State == referral.Cancelled:
		return "cancelled"
	case r.Closed:
		return "completed"
	}
	return "active"
}

// specialty is said of what is no longer looking for a provider.
func (x writer) specialty(r referral.Referral) fhir.Value {
	if r.Specialty == "" || r.State == referral.NotBooked {
		return fhir.Value{}
	}
	return fhir.Obj("coding", fhir.Arr(fhir.Obj("system", codes.URL(codes.Specialty, x.base), "code", r.Specialty, "display", codes.Display(codes.Specialty, r.Specialty))))
}

func (x writer) extensions(r referral.Referral) fhir.Value {
	var list []any
	if r.Arranged != nil {
		list = append(list, extension("Appointment", "valueReference", fhir.Obj("reference", "#appointment")),
			extension("Appointment-Reference", "valueReference", fhir.Obj("reference", "Appointment/"+appointmentID(r.UBRN))))
	}
	if !r.Informed.IsZero() {
		list = append(list, extension("ClinicalInfoFirstSubmitted", "valueDateTime", instant(r.Informed)))
	}
	if !r.InformedAgain.IsZero() {
		list = append(list, extension("ClinicalInfoLastUpdated", "valueDateTime", instant(r.InformedAgain)))
	}
	if r.PathwaySaid || slices.Contains([]referral.State{referral.Booked, referral.Deferred, referral.AwaitingTriage}, r.State) {
		list = append(list, extension("eReferralPathwayStart", "valueInstant", instant(r.PathwayStart)))
	}
	list = append(list,
		extension("ReferralPriority", "valueCodeableConcept", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", stu3Priority, "code", string(r.Priority), "display", priorityName(r.Priority))))),
		extension("ReferralShortlist", "valueReference", fhir.Obj("reference", "#shortlist")),
		extension("Commissioning-Rule-Org", "valueIdentifier", fhir.Obj("system", idOrganisation, "value", r.Practice.String())),
		extension("ReferralState", "extension", x.state(r)))
	for _, code := range r.Requirements {
		list = append(list, extension("PatientAdditionalRequirement", "valueCoding",
			fhir.Obj("system", "https://fhir.nhs.uk/STU3/CodeSystem/eRS-AdditionalRequirementType-1", "code", code, "display", code[:1]+strings.ToLower(code[1:]))))
	}
	return fhir.Arr(list...)
}

// appointmentID is the number of a referral's appointment: the UBRN without its leading zeros.
func appointmentID(u ident.UBRN) string { return strings.TrimLeft(u.String(), "0") }

// readAppointmentID is the referral of an appointment's number.
func readAppointmentID(id string) (ident.UBRN, error) {
	const digits = 12
	if id == "" || len(id) > digits {
		return ident.UBRN{}, fault.New(fault.NotFound, "There is no such appointment.")
	}
	u, err := ident.ParseUBRN(strings.Repeat("0", digits-len(id)) + id)
	if err != nil {
		return u, fault.New(fault.NotFound, "There is no such appointment.")
	}
	return u, nil
}

// priorityName is a priority as the ReferralRequest shows it, which differs from the code system in capitals and in "2".
func priorityName(p referral.Priority) string {
	return map[referral.Priority]string{referral.Routine: "Routine", referral.Urgent: "Urgent", referral.TwoWeekWait: "2 Week Wait"}[p]
}

// state is what has become of the referral, with reason and comment.
func (x writer) state(r referral.Referral) fhir.Value {
	list := []any{fhir.Obj("url", "state", "valueCoding", fhir.Obj("system", stu3State, "code", string(r.State), "display", stateName(r.State)))}
	if r.Reason.Code != "" {
		list = append(list, fhir.Obj("url", "reason", "valueCoding", x.reason(r.Reason, true)))
	}
	if r.Comment != "" && r.State != referral.Deferred {
		list = append(list, fhir.Obj("url", "comments", "valueString", r.Comment))
	}
	return fhir.Arr(list...)
}

// reason is the coding of why something is so, with its words where it has some; empty when there is none.
func (x writer) reason(c referral.Code, worded bool) fhir.Value {
	switch {
	case c.Code == "":
		return fhir.Value{}
	case c.System == referral.ReviewReasons:
		return fhir.Obj("system", stu3Review, "code", c.Code)
	case c.System == referral.ReviewOutcomes:
		return fhir.Obj("system", stu3Outcome, "code", c.Code, "display", outcomeName(c.Code))
	case !worded:
		return fhir.Obj("system", codes.URL(c.System, x.base), "code", c.Code)
	}
	return fhir.Obj("system", codes.URL(c.System, x.base), "code", c.Code, "display", codes.Display(c.System, c.Code))
}

// outcomeName is the display of an outcome of a review: small words keep their small letter, as published.
func outcomeName(code string) string {
	switch code {
	case "RETURN_TO_REFERRER_WITH_ADVICE":
		return "Return to Referrer With Advice"
	case "PROVIDER_CONVERTED_ADVICE_AND_GUIDANCE_ADMIN_TO_REFER":
		return "Provider Converted Advice and Guidance, Admin to Refer"
	}
	return stateName(referral.State(code))
}

// stateName is a state's display: "Deferred To Provider".
func stateName(s referral.State) string {
	switch s {
	case referral.CancelledByProvider:
		return "Appointment Cancelled By Provider"
	case referral.CancelledByPatient:
		return "Appointment Cancelled By Patient"
	case referral.TriagedToAct:
		return "Triaged - Provider To Action"
	}
	parts := strings.Split(strings.ToLower(string(s)), "_")
	for i, w := range parts {
		parts[i] = strings.ToUpper(w[:1]) + w[1:]
	}
	return strings.Join(parts, " ")
}

// offered are the services that were chosen from, and how they were searched for.
func (x writer) offered(r referral.Referral) []any {
	entries := make([]any, len(r.Shortlist))
	for i, c := range r.Shortlist {
		entries[i] = fhir.Obj("item", fhir.Obj("identifier", fhir.Obj("system", stu3Service, "value", c.Service), "display", c.Name))
	}
	return []any{
		fhir.Obj("id", "serviceSearchCriteria", "meta", profiled("eRS-ServiceSearchCriteria-Parameters-1"), "resourceType", "Parameters", "parameter", x.criteria(r)),
		fhir.Obj("id", "shortlist", "meta", profiled("eRS-Shortlist-List-1"), "resourceType", "List",
			"extension", fhir.Arr(extension("Shortlist-SearchCriteria", "valueReference", fhir.Obj("reference", "#serviceSearchCriteria"))),
			"status", "current", "mode", "snapshot", "entry", fhir.Arr(entries...)),
	}
}

func (x writer) contained(r referral.Referral) fhir.Value {
	list := x.offered(r)
	if r.Arranged != nil {
		list = append(list, x.appointment(r, inReferral))
	}
	for _, a := range r.Attachments {
		list = append(list, documentReference(a, "DocumentReference-"+a.ID))
	}
	return fhir.Arr(list...)
}

// criteria is how services were searched for: as the referrer's program said it, or as is known where nobody did.
func (x writer) criteria(r referral.Referral) fhir.Value {
	if r.Criteria != "" {
		return fhir.RawValue([]byte(strings.ReplaceAll(r.Criteria, baseMark, x.base)))
	}
	list := []any{fhir.Obj("name", "priority", "valueCoding", fhir.Obj("system", stu3Priority, "code", string(r.Priority)))}
	if r.Specialty != "" {
		list = append(list, x.specialtyCriterion(r.Specialty))
	}
	if r.ClinicType != "" {
		list = append(list, x.clinicCriterion(r.ClinicType))
	}
	return fhir.Arr(append(list, fhir.Obj("name", "ageAndGenderAppropriate", "valueBoolean", true), commissioning())...)
}

func (x writer) specialtyCriterion(code string) fhir.Value {
	return fhir.Obj("name", "specialty", "valueCoding", fhir.Obj("system", codes.URL(codes.Specialty, x.base), "code", code))
}

func (x writer) clinicCriterion(code string) fhir.Value {
	return fhir.Obj("name", "clinicType", "valueCoding", fhir.Obj("system", stu3ClinicType, "code", code))
}

// commissioning is the criterion that holds where nobody said another.
func commissioning() fhir.Value {
	return fhir.Obj("name", "commissioningProvisioning", "valueCoding", fhir.Obj("system", "https://fhir.nhs.uk/STU3/CodeSystem/eRS-CommissioningProvisioning-1", "code", "ALL_AVAILABLE_FOR_BOOKING"))
}

// appointment is eRS-Appointment-1: when and where the patient is to be seen, or what has come of that. It stands by itself, or within its referral, where the reasons
// have words.
func (x writer) appointment(r referral.Referral, id string) fhir.Value {
	accepted := func(members ...any) fhir.Value { return fhir.Obj(append(members, "status", "accepted")...) }
	v, within := r.Arranged, id == inReferral
	participants := []any{
		accepted("actor", fhir.Obj("identifier", fhir.Obj("system", stu3Service, "value", r.Chosen.Service), "display", r.Chosen.Name)),
		accepted("actor", fhir.Obj("identifier", fhir.Obj("system", stu3NHSNumber, "value", r.Patient.String()))),
	}
	if v.Clinician != "" {
		participants = append(participants, accepted("type", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "http://hl7.org/fhir/ValueSet/encounter-participant-type", "code", "CON"))),
			"actor", fhir.Obj("identifier", fhir.Obj("system", stu3User, "value", v.Clinician))))
	}
	var start, end string
	var slots, reasons fhir.Value
	if a := r.Appointment; a != nil {
		start, end = instant(a.Start), instant(a.End)
		if direct(r) {
			slots = fhir.Arr(fhir.Obj("reference", "Slot/"+slotID(a.SlotRef)))
		}
	}
	if v.Reason.Code != "" {
		worded := within && r.State != referral.Cancelled // as published, that of an appointment which was cancelled before its referral has no words
		reasons = fhir.Arr(fhir.Obj("coding", fhir.Arr(x.reason(v.Reason, worded))))
	}
	return fhir.Obj("id", id, "meta", fhir.Obj("versionId", fmt.Sprint(v.Version), "profile", fhir.Arr(profileVisit, profileCare)), "language", "en", "resourceType", "Appointment",
		"status", string(v.Status), "reason", reasons, "description", "e-Referral Appointment", "start", start, "end", end, "slot", slots, "created", instant(v.Created), "comment", v.Comment,
		"incomingReferral", fhir.Arr(fhir.Obj("reference", fmt.Sprintf("ReferralRequest/%s/_history/%d", r.UBRN, r.Version))), "participant", fhir.Arr(participants...))
}

// inReferral is the id of an appointment within its referral.
const inReferral = "appointment"

// slotID names a slot within the API: its provider, session and own id, none of which holds a full stop.
func slotID(s referral.SlotRef) string {
	return s.Provider.String() + "." + s.Session + "." + s.Slot
}

// readSlotID is the slot of an id. Error: REFERENCE_NOT_FOUND.
func readSlotID(id string) (s referral.SlotRef, err error) {
	parts := strings.Split(id, ".")
	if len(parts) != 3 {
		return s, refuse(referenceNotFound, "There is no slot '%s'.", shown(id))
	}
	if s.Provider, err = ident.ParseODSCode(parts[0]); err != nil {
		return s, refuse(referenceNotFound, "There is no slot '%s'.", shown(id))
	}
	s.Session, s.Slot = parts[1], parts[2]
	return s, nil
}

// supporting names the files of a referral, and the referrals that it follows.
func supporting(r referral.Referral) fhir.Value {
	list := make([]any, len(r.Attachments))
	for i, a := range r.Attachments {
		list[i] = fhir.Obj("reference", "#DocumentReference-"+a.ID)
	}
	if r.FromAdvice {
		list = append(list, fhir.Obj("reference", "CommunicationRequest/"+r.UBRN.String()))
	}
	for _, u := range r.Related {
		list = append(list, fhir.Obj("reference", "ReferralRequest/"+u.String()))
	}
	return fhir.Arr(list...)
}
