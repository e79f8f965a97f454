package fhirapi_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
)

const restricted = `"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]},`

// What hides a person or an item is taken away with a reason, by whoever looks after them in person, and the privacy officer is told;
// whichever way it is tried.
func TestALabelIsTakenAwayWithAReasonAndAnAlert(t *testing.T) {
	w := newWorld(t, setting{})
	system := w.system().at(hospital)
	officer := principal(access.PrivacyOfficer, "officer")
	alerts := func() int {
		page, err := w.node.Kernel().Gate.Alerts(t.Context(), officer, access.AlertQuery{})
		if err != nil {
			t.Fatal(err)
		}
		for _, a := range page.Alerts {
			if a.Kind != access.KindRevealed || a.Chart != "hid" || !strings.Contains(a.Reason, "their wish") {
				t.Fatalf("an alert %+v", a)
			}
		}
		return len(page.Alerts)
	}
	plain := func(s string) string {
		return strings.Replace(s, restricted, `"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"N"}]},`, 1)
	}
	person := strings.Replace(patient("hid", "Marsh"), `"identifier"`, restricted+`"identifier"`, 1)
	item := strings.Replace(observation("item", "hid", "71"), `"status"`, restricted+`"status"`, 1)
	w.relate(hospital, "hid", "carer")
	const jsonPatch, meta = "application/json-patch+json", `{"resourceType":"Parameters","parameter":[{"name":"meta","valueMeta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]}}]}`
	remove := `[{"op":"remove","path":"/meta/security"}]`
	done := 0
	for path, text := range map[string]string{"Patient/hid": person, "Observation/item": item} {
		typ, _, _ := strings.Cut(path, "/")
		for _, try := range []struct{ method, path, body, contentType string }{
			{"PUT", path, plain(text), "application/fhir+json"},
			{"PATCH", path, remove, jsonPatch},
			{"POST", path + "/$meta-delete", meta, "application/fhir+json"},
			{"PUT", typ + "?_id=" + strings.TrimPrefix(path, typ+"/"), plain(text), "application/fhir+json"},
			{"POST", "", bundle("transaction", entry("PUT", path, plain(text))), "application/fhir+json"},
			{"POST", "", bundle("transaction", entry("PATCH", path, binaryPatch(remove))), "application/fhir+json"},
		} {
			system.put(person)
			system.put(item)
			send := func(p access.Principal, reason string) int {
				headers := []string{"Content-Type", try.contentType}
				if reason != "" {
					headers = append(headers, "X-Reason", reason)
				}
				return w.as(p).at(hospital).do(try.method, try.path, try.body, headers...).status
			}
			what := try.method + " " + try.path + " " + path
			carer := principal(access.Clinician, "carer")
			for _, reason := range []string{"", "short"} {
				if got := send(carer, reason); got != 422 {
					t.Errorf("%s with the reason %q: %d", what, reason, got)
				}
			}
			if got := send(principal(access.Clinician, "colleague"), "It is their wish that it be seen."); got != 404 && (got != 412 && got != 201 || !strings.Contains(try.path, "?")) {
				t.Errorf("%s by whoever may not know: %d", what, got)
			}
			if alerts() != done {
				t.Errorf("%s: what was refused raised an alert", what)
			}
			if got := send(carer, "It is their wish that it be seen."); got != 200 {
				t.Errorf("%s: %d", what, got)
				continue
			}
			if done++; alerts() != done {
				t.Errorf("%s: %d alerts, want %d", what, alerts(), done)
			}
		}
	}
}
