package record

import (
	"context"

	"github.com/openspine/openspine/store"
)

// Progress is how far a re-index has come.
type Progress struct {
	Done  int64 // resources looked at
	Total int64 // resources there are
	Wrote int64 // of which index rows were written again, by this run
}

// reindexBatch is how many resources one Write indexes again.
const reindexBatch = 200

// Reindex writes the index rows of every resource that was indexed in another edition (after an upgrade, or a new profile). It goes on
// where it stopped, in small Writes that leave room for others; searches use rows of both editions meanwhile. In the end the
// rows of other editions are taken away.
// progress, if not nil, is called after each Write.
func (r *Records) Reindex(ctx context.Context, progress func(Progress)) error {
	lanes, err := (&Feed{r: r}).lanes(ctx)
	if err != nil {
		return err
	}
	p := Progress{}
	err = r.db.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM record_resource`).Scan(&p.Total)
	})
	for _, lane := range lanes {
		if err == nil {
			err = r.reindexLane(ctx, lane, &p, progress)
		}
	}
	if err != nil || ctx.Err() != nil {
		return err
	}
	if err := r.purge(ctx); err != nil {
		return err
	}
	return r.db.Analyze(ctx)
}

// stale is a resource whose index rows are of another edition, with those that it should have.
type stale struct {
	row  row
	rows []idxRow
}

func (r *Records) reindexLane(ctx context.Context, lane store.Lane, p *Progress, progress func(Progress)) error {
	var after int64
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT coalesce(max(at_rid), 0) FROM record_job WHERE lane = ? AND job = 'reindex' AND finished = 0`, lane).Scan(&after)
	})
	for err == nil && ctx.Err() == nil {
		var list []stale
		var last int64
		var looked int
		if list, last, looked, err = r.staleAfter(ctx, lane, after); err != nil || looked == 0 {
			break
		}
		if err = r.reindexSome(ctx, lane, list, last, p); err != nil {
			break
		}
		after = last
		p.Done += int64(looked)
		if progress != nil {
			progress(*p)
		}
	}
	if err != nil || ctx.Err() != nil {
		return err
	}
	return r.db.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM record_job WHERE lane = ? AND job = 'reindex'`, lane)
		return err
	})
}

// staleAfter looks at the next resources of a lane.
func (r *Records) staleAfter(ctx context.Context, lane store.Lane, after int64) (list []stale, last int64, looked int, err error) {
	type found struct {
		row row
		v   Version
	}
	var all []found
	err = r.db.Read(ctx, func(tx *store.Tx) error {
		all = nil
		var rows []row
		q, err := tx.Query(`SELECT `+rowColumns+` FROM record_resource r WHERE r.lane = ? AND r.rid > ? ORDER BY r.rid LIMIT ?`, lane, after, reindexBatch)
		if err != nil {
			return err
		}
		for q.Next() {
			var w row
			if err := q.Scan(w.fields()...); err != nil {
				return err
			}
			rows = append(rows, w)
		}
		if err := q.Err(); err != nil {
			return err
		}
		looked = len(rows)
		for _, w := range rows {
			last = w.rid
			if err := r.named(tx, &w); err != nil {
				return err
			}
			if w.op == Voided || w.edition == r.index.edition(w.ref.Type) {
				continue
			}
			v, err := r.version(tx, w.lane, w.seq)
			if err != nil {
				return err
			}
			all = append(all, found{w, v})
		}
		return nil
	})
	for i := range all {
		if err != nil {
			break
		}
		var rows []idxRow
		rows, err = r.index.rows(ctx, all[i].row.ref.Tenant, all[i].row.kind, all[i].v.Resource)
		list = append(list, stale{all[i].row, rows})
	}
	return list, last, looked, err
}

func (r *Records) reindexSome(ctx context.Context, lane store.Lane, list []stale, last int64, p *Progress) error {
	var wrote int64
	err := r.db.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		wrote = 0
		for i := range list {
			s := &list[i]
			n, err := tx.Exec(`UPDATE record_resource SET edition = ? WHERE lane = ? AND rid = ? AND seq = ?`,
				r.index.edition(s.row.ref.Type), lane, s.row.rid, s.row.seq)
			if err != nil {
				return err
			}
			if n == 0 {
				continue // written since, and so indexed
			}
			if err := addRows(tx, lane, s.row.rid, s.rows); err != nil {
				return err
			}
			wrote++
		}
		_, err := tx.Exec(`INSERT INTO record_job (lane, job, at_lane, at_rid, done, total, finished) VALUES (?, 'reindex', ?, ?, 0, 0, 0)
			ON CONFLICT (lane, job) DO UPDATE SET at_rid = excluded.at_rid`, lane, lane, last)
		return err
	})
	p.Wrote += wrote
	return err
}
