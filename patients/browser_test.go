package patients_test

import (
	"strings"
	"testing"

	"github.com/chromedp/chromedp/kb"

	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/web/webtest"
)

// everyPage is each page as somebody who may see it opens it.
func everyPage(t *testing.T, w *simtest.World) [][2]string {
	chart, national := w.Chart(t, "correct", "Z99801"), w.Chart(t, "correct", "X26")
	person := chart[strings.LastIndex(chart, "/")+1:]
	gp := w.SignedIn(t, "gp")
	condition := gp.Get(chart).Link(chart + "/record/Condition/[^\"]+")
	trend := gp.Link(chart + "/results/[^\"]+")
	w.SignedIn(t, "gp").Get("/o/X26/break-glass").Send("/o/X26/break-glass", "number", w.Number(t, "restricted"), "reason", "Brought in unconscious after a fall")
	alert := w.SignedIn(t, "privacy").Get("/alerts?show=all").Link("/alerts/[^\"?]+")
	patient := w.SignedIn(t, "patient")
	gp.Get(w.Chart(t, "patient", "Z99801"))
	ask := patient.Get("/me/seen").Link("/me/object[^\"]+")
	answered, question := asked(t, w)
	return [][2]string{
		{"patient", "/"}, {"patient", ask}, {"patient", answered}, {"privacy", "/questions?show=all"}, {"privacy", question}, {"admin", "/"}, {"admin", "/parked"}, {"stranger", "/"}, {"gp", "/account"}, {"", "/nowhere"},
		{"", "/sign-in"}, {"gp", "/"}, {"gp", "/o/Z99801/find"}, {"gp", "/o/Z99801/find?family=smith"}, {"gp", "/o/Z99801/find?number=1234567890"}, {"gp", "/o/X26/find?number=9990000042"},
		{"gp", chart}, {"gp", chart + "/timeline"}, {"gp", trend}, {"gp", chart + "/seen"}, {"gp", chart + "/record/Patient/" + person}, {"gp", condition}, {"gp", condition + "/wrong"},
		{"gp", chart + "/correct"}, {"stranger", national}, {"stranger", national + "/claim"}, {"gp", "/o/X26/break-glass?number=9990000042"}, {"clerk", chart},
		{"patient", "/me"}, {"patient", "/me/seen"}, {"privacy", "/alerts?show=all"}, {"privacy", alert}, {"privacy", "/account"}, {"auditor", "/account/seal"}, {"gp", "/developer"}, {"gp", "/developer?service=ers"},
	}
}

func TestEveryPageIsHealthy(t *testing.T) {
	t.Parallel()
	w := given(t)
	b := webtest.NewBrowser(t)
	cookies := map[string]string{}
	var visits []webtest.Visit
	for _, page := range everyPage(t, w) {
		user, path := page[0], page[1]
		if user != "" && cookies[user] == "" {
			cookies[user] = w.SignedIn(t, user).Cookie()
		}
		visits = append(visits, webtest.Visit{User: user, Path: path, Cookie: cookies[user]})
	}
	b.EveryPage(t, w.URL, visits)
}

// TestTheTourIsWalked goes where the demonstration's tour leads, as a visitor with a mouse would.
func TestTheTourIsWalked(t *testing.T) {
	t.Parallel()
	w := given(t)
	b := webtest.NewBrowser(t)
	t.Run("with scripts", func(t *testing.T) { walkTour(t, w, b, "fada", "Caoimhe") })
	t.Run("without scripts", func(t *testing.T) { walkTour(t, w, b, "accents", "Zoe", webtest.NoScript()) })
}

func walkTour(t *testing.T, w *simtest.World, b *webtest.Browser, key, given string, options ...webtest.Option) {
	chart := w.Chart(t, key, "Z99801")
	p := b.Open(t, w.URL+"/sign-in", options...)
	p.Submit(`input[value="gp"] ~ button`)
	p.Sees("Larch Street Surgery", "Find a patient")

	p.Go(w.URL + "/find")
	p.Type("#number", w.Number(t, key))
	if len(options) > 0 {
		p.Submit(".os-filter button") // a page of its own without scripts
	} else {
		p.Press(kb.Enter)
		p.Wait(`document.querySelector("#people a[href$='` + chart + `']") !== null`)
	}
	p.Submit("#people a[href$='" + chart + "']")
	p.Sees("Patient record", "Problems and diagnoses")

	p.Submit("a[href$='/correct']")
	p.Eval(`document.querySelector("#given").value = ""`, nil)
	p.Type("#given", given)
	p.Type("#reason", "The person told us")
	p.Submit("main form button")
	p.Sees("Check the correction", given)
	p.Submit("main form button")
	p.Sees("is corrected", given, "The person told us")

	p.Submit("a[href$='/undo']")
	p.Type("#reason", "Put back for the next visitor")
	p.Submit("main form button")
	p.Sees("is undone", "Version 3")
	p.Go(w.URL + chart + "/seen")
	p.Sees("Dr Amara Whitfield", "Changed")

	p.Go(w.URL + "/o/X26/break-glass?number=9990000042")
	p.Type("#reason", "Brought in unconscious by ambulance")
	p.Submit("main form button")
	p.Sees("The record is open")
	p.Submit("main a[href*='/patients/']")
	p.Sees("MARSH, Helena (Ms)")
}

// TestTheKeyboardAloneSuffices finds a person, opens the record and corrects it without a mouse.
func TestTheKeyboardAloneSuffices(t *testing.T) {
	t.Parallel()
	w := given(t)
	chart := w.Chart(t, "twin-1", "Z99801")
	p := webtest.Open(t, w.URL+"/o/Z99801/find", webtest.Cookie("openspine", w.SignedIn(t, "gp").Cookie()))
	reach(t, p, "#number")
	p.Press(strings.ReplaceAll(w.Number(t, "twin-1"), " ", "") + kb.Enter)
	p.Wait(`document.querySelector("#people table") !== null`)
	reach(t, p, "#people a[href$='"+chart+"']")
	p.PressThrough(kb.Enter)
	p.Sees("Patient record")
	p.Walk()
	p.Eval(`document.querySelector("h1").scrollIntoView()`, nil)
	reach(t, p, "a[href$='/correct']")
	p.PressThrough(kb.Enter)
	reach(t, p, "#reason")
	p.Press("Typed with the keyboard alone")
	reach(t, p, "main form button")
	p.PressThrough(kb.Enter)
	p.Sees("Change something: this is what the record says already")
}

// reach presses Tab until the element has the focus.
func reach(t *testing.T, p *webtest.Page, selector string) {
	t.Helper()
	for range 120 {
		at := false
		p.Eval(`document.activeElement !== null && document.activeElement.matches(`+"`"+selector+"`"+`)`, &at)
		if at {
			return
		}
		p.Press(kb.Tab)
	}
	t.Fatalf("the keyboard does not reach %s", selector)
}
