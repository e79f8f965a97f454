// Package store keeps what the node must not lose: it opens a database, brings its schema up to date, and runs
// functions in transactions. It knows no service's tables. SQLite (one file) and PostgreSQL keep the same promises,
// and one conformance suite holds both to them.
//
// The promises:
//
//   - Write returns nil only when the change is durable. A Write that returned an error changed nothing.
//   - A lane is a partition of the data (a hash of tenant and chart). A Write takes its lanes first and in order, so a
//     lane has one writer at a time, and the numbers from Tx.Seq run without gaps in the order of commits.
//   - Tx.At is the one instant of a transaction: whole microseconds, strictly increasing in each lane, over restarts
//     and over clocks that jump back.
//   - Read is a snapshot of all that was written before. It never waits for a writer and is limited in time. What was written aside
//     (WriteAside) it may see a moment later; ReadNow sees that as well.
//   - A function may be run more than once before its transaction commits, so it must have no effect but through its
//     Tx, and must set (not add to) what it hands out.
//   - After a failed statement nothing more can be done in the same transaction or Savepoint, and no statement may run
//     while rows are open; this is PostgreSQL's rule and holds on both engines.
//   - A Write inside a Write's function panics: it would wait for itself.
//
// # SQL
//
// SQL is written once, in the subset that both engines share: `?` for arguments; INTEGER, REAL, TEXT and BLOB
// for types; ON CONFLICT and RETURNING; no rowid, no AUTOINCREMENT, no triggers, no foreign keys, no blob literals; CAST where
// the type of a `?` cannot be seen. Times are integers
// (microseconds since 1970, UTC) and truth is 0 or 1; Tx converts both. Text compares by its bytes.
//
// # Migrations
//
// A service's schema is a folder of files NNNN_name.sql, numbered from 0001 without gaps and never changed once released
// (their SHA-256 is recorded). Written for SQLite, they are translated for PostgreSQL: INTEGER becomes BIGINT, BLOB
// BYTEA, REAL DOUBLE PRECISION, TEXT gets COLLATE "C", WITHOUT ROWID goes. On SQLite every table is made STRICT, so that
// what PostgreSQL would refuse SQLite refuses too. Lines after `-- sqlite` or `-- postgres` (alone on a line) are for that engine
// only, up to `-- both`. A line `-- reader: N` says that a program must know migration N of this service, or a later
// one, to read what this migration leaves behind: an older program then refuses to start.
package store

import (
	"context"
	"crypto/rand"
	"hash/fnv"
	"io"
	"log/slog"
	"runtime"
	"strings"
	"sync"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
)

// Lane is a partition of the data: all that concerns one chart of one tenant is in one lane. See DB.LaneOf.
type Lane int32

// Options say how a database is opened. The zero value is right for a node.
type Options struct {
	// Clock is what Tx.At and the time limit of reads are taken from; the system's by default.
	Clock clock.Clock
	// Logger is told of recoveries, slow functions and failed checkpoints; nothing is logged by default.
	Logger *slog.Logger
	// MaxBatch is how many functions may share one commit on SQLite; 512 by default.
	MaxBatch int
	// MaxQueue is how many writes may wait before a further one is told to come back later; 4,096 by default.
	MaxQueue int
	// ReadLimit is how long a Read may hold its snapshot; 30 seconds by default.
	ReadLimit time.Duration
	// Readers is how many Reads may run at once; by default two per processor, at least four.
	Readers int
	// CheckpointPages is how many pages of 4 KB SQLite's write-ahead log grows before it is moved into the database file;
	// 4,000 by default: enough that a page changed often is moved once, little enough that nobody waits long.
	CheckpointPages int
	// MoveInTurn has SQLite's writer move the log by itself, between two batches. By default most of it is moved beside the writer, when that happens to get to it: for simulations, which must replay.
	MoveInTurn bool
	// Fleeting is for a database that nobody needs once its process has ended, as a simulation's: SQLite forces nothing that is written to the disk, so a loss of power may take what was acknowledged, or all of it.
	// That the process ends takes nothing. PostgreSQL goes on as its server is set. Never set in a node.
	Fleeting bool
	// Lanes is the number of lanes of a database that is new; 1 on SQLite and 1,024 on PostgreSQL by default.
	// It stays what it was for the life of a database.
	Lanes int
	// Rand is what a new database's identity is made of; by default the system's. For simulations, which must replay.
	Rand io.Reader
	// VFS names a registered SQLite virtual file system (see store/storefault).
	VFS string
	// Rehearse runs each written function twice, first in a savepoint that is undone, to find those that have
	// an effect other than through their Tx. For tests; package storetest sets it.
	Rehearse bool
}

