package match

import (
	"encoding/binary"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/search"
)

// Person is what is compared of a record: folded (search.Fold), what holds now first and former values after it. The zero
// Person has nothing and matches nobody.
type Person struct {
	Birth Date
	Death Date
	// Gender is 'm', 'f', 'o' or 0 for unknown.
	Gender byte
	// Names holds now first; there is none, or one at least.
	Names []Name
	// Places holds now first.
	Places []Place
	// Numbers are telephone numbers as digits and e-mail addresses, in no order.
	Numbers []string
}

// Name is one name that a person has or had.
type Name struct {
	Family string
	// Given are the given names in order, with a space between; a double name holds a hyphen instead.
	Given string
	// Former marks a name that no longer holds.
	Former bool
}

// Place is one address.
type Place struct {
	// Postcode without its space.
	Postcode string
	// Line is the first line.
	Line   string
	Former bool
}

// The most that is kept of a person: what lies beyond is left out of the comparison.
const (
	maxNames, maxPlaces, maxNumbers = 6, 6, 6
	maxText                         = 60
)

// FromPatient takes the features from a FHIR Patient. Names and addresses with use "old", or that have ended before day
// (yyyy-mm-dd; "" for none), are former. Temporary addresses are left out.
func FromPatient(r *fhir.Resource, day string) Person {
	p := Person{
		Birth:  ParseDate(r.Get("birthDate").String()),
		Death:  ParseDate(r.Get("deceasedDateTime").String()),
		Gender: genderOf(r.Get("gender").String()),
	}
	for n := range r.Get("name").Items() {
		p.addName(n, day)
	}
	for a := range r.Get("address").Items() {
		p.addPlace(a, day)
	}
	for t := range r.Get("telecom").Items() {
		if v := Number(t.Field("system").String(), t.Field("value").String()); v != "" && len(p.Numbers) < maxNumbers && !ended(t, day) {
			p.Numbers = append(p.Numbers, v)
		}
	}
	return p
}

func genderOf(s string) byte {
	switch s {
	case "male", "female", "other":
		return s[0]
	}
	return 0
}

// ended reports whether an element no longer holds on day.
func ended(n fhir.Node, day string) bool {
	if n.Field("use").String() == "old" {
		return true
	}
	end := n.Get("period.end").String()
	return end != "" && day != "" && len(end) >= len("2006-01-02") && end[:10] < day
}

// NameOf is a name as it is compared, of one as it is written.
func NameOf(family string, given []string, former bool) Name {
	var list []string
	for _, g := range given {
		if folded := cut(search.Fold(g)); folded != "" && !placeholders[folded] {
			list = append(list, strings.ReplaceAll(folded, " ", "-"))
		}
	}
	return Name{Family: cut(bare(search.Fold(family))), Given: cut(strings.Join(list, " ")), Former: former}
}

func (p *Person) addName(n fhir.Node, day string) {
	var given []string
	for g := range n.Field("given").Items() {
		given = append(given, g.String())
	}
	name := NameOf(n.Field("family").String(), given, ended(n, day))
	if name.Family == "" && name.Given == "" || len(p.Names) == maxNames {
		return
	}
	p.Names = append(p.Names, name)
	if i := len(p.Names) - 1; !name.Former && p.Names[0].Former {
		p.Names[0], p.Names[i] = p.Names[i], p.Names[0]
	}
}

// placeholders stand where a given name is not known yet: a newborn's, or that of somebody found unconscious.
var placeholders = map[string]bool{
	"baby": true, "infant": true, "newborn": true, "boy": true, "girl": true, "male": true, "female": true, "twin": true, "twin 1": true, "twin 2": true,
	"baby boy": true, "baby girl": true, "unknown": true, "not known": true, "unnamed": true, "mr": true, "mrs": true, "ms": true, "miss": true,
}

// bare is a family name without apostrophes, hyphens and spaces, which are typed or not as people please.
func bare(s string) string {
	return strings.Map(func(r rune) rune {
		switch r {
		case '\'', '-', ' ', '.':
			return -1
		}
		return r
	}, s)
}

// cut is s, or as much of it as is compared.
func cut(s string) string {
	if len(s) <= maxText {
		return s
	}
	return strings.ToValidUTF8(s[:maxText], "")
}

