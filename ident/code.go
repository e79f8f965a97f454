package ident

import "strings"

// ODSCode names an organisation or one of its sites: 3 to 12 of A–Z and 0–9. It names tenants too.
type ODSCode struct{ s string }

// ParseODSCode reads a code; small letters are read as capitals.
func ParseODSCode(s string) (ODSCode, error) {
	if len(s) < 3 || len(s) > 12 {
		return ODSCode{}, invalid("an ODS code has 3 to 12 characters; what was given has %d", len(s))
	}
	for i := range len(s) {
		if !isAlnum(s[i]) {
			return ODSCode{}, invalid("an ODS code holds letters A to Z and digits only; character %d is something else", i+1)
		}
	}
	return ODSCode{strings.ToUpper(s)}, nil
}

// MustODSCode is ParseODSCode for a literal; it panics on a wrong one.
func MustODSCode(s string) ODSCode { return must(ParseODSCode(s)) }

func isAlnum(c byte) bool {
	return c >= '0' && c <= '9' || c >= 'A' && c <= 'Z' || c >= 'a' && c <= 'z'
}

// String is the code in capitals.
func (c ODSCode) String() string { return c.s }

// Display is the code in capitals.
func (c ODSCode) Display() string { return c.s }

// IsZero reports that there is no code.
func (c ODSCode) IsZero() bool { return c.s == "" }

// MarshalText is the code.
func (c ODSCode) MarshalText() ([]byte, error) { return []byte(c.s), nil }

// UnmarshalText is ParseODSCode; an empty text is none.
func (c *ODSCode) UnmarshalText(b []byte) error { return unmarshal(c, b, ParseODSCode) }

// UBRN is a referral's Unique Booking Reference Number: 12 digits.
type UBRN struct{ s string }

// ParseUBRN reads twelve digits, with or without spaces or hyphens between them.
func ParseUBRN(s string) (UBRN, error) {
	d, err := digitsOnly(s, "a UBRN", 12)
	return UBRN{d}, err
}

// MustUBRN is ParseUBRN for a literal; it panics on a wrong one.
func MustUBRN(s string) UBRN { return must(ParseUBRN(s)) }

// String is the twelve digits.
func (u UBRN) String() string { return u.s }

// Display is the number as people read it: 0000 0000 0000.
func (u UBRN) Display() string {
	if u.s == "" {
		return ""
	}
	return u.s[:4] + " " + u.s[4:8] + " " + u.s[8:]
}

// IsZero reports that there is no reference.
func (u UBRN) IsZero() bool { return u.s == "" }

// MarshalText is the twelve digits.
func (u UBRN) MarshalText() ([]byte, error) { return []byte(u.s), nil }

// UnmarshalText is ParseUBRN; an empty text is none.
func (u *UBRN) UnmarshalText(b []byte) error { return unmarshal(u, b, ParseUBRN) }

// FHIRID is the logical id of a FHIR resource: 1 to 64 of A–Z, a–z, 0–9, hyphen and full stop
// (https://hl7.org/fhir/R4/datatypes.html#id).
type FHIRID struct{ s string }

// ParseFHIRID reads an id; capitals and small letters differ.
func ParseFHIRID(s string) (FHIRID, error) {
	if s == "" || len(s) > 64 {
		return FHIRID{}, invalid("a resource id has 1 to 64 characters; what was given has %d", len(s))
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '-' && c != '.' {
			return FHIRID{}, invalid("a resource id holds letters, digits, hyphens and full stops only; character %d is something else", i+1)
		}
	}
	return FHIRID{s}, nil
}

// String is the id.
func (f FHIRID) String() string { return f.s }

// IsZero reports that there is no id.
func (f FHIRID) IsZero() bool { return f.s == "" }

// MarshalText is the id.
func (f FHIRID) MarshalText() ([]byte, error) { return []byte(f.s), nil }

// UnmarshalText is ParseFHIRID; an empty text is none.
func (f *FHIRID) UnmarshalText(b []byte) error { return unmarshal(f, b, ParseFHIRID) }
