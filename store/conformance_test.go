package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"runtime"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// plainly is each without the rehearsal, for tests that count or time the runs of a function.
func plainly(t *testing.T, o store.Options, test func(t *testing.T, db *store.DB)) {
	t.Helper()
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "plain.db") },
		"postgres": func(t *testing.T) string { return storetest.PostgresURL(t) },
	} {
		t.Run(name, func(t *testing.T) {
			db, err := store.Open(t.Context(), url(t), o)
			if err != nil {
				t.Fatal(err)
			}
			t.Cleanup(func() {
				if err := db.Close(); err != nil {
					t.Error(err)
				}
			})
			if err := db.Migrate(t.Context(), notes()); err != nil {
				t.Fatal(err)
			}
			test(t, db)
		})
	}
}

func has(t *testing.T, db *store.DB, id int) bool {
	t.Helper()
	var n int
	err := db.Read(context.Background(), func(tx *store.Tx) error {
		return tx.QueryRow("SELECT count(*) FROM note WHERE id = ?", id).Scan(&n)
	})
	if err != nil {
		t.Fatal(err)
	}
	return n == 1
}

// together runs fn n times at once and hands out the errors.
func together(n int, fn func(i int) error) []error {
	errs := make([]error, n)
	var wg sync.WaitGroup
	for i := range n {
		wg.Go(func() { errs[i] = fn(i) })
	}
	wg.Wait()
	return errs
}

func TestCancelledCallerHurtsNobodyElse(t *testing.T) {
	plainly(t, store.Options{}, func(t *testing.T, db *store.DB) {
		errs := together(32, func(i int) error {
			ctx, cancel := context.WithCancel(context.Background())
			defer cancel()
			return db.Write(ctx, []store.Lane{store.Lane(i % db.Lanes())}, func(tx *store.Tx) error {
				if i%2 == 1 {
					cancel() // in mid-transaction
				}
				return add(tx, i, "")
			})
		})
		for i, err := range errs {
			if i%2 == 0 && err != nil {
				t.Errorf("a neighbour of a cancelled caller got %v", err)
			}
			if got := has(t, db, i); got != (err == nil) {
				t.Errorf("write %d returned %v and its row is there: %v", i, err, got)
			}
		}
	})
}

func TestWaitingWriterThatGivesUpIsNotRun(t *testing.T) {
	plainly(t, store.Options{}, func(t *testing.T, db *store.DB) {
		inside, leave := make(chan struct{}), make(chan struct{})
		first := make(chan error, 1)
		go func() {
			first <- db.Write(context.Background(), nil, func(*store.Tx) error {
				close(inside)
				<-leave
				return nil
			})
		}()
		<-inside
		ctx, cancel := context.WithCancel(t.Context())
		second := make(chan error, 1)
		var ran atomic.Bool
		go func() {
			second <- db.Write(ctx, nil, func(tx *store.Tx) error {
				ran.Store(true)
				return add(tx, 1, "")
			})
		}()
		cancel()
		if err := <-second; !fault.Is(err, fault.Timeout) || !errors.Is(err, context.Canceled) {
			t.Errorf("a writer that gave up got %v", err)
		}
		close(leave)
		if err := <-first; err != nil {
			t.Error(err)
		}
		if ran.Load() || has(t, db, 1) {
			t.Error("a writer that gave up was run all the same")
		}
	})
}

func TestOpenRowsAreClosed(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		fill(t, db, 100)
		var rows *store.Rows
		write(t, db, func(tx *store.Tx) (err error) {
			if err := add(tx, 1000, "before"); err != nil {
				return err
			}
			if rows, err = tx.Query("SELECT id FROM note"); err != nil {
				return err
			}
			rows.Next()
			return nil
		})
		if rows.Next() {
			t.Error("rows outlived their transaction")
		}
		if !has(t, db, 1000) {
			t.Error("rows left open lost the write")
		}
		for range 50 { // more than there are readers
			err := db.Read(t.Context(), func(tx *store.Tx) error {
				rows, err := tx.Query("SELECT id FROM note")
				if err == nil {
					rows.Next()
				}
				return err
			})
			if err != nil {
				t.Fatal(err)
			}
		}
	})
}

