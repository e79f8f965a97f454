package search

import (
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
)

// about are the elements in which a resource says whom it is about, in the order in which they are asked.
var about = [...]string{"patient", "subject", "beneficiary", "for", "individual", "candidate", "deliverTo"}

// Chart is the id of the patient whose chart the resource belongs to: the Patient's own, or that of the Patient it is about; "" if it is
// about none. A reference counts when it is relative (Patient/id, with or without a version). Who took part in the care of somebody,
// as the performer of an observation did, is not whom it is about; but an appointment, its answer and a provenance are about
// the patient among their participants and targets. Two different patients there make it nobody's chart in particular, and a Person,
// which links people across organisations, has none. It is narrower than the Patient compartment: see Index.Compartments.
func Chart(r *fhir.Resource) string {
	switch r.Type() {
	case "Patient":
		return r.ID()
	case "Person":
		return ""
	case "Appointment":
		return onlyPatient(r.Get("participant"), "actor")
	case "AppointmentResponse":
		return patientOf(r.Get("actor"))
	case "Provenance":
		return onlyPatient(r.Get("target"), "")
	}
	for _, element := range about {
		for ref := range r.Get(element).Items() {
			if id := patientOf(ref); id != "" {
				return id
			}
		}
	}
	return ""
}

// onlyPatient is the one patient whom the items refer to, each by a field or, if that is "", itself; "" when there are several.
func onlyPatient(items fhir.Node, field string) string {
	found := ""
	for ref := range items.Items() {
		if field != "" {
			ref = ref.Field(field)
		}
		id := patientOf(ref)
		switch {
		case id == "" || id == found:
		case found != "":
			return ""
		default:
			found = id
		}
	}
	return found
}

func patientOf(reference fhir.Node) string {
	id, _ := PatientID(reference.Field("reference").String())
	return id
}

// PatientID is the id in a relative reference to a Patient, Patient/id with or without a version; false for any other reference.
func PatientID(reference string) (string, bool) {
	rest, ok := strings.CutPrefix(reference, "Patient/")
	if !ok {
		return "", false
	}
	id, _, _ := strings.Cut(rest, "/")
	if _, err := ident.ParseFHIRID(id); err != nil {
		return "", false
	}
	return id, true
}
