package audit

import (
	"cmp"
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

const entryColumns = `e.lane, e.seq, e.at, coalesce(c.tenant, ''), coalesce(c.chart, ''), coalesce(a.actor, ''), coalesce(a.name, ''),
	coalesce(a.role, ''), coalesce(a.organisation, ''), coalesce(t.action, ''), coalesce(t.purpose, ''), coalesce(t.basis, ''),
	coalesce(t.outcome, ''), coalesce(e.detail, ''), e.request`

const entryTables = ` FROM audit_entry e
	LEFT JOIN audit_chart c ON c.lane = e.lane AND c.id = e.chart
	LEFT JOIN audit_actor a ON a.lane = e.lane AND a.id = e.actor
	LEFT JOIN audit_act t ON t.lane = e.lane AND t.id = e.act `

func scanEntry(rows *store.Rows) (Entry, error) {
	var e Entry
	var at int64
	var tenant, organisation string
	var request []byte
	err := rows.Scan(&e.Lane, &e.Seq, &at, &tenant, &e.Chart, &e.Actor, &e.ActorName, &e.Role, &organisation,
		&e.Action, &e.Purpose, &e.Basis, &e.Outcome, &e.Detail, &request)
	if err != nil {
		return Entry{}, err
	}
	e.At = time.UnixMicro(at).UTC()
	e.RequestID = unpackRequest(request)
	// A code that is not well formed was written by somebody else; Verify finds it, and reading must not fail on it.
	if e.Tenant, err = code(tenant); err != nil {
		e.Detail = "tenant " + tenant + " " + e.Detail
	}
	if e.Organisation, err = code(organisation); err != nil {
		e.Detail = "organisation " + organisation + " " + e.Detail
	}
	return e, nil
}

func code(s string) (ident.ODSCode, error) {
	if s == "" {
		return ident.ODSCode{}, nil
	}
	return ident.ParseODSCode(s)
}

// readRows reads the entries of a lane with first ≤ sequence ≤ last, in order.
func readRows(tx *store.Tx, lane store.Lane, first, last int64) ([]Entry, error) {
	rows, err := tx.Query(`SELECT `+entryColumns+entryTables+`WHERE e.lane = ? AND e.seq >= ? AND e.seq <= ? ORDER BY e.seq`, int64(lane), first, last)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	return scanEntries(rows)
}

// Search finds entries, newest first unless q says otherwise. Errors: fault.Invalid for a cursor that Search did not make, two cursors at once, a chart without
// its tenant, or a limit over 1,000.
func (l *Log) Search(ctx context.Context, q Query) (Page, error) {
	if q.Limit == 0 {
		q.Limit = 50
	}
	if q.Limit < 1 || q.Limit > 1000 {
		return Page{}, fault.New(fault.Invalid, "a page holds 1 to 1,000 entries")
	}
	if q.After != "" && q.Before != "" {
		return Page{}, fault.New(fault.Invalid, "a page is after one place or before one, not both")
	}
	w, err := l.where(q)
	if err != nil {
		return Page{}, err
	}
	order := ` ORDER BY e.at DESC, e.lane DESC, e.seq DESC`
	if w.oneLane {
		order = ` ORDER BY e.lane DESC, e.seq DESC` // the instant never falls as the sequence rises
	}
	if q.upward() {
		order = strings.ReplaceAll(order, " DESC", "")
	}
	var found []Entry
	var archives []archiveRow
	err = l.db.ReadNow(ctx, func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT `+entryColumns+entryTables+w.sql()+order+` LIMIT ?`, append(slices.Clone(w.args), q.Limit+1)...)
		if err != nil {
			return err
		}
		defer rows.Close()
		if found, err = scanEntries(rows); err != nil {
			return err
		}
		archives = nil
		if len(found) <= q.Limit || q.upward() || !w.oneLane { // in one lane, what is archived is older than what is not
			archives, err = readArchives(tx)
		}
		return err
	})
	if err == nil && len(archives) > 0 {
		found, err = l.finder(q, w).first(ctx, archives, found, q.Limit+1)
	}
	if err != nil {
		return Page{}, err
	}
	return pageOf(found, q), nil
}

func scanEntries(rows *store.Rows) (list []Entry, err error) {
	for rows.Next() {
		e, err := scanEntry(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, e)
	}
	return list, rows.Err()
}

// upward reports whether entries are looked for from the oldest on.
func (q Query) upward() bool { return q.Oldest != (q.Before != "") }

// pageOf puts what was found into a page. Where the reader came from there is more, and elsewhere when there is one too many.
func pageOf(found []Entry, q Query) (page Page) {
	more := len(found) > q.Limit
	page.Entries = found[:min(len(found), q.Limit)]
	if len(page.Entries) == 0 {
		return page
	}
	older, newer := more, q.After != ""
	if q.Before != "" {
		slices.Reverse(page.Entries)
		older, newer = true, more
	}
	if older {
		page.Next = cursor(page.Entries[len(page.Entries)-1])
	}
	if newer {
		page.Previous = cursor(page.Entries[0])
	}
	return page
}

// CountLimit is how far Count counts.
const CountLimit = 10_000

// Count is how many entries q selects, whatever its cursor and limit: exact up to CountLimit, which stands for that many or more.
// Errors: as Search.
func (l *Log) Count(ctx context.Context, q Query) (n int64, err error) {
	q.After, q.Before = "", ""
	w, err := l.where(q)
	if err != nil {
		return 0, err
	}
	var archives []archiveRow
	err = l.db.ReadNow(ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(`SELECT count(*) FROM (SELECT 1 FROM audit_entry e LEFT JOIN audit_act t ON t.lane = e.lane AND t.id = e.act `+w.sql()+` LIMIT ?) AS found`,
			append(slices.Clone(w.args), CountLimit)...).Scan(&n)
		archives = nil
		if err == nil && n < CountLimit {
			archives, err = readArchives(tx)
		}
		return err
	})
	if err != nil || len(archives) == 0 {
		return n, err
	}
	old, err := l.finder(q, w).count(ctx, archives, CountLimit-n)
	return n + old, err
}

type where struct {
	conds   []string
	args    []any
	oneLane bool
}

func (w *where) and(cond string, args ...any) {
	w.conds = append(w.conds, cond)
	w.args = append(w.args, args...)
}

func (w *where) sql() string {
	if len(w.conds) == 0 {
		return ""
	}
	return "WHERE " + strings.Join(w.conds, " AND ")
}

func (l *Log) where(q Query) (*where, error) {
	w := &where{}
	switch {
	case q.Chart != "" && q.Tenant.IsZero():
		return nil, fault.New(fault.Invalid, "a chart is named together with its tenant")
	case q.Chart != "":
		lane := l.db.LaneOf(q.Tenant.String(), q.Chart)
		w.oneLane = true
		w.and(`e.lane = ?`, int64(lane))
		w.and(`e.chart = (SELECT id FROM audit_chart WHERE lane = ? AND tenant = ? AND chart = ?)`, int64(lane), q.Tenant.String(), q.Chart)
	case len(q.Charts) > 0:
		w.oneLane = l.db.Lanes() == 1
		l.anyChart(w, q.Charts)
	case l.db.Lanes() == 1:
		w.oneLane = true
		w.and(`e.lane = 0`)
	}
	if q.Chart == "" && !q.Tenant.IsZero() {
		w.and(`EXISTS (SELECT 1 FROM audit_chart x WHERE x.lane = e.lane AND x.id = e.chart AND x.tenant = ?)`, q.Tenant.String())
	}
	if q.Actor != "" {
		w.and(`EXISTS (SELECT 1 FROM audit_actor x WHERE x.lane = e.lane AND x.id = e.actor AND x.actor = ?)`, q.Actor)
	}
	for _, actor := range q.Not {
		w.and(`NOT EXISTS (SELECT 1 FROM audit_actor x WHERE x.lane = e.lane AND x.id = e.actor AND x.actor = ?)`, actor)
	}
	if !q.Organisation.IsZero() {
		w.and(`EXISTS (SELECT 1 FROM audit_actor x WHERE x.lane = e.lane AND x.id = e.actor AND x.organisation = ?)`, q.Organisation.String())
	}
	for column, value := range map[string]string{"action": q.Action, "purpose": q.Purpose} {
		if value != "" {
			w.and(`t.`+column+` = ?`, value)
		}
	}
	if len(q.Actions) > 0 {
		var list []any
		for _, a := range q.Actions {
			list = append(list, a)
		}
		w.and(`t.action IN (?`+strings.Repeat(", ?", len(list)-1)+`)`, list...)
	}
	if q.Outcome != "" {
		w.and(`(t.outcome = ? OR t.outcome LIKE ?)`, q.Outcome, q.Outcome+" %")
	}
	if !q.From.IsZero() {
		w.and(`e.at >= ?`, q.From.UnixMicro())
	}
	if !q.To.IsZero() {
		w.and(`e.at < ?`, q.To.UnixMicro())
	}
	if from := cmp.Or(q.After, q.Before); from != "" {
		sign := "<"
		if q.upward() {
			sign = ">"
		}
		at, lane, seq, err := parseCursor(from)
		if err != nil {
			return nil, err
		}
		if w.oneLane {
			w.and(`e.seq `+sign+` ?`, seq)
		} else {
			w.and(`(e.at, e.lane, e.seq) `+sign+` (?, ?, ?)`, at, lane, seq)
		}
	}
	return w, nil
}

// anyChart selects what is about any of several charts.
func (l *Log) anyChart(w *where, charts []Chart) {
	var each []string
	var args []any
	for _, c := range charts {
		lane := int64(l.db.LaneOf(c.Tenant.String(), c.Chart))
		each = append(each, `(e.lane = ? AND e.chart = (SELECT id FROM audit_chart WHERE lane = ? AND tenant = ? AND chart = ?))`)
		args = append(args, lane, lane, c.Tenant.String(), c.Chart)
	}
	w.and(`(`+strings.Join(each, ` OR `)+`)`, args...)
}

func cursor(e Entry) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d %d", e.At.UnixMicro(), e.Lane, e.Seq))
}

func parseCursor(s string) (at, lane, seq int64, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		_, err = fmt.Sscanf(string(b), "%d %d %d", &at, &lane, &seq)
	}
	if err != nil {
		return 0, 0, 0, fault.New(fault.Invalid, "the page cursor is not one that this search gave")
	}
	return at, lane, seq, nil
}
