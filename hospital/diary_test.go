package hospital_test

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/sim/simtest"
)

// BenchmarkDiary asks over HTTP for the diary of a clinic of 60 slots a day, in which 300 people are booked within days of each other: of a day, with those who come, and of the week.
func BenchmarkDiary(b *testing.B) {
	w := given(b, false)
	set := hospital.Setup{Clinics: []hospital.Clinic{{ID: "busy", Name: "Busy clinic", Service: "RQX-heart", Specialty: "394579002", Consultant: "q", Place: "Outpatients"}}}
	for day := range time.Weekday(7) {
		set.Templates = append(set.Templates, hospital.Template{ID: fmt.Sprintf("busy-%d", day), Clinic: "busy", Weekday: day, Starts: 9 * 60, Minutes: 8, Slots: 60, Given: true})
	}
	if err := w.o.SetUp(b.Context(), access.Service("test", rqx), rqx, set); err != nil {
		b.Fatal(err)
	}
	if err := w.o.Plan(b.Context(), rqx); err != nil {
		b.Fatal(err)
	}
	simtest.Eventually(b, func() bool {
		n := 0
		w.spine.look(func() { n = len(w.spine.slots) })
		return n > 54*64
	})
	var last string
	for i := range 300 {
		n, err := ident.TestRange.At(i)
		if err != nil {
			b.Fatal(err)
		}
		last = w.spine.refer(n.String(), i, true)
	}
	w.registered(last)
	if err := w.o.Register(b.Context(), rqx); err != nil {
		b.Fatal(err)
	}
	var at booking.Appointment
	w.spine.look(func() { at = *w.spine.cases[last].Appointment })
	day := at.Start.AddDate(0, 0, -2).Format(time.DateOnly) // full from morning to evening
	clerk := w.nodes[1].SignedIn(b, "clerk")
	clerk.Get("/o/RQX/clinics/diary?view=day&day=" + day)
	if n := strings.Count(clerk.Body, "CARROW"); n < 60 {
		b.Fatalf("the day shows %d people", n)
	}
	for _, view := range []string{"day", "week"} {
		b.Run(view, func(b *testing.B) {
			for b.Loop() {
				clerk.Get("/o/RQX/clinics/diary?view="+view+"&day="+day).Sees(200, "Busy clinic")
			}
		})
	}
}

// TestTheWeekNamesEachDay: a day of the week's diary without a clinic says which it is, and the week leads to one day with who is booked.
func TestTheWeekNamesEachDay(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	clerk := w.nodes[1].SignedIn(t, "clerk")
	clerk.Get("/o/RQX/clinics/diary?day=2031-01-08&clinic=none").Sees(200, "Diary, week of 06-Jan-2031", "Monday 06-Jan-2031: no clinic is held.", "Friday 10-Jan-2031: no clinic is held.").SeesNot("Saturday")
	clerk.Get(clerk.Link("/o/RQX/clinics/diary[^\"]*view=day")).Sees(200, "Diary, 08-Jan-2031")
}
