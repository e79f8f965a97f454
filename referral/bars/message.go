package bars

import (
	"crypto/sha256"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/referral"
)

// The events of BaRS, and why a message is sent.
const (
	bookingRequest  = "booking-request"
	bookingResponse = "booking-response"
	requestRequest  = "servicerequest-request"
	requestResponse = "servicerequest-response"

	reasonNew    = "new"
	reasonUpdate = "update"
	reasonDelete = "delete"
)

// message is a BaRS message: a Bundle whose header says what it is and in whose name, and what it is about.
type message struct {
	id            string // of the Bundle: by it a message that comes twice is known
	event, reason string
	header        fhir.Node
	focus         fhir.Node // the Appointment or ServiceRequest
	focusURL      string    // its fullUrl
	bundle        *fhir.Resource
	digest        []byte
	alone         bool           // one resource that was put here without a message
	once          *referral.Once // by which it is done once
}

// alonePrefix begins the id of what came without a message.
const alonePrefix = "request/"

// named is the id that the sender gave it.
func (m *message) named() string { return strings.TrimPrefix(m.id, alonePrefix) }

// aboutWhat are the types of resource that an event is about.
func aboutWhat(event string) string {
	if event == bookingRequest || event == bookingResponse {
		return "Appointment"
	}
	return "ServiceRequest"
}

// malformed is a message that cannot be understood, of a FHIR issue type.
func malformed(issue, format string, args ...any) error {
	return refuse(http.StatusBadRequest, receiver, issue, format, args...)
}

// message reads what was posted.
func (c *call) message() (m message, err error) {
	res, err := fhirapi.Sent(c.a.k, c.r)
	if err != nil {
		return m, err
	}
	return readMessage(res)
}

// mostEntries is how many entries a message has at most: published ones have a few dozen.
const mostEntries = 1000

// readMessage holds a Bundle to what every message must say.
func readMessage(res *fhir.Resource) (m message, err error) {
	m.bundle, m.id = res, strings.ToLower(res.ID())
	m.header = res.Get("entry.0.resource")
	switch {
	case res.Type() != "Bundle" || res.Get("type").String() != "message":
		return m, malformed("invalid", "What is sent here is a Bundle of the type message.")
	case res.Get("entry").Len() > mostEntries:
		return m, refuse(http.StatusUnprocessableEntity, receiver, "too-costly", "A message has at most %d entries.", mostEntries)
	case uuid.Validate(m.id) != nil || len(m.id) != 36:
		return m, malformed("required", "The Bundle has an id, which is a UUID: by it a message that is sent twice is known.")
	case m.header.Field("resourceType").String() != "MessageHeader":
		return m, malformed("required", "The first entry of a message is its MessageHeader.")
	case m.header.Get("eventCoding.system").String() != messageEvents:
		return m, malformed("value", "MessageHeader.eventCoding is of the system %s.", messageEvents)
	}
	m.event = m.header.Get("eventCoding.code").String()
	if !slices.Contains([]string{bookingRequest, bookingResponse, requestRequest, requestResponse}, m.event) {
		return m, malformed("not-supported", "The event %q is not taken here.", shown(m.event))
	}
	for i := range m.header.Get("reason.coding").Items() {
		if i.Field("system").String() == messageReasons {
			m.reason = i.Field("code").String()
		}
	}
	if m.reason != reasonNew && m.reason != reasonUpdate && m.reason != reasonDelete {
		return m, malformed("value", "MessageHeader.reason is new, update or delete, of the system %s.", messageReasons)
	}
	if err := m.find(); err != nil {
		return m, err
	}
	sum := sha256.Sum256(res.JSON())
	m.digest = sum[:]
	return m, nil
}

// find finds what the message is about. The header's focus is it, or, in a response, an Encounter about it.
func (m *message) find() error {
	if m.header.Get("focus").Len() == 0 {
		return malformed("required", "MessageHeader.focus names what the message is about.")
	}
	typ := aboutWhat(m.event)
	ref := m.header.Get("focus.0.reference").String()
	about := catalogue.InBundle(m.bundle, ref)
	if !about.Exists() {
		return malformed("not-found", "What MessageHeader.focus names is not in the Bundle.")
	}
	for e := range m.bundle.Get("entry").Items() {
		r := e.Field("resource")
		if r.Field("resourceType").String() == typ && (!m.focus.Exists() || e.Field("fullUrl").String() == ref) {
			m.focus, m.focusURL = r, e.Field("fullUrl").String()
		}
	}
	if !m.focus.Exists() || about.Field("resourceType").String() != typ && m.event != requestResponse {
		return malformed("invariant", "A message of the event %s is about %s.", m.event, typ)
	}
	return nil
}

// resource is what a reference in the message names.
func (m *message) resource(ref string) fhir.Node { return catalogue.InBundle(m.bundle, ref) }

