package record

import (
	"cmp"
	"slices"
	"strings"

	"github.com/openspine/openspine/fhir/search"
)

// visit is called for each match in order, with the place behind which the next is found; it returns false to stop.
type visit func(s *subject, at place) (more bool, err error)

// place is where in a search's order a match stands.
type place struct {
	drive   int
	missing bool // sorted by an index, and past the end of it: among those that lack the value
	listed  bool // and these are gone through as a list
	at      resident
	keys    []any // of a sort in memory
}

// Chunks of candidates whose bodies are read at once.
const (
	firstChunk = 32
	lastChunk  = 256
)

// run visits what a plan finds, behind after.
func (f *finder) run(p *plan, after *place, visit visit) error {
	if after != nil {
		if err := f.resume(p, after.drive); err != nil {
			return err
		}
	}
	switch {
	case p.drive == driveSort && f.walkable(p):
		return f.runSorted(p, after, visit)
	case len(p.sort) > 0:
		return f.runRanked(p, after, visit)
	case p.drive == driveList:
		return f.runList(p, after, visit)
	}
	return f.runSource(p, f.driving(p), after, false, visit)
}

// resume makes a plan go on with the drive of the page before, whatever it would choose now.
func (f *finder) resume(p *plan, drive int) error {
	if p.drive == drive || drive >= len(p.conds) || drive >= 0 && p.conds[drive].src == nil {
		return nil
	}
	p.among = nil
	if drive == driveList && p.least() >= 0 {
		return f.intersect(p)
	}
	if p.drive == driveList && drive == driveSort {
		p.among = spotsOf(p.list)
	}
	p.drive = drive
	return nil
}

// driving is the source that a plan goes through.
func (f *finder) driving(p *plan) *source {
	if p.drive >= 0 {
		return p.conds[p.drive].src
	}
	return &source{parts: []part{f.part("record_resource", "id", `kind = ?`, p.kind)}, unique: true}
}

// runList goes through candidates in memory.
func (f *finder) runList(p *plan, after *place, visit visit) error {
	list := p.list
	if after != nil {
		i, found := slices.BinarySearchFunc(list, after.at, compareResidents)
		if found {
			i++
		}
		list = list[i:]
	}
	for chunk := firstChunk; len(list) > 0; chunk = min(2*chunk, lastChunk) {
		n := min(chunk, len(list))
		more, err := f.show(p, list[:n], func(s *subject, r resident) (bool, error) { return visit(s, place{drive: driveList, at: r}) })
		if err != nil || !more {
			return err
		}
		list = list[n:]
	}
	return nil
}

// show reads candidates and visits those that satisfy the plan.
func (f *finder) show(p *plan, list []resident, visit func(*subject, resident) (bool, error)) (more bool, err error) {
	subjects, err := f.fetch(p, list)
	if err != nil {
		return false, err
	}
	next := 0
	for _, r := range list {
		if next == len(subjects) {
			break
		}
		s := subjects[next]
		if s.row.lane != r.lane || s.row.rid != r.rid {
			continue
		}
		next++
		ok, err := f.satisfies(p, s)
		if err != nil {
			return false, err
		}
		if !ok {
			continue
		}
		if more, err := visit(s, r); err != nil || !more {
			return false, err
		}
	}
	return true, nil
}

// firstKey is the first key under which the subject stands in a source: of the values that satisfy c, or (c nil) of all
// that the source's parameter has.
func (s *subject) firstKey(src *source, c *cond, f *finder, desc bool) any {
	code := src.code
	if c != nil {
		code = c.code
	}
	var first any
	for _, have := range s.of(code) {
		if c != nil && !anyOf(c.values, func(v *value) bool { return valueHolds(c, v, have, f.at) }) {
			continue
		}
		key, ok := src.keyOf(have)
		if ok && (first == nil || !desc && compareKeys(key, first) < 0 || desc && compareKeys(key, first) > 0) {
			first = key
		}
	}
	return first
}

// compareKeys orders keys of one kind; nil, which is none, comes last.
func compareKeys(a, b any) int {
	switch a := a.(type) {
	case int64:
		if b, ok := b.(int64); ok {
			return cmp.Compare(a, b)
		}
	case float64:
		if b, ok := b.(float64); ok {
			return cmp.Compare(a, b)
		}
	case string:
		if b, ok := b.(string); ok {
			return strings.Compare(a, b)
		}
	case nil:
		if b == nil {
			return 0
		}
		return 1
	}
	return -1
}

// walkable reports whether the index of the one sort key gives the order.
func (f *finder) walkable(p *plan) bool {
	if len(p.sort) != 1 {
		return false
	}
	return f.sortSource(p) != nil
}

