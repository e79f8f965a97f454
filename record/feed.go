package record

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Watch is somebody's interest in what is written. Handle gets each change of the types it names (all, if none), in the order of
// the change's lane, at least once, in the Write that also moves the watch on: what it does through tx is done exactly once.
//
// A change that Handle fails is parked with its reason, and so is everything after it in the same chart, until a retry
// succeeds or a person skips it; the rest of the lane goes on.
type Watch struct {
	Name   string   // unique on the node, and kept for ever: the cursor goes by it
	Types  []string // resource types; none means all
	Later  bool     // only what changes a resource that stood before: version 2 and after
	Lanes  func(c Version) []store.Lane
	Handle func(ctx context.Context, tx *store.Tx, c Version) error
	// Wants, if set, says in place of Types which types are wanted, as the snapshot has it from which the next changes are read; none means nothing.
	Wants func(tx *store.Tx) ([]string, error)
	// FromNow begins with what is written after the watch first runs; otherwise it begins with the first change ever.
	FromNow bool
}

// FeedOptions say how the feed is run.
type FeedOptions struct {
	Logger *slog.Logger
	// Poll is how often lanes are looked at that another process may have written; 2 seconds by default.
	Poll time.Duration
	// Batch is how many changes one Write may handle; 64 by default.
	Batch int
	// Lease is how long a process that stopped may hold a lane back; 30 seconds by default.
	Lease time.Duration
}

// Feed hands what is written to watches.
type Feed struct {
	r       *Records
	o       FeedOptions
	watches []Watch
	holder  string
	ring    chan struct{}
	mu      sync.Mutex
	rung    map[store.Lane]bool
	begun   map[string]bool // watches from now on that have begun
}

// Feed prepares to run watches. Their names must differ.
func (r *Records) Feed(o FeedOptions, watches ...Watch) (*Feed, error) {
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Poll <= 0 {
		o.Poll = 2 * time.Second
	}
	if o.Batch <= 0 {
		o.Batch = 64
	}
	if o.Lease <= 0 {
		o.Lease = 30 * time.Second
	}
	seen := map[string]bool{}
	for _, w := range watches {
		if w.Name == "" || w.Handle == nil || seen[w.Name] {
			return nil, fault.New(fault.Internal, "a watch needs a name of its own and something to do: %q", w.Name)
		}
		seen[w.Name] = true
	}
	holder, err := r.NewID()
	if err != nil {
		return nil, err
	}
	f := &Feed{r: r, o: o, watches: watches, holder: holder, ring: make(chan struct{}, 1), rung: map[store.Lane]bool{}, begun: map[string]bool{}}
	r.wakers.add(f.wake)
	return f, nil
}

// wake is told of a lane that is being written.
func (f *Feed) wake(lane store.Lane) {
	f.mu.Lock()
	f.rung[lane] = true
	f.mu.Unlock()
	select {
	case f.ring <- struct{}{}:
	default:
	}
}

// Run hands changes on until ctx ends; it returns nil then. Several processes may run the same watches: each lane of a watch is
// worked on by one at a time.
func (f *Feed) Run(ctx context.Context) error {
	for {
		lanes, err := f.lanes(ctx)
		if err == nil {
			err = f.Drain(ctx, lanes...)
		}
		if ctx.Err() != nil {
			return nil //nolint:nilerr // asked to stop: what Drain was doing when it was told so is no failure
		}
		if err != nil {
			f.o.Logger.Error("record: the feed failed and goes on", "error", err)
		}
		if !f.wait(ctx) {
			return nil
		}
	}
}

// wait until something was written here, or it is time to look at what others wrote.
func (f *Feed) wait(ctx context.Context) bool {
	select {
	case <-ctx.Done():
		return false
	case <-f.ring:
	case <-f.r.clock.After(f.o.Poll):
		return true
	}
	for {
		lanes := f.takeRung()
		if len(lanes) == 0 {
			return true
		}
		if err := f.settled(ctx, lanes); err != nil && ctx.Err() == nil {
			f.o.Logger.Error("record: the feed failed and goes on", "error", err)
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-f.ring:
		case <-f.r.clock.After(f.o.Poll):
			return true
		}
	}
}

