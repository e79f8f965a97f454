package bars

import (
	"fmt"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/codes"
)

// What the documents name.
const (
	ukCore         = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-"
	barsProfile    = "https://fhir.nhs.uk/StructureDefinition/BARS"
	messageEvents  = "https://fhir.nhs.uk/CodeSystem/message-events-bars"
	messageReasons = "https://fhir.nhs.uk/CodeSystem/message-reason-bars"
	requestKinds   = "https://fhir.nhs.uk/CodeSystem/message-category-servicerequest"
	serviceSystem  = "https://fhir.nhs.uk/Id/dos-service-id"
	attender       = "http://terminology.hl7.org/CodeSystem/v3-ParticipationType"
)

// A referral's ServiceRequest and Appointment have the UBRN in their ids, as the last twelve digits of a UUID of version 8 (RFC 9562): a reference is read without
// looking it up, and tells nothing, for UBRNs are drawn at random.
const (
	requestPrefix = "5e4f0000-0000-8000-8000-"
	visitPrefix   = "a9900000-0000-8000-8000-"
)

func requestID(u ident.UBRN) string { return requestPrefix + u.String() }
func visitID(u ident.UBRN) string   { return visitPrefix + u.String() }

// ubrnIn is the UBRN in an id, of a ServiceRequest or an Appointment.
func ubrnIn(id, prefix string) (u ident.UBRN, ok bool) {
	digits, ok := strings.CutPrefix(strings.ToLower(id), prefix)
	if !ok {
		return u, false
	}
	u, err := ident.ParseUBRN(digits)
	return u, err == nil
}

// slotSpace is the name space of the ids of slots.
var slotSpace = uuid.NewSHA1(uuid.NameSpaceURL, []byte("https://openspine.example/bars-slot"))

// slotID is a slot's id: the same each time.
func slotID(s referral.SlotRef) string { return madeID(s.Provider.String(), s.Session, s.Slot) }

// madeID is the id of what is known by a few words.
func madeID(words ...string) string {
	return uuid.NewSHA1(slotSpace, []byte(strings.Join(words, "\x00"))).String()
}

func profiled(profiles ...any) fhir.Value { return fhir.Obj("profile", fhir.Arr(profiles...)) }

// instant is a time as BaRS writes it: with an offset of UTC.
func instant(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format("2006-01-02T15:04:05+00:00")
}

// appointment is when and where a referral's patient is to be seen, or was: at is the appointment that the referral has, or had last.
// arrived says that they have come to it.
func appointment(r referral.Referral, at referral.Appointment, arrived bool) fhir.Value {
	return fhir.Obj("resourceType", "Appointment", "id", visitID(r.UBRN), "meta", fhir.Obj("versionId", fmt.Sprint(r.Version), "lastUpdated", instant(r.Changed), "profile", fhir.Arr(ukCore+"Appointment")),
		"status", visitStatus(r, arrived), "cancelationReason", visitReason(r), "description", r.Chosen.Name, "start", instant(at.Start), "end", instant(at.End),
		"slot", fhir.Arr(fhir.Obj("reference", "Slot/"+slotID(at.SlotRef))), "created", instant(r.Created), "basedOn", fhir.Arr(fhir.Obj("reference", "ServiceRequest/"+requestID(r.UBRN), "type", "ServiceRequest")),
		"participant", fhir.Arr(fhir.Obj("type", fhir.Arr(fhir.Obj("coding", fhir.Arr(fhir.Obj("system", attender, "code", "ATND", "display", "attender")))),
			"actor", fhir.Obj("type", "Patient", "identifier", fhir.Obj("system", ident.SystemNHSNumber, "value", r.Patient.String())), "status", "accepted")))
}

// visitStatus is FHIR's status of a referral's appointment.
func visitStatus(r referral.Referral, arrived bool) string {
	switch {
	case r.Attended:
		return "fulfilled"
	case r.State == referral.DidNotAttend:
		return "noshow"
	case r.Appointment != nil && arrived:
		return "arrived"
	case r.Appointment != nil:
		return "booked"
	}
	return "cancelled"
}

