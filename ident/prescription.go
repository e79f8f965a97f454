package ident

import (
	"encoding/hex"
	"io"
	"strings"

	"github.com/openspine/openspine/fault"
)

// PrescriptionID is the short form of a prescription's id, XXXXXX-OOOOOO-XXXXXC: six hexadecimal digits, the
// prescribing organisation's ODS code filled with zeros on the left to six, five hexadecimal digits and a check
// character by ISO 7064 MOD 37-2, computed without the hyphens.
type PrescriptionID struct{ s string }

const mod37 = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ+"

// ParsePrescriptionID reads the id with its hyphens; small letters are read as capitals.
func ParsePrescriptionID(s string) (PrescriptionID, error) {
	if len(s) != 20 || s[6] != '-' || s[13] != '-' {
		return PrescriptionID{}, invalid("a prescription id has the form XXXXXX-XXXXXX-XXXXXX")
	}
	for i := range len(s) {
		if c := s[i]; !isAlnum(c) && c != '-' && (c != '+' || i != 19) {
			return PrescriptionID{}, invalid("a prescription id holds letters, digits and perhaps a last plus sign; character %d is something else", i+1)
		}
	}
	s = strings.ToUpper(s)
	if !allHex(s[:6]) || !allHex(s[14:19]) || strings.ContainsRune(s[7:13], '-') {
		return PrescriptionID{}, invalid("a prescription id begins with six and ends with five hexadecimal digits and a check character")
	}
	if checkCharacter(s[:19]) != s[19] {
		return PrescriptionID{}, invalid("the prescription id's check character is wrong; compare it with the printed token")
	}
	return PrescriptionID{s}, nil
}

// NewPrescriptionID makes an id for a prescription of the given organisation from six bytes of random.
// An organisation whose code has more than six characters cannot prescribe: fault.Invalid.
func NewPrescriptionID(random io.Reader, prescriber ODSCode) (PrescriptionID, error) {
	if prescriber.IsZero() || len(prescriber.s) > 6 {
		return PrescriptionID{}, invalid("a prescription id needs its organisation's ODS code of at most six characters")
	}
	var b [6]byte
	if _, err := io.ReadFull(random, b[:]); err != nil {
		return PrescriptionID{}, fault.Wrap(err, fault.Internal, "no randomness for a prescription id")
	}
	h := strings.ToUpper(hex.EncodeToString(b[:]))
	s := h[:6] + "-" + strings.Repeat("0", 6-len(prescriber.s)) + prescriber.s + "-" + h[6:11]
	return PrescriptionID{s + string(checkCharacter(s))}, nil
}

// checkCharacter is ISO 7064 MOD 37-2 over s, hyphens left out.
func checkCharacter(s string) byte {
	p := 0
	for i := range len(s) {
		if s[i] != '-' {
			p = (p + strings.IndexByte(mod37, s[i])) * 2 % 37
		}
	}
	return mod37[(38-p)%37]
}

func allHex(s string) bool {
	for i := range len(s) {
		if c := s[i]; (c < '0' || c > '9') && (c < 'A' || c > 'F') {
			return false
		}
	}
	return true
}

// Prescriber is the ODS code inside the id, without its filling zeros.
func (p PrescriptionID) Prescriber() (ODSCode, error) {
	if p.s == "" {
		return ODSCode{}, invalid("there is no prescription id")
	}
	code := strings.TrimLeft(p.s[7:13], "0")
	return ParseODSCode(code)
}

// String is the id with its hyphens, in capitals.
func (p PrescriptionID) String() string { return p.s }

// Display is the id with its hyphens, as printed on the token.
func (p PrescriptionID) Display() string { return p.s }

// IsZero reports that there is no id.
func (p PrescriptionID) IsZero() bool { return p.s == "" }

// MarshalText is the id.
func (p PrescriptionID) MarshalText() ([]byte, error) { return []byte(p.s), nil }

// UnmarshalText is ParsePrescriptionID; an empty text is none.
func (p *PrescriptionID) UnmarshalText(b []byte) error { return unmarshal(p, b, ParsePrescriptionID) }
