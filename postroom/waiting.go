package postroom

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// waitingView is what waits where.
type waitingView struct {
	Table web.Table
	Show  string
	Name  string
	Tabs  []web.Link
}

// waitingColumns are the columns of the list of destinations.
func waitingColumns() []string {
	return []string{"destination", "waiting", "held", "parked", "oldest", "reached"}
}

func (d *desk) waiting(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "-oldest", "destination", "waiting", "parked")
	if err != nil {
		return err
	}
	at, err := offset(state)
	if err != nil {
		return err
	}
	all, err := d.backlogs(ctx, p)
	if err != nil {
		return err
	}
	v := waitingView{Show: state.Filter("show"), Name: state.Filter("name"), Tabs: tabs(ctx, p)}
	list := slices.DeleteFunc(all, func(b messaging.Backlog) bool {
		quiet := b.Waiting+b.Held == 0 && b.Failed == ""
		named := v.Name == "" || strings.Contains(strings.ToLower(d.destination(ctx, b.To)+" "+b.To.Name), strings.ToLower(v.Name))
		return quiet && v.Show != "all" || !named
	})
	by, descending := state.Sort()
	slices.SortStableFunc(list, func(a, b messaging.Backlog) int {
		n := compareBacklogs(a, b, by, d.k.Clock.Now())
		if descending {
			n = -n
		}
		return n
	})
	if state.Filter("format") == "csv" {
		return d.waitingCSV(w, r, list)
	}
	v.Table = web.Table{ID: "waiting", State: state, Caption: web.Text(ctx, "postroom.waiting.caption"), CSVURL: state.With("format", "csv"), RowHeader: true, Count: web.Count(ctx, "postroom.waiting.count", len(list)),
		Empty: web.Empty{Text: web.Text(ctx, "postroom.waiting.empty"), Help: web.Text(ctx, "postroom.waiting.empty-help"), Link: web.Link{Text: web.Text(ctx, "postroom.waiting.all"), URL: state.With("show", "all")}}}
	shares := []int{5, 2, 2, 2, 3, 5}
	for i, k := range waitingColumns() {
		c := web.Column{Text: web.Text(ctx, "postroom.column."+k), Share: shares[i], Whole: k == "oldest", Numeric: i >= 1 && i <= 3}
		if k != "held" && k != "reached" {
			c.Sort = k
		}
		v.Table.Columns = append(v.Table.Columns, c)
	}
	for _, b := range list[min(at, len(list)):min(at+pageSize, len(list))] {
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(d.destination(ctx, b.To)), number(ctx, b.Waiting), number(ctx, b.Held-b.Parked), number(ctx, b.Parked), d.oldest(ctx, b.Oldest), web.Cell(d.reached(ctx, b))}})
	}
	if len(list) == 0 {
		v.Table.Count = ""
	}
	turn(&v.Table, at, len(list))
	if target, part := web.Partial(r); part && target == "waiting-live" {
		return web.Render(w, r, http.StatusOK, waitingPart(v))
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), waitingPage(v))
}

// compareBacklogs orders two queues by a column.
func compareBacklogs(a, b messaging.Backlog, by string, now time.Time) int {
	age := func(b messaging.Backlog) time.Duration {
		if b.Oldest.IsZero() {
			return -1
		}
		return now.Sub(b.Oldest)
	}
	switch by {
	case "waiting":
		return cmp.Compare(a.Waiting, b.Waiting)
	case "parked":
		return cmp.Compare(a.Parked, b.Parked)
	case "oldest":
		return cmp.Compare(age(a), age(b))
	}
	return cmp.Compare(a.To.String(), b.To.String())
}

func number(ctx context.Context, n int64) web.TableCell {
	return web.Cell(web.Count(ctx, "postroom.number", int(n)))
}

func (d *desk) oldest(ctx context.Context, at time.Time) web.TableCell {
	if at.IsZero() {
		return web.NoteCell("")
	}
	return web.ShowCell(web.Lines(d.age(ctx, at), format.DateTime(at)))
}

// reached says how a destination that is another node is reached.
func (d *desk) reached(ctx context.Context, b messaging.Backlog) string {
	switch {
	case b.Failed != "":
		return web.Text(ctx, "postroom.waiting.failed", format.DateTime(b.Since), b.Failed, format.Time(b.NextTry))
	case b.To.Kind == "here":
		return web.Text(ctx, "postroom.waiting.here")
	case b.RoundTrip > 0:
		return web.Text(ctx, "postroom.waiting.round", b.RoundTrip.Milliseconds())
	case b.Held > b.Parked:
		return web.Text(ctx, "postroom.waiting.held")
	}
	return web.Text(ctx, "postroom.waiting.unknown")
}

func (d *desk) waitingCSV(w http.ResponseWriter, r *http.Request, list []messaging.Backlog) error {
	ctx := r.Context()
	return web.CSV(w, "waiting", columns(ctx, waitingColumns()...), func(yield func([]string, error) bool) {
		for _, b := range list {
			if !yield([]string{d.destination(ctx, b.To), strconv.FormatInt(b.Waiting, 10), strconv.FormatInt(b.Held-b.Parked, 10), strconv.FormatInt(b.Parked, 10), moment(b.Oldest), d.reached(ctx, b)}, nil) {
				return
			}
		}
	})
}
