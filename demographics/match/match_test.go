package match_test

import (
	"context"
	"encoding/json"
	"fmt"
	"math"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"sync"
	"testing"

	"pgregory.net/rapid"

	"github.com/openspine/openspine/demographics/match"
	"github.com/openspine/openspine/fhir"
)

// person reads "family given… | yyyy-mm-dd | gender | line, postcode | number…", with former names and addresses after "<".
func person(t testing.TB, s string) match.Person {
	t.Helper()
	part := strings.Split(s, "|")
	for len(part) < 5 {
		part = append(part, "")
	}
	names, places, numbers := []any{}, []any{}, []any{}
	for i, n := range strings.Split(part[0], "<") {
		words := strings.Fields(n)
		if len(words) == 0 {
			continue
		}
		use := "usual"
		if i > 0 {
			use = "old"
		}
		given := []any{}
		for _, g := range words[1:] {
			given = append(given, strings.ReplaceAll(g, "_", " "))
		}
		names = append(names, map[string]any{"use": use, "family": strings.ReplaceAll(words[0], "_", " "), "given": given})
	}
	for i, a := range strings.Split(part[3], "<") {
		if strings.TrimSpace(a) == "" {
			continue
		}
		use := "home"
		if i > 0 {
			use = "old"
		}
		line, postcode, _ := strings.Cut(a, ",")
		places = append(places, map[string]any{"use": use, "line": []any{strings.TrimSpace(line)}, "postalCode": strings.TrimSpace(postcode)})
	}
	for _, n := range strings.Fields(part[4]) {
		system := "phone"
		if strings.Contains(n, "@") {
			system = "email"
		}
		numbers = append(numbers, map[string]any{"system": system, "value": n})
	}
	doc := map[string]any{"resourceType": "Patient"}
	for name, values := range map[string][]any{"name": names, "address": places, "telecom": numbers} {
		if len(values) > 0 {
			doc[name] = values
		}
	}
	for name, value := range map[string]string{"birthDate": part[1], "gender": part[2]} {
		if value = strings.TrimSpace(value); value != "" {
			doc[name] = value
		}
	}
	b, err := json.Marshal(doc)
	if err != nil {
		t.Fatal(err)
	}
	r, err := fhir.Parse(b)
	if err != nil {
		t.Fatal(err)
	}
	return match.FromPatient(r, "2026-11-22")
}

func words(p match.Pattern) string {
	var out []string
	for _, f := range match.Fields() {
		if l := p.Level(f); l != match.Missing {
			out = append(out, f.String()+" "+f.Word(l))
		}
	}
	return strings.Join(out, ", ")
}

