package store

import (
	"bufio"
	"context"
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
	"errors"
	"hash"
	"io"
	"math"
	"os"
	"path/filepath"
	"strings"
	"time"

	"github.com/klauspost/compress/zstd"

	"github.com/openspine/openspine/fault"
)

// A backup is one stream, the same from both engines, and either engine can restore it:
//
//	"openspine backup 1\n"
//	zstd( length and JSON of a Manifest
//	      per table: its number + 1, then per row 'r' and a value per column (see putValue); 'e' ends the table
//	      0 )
//	SHA-256 of all of that
//
// Lengths and integers are varints (encoding/binary).
const backupMagic = "openspine backup 1\n"

// Manifest says what a backup holds.
type Manifest struct {
	// Engine is what it was taken from, "sqlite" or "postgres".
	Engine string
	// Incarnation is that of the database it was taken from; what is restored gets one of its own.
	Incarnation string
	// Lanes is the number of lanes; what is restored has as many.
	Lanes int
	// At is when it was taken.
	At time.Time
	// Schemas are the migrations that had been run, with their sources.
	Schemas []BackupMigration
	// Tables are the tables it holds, in order.
	Tables []BackupTable
}

// BackupMigration is one migration that had been run.
type BackupMigration struct {
	Service, Name, Checksum, Source string
	Number, Reader                  int64
}

// BackupTable is one table.
type BackupTable struct {
	Name    string
	Columns []string
}

// Backup writes a backup of one instant to w while the database goes on being read and written.
func (db *DB) Backup(ctx context.Context, w io.Writer) error {
	sum := sha256.New()
	out := io.MultiWriter(w, sum)
	if _, err := io.WriteString(out, backupMagic); err != nil {
		return backupFault(err)
	}
	z, err := zstd.NewWriter(out, zstd.WithEncoderLevel(zstd.SpeedFastest), zstd.WithEncoderConcurrency(1))
	if err != nil {
		return backupFault(err)
	}
	b := bufio.NewWriterSize(z, 1<<16)
	err = db.eng.read(ctx, 0, now, func(tx *Tx) error { return db.dump(tx, b) })
	if err = errors.Join(err, b.Flush(), z.Close()); err != nil {
		return backupFault(err)
	}
	_, err = w.Write(sum.Sum(nil))
	return backupFault(err)
}

// BackupFile writes a backup to a new file. The file is there only when it is whole and durable.
func (db *DB) BackupFile(ctx context.Context, path string) error {
	if _, err := os.Stat(path); err == nil {
		return fault.New(fault.Conflict, "there is a file at the backup's path already; choose another")
	}
	part := path + ".part"
	f, err := os.OpenFile(part, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o600)
	if err != nil {
		return backupFault(err)
	}
	err = db.Backup(ctx, f)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err == nil {
		if err = os.Rename(part, path); err == nil {
			return backupFault(syncDir(filepath.Dir(path)))
		}
	}
	return backupFault(errors.Join(err, os.Remove(part)))
}

func backupFault(err error) error {
	return fault.Wrap(err, fault.KindOf(err), "the backup failed")
}

func (db *DB) dump(tx *Tx, w *bufio.Writer) error {
	m, err := db.manifest(tx)
	if err != nil {
		return err
	}
	head, err := json.Marshal(m)
	if err != nil {
		return err
	}
	putBytes(w, head)
	for i, t := range m.Tables {
		putUvarint(w, uint64(i+1))
		if err := dumpTable(tx, w, t); err != nil {
			return err
		}
	}
	putUvarint(w, 0)
	return w.Flush()
}

func (db *DB) manifest(tx *Tx) (Manifest, error) {
	m := Manifest{Engine: db.Engine(), Incarnation: db.incarnation, Lanes: db.Lanes(), At: tx.At()}
	rows, err := tx.Query("SELECT service, number, name, checksum, reader, source FROM store_schema ORDER BY at, service, number")
	if err != nil {
		return m, err
	}
	for rows.Next() {
		var s BackupMigration
		if err := rows.Scan(&s.Service, &s.Number, &s.Name, &s.Checksum, &s.Reader, &s.Source); err != nil {
			return m, err
		}
		m.Schemas = append(m.Schemas, s)
	}
	if err := rows.Err(); err != nil {
		return m, err
	}
	names, err := db.eng.tables(tx)
	if err != nil {
		return m, err
	}
	for _, name := range names {
		if name == "store_meta" || name == "store_schema" {
			continue
		}
		columns, err := db.eng.columns(tx, name)
		if err != nil {
			return m, err
		}
		m.Tables = append(m.Tables, BackupTable{name, columns})
	}
	return m, nil
}