// ids are what a resource of ours may be known by in the message: the reference's own last part, and the id of what it names.
func (m *message) ids(ref string) (list []string) {
	if ref == "" {
		return nil
	}
	if id := m.resource(ref).Field("id").String(); id != "" {
		list = append(list, strings.ToLower(id))
	}
	at := strings.LastIndexAny(ref, "/:")
	return append(list, strings.ToLower(ref[at+1:]))
}

// ubrn is the referral that the focus, or another reference, is about: by the id that this API gave it or by its UBRN.
func (m *message) ubrn(prefix string, refs ...string) (u ident.UBRN, ok bool) {
	for _, ref := range refs {
		for _, id := range m.ids(ref) {
			if u, ok := ubrnIn(id, prefix); ok {
				return u, true
			}
		}
		for i := range m.resource(ref).Field("identifier").Items() {
			if u, err := ident.ParseUBRN(i.Field("value").String()); err == nil && i.Field("system").String() == ident.SystemUBRN {
				return u, true
			}
		}
	}
	return u, false
}

// seen is the version that the sender read; 0 when it does not say.
func (m *message) seen() int64 {
	n, err := strconv.ParseInt(m.focus.Get("meta.versionId").String(), 10, 64)
	if err != nil || n < 0 {
		return 0
	}
	return n
}

// patient is the NHS number of whom the message is about, and the Patient if it is in the Bundle.
func (m *message) patient() (n ident.NHSNumber, p fhir.Node, err error) {
	refs := []fhir.Node{m.focus.Field("subject")}
	for x := range m.focus.Field("participant").Items() {
		refs = append(refs, x.Field("actor"))
	}
	for _, ref := range refs {
		p = m.resource(ref.Field("reference").String())
		for i := range p.Field("identifier").Items() {
			if p.Field("resourceType").String() == "Patient" && strings.EqualFold(i.Field("system").String(), ident.SystemNHSNumber) {
				return parsePatient(i.Field("value").String(), p)
			}
		}
		if i := ref.Field("identifier"); strings.EqualFold(i.Field("system").String(), ident.SystemNHSNumber) {
			return parsePatient(i.Field("value").String(), fhir.Node{})
		}
	}
	return n, p, malformed("required", "The message names its patient by their NHS number (%s).", ident.SystemNHSNumber)
}

// namesPatient reports whether a resource by itself names its patient by an identifier.
func (m *message) namesPatient() bool {
	for x := range m.focus.Field("participant").Items() {
		if x.Get("actor.identifier.value").Exists() {
			return true
		}
	}
	return m.focus.Get("subject.identifier.value").Exists()
}

func parsePatient(text string, p fhir.Node) (ident.NHSNumber, fhir.Node, error) {
	n, err := ident.ParseNHSNumber(text)
	if err != nil {
		return n, p, malformed("value", "The patient's NHS number is none: its check digit does not fit, or it has not ten digits.")
	}
	return n, p, nil
}

// form names the message, among those of its sender.
func (c *call) form(m message) string { return "bars/" + c.organisation.String() + "/" + m.id }

// letter is what the message says of why, in words, for whoever reads the referral.
func (m *message) letter() string {
	var lines []string
	add := func(title string, words ...string) {
		for _, w := range words {
			if w = strings.TrimSpace(w); w != "" {
				lines = append(lines, title+w)
			}
		}
	}
	concept := func(n fhir.Node) string {
		if t := n.Field("text").String(); t != "" {
			return t
		}
		return n.Get("coding.0.display").String()
	}
	said := []fhir.Node{}
	if m.alone {
		said = append(said, m.focus)
	}
	for e := range m.bundle.Get("entry").Items() {
		said = append(said, e.Field("resource"))
	}
	for _, r := range said {
		switch r.Field("resourceType").String() {
		case "ServiceRequest":
			add("", concept(r.Field("code")))
			for x := range r.Field("reasonCode").Items() {
				add("Reason: ", concept(x))
			}
			for x := range r.Field("note").Items() {
				add("", x.Field("text").String())
			}
			add("Told to the patient: ", r.Field("patientInstruction").String(), r.Field("PatientInstruction").String())
		case "Appointment":
			add("", r.Field("description").String(), r.Field("comment").String())
		case "CarePlan":
			add("", r.Field("description").String())
			for a := range r.Field("activity").Items() {
				for o := range a.Field("outcomeCodeableConcept").Items() {
					add("Outcome: ", concept(o))
				}
			}
		case "Condition", "Observation":
			add("Found: ", concept(r.Field("code")))
		case "AllergyIntolerance":
			add("Allergy: ", concept(r.Field("code")))
		case "MedicationStatement":
			add("Takes: ", concept(r.Field("medicationCodeableConcept")))
		case "Flag":
			add("Note: ", concept(r.Field("code")))
		}
	}
	text := strings.Join(lines, "\n")
	if len(text) > referral.MostLetter {
		text = strings.ToValidUTF8(text[:referral.MostLetter-4], "") + "…"
	}
	return text
}
