package bars

import (
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/codes"
)

// process is $process-message: it does what a message asks, once, and answers with what came of it.
func (c *call) process() error {
	m, err := c.message()
	if err != nil {
		return err
	}
	r, was, again, err := c.once(m, c.do)
	if err != nil {
		return err
	}
	if again {
		return duplicate(was)
	}
	about := serviceRequest(r)
	if aboutWhat(m.event) == "Appointment" {
		if about, err = c.drawn(r); err != nil {
			return err
		}
	}
	return c.send(http.StatusOK, c.answer(m, about))
}

// do is what each event and reason asks.
func (c *call) do(m message) (referral.Referral, error) {
	status := m.focus.Field("status").String()
	switch {
	case m.event == bookingRequest && m.reason == reasonNew && (status == "booked" || status == "proposed" || status == "pending"):
		return c.bookNew(m)
	case m.event == bookingRequest && (m.reason == reasonDelete || m.reason == reasonUpdate && status == "cancelled"):
		return c.cancelVisit(m)
	case m.event == bookingRequest && m.reason == reasonUpdate && status == "booked":
		return c.moveVisit(m)
	case m.event == bookingResponse && m.reason != reasonDelete:
		return c.heardOfVisit(m, status)
	case m.event == requestRequest && m.reason == reasonNew && status == "active":
		return c.referNew(m)
	case m.event == requestRequest && (m.reason == reasonDelete || m.reason == reasonUpdate && status == "revoked"):
		return c.cancelRequest(m)
	case m.event == requestRequest && m.reason == reasonUpdate && status == "active":
		return c.changeRequest(m)
	case m.event == requestResponse && m.reason != reasonDelete:
		return c.heardOfRequest(m, status)
	}
	return referral.Referral{}, malformed("invariant", "The event %s for the reason %s with the status %q is no known workflow.", m.event, m.reason, shown(status))
}

// person is the patient of a message, whom the register knows, and whose birth date is not another's. Error: 404; 422 when the number is somebody else's.
func (c *call) person(m message) (n ident.NHSNumber, v record.Version, err error) {
	n, p, err := m.patient()
	if err != nil {
		return n, v, err
	}
	place, err := c.ask.Locate("Patient", n.String())
	if err != nil {
		return n, v, err
	}
	if !place.Exists {
		return n, v, nobody()
	}
	grants, err := c.ask.Grants(access.Act{Action: access.Read, Place: place})
	if err != nil {
		return n, v, err
	}
	if v, err = c.a.k.Records.Read(c.r.Context(), grants[0], record.Ref{Tenant: c.a.k.National, Type: "Patient", ID: n.String()}); err != nil {
		return n, v, err
	}
	if born := p.Field("birthDate").String(); born != "" && !strings.HasPrefix(v.Resource.Get("birthDate").String(), born) {
		return n, v, refuse(http.StatusUnprocessableEntity, receiver, "processing", "The NHS number is that of somebody with another birth date: trace the person first.")
	}
	return n, v, nil
}

// bookNew books a slot: for the referral that the appointment is based on, or for a new one.
func (c *call) bookNew(m message) (r referral.Referral, err error) {
	n, _, err := c.person(m)
	if err != nil {
		return r, err
	}
	refs := m.ids(m.focus.Get("slot.0.reference").String())
	if len(refs) == 0 {
		return r, malformed("required", "Appointment.slot names the slot to be booked.")
	}
	slot, err := c.free(refs)
	if err != nil {
		return r, err
	}
	if u, ours := m.ubrn(requestPrefix, m.focus.Get("basedOn.0.reference").String()); ours {
		return c.bookFor(m, u, n, slot)
	}
	return c.create(m, n, referral.ForAppointment, referral.Work{Kind: referral.ActBook, Slot: slot.SlotRef, Service: c.target.ID})
}