// sortSource is the whole index of the first sort key, nil when it does not give the order.
func (f *finder) sortSource(p *plan) *source {
	k := p.sort[0]
	switch k.code {
	case "_id":
		return &source{parts: []part{f.part("record_resource", "id", `kind = ?`, p.kind)}, unique: true}
	case "_lastUpdated":
		return &source{parts: []part{{table: "record_resource", key: "at", where: `kind = ?`, args: []any{p.kind}}}, unique: true}
	}
	if !f.r.index.indexed(p.typ, k.code) {
		return nil
	}
	s := &source{code: k.code}
	for _, param := range f.params(p.typ, k.code) {
		switch formOf(k.param) {
		case formString:
			s.keyOf = stringKey
			s.parts = append(s.parts, f.part("idx_string", "folded", `param = ?`, param))
		case formNumber:
			s.keyOf = numberKey
			s.parts = append(s.parts, f.part("idx_number", "lo", `param = ?`, param))
		case formDate:
			s.keyOf = dateKey
			for span := range spans {
				s.parts = append(s.parts, f.part("idx_date", "lo", `param = ? AND span = ?`, param, span))
			}
		default:
			return nil
		}
	}
	return s
}

// everyoneHas reports whether every resource of the kind stands in the source.
func (f *finder) everyoneHas(p *plan, src *source) (bool, error) {
	var have, all int64
	for _, part := range src.parts {
		var n int64
		if err := f.tx.QueryRow(`SELECT count(*) FROM (SELECT DISTINCT lane, rid FROM `+part.table+` WHERE `+part.where+`) AS d`, part.args...).Scan(&n); err != nil {
			return false, err
		}
		have += n
	}
	err := f.tx.QueryRow(`SELECT count(*) FROM record_resource WHERE kind = ? AND op <> ?`, p.kind, int64(Voided)).Scan(&all)
	return have == all, err
}

// ranked is a match whose sort keys are in memory.
type ranked struct {
	keys []any
	at   resident
}

// runRanked finds every match, sorts in memory, and visits.
func (f *finder) runRanked(p *plan, after *place, visit visit) error {
	drive := p.drive
	all, err := f.rank(p)
	if err != nil {
		return err
	}
	compare := func(a, b ranked) int {
		for i, k := range p.sort {
			c := compareKeys(a.keys[i], b.keys[i])
			if c != 0 && k.desc && a.keys[i] != nil && b.keys[i] != nil {
				c = -c
			}
			if c != 0 {
				return c
			}
		}
		return compareResidents(a.at, b.at)
	}
	slices.SortFunc(all, compare)
	if after != nil {
		i, found := slices.BinarySearchFunc(all, ranked{after.keys, after.at}, compare)
		if found {
			i++
		}
		all = all[i:]
	}
	for len(all) > 0 {
		n := min(firstChunk, len(all))
		list := make([]resident, n)
		for i := range list {
			list[i] = all[i].at
		}
		i := 0
		more, err := f.show(p, list, func(s *subject, r resident) (bool, error) {
			for all[i].at != r {
				i++
			}
			return visit(s, place{drive: drive, at: r, keys: all[i].keys})
		})
		if err != nil || !more {
			return err
		}
		all = all[n:]
	}
	return nil
}

func (f *finder) rank(p *plan) ([]ranked, error) {
	plain := *p
	plain.sort = nil
	if p.drive == driveSort {
		plain.drive = driveAll
		if least := p.least(); least >= 0 {
			plain.drive = least
		}
		if plain.drive >= 0 && p.conds[plain.drive].src.keyOf == nil {
			if err := f.intersect(&plain); err != nil {
				return nil, err
			}
		}
	}
	var all []ranked
	err := f.run(&plain, nil, func(s *subject, at place) (bool, error) {
		keys := make([]any, len(p.sort))
		for i, k := range p.sort {
			keys[i] = s.sortKey(k)
		}
		all = append(all, ranked{keys, resident{lane: at.at.lane, rid: at.at.rid}})
		return true, nil
	})
	return all, err
}

// sortKey is the subject's least value, or greatest when descending; nil for none.
func (s *subject) sortKey(k sortKey) any {
	switch k.code {
	case "_id":
		return s.row.id
	case "_lastUpdated":
		return s.row.at
	}
	var first any
	for _, have := range s.of(k.code) {
		key := rankKey(have)
		if key != nil && (first == nil || !k.desc && compareKeys(key, first) < 0 || k.desc && compareKeys(key, first) > 0) {
			first = key
		}
	}
	return first
}

func rankKey(v search.Value) any {
	switch v := v.(type) {
	case search.Token:
		if v.Code == "" {
			return nil
		}
		return strings.ToLower(v.Code)
	case search.String:
		return clip(v.Folded, foldedBytes)
	case search.Date:
		return v.Lo
	case search.Number:
		return pointOf(v)
	case search.Quantity:
		return pointOf(v.Number)
	case search.Reference:
		return refKey(v)
	case search.URI:
		return v.URI
	}
	return nil
}
