package directory

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// keyLane is where keys are kept: they are few and about nobody.
const keyLane store.Lane = 0

// hashOf is how a key is kept. A key is 24 random bytes, which needs no slow hash.
func hashOf(key string) string {
	sum := sha256.Sum256([]byte(key))
	return hex.EncodeToString(sum[:])
}

// GiveKey makes an API key for an application and returns it: it is shown this once and kept as a hash. Error: fault.Invalid without
// a name.
func (d *Directory) GiveKey(ctx context.Context, name string) (string, error) {
	if name = strings.TrimSpace(name); name == "" {
		return "", fault.New(fault.Invalid, "A key is given to an application by its name.")
	}
	key := rand.Text()
	return key, d.k.DB.Write(ctx, []store.Lane{keyLane}, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO directory_key (lane, hash, name, at, ended) VALUES (?, ?, ?, ?, 0)`, int64(keyLane), hashOf(key), name, tx.At())
		return err
	})
}

// EndKeys ends every key of an application, at once, and says how many there were.
func (d *Directory) EndKeys(ctx context.Context, name string) (ended int64, err error) {
	err = d.k.DB.Write(ctx, []store.Lane{keyLane}, func(tx *store.Tx) error {
		ended, err = tx.Exec(`UPDATE directory_key SET ended = ? WHERE lane = ? AND name = ? AND ended = 0`, tx.At(), int64(keyLane), strings.TrimSpace(name))
		return err
	})
	return ended, err
}

// CheckKey refuses a key that was not given out here, or has ended. Error: fault.Unauthenticated.
func (d *Directory) CheckKey(ctx context.Context, key string) error {
	err := d.k.DB.Read(ctx, func(tx *store.Tx) error {
		var at time.Time
		return tx.QueryRow(`SELECT at FROM directory_key WHERE lane = ? AND hash = ? AND ended = 0`, int64(keyLane), hashOf(key)).Scan(&at)
	})
	if fault.Is(err, fault.NotFound) {
		return fault.New(fault.Unauthenticated, "This key was not given out here, or has ended.")
	}
	return err
}
