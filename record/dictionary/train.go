//go:build ignore

// Train writes the compression dictionary of stored bodies from made-up resources in the shapes that UK Core,
// PDS and HL7's R4 resources have. A dictionary once used is never changed: a better one gets the next number.
//
//	go run train.go -out 1.dict -id 1
package main

import (
	"encoding/json"
	"flag"
	"fmt"
	"log"
	"math/rand"
	"os"

	"github.com/klauspost/compress/dict"
	"github.com/klauspost/compress/zstd"
)

func main() {
	out := flag.String("out", "1.dict", "file to write")
	id := flag.Uint("id", 1, "number of the dictionary, 1 to 255")
	flag.Parse()
	rng := rand.New(rand.NewSource(int64(*id)))
	var samples [][]byte
	for i := 0; i < 6000; i++ {
		samples = append(samples, sample(rng, i))
	}
	built, err := dict.BuildZstdDict(samples, dict.Options{
		MaxDictSize: 48 << 10, HashBytes: 6, ZstdDictID: uint32(*id), ZstdLevel: zstd.SpeedBetterCompression, ZstdDictCompat: true,
	})
	if err != nil {
		log.Fatal(err)
	}
	if err := os.WriteFile(*out, built, 0o644); err != nil {
		log.Fatal(err)
	}
	fmt.Println(len(built), "bytes from", len(samples), "samples")
}

// sample is one ordered JSON text; weights follow what a chart mostly holds.
func sample(rng *rand.Rand, i int) []byte {
	p := &person{rng: rng, id: fmt.Sprintf("999%07d", rng.Intn(10000000))}
	kinds := []func(*person) string{
		patient, patient, patient, observation, observation, observation, observation, condition, encounter,
		medicationRequest, immunization, allergy, diagnosticReport, organization, practitioner, practitionerRole,
		procedure, serviceRequest, appointment, location, documentReference, relatedPerson, coverage, task,
	}
	text := kinds[i%len(kinds)](p)
	if !json.Valid([]byte(text)) {
		log.Fatalf("not JSON: %s", text)
	}
	return []byte(text)
}

type person struct {
	rng *rand.Rand
	id  string
}

func (p *person) of(words ...string) string { return words[p.rng.Intn(len(words))] }
func (p *person) n(lo, hi int) int          { return lo + p.rng.Intn(hi-lo) }
func (p *person) day() string {
	return fmt.Sprintf("%d-%02d-%02d", p.n(1930, 2027), p.n(1, 13), p.n(1, 29))
}
func (p *person) instant() string {
	return fmt.Sprintf("%sT%02d:%02d:%02d+00:00", p.day(), p.n(0, 24), p.n(0, 60), p.n(0, 60))
}
func (p *person) family() string {
	return p.of("Smith", "Jones", "Taylor", "Brown", "Williams", "Patel", "Khan", "O'Connor", "Evans", "Begum", "Davies", "Hughes")
}
func (p *person) given() string {
	return p.of("Olivia", "Amelia", "George", "Noah", "Muhammad", "Jane", "Marie", "Zoë", "Aisha", "William", "Thomas", "Harry")
}
func (p *person) uuid() string {
	return fmt.Sprintf("%08x-%04x-4%03x-8%03x-%012x", p.rng.Uint32(), p.n(0, 65536), p.n(0, 4096), p.n(0, 4096), p.rng.Int63n(1<<48))
}
func (p *person) subject() string {
	return fmt.Sprintf(`"subject":{"reference":"Patient/%s","display":"%s %s"}`, p.id, p.given(), p.family())
}
func (p *person) coding(system, code, display string) string {
	return fmt.Sprintf(`{"coding":[{"system":"%s","code":"%s","display":"%s"}],"text":"%s"}`, system, code, display, display)
}
func (p *person) snomed(display string) string {
	return p.coding("http://snomed.info/sct", fmt.Sprint(p.n(1000000, 999999999)), display)
}

