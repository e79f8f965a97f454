package bars

import (
	"bytes"
	"context"
	"encoding/base64"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/network/outward"
	"github.com/openspine/openspine/referral"
)

// Client asks hospitals' systems that keep their slots to themselves, by BaRS: for their free slots, and to book, move and cancel. It is referral.Elsewhere.
//
// A question goes as one message, and its repetition as the same message: the Bundle has the question's id. What is answered with 200 and the appointment is done; with 409 and
// duplicate, it was done before; with 400, 404, 409 and 422 it is refused. Anything else, and no answer, leaves it open. A refusal of a question that was asked before is
// believed only when the system, asked for the patient's bookings, shows none at that time: it may be its own earlier yes that stands in the way.
type Client struct {
	k      catalogue.Kernel
	places *directory.Directory
	client *http.Client
}

// NewClient is the client over a kernel and the directory.
func NewClient(k catalogue.Kernel, d *directory.Directory) *Client {
	out := k.Outward
	out.Within = proxyWithin
	return &Client{k: k, places: d, client: outward.Client(out)}
}

// Services are those with an Endpoint of their own elsewhere.
func (c *Client) Services(ctx context.Context) (list []string, err error) {
	at, err := c.places.Elsewhere(ctx)
	for id, address := range at {
		if address != "" && address != c.k.BaseURL()+Base {
			list = append(list, id)
		}
	}
	return list, err
}

// said is an answer.
type said struct {
	status int
	res    *fhir.Resource // nil when it is no FHIR
}

func (s said) issue() string { return s.get("issue.0.code").String() }

func (s said) get(path string) fhir.Node {
	if s.res == nil {
		return fhir.Node{}
	}
	return s.res.Get(path)
}

// all are the resources of a type in an answer.
func (s said) all(typ string) (list []fhir.Node) {
	for e := range s.get("entry").Items() {
		if r := e.Field("resource"); r.Field("resourceType").String() == typ {
			list = append(list, r)
		}
	}
	return list
}

