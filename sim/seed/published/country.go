// Package published is the small country of the e-Referral Service's published examples: who refers to whom, which services there are, whose referrals stand in which
// state under which number. The demonstration has it beside the made-up counties, so that a program which was written against the published examples meets them
// here; the conformance test of package ers plays each example in it.
//
// It holds facts only, numbers, codes, names and days; every state is reached by the acts by which anybody reaches it.
//
// Source: e-Referral Service FHIR API, examples of its sandbox.
package published

import (
	"context"
	"encoding/json"
	"strconv"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/store"
)

// The organisations. In the examples one code both refers and provides; here each does one of the two.
var (
	Practice = ident.MustODSCode("R69")
	Provider = ident.MustODSCode("R68")
	// Site is the provider of the four services by which the shape of a service is shown (A033, A035).
	Site = ident.MustODSCode("R6901")
)

// People who act, by their user ids.
const (
	Referrer  = "021600556514" // a clinician of the practice, who holds clinics at the provider as well
	Secretary = "103264992985" // a clerk of the practice
	Reviewer  = "921600556514" // a clinician of the provider
	Booker    = "111111111102" // a clerk of the provider
	Both      = "000000000101" // a clinician of both
	Alone     = "111111111111" // the one clinician of Site
	SiteClerk = "111111111112"
	Colleague = "021600556513" // another clinician of the practice, who refers
	Adviser   = "103264994981" // and one who answers questions for advice
)

// Patients, by their NHS numbers.
const (
	Patient = "9912003888"
	Second  = "1000000001"
	Third   = "9462979626"
)

// lipids is the type of clinic that the examples search for.
const lipids = "LIPID_MANAGEMENT"

// Specialties of SNOMED CT's practice settings.
const cardiology = "394579002"

// Service is what the directory knows of a service that somebody can be referred to.
type Service struct {
	ID, Name string
	Letter   bool     // a letter is needed
	Flows    []string // which requests it takes (eRS-RequestFlowType-1)
	Bare     bool     // nothing is said of it but its name and where it is
	Full     bool     // everything is said of it
	Indirect bool     // the hospital books it itself
	Unsaid   bool     // it is not said whether it is active
	At       ident.ODSCode
	Clinic   string // the type of clinic; LIPID_MANAGEMENT is what the examples search for
	Named    string // a clinician who can be asked for
}

// Services are those that the examples name.
func Services() []Service {
	both, advice := []string{"APPOINTMENT_REQUEST", "ADVICE_AND_GUIDANCE_REQUEST"}, []string{"ADVICE_AND_GUIDANCE_REQUEST"}
	triage := []string{"TRIAGE_REQUEST"}
	list := []Service{
		{ID: "11030", Name: "A LOCALLY_COMMISSIONABLE Service", Clinic: lipids},
		{ID: "11021", Name: "Cardiology Business Service - Requires Referral Letter, No Slots for slots polling tests", Letter: true, Clinic: lipids},
		{ID: "11010", Name: "Excellent Cardiology Business Service", Flows: both, Clinic: lipids},
		{ID: "11007", Name: "Exceptional Cardiology Business Service", Letter: true, Clinic: lipids},
		{ID: "11008", Name: "FIRST Cardiology Business Service", Clinic: lipids},
		{ID: "11002", Name: "Good Cardiology Business Service", Letter: true, Clinic: lipids, Named: Referrer},
		{ID: "10000", Name: "A cardiology service without slots"},
		{ID: "11000", Name: "Forthright Cardiology Business Service"},
		{ID: "11001", Name: "Good Cardiology Business Service 2"},
		{ID: "11003", Name: "Good Cardiology Business Service 4"},
		{ID: "11004", Name: "Cardiology Triage Business Service", Flows: []string{"APPOINTMENT_REQUEST", "TRIAGE_REQUEST"}},
		{ID: "11012", Name: "Excellent Cardiology Business Service 12", Flows: []string{"APPOINTMENT_REQUEST", "TRIAGE_REQUEST"}},
		{ID: "11013", Name: "Excellent Cardiology Business Service 13"},
		{ID: "11014", Name: "Advice Only", Flows: advice},
		{ID: "11016", Name: "Triage-Related Indirect Business Service", Indirect: true},
		{ID: "11017", Name: "Triage-Related Indirect Business Service 2", Indirect: true},
		{ID: "13000", Name: "A cardiology service of two schedules"},
		{ID: "14000", Name: "A cardiology service of one clinician"},
		{ID: "21012", Name: "Another Excellent Cardiology Business Service 13"},
		{ID: "50", Name: "Direct SVC 1"},
		{ID: "57", Name: "Direct SVC 8"},
		{ID: "50001", Name: "Cardiology Triage Service", Flows: triage},
		{ID: "50002", Name: "Leeds Neuro Business Service", Indirect: true},
		{ID: "50110", Name: "Triage - 2WW", Flows: triage},
		{ID: "11115", Name: "Triage Business Service 4", Flows: triage},
		{ID: "51002", Name: "Good Cardiology Triage Service", Flows: triage},
		{ID: "1", Name: "Direct Service With Minimal", At: Site, Bare: true, Unsaid: true},
		{ID: "2", Name: "Direct SVC 1", At: Site, Full: true, Unsaid: true},
		{ID: "3", Name: "Direct SVC 1", At: Site, Full: true, Indirect: true},
		{ID: "4", Name: "Direct SVC 2", At: Site},
	}
	for i := range 20 {
		list = append(list, Service{ID: strconv.Itoa(12000 + i), Name: "Good Cardiology Business Service " + strconv.Itoa(i+1)})
	}
	for i, x := range list {
		if x.At.IsZero() {
			list[i].At = Provider
		}
		if len(x.Flows) == 0 {
			list[i].Flows = []string{"APPOINTMENT_REQUEST"}
		}
	}
	return list
}

