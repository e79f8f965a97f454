package patients

import (
	"context"
	"strings"
	"unicode"

	"golang.org/x/text/unicode/norm"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// person is somebody as one organisation's record has them.
type person struct {
	tenant       catalogue.Tenant
	version      record.Version
	patient      *fhir.Resource
	practiceName func(ident.ODSCode) string
	hidden       bool // restricted: whereabouts are kept from view
}

func (f *face) personOf(ctx context.Context, t catalogue.Tenant, v record.Version, place access.Place) person {
	return person{practiceName: func(code ident.ODSCode) string { return f.k.Organisation(ctx, code) }, tenant: t, version: v, patient: v.Resource, hidden: place.Label.Hidden() || restricted(v.Resource)}
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

func (p person) id() string         { return p.version.ID }
func (p person) url() string        { return chartURL(p.tenant.Code, p.id()) }
func (p person) name() fhir.Node    { return current(p.patient.Get("name"), "usual", "official") }
func (p person) family() string     { return p.name().Field("family").String() }
func (p person) given() string      { return words(p.name().Field("given")) }
func (p person) title() string      { return words(p.name().Field("prefix")) }
func (p person) address() fhir.Node { return current(p.patient.Get("address"), "home") }
func (p person) born() format.Partial {
	return format.FHIR(p.patient.Get("birthDate").String())
}

// display is the person as lists name them: "SMITH, John (Mr)".
func (p person) display(ctx context.Context) string { return p.banner().Name(ctx) }

// number is the NHS number; "" where none is known.
func (p person) number() string { return identifier(p.patient, ident.SystemNHSNumber) }

func identifier(r *fhir.Resource, system string) string {
	for i := range r.Get("identifier").Items() {
		if i.Field("system").String() == system && i.Get("period.end").String() == "" {
			return i.Field("value").String()
		}
	}
	return ""
}

func (p person) localNumber() string {
	for i := range p.patient.Get("identifier").Items() {
		if i.Field("system").String() != ident.SystemNHSNumber && i.Field("use").String() == "usual" {
			return i.Field("value").String()
		}
	}
	return ""
}

// telecom is the first current number or address of a kind: phone, email.
func (p person) telecom(system string) fhir.Node {
	for t := range p.patient.Get("telecom").Items() {
		if t.Field("system").String() == system && t.Get("period.end").String() == "" && t.Field("use").String() != "old" {
			return t
		}
	}
	return fhir.Node{}
}

func (p person) practice() string {
	gp := p.patient.Get("generalPractitioner").Index(0)
	if d := gp.Field("display").String(); d != "" {
		return d
	}
	if v := gp.Get("identifier.value").String(); v != "" {
		if code, err := ident.ParseODSCode(v); err == nil && p.practiceName != nil {
			return p.practiceName(code)
		}
		return v
	}
	return strings.TrimPrefix(gp.Field("reference").String(), "Organization/")
}

// addressText is an address on one line. A postcode is not broken over two: its space is one that does not break.
func addressText(a fhir.Node) string {
	var parts []string
	for l := range a.Field("line").Items() {
		if s := strings.TrimSpace(l.String()); s != "" {
			parts = append(parts, s)
		}
	}
	for _, name := range []string{"city", "postalCode"} {
		if s := a.Field(name).String(); s != "" {
			if name == "postalCode" {
				s = strings.ReplaceAll(s, " ", "\u00a0")
			}
			parts = append(parts, s)
		}
	}
	return strings.Join(parts, ", ")
}

// banner is the person for the top of each page about them, without what the chart knows of allergies.
func (p person) banner() web.PersonBanner {
	b := web.PersonBanner{Family: p.family(), Given: p.given(), Title: p.title(), Born: p.born(), NHSNumber: p.number(),
		LocalNumber: p.localNumber(), LocalName: p.tenant.Name, Restricted: p.hidden,
		Address: addressText(p.address()), Phone: p.telecom("phone").Field("value").String(), Practice: p.practice()}
	if g := p.patient.Get("gender").String(); g != "" {
		b.Gender = strings.ToUpper(g[:1]) + g[1:]
	}
	b.Died = format.FHIR(p.patient.Get("deceasedDateTime").String())
	b.Dead = p.patient.Get("deceasedBoolean").Bool()
	return b
}

// current is the item of a list that holds now: of the uses wanted if there is one, never an old one where there is another.
func current(list fhir.Node, uses ...string) fhir.Node {
	var first, now fhir.Node
	for n := range list.Items() {
		if !first.Exists() {
			first = n
		}
		use := n.Field("use").String()
		if n.Get("period.end").String() != "" || use == "old" || use == "maiden" || use == "temp" {
			continue
		}
		for _, u := range uses {
			if u == use {
				return n
			}
		}
		if !now.Exists() {
			now = n
		}
	}
	if now.Exists() {
		return now
	}
	return first
}

// words are the texts of a list with spaces between.
func words(list fhir.Node) string {
	var all []string
	for n := range list.Items() {
		all = append(all, n.String())
	}
	return strings.Join(all, " ")
}

// formerly is the family name by which somebody was found, when it is not the one they have now; else "".
func (p person) formerly(typed string) string {
	if typed == "" || strings.HasPrefix(foldText(p.family()), foldText(typed)) {
		return ""
	}
	for n := range p.patient.Get("name").Items() {
		if f := n.Field("family").String(); strings.HasPrefix(foldText(f), foldText(typed)) {
			return f
		}
	}
	return ""
}

// foldText is a text without accents and capitals.
func foldText(s string) string {
	return strings.ToLower(strings.Map(func(r rune) rune {
		if unicode.Is(unicode.Mn, r) {
			return -1
		}
		return r
	}, norm.NFD.String(s)))
}