func TestStatementInsideOpenRowsIsRefused(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		fill(t, db, 3)
		err := db.Write(t.Context(), nil, func(tx *store.Tx) error {
			rows, err := tx.Query("SELECT id FROM note")
			if err != nil {
				return err
			}
			defer rows.Close()
			rows.Next()
			if err := add(tx, 50, ""); err == nil {
				t.Error("a statement ran inside open rows")
			}
			return nil
		})
		if err == nil || has(t, db, 50) {
			t.Errorf("after a refused statement the write returned %v", err)
		}
	})
}

func TestPanicLeavesTheWriterAlive(t *testing.T) {
	plainly(t, store.Options{}, func(t *testing.T, db *store.DB) {
		errs := together(24, func(i int) (err error) {
			defer func() {
				if p := recover(); p != nil {
					err = fmt.Errorf("panicked: %v", p)
				}
			}()
			if i%6 == 4 { // testing.T.FailNow ends the goroutine without a panic
				done := make(chan struct{})
				go func() {
					defer close(done)
					_ = db.Write(context.Background(), nil, func(tx *store.Tx) error {
						if err := add(tx, i, ""); err != nil {
							return err
						}
						runtime.Goexit()
						return nil
					})
				}()
				<-done
				return errors.New("ended")
			}
			return db.Write(context.Background(), nil, func(tx *store.Tx) error {
				seq, err := tx.Seq(0)
				if err != nil {
					return err
				}
				if _, err := tx.Exec("INSERT INTO note (lane, id, body, seq) VALUES (0, ?, '', ?)", i, seq); err != nil {
					return err
				}
				if i%6 == 5 {
					rows, err := tx.Query("SELECT id FROM note")
					if err == nil {
						rows.Next()
					}
					panic("slipped")
				}
				return err
			})
		})
		for i, err := range errs {
			bad := i%6 >= 4
			if (err != nil) != bad || has(t, db, i) == bad {
				t.Errorf("write %d: %v, its row is there: %v", i, err, has(t, db, i))
			}
		}
		write(t, db, func(tx *store.Tx) error {
			if seq, err := tx.Seq(0); err != nil || seq != 17 {
				t.Errorf("after 16 good writes and 8 bad ones the sequence is %d (%v)", seq, err)
			}
			return nil
		})
	})
}

func TestFailedStatementHurtsNoNeighbour(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		write(t, db, func(tx *store.Tx) error { return add(tx, -1, "taken") })
		errs := together(64, func(i int) error {
			return db.Write(context.Background(), nil, func(tx *store.Tx) error {
				if err := add(tx, i, ""); err != nil {
					return err
				}
				switch i % 8 {
				case 5:
					return add(tx, -1, "") // a conflict
				case 6:
					_, err := tx.Exec("INSERT INTO nowhere VALUES (1)")
					return err
				case 7:
					_, _ = tx.Exec("INSERT INTO note (lane, id, body) VALUES (0, ?, NULL)", 100+i) // dropped: it still counts
				}
				return nil
			})
		})
		for i, err := range errs {
			if bad := i%8 >= 5; (err != nil) != bad || has(t, db, i) == bad {
				t.Errorf("write %d: %v, its row is there: %v", i, err, has(t, db, i))
			}
			if i%8 == 5 && !fault.Is(err, fault.Conflict) {
				t.Errorf("write %d: %v, want a conflict", i, err)
			}
		}
	})
}

