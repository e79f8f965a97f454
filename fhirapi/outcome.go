package fhirapi

import (
	"net/http"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
)

// Face words failures as FHIR does: an OperationOutcome with the status code of docs/status-codes.md
// (https://hl7.org/fhir/R4/http.html#Status-Codes).
type Face struct{}

// Refuse answers with err as an OperationOutcome, in the format that was asked for, or in JSON when that is not offered.
func (Face) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	kind := fault.KindOf(err)
	switch kind {
	case fault.Unauthenticated:
		w.Header().Set("WWW-Authenticate", access.Challenge(err)) // RFC 6750 section 3
	case fault.Unavailable, fault.TooMany:
		w.Header().Set("Retry-After", "1")
	}
	AnswerAnyway(w, r, kind.HTTPStatus(), outcome(fault.IssuesOf(err)...).JSON())
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

// allOK is what a check that found nothing says.
func allOK(text string) fault.Issue {
	return fault.Issue{Severity: "information", Code: "informational", Diagnostics: text}
}
