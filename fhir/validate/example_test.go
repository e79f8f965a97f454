package validate_test

import (
	"context"
	"fmt"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/validate"
)

func ExampleValidate() {
	r, err := fhir.Parse([]byte(`{"resourceType":"Patient","gender":"F","birthDate":"1950-02-31","contact":[{"gender":"male"}]}`))
	if err != nil {
		fmt.Println(err)
		return
	}
	for _, i := range validate.Validate(context.Background(), r, validate.Options{}) {
		fmt.Println(i.Severity, i.Expression[0]+":", i.Diagnostics)
	}
	// Output:
	// error Patient.gender: 'F' is not a code for gender. Use one of male, female, other, unknown (value set administrative-gender).
	// error Patient.birthDate: birthDate names a day that is not in the calendar.
	// error Patient.contact[0]: A patient's contact needs a name, a telecom, an address or an organisation (rule pat-1).
}
