package record

import (
	"context"
	"slices"
	"strconv"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Page is what a search found.
type Page struct {
	Matches  []Version
	Included []Version // by _include and _revinclude; none that is among the matches
	Total    *int64    // how many match in all; nil when it was not asked for and is not known
	Next     string    // the cursor of the next page; "" on the last
}

// Search finds what a scope shows of a query, and marks each chart of which something is returned as disclosed. Pages are
// stable: what is created after the first page is on none of its followers, and nothing is shown twice because it changed.
// Errors: fault.TooCostly when the limits do not suffice, fault.Invalid for a cursor of another search.
func (r *Records) Search(ctx context.Context, s access.Scope, q Query) (Page, error) {
	var page Page
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		var err error
		page, err = r.SearchTx(tx, s, q)
		return err
	})
	if err != nil {
		return Page{}, err
	}
	disclose(s, page.Matches)
	disclose(s, page.Included)
	return page, nil
}

// SearchTx is Search within a transaction, disclosing nothing: for what a service looks up for itself.
func (r *Records) SearchTx(tx *store.Tx, s access.Scope, q Query) (Page, error) {
	if err := r.words.catchUp(tx); err != nil {
		return Page{}, err
	}
	f := r.finder(tx, s)
	bound := f.tenant.String() + " " + s.Principal().ID + " " + q.text
	cur, err := r.openCursor(q.Cursor, bound)
	if err != nil {
		return Page{}, err
	}
	if cur.Bound == 0 {
		cur.Bound = tx.At().UnixMicro()
	}
	if q, err = f.withKin(q); err != nil {
		return Page{}, err
	}
	types := q.Concerns()
	page := Page{}
	next := cur
	if q.Count > 0 {
		if page.Matches, next, err = f.page(q, types, cur); err != nil {
			return Page{}, err
		}
	}
	if err := f.totals(&page, q, types, cur, next); err != nil {
		return Page{}, err
	}
	if next.More {
		next.More, next.Total = false, page.Total
		page.Next = r.sealCursor(next, bound)
	}
	if page.Included, err = f.included(q, page.Matches); err != nil {
		return Page{}, err
	}
	if err := permits(tx, s, page.Matches); err != nil {
		return Page{}, err
	}
	return page, permits(tx, s, page.Included)
}

// page finds the matches of one page, going from type to type where several are searched.
func (f *finder) page(q Query, types []string, cur cursor) ([]Version, cursor, error) {
	if len(types) > 1 && len(q.sort) > 0 {
		return f.mergedPage(q, types, cur)
	}
	var matches []Version
	next := cur
	start := max(0, slices.Index(types, cur.Type))
	for i, typ := range types[start:] {
		var after *place
		if i == 0 && cur.Type != "" {
			after = cur.place()
		}
		more, err := f.stretch(q, typ, after, cur.Bound, q.Count-len(matches), func(v Version, at place) {
			matches = append(matches, v)
			next = at.cursor(typ, cur)
		})
		if err != nil {
			return nil, next, err
		}
		if more {
			next.More = true
			return matches, next, nil
		}
	}
	return matches, next, nil
}

// stretch finds up to n matches of one type; more reports whether there is a further one.
func (f *finder) stretch(q Query, typ string, after *place, bound int64, n int, add func(Version, place)) (more bool, err error) {
	p, none, err := f.plan(typ, q.conds[typ], q.sort, n+1)
	if err != nil || none {
		return false, err
	}
	err = f.run(p, after, func(s *subject, at place) (bool, error) {
		if s.row.at > bound {
			born, err := f.bornBy(&s.row, bound)
			if err != nil || !born {
				return true, err
			}
		}
		if n == 0 {
			more = true
			return false, nil
		}
		n--
		add(s.version, at)
		return true, nil
	})
	return more, err
}

// bornBy reports whether a resource that has changed since bound existed then.
func (f *finder) bornBy(w *row, bound int64) (bool, error) {
	if w.ver == 1 {
		return false, nil
	}
	born := false
	err := f.r.walk(f.tx, w.ref, func(v Version) (bool, error) {
		born = v.At.UnixMicro() <= bound && v.Op != Voided
		return v.At.UnixMicro() > bound, nil
	})
	return born, err
}

