package ers

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/codes"
)

// What else the STU3 documents name.
const (
	stu3State      = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-ReferralState-1"
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

// specialty is said once the referral is a provider's.
func (x writer) specialty(r referral.Referral) fhir.Value {
	if r.Specialty == "" || r.Provider().IsZero() {
		return fhir.Value{}
	}
	return fhir.Obj("coding", fhir.Arr(fhir.Obj("system", codes.URL(codes.Specialty, x.base), "code", r.Specialty, "display", codes.Display(codes.Specialty, r.Specialty))))
}

func (x writer) extensions(r referral.Referral) fhir.Value {
	var list []any
	if visited(r) {
		list = append(list, extension("Appointment", "valueReference", fhir.Obj("reference", "#appointment")),
			extension("Appointment-Reference", "valueReference", fhir.Obj("reference", "Appointment/"+r.UBRN.String())))
	}
	list = append(list, extension("eReferralPathwayStart", "valueInstant", instant(r.PathwayStart)),
		extension("ReferralPriority", "valueCodeableConcept", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", stu3Priority, "code", string(r.Priority), "display", priorityName(r.Priority))))),
		extension("ReferralShortlist", "valueReference", fhir.Obj("reference", "#shortlist")),
		extension("Commissioning-Rule-Org", "valueIdentifier", fhir.Obj("system", idOrganisation, "value", r.Practice.String())),
		extension("ReferralState", "extension", x.state(r)))
	return fhir.Arr(list...)
}

// priorityName is a priority as the ReferralRequest shows it, which differs from the code system in capitals and in "2".
func priorityName(p referral.Priority) string {
	return map[referral.Priority]string{referral.Routine: "Routine", referral.Urgent: "Urgent", referral.TwoWeekWait: "2 Week Wait"}[p]
}

// state is what has become of the referral, with reason and comment.
func (x writer) state(r referral.Referral) fhir.Value {
	list := []any{fhir.Obj("url", "state", "valueCoding", fhir.Obj("system", stu3State, "code", string(r.State), "display", stateName(r.State)))}
	if reason := x.reason(r); len(reason.JSON()) > 0 {
		list = append(list, fhir.Obj("url", "reason", "valueCoding", reason))
	}
	if r.Comment != "" && r.State != referral.Deferred {
		list = append(list, fhir.Obj("url", "comments", "valueString", r.Comment))
	}
	return fhir.Arr(list...)
}

// reason is the coding of why a referral is in its state; empty when there is none.
func (x writer) reason(r referral.Referral) fhir.Value {
	switch {
	case r.Reason.Code == "":
		return fhir.Value{}
	case r.Reason.System == stu3Review:
		return fhir.Obj("system", stu3Review, "code", r.Reason.Code)
	}
	return fhir.Obj("system", codes.URL(r.Reason.System, x.base), "code", r.Reason.Code, "display", codes.Display(r.Reason.System, r.Reason.Code))
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

// visited reports whether the referral has an appointment, a deferred one included.
func visited(r referral.Referral) bool { return r.Appointment != nil || r.State == referral.Deferred }

func (x writer) contained(r referral.Referral) fhir.Value {
	entries := make([]any, len(r.Shortlist))
	for i, c := range r.Shortlist {
		entries[i] = fhir.Obj("item", fhir.Obj("identifier", fhir.Obj("system", stu3Service, "value", c.Service), "display", c.Name))
	}
	list := []any{
		fhir.Obj("id", "serviceSearchCriteria", "meta", profiled("eRS-ServiceSearchCriteria-Parameters-1"), "resourceType", "Parameters", "parameter", x.criteria(r)),
		fhir.Obj("id", "shortlist", "meta", profiled("eRS-Shortlist-List-1"), "resourceType", "List",
			"extension", fhir.Arr(extension("Shortlist-SearchCriteria", "valueReference", fhir.Obj("reference", "#serviceSearchCriteria"))),
			"status", "current", "mode", "snapshot", "entry", fhir.Arr(entries...)),
	}
	if visited(r) {
		list = append(list, x.appointment(r, "appointment"))
	}
	for _, a := range r.Attachments {
		list = append(list, documentReference(a, "DocumentReference-"+a.ID))
	}
	return fhir.Arr(list...)
}

// criteria is how services were searched for.
func (x writer) criteria(r referral.Referral) fhir.Value {
	list := []any{fhir.Obj("name", "priority", "valueCoding", fhir.Obj("system", stu3Priority, "code", string(r.Priority)))}
	if r.Specialty != "" {
		list = append(list, fhir.Obj("name", "specialty", "valueCoding", fhir.Obj("system", codes.URL(codes.Specialty, x.base), "code", r.Specialty)))
	}
	if r.ClinicType != "" {
		list = append(list, fhir.Obj("name", "clinicType", "valueCoding", fhir.Obj("system", stu3ClinicType, "code", r.ClinicType)))
	}
	return fhir.Arr(append(list, fhir.Obj("name", "ageAndGenderAppropriate", "valueBoolean", true),
		fhir.Obj("name", "commissioningProvisioning", "valueCoding", fhir.Obj("system", "https://fhir.nhs.uk/STU3/CodeSystem/eRS-CommissioningProvisioning-1", "code", "ALL_AVAILABLE_FOR_BOOKING")))...)
}

// appointment is eRS-Appointment-1: when and where the patient is to be seen, or that the provider is to say so.
func (x writer) appointment(r referral.Referral, id string) fhir.Value {
	participants := []any{
		fhir.Obj("actor", fhir.Obj("identifier", fhir.Obj("system", stu3Service, "value", r.Chosen.Service), "display", r.Chosen.Name), "status", "accepted"),
		fhir.Obj("actor", fhir.Obj("identifier", fhir.Obj("system", stu3NHSNumber, "value", r.Patient.String())), "status", "accepted"),
	}
	status, comment := "proposed", r.Comment
	var start, end string
	var slots, reasons fhir.Value
	if a := r.Appointment; a != nil {
		status, start, end, comment = "booked", instant(a.Start), instant(a.End), ""
		slots = fhir.Arr(fhir.Obj("reference", "Slot/"+slotID(a.SlotRef)))
	} else {
		reasons = fhir.Arr(fhir.Obj("coding", fhir.Arr(x.reason(r))))
	}
	return fhir.Obj("id", id, "meta", fhir.Obj("versionId", fmt.Sprint(r.Version), "profile", fhir.Arr(profileVisit, profileCare)), "language", "en", "resourceType", "Appointment",
		"status", status, "reason", reasons, "description", "e-Referral Appointment", "start", start, "end", end, "slot", slots, "created", instant(r.Since), "comment", comment,
		"incomingReferral", fhir.Arr(fhir.Obj("reference", fmt.Sprintf("ReferralRequest/%s/_history/%d", r.UBRN, r.Version))), "participant", fhir.Arr(participants...))
}

func supporting(r referral.Referral) fhir.Value {
	list := make([]any, len(r.Attachments))
	for i, a := range r.Attachments {
		list[i] = fhir.Obj("reference", "#DocumentReference-"+a.ID)
	}
	return fhir.Arr(list...)
}

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
