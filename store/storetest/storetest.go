// Package storetest gives a test an empty store on every engine that is there, stricter than a node's: each written
// function runs twice, first in a savepoint that is undone, so that one with an effect other than through its
// transaction is found.
package storetest

import (
	"path/filepath"
	"testing"

	"github.com/openspine/openspine/store"
)

// Open is a test's own store on SQLite, with the schemas given; it is closed when the test ends.
func Open(t testing.TB, schemas ...store.Schema) *store.DB {
	t.Helper()
	return OpenWith(t, store.Options{}, schemas...)
}

// OpenWith is Open with options of the test's own, Rehearse aside.
func OpenWith(t testing.TB, o store.Options, schemas ...store.Schema) *store.DB {
	t.Helper()
	o.Rehearse = true
	return open(t, filepath.Join(t.TempDir(), "test.db"), o, schemas...)
}

// Each runs test as a subtest on every engine, each time with a store of its own.
func Each(t *testing.T, test func(t *testing.T, db *store.DB), schemas ...store.Schema) {
	t.Helper()
	EachWith(t, store.Options{}, test, schemas...)
}

// EachWith is Each with options of the test's own, Rehearse aside.
func EachWith(t *testing.T, o store.Options, test func(t *testing.T, db *store.DB), schemas ...store.Schema) {
	t.Helper()
	t.Run("sqlite", func(t *testing.T) { test(t, OpenWith(t, o, schemas...)) })
	t.Run("postgres", func(t *testing.T) {
		url := PostgresURL(t)
		o.Rehearse = true
		test(t, open(t, url, o, schemas...))
	})
}

func open(t testing.TB, url string, o store.Options, schemas ...store.Schema) *store.DB {
	t.Helper()
	db, err := store.Open(t.Context(), url, o)
	if err != nil {
		t.Fatalf("opening a test store: %v", err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Errorf("closing the test store: %v", err)
		}
	})
	if err := db.Migrate(t.Context(), schemas...); err != nil {
		t.Fatalf("migrating a test store: %v", err)
	}
	return db
}
