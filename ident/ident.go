// Package ident is how care names things: a person by a number with a check digit, an organisation by a code, a
// referral, a prescription, a concept, an image. A wrong digit here is somebody else's record, so each kind of
// name is a type of its own that only its Parse function (or its generator) makes: a value that is not zero is
// well formed, and one kind can never be passed for another.
//
// The zero value of each type means "none": it prints as the empty string and marshals as an empty text. Values
// compare with == and serve as map keys. Errors are fault.Invalid; they say what is wrong with the form, and those
// about a person's identifier never repeat its digits.
package ident

import (
	"fmt"

	"github.com/openspine/openspine/fault"
)

// The system URIs under which identifiers stand in FHIR resources.
const (
	// SystemNHSNumber names the NHS number of England, Wales and the Isle of Man.
	SystemNHSNumber = "https://fhir.nhs.uk/Id/nhs-number"
	// SystemODSCode names an organisation or site of the Organisation Data Service.
	SystemODSCode = "https://fhir.nhs.uk/Id/ods-organization-code"
	// SystemUBRN names a referral of the e-Referral Service.
	SystemUBRN = "https://fhir.nhs.uk/Id/UBRN"
	// SystemPrescription names a prescription (the short form of its id).
	SystemPrescription = "https://fhir.nhs.uk/Id/prescription-order-number"
	// SystemINS names a person in France by the NIR (Identité Nationale de Santé).
	SystemINS = "urn:oid:1.2.250.1.213.1.4.8"
	// SystemIHI names a person in Australia (Individual Healthcare Identifier).
	SystemIHI = "http://ns.electronichealth.net.au/id/hi/ihi/1.0"
	// SystemSNOMED is the code system SNOMED CT.
	SystemSNOMED = "http://snomed.info/sct"
	// SystemDMD is the NHS dictionary of medicines and devices, whose codes are SNOMED CT ids.
	SystemDMD = "https://dmd.nhs.uk"
	// SystemUID is the system of an identifier whose value is a DICOM UID as urn:oid:…
	SystemUID = "urn:dicom:uid"
	// SystemURI is the system of an identifier whose value is itself a URI, such as urn:uuid:…
	SystemURI = "urn:ietf:rfc:3986"
)

func invalid(format string, args ...any) error { return fault.New(fault.Invalid, format, args...) }

// must is for the Must functions: literals in tables and tests, where a wrong one is a defect of ours.
func must[T any](v T, err error) T {
	if err != nil {
		panic(fmt.Sprintf("ident: a literal is wrong: %v", err))
	}
	return v
}

// unmarshal reads text with parse; an empty text is none.
func unmarshal[T any](dst *T, text []byte, parse func(string) (T, error)) error {
	if len(text) == 0 {
		var none T
		*dst = none
		return nil
	}
	v, err := parse(string(text))
	if err != nil {
		return err
	}
	*dst = v
	return nil
}

func allDigits(s string) bool {
	for i := range len(s) {
		if s[i] < '0' || s[i] > '9' {
			return false
		}
	}
	return s != ""
}

// digitsOnly takes the spaces and hyphens of a displayed number out of s; it refuses anything else that is not a
// digit, naming the kind of identifier, and anything that has not exactly n digits.
func digitsOnly(s, kind string, n int) (string, error) {
	if len(s) > 4*n {
		return "", invalid("%s has %d digits; what was given is too long", kind, n)
	}
	if len(s) == n && allDigits(s) {
		return s, nil
	}
	out := make([]byte, 0, n)
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			out = append(out, c)
		case c == ' ' || c == '-':
		default:
			return "", invalid("%s holds digits only; character %d is something else", kind, i+1)
		}
	}
	if len(out) != n {
		return "", invalid("%s has %d digits; what was given has %d", kind, n, len(out))
	}
	return string(out), nil
}
