package bars

import (
	"bytes"
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/referral"
	"github.com/openspine/openspine/store"
)

// keepFor is how long it is known what was done.
const keepFor = 35 * 24 * time.Hour

func (c *call) lane(m message) store.Lane {
	return c.a.k.DB.LaneOf(c.a.k.National.String(), c.form(m))
}

// deed is what came of a message that was done.
type deed struct {
	digest  []byte
	made    string // the address of what it made or changed
	version int64  // of the referral; 0 when an earlier edition noted it
}

// errDone says, inside a write, that the message was done already.
var errDone = fault.New(fault.Conflict, "The message was done before.")

// once does what a message asks, unless it was done before: its note is written with the act. again reports that it was; then d says what came of it, and nothing was done now.
func (c *call) once(m message, do func(m message) (referral.Referral, error)) (r referral.Referral, d deed, again bool, err error) {
	if d, again, err = c.doneBefore(m); err != nil || again {
		return r, d, again, err
	}
	noted := false
	m.once = &referral.Once{Lane: c.lane(m),
		Before: func(tx *store.Tx) error {
			_, ok, err := c.deed(tx, m)
			if err == nil && ok {
				err = errDone
			}
			return err
		},
		After: func(tx *store.Tx, r referral.Referral) error {
			tx.Then(func() { noted = true })
			return c.note(tx, m, r)
		}}
	if r, err = do(m); err == nil && !noted { // it is as the message wants it: there was no act
		err = c.a.k.DB.Write(c.r.Context(), []store.Lane{m.once.Lane}, func(tx *store.Tx) error {
			return m.once.After(tx, r)
		})
	}
	if err != nil { // perhaps because the same message was done at the same moment, and has the slot
		if d, again, failed := c.doneBefore(m); failed == nil && again {
			return r, d, true, nil
		}
	}
	return r, d, false, err
}

// doneBefore finds what came of a message when it was done. Error: 409 when another one of the same id was done.
func (c *call) doneBefore(m message) (d deed, ok bool, err error) {
	err = c.a.k.DB.Read(c.r.Context(), func(tx *store.Tx) error {
		d, ok, err = c.deed(tx, m)
		return err
	})
	if err == nil && ok && !bytes.Equal(d.digest, m.digest) {
		err = refuse(http.StatusConflict, receiver, "conflict", "Another message with the id %s was done before: give each an id of its own.", shown(m.named()))
	}
	return d, ok, err
}

// deed is what is noted of a message.
func (c *call) deed(tx *store.Tx, m message) (d deed, ok bool, err error) {
	err = tx.QueryRow(`SELECT digest, made, version FROM bars_message WHERE lane = ? AND sender = ? AND message = ?`, int64(c.lane(m)), c.organisation.String(), m.id).Scan(&d.digest, &d.made, &d.version)
	if fault.Is(err, fault.NotFound) {
		return d, false, nil
	}
	return d, err == nil, err
}

// note notes that a message was done, and what it made or changed.
func (c *call) note(tx *store.Tx, m message, r referral.Referral) error {
	return tx.Queue(`INSERT INTO bars_message (lane, sender, message, digest, made, at, version) VALUES (?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lane, sender, message) DO NOTHING`,
		int64(c.lane(m)), c.organisation.String(), m.id, m.digest, addressOf(m, r), tx.At().UnixMicro(), r.Version)
}

// addressOf is where to read what a message made or changed.
func addressOf(m message, r referral.Referral) string {
	if aboutWhat(m.event) == "Appointment" {
		return "Appointment/" + visitID(r.UBRN)
	}
	return "ServiceRequest/" + requestID(r.UBRN)
}

// duplicate refuses a message that was done before, as published: 409, with where to read what it made.
func duplicate(d deed) error {
	return refuse(http.StatusConflict, receiver, "duplicate", "This message was done before: see %s.", d.made)
}

// asItWas is the referral as a message left it when it was done. Error: 409 for what an earlier edition did.
func (c *call) asItWas(d deed) (r referral.Referral, err error) {
	_, id, _ := strings.Cut(d.made, "/")
	u, err := ident.ParseUBRN(id[max(0, len(id)-12):])
	if err != nil || d.version == 0 {
		return r, duplicate(d)
	}
	return c.a.referrals.AsOf(c.r.Context(), c.who(), u, d.version)
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
