package patients_test

import (
	"context"
	"html"
	"os"
	"regexp"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web/webtest"
)

func TestARecordIsFoundCorrectedAndUndone(t *testing.T) {
	t.Parallel()
	w := given(t)
	chart := w.Chart(t, "twins-mother", "Z99801")
	gp := w.SignedIn(t, "gp")
	gp.Get("/find?number="+strings.ReplaceAll(w.Number(t, "twins-mother"), " ", "+")).Sees(200, "OKAFOR, Ngozi (Dr)", "1 person")

	gp.Get(gp.Link(chart)).Sees(200, "Patient record", "Larch Street Surgery keeps")
	gp.Get(chart+"/correct").Send(chart+"/correct", "family", "", "born-day", "31", "born-month", "2", "reason", "").
		Sees(422, "Enter the family name", "Enter a date of birth that exists", "Say why, in 5 to 500 characters")
	gp.Get(chart+"/correct").Send(chart+"/correct", "given", "Ngozi Ada", "reason", "She gave her second name").
		Sees(200, "Check the correction", "Name: given 2", "Nothing", "Ada")
	gp.Send(chart+"/correct").Sees(200, "is corrected", "OKAFOR, Ngozi Ada (Dr)", "Version 2", "Reason: She gave her second name", "Dr Amara Whitfield")

	entry := chart + "/record/Patient/" + chart[strings.LastIndex(chart, "/")+1:]
	gp.Get(entry+"/undo").Sees(200, "What will be put back", "Ada").Send(entry+"/undo", "reason", "no").Sees(422, "Say why")
	gp.Send(entry+"/undo", "reason", "She withdrew it").Sees(200, "is undone", "Version 3", "Reason: She withdrew it")
	gp.Get(chart).SeesNot("Ngozi Ada")

	gp.Get(chart+"/seen").Sees(200, "Changed", "Read", "the patient is registered with their practice")
}

func TestACorrectionPassesTheRuleOfTheServiceThatOwnsIt(t *testing.T) {
	t.Parallel()
	w := given(t)
	chart := w.Chart(t, "fada", "Z99801")
	gp := w.SignedIn(t, "gp").Get(chart + "/correct")
	gp.Send(chart+"/correct", "given", "Nemo", "reason", "He likes it better").Sees(200, "Check the correction")
	gp.Send(chart+"/correct").Sees(422, "Nobody may be called Nemo.")
	gp.Get(chart).Sees(200).SeesNot("Nemo")
}

func TestTwoWhoCorrectAtOnceAreToldAndNothingTypedIsLost(t *testing.T) {
	t.Parallel()
	w := given(t)
	chart := w.Chart(t, "moved", "Z99801")
	one, two := w.SignedIn(t, "gp"), w.SignedIn(t, "clerk")
	one.Get(chart + "/correct")
	two.Get(chart+"/correct").Send(chart+"/correct", "mobile", "07700 900111", "reason", "New phone").Send(chart+"/correct").Sees(200, "is corrected")

	one.Send(chart+"/correct", "postcode", "FN2 8LS", "reason", "Moved again").
		Sees(409, "Somebody else changed this record while you typed", "The record now says", "07700 900111", "Moved again")
	one.Send(chart+"/correct", "mobile", "07700 900111").Sees(200, "Check the correction", "FN2 8LS").Send(chart+"/correct").Sees(200, "is corrected", "FN2 8LS", "07700 900111")
}

func TestATabOnAnotherPatientCannotCross(t *testing.T) {
	t.Parallel()
	w := given(t)
	one, other := w.Chart(t, "long-name", "Z99801"), w.Chart(t, "particle", "Z99801")
	gp := w.SignedIn(t, "gp").Get(one + "/correct")
	gp.Send(other+"/correct", "reason", "In the wrong tab").Sees(409)
	stranger := w.SignedIn(t, "hospital")
	form := gp.Get(one + "/correct").Form()
	stranger.Post(one+"/correct", form).SeesNot("Check the correction")
	if stranger.Status != 403 {
		t.Errorf("a form of another sign-in answers %d, not 403", stranger.Status)
	}
}

