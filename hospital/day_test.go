package hospital_test

import (
	"encoding/hex"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/web/format"
	"github.com/openspine/openspine/web/webtest"
)

// registered waits until a referral's person is a patient here, which the clerk's page shows.
func (w *world) registered(u string) {
	w.t.Helper()
	clerk := w.nodes[1].SignedIn(w.t, "clerk")
	simtest.Eventually(w.t, func() bool { return clerk.Get("/clinics/cases/"+u).Status == 200 })
}

// TestAClinicGoesOnWithoutALine cuts the line, holds a clinic's day, withdraws a session and rebooks who is in it; once the line is healed both sides agree.
func TestAClinicGoesOnWithoutALine(t *testing.T) {
	t.Parallel()
	aDayWithoutALine(t, given(t, false))
}

// TestAClinicGoesOnWithoutALineOnPostgres is the same on the other engine.
func TestAClinicGoesOnWithoutALineOnPostgres(t *testing.T) {
	t.Parallel()
	aDayWithoutALine(t, given(t, true))
}

func aDayWithoutALine(t *testing.T, w *world) {
	seen, moved := w.spine.refer("9990000018", 1, true), w.spine.refer("9990000026", 2, true)
	w.registered(seen)
	w.registered(moved)
	var at, other booking.Appointment
	w.spine.look(func() { at, other = *w.spine.cases[seen].Appointment, *w.spine.cases[moved].Appointment })
	w.link("cut")
	early := hospital.Coming{Session: at.Session, Slot: at.Slot, State: "arrived"}
	if err := w.o.Come(t.Context(), w.clerk(), rqx, seen, early); !fault.Is(err, fault.Conflict) {
		t.Fatalf("somebody arrives days before their appointment: %v", err)
	}
	w.until(at)
	for _, state := range []string{"arrived", "arrived", "booked", "arrived"} { // they came, went out, and came again
		if err := w.o.Come(t.Context(), w.clerk(), rqx, seen, hospital.Coming{Session: at.Session, Slot: at.Slot, State: state}); err != nil {
			t.Fatal(err)
		}
	}
	come := hospital.Coming{Session: at.Session, Slot: at.Slot, State: "attended", Outcome: "treatment", Status: "30"}
	for range 2 { // said twice, done once
		if err := w.o.Come(t.Context(), w.doctor(), rqx, seen, come); err != nil {
			t.Fatal(err)
		}
	}
	if n, err := w.o.Withdraw(t.Context(), w.clerk(), rqx, other.Session, "The consultant is ill"); err != nil || n != 1 {
		t.Fatalf("withdrawing leaves %d people to be rebooked: %v", n, err)
	}
	clerk := w.nodes[1].SignedIn(t, "clerk")
	clerk.Get("/o/RQX/clinics/cases/"+moved+"/letter").Sees(200, "on "+format.Date(other.Start)+" at "+format.Time(other.Start)+" cannot take place. Please do not come then", "The consultant is ill")
	clerk.Get("/clinics/rebook").Sees(200, "1 referral", "The consultant is ill")
	book := clerk.Link("/o/RQX/clinics/cases/" + moved + "/book")
	clerk.Get(book).Sees(200, "Find a time in our own slots")
	slot := inputOf(strings.Split(clerk.Body, `id="slot"`)[1], "slot")
	if slot == "" {
		_, after, _ := strings.Cut(clerk.Body, `name="slot" type="radio" value="`)
		slot, _, _ = strings.Cut(after, `"`)
	}
	clerk.Send(book, "slot", slot, "kind", "appointment").Sees(200, "The time is booked", "Not confirmed yet")
	clerk.Get("/clinics/rebook").Sees(200, "Nobody waits for a time")
	w.link("heal")
	simtest.Eventually(t, func() (even bool) {
		w.spine.look(func() {
			a := w.spine.cases[moved].Appointment
			even = len(w.spine.acts[seen]) == 1 && w.spine.acts[seen][0].Kind == booking.ActAttended && a != nil && strings.HasSuffix(slot, a.Slot)
		})
		return even && strings.Contains(clerk.Get("/clinics/cases/"+moved).Text(), "Confirmed")
	})
	w.follow(seen)
	clerk = w.nodes[1].SignedIn(t, "clerk")
	simtest.Eventually(t, func() (even bool) {
		w.spine.look(func() {
			even = slices.Equal(w.spine.visits[seen], []string{"arrived", "booked", "arrived", "follow-up booked", "follow-up arrived", "follow-up attended discharged"}) && w.spine.acts[seen][0].Outcome == "treatment"
		})
		return even
	})
	simtest.Eventually(t, func() bool {
		if err := w.o.Tally(t.Context(), rqx); err != nil {
			t.Fatal(err)
		}
		page := clerk.Get("/clinics/reconciliation").Text()
		return strings.Contains(page, "Nothing differs") && !strings.Contains(page, "Last answered Never")
	})
}

