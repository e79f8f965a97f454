package fhirpath_test

import (
	"context"
	"fmt"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/fhirpath"
)

func Example() {
	patient, err := fhir.Parse([]byte(`{"resourceType":"Patient","name":[{"use":"usual","given":["Jim"]},{"use":"official","given":["Peter","James"],"family":"Chalmers"}]}`))
	if err != nil {
		panic(err)
	}
	expr := fhirpath.MustCompile("Patient.name.where(use = 'official').given")
	given, err := expr.Eval(context.Background(), fhirpath.On(patient))
	if err != nil {
		panic(err)
	}
	for _, v := range given {
		fmt.Println(v.Path(), v.Type(), v)
	}
	// Output:
	// name[1].given[0] FHIR.string Peter
	// name[1].given[1] FHIR.string James
}

func ExampleExpression_Test() {
	patient, err := fhir.Parse([]byte(`{"resourceType":"Patient","contact":[{"gender":"female"}]}`))
	if err != nil {
		panic(err)
	}
	rule := fhirpath.MustCompile("contact.all(name.exists() or telecom.exists() or address.exists() or organization.exists())")
	holds, known, err := rule.Test(context.Background(), fhirpath.On(patient))
	fmt.Println(holds, known, err)
	// Output: false true <nil>
}

func ExampleWithType() {
	_, err := fhirpath.Compile("Patient.name.givn", fhirpath.WithType("Patient"))
	fmt.Println(err != nil)
	// Output: true
}
