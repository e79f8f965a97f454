package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// Old months are archived by command, proved, carried by a backup and proved again where it is restored; and whatever is done to an
// archive is told of.
func TestOldMonthsAreArchivedAndBackedUp(t *testing.T) {
	for name, url := range map[string]func() string{"sqlite": func() string { return "" }, "postgres": func() string { return storetest.PostgresURL(t) }} {
		t.Run(name, func(t *testing.T) { archiveAndRestore(t, url(), url()) })
	}
}

func archiveAndRestore(t *testing.T, database, other string) {
	dir := t.TempDir()
	data, saved, copied := filepath.Join(dir, "data"), filepath.Join(dir, "saved"), filepath.Join(dir, "copy")
	if err := oldAccount(data, database); err != nil {
		t.Fatal(err)
	}
	tell := func(database string, status int, says string, args ...string) {
		t.Helper()
		if database != "" {
			args = append(args, "--database", database)
		}
		var out bytes.Buffer
		if got := run(args, &out, &out); got != status || !strings.Contains(out.String(), says) {
			t.Errorf("%v ended with %d: %s", args, got, out.String())
		}
	}
	tell(database, 1, "not a month", "audit", "archive", "--data", data, "--before", "May")
	tell(database, 1, "no later than", "audit", "archive", "--data", data, "--before", "2999-01")
	held, err := node.TakeFolder(data)
	if err != nil {
		t.Fatal(err)
	}
	tell(database, 1, "in use", "audit", "archive", "--data", data)
	if err := held.Release(); err != nil {
		t.Fatal(err)
	}
	tell(database, 0, "2024-01.account, 2024-02.account", "audit", "archive", "--data", data, "--before", "2024-03")
	tell(database, 0, "nothing to move", "audit", "archive", "--data", data, "--before", "2024-03")
	tell(database, 0, "in 2 archives, the others in the database", "audit", "verify", "--data", data)
	tell(database, 0, "backed up", "backup", "--data", data, saved)
	tell(other, 0, "restored", "restore", "--data", copied, saved)
	tell(other, 0, "in 2 archives, the others in the database", "audit", "verify", "--data", copied)
	tell(other, 0, "2024-03.account", "audit", "archive", "--data", copied) // thirteen months are long over
	tell(other, 0, "in 3 archives", "audit", "verify", "--data", copied)
	if err := os.Remove(filepath.Join(copied, "account", "archive", "2024-02.account")); err != nil {
		t.Fatal(err)
	}
	tell(other, 1, "archive: 2024-02.account: it is missing", "audit", "verify", "--data", copied)
}

// oldAccount makes the account of a node of January to March 2024.
func oldAccount(data, database string) (err error) {
	ctx, at := context.Background(), clock.NewFake(time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC))
	if err := os.MkdirAll(data, 0o700); err != nil {
		return err
	}
	if database == "" {
		database = node.DatabasePath(data)
	}
	db, err := store.Open(ctx, database, store.Options{Clock: at})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	if err := db.Migrate(ctx, audit.Schema()); err != nil {
		return err
	}
	account, err := audit.Open(db, filepath.Join(data, "account"), audit.Options{Clock: at})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, account.Close()) }()
	spine := ident.MustODSCode("X26")
	for i := range 88 {
		at.Advance(24 * time.Hour)
		e := audit.Entry{Tenant: spine, Chart: "9000000009", Actor: fmt.Sprint("user", i%3), Action: "read", Outcome: audit.OutcomeOK}
		if err := account.Record(ctx, audit.Placed{Lane: db.LaneOf("X26", e.Chart), Entry: e}); err != nil {
			return err
		}
		if i%10 == 0 {
			if err := account.Seal(ctx); err != nil {
				return err
			}
		}
	}
	return account.Seal(ctx)
}
