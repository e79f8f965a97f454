package hospital_test

import (
	"fmt"
	"html"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/sim/simtest"
)

// TestFiguresCountWhatHappened has one person seen, one who does not come and one for whom there is no time, and counts them for the manager.
func TestFiguresCountWhatHappened(t *testing.T) {
	t.Parallel()
	figuresCount(t, given(t, false))
}

// TestFiguresCountWhatHappenedOnPostgres is the same on the other engine.
func TestFiguresCountWhatHappenedOnPostgres(t *testing.T) {
	t.Parallel()
	figuresCount(t, given(t, true))
}

func figuresCount(t *testing.T, w *world) {
	seen, missed, comes, waits := w.spine.refer("9990000018", 1, true), w.spine.refer("9990000026", 2, true), w.spine.refer("9990000034", 3, true), w.spine.refer("9990000042", 4, false)
	for u, come := range map[string]hospital.Coming{seen: {State: "attended", Outcome: "treatment", Status: "30"}, missed: {State: "did-not-attend", Reason: "UNKNOWN"}, comes: {State: "arrived"}, waits: {}} {
		w.registered(u)
		if come.State == "" {
			continue
		}
		var at booking.Appointment
		w.spine.look(func() { at = *w.spine.cases[u].Appointment })
		at.Start = at.Start.Add(6 * time.Hour) // the evening of the day on which all three are booked
		w.until(at)
		w.spine.look(func() {
			come.Session, come.Slot = w.spine.cases[u].Appointment.Session, w.spine.cases[u].Appointment.Slot
		})
		if err := w.o.Come(t.Context(), w.doctor(), rqx, u, come); err != nil {
			t.Fatal(err)
		}
	}
	f, err := w.o.Figures(t.Context(), rqx, 12)
	if err != nil || len(f.Months) != 14 || f.Now != 11 {
		t.Fatalf("%d months, now is %d: %v", len(f.Months), f.Now, err)
	}
	var clinic hospital.ClinicMonth
	for _, m := range f.Clinics["heart"] {
		clinic.Slots, clinic.Booked, clinic.Seen, clinic.Missed = clinic.Slots+m.Slots, clinic.Booked+m.Booked, clinic.Seen+m.Seen, clinic.Missed+m.Missed
	}
	if clinic.Slots < 6*50 || clinic.Booked != 3 || clinic.Seen != 1 || clinic.Missed != 1 {
		t.Errorf("the clinic: %+v", clinic)
	}
	var service hospital.ServiceMonth
	for _, m := range f.Services["RQX-heart"] {
		service.Issues, service.Stopped, service.InTime = service.Issues+m.Issues, service.Stopped+m.Stopped, service.InTime+m.InTime
	}
	if service != (hospital.ServiceMonth{Issues: 1, Stopped: 1, InTime: 1}) {
		t.Errorf("the service: %+v", service)
	}
	if now := f.Waiting["RQX-heart"]; now.All() != 3 || now.Over(18) != 0 || now.Issues != 1 || now.Since.IsZero() {
		t.Errorf("who waits: %+v", now)
	}
	clerk := w.nodes[1].SignedIn(t, "clerk")
	clerk.Get("/clinics/figures?months=3").Sees(200, "1 person needs a time", "100.0% of those who wait have waited less than 18 weeks", "100.0% of the waits that ended", "Differences with the spine 0", "Cardiology")
	clerk.Get("/o/RQX/clinics/figures?specialty=394579002&clinic=heart&sort=-rate").Sees(200, "Heart clinic")
	clerk.Get("/o/RQX/clinics/figures?specialty=nothing").Sees(200, "There is no clinic yet", "Nobody waits for treatment")
	clerk.Get("/o/RQX/clinics/figures?format=csv")
	if clerk.Status != 200 || strings.Count(clerk.Body, "Cardiology,Heart clinic,") != 14 {
		t.Errorf("the list: %d\n%s", clerk.Status, clerk.Body)
	}
	if clerk.Get("/o/RQX/clinics/figures?format=waits"); strings.Count(clerk.Body, "RQX-heart,Heart clinic,") != 12 || !strings.Contains(clerk.Body, ",3,0,0,1\n") {
		t.Errorf("the waits: %d\n%s", clerk.Status, clerk.Body)
	}
	w.spine.change(waits, func(c *booking.Case) { c.ClockStart = c.ClockStart.AddDate(0, 0, -7*20) })
	simtest.Eventually(t, func() bool {
		f, err := w.o.Figures(t.Context(), rqx, 1)
		return err == nil && f.Waiting["RQX-heart"].Over(18) == 1
	})
}

// TestFiguresOfManyClinics has more clinics than a page of figures shows: the list turns its page, and that of who waits says how many it leaves out.
func TestFiguresOfManyClinics(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	var s hospital.Setup
	for i := range 30 {
		s.Clinics = append(s.Clinics, hospital.Clinic{ID: fmt.Sprintf("many-%02d", i), Name: fmt.Sprintf("Ysgyfaint a’r frest %02d", i), Service: fmt.Sprintf("RQX-many-%02d", i), Specialty: "394579002"})
	}
	if err := w.o.SetUp(t.Context(), w.principal("clerk"), rqx, s); err != nil {
		t.Fatal(err)
	}
	clerk := w.nodes[1].SignedIn(t, "clerk")
	clerk.Get("/o/RQX/clinics/figures?months=24").Sees(200, "31 clinics", "Heart clinic", "Ysgyfaint a’r frest 18", "The 20 of 31 where most people wait", "Next")
	byClinic, _, _ := strings.Cut(clerk.Body, "Who waits now")
	if strings.Contains(byClinic, ">Ysgyfaint a’r frest 19</bdi>") {
		t.Error("the first page has a twenty-first clinic")
	}
	_, next, _ := strings.Cut(clerk.Body, `nhsuk-pagination__link--next" href="`)
	next, _, _ = strings.Cut(next, `"`)
	clerk.Get(html.UnescapeString(next)).Sees(200, "Ysgyfaint a’r frest 19", "Ysgyfaint a’r frest 29", "Previous")
}
