package access

import (
	"context"
	"sync"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// How soon a revocation is known: at once in the process that made it, and in others of the same database when they
// next ask. Only what is new is asked for, with a margin for commits that were under way; all of it now and then, and when
// the clock went back.
const (
	refreshRevoked = 5 * time.Second
	refreshAll     = 5 * time.Minute
	revokedMargin  = time.Minute
)

// revocations is what the node remembers of tokens that no longer hold. Nothing leaves it before every token that it
// speaks of has expired, so that whatever order commits and refreshes take, what was revoked stays so.
type revocations struct {
	mu       sync.RWMutex
	ids      map[string]int64  // jti or sid (see Verifier.idOf) → when the last such token ends, µs since 1970
	editions map[string]change // user → the edition that tokens must at least be of
	asOf     time.Time         // of the last refresh
	all      time.Time         // of the last full one
	newest   int64             // µs since 1970: the latest row that a refresh saw
}

type change struct{ edition, until int64 }

// holds reports whether nothing has ended the token.
func (rv *revocations) holds(k *knownToken) bool {
	rv.mu.RLock()
	defer rv.mu.RUnlock()
	if _, ended := rv.ids[k.jti]; ended {
		return false
	}
	if _, ended := rv.ids[k.sid]; ended && k.sid != "" {
		return false
	}
	for _, origin := range k.origins {
		if _, ended := rv.ids[origin]; ended {
			return false
		}
	}
	return k.user == "" || k.edition >= rv.editions[k.user].edition
}

func (rv *revocations) end(id string, until int64) {
	rv.mu.Lock()
	defer rv.mu.Unlock()
	rv.put(id, until)
}

func (rv *revocations) put(id string, until int64) {
	if rv.ids == nil {
		rv.ids = map[string]int64{}
	}
	rv.ids[id] = max(rv.ids[id], until)
}

func (rv *revocations) change(user string, c change) {
	rv.mu.Lock()
	defer rv.mu.Unlock()
	rv.putChange(user, c)
}

func (rv *revocations) putChange(user string, c change) {
	if rv.editions == nil {
		rv.editions = map[string]change{}
	}
	if c.edition > rv.editions[user].edition {
		rv.editions[user] = c
	}
}

// due is since when rows are to be read (µs since 1970), and whether any are.
func (rv *revocations) due(now time.Time) (since int64, all, due bool) {
	rv.mu.RLock()
	defer rv.mu.RUnlock()
	switch {
	case rv.asOf.IsZero() || now.Before(rv.asOf) || now.Sub(rv.all) >= refreshAll:
		return 0, true, true
	case now.Sub(rv.asOf) >= refreshRevoked:
		return rv.newest - revokedMargin.Microseconds(), false, true
	}
	return 0, false, false
}

// longestToken is how long after its minting a token of ours may still be accepted.
const longestToken = tokenMaxLife + tokenSkew

// refresh reads what other processes have revoked, when it is time to.
func (g *Gate) refresh(ctx context.Context, now time.Time) error {
	since, all, due := g.revoked.due(now)
	if !due {
		return nil
	}
	var next revocations
	err := g.db.Read(ctx, func(tx *store.Tx) error {
		next.ids, next.editions, next.newest = nil, nil, 0
		return next.read(tx, since, now)
	})
	if err != nil {
		return err
	}
	g.revoked.merge(&next, all, now)
	return nil
}

// read takes up the rows that were written since, and still matter.
func (rv *revocations) read(tx *store.Tx, since int64, now time.Time) error {
	rows, err := tx.Query(`SELECT jti, until, at FROM access_revoked WHERE at >= ? AND until > ?`, since, now.UnixMicro())
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var until, at int64
		if err := rows.Scan(&id, &until, &at); err != nil {
			return err
		}
		rv.put(id, until)
		rv.newest = max(rv.newest, at)
	}
	if err := rows.Err(); err != nil {
		return err
	}
	rows, err = tx.Query(`SELECT id, edition, changed FROM access_user WHERE changed >= ? AND changed > 0`, max(since, now.Add(-longestToken).UnixMicro()))
	if err != nil {
		return err
	}
	defer rows.Close()
	for rows.Next() {
		var id string
		var edition, changed int64
		if err := rows.Scan(&id, &edition, &changed); err != nil {
			return err
		}
		rv.putChange(id, change{edition, changed + longestToken.Microseconds()})
		rv.newest = max(rv.newest, changed)
	}
	return rows.Err()
}

// merge adds what was read; a full reading also lets go of what no token can be affected by any more.
func (rv *revocations) merge(next *revocations, all bool, now time.Time) {
	rv.mu.Lock()
	defer rv.mu.Unlock()
	for id, until := range next.ids {
		rv.put(id, until)
	}
	for user, c := range next.editions {
		rv.putChange(user, c)
	}
	rv.asOf, rv.newest = now, max(rv.newest, next.newest)
	if !all {
		return
	}
	rv.all = now
	for id, until := range rv.ids {
		if until <= now.UnixMicro() {
			delete(rv.ids, id)
		}
	}
	for user, c := range rv.editions {
		if c.until <= now.UnixMicro() {
			delete(rv.editions, user)
		}
	}
}