// bookFor books for a referral that was made before.
func (c *call) bookFor(m message, u ident.UBRN, n ident.NHSNumber, slot referral.Slot) (r referral.Referral, err error) {
	was, err := c.a.referrals.Get(c.r.Context(), c.who(), u)
	if err != nil {
		return r, err
	}
	if was.Patient != n {
		return r, refuse(http.StatusUnprocessableEntity, receiver, "processing", "The referral that the appointment is based on is another patient's.")
	}
	if was.Appointment != nil && was.Appointment.SlotRef == slot.SlotRef {
		return was, nil
	}
	return c.a.referrals.Act(c.r.Context(), c.who(), u, referral.Work{Kind: referral.ActBook, Slot: slot.SlotRef, Service: c.target.ID, Once: m.once})
}

// free is the free slot that goes by one of the ids. Error: 409 when there is none of them any more.
func (c *call) free(ids []string) (referral.Slot, error) {
	const most = 20_000
	list, err := c.a.referrals.FreeSlots(c.r.Context(), c.target.ID, time.Time{}, time.Time{}, "", most)
	if err != nil {
		return referral.Slot{}, err
	}
	for _, s := range list {
		if slices.Contains(ids, slotID(s.SlotRef)) {
			return s, nil
		}
	}
	return referral.Slot{}, refuse(http.StatusConflict, receiver, "conflict", "The slot is not free, or not of this service: look for slots again.")
}

// create makes the referral of a message, and does with it at once what the message asks.
func (c *call) create(m message, n ident.NHSNumber, request referral.Request, atOnce referral.Work) (referral.Referral, error) {
	p, ok := priorityOf(m.focus.Field("priority").String())
	if !ok || m.focus.Field("resourceType").String() == "Appointment" {
		p = referral.Routine
	}
	made, err := c.a.referrals.Create(c.r.Context(), c.who(), referral.Draft{Patient: n, Priority: p, Request: request, Services: []string{c.target.ID}, Letter: m.letter(), Form: c.form(m), AtOnce: atOnce, Once: m.once})
	return made.Referral, err
}

// referNew hands a patient over to a service: from then on it is theirs, and a booking may follow.
func (c *call) referNew(m message) (r referral.Referral, err error) {
	category := ""
	for x := range m.focus.Field("category").Items() {
		for k := range x.Field("coding").Items() {
			if k.Field("system").String() == requestKinds {
				category = k.Field("code").String()
			}
		}
	}
	if _, ok := priorityOf(m.focus.Field("priority").String()); !ok {
		return r, malformed("value", "ServiceRequest.priority is routine, urgent or asap; an emergency is telephoned.")
	}
	request := referral.ForAppointment
	switch category {
	case "referral":
	case "validation":
		request = referral.ForTriage
	default:
		return r, malformed("invariant", "ServiceRequest.category is referral or validation (%s).", requestKinds)
	}
	n, _, err := c.person(m)
	if err != nil {
		return r, err
	}
	if request == referral.ForTriage {
		return c.create(m, n, request, referral.Work{}) // it waits for triage as soon as it is made
	}
	return c.create(m, n, request, referral.Work{Kind: referral.ActDefer, Service: c.target.ID})
}

// known is the referral that a message changes. Error: 404; 422 when the patient in the message is another.
func (c *call) known(m message, prefix string, refs ...string) (r referral.Referral, err error) {
	u, ok := m.ubrn(prefix, append(refs, m.focusURL, aboutWhat(m.event)+"/"+m.focus.Field("id").String())...)
	if !ok {
		u, ok = m.ubrn(requestPrefix, m.focus.Get("basedOn.0.reference").String())
	}
	if !ok {
		return r, notHere()
	}
	if r, err = c.a.referrals.Get(c.r.Context(), c.who(), u); err != nil {
		return r, err
	}
	if response := m.event == bookingResponse || m.event == requestResponse; !response && !c.at(r) {
		return r, notHere()
	}
	if m.alone && !m.namesPatient() {
		return r, nil // a resource by itself, whose references name nothing here: its id says whose it is
	}
	n, _, err := m.patient()
	if err == nil && n != r.Patient {
		return r, refuse(http.StatusUnprocessableEntity, receiver, "processing", "The message is about another patient than what it changes.")
	}
	return r, err
}