type object = map[string]any
type array = []any

func concept(system, code string) object {
	return object{"coding": array{object{"system": system, "code": code}}}
}

// resource is the service as the directory holds it.
func (s Service) resource() object {
	r := object{"resourceType": "HealthcareService", "id": s.ID, "active": true, "name": s.Name,
		"providedBy": object{"identifier": object{"system": ident.SystemODSCode, "value": s.At.String()}},
		"location":   array{object{"reference": "Location/R69", "display": "Cicero-Clinic", "identifier": object{"system": ident.SystemODSCode, "value": "R69"}}}}
	if s.At == Site {
		r["location"] = array{object{"identifier": object{"system": "https://fhir.nhs.uk/Id/ods-site-code", "value": "R6901"}}}
	}
	const base = "https://fhir.nhs.uk/CodeSystem/"
	extensions := array{}
	add := func(name string, value object) {
		value["url"] = "https://fhir.nhs.uk/StructureDefinition/Extension-eRS-" + name
		extensions = append(extensions, value)
	}
	if s.Unsaid {
		delete(r, "active")
	}
	if s.Full {
		add("HoursOfOperation", object{"valueString": "9-5 Mon-Fri"})
		add("ServiceInstructions", object{"valueString": "Instructions"})
		contact := func(purpose, telecom object) {
			add("HealthcareService-Contact", object{"extension": array{object{"url": "purpose", "valueCodeableConcept": purpose}, object{"url": "telecom", "valueContactPoint": telecom}}})
		}
		contact(object{"coding": array{object{"system": "http://terminology.hl7.org/CodeSystem/contactentity-type", "code": "PATINF", "display": "Patient"}}}, object{"system": "phone", "value": "01234567890"})
		contact(object{"coding": array{object{"system": base + "eRS-Purpose", "code": "HEALTHCARE_PROFESSIONALS", "display": "Healthcare Professionals"}}}, object{"system": "email", "value": "service@email.com"})
	}
	if s.Letter {
		add("LetterRequired", object{"valueBoolean": true})
	}
	if s.Named != "" {
		add("NamedClinician", object{"valueIdentifier": object{"system": "https://fhir.nhs.uk/Id/sds-user-id", "value": s.Named}})
	}
	if s.Clinic == lipids {
		add("LinkToNHSWebsite", object{"valueUri": "https://www.nhs.uk/service-search/other-services/chooseandbook?serviceId=" + s.ID})
	}
	if len(extensions) > 0 {
		r["extension"] = extensions
	}
	if s.Bare {
		return r
	}
	bookable := "DIRECTLY_BOOKABLE"
	if s.Indirect {
		bookable = "INDIRECTLY_BOOKABLE"
	}
	kind := "DIAGNOSTIC"
	if s.At == Site {
		kind = "DAY_CASE"
	}
	r["type"] = array{concept(base+"eRS-AppointmentType", kind)}
	r["specialty"] = array{object{"coding": array{object{"system": ident.SystemSNOMED, "code": cardiology, "display": "Cardiology"}}}}
	if s.Clinic != "" {
		r["category"] = array{concept("https://fhir.nhs.uk/STU3/CodeSystem/eRS-ClinicType-1", s.Clinic), concept("https://fhir.nhs.uk/STU3/CodeSystem/eRS-ClinicType-1", "HEART_FAILURE")} // for which the examples refer to it
	}
	flows := array{}
	for _, f := range s.Flows {
		flows = append(flows, concept(base+"eRS-RequestFlowType", f))
	}
	r["characteristic"] = append(flows, concept(base+"eRS-BookableType", bookable))
	return r
}

func organisation(code ident.ODSCode, name string) object {
	return object{"resourceType": "Organization", "id": code.String(), "identifier": array{object{"system": ident.SystemODSCode, "value": code.String()}}, "active": true, "name": name, "address": array{object{"postalCode": home}}}
}

