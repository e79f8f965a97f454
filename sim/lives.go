package sim

import (
	"slices"
	"strings"
	"unicode"

	"golang.org/x/text/runes"
	"golang.org/x/text/transform"
	"golang.org/x/text/unicode/norm"
)

// home is where a household lives.
type home struct {
	place    *place
	flat     int
	block    string // the name of a house or block of flats
	number   int
	street   string
	postcode string
	from     Day
	line     string // the telephone
	draw     uint64 // random bits for what the household decides together
}

func (t *town) culture() *culture { return t.k.words.culture(t.r) }

// home finds a house for a household.
func (t *town) home() *home {
	v := t.k.words
	h := &home{place: &v.towns[t.r.IntN(len(v.towns))], number: t.between(1, 140), street: pick(t.r, v.streets) + " " + pick(t.r, v.kinds)}
	switch {
	case t.chance(0.16):
		h.flat, h.block = t.between(1, 40), pick(t.r, v.blocks)
	case t.chance(0.05):
		h.block = pick(t.r, v.houses)
	}
	h.postcode, h.draw = t.postcode(h.place), t.r.Uint64()
	h.from = notZero(t.k.today - Day(t.between(30, 9000)))
	if t.chance(0.7) {
		h.line = t.digits(h.place.phone, 3)
	}
	return h
}

// postcode is one of the place's made-up area, in the letters that inward codes use.
func (t *town) postcode(p *place) string {
	const letters = "ABDEFGHJLNPQRSTUWXYZ"
	b := append([]byte(p.area), number(t.between(1, p.districts))[7:]...)
	if p.districts > 9 {
		b = append([]byte(p.area), strings.TrimLeft(number(t.between(1, p.districts)), "0")...)
	}
	return string(append(b, ' ', byte('0'+t.r.IntN(10)), letters[t.r.IntN(len(letters))], letters[t.r.IntN(len(letters))]))
}

// digits fills a telephone number's reserved beginning with n digits.
func (t *town) digits(prefix string, n int) string {
	b := []byte(strings.ReplaceAll(prefix, " ", ""))
	for range n {
		b = append(b, byte('0'+t.r.IntN(10)))
	}
	return string(b)
}

// address is the home in the lines of a postal address.
func (h *home) address(county string) Address {
	var lines []string
	if h.flat > 0 {
		lines = append(lines, "Flat "+strings.TrimLeft(number(h.flat), "0"))
	}
	if h.block != "" {
		lines = append(lines, h.block)
	}
	lines = append(lines, strings.TrimLeft(number(h.number), "0")+" "+h.street, h.place.name, county)
	return Address{Use: "home", Lines: lines, Postcode: h.postcode, From: h.from}
}

// adult adds a grown person with what only grown people have.
func (t *town) adult(c *culture, h *home, years int, sex, family string) *Person {
	p := t.born(c, h, years, sex)
	if family != "" {
		p.Names[0].Family = family
	}
	if p.Died == 0 && t.chance(0.11) {
		t.moveIn(p, h)
	}
	if years < 80 && t.chance(0.92) || t.chance(0.5) {
		p.Telecoms = append(p.Telecoms, Telecom{System: "phone", Use: "mobile", Value: t.digits(t.k.words.mobile, 3), From: h.from})
	}
	if years < 75 && t.chance(0.6) {
		p.Telecoms = append(p.Telecoms, Telecom{System: "email", Use: "home", Value: t.email(p), From: h.from})
	}
	if p.Names[0].Prefix != "Dr" && t.chance(0.01) {
		p.Names[0].Prefix, p.Names[0].Suffix = "Dr", pick(t.r, [][]string{nil, {"PhD"}, {"MBBS"}, {"BDS"}})
	}
	return p
}

// moveIn says that the person came to the household lately from an address elsewhere.
func (t *town) moveIn(p *Person, h *home) {
	at := notZero(t.k.today - Day(t.between(20, 1500)))
	if at <= p.Born+365 {
		return
	}
	old := t.home().address(t.k.words.county)
	old.Use, old.From, old.To = "old", max(notZero(at-Day(t.between(300, 4000))), p.Born), at-1
	p.Addresses[0].From = at
	p.Addresses = append(p.Addresses, old)
	h.from = min(h.from, at)
}

