package events

import (
	"crypto/sha256"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fhir"
)

// bundle is an event as FHIR R4: a history Bundle with the status of a subscription in the form of the backport of R5's (signal-schemas, fhirsignal.schema).
// base is the address of the service.
func (e *event) bundle(base string) []byte {
	here := base + Base + "/subscriptions"
	happened := []any{
		fhir.Obj("name", "event-number", "valueString", "1"),
		fhir.Obj("name", "timestamp", "valueInstant", e.Time),
	}
	if e.DataRef != "" {
		happened = append(happened, fhir.Obj("name", "focus", "valueReference", fhir.Obj("reference", e.DataRef)))
	}
	about := []any{
		fhir.Obj("name", "event-type", "valueString", e.Kind),
		fhir.Obj("name", "source", "valueUri", e.Source),
	}
	if e.Subject != "" {
		about = append(about, fhir.Obj("name", "subject", "valueReference", fhir.Obj("identifier", fhir.Obj("value", e.Subject))))
	}
	if e.VersionID != "" {
		about = append(about, fhir.Obj("name", "version-id", "valueString", e.VersionID))
	}
	id := nameOf("bundle", e.Source, e.ID)
	return fhir.Obj("resourceType", "Bundle", "id", e.ID, "type", "history", "timestamp", e.Time, "entry", fhir.Arr(fhir.Obj(
		"fullUrl", "urn:uuid:"+id,
		"resource", fhir.Obj("resourceType", "Parameters",
			"meta", fhir.Obj("profile", fhir.Arr("http://hl7.org/fhir/uv/subscriptions-backport/StructureDefinition/backport-subscription-status-r4")),
			"id", id,
			"parameter", fhir.Arr(
				fhir.Obj("name", "subscription", "valueReference", fhir.Obj("reference", here)),
				fhir.Obj("name", "status", "valueCode", "active"),
				fhir.Obj("name", "type", "valueCode", "event-notification"),
				fhir.Obj("name", "notification-event", "part", fhir.Arr(happened...)),
				fhir.Obj("name", "additional-context", "part", fhir.Arr(about...)))),
		"request", fhir.Obj("method", "GET", "url", here),
		"response", fhir.Obj("status", "200")))).JSON()
}

// nameOf is a UUID of version 4's form that is the same whenever it is made of the same words.
func nameOf(words ...string) string {
	h := sha256.New()
	for _, w := range words {
		h.Write([]byte(w))
		h.Write([]byte{0})
	}
	id := uuid.UUID(h.Sum(nil)[:16])
	id[6], id[8] = id[6]&0x0f|0x40, id[8]&0x3f|0x80
	return id.String()
}
