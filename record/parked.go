package record

import (
	"context"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Parked is a change that a watch could not handle, or one that waits behind such a change.
type Parked struct {
	Lane   store.Lane
	Watch  string
	Chart  string // for what is in nobody's chart its type, a slash and its id
	Seq    int64
	Tries  int // 0 for one that waits behind another
	Due    time.Time
	Reason string

	At     time.Time // when the change was written
	Tenant ident.ODSCode
	Type   string
	Behind int // how many wait behind it
}

// Person reports whether the change is in somebody's chart.
func (p Parked) Person() bool { return !strings.Contains(p.Chart, "/") }

// Parked lists what waits for a retry or for a person, in the order of lanes and changes.
func (f *Feed) Parked(ctx context.Context) ([]Parked, error) { return f.r.Parked(ctx) }

// Parked lists what every watch left waiting, in the order of lanes and changes, 1,000 at most.
func (r *Records) Parked(ctx context.Context) ([]Parked, error) {
	var list []Parked
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT p.lane, p.watch, p.chart, p.seq, p.tries, p.due, p.reason, coalesce(v.at, 0), coalesce(w.word, ''),
			(SELECT count(*) FROM record_parked b WHERE b.lane = p.lane AND b.watch = p.watch AND b.chart = p.chart AND b.seq > p.seq)
			FROM record_parked p LEFT JOIN record_version v ON v.lane = p.lane AND v.seq = p.seq
			LEFT JOIN record_word w ON w.lane = ? AND w.space = ? AND w.num = v.kind
			ORDER BY p.lane, p.watch, p.chart, p.seq LIMIT 1000`, int64(r.words.lane), int64(spaceKind))
		if err != nil {
			return err
		}
		defer rows.Close()
		list = nil
		for rows.Next() {
			var p Parked
			var at int64
			var word string
			if err := rows.Scan(&p.Lane, &p.Watch, &p.Chart, &p.Seq, &p.Tries, &p.Due, &p.Reason, &at, &word, &p.Behind); err != nil {
				return err
			}
			p.At = time.UnixMicro(at).UTC()
			tenant, typ, _ := strings.Cut(word, "/")
			p.Type = typ
			if tenant != "" {
				if p.Tenant, err = ident.ParseODSCode(tenant); err != nil {
					return err
				}
			}
			list = append(list, p)
		}
		return rows.Err()
	})
	return list, err
}

// ParkedSum is how many changes wait and since when the oldest of them does; the zero time when none does.
type ParkedSum struct {
	Count  int64
	Oldest time.Time
}

// ParkedSum says how much waits, for whoever looks after the node.
func (r *Records) ParkedSum(ctx context.Context) (ParkedSum, error) {
	var sum ParkedSum
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		sum = ParkedSum{}
		var oldest int64
		err := tx.QueryRow(`SELECT count(*), coalesce(min(v.at), 0) FROM record_parked p JOIN record_version v ON v.lane = p.lane AND v.seq = p.seq`).Scan(&sum.Count, &oldest)
		if err == nil && oldest > 0 {
			sum.Oldest = time.UnixMicro(oldest).UTC()
		}
		return err
	})
	return sum, err
}

// Retry tries what a chart holds up at once. also, which may be nil, is done in the same commit and before, holding lanes as well: who asked for it.
func (f *Feed) Retry(ctx context.Context, p Parked, lanes []store.Lane, also func(tx *store.Tx) error) error {
	return f.decide(ctx, p, release{lanes: lanes, also: also})
}

// Skip gives the first change that a chart holds up for ever, and tries the rest. also, which may be nil, is done in the same commit and
// before, holding lanes as well: who decided it, and why. Errors: fault.Conflict when the change does not wait any more, or not as the first.
func (f *Feed) Skip(ctx context.Context, p Parked, lanes []store.Lane, also func(tx *store.Tx) error) error {
	return f.decide(ctx, p, release{skip: p.Seq, lanes: lanes, also: also})
}

func (f *Feed) decide(ctx context.Context, p Parked, how release) error {
	for i := range f.watches {
		if w := &f.watches[i]; w.Name == p.Watch {
			return f.replay(ctx, w, p.Lane, p.Chart, how)
		}
	}
	return fault.New(fault.NotFound, "There is no watch %q on this node.", p.Watch)
}
