package audit

import (
	"bytes"
	"cmp"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"sort"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Old months are moved out of the database into files, which are sealed as the rows were: the log holds the leaf of each batch, and
// the batch moves whole. What a file holds is taken from the file as soon as, and only when, it is no longer in the database:
//
//	read batches → write the file → fsync → read it back and compare → rename → fsync the folder
//	   → register it (one commit) → delete the rows, some batches and their place in "gone" in one commit each → moved
//
// A crash before it is registered leaves a file that nobody reads and the next archiving writes anew; a crash later leaves some rows
// in the database, each of which is read from there, and the next archiving goes on.

// Archived says what Archive did.
type Archived struct {
	Files   []string // that were written, by name
	Entries int64    // that were moved out of the database
	Bytes   int64    // of the files that were written
	Held    int      // lanes that were left alone, because their seals are not as the log has them: Verify says why
}

// String is what was done, for a person.
func (a Archived) String() string {
	var b strings.Builder
	switch {
	case a.Entries == 0:
		b.WriteString("There was nothing to move into an archive.\n")
	case a.Bytes == 0:
		fmt.Fprintf(&b, "An archiving that had been cut short was finished: %d entries moved.\n", a.Entries)
	default:
		fmt.Fprintf(&b, "%d entries moved; archives written: %s (%d bytes).\n", a.Entries, strings.Join(a.Files, ", "), a.Bytes)
	}
	if a.Held > 0 {
		fmt.Fprintf(&b, "%d lanes were left alone, because their seals are not what the log holds: run openspine audit verify.\n", a.Held)
	}
	return b.String()
}

// sizes bound what archiving does at once, in entries.
type sizes struct {
	block int // a block holds at most, unless a single batch has more
	file  int // a file holds before the next is begun
	moved int // a commit takes out of the database at least, unless fewer are left: so that nobody waits long
}

func usualSizes() sizes { return sizes{block: 16_384, file: 1 << 20, moved: 1000} }

// FirstKept is the first month that stays in the database when so many whole months stay besides the one that has begun.
func FirstKept(now time.Time, months int) time.Time {
	return time.Date(now.UTC().Year(), now.UTC().Month(), 1, 0, 0, 0, 0, time.UTC).AddDate(0, -months, 0)
}

// Archive moves what is sealed and older than before (the first instant of a month, no later than that of the present one) into
// files. A batch that reaches over the end of a month goes with the later one. It may be run again after any failure and goes on where it
// was; one process at a time may run it, and a node may run meanwhile. Errors: fault.Invalid for another instant; fault.Unavailable
// or fault.Full when a file cannot be written, or does not read back as it was written.
func (l *Log) Archive(ctx context.Context, before time.Time) (Archived, error) {
	l.archiving.Lock()
	defer l.archiving.Unlock()
	var done Archived
	if now := l.opt.Clock.Now(); before != FirstKept(before, 0) || before.After(FirstKept(now, 0)) {
		return done, fault.New(fault.Invalid, "only whole months that are over are archived: name the first month to keep, no later than %s", FirstKept(now, 0).Format("2006-01"))
	}
	if err := l.dropTemporary(); err != nil {
		return done, err
	}
	if err := l.finishMoves(ctx, &done); err != nil {
		return done, err
	}
	for {
		w, err := l.nextArchive(ctx, before)
		if err != nil {
			return done, err
		}
		done.Held = w.held
		if w.name == "" {
			return done, nil
		}
		done.Files, done.Bytes = append(done.Files, w.name), done.Bytes+w.size
		if err := l.finishMoves(ctx, &done); err != nil {
			return done, err
		}
	}
}

func (l *Log) archiveDir() string { return filepath.Join(l.dir, "archive") }

func (l *Log) archivePath(name string) string { return filepath.Join(l.archiveDir(), name) }

// archiveEnd ends the names of archive files, and temporaryStart begins those of files that are not whole yet.
const (
	archiveEnd     = ".account"
	temporaryStart = ".new-"
)

// dropTemporary removes what an archiving that was cut short had not finished.
func (l *Log) dropTemporary() error {
	if err := os.MkdirAll(l.archiveDir(), 0o700); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the folder of the account's archives cannot be made")
	}
	left, err := filepath.Glob(l.archivePath(temporaryStart + "*"))
	for _, path := range left {
		err = errors.Join(err, os.Remove(path))
	}
	return err
}

// written is a file that was registered; name is empty when there was nothing to write.
type written struct {
	name string
	size int64
	held int
}

