package bars_test

import (
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"
)

// TestABookingIsMadeMovedAndCancelled is the life of a booking, as a practice's program makes it.
func TestABookingIsMadeMovedAndCancelled(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gives(clinic, day(0, 0), day(0, 20), day(1, 0))
	p := w.program(practice)

	found := p.get(slotQuery())
	slots := found.found("Slot")
	if len(slots) != 3 || len(found.found("Schedule")) != 1 || len(found.found("HealthcareService")) != 1 || len(found.found("Practitioner")) != 1 || len(found.found("PractitionerRole")) != 1 || len(found.found("Location")) != 1 {
		t.Fatalf("slots: %s", found.body)
	}
	first, second := slots[0].Field("id").String(), slots[1].Field("id").String()

	id := uuid.NewString()
	body := msgOf(id, "booking-request", "new", visit("booked", "urn:uuid:"+first), thePatient)
	booked := p.post(body)
	if booked.status != http.StatusOK || len(booked.found("Appointment")) != 1 {
		t.Fatalf("booking: %d %s", booked.status, booked.body)
	}
	visitID := booked.found("Appointment")[0].Field("id").String()
	if again := p.post(body); again.status != http.StatusConflict || again.code() != "REC_CONFLICT duplicate" || !strings.Contains(again.body, "Appointment/"+visitID) {
		t.Errorf("the same message again: %d %s", again.status, again.body)
	}
	if other := p.post(msgOf(id, "booking-request", "new", visit("booked", "urn:uuid:"+second), thePatient)); other.status != http.StatusConflict || other.code() != "REC_CONFLICT conflict" {
		t.Errorf("another message of the same id: %d %s", other.status, other.body)
	}
	if taken := p.post(msg("booking-request", "new", visit("booked", "urn:uuid:"+first), thePatient)); taken.status != http.StatusConflict || taken.code() != "REC_CONFLICT conflict" {
		t.Errorf("a slot that is taken: %d %s", taken.status, taken.body)
	}
	read := p.get("/Appointment/" + visitID)
	if read.status != http.StatusOK || read.json["status"] != "booked" || !strings.Contains(read.body, first) {
		t.Fatalf("reading it: %d %s", read.status, read.body)
	}
	version := read.res.Get("meta.versionId").String()

	moved := p.post(msg("booking-request", "update", visit("booked", "urn:uuid:"+second, `"id":"`+visitID+`"`, `"meta":{"versionId":"`+version+`"}`), thePatient))
	if moved.status != http.StatusOK || !strings.Contains(moved.found("Appointment")[0].String()+string(moved.found("Appointment")[0].Raw()), second) {
		t.Fatalf("moving it: %d %s", moved.status, moved.body)
	}
	if stale := p.post(msg("booking-request", "update", visit("cancelled", "", `"id":"`+visitID+`"`, `"meta":{"versionId":"`+version+`"}`), thePatient)); stale.status != http.StatusConflict || stale.code() != "REC_CONFLICT conflict" {
		t.Errorf("cancelling what has changed since: %d %s", stale.status, stale.body)
	}
	cancelled := p.post(msg("booking-request", "update", visit("cancelled", "", `"id":"`+visitID+`"`), thePatient))
	if cancelled.status != http.StatusOK || cancelled.found("Appointment")[0].Field("status").String() != "cancelled" {
		t.Fatalf("cancelling it: %d %s", cancelled.status, cancelled.body)
	}
	list := p.get("/Appointment?patient:identifier=https://fhir.nhs.uk/Id/nhs-number|" + patient)
	if list.status != http.StatusOK || list.json["total"] != 1.0 || list.found("Appointment")[0].Field("status").String() != "cancelled" {
		t.Errorf("the patient's bookings: %d %s", list.status, list.body)
	}
	if free := p.get(slotQuery()); free.json["total"] != 3.0 {
		t.Errorf("after the cancellation %v slots are free", free.json["total"])
	}
}

