package referral_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
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
