package directory

import (
	"strconv"
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/ident"
)

// Extensions of our own for what a clinic type needs and R4's HealthcareService has no place for.
const (
	extensionWait = "https://openspine.example/fhir/StructureDefinition/indicative-wait"
	extensionAge  = "https://openspine.example/fhir/StructureDefinition/age-limit"
	// systemGender codes whom a service takes, where it takes one sex alone.
	systemGender = "http://hl7.org/fhir/administrative-gender"
)

// HealthcareService is what an organisation offers to those who refer.
type HealthcareService struct {
	ID            string
	Name          string
	Provider      ident.ODSCode
	Specialty     string // its code, of SNOMED CT
	SpecialtyName string
	Kind          string // of clinic: "Consultant-led clinic"
	Places        []Place
	Wait          int    // indicative, in days; -1 for not known
	Sex           string // female or male; empty for everybody
	Youngest      int    // in whole years; -1 for no limit
	Oldest        int    // in whole years; -1 for no limit
	Others        []string
	Languages     []string
	Criteria      string
	Phone         string
	Comment       string
	Active        bool
	Advice        bool // it answers questions of those who might refer (eRS-RequestFlowType)
	Flows         Flows
	Span          Span
}

// Place is where something is: the id of a Location, and its name where the resource says it.
type Place struct{ ID, Name string }

// Takes reports whether the service takes somebody of a sex (empty for not said) and an age in years (-1 for not said).
func (s HealthcareService) Takes(sex string, age int) bool {
	return (s.Sex == "" || sex == "" || s.Sex == sex) && (age < 0 || (s.Youngest < 0 || s.Youngest <= age) && (s.Oldest < 0 || age <= s.Oldest))
}

// ParseHealthcareService reads a HealthcareService resource, whoever wrote it: what is not said is empty or -1.
func ParseHealthcareService(res *fhir.Resource) HealthcareService {
	s := HealthcareService{ID: res.ID(), Name: res.Get("name").String(), Specialty: res.Get("specialty.0.coding.0.code").String(), SpecialtyName: conceptText(res.Get("specialty.0")),
		Kind: conceptText(res.Get("type.0")), Wait: -1, Youngest: -1, Oldest: -1, Criteria: res.Get("extraDetails").String(), Phone: res.Get("telecom.0.value").String(),
		Comment: res.Get("comment").String(), Active: isActive(res.Get("active"))}
	if c, err := partyOf(res.Get("providedBy")); err == nil {
		s.Provider = c
	}
	for l := range res.Get("location").Items() {
		s.Places = append(s.Places, Place{strings.TrimPrefix(l.Get("reference").String(), "Location/"), l.Get("display").String()})
	}
	for c := range res.Get("communication").Items() {
		s.Languages = append(s.Languages, conceptText(c))
	}
	for e := range res.Get("eligibility").Items() {
		s.readEligibility(e)
	}
	for c := range res.Get("characteristic").Items() {
		s.Flows |= flowOf(c.Get("coding.0.code").String())
	}
	s.Advice = s.Flows.Take(Advises)
	for e := range res.Get("extension").Items() {
		switch e.Get("url").String() {
		case extensionWait:
			s.Wait = wholeNumber(e.Get("valueDuration.value"))
		case extensionRegister:
			s.Span = readSpan(part(e, "period").Get("valuePeriod"))
		}
	}
	return s
}

func (s *HealthcareService) readEligibility(e fhir.Node) {
	code := e.Get("code.coding.0")
	for x := range e.Get("extension").Items() {
		if x.Get("url").String() == extensionAge {
			s.Youngest, s.Oldest = wholeNumber(x.Get("valueRange.low.value")), wholeNumber(x.Get("valueRange.high.value"))
			return
		}
	}
	if code.Get("system").String() == systemGender {
		s.Sex = code.Get("code").String()
		return
	}
	text := conceptText(e.Get("code"))
	if c := e.Get("comment").String(); c != "" {
		text = strings.TrimPrefix(text+": "+c, ": ")
	}
	if text != "" {
		s.Others = append(s.Others, text)
	}
}

// wholeNumber is a number without its fraction; -1 where there is none.
func wholeNumber(n fhir.Node) int {
	f, err := strconv.ParseFloat(n.String(), 64)
	if err != nil || f < 0 || f > 100_000 {
		return -1
	}
	return int(f)
}

// conceptText is a CodeableConcept in words.
func conceptText(c fhir.Node) string {
	for _, path := range []string{"text", "coding.0.display", "coding.0.code"} {
		if s := c.Get(path).String(); s != "" {
			return s
		}
	}
	return ""
}

