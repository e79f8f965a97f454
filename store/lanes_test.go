package store_test

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/openspine/openspine/store"
)

func TestLanesNeverDeadlock(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		errs := together(16, func(i int) error {
			rng := rand.New(rand.NewPCG(uint64(i), 0))
			for n := range 10 {
				lanes := []store.Lane{store.Lane(rng.IntN(db.Lanes())) % 4, store.Lane(rng.IntN(db.Lanes())) % 4, 0}
				err := db.Write(context.Background(), lanes, func(tx *store.Tx) error {
					for _, lane := range lanes {
						seq, err := tx.Seq(lane)
						if err != nil {
							return err
						}
						if _, err := tx.Exec("INSERT INTO note (lane, id, body, seq, at) VALUES (?, ?, '', ?, ?)", lane, 1_000_000*int64(lane)+seq, seq, tx.At()); err != nil {
							return err
						}
					}
					return nil
				})
				if err != nil {
					return fmt.Errorf("write %d of caller %d: %w", n, i, err)
				}
			}
			return nil
		})
		if err := errors.Join(errs...); err != nil {
			t.Fatal(err)
		}
		checkLanes(t, db)
	})
}

// checkLanes looks for gaps in each lane's sequence, and for times that do not rise with it.
func checkLanes(t *testing.T, db *store.DB) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.Query("SELECT lane, seq, at FROM note ORDER BY lane, seq")
		if err != nil {
			return err
		}
		var last, lastSeq, lastAt int64 = -1, 0, 0
		for rows.Next() {
			var lane, seq, at int64
			if err := rows.Scan(&lane, &seq, &at); err != nil {
				return err
			}
			if lane != last {
				last, lastSeq, lastAt = lane, 0, 0
			}
			if seq != lastSeq+1 || at < lastAt {
				t.Errorf("lane %d: %d at %d follows %d at %d", lane, seq, at, lastSeq, lastAt)
			}
			lastSeq, lastAt = seq, at
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestSequenceOfAnotherLaneIsRefused(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		err := db.Write(t.Context(), []store.Lane{0}, func(tx *store.Tx) error {
			_, err := tx.Seq(1)
			return err
		})
		if err == nil {
			t.Error("a sequence of a lane that is not held was given out")
		}
		if err := db.Write(t.Context(), []store.Lane{store.Lane(db.Lanes())}, func(*store.Tx) error { return nil }); err == nil {
			t.Error("a lane that does not exist was given out")
		}
	})
}

// A Write that finds out late which lanes it needs takes those that nobody holds, without waiting, and has them like the others; what is undone lets go of them.
func TestFurtherLanesAreTakenWithoutWaiting(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		if db.Lanes() < 8 {
			return // one writer holds all there is
		}
		held, done := make(chan struct{}), make(chan struct{})
		ended := make(chan error, 1)
		go func() {
			ended <- db.Write(t.Context(), []store.Lane{5}, func(*store.Tx) error {
				select {
				case <-held:
				default: // a rehearsal comes here first
					close(held)
				}
				<-done
				return nil
			})
		}()
		<-held
		var seq int64
		err := db.Write(t.Context(), []store.Lane{1}, func(tx *store.Tx) error {
			if ok, err := tx.Take(2, 5); err != nil || ok || tx.Holds(2) || tx.Holds(5) {
				return fmt.Errorf("a lane that somebody else holds was taken, or one beside it: %v %w", ok, err)
			}
			undone := errors.New("undone")
			if err := tx.Savepoint(func() error {
				if ok, err := tx.Take(3); err != nil || !ok || !tx.Holds(3) {
					return fmt.Errorf("a free lane was not taken: %v %w", ok, err)
				}
				return undone
			}); !errors.Is(err, undone) {
				return err
			}
			if tx.Holds(3) {
				return errors.New("a lane is held whose lock was undone")
			}
			if ok, err := tx.Take(4, 1, 4, 3); err != nil || !ok || !tx.Holds(4) || !tx.Holds(3) {
				return fmt.Errorf("free lanes were not taken: %v %w", ok, err)
			}
			var err error
			if seq, err = tx.Seq(4); err != nil {
				return err
			}
			_, err = tx.Exec("INSERT INTO note (lane, id, body, seq, at) VALUES (4, 1, '', ?, ?)", seq, tx.At())
			return err
		})
		close(done)
		if err := errors.Join(err, <-ended); err != nil {
			t.Fatal(err)
		}
		if err := db.Write(t.Context(), []store.Lane{4}, func(tx *store.Tx) error {
			next, err := tx.Seq(4)
			var last time.Time
			if err == nil {
				err = tx.QueryRow("SELECT at FROM note WHERE lane = 4 AND id = 1").Scan(&last)
			}
			if err == nil && (next != seq+1 || !tx.At().After(last)) {
				err = fmt.Errorf("the next sequence is %d after %d, at %v after %v", next, seq, tx.At(), last)
			}
			return err
		}); err != nil {
			t.Fatal(err)
		}
	})
}
