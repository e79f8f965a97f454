package store

import (
	"context"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/url"
	"os"
	"path/filepath"
	"strconv"
	"sync"
	"time"

	"github.com/ncruces/go-sqlite3"

	"github.com/openspine/openspine/fault"
)

// sqliteEngine is one SQLite file in WAL mode: one writing connection, several that read.
type sqliteEngine struct {
	opt     Options
	path    string
	writer  *writer
	readers *readers
	mapped  *mapped   // nil where there is none
	log     *gathered // nil where there is none
	once    sync.Once
}

// core are the store's own tables; they are the same on both engines.
const core = `
CREATE TABLE IF NOT EXISTS store_meta (name TEXT NOT NULL PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS store_lane (lane INTEGER NOT NULL PRIMARY KEY, next INTEGER NOT NULL, at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS store_schema (
	service TEXT NOT NULL, number INTEGER NOT NULL, name TEXT NOT NULL, checksum TEXT NOT NULL,
	reader INTEGER NOT NULL, at INTEGER NOT NULL, source TEXT NOT NULL, PRIMARY KEY (service, number)) WITHOUT ROWID;
`

func openSQLite(ctx context.Context, path string, db *DB) (engine, error) {
	if path == "" || path == ":memory:" {
		return nil, fault.New(fault.Invalid, "a database needs a path to its file")
	}
	o := db.opt
	if o.VFS == "" {
		var err error
		if path, err = filepath.Abs(path); err == nil {
			err = private(path)
		}
		if err != nil {
			return nil, fault.Wrap(err, fault.Unavailable, "the database %s or its folder cannot be made", filepath.Base(path))
		}
	}
	var mapped *mapped
	writeAs, readAs := o, o
	if o.VFS == "" {
		mapped = newMapped()
		writeAs.VFS, readAs.VFS = mapped.vfsName(), mapped.vfsName()
	}
	gathered := newGathered(writeAs.VFS, o.Fleeting)
	if gathered != nil {
		writeAs.VFS = gathered.name
	}
	unregister := func() {
		gathered.close()
		mapped.close()
	}
	c, err := dial(path, writeAs, writeCache)
	if err != nil {
		unregister()
		return nil, unopenable(err, path)
	}
	fail := func(err error) (engine, error) {
		c.discard()
		unregister()
		return nil, err
	}
	if err := prepareFile(c, db); err != nil {
		return fail(unopenable(err, path))
	}
	if o.VFS == "" {
		for _, end := range []string{"-wal", "-shm"} { // these two take the process's own mode
			if err := os.Chmod(path+end, 0o600); err != nil && !errors.Is(err, os.ErrNotExist) {
				o.Logger.Warn("store: a file beside the database cannot be made private", "error", err)
			}
		}
		if err := syncDir(filepath.Dir(path)); err != nil {
			return fail(fault.Wrap(err, fault.Unavailable, "the folder of the database cannot be made durable"))
		}
	}
	e := &sqliteEngine{opt: o, path: path, mapped: mapped, log: gathered}
	e.readers = newReaders(func() (*conn, error) { return dialReader(path, readAs, readCache(path, o)) }, o)
	var m *mover
	if !o.MoveInTurn {
		m = &mover{dial: func() (*conn, error) { return dialMover(path, o) }, logger: o.Logger}
	}
	e.writer = newWriter(c, m, func() (*conn, error) { return dial(path, writeAs, writeCache) }, e.readers, o)
	return e, ctx.Err()
}

// private makes the folder and the file if they are not there, for nobody else to read.
func private(path string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return err
	}
	return f.Close()
}

// busyTimeout is how long a connection waits for another process.
const busyTimeout = 5 * time.Second

// dial opens a connection that may write.
func dial(path string, o Options, cache int) (*conn, error) {
	c, err := connect(path, o)
	if err != nil {
		return nil, err
	}
	return c.pragmas(
		"busy_timeout=5000", "journal_mode=WAL", "synchronous=FULL", "foreign_keys=ON", "temp_store=MEMORY",
		"cache_size=-"+strconv.Itoa(cache), "case_sensitive_like=ON", "wal_autocheckpoint=0", "journal_size_limit=67108864", "trusted_schema=OFF")
}

// dialMover opens a connection that moves the log beside the writer.
func dialMover(path string, o Options) (*conn, error) {
	c, err := dial(path, o, leastCache)
	if err != nil || !o.Fleeting {
		return c, err
	}
	return c.pragmas("synchronous=OFF") // it writes no log that would be gathered
}

// dialReader opens a connection that cannot write.
func dialReader(path string, o Options, cache int) (*conn, error) {
	c, err := connect(path, o)
	if err != nil {
		return nil, err
	}
	settings := []string{"busy_timeout=5000", "query_only=ON", "case_sensitive_like=ON", "temp_store=MEMORY", "cache_size=-" + strconv.Itoa(cache), "trusted_schema=OFF"}
	if o.Fleeting { // the last one that is closed moves what is left of the log
		settings = append(settings, "synchronous=OFF")
	}
	return c.pragmas(settings...)
}