// TestAReferralIsHandedOverBookedAndDecided goes from a referral to the clinic's answer.
func TestAReferralIsHandedOverBookedAndDecided(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gives(clinic, day(0, 0), day(0, 20))
	p, h := w.program(practice), w.program(hospital)
	body := msg("servicerequest-request", "new", request("active", "referral", `"priority":"urgent"`), thePatient)
	made := p.post(body)
	if made.status != http.StatusOK || len(made.found("ServiceRequest")) != 1 {
		t.Fatalf("referring: %d %s", made.status, made.body)
	}
	id := made.found("ServiceRequest")[0].Field("id").String()
	if again := p.post(body); again.code() != "REC_CONFLICT duplicate" {
		t.Errorf("again: %s", again.body)
	}
	if seen := h.get("/ServiceRequest/" + id); seen.status != http.StatusOK || seen.json["status"] != "active" || seen.json["priority"] != "urgent" {
		t.Fatalf("the hospital reads it: %d %s", seen.status, seen.body)
	}
	slot := p.get(slotQuery()).found("Slot")[0].Field("id").String()
	booked := p.post(msg("booking-request", "new", visit("booked", "Slot/"+slot, `"basedOn":[{"reference":"ServiceRequest/`+id+`"}]`), thePatient))
	if booked.status != http.StatusOK || !strings.Contains(booked.body, `"ServiceRequest/`+id+`"`) {
		t.Fatalf("booking for it: %d %s", booked.status, booked.body)
	}
	visitID := booked.found("Appointment")[0].Field("id").String()
	if by := p.get("/ServiceRequest?ServiceRequest.identifier=" + made.found("ServiceRequest")[0].Get("identifier.0.value").String()); by.json["total"] != 1.0 {
		t.Errorf("by its UBRN: %s", by.body)
	}
	if early := h.post(msg("booking-response", "update", visit("noshow", "", `"id":"`+visitID+`"`), thePatient)); early.status != http.StatusConflict {
		t.Errorf("missed before it began: %d %s", early.status, early.body)
	}
	w.time.Advance(day(0, 60).Sub(w.time.Now()))
	p, h = w.program(practice), w.program(hospital)
	missed := h.post(msg("booking-response", "update", visit("noshow", "", `"id":"`+visitID+`"`), thePatient))
	if missed.status != http.StatusOK || missed.found("Appointment")[0].Field("status").String() != "noshow" {
		t.Fatalf("missed: %d %s", missed.status, missed.body)
	}
	gone := p.post(msg("servicerequest-request", "update", request("revoked", "referral", `"id":"`+id+`"`), thePatient))
	if gone.status != http.StatusOK || gone.found("ServiceRequest")[0].Field("status").String() != "revoked" {
		t.Fatalf("cancelling the referral: %d %s", gone.status, gone.body)
	}
}

// TestAValidationIsTriagedAndAnswered: what is sent for validation waits for triage, and the answer brings it back.
func TestAValidationIsTriagedAndAnswered(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p, h := w.program(practice), w.program(hospital)
	made := p.post(msg("servicerequest-request", "new", request("active", "validation"), thePatient))
	if made.status != http.StatusOK {
		t.Fatalf("%d %s", made.status, made.body)
	}
	id := made.found("ServiceRequest")[0].Field("id").String()
	answered := h.post(msg("servicerequest-response", "new", request("active", "validation", `"id":"`+id+`"`), thePatient,
		`{"resourceType":"Encounter","status":"finished","class":{"code":"EMER"}}`, `{"resourceType":"CarePlan","status":"active","intent":"plan","subject":{"reference":"Patient/x"},"activity":[{"outcomeCodeableConcept":[{"text":"Pharmacist instead"}]}]}`))
	if answered.status != http.StatusOK || answered.found("ServiceRequest")[0].Field("status").String() != "active" {
		t.Fatalf("%d %s", answered.status, answered.body)
	}
	if twice := h.post(msg("servicerequest-response", "new", request("completed", "validation", `"id":"`+id+`"`), thePatient)); twice.status != http.StatusForbidden && twice.status != http.StatusOK {
		t.Errorf("answered twice: %d %s", twice.status, twice.body)
	}
}

// TestWhomAServiceTakesIsLookedAtAgain: a service that takes one sex only since they were referred to it refuses the other, in words.
func TestWhomAServiceTakesIsLookedAtAgain(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.gives(clinic, day(0, 0))
	p := w.program(practice)
	made := p.post(msg("servicerequest-request", "new", request("active", "referral"), thePatient))
	slot := p.get(slotQuery()).found("Slot")[0].Field("id").String()
	w.load(`{"resourceType":"HealthcareService","id":"` + clinic + `","active":true,"identifier":[{"system":"https://fhir.nhs.uk/Id/dos-service-id","value":"111111111"}],"providedBy":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}},"name":"Cardiology","eligibility":[{"code":{"coding":[{"system":"http://hl7.org/fhir/administrative-gender","code":"male"}]}}]}`)
	a := p.post(msg("booking-request", "new", visit("booked", "Slot/"+slot, `"basedOn":[{"reference":"ServiceRequest/`+made.found("ServiceRequest")[0].Field("id").String()+`"}]`), thePatient))
	if a.status != http.StatusUnprocessableEntity || a.code() != "REC_UNPROCESSABLE_ENTITY processing" || !strings.Contains(a.body, "male patients only") {
		t.Errorf("%d %s %s", a.status, a.code(), a.body)
	}
}
