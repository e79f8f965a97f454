package catalogue_test

import (
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/internal/catalogue"
)

func TestWhatDoesNotKeepToR4IsNotSound(t *testing.T) {
	k := catalogue.Kernel{Definitions: definition.R4()}
	for text, want := range map[string]string{
		`{"resourceType":"Patient","gender":"male","birthDate":"1978-06-05"}`: "",
		`{"resourceType":"Patient","gender":"male","birthDate":"05/06/1978"}`: "Patient.birthDate",
		`{"resourceType":"Observation","code":{"text":"Weight"}}`:             "Observation.status",
		`{"resourceType":"Patient","contact":[{"gender":"male"}]}`:            "Patient.contact[0]", // pat-1
	} {
		r, err := fhir.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		err = k.Sound(t.Context(), r)
		if want == "" {
			if err != nil {
				t.Errorf("%s: %v", text, err)
			}
			continue
		}
		issues := fault.IssuesOf(err)
		if !fault.Is(err, fault.Unprocessable) || len(issues) == 0 || issues[0].Expression[0] != want {
			t.Errorf("%s: %v %+v", text, err, issues)
		}
	}
}

// A correction answers for what it breaks, not for what was broken in an old record.
func TestACorrectionIsNotBlamedForWhatWasThere(t *testing.T) {
	k := catalogue.Kernel{Definitions: definition.R4()}
	read := func(text string) *fhir.Resource {
		r, err := fhir.Parse([]byte(text))
		if err != nil {
			t.Fatal(err)
		}
		return r
	}
	old := read(`{"resourceType":"Patient","contact":[{"gender":"male"}]}`)
	for text, taken := range map[string]bool{
		`{"resourceType":"Patient","gender":"male","contact":[{"gender":"male"}]}`:              true,
		`{"resourceType":"Patient","contact":[{"name":{"text":"A"}},{"gender":"male"}]}`:        true,
		`{"resourceType":"Patient","contact":[{"gender":"male"},{"gender":"female"}]}`:          false,
		`{"resourceType":"Patient","contact":[{"gender":"male"}],"telecom":[{"value":"0123"}]}`: false,
		`{"resourceType":"Patient","birthDate":"31/12/1999","contact":[{"gender":"male"}]}`:     false,
	} {
		if err := k.Sound(t.Context(), read(text), old); (err == nil) != taken {
			t.Errorf("%s: %v", text, err)
		}
		if err := k.Sound(t.Context(), read(text)); err == nil {
			t.Errorf("%s is taken by itself", text)
		}
	}
}
