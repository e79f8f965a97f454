package definition_test

import (
	"fmt"

	"github.com/openspine/openspine/fhir/definition"
)

func ExampleType_Element() {
	observation := definition.R4().Type("Observation")
	el, typ, ok := observation.Element("valueQuantity")
	fmt.Println(el.Path, typ, ok)
	_, _, ok = observation.Element("valueMoney")
	fmt.Println(ok)
	// Output:
	// Observation.value[x] Quantity true
	// false
}

func ExampleCodeSystem_Below() {
	cs := definition.R4().CodeSystem("http://terminology.hl7.org/CodeSystem/condition-clinical")
	fmt.Println(cs.Below("active"))
	// Output: [active recurrence relapse]
}