func patient(p *person) string {
	return fmt.Sprintf(`{"resourceType":"Patient","id":"%s","meta":{"versionId":"1","lastUpdated":"%s","profile":["https://fhir.hl7.org.uk/StructureDefinition/UKCore-Patient"],"security":[{"system":"http://terminology.hl7.org/CodeSystem/v3-Confidentiality","code":"%s","display":"%s"}]},`+
		`"identifier":[{"extension":[{"url":"https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NHSNumberVerificationStatus","valueCodeableConcept":{"coding":[{"system":"https://fhir.hl7.org.uk/CodeSystem/UKCore-NHSNumberVerificationStatus","version":"1.0.0","code":"01","display":"Number present and verified"}]}}],"use":"official","system":"https://fhir.nhs.uk/Id/nhs-number","value":"%s"}],"active":true,`+
		`"name":[{"id":"%d","use":"usual","family":"%s","given":["%s"],"prefix":["%s"],"period":{"start":"%s","end":"%s"}}],"telecom":[{"id":"%d","period":{"start":"%s"},"system":"phone","value":"0%d","use":"home"},{"system":"email","value":"%s.%s@example.com"}],"gender":"%s","birthDate":"%s",`+
		`"address":[{"id":"%d","period":{"start":"%s","end":"%s"},"use":"home","line":["%d %s","%s"],"city":"%s","district":"West Yorkshire","postalCode":"LS%d %dAB","country":"GBR","extension":[{"url":"https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-AddressKey","extension":[{"url":"type","valueCoding":{"system":"https://fhir.hl7.org.uk/CodeSystem/UKCore-AddressKeyType","code":"PAF"}},{"url":"value","valueString":"%d"}]}]}],`+
		`"generalPractitioner":[{"id":"254406A3","type":"Organization","identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"Y%d","period":{"start":"%s"}}}],"managingOrganization":{"reference":"Organization/%s","identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"Y12345"}},"multipleBirthInteger":1,"maritalStatus":%s,"communication":[{"language":{"coding":[{"system":"https://fhir.hl7.org.uk/CodeSystem/UKCore-HumanLanguage","code":"en","display":"English"}]},"preferred":true}],"deceasedDateTime":"%s",`+
		`"extension":[{"url":"https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-NominatedPharmacy","valueReference":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"Y%d"}}},{"url":"https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-EthnicCategory","valueCodeableConcept":%s}]}`,
		p.id, p.instant(), p.of("U", "R"), p.of("unrestricted", "restricted"), p.id, p.n(100, 999), p.family(), p.given(), p.of("Mr", "Mrs", "Ms", "Dr"), p.day(), p.day(), p.n(100, 999), p.day(), p.n(1000000000, 1999999999), p.given(), p.family(),
		p.of("male", "female", "other", "unknown"), p.day(), p.n(100, 999), p.day(), p.day(), p.n(1, 200), p.of("High Street", "Station Road", "Church Lane", "Victoria Road"), p.of("Headingley", "Horsforth", "Morley"), p.of("Leeds", "Bradford", "York", "Manchester", "London", "Birmingham"), p.n(1, 29), p.n(1, 9), p.n(10000000, 99999999),
		p.n(10000, 99999), p.day(), p.uuid(), p.coding("http://terminology.hl7.org/CodeSystem/v3-MaritalStatus", p.of("S", "M", "D"), p.of("Never Married", "Married", "Divorced")), p.instant(), p.n(10000, 99999), p.coding("https://fhir.hl7.org.uk/CodeSystem/UKCore-EthnicCategory", p.of("A", "B", "C", "H"), p.of("British, Mixed British", "Irish", "Indian or British Indian")))
}

