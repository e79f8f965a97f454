package audit

import (
	"context"
	"errors"
	"io"
	"slices"
	"time"

	"github.com/transparency-dev/tessera"
	"github.com/transparency-dev/tessera/client"
	"github.com/transparency-dev/tessera/storage/posix"
	"k8s.io/klog/v2"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// sealsPerWrite bounds how many lanes a commit of seals holds at once.
const sealsPerWrite = 32

// Run seals what is written, within a second, until ctx ends; then it seals the rest and closes the log.
func (l *Log) Run(ctx context.Context) error {
	for {
		select {
		case <-ctx.Done():
			last, cancel := context.WithTimeout(context.WithoutCancel(ctx), 8*time.Second)
			defer cancel()
			return errors.Join(l.Seal(last), l.Close())
		case <-l.opt.Clock.After(l.opt.Every):
		}
		if err := l.Seal(ctx); err != nil && ctx.Err() == nil {
			l.opt.Logger.Error("audit: sealing failed and will be tried again", "error", err)
		}
	}
}

// Seal seals every entry committed before the call and returns when a signed checkpoint covers them.
// A batch is added to the log once: what a crash left in the log without a seal row is found there and adopted.
func (l *Log) Seal(ctx context.Context) error {
	l.seal.Lock()
	defer l.seal.Unlock()
	lanes := l.takeDirty()
	if len(lanes) == 0 {
		return nil
	}
	err := l.sealLanes(ctx, lanes)
	if err != nil {
		for _, lane := range lanes {
			l.touch(lane)
		}
	}
	return err
}

func (l *Log) takeDirty() []store.Lane {
	l.mu.Lock()
	defer l.mu.Unlock()
	lanes := make([]store.Lane, 0, len(l.dirty))
	for lane := range l.dirty {
		lanes = append(lanes, lane)
	}
	clear(l.dirty)
	slices.Sort(lanes)
	return lanes
}

func (l *Log) sealLanes(ctx context.Context, lanes []store.Lane) error {
	if err := l.db.ReadNow(ctx, l.names.learn); err != nil {
		return err
	}
	if l.open == nil {
		if err := l.start(ctx); err != nil {
			return err
		}
	}
	for chunk := range slices.Chunk(lanes, sealsPerWrite) {
		for more := true; more; {
			var batches []leaf
			var err error
			if batches, more, err = l.collect(ctx, chunk); err != nil {
				return err
			}
			if err := l.add(ctx, batches); err != nil {
				return err
			}
		}
	}
	return nil
}

// collect reads the next batch of each lane. more says that a lane has a further one.
func (l *Log) collect(ctx context.Context, lanes []store.Lane) (batches []leaf, more bool, err error) {
	err = l.db.ReadNow(ctx, func(tx *store.Tx) error {
		batches, more = nil, false
		for _, lane := range lanes {
			t := l.tailOf(lane)
			rows, err := l.sealedRows(tx, lane, t.last+1, t.last+maxBatch)
			if err != nil {
				return err
			}
			if len(rows) == 0 {
				continue
			}
			for i, e := range rows {
				if e.Seq != rows[0].Seq+int64(i) {
					rows, more = rows[:i], true // somebody removed a row before it was sealed; Verify names it
					break
				}
			}
			more = more || len(rows) == maxBatch
			batches = append(batches, l.keys.sealer(lane).build(l.db.Incarnation(), t.batch+1, rows))
		}
		return nil
	})
	return batches, more, err
}

func (l *Log) tailOf(lane store.Lane) tail {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.tails[lane]
}

// add puts batches into the log, waits until a checkpoint covers them, and writes their seal rows.
func (l *Log) add(ctx context.Context, batches []leaf) error {
	if len(batches) == 0 {
		return nil
	}
	futures := make([]tessera.IndexFuture, len(batches))
	for i, b := range batches {
		futures[i] = l.open.appender.Add(ctx, tessera.NewEntry(b.marshal()))
	}
	at := make([]int64, len(batches))
	var checkpoint []byte
	for i, future := range futures {
		index, cp, err := l.open.awaiter.Await(ctx, future)
		if err != nil {
			// What is in the log by now is adopted when the log is next started.
			return errors.Join(fault.Wrap(err, fault.Unavailable, "the audit log took no more entries"), l.stop())
		}
		at[i], checkpoint = int64(index.Index), cp
	}
	return l.record(ctx, batches, at, checkpoint)
}

// record writes the seal rows of batches that are in the log at the given places.
func (l *Log) record(ctx context.Context, batches []leaf, at []int64, checkpoint []byte) error {
	lanes := []store.Lane{0}
	for _, b := range batches {
		lanes = append(lanes, b.lane)
	}
	err := l.db.Write(ctx, lanes, func(tx *store.Tx) error {
		for i, b := range batches {
			if _, err := tx.Exec(`INSERT INTO audit_seal (lane, batch, first_seq, last_seq, root, leaf) VALUES (?, ?, ?, ?, ?, ?)`,
				int64(b.lane), b.batch, b.first, b.last, b.root, at[i]); err != nil {
				return err
			}
		}
		if checkpoint == nil {
			return nil
		}
		size, err := checkpointSize(checkpoint)
		if err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO audit_checkpoint (lane, day, size, note) VALUES (0, ?, ?, ?)
			ON CONFLICT (lane, day) DO UPDATE SET size = excluded.size, note = excluded.note`,
			tx.At().Unix()/86400, size, string(checkpoint))
		return err
	})
	if err != nil {
		return errors.Join(err, l.stop()) // the log is ahead of the rows; starting again adopts
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	for _, b := range batches {
		l.tails[b.lane] = tail{b.batch, b.last}
	}
	return nil
}

// start opens the log for adding, and adopts what it holds beyond the seal rows.
func (l *Log) start(ctx context.Context) error {
	// Tessera tells klog, which only it uses here, of each file it makes; failures come back as errors.
	klog.LogToStderr(false)
	klog.SetOutput(io.Discard)
	life, cancel := context.WithCancel(context.WithoutCancel(ctx))
	driver, err := posix.New(life, posix.Config{Path: l.logDir()})
	if err != nil {
		cancel()
		return fault.Wrap(err, fault.Unavailable, "the audit log cannot be opened")
	}
	appender, shutdown, reader, err := tessera.NewAppender(life, driver, tessera.NewAppendOptions().
		WithCheckpointSigner(l.keys.signer).
		WithBatching(256, 2*time.Millisecond).
		WithCheckpointInterval(100*time.Millisecond).
		WithCheckpointRepublishInterval(0))
	if err != nil {
		cancel()
		return fault.Wrap(err, fault.Unavailable, "the audit log cannot be opened")
	}
	l.open = &opened{appender: appender, reader: reader,
		awaiter: tessera.NewPublicationAwaiter(life, reader.ReadCheckpoint, 10*time.Millisecond),
		stop: func() error {
			end, done := context.WithTimeout(context.Background(), 5*time.Second)
			defer done()
			defer cancel()
			return shutdown(end)
		}}
	if err := l.adopt(ctx, reader); err != nil {
		return errors.Join(err, l.stop())
	}
	return nil
}

func (l *Log) stop() error {
	if l.open == nil {
		return nil
	}
	stop := l.open.stop
	l.open = nil
	return stop()
}

// Close closes the log; entries that are not sealed yet are sealed by whoever opens it next.
func (l *Log) Close() error {
	l.seal.Lock()
	defer l.seal.Unlock()
	return l.stop()
}

// adopt reads the log's tail: batches of this incarnation that were added when a crash came before their seal row.
func (l *Log) adopt(ctx context.Context, reader tessera.LogReader) error {
	size, err := reader.IntegratedSize(ctx)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the audit log's size cannot be read")
	}
	from, err := l.firstUnrecorded(ctx)
	if err != nil {
		return err
	}
	return eachLeaf(ctx, reader.ReadEntryBundle, from, size, func(index uint64, raw []byte) error {
		f, err := parseLeaf(raw)
		if err != nil {
			return err
		}
		if t := l.tailOf(f.lane); f.incarnation != l.db.Incarnation() || f.batch != t.batch+1 {
			return nil // of a life of the database that a restore ended
		}
		return l.record(ctx, []leaf{f}, []int64{int64(index)}, nil)
	})
}

// firstUnrecorded is the index after the highest that any seal row names.
func (l *Log) firstUnrecorded(ctx context.Context) (uint64, error) {
	next := int64(0)
	err := l.db.ReadNow(ctx, func(tx *store.Tx) error {
		lanes, err := lanesOf(tx, "audit_seal")
		if err != nil {
			return err
		}
		for _, lane := range lanes {
			var index int64
			if err := tx.QueryRow(`SELECT leaf FROM audit_seal WHERE lane = ? ORDER BY batch DESC LIMIT 1`, int64(lane)).Scan(&index); err != nil {
				return err
			}
			next = max(next, index+1)
		}
		return nil
	})
	return uint64(max(next, 0)), err
}

// eachLeaf calls fn with the leaves from..size-1 of the log.
func eachLeaf(ctx context.Context, fetch client.EntryBundleFetcherFunc, from, size uint64, fn func(index uint64, raw []byte) error) error {
	for index := from; index < size; {
		bundle, err := client.GetEntryBundle(ctx, fetch, index/256, size)
		if err != nil {
			return fault.Wrap(err, fault.Unavailable, "the audit log's leaves from %d cannot be read", index)
		}
		begin := index
		for i := index % 256; i < uint64(len(bundle.Entries)) && index < size; i++ {
			if err := fn(index, bundle.Entries[i]); err != nil {
				return err
			}
			index++
		}
		if index == begin || index < size && index%256 != 0 {
			return fault.New(fault.Unavailable, "the audit log's leaf %d is missing", index)
		}
	}
	return nil
}
