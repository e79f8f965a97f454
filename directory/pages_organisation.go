package directory

import (
	"context"
	"strings"

	"github.com/a-h/templ"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// pageBuilder gathers an organisation's page in one snapshot.
type pageBuilder struct {
	ctx   context.Context
	state web.TableState
	reads reader
	code  string
	keeps bool // whoever looks may change what is shown
	view  organisationView
}

func (b *pageBuilder) read(tx *store.Tx) error {
	b.view = organisationView{}
	o, err := b.reads.organisation(tx, b.code)
	if err != nil {
		return err
	}
	b.view.Organisation = o
	b.roles(o)
	for _, s := range o.Successions {
		text := web.Text(b.ctx, "directory.organisation.succeeded", nameOf(tx, s.Successor.String()), dayText(s.On))
		b.view.Successors = append(b.view.Successors, web.Link{Text: text, URL: orgURL(s.Successor.String())})
	}
	before, err := texts(tx, `SELECT code FROM directory_succession WHERE successor = ? ORDER BY code`, 1, b.code)
	if err != nil {
		return err
	}
	for _, row := range before {
		b.view.Predecessors = append(b.view.Predecessors, web.Link{Text: nameOf(tx, row[0]) + " (" + row[0] + ")", URL: orgURL(row[0])})
	}
	for _, part := range []func(*store.Tx) error{b.relations, b.sites, b.services, b.people, b.systems} {
		if err := part(tx); err != nil {
			return err
		}
	}
	return nil
}

// table is an empty table of the page with its words.
func (b *pageBuilder) table(name string, columns ...string) web.Table {
	t := web.Table{ID: name, State: b.state, RowHeader: true, Caption: web.Text(b.ctx, "directory.organisation."+name),
		Empty: web.Empty{Text: web.Text(b.ctx, "directory.organisation."+name+"-none")}}
	if b.keeps && name != "roles" && name != "relations" {
		columns = append(columns, "act")
	}
	for _, c := range columnNames(b.ctx, columns...) {
		t.Columns = append(t.Columns, web.Column{Text: c})
	}
	return t
}

// addKept is add, with a way to change the thing for whoever may.
func (b *pageBuilder) addKept(t *web.Table, kind, id, about string, cells ...web.TableCell) {
	if b.keeps {
		cells = append(cells, web.ShowCell(keepLink(kind, id, about)))
	}
	b.add(t, cells...)
}

func (b *pageBuilder) roles(o Organisation) {
	b.view.Roles = b.table("roles", "role", "kind", "from", "to", "state")
	for _, r := range o.Roles {
		kind := "directory.organisation.secondary"
		if rolePrimary(r.Code) {
			kind = "directory.organisation.primary"
		}
		b.add(&b.view.Roles, web.Cell(roleText(r.Code)+" ("+r.Code+")"), web.Cell(web.Text(b.ctx, kind)), web.Cell(dayText(r.Span.From)), b.until(r.Span.To), web.ShowCell(activeTag(b.ctx, r.Active)))
	}
}

func (b *pageBuilder) add(t *web.Table, cells ...web.TableCell) {
	t.Rows = append(t.Rows, web.TableRow{Cells: cells})
}

// until is an end, or that there is none.
func (b *pageBuilder) until(d Day) web.TableCell {
	if !d.Known() {
		return web.Cell(web.Text(b.ctx, "directory.organisation.no-end"))
	}
	return web.Cell(dayText(d))
}

// org is a cell that leads to another organisation; one that the directory does not hold is its code alone.
func (b *pageBuilder) org(tx *store.Tx, code string) web.TableCell {
	if name := nameOf(tx, code); name != code {
		return web.LinkCell(name+" ("+code+")", orgURL(code))
	}
	return web.Cell(code)
}

func (b *pageBuilder) relations(tx *store.Tx) error {
	t := b.table("relations", "relation", "organisation", "from", "to", "state")
	list, err := relationsWhere(tx, `source = ?`, b.code)
	if err != nil {
		return err
	}
	for _, r := range list {
		b.add(&t, web.Cell(relationText(r.Type)), b.org(tx, r.To.String()), web.Cell(dayText(r.Span.From)), b.until(r.Span.To), web.ShowCell(activeTag(b.ctx, r.Active)))
	}
	b.view.Relations = t
	return nil
}

func relationText(kind string) string {
	if name := RelationshipName(kind); name != "" {
		return sentence(name)
	}
	return kind
}

// sites are its places: sites that it operates, and rooms and buildings of its own.
func (b *pageBuilder) sites(tx *store.Tx) error {
	t := b.table("sites", "name", "code", "postcode", "state")
	list, err := texts(tx, `SELECT o.code, o.name, o.postcode, o.state FROM directory_relation r JOIN directory_organisation o ON o.code = r.source
		WHERE r.target = ? AND r.active = 1 AND r.kind = 'RE6' ORDER BY o.folded LIMIT ?`, 4, b.code, mostRows)
	if err != nil {
		return err
	}
	for _, row := range list {
		b.addKept(&t, keptSite, row[0], row[1], web.LinkCell(row[1], orgURL(row[0])), web.Cell(row[0]), web.Cell(spaced(row[2])), web.ShowCell(stateTag(b.ctx, State(row[3]))))
	}
	places, err := texts(tx, `SELECT name, CASE WHEN active = 1 THEN 'active' ELSE 'closed' END, id FROM directory_place p WHERE organisation = ? AND id <> ?
		AND NOT EXISTS (SELECT 1 FROM directory_organisation o WHERE o.code = p.id) ORDER BY name, id LIMIT ?`, 3, b.code, b.code, mostRows)
	for _, row := range places {
		b.addKept(&t, keptPlace, row[2], row[0], web.Cell(row[0]), web.Cell(web.Text(b.ctx, "directory.organisation.place")), web.Cell(b.view.Organisation.Postcode), web.ShowCell(stateTag(b.ctx, State(row[1]))))
	}
	b.view.Sites = t
	return err
}

func (b *pageBuilder) services(tx *store.Tx) error {
	t := b.table("services", "name", "specialty", "wait", "eligibility", "state")
	list, err := texts(tx, `SELECT id FROM directory_service WHERE organisation = ? ORDER BY folded, id LIMIT ?`, 1, b.code, mostRows)
	if err != nil {
		return err
	}
	for _, row := range list {
		v, err := b.reads.version(tx, "HealthcareService", row[0])
		if err != nil {
			return err
		}
		s := ParseHealthcareService(v.Resource)
		b.addKept(&t, keptService, s.ID, s.Name, web.LinkCell(s.Name, serviceURL(s.ID)), web.Cell(s.SpecialtyName), web.Cell(waitText(b.ctx, s.Wait)), web.Cell(strings.Join(s.eligible(b.ctx), "; ")), web.ShowCell(activeTag(b.ctx, s.Active)))
	}
	b.view.Services = t
	return nil
}

func (b *pageBuilder) people(tx *store.Tx) error {
	t := b.table("people", "name", "job", "from", "to", "state")
	list, err := texts(tx, `SELECT practitioner, role, CASE WHEN active = 1 THEN 'active' ELSE 'closed' END, id, opened, closed FROM directory_job
		WHERE organisation = ? ORDER BY active DESC, practitioner, id LIMIT ?`, 6, b.code, mostRows)
	if err != nil {
		return err
	}
	for _, row := range list {
		name := row[0]
		v, err := b.reads.version(tx, "Practitioner", row[0])
		if err != nil && !fault.Is(err, fault.NotFound) {
			return err
		}
		if err == nil {
			name = practitionerName(v.Resource)
		}
		job := row[1]
		if text := JobRoleName(job); text != "" {
			job = text + " (" + job + ")"
		}
		b.addKept(&t, keptPost, row[3], name, web.Cell(name), web.Cell(job), web.Cell(dayText(Day(row[4]))), b.until(Day(row[5])), web.ShowCell(activeTag(b.ctx, row[2] == "active")))
	}
	b.view.People = t
	return nil
}

func (b *pageBuilder) systems(tx *store.Tx) error {
	t := b.table("systems", "system", "address", "interactions", "state")
	list, err := texts(tx, `SELECT kind, id, CAST(count(*) AS TEXT), CASE WHEN max(active) = 1 THEN 'active' ELSE 'closed' END FROM directory_system
		WHERE organisation = ? GROUP BY kind, id ORDER BY kind, id LIMIT ?`, 4, b.code, mostRows)
	if err != nil {
		return err
	}
	for _, row := range list {
		typ := map[string]string{"device": "Device", "endpoint": "Endpoint"}[row[0]]
		v, err := b.reads.version(tx, typ, row[1])
		if err != nil {
			return err
		}
		what := web.Text(b.ctx, "directory.organisation.endpoint")
		at := v.Resource.Get("address").String()
		for id := range v.Resource.Get("identifier").Items() {
			if id.Get("system").String() == systemASID {
				what, at = web.Text(b.ctx, "directory.organisation.device"), id.Get("value").String()
			}
		}
		b.addKept(&t, row[0], row[1], at, web.Cell(what), web.Cell(at), web.ShowCell(interactionsCell(interactionsOf(v.Resource))), web.ShowCell(activeTag(b.ctx, row[3] == "active")))
	}
	b.view.Systems = t
	return nil
}

func interactionsOf(res *fhir.Resource) (list []string) {
	for e := range res.Get("extension").Items() {
		if e.Get("url").String() == extensionInteraction {
			list = append(list, e.Get("valueReference.identifier.value").String())
		}
	}
	return list
}

// dayText is a day as people read it; empty when it is not known.
func dayText(d Day) string {
	if !d.Known() {
		return ""
	}
	return format.FHIR(string(d)).String()
}

// stateTag is a state in a word and a colour.
func stateTag(ctx context.Context, s State) templ.Component {
	colour := map[State]web.Colour{Open: web.Green, Closed: web.Grey, Dormant: web.Yellow, Proposed: web.Blue}[s]
	return web.Tag(web.Text(ctx, "directory.state."+string(s)), colour)
}

func activeTag(ctx context.Context, active bool) templ.Component {
	if active {
		return stateTag(ctx, Open)
	}
	return stateTag(ctx, Closed)
}
