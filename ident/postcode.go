package ident

import "strings"

// Postcode is a postcode of the United Kingdom, an outward code (area and district) and an inward code (sector and
// unit), in one of the six forms of BS 7666: A9, A99, AA9, AA99, A9A and AA9A before a space and 9AA; and GIR 0AA.
// Its form is checked, not whether post is delivered there.
type Postcode struct{ s string }

// ParsePostcode reads a postcode with or without its space, in capitals or small letters.
func ParsePostcode(s string) (Postcode, error) {
	if len(s) > 16 {
		return Postcode{}, invalid("a postcode has 5 to 7 letters and digits; what was given is too long")
	}
	c := strings.ToUpper(strings.ReplaceAll(s, " ", ""))
	if len(c) < 5 || len(c) > 7 {
		return Postcode{}, invalid("a postcode has 5 to 7 letters and digits; what was given has %d", len(c))
	}
	outward, inward := c[:len(c)-3], c[len(c)-3:]
	if shape(inward) != "9AA" || strings.ContainsAny(inward[1:], "CIKMOV") {
		return Postcode{}, invalid("a postcode ends with a digit and two letters, none of C, I, K, M, O and V")
	}
	switch shape(outward) {
	case "A9", "A99", "AA9", "AA99", "A9A", "AA9A":
	default:
		if c != "GIR0AA" {
			return Postcode{}, invalid("a postcode begins with one or two letters, a digit, and perhaps a digit or letter")
		}
	}
	return Postcode{outward + " " + inward}, nil
}

// shape writes A for a letter, 9 for a digit and ? for anything else.
func shape(s string) string {
	b := make([]byte, len(s))
	for i := range len(s) {
		switch c := s[i]; {
		case c >= '0' && c <= '9':
			b[i] = '9'
		case c >= 'A' && c <= 'Z':
			b[i] = 'A'
		default:
			b[i] = '?'
		}
	}
	return string(b)
}

// Outward is the part before the space: the area and district, by which distances are reckoned.
func (p Postcode) Outward() string {
	outward, _, _ := strings.Cut(p.s, " ")
	return outward
}

// Inward is the part after the space: the sector and unit.
func (p Postcode) Inward() string {
	_, inward, _ := strings.Cut(p.s, " ")
	return inward
}

// Area is the one or two letters with which the outward code begins.
func (p Postcode) Area() string {
	if i := strings.IndexAny(p.s, "0123456789 "); i > 0 {
		return p.s[:i]
	}
	return ""
}

// String is the postcode in capitals with one space.
func (p Postcode) String() string { return p.s }

// Display is the postcode in capitals with one space.
func (p Postcode) Display() string { return p.s }

// IsZero reports that there is no postcode.
func (p Postcode) IsZero() bool { return p.s == "" }

// MarshalText is the postcode.
func (p Postcode) MarshalText() ([]byte, error) { return []byte(p.s), nil }

// UnmarshalText is ParsePostcode; an empty text is none.
func (p *Postcode) UnmarshalText(b []byte) error { return unmarshal(p, b, ParsePostcode) }
