package trace

import (
	"context"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// detailsView is all that the register holds of a person, as this viewer may see it.
type detailsView struct {
	*visit
	Page                                         web.Page
	Done, Was                                    string
	Actions                                      []web.Link
	Who, Care, Needs                             []web.Row
	Names, Addresses, Reach, Emergency, Relation web.Table
	Cards                                        []web.Row
	Cannot                                       string
	Begin                                        string // the viewer's practice, where the person is on its list and has no record yet
}

// details shows a person. A superseded number leads to the one that speaks for the person now, and the page says so.
func (f *face) details(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.visits(r, ask)
	if err != nil {
		return err
	}
	if asked := r.PathValue("person"); !v.own && asked != v.id() {
		return web.SeeOther(w, r, v.url()+"?was="+url.QueryEscape(asked))
	}
	ctx := r.Context()
	d := &detailsView{visit: v, Page: v.page(ctx, web.Text(ctx, v.key("details.title")), true)}
	if done := r.URL.Query().Get("done"); done != "" && web.HasText("trace.done."+done) {
		d.Done = web.Text(ctx, v.key("done."+done))
	}
	if n, err := ident.ParseNHSNumber(r.URL.Query().Get("was")); err == nil && n != v.person.Number {
		d.Was = n.Display()
	}
	if v.may != nil {
		d.Cannot = web.Text(ctx, v.key("details.cannot"))
	}
	f.fill(ctx, d)
	if err := f.fillHere(ctx, d); err != nil {
		return err
	}
	related, err := v.desk.Related(v.person)
	if err != nil {
		return err
	}
	d.Relation = relatedTable(ctx, v, related)
	cards, err := v.desk.Cards(v.person)
	if err != nil {
		return err
	}
	for _, c := range cards {
		d.Cards = append(d.Cards, cardRows(ctx, c.Resource)...)
	}
	return web.Render(w, r, http.StatusOK, detailsPage(d))
}

// change is the link to change a part, where this viewer may.
func (v *visit) change(ctx context.Context, part string) web.Link {
	if v.may != nil || !mayChange(part, v.own) {
		return web.Link{}
	}
	if part == partPharmacy {
		return web.Link{URL: v.pharmacyURL()}
	}
	return web.Link{URL: v.partURL(part), Text: web.Text(ctx, "web.change")}
}

// fill puts together what the page shows of the record itself.
func (f *face) fill(ctx context.Context, d *detailsView) {
	v, r := d.visit, d.person.Shown
	if !v.own {
		if record, glass := f.recordURL(ctx, v.viewer, v.person); record != "" {
			d.Actions = append(d.Actions, web.Link{Text: web.Text(ctx, "trace.record"), URL: record})
		} else if glass != "" {
			d.Actions = append(d.Actions, web.Link{Text: web.Text(ctx, "trace.glass"), URL: glass})
		}
		if here := f.hereURL(v.viewer, v.person); here != "" {
			d.Actions = append(d.Actions, web.Link{Text: web.Text(ctx, "trace.here"), URL: here})
		}
	}
	d.Actions = append(d.Actions, web.Link{Text: web.Text(ctx, v.key("history.title")), URL: v.url() + "/history"})
	if v.own {
		d.Actions = append(d.Actions, web.Link{Text: web.Text(ctx, "mine.correction.title"), URL: ownCorrectionsPath})
	}
	row := func(key, text, part string) web.Row {
		return web.Row{Key: web.Text(ctx, "trace.fact."+key), Text: text, Change: v.change(ctx, part)}
	}
	gender := ""
	if g := r.Get("gender").String(); g != "" {
		gender = web.Text(ctx, "patients.gender."+g)
	}
	d.Who = []web.Row{row("born", f.bornText(v.banner), partBirth), row("gender", gender, partBirth)}
	if order := r.Get("multipleBirthInteger").String(); order != "" {
		d.Who = append(d.Who, row("order", order, ""))
	}
	if place := birthPlaceText(r); place != "" {
		d.Who = append(d.Who, row("birthplace", place, ""))
	}
	death := strings.Trim(v.banner.Died.Date()+", "+f.deathText(ctx, r), ", ")
	if death == "" {
		death = web.Text(ctx, "trace.death.none")
	}
	if !v.own || v.banner.Died.Known() {
		d.Who = append(d.Who, row("death", death, partDeath))
	}
	if !v.own || v.person.Restricted { // that nothing is hidden need not be said to the person
		d.Who = append(d.Who, row("sensitivity", sensitivityText(ctx, r), ""))
	}
	if !v.person.Restricted {
		f.fillCare(ctx, d)
	}
	d.Needs = []web.Row{row("language", languageText(ctx, r), partLanguage)}
	if text := preferenceText(r); text != "" {
		d.Needs = append(d.Needs, row("preference", text, ""))
	}
	d.Names = v.periodTable(ctx, "names", r.Get("name"), nameText)
	if !v.person.Restricted {
		d.Addresses = v.periodTable(ctx, "addresses", r.Get("address"), addressText)
		d.Reach = v.reachTable(ctx)
		d.Emergency = v.emergencyTable(ctx)
	}
}

// fillCare is the organisations that look after somebody.
func (f *face) fillCare(ctx context.Context, d *detailsView) {
	v, r := d.visit, d.person.Shown
	gp := r.Get("generalPractitioner").Index(0)
	d.Care = []web.Row{{Key: web.Text(ctx, "trace.fact.practice"), Text: dated(ctx, f.organisationIn(ctx, gp), gp.Get("identifier.period"))}}
	for _, s := range suppliers() {
		text, part := f.supplier(ctx, r, s.url), ""
		if s.name == "pharmacy" {
			part = partPharmacy
		} else if text == "" {
			continue
		}
		d.Care = append(d.Care, web.Row{Key: web.Text(ctx, "trace.fact."+s.name), Text: text, Change: v.change(ctx, part)})
	}
	if text := coded(extensionIn(extensionIn(r.Root(), demographics.RemovalURL), "removalFromRegistrationCode").Field("valueCodeableConcept")); text != "" {
		d.Care = append(d.Care, web.Row{Key: web.Text(ctx, "trace.fact.removal"), Text: text})
	}
}

func (v *visit) table(ctx context.Context, id string, columns ...string) web.Table {
	t := web.Table{ID: id, RowHeader: true, Caption: web.Text(ctx, "trace.table."+id), Empty: web.Empty{Text: web.Text(ctx, "trace.empty."+id)}}
	for _, c := range columns {
		name := web.Text(ctx, "trace.column."+c)
		if c == "what" {
			name = web.Text(ctx, "trace.column.what-"+id)
		}
		t.Columns = append(t.Columns, web.Column{Text: name, Whole: c == "from" || c == "to", Share: map[string]int{"what": 6, "kind": 3, "from": 2, "to": 2, "relation": 3, "number": 3}[c]})
	}
	return t
}

// periodTable lists names or addresses, those that hold now before the former ones.
func (v *visit) periodTable(ctx context.Context, id string, list fhir.Node, text func(fhir.Node) string) web.Table {
	t := v.table(ctx, id, "what", "kind", "from", "to")
	var former []web.TableRow
	for n := range list.Items() {
		period := n.Field("period")
		row := web.TableRow{Cells: []web.TableCell{web.Cell(text(n)), web.Cell(use(ctx, n)), web.NoteCell(dayIn(period, "start")), web.NoteCell(dayIn(period, "end"))}}
		if u := n.Field("use").String(); u == "old" || u == "maiden" {
			former = append(former, row)
			continue
		}
		t.Rows = append(t.Rows, row)
	}
	t.Rows = append(t.Rows, former...)
	return t
}

func (v *visit) reachTable(ctx context.Context) web.Table {
	t := v.table(ctx, "reach", "what", "kind", "from", "to")
	for n := range v.person.Shown.Get("telecom").Items() {
		period := n.Field("period")
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(n.Field("value").String()), web.Cell(reachName(ctx, n)), web.NoteCell(dayIn(period, "start")), web.NoteCell(dayIn(period, "end"))}})
	}
	return t
}

