package directory

import (
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
)

const (
	systemConnection = "http://terminology.hl7.org/CodeSystem/endpoint-connection-type"
	systemPayload    = "http://terminology.hl7.org/CodeSystem/endpoint-payload-type"
)

// connections are how an endpoint is spoken to (HL7, endpoint-connection-type).
var connections = []code{
	{"hl7-fhir-rest", "FHIR, by request (REST)", false}, {"hl7-fhir-msg", "FHIR messages", false}, {"hl7v2-mllp", "HL7 v2 over MLLP", false},
	{"dicom-wado-rs", "DICOMweb, retrieve", false}, {"dicom-qido-rs", "DICOMweb, search", false}, {"dicom-stow-rs", "DICOMweb, store", false},
	{"ihe-xds", "IHE XDS", false}, {"secure-email", "Secure email", false},
}

// specialties are practice settings of SNOMED CT, as HL7 lists them (value set c80-practice-codes), in British spelling.
var specialties = []code{
	{"408467006", "Adult mental illness", false}, {"394577000", "Anaesthetics", false}, {"394579002", "Cardiology", false}, {"394803006", "Clinical haematology", false},
	{"394592004", "Clinical oncology", false}, {"408478003", "Critical care medicine", false}, {"394582007", "Dermatology", false}, {"408475000", "Diabetic medicine", false},
	{"394583002", "Endocrinology", false}, {"394584008", "Gastroenterology", false}, {"394802001", "General medicine", false}, {"394814009", "General practice", false},
	{"394808002", "Genitourinary medicine", false}, {"394811001", "Geriatric medicine", false}, {"394586005", "Gynaecology", false}, {"394807007", "Infectious diseases", false},
	{"408468001", "Learning disability", false}, {"394593009", "Medical oncology", false}, {"394589003", "Nephrology", false}, {"394591006", "Neurology", false},
	{"408470005", "Obstetrics", false}, {"394594003", "Ophthalmology", false}, {"418960008", "Otolaryngology", false}, {"394537008", "Paediatric specialty", false},
	{"394882004", "Pain management", false}, {"394806003", "Palliative medicine", false}, {"394587001", "Psychiatry", false}, {"394914008", "Radiology", false},
	{"418112009", "Respiratory medicine", false}, {"394810000", "Rheumatology", false}, {"394609007", "General surgery", false}, {"394610002", "Neurosurgery", false},
	{"394611003", "Plastic surgery", false}, {"394801008", "Trauma and orthopaedics", false}, {"394612005", "Urology", false}, {"408463005", "Vascular surgery", false},
}

func serviceAnswers(res *fhir.Resource) map[string]string {
	s := ParseHealthcareService(res)
	a := map[string]string{"name": s.Name, "specialty": s.Specialty, "kind": s.Kind, "wait": numberText(s.Wait), "sex": s.Sex, "youngest": numberText(s.Youngest), "oldest": numberText(s.Oldest),
		"languages": strings.Join(s.Languages, ", "), "criteria": s.Criteria, "phone": s.Phone, "comment": s.Comment, "opened": string(spanOf(res).From)}
	if len(s.Places) > 0 {
		a["place"] = s.Places[0].ID
	}
	return a
}

func serviceMembers(f *keptForm, old *fhir.Resource) []member {
	s := HealthcareService{Name: f.Answers["name"], Provider: f.At, Specialty: f.Answers["specialty"], SpecialtyName: nameIn(specialties, f.Answers["specialty"]), Kind: f.Answers["kind"],
		Wait: -1, Sex: f.Answers["sex"], Youngest: numberOr(f.Answers["youngest"]), Oldest: numberOr(f.Answers["oldest"]), Criteria: f.Answers["criteria"], Phone: f.Answers["phone"],
		Comment: f.Answers["comment"]}
	for l := range strings.SplitSeq(f.Answers["languages"], ",") {
		if l = strings.TrimSpace(l); l != "" {
			s.Languages = append(s.Languages, l)
		}
	}
	if p := f.Answers["place"]; p != "" {
		s.Places = []Place{{p, ""}}
	}
	if old != nil {
		was := ParseHealthcareService(old)
		s.Others = was.Others
		if s.SpecialtyName == "" && s.Specialty == was.Specialty {
			s.SpecialtyName = was.SpecialtyName
		}
	}
	var list []member
	for _, m := range s.values() {
		if m.name != "extension" && m.name != "active" {
			list = append(list, m)
		}
	}
	return list
}