// change does an act to the referral of a message, or two in one write, at the version that its sender saw.
func (c *call) change(m message, r referral.Referral, acts ...referral.Work) (referral.Referral, error) {
	first, second := acts[0], referral.Work{}
	if len(acts) > 1 {
		second = acts[1]
	}
	if first.Seen = m.seen(); first.Seen == 0 {
		first.Seen = r.Version
	}
	first.Once = m.once
	return c.a.referrals.ActBoth(c.r.Context(), c.who(), r.UBRN, first, second)
}

// provides reports whether the sender is whose referral it is.
func (c *call) provides(r referral.Referral) bool {
	return c.organisation == r.Provider() && c.organisation != r.Practice
}

// reasonOf is the reason that a concept gives, if it is one of the published codes and may be given without more words than there are; otherwise the given one.
func (c *call) reasonOf(concept fhir.Node, system, otherwise string) (reason, comment string) {
	comment = concept.Field("text").String()
	for k := range concept.Field("coding").Items() {
		if _, err := codes.Reason(system, k.Field("code").String(), comment, c.a.k.Clock.Now()); err == nil {
			return k.Field("code").String(), comment
		}
		if d := k.Field("display").String(); comment == "" {
			comment = d
		}
	}
	if comment == "" {
		comment = "By " + c.organisation.String() + ", without a reason."
	}
	return otherwise, comment
}

// cancelVisit cancels an appointment, as its referrer or its provider.
func (c *call) cancelVisit(m message) (referral.Referral, error) {
	r, err := c.known(m, visitPrefix)
	if err != nil {
		return r, err
	}
	w := referral.Work{Kind: referral.ActCancelBy}
	if r.State == referral.CancelledByPatient || r.State == referral.CancelledByProvider {
		return r, nil
	}
	otherwise := "PATIENT_APPOINTMENT_CANCELLATION_OTHER"
	if c.provides(r) {
		w.Kind, otherwise = referral.ActCancelFrom, "NOT_SPECIFIED"
	}
	w.Reason, w.Comment = c.reasonOf(m.focus.Field("cancelationReason"), codes.CancelledVisit, otherwise)
	return c.change(m, r, w)
}

// moveVisit moves an appointment to another slot, in one act.
func (c *call) moveVisit(m message) (referral.Referral, error) {
	r, err := c.known(m, visitPrefix)
	if err != nil {
		return r, err
	}
	refs := m.ids(m.focus.Get("slot.0.reference").String())
	if len(refs) == 0 {
		return r, malformed("required", "Appointment.slot names the slot to which the appointment moves.")
	}
	if r.Appointment != nil && slices.Contains(refs, slotID(r.Appointment.SlotRef)) {
		return r, nil // it is there
	}
	slot, err := c.free(refs)
	if err != nil {
		return r, err
	}
	w := referral.Work{Kind: referral.ActMove, Slot: slot.SlotRef, Service: c.target.ID}
	if r.Appointment == nil {
		w.Kind = referral.ActBook
	}
	return c.change(m, r, w)
}

// heardOfVisit takes what a provider says of an appointment.
func (c *call) heardOfVisit(m message, status string) (referral.Referral, error) {
	r, err := c.known(m, visitPrefix)
	if err != nil {
		return r, err
	}
	switch status {
	case "booked":
		return c.change(m, r, referral.Work{Kind: referral.ActAccept})
	case "cancelled":
		return c.cancelVisit(m)
	case "arrived", "checked-in", "fulfilled":
		return c.change(m, r, referral.Work{Kind: referral.ActAttended})
	case "noshow":
		reason, comment := c.reasonOf(m.focus.Field("cancelationReason"), codes.Missed, "NOT_SPECIFIED")
		return c.change(m, r, referral.Work{Kind: referral.ActNotAttended, Reason: reason, Comment: comment})
	}
	return r, malformed("invariant", "An Appointment with the status %q says nothing that is known here.", shown(status))
}

// cancelRequest cancels a referral.
func (c *call) cancelRequest(m message) (referral.Referral, error) {
	r, err := c.known(m, requestPrefix)
	if err != nil || r.State == referral.Cancelled {
		return r, err
	}
	reason, comment := c.reasonOf(m.focus.Get("statusReason"), codes.CancelledRequest, "REFERRER_CANCELLATION")
	return c.change(m, r, referral.Work{Kind: referral.ActCancel, Reason: reason, Comment: comment})
}

