package access

import (
	"context"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Why a session ended that its browser still shows.
const (
	EndedIdle      = "idle"      // nothing happened for SessionIdle, or it was SessionMax old
	EndedElsewhere = "elsewhere" // by the user on another device, or by an administrator
	EndedChanged   = "changed"   // what the user may do is another now: they moved, or the role that they had chosen ended
	EndedAccess    = "ended"     // the user was suspended or has left
)

// noteEnded writes why a session ended, in a Write that holds its lane.
func noteEnded(tx *store.Tx, lane store.Lane, hash []byte, why string) error {
	at := tx.At()
	if _, err := tx.Exec(`DELETE FROM access_session_ended WHERE lane = ? AND at < ?`, int64(lane), at.Add(-SessionMax).UnixMicro()); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO access_session_ended (lane, hash, why, at) VALUES (?, ?, ?, ?) ON CONFLICT (lane, hash) DO NOTHING`, int64(lane), hash, why, at.UnixMicro())
	return err
}

// WhyEnded is why the session with this secret, which somebody's browser still shows, is over: one of EndedIdle, EndedElsewhere, EndedChanged and
// EndedAccess; "" for one that goes on, and for one that is not known (any more).
func (g *Gate) WhyEnded(ctx context.Context, secret string) (string, error) {
	lane, hash := g.sessionRow(secret)
	var why string
	err := g.db.Read(ctx, func(tx *store.Tx) error {
		why = ""
		err := tx.QueryRow(`SELECT why FROM access_session_ended WHERE lane = ? AND hash = ?`, int64(lane), hash).Scan(&why)
		if !fault.Is(err, fault.NotFound) {
			return err
		}
		var userID, profile string
		var since, seen int64
		err = tx.QueryRow(`SELECT user_id, profile, since, seen FROM access_session WHERE lane = ? AND hash = ?`, int64(lane), hash).Scan(&userID, &profile, &since, &seen)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		if tx.At().Sub(time.UnixMicro(since)) >= SessionMax || tx.At().Sub(time.UnixMicro(seen)) >= SessionIdle {
			why = EndedIdle
			return nil
		}
		if _, _, err = g.principalIn(tx, userID, profile); !fault.Is(err, fault.NotFound) {
			return err
		}
		why = EndedChanged
		if _, err = g.presentIn(tx, userID); fault.Is(err, fault.NotFound) {
			why, err = EndedAccess, nil
		}
		return err
	})
	return why, err
}
