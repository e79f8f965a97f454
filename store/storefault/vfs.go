package storefault

import (
	"errors"
	"io"
	"path/filepath"
	"strconv"

	"github.com/ncruces/go-sqlite3"
	"github.com/ncruces/go-sqlite3/vfs"
)

// disk is a Disk as SQLite sees it.
type disk struct{ d *Disk }

func (v disk) Open(name string, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	d := v.d
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.off {
		return nil, flags, sqlite3.CANTOPEN
	}
	f := &file{d: d, name: name, life: d.life}
	if name == "" { // a temporary file, nobody else's
		f.c = &content{}
		return f, flags, nil
	}
	if f.c = d.files[name]; f.c == nil {
		if flags&vfs.OPEN_CREATE == 0 {
			return nil, flags, sqlite3.CANTOPEN
		}
		f.c = &content{}
		d.files[name] = f.c
	}
	if flags&vfs.OPEN_MAIN_DB != 0 {
		f.shm = vfs.NewSharedMemory(filepath.Join(d.dir, filepath.Base(name)+"-shm-"+strconv.Itoa(d.life)), flags)
	}
	return f, flags, nil
}

func (v disk) Delete(name string, syncDir bool) error {
	d := v.d
	d.mu.Lock()
	defer d.mu.Unlock()
	c := d.files[name]
	if c == nil {
		return sqlite3.IOERR_DELETE_NOENT
	}
	if err := d.step(Delete, name); err != nil {
		return err
	}
	delete(d.files, name)
	if !syncDir && c.durable {
		d.deleted[name] = c
	}
	return nil
}

func (v disk) Access(name string, _ vfs.AccessFlag) (bool, error) {
	v.d.mu.Lock()
	defer v.d.mu.Unlock()
	if v.d.off {
		return false, sqlite3.IOERR_ACCESS
	}
	return v.d.files[name] != nil, nil
}

func (v disk) FullPathname(name string) (string, error) { return filepath.Clean("/" + name), nil }

// file is one opening of a file.
type file struct {
	d    *Disk
	name string
	life int
	c    *content
	lock vfs.LockLevel
	shm  vfs.SharedMemory
}

var _ vfs.FileSharedMemory = (*file)(nil)

func (f *file) SharedMemory() vfs.SharedMemory { return f.shm }

// begin says whether an operation goes through, with the disk locked; end it with d.mu.Unlock.
func (f *file) begin(op Op) error {
	f.d.mu.Lock()
	if f.life != f.d.life {
		return sqlite3.IOERR
	}
	return f.d.step(op, f.name)
}

func (f *file) Close() error {
	if f.shm != nil {
		_ = f.shm.Close() // holds no data
	}
	return f.Unlock(vfs.LOCK_NONE)
}

func (f *file) ReadAt(b []byte, off int64) (int, error) {
	err := f.begin(Read)
	defer f.d.mu.Unlock()
	if err != nil {
		return 0, err
	}
	if off >= int64(len(f.c.now)) {
		return 0, io.EOF
	}
	n := copy(b, f.c.now[off:])
	if n < len(b) {
		return n, io.EOF
	}
	return n, nil
}

func (f *file) WriteAt(b []byte, off int64) (int, error) {
	err := f.begin(Write)
	defer f.d.mu.Unlock()
	if err != nil && !errors.Is(err, errCut) {
		return 0, err
	}
	grows := off + int64(len(b)) - int64(len(f.c.now))
	if f.d.quota > 0 && grows > 0 && f.d.used()+grows > f.d.quota {
		return 0, sqlite3.FULL
	}
	f.c.do(change{off, append([]byte{}, b...)})
	if err != nil {
		return 0, err
	}
	return len(b), nil
}

func (f *file) Truncate(size int64) error {
	err := f.begin(Truncate)
	defer f.d.mu.Unlock()
	if err == nil || errors.Is(err, errCut) {
		f.c.do(change{off: size})
	}
	return err
}

func (f *file) Sync(vfs.SyncFlag) error {
	err := f.begin(Sync)
	defer f.d.mu.Unlock()
	if err == nil {
		f.c.sync()
		clear(f.d.deleted)
	}
	return err
}

func (f *file) Size() (int64, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return int64(len(f.c.now)), nil
}

func (f *file) SectorSize() int { return sector }

func (f *file) DeviceCharacteristics() vfs.DeviceCharacteristic {
	return vfs.IOCAP_POWERSAFE_OVERWRITE
}

// locks are SQLite's five levels of lock on a database file (https://sqlite.org/lockingv3.html), among the connections of one process.
type locks struct {
	shared   int
	reserved bool
	pending  bool
}

func (f *file) Lock(level vfs.LockLevel) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.lock >= level {
		return nil
	}
	l := &f.c.locks
	switch level {
	case vfs.LOCK_SHARED:
		if l.pending {
			return sqlite3.BUSY
		}
		l.shared++
	case vfs.LOCK_RESERVED:
		if l.reserved {
			return sqlite3.BUSY
		}
		l.reserved = true
	case vfs.LOCK_EXCLUSIVE:
		if f.lock < vfs.LOCK_PENDING {
			if l.pending || l.reserved && f.lock < vfs.LOCK_RESERVED {
				return sqlite3.BUSY
			}
			l.reserved, l.pending = true, true
			f.lock = vfs.LOCK_PENDING
		}
		if l.shared > 1 {
			return sqlite3.BUSY
		}
	}
	f.lock = level
	return nil
}

func (f *file) Unlock(level vfs.LockLevel) error {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	if f.lock <= level {
		return nil
	}
	if f.life == f.d.life {
		l := &f.c.locks
		if f.lock >= vfs.LOCK_RESERVED {
			l.reserved = false
		}
		if f.lock >= vfs.LOCK_PENDING {
			l.pending = false
		}
		if level < vfs.LOCK_SHARED {
			l.shared--
		}
	}
	f.lock = level
	return nil
}

func (f *file) CheckReservedLock() (bool, error) {
	f.d.mu.Lock()
	defer f.d.mu.Unlock()
	return f.c.locks.reserved, nil
}
