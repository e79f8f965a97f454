package main

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"

	"github.com/openspine/openspine/store/storetest"
)

// TestBackupUnderLoad backs a node up and verifies its account while eight callers write, and restores the backup elsewhere: what was
// acknowledged before the backup began is there, and the account verifies in both places.
func TestBackupUnderLoad(t *testing.T) {
	onEachEngine(t, backUpUnderLoad)
}

func backUpUnderLoad(t *testing.T, k *killing) {
	data, saved, copied := filepath.Join(k.dir, "data"), filepath.Join(k.dir, "saved"), filepath.Join(k.dir, "copy")
	p := k.start()
	acked := make(chan struct{}, 100_000)
	var wg sync.WaitGroup
	for range 8 {
		wg.Go(func() {
			if c := signedIn(p.url); c != nil {
				k.client(p.url, c, acked)
			}
		})
	}
	for range 100 {
		<-acked
	}
	k.mu.Lock()
	before := slices.Collect(maps.Keys(k.writes))
	k.mu.Unlock()
	try := func(database string, args ...string) {
		t.Helper()
		if err := tool(database, args...); err != nil {
			t.Error(err)
		}
	}
	other := ""
	if k.url != "" {
		other = storetest.PostgresURL(t)
	}
	try(k.url, "backup", "--data", data, saved)
	try(k.url, "audit", "verify", "--data", data)
	for range 20 {
		<-acked // the node still writes
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	wg.Wait()
	try(other, "restore", "--data", copied, saved)
	try(other, "audit", "verify", "--data", copied)
	k.dir, k.url = t.TempDir(), other
	if err := os.Rename(copied, filepath.Join(k.dir, "data")); err != nil {
		t.Fatal(err)
	}
	k.present(k.start().url, before)
}
