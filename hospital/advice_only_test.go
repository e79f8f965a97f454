package hospital_test

import (
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/store"
)

// TestWhoIsKnownOnlyByAQuestion, on SQLite and on PostgreSQL.
func TestWhoIsKnownOnlyByAQuestion(t *testing.T) {
	t.Parallel()
	for name, postgres := range map[string]bool{"sqlite": false, "postgres": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			knownOnlyByQuestions(given(t, postgres))
		})
	}
}

// knownOnlyByQuestions: of somebody whom the hospital made a patient only because it was asked about them, it opens the record while a question is open, and no longer, however often it is told so, also by a spine that was
// restored; a referral makes them a patient like any other.
func knownOnlyByQuestions(w *world) {
	t, ctx, k := w.t, w.t.Context(), w.nodes[1].Node.Kernel()
	doctor := w.nodes[1].SignedIn(t, "doctor")
	tell := func(u, number string, version int64, state string) {
		t.Helper()
		came(w, booking.WorkflowAdvice, u, booking.Advice{UBRN: ident.MustUBRN(u), Version: version, State: state, Ended: state != "PROVIDER_RESPONSE_REQUIRED", Priority: "ROUTINE", Service: "RQX-heart", ServiceName: "Heart clinic",
			Practice: ident.MustODSCode("Z99801"), PracticeName: "Fen Lane Surgery", Referrer: "Dr Amara Whitfield", Changed: time.Now(), Sent: version,
			Person:  booking.Person{NHSNumber: ident.MustNHSNumber(number), Given: "Edith", Family: "Carrow", Born: "1951-04-02", Gender: "female"},
			Remarks: []booking.Remark{{ID: "r", At: time.Now(), By: "Dr Amara Whitfield", Text: "Is a monitor of use?"}}})
	}
	asked := func(u, number string, version int64) {
		t.Helper()
		tell(u, number, version, "PROVIDER_RESPONSE_REQUIRED")
	}
	closed := func(u, number string, version int64) { t.Helper(); tell(u, number, version, "CLOSED") }
	// record is the page of the record of whom a question is about, once they are a patient here.
	record := func(u string) string {
		t.Helper()
		chart := ""
		simtest.Eventually(t, func() bool {
			err := k.DB.Read(ctx, func(tx *store.Tx) error {
				return tx.QueryRow(`SELECT chart FROM hospital_advice WHERE ubrn = ?`, u).Scan(&chart)
			})
			return err == nil && chart != ""
		})
		return "/o/RQX/patients/" + chart
	}
	const no = "You have no reason on record to open this record"
	opens := func(page string) { t.Helper(); doctor.Get(page).Sees(200, "CARROW").SeesNot(no) }
	refused := func(page string) { t.Helper(); doctor.Get(page).Sees(200, no) }
	registered := func(page string) (n int) {
		t.Helper()
		err := k.DB.Read(ctx, func(tx *store.Tx) error {
			return tx.QueryRow(`SELECT count(*) FROM access_relation WHERE tenant = 'RQX' AND chart = ? AND subject = 'org:RQX' AND kind = ? AND until > ?`, page[len("/o/RQX/patients/"):], access.KindRegistered, tx.At().UnixMicro()).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}

	const a, b, edith = "000000008001", "000000008002", "9990000018"
	asked(a, edith, 1)
	page := record(a)
	opens(page)
	asked(b, edith, 1)
	if other := record(b); other != page {
		t.Fatalf("one person has two records: %s and %s", page, other)
	}
	closed(a, edith, 2)
	opens(page) // the other question is open
	closed(b, edith, 2)
	refused(page)
	doctor.Get("/o/RQX/clinics/advice/" + b)
	if doctor.Status == 200 {
		t.Error("a question that is closed opens")
	}
	for _, version := range []int64{2, 1} { // told again
		closed(b, edith, version)
		asked(b, edith, version)
		refused(page)
	}
	if err := k.Gate.PutUsers(ctx, []access.User{{Demo: true, Principal: access.Principal{ID: "night", Name: "Dr Night", Role: access.Clinician, Organisation: rqx}}}); err != nil {
		t.Fatal(err)
	}
	night := w.nodes[1].SignedIn(t, "night")
	night.Get(page).Sees(200, no)
	night.Get("/o/RQX/break-glass").Send("/o/RQX/break-glass", "number", edith, "reason", "Collapsed in the corridor, no history").Sees(200, "The record is open")
	night.Get(page).Sees(200, "CARROW").SeesNot(no)

	// A spine that was restored has it open once more, and learns that it is closed.
	asked(b, edith, 3)
	record(b)
	opens(page)
	closed(b, edith, 4)
	refused(page)
	// A restore of the hospital has lost the question.
	err := k.DB.Write(ctx, nil, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM hospital_advice WHERE ubrn = ?`, b)
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	asked(b, edith, 3)
	record(b)
	opens(page)
	closed(b, edith, 4)
	refused(page)
	if n := registered(page); n != 0 {
		t.Errorf("%d bonds of having registered them", n)
	}

	// Referred, they are a patient like any other, whatever is asked afterwards.
	u := w.spine.refer(edith, 1, false)
	w.registered(u)
	opens(page)
	asked(a, edith, 5)
	record(a)
	closed(a, edith, 6)
	opens(page)
	if n := registered(page); n != 1 {
		t.Errorf("%d bonds of having registered somebody who was referred", n)
	}

	// A question is made a referral of, under its number; what says so comes in either order.
	for n, caseFirst := range map[int]bool{2: true, 3: false} {
		u, number := ident.MustUBRN("00000000500"+string(rune('0'+n))).String(), map[int]string{2: "9990000026", 3: "9990000034"}[n]
		asked(u, number, 1)
		page := record(u)
		if !caseFirst {
			tell(u, number, 2, "CONVERTED_TO_REFERRAL")
			refused(page)
		}
		w.registered(w.spine.refer(number, n, false))
		if caseFirst {
			opens(page)
			tell(u, number, 2, "CONVERTED_TO_REFERRAL")
		}
		opens(page)
		if registered(page) != 1 {
			t.Errorf("made a referral of: no bond of having registered them (the referral first: %v)", caseFirst)
		}
	}

	// What was asked is about somebody else by now.
	const c, mistaken, meant = "000000008003", "9990000042", "9990000050"
	asked(c, mistaken, 1)
	page = record(c)
	opens(page)
	asked(c, meant, 2)
	refused(page)
	other := record(c)
	opens(other)
	closed(c, meant, 3)
	refused(other)
}

// TestNobodyIsMadeAPatientForAQuestionThatIsOver: it was closed after it was found to be about somebody who is no patient here. No record is made of them, and no bond with it; whoever else is to be a patient is one.
func TestNobodyIsMadeAPatientForAQuestionThatIsOver(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	bonds := func() (n int) {
		t.Helper()
		err := w.nodes[1].Node.Kernel().DB.Read(t.Context(), func(tx *store.Tx) error {
			return tx.QueryRow(`SELECT count(*) FROM access_relation WHERE tenant = 'RQX' AND kind = ?`, access.KindRegistered).Scan(&n)
		})
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	over := hospital.Case{Case: booking.Case{UBRN: ident.MustUBRN("000000008009"), Person: booking.Person{NHSNumber: ident.MustNHSNumber("9990000026"), Given: "Ann", Family: "Carrow", Born: "1951-04-02", Gender: "female"}}}
	if err := hospital.RegisterAll(w.o, t.Context(), rqx, []hospital.Case{over}); err != nil {
		t.Fatal(err)
	}
	if n := bonds(); n != 0 {
		t.Errorf("%d people are registered, for nothing", n)
	}
	w.registered(w.spine.refer("9990000018", 1, false))
	if n := bonds(); n != 1 {
		t.Errorf("%d people are registered, and one was referred", n)
	}
}
