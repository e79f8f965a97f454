// Package account puts the account into words: who looked at a record, what they did, and why they could, for the people
// whom it is about as much as for those who audit it.
//
// What one request did may be several entries (the person, their results, their medicines); a reader sees one line.
package account

import (
	"context"
	"iter"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// Line is what one request did to one chart.
type Line struct {
	audit.Entry
	What []string // what was touched: "Patient", "Observation ×12"
}

// Lines puts together the entries that one request made about one chart with one action and outcome. Order is kept.
func Lines(entries []audit.Entry) []Line {
	var lines []Line
	for _, e := range entries {
		i := slices.IndexFunc(lines, func(l Line) bool {
			return e.RequestID != "" && l.RequestID == e.RequestID && l.Chart == e.Chart && l.Tenant == e.Tenant && l.Action == e.Action && l.Outcome == e.Outcome && l.Actor == e.Actor
		})
		if i < 0 {
			lines = append(lines, Line{Entry: e})
			i = len(lines) - 1
		}
		if e.Detail != "" && !slices.Contains(lines[i].What, e.Detail) {
			lines[i].What = append(lines[i].What, e.Detail)
		}
		if strings.Contains(e.Basis, ": ") {
			lines[i].Basis = e.Basis
		}
	}
	return lines
}

// Why says by which right somebody may see a record, as a sentence: basis is access.Grant.Basis, organisation whose record it is.
func Why(ctx context.Context, basis, organisation string) string {
	rule, kind, _ := strings.Cut(strings.TrimPrefix(basis, "local:"), ": ")
	if kind != "" && web.HasText("account.why."+kind) {
		return web.Text(ctx, "account.why."+kind, organisation)
	}
	if web.HasText("account.why." + rule) {
		return web.Text(ctx, "account.why."+rule, organisation)
	}
	return web.Text(ctx, "account.why.rule", strings.ReplaceAll(rule, "-", " "))
}

// Action is what was done, in a word or two.
func Action(ctx context.Context, action string) string {
	if key := "account.action." + action; web.HasText(key) {
		return web.Text(ctx, key)
	}
	return action
}

// Touched is what was touched, in words.
func (l Line) Touched(ctx context.Context) string {
	var parts []string
	for _, d := range l.What {
		if l.Action == "break-glass" || l.Action == "claim-relationship" || l.Action == "skip" {
			parts = append(parts, web.Text(ctx, "account.reason", d))
			continue
		}
		for _, one := range strings.Split(d, ", ") {
			name, rest, _ := strings.Cut(one, " ×")
			typ, _, _ := strings.Cut(name, "/")
			if typ, _, _ = strings.Cut(typ, " "); web.HasText("account.type." + typ) {
				name = web.Text(ctx, "account.type."+typ)
			}
			if rest != "" {
				name += " ×" + rest
			}
			if !slices.Contains(parts, name) {
				parts = append(parts, name)
			}
		}
	}
	return strings.Join(parts, ", ")
}

// Outcome is how it ended, in words.
func Outcome(ctx context.Context, outcome string) string {
	if strings.HasPrefix(outcome, audit.OutcomeFailed) {
		return web.Text(ctx, "account.outcome.failed")
	}
	if key := "account.outcome." + outcome; web.HasText(key) {
		return web.Text(ctx, key)
	}
	return outcome
}

// outcomeColour repeats what the word says.
func outcomeColour(outcome string) web.Colour {
	switch outcome {
	case audit.OutcomeOK:
		return web.Green
	case audit.OutcomeRefused:
		return web.Red
	}
	return web.Orange
}

// View is a list of the account as a page shows it.
type View struct {
	// ID is the list's, Caption and Empty its words.
	ID, Caption string
	Empty       web.Empty
	// Charts adds a column that says whose record each line is about, and where it leads; nil leaves it out.
	Charts func(e audit.Entry) (text, url string)
	// Name is an organisation as people call it.
	Name func(context.Context, ident.ODSCode) string
}

// Filters are what a reader narrows the account by, and what is wrong with what they typed.
type Filters struct {
	Query    audit.Query
	Period   string // a key of Periods
	From, To web.DateValue
	Errors   web.FieldErrors
}

// FilterNames are the parameters in the URL that Read understands.
func FilterNames() []string {
	return []string{"actor", "organisation", "action", "outcome", "period", "from-day", "from-month", "from-year", "to-day", "to-month", "to-year"}
}

// Read reads the filters of a list: actor, organisation, action, outcome, period, from and to (both days included; a day that
// is given counts for more than the period).
func Read(r *http.Request, now time.Time) (Filters, web.TableState, error) {
	state, err := web.ReadTableState(r, "-when")
	if err != nil {
		return Filters{}, state, err
	}
	form := r.URL.Query()
	_, newest := state.Sort()
	f := Filters{Query: audit.Query{Actor: state.Filter("actor"), Action: state.Filter("action"), Outcome: state.Filter("outcome"), After: state.After(), Before: state.Before(), Oldest: !newest, Limit: 50}, Period: state.Filter("period")}
	if code := state.Filter("organisation"); code != "" {
		if f.Query.Organisation, err = ident.ParseODSCode(strings.ToUpper(code)); err != nil {
			f.Errors.Add("organisation", web.Text(r.Context(), "account.filter.organisation-wrong"))
		}
	}
	if days, known := periods[f.Period]; known {
		f.Query.From = format.Midnight(now).AddDate(0, 0, 1-days)
	}
	var from, to time.Time
	var ok bool
	if f.From, from, ok = web.ReadDate(form, "from"); !f.From.Empty() && !ok {
		f.Errors.Add("from", web.Text(r.Context(), "account.filter.day-wrong"))
	} else if ok {
		f.Query.From = format.Begins(from)
	}
	if f.To, to, ok = web.ReadDate(form, "to"); !f.To.Empty() && !ok {
		f.Errors.Add("to", web.Text(r.Context(), "account.filter.day-wrong"))
	} else if ok {
		f.Query.To = format.Begins(to.AddDate(0, 0, 1))
	}
	return f, state, nil
}

// Table is a page of the account. total says how many entries there are on all pages; zero leaves it out.
func (v View) Table(ctx context.Context, page audit.Page, total int64, state web.TableState) web.Table {
	t := web.Table{ID: v.ID, Caption: v.Caption, State: state, NextCursor: page.Next, PreviousCursor: page.Previous, Empty: v.Empty, CSVURL: state.With("format", "csv")}
	if total > 0 {
		t.Count = Total(ctx, total)
	}
	keys := []string{"when", "who", "did", "why", "outcome"}
	if v.Charts != nil {
		keys = append(keys, "chart")
	}
	for i, k := range keys {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "account.column."+k), Whole: i == 0})
	}
	t.Columns[0].Sort, _ = state.Sort() // by time alone, for that is the order in which the account is kept
	for _, l := range Lines(page.Entries) {
		cells := []web.TableCell{web.Cell(format.Seconds(l.At)), web.ShowCell(web.Lines(name(l), v.from(ctx, l))), web.ShowCell(web.Lines(Action(ctx, l.Action), l.Touched(ctx))),
			web.ShowCell(web.Lines(split(Basis(ctx, l)))), web.ShowCell(web.Tag(Outcome(ctx, l.Outcome), outcomeColour(l.Outcome)))}
		if v.Charts != nil {
			cells = append(cells, v.whose(ctx, l))
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: cells})
	}
	return t
}

