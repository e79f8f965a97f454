package record

import (
	"context"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// What was written before a keeper kept, or kept in an older edition, is handed to it again:
//
//	Behind (at the start) ──► nothing to do: Whole
//	       │
//	       └─► Rekeep: lane by lane, some hundred resources to a Write, how far it came in the same commit ──► Whole
//
// Meanwhile Whole says so, and whoever finds people by the keeper's tables must ask it first: a search over half a table
// would find nobody and say nothing.

// rekeepBatch is how many resources one Write hands to keepers again.
const rekeepBatch = 300

// behind is what is known of the keepers whose tables are not whole.
type behind struct {
	keepers []*Keeper
	// done of total resources were handed to them, so far as they are of a keeper's type.
	done, total int64
}

// job is the name under which the keeper's progress in a lane is kept, and marker that under which it is noted as whole.
func (k *Keeper) job() string    { return "keep/" + k.marked() }
func (k *Keeper) marker() string { return "kept/" + k.marked() }
func (k *Keeper) marked() string { return k.Name + "/" + k.Type + "/" + strconv.Itoa(k.Edition) }

// keeps reports whether the keeper is for a reference.
func (k *Keeper) keeps(ref Ref) bool {
	return k.Type == ref.Type && (k.Tenant.IsZero() || k.Tenant == ref.Tenant)
}

// Behind finds which keepers have tables that do not hold what was written before. It is called once, after all keepers were named
// and their tables made. A keeper of whose resources there are none is whole.
func (r *Records) Behind(ctx context.Context) error {
	var late []*Keeper
	var whole []*Keeper
	var total int64
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		late, whole, total = nil, nil, 0
		marked := map[string]bool{}
		if err := scan(tx, func(scan func(...any) error) error {
			var job string
			err := scan(&job)
			marked[job] = true
			return err
		}, `SELECT job FROM record_job WHERE lane = ? AND finished = 1`, int64(loadLane)); err != nil {
			return err
		}
		written, err := r.liveKinds(tx)
		if err != nil {
			return err
		}
		for i := range r.keepers {
			k := &r.keepers[i]
			if k.Edition == 0 || marked[k.marker()] {
				continue
			}
			var live int64
			for ref, n := range written {
				if k.keeps(ref) {
					live += n
				}
			}
			if live == 0 {
				whole = append(whole, k)
				continue
			}
			late, total = append(late, k), total+live
		}
		return nil
	})
	if err != nil {
		return err
	}
	if len(late) > 0 {
		r.behind.Store(&behind{keepers: late, total: total})
	}
	return r.markWhole(ctx, whole)
}

// liveKinds is how many resources there are of each type in each tenant.
func (r *Records) liveKinds(tx *store.Tx) (map[Ref]int64, error) {
	counts := map[int64]int64{}
	err := scan(tx, func(scan func(...any) error) error {
		var kind, n int64
		err := scan(&kind, &n)
		counts[kind] = n
		return err
	}, `SELECT kind, sum(live) FROM record_count GROUP BY kind`)
	if err != nil {
		return nil, err
	}
	live := map[Ref]int64{}
	for kind, n := range counts {
		w := row{kind: kind}
		if err := r.named(tx, &w); err != nil {
			return nil, err
		}
		live[w.ref] += n
	}
	return live, nil
}

// scan hands each row of a query to visit.
func scan(tx *store.Tx, visit func(scan func(...any) error) error, query string, args ...any) error {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		if err := visit(rows.Scan); err != nil {
			return err
		}
	}
	return rows.Err()
}

// markWhole notes that the tables of keepers hold everything, in their edition.
func (r *Records) markWhole(ctx context.Context, keepers []*Keeper) error {
	if len(keepers) == 0 {
		return nil
	}
	return r.db.Write(ctx, []store.Lane{loadLane}, func(tx *store.Tx) error {
		for _, k := range keepers {
			if err := forgetJobs(tx, loadLane, "kept/"+k.Name+"/"+k.Type+"/"); err != nil {
				return err
			}
			if err := tx.Queue(`INSERT INTO record_job (lane, job, at_lane, at_rid, done, total, finished) VALUES (?, ?, 0, 0, 0, 0, 1)`,
				int64(loadLane), k.marker()); err != nil {
				return err
			}
		}
		return nil
	})
}

