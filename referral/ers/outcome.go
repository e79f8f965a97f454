package ers

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/referral"
)

const (
	mimeFHIR     = "application/fhir+json"
	errorSTU3    = "https://fhir.nhs.uk/STU3/CodeSystem/eRS-APIErrorCode-1"
	errorR4      = "https://fhir.nhs.uk/CodeSystem/ers-error-codes"
	errorGateway = "https://fhir.nhs.uk/CodeSystem/NHSD-API-ErrorOrWarningCode"
	errorSpine   = "https://fhir.nhs.uk/CodeSystem/http-error-codes"
	profileError = "https://fhir.nhs.uk/STU3/StructureDefinition/eRS-OperationOutcome-1"
)

// code is one of the service's error codes (tables of the operations' responses).
type code string

const (
	forbidden            code = "FORBIDDEN"
	noRelationship       code = "NO_RELATIONSHIP"
	invalidValue         code = "INVALID_VALUE"
	invalidCode          code = "INVALID_CODE"
	missingValue         code = "MISSING_VALUE"
	referenceNotFound    code = "REFERENCE_NOT_FOUND"
	inappropriateValue   code = "INAPPROPRIATE_VALUE"
	unexpectedField      code = "UNEXPECTED_FIELD"
	invalidStructure     code = "INVALID_FHIR_STRUCTURE"
	invalidRequestState  code = "INVALID_REQUEST_STATE"
	invalidState         code = "INVALID_STATE"
	patientError         code = "PATIENT_ERROR"
	tooManyItems         code = "TOO_MANY_ITEMS"
	duplicateService     code = "DUPLICATE_SERVICE"
	slotNotAvailable     code = "SLOT_NOT_AVAILABLE"
	inappropriateSlot    code = "INAPPROPRIATE_SLOT"
	slotsAvailable       code = "SLOTS_CURRENTLY_AVAILABLE"
	thisSlotIsAvailable  code = "THIS_SLOT_IS_AVAILABLE"
	pasNotResponding     code = "PAS_NOT_RESPONDING"
	pasRespondedError    code = "PAS_RESPONDED_WITH_ERROR"
	serviceUnavailable   code = "SERVICE_UNAVAILABLE"
	valueIsRequired      code = "VALUE_IS_REQUIRED"
	fieldNotPermitted    code = "FIELD_NOT_PERMITTED"
	conflictingValues    code = "CONFLICTING_VALUES"
	notInResults         code = "SHORTLISTED_SERVICE_NOT_IN_RESULTS"
	unableToCancel       code = "UNABLE_TO_CANCEL_APPOINTMENT"
	invalidRequestType   code = "INVALID_REQUEST_TYPE"
	organisationIsClosed code = "ORGANISATION_IS_CLOSED"
	notReferrerThere     code = "REFERENCED_USER_IS_NOT_RC_AT_ORG"
	missingParameter     code = "MISSING_PARAMETER"
	historyNotSupported  code = "HISTORY_NOT_SUPPORTED"
	unableToConfirm      code = "UNABLE_TO_CONFIRM_APPOINTMENT"
	snomedNotFound       code = "SNOMED_NOT_FOUND"
	notActive            code = "REFERENCED_USER_IS_NOT_ACTIVE"
	notInOrganisation    code = "REFERENCED_USER_NOT_IN_ORG"
	notReferrer          code = "REFERENCED_USER_IS_NOT_RC"
	notProvider          code = "REFERENCED_USER_IS_NOT_SPC"
	priorityNotCurrent   code = "PRIORITY_NOT_CURRENT"
	missingHeader        code = "MISSING_HEADER"
	noAccess             code = "NO_ACCESS"
	systemUnavailable    code = "SYSTEM_UNAVAILABLE"
)

// saying is how a code is said: its display, the status that goes with it and the FHIR issue type.
type saying struct {
	display string
	kind    fault.Kind
	issue   string
	status  int // where it is not that of kind
}

