package store

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/ncruces/go-sqlite3"
	_ "github.com/ncruces/go-sqlite3/vfs" // the operating system's files

	"github.com/openspine/openspine/fault"
)

// conn is one SQLite connection with its prepared statements. It is for one goroutine at a time.
type conn struct {
	c     *sqlite3.Conn
	stmts map[string]*stmt
	clock uint64 // counts uses, for dropping the statement least recently used
	lost  bool   // the transaction was rolled back by SQLite itself
	broke bool   // out of memory, or worse: good only to be thrown away
	snap  snapshot
}

type stmt struct {
	s       *sqlite3.Stmt
	used    uint64
	columns int
	busy    bool
}

// keptStatements is how many prepared statements a connection keeps.
const keptStatements = 256

var errLost = fault.New(fault.Unavailable, "the transaction was lost and will be run again")

func newConn(name string) (*conn, error) {
	c, err := sqlite3.Open(name)
	if err != nil {
		return nil, err
	}
	// A statement is planned once, whatever it is then given: else each new LIMIT or end of a range would have it planned anew.
	if _, err := c.Config(sqlite3.DBCONFIG_ENABLE_QPSG, true); err != nil {
		return nil, errors.Join(err, c.Close())
	}
	return &conn{c: c, stmts: map[string]*stmt{}}, nil
}

func (c *conn) pragmas(settings ...string) (*conn, error) {
	for _, s := range settings {
		if err := c.script("PRAGMA " + s); err != nil {
			c.discard()
			return nil, fmt.Errorf("PRAGMA %s: %w", s, err)
		}
	}
	return c, nil
}

// guard turns a panic of the engine (out of memory) into an error, and marks the connection as not to be used again.
func (c *conn) guard(err *error) {
	p := recover()
	if p == nil {
		return
	}
	c.broke, c.lost = true, true
	*err = fault.Wrap(fmt.Errorf("%v", p), fault.Unavailable, "the database ran out of memory; nothing was changed")
}

// noted looks, after a failure, whether SQLite has rolled the transaction back.
func (c *conn) noted(err error) error {
	if err != nil && c.c.GetAutocommit() {
		c.lost = true
	}
	return sqliteFault(err)
}

func (c *conn) script(sql string) (err error) {
	defer c.guard(&err)
	return c.noted(c.c.Exec(sql))
}

func (c *conn) exec(query string, args []any) (n int64, err error) {
	defer c.guard(&err)
	s, err := c.bind(query, args)
	if err != nil {
		return 0, err
	}
	before := c.c.TotalChanges()
	err = s.s.Exec()
	c.giveBack(s)
	if err != nil {
		return 0, c.noted(err)
	}
	if c.c.TotalChanges() == before {
		return 0, nil
	}
	return c.c.Changes(), nil
}

// queue runs the statement at once: there is no server to wait for.
func (c *conn) queue(query string, args []any, explain func(error) error) error {
	_, err := c.exec(query, args)
	if err != nil && explain != nil {
		return explain(err)
	}
	return err
}

func (c *conn) flush() error { return nil }

// load inserts rows into a table.
func (c *conn) load(t BackupTable, rows [][]any) error {
	insert := "INSERT INTO " + quoteName(t.Name) + " (" + t.quotedColumns() + ") VALUES (?" + strings.Repeat(", ?", len(t.Columns)-1) + ")"
	for _, row := range rows {
		if _, err := c.exec(insert, row); err != nil {
			return err
		}
	}
	return nil
}

func (c *conn) query(query string, args []any) (cur cursor, err error) {
	defer c.guard(&err)
	s, err := c.bind(query, args)
	if err != nil {
		return nil, err
	}
	if s.columns == 0 {
		s.columns = s.s.ColumnCount()
	}
	return &sqliteCursor{c: c, s: s}, nil
}

func (c *conn) bind(query string, args []any) (*stmt, error) {
	if c.lost {
		return nil, errLost
	}
	s, err := c.prepare(query)
	if err != nil {
		return nil, c.noted(err)
	}
	if n := s.s.BindCount(); n != len(args) {
		c.giveBack(s)
		return nil, fault.New(fault.Internal, "a statement takes %d arguments and was given %d", n, len(args))
	}
	for i, a := range args {
		if err := bindOne(s.s, i+1, a); err != nil {
			c.giveBack(s)
			return nil, c.noted(err)
		}
	}
	return s, nil
}

func bindOne(s *sqlite3.Stmt, i int, a any) error {
	switch v := a.(type) {
	case int64:
		return s.BindInt64(i, v)
	case string:
		return s.BindText(i, v)
	case []byte:
		if v == nil {
			return s.BindNull(i)
		}
		return s.BindBlob(i, v)
	case float64:
		return s.BindFloat(i, v)
	}
	return s.BindNull(i)
}

func (c *conn) prepare(query string) (*stmt, error) {
	c.clock++
	if s := c.stmts[query]; s != nil && !s.busy {
		s.used, s.busy = c.clock, true
		return s, nil
	}
	ps, tail, err := c.c.PrepareFlags(orFail(query), sqlite3.PREPARE_PERSISTENT)
	if err != nil {
		return nil, err
	}
	if ps == nil || len(blank(tail)) > 0 {
		return nil, errors.Join(fault.New(fault.Internal, "a statement must be one statement"), ps.Close())
	}
	if len(c.stmts) >= keptStatements {
		c.evict()
	}
	s := &stmt{s: ps, used: c.clock, busy: true}
	c.stmts[query] = s
	return s, nil
}