// DB is an open database. It is safe for use by many goroutines.
type DB struct {
	eng   engine
	opt   Options
	lanes int32

	sharing     sync.Mutex
	together    map[string]any
	incarnation string
}

// engine is what SQLite and PostgreSQL each do in their own way.
type engine interface {
	name() string
	write(ctx context.Context, lanes []Lane, aside bool, fn func(*Tx) error) error
	read(ctx context.Context, limit time.Duration, as reading, fn func(*Tx) error) error
	dialect(migration string) string
	analyze(ctx context.Context) error
	tables(tx *Tx) ([]string, error)
	columns(tx *Tx, table string) ([]string, error)
	close() error
}

// Open opens the database at url, making it if it is not there: a path or sqlite:///path for SQLite,
// postgres://… for PostgreSQL. Errors: fault.Unavailable if it cannot be opened or is damaged; the message says what to do.
func Open(ctx context.Context, url string, o Options) (*DB, error) {
	o = o.withDefaults()
	db := &DB{opt: o}
	var err error
	if isPostgres(url) {
		db.eng, err = openPostgres(ctx, url, db)
	} else {
		db.eng, err = openSQLite(ctx, sqlitePath(url), db)
	}
	if err != nil {
		return nil, err
	}
	if db.incarnation == "" || db.lanes < 1 {
		return nil, joinClose(fault.New(fault.Unavailable, "the database does not know its own identity; restore it from a backup"), db)
	}
	return db, nil
}

func (o Options) withDefaults() Options {
	if o.Clock == nil {
		o.Clock = clock.System()
	}
	if o.Logger == nil {
		o.Logger = slog.New(slog.DiscardHandler)
	}
	if o.Rand == nil {
		o.Rand = rand.Reader
	}
	if o.MaxBatch <= 0 {
		o.MaxBatch = 512
	}
	if o.MaxQueue <= 0 {
		o.MaxQueue = 4096
	}
	if o.ReadLimit <= 0 {
		o.ReadLimit = 30 * time.Second
	}
	if o.CheckpointPages <= 0 {
		o.CheckpointPages = 4000
	}
	if o.Readers <= 0 {
		o.Readers = max(4, 2*runtime.GOMAXPROCS(0))
	}
	return o
}

func isPostgres(url string) bool {
	return strings.HasPrefix(url, "postgres://") || strings.HasPrefix(url, "postgresql://")
}

func sqlitePath(url string) string { return strings.TrimPrefix(url, "sqlite://") }

func joinClose(err error, db *DB) error {
	if db.eng != nil {
		if cerr := db.eng.close(); cerr != nil {
			db.opt.Logger.Error("store: closing after a failed start", "error", cerr)
		}
	}
	return err
}

// Engine names the engine: "sqlite" or "postgres".
func (db *DB) Engine() string { return db.eng.name() }

// Incarnation identifies this life of the database: a new one begins when a backup is restored, so that peers know
// to send again what the lost time held.
func (db *DB) Incarnation() string { return db.incarnation }

// Restored reports whether the database was ever restored from a backup.
func (db *DB) Restored(ctx context.Context) (bool, error) {
	restored := false
	err := db.Read(ctx, func(tx *Tx) error {
		var n int64
		err := tx.QueryRow(`SELECT count(*) FROM store_meta WHERE name = 'restored from'`).Scan(&n)
		restored = n > 0
		return err
	})
	return restored, err
}

// Shared is what the parts of this process that use a database keep in memory together under a name; the first who asks makes it, zero. It is for memory of what
// the database says, which each of them must then forget when any of them changes it.
func Shared[T any](db *DB, name string) *T {
	db.sharing.Lock()
	defer db.sharing.Unlock()
	if x, ok := db.together[name].(*T); ok {
		return x
	}
	if db.together == nil {
		db.together = map[string]any{}
	}
	x := new(T)
	db.together[name] = x
	return x
}