// forgetJobs takes away what is noted under names that begin so, of any edition.
func forgetJobs(tx *store.Tx, lane store.Lane, prefix string) error {
	return tx.Queue(`DELETE FROM record_job WHERE lane = ? AND substr(job, 1, ?) = ?`, int64(lane), int64(len(prefix)), prefix)
}

// Late is a keeper whose tables are not whole yet, and how far all of them have come.
type Late struct {
	Names       []string
	Done, Total int64
}

// Late says which keepers are behind; none, by far the most of the time.
func (r *Records) Late() (l Late) {
	if b := r.behind.Load(); b != nil {
		l.Done, l.Total = b.done, b.total
		for _, k := range b.keepers {
			l.Names = append(l.Names, k.Name)
		}
	}
	return l
}

// Whole is nil when the tables of a service's keepers (those whose name is the service's, or begins with it and a space) hold all that
// was written; else a fault.Unavailable that says how far they are. What searches those tables asks first.
func (r *Records) Whole(service string) error {
	if err := r.found(); err != nil {
		return err
	}
	b := r.behind.Load()
	if b == nil || !slices.ContainsFunc(b.keepers, func(k *Keeper) bool { return k.Name == service || strings.HasPrefix(k.Name, service+" ") }) {
		return nil
	}
	return fault.New(fault.Unavailable, "What can be searched is being written anew after a change of this system: %d of %d records are done. "+
		"Nobody is looked for until it is complete, so that nobody who is there is missed. Reading by number works. Try again in a few minutes.", b.done, b.total)
}

// Rekeep hands what was written before to the keepers that are behind, and goes on where it stopped. progress, if not nil, is
// called after each Write.
func (r *Records) Rekeep(ctx context.Context, progress func(Progress)) error {
	b := r.behind.Load()
	if b == nil {
		return nil
	}
	lanes, err := (&Feed{r: r}).lanes(ctx)
	if err != nil {
		return err
	}
	for _, lane := range lanes {
		if err := r.rekeepLane(ctx, lane, progress); err != nil || ctx.Err() != nil {
			return err
		}
	}
	for _, lane := range lanes {
		if err := r.db.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
			for _, k := range b.keepers {
				if err := forgetJobs(tx, lane, "keep/"+k.Name+"/"+k.Type+"/"); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			return err
		}
	}
	if err := r.markWhole(ctx, b.keepers); err != nil {
		return err
	}
	r.behind.Store(nil)
	return r.db.Analyze(ctx)
}

// cameTo is how far the keepers that are not done with a lane have come in it: the least of them.
func (r *Records) cameTo(ctx context.Context, lane store.Lane) (left []*Keeper, after int64, err error) {
	err = r.db.Read(ctx, func(tx *store.Tx) error {
		left, after = nil, -1
		var done int64
		for _, k := range r.behind.Load().keepers {
			var at, looked, finished int64
			err := tx.QueryRow(`SELECT at_rid, done, finished FROM record_job WHERE lane = ? AND job = ?`, int64(lane), k.job()).Scan(&at, &looked, &finished)
			if err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
			done += looked
			if finished == 1 {
				continue
			}
			left = append(left, k)
			if after < 0 || at < after {
				after = at
			}
		}
		r.tell(done)
		return nil
	})
	return left, after, err
}

// tell adds to how far the keepers have come.
func (r *Records) tell(more int64) Progress {
	b := *r.behind.Load()
	b.done = min(b.done+more, b.total)
	r.behind.Store(&b)
	return Progress{Done: b.done, Total: b.total, Wrote: more}
}

func (r *Records) rekeepLane(ctx context.Context, lane store.Lane, progress func(Progress)) error {
	left, after, err := r.cameTo(ctx, lane)
	for err == nil && ctx.Err() == nil && len(left) > 0 {
		var some *again
		if some, err = r.toKeep(ctx, lane, after, left); err != nil {
			break
		}
		if err = r.rekeepSome(ctx, lane, after, some, left); err != nil || some.looked == 0 {
			break
		}
		after = some.last
		if p := r.tell(some.count()); progress != nil {
			progress(p)
		}
	}
	return err
}

// again is a stretch of a lane, read and made ready for its keepers.
type again struct {
	last   int64 // rid of the last that was looked at
	looked int
	kept   map[*Keeper][]handed
}

// handed is what a keeper is handed of one resource: its current version, after those before it if the keeper wants them.
type handed struct {
	rid, seq int64
	versions []Kept
}

func (a *again) count() (n int64) {
	for _, list := range a.kept {
		n += int64(len(list))
	}
	return n
}

