package demographics

import (
	"errors"
	"net/http"
	"net/url"
	"slices"

	"github.com/google/uuid"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// Desk is where somebody is served by a person rather than a program: the pages of the register. What is found, shown and changed there
// goes by the rules of the published API, in the same access modes and by the same code.
type Desk struct {
	s *register
	c *call
}

// Desk serves whoever sent a request. Error: fault.NotFound where the request is not addressed to the national tenant.
func (r *Register) Desk(req *http.Request, ask catalogue.Asker) (Desk, error) {
	if catalogue.TenantOf(req) != r.s.k.National {
		return Desk{}, fault.New(fault.NotFound, "The national register is at the national node.")
	}
	return Desk{r.s, &call{r: req, ask: ask, mode: modeOf(ask.Principal)}}, nil
}

// Document is a Patient as it decodes from JSON, for whoever says what it should be.
type Document = map[string]any

// Person is somebody as the register holds them now.
type Person struct {
	// Number is the number that speaks for the person; it is not the one that was asked for when that is superseded.
	Number ident.NHSNumber
	// Restricted says that nothing may be shown that tells where the person is: Shown has nothing of it, and nobody amends the record.
	Restricted bool
	// Shown is the record in the published shape.
	Shown *fhir.Resource
	// Version is when and by whom it was written. Its resource is the record itself: it is for changing, not for showing.
	Version record.Version

	found found
}

// Document is what the record says, to be changed and handed to Desk.Amend.
func (p Person) Document() (Document, error) { return objectOf(p.Version.Resource) }

func personOf(f found) (Person, error) {
	shown, err := whole(f).Resource()
	return Person{Number: f.number, Restricted: f.restricted(), Shown: shown, Version: f.version, found: f}, err
}

// Read is the person of a number; see Person.Number. Errors: fault.Invalid for what is no number; fault.NotFound; a patient who asks for
// somebody else is refused as by the published API.
func (d Desk) Read(number string) (Person, error) {
	n, err := numberIn(number)
	if err != nil {
		return Person{}, err
	}
	f, err := d.s.person(d.c, n, access.Trace)
	if err != nil {
		return Person{}, err
	}
	return personOf(f)
}

// Traced is somebody whom a search found, and why.
type Traced struct {
	Person
	Score   float64 // from 0 to 1
	Reasons []Reason
	// By is the superseded number whose record was found; empty when it was the person's own.
	By string
}

// Trace searches by the parameters of the published search, best first. Errors: those of the published API (Refused).
func (d Desk) Trace(values url.Values) ([]Traced, error) {
	q, err := parseQuery(values, d.c.mode, d.s.today())
	if err != nil {
		return nil, err
	}
	q.explained = true
	scope, err := d.c.ask.Scope(access.Trace, "Patient")
	if err != nil {
		return nil, err
	}
	ctx := d.c.r.Context()
	matches, err := d.s.find(ctx, scope, &q)
	if err != nil {
		return nil, err
	}
	refs := make([]record.Ref, len(matches))
	for i, m := range matches {
		refs[i] = record.Ref{Tenant: d.s.k.National, Type: "Patient", ID: m.person}
	}
	versions, err := d.s.k.Records.ReadAll(ctx, scope, refs)
	if err != nil {
		return nil, err
	}
	var list []Traced
	for _, v := range versions {
		i := slices.IndexFunc(matches, func(m hit) bool { return m.person == v.ID })
		if i < 0 {
			continue
		}
		n, err := ident.ParseNHSNumber(v.ID)
		if err != nil {
			return nil, err
		}
		p, err := personOf(found{version: v, label: v.Label(), number: n})
		if err != nil {
			return nil, err
		}
		list = append(list, Traced{Person: p, Score: matches[i].score, Reasons: matches[i].reasons, By: matches[i].by})
	}
	return list, nil
}

// Related are the people around a person; none of a restricted one.
func (d Desk) Related(p Person) ([]record.Version, error) {
	if p.Restricted {
		return nil, nil
	}
	return d.s.filed(d.c, p.found, "RelatedPerson", "patient")
}

// Cards are a person's European health insurance cards, for the person alone: nobody else gets any.
func (d Desk) Cards(p Person) ([]record.Version, error) {
	if d.c.mode != patientMode {
		return nil, nil
	}
	return d.s.filed(d.c, p.found, "Coverage", "beneficiary")
}

// MayAmend reports whether this record can be changed here at all, and if not why, as Refused words it.
func (d Desk) MayAmend(p Person) error { return amendable(p.found, p.Number.String()) }

// Past is one version of a record in the published shape.
type Past struct {
	record.Version
	Shown *fhir.Resource
}

// History is what a person's record has said, newest first, at most most versions, and whether there are more. Of a person who is restricted
// now it never tells where they were.
func (d Desk) History(p Person, most int) (list []Past, more bool, err error) {
	g, err := d.look(p)
	if err != nil {
		return nil, false, err
	}
	page, err := d.s.k.Records.History(d.c.r.Context(), g, p.Version.Ref, record.Period{Count: most})
	if err != nil {
		return nil, false, err
	}
	for _, v := range page.Versions {
		past := Past{Version: v}
		if v.Resource != nil {
			if past.Shown, err = whole(found{version: v, label: p.found.label}).Resource(); err != nil {
				return nil, false, err
			}
		}
		list = append(list, past)
	}
	return list, page.Next != "", nil
}

// look asks to see a person who was found.
func (d Desk) look(p Person) (access.Grant, error) {
	place, err := d.c.ask.Locate("Patient", p.Number.String())
	if err != nil {
		return access.Grant{}, err
	}
	grants, err := d.c.ask.Grants(access.Act{Action: access.Trace, Place: place})
	if err != nil {
		return access.Grant{}, d.c.notTheirs(err)
	}
	return grants[0], nil
}

// Change is what somebody wants a record to say.
type Change struct {
	// Version is the one that they read.
	Version int64
	// Wanted is the whole record as it should be; what it changes is done by the edits that a program would have sent.
	Wanted Document
	Reason string
	// Also is done in the same commit, which holds the lane of the person's chart; it may be nil.
	Also func(tx *store.Tx, p Person) error
}

// Try holds a change to the rules without making it, and says what the record would be.
func (d Desk) Try(p Person, c Change) (*fhir.Resource, error) {
	if err := d.MayAmend(p); err != nil {
		return nil, err
	}
	before, err := p.Document()
	if err != nil {
		return nil, err
	}
	r := rules{mode: d.c.mode, now: d.s.k.Clock.Now().UTC(), request: uuid.NewString()}
	return r.apply(p.Version.Resource, editsBetween(before, c.Wanted))
}

// Amend makes a change by the rules of the published API's update, all of it or nothing. Errors: those of the published API (Refused);
// VersionMoved when somebody else was quicker.
func (d Desk) Amend(p Person, c Change) (Person, error) {
	if err := d.MayAmend(p); err != nil {
		return p, err
	}
	before, err := p.Document()
	if err != nil {
		return p, err
	}
	if c.Version != p.Version.Ver {
		return p, refuse(versionMismatch, "")
	}
	changing := *d.c
	changing.why = c.Reason
	if c.Also != nil {
		changing.also = func(tx *store.Tx) error { return c.Also(tx, p) }
	}
	id := uuid.NewString()
	request := once{id, id, d.s.k.DB.LaneOf(d.s.k.National.String(), "request/"+id)}
	out, err := d.s.amend(&changing, p.found, c.Version, request, editsBetween(before, c.Wanted))
	if err != nil {
		return p, err
	}
	f := p.found
	f.version = out.Version
	return personOf(f)
}

// VersionMoved reports whether a change failed because somebody else's came before it.
func VersionMoved(err error) bool {
	return fault.Is(err, fault.PreconditionFailed) || fault.Is(err, fault.Conflict)
}

// Refused is the published code of a failure, where it lies (as name/0/family in a record or birthdate in a question; empty for no one
// place), and what is wrong in the terms of the published API. ok is false where err is none of its refusals.
func Refused(err error) (code, field, diagnostics string, ok bool) {
	var p *problem
	if !errors.As(err, &p) {
		return "", "", "", false
	}
	return string(p.code), p.field, p.diagnostics, true
}

// DocumentOf is a Patient as it decodes from JSON.
func DocumentOf(r *fhir.Resource) (Document, error) { return objectOf(r) }
