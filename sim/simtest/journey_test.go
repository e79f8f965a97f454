package simtest_test

import (
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/cdproto/input"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/web/webtest"
)

var shared = simtest.Share("journeys", nil)

func TestMain(m *testing.M) { shared.Main(m) }

// reader is somebody who has a keyboard and no mouse.
type reader struct {
	*webtest.Page
	t     *testing.T
	world *simtest.World
	name  string // of the journey, for its pictures
	taken int
}

// signsIn opens the node, and chooses one of the people of the demonstration.
func signsIn(t *testing.T, w *simtest.World, b *webtest.Browser, name, user string, options ...webtest.Option) *reader {
	t.Helper()
	p := &reader{Page: b.Open(t, w.URL+"/sign-in", options...), t: t, world: w, name: name}
	p.follow(`form:has(input[value="` + user + `"]) button`)
	return p
}

// skips goes past the banner and the menu, as the first stop of every page offers.
func (p *reader) skips() {
	p.t.Helper()
	p.Eval(`(() => { document.body.tabIndex = -1; document.body.focus(); document.body.removeAttribute("tabindex"); })()`, nil)
	p.Press(kb.Tab)
	p.Press(kb.Enter)
}

// reaches presses Tab until what the selector finds has the focus.
func (p *reader) reaches(selector string) {
	p.t.Helper()
	for round := range 2 {
		for range 80 {
			at := false
			p.Eval("document.activeElement !== null && document.activeElement.matches(`"+selector+"`)", &at)
			if at {
				return
			}
			p.Press(kb.Tab)
		}
		if round == 0 {
			p.skips()
		}
	}
	p.t.Fatalf("the keyboard does not reach %s; the page says:\n%s", selector, p.Text("body"))
}

// writes replaces what is in a field.
func (p *reader) writes(selector, text string) {
	p.t.Helper()
	p.reaches(selector)
	p.Do(chromedp.KeyEvent("a", chromedp.KeyModifiers(input.ModifierCtrl)), chromedp.KeyEvent(kb.Delete))
	p.Press(text)
}

// chooses marks one of several, by the arrows.
func (p *reader) chooses(name, value string) {
	p.t.Helper()
	p.reaches(`input[type=radio][name="` + name + `"]`)
	p.Press(" ")
	for range 12 {
		at := false
		p.Eval(`document.querySelector('input[name="`+name+`"]:checked')?.value === "`+value+`"`, &at)
		if at {
			return
		}
		p.Press(kb.ArrowDown)
	}
	p.t.Fatalf("the arrows do not reach %s of %s", value, name)
}

// follow presses Enter on a link or a button, waits for the page, and begins below its menu.
func (p *reader) follow(selector string) {
	p.t.Helper()
	p.reaches(selector)
	p.PressThrough(kb.Enter)
	p.pictured()
	p.NoSideways()
	p.OnlyThisHost()
	p.NoComplaints()
	p.skips()
}

// pictured takes a picture, where somebody wants to look at them.
func (p *reader) pictured() {
	if os.Getenv("OPENSPINE_SCREENSHOTS") != "" {
		p.taken++
		p.Screenshot(p.name + "-" + string(rune('a'+p.taken-1)) + ".png")
	}
}

// send is the button that takes a form one step further.
const send = `main form button[data-prevent-double-click]`

// What people come to do, each by the keyboard alone.
func TestJourneysByTheKeyboardAlone(t *testing.T) {
	w := shared.Given(t)
	b := webtest.NewBrowser(t)
	for name, journey := range map[string]func(t *testing.T, w *simtest.World, b *webtest.Browser){
		"a clerk": atEveryWidth(aClerksJourney), "a patient": atEveryWidth(aPatientsJourney),
		"the records office": duplicatesJourney, "a confusion": confusionJourney, "an administrator": administratorsJourney,
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			journey(t, w, b)
		})
	}
}

// atEveryWidth walks a journey at a desk, and then on a phone.
func atEveryWidth(journey func(t *testing.T, w *simtest.World, b *webtest.Browser, width string, options []webtest.Option)) func(t *testing.T, w *simtest.World, b *webtest.Browser) {
	return func(t *testing.T, w *simtest.World, b *webtest.Browser) {
		journey(t, w, b, "desk", nil)
		journey(t, w, b, "phone", []webtest.Option{webtest.Phone()})
	}
}