func observation(p *person) string {
	unit := p.of("mmHg", "kg", "mmol/L", "g/L", "%", "/min", "Cel", "cm")
	return fmt.Sprintf(`{"resourceType":"Observation","meta":{"profile":["https://fhir.hl7.org.uk/StructureDefinition/UKCore-Observation"]},"identifier":[{"system":"https://tools.ietf.org/html/rfc4122","value":"%s"}],"status":"%s","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/observation-category","code":"%s","display":"%s"}]}],`+
		`"code":{"coding":[{"system":"http://loinc.org","code":"%d-%d","display":"%s"},{"system":"http://snomed.info/sct","code":"%d"}],"text":"%s"},%s,"encounter":{"reference":"Encounter/%s"},"effectiveDateTime":"%s","issued":"%s","performer":[{"reference":"Practitioner/%s","display":"Dr %s"}],`+
		`"valueQuantity":{"value":%d.%d,"unit":"%s","system":"http://unitsofmeasure.org","code":"%s"},"interpretation":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ObservationInterpretation","code":"%s","display":"%s"}]}],"referenceRange":[{"low":{"value":%d,"unit":"%s","system":"http://unitsofmeasure.org","code":"%s"},"high":{"value":%d,"unit":"%s","system":"http://unitsofmeasure.org","code":"%s"}}],`+
		`"component":[{"code":%s,"valueQuantity":{"value":%d,"unit":"mmHg","system":"http://unitsofmeasure.org","code":"mm[Hg]"}}]}`,
		p.uuid(), p.of("final", "final", "amended", "preliminary"), p.of("vital-signs", "laboratory"), p.of("Vital Signs", "Laboratory"), p.n(1000, 99999), p.n(0, 9), p.of("Body weight", "Heart rate", "Systolic blood pressure", "Haemoglobin", "Creatinine", "Body temperature", "Oxygen saturation"), p.n(100000, 99999999), p.of("Body weight", "Heart rate", "Haemoglobin"), p.subject(), p.uuid(), p.instant(), p.instant(), p.uuid(), p.family(),
		p.n(1, 200), p.n(0, 99), unit, unit, p.of("H", "L", "N"), p.of("High", "Low", "Normal"), p.n(1, 50), unit, unit, p.n(50, 200), unit, unit, p.coding("http://loinc.org", "8480-6", "Systolic blood pressure"), p.n(80, 190))
}

func condition(p *person) string {
	return fmt.Sprintf(`{"resourceType":"Condition","meta":{"profile":["https://fhir.hl7.org.uk/StructureDefinition/UKCore-Condition"]},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-clinical","code":"%s"}]},"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-ver-status","code":"confirmed"}]},"category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/condition-category","code":"%s","display":"%s"}]}],"severity":%s,"code":%s,%s,"onsetDateTime":"%s","recordedDate":"%s","recorder":{"reference":"Practitioner/%s"},"asserter":{"reference":"Practitioner/%s"},"note":[{"text":"Reviewed in clinic"}]}`,
		p.of("active", "resolved", "inactive"), p.of("problem-list-item", "encounter-diagnosis"), p.of("Problem List Item", "Encounter Diagnosis"), p.snomed(p.of("Mild", "Moderate", "Severe")), p.snomed(p.of("Asthma", "Hypertensive disorder", "Type 2 diabetes mellitus", "Depressive disorder", "Chronic obstructive pulmonary disease")), p.subject(), p.day(), p.day(), p.uuid(), p.uuid())
}

func encounter(p *person) string {
	return fmt.Sprintf(`{"resourceType":"Encounter","meta":{"profile":["https://fhir.hl7.org.uk/StructureDefinition/UKCore-Encounter"]},"identifier":[{"system":"https://fhir.example.org/id/encounter","value":"%s"}],"status":"%s","class":{"system":"http://terminology.hl7.org/CodeSystem/v3-ActCode","code":"%s","display":"%s"},"type":[%s],"serviceType":%s,%s,"participant":[{"type":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-ParticipationType","code":"PPRF","display":"primary performer"}]}],"individual":{"reference":"Practitioner/%s"}}],"period":{"start":"%s","end":"%s"},"reasonCode":[%s],"location":[{"location":{"reference":"Location/%s"},"status":"completed"}],"serviceProvider":{"reference":"Organization/%s"}}`,
		p.uuid(), p.of("finished", "in-progress", "planned"), p.of("AMB", "IMP", "EMER"), p.of("ambulatory", "inpatient encounter", "emergency"), p.snomed("Consultation"), p.snomed("Cardiology service"), p.subject(), p.uuid(), p.instant(), p.instant(), p.snomed("Chest pain"), p.uuid(), p.uuid())
}

