package referral

import (
	"context"
	"net/http"
	"slices"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// names are those of the people of a list, who are on the account as shown with it.
func (f *face) names(ctx context.Context, list []Referral) (names []string, err error) {
	err = f.s.read(ctx, func(tx *store.Tx) error {
		names = make([]string, len(list))
		for i, r := range list {
			p, err := f.s.personIn(tx, r.Chart)
			if err != nil {
				return err
			}
			names[i] = p.banner().Name(ctx)
		}
		return nil
	})
	return names, err
}

// listView is a worklist.
type listView struct {
	Title, Lede string
	Table       web.Table
	Kinds       []web.Option
	Kind        string
	Live        string // where changes are told
	Priorities  web.Choice
	Search      web.Field
}

// worklist is what a practice has referred and is not done with: first of all what nobody has booked.
func (f *face) worklist(w http.ResponseWriter, r *http.Request, scope access.Scope) error {
	kinds := []string{"act", "booked", "waiting", "all"}
	states := map[string][]State{"act": waiting(), "booked": {Booked}, "waiting": {Deferred, AwaitingTriage, TriagedToAct}}
	return f.list(w, r, scope, "worklist", kinds, func(kind string, p ident.ODSCode) Worklist {
		return Worklist{Practice: p, States: states[kind]}
	})
}

// review is what a provider has yet to read, those for whom it has to find a date, and all that is booked with it.
func (f *face) review(w http.ResponseWriter, r *http.Request, scope access.Scope) error {
	kinds := []string{"review", "triage", "issues", "due", "booked"}
	return f.list(w, r, scope, "review", kinds, func(kind string, p ident.ODSCode) Worklist {
		q := Worklist{Provider: p}
		switch kind {
		case "review":
			q.States, q.Unread = []State{Booked}, true
		case "triage":
			q.States = []State{AwaitingTriage, TriagedToAct}
		case "issues":
			q.States = []State{Deferred, CancelledByProvider}
		case "due":
			q.States, q.Due = []State{Booked}, true
		default:
			q.States = []State{Booked}
		}
		return q
	})
}

func (f *face) list(w http.ResponseWriter, r *http.Request, scope access.Scope, name string, kinds []string, query func(kind string, p ident.ODSCode) Worklist) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "limit", "patient", "service", "priority", "state", "waits")
	if err != nil {
		return err
	}
	kind := state.Filter("show")
	if !slices.Contains(kinds, kind) {
		kind = kinds[0]
	}
	own := scope.Principal().Organisation
	live := f.s.changes.From(changesPath, own.String())
	q := query(kind, own)
	q.Limit = mostListed + 1
	found, err := f.s.waitingIn(ctx, scope, q)
	if err != nil {
		return err
	}
	rows := make([]listed[Referral], min(len(found), mostListed))
	for i := range rows {
		x := found[i]
		rows[i] = listed[Referral]{X: x, Chart: x.Chart, Number: x.Patient.String(), UBRN: x.UBRN, Service: serviceOf(x), Provider: x.Chosen.ProviderName, Priority: x.Priority, State: web.Text(ctx, "referral.state."+string(x.Stage())), Since: x.Since}
	}
	v := listView{Title: web.Text(ctx, "referral."+name+".title"), Lede: web.Text(ctx, "referral."+name+".lede"), Kind: kind, Live: live}
	for _, k := range kinds {
		v.Kinds = append(v.Kinds, web.Option{Value: k, Text: web.Text(ctx, "referral.kind."+k)})
	}
	csv := state.Filter("format") == "csv"
	rows, err = narrowed(ctx, f, state, rows)
	if err != nil {
		return err
	}
	page, previous, next := rows, "", ""
	if !csv {
		page, previous, next = web.PageOf(state, rows, listRows, listed[Referral].key)
	}
	names, err := named(ctx, f, page)
	if err != nil {
		return err
	}
	list := make([]Referral, len(page))
	for i, x := range page {
		list[i] = x.X
	}
	f.s.shown(scope, list)
	if csv {
		return f.listCSV(w, r, list, names)
	}
	v.Priorities, v.Search = prioritiesChoice(ctx, state), searchField(ctx, state)
	v.Table = f.listTable(ctx, state, list, names)
	v.Table.Count, v.Table.PreviousCursor, v.Table.NextCursor = countOf(ctx, "referral.list.count", len(rows), len(found)), previous, next
	if part, ok := web.Partial(r); ok && part == liveID {
		return web.Render(w, r, http.StatusOK, liveList(v))
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), listPage(v))
}

// liveID is the part of a worklist that is drawn again when something has changed.
const liveID = "live"

// changed tells a worklist whenever something of the reader's organisation has changed.
func (f *face) changed(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	return f.s.changes.Events(w, r, f.k.Clock, ask.Principal.Organisation.String())
}

func listColumns() []string {
	return []string{"patient", "service", "priority", "state", "waits", "limit"}
}

func (f *face) listTable(ctx context.Context, state web.TableState, list []Referral, names []string) web.Table {
	now := f.k.Clock.Now()
	t := web.Table{ID: "referrals", State: state, Caption: web.Text(ctx, "referral.list.caption"), CSVURL: state.With("format", "csv"), RowHeader: true,
		Empty: web.Empty{Text: web.Text(ctx, "referral.list.none"), Help: web.Text(ctx, "referral.list.none-help")}}
	if by, descending := state.Sort(); by != "limit" || descending {
		t.Caption = web.Text(ctx, "referral.list.in-order")
	}
	for _, key := range listColumns() {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "referral.column."+key), Sort: key, Whole: key == "waits"})
	}
	var who []string
	for _, r := range list {
		who = append(who, r.Patient.String())
	}
	similar := web.SimilarPeople(names, who)
	for i, r := range list {
		t.Rows = append(t.Rows, web.TableRow{SimilarName: similar[i], Cells: []web.TableCell{web.LinkCell(names[i], casePath+r.UBRN.String()), web.ShowCell(web.Lines(serviceOf(r), r.Chosen.ProviderName)),
			web.ShowCell(priorityTag(r.Priority)), web.ShowCell(stateTag(r)), web.Cell(web.Ago(ctx, now, r.Since)), limitCell(ctx, r.Limit(), now)}})
	}
	return t
}

// limitCell flags a wait that nears its limit, or has passed it.
func limitCell(ctx context.Context, l booking.Limit, now time.Time) web.TableCell {
	if !l.Flagged(now) {
		return web.NoteCell("")
	}
	return web.ShowCell(web.LimitTag(ctx, l.Left(now), l.Diagnosis, l.Booked))
}

// serviceOf is the service that a referral is at, or the first that it may go to.
func serviceOf(r Referral) string {
	if r.Chosen.Name != "" {
		return r.Chosen.Name
	}
	return r.Shortlist[0].Name
}

func (f *face) listCSV(w http.ResponseWriter, r *http.Request, list []Referral, names []string) error {
	ctx, now := r.Context(), f.k.Clock.Now()
	var header []string
	for _, key := range append(listColumns(), "ubrn") {
		header = append(header, web.Text(ctx, "referral.column."+key))
	}
	return web.CSV(w, "referrals", header, func(yield func([]string, error) bool) {
		for i, x := range list {
			if !yield([]string{names[i], serviceOf(x), web.Text(ctx, "referral.priority."+string(x.Priority)), web.Text(ctx, "referral.state."+string(x.Stage())), format.DateTime(x.Since), limitDays(x.Limit(), now), x.UBRN.Display()}, nil) {
				return
			}
		}
	})
}