func (p *Person) addPlace(a fhir.Node, day string) {
	if a.Field("use").String() == "temp" || len(p.Places) == maxPlaces {
		return
	}
	place := Place{Postcode: Postcode(a.Field("postalCode").String()), Former: ended(a, day)}
	for l := range a.Field("line").Items() {
		if place.Line = cut(bare(search.Fold(l.String()))); place.Line != "" {
			break
		}
	}
	if place.Postcode == "" && place.Line == "" {
		return
	}
	p.Places = append(p.Places, place)
	if i := len(p.Places) - 1; !place.Former && p.Places[0].Former {
		p.Places[0], p.Places[i] = p.Places[i], p.Places[0]
	}
}

// Postcode is a postcode as it is compared: lower case, letters and digits only.
func Postcode(s string) string {
	return cut(strings.Map(func(r rune) rune {
		if r >= 'a' && r <= 'z' || r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, strings.ToLower(s)))
}

// Outward is the part of a compared postcode that names its district: all but the last three characters.
func Outward(postcode string) string {
	if len(postcode) < 5 {
		return ""
	}
	return postcode[:len(postcode)-3]
}

// Number is a telephone number as its digits, with the United Kingdom's 44 or 0044 as 0, or an e-mail address in lower case.
func Number(system, value string) string {
	switch system {
	case "email":
		return cut(search.Fold(value))
	case "phone", "sms", "fax":
	default:
		return ""
	}
	digits := strings.Map(func(r rune) rune {
		if r >= '0' && r <= '9' {
			return r
		}
		return -1
	}, value)
	digits = strings.TrimPrefix(digits, "00")
	if rest, ok := strings.CutPrefix(digits, "44"); ok && len(rest) >= 9 {
		digits = "0" + strings.TrimPrefix(rest, "0")
	}
	if len(digits) < 6 {
		return ""
	}
	return cut(digits)
}

// Append adds p to b in a compact form (some 90 bytes) that Decode reads.
func (p *Person) Append(b []byte) []byte {
	b = append(b, 1, p.Gender)
	b = binary.LittleEndian.AppendUint32(b, uint32(p.Birth))
	b = binary.LittleEndian.AppendUint32(b, uint32(p.Death))
	b = append(b, byte(len(p.Names)), byte(len(p.Places)), byte(len(p.Numbers)))
	for _, n := range p.Names {
		b = appendText(appendText(append(b, bit(n.Former)), n.Family), n.Given)
	}
	for _, pl := range p.Places {
		b = appendText(appendText(append(b, bit(pl.Former)), pl.Postcode), pl.Line)
	}
	for _, n := range p.Numbers {
		b = appendText(b, n)
	}
	return b
}

func bit(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func appendText(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }

// Decode makes p what Append wrote, reusing what p holds; its texts share memory with b. Errors: fault.Invalid.
func (p *Person) Decode(b string) error {
	broken := fault.New(fault.Invalid, "The features of a person cannot be read.")
	if len(b) < 13 || b[0] != 1 {
		return broken
	}
	p.Gender = b[1]
	p.Birth, p.Death = Date(number(b[2:])), Date(number(b[6:]))
	names, places, numbers := int(b[10]), int(b[11]), int(b[12])
	p.Names, p.Places, p.Numbers = p.Names[:0], p.Places[:0], p.Numbers[:0]
	in := reader{rest: b[13:], ok: names <= maxNames && places <= maxPlaces && numbers <= maxNumbers}
	for i := 0; i < names && in.ok; i++ {
		former, family, given := in.flag(), in.text(), in.text()
		p.Names = append(p.Names, Name{family, given, former})
	}
	for i := 0; i < places && in.ok; i++ {
		former, postcode, line := in.flag(), in.text(), in.text()
		p.Places = append(p.Places, Place{postcode, line, former})
	}
	for i := 0; i < numbers && in.ok; i++ {
		p.Numbers = append(p.Numbers, in.text())
	}
	if !in.ok || in.rest != "" {
		return broken
	}
	return nil
}

func number(b string) uint32 {
	return uint32(b[0]) | uint32(b[1])<<8 | uint32(b[2])<<16 | uint32(b[3])<<24
}

// reader takes values from the front of a text.
type reader struct {
	rest string
	ok   bool
}

func (r *reader) flag() bool {
	if len(r.rest) == 0 {
		r.ok = false
		return false
	}
	f := r.rest[0] == 1
	r.ok = r.ok && r.rest[0] <= 1
	r.rest = r.rest[1:]
	return f
}

func (r *reader) text() string {
	if len(r.rest) == 0 || len(r.rest) < 1+int(r.rest[0]) {
		r.ok = false
		return ""
	}
	n := int(r.rest[0])
	s := r.rest[1 : 1+n]
	r.rest = r.rest[1+n:]
	return s
}
