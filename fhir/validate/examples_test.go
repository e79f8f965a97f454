package validate_test

import (
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/fhirxml"
	"github.com/openspine/openspine/fhir/validate"
	"github.com/openspine/openspine/internal/spectest"
)

// faulty are the published examples that break R4, each with what is wrong in it and the place of the first error.
// A published example that is not listed must be valid; a listed one must fail as the table says.
var faulty = map[string]struct{ at, reason string }{
	"bundle-questionnaire.json":       {"Questionnaire.item[0].item[0].linkId", "the items have no linkId, which R4 requires"},
	"codesystem-example.json":         {"CodeSystem", "rule csd-1: two concepts have the code chol-mass"},
	"devicemetric-example.json":       {"DeviceMetric.parent.reference", "parent refers to a DeviceDefinition; R4 allows a Device"},
	"deviceusestatement-example.json": {"DeviceUseStatement.reasonReference[0].reference", "the reason is a Procedure, which R4 does not allow"},
	"medicationrequest0301.json":      {"MedicationRequest.dispenseRequest.performer.reference", "the performer is a Practitioner; R4 allows an Organization"},

	"Extension-UKCore-ConditionEpisode-Example.xml":           {"", "an extension has two values, valueCode and valueCodeableConcept; it is refused while it is read"},
	"UKCore-MedicationDispense-Amoxicillin-Example.xml":       {"MedicationDispense.authorizingPrescription[0].reference", "the reference is an id without a type"},
	"UKCore-MedicationDispense-CiprofloxacinIV-Example.xml":   {"MedicationDispense.authorizingPrescription[0].reference", "the reference is an id without a type"},
	"UKCore-MedicationDispense-CiprofloxacinOral-Example.xml": {"MedicationDispense.authorizingPrescription[0].reference", "the reference is an id without a type"},
	"UKCore-Provenance-RARecordConsent-Example.xml":           {"Provenance.agent[0].onBehalfOf.reference", "the reference is a type followed by a profile's URL"},
}

// read reads an example in either format.
func read(t testing.TB, file string) (*fhir.Resource, error) {
	t.Helper()
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if filepath.Ext(file) == ".xml" {
		return fhirxml.Decode(b, definition.R4())
	}
	return fhir.Parse(b)
}

// published lists the examples of a folder of the specifications.
func published(t testing.TB, folder string) []string {
	t.Helper()
	files, err := filepath.Glob(filepath.Join(spectest.Dir(t), folder, "*"))
	if err != nil {
		t.Fatal(err)
	}
	files = slices.DeleteFunc(files, func(f string) bool {
		return filepath.Ext(f) != ".xml" && filepath.Ext(f) != ".json"
	})
	if len(files) == 0 {
		t.Fatalf("there are no examples in %s", folder)
	}
	return files
}

func TestPublishedExamples(t *testing.T) {
	for _, folder := range []string{"fhir-test-cases/r4/examples", "ukcore/examples"} {
		for _, level := range []string{"structure", "full"} {
			valid, warnings := 0, map[string]int{}
			files := published(t, folder)
			for _, file := range files {
				issues := check(t, file, level == "structure")
				if !validate.Fails(issues) {
					valid++
				}
				for _, i := range issues {
					if i.Severity == "warning" {
						_, rule, _ := strings.Cut(i.Diagnostics, "(rule ")
						warnings[strings.TrimSuffix(rule, ").")]++
					}
				}
			}
			t.Logf("%s, %s: %d of %d valid, warnings by rule %v", folder, level, valid, len(files), warnings)
		}
	}
}

// check validates one example and holds the result to the table.
func check(t *testing.T, file string, structure bool) []issue {
	t.Helper()
	name := filepath.Base(file)
	known, isFaulty := faulty[name]
	r, err := read(t, file)
	if err != nil {
		if !isFaulty || known.at != "" {
			t.Errorf("%s cannot be read: %v", name, err)
		}
		return []issue{{Severity: "fatal"}}
	}
	issues := validate.Validate(t.Context(), r, validate.Options{Structure: structure})
	var first *issue
	for i := range issues {
		if issues[i].Severity == "error" {
			first = &issues[i]
			break
		}
	}
	switch {
	case first == nil && isFaulty && !(structure && strings.HasPrefix(known.reason, "rule ")):
		t.Errorf("%s is valid, but is listed as faulty: %s", name, known.reason)
	case first != nil && !isFaulty:
		t.Errorf("%s: %s", name, show(*first))
	case first != nil && first.Expression[0] != known.at:
		t.Errorf("%s: %s, but the table expects %s", name, show(*first), known.at)
	}
	return issues
}

func show(i issue) string {
	return fmt.Sprintf("%s %s %s: %s", i.Severity, i.Code, strings.Join(i.Expression, ","), i.Diagnostics)
}