// practice is the practice, which refers also when it provides: it is a GP practice, as the register of organisations says.
func practice() object {
	o := organisation(Practice, "The practice of the published examples")
	o["extension"] = array{object{"url": "https://fhir.nhs.uk/England/StructureDefinition/Extension-England-OrganisationRole", "extension": array{
		object{"url": "roleCode", "valueCodeableConcept": concept(directory.SystemRole, "RO76")}, object{"url": "active", "valueBoolean": true}}}}
	return o
}

// home is where the patients live: the searches of the examples are for what is near.
const home = "LS1 2TW"

func patient(number, family, given, gender, born string) object {
	return object{"resourceType": "Patient", "id": number, "identifier": array{object{"system": ident.SystemNHSNumber, "value": number}},
		"name": array{object{"id": "1", "use": "usual", "family": family, "given": array{given}}}, "gender": gender, "birthDate": born,
		"address": array{object{"id": "1", "use": "home", "line": array{"1 Made-up Street"}, "postalCode": home}}}
}

// Staff are those who act in the examples.
func Staff() []access.User {
	user := func(id, name string, role access.Role, at ident.ODSCode) access.User {
		return access.User{Principal: access.Principal{ID: id, Name: name, Role: role, Organisation: at, Assurance: "AAL2"}, Demo: true}
	}
	return []access.User{
		user(Referrer, "Dr Ada Rowntree", access.Clinician, Practice), user(Secretary, "Mr Piers Quill", access.Clerk, Practice),
		user(Reviewer, "Dr Bram Okonjo", access.Clinician, Provider), user(Booker, "Ms Lena Frost", access.Clerk, Provider),
		user(Both, "Dr Cass Wynne", access.Clinician, Provider), user(Alone, "Dr Una Steele", access.Clinician, Site), user(SiteClerk, "Mr Owen Birch", access.Clerk, Site),
		user(Colleague, "Dr Ivo Lark", access.Clinician, Practice), user(Adviser, "Dr Mina Vale", access.Clinician, Practice),
	}
}

// Tenant is the hospital of the examples, whose clinics the national node of a demonstration keeps.
func Tenant() node.TenantConfig {
	return node.TenantConfig{Code: Provider.String(), Name: providerName, Kind: "hospital"}
}

const providerName = "The hospital of the published examples"

// Load puts the organisations, services, patients and staff into a national node.
func Load(ctx context.Context, n *node.Node) error {
	k := n.Kernel()
	docs := []object{practice(), organisation(Provider, providerName), organisation(Site, "A site of the published examples"),
		patient(Patient, "Fairweather", "Nora", "female", "1968-03-11"), patient(Second, "Copperfield", "Jonas", "male", "1954-09-02"), patient(Third, "Marchbank", "Elsie", "female", "1981-12-24")}
	if err := write(ctx, n, docs); err != nil {
		return err
	}
	if err := Offer(ctx, n, Services()...); err != nil {
		return err
	}
	if err := k.Gate.PutUsers(ctx, Staff()); err != nil {
		return err
	}
	for user, at := range map[string]ident.ODSCode{Both: Practice, Referrer: Provider} {
		if _, err := k.Gate.GiveRole(ctx, access.Service("seed", k.National), user, access.Profile{Role: access.Clinician, Organisation: at}, "works at both"); err != nil {
			return err
		}
	}
	for _, number := range []string{Patient, Second, Third} {
		if err := Register(ctx, n, number, Practice); err != nil {
			return err
		}
	}
	return nil
}

// Offer writes services in the directory, in place of what it says of them.
func Offer(ctx context.Context, n *node.Node, list ...Service) error {
	docs := make([]object, len(list))
	for i, s := range list {
		docs[i] = s.resource()
	}
	return write(ctx, n, docs)
}

// Register makes somebody a practice's patient.
func Register(ctx context.Context, n *node.Node, number string, practice ident.ODSCode) error {
	k := n.Kernel()
	return k.DB.Write(ctx, []store.Lane{k.Gate.Lane(k.National, number)}, func(tx *store.Tx) error {
		return k.Gate.Relate(tx, access.Relationship{Tenant: k.National, Chart: number, Organisation: practice, Kind: access.KindRegistered, Basis: "registered", By: "seed"})
	})
}

func write(ctx context.Context, n *node.Node, docs []object) error {
	l := n.Loader("seed", n.Kernel().National, nil)
	for _, doc := range docs {
		body, err := json.Marshal(doc)
		if err != nil {
			return fault.Wrap(err, fault.Internal, "a published example cannot be written")
		}
		res, err := fhir.Parse(body)
		if err != nil {
			return err
		}
		if err := l.Add(ctx, res); err != nil {
			return err
		}
	}
	return l.Flush(ctx)
}
