package trace_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/web/webtest"
)

// everyPage is each page as somebody who may see it opens it.
func everyPage(t *testing.T, w *simtest.World) [][3]string {
	at, day := "/trace/"+number(t, w, "spouse"), born(t, w, "spouse")
	load(t, w, strange)
	asked := askedBy(t, w, number(t, w, "correct"), "اسمي "+strings.Repeat("Long", 75)+" 😀 O’Neill")
	return [][3]string{
		{"clerk", "corrections", "/corrections"}, {"clerk", "correction", asked}, {"patient", "mine-corrections", "/me/corrections"}, {"patient", "mine-asks", "/me/corrections/new"},
		{"clerk", "trace", "/trace"}, {"clerk", "number", "/trace?number=" + number(t, w, "spouse")}, {"clerk", "nobody", "/trace?number=9998999901"}, {"clerk", "wrong", "/trace?number=12"},
		{"clerk", "wide", question("family", "Hartlee", "given", "Margret", "born", day, "by", "wide")}, {"clerk", "errors", question("family", "😀😀", "born", "2099-01-01")},
		{"clerk", "none", question("family", "Nobody", "born", day)}, {"clerk", "many", question("family", "Multitude", "born", "1901-01-01", "bornto", "1999-01-01")},
		{"clerk", "details", at}, {"gp", "restricted", "/trace/" + number(t, w, "restricted")}, {"clerk", "dead", "/trace/" + number(t, w, "dead")}, {"clerk", "strange", "/trace/9991230106"},
		{"clerk", "history", at + "/history"}, {"clerk", "change-name", at + "/change/name"}, {"clerk", "change-address", at + "/change/address"}, {"clerk", "change-birth", at + "/change/birth"},
		{"clerk", "change-language", at + "/change/language"}, {"clerk", "change-death", at + "/change/death"}, {"clerk", "staff-pharmacy", at + "/pharmacy"}, {"clerk", "staff-pharmacy-choose", at + "/pharmacy?choose=FZZ02"},
		{"patient", "mine", "/me/details"}, {"patient", "mine-history", "/me/details/history"}, {"patient", "mine-reach", "/me/details/change/reach"}, {"patient", "mine-contact", "/me/details/change/contact"},
		{"patient", "pharmacy", "/me/pharmacy?q="}, {"patient", "pharmacy-choose", "/me/pharmacy?choose=FZZ02"}, {"patient", "devices", "/sign-in/sessions"},
	}
}

// strange is somebody whose record was imported: names in another script, in pictures, of 300 letters.
var strange = `{"resourceType":"Patient","id":"9991230106","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9991230106"}],"gender":"female","birthDate":"1950-05-05",
	"name":[{"id":"n1","use":"usual","family":"البغدادي","given":["فاطمة"]},{"id":"n2","use":"nickname","family":"😀😀","given":["🦊"]},{"id":"n3","use":"old","family":"` + strings.Repeat("Long", 75) + `","given":["Ann"]}],
	"address":[{"id":"a","use":"home","line":["` + strings.Repeat("Street", 50) + `"],"postalCode":"LS1 6AE"}]}`

func TestEveryPageIsHealthy(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	var docs []string
	for i := range 60 {
		docs = append(docs, crowd(9_994_000_000+int64(i)*10))
	}
	load(t, w, docs...)
	cookies := map[string]string{}
	var visits []webtest.Visit
	for _, page := range everyPage(t, w) {
		user, name, path := page[0], page[1], page[2]
		if cookies[user] == "" {
			cookies[user] = w.SignedIn(t, user).Cookie()
		}
		walk := name == "wide" || name == "correction" || name == "details" || name == "change-name" || name == "pharmacy"
		visits = append(visits, webtest.Visit{Name: "trace-" + name, Path: path, Cookie: cookies[user], Walk: walk})
	}
	webtest.NewBrowser(t).EveryPage(t, w.URL, visits)
}

// The journey of a patient on a telephone without scripts: another pharmacy.
func TestAPatientsJourneyOnAPhone(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	p := webtest.Open(t, w.URL+"/me/pharmacy", webtest.Cookie("openspine", w.SignedIn(t, "patient").Cookie()), webtest.Phone(), webtest.NoScript())
	p.Type("#q", "wythe")
	p.PressThrough(kb.Enter)
	p.Sees("Wythe Pharmacy")
	p.Submit(`#pharmacies a[href*="choose="]`)
	p.Sees("Change your pharmacy", "Wythe Pharmacy")
	p.Submit(`main form button[type="submit"]`)
	p.Sees("Your pharmacy is changed", "Wythe Pharmacy")
	p.Go(w.URL + "/me/pharmacy?choose=FZZ99")
	p.Submit(`main form button[type="submit"]`)
	p.Sees("Larch Street Pharmacy (FZZ99)")
}
