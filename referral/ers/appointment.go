package ers

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
)

// mostSlots is how many free slots of a service A015 pages through.
const mostSlots = 5000

// slotQuery is what A015 asks for.
type slotQuery struct {
	service     string
	clinician   string
	count, page int
}

// slotParameters are the parameters of A015, in the order in which links name them.
func slotParameters() []string {
	return []string{"schedule.actor:Practitioner", "schedule.actor:HealthcareService", "appointmentType", "_count", "status", "_include", "page"}
}

// readSlotQuery reads the parameters of A015, each of which must be known and be there once.
func readSlotQuery(raw string) (q slotQuery, err error) {
	values, err := url.ParseQuery(raw)
	if err != nil {
		return q, badQuery(invalidValue, "the query cannot be read: check what follows each percent sign")
	}
	for name, list := range values {
		if !slices.Contains(slotParameters(), name) {
			return q, badQuery(invalidValue, "'%s' unknown parameter", shown(name))
		}
		if len(list) > 1 {
			return q, badQuery(invalidValue, "'%s' may be there once only", name)
		}
	}
	if q.service = values.Get("schedule.actor:HealthcareService"); q.service == "" {
		return q, badQuery(missingParameter, "'schedule.actor:HealthcareService' is missing")
	}
	q.clinician = values.Get("schedule.actor:Practitioner")
	for _, name := range []string{"appointmentType", "status", "_count", "page"} {
		if values.Get(name) == "" {
			return q, badQuery(missingParameter, "'%s' is missing", name)
		}
	}
	if !slices.Contains([]string{"ROUTINE", "URGENT", "TWO_WEEK_WAIT"}, values.Get("appointmentType")) {
		return q, badQuery(invalidCode, "'appointmentType' is ROUTINE, URGENT or TWO_WEEK_WAIT")
	}
	if values.Get("status") != "free" {
		return q, badQuery(invalidCode, "'status' is free")
	}
	if q.count, err = strconv.Atoi(values.Get("_count")); err != nil || q.count < 1 || q.count > 100 {
		return q, badQuery(invalidValue, "'Page Size' (%s) is invalid.", shown(values.Get("_count")))
	}
	if q.page, err = strconv.Atoi(values.Get("page")); err != nil || q.page < 1 || q.page > mostSlots {
		return q, badQuery(invalidValue, "'Page Number' (%s) is invalid.", shown(values.Get("page")))
	}
	return q, nil
}

// slots is A015: the free slots of a service, with the schedules that they stand in.
func (a *API) slots(w http.ResponseWriter, r *http.Request, _ caller) error {
	q, err := readSlotQuery(r.URL.RawQuery)
	if err != nil {
		return err
	}
	if err := a.slotsOf(r.Context(), q); err != nil {
		return err
	}
	list, err := a.referrals.FreeSlots(r.Context(), q.service, time.Time{}, time.Time{}, "", mostSlots)
	if err != nil {
		return err
	}
	if q.clinician != "" {
		list = slices.DeleteFunc(list, func(s referral.Slot) bool { return s.ClinicianID != q.clinician })
	}
	at := (q.page - 1) * q.count
	if at > 0 && at >= len(list) {
		return badQuery(invalidValue, "'Page Number' (%d) is invalid.", q.page)
	}
	x := writer{a.k.BaseURL() + Base}
	shown := list[at:min(at+q.count, len(list))]
	return send(w, http.StatusOK, x.slotBundle(r.URL, q, shown, len(list), a.k.Clock.Now()).JSON())
}

// slotsOf refuses a service that is not there or has closed, and a clinician who is nobody.
func (a *API) slotsOf(ctx context.Context, q slotQuery) error {
	services, err := a.dir.ServiceResources(ctx, q.service)
	switch {
	case err != nil:
		return err
	case len(services) == 0:
		return badQuery(referenceNotFound, "There is no service '%s'.", shown(q.service))
	case services[0].Resource.Get("active").Exists() && services[0].Resource.Get("active").String() != "true":
		return badQuery(serviceUnavailable, "The service '%s' has closed.", shown(q.service))
	case q.clinician == "":
		return nil
	}
	_, _, err = a.k.Gate.Profiles(ctx, q.clinician)
	if fault.Is(err, fault.NotFound) {
		return badQuery(referenceNotFound, "There is no active user '%s'.", shown(q.clinician))
	}
	return err
}

