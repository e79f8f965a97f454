package audit_test

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/uuid"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// past is an account of four months of 2024 and a little of the fifth.
type past struct {
	t     testing.TB
	db    *store.DB
	dir   string
	clock *clock.Fake
	log   *audit.Log
	asked []audit.Query
	ids   []string // of all entries, newest first
}

var january = time.Date(2024, 1, 1, 0, 0, 0, 0, time.UTC)

func monthOf(n int) time.Time { return january.AddDate(0, n-1, 0) }

// eachPast runs a test on both engines, with one lane and with several.
func eachPast(t *testing.T, entries int, test func(p *past)) {
	t.Helper()
	for _, lanes := range []int{1, 5} {
		at := clock.NewFake(january)
		storetest.EachWith(t, store.Options{Clock: at, Lanes: lanes}, func(t *testing.T, db *store.DB) {
			defer at.Set(january) // before the next engine's database begins
			p := &past{t: t, db: db, dir: t.TempDir(), clock: at, asked: queries()}
			p.open()
			p.live(entries)
			test(p)
		}, audit.Schema())
	}
}

func (p *past) open() {
	p.t.Helper()
	var err error
	if p.log, err = audit.Open(p.db, p.dir, audit.Options{Clock: p.clock}); err != nil {
		p.t.Fatal(err)
	}
	p.log.Small(16, 90, 7)
	log := p.log
	p.t.Cleanup(func() {
		if err := log.Close(); err != nil {
			p.t.Error(err)
		}
	})
}

// live writes entries of January to early May, sealing now and then.
func (p *past) live(entries int) {
	p.t.Helper()
	rng := rand.New(rand.NewPCG(7, 7))
	step := 123 * 24 * time.Hour / time.Duration(entries)
	for i := range entries {
		p.clock.Advance(step)
		e := p.made(rng, i)
		write(p.t, p.db, p.log, e)
		if rng.IntN(15) == 0 {
			p.seal()
		}
	}
	p.seal()
	p.clock.Set(time.Date(2024, 5, 20, 0, 0, 0, 0, time.UTC))
	p.ids = nil
	for _, e := range p.all(audit.Query{}) {
		p.ids = append(p.ids, e.ID())
	}
	if len(p.ids) != entries {
		p.t.Fatalf("%d entries of %d", len(p.ids), entries)
	}
}

func (p *past) made(rng *rand.Rand, i int) audit.Entry {
	e := look(fmt.Sprint(9000000000+rng.IntN(9)), []string{"ann", "bob", "eve"}[rng.IntN(3)])
	e.RequestID = uuid.NewMD5(uuid.Nil, fmt.Append(nil, i/2)).String()
	e.Detail = []string{"", "Patient", "Observation/" + uuid.NewMD5(uuid.Nil, fmt.Append(nil, "o", i)).String(), "Observation ×12, Condition", "\x01\x02", "\x02 words\nand more",
		"List/" + strings.Repeat(e.RequestID+",", 3)}[rng.IntN(7)]
	if p.db.Engine() == "postgres" {
		e.Detail = strings.ToValidUTF8(e.Detail, "")
	}
	switch rng.IntN(5) {
	case 0:
		e.Tenant, e.Organisation, e.Action, e.RequestID = ident.MustODSCode("RYY"), ident.ODSCode{}, "update", "a request of another kind"
	case 1:
		e.Tenant, e.Chart, e.Outcome, e.RequestID = ident.ODSCode{}, "", "failed conflict", ""
	}
	return e
}

func (p *past) seal() {
	p.t.Helper()
	if err := p.log.Seal(context.Background()); err != nil {
		p.t.Fatal(err)
	}
}

