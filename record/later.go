package record

import (
	"context"
	"runtime"
	"slices"
	"strings"
	"sync"

	"golang.org/x/sync/errgroup"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// A load of very many writes what is found of each resource later, all at once:
//
//	Change.Later: versions and resources, nothing to find them by ──► FindLater: read again, sorted, written table by table ──► whole
//	                       └── cut off: nobody searches (see found) until FindLater has been run from its beginning
//
// An index row has no place near those of the resource's other rows: in a large record each touches a page of its own, which is read and
// written for it. Sorted, all rows of a page are written at once. FindLater writes only what is not there, so it may be run
// again, and it is whole in the same commit that forgets that it was due.

// laterJob is under what it is kept that the resources of lane 0 from at_rid on may have no index rows yet.
const laterJob = "later"

// Searching is what may be found later: rows of a keeper's tables, in the order of the tables' keys.
type Searching struct {
	// Inserts are the tables: "INSERT INTO t (lane, …) VALUES ", with the columns of the key first, in its order.
	Inserts []string
	// Rows hands over what one first version of a resource is found by: the number of the table among Inserts, and int64, float64, string
	// or (as the last column) []byte for each column. made is what Keeper.Ready made of the version.
	Rows func(v Version, made any, put func(table int, columns ...any) error) error
}

// noteLater puts down, with the first that is written without what it is found by, that something is due.
func (r *Records) noteLater(tx *store.Tx, drafts []*Draft, out []Outcome) error {
	for i, d := range drafts {
		if d.later {
			r.later.Store(true)
			return tx.Queue(`INSERT INTO record_job (lane, job, at_lane, at_rid, done, total, finished) VALUES (?, ?, 0, ?, 0, 0, 0) ON CONFLICT (lane, job) DO NOTHING`,
				int64(loadLane), laterJob, out[i].Version.rid)
		}
	}
	return nil
}

// dueFrom is the first resource that may have no index rows; 0 when all have.
func (r *Records) dueFrom(ctx context.Context) (from int64, err error) {
	err = r.db.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT coalesce(max(at_rid), 0) FROM record_job WHERE lane = ? AND job = ?`, int64(loadLane), laterJob).Scan(&from)
	})
	return from, err
}

// Due reports whether a load was cut off before what it wrote can be found: FindLater is due before anybody searches.
func (r *Records) Due() bool { return r.later.Load() }

// found refuses a search while some cannot be found: whoever is there would be missed.
func (r *Records) found() error {
	if !r.later.Load() {
		return nil
	}
	return fault.New(fault.Unavailable, "Many records are being loaded, and what was loaded cannot be searched yet. Nobody is looked for until all can be, so that nobody "+
		"who is there is missed. Reading by number works.")
}

// laterRun is one run of FindLater.
type laterRun struct {
	r        *Records
	from     int64
	inserts  []string // of each table: the index, then the keepers'
	widths   []int
	keepers  []*Keeper
	first    []byte // the first table of each of keepers
	sorters  []*sorter
	progress func(Progress)

	mu      sync.Mutex
	p       Progress
	changed []int64 // resources with more than one version: their keepers take them one by one
}

// FindLater writes what was put off by Change.Later, and then searches are answered again. It sorts in files in folder, which take about
// 700 bytes for each Patient, and some hundreds of megabytes of memory. Cut off, it begins anew. progress, if not nil, is called now and then with what was read
// of all, and then with the rows that were written.
func (r *Records) FindLater(ctx context.Context, folder string, progress func(Progress)) (err error) {
	from, err := r.dueFrom(ctx)
	if err != nil {
		return err
	}
	if from == 0 {
		r.later.Store(false)
		return nil
	}
	run := &laterRun{r: r, from: from, progress: progress}
	run.tables()
	for range runtime.GOMAXPROCS(0) {
		run.sorters = append(run.sorters, newSorter(folder))
	}
	defer func() {
		for _, s := range run.sorters {
			if cerr := s.close(); err == nil {
				err = cerr
			}
		}
	}()
	if err := run.read(ctx); err != nil {
		return err
	}
	if err := run.write(ctx); err != nil {
		return err
	}
	if err := run.keepChanged(ctx); err != nil {
		return err
	}
	err = r.db.Write(ctx, []store.Lane{loadLane}, func(tx *store.Tx) error { return forgetJobs(tx, loadLane, laterJob) })
	if err == nil {
		r.later.Store(false)
	}
	return err
}

// tables numbers the tables that are written.
func (l *laterRun) tables() {
	for t, head := range insertHead {
		l.inserts = append(l.inserts, head)
		l.widths = append(l.widths, sheafColumns[t].width)
	}
	for i := range l.r.keepers {
		k := &l.r.keepers[i]
		if k.Searching == nil {
			continue
		}
		l.keepers = append(l.keepers, k)
		l.first = append(l.first, byte(len(l.inserts)))
		for _, head := range k.Searching.Inserts {
			l.inserts = append(l.inserts, head)
			l.widths = append(l.widths, strings.Count(head, ",")+1)
		}
	}
}

// laterAtOnce is how many resources are read at once.
const laterAtOnce = 500

// unread is a resource as it is kept.
type unread struct {
	row row
	s   stored
}

// read goes through all resources that are due, and sorts what each is found by on every processor.
func (l *laterRun) read(ctx context.Context) error {
	if err := l.r.db.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM record_resource WHERE lane = 0 AND rid >= ?`, l.from).Scan(&l.p.Total)
	}); err != nil {
		return err
	}
	group, ctx := errgroup.WithContext(ctx)
	stretches := make(chan []unread, 2*len(l.sorters))
	group.Go(func() error {
		defer close(stretches)
		return l.stretches(ctx, func(some []unread) error {
			select {
			case stretches <- some:
				return nil
			case <-ctx.Done():
				return ctx.Err()
			}
		})
	})
	for _, s := range l.sorters {
		group.Go(func() error {
			var buffer []byte
			for some := range stretches {
				for i := range some {
					var err error
					if buffer, err = l.sort(ctx, s, &some[i], buffer); err != nil {
						return err
					}
				}
				l.told(Progress{Done: int64(len(some))})
			}
			return nil
		})
	}
	return group.Wait()
}

