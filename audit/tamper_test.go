package audit_test

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// Each kind of tampering, done by raw SQL behind the node's back, is found, and exactly the row is named. Entries 1 to 12 are
// sealed in batches of four; 13 and 14 are not.
func TestTamperingIsFoundAndNamed(t *testing.T) {
	t.Parallel()
	shiftUp := []string{ // makes room for a forged row 6 by renumbering those above it
		`UPDATE audit_entry SET seq = seq + 1000000 WHERE lane = {lane} AND seq >= 6`,
		`UPDATE audit_entry SET seq = seq - 999999 WHERE lane = {lane} AND seq >= 1000000`,
		`INSERT INTO audit_entry (lane, seq, at, chart, actor, act) SELECT lane, 6, at, chart, actor, act FROM audit_entry WHERE lane = {lane} AND seq = 5`,
	}
	cases := []struct {
		name string
		sql  []string
		want []string // kind seq, in the order reported
	}{
		{"nothing", nil, nil},
		{"a changed detail", []string{`UPDATE audit_entry SET detail = 'Nothing' WHERE lane = {lane} AND seq = 6`}, []string{"changed 6"}},
		{"a detail taken away", []string{`UPDATE audit_entry SET detail = NULL WHERE lane = {lane} AND seq = 12`}, []string{"changed 12"}},
		{"another actor", []string{`UPDATE audit_entry SET actor = (SELECT id FROM audit_actor WHERE lane = {lane} AND actor = 'bob') WHERE lane = {lane} AND seq = 1`}, []string{"changed 1"}},
		{"a renamed actor", []string{`UPDATE audit_actor SET actor = 'eve' WHERE lane = {lane} AND actor = 'bob'`}, []string{"changed 4", "changed 8", "changed 12"}},
		{"another outcome", []string{`UPDATE audit_act SET outcome = 'refused' WHERE lane = {lane} AND action = 'update'`}, []string{"changed 7"}},
		{"a removed row", []string{`DELETE FROM audit_entry WHERE lane = {lane} AND seq = 6`}, []string{"removed 6"}},
		{"the first row of a batch removed", []string{`DELETE FROM audit_entry WHERE lane = {lane} AND seq = 5`}, []string{"removed 5"}},
		{"a whole batch removed", []string{`DELETE FROM audit_entry WHERE lane = {lane} AND seq BETWEEN 5 AND 8`}, []string{"removed 5", "removed 6", "removed 7", "removed 8"}},
		{"a batch removed with its seal", []string{`DELETE FROM audit_entry WHERE lane = {lane} AND seq BETWEEN 9 AND 12`, `DELETE FROM audit_seal WHERE lane = {lane} AND batch = 3`},
			[]string{"removed 9", "removed 10", "removed 11", "removed 12"}},
		{"the newest seal row not there, as a crash leaves it", []string{`DELETE FROM audit_seal WHERE lane = {lane} AND batch = 3`}, nil},
		{"the newest seal row not there, and a changed detail", []string{`DELETE FROM audit_seal WHERE lane = {lane} AND batch = 3`, `UPDATE audit_entry SET detail = 'Nothing' WHERE lane = {lane} AND seq = 10`}, []string{"changed 10"}},
		{"an older seal row removed", []string{`DELETE FROM audit_seal WHERE lane = {lane} AND batch = 2`}, []string{"seal batch 2"}},
		{"the two newest seal rows removed", []string{`DELETE FROM audit_seal WHERE lane = {lane} AND batch > 1`}, []string{"seal batch 2", "seal batch 3"}},
		{"a row removed and the rest renumbered", []string{`DELETE FROM audit_entry WHERE lane = {lane} AND seq = 6`, `UPDATE audit_entry SET seq = seq - 1 WHERE lane = {lane} AND seq = 7`,
			`UPDATE audit_entry SET seq = seq - 1 WHERE lane = {lane} AND seq = 8`}, []string{"removed 6"}},
		{"a row inserted and the rest renumbered", shiftUp, []string{"inserted 6"}},
		{"a row before the first", []string{`INSERT INTO audit_entry (lane, seq, at, chart, actor, act) SELECT lane, 0, at - 5, chart, actor, act FROM audit_entry WHERE lane = {lane} AND seq = 1`}, []string{"inserted 0"}},
		{"a row changed to an earlier instant", []string{`UPDATE audit_entry SET at = at - 86400000000 WHERE lane = {lane} AND seq = 7`}, []string{"back-dated 7"}},
		{"the last sealed row back-dated", []string{`UPDATE audit_entry SET at = at - 86400000000 WHERE lane = {lane} AND seq = 12`}, []string{"back-dated 12"}},
		{"the first sealed row moved later", []string{`UPDATE audit_entry SET at = at + 86400000000 WHERE lane = {lane} AND seq = 1`}, []string{"back-dated 1"}},
		{"a back-dated row added at the end", []string{`INSERT INTO audit_entry (lane, seq, at, chart, actor, act) SELECT lane, 15, at, chart, actor, act FROM audit_entry WHERE lane = {lane} AND seq = 3`}, []string{"back-dated 15"}},
		{"two rows swapped", []string{`UPDATE audit_entry SET seq = 1000 WHERE lane = {lane} AND seq = 6`, `UPDATE audit_entry SET seq = 6 WHERE lane = {lane} AND seq = 7`, `UPDATE audit_entry SET seq = 7 WHERE lane = {lane} AND seq = 1000`}, []string{"changed batch 2"}},
		{"an unsealed row removed", []string{`DELETE FROM audit_entry WHERE lane = {lane} AND seq = 13`}, []string{"removed 13"}},
		{"a seal that points elsewhere", []string{`UPDATE audit_seal SET leaf = 0 WHERE lane = {lane} AND batch = 2`}, []string{"seal batch 2"}},
		{"a seal with another root", []string{`UPDATE audit_seal SET root = (SELECT root FROM audit_seal WHERE lane = {lane} AND batch = 1) WHERE lane = {lane} AND batch = 2`}, []string{"seal batch 2"}},
		{"all seals removed", []string{`DELETE FROM audit_seal WHERE lane = {lane}`}, []string{"seal batch 1", "seal batch 2", "seal batch 3"}},
		{"a kept checkpoint changed", []string{`UPDATE audit_checkpoint SET note = 'x' WHERE lane = 0`}, []string{"log 0"}},
	}
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := openLog(t, db)
		fourteen(t, db, l)
		kept := copyAccount(t, db)
		for _, c := range cases {
			t.Run(c.name, func(t *testing.T) {
				tamper(t, db, c.sql)
				report, err := l.Verify(context.Background())
				if err != nil {
					t.Fatal(err)
				}
				got := named(report)
				if strings.Join(got, ", ") != strings.Join(c.want, ", ") {
					t.Errorf("found %v, want %v\n%s", got, c.want, report)
				}
				if report.OK() != (len(c.want) == 0) || c.want == nil && (report.Entries != 12 || report.Batches != 3 || report.Unsealed != 2) {
					t.Errorf("the report: %s", report)
				}
				kept.putBack(t, db)
			})
		}
		if report, err := l.Verify(context.Background()); err != nil || !report.OK() {
			t.Errorf("with everything put back: %v\n%s", err, report)
		}
	})
}

