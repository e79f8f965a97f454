package record_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/store/storetest"
)

// What is loaded to be found later has, in the end, just the rows that it would have had: new and changed, deleted, loaded twice, beside what was
// there before, and when the load was cut off and begun again. Until then nobody is looked for, and everybody can be read.
func TestWhatIsLoadedLaterIsFoundAsIfAtOnce(t *testing.T) {
	t.Parallel()
	storetest.Each(t, func(t *testing.T, db *store.DB) {
		w := over(t, db, record.Options{})
		plain := over(t, storetest.Open(t, audit.Schema(), access.Schema(), record.Schema()), record.Options{})
		load := func(w *world, later bool, first, end, born int) {
			var changes []record.Change
			for i := first; i < end; i++ {
				id := fmt.Sprintf("p%03d", i)
				c := put("Patient", id, w, `{"resourceType":"Patient","id":%q,"identifier":[{"system":"urn:n","value":"n%d"}],"name":[{"family":"Sm\u00ffthe%d","given":["Ann"]}],"birthDate":"%d-01-01"}`, id, i, i%7, born+i%3)
				o := put("Observation", "o"+id, w, `{"resourceType":"Observation","id":%q,"status":"final","code":{"text":"x"},"subject":{"reference":"Patient/%s"},"valueQuantity":{"value":%d}}`, "o"+id, id, i-50)
				c.Later, o.Later = later, later
				changes = append(changes, c, o)
			}
			for some := range slices.Chunk(changes, 128) {
				if _, err := w.together(some, nil); err != nil {
					t.Fatal(err)
				}
			}
		}
		if db.Lanes() > 1 { // what cannot be put off is not
			load(w, true, 0, 70, 1950)
			if page, err := w.find("Patient?birthdate=1950&_count=50"); err != nil || len(page.Matches) != 24 || w.recs.Due() {
				t.Fatalf("%d are found, and others are due: %v (%v)", len(page.Matches), w.recs.Due(), err)
			}
			return
		}
		for _, w := range []*world{w, plain} {
			later := w != plain
			w.put(`{"resourceType":"Patient","id":"p005","birthDate":"1920"}`)
			load(w, later, 0, 130, 1950)
			load(w, later, 100, 200, 1980) // thirty of them again
			w.must(record.Change{Verb: record.Delete, Ref: ref("Observation", "op150")})
		}
		_, err := w.find("Patient?birthdate=1950")
		if !fault.Is(err, fault.Unavailable) || w.recs.Whole("any") == nil {
			t.Fatalf("found: %v", err)
		}
		if _, err := w.read(ref("Patient", "p150")); err != nil {
			t.Fatal(err)
		}
		again := over(t, db, record.Options{}) // as after a crash
		ctx, cancel := context.WithCancel(t.Context())
		if err := again.recs.FindLater(ctx, t.TempDir(), func(record.Progress) { cancel() }); err == nil || !again.recs.Due() {
			t.Fatalf("cut off, and whole: %v", err)
		}
		if err := again.recs.FindLater(t.Context(), t.TempDir(), nil); err != nil {
			t.Fatal(err)
		}
		if got, want := again.indexRows(), plain.indexRows(); !slices.Equal(got, want) || len(want) < 1000 {
			t.Errorf("%d rows, want %d: more %q, less %q", len(got), len(want), without(got, want), without(want, got))
		}
		if page, err := again.find("Patient?birthdate=1950&_count=50"); err != nil || len(page.Matches) != 34 {
			t.Errorf("%d (%v)", len(page.Matches), err)
		}
		if last := over(t, db, record.Options{}); last.recs.Due() {
			t.Error("it is due again")
		}
	}, audit.Schema(), access.Schema(), record.Schema())
}

func without(a, b []string) []string {
	return slices.DeleteFunc(slices.Clone(a), func(s string) bool { return slices.Contains(b, s) })
}

// indexRows are all rows of the index, in words, in order.
func (w *world) indexRows() (rows []string) {
	w.t.Helper()
	err := w.db.Read(w.t.Context(), func(tx *store.Tx) error {
		rows = nil
		for _, q := range []string{`hash || ''`, `folded || ''`, `span || ' ' || lo || ' ' || hi`, `lo || ' ' || hi || ' ' || unit`} {
			table := map[byte]string{'h': "idx_hash", 'f': "idx_string", 's': "idx_date", 'l': "idx_number"}[q[0]]
			list, err := tx.Query(`SELECT w.word || ' ' || r.id || ' ' || i.` + q + ` FROM ` + table + ` i JOIN record_word w ON w.space = 2 AND w.num = i.param JOIN record_resource r ON r.lane = i.lane AND r.rid = i.rid`)
			if err != nil {
				return err
			}
			for list.Next() {
				var s string
				if err := list.Scan(&s); err != nil {
					return err
				}
				rows = append(rows, table+" "+s)
			}
			if err := list.Err(); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		w.t.Fatal(err)
	}
	slices.Sort(rows)
	return rows
}
