package directory_test

import (
	"strings"
	"testing"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fhir"
)

// practises registers somebody under a code of the register of prescribers, with a GMC number, at an organisation.
func (w *world) practises(code, at, role string) {
	w.t.Helper()
	for _, text := range []string{
		`{"resourceType":"Practitioner","id":"` + code + `","active":true,"identifier":[{"system":"https://digital.nhs.uk/services/organisation-data-service/CodeSystem/practitioner","value":"` + code + `"},
			{"system":"https://fhir.hl7.org.uk/Id/gmc-number","value":"C1234567","period":{"start":"2001-08-01"},"assigner":{"display":"GENERAL MEDICAL COUNCIL","identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"8GX12"}}}],
			"name":[{"family":"ABLE","given":["ANNE"]}]}`,
		`{"resourceType":"PractitionerRole","id":"` + code + `-1","active":true,"period":{"start":"2010-04-01"},"practitioner":{"reference":"Practitioner/` + code + `"},
			"organization":{"reference":"Organization/` + at + `"},"code":[{"coding":[{"system":"https://digital.nhs.uk/services/organisation-data-service/CodeSystem/practitioner-role","code":"` + role + `"},
			{"system":"` + directory.SystemJobRole + `","code":"S0010:G0020:R0260"}]}]}`,
	} {
		res, err := fhir.Parse([]byte(text))
		if err != nil {
			w.t.Fatal(err)
		}
		w.keep(res)
	}
}

// given prescribers with codes of several authorities, then the four published code systems about them say so, on both engines.
func TestPractitionersAreCodeSystems(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		w.named("G81086", "RH8")
		w.practises("G7112418", "G81086", "PGP1")
		w.practises("D1234567", "RH8", "PDENTCON")
		const base = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/"
		for _, c := range []struct {
			system, code string
			says         []string
		}{
			{"practitioner", "G7112418", []string{"ABLE, A", `"type"`, `"PGP"`, `"PGP1"`, `"ME1"`, `"G81086"`, `"2"`, "C1234567"}},
			{"practitioner", "D1234567", []string{`"PDENTCON"`, `"ME4"`, `"RH8"`}},
			{"practitioner-additional-attribute", "G7112418-2", []string{"GENERAL MEDICAL COUNCIL", "8GX12", "2001-08-01", "C1234567"}},
			{"practitioner-relationship-instance", "G7112418-1", []string{`"G7112418"`, "2010-04-01", `"ME1"`, "S0010:G0020:R0260"}},
			{"practitioner-role", "PHOSPCON120", []string{"Ear Nose and Throat"}},
		} {
			got := w.get(odt + "/CodeSystem/$lookup?property=*&system=" + base + c.system + "&code=" + c.code)
			for _, s := range c.says {
				if got.status != 200 || !strings.Contains(got.body, s) {
					t.Errorf("%s %s: %d, no %s in %s", c.system, c.code, got.status, s, got.body)
				}
			}
		}
		for filter, want := range map[string]string{
			`{"property":"ME1","op":"=","value":"G81086"}`:    "G7112418",
			`{"property":"type","op":"=","value":"PDENTCON"}`: "D1234567",
			`{"property":"2","op":"in","value":"C1234567"}`:   "D1234567 G7112418",
			`{"property":"status","op":"=","value":"active"}`: "D1234567 G7112418",
		} {
			if got := w.expanded(base+"practitioner", filter); got != want {
				t.Errorf("%s: %s, want %s", filter, got, want)
			}
		}
		if directory.JobRoleName("S9999:G9999:R0620") != "Staff Nurse" || directory.JobRoleName("R8000") != "Clinical Practitioner Access Role" || directory.JobRoleName("R9999x") != "" || directory.JobRoleName("") != "" {
			t.Error("job roles by their last part")
		}
	})
}

// given no postcode file, then the postcode code system is that of the organisations; given one, then it is the file, whole.
func TestPostcodesAreACodeSystem(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		const any = `{"property":"code","op":"in","value":"LS2 9JT,TS18 1HU,NE1 4LP,LS1 4DZ"}`
		const system = "https://digital.nhs.uk/services/organisation-data-service/CodeSystem/postcode"
		w.imports(line("10=TS18 1HU"), line("1=Z99002", "10=LS1 4DZ"))
		if got := w.expanded(system, `{"property":"NHSER","op":"=","value":"Y63"}`); got != "LS1 4DZ TS18 1HU" {
			t.Errorf("of the organisations: %s", got)
		}
		load := func(text string) (int, int, error) { return w.d.LoadPostcodes(t.Context(), strings.NewReader(text)) }
		if n, skipped, err := load("pcds,lat,long,oslaua,lsoa11,icb\r\nTS18 1HU,54.561,-1.313,E06000004,E01012273,QHM\r\nTS18 1HU,54.561,-1.313,E06000004,E01012273,QHM\r\nLS2 9JT,53.81,-1.55,E08000035,,QWO\r\n"); err != nil || n != 2 || skipped != 0 {
			t.Fatalf("%d outward codes, %d skipped: %v", n, skipped, err)
		}
		if got := w.expanded(system, `{"property":"ICB","op":"in","value":"QHM,QWO"}`); got != "LS2 9JT TS18 1HU" {
			t.Errorf("of the file: %s", got)
		}
		if got := w.get(odt + "/CodeSystem/$lookup?property=*&system=" + system + "&code=ts181hu"); got.status != 200 || !strings.Contains(got.body, "E01012273") || !strings.Contains(got.body, "TS18 1HU") {
			t.Errorf("a postcode: %d %s", got.status, got.body)
		}
		if got := w.get(odt + "/CodeSystem/$lookup?property=*&system=https://fhir.nhs.uk/Id/ods-organization-code&code=Z99001"); !strings.Contains(got.body, "E01012273") || strings.Count(got.body, `"NHSER"`) != 1 {
			t.Errorf("an organisation lies where its postcode does: %s", got.body)
		}
		// A file that turns out to be none leaves what was loaded; one that is loaded takes its place.
		if _, _, err := load("pcds,lat,long\r\nnonsense,1,2\r\n"); err == nil {
			t.Error("a file without a postcode was loaded")
		}
		if got := w.expanded(system, any); got != "LS2 9JT TS18 1HU" {
			t.Errorf("after a bad file: %s", got)
		}
		if _, _, err := load("postcode,latitude,longitude\nNE1 4LP,54.97,-1.61\n"); err != nil {
			t.Fatal(err)
		}
		if got := w.expanded(system, any); got != "NE1 4LP" {
			t.Errorf("after another file: %s", got)
		}
	})
}
