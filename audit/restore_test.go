package audit_test

import (
	"bytes"
	"path/filepath"
	"testing"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// A restore from a backup takes back what was written since; the log is not taken back. That loss is told, and is not tampering:
// neither right after the restore nor when the new life of the database has gone on to seal under the same numbers.
func TestWhatARestoreLostIsToldAndIsNotTampering(t *testing.T) {
	t.Parallel()
	for name, url := range map[string]func(t *testing.T) string{
		"sqlite":   func(t *testing.T) string { return filepath.Join(t.TempDir(), "restored.db") },
		"postgres": func(t *testing.T) string { return storetest.PostgresURL(t) },
	} {
		t.Run(name, func(t *testing.T) { restoreAndGoOn(t, url(t)) })
	}
}

func restoreAndGoOn(t *testing.T, url string) {
	ctx, dir := t.Context(), t.TempDir()
	db := storetest.Open(t, audit.Schema())
	l := openAt(t, db, dir)
	fourteen(t, db, l)
	var backup bytes.Buffer
	if err := db.Backup(ctx, &backup); err != nil {
		t.Fatal(err)
	}
	fourteen(t, db, l) // entries 15 to 28, which the backup does not hold, and the seals of 13 to 26
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if err := store.Restore(ctx, bytes.NewReader(backup.Bytes()), url, store.Options{}); err != nil {
		t.Fatal(err)
	}
	restored, err := store.Open(ctx, url, store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := restored.Close(); err != nil {
			t.Error(err)
		}
	})
	l = openAt(t, restored, dir)
	check := func(when string, want audit.Report) {
		t.Helper()
		got, err := l.Verify(ctx)
		if err != nil || !got.OK() || got.Lost != want.Lost || got.Batches != want.Batches || got.Entries != want.Entries || got.Unsealed != want.Unsealed {
			t.Errorf("%s: %v\n%s\nwant %+v", when, err, got, want)
		}
	}
	check("after the restore", audit.Report{Lost: 3, Batches: 3, Entries: 12, Unsealed: 2})
	write(t, restored, l, look("9000000009", "cat"))
	if err := l.Seal(ctx); err != nil {
		t.Fatal(err)
	}
	check("when it goes on", audit.Report{Lost: 3, Batches: 4, Entries: 15})
	tamper(t, restored, []string{`UPDATE audit_entry SET detail = 'Nothing' WHERE lane = {lane} AND seq = 13`})
	if report, err := l.Verify(ctx); err != nil || len(report.Findings) != 1 || named(report)[0] != "changed 13" {
		t.Errorf("tampering after a restore: %v\n%s", err, report)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

func openAt(t *testing.T, db *store.DB, dir string) *audit.Log {
	t.Helper()
	l, err := audit.Open(db, dir, audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	return l
}
