package sim

import (
	_ "embed"
	"fmt"

	"github.com/BurntSushi/toml"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

//go:embed cast.toml
var castTOML string

// castMember is the facts of one person whom the tour meets.
type castMember struct {
	Key, Prefix, Family, Maiden, Gender, Born, Died, Moved, Email string
	Given, Health                                                 []string
	Home, Twin                                                    int
	Restricted                                                    bool
}

func loadCast() ([]castMember, error) {
	var list struct{ Person []castMember }
	if _, err := toml.Decode(castTOML, &list); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the tour's cast cannot be read")
	}
	return list.Person, nil
}

// ago is how many days "34y 120d" or "40d" is.
func ago(s string) Day {
	var years, days int
	if n, err := fmt.Sscanf(s, "%dy %dd", &years, &days); err != nil || n != 2 {
		years, days = 0, 0
		if _, err := fmt.Sscanf(s, "%dd", &days); err != nil {
			return 0
		}
	}
	return Day(float64(years)*365.2425) + Day(days)
}

// settleCast puts the tour's people into their homes.
func (t *town) settleCast() {
	homes := map[int]*home{}
	firstOf := map[int]int{}
	for i, m := range t.k.cast {
		h := homes[m.Home]
		if h == nil {
			h = t.home()
			h.place = &t.k.words.towns[0]
			h.postcode = t.postcode(h.place)
			homes[m.Home], firstOf[m.Home] = h, i
			if m.Key == "namesake-2" { // next door to the other
				*h = *homes[m.Home-1]
				h.number += 2
			}
		}
		t.household = m.Home
		born := notZero(t.k.today - ago(m.Born))
		p := t.adult(t.culture(), h, max(0, born.years(t.k.today)), m.Gender, m.Family)
		t.play(p, m, born, h)
		if first := firstOf[m.Home]; first != i {
			p.Emergency = first
			if t.people[first].Emergency < 0 {
				t.people[first].Emergency = i
			}
		}
	}
	t.household = len(homes) + 1
	t.kin()
}

// play makes of somebody the member of the cast.
func (t *town) play(p *Person, m castMember, born Day, h *home) {
	p.Key, p.Born, p.Gender, p.Twin, p.health, p.Restricted = m.Key, born, m.Gender, m.Twin, m.Health, m.Restricted
	p.Names = []Name{{Use: "usual", Prefix: m.Prefix, Given: m.Given, Family: m.Family, From: born}}
	if m.Maiden != "" {
		p.rename(m.Family, born+29*365)
		p.Names[1].Family = m.Maiden
		p.Names[0].Prefix = m.Prefix
	}
	p.Died, p.Language = 0, ""
	p.Addresses = p.Addresses[:1]
	p.Addresses[0].From = max(h.address("").From, born)
	if m.Died != "" {
		p.Died = t.k.today - ago(m.Died)
	}
	if m.Moved != "" {
		old := t.home().address(t.k.words.county)
		p.Addresses[0].From = t.k.today - ago(m.Moved)
		old.Use, old.From, old.To = "old", max(p.Addresses[0].From-2000, born), p.Addresses[0].From-1
		p.Addresses = append(p.Addresses, old)
	}
	for i := range p.Telecoms {
		if p.Telecoms[i].System == "email" {
			if p.Telecoms[i].Value = m.Email; m.Email != "" {
				continue
			}
			p.Telecoms[i].Value = plainLetters(m.Given[0]) + "." + plainLetters(m.Family) + "@example.com"
		}
	}
	if born.years(t.k.today) < 16 {
		p.Telecoms = nil
	}
	p.Practice, p.Pharmacy, p.Hospital = Practice, Pharmacy, HospitalWest
	if m.Restricted {
		p.Practice, p.Pharmacy = otherPractices[0], ident.ODSCode{}
	}
	p.Since = min(max(p.Addresses[0].From+14, born+5), t.k.today)
}

// kin says who of the cast is whose relative.
func (t *town) kin() {
	at := map[string]int{}
	for i := range t.people {
		at[t.people[i].Key] = i
	}
	t.people[at["correct"]].Partner, t.people[at["spouse"]].Partner = at["spouse"], at["correct"]
	t.people[at["twin-1"]].Mother, t.people[at["twin-2"]].Mother = at["twins-mother"], at["twins-mother"]
	t.people[at["newborn"]].Mother = at["patient"]
}

// Character is a member of the tour's cast by key: patient, correct, spouse, restricted, twin-1, twin-2, twins-mother,
// namesake-1, namesake-2, dead, moved, long-name, particle, accents, fada or newborn. Another key is fault.NotFound.
func (k *Country) Character(key string) (*Person, error) {
	for i, m := range k.cast {
		if m.Key == key {
			return k.Person(i)
		}
	}
	return nil, fault.New(fault.NotFound, "nobody in the tour is called %q", key)
}
