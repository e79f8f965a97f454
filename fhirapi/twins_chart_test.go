package fhirapi_test

import (
	"fmt"
	"strings"
)

const herNumber = "9990000026"

// about her and about others: resources in the order in which they are written.

func hiddenChart() []string {
	list := []string{
		`{"resourceType":"Patient","id":"hid",` + restricted + `"identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"` + herNumber + `"},{"system":"urn:test","value":"her"}],` +
			`"active":true,"name":[{"family":"Quellmarsh","given":["Isolde"]}],"gender":"female","birthDate":"1951-05-05","telecom":[{"system":"phone","value":"07700900999"}],` +
			`"address":[{"city":"Quellford","postalCode":"QQ1 1QQ"}],"generalPractitioner":[{"reference":"Practitioner/dr"}],"managingOrganization":{"reference":"Organization/org"},` +
			`"link":[{"other":{"reference":"Patient/ann"},"type":"seealso"}],"communication":[{"language":{"text":"Quellish"}}]}`,
		strings.Replace(observation("hid-obs", "hid", "71"), `"status"`, `"meta":{"tag":[{"system":"urn:t","code":"hers"}],"profile":["urn:profile:hers"]},"performer":[{"reference":"Practitioner/dr"}],"encounter":{"reference":"Encounter/hid-enc"},"device":{"reference":"Device/dev"},"note":[{"text":"Quellnote"}],"text":{"status":"generated","div":"<div xmlns=\"http://www.w3.org/1999/xhtml\">Quelltext</div>"},"status"`, 1),
		`{"resourceType":"Condition","id":"hid-cond","subject":{"reference":"Patient/hid"},"code":{"coding":[{"system":"urn:hers","code":"rare"}],"text":"Quellitis"},"asserter":{"reference":"Practitioner/dr"},"encounter":{"reference":"Encounter/hid-enc"},"recordedDate":"2024-03-02"}`,
		`{"resourceType":"Encounter","id":"hid-enc","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/hid"},"serviceProvider":{"reference":"Organization/org"},"location":[{"location":{"reference":"Location/loc"}}],"participant":[{"individual":{"reference":"Practitioner/dr"}}],"period":{"start":"2024-03-01","end":"2024-03-02"}}`,
		`{"resourceType":"RelatedPerson","id":"hid-rel","patient":{"reference":"Patient/hid"},"name":[{"family":"Quellmarsh","given":["Tristan"]}],"telecom":[{"system":"phone","value":"07700900998"}]}`,
		`{"resourceType":"Provenance","id":"hid-prov","target":[{"reference":"Observation/hid-obs"}],"recorded":"2024-01-01T00:00:00Z","agent":[{"who":{"reference":"Practitioner/dr"}}]}`,
		`{"resourceType":"Binary","id":"hid-bin","contentType":"text/plain","data":"UXVlbGw=","securityContext":{"reference":"Patient/hid"}}`,
		`{"resourceType":"Appointment","id":"hid-two","status":"booked","start":"2024-05-01T10:00:00Z","end":"2024-05-01T10:30:00Z","slot":[{"reference":"Slot/slot"}],"participant":[{"actor":{"reference":"Patient/hid"},"status":"accepted"},{"actor":{"reference":"Patient/ann"},"status":"accepted"},{"actor":{"reference":"Practitioner/dr"},"status":"accepted"}]}`,
		`{"resourceType":"Appointment","id":"hid-app","status":"booked","start":"2024-05-02T10:00:00Z","end":"2024-05-02T10:30:00Z","participant":[{"actor":{"reference":"Patient/hid"},"status":"accepted"},{"actor":{"reference":"Location/loc"},"status":"accepted"}]}`,
		`{"resourceType":"Coverage","id":"hid-cov","status":"active","beneficiary":{"reference":"Patient/hid"},"payor":[{"reference":"Organization/org"}],"subscriberId":"QQ"}`,
		`{"resourceType":"DocumentReference","id":"hid-doc","status":"current","description":"Quelldocument","content":[{"attachment":{"url":"Binary/hid-bin"}}],"author":[{"reference":"Practitioner/dr"}]}`,
		`{"resourceType":"DocumentReference","id":"hid-filed","status":"current","subject":{"reference":"Patient/hid"},"content":[{"attachment":{"url":"Binary/hid-bin","title":"Quellfile"}}]}`,
		note("hid-unfiled", `,"subject":{"display":"Isolde Quellmarsh"}`, ""),
		note("hid-number", byNumber(herNumber), ""),
		note("hid-sealed", about("Patient/hid"), restricted),
		`{"resourceType":"MedicationRequest","id":"hid-med","status":"active","intent":"order","subject":{"reference":"Patient/hid"},"medicationReference":{"reference":"Medication/pill"},"requester":{"reference":"Practitioner/dr"}}`,
		`{"resourceType":"AllergyIntolerance","id":"hid-all","clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active"}]},"patient":{"reference":"Patient/hid"},"code":{"text":"Quellnuts"}}`,
		`{"resourceType":"Composition","id":"hid-comp","status":"final","type":{"text":"letter"},"subject":{"reference":"Patient/hid"},"date":"2024-03-01","author":[{"reference":"Practitioner/dr"}],"title":"Quellletter","section":[{"entry":[{"reference":"Observation/hid-obs"}]}]}`,
		`{"resourceType":"List","id":"hid-list","status":"current","mode":"working","subject":{"reference":"Patient/hid"},"entry":[{"item":{"reference":"Patient/hid"}},{"item":{"reference":"Observation/ann-obs"}}]}`,
		`{"resourceType":"Group","id":"hid-group","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/hid"}}]}`,
		`{"resourceType":"Group","id":"hid-both","type":"person","actual":true,"member":[{"entity":{"reference":"Patient/hid"}},{"entity":{"reference":"Patient/ann"}}]}`,
		`{"resourceType":"Person","id":"hid-person","name":[{"family":"Quellmarsh"}],"link":[{"target":{"reference":"Patient/hid"}}]}`,
		`{"resourceType":"Account","id":"hid-acc","status":"active","subject":[{"reference":"Patient/hid"},{"reference":"Patient/ann"}]}`,
		`{"resourceType":"Task","id":"hid-task","status":"requested","intent":"order","for":{"reference":"Patient/hid"},"focus":{"reference":"Observation/hid-obs"},"owner":{"reference":"Practitioner/dr"}}`,
		`{"resourceType":"DiagnosticReport","id":"hid-rep","status":"final","code":{"text":"report"},"subject":{"reference":"Patient/hid"},"result":[{"reference":"Observation/hid-obs"},{"reference":"Observation/ann-obs"}]}`,
		`{"resourceType":"Device","id":"hid-dev","patient":{"reference":"Patient/hid"},"serialNumber":"Q1"}`,
		`{"resourceType":"Communication","id":"hid-comm","status":"completed","subject":{"reference":"Patient/hid"},"sender":{"reference":"Practitioner/dr"}}`,
		`{"resourceType":"QuestionnaireResponse","id":"hid-quest","status":"completed","subject":{"reference":"Patient/hid"}}`,
	}
	for i := range 25 {
		list = append(list, observation(fmt.Sprint("hid-more-", i), "hid", fmt.Sprint(60+i)))
	}
	return list
}

