package hospital_test

import (
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/sim/simtest"
)

// TestAnAnswerThatCameTooLate: the spine refuses what was said to a question that the practice has closed meanwhile. It is on the list of advice, with why, also when the record is no longer open to whoever said it.
func TestAnAnswerThatCameTooLate(t *testing.T) {
	t.Parallel()
	w, u := given(t, false), ident.MustUBRN("000000007101")
	tell := func(version int64, state string) {
		t.Helper()
		came(w, booking.WorkflowAdvice, u.String(), booking.Advice{UBRN: u, Version: version, State: state, Ended: state == "CLOSED", Priority: "ROUTINE", Service: "RQX-heart", ServiceName: "Heart clinic", Practice: ident.MustODSCode("Z99801"), PracticeName: "Fen Lane Surgery",
			Referrer: "Dr Amara Whitfield", Person: booking.Person{NHSNumber: ident.MustNHSNumber("9990000018"), Given: "Edith", Family: "Carrow", Born: "1951-04-02", Gender: "female"}, Changed: time.Now(), Sent: version,
			Remarks: []booking.Remark{{ID: "r", At: time.Now(), By: "Dr Amara Whitfield", Text: "Is a monitor of use?"}}})
	}
	tell(1, "PROVIDER_RESPONSE_REQUIRED")
	doctor := w.nodes[1].SignedIn(t, "doctor")
	page := "/o/RQX/clinics/advice/" + u.String()
	simtest.Eventually(t, func() bool { return doctor.Get(page).Status == 200 })
	w.spine.look(func() {
		w.spine.refuse[booking.AdviseAnswer] = "This conversation is over: the practice has closed it."
	})
	w.link("cut")
	if err := w.o.Advise(t.Context(), w.doctor(), rqx, u.String(), hospital.Saying{Kind: booking.AdviseAnswer, Seen: 1, Text: "For a week.", Recommendation: "OTHER"}); err != nil {
		t.Fatal(err)
	}
	const list = "/o/RQX/clinics/advice"
	doctor.Get(list).Sees(200, "not confirmed yet").SeesNot("Not taken")
	tell(2, "CLOSED")
	w.link("heal")
	simtest.Eventually(t, func() bool { return strings.Contains(doctor.Get(list).Text(), "Not taken") })
	doctor.Sees(200, u.Display(), "Heart clinic", "Fen Lane Surgery", "Answer", "Name of doctor", "the practice has closed it", "Somebody whom you may not see").SeesNot("CARROW", "For a week.")
	w.clock.ahead.Store(int64(29 * 24 * time.Hour))
	w.nodes[1].SignedIn(t, "doctor").Get(list).Sees(200).SeesNot("Not taken")
}
