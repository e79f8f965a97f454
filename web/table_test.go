package web_test

import (
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/web"
)

func TestAListKeepsItsStateInTheURL(t *testing.T) {
	r := httptest.NewRequest("GET", "/patients?ward=A%26B&sort=-born&after=xyz", nil)
	s, err := web.ReadTableState(r, "name", "born")
	if err != nil {
		t.Fatal(err)
	}
	if c, desc := s.Sort(); c != "born" || !desc || s.After() != "xyz" || s.Filter("ward") != "A&B" {
		t.Errorf("read %s %v after %s ward %s", c, desc, s.After(), s.Filter("ward"))
	}
	for got, want := range map[string]string{
		s.With():                       "/patients?sort=-born&ward=A%26B",
		s.With("ward", ""):             "/patients?sort=-born",
		s.With("ward", "", "sort", ""): "/patients",
		s.With(web.AfterParam, "q"):    "/patients?after=q&sort=-born&ward=A%26B",
		s.With("ward", "Ü"):            "/patients?sort=-born&ward=%C3%9C",
	} {
		if got != want {
			t.Errorf("got %s, want %s", got, want)
		}
	}
	if _, err := web.ReadTableState(httptest.NewRequest("GET", "/p?sort=password", nil), "name"); !fault.Is(err, fault.Invalid) {
		t.Errorf("an order that the list does not have: %v", err)
	}
	if s, err := web.ReadTableState(httptest.NewRequest("GET", "/p", nil), "-born"); err != nil {
		t.Error(err)
	} else if c, desc := s.Sort(); c != "born" || !desc {
		t.Errorf("the order when none is asked for is %s %v", c, desc)
	}
}

func TestSimilarNamesAreFlagged(t *testing.T) {
	names := []string{"SMITH, John", "SMYTH, John", "O'BRIEN, Aoife", "OBRIEN, Aoife", "NUÑEZ, José", "nunez, jose", "PATEL, Asha", "", "", "JONES, Mary", "JONES, Mray", "JONES, Marjorie"}
	want := []bool{true, true, true, true, true, true, false, false, false, true, true, false}
	if got := web.SimilarNames(names); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestNobodyIsTakenForThemselves(t *testing.T) {
	names, who := []string{"SMITH, John", "SMITH, John", "SMYTH, John", "JONES, Mary", "JONES, Mary", "PATEL, Asha", "PATEL, Asha"}, []string{"1", "1", "2", "3", "3", "", ""}
	want := []bool{true, true, true, false, false, true, true}
	if got := web.SimilarPeople(names, who); !slices.Equal(got, want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
}

func TestCSVCannotRunInASpreadsheet(t *testing.T) {
	w := httptest.NewRecorder()
	rows := func(yield func([]string, error) bool) {
		_ = yield([]string{"=1+2", "@x"}, nil) && yield([]string{"a,\"b\"\nc", "-"}, nil)
	}
	if err := web.CSV(w, `ward "A"; x=y`, []string{"Name", "Note"}, rows); err != nil {
		t.Fatal(err)
	}
	if want := "Name,Note\n'=1+2,'@x\n\"a,\"\"b\"\"\nc\",'-\n"; w.Body.String() != want {
		t.Errorf("got %q, want %q", w.Body, want)
	}
	if d := w.Header().Get("Content-Disposition"); strings.Count(d, `"`) != 2 || strings.Contains(d, "x=y") {
		t.Errorf("the file's name breaks out of its header: %s", d)
	}
}

func TestReadDateKnowsTheCalendar(t *testing.T) {
	for in, want := range map[string]string{
		"27 3 1979": "1979-03-27", "1 Mar 2024": "2024-03-01", "29 2 2024": "2024-02-29", "29 2 2023": "", "31 February 2024": "",
		"0 1 2024": "", "1 13 2024": "", "1 1 0000": "", "1 1 24": "", "x 1 2024": "", "1 ju 2024": "", "32 1 2024": "", "1 1 -999": "",
	} {
		p := strings.SplitN(in, " ", 3)
		v, day, ok := web.ReadDate(map[string][]string{"d-day": {p[0]}, "d-month": {" " + p[1]}, "d-year": {p[2]}}, "d")
		if ok != (want != "") || ok && day.Format("2006-01-02") != want || v.Day != p[0] {
			t.Errorf("%s: got %v %v, want %q", in, day, ok, want)
		}
	}
}

// TestShortWordsStayWhole: a cell of short words is marked, so that a narrow column does not break them; one with a long word is not, so that it may.
func TestShortWordsStayWhole(t *testing.T) {
	t.Parallel()
	for text, short := range map[string]bool{"Booked": true, "Not known": true, "12,345": true, "Gynaecology": false, "a LOCALLY_COMMISSIONABLE one": false, "ŵŷŵŷŵŷŵŷŵŷ": true} {
		var b strings.Builder
		table := web.Table{ID: "t", Columns: []web.Column{{Text: "State"}}, Rows: []web.TableRow{{Cells: []web.TableCell{web.Cell(text)}}}}
		if err := web.DataTable(table).Render(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		if strings.Contains(b.String(), "os-short") != short {
			t.Errorf("%q is marked as short words: %v", text, !short)
		}
	}
}

// TestAListIsOrderedWithoutItsHeadings: a list whose headings order it has a select that does the same, with everything else that its URL says; a list of one line, or without an order, has none.
func TestAListIsOrderedWithoutItsHeadings(t *testing.T) {
	t.Parallel()
	drawn := func(table web.Table) string {
		var b strings.Builder
		if err := web.DataTable(table).Render(t.Context(), &b); err != nil {
			t.Fatal(err)
		}
		return strings.Join(strings.Fields(b.String()), " ")
	}
	state, err := web.ReadTableState(httptest.NewRequest(http.MethodGet, "/list?sort=-name&ward=A%26E&after=3.x", nil), "hurry", "name", "born")
	if err != nil {
		t.Fatal(err)
	}
	row := web.TableRow{Cells: []web.TableCell{web.Cell("a"), web.Cell("b"), web.Cell("c")}}
	table := web.Table{ID: "people", Caption: "People", State: state, Columns: []web.Column{{Text: "Name", Sort: "name"}, {Text: "Born", Sort: "born"}, {Text: "Ward"}}, Rows: []web.TableRow{row, row}}
	got := drawn(table)
	for _, want := range []string{`<form class="os-order" method="get" action="/list">`, `<input type="hidden" name="ward" value="A&amp;E">`, `<select class="nhsuk-select" id="people-order" name="sort"`,
		`<option value="">The usual order</option>`, `<option value="name">Name, first to last</option>`, `<option value="-name" selected>Name, last to first</option>`, `<option value="-born">Born, last to first</option>`} {
		if !strings.Contains(got, want) {
			t.Errorf("no %s in %s", want, got)
		}
	}
	if form, _, _ := strings.Cut(got, "</form>"); strings.Contains(form, `name="after"`) || strings.Count(form, `name="sort"`) != 1 {
		t.Errorf("the form carries on where in the list the reader was: %s", form)
	}
	table.Rows = table.Rows[:1]
	if got := drawn(table); strings.Contains(got, "<form") {
		t.Errorf("a list of one line is ordered: %s", got)
	}
}