// born adds a person of the given age in years.
func (t *town) born(c *culture, h *home, years int, sex string) *Person {
	born := t.birthday(years)
	a := h.address(t.k.words.county)
	a.From = max(a.From, born)
	p := Person{
		Gender: sex, Born: born, Household: t.household, Mother: -1, Father: -1, Partner: -1, Emergency: -1, Same: -1,
		Addresses: []Address{a}, draw: t.r.Uint64(), Since: max(h.from+14, born+21),
	}
	p.Names = []Name{{Use: "usual", Prefix: t.prefix(sex, years), Given: t.given(c, sex, born), Family: c.feminineOf(pick(t.r, c.family), sex), From: born}}
	if t.chance(0.003) {
		p.Gender = pick(t.r, []string{"other", "unknown"})
		p.Names[0].Prefix = pick(t.r, []string{"Mx", ""})
	}
	if h.line != "" {
		p.Telecoms = append(p.Telecoms, Telecom{System: "phone", Use: "home", Value: h.line, From: a.From})
	}
	if c.language != "" && t.chance(0.12) {
		p.Language = c.language
	}
	p.Restricted = t.chance(0.005)
	t.die(&p, years)
	t.enrol(&p, h)
	t.people = append(t.people, p)
	return &t.people[len(t.people)-1]
}

// die lets some people have died within the last five years, the old more often.
func (t *town) die(p *Person, years int) {
	rate := [...]float64{0.004, 0.0005, 0.0008, 0.001, 0.003, 0.008, 0.02, 0.06, 0.18, 0.45}[min(years/10, 9)]
	if !t.chance(rate) {
		return
	}
	p.Died = max(notZero(t.k.today-Day(t.between(1, 1800))), p.Born+1)
}

// enrol registers the person with a practice, perhaps a pharmacy, and perhaps gives a chart at the town's hospital.
func (t *town) enrol(p *Person, h *home) {
	p.Practice = otherPractices[h.draw>>32%uint64(len(otherPractices))]
	if h.draw&0xffff < t.k.practice && !p.Restricted {
		p.Practice = Practice
		if p.draw>>16&3 != 0 {
			p.Pharmacy = Pharmacy
		}
	}
	if h.draw>>40&0xffff < t.k.hospital {
		p.Hospital = hospitals[h.place.hospital]
	}
	p.Since = min(p.Since, t.k.today)
	if p.Since == 0 {
		p.Since = -1
	}
}

// prefix is how a letter would begin.
func (t *town) prefix(sex string, years int) string {
	switch {
	case sex == "male" && years < 16:
		return pick(t.r, []string{"Master", "", ""})
	case sex == "male":
		return "Mr"
	case years < 18:
		return "Miss"
	default:
		return pick(t.r, []string{"Ms", "Ms", "Miss", "Mrs"})
	}
}

// given picks one to three given names in the fashion of the birth year.
func (t *town) given(c *culture, sex string, born Day) []string {
	list := c.female
	old := born < t.k.today-55*365
	switch {
	case sex == "male" && old:
		list = c.oldmale
	case sex == "male":
		list = c.male
	case old:
		list = c.oldfemale
	}
	names := []string{pick(t.r, list)}
	for len(names) < 3 && t.chance(0.45) {
		if next := pick(t.r, list); !slices.Contains(names, next) {
			names = append(names, next)
		}
	}
	return names
}

// email is an address at a domain that is reserved for examples.
func (t *town) email(p *Person) string {
	plain := plainLetters(p.Names[0].Given[0]) + "." + plainLetters(p.Names[0].Family)
	return plain + strings.TrimLeft(number(t.between(1, 999)), "0") + "@" + pick(t.r, []string{"example.com", "example.net", "example.org"})
}

// plainLetters is a name in the letters of an electronic mail address.
func plainLetters(s string) string {
	plain := true
	for i := range len(s) {
		plain = plain && s[i] >= 'A' && s[i] <= 'z'
	}
	if !plain {
		if folded, _, err := transform.String(transform.Chain(norm.NFD, runes.Remove(runes.In(unicode.Mn))), s); err == nil {
			s = folded
		}
	}
	b := make([]byte, 0, len(s))
	for _, c := range strings.ToLower(s) {
		if c >= 'a' && c <= 'z' {
			b = append(b, byte(c))
		}
	}
	if len(b) == 0 {
		return "someone"
	}
	return string(b)
}