// openChart is in both worlds. Some of it refers to her, as what was written by hand or sent from elsewhere may.
func openChart() []string {
	list := []string{
		`{"resourceType":"Organization","id":"org","name":"A ward"}`,
		`{"resourceType":"Practitioner","id":"dr","name":[{"family":"Healer"}],"identifier":[{"system":"urn:p","value":"7"}]}`,
		`{"resourceType":"Location","id":"loc","name":"Room"}`,
		`{"resourceType":"Medication","id":"pill","code":{"text":"pill"}}`,
		`{"resourceType":"Device","id":"dev","serialNumber":"D1"}`,
		`{"resourceType":"Schedule","id":"sched","actor":[{"reference":"Practitioner/dr"}]}`,
		`{"resourceType":"Slot","id":"slot","schedule":{"reference":"Schedule/sched"},"status":"busy","start":"2024-05-01T10:00:00Z","end":"2024-05-01T10:30:00Z"}`,
		`{"resourceType":"Patient","id":"ann","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000018"}],"name":[{"family":"Marsh","given":["Ann"]}],"gender":"female","birthDate":"1980-04-01","generalPractitioner":[{"reference":"Practitioner/dr"}],"link":[{"other":{"reference":"Patient/hid"},"type":"seealso"}]}`,
		`{"resourceType":"Patient","id":"ben","identifier":[{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"9990000042"}],"name":[{"family":"Marsh","given":["Ben"]}],"gender":"male","birthDate":"1951-05-05"}`,
		strings.Replace(observation("ann-obs", "ann", "70"), `"status"`, `"performer":[{"reference":"RelatedPerson/hid-rel"},{"reference":"Practitioner/dr"}],"derivedFrom":[{"reference":"Observation/hid-obs"}],"encounter":{"reference":"Encounter/hid-enc"},"device":{"reference":"Device/hid-dev"},"status"`, 1),
		observation("ben-obs", "ben", "75"),
		`{"resourceType":"Encounter","id":"ann-enc","status":"finished","class":{"code":"AMB"},"subject":{"reference":"Patient/ann"},"serviceProvider":{"reference":"Organization/org"},"partOf":{"reference":"Encounter/hid-enc"},"appointment":[{"reference":"Appointment/hid-two"}]}`,
		`{"resourceType":"Condition","id":"ann-cond","subject":{"reference":"Patient/ann"},"code":{"coding":[{"system":"urn:hers","code":"common"}]},"evidence":[{"detail":[{"reference":"Observation/hid-obs"}]}]}`,
		`{"resourceType":"MedicationRequest","id":"ann-med","status":"active","intent":"order","subject":{"reference":"Patient/ann"},"medicationReference":{"reference":"Medication/pill"}}`,
		`{"resourceType":"Appointment","id":"ann-app","status":"booked","start":"2024-05-03T10:00:00Z","end":"2024-05-03T10:30:00Z","participant":[{"actor":{"reference":"Patient/ann"},"status":"accepted"}]}`,
		`{"resourceType":"Task","id":"ann-task","status":"requested","intent":"order","for":{"reference":"Patient/ann"},"focus":{"reference":"Observation/hid-obs"}}`,
		`{"resourceType":"Group","id":"ward","type":"device","actual":true}`,
		`{"resourceType":"RelatedPerson","id":"ann-rel","patient":{"reference":"Patient/ann"},"name":[{"family":"Marsh"}]}`,
	}
	for i := range 25 {
		list = append(list, observation(fmt.Sprint("ann-more-", i), "ann", fmt.Sprint(60+i)))
	}
	return append(list, `{"resourceType":"Basic","id":"basic","code":{"text":"x"}}`)
}

// herIDs are her resources, as Type/id, and some that are in neither world.
func herIDs() []string {
	list := []string{"Patient/none", "Observation/none", "Binary/none", "Observation/hid-voided"}
	for _, text := range hiddenChart() {
		typ, rest, _ := strings.Cut(strings.TrimPrefix(text, `{"resourceType":"`), `","id":"`)
		id, _, _ := strings.Cut(rest, `"`)
		if !strings.HasPrefix(id, "hid-more") {
			list = append(list, typ+"/"+id)
		}
	}
	return list
}
