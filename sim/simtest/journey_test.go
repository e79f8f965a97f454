package simtest_test

import (
	"slices"
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/web/webtest"
)

var shared = simtest.Share("journeys", nil)

func TestMain(m *testing.M) { shared.Main(m) }

// signsIn opens the node, and chooses one of the people of the demonstration.
func signsIn(t *testing.T, w *simtest.World, b *webtest.Browser, name, user string, options ...webtest.Option) *webtest.Keyboard {
	t.Helper()
	p := b.ByKeyboard(t, name, w.URL+"/sign-in", options...)
	p.Follow(`form:has(input[value="` + user + `"]) button`)
	return p
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
	p.Follow(`main a[href="/trace"]`)
	p.Writes("#number", "9998999901")
	p.PressThrough(kb.Enter)
	p.Sees("Nobody in the national register has this NHS number")
	born := birthday(t, w, "fada")
	p.Writes("#family", "ni bhriain")
	for i, at := range []string{"#born-year", "#born-month", "#born"} {
		p.Eval(`document.querySelector("h1").scrollIntoView()`, nil)
		p.Writes(at, born[i])
	}
	p.PressThrough(kb.Enter)
	p.Pictured()
	p.Sees("NÍ BHRIAIN, Una", "nearly", "but for an accent")
	p.Skips()
	p.Follow(`#found a[href^="/trace/"]`)
	p.Sees("Patient details")
	p.Follow(`a[href$="/change/reach"]`)
	p.Writes("#mobile", "07700 900555")
	p.Writes("#reason", "Told us at the desk")
	p.Follow(send)
	p.Sees("Check the change", "07700 900555", "NÍ BHRIAIN, Una")
	p.Follow(send)
	p.Sees("The register is changed", "07700 900555")
	p.Follow(`a[href$="/history"]`)
	p.Sees("History of changes", "Told us at the desk")
	p.Follow(`a[href$="/undo"]`)
	p.Sees("Undo the newest change")
	p.Writes("#reason", "That was another person")
	p.Follow(send)
	p.Sees("The change is undone")
}

// aPatientsJourney: what is known of them, a number of their own, who looked, another pharmacy, something wrong, and out everywhere.
func aPatientsJourney(t *testing.T, w *simtest.World, b *webtest.Browser, width string, options []webtest.Option) {
	p := signsIn(t, w, b, "patient-"+width, "patient", options...)
	p.Follow(`main a[href="/me/details"]`)
	p.Follow(`a[href$="/change/reach"]`)
	p.Writes("#mobile", "07700 9006"+map[string]string{"desk": "11", "phone": "22"}[width])
	p.Follow(send)
	p.Sees("Check your answers")
	p.Follow(send)
	p.Sees("Your details are changed")
	p.Follow(`main a[href="/me/corrections"]`)
	p.Follow(`main a[href="/me/corrections/new"]`)
	p.Chooses("part", map[string]string{"desk": "name", "phone": "gender"}[width])
	p.Writes("#words", "It is written wrongly")
	p.Follow(send)
	p.Sees("Check your answers", "It is written wrongly")
	p.Follow(send)
	p.Sees("We have your request", "Your reference")
	p.Follow(`footer a[href="/me/seen"]`)
	p.Sees("Who looked at my record")
	p.Go(w.URL + "/me/pharmacy")
	p.Skips()
	p.Writes("#q", map[string]string{"desk": "wythe", "phone": "larch"}[width])
	p.PressThrough(kb.Enter)
	p.Skips()
	p.Follow(`#pharmacies a[href*="choose="]`)
	p.Follow(send)
	p.Sees("Your pharmacy is changed")
	p.Go(w.URL + "/sign-in/sessions")
	p.Follow(`button[name="everywhere"]`)
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
	p.Follow(`main a[href="/duplicates"]`)
	p.Follow(`#pairs a[href="` + pair + `"]`)
	p.Sees("Two records side by side", "VAUGHAN", "VAUGHN")
	p.Follow(`main a[href="` + pair + `/merge"]`)
	p.Chooses("survivor", numbers[0])
	p.Writes("#reason", "Both cards were shown at the desk")
	p.Follow(send)
	p.Sees("The two numbers are one person now")
	p.Follow(`main a[href="` + pair + `/part"]`)
	p.Writes("#reason", "They are sisters, as both say")
	p.Follow(send)
	p.Sees("The two numbers are two people again")
}

// confusionJourney: a correction that made somebody else of a person is looked into.
func confusionJourney(t *testing.T, w *simtest.World, b *webtest.Browser) {
	at := w.Chart(t, "accents", "X26")
	office := w.SignedIn(t, "records")
	office.Get(at+"/correct").Send(at+"/correct", "family", "Okonkwo", "given", "Peter", "gender", "male", "reason", "As written on the form").Send(at+"/correct").Sees(200, "is corrected")
	simtest.Eventually(t, func() bool { return strings.Contains(office.Get("/confusions").Text(), "OKONKWO") })
	p := signsIn(t, w, b, "confusion", "records")
	p.Follow(`main a[href="/confusions"]`)
	p.Follow(`#confusions a[href^="/confusions/"]`)
	p.Sees("A record before and after a change", "OKONKWO")
	p.Chooses("found", "two")
	p.Writes("#reason", "The form was her neighbour's")
	p.Follow(send)
	p.Sees("What you found is recorded", "Undo the change")
}

// administratorsJourney: somebody joins, has a further role, and leaves; a program; another key.
func administratorsJourney(t *testing.T, w *simtest.World, b *webtest.Browser) {
	p := signsIn(t, w, b, "administrator", "admin")
	p.Follow(`main a[href="/admin/users"]`)
	p.Follow(`main a[href="/admin/users/new"]`)
	p.Follow(send)
	p.Sees("There is a problem", "Say why")
	p.Writes("#id", "nora")
	p.Writes("#name", "Nora Quist")
	p.Writes("#organisation", "Z99801")
	p.Writes("#reason", "Starts today")
	p.Follow(send)
	p.Sees("Nora Quist")
	p.Follow(`main a[href="/admin/users/nora/role"]`)
	p.Writes("#reason", "Covers the desk")
	p.Reaches("#role")
	p.Press("Cle")
	p.Follow(send)
	p.Sees("Enter an ODS code", "Give a further role")
	p.Writes("#organisation", "Z99801")
	p.Follow(send)
	p.Sees("Covers the desk", "Clerk")
	p.Follow(`main a[href="/admin/users/nora/change"]`)
	for _, field := range [][2]string{{"#leaves", "31"}, {"#leaves-month", "3"}, {"#leaves-year", "2031"}, {"#reason", "Moves away"}} {
		p.Writes(field[0], field[1])
	}
	p.Follow(send)
	p.Sees("31-Mar-2031")
	p.Follow(`main a[href="/admin/users/nora/do/end"]`)
	p.Writes("#reason", "Left sooner")
	p.Follow(send)
	p.Sees("Ended")
	p.Go(w.URL + "/admin/clients/new")
	p.Skips()
	p.Writes("#client-id", "ward-app")
	p.Writes("#client-name", "Ward app")
	p.Writes("#redirects", "https://ward.example/back")
	p.Writes("#scopes", "openid")
	p.Writes("#reason", "For the ward")
	p.Follow(send)
	p.Sees("You will not see it again")
	p.Go(w.URL + "/admin/keys/rotate")
	p.Writes("#reason", "Once a year")
	p.Follow(send)
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