// aClerksJourney: nobody by number, somebody by details, a telephone number put right, and taken back.
func aClerksJourney(t *testing.T, w *simtest.World, b *webtest.Browser, width string, options []webtest.Option) {
	p := signsIn(t, w, b, "clerk-"+width, "clerk", options...)
	p.follow(`main a[href="/trace"]`)
	p.writes("#number", "9998999901")
	p.PressThrough(kb.Enter)
	p.Sees("Nobody in the national register has this NHS number")
	born := birthday(t, w, "fada")
	p.writes("#family", "ni bhriain")
	for i, at := range []string{"#born-year", "#born-month", "#born"} {
		p.Eval(`document.querySelector("h1").scrollIntoView()`, nil)
		p.writes(at, born[i])
	}
	p.PressThrough(kb.Enter)
	p.pictured()
	p.Sees("NÍ BHRIAIN, Una", "nearly", "but for an accent")
	p.skips()
	p.follow(`#found a[href^="/trace/"]`)
	p.Sees("Patient details")
	p.follow(`a[href$="/change/reach"]`)
	p.writes("#mobile", "07700 900555")
	p.writes("#reason", "Told us at the desk")
	p.follow(send)
	p.Sees("Check the change", "07700 900555", "NÍ BHRIAIN, Una")
	p.follow(send)
	p.Sees("The register is changed", "07700 900555")
	p.follow(`a[href$="/history"]`)
	p.Sees("History of changes", "Told us at the desk")
	p.follow(`a[href$="/undo"]`)
	p.Sees("Undo the newest change")
	p.writes("#reason", "That was another person")
	p.follow(send)
	p.Sees("The change is undone")
}

// aPatientsJourney: what is known of them, a number of their own, who looked, another pharmacy, something wrong, and out everywhere.
func aPatientsJourney(t *testing.T, w *simtest.World, b *webtest.Browser, width string, options []webtest.Option) {
	p := signsIn(t, w, b, "patient-"+width, "patient", options...)
	p.follow(`main a[href="/me/details"]`)
	p.follow(`a[href$="/change/reach"]`)
	p.writes("#mobile", "07700 9006"+map[string]string{"desk": "11", "phone": "22"}[width])
	p.follow(send)
	p.Sees("Check your answers")
	p.follow(send)
	p.Sees("Your details are changed")
	p.follow(`main a[href="/me/corrections"]`)
	p.follow(`main a[href="/me/corrections/new"]`)
	p.chooses("part", map[string]string{"desk": "name", "phone": "gender"}[width])
	p.writes("#words", "It is written wrongly")
	p.follow(send)
	p.Sees("Check your answers", "It is written wrongly")
	p.follow(send)
	p.Sees("We have your request", "Your reference")
	p.follow(`footer a[href="/me/seen"]`)
	p.Sees("Who looked at my record")
	p.Go(w.URL + "/me/pharmacy")
	p.skips()
	p.writes("#q", map[string]string{"desk": "wythe", "phone": "larch"}[width])
	p.PressThrough(kb.Enter)
	p.skips()
	p.follow(`#pharmacies a[href*="choose="]`)
	p.follow(send)
	p.Sees("Your pharmacy is changed")
	p.Go(w.URL + "/sign-in/sessions")
	p.follow(`button[name="everywhere"]`)
	p.Sees("Sign in")
	p.Go(w.URL + "/me")
	p.Sees("Sign in")
}

