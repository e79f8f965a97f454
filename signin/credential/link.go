package credential

import (
	"context"
	"encoding/base64"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// NewLink is a code with which a user can make their first passkey, once, within LinkFor. Errors: fault.NotFound for nobody's.
func (c *Keeper) NewLink(ctx context.Context, by access.Principal, user string) (string, error) {
	if _, err := c.k.Gate.UserByID(ctx, user); err != nil {
		return "", err
	}
	code, err := newLink()
	if err != nil {
		return "", err
	}
	err = c.k.DB.Write(ctx, []store.Lane{c.linkLane(code), c.k.Gate.DeedLane(by)}, func(tx *store.Tx) error { return c.keepLink(ctx, tx, by, user, code) })
	return code, err
}

func newLink() (string, error) {
	raw, err := random(24)
	return base64.RawURLEncoding.EncodeToString(raw), err
}

func (c *Keeper) linkLane(code string) store.Lane {
	return c.k.DB.LaneOf("", "link/"+string(hashOf("link", code)))
}

// keepLink writes a link, in a Write that holds linkLane and that of the deed.
func (c *Keeper) keepLink(ctx context.Context, tx *store.Tx, by access.Principal, user, code string) error {
	lane, at := int64(c.linkLane(code)), tx.At()
	if _, err := tx.Exec(`DELETE FROM credential_link WHERE lane = ? AND until < ?`, lane, at.UnixMicro()); err != nil {
		return err
	}
	if _, err := tx.Exec(`INSERT INTO credential_link (lane, hash, user_id, until, used) VALUES (?, ?, ?, ?, 0)`, lane, hashOf("link", code), user, at.Add(LinkFor).UnixMicro()); err != nil {
		return err
	}
	return c.k.Gate.Record(ctx, tx, by, access.Deed{Action: access.ActCredential, Basis: "link made", Detail: "user " + user})
}

func goneLink() error {
	return fault.New(fault.NotFound, "This link has been used or is too old. Ask whoever gave it to you for another.")
}

// linkIn is whose a link is. Errors: fault.NotFound when it was used or is too old.
func (c *Keeper) linkIn(tx *store.Tx, code string) (user string, err error) {
	err = tx.QueryRow(`SELECT user_id FROM credential_link WHERE lane = ? AND hash = ? AND used = 0 AND until > ?`,
		int64(c.linkLane(code)), hashOf("link", code), tx.At().UnixMicro()).Scan(&user)
	if fault.Is(err, fault.NotFound) {
		err = goneLink()
	}
	return user, err
}

// Link is whose a link is; it is not used up. Errors: fault.NotFound when it was used or is too old; fault.TooMany instead for an address
// that has tried too many. One that holds is taken from there too: nobody guesses 192 random bits.
func (c *Keeper) Link(ctx context.Context, code, address string) (user string, err error) {
	shut := c.open(ctx, c.addressLock(address))
	if shut != nil && !fault.Is(shut, fault.TooMany) {
		return "", shut
	}
	err = c.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		user, err = c.linkIn(tx, code)
		return err
	})
	if fault.Is(err, fault.NotFound) && shut != nil {
		return "", shut
	}
	if fault.Is(err, fault.NotFound) {
		return "", c.failed(ctx, err, c.addressLock(address))
	}
	return user, err
}

// Offer is the passkey that a browser made: the seal of its page, its answer, and what the device is called. The zero Offer is none.
type Offer struct{ Seal, Answer, Name string }

// Enrol uses a link up: in the one commit that keeps the first passkey, when one is offered, and ten recovery codes. When the passkey
// does not hold, nothing is used and the person tries again; of several who use one link at once, one succeeds.
// Errors: those of Link and FinishPasskey.
func (c *Keeper) Enrol(ctx context.Context, code, address string, o Offer) (access.User, []string, error) {
	user, err := c.Link(ctx, code, address)
	if err != nil {
		return access.User{}, nil, err
	}
	u, err := c.k.Gate.UserByID(ctx, user)
	if err != nil {
		return u, nil, err
	}
	codes, err := newCodes()
	if err != nil {
		return u, nil, err
	}
	lanes := []store.Lane{c.linkLane(code), c.userLane(user), c.k.Gate.DeedLane(u.Principal)}
	var m made
	if o != (Offer{}) {
		if m, err = c.checkMade(ctx, u, o.Seal, o.Answer, o.Name); err != nil {
			return u, nil, err
		}
		lanes = append(lanes, c.lanes(m, u.Principal)...)
	}
	err = c.k.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		if _, err := c.linkIn(tx, code); err != nil {
			return err
		}
		if _, err := tx.Exec(`UPDATE credential_link SET used = ? WHERE lane = ? AND hash = ?`, tx.At().UnixMicro(), int64(c.linkLane(code)), hashOf("link", code)); err != nil {
			return err
		}
		if o != (Offer{}) {
			if err := c.keep(ctx, tx, m, u.Principal); err != nil {
				return err
			}
		}
		if err := c.remember(tx, user, address); err != nil {
			return err
		}
		return c.keepCodes(ctx, tx, u.Principal, user, codes)
	})
	return u, codes, err
}

// Reset takes every passkey, recovery code and lock from a user, ends their tokens, and makes a link for a new passkey, in one commit: whoever
// made the link cannot come in beside the user without the user noticing. Sessions are the caller's to end.
// Errors: those of access.Gate.Administer.
func (c *Keeper) Reset(ctx context.Context, by access.Principal, user, reason string) (string, error) {
	code, err := newLink()
	if err != nil {
		return "", err
	}
	lane, locks := c.userLane(user), c.userLocks(user)
	return code, c.k.Gate.Administer(ctx, by, user, access.Work{Act: "credential-reset", Reason: reason, Ends: true, Lanes: []store.Lane{lane, locks, c.linkLane(code)},
		Do: func(tx *store.Tx, _ access.Member) (string, error) {
			for _, q := range []string{`DELETE FROM credential_passkey WHERE lane = ? AND user_id = ?`, `DELETE FROM credential_known WHERE lane = ? AND user_id = ?`, `DELETE FROM credential_recovery WHERE lane = ? AND user_id = ?`} {
				if _, err := tx.Exec(q, int64(lane), user); err != nil {
					return "", err
				}
			}
			if err := unlock(tx, locks, user); err != nil {
				return "", err
			}
			return "", c.keepLink(ctx, tx, by, user, code)
		}})
}

// LinkLane is the lane that Spend needs.
func (c *Keeper) LinkLane(code string) store.Lane { return c.linkLane(code) }

// Spend uses a user's link up for another way in than a passkey, in a Write that holds LinkLane. Errors: fault.NotFound when it is not theirs, was used, or
// is too old.
func (c *Keeper) Spend(tx *store.Tx, code, user string) error {
	of, err := c.linkIn(tx, code)
	if err == nil && of != user {
		err = goneLink()
	}
	if err != nil {
		return err
	}
	_, err = tx.Exec(`UPDATE credential_link SET used = ? WHERE lane = ? AND hash = ?`, tx.At().UnixMicro(), int64(c.linkLane(code)), hashOf("link", code))
	return err
}