// Lanes is how many lanes the database has.
func (db *DB) Lanes() int { return int(db.lanes) }

// LaneOf is the lane that holds key (a chart, or an identifier that is claimed) of tenant.
func (db *DB) LaneOf(tenant, key string) Lane {
	if db.lanes <= 1 {
		return 0
	}
	h := fnv.New64a()
	_, _ = h.Write([]byte(tenant)) // a hash never fails
	_, _ = h.Write([]byte{0})
	_, _ = h.Write([]byte(key))
	return Lane(h.Sum64() % uint64(db.lanes))
}

// Write runs fn in a transaction that holds lanes (none means lane 0), and returns nil only when what it did is durable.
// When fn fails, its error is returned and nothing of it is kept; a panic in fn does the same and goes on to the caller.
//
// One Write costs one fsync at most, and many at once share it. An importer does some hundreds of rows in each.
//
// fn may be run again if its transaction was lost through no fault of its own. A context that ends while Write waits
// for its turn gives it up before fn runs; once fn runs, Write waits for the outcome and reports it.
// Errors besides fn's own: fault.Full, fault.Conflict (a row with that key exists), fault.Unavailable (too many
// waiting, or closing), fault.Timeout (given up while waiting).
func (db *DB) Write(ctx context.Context, lanes []Lane, fn func(tx *Tx) error) error {
	refuseNested(ctx)
	held, err := db.order(lanes)
	if err != nil {
		return err
	}
	return db.write(ctx, held, false, fn)
}

// WriteAside is Write of rows that only ReadNow needs to see: a Read or View may go on without them for a moment, until anything else
// is written. So those who read need not all begin anew, without a page in memory, for each entry that one of them has put on the account.
func (db *DB) WriteAside(ctx context.Context, lanes []Lane, fn func(tx *Tx) error) error {
	refuseNested(ctx)
	held, err := db.order(lanes)
	if err != nil {
		return err
	}
	return db.write(ctx, held, true, fn)
}

// write runs fn in a transaction and then, when that is durable, what it left to be done.
func (db *DB) write(ctx context.Context, held []Lane, aside bool, fn func(tx *Tx) error) error {
	var last *Tx
	err := db.eng.write(ctx, held, aside, func(tx *Tx) error {
		last, tx.then = tx, nil // it may have run before
		return fn(tx)
	})
	if err == nil && last != nil {
		for _, then := range last.then {
			then()
		}
	}
	return err
}

// reading is how new a snapshot must be, and on whose account it is taken.
type reading uint8

const (
	recent reading = iota // all that was written before, but perhaps not what was written aside
	now                   // all that was written before
	beside                // now, in the place of a View that waits for it
)

// Read runs fn over a snapshot of the database: all that was written before it began, but for what was written aside a moment ago.
// Nothing can be changed in it. It ends with fault.Timeout when it has been held longer than Options.ReadLimit, or when ctx ends.
func (db *DB) Read(ctx context.Context, fn func(tx *Tx) error) error {
	if ran, err := db.shared(ctx, recent, fn); ran {
		return err
	}
	return db.eng.read(ctx, db.opt.ReadLimit, recent, fn)
}

// ReadNow is Read that also sees everything that was written aside. Under a View that does not, it has a snapshot of its own.
func (db *DB) ReadNow(ctx context.Context, fn func(tx *Tx) error) error {
	if ran, err := db.shared(ctx, now, fn); ran {
		return err
	}
	return db.eng.read(ctx, db.opt.ReadLimit, now, fn)
}

// Analyze tells the database's planner what the tables now hold: for whoever has just written very much at once. PostgreSQL finds
// out by itself within minutes, and plans badly until then; SQLite's plans do not depend on it.
func (db *DB) Analyze(ctx context.Context) error { return db.eng.analyze(ctx) }

// Close lets the writes that are waiting finish, refuses further ones, and closes the database.
func (db *DB) Close() error { return db.eng.close() }
