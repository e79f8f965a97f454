package access

import (
	"context"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// User is somebody who can sign in at this node.
type User struct {
	Principal
	Demo    bool   // anyone may sign in as this user with one click
	Job     string // the national RBAC job role code of the first role, for example R8000; "" when not known
	Proofed string // how well a patient's identity was proofed: P5 or P9; "" when not known
}

// PutUser adds a user or changes one. Errors: fault.Invalid when the role is not known, a member of staff has no
// organisation, or a patient no chart.
func (g *Gate) PutUser(ctx context.Context, u User) error {
	return g.PutUsers(ctx, []User{u})
}

// PutUsers adds users or changes them, in one commit: what a node seeds. When what a user may do changes (role, organisation,
// chart, tenants), the tokens that were minted for them end.
func (g *Gate) PutUsers(ctx context.Context, users []User) error {
	lanes := make([]store.Lane, len(users))
	for i, u := range users {
		switch {
		case u.ID == "" || u.Name == "" || !u.Role.Known():
			return fault.New(fault.Invalid, "A user has an id, a name and one of the roles.")
		case u.Role == Patient && u.Person == "":
			return fault.New(fault.Invalid, "A patient who signs in needs a chart.")
		case u.Role != Patient && u.Organisation.IsZero():
			return fault.New(fault.Invalid, "A member of staff belongs to an organisation.")
		}
		lanes[i] = g.userLane(u.ID)
	}
	if len(users) == 0 {
		return nil
	}
	changes := make([]change, len(users))
	err := g.db.Write(ctx, lanes, func(tx *store.Tx) (err error) {
		for i, u := range users {
			if changes[i], err = putUser(tx, lanes[i], u); err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		return err
	}
	for i, u := range users {
		g.revoked.change(u.ID, changes[i])
	}
	return nil
}

func putUser(tx *store.Tx, lane store.Lane, u User) (change, error) {
	var tenants []string
	for _, t := range u.Tenants {
		tenants = append(tenants, t.String())
	}
	const other = `(access_user.role <> excluded.role OR access_user.organisation <> excluded.organisation OR access_user.person <> excluded.person
		OR access_user.tenants <> excluded.tenants OR access_user.ended <> 0)`
	at := tx.At().UnixMicro()
	c := change{until: at + longestToken.Microseconds()}
	err := tx.QueryRow(`INSERT INTO access_user (lane, id, name, role, organisation, person, tenants, demo, ended) VALUES (?, ?, ?, ?, ?, ?, ?, ?, 0)
		ON CONFLICT (lane, id) DO UPDATE SET name = excluded.name, role = excluded.role, organisation = excluded.organisation,
		person = excluded.person, tenants = excluded.tenants, demo = excluded.demo, ended = 0, suspended = 0,
		edition = access_user.edition + CASE WHEN `+other+` THEN 1 ELSE 0 END,
		changed = CASE WHEN `+other+` THEN CAST(? AS BIGINT) ELSE access_user.changed END
		RETURNING edition`,
		int64(lane), u.ID, u.Name, string(u.Role), u.Organisation.String(), u.Person, strings.Join(tenants, " "), u.Demo, at).Scan(&c.edition)
	return c, err
}

// UserByID is a user who may sign in. Errors: fault.NotFound.
func (g *Gate) UserByID(ctx context.Context, id string) (User, error) {
	var u User
	err := g.db.Read(ctx, func(tx *store.Tx) error {
		list, err := readUsers(tx, `lane = ? AND id = ? AND ended = 0`, int64(g.userLane(id)), id)
		if err != nil {
			return err
		}
		if len(list) == 0 {
			return noUser()
		}
		u = list[0]
		return nil
	})
	return u, err
}

// UserOfPerson is the user who may see a chart as their own. Errors: fault.NotFound for nobody; fault.Conflict when several say that
// it is theirs.
func (g *Gate) UserOfPerson(ctx context.Context, chart string) (User, error) {
	var list []User
	err := g.db.Read(ctx, func(tx *store.Tx) (err error) {
		list, err = readUsers(tx, `person = ? AND person <> '' AND role = 'patient' AND ended = 0 ORDER BY id LIMIT 2`, chart)
		return err
	})
	switch {
	case err != nil:
		return User{}, err
	case len(list) == 0:
		return User{}, fault.New(fault.NotFound, "There is no such user.")
	case len(list) > 1:
		return User{}, fault.New(fault.Conflict, "Several accounts say that they are this person's.")
	}
	return list[0], nil
}

// DemoUsers lists those as whom anyone may sign in with one click, by organisation, role and name. A node that is not a
// demo has none.
func (g *Gate) DemoUsers(ctx context.Context) ([]User, error) {
	var list []User
	err := g.db.Read(ctx, func(tx *store.Tx) (err error) {
		list, err = readUsers(tx, `demo = 1 AND ended = 0 ORDER BY organisation, role, name, id LIMIT 500`)
		return err
	})
	return list, err
}

func (g *Gate) userLane(id string) store.Lane { return g.db.LaneOf("", "user/"+id) }

func readUsers(tx *store.Tx, cond string, args ...any) ([]User, error) {
	rows, err := tx.Query(`SELECT id, name, role, organisation, person, tenants, demo, edition, job, proofed FROM access_user WHERE `+cond, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []User
	for rows.Next() {
		var u User
		var organisation, tenants string
		if err := rows.Scan(&u.ID, &u.Name, (*string)(&u.Role), &organisation, &u.Person, &tenants, &u.Demo, &u.Edition, &u.Job, &u.Proofed); err != nil {
			return nil, err
		}
		if organisation != "" {
			if u.Organisation, err = ident.ParseODSCode(organisation); err != nil {
				return nil, err
			}
		}
		if u.Tenants, err = parseTenants(strings.Fields(tenants)); err != nil {
			return nil, err
		}
		list = append(list, u)
	}
	return list, rows.Err()
}

func parseTenants(codes []string) ([]ident.ODSCode, error) {
	var tenants []ident.ODSCode
	for _, c := range codes {
		t, err := ident.ParseODSCode(c)
		if err != nil {
			return nil, err
		}
		tenants = append(tenants, t)
	}
	return tenants, nil
}
