package referral

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// Person is who is referred, as the national register has them.
type Person struct {
	Chart      string
	Number     ident.NHSNumber
	Resource   *fhir.Resource
	Restricted bool
}

// person is the patient of a number, whom the caller may see. Error: fault.NotFound.
func (s *Referrals) person(ctx context.Context, c Caller, n ident.NHSNumber) (Person, error) {
	ref := record.Ref{Tenant: s.k.National, Type: "Patient", ID: n.String()}
	place, err := s.k.Records.Locate(ctx, ref)
	if err != nil {
		return Person{}, err
	}
	grants, err := c.Ask(access.Act{Action: access.Read, Place: place})
	if err != nil {
		return Person{}, err
	}
	v, err := s.k.Records.Read(ctx, grants[0], ref)
	if err != nil {
		return Person{}, err
	}
	return Person{Chart: v.Chart, Number: n, Resource: v.Resource, Restricted: place.Label.Hidden() || restricted(v.Resource)}, nil
}

// personIn is a patient by their chart, for what this package itself sends.
func (s *Referrals) personIn(tx *store.Tx, chart string) (Person, error) {
	ref := record.Ref{Tenant: s.k.National, Type: "Patient", ID: chart}
	g, err := s.k.Gate.DecideIn(tx, s.service(), access.Read, access.Place{Tenant: ref.Tenant, Chart: chart, Type: ref.Type, ID: chart, Exists: true})
	if err != nil {
		return Person{}, err
	}
	v, err := s.k.Records.ReadTx(tx, g, ref)
	if err != nil {
		return Person{}, err
	}
	return Person{Chart: chart, Resource: v.Resource, Restricted: restricted(v.Resource)}, nil
}

// restricted reports whether the record says of itself that the person is hidden (v3-Confidentiality R, V).
func restricted(r *fhir.Resource) bool {
	for s := range r.Get("meta.security").Items() {
		if c := s.Field("code").String(); c == "R" || c == "V" {
			return true
		}
	}
	return false
}

// Dead reports whether the register says that the person has died.
func (p Person) Dead() bool {
	return p.Resource.Get("deceasedDateTime").Exists() || p.Resource.Get("deceasedBoolean").Bool()
}

// Sex is female or male; empty where the register says neither.
func (p Person) Sex() string {
	if g := p.Resource.Get("gender").String(); g == "female" || g == "male" {
		return g
	}
	return ""
}

// Outward is the first part of where they live's postcode; empty where it is not known or must not be told.
func (p Person) Outward() string {
	if p.Restricted {
		return ""
	}
	first, _, _ := strings.Cut(p.address().Field("postalCode").String(), " ")
	return first
}

// current is the item of a list that holds now, of a use if there is one.
func current(list fhir.Node, use string) (now fhir.Node) {
	for n := range list.Items() {
		if n.Get("period.end").String() != "" || n.Field("use").String() == "old" {
			continue
		}
		if n.Field("use").String() == use {
			return n
		}
		if !now.Exists() {
			now = n
		}
	}
	return now
}

func (p Person) name() fhir.Node    { return current(p.Resource.Get("name"), "usual") }
func (p Person) address() fhir.Node { return current(p.Resource.Get("address"), "home") }

func (p Person) telecom(system string) string {
	for t := range p.Resource.Get("telecom").Items() {
		if t.Field("system").String() == system && t.Get("period.end").String() == "" && t.Field("use").String() != "old" {
			return t.Field("value").String()
		}
	}
	return ""
}

func joined(list fhir.Node, between string) string {
	var all []string
	for n := range list.Items() {
		if s := strings.TrimSpace(n.String()); s != "" {
			all = append(all, s)
		}
	}
	return strings.Join(all, between)
}

func (p Person) addressText() string {
	a := p.address()
	parts := []string{joined(a.Field("line"), ", ")}
	for _, name := range []string{"city", "postalCode"} {
		parts = append(parts, a.Field(name).String())
	}
	text := ""
	for _, s := range parts {
		if s != "" {
			text += ", " + s
		}
	}
	return strings.TrimPrefix(text, ", ")
}

