package demographics

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"strconv"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// A change whose answer was lost is sent again under the same X-Request-ID, and gets the answer that was lost: what was done is noted in
// the commit that did it. A request that failed changed nothing and is tried anew.

// repeatFor is how long a request may be sent again.
const repeatFor = 24 * time.Hour

// once is a request that changes something, as it is known again.
type once struct {
	request, digest string
	lane            store.Lane
}

// once names the request: its id, and a hash of who sent what where.
func (s *register) once(c *call, body []byte) once {
	h := sha256.New()
	for _, part := range []string{c.ask.Principal.ID, c.r.Method, c.r.URL.Path, string(body)} {
		_, _ = h.Write([]byte(strconv.Itoa(len(part)) + ":" + part)) // a hash never fails
	}
	id := c.r.Header.Get("X-Request-ID")
	return once{id, hex.EncodeToString(h.Sum(nil)[:16]), s.k.DB.LaneOf(s.k.National.String(), "request/"+id)}
}

// done is what the request did, if it was done: the person and the version.
func (s *register) done(ctx context.Context, o once) (person string, ver int64, done bool, err error) {
	err = s.k.DB.Read(ctx, func(tx *store.Tx) error {
		err := tx.QueryRow(`SELECT person, ver FROM demographics_request WHERE lane = ? AND request = ? AND digest = ?`, int64(o.lane), o.request, o.digest).Scan(&person, &ver)
		if done = err == nil; fault.Is(err, fault.NotFound) {
			return nil
		}
		return err
	})
	return person, ver, done, err
}

// note remembers, in the commit that did it, what a request did; the commit holds the request's lane. The same request sent twice at
// once is done once: the second is fault.Conflict.
func (o once) note(tx *store.Tx, person string, ver int64) error {
	if _, err := tx.Exec(`DELETE FROM demographics_request WHERE lane = ? AND at < ?`, int64(o.lane), tx.At().Add(-repeatFor).UnixMicro()); err != nil {
		return err
	}
	n, err := tx.Exec(`INSERT INTO demographics_request (lane, request, digest, person, ver, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (lane, request, digest) DO NOTHING`,
		int64(o.lane), o.request, o.digest, person, ver, tx.At().UnixMicro())
	if err == nil && n == 0 {
		return fault.New(fault.Conflict, "The same request has been done meanwhile.")
	}
	return err
}

// syncWait is how long the caller waits for a change: X-Sync-Wait in seconds, ten by default and at most.
func (c *call) syncWait() time.Duration {
	const most = 10 * time.Second
	if n, err := strconv.ParseFloat(c.r.Header.Get("X-Sync-Wait"), 64); err == nil && n >= 0 && n < most.Seconds() {
		return time.Duration(n * float64(time.Second))
	}
	return most
}
