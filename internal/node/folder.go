package node

import (
	"errors"
	"os"
	"path/filepath"
	"syscall"

	"github.com/openspine/openspine/fault"
)

// Folder is a data folder that this process alone may change. Two nodes over one SQLite file, or an import beside a running node,
// would each remember what the other changes; reading beside a node (backup, audit verify) is fine and needs no Folder.
type Folder struct{ lock *os.File }

// TakeFolder makes the folder if it is not there and holds it until Release, or until the process ends however it ends.
// Errors: fault.Conflict when another process holds it, fault.Unavailable when it cannot be made.
func TakeFolder(dir string) (*Folder, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the data folder %s cannot be made: %v", dir, err)
	}
	f, err := os.OpenFile(filepath.Join(dir, lockFile), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the data folder %s cannot be written to: %v", dir, err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		cause := errors.Join(err, f.Close())
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return nil, fault.Wrap(cause, fault.Conflict, "%s is in use by a running node, an import or a restore: stop it first, or name another folder with --data", dir)
		}
		return nil, fault.Wrap(cause, fault.Unavailable, "the data folder %s cannot be locked: %v", dir, err)
	}
	return &Folder{f}, nil
}

const lockFile = "lock"

// Release lets others have the folder. The file stays: whoever removes it lets two in.
func (f *Folder) Release() error {
	if f == nil || f.lock == nil {
		return nil
	}
	err := f.lock.Close()
	f.lock = nil
	return err
}

// EmptyFolder reports whether dir is not there or holds nothing but a lock.
func EmptyFolder(dir string) bool {
	entries, err := os.ReadDir(dir)
	return err != nil || len(entries) == 0 || len(entries) == 1 && entries[0].Name() == lockFile
}
