package sim

import (
	"fmt"
	"strings"
	"time"

	"github.com/BurntSushi/toml"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/hospital"
	"github.com/openspine/openspine/ident"
)

// Clinics are how a hospital holds the services that it offers: a clinic for each, twice a week, with a reserve that it keeps for itself. The hospital's clinicians see
// the patients in turn.
func (k *Country) Clinics(code ident.ODSCode) (hospital.Setup, error) {
	var s hospital.Setup
	var list struct{ Service []clinicService }
	if _, err := toml.Decode(servicesTOML, &list); err != nil {
		return s, fault.Wrap(err, fault.Internal, "the list of services cannot be read")
	}
	for _, m := range k.staff.Staff {
		if m.At == code.String() && m.Role == "clinician" {
			s.Consultants = append(s.Consultants, hospital.Consultant{ID: m.ID, Name: m.Prefix + " " + m.Given + " " + m.Family, Login: m.User})
		}
	}
	if len(s.Consultants) == 0 {
		return s, nil
	}
	for _, x := range list.Service {
		if x.At != code.String() {
			continue
		}
		n := len(s.Clinics)
		who := &s.Consultants[n%len(s.Consultants)]
		if who.Specialty == "" {
			who.Specialty = x.Specialty
		}
		s.Specialties = append(s.Specialties, hospital.Specialty{Code: x.Specialty, Name: x.SpecialtyName})
		s.Clinics = append(s.Clinics, hospital.Clinic{ID: strings.TrimPrefix(x.ID, x.At+"-"), Name: x.Name, Service: x.ID, Specialty: x.Specialty, Consultant: who.ID, Place: "Outpatients"})
		for i, day := range []time.Weekday{time.Weekday(1 + n%5), time.Weekday(1 + (n+2)%5)} {
			s.Templates = append(s.Templates, hospital.Template{ID: fmt.Sprintf("%s-%d", s.Clinics[n].ID, i+1), Clinic: s.Clinics[n].ID, Weekday: day, Starts: 9*60 + i*4*60, Minutes: 20, Slots: 9, Reserve: 2, Extra: 2, Given: true})
		}
	}
	return s, nil
}
