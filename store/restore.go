package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"

	"github.com/klauspost/compress/zstd"

	"github.com/openspine/openspine/fault"
)

// Restore makes a new database at url from a backup, which it verifies first. The database has a new incarnation, and the
// backup's number of lanes; it need not be on the engine that the backup came from. A database that is there already and
// holds anything is never overwritten (fault.Conflict). A restore that fails leaves nothing.
func Restore(ctx context.Context, r io.ReadSeeker, url string, o Options) error {
	m, err := VerifyBackup(r)
	if err != nil {
		return err
	}
	o.Lanes = m.Lanes
	o.Rehearse = false
	if isPostgres(url) {
		return restorePostgres(ctx, r, url, o)
	}
	return restoreSQLite(ctx, r, sqlitePath(url), o)
}

// restoreSQLite restores beside the place and moves the file there when it is whole.
func restoreSQLite(ctx context.Context, r io.ReadSeeker, path string, o Options) error {
	if _, err := os.Stat(path); err == nil {
		return fault.New(fault.Conflict, "there is a database at %s already; restore to another place, or move it away with the files beside it (-wal, -shm)",
			filepath.Base(path))
	}
	part := path + ".restoring"
	drop := func() error {
		var all error
		for _, end := range []string{"", "-wal", "-shm", "-journal"} {
			if err := os.Remove(part + end); err != nil && !errors.Is(err, os.ErrNotExist) {
				all = errors.Join(all, err)
			}
		}
		return all
	}
	if err := drop(); err != nil {
		return restoreFault(err)
	}
	db, err := Open(ctx, part, o)
	if err != nil {
		return err
	}
	err = db.restore(ctx, r, db.loadInChunks)
	if err = errors.Join(err, db.Close()); err != nil {
		return restoreFault(errors.Join(err, drop()))
	}
	if _, err := os.Stat(part + "-wal"); err == nil {
		return restoreFault(errors.Join(errors.New("the write-ahead log was not emptied"), drop()))
	}
	if err := os.Rename(part, path); err != nil {
		return restoreFault(errors.Join(err, drop()))
	}
	return restoreFault(syncDir(filepath.Dir(path)))
}

// restorePostgres restores in one transaction.
func restorePostgres(ctx context.Context, r io.ReadSeeker, url string, o Options) error {
	db, err := Open(ctx, url, o)
	if err != nil {
		return err
	}
	err = db.restore(ctx, r, db.loadAtOnce)
	if err == nil {
		if aerr := db.Analyze(ctx); aerr != nil {
			db.opt.Logger.Warn("store: what was restored is not in the planner's statistics yet", "error", aerr)
		}
	}
	return restoreFault(errors.Join(err, db.Close()))
}

func restoreFault(err error) error {
	return fault.Wrap(err, fault.KindOf(err), "the restore failed and left nothing: %s", fault.MessageOf(err))
}

func (db *DB) restore(ctx context.Context, r io.ReadSeeker, load func(context.Context, func() (*source, error)) error) error {
	err := db.Read(ctx, func(tx *Tx) error {
		names, err := db.eng.tables(tx)
		for _, name := range names {
			if !strings.HasPrefix(name, "store_") {
				return fault.New(fault.Conflict, "the database is not empty (it has a table %s); restore into an empty one", name)
			}
		}
		return err
	})
	if err != nil {
		return err
	}
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return err
	}
	return load(ctx, func() (*source, error) {
		if _, err := r.Seek(0, io.SeekStart); err != nil {
			return nil, err
		}
		return openBackup(r, size)
	})
}

// chunkRows is how many rows are loaded at once.
const chunkRows = 5000

func (db *DB) loadInChunks(ctx context.Context, open func() (*source, error)) error {
	src, err := open()
	if err != nil {
		return err
	}
	defer src.close()
	if err := db.Write(ctx, nil, func(tx *Tx) error { return db.lay(tx, src.manifest) }); err != nil {
		return err
	}
	lanes := map[Lane]laneState{}
	for {
		t, rows, err := src.chunk()
		if err != nil {
			return err
		}
		if rows == nil {
			break
		}
		if t.Name == "store_lane" {
			keepLanes(lanes, t, rows)
			continue
		}
		if err := db.Write(ctx, nil, func(tx *Tx) error { return tx.sess.load(t, rows) }); err != nil {
			return err
		}
	}
	return db.Write(ctx, db.allLanes(), func(tx *Tx) error { return tx.takeUp(lanes) })
}

func (db *DB) loadAtOnce(ctx context.Context, open func() (*source, error)) error {
	return db.Write(ctx, db.allLanes(), func(tx *Tx) error {
		src, err := open()
		if err != nil {
			return err
		}
		defer src.close()
		if err := db.lay(tx, src.manifest); err != nil {
			return err
		}
		lanes := map[Lane]laneState{}
		for {
			t, rows, err := src.chunk()
			switch {
			case err != nil:
				return err
			case rows == nil:
				return tx.takeUp(lanes)
			case t.Name == "store_lane":
				keepLanes(lanes, t, rows)
			default:
				if err := tx.sess.load(t, rows); err != nil {
					return tx.fail(err)
				}
			}
		}
	})
}

func (db *DB) allLanes() []Lane {
	all := make([]Lane, db.lanes)
	for i := range all {
		all[i] = Lane(i)
	}
	return all
}