func visitReason(r referral.Referral) fhir.Value {
	if r.Appointment != nil || r.Reason.Code == "" || r.Reason.System != codes.CancelledVisit {
		return fhir.Value{}
	}
	return fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "https://fhir.nhs.uk/CodeSystem/"+r.Reason.System, "code", r.Reason.Code, "display", codes.Display(r.Reason.System, r.Reason.Code))), "text", r.Comment)
}

// serviceRequest is a referral.
func serviceRequest(r referral.Referral) fhir.Value {
	category, display := "referral", "Transfer of Care"
	if r.Request == referral.ForTriage {
		category, display = "validation", "For Validation"
	}
	performer := fhir.Value{}
	if r.Chosen.Service != "" {
		performer = fhir.Arr(fhir.Obj("type", "HealthcareService", "identifier", fhir.Obj("system", serviceSystem, "value", r.Chosen.Service), "display", r.Chosen.Name))
	}
	return fhir.Obj("resourceType", "ServiceRequest", "id", requestID(r.UBRN),
		"meta", fhir.Obj("versionId", fmt.Sprint(r.Version), "lastUpdated", instant(r.Changed), "profile", fhir.Arr(barsProfile+"ServiceRequest-request-"+category)),
		"identifier", fhir.Arr(fhir.Obj("system", ident.SystemUBRN, "value", r.UBRN.String())), "status", requestStatus(r), "intent", "plan",
		"category", fhir.Arr(fhir.Obj("coding", fhir.Arr(fhir.Obj("system", requestKinds, "code", category, "display", display)))), "priority", priority(r.Priority),
		"subject", fhir.Obj("type", "Patient", "identifier", fhir.Obj("system", ident.SystemNHSNumber, "value", r.Patient.String())),
		"authoredOn", instant(r.Created), "requester", fhir.Obj("type", "Organization", "identifier", fhir.Obj("system", ident.SystemODSCode, "value", r.Practice.String()), "display", r.PracticeName), "performer", performer)
}

func requestStatus(r referral.Referral) string {
	switch {
	case r.State == referral.Cancelled || r.State == referral.Rejected:
		return "revoked"
	case r.Closed:
		return "completed"
	}
	return "active"
}

// priority is FHIR's word for how soon.
func priority(p referral.Priority) string {
	switch p {
	case referral.TwoWeekWait:
		return "asap"
	case referral.Urgent:
		return "urgent"
	}
	return "routine"
}

// priorityOf is how soon FHIR's word says. "stat" is for an emergency, which is not for a clinic.
func priorityOf(word string) (referral.Priority, bool) {
	p, ok := map[string]referral.Priority{"": referral.Routine, "routine": referral.Routine, "urgent": referral.Urgent, "asap": referral.TwoWeekWait}[word]
	return p, ok
}

// searchset is what a search found, each under its address.
func (a *API) searchset(self string, found []fhir.Value, kind string) fhir.Value {
	entries := make([]any, 0, len(found))
	for _, v := range found {
		res, err := v.Resource()
		if err != nil {
			continue // made here: it has a type and an id
		}
		entries = append(entries, fhir.Obj("fullUrl", a.base()+"/"+kind+"/"+res.ID(), "resource", v, "search", fhir.Obj("mode", "match")))
	}
	return fhir.Obj("resourceType", "Bundle", "type", "searchset", "total", len(found), "link", fhir.Arr(fhir.Obj("relation", "self", "url", self)), "entry", fhir.Arr(entries...))
}

// service is a HealthcareService of the directory as it stands in a searchset, with what its references name.
func service(t directory.Target, location string) fhir.Value {
	at := fhir.Value{}
	if location != "" {
		at = fhir.Arr(fhir.Obj("reference", location))
	}
	return fhir.Obj("resourceType", "HealthcareService", "id", t.ID, "meta", profiled("http://hl7.org/fhir/StructureDefinition/HealthcareService", ukCore+"HealthcareService"),
		"identifier", fhir.Arr(fhir.Obj("system", serviceSystem, "value", t.ID)), "active", true,
		"providedBy", fhir.Obj("type", "Organization", "identifier", fhir.Obj("system", ident.SystemODSCode, "value", t.Provider.String()), "display", t.ProviderName), "location", at, "name", t.Name)
}