func dumpTable(tx *Tx, w *bufio.Writer, t BackupTable) error {
	rows, err := tx.Query("SELECT " + t.quotedColumns() + " FROM " + quoteName(t.Name))
	if err != nil {
		return err
	}
	vals := make([]any, len(t.Columns))
	dest := make([]any, len(t.Columns))
	for i := range vals {
		dest[i] = &vals[i]
	}
	for rows.Next() {
		if err := rows.Scan(dest...); err != nil {
			return err
		}
		if err := w.WriteByte('r'); err != nil {
			return err
		}
		for _, v := range vals {
			putValue(w, v)
		}
	}
	if err := rows.Err(); err != nil {
		return err
	}
	return w.WriteByte('e')
}

func (t BackupTable) quotedColumns() string {
	quoted := make([]string, len(t.Columns))
	for i, c := range t.Columns {
		quoted[i] = quoteName(c)
	}
	return strings.Join(quoted, ", ")
}

func quoteName(s string) string { return `"` + strings.ReplaceAll(s, `"`, `""`) + `"` }

// The errors of these stay in the bufio.Writer and come out of its Flush.
func putUvarint(w *bufio.Writer, n uint64) { _, _ = w.Write(binary.AppendUvarint(nil, n)) }

func putBytes[B string | []byte](w *bufio.Writer, b B) {
	putUvarint(w, uint64(len(b)))
	_, _ = w.WriteString(string(b))
}

// putValue writes one column: n; i and a varint; f and 8 bytes; t or b, a length and the bytes.
func putValue(w *bufio.Writer, v any) {
	switch v := v.(type) {
	case int64:
		_, _ = w.Write(binary.AppendVarint([]byte{'i'}, v))
	case float64:
		_, _ = w.Write(binary.BigEndian.AppendUint64([]byte{'f'}, math.Float64bits(v)))
	case string:
		_ = w.WriteByte('t')
		putBytes(w, v)
	case []byte:
		_ = w.WriteByte('b')
		putBytes(w, v)
	default:
		_ = w.WriteByte('n')
	}
}

// VerifyBackup reads a whole backup, checks its hash, and says what it holds.
// A backup that is damaged or cut short is fault.Unprocessable.
func VerifyBackup(r io.ReadSeeker) (Manifest, error) {
	size, err := r.Seek(0, io.SeekEnd)
	if err != nil {
		return Manifest{}, backupFault(err)
	}
	if _, err := r.Seek(0, io.SeekStart); err != nil {
		return Manifest{}, backupFault(err)
	}
	if size < int64(len(backupMagic))+sha256.Size {
		return Manifest{}, errNotBackup(nil)
	}
	sum := sha256.New()
	if err := compareHash(r, sum, size-sha256.Size); err != nil {
		return Manifest{}, err
	}
	src, err := openBackup(r, size)
	if err != nil {
		return Manifest{}, err
	}
	defer src.close()
	return src.manifest, nil
}

func compareHash(r io.Reader, sum hash.Hash, size int64) error {
	if _, err := io.CopyN(sum, r, size); err != nil {
		return backupFault(err)
	}
	want, err := io.ReadAll(r)
	if err != nil {
		return backupFault(err)
	}
	if string(want) != string(sum.Sum(nil)) {
		return errNotBackup(errors.New("the hash does not match"))
	}
	return nil
}

func errNotBackup(cause error) error {
	if cause == nil {
		cause = errors.New("it is too short")
	}
	return fault.Wrap(cause, fault.Unprocessable, "that is not a backup of OpenSpine, or it is damaged or was cut short; nothing was restored")
}