// all goes through every page of a query, on and back again.
func (p *past) all(q audit.Query) (list []audit.Entry) {
	p.t.Helper()
	ctx := context.Background()
	if q.Limit == 0 {
		q.Limit = 29
	}
	var pages [][]audit.Entry
	var last audit.Page
	for {
		page, err := p.log.Search(ctx, q)
		if err != nil {
			p.t.Fatal(err)
		}
		list, pages, last = append(list, page.Entries...), append(pages, page.Entries), page
		if page.Next == "" {
			break
		}
		q.After = page.Next
	}
	q.After = ""
	for i := len(pages) - 2; i >= 0; i-- {
		q.Before = last.Previous
		var err error
		if last, err = p.log.Search(ctx, q); err != nil {
			p.t.Fatal(err)
		}
		if !slices.Equal(last.Entries, pages[i]) {
			p.t.Errorf("going back, page %d is not as it was going on: %d entries, not %d", i, len(last.Entries), len(pages[i]))
		}
	}
	if len(pages) > 1 && last.Previous != "" {
		p.t.Error("there is a page before the first")
	}
	return list
}

func queries() []audit.Query {
	return []audit.Query{{}, {Oldest: true}, {Oldest: true, Tenant: spine, Chart: "9000000003", Limit: 4}, {Limit: 1000}, {Tenant: spine, Chart: "9000000003"}, {Tenant: spine}, {Tenant: ident.MustODSCode("RYY")}, {Actor: "ann"}, {Actor: "nobody"}, {Not: []string{"ann", "bob"}},
		{Organisation: ident.MustODSCode("RXX")}, {Action: "update"}, {Actions: []string{"read", "update"}}, {Outcome: "failed"}, {Purpose: "TREAT", Actor: "bob", Action: "read"},
		{From: monthOf(2)}, {To: monthOf(2)}, {From: monthOf(2).AddDate(0, 0, 11), To: monthOf(4)}, {From: monthOf(5)}, {Tenant: spine, Chart: "nobody"},
		{Charts: []audit.Chart{{Tenant: spine, Chart: "9000000001"}, {Tenant: ident.MustODSCode("RYY"), Chart: "9000000002"}}, Not: []string{"eve"}}}
}

// answers are what every query gives, and how many there are of it.
func (p *past) answers() (lists [][]audit.Entry) {
	p.t.Helper()
	for _, q := range p.asked {
		list := p.all(q)
		if n, err := p.log.Count(context.Background(), q); err != nil || int(n) != len(list) {
			p.t.Errorf("%+v: counted %d %v, listed %d", q, n, err, len(list))
		}
		lists = append(lists, list)
	}
	for i, id := range p.ids {
		if e, err := p.log.ByID(context.Background(), id); err != nil || e != lists[0][i] {
			p.t.Errorf("%s is %+v %v", id, e, err)
		}
	}
	return lists
}

func (p *past) same(when string, want [][]audit.Entry) {
	p.t.Helper()
	for i, got := range p.answers() {
		if !slices.Equal(got, want[i]) {
			p.t.Errorf("%s: %+v gives %d entries, not the %d of before", when, p.asked[i], len(got), len(want[i]))
		}
	}
}

func (p *past) sound(when string) audit.Report {
	p.t.Helper()
	report, err := p.log.Verify(context.Background())
	if err != nil || !report.OK() || report.Entries != int64(len(p.ids)) || report.Lost != 0 || report.Unsealed != 0 {
		p.t.Errorf("%s: %v\n%s", when, err, report)
	}
	kept, err := p.log.Kept(context.Background())
	if err != nil || kept.Online+kept.Archived != int64(len(p.ids)) || kept.Archived != report.Archived {
		p.t.Errorf("%s: %+v %v; verified %d in archives", when, kept, err, report.Archived)
	}
	return report
}

func (p *past) archive(before time.Time) audit.Archived {
	p.t.Helper()
	done, err := p.log.Archive(context.Background(), before)
	if err != nil {
		p.t.Fatal(err)
	}
	return done
}