// duplicatesJourney: one person under two numbers, compared, merged and parted.
func duplicatesJourney(t *testing.T, w *simtest.World, b *webtest.Browser) {
	office := w.SignedIn(t, "records")
	simtest.Eventually(t, func() bool { return strings.Contains(office.Get("/duplicates").Text(), "VAUGHAN") })
	numbers := []string{strings.ReplaceAll(w.Number(t, "double-1"), " ", ""), strings.ReplaceAll(w.Number(t, "double-2"), " ", "")}
	slices.Sort(numbers)
	pair := "/duplicates/" + numbers[0] + "/" + numbers[1]
	p := signsIn(t, w, b, "duplicates", "records")
	p.follow(`main a[href="/duplicates"]`)
	p.follow(`#pairs a[href="` + pair + `"]`)
	p.Sees("Two records side by side", "VAUGHAN", "VAUGHN")
	p.follow(`main a[href="` + pair + `/merge"]`)
	p.chooses("survivor", numbers[0])
	p.writes("#reason", "Both cards were shown at the desk")
	p.follow(send)
	p.Sees("The two numbers are one person now")
	p.follow(`main a[href="` + pair + `/part"]`)
	p.writes("#reason", "They are sisters, as both say")
	p.follow(send)
	p.Sees("The two numbers are two people again")
}

// confusionJourney: a correction that made somebody else of a person is looked into.
func confusionJourney(t *testing.T, w *simtest.World, b *webtest.Browser) {
	at := w.Chart(t, "accents", "X26")
	office := w.SignedIn(t, "records")
	office.Get(at+"/correct").Send(at+"/correct", "family", "Okonkwo", "given", "Peter", "gender", "male", "reason", "As written on the form").Send(at+"/correct").Sees(200, "is corrected")
	simtest.Eventually(t, func() bool { return strings.Contains(office.Get("/confusions").Text(), "OKONKWO") })
	p := signsIn(t, w, b, "confusion", "records")
	p.follow(`main a[href="/confusions"]`)
	p.follow(`#confusions a[href^="/confusions/"]`)
	p.Sees("A record before and after a change", "OKONKWO")
	p.chooses("found", "two")
	p.writes("#reason", "The form was her neighbour's")
	p.follow(send)
	p.Sees("What you found is recorded", "Undo the change")
}

// administratorsJourney: somebody joins, has a further role, and leaves; a program; another key.
func administratorsJourney(t *testing.T, w *simtest.World, b *webtest.Browser) {
	p := signsIn(t, w, b, "administrator", "admin")
	p.follow(`main a[href="/admin/users"]`)
	p.follow(`main a[href="/admin/users/new"]`)
	p.follow(send)
	p.Sees("There is a problem", "Say why")
	p.writes("#id", "nora")
	p.writes("#name", "Nora Quist")
	p.writes("#organisation", "Z99801")
	p.writes("#reason", "Starts today")
	p.follow(send)
	p.Sees("Nora Quist")
	p.follow(`main a[href="/admin/users/nora/role"]`)
	p.writes("#reason", "Covers the desk")
	p.reaches("#role")
	p.Press("Cle")
	p.follow(send)
	p.Sees("Enter an ODS code", "Give a further role")
	p.writes("#organisation", "Z99801")
	p.follow(send)
	p.Sees("Covers the desk", "Clerk")
	p.follow(`main a[href="/admin/users/nora/change"]`)
	for _, field := range [][2]string{{"#leaves", "31"}, {"#leaves-month", "3"}, {"#leaves-year", "2031"}, {"#reason", "Moves away"}} {
		p.writes(field[0], field[1])
	}
	p.follow(send)
	p.Sees("31-Mar-2031")
	p.follow(`main a[href="/admin/users/nora/do/end"]`)
	p.writes("#reason", "Left sooner")
	p.follow(send)
	p.Sees("Ended")
	p.Go(w.URL + "/admin/clients/new")
	p.skips()
	p.writes("#client-id", "ward-app")
	p.writes("#client-name", "Ward app")
	p.writes("#redirects", "https://ward.example/back")
	p.writes("#scopes", "openid")
	p.writes("#reason", "For the ward")
	p.follow(send)
	p.Sees("You will not see it again")
	p.Go(w.URL + "/admin/keys/rotate")
	p.writes("#reason", "Once a year")
	p.follow(send)
	p.Sees("Once a year")
}

// birthday is a member of the cast's date of birth: year, month, day.
func birthday(t *testing.T, w *simtest.World, key string) []string {
	t.Helper()
	p, err := w.Country.Character(key)
	if err != nil {
		t.Fatal(err)
	}
	text := string(w.Country.Patient(p))
	_, after, _ := strings.Cut(text, `"birthDate":"`)
	return strings.Split(after[:10], "-")
}