func (v *visit) emergencyTable(ctx context.Context) web.Table {
	t := v.table(ctx, "emergency", "what", "kind", "from", "to")
	for c := range v.person.Shown.Get("contact").Items() {
		for n := range c.Field("telecom").Items() {
			period := c.Field("period")
			t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(n.Field("value").String()), web.Cell(systemName(ctx, n)), web.NoteCell(dayIn(period, "start")), web.NoteCell(dayIn(period, "end"))}})
		}
	}
	return t
}

func systemName(ctx context.Context, t fhir.Node) string {
	s := t.Field("system").String()
	if key := "trace.system." + s; web.HasText(key) {
		return web.Text(ctx, key)
	}
	return s
}

// historyView is what the register has said of a person.
type historyView struct {
	*visit
	Page     web.Page
	More     bool
	Versions []versionView
}

// versionView is one version, and what it changed.
type versionView struct {
	When, Who, Reason string
	Version           int64
	Changes           []difference
	Undo              string
}

// mostVersions is how many versions a page shows.
const mostVersions = 50

func (f *face) history(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, err := f.visits(r, ask)
	if err != nil {
		return err
	}
	ctx := r.Context()
	h := &historyView{visit: v, Page: v.page(ctx, web.Text(ctx, v.key("history.title")), false)}
	past, more, err := v.desk.History(v.person, mostVersions)
	if err != nil {
		return err
	}
	h.More = more
	for i, p := range past {
		one := versionView{When: format.Seconds(p.At), Who: p.Name, Reason: p.Reason, Version: p.Ver}
		if strings.HasPrefix(p.Actor, "service/") || one.Who == "" {
			one.Who = web.Text(ctx, "patients.entry.system")
		}
		switch {
		case i+1 < len(past):
			one.Changes = f.differences(ctx, past[i+1].Shown, p.Shown)
		case !more:
			one.Changes = f.differences(ctx, nil, p.Shown)
		}
		if i == 0 && len(past) > 1 && past[1].Shown != nil && v.may == nil && !v.own {
			one.Undo = v.url() + "/undo"
		}
		h.Versions = append(h.Versions, one)
	}
	return web.Render(w, r, http.StatusOK, historyPage(h))
}

