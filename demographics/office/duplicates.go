package office

import (
	"context"
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics/match"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// pairsView is the worklist of pairs.
type pairsView struct {
	Table  web.Table
	State  string
	Mine   string
	Hidden int
	Last   string
	Done   bool
	Busy   bool
}

func (o *office) showPairs(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	state, err := web.ReadTableState(r, "likely", "age")
	if err != nil {
		return err
	}
	q := pairQuery{State: stateOpen, Limit: pageSize}
	switch shows := state.Filter("state"); shows {
	case "", stateOpen:
	case stateMerged, stateDifferent, stateLapsed:
		q.State = shows
	default:
		return fault.New(fault.Invalid, "There is no such list: open, merged, different or lapsed.")
	}
	if state.Filter("whose") == "mine" {
		q.Owner = ask.Principal.ID
	}
	sort, _ := state.Sort()
	q.Oldest = sort == "age"
	if q.After, err = offset(cursor(state)); err != nil {
		return err
	}
	csv := r.URL.Query().Get("format") == "csv"
	if csv {
		q.After, q.Limit = 0, csvMost
	}
	list, total, hidden, err := o.pairs(ctx, q)
	if err != nil {
		return err
	}
	rows, err := o.pairRows(ctx, ask, list)
	if err != nil {
		return err
	}
	if csv {
		return pairsCSV(w, ctx, rows)
	}
	v := pairsView{State: q.State, Mine: state.Filter("whose"), Hidden: hidden, Done: r.URL.Query().Get("done") == "compared", Busy: len(o.running) > 0, Table: web.Table{
		ID: "pairs", State: state, Caption: web.Text(ctx, "office.pairs.caption."+q.State), Count: web.Count(ctx, "office.pairs.count", total), RowHeader: true,
		Columns: []web.Column{{Text: web.Text(ctx, "office.column.people")}, {Text: web.Text(ctx, "office.column.likely"), Sort: "likely", Whole: true}, {Text: web.Text(ctx, "office.column.why")},
			{Text: web.Text(ctx, "office.column.age"), Sort: "age", Whole: true}, {Text: web.Text(ctx, "office.column.owner")}},
		CSVURL: state.With("format", "csv"), Empty: web.Empty{Text: web.Text(ctx, "office.pairs.empty."+q.State), Help: web.Text(ctx, "office.pairs.empty-help")}}}
	for _, row := range rows {
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.ShowCell(twoPeople(row)), web.ShowCell(likely(row.pair)), web.Cell(row.why), web.Cell(row.age), web.Cell(row.who)}})
	}
	turnPages(&v.Table, q.After, len(list), total)
	if v.Last, err = o.lastText(ctx); err != nil {
		return err
	}
	return web.RenderPart(w, r, v.Table.ID, web.DataTable(v.Table), pairsPage(v))
}

// pairRow is a pair as a list shows it.
type pairRow struct {
	pair
	nameA, nameB, why, age, who string
}

// pairRows names the people of pairs, all of whom are then on the account as shown.
func (o *office) pairRows(ctx context.Context, ask catalogue.Asker, list []pair) ([]pairRow, error) {
	var ids []string
	for _, p := range list {
		ids = append(ids, p.A, p.B)
	}
	if len(ids) == 0 {
		return nil, nil
	}
	people, err := o.people(ctx, ask, ids...)
	if err != nil {
		return nil, err
	}
	rows := make([]pairRow, len(list))
	for i, p := range list {
		who := p.OwnerName
		switch {
		case p.State != stateOpen:
			who = p.DecidedBy
		case who == "":
			who = web.Text(ctx, "office.nobody")
		}
		rows[i] = pairRow{pair: p, nameA: nameOf(people[2*i]), nameB: nameOf(people[2*i+1]), why: whyText(ctx, p.Pattern), age: o.age(ctx, p.Found), who: who}
	}
	return rows, nil
}

func pairsCSV(w http.ResponseWriter, ctx context.Context, rows []pairRow) error {
	header := []string{}
	for _, k := range []string{"first-number", "first-name", "second-number", "second-name", "likely", "why", "age", "owner"} {
		header = append(header, web.Text(ctx, "office.column."+k))
	}
	return web.CSV(w, "duplicates", header, func(yield func([]string, error) bool) {
		for _, p := range rows {
			if !yield([]string{number(p.A), p.nameA, number(p.B), p.nameB, percent(p.Probability), p.why, p.age, p.who}, nil) {
				return
			}
		}
	})
}