// call sends a request to a service's system. Error: fault.Unavailable when no answer came.
func (c *Client) call(ctx context.Context, service, method, path, correlation string, organisation ident.ODSCode, body []byte) (s said, err error) {
	t, err := c.places.Target(ctx, service)
	if err != nil {
		return s, err
	}
	r, err := http.NewRequestWithContext(ctx, method, t.Address+path, bytes.NewReader(body))
	if err != nil {
		return s, fault.Wrap(err, fault.Unavailable, "The hospital's address in the directory cannot be called.")
	}
	in64 := func(v fhir.Value) string { return base64.StdEncoding.EncodeToString(v.JSON()) }
	for name, value := range map[string]string{
		"Accept": "application/fhir+json; version=" + edition, "X-Request-Id": uuid.NewString(), "X-Correlation-Id": correlation, "User-Agent": "OpenSpine",
		"NHSD-Target-Identifier":     in64(fhir.Obj("system", serviceSystem, "value", service)),
		"NHSD-End-User-Organisation": in64(fhir.Obj("resourceType", "Organization", "identifier", fhir.Arr(fhir.Obj("system", ident.SystemODSCode, "value", organisation.String())), "name", c.k.Organisation(ctx, organisation))),
		"NHSD-Requesting-Software":   in64(fhir.Obj("resourceType", "Device", "identifier", fhir.Arr(fhir.Obj("system", c.k.BaseURL(), "value", "openspine")), "deviceName", fhir.Obj("name", "OpenSpine", "type", "manufacturer-name"))),
	} {
		r.Header.Set(name, value)
	}
	if body != nil {
		r.Header.Set("Content-Type", "application/fhir+json; version="+edition)
		r.Header.Set("use-context", "booking|"+bookingRequest)
	}
	resp, err := c.client.Do(r)
	if err != nil {
		return s, fault.Wrap(err, fault.Unavailable, "The hospital's own system is not reached.")
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(io.LimitReader(resp.Body, mostAnswer))
	if err != nil {
		return s, fault.Wrap(err, fault.Unavailable, "The hospital's own system broke off in its answer.")
	}
	s.status = resp.StatusCode
	if s.res, err = fhir.Parse(text); err != nil {
		s.res = nil // its status says what there is to say
	}
	return s, nil
}

// Free asks for the free slots of a service.
func (c *Client) Free(ctx context.Context, service string, from, to time.Time) ([]referral.Slot, error) {
	t, err := c.places.Target(ctx, service)
	if err != nil {
		return nil, err
	}
	q := url.Values{"status": {"free"}, "start": {"ge" + instant(from), "le" + instant(to)}, "Schedule.actor:HealthcareService": {service},
		"_include": {"Slot:schedule", "Schedule:actor:HealthcareService", "Schedule:actor:Practitioner"}}
	s, err := c.call(ctx, service, http.MethodGet, "/Slot?"+q.Encode(), uuid.NewString(), c.k.National, nil)
	if err != nil {
		return nil, err
	}
	if s.status != http.StatusOK || s.get("resourceType").String() != "Bundle" {
		return nil, fault.New(fault.Unavailable, "The hospital's own system does not say what is free (%d).", s.status)
	}
	return slotsIn(s.res, t.Provider), nil
}

// slotsIn are the free slots in a searchset, the earliest first as far as the system gives them so. What has no times, or an id that is too long, is left out.
func slotsIn(b *fhir.Resource, provider ident.ODSCode) (list []referral.Slot) {
	for e := range b.Get("entry").Items() {
		r := e.Field("resource")
		start, err := time.Parse(time.RFC3339, r.Field("start").String())
		end, wrong := time.Parse(time.RFC3339, r.Field("end").String())
		id := e.Field("fullUrl").String()
		if at := strings.LastIndexAny(id, "/:"); at >= 0 {
			id = id[at+1:]
		}
		if id == "" {
			id = r.Field("id").String()
		}
		if r.Field("resourceType").String() != "Slot" || r.Field("status").String() != "free" || err != nil || wrong != nil || !end.After(start) || id == "" || len(id) > 64 {
			continue
		}
		list = append(list, referral.Slot{SlotRef: referral.SlotRef{Provider: provider, Slot: id}, Start: start.UTC(), End: end.UTC(), Clinician: clinicianOf(b, r)})
	}
	return list
}

// clinicianOf is the name of who sees patients in a slot; empty when it is not said.
func clinicianOf(b *fhir.Resource, slot fhir.Node) string {
	schedule := catalogue.InBundle(b, slot.Get("schedule.reference").String())
	for a := range schedule.Field("actor").Items() {
		p := catalogue.InBundle(b, a.Field("reference").String())
		if p.Field("resourceType").String() != "Practitioner" {
			continue
		}
		if text := p.Get("name.0.text").String(); text != "" {
			return text
		}
		return strings.Join(strings.Fields(p.Get("name.0.prefix.0").String()+" "+p.Get("name.0.given.0").String()+" "+p.Get("name.0.family").String()), " ")
	}
	return ""
}

// Ask puts a question.
func (c *Client) Ask(ctx context.Context, q referral.Question) (referral.Reply, error) {
	s, err := c.call(ctx, q.Service, http.MethodPost, "/$process-message", q.Message, q.Referral.Practice, c.write(q).JSON())
	if err != nil {
		return referral.Reply{}, err
	}
	want := "booked"
	if q.Appointment == nil {
		want = "cancelled"
	}
	switch {
	case s.status < 300:
		for _, a := range s.all("Appointment") {
			if a.Field("status").String() == want {
				return referral.Reply{Yes: true, Remote: a.Field("id").String()}, nil
			}
		}
		return c.look(ctx, q, referral.Reply{Why: "its answer holds no appointment that is " + want + "."}, false)
	case s.status == http.StatusConflict && s.issue() == "duplicate":
		return c.look(ctx, q, referral.Reply{}, false)
	case s.status == http.StatusBadRequest, s.status == http.StatusNotFound, s.status == http.StatusConflict, s.status == http.StatusUnprocessableEntity:
		no := referral.Reply{Why: s.get("issue.0.diagnostics").String(), Failed: s.status != http.StatusConflict}
		if !q.Again {
			return no, nil
		}
		return c.look(ctx, q, no, true)
	}
	return referral.Reply{}, fault.New(fault.Unavailable, "The hospital's own system answers %d.", s.status)
}

// look asks for the patient's bookings at the service, and finds in them what became of a question. Where nothing of it is found, the answer is no if that is sure, and
// otherwise not known.
func (c *Client) look(ctx context.Context, q referral.Question, no referral.Reply, sure bool) (referral.Reply, error) {
	s, err := c.call(ctx, q.Service, http.MethodGet, "/Appointment?"+url.Values{"patient:identifier": {ident.SystemNHSNumber + "|" + q.Referral.Patient.String()}}.Encode(), q.Message, q.Referral.Practice, nil)
	if err != nil {
		return no, err
	}
	if s.status != http.StatusOK || s.get("resourceType").String() != "Bundle" {
		return no, fault.New(fault.Unavailable, "The hospital's own system does not show what became of it (%d).", s.status)
	}
	for _, a := range s.all("Appointment") {
		status, id := a.Field("status").String(), a.Field("id").String()
		if q.Appointment == nil {
			if q.Referral.Appointment != nil && id == q.Referral.Appointment.Remote {
				return referral.Reply{Yes: status == "cancelled", Remote: id, Why: no.Why}, nil
			}
			continue
		}
		start, err := time.Parse(time.RFC3339, a.Field("start").String())
		slot := a.Get("slot.0.reference").String()
		if status == "booked" && (err == nil && start.Equal(q.Appointment.Start) || strings.HasSuffix(slot, q.Appointment.Slot)) {
			return referral.Reply{Yes: true, Remote: id}, nil
		}
	}
	if sure {
		return no, nil
	}
	return no, fault.New(fault.Unavailable, "The hospital's own system took the question, and does not show yet what became of it.")
}

// write is a question as a BaRS message. It is the same each time it is asked.
func (c *Client) write(q referral.Question) fhir.Value {
	urn := func(word string) string { return "urn:uuid:" + madeID(q.Message, word) }
	reason, status, about := reasonNew, "booked", q.Appointment
	if q.Kind != referral.ActBook {
		reason = reasonUpdate
	}
	if about == nil {
		status, about = "cancelled", q.Referral.Appointment
	}
	chosen, ok := q.Referral.ChoiceOf(q.Service)
	if !ok {
		chosen = q.Referral.Chosen
	}
	request := q.Referral // as it was when it was asked: what changes meanwhile is no part of the question
	request.Version, request.Changed = 0, q.Since
	remote, slot := "", fhir.Value{}
	if q.Referral.Appointment != nil {
		remote = q.Referral.Appointment.Remote
	}
	if about != nil && q.Appointment != nil {
		slot = fhir.Arr(fhir.Obj("reference", "urn:uuid:"+about.Slot))
		if uuid.Validate(about.Slot) != nil {
			slot = fhir.Arr(fhir.Obj("reference", "Slot/"+about.Slot))
		}
	}
	why := fhir.Value{}
	if q.Reason != "" {
		why = fhir.Obj("coding", fhir.Arr(fhir.Obj("code", q.Reason)), "text", q.Comment)
	}
	var start, end time.Time
	if about != nil {
		start, end = about.Start, about.End
	}
	header := fhir.Obj("resourceType", "MessageHeader", "id", madeID(q.Message, "header"), "meta", profiled(barsProfile+"MessageHeader-"+bookingRequest), "eventCoding", fhir.Obj("system", messageEvents, "code", bookingRequest),
		"destination", fhir.Arr(fhir.Obj("endpoint", serviceSystem+"|"+q.Service, "receiver", fhir.Obj("reference", urn("receiver")))), "sender", fhir.Obj("reference", urn("sender")),
		"source", fhir.Obj("name", q.Referral.PracticeName, "software", "OpenSpine", "endpoint", c.k.BaseURL()+Base), "reason", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", messageReasons, "code", reason))),
		"focus", fhir.Arr(fhir.Obj("reference", urn("appointment"))), "definition", "https://fhir.nhs.uk/MessageDefinition/bars-message-booking-request")
	visit := fhir.Obj("resourceType", "Appointment", "id", remote, "meta", profiled(ukCore+"Appointment"), "status", status, "cancelationReason", why, "description", chosen.Name, "start", instant(start), "end", instant(end),
		"slot", slot, "created", instant(q.Since), "basedOn", fhir.Arr(fhir.Obj("reference", urn("request"))),
		"participant", fhir.Arr(fhir.Obj("actor", fhir.Obj("reference", urn("patient")), "status", "accepted")))
	p := q.Person
	return fhir.Obj("resourceType", "Bundle", "id", q.Message, "meta", profiled(barsProfile+"BundleMessage"), "type", "message", "timestamp", instant(q.Since), "entry", fhir.Arr(
		fhir.Obj("fullUrl", urn("header"), "resource", header), fhir.Obj("fullUrl", urn("appointment"), "resource", visit),
		fhir.Obj("fullUrl", urn("patient"), "resource", fhir.Obj("resourceType", "Patient", "meta", profiled(ukCore+"Patient"), "identifier", fhir.Arr(fhir.Obj("system", ident.SystemNHSNumber, "value", q.Referral.Patient.String())),
			"name", fhir.Arr(fhir.Obj("use", "official", "family", p.Family, "given", strings.Fields(p.Given), "prefix", strings.Fields(p.Prefix))), "gender", p.Gender, "birthDate", p.Born)),
		fhir.Obj("fullUrl", urn("request"), "resource", serviceRequest(request)),
		fhir.Obj("fullUrl", urn("receiver"), "resource", organisation(chosen.Provider, chosen.ProviderName)),
		fhir.Obj("fullUrl", urn("sender"), "resource", organisation(q.Referral.Practice, q.Referral.PracticeName))))
}

func organisation(code ident.ODSCode, name string) fhir.Value {
	id := fhir.Value{}
	if !code.IsZero() {
		id = fhir.Arr(fhir.Obj("system", ident.SystemODSCode, "value", code.String()))
	}
	if name == "" {
		name = code.String()
	}
	return fhir.Obj("resourceType", "Organization", "meta", profiled(ukCore+"Organization"), "identifier", id, "name", name)
}
