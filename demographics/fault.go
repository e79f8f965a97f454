package demographics

import (
	"errors"
	"fmt"
	"net/http"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
)

// errorSystem is the code system of the published error codes.
const errorSystem = "https://fhir.nhs.uk/R4/CodeSystem/Spine-ErrorOrWarningCode"

// code is one of the published error codes (specification, the tables of each operation; examples under errorResponses).
type code string

// The published error codes.
const (
	invalidResourceID     code = "INVALID_RESOURCE_ID"
	unsupportedService    code = "UNSUPPORTED_SERVICE"
	missingValue          code = "MISSING_VALUE"
	invalidValue          code = "INVALID_VALUE"
	invalidSearchData     code = "INVALID_SEARCH_DATA"
	additionalProperties  code = "ADDITIONAL_PROPERTIES"
	unsupportedCharacters code = "UNSUPPORTED_CHARACTERS_IN_FIELD"
	unsupportedValue      code = "UNSUPPORTED_VALUE"
	tooFewValues          code = "TOO_FEW_VALUES_SUBMITTED"
	tooManyValues         code = "TOO_MANY_VALUES_SUBMITTED"
	validationError       code = "VALIDATION_ERROR"
	invalidUpdate         code = "INVALID_UPDATE"
	invalidCreate         code = "INVALID_CREATE"
	deathInconsistent     code = "INSERT_BIRTH_DEATH_STATUS_INCONSISTENT"
	accessDenied          code = "ACCESS_DENIED"
	forbiddenUpdate       code = "FORBIDDEN_UPDATE"
	invalidMethod         code = "INVALID_METHOD"
	resourceNotFound      code = "RESOURCE_NOT_FOUND"
	invalidatedResource   code = "INVALIDATED_RESOURCE"
	unableToCall          code = "UNABLE_TO_CALL_SERVICE"
	versionMismatch       code = "RESOURCE_VERSION_MISMATCH"
	preconditionFailed    code = "PRECONDITION_FAILED"
	tooManyRequests       code = "TOO_MANY_REQUESTS"
	serviceUnavailable    code = "SERVICE_UNAVAILABLE"
	tooManyMatches        code = "TOO_MANY_MATCHES"
	singleMatch           code = "SINGLE_MATCH"
	multipleMatches       code = "MULTIPLE_MATCHES"
)

// saying is how a code is worded: the HTTP status, FHIR's issue type and severity, and what it is called.
type saying struct {
	kind               fault.Kind
	status             int
	issueType, display string
	information        bool // severity information, as published, rather than error
}

// sayings is the one table of the published error codes; docs/status-codes.md shows it.
var sayings = map[code]saying{
	invalidResourceID:     {fault.Invalid, 400, "value", "Resource Id is invalid", false},
	unsupportedService:    {fault.Invalid, 400, "processing", "Unsupported Service", false},
	missingValue:          {fault.Invalid, 400, "required", "Required value is missing", false},
	invalidValue:          {fault.Invalid, 400, "value", "Provided value is invalid", false},
	invalidSearchData:     {fault.Invalid, 400, "value", "Search data is invalid", false},
	additionalProperties:  {fault.Invalid, 400, "invariant", "Additional properties should not be included", false},
	unsupportedCharacters: {fault.Invalid, 400, "value", "Unsupported characters in field", false},
	unsupportedValue:      {fault.Invalid, 400, "value", "Unsupported value", false},
	tooFewValues:          {fault.Invalid, 400, "value", "Too few values submitted", false},
	tooManyValues:         {fault.Invalid, 400, "value", "Too many values submitted", false},
	validationError:       {fault.Invalid, 400, "value", "Validation error", false},
	invalidUpdate:         {fault.Invalid, 400, "structure", "Update is invalid", false},
	invalidCreate:         {fault.Invalid, 400, "value", "Patient create data is invalid", false},
	deathInconsistent:     {fault.Invalid, 400, "processing", "INSERT_BIRTH_DEATH_STATUS_INCONSISTENT", false},
	accessDenied:          {fault.Forbidden, 403, "forbidden", "Patient cannot perform this action", false},
	forbiddenUpdate:       {fault.Forbidden, 403, "forbidden", "Update is forbidden", true},
	invalidMethod:         {fault.Forbidden, 403, "forbidden", "Cannot use this method", false},
	resourceNotFound:      {fault.NotFound, 404, "not-found", "Resource not found", true},
	invalidatedResource:   {fault.NotFound, 404, "processing", "Resource that has been marked as invalid was requested - invalid resources cannot be retrieved", false},
	unableToCall:          {fault.Timeout, 408, "timeout", "Unable to call service", false},
	versionMismatch:       {fault.Conflict, 409, "conflict", "Resource version supplied does not match actual version", false},
	preconditionFailed:    {fault.PreconditionFailed, 412, "structure", "Required condition was not fulfilled", false},
	tooManyRequests:       {fault.TooMany, 429, "throttled", "Too many requests", false},
	serviceUnavailable:    {fault.Unavailable, 503, "timeout", "Service unavailable", false},
	tooManyMatches:        {fault.TooCostly, 200, "multiple-matches", "Too Many Matches", true},
	singleMatch:           {fault.Conflict, 200, "value", "Single match found", false},
	multipleMatches:       {fault.Conflict, 200, "value", "Multiple matches found", false},
}

