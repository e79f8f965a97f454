package record

import (
	"cmp"
	"slices"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// pile gathers what several drafts of one transaction add to the index and the counts, so that it is written once and in
// the order of the index: a large sorted write goes several times as fast as its rows one by one.
type pile struct {
	rows   []piled
	counts map[countKey]int64
	actors map[countKey]bool
	kept   map[*Keeper][]Kept
	labels map[chartKey]access.Label // what hides the charts that were asked about
}

type chartKey struct {
	tenant ident.ODSCode
	chart  string
}

type piled struct {
	lane store.Lane
	rid  int64
	row  idxRow
}

type countKey struct {
	lane store.Lane
	num  int64
}

func newPile() *pile {
	return &pile{counts: map[countKey]int64{}, actors: map[countKey]bool{}, kept: map[*Keeper][]Kept{}, labels: map[chartKey]access.Label{}}
}

// hidden is what hides the chart that a draft is written in, looked up once for each chart.
func (p *pile) hidden(tx *store.Tx, r *Records, d *Draft) (access.Label, error) {
	if p == nil {
		return r.chartLabel(tx, d.ref.Tenant, d.chart)
	}
	k := chartKey{d.ref.Tenant, d.chart}
	label, known := p.labels[k]
	if known {
		return label, nil
	}
	label, err := r.chartLabel(tx, d.ref.Tenant, d.chart)
	if err == nil {
		p.labels[k] = label
	}
	return label, err
}

// wrote takes note that a draft has been written: a Patient may hide the chart that it begins, or show it again.
func (p *pile) wrote(d *Draft) {
	if p != nil && d.ref.Type == "Patient" {
		delete(p.labels, chartKey{d.ref.Tenant, d.chart})
	}
}

// add takes index rows, or writes them at once when there is no pile.
func (p *pile) add(tx *store.Tx, lane store.Lane, rid int64, rows []idxRow) error {
	if p == nil {
		return addRows(tx, lane, rid, rows)
	}
	for _, row := range rows {
		p.rows = append(p.rows, piled{lane, rid, row})
	}
	return nil
}

// count takes a change of a count, or writes it at once when there is no pile.
func (p *pile) count(tx *store.Tx, lane store.Lane, kind, n int64) error {
	if p == nil {
		return countBy(tx, lane, kind, n)
	}
	p.counts[countKey{lane, kind}] += n
	return nil
}

// knows reports whether this transaction has put the actor down in the lane already, and remembers that it now does.
func (p *pile) knows(lane store.Lane, actor int64) bool {
	if p == nil {
		return false
	}
	k := countKey{lane, actor}
	known := p.actors[k]
	p.actors[k] = true
	return known
}

// flush writes what was gathered, so that a search in the same transaction finds it.
func (p *pile) flush(tx *store.Tx) error {
	slices.SortFunc(p.rows, func(a, b piled) int {
		return cmp.Or(cmp.Compare(a.row.table, b.row.table), cmp.Compare(a.lane, b.lane), compareRows(a.row, b.row), cmp.Compare(a.rid, b.rid))
	})
	var args []any
	for rows := p.rows; len(rows) > 0; {
		table, n := rows[0].row.table, 1
		for n < len(rows) && n < rowsAtOnce && rows[n].row.table == table {
			n++
		}
		args = args[:0]
		for i := range n {
			args = rows[i].row.appendArgs(args, rows[i].lane, rows[i].rid)
		}
		if err := tx.Queue(insertSQL[table][n], args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	p.rows = p.rows[:0]
	keys := make([]countKey, 0, len(p.counts))
	for k := range p.counts {
		keys = append(keys, k)
	}
	slices.SortFunc(keys, func(a, b countKey) int { return cmp.Or(cmp.Compare(a.lane, b.lane), cmp.Compare(a.num, b.num)) })
	for _, k := range keys {
		if err := countBy(tx, k.lane, k.num, p.counts[k]); err != nil {
			return err
		}
	}
	clear(p.counts)
	return nil
}
