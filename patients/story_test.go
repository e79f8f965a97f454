package patients_test

import (
	"regexp"
	"strings"
	"testing"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/ident"
)

func TestARecordIsFoundCorrectedAndUndone(t *testing.T) {
	w := given(t)
	chart := w.chart(t, "twins-mother", "Z99801")
	gp := w.signedIn(t, "gp")
	gp.get("/find?number="+strings.ReplaceAll(w.number(t, "twins-mother"), " ", "+")).sees(200, "OKAFOR, Ngozi (Dr)", "1 person")

	gp.get(gp.link(chart)).sees(200, "Patient record", "Larch Street Surgery keeps")
	gp.get(chart+"/correct").send(chart+"/correct", "family", "", "born-day", "31", "born-month", "2", "reason", "").
		sees(422, "Enter the family name", "Enter a date of birth that exists", "Say why, in 5 to 500 characters")
	gp.get(chart+"/correct").send(chart+"/correct", "given", "Ngozi Ada", "reason", "She gave her second name").
		sees(200, "Check the correction", "Name: given 2", "Nothing", "Ada")
	gp.send(chart+"/correct").sees(200, "is corrected", "OKAFOR, Ngozi Ada (Dr)", "Version 2", "Reason: She gave her second name", "Dr Amara Whitfield")

	entry := chart + "/record/Patient/" + chart[strings.LastIndex(chart, "/")+1:]
	gp.get(entry+"/undo").sees(200, "What will be put back", "Ada").send(entry+"/undo", "reason", "no").sees(422, "Say why")
	gp.send(entry+"/undo", "reason", "She withdrew it").sees(200, "is undone", "Version 3", "Reason: She withdrew it")
	gp.get(chart).seesNot("Ngozi Ada")

	gp.get(chart+"/seen").sees(200, "Changed", "Read", "the patient is registered with their practice")
}

func TestACorrectionPassesTheRuleOfTheServiceThatOwnsIt(t *testing.T) {
	w := given(t)
	chart := w.chart(t, "fada", "Z99801")
	gp := w.signedIn(t, "gp").get(chart + "/correct")
	gp.send(chart+"/correct", "given", "Nemo", "reason", "He likes it better").sees(200, "Check the correction")
	gp.send(chart+"/correct").sees(422, "Nobody may be called Nemo.")
	gp.get(chart).sees(200).seesNot("Nemo")
}

func TestTwoWhoCorrectAtOnceAreToldAndNothingTypedIsLost(t *testing.T) {
	w := given(t)
	chart := w.chart(t, "moved", "Z99801")
	one, two := w.signedIn(t, "gp"), w.signedIn(t, "clerk")
	one.get(chart + "/correct")
	two.get(chart+"/correct").send(chart+"/correct", "mobile", "07700 900111", "reason", "New phone").send(chart+"/correct").sees(200, "is corrected")

	one.send(chart+"/correct", "postcode", "FN2 8LS", "reason", "Moved again").
		sees(409, "Somebody else changed this record while you typed", "The record now says", "07700 900111", "Moved again")
	one.send(chart+"/correct", "mobile", "07700 900111").sees(200, "Check the correction", "FN2 8LS").send(chart+"/correct").sees(200, "is corrected", "FN2 8LS", "07700 900111")
}

func TestATabOnAnotherPatientCannotCross(t *testing.T) {
	w := given(t)
	one, other := w.chart(t, "long-name", "Z99801"), w.chart(t, "particle", "Z99801")
	gp := w.signedIn(t, "gp").get(one + "/correct")
	gp.send(other+"/correct", "reason", "In the wrong tab").sees(409)
	stranger := w.signedIn(t, "hospital")
	form := gp.get(one + "/correct").form()
	stranger.post(one+"/correct", form).seesNot("Check the correction")
	if stranger.status != 403 {
		t.Errorf("a form of another sign-in answers %d, not 403", stranger.status)
	}
}