// whose is the cell that says whose record a line is about.
func (v View) whose(ctx context.Context, l Line) web.TableCell {
	text, url := v.Charts(l.Entry)
	switch {
	case url != "":
		return web.LinkCell(text, url)
	case text == "":
		return web.ShowCell(web.Quiet(web.Text(ctx, "account.nobody")))
	}
	return web.Cell(text)
}

// split parts a basis into its purpose and the rest.
func split(basis string) (first, second string) {
	if purpose, rest, ok := strings.Cut(basis, ": "); ok {
		return purpose, rest
	}
	return basis, ""
}

// from is the role in which somebody acted, and for whom.
func (v View) from(ctx context.Context, l Line) string {
	var parts []string
	if web.HasText("role." + l.Role) {
		parts = append(parts, web.RoleName(ctx, l.Role))
	}
	if org := v.name(ctx, l.Organisation); org != "" && l.Role != "system-client" {
		parts = append(parts, org)
	}
	return strings.Join(parts, ", ")
}

func name(l Line) string {
	if l.ActorName == "" {
		return l.Actor
	}
	return l.ActorName
}

func (v View) header(ctx context.Context) []string {
	keys := []string{"when", "who", "organisation", "did", "what", "why", "outcome"}
	if v.Charts != nil {
		keys = append(keys, "chart")
	}
	var names []string
	for _, k := range keys {
		names = append(names, web.Text(ctx, "account.column."+k))
	}
	return names
}

