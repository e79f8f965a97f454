package postroom

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// pageSize is how many rows a list shows at once.
const pageSize = 50

// How many lines an export has at most, as the page says: searches go on from where they were, worklists count from their beginning each time.
const csvMost, csvMostParked = 1_000_000, 50_000

// searchView is the search for messages.
type searchView struct {
	Table    web.Table
	Form     map[string]string
	States   []web.Option
	Ages     []web.Option
	Errors   web.FieldErrors
	Now      nowView
	Tabs     []web.Link
	Own      string // the organisation whose post it is; empty for that of all
	Further  string // where the search goes on, when it looked at as much as it may at once
	LookedTo string
}

// stateGroups are the states that can be asked for, some of them under one name.
func stateGroups() map[string][]messaging.State {
	m := map[string][]messaging.State{
		"open": {messaging.Accepted, messaging.Delivered, messaging.Parked}, "unsuccessful": {messaging.Refused, messaging.Expired, messaging.Abandoned},
	}
	for _, s := range messaging.States() {
		m[s.String()] = []messaging.State{s}
	}
	return m
}

// ages are the spans of time that can be asked for: how long ago a message was sent at most, or at least.
func ages() map[string]struct{ least, most time.Duration } {
	day := 24 * time.Hour
	return map[string]struct{ least, most time.Duration }{
		"hour": {0, time.Hour}, "day": {0, day}, "week": {0, 7 * day}, "month": {0, 31 * day}, "over-hour": {time.Hour, 0}, "over-day": {day, 0}, "over-week": {7 * day, 0},
	}
}

// query reads what is searched for. What cannot be is said beside its field.
func (d *desk) query(ctx context.Context, p access.Principal, s web.TableState, v *searchView) messaging.Query {
	wrong := func(field, key string) { v.Errors.Add(field, web.Text(ctx, "postroom.wrong."+key)) }
	q := messaging.Query{ID: strings.ToLower(v.Form["id"]), Workflow: v.Form["workflow"], Organisation: organisationOf(p)}
	if text := v.Form["organisation"]; text != "" {
		code, err := ident.ParseODSCode(strings.ToUpper(text))
		switch {
		case err != nil:
			wrong("organisation", "organisation")
		case q.Organisation.IsZero():
			q.Organisation = code
		case code != q.Organisation:
			q.With = code
		}
	}
	if text := v.Form["state"]; text != "" {
		states, known := stateGroups()[text]
		if !known {
			wrong("state", "state")
		}
		q.States = states
	}
	if text := v.Form["age"]; text != "" {
		span, known := ages()[text]
		if !known {
			wrong("age", "age")
		}
		if span.most > 0 {
			q.From = d.k.Clock.Now().Add(-span.most)
		}
		if span.least > 0 {
			q.To = d.k.Clock.Now().Add(-span.least)
		}
	}
	_, descending := s.Sort()
	q.Oldest, q.Limit = !descending, pageSize
	return q
}

// found is one page of a search, in the order asked for; before and after say where there is more.
type found struct {
	list          []messaging.Item
	before, after *messaging.Page
	lookedTo      time.Time // when it came no further than this at once
}

// page searches for one page, forwards or backwards from a cursor.
func (d *desk) page(ctx context.Context, q messaging.Query, s web.TableState) (f found, err error) {
	backwards := s.Before() != ""
	if cursor := s.After() + s.Before(); cursor != "" {
		if q.After, err = messaging.ParsePage(cursor); err != nil {
			return f, err
		}
	}
	if backwards {
		q.Oldest = !q.Oldest
	}
	list, next, err := d.k.Post().Search(ctx, q)
	if err != nil {
		return f, err
	}
	if next != nil && next.Whole {
		f.lookedTo = next.At()
	}
	f.list, f.after = list, next
	if backwards {
		slices.Reverse(list)
		f.before = next
		if f.after = nil; len(list) > 0 {
			last := list[len(list)-1]
			f.after = &messaging.Page{ID: last.ID, Ref: last.Ref}
		}
	} else if q.After != nil && len(list) > 0 {
		f.before = &messaging.Page{ID: list[0].ID, Ref: list[0].Ref}
	}
	return f, nil
}

func (d *desk) search(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "-sent")
	if err != nil {
		return err
	}
	v := searchView{Form: map[string]string{}, Own: organisationOf(p).String(), Tabs: tabs(ctx, p)}
	if v.Own != "" {
		v.Own = d.k.Organisation(ctx, p.Organisation)
	}
	v.read(state)
	q := d.query(ctx, p, state, &v)
	var f found
	if len(v.Errors) == 0 {
		if err := d.listed(ctx, p, "messages"); err != nil {
			return err
		}
		if f, err = d.page(ctx, q, state); err != nil {
			return err
		}
	}
	v.States, v.Ages = stateOptions(ctx), ageOptions(ctx)
	v.Table = d.messageTable(ctx, state, f)
	if !f.lookedTo.IsZero() {
		v.LookedTo = web.Text(ctx, "postroom.looked-to", format.DateTime(f.lookedTo))
	}
	if v.Now, err = d.nowOf(ctx, p); err != nil {
		return err
	}
	if len(v.Errors) > 0 {
		return web.Render(w, r, http.StatusUnprocessableEntity, searchPage(v))
	}
	return web.RenderPart(w, r, v.Table.ID, foundPart(v), searchPage(v))
}

// messageColumns are the columns of a list of messages.
func messageColumns() []string { return []string{"sent", "from", "to", "workflow", "state", "id"} }

