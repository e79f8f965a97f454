package directory

import (
	"context"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
)

// siteKind is an organisation or site, kept by its facts: what the register says of it beyond what is asked stays as it is.
func siteKind() keptKind {
	return keptKind{key: keptSite, typ: "Organization", status: "active", on: fhir.Of(true), off: fhir.Of(false), answers: siteAnswers, questions: []asking{
		{name: "code", required: true, once: true, width: 10, hint: true}, {name: "role", kind: "select", required: true, once: true}, {name: "name", required: true, width: 30},
		{name: "lines", kind: "area", hint: true}, {name: "town", width: 20}, {name: "county", width: 20}, {name: "postcode", required: true, width: 10}, {name: "phone", width: 20},
		{name: "website", width: 30}, {name: "opened", kind: "date", once: true}}}
}

// siteRoles are the primary roles that a site of another organisation can have.
func siteRoles() (list []code) {
	for _, c := range []string{"RO198", "RO96", "RO176", "RO280", "RO167", "RO180", "RO148", "RO101", "RO222", "RO90"} {
		list = append(list, code{Code: c, Name: roleText(c)})
	}
	return list
}

func siteAnswers(res *fhir.Resource) map[string]string {
	o, err := ParseOrganisation(res)
	if err != nil {
		return map[string]string{}
	}
	primary, _ := o.Primary()
	return map[string]string{"code": o.Code.String(), "role": primary.Code, "name": o.Name, "lines": strings.Join(o.Lines, "\n"), "town": o.Town, "county": o.County, "postcode": o.Postcode,
		"phone": o.Phone, "website": o.Website, "opened": string(o.Span().From)}
}

// siteMembers are those of an Organization that its facts write; the rest of the document stays.
var siteMembers = []string{"extension", "identifier", "active", "type", "name", "telecom", "address"}

// factsOver is an organisation's facts over the document that stood there.
func (o Organisation) factsOver(old *fhir.Resource) (*fhir.Resource, error) {
	made, err := o.Resource()
	if err != nil || old == nil {
		return made, err
	}
	var members []member
	for _, name := range siteMembers {
		members = append(members, member{name, fhir.Of(made.Get(name))})
	}
	return overlay(old, members)
}

// siteMade is what a form about an organisation or site writes: itself, the place that a site is, and, when it is new, who operates it.
func (f *keptForm) siteMade(ctx context.Context, d *Directory, old *fhir.Resource) ([]*fhir.Resource, error) {
	o := Organisation{Site: true, State: Open, Assigner: "OPENSPINE", Country: "ENGLAND"}
	var err error
	if old != nil {
		if o, err = ParseOrganisation(old); err != nil {
			return nil, err
		}
	} else {
		if o.Code, err = ident.ParseODSCode(f.Answers["code"]); err != nil {
			return nil, err
		}
		next, err := d.nextInstance(ctx)
		if err != nil {
			return nil, err
		}
		o.Roles = []Role{{Code: f.Answers["role"], Active: true, Span: Span{From: Day(f.Answers["opened"])}, Instance: next}}
	}
	o.Name, o.Lines, o.Town, o.County, o.Phone, o.Website = f.Answers["name"], lines(f.Answers["lines"]), f.Answers["town"], f.Answers["county"], f.Answers["phone"], f.Answers["website"]
	if o.Postcode = f.Answers["postcode"]; o.Postcode != "" {
		o.Postcode = spaced(o.Postcode)
	}
	o.Changed = f.today
	res, err := o.factsOver(old)
	if err != nil {
		return nil, err
	}
	list := []*fhir.Resource{res}
	if o.Site {
		var operator string
		if old == nil {
			operator = f.At.String()
			rel, err := Relationship{ID: o.Code.String() + "-RE6-" + operator, Type: "RE6", From: o.Code, To: f.At, Active: true, Span: o.Span()}.Resource()
			if err != nil {
				return nil, err
			}
			list = append(list, rel)
		} else if operator, err = d.operatorOf(ctx, o.Code); err != nil {
			return nil, err
		}
		place, err := o.location(operator)
		if err != nil {
			return nil, err
		}
		list = append(list, place)
	}
	return list, nil
}

