package store

import (
	"bytes"
	"errors"
	"io"
	"math/rand/v2"
	"testing"

	"github.com/ncruces/go-sqlite3/vfs"
)

// memoryFile is a file in memory that can refuse to be written.
type memoryFile struct {
	vfs.File
	bytes  []byte
	writes int
	full   bool
}

var errFull = errors.New("the disk is full")

func (m *memoryFile) ReadAt(p []byte, off int64) (int, error) {
	if off >= int64(len(m.bytes)) {
		return 0, io.EOF
	}
	n := copy(p, m.bytes[off:])
	if n < len(p) {
		return n, io.EOF
	}
	return n, nil
}

func (m *memoryFile) WriteAt(p []byte, off int64) (int, error) {
	if m.full {
		return 0, errFull
	}
	m.writes++
	if end := off + int64(len(p)); end > int64(len(m.bytes)) {
		m.bytes = append(m.bytes, make([]byte, end-int64(len(m.bytes)))...)
	}
	return copy(m.bytes[off:], p), nil
}

func (m *memoryFile) Truncate(size int64) error {
	m.bytes = append(m.bytes, make([]byte, max(0, size-int64(len(m.bytes))))...)[:size]
	return nil
}

func (m *memoryFile) Sync(vfs.SyncFlag) error { return nil }
func (m *memoryFile) Size() (int64, error)    { return int64(len(m.bytes)), nil }
func (m *memoryFile) Close() error            { return nil }

// Whatever is written to a log, read, cut and synced, in whatever order: it holds at each of these but a write what a plain file would hold, and a
// commit's pages are one write. While the disk is full nothing that was taken is lost: what needs the file fails until there is room.
func TestALogHoldsWhatWasWrittenToIt(t *testing.T) {
	t.Parallel()
	for seed := range uint64(40) {
		rng := rand.New(rand.NewPCG(seed, 1))
		under, plain := &memoryFile{}, &memoryFile{}
		log := &walFile{File: under}
		end := int64(0)
		for step := range 300 {
			under.full = rng.IntN(10) == 0
			var err error
			switch op := rng.IntN(20); {
			case op < 15:
				off := end // as SQLite mostly writes
				if rng.IntN(8) == 0 {
					off = rng.Int64N(end + 100)
				}
				size := [...]int{24, 4096, 32, 70_000}[rng.IntN(4)]
				p := bytes.Repeat([]byte{byte(rng.Uint32())}, size)
				if _, err = log.WriteAt(p, off); err == nil {
					_, _ = plain.WriteAt(p, off)
					end = off + int64(size)
				}
			case op < 16:
				if err = log.Truncate(end); err == nil {
					_ = plain.Truncate(end)
				}
			case op < 17:
				var size int64
				if size, err = log.Size(); err == nil && size != int64(len(plain.bytes)) {
					t.Fatalf("seed %d, step %d: %d bytes long, not %d", seed, step, size, len(plain.bytes))
				}
			case op < 19:
				got := make([]byte, 5000)
				off := rng.Int64N(end + 1)
				var n int
				if n, err = log.ReadAt(got, off); err == nil || errors.Is(err, io.EOF) {
					want := make([]byte, 5000)
					if m, werr := plain.ReadAt(want, off); n != m || !errors.Is(err, werr) || !bytes.Equal(got[:n], want[:m]) {
						t.Fatalf("seed %d, step %d: read %d bytes (%v), not the %d that were written (%v)", seed, step, n, err, m, werr)
					}
					err = nil
				}
			default:
				if err = log.Sync(0); err == nil && !bytes.Equal(under.bytes, plain.bytes) {
					t.Fatalf("seed %d, step %d: synced without what was written", seed, step)
				}
			}
			if err != nil && (!under.full || !errors.Is(err, errFull)) {
				t.Fatalf("seed %d, step %d: %v", seed, step, err)
			}
		}
		under.full = false
		if err := log.Close(); err != nil || !bytes.Equal(under.bytes, plain.bytes) {
			t.Fatalf("seed %d: closed without what was written: %v", seed, err)
		}
	}
	under := &memoryFile{}
	log := &walFile{File: under}
	for page := range int64(30) {
		_, _ = log.WriteAt(make([]byte, 24), page*4120)
		_, _ = log.WriteAt(make([]byte, 4096), page*4120+24)
	}
	if err := log.Sync(0); err != nil || under.writes != 1 || len(under.bytes) != 30*4120 {
		t.Errorf("30 pages took %d writes, %d bytes: %v", under.writes, len(under.bytes), err)
	}
}
