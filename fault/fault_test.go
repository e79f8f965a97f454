package fault_test

import (
	"errors"
	"fmt"
	"strings"
	"testing"

	"github.com/openspine/openspine/fault"
)

func TestEveryKindIsWorded(t *testing.T) {
	seen := map[string]bool{}
	for _, k := range fault.All() {
		if k.String() == "" || k.Meaning() == "" || k.IssueType() == "" || k.HTTPStatus() < 400 || k.HTTPStatus() > 599 {
			t.Errorf("kind %d is not worded: %q %d %q", k, k, k.HTTPStatus(), k.IssueType())
		}
		if seen[k.String()] {
			t.Errorf("two kinds are called %q", k)
		}
		seen[k.String()] = true
	}
}

func TestInternalTellsNothing(t *testing.T) {
	cause := errors.New("disk /var/secret at sector 9")
	for _, err := range []error{cause, fault.Wrap(cause, fault.Internal, "reading 999 000 0018"), fmt.Errorf("outer: %w", cause)} {
		if fault.KindOf(err) != fault.Internal {
			t.Errorf("%v is of kind %v", err, fault.KindOf(err))
		}
		said := fault.MessageOf(err) + fault.IssuesOf(err)[0].Diagnostics
		if strings.Contains(said, "secret") || strings.Contains(said, "999") {
			t.Errorf("an internal failure told the caller %q", said)
		}
	}
}

func TestKindAndIssuesSurviveWrapping(t *testing.T) {
	inner := fault.WithIssues(fault.Unprocessable, "two things", fault.Issue{Severity: "error", Code: "required", Diagnostics: "a"}, fault.Issue{Severity: "error", Code: "value", Diagnostics: "b"})
	err := fmt.Errorf("saving: %w", inner)
	if !fault.Is(err, fault.Unprocessable) || len(fault.IssuesOf(err)) != 2 || fault.MessageOf(err) != "two things" {
		t.Errorf("lost in wrapping: %v %v %q", fault.KindOf(err), fault.IssuesOf(err), fault.MessageOf(err))
	}
	if fault.Wrap(nil, fault.Conflict, "never") != nil {
		t.Error("wrapping nothing made a failure")
	}
	if fault.Is(nil, fault.Internal) {
		t.Error("no error is of a kind")
	}
}