// orFail lets a change that fails leave what it did until then: a failed statement undoes the whole function that ran it (see Tx),
// so SQLite need not keep each page as it was before the statement as well.
func orFail(query string) string {
	for _, verb := range [...]string{"INSERT ", "UPDATE "} {
		if rest, ok := strings.CutPrefix(query, verb); ok && !strings.HasPrefix(rest, "OR ") {
			return verb + "OR FAIL " + rest
		}
	}
	return query
}

func (c *conn) evict() {
	oldest, found := "", false
	for q, s := range c.stmts {
		if !s.busy && (!found || s.used < c.stmts[oldest].used) {
			oldest, found = q, true
		}
	}
	if found {
		_ = c.stmts[oldest].s.Close() // reports only the statement's own last failure
		delete(c.stmts, oldest)
	}
}

// giveBack gives a statement back, without its arguments (they may be large).
func (c *conn) giveBack(s *stmt) {
	_ = s.s.Reset() // repeats the failure of the last step, which has been reported
	_ = s.s.ClearBindings()
	s.busy = false
}

func (c *conn) savepoint(depth int) error { return c.step("SAVEPOINT s" + strconv.Itoa(depth)) }
func (c *conn) release(depth int) error   { return c.step("RELEASE s" + strconv.Itoa(depth)) }
func (c *conn) rollbackTo(depth int) error {
	n := strconv.Itoa(depth)
	if err := c.step("ROLLBACK TO s" + n); err != nil {
		return err
	}
	return c.step("RELEASE s" + n)
}

// step runs one statement of transaction control.
func (c *conn) step(sql string) error {
	_, err := c.exec(sql, nil)
	return err
}

// end rolls back whatever transaction is open and makes the connection ready for the next one.
func (c *conn) end() (err error) {
	defer c.guard(&err)
	c.lost, c.snap = false, snapshot{}
	if c.c.GetAutocommit() {
		return nil
	}
	return c.step("ROLLBACK")
}

// discard closes the connection as well as it can be closed.
func (c *conn) discard() {
	var err error
	defer c.guard(&err)
	for _, s := range c.stmts {
		_ = s.s.Close()
	}
	c.stmts = nil
	_ = c.c.Close()
}

type sqliteCursor struct {
	c *conn
	s *stmt
}

func (r *sqliteCursor) next() (more bool, err error) {
	defer r.c.guard(&err)
	if r.s.s.Step() {
		return true, nil
	}
	return false, r.c.noted(r.s.s.Err())
}

func (r *sqliteCursor) scan(dest []any) (err error) {
	defer r.c.guard(&err)
	if len(dest) != r.s.columns {
		return fmt.Errorf("a row of %d columns was scanned into %d", r.s.columns, len(dest))
	}
	for i, d := range dest {
		if err := scanColumn(r.s.s, i, d); err != nil {
			return fmt.Errorf("column %d: %w", i+1, err)
		}
	}
	return nil
}

func scanColumn(s *sqlite3.Stmt, i int, dest any) error {
	t := s.ColumnType(i)
	switch d := dest.(type) {
	case *int64:
		if t == sqlite3.INTEGER {
			*d = s.ColumnInt64(i)
			return nil
		}
	case *string:
		if t == sqlite3.TEXT {
			*d = s.ColumnText(i)
			return nil
		}
	case *[]byte:
		if t == sqlite3.BLOB {
			*d = append([]byte{}, s.ColumnRawBlob(i)...)
			return nil
		}
	case *Lane:
		if t == sqlite3.INTEGER {
			*d = Lane(s.ColumnInt64(i))
			return nil
		}
	case *int:
		if t == sqlite3.INTEGER {
			*d = int(s.ColumnInt64(i))
			return nil
		}
	}
	switch t {
	case sqlite3.INTEGER:
		return assign(dest, s.ColumnInt64(i))
	case sqlite3.FLOAT:
		return assign(dest, s.ColumnFloat(i))
	case sqlite3.TEXT:
		return assign(dest, s.ColumnText(i))
	case sqlite3.BLOB:
		return assign(dest, s.ColumnRawBlob(i))
	}
	return assign(dest, nil)
}

func (r *sqliteCursor) close() (err error) {
	defer r.c.guard(&err)
	r.c.giveBack(r.s)
	return nil
}

// sqliteFault says what kind of failure an SQLite error is.
func sqliteFault(err error) error {
	if err == nil {
		return nil
	}
	var known *fault.Error
	if errors.As(err, &known) {
		return err
	}
	var code sqlite3.ExtendedErrorCode
	if !errors.As(err, &code) {
		return fault.Wrap(err, fault.Internal, "the database failed")
	}
	switch code {
	case sqlite3.CONSTRAINT_UNIQUE, sqlite3.CONSTRAINT_PRIMARYKEY, sqlite3.CONSTRAINT_ROWID:
		return fault.Wrap(err, fault.Conflict, "there is one with that key already")
	case sqlite3.CONSTRAINT_FOREIGNKEY:
		return fault.Wrap(err, fault.Conflict, "what it belongs to is not there, or something still belongs to it")
	}
	switch sqlite3.ErrorCode(code) {
	case sqlite3.FULL:
		return fault.Wrap(err, fault.Full, "the disk is full; nothing was changed, and what was acknowledged is safe")
	case sqlite3.BUSY, sqlite3.LOCKED:
		return fault.Wrap(err, fault.Unavailable, "the database is in use by another process; try again")
	case sqlite3.INTERRUPT:
		return fault.Wrap(err, fault.Timeout, "reading took too long and was stopped; ask for less")
	case sqlite3.TOOBIG:
		return fault.Wrap(err, fault.TooLarge, "that is larger than the database can keep in one value")
	case sqlite3.IOERR, sqlite3.READONLY, sqlite3.CANTOPEN:
		return fault.Wrap(err, fault.Unavailable, "the disk failed; nothing was changed")
	}
	return fault.Wrap(err, fault.Internal, "the database failed")
}