func medicationRequest(p *person) string {
	return fmt.Sprintf(`{"resourceType":"MedicationRequest","meta":{"profile":["https://fhir.hl7.org.uk/StructureDefinition/UKCore-MedicationRequest"]},"identifier":[{"system":"https://fhir.nhs.uk/Id/prescription-order-item-number","value":"%s"}],"status":"%s","intent":"order","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/medicationrequest-category","code":"community","display":"Community"}]}],"medicationCodeableConcept":%s,%s,"authoredOn":"%s","requester":{"reference":"PractitionerRole/%s"},"groupIdentifier":{"system":"https://fhir.nhs.uk/Id/prescription-order-number","value":"%X"},"courseOfTherapyType":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/medicationrequest-course-of-therapy","code":"acute","display":"Short course (acute) therapy"}]},"dosageInstruction":[{"text":"%s","timing":{"repeat":{"frequency":%d,"period":1,"periodUnit":"d"}},"route":%s,"doseAndRate":[{"doseQuantity":{"value":%d,"unit":"tablet","system":"http://unitsofmeasure.org","code":"{tablet}"}}]}],"dispenseRequest":{"validityPeriod":{"start":"%s","end":"%s"},"quantity":{"value":%d,"unit":"tablet","system":"http://snomed.info/sct","code":"428673006"},"expectedSupplyDuration":{"value":28,"unit":"day","system":"http://unitsofmeasure.org","code":"d"}},"substitution":{"allowedBoolean":false}}`,
		p.uuid(), p.of("active", "completed", "stopped"), p.snomed(p.of("Amoxicillin 500mg capsules", "Paracetamol 500mg tablets", "Salbutamol 100micrograms/dose inhaler", "Metformin 500mg tablets")), p.subject(), p.instant(), p.uuid(), p.rng.Int63(), p.of("Take one three times a day", "One to be taken twice a day"), p.n(1, 4), p.snomed("Oral"), p.n(1, 3), p.day(), p.day(), p.n(7, 112))
}

func immunization(p *person) string {
	return fmt.Sprintf(`{"resourceType":"Immunization","extension":[{"url":"https://fhir.hl7.org.uk/StructureDefinition/Extension-UKCore-VaccinationProcedure","valueCodeableConcept":%s}],"identifier":[{"system":"https://supplierABC/identifiers/vacc","value":"%s"}],"status":"completed","vaccineCode":%s,"patient":{"reference":"Patient/%s"},"occurrenceDateTime":"%s","recorded":"%s","primarySource":true,"manufacturer":{"display":"AstraZeneca Ltd"},"lotNumber":"%dX%d","expirationDate":"%s","site":%s,"route":%s,"doseQuantity":{"value":0.5,"unit":"milliliter","system":"http://unitsofmeasure.org","code":"ml"},"performer":[{"actor":{"reference":"Practitioner/%s"}}],"protocolApplied":[{"targetDisease":[%s],"doseNumberPositiveInt":%d}]}`,
		p.snomed("Administration of vaccine"), p.uuid(), p.snomed(p.of("COVID-19 vaccine", "Influenza vaccine", "MMR vaccine")), p.id, p.instant(), p.day(), p.n(1000, 9999), p.n(10, 99), p.day(), p.snomed("Left upper arm structure"), p.snomed("Intramuscular route"), p.uuid(), p.snomed("Disease caused by severe acute respiratory syndrome coronavirus 2"), p.n(1, 4))
}

