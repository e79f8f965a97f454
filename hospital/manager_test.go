package hospital_test

import (
	"net/url"
	"strings"
	"testing"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/sim/simtest"
)

// TestAManagerSeesFiguresAndNobody has a manager see how the clinics do and how they stand with the spine, and refuses them whatever names somebody, or changes something.
func TestAManagerSeesFiguresAndNobody(t *testing.T) {
	t.Parallel()
	w := given(t, false)
	u := w.spine.refer("9990000018", 1, true)
	w.registered(u)
	var name, session string
	w.spine.look(func() {
		name, session = w.spine.cases[u].Person.Family, w.spine.cases[u].Appointment.Session
		w.spine.refuse[booking.ActAccept] = "no longer yours, said the spine of " + name
	})
	if err := w.o.Decide(t.Context(), w.doctor(), rqx, u, hospital.Decision{Kind: booking.ActAccept}); err != nil {
		t.Fatal(err)
	}
	clerk, manager := w.nodes[1].SignedIn(t, "clerk"), w.nodes[1].SignedIn(t, "manager")
	simtest.Eventually(t, func() bool {
		clerk.Get("/o/RQX/clinics/reconciliation")
		return strings.Contains(clerk.Body, "no longer yours") && strings.Contains(clerk.Body, name)
	})
	manager.Get("/").Sees(200, "Clinic figures", "The hospital and the spine").SeesNot("Find a patient")
	manager.Get("/clinics/figures").Sees(200, "Heart clinic", "Figures").SeesNot(name)
	for _, format := range []string{"csv", "waits"} {
		if manager.Get("/o/RQX/clinics/figures?format=" + format); manager.Status != 200 || !strings.Contains(manager.Body, "Heart clinic,") {
			t.Errorf("the file %s: %d %s", format, manager.Status, manager.Body)
		}
	}
	manager.Get("/clinics/reconciliation").Sees(200, "Refused", "Somebody whom you may not see", "Nobody is named here").SeesNot(name)
	for _, secret := range []string{u, "9990000018", "no longer yours", "/cases/", "/sessions/", `name="do"`} {
		if strings.Contains(manager.Body, secret) {
			t.Errorf("the manager's page has %q", secret)
		}
	}
	for _, path := range []string{"", "/diary", "/review", "/triage", "/rebook", "/waiting", "/desk", "/advice", "/changes", "/templates", "/setup/clinics/heart", "/sessions/" + session, "/cases/" + u, "/cases/" + u + "/letter", "/cases/" + u + "/book"} {
		if manager.Get("/o/RQX/clinics" + path); manager.Status != 403 || strings.Contains(manager.Body, name) {
			t.Errorf("clinics%s is answered %d", path, manager.Status)
		}
	}
	for _, path := range []string{"/patients", "/o/RQX/patients/9990000018", "/o/RQX/FHIR/R4/Patient?name=" + name, "/o/RQX/FHIR/R4/Appointment"} {
		if manager.Get(path); manager.Status != 403 && manager.Status != 404 || strings.Contains(manager.Body, name) {
			t.Errorf("%s is answered %d", path, manager.Status)
		}
	}
	const at = "/o/RQX/clinics/reconciliation"
	for _, do := range []string{"compare", "repair"} {
		manager.Post(at, url.Values{"do": {do}}).Sees(403, "Your role, manager, may not do this")
	}
	if err := w.o.Come(t.Context(), w.principal("manager"), rqx, u, hospital.Coming{State: "arrived"}); err == nil {
		t.Error("a manager says that somebody came")
	}
}
