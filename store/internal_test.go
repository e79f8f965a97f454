package store

import (
	"bufio"
	"bytes"
	"io"
	"path/filepath"
	"strings"
	"testing"

	"github.com/ncruces/go-sqlite3"

	"github.com/openspine/openspine/fault"
)

func TestTranslation(t *testing.T) {
	for name, c := range map[string]struct{ in, sqlite, postgres string }{
		"a table": {
			"CREATE TABLE a (x INTEGER, y TEXT, z BLOB, w REAL, PRIMARY KEY (x)) WITHOUT ROWID;",
			"CREATE TABLE a (x INTEGER, y TEXT, z BLOB, w REAL, PRIMARY KEY (x)) WITHOUT ROWID, STRICT;",
			`CREATE TABLE a (x BIGINT, y TEXT COLLATE "C", z BYTEA, w DOUBLE PRECISION, PRIMARY KEY (x)) ;`,
		},
		"with a rowid": {"create table a (x integer) -- why\n;", "create table a (x integer) STRICT -- why\n;", "create table a (x BIGINT) -- why\n;"},
		"names and text are left": {
			"CREATE TABLE \"TEXT\" (\"INTEGER\" INTEGER DEFAULT 'BLOB; it''s'); -- INTEGER",
			"CREATE TABLE \"TEXT\" (\"INTEGER\" INTEGER DEFAULT 'BLOB; it''s') STRICT; -- INTEGER",
			"CREATE TABLE \"TEXT\" (\"INTEGER\" BIGINT DEFAULT 'BLOB; it''s'); -- INTEGER",
		},
		"a column":     {"ALTER TABLE a ADD COLUMN b TEXT", "ALTER TABLE a ADD COLUMN b TEXT", `ALTER TABLE a ADD COLUMN b TEXT COLLATE "C"`},
		"other things": {"CREATE INDEX i ON a (text); UPDATE a SET x = CAST(y AS TEXT)", "CREATE INDEX i ON a (text); UPDATE a SET x = CAST(y AS TEXT)", "CREATE INDEX i ON a (text); UPDATE a SET x = CAST(y AS TEXT)"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := strict(c.in); got != c.sqlite {
				t.Errorf("for SQLite:\n%s\nwant\n%s", got, c.sqlite)
			}
			if got := postgres(c.in); got != c.postgres {
				t.Errorf("for PostgreSQL:\n%s\nwant\n%s", got, c.postgres)
			}
		})
	}
	if got := numbered("SELECT '?', \"?\", ? /* ? */ WHERE CAST(? AS INTEGER) > ? -- ?"); got != "SELECT '?', \"?\", $1 /* ? */ WHERE CAST($2 AS BIGINT) > $3 -- ?" {
		t.Errorf("numbered: %s", got)
	}
}

// A statement is planned once, whatever limits and ranges it is then given.
func TestStatementsArePlannedOnce(t *testing.T) {
	c, err := dial(filepath.Join(t.TempDir(), "test.db"), Options{}, leastCache)
	if err != nil {
		t.Fatal(err)
	}
	defer c.discard()
	if err := c.script("CREATE TABLE a (x INTEGER, y TEXT); CREATE INDEX a_x ON a (x) WHERE y <> ''"); err != nil {
		t.Fatal(err)
	}
	for _, query := range []string{"SELECT x FROM a WHERE x >= ? AND x < ? LIMIT ?", "SELECT x FROM a WHERE x = ? AND y = ? LIMIT ?"} {
		for i := range int64(3) {
			if _, err := c.exec(query, []any{i, i + 10, i + 1}); err != nil {
				t.Fatal(err)
			}
		}
		if n := c.stmts[query].s.Status(sqlite3.STMTSTATUS_REPREPARE, false); n > 0 {
			t.Errorf("%s was planned %d times more", query, n)
		}
	}
}

// FuzzStatements: cutting a script up loses nothing.
func FuzzStatements(f *testing.F) {
	f.Add("CREATE TABLE a (x INTEGER) WITHOUT ROWID; -- b\nSELECT 'it''s; ' /* c ; */;")
	f.Add("'\"`/*--")
	f.Fuzz(func(t *testing.T, script string) {
		var b strings.Builder
		for _, st := range statements(script) {
			b.WriteString(st.text())
		}
		if b.String() != script {
			t.Errorf("%q was cut up to %q", script, b.String())
		}
	})
}

// FuzzBackupRows: whatever stands in a backup's rows, it is read or refused as damaged.
func FuzzBackupRows(f *testing.F) {
	f.Add([]byte("\x01ri\x02t\x01are\x00"))
	f.Add([]byte("\x01rnf01234567b\xff\xff\xff\xff\x0f"))
	f.Fuzz(func(t *testing.T, b []byte) {
		s := &source{r: bufio.NewReader(bytes.NewReader(b)), manifest: Manifest{Tables: []BackupTable{{"a", []string{"x", "y"}}, {"b", nil}}}}
		for {
			table, rows, err := s.chunk()
			if err != nil {
				if !fault.Is(err, fault.Unprocessable) {
					t.Errorf("damage was called %v", err)
				}
				return
			}
			if rows == nil {
				return
			}
			for _, r := range rows {
				if len(r) != len(table.Columns) {
					t.Errorf("a row of %d values for %d columns", len(r), len(table.Columns))
				}
			}
		}
	})
}

// FuzzValue: what is written as a value is read back as it was.
func FuzzValue(f *testing.F) {
	f.Add(int64(-1), 1.5, "é", []byte{0})
	f.Fuzz(func(t *testing.T, i int64, x float64, s string, raw []byte) {
		var b bytes.Buffer
		w := bufio.NewWriter(&b)
		for _, v := range []any{i, x, s, raw, nil} {
			putValue(w, v)
		}
		if err := w.Flush(); err != nil {
			t.Fatal(err)
		}
		src := &source{r: bufio.NewReader(&b)}
		for n, want := range []any{i, x, s, raw, nil} {
			got, _, err := src.value()
			if wb, ok := want.([]byte); ok {
				if gb, ok := got.([]byte); !ok || !bytes.Equal(gb, wb) {
					t.Errorf("value %d: %v, want %v", n, got, want)
				}
				continue
			}
			if err != nil || got != want && x == x {
				t.Errorf("value %d: %v, want %v (%v)", n, got, want, err)
			}
		}
		if _, err := src.r.ReadByte(); err != io.EOF {
			t.Error("something is left")
		}
	})
}
