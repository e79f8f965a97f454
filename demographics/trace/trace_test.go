package trace_test

import (
	"net/url"
	"regexp"
	"strings"
	"testing"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/simtest"
)

var shared = simtest.Share("trace", nil)

func TestMain(m *testing.M) { shared.Main(m) }

// number is a member of the cast's NHS number, as addresses have it.
func number(t testing.TB, w *simtest.World, key string) string {
	t.Helper()
	return strings.ReplaceAll(w.Number(t, key), " ", "")
}

// question is the address of a search: names and values in pairs, a date as born=1970-03-27.
func question(pairs ...string) string {
	q := url.Values{}
	for i := 0; i+1 < len(pairs); i += 2 {
		if parts := strings.Split(pairs[i+1], "-"); strings.HasPrefix(pairs[i], "born") && len(parts) == 3 {
			q.Set(pairs[i]+"-year", parts[0])
			q.Set(pairs[i]+"-month", parts[1])
			q.Set(pairs[i]+"-day", parts[2])
			continue
		}
		q.Set(pairs[i], pairs[i+1])
	}
	return "/trace?" + q.Encode()
}

// born is a member of the cast's birth date.
func born(t testing.TB, w *simtest.World, key string) string {
	t.Helper()
	p, err := w.Country.Character(key)
	if err != nil {
		t.Fatal(err)
	}
	res, err := fhir.Parse(w.Country.Patient(p))
	if err != nil {
		t.Fatal(err)
	}
	return res.Get("birthDate").String()
}

// known are the entries of the account about somebody by a user.
func known(t testing.TB, w *simtest.World, person, user string) int {
	t.Helper()
	page, err := w.Node.Kernel().Audit.Search(t.Context(), audit.Query{Tenant: sim.National, Chart: person, Actor: user, Limit: 1000})
	if err != nil {
		t.Fatal(err)
	}
	return len(page.Entries)
}

// By number first, then as it is written, then as it sounds; each result says why, and each person shown is on the account.
func TestAPersonIsTracedStepByStep(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	clerk := w.SignedIn(t, "hospital-clerk")
	n, day := number(t, w, "spouse"), born(t, w, "spouse")
	before := known(t, w, n, "hospital-clerk")
	clerk.Get("/trace").Sees(200, "NHS number", "I do not know the NHS number").SeesNot("Family name")
	clerk.Get("/trace?number=123").Sees(422, "Check each digit")
	clerk.Get("/trace?number=9998999901").Sees(200, "Nobody in the national register has this NHS number", "By details")
	clerk.Get("/trace?number="+n).Sees(200, "HARTLEY, Margaret Rose (Mrs)", w.Number(t, "spouse"), "NHS number: agrees", "Open the record").SeesNot("Register here")
	if now := known(t, w, n, "hospital-clerk"); now <= before {
		t.Errorf("being traced by number is not on the account: %d, then %d entries", before, now)
	}
	clerk.Get("/trace?step=details").Sees(200, "Family name", "The latest, if you know only a range", "How to compare")
	clerk.Get(question("family", "Hartley", "given", "Margaret", "born", day)).Sees(200, "1 person", "HARTLEY, Margaret Rose", "Family name: agrees", "Date of birth: agrees")
	before = known(t, w, n, "hospital-clerk")
	clerk.Get(question("family", "Hartlee", "given", "Margret", "born", day)).Sees(200, "Nobody in the register answers to this", "Look more widely")
	if known(t, w, n, "hospital-clerk") != before {
		t.Error("somebody who was not shown is on the account")
	}
	clerk.Get(clerk.Link(`/trace\?[^"]*by=wide[^"]*`)).Sees(200, "HARTLEY, Margaret Rose", "Family name: nearly register: Hartley", "sounds alike", "one slip of the keyboard", "How a match is scored")
	if known(t, w, n, "hospital-clerk") != before+1 {
		t.Error("whoever was found is on the account once")
	}
	if score := regexp.MustCompile(`Match (9\d)%`).FindString(clerk.Text()); score == "" {
		t.Errorf("the match has no score in the nineties:\n%s", clerk.Text())
	}
	clerk.Get(question("family", "Margaret", "given", "Hartley", "born", day, "by", "wide")).Sees(200, "family and given name changed about")
	clerk.Get(question("family", "O'Connor", "given", "Margaret", "born", day)).Sees(200, "Nobody")
	clerk.Get(question("family", "O'Connor", "given", "Margaret", "born", day, "past", "yes")).Sees(200, "HARTLEY, Margaret Rose", "Family name: formerly")
	clerk.Get(question("family", "Har*y", "born", "1900-01-01", "bornto", day)).Sees(200, "HARTLEY, Margaret Rose", "by the star", "in the range")
	clerk.Get(question("family", "Hartley", "given", "Margaret", "born", day) + "&format=csv")
	if !strings.HasPrefix(clerk.Header.Get("Content-Type"), "text/csv") || !strings.Contains(clerk.Body, "Family name: agrees") {
		t.Errorf("the list is not exported:\n%s", clerk.Body)
	}
}

