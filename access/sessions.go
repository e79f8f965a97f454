package access

import (
	"context"
	"encoding/base64"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// SessionInfo is one of a user's sessions, as they see it in the list of their devices.
type SessionInfo struct {
	ID        string // Principal.SessionID
	Method    string
	Assurance string
	Device    string
	Since     time.Time
	Seen      time.Time // to the minute
	Origin    string    // what grants that were given in it came of (Principal.Origins)
	hash      []byte
}

// Sessions lists a user's sessions that have not ended, the latest first.
func (g *Gate) Sessions(ctx context.Context, userID string) ([]SessionInfo, error) {
	var list []SessionInfo
	err := g.db.Read(ctx, func(tx *store.Tx) (err error) {
		list, err = sessionsIn(tx, userID, SessionIdle)
		return err
	})
	return list, err
}

// sessionsIn are a user's sessions in which something happened within idle.
func sessionsIn(tx *store.Tx, userID string, idle time.Duration) ([]SessionInfo, error) {
	now := tx.At()
	rows, err := tx.Query(`SELECT hash, method, assurance, device, since, seen, root FROM access_session WHERE user_id = ? AND since > ? AND seen > ? ORDER BY since DESC, hash LIMIT 200`,
		userID, now.Add(-SessionMax).UnixMicro(), now.Add(-idle).UnixMicro())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []SessionInfo
	for rows.Next() {
		var s SessionInfo
		var since, seen int64
		var root string
		if err := rows.Scan(&s.hash, &s.Method, &s.Assurance, &s.Device, &since, &seen, &root); err != nil {
			return nil, err
		}
		s.ID = base64.RawURLEncoding.EncodeToString(s.hash[:12])
		s.Origin = leftKey(s.ID, root)
		s.Since, s.Seen = time.UnixMicro(since).UTC(), time.UnixMicro(seen).UTC()
		list = append(list, s)
	}
	return list, rows.Err()
}

// EndSession ends one of a user's sessions, and the tokens that were minted from it or came of it: also of one in which nothing has happened for a while,
// for what programs were given in it may go on. origin is what those came of. Errors: fault.NotFound.
func (g *Gate) EndSession(ctx context.Context, by Principal, userID, id string) (origin string, err error) {
	var list []SessionInfo
	err = g.db.Read(ctx, func(tx *store.Tx) (err error) {
		list, err = sessionsIn(tx, userID, SessionMax)
		return err
	})
	if err != nil {
		return "", err
	}
	for _, s := range list {
		if s.ID == id {
			return s.Origin, g.endSessions(ctx, by, userID, []SessionInfo{s}, EndedElsewhere)
		}
	}
	return "", fault.New(fault.NotFound, "This session has ended already.")
}

// EndSessions ends every session of a user and every token that was minted for them: signed out everywhere.
func (g *Gate) EndSessions(ctx context.Context, by Principal, userID string) error {
	list, err := g.Sessions(ctx, userID)
	if err != nil {
		return err
	}
	if err := g.endSessions(ctx, by, userID, list, EndedElsewhere); err != nil {
		return err
	}
	return g.RevokeUser(ctx, by, userID)
}

func (g *Gate) endSessions(ctx context.Context, by Principal, userID string, list []SessionInfo, why string) error {
	lanes := []store.Lane{g.accountLane(by, Place{})}
	for _, s := range list {
		lanes = append(lanes, g.db.LaneOf("", "session/"+string(s.hash)), g.revokedLane(s.ID), g.revokedLane(s.Origin))
	}
	until := make([]int64, len(list))
	err := g.db.Write(ctx, lanes, func(tx *store.Tx) (err error) {
		var names []string
		for i, s := range list {
			if _, err := tx.Exec(`DELETE FROM access_session WHERE lane = ? AND hash = ?`, int64(g.db.LaneOf("", "session/"+string(s.hash))), s.hash); err != nil {
				return err
			}
			if err := noteEnded(tx, g.db.LaneOf("", "session/"+string(s.hash)), s.hash, why); err != nil {
				return err
			}
			for _, id := range []string{s.ID, s.Origin} {
				if until[i], err = g.revokeIn(tx, id, time.Time{}); err != nil {
					return err
				}
			}
			names = append(names, s.ID)
		}
		if len(list) == 0 {
			return nil
		}
		return g.Record(ctx, tx, by, Deed{Action: actionSignOut, Basis: "elsewhere", Detail: "user " + userID + ": sessions " + strings.Join(names, " ")})
	})
	if err != nil {
		return err
	}
	for i, s := range list {
		g.revoked.end(s.ID, until[i])
		g.revoked.end(s.Origin, until[i])
	}
	return nil
}