func allergy(p *person) string {
	return fmt.Sprintf(`{"resourceType":"AllergyIntolerance","meta":{"profile":["https://fhir.hl7.org.uk/StructureDefinition/UKCore-AllergyIntolerance"]},"clinicalStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-clinical","code":"active","display":"Active"}]},"verificationStatus":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/allergyintolerance-verification","code":"confirmed","display":"Confirmed"}]},"type":"allergy","category":["%s"],"criticality":"%s","code":%s,"patient":{"reference":"Patient/%s"},"recordedDate":"%s","recorder":{"reference":"Practitioner/%s"},"reaction":[{"manifestation":[%s],"severity":"%s"}]}`,
		p.of("medication", "food", "environment"), p.of("low", "high", "unable-to-assess"), p.snomed(p.of("Penicillin", "Peanut", "Latex")), p.id, p.day(), p.uuid(), p.snomed(p.of("Eruption of skin", "Anaphylaxis", "Nausea")), p.of("mild", "moderate", "severe"))
}

func diagnosticReport(p *person) string {
	return fmt.Sprintf(`{"resourceType":"DiagnosticReport","identifier":[{"system":"https://fhir.example.org/id/report","value":"%s"}],"basedOn":[{"reference":"ServiceRequest/%s"}],"status":"final","category":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0074","code":"%s","display":"%s"}]}],"code":%s,%s,"encounter":{"reference":"Encounter/%s"},"effectiveDateTime":"%s","issued":"%s","performer":[{"reference":"Organization/%s","display":"Pathology Department"}],"specimen":[{"reference":"Specimen/%s"}],"result":[{"reference":"Observation/%s"},{"reference":"Observation/%s"}],"conclusion":"%s"}`,
		p.uuid(), p.uuid(), p.of("HM", "CH", "MB"), p.of("Hematology", "Chemistry", "Microbiology"), p.snomed("Full blood count"), p.subject(), p.uuid(), p.instant(), p.instant(), p.uuid(), p.uuid(), p.uuid(), p.uuid(), p.of("Normal", "Within normal limits"))
}

func organization(p *person) string {
	return fmt.Sprintf(`{"resourceType":"Organization","meta":{"profile":["https://fhir.hl7.org.uk/StructureDefinition/UKCore-Organization"]},"identifier":[{"use":"official","system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"R%d"}],"active":true,"type":[{"coding":[{"system":"https://fhir.nhs.uk/CodeSystem/organisation-role","code":"%d","display":"%s"}]}],"name":"%s","telecom":[{"system":"phone","value":"0113 496 %d","use":"work"}],"address":[{"use":"work","type":"both","line":["%d %s"],"city":"%s","postalCode":"LS1 %dAA"}],"partOf":{"reference":"Organization/%s"}}`,
		p.n(10, 99999), p.n(72, 198), p.of("NHS TRUST", "PRESCRIBING COST CENTRE", "PHARMACY"), p.of("THE SURGERY", "GENERAL HOSPITAL", "HIGH STREET PHARMACY"), p.n(1000, 9999), p.n(1, 99), p.of("HIGH STREET", "STATION ROAD"), p.of("LEEDS", "YORK"), p.n(1, 9), p.uuid())
}

func practitioner(p *person) string {
	return fmt.Sprintf(`{"resourceType":"Practitioner","meta":{"profile":["https://fhir.hl7.org.uk/StructureDefinition/UKCore-Practitioner"]},"identifier":[{"system":"https://fhir.nhs.uk/Id/sds-user-id","value":"%d"},{"system":"https://fhir.hl7.org.uk/Id/gmc-number","value":"C%d"}],"active":true,"name":[{"use":"official","family":"%s","given":["%s"],"prefix":["Dr"]}],"telecom":[{"system":"email","value":"%s@example.nhs.uk","use":"work"}],"gender":"%s","qualification":[{"code":%s}]}`,
		p.n(100000, 9999999), p.n(1000000, 9999999), p.family(), p.given(), p.family(), p.of("male", "female"), p.snomed("Doctor of Medicine"))
}

