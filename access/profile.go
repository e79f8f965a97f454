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
	Review       time.Time // when it is to be looked at again; zero for never
	over         bool      // it has ended
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
	list, err := g.presentIn(tx, userID)
	if err != nil {
		return User{}, nil, err
	}
	all := []Profile{list[0].first()}
	rows, err := tx.Query(`SELECT id, role, organisation, tenants, job, since, until, review FROM access_profile WHERE lane = ? AND user_id = ? AND since <= ? AND until > ? ORDER BY since, id`,
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
	var since, until, review int64
	if err := rows.Scan(&p.ID, (*string)(&p.Role), &organisation, &tenants, &p.Job, &since, &until, &review); err != nil {
		return p, err
	}
	p.Since, p.Review = time.UnixMicro(since).UTC(), known(review)
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
		list, err := g.presentIn(tx, userID)
		if err != nil {
			return User{}, Principal{}, err
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

// presentIn is a user, one in the list, who may act now: they have begun, have not ended, and their last day has not passed.
// Errors: fault.NotFound.
func (g *Gate) presentIn(tx *store.Tx, userID string) ([]User, error) {
	at := tx.At().UnixMicro()
	list, err := readUsers(tx, `lane = ? AND id = ? AND ended = 0 AND joined <= ? AND (leaves = 0 OR leaves > ?)`, int64(g.userLane(userID)), userID, at, at)
	if err == nil && len(list) == 0 {
		return nil, noUser()
	}
	return list, err
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
