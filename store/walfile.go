package store

import (
	"errors"
	"fmt"

	"github.com/ncruces/go-sqlite3/vfs"
)

// gathered is a file system for the connection that writes: what goes into the write-ahead log is gathered and written at once, where SQLite
// writes each page of a commit by two calls, one for its head and one for itself. Nothing else is different: the log's bytes are written in the order in
// which SQLite wrote them, before it reads, measures, cuts, syncs or closes the log. Others look for a commit's pages only when they are
// durable, since SQLite tells of them after it has synced the log (synchronous=FULL).
type gathered struct {
	vfs.VFS
	name     string
	fleeting bool // see Options.Fleeting
}

// newGathered registers the file system under a name of its own, over another (the machine's own for ""), until close. It is nil if there is no such.
func newGathered(over string, fleeting bool) *gathered {
	inner := vfs.Find(over)
	if inner == nil {
		return nil
	}
	g := &gathered{VFS: inner, fleeting: fleeting}
	g.name = fmt.Sprintf("gathered-%p", g)
	vfs.Register(g.name, g)
	return g
}

func (g *gathered) close() {
	if g != nil {
		vfs.Unregister(g.name)
	}
}

// OpenFilename is vfs.VFSFilename's.
func (g *gathered) OpenFilename(name *vfs.Filename, flags vfs.OpenFlag) (f vfs.File, as vfs.OpenFlag, err error) {
	if inner, ok := g.VFS.(vfs.VFSFilename); ok {
		f, as, err = inner.OpenFilename(name, flags)
	} else {
		f, as, err = g.VFS.Open(name.String(), flags)
	}
	switch {
	case err != nil:
	case flags&vfs.OPEN_WAL != 0:
		f = &walFile{File: f, fleeting: g.fleeting}
	case flags&vfs.OPEN_MAIN_DB != 0 && g.fleeting:
		if inner, ok := f.(vfs.FileSharedMemory); ok {
			f = unsynced{inner}
		}
	}
	return f, as, err
}

// mostGathered is how many bytes of the log are held back at most.
const mostGathered = 256 << 10

// walFile is a write-ahead log with what is still to be written of it: held, which belongs at an offset. What could not be written stays held, and
// whatever comes next tries again: SQLite may go on after a failure to read, and must not then commit pages that are not there.
type walFile struct {
	vfs.File
	at       int64
	held     []byte
	fleeting bool // it is never forced to the disk
}

// WriteAt is io.WriterAt's.
func (f *walFile) WriteAt(p []byte, off int64) (int, error) {
	if off != f.at+int64(len(f.held)) || len(f.held)+len(p) > mostGathered {
		if err := f.flush(); err != nil {
			return 0, err
		}
	}
	if len(f.held) == 0 {
		f.at = off
	}
	f.held = append(f.held, p...)
	return len(p), nil
}

func (f *walFile) flush() error {
	if len(f.held) == 0 {
		return nil
	}
	if _, err := f.File.WriteAt(f.held, f.at); err != nil {
		return err
	}
	f.held = f.held[:0]
	return nil
}

// ReadAt is io.ReaderAt's.
func (f *walFile) ReadAt(p []byte, off int64) (int, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.File.ReadAt(p, off)
}

// Truncate is vfs.File's.
func (f *walFile) Truncate(size int64) error {
	if err := f.flush(); err != nil {
		return err
	}
	return f.File.Truncate(size)
}

// Sync is vfs.File's.
func (f *walFile) Sync(flags vfs.SyncFlag) error {
	if err := f.flush(); err != nil {
		return err
	}
	if f.fleeting {
		return nil
	}
	return f.File.Sync(flags)
}

// Size is vfs.File's.
func (f *walFile) Size() (int64, error) {
	if err := f.flush(); err != nil {
		return 0, err
	}
	return f.File.Size()
}

// Close is io.Closer's.
func (f *walFile) Close() error { return errors.Join(f.flush(), f.File.Close()) }

// unsynced is the file of a database that need not survive a loss of power.
type unsynced struct{ vfs.FileSharedMemory }

// Sync is vfs.File's.
func (unsynced) Sync(vfs.SyncFlag) error { return nil }
