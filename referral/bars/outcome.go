package bars

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"unicode/utf8"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhirapi"
	"github.com/openspine/openspine/referral"
)

const (
	errorCodes     = "https://fhir.nhs.uk/Codesystem/http-error-codes" // spelt as published
	successCodes   = "https://fhir.nhs.uk/CodeSystem/NRLF-SuccessCode"
	profileOutcome = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-OperationOutcome"
)

// At whose door something failed, as the published codes begin: the sender's own, between the two, or at the receiver. A code without a beginning is this API's own.
const (
	sender   = "SEND_"
	between  = "PROXY_"
	receiver = "REC_"
	here     = ""
)

// problem is a failure as published: status, code and FHIR issue type.
type problem struct {
	status            int
	code, issue, says string
}

// Error is the code with its words.
func (p *problem) Error() string { return p.code + ": " + p.says }

// codeOf is the published code of a status, without its beginning.
func codeOf(status int) string {
	return map[int]string{400: "BAD_REQUEST", 401: "UNAUTHORIZED", 403: "FORBIDDEN", 404: "NOT_FOUND", 405: "METHOD_NOT_ALLOWED", 406: "NOT_ACCEPTABLE", 408: "TIMEOUT", 409: "CONFLICT",
		422: "UNPROCESSABLE_ENTITY", 429: "TOO_MANY_REQUESTS", 500: "SERVER_ERROR", 501: "NOT_IMPLEMENTED", 503: "SERVICE_UNAVAILABLE"}[status]
}

// refuse makes a failure with a published status, at somebody's door, of a FHIR issue type.
func refuse(status int, whose, issue, format string, args ...any) error {
	p := &problem{status, whose + codeOf(status), issue, fmt.Sprintf(format, args...)}
	return fault.Wrap(p, kindOf(status), "%s", p.says)
}

// problemIn is the published failure in an error.
func problemIn(err error) (p *problem, ok bool) {
	ok = errors.As(err, &p)
	return p, ok
}

// kindOf is the kind of failure of a status, for what is counted and logged.
func kindOf(status int) fault.Kind {
	for _, k := range fault.All() {
		if k.HTTPStatus() == status {
			return k
		}
	}
	if status == http.StatusRequestTimeout {
		return fault.Timeout
	}
	return fault.Unavailable
}

// received words a failure of this node as that of the receiver, which it is for a service whose bookings it keeps.
func received(err error) error {
	var p *problem
	if err == nil || errors.As(err, &p) {
		return err
	}
	says := fault.IssuesOf(err)[0].Diagnostics
	if _, gone := referral.Taken(err); gone {
		return refuse(http.StatusConflict, receiver, "conflict", "%s", fault.MessageOf(err))
	}
	switch kind := fault.KindOf(err); kind {
	case fault.Invalid, fault.UnsupportedMedia, fault.TooLarge:
		return refuse(http.StatusBadRequest, receiver, "invalid", "%s", says)
	case fault.Forbidden:
		return refuse(http.StatusForbidden, receiver, "forbidden", "%s", says)
	case fault.NotFound, fault.Gone:
		return refuse(http.StatusNotFound, receiver, "not-found", "%s", says)
	case fault.Conflict, fault.PreconditionFailed:
		return refuse(http.StatusConflict, receiver, "conflict", "%s", says)
	case fault.Unprocessable:
		return refuse(http.StatusUnprocessableEntity, receiver, "processing", "%s", says)
	case fault.TooCostly:
		return refuse(http.StatusUnprocessableEntity, receiver, "too-costly", "%s", says)
	case fault.Unavailable, fault.Full, fault.TooMany:
		return refuse(http.StatusServiceUnavailable, receiver, "transient", "%s", says)
	case fault.Timeout:
		return refuse(http.StatusRequestTimeout, receiver, "timeout", "%s", says)
	case fault.Internal:
		return fault.Wrap(errors.Join(err, &problem{http.StatusInternalServerError, receiver + codeOf(500), "exception", says}), fault.Internal, "%s", says)
	}
	return err
}

// face words failures as the API does.
type face struct{}

// Refuse answers with err.
func (face) Refuse(w http.ResponseWriter, r *http.Request, err error) {
	mirror(w, r)
	var p *problem
	if !errors.As(err, &p) {
		p = ownProblem(r, err)
	}
	switch p.status {
	case http.StatusUnauthorized:
		w.Header().Set("WWW-Authenticate", access.Challenge(err)) // RFC 6750 section 3
	case http.StatusTooManyRequests, http.StatusServiceUnavailable:
		w.Header().Set("Retry-After", "5")
	}
	fhirapi.AnswerAnyway(w, r, p.status, outcome("error", p.issue, errorCodes, p.code, "", p.says).JSON())
}

// ownProblem words what failed before it was known for whom the request is.
func ownProblem(r *http.Request, err error) *problem {
	status, whose, issue := fault.KindOf(err).HTTPStatus(), sender, fault.KindOf(err).IssueType()
	switch status {
	case http.StatusUnauthorized:
		issue = "security"
		if r.Header.Get("Authorization") == "" {
			issue = "unknown"
		} else if strings.Contains(fault.MessageOf(err), "expired") {
			issue = "expired"
		}
	case http.StatusBadRequest, http.StatusForbidden, http.StatusConflict, http.StatusUnprocessableEntity:
	case http.StatusMethodNotAllowed:
		issue = "not-supported"
	case http.StatusNotAcceptable, http.StatusUnsupportedMediaType:
		status, issue = http.StatusNotAcceptable, "processing"
	case http.StatusTooManyRequests:
		issue = "throttled"
	case http.StatusRequestEntityTooLarge:
		status, issue = http.StatusBadRequest, "too-long"
	case http.StatusNotFound:
		whose = here
	case http.StatusServiceUnavailable, http.StatusInsufficientStorage:
		status, whose, issue = http.StatusServiceUnavailable, here, "transient"
	default:
		status, whose, issue = http.StatusInternalServerError, here, "exception"
	}
	return &problem{status, whose + codeOf(status), issue, fault.IssuesOf(err)[0].Diagnostics}
}

// outcome is an OperationOutcome of one issue.
func outcome(severity, issue, system, code, display, says string) fhir.Value {
	return fhir.Obj("resourceType", "OperationOutcome", "id", uuid.NewString(), "meta", fhir.Obj("profile", fhir.Arr(profileOutcome)), "issue", fhir.Arr(fhir.Obj("severity", severity, "code", issue,
		"details", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", system, "code", code, "display", display))), "diagnostics", says)))
}

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
func (c *call) send(status int, v fhir.Value) error {
	return fhirapi.Answer(c.w, c.r, status, v.JSON())
}