// settled waits until the writes that rang have ended, by one of its own behind them, and hands on what they left.
func (f *Feed) settled(ctx context.Context, lanes []store.Lane) error {
	if err := f.r.db.Write(ctx, lanes, func(*store.Tx) error { return nil }); err != nil {
		return err
	}
	return f.Drain(ctx, lanes...)
}

func (f *Feed) takeRung() []store.Lane {
	f.mu.Lock()
	defer f.mu.Unlock()
	lanes := make([]store.Lane, 0, len(f.rung))
	for lane := range f.rung {
		lanes = append(lanes, lane)
	}
	clear(f.rung)
	return lanes
}

// lanes are those that hold anything.
func (f *Feed) lanes(ctx context.Context) ([]store.Lane, error) {
	if f.r.db.Lanes() == 1 {
		return []store.Lane{0}, nil
	}
	var lanes []store.Lane
	err := f.r.db.Read(ctx, func(tx *store.Tx) error {
		lanes = nil
		rows, err := tx.Query(`SELECT DISTINCT lane FROM record_count ORDER BY lane`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var lane store.Lane
			if err := rows.Scan(&lane); err != nil {
				return err
			}
			lanes = append(lanes, lane)
		}
		return rows.Err()
	})
	return lanes, err
}

// Drain hands on everything that the lanes hold for every watch (without lanes: that all lanes hold), and retries what
// is parked and due. It returns when there is nothing left.
func (f *Feed) Drain(ctx context.Context, lanes ...store.Lane) error {
	if len(lanes) == 0 {
		var err error
		if lanes, err = f.lanes(ctx); err != nil {
			return err
		}
	}
	for i := range f.watches {
		if err := f.begin(ctx, &f.watches[i]); err != nil {
			return err
		}
		for _, lane := range lanes {
			if err := f.drainLane(ctx, &f.watches[i], lane); err != nil {
				return err
			}
		}
	}
	return nil
}

