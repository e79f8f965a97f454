package bars

import (
	"net/http"
	"slices"
	"strings"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fhir"
)

// edition is the version of BaRS that is spoken, and since when this statement of it stands.
const (
	edition     = "1.4.0"
	editionDate = "2026-11-23"
)

// definition is one message that is taken: its event, what it is about and what its Bundle holds at least.
type definition struct {
	id, event, category string
	holds               []string
}

// definitions are the messages that are taken here, as the MessageDefinitions are named.
func definitions() []definition {
	common := []string{"Bundle", "MessageHeader"}
	with := func(types ...string) []string { return append(slices.Clone(common), types...) }
	return []definition{
		{"bars-message-booking-request", bookingRequest, "", with("Appointment", "Patient", "Slot")},
		{"bars-message-booking-response", bookingResponse, "", with("Appointment", "Patient")},
		{"bars-message-servicerequest-request-referral", requestRequest, "referral", with("ServiceRequest", "Patient")},
		{"bars-message-servicerequest-request-validation", requestRequest, "validation", with("ServiceRequest", "Patient")},
		{"bars-message-servicerequest-response-referral", requestResponse, "referral", with("ServiceRequest", "Patient")},
		{"bars-message-servicerequest-response-validation-full", requestResponse, "validation", with("ServiceRequest", "Patient", "Encounter")},
	}
}

// profileOf is the profile of a resource in a message of an event.
func (d definition) profileOf(typ string) string {
	switch typ {
	case "Bundle":
		return barsProfile + "BundleMessage"
	case "MessageHeader":
		return barsProfile + "MessageHeader-" + d.event
	case "ServiceRequest":
		return barsProfile + "ServiceRequest-request-" + d.category
	}
	return ukCore + typ
}

// metadata is the CapabilityStatement: what this API takes, for each of its services.
func (c *call) metadata() error {
	security := fhir.Obj("service", fhir.Arr(fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "http://terminology.hl7.org/CodeSystem/restful-security-service", "code", "OAuth", "display", "OAuth")))))
	type param struct{ name, kind string }
	resource := func(typ string, interactions []string, include []string, params ...param) fhir.Value {
		var does, by []any
		for _, i := range interactions {
			does = append(does, fhir.Obj("code", i))
		}
		for _, p := range params {
			by = append(by, fhir.Obj("name", p.name, "type", p.kind))
		}
		return fhir.Obj("type", typ, "interaction", fhir.Arr(does...), "versioning", "no-version", "searchInclude", include, "searchParam", fhir.Arr(by...))
	}
	patient := param{"patient:identifier", "token"}
	changes := []string{"read", "search-type", "create", "update", "patch", "delete"}
	written := []string{"read", "search-type", "create", "update", "delete"}
	rest := fhir.Obj("mode", "server", "security", security, "resource", fhir.Arr(
		resource("CapabilityStatement", []string{"read"}, nil),
		resource("MessageDefinition", []string{"search-type"}, nil, param{"context", "token"}),
		resource("Appointment", changes, nil, patient, param{"patient:birthdate", "date"}),
		resource("ServiceRequest", changes, nil, patient, param{"patient:birthdate", "date"}, param{"ServiceRequest.identifier", "token"}),
		resource("HealthcareService", written, nil, param{"HealthcareService.identifier", "token"}, param{"HealthcareService.providedBy", "token"}),
		resource("Endpoint", written, nil, param{"Endpoint.identifier", "token"}, param{"_has:HealthcareService.Id", "token"}, param{"_has:HealthcareService.Identifier", "token"}),
		resource(typePointer, written, nil, param{bySubject, "token"}, patient, param{byCustodian, "token"}, param{byType, "token"}, param{byCategory, "token"}, param{byPointerID, "token"}, param{byPage, "token"}),
		resource("Slot", []string{"search-type"}, includes(), param{"start", "date"}, param{"status", "token"}, param{"Schedule.actor:HealthcareService", "token"})),
		"operation", fhir.Arr(fhir.Obj("name", "$process-message", "definition", "http://hl7.org/fhir/OperationDefinition/MessageHeader-process-message")))
	var messages []any
	for _, d := range definitions() {
		messages = append(messages, fhir.Obj("mode", "receiver", "definition", "MessageDefinition/"+d.id))
	}
	messages = append(messages, fhir.Obj("mode", "sender", "definition", "MessageDefinition/bars-message-booking-request"))
	name, description := "OpenSpine BaRS CapabilityStatement", "OpenSpine"
	if c.target.ID != "" {
		description = c.target.Name + ", " + c.target.ProviderName
	}
	return c.send(http.StatusOK, fhir.Obj("resourceType", "CapabilityStatement", "id", "BaRS-FHIR-Server", "url", c.a.base()+"/metadata", "version", edition, "name", strings.ReplaceAll(name, " ", ""), "title", name, "status", "active",
		"description", "Bookings and referrals by the Booking and Referral Standard.", "experimental", false, "date", editionDate, "publisher", "OpenSpine", "kind", "instance", "software", fhir.Obj("name", "OpenSpine"), "implementation", fhir.Obj("description", description, "url", c.a.base()),
		"fhirVersion", "4.0.1", "format", fhir.Arr("xml", "json"), "rest", fhir.Arr(rest),
		"messaging", fhir.Arr(fhir.Obj("endpoint", fhir.Arr(fhir.Obj("protocol", fhir.Obj("system", "http://terminology.hl7.org/CodeSystem/message-transport", "code", "http"), "address", c.a.base()+"/$process-message")), "supportedMessage", fhir.Arr(messages...)))))
}