// Somebody who is renamed before an entry of theirs is sealed is sealed as who they were, and a chart that is given another name as the one that it was.
func TestWhoIsRenamedIsSealedAsWhoTheyWere(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, change, want string }{
		{"an actor", `UPDATE audit_actor SET actor = 'eve' WHERE lane = {lane} AND actor = 'bob'`, "changed 4, changed 8, changed 12, changed 15"},
		{"a chart", `UPDATE audit_chart SET chart = '9999999999' WHERE lane = {lane} AND chart = '9000000009'`, "changed " + strings.Join(strings.Split("1 2 3 4 5 6 7 8 9 10 11 12 13 14 15", " "), ", changed ")},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			storetest.Each(t, func(t *testing.T, db *store.DB) {
				l := openLog(t, db)
				fourteen(t, db, l)
				again := look("9000000009", "ann")
				again.Actor = "bob"
				write(t, db, l, again)
				tamper(t, db, []string{c.change})
				if err := l.Seal(context.Background()); err != nil {
					t.Fatal(err)
				}
				report, err := l.Verify(context.Background())
				if got := strings.Join(named(report), ", "); err != nil || got != c.want {
					t.Errorf("found %s, %v\n%s", got, err, report)
				}
			})
		})
	}
}

// copied is the whole account, to be put back after it was tampered with.
type copied map[string][][]any

