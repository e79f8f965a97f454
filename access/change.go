package access

import (
	"context"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Change is one thing that was done to a user, a client or the keys: what, by whom and why.
type Change struct {
	Subject      string // UserSubject, ClientSubject or KeySubject
	At           time.Time
	By, ByName   string
	Role         Role
	Organisation ident.ODSCode
	Act          string // one word: added, changed, suspended …; a page has its words under admin.did
	Detail       string // what of it, never a secret
	Reason       string // in the words of whoever did it
}

// KeySubject is the subject of changes of the signing keys.
const KeySubject = "keys"

// UserSubject is the subject of changes of a user.
func UserSubject(id string) string { return "user/" + id }

// ClientSubject is the subject of changes of a client.
func ClientSubject(id string) string { return "client/" + id }

// ChangeLanes are those that NoteChange needs.
func (g *Gate) ChangeLanes(by Principal, subject string) []store.Lane {
	return []store.Lane{g.db.LaneOf("", subject), g.DeedLane(by)}
}

// NoteChange writes a change to the history of its subject and to the account, in a Write that holds ChangeLanes.
func (g *Gate) NoteChange(ctx context.Context, tx *store.Tx, by Principal, c Change) error {
	lane, at := int64(g.db.LaneOf("", c.Subject)), tx.At().UnixMicro()
	var n int64
	if err := tx.QueryRow(`SELECT count(*) FROM access_change WHERE lane = ? AND subject = ? AND at = ?`, lane, c.Subject, at).Scan(&n); err != nil {
		return err
	}
	_, err := tx.Exec(`INSERT INTO access_change (lane, subject, at, n, actor, actor_name, role, organisation, act, detail, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`,
		lane, c.Subject, at, n, by.ID, by.Name, string(by.Role), by.Organisation.String(), c.Act, c.Detail, c.Reason)
	if err != nil {
		return err
	}
	detail := c.Act + " " + c.Subject
	if c.Detail != "" {
		detail += ": " + c.Detail
	}
	return g.Record(ctx, tx, by, Deed{Action: ActAdminister, Basis: c.Act, Detail: detail})
}

// Changes is the history of a subject, the latest first, at most 200.
func (g *Gate) Changes(ctx context.Context, subject string) ([]Change, error) {
	var list []Change
	err := g.db.Read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT at, actor, actor_name, role, organisation, act, detail, reason FROM access_change WHERE lane = ? AND subject = ? ORDER BY at DESC, n DESC LIMIT 200`,
			int64(g.db.LaneOf("", subject)), subject)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			c := Change{Subject: subject}
			var at int64
			var organisation string
			if err := rows.Scan(&at, &c.By, &c.ByName, (*string)(&c.Role), &organisation, &c.Act, &c.Detail, &c.Reason); err != nil {
				return err
			}
			c.At = time.UnixMicro(at).UTC()
			if organisation != "" {
				if c.Organisation, err = ident.ParseODSCode(organisation); err != nil {
					return fault.Wrap(err, fault.Internal, "a change that is kept cannot be read")
				}
			}
			list = append(list, c)
		}
		return rows.Err()
	})
	return list, err
}

// Stands reports whether the program through which somebody acts may still ask for anything: false once it was ended, or while it is suspended. Whoever acts
// without one stands.
func (g *Gate) Stands(ctx context.Context, p Principal) (bool, error) {
	if p.Client == "" {
		return true, nil
	}
	changes, err := g.Changes(ctx, ClientSubject(p.Client))
	if err != nil {
		return false, err
	}
	for _, c := range changes {
		switch c.Act {
		case "ended", "suspended":
			return false, nil
		case "added", "restored":
			return true, nil
		}
	}
	return true, nil
}
