package store_test

import (
	"context"
	"errors"
	"math/rand/v2"
	"os"
	"strconv"
	"sync"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storefault"
)

func newDisk(t testing.TB, seed uint64) *storefault.Disk {
	t.Helper()
	disk, err := storefault.New(seed)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	})
	return disk
}

func openOn(disk *storefault.Disk) (*store.DB, error) {
	db, err := store.Open(context.Background(), "/power.db", store.Options{VFS: disk.VFS(), CheckpointPages: 50})
	if err != nil {
		return nil, err
	}
	if err := db.Migrate(context.Background(), notes()); err != nil {
		return nil, errors.Join(err, db.Close())
	}
	return db, nil
}

// times is how often a test is repeated: n, or what the environment asks for.
func times(t *testing.T, env string, n int) int {
	t.Helper()
	s := os.Getenv(env)
	if s == "" {
		return n
	}
	n, err := strconv.Atoi(s)
	if err != nil {
		t.Fatalf("%s: %v", env, err)
	}
	return n
}

// TestPowerLoss cuts the power at a random point of concurrent writing, three times on each disk, and looks for every
// acknowledged write, for parts of transactions, and for damage. OPENSPINE_STORE_SEEDS=1000 runs a thousand disks.
func TestPowerLoss(t *testing.T) {
	seeds, acked, lost := times(t, "OPENSPINE_STORE_SEEDS", 15), 0, 0
	for seed := range seeds {
		a, l := powerLoss(t, uint64(seed))
		acked, lost = acked+a, lost+l
		if t.Failed() {
			t.Fatalf("seed %d (OPENSPINE_STORE_SEEDS=%d)", seed, seed+1)
		}
	}
	t.Logf("%d disks, %d acknowledged transactions, %d unsynced writes lost or torn", seeds, acked, lost)
	if acked == 0 || lost == 0 {
		t.Error("nothing was written or nothing was lost: the test tests nothing")
	}
}

func powerLoss(t *testing.T, seed uint64) (acknowledged, lost int) {
	rng := rand.New(rand.NewPCG(seed, 1))
	disk, err := storefault.New(seed)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { // here and not at the test's end: there may be a thousand
		if err := disk.Close(); err != nil {
			t.Error(err)
		}
	}()
	acked := map[int]int{} // transaction → how many rows it has
	next := 0
	for range 3 {
		db, err := openOn(disk)
		if err != nil {
			t.Fatalf("opening after a power loss: %v", err)
		}
		checkSurvivors(t, db, acked)
		disk.CutPowerAfter(1 + rng.IntN(300))
		next = writeUntilDark(rng, db, acked, next)
		if err := db.Close(); err != nil {
			t.Logf("closing without power: %v", err)
		}
		disk.PowerOn()
	}
	db, err := openOn(disk)
	if err != nil {
		t.Fatalf("opening at the end: %v", err)
	}
	checkSurvivors(t, db, acked)
	if err := db.Close(); err != nil {
		t.Error(err)
	}
	return len(acked), disk.Lost()
}

// writeUntilDark lets four callers write transactions of one to four rows until the power has gone, and notes those acknowledged.
func writeUntilDark(rng *rand.Rand, db *store.DB, acked map[int]int, next int) int {
	var mu sync.Mutex
	var wg sync.WaitGroup
	for range 4 {
		size := rand.New(rand.NewPCG(rng.Uint64(), 2))
		wg.Go(func() {
			for {
				mu.Lock()
				id := next
				next++
				mu.Unlock()
				rows := 1 + size.IntN(4)
				if err := writeGroup(db, id, rows, size.IntN(5000)); err != nil {
					return
				}
				mu.Lock()
				acked[id] = rows
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	return next
}

func writeGroup(db *store.DB, id, rows, size int) error {
	raw := make([]byte, size)
	return db.Write(context.Background(), nil, func(tx *store.Tx) error {
		for part := range rows {
			seq, err := tx.Seq(0)
			if err != nil {
				return err
			}
			if _, err := tx.Exec("INSERT INTO note (lane, id, body, raw, seq) VALUES (0, ?, ?, ?, ?)", 10*id+part, strconv.Itoa(rows), raw, seq); err != nil {
				return err
			}
		}
		return nil
	})
}

// checkSurvivors looks for every acknowledged transaction, whole, for no part of any other, and for a sequence without gaps.
func checkSurvivors(t *testing.T, db *store.DB, acked map[int]int) {
	t.Helper()
	found, want := map[int]int{}, map[int]int{}
	err := db.Read(context.Background(), func(tx *store.Tx) error {
		if db.Engine() == "sqlite" {
			var sound string
			if err := tx.QueryRow("PRAGMA integrity_check").Scan(&sound); err != nil || sound != "ok" {
				t.Errorf("integrity_check: %s %v", sound, err)
			}
		}
		rows, err := tx.Query("SELECT id, body, seq FROM note ORDER BY seq")
		if err != nil {
			return err
		}
		for last := 0; rows.Next(); {
			var id, seq int
			var body string
			if err := rows.Scan(&id, &body, &seq); err != nil {
				return err
			}
			if seq != last+1 {
				t.Errorf("sequence %d follows %d", seq, last)
			}
			last = seq
			n, err := strconv.Atoi(body)
			if err != nil {
				return err
			}
			found[id/10]++
			want[id/10] = n
		}
		return rows.Err()
	})
	if err != nil {
		t.Errorf("reading after a power loss: %v", err)
	}
	for id, n := range acked {
		if found[id] != n {
			t.Errorf("acknowledged transaction %d: %d of %d rows are there", id, found[id], n)
		}
	}
	for id, n := range found {
		if n != want[id] {
			t.Errorf("transaction %d is there in part: %d of %d rows", id, n, want[id])
		}
	}
}

func TestFullDisk(t *testing.T) {
	disk := newDisk(t, 1)
	db, err := openOn(disk)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := db.Close(); err != nil {
			t.Error(err)
		}
	})
	disk.SetQuota(disk.Used() + 200_000)
	acked := map[int]int{}
	id := 0
	for ; id < 1000; id++ {
		if err = writeGroup(db, id, 1, 4000); err != nil {
			break
		}
		acked[id] = 1
	}
	if !fault.Is(err, fault.Full) {
		t.Fatalf("writing to a full disk gave %v, want fault.Full", err)
	}
	checkSurvivors(t, db, acked)
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			if err := writeGroup(db, 2000+i, 4, 60_000); !fault.Is(err, fault.Full) {
				t.Errorf("several at once on a full disk: %v, want fault.Full", err)
			}
		})
	}
	wg.Wait()
	disk.SetQuota(0)
	if err := writeGroup(db, 3000, 2, 4000); err != nil {
		t.Fatalf("with space again: %v", err)
	}
	acked[3000] = 2
	checkSurvivors(t, db, acked)
}
