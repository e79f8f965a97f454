package record

import (
	"context"
	"strings"

	"github.com/openspine/openspine/store"
)

// PrepareAll is Prepare for many changes over one snapshot, with one question for each lot of them where Prepare asks for each: is there
// something already? The drafts are in the order of the changes. The first that cannot be prepared ends it.
func (r *Records) PrepareAll(ctx context.Context, changes []Change) ([]*Draft, error) {
	drafts := make([]*Draft, len(changes))
	err := r.db.View(ctx, func(ctx context.Context) error {
		for i, c := range changes {
			drafts[i] = &Draft{change: c, ref: c.Ref}
		}
		if err := r.db.Read(ctx, func(tx *store.Tx) error { return r.look(tx, drafts) }); err != nil {
			return err
		}
		for i := range drafts {
			d, err := r.prepare(ctx, drafts[i])
			if err != nil {
				return err
			}
			drafts[i] = d
		}
		return nil
	})
	return drafts, err
}

// lookedFor is how many resources are looked for at once.
const lookedFor = 64

// look finds out which of many drafts are put where nothing is.
func (r *Records) look(tx *store.Tx, drafts []*Draft) error {
	kinds := map[Ref]int64{} // by tenant and type
	for len(drafts) > 0 {
		some := drafts[:min(len(drafts), lookedFor)]
		drafts = drafts[len(some):]
		var asked []*Draft
		for _, d := range some {
			if d.change.Verb != Put || d.change.Criteria != nil || d.ref.ID == "" {
				continue
			}
			of := Ref{Tenant: d.ref.Tenant, Type: d.ref.Type}
			num, known := kinds[of]
			if !known {
				var err error
				if num, _, err = r.words.kindIn(tx, of.Tenant.String(), of.Type); err != nil {
					return err
				}
				kinds[of] = num
			}
			if d.kind = num; num != 0 {
				asked = append(asked, d)
			}
		}
		if len(asked) < lookedFor {
			continue // Prepare asks for each of the last
		}
		if err := r.lookFor(tx, asked); err != nil {
			return err
		}
	}
	return nil
}

// lookedQuery finds those of some resources that are there, by where their ids stand or, on PostgreSQL, have gone.
func (r *Records) lookedQuery(n int) string {
	keys := `(VALUES (CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS TEXT))` + strings.Repeat(`, (?, ?, ?)`, n-1) + `) AS k`
	query := `SELECT k.column2, k.column3 FROM ` + keys + ` CROSS JOIN record_resource r WHERE r.lane = k.column1 AND r.kind = k.column2 AND r.id = k.column3`
	if r.db.Lanes() > 1 {
		query += ` UNION ALL SELECT k.column2, k.column3 FROM ` + keys + ` CROSS JOIN record_alias a WHERE a.lane = k.column1 AND a.kind = k.column2 AND a.id = k.column3`
	}
	return query
}

// chartsQuery finds those of some charts in which something is. It names only what the index of charts holds: for more,
// SQLite's planner would walk the lane.
func chartsQuery(n int) string {
	return `SELECT DISTINCT r.chart FROM (VALUES (CAST(? AS BIGINT), CAST(? AS TEXT))` + strings.Repeat(`, (?, ?)`, n-1) +
		`) AS k CROSS JOIN record_resource r WHERE r.lane = k.column1 AND r.chart = k.column2 AND r.chart <> ''`
}

func (r *Records) lookFor(tx *store.Tx, drafts []*Draft) error {
	type key struct {
		kind int64
		id   string
	}
	there := map[key]bool{}
	args := make([]any, 0, 6*len(drafts))
	for _, d := range drafts {
		args = append(args, int64(r.idLane(d.ref)), d.kind, d.ref.ID)
	}
	if r.db.Lanes() > 1 {
		args = append(args, args...)
	}
	err := each(tx, r.lookedQuery(len(drafts)), args, func(rows *store.Rows) error {
		var k key
		err := rows.Scan(&k.kind, &k.id)
		there[k] = true
		return err
	})
	if err != nil {
		return err
	}
	begun, err := r.begun(tx, drafts)
	if err != nil {
		return err
	}
	for _, d := range drafts {
		d.fresh = !there[key{d.kind, d.ref.ID}] && !begun[d.ref.ID]
	}
	return nil
}

// begun are those of the charts named like some Patients in which something is, be it in another tenant: Prepare looks again.
func (r *Records) begun(tx *store.Tx, drafts []*Draft) (map[string]bool, error) {
	begun := map[string]bool{}
	var args []any
	for _, d := range drafts {
		if d.ref.Type == "Patient" {
			args = append(args, int64(r.idLane(d.ref)), d.ref.ID)
		}
	}
	if len(args) == 0 {
		return begun, nil
	}
	return begun, each(tx, chartsQuery(len(args)/2), args, func(rows *store.Rows) error {
		var chart string
		if err := rows.Scan(&chart); err != nil {
			return err
		}
		begun[chart] = true
		return nil
	})
}

// each hands every row of a query to take.
func each(tx *store.Tx, query string, args []any, take func(rows *store.Rows) error) error {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return err
	}
	for rows.Next() {
		if err := take(rows); err != nil {
			rows.Close()
			return err
		}
	}
	return rows.Err()
}
