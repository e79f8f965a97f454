package trace_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/openspine/openspine/sim/simtest"
)

// A correction is typed, checked, saved, seen in the history with who, when and why, and taken back.
func TestACorrectionAndItsUndoing(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	at := "/trace/" + number(t, w, "correct")
	clerk := w.SignedIn(t, "clerk")
	clerk.Get(at).Sees(200, "HARTLEY, Goerge Albert (Mr)", "109 Turing Road", "Allergies: see the record", "Larch Street Surgery (Z99801)", "Nominated pharmacy", "None notified", "shown to the person alone")
	clerk.Get(at+"/change/name").Sees(200, "Change the name").Send(at+"/change/name", "given", "George Albert", "reason", "x").Sees(422, "Choose whether it has changed or was wrong", "Say why, in 5 to 500 characters")
	clerk.Send(at+"/change/name", "given", "George Albert", "kind", "wrong", "reason", "As on the birth certificate").Sees(200, "Check the change", "HARTLEY, George Albert (Mr)", "HARTLEY, Goerge Albert (Mr)", "As on the birth certificate")
	clerk.Send(at+"/change/name").Sees(200, "The register is changed", "HARTLEY, George Albert (Mr)")
	clerk.Get(at+"/history").Sees(200, "Mr Ravi Menon", "Reason: As on the birth certificate", "HARTLEY, Goerge Albert (Mr)", "Undo this change")
	clerk.Get(at+"/undo").Sees(200, "Undo the newest change").Send(at+"/undo", "reason", "").Sees(422, "Say why, in 5 to 500 characters")
	clerk.Send(at+"/undo", "reason", "The certificate was his brother's").Sees(200, "The change is undone", "HARTLEY, Goerge Albert (Mr)")
	clerk.Get(at+"/history").Sees(200, "The certificate was his brother's", "As on the birth certificate")
}

// What a life brings about keeps what was so before.
func TestAMarriageKeepsTheNameBefore(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	at := "/trace/" + number(t, w, "moved")
	clerk := w.SignedIn(t, "clerk")
	clerk.Get(at+"/change/name").Send(at+"/change/name", "family", "García-Whittle", "kind", "changed", "reason", "Married in June").Sees(200, "Check the change")
	clerk.Send(at+"/change/name").Sees(200, "The register is changed", "GARCÍA-WHITTLE, Rosa María", "GARCÍA MÁRQUEZ, Rosa María", "former")
	clerk.Get(question("family", "García Márquez", "born", born(t, w, "moved"))).Sees(200, "Nobody in the register")
	clerk.Get(question("family", "Garcia Marquez", "born", born(t, w, "moved"), "past", "yes")).Sees(200, "GARCÍA-WHITTLE", "formerly")
}

// The rules of the published update hold on pages too, and each refusal stands beside its field.
func TestRulesRefuseBesideTheField(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	at := "/trace/" + number(t, w, "particle")
	clerk := w.SignedIn(t, "clerk")
	for _, c := range []struct {
		part  string
		typed []string
		says  string
	}{
		{"name", []string{"family", "😀", "kind", "wrong"}, "in Latin letters"},
		{"name", []string{"family", "محمد", "kind", "wrong"}, "in Latin letters"},
		{"name", []string{"family", strings.Repeat("x", 300), "kind", "wrong"}, "at most 35 letters"},
		{"name", []string{"family", "   ", "kind", "wrong"}, "in Latin letters"},
		{"name", []string{"given", strings.Repeat("y", 36), "kind", "wrong"}, "at most 35 letters"},
		{"birth", []string{"born-year", "2099"}, "not in the future"},
		{"birth", []string{"born-day", "31", "born-month", "2"}, "a day that exists"},
		{"address", []string{"lines", "1\n2\n3\n4\n5\n6", "postcode", "FN2 8LS", "kind", "changed"}, "at most five lines"},
		{"address", []string{"lines", " ", "postcode", "FN2 8LS", "kind", "changed"}, "each line on a line of its own"},
		{"address", []string{"lines", "1 Road", "postcode", "FN2", "kind", "changed"}, "a whole postcode"},
		{"reach", []string{"mobile", "12"}, "7 to 15 digits"},
		{"reach", []string{"email", "nobody"}, "an email address"},
		{"contact", []string{"emergency", "call me"}, "7 to 15 digits"},
		{"death", []string{"died-day", "1", "died-month", "1", "died-year", "2099"}, "not in the future and not before the birth"},
		{"death", []string{"died-day", "1", "died-month", "1", "died-year", "1850"}, "not in the future and not before the birth"},
		{"name", []string{"kind", "wrong"}, "what the register says already"},
	} {
		p := clerk.Get(at + "/change/" + c.part)
		p.Send(at+"/change/"+c.part, append(c.typed, "reason", "As they told us")...).Sees(422, "There is a problem", c.says)
		if strings.Count(clerk.Body, c.says) < 2 {
			t.Errorf("%s %q: it is not said both above and beside the field:\n%s", c.part, c.typed, clerk.Text())
		}
	}
	clerk.Get(at).Sees(200, "VAN DER MERWE, Pieter")
}