func TestAWrongEntryIsStruckOutAndStandsAgain(t *testing.T) {
	t.Parallel()
	w := given(t)
	chart := w.Chart(t, "spouse", "Z99801")
	gp := w.SignedIn(t, "gp").Get(chart)
	gp.Sees(200, "Allergies: ")
	entry := gp.Link(chart + "/record/AllergyIntolerance/[^\"]+")
	gp.Get(entry+"/wrong").Sees(200, "It stays in the record, struck out").Send(entry+"/wrong", "reason", "Belongs to another patient").Sees(200, "is marked as entered in error", "Belongs to another patient")
	gp.Get(chart).Sees(200, "Entered in error", "Allergies not recorded")
	gp.Get(entry+"/undo").Send(entry+"/undo", "reason", "It was right after all").Sees(200, "is undone")
	gp.Get(chart).Sees(200, "Allergies: ").SeesNot("Entered in error")

	clerk := w.SignedIn(t, "clerk")
	there, absent := bare(clerk.Get(entry).Sees(403)), bare(clerk.Get(entry+"0"))
	if there != absent {
		t.Errorf("a clerk can tell what is there from what is not:\n%s\n%s", there, absent)
	}
}

func TestWhoeverIsNotToKnowLearnsNothing(t *testing.T) {
	t.Parallel()
	w := given(t)
	national := w.Chart(t, "correct", "X26")
	stranger := w.SignedIn(t, "stranger")
	for _, page := range []string{"/timeline", "/seen", "/record/Patient/9990000026", "/results/75367002", "/correct"} {
		there := bare(stranger.Get(national + page))
		absent := bare(stranger.Get("/o/X26/patients/9990009999" + page))
		if stranger.Status != 404 || there != absent {
			t.Errorf("%s answers %d; there: %s\nabsent: %s", page, stranger.Status, there, absent)
		}
	}
	stranger.Get("/find?number=9990000026").Sees(200, "HARTLEY")
	stranger.Get(national).Sees(200, "You have no reason on record").SeesNot("Diabetes")

	restricted := bare(stranger.Get(w.Chart(t, "restricted", "X26")))
	if absent := bare(stranger.Get("/o/X26/patients/9990009999")); stranger.Status != 404 || restricted != absent {
		t.Errorf("a restricted person can be told from nobody:\n%s\n%s", restricted, absent)
	}
	clerk := w.SignedIn(t, "clerk")
	if there, absent := bare(clerk.Get(w.Chart(t, "restricted", "X26")+"/seen")), bare(clerk.Get("/o/X26/patients/9990009999/seen")); there != absent {
		t.Errorf("a clerk can tell by who looked that there is a restricted person:\n%s\n%s", there, absent)
	}
	for _, search := range []string{"number=9990000042", "family=marsh&given=helena"} {
		stranger.Get("/find?" + search).SeesNot("MARSH, Helena")
	}
}

// bare is a problem page without the request's own number.
func bare(r *simtest.Reader) string {
	text, _, _ := strings.Cut(r.Text(), "If you ask for help")
	return text
}

func TestTheGlassIsBrokenAndReviewed(t *testing.T) {
	t.Parallel()
	w := given(t)
	doctor := w.SignedIn(t, "hospital-east")
	doctor.Get("/o/X26/find?number=9990000042").Sees(200, "Nobody found", "break the glass")
	glass := doctor.Link("/o/X26/break-glass[^\"]+")
	doctor.Get(glass).Sees(200, "30 minutes", "privacy officer").Send("/o/X26/break-glass", "reason", "short").Sees(422, "Say why")
	doctor.Get(glass).Send("/o/X26/break-glass", "reason", "Collapsed in the street, no history").Sees(200, "The record is open", "privacy officer has been told")
	doctor.Get(doctor.Link("/o/X26/patients/[^\"]+")).Sees(200, "MARSH, Helena (Ms)", "Restricted record", "You broke the glass")
	doctor.Get("/o/X26/break-glass?number=9990009990").Send("/o/X26/break-glass", "reason", "Collapsed in the street, no history").Sees(422)

	officer := w.SignedIn(t, "privacy").Get("/alerts")
	officer.Sees(200, "Collapsed in the street", "Dr Hamish Colquhoun", "Waiting")
	alert := officer.Link("/alerts/[^\"?]+")
	officer.Get(alert).Send(alert, "outcome", "").Sees(422, "Choose whether", "Write a note")
	officer.Send(alert, "outcome", "needs-action", "note", "Ask the ward who was there").Sees(200, "Your review is saved", "Needs action", "Ask the ward who was there")
	officer.Get("/account?person=9990000042").Sees(200, "Broke the glass", "Reason given: Collapsed in the street")
	for _, list := range []string{"/alerts?show=all", "/account?person=9990000042"} {
		for order, sort := range map[string]string{"descending": "", "ascending": "&sort=when"} {
			if officer.Get(list + sort).Sees(200); !strings.Contains(officer.Body, `aria-sort="`+order+`"`) {
				t.Errorf("%s%s is not said to be %s", list, sort, order)
			}
		}
		officer.Get(list + "&sort=who").Sees(400)
	}
	w.SignedIn(t, "auditor").Get("/account/seal").Send("/account/seal").Sees(200, "The account is as it was written", "Entries checked")
}

