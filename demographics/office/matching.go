package office

import (
	"context"
	"fmt"
	"net/http"
	"strconv"

	"github.com/openspine/openspine/demographics/match"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
)

// matchingView is the model that proposes: every weight, and what it was learnt from.
type matchingView struct {
	Page    web.Page
	Last    string
	Weights web.Table
	Passes  web.Table
}

func (o *office) showMatching(w http.ResponseWriter, r *http.Request, _ catalogue.Asker) error {
	ctx := r.Context()
	last, err := o.lastRun(ctx)
	if fault.Is(err, fault.NotFound) {
		last.Model = match.Default()
	} else if err != nil {
		return err
	}
	v := matchingView{Page: web.Page{Title: web.Text(ctx, "office.matching.title"), Back: web.Link{Text: web.Text(ctx, "office.nav.duplicates"), URL: "/duplicates"}}}
	if v.Last, err = o.lastText(ctx); err != nil {
		return err
	}
	v.Weights = weightTable(ctx, last.Model)
	v.Passes = passTable(ctx, last.Estimation)
	return web.Render(w, r, http.StatusOK, matchingPage(v))
}

func weightTable(ctx context.Context, m *match.Model) web.Table {
	t := web.Table{ID: "weights", Caption: web.Text(ctx, "office.matching.weights"), RowHeader: true, Columns: []web.Column{
		{Text: web.Text(ctx, "office.column.what")}, {Text: web.Text(ctx, "office.column.agreement")}, {Text: web.Text(ctx, "office.column.m"), Numeric: true},
		{Text: web.Text(ctx, "office.column.u"), Numeric: true}, {Text: web.Text(ctx, "office.column.weight"), Numeric: true}}}
	for _, f := range match.Fields() {
		for l := match.Level(1); int(l) < f.Levels(); l++ {
			t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(web.Text(ctx, "office.row."+f.String())), web.Cell(web.Text(ctx, "office.level."+f.String()+"."+f.Word(l))),
				web.Cell(chance(m.M[f][l])), web.Cell(chance(m.U[f][l])), web.Cell(fmt.Sprintf("%+.1f", m.Weight(f, l)))}})
		}
	}
	return t
}

// chance is a probability in per cent, with as many digits as it takes to see it.
func chance(p float64) string {
	if p >= 0.001 {
		return strconv.FormatFloat(p*100, 'f', 1, 64) + "%"
	}
	return fmt.Sprintf("1 in %.0f", 1/p)
}

func passTable(ctx context.Context, e match.Estimation) web.Table {
	t := web.Table{ID: "passes", Caption: web.Text(ctx, "office.matching.passes"), RowHeader: true, Columns: []web.Column{
		{Text: web.Text(ctx, "office.column.shared")}, {Text: web.Text(ctx, "office.column.pairs"), Numeric: true}, {Text: web.Text(ctx, "office.column.matches"), Numeric: true},
		{Text: web.Text(ctx, "office.column.rounds"), Numeric: true}, {Text: web.Text(ctx, "office.column.used")}},
		Empty: web.Empty{Text: web.Text(ctx, "office.matching.not-learnt"), Help: web.Text(ctx, "office.matching.not-learnt-help", learnFrom)}}
	for _, p := range e.Passes {
		used := web.Text(ctx, "office.matching.used-no")
		if p.Converged {
			used = web.Text(ctx, "office.matching.used-yes")
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.Cell(web.Text(ctx, "office.shared."+sharedKey(p))), web.Cell(strconv.FormatInt(p.Pairs, 10)), web.Cell(fmt.Sprintf("%.0f", p.Matches)),
			web.Cell(strconv.Itoa(p.Iterations)), web.Cell(used)}})
	}
	return t
}

func sharedKey(p match.Pass) string {
	if len(p.Fixed) > 0 && p.Fixed[0] == match.Birth {
		return "birth"
	}
	return "name"
}
