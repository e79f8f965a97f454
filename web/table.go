package web

import (
	"cmp"
	"context"
	"encoding/csv"
	"iter"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"github.com/a-h/templ"
	"golang.org/x/text/unicode/norm"

	"github.com/openspine/openspine/fault"
)

// Table is a list: what it shows, how it is ordered and where the next rows are. Its state is all in the URL, so that a
// list can be bookmarked, sent to a colleague and gone back to.
type Table struct {
	// ID is unique on the page; htmx draws the table again in its place.
	ID string
	// Caption says what is listed, and of whom.
	Caption string
	// Count says how many there are: "1,204 patients"; empty leaves it out.
	Count   string
	Columns []Column
	Rows    []TableRow
	State   TableState
	// NextCursor and PreviousCursor lead to more rows; empty means that there are none.
	NextCursor, PreviousCursor string
	// InForm makes the ways to more rows buttons of the form that the list stands in, so that what is ticked in it goes along.
	InForm bool
	// CSVURL exports the whole list as it is filtered and sorted.
	CSVURL string
	// Empty is shown instead of rows: what would be here and how to make it appear.
	Empty Empty
	// RowHeader makes each row's first cell its heading, as where it names a person.
	RowHeader bool
	// Counts says that each row is a name and a number, which need no card on a phone: they stand on one line.
	Counts bool
}

// Column is one heading. A Sort key makes it a link that orders the list by it.
type Column struct {
	Text    string
	Sort    string
	Numeric bool // stands to the right
	Whole   bool // dates and numbers that must not be broken over two lines
	// Share is how much of the width the column gets beside the others, 1 to 6; tables one above the other line up when their columns
	// have the same shares. 0 in all columns lets the browser decide.
	Share int
}

// TableRow is one line. SimilarName marks a person whose name could be taken for another's in the same list.
type TableRow struct {
	Cells       []TableCell
	SimilarName bool
}

// TableCell is what stands in one place: text, a link, or any component.
type TableCell struct {
	text, url string
	component templ.Component
	none      bool
}

// Cell is text; an empty text is shown as not recorded.
func Cell(text string) TableCell { return TableCell{text: text} }

// short reports whether each word of a cell's text is so short that it need not be broken, however narrow its column.
func (c TableCell) short() bool {
	for w := range strings.FieldsSeq(c.text) {
		if utf8.RuneCountInString(w) > 10 {
			return false
		}
	}
	return c.text != ""
}

// LinkCell is text that leads somewhere.
func LinkCell(text, url string) TableCell { return TableCell{text: text, url: url} }

// NoteCell is text that need not be there; where it is not, the place stays empty.
func NoteCell(text string) TableCell {
	if text == "" {
		return TableCell{none: true}
	}
	return Cell(text)
}

// ShowCell is any component, such as a Tag.
func ShowCell(c templ.Component) TableCell { return TableCell{component: c} }

// Empty is an empty list in words.
type Empty struct {
	Text string // what would be here
	Help string // how to make it appear
	Link Link
}

// Ago is how long it is from at to now, in the unit that matters.
func Ago(ctx context.Context, now, at time.Time) string {
	switch d := now.Sub(at); {
	case d < time.Hour:
		return Count(ctx, "web.ago.minutes", max(0, int(d/time.Minute)))
	case d < 48*time.Hour:
		return Count(ctx, "web.ago.hours", int(d/time.Hour))
	default:
		return Count(ctx, "web.ago.days", int(d/(24*time.Hour)))
	}
}

// The names under which a list's state stands in the URL.
const (
	SortParam   = "sort"   // a column's key, with - before it for descending
	AfterParam  = "after"  // cursor of the rows before
	BeforeParam = "before" // cursor of the rows after
)

// TableState is how a list is ordered and filtered and where in it the reader is.
type TableState struct {
	path   string
	query  url.Values
	sort   string
	first  string // the order when none is asked for
	column string
	desc   bool
}

