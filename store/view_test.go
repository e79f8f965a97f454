package store_test

import (
	"context"
	"testing"

	"github.com/openspine/openspine/store"
)

func TestReadsUnderAViewShareItsSnapshot(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		fill(t, db, 3)
		seen := func(ctx context.Context) (n int64) {
			if err := db.Read(ctx, func(tx *store.Tx) error {
				return tx.QueryRow(`SELECT COUNT(*) FROM note`).Scan(&n)
			}); err != nil {
				t.Fatal(err)
			}
			return n
		}
		before := seen(ctx)
		var leaked context.Context
		err := db.View(ctx, func(view context.Context) error {
			leaked = view
			if got := seen(view); got != before {
				t.Errorf("the view sees %d, want %d", got, before)
			}
			if err := db.Write(view, nil, func(tx *store.Tx) error {
				_, err := tx.Exec(`DELETE FROM note`)
				return err
			}); err != nil {
				t.Fatal(err)
			}
			if got := seen(view); got != before {
				t.Errorf("after a write the view sees %d, want %d as before", got, before)
			}
			if got := seen(ctx); got != 0 {
				t.Errorf("beside the view there are %d, want none", got)
			}
			// A statement that fails is told to its own Read and spoils nothing for the next.
			if err := db.Read(view, func(tx *store.Tx) error {
				_, err := tx.Query(`SELECT nothing FROM nowhere`)
				return err
			}); err == nil {
				t.Error("a bad statement did not fail")
			}
			seen(view)
			done := make(chan int64)
			if err := db.Read(view, func(tx *store.Tx) error {
				go func() { done <- seen(view) }() // another goroutine, while the view is in use
				if got := <-done; got != 0 {
					t.Errorf("a second goroutine sees %d, want none: it has a snapshot of its own", got)
				}
				return nil
			}); err != nil {
				t.Error(err)
			}
			return nil
		})
		if err != nil {
			t.Fatal(err)
		}
		if got := seen(leaked); got != 0 {
			t.Errorf("once the view is over its context sees %d, want what is there now", got)
		}
	})
}

// A snapshot answers a question once; a Write, in which answers change, each time.
func TestASnapshotIsAskedOnce(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		fill(t, db, 3)
		asked := 0
		count := func(tx *store.Tx) int64 {
			n, err := store.Once(tx, "how many", func() (n int64, err error) {
				asked++
				err = tx.QueryRow(`SELECT COUNT(*) FROM note`).Scan(&n)
				return n, err
			})
			if err != nil {
				t.Error(err)
			}
			return n
		}
		var first, second, third int64
		if err := db.View(ctx, func(ctx context.Context) error {
			for _, n := range []*int64{&first, &second} {
				if err := db.Read(ctx, func(tx *store.Tx) error { *n = count(tx); return nil }); err != nil {
					return err
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if first == 0 || second != first || asked != 1 {
			t.Errorf("the snapshot held %d and then %d, and was asked %d times", first, second, asked)
		}
		if err := db.Write(ctx, nil, func(tx *store.Tx) error {
			before := count(tx)
			if _, err := tx.Exec(`DELETE FROM note`); err != nil {
				return err
			}
			third = before - count(tx)
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		if third != first {
			t.Errorf("a write that took all %d away saw %d go", first, third)
		}
		// What failed is asked again.
		if err := db.Read(ctx, func(tx *store.Tx) error {
			if _, err := store.Once(tx, 1, func() (int, error) { return 0, context.Canceled }); err == nil {
				t.Error("a failure was lost")
			}
			n, err := store.Once(tx, 1, func() (int, error) { return 5, nil })
			if n != 5 {
				t.Errorf("after a failure the answer is %d", n)
			}
			return err
		}); err != nil {
			t.Error(err)
		}
	})
}

// What is written aside is seen by whoever asks for it now, also under a View that began before; whatever else is written, by everybody.
func TestWhatIsWrittenAsideIsSeenByWhoeverAsks(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		ctx := context.Background()
		fill(t, db, 30)
		count := func(read func(context.Context, func(*store.Tx) error) error, ctx context.Context) (n int64) {
			if err := read(ctx, func(tx *store.Tx) error {
				return tx.QueryRow(`SELECT COUNT(*) FROM note`).Scan(&n)
			}); err != nil {
				t.Fatal(err)
			}
			return n
		}
		remove := func(write func(context.Context, []store.Lane, func(*store.Tx) error) error) {
			if err := write(ctx, nil, func(tx *store.Tx) error {
				_, err := tx.Exec(`DELETE FROM note WHERE id = (SELECT min(id) FROM note)`)
				return err
			}); err != nil {
				t.Fatal(err)
			}
		}
		was := count(db.Read, ctx)
		if err := db.View(ctx, func(view context.Context) error {
			count(db.Read, view)
			remove(db.WriteAside)
			if got := count(db.Read, view); got != was {
				t.Errorf("the view sees %d, want %d: it is a snapshot", got, was)
			}
			if db.Engine() == "sqlite" { // on PostgreSQL a View is one snapshot for everything
				if got := count(db.ReadNow, view); got != was-1 {
					t.Errorf("under the view there are now %d, want %d", got, was-1)
				}
			}
			return nil
		}); err != nil {
			t.Fatal(err)
		}
		for range 3 {
			was = count(db.ReadNow, ctx)
			remove(db.WriteAside)
			if got := count(db.Read, ctx); got != was && got != was-1 {
				t.Errorf("after a write aside a read sees %d, want %d or one less", got, was)
			}
			if got := count(db.ReadNow, ctx); got != was-1 {
				t.Errorf("after a write aside there are now %d, want %d", got, was-1)
			}
			remove(db.WriteAside)
			remove(db.Write)
			if got := count(db.Read, ctx); got != was-3 {
				t.Errorf("after a write a read sees %d, want %d", got, was-3)
			}
		}
	})
}