func TestAWrongEntryIsStruckOutAndStandsAgain(t *testing.T) {
	w := given(t)
	chart := w.chart(t, "spouse", "Z99801")
	gp := w.signedIn(t, "gp").get(chart)
	gp.sees(200, "Allergies: ")
	entry := gp.link(chart + "/record/AllergyIntolerance/[^\"]+")
	gp.get(entry+"/wrong").sees(200, "It stays in the record, struck out").send(entry+"/wrong", "reason", "Belongs to another patient").sees(200, "is marked as entered in error", "Belongs to another patient")
	gp.get(chart).sees(200, "Entered in error", "Allergies not recorded")
	gp.get(entry+"/undo").send(entry+"/undo", "reason", "It was right after all").sees(200, "is undone")
	gp.get(chart).sees(200, "Allergies: ").seesNot("Entered in error")

	clerk := w.signedIn(t, "clerk")
	there, absent := bare(clerk.get(entry).sees(403)), bare(clerk.get(entry+"0"))
	if there != absent {
		t.Errorf("a clerk can tell what is there from what is not:\n%s\n%s", there, absent)
	}
}

func TestWhoeverIsNotToKnowLearnsNothing(t *testing.T) {
	w := given(t)
	national := w.chart(t, "correct", "X26")
	stranger := w.signedIn(t, "stranger")
	for _, page := range []string{"/timeline", "/seen", "/record/Patient/9990000026", "/results/75367002", "/correct"} {
		there := bare(stranger.get(national + page))
		absent := bare(stranger.get("/o/X26/patients/9990009999" + page))
		if stranger.status != 404 || there != absent {
			t.Errorf("%s answers %d; there: %s\nabsent: %s", page, stranger.status, there, absent)
		}
	}
	stranger.get("/find?number=9990000026").sees(200, "HARTLEY")
	stranger.get(national).sees(200, "You have no reason on record").seesNot("Diabetes")

	restricted := bare(stranger.get(w.chart(t, "restricted", "X26")))
	if absent := bare(stranger.get("/o/X26/patients/9990009999")); stranger.status != 404 || restricted != absent {
		t.Errorf("a restricted person can be told from nobody:\n%s\n%s", restricted, absent)
	}
	clerk := w.signedIn(t, "clerk")
	if there, absent := bare(clerk.get(w.chart(t, "restricted", "X26")+"/seen")), bare(clerk.get("/o/X26/patients/9990009999/seen")); there != absent {
		t.Errorf("a clerk can tell by who looked that there is a restricted person:\n%s\n%s", there, absent)
	}
	for _, search := range []string{"number=9990000042", "family=marsh&given=helena"} {
		stranger.get("/find?" + search).seesNot("MARSH, Helena")
	}
}

// bare is a problem page without the request's own number.
func bare(r *reader) string {
	text, _, _ := strings.Cut(r.text(), "If you ask for help")
	return text
}

func TestTheGlassIsBrokenAndReviewed(t *testing.T) {
	w := given(t)
	doctor := w.signedIn(t, "hospital-east")
	doctor.get("/o/X26/find?number=9990000042").sees(200, "Nobody found", "break the glass")
	glass := doctor.link("/o/X26/break-glass[^\"]+")
	doctor.get(glass).sees(200, "30 minutes", "privacy officer").send("/o/X26/break-glass", "reason", "short").sees(422, "Say why")
	doctor.get(glass).send("/o/X26/break-glass", "reason", "Collapsed in the street, no history").sees(200, "The record is open", "privacy officer has been told")
	doctor.get(doctor.link("/o/X26/patients/[^\"]+")).sees(200, "MARSH, Helena (Ms)", "Restricted record", "You broke the glass")
	doctor.get("/o/X26/break-glass?number=9990009990").send("/o/X26/break-glass", "reason", "Collapsed in the street, no history").sees(422)

	officer := w.signedIn(t, "privacy").get("/alerts")
	officer.sees(200, "Collapsed in the street", "Dr Hamish Colquhoun", "Waiting")
	alert := officer.link("/alerts/[^\"?]+")
	officer.get(alert).send(alert, "outcome", "").sees(422, "Choose whether", "Write a note")
	officer.send(alert, "outcome", "needs-action", "note", "Ask the ward who was there").sees(200, "Your review is saved", "Needs action", "Ask the ward who was there")
	officer.get("/account?person=9990000042").sees(200, "Broke the glass", "Reason given: Collapsed in the street")
	w.signedIn(t, "auditor").get("/account/seal").send("/account/seal").sees(200, "The account is as it was written", "Entries checked")
}

