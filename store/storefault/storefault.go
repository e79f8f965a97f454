// Package storefault is a disk for tests and simulators that loses power, tears writes, fills up and fails: a virtual file system
// for the SQLite engine of package store, all in memory, driven by a seed.
//
// What has been written but not synced is kept apart. When the power goes, each such write is, by the seed, lost, kept, or torn at
// a sector of 512 bytes, independently of the others, which is more than real disks do to a file; a file that was never
// synced may not be there at all, and one that was deleted since any file was last synced may be there again (a journalling
// file system makes names durable in order).
//
//	disk, err := storefault.New(seed)
//	db, err := store.Open(ctx, "/test.db", store.Options{VFS: disk.VFS()})
//	disk.CutPowerAfter(100)       // the hundredth write, sync, truncation or deletion from now is the last
//	… writes; they fail once the power is gone
//	db.Close()
//	disk.PowerOn()                // open the database again: what it acknowledged must be there
package storefault

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"sync"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// Disk is one disk. Its methods may be called while databases on it are in use.
type Disk struct {
	name string
	dir  string // of the shared-memory files, which SQLite needs as real files; they hold no data

	mu      sync.Mutex
	rng     *rand.Rand
	files   map[string]*content
	deleted map[string]*content // whose deletion is not durable
	life    int                 // counts power losses: what was opened in an earlier life is dead
	off     bool
	cutIn   int // operations until the power goes; 0 is never
	quota   int64
	fail    func(op Op, file string) error
	ops     int
	lost    int
}

// Op is an operation that a Disk can be told to fail.
type Op string

// The operations that change a disk or read from it.
const (
	Read     Op = "read"
	Write    Op = "write"
	Sync     Op = "sync"
	Truncate Op = "truncate"
	Delete   Op = "delete"
)

// New is an empty disk whose misfortunes follow from seed. Close it when it is no longer used.
func New(seed uint64) (*Disk, error) {
	dir, err := os.MkdirTemp("", "storefault")
	if err != nil {
		return nil, err
	}
	d := &Disk{
		name: "storefault-" + filepath.Base(dir), dir: dir,
		rng:   rand.New(rand.NewPCG(seed, 0x5eed)), //nolint:gosec // a test's misfortunes, not a secret
		files: map[string]*content{}, deleted: map[string]*content{},
	}
	vfs.Register(d.name, disk{d})
	return d, nil
}

// VFS is the disk's name for store.Options.VFS.
func (d *Disk) VFS() string { return d.name }

// Close forgets the disk. Databases on it must be closed.
func (d *Disk) Close() error {
	vfs.Unregister(d.name)
	return os.RemoveAll(d.dir)
}

// CutPowerAfter lets the power go at the n-th write, sync, truncation or deletion from now; 0 takes that back.
func (d *Disk) CutPowerAfter(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.cutIn = n
}

// CutPower lets the power go now: every operation fails from here on.
func (d *Disk) CutPower() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.off = true
}

// PowerOn brings the disk back with what survived. Files that were open stay dead.
func (d *Disk) PowerOn() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.life++
	d.off, d.cutIn = false, 0
	// By name: in the order of a map each run would have other misfortunes.
	for _, name := range slices.Sorted(maps.Keys(d.deleted)) {
		if d.files[name] == nil && d.rng.IntN(2) == 0 {
			d.files[name] = d.deleted[name]
		}
	}
	clear(d.deleted)
	for _, name := range slices.Sorted(maps.Keys(d.files)) {
		c := d.files[name]
		if !c.durable && d.rng.IntN(2) == 0 {
			delete(d.files, name)
			continue
		}
		d.lost += c.crash(d.rng)
	}
}

// Dark reports whether the power is gone.
func (d *Disk) Dark() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.off
}

// Put makes a file durable with what it shall hold, in the place of whatever bore its name, as somebody does who restores a copy. Nobody may have it open.
func (d *Disk) Put(file string, holds []byte) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.deleted, file)
	d.files[file] = &content{now: append([]byte(nil), holds...), kept: append([]byte(nil), holds...), durable: true}
}

// Remove takes a file away, durably.
func (d *Disk) Remove(file string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	delete(d.files, file)
	delete(d.deleted, file)
}

// SetQuota limits what all files together may hold, in bytes: a write beyond it finds the disk full. 0 is no limit.
func (d *Disk) SetQuota(bytes int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.quota = bytes
}

// Fail asks fn before each operation whether it fails, and with what (sqlite3.IOERR_FSYNC, sqlite3.FULL …); nil takes that back.
// fn must not call the Disk.
func (d *Disk) Fail(fn func(op Op, file string) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = fn
}

// Used is what all files together hold, in bytes.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used()
}

// Ops is how many writes, syncs, truncations and deletions there have been.
func (d *Disk) Ops() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.ops
}

// Lost is how many unsynced writes power losses have lost or torn.
func (d *Disk) Lost() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.lost
}

// Corrupt overwrites part of a file, durably, as failing hardware would.
func (d *Disk) Corrupt(file string, off int64, with []byte) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.files[file]
	if c == nil || off+int64(len(with)) > int64(len(c.now)) {
		return fmt.Errorf("storefault: %s does not reach that far", file)
	}
	change := change{off: off, data: with}
	c.now = change.apply(c.now)
	c.kept = change.apply(c.kept)
	return nil
}

func (d *Disk) used() int64 {
	var n int64
	for _, c := range d.files {
		n += int64(len(c.now))
	}
	return n
}

// step counts an operation and says whether it goes through. The one at which the power goes may still happen in part.
func (d *Disk) step(op Op, file string) error {
	if d.off {
		return sqlite3.IOERR
	}
	if d.fail != nil {
		if err := d.fail(op, file); err != nil {
			return err
		}
	}
	if op == Read {
		return nil
	}
	d.ops++
	if d.cutIn > 0 {
		if d.cutIn--; d.cutIn == 0 {
			d.off = true
			return errCut
		}
	}
	return nil
}

var errCut = fmt.Errorf("storefault: the power went: %w", sqlite3.IOERR)
