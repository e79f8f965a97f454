package store_test

import (
	"bytes"
	"context"
	"os"
	"path/filepath"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

func fill(t *testing.T, db *store.DB, rows int) {
	t.Helper()
	write(t, db, func(tx *store.Tx) error {
		for i := range rows {
			seq, err := tx.Seq(0)
			if err != nil {
				return err
			}
			if _, err := tx.Exec("INSERT INTO note (lane, id, body, raw, seq, at) VALUES (0, ?, ?, ?, ?, ?)", i, "né à ☃", []byte{0, byte(i)}, seq, tx.At()); err != nil {
				return err
			}
		}
		_, err := tx.Exec("INSERT INTO note (lane, id, body, raw) VALUES (0, -1, '', NULL)")
		return err
	})
}

func contents(t *testing.T, db *store.DB) (all []string) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.Query("SELECT id, body, raw, seq, at FROM note ORDER BY id")
		if err != nil {
			return err
		}
		all = nil
		for rows.Next() {
			var id, seq, at int64
			var body string
			var raw []byte
			if err := rows.Scan(&id, &body, &raw, &seq, &at); err != nil {
				return err
			}
			all = append(all, string(raw)+body+string(rune(id))+string(rune(seq))+string(rune(at%1_000_000)))
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return all
}

func TestBackupIsRestoredOnEitherEngine(t *testing.T) {
	each(t, func(t *testing.T, db *store.DB) {
		fill(t, db, 12_000)
		var b bytes.Buffer
		stop, done := make(chan struct{}), make(chan error, 1)
		go func() { // writing goes on meanwhile
			for i := 100_000; ; i++ {
				select {
				case <-stop:
					done <- nil
					return
				default:
				}
				if err := db.Write(context.Background(), nil, func(tx *store.Tx) error { return add(tx, i, "meanwhile") }); err != nil {
					done <- err
					return
				}
			}
		}()
		err := db.Backup(t.Context(), &b)
		close(stop)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if err != nil {
			t.Fatal(err)
		}
		write(t, db, func(tx *store.Tx) error {
			_, err := tx.Exec("DELETE FROM note WHERE id >= 100000")
			return err
		})
		for name, url := range map[string]func(t *testing.T) string{
			"to sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "restored.db") },
			"to postgres": func(t *testing.T) string { return storetest.PostgresURL(t) },
		} {
			t.Run(name, func(t *testing.T) { restoreAndCompare(t, b.Bytes(), url(t), db) })
		}
	})
}

func restoreAndCompare(t *testing.T, backup []byte, url string, from *store.DB) {
	if err := store.Restore(t.Context(), bytes.NewReader(backup), url, store.Options{}); err != nil {
		t.Fatal(err)
	}
	if err := store.Restore(t.Context(), bytes.NewReader(backup), url, store.Options{}); !fault.Is(err, fault.Conflict) {
		t.Errorf("restoring over a database gave %v, want a conflict", err)
	}
	db, err := store.Open(t.Context(), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if db.Incarnation() == from.Incarnation() || db.Lanes() != from.Lanes() {
		t.Errorf("restored with incarnation %s and %d lanes from %s and %d", db.Incarnation(), db.Lanes(), from.Incarnation(), from.Lanes())
	}
	if err := db.Migrate(t.Context(), notes()); err != nil {
		t.Errorf("the restored database does not know its migrations: %v", err)
	}
	write(t, db, func(tx *store.Tx) error {
		if seq, err := tx.Seq(0); err != nil || seq != 12_001 {
			t.Errorf("the sequence goes on at %d (%v), want 12001", seq, err)
		}
		_, err := tx.Exec("DELETE FROM note WHERE id >= 100000")
		return err
	})
	was, is := contents(t, from), contents(t, db)
	if len(was) != len(is) {
		t.Fatalf("%d rows were restored of %d", len(is), len(was))
	}
	for i := range was {
		if was[i] != is[i] {
			t.Fatalf("row %d came back as %q, was %q", i, is[i], was[i])
		}
	}
}

func TestDamagedBackupIsRefused(t *testing.T) {
	db := storetest.Open(t, notes())
	fill(t, db, 100)
	var b bytes.Buffer
	if err := db.Backup(t.Context(), &b); err != nil {
		t.Fatal(err)
	}
	if m, err := store.VerifyBackup(bytes.NewReader(b.Bytes())); err != nil || len(m.Tables) != 2 {
		t.Errorf("a good backup: %v %v", m.Tables, err)
	}
	target := filepath.Join(t.TempDir(), "r.db")
	for cut := range b.Len() {
		damaged := bytes.Clone(b.Bytes())
		damaged[cut] ^= 0x20
		for _, bad := range [][]byte{damaged, b.Bytes()[:cut]} {
			if err := store.Restore(t.Context(), bytes.NewReader(bad), target, store.Options{}); !fault.Is(err, fault.Unprocessable) {
				t.Fatalf("a backup damaged at %d gave %v", cut, err)
			}
		}
	}
	if _, err := os.Stat(target); err == nil {
		t.Error("a refused restore left a database")
	}
}

func TestBackupFileIsWholeOrAbsent(t *testing.T) {
	db := storetest.Open(t, notes())
	fill(t, db, 10)
	path := filepath.Join(t.TempDir(), "b")
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := db.BackupFile(ctx, path); err == nil {
		t.Error("a cancelled backup succeeded")
	}
	if left, _ := filepath.Glob(path + "*"); left != nil {
		t.Errorf("a failed backup left %v", left)
	}
	if err := db.BackupFile(t.Context(), path); err != nil {
		t.Fatal(err)
	}
	if err := db.BackupFile(t.Context(), path); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second backup to the same place gave %v", err)
	}
}

func FuzzBackup(f *testing.F) {
	f.Add([]byte("openspine backup 1\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		if _, err := store.VerifyBackup(bytes.NewReader(b)); err != nil && !fault.Is(err, fault.Unprocessable) {
			t.Errorf("a bad backup is %v", err)
		}
	})
}
