package fhirapi

import (
	"net/http"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
)

// Face words failures as FHIR does: an OperationOutcome with the status code of docs/status-codes.md
// (https://hl7.org/fhir/R4/http.html#Status-Codes).
type Face struct{}

// Refuse answers with err as an OperationOutcome, in the format that was asked for.
func (Face) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	kind := fault.KindOf(err)
	switch kind {
	case fault.Unauthenticated:
		// RFC 6750 section 3: the challenge names the scheme, and the error when a token was presented.
		challenge := `Bearer realm="openspine"`
		if r.Header.Get("Authorization") != "" {
			challenge += `, error="invalid_token"`
		}
		w.Header().Set("WWW-Authenticate", challenge)
	case fault.Unavailable, fault.TooMany:
		w.Header().Set("Retry-After", "1")
	}
	send(w, r, kind.HTTPStatus(), outcome(fault.IssuesOf(err)...))
}

// outcome is an OperationOutcome resource (https://hl7.org/fhir/R4/operationoutcome.html).
func outcome(issues ...fault.Issue) fhir.Value {
	var list []any
	for _, i := range issues {
		var at []any
		for _, e := range i.Expression {
			at = append(at, e)
		}
		list = append(list, fhir.Obj("severity", i.Severity, "code", i.Code, "diagnostics", i.Diagnostics, "expression", fhir.Arr(at...)))
	}
	return fhir.Obj("resourceType", "OperationOutcome", "issue", fhir.Arr(list...))
}

// allOK is what a validation that found nothing says.
func allOK(text string) fault.Issue {
	return fault.Issue{Severity: "information", Code: "informational", Diagnostics: text}
}
