package demographics_test

import (
	"context"
	"fmt"
	"slices"
	"testing"

	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/internal/node"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/sim"
	"github.com/openspine/openspine/store"
)

// People who are loaded to be found later, by a load that is cut off, are found once the node has been opened again: the register's tables
// hold what they hold when people are loaded one by one, former names included.
func TestPeopleOfALoadThatWasCutOffAreFound(t *testing.T) {
	t.Parallel()
	k, err := sim.New(sim.Config{Seed: 3, People: 320, Now: today, Crowd: true})
	if err != nil {
		t.Fatal(err)
	}
	var docs [][]byte
	var renamed string
	for p := range k.Everyone() {
		docs = append(docs, k.Patient(p))
		if p.Index == 7 {
			renamed = p.NHSNumber.String()
		}
	}
	second := person(renamed, "Brook", "Ada", "1980-01-02")
	plain, w := newWorld(t, ""), newWorld(t, "")
	for _, w := range []*world{plain, w} {
		w.load(person("9990000018", "Marsh", "Ada", "1980-01-02"))
	}
	plain.load(docs...)
	plain.load(second)

	ctx, cancel := context.WithCancel(t.Context())
	l := w.node.Loader("test", national, nil)
	l.Later, l.Batch = true, node.LoadAlone
	l.Found = func(record.Progress) { cancel() }
	for _, doc := range docs {
		res, err := fhir.Parse(doc)
		if err != nil {
			t.Fatal(err)
		}
		if err := l.Add(ctx, res); err != nil {
			t.Fatal(err)
		}
	}
	if err := l.Flush(ctx); err == nil || !w.node.Kernel().Records.Due() {
		t.Fatalf("the load was not cut off: %v", err)
	}
	w.load(second)
	w.worker().get(query("family", "Brook", "birthdate", "eq1980-01-02")).refused(503, "SERVICE_UNAVAILABLE", "")
	w.worker().get("/Patient/" + renamed).want(200)
	w = w.again()
	if got, want := w.tables(), plain.tables(); !slices.Equal(got, want) || len(want) < 1500 {
		t.Errorf("%d rows, want %d", len(got), len(want))
		for i := range min(len(got), len(want)) {
			if got[i] != want[i] {
				t.Fatalf("%s, want %s", got[i], want[i])
			}
		}
	}
	if total := w.worker().get(query("family", "Brook", "birthdate", "eq1980-01-02")).want(200).json().Get("total").String(); total != "1" {
		t.Errorf("found %s", total)
	}
}

// tables are all rows that people are found by, in order.
func (w *world) tables() (rows []string) {
	w.t.Helper()
	err := w.node.Kernel().DB.Read(w.t.Context(), func(tx *store.Tx) error {
		rows = nil
		for _, q := range []string{`name', family, born, person FROM demographics_name`, `born', hex(features), born * 4 + hidden * 2 + label, person FROM demographics_born`, `sound', sound, born, person FROM demographics_sound`,
			`key', '', hash, person FROM demographics_key`, `person', '', born, person FROM demographics_person`} {
			list, err := tx.Query(`SELECT '` + q + ` ORDER BY 2, 3, 4`)
			if err != nil {
				return err
			}
			for list.Next() {
				var table, text, whose string
				var n int64
				if err := list.Scan(&table, &text, &n, &whose); err != nil {
					return err
				}
				rows = append(rows, fmt.Sprint(table, " ", text, " ", n, " ", whose))
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
	return rows
}