// The pages that a connection that reads may hold, in KB: a small database needs few, and what a large one reads all the time, the inner pages of
// its indexes, is about a hundredth of it. The connection that writes may hold all that is in the log, and no more: the rest it reads from the mapping, for less than SQLite then needs at each commit
// of a database below 1 GB to go through all that it holds. (Where pages of a tree were put into another order they go by the number of a page beyond the file meanwhile, and SQLite looks for what
// it holds beyond the file's end.)
const leastCache, mostCache, writeCache = 8 << 10, 64 << 10, 16 << 10

// readCache is how much a connection that reads may hold, by the size of the database as it is opened.
func readCache(path string, o Options) int {
	if o.VFS != "" {
		return leastCache
	}
	info, err := os.Stat(path)
	if err != nil {
		return leastCache
	}
	return int(min(max(info.Size()>>10/32, leastCache), mostCache))
}

func connect(path string, o Options) (*conn, error) {
	name := url.URL{Scheme: "file", OmitHost: true, Path: path}
	if o.VFS != "" {
		name.RawQuery = url.Values{"vfs": {o.VFS}}.Encode()
	}
	return newConn(name.String())
}

// prepareFile makes the store's own tables if they are not there, and learns who this database is.
func prepareFile(c *conn, db *DB) error {
	if err := c.script("BEGIN IMMEDIATE"); err != nil {
		return err
	}
	if err := c.script(strict(core)); err != nil {
		return err
	}
	lanes := max(1, db.opt.Lanes)
	id, err := newIncarnation(db.opt.Rand)
	if err != nil {
		return err
	}
	for _, kv := range [][2]string{{"incarnation", id}, {"lanes", strconv.Itoa(lanes)}} {
		if _, err := c.exec("INSERT INTO store_meta (name, value) VALUES (?, ?) ON CONFLICT (name) DO NOTHING", []any{kv[0], kv[1]}); err != nil {
			return err
		}
	}
	if err := readMeta(c, db); err != nil {
		return err
	}
	return c.script("COMMIT")
}

func readMeta(s session, db *DB) error {
	cur, err := s.query("SELECT name, value FROM store_meta", nil)
	if err != nil {
		return err
	}
	for {
		more, err := cur.next()
		if err != nil || !more {
			return errors.Join(err, cur.close())
		}
		var name, value string
		if err := cur.scan([]any{&name, &value}); err != nil {
			return errors.Join(err, cur.close())
		}
		switch name {
		case "incarnation":
			db.incarnation = value
		case "lanes":
			n, err := strconv.ParseInt(value, 10, 32)
			if err != nil {
				return errors.Join(fmt.Errorf("the number of lanes is %q", value), cur.close())
			}
			db.lanes = int32(n)
		}
	}
}

func newIncarnation(from io.Reader) (string, error) {
	var b [16]byte
	if _, err := io.ReadFull(from, b[:]); err != nil {
		return "", err
	}
	return hex.EncodeToString(b[:]), nil
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// unopenable words why a database does not open, and what to do.
func unopenable(err error, path string) error {
	base := filepath.Base(path)
	switch {
	case errors.Is(err, sqlite3.NOTADB), errors.Is(err, sqlite3.CORRUPT):
		return fault.Wrap(err, fault.Unavailable, "the database %s is damaged or is not a database; nothing was changed: "+
			"move it and the files beside it (-wal, -shm) aside and restore the last backup", base)
	case errors.Is(err, sqlite3.BUSY):
		return fault.Wrap(err, fault.Unavailable, "the database %s is in use by another process", base)
	case errors.Is(err, sqlite3.FULL):
		return fault.Wrap(err, fault.Full, "the database %s cannot be opened because its disk is full", base)
	}
	return fault.Wrap(err, fault.Unavailable, "the database %s cannot be opened", base)
}

func (e *sqliteEngine) analyze(context.Context) error { return nil }

func (e *sqliteEngine) name() string { return "sqlite" }

func (e *sqliteEngine) dialect(migration string) string { return strict(section(migration, "sqlite")) }

func (e *sqliteEngine) write(ctx context.Context, lanes []Lane, aside bool, fn func(*Tx) error) error {
	return e.writer.write(ctx, lanes, aside, fn)
}

func (e *sqliteEngine) read(ctx context.Context, limit time.Duration, as reading, fn func(*Tx) error) error {
	return e.readers.read(ctx, limit, as, fn)
}

func (e *sqliteEngine) tables(tx *Tx) ([]string, error) {
	return column(tx, "SELECT name FROM sqlite_master WHERE type = 'table' AND name NOT LIKE 'sqlite%' ORDER BY name")
}

func (e *sqliteEngine) columns(tx *Tx, table string) ([]string, error) {
	return column(tx, "SELECT name FROM pragma_table_info(?) ORDER BY cid", table)
}

func (e *sqliteEngine) close() error {
	var err error
	e.once.Do(func() {
		err = e.writer.close()
		e.readers.close()
		e.mapped.close()
		e.log.close()
	})
	return err
}

// column reads a query of one text column whole.
func column(tx *Tx, query string, args ...any) ([]string, error) {
	rows, err := tx.Query(query, args...)
	if err != nil {
		return nil, err
	}
	var all []string
	for rows.Next() {
		var s string
		if err := rows.Scan(&s); err != nil {
			return nil, err
		}
		all = append(all, s)
	}
	return all, rows.Err()
}

func slow(log *slog.Logger, what string, took time.Duration) {
	log.Warn("store: slow", "what", what, "took", took.Round(time.Millisecond))
}