func practitionerRole(p *person) string {
	return fmt.Sprintf(`{"resourceType":"PractitionerRole","identifier":[{"system":"https://fhir.nhs.uk/Id/sds-role-profile-id","value":"%d"}],"active":true,"practitioner":{"reference":"Practitioner/%s"},"organization":{"reference":"Organization/%s"},"code":[{"coding":[{"system":"https://fhir.hl7.org.uk/CodeSystem/UKCore-SDSJobRoleName","code":"R%d","display":"General Medical Practitioner"}]}],"specialty":[%s],"location":[{"reference":"Location/%s"}],"telecom":[{"system":"phone","value":"01234567890","use":"work"}]}`,
		p.n(100000, 9999999), p.uuid(), p.uuid(), p.n(100, 9999), p.snomed("General practice"), p.uuid())
}

func procedure(p *person) string {
	return fmt.Sprintf(`{"resourceType":"Procedure","status":"completed","category":%s,"code":%s,%s,"encounter":{"reference":"Encounter/%s"},"performedDateTime":"%s","performer":[{"actor":{"reference":"Practitioner/%s"},"onBehalfOf":{"reference":"Organization/%s"}}],"reasonReference":[{"reference":"Condition/%s"}],"bodySite":[%s],"outcome":%s}`,
		p.snomed("Surgical procedure"), p.snomed(p.of("Appendectomy", "Total hip replacement", "Cataract surgery")), p.subject(), p.uuid(), p.instant(), p.uuid(), p.uuid(), p.uuid(), p.snomed("Abdomen"), p.snomed("Successful"))
}

func serviceRequest(p *person) string {
	return fmt.Sprintf(`{"resourceType":"ServiceRequest","identifier":[{"system":"https://fhir.nhs.uk/Id/UBRN","value":"%d"}],"status":"%s","intent":"order","category":[%s],"priority":"%s","code":%s,%s,"authoredOn":"%s","requester":{"reference":"PractitionerRole/%s"},"performer":[{"reference":"HealthcareService/%s"}],"reasonCode":[%s],"supportingInfo":[{"reference":"DocumentReference/%s"}],"note":[{"text":"Please see and advise"}]}`,
		p.rng.Int63n(1e12), p.of("active", "completed", "draft", "revoked"), p.snomed("Referral to service"), p.of("routine", "urgent", "asap", "stat"), p.snomed("Referral to cardiology service"), p.subject(), p.instant(), p.uuid(), p.uuid(), p.snomed("Palpitations"), p.uuid())
}

func appointment(p *person) string {
	return fmt.Sprintf(`{"resourceType":"Appointment","status":"%s","serviceCategory":[%s],"serviceType":[%s],"specialty":[%s],"appointmentType":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v2-0276","code":"ROUTINE"}]},"description":"Follow-up","start":"%s","end":"%s","minutesDuration":%d,"slot":[{"reference":"Slot/%s"}],"created":"%s","participant":[{"actor":{"reference":"Patient/%s"},"required":"required","status":"accepted"},{"actor":{"reference":"Location/%s"},"status":"accepted"},{"actor":{"reference":"Practitioner/%s"},"status":"needs-action"}]}`,
		p.of("booked", "arrived", "fulfilled", "cancelled", "noshow"), p.snomed("Outpatients"), p.snomed("Cardiology"), p.snomed("Cardiology"), p.instant(), p.instant(), p.n(5, 60), p.uuid(), p.instant(), p.id, p.uuid(), p.uuid())
}

func location(p *person) string {
	return fmt.Sprintf(`{"resourceType":"Location","identifier":[{"system":"https://fhir.nhs.uk/Id/ods-site-code","value":"RR8%d"}],"status":"active","name":"Ward %d","mode":"instance","type":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-RoleCode","code":"HOSP","display":"Hospital"}]}],"telecom":[{"system":"phone","value":"01234567890"}],"address":{"line":["%d %s"],"city":"%s","postalCode":"LS1 3EX"},"physicalType":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/location-physical-type","code":"wa","display":"Ward"}]},"position":{"longitude":-1.%d,"latitude":53.%d},"managingOrganization":{"reference":"Organization/%s"}}`,
		p.n(1, 99), p.n(1, 99), p.n(1, 99), p.of("High Street", "Great George Street"), p.of("Leeds", "York"), p.n(1000, 9999), p.n(1000, 9999), p.uuid())
}