// ReadTableState reads a list's state from a request. Sorts are the keys that may be sorted by; the first is the order
// when none is asked for (with - before it, descending). An order that is not in the list is fault.Invalid.
func ReadTableState(r *http.Request, sorts ...string) (TableState, error) {
	s := TableState{path: r.URL.Path, query: r.URL.Query()}
	s.sort = s.query.Get(SortParam)
	if len(sorts) > 0 {
		s.first = sorts[0]
	}
	s.sort = cmp.Or(s.sort, s.first)
	s.column, s.desc = strings.CutPrefix(s.sort, "-")
	for _, known := range sorts {
		if strings.TrimPrefix(known, "-") == s.column {
			return s, nil
		}
	}
	if s.sort == "" {
		return s, nil
	}
	return s, fault.New(fault.Invalid, "%s", Text(r.Context(), "web.table.unknown-sort", s.column))
}

// Sort is the column that orders the list and whether it is descending.
func (s TableState) Sort() (column string, descending bool) { return s.column, s.desc }

// Filter is the value of a filter, as it was typed.
func (s TableState) Filter(name string) string { return strings.TrimSpace(s.query.Get(name)) }

// After and Before are the cursors in the URL; at most one is set.
func (s TableState) After() string { return s.query.Get(AfterParam) }

// Before is the cursor of the rows that come after those wanted.
func (s TableState) Before() string { return s.query.Get(BeforeParam) }

// With is the URL of the same list with some parameters set, in pairs of name and value; an empty value takes a
// parameter out. Whatever is changed, the list starts from its first row unless a cursor is among them.
func (s TableState) With(pairs ...string) string {
	q := url.Values{}
	for k, v := range s.query {
		if k != AfterParam && k != BeforeParam {
			q[k] = v
		}
	}
	for i := 0; i+1 < len(pairs); i += 2 {
		q.Del(pairs[i])
		if pairs[i+1] != "" {
			q.Set(pairs[i], pairs[i+1])
		}
	}
	if len(q) == 0 {
		return s.path
	}
	return s.path + "?" + q.Encode()
}

// sortURL orders by a column, or turns its order round.
func (s TableState) sortURL(c Column) string {
	if s.column == c.Sort && !s.desc {
		return s.With(SortParam, "-"+c.Sort)
	}
	return s.With(SortParam, c.Sort)
}

// direction is how a column is ordered, in the words of aria-sort.
func (s TableState) direction(c Column) string {
	switch {
	case s.column != c.Sort:
		return "none"
	case s.desc:
		return "descending"
	}
	return "ascending"
}

// hidden are the parameters that a filter form must carry on: the order, and filters that it does not show.
func (s TableState) hidden(shown ...string) (pairs [][2]string) {
	leave := map[string]bool{AfterParam: true, BeforeParam: true}
	for _, n := range shown {
		leave[n] = true
	}
	for _, k := range sortedKeys(s.query) {
		if leave[k] {
			continue
		}
		for _, v := range s.query[k] {
			pairs = append(pairs, [2]string{k, v})
		}
	}
	return pairs
}

// CSV sends rows as a file of comma-separated values (RFC 4180), without the browser keeping a copy. A cell that a
// spreadsheet would run as a formula is given an apostrophe in front.
func CSV(w http.ResponseWriter, name string, header []string, rows iter.Seq2[[]string, error]) error {
	h := w.Header()
	h.Set("Content-Type", "text/csv; charset=utf-8; header=present")
	h.Set("Content-Disposition", `attachment; filename="`+fileName(name)+`.csv"`)
	h.Set("Cache-Control", "no-store")
	out := csv.NewWriter(w)
	if err := out.Write(header); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the list could not be sent")
	}
	for row, err := range rows {
		if err != nil {
			return err
		}
		safe := make([]string, len(row))
		for i, c := range row {
			safe[i] = harmless(c)
		}
		if err := out.Write(safe); err != nil {
			return fault.Wrap(err, fault.Unavailable, "the list could not be sent")
		}
	}
	out.Flush()
	return fault.Wrap(out.Error(), fault.Unavailable, "the list could not be sent")
}

func harmless(cell string) string {
	if cell != "" && strings.ContainsRune("=+-@\t\r", rune(cell[0])) {
		return "'" + cell
	}
	return cell
}

