package audit

import (
	"context"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/transparency-dev/formats/log"
)

func checkpointSize(raw []byte) (int64, error) {
	var cp log.Checkpoint
	if _, err := cp.Unmarshal(raw); err != nil {
		return 0, fault.Wrap(err, fault.Internal, "the audit log's checkpoint cannot be read")
	}
	return int64(cp.Size), nil
}

// Unsealed is how many entries wait for their seal.
func (l *Log) Unsealed(ctx context.Context) (int64, error) {
	var n int64
	err := l.db.Read(ctx, func(tx *store.Tx) error {
		n = 0
		lanes, err := lanesOf(tx, "audit_entry")
		if err != nil {
			return err
		}
		for _, lane := range lanes {
			var some int64
			if err := tx.QueryRow(`SELECT count(*) FROM audit_entry WHERE lane = ? AND seq > coalesce(
				(SELECT last_seq FROM audit_seal WHERE lane = ? ORDER BY batch DESC LIMIT 1), 0)`, int64(lane), int64(lane)).Scan(&some); err != nil {
				return err
			}
			n += some
		}
		return nil
	})
	return n, err
}