// mergedPage takes a page from several types in one order, by _id or _lastUpdated.
func (f *finder) mergedPage(q Query, types []string, cur cursor) ([]Version, cursor, error) {
	type match struct {
		v  Version
		at place
	}
	var all []match
	for _, typ := range types {
		var after *place
		if cur.Type != "" {
			after = cur.place()
			after.drive = driveSort
		}
		_, err := f.stretch(q, typ, after, cur.Bound, q.Count+1, func(v Version, at place) { all = append(all, match{v, at}) })
		if err != nil {
			return nil, cur, err
		}
	}
	desc := q.sort[0].desc
	slices.SortFunc(all, func(a, b match) int {
		c := compareKeys(a.at.at.key, b.at.at.key)
		if c == 0 {
			c = compareResidents(a.at.at, b.at.at)
		}
		if desc {
			return -c
		}
		return c
	})
	next := cur
	if len(all) > q.Count {
		all = all[:q.Count]
		last := all[q.Count-1]
		next = last.at.cursor(last.v.Type, cur)
		next.More = true
	}
	matches := make([]Version, len(all))
	for i := range all {
		matches[i] = all[i].v
	}
	return matches, next, nil
}

// totals counts the matches when that was asked for, or is known.
func (f *finder) totals(page *Page, q Query, types []string, cur, next cursor) error {
	if cur.Total != nil {
		page.Total = cur.Total
		return nil
	}
	if q.Count > 0 && cur.Type == "" && !next.More {
		n := int64(len(page.Matches))
		page.Total = &n
		return nil
	}
	if q.Total != "accurate" && q.Total != "estimate" {
		return nil
	}
	var total int64
	for _, typ := range types {
		n, err := f.total(typ, q.conds[typ])
		if q.Total == "estimate" && fault.Is(err, fault.TooCostly) {
			return nil
		}
		if err != nil {
			return err
		}
		total += n
	}
	page.Total = &total
	return nil
}

// matches finds up to most matches of a query for a conditional write.
func (r *Records) matches(tx *store.Tx, s access.Scope, q Query, most int) ([]Version, error) {
	if err := r.words.catchUp(tx); err != nil {
		return nil, err
	}
	f := r.finder(tx, s)
	var found []Version
	_, err := f.stretch(q, q.Type, nil, 1<<62, most, func(v Version, _ place) { found = append(found, v) })
	return found, err
}

// cursor keeps a place in the text that callers hold.
func (at place) cursor(typ string, cur cursor) cursor {
	next := cursor{Type: typ, Bound: cur.Bound, Total: cur.Total, Drive: at.drive, Missing: at.missing, Listed: at.listed,
		Key: writeKey(at.at.key), Lane: at.at.lane, Rid: at.at.rid}
	for _, k := range at.keys {
		next.Keys = append(next.Keys, writeKey(k))
	}
	return next
}

func (c cursor) place() *place {
	at := &place{drive: c.Drive, missing: c.Missing, listed: c.Listed, at: resident{key: readKey(c.Key), lane: c.Lane, rid: c.Rid}}
	for _, k := range c.Keys {
		at.keys = append(at.keys, readKey(k))
	}
	return at
}

func writeKey(k any) string {
	switch k := k.(type) {
	case int64:
		return "i" + strconv.FormatInt(k, 10)
	case float64:
		return "f" + strconv.FormatFloat(k, 'g', -1, 64)
	case string:
		return "s" + k
	}
	return ""
}

func readKey(s string) any {
	if s == "" {
		return nil
	}
	switch s[0] {
	case 'i':
		n, _ := strconv.ParseInt(s[1:], 10, 64) // the cursor is authentic
		return n
	case 'f':
		x, _ := strconv.ParseFloat(s[1:], 64) // the cursor is authentic
		return x
	}
	return s[1:]
}