func (v View) who(ctx context.Context, l Line) string {
	if web.HasText("role." + l.Role) {
		return name(l) + ", " + strings.ToLower(web.RoleName(ctx, l.Role))
	}
	return name(l)
}

func (v View) name(ctx context.Context, code ident.ODSCode) string {
	if v.Name != nil {
		return v.Name(ctx, code)
	}
	return code.String()
}

// Basis says on what right a line rests: the purpose and the rule, in words.
func Basis(ctx context.Context, l Line) string {
	rule, kind, _ := strings.Cut(strings.TrimPrefix(l.Basis, "local:"), ": ")
	var text string
	switch {
	case kind != "" && web.HasText("account.relation."+kind):
		text = web.Text(ctx, "account.relation."+kind)
	case web.HasText("account.basis." + rule):
		text = web.Text(ctx, "account.basis."+rule)
	default:
		text = strings.ReplaceAll(l.Basis, "-", " ")
	}
	if key := "account.purpose." + l.Purpose; l.Purpose != "" && web.HasText(key) {
		text = web.Text(ctx, key) + ": " + text
	}
	return text
}

// exportLimit is how many entries one export holds.
const exportLimit = 10_000

// CSV sends the whole list as it is filtered.
func (v View) CSV(w http.ResponseWriter, r *http.Request, name string, q audit.Query, search func(audit.Query) (audit.Page, error)) error {
	ctx := r.Context()
	q.After, q.Before, q.Limit = "", "", 1000
	rows := func(yield func([]string, error) bool) {
		for n := 0; n < exportLimit; n += 1000 {
			page, err := search(q)
			if err != nil {
				yield(nil, err)
				return
			}
			for _, l := range Lines(page.Entries) {
				row := []string{format.Seconds(l.At), v.who(ctx, l), v.name(ctx, l.Organisation), Action(ctx, l.Action), l.Touched(ctx), Basis(ctx, l), Outcome(ctx, l.Outcome)}
				if v.Charts != nil {
					text, _ := v.Charts(l.Entry)
					row = append(row, text)
				}
				if !yield(row, nil) {
					return
				}
			}
			if q.After = page.Next; q.After == "" {
				return
			}
		}
	}
	return web.CSV(w, name, v.header(ctx), iter.Seq2[[]string, error](rows))
}

// Actions are what can be chosen in a filter.
func Actions(ctx context.Context) []web.Option {
	options := []web.Option{{Text: web.Text(ctx, "account.filter.any")}}
	for _, a := range []string{"read", "search", "history", "create", "update", "delete", "export", "break-glass", "claim-relationship", "retry", "skip", "sign-in", "sign-out"} {
		options = append(options, web.Option{Value: a, Text: Action(ctx, a)})
	}
	return options
}

// periods are how many days back each period reaches, today included.
var periods = map[string]int{"today": 1, "week": 7, "month": 30, "year": 365}

// Periods are what can be chosen in a filter.
func Periods(ctx context.Context) []web.Option {
	options := []web.Option{{Text: web.Text(ctx, "account.period.any")}}
	for _, p := range []string{"today", "week", "month", "year"} {
		options = append(options, web.Option{Value: p, Text: web.Text(ctx, "account.period."+p)})
	}
	return options
}

// Total says how many entries there are, as far as they are counted.
func Total(ctx context.Context, n int64) string {
	if n >= audit.CountLimit {
		return web.Count(ctx, "account.many", audit.CountLimit)
	}
	return web.Count(ctx, "account.total", int(n))
}

// Outcomes are what can be chosen in a filter.
func Outcomes(ctx context.Context) []web.Option {
	options := []web.Option{{Text: web.Text(ctx, "account.filter.any")}}
	for _, o := range []string{audit.OutcomeOK, audit.OutcomeRefused, audit.OutcomeFailed} {
		options = append(options, web.Option{Value: o, Text: Outcome(ctx, o)})
	}
	return options
}

// Check is nil when nothing is wrong with the filters.
func (f Filters) Check() error {
	if len(f.Errors) > 0 {
		return fault.New(fault.Unprocessable, "%s", f.Errors[0].Text)
	}
	return nil
}
