package store

import (
	"context"
	"errors"
	"maps"
	"net"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/jackc/pgx/v5/pgconn"
	"github.com/jackc/pgx/v5/pgxpool"

	"github.com/openspine/openspine/fault"
)

// pgEngine is a PostgreSQL database, or one schema of it (the search_path of the URL). Each Write is a READ
// COMMITTED transaction that first locks the rows of its lanes, in order, which leaves each lane one writer and needs no SERIALIZABLE;
// each Read is REPEATABLE READ, which is a snapshot. They have pools of their own, so that a Read inside a Write
// never waits for writers.
type pgEngine struct {
	opt     Options
	writers *pgxpool.Pool
	readers *pgxpool.Pool
	waiting atomic.Int64 // writes running or waiting
	closed  atomic.Bool
	once    sync.Once
	queries sync.Map // as written → for PostgreSQL
}

// pgWriters is how many writes run at once; the others wait in order of arrival.
const pgWriters = 32

// defaultLanes is how many lanes a new PostgreSQL database has.
const defaultLanes = 1024

func openPostgres(ctx context.Context, url string, db *DB) (engine, error) {
	e := &pgEngine{opt: db.opt}
	var err error
	// What a Write runs is small and the same for every argument; trying five plans of each on every connection would cost more.
	// Nor may they be planned by how small a table is today: a plan made while it was nearly empty reads all of it until somebody has counted its rows, and reads all lanes to find two.
	if e.writers, err = pgPool(ctx, url, pgWriters, map[string]string{"plan_cache_mode": "force_generic_plan", "enable_seqscan": "off"}); err != nil {
		return nil, err
	}
	if e.readers, err = pgPool(ctx, url, int32(db.opt.Readers), map[string]string{"plan_cache_mode": "auto"}); err != nil {
		e.writers.Close()
		return nil, err
	}
	if err := e.prepare(ctx, db); err != nil {
		return nil, errors.Join(fault.Wrap(err, fault.KindOf(err), "the PostgreSQL database cannot be opened"), e.close())
	}
	return e, nil
}

func pgPool(ctx context.Context, url string, size int32, plans map[string]string) (*pgxpool.Pool, error) {
	cfg, err := pgxpool.ParseConfig(url)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the URL of the PostgreSQL database is not valid")
	}
	cfg.MaxConns, cfg.MinConns = size, 0
	set := cfg.ConnConfig.RuntimeParams
	set["application_name"] = "openspine"
	set["timezone"] = "UTC"
	set["default_transaction_isolation"] = "read committed"
	set["synchronous_commit"] = "on"
	maps.Copy(set, plans)
	set["jit"] = "off" // compiling takes longer than any statement here
	pool, err := pgxpool.NewWithConfig(ctx, cfg)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the PostgreSQL database cannot be reached")
	}
	return pool, nil
}

// prepare makes the store's own tables if they are not there, and learns who this database is.
func (e *pgEngine) prepare(ctx context.Context, db *DB) error {
	c, err := e.writers.Acquire(ctx)
	if err != nil {
		return pgFault(err)
	}
	defer c.Release()
	s := &pgSession{e: e, c: c.Conn(), ctx: ctx}
	lanes := db.opt.Lanes
	if lanes <= 0 {
		lanes = defaultLanes
	}
	id, err := newIncarnation(db.opt.Rand)
	if err != nil {
		return err
	}
	const once = 0x4f70656e53706e65 // one opener at a time
	if err := s.script("BEGIN; SELECT pg_advisory_xact_lock(" + strconv.Itoa(once) + ");" + postgres(core)); err != nil {
		return errors.Join(err, s.script("ROLLBACK"))
	}
	err = e.settle(s, id, lanes, db)
	if err != nil {
		return errors.Join(err, s.script("ROLLBACK"))
	}
	return s.script("COMMIT")
}

func (e *pgEngine) settle(s *pgSession, id string, lanes int, db *DB) error {
	for _, kv := range [][2]string{{"incarnation", id}, {"lanes", strconv.Itoa(lanes)}} {
		if _, err := s.exec("INSERT INTO store_meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", []any{kv[0], kv[1]}); err != nil {
			return err
		}
	}
	if err := readMeta(s, db); err != nil {
		return err
	}
	_, err := s.exec("INSERT INTO store_lane (lane, next, at) SELECT i, 1, 0 FROM generate_series(0, CAST(? AS INTEGER) - 1) AS i ON CONFLICT (lane) DO NOTHING",
		[]any{int64(db.lanes)})
	return err
}

func (e *pgEngine) name() string { return "postgres" }

func (e *pgEngine) dialect(migration string) string { return postgres(section(migration, "postgres")) }

func (e *pgEngine) tables(tx *Tx) ([]string, error) {
	return column(tx, "SELECT CAST(table_name AS TEXT) FROM information_schema.tables WHERE table_schema = current_schema() "+
		"AND table_type = 'BASE TABLE' ORDER BY 1")
}

// analyze samples every table. It waits for nobody and nobody waits for it.
func (e *pgEngine) analyze(ctx context.Context) error {
	if e.closed.Load() {
		return errClosed()
	}
	var names []string
	err := e.read(ctx, 0, now, func(tx *Tx) (err error) {
		names, err = e.tables(tx)
		return err
	})
	if err != nil || len(names) == 0 {
		return err
	}
	for i, name := range names {
		names[i] = quoteName(name)
	}
	_, err = e.writers.Exec(ctx, "ANALYZE "+strings.Join(names, ", "))
	return e.unavailable(err)
}

