package demographics

import (
	"math/rand/v2"
	"os"
	"path/filepath"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// No number is given out twice, whatever happens: the node stops at any time, the power goes while the ledger is written, the database goes
// back to any older state, and the data comes up in another folder with the floor that a person gave. The database is not asked: it is what
// went back.
func TestANumberIsNeverGivenOutTwice(t *testing.T) {
	t.Parallel()
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 1))
		folder := t.TempDir()
		given := map[string]bool{}
		last := ""
		l, _, err := openLedger(folder, ident.TestRange)
		if err != nil {
			t.Fatal(err)
		}
		for step := range 60 {
			switch r.IntN(8) {
			case 0: // the node stops and starts again, its database perhaps an older one
				if l, _, err = openLedger(folder, ident.TestRange); err != nil {
					t.Fatalf("seed %d step %d: %v", seed, step, err)
				}
			case 1: // the power goes while a line is written
				text := readLedger(t, folder)
				torn := append(text, []byte("4096 deadbe")[:r.IntN(11)]...)
				if err := os.WriteFile(filepath.Join(folder, ledgerFile), torn, 0o600); err != nil {
					t.Fatal(err)
				}
				if l, _, err = openLedger(folder, ident.TestRange); err != nil {
					t.Fatalf("seed %d step %d: %v", seed, step, err)
				}
			case 2: // a backup comes up elsewhere, without the ledger
				folder = t.TempDir()
				if err := SetFloor(folder, last); err != nil {
					t.Fatal(err)
				}
				if l, _, err = openLedger(folder, ident.TestRange); err != nil {
					t.Fatal(err)
				}
			default:
				for range r.IntN(100) {
					n, err := l.take()
					if err != nil {
						t.Fatal(err)
					}
					if given[n.String()] || !n.InTestRange() {
						t.Fatalf("seed %d step %d: a number was given out twice, or is not for tests", seed, step)
					}
					given[n.String()], last = true, n.String()
				}
			}
		}
	}
}

func readLedger(t *testing.T, folder string) []byte {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(folder, ledgerFile))
	if err != nil && !os.IsNotExist(err) {
		t.Fatal(err)
	}
	return text
}

func TestALedgerThatIsDamagedOrMissingGivesNothingOut(t *testing.T) {
	t.Parallel()
	folder := t.TempDir()
	if err := os.WriteFile(filepath.Join(folder, ledgerFile), []byte("64 00000000\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := openNumbers(Options{Data: folder, Demo: true}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a damaged ledger: %v", err)
	}
	empty := t.TempDir()
	if _, err := openNumbers(Options{Data: empty, Demo: true, Restored: true}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a restored database without its ledger: %v", err)
	}
	if err := SetFloor(empty, ""); err != nil {
		t.Fatal(err)
	}
	if _, err := openNumbers(Options{Data: empty, Demo: true, Restored: true}); err != nil {
		t.Errorf("a floor was given: %v", err)
	}
	if err := SetFloor(empty, ""); !fault.Is(err, fault.Conflict) {
		t.Errorf("a floor under a ledger: %v", err)
	}
	if _, err := openNumbers(Options{Data: t.TempDir()}); !fault.Is(err, fault.Unavailable) {
		t.Errorf("no demonstration, and still numbers: %v", err)
	}
}
