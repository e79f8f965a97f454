package referral_test

import (
	"errors"
	"fmt"
	"net/url"
	"strings"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/sim/simtest"
)

// givenService is a service of the hospital in the west that takes some kinds of request.
func givenService(t *testing.T, w *simtest.World, id, name string, flows ...string) {
	t.Helper()
	var traits []fhir.Value
	for _, f := range flows {
		traits = append(traits, fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "https://fhir.nhs.uk/CodeSystem/eRS-RequestFlowType", "code", f))))
	}
	res, err := fhir.Obj("resourceType", "HealthcareService", "id", id, "active", true, "name", name, "providedBy", fhir.Obj("identifier", fhir.Obj("system", ident.SystemODSCode, "value", "RZZ01")),
		"specialty", fhir.Arr(fhir.Obj("coding", fhir.Arr(fhir.Obj("system", ident.SystemSNOMED, "code", "394579002", "display", "Cardiology")))), "characteristic", fhir.List(traits)).Resource()
	if err != nil {
		t.Fatal(err)
	}
	l := w.Node.Loader("test", w.Node.Kernel().National, nil)
	if err := l.Add(t.Context(), res); err != nil {
		t.Fatal(err)
	}
	if err := l.Flush(t.Context()); err != nil {
		t.Fatal(err)
	}
}

// TestServicesAreOfferedForWhatTheyTake: a service that gives advice only is not offered for an appointment, nor taken for one; one that triages is found by whoever wants that.
func TestServicesAreOfferedForWhatTheyTake(t *testing.T) {
	w := shared.Given(t)
	givenService(t, w, "takes-advice", "Murmur advice line", "ADVICE_AND_GUIDANCE_REQUEST")
	givenService(t, w, "takes-triage", "Murmur triage", "TRIAGE_REQUEST")
	givenService(t, w, "takes-appointments", "Murmur clinic", "APPOINTMENT_REQUEST")
	givenService(t, w, "takes-unsaid", "Murmur centre")
	at := "/refer/person/" + digits(w.Number(t, "correct"))
	gp := w.SignedIn(t, "gp")
	gp.Get(at+"?q=murmur").Sees(200, "Murmur clinic", "Murmur centre", "2 services").SeesNot("Murmur advice line", "Murmur triage")
	gp.Get(at+"?q=murmur&request=TRIAGE_REQUEST").Sees(200, "Murmur triage", "Murmur centre", "2 services").SeesNot("Murmur clinic", "Murmur advice line")
	gp.Get(at+"/letter?service=takes-triage").Sees(200, "Triage first").SeesNot("An appointment")
	gp.Get(at+"/letter?service=takes-triage&service=takes-appointments&q=murmur").Sees(200, "choose services of one kind", "Murmur clinic", "On the shortlist")
	gp.Get(at + "/letter?service=takes-appointments")
	form := gp.Form()
	form.Set("request", "TRIAGE_REQUEST")
	form.Set("letter", "A murmur.")
	gp.Post(at+"/letter", form).Sees(422, "Not every service on the shortlist takes this")

	for service, request := range map[string]referral.Request{"takes-advice": referral.ForAppointment, "takes-appointments": referral.ForTriage} {
		d := referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.Routine, Request: request, Services: []string{service}, Letter: "A murmur."}
		if _, err := referrals(w).Create(t.Context(), caller(w), d); !errors.Is(err, referral.ErrRequest) || fault.KindOf(err) != fault.Unprocessable {
			t.Errorf("%s to %s: %v, want ErrRequest", request, service, err)
		}
	}
}

// TestTheListOfServicesIsTurned: ten services on a page; what is ticked stays ticked on the next page, in another order and after a change of what is looked for, and goes to the letter.
func TestTheListOfServicesIsTurned(t *testing.T) {
	w := shared.Given(t)
	for i := range 12 {
		givenService(t, w, fmt.Sprintf("turned-%02d", i), fmt.Sprintf("Turning clinic %02d", i))
	}
	at := "/refer/person/" + digits(w.Number(t, "correct"))
	gp := w.SignedIn(t, "gp")
	gp.Get(at+"?q=turning").Sees(200, "12 services", "Turning clinic 00", "Turning clinic 09", "Next").SeesNot("Turning clinic 10", "Previous", "On the shortlist")
	gp.Get(at+"?q=turning&specialty=&request=APPOINTMENT_REQUEST&within=80&sort=likely&service=turned-03&after=10").Sees(200, "On the shortlist", "Turning clinic 03", "Turning clinic 10", "Turning clinic 11", "Previous").SeesNot("Turning clinic 04")
	gp.Get(at+"?q=turning&sort=name&service=turned-11").Sees(200, "On the shortlist", "Turning clinic 11")
	gp.Get(at+"?q=turning&service=turned-03&service=turned-11&clear=yes").Sees(200, "Turning clinic 03", "Turning clinic 11", "Cardiology outpatients")
	gp.Get(at+"?q=turning&format=csv").Sees(200, "Turning clinic 00", "Turning clinic 11")
	gp.Get(at+"?after=-3").Sees(400, "begin at the first")
	gp.Get(at + "?sort=secret").Sees(400)
	gp.Get(at+"/letter?"+url.Values{"service": {"turned-03", "turned-11"}}.Encode()).Sees(200, "Turning clinic 03", "Turning clinic 11")
}

// TestWhatIsFarAwayIsOfferedLast: the usual reach leaves a far service out and says so; one word, or the button, brings it back.
func TestWhatIsFarAwayIsOfferedLast(t *testing.T) {
	w := shared.Given(t)
	at := "/refer/person/" + digits(w.Number(t, "correct"))
	gp := w.SignedIn(t, "gp")
	gp.Get(at).Sees(200, "Hip and knee clinic")
	gp.Get(at+"?within=20").Sees(200, "farther away than 20 km", "Show all, however far").SeesNot("Hip and knee clinic")
	gp.Get(at+"?within=20&everywhere=yes").Sees(200, "Hip and knee clinic").SeesNot("farther away")
	gp.Get(at+"?within=").Sees(200, "Hip and knee clinic").SeesNot("farther away")
}

// TestAShortlistThatIsFarTooLong: whoever sends a form with more services than any query could name is told how many there may be.
func TestAShortlistThatIsFarTooLong(t *testing.T) {
	w := shared.Given(t)
	draft := referral.Draft{Patient: ident.MustNHSNumber(digits(w.Number(t, "correct"))), Priority: referral.Routine, Request: referral.ForAppointment, Letter: "Please see."}
	for _, n := range []int{referral.MostChoices + 1, 70_000} {
		draft.Services = nil
		for i := range n {
			draft.Services = append(draft.Services, fmt.Sprintf("RZZ01-%d", i))
		}
		if _, err := referrals(w).Create(t.Context(), caller(w), draft); !fault.Is(err, fault.Invalid) || !strings.Contains(err.Error(), "1 to 20") {
			t.Errorf("%d services: %.200v", n, err)
		}
	}
}
