package store_test

import (
	"sync/atomic"
	"testing"

	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storefault"
)

// A fleeting database is never forced to the disk, by whoever writes or moves its log, and is otherwise as any: another life of the process finds what was written.
func TestAFleetingDatabaseIsNotForcedToTheDisk(t *testing.T) {
	t.Parallel()
	for _, fleeting := range []bool{false, true} {
		disk := newDisk(t, 1)
		var synced atomic.Int64
		disk.Fail(func(op storefault.Op, _ string) error {
			if op == storefault.Sync {
				synced.Add(1)
			}
			return nil
		})
		open := func() *store.DB {
			t.Helper()
			db, err := store.Open(t.Context(), "/fleeting.db", store.Options{VFS: disk.VFS(), CheckpointPages: 10, Fleeting: fleeting})
			if err != nil {
				t.Fatal(err)
			}
			if err := db.Migrate(t.Context(), notes()); err != nil {
				t.Fatal(err)
			}
			return db
		}
		const rows = 200
		db := open()
		synced.Store(0) // a new database is forced to the disk once
		for i := range rows {
			if err := db.Write(t.Context(), nil, func(tx *store.Tx) error { return add(tx, i, "a note that takes up some room") }); err != nil {
				t.Fatal(err)
			}
			var n int
			if err := db.Read(t.Context(), func(tx *store.Tx) error { return tx.QueryRow("SELECT count(*) FROM note").Scan(&n) }); err != nil || n != i+1 {
				t.Fatalf("%d of %d rows are read: %v", n, i+1, err)
			}
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
		if n := synced.Load(); fleeting != (n == 0) {
			t.Errorf("fleeting: %v, and the disk was synced %d times", fleeting, n)
		}
		db = open()
		var n int
		if err := db.Read(t.Context(), func(tx *store.Tx) error { return tx.QueryRow("SELECT count(*) FROM note").Scan(&n) }); err != nil || n != rows {
			t.Errorf("%d of %d rows are there when it is opened again: %v", n, rows, err)
		}
		if err := db.Close(); err != nil {
			t.Fatal(err)
		}
	}
}