// slotBundle is a page of free slots, and the schedule of each.
func (x writer) slotBundle(asked *url.URL, q slotQuery, list []referral.Slot, total int, now time.Time) fhir.Value {
	var slots, schedules []any
	seen := map[string]bool{}
	for _, s := range list {
		id, schedule := slotID(s.SlotRef), scheduleID(q.service, s.ClinicianID)
		slots = append(slots, fhir.Obj("fullUrl", x.base+"/STU3/Slot/"+id, "resource", fhir.Obj("id", id, "meta", fhir.Obj("profile", fhir.Arr("https://fhir.hl7.org.uk/STU3/StructureDefinition/CareConnect-Slot-1")),
			"resourceType", "Slot", "identifier", fhir.Arr(fhir.Obj("system", "https://fhir.nhs.uk/Id/alternative-slot", "value", "USRN-"+id)), "schedule", fhir.Obj("reference", "Schedule/"+schedule),
			"status", "free", "start", instant(s.Start), "end", instant(s.End)), "search", fhir.Obj("mode", "match")))
		if seen[schedule] {
			continue
		}
		seen[schedule] = true
		actors := []any{fhir.Obj("identifier", fhir.Obj("system", stu3Service, "value", q.service))}
		if s.ClinicianID != "" {
			actors = append(actors, fhir.Obj("identifier", fhir.Obj("system", stu3User, "value", s.ClinicianID)))
		}
		schedules = append(schedules, fhir.Obj("fullUrl", x.base+"/STU3/Schedule/"+schedule, "resource", fhir.Obj("id", schedule, "meta", fhir.Obj("profile", fhir.Arr("https://fhir.hl7.org.uk/STU3/StructureDefinition/CareConnect-Schedule-1")),
			"resourceType", "Schedule", "identifier", fhir.Arr(fhir.Obj("system", "https://fhir.nhs.uk/Id/ers-schedule", "value", schedule)), "actor", fhir.Arr(actors...)), "search", fhir.Obj("mode", "include")))
	}
	return fhir.Obj("id", uuid.NewString(), "meta", fhir.Obj("lastUpdated", instant(now), "profile", fhir.Arr("http://hl7.org/fhir/STU3/StructureDefinition/Bundle")), "resourceType", "Bundle",
		"type", "searchset", "total", total, "link", x.slotLinks(asked, q, total), "entry", fhir.Arr(append(slots, schedules...)...))
}

// slotLinks are the addresses of this page and its neighbours.
func (x writer) slotLinks(asked *url.URL, q slotQuery, total int) fhir.Value {
	page := func(relation string, n int) fhir.Value {
		v, query := asked.Query(), ""
		v.Set("page", strconv.Itoa(n))
		for _, name := range slotParameters() {
			if v.Has(name) {
				query += "&" + url.QueryEscape(name) + "=" + url.QueryEscape(v.Get(name))
			}
		}
		return fhir.Obj("relation", relation, "url", x.base+"/STU3/Slot?"+query[1:])
	}
	list := []any{page("self", q.page)}
	if q.page > 1 {
		list = append(list, page("previous", q.page-1))
	}
	if q.page*q.count < total {
		list = append(list, page("next", q.page+1))
	}
	return fhir.Arr(list...)
}

// scheduleID names the slots of one clinician at one service.
func scheduleID(service, clinician string) string {
	if clinician == "" {
		return service
	}
	return service + "-" + clinician
}

var incoming = regexp.MustCompile(`^ReferralRequest/([0-9]{12})/_history/([0-9]{1,18})$`)

// bookRequest is what A016 asks for.
type bookRequest struct {
	ubrn      ident.UBRN
	version   int64
	service   string
	patient   string
	slot      string
	status    string // booked or proposed
	clinician string // whom the patient is to see, where that was chosen
	reason    string // of a deferral
	comment   string
}

// readBooking reads eRS-Appointment-1.
func readBooking(res *fhir.Resource) (q bookRequest, err error) {
	m := incoming.FindStringSubmatch(res.Get("incomingReferral.0.reference").String())
	if m == nil || res.Get("incomingReferral").Len() != 1 {
		return q, refuse(missingValue, "'incomingReferral[0]/reference' must name the referral and its version: ReferralRequest/000000070000/_history/6")
	}
	if q.ubrn, err = ident.ParseUBRN(m[1]); err != nil {
		return q, refuse(referenceNotFound, "There is no referral '%s'.", m[1])
	}
	if q.version, err = strconv.ParseInt(m[2], 10, 64); err != nil {
		return q, refuse(invalidValue, "'incomingReferral[0]/reference' has no version")
	}
	for p := range res.Get("participant").Items() {
		id := p.Get("actor.identifier")
		switch id.Field("system").String() {
		case stu3Service:
			q.service = id.Field("value").String()
		case stu3NHSNumber:
			q.patient = id.Field("value").String()
		case stu3User:
			q.clinician = id.Field("value").String()
		}
	}
	if q.service == "" || q.patient == "" {
		return q, refuse(missingValue, "'participant' must name the service and the patient")
	}
	q.status, q.comment = res.Get("status").String(), strings.TrimSpace(res.Get("comment").String())
	q.slot = strings.TrimPrefix(res.Get("slot.0.reference").String(), "Slot/")
	q.reason = res.Get("reason.0.coding.0.code").String()
	switch {
	case q.status != "booked" && q.status != "proposed":
		return q, refuse(invalidCode, "'status' is booked or proposed")
	case q.status == "booked" && q.slot == "":
		return q, refuse(missingValue, "'slot[0]/reference' is missing")
	case q.status == "proposed" && !slices.Contains([]string{"NO_SLOTS_AT_SERVICE", "SLOT_NOT_AVAILABLE", "BOOKING_ATTEMPT_PROBLEM", "TRIAGE"}, q.reason):
		return q, refuse(invalidCode, "'reason[0]/coding[0]/code' says why it is deferred: NO_SLOTS_AT_SERVICE, SLOT_NOT_AVAILABLE, BOOKING_ATTEMPT_PROBLEM or TRIAGE")
	}
	return q, nil
}

