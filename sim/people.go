package sim

import (
	"math/rand/v2"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// blockSize is how many people are generated together. Families never cross the edge of a block, so any block can be
// made without the ones before it.
const blockSize = 64

// Name is a person's name in its parts, as FHIR's HumanName.
type Name struct {
	ID     string // of the name within the record; made from the person where it is empty
	Use    string // usual, maiden, old
	Prefix string
	Given  []string
	Family string
	Suffix []string
	// From and To are when the name was in use; zero where not known or still in use.
	From, To Day
}

// Address is where a person lives or lived, in the lines of a postal address.
type Address struct {
	ID        string
	Use       string // home, old, temp
	Text      string // what kind of place a temporary one is
	Lines     []string
	Postcode  string // as given; a few published ones are not postcodes
	From, To  Day
	PAF, UPRN string // keys of the Postcode Address File and the Ordnance Survey
}

// Telecom is a telephone number or electronic mail address.
type Telecom struct {
	ID                 string
	System, Use, Value string
	From, To           Day
	Other, Meaning     string // what an "other" system is: a code and its display
}

// Person is one generated person. Relatives are named by index; -1 is nobody, or nobody in this country.
type Person struct {
	Index     int
	NHSNumber ident.NHSNumber
	Key       string // who this is in the tour's cast; empty for most people
	Names     []Name // the usual name first, then former ones
	Gender    string // male, female, other or unknown, as FHIR's administrative gender
	Born      Day
	Died      Day // zero for the living
	Twin      int // 1 or 2 for a twin, otherwise 0
	// Same is the index of another record that is of the same human being, made by mistake; otherwise -1.
	Same      int
	Household int // the same number for people who live together, within the country
	Mother    int
	Father    int
	Partner   int
	Addresses []Address // the current one first
	Telecoms  []Telecom
	Language  string // BCP 47 of the language preferred, where it is not English
	Emergency int    // whom to call, an index
	// Practice is where the person is registered, Since when; Pharmacy is the nominated one, or none.
	Practice, Pharmacy ident.ODSCode
	Since              Day
	// Restricted people have confidentiality R: nobody finds where they live.
	Restricted bool
	// Hospital holds a chart of theirs, or none.
	Hospital ident.ODSCode
	publics  *publishedPerson // what only a published example says; nil for the generated
	draw     uint64           // random bits for what is decided of the person later
	health   []string
	// contactPhone is the telephone of the person to call in an emergency.
	contactPhone string
}

// Usual is the name the person goes by now; a published record may have none.
func (p *Person) Usual() Name {
	if len(p.Names) == 0 {
		return Name{}
	}
	return p.Names[0]
}

// Display is the usual name as people say it: Dr Aoife O'Connor.
func (p *Person) Display() string {
	n := p.Usual()
	if n.Family == "" {
		return "(no name)"
	}
	return strings.TrimSpace(n.Prefix + " " + strings.Join(n.Given, " ") + " " + n.Family)
}

// Age is in whole years on a day, or at death.
func (p *Person) Age(at Day) int {
	if p.Died != 0 && p.Died < at {
		at = p.Died
	}
	return p.Born.years(at)
}

// chartAt is the id of the person's Patient at a local tenant; empty where there is none. Ids ascend with the index.
func (p *Person) chartAt(tenant ident.ODSCode) string {
	switch {
	case tenant == Practice && p.Practice == Practice:
		return number(1_000_000 + p.Index*7)
	case tenant == p.Hospital && !tenant.IsZero():
		return number(2_000_000 + p.Index*5)
	}
	return ""
}

// number is n in eight digits, so that ids sort as their numbers do.
func number(n int) string {
	var b [8]byte
	for i := len(b) - 1; i >= 0; i-- {
		b[i], n = byte('0'+n%10), n/10
	}
	return string(b[:])
}

// nhsNumber spreads people over the range in ascending order. The first block, with the tour's cast, has the
// first numbers of the range whatever the size of the country.
func (k *Country) nhsNumber(i int) ident.NHSNumber {
	at := i
	if i >= blockSize {
		at = blockSize + (i-blockSize)*k.stride
		if k.stride > 1 {
			at += int(k.random(purposeNumber, uint64(i)).Uint64N(uint64(k.stride)))
		}
	}
	n, err := k.numbers.At(at)
	if err != nil {
		panic(fault.Wrap(err, fault.Internal, "the range of NHS numbers was counted wrongly"))
	}
	return n
}

// The purposes for which random numbers are drawn, so that a change in one leaves the others as they were.
const (
	purposeBlock = iota + 1
	purposeNumber
	purposeHealth
	purposeChart
)

// block generates the people of block b, sorted by index.
func (k *Country) block(b int) []Person {
	first := b * blockSize
	n := min(blockSize, k.config.People-first)
	t := &town{k: k, r: k.random(purposeBlock, uint64(b)), people: make([]Person, 0, n), room: n, household: first}
	if b == 0 {
		t.settleCast()
	}
	for len(t.people) < n {
		t.settle()
	}
	t.finish(first, b == 0)
	return t.people
}

// town is a block while it is being settled.
type town struct {
	k         *Country
	r         *rand.Rand
	people    []Person
	room      int
	household int
}

// chance is true in a share of cases.
func (t *town) chance(share float64) bool { return t.r.Float64() < share }

// between is a number from lo to hi, both possible.
func (t *town) between(lo, hi int) int {
	if hi <= lo {
		return lo
	}
	return lo + t.r.IntN(hi-lo+1)
}

func pick[T any](r *rand.Rand, from []T) T { return from[r.IntN(len(from))] }

// birthday is a day on which somebody of the given age in years was born.
func (t *town) birthday(years int) Day {
	return notZero(t.k.today - Day(float64(years)*365.2425) - Day(t.between(1, 364)))
}

// notZero keeps off the one day that means none.
func notZero(d Day) Day {
	if d == 0 {
		return -1
	}
	return d
}

// finish gives the settled people their places in the order of NHS numbers, shuffled so that a family's numbers
// do not follow one another, and what depends on it. The cast stays where it is.
func (t *town) finish(first int, cast bool) {
	fixed := 0
	if cast {
		fixed = len(t.k.cast)
	}
	place := make([]int, len(t.people)) // where each person goes
	for i := range place {
		place[i] = i
	}
	t.r.Shuffle(len(place)-fixed, func(i, j int) {
		place[fixed+i], place[fixed+j] = place[fixed+j], place[fixed+i]
	})
	moved := make([]Person, len(t.people))
	for i := range t.people {
		p := t.people[i]
		for _, relative := range []*int{&p.Mother, &p.Father, &p.Partner, &p.Emergency, &p.Same} {
			if *relative >= 0 {
				*relative = first + place[*relative]
			}
		}
		p.Index = first + place[i]
		p.NHSNumber = t.k.nhsNumber(p.Index)
		moved[place[i]] = p
	}
	for i := range moved {
		if e := moved[i].Emergency; e >= 0 {
			moved[i].contactPhone = moved[e-first].phone()
		}
	}
	t.people = moved
}

// phone is the person's mobile telephone, or the one at home, or none.
func (p *Person) phone() string {
	at := ""
	for _, t := range p.Telecoms {
		if t.Use == "mobile" {
			return t.Value
		}
		if t.System == "phone" {
			at = t.Value
		}
	}
	return at
}
