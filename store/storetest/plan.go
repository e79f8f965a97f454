package storetest

import (
	"testing"

	"github.com/openspine/openspine/store"
)

// Plan is how SQLite would go through a query, step by step, in its own words (https://sqlite.org/eqp.html). For a store that Open gave.
func Plan(t testing.TB, db *store.DB, query string, args ...any) (steps []string) {
	t.Helper()
	err := db.Read(t.Context(), func(tx *store.Tx) error {
		rows, err := tx.Query("EXPLAIN QUERY PLAN "+query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id, parent, unused int64
			var step string
			if err := rows.Scan(&id, &parent, &unused, &step); err != nil {
				return err
			}
			steps = append(steps, step)
		}
		return rows.Err()
	})
	if err != nil {
		t.Fatal(err)
	}
	return steps
}