// Whatever is asked of the account, the answer is the same before old months are archived and after.
func TestWhatIsArchivedIsFoundAsBefore(t *testing.T) {
	t.Parallel()
	eachPast(t, 300, func(p *past) {
		p.log.Small(16, 40, 7)
		before := p.answers()
		for _, month := range []int{1, 2, 4} {
			done := p.archive(monthOf(month))
			if month == 1 && done.Entries != 0 || month > 1 && (done.Entries == 0 || len(done.Files) == 0 || done.Held != 0) {
				p.t.Errorf("before %v: %s", monthOf(month), done)
			}
			p.same(done.String(), before)
			if report := p.sound(done.String()); month == 4 && (report.Archived < 190 || report.Archived > 240 || report.Archives < 4) {
				p.t.Errorf("%s", report)
			}
		}
		if again := p.archive(monthOf(4)); again.Entries != 0 || len(again.Files) != 0 {
			p.t.Errorf("again: %s", again)
		}
		for _, wrong := range []time.Time{monthOf(6), monthOf(3).Add(time.Hour)} {
			if _, err := p.log.Archive(context.Background(), wrong); !fault.Is(err, fault.Invalid) {
				p.t.Errorf("before %v: %v", wrong, err)
			}
		}
		// Life goes on: the next entry has the next number, and is sealed after the last batch.
		p.open()
		e := look("9000000003", "ann")
		write(p.t, p.db, p.log, e)
		p.seal()
		p.ids = append([]string{p.all(audit.Query{Limit: 1000})[0].ID()}, p.ids...)
		p.sound("after a further entry")
		p.clock.Set(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
		p.archive(time.Date(2025, 1, 1, 0, 0, 0, 0, time.UTC))
		if report := p.sound("when all is archived"); report.Archived != int64(len(p.ids)) {
			p.t.Errorf("%s", report)
		}
		p.open()
		write(p.t, p.db, p.log, e)
		p.seal()
		p.ids = append([]string{p.all(audit.Query{Limit: 1000})[0].ID()}, p.ids...)
		p.sound("after an entry over nothing but archives")
	})
}

// Archiving may end at any step, as when the process is killed: nothing is lost and nothing doubled, before it is run again and after.
func TestArchivingMayBeKilledAtAnyStep(t *testing.T) {
	t.Parallel()
	eachPast(t, 120, func(p *past) {
		p.asked = []audit.Query{{}, {Tenant: spine, Chart: "9000000003"}, {Actor: "ann", To: monthOf(3)}}
		before := p.answers()
		for _, month := range []int{2, 4} {
			for _, step := range []string{"written", "checked", "renamed", "synced", "registered", "taken out", "taken out", "moved"} {
				p.log.AtStep(func(name string) error {
					if name == step {
						return audit.ErrKilled
					}
					return nil
				})
				if _, err := p.log.Archive(context.Background(), monthOf(month)); !errors.Is(err, audit.ErrKilled) {
					p.t.Fatalf("it was not killed when %s: %v", step, err)
				}
				p.open() // the process begins anew
				p.same("killed when "+step, before)
				p.sound("killed when " + step)
			}
			p.archive(monthOf(month))
		}
		done := p.archive(monthOf(4))
		p.same(done.String(), before)
		if report := p.sound("in the end"); report.Archived == 0 || len(report.Strays) != 0 {
			p.t.Errorf("%s", report)
		}
	})
}

// What is done to an archive, or to what the database says of it, is found, and said where.
func TestTamperingWithAnArchiveIsFound(t *testing.T) {
	t.Parallel()
	first := func(p *past) string { return filepath.Join(p.dir, "archive", "2024-01.account") }
	file := func(p *past, change func(b []byte) []byte) {
		b, err := os.ReadFile(first(p))
		if err != nil {
			p.t.Fatal(err)
		}
		if err := os.WriteFile(first(p), change(b), 0o600); err != nil {
			p.t.Fatal(err)
		}
	}
	cases := []struct {
		name string
		do   func(p *past)
		kind string
		says string
	}{
		{"the file removed", func(p *past) {
			if err := os.Remove(first(p)); err != nil {
				p.t.Fatal(err)
			}
		}, audit.FileBad, "2024-01.account: it is missing"},
		{"the file cut short", func(p *past) { file(p, func(b []byte) []byte { return b[:len(b)/2] }) }, audit.FileBad, "2024-01.account: it was changed"},
		{"a byte of a block changed", func(p *past) { file(p, func(b []byte) []byte { b[100] ^= 4; return b }) }, audit.FileBad, "2024-01.account: it was changed where it holds"},
		{"a byte of the index changed", func(p *past) { file(p, func(b []byte) []byte { b[len(b)-60] ^= 4; return b }) }, audit.FileBad, "2024-01.account: it was changed"},
		{"another month in its place", func(p *past) {
			file(p, func([]byte) []byte {
				b, err := os.ReadFile(filepath.Join(p.dir, "archive", "2024-02.account"))
				if err != nil {
					p.t.Fatal(err)
				}
				return b
			})
		}, audit.FileBad, "2024-01.account: it was changed"},
		{"its place in the list removed", func(p *past) {
			tamperAll(p, `DELETE FROM audit_archive WHERE name = '2024-01.account'`)
		}, audit.FileBad, "it was taken from the list of archives"},
		{"all that the database says of it removed", func(p *past) {
			tamperAll(p, `DELETE FROM audit_archive WHERE name = '2024-01.account'`)
			tamperAll(p, `DELETE FROM audit_archived WHERE archive = 1`)
		}, audit.Removed, "entry 1 of lane"},
		{"a row put back into the database", func(p *past) {
			tamperAll(p, `INSERT INTO audit_entry (lane, seq, at, chart, actor, act) SELECT lane, 2, at, chart, actor, act FROM audit_entry WHERE seq = (SELECT max(seq) FROM audit_entry)`)
		}, audit.Inserted, "entry 2 of lane"},
	}
	onePast(t, 120, func(p *past) {
		p.archive(monthOf(4))
		rows, files := copyAccount(p.t, p.db), copyFiles(p)
		for _, c := range cases {
			p.t.(*testing.T).Run(c.name, func(t *testing.T) {
				p := &past{t: t, db: p.db, dir: p.dir, clock: p.clock}
				p.open()
				c.do(p)
				p.blames(c.kind, c.says)
				rows.putBack(t, p.db)
				files.putBack(t)
			})
		}
		p.sound("with everything put back")
	})
}

// blames checks that what was done to the first archive is found, that nothing else is blamed, and what a search says of it.
func (p *past) blames(kind, says string) {
	report, err := p.log.Verify(context.Background())
	if err != nil || report.OK() {
		p.t.Fatalf("%v\n%s", err, report)
	}
	if !slices.ContainsFunc(report.Findings, func(f audit.Finding) bool { return f.Kind == kind && strings.Contains(f.String(), says) }) {
		p.t.Errorf("%s", report)
	}
	if kind != audit.FileBad {
		return
	}
	for _, f := range report.Findings {
		if f.Kind != audit.FileBad && f.File != "2024-01.account" {
			p.t.Errorf("and it blames %v", f)
		}
	}
	if strings.Contains(says, "list") {
		return
	}
	_, err = p.log.Search(context.Background(), audit.Query{Limit: 1000})
	if !fault.Is(err, fault.Unavailable) || !strings.Contains(fault.MessageOf(err), "2024-01.account") {
		p.t.Errorf("a search that reaches back: %v", err)
	}
	if page, err := p.log.Search(context.Background(), audit.Query{Limit: 1000, From: monthOf(3)}); err != nil || len(page.Entries) == 0 {
		p.t.Errorf("a search that does not: %d %v", len(page.Entries), err)
	}
}

// copiedFiles are archives, to be put back after they were tampered with.
type copiedFiles map[string][]byte

func copyFiles(p *past) copiedFiles {
	p.t.Helper()
	files := copiedFiles{}
	paths, err := filepath.Glob(filepath.Join(p.dir, "archive", "*"))
	for _, path := range paths {
		b, rerr := os.ReadFile(path)
		files[path], err = b, errors.Join(err, rerr)
	}
	if err != nil || len(files) < 3 {
		p.t.Fatal(len(files), err)
	}
	return files
}

func (c copiedFiles) putBack(t *testing.T) {
	t.Helper()
	for path, b := range c {
		if err := os.WriteFile(path, b, 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// onePast is eachPast with as many lanes as each engine usually has.
func onePast(t *testing.T, entries int, test func(p *past)) {
	t.Helper()
	at := clock.NewFake(january)
	storetest.EachWith(t, store.Options{Clock: at}, func(t *testing.T, db *store.DB) {
		defer at.Set(january)
		p := &past{t: t, db: db, dir: t.TempDir(), clock: at, asked: queries()}
		p.open()
		p.live(entries)
		test(p)
	}, audit.Schema())
}

func tamperAll(p *past, sql string) {
	p.t.Helper()
	if err := p.db.Write(context.Background(), []store.Lane{0}, func(tx *store.Tx) error {
		n, err := tx.Exec(sql)
		if n == 0 && err == nil {
			p.t.Errorf("%s changed nothing", sql)
		}
		return err
	}); err != nil {
		p.t.Fatal(err)
	}
}

// What was tampered with before it was archived is archived as it stands, and named as before.
func TestArchivingHidesNothing(t *testing.T) {
	t.Parallel()
	eachPast(t, 120, func(p *past) {
		lane := p.db.LaneOf("X26", "9000000003")
		at := func(seq int) string { return fmt.Sprintf(" WHERE lane = %d AND seq = %d", lane, seq) }
		tamperAll(p, `UPDATE audit_entry SET detail = 'Nothing'`+at(3))
		tamperAll(p, `DELETE FROM audit_entry`+at(6))
		tamperAll(p, `UPDATE audit_entry SET at = at - 86400000000`+at(9))
		before, err := p.log.Verify(context.Background())
		if err != nil || len(before.Findings) != 3 {
			p.t.Fatalf("%v\n%s", err, before)
		}
		p.archive(monthOf(5))
		after, err := p.log.Verify(context.Background())
		if err != nil || len(after.Findings) != 3 {
			p.t.Fatalf("%v\n%s", err, after)
		}
		for i, f := range after.Findings {
			if b := before.Findings[i]; f.Kind != b.Kind || f.Seq != b.Seq || f.File == "" || f.What != b.What {
				p.t.Errorf("before: %v\nafter: %v", b, f)
			}
		}
	})
}

// A seal that is not the log's keeps its lane out of the archive, and the report says so.
func TestALaneWithAForgedSealIsNotArchived(t *testing.T) {
	t.Parallel()
	onePast(t, 120, func(p *past) {
		lane := p.db.LaneOf("X26", "9000000003")
		tamperAll(p, fmt.Sprintf(`UPDATE audit_seal SET leaf = leaf + 1 WHERE lane = %d AND batch = 2`, lane))
		done := p.archive(monthOf(4))
		if done.Held != 1 || !strings.Contains(done.String(), "left alone") {
			p.t.Errorf("%s", done)
		}
		report, err := p.log.Verify(context.Background())
		if got := named(report); err != nil || len(got) != 1 || got[0] != "seal batch 2" {
			p.t.Errorf("found %v %v", got, err)
		}
	})
}

// BenchmarkArchive archives a month of entries as a node makes them and reports what each takes in the database (without and with what
// the log takes), and in the archive; then how long a search for one person takes there, and a count of all that one user did.
func BenchmarkArchive(b *testing.B) {
	for _, engine := range []string{"sqlite", "postgres"} {
		b.Run(engine, func(b *testing.B) { benchArchive(b, engine) })
	}
}

func benchArchive(b *testing.B, engine string) {
	const entries, people, users = 60_000, 12_000, 400
	ctx, at := context.Background(), clock.NewFake(january)
	var db *store.DB
	if engine == "sqlite" {
		db = storetest.OpenWith(b, store.Options{Clock: at}, audit.Schema())
	} else {
		var err error
		if db, err = store.Open(ctx, storetest.PostgresURL(b), store.Options{Clock: at, Lanes: 16}); err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() {
			if err := db.Close(); err != nil {
				b.Error(err)
			}
		})
		if err := db.Migrate(ctx, audit.Schema()); err != nil {
			b.Fatal(err)
		}
	}
	p := &past{t: b, db: db, dir: b.TempDir(), clock: at}
	p.open()
	p.log.Small(16_384, 1<<20, 1000)
	rng := rand.New(rand.NewPCG(1, 1))
	for n := 0; n < entries; n += 500 {
		at.Advance(30 * 24 * time.Hour / (entries / 500))
		var placed []audit.Placed
		for range 500 {
			e := usual(rng, people, users)
			placed = append(placed, audit.Placed{Lane: db.LaneOf(e.Tenant.String(), e.Chart), Entry: e})
		}
		if err := p.log.Record(ctx, placed...); err != nil {
			b.Fatal(err)
		}
		if n%10_000 == 0 {
			p.seal()
		}
	}
	p.seal()
	size := databaseSize(b, db)
	at.Set(monthOf(3))
	began := time.Now()
	done := p.archive(monthOf(2))
	if done.Entries < entries-1000 {
		b.Fatalf("%s", done)
	}
	b.ReportMetric(float64(size)/entries, "database-bytes/entry")
	b.ReportMetric(float64(done.Bytes)/float64(done.Entries), "archive-bytes/entry")
	b.ReportMetric(float64(done.Entries)/time.Since(began).Seconds(), "archived/s")
	began = time.Now()
	if _, err := p.log.Verify(ctx); err != nil {
		b.Fatal(err)
	}
	b.ReportMetric(float64(done.Entries)/time.Since(began).Seconds(), "verified/s")
	for name, q := range map[string]audit.Query{"person-ms": {Tenant: spine, Chart: "9000000007"}, "user-ms": {Actor: "user7"}} {
		began = time.Now()
		for range 20 {
			if page, err := p.log.Search(ctx, q); err != nil || len(page.Entries) == 0 {
				b.Fatal(len(page.Entries), err)
			}
		}
		b.ReportMetric(time.Since(began).Seconds()*1000/20, name)
	}
}

// usual is an entry as a node makes it: half of them name one resource by a UUID, each has a request of its own.
func usual(rng *rand.Rand, people, users int) audit.Entry {
	e := look(fmt.Sprint(9000000000+rng.IntN(people)), fmt.Sprint("user", rng.IntN(users)))
	uuid := func() string {
		var id uuid.UUID
		binary.BigEndian.PutUint64(id[:8], rng.Uint64())
		binary.BigEndian.PutUint64(id[8:], rng.Uint64())
		return id.String()
	}
	e.RequestID = uuid()
	e.Action = []string{"read", "read", "read", "search", "create"}[rng.IntN(5)]
	e.Basis = []string{"clinician-relationship: care-team", "clinician-relationship: registered", "clinician-relationship: self-claimed"}[rng.IntN(3)]
	if e.Detail = "Patient"; rng.IntN(2) == 0 {
		e.Detail = "Observation/" + uuid()
	}
	return e
}

// databaseSize is what the account takes in the database, indexes and all.
func databaseSize(b *testing.B, db *store.DB) (size int64) {
	b.Helper()
	err := db.ReadNow(context.Background(), func(tx *store.Tx) error {
		if db.Engine() == "sqlite" {
			var pages int64
			if err := tx.QueryRow(`PRAGMA page_count`).Scan(&pages); err != nil {
				return err
			}
			size = pages * 4096
			return nil
		}
		return tx.QueryRow(`SELECT CAST(sum(pg_total_relation_size(oid)) AS BIGINT) FROM pg_class WHERE relkind = 'r' AND relname LIKE 'audit_%' AND pg_table_is_visible(oid)`).Scan(&size)
	})
	if err != nil {
		b.Fatal(err)
	}
	return size
}
