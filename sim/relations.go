package sim

import (
	"iter"

	"github.com/openspine/openspine/ident"
)

// Relationship says that an organisation or a user may look at a chart because it cares for the person.
type Relationship struct {
	Tenant ident.ODSCode // whose chart
	Chart  string
	// Organisation cares for the person; all its clinicians may look. Zero when User is given.
	Organisation ident.ODSCode
	// User is the sign-in id of the one person who may look; empty when Organisation is given.
	User string
	// Kind is registered (with the practice), patient (of the hospital), nominated (the pharmacy) or self.
	Kind string
}

// Relationships is every relationship of the country, in ascending order of the national chart. Restricted people have
// none but their own: whoever needs to see them must say why.
func (k *Country) Relationships() iter.Seq[Relationship] {
	return func(yield func(Relationship) bool) {
		for p := range k.Everyone() {
			for _, r := range k.RelationshipsOf(p) {
				if !yield(r) {
					return
				}
			}
		}
	}
}

// RelationshipsOf is who cares for one person.
func (k *Country) RelationshipsOf(p *Person) []Relationship {
	var all []Relationship
	number := p.NHSNumber.String()
	if p.Key == "patient" {
		all = append(all, Relationship{Tenant: National, Chart: number, User: "patient", Kind: "self"})
	}
	if p.Restricted {
		return all
	}
	add := func(organisation ident.ODSCode, kind string) {
		all = append(all, Relationship{Tenant: National, Chart: number, Organisation: organisation, Kind: kind})
		if id := p.chartAt(organisation); id != "" {
			all = append(all, Relationship{Tenant: organisation, Chart: id, Organisation: organisation, Kind: kind})
		}
	}
	if p.Practice == Practice {
		add(Practice, "registered")
	}
	if !p.Hospital.IsZero() {
		add(p.Hospital, "patient")
	}
	if p.Pharmacy == Pharmacy {
		add(Pharmacy, "nominated")
	}
	return all
}

// ChartAt is the id of the person's Patient at a tenant; empty where the tenant has no chart of theirs.
func (p *Person) ChartAt(tenant ident.ODSCode) string {
	if tenant == National {
		return p.NHSNumber.String()
	}
	return p.chartAt(tenant)
}

// Stop is one stop of the tour: who to be, whom to find, and what is worth doing there.
type Stop struct {
	// Do is find, correct, look (who looked), break-glass, stranger, double (one person under two numbers), namesakes, self, refer (and choose and book), or clinic (who was booked comes).
	Do   string
	User User
	// Person is whom the stop is about, and Chart their Patient's id in Tenant.
	Person *Person
	Tenant ident.ODSCode
	Chart  string
	// Element, Is and Should say, for a correction, what stands wrongly where in the Patient and what is right.
	Element, Is, Should string
}

// Tour is a tour of some minutes: a clinician finds and corrects a person, tells two namesakes apart, breaks glass for a
// restricted person; a stranger sees nothing; the records office finds one person under two numbers; the patient and the privacy officer see who looked;
// the clinician refers the person to a hospital, who chooses a time and books it, and the hospital's clinic has them in its diary.
func (k *Country) Tour() ([]Stop, error) {
	users := map[string]User{}
	for _, u := range k.Users() {
		users[u.ID] = u
	}
	plan := []struct{ do, user, whom string }{
		{"find", "gp", "correct"}, {"correct", "gp", "correct"}, {"namesakes", "gp", "namesake-1"}, {"break-glass", "gp", "restricted"},
		{"stranger", "stranger", "correct"}, {"double", "records", "double-1"}, {"self", "patient", "patient"}, {"look", "privacy", "restricted"},
		{"refer", "gp", "correct"}, {"clinic", "clerk", "correct"},
	}
	var tour []Stop
	for _, s := range plan {
		p, err := k.Character(s.whom)
		if err != nil {
			return nil, err
		}
		stop := Stop{Do: s.do, User: users[s.user], Person: p, Tenant: National, Chart: p.NHSNumber.String()}
		if s.do == "correct" {
			stop.Element, stop.Is, stop.Should = "name[0].given[0]", p.Names[0].Given[0], "George"
		}
		tour = append(tour, stop)
	}
	return tour, nil
}
