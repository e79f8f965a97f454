package bars

import (
	"bytes"
	"context"
	"net/http"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// keepFor is how long it is known what was done.
const keepFor = 35 * 24 * time.Hour

func (c *call) lane(m message) store.Lane {
	return c.a.k.DB.LaneOf(c.a.k.National.String(), c.form(m))
}

// doneBefore refuses a message that was done already, as published: 409 with where to read what it made, or, when it says something else than the first of its id,
// that it does.
func (c *call) doneBefore(ctx context.Context, m message) error {
	lane := c.lane(m)
	var digest []byte
	var made string
	err := c.a.k.DB.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT digest, made FROM bars_message WHERE lane = ? AND sender = ? AND message = ?`, int64(lane), c.organisation.String(), m.id).Scan(&digest, &made)
	})
	switch {
	case fault.Is(err, fault.NotFound):
		return nil
	case err != nil:
		return err
	case !bytes.Equal(digest, m.digest):
		return refuse(http.StatusConflict, receiver, "conflict", "Another message with the id %s was done before: give each message an id of its own.", m.id)
	}
	return refuse(http.StatusConflict, receiver, "duplicate", "This message was done before: see %s.", made)
}

// done notes that a message was done, and what it made or changed.
func (c *call) done(ctx context.Context, m message, made string) error {
	lane := c.lane(m)
	return c.a.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO bars_message (lane, sender, message, digest, made, at) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT (lane, sender, message) DO NOTHING`,
			int64(lane), c.organisation.String(), m.id, m.digest, made, tx.At().UnixMicro())
		return err
	})
}

// prune forgets messages that nobody sends again.
func (a *API) prune(ctx context.Context) error {
	for lane := range a.k.DB.Lanes() {
		err := a.k.DB.Write(ctx, []store.Lane{store.Lane(lane)}, func(tx *store.Tx) error {
			_, err := tx.Exec(`DELETE FROM bars_message WHERE lane = ? AND at < ?`, int64(lane), tx.At().Add(-keepFor).UnixMicro())
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}
