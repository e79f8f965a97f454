package credential

import (
	"cmp"
	"context"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// How many failures in LockWindow lock a user or an address, and for how long, unless the node is configured otherwise. An address may be that of a whole hospital, so it is
// given more.
const (
	LockWindow   = 15 * time.Minute
	LockFor      = 15 * time.Minute
	UserTries    = 5
	AddressTries = 50
)

func userKey(user string) string { return "user:" + user }

func addressKey(address string) string { return "address:" + address }

// triesOf is how many failures lock a key: as the node's configuration says, or by default.
func (c *Keeper) triesOf(key string) int64 {
	if len(key) > 8 && key[:8] == "address:" {
		return int64(cmp.Or(c.k.Limits.AddressTries, AddressTries))
	}
	return int64(cmp.Or(c.k.Limits.UserTries, UserTries))
}

func (c *Keeper) lockFor() time.Duration { return cmp.Or(c.k.Limits.Locked, LockFor) }

func (c *Keeper) lockLane(key string) store.Lane { return c.k.DB.LaneOf("", "lock/"+key) }

// open is fault.TooMany while one of keys is locked.
func (c *Keeper) open(ctx context.Context, keys ...string) error {
	var until int64
	var now time.Time
	err := c.k.DB.Read(ctx, func(tx *store.Tx) error {
		until, now = 0, tx.At()
		for _, key := range keys {
			var u int64
			err := tx.QueryRow(`SELECT until FROM credential_failure WHERE lane = ? AND key = ?`, int64(c.lockLane(key)), key).Scan(&u)
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

// failed counts a failure against each key and returns why.
func (c *Keeper) failed(ctx context.Context, why error, keys ...string) error {
	for _, key := range keys {
		lane := c.lockLane(key)
		err := c.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
			at := tx.At().UnixMicro()
			old := at - LockWindow.Microseconds()
			if _, err := tx.Exec(`DELETE FROM credential_failure WHERE lane = ? AND since < ? AND until < ?`, int64(lane), old, at); err != nil {
				return err
			}
			_, err := tx.Exec(`INSERT INTO credential_failure (lane, key, n, since, until) VALUES (?, ?, 1, ?, 0)
				ON CONFLICT (lane, key) DO UPDATE SET n = credential_failure.n + 1,
				until = CASE WHEN credential_failure.n + 1 >= ? THEN CAST(? AS BIGINT) ELSE credential_failure.until END`,
				int64(lane), key, at, c.triesOf(key), at+c.lockFor().Microseconds())
			return err
		})
		if err != nil {
			return err
		}
	}
	return why
}

// succeeded forgets the failures of a key.
func (c *Keeper) succeeded(ctx context.Context, key string) error {
	lane := c.lockLane(key)
	return c.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		_, err := tx.Exec(`DELETE FROM credential_failure WHERE lane = ? AND key = ?`, int64(lane), key)
		return err
	})
}

// Unlock lets a user try again at once.
func (c *Keeper) Unlock(ctx context.Context, user string) error {
	return c.succeeded(ctx, userKey(user))
}
