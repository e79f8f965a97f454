package directory

import (
	"cmp"
	"context"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/store"
)

// What a file would do to an organisation.
const (
	Added   = "added"
	Changed = "changed"
	Ended   = "closed"
)

// FieldChange is one fact that would change; empty means that there is none. Name is a key of the words of the pages.
type FieldChange struct{ Name, Before, After string }

// Change is what a file would do to one organisation, or to one of those who practise.
type Change struct {
	Kind   string // Added, Changed or Ended
	Line   int
	Code   string
	Name   string
	Fields []FieldChange // none for what is added

	next      Organisation
	write     bool // the organisation itself changes, not only its relationships
	relations []Relationship
	made      []*fhir.Resource // what is written, where it is known already
}

// Plan is what importing a file would do. Nothing has been written.
type Plan struct {
	Report    Report
	Rows      int // lines that could be read
	Changes   []Change
	Unchanged int
	// Absent is how many organisations of the same primary role, or how many of those who practise of the same kind, are in the directory and not in the file: they stay as they are.
	Absent  int
	Refused []Refusal
	// Noted are lines that were taken although something in them is odd.
	Noted []Refusal
}

// Count is how many changes are of a kind.
func (p *Plan) Count(kind string) int {
	n := 0
	for _, c := range p.Changes {
		if c.Kind == kind {
			n++
		}
	}
	return n
}

// Plan says what importing rows would change. The same rows again change nothing.
func (d *Directory) Plan(ctx context.Context, report Report, rows []Row, refused []Refusal) (*Plan, error) {
	p := &Plan{Report: report, Rows: len(rows), Refused: refused}
	held, relations, absent, err := d.held(ctx, report, rows)
	if err != nil {
		return nil, err
	}
	p.Absent = absent
	today := DayOf(d.k.Clock.Now())
	for _, row := range rows {
		if row.Note != "" {
			p.Noted = append(p.Noted, Refusal{row.Line, row.Organisation.Code.String(), row.Note})
		}
		row.on(today)
		code := row.Organisation.Code.String()
		c := Change{Line: row.Line, Code: code, Name: row.Organisation.Name}
		old, known := held[code]
		if known {
			c.next = old.updated(row.Organisation, today)
			c.Fields = differences(old, c.next)
		} else {
			c.next, c.Kind = row.Organisation, Added
			c.next.Assigner = "NHS ENGLAND"
		}
		c.write = !known || len(c.Fields) > 0
		var linked []FieldChange
		c.relations, linked = relate(relations[code], row.Relations, report, today)
		if known {
			c.Fields = append(c.Fields, linked...)
		}
		switch {
		case !known:
		case len(c.Fields) == 0:
			p.Unchanged++
			continue
		case old.State != Closed && c.next.State == Closed:
			c.Kind = Ended
		default:
			c.Kind = Changed
		}
		c.next.Changed = today
		p.Changes = append(p.Changes, c)
	}
	return p, nil
}

// held is what the directory knows of the rows' organisations, and how many of the report's role it knows that are not in the rows.
func (d *Directory) held(ctx context.Context, report Report, rows []Row) (map[string]Organisation, map[string][]Relationship, int, error) {
	r, err := d.reads(ctx, "Organization")
	if err != nil {
		return nil, nil, 0, err
	}
	named := make(map[string]bool, len(rows))
	for _, row := range rows {
		named[row.Organisation.Code.String()] = true
	}
	orgs, relations, absent := map[string]Organisation{}, map[string][]Relationship{}, 0
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		clear(orgs)
		clear(relations)
		absent = 0
		codes, err := texts(tx, `SELECT code, role FROM directory_organisation`, 2)
		if err != nil {
			return err
		}
		for _, c := range codes {
			if !named[c[0]] {
				if c[1] == report.Role {
					absent++
				}
				continue
			}
			o, err := r.organisation(tx, c[0])
			if err != nil {
				return err
			}
			orgs[c[0]] = o
		}
		list, err := relationsWhere(tx, `source >= ''`)
		if err != nil {
			return err
		}
		for _, rel := range list {
			if from := rel.From.String(); named[from] {
				relations[from] = append(relations[from], rel)
			}
		}
		return nil
	})
	return orgs, relations, absent, err
}

