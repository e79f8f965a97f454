package record

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// finder runs one search in one transaction. Every hop of it looks only at rows that the scope's SQL lets through.
type finder struct {
	r      *Records
	tx     *store.Tx
	scope  access.Scope
	tenant ident.ODSCode
	at     time.Time // when the search runs
	looked int       // resources whose bodies were read
	until  time.Time // when it has taken too long
	fits   map[fitKey]bool
	kins   map[string][]string // chart → the other charts of the person
}

type fitKey struct {
	conds *cond
	ref   string
}

func (r *Records) finder(tx *store.Tx, s access.Scope) *finder {
	return &finder{r: r, tx: tx, scope: s, tenant: s.Tenant(), at: r.clock.Now(), until: r.clock.Now().Add(r.limits.Time), fits: map[fitKey]bool{}, kins: map[string][]string{}}
}

// planned is a condition with how it is going to be found.
type planned struct {
	c      *cond
	src    *source
	est    int             // rows of src, up to listMost+1
	hashes *hashes         // set when the condition can be asked of idx_hash
	held   bool            // the plan's among, or its list, knows it
	refs   map[string]bool // chain, has: the resources that the hop came to; nil when it is asked row by row
}

// exactHash reports whether a row under the hash satisfies the condition, but for collisions.
func (pc *planned) exactHash() bool {
	switch pc.c.form {
	case formComposite:
		return false
	case formURI:
		return pc.c.modifier == ""
	case formReference:
		for _, v := range pc.c.values {
			if v.version != "" {
				return false
			}
		}
	}
	return true
}

// plan is how the resources of one type are going to be found.
type plan struct {
	typ   string
	kind  int64
	conds []*planned
	drive int        // index of the condition that drives, or one of the drives below
	list  []resident // driveList: the candidates
	sort  []sortKey
	want  int    // how many matches are looked for; 0 for all
	among *spots // every match is one of these; nil when they are too many to hold
	tried int    // after how many bodies among was looked for
	met   *spots // what a walk from the beginning has come by; nil when it began elsewhere
}

// What drives a search when no single condition does.
const (
	driveList = -1 // a list in memory, in the order of lane and rid
	driveAll  = -2 // everything of the type, by id
	driveSort = -3 // the index of the first sort key
)

// listMost is how many candidates a condition may have to be held as a list; fewEnough of them are looked at one by one.
const (
	listMost  = 2000
	fewEnough = 50
)

// plan settles how to find what satisfies conds, want of them or all (0). none is true when nothing can.
func (f *finder) plan(typ string, conds []cond, sort []sortKey, want int) (p *plan, none bool, err error) {
	if err := f.r.found(); err != nil {
		return nil, false, err
	}
	kind, ok := f.r.words.kind(f.tenant.String(), typ)
	if !ok || !f.scope.Allows(typ) {
		return nil, true, nil
	}
	p = &plan{typ: typ, kind: kind, sort: sort, drive: driveAll, want: want}
	var hops []*planned
	for i := range conds {
		pc := &planned{c: &conds[i], est: listMost + 1}
		p.conds = append(p.conds, pc)
		if pc.c.form == formChain || pc.c.form == formHas {
			hops = append(hops, pc)
			continue
		}
		if err := f.estimate(p, pc); err != nil {
			return nil, false, err
		}
	}
	least := p.least()
	for _, pc := range hops {
		if least >= 0 && p.conds[least].est <= fewEnough {
			break // few enough to ask each
		}
		if err := f.hop(p, pc); err != nil {
			return nil, false, err
		}
	}
	return p, false, f.choose(p)
}

func (f *finder) estimate(p *plan, pc *planned) error {
	src, err := f.source(p.typ, p.kind, pc)
	if err != nil || src == nil {
		return err
	}
	if least := p.least(); least >= 0 && p.conds[least].est <= fewEnough {
		pc.src = src
		return nil // it will not be needed
	}
	pc.src = src
	pc.est, err = f.count(src, listMost+1)
	return err
}