func TestCompare(t *testing.T) {
	for _, c := range []struct{ a, b, want string }{
		{"Smith Jane|1980-01-02|female|1 High St, QX1 1AA|07700900123", "SMITH jane|1980-01-02|female|1 High St, qx11aa|+447700900123",
			"family same, given same, birth same, gender same, contact all"},
		{"Smyth Jane", "Smith Jane", "family near, given same"},
		{"O’Neill Siân", "O'NEILL Sian", "family same, given same"},
		{"MacDonald Kate", "McDonald Catherine", "family near, given variant"},
		{"Jones William", "Jones Bill", "family same, given variant"},
		{"Jones W", "Jones William", "family same, given variant"},
		{"Jones John_Paul James", "Jones John Paul", "family same, given variant"},
		{"Smith John", "Smith Jane", "family same, given differs"},
		{"Jones Mary Elizabeth", "Jones Elizabeth", "family same, given variant"},
		{"Jones Mary Ann", "Jones Mary", "family same, given same"},
		{"Jones Mary Ann", "Jones Mary Zoe", "family same, given variant"},
		{"Thomas Gareth", "Gareth Thomas", "family near, given near"},
		{"Brown Ann<Green Ann", "Green Ann", "family former, given same"},
		{"Smith A|1980-02-01", "Smith A|1980-01-02", "family same, given same, birth slip"},
		{"Smith A|1980-02-01", "Smith A|1980-02-07", "family same, given same, birth slip"},
		{"Smith A|1980-02-01", "Smith A|1980-02-10", "family same, given same, birth slip"},
		{"Smith A|1980-02-01", "Smith A|1980-02-23", "family same, given same, birth partly"},
		{"Smith A|1980-02", "Smith A|1980-02-23", "family same, given same, birth partly"},
		{"Smith A|1980-02-01", "Smith A|1951-07-23", "family same, given same, birth differs"},
		{"Smith Amy|1980-02-01|female|1 High St, QX1 1AA", "Smith Zoe|1980-02-01|female|1 High St, QX1 1AA",
			"family same, given twin, birth same, gender same, contact address"},
		{"Smith Amy|1980-02-01", "Patel Zoe|1980-02-01", "family differs, given differs, birth same"},
		{"A B|||1 High St, QX1 1AA", "A B|||2 Low St, QX1 1AA", "family same, given same, contact postcode"},
		{"A B|||11 High St, QX1 1AA", "A B|||1 High St, QX1 1AA", "family same, given same, contact postcode"},
		{"A B|||1 High St, QX1 1AA", "A B|||2 Low St, QX1 2ZZ", "family same, given same, contact area"},
		{"A B|||1 High St, QX1 1AA < 9 Old Rd, QX9 9ZZ", "A B|||9 Old Rd, QX9 9ZZ", "family same, given same, contact former"},
		{"A B||||a@example.com", "A B||||A@EXAMPLE.COM", "family same, given same, contact number"},
		{"A B||||a@example.com", "A B||||b@example.com", "family same, given same, contact differs"},
		{"李 娜", "李 娜", "family same, given same"},
		{"", "Smith Jane", ""},
	} {
		a, b := person(t, c.a), person(t, c.b)
		if got := words(match.Compare(&a, &b)); got != c.want {
			t.Errorf("%s ~ %s:\n got %s\nwant %s", c.a, c.b, got, c.want)
		}
	}
}

func TestSound(t *testing.T) {
	for _, same := range []string{"smith smyth smythe", "catherine katherine kathryn", "macdonald mcdonald", "wright rite", "philips filips", "knight night", "taylor tailor", "clarke clark"} {
		all := strings.Fields(same)
		for _, n := range all[1:] {
			if match.Sound(n) != match.Sound(all[0]) {
				t.Errorf("%s sounds %s, %s %s", all[0], match.Sound(all[0]), n, match.Sound(n))
			}
		}
	}
	if match.Sound("patel") == match.Sound("jones") {
		t.Error("patel sounds like jones")
	}
	if match.Sound("") != "" || match.Sound("李") != "李" {
		t.Error("what has no Latin letter is its own sound")
	}
}

// No weight outvotes a veto: these agree on all that a household shares.
func TestVerdict(t *testing.T) {
	m := match.Default()
	m.Families, m.Givens = map[string]float64{"smith": 0.012}, map[string]float64{"john": 0.03}
	home := "|12 Mill Lane, QX3 4BB|07700900111"
	for _, c := range []struct {
		a, b    string
		verdict match.Verdict
		veto    match.Veto
	}{
		{"Okafor Grace|1975-05-05|female" + home, "Okafor Grace|1975-05-05|female" + home, match.Probable, match.NoVeto},
		{"Okafor Grace|1975-05-05|female" + home, "Okafor Grace|1975-05-06|female" + home, match.Probable, match.NoVeto},
		{"Okafor Grace|1975-05-05|female|1 A St, QX1 1AA", "Okafor Grace|1975-05-05|female|2 B St, YY2 2BB", match.Probable, match.NoVeto},
		{"Smith John|1975-05-05|male", "Smith John|1975-05-05|male", match.Possible, match.NoVeto},
		{"Smith John|1975-05-05|male|1 A St, QX1 1AA", "Smith John|1975-05-15|male|2 B St, YY2 2BB", match.Different, match.NoVeto},
		{"Okafor Baby|2026-05-05|female" + home, "Okafor Grace|2026-05-05|female" + home, match.Probable, match.NoVeto},
		{"Okafor Grace|1975-05-05|female" + home, "Okafor Faith|1975-05-05|female" + home, match.Different, match.TwinVeto},
		{"Okafor John|1975-05-05|male" + home, "Okafor John|2001-09-14|male" + home, match.Different, match.BirthVeto},
		{"Okafor John|1975-05-05|male", "Smith Jane|1975-05-05|female", match.Different, match.GivenVeto},
		{"", "", match.Different, match.NoVeto},
	} {
		a, b := person(t, c.a), person(t, c.b)
		r := m.Score(&a, &b)
		if r.Verdict != c.verdict || r.Veto != c.veto {
			t.Errorf("%s ~ %s: %v %q p=%.5f w=%.1f, want %v %q", c.a, c.b, r.Verdict, r.Veto, r.Probability, r.Weight, c.verdict, c.veto)
		}
		sum := 0.0
		for _, reason := range m.Explain(&a, &b) {
			sum += reason.Weight
		}
		if math.Abs(sum-r.Weight) > 1e-9 {
			t.Errorf("reasons add up to %f, the weight is %f", sum, r.Weight)
		}
	}
}

