package store_test

import (
	"bytes"
	"context"
	"errors"
	"path/filepath"
	"sync"
	"testing"
	"testing/fstest"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// notes is a schema to test with: rows of text, and of bytes.
func notes() store.Schema {
	return store.Schema{Service: "notes", FS: fstest.MapFS{
		"0001_notes.sql": {Data: []byte(`
			CREATE TABLE note (lane INTEGER NOT NULL, id INTEGER NOT NULL, body TEXT NOT NULL, raw BLOB, seq INTEGER NOT NULL DEFAULT 0,
				at INTEGER NOT NULL DEFAULT 0, PRIMARY KEY (lane, id)) WITHOUT ROWID;`)},
	}}
}

func each(t *testing.T, test func(t *testing.T, db *store.DB)) { storetest.Each(t, test, notes()) }

func add(tx *store.Tx, id int, body string) error {
	_, err := tx.Exec("INSERT INTO note (lane, id, body) VALUES (0, ?, ?)", id, body)
	return err
}

func count(t *testing.T, db *store.DB) int {
	t.Helper()
	var n int
	err := db.Read(t.Context(), func(tx *store.Tx) error {
		return tx.QueryRow("SELECT count(*) FROM note").Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

func write(t *testing.T, db *store.DB, fn func(tx *store.Tx) error) {
	t.Helper()
	if err := db.Write(t.Context(), nil, fn); err != nil {
		t.Fatal(err)
	}
}

func TestWriteIsReadBack(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		var at time.Time
		write(t, db, func(tx *store.Tx) error {
			at = tx.At()
			n, err := tx.Exec("INSERT INTO note (lane, id, body, raw, at) VALUES (?, ?, ?, ?, ?)", store.Lane(0), 1, "Zoë O'Hara", []byte{0, 1, 255}, at)
			if err == nil && n != 1 {
				t.Errorf("inserting one row changed %d", n)
			}
			return err
		})
		err := db.Read(t.Context(), func(tx *store.Tx) error {
			var body string
			var raw []byte
			var back time.Time
			if err := tx.QueryRow("SELECT body, raw, at FROM note WHERE id = ?", 1).Scan(&body, &raw, &back); err != nil {
				return err
			}
			if body != "Zoë O'Hara" || !bytes.Equal(raw, []byte{0, 1, 255}) || !back.Equal(at) {
				t.Errorf("read back %q %v %v, want what was written at %v", body, raw, back, at)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestFailedWriteLeavesNothing(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		sorry := errors.New("sorry")
		err := db.Write(t.Context(), nil, func(tx *store.Tx) error { return errors.Join(add(tx, 1, "a"), sorry) })
		if !errors.Is(err, sorry) {
			t.Errorf("Write returned %v, want the function's own error", err)
		}
		if n := count(t, db); n != 0 {
			t.Errorf("a failed write left %d rows", n)
		}
	})
}

func TestDoubleKeyIsConflict(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		write(t, db, func(tx *store.Tx) error { return add(tx, 1, "a") })
		err := db.Write(t.Context(), nil, func(tx *store.Tx) error { return add(tx, 1, "b") })
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("a second row with the same key gave %v, want a conflict", err)
		}
	})
}

func TestSequenceHasNoGaps(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		var wg sync.WaitGroup
		for i := range 64 {
			wg.Go(func() {
				err := db.Write(context.Background(), nil, func(tx *store.Tx) error {
					seq, err := tx.Seq(0)
					if err != nil {
						return err
					}
					if i%8 == 7 {
						return errors.New("changed my mind")
					}
					_, err = tx.Exec("INSERT INTO note (lane, id, body, seq, at) VALUES (0, ?, '', ?, ?)", i, seq, tx.At())
					return err
				})
				if (err != nil) != (i%8 == 7) {
					t.Error(err)
				}
			})
		}
		wg.Wait()
		err := db.Read(t.Context(), func(tx *store.Tx) error {
			rows, err := tx.Query("SELECT seq, at FROM note ORDER BY seq")
			if err != nil {
				return err
			}
			var last time.Time
			want := int64(1)
			for ; rows.Next(); want++ {
				var seq int64
				var at time.Time
				if err := rows.Scan(&seq, &at); err != nil {
					return err
				}
				if seq != want || !at.After(last) {
					t.Errorf("sequence %d at %v follows %d at %v", seq, at, want-1, last)
				}
				last = at
			}
			if want != 57 {
				t.Errorf("%d rows, want 56", want-1)
			}
			return rows.Err()
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestTimeOutlivesClockJumpsAndRestarts(t *testing.T) {
	path := filepath.Join(t.TempDir(), "a.db")
	c := clock.NewFake(time.Date(2026, 6, 5, 9, 0, 0, 0, time.UTC))
	var last time.Time
	for range 3 {
		db, err := store.Open(t.Context(), path, store.Options{Clock: c})
		if err != nil {
			t.Fatal(err)
		}
		for range 3 {
			write(t, db, func(tx *store.Tx) error {
				if !tx.At().After(last) || tx.At().Nanosecond()%1000 != 0 {
					t.Errorf("%v follows %v", tx.At(), last)
				}
				last = tx.At()
				return nil
			})
			c.Advance(-time.Hour)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

func TestNestedWritePanics(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		for name, ctx := range map[string]func(tx *store.Tx) context.Context{
			"by its context": (*store.Tx).Context,
			"by its stack":   func(*store.Tx) context.Context { return context.Background() },
		} {
			t.Run(name, func(t *testing.T) {
				defer func() {
					if recover() == nil {
						t.Error("a nested write did not panic")
					}
				}()
				_ = db.Write(t.Context(), nil, func(tx *store.Tx) error {
					return db.Write(ctx(tx), nil, func(*store.Tx) error { return nil })
				})
			})
		}
		write(t, db, func(tx *store.Tx) error { return add(tx, 1, "the writer lives on") })
	})
}