// relatedTable lists the people around somebody.
func relatedTable(ctx context.Context, v *visit, list []record.Version) web.Table {
	t := v.table(ctx, "related", "what", "relation", "number", "reach")
	for _, one := range list {
		r := one.Resource
		name := nameText(oneOf(r.Get("name"), "usual"))
		if name == "" {
			name = web.Text(ctx, "trace.no-name")
		}
		number := ""
		if n, err := ident.ParseNHSNumber(r.Get("patient.identifier.value").String()); err == nil && n != v.person.Number {
			number = n.Display()
		}
		var reach []string
		for tel := range r.Get("telecom").Items() {
			reach = append(reach, tel.Field("value").String())
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(name), web.Cell(relationText(r)), web.NoteCell(number), web.NoteCell(strings.Join(reach, ", "))}})
	}
	return t
}

// relationText is what somebody is to the person, in the words of the record.
func relationText(r *fhir.Resource) string {
	var all []string
	for c := range r.Get("relationship").Items() {
		for coding := range c.Field("coding").Items() {
			if d := coding.Field("display").String(); d != "" && !slices.Contains(all, d) {
				all = append(all, d)
			}
		}
	}
	return strings.Join(all, ", ")
}

// cardRows is a European health insurance card.
func cardRows(ctx context.Context, r *fhir.Resource) []web.Row {
	return []web.Row{
		{Key: web.Text(ctx, "mine.card.number"), Text: r.Get("identifier.0.value").String()},
		{Key: web.Text(ctx, "mine.card.country"), Text: r.Get("identifier.0.assigner.display").String()},
		{Key: web.Text(ctx, "mine.card.until"), Text: format.FHIR(r.Get("period.end").String()).Date()},
	}
}
