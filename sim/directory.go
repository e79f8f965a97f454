package sim

import (
	_ "embed"
	"strconv"

	"github.com/BurntSushi/toml"

	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
)

//go:embed services.toml
var servicesTOML string

// clinicService is a service that a hospital offers to those who refer.
type clinicService struct {
	ID, At, Place, Name, Specialty, Kind, Criteria, Sex string
	SpecialtyName                                       string `toml:"specialty-name"`
	From, To, Wait                                      int
	Languages                                           []string
	Advice                                              bool // given to those who might refer
}

// kinds are what the organisations of the country are in the national register: the primary role and a further one.
var registerRoles = map[string][2]string{
	"national": {"RO189", ""}, "hospital": {"RO197", ""}, "practice": {"RO177", "RO76"}, "pharmacy": {"RO182", ""},
}

// fact is the organisation as the national directory has it.
func (o Organisation) fact() directory.Organisation {
	began := directory.Span{From: "1974-04-01"}
	f := directory.Organisation{Code: o.Code, Name: o.Name, State: directory.Open, Assigner: "NHS ENGLAND", Changed: "2025-04-01", Phone: o.Phone, Postcode: o.Postcode, Country: "ENGLAND"}
	if n := len(o.Lines); n > 1 {
		f.Lines, f.Town, f.County = o.Lines[:n-2], o.Lines[n-2], o.Lines[n-1]
	}
	for _, role := range registerRoles[o.Kind] {
		if role != "" {
			f.Roles = append(f.Roles, directory.Role{Code: role, Active: true, Span: began})
		}
	}
	if o.Kind == "practice" {
		f.Setting = "4"
	}
	return f
}

// register is what the national directory holds of the country beside people: organisations, the services that they offer, and the systems
// that answer for them.
func (k *Country) register() ([]Item, error) {
	var items []Item
	add := func(res *fhir.Resource, err error) error {
		if err != nil {
			return err
		}
		items = append(items, Item{Tenant: National, Type: res.Type(), ID: res.ID(), Resource: res.JSON()})
		return nil
	}
	for i, o := range k.Organisations() {
		f := o.fact()
		for j := range f.Roles {
			f.Roles[j].Instance = int64(900_000_000 + 10*i + j)
		}
		if err := add(f.Resource()); err != nil {
			return nil, err
		}
		if !o.Tenant {
			continue
		}
		if err := add(o.system(i)); err != nil {
			return nil, err
		}
		if err := add(o.endpoint(i)); err != nil {
			return nil, err
		}
	}
	if err := past(add); err != nil {
		return nil, err
	}
	var list struct{ Service []clinicService }
	if _, err := toml.Decode(servicesTOML, &list); err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the list of services cannot be read")
	}
	for _, s := range list.Service {
		if err := add(s.resource()); err != nil {
			return nil, err
		}
	}
	return items, nil
}

// past is what the directory also knows: a practice that closed, with who took over from it, and a site of a hospital, with who operates it.
func past(add func(*fhir.Resource, error) error) error {
	closed := directory.Organisation{Code: ident.MustODSCode("Z99820"), Name: "Mill Lane Surgery", State: directory.Closed, Assigner: "NHS ENGLAND", Changed: "2019-04-01",
		Lines: []string{"4 Mill Lane"}, Town: "Fenmarket", County: "Aldershire", Postcode: "FN2 6MA", Country: "ENGLAND", Setting: "4",
		Successions: []directory.Succession{{Successor: Practice, On: "2019-04-01"}}}
	for i, role := range []string{"RO177", "RO76"} {
		closed.Roles = append(closed.Roles, directory.Role{Code: role, Span: directory.Span{From: "1974-04-01", To: "2019-03-31"}, Instance: int64(900_000_900 + i)})
	}
	site := directory.Organisation{Code: ident.MustODSCode("RZZ1A"), Name: "Fenmarket Treatment Centre", Site: true, State: directory.Open, Assigner: "NHS ENGLAND", Changed: "2012-10-01",
		Lines: []string{"Quarry Road"}, Town: "Fenmarket", County: "Aldershire", Postcode: "FN4 2HQ", Country: "ENGLAND", Phone: "01632960250",
		Roles: []directory.Role{{Code: "RO198", Active: true, Span: directory.Span{From: "2012-10-01"}, Instance: 900_000_910}}}
	for _, o := range []directory.Organisation{closed, site} {
		if err := add(o.Resource()); err != nil {
			return err
		}
	}
	return add(directory.Relationship{ID: "RZZ1A-RE6-RZZ01", Type: "RE6", From: site.Code, To: HospitalWest, Active: true, Span: directory.Span{From: "2012-10-01"}}.Resource())
}

