package audit

import (
	"cmp"
	"context"
	"os"
	"slices"
	"strings"

	"github.com/openspine/openspine/store"
)

// finder looks for what a query selects in archives, one block at a time. It is the query's other half: where says the same to the
// database.
type finder struct {
	log     *Log
	q       Query
	lanes   map[store.Lane]bool // nil for all
	charts  map[Chart]bool      // nil for all
	oneLane bool
	cursor  *Entry // entries beyond it
	oldest  bool   // the order is the oldest first
	from    int64  // µs
	to      int64
}

func (l *Log) finder(q Query, w *where) *finder {
	f := &finder{log: l, q: q, oneLane: w.oneLane, oldest: q.upward(), from: -1 << 63, to: 1<<63 - 1}
	charts := q.Charts
	if q.Chart != "" {
		charts = []Chart{{q.Tenant, q.Chart}}
	}
	if len(charts) > 0 {
		f.charts, f.lanes = map[Chart]bool{}, map[store.Lane]bool{}
		for _, c := range charts {
			f.charts[c], f.lanes[l.db.LaneOf(c.Tenant.String(), c.Chart)] = true, true
		}
	}
	if !q.From.IsZero() {
		f.from = q.From.UnixMicro()
	}
	if !q.To.IsZero() {
		f.to = q.To.UnixMicro() - 1
	}
	if at, lane, seq, err := parseCursor(cmp.Or(q.After, q.Before)); err == nil {
		f.cursor = &Entry{Lane: int32(lane), Seq: seq, At: microTime(at)}
	}
	return f
}

// order compares two entries by the order in which they are found.
func (f *finder) order(a, b *Entry) int {
	c := 0
	if !f.oneLane {
		c = a.At.Compare(b.At)
	}
	c = cmp.Or(c, cmp.Compare(a.Lane, b.Lane), cmp.Compare(a.Seq, b.Seq))
	if !f.oldest {
		return -c
	}
	return c
}

// wants reports whether any entry that h covers may come before worst (nil for any), beyond the cursor and within the period.
func (f *finder) wants(h *blockHead, worst *Entry) bool {
	if h.entries == 0 || h.lastAt < f.from || h.firstAt > f.to || f.lanes != nil && !f.lanes[h.lane] {
		return false
	}
	least := Entry{Lane: int32(h.lane), Seq: h.first, At: microTime(h.firstAt)}
	most := Entry{Lane: int32(h.lane), Seq: h.last, At: microTime(h.lastAt)}
	if !f.oldest {
		least, most = most, least
	}
	return (f.cursor == nil || f.order(&most, f.cursor) > 0) && (worst == nil || f.order(&least, worst) < 0)
}

// numbers says which of a list's numbers are selected; nil for all, and none reports that it is no use to look further.
func numbers[T any](list []T, all bool, selected func(T) bool) (chosen []bool, none bool) {
	if all {
		return nil, false
	}
	chosen, none = make([]bool, len(list)), true
	for i, v := range list {
		if selected(v) {
			chosen[i], none = true, false
		}
	}
	return chosen, none
}

func (f *finder) actor(a actorWords) bool {
	return (f.q.Actor == "" || a.actor == f.q.Actor) && (f.q.Organisation.IsZero() || a.organisation == f.q.Organisation) && !slices.Contains(f.q.Not, a.actor)
}

func (f *finder) act(a actWords) bool {
	return (f.q.Action == "" || a.action == f.q.Action) && (f.q.Purpose == "" || a.purpose == f.q.Purpose) && (len(f.q.Actions) == 0 || slices.Contains(f.q.Actions, a.action)) &&
		(f.q.Outcome == "" || a.outcome == f.q.Outcome || strings.HasPrefix(a.outcome, f.q.Outcome+" "))
}

func (f *finder) chart(c Chart) bool {
	return (f.charts == nil || f.charts[c]) && (f.q.Chart != "" || f.q.Tenant.IsZero() || c.Tenant == f.q.Tenant)
}

// each calls fn with the entries of one archive that the query selects, in blocks that want still wants, newest block first unless the
// oldest come first. fn is handed the entry when it asks for it.
func (f *finder) each(ctx context.Context, row archiveRow, want func(h *blockHead) bool, fn func(at Entry, whole func() Entry) (more bool)) error {
	if row.lastAt < f.from || row.firstAt > f.to {
		return nil
	}
	file, a, err := f.log.openArchive(row)
	if err != nil {
		return err
	}
	defer file.Close()
	actors, none := numbers(a.actors, f.q.Actor == "" && f.q.Organisation.IsZero() && len(f.q.Not) == 0, f.actor)
	if none {
		return nil
	}
	acts, none := numbers(a.acts, f.q.Action == "" && f.q.Purpose == "" && f.q.Outcome == "" && len(f.q.Actions) == 0, f.act)
	if none {
		return nil
	}
	var charts []Chart
	for c := range f.charts {
		charts = append(charts, c)
	}
	for i := range a.blocks {
		n := i
		if !f.oldest {
			n = len(a.blocks) - 1 - i
		}
		if err := ctx.Err(); err != nil {
			return err
		}
		if h := &a.blocks[n]; h.first > row.goneTo(h.lane) || !want(h) {
			continue
		}
		if charts != nil {
			if may, err := a.mayHold(file, n, charts); err != nil || !may {
				if err != nil {
					return err
				}
				continue
			}
		}
		more, err := f.inBlock(row, file, a, n, actors, acts, fn)
		if err != nil || !more {
			return err
		}
	}
	return nil
}

