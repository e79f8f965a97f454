package directory

import (
	_ "embed"
	"slices"
	"strings"
)

// jobNames are the national job roles, each a code and its name on a line, in the order of their codes (NHS Digital, SDS role groups, and the
// access roles of the national role-based access database).
//
//go:embed job_names.txt
var jobNames string

// fullJobs are roles as they are written whole, staff group, sub-group and job role in one, as far as the groups could be confirmed. A code whose
// groups are not here is known by its job role.
var fullJobs = []string{"S0010:G0020:R0260", "S0030:G0100:R0620", "S8000:G8000:R8000", "S8000:G8000:R8001", "S8000:G8000:R8002", "S8000:G8000:R8003", "S8000:G8000:R8004",
	"S8001:G8002:R8008", "S8002:G8003:R0001"}

// jobRoleCodes is the code system of national job roles: whole codes and job roles alone.
func jobRoleCodes() []code {
	var list []code
	for _, c := range fullJobs {
		list = append(list, code{Code: c, Name: JobRoleName(c)})
	}
	for line := range strings.Lines(jobNames) {
		c, name, _ := strings.Cut(strings.TrimSpace(line), " ")
		list = append(list, code{Code: c, Name: name})
	}
	return list
}

// JobRoleName is a national job role in words, by its whole code (S8000:G8000:R8001) or the job role alone (R8001); empty for one that is not
// known here.
func JobRoleName(c string) string {
	c = c[strings.LastIndexByte(c, ':')+1:]
	lines := strings.Split(jobNames, "\n")
	i, found := slices.BinarySearchFunc(lines[:len(lines)-1], c, func(line, c string) int {
		have, _, _ := strings.Cut(line, " ")
		return strings.Compare(have, c)
	})
	if !found {
		return ""
	}
	_, name, _ := strings.Cut(lines[i], " ")
	return name
}

// prescriberCodes is the practitioner-role code system: types of prescriber and consultant, and their roles. The specification names the types,
// PGP1 and PNURSE1, and shows that a hospital consultant's role is PHOSPCON and the main specialty code of the NHS Data Dictionary (PHOSPCON120,
// ear nose and throat); a role that is not here is kept and shown by its code.
func prescriberCodes() []code {
	list := []code{
		{Code: "PGP", Name: "General Practitioner"}, {Code: "PGP1", Name: "Principal GP"},
		{Code: "PNURSE", Name: "Prescribing Nurse"}, {Code: "PNURSE1", Name: "District Nurse / Health Visitor"},
		{Code: "PDENTCON", Name: "Dental Consultant"}, {Code: "PHOSPCON", Name: "Hospital Consultant"},
	}
	for _, s := range mainSpecialties {
		list = append(list, code{Code: "PHOSPCON" + s.Code, Name: s.Name})
	}
	return list
}

// mainSpecialties are the main specialty codes of the NHS Data Dictionary.
var mainSpecialties = []code{
	{"100", "General Surgery", false}, {"101", "Urology", false}, {"107", "Vascular Surgery", false}, {"110", "Trauma and Orthopaedics", false},
	{"120", "Ear Nose and Throat", false}, {"130", "Ophthalmology", false}, {"140", "Oral Surgery", false}, {"141", "Restorative Dentistry", false},
	{"142", "Paediatric Dentistry", false}, {"143", "Orthodontics", false}, {"145", "Oral and Maxillofacial Surgery", false}, {"146", "Endodontics", false},
	{"147", "Periodontics", false}, {"148", "Prosthodontics", false}, {"149", "Surgical Dentistry", false}, {"150", "Neurosurgery", false},
	{"160", "Plastic Surgery", false}, {"170", "Cardiothoracic Surgery", false}, {"171", "Paediatric Surgery", false}, {"180", "Emergency Medicine", false},
	{"190", "Anaesthetics", false}, {"192", "Intensive Care Medicine", false}, {"300", "General Internal Medicine", false}, {"301", "Gastroenterology", false},
	{"302", "Endocrinology and Diabetes", false}, {"303", "Clinical Haematology", false}, {"304", "Clinical Physiology", false},
	{"305", "Clinical Pharmacology", false}, {"310", "Audio Vestibular Medicine", false}, {"311", "Clinical Genetics", false}, {"313", "Clinical Immunology", false},
	{"314", "Rehabilitation Medicine", false}, {"315", "Palliative Medicine", false}, {"320", "Cardiology", false}, {"321", "Paediatric Cardiology", false},
	{"325", "Sport and Exercise Medicine", false}, {"326", "Acute Internal Medicine", false}, {"330", "Dermatology", false}, {"340", "Respiratory Medicine", false},
	{"350", "Infectious Diseases", false}, {"352", "Tropical Medicine", false}, {"360", "Genitourinary Medicine", false}, {"361", "Renal Medicine", false},
	{"370", "Medical Oncology", false}, {"371", "Nuclear Medicine", false}, {"400", "Neurology", false}, {"401", "Clinical Neurophysiology", false},
	{"410", "Rheumatology", false}, {"420", "Paediatrics", false}, {"421", "Paediatric Neurology", false}, {"430", "Geriatric Medicine", false},
	{"450", "Dental Medicine", false}, {"501", "Obstetrics", false}, {"502", "Gynaecology", false}, {"700", "Learning Disability", false},
	{"710", "Adult Mental Illness", false}, {"711", "Child and Adolescent Psychiatry", false}, {"712", "Forensic Psychiatry", false},
	{"713", "Medical Psychotherapy", false}, {"715", "Old Age Psychiatry", false}, {"800", "Clinical Oncology", false}, {"810", "Radiology", false},
	{"820", "General Pathology", false}, {"821", "Blood Transfusion", false}, {"822", "Chemical Pathology", false}, {"823", "Haematology", false},
	{"824", "Histopathology", false}, {"830", "Immunopathology", false}, {"831", "Medical Microbiology", false}, {"901", "Occupational Medicine", false},
	{"902", "Community Health Services Dental", false}, {"903", "Public Health Medicine", false}, {"904", "Public Health Dental", false},
}

// membershipOf is what ties a prescriber or consultant to their organisation, as the specification names it: ME1, the parent practice of a GP; ME4,
// the parent trust of a dental consultant. Empty for others.
func membershipOf(prescriber string) string {
	switch {
	case strings.HasPrefix(prescriber, "PGP"):
		return "ME1"
	case strings.HasPrefix(prescriber, "PDENTCON"):
		return "ME4"
	}
	return ""
}
