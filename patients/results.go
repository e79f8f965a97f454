package patients

import (
	"cmp"
	"context"
	"net/http"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/web"
)

// testView is one test with its newest result and what came before.
type testView struct {
	Code, Name, Value, Range, Flag, When, URL string
	Entry                                     entry
	Trend                                     string // rising, falling, steady; "" with fewer than two numbers
	Count                                     int
}

// tests are the tests that a chart holds results of, the one with the newest result first.
func (c *chart) tests(ctx context.Context) []testView {
	var list []testView
	at := map[string]int{}
	for _, e := range c.of("results") {
		if e.Type != "Observation" || e.Wrong {
			continue
		}
		key := e.code
		if key == "" {
			key = e.Title
		}
		i, known := at[key]
		if !known {
			at[key] = len(list)
			v := testView{Code: key, Name: e.Title, Value: e.Detail, Flag: e.Flag, When: e.When.Date(), Entry: e, Count: 1, URL: c.person.url() + "/results/" + pathPart(key)}
			if len(e.Measured) > 0 {
				v.Range = e.Measured[0].Range
			}
			list = append(list, v)
			continue
		}
		if list[i].Count++; list[i].Count == 2 {
			list[i].Trend = trend(list[i].Entry, e)
		}
	}
	return list
}

// trend says how the newest number stands to the one before.
func trend(now, before entry) string {
	if len(now.Measured) == 0 || len(before.Measured) == 0 {
		return ""
	}
	a, errA := strconv.ParseFloat(now.Measured[0].Value, 64)
	b, errB := strconv.ParseFloat(before.Measured[0].Value, 64)
	switch {
	case errA != nil || errB != nil:
		return ""
	case a > b:
		return "rising"
	case a < b:
		return "falling"
	}
	return "steady"
}

// trendView is one test over time.
type trendView struct {
	*chart
	Page  web.Page
	Name  string
	Chart web.Chart
	Table web.Table
}

func (f *face) trend(w http.ResponseWriter, r *http.Request, ask catalogue.Asker) error {
	c, err := f.open(r, ask, true)
	if err == nil {
		err = c.needRelation()
	}
	if err != nil {
		return err
	}
	ctx := r.Context()
	var list []entry
	for _, e := range c.of("results") {
		if e.Type == "Observation" && (e.code == r.PathValue("code") || e.code == "" && e.Title == r.PathValue("code")) {
			list = append(list, e)
		}
	}
	if len(list) == 0 {
		return access.NotHere()
	}
	v := trendView{chart: c, Page: c.page(ctx, web.Text(ctx, "patients.trend.title"), false), Name: list[0].Title}
	state, err := web.ReadTableState(whole(r))
	if err != nil {
		return err
	}
	v.Table = web.Table{ID: "results", State: state, Caption: web.Text(ctx, "patients.trend.caption", v.Name), Columns: []web.Column{
		{Text: web.Text(ctx, "patients.column.when"), Whole: true}, {Text: web.Text(ctx, "patients.column.value")}, {Text: web.Text(ctx, "patients.column.range"), Whole: true}, {Text: web.Text(ctx, "patients.column.flag")}, {Text: web.Text(ctx, "patients.column.by")}}}
	for _, e := range list {
		rng := ""
		if len(e.Measured) > 0 {
			rng = e.Measured[0].Range
		}
		v.Table.Rows = append(v.Table.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(e.When.String(), e.URL()), web.Cell(e.Detail), web.NoteCell(rng), flagCell(e), web.Cell(e.By)}})
	}
	v.Chart = plot(ctx, v.Name, list)
	return web.Render(w, r, http.StatusOK, trendPage(v))
}