// operatorOf is who operates a site now; empty when nobody is known to.
func (d *Directory) operatorOf(ctx context.Context, code ident.ODSCode) (operator string, err error) {
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		list, err := relationsWhere(tx, `source = ? AND kind = 'RE6' AND active = 1`, code.String())
		if operator = ""; len(list) > 0 {
			operator = list[0].To.String()
		}
		return err
	})
	return operator, err
}

// siteClosed is an organisation with its last day, with which its roles and relationships end: closed where that is over or is today, open until then
// where it lies ahead. Where day is empty it is in use without end: relationships that ended with it do not come back by themselves; those that
// were to end, and the successor who was to come, stay as if nothing had been planned.
func (d *Directory) siteClosed(ctx context.Context, old *fhir.Resource, day, today Day, successor string) ([]*fhir.Resource, error) {
	o, err := ParseOrganisation(old)
	if err != nil {
		return nil, err
	}
	was, over := o.Span().To, day.Known() && day <= today
	o.State, o.Changed = Open, today
	if over {
		o.State = Closed
	}
	for i, r := range o.Roles {
		switch {
		case day.Known() && r.Active:
			o.Roles[i].Active, o.Roles[i].Span.To = !over, day
		case !day.Known() && r.Span.To == was:
			o.Roles[i].Active, o.Roles[i].Span.To = true, ""
		}
	}
	planned := was.Known() && was > today
	if planned && (!day.Known() || successor != "") {
		o.Successions = slices.DeleteFunc(o.Successions, func(s Succession) bool { return s.On == was })
	}
	if successor != "" {
		to, err := ident.ParseODSCode(successor)
		if err != nil {
			return nil, err
		}
		o.Successions = append(o.Successions, Succession{to, day})
	}
	res, err := o.factsOver(old)
	if err != nil {
		return nil, err
	}
	list := []*fhir.Resource{res}
	if o.Site {
		operator, err := d.operatorOf(ctx, o.Code)
		if err != nil {
			return nil, err
		}
		place, err := o.location(operator)
		if err != nil {
			return nil, err
		}
		list = append(list, place)
	}
	if !day.Known() && !planned {
		return list, nil
	}
	from, _, err := d.Relationships(ctx, o.Code)
	if err != nil {
		return nil, err
	}
	for _, rel := range from {
		if rel.Active && (day.Known() || rel.Span.To == was) {
			rel.Active, rel.Span.To = !over, day
			ended, err := rel.Resource()
			if err != nil {
				return nil, err
			}
			list = append(list, ended)
		}
	}
	return list, nil
}

// checkSite looks at a site's own answers.
func (f *keptForm) checkSite(ctx context.Context, d *Directory) error {
	wrong := func(field, key string) {
		if f.Errors.Of(field) == "" {
			f.Errors.Add(field, web.Text(ctx, "directory.keep.wrong."+key))
		}
	}
	if p := f.Answers["postcode"]; p != "" {
		if _, err := ident.ParsePostcode(p); err != nil {
			wrong("postcode", "postcode")
		}
	}
	if len(lines(f.Answers["lines"])) > 3 {
		wrong("lines", "lines")
	}
	if f.Version > 0 {
		return nil
	}
	code, err := ident.ParseODSCode(f.Answers["code"])
	if err != nil {
		wrong("code", "code")
	} else {
		f.Answers["code"] = code.String()
		if _, err := d.Organisation(ctx, code); err == nil {
			wrong("code", "taken")
		} else if !fault.Is(err, fault.NotFound) {
			return err
		}
	}
	return nil
}

// withOption is a list of options with the one that is held among them.
func withOption(options []web.Option, value, text string) []web.Option {
	if value == "" || slices.ContainsFunc(options, func(o web.Option) bool { return o.Value == value }) {
		return options
	}
	return append(options, web.Option{Value: value, Text: orElse(text, value)})
}
