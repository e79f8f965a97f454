package fhirapi

import (
	"net/http"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/internal/catalogue"
)

// Sent is the resource in the body of a request, in JSON or XML by its Content-Type, within the node's limits of size and depth. It is well formed; whether it keeps to
// R4 is Kernel.Sound's to say. Errors: fault.Invalid, fault.TooLarge, fault.UnsupportedMedia.
func Sent(k catalogue.Kernel, r *http.Request) (*fhir.Resource, error) {
	return (&api{k: k, defs: k.Definitions}).readResource(r)
}

// Answer sends a resource, given as JSON, in the format that the request asks for (_format, then Accept): what a published API that
// speaks FHIR beside this one answers with. Errors: fault.NotAcceptable for a format that is not offered.
func Answer(w http.ResponseWriter, r *http.Request, status int, body []byte) error {
	f, err := wanted(r)
	if err != nil {
		return err
	}
	return writeAs(w, r, f, definition.R4(), status, body)
}

// AnswerAnyway is Answer for failures: in JSON when the format that was asked for is not offered.
func AnswerAnyway(w http.ResponseWriter, r *http.Request, status int, body []byte) {
	f, err := wanted(r)
	if err != nil {
		f = formatJSON
	}
	if writeAs(w, r, f, definition.R4(), status, body) != nil {
		w.WriteHeader(status) // the connection has gone, or words that no format can carry: the status says it
	}
}