func TestFailurePoisonsUntilItsSavepoint(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		write(t, db, func(tx *store.Tx) error {
			if err := add(tx, 1, "before"); err != nil {
				return err
			}
			err := tx.Savepoint(func() error {
				if _, err := tx.Seq(0); err != nil {
					return err
				}
				if err := add(tx, 2, "undone"); err != nil {
					return err
				}
				_ = add(tx, 1, "a double")
				if err := add(tx, 3, "too late"); err == nil {
					t.Error("a statement ran after a failed one")
				}
				return nil
			})
			if !fault.Is(err, fault.Conflict) {
				t.Errorf("the savepoint returned %v, want its failed statement", err)
			}
			if err := tx.Savepoint(func() error { return tx.Savepoint(func() error { return add(tx, 4, "nested") }) }); err != nil {
				return err
			}
			if seq, err := tx.Seq(0); err != nil || seq != 1 {
				t.Errorf("the sequence is %d (%v) after a savepoint that was undone, want 1", seq, err)
			}
			return add(tx, 5, "after")
		})
		for id, want := range map[int]bool{1: true, 2: false, 3: false, 4: true, 5: true} {
			if has(t, db, id) != want {
				t.Errorf("row %d is there: %v, want %v", id, !want, want)
			}
		}
	})
}

func TestAbsentRowPoisonsNothing(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		write(t, db, func(tx *store.Tx) error {
			var body string
			if err := tx.QueryRow("SELECT body FROM note WHERE id = 9").Scan(&body); !fault.Is(err, fault.NotFound) {
				t.Errorf("an absent row is %v", err)
			}
			return add(tx, 9, "")
		})
	})
}

func TestReadIsOneSnapshot(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		fill(t, db, 10)
		err := db.Read(t.Context(), func(tx *store.Tx) error {
			var before, after int
			if err := tx.QueryRow("SELECT count(*) FROM note").Scan(&before); err != nil {
				return err
			}
			done := make(chan error)
			go func() {
				done <- db.Write(context.Background(), nil, func(tx *store.Tx) error { return add(tx, 500, "new") })
			}()
			if err := <-done; err != nil { // the writer did not wait for the reader
				return err
			}
			if !has(t, db, 500) {
				t.Error("a read after a write does not see it")
			}
			if err := tx.QueryRow("SELECT count(*) FROM note").Scan(&after); err != nil {
				return err
			}
			if before != after {
				t.Errorf("a snapshot went from %d rows to %d", before, after)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
	})
}

func TestReadCannotWrite(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		if err := db.Read(t.Context(), func(tx *store.Tx) error { return add(tx, 1, "") }); err == nil {
			t.Error("a read wrote")
		}
		if has(t, db, 1) {
			t.Error("what a read wrote is there")
		}
	})
}

// endless counts for longer than anyone would wait.
const endless = "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 1000000000) SELECT max(i) FROM n"

func TestReadIsLimitedInTime(t *testing.T) {
	plainly(t, store.Options{ReadLimit: time.Second}, func(t *testing.T, db *store.DB) {
		var n int64
		err := db.Read(t.Context(), func(tx *store.Tx) error { return tx.QueryRow(endless).Scan(&n) })
		if !fault.Is(err, fault.Timeout) {
			t.Errorf("an endless read gave %v, want a timeout", err)
		}
	})
	c := clock.NewFake(time.Date(2026, 6, 5, 9, 0, 0, 0, time.UTC))
	plainly(t, store.Options{ReadLimit: time.Minute, Clock: c}, func(t *testing.T, db *store.DB) {
		err := db.Read(t.Context(), func(tx *store.Tx) error {
			c.Advance(2 * time.Minute)
			var n int
			return tx.QueryRow("SELECT count(*) FROM note").Scan(&n)
		})
		if !fault.Is(err, fault.Timeout) {
			t.Errorf("a snapshot held too long gave %v, want a timeout", err)
		}
	})
	plainly(t, store.Options{}, func(t *testing.T, db *store.DB) {
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		var n int64
		err := db.Read(ctx, func(tx *store.Tx) error { return tx.QueryRow(endless).Scan(&n) })
		if !fault.Is(err, fault.Timeout) || !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("a read whose caller left gave %v", err)
		}
	})
}

func TestBigBlob(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		big := bytes.Repeat([]byte("0123456789abcdef"), 10<<20/16)
		write(t, db, func(tx *store.Tx) error {
			_, err := tx.Exec("INSERT INTO note (lane, id, body, raw) VALUES (0, 1, '', ?)", big)
			return err
		})
		var back []byte
		err := db.Read(t.Context(), func(tx *store.Tx) error { return tx.QueryRow("SELECT raw FROM note").Scan(&back) })
		if err != nil || !bytes.Equal(back, big) {
			t.Errorf("10 MB came back as %d bytes (%v)", len(back), err)
		}
	})
}

