package ident

import (
	"fmt"
	"log/slog"
	"strconv"
	"strings"
)

// INS is a person's number in France: the thirteen characters of the NIR (sex, year and month of birth, department,
// commune, order) and a key of two digits, 97 less the number modulus 97. Corsica's departments 2A and 2B count as
// 19 and 18.
type INS struct{ s string }

// ParseINS reads fifteen characters, with or without spaces; small letters are read as capitals.
func ParseINS(s string) (INS, error) {
	s = strings.ToUpper(strings.ReplaceAll(s, " ", ""))
	if len(s) != 15 {
		return INS{}, invalid("an INS has 13 characters and a key of 2 digits")
	}
	body := s[:13]
	switch s[5:7] {
	case "2A":
		body = s[:5] + "19" + s[7:13]
	case "2B":
		body = s[:5] + "18" + s[7:13]
	}
	if !allDigits(body) || !allDigits(s[13:]) {
		return INS{}, invalid("an INS holds digits only, apart from the departments 2A and 2B")
	}
	if s[0] == '0' || s[0] == '9' {
		return INS{}, invalid("an INS begins with a sex digit from 1 to 8")
	}
	n, err := strconv.ParseUint(body, 10, 64)
	if err != nil || fmt.Sprintf("%02d", 97-n%97) != s[13:] {
		return INS{}, invalid("the INS's key is wrong")
	}
	return INS{s}, nil
}

// String is the fifteen characters.
func (n INS) String() string { return n.s }

// Display is the number in its usual groups: 1 80 12 75 123 456 and the key.
func (n INS) Display() string {
	if n.s == "" {
		return ""
	}
	s := n.s
	return strings.Join([]string{s[:1], s[1:3], s[3:5], s[5:7], s[7:10], s[10:13], s[13:]}, " ")
}

// IsZero reports that there is no number.
func (n INS) IsZero() bool { return n.s == "" }

// LogValue keeps the number out of logs.
func (n INS) LogValue() slog.Value { return hidden(n.s, "[INS]") }

// MarshalText is the fifteen characters.
func (n INS) MarshalText() ([]byte, error) { return []byte(n.s), nil }

// UnmarshalText is ParseINS; an empty text is none.
func (n *INS) UnmarshalText(b []byte) error { return unmarshal(n, b, ParseINS) }

// IHI is a person's Individual Healthcare Identifier in Australia: 16 digits that begin with 800360 and end with a
// check digit by Luhn's formula.
type IHI struct{ s string }

// ParseIHI reads sixteen digits, with or without spaces or hyphens between them.
func ParseIHI(s string) (IHI, error) {
	d, err := digitsOnly(s, "an IHI", 16)
	if err != nil {
		return IHI{}, err
	}
	if d[:6] != "800360" {
		return IHI{}, invalid("an IHI begins with 800360")
	}
	sum := 0
	for i := range 16 {
		v := int(d[i] - '0')
		if i%2 == 0 {
			v *= 2
		}
		sum += v/10 + v%10
	}
	if sum%10 != 0 {
		return IHI{}, invalid("the IHI's check digit is wrong")
	}
	return IHI{d}, nil
}

// String is the sixteen digits.
func (n IHI) String() string { return n.s }

// Display is the number in groups of four.
func (n IHI) Display() string {
	if n.s == "" {
		return ""
	}
	return n.s[:4] + " " + n.s[4:8] + " " + n.s[8:12] + " " + n.s[12:]
}

// IsZero reports that there is no number.
func (n IHI) IsZero() bool { return n.s == "" }

// LogValue keeps the digits out of logs.
func (n IHI) LogValue() slog.Value { return hidden(n.s, "[IHI]") }

// MarshalText is the sixteen digits.
func (n IHI) MarshalText() ([]byte, error) { return []byte(n.s), nil }

// UnmarshalText is ParseIHI; an empty text is none.
func (n *IHI) UnmarshalText(b []byte) error { return unmarshal(n, b, ParseIHI) }

func hidden(s, instead string) slog.Value {
	if s == "" {
		return slog.StringValue("")
	}
	return slog.StringValue(instead)
}
