// Package credential is how somebody shows that they are themself: a passkey on a device of theirs, a recovery code that they
// wrote down, or, the first time, a link that an administrator gave them. There are no passwords to forget, to guess or to steal.
//
//	administrator ── link, once, within two days ──► first passkey, ten recovery codes
//	passkey (asks for a finger, face or PIN) ──► signed in
//	recovery code, once ──► signed in ──► make a new passkey
//	wrong, again and again ──► locked for a quarter of an hour: the user's codes at that address, and the address for whoever is not known there
package credential

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"embed"
	"encoding/base32"
	"encoding/json"
	"strings"
	"time"

	"github.com/go-webauthn/webauthn/webauthn"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/catalogue"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFS embed.FS

// Schema is what this package keeps in the database.
func Schema() store.Schema { return store.Embedded("credential", schemaFS, "schema") }

// How long a link can be used, and how many recovery codes there are.
const (
	LinkFor       = 48 * time.Hour
	RecoveryCodes = 10
)

// Keeper keeps credentials. It is safe for use by many goroutines.
type Keeper struct{ k catalogue.Kernel }

// New keeps the credentials of a node's users.
func New(k catalogue.Kernel) *Keeper { return &Keeper{k: k} }

// Passkey is one of a user's.
type Passkey struct {
	ID   []byte
	Name string
	Made time.Time
	Used time.Time // zero for never
	key  webauthn.Credential
}

func (c *Keeper) userLane(user string) store.Lane { return c.k.DB.LaneOf("", "user/"+user) }

func hashOf(kind, secret string) []byte {
	sum := sha256.Sum256([]byte("openspine " + kind + " " + secret))
	return sum[:]
}

func random(n int) ([]byte, error) {
	b := make([]byte, n)
	_, err := rand.Read(b)
	return b, fault.Wrap(err, fault.Internal, "making a secret")
}

// Passkeys lists a user's passkeys, the oldest first.
func (c *Keeper) Passkeys(ctx context.Context, user string) ([]Passkey, error) {
	var list []Passkey
	err := c.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		list, err = c.passkeysIn(tx, user)
		return err
	})
	return list, err
}

func (c *Keeper) passkeysIn(tx *store.Tx, user string) ([]Passkey, error) {
	rows, err := tx.Query(`SELECT id, body, name, made, used FROM credential_passkey WHERE lane = ? AND user_id = ? ORDER BY made, id`, int64(c.userLane(user)), user)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Passkey
	for rows.Next() {
		var p Passkey
		var body string
		var made, used int64
		if err := rows.Scan(&p.ID, &body, &p.Name, &made, &used); err != nil {
			return nil, err
		}
		if err := json.Unmarshal([]byte(body), &p.key); err != nil {
			return nil, fault.Wrap(err, fault.Internal, "a passkey that is kept cannot be read")
		}
		if p.Made = time.UnixMicro(made).UTC(); used != 0 {
			p.Used = time.UnixMicro(used).UTC()
		}
		list = append(list, p)
	}
	return list, rows.Err()
}

// RemovePasskey takes a passkey from a user; it opens nothing from then on. Errors: fault.NotFound.
func (c *Keeper) RemovePasskey(ctx context.Context, by access.Principal, user string, id []byte) error {
	lane := c.userLane(user)
	return c.k.DB.Write(ctx, []store.Lane{lane, c.k.Gate.DeedLane(by)}, func(tx *store.Tx) error {
		n, err := tx.Exec(`DELETE FROM credential_passkey WHERE lane = ? AND user_id = ? AND id = ?`, int64(lane), user, id)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "There is no such passkey.")
		}
		return c.k.Gate.Record(ctx, tx, by, access.Deed{Action: access.ActCredential, Basis: "passkey removed", Detail: "user " + user})
	})
}

// NewRecovery gives a user ten recovery codes in the place of those that they had. They are shown once.
func (c *Keeper) NewRecovery(ctx context.Context, by access.Principal, user string) ([]string, error) {
	codes, err := newCodes()
	if err != nil {
		return nil, err
	}
	err = c.k.DB.Write(ctx, []store.Lane{c.userLane(user), c.k.Gate.DeedLane(by)}, func(tx *store.Tx) error { return c.keepCodes(ctx, tx, by, user, codes) })
	return codes, err
}

func newCodes() ([]string, error) {
	codes := make([]string, RecoveryCodes)
	for i := range codes {
		raw, err := random(10)
		if err != nil {
			return nil, err
		}
		text := strings.ToLower(base32.StdEncoding.EncodeToString(raw))
		codes[i] = text[:4] + "-" + text[4:8] + "-" + text[8:12] + "-" + text[12:]
	}
	return codes, nil
}

// keepCodes puts recovery codes in the place of a user's, in a Write that holds the user's lane and that of the deed.
func (c *Keeper) keepCodes(ctx context.Context, tx *store.Tx, by access.Principal, user string, codes []string) error {
	lane := int64(c.userLane(user))
	if _, err := tx.Exec(`DELETE FROM credential_recovery WHERE lane = ? AND user_id = ?`, lane, user); err != nil {
		return err
	}
	for _, code := range codes {
		if _, err := tx.Exec(`INSERT INTO credential_recovery (lane, user_id, hash, made, used) VALUES (?, ?, ?, ?, 0)`, lane, user, hashOf("recovery", plain(code)), tx.At().UnixMicro()); err != nil {
			return err
		}
	}
	return c.k.Gate.Record(ctx, tx, by, access.Deed{Action: access.ActCredential, Basis: "recovery codes made", Detail: "user " + user})
}

// plain is a code as it is kept, however it was typed.
func plain(code string) string {
	return strings.ToLower(strings.NewReplacer("-", "", " ", "", "\t", "").Replace(code))
}

// RecoveryLeft is how many recovery codes a user has not used.
func (c *Keeper) RecoveryLeft(ctx context.Context, user string) (int, error) {
	var n int
	err := c.k.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM credential_recovery WHERE lane = ? AND user_id = ? AND used = 0`, int64(c.userLane(user)), user).Scan(&n)
	})
	return n, err
}

// wrong is what everybody is told whose attempt fails, whatever failed.
func wrong() error {
	return fault.New(fault.Invalid, "That is not right, or it has been used before. Check what you typed.")
}

// Recover uses a recovery code up. Failures count against the user at that address, and against the address, which does not matter to those who
// have come in from there. Errors: fault.Invalid when it does not fit; fault.TooMany after too many that did not.
func (c *Keeper) Recover(ctx context.Context, user, code, address string) error {
	known, err := c.knows(ctx, user, address)
	if err != nil {
		return err
	}
	locks := []lock{c.userLock(user, address), c.addressLock(address)}
	shut := locks
	if known {
		shut = locks[:1]
	}
	if err := c.open(ctx, shut...); err != nil {
		return err
	}
	lane := c.userLane(user)
	var n int64
	err = c.k.DB.Write(ctx, []store.Lane{lane, c.userLocks(user)}, func(tx *store.Tx) (err error) {
		n, err = tx.Exec(`UPDATE credential_recovery SET used = ? WHERE lane = ? AND user_id = ? AND hash = ? AND used = 0`, tx.At().UnixMicro(), int64(lane), user, hashOf("recovery", plain(code)))
		if err != nil || n == 0 {
			return err
		}
		if err := c.remember(tx, user, address); err != nil {
			return err
		}
		_, err = tx.Exec(`DELETE FROM credential_failure WHERE lane = ? AND key = ?`, int64(locks[0].lane), locks[0].key)
		return err
	})
	if err == nil && n == 0 {
		err = c.failed(ctx, wrong(), locks...)
	}
	return err
}
