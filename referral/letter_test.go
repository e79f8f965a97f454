package referral_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/web/format"
)

// TestTheLetterSaysWhatThePageSays makes a letter for whoever was just referred, with and without the password.
func TestTheLetterSaysWhatThePageSays(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	number := w.Number(t, "correct")
	made, err := referrals(w).Create(t.Context(), caller(w), referral.Draft{Patient: ident.MustNHSNumber(digits(number)), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{"RZZ01-cardiology"}, Letter: "Please see."})
	if err != nil {
		t.Fatal(err)
	}
	for _, password := range []string{made.Password, ""} {
		l, _, err := referrals(w).PatientLetter(t.Context(), caller(w), made.UBRN, password)
		if err != nil {
			t.Fatal(err)
		}
		var all []string
		for _, p := range l.Parts {
			for _, r := range p.Rows {
				all = append(all, r.Value)
			}
			all = append(all, p.Text...)
		}
		said := strings.Join(all, "\n")
		if !strings.Contains(said, made.UBRN.Display()) || !strings.Contains(said, "Choose a hospital and a time") || strings.Contains(said, made.Password) != (password != "") || len(l.To) == 0 {
			t.Errorf("%q to %q", said, l.To)
		}
		if file, err := l.PDF(); err != nil || len(file) < 1000 {
			t.Error(len(file), err)
		}
	}
}

// TestALetterNamesTheAppointmentThatIsOver: whoever has lost an appointment is told which, on paper and on page; whoever waits is not told of one.
func TestALetterNamesTheAppointmentThatIsOver(t *testing.T) {
	start := time.Date(2026, 11, 30, 14, 30, 0, 0, time.UTC)
	was := referral.Arrangement{Start: start}
	for _, c := range []struct {
		r    referral.Referral
		says string
	}{
		{referral.Referral{State: referral.DidNotAttend, Arranged: &was}, "You did not come to your appointment on 30-Nov-2026 at 14:30 at Skin clinic."},
		{referral.Referral{State: referral.CancelledByProvider, Arranged: &was}, "had to cancel your appointment on 30-Nov-2026 at 14:30 at Skin clinic. Do not go there then."},
		{referral.Referral{State: referral.CancelledByPatient, Arranged: &was}, "Your appointment on 30-Nov-2026 at 14:30 at Skin clinic is cancelled: you, or your practice for you"},
		{referral.Referral{State: referral.CancelledByPatient, Arranged: &referral.Arrangement{}}, "You cancelled your appointment. If you still"},
		{referral.Referral{State: referral.DidNotAttend}, "You did not come to your appointment. If you"},
		{referral.Referral{State: referral.Deferred, Arranged: &was}, "It will find one and tell you."},
		{referral.Referral{State: referral.TriagedToAct, Arranged: &was}, "It will tell you when to come."},
	} {
		c.r.Chosen.Name = "Skin clinic"
		if said := referral.Tells(t.Context(), c.r); !strings.Contains(said, c.says) {
			t.Errorf("%s: %q does not say %q", c.r.State, said, c.says)
		}
	}
}

// TestWhatIsOverIsOnTheLetter cancels and moves, and reads the letters.
func TestWhatIsOverIsOnTheLetter(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	s := referrals(w)
	m, err := s.Create(t.Context(), caller(w), referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.Routine, Request: referral.ForAppointment, Services: []string{"RZZ01-cardiology"}, Letter: "Please see."})
	if err != nil {
		t.Fatal(err)
	}
	givenSlots(t, w, "paper", "RZZ01-cardiology", 2, 9)
	slot := referral.SlotRef{Provider: west, Session: "paper", Slot: "paper-1"}
	r, err := s.Act(t.Context(), caller(w), m.UBRN, referral.Work{Kind: referral.ActBook, Slot: slot, Service: "RZZ01-cardiology"})
	if err != nil {
		t.Fatal(err)
	}
	at := format.Date(r.Appointment.Start) + " at " + format.Time(r.Appointment.Start)
	if _, err := s.Act(t.Context(), caller(w), m.UBRN, referral.Work{Kind: referral.ActCancelBy, Reason: "PATIENT_ILL"}); err != nil {
		t.Fatal(err)
	}
	for _, state := range []string{"cancelled", "triage"} {
		l, _, err := s.PatientLetter(t.Context(), caller(w), m.UBRN, "")
		if err != nil {
			t.Fatal(err)
		}
		if said := strings.Join(l.Parts[0].Text, " "); strings.Contains(said, at) != (state == "cancelled") {
			t.Errorf("%s: %q", state, said)
		}
		file, err := l.PDF()
		if err != nil {
			t.Fatal(err)
		}
		if dir := os.Getenv("OPENSPINE_SCREENSHOTS"); dir != "" {
			if err := os.WriteFile(filepath.Join(dir, "letter-"+state+".pdf"), file, 0o600); err != nil {
				t.Error(err)
			}
		}
		if state == "cancelled" {
			if _, err := s.Act(t.Context(), caller(w), m.UBRN, referral.Work{Kind: referral.ActSendTriage, Service: "RZZ01-cardiology"}); err != nil {
				t.Fatal(err)
			}
		}
	}
}

// TestALetterToDownload has the letter from the page that shows the password, and the patient has it from theirs.
func TestALetterToDownload(t *testing.T) {
	t.Parallel()
	w := shared.Given(t)
	gp := w.SignedIn(t, "gp")
	ubrn, password := refer(t, gp, w.Number(t, "correct"), "RZZ01-cardiology")
	gp.Send("/refer/case/"+ubrn+"/letter.pdf", "password", password)
	if gp.Status != 200 || !strings.HasPrefix(gp.Body, "%PDF-") {
		t.Errorf("the practice: %d %.200s", gp.Status, gp.Body)
	}
	patient := w.Visitor(t)
	patient.Get("/appointments").Send("/appointments", "ubrn", ubrn, "password", password).Sees(200, "Download the letter as PDF", "in large print")
	usual := patient.Get("/appointments/letter.pdf").Body
	if patient.Get("/appointments/letter.pdf?print=large"); patient.Status != 200 || !strings.HasPrefix(patient.Body, "%PDF-") || patient.Body == usual {
		t.Errorf("in large print: %d %.200s", patient.Status, patient.Body)
	}
	if patient.Get("/appointments/letter.pdf"); patient.Status != 200 || !strings.HasPrefix(patient.Body, "%PDF-") {
		t.Errorf("the patient: %d %.200s", patient.Status, patient.Body)
	}
}