// whyText is what agrees and what does not, in a few words.
func whyText(ctx context.Context, p match.Pattern) string {
	var parts []string
	for _, f := range match.Fields() {
		if l := p.Level(f); l != match.Missing {
			parts = append(parts, web.Text(ctx, "office.field."+f.String())+" "+web.Text(ctx, "office.level."+f.String()+"."+f.Word(l)))
		}
	}
	return strings.Join(parts, ", ")
}

func percent(p float64) string {
	if p > 0.9999 {
		return "> 99.99%"
	}
	return strconv.FormatFloat(p*100, 'f', 2, 64) + "%"
}

// age is how long ago something was found, in the unit that matters.
func (o *office) age(ctx context.Context, at time.Time) string {
	return web.Ago(ctx, o.k.Clock.Now(), at)
}

func (o *office) lastText(ctx context.Context) (string, error) {
	last, err := o.lastRun(ctx)
	if fault.Is(err, fault.NotFound) {
		return web.Text(ctx, "office.run.never"), nil
	}
	return web.Text(ctx, "office.run.last", format.DateTime(last.Finished), last.People, last.Pairs, last.Opened), err
}

// compareNow compares everybody while the clerk waits: seconds for most registers, a minute for a million people.
func (o *office) compareNow(w http.ResponseWriter, r *http.Request, _ catalogue.Asker) error {
	if err := web.CheckForm(r, ""); err != nil {
		return err
	}
	if _, err := o.compareAll(r.Context()); err != nil {
		return err
	}
	return web.SeeOther(w, r, "/duplicates?done=compared")
}

// pairView is two records side by side.
type pairView struct {
	Page    web.Page
	Pair    pair
	Names   [2]string
	Table   web.Table
	Facts   []web.Row
	Own     bool
	Done    string
	Form    pairForm
	Choices []web.Option
	Since   web.Table
}

// pairForm is a decision as typed.
type pairForm struct {
	Survivor, Reason string
	Errors           web.FieldErrors
}

// openPair reads the pair of a request and both its people, now.
func (o *office) openPair(r *http.Request, ask catalogue.Asker) (*pairView, []record.Version, error) {
	ctx := r.Context()
	p, err := o.pairOf(ctx, r.PathValue("a"), r.PathValue("b"))
	if err != nil {
		return nil, nil, err
	}
	people, err := o.people(ctx, ask, p.A, p.B)
	if err != nil {
		return nil, nil, err
	}
	v := &pairView{Pair: p, Names: [2]string{nameOf(people[0]), nameOf(people[1])}, Own: p.Owner == ask.Principal.ID, Done: r.URL.Query().Get("done"),
		Page: web.Page{Title: web.Text(ctx, "office.pair.title"), Back: web.Link{Text: web.Text(ctx, "office.nav.duplicates"), URL: "/duplicates"}}}
	return v, people, nil
}

func (o *office) showPair(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	v, people, err := o.openPair(r, ask)
	if err != nil {
		return err
	}
	if err := o.compareTwo(r.Context(), v, people[0], people[1]); err != nil {
		return err
	}
	return web.Render(w, r, http.StatusOK, pairPage(v))
}

// compareTwo lays two records side by side, with what each field says for or against one person.
func (o *office) compareTwo(ctx context.Context, v *pairView, one, two record.Version) error {
	model, err := o.model(ctx)
	if err != nil {
		return err
	}
	day := o.k.Clock.Now().UTC().Format(time.DateOnly)
	a, b := match.FromPatient(one.Resource, day), match.FromPatient(two.Resource, day)
	result := model.Score(&a, &b)
	v.Table = o.sideBySide(ctx, [2]string{number(one.ID), number(two.ID)}, one, two, model.Explain(&a, &b))
	p := v.Pair
	v.Facts = []web.Row{
		{Key: web.Text(ctx, "office.column.likely"), Value: likely(pair{Verdict: result.Verdict, Probability: result.Probability})},
		{Key: web.Text(ctx, "office.pair.evidence"), Text: web.Text(ctx, "office.pair.bits", fmt.Sprintf("%.1f", result.Weight))},
	}
	if result.Veto != match.NoVeto {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "office.pair.veto"), Text: web.Text(ctx, "office.veto."+result.Veto.String())})
	}
	v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "office.pair.state"), Text: o.stateText(ctx, p)})
	if p.Reason != "" {
		v.Facts = append(v.Facts, web.Row{Key: web.Text(ctx, "office.pair.reason"), Text: p.Reason})
	}
	return nil
}

