package directory

import (
	"context"
	"fmt"
	"net/http"
	"strings"

	"github.com/a-h/templ"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// pageBuilder gathers an organisation's page in one snapshot.
type pageBuilder struct {
	ctx   context.Context
	asked *http.Request
	reads reader
	code  string
	keeps bool   // whoever looks may change what is shown
	only  string // the one list that was asked for; empty for the page with all of them
	csv   bool   // the list is wanted whole, as a file
	view  organisationView
	file  [][]string // the list as a file, its heading first
}

func (b *pageBuilder) read(tx *store.Tx) error {
	b.view, b.file = organisationView{}, nil
	o, err := b.reads.organisation(tx, b.code)
	if err != nil {
		return err
	}
	b.view.Organisation = o
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
	for _, part := range []struct {
		name string
		read func(*store.Tx) error
	}{{"roles", b.roles}, {"relations", b.relations}, {"sites", b.sites}, {"services", b.services}, {"people", b.people}, {"systems", b.systems}} {
		if b.only != "" && b.only != part.name {
			continue
		}
		if err := part.read(tx); err != nil {
			return err
		}
	}
	return nil
}

func (b *pageBuilder) roles(*store.Tx) error {
	l := listing{name: "roles", columns: []string{"role", "kind", "from", "to", "state"}, sorts: []string{"role", "kind", "from", "to", "state"}}
	for _, r := range b.view.Organisation.Roles {
		kind := web.Text(b.ctx, "directory.organisation.secondary")
		if rolePrimary(r.Code) {
			kind = web.Text(b.ctx, "directory.organisation.primary")
		}
		role := roleText(r.Code) + " (" + r.Code + ")"
		l.add([]string{role, kind, string(r.Span.From), string(r.Span.To), b.activeText(r.Active)},
			web.Cell(role), web.Cell(kind), web.Cell(dayText(r.Span.From)), b.until(r.Span.To), web.ShowCell(activeTag(b.ctx, r.Active)))
	}
	return b.list(l)
}

// until is an end, or that there is none.
func (b *pageBuilder) until(d Day) web.TableCell {
	if !d.Known() {
		return web.Cell(web.Text(b.ctx, "directory.organisation.no-end"))
	}
	return web.Cell(dayText(d))
}

func (b *pageBuilder) activeText(active bool) string {
	if active {
		return b.stateText(Open)
	}
	return b.stateText(Closed)
}

func (b *pageBuilder) stateText(s State) string {
	return web.Text(b.ctx, "directory.state."+string(s))
}

func (b *pageBuilder) relations(tx *store.Tx) error {
	l := listing{name: "relations", columns: []string{"relation", "organisation", "from", "to", "state"}, sorts: []string{"relation", "organisation", "from", "to", "state"}}
	list, err := relationsWhere(tx, `source = ?`, b.code)
	if err != nil {
		return err
	}
	for _, r := range list {
		code := r.To.String()
		name, other := nameOf(tx, code), web.Cell(code) // one that the directory does not hold is its code alone
		if name != code {
			name += " (" + code + ")"
			other = web.LinkCell(name, orgURL(code))
		}
		l.add([]string{relationText(r.Type), name, string(r.Span.From), string(r.Span.To), b.activeText(r.Active)},
			web.Cell(relationText(r.Type)), other, web.Cell(dayText(r.Span.From)), b.until(r.Span.To), web.ShowCell(activeTag(b.ctx, r.Active)))
	}
	return b.list(l)
}

func relationText(kind string) string {
	if name := RelationshipName(kind); name != "" {
		return sentence(name)
	}
	return kind
}

// sites are its places: sites that it operates, and rooms and buildings of its own.
func (b *pageBuilder) sites(tx *store.Tx) error {
	l := listing{name: "sites", columns: []string{"name", "code", "postcode", "state"}, sorts: []string{"name", "code", "postcode", "state"}}
	list, err := texts(tx, `SELECT o.code, o.name, o.postcode, o.state FROM directory_relation r JOIN directory_organisation o ON o.code = r.source
		WHERE r.target = ? AND r.active = 1 AND r.kind = 'RE6' ORDER BY o.folded, o.code LIMIT ?`, 4, b.code, findCSV)
	if err != nil {
		return err
	}
	for _, row := range list {
		l.add([]string{row[1], row[0], spaced(row[2]), b.stateText(State(row[3]))},
			b.kept(keptSite, row[0], row[1], web.LinkCell(row[1], orgURL(row[0])), web.Cell(row[0]), web.Cell(spaced(row[2])), web.ShowCell(stateTag(b.ctx, State(row[3]))))...)
	}
	places, err := texts(tx, `SELECT name, CASE WHEN active = 1 THEN 'active' ELSE 'closed' END, id FROM directory_place p WHERE organisation = ? AND id <> ?
		AND NOT EXISTS (SELECT 1 FROM directory_organisation o WHERE o.code = p.id) ORDER BY name, id LIMIT ?`, 3, b.code, b.code, findCSV)
	if err != nil {
		return err
	}
	what, postcode := web.Text(b.ctx, "directory.organisation.place"), b.view.Organisation.Postcode
	for _, row := range places {
		l.add([]string{row[0], what, postcode, b.activeText(row[1] == "active")},
			b.kept(keptPlace, row[2], row[0], web.Cell(row[0]), web.Cell(what), web.Cell(postcode), web.ShowCell(activeTag(b.ctx, row[1] == "active")))...)
	}
	return b.list(l)
}

func (b *pageBuilder) services(tx *store.Tx) error {
	l := listing{name: "services", columns: []string{"name", "specialty", "wait", "eligibility", "state"}, sorts: []string{"name", "specialty", "wait", "state"}}
	list, err := texts(tx, `SELECT id, name, field, CAST(wait AS TEXT), CASE WHEN active = 1 THEN 'active' ELSE 'closed' END FROM directory_service
		WHERE organisation = ? ORDER BY folded, id LIMIT ?`, 5, b.code, findCSV)
	if err != nil {
		return err
	}
	for _, row := range list {
		active := row[4] == "active"
		l.lines = append(l.lines, listed{keys: []string{row[1], row[2], fmt.Sprintf("%09d", numberOr(row[3])), "", b.activeText(active)}, line: func() ([]string, []web.TableCell, error) {
			v, err := b.reads.version(tx, "HealthcareService", row[0])
			if err != nil {
				return nil, nil, err
			}
			s := ParseHealthcareService(v.Resource)
			wait, whom := waitText(b.ctx, s.Wait), strings.Join(s.eligible(b.ctx), "; ")
			return []string{s.Name, s.SpecialtyName, wait, whom, b.activeText(s.Active)},
				b.kept(keptService, s.ID, s.Name, web.LinkCell(s.Name, serviceURL(s.ID)), web.Cell(s.SpecialtyName), web.Cell(wait), web.Cell(whom), web.ShowCell(activeTag(b.ctx, s.Active))), nil
		}})
	}
	return b.list(l)
}

func (b *pageBuilder) people(tx *store.Tx) error {
	l := listing{name: "people", columns: []string{"name", "job", "from", "to", "state"}, sorts: []string{"name", "job", "from", "to", "state"}}
	list, err := texts(tx, `SELECT coalesce(p.name, j.practitioner), j.role, CASE WHEN j.active = 1 THEN 'active' ELSE 'closed' END, j.id, j.opened, j.closed
		FROM directory_job j LEFT JOIN directory_practitioner p ON p.id = j.practitioner
		WHERE j.organisation = ? ORDER BY j.active DESC, j.practitioner, j.id LIMIT ?`, 6, b.code, findCSV)
	if err != nil {
		return err
	}
	for _, row := range list {
		job, active := row[1], row[2] == "active"
		if text := JobRoleName(job); text != "" {
			job = text + " (" + job + ")"
		}
		l.add([]string{row[0], job, row[4], row[5], b.activeText(active)},
			b.kept(keptPost, row[3], row[0], web.Cell(row[0]), web.Cell(job), web.Cell(dayText(Day(row[4]))), b.until(Day(row[5])), web.ShowCell(activeTag(b.ctx, active)))...)
	}
	return b.list(l)
}

func (b *pageBuilder) systems(tx *store.Tx) error {
	l := listing{name: "systems", columns: []string{"system", "address", "interactions", "state"}, sorts: []string{"system", "interactions", "state"}}
	list, err := texts(tx, `SELECT kind, id, CAST(count(*) AS TEXT), CASE WHEN max(active) = 1 THEN 'active' ELSE 'closed' END FROM directory_system
		WHERE organisation = ? GROUP BY kind, id ORDER BY kind, id LIMIT ?`, 4, b.code, findCSV)
	if err != nil {
		return err
	}
	for _, row := range list {
		active, what := row[3] == "active", web.Text(b.ctx, "directory.organisation.endpoint")
		if row[0] == keptDevice {
			what = web.Text(b.ctx, "directory.organisation.device")
		}
		l.lines = append(l.lines, listed{keys: []string{what, "", fmt.Sprintf("%09d", numberOr(row[2])), b.activeText(active)}, line: func() ([]string, []web.TableCell, error) {
			v, err := b.reads.version(tx, map[string]string{keptDevice: "Device", keptEndpoint: "Endpoint"}[row[0]], row[1])
			if err != nil {
				return nil, nil, err
			}
			at, known := v.Resource.Get("address").String(), interactionsOf(v.Resource)
			for id := range v.Resource.Get("identifier").Items() {
				if id.Get("system").String() == systemASID {
					at = id.Get("value").String()
				}
			}
			return []string{what, at, strings.Join(known, " "), b.activeText(active)},
				b.kept(row[0], row[1], at, web.Cell(what), web.Cell(at), web.ShowCell(interactionsCell(known)), web.ShowCell(activeTag(b.ctx, active))), nil
		}})
	}
	return b.list(l)
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
