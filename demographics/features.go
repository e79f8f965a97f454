package demographics

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/demographics/match"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
)

// features are what a search compares of a person, so that no document is read before it is known to match. What a person had
// and no longer has stays, marked as past.
type features struct {
	gender     byte // the first letter of male, female, other, unknown; 0 for none
	born, died int32
	practice   string
	names      []nameFeature
	postcodes  []pastText
	phones     []pastText
	emails     []pastText
}

// noDay stands for a date that is not known.
const noDay = int32(-1 << 31)

// nameFeature is one name, in the letters in which it was written.
type nameFeature struct {
	past   bool
	family string
	given  []string
}

func (n nameFeature) equal(o nameFeature) bool {
	return n.family == o.family && slices.Equal(n.given, o.given)
}

type pastText struct {
	past bool
	text string
}

// dayOf is a FHIR date or the date of a dateTime in days since 1970. A date without day or month is its first day. One that no calendar has
// (1990-25-03) is none: nobody knows which part of it is wrong, and the year alone would say that nobody ever knew more.
func dayOf(text string) int32 {
	layout := time.DateOnly
	switch len(text) {
	case len("2006"):
		layout = "2006"
	case len("2006-01"):
		layout = "2006-01"
	}
	if len(text) < len(layout) {
		return noDay
	}
	t, err := time.Parse(layout, text[:len(layout)])
	if err != nil {
		return noDay
	}
	return int32(t.Unix() / 86400)
}

// featuresOf are those of a record as it stands.
func featuresOf(res *fhir.Resource) features {
	root := res.Root()
	f := features{born: dayOf(root.Field("birthDate").String()), died: dayOf(root.Field("deceasedDateTime").String())}
	if g := root.Field("gender").String(); g != "" {
		f.gender = g[0]
	}
	for gp := range root.Field("generalPractitioner").Items() {
		if id := gp.Get("identifier"); id.Field("system").String() == ident.SystemODSCode {
			f.practice = strings.ToUpper(id.Field("value").String())
		}
	}
	for n := range root.Field("name").Items() {
		use := n.Field("use").String()
		name := nameFeature{past: use == "old" || use == "maiden", family: strings.TrimSpace(n.Field("family").String())}
		for g := range n.Field("given").Items() {
			name.given = append(name.given, strings.TrimSpace(g.String()))
		}
		if name.family != "" || len(name.given) > 0 {
			f.names = append(f.names, name)
		}
	}
	for a := range root.Field("address").Items() {
		if text := strings.ToUpper(strings.TrimSpace(a.Field("postalCode").String())); text != "" {
			f.postcodes = append(f.postcodes, pastText{a.Field("use").String() == "old", text})
		}
	}
	f.reachable(root.Field("telecom"))
	for c := range root.Field("contact").Items() {
		f.reachable(c.Field("telecom")) // whom to call in an emergency: the published search finds people by that number too
	}
	return f
}

// reachable takes in telephone numbers and addresses of electronic mail.
func (f *features) reachable(list fhir.Node) {
	for t := range list.Items() {
		value := pastText{t.Field("use").String() == "old", t.Field("value").String()}
		switch t.Field("system").String() {
		case "phone":
			value.text = dialled(value.text)
			f.phones = append(f.phones, value)
		case "email":
			value.text = strings.ToLower(strings.TrimSpace(value.text))
			f.emails = append(f.emails, value)
		}
	}
}

// dialled is a telephone number as one dials it at home: digits alone, the country's own code as 0.
func dialled(number string) string {
	digits := strings.Map(func(r rune) rune {
		if r < '0' || r > '9' {
			return -1
		}
		return r
	}, number)
	if strings.HasPrefix(strings.TrimSpace(number), "+") {
		digits = "00" + digits
	}
	if rest, ok := strings.CutPrefix(digits, "0044"); ok {
		return "0" + rest
	}
	return digits
}

// remembering is f with what was so before and is so no longer, as past.
func (f features) remembering(was features) features {
	for _, n := range was.names {
		if !slices.ContainsFunc(f.names, n.equal) {
			n.past = true
			f.names = append(f.names, n)
		}
	}
	recall := func(now, then []pastText) []pastText {
		for _, t := range then {
			if !slices.ContainsFunc(now, func(x pastText) bool { return x.text == t.text }) {
				now = append(now, pastText{true, t.text})
			}
		}
		return now
	}
	f.postcodes = recall(f.postcodes, was.postcodes)
	f.phones = recall(f.phones, was.phones)
	f.emails = recall(f.emails, was.emails)
	return f
}