// changeRequest changes a referral's letter and priority.
func (c *call) changeRequest(m message) (referral.Referral, error) {
	r, err := c.known(m, requestPrefix)
	if err != nil {
		return r, err
	}
	p, ok := priorityOf(m.focus.Field("priority").String())
	if !ok {
		return r, malformed("value", "ServiceRequest.priority is routine, urgent or asap; an emergency is telephoned.")
	}
	var acts []referral.Work
	if text := m.letter(); text != "" {
		acts = append(acts, referral.Work{Kind: referral.ActLetter, Letter: text})
	}
	if m.focus.Field("priority").Exists() && p != r.Priority {
		acts = append(acts, referral.Work{Kind: referral.ActPriority, Priority: p})
	}
	if len(acts) == 0 {
		return r, nil
	}
	return c.change(m, r, acts...)
}

// heardOfRequest takes what a provider decided of a referral.
func (c *call) heardOfRequest(m message, status string) (referral.Referral, error) {
	r, err := c.known(m, requestPrefix)
	if err != nil {
		return r, err
	}
	finished := false
	for e := range m.bundle.Get("entry").Items() {
		x := e.Field("resource")
		finished = finished || x.Field("resourceType").String() == "Encounter" && x.Field("status").String() == "finished"
	}
	triage := r.State == referral.AwaitingTriage || r.State == referral.TriagedToAct
	switch {
	case status == "revoked":
		reason, comment := c.reasonOf(m.focus.Field("statusReason"), codes.CancelledVisit, "OTHER")
		return c.change(m, r, referral.Work{Kind: referral.ActReject, Reason: reason, Comment: comment})
	case triage && (status == "completed" || finished):
		return c.change(m, r, referral.Work{Kind: referral.ActTriageReturn, Comment: limited(m.letter())})
	case status == "completed":
		return c.change(m, r, referral.Work{Kind: referral.ActDischarged})
	case status == "active" && r.State == referral.AwaitingTriage:
		return c.change(m, r, referral.Work{Kind: referral.ActTriageAccept})
	case status == "active":
		return c.change(m, r, referral.Work{Kind: referral.ActAccept})
	}
	return r, malformed("invariant", "A ServiceRequest with the status %q says nothing that is known here.", shown(status))
}

// limited is a text that fits a comment.
func limited(text string) string {
	const most = 1900
	runes := []rune(text)
	if len(runes) > most {
		return string(runes[:most]) + "…"
	}
	return text
}

// answer is the response to a message: what was asked for as it is now, under the sender's own address for it, with the rest as it was sent.
func (c *call) answer(m message, about fhir.Value) fhir.Value {
	now := instant(c.a.k.Clock.Now())
	h := m.header
	source := fhir.Obj("name", c.target.ProviderName, "software", "OpenSpine", "endpoint", c.a.base())
	destination := fhir.Arr(fhir.Obj("endpoint", h.Get("source.endpoint"), "receiver", h.Field("sender")))
	header := fhir.Obj("resourceType", "MessageHeader", "id", uuid.NewString(), "meta", fhir.Obj("lastUpdated", now, "profile", fhir.Arr(ukCore+"MessageHeader")),
		"extension", h.Field("extension"), "eventCoding", h.Field("eventCoding"), "destination", destination, "sender", h.Get("destination.0.receiver"), "source", source, "reason", h.Field("reason"),
		"response", fhir.Obj("identifier", m.id, "code", "ok"), "focus", fhir.Arr(fhir.Obj("reference", m.focusURL, "type", aboutWhat(m.event))))
	var entries []any
	for e := range m.bundle.Get("entry").Items() {
		r := e.Field("resource").Value()
		switch {
		case len(entries) == 0:
			r = header
		case e.Field("resource").Same(m.focus):
			r = about
		}
		entries = append(entries, fhir.Obj("fullUrl", e.Field("fullUrl"), "resource", r))
	}
	return fhir.Obj("resourceType", "Bundle", "id", uuid.NewString(), "meta", fhir.Obj("lastUpdated", now, "profile", fhir.Arr(ukCore+"Bundle")), "type", "message", "timestamp", now, "entry", fhir.Arr(entries...))
}
