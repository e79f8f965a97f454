package hospital_test

import (
	"testing"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/web/webtest"
)

// TestTheDeskFollowsWhatHappens has somebody arrive at one desk, and seen at another; the review list shows who is referred meanwhile. Nobody loads a page anew.
func TestTheDeskFollowsWhatHappens(t *testing.T) {
	t.Parallel()
	b := webtest.NewBrowser(t)
	w := given(t, false)
	u := w.spine.refer("9990000018", 1, true)
	w.registered(u)
	var at booking.Appointment
	w.spine.look(func() { at = *w.spine.cases[u].Appointment })
	w.until(at)
	cookie := webtest.Cookie(webtest.SessionCookie, w.nodes[1].SignedIn(t, "doctor").Cookie())
	base := w.nodes[1].URL + "/o/RQX/clinics"
	desk := b.Open(t, base+"/desk?day="+at.Start.Format("2006-01-02"), cookie)
	diary := b.Open(t, base+"/diary?view=day&day="+at.Start.Format("2006-01-02"), cookie)
	review := b.Open(t, base+"/review", cookie)
	desk.Wait(`window.htmx !== undefined`)
	diary.Wait(`window.htmx !== undefined`)
	review.Wait(`window.htmx !== undefined`)
	desk.Eval(`document.querySelector("#live a[href*='/come']").focus()`, nil)
	review.Eval(`document.querySelector("#live").dataset.loaded = "once"`, nil)
	if err := w.o.Come(t.Context(), w.clerk(), rqx, u, hospital.Coming{Session: at.Session, Slot: at.Slot, State: "arrived"}); err != nil {
		t.Fatal(err)
	}
	desk.Wait(`document.querySelector("#live").innerText.includes("Not arrived after all")`)
	desk.Wait(`document.activeElement.matches("#live a[href*='/come']")`) // whoever was at the link is there still
	diary.Wait(`document.querySelector("#live").innerText.includes("Arrived")`)
	w.registered(w.spine.refer("9990000026", 2, false))
	review.Wait(`document.querySelector("#live").innerText.includes("999 000 0026")`)
	review.Wait(`document.querySelector("#live").dataset.loaded === "once"`)
	desk.NoComplaints()
	review.Healthy()
}
