package patients

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
)

// recent is how many entries of a section the record's first page shows.
const recent = 6

// recordView is the record's first page.
type recordView struct {
	*chart
	Page     web.Page
	Done     string
	Sections []sectionView
	Apps     bool   // apps can be opened about this person
	Refer    string // where this reader refers the person; "" where they cannot
}

// sectionView is a section as the first page shows it.
type sectionView struct {
	Key   string
	Table web.Table
	More  web.Link
	Tests []testView
}

func (f *face) record(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	c, err := f.open(r, ask, true)
	if err != nil {
		return err
	}
	ctx := r.Context()
	v := recordView{chart: c, Page: c.page(ctx, web.Text(ctx, "patients.record.title"), true), Done: done(r, "corrected", "claimed", "broken")}
	v.Page.Back = link(web.Text(ctx, "patients.record.find"), base(c.place.Tenant)+"/find")
	if !c.related {
		return web.Render(w, r, http.StatusOK, strangerPage(v))
	}
	v.Apps = c.place.Tenant == f.k.National && slices.Contains(carers(), c.viewer.Role) // apps are opened from the national record
	if n := c.person.number(); n != "" && c.viewer.Role == access.Clinician && slices.ContainsFunc(f.k.Tenants, func(t catalogue.Tenant) bool { return t.Code == f.k.National }) {
		v.Refer = "/refer/person/" + n
	}
	for _, s := range sections() {
		if !c.may[s.Key] {
			continue
		}
		if view, ok := c.section(ctx, s.Key); ok {
			v.Sections = append(v.Sections, view)
		}
	}
	return web.Render(w, r, http.StatusOK, recordPage(v))
}

// section is what the first page shows of a section; a part that seldom holds anything is left out when it is empty.
func (c *chart) section(ctx context.Context, key string) (sectionView, bool) {
	list := c.of(key)
	v := sectionView{Key: key}
	if len(list) == 0 && (key == "plans" || key == "procedures" || key == "appointments") {
		return v, false
	}
	if key == "results" {
		v.Tests = c.tests(ctx)
		rest := list[:0:0]
		for _, e := range list {
			if e.Type != "Observation" {
				rest = append(rest, e)
			}
		}
		if len(v.Tests) > 0 && len(rest) == 0 {
			return v, true
		}
		list = rest
	}
	count := len(list)
	if key != "problems" && key != "medicines" && key != "allergies" && len(list) > recent {
		v.More = link(web.Count(ctx, "patients.record.all", count), c.person.url()+"/timeline?section="+key)
		list = list[:recent]
	}
	v.Table = c.table(ctx, key, list)
	return v, true
}

// table lists entries of one section.
func (c *chart) table(ctx context.Context, key string, list []entry) web.Table {
	t := web.Table{ID: "section-" + key, Caption: web.Text(ctx, "patients.record.newest"), RowHeader: true,
		Columns: []web.Column{{Text: web.Text(ctx, "patients.column.what"), Share: 6}, {Text: web.Text(ctx, "patients.column.detail"), Share: 5, Whole: key == "immunisations"}, {Text: web.Text(ctx, "patients.column.when"), Whole: true, Share: 3}, {Text: web.Text(ctx, "patients.column.status"), Share: 2}, {Text: web.Text(ctx, "patients.column.by"), Share: 4}},
		Empty:   web.Empty{Text: web.Text(ctx, "patients.empty."+key), Help: web.Text(ctx, "patients.empty-help")}}
	for _, e := range list {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(e.Title, e.URL()), web.NoteCell(e.Detail), web.Cell(e.When.String()), web.ShowCell(statusTag(e)), web.Cell(e.By)}})
	}
	return t
}

// statusText is an entry's status in words.
func statusText(ctx context.Context, e entry) string {
	s := e.Status
	if e.Wrong {
		s = "entered-in-error"
	}
	if key := "patients.status." + s; web.HasText(key) {
		return web.Text(ctx, key)
	}
	return strings.ReplaceAll(s, "-", " ")
}

func statusColour(e entry) web.Colour {
	switch {
	case e.Wrong:
		return web.Red
	case e.Over:
		return web.Grey
	case e.Status == "active" || e.Status == "final" || e.Status == "completed" || e.Status == "finished" || e.Status == "current":
		return web.Green
	}
	return web.Blue
}

// timelineView is everything in the chart, newest first, a page at a time.
type timelineView struct {
	*chart
	Page     web.Page
	Table    web.Table
	Sections []web.Option
}