func (e *pgEngine) columns(tx *Tx, table string) ([]string, error) {
	return column(tx, "SELECT CAST(column_name AS TEXT) FROM information_schema.columns WHERE table_schema = current_schema() "+
		"AND table_name = ? ORDER BY ordinal_position", table)
}

func (e *pgEngine) close() error {
	e.closed.Store(true)
	e.once.Do(func() {
		e.writers.Close()
		e.readers.Close()
	})
	return nil
}

// rewrite turns `?` into $1, $2 … and SQLite's names of types in casts into PostgreSQL's.
func (e *pgEngine) rewrite(query string) string {
	if q, ok := e.queries.Load(query); ok {
		return q.(string)
	}
	q := numbered(query)
	e.queries.Store(query, q)
	return q
}

func numbered(query string) string {
	var b strings.Builder
	n, cast := 0, false
	for rest := query; rest != ""; {
		t := nextToken(rest)
		rest = rest[len(t.s):]
		switch {
		case t.s == "?":
			n++
			b.WriteString("$" + strconv.Itoa(n))
		case cast && strings.EqualFold(t.s, "INTEGER"):
			b.WriteString("BIGINT")
		case cast && strings.EqualFold(t.s, "BLOB"):
			b.WriteString("BYTEA")
		case cast && strings.EqualFold(t.s, "REAL"):
			b.WriteString("DOUBLE PRECISION")
		default:
			b.WriteString(t.s)
		}
		if t.kind != blankSpace {
			cast = t.kind == word && strings.EqualFold(t.s, "AS")
		}
	}
	return b.String()
}

const beginRead = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"

// read runs fn in a REPEATABLE READ, READ ONLY transaction.
func (e *pgEngine) read(ctx context.Context, limit time.Duration, _ reading, fn func(*Tx) error) error {
	if e.closed.Load() {
		return errClosed()
	}
	timed, cancel := ctx, context.CancelFunc(func() {})
	at := e.opt.Clock.Now().Truncate(time.Microsecond)
	var until time.Time
	if limit > 0 {
		timed, cancel = context.WithTimeout(ctx, limit)
		until = at.Add(limit)
	}
	defer cancel()
	c, err := e.readers.Acquire(timed)
	if err != nil {
		return readFault(ctx, e.unavailable(err))
	}
	sound := false
	defer func() { e.giveBack(c, sound) }()
	s := &pgSession{e: e, c: c.Conn(), ctx: timed, until: until}
	s.pending = []pending{{query: beginRead, control: true}} // goes with the first statement
	tx := &Tx{ctx: ctx, at: at, sess: s, readonly: true}
	defer func() { tx.over = true }()
	err = tx.settle(fn(tx))
	sound = s.rollback() == nil
	return readFault(ctx, err)
}

// giveBack returns a connection to its pool, or ends it when the state of its transaction is not known.
func (e *pgEngine) giveBack(c *pgxpool.Conn, sound bool) {
	if !sound {
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		_ = c.Conn().Close(ctx) // whatever it says, the pool drops it
	}
	c.Release()
}

func (e *pgEngine) unavailable(err error) error {
	if e.closed.Load() {
		return errClosed()
	}
	return pgFault(err)
}

// pgFault says what kind of failure a PostgreSQL error is.
// Codes: https://www.postgresql.org/docs/15/errcodes-appendix.html
func pgFault(err error) error {
	if err == nil {
		return nil
	}
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	var pg *pgconn.PgError
	if !errors.As(err, &pg) {
		return pgLocalFault(err)
	}
	switch {
	case pg.Code == "23505", pg.Code == "23P01":
		return fault.Wrap(err, fault.Conflict, "there is one with that key already")
	case pg.Code == "23503":
		return fault.Wrap(err, fault.Conflict, "what it belongs to is not there, or something still belongs to it")
	case pg.Code == "53100":
		return fault.Wrap(err, fault.Full, "the disk is full; nothing was changed, and what was acknowledged is safe")
	case pg.Code == "57014", pg.Code == "25P03":
		return fault.Wrap(err, fault.Timeout, "the database took too long and was stopped; ask for less")
	case strings.HasPrefix(pg.Code, "54"):
		return fault.Wrap(err, fault.TooLarge, "that is larger than the database can keep in one value")
	case strings.HasPrefix(pg.Code, "08"), strings.HasPrefix(pg.Code, "53"), strings.HasPrefix(pg.Code, "57P"), strings.HasPrefix(pg.Code, "40"):
		return fault.Wrap(err, fault.Unavailable, "the database is not available; try again")
	}
	return fault.Wrap(err, fault.Internal, "the database failed")
}

func pgLocalFault(err error) error {
	var network net.Error
	switch {
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return fault.Wrap(err, fault.Timeout, "the database took too long and was stopped; ask for less")
	case pgconn.SafeToRetry(err), pgconn.Timeout(err), errors.As(err, &network), errors.Is(err, errGone):
		return fault.Wrap(err, fault.Unavailable, "the database is not available; try again")
	}
	var connect *pgconn.ConnectError
	if errors.As(err, &connect) {
		return fault.Wrap(err, fault.Unavailable, "the database cannot be reached; see that it runs and that the URL is right")
	}
	return fault.Wrap(err, fault.Internal, "the database failed")
}

var errGone = errors.New("the connection to the database was lost")

// again reports whether a transaction that failed with err may succeed if it is run again: a deadlock, a serialization failure, or
// a lost connection.
func again(err error) bool {
	var pg *pgconn.PgError
	if errors.As(err, &pg) {
		return pg.Code == "40001" || pg.Code == "40P01" || strings.HasPrefix(pg.Code, "57P") || strings.HasPrefix(pg.Code, "08")
	}
	return errors.Is(err, errGone) || pgconn.SafeToRetry(err)
}