// Two people change one record: the second sees both and loses nothing. A form of another tab's patient is refused.
func TestTwoWhoChangeOneRecord(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	at := "/trace/" + number(t, w, "accents")
	one, two := w.SignedIn(t, "clerk").Get(at+"/change/reach"), w.SignedIn(t, "hospital-clerk").Get(at+"/change/reach")
	one.Send(at+"/change/reach", "mobile", "07700 900111", "reason", "New telephone").Sees(200, "Check the change").Send(at+"/change/reach").Sees(200, "The register is changed", "07700 900111")
	two.Send(at+"/change/reach", "mobile", "07700 900222", "reason", "Told us at the desk").Sees(409, "Somebody else changed this record while you typed", "07700 900111", "07700 900222")
	two.Send(at+"/change/reach").Sees(200, "Check the change", "07700 900111", "07700 900222").Send(at+"/change/reach").Sees(200, "The register is changed", "07700 900222")
	form := two.Get(at + "/change/reach").Form()
	two.Post("/trace/"+number(t, w, "fada")+"/change/reach", form).Sees(409)
}

// A practice registers somebody from the list: the practice is theirs from today, and its people look after them.
func TestAPracticeRegistersSomebody(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	var at, name string
	for p := range w.Country.Everyone() {
		if p.Key == "" && p.Practice.String() == "Z99802" && !p.Restricted && p.Died == 0 {
			at, name = "/trace/"+p.NHSNumber.String(), p.Names[0].Family
			break
		}
	}
	if at == "" {
		t.Fatal("nobody is registered elsewhere")
	}
	clerk := w.SignedIn(t, "clerk").Get(at).Sees(200, "Register here", strings.ToUpper(name))
	clerk.Get(at+"/change/practice").Sees(200, "Register with your practice", "Larch Street Surgery (Z99801)").Send(at+"/change/practice", "reason", "").Sees(422, "Say why, in 5 to 500 characters")
	clerk.Send(at+"/change/practice", "reason", "Moved into our area").Sees(200, "registered with your practice", "Larch Street Surgery (Z99801) (since").SeesNot("Register here")
	chart := clerk.Sees(200, "Open the record at Larch Street Surgery").Link("/o/Z99801/patients/[^\"]+")
	clerk.Get(chart).Sees(200, strings.ToUpper(name), "This is the record that Larch Street Surgery keeps")
	w.SignedIn(t, "gp").Get(chart).Sees(200, strings.ToUpper(name), "The patient is registered with Larch Street Surgery")
	w.SignedIn(t, "hospital").Get(chart).Sees(403)
	clerk.Get(at + "/change/language")
	clerk.Post(at+"/here", clerk.Form()).Sees(200, "This is the record that Larch Street Surgery keeps") // twice is once
	w.SignedIn(t, "gp").Get("/o/X26/patients/"+strings.TrimPrefix(at, "/trace/")).Sees(200, "The patient is registered with")
	w.SignedIn(t, "hospital-clerk").Get(at).Sees(200).SeesNot("Register here").Get(at + "/change/practice").Sees(403)
}