// problem is a failure that the published API has a code for.
type problem struct {
	code        code
	status      int
	display     string
	diagnostics string
	field       string // where in the record or the question, as name/0/family or birthdate; empty for no one place
}

// Error is for the log: it names the code and nothing that was sent.
func (p *problem) Error() string { return string(p.code) }

// refuse is a failure with a published code. diagnostics, which says what is wrong in the caller's terms, may be empty.
func refuse(c code, diagnostics string, args ...any) error {
	s := sayings[c]
	if len(args) > 0 {
		diagnostics = fmt.Sprintf(diagnostics, args...)
	}
	return fault.Wrap(&problem{code: c, status: s.status, display: s.display, diagnostics: diagnostics}, s.kind, "%s", s.display)
}

// in is a refusal that says where the fault lies.
func in(field string, err error) error {
	if p := (*problem)(nil); errors.As(err, &p) {
		p.field = field
	}
	return err
}

// refuseAs is refuse with another status or display than the code's usual ones, where the specification says so.
func refuseAs(c code, status int, display, diagnostics string) error {
	return fault.Wrap(&problem{code: c, status: status, display: display, diagnostics: diagnostics}, sayings[c].kind, "%s", display)
}

// problemOf is how the published API words err. What has no code of its own is worded by its kind.
func problemOf(err error) problem {
	var p *problem
	if errors.As(err, &p) {
		return *p
	}
	as := func(c code, diagnostics string) problem {
		return problem{code: c, status: sayings[c].status, display: sayings[c].display, diagnostics: diagnostics}
	}
	switch fault.KindOf(err) {
	case fault.Unauthenticated:
		return problem{code: accessDenied, status: 401, display: "Access Denied - Unauthorised", diagnostics: fault.MessageOf(err)}
	case fault.Forbidden:
		return as(accessDenied, "Your access token has insufficient permissions. "+fault.MessageOf(err))
	case fault.NotFound, fault.Gone:
		return as(resourceNotFound, "")
	case fault.MethodNotAllowed:
		return problem{code: invalidMethod, status: 405, display: sayings[invalidMethod].display, diagnostics: fault.MessageOf(err)}
	case fault.Conflict, fault.PreconditionFailed:
		return as(versionMismatch, "")
	case fault.Unprocessable:
		return as(validationError, fault.IssuesOf(err)[0].Diagnostics)
	case fault.TooMany:
		return as(tooManyRequests, fault.MessageOf(err))
	case fault.Timeout:
		return as(unableToCall, "The downstream domain processing has not completed within the configured timeout period.")
	case fault.Unavailable, fault.Full:
		return as(serviceUnavailable, "The downstream domain processing has not completed within the configured timeout period. Using the same 'X-Request-ID' header, retry your request after the time specified by the 'Retry-After' response header.")
	case fault.TooCostly:
		return as(tooManyMatches, "")
	case fault.Internal:
		return problem{code: unableToCall, status: 500, display: sayings[unableToCall].display, diagnostics: fault.MessageOf(err)}
	default:
		p := as(validationError, fault.MessageOf(err))
		p.status = fault.KindOf(err).HTTPStatus()
		return p
	}
}

// outcome is the OperationOutcome that says p.
func (p problem) outcome() fhir.Value {
	severity := "error"
	if sayings[p.code].information {
		severity = "information"
	}
	return fhir.Obj("resourceType", "OperationOutcome", "issue", fhir.Arr(fhir.Obj(
		"severity", severity, "code", sayings[p.code].issueType,
		"details", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", errorSystem, "version", "1", "code", string(p.code), "display", p.display))),
		"diagnostics", p.diagnostics)))
}

// face words failures as the published API does.
type face struct{}

// Refuse answers with an OperationOutcome that carries the published code.
func (face) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	p := problemOf(err)
	mirror(w, r)
	if p.code == unableToCall && p.status == http.StatusRequestTimeout && r.Method != http.MethodGet {
		p = problemOf(fault.Wrap(err, fault.Unavailable, "The change took too long.")) // published so: it may be sent again
	}
	h := w.Header()
	h.Set("Content-Type", mimeFHIR)
	switch {
	case p.status == http.StatusUnauthorized:
		h.Set("WWW-Authenticate", access.Challenge(err)) // RFC 6750 section 3
	case p.code == serviceUnavailable, p.code == tooManyRequests:
		if h.Get("Retry-After") == "" {
			h.Set("Retry-After", "5")
		}
	}
	w.WriteHeader(p.status)
	w.Write(p.outcome().JSON())
}
