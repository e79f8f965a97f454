package store_test

import (
	"context"
	"errors"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storefault"
	"github.com/openspine/openspine/store/storetest"
)

// TestLostBatchIsReplayed lets the disk fail in the middle of shared transactions: whoever is not at fault must not notice.
func TestLostBatchIsReplayed(t *testing.T) {
	disk := newDisk(t, 7)
	db, err := openOn(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	var n atomic.Int64
	disk.Fail(func(op storefault.Op, file string) error {
		if op == storefault.Sync && strings.HasSuffix(file, "-wal") && n.Add(1)%2 == 1 {
			return sqlite3.IOERR_FSYNC
		}
		return nil
	})
	errs := together(64, func(i int) error { return writeGroup(db, i, 3, 2000) })
	disk.Fail(nil)
	acked, failed := map[int]int{}, 0
	for i, err := range errs {
		switch {
		case err == nil:
			acked[i] = 3
		case !fault.Is(err, fault.Unavailable):
			t.Errorf("write %d: %v", i, err)
		default:
			failed++
		}
	}
	if n.Load() < 3 || len(acked) == 0 {
		t.Errorf("%d syncs and %d acknowledged: nothing was tested", n.Load(), len(acked))
	}
	checkSurvivors(t, db, acked)
	if got := count(t, db); got != 3*len(acked) {
		t.Errorf("%d rows after %d acknowledged writes of three and %d refused", got, len(acked), failed)
	}
}

func TestDamagedFileIsRefusedWithAdvice(t *testing.T) {
	path := filepath.Join(t.TempDir(), "d.db")
	for name, bytes := range map[string][]byte{"not a database": []byte(strings.Repeat("not a database. ", 1000)), "cut short": nil} {
		t.Run(name, func(t *testing.T) {
			if bytes == nil {
				bytes = damagedFile(t)
			}
			if err := os.WriteFile(path, bytes, 0o600); err != nil {
				t.Fatal(err)
			}
			_, err := store.Open(t.Context(), path, store.Options{})
			if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.MessageOf(err), "restore") {
				t.Errorf("opening it gave %v", err)
			}
			if now, rerr := os.ReadFile(path); rerr != nil || string(now) != string(bytes) {
				t.Error("opening a damaged database changed it")
			}
		})
	}
}

// damagedFile is a database with its pages overwritten after the first.
func damagedFile(t *testing.T) []byte {
	path := filepath.Join(t.TempDir(), "whole.db")
	db, err := store.Open(t.Context(), path, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	if err := db.Close(); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	for i := 4096; i < len(b); i++ {
		b[i] = 0xa5
	}
	return b
}

func TestUnreachablePostgres(t *testing.T) {
	_, err := store.Open(t.Context(), "postgres://nobody@127.0.0.1:1/none", store.Options{})
	if !fault.Is(err, fault.Unavailable) {
		t.Errorf("a PostgreSQL that is not there gave %v", err)
	}
}

func TestDiskThatCannotBeReadIsUnavailable(t *testing.T) {
	disk := newDisk(t, 3)
	db, err := openOn(disk)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := writeGroup(db, 1, 1, 100); err != nil {
		t.Fatal(err)
	}
	disk.Fail(func(op storefault.Op, _ string) error {
		if op == storefault.Write {
			return sqlite3.IOERR_WRITE
		}
		return nil
	})
	if err := writeGroup(db, 2, 1, 100); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a disk that cannot be written gave %v", err)
	}
	disk.Fail(nil)
	if err := writeGroup(db, 3, 1, 100); err != nil {
		t.Errorf("after the disk came back: %v", err)
	}
	checkSurvivors(t, db, map[int]int{1: 1, 3: 1})
}

