package messages

import (
	"bytes"
	"context"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// What is kept of a message.
const (
	sideSent    = 1
	sideHandled = 2

	stateWaits    = 1
	stateAnswered = 2
)

// taken is a message that was taken.
type taken struct {
	side, state             int64
	sender, header          string
	recipient, bundle, post string
	reply                   string
	digest, source, answer  []byte
}

// lane is where a message of a sender is kept: the lane of its conversation in the post, which is its id.
func (d *Desk) lane(sender ident.ODSCode, id string) store.Lane { return d.k.Post().LaneOf(sender, id) }

const takenColumns = `side, state, sender, header, recipient, bundle, post, reply, digest, source, answer`

func (t *taken) scan(row interface{ Scan(...any) error }) error {
	return row.Scan(&t.side, &t.state, &t.sender, &t.header, &t.recipient, &t.bundle, &t.post, &t.reply, &t.digest, &t.source, &t.answer)
}

// before is the message as it was taken before; nil when it was not. Errors: fault.Conflict when its ids were those of another message.
func (d *Desk) before(ctx context.Context, in *incoming) (*taken, error) {
	var found *taken
	err := d.k.DB.Read(ctx, func(tx *store.Tx) error {
		found = nil
		var t taken
		err := t.scan(tx.QueryRow(`SELECT `+takenColumns+` FROM fhirmessage_taken WHERE lane = ? AND sender = ? AND header = ? AND side >= ? ORDER BY side LIMIT 1`,
			in.lane, in.from.Organisation.String(), in.head.id, in.side()))
		switch {
		case err == nil && (!bytes.Equal(t.digest, in.digest) || t.recipient != in.to.String()):
			return fault.New(fault.Conflict, "A message with the id %s was taken before, and said something else: each message has an id of its own.", in.head.id)
		case err == nil:
			found = &t
			return nil
		case !fault.Is(err, fault.NotFound) || in.head.bundle == "":
			return notMissing(err)
		}
		var other string
		err = tx.QueryRow(`SELECT header FROM fhirmessage_taken WHERE sender = ? AND bundle = ? AND header <> ? LIMIT 1`, in.from.Organisation.String(), in.head.bundle, in.head.id).Scan(&other)
		if err == nil {
			return fault.New(fault.Conflict, "The Bundle's id %s was that of another message: an id is used once.", in.head.bundle)
		}
		return notMissing(err)
	})
	return found, err
}

func notMissing(err error) error {
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	return err
}

// errBefore says that a copy of the message was quicker.
var errBefore = fault.New(fault.Conflict, "the message was taken meanwhile")

// put writes down that a message was taken, in tx. Error: errBefore.
func (d *Desk) put(tx *store.Tx, in *incoming, state int64, post string, answer []byte) error {
	if answer == nil {
		answer = []byte{}
	}
	side, reply := int64(sideHandled), in.reply
	if post != "" {
		side = sideSent
	}
	n, err := tx.Exec(`INSERT INTO fhirmessage_taken (lane, `+takenColumns+`, event, at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?) ON CONFLICT (lane, sender, header, side) DO NOTHING`,
		in.lane, side, state, in.from.Organisation.String(), in.head.id, in.to.String(), in.head.bundle, post, reply, in.digest, in.head.node.Raw(), answer, in.head.event, tx.At())
	if err == nil && n == 0 {
		return errBefore
	}
	return err
}

// prunedAtOnce is how many messages one transaction forgets.
const prunedAtOnce = 500

// prune forgets what was answered long ago, some of it in each commit.
func (d *Desk) prune(ctx context.Context) error {
	before := d.k.Clock.Now().Add(-keepFor)
	for lane := range d.k.DB.Lanes() {
		for more := true; more; {
			err := d.k.DB.Write(ctx, []store.Lane{store.Lane(lane)}, func(tx *store.Tx) error {
				n, err := tx.Exec(`DELETE FROM fhirmessage_taken WHERE lane = ? AND (sender, header, side) IN
					(SELECT sender, header, side FROM fhirmessage_taken WHERE lane = ? AND at < ? AND state = ? LIMIT ?)`, lane, lane, before, int64(stateAnswered), prunedAtOnce)
				more = n == prunedAtOnce
				return err
			})
			if err != nil {
				return err
			}
		}
	}
	return nil
}