// standing is fault.Unauthenticated unless the user whom a token names stands as they did when it was minted.
// It is asked once for each token, when it is first seen; from then on revocations are remembered. Who is no user of this node
// (a system, somebody whom another issuer knows) has no standing to lose here.
func (g *Gate) standing(ctx context.Context, k *knownToken) error {
	if k.user == "" {
		return nil
	}
	return g.db.Read(ctx, func(tx *store.Tx) error {
		var edition, ended, leaves int64
		err := tx.QueryRow(`SELECT edition, ended, leaves FROM access_user WHERE lane = ? AND id = ?`, int64(g.userLane(k.user)), k.user).Scan(&edition, &ended, &leaves)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err == nil && (ended != 0 || k.edition != edition || leaves != 0 && leaves <= tx.At().UnixMicro()) {
			return invalidToken("what its user may do has changed or ended")
		}
		return err
	})
}

// RevokeToken ends the token of this node's own issuer that carries jti, and puts that on the account of by. until is when the
// token would have expired; a day from now when it is zero. It counts at once in this process, and within refreshRevoked in
// others that share the database. A jti that no token carries is no error.
func (g *Gate) RevokeToken(ctx context.Context, by Principal, jti string, until time.Time) error {
	return g.revoke(ctx, by, jti, until)
}

// RevokeSession ends every token that was minted from a session (its sid is Principal.SessionID), as RevokeToken does. SignOut does
// so by itself; this is for sessions that are kept elsewhere.
func (g *Gate) RevokeSession(ctx context.Context, by Principal, sid string) error {
	return g.revoke(ctx, by, sid, time.Time{})
}

func (g *Gate) revoke(ctx context.Context, by Principal, id string, until time.Time) error {
	if id == "" {
		return fault.New(fault.Invalid, "There is no token or session to revoke.")
	}
	var end int64
	lane := g.revokedLane(id)
	err := g.db.Write(ctx, []store.Lane{lane, g.accountLane(by, Place{})}, func(tx *store.Tx) (err error) {
		if end, err = g.revokeIn(tx, id, until); err != nil {
			return err
		}
		return g.appendSignIn(tx, by, actionRevoke, "", requestOf(ctx))
	})
	if err != nil {
		return err
	}
	g.revoked.end(id, end)
	return nil
}

// Ended reports whether one of origins (Principal.Origins) has ended, whichever process ended it. What ended is known for a day and a little
// more, and nothing that comes of it lasts as long.
func (g *Gate) Ended(ctx context.Context, origins []string) (bool, error) {
	ended := false
	err := g.db.Read(ctx, func(tx *store.Tx) error {
		for _, id := range origins {
			var until int64
			err := tx.QueryRow(`SELECT until FROM access_revoked WHERE lane = ? AND jti = ?`, int64(g.revokedLane(id)), id).Scan(&until)
			if err == nil {
				ended = true
			} else if !fault.Is(err, fault.NotFound) {
				return err
			}
		}
		return nil
	})
	return ended, err
}

func (g *Gate) revokedLane(id string) store.Lane { return g.db.LaneOf("", "token/"+id) }

// revokeIn writes a revocation, in a Write that holds revokedLane(id), and says when it ends (µs since 1970). Once the
// Write has returned, the caller tells g.revoked.
func (g *Gate) revokeIn(tx *store.Tx, id string, until time.Time) (int64, error) {
	lane, at := g.revokedLane(id), tx.At()
	if until.IsZero() {
		until = at.Add(longestToken)
	}
	if _, err := tx.Exec(`DELETE FROM access_revoked WHERE lane = ? AND until < ?`, int64(lane), at.UnixMicro()); err != nil {
		return 0, err
	}
	_, err := tx.Exec(`INSERT INTO access_revoked (lane, jti, until, at) VALUES (?, ?, ?, ?)
		ON CONFLICT (lane, jti) DO UPDATE SET until = CASE WHEN access_revoked.until > excluded.until THEN access_revoked.until ELSE excluded.until END, at = excluded.at`,
		int64(lane), id, until.UnixMicro(), at.UnixMicro())
	return until.UnixMicro(), err
}

// RevokeUser ends every token that was minted for a user of this node so far, as RevokeToken does; the user may sign in as before,
// and sessions go on. Leave, Suspend, and PutUser when it changes what a user may do, do this by themselves.
// Errors: fault.NotFound when there is no such user.
func (g *Gate) RevokeUser(ctx context.Context, by Principal, id string) error {
	var c change
	err := g.db.Write(ctx, []store.Lane{g.userLane(id), g.accountLane(by, Place{})}, func(tx *store.Tx) (err error) {
		if c, err = g.nextEdition(tx, id, `edition = edition + 1`); err != nil {
			return err
		}
		return g.appendSignIn(tx, by, actionRevoke, "", requestOf(ctx))
	})
	if err != nil {
		return err
	}
	g.revoked.change(id, c)
	return nil
}

// nextEdition changes a user's row, in a Write that holds their lane, so that tokens of the editions before no longer hold.
func (g *Gate) nextEdition(tx *store.Tx, id, set string, args ...any) (change, error) {
	at := tx.At().UnixMicro()
	args = append(append(args, at), int64(g.userLane(id)), id)
	c := change{until: at + longestToken.Microseconds()}
	err := tx.QueryRow(`UPDATE access_user SET `+set+`, changed = ? WHERE lane = ? AND id = ? RETURNING edition`, args...).Scan(&c.edition)
	if fault.Is(err, fault.NotFound) {
		return c, noUser()
	}
	return c, err
}