func TestRareNamesSayMore(t *testing.T) {
	m := match.Default()
	m.Families = map[string]float64{"smith": 0.012}
	common := person(t, "Smith Zeb|1975-05-05")
	rare := person(t, "Quillfeather Zeb|1975-05-05")
	if m.Score(&common, &common).Weight >= m.Score(&rare, &rare).Weight {
		t.Error("to share the name Smith says no less than to share Quillfeather")
	}
}

func TestModelIsKeptAsJSON(t *testing.T) {
	m := match.Default()
	m.Families = map[string]float64{"smith": 0.01}
	b, err := json.Marshal(m)
	if err != nil {
		t.Fatal(err)
	}
	var back match.Model
	if err := json.Unmarshal(b, &back); err != nil || !reflect.DeepEqual(&back, m) {
		t.Fatalf("%v\n%+v\n%+v", err, back, *m)
	}
	for _, bad := range []string{`{}`, `[]`, strings.Replace(string(b), `"prior":1e-7`, `"prior":0`, 1), strings.Replace(string(b), `"smith":0.01`, `"smith":-1`, 1)} {
		if err := json.Unmarshal([]byte(bad), &back); err == nil {
			t.Errorf("taken: %.60s", bad)
		}
	}
}

func anyPerson(t *rapid.T) match.Person {
	word := rapid.SampledFrom([]string{"", "smith", "smyth", "jones", "o'neill", "李", "ann", "anne", "a"})
	var p match.Person
	p.Birth = match.Date(rapid.SampledFrom([]uint32{0, 19800101, 19800110, 19800000, 20010931}).Draw(t, "birth"))
	p.Death = match.Date(rapid.SampledFrom([]uint32{0, 20200101, 20230505}).Draw(t, "death"))
	p.Gender = rapid.SampledFrom([]byte{0, 'm', 'f', 'o'}).Draw(t, "gender")
	for i := range rapid.IntRange(0, 3).Draw(t, "names") {
		p.Names = append(p.Names, match.Name{Family: word.Draw(t, "family"), Given: strings.TrimSpace(word.Draw(t, "given") + " " + word.Draw(t, "second")), Former: i > 0})
	}
	for i := range rapid.IntRange(0, 2).Draw(t, "places") {
		p.Places = append(p.Places, match.Place{Postcode: rapid.SampledFrom([]string{"", "qx11aa", "qx12aa"}).Draw(t, "postcode"), Line: word.Draw(t, "line"), Former: i > 0})
	}
	for range rapid.IntRange(0, 2).Draw(t, "numbers") {
		p.Numbers = append(p.Numbers, rapid.SampledFrom([]string{"07700900001", "a@example.com"}).Draw(t, "number"))
	}
	return p
}