// follow books a follow-up, and has the person come to it and be discharged.
func (w *world) follow(ubrn string) {
	w.t.Helper()
	clerk := w.nodes[1].SignedIn(w.t, "clerk")
	clerk.Get("/o/RQX/clinics/cases/" + ubrn + "/book")
	_, after, _ := strings.Cut(clerk.Body, `name="slot" type="radio" value="`)
	value, _, _ := strings.Cut(after, `"`)
	session, slot, _ := strings.Cut(value, " ")
	if err := w.o.FollowUp(w.t.Context(), w.clerk(), rqx, ubrn, session, slot); err != nil {
		w.t.Fatal(err)
	}
	for _, come := range []hospital.Coming{{State: "arrived"}, {State: "attended", Outcome: "discharged", Status: "30"}} {
		come.Session, come.Slot = session, slot
		err := w.o.Come(w.t.Context(), w.doctor(), rqx, ubrn, come)
		for days := 0; fault.Is(err, fault.Conflict) && days < 60; days++ { // it is not the day yet
			w.clock.ahead.Add(int64(24 * time.Hour))
			err = w.o.Come(w.t.Context(), w.doctor(), rqx, ubrn, come)
		}
		if err != nil {
			w.t.Fatal(err)
		}
	}
}

// TestWhatTheSpineRefusesIsOnAWorklist refuses an acceptance: the referral waits again, and the refusal waits for somebody.
func TestWhatTheSpineRefusesIsOnAWorklist(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	w.spine.look(func() { w.spine.refuse[booking.ActAccept] = "The patient has cancelled." })
	u := w.spine.refer("9990000018", 1, true)
	w.registered(u)
	if err := w.o.Decide(t.Context(), w.clerk(), rqx, u, hospital.Decision{Kind: booking.ActAccept}); err != nil {
		t.Fatal(err)
	}
	clerk := w.nodes[1].SignedIn(t, "clerk")
	simtest.Eventually(t, func() bool {
		return strings.Contains(clerk.Get("/clinics/reconciliation").Text(), "The patient has cancelled.")
	})
	clerk.Get("/clinics/cases/"+u).Sees(200, "Waits to be reviewed", "Refused")
}