func documentReference(p *person) string {
	return fmt.Sprintf(`{"resourceType":"DocumentReference","masterIdentifier":{"system":"urn:ietf:rfc:3986","value":"urn:uuid:%s"},"identifier":[{"system":"https://fhir.example.org/id/document","value":"%s"}],"status":"current","docStatus":"final","type":%s,"category":[%s],%s,"date":"%s","author":[{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"RQI"}}],"custodian":{"identifier":{"system":"https://fhir.nhs.uk/Id/ods-organization-code","value":"Y05868"}},"content":[{"attachment":{"contentType":"application/pdf","language":"en-GB","url":"https://example.org/document.pdf","size":%d,"hash":"","title":"Discharge summary","creation":"%s"},"format":{"system":"https://fhir.nhs.uk/England/CodeSystem/England-NRLFormatCode","code":"urn:nhs-ic:unstructured","display":"Unstructured Document"}}],"context":{"practiceSetting":%s,"period":{"start":"%s"}}}`,
		p.uuid(), p.uuid(), p.snomed(p.of("Mental health crisis plan", "Discharge summary", "Clinic letter")), p.snomed("Care plan"), p.subject(), p.instant(), p.n(1000, 999999), p.instant(), p.snomed("Adult mental health service"), p.instant())
}

func relatedPerson(p *person) string {
	return fmt.Sprintf(`{"resourceType":"RelatedPerson","active":true,"patient":{"type":"Patient","identifier":{"system":"https://fhir.nhs.uk/Id/nhs-number","value":"%s"},"reference":"Patient/%s"},"relationship":[{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/v3-RoleCode","code":"%s","display":"%s"}]}],"name":[{"use":"usual","family":"%s","given":["%s"]}],"telecom":[{"system":"phone","value":"0%d","use":"mobile"}],"period":{"start":"%s","end":"%s"}}`,
		p.id, p.id, p.of("MTH", "FTH", "GUARD", "SPS"), p.of("mother", "father", "guardian", "spouse"), p.family(), p.given(), p.n(1000000000, 1999999999), p.day(), p.day())
}

func coverage(p *person) string {
	return fmt.Sprintf(`{"resourceType":"Coverage","identifier":[{"system":"https://fhir.example.org/id/coverage","value":"%d"}],"status":"active","beneficiary":{"reference":"Patient/%s"},"period":{"start":"%s","end":"%s"},"payor":[{"identifier":{"value":"%d"}}],"class":[{"type":{"coding":[{"system":"http://terminology.hl7.org/CodeSystem/coverage-class","code":"group"}]},"value":"CB135"}]}`,
		p.n(100000, 9999999), p.id, p.day(), p.day(), p.n(100000, 9999999))
}

func task(p *person) string {
	return fmt.Sprintf(`{"resourceType":"Task","identifier":[{"system":"https://tools.ietf.org/html/rfc4122","value":"%s"}],"groupIdentifier":{"system":"https://fhir.nhs.uk/Id/prescription-order-number","value":"%X"},"status":"%s","businessStatus":{"coding":[{"system":"https://fhir.nhs.uk/CodeSystem/EPS-task-business-status","code":"0001","display":"To Be Dispensed"}]},"intent":"order","priority":"routine","code":{"coding":[{"system":"http://hl7.org/fhir/CodeSystem/task-code","code":"fulfill","display":"Fulfill the focal request"}]},"focus":{"reference":"ServiceRequest/%s"},"for":{"reference":"Patient/%s"},"authoredOn":"%s","lastModified":"%s","requester":{"reference":"PractitionerRole/%s"},"owner":{"reference":"Organization/%s"}}`,
		p.uuid(), p.rng.Int63(), p.of("requested", "accepted", "in-progress", "completed"), p.uuid(), p.id, p.instant(), p.instant(), p.uuid(), p.uuid())
}
