package directory_test

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/directory"
	"github.com/openspine/openspine/internal/spectest"
	"github.com/openspine/openspine/store"
)

// whole is the published file as rows.
func whole(b *testing.B) (directory.Report, []directory.Row) {
	b.Helper()
	f, err := os.Open(filepath.Join(spectest.Dir(b, "ods"), "epraccur.csv"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	report := directory.Reports()[0]
	rows, _, err := directory.ReadODS(f, report)
	if err != nil {
		b.Fatal(err)
	}
	return report, rows
}

func (w *world) load(report directory.Report, rows []directory.Row) *directory.Plan {
	w.t.Helper()
	plan, err := w.d.Plan(w.t.Context(), report, rows, nil)
	if err == nil {
		err = w.d.Apply(w.t.Context(), access.Service("test", w.n.Kernel().National), plan, "", nil)
	}
	if err != nil {
		w.t.Fatal(err)
	}
	return plan
}

// BenchmarkImportOfTheWholeFile is 14,303 organisations and their relationships into an empty node.
func BenchmarkImportOfTheWholeFile(b *testing.B) {
	report, rows := whole(b)
	for b.Loop() {
		b.StopTimer()
		w := given(b)
		b.StartTimer()
		w.load(report, rows)
	}
}

// BenchmarkImportAgain is the same file when nothing has changed.
func BenchmarkImportAgain(b *testing.B) {
	report, rows := whole(b)
	w := given(b)
	w.load(report, rows)
	for b.Loop() {
		if plan := w.load(report, rows); len(plan.Changes) != 0 {
			b.Fatal("something changed")
		}
	}
}

// BenchmarkSearch is what somebody types, over the whole file.
func BenchmarkSearch(b *testing.B) {
	report, rows := whole(b)
	w := given(b)
	w.load(report, rows)
	for _, typed := range []string{"s", "med", "st mary", "high street surg", "TS18", "A81001"} {
		b.Run(typed, func(b *testing.B) {
			for b.Loop() {
				if _, err := w.d.Search(b.Context(), directory.Query{Text: typed}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkNearest is the same over the whole file, the nearest first.
func BenchmarkNearest(b *testing.B) {
	report, rows := whole(b)
	w := given(b)
	w.load(report, rows)
	for name, q := range map[string]directory.Query{
		"everybody": {}, "pharmacy word": {Text: "surg"}, "page 500": {Offset: 10_000},
	} {
		q.Near, q.Distance = "LS1", true
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if got, err := w.d.Search(b.Context(), q); err != nil || len(got.Found) == 0 {
					b.Fatal(len(got.Found), err)
				}
			}
		})
	}
}

// BenchmarkServices is a referrer's search through 15,000 services of the organisations of the whole file.
func BenchmarkServices(b *testing.B) {
	report, rows := whole(b)
	w := given(b)
	w.load(report, rows)
	err := w.n.Kernel().DB.Write(b.Context(), []store.Lane{0}, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO directory_service (lane, id, organisation, specialty, folded, active, name, field, kind, sex, wait, youngest, oldest)
			SELECT lane, 'svc' || code, code, CAST(length(name) % 40 AS TEXT), folded, 1, 'Clinic of ' || name, 'Speciality ' || CAST(length(name) % 40 AS TEXT), 'clinic', '', length(name), -1, -1
			FROM directory_organisation LIMIT 15000`)
		return err
	})
	if err != nil {
		b.Fatal(err)
	}
	for name, q := range map[string]directory.ServiceQuery{
		"all": {Age: -1}, "specialty": {Age: 40, Specialty: "21"}, "words": {Age: -1, Text: "clinic high st"},
	} {
		q.Near = "LS1"
		b.Run(name, func(b *testing.B) {
			for b.Loop() {
				if got, err := w.d.Services(b.Context(), q); err != nil || len(got) == 0 {
					b.Fatal(len(got), err)
				}
			}
		})
	}
}
