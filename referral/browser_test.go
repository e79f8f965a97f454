package referral_test

import (
	"context"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/simtest"
	"github.com/openspine/openspine/web/webtest"
)

// visitor is a patient who came in by their booking reference: the cookie that says so.
const visitor = "openspine-appointment"

// TestEveryPageIsHealthy looks at what the practice, the hospital and the patient see of a referral, at a desk, on a phone and without scripts: with every flag that a list can show.
func TestEveryPageIsHealthy(t *testing.T) {
	t.Parallel()
	b := webtest.NewBrowser(t)
	w := shared.Given(t)
	givenSlots(t, w, "looked", "RZZ01-cardiology", 4, 18)
	at := "/refer/person/" + digits(w.Number(t, "correct"))
	gp := w.SignedIn(t, "gp")
	chosen, password := refer(t, gp, w.Number(t, "correct"), "RZZ01-cardiology")
	late := flagged(t, w)
	patient := w.Visitor(t)
	patient.Get("/appointments").Send("/appointments", "ubrn", chosen, "password", password).Sees(200, "You have not booked yet")
	open := patient.CookieAt("/appointments", visitor)
	moved := w.Visitor(t)
	moved.Get("/appointments").Send("/appointments", "ubrn", late.UBRN.String(), "password", late.Password).Sees(200, "Change")
	booked := moved.CookieAt("/appointments", visitor)
	offer := offeredTo(t, w, "skin-looked")
	waits := w.Visitor(t)
	waits.Get("/appointments").Send("/appointments", "ubrn", offer.UBRN.String(), "password", offer.Password).Sees(200, "Take this time")
	offered := waits.CookieAt("/appointments", visitor)
	gp.Get("/refer?show=booked").Sees(200, "Booked too late")
	gp.Get("/refer").Sees(200, "2 days past the limit")
	cookies := map[string]string{"gp": gp.Cookie(), "hospital": w.SignedIn(t, "hospital").Cookie(), "patient": w.SignedIn(t, "patient").Cookie()}
	var visits []webtest.Visit
	for user, paths := range map[string][]string{
		"gp": {"/refer", "/refer?show=booked", "/refer?show=waiting", "/refer?show=all", at, at + "?missing=yes&q=heart&within=40", at + "?within=20&service=RZZ02-orthopaedics", at + "?q=nothing+of+the+kind", at + "/letter?service=RZZ01-cardiology&service=RZZ01-dermatology",
			"/refer/case/" + chosen, "/refer/case/" + chosen + "/book?service=RZZ01-cardiology", "/refer/case/" + chosen + "/files", "/refer/case/" + chosen + "/do/cancel", "/refer/case/" + late.UBRN.String(), "/refer/case/" + late.UBRN.String() + "/book",
			"/refer/case/" + offer.UBRN.String(), "/refer/case/" + offer.UBRN.String() + "/do/decline-offer"},
		"hospital": {"/refer/review", "/refer/review?show=triage", "/refer/review?show=issues", "/refer/review?show=due", "/refer/review?show=booked", "/refer/case/" + late.UBRN.String(),
			"/refer/case/" + late.UBRN.String() + "/do/accept", "/refer/case/" + late.UBRN.String() + "/do/reject"},
		"patient": {"/me/appointments"},
		"":        {"/appointments", "/appointments?out=yes"},
	} {
		for _, path := range paths {
			visits = append(visits, webtest.Visit{User: user, Path: path, Cookie: cookies[user], Walk: path == at || path == "/appointments"})
		}
	}
	for name, cookie := range map[string]string{"open": open, "booked": booked} {
		for _, path := range []string{"choose", "times?service=RZZ01-cardiology", "check?service=RZZ01-cardiology&slot=RZZ01/looked/looked-2", "cancel", "letter", "booked"} {
			if name == "booked" || path != "booked" && path != "cancel" {
				visits = append(visits, webtest.Visit{User: "visitor " + name, Path: "/appointments/" + path, CookieName: visitor, Cookie: cookie})
			}
		}
	}
	visits = append(visits, webtest.Visit{User: "visitor who is offered a time", Path: "/appointments/choose?declined=yes", CookieName: visitor, Cookie: offered, Walk: true})
	b.EveryPage(t, w.URL, visits)
}

// flagged is a referral of somebody who may not wait so long, and is booked after the last day on which they were to be seen; beside it is one for whom that day has gone by.
func flagged(t *testing.T, w *simtest.World) referral.Made {
	t.Helper()
	ctx, s := context.Background(), referrals(w)
	m, err := s.Create(ctx, caller(w), referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.TwoWeekWait, Request: referral.ForAppointment, Services: []string{"RZZ01-cardiology"},
		Letter: "Please see soon.", PathwayStart: time.Now().AddDate(0, 0, -3)})
	if err != nil {
		t.Fatal(err)
	}
	passed := referral.Draft{Patient: m.Patient, Priority: referral.TwoWeekWait, Request: referral.ForAppointment, Services: []string{"RZZ01-dermatology"}, Letter: "Please see soon.", PathwayStart: time.Now().AddDate(0, 0, -booking.TwoWeekDays-2)}
	if _, err := s.Create(ctx, caller(w), passed); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Act(ctx, caller(w), m.UBRN, referral.Work{Kind: referral.ActBook, Slot: referral.SlotRef{Provider: west, Session: "looked", Slot: "looked-0"}, Service: "RZZ01-cardiology"}); err != nil {
		t.Fatal(err)
	}
	return m
}
