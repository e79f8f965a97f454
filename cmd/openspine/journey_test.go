package main

import (
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/chromedp/chromedp"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/web/format"
	"github.com/openspine/openspine/web/webtest"
)

// ahead is a clock that a test puts forward.
type ahead struct{ by atomic.Int64 }

func (a *ahead) Now() time.Time                         { return time.Now().Add(time.Duration(a.by.Load())).UTC() }
func (a *ahead) After(d time.Duration) <-chan time.Time { return time.After(d) }

// walker is somebody who goes from page to page with a mouse, each of which is looked at.
type walker struct {
	*webtest.Page
	name string
	seen int
}

func (w *walker) looks(texts ...string) {
	w.Sees(texts...)
	w.Healthy()
	w.seen++
	w.Screenshot("journey-" + w.name + "-" + string(rune('a'+w.seen-1)) + ".png")
}

func (w *walker) sends() { w.Submit(`main form button[data-prevent-double-click]`) }

// TestFromThePracticeToTheOutcome is the whole journey in the browser, over two nodes whose link is cut in the middle: a practice refers, the patient books by reference and password on a phone, the hospital
// accepts; without a line they arrive and are seen; once it is healed the practice sees what came of it, and the two nodes differ in nothing.
func TestFromThePracticeToTheOutcome(t *testing.T) {
	t.Parallel()
	b := webtest.NewBrowser(t)
	time0 := &ahead{}
	nodes := givenCountryBy(t, time0)
	nation, west := &simtest.World{URL: nodes[0].URL(), Node: nodes[0]}, &simtest.World{URL: nodes[1].URL(), Node: nodes[1]}
	k, err := sim.New(sim.Config{Seed: 1, People: 200, Now: time.Now()})
	if err != nil {
		t.Fatal(err)
	}
	nation.Country = k
	number := strings.ReplaceAll(nation.Number(t, "correct"), " ", "")
	gp := nation.SignedIn(t, "gp")
	choose := "/refer/person/" + number
	t.Cleanup(func() {
		if t.Failed() {
			t.Log(gp.Text())
		}
	})
	if err := nodes[1].Clinics().Plan(t.Context(), sim.HospitalWest); err != nil {
		t.Fatal(err)
	}
	simtest.Eventually(t, func() bool {
		text := gp.Get(choose + "?q=cardio").Text()
		return strings.Contains(text, "Cardiology outpatients") && !strings.Contains(text, "Fenmarket General Hospital Next free time Free times 0")
	})

	enter := func(name string, w *simtest.World, user, path string, options ...webtest.Option) *walker {
		p := &walker{Page: b.Open(t, w.URL+"/sign-in", options...), name: name}
		p.Submit(`form:has(input[value="` + user + `"]) button`)
		p.Go(w.URL + path)
		return p
	}
	// The practice refers.
	practice := enter("practice", nation, "gp", choose)
	practice.Click(`input[value="RZZ01-cardiology"]`)
	practice.looks("Cardiology outpatients", "On the map")
	practice.Submit(`main button[formaction]`)
	practice.Type("#letter", "Chest pain on the stairs for six weeks. Please see.")
	practice.looks("Refer: letter")
	practice.sends()
	practice.looks("Referral made", "Password")
	fact := func(key string) (value string) {
		practice.Eval(`[...document.querySelectorAll("dt")].find(e => e.innerText.trim() === "`+key+`").nextElementSibling.innerText.trim()`, &value)
		return value
	}
	ubrn, password := fact("Booking reference"), fact("Password")
	page := "/refer/case/" + strings.ReplaceAll(ubrn, " ", "")

	// The patient chooses and books.
	patient := &walker{Page: b.Open(t, nation.URL+"/appointments", webtest.Phone()), name: "patient"}
	patient.Type("#ubrn", ubrn)
	patient.Type("#password", password)
	patient.sends()
	patient.looks("You have not booked yet", "Cardiology outpatients")
	patient.Submit(`a[href*="/appointments/times"]`)
	patient.Click("#slot")
	patient.looks("Fenmarket General Hospital")
	patient.sends()
	patient.looks("Check before you book")
	patient.sends()
	patient.looks("Your appointment is booked")
	var when string
	patient.Eval(`document.body.innerText.match(/\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d/)[0]`, &when)

	// The hospital reviews and accepts.
	clinics := "/o/RZZ01/clinics"
	doctor := enter("doctor", west, "hospital", clinics+"/review")
	doctor.Wait(`document.querySelector("#live").innerText.includes("HARTLEY")`) // by itself, once the link has brought it
	doctor.looks("Referrals to review")
	doctor.Submit(`#live a[href*="/cases/"]`)
	doctor.looks("Chest pain on the stairs")
	doctor.Submit(`a[href$="/decide/accept"]`)
	doctor.sends()
	doctor.looks("It is decided")
	r := nation.SignedIn(t, "gp")
	simtest.Eventually(t, func() bool { return strings.Contains(r.Get(page).Text(), "Accept") }) // the act in its history

	// The link is cut; the day comes, and the clinic is held.
	links, by := nodes[0].Kernel().Network, access.Service("test", sim.National)
	if err := links.CutLink(t.Context(), by, network.MustNodeID("RZZ01"), "the street is being dug up"); err != nil {
		t.Fatal(err)
	}
	at, err := time.ParseInLocation("02-Jan-2006 15:04", when, format.Midnight(time.Now()).Location())
	if err != nil {
		t.Fatal(err)
	}
	time0.by.Store(int64(time.Until(at.Add(time.Minute))))
	desk := enter("clerk", west, "hospital-clerk", clinics+"/desk?day="+at.Format(time.DateOnly), webtest.Phone())
	desk.looks("HARTLEY", "Booked")
	desk.Submit(`form:has(input[value="` + strings.ReplaceAll(ubrn, " ", "") + `"]) button`)
	desk.looks("They have arrived")
	doctor = enter("outcome", west, "hospital", clinics+"/desk?day="+at.Format(time.DateOnly))
	doctor.Submit(`#live a[href*="/` + strings.ReplaceAll(ubrn, " ", "") + `/come"]`)
	doctor.Click(`input[name=outcome][value=discharged]`)
	doctor.Do(chromedp.SetValue("#status", "30", chromedp.ByQuery))
	doctor.looks("What came of the appointment")
	doctor.sends()
	doctor.looks("It is written down")
	doctor.Go(west.URL + clinics + "/cases/" + strings.ReplaceAll(ubrn, " ", ""))
	doctor.looks("Not confirmed yet")

	// It is healed, and both say the same.
	if err := links.HealLink(t.Context(), by, network.MustNodeID("RZZ01"), "the street is whole again"); err != nil {
		t.Fatal(err)
	}
	doctor.Go(west.URL + clinics + "/reconciliation")
	r = nation.SignedIn(t, "gp")
	simtest.Eventually(t, func() bool { return strings.Contains(strings.ToLower(r.Get(page).Text()), "discharge") })
	practice = enter("after", nation, "gp", page)
	practice.looks("Discharged", "Seen")
	simtest.Eventually(t, func() bool {
		if err := nodes[1].Clinics().Tally(t.Context(), sim.HospitalWest); err != nil {
			t.Fatal(err)
		}
		f, err := nodes[1].Clinics().Figures(t.Context(), sim.HospitalWest, 3)
		return err == nil && f.Differing == 0 && f.Refused == 0 && !f.Standing.Answered.IsZero()
	})
	doctor.Go(west.URL + clinics + "/figures")
	doctor.looks("Differences with the spine")
}