// sayings are those of every code.
func sayings(c code) saying {
	switch c {
	case forbidden:
		return saying{display: "Forbidden", kind: fault.Forbidden, issue: "forbidden"}
	case noRelationship:
		return saying{display: "No relationship", kind: fault.Unprocessable, issue: "forbidden"}
	case noAccess:
		return saying{issue: "login", kind: fault.Unauthenticated}
	case systemUnavailable:
		return saying{display: "System Unavailable", kind: fault.Unavailable, issue: "transient"}
	case missingValue:
		return saying{display: "A mandatory input field is missing", kind: fault.Unprocessable, issue: "required"}
	case valueIsRequired:
		return saying{display: "Value is required", kind: fault.Unprocessable, issue: "required"}
	case invalidStructure:
		return saying{display: "Invalid FHIR structure", kind: fault.Unprocessable, issue: "structure"}
	case referenceNotFound:
		return saying{display: "Reference not found", kind: fault.Unprocessable, issue: "not-found"}
	case pasNotResponding:
		return saying{display: "No response from PAS", kind: fault.Timeout, issue: "timeout"}
	case pasRespondedError:
		return saying{display: "Error received from PAS", kind: fault.Unavailable, issue: "exception", status: http.StatusBadGateway}
	case code(referral.Pending), code(referral.ThreatsFound), code(referral.ValidationFailed):
		return saying{display: words(c), kind: fault.Unprocessable, issue: "invalid"}
	case unexpectedField, invalidValue, invalidCode:
		return saying{display: words(c), kind: fault.Unprocessable, issue: "value"}
	}
	return saying{display: words(c), kind: fault.Unprocessable, issue: "business-rule"}
}

// words is a code in words: "Slot not available".
func words(c code) string {
	s := strings.ToLower(strings.ReplaceAll(string(c), "_", " "))
	return strings.ToUpper(s[:1]) + s[1:]
}

// problem is a failure with its code.
type problem struct {
	code        code
	diagnostics string
}

func (p *problem) Error() string { return string(p.code) + ": " + p.diagnostics }

// refuse makes a failure that is worded with one of the published codes.
func refuse(c code, format string, args ...any) error {
	p := &problem{c, fmt.Sprintf(format, args...)}
	return fault.Wrap(p, sayings(c).kind, "%s", p.diagnostics)
}

// badRequest is what is no request of this API at all: it is answered with 400, by STU3 without a code.
type badRequest struct{ cause error }

// Error is the cause's.
func (e *badRequest) Error() string { return e.cause.Error() }

// Unwrap is the cause.
func (e *badRequest) Unwrap() error { return e.cause }

// errLocked is that a request is being changed by another call; errors.Is finds it.
var errLocked = errors.New("ers: locked")

// face words failures as the API does: with a body where one of its codes says what is wrong, without one otherwise, as published.
type face struct{ now func() time.Time }

// Refuse answers with err.
func (f face) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	mirror(w, r)
	kind := fault.KindOf(err)
	status := kind.HTTPStatus()
	var p *problem
	var no *badRequest
	if !errors.As(err, &p) && !errors.As(err, &no) {
		switch kind {
		case fault.Forbidden:
			if isR4(r) {
				break // REC_FORBIDDEN
			}
			p = &problem{forbidden, fault.MessageOf(err)}
		case fault.Invalid:
			if isR4(r) {
				break // REC_BAD_REQUEST
			}
			fallthrough
		case fault.Unprocessable, fault.TooLarge:
			p = &problem{invalidValue, fault.IssuesOf(err)[0].Diagnostics}
			status = http.StatusUnprocessableEntity
		}
	}
	switch kind {
	case fault.Unauthenticated:
		w.Header().Set("WWW-Authenticate", access.Challenge(err)) // RFC 6750 section 3
	case fault.TooMany, fault.Unavailable, fault.Full:
		w.Header().Set("Retry-After", "5")
	}
	if p != nil && p.code == forbidden && isR4(r) {
		p = nil
	}
	if p != nil && sayings(p.code).status != 0 {
		status = sayings(p.code).status
	}
	if errors.Is(err, errLocked) {
		status = http.StatusLocked
	}
	if p == nil {
		f.bare(w, r, status, fault.MessageOf(err))
		return
	}
	body := outcomeSTU3(p)
	if isR4(r) {
		body = f.outcomeR4(errorR4, string(p.code), sayings(p.code).issue, p.diagnostics)
	}
	w.Header().Set("Content-Type", mimeFHIR)
	w.WriteHeader(status)
	w.Write(body.JSON())
}

