package store

import (
	"errors"
	"strconv"
	"time"

	"github.com/ncruces/go-sqlite3"
)

// walState is how far the write-ahead log has grown. Once its pages have all been moved into the database file, the
// next commit starts the log from its beginning again, over blocks that the file already has, which is what makes a commit one
// fast fsync: the log is kept at its size and never truncated while the node runs.
type walState struct {
	pages int // in the log as of the last commit
	due   int // when to move them
	every int // Options.CheckpointPages
}

func (s *walState) grown(_ *sqlite3.Conn, _ string, pages int) error {
	if pages < s.pages || s.due == 0 { // the log has started again
		s.due = s.every
	}
	s.pages = pages
	return nil
}

// The log cannot start again while anybody reads from it, and where many read there is always somebody. When it has grown to tooLong
// times its size, whoever reads is waited for: those who come meanwhile find everything in the database file.
const tooLong, readersWait = 8, 100 * time.Millisecond

// tend moves the log into the database file when it has grown. Called with the baton, between batches.
func (w *writer) tend() {
	s := &w.wal
	if s.pages < s.due || s.due == 0 || w.conn.broke || !w.mover.ready(w.readers, s.pages >= tooLong*s.every) {
		return
	}
	mode := sqlite3.CHECKPOINT_PASSIVE
	if s.pages >= tooLong*s.every {
		mode = sqlite3.CHECKPOINT_RESTART
	}
	w.readers.rest(false)
	defer w.readers.rest(true)
	s.due = s.pages + s.every // should a reader still need the log, it goes on growing
	if err := w.checkpoint(mode); err != nil {
		w.opt.Logger.Warn("store: the write-ahead log could not be moved; it is kept and will be tried again", "error", err)
	}
	w.widen(pagesOfGigabyte)
}

// pagesOfGigabyte is how many pages of 4 KB a database has below which its writer had better hold few (writeCache): SQLite's own borrowed page numbers begin there.
const pagesOfGigabyte = 1<<30>>12 + 1000

// widen lets the writer hold more of a database that has outgrown so many pages.
func (w *writer) widen(pages int64) {
	if w.wide || w.conn.broke {
		return
	}
	n, err := one(w.conn, "PRAGMA page_count")
	if err != nil || n <= pages {
		return
	}
	if _, err := one(w.conn, "PRAGMA cache_size=-"+strconv.Itoa(mostCache)); err == nil {
		w.wide = true
	}
}

// one runs a statement that answers with one number, or with nothing.
func one(c *conn, sql string) (n int64, err error) {
	cur, err := c.query(sql, nil)
	if err != nil {
		return 0, err
	}
	more, err := cur.next()
	if err == nil && more {
		err = cur.scan([]any{&n})
	}
	return n, errors.Join(err, cur.close())
}

func (w *writer) checkpoint(mode sqlite3.CheckpointMode) (err error) {
	defer w.conn.guard(&err)
	if mode != sqlite3.CHECKPOINT_PASSIVE {
		if err := w.conn.c.BusyTimeout(readersWait); err != nil {
			return sqliteFault(err)
		}
		defer func() {
			if berr := w.conn.c.BusyTimeout(busyTimeout); err == nil {
				err = sqliteFault(berr)
			}
		}()
	}
	if _, _, err = w.conn.c.WALCheckpoint("main", mode); errors.Is(err, sqlite3.BUSY) {
		return nil // somebody reads for longer: there will be another time
	}
	return sqliteFault(err)
}
