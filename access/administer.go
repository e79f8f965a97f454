package access

import (
	"context"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// mayGive are the roles that each role may give and take. A registrar never gives a role that reaches beyond the organisation:
// an auditor reads every organisation's account, an administrator keeps the node.
var mayGive = map[Role][]Role{
	Registrar:     {Clinician, Clerk, Pharmacist, Manager, PrivacyOfficer, Registrar},
	Administrator: {Clinician, Clerk, Pharmacist, Manager, Patient, PrivacyOfficer, Auditor, Registrar, Administrator},
}

// Gives lists the roles that p may give and take.
func (p Principal) Gives() []Role {
	if p.AuthMethod == "service" {
		return mayGive[Administrator]
	}
	return mayGive[p.Role]
}

// Work is one act of administration on a user.
type Work struct {
	Act    string // one word, for the history
	Reason string
	// Roles are those that the act is about; all of the user's when nil. Whoever does it must be allowed to give each.
	Roles []Profile
	Lanes []store.Lane // further lanes that Do needs
	// Do does it, in the commit, with the user as they are there; it returns what to write into the history, "" for nothing more.
	Do func(tx *store.Tx, m Member) (detail string, err error)
	// Ends says that tokens made for the user so far end.
	Ends bool
}

// Administer does one act on a user: in one commit with its account and its history. Whoever asks must keep the organisation of each role
// concerned; nobody acts on themself; and somebody remains who can administer.
// Errors: fault.NotFound; fault.Forbidden, which is on the account; fault.Conflict for the last administrator.
func (g *Gate) Administer(ctx context.Context, by Principal, id string, w Work) error {
	m, err := g.Member(ctx, id)
	if err != nil {
		return err
	}
	if by.AuthMethod != "service" && strings.TrimSpace(w.Reason) == "" {
		return fault.New(fault.Invalid, "Say why: it is kept with what you do.")
	}
	roles := w.Roles
	if roles == nil {
		roles = m.Roles()
	}
	if err := g.mayAdminister(ctx, by, id, roles); err != nil {
		return err
	}
	lanes := append(g.ChangeLanes(by, UserSubject(id)), g.administratorLane())
	lanes = append(lanes, w.Lanes...)
	var c change
	err = g.db.Write(ctx, lanes, func(tx *store.Tx) error {
		c = change{}
		now, err := g.memberIn(tx, id)
		if err != nil {
			return err
		}
		if now.Edition != m.Edition {
			return fault.New(fault.Conflict, "Somebody else has changed this user meanwhile.")
		}
		lasting, err := lastingAdministrators(tx)
		if err != nil {
			return err
		}
		detail, err := w.Do(tx, now)
		if err != nil {
			return err
		}
		if w.Ends {
			if c, err = g.nextEdition(tx, id, `edition = edition + 1`); err != nil {
				return err
			}
		}
		if err := keepsOne(tx, lasting); err != nil {
			return err
		}
		return g.NoteChange(ctx, tx, by, Change{Subject: UserSubject(id), Act: w.Act, Detail: detail, Reason: strings.TrimSpace(w.Reason)})
	})
	if err == nil && w.Ends {
		g.revoked.change(id, c)
	}
	return err
}

// mayAdminister is fault.Forbidden, on the account, unless by may change all these roles of a user who is not themself.
func (g *Gate) mayAdminister(ctx context.Context, by Principal, id string, roles []Profile) error {
	if by.AuthMethod == "service" {
		return nil // whoever holds the data folder
	}
	place := Place{Type: TypeUser, ID: id, Exists: true}
	if by.ID == id {
		return g.Refuse(ctx, by, Update, place, fault.New(fault.Forbidden, "Nobody changes their own access: ask another administrator."))
	}
	var acts []Act
	for _, r := range roles {
		at := place
		at.Tenant = r.Organisation
		acts = append(acts, Act{Update, at})
	}
	if len(acts) == 0 {
		acts = []Act{{Update, place}}
	}
	if _, err := g.DecideAll(ctx, by, acts); err != nil {
		return err
	}
	for _, r := range roles {
		if !slices.Contains(by.Gives(), r.Role) {
			return g.Refuse(ctx, by, Update, place, fault.New(fault.Forbidden, "As %s you may not give or take the role %s: ask a national administrator.", article(by.Role), r.Role))
		}
		if by.reachesBeyond(r) {
			return g.Refuse(ctx, by, Update, place, fault.New(fault.Forbidden, "This role reaches other organisations' records: ask a national administrator."))
		}
	}
	return nil
}

// WouldAdminister reports whether by may change all these roles of a user, all of the user's when there are none. It is for pages, which offer
// nothing that is refused; nothing is on the account.
func (g *Gate) WouldAdminister(ctx context.Context, by Principal, m Member, roles ...Profile) (bool, error) {
	if by.ID == m.ID {
		return false, nil
	}
	if len(roles) == 0 {
		roles = m.Roles()
	}
	for _, r := range roles {
		if !slices.Contains(by.Gives(), r.Role) || by.reachesBeyond(r) {
			return false, nil
		}
		if ok, err := g.Would(ctx, by, Update, Place{Type: TypeUser, ID: m.ID, Tenant: r.Organisation, Exists: true}); !ok || err != nil {
			return false, err
		}
	}
	return true, nil
}

// reachesBeyond reports whether a role reaches records of organisations that a registrar does not keep.
func (p Principal) reachesBeyond(r Profile) bool {
	return p.Role == Registrar && slices.ContainsFunc(r.Tenants, func(t ident.ODSCode) bool { return t != p.Organisation })
}

// Sees is fault.NotFound, as for nobody, unless by may see a user in the administration.
func (g *Gate) Sees(ctx context.Context, by Principal, m Member) error {
	for _, r := range m.Roles() {
		ok, err := g.Would(ctx, by, Read, Place{Type: TypeUser, ID: m.ID, Tenant: r.Organisation, Exists: true})
		if ok || err != nil {
			return err
		}
	}
	return g.Refuse(ctx, by, Read, Place{Type: TypeUser, ID: m.ID}, noUser())
}

func noUser() error { return fault.New(fault.NotFound, "There is no such user.") }

// administratorLane is held by whatever could take an administrator away, so that two never take away each other.
func (g *Gate) administratorLane() store.Lane { return g.db.LaneOf("", "administrators") }

// lastingAdministrators is how many administrators there are whose access has no end.
func lastingAdministrators(tx *store.Tx) (n int64, err error) {
	now := tx.At().UnixMicro()
	err = tx.QueryRow(`SELECT count(*) FROM access_user u WHERE u.ended = 0 AND u.leaves = 0 AND u.joined <= ? AND (u.role = 'administrator' OR EXISTS (
		SELECT 1 FROM access_profile p WHERE p.lane = u.lane AND p.user_id = u.id AND p.role = 'administrator' AND p.since <= ? AND p.until = ?))`, now, now, forever).Scan(&n)
	return n, err
}

// keepsOne is fault.Conflict when there was an administrator and would be none.
func keepsOne(tx *store.Tx, before int64) error {
	after, err := lastingAdministrators(tx)
	if err == nil && before > 0 && after == 0 {
		return fault.New(fault.Conflict, "This is the last administrator whose access has no end: nobody could put it right afterwards. Make another one first.")
	}
	return err
}
