package directory

import (
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/ident"
)

// Day is a day of the calendar as 2006-01-02; empty when it is not known. Days compare as text.
type Day string

// DayOf is the day of an instant, in UTC.
func DayOf(t time.Time) Day { return Day(t.UTC().Format(time.DateOnly)) }

// Known reports whether there is a day.
func (d Day) Known() bool { return d != "" }

// Before is the day before d; the zero Day for one that is not known.
func (d Day) Before() Day {
	t, err := time.Parse(time.DateOnly, string(d))
	if err != nil {
		return ""
	}
	return DayOf(t.AddDate(0, 0, -1))
}

// Span is from a first to a last day, both included; either may be open.
type Span struct{ From, To Day }

// On reports whether the span includes a day.
func (s Span) On(d Day) bool {
	return (s.From == "" || s.From <= d) && (s.To == "" || d <= s.To)
}

// State is how an organisation stands in the register (the status of the ODS files).
type State string

// The states of an organisation.
const (
	Open     State = "active"
	Closed   State = "closed"
	Dormant  State = "dormant"
	Proposed State = "proposed"
)

// Role is what an organisation does, of the ODSOrganisationRole code system. The dates are its operational ones.
type Role struct {
	Code     string
	Active   bool
	Span     Span
	Legal    Span  // where the law has dates of its own; zero when it has not
	Instance int64 // the register's number of this role of this organisation; 0 before it is kept
}

// Organisation is one organisation or site of the register.
type Organisation struct {
	Code     ident.ODSCode
	Name     string
	Site     bool // a place of another organisation (record class RC2)
	RefOnly  bool // kept only because others refer to it
	State    State
	Assigner string // the authority that gave the code
	Changed  Day    // when the register last changed it
	Roles    []Role
	Lines    []string // of the address, before town and county
	Town     string
	County   string
	Postcode string
	Country  string // ENGLAND, WALES …, as the register writes it
	UPRN     string // of the address
	Phone    string
	Website  string
	// Setting is the prescribing setting of the ODS files, 0 to 25; empty elsewhere.
	Setting string
	// Areas are the geographies that it lies in, by the names of the postcode directory: NHSER, ICB, LA, LSOA11 …
	Areas []Area
	// Successions are those who took over from it.
	Successions []Succession
}

// Area is one geography: its kind and its code.
type Area struct{ Kind, Code string }

// Succession says who takes over from an organisation, and when.
type Succession struct {
	Successor ident.ODSCode
	On        Day
}

// Primary is the organisation's primary role; ok is false when it has none.
func (o Organisation) Primary() (Role, bool) {
	for _, r := range o.Roles {
		if rolePrimary(r.Code) {
			return r, true
		}
	}
	return Role{}, false
}

// Open is when it began and ended, as its primary role says.
func (o Organisation) Span() Span {
	r, _ := o.Primary()
	return r.Span
}

// Active reports whether it is open.
func (o Organisation) Active() bool { return o.State == Open }

// Has reports whether it holds a role now.
func (o Organisation) Has(role string) bool {
	return slices.ContainsFunc(o.Roles, func(r Role) bool { return r.Code == role && r.Active })
}

// Outward is the outward code of its postcode; empty when there is none that can be read.
func (o Organisation) Outward() string {
	pc, err := ident.ParsePostcode(o.Postcode)
	if err != nil {
		return ""
	}
	return pc.Outward()
}

// Address is the address in one line.
func (o Organisation) Address() string {
	parts := append(slices.Clone(o.Lines), o.Town, o.County, o.Postcode)
	return strings.Join(slices.DeleteFunc(parts, func(s string) bool { return s == "" }), ", ")
}

// Relationship is what one organisation is to another, of the ODSRelationship code system.
type Relationship struct {
	ID     string // the register's number of it
	Type   string // RE4: is commissioned by …
	From   ident.ODSCode
	To     ident.ODSCode
	Active bool
	Span   Span
	Legal  Span // where the law has dates of its own; zero when it has not
}