// lay runs the backup's migrations, and empties the tables of whatever they put there.
func (db *DB) lay(tx *Tx, m Manifest) error {
	if int(db.lanes) != m.Lanes {
		return fault.New(fault.Conflict, "the database has %d lanes and the backup %d; restore into a new database", db.lanes, m.Lanes)
	}
	for _, s := range m.Schemas {
		err := db.apply(tx, migration{service: s.Service, number: s.Number, name: s.Name, source: s.Source, checksum: s.Checksum, reader: s.Reader})
		if err != nil {
			return err
		}
	}
	for _, t := range m.Tables {
		if t.Name == "store_lane" {
			continue
		}
		if _, err := tx.Exec("DELETE FROM " + quoteName(t.Name)); err != nil {
			return err
		}
	}
	_, err := tx.Exec("INSERT INTO store_meta (name, value) VALUES ('restored from', ?)", m.Incarnation)
	return err
}

func keepLanes(lanes map[Lane]laneState, t BackupTable, rows [][]any) {
	at := map[string]int{}
	for i, c := range t.Columns {
		at[c] = i
	}
	for _, r := range rows {
		lane, _ := r[at["lane"]].(int64)
		next, _ := r[at["next"]].(int64)
		when, _ := r[at["at"]].(int64)
		lanes[Lane(lane)] = laneState{next: next, at: when}
	}
}

// takeUp goes on where the lanes of the backup ended.
func (tx *Tx) takeUp(lanes map[Lane]laneState) error {
	for lane, s := range lanes {
		if tx.lanes[lane] == nil {
			return fault.New(fault.Unprocessable, "the backup speaks of lane %d, which it does not have", lane)
		}
		tx.lanes[lane].next = s.next
		if tx.at.UnixMicro() <= s.at {
			tx.at = microTime(s.at + 1)
		}
	}
	return nil
}

// source is a backup being read.
type source struct {
	manifest Manifest
	r        *bufio.Reader
	z        *zstd.Decoder
	table    int // the one being read, counted from 1; 0 is none
}

// biggestManifest bounds what is believed of a length before it is read.
const biggestManifest = 64 << 20

// openBackup reads the start of a backup of size bytes, which r stands at the start of.
func openBackup(r io.ReadSeeker, size int64) (*source, error) {
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return nil, restoreFault(err)
	}
	body := io.LimitReader(r, size-sha256.Size)
	magic := make([]byte, len(backupMagic))
	if _, err := io.ReadFull(body, magic); err != nil || string(magic) != backupMagic {
		return nil, errNotBackup(errors.Join(err, fmt.Errorf("it starts with %q", magic)))
	}
	z, err := zstd.NewReader(body, zstd.WithDecoderConcurrency(1), zstd.WithDecoderMaxMemory(1<<28))
	if err != nil {
		return nil, errNotBackup(err)
	}
	s := &source{r: bufio.NewReaderSize(z, 1<<16), z: z}
	head, err := s.bytes(biggestManifest)
	if err == nil {
		err = json.Unmarshal(head, &s.manifest)
	}
	if err != nil {
		s.close()
		return nil, errNotBackup(err)
	}
	return s, nil
}

func (s *source) close() { s.z.Close() }

// chunk reads the next rows, all of one table; nil after the last.
func (s *source) chunk() (BackupTable, [][]any, error) {
	var rows [][]any
	size := 0
	for {
		if s.table == 0 {
			n, err := binary.ReadUvarint(s.r)
			if err != nil || n > uint64(len(s.manifest.Tables)) {
				return BackupTable{}, nil, errNotBackup(errors.Join(err, fmt.Errorf("table %d", n)))
			}
			if n == 0 {
				return BackupTable{}, nil, nil
			}
			s.table = int(n)
		}
		t := s.manifest.Tables[s.table-1]
		mark, err := s.r.ReadByte()
		if err == nil && mark == 'e' {
			s.table = 0
			if rows != nil {
				return t, rows, nil
			}
			continue
		}
		if err != nil || mark != 'r' {
			return t, nil, errNotBackup(errors.Join(err, fmt.Errorf("a row starts with %q", mark)))
		}
		row := make([]any, len(t.Columns))
		for i := range row {
			v, n, err := s.value()
			if err != nil {
				return t, nil, errNotBackup(err)
			}
			row[i] = v
			size += n
		}
		if rows = append(rows, row); len(rows) == chunkRows || size > 8<<20 {
			return t, rows, nil
		}
	}
}

func (s *source) value() (any, int, error) {
	kind, err := s.r.ReadByte()
	if err != nil {
		return nil, 0, err
	}
	switch kind {
	case 'n':
		return nil, 1, nil
	case 'i':
		v, err := binary.ReadVarint(s.r)
		return v, 8, err
	case 'f':
		var b [8]byte
		_, err := io.ReadFull(s.r, b[:])
		return math.Float64frombits(binary.BigEndian.Uint64(b[:])), 8, err
	case 't':
		b, err := s.bytes(math.MaxInt32)
		return string(b), len(b), err
	case 'b':
		b, err := s.bytes(math.MaxInt32)
		return b, len(b), err
	}
	return nil, 0, fmt.Errorf("a value is of kind %q", kind)
}

func (s *source) bytes(limit uint64) ([]byte, error) {
	n, err := binary.ReadUvarint(s.r)
	if err != nil {
		return nil, err
	}
	if n > limit {
		return nil, fmt.Errorf("a length of %d", n)
	}
	b, err := io.ReadAll(io.LimitReader(s.r, int64(n))) // grows with what is there, not with what is claimed
	if err == nil && uint64(len(b)) != n {
		err = io.ErrUnexpectedEOF
	}
	return b, err
}
