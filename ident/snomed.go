package ident

// SNOMED is a SNOMED CT identifier (SCTID): 6 to 18 digits, of which the last is a check digit by Verhoeff's scheme
// and the two before it the partition, which says what is named and whether a namespace of seven digits precedes it
// (SNOMED CT Release File Specification, "SCTID Representation"). Codes of dm+d are such identifiers too.
type SNOMED struct{ s string }

// Component is what a SNOMED CT identifier names.
type Component uint8

// The components that SNOMED CT gives identifiers to.
const (
	Concept      Component = 0
	Description  Component = 1
	Relationship Component = 2
)

// String is the component's name in small letters.
func (c Component) String() string {
	return [...]string{"concept", "description", "relationship", "unknown"}[min(c, 3)]
}

// ParseSNOMED reads an identifier of any component.
func ParseSNOMED(s string) (SNOMED, error) {
	if len(s) < 6 || len(s) > 18 {
		return SNOMED{}, invalid("a SNOMED CT id has 6 to 18 digits; what was given has %d characters", len(s))
	}
	if !allDigits(s) || s[0] == '0' {
		return SNOMED{}, invalid("a SNOMED CT id holds digits only and does not begin with 0")
	}
	long, component := s[len(s)-3], s[len(s)-2]
	if long > '1' || component > '2' {
		return SNOMED{}, invalid("the SNOMED CT id's partition %q is none of 00, 01, 02, 10, 11 and 12", s[len(s)-3:len(s)-1])
	}
	if long == '1' && len(s) < 11 {
		return SNOMED{}, invalid("a SNOMED CT id with a namespace has at least 11 digits")
	}
	if !verhoeff(s) {
		return SNOMED{}, invalid("the SNOMED CT id's check digit is wrong")
	}
	return SNOMED{s}, nil
}

// MustSNOMED is ParseSNOMED for a literal; it panics on a wrong one.
func MustSNOMED(s string) SNOMED { return must(ParseSNOMED(s)) }

// verhoeff reports whether the digits of s, the check digit last, are consistent.
func verhoeff(s string) bool {
	c := byte(0)
	for i := range len(s) {
		c = dihedral[c][permuted[i%8][s[len(s)-1-i]-'0']]
	}
	return c == 0
}

// dihedral is the multiplication of the dihedral group of order ten.
var dihedral = [10][10]byte{
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
	{1, 2, 3, 4, 0, 6, 7, 8, 9, 5},
	{2, 3, 4, 0, 1, 7, 8, 9, 5, 6},
	{3, 4, 0, 1, 2, 8, 9, 5, 6, 7},
	{4, 0, 1, 2, 3, 9, 5, 6, 7, 8},
	{5, 9, 8, 7, 6, 0, 4, 3, 2, 1},
	{6, 5, 9, 8, 7, 1, 0, 4, 3, 2},
	{7, 6, 5, 9, 8, 2, 1, 0, 4, 3},
	{8, 7, 6, 5, 9, 3, 2, 1, 0, 4},
	{9, 8, 7, 6, 5, 4, 3, 2, 1, 0},
}

// permuted is Verhoeff's permutation applied 0 to 7 times.
var permuted = [8][10]byte{
	{0, 1, 2, 3, 4, 5, 6, 7, 8, 9},
	{1, 5, 7, 6, 2, 8, 3, 0, 9, 4},
	{5, 8, 0, 3, 7, 9, 6, 1, 4, 2},
	{8, 9, 1, 6, 0, 4, 3, 5, 2, 7},
	{9, 4, 5, 3, 1, 2, 6, 8, 7, 0},
	{4, 2, 8, 6, 5, 7, 3, 9, 0, 1},
	{2, 7, 9, 3, 8, 0, 6, 4, 1, 5},
	{7, 0, 4, 6, 9, 1, 3, 2, 5, 8},
}

// String is the digits.
func (c SNOMED) String() string { return c.s }

// Display is the digits.
func (c SNOMED) Display() string { return c.s }

// IsZero reports that there is no code.
func (c SNOMED) IsZero() bool { return c.s == "" }

// Component is what the identifier names; a zero id names an unknown thing.
func (c SNOMED) Component() Component {
	if c.s == "" {
		return 3
	}
	return Component(c.s[len(c.s)-2] - '0')
}

// Namespace is the seven digits of the extension's namespace, or empty for the international core.
func (c SNOMED) Namespace() string {
	if c.s == "" || c.s[len(c.s)-3] != '1' {
		return ""
	}
	return c.s[len(c.s)-10 : len(c.s)-3]
}

// MarshalText is the digits.
func (c SNOMED) MarshalText() ([]byte, error) { return []byte(c.s), nil }

// UnmarshalText is ParseSNOMED; an empty text is none.
func (c *SNOMED) UnmarshalText(b []byte) error { return unmarshal(c, b, ParseSNOMED) }
