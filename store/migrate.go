package store

import (
	"context"
	"crypto/sha256"
	"embed"
	"encoding/hex"
	"io/fs"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
)

// Schema is the migrations of one service: the files NNNN_name.sql in the root of FS.
type Schema struct {
	Service string
	FS      fs.FS
}

// Embedded is the schema of a service that carries its migrations in the folder dir of files (//go:embed schema/*.sql). It
// panics when dir is not a folder's name: the program was built wrong.
func Embedded(service string, files embed.FS, dir string) Schema {
	sub, err := fs.Sub(files, dir)
	if err != nil {
		panic(err)
	}
	return Schema{Service: service, FS: sub}
}

type migration struct {
	service  string
	number   int64
	name     string
	source   string
	checksum string
	reader   int64 // the migration that a program must know to read what this one leaves; 0 for any
}

type applied struct {
	name     string
	checksum string
	reader   int64
}

// Migrate brings the schemas up to date: those of services that have no tables yet together, in one transaction, and each later migration in one
// of its own. It refuses with fault.Conflict, having changed nothing: a migration whose file has changed since it ran, a gap in
// the numbers, and a database that a newer program has changed in a way that this one cannot read.
func (db *DB) Migrate(ctx context.Context, schemas ...Schema) error {
	lists := make([][]migration, len(schemas))
	for i, s := range schemas {
		list, err := s.load()
		if err != nil {
			return err
		}
		lists[i] = list
	}
	steps, err := db.steps(ctx, lists)
	if err != nil {
		return err
	}
	for _, step := range steps {
		var at migration
		err := db.Write(context.WithValue(ctx, migrating{}, true), nil, func(tx *Tx) error {
			for _, at = range step {
				if err := db.apply(tx, at); err != nil {
					return err
				}
			}
			return nil
		})
		if err != nil {
			return fault.Wrap(err, fault.KindOf(err), "migration %s/%s failed and nothing of it was kept", at.service, at.name)
		}
	}
	return nil
}

// migrating marks the context in which a migration is written: its script does the same however often it runs, so it is not rehearsed.
type migrating struct{}

func rehearsed(ctx context.Context, o Options) bool {
	return o.Rehearse && ctx.Value(migrating{}) == nil
}

// steps are the migrations that have not been run, those of one transaction together. It refuses before anything is changed.
func (db *DB) steps(ctx context.Context, lists [][]migration) (steps [][]migration, err error) {
	err = db.Read(ctx, func(tx *Tx) error {
		steps = nil
		fresh := false // the last step is of services that have no tables yet
		for _, list := range lists {
			if len(list) == 0 {
				continue
			}
			have, err := migrations(tx, list[0].service)
			if err != nil {
				return err
			}
			if err := readable(have, list); err != nil {
				return err
			}
			if len(have) == 0 && fresh {
				steps[len(steps)-1] = append(steps[len(steps)-1], list...)
				continue
			}
			if fresh = len(have) == 0; fresh {
				steps = append(steps, slices.Clone(list))
				continue
			}
			for _, m := range list {
				if _, done := have[m.number]; !done {
					steps = append(steps, []migration{m})
				}
			}
		}
		return nil
	})
	return steps, err
}

// readable refuses tables that this program cannot read or did not make.
func readable(have map[int64]applied, list []migration) error {
	service := list[0].service
	for n, a := range have {
		if a.reader > int64(len(list)) {
			return fault.New(fault.Conflict, "the %s tables were changed by a newer program (migration %s), which says that one must know "+
				"migration %d to read them; this one knows %d: run the newer program, or restore a backup from before", service, a.name, a.reader, len(list))
		}
		if n <= int64(len(list)) && list[n-1].checksum != a.checksum {
			return fault.New(fault.Conflict, "migration %s/%s is not the one that was run on this database; "+
				"restore the file as it was released, and put the change in a new migration", service, list[n-1].name)
		}
	}
	return nil
}

func migrations(tx *Tx, service string) (map[int64]applied, error) {
	rows, err := tx.Query("SELECT number, name, checksum, reader FROM store_schema WHERE service = ? ORDER BY number", service)
	if err != nil {
		return nil, err
	}
	have := map[int64]applied{}
	for rows.Next() {
		var n int64
		var a applied
		if err := rows.Scan(&n, &a.name, &a.checksum, &a.reader); err != nil {
			return nil, err
		}
		have[n] = a
	}
	return have, rows.Err()
}

// apply runs one migration, unless it has been run (another node may have been quicker).
func (db *DB) apply(tx *Tx, m migration) error {
	var n int64
	err := tx.QueryRow("SELECT number FROM store_schema WHERE service = ? AND number = ?", m.service, m.number).Scan(&n)
	if !fault.Is(err, fault.NotFound) {
		return err
	}
	if err := tx.sess.script(db.eng.dialect(m.source)); err != nil {
		return tx.fail(err)
	}
	_, err = tx.Exec("INSERT INTO store_schema (service, number, name, checksum, reader, at, source) VALUES (?, ?, ?, ?, ?, ?, ?)",
		m.service, m.number, m.name, m.checksum, m.reader, tx.At(), m.source)
	return err
}

// load reads and checks the files of a schema.
func (s Schema) load() ([]migration, error) {
	if s.Service == "" || s.FS == nil {
		return nil, fault.New(fault.Internal, "a schema needs the name of its service and its files")
	}
	files, err := fs.Glob(s.FS, "*.sql")
	if err != nil {
		return nil, fault.Wrap(err, fault.Internal, "reading the migrations of %s", s.Service)
	}
	named := regexp.MustCompile(`^([0-9]{4})_[a-z0-9_]+\.sql$`)
	slices.Sort(files)
	list := make([]migration, 0, len(files))
	for i, name := range files {
		parts := named.FindStringSubmatch(name)
		if parts == nil {
			return nil, fault.New(fault.Conflict, "migration %s/%s is not named NNNN_name.sql", s.Service, name)
		}
		n, err := strconv.ParseInt(parts[1], 10, 64)
		if err != nil || n != int64(i+1) {
			return nil, fault.New(fault.Conflict, "the migrations of %s have a gap or a double: %s stands where number %04d should", s.Service, name, i+1)
		}
		b, err := fs.ReadFile(s.FS, name)
		if err != nil {
			return nil, fault.Wrap(err, fault.Internal, "reading migration %s/%s", s.Service, name)
		}
		sum := sha256.Sum256(b)
		m := migration{service: s.Service, number: n, name: name, source: string(b), checksum: hex.EncodeToString(sum[:])}
		if m.reader, err = oldestReader(m.source); err != nil {
			return nil, fault.Wrap(err, fault.Conflict, "migration %s/%s: a reader line is `-- reader: N`", s.Service, name)
		}
		list = append(list, m)
	}
	return list, nil
}

func oldestReader(source string) (int64, error) {
	for line := range strings.Lines(source) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "-- reader:"); ok {
			return strconv.ParseInt(strings.TrimSpace(n), 10, 64)
		}
	}
	return 0, nil
}