func TestAStrangerWhoLooksAfterSomebodySaysSo(t *testing.T) {
	t.Parallel()
	w := given(t)
	chart := w.Chart(t, "dead", "X26")
	doctor := w.SignedIn(t, "hospital-east").Get(chart)
	doctor.Sees(200, "I look after this person").Get(chart+"/claim").Sees(200, "24 hours")
	doctor.Send(chart+"/claim", "reason", "Referred by telephone today").Sees(200, "is open to you for 24 hours", "Patient record", "Died")
}

func TestAClaimAtThePracticeReachesAPrivacyOfficer(t *testing.T) {
	t.Parallel()
	w := given(t)
	chart := w.Chart(t, "namesake-1", "Z99801")
	gp := w.SignedIn(t, "gp").Get(chart + "/correct")
	gp.Send(chart+"/claim", "reason", "Back from another practice today").Sees(200, "is open to you for 24 hours")

	officer := w.SignedIn(t, "privacy").Get("/alerts")
	officer.Sees(200, "Back from another practice today", "Dr Amara Whitfield", "Larch Street Surgery")
	page := officer.Body[:strings.Index(officer.Body, "Back from another practice today")]
	alert := regexp.MustCompile(`/alerts/[^"?]+`).FindAllString(page, -1)
	at := alert[len(alert)-1]
	officer.Get(at).Sees(200, "Larch Street Surgery").Send(at, "outcome", "justified", "note", "On the list of new patients").Sees(200, "Your review is saved")
	officer.Get("/account?tenant=Z99801&person="+chart[strings.LastIndex(chart, "/")+1:]).Sees(200, "Reason given: Back from another practice today")
}

func TestAPatientSeesTheirRecordAndWhoLooked(t *testing.T) {
	t.Parallel()
	w := given(t)
	w.SignedIn(t, "gp").Get(w.Chart(t, "patient", "Z99801"))
	patient := w.SignedIn(t, "patient")
	patient.Get("/me").Sees(200, "LLEWELYN, Ffion Haf (Ms)", "At Larch Street Surgery", "Asthma", "It is your own record")
	patient.Get("/me/seen").Sees(200, "Dr Amara Whitfield Larch Street Surgery", "the patient is registered with their practice").SeesNot("asking who looked at their own record")
	patient.Get("/me/seen?who=everybody").Sees(200, "You", "asking who looked at their own record")
	patient.Get("/me/seen?at=RZZ02").Sees(404)
	patient.Get("/find").Sees(403)
	patient.Get(w.Chart(t, "correct", "X26")).Sees(404)
}

// asked is the page on which a privacy officer answers what the patient asked about the newest look that was not asked about yet.
func asked(t testing.TB, w *simtest.World) (ask, question string) {
	w.SignedIn(t, "gp").Get(w.Chart(t, "patient", "Z99801"))
	patient := w.SignedIn(t, "patient").Get("/me/seen")
	for _, row := range strings.Split(patient.Body, "<tr") { // others look beside this test
		if at := regexp.MustCompile("/me/object[^\"]+").FindString(row); at != "" && ask == "" && strings.Contains(row, "Dr Amara Whitfield") {
			ask = html.UnescapeString(at)
		}
	}
	if ask == "" {
		t.Fatalf("nothing to ask about:\n%s", patient.Body)
	}
	patient.Get(ask).Sees(200, "Dr Amara Whitfield", "You have a right to know why").Send("/me/object", "reason", "Why?").Sees(422, "Write your question, in 10 to 500 characters")
	patient.Get(ask).Send("/me/object", "reason", "I was not at the surgery that day").Sees(200, "Your question is sent", "I was not at the surgery that day", "Waiting")
	return ask, w.SignedIn(t, "privacy").Get("/questions").Sees(200, "I was not at the surgery that day").Link("/questions/[^\"?]+")
}

