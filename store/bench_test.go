package store_test

import (
	"context"
	"crypto/rand"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/store"
)

// fsyncRate is how many 4 KB appends a second the disk of dir makes durable one at a time: what bounds a lone writer.
func fsyncRate(b *testing.B, dir string) float64 {
	b.Helper()
	f, err := os.Create(filepath.Join(dir, "fsync"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	page := make([]byte, 4096)
	start, n := time.Now(), 0
	for time.Since(start) < 200*time.Millisecond {
		if _, err := f.Write(page); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		n++
	}
	return float64(n) / time.Since(start).Seconds()
}

func benchStore(b *testing.B) *store.DB {
	b.Helper()
	dir := b.TempDir()
	db, err := store.Open(b.Context(), filepath.Join(dir, "bench.db"), store.Options{})
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() {
		if err := db.Close(); err != nil {
			b.Error(err)
		}
	})
	if err := db.Migrate(b.Context(), notes()); err != nil {
		b.Fatal(err)
	}
	rate := fsyncRate(b, dir)
	b.Cleanup(func() { b.ReportMetric(rate, "fsync/s") })
	return db
}

func body(b *testing.B, size int) []byte {
	raw := make([]byte, size)
	if _, err := rand.Read(raw); err != nil {
		b.Fatal(err)
	}
	return raw
}

func insert(db *store.DB, id int64, raw []byte) error {
	return db.Write(context.Background(), nil, func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO note (lane, id, body, raw) VALUES (0, ?, '', ?)", id, raw)
		return err
	})
}

// BenchmarkWrite is one durable row of 2 KB per Write.
func BenchmarkWrite(b *testing.B) {
	for name, callers := range map[string]int{"1": 1, "64": 64} {
		b.Run("callers="+name, func(b *testing.B) {
			db, raw := benchStore(b), body(b, 2048)
			var id, n atomic.Int64
			b.ResetTimer()
			done := make(chan error, callers)
			for range callers {
				go func() {
					for n.Add(1) <= int64(b.N) {
						if err := insert(db, id.Add(1), raw); err != nil {
							done <- err
							return
						}
					}
					done <- nil
				}()
			}
			for range callers {
				if err := <-done; err != nil {
					b.Fatal(err)
				}
			}
			b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
		})
	}
}

// BenchmarkPointRead is one row by its key per Read, from as many callers as there are processors.
func BenchmarkPointRead(b *testing.B) {
	db, raw := benchStore(b), body(b, 512)
	const rows = 20_000
	err := db.Write(b.Context(), nil, func(tx *store.Tx) error {
		for i := range rows {
			if _, err := tx.Exec("INSERT INTO note (lane, id, body, raw) VALUES (0, ?, '', ?)", i, raw); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		b.Fatal(err)
	}
	var id atomic.Int64
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		var got []byte
		for pb.Next() {
			err := db.Read(context.Background(), func(tx *store.Tx) error {
				return tx.QueryRow("SELECT raw FROM note WHERE lane = 0 AND id = ?", id.Add(7919)%rows).Scan(&got)
			})
			if err != nil {
				b.Error(err)
				return
			}
		}
	})
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "reads/s")
}