// timelinePage is how many entries a page of the timeline shows.
const timelinePage = 40

func (f *face) timeline(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	c, err := f.open(r, ask, true)
	if err == nil {
		err = c.needRelation()
	}
	if err != nil {
		return err
	}
	ctx := r.Context()
	state, err := web.ReadTableState(whole(r), "-when", "what")
	if err != nil {
		return err
	}
	v := timelineView{chart: c, Page: c.page(ctx, web.Text(ctx, "patients.timeline.title"), false), Sections: []web.Option{{Text: web.Text(ctx, "patients.timeline.everything")}}}
	for _, s := range sections() {
		if c.may[s.Key] {
			v.Sections = append(v.Sections, web.Option{Value: s.Key, Text: web.Text(ctx, "patients.section."+s.Key)})
		}
	}
	list := c.filtered(state)
	if r.URL.Query().Get("format") == "csv" {
		return web.CSV(w, "record", c.csvHeader(ctx), func(yield func([]string, error) bool) {
			for _, e := range list {
				if !yield([]string{e.When.String(), web.Text(ctx, "patients.section."+e.Section), e.Title, e.Detail, statusText(ctx, e), e.By}, nil) {
					return
				}
			}
		})
	}
	v.Table = c.timelineTable(ctx, state, list)
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), timelinePageView(v))
}

func (c *chart) csvHeader(ctx context.Context) []string {
	var names []string
	for _, k := range []string{"when", "section", "what", "detail", "status", "by"} {
		names = append(names, web.Text(ctx, "patients.column."+k))
	}
	return names
}

// filtered are the entries that the list's state asks for, in its order.
func (c *chart) filtered(state web.TableState) []entry {
	var list []entry
	want, text := state.Filter("section"), strings.ToLower(state.Filter("text"))
	for _, e := range c.entries {
		if (want == "" || e.Section == want) && (text == "" || strings.Contains(strings.ToLower(e.Title+" "+e.Detail), text)) {
			list = append(list, e)
		}
	}
	sortEntries(list, state)
	return list
}

func (c *chart) timelineTable(ctx context.Context, state web.TableState, list []entry) web.Table {
	t := web.Table{ID: "timeline", State: state, Caption: web.Text(ctx, "patients.timeline.caption", c.person.display(ctx)), Count: web.Count(ctx, "patients.timeline.count", len(list)),
		CSVURL: state.With("format", "csv"), Empty: web.Empty{Text: web.Text(ctx, "patients.timeline.empty"), Help: web.Text(ctx, "patients.empty-help")}}
	for i, name := range c.csvHeader(ctx) {
		t.Columns = append(t.Columns, web.Column{Text: name, Whole: i == 0, Sort: map[int]string{0: "when", 2: "what"}[i], Share: []int{3, 4, 6, 5, 2, 4}[i]})
	}
	from := 0
	if n, err := strconv.Atoi(state.After()); err == nil && n > 0 && n < len(list) {
		from = n
	}
	to := min(from+timelinePage, len(list))
	for _, e := range list[from:to] {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(e.When.String()), web.Cell(web.Text(ctx, "patients.section."+e.Section)), web.LinkCell(e.Title, e.URL()), web.NoteCell(e.Detail), web.ShowCell(statusTag(e)), web.Cell(e.By)}})
	}
	if to < len(list) {
		t.NextCursor = fmt.Sprint(to)
	}
	if from > 0 {
		t.PreviousCursor = fmt.Sprint(from)
	}
	if before, err := strconv.Atoi(state.Before()); err == nil && before > 0 {
		return c.timelineBefore(ctx, state, list, before)
	}
	return t
}

// timelineBefore is the page that ends where another begins.
func (c *chart) timelineBefore(ctx context.Context, state web.TableState, list []entry, before int) web.Table {
	at := max(0, before-timelinePage)
	after := web.TableState{}
	t := c.timelineTable(ctx, after, list[min(at, len(list)):])
	t.State, t.CSVURL, t.PreviousCursor, t.NextCursor = state, state.With("format", "csv"), "", ""
	t.Count = web.Count(ctx, "patients.timeline.count", len(list))
	if at > 0 {
		t.PreviousCursor = fmt.Sprint(at)
	}
	if before < len(list) {
		t.NextCursor = fmt.Sprint(min(at+timelinePage, len(list)))
	}
	return t
}
