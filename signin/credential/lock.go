package credential

import (
	"cmp"
	"context"
	"time"
	"unicode/utf8"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// How many failures in LockWindow lock a user's codes for one address, or everything for an address, and for how long, unless the node is configured otherwise. An address may be
// that of a whole hospital, so it is given more; whoever came in from there within KnownFor is let through all the same. A user is never
// locked for every address: a recovery code is 80 random bits, so that guesses from however many addresses come to nothing, and a stranger could
// otherwise keep somebody out for as long as they liked.
const (
	LockWindow   = 15 * time.Minute
	LockFor      = 15 * time.Minute
	UserTries    = 5
	AddressTries = 50
	KnownFor     = 90 * 24 * time.Hour
)

// lock counts failures under a key.
type lock struct {
	lane  store.Lane
	key   string
	tries int64
}

// userLock is that of a user's codes at one address.
func (c *Keeper) userLock(user, address string) lock {
	return lock{c.userLocks(user), userKey(user) + address, int64(cmp.Or(c.k.Limits.UserTries, UserTries))}
}

// userLocks is the lane of a user's locks, whose keys begin with userKey.
func (c *Keeper) userLocks(user string) store.Lane { return c.k.DB.LaneOf("", "lock/user:"+user) }

func userKey(user string) string { return "user:" + user + "\n" }

func (c *Keeper) addressLock(address string) lock {
	return lock{c.k.DB.LaneOf("", "lock/address:"+address), "address:" + address, int64(cmp.Or(c.k.Limits.AddressTries, AddressTries))}
}

func (c *Keeper) lockFor() time.Duration { return cmp.Or(c.k.Limits.Locked, LockFor) }

// open is fault.TooMany while one of locks is.
func (c *Keeper) open(ctx context.Context, locks ...lock) error {
	var until int64
	var now time.Time
	err := c.k.DB.Read(ctx, func(tx *store.Tx) error {
		until, now = 0, tx.At()
		for _, l := range locks {
			var u int64
			err := tx.QueryRow(`SELECT until FROM credential_failure WHERE lane = ? AND key = ?`, int64(l.lane), l.key).Scan(&u)
			if err != nil && !fault.Is(err, fault.NotFound) {
				return err
			}
			until = max(until, u)
		}
		return nil
	})
	if err != nil {
		return err
	}
	if left := time.UnixMicro(until).Sub(now); left > 0 {
		return locked(left)
	}
	return nil
}

func locked(left time.Duration) error {
	return fault.New(fault.TooMany, "There were too many attempts. Try again in %d minutes, or ask an administrator for a new link.", max(1, int(left.Round(time.Minute)/time.Minute)))
}

// failed counts a failure against each lock and returns why.
func (c *Keeper) failed(ctx context.Context, why error, locks ...lock) error {
	for _, l := range locks {
		err := c.k.DB.Write(ctx, []store.Lane{l.lane}, func(tx *store.Tx) error {
			at := tx.At().UnixMicro()
			old := at - LockWindow.Microseconds()
			if _, err := tx.Exec(`DELETE FROM credential_failure WHERE lane = ? AND since < ? AND until < ?`, int64(l.lane), old, at); err != nil {
				return err
			}
			_, err := tx.Exec(`INSERT INTO credential_failure (lane, key, n, since, until) VALUES (?, ?, 1, ?, 0)
				ON CONFLICT (lane, key) DO UPDATE SET n = credential_failure.n + 1,
				until = CASE WHEN credential_failure.n + 1 >= ? THEN CAST(? AS BIGINT) ELSE credential_failure.until END`,
				int64(l.lane), l.key, at, l.tries, at+c.lockFor().Microseconds())
			return err
		})
		if err != nil {
			return err
		}
	}
	return why
}

// Unlock lets a user try again at once, from wherever they are.
func (c *Keeper) Unlock(ctx context.Context, user string) error {
	lane := c.userLocks(user)
	return c.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error { return unlock(tx, lane, user) })
}

// unlock forgets a user's failures, in a Write that holds their lane.
func unlock(tx *store.Tx, lane store.Lane, user string) error {
	key := userKey(user)
	_, err := tx.Exec(`DELETE FROM credential_failure WHERE lane = ? AND substr(key, 1, ?) = ?`, int64(lane), utf8.RuneCountInString(key), key)
	return err
}

// knows reports whether a user came in from an address within KnownFor.
func (c *Keeper) knows(ctx context.Context, user, address string) (bool, error) {
	var seen int64
	var now time.Time
	err := c.k.DB.Read(ctx, func(tx *store.Tx) error {
		now = tx.At()
		return tx.QueryRow(`SELECT seen FROM credential_known WHERE lane = ? AND user_id = ? AND hash = ?`, int64(c.userLane(user)), user, knownHash(user, address)).Scan(&seen)
	})
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil && now.Sub(time.UnixMicro(seen)) < KnownFor, err
}

// remember writes that a user came in from an address, in a Write that holds userLane.
func (c *Keeper) remember(tx *store.Tx, user, address string) error {
	lane, at := int64(c.userLane(user)), tx.At()
	if _, err := tx.Exec(`DELETE FROM credential_known WHERE lane = ? AND user_id = ? AND seen < ?`, lane, user, at.Add(-KnownFor).UnixMicro()); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO credential_known (lane, user_id, hash, seen) VALUES (?, ?, ?, ?) ON CONFLICT (lane, user_id, hash) DO UPDATE SET seen = excluded.seen`,
		lane, user, knownHash(user, address), at.UnixMicro())
	return err
}

func knownHash(user, address string) []byte { return hashOf("address", user+"\n"+address) }