func (o *office) stateText(ctx context.Context, p pair) string {
	switch {
	case p.State == stateMerged:
		return web.Text(ctx, "office.state.merged", number(p.Survivor), p.DecidedBy, format.DateTime(p.Decided))
	case p.State == stateDifferent:
		return web.Text(ctx, "office.state.different", p.DecidedBy, format.DateTime(p.Decided))
	case p.State == stateLapsed:
		return web.Text(ctx, "office.state.lapsed")
	case p.Owner != "":
		return web.Text(ctx, "office.state.taken", p.OwnerName, format.DateTime(p.Taken))
	}
	return web.Text(ctx, "office.state.open")
}

// sideBySide is a table of two records: each field, what either says, and how far they agree.
func (o *office) sideBySide(ctx context.Context, heads [2]string, one, two record.Version, reasons []match.Reason) web.Table {
	t := web.Table{ID: "compare", Caption: web.Text(ctx, "office.pair.caption"), RowHeader: true, Columns: []web.Column{
		{Text: web.Text(ctx, "office.column.what")}, {Text: heads[0]}, {Text: heads[1]}, {Text: web.Text(ctx, "office.column.agreement")}, {Text: web.Text(ctx, "office.column.weight"), Numeric: true}}}
	row := func(key string, a, b []string, agreement web.TableCell, weight string) {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(web.Text(ctx, "office.row."+key)), web.ShowCell(lines(a)), web.ShowCell(lines(b)), agreement, web.Cell(weight)}})
	}
	said := map[match.Field]func(record.Version) []string{match.Family: families, match.Given: givens, match.Birth: births, match.Gender: func(v record.Version) []string { return genders(ctx, v) },
		match.Contact: contacts, match.Death: deaths}
	for _, reason := range reasons {
		weight := web.Text(ctx, "office.none")
		if reason.Level != match.Missing {
			weight = fmt.Sprintf("%+.1f", reason.Weight)
		}
		row(reason.Field.String(), said[reason.Field](one), said[reason.Field](two), web.ShowCell(agreement(reason)), weight)
	}
	none := web.Text(ctx, "office.none")
	row("practice", practices(one), practices(two), web.Cell(none), none)
	row("changed", []string{format.DateTime(one.At)}, []string{format.DateTime(two.At)}, web.Cell(none), none)
	return t
}

func (o *office) decidePair(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	ctx := r.Context()
	v, people, err := o.openPair(r, ask)
	if err != nil {
		return err
	}
	p := v.Pair
	if err := web.CheckForm(r, p.A+" "+p.B); err != nil {
		return err
	}
	act := r.PostForm.Get("act")
	switch act {
	case "take", "give-back", "different":
	default:
		return fault.New(fault.Invalid, "A pair is taken, given back, or found to be different people.")
	}
	if act == "different" {
		v.Form.Reason = reasonIn(r, &v.Form.Errors)
		if len(v.Form.Errors) > 0 {
			if err := o.compareTwo(ctx, v, people[0], people[1]); err != nil {
				return err
			}
			v.Page.Failed = true
			return web.Render(w, r, http.StatusUnprocessableEntity, pairPage(v))
		}
	}
	grants, err := o.grants(ask, access.Update, p.A, p.B)
	if err != nil {
		return err
	}
	if act == "different" {
		err = o.differ(ctx, grants, p, ask.Principal, v.Form.Reason)
	} else {
		err = o.take(ctx, grants, p, ask.Principal, act == "give-back")
	}
	if err != nil {
		return err
	}
	return web.SeeOther(w, r, pairURL(p.A, p.B)+"?done="+act)
}
