package sim

import (
	"math/rand/v2"
	"strings"

	"github.com/openspine/openspine/ident"
)

// settle adds one household: who lives together, of what ages, by the shares of household kinds in the census.
func (t *town) settle() {
	room := t.room - len(t.people)
	c := t.culture()
	h := t.home()
	kind := t.between(1, 1000)
	switch {
	case room == 1 || kind <= 280:
		t.alone(c, h)
	case kind <= 430:
		t.couple(c, h, t.between(66, 88))
	case kind <= 620:
		t.couple(c, h, t.between(21, 66))
	case kind <= 845:
		t.family(c, h, true)
	case kind <= 915:
		t.family(c, h, false)
	case kind <= 945:
		t.family(c, h, true)
		if t.room > len(t.people) {
			grand := t.adult(c, h, t.between(66, 90), pick(t.r, []string{"female", "male"}), "")
			grand.Emergency = len(t.people) - 2
		}
	default:
		for range min(t.between(2, 4), room) {
			t.adult(t.culture(), h, t.between(18, 33), t.sex(), "")
		}
	}
	if t.chance(0.02) && t.room > len(t.people) {
		t.namesake(h)
	}
	if t.chance(0.006) && t.room > len(t.people) {
		t.duplicate()
	}
	t.household++
}

// duplicate makes a second record of the last person, as a busy desk makes one: under another number, with a letter
// of the name astray or the birthday's day and month exchanged, and the address they had once.
func (t *town) duplicate() {
	of := t.people[len(t.people)-1]
	if of.Key != "" || of.Died != 0 || of.Twin != 0 || of.Restricted || of.Born.years(t.k.today) < 1 {
		return
	}
	p := of
	p.Same, p.Partner, p.Mother, p.Father, p.Emergency = len(t.people)-1, -1, -1, -1, -1
	p.draw, p.Hospital, p.Household = t.r.Uint64(), hospitals[t.r.IntN(len(hospitals))], t.household+1
	p.Practice, p.Pharmacy = otherPractices[t.r.IntN(len(otherPractices))], ident.ODSCode{}
	name := of.Names[0]
	name.Given, name.Family = []string{of.Names[0].Given[0]}, astray(t.r, of.Names[0].Family)
	if y, m, d := of.Born.civil(); d <= 12 && d != m && t.chance(0.5) {
		if swapped := dayOf(y, d, m); swapped < t.k.today-30 {
			p.Born, name.Family = swapped, of.Names[0].Family
		}
	}
	name.From = p.Born
	a := t.home().address(t.k.words.county)
	a.From = max(a.From, p.Born)
	p.Names, p.Addresses, p.Telecoms, p.Since = []Name{name}, []Address{a}, nil, max(a.From, p.Born)
	t.people = append(t.people, p)
	t.household++
}

// astray is a name with two neighbouring letters of its middle exchanged.
func astray(r *rand.Rand, name string) string {
	letters := []rune(name)
	if len(letters) < 5 {
		return name + "e"
	}
	i := 1 + r.IntN(len(letters)-3)
	letters[i], letters[i+1] = letters[i+1], letters[i]
	return string(letters)
}

func (t *town) sex() string {
	if t.chance(0.5) {
		return "male"
	}
	return "female"
}

func (t *town) alone(c *culture, h *home) {
	if t.chance(0.38) {
		t.adult(c, h, t.between(66, 99), []string{"female", "female", "male"}[t.r.IntN(3)], "")
		return
	}
	t.adult(c, h, t.between(19, 66), t.sex(), "")
}

// couple adds two people who live together, the first of about the given age; a fortieth are of one sex.
func (t *town) couple(c *culture, h *home, age int) (int, int) {
	first := len(t.people)
	sexes := [2]string{"male", "female"}
	if t.chance(0.025) {
		sexes[t.r.IntN(2)] = sexes[t.r.IntN(2)]
	}
	a := t.adult(c, h, age, sexes[0], "")
	family := ""
	wed := t.k.today - Day(t.between(200, max(300, (age-19)*300)))
	other := c
	if t.chance(0.1) {
		other = t.culture()
	}
	if shared := t.chance(0.68); shared {
		family = a.Names[0].Family
	}
	b := t.adult(other, h, max(19, age+t.between(-5, 3)), sexes[1], "")
	if family != "" && family != b.Names[0].Family {
		b.rename(c.feminineOf(family, sexes[1]), wed)
	}
	t.people[first].Partner, t.people[first].Emergency = first+1, first+1
	b.Partner, b.Emergency = first, first
	return first, first + 1
}

