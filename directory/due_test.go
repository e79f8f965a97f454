package directory_test

import (
	"testing"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
)

// given a file in which one organisation leaves its commissioner and another closes on a day that lies ahead, then both hold until that day is over,
// then end by themselves, and the same file again changes nothing before and after; on both engines.
func TestAClosingDayThatLiesAheadIsHonoured(t *testing.T) {
	t.Parallel()
	onEach(t, func(t *testing.T, w *world) {
		for _, status := range []string{"A", "C"} {
			code := "Z9900" + status
			w.imports(line("1="+code, "12=20260630", "13="+status, "17=20260620"))
			if p := w.imports(line("1="+code, "12=20260630", "13="+status, "17=20260620")); len(p.Changes) != 0 {
				t.Errorf("again: %q", said(p))
			}
			w.stands(code, directory.Open, 2)
		}
		day := func(n int) { w.clock.Set(time.Date(2026, 6, n, 12, 0, 0, 0, time.UTC)) }
		day(20)
		w.closesDue()
		w.stands("Z9900A", directory.Open, 2)
		day(21)
		w.closesDue()
		w.stands("Z9900A", directory.Open, 0)
		day(30)
		w.closesDue()
		w.stands("Z9900A", directory.Open, 0)
		w.clock.Set(time.Date(2026, 7, 1, 0, 30, 0, 0, time.UTC))
		w.closesDue()
		for _, status := range []string{"A", "C"} {
			code := "Z9900" + status
			w.stands(code, directory.Closed, 0)
			if p := w.imports(line("1="+code, "12=20260630", "13="+status, "17=20260620")); len(p.Changes) != 0 {
				t.Errorf("after it closed: %q", said(p))
			}
		}
	})
}

// given a service, a place, an endpoint, a system and a post with a last day, then each is in use until it is over, and what else it says stays.
func TestWhatHasALastDayClosesAfterIt(t *testing.T) {
	t.Parallel()
	w := given(t)
	w.named("RZZ02")
	period := `"extension":[{"url":"https://openspine.example/fhir/StructureDefinition/directory-register","extension":[{"url":"period","valuePeriod":{"start":"2020-01-01","end":"2026-06-06"}}]}],`
	all := map[string]string{
		"HealthcareService": period + `"active":true,"name":"Fracture clinic","providedBy":{"reference":"Organization/RZZ02"}`,
		"Location":          period + `"status":"active","name":"Ward 3","managingOrganization":{"reference":"Organization/RZZ02"}`,
		"Device":            period + `"status":"active","identifier":[{"system":"https://fhir.nhs.uk/Id/nhsSpineASID","value":"918999199000"}],"owner":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"RZZ02"}}`,
		"Endpoint": `"status":"active","period":{"start":"2020-01-01","end":"2026-06-06"},"address":"https://rzz02.example","connectionType":{"system":"http://terminology.hl7.org/CodeSystem/endpoint-connection-type","code":"hl7-fhir-rest"},
			"payloadType":[{"text":"any"}],"managingOrganization":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"RZZ02"}}`,
		"PractitionerRole": `"active":true,"period":{"start":"2020-01-01","end":"2026-06-06"},"practitioner":{"reference":"Practitioner/ann"},"organization":{"reference":"Organization/RZZ02"}`,
	}
	for typ, rest := range all {
		res, err := fhir.Parse([]byte(`{"resourceType":"` + typ + `","id":"ends",` + rest + `}`))
		if err != nil {
			t.Fatal(err)
		}
		w.keep(res)
	}
	for typ := range all {
		if v := w.current(typ, "ends"); v.Ver != 1 {
			t.Errorf("%s was closed before its last day was over", typ)
		}
	}
	w.clock.Advance(48 * time.Hour)
	w.closesDue()
	for typ := range all {
		v := w.current(typ, "ends")
		state := v.Resource.Get("status").String() + v.Resource.Get("active").String()
		if v.Ver != 2 || state != map[string]string{"Endpoint": "off", "HealthcareService": "false", "PractitionerRole": "false"}[typ] && state != "inactive" || v.Reason == "" {
			t.Errorf("%s: version %d, %s, %q", typ, v.Ver, state, v.Reason)
		}
	}
	w.closesDue()
	if v := w.current("Device", "ends"); v.Ver != 2 {
		t.Errorf("closed again: version %d", v.Ver)
	}
}

// stands checks an organisation's state and how many relationships it has now.
func (w *world) stands(code string, state directory.State, relations int) {
	w.t.Helper()
	o, err := w.d.Organisation(w.t.Context(), ident.MustODSCode(code))
	if err != nil {
		w.t.Fatal(err)
	}
	from, _, err := w.d.Relationships(w.t.Context(), o.Code)
	if err != nil {
		w.t.Fatal(err)
	}
	active := 0
	for _, r := range from {
		if r.Active {
			active++
		}
	}
	if o.State != state || o.Has("RO177") != (state == directory.Open) || active != relations {
		w.t.Errorf("%s on %s is %s with %d relationships and roles %v, want %s and %d", code, w.clock.Now().Format(time.DateOnly), o.State, active, o.Roles, state, relations)
	}
}

// closesDue runs the job of the last days.
func (w *world) closesDue() {
	w.t.Helper()
	for _, j := range w.d.Service().Jobs {
		if err := j.Run(w.t.Context()); err != nil {
			w.t.Fatal(err)
		}
	}
}

// current is how a resource stands.
func (w *world) current(typ, id string) record.Version {
	w.t.Helper()
	k := w.n.Kernel()
	grants, err := k.Gate.DecideAll(w.t.Context(), access.Service("test", k.National), []access.Act{{Action: access.Read, Place: access.Place{Tenant: k.National, Type: typ}}})
	if err != nil {
		w.t.Fatal(err)
	}
	v, err := k.Records.Read(w.t.Context(), grants[0], record.Ref{Tenant: k.National, Type: typ, ID: id})
	if err != nil {
		w.t.Fatal(err)
	}
	return v
}