func (l *laterRun) told(more Progress) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.p.Done += more.Done
	l.p.Wrote += more.Wrote
	if l.progress != nil {
		l.progress(l.p)
	}
}

// stretches hands over what is due, in the order in which it was written.
func (l *laterRun) stretches(ctx context.Context, give func([]unread) error) error {
	for after := l.from - 1; ; {
		some := make([]unread, 0, laterAtOnce)
		err := l.r.db.Read(ctx, func(tx *store.Tx) error {
			some = some[:0]
			err := each(tx, `SELECT `+rowColumns+`, v.prev, v.actor, v.dict, v.body, v.reason FROM record_resource r JOIN record_version v ON v.lane = r.lane AND v.seq = r.seq
				WHERE r.lane = 0 AND r.rid > ? ORDER BY r.rid LIMIT ?`, []any{after, int64(laterAtOnce)}, func(rows *store.Rows) error {
				var u unread
				err := rows.Scan(append(u.row.fields(), &u.s.prev, &u.s.by, &u.s.dict, &u.s.body, &u.s.reason)...)
				some = append(some, u)
				return err
			})
			for i := range some {
				if err == nil {
					err = l.r.named(tx, &some[i].row)
				}
			}
			return err
		})
		if err != nil || len(some) == 0 {
			return err
		}
		after = some[len(some)-1].row.rid
		if err := give(some); err != nil {
			return err
		}
	}
}

// sort hands a sorter what one resource is found by.
func (l *laterRun) sort(ctx context.Context, s *sorter, u *unread, buffer []byte) ([]byte, error) {
	w := &u.row
	if w.op == Voided {
		return buffer, nil
	}
	u.s.lane, u.s.seq, u.s.rid, u.s.ver, u.s.kind, u.s.at, u.s.op = w.lane, w.seq, w.rid, w.ver, w.kind, w.at, w.op
	v, err := l.r.inflated(&u.s)
	if err != nil {
		return buffer, err
	}
	v.Ref, v.Chart, v.Lane, v.label, v.author = w.ref, w.chart, w.lane, int64(w.label), w.author
	rows, err := l.r.index.rows(ctx, w.ref.Tenant, w.kind, v.Resource)
	if err != nil {
		return buffer, err
	}
	var columns [8]any
	for i := range rows {
		buffer = appendRow(buffer[:0], byte(rows[i].table), rows[i].appendArgs(columns[:0], int64(w.lane), w.rid)...)
		if err := s.add(buffer); err != nil {
			return buffer, err
		}
	}
	if w.ver > 1 {
		l.mu.Lock()
		l.changed = append(l.changed, w.rid)
		l.mu.Unlock()
		return buffer, nil
	}
	for i, k := range l.keepers {
		if !k.keeps(w.ref) {
			continue
		}
		var made any
		if k.Ready != nil {
			if made, err = k.Ready(w.ref, v.Resource); err != nil {
				return buffer, err
			}
		}
		if err := k.Searching.Rows(v, made, func(table int, columns ...any) error {
			buffer = appendRow(buffer[:0], l.first[i]+byte(table), columns...)
			return s.add(buffer)
		}); err != nil {
			return buffer, err
		}
	}
	return buffer, nil
}