// nextArchive writes and registers the file of the oldest month that has entries to move.
func (l *Log) nextArchive(ctx context.Context, before time.Time) (written, error) {
	leaves, err := l.newLeafCache(ctx)
	if err != nil {
		return written{}, err
	}
	lanes, held, month, err := l.laneTails(ctx, leaves, before)
	if err != nil || month.IsZero() {
		return written{held: held}, err
	}
	temp, err := os.CreateTemp(l.archiveDir(), temporaryStart+"*")
	if err != nil {
		return written{}, fault.Wrap(err, fault.Unavailable, "an archive of the account cannot be made")
	}
	out, err := l.fill(ctx, temp, leaves, lanes, month.AddDate(0, 1, 0))
	if err == nil {
		err = l.step("written")
	}
	if err = errors.Join(err, temp.Close()); err != nil {
		return written{}, discard(temp.Name(), err)
	}
	if err := l.readBack(temp.Name(), out); err != nil {
		return written{}, discard(temp.Name(), err)
	}
	if err := l.step("checked"); err != nil {
		return written{}, err
	}
	row, err := l.place(ctx, temp.Name(), month, out)
	if err != nil {
		return written{}, err
	}
	if err := l.register(ctx, row, out); err != nil {
		return written{}, err
	}
	return written{name: row.name, size: row.size, held: held}, l.step("registered")
}

// discard removes a file that came to nothing, unless the process is as good as dead.
func discard(path string, err error) error {
	if errors.Is(err, errKilled) {
		return err
	}
	return errors.Join(err, os.Remove(path))
}

// errKilled is what step gives in a test that ends the process there.
var errKilled = errors.New("killed")

// step is where a test may end the process.
func (l *Log) step(name string) error {
	if l.stepped == nil {
		return nil
	}
	return l.stepped(name)
}

// outcome is what was written into a file.
type outcome struct {
	w               *archiveWriter
	digest, entries []byte
}

// fill writes the batches of lanes whose last entry is before end.
func (l *Log) fill(ctx context.Context, f *os.File, leaves *leafCache, lanes []laneTail, end time.Time) (*outcome, error) {
	w, err := newArchiveWriter(f, l.keys, l.sizes.block)
	if err != nil {
		return nil, err
	}
	for _, t := range lanes {
		for more := true; more && w.entries() < l.sizes.file; {
			if more, err = l.fillLane(ctx, w, leaves, &t, end); err != nil {
				return nil, err
			}
		}
	}
	o := &outcome{w: w}
	o.digest, o.entries, err = w.finish()
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "an archive of the account cannot be written: %v", err)
	}
	return o, nil
}

// fillLane adds some batches of a lane; more says that there are further ones.
func (l *Log) fillLane(ctx context.Context, w *archiveWriter, leaves *leafCache, t *laneTail, end time.Time) (more bool, err error) {
	var seals []sealRow
	var rows []Entry
	err = l.db.ReadNow(ctx, func(tx *store.Tx) (err error) {
		if seals, err = sealsAfter(tx, t.lane, t.batch); err != nil || len(seals) == 0 {
			return err
		}
		rows, err = readRows(tx, t.lane, t.last+1, seals[len(seals)-1].last)
		return err
	})
	if err != nil {
		return false, err
	}
	for _, s := range seals {
		n := sort.Search(len(rows), func(i int) bool { return rows[i].Seq > s.last })
		if s.batch != t.batch+1 || !latest(rows[:n], t.at).Before(end) || !leaves.holds(ctx, t.lane, s) {
			return false, nil
		}
		if w.entries() >= l.sizes.file {
			return false, nil
		}
		if err := w.batch(t.lane, sealedBatch{s.batch, s.first, s.last, s.leaf}, rows[:n]); err != nil {
			return false, fault.Wrap(err, fault.Unavailable, "an archive of the account cannot be written: %v", err)
		}
		t.batch, t.last, t.at = s.batch, s.last, latest(rows[:n], t.at)
		rows = rows[n:]
	}
	return len(seals) > 0, nil
}

// latest is the instant of the last of rows, or at when there are none.
func latest(rows []Entry, at time.Time) time.Time {
	if len(rows) == 0 {
		return at
	}
	return rows[len(rows)-1].At
}