// TestEveryPage looks at each page, at a desk, on a phone and without scripts.
func TestEveryPage(t *testing.T) {
	t.Parallel()
	b := webtest.NewBrowser(t)
	w := given(t, false)
	u := w.spine.refer("9990000018", 1, true)
	w.registered(u)
	// Two whose days are nearly gone, or have: the column of the days that are left has every colour.
	for i, number := range []string{"9990000026", "9990000034"} {
		late := w.spine.refer(number, 2+i, false)
		w.registered(late)
		w.spine.change(late, func(c *booking.Case) { c.Priority, c.ClockStart = "TWO_WEEK_WAIT", time.Now().AddDate(0, 0, -12-3*i) })
	}
	clerk := w.nodes[1].SignedIn(t, "clerk")
	simtest.Eventually(t, func() bool { return strings.Contains(clerk.Get("/clinics/waiting").Text(), "1 day past the limit") })
	var at booking.Appointment
	w.spine.look(func() { at = *w.spine.cases[u].Appointment })
	day := at.Start.Format("2006-01-02")
	question := booking.Advice{UBRN: ident.MustUBRN("000000009001"), Version: 1, State: "PROVIDER_RESPONSE_REQUIRED", Priority: "ROUTINE", Service: "RQX-heart", ServiceName: "Heart clinic", Practice: ident.MustODSCode("Z99801"), PracticeName: "Fen Lane Surgery",
		Referrer: "Dr Amara Whitfield", Person: booking.Person{NHSNumber: ident.MustNHSNumber("9990000042"), Given: "Ann", Family: "Carrow", Born: "1951-04-02", Gender: "female"}, MayConvert: true, Sent: 1, Changed: time.Now(),
		Remarks: []booking.Remark{{ID: "r-1", At: time.Now(), By: "Dr Amara Whitfield", Organisation: "Fen Lane Surgery", Text: "Palpitations at night."}}}
	came(w, booking.WorkflowAdvice, question.UBRN.String(), question)
	advice := "advice/" + question.UBRN.String()
	simtest.Eventually(t, func() bool { return w.nodes[1].SignedIn(t, "doctor").Get("/o/RQX/clinics/"+advice).Status == 200 })
	c := "/o/RQX/clinics/"
	// On a phone, too, what waits stands beside how many there are: eight lines, no cards.
	phone := b.Open(t, w.nodes[1].URL+"/o/RQX/clinics", webtest.Phone(), webtest.Cookie(webtest.SessionCookie, clerk.Cookie()))
	beside := 0
	phone.Eval(`[...document.querySelectorAll("#work tbody tr")].filter(r => { const name = r.children[0].getBoundingClientRect(), count = r.children[1].getBoundingClientRect(); return count.left >= name.right && count.top < name.bottom }).length`, &beside)
	if beside != 8 {
		t.Errorf("%d counts stand beside their names", beside)
	}
	var visits []webtest.Visit
	for _, path := range []string{"", "advice", advice, advice + "/do/answer", advice + "/do/convert", "diary?day=" + day, "diary?view=day&day=" + day, "review", "triage", "rebook", "waiting", "desk?day=" + day, "sessions/" + at.Session, "sessions/" + at.Session + "/do/withdraw", "cases/" + u, "cases/" + u + "/decide/reject",
		"cases/" + u + "/book", "cases/" + u + "/come?session=" + at.Session + "&slot=" + at.Slot, "cases/" + u + "/letter", "templates", "templates/new", "reconciliation", "figures", "figures?months=24&clinic=heart", "setup/specialties/new", "setup/consultants/q", "setup/clinics/heart", "templates/heart-1"} {
		visits = append(visits, webtest.Visit{User: "doctor", Path: strings.TrimSuffix(c+path, "/"), Cookie: w.nodes[1].SignedIn(t, "doctor").Cookie(), Walk: path == "templates/new"})
	}
	b.EveryPage(t, w.nodes[1].URL, visits)
}

