package store

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/fstest"
	"time"
)

// mappedOf is the file system of the connections that read db.
func mappedOf(t *testing.T, db *DB) *mapped {
	t.Helper()
	m := db.eng.(*sqliteEngine).mapped
	if m == nil {
		t.Fatal("this machine's file system is not known")
	}
	return m
}

// reachedBy is the mapping once the file has at least so many bytes: the log is moved into it beside the writer, so what was just written may not be there yet.
func reachedBy(t *testing.T, db *DB, m *mapped, size int64) *mapping {
	t.Helper()
	for x := range 2000 {
		if at := m.at.Load(); at != nil && at.size.Load() >= size {
			return at
		}
		if err := db.Write(t.Context(), nil, func(tx *Tx) error {
			_, err := tx.Exec(`INSERT INTO b (x) VALUES (?) ON CONFLICT (x) DO NOTHING`, x)
			return err
		}); err != nil {
			t.Fatal(err)
		}
		var n int
		if err := db.Read(t.Context(), func(tx *Tx) error { return tx.QueryRow(`SELECT COUNT(*) FROM a`).Scan(&n) }); err != nil {
			t.Fatal(err)
		}
		time.Sleep(5 * time.Millisecond)
	}
	t.Fatalf("the file is not read through a mapping of %d bytes", size)
	return nil
}

// Those who read copy from the mapping what the writer has moved into the file since it was made, also when the file has outgrown it.
func TestWhatIsWrittenIsReadFromTheMapping(t *testing.T) {
	t.Parallel()
	db, err := Open(t.Context(), filepath.Join(t.TempDir(), "test.db"), Options{CheckpointPages: 50})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context(), Schema{Service: "a", FS: fstest.MapFS{"0001_a.sql": {Data: []byte(`CREATE TABLE a (x INTEGER NOT NULL, y BLOB NOT NULL, PRIMARY KEY (x)); CREATE TABLE b (x INTEGER PRIMARY KEY);`)}}}); err != nil {
		t.Fatal(err)
	}
	body := func(x, round int) []byte { return bytes.Repeat([]byte{byte(x), byte(round)}, 1500) }
	m := mappedOf(t, db)
	var mappings []*mapping
	for round := range 4 {
		for from := 0; from < 300; from += 30 {
			if err := db.Write(t.Context(), nil, func(tx *Tx) error {
				for x := from; x < from+30; x++ {
					if _, err := tx.Exec(`INSERT INTO a (x, y) VALUES (?, ?) ON CONFLICT (x) DO UPDATE SET y = excluded.y`, 1000*(round/2)+x, body(x, round)); err != nil {
						return err
					}
				}
				return nil
			}); err != nil {
				t.Fatal(err)
			}
		}
		var wait sync.WaitGroup
		for range 4 {
			wait.Go(func() {
				for x := range 300 {
					var y []byte
					err := db.Read(t.Context(), func(tx *Tx) error { return tx.QueryRow(`SELECT y FROM a WHERE x = ?`, 1000*(round/2)+x).Scan(&y) })
					if err != nil || !bytes.Equal(y, body(x, round)) {
						t.Errorf("round %d, row %d: %d bytes, %v", round, x, len(y), err)
						return
					}
				}
			})
		}
		wait.Wait()
		at := reachedBy(t, db, m, int64(300*3000*(round/2+1)))
		if round == 1 { // as if the file had outgrown it
			short := &mapping{file: at.file, bytes: at.bytes[:at.size.Load()]}
			short.size.Store(at.size.Load())
			m.at.Store(short)
			at = short
		}
		mappings = append(mappings, at)
	}
	if mappings[3] == mappings[1] {
		t.Error("the file has outgrown its mapping, and there is no other")
	}
}

// A page that cannot be had through the mapping is asked for by a system call, and its failure is the caller's.
func TestAPageThatTheMappingCannotGive(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(path, bytes.Repeat([]byte("page"), 4096), 0o600); err != nil {
		t.Fatal(err)
	}
	m := newMapped()
	defer m.close()
	f := &mappedFile{osFile: openedFile(t, path), m: m}
	page := make([]byte, 4096)
	for _, off := range []int64{0, 4096, 12288} {
		if n, err := f.ReadAt(page, off); n != len(page) || err != nil || !bytes.Equal(page, bytes.Repeat([]byte("page"), 1024)) {
			t.Fatalf("at %d: %d bytes, %v", off, n, err)
		}
	}
	if m.at.Load() == nil {
		t.Fatal("there is no mapping")
	}
	if n, err := f.ReadAt(page, 16384); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("past the end: %d bytes, %v", n, err)
	}
	if err := os.Truncate(path, 4096); err != nil { // touching what is gone is SIGBUS
		t.Fatal(err)
	}
	if n, err := f.ReadAt(page, 8192); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("of what is gone: %d bytes, %v", n, err)
	}
	if n, err := f.ReadAt(page, 0); n != len(page) || err != nil {
		t.Errorf("of what is still there: %d bytes, %v", n, err)
	}
}

// A file that has taken the place of the one that is mapped is not taken for it.
func TestAnotherFileInTheMappedOnesPlace(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	m := newMapped()
	defer m.close()
	for i, text := range []string{"first, and long", "second", "third, and longer yet"} {
		path := filepath.Join(dir, fmt.Sprint(i))
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		f := &mappedFile{osFile: openedFile(t, path), m: m}
		got := make([]byte, len(text))
		if _, err := f.ReadAt(got, 0); err != nil || string(got) != text {
			t.Errorf("%q, %v, want %q", got, err, text)
		}
	}
}

// openedFile is a file as the machine's file system opens a database.
func openedFile(t *testing.T, path string) osFile {
	t.Helper()
	f, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = f.Close() })
	return fileOnly{file: f}
}

// fileOnly is a file without what a database's file has besides, which is not asked for here.
type fileOnly struct {
	osFile
	file *os.File
}

// ReadAt is io.ReaderAt's.
func (f fileOnly) ReadAt(p []byte, off int64) (int, error) { return f.file.ReadAt(p, off) }

// Stat is the file's.
func (f fileOnly) Stat() (os.FileInfo, error) { return f.file.Stat() }

// SyscallConn is the file's.
func (f fileOnly) SyscallConn() (syscall.RawConn, error) { return f.file.SyscallConn() }