// least is the condition with the fewest candidates, -1 when none has a source.
func (p *plan) least() int {
	least := -1
	for i, pc := range p.conds {
		if pc.src != nil && (least < 0 || pc.est < p.conds[least].est) {
			least = i
		}
	}
	return least
}

// choose takes the drive: a list when a condition has few candidates, else the index of a condition or of the sort, else everything.
func (f *finder) choose(p *plan) error {
	least := p.least()
	if least < 0 {
		p.drive = driveAll
		if len(p.sort) > 0 {
			p.drive = driveSort
		}
		return nil
	}
	src := p.conds[least].src
	if p.conds[least].est <= listMost || len(src.parts) > mostParts || src.parts == nil || src.keyOf == nil && !src.unique {
		if err := f.intersect(p); err != nil || len(p.sort) == 0 {
			return err
		}
		return f.walkOrRank(p)
	}
	p.drive = least
	if len(p.sort) > 0 {
		p.drive = driveSort
	}
	return nil
}

// intersect lists what is in each of the short sources.
func (f *finder) intersect(p *plan) error {
	p.drive = driveList
	order := make([]*planned, 0, len(p.conds))
	for _, pc := range p.conds {
		if pc.src != nil {
			order = append(order, pc)
		}
	}
	slices.SortStableFunc(order, func(a, b *planned) int { return cmp.Compare(a.est, b.est) })
	for i, pc := range order {
		if i > 0 && (pc.est > listMost || len(p.list) <= 20) {
			break // a body read is cheaper than that many rows
		}
		list, err := f.all(pc.src)
		if err != nil {
			return err
		}
		pc.held = true
		if i == 0 {
			p.list = list
		} else {
			p.list = common(p.list, list)
		}
	}
	return nil
}

func compareResidents(a, b resident) int {
	return cmp.Or(cmp.Compare(a.lane, b.lane), cmp.Compare(a.rid, b.rid))
}

func sortResidents(list []resident) []resident {
	slices.SortFunc(list, compareResidents)
	return slices.CompactFunc(list, func(a, b resident) bool { return a.lane == b.lane && a.rid == b.rid })
}

// common is what two sorted lists share.
func common(a, b []resident) []resident {
	out := a[:0:0]
	for len(a) > 0 && len(b) > 0 {
		switch c := compareResidents(a[0], b[0]); {
		case c == 0:
			out, a, b = append(out, a[0]), a[1:], b[1:]
		case c < 0:
			a = a[1:]
		default:
			b = b[1:]
		}
	}
	return out
}

// fetch reads the rows and bodies of candidates that the scope shows and that pass what SQL can ask, in their order.
func (f *finder) fetch(p *plan, list []resident) ([]*subject, error) {
	if len(list) == 0 {
		return nil, nil
	}
	if err := f.spend(len(list)); err != nil {
		return nil, err
	}
	query, args := f.fetchSQL(p, rowColumns+`, v.prev, v.actor, v.dict, v.body, v.reason`, list)
	rows, err := f.tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	type found struct {
		row row
		s   stored
	}
	byPlace := make(map[resident]*found, len(list))
	for rows.Next() {
		x := &found{}
		if err := rows.Scan(append(x.row.fields(), &x.s.prev, &x.s.by, &x.s.dict, &x.s.body, &x.s.reason)...); err != nil {
			return nil, err
		}
		byPlace[resident{lane: x.row.lane, rid: x.row.rid}] = x
	}
	if err := rows.Err(); err != nil {
		return nil, err
	}
	var subjects []*subject
	for _, place := range list {
		x := byPlace[resident{lane: place.lane, rid: place.rid}]
		if x == nil {
			continue
		}
		s, err := f.subject(p.typ, &x.row, &x.s)
		if err != nil {
			return nil, err
		}
		subjects = append(subjects, s)
	}
	return subjects, nil
}

func (f *finder) subject(typ string, w *row, s *stored) (*subject, error) {
	s.lane, s.seq, s.rid, s.ver, s.kind, s.at, s.op = w.lane, w.seq, w.rid, w.ver, w.kind, w.at, w.op
	v, err := f.r.opened(f.tx, s)
	if err != nil {
		return nil, err
	}
	w.ref = Ref{f.tenant, typ, w.id}
	v.Ref, v.Chart, v.label, v.author = w.ref, w.chart, int64(w.label), w.author
	return &subject{row: *w, version: v, extract: f.r.index.extract}, nil
}