// A patient sees their details, changes what is theirs, and nothing else.
func TestAPatientsOwnDetails(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	me := w.SignedIn(t, "patient").Get("/me/details")
	me.Sees(200, "My details", "LLEWELYN, Ffion Haf (Ms)", "Your GP practice can put it right", "It is your own record", "No card is recorded")
	for _, part := range []string{"name", "birth", "death", "practice"} {
		me.Get("/me/details/change/" + part).Sees(404)
	}
	me.Get("/me/details/change/reach").Sees(200, "Your mobile number").SeesNot("Reason", "Phone at home").Send("/me/details/change/reach", "mobile", "12").Sees(422, "7 to 15 digits")
	me.Send("/me/details/change/reach", "mobile", "07700 900333").Sees(200, "Check your answers", "07700 900333").Send("/me/details/change/reach").Sees(200, "Your details are changed", "07700 900333")
	me.Get("/me/details/history").Sees(200, "Ms Ffion Haf Llewelyn", "Changed by the person themself").SeesNot("Undo")
	me.Get("/me/details/change/address").Send("/me/details/change/address", "lines", "5 New Road\nFenmarket", "postcode", "fn2 8ls").Sees(200, "Check your answers", "FN2 8LS").Send("/me/details/change/address").Sees(200, "5 New Road, Fenmarket")
	me.Get("/me/seen?who=everybody").Sees(200, "Changed in the register", "their own details")
	me.Get("/trace").Sees(403)
	w.SignedIn(t, "gp").Get("/me/details").Sees(403)
}

// A patient chooses a pharmacy by name and distance, changes it and takes it back; it is the record that changes, and on the account.
func TestAPatientsPharmacy(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	me := w.SignedIn(t, "patient").Get("/me/pharmacy")
	me.Sees(200, "My pharmacy", "Larch Street Pharmacy (FZZ99)", "Riverside Chemist", "Distance")
	me.Get("/me/pharmacy?near=nowhere").Sees(422, "Enter a postcode or its first part")
	me.Get("/me/pharmacy?q=zzz").Sees(200, "No open pharmacy is found")
	me.Get("/me/pharmacy?choose=Z99801").Sees(404, "no open pharmacy")
	me.Get("/me/pharmacy?q=river")
	me.Get(me.Link(`/me/pharmacy\?choose=[A-Z0-9]+`)).Sees(200, "Now Larch Street Pharmacy", "Will be Riverside Chemist")
	me.Send("/me/pharmacy").Sees(200, "Your pharmacy is changed", "Riverside Chemist (FZZ01)")
	me.Get("/me/pharmacy?choose=none").Sees(200, "Will be Nothing").Send("/me/pharmacy").Sees(200, "None is chosen")
	me.Post("/me/pharmacy", url.Values{"pharmacy": {"FZZ01"}}).Sees(409)
	at := "/trace/" + number(t, w, "patient")
	w.SignedIn(t, "pharmacist").Get(at+"/pharmacy?choose=FZZ99").Send(at+"/pharmacy", "reason", "Asked at the counter").Sees(200, "nominated pharmacy is changed", "Larch Street Pharmacy (FZZ99)")
}

// A superseded number leads to the one that speaks for the person, and the page says so.
func TestASupersededNumberLeadsOn(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	one, two := number(t, w, "double-1"), number(t, w, "double-2")
	pair := "/duplicates/" + min(one, two) + "/" + max(one, two)
	records := w.SignedIn(t, "records")
	simtest.Eventually(t, func() bool { return records.Get(pair).Status == 200 })
	records.Get(pair+"/merge").Send(pair+"/merge", "survivor", one, "reason", "One person, says her card").Sees(200, "one person now")
	clerk := w.SignedIn(t, "clerk")
	clerk.Get("/trace?number="+two).Sees(200, w.Number(t, "double-1"), w.Number(t, "double-2")+" is now this number", "VAUGHAN")
	clerk.Get("/trace/"+two).Sees(200, w.Number(t, "double-2")+" is no longer used", "VAUGHAN, Bronwyn")
	clerk.Get(question("family", "Vaughn", "born", born(t, w, "double-2"))).Sees(200, "VAUGHAN, Bronwyn", "is now this number").SeesNot("VAUGHN, Bronwen")
}