// shared are the codes that the APIs of the spine have in common, by status: the system, the code and the FHIR issue type of R4 (tables of its common responses).
func shared(status int) [3]string {
	switch status {
	case http.StatusBadRequest:
		return [3]string{errorSpine, "REC_BAD_REQUEST", "invalid"}
	case http.StatusUnauthorized:
		return [3]string{errorGateway, "ACCESS_DENIED", "login"}
	case http.StatusForbidden:
		return [3]string{errorSpine, "REC_FORBIDDEN", "forbidden"}
	case http.StatusNotFound:
		return [3]string{errorSpine, "REC_NOT_FOUND", "not-found"}
	case http.StatusNotAcceptable:
		return [3]string{errorSpine, "REC_NOT_ACCEPTABLE", "not-supported"}
	case http.StatusUnsupportedMediaType:
		return [3]string{errorSpine, "REC_UNSUPPORTED_MEDIA_TYPE", "not-supported"}
	case http.StatusTooManyRequests:
		return [3]string{errorGateway, "TOO_MANY_REQUESTS", "throttled"}
	case http.StatusServiceUnavailable:
		return [3]string{errorSpine, "REC_UNAVAILABLE", "transient"}
	}
	return [3]string{errorSpine, "REC_SERVER_ERROR", "exception"}
}

// bare answers what has no code of the operation: R4 with the codes that all of its APIs share; STU3 with one of its own where nobody is signed in or the service is away, and in plain words otherwise.
func (f face) bare(w http.ResponseWriter, r *http.Request, status int, message string) {
	var body fhir.Value
	switch {
	case isR4(r):
		said := shared(status)
		if status == http.StatusServiceUnavailable {
			message = "" // as published: Retry-After says what to do
		}
		body = f.outcomeR4(said[0], said[1], said[2], message)
	case status == http.StatusUnauthorized:
		body = outcomeSTU3(&problem{noAccess, message})
	case status == http.StatusServiceUnavailable:
		body = outcomeSTU3(&problem{systemUnavailable, ""})
	default:
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		w.WriteHeader(status)
		w.Write([]byte(message + "\n"))
		return
	}
	w.Header().Set("Content-Type", mimeFHIR)
	w.WriteHeader(status)
	w.Write(body.JSON())
}

func outcomeSTU3(p *problem) fhir.Value {
	s := sayings(p.code)
	return fhir.Obj("meta", fhir.Obj("profile", fhir.Arr(profileError)), "resourceType", "OperationOutcome", "issue", fhir.Arr(fhir.Obj("severity", "error", "code", s.issue,
		"details", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", errorSTU3, "code", string(p.code), "display", s.display))), "diagnostics", p.diagnostics)))
}

func (f face) outcomeR4(system, code, issue, diagnostics string) fhir.Value {
	return fhir.Obj("resourceType", "OperationOutcome", "meta", fhir.Obj("lastUpdated", f.now()), "issue", fhir.Arr(fhir.Obj("severity", "error", "code", issue,
		"details", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", system, "code", code))), "diagnostics", diagnostics)))
}

// isR4 reports whether an address is one of the R4 operations.
func isR4(r *http.Request) bool { return strings.HasPrefix(r.URL.Path, Base+"/R4/") }

// mirror gives back the request's own id; the edge gives back the correlation id.
func mirror(w http.ResponseWriter, r *http.Request) {
	if id := r.Header.Get("X-Request-ID"); id != "" && len(id) <= 100 && utf8.ValidString(id) {
		w.Header().Set("X-Request-ID", id)
	}
}

// shown is a caller's own value as a diagnostics repeats it: not endlessly.
func shown(value string) string {
	const most = 60
	for i := range value {
		if i > most {
			return value[:i] + "…"
		}
	}
	return value
}

// send answers with a document.
func send(w http.ResponseWriter, status int, body []byte) error {
	w.Header().Set("Content-Type", mimeFHIR)
	w.WriteHeader(status)
	_, err := w.Write(body)
	return err
}