func fileName(name string) string {
	return strings.Map(func(r rune) rune {
		if r < 128 && (unicode.IsLetter(r) || unicode.IsDigit(r) || r == '-') {
			return r
		}
		return '-'
	}, name)
}

// SimilarNames says of each name in a list whether it could be taken for another in it: the same but for case, accents
// and punctuation, or for one letter left out, added, changed or swapped with its neighbour. Names are in any one form.
func SimilarNames(names []string) []bool { return SimilarPeople(names, nil) }

// SimilarPeople is SimilarNames for a list in which somebody may stand several times: who they are, by a number of theirs, keeps them from being taken for themselves. An empty one is nobody's.
func SimilarPeople(names, who []string) []bool {
	similar := make([]bool, len(names))
	folded := make([][]rune, len(names))
	for i, n := range names {
		folded[i] = fold(n)
	}
	for i := range folded {
		for j := range i {
			same := i < len(who) && who[i] != "" && who[i] == who[j]
			if !same && (!similar[i] || !similar[j]) && oneSlip(folded[i], folded[j]) {
				similar[i], similar[j] = true, true
			}
		}
	}
	return similar
}

func fold(s string) []rune {
	var out []rune
	for _, r := range norm.NFD.String(strings.ToLower(s)) {
		if unicode.IsLetter(r) || unicode.IsDigit(r) {
			out = append(out, r)
		}
	}
	return out
}

// oneSlip reports whether two names are at most one slip of the finger apart. Two empty names are not names.
func oneSlip(a, b []rune) bool {
	if len(a) > len(b) {
		a, b = b, a
	}
	if len(a) == 0 || len(b)-len(a) > 1 {
		return false
	}
	i := 0
	for i < len(a) && a[i] == b[i] {
		i++
	}
	j := 0
	for j < len(a)-i && a[len(a)-1-j] == b[len(b)-1-j] {
		j++
	}
	rest := len(a) - i - j
	if len(a) != len(b) {
		return rest == 0
	}
	return rest <= 1 || rest == 2 && a[i] == b[i+1] && a[i+1] == b[i]
}

func (t Table) sortable() bool {
	for _, c := range t.Columns {
		if c.Sort != "" {
			return true
		}
	}
	return false
}

// orders are the ways to order the list, for where its headings do not show: each column and its reverse. The order that the list has of itself comes first where no column stands for it.
func (t Table) orders(ctx context.Context) (options []Option, chosen string) {
	for _, c := range t.Columns {
		if c.Sort == "" {
			continue
		}
		options = append(options, Option{Value: c.Sort, Text: Text(ctx, "web.table.ascending", c.Text)}, Option{Value: "-" + c.Sort, Text: Text(ctx, "web.table.descending", c.Text)})
	}
	known := func(sort string) bool {
		return slices.ContainsFunc(options, func(o Option) bool { return o.Value == sort })
	}
	if !known(t.State.first) {
		options = slices.Insert(options, 0, Option{Text: Text(ctx, "web.table.usual-order")})
	}
	if known(t.State.sort) {
		chosen = t.State.sort
	}
	return options, chosen
}

// shared reports whether the columns share the width as they say.
func (t Table) shared() bool {
	return slices.ContainsFunc(t.Columns, func(c Column) bool { return c.Share > 0 })
}

// share is the class that gives a column its part of the width, in twentieths.
func (t Table) share(c Column) string {
	if !t.shared() {
		return ""
	}
	all := 0
	for _, o := range t.Columns {
		all += max(1, o.Share)
	}
	return "os-share-" + itoa(max(1, min(20, (max(1, c.Share)*20+all/2)/all)))
}

func (t Table) column(i int) Column {
	if i < len(t.Columns) {
		return t.Columns[i]
	}
	return Column{}
}

func ariaSort(direction string) templ.Attributes {
	if direction == "none" {
		return nil
	}
	return templ.Attributes{"aria-sort": direction}
}

func sortedKeys(q url.Values) []string {
	return slices.Sorted(maps.Keys(q))
}
