package record

import (
	"context"
	"hash/fnv"
	"io"
	"maps"
	"slices"
	"strconv"

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
	if err := r.markIndexed(ctx); err != nil {
		return err
	}
	return r.db.Analyze(ctx)
}

// indexedJob is under what it is noted that every index row is of one edition, and of no other.
const indexedJob = "indexed/"

// reindexing is under what it is kept how far a lane has come, and reindexJob that on the way to the present editions: what another
// program had begun on the way to its own is begun anew.
const reindexing = "reindex"

func (r *Records) reindexJob() string { return reindexing + "/" + r.editions() }

func (r *Records) indexMark() string { return indexedJob + r.editions() }

// editions names the editions of all types together.
func (r *Records) editions() string {
	h := fnv.New64a()
	for _, typ := range r.index.types() {
		_, _ = io.WriteString(h, typ+strconv.FormatInt(r.index.edition(typ), 36)) // a hash never fails
		for _, code := range slices.Sorted(maps.Keys(r.index.same(typ))) {
			_, _ = io.WriteString(h, "/"+code)
		}
	}
	return strconv.FormatUint(h.Sum64(), 36)
}

// Indexed reports whether every resource is known to be indexed in the present edition; if not, Reindex is due. Where nothing was ever
// written, it is noted as known.
func (r *Records) Indexed(ctx context.Context) (bool, error) {
	var marked, kinds int64
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT (SELECT count(*) FROM record_job WHERE lane = ? AND job = ?), (SELECT count(*) FROM record_count)`, int64(loadLane), r.indexMark()).Scan(&marked, &kinds)
	})
	if err != nil || marked > 0 || kinds > 0 {
		return marked > 0, err
	}
	return true, r.markIndexed(ctx)
}

func (r *Records) markIndexed(ctx context.Context) error {
	return r.db.Write(ctx, []store.Lane{loadLane}, func(tx *store.Tx) error {
		if err := forgetJobs(tx, loadLane, indexedJob); err != nil {
			return err
		}
		return tx.Queue(`INSERT INTO record_job (lane, job, at_lane, at_rid, done, total, finished) VALUES (?, ?, 0, 0, 0, 0, 1)`, int64(loadLane), r.indexMark())
	})
}

// stale is a resource whose index rows are of another edition, with those that it should have.
type stale struct {
	row  row
	rows []idxRow
}

func (r *Records) reindexLane(ctx context.Context, lane store.Lane, p *Progress, progress func(Progress)) error {
	var after int64
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT coalesce(max(at_rid), 0) FROM record_job WHERE lane = ? AND job = ?`, int64(lane), r.reindexJob()).Scan(&after)
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
		return forgetJobs(tx, lane, reindexing)
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
		_, err := tx.Exec(`INSERT INTO record_job (lane, job, at_lane, at_rid, done, total, finished) VALUES (?, ?, ?, ?, 0, 0, 0)
			ON CONFLICT (lane, job) DO UPDATE SET at_rid = excluded.at_rid`, int64(lane), r.reindexJob(), int64(lane), last)
		return err
	})
	p.Wrote += wrote
	return err
}
