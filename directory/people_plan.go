package directory

import (
	"context"
	"maps"
	"slices"
	"strings"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/store"
)

// PlanFile says what importing a file would change. The same file again changes nothing.
func (d *Directory) PlanFile(ctx context.Context, f File) (*Plan, error) {
	if f.Report.People == "" {
		return d.Plan(ctx, f.Report, f.Rows, f.Refused)
	}
	p := &Plan{Report: f.Report, Rows: len(f.People), Refused: f.Refused}
	held, absent, err := d.heldPeople(ctx, f)
	if err != nil {
		return nil, err
	}
	p.Absent = absent
	today := DayOf(d.k.Clock.Now())
	var order []string
	lines := map[string][]Person{}
	for _, one := range f.People {
		if one.on(today); len(lines[one.Code]) == 0 {
			order = append(order, one.Code)
		}
		lines[one.Code] = append(lines[one.Code], one)
	}
	for _, code := range order {
		h, stated := held[code], lines[code]
		if f.Report.People == memberships && h.who == nil {
			for _, one := range stated {
				p.Refused = append(p.Refused, Refusal{one.Line, code, "Nobody in the directory has this code. Import the file of practitioners (egpcur) first."})
			}
			p.Rows -= len(stated)
			continue
		}
		c, err := h.change(stated, today)
		switch {
		case err != nil:
			return nil, err
		case c.Kind == "":
			p.Unchanged++
		default:
			p.Changes = append(p.Changes, c)
		}
	}
	return p, nil
}

// heldPerson is what the directory knows of somebody who practises: themselves, nil for nobody, and where they work by the id of the post.
type heldPerson struct {
	who   *fhir.Resource
	posts map[string]*fhir.Resource
}

// heldPeople is what the directory knows of those whom a file names, by their codes, and how many of the same kind it knows whom the file does not name.
func (d *Directory) heldPeople(ctx context.Context, f File) (held map[string]heldPerson, absent int, err error) {
	r, err := d.reads(ctx, "Practitioner", "PractitionerRole")
	if err != nil {
		return nil, 0, err
	}
	named := make(map[string]bool, len(f.People))
	for _, p := range f.People {
		named[p.Code] = true
	}
	kind := strings.TrimSuffix(kindOfPerson(f.Report.People, ""), "1")
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		held, absent = map[string]heldPerson{}, 0
		people, err := texts(tx, `SELECT id, code FROM directory_practitioner ORDER BY id`, 2)
		if err != nil {
			return err
		}
		codes := map[string]string{}
		for _, one := range people {
			if codes[one[0]] = one[1]; !named[one[1]] || held[one[1]].who != nil {
				continue
			}
			v, err := r.version(tx, "Practitioner", one[0])
			if err != nil {
				return err
			}
			held[one[1]] = heldPerson{v.Resource, map[string]*fhir.Resource{}}
		}
		posts, err := texts(tx, `SELECT id, practitioner, prescriber FROM directory_job ORDER BY id`, 3)
		if err != nil {
			return err
		}
		others := map[string]bool{}
		for _, one := range posts {
			code := codes[one[1]]
			if !named[code] && code != "" && kind != "" && strings.HasPrefix(one[2], kind) {
				others[code] = true
			}
			if !named[code] || !strings.HasPrefix(one[0], code+"-") {
				continue
			}
			v, err := r.version(tx, "PractitionerRole", one[0])
			if err != nil {
				return err
			}
			held[code].posts[one[0]] = v.Resource
		}
		absent = len(others)
		return nil
	})
	return held, absent, err
}

// change is what the lines about one person would do; its Kind is empty where they change nothing.
func (h heldPerson) change(stated []Person, today Day) (c Change, err error) {
	one := stated[0]
	c = Change{Line: one.Line, Code: one.Code, Name: one.Name}
	var made []*fhir.Resource
	who := one.Code
	if h.who != nil {
		who = h.who.ID()
	}
	if one.Kind != "" {
		res, err := one.practitioner(h.who)
		if err != nil {
			return c, err
		}
		if c.Fields = compare(personFacts(h.who), personFacts(res)); h.who == nil || len(c.Fields) > 0 {
			made = append(made, res)
		}
	} else {
		c.Name = practitionerName(h.who)
	}
	posts, fields, err := h.posted(stated, who, today)
	if err != nil {
		return c, err
	}
	made, c.Fields = append(made, posts...), append(c.Fields, fields...)
	switch {
	case len(made) == 0:
		return c, nil
	case h.who == nil:
		c.Kind, c.Fields = Added, nil
	case isActive(h.who.Get("active")) && one.Kind != "" && !one.Open:
		c.Kind = Ended
	default:
		c.Kind = Changed
	}
	c.made = made
	return c, nil
}