// toKeep reads the next resources of a lane and lets their keepers make them ready.
func (r *Records) toKeep(ctx context.Context, lane store.Lane, after int64, keepers []*Keeper) (*again, error) {
	var a *again
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		a = &again{last: after, kept: map[*Keeper][]handed{}}
		var rows []row
		err := scan(tx, func(scan func(...any) error) error {
			var w row
			err := scan(w.fields()...)
			rows = append(rows, w)
			return err
		}, `SELECT `+rowColumns+` FROM record_resource r WHERE r.lane = ? AND r.rid > ? ORDER BY r.rid LIMIT ?`, int64(lane), after, rekeepBatch)
		if err != nil {
			return err
		}
		a.looked = len(rows)
		for i := range rows {
			w := &rows[i]
			a.last = w.rid
			if err := r.named(tx, w); err != nil {
				return err
			}
			for _, k := range keepers {
				if w.op == Voided || !k.keeps(w.ref) {
					continue
				}
				h, err := r.hand(tx, w, k)
				if err != nil {
					return err
				}
				a.kept[k] = append(a.kept[k], h)
			}
		}
		return nil
	})
	return a, err
}

// hand reads what a keeper is handed of a resource.
func (r *Records) hand(tx *store.Tx, w *row, k *Keeper) (handed, error) {
	h := handed{rid: w.rid, seq: w.seq}
	places := []Version{{Lane: w.lane, Seq: w.seq}}
	if k.Past && w.ver > 1 {
		places = nil
		if err := r.walk(tx, w.ref, func(v Version) (bool, error) {
			places = append(places, v)
			return true, nil
		}); err != nil {
			return h, err
		}
		slices.Reverse(places)
	}
	one := Kept{Again: true}
	for _, at := range places {
		v, err := r.version(tx, at.Lane, at.Seq)
		if err != nil {
			return h, err
		}
		one.Before = one.Version.Resource
		v.Ref, v.Chart, v.Lane, v.label, v.author = w.ref, w.chart, w.lane, int64(w.label), w.author
		one.Version, one.Made = v, nil
		if v.Resource != nil && k.Ready != nil {
			if one.Made, err = k.Ready(w.ref, v.Resource); err != nil {
				return h, err
			}
		}
		h.versions = append(h.versions, one)
	}
	return h, nil
}

// rekeepSome hands a stretch to its keepers and notes how far they came, in one Write. What was written since it was read has been
// kept by that write.
func (r *Records) rekeepSome(ctx context.Context, lane store.Lane, after int64, some *again, left []*Keeper) error {
	return r.db.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		if err := r.keepAgain(tx, lane, after, some, left); err != nil {
			return err
		}
		for _, k := range left {
			finished := int64(0)
			if some.looked == 0 {
				finished = 1
			}
			if err := tx.Queue(`INSERT INTO record_job (lane, job, at_lane, at_rid, done, total, finished) VALUES (?, ?, ?, ?, ?, 0, ?)
				ON CONFLICT (lane, job) DO UPDATE SET at_rid = excluded.at_rid, done = record_job.done + excluded.done, finished = excluded.finished`,
				int64(lane), k.job(), int64(lane), some.last, int64(len(some.kept[k])), finished); err != nil {
				return err
			}
		}
		return nil
	})
}

// keepAgain hands a stretch to its keepers, but for what was written since it was read.
func (r *Records) keepAgain(tx *store.Tx, lane store.Lane, after int64, some *again, keepers []*Keeper) error {
	now := map[int64]int64{}
	if err := scan(tx, func(scan func(...any) error) error {
		var rid, seq int64
		err := scan(&rid, &seq)
		now[rid] = seq
		return err
	}, `SELECT rid, seq FROM record_resource WHERE lane = ? AND rid > ? AND rid <= ?`, int64(lane), after, some.last); err != nil {
		return err
	}
	for _, k := range keepers {
		var at []Kept
		for _, h := range some.kept[k] {
			switch {
			case now[h.rid] != h.seq:
			case len(h.versions) == 1:
				at = append(at, h.versions[0])
			default:
				for i := range h.versions {
					if err := k.Keep(tx, h.versions[i:i+1]); err != nil {
						return err
					}
				}
			}
		}
		if len(at) > 0 {
			if err := k.Keep(tx, at); err != nil {
				return err
			}
		}
	}
	return nil
}
