package access

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Profile is a role that a user may act in, at one organisation. Whoever has several chooses one at sign-in.
type Profile struct {
	ID           string // twelve digits: NHSD-Session-URID; made when empty
	Role         Role
	Organisation ident.ODSCode
	Tenants      []ident.ODSCode
	Job          string    // the national RBAC job role code, for example R8000; "" when not known
	Since        time.Time // zero: always
	Until        time.Time // zero: no end
}

// profileID names a role of a user: the same role at the same place keeps its name.
func profileID(user string, role Role, organisation ident.ODSCode) string {
	sum := sha256.Sum256([]byte("role profile\x00" + user + "\x00" + string(role) + "\x00" + organisation.String()))
	return fmt.Sprintf("555%09d", binary.BigEndian.Uint64(sum[:8])%1_000_000_000)
}

// first is the role that stands in the user's own row.
func (u User) first() Profile {
	return Profile{ID: profileID(u.ID, u.Role, u.Organisation), Role: u.Role, Organisation: u.Organisation, Tenants: u.Tenants, Job: u.Job}
}

// In is the user as they act in one of their roles.
func (u User) In(p Profile) Principal {
	who := u.Principal
	who.Role, who.Organisation, who.Tenants, who.Profile = p.Role, p.Organisation, p.Tenants, p.ID
	if who.Role == Patient {
		who.Profile = ""
	}
	return who
}

// Profiles are the roles that a user may act in now, the first one first. Errors: fault.NotFound for somebody who may not sign in.
func (g *Gate) Profiles(ctx context.Context, userID string) (User, []Profile, error) {
	var u User
	var all []Profile
	err := g.db.Read(ctx, func(tx *store.Tx) (err error) {
		u, all, err = g.profilesIn(tx, userID)
		return err
	})
	return u, all, err
}

func (g *Gate) profilesIn(tx *store.Tx, userID string) (User, []Profile, error) {
	list, err := readUsers(tx, `lane = ? AND id = ? AND ended = 0`, int64(g.userLane(userID)), userID)
	if err != nil {
		return User{}, nil, err
	}
	if len(list) == 0 {
		return User{}, nil, fault.New(fault.NotFound, "There is no such user.")
	}
	all := []Profile{list[0].first()}
	rows, err := tx.Query(`SELECT id, role, organisation, tenants, job, since, until FROM access_profile WHERE lane = ? AND user_id = ? AND since <= ? AND until > ? ORDER BY since, id`,
		int64(g.userLane(userID)), userID, tx.At().UnixMicro(), tx.At().UnixMicro())
	if err != nil {
		return User{}, nil, err
	}
	defer rows.Close()
	for rows.Next() {
		p, err := scanProfile(rows)
		if err != nil {
			return User{}, nil, err
		}
		all = append(all, p)
	}
	return list[0], all, rows.Err()
}

func scanProfile(rows *store.Rows) (Profile, error) {
	var p Profile
	var organisation, tenants string
	var since, until int64
	if err := rows.Scan(&p.ID, (*string)(&p.Role), &organisation, &tenants, &p.Job, &since, &until); err != nil {
		return p, err
	}
	p.Since = time.UnixMicro(since).UTC()
	if until != forever {
		p.Until = time.UnixMicro(until).UTC()
	}
	var err error
	if p.Organisation, err = ident.ParseODSCode(organisation); err != nil {
		return p, err
	}
	p.Tenants, err = parseTenants(strings.Fields(tenants))
	return p, err
}

// principalIn is a user of this node in one of their roles, the first when profile is empty; fault.NotFound when the user or the
// role has ended.
func (g *Gate) principalIn(tx *store.Tx, userID, profile string) (User, Principal, error) {
	if profile == "" {
		list, err := readUsers(tx, `lane = ? AND id = ? AND ended = 0`, int64(g.userLane(userID)), userID)
		if err != nil {
			return User{}, Principal{}, err
		}
		if len(list) == 0 {
			return User{}, Principal{}, fault.New(fault.NotFound, "There is no such user.")
		}
		return list[0], list[0].In(list[0].first()), nil
	}
	u, all, err := g.profilesIn(tx, userID)
	if err != nil {
		return u, Principal{}, err
	}
	for _, p := range all {
		if p.ID == profile {
			return u, u.In(p), nil
		}
	}
	return u, Principal{}, fault.New(fault.NotFound, "This role has ended.")
}

// PrincipalOf is a user as they act in one of their roles now, the first when profile is empty.
// Errors: fault.NotFound when the user or the role has ended.
func (g *Gate) PrincipalOf(ctx context.Context, userID, profile string) (Principal, error) {
	var p Principal
	err := g.db.Read(ctx, func(tx *store.Tx) (err error) {
		_, p, err = g.principalIn(tx, userID, profile)
		return err
	})
	return p, err
}

// PutProfile gives a user a further role, or changes one; tokens minted for the user so far end.
// Errors: fault.Invalid for a role that no member of staff has, or without an organisation; fault.NotFound for an unknown user.
func (g *Gate) PutProfile(ctx context.Context, userID string, p Profile) (Profile, error) {
	if !p.Role.Known() || p.Role == Patient || p.Role == SystemClient || p.Organisation.IsZero() {
		return p, fault.New(fault.Invalid, "A further role is one of staff, at an organisation.")
	}
	if p.ID == "" {
		p.ID = profileID(userID, p.Role, p.Organisation)
	}
	var tenants []string
	for _, t := range p.Tenants {
		tenants = append(tenants, t.String())
	}
	lane := g.userLane(userID)
	var c change
	err := g.db.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) (err error) {
		since := p.Since
		if since.IsZero() {
			since = tx.At()
		}
		if c, err = g.nextEdition(tx, userID, `edition = edition + 1`); err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO access_profile (lane, user_id, id, role, organisation, tenants, job, since, until) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (lane, user_id, id) DO UPDATE SET role = excluded.role, organisation = excluded.organisation, tenants = excluded.tenants,
			job = excluded.job, until = excluded.until`,
			int64(lane), userID, p.ID, string(p.Role), p.Organisation.String(), strings.Join(tenants, " "), p.Job, since.UnixMicro(), micros(p.Until))
		return err
	})
	if err == nil {
		g.revoked.change(userID, c)
	}
	return p, err
}

// EndProfile takes a further role from a user: sessions in it end at their next request, and tokens minted for the user end.
// Errors: fault.NotFound when the user does not have it.
func (g *Gate) EndProfile(ctx context.Context, userID, id string) error {
	lane := g.userLane(userID)
	var c change
	err := g.db.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) (err error) {
		n, err := tx.Exec(`UPDATE access_profile SET until = ? WHERE lane = ? AND user_id = ? AND id = ? AND until > ?`, tx.At().UnixMicro(), int64(lane), userID, id, tx.At().UnixMicro())
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "The user does not have this role.")
		}
		c, err = g.nextEdition(tx, userID, `edition = edition + 1`)
		return err
	})
	if err == nil {
		g.revoked.change(userID, c)
	}
	return err
}