func TestAStrangerWhoLooksAfterSomebodySaysSo(t *testing.T) {
	w := given(t)
	chart := w.chart(t, "dead", "X26")
	doctor := w.signedIn(t, "hospital-east").get(chart)
	doctor.sees(200, "I look after this person").get(chart+"/claim").sees(200, "24 hours")
	doctor.send(chart+"/claim", "reason", "Referred by telephone today").sees(200, "is open to you for 24 hours", "Patient record", "Died")
}

func TestAClaimAtThePracticeReachesAPrivacyOfficer(t *testing.T) {
	w := given(t)
	chart := w.chart(t, "namesake-1", "Z99801")
	gp := w.signedIn(t, "gp").get(chart + "/correct")
	gp.send(chart+"/claim", "reason", "Back from another practice today").sees(200, "is open to you for 24 hours")

	officer := w.signedIn(t, "privacy").get("/alerts")
	officer.sees(200, "Back from another practice today", "Dr Amara Whitfield", "Larch Street Surgery")
	page := officer.body[:strings.Index(officer.body, "Back from another practice today")]
	alert := regexp.MustCompile(`/alerts/[^"?]+`).FindAllString(page, -1)
	at := alert[len(alert)-1]
	officer.get(at).sees(200, "Larch Street Surgery").send(at, "outcome", "justified", "note", "On the list of new patients").sees(200, "Your review is saved")
	officer.get("/account?tenant=Z99801&person="+chart[strings.LastIndex(chart, "/")+1:]).sees(200, "Reason given: Back from another practice today")
}

func TestAPatientSeesTheirRecordAndWhoLooked(t *testing.T) {
	w := given(t)
	w.signedIn(t, "gp").get(w.chart(t, "patient", "Z99801"))
	patient := w.signedIn(t, "patient")
	patient.get("/me").sees(200, "LLEWELYN, Ffion Haf (Ms)", "At Larch Street Surgery", "Asthma", "It is your own record")
	patient.get("/me/seen").sees(200, "Dr Amara Whitfield Larch Street Surgery", "the patient is registered with their practice").seesNot("asking who looked at their own record")
	patient.get("/me/seen?who=everybody").sees(200, "You", "asking who looked at their own record")
	patient.get("/me/seen?at=RZZ02").sees(404)
	patient.get("/find").sees(403)
	patient.get(w.chart(t, "correct", "X26")).sees(404)
}

// asked is the page on which a privacy officer answers what the patient asked about the newest look that was not asked about yet.
func asked(t testing.TB, w *world) string {
	w.signedIn(t, "gp").get(w.chart(t, "patient", "Z99801"))
	patient := w.signedIn(t, "patient").get("/me/seen")
	ask := patient.link("/me/object[^\"]+")
	patient.get(ask).sees(200, "Dr Amara Whitfield", "You have a right to know why").send("/me/object", "reason", "Why?").sees(422, "Write your question, in 10 to 500 characters")
	patient.get(ask).send("/me/object", "reason", "I was not at the surgery that day").sees(200, "Your question is sent", "I was not at the surgery that day", "Waiting")
	return w.signedIn(t, "privacy").get("/questions").sees(200, "I was not at the surgery that day").link("/questions/[^\"?]+")
}

func TestAPatientAsksAboutALookAndReadsTheAnswer(t *testing.T) {
	w := given(t)
	question := asked(t, w)
	officer := w.signedIn(t, "privacy").get("/questions")
	officer.sees(200, "Nobody yet", "Dr Amara Whitfield", "0 minutes")
	officer.get(question).sees(200, "What the account says around it", "Look into it myself").send(question, "do", "take").sees(200, "You are looking into this question", "Mrs Petra Lindqvist")
	officer.get(question).send(question, "outcome", "", "note", "No").sees(422, "Choose whether it was right to look", "Write an answer")
	officer.send(question, "outcome", "in-order", "note", "She read a letter that came for you").sees(200, "Your answer is sent", "It was right to look")
	officer.get("/questions?show=all&format=csv")
	if !strings.Contains(officer.body, "She read a letter that came for you") {
		t.Errorf("the export lacks the answer:\n%s", officer.body)
	}
	w.signedIn(t, "patient").get("/me/seen").sees(200, "What you asked", "Answered", "It was right to look.", "She read a letter that came for you Mrs Petra Lindqvist")
	w.signedIn(t, "gp").get("/questions").sees(403)
	w.signedIn(t, "gp").get("/me/seen").sees(403)
}