func TestCloseWhileWriting(t *testing.T) {
	for name, url := range map[string]string{"sqlite": filepath.Join(t.TempDir(), "c.db"), "postgres": ""} {
		t.Run(name, func(t *testing.T) {
			if url == "" {
				url = storetest.PostgresURL(t)
			}
			db, err := store.Open(t.Context(), url, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Migrate(t.Context(), notes()); err != nil {
				t.Fatal(err)
			}
			started := make(chan struct{}, 1000)
			var wg sync.WaitGroup
			acked := make([]int, 16)
			for i := range acked {
				wg.Go(func() {
					for n := 0; ; n++ {
						err := db.Write(context.Background(), nil, func(tx *store.Tx) error { return add(tx, 1000*i+n, "") })
						if err != nil {
							if !fault.Is(err, fault.Unavailable) {
								t.Errorf("a write during close gave %v", err)
							}
							return
						}
						acked[i]++
						select {
						case started <- struct{}{}:
						default:
						}
					}
				})
			}
			for range 50 {
				<-started
			}
			if err := db.Close(); err != nil {
				t.Error(err)
			}
			wg.Wait()
			if err := db.Read(t.Context(), func(*store.Tx) error { return nil }); !fault.Is(err, fault.Unavailable) {
				t.Errorf("a read after close gave %v", err)
			}
			again, err := store.Open(t.Context(), url, store.Options{})
			if err != nil {
				t.Fatal(err)
			}
			defer again.Close()
			want := 0
			for _, n := range acked {
				want += n
			}
			if got := count(t, again); got != want {
				t.Errorf("%d rows after %d acknowledged writes", got, want)
			}
		})
	}
}

func TestTxIsOverWithItsFunction(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		var kept *store.Tx
		write(t, db, func(tx *store.Tx) error { kept = tx; return nil })
		if err := add(kept, 1, ""); err == nil {
			t.Error("a transaction was used after its function had returned")
		}
	})
}

func TestRehearsalFindsImpureFunctions(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		var seen []int
		write(t, db, func(tx *store.Tx) error {
			seen = append(seen, 1) // an effect other than through the transaction
			return add(tx, 1, "")
		})
		if len(seen) != 2 {
			t.Errorf("the function ran %d times, want twice", len(seen))
		}
	})
}

func TestTooManyWaiting(t *testing.T) {
	for name, c := range map[string]struct {
		url     string
		running int // at once, besides those that wait
	}{"sqlite": {filepath.Join(t.TempDir(), "q.db"), 1}, "postgres": {"", 32}} {
		t.Run(name, func(t *testing.T) {
			if c.url == "" {
				c.url = storetest.PostgresURL(t)
			}
			db, err := store.Open(t.Context(), c.url, store.Options{MaxQueue: 4})
			if err != nil {
				t.Fatal(err)
			}
			defer db.Close()
			tooMany(t, db, c.running+4)
		})
	}
}

// tooMany has one write in its function and as many others as fit behind it; eight more must be told to come back.
func tooMany(t *testing.T, db *store.DB, fit int) {
	inside, leave := make(chan struct{}), make(chan struct{})
	first := make(chan error, 1)
	go func() {
		first <- db.Write(context.Background(), nil, func(*store.Tx) error {
			close(inside)
			<-leave
			return nil
		})
	}()
	<-inside
	errs := make(chan error, fit+7)
	for range fit + 7 {
		go func() { errs <- db.Write(context.Background(), nil, func(*store.Tx) error { return nil }) }()
	}
	for range 8 { // these do not wait
		if err := <-errs; !fault.Is(err, fault.Unavailable) {
			t.Errorf("a write too many gave %v", err)
		}
	}
	close(leave)
	for range fit - 1 {
		if err := <-errs; err != nil {
			t.Error(err)
		}
	}
	if err := <-first; err != nil {
		t.Error(err)
	}
}