func (f *finder) inBlock(row archiveRow, file *os.File, a *archiveFile, n int, actors, acts []bool, fn func(at Entry, whole func() Entry) bool) (more bool, err error) {
	k, sound, err := a.block(file, n, f.log.unzip)
	if err != nil || !sound {
		return false, row.fault("was changed", err)
	}
	charts, none := numbers(k.charts, f.charts == nil && f.q.Tenant.IsZero(), f.chart)
	if none {
		return true, nil
	}
	gone := row.goneTo(k.lane)
	for i := range k.seqs {
		if !f.oldest {
			i = len(k.seqs) - 1 - i
		}
		if k.ats[i] < f.from || k.ats[i] > f.to || k.seqs[i] > gone || charts != nil && !charts[k.chart[i]] || actors != nil && !actors[k.actor[i]] || acts != nil && !acts[k.act[i]] {
			continue
		}
		at := Entry{Lane: int32(k.lane), Seq: k.seqs[i], At: microTime(k.ats[i])}
		if f.cursor != nil && f.order(&at, f.cursor) <= 0 {
			continue
		}
		if !fn(at, func() Entry { return k.entry(i) }) {
			return false, nil
		}
	}
	return true, nil
}

// first adds to found, which are the first that the database has, in order, and no more than limit, what archives have of the query,
// and keeps the first limit of all.
func (f *finder) first(ctx context.Context, archives []archiveRow, found []Entry, limit int) ([]Entry, error) {
	if f.oldest {
		slices.SortFunc(archives, func(a, b archiveRow) int { return cmp.Or(cmp.Compare(a.firstAt, b.firstAt), cmp.Compare(a.id, b.id)) })
	} else {
		slices.SortFunc(archives, func(a, b archiveRow) int { return cmp.Or(cmp.Compare(b.lastAt, a.lastAt), cmp.Compare(b.id, a.id)) })
	}
	worst := func() *Entry {
		if len(found) < limit {
			return nil
		}
		return &found[limit-1]
	}
	for _, row := range archives {
		if w := worst(); w != nil && !f.oneLane && (f.oldest && row.firstAt > w.At.UnixMicro() || !f.oldest && row.lastAt < w.At.UnixMicro()) {
			break
		}
		err := f.each(ctx, row, func(h *blockHead) bool { return f.wants(h, worst()) }, func(at Entry, whole func() Entry) bool {
			if w := worst(); w != nil && f.order(&at, w) >= 0 {
				return true
			}
			i, _ := slices.BinarySearchFunc(found, &at, func(e Entry, at *Entry) int { return f.order(&e, at) })
			if found = slices.Insert(found, i, whole()); len(found) > limit {
				found = found[:limit]
			}
			return true
		})
		if err != nil {
			return nil, err
		}
	}
	return found, nil
}

// count is how many entries archives have of the query, up to limit.
func (f *finder) count(ctx context.Context, archives []archiveRow, limit int64) (n int64, err error) {
	for _, row := range archives {
		err := f.each(ctx, row, func(h *blockHead) bool { return f.wants(h, nil) && n < limit }, func(Entry, func() Entry) bool {
			n++
			return n < limit
		})
		if err != nil || n >= limit {
			return n, err
		}
	}
	return n, nil
}

// archivedEntry is the entry with a sequence of a lane, from the archive that stands for it.
func (l *Log) archivedEntry(pieces []piece, lane store.Lane, seq int64) (Entry, bool, error) {
	for _, c := range pieces {
		if seq < c.first || seq > min(c.last, c.gone) {
			continue
		}
		file, a, err := l.openArchive(c.row)
		if err != nil {
			return Entry{}, false, err
		}
		defer file.Close()
		for n, h := range a.blocks {
			if h.lane != lane || seq < h.first || seq > h.last {
				continue
			}
			k, sound, err := a.block(file, n, l.unzip)
			if err != nil || !sound {
				return Entry{}, false, c.row.fault("was changed", err)
			}
			if i, ok := slices.BinarySearch(k.seqs, seq); ok {
				return k.entry(i), true, nil
			}
		}
	}
	return Entry{}, false, nil
}