// TestReasonsAreThoseOfTheList: what the hospital gives as a reason is checked here, before anything is sent; and the spine takes what was given.
func TestReasonsAreThoseOfTheList(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	u := w.spine.refer("9990000018", 1, true)
	w.registered(u)
	for name, d := range map[string]hospital.Decision{
		"no reason":          {Kind: booking.ActReject, Comment: "no"},
		"one that is none":   {Kind: booking.ActReject, Reason: "INAPPROPRIATE_SERVICE", Comment: "no"},
		"a patient's":        {Kind: booking.ActReject, Reason: "PATIENT_ILL", Comment: "no"},
		"of cancelling":      {Kind: booking.ActReject, Reason: "CLINIC_CANCELLED", Comment: "no"},
		"out of force":       {Kind: booking.ActCancel, Reason: "ADDITIONAL_REQ_NOT_AVAILABLE"},
		"without a comment":  {Kind: booking.ActCancel, Reason: "PROVIDER_CANCELLATION"},
		"of an act of none":  {Kind: booking.ActAccept, Reason: "OTHER"},
		"cancelled, without": {Kind: booking.ActCancel},
	} {
		if err := w.o.Decide(t.Context(), w.doctor(), rqx, u, d); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	doctor := w.nodes[1].SignedIn(t, "doctor")
	page := "/o/RQX/clinics/cases/" + u + "/decide/reject"
	doctor.Get(page).Sees(200, "Inappropriate service", "Further information required").SeesNot("Patient ill", "Clinic cancelled")
	doctor.Send(page, "reason", "SERVICE_INAPPROPRIATE", "comment", "The heart failure clinic, please.").Sees(200, "It is decided")
	simtest.Eventually(t, func() (done bool) {
		w.spine.look(func() {
			done = len(w.spine.acts[u]) == 1 && w.spine.acts[u][0].Reason == "SERVICE_INAPPROPRIATE"
		})
		return done
	})
}

// TestFilesAreReadWithoutALine: what came with a referral is kept at the hospital, for clinicians, whether there is a line or not.
func TestFilesAreReadWithoutALine(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	f, err := w.spine.k.Post().Store(t.Context(), strings.NewReader("%PDF-1.4 trace"), "ECG.pdf", "application/pdf")
	if err != nil {
		t.Fatal(err)
	}
	u := w.spine.refer("9990000018", 1, true, booking.Attachment{ID: "f-1", Name: "ECG.pdf", Type: "application/pdf", Size: f.Size, Hash: hex.EncodeToString(f.Hash[:]), Description: "of March", By: "Dr Amara Whitfield"})
	w.registered(u)
	w.link("cut")
	doctor, page := w.nodes[1].SignedIn(t, "doctor"), "/o/RQX/clinics/cases/"+u
	doctor.Get(page).Sees(200, "ECG.pdf", "of March", "14 B")
	if doctor.Get(page + "/files/f-1"); doctor.Status != 200 || doctor.Body != "%PDF-1.4 trace" {
		t.Errorf("the file: %d %q", doctor.Status, doctor.Body)
	}
	doctor.Get(page + "/files/f-2").Sees(404)
	clerk := w.nodes[1].SignedIn(t, "clerk")
	clerk.Get(page).Sees(200).SeesNot("ECG.pdf").Get(page + "/files/f-1").Sees(403)
	// It goes back to the practice with the result of an assessment: what the practice sent is the practice's again, and the result stays here.
	f, err = w.spine.k.Post().Store(t.Context(), strings.NewReader("%PDF-1.4 plan"), "Plan.pdf", "application/pdf")
	if err != nil {
		t.Fatal(err)
	}
	w.link("heal")
	w.spine.change(u, func(c *booking.Case) {
		c.State, c.Gone, c.Letter, c.Appointment = "TRIAGE_RESPONSE", true, "", nil
		c.Attachments = []booking.Attachment{{ID: "f-3", Name: "Plan.pdf", Type: "application/pdf", Size: f.Size, Hash: hex.EncodeToString(f.Hash[:]), Description: "what to do", By: "Name of doctor", Kind: "PROVIDER", Code: rqx}}
	})
	simtest.Eventually(t, func() bool { return strings.Contains(doctor.Get(page).Text(), "Plan.pdf") })
	doctor.Sees(200, "what to do", "Not with this hospital any more", "The letter went back with the referral").SeesNot("ECG.pdf", "Waits to be reviewed")
	if doctor.Get(page + "/files/f-3"); doctor.Status != 200 || doctor.Body != "%PDF-1.4 plan" {
		t.Errorf("the result: %d %q", doctor.Status, doctor.Body)
	}
	doctor.Get(page + "/files/f-1").Sees(404)
	clerk.Get(page).Sees(200).SeesNot("Plan.pdf").Get(page + "/files/f-3").Sees(403)
}

// TestTriageAtTheHospital: what a practice sends to be read first has a list of its own; a clinician takes it at a clinic, or lets the patient choose, and until there is a time it is on a list.
func TestTriageAtTheHospital(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	taken, invited := w.spine.refer("9990000018", 1, false), w.spine.refer("9990000026", 2, false)
	w.registered(taken)
	w.registered(invited)
	w.spine.state(taken, "AWAITING_TRIAGE")
	w.spine.state(invited, "AWAITING_TRIAGE")
	doctor := w.nodes[1].SignedIn(t, "doctor")
	simtest.Eventually(t, func() bool { return strings.Contains(doctor.Get("/clinics/triage").Text(), "2 referrals") })
	doctor.Get("/clinics/review").SeesNot("CARROW")
	w.nodes[1].SignedIn(t, "clerk").Get("/o/RQX/clinics/cases/"+taken).Sees(200, "Waits to be triaged by a clinician").SeesNot("Accept, to be booked", "Waits to be reviewed")
	page := "/o/RQX/clinics/cases/" + taken + "/decide/triage-"
	doctor.Get(page+"return").Send(page+"return", "comment", "").Sees(422)
	doctor.Get(page+"accept").Sees(200, "Which service takes it?", "Heart clinic", "The patient chooses").Send(page+"accept", "how", "here").Sees(200, "It is decided")
	page = "/o/RQX/clinics/cases/" + invited + "/decide/triage-"
	doctor.Get(page+"accept").Send(page+"accept", "how", "invite").Sees(200, "It is decided")
	doctor.Get("/clinics/rebook").Sees(200, "1 referral", "Accepted, to be booked")
	simtest.Eventually(t, func() (done bool) {
		w.spine.look(func() {
			a, b := w.spine.acts[taken], w.spine.acts[invited]
			done = len(a) == 1 && a[0].Kind == booking.ActTriageAccept && !a[0].Invite && len(b) == 1 && b[0].Invite
		})
		return done
	})
}