// Whoever is hidden is found by name and not by where they live, and shown without it.
func TestWhoIsRestrictedIsShownWithoutWhereTheyAre(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	n, day := number(t, w, "restricted"), born(t, w, "restricted")
	p, err := w.Country.Character("restricted")
	if err != nil {
		t.Fatal(err)
	}
	gp := w.SignedIn(t, "gp")
	where := p.Addresses[0].Postcode
	gp.Get(question("family", "Marsh", "born", day)).Sees(200, "MARSH, Helena", "Kept from view", "break the glass").SeesNot(where, "Open the record")
	gp.Get(question("family", "Marsh", "born", day, "postcode", where)).Sees(200, "Nobody in the register")
	gp.Get("/trace/"+n).Sees(200, "MARSH, Helena", "Restricted", "Nobody can change this record here").SeesNot(where, "Open the record", "Change ")
	gp.Get("/trace/" + n + "/history").Sees(200).SeesNot(where)
	gp.Get("/trace/" + n + "/change/name").Sees(403)
	gp.Get("/trace/"+n+"/pharmacy").Sees(200, "Nobody can change").SeesNot("None is chosen Find")
}

// Rubbish is refused beside its field, in words that say what to do, with what was typed kept.
func TestRubbishIsSaidBesideItsField(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	clerk := w.SignedIn(t, "clerk")
	for _, c := range []struct {
		what string
		ask  []string
		says string
	}{
		{"pictures", []string{"family", "😀😀", "born", "1970-01-01"}, "in Latin letters"},
		{"another script, right to left", []string{"family", "محمد", "born", "1970-01-01"}, "in Latin letters"},
		{"300 letters", []string{"family", strings.Repeat("a", 300), "born", "1970-01-01"}, "at most 35 letters"},
		{"only spaces", []string{"family", "   ", "born", "1970-01-01"}, "only spaces were typed"},
		{"spaces in another field", []string{"family", "Smith", "postcode", "  ", "born", "1970-01-01"}, "only spaces were typed"},
		{"born tomorrow", []string{"family", "Smith", "born", "2099-01-01"}, "not in the future"},
		{"no day of the calendar", []string{"family", "Smith", "born", "1970-02-31"}, "a day that exists"},
		{"a star for everybody", []string{"family", "*", "born", "1970-01-01"}, "A star alone would find everybody"},
		{"stars for everybody", []string{"family", "S**", "born", "1970-01-01"}, "at least two letters before the star"},
		{"a star in a wide search", []string{"family", "Smi*", "given", "John", "born", "1970-01-01", "by", "wide"}, "Leave out the star"},
		{"no birth date", []string{"family", "Smith"}, "Enter a date of birth"},
		{"no name", []string{"born", "1970-01-01"}, "Enter a family name"},
		{"a range backwards", []string{"family", "Smith", "born", "1970-01-02", "bornto", "1970-01-01"}, "must not be before the earliest"},
		{"a gender that is none", []string{"family", "Smith", "born", "1970-01-02", "gender", "x"}, "Choose one of the list"},
		{"too little for a wide search", []string{"family", "Smith", "born", "1970-01-01", "by", "wide"}, "Enter given and family name"},
		{"no postcode", []string{"family", "Smith", "born", "1970-01-01", "postcode", "!!"}, "Enter a postcode, or its beginning"},
	} {
		clerk.Get(question(c.ask...)).Sees(422, "There is a problem", c.says)
		if strings.Count(clerk.Body, c.says) < 2 {
			t.Errorf("%s: it is not said both above and beside the field", c.what)
		}
		if typed := c.ask[1]; strings.TrimSpace(typed) != "" && c.ask[0] == "family" && !strings.Contains(clerk.Body, `value="`+typed+`"`) {
			t.Errorf("%s: what was typed is lost", c.what)
		}
	}
	clerk.Get("/trace?family=%FF%FE&born-day=1&born-month=1&born-year=1970").Sees(422)
	clerk.Get("/trace/123").Sees(400, "no NHS number")
	clerk.Get("/trace/9998999901").Sees(404)
	clerk.Get("/trace/" + number(t, w, "correct") + "/change/everything").Sees(404)
}