// book is A016: book a slot, or leave it to the provider.
func (c *call) book() error {
	res, err := read(c.r, "Appointment", "eRS-Appointment-1")
	if err != nil {
		return err
	}
	q, err := readBooking(res)
	if err != nil {
		return err
	}
	was, err := c.a.referrals.Get(c.r.Context(), c.who(), q.ubrn)
	if fault.Is(err, fault.NotFound) {
		return refuse(referenceNotFound, "There is no referral '%s'.", q.ubrn)
	}
	if err != nil {
		return err
	}
	if was.Patient.String() != q.patient {
		return refuse(inappropriateValue, "'participant' names a patient who is not the referral's")
	}
	if err := c.isOffered(q.service); err != nil {
		return err
	}
	w := referral.Work{As: c.c.Function.party(), Kind: referral.ActDefer, Seen: q.version, Service: q.service, Comment: q.comment, Reason: q.reason}
	switch {
	case q.status == "booked":
		w.Kind, w.Reason = referral.ActBook, ""
		if w.Clinician = q.clinician; was.State == referral.Booked {
			w.Kind = referral.ActMove
		}
		if w.Slot, err = readSlotID(q.slot); err != nil {
			return err
		}
	case q.reason == "TRIAGE":
		w.Kind = referral.ActSendTriage
	case q.slot != "":
		if w.Slot, err = readSlotID(q.slot); err != nil {
			return err
		}
	}
	r, err := c.does(q.ubrn, w)
	if err != nil {
		return err
	}
	c.w.Header().Set("Location", fmt.Sprintf("%s/STU3/Appointment/%s/_history/%d", c.a.k.BaseURL()+Base, appointmentID(r.UBRN), r.Arranged.Version))
	return c.sendAppointment(http.StatusCreated, r)
}

// isOffered refuses a service that is not there, or has closed since it was shortlisted.
func (c *call) isOffered(service string) error {
	list, err := c.a.dir.ServiceResources(c.r.Context(), service)
	switch {
	case err != nil:
		return err
	case len(list) == 0:
		return refuse(referenceNotFound, "There is no service '%s'.", shown(service))
	case list[0].Resource.Get("active").Exists() && !list[0].Resource.Get("active").Bool():
		return refuse(serviceUnavailable, "The service '%s' has closed.", shown(service))
	}
	return nil
}

// sendAppointment answers with a referral's appointment, at its version.
func (c *call) sendAppointment(status int, r referral.Referral) error {
	c.w.Header().Set("ETag", fmt.Sprintf(`W/"%d"`, r.Arranged.Version))
	return send(c.w, status, c.writer().appointment(r, appointmentID(r.UBRN)).JSON())
}

// arranged is the referral of the appointment that the address names. Error: fault.NotFound when it has none.
func (c *call) arranged() (r referral.Referral, err error) {
	u, err := readAppointmentID(c.r.PathValue("id"))
	if err != nil {
		return r, err
	}
	if r, err = c.a.referrals.Get(c.r.Context(), c.who(), u); err != nil {
		return r, err
	}
	if r.Arranged == nil {
		return r, fault.New(fault.NotFound, "There is no such appointment.")
	}
	return r, nil
}

// visit is A038: the appointment of a referral.
func (c *call) visit() error {
	r, err := c.arranged()
	if err != nil {
		return err
	}
	return c.sendAppointment(http.StatusOK, r)
}

// visitVersion is A038 of one version. As published, it must be the current one.
func (c *call) visitVersion() error {
	r, err := c.arranged()
	if err != nil {
		return err
	}
	if strconv.FormatInt(r.Arranged.Version, 10) != c.r.PathValue("version") {
		return fault.New(fault.NotFound, "This is not the current version of the appointment.")
	}
	return c.sendAppointment(http.StatusOK, r)
}