// begin lets a watch that wants what comes from now on begin, once, in all lanes at one moment: a lane that holds nothing then is read from its first change.
func (f *Feed) begin(ctx context.Context, w *Watch) error {
	f.mu.Lock()
	begun := f.begun[w.Name] || !w.FromNow
	f.mu.Unlock()
	if begun {
		return nil
	}
	lanes, err := f.lanes(ctx)
	if err != nil {
		return err
	}
	err = f.r.db.Write(ctx, append(lanes, 0), func(tx *store.Tx) error {
		var n int64
		if err := tx.QueryRow(`SELECT count(*) FROM record_watch WHERE watch = ?`, w.Name).Scan(&n); err != nil || n > 0 {
			return err
		}
		_, err := tx.Exec(`INSERT INTO record_watch (lane, watch, seq, lease, holder) SELECT lane, CAST(? AS TEXT), max(seq), 0, '' FROM record_version GROUP BY lane`, w.Name)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO record_watch (lane, watch, seq, lease, holder) VALUES (0, ?, 0, 0, '') ON CONFLICT (lane, watch) DO NOTHING`, w.Name) // it has begun, though there may be nothing
		return err
	})
	if err != nil {
		return err
	}
	f.mu.Lock()
	f.begun[w.Name] = true
	f.mu.Unlock()
	return nil
}

func (f *Feed) drainLane(ctx context.Context, w *Watch, lane store.Lane) error {
	for ctx.Err() == nil {
		s, err := f.ahead(ctx, w, lane)
		if err != nil {
			return err
		}
		if s.last == 0 {
			break
		}
		if err := f.hand(ctx, w, lane, s); err != nil {
			return err
		}
	}
	return f.retryDue(ctx, w, lane)
}

// cursorOf is how far a watch has come in a lane, -1 when it never ran there.
func cursorOf(tx *store.Tx, w *Watch, lane store.Lane) (seq int64, holder string, lease int64, err error) {
	err = tx.QueryRow(`SELECT seq, holder, lease FROM record_watch WHERE lane = ? AND watch = ?`, lane, w.Name).Scan(&seq, &holder, &lease)
	if fault.Is(err, fault.NotFound) {
		return -1, "", 0, nil
	}
	return seq, holder, lease, err
}

// stretch is a piece of a lane's feed: what a watch wants of it, and its last change, wanted or not. A last of 0 is no piece.
type stretch struct {
	wanted []Version
	last   int64
}

// stride is how many changes that a watch does not want it moves past at once.
const stride = 2048

// ahead reads the next piece of a lane that a watch has not had. Reading happens outside the Write that hands it on.
func (f *Feed) ahead(ctx context.Context, w *Watch, lane store.Lane) (s stretch, err error) {
	err = f.r.db.Read(ctx, func(tx *store.Tx) error {
		s = stretch{}
		from, _, _, err := cursorOf(tx, w, lane)
		if err != nil {
			return err
		}
		typed := *w
		if w.Wants != nil {
			if typed.Types, err = w.Wants(tx); err != nil {
				return err
			}
			if len(typed.Types) == 0 {
				typed.Types = []string{""} // no type is called so
			}
		}
		seqs, last, err := f.wanted(tx, &typed, lane, max(from, 0))
		if err != nil {
			return err
		}
		s.last = last
		for _, seq := range seqs {
			c, err := f.r.changeAt(tx, lane, seq)
			if err != nil {
				return err
			}
			s.wanted = append(s.wanted, c)
		}
		return nil
	})
	return s, err
}

// wanted are the places of the next changes that a watch wants, and how far was looked: bodies are opened for these only.
func (f *Feed) wanted(tx *store.Tx, w *Watch, lane store.Lane, from int64) (seqs []int64, last int64, err error) {
	rows, err := tx.Query(`SELECT seq, kind, ver FROM record_version WHERE lane = ? AND seq > ? ORDER BY seq LIMIT ?`, lane, from, stride)
	if err != nil {
		return nil, 0, err
	}
	type place struct{ seq, kind, ver int64 }
	var all []place
	for rows.Next() {
		var p place
		if err := rows.Scan(&p.seq, &p.kind, &p.ver); err != nil {
			return nil, 0, err
		}
		all = append(all, p)
	}
	if err := rows.Err(); err != nil {
		return nil, 0, err
	}
	types := map[int64]string{}
	for _, p := range all {
		if len(seqs) == f.o.Batch {
			break
		}
		last = p.seq
		if w.Later && p.ver < 2 {
			continue
		}
		typ, ok := types[p.kind]
		if !ok {
			kind := row{kind: p.kind}
			if err := f.r.named(tx, &kind); err != nil {
				return nil, 0, err
			}
			typ = kind.ref.Type
			types[p.kind] = typ
		}
		if len(w.Types) == 0 || slices.Contains(w.Types, typ) {
			seqs = append(seqs, p.seq)
		}
	}
	return seqs, last, nil
}

// changeAt is the version at a place of a lane's feed, with its reference and chart.
func (r *Records) changeAt(tx *store.Tx, lane store.Lane, seq int64) (Version, error) {
	var s stored
	if err := tx.QueryRow(`SELECT `+versionColumns+` FROM record_version v WHERE v.lane = ? AND v.seq = ?`, lane, seq).Scan(s.fields()...); err != nil {
		return Version{}, err
	}
	return r.change(tx, &s)
}

// change is a stored version as the feed hands it on. A resource that has left the lane is found by what its last version there says.
func (r *Records) change(tx *store.Tx, s *stored) (Version, error) {
	v, err := r.opened(tx, s)
	if err != nil {
		return v, err
	}
	w := row{kind: s.kind}
	if err := r.named(tx, &w); err != nil {
		return v, err
	}
	v.Ref = w.ref
	err = tx.QueryRow(`SELECT id, chart, label FROM record_resource WHERE lane = ? AND rid = ?`, s.lane, s.rid).Scan(&v.ID, &v.Chart, &v.label)
	if fault.Is(err, fault.NotFound) {
		err = tx.QueryRow(`SELECT id, chart FROM record_left WHERE lane = ? AND rid = ?`, s.lane, s.rid).Scan(&v.ID, &v.Chart)
	}
	if err != nil {
		return v, fault.Wrap(err, fault.Internal, "a version belongs to no resource")
	}
	past, err := moves(tx, s.lane, s.rid)
	v.Chart = chartAt(past, v.Ver, v.Chart)
	return v, err
}
