package postroom

import (
	"net/http"
	"strconv"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// parkedView is the worklist of what waits for a person.
type parkedView struct {
	Table    web.Table
	Owners   []web.Option
	Owner    string
	Workflow string
	Done     string
	Now      nowView
	Tabs     []web.Link
}

// parkedColumns are the columns of the worklist.
func parkedColumns() []string {
	return []string{"age", "workflow", "from", "to", "owner", "reason", "behind"}
}

// worklist is what an address asks for, and puts on the account that it was asked for.
func (d *desk) worklist(r *http.Request, p access.Principal) (state web.TableState, list messaging.Worklist, err error) {
	if state, err = web.ReadTableState(r, "-age", messaging.ByOwner, messaging.ByWorkflow); err != nil {
		return state, list, err
	}
	by, descending := state.Sort()
	list = messaging.Worklist{Parked: true, Organisation: organisationOf(p), Workflow: state.Filter("workflow"), Owner: state.Filter("owner"), Order: by, Reverse: descending, Limit: pageSize}
	if by == messaging.ByAge {
		list.Reverse = !descending // the greatest age is the earliest time
	}
	if list.Offset, err = offset(state); err != nil {
		return state, list, err
	}
	return state, list, d.listed(r.Context(), p, "parked messages")
}

func (d *desk) parked(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	state, list, err := d.worklist(r, p)
	if err != nil {
		return err
	}
	items, total, err := d.k.Post().Held(ctx, list)
	if err != nil {
		return err
	}
	owners, err := d.k.Post().Owners(ctx, organisationOf(p))
	if err != nil {
		return err
	}
	v := parkedView{Owner: list.Owner, Workflow: list.Workflow, Owners: []web.Option{{Text: web.Text(ctx, "postroom.every-owner")}}, Done: state.Filter("done"), Tabs: tabs(ctx, p)}
	for _, o := range owners {
		v.Owners = append(v.Owners, web.Option{Value: o, Text: o})
	}
	v.Table = web.Table{ID: "parked", State: state, Caption: web.Text(ctx, "postroom.parked.caption"), CSVURL: csvPath(state, pathParked), RowHeader: true,
		Count: web.Count(ctx, "postroom.in-all", int(total)), Empty: web.Empty{Text: web.Text(ctx, "postroom.parked.empty"), Help: web.Text(ctx, "postroom.parked.empty-help")}}
	shares := []int{4, 3, 4, 4, 3, 6, 2} // the age has its date beneath, in one piece
	for i, k := range parkedColumns() {
		c := web.Column{Text: web.Text(ctx, "postroom.column."+k), Share: shares[i], Whole: k == "age", Numeric: k == "behind"}
		if k == "age" || k == "owner" || k == "workflow" {
			c.Sort = k
		}
		v.Table.Columns = append(v.Table.Columns, c)
	}
	for _, it := range items {
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.ShowCell(linked(d.age(ctx, it.Held.Since), messagePath(it.Ref), format.DateTime(it.Held.Since))), web.Cell(it.Workflow),
			d.organisation(ctx, it.From), d.organisation(ctx, it.Message.To), web.Cell(it.Held.Owner), web.Cell(it.Held.Reason), web.Cell(strconv.Itoa(it.Held.Behind))}})
	}
	if int(total) == 0 {
		v.Table.Count = ""
	}
	turn(&v.Table, list.Offset, int(total))
	if v.Now, err = d.nowOf(ctx, p); err != nil {
		return err
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), parkedPage(v))
}

// turn says where the rows before and after a page of a counted list are.
func turn(t *web.Table, at, total int) {
	if at+pageSize < total {
		t.NextCursor = strconv.Itoa(at + pageSize)
	}
	if at > 0 {
		t.PreviousCursor = strconv.Itoa(max(0, at-pageSize))
	}
}

// parkedCSV sends the whole worklist, csvMostParked lines at most: a last line says so if there is more.
func (d *desk) parkedCSV(w http.ResponseWriter, r *http.Request, p access.Principal) error {
	ctx := r.Context()
	_, list, err := d.worklist(r, p)
	if err != nil {
		return err
	}
	names := columns(ctx, append(parkedColumns(), "id", "sent", "tries")...)
	list.Limit, list.Offset = 500, 0
	return web.CSV(w, "parked", names, func(yield func([]string, error) bool) {
		for ; list.Offset < csvMostParked; list.Offset += list.Limit {
			items, _, err := d.k.Post().Held(ctx, list)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, it := range items {
				if !yield([]string{d.age(ctx, it.Held.Since), it.Workflow, it.From.String(), it.Message.To.String(), it.Held.Owner, it.Held.Reason, strconv.Itoa(it.Held.Behind), it.ID, format.Seconds(it.At), strconv.Itoa(it.Held.Tries)}, nil) {
					return
				}
			}
			if len(items) < list.Limit {
				return
			}
		}
		yield(cut(ctx, csvMostParked, len(names)), nil)
	})
}
