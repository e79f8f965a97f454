package demographics

import (
	"errors"
	"fmt"
	"hash/crc32"
	"os"
	"path/filepath"
	"sort"
	"strings"
	"sync"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// An NHS number is never issued twice, also after the database was restored from an old backup: numbers are reserved in a ledger that
// lies beside the database and in no backup, forced to the disk before the first of them is used (docs/decisions/0008).

// ledgerFile is the ledger's name in the node's data folder.
const ledgerFile = "nhs-numbers.ledger"

// block is how many numbers are reserved at a time. A node that stops wastes what is left of a block.
const block = 64

// ledger hands out numbers of a range, each once, from the range's end downward: the made-up country fills it from the beginning.
type ledger struct {
	mu   sync.Mutex
	path string
	all  ident.NHSRange
	next int // how many were handed out or given up, of all that were ever reserved here
	end  int // how many are reserved
}

// openLedger reads the ledger in a folder; begun reports whether there is one. A line that was being written when the power went is as if
// it had not been: none of its numbers was used.
func openLedger(folder string, all ident.NHSRange) (l *ledger, begun bool, err error) {
	l = &ledger{path: filepath.Join(folder, ledgerFile), all: all}
	text, err := os.ReadFile(l.path)
	if errors.Is(err, os.ErrNotExist) {
		return l, false, nil
	}
	if err != nil {
		return nil, false, fault.Wrap(err, fault.Unavailable, "the ledger of NHS numbers cannot be read")
	}
	for line := range strings.Lines(string(text)) {
		var upTo int
		var sum uint32
		if !strings.HasSuffix(line, "\n") {
			break
		}
		if n, err := fmt.Sscanf(line, "%d %x", &upTo, &sum); err != nil || n != 2 || sum != ledgerSum(upTo) {
			return nil, false, fault.New(fault.Unavailable, "the ledger of NHS numbers, %s, is damaged: no number is given out before it is put right", ledgerFile)
		}
		l.end = max(l.end, upTo)
	}
	l.next = l.end
	return l, l.end > 0 || len(text) > 0, nil
}

func ledgerSum(upTo int) uint32 { return crc32.ChecksumIEEE(fmt.Appendf(nil, "nhs-numbers %d", upTo)) }

// take is a number that was never handed out. Errors: fault.Unavailable when the range is used up or the ledger cannot be written.
func (l *ledger) take() (ident.NHSNumber, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.next == l.end {
		if err := l.reserve(l.end + block); err != nil {
			return ident.NHSNumber{}, err
		}
	}
	i := l.all.Len() - 1 - l.next
	if i < 0 {
		return ident.NHSNumber{}, fault.New(fault.Unavailable, "There are no more NHS numbers to give out.")
	}
	l.next++
	return l.all.At(i)
}

// reserve puts down, durably, that all numbers up to one are reserved.
func (l *ledger) reserve(upTo int) (err error) {
	f, err := os.OpenFile(l.path, os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the ledger of NHS numbers cannot be written")
	}
	defer func() {
		err = fault.Wrap(errors.Join(err, f.Close()), fault.Unavailable, "the ledger of NHS numbers cannot be written")
	}()
	if err := trimmed(f); err != nil {
		return err
	}
	if _, err := fmt.Fprintf(f, "%d %08x\n", upTo, ledgerSum(upTo)); err != nil {
		return err
	}
	if err := f.Sync(); err != nil {
		return err
	}
	dir, err := os.Open(filepath.Dir(l.path)) // a new file's name is durable when its folder is
	if err != nil {
		return err
	}
	if err := errors.Join(dir.Sync(), dir.Close()); err != nil {
		return err
	}
	l.end = upTo
	return nil
}

// trimmed takes away a line that was torn and goes to the end.
func trimmed(f *os.File) error {
	text, err := os.ReadFile(f.Name())
	if err != nil {
		return err
	}
	end := int64(strings.LastIndexByte(string(text), '\n') + 1)
	if err := f.Truncate(end); err != nil {
		return err
	}
	_, err = f.Seek(end, 0)
	return err
}

// SetFloor begins the ledger of a data folder that was restored elsewhere than where it was: every number from the range's end to issued,
// the last that is known to have been given out, counts as given out. issued may be empty when none was.
// Errors: fault.Conflict when there is a ledger; fault.Invalid when the number is not of the range.
func SetFloor(folder, issued string) error {
	l, begun, err := openLedger(folder, ident.TestRange)
	if err != nil {
		return err
	}
	if begun {
		return fault.New(fault.Conflict, "%s has a ledger of NHS numbers already", folder)
	}
	if issued == "" {
		return l.reserve(0)
	}
	n, err := ident.ParseNHSNumber(issued)
	if err != nil {
		return err
	}
	if !l.all.Contains(n) {
		return fault.New(fault.Invalid, "that number is not of the range from which this node gives out numbers")
	}
	last := l.all.Len() - 1
	i := sort.Search(last, func(i int) bool {
		at, err := l.all.At(i)
		return err == nil && at.String() >= n.String()
	})
	return l.reserve(last - i + 1)
}
