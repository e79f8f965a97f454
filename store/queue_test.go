package store_test

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

const addNote = "INSERT INTO note (lane, id, body) VALUES (0, ?, ?)"

func ids(t *testing.T, db *store.DB) []int {
	t.Helper()
	var list []int
	err := db.Read(t.Context(), func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query("SELECT id FROM note ORDER BY id")
		if err != nil {
			return err
		}
		for rows.Next() {
			var id int
			if err := rows.Scan(&id); err != nil {
				return err
			}
			list = append(list, id)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return list
}

func TestQueuedStatementsRunBeforeTheNextAnswerAndTheCommit(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		write(t, db, func(tx *store.Tx) error {
			args := []any{1, "first"}
			if err := tx.Queue(addNote, args...); err != nil {
				return err
			}
			args[0], args[1] = 2, "second" // the slice is the caller's again
			if err := tx.Queue(addNote, args...); err != nil {
				return err
			}
			var n int
			if err := tx.QueryRow("SELECT count(*) FROM note").Scan(&n); err != nil || n != 2 {
				t.Errorf("after two queued rows there are %d (%v)", n, err)
			}
			if err := tx.Queue(addNote, 3, ""); err != nil {
				return err
			}
			if n, err := tx.Exec("UPDATE note SET body = 'changed' WHERE id = 3"); err != nil || n != 1 {
				t.Errorf("a queued row was changed %d times (%v)", n, err)
			}
			if err := tx.Queue(addNote, 4, ""); err != nil {
				return err
			}
			if err := tx.Savepoint(func() error { return tx.Queue(addNote, 5, "") }); err != nil {
				return err
			}
			for id := 100; id < 1700; id++ { // more than is held back
				if err := tx.Queue(addNote, id, ""); err != nil {
					return err
				}
			}
			return tx.Queue(addNote, 6, "")
		})
		if list := ids(t, db); len(list) != 1606 || !slices.Equal(list[:6], []int{1, 2, 3, 4, 5, 6}) {
			t.Errorf("%d rows are there, and first %v", len(list), list[:min(6, len(list))])
		}
	})
}

func TestQueuedFailureFailsWhereItWasQueued(t *testing.T) {
	taken := errors.New("taken")
	explain := func(err error) error {
		if !fault.Is(err, fault.Conflict) {
			t.Errorf("explaining %v, want a conflict", err)
		}
		return fmt.Errorf("%w: %w", taken, err)
	}
	double := func(tx *store.Tx) error { return tx.QueueOr(explain, addNote, 1, "a double") }
	for name, c := range map[string]struct {
		fn   func(t *testing.T, tx *store.Tx) error
		fine bool
		want []int
	}{
		"at the commit":  {fn: func(_ *testing.T, tx *store.Tx) error { return errors.Join(tx.Queue(addNote, 2, ""), double(tx)) }},
		"among others":   {fn: func(_ *testing.T, tx *store.Tx) error { _ = double(tx); _ = tx.Queue(addNote, 2, ""); return nil }},
		"when many wait": {fn: func(_ *testing.T, tx *store.Tx) error { _ = double(tx); return fillQueue(tx) }},
		"told by a query": {fn: func(t *testing.T, tx *store.Tx) error {
			_ = double(tx)
			var n int
			if err := tx.QueryRow("SELECT count(*) FROM note").Scan(&n); !fault.Is(err, fault.Conflict) {
				t.Errorf("a query after a queued double gave %v", err)
			}
			return nil
		}},
		"told by a statement": {fn: func(t *testing.T, tx *store.Tx) error {
			_ = double(tx)
			if err := add(tx, 2, ""); !fault.Is(err, fault.Conflict) {
				t.Errorf("a statement after a queued double gave %v", err)
			}
			return nil
		}},
		"before a savepoint": {fn: func(t *testing.T, tx *store.Tx) error {
			_ = double(tx)
			err := tx.Savepoint(func() error {
				t.Error("a savepoint was entered after a failed statement")
				return nil
			})
			if !fault.Is(err, fault.Conflict) {
				t.Errorf("the savepoint after a queued double gave %v", err)
			}
			return nil
		}},
		"in a savepoint": {fine: true, want: []int{1, 2, 5}, fn: func(t *testing.T, tx *store.Tx) error {
			if err := tx.Queue(addNote, 2, ""); err != nil {
				return err
			}
			err := tx.Savepoint(func() error {
				if err := tx.Savepoint(func() error { return tx.Queue(addNote, 3, "") }); err != nil {
					return err
				}
				return errors.Join(tx.Queue(addNote, 4, ""), double(tx))
			})
			if !errors.Is(err, taken) {
				t.Errorf("the savepoint with a queued double gave %v", err)
			}
			return tx.Queue(addNote, 5, "")
		}},
		"of a savepoint that failed": {fine: true, want: []int{1, 5}, fn: func(t *testing.T, tx *store.Tx) error {
			sorry := errors.New("sorry")
			err := tx.Savepoint(func() error { return errors.Join(double(tx), tx.Savepoint(func() error { return sorry }), sorry) })
			if err == nil {
				t.Error("a savepoint whose function failed did not")
			}
			return tx.Queue(addNote, 5, "")
		}},
	} {
		t.Run(name, func(t *testing.T) {
			each(t, func(t *testing.T, db *store.DB) {
				write(t, db, func(tx *store.Tx) error { return add(tx, 1, "") })
				err := db.Write(t.Context(), nil, func(tx *store.Tx) error { return c.fn(t, tx) })
				if c.fine != (err == nil) || !c.fine && !errors.Is(err, taken) {
					t.Errorf("the write gave %v", err)
				}
				want := c.want
				if want == nil {
					want = []int{1}
				}
				if list := ids(t, db); !slices.Equal(list, want) {
					t.Errorf("the rows are %v, want %v", list, want)
				}
				write(t, db, func(tx *store.Tx) error { return tx.Queue(addNote, 9, "and on it goes") })
			})
		})
	}
}