func TestAPatientAsksAboutALookAndReadsTheAnswer(t *testing.T) {
	t.Parallel()
	w := given(t)
	_, question := asked(t, w)
	officer := w.SignedIn(t, "privacy").Get("/questions")
	officer.Sees(200, "Nobody yet", "Dr Amara Whitfield", "0 minutes")
	officer.Get(question).Sees(200, "What the account says around it", "Look into it myself").Send(question, "do", "take").Sees(200, "You are looking into this question", "Mrs Petra Lindqvist")
	officer.Get(question).Send(question, "outcome", "", "note", "No").Sees(422, "Choose whether it was right to look", "Write an answer")
	officer.Send(question, "outcome", "in-order", "note", "She read a letter that came for you").Sees(200, "Your answer is sent", "It was right to look")
	officer.Get("/questions?show=all&format=csv")
	if !strings.Contains(officer.Body, "She read a letter that came for you") {
		t.Errorf("the export lacks the answer:\n%s", officer.Body)
	}
	w.SignedIn(t, "patient").Get("/me/seen").Sees(200, "What you asked", "Answered", "It was right to look.", "She read a letter that came for you Mrs Petra Lindqvist")
	w.SignedIn(t, "gp").Get("/questions").Sees(403)
	w.SignedIn(t, "gp").Get("/me/seen").Sees(403)
}

func TestNobodyAsksAboutAnothersRecord(t *testing.T) {
	t.Parallel()
	w := given(t)
	w.SignedIn(t, "gp").Get(w.Chart(t, "correct", "Z99801"))
	page, err := w.Node.Kernel().Audit.Search(t.Context(), audit.Query{Tenant: ident.MustODSCode("Z99801"), Chart: w.Chart(t, "correct", "Z99801")[len("/o/Z99801/patients/"):], Actor: "gp"})
	if err != nil || len(page.Entries) == 0 {
		t.Fatal(err)
	}
	w.SignedIn(t, "patient").Get("/me/object?entry=" + page.Entries[0].ID()).Sees(404)
}

func TestWhoWatchesPagesBothWaysAndByPeriod(t *testing.T) {
	t.Parallel()
	w := given(t)
	auditor := w.SignedIn(t, "auditor").Get("/account?tenant=X26&action=create")
	auditor.Sees(200, "entries", "Next").SeesNot("Previous")
	first := auditor.Body
	next := auditor.Link("/account[^\"]+after=[^\"]+")
	auditor.Get(next).Sees(200, "Previous").Get(auditor.Link("/account[^\"]+before=[^\"]+"))
	if rows := regexp.MustCompile(`(?s)<tbody.*</tbody>`); rows.FindString(auditor.Body) != rows.FindString(first) {
		t.Error("the first page is another when one comes back to it")
	}
	auditor.Get("/account?tenant=X26&action=create&period=today").Sees(200, "entries")
	auditor.Get("/account?tenant=X26&action=create&from-day=1&from-month=1&from-year=2020&to-day=2&to-month=1&to-year=2020").Sees(200, "No entry matches")
}

func TestWhatIsSealedIsCountedAndNotShown(t *testing.T) {
	t.Parallel()
	w := given(t)
	chart := w.Chart(t, "particle", "Z99801")
	gp := w.SignedIn(t, "gp").Get(chart).Sees(200, "back pain").SeesNot("sealed")
	path := gp.Link(chart + "/record/Condition/[^\"]+")
	seal(t, w, "Z99801", "Condition", path[strings.LastIndex(path, "/")+1:])
	gp.Get(chart).Sees(200, "1 entry is sealed", "Break the glass")
	gp.Get(path).Sees(404)
	glass := gp.Get(chart).Link("/o/Z99801/break-glass[^\"]+")
	gp.Get(glass).Send("/o/Z99801/break-glass", "reason", "Cannot feel his legs since today").Sees(200, "The record is open")
	gp.Get(chart).Sees(200).SeesNot("is sealed")
	gp.Get(path).Sees(200)
	w.SignedIn(t, "clerk").Get(chart).Sees(200).SeesNot("is sealed")
}

func TestOrganisationsHaveNames(t *testing.T) {
	t.Parallel()
	w := given(t)
	w.SignedIn(t, "stranger").Get("/").Sees(200, "Far Meadow Practice").SeesNot("Z99890")
}

