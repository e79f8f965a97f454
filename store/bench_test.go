package store_test

import (
	"context"
	"crypto/rand"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
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

// onEach runs bench on every engine that is there, and says beside its figures what the disk can do.
func onEach(b *testing.B, bench func(b *testing.B, db *store.DB)) {
	for name, url := range map[string]func(b *testing.B) string{
		"sqlite":   func(b *testing.B) string { return filepath.Join(b.TempDir(), "bench.db") },
		"postgres": func(b *testing.B) string { return storetest.PostgresURL(b) },
	} {
		b.Run(name, func(b *testing.B) {
			db, err := store.Open(b.Context(), url(b), store.Options{})
			if err != nil {
				b.Fatal(err)
			}
			defer db.Close()
			if err := db.Migrate(b.Context(), notes()); err != nil {
				b.Fatal(err)
			}
			rate := fsyncRate(b, b.TempDir())
			bench(b, db)
			b.ReportMetric(rate, "fsync/s")
		})
	}
}

func body(b *testing.B, size int) []byte {
	raw := make([]byte, size)
	if _, err := rand.Read(raw); err != nil {
		b.Fatal(err)
	}
	return raw
}

// insert is one row in a lane of its own choosing, as of one chart among many.
func insert(db *store.DB, id int64, raw []byte) error {
	lane := db.LaneOf("X26", strconv.FormatInt(id, 10))
	return db.Write(context.Background(), []store.Lane{lane}, func(tx *store.Tx) error {
		_, err := tx.Exec("INSERT INTO note (lane, id, body, raw) VALUES (?, ?, '', ?)", lane, id, raw)
		return err
	})
}

// BenchmarkWrite is one durable row of 2 KB per Write.
func BenchmarkWrite(b *testing.B) {
	for _, callers := range []int{1, 64} {
		b.Run(fmt.Sprintf("callers=%d", callers), func(b *testing.B) {
			onEach(b, func(b *testing.B, db *store.DB) { benchWrite(b, db, callers) })
		})
	}
}

func benchWrite(b *testing.B, db *store.DB, callers int) {
	raw := body(b, 2048)
	var n atomic.Int64
	done := make(chan error, callers)
	b.ResetTimer()
	for range callers {
		go func() {
			for {
				id := n.Add(1)
				if id > int64(b.N) {
					done <- nil
					return
				}
				if err := insert(db, id, raw); err != nil {
					done <- err
					return
				}
			}
		}()
	}
	for range callers {
		if err := <-done; err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.N)/b.Elapsed().Seconds(), "writes/s")
}

// BenchmarkPointRead is one row by its key per Read, from as many callers as there are processors.
func BenchmarkPointRead(b *testing.B) { onEach(b, benchPointRead) }

func benchPointRead(b *testing.B, db *store.DB) {
	raw := body(b, 512)
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