// posted are the posts to be written so that those that the lines state hold, and those that they state no longer have ended.
func (h heldPerson) posted(stated []Person, who string, today Day) (made []*fhir.Resource, fields []FieldChange, err error) {
	kept, kind := map[string]bool{}, "PGP"
	for _, id := range slices.Sorted(maps.Keys(h.posts)) {
		if k, ok := jobRow(h.posts[id])[0][4].(string); ok && k != "" {
			kind = k
		}
	}
	latest := Day("")
	for _, p := range stated {
		if p.At.IsZero() {
			continue
		}
		if p.Kind == "" {
			p.Kind = kind
		}
		old := h.posts[p.postID()]
		kept[p.postID()], latest = true, max(latest, p.Works.From)
		res, err := p.post(old, who, today)
		if err != nil {
			return nil, nil, err
		}
		if changed := compare(postFacts(old), postFacts(res)); len(changed) > 0 {
			made, fields = append(made, res), append(fields, changed...)
		}
	}
	for _, id := range slices.Sorted(maps.Keys(h.posts)) {
		old := h.posts[id]
		if kept[id] || !isActive(old.Get("active")) {
			continue
		}
		s := spanOf(old)
		if s.To = today; latest.Known() && s.From < latest {
			s.To = latest.Before()
		}
		res, err := overlay(old, []member{{"active", fhir.Of(false)}, {"period", s.value()}})
		if err != nil {
			return nil, nil, err
		}
		made, fields = append(made, res), append(fields, compare(postFacts(old), postFacts(res))...)
	}
	return made, fields, nil
}

// practitioner is the person as a Practitioner, over the document that stood there; what the file does not speak of stays.
func (p Person) practitioner(old *fhir.Resource) (*fhir.Resource, error) {
	family, given := p.names()
	var prefix []string
	if p.Title != "" {
		prefix = []string{p.Title}
	}
	code := fhir.Obj("system", systemPractitioner, "value", p.Code, "period", p.Span.value())
	identifiers := append([]fhir.Value{code}, kept(old, "identifier", func(n fhir.Node) bool { return n.Get("system").String() == systemPractitioner })...)
	members := []member{{"active", fhir.Of(p.Open)}, {"identifier", fhir.List(identifiers)},
		{"name", fhir.Arr(fhir.Obj("text", p.Name, "family", family, "given", given, "prefix", prefix))}}
	if p.Phone != "" {
		members = append(members, member{"telecom", fhir.Arr(fhir.Obj("system", "phone", "value", p.Phone))})
	}
	if old == nil {
		return newResource("Practitioner", p.Code, members)
	}
	return overlay(old, members)
}

// post is where the person works as a PractitionerRole. One that has ended is not active.
func (p Person) post(old *fhir.Resource, who string, today Day) (*fhir.Resource, error) {
	active := p.Open && (!p.Works.To.Known() || p.Works.To >= today)
	members := []member{{"active", fhir.Of(active)}, {"period", p.Works.value()}, {"practitioner", fhir.Obj("reference", "Practitioner/"+who)}, {"organization", partyValue(p.At)}}
	codes := []fhir.Value{fhir.Obj("system", systemPractitionerRole, "code", p.Kind, "display", nameIn(prescriberCodes(), p.Kind))}
	if old == nil {
		return newResource("PractitionerRole", p.postID(), append(members, member{"code", fhir.Arr(fhir.Obj("coding", fhir.List(codes)))}))
	}
	if jobRow(old)[0][4] != p.Kind {
		for c := range old.Get("code").Items() {
			for one := range c.Get("coding").Items() {
				if one.Get("system").String() != systemPractitionerRole {
					codes = append(codes, fhir.Of(one))
				}
			}
		}
		members = append(members, member{"code", fhir.Arr(fhir.Obj("coding", fhir.List(codes)))})
	}
	return overlay(old, members)
}

// personFacts are what the files say of somebody, for comparison; nil says nothing.
func personFacts(res *fhir.Resource) []FieldChange {
	if res == nil {
		return nil
	}
	state := Closed
	if isActive(res.Get("active")) {
		state = Open
	}
	var span Span
	for id := range res.Get("identifier").Items() {
		if id.Get("system").String() == systemPractitioner {
			span = readSpan(id.Get("period"))
			break
		}
	}
	return []FieldChange{{"name", practitionerName(res), ""}, {"state", string(state), ""}, {"opened", string(span.From), ""}, {"closed", string(span.To), ""}, {"phone", res.Get("telecom.0.value").String(), ""}}
}

// postFacts are what the files say of a post.
func postFacts(res *fhir.Resource) []FieldChange {
	if res == nil {
		return nil
	}
	row := jobRow(res)[0]
	organisation, _ := row[1].(string)
	kind, _ := row[4].(string)
	s := spanOf(res)
	text := strings.TrimSpace(organisation + " " + kind + " " + string(s.From) + " – " + string(s.To))
	if !isActive(res.Get("active")) {
		text += " ×"
	}
	return []FieldChange{{"post", text, ""}}
}
