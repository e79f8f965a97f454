package store

import (
	"path/filepath"
	"testing"
)

// The connection that writes holds more pages of a database that has grown beyond a size, also when it is replaced.
func TestTheWriterHoldsMoreOfALargeDatabase(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "large.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	w := db.eng.(*sqliteEngine).writer
	holds := func(pages int64, want int64) {
		t.Helper()
		w.widen(pages)
		if n, err := one(w.conn, "PRAGMA cache_size"); err != nil || n != want {
			t.Errorf("it holds %d KB (%v), not %d", -n, err, -want)
		}
	}
	pages, err := one(w.conn, "PRAGMA page_count")
	if err != nil || pages < 2 {
		t.Fatalf("%d pages: %v", pages, err)
	}
	holds(pages, -writeCache)
	holds(pages-1, -mostCache)
	w.conn.broke = true
	if err := w.reconnect(); err != nil {
		t.Fatal(err)
	}
	holds(pages, -writeCache)
	holds(pages-1, -mostCache)
}
