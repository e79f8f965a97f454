package events_test

import (
	"fmt"
	"testing"

	"github.com/openspine/openspine/ident"
)

// Each change of a hospital stay is told to the hospital, to the practice of whoever is there, and to the nation; of what the hospital hides nobody is told.
func TestAnAdmissionIsTold(t *testing.T) {
	each(t, func(t *testing.T, w *world) {
		const number, kind = "9990000018", "eventType='encounter-change-1'"
		w.load(person(number, "Marsh", practice("R69")))
		w.system().subscribe(kind, "/theirs", "application/json")
		w.system().subscribe(kind+" AND encounterstatus='finished' AND performingOrganisationODS='RZ901'", "/discharged", "application/json")
		w.as(program("surgery", surgery)).subscribe(kind+" AND encounterclass='IMP' AND registeredgpodscode='R69'", "/practice", "application/json")
		w.registrar().subscribe(kind, "/nation", "application/json")
		w.as(program("other", ident.MustODSCode("RZ902"))).subscribe(kind, "/stranger", "application/json")
		narrow := program("narrow", surgery)
		narrow.Scopes = []string{"system/Patient.read"}
		w.as(narrow).subscribe(kind, "/narrow", "application/json")

		ward := w.fhirClient("ward", "system/Patient.*", "system/Patient.read", "system/Patient.write", "system/Encounter.*", "system/Encounter.read", "system/Encounter.write")
		encounter := func(id, patient, class, status, more string) {
			ward.put(fmt.Sprintf(`{"resourceType":"Encounter","id":%q,"status":%q,"class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":%q},"subject":{"reference":"Patient/%s"}%s}`, id, status, class, patient, more), "/Encounter/"+id)
			w.settle()
			w.job("admissions")
			w.turn()
			w.settle()
		}
		ward.put(`{"resourceType":"Patient","id":"ann","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"`+number+`"}],"name":[{"family":"Marsh"}]}`, "/Patient/ann")
		ward.put(`{"resourceType":"Patient","id":"nobody","name":[{"family":"Unknown"}]}`, "/Patient/nobody")
		encounter("e1", "ann", "IMP", "in-progress", "")
		for _, one := range w.there.calls() {
			want := `"dataref":"` + w.srv.URL + `/o/RZ901/FHIR/R4/Encounter/e1","subject":"` + number + `","versionid":"W/\"1\""}`
			if len(one.body) < len(want) || one.body[len(one.body)-len(want):] != want {
				t.Errorf("%s is told %s", one.path, one.body)
			}
		}
		encounter("e1", "ann", "IMP", "onleave", "")
		w.wantTold("on leave", "POST /nation", "POST /practice", "POST /theirs")
		encounter("e1", "ann", "IMP", "finished", "")
		w.wantTold("discharged", "POST /discharged", "POST /nation", "POST /practice", "POST /theirs")
		encounter("e2", "ann", "AMB", "in-progress", "")
		w.wantTold("an outpatient, which is a visit")
		encounter("e3", "nobody", "IMP", "in-progress", "")
		w.wantTold("somebody whose number is not known")
		encounter("e4", "ann", "IMP", "in-progress", `,"meta":{"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"R"}]}`)
		w.wantTold("a stay that is hidden")
		encounter("e5", "ann", "EMER", "in-progress", "")
		w.wantTold("an emergency", "POST /nation", "POST /theirs")
	})
}
