package record

import (
	"cmp"
	"context"
	"slices"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Period narrows a history. Zero times do not.
type Period struct {
	Since    time.Time // only versions written at or after this instant
	From, To time.Time // only versions that were current at some time from From until before To (_at); both are set or neither
	Count    int       // versions on a page; 20 by default, at most 1,000
	Cursor   string    // Next of the page before
}

func (p Period) count() int {
	if p.Count <= 0 {
		return defaultCount
	}
	return min(p.Count, maxCount)
}

// HistoryPage is a stretch of history, newest first.
type HistoryPage struct {
	Versions []Version
	Total    int64  // of an instance's history; -1 where it is not counted
	Next     string // "" on the last page
}

// ReadVersion is one version of a resource, voided ones included. A version that was written in another chart, before the
// resource moved, needs a grant for that chart.
func (r *Records) ReadVersion(ctx context.Context, g access.Grant, ref Ref, ver int64) (Version, error) {
	var found Version
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		found = Version{}
		err := r.walk(tx, ref, func(v Version) (bool, error) {
			if v.Ver == ver {
				found = v
			}
			return v.Ver > ver, nil
		})
		if err != nil {
			return err
		}
		if found.Ver != ver {
			return access.NotHere()
		}
		return r.fill(tx, &found)
	})
	if err != nil {
		return Version{}, err
	}
	return found, covers(g, found.place())
}

// LocateVersion says where a version stands, as Locate does for the current one: before a move, in the chart of then.
func (r *Records) LocateVersion(ctx context.Context, ref Ref, ver int64) (access.Place, error) {
	place := access.Place{Tenant: ref.Tenant, Type: ref.Type, ID: ref.ID}
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		return r.walk(tx, ref, func(v Version) (bool, error) {
			if v.Ver == ver {
				place = v.place()
			}
			return v.Ver > ver, nil
		})
	})
	if fault.Is(err, fault.NotFound) {
		return place, nil
	}
	return place, err
}

// History is the history of one resource as far as g covers it, newest first. What it said before it moved from another
// chart needs a grant for that chart and is left out without.
func (r *Records) History(ctx context.Context, g access.Grant, ref Ref, p Period) (HistoryPage, error) {
	cur, err := r.openCursor(p.Cursor, "history "+ref.Tenant.String()+" "+ref.String())
	if err != nil {
		return HistoryPage{}, err
	}
	var page HistoryPage
	err = r.db.Read(ctx, func(tx *store.Tx) error {
		page = HistoryPage{}
		until := time.Time{}
		total := int64(0)
		err := r.walk(tx, ref, func(v Version) (bool, error) {
			wanted := p.wants(v.At, until)
			until = v.At
			if !wanted || covers(g, v.place()) != nil {
				return true, nil //nolint:nilerr // what the grant does not cover is left out of the history
			}
			total++
			if cur.Ver == 0 || v.Ver < cur.Ver {
				page.Versions = append(page.Versions, v)
			}
			return true, nil
		})
		if err != nil {
			return err
		}
		page.Total = total
		if n := p.count(); len(page.Versions) > n {
			page.Versions = page.Versions[:n]
			page.Next = r.sealCursor(cursor{Ver: page.Versions[n-1].Ver}, "history "+ref.Tenant.String()+" "+ref.String())
		}
		return r.fillAll(tx, page.Versions)
	})
	return page, err
}

// wants reports whether a version written at, and superseded at until (zero when it is current), is in the period.
func (p Period) wants(at, until time.Time) bool {
	if !p.Since.IsZero() && at.Before(p.Since) {
		return false
	}
	if p.To.IsZero() {
		return true
	}
	return at.Before(p.To) && (until.IsZero() || until.After(p.From))
}

// Before is the version that v followed, for what watches a change; false when v is the first.
func (r *Records) Before(tx *store.Tx, v Version) (Version, bool, error) {
	var prev int64
	if err := tx.QueryRow(`SELECT prev FROM record_version WHERE lane = ? AND seq = ?`, v.Lane, v.Seq).Scan(&prev); err != nil || prev == 0 {
		return Version{}, false, err
	}
	before, err := r.version(tx, v.Lane, prev)
	before.Ref, before.Chart, before.label = v.Ref, v.Chart, v.label
	return before, err == nil, err
}

// walk goes through a resource's versions, newest first, without their bodies, following it back through the lanes it was in.
func (r *Records) walk(tx *store.Tx, ref Ref, visit func(Version) (more bool, err error)) error {
	w, err := r.find(tx, ref)
	if err != nil {
		return err
	}
	past, err := moves(tx, w.lane, w.rid)
	if err != nil {
		return err
	}
	lane, seq := w.lane, w.seq
	for seq != 0 {
		var prev, ver, at int64
		var op Op
		err := tx.QueryRow(`SELECT prev, ver, at, op FROM record_version WHERE lane = ? AND seq = ?`, lane, seq).Scan(&prev, &ver, &at, &op)
		if err != nil {
			return fault.Wrap(err, fault.Internal, "a version is missing from the record")
		}
		v := Version{Ref: ref, Chart: chartAt(past, ver, w.chart), Ver: ver, At: time.UnixMicro(at).UTC(), Lane: lane, Seq: seq,
			label: int64(w.label), author: w.author, rid: w.rid}
		v.did(op)
		if v.Chart != w.chart {
			hides, err := r.chartLabel(tx, ref.Tenant, v.Chart)
			if err != nil {
				return err
			}
			v.label |= int64(hides)
		}
		more, err := visit(v)
		if err != nil || !more {
			return err
		}
		for _, s := range past {
			if s.ver == ver && s.cameLane != lane {
				lane, prev = s.cameLane, s.cameSeq
			}
		}
		seq = prev
	}
	return nil
}

