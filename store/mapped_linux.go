package store

import (
	"errors"
	"fmt"
	"os"
	"runtime/debug"
	"sync"
	"sync/atomic"
	"syscall"

	"github.com/ncruces/go-sqlite3/vfs"
)

// mapped is the machine's own file system for the connections that read one database: what they read of its file is copied from one mapping of
// it that they all share, without a system call for each page. SQLite's own mapping would do the same, but is thrown away with each
// snapshot, and each connection has its own.
//
// Where the machine's memory cannot hold the file there is no mapping, since a page that comes from the disk stops a whole processor of
// the program and not one goroutine. A page that the disk cannot give is asked for again by a system call, which says why.
type mapped struct {
	vfs.VFSFilename
	name string
	at   atomic.Pointer[mapping]
	over atomic.Bool // there is none, and there will be none

	mu  sync.Mutex
	all []*mapping // at, and those that became too short
}

// mapping is a part of the address space over the beginning of the file. It reaches beyond the file's end, so that it serves as the file grows.
type mapping struct {
	file  os.FileInfo
	bytes []byte
	size  atomic.Int64 // of the file, when it was last asked
}

// osFile is what the machine's file system gives for a database.
type osFile interface {
	vfs.FileSharedMemory
	vfs.FileLockState
	vfs.FileHasMoved
	vfs.FileSizeHint
	vfs.FilePersistWAL
	vfs.FilePowersafeOverwrite
	Stat() (os.FileInfo, error)
	SyscallConn() (syscall.RawConn, error)
}

// newMapped registers the file system under a name of its own, until close.
func newMapped() *mapped {
	system, ok := vfs.Find("").(vfs.VFSFilename)
	if !ok {
		return nil
	}
	m := &mapped{VFSFilename: system}
	m.name = fmt.Sprintf("mapped-%p", m)
	vfs.Register(m.name, m)
	return m
}

func (m *mapped) close() {
	if m == nil {
		return
	}
	vfs.Unregister(m.name)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.over.Store(true)
	m.at.Store(nil)
	for _, was := range m.all {
		_ = syscall.Munmap(was.bytes) // nobody reads there any more
	}
	m.all = nil
}

// vfsName is what connections that read ask for.
func (m *mapped) vfsName() string {
	if m == nil {
		return ""
	}
	return m.name
}

// OpenFilename is vfs.VFSFilename's.
func (m *mapped) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (vfs.File, vfs.OpenFlag, error) {
	f, flags, err := m.VFSFilename.OpenFilename(name, flags)
	inner, ok := f.(osFile)
	if err != nil || !ok || flags&vfs.OPEN_MAIN_DB == 0 {
		return f, flags, err
	}
	return &mappedFile{osFile: inner, m: m}, flags, nil
}

// mappedFile is one connection's opening of the database.
type mappedFile struct {
	osFile
	m  *mapped
	at *mapping // that is known to be of this file
}

// ReadAt is io.ReaderAt's.
func (f *mappedFile) ReadAt(p []byte, off int64) (int, error) {
	if at := f.m.at.Load(); at == nil || at != f.at || off+int64(len(p)) > at.size.Load() {
		f.at = f.m.reaching(f.osFile, off+int64(len(p)))
	}
	if f.at != nil && f.at.copy(p, off) {
		return len(p), nil
	}
	return f.osFile.ReadAt(p, off)
}

// copy reports whether it could.
func (at *mapping) copy(p []byte, off int64) (done bool) {
	defer debug.SetPanicOnFault(debug.SetPanicOnFault(true))
	defer func() {
		if cause := recover(); cause != nil {
			if _, fault := cause.(interface{ Addr() uintptr }); !fault {
				panic(cause)
			}
			done = false
		}
	}()
	copy(p, at.bytes[off:])
	return true
}

// reaching is a mapping of the file that holds its bytes up to end; nil when the file ends before it, or is not to be mapped.
func (m *mapped) reaching(f osFile, end int64) *mapping {
	if m.over.Load() {
		return nil
	}
	info, err := f.Stat()
	if err != nil || info.Size() < end {
		return nil
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	at := m.at.Load()
	if at != nil && !os.SameFile(at.file, info) || m.over.Load() {
		return nil // somebody put another file in its place; the connections of before go on with theirs
	}
	if at == nil || int64(len(at.bytes)) < info.Size() {
		if info.Size() > mappable() {
			m.over.Store(true) // a mapping that became too short serves no longer: the file only grows
			m.at.Store(nil)
			return nil
		}
		if at, err = mapFile(f, info); err != nil {
			m.over.Store(true)
			return nil
		}
		m.all = append(m.all, at)
		m.at.Store(at)
	}
	at.size.Store(max(at.size.Load(), info.Size()))
	return at
}

// mappedBeyond is by how much more than the file is long a mapping reaches at least: addresses cost nothing.
const mappedBeyond = 1 << 30

func mapFile(f osFile, info os.FileInfo) (at *mapping, err error) {
	raw, err := f.SyscallConn()
	if err != nil {
		return nil, err
	}
	at = &mapping{file: info}
	cerr := raw.Control(func(fd uintptr) {
		at.bytes, err = syscall.Mmap(int(fd), 0, int(2*info.Size()+mappedBeyond), syscall.PROT_READ, syscall.MAP_SHARED)
	})
	return at, errors.Join(cerr, err)
}

// mappable is how long a file may be to be mapped: half of what the machine has of memory.
func mappable() int64 {
	var info syscall.Sysinfo_t
	if err := syscall.Sysinfo(&info); err != nil {
		return 0
	}
	return int64(info.Totalram) * int64(info.Unit) / 2
}
