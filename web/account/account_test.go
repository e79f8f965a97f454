package account

import (
	"context"
	"testing"

	"github.com/openspine/openspine/audit"
)

func TestOneRequestIsOneLine(t *testing.T) {
	read := func(request, detail, basis string) audit.Entry {
		return audit.Entry{RequestID: request, Actor: "gp", Chart: "1", Action: "read", Outcome: audit.OutcomeOK, Detail: detail, Basis: basis}
	}
	lines := Lines([]audit.Entry{
		read("a", "Patient", "clinician-relationship"),
		read("a", "Observation ×12, Condition", "clinician-relationship: registered"),
		read("b", "Patient", "find-a-person"),
		read("", "Patient", "find-a-person"),
		read("", "Patient", "find-a-person"),
	})
	if len(lines) != 4 {
		t.Fatalf("five entries of two requests, two of them without a number, are %d lines, not 4", len(lines))
	}
	ctx := context.Background()
	if got, want := lines[0].Touched(ctx), "Name and contact details, Results and measurements ×12, Problems and diagnoses"; got != want {
		t.Errorf("the first line touches %q, not %q", got, want)
	}
	if got, want := Basis(ctx, lines[0]), "the patient is registered with their practice"; got != want {
		t.Errorf("the first line rests on %q, not %q", got, want)
	}
}

func TestARuleWithoutWordsIsStillNamed(t *testing.T) {
	if got, want := Why(context.Background(), "local:night-shift", "A Hospital"), "A rule allows it: night shift."; got != want {
		t.Errorf("%q, not %q", got, want)
	}
}