// holds reports whether a seal row says what its leaf says.
func (c *leafCache) holds(ctx context.Context, lane store.Lane, s sealRow) bool {
	if s.leaf < 0 || uint64(s.leaf) >= c.size {
		return false
	}
	f, err := c.at(ctx, uint64(s.leaf))
	return err == nil && f.lane == lane && f.batch == s.batch && f.first == s.first && f.last == s.last && bytes.Equal(f.root, s.root)
}

// readBack compares a file, as it is on the disk, with what was written to it.
func (l *Log) readBack(path string, o *outcome) error {
	f, err := os.Open(path)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "an archive of the account cannot be read back")
	}
	defer f.Close()
	unsound := fault.New(fault.Unavailable, "an archive of the account did not read back as it was written: is the disk sound? Nothing was moved")
	info, err := f.Stat()
	if err != nil {
		return err
	}
	a, err := readArchive(f, info.Size(), l.unzip)
	if err != nil || !bytes.Equal(a.digest, o.digest) {
		return errors.Join(unsound, err)
	}
	digest := newDigester(l.keys)
	for n := range a.blocks {
		k, sound, err := a.block(f, n, l.unzip)
		if err != nil || !sound {
			return errors.Join(unsound, err)
		}
		for i := range k.seqs {
			e := k.entry(i)
			digest.add(k.lane, &e)
		}
	}
	if !bytes.Equal(digest.sum(), o.entries) {
		return unsound
	}
	return nil
}

// place gives a file its name, durably.
func (l *Log) place(ctx context.Context, temp string, month time.Time, o *outcome) (archiveRow, error) {
	known, err := l.archives(ctx)
	if err != nil {
		return archiveRow{}, err
	}
	row := archiveRow{id: int64(len(known)) + 1, digest: o.digest, size: o.w.at}
	base, part := month.Format("2006-01"), 1
	for row.name = base + archiveEnd; slices.ContainsFunc(known, func(k archiveRow) bool { return k.name == row.name }); {
		part++
		row.name = fmt.Sprintf("%s-%d%s", base, part, archiveEnd)
	}
	for i, h := range o.w.blocks {
		if i == 0 {
			row.firstAt, row.lastAt = h.firstAt, h.lastAt
		}
		row.firstAt, row.lastAt, row.entries = min(row.firstAt, h.firstAt), max(row.lastAt, h.lastAt), row.entries+int64(h.entries)
	}
	if err := errors.Join(os.Chmod(temp, 0o600), os.Rename(temp, l.archivePath(row.name))); err != nil {
		return row, fault.Wrap(err, fault.Unavailable, "an archive of the account cannot be put into its place")
	}
	if err := l.step("renamed"); err != nil {
		return row, err
	}
	if err := errors.Join(syncDir(l.archiveDir()), syncDir(l.dir)); err != nil {
		return row, fault.Wrap(err, fault.Unavailable, "the folder of the account's archives cannot be synchronised")
	}
	return row, l.step("synced")
}

func syncDir(dir string) error {
	d, err := os.Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// open opens the file of an archive and reads its index. Errors: fault.Unavailable, naming the file, when it is not there or is not
// the one that the database knows.
func (l *Log) openArchive(row archiveRow) (*os.File, *archiveFile, error) {
	f, err := os.Open(l.archivePath(row.name))
	if err != nil {
		how := "cannot be read"
		if errors.Is(err, fs.ErrNotExist) {
			how = "is missing"
		}
		return nil, nil, row.fault(how, err)
	}
	l.mu.Lock()
	a := l.indexes[string(row.digest)]
	l.mu.Unlock()
	if a != nil {
		return f, a, nil
	}
	info, err := f.Stat()
	if err == nil {
		a, err = readArchive(f, info.Size(), l.unzip)
	}
	if err != nil || !bytes.Equal(a.digest, row.digest) {
		return nil, nil, row.fault("was changed", errors.Join(err, f.Close()))
	}
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.indexes) >= rememberedIndexes {
		clear(l.indexes)
	}
	l.indexes[string(row.digest)] = a
	return f, a, nil
}

// rememberedIndexes bounds how many indexes of archives are kept in memory.
const rememberedIndexes = 64

// fault is what somebody is told who needs an archive that is not as it should be.
func (r archiveRow) fault(how string, err error) error {
	from, to := microTime(r.firstAt).Format("2 January 2006"), microTime(r.lastAt).Format("2 January 2006")
	return fault.Wrap(cmp.Or(err, errArchive), fault.Unavailable, "The account from %s to %s is in the archive %s, which %s. Its keeper can put it back from a backup; until then, ask for a period without these days.",
		from, to, r.name, how)
}
