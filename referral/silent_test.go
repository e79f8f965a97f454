package referral_test

import (
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/web/format"
	"github.com/openspine/openspine/web/letter"
)

// TestASilentHospitalIsAskedForATime books while nothing has been heard of the hospital for two hours: nobody is told that they are booked before it is heard of again. Who had booked before
// that is booked. It runs alone: the hospital is silent for the whole node.
func TestASilentHospitalIsAskedForATime(t *testing.T) {
	w := shared.Given(t)
	givenSlots(t, w, "silent", "RZZ01-cardiology", 6, 14)
	gp := w.SignedIn(t, "gp")
	number := w.Number(t, "correct")
	book := func(slot, words string) (ubrn, password string) {
		t.Helper()
		ubrn, password = refer(t, gp, number, "RZZ01-cardiology")
		patient := w.Visitor(t)
		patient.Get("/appointments").Send("/appointments", "ubrn", ubrn, "password", password)
		patient.Get("/appointments/times?service=RZZ01-cardiology").Send("/appointments/times", "slot", "RZZ01/silent/"+slot, "service", "RZZ01-cardiology").Sees(200, "Check before you book")
		patient.Send("/appointments/check").Sees(200, words)
		return ubrn, password
	}
	before, key := book("silent-0", "Your appointment is booked")

	heard, away := time.Now(), true
	s := w.Node.Referrals()
	s.Hear(2*time.Hour, func(ident.ODSCode) (time.Time, bool) { return heard, away })
	defer s.Hear(time.Hour, nil)
	book("silent-1", "Your appointment is booked") // a moment of silence is none

	s.Hear(time.Nanosecond, func(ident.ODSCode) (time.Time, bool) { return heard, away })
	since := format.DateTime(heard)
	patient := w.Visitor(t)
	patient.Get("/appointments").Send("/appointments", "ubrn", before, "password", key).Sees(200, "Your appointment is booked").SeesNot("not confirmed")
	patient.Get("/appointments/times?service=RZZ01-cardiology").Sees(200, "You can ask for a time", since)
	asked, password := book("silent-2", "You have asked for this time")
	patient = w.Visitor(t)
	patient.Get("/appointments").Send("/appointments", "ubrn", asked, "password", password).Sees(200, "It is not confirmed", since).SeesNot("Your appointment is booked")
	if strings.Contains(patient.Body, "appointment.ics") {
		t.Error("a time that is only asked for is offered to a calendar")
	}
	patient.Get("/appointments/appointment.ics").Sees(409, "not confirmed")
	if l, _, err := s.PatientLetter(t.Context(), caller(w), ident.MustUBRN(asked), ""); err != nil || slices.ContainsFunc(l.Parts, func(p letter.Part) bool { return p.Heading == "Your appointment" }) {
		t.Errorf("the letter calls it an appointment: %+v, %v", l.Parts, err)
	}
	gp.Get("/refer/case/"+asked).Sees(200, "Asked for", "does not know of this appointment yet")
	gp.Get("/refer/case/"+asked+"/book?service=RZZ01-cardiology").Sees(200, "You can ask for a time")

	heard = time.Now()
	patient.Get("/appointments/choose").Sees(200, "Your appointment is booked").SeesNot("not confirmed")
	if patient.Get("/appointments/appointment.ics"); !strings.Contains(patient.Body, "BEGIN:VEVENT") {
		t.Errorf("the calendar, once it is booked: %d", patient.Status)
	}
	gp.Get("/refer/case/"+asked).Sees(200, "Booked").SeesNot("Asked for")

	away = false
	book("silent-3", "Your appointment is booked")
}