// definitions finds what messages a service takes: those of an event or use case, if one is named beside the service.
func (c *call) definitions() error {
	contexts := c.r.URL.Query()["context"]
	if len(contexts) == 0 {
		return refuse(http.StatusBadRequest, receiver, "required", "The parameter context is missing: the service, %s|… and its id.", serviceSystem)
	}
	named, wanted := false, ""
	for _, text := range contexts {
		system, value, ok := strings.Cut(text, "|")
		switch {
		case !ok || strings.Contains(system, "dos-"):
			if !ok {
				value = text
			}
			named = named || value == c.target.ID || value == c.head.target.Value
		case strings.Contains(system, "message-events-bars"):
			wanted = value
		}
	}
	var entries []any
	for _, d := range definitions() {
		if !named || wanted != "" && wanted != d.event {
			continue
		}
		var holds []any
		for _, typ := range d.holds {
			holds = append(holds, fhir.Obj("code", typ, "profile", d.profileOf(typ), "min", 1, "max", "1"))
		}
		name := "BARS Message Definition " + d.event
		if d.category != "" {
			name += " " + d.category
		}
		entries = append(entries, fhir.Obj("fullUrl", c.a.base()+"/MessageDefinition/"+d.id, "resource", fhir.Obj("resourceType", "MessageDefinition", "id", d.id, "meta", profiled(barsProfile+"MessageDefinition-"+d.event),
			"url", "https://fhir.nhs.uk/MessageDefinition/"+d.id, "name", name, "title", name, "status", "active", "date", editionDate, "eventCoding", fhir.Obj("system", messageEvents, "code", d.event),
			"useContext", fhir.Arr(fhir.Obj("code", fhir.Obj("system", serviceSystem, "code", c.target.ID), "valueCodeableConcept", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "http://terminology.hl7.org/CodeSystem/variant-state", "code", "positive"))))),
			"focus", fhir.Arr(holds...)), "search", fhir.Obj("mode", "match")))
	}
	now := instant(c.a.k.Clock.Now())
	return c.send(http.StatusOK, fhir.Obj("resourceType", "Bundle", "id", uuid.NewString(), "meta", fhir.Obj("lastUpdated", now, "profile", fhir.Arr(ukCore+"Bundle")), "type", "searchset", "total", len(entries), "timestamp", now,
		"link", fhir.Arr(fhir.Obj("relation", "self", "url", c.self("MessageDefinition"))), "entry", fhir.Arr(entries...)))
}