func TestCompareIsSymmetricAndKeptFormIsWhole(t *testing.T) {
	m := match.Default()
	rapid.Check(t, func(t *rapid.T) {
		a, b := anyPerson(t), anyPerson(t)
		if match.Compare(&a, &b) != match.Compare(&b, &a) {
			t.Fatalf("%s\n%s", words(match.Compare(&a, &b)), words(match.Compare(&b, &a)))
		}
		if r := m.Score(&a, &b); r.Probability < 0 || r.Probability > 1 || math.IsNaN(r.Weight) {
			t.Fatalf("%+v", r)
		}
		back := b
		if err := back.Decode(string(a.Append(nil))); err != nil {
			t.Fatal(err)
		}
		if got, want := fmt.Sprint(back), fmt.Sprint(a); got != want {
			t.Fatalf("got %s, want %s", got, want)
		}
	})
}

func FuzzDecode(f *testing.F) {
	p := person(f, "Smith Jane Ann<Jones Jane|1980-01-02|female|1 High St, QX1 1AA|07700900123")
	f.Add(string(p.Append(nil)))
	f.Add("")
	f.Fuzz(func(t *testing.T, s string) {
		var p match.Person
		if p.Decode(s) != nil {
			return
		}
		if again := string(p.Append(nil)); again != s && len(again) != len(s) {
			t.Errorf("%q became %q", s, again)
		}
		match.Keys(&p, nil)
		match.Compare(&p, &p)
	})
}

// Pairs finds what comparing everybody with everybody finds, each pair once, whatever the number of workers.
func TestPairsAreThoseThatShareAKey(t *testing.T) {
	made := population(rand.New(rand.NewPCG(1, 1)), 400, 60)
	x := match.NewIndex(match.Keys)
	var keys [][]match.Key
	for i := range made.people {
		x.Add(&made.people[i])
		keys = append(keys, match.Keys(&made.people[i], nil))
	}
	want := map[[2]int]int{}
	for i := range keys {
		for j := i + 1; j < len(keys); j++ {
			if slices.ContainsFunc(keys[i], func(k match.Key) bool { return slices.Contains(keys[j], k) }) {
				want[[2]int{i, j}] = 1
			}
		}
	}
	for _, workers := range []int{1, 4} {
		got := map[[2]int]int{}
		var lock sync.Mutex
		report, err := x.Pairs(context.Background(), match.PairOptions{Workers: workers, MaxBlock: 1000}, func(_, i, j int, a, b *match.Person) {
			lock.Lock()
			defer lock.Unlock()
			got[[2]int{i, j}]++
			if fmt.Sprint(*a) != fmt.Sprint(made.people[i]) || fmt.Sprint(*b) != fmt.Sprint(made.people[j]) {
				t.Errorf("pair %d %d is not the people of those numbers", i, j)
			}
		})
		if err != nil || !reflect.DeepEqual(got, want) || report.Pairs != int64(len(want)) {
			t.Fatalf("%v: %d pairs of %d, report %+v", err, len(got), len(want), report)
		}
	}
}

// A block that is too large hides nobody who shares a smaller one as well.
func TestALargeBlockIsSkippedAlone(t *testing.T) {
	x := match.NewIndex(match.Keys)
	for i := range 50 {
		p := person(t, fmt.Sprintf("Family%c%c Given|19%02d-01-0%d|||07700900000", 'a'+i%26, 'a'+i/26, 10+i, 1+i%9))
		x.Add(&p)
	}
	p := person(t, "Twice Known|1950-03-03|||07700900000")
	x.Add(&p)
	x.Add(&p)
	var got [][2]int
	report, err := x.Pairs(context.Background(), match.PairOptions{Workers: 1, MaxBlock: 20}, func(_, i, j int, _, _ *match.Person) { got = append(got, [2]int{i, j}) })
	if err != nil || !reflect.DeepEqual(got, [][2]int{{50, 51}}) || report.Skipped != 1 || report.Largest != 52 {
		t.Fatalf("%v %v %+v", got, err, report)
	}
}