func placeAnswers(res *fhir.Resource) map[string]string {
	return map[string]string{"name": res.Get("name").String(), "phone": res.Get("telecom.0.value").String(), "opened": string(spanOf(res).From)}
}

func placeMembers(f *keptForm, _ *fhir.Resource) []member {
	phone := fhir.Value{}
	if p := f.Answers["phone"]; p != "" {
		phone = fhir.Arr(fhir.Obj("system", "phone", "value", p))
	}
	return []member{{"name", fhir.Of(f.Answers["name"])}, {"mode", fhir.Of("instance")}, {"telecom", phone}, {"managingOrganization", partyValue(f.At)}}
}

// partyValue is a reference to an organisation, by address and by its ODS code.
func partyValue(code ident.ODSCode) fhir.Value {
	return fhir.Obj("reference", "Organization/"+code.String(), "identifier", fhir.Obj("system", ident.SystemODSCode, "value", code.String()))
}

func systemAnswers(res *fhir.Resource) map[string]string {
	a := map[string]string{"address": res.Get("address").String(), "connection": res.Get("connectionType.code").String(), "interactions": strings.Join(interactionsOf(res), "\n"),
		"opened": string(spanOf(res).From)}
	for id := range res.Get("identifier").Items() {
		switch id.Get("system").String() {
		case systemParty:
			a["party"] = id.Get("value").String()
		case systemASID:
			a["asid"] = id.Get("value").String()
		}
	}
	for e := range res.Get("extension").Items() {
		if e.Get("url").String() == extensionMaker {
			a["maker"] = e.Get("valueReference.identifier.value").String()
		}
	}
	return a
}

// identifiers are those of old but for some systems, and the answers to them.
func (f *keptForm) identifiers(old *fhir.Resource, pairs ...string) fhir.Value {
	list := kept(old, "identifier", func(n fhir.Node) bool {
		for i := 0; i < len(pairs); i += 2 {
			if n.Get("system").String() == pairs[i] {
				return true
			}
		}
		return false
	})
	for i := 0; i < len(pairs); i += 2 {
		if v := f.Answers[pairs[i+1]]; v != "" {
			list = append(list, fhir.Obj("system", pairs[i], "value", v))
		}
	}
	return fhir.List(list)
}

func endpointMembers(f *keptForm, old *fhir.Resource) []member {
	list := []member{{"identifier", f.identifiers(old, systemParty, "party")}, {"address", fhir.Of(f.Answers["address"])}, {"managingOrganization", fhir.Obj("identifier", fhir.Obj("system", ident.SystemODSCode, "value", f.At.String()))}}
	if old == nil || old.Get("connectionType.code").String() != f.Answers["connection"] {
		list = append(list, member{"connectionType", fhir.Obj("system", systemConnection, "code", f.Answers["connection"], "display", nameIn(connections, f.Answers["connection"]))})
	}
	if old == nil {
		list = append(list, member{"payloadType", fhir.Arr(fhir.Obj("coding", fhir.Arr(fhir.Obj("system", systemPayload, "code", "any", "display", "Any"))))})
	}
	return list
}

func deviceMembers(f *keptForm, old *fhir.Resource) []member {
	return []member{{"identifier", f.identifiers(old, systemASID, "asid", systemParty, "party")}, {"owner", fhir.Obj("identifier", fhir.Obj("system", ident.SystemODSCode, "value", f.At.String()))}}
}

func postAnswers(res *fhir.Resource) map[string]string {
	row := jobRow(res)[0]
	a := map[string]string{"opened": string(spanOf(res).From)}
	for i, name := range map[int]string{0: "practitioner", 2: "job", 4: "prescriber"} {
		a[name], _ = row[i].(string)
	}
	return a
}

func postMembers(f *keptForm, old *fhir.Resource) []member {
	job := f.Answers["job"]
	codes := []fhir.Value{fhir.Obj("system", SystemJobRole, "code", job, "display", JobRoleName(job))}
	if p := f.Answers["prescriber"]; p != "" {
		codes = append(codes, fhir.Obj("system", systemPractitionerRole, "code", p, "display", nameIn(prescriberCodes(), p)))
	}
	list := []member{{"code", fhir.Arr(fhir.Obj("coding", fhir.List(codes)))}, {"organization", partyValue(f.At)}}
	if old == nil {
		list = append(list, member{"practitioner", fhir.Obj("reference", "Practitioner/"+f.Answers["practitioner"])})
	}
	return list
}