// rename gives a married name and keeps the one before it with its period.
func (p *Person) rename(family string, at Day) {
	at = max(at, p.Born+18*366)
	maiden := p.Names[0]
	maiden.Use, maiden.To, maiden.From = "maiden", at-1, p.Born
	maiden.Given = append([]string(nil), maiden.Given...)
	if maiden.Prefix != "Dr" {
		maiden.Prefix = ""
	}
	p.Names[0].Family, p.Names[0].From = family, at
	if p.Gender == "female" && p.Names[0].Prefix != "Dr" {
		p.Names[0].Prefix = "Mrs"
	}
	p.Names = append(p.Names, maiden)
}

// family adds one or two parents and their children, twins now and then.
func (t *town) family(c *culture, h *home, both bool) {
	age := t.between(24, 52)
	father, mother := -1, -1
	switch {
	case both && t.room-len(t.people) >= 3:
		father, mother = t.couple(c, h, age)
		if t.people[father].Gender == "female" || t.people[mother].Gender == "male" {
			father, mother = -1, -1 // a couple of one sex: the children's parents are not both here
		}
	case t.chance(0.88):
		mother = len(t.people)
		t.adult(c, h, age, "female", "")
	default:
		father = len(t.people)
		t.adult(c, h, age, "male", "")
	}
	elder := t.parentsAge(father, mother)
	children := min([]int{1, 1, 1, 2, 2, 2, 2, 3, 3, 4}[t.r.IntN(10)], t.room-len(t.people))
	oldest := min(elder-18, 21)
	if oldest < 0 {
		return
	}
	years := t.between(max(0, oldest-12), oldest)
	for range children {
		if t.room == len(t.people) {
			return
		}
		t.child(c, h, years, father, mother)
		if t.chance(0.018) && t.room > len(t.people) {
			t.twin(c)
		}
		if years -= t.between(2, 4); years < 0 {
			return
		}
	}
}

// parentsAge is the age of the younger parent who is known, or a grown age.
func (t *town) parentsAge(father, mother int) int {
	age := 45
	for _, i := range []int{father, mother} {
		if i >= 0 {
			age = min(age, t.people[i].Born.years(t.k.today))
		}
	}
	return age
}

// child adds a child of the household; a few boys have their father's name, a few children both families' names.
func (t *town) child(c *culture, h *home, years int, father, mother int) {
	p := t.born(c, h, years, t.sex())
	p.Mother, p.Father, p.Emergency = mother, father, max(mother, father)
	from := father
	if from < 0 || mother >= 0 && t.chance(0.1) {
		from = mother
	}
	if from < 0 {
		from = len(t.people) - 2
		p.Emergency = from
	}
	family := t.people[from].Names[0].Family
	if father >= 0 && mother >= 0 && t.chance(0.07) {
		f, m := t.people[father].Names[0].Family, t.people[mother].Names[0].Family
		if f != m && !strings.ContainsAny(f+m, "- ") {
			family = m + "-" + f
		}
	}
	p.Names[0].Family = c.feminineOf(family, p.Gender)
	if father >= 0 && p.Gender == "male" && t.chance(0.03) {
		p.Names[0].Given = append([]string{t.people[father].Names[0].Given[0]}, p.Names[0].Given...)
	}
	if len(p.Telecoms) > 0 && years < 16 {
		p.Telecoms = nil
	}
}

// twin adds a brother or sister born on the same day as the last person.
func (t *town) twin(c *culture) {
	first := len(t.people) - 1
	p := t.people[first]
	p.Names = []Name{p.Names[0]}
	given := p.Names[0].Given[0]
	p.Gender = t.sex()
	for range 20 {
		p.Names[0].Given = t.given(c, p.Gender, p.Born)
		if p.Names[0].Given[0] != given {
			break
		}
	}
	p.Names[0].Prefix = t.prefix(p.Gender, p.Born.years(t.k.today))
	p.Names[0].Family = c.feminineOf(p.Names[0].Family, p.Gender)
	p.Twin, p.draw, p.Died = 2, t.r.Uint64(), 0
	t.people[first].Twin = 1
	t.people = append(t.people, p)
}

// namesake adds a neighbour with the name of somebody in the household, of nearly the same age: two people whom a
// hurried search takes for one.
func (t *town) namesake(h *home) {
	of := t.people[len(t.people)-1]
	t.household++
	next := *h
	next.number += 2
	c := t.culture()
	p := t.adult(c, &next, max(18, of.Born.years(t.k.today)), of.Gender, "")
	if of.Died != 0 || of.Born.years(t.k.today) < 19 {
		return
	}
	p.Born = notZero(of.Born - Day(t.between(0, 40)))
	p.Names = []Name{{Use: "usual", Prefix: p.Names[0].Prefix, Given: of.Names[0].Given, Family: of.Names[0].Family, From: p.Born}}
	p.Addresses = p.Addresses[:1]
	p.Addresses[0].From, p.Since = max(p.Addresses[0].From, p.Born), max(p.Since, p.Born)
	p.Died = 0
}