// Too many matches show nobody, and say what would help.
func TestTooManyMatchesAskForMore(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	var docs []string
	for i := range 60 {
		n := 9_994_000_000 + int64(i)*10
		docs = append(docs, crowd(n))
	}
	load(t, w, docs...)
	w.SignedIn(t, "clerk").Get(question("family", "Multitude", "born", "1901-01-01", "bornto", "1999-01-01")).
		Sees(200, "Too many people answer to this", "a given name", "a whole postcode", "the exact date of birth").SeesNot("MULTITUDE", "without a star")
}

// Names that no rule would take, but that a record may have from before, are shown whole, each from its own side.
func TestStrangeNamesAreShownWhole(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	load(t, w, strange)
	clerk := w.SignedIn(t, "clerk").Get("/trace/9991230106").Sees(200, "البغدادي", "😀😀, 🦊", strings.Repeat("LONG", 75), strings.Repeat("Street", 50))
	if !strings.Contains(clerk.Body, "<bdi>البغدادي, فاطمة</bdi>") {
		t.Error("a name from right to left is not set apart from the text around it")
	}
	clerk.Get("/trace/9991230106/change/name").Sees(200)
	if !strings.Contains(clerk.Body, `value="البغدادي" autocomplete="off" dir="auto"`) {
		t.Errorf("a name from right to left is typed from the left:\n%s", clerk.Body)
	}
	clerk.Get("/trace?number=9991230106").Sees(200, "البغدادي")
}

// crowd is one of many of the same name; the number's last digit makes its check hold.
func crowd(n int64) string {
	digits := []byte{}
	for v := n / 10; len(digits) < 9; v /= 10 {
		digits = append([]byte{byte('0' + v%10)}, digits...)
	}
	sum := 0
	for i, d := range digits {
		sum += int(d-'0') * (10 - i)
	}
	check := (11 - sum%11) % 11
	if check == 10 {
		return ""
	}
	id := string(digits) + string(rune('0'+check))
	return `{"resourceType":"Patient","id":"` + id + `","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + id + `"}],"gender":"female","birthDate":"1950-05-05","name":[{"id":"n","use":"usual","family":"Multitude","given":["Ann"]}]}`
}

func load(t testing.TB, w *simtest.World, docs ...string) {
	t.Helper()
	l := w.Node.Loader("test", sim.National, nil)
	for _, d := range docs {
		if d == "" {
			continue
		}
		res, err := fhir.Parse([]byte(d))
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Add(t.Context(), res); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}
