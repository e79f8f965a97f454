package sim

import (
	_ "embed"
	"slices"

	"github.com/BurntSushi/toml"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// The tenants of the demonstration. X26 is the national spine's own code; nobody holds the others, which the
// published file of practices is tested not to contain.
var (
	National     = ident.MustODSCode("X26")
	HospitalWest = ident.MustODSCode("RZZ01")
	HospitalEast = ident.MustODSCode("RZZ02")
	Practice     = ident.MustODSCode("Z99801")
	Pharmacy     = ident.MustODSCode("FZZ99")
)

var hospitals = [...]ident.ODSCode{HospitalWest, HospitalEast}

var otherPractices = [...]ident.ODSCode{
	ident.MustODSCode("Z99802"), ident.MustODSCode("Z99803"), ident.MustODSCode("Z99804"), ident.MustODSCode("Z99805"),
}

// Tenants are the organisations whose records the demonstration keeps, in the order of Items.
func Tenants() []ident.ODSCode {
	return []ident.ODSCode{Pharmacy, HospitalWest, HospitalEast, National, Practice}
}

// Organisation is a place of care or the spine itself.
type Organisation struct {
	Code     ident.ODSCode
	Name     string
	Kind     string // national, hospital, practice or pharmacy
	Lines    []string
	Postcode string
	Phone    string
	Tenant   bool // its records are kept in the demonstration
	places   []struct{ ID, Name string }
}

// User is somebody whom a visitor of the demonstration can be.
type User struct {
	// ID is the sign-in name: gp, open, clerk, hospital, hospital-clerk, hospital-east, pharmacist, patient, privacy,
	// auditor, admin or stranger.
	ID   string
	Name string
	// Role is clinician, clerk, pharmacist, manager, patient, privacy-officer, auditor, registrar or administrator.
	Role         string
	Organisation ident.ODSCode
	// Practitioner is the id of their Practitioner in their organisation's tenant and in the national one.
	Practitioner string
	// Person is the patient's own chart in the national tenant; empty for staff.
	Person string
	// Open marks the clinician as whom a call without a token acts under --open.
	Open bool
}

type staffMember struct {
	User, ID, At, Prefix, Given, Family, Gender, Role, Job string
}

type staffList struct {
	Organisation []struct {
		Code, Name, Kind, Postcode, Phone string
		Lines                             []string
		Place                             []struct{ ID, Name string }
	}
	Staff []staffMember
	Job   map[string]string
}

//go:embed staff.toml
var staffTOML string

// loadStaff reads the organisations and their staff.
func loadStaff() (staffList, error) {
	var list staffList
	if _, err := toml.Decode(staffTOML, &list); err != nil {
		return staffList{}, fault.Wrap(err, fault.Internal, "the list of staff cannot be read")
	}
	for _, s := range list.Staff {
		if list.Job[s.Job] == "" && jobRoles[s.Job] == "" {
			return staffList{}, fault.New(fault.Internal, "the list of staff has no code for the job %q", s.Job)
		}
	}
	return list, nil
}

// Organisations are the organisations of the country: the tenants, the practices that share its people, and the
// stranger's.
func (k *Country) Organisations() []Organisation {
	var all []Organisation
	for _, o := range k.staff.Organisation {
		code := ident.MustODSCode(o.Code)
		all = append(all, Organisation{
			Code: code, Name: o.Name, Kind: o.Kind, Lines: o.Lines, Postcode: o.Postcode, Phone: o.Phone,
			Tenant: slices.Contains(Tenants(), code), places: o.Place,
		})
	}
	return all
}

// Users are those whom a visitor can be, one at least for each role.
func (k *Country) Users() []User {
	var users []User
	for _, s := range k.staff.Staff {
		if s.User != "" {
			users = append(users, User{
				ID: s.User, Name: s.Prefix + " " + s.Given + " " + s.Family, Role: s.Role, Organisation: ident.MustODSCode(s.At),
				Practitioner: s.ID, Open: s.User == "open",
			})
		}
	}
	if p, err := k.Character("patient"); err == nil {
		users = append(users, User{ID: "patient", Name: p.Display(), Role: "patient", Organisation: National, Person: p.NHSNumber.String()})
	}
	return users
}

// places are the organisations, places, practitioners and their roles that a tenant knows: all of them at the
// national one, its own at another.
func (k *Country) places(tenant ident.ODSCode) []Item {
	var items []Item
	add := func(kind, id string, write func(w *writer)) {
		var w writer
		w.item(func() {
			w.text("resourceType", kind)
			w.text("id", id)
			write(&w)
		})
		items = append(items, Item{Tenant: tenant, Type: kind, ID: id, Resource: w.b})
	}
	for _, o := range k.Organisations() {
		if tenant != National && o.Code != tenant {
			continue
		}
		if tenant != National {
			add("Organization", o.Code.String(), o.write)
		}
		for _, place := range o.places {
			add("Location", o.placeID(tenant, place.ID), func(w *writer) {
				w.text("status", "active")
				w.text("name", place.Name)
				w.text("mode", "instance")
				w.reference("managingOrganization", "Organization", o.Code.String(), o.Name)
			})
		}
	}
	for _, s := range k.staff.Staff {
		if tenant != National && s.At != tenant.String() {
			continue
		}
		add("Practitioner", s.ID, s.writePractitioner)
		add("PractitionerRole", s.ID+"-1", func(w *writer) { s.writeRole(w, k.staff.Job[s.Job]) })
	}
	if tenant == National {
		for _, item := range k.registered {
			item.Resource = slices.Clone(item.Resource)
			items = append(items, item)
		}
	}
	return items
}

// placeID is a place's id; the national tenant knows several hospitals' outpatients.
func (o Organisation) placeID(tenant ident.ODSCode, id string) string {
	if tenant == National {
		return o.Code.String() + "-" + id
	}
	return id
}

func (o Organisation) write(w *writer) {
	w.array("identifier", func() {
		w.item(func() {
			w.text("use", "official")
			w.text("system", ident.SystemODSCode)
			w.text("value", o.Code.String())
		})
	})
	w.raw("active", "true")
	w.text("name", o.Name)
	w.array("telecom", func() { w.telecom("phone", o.Phone, "work") })
	w.array("address", func() {
		w.item(func() {
			w.text("use", "work")
			w.texts("line", o.Lines)
			w.text("postalCode", o.Postcode)
		})
	})
}

func (w *writer) telecom(system, value, use string) {
	w.item(func() {
		w.text("system", system)
		w.text("value", value)
		w.text("use", use)
	})
}

func (s staffMember) writePractitioner(w *writer) {
	w.array("identifier", func() {
		w.item(func() {
			w.text("system", "https://fhir.nhs.uk/Id/sds-user-id")
			w.text("value", s.ID)
		})
	})
	w.raw("active", "true")
	w.array("name", func() {
		w.item(func() {
			w.text("use", "official")
			w.text("family", s.Family)
			w.texts("given", []string{s.Given})
			w.texts("prefix", []string{s.Prefix})
		})
	})
	w.text("gender", s.Gender)
}

func (s staffMember) writeRole(w *writer, code string) {
	w.array("identifier", func() {
		w.item(func() {
			w.text("system", "https://fhir.nhs.uk/Id/sds-role-profile-id")
			w.text("value", s.ID[:9]+"9"+s.ID[10:])
		})
	})
	w.raw("active", "true")
	w.object("period", func() { w.text("start", "2019-09-02") })
	w.reference("practitioner", "Practitioner", s.ID, s.Prefix+" "+s.Given+" "+s.Family)
	w.reference("organization", "Organization", s.At, "")
	national, isNational := jobRoles[s.Job]
	w.array("code", func() {
		w.item(func() {
			w.array("coding", func() {
				if isNational {
					w.coding(directory.SystemJobRole, "", national, directory.JobRoleName(national))
				}
				if code != "" {
					w.coding(ident.SystemSNOMED, "", code, s.Job)
				}
			})
		})
	})
}

// jobRoles are the national role-based access codes of the country's jobs.
var jobRoles = map[string]string{
	"general practitioner": "S0010:G0020:R0260", "consultant": "S8000:G8000:R8000", "surgeon": "S8000:G8000:R8000", "practice nurse": "S8000:G8000:R8001",
	"pharmacist": "S8000:G8000:R8003", "clerical worker": "S8001:G8002:R8008",
	"outpatient manager": "R6020",
}