func TestNobodyAsksAboutAnothersRecord(t *testing.T) {
	w := given(t)
	w.signedIn(t, "gp").get(w.chart(t, "correct", "Z99801"))
	page, err := w.n.Kernel().Audit.Search(t.Context(), audit.Query{Tenant: ident.MustODSCode("Z99801"), Chart: w.chart(t, "correct", "Z99801")[len("/o/Z99801/patients/"):], Actor: "gp"})
	if err != nil || len(page.Entries) == 0 {
		t.Fatal(err)
	}
	w.signedIn(t, "patient").get("/me/object?entry=" + page.Entries[0].ID()).sees(404)
}

func TestWhoWatchesPagesBothWaysAndByPeriod(t *testing.T) {
	w := given(t)
	auditor := w.signedIn(t, "auditor").get("/account?tenant=X26&action=create")
	auditor.sees(200, "entries", "Next").seesNot("Previous")
	first := auditor.body
	next := auditor.link("/account[^\"]+after=[^\"]+")
	auditor.get(next).sees(200, "Previous").get(auditor.link("/account[^\"]+before=[^\"]+"))
	if rows := regexp.MustCompile(`(?s)<tbody.*</tbody>`); rows.FindString(auditor.body) != rows.FindString(first) {
		t.Error("the first page is another when one comes back to it")
	}
	auditor.get("/account?tenant=X26&action=create&period=today").sees(200, "entries")
	auditor.get("/account?tenant=X26&action=create&from-day=1&from-month=1&from-year=2020&to-day=2&to-month=1&to-year=2020").sees(200, "No entry matches")
}

func TestWhatIsSealedIsCountedAndNotShown(t *testing.T) {
	w := given(t)
	chart := w.chart(t, "particle", "Z99801")
	gp := w.signedIn(t, "gp").get(chart).sees(200, "back pain").seesNot("sealed")
	path := gp.link(chart + "/record/Condition/[^\"]+")
	w.seal(t, "Z99801", "Condition", path[strings.LastIndex(path, "/")+1:])
	gp.get(chart).sees(200, "1 entry is sealed", "Break the glass")
	gp.get(path).sees(404)
	glass := gp.get(chart).link("/o/Z99801/break-glass[^\"]+")
	gp.get(glass).send("/o/Z99801/break-glass", "reason", "Cannot feel his legs since today").sees(200, "The record is open")
	gp.get(chart).sees(200).seesNot("is sealed")
	gp.get(path).sees(200)
	w.signedIn(t, "clerk").get(chart).sees(200).seesNot("is sealed")
}

func TestOrganisationsHaveNames(t *testing.T) {
	w := given(t)
	w.signedIn(t, "stranger").get("/").sees(200, "Far Meadow Practice").seesNot("Z99890")
}

func TestListsAreExported(t *testing.T) {
	w := given(t)
	gp := w.signedIn(t, "gp")
	chart := w.chart(t, "correct", "Z99801")
	for path, want := range map[string]string{
		"/o/Z99801/find?family=smith&format=csv":        "\"SMITH, John (Mr)\"",
		chart + "/timeline?section=problems&format=csv": "Diabetes mellitus type 2",
		chart + "/seen?format=csv":                      "Larch Street Surgery",
	} {
		gp.get(path)
		if gp.status != 200 || !strings.HasPrefix(gp.header.Get("Content-Type"), "text/csv") || !strings.Contains(gp.body, want) {
			t.Errorf("%s answers %d %s:\n%.500s", path, gp.status, gp.header.Get("Content-Type"), gp.body)
		}
	}
}

func TestADeveloperGetsATokenThatWorks(t *testing.T) {
	w := given(t)
	gp := w.signedIn(t, "gp").get("/developer")
	gp.sees(200, w.url+"/o/Z99801/FHIR/R4").send("/developer/token").sees(200, "is not shown again", "TOKEN='")
	_, token, _ := strings.Cut(gp.text(), "TOKEN='")
	token, _, _ = strings.Cut(token, "'")
	if status := w.call(t, "/o/Z99801/FHIR/R4/Patient?family=smith&_count=1", token); status != 200 {
		t.Errorf("the token from the page is answered with %d", status)
	}
	if status := w.call(t, "/o/Z99801/FHIR/R4/Patient?family=smith&_count=1", token+"x"); status != 401 {
		t.Errorf("a changed token is answered with %d", status)
	}
}