// writtenLater is how many rows share one commit: some thousand pages, each written once.
const writtenLater = 100_000

// bundle is rows of one commit, already made into statements.
type bundle struct {
	statements []string
	args       [][]any
	rows       int
}

// bundler makes sorted rows into bundles.
type bundler struct {
	l     *laterRun
	give  func(*bundle) error
	now   *bundle
	table int // of args
	args  []any
	texts map[int]string
}

// take takes the next row, in order.
func (b *bundler) take(row []byte) (err error) {
	if int(row[0]) != b.table {
		b.end()
		b.table = int(row[0])
	}
	if _, b.args, err = readRow(row, b.args); err != nil || len(b.args) < manyAtOnce*b.l.widths[b.table] {
		return err
	}
	if b.end(); b.now.rows < writtenLater {
		return nil
	}
	return b.hand()
}

// end ends a statement.
func (b *bundler) end() {
	n := len(b.args) / b.l.widths[b.table]
	if n == 0 {
		return
	}
	key := b.table<<8 | n
	if b.texts[key] == "" {
		b.texts[key] = b.l.inserts[b.table] + tuples(n, b.l.widths[b.table]) + ` ON CONFLICT DO NOTHING`
	}
	b.now.statements, b.now.args = append(b.now.statements, b.texts[key]), append(b.now.args, b.args)
	b.now.rows += n
	b.args = make([]any, 0, len(b.args))
}

// hand gives what there is.
func (b *bundler) hand() error {
	b.end()
	full := b.now
	b.now = &bundle{}
	return b.give(full)
}

// write merges what was sorted and writes it, preparing one commit while the one before it is written.
func (l *laterRun) write(ctx context.Context) error {
	group, ctx := errgroup.WithContext(ctx)
	bundles := make(chan *bundle, 1)
	b := &bundler{l: l, now: &bundle{}, texts: map[int]string{}, give: func(full *bundle) error {
		select {
		case bundles <- full:
			return nil
		case <-ctx.Done():
			return ctx.Err()
		}
	}}
	group.Go(func() error {
		defer close(bundles)
		if err := merged(l.sorters, b.take); err != nil {
			return err
		}
		return b.hand()
	})
	group.Go(func() error {
		for full := range bundles {
			if err := l.commit(ctx, full); err != nil {
				return err
			}
			l.told(Progress{Wrote: int64(full.rows)})
		}
		return nil
	})
	return group.Wait()
}

func (l *laterRun) commit(ctx context.Context, full *bundle) error {
	return l.r.db.Write(ctx, []store.Lane{0}, func(tx *store.Tx) error {
		for i, statement := range full.statements {
			if err := tx.Queue(statement, full.args[i]...); err != nil {
				return err
			}
		}
		return nil
	})
}

// keepChanged hands what has several versions already to its keepers as Rekeep does: they remember what was so once.
func (l *laterRun) keepChanged(ctx context.Context) error {
	slices.Sort(l.changed)
	for some := range slices.Chunk(l.changed, rekeepBatch) {
		after, last := some[0]-1, some[len(some)-1]
		a := &again{last: last, looked: len(some), kept: map[*Keeper][]handed{}}
		err := l.r.db.Read(ctx, func(tx *store.Tx) error {
			clear(a.kept)
			for _, rid := range some {
				var w row
				if err := tx.QueryRow(`SELECT `+rowColumns+` FROM record_resource r WHERE r.lane = 0 AND r.rid = ?`, rid).Scan(w.fields()...); err != nil {
					return err
				}
				if err := l.r.named(tx, &w); err != nil {
					return err
				}
				for _, k := range l.keepers {
					if !k.keeps(w.ref) {
						continue
					}
					h, err := l.r.hand(tx, &w, k)
					if err != nil {
						return err
					}
					a.kept[k] = append(a.kept[k], h)
				}
			}
			return nil
		})
		if err != nil {
			return err
		}
		if err := l.r.db.Write(ctx, []store.Lane{0}, func(tx *store.Tx) error { return l.r.keepAgain(tx, 0, after, a, l.keepers) }); err != nil {
			return err
		}
	}
	return nil
}