var columns = map[string]string{
	"audit_entry":      "lane, seq, at, chart, actor, act, detail, request",
	"audit_actor":      "lane, id, actor, organisation, role, name",
	"audit_act":        "lane, id, action, purpose, basis, outcome",
	"audit_seal":       "lane, batch, first_seq, last_seq, root, leaf",
	"audit_checkpoint": "lane, day, size, note",
	"audit_archive":    "lane, id, name, entries, size, first_at, last_at, digest, moved",
	"audit_archived":   "lane, archive, first_seq, last_seq, first_batch, last_batch, entries, gone",
}

func copyAccount(t testing.TB, db *store.DB) copied {
	t.Helper()
	kept := copied{}
	err := db.ReadNow(context.Background(), func(tx *store.Tx) error {
		for table, cols := range columns {
			rows, err := tx.Query("SELECT " + cols + " FROM " + table)
			if err != nil {
				return err
			}
			for rows.Next() {
				row := make([]any, len(strings.Split(cols, ",")))
				into := make([]any, len(row))
				for i := range row {
					into[i] = &row[i]
				}
				if err := rows.Scan(into...); err != nil {
					return err
				}
				kept[table] = append(kept[table], row)
			}
			if err := rows.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	return kept
}

func (c copied) putBack(t *testing.T, db *store.DB) {
	t.Helper()
	err := db.Write(context.Background(), []store.Lane{db.LaneOf("X26", "9000000009")}, func(tx *store.Tx) error {
		for table, cols := range columns {
			if _, err := tx.Exec("DELETE FROM " + table); err != nil {
				return err
			}
			for _, row := range c[table] {
				if _, err := tx.Exec("INSERT INTO "+table+" ("+cols+") VALUES (?"+strings.Repeat(", ?", len(row)-1)+")", row...); err != nil {
					return err
				}
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func named(r audit.Report) []string {
	var got []string
	seals := map[int64]bool{}
	for _, f := range r.Findings {
		switch {
		case f.Kind == audit.SealBad:
			seals[f.Batch] = true
		case !f.Row && f.Batch != 0:
			got = append(got, fmt.Sprintf("%s batch %d", f.Kind, f.Batch))
		default:
			got = append(got, fmt.Sprintf("%s %d", f.Kind, f.Seq))
		}
	}
	for batch := int64(9); batch > 0; batch-- {
		if seals[batch] {
			got = append([]string{fmt.Sprintf("seal batch %d", batch)}, got...)
		}
	}
	return got
}

func fourteen(t testing.TB, db *store.DB, l *audit.Log) {
	t.Helper()
	for i := 1; i <= 14; i++ {
		e := look("9000000009", "ann")
		if i%4 == 0 {
			e.Actor = "bob"
		}
		if i == 7 {
			e.Action = "update"
		}
		e.Detail = fmt.Sprintf("Observation/%d", i)
		write(t, db, l, e)
		if i%4 == 0 {
			if err := l.Seal(context.Background()); err != nil {
				t.Fatal(err)
			}
		}
	}
}

func tamper(t testing.TB, db *store.DB, sql []string) {
	t.Helper()
	lane := db.LaneOf("X26", "9000000009")
	err := db.Write(context.Background(), []store.Lane{lane}, func(tx *store.Tx) error {
		for _, s := range sql {
			n, err := tx.Exec(strings.ReplaceAll(s, "{lane}", fmt.Sprint(lane)))
			if err != nil {
				return err
			}
			if n == 0 {
				t.Errorf("%s changed nothing", s)
			}
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestABackDatedRowIsFoundEvenIfItWasSealed(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		l := openLog(t, db)
		fourteen(t, db, l)
		tamper(t, db, []string{`INSERT INTO audit_entry (lane, seq, at, chart, actor, act) SELECT lane, 15, at, chart, actor, act FROM audit_entry WHERE lane = {lane} AND seq = 3`})
		write(t, db, l, look("9000000009", "ann"))
		if err := l.Seal(context.Background()); err != nil {
			t.Fatal(err)
		}
		report, err := l.Verify(context.Background())
		if got := named(report); err != nil || len(got) != 1 || got[0] != "back-dated 15" {
			t.Errorf("found %v %v", got, err)
		}
	})
}

func TestALogThatWasTamperedWithIsFound(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(dir string) error{
		"a changed leaf": func(dir string) error {
			return edit(filepath.Join(dir, "log", "tile", "entries", "000.p", "3"), func(b []byte) { b[len(b)-4] ^= 1 })
		},
		"a forged checkpoint": func(dir string) error {
			return edit(filepath.Join(dir, "log", "checkpoint"), func(b []byte) { b[len("openspine/audit\n3\n")] ^= 1 })
		},
		"the checkpoint gone": func(dir string) error { return os.Remove(filepath.Join(dir, "log", "checkpoint")) },
		"the leaves gone":     func(dir string) error { return os.RemoveAll(filepath.Join(dir, "log", "tile", "entries")) },
	} {
		t.Run(name, func(t *testing.T) {
			db := storetest.Open(t, audit.Schema())
			dir := t.TempDir()
			l, err := audit.Open(db, dir, audit.Options{})
			if err != nil {
				t.Fatal(err)
			}
			fourteen(t, db, l)
			if err := l.Close(); err != nil {
				t.Fatal(err)
			}
			if err := change(dir); err != nil {
				t.Fatal(err)
			}
			report, err := l.Verify(context.Background())
			if err != nil || report.OK() || report.Findings[0].Kind != audit.LogBad {
				t.Errorf("%v\n%s", err, report)
			}
		})
	}
}

func edit(path string, change func(b []byte)) error {
	b, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	change(b)
	return os.WriteFile(path, b, 0o600)
}

// A crash after the log took a batch and before its seal row was written must neither lose nor double the batch.
func TestABatchIsSealedOnceDespiteACrash(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		ctx, dir := context.Background(), t.TempDir()
		if err := db.Migrate(ctx, audit.Schema()); err != nil {
			t.Fatal(err)
		}
		open := func() *audit.Log {
			l, err := audit.Open(db, dir, audit.Options{})
			if err != nil {
				t.Fatal(err)
			}
			return l
		}
		l := open()
		fourteen(t, db, l)
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		// As if the crash had come between the log and the seal rows of the last two batches.
		tamper(t, db, []string{`DELETE FROM audit_seal WHERE lane = {lane} AND batch >= 2`})
		l = open()
		if err := l.Seal(ctx); err != nil {
			t.Fatal(err)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
		report, err := open().Verify(ctx)
		if err != nil || !report.OK() || report.Batches != 4 || report.LogSize != 4 || report.Entries != 14 || report.Unsealed != 0 {
			t.Errorf("%v\n%s", err, report)
		}
	})
}

func TestKeysAreForTheirOwnerOnly(t *testing.T) {
	t.Parallel()
	db, dir := storetest.Open(t, audit.Schema()), filepath.Join(t.TempDir(), "audit")
	if _, err := audit.Open(db, dir, audit.Options{}); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"signer.key", "salt.key"} {
		if info, err := os.Stat(filepath.Join(dir, name)); err != nil || info.Mode().Perm() != 0o600 {
			t.Errorf("%s: %v %v", name, info.Mode(), err)
		}
	}
}
