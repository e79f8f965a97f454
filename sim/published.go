package sim

import (
	_ "embed"
	"slices"
	"strings"
	"time"

	"github.com/BurntSushi/toml"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

//go:embed published.toml
var publishedTOML string

// publishedPerson is the facts of one of the Personal Demographics Service's published examples.
type publishedPerson struct {
	Number, Confidentiality, Gender, Born, Died string
	Twin                                        int
	Name                                        []publishedName
	Address                                     []publishedAddress
	Telecom                                     []publishedTelecom
	Practice                                    struct{ ID, Code, From, To string }
	More                                        *publishedMore
}

type publishedName struct {
	ID, Use, Family, From, To string
	Prefix, Given, Suffix     []string
}

type publishedAddress struct {
	ID, Use, Text, Postcode, From, To, PAF, UPRN string
	Lines                                        []string
}

type publishedTelecom struct{ ID, System, Value, Use, From, To, Other, Meaning string }

// publishedMore is what only the fullest example has.
type publishedMore struct {
	Managing, Pharmacy, Dispenser, Appliances, Language, Removal string
	ManagingFrom                                                 string `toml:"managing_from"`
	ManagingTo                                                   string `toml:"managing_to"`
	LanguageName                                                 string `toml:"language_name"`
	Interpreter                                                  bool
	WrittenFormat                                                string `toml:"written_format"`
	WrittenFormatName                                            string `toml:"written_format_name"`
	ContactMethod                                                string `toml:"contact_method"`
	ContactMethodName                                            string `toml:"contact_method_name"`
	ContactTimes                                                 string `toml:"contact_times"`
	BirthCity                                                    string `toml:"birth_city"`
	BirthDistrict                                                string `toml:"birth_district"`
	BirthCountry                                                 string `toml:"birth_country"`
	RemovalName                                                  string `toml:"removal_name"`
	RemovalFrom                                                  string `toml:"removal_from"`
	RemovalTo                                                    string `toml:"removal_to"`
	EmergencyID                                                  string `toml:"emergency_id"`
	EmergencyPhone                                               string `toml:"emergency_phone"`
	EmergencyFrom                                                string `toml:"emergency_from"`
	EmergencyTo                                                  string `toml:"emergency_to"`
}

func loadPublished() ([]publishedPerson, error) {
	var list struct{ Person []publishedPerson }
	meta, err := toml.Decode(publishedTOML, &list)
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "the table of published people cannot be read")
	}
	if unread := meta.Undecoded(); len(unread) > 0 {
		return nil, fault.New(fault.Internal, "the table of published people says %v, which is not understood", unread)
	}
	slices.SortFunc(list.Person, func(a, b publishedPerson) int { return strings.Compare(a.Number, b.Number) })
	for _, p := range list.Person {
		if _, err := ident.ParseNHSNumber(p.Number); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "the table of published people holds a wrong number")
		}
	}
	return list.Person, nil
}

// dayIn is the day of a date or time in the table; zero for none.
func dayIn(s string) Day {
	if len(s) < 10 {
		return 0
	}
	t, err := time.Parse(time.DateOnly, s[:10])
	if err != nil {
		return 0
	}
	return DayOf(t)
}

// Published is the people of the Personal Demographics Service's published examples, in the order of their numbers.
// Their indexes are -1: they are not among the generated.
func (k *Country) Published() []*Person {
	var people []*Person
	for i := range k.publics {
		people = append(people, k.publics[i].person())
	}
	return people
}

