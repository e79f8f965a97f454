package access

import (
	"context"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Acts about no person's record that other packages put on the account: tokens given, credentials, administration.
const (
	ActToken      = "token"
	ActCredential = "credential"
	ActConsent    = "consent"
	ActAdminister = "administer"
	ActMail       = "mail"    // what the program of a mailbox sent, read or acknowledged
	ActMessage    = "message" // a FHIR message that was taken, sent on or refused
)

// Deed is an act about no person's record.
type Deed struct {
	Action  string // one of the Act constants
	Basis   string // by what means: a grant type, a kind of credential
	Detail  string // on what: a client, a user; never a secret
	Refused bool
}

// DeedLane is the lane that Record needs.
func (g *Gate) DeedLane(p Principal) store.Lane { return g.accountLane(p, Place{}) }

// Record puts a deed of p on the account, in a Write that holds DeedLane(p).
func (g *Gate) Record(ctx context.Context, tx *store.Tx, p Principal, n Deed) error {
	outcome := audit.OutcomeOK
	if n.Refused {
		outcome = audit.OutcomeRefused
	}
	_, err := g.audit.Append(tx, g.accountLane(p, Place{}), entryOf(p, n.Action, Place{}, "", n.Basis, outcome, n.Detail, requestOf(ctx)))
	return err
}

// usedFor is how long a use is remembered beyond its time: a clock that was ahead, and is set back by no more than this, makes nothing good again.
const usedFor = 10 * time.Minute

// UseLane is the lane that UseIn needs.
func (g *Gate) UseLane(kind, id string) store.Lane { return g.db.LaneOf("", "used/"+kind+"/"+id) }

// UseIn is UseOnce as part of a Write that holds UseLane(kind, id). Errors: fault.Conflict when it was used before.
func (g *Gate) UseIn(tx *store.Tx, kind, id string, until time.Time) error {
	lane := g.UseLane(kind, id)
	if _, err := tx.Exec(`DELETE FROM access_used WHERE lane = ? AND until < ?`, int64(lane), tx.At().Add(-usedFor).UnixMicro()); err != nil {
		return err
	}
	n, err := tx.Exec(`INSERT INTO access_used (lane, kind, id, until) VALUES (?, ?, ?, ?) ON CONFLICT (lane, kind, id) DO NOTHING`,
		int64(lane), kind, id, until.UnixMicro())
	if err == nil && n == 0 {
		return fault.New(fault.Conflict, "It was used before.")
	}
	return err
}
