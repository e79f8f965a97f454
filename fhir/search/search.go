// Package search says by what a resource can be found: the values that FHIR's search parameters draw from it, in the form
// in which a search compares them.
//
// A clerk who types "siân oneill, born in March 1970" should find Siân O’Neill; so names come folded, a date comes as the
// span of time that it covers, a measured value as the range that its digits allow, and a code with the system that gives it meaning.
//
//	entries, err := search.Extract(resource)
//	for _, e := range entries {
//		switch v := e.Value.(type) {
//		case search.Token: … // identifier=https://fhir.nhs.uk/Id/nhs-number|9990000018
//		case search.Date:  … // birthdate=ge1970-03
//		}
//	}
//
// Which parameters there are and what each looks at is taken from the definitions; their FHIRPath is compiled once per
// type and process. The same forms are offered for what a caller searches with: Fold, ParseDate, ParseNumber,
// ParseReference, Canonical. Meaning of each kind: https://hl7.org/fhir/R4/search.html.
package search

import (
	"math"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
)

// Entry is one value by which a resource is found under one parameter. A resource may have many under the same.
type Entry struct {
	// Code is the parameter's name: "birthdate".
	Code string
	// Value is a Token, String, Date, Number, Quantity, Reference, URI, Composite or Near.
	Value Value
}

// Value is one of the kinds of value that this package lists.
type Value interface{ value() }

// Token is a code, an identifier, a boolean or a contact number.
type Token struct {
	// System gives the code its meaning; "" if the document names none.
	System string
	// Implied is the one system that the definitions let an element of type code take its values from: a search may
	// name it although the document does not ("gender=http://hl7.org/fhir/administrative-gender|male").
	Implied string
	// Code is the code or the identifier's value, exactly as written; "" if there is only text.
	Code string
	// Text is what people read: a coding's display, a concept's text, an identifier's type; for :text.
	Text string
	// Types are the codings of an identifier's type, for :of-type. Their Text is not set.
	Types []Coding
}

// Coding is a code in a system.
type Coding struct{ System, Code string }

// String is a piece of text, such as a family name or one line of an address.
type String struct {
	// Folded is the text as Fold gives it, for a search without modifier and for :contains.
	Folded string
	// Text is as written, for :exact.
	Text string
}

// Date is the span of time that a date, an instant, a period or a timing covers, in microseconds since 1970-01-01 UTC.
type Date struct {
	// Lo is the first microsecond and Hi the last. An open end is Beginning or Forever.
	Lo, Hi int64
}

// Beginning and Forever stand for the open ends of a period.
const (
	Beginning = math.MinInt64
	Forever   = math.MaxInt64
)

// Number is the range that a number's digits allow: 100 is from 99.5 to 100.5, and 100.0 from 99.95 to 100.05.
type Number struct {
	// Lo is included and Hi is not, except that an integer element is exact: Lo, Value and Hi are then one number.
	Lo, Hi float64
	// Value is the number itself; for a range, its middle if it has two ends.
	Value float64
}

// Quantity is a number with its unit.
type Quantity struct {
	Number
	// System and Code identify the unit; for money the system is Currencies. Unit is what people read.
	System, Code, Unit string
	// Base is the same quantity in the unit's base form, for searches in another unit of the same kind (mg and g);
	// its Code is "" if the unit is not one that this package converts.
	Base Measure
}

// Measure is a range in a base unit of UCUM.
type Measure struct {
	Number
	Code string
}

// Systems that are implied by the type of a value.
const (
	UCUM       = "http://unitsofmeasure.org"
	Currencies = "urn:iso:std:iso:4217"
)

// Reference points at another resource.
type Reference struct {
	// URL is as written, without version and fragment: "Patient/1", "https://example.org/FHIR/R4/Patient/1",
	// "urn:uuid:…", or a canonical URL. "" if there is only an identifier.
	URL string
	// Base is what stands before type and id in an absolute URL, with the slash; "" for a relative one.
	Base string
	// Type and ID are those of the target, if the URL has the form of a resource's address or Reference.type tells the type.
	Type, ID string
	// Version is the version asked for: "2" of Patient/1/_history/2, or "1.0" of a canonical "http://…|1.0".
	Version string
	// Identifier is the business identifier of the target, for :identifier; its Code is "" if there is none.
	Identifier Token
}

// Relative reports whether the target is in the same place as the resource itself.
func (r Reference) Relative() bool { return r.Base == "" && r.Type != "" && r.ID != "" }

// URI is an absolute address. It is compared exactly, or by its beginning for :below.
type URI struct{ URI string }

// Composite is one combination of the values of a composite parameter's components, in their order.
type Composite struct{ Parts []Value }

// Near is a place on earth, in degrees (WGS 84).
type Near struct{ Latitude, Longitude float64 }

func (Token) value()     {}
func (String) value()    {}
func (Date) value()      {}
func (Number) value()    {}
func (Quantity) value()  {}
func (Reference) value() {}
func (URI) value()       {}
func (Composite) value() {}
func (Near) value()      {}

// Extract draws the values of every search parameter of the resource's type, by R4's own definitions: see Index.Extract.
func Extract(r *fhir.Resource) ([]Entry, error) { return For(definition.R4()).Extract(r) }

// Compartments lists whose compartments the resource belongs to, by R4's own definitions: see Index.Compartments.
func Compartments(r *fhir.Resource) []Membership { return For(definition.R4()).Compartments(r) }
