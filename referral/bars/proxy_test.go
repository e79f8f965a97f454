package bars_test

import (
	"context"
	"net/http"
	"strings"
	"testing"

	"github.com/google/uuid"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/referral/bars"
)

// TestWhatIsForAServiceElsewhereIsSentOn: request and answer pass as they are, the token apart.
func TestWhatIsForAServiceElsewhereIsSentOn(t *testing.T) {
	t.Parallel()
	w, x := newWorld(t), newThird(t)
	x.offered(w)
	p := w.program(practice).but("NHSD-Target-Identifier", target(own))
	slots := p.get(slotQuery())
	if slots.status != http.StatusOK || len(slots.found("Slot")) != 5 || !strings.Contains(slots.header.Get("Content-Type"), "fhir+json") {
		t.Fatalf("slots: %d %s", slots.status, slots.body)
	}
	for name, want := range p.headers {
		if got := x.last.Header.Get(name); name != "Content-Type" && got != want {
			t.Errorf("%s was sent on as %q", name, got)
		}
	}
	if x.last.Header.Get("Authorization") != "" || x.last.URL.RawQuery == "" || x.last.Header.Get("X-Request-Id") == "" {
		t.Errorf("what was sent on: %v %s", x.last.Header, x.last.URL)
	}
	body := msg("booking-request", "new", visit("booked", "urn:uuid:deb4c4b3-870b-4599-84df-5e54cef7af00"), thePatient)
	if booked := p.post(body); booked.status != http.StatusOK || len(x.booked()) != 1 {
		t.Fatalf("booking there: %d %s", booked.status, booked.body)
	}
	if again := p.post(body); again.status != http.StatusConflict || again.code() != "REC_CONFLICT duplicate" || !strings.Contains(again.body, "the third party says so") {
		t.Errorf("again: %d %s", again.status, again.body)
	}
}

// TestWhatFailsOnTheWayIsSaidAsPublished: an answer that is no FHIR, and none at all, have the published codes.
func TestWhatFailsOnTheWayIsSaidAsPublished(t *testing.T) {
	t.Parallel()
	w, x := newWorld(t), newThird(t)
	x.offered(w)
	w.load(`{"resourceType":"Endpoint","id":"e2","status":"active","connectionType":{"code":"hl7-fhir-msg"},"payloadType":[{"coding":[{"code":"bars"}]}],"address":"https://10.1.2.3/x"}`,
		`{"resourceType":"Endpoint","id":"e3","status":"off","connectionType":{"code":"hl7-fhir-msg"},"payloadType":[{"coding":[{"code":"bars"}]}],"address":"https://closed.example"}`,
		elsewhere("3000000002", "e2"), elsewhere("3000000003", "e1", "e2"), elsewhere("3000000004", "e3"))
	x.says = map[string]thirdSays{"/base/Appointment/plain": {502, "text/html", "<p>"}, "/base/Appointment/teapot": {418, "text/plain", "t"}, "/base/Appointment/late": {504, "", ""}, "/base/Appointment/media": {415, "", ""},
		"/base/Appointment/moved": {302, "", ""}, "/base/Appointment/odd": {200, "application/fhir+json", "{"}, "/base/Appointment/busy": {429, "", ""}, "/base/Appointment/not": {501, "", ""}, "/base/Appointment/no": {401, "", ""}}
	p := w.program(practice)
	for name, c := range map[string]struct {
		service, path string
		status        int
		code          string
	}{
		"a gateway":           {own, "/Appointment/plain", 503, "REC_SERVICE_UNAVAILABLE transient"},
		"an unknown status":   {own, "/Appointment/teapot", 500, "REC_SERVER_ERROR exception"},
		"a late gateway":      {own, "/Appointment/late", 408, "REC_TIMEOUT timeout"},
		"a wrong media type":  {own, "/Appointment/media", 406, "REC_NOT_ACCEPTABLE processing"},
		"a redirect":          {own, "/Appointment/moved", 500, "REC_SERVER_ERROR exception"},
		"no FHIR":             {own, "/Appointment/odd", 500, "REC_SERVER_ERROR exception"},
		"too many":            {own, "/Appointment/busy", 429, "REC_TOO_MANY_REQUESTS throttled"},
		"not implemented":     {own, "/Appointment/not", 501, "REC_NOT_IMPLEMENTED not-supported"},
		"not let in":          {own, "/Appointment/no", 401, "REC_UNAUTHORIZED security"},
		"a broken line":       {own, "/Appointment/broken", 503, "REC_SERVICE_UNAVAILABLE transient"},
		"inside our walls":    {"3000000002", "/Appointment/x", 500, "PROXY_SERVER_ERROR exception"},
		"two addresses":       {"3000000003", "/Appointment/x", 404, "PROXY_NOT_FOUND multiple-matches"},
		"an endpoint is shut": {"3000000004", "/Appointment/x", 404, "REC_NOT_FOUND not-found"},
	} {
		if a := p.but("NHSD-Target-Identifier", target(c.service)).get(c.path); a.status != c.status || a.code() != c.code {
			t.Errorf("%s: %d %q, want %d %q: %s", name, a.status, a.code(), c.status, c.code, a.body)
		}
	}
	if err := bars.Unreached(context.DeadlineExceeded); !fault.Is(err, fault.Timeout) || !strings.Contains(err.Error(), "REC_TIMEOUT") {
		t.Errorf("no answer in time: %v", err)
	}
	x.srv.Close()
	if a := p.but("NHSD-Target-Identifier", target(own)).get("/Appointment/x"); a.status != 503 || a.code() != "REC_SERVICE_UNAVAILABLE transient" {
		t.Errorf("nobody there: %d %s", a.status, a.body)
	}
}

// elsewhere is a service of the hospital with endpoints.
func elsewhere(id string, endpoints ...string) string {
	refs := ""
	for i, e := range endpoints {
		if i > 0 {
			refs += ","
		}
		refs += `{"reference":"Endpoint/` + e + `"}`
	}
	return `{"resourceType":"HealthcareService","id":"` + id + `","active":true,"providedBy":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}},"name":"Clinic ` + uuid.NewString() + `","endpoint":[` + refs + `]}`
}