// chartAt is the chart that a resource was in at version ver.
func chartAt(past []step, ver int64, now string) string {
	for _, s := range past {
		if ver < s.ver {
			return s.chart
		}
	}
	return now
}

// fill reads the body of a version that walk found.
func (r *Records) fill(tx *store.Tx, v *Version) error {
	full, err := r.version(tx, v.Lane, v.Seq)
	if err != nil {
		return err
	}
	v.Resource, v.Actor, v.Name, v.Reason = full.Resource, full.Actor, full.Name, full.Reason
	return nil
}

func (r *Records) fillAll(tx *store.Tx, list []Version) error {
	for i := range list {
		if err := r.fill(tx, &list[i]); err != nil {
			return err
		}
	}
	return nil
}

// HistoryOf is the history of a type, or of several, or (types empty) of all that a tenant keeps, as far as the scope
// shows it, newest first. What a resource said before it moved from another chart is found in its own history only.
func (r *Records) HistoryOf(ctx context.Context, s access.Scope, types []string, p Period) (HistoryPage, error) {
	tenant := s.Tenant()
	bound := "history of " + tenant.String()
	cur, err := r.openCursor(p.Cursor, bound)
	if err != nil {
		return HistoryPage{}, err
	}
	page := HistoryPage{Total: -1}
	err = r.db.Read(ctx, func(tx *store.Tx) error {
		if err := r.words.catchUp(tx); err != nil {
			return err
		}
		var all []Version
		for kind, ref := range r.kindsOf(s, types) {
			list, err := r.historyOfKind(tx, s, kind, ref, p, cur)
			if err != nil {
				return err
			}
			all = append(all, list...)
		}
		slices.SortFunc(all, newerFirst)
		page.Next = ""
		if n := p.count(); len(all) > n {
			all = all[:n]
			last := all[n-1]
			page.Next = r.sealCursor(cursor{At: last.At.UnixMicro(), Lane: last.Lane, Seq: last.Seq}, bound)
		}
		page.Versions = all
		if err := permits(tx, s, all); err != nil {
			return err
		}
		return r.fillAll(tx, all)
	})
	if err != nil {
		return HistoryPage{}, err
	}
	disclose(s, page.Versions)
	return page, nil
}

func newerFirst(a, b Version) int {
	return cmp.Or(b.At.Compare(a.At), cmp.Compare(b.Lane, a.Lane), cmp.Compare(b.Seq, a.Seq))
}

// permits asserts that each version may be shown.
func permits(tx *store.Tx, s access.Scope, list []Version) error {
	places := make([]access.Place, len(list))
	for i := range list {
		places[i] = list[i].place()
	}
	return s.Permits(tx, places...)
}

// disclose marks the chart of each version as shown.
func disclose(s access.Scope, list []Version) {
	for i := range list {
		s.Disclose(list[i].place())
	}
}

// kindsOf are the kinds of a tenant's types that are in use and that the scope may see anything of.
func (r *Records) kindsOf(s access.Scope, types []string) map[int64]Ref {
	kinds := map[int64]Ref{}
	if len(types) == 0 {
		types = r.index.types()
	}
	tenant := s.Tenant()
	for _, typ := range types {
		if kind, ok := r.words.kind(tenant.String(), typ); ok && s.Allows(typ) {
			kinds[kind] = Ref{Tenant: tenant, Type: typ}
		}
	}
	return kinds
}

func (r *Records) historyOfKind(tx *store.Tx, s access.Scope, kind int64, ref Ref, p Period, cur cursor) ([]Version, error) {
	cond, args := s.SQL("r", ref.Type)
	query := `SELECT v.lane, v.seq, v.rid, v.ver, v.at, v.op, r.id, r.chart, r.label, r.author
		FROM record_version v CROSS JOIN record_resource r
		WHERE r.lane = v.lane AND r.rid = v.rid AND v.kind = ? AND (` + cond + `)
		AND NOT EXISTS (SELECT 1 FROM record_move m WHERE m.lane = v.lane AND m.rid = v.rid AND m.ver > v.ver)`
	all := append([]any{kind}, args...)
	if !p.Since.IsZero() {
		query += ` AND v.at >= ?`
		all = append(all, p.Since.UnixMicro())
	}
	if !p.To.IsZero() {
		query += ` AND v.at < ? AND NOT EXISTS (SELECT 1 FROM record_version n WHERE n.kind = v.kind AND n.at > v.at AND n.at <= ?
			AND n.lane = v.lane AND n.prev = v.seq)`
		all = append(all, p.To.UnixMicro(), p.From.UnixMicro())
	}
	if cur.At != 0 {
		query += ` AND v.at <= ? AND NOT (v.at = ? AND (v.lane > ? OR (v.lane = ? AND v.seq >= ?)))`
		all = append(all, cur.At, cur.At, cur.Lane, cur.Lane, cur.Seq)
	}
	rows, err := tx.Query(query+` ORDER BY v.at DESC, v.lane DESC, v.seq DESC LIMIT ?`, append(all, p.count()+1)...)
	if err != nil {
		return nil, err
	}
	var list []Version
	for rows.Next() {
		v := Version{Ref: ref}
		var at int64
		var op Op
		if err := rows.Scan(&v.Lane, &v.Seq, &v.rid, &v.Ver, &at, &op, &v.ID, &v.Chart, &v.label, &v.author); err != nil {
			return nil, err
		}
		v.At = time.UnixMicro(at).UTC()
		v.did(op)
		list = append(list, v)
	}
	return list, rows.Err()
}
