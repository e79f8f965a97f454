package main

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"testing"
)

// TestBackupUnderLoad backs a node up and verifies its account while eight callers write, and restores the backup elsewhere: what was
// acknowledged before the backup began is there, and the account verifies in both places.
func TestBackupUnderLoad(t *testing.T) {
	dir, err := seededCountry()
	if err != nil {
		t.Fatal(err)
	}
	k := &killing{t: t, dir: t.TempDir(), writes: map[string]string{}}
	data, saved, copied := filepath.Join(k.dir, "data"), filepath.Join(k.dir, "saved"), filepath.Join(k.dir, "copy")
	if err := os.CopyFS(data, os.DirFS(filepath.Join(dir, "data"))); err != nil {
		t.Fatal(err)
	}
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
	tool := func(args ...string) {
		t.Helper()
		if said, err := exec.Command("openspine", args...).CombinedOutput(); err != nil {
			t.Errorf("openspine %v: %v: %s", args, err, said)
		}
	}
	tool("backup", "--data", data, saved)
	tool("audit", "verify", "--data", data)
	for range 20 {
		<-acked // the node still writes
	}
	if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
		t.Fatal(err)
	}
	<-p.ended
	wg.Wait()
	tool("restore", "--data", copied, saved)
	tool("audit", "verify", "--data", copied)
	k.dir = t.TempDir()
	if err := os.Rename(copied, filepath.Join(k.dir, "data")); err != nil {
		t.Fatal(err)
	}
	k.present(k.start().url, before)
}
