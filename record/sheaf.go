package record

import (
	"cmp"
	"encoding/binary"
	"slices"

	"github.com/openspine/openspine/store"
)

// sheaf is the index rows of new resources that will be applied together, sorted as their indexes are and made into statements before
// anything is locked. What is not known by then, where each resource comes to stand, is filled in when it is.
type sheaf struct {
	drafts     []*Draft
	statements []sheafed
}

// sheafed is one statement of a sheaf: n rows of one table, and the draft of each.
type sheafed struct {
	table  table
	drafts []int32
	args   []any
}

// sheafRow is a row on its way into a statement. Of two with different keys the lower is the first; where the keys are the same, the rows say.
type sheafRow struct {
	key   uint64
	row   *idxRow
	draft int32
}

// heap is the rows that are sorted with one another: of one table and parameter, and of dates of one span.
type heap struct {
	table       table
	param, span int64
}

// inHeap is the heap of a row and its key there.
func inHeap(row *idxRow) (h heap, key uint64) {
	h = heap{row.table, row.param, 0}
	switch row.table {
	case tableHash:
		key = uint64(row.a) // never below zero
	case tableString:
		var first [8]byte
		copy(first[:], row.s)
		key = binary.BigEndian.Uint64(first[:])
	case tableDate:
		h.span, key = row.a, uint64(row.b)^1<<63
	}
	return h, key
}

// Together tells drafts that they will be applied together, in this order, by ApplyAll: what can be made ready for all of them before
// the Write is, so that the Write is short. It includes FoundedBy.
func Together(drafts ...*Draft) {
	FoundedBy(drafts...)
	s := &sheaf{}
	heaps := map[heap][]sheafRow{}
	for _, d := range drafts {
		d.sheaf = nil
		if !d.brandNew() {
			continue
		}
		d.sheaf, d.place = s, len(s.drafts)
		s.drafts = append(s.drafts, d)
		for i := range d.rows {
			k, key := inHeap(&d.rows[i])
			heaps[k] = append(heaps[k], sheafRow{key, &d.rows[i], int32(d.place)})
		}
	}
	order := make([]heap, 0, len(heaps))
	for k := range heaps {
		order = append(order, k)
	}
	slices.SortFunc(order, func(a, b heap) int {
		return cmp.Or(cmp.Compare(a.table, b.table), cmp.Compare(a.param, b.param), cmp.Compare(a.span, b.span))
	})
	var rows []sheafRow // of one table
	for i, k := range order {
		list := heaps[k]
		slices.SortFunc(list, func(a, b sheafRow) int {
			if a.key != b.key {
				return cmp.Compare(a.key, b.key)
			}
			if c := compareRows(*a.row, *b.row); c != 0 {
				return c
			}
			return cmp.Compare(a.draft, b.draft)
		})
		rows = append(rows, list...)
		if i+1 == len(order) || order[i+1].table != k.table {
			s.bind(rows)
			rows = rows[:0]
		}
	}
}

// brandNew reports whether the draft writes what nothing stood for when it was prepared, whatever it finds when it is applied.
func (d *Draft) brandNew() bool {
	return d.matched == nil && d.was == nil && d.change.Criteria == nil && (d.change.Verb == Put || d.change.Verb == Create)
}

// bind makes the rows of one table, sorted, into statements.
func (s *sheaf) bind(rows []sheafRow) {
	for len(rows) > 0 {
		n := atOnce(len(rows))
		st := sheafed{table: rows[0].row.table, drafts: make([]int32, n)}
		for i, r := range rows[:n] {
			st.drafts[i] = r.draft
			st.args = r.row.appendArgs(st.args, nil, nil)
		}
		s.statements = append(s.statements, st)
		rows = rows[n:]
	}
}

// placedAt is where a draft of a sheaf has come to stand; rid is 0 until it has.
type placedAt struct {
	lane store.Lane
	rid  int64
}

// sheafColumns is where the rid stands among the arguments of a row, behind the lane, and how many arguments there are.
var sheafColumns = [...]struct{ rid, width int }{
	tableHash: {3, 4}, tableString: {3, 4}, tableDate: {4, 6}, tableNumber: {5, 6},
}

// write writes all rows of a sheaf whose drafts have all been placed.
func (s *sheaf) write(tx *store.Tx, at []placedAt) error {
	args := make([][2]any, len(at))
	for i := range at {
		args[i] = [2]any{int64(at[i].lane), at[i].rid}
	}
	for i := range s.statements {
		st := &s.statements[i]
		c := sheafColumns[st.table]
		for j, draft := range st.drafts {
			st.args[j*c.width], st.args[j*c.width+c.rid] = args[draft][0], args[draft][1]
		}
		if err := tx.Queue(insertSQL[st.table][len(st.drafts)], st.args...); err != nil {
			return err
		}
	}
	return nil
}
