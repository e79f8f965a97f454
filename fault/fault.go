// Package fault is the closed list of ways in which something can go wrong, made where the cause is known
// and worded once per protocol at the edge (HTTP problem, FHIR OperationOutcome, HL7 acknowledgement).
//
// A Kind says what the caller can do about it. The message is for the caller: it names what was wrong and what
// to do, and never holds a secret or a patient's identifier. The cause behind it is for the log alone.
package fault

import (
	"errors"
	"fmt"
)

// Issue is one thing wrong with what was sent, in the terms of FHIR's OperationOutcome.issue
// (https://hl7.org/fhir/R4/operationoutcome.html).
type Issue struct {
	// Severity is fatal, error, warning or information.
	Severity string
	// Code is from the IssueType value set, for example required, value, structure, code-invalid.
	Code string
	// Diagnostics says in plain words what is wrong and what to do.
	Diagnostics string
	// Expression holds FHIRPath-like paths to the elements concerned.
	Expression []string
}

// Error is a failure with its kind, its safe message and its cause.
type Error struct {
	kind    Kind
	message string
	issues  []Issue
	cause   error
}

// New makes a failure of kind k. The message is shown to the caller.
func New(k Kind, format string, args ...any) error {
	return &Error{kind: k, message: fmt.Sprintf(format, args...)}
}

// Wrap makes a failure of kind k with a safe message, keeping err as the cause for the log.
// It is nil when err is nil.
func Wrap(err error, k Kind, format string, args ...any) error {
	if err == nil {
		return nil
	}
	return &Error{kind: k, message: fmt.Sprintf(format, args...), cause: err}
}

// WithIssues makes a failure of kind k that lists each thing wrong.
func WithIssues(k Kind, message string, issues ...Issue) error {
	return &Error{kind: k, message: message, issues: issues}
}

// Error is the full text, cause included: for logs, never for callers.
func (e *Error) Error() string {
	if e.cause != nil {
		return e.kind.String() + ": " + e.message + ": " + e.cause.Error()
	}
	return e.kind.String() + ": " + e.message
}

// Unwrap is the cause, if there is one.
func (e *Error) Unwrap() error { return e.cause }

// Kind is what kind of failure this is.
func (e *Error) Kind() Kind { return e.kind }

// KindOf is the kind of the outermost fault in err's chain; an error that holds none is Internal.
func KindOf(err error) Kind {
	var e *Error
	if errors.As(err, &e) {
		return e.kind
	}
	return Internal
}

// Is reports whether err is a fault of kind k. A nil error is of no kind.
func Is(err error, k Kind) bool { return err != nil && KindOf(err) == k }

// MessageOf is what the caller may be told. An internal failure tells nothing of its cause.
func MessageOf(err error) string {
	var e *Error
	if errors.As(err, &e) && e.kind != Internal {
		return e.message
	}
	return "Something went wrong on our side. Nothing was changed. Try again, and quote the request id if it goes on."
}

// IssuesOf is the list of things wrong that err carries, or a single one made from its kind and message.
func IssuesOf(err error) []Issue {
	var e *Error
	if errors.As(err, &e) && len(e.issues) > 0 && e.kind != Internal {
		return e.issues
	}
	return []Issue{{Severity: "error", Code: KindOf(err).IssueType(), Diagnostics: MessageOf(err)}}
}