func fillQueue(tx *store.Tx) error {
	for id := 100; id < 900; id++ {
		if err := tx.Queue(addNote, id, ""); err != nil {
			return nil //nolint:nilerr // the write has to fail of itself
		}
	}
	return nil
}

func TestQueueIsRefusedWhereAStatementIs(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		fill(t, db, 3)
		if err := db.Read(t.Context(), func(tx *store.Tx) error { return tx.Queue(addNote, 50, "") }); err == nil {
			t.Error("a read took a statement")
		}
		err := db.Write(t.Context(), nil, func(tx *store.Tx) error {
			rows, err := tx.Query("SELECT id FROM note")
			if err != nil {
				return err
			}
			defer rows.Close()
			rows.Next()
			if err := tx.Queue(addNote, 50, ""); err == nil {
				t.Error("a statement was queued inside open rows")
			}
			return nil
		})
		if err == nil || has(t, db, 50) {
			t.Errorf("after a refused statement the write returned %v", err)
		}
		var kept *store.Tx
		write(t, db, func(tx *store.Tx) error { kept = tx; return nil })
		if err := kept.Queue(addNote, 50, ""); err == nil {
			t.Error("a transaction was used after its function had returned")
		}
	})
}

func TestPanicLeavesNothingQueued(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		func() {
			defer func() { _ = recover() }()
			_ = db.Write(t.Context(), nil, func(tx *store.Tx) error {
				_ = tx.Queue(addNote, 1, "")
				panic("slipped")
			})
		}()
		write(t, db, func(tx *store.Tx) error { return tx.Queue(addNote, 2, "") })
		if list := ids(t, db); !slices.Equal(list, []int{2}) {
			t.Errorf("the rows are %v", list)
		}
	})
}

// TestQueueMakesNoDifference runs random programs twice, with their inserts queued and not, in savepoints or not, some of them
// failing: what they leave, what they saw and how their savepoints ended is the same.
func TestQueueMakesNoDifference(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		for seed := range uint64(60) {
			var want string
			for _, queued := range []bool{false, true} {
				write(t, db, func(tx *store.Tx) error {
					_, err := tx.Exec("DELETE FROM note")
					return err
				})
				var p *program
				err := db.Write(t.Context(), nil, func(tx *store.Tx) error {
					p = &program{rng: rand.New(rand.NewPCG(seed, 0)), queued: queued, tx: tx}
					return p.run(2)
				})
				got := fmt.Sprint(err != nil, p.said, ids(t, db))
				if !queued {
					want = got
				} else if got != want {
					t.Fatalf("seed %d: queued: %s\nat once: %s", seed, got, want)
				}
			}
		}
	})
}

// program is a random transaction. What it draws from rng does not depend on how its statements go.
type program struct {
	rng    *rand.Rand
	queued bool
	tx     *store.Tx
	said   []string
}

func (p *program) run(deeper int) error {
	var failed error
	first := rand.New(rand.NewPCG(p.rng.Uint64(), 1))
	for range 1 + first.IntN(5) {
		step, id, seed := first.IntN(8), first.IntN(25), first.Uint64()
		if failed != nil {
			return failed
		}
		switch {
		case step == 0 && deeper > 0:
			inner := &program{rng: rand.New(rand.NewPCG(seed, 2)), queued: p.queued, tx: p.tx}
			entered := false
			err := p.tx.Savepoint(func() error { entered = true; return inner.run(deeper - 1) })
			if !entered {
				return err // an earlier statement's failure
			}
			p.said = append(p.said, fmt.Sprint("savepoint ", inner.said, err != nil))
		case step == 1:
			var n int
			if failed = p.tx.QueryRow("SELECT count(*) FROM note").Scan(&n); failed == nil {
				p.said = append(p.said, fmt.Sprint("count ", n))
			}
		case step == 2 && seed%3 == 0:
			failed = fault.New(fault.Gone, "given up")
		case p.queued:
			failed = p.tx.Queue(addNote, id, "")
		default:
			failed = add(p.tx, id, "")
		}
	}
	return failed
}

func TestAnalyzeTellsThePlanner(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		fill(t, db, 100)
		if err := db.Analyze(t.Context()); err != nil {
			t.Fatal(err)
		}
		if db.Engine() != "postgres" {
			return
		}
		var rows int
		err := db.Read(t.Context(), func(tx *store.Tx) error {
			return tx.QueryRow("SELECT CAST(reltuples AS BIGINT) FROM pg_class WHERE oid = CAST('note' AS regclass)").Scan(&rows)
		})
		if err != nil || rows < 100 || rows > 200 { // an estimate, which may count what was undone
			t.Errorf("the planner knows of %d rows (%v)", rows, err)
		}
	})
}
