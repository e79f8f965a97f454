package sim_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/sim"
)

func TestPeople(t *testing.T) {
	for _, seed := range []uint64{1, 2, 3} {
		people := checkPeople(t, country(t, seed, 6000))
		checkShares(t, people, sim.DayOf(now))
	}
}

// Whatever the seed, the size and the day, people are consistent.
func TestPeopleOfManyCountries(t *testing.T) {
	days := []time.Time{
		time.Date(2028, 2, 29, 23, 59, 0, 0, time.UTC), time.Date(1999, 12, 31, 0, 0, 0, 0, time.UTC), time.Date(2026, 11, 22, 12, 0, 0, 0, time.UTC),
		time.Date(2040, 3, 1, 0, 0, 0, 0, time.FixedZone("", 14*3600)), time.Date(2199, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	for seed := range uint64(60) {
		size := sim.MinPeople + int(seed*seed*7%900)
		k, err := sim.New(sim.Config{Seed: seed * 0x9e3779b97f4a7c15, People: size, Now: days[seed%5]})
		if err != nil {
			t.Fatal(err)
		}
		checkPeople(t, k)
		if t.Failed() {
			t.Fatalf("seed %d, %d people, %s", seed, size, k.Today().Format(time.DateOnly))
		}
	}
}

func checkPeople(t *testing.T, k *sim.Country) []*sim.Person {
	t.Helper()
	today := sim.DayOf(k.Today())
	var people []*sim.Person
	last := ""
	for p := range k.Everyone() {
		if n := p.NHSNumber.String(); n <= last || !p.NHSNumber.InTestRange() {
			t.Fatalf("person %d has the number %s after %s", p.Index, n, last)
		}
		last = p.NHSNumber.String()
		if p.Index != len(people) {
			t.Fatalf("person %d comes as number %d", p.Index, len(people))
		}
		people = append(people, p)
	}
	if len(people) != k.People() {
		t.Fatalf("%d people of %d", len(people), k.People())
	}
	for _, p := range people {
		checkLife(t, p, today)
		checkFamily(t, p, people)
	}
	return people
}

func checkShares(t *testing.T, people []*sim.Person, today sim.Day) {
	t.Helper()
	var children, old, restricted, dead, moved, renamed, twins int
	for _, p := range people {
		age := p.Age(today)
		children += btoi(age < 18)
		old += btoi(age > 65)
		restricted += btoi(p.Restricted)
		dead += btoi(p.Died != 0)
		moved += btoi(len(p.Addresses) > 1)
		renamed += btoi(len(p.Names) > 1)
		twins += btoi(p.Twin != 0)
	}
	within(t, "children", children, len(people), 0.15, 0.27)
	within(t, "people over 65", old, len(people), 0.14, 0.27)
	within(t, "restricted people", restricted, len(people), 0.001, 0.012)
	within(t, "dead people", dead, len(people), 0.01, 0.06)
	within(t, "moved people", moved, len(people), 0.04, 0.15)
	within(t, "people with former names", renamed, len(people), 0.05, 0.3)
	same := 0
	for _, p := range people {
		if p.Same < 0 {
			continue
		}
		same++
		if q := people[p.Same]; q.Index == p.Index || q.Names[0].Given[0] != p.Names[0].Given[0] || q.NHSNumber == p.NHSNumber {
			t.Errorf("%s and %s are said to be one", p.Display(), q.Display())
		}
	}
	within(t, "duplicate records", same, len(people), 0.0005, 0.01)
	within(t, "twins", twins, len(people), 0.001, 0.03)
}

func btoi(b bool) int {
	if b {
		return 1
	}
	return 0
}

func within(t *testing.T, what string, n, of int, low, high float64) {
	t.Helper()
	if share := float64(n) / float64(of); share < low || share > high {
		t.Errorf("%s are %.4f of all; they should be %.3f to %.3f", what, share, low, high)
	}
}

// checkLife is that everything in a life happens after birth and not after today.
func checkLife(t *testing.T, p *sim.Person, today sim.Day) {
	t.Helper()
	bad := func(what string) { t.Errorf("person %d (%s, born %s): %s: %+v", p.Index, p.Display(), p.Born, what, p) }
	if p.Born > today || p.Age(today) < 0 || p.Age(today) > 106 {
		bad("age")
	}
	if p.Died != 0 && (p.Died > today || p.Died < p.Born) {
		bad("death")
	}
	if len(p.Names) == 0 || p.Names[0].Use != "usual" || p.Names[0].Family == "" || len(p.Names[0].Given) == 0 {
		bad("name")
	}
	for _, n := range p.Names {
		if n.From < p.Born || n.To != 0 && n.To < n.From || n.From > today {
			bad("period of a name")
		}
		if strings.Contains(n.Family, "_") {
			bad("underscore")
		}
	}
	if len(p.Addresses) == 0 || p.Addresses[0].To != 0 {
		bad("address")
	}
	for _, a := range p.Addresses {
		if a.From < p.Born || a.To != 0 && a.To < a.From || a.From > today {
			bad("period of an address")
		}
	}
	for _, c := range p.Telecoms {
		at := strings.Index(c.Value, "@example.")
		if c.System == "email" && at < 1 || c.System == "phone" && !strings.HasPrefix(c.Value, "0") || strings.Contains(c.Value, " ") {
			bad("telecom")
		}
	}
	if p.Since < p.Born || p.Since > today {
		bad("registration")
	}
}

// checkFamily is that relatives are relatives both ways, live together and are of fitting ages.
func checkFamily(t *testing.T, p *sim.Person, people []*sim.Person) {
	t.Helper()
	bad := func(what string, q *sim.Person) {
		t.Errorf("%s: person %d (%s, born %s) and %d (%s, born %s)", what, p.Index, p.Display(), p.Born, q.Index, q.Display(), q.Born)
	}
	for _, parent := range []int{p.Mother, p.Father} {
		if parent < 0 {
			continue
		}
		if q := people[parent]; q.Born+15*365 > p.Born || q.Household != p.Household || p.Index == parent {
			bad("a parent", q)
		}
	}
	if p.Mother >= 0 && people[p.Mother].Gender == "male" || p.Father >= 0 && people[p.Father].Gender == "female" {
		t.Errorf("person %d has a father for a mother", p.Index)
	}
	if p.Partner >= 0 {
		if q := people[p.Partner]; q.Partner != p.Index || q.Household != p.Household {
			bad("a partner", q)
		}
	}
	if p.Emergency == p.Index {
		t.Errorf("person %d is their own emergency contact", p.Index)
	}
	if p.Twin == 2 {
		for _, q := range people {
			if q.Twin == 1 && q.Household == p.Household && q.Born == p.Born {
				return
			}
		}
		t.Errorf("person %d is half of twins", p.Index)
	}
}

func TestThereAreNamesakesAndFamilies(t *testing.T) {
	k := country(t, 1, 4000)
	homes, names := map[int]int{}, map[string]int{}
	families := map[string]bool{}
	for p := range k.Everyone() {
		homes[p.Household]++
		names[p.Usual().Given[0]+" "+p.Usual().Family]++
		families[p.Usual().Family] = true
	}
	if share := float64(k.People()) / float64(len(homes)); share < 1.8 || share > 3 {
		t.Errorf("%.2f people live in a household", share)
	}
	twice := 0
	for _, n := range names {
		twice += btoi(n > 1)
	}
	if twice < 20 || len(families) < 300 {
		t.Errorf("%d names are borne twice; %d family names", twice, len(families))
	}
}

// The largest country still has a number of the reserved range for each of its people.
func TestTheLargestCountry(t *testing.T) {
	k := country(t, 1, sim.MaxPeople)
	last := ident.NHSNumber{}
	for _, i := range []int{0, 63, 64, 65, 450_000, sim.MaxPeople - 1} {
		p, err := k.Person(i)
		if err != nil || !p.NHSNumber.InTestRange() || p.NHSNumber.String() <= last.String() {
			t.Fatalf("person %d: %v, %v", i, p, err)
		}
		last = p.NHSNumber
	}
}

func BenchmarkPatients(b *testing.B) {
	k := country(b, 1, sim.MaxPeople)
	b.ReportAllocs()
	n, bytes := 0, 0
	for b.Loop() {
		for p := range k.Between(n%800_000, n%800_000+640) {
			bytes += len(k.Patient(p))
			n++
		}
	}
	b.ReportMetric(float64(n)/b.Elapsed().Seconds(), "people/s")
	b.ReportMetric(float64(bytes)/float64(n), "bytes/person")
}
