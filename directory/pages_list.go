package directory

import (
	"cmp"
	"net/url"
	"slices"

	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/web"
)

// listing is one list of an organisation's page before it is ordered and a page of it is shown.
type listing struct {
	name    string
	columns []string
	sorts   []string // those of the columns by which it may be ordered
	lines   []listed
}

// listed is one line: what it is ordered by, for each column, and how it is shown. What needs reading is read for the lines of one page alone.
type listed struct {
	keys []string
	line func() (file []string, cells []web.TableCell, err error)
}

// add is a line that is known as it is; texts are what it is ordered by and what a file says.
func (l *listing) add(texts []string, cells ...web.TableCell) {
	l.lines = append(l.lines, listed{texts, func() ([]string, []web.TableCell, error) { return texts, cells, nil }})
}

// order puts the lines in the order of a state; as they are where none of the columns is asked for.
func (l *listing) order(state web.TableState) {
	by, down := state.Sort()
	column := slices.Index(l.columns, by)
	if column < 0 {
		return
	}
	slices.SortStableFunc(l.lines, func(a, b listed) int {
		if down {
			a, b = b, a
		}
		return cmp.Compare(search.Fold(a.keys[column]), search.Fold(b.keys[column]))
	})
}

// kept are cells with a way to change the thing for whoever may.
func (b *pageBuilder) kept(kind, id, about string, cells ...web.TableCell) []web.TableCell {
	if b.keeps {
		cells = append(cells, web.ShowCell(keepLink(kind, id, about)))
	}
	return cells
}

// state is the order and the place of one list. Its links lead to the page of that list alone, so that no list moves another.
func (b *pageBuilder) state(l listing) (web.TableState, error) {
	asked, address := *b.asked, *b.asked.URL
	query := url.Values{"list": {l.name}}
	if b.only == l.name {
		query = address.Query()
	}
	address.RawQuery, asked.URL = query.Encode(), &address
	return web.ReadTableState(&asked, append([]string{"likely"}, l.sorts...)...)
}

// list orders a list and shows a page of it, or all of it as a file.
func (b *pageBuilder) list(l listing) error {
	state, err := b.state(l)
	if err != nil {
		return err
	}
	l.order(state)
	if b.csv {
		b.file = [][]string{columnNames(b.ctx, l.columns...)}
		for _, one := range l.lines {
			line, _, err := one.line()
			if err != nil {
				return err
			}
			b.file = append(b.file, line)
		}
		return nil
	}
	at, err := offsetOf(state)
	if err != nil {
		return err
	}
	t := web.Table{ID: l.name, State: state, RowHeader: true, Caption: web.Text(b.ctx, "directory.organisation."+l.name),
		Count: web.Count(b.ctx, "directory.organisation.count", len(l.lines)), CSVURL: state.With("format", "csv"),
		Empty: web.Empty{Text: web.Text(b.ctx, "directory.organisation."+l.name+"-none")}}
	columns := slices.Clone(l.columns)
	if b.keeps && l.name != "roles" && l.name != "relations" {
		columns = append(columns, "act")
	}
	for i, name := range columnNames(b.ctx, columns...) {
		c := web.Column{Text: name}
		if slices.Contains(l.sorts, columns[i]) {
			c.Sort = columns[i]
		}
		t.Columns = append(t.Columns, c)
	}
	for _, one := range l.lines[min(at, len(l.lines)):min(at+mostRows, len(l.lines))] {
		_, cells, err := one.line()
		if err != nil {
			return err
		}
		t.Rows = append(t.Rows, web.TableRow{Cells: cells})
	}
	if len(l.lines) == 0 {
		t.Count = ""
	}
	turn(&t, at, len(l.lines), mostRows)
	b.view.Lists = append(b.view.Lists, t)
	return nil
}
