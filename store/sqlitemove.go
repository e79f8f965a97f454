package store

import (
	"log/slog"
	"sync"
	"sync/atomic"

	"github.com/ncruces/go-sqlite3"
)

// mover moves the write-ahead log into the database file while the writer goes on, over a connection of its own: most of the log at once, then what came meanwhile. What comes after that is for
// the writer to move between two batches, which is little, and lets the log start again.
type mover struct {
	dial   func() (*conn, error)
	logger *slog.Logger
	state  atomic.Int32 // moverState
	wg     sync.WaitGroup
	conn   *conn // of the goroutine that moves
}

type moverState = int32

const (
	resting moverState = iota
	moving
	moved
)

// passes is how often the mover goes through the log: what comes during the second time is about the square of what came during the first.
const passes = 2

// ready reports whether the writer is to move what is left. Where the mover has not begun it begins; and where it has not ended, it is waited for only if it must be: when the log has become too long.
func (m *mover) ready(r *readers, must bool) bool {
	if m == nil {
		return true
	}
	if must {
		m.wg.Wait()
	}
	switch m.state.Load() {
	case moved:
		m.state.Store(resting)
		return true
	case resting:
		m.state.Store(moving)
		m.wg.Go(func() {
			m.move(r)
			m.state.Store(moved)
		})
	}
	return false
}

func (m *mover) move(r *readers) {
	for range passes {
		r.rest(false) // a connection that rests with its snapshot keeps the log from being moved beyond it
		r.rest(true)
		if err := m.pass(); err != nil {
			m.logger.Warn("store: the write-ahead log could not be moved beside the writer; the writer moves it", "error", err)
			return
		}
	}
}

func (m *mover) pass() (err error) {
	if m.conn == nil || m.conn.broke {
		m.discard()
		if m.conn, err = m.dial(); err != nil {
			m.conn = nil
			return err
		}
	}
	defer m.conn.guard(&err)
	_, _, err = m.conn.c.WALCheckpoint("main", sqlite3.CHECKPOINT_PASSIVE)
	return sqliteFault(err)
}

func (m *mover) discard() {
	if m.conn != nil {
		m.conn.discard()
		m.conn = nil
	}
}

// close waits until nothing is moved.
func (m *mover) close() {
	if m != nil {
		m.wg.Wait()
		m.discard()
	}
}
