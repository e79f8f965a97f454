package record

import (
	"cmp"
	"context"
	"hash/fnv"
	"io"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Profile says how a parameter of a type is found: true for index rows, false for filtering only (a search inside one
// chart reads the chart; a search across people that has nothing else to go by is refused as too costly).
type Profile func(resourceType, code string) (indexed bool)

// indexForm is the form of index rows that this program writes. It goes up when the same resource would get other rows.
const indexForm = 1

// table is one of the index tables.
type table uint8

const (
	tableHash table = iota
	tableString
	tableDate
	tableNumber
)

// idxRow is one row of the index, without lane and rid. Which fields count follows from the table:
// hash: a; string: s; date: a span, b lo, c hi; number: x lo, y hi, a unit.
type idxRow struct {
	table   table
	param   int64
	a, b, c int64
	s       string
	x, y    float64
}

// indexer turns what fhir/search extracts into index rows.
type indexer struct {
	words   *words
	defs    *definition.Set
	extract *search.Index
	profile Profile

	mu       sync.RWMutex
	tables   map[int64]map[string]int64 // kind → parameter code → number
	editions map[string]int64
	sames    map[string]map[string]string // see same
}

func newIndexer(w *words, defs *definition.Set, p Profile) *indexer {
	return &indexer{words: w, defs: defs, extract: search.For(defs), profile: p, tables: map[int64]map[string]int64{}, editions: map[string]int64{},
		sames: map[string]map[string]string{}}
}

func (x *indexer) isResource(typ string) bool { return x.defs.IsResource(typ) }
func (x *indexer) types() []string            { return x.defs.ResourceTypes() }

// indexed reports whether a parameter of a type has index rows. Identifiers always have: claims rest on them.
func (x *indexer) indexed(typ, code string) bool {
	return x.profile == nil || code == "identifier" || x.profile(typ, code)
}

// edition numbers what the index rows of a type are made by: the form, the parameters' expressions and the profile. Rows
// of another edition wait for Reindex.
func (x *indexer) edition(typ string) int64 {
	x.mu.RLock()
	e, ok := x.editions[typ]
	x.mu.RUnlock()
	if ok {
		return e
	}
	h := fnv.New32a()
	_, _ = io.WriteString(h, strconv.Itoa(indexForm)) // a hash never fails
	for _, p := range x.defs.SearchParameters(typ) {
		_, _ = io.WriteString(h, "\x00"+p.Code+"\x00"+p.Type+"\x00"+p.Expression+"\x00"+strconv.FormatBool(x.indexed(typ, p.Code)))
	}
	e = int64(h.Sum32())
	x.mu.Lock()
	x.editions[typ] = e
	x.mu.Unlock()
	return e
}

func paramWord(tenant, typ, code string, edition int64) string {
	return tenant + "/" + typ + "/" + code + "/" + strconv.FormatInt(edition, 36)
}

// param is the number under which a parameter of a kind is indexed in the current edition; ok is false when no row
// was ever written for it.
func (x *indexer) param(tenant, typ, code string) (int64, bool) {
	return x.words.known(spaceParam, paramWord(tenant, typ, code, x.edition(typ)))
}

// params gives every code its number, interning those that are new.
func (x *indexer) params(ctx context.Context, tenant, typ string, kind int64, codes []string) (map[string]int64, error) {
	x.mu.RLock()
	held := x.tables[kind]
	complete := true
	for _, code := range codes {
		if _, ok := held[code]; !ok {
			complete = false
			break
		}
	}
	x.mu.RUnlock()
	if complete {
		return held, nil
	}
	edition := x.edition(typ)
	list := make([]string, len(codes))
	for i, code := range codes {
		list[i] = paramWord(tenant, typ, code, edition)
	}
	if err := x.words.intern(ctx, spaceParam, list...); err != nil {
		return nil, err
	}
	x.mu.Lock()
	defer x.mu.Unlock()
	next := make(map[string]int64, len(held)+len(codes)) // the old map may be in use
	for code, num := range x.tables[kind] {
		next[code] = num
	}
	for i, code := range codes {
		next[code], _ = x.words.known(spaceParam, list[i])
	}
	x.tables[kind] = next
	return next, nil
}

// rows are the index rows of a resource, sorted, each once. It must not be called inside a Write.
func (x *indexer) rows(ctx context.Context, tenant ident.ODSCode, kind int64, res *fhir.Resource) ([]idxRow, error) {
	return x.rowsBy(res, func(codes []string) (map[string]int64, error) {
		return x.params(ctx, tenant.String(), res.Type(), kind, codes)
	})
}

// rowsKnown is rows inside a Write: a parameter that has no number yet cannot be given one there, and the write is tried again.
func (x *indexer) rowsKnown(tenant ident.ODSCode, res *fhir.Resource) ([]idxRow, error) {
	return x.rowsBy(res, func(codes []string) (map[string]int64, error) {
		nums := make(map[string]int64, len(codes))
		for _, code := range codes {
			num, ok := x.param(tenant.String(), res.Type(), code)
			if !ok {
				return nil, moved("it is found by something new")
			}
			nums[code] = num
		}
		return nums, nil
	})
}

func (x *indexer) rowsBy(res *fhir.Resource, number func(codes []string) (map[string]int64, error)) ([]idxRow, error) {
	entries, err := x.extract.Extract(res)
	if err != nil {
		return nil, err
	}
	typ := res.Type()
	same := x.same(typ)
	pending := make([]codedRow, 0, len(entries)+8)
	for i := range entries {
		code := entries[i].Code
		if code == "_id" || code == "_lastUpdated" || !x.indexed(typ, code) {
			continue
		}
		if _, elsewhere := same[code]; !elsewhere {
			pending = appendRows(pending, code, entries[i].Value)
		}
	}
	codes := make([]string, 0, len(pending))
	for i := range pending {
		if len(codes) == 0 || codes[len(codes)-1] != pending[i].code {
			codes = append(codes, pending[i].code)
		}
	}
	nums, err := number(codes)
	if err != nil {
		return nil, err
	}
	rows := make([]idxRow, len(pending))
	for i := range pending {
		rows[i] = pending[i].row
		rows[i].param = nums[pending[i].code]
	}
	slices.SortFunc(rows, compareRows)
	return slices.Compact(rows), nil
}

// compareRows orders rows as their indexes do.
func compareRows(p, q idxRow) int {
	if p.table != q.table {
		return cmp.Compare(p.table, q.table)
	}
	if p.param != q.param {
		return cmp.Compare(p.param, q.param)
	}
	switch p.table {
	case tableHash:
		return cmp.Compare(p.a, q.a)
	case tableString:
		return strings.Compare(p.s, q.s)
	case tableDate:
		return cmp.Or(cmp.Compare(p.a, q.a), cmp.Compare(p.b, q.b), cmp.Compare(p.c, q.c))
	default:
		return cmp.Or(cmp.Compare(p.x, q.x), cmp.Compare(p.y, q.y), cmp.Compare(p.a, q.a))
	}
}

// difference parts sorted rows into those to be dropped and those to be added.
func difference(was, now []idxRow) (gone, come []idxRow) {
	for len(was) > 0 && len(now) > 0 {
		switch c := compareRows(was[0], now[0]); {
		case c == 0:
			was, now = was[1:], now[1:]
		case c < 0:
			gone, was = append(gone, was[0]), was[1:]
		default:
			come, now = append(come, now[0]), now[1:]
		}
	}
	return append(gone, was...), append(come, now...)
}

// One statement inserts as many rows as there are, up to rowsAtOnce; where there are more, manyAtOnce as long as there are so many.
const rowsAtOnce, manyAtOnce = 16, 64

// atOnce is how many of n rows the next statement inserts.
func atOnce(n int) int {
	if n >= manyAtOnce {
		return manyAtOnce
	}
	return min(n, rowsAtOnce)
}

var insertHead = [...]string{
	tableHash:   `INSERT INTO idx_hash (lane, param, hash, rid) VALUES `,
	tableString: `INSERT INTO idx_string (lane, param, folded, rid) VALUES `,
	tableDate:   `INSERT INTO idx_date (lane, param, span, lo, rid, hi) VALUES `,
	tableNumber: `INSERT INTO idx_number (lane, param, lo, hi, unit, rid) VALUES `,
}

var insertOne = [...]string{
	tableHash: `(?, ?, ?, ?)`, tableString: `(?, ?, ?, ?)`, tableDate: `(?, ?, ?, ?, ?, ?)`, tableNumber: `(?, ?, ?, ?, ?, ?)`,
}

// insertSQL is built once for each table and number of rows.
var insertSQL = func() (all [4][manyAtOnce + 1]string) {
	for t := range all {
		for n := range all[t] {
			if n > 0 && n == atOnce(n) {
				all[t][n] = insertHead[t] + strings.Repeat(insertOne[t]+", ", n-1) + insertOne[t] + ` ON CONFLICT DO NOTHING`
			}
		}
	}
	return all
}()

func (i *idxRow) appendArgs(args []any, lane, rid any) []any {
	switch i.table {
	case tableHash:
		return append(args, lane, i.param, i.a, rid)
	case tableString:
		return append(args, lane, i.param, i.s, rid)
	case tableDate:
		return append(args, lane, i.param, i.a, i.b, rid, i.c)
	default:
		return append(args, lane, i.param, i.x, i.y, i.a, rid)
	}
}

// addRows inserts sorted index rows of one resource.
func addRows(tx *store.Tx, lane store.Lane, rid int64, rows []idxRow) error {
	var args []any
	l, r := any(int64(lane)), any(rid)
	for len(rows) > 0 {
		n := 1
		for n < len(rows) && n < rowsAtOnce && rows[n].table == rows[0].table {
			n++
		}
		args = args[:0]
		for i := range n {
			args = rows[i].appendArgs(args, l, r)
		}
		if err := tx.Queue(insertSQL[rows[0].table][n], args...); err != nil {
			return err
		}
		rows = rows[n:]
	}
	return nil
}

var deleteSQL = [...]string{
	tableHash:   `DELETE FROM idx_hash WHERE lane = ? AND param = ? AND hash = ? AND rid = ?`,
	tableString: `DELETE FROM idx_string WHERE lane = ? AND param = ? AND folded = ? AND rid = ?`,
	tableDate:   `DELETE FROM idx_date WHERE lane = ? AND param = ? AND span = ? AND lo = ? AND rid = ? AND hi = ?`,
	tableNumber: `DELETE FROM idx_number WHERE lane = ? AND param = ? AND lo = ? AND hi = ? AND unit = ? AND rid = ?`,
}

func dropRows(tx *store.Tx, lane store.Lane, rid int64, rows []idxRow) error {
	for i := range rows {
		if err := tx.Queue(deleteSQL[rows[i].table], rows[i].appendArgs(nil, lane, rid)...); err != nil {
			return err
		}
	}
	return nil
}