// values are the service's facts as members of a HealthcareService; a member that is empty says that nothing is known.
func (s HealthcareService) values() []member {
	party := fhir.Obj("reference", "Organization/"+s.Provider.String(), "identifier", fhir.Obj("system", ident.SystemODSCode, "value", s.Provider.String()))
	var specialty, kind, telecom fhir.Value
	if s.Specialty != "" {
		specialty = fhir.Arr(fhir.Obj("coding", fhir.Arr(fhir.Obj("system", ident.SystemSNOMED, "code", s.Specialty, "display", s.SpecialtyName))))
	}
	if s.Kind != "" {
		kind = fhir.Arr(fhir.Obj("text", s.Kind))
	}
	if s.Phone != "" {
		telecom = fhir.Arr(fhir.Obj("system", "phone", "value", s.Phone))
	}
	var places, languages, extensions []fhir.Value
	for _, p := range s.Places {
		places = append(places, fhir.Obj("reference", "Location/"+p.ID, "display", p.Name))
	}
	for _, l := range s.Languages {
		languages = append(languages, fhir.Obj("text", l))
	}
	if s.Wait >= 0 {
		extensions = append(extensions, fhir.Obj("url", extensionWait, "valueDuration", fhir.Obj("value", s.Wait, "unit", "days", "system", "http://unitsofmeasure.org", "code", "d")))
	}
	if s.Span != (Span{}) {
		extensions = append(extensions, fhir.Obj("url", extensionRegister, "extension", fhir.Arr(fhir.Obj("url", "period", "valuePeriod", s.Span.value()))))
	}
	return []member{{"extension", fhir.List(extensions)}, {"active", fhir.Of(s.Active)}, {"providedBy", party}, {"type", kind}, {"specialty", specialty},
		{"location", fhir.List(places)}, {"name", fhir.Of(s.Name)}, {"comment", fhir.Of(s.Comment)}, {"extraDetails", fhir.Of(s.Criteria)}, {"telecom", telecom},
		{"eligibility", fhir.List(s.eligibility())}, {"communication", fhir.List(languages)}}
}

// Resource is the service as a HealthcareService. One that gives advice says that it takes appointments and reads referrals, too.
func (s HealthcareService) Resource() (*fhir.Resource, error) {
	list := s.values()
	if s.Advice {
		var taken []fhir.Value
		for _, flow := range []Flows{Appoints, Triages, Advises} {
			taken = append(taken, fhir.Obj("coding", fhir.Arr(fhir.Obj("system", systemFlows, "code", flow.code()))))
		}
		list = append(list, member{"characteristic", fhir.List(taken)})
	}
	return newResource("HealthcareService", s.ID, list)
}

// eligibility is whom the service takes: a sex, an age, and what else is said in words.
func (s HealthcareService) eligibility() (list []fhir.Value) {
	if s.Sex != "" {
		list = append(list, fhir.Obj("code", fhir.Obj("coding", fhir.Arr(fhir.Obj("system", systemGender, "code", s.Sex)))))
	}
	if s.Youngest >= 0 || s.Oldest >= 0 {
		limit := func(years int) fhir.Value {
			if years < 0 {
				return fhir.Value{}
			}
			return fhir.Obj("value", years, "unit", "years", "system", "http://unitsofmeasure.org", "code", "a")
		}
		list = append(list, fhir.Obj("extension", fhir.Arr(fhir.Obj("url", extensionAge, "valueRange", fhir.Obj("low", limit(s.Youngest), "high", limit(s.Oldest))))))
	}
	for _, o := range s.Others {
		list = append(list, fhir.Obj("code", fhir.Obj("text", o)))
	}
	return list
}

// serviceRow is what a service is found by.
func serviceRow(res *fhir.Resource) [][]any {
	s := ParseHealthcareService(res)
	return [][]any{{partyCode(res.Get("providedBy")), s.Specialty, search.Fold(s.Name), s.Active, s.Name, s.SpecialtyName, s.Kind, s.Sex, s.Wait, s.Youngest, s.Oldest, s.Advice, int64(s.Flows)}}
}

// member is one element of a resource.
type member struct {
	name  string
	value fhir.Value
}

// newResource is a resource of some members.
func newResource(typ, id string, members []member) (*fhir.Resource, error) {
	all := []any{"resourceType", typ, "id", id}
	for _, m := range members {
		all = append(all, m.name, m.value)
	}
	return fhir.Obj(all...).Resource()
}