func TestFilesArePrivate(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	db, err := store.Open(t.Context(), filepath.Join(dir, "p.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	for _, name := range []string{"", "p.db", "p.db-wal", "p.db-shm"} {
		info, err := os.Stat(filepath.Join(dir, name))
		if err != nil || info.Mode().Perm()&0o077 != 0 {
			t.Errorf("%q has mode %v (%v)", name, info.Mode(), err)
		}
	}
}

// TestOutOfMemoryIsSurvived hands SQLite more than a connection may use (256 MB): the engine panics, the writer is replaced.
func TestOutOfMemoryIsSurvived(t *testing.T) {
	db, err := store.Open(t.Context(), filepath.Join(t.TempDir(), "m.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context(), notes()); err != nil {
		t.Fatal(err)
	}
	errs := together(8, func(i int) error {
		return db.Write(context.Background(), nil, func(tx *store.Tx) error {
			size := 100
			if i == 3 {
				size = 300 << 20
			}
			_, err := tx.Exec("INSERT INTO note (lane, id, body, raw) VALUES (0, ?, '', ?)", i, make([]byte, size))
			return err
		})
	})
	for i, err := range errs {
		if (err != nil) != (i == 3) || has(t, db, i) != (err == nil) {
			t.Errorf("write %d: %v", i, err)
		}
	}
}

// wire stands between the store and PostgreSQL, and can lose the server's answers.
type wire struct {
	to     string
	deaf   atomic.Bool // from the next request on: it is passed on, its answer is not
	before atomic.Bool // the next request is not even passed on
	wg     sync.WaitGroup
}

func (w *wire) serve(l net.Listener) {
	for {
		in, err := l.Accept()
		if err != nil {
			return
		}
		out, err := net.Dial("unix", w.to)
		if err != nil {
			in.Close()
			return
		}
		var cut atomic.Bool
		w.wg.Go(func() {
			defer out.Close()
			buf := make([]byte, 1<<16)
			for {
				n, err := in.Read(buf)
				if n > 0 && w.before.CompareAndSwap(true, false) {
					in.Close()
					return
				}
				if n > 0 && w.deaf.CompareAndSwap(true, false) {
					cut.Store(true)
				}
				if n > 0 {
					if _, werr := out.Write(buf[:n]); werr != nil {
						return
					}
				}
				if err != nil {
					return
				}
			}
		})
		w.wg.Go(func() {
			defer in.Close()
			buf := make([]byte, 1<<16)
			for {
				n, err := out.Read(buf)
				if err != nil || cut.Load() {
					return
				}
				if _, werr := in.Write(buf[:n]); werr != nil {
					return
				}
			}
		})
	}
}

// TestLostAnswerToCommit loses the connection at the commit, before or after the server has it: the write must be there exactly once.
func TestLostAnswerToCommit(t *testing.T) {
	direct := storetest.PostgresURL(t)
	_, rest, _ := strings.Cut(direct, "?host=")
	dir, search, _ := strings.Cut(rest, "&")
	if !strings.HasPrefix(dir, "/") {
		if os.Getenv("CI") == "true" {
			t.Fatal("a PostgreSQL on a socket is required when CI=true")
		}
		t.Skip("the PostgreSQL given is not on a socket")
	}
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	w := &wire{to: dir + "/.s.PGSQL.5432"}
	w.wg.Go(func() { w.serve(l) })
	defer w.wg.Wait()
	defer l.Close()
	db, err := store.Open(t.Context(), "postgres://openspine@"+l.Addr().String()+"/postgres?sslmode=disable&"+search, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context(), notes()); err != nil {
		t.Fatal(err)
	}
	for id := range 4 {
		write(t, db, func(tx *store.Tx) error { return add(tx, 100+id, "warms the connection up") })
		runs := 0
		write(t, db, func(tx *store.Tx) error {
			runs++
			if err := add(tx, id, ""); err != nil {
				return err
			}
			if runs == 1 {
				w.deaf.Store(id%2 == 0)
				w.before.Store(id%2 == 1)
			}
			return nil
		})
		if want := 1 + id%2; runs != want || !has(t, db, id) {
			t.Errorf("write %d ran %d times (want %d), and is there: %v", id, runs, want, has(t, db, id))
		}
	}
}

func TestBackendsKilledWhileWriting(t *testing.T) {
	url := storetest.PostgresURL(t)
	db, err := store.Open(t.Context(), url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	if err := db.Migrate(t.Context(), notes()); err != nil {
		t.Fatal(err)
	}
	stop := make(chan struct{})
	var killer sync.WaitGroup
	killer.Go(func() {
		for {
			select {
			case <-stop:
				return
			default:
				_ = db.Read(context.Background(), func(tx *store.Tx) error {
					_, err := tx.Query("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'openspine' AND pid <> pg_backend_pid() AND query LIKE '%note%' LIMIT 1")
					return err
				})
			}
		}
	})
	acked := map[int]int{}
	var mu sync.Mutex
	errs := together(8, func(i int) error {
		for n := range 20 {
			err := writeGroup(db, 20*i+n, 2, 50)
			if err == nil {
				mu.Lock()
				acked[20*i+n] = 2
				mu.Unlock()
			} else if !fault.Is(err, fault.Unavailable) {
				return err
			}
		}
		return nil
	})
	close(stop)
	killer.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Error(err)
	}
	checkSurvivors(t, db, acked)
	if got := count(t, db); got != 2*len(acked) {
		t.Errorf("%d rows after %d acknowledged writes of two: some were reported wrongly", got, len(acked))
	}
}
