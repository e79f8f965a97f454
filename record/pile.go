package record

import (
	"cmp"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// pile gathers what several drafts of one transaction add, so that it is written many rows at once, and the index in its own
// order: a large sorted write goes several times as fast as its rows one by one. What a draft may ask of another of the same
// transaction is either flushed before it is asked for, or kept here as well.
type pile struct {
	versions, resources []any // arguments of whole rows
	rows                []piled
	counts              map[countKey]int64
	actors              map[countKey]bool
	kept                map[*Keeper][]Kept
	labels              map[chartKey]access.Label // what hides the charts that were asked about
	sheaf               *sheaf                    // rows that were made ready for all drafts, and where the drafts now stand
	at                  []placedAt
	standing            int // how many of them do
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
func (p *pile) wrote(d *Draft, label access.Label) {
	if p != nil && d.ref.Type == "Patient" {
		p.labels[chartKey{d.ref.Tenant, d.chart}] = label & access.Restricted
	}
}

// version takes the row of a version, or writes it at once when there is no pile.
func (p *pile) version(tx *store.Tx, row ...any) error {
	if p == nil {
		return tx.Queue(insertVersions[1], row...)
	}
	p.versions = append(p.versions, row...)
	return nil
}

// resource takes the row of a new resource, or writes it at once when there is no pile.
func (p *pile) resource(tx *store.Tx, row ...any) error {
	if p == nil {
		return tx.QueueOr(createdMeanwhile, insertResources[1], row...)
	}
	p.resources = append(p.resources, row...)
	return nil
}

const versionWidth, resourceWidth = 13, 13

// insertVersions[n] and insertResources[n] write n rows at once.
var insertVersions, insertResources = func() (versions, resources [manyAtOnce + 1]string) {
	for n := range versions {
		if n == 0 || n != atOnce(n) {
			continue
		}
		versions[n] = `INSERT INTO record_version (lane, seq, rid, prev, ver, kind, at, actor, entry, op, dict, body, reason) VALUES ` + tuples(n, versionWidth)
		resources[n] = `INSERT INTO record_resource (lane, rid, kind, chart, tenant, id, seq, ver, at, op, label, edition, author) VALUES ` + tuples(n, resourceWidth)
	}
	return versions, resources
}()

// tuples is "(?, ?), (?, ?)" for n rows of width columns.
func tuples(n, width int) string {
	one := "(?" + strings.Repeat(", ?", width-1) + ")"
	return one + strings.Repeat(", "+one, n-1)
}

// insert writes rows whose arguments follow each other, as many at once as there are statements for.
func insert(tx *store.Tx, sql *[manyAtOnce + 1]string, width int, args []any) error {
	for len(args) > 0 {
		n := atOnce(len(args) / width)
		if err := tx.QueueOr(createdMeanwhile, sql[n], args[:n*width]...); err != nil {
			return err
		}
		args = args[n*width:]
	}
	return nil
}

// addNew takes the index rows of a new resource; those that were made ready in a sheaf are written from there.
func (p *pile) addNew(tx *store.Tx, d *Draft, lane store.Lane, rid int64) error {
	if p == nil || p.sheaf == nil || d.sheaf != p.sheaf {
		return p.add(tx, lane, rid, d.rows)
	}
	p.at[d.place] = placedAt{lane, rid}
	p.standing++
	return nil
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
	if p == nil {
		return nil
	}
	if err := p.flushWhole(tx); err != nil {
		return err
	}
	if err := p.flushSheaf(tx); err != nil {
		return err
	}
	if err := p.flushRows(tx); err != nil {
		return err
	}
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

// flushWhole writes the versions and what the resources now are, and not yet what they are found by.
func (p *pile) flushWhole(tx *store.Tx) error {
	if p == nil {
		return nil
	}
	if err := insert(tx, &insertVersions, versionWidth, p.versions); err != nil {
		return err
	}
	err := insert(tx, &insertResources, resourceWidth, p.resources)
	p.versions, p.resources = nil, nil // what is queued still refers to them
	return err
}

// bound takes the sheaf of drafts that are about to be applied, if it is all theirs.
func (p *pile) bound(drafts []*Draft) {
	if len(drafts) == 0 || drafts[0].sheaf == nil {
		return
	}
	s, n := drafts[0].sheaf, 0
	for _, d := range drafts {
		if d.sheaf == s && n < len(s.drafts) && s.drafts[n] == d {
			n++
		}
	}
	if n == len(s.drafts) {
		p.sheaf, p.at = s, make([]placedAt, n)
	}
}

// flushSheaf writes a sheaf when all its drafts are standing. When only some are, they go the way of the others.
func (p *pile) flushSheaf(tx *store.Tx) error {
	s := p.sheaf
	if s == nil || p.standing == 0 {
		return nil
	}
	p.sheaf = nil
	if p.standing == len(s.drafts) {
		return s.write(tx, p.at)
	}
	for i, d := range s.drafts {
		if at := p.at[i]; at.rid != 0 {
			if err := p.add(tx, at.lane, at.rid, d.rows); err != nil {
				return err
			}
		}
	}
	return nil
}

// flushRows writes the index rows, in the order of the index.
func (p *pile) flushRows(tx *store.Tx) error {
	slices.SortFunc(p.rows, func(a, b piled) int {
		if a.row.table != b.row.table {
			return cmp.Compare(a.row.table, b.row.table)
		}
		if a.lane != b.lane {
			return cmp.Compare(a.lane, b.lane)
		}
		if c := compareRows(a.row, b.row); c != 0 {
			return c
		}
		return cmp.Compare(a.rid, b.rid)
	})
	for rows := p.rows; len(rows) > 0; {
		table, n := rows[0].row.table, 1
		for n < len(rows) && n < manyAtOnce && rows[n].row.table == table {
			n++
		}
		n = atOnce(n)
		args := make([]any, 0, 6*n)
		for i := range n {
			args = rows[i].row.appendArgs(args, int64(rows[i].lane), rows[i].rid)
		}
		if err := tx.Queue(insertSQL[table][n], args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	p.rows = p.rows[:0]
	return nil
}
