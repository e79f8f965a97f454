package fhirpath

import (
	"fmt"

	"github.com/openspine/openspine/fault"
)

// Phase says when an expression was found to be wrong.
type Phase uint8

const (
	// Syntax: the text is not FHIRPath.
	Syntax Phase = iota
	// Semantic: it is FHIRPath, but can never mean anything: an unknown function or type, or, when compiled with
	// [WithType], an unknown element or an operand of the wrong type.
	Semantic
	// Execution: it cannot be evaluated on this input, for example single() on two items.
	Execution
	// Limit: it was stopped because it did more work, or held more items, than it was allowed.
	Limit
)

// String is the phase in lower case.
func (p Phase) String() string { return [...]string{"syntax", "semantic", "execution", "limit"}[p&3] }

// Error is what is wrong with an expression, and where in its text.
type Error struct {
	Phase   Phase
	Source  string // the whole expression
	Offset  int    // bytes from the start of Source; -1 when no single place is to blame
	Message string
}

// Error is the message with its line and column (both from 1).
func (e *Error) Error() string {
	if e.Offset < 0 {
		return fmt.Sprintf("fhirpath: %s: %s", e.Phase, e.Message)
	}
	line, column := e.Position()
	return fmt.Sprintf("fhirpath: %s at %d:%d: %s", e.Phase, line, column, e.Message)
}

// Position is the line and the column (in bytes) of the place to blame, both from 1.
func (e *Error) Position() (line, column int) {
	line, column = 1, 1
	for i := 0; i < len(e.Source) && i < e.Offset; i++ {
		column++
		if e.Source[i] == '\n' {
			line, column = line+1, 1
		}
	}
	return line, column
}

// asFault gives e a kind: what is wrong with the text is Invalid, what is wrong with this input is Unprocessable,
// and what is too much work is TooCostly.
func (e *Error) asFault() error {
	kind := fault.Invalid
	switch e.Phase {
	case Execution:
		kind = fault.Unprocessable
	case Limit:
		kind = fault.TooCostly
	}
	return fault.Wrap(e, kind, "%s", e.Error())
}

// failure is an error that does not yet know the text it happened in.
func failure(p Phase, at int, format string, args ...any) *Error {
	return &Error{Phase: p, Offset: at, Message: fmt.Sprintf(format, args...)}
}
