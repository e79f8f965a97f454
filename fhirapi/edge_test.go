package fhirapi_test

import (
	"net/http"
	"slices"
	"strings"
	"testing"
)

// Addresses: a slash at the end means nothing, what is encoded stays inside its part, and nothing leads out of a tenant.
func TestAddresses(t *testing.T) {
	w := newWorld(t, setting{})
	national := w.system()
	national.put(patient("1", "National"))
	national.at(hospital).put(patient("1", "Hospital"))
	for _, c := range []*caller{national, national.at(hospital)} {
		family := "National"
		if strings.Contains(c.url, "/o/") {
			family = "Hospital"
		}
		for path, want := range map[string]int{
			"Patient/1": 200, "Patient/1/": 200, "Patient/": 200, "Patient": 200, "": 200, "/": 404, "Patient/%31": 200, "%50atient/1": 200,
			"Patient//1": 404, "/Patient/1": 404, "Patient/./1": 404, "Patient/x/../1": 404, "Patient/..%2F..%2FX26": 404, "Patient/1%2F_history": 404,
			"Patient/1/_history/": 200, "Patient/1/_history/1/": 200, "Patient/1/_history/1/2": 404, "Patient/%00": 404, "Patient/%0d%0aX-Evil:%201": 404,
			"Patient/1%20": 404, "Patient/" + strings.Repeat("a", 65): 404, "Patient/" + strings.Repeat("a", 4000): 404, "Patient/$nonsense": 404, "$nonsense": 404,
			"Patient/1/$nonsense": 404, "Observation/$everything": 404, "patient/1": 404, "Patient/é": 404, "Patient/1;x=y": 404, "metadata/": 200,
		} {
			a := c.get(path)
			if a.status != want {
				t.Errorf("%s/%s: %d, want %d: %.200s", c.url, path, a.status, want, a.body)
			}
			if a.status >= 400 {
				a.wants(a.status)
			}
			if strings.HasPrefix(path, "Patient/1") && a.status == 200 && !strings.Contains(a.body, family) {
				t.Errorf("%s/%s answers from another tenant: %.200s", c.url, path, a.body)
			}
			if a.header.Get("X-Evil") != "" {
				t.Errorf("%s made a header", path)
			}
		}
	}
	for _, root := range []string{"/o/NOBODY/FHIR/R4", "/o/x/FHIR/R4", "/o//FHIR/R4", "/FHIR/R5", "/FHIR"} {
		c := *national
		c.url = w.url + root
		c.get("Patient/1").wants(404)
	}
}

// Methods: HEAD is GET without the body; what is not possible says what is; no other site's scripts are let in.
func TestMethods(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("1", "Smith"))
	for _, path := range []string{"Patient/1", "Patient?family=Smith", "metadata", "Patient/1/_history"} {
		get := c.get(path).wants(200)
		head := c.do("HEAD", path, nil)
		if head.status != 200 || head.body != "" || head.header.Get("Content-Type") != get.header.Get("Content-Type") {
			t.Errorf("HEAD %s: %d %v %q", path, head.status, head.header, head.body)
		}
	}
	if h := c.do("HEAD", "Patient/none", nil); h.status != 404 || h.body != "" {
		t.Errorf("HEAD of nothing: %d %q", h.status, h.body)
	}
	for path, allow := range map[string]string{"Patient/1": "GET, PUT, PATCH, DELETE", "Patient": "GET, POST, PUT, PATCH, DELETE", "metadata": "GET", "Patient/1/_history": "GET"} {
		for _, method := range []string{"OPTIONS", "BREW", "TRACE"} {
			a := c.do(method, path, nil).wants(405)
			got := strings.Split(a.header.Get("Allow"), ", ")
			for _, m := range strings.Split(allow, ", ") {
				if !slices.Contains(got, m) {
					t.Errorf("%s %s: Allow is %q", method, path, got)
				}
			}
			for name := range a.header {
				if strings.HasPrefix(name, "Access-Control") {
					t.Errorf("%s %s answered %s", method, path, name)
				}
			}
		}
	}
	c.do("OPTIONS", "Patient/1", nil, "Origin", "https://elsewhere.example", "Access-Control-Request-Method", "PUT").wants(405)
	c.do("PUT", "Patient/1", patient("1", "Evil"), "Origin", "https://elsewhere.example", "Sec-Fetch-Site", "cross-site").wants(403)
	a := c.get("Patient/1", "Origin", "https://elsewhere.example").wants(200).is("name.0.family", "Smith")
	if a.header.Get("Access-Control-Allow-Origin") != "" || a.header.Get("Cache-Control") != "no-store" || a.header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("headers %v", a.header)
	}
}

// Headers of the request never come back as they are.
func TestHeaders(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("1", "Smith"))
	const id = "6f1e9a53-0b3f-4f0e-9d8a-0b8f6f1e9a53"
	c.get("Patient/1", "X-Request-ID", id).wants(200).has("X-Request-Id", id)
	if got := c.get("Patient/1", "X-Request-ID", "<script>").wants(200).header.Get("X-Request-Id"); strings.Contains(got, "script") || got == "" {
		t.Errorf("X-Request-ID is %q", got)
	}
	c.get("Patient/1", "X-Correlation-ID", "mine-1").wants(200).has("X-Correlation-Id", "mine-1")
	long := strings.Repeat("x", 200)
	c.get("Patient/1", "X-Correlation-ID", long).wants(200).has("X-Correlation-Id", "")
	c.do("DELETE", "Patient/1", nil, "X-Reason", strings.Repeat("é", 2000)).wants(204)
	if a, err := c.try("GET", "Patient/1", nil, "Cookie", strings.Repeat("x", 1<<21)); err == nil && a.status != http.StatusRequestHeaderFieldsTooLarge {
		t.Errorf("two megabytes of header: %d", a.status)
	}
}
