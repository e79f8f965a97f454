package main

import (
	"bytes"
	"strings"
	"testing"
)

// A measurement of calls that are refused measures nothing: each kind of call of the register is answered.
func TestTheRegisterIsMeasured(t *testing.T) {
	var out, problems bytes.Buffer
	args := []string{"bench", "register", "--people", "64", "--duration", "50ms", "--warmup", "1ms", "--clients", "2", "--data", t.TempDir()}
	if status := run(args, &out, &problems); status != 0 {
		t.Fatalf("%d: %s", status, problems.String())
	}
	for _, kind := range []string{"read ", "ceiling ", "exact ", "fuzzy ", "wildcard ", "range ", "fhir-sorted ", "create ", "token ", "token-check "} {
		if !strings.Contains(out.String(), "\n"+kind) {
			t.Errorf("%s was not measured: %s", kind, out.String())
		}
	}
	if strings.Contains(out.String(), "first error") {
		t.Error(out.String())
	}
}
