package fhirpath_test

import (
	"os"
	"strings"
	"testing"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirxml"
)

// readResource reads a JSON or XML file.
func readResource(t testing.TB, path string) *fhir.Resource {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	var r *fhir.Resource
	if strings.HasSuffix(path, ".xml") {
		r, err = fhirxml.Decode(b, definition.R4())
	} else {
		r, err = fhir.Parse(b)
	}
	if err != nil {
		t.Fatalf("%s: %v", path, err)
	}
	return r
}
