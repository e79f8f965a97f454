package store_test

import (
	"strings"
	"testing"
	"testing/fstest"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

func schema(files ...string) store.Schema {
	fs := fstest.MapFS{}
	for i := 0; i < len(files); i += 2 {
		fs[files[i]] = &fstest.MapFile{Data: []byte(files[i+1])}
	}
	return store.Schema{Service: "beds", FS: fs}
}

const (
	one   = "CREATE TABLE bed (lane INTEGER NOT NULL, id INTEGER NOT NULL, PRIMARY KEY (lane, id)) WITHOUT ROWID;"
	two   = "ALTER TABLE bed ADD COLUMN ward TEXT NOT NULL DEFAULT ''; CREATE INDEX bed_ward ON bed (lane, ward); UPDATE bed SET ward = CAST(id AS TEXT);"
	three = "-- reader: 3\nALTER TABLE bed ADD COLUMN bay TEXT;"
)

func TestMigrationsRunOnceInOrder(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for _, s := range []store.Schema{
			schema("0001_bed.sql", one),
			schema("0001_bed.sql", one, "0002_ward.sql", two),
			schema("0001_bed.sql", one, "0002_ward.sql", two),
			schema("0001_bed.sql", one), // an older program may still read it
			schema("0001_bed.sql", one, "0002_ward.sql", two, "0003_bay.sql", three),
		} {
			if err := db.Migrate(t.Context(), s); err != nil {
				t.Fatal(err)
			}
		}
		write(t, db, func(tx *store.Tx) error {
			_, err := tx.Exec("INSERT INTO bed (lane, id, ward, bay) VALUES (0, 1, 'Ärzte', NULL)")
			return err
		})
	})
}

func TestMigrationsThatAreRefused(t *testing.T) {
	whole := []string{"0001_bed.sql", one, "0002_ward.sql", two, "0003_bay.sql", three}
	for name, c := range map[string]struct {
		s    store.Schema
		says string
	}{
		"changed":       {schema("0001_bed.sql", one+" ", "0002_ward.sql", two, "0003_bay.sql", three), "0001_bed.sql is not the one that was run"},
		"gap":           {schema("0001_bed.sql", one, "0003_bay.sql", three), "gap"},
		"double":        {schema("0001_bed.sql", one, "0001_ward.sql", two), "gap or a double"},
		"badly named":   {schema("1_bed.sql", one), "NNNN_name.sql"},
		"older program": {schema("0001_bed.sql", one, "0002_ward.sql", two), "newer program"},
		"reader line":   {schema("0001_bed.sql", "-- reader: soon\n"+one), "reader"},
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.Open(t, schema(whole...))
			err := db.Migrate(t.Context(), c.s)
			if !fault.Is(err, fault.Conflict) || !strings.Contains(fault.MessageOf(err)+err.Error(), c.says) {
				t.Errorf("got %v, want a conflict that says %q", err, c.says)
			}
		})
	}
}

func TestFailedMigrationLeavesNothing(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		if err := db.Migrate(t.Context(), schema("0001_bed.sql", one+"INSERT INTO nowhere VALUES (1);")); err == nil {
			t.Fatal("a migration with an error succeeded")
		}
		if err := db.Migrate(t.Context(), schema("0001_bed.sql", one)); err != nil {
			t.Errorf("the failed migration left something: %v", err)
		}
	})
}

func TestSectionsAreForTheirEngine(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		s := schema("0001_bed.sql", one+"\n-- sqlite\nALTER TABLE bed ADD COLUMN sqlite INTEGER;\n-- postgres\nALTER TABLE bed ADD COLUMN postgres INTEGER;\n-- both\nALTER TABLE bed ADD COLUMN shared INTEGER;\n")
		if err := db.Migrate(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		write(t, db, func(tx *store.Tx) error {
			_, err := tx.Exec("INSERT INTO bed (lane, id, shared, " + db.Engine() + ") VALUES (0, 1, 2, 3)")
			return err
		})
	})
}

func TestEnginesAgree(t *testing.T) {
	type row struct {
		query string
		args  []any
		want  any
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		write(t, db, func(tx *store.Tx) error {
			for i, s := range []string{"b", "B", "a", "é", "Z", ""} {
				if _, err := tx.Exec("INSERT INTO note (lane, id, body, raw) VALUES (0, ?, ?, ?)", i, s, []byte(s)); err != nil {
					return err
				}
			}
			return nil
		})
		for _, r := range []row{
			{"SELECT body FROM note ORDER BY body LIMIT ? OFFSET ?", []any{1, 1}, "B"},
			{"SELECT body FROM note ORDER BY body DESC LIMIT 1", nil, "é"},
			{"SELECT count(*) FROM note WHERE body LIKE ?", []any{"b%"}, int64(1)},
			{"SELECT sum(id) FROM note WHERE id > ?", []any{true}, int64(14)},
			{"SELECT max(id) FROM note WHERE body = '?' OR body = ?", []any{"Z"}, int64(4)},
			{"SELECT count(*) FROM note WHERE raw = ?", []any{[]byte("é")}, int64(1)},
			{"SELECT length(raw) FROM note WHERE id = 3", nil, int64(2)},
			{"SELECT CAST(? AS INTEGER)", []any{int64(1) << 40}, int64(1) << 40},
			{"SELECT coalesce(max(id), -1) FROM note WHERE id > 99", nil, int64(-1)},
			{"SELECT seq FROM note WHERE id = 1 AND raw IS NOT NULL", nil, int64(0)},
			{"SELECT body || '!' FROM note WHERE (lane, id) > (?, ?) ORDER BY lane, id LIMIT 1", []any{0, 3}, "Z!"},
			{"SELECT NULL", nil, nil},
		} {
			var got any
			err := db.Read(t.Context(), func(tx *store.Tx) error { return tx.QueryRow(r.query, r.args...).Scan(&got) })
			if err != nil || got != r.want {
				t.Errorf("%s: %v (%T), want %v; %v", r.query, got, got, r.want, err)
			}
		}
		var n int64
		write(t, db, func(tx *store.Tx) error {
			return tx.QueryRow("INSERT INTO note (lane, id, body) VALUES (0, 1, 'x') ON CONFLICT (lane, id) DO UPDATE SET body = excluded.body, seq = note.seq + 1 RETURNING seq").Scan(&n)
		})
		if n != 1 {
			t.Errorf("an upsert returned %d", n)
		}
	}, notes())
}

func TestWrongTypesAreRefusedOnBoth(t *testing.T) {
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		for name, args := range map[string][]any{
			"text for a number":  {"one", "x"},
			"bytes for text":     {1, []byte{0xff, 0xfe, 0}},
			"nothing for a text": {1, nil},
			"a struct":           {struct{}{}, "x"},
			"too few":            {1},
			"too many":           {1, "x", 3},
		} {
			err := db.Write(t.Context(), nil, func(tx *store.Tx) error {
				_, err := tx.Exec("INSERT INTO note (lane, id, body) VALUES (0, ?, ?)", args...)
				return err
			})
			if err == nil {
				t.Errorf("%s was taken", name)
			}
		}
	}, notes())
}