// plot draws the numbers of a test over time; a test without numbers gives an empty chart.
func plot(ctx context.Context, name string, list []entry) web.Chart {
	chart := web.Chart{ID: "trend", XName: web.Text(ctx, "patients.column.when"), YName: name}
	at := map[string]int{}
	oldest := slices.Clone(list)
	slices.Reverse(oldest)
	for _, e := range oldest {
		when, ok := e.When.Time()
		if !ok || e.Wrong {
			continue
		}
		for _, m := range e.Measured {
			value, err := strconv.ParseFloat(m.Value, 64)
			if err != nil {
				continue
			}
			title := cmp.Or(m.Name, name)
			i, known := at[title]
			if !known {
				i = len(chart.Series)
				at[title] = i
				chart.Series = append(chart.Series, web.Series{Name: title})
			}
			text := m.Text()
			if flag := flagText(ctx, m.Flag); flag != "" {
				text += " (" + strings.ToLower(flag) + ")"
			}
			chart.Series[i].Points = append(chart.Series[i].Points, web.Point{Label: e.When.Date(), X: float64(when.Unix()) / float64(24*time.Hour/time.Second), Y: value, Text: text, Flag: abnormal(ctx, m.Flag)})
			chart.YName = cmp.Or(chart.YName, name)
			withRange(&chart, m)
			if m.Unit != "" {
				chart.YName = name + " (" + m.Unit + ")"
			}
		}
	}
	chart.Title = finding(ctx, name, chart)
	return chart
}

func withRange(chart *web.Chart, m measured) {
	low, errLow := strconv.ParseFloat(m.Low, 64)
	high, errHigh := strconv.ParseFloat(m.High, 64)
	if errLow == nil && errHigh == nil && len(chart.Series) == 1 {
		chart.Range, chart.RangeAs = &web.Range{Low: low, High: high}, m.Range
	}
}

// finding is what a plot shows, as a sentence.
func finding(ctx context.Context, name string, chart web.Chart) string {
	if len(chart.Series) == 0 || len(chart.Series[0].Points) < 2 {
		return web.Text(ctx, "patients.trend.one", name)
	}
	p := chart.Series[0].Points
	first, last := p[0], p[len(p)-1]
	key := "patients.trend.level"
	switch {
	case last.Y > first.Y:
		key = "patients.trend.risen"
	case last.Y < first.Y:
		key = "patients.trend.fallen"
	}
	return web.Text(ctx, key, cmp.Or(chart.Series[0].Name, name), first.Text, last.Text, first.Label)
}

// flagText is an interpretation in words; "" when nothing was said.
func flagText(ctx context.Context, flag string) string {
	if key := "patients.flag." + flag; flag != "" && web.HasText(key) {
		return web.Text(ctx, key)
	}
	return flag
}

func abnormal(ctx context.Context, flag string) string {
	if flag == "N" {
		return ""
	}
	return flagText(ctx, flag)
}

// pathPart is a text as one part of a path.
func pathPart(s string) string { return strings.ReplaceAll(urlEscape(s), "+", "%20") }

// sortEntries puts entries in the order that a list's state asks for.
func sortEntries(list []entry, state web.TableState) {
	column, desc := state.Sort()
	slices.SortStableFunc(list, func(a, b entry) int {
		n := strings.Compare(a.sort, b.sort)
		if column == "what" {
			n = strings.Compare(strings.ToLower(a.Title), strings.ToLower(b.Title))
		}
		if desc {
			return -n
		}
		return n
	})
}

// flagCell is a result's flag; one that was given none has an empty place.
func flagCell(e entry) web.TableCell {
	if e.Flag == "" && !e.Wrong {
		return web.NoteCell("")
	}
	return web.ShowCell(flagTag(e))
}

// testTable lists tests with their newest results.
func testTable(ctx context.Context, tests []testView) web.Table {
	t := web.Table{ID: "tests", RowHeader: true, Caption: web.Text(ctx, "patients.trend.newest")}
	for i, k := range []string{"test", "value", "range", "flag", "when", "trend"} {
		t.Columns = append(t.Columns, web.Column{Text: web.Text(ctx, "patients.column."+k), Whole: i == 2 || i == 4, Share: []int{6, 3, 3, 2, 3, 3}[i]})
	}
	for _, v := range tests {
		t.Rows = append(t.Rows, web.TableRow{Cells: []web.TableCell{web.LinkCell(v.Name, v.Entry.URL()), web.Cell(v.Value), web.NoteCell(v.Range), flagCell(v.Entry), web.Cell(v.When), web.ShowCell(trendWord(v))}})
	}
	return t
}