// updated is o with what a row of an ODS file says; what the file does not speak of stays.
func (o Organisation) updated(row Organisation, today Day) Organisation {
	next := o
	next.Name, next.State, next.Site = row.Name, row.State, row.Site
	next.Lines, next.Town, next.County, next.Postcode, next.Country = row.Lines, row.Town, row.County, row.Postcode, row.Country
	next.Phone, next.Setting = row.Phone, row.Setting
	next.Areas = slices.DeleteFunc(slices.Clone(o.Areas), func(a Area) bool { return a.Kind == "NHSER" || a.Kind == "HLHG" })
	next.Areas = append(slices.Clone(row.Areas), next.Areas...)
	next.Roles = nil
	for _, r := range row.Roles {
		i := slices.IndexFunc(o.Roles, func(old Role) bool { return old.Code == r.Code })
		if i >= 0 {
			r.Instance, r.Legal = o.Roles[i].Instance, o.Roles[i].Legal
		}
		next.Roles = append(next.Roles, r)
	}
	for _, old := range o.Roles {
		if slices.ContainsFunc(row.Roles, func(r Role) bool { return r.Code == old.Code }) {
			continue
		}
		if old.Active && (settingRole(old.Code) && row.Setting != "" || row.State == Closed) {
			old.Active = false
			if old.Span.To = row.Span().To; !old.Span.To.Known() {
				old.Span.To = today
			}
		}
		next.Roles = append(next.Roles, old)
	}
	return next
}

// facts are what an organisation says, one line each, for comparison. When it was last changed is not among them.
func (o Organisation) facts() []FieldChange {
	list := []FieldChange{
		{"name", o.Name, ""}, {"state", string(o.State), ""}, {"address", strings.Join(o.Lines, ", "), ""}, {"town", o.Town, ""}, {"county", o.County, ""},
		{"postcode", o.Postcode, ""}, {"country", o.Country, ""}, {"uprn", o.UPRN, ""}, {"phone", o.Phone, ""}, {"website", o.Website, ""},
		{"setting", o.Setting, ""}, {"class", map[bool]string{true: "RC2", false: "RC1"}[o.Site], ""},
	}
	for _, r := range o.Roles {
		text := string(r.Span.From) + " – " + string(r.Span.To)
		if !r.Active {
			text += " ×"
		}
		list = append(list, FieldChange{"role " + r.Code, text, ""})
	}
	for _, a := range o.Areas {
		list = append(list, FieldChange{"area " + a.Kind, a.Code, ""})
	}
	return list
}

// differences are the facts that differ, in the order of the later organisation's.
func differences(before, after Organisation) []FieldChange {
	return compare(before.facts(), after.facts())
}

// compare says which facts differ, in the order of the later ones.
func compare(was, is []FieldChange) (list []FieldChange) {
	for _, f := range is {
		old := ""
		if i := slices.IndexFunc(was, func(w FieldChange) bool { return w.Name == f.Name }); i >= 0 {
			old = was[i].Before
			was = slices.Delete(was, i, i+1)
		}
		if old != f.Before {
			list = append(list, FieldChange{f.Name, old, f.Before})
		}
	}
	for _, w := range was {
		if w.Before != "" {
			list = append(list, FieldChange{w.Name, w.Before, ""})
		}
	}
	return list
}

// relate says which relationships are to be written so that those that a file states hold, and those of the same kinds that it no
// longer states have ended.
func relate(held, stated []Relationship, report Report, today Day) (write []Relationship, changes []FieldChange) {
	kept := map[string]bool{}
	for _, s := range stated {
		i := slices.IndexFunc(held, func(h Relationship) bool { return h.Type == s.Type && h.To == s.To && h.Span.From == s.Span.From })
		if i < 0 {
			s.ID = strings.TrimSuffix(s.From.String()+"-"+s.Type+"-"+s.To.String()+"-"+strings.ReplaceAll(string(s.Span.From), "-", ""), "-")
			write = append(write, s)
			changes = append(changes, FieldChange{"relation " + s.Type, "", s.text()})
			continue
		}
		old := held[i]
		s.ID = old.ID
		kept[old.ID] = true
		if s.Active != old.Active || s.Span != old.Span {
			write = append(write, s)
			changes = append(changes, FieldChange{"relation " + s.Type, old.text(), s.text()})
		}
	}
	for _, h := range held {
		if kept[h.ID] || !h.Active || h.Type != report.Parent && h.Type != report.Provider {
			continue
		}
		ended := h
		ended.Active, ended.Span.To = false, today
		for _, s := range stated {
			if s.Type == h.Type && s.Span.From.Known() && h.Span.From < s.Span.From {
				ended.Span.To = s.Span.From.Before()
			}
		}
		write = append(write, ended)
		changes = append(changes, FieldChange{"relation " + h.Type, h.text(), ended.text()})
	}
	slices.SortStableFunc(changes, func(a, b FieldChange) int { return cmp.Compare(a.Name, b.Name) })
	return write, changes
}

func (r Relationship) text() string {
	text := r.To.String() + " " + string(r.Span.From) + " – " + string(r.Span.To)
	if !r.Active {
		text += " ×"
	}
	return strings.TrimSpace(text)
}

// texts reads rows of text columns.
func texts(tx *store.Tx, query string, width int, args ...any) ([][]string, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	var list [][]string
	for rows.Next() {
		line := make([]string, width)
		into := make([]any, width)
		for i := range line {
			into[i] = &line[i]
		}
		if err := rows.Scan(into...); err != nil {
			return nil, err
		}
		list = append(list, line)
	}
	return list, fault.Wrap(rows.Err(), fault.KindOf(rows.Err()), "reading the directory")
}