// fetchSQL asks for columns of candidates (all lanes of the list), under the scope and the conditions that have hashes.
func (f *finder) fetchSQL(p *plan, columns string, list []resident) (string, []any) {
	var b strings.Builder
	args := make([]any, 0, 2*len(list)+16)
	if f.r.db.Lanes() == 1 {
		b.WriteString(`SELECT ` + columns + ` FROM record_resource r JOIN record_version v ON v.lane = r.lane AND v.seq = r.seq WHERE r.lane = 0 AND r.rid IN (?` + strings.Repeat(`, ?`, padded(len(list))-1) + `)`)
		for i := range padded(len(list)) {
			args = append(args, list[min(i, len(list)-1)].rid)
		}
	} else { // PostgreSQL goes from a list of pairs to their rows, where it would look an IN of pairs up as so many conditions
		b.WriteString(`WITH c (lane, rid) AS (VALUES (CAST(? AS INTEGER), CAST(? AS INTEGER))` + strings.Repeat(`, (?, ?)`, padded(len(list))-1) +
			`) SELECT ` + columns + ` FROM c JOIN record_resource r ON r.lane = c.lane AND r.rid = c.rid JOIN record_version v ON v.lane = r.lane AND v.seq = r.seq WHERE 1 = 1`)
		for _, c := range list {
			args = append(args, c.lane, c.rid)
		}
		for range padded(len(list)) - len(list) {
			args = append(args, store.Lane(-1), int64(-1)) // there is none
		}
	}
	cond, more := f.visible(p)
	b.WriteString(` AND ` + cond)
	return b.String(), append(args, more...)
}

// padded rounds a number of arguments up, so that few statements serve all numbers.
func padded(n int) int {
	p := 1
	for p < n {
		p *= 2
	}
	return p
}

// visible is the condition on r (record_resource): of the kind, not voided, in the scope, and under each hash.
func (f *finder) visible(p *plan) (string, []any) {
	cond, args := f.scope.SQL("r", p.typ)
	cond = `r.kind = ? AND r.op <> ? AND (` + cond + `)`
	args = append([]any{p.kind, int64(Voided)}, args...)
	for i, pc := range p.conds {
		h := pc.hashes
		if h == nil || i == p.drive || pc.held || len(h.params)*len(h.list) > 20 {
			continue
		}
		if len(h.params) == 0 || len(h.list) == 0 {
			cond += ` AND 1 = 0`
			continue
		}
		// The limit keeps PostgreSQL from reading all that is under the hash instead of asking for each row.
		cond += ` AND EXISTS (SELECT 1 FROM idx_hash h WHERE h.lane = r.lane AND h.param IN (?` + strings.Repeat(`, ?`, len(h.params)-1) +
			`) AND h.hash IN (?` + strings.Repeat(`, ?`, len(h.list)-1) + `) AND h.rid = r.rid LIMIT 1 OFFSET 0)`
		for _, param := range h.params {
			args = append(args, param)
		}
		for _, hash := range h.list {
			args = append(args, hash)
		}
	}
	return cond, args
}

// spend counts bodies read against the limits.
func (f *finder) spend(n int) error {
	if f.looked += n; f.looked > f.r.limits.Rows+maxCount {
		return tooCostly()
	}
	if f.r.clock.Now().After(f.until) {
		return fault.New(fault.TooCostly, "This search took too long and was stopped. Narrow it.")
	}
	return nil
}

// satisfies reports whether a subject meets every condition of a plan.
func (f *finder) satisfies(p *plan, s *subject) (bool, error) {
	for _, pc := range p.conds {
		var ok bool
		var err error
		switch pc.c.form {
		case formChain:
			ok, err = f.chained(pc, s)
		case formHas:
			ok, err = f.referred(pc, s)
		default:
			ok, err = s.holds(pc.c, f.at)
		}
		if err != nil || !ok {
			return false, err
		}
	}
	return true, nil
}