func TestListsAreExported(t *testing.T) {
	t.Parallel()
	w := given(t)
	gp := w.SignedIn(t, "gp")
	chart := w.Chart(t, "correct", "Z99801")
	for path, want := range map[string]string{
		"/o/Z99801/find?family=smith&format=csv":        "\"SMITH, John (Mr)\"",
		chart + "/timeline?section=problems&format=csv": "Diabetes mellitus type 2",
		chart + "/seen?format=csv":                      "Larch Street Surgery",
	} {
		gp.Get(path)
		if gp.Status != 200 || !strings.HasPrefix(gp.Header.Get("Content-Type"), "text/csv") || !strings.Contains(gp.Body, want) {
			t.Errorf("%s answers %d %s:\n%.500s", path, gp.Status, gp.Header.Get("Content-Type"), gp.Body)
		}
	}
}

func TestADeveloperGetsATokenThatWorks(t *testing.T) {
	t.Parallel()
	w := given(t)
	gp := w.SignedIn(t, "gp").Get("/developer")
	gp.Sees(200, w.URL+"/o/Z99801/FHIR/R4").Send("/developer/token").Sees(200, "is not shown again", "TOKEN='")
	_, token, _ := strings.Cut(gp.Text(), "TOKEN='")
	token, _, _ = strings.Cut(token, "'")
	if status := w.Call(t, "/o/Z99801/FHIR/R4/Patient?family=smith&_count=1", token); status != 200 {
		t.Errorf("the token from the page is answered with %d", status)
	}
	if status := w.Call(t, "/o/Z99801/FHIR/R4/Patient?family=smith&_count=1", token+"x"); status != 401 {
		t.Errorf("a changed token is answered with %d", status)
	}
}

// A person who was found under two numbers sees both records, and who looked at either, until they are parted again. Not beside other tests: meanwhile what
// one of the two may not see, the other may.
func TestAPatientSeesTheRecordsUnderBothTheirNumbers(t *testing.T) {
	w := given(t)
	ctx, k := context.Background(), w.Node.Kernel()
	chart := func(key string) string {
		p, err := w.Country.Character(key)
		if err != nil {
			t.Fatal(err)
		}
		return p.ChartAt(sim.National)
	}
	link := func(do func(tx *store.Tx, gate *access.Gate, tenant ident.ODSCode, chart, survivor, reason string, grants ...access.Grant) error) {
		t.Helper()
		var acts []access.Act
		for _, id := range []string{chart("correct"), chart("patient")} {
			place, err := k.Records.Locate(ctx, record.Ref{Tenant: sim.National, Type: "Patient", ID: id})
			if err != nil {
				t.Fatal(err)
			}
			acts = append(acts, access.Act{Action: access.Update, Place: place})
		}
		grants, err := k.Gate.DecideAll(ctx, access.Service("test", sim.National), acts)
		if err != nil {
			t.Fatal(err)
		}
		err = k.Gate.Act(ctx, grants, k.Records.LinkLanes(sim.National, chart("correct"), chart("patient")), func(tx *store.Tx) error {
			return do(tx, k.Gate, sim.National, chart("correct"), chart("patient"), "one person, registered twice", grants...)
		})
		if err != nil {
			t.Fatal(err)
		}
	}
	w.SignedIn(t, "gp").Get(w.Chart(t, "correct", "Z99801"))
	patient := w.SignedIn(t, "patient")
	under := "At Larch Street Surgery, under the number " + w.Number(t, "correct")
	patient.Get("/me").Sees(200, "Asthma").SeesNot(under)
	before := patient.Get("/me/seen").Body
	link(k.Records.Merge)
	patient.Get("/me").Sees(200, "LLEWELYN, Ffion Haf (Ms)", "At Larch Street Surgery", "Asthma", under)
	if after := patient.Get("/me/seen").Sees(200).Body; strings.Count(after, "Larch Street Surgery") <= strings.Count(before, "Larch Street Surgery") {
		t.Error("who looked at the other record is not shown")
	}
	phone := webtest.Open(t, w.URL+"/me", webtest.Cookie("openspine", patient.Cookie()), webtest.Phone())
	phone.Sees(under)
	phone.Healthy()
	if os.Getenv("OPENSPINE_SCREENSHOTS") != "" {
		phone.Screenshot("me-two-records.png")
	}
	link(k.Records.Unmerge)
	patient.Get("/me").Sees(200, "Asthma").SeesNot(under)
}
