package bars_test

import (
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestTheCatalogueIsRead finds services and their endpoints by what is published, and shows a private address to its owner alone.
func TestTheCatalogueIsRead(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	w.load(`{"resourceType":"Endpoint","id":"shut","identifier":[{"system":"https://x.example","value":"p"}],"status":"active","connectionType":{"code":"hl7-fhir-msg"},"payloadType":[{"coding":[{"code":"bars"}]}],"header":["private"],
		"managingOrganization":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R68"}},"address":"https://secret.example"}`, elsewhere("3000000009", "shut", "gone"))
	w.time.Advance(2 * time.Second) // a search shows what was there a moment before
	p, owner := w.program(practice).but("NHSD-Target-Identifier", "", "NHSD-Requesting-Software", "", "Accept", "application/fhir+json"), w.program(hospital)
	for path, want := range map[string]int{
		"/HealthcareService?HealthcareService.identifier=https://fhir.nhs.uk/Id/dos-service-id|111111111":                                       1,
		"/HealthcareService?HealthcareService.identifier=http://fhir.nhs.uk/Id/dos-service-id|" + clinic:                                        1,
		"/HealthcareService?HealthcareService.identifier=https://fhir.nhs.uk/Id/dos-service-id|" + clinic + "&HealthcareService.providedBy=R69": 0,
		"/HealthcareService?HealthcareService.providedBy=https://fhir.nhs.uk/Id/ods-organization-code|R68":                                      2,
		"/HealthcareService?HealthcareService.providedBy=https://fhir.nhs.uk/Id/ods-organization-code|R69":                                      0,
		"/Endpoint?_has:HealthcareService.Id=3000000009":                                                                                        1,
		"/Endpoint?_has:HealthcareService.Identifier=https://fhir.nhs.uk/Id/dos-service-id|3000000009":                                          1,
		"/Endpoint?_has:HealthcareService.Identifier=https://fhir.nhs.uk/Id/dos-service-id|" + clinic:                                           0,
		"/Endpoint?Endpoint.identifier=https://x.example|p":                                                                                     1,
		"/Endpoint?_has:HealthcareService.Id=3000000009&Endpoint.identifier=https://x.example|q":                                                0,
	} {
		if a := p.get(path); a.status != http.StatusOK || a.json["total"] != float64(want) || strings.Contains(a.body, "secret") {
			t.Errorf("%s: %d, want %d of them: %s", path, a.status, want, a.body)
		}
	}
	if a := owner.get("/Endpoint/shut"); a.status != http.StatusOK || !strings.Contains(a.body, "https://secret.example") {
		t.Errorf("its owner: %d %s", a.status, a.body)
	}
	if a := p.get("/Endpoint/shut"); a.status != http.StatusOK || strings.Contains(a.body, "secret") {
		t.Errorf("somebody else: %d %s", a.status, a.body)
	}
}

// TestWhatTheCatalogueRefuses: searches that are none, and requests without their headers.
func TestWhatTheCatalogueRefuses(t *testing.T) {
	t.Parallel()
	w := newWorld(t)
	p := w.program(practice)
	id := "/91607239-b002-470a-8709-6b25bd50fdd1"
	for path, code := range map[string]string{"/HealthcareService": "BAD_REQUEST required", "/Endpoint": "BAD_REQUEST required", "/HealthcareService?name=x": "BAD_REQUEST invalid", "/Endpoint?_has:HealthcareService.Id=a&_has:HealthcareService.Id=b": "BAD_REQUEST invalid",
		"/HealthcareService" + id: "NOT_FOUND not-found", "/Endpoint" + id: "NOT_FOUND not-found", "/Endpoint?_has:HealthcareService.Id=none": "NOT_FOUND not-found"} {
		if a := p.get(path); a.code() != code {
			t.Errorf("%s: %d %s", path, a.status, a.body)
		}
		if a := p.but("NHSD-End-User-Organisation", "").get(path); a.code() != "SEND_BAD_REQUEST required" {
			t.Errorf("%s for no organisation: %d %s", path, a.status, a.body)
		}
		if a := p.but("X-Correlation-Id", "1").get(path); a.code() != "SEND_BAD_REQUEST value" {
			t.Errorf("%s with an id that is none: %d %s", path, a.status, a.body)
		}
	}
}
