package record

import (
	"context"
	"strings"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Count is how many resources of a type a tenant's record holds now. It says nothing about anyone.
type Count struct {
	Tenant ident.ODSCode
	Type   string
	Live   int64
}

// Counts says how much is kept, of each type for each tenant: for whoever looks after the node.
func (r *Records) Counts(ctx context.Context) ([]Count, error) {
	var counts []Count
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		counts = nil
		rows, err := tx.Query(`SELECT w.word, CAST(sum(c.live) AS INTEGER) FROM record_count c JOIN record_word w ON w.lane = ? AND w.space = ? AND w.num = c.kind GROUP BY w.word ORDER BY w.word`,
			int64(r.words.lane), int64(spaceKind))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var word string
			var c Count
			if err := rows.Scan(&word, &c.Live); err != nil {
				return err
			}
			tenant, typ, _ := strings.Cut(word, "/")
			if c.Tenant, err = ident.ParseODSCode(tenant); err != nil {
				return err
			}
			c.Type = typ
			counts = append(counts, c)
		}
		return rows.Err()
	})
	return counts, err
}