func (d *desk) messageTable(ctx context.Context, state web.TableState, f found) web.Table {
	t := web.Table{ID: "messages", State: state, Caption: web.Text(ctx, "postroom.caption"), CSVURL: csvPath(state, pathSearch), RowHeader: true,
		Empty: web.Empty{Text: web.Text(ctx, "postroom.none"), Help: web.Text(ctx, "postroom.none-help")}}
	if !f.lookedTo.IsZero() {
		t.Empty = web.Empty{Text: web.Text(ctx, "postroom.none-yet"), Help: web.Text(ctx, "postroom.none-yet-help")}
	}
	shares := []int{5, 4, 4, 4, 3, 5}
	for i, k := range messageColumns() {
		c := web.Column{Text: web.Text(ctx, "postroom.column."+k), Share: shares[i], Whole: k == "sent"}
		if k == "sent" {
			c.Sort = "sent"
		}
		t.Columns = append(t.Columns, c)
	}
	for _, it := range f.list {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(format.Seconds(it.At), messagePath(it.Ref)), d.organisation(ctx, it.From), d.organisation(ctx, it.Message.To),
			web.Cell(it.Workflow), web.ShowCell(stateTag(it)), web.Cell(it.ID)}})
	}
	if n := len(f.list); n > 0 {
		t.Count = web.Count(ctx, "postroom.on-this-page", n)
		if f.before == nil && f.after == nil {
			t.Count = web.Count(ctx, "postroom.in-all", n)
		}
	}
	if f.after != nil {
		t.NextCursor = f.after.String()
	}
	if f.before != nil {
		t.PreviousCursor = f.before.String()
	}
	return t
}

// csvPath is where the whole of a list is, as a file that is streamed.
func csvPath(state web.TableState, page string) string {
	return strings.Replace(state.With(), page, page+".csv", 1)
}

// read takes what was typed into the form.
func (v *searchView) read(state web.TableState) {
	for _, name := range []string{"id", "organisation", "workflow", "state", "age"} {
		v.Form[name] = state.Filter(name)
	}
}

// searchCSV sends all that is found, csvMost lines at most: a last line says so if there is more.
func (d *desk) searchCSV(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "-sent")
	if err != nil {
		return err
	}
	v := searchView{Form: map[string]string{}}
	v.read(state)
	q := d.query(ctx, p, state, &v)
	if len(v.Errors) > 0 {
		return fault.New(fault.Invalid, "%s", v.Errors[0].Text)
	}
	if err := d.listed(ctx, p, "messages"); err != nil {
		return err
	}
	names := columns(ctx, append(messageColumns(), "delivered", "ended", "reason")...)
	q.Limit = 500
	return web.CSV(w, "messages", names, func(yield func([]string, error) bool) {
		for sent := 0; ; {
			list, next, err := d.k.Post().Search(ctx, q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, it := range list {
				if sent++; sent > csvMost {
					yield(cut(ctx, csvMost, len(names)), nil)
					return
				}
				if !yield(messageLine(ctx, it), nil) {
					return
				}
			}
			if q.After = next; next == nil {
				return
			}
		}
	})
}

// cut is the last line of a file that ends before its list does.
func cut(ctx context.Context, most, width int) []string {
	line := make([]string, width)
	line[0] = web.Text(ctx, "postroom.csv-cut", web.Count(ctx, "postroom.number", most))
	return line
}

func messageLine(ctx context.Context, it messaging.Item) []string {
	reason := ""
	if it.Held != nil {
		reason = it.Held.Reason
	}
	state, _ := standing(ctx, it)
	return []string{format.Seconds(it.At), it.From.String(), it.Message.To.String(), it.Workflow, state, it.ID, moment(it.Delivered), moment(it.Ended), reason}
}

// moment is a time, or nothing when it has not come.
func moment(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return format.Seconds(t)
}

func columns(ctx context.Context, keys ...string) []string {
	names := make([]string, len(keys))
	for i, k := range keys {
		names[i] = web.Text(ctx, "postroom.column."+k)
	}
	return names
}

func stateOptions(ctx context.Context) []web.Option {
	list := []web.Option{{Text: web.Text(ctx, "postroom.every-state")}, {Value: "open", Text: web.Text(ctx, "postroom.state.open")}, {Value: "unsuccessful", Text: web.Text(ctx, "postroom.state.unsuccessful")}}
	for _, s := range messaging.States() {
		list = append(list, web.Option{Value: s.String(), Text: web.Text(ctx, "postroom.state."+s.String())})
	}
	return list
}

func ageOptions(ctx context.Context) []web.Option {
	list := []web.Option{{Text: web.Text(ctx, "postroom.every-age")}}
	for _, k := range []string{"hour", "day", "week", "month", "over-hour", "over-day", "over-week"} {
		list = append(list, web.Option{Value: k, Text: web.Text(ctx, "postroom.age."+k)})
	}
	return list
}

// tabs are the pages of the post that somebody may open.
func tabs(ctx context.Context, p access.Principal) []web.Link {
	list := []web.Link{{Text: web.Text(ctx, "postroom.title"), URL: pathSearch}, {Text: web.Text(ctx, "postroom.parked.title"), URL: pathParked}, {Text: web.Text(ctx, "postroom.waiting.title"), URL: pathWaiting}}
	if p.Role == access.Administrator {
		list = append(list, web.Link{Text: web.Text(ctx, "postroom.routes.title"), URL: pathRoutes})
	}
	return list
}

// offset is how many rows come before a page of a list that is counted.
func offset(s web.TableState) (int, error) {
	cursor := s.After() + s.Before()
	if cursor == "" {
		return 0, nil
	}
	n := 0
	for _, c := range cursor {
		if c < '0' || c > '9' || n > 1_000_000 {
			return 0, fault.New(fault.Invalid, "That is no page of this list.")
		}
		n = n*10 + int(c-'0')
	}
	return n, nil
}
