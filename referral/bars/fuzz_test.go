package bars_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/referral/bars"
)

// FuzzMessage reads anything as a message: it is refused, or it has an event, a reason and words that can be kept.
func FuzzMessage(f *testing.F) {
	for _, text := range []string{"{}", `{"resourceType":"Bundle","type":"message"}`, msg("booking-request", "new", visit("booked", "Slot/x"), thePatient), msg("booking-response", "update", visit("noshow", "", `"basedOn":[{"reference":"ServiceRequest/x"}]`), thePatient),
		msg("servicerequest-request", "new", request("active", "referral", `"note":[{"text":"n"}]`), thePatient), msg("servicerequest-response", "new", request("completed", "validation"), thePatient,
			`{"resourceType":"CarePlan","activity":[{"outcomeCodeableConcept":[{"text":"x"}]}]}`, `{"resourceType":"Encounter","status":"finished"}`)} {
		f.Add(text)
	}
	f.Fuzz(func(t *testing.T, text string) {
		res, err := fhir.Parse([]byte(text))
		if err != nil {
			return
		}
		event, reason, letter, number, err := bars.Read(res)
		if err != nil {
			return
		}
		if !slices.Contains([]string{"booking-request", "booking-response", "servicerequest-request", "servicerequest-response"}, event) || !slices.Contains([]string{"new", "update", "delete"}, reason) {
			t.Errorf("taken as %q for %q", event, reason)
		}
		if len(letter) > referral.MostLetter || !utf8.ValidString(letter) {
			t.Errorf("a letter of %d bytes", len(letter))
		}
		if _, err := ident.ParseNHSNumber(number); number != "" && err != nil {
			t.Errorf("a patient of no number: %v", err)
		}
	})
}

// TestWhatIsTooLongOrTooDeepIsRefused before anybody works on it.
func TestWhatIsTooLongOrTooDeepIsRefused(t *testing.T) {
	t.Parallel()
	p := newWorld(t).program(practice)
	entries := slices.Repeat([]string{thePatient}, 1001)
	for name, c := range map[string]struct {
		method, path, body string
		status             int
		code               string
	}{
		"many entries":   {http.MethodPost, "/$process-message", msg("booking-request", "new", visit("booked", "Slot/x"), entries...), 422, "REC_UNPROCESSABLE_ENTITY too-costly"},
		"a deep message": {http.MethodPost, "/$process-message", strings.Repeat(`{"a":[`, 20_000), 400, "REC_BAD_REQUEST invalid"},
		"a deep booking": {http.MethodPost, "/Appointment", `{"resourceType":"Appointment","extension":` + strings.Repeat(`[{"extension":`, 2000) + "1" + strings.Repeat("}]", 2000) + "}", 400, "REC_BAD_REQUEST invalid"},
		"a long message": {http.MethodPost, "/$process-message", `{"resourceType":"Bundle","id":"` + strings.Repeat("x", 64<<20) + `"}`, 400, "REC_BAD_REQUEST invalid"},
		"a long service": {http.MethodPost, "/HealthcareService", service("R69", "9", `"identifier":[`+strings.TrimSuffix(strings.Repeat(`{"system":"a","value":"b"},`, 21), ",")+`]`), 400, "REC_BAD_REQUEST invalid"},
	} {
		if a := p.do(c.method, c.path, c.body); a.status != c.status || a.code() != c.code {
			t.Errorf("%s: %d %q %.300s", name, a.status, a.code(), a.body)
		}
	}
	if a := p.but("NHSD-End-User-Organisation", encoded(strings.Repeat(" ", 9000))).get("/metadata"); a.code() != "SEND_BAD_REQUEST too-long" {
		t.Errorf("a long header: %d %s", a.status, a.body)
	}
}