// booked is the person as a hospital is told of them. Of somebody who is hidden it is not told where they are.
func (p Person) booked(n ident.NHSNumber) booking.Person {
	b := booking.Person{NHSNumber: n, Prefix: joined(p.name().Field("prefix"), " "), Given: joined(p.name().Field("given"), " "), Family: p.name().Field("family").String(),
		Born: p.Resource.Get("birthDate").String(), Gender: p.Resource.Get("gender").String(), Died: p.Resource.Get("deceasedDateTime").String()}
	if !p.Restricted {
		b.Address, b.Phone, b.Email = p.addressText(), p.telecom("phone"), p.telecom("email")
	}
	return b
}

// banner is the person for the top of each page about them.
func (p Person) banner() *web.PersonBanner {
	b := &web.PersonBanner{Family: p.name().Field("family").String(), Given: joined(p.name().Field("given"), " "), Title: joined(p.name().Field("prefix"), " "),
		Born: format.FHIR(p.Resource.Get("birthDate").String()), NHSNumber: p.Number.String(), Restricted: p.Restricted, Died: format.FHIR(p.Resource.Get("deceasedDateTime").String()), Dead: p.Dead(),
		Allergies: web.Allergies{Elsewhere: true}}
	if g := p.Resource.Get("gender").String(); g != "" {
		b.Gender = strings.ToUpper(g[:1]) + g[1:]
	}
	if !p.Restricted {
		b.Address, b.Phone = strings.ReplaceAll(p.addressText(), "\u00a0", " "), p.telecom("phone")
	}
	return b
}

// ServiceQuery is what a referrer looks for among services, for one person.
type ServiceQuery struct {
	Text      string
	Specialty string // of SNOMED CT, as the directory has it
	Priority  Priority
	// Take are the kinds of request, one of which is taken; 0 for all.
	Take directory.Flows
	// Within is how far away at most, in kilometres; 0 for no limit.
	Within float64
	IDs    []string // these only; nil for all
}

// FoundService is a service that takes the person, with what it has to offer.
type FoundService struct {
	directory.FoundService
	Free Free
	// Wait is in days until the first free slot, and where there is none what the provider says; -1 for not known.
	Wait int
}

// Choice is the service for a shortlist. Error: fault.Internal when the directory's code of its provider is none.
func (f FoundService) Choice() (Choice, error) {
	code, err := ident.ParseODSCode(f.Provider)
	return Choice{Service: f.ID, Name: f.Name, Provider: code, ProviderName: f.ProviderName}, err
}

// Services finds services for a person: those that take them, those with a free slot first, then the sooner and the nearer. Of the first 50 the free slots are counted, of others it is known whether there is one. Error: fault.Unavailable
// while the directory's tables are being written anew.
func (s *Referrals) Services(ctx context.Context, person Person, q ServiceQuery) ([]FoundService, error) {
	now := s.k.Clock.Now()
	list, err := s.places.Services(ctx, directory.ServiceQuery{Text: q.Text, Specialty: q.Specialty, Near: person.Outward(), Sex: person.Sex(), Age: person.Age(now), Take: q.Take, IDs: q.IDs})
	if err != nil {
		return nil, err
	}
	list = slices.DeleteFunc(list, func(x directory.FoundService) bool { return q.Within > 0 && x.Km > q.Within })
	ids := make([]string, len(list))
	for i, x := range list {
		ids[i] = x.ID
	}
	most := int64(1)
	if len(ids) <= mostShown {
		most = MostCounted // they are all shown: once is enough
	}
	free, err := s.frees(ctx, ids, person.fitsAll(list, now), most)
	if err != nil {
		return nil, err
	}
	found := make([]FoundService, 0, len(list))
	for _, x := range list {
		f := FoundService{FoundService: x, Free: free[x.ID], Wait: x.Wait}
		if f.Free.Slots > 0 {
			f.Wait = int(f.Free.First.Sub(now).Hours() / 24)
		}
		found = append(found, f)
	}
	rank(found, q.Priority)
	if most > 1 {
		return found, nil
	}
	return found, s.count(ctx, person, found[:min(len(found), mostShown)])
}

