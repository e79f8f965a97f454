package main

import (
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/chromedp/kb"

	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/web/format"
	"github.com/openspine/openspine/web/webtest"
)

// TestFromThePracticeToTheOutcomeByTheKeyboardAlone: a doctor refers, searches, chooses and books; a patient comes in by reference and password on a phone, chooses and books; the hospital accepts, a
// clerk checks in, and a doctor writes down what came of it. Nobody has a mouse.
func TestFromThePracticeToTheOutcomeByTheKeyboardAlone(t *testing.T) {
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
	choose := "/refer/person/" + strings.ReplaceAll(nation.Number(t, "correct"), " ", "")
	if err := nodes[1].Clinics().Plan(t.Context(), sim.HospitalWest); err != nil {
		t.Fatal(err)
	}
	gp := nation.SignedIn(t, "gp")
	simtest.Eventually(t, func() bool {
		text := gp.Get(choose + "?q=cardio").Text()
		return strings.Contains(text, "Cardiology outpatients") && !strings.Contains(text, "Fenmarket General Hospital Next free time Free times 0")
	})
	const send = `main form button[data-prevent-double-click]`
	enter := func(name string, w *simtest.World, user, path string, options ...webtest.Option) *webtest.Keyboard {
		p := b.ByKeyboard(t, name, w.URL+"/sign-in", options...)
		p.Follow(`form:has(input[value="` + user + `"]) button`)
		p.Go(w.URL + path)
		p.Skips()
		return p
	}
	ticks := func(p *webtest.Keyboard, selector string) {
		p.Reaches(selector)
		p.Press(" ")
	}
	fact := func(p *webtest.Keyboard, key string) (value string) {
		p.Eval(`[...document.querySelectorAll("dt")].find(e => e.innerText.trim() === "`+key+`").nextElementSibling.innerText.trim()`, &value)
		return strings.ReplaceAll(value, " ", "")
	}

	practice := enter("keys-practice", nation, "gp", choose)
	var ubrn, password string
	for _, books := range []bool{false, true} { // the first one is the patient's to book
		practice.Go(nation.URL + choose)
		practice.Skips()
		practice.Writes("#q", "cardio")
		practice.PressThrough(kb.Enter)
		practice.Skips()
		ticks(practice, `input[value="RZZ01-cardiology"]`)
		practice.Follow(`main button[formaction]`)
		practice.Writes("#letter", "Chest pain on the stairs for six weeks. Please see.")
		practice.Follow(send)
		practice.Sees("Referral made")
		if !books {
			ubrn, password = fact(practice, "Booking reference"), fact(practice, "Password")
		}
	}
	own := fact(practice, "Booking reference")
	practice.Follow(`main a[href$="/book"]`)
	ticks(practice, "#slot")
	practice.Follow(send)
	practice.Sees("Booked")

	patient := b.ByKeyboard(t, "keys-patient", nation.URL+"/appointments", webtest.Phone())
	patient.Writes("#ubrn", ubrn)
	patient.Writes("#password", password)
	patient.Follow(send)
	patient.Sees("You have not booked yet")
	patient.Follow(`main a[href*="/appointments/times"]`)
	ticks(patient, "#slot")
	patient.Follow(send)
	patient.Sees("Check before you book")
	patient.Follow(send)
	patient.Sees("Your appointment is booked")
	when := regexp.MustCompile(`\d\d-[A-Z][a-z]{2}-\d{4} \d\d:\d\d`).FindString(patient.Text("main"))
	at, err := time.ParseInLocation("02-Jan-2006 15:04", when, format.Midnight(time.Now()).Location())
	if err != nil {
		t.Fatal(err)
	}

	clinics := "/o/RZZ01/clinics"
	known := west.SignedIn(t, "hospital")
	simtest.Eventually(t, func() bool {
		text := known.Get(clinics + "/cases/" + ubrn).Text()
		return strings.Contains(text, when) && known.Get(clinics+"/cases/"+own).Status == 200
	})
	doctor := enter("keys-doctor", west, "hospital", clinics)
	doctor.Follow(`#work a[href$="/review"]`)
	doctor.Follow(`#live a[href$="/cases/` + ubrn + `"]`)
	doctor.Follow(`main a[href$="/decide/accept"]`)
	doctor.Follow(send)
	doctor.Sees("It is decided")

	time0.by.Store(int64(time.Until(at.Add(time.Minute))))
	desk := "/desk?day=" + at.Format(time.DateOnly)
	clerk := enter("keys-clerk", west, "hospital-clerk", clinics+desk)
	clerk.Follow(`form:has(input[value="` + ubrn + `"]) button`)
	clerk.Sees("They have arrived")
	doctor = enter("keys-outcome", west, "hospital", clinics+desk)
	doctor.Follow(`#live a[href*="/` + ubrn + `/come"]`)
	doctor.Chooses("outcome", "discharged")
	doctor.Reaches("#status")
	for status := ""; status != "30"; {
		was := status
		doctor.Press(kb.ArrowDown)
		if doctor.Eval(`document.querySelector("#status").value`, &status); status == was {
			t.Fatalf("the arrows lead to the status %q and no further", was)
		}
	}
	doctor.Follow(send)
	doctor.Sees("It is written down")
	gp = nation.SignedIn(t, "gp") // the session of days ago is over
	simtest.Eventually(t, func() bool {
		return strings.Contains(strings.ToLower(gp.Get("/refer/case/"+ubrn).Text()), "discharge")
	})
}
