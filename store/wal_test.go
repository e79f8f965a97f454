package store_test

import (
	"context"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"github.com/openspine/openspine/store"
)

// Where there is always somebody who reads, each for a moment, the log starts again all the same, and does not grow with what is written.
func TestTheLogStartsAgainUnderReaders(t *testing.T) {
	path := filepath.Join(t.TempDir(), "wal.db")
	db, err := store.Open(t.Context(), path, store.Options{CheckpointPages: 20})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	write := func(query string, args ...any) {
		t.Helper()
		if err := db.Write(t.Context(), nil, func(tx *store.Tx) error {
			_, err := tx.Exec(query, args...)
			return err
		}); err != nil {
			t.Fatal(err)
		}
	}
	write(`CREATE TABLE t (k INTEGER PRIMARY KEY, v BLOB)`)
	ctx, cancel := context.WithCancel(t.Context())
	began := [2]chan struct{}{make(chan struct{}, 1), make(chan struct{}, 1)}
	var readers sync.WaitGroup
	for me := range 2 { // each ends when the other has begun again
		readers.Go(func() {
			for round := 0; ctx.Err() == nil; round++ {
				if err := db.Read(context.Background(), func(tx *store.Tx) error {
					var n int
					if err := tx.QueryRow(`SELECT count(*) FROM t WHERE k = 1`).Scan(&n); err != nil {
						return err
					}
					if me+round > 0 {
						began[1-me] <- struct{}{}
					}
					select {
					case <-began[me]:
					case <-ctx.Done():
					}
					return nil
				}); err != nil {
					t.Error(err)
				}
			}
		})
	}
	most, body := int64(0), make([]byte, 64<<10)
	for i := range 300 {
		write(`INSERT INTO t (k, v) VALUES (?, ?)`, i, body)
		if info, err := os.Stat(path + "-wal"); err == nil {
			most = max(most, info.Size())
		}
	}
	cancel()
	readers.Wait()
	if most > 4<<20 {
		t.Errorf("the log grew to %d bytes", most)
	}
}