// count says of services how many free slots they have that somebody can have.
func (s *Referrals) count(ctx context.Context, person Person, found []FoundService) error {
	ids, list := make([]string, len(found)), make([]directory.FoundService, len(found))
	for i, x := range found {
		ids[i], list[i] = x.ID, x.FoundService
	}
	free, err := s.frees(ctx, ids, person.fitsAll(list, s.k.Clock.Now()), MostCounted)
	for i, x := range found {
		if f, ok := free[x.ID]; ok {
			found[i].Free = f
		}
	}
	return err
}

// possible are all services that take a person, without what they have to offer.
func (s *Referrals) possible(ctx context.Context, person Person, take directory.Flows) (found []FoundService, err error) {
	list, err := s.places.Services(ctx, directory.ServiceQuery{Sex: person.Sex(), Age: person.Age(s.k.Clock.Now()), Take: take})
	for _, x := range list {
		found = append(found, FoundService{FoundService: x})
	}
	return found, err
}

// choices are the services of ids for a person, in their order. Errors: fault.NotFound for one that is not there; fault.Unprocessable for one that does not
// take the person; fault.Invalid for none, or too many.
func (s *Referrals) choices(ctx context.Context, ids []string, person Person, now time.Time) ([]Choice, error) {
	list, _, err := s.choicesTaking(ctx, ids, person, now)
	return list, err
}

// choicesTaking is choices with what each of them takes.
func (s *Referrals) choicesTaking(ctx context.Context, ids []string, person Person, now time.Time) ([]Choice, []directory.Flows, error) {
	if len(ids) > MostChoices { // before a query is made of each of them
		return nil, nil, fault.New(fault.Invalid, "A shortlist names 1 to %d services.", MostChoices)
	}
	all, err := s.places.Services(ctx, directory.ServiceQuery{Age: -1, IDs: append([]string{}, ids...)})
	if err != nil {
		return nil, nil, err
	}
	byID := map[string]directory.FoundService{}
	for _, x := range all {
		byID[x.ID] = x
	}
	var list []Choice
	var take []directory.Flows
	for _, id := range ids {
		x, ok := byID[id]
		if !ok {
			return nil, nil, fault.New(fault.NotFound, "There is no service %q that can be referred to.", id)
		}
		if (directory.HealthcareService{Sex: x.Sex, Youngest: x.Youngest, Oldest: x.Oldest}).Takes(person.Sex(), person.Age(now)) {
			c, err := (FoundService{FoundService: x}).Choice()
			if err != nil {
				return nil, nil, fault.Wrap(err, fault.Internal, "a service's provider has no code")
			}
			list, take = append(list, c), append(take, x.Flows)
			continue
		}
		return nil, nil, fault.New(fault.Unprocessable, "%s does not take this person: their age or sex is outside what it says.", x.Name)
	}
	return list, take, checkShortlist(list)
}

// choicesFor is choices for the person of a chart.
func (s *Referrals) choicesFor(ctx context.Context, ids []string, chart string) ([]Choice, error) {
	var person Person
	err := s.read(ctx, func(tx *store.Tx) (err error) {
		person, err = s.personIn(tx, chart)
		return err
	})
	if err != nil {
		return nil, err
	}
	return s.choices(ctx, ids, person, s.k.Clock.Now())
}

// choiceFor is a service to which a referral can be passed on, of whichever provider. Error: fault.NotFound.
func (s *Referrals) choiceFor(ctx context.Context, id string, r Referral) (*Choice, error) {
	if c, ok := r.ChoiceOf(id); ok {
		return &c, nil
	}
	all, err := s.places.Services(ctx, directory.ServiceQuery{Age: -1, IDs: []string{id}})
	if err != nil {
		return nil, err
	}
	for _, x := range all {
		if x.ID == id {
			c, err := (FoundService{FoundService: x}).Choice()
			return &c, err
		}
	}
	return nil, fault.New(fault.NotFound, "There is no service %q that can be referred to.", id)
}