func (f *publishedPerson) person() *Person {
	p := &Person{
		Index: -1, Mother: -1, Father: -1, Partner: -1, Emergency: -1, Same: -1, publics: f,
		NHSNumber: ident.MustNHSNumber(f.Number), Gender: f.Gender, Born: dayIn(f.Born), Died: dayIn(f.Died), Twin: f.Twin,
		Restricted: f.Confidentiality == "R", Since: dayIn(f.Practice.From),
	}
	for _, n := range f.Name {
		p.Names = append(p.Names, Name{
			ID: n.ID, Use: n.Use, Prefix: strings.Join(n.Prefix, " "), Given: n.Given, Family: n.Family, Suffix: n.Suffix,
			From: dayIn(n.From), To: dayIn(n.To),
		})
	}
	for _, a := range f.Address {
		p.Addresses = append(p.Addresses, Address{
			ID: a.ID, Use: a.Use, Text: a.Text, Lines: a.Lines, Postcode: a.Postcode, From: dayIn(a.From), To: dayIn(a.To),
			PAF: a.PAF, UPRN: a.UPRN,
		})
	}
	for _, t := range f.Telecom {
		p.Telecoms = append(p.Telecoms, Telecom{
			ID: t.ID, System: t.System, Use: t.Use, Value: t.Value, From: dayIn(t.From), To: dayIn(t.To), Other: t.Other, Meaning: t.Meaning,
		})
	}
	if f.Practice.Code != "" {
		p.Practice = ident.MustODSCode(f.Practice.Code)
	}
	if f.More != nil {
		p.Pharmacy = ident.MustODSCode(f.More.Pharmacy)
	}
	return p
}

// publishedItems yields the published people; false means that nothing more is wanted.
func (k *Country) publishedItems(yield func(Item) bool) bool {
	for _, p := range k.Published() {
		id := p.NHSNumber.String()
		if !yield(Item{Tenant: National, Chart: id, Type: "Patient", ID: id, Resource: k.Patient(p)}) {
			return false
		}
	}
	return true
}

// suppliers are the nominations beside the pharmacy; they stand before a death notice.
func (m *publishedMore) suppliers(w *writer) {
	w.nomination("PreferredDispenserOrganization", m.Dispenser)
	w.nomination("MedicalApplianceSupplier", m.Appliances)
}

// preferences are the extensions that stand after a death notice.
func (m *publishedMore) preferences(w *writer) {
	w.language(m.Language, m.LanguageName, m.Interpreter)
	w.extension(ukExtension+"ContactPreference", func() {
		w.array("extension", func() {
			w.preference("PreferredWrittenCommunicationFormat", m.WrittenFormat, m.WrittenFormatName)
			w.preference("PreferredContactMethod", m.ContactMethod, m.ContactMethodName)
			w.extension("PreferredContactTimes", func() { w.text("valueString", m.ContactTimes) })
		})
	})
	w.extension("http://hl7.org/fhir/StructureDefinition/patient-birthPlace", func() {
		w.object("valueAddress", func() {
			w.text("city", m.BirthCity)
			w.text("district", m.BirthDistrict)
			w.text("country", m.BirthCountry)
		})
	})
	w.extension(pdsExtension+"RemovalFromRegistration", func() {
		w.array("extension", func() {
			w.extension("removalFromRegistrationCode", func() {
				w.concept("valueCodeableConcept", pdsCodes+"RemovalReasonExitCode", m.Removal, m.RemovalName)
			})
			w.extension("effectiveTime", func() {
				w.object("valuePeriod", func() {
					w.text("start", m.RemovalFrom)
					w.text("end", m.RemovalTo)
				})
			})
		})
	})
}

func (w *writer) preference(kind, code, display string) {
	w.extension(kind, func() { w.concept("valueCodeableConcept", ukCodes+kind, code, display) })
}

// contact is the emergency contact of a published example, and its managing organisation.
func (f *publishedPerson) contact(w *writer) {
	m := f.More
	if m == nil {
		return
	}
	w.array("contact", func() {
		w.item(func() {
			w.text("id", m.EmergencyID)
			w.period(dayIn(m.EmergencyFrom), dayIn(m.EmergencyTo))
			w.concepts("relationship", "http://terminology.hl7.org/CodeSystem/v2-0131", "C", "Emergency Contact")
			w.array("telecom", func() { w.telecom("phone", m.EmergencyPhone, "") })
		})
	})
	w.object("managingOrganization", func() {
		w.text("type", "Organization")
		w.organisation(m.Managing, dayIn(m.ManagingFrom), dayIn(m.ManagingTo))
	})
}
