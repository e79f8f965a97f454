package fhirapi_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/spectest"
)

// "$validate": "checks whether the attached content would be acceptable either generally, as a create, an update or as a delete".
func TestValidate(t *testing.T) {
	c := newWorld(t, setting{}).system()
	c.put(patient("1", "Smith"))
	wrapped := func(mode, profile, resource string) string {
		s := `{"resourceType":"Parameters","parameter":[`
		if mode != "" {
			s += `{"name":"mode","valueCode":"` + mode + `"},`
		}
		if profile != "" {
			s += `{"name":"profile","valueUri":"` + profile + `"},`
		}
		if resource != "" {
			s += `{"name":"resource","resource":` + resource + `},`
		}
		return strings.TrimSuffix(s, ",") + `]}`
	}
	fine := `{"resourceType":"Patient","id":"1","gender":"male"}`
	wrong := `{"resourceType":"Patient","id":"1","gender":"mauve","birthDate":"2024-02-31","shoes":2}`
	for _, ask := range []struct{ path, body, severity string }{
		{"Patient/$validate", fine, "information"},
		{"Patient/$validate", wrong, "error"},
		{"Patient/$validate?mode=create", fine, "information"},
		{"Patient/$validate", wrapped("create", "", fine), "information"},
		{"Patient/$validate", wrapped("", "http://hl7.org/fhir/StructureDefinition/Patient", fine), "information"},
		{"Patient/$validate", wrapped("", "http://example.org/mine", fine), "error"},
		{"Patient/1/$validate", wrapped("update", "", fine), "information"},
		{"Patient/2/$validate", wrapped("update", "", fine), "error"},
		{"Observation/$validate", fine, "error"},
		{"Patient/1/$validate?mode=delete", "", "information"},
		{"Patient/1/$validate", wrapped("delete", "", ""), "information"},
		{"Patient/1/$validate", "", "information"},
		{"AuditEvent/$validate", wrapped("create", "", `{"resourceType":"AuditEvent"}`), "error"},
	} {
		a := c.do("POST", ask.path, ask.body).wants(200).is("resourceType", "OperationOutcome")
		if failed := strings.Contains(a.body, `"severity":"error"`); failed != (ask.severity == "error") {
			t.Errorf("%s %s: %s", ask.path, ask.body, a.body)
		}
	}
	if n := c.do("POST", "Patient/$validate", wrong).resource().Get("issue").Len(); n < 3 {
		t.Errorf("only %d things are wrong", n)
	}
	c.get("Patient/1/$validate").wants(200)
	c.do("POST", "Patient/$validate", wrapped("nonsense", "", fine)).wants(400)
	c.do("POST", "Patient/$validate", wrapped("delete", "", "")).wants(400)
	c.do("POST", "Patient/$validate", "").wants(400)
	c.do("POST", "Patient/$validate", `{"resourceType":`).wants(400)
	c.do("POST", "Nonsense/$validate", fine).wants(404)
	c.do("POST", "Patient/none/$validate?mode=delete", "").wants(404)
	c.get("Patient/1").wants(200).is("meta.versionId", "1")
}

// A package's profiles are named in the capability statement, and $validate holds to them: those that are named, and those that
// the content claims.
func TestValidateProfile(t *testing.T) {
	dir := t.TempDir()
	err := os.WriteFile(filepath.Join(dir, "named.json"), []byte(`{"resourceType":"StructureDefinition","url":"http://example.org/Named","name":"Named","kind":"resource","type":"Patient",
		"derivation":"constraint","baseDefinition":"http://hl7.org/fhir/StructureDefinition/Patient","differential":{"element":[{"id":"Patient.name","path":"Patient.name","min":1}]}}`), 0o600)
	if err != nil {
		t.Fatal(err)
	}
	w := newWorld(t, setting{packages: []string{dir}})
	c := w.system().at(hospital)
	for res := range c.get("metadata").wants(200).resource().Get("rest.0.resource").Items() {
		if got := res.Get("supportedProfile.0").String(); (res.Field("type").String() == "Patient") != (got == "http://example.org/Named") {
			t.Errorf("%s is told to support %q", res.Field("type").String(), got)
		}
		if said := strings.Contains(res.Get("documentation").String(), "by systems of the organisation that keeps the record alone"); res.Field("type").String() != "AuditEvent" && said == access.Shared(res.Field("type").String()) {
			t.Errorf("%s: who chooses its ids is said: %t", res.Field("type").String(), said)
		}
	}
	fine, bad := `{"resourceType":"Patient","id":"1","name":[{"text":"A"}]}`, `{"resourceType":"Patient","id":"1","active":true}`
	claims := strings.Replace(bad, `"active"`, `"meta":{"profile":["http://example.org/Named"]},"active"`, 1)
	unheard := strings.Replace(bad, `"active"`, `"meta":{"profile":["http://example.org/Unheard"]},"active"`, 1)
	for _, ask := range []struct{ path, body, code string }{
		{"Patient/$validate?profile=http://example.org/Named", fine, ""},
		{"Patient/$validate?profile=http://example.org/Named|1.0", bad, "required"},
		{"Patient/$validate?mode=profile&profile=http://example.org/Named", bad, "required"},
		{"Patient/$validate?mode=profile", fine, "required"},
		{"Patient/$validate?profile=http://example.org/Unheard", fine, "not-supported"},
		{"Patient/$validate", claims, "required"},
		{"Patient/$validate", unheard, "not-supported"},
		{"Patient/$validate?mode=create", claims, "required"},
		{"Patient/1/$validate?mode=update", fine, ""},
	} {
		says(c.do("POST", ask.path, ask.body), ask.code)
	}
	// What is claimed is not asked of a write: only R4 itself is.
	c.put(claims)
	says(c.get("Patient/1/$validate"), "required")
	// Who may not write it is told so, once nothing else is wrong.
	auditor := w.as(principal(access.Auditor, "auditor")).at(hospital)
	says(auditor.do("POST", "Organization/$validate?mode=create", `{"resourceType":"Organization","name":"x"}`), "forbidden")
	says(auditor.do("POST", "Organization/$validate", `{"resourceType":"Organization","name":"x"}`), "")
}

// says looks for an issue with a code among what is wrong (or not known), or, without one, for nothing wrong.
func says(a *answer, code string) {
	a.t.Helper()
	a.wants(200)
	if code == "" && strings.Contains(a.body, `"severity":"error"`) || code != "" && !strings.Contains(a.body, `"code":"`+code+`"`) {
		a.t.Errorf("%s does not say %q: %s", a.what, code, a.body)
	}
}

// UK Core, as it is published, is such a package.
func TestUKCoreIsAPackage(t *testing.T) {
	dir := spectest.Dir(t, "ukcore")
	c := newWorld(t, setting{packages: []string{dir}}).system()
	const profile = "https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient"
	if a := c.get("metadata").wants(200); !strings.Contains(a.body, `"supportedProfile":["`+profile+`"]`) {
		t.Error("UK Core's Patient is not among the profiles")
	}
	one := `{"resourceType":"Patient","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number"}],"extension":[{"url":"https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-EthnicCategory","valueString":"x"}]}`
	a := c.do("POST", "Patient/$validate?profile="+profile, one).wants(200)
	for _, want := range []string{"Patient.identifier[0].value", "Patient.extension[0].value"} {
		if !strings.Contains(a.body, `"`+want+`"`) {
			t.Errorf("nothing is said of %s: %s", want, a.body)
		}
	}
}
