package record

import (
	"context"
	"strings"
	"sync"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Count is how many resources of a type a tenant's record holds now. It says nothing about anyone.
type Count struct {
	Tenant ident.ODSCode
	Type   string
	Live   int64
}

// sizes remembers for a while how many resources of each kind there are.
type sizes struct{ m sync.Map }

type sizeAt struct {
	n  int64
	at time.Time
}

// sizeFor is how long a size is believed, by whoever weighs one way of searching against another.
const sizeFor = time.Minute

// size is about how many resources of a kind there are.
func (r *Records) size(tx *store.Tx, kind int64) (int64, error) {
	now := r.clock.Now()
	if s, ok := r.sizes.m.Load(kind); ok && now.Sub(s.(sizeAt).at).Abs() < sizeFor {
		return s.(sizeAt).n, nil
	}
	var n int64
	err := tx.QueryRow(`SELECT CAST(coalesce(sum(live), 0) AS BIGINT) FROM record_count WHERE kind = ?`, kind).Scan(&n)
	if err == nil {
		r.sizes.m.Store(kind, sizeAt{n, now})
	}
	return n, err
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
