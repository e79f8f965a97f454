package record

import (
	"math"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Since tells what of a kind was written after a snapshot: whoever decided something by the snapshot looks, in the Write, only at that. It
// holds where one lane gives all writes one order.
type Since struct {
	kind, at int64
	known    bool
}

// Newest is the present end of what was written of a tenant's resources of a type, as tx sees it.
func (r *Records) Newest(tx *store.Tx, tenant ident.ODSCode, typ string) (Since, error) {
	kind, known, err := r.words.kindIn(tx, tenant.String(), typ)
	if err != nil || !known || r.db.Lanes() > 1 {
		return Since{}, err
	}
	s := Since{kind: kind, known: true}
	return s, tx.QueryRow(`SELECT coalesce(max(at), ?) FROM record_resource WHERE kind = ?`, int64(math.MinInt64), kind).Scan(&s.at)
}

// WrittenSince are the ids of what was written since, and still stands there in its newest version; false when they are more than most,
// or cannot be told.
func (r *Records) WrittenSince(tx *store.Tx, s Since, most int) (ids []string, told bool, err error) {
	if !s.known {
		return nil, false, nil
	}
	err = each(tx, `SELECT id FROM record_resource WHERE kind = ? AND at > ? LIMIT ?`, []any{s.kind, s.at, int64(most) + 1}, func(rows *store.Rows) error {
		var id string
		err := rows.Scan(&id)
		ids = append(ids, id)
		return err
	})
	return ids, len(ids) <= most, err
}