// interactions are what the systems of the country answer: reading a record, and post.
func interactions() []fhir.Value {
	var list []fhir.Value
	for _, i := range []string{"urn:nhs:names:services:gpconnect:fhir:rest:search:patient", "urn:nhs:names:services:gpconnect:fhir:operation:gpc.getcarerecord"} {
		list = append(list, fhir.Obj("url", "https://fhir.nhs.uk/StructureDefinition/Extension-SDS-NhsServiceInteractionId", "valueReference",
			fhir.Obj("identifier", fhir.Obj("system", "https://fhir.nhs.uk/Id/nhsServiceInteractionId", "value", i))))
	}
	return list
}

func odsParty(code string) fhir.Value {
	return fhir.Obj("identifier", fhir.Obj("system", ident.SystemODSCode, "value", code))
}

// party is the key of the organisation's message handling.
func (o Organisation) party() fhir.Value {
	return fhir.Obj("system", "https://fhir.nhs.uk/Id/nhsMhsPartyKey", "value", o.Code.String()+"-800001")
}

func (o Organisation) system(i int) (*fhir.Resource, error) {
	return fhir.Obj("resourceType", "Device", "id", o.Code.String()+"-system",
		"identifier", fhir.Arr(fhir.Obj("system", "https://fhir.nhs.uk/Id/nhsSpineASID", "value", strconv.Itoa(900000000000+i)), o.party()),
		"extension", fhir.List(append([]fhir.Value{fhir.Obj("url", "https://fhir.nhs.uk/StructureDefinition/Extension-SDS-ManufacturingOrganisation", "valueReference", odsParty("X26"))}, interactions()...)),
		"owner", odsParty(o.Code.String())).Resource()
}

func (o Organisation) endpoint(i int) (*fhir.Resource, error) {
	cpa := fhir.Obj("system", "https://fhir.nhs.uk/Id/nhsMhsCPAId", "value", "S"+strconv.Itoa(9000000+i))
	return fhir.Obj("resourceType", "Endpoint", "id", o.Code.String()+"-endpoint", "status", "active",
		"connectionType", fhir.Obj("system", "http://terminology.hl7.org/CodeSystem/endpoint-connection-type", "code", "hl7-fhir-rest", "display", "HL7 FHIR"),
		"payloadType", fhir.Arr(fhir.Obj("coding", fhir.Arr(fhir.Obj("system", "http://terminology.hl7.org/CodeSystem/endpoint-payload-type", "code", "any", "display", "Any")))),
		"address", "https://"+o.Code.String()+".openspine.example/FHIR/R4", "managingOrganization", odsParty(o.Code.String()),
		"identifier", fhir.Arr(o.party(), cpa), "extension", fhir.List(interactions())).Resource()
}

// resource is the service as FHIR.
func (s clinicService) resource() (*fhir.Resource, error) {
	limit := func(years int) int {
		if years == 0 {
			return -1
		}
		return years
	}
	return directory.HealthcareService{ID: s.ID, Name: s.Name, Provider: ident.MustODSCode(s.At), Specialty: s.Specialty, SpecialtyName: s.SpecialtyName, Kind: s.Kind,
		Places: []directory.Place{{ID: s.At + "-" + s.Place}}, Wait: s.Wait, Sex: s.Sex, Youngest: limit(s.From), Oldest: limit(s.To), Languages: s.Languages,
		Criteria: s.Criteria, Active: true, Advice: s.Advice}.Resource()
}
