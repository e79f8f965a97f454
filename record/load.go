package record

import (
	"context"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Load is how far a load of many resources came.
type Load struct {
	Done    int // resources that were looked at, in the load's own order
	Refused int // of those
}

// loadLane is where loads are kept: they are about no chart.
const loadLane = store.Lane(0)

// LoadOf is how far the load of that name came; nothing when it is new, or has ended.
func (r *Records) LoadOf(ctx context.Context, name string) (Load, error) {
	var l Load
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT done, refused FROM record_load WHERE lane = ? AND load = ?`, loadLane, name).Scan(&l.Done, &l.Refused)
	})
	if fault.Is(err, fault.NotFound) {
		return Load{}, nil
	}
	return l, err
}

// Loaded adds to how far a load came, in the transaction that writes what it is about.
func (r *Records) Loaded(tx *store.Tx, name string, more Load) error {
	return tx.Queue(`INSERT INTO record_load (lane, load, done, refused) VALUES (?, ?, ?, ?)
		ON CONFLICT (lane, load) DO UPDATE SET done = record_load.done + excluded.done, refused = record_load.refused + excluded.refused`,
		loadLane, name, int64(more.Done), int64(more.Refused))
}

// EndLoad forgets a load that came to its end.
func (r *Records) EndLoad(ctx context.Context, name string) error {
	return r.db.Write(ctx, []store.Lane{loadLane}, func(tx *store.Tx) error {
		return tx.Queue(`DELETE FROM record_load WHERE lane = ? AND load = ?`, loadLane, name)
	})
}