// compared is what the library for comparing people compares of f. First lines of addresses are not among it.
func (f *features) compared() match.Person {
	p := match.Person{Gender: f.gender, Birth: dateOf(f.born), Death: dateOf(f.died)}
	if f.gender == 'u' {
		p.Gender = 0
	}
	for _, n := range f.names {
		if name := match.NameOf(n.family, n.given, n.past); name.Family != "" || name.Given != "" {
			p.Names = append(p.Names, name)
		}
	}
	for _, c := range f.postcodes {
		p.Places = append(p.Places, match.Place{Postcode: match.Postcode(c.text), Former: c.past})
	}
	for system, list := range map[string][]pastText{"phone": f.phones, "email": f.emails} {
		for _, t := range list {
			if n := match.Number(system, t.text); n != "" && !t.past {
				p.Numbers = append(p.Numbers, n)
			}
		}
	}
	return p
}

func dateOf(day int32) match.Date {
	if day == noDay {
		return 0
	}
	return match.ParseDate(time.Unix(int64(day)*86400, 0).UTC().Format(time.DateOnly))
}

const featuresEdition = 1

// pack writes features down: an edition, then each in turn, texts with their length before them.
func (f features) pack() []byte {
	b := make([]byte, 0, 128)
	b = append(b, featuresEdition, f.gender)
	b = binary.LittleEndian.AppendUint32(b, uint32(f.born))
	b = binary.LittleEndian.AppendUint32(b, uint32(f.died))
	b = appendText(b, f.practice)
	b = binary.AppendUvarint(b, uint64(len(f.names)))
	for _, n := range f.names {
		b = append(b, flag(n.past))
		b = appendText(b, n.family)
		b = binary.AppendUvarint(b, uint64(len(n.given)))
		for _, g := range n.given {
			b = appendText(b, g)
		}
	}
	for _, list := range [][]pastText{f.postcodes, f.phones, f.emails} {
		b = binary.AppendUvarint(b, uint64(len(list)))
		for _, t := range list {
			b = appendText(append(b, flag(t.past)), t.text)
		}
	}
	return b
}

func flag(b bool) byte {
	if b {
		return 1
	}
	return 0
}

func appendText(b []byte, s string) []byte {
	return append(binary.AppendUvarint(b, uint64(len(s))), s...)
}

// unpackFeatures reads what pack wrote.
func unpackFeatures(b []byte) (features, error) {
	u := unpacker{rest: string(b)}
	var f features
	if u.byte() != featuresEdition {
		return f, fault.New(fault.Internal, "what a person is found by was written in another edition")
	}
	f.gender = u.byte()
	f.born, f.died = u.day(), u.day()
	f.practice = u.text()
	f.names = make([]nameFeature, u.count())
	for i := range f.names {
		n := &f.names[i]
		n.past, n.family = u.byte() == 1, u.text()
		n.given = make([]string, u.count())
		for j := range n.given {
			n.given[j] = u.text()
		}
	}
	for _, list := range []*[]pastText{&f.postcodes, &f.phones, &f.emails} {
		*list = make([]pastText, u.count())
		for i := range *list {
			(*list)[i] = pastText{u.byte() == 1, u.text()}
		}
	}
	if u.short || u.rest != "" {
		return features{}, fault.New(fault.Internal, "what a person is found by is damaged")
	}
	return f, nil
}

// unpacker takes a packed text apart; short remembers that it ended early.
type unpacker struct {
	rest  string
	short bool
}

func (u *unpacker) take(n int) string {
	if n < 0 || n > len(u.rest) {
		u.short, u.rest = true, ""
		return ""
	}
	s := u.rest[:n]
	u.rest = u.rest[n:]
	return s
}

func (u *unpacker) byte() byte {
	if s := u.take(1); s != "" {
		return s[0]
	}
	return 0
}

func (u *unpacker) day() int32 {
	s := u.take(4)
	if s == "" {
		return noDay
	}
	return int32(uint32(s[0]) | uint32(s[1])<<8 | uint32(s[2])<<16 | uint32(s[3])<<24)
}

func (u *unpacker) number() int {
	n, shift := 0, 0
	for shift < 28 {
		c := u.byte()
		n |= int(c&0x7f) << shift
		if c < 0x80 {
			return n
		}
		shift += 7
	}
	u.short = true
	return 0
}

// count is how many of something follow: each takes a byte at least.
func (u *unpacker) count() int {
	n := u.number()
	if n > len(u.rest) {
		u.short, u.rest = true, ""
		return 0
	}
	return n
}

func (u *unpacker) text() string { return u.take(u.number()) }
