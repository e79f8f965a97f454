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
