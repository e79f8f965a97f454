package access

import (
	"context"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Suspend stops a user at once, sessions and tokens included, until Restore. Errors: those of Administer; fault.Conflict when they have
// ended already.
func (g *Gate) Suspend(ctx context.Context, by Principal, id, reason string) error {
	err := g.Administer(ctx, by, id, Work{Act: "suspended", Reason: reason, Ends: true, Do: func(tx *store.Tx, m Member) (string, error) {
		if !m.Ended.IsZero() {
			return "", fault.New(fault.Conflict, "This user's access has ended already.")
		}
		_, err := tx.Exec(`UPDATE access_user SET ended = ?, suspended = 1 WHERE lane = ? AND id = ?`, tx.At().UnixMicro(), int64(g.userLane(id)), id)
		return "", err
	}})
	if err != nil {
		return err
	}
	return g.forgetSessions(ctx, by, id, EndedAccess)
}

// forgetSessions ends the sessions of a user who has moved or ended: whoever is restored soon does not find them open.
func (g *Gate) forgetSessions(ctx context.Context, by Principal, id, why string) error {
	list, err := g.Sessions(ctx, id)
	if err != nil || len(list) == 0 {
		return err
	}
	return g.endSessions(ctx, by, id, list, why)
}

// Restore lets a user in again who was suspended or has left, as what they were; a last day that has passed is taken away. Somebody
// who left comes back without the further roles and relationships that they had.
// Errors: those of Administer; fault.Conflict when they have not ended.
func (g *Gate) Restore(ctx context.Context, by Principal, id, reason string) error {
	return g.Administer(ctx, by, id, Work{Act: "restored", Reason: reason, Ends: true, Do: func(tx *store.Tx, m Member) (string, error) {
		if m.Ended.IsZero() {
			return "", fault.New(fault.Conflict, "This user may sign in already.")
		}
		_, err := tx.Exec(`UPDATE access_user SET ended = 0, suspended = 0, leaves = CASE WHEN leaves <= ? THEN 0 ELSE leaves END WHERE lane = ? AND id = ?`,
			tx.At().UnixMicro(), int64(g.userLane(id)), id)
		return "", err
	}})
}

// Leave ends a user at once: they sign in no more; their sessions, tokens, further roles and own relationships with patients end.
// Errors: those of Administer; fault.Conflict when they have left already.
func (g *Gate) Leave(ctx context.Context, by Principal, id, reason string) error {
	held, err := g.bondLanes(ctx, id)
	if err != nil {
		return err
	}
	err = g.Administer(ctx, by, id, Work{Act: "ended", Reason: reason, Ends: true, Lanes: held, Do: func(tx *store.Tx, m Member) (string, error) {
		if !m.Ended.IsZero() && !m.Suspended {
			return "", fault.New(fault.Conflict, "This user's access has ended already.")
		}
		if err := g.leavePost(tx, id, held); err != nil {
			return "", err
		}
		_, err := tx.Exec(`UPDATE access_user SET ended = ?, suspended = 0 WHERE lane = ? AND id = ?`, tx.At().UnixMicro(), int64(g.userLane(id)), id)
		return "", err
	}})
	if err != nil {
		return err
	}
	return g.forgetSessions(ctx, by, id, EndedAccess)
}

// GiveRole gives a user a further role, from p.Since (now when zero) to p.Until, with a date of review (a year from now when zero).
// Errors: fault.Invalid; those of Administer; fault.Conflict when they have the role.
func (g *Gate) GiveRole(ctx context.Context, by Principal, id string, p Profile, reason string) (Profile, error) {
	now := g.opt.Clock.Now()
	switch {
	case !p.Role.Known() || p.Role == Patient || p.Role == SystemClient || p.Organisation.IsZero():
		return p, fault.New(fault.Invalid, "A further role is one of staff, at an organisation.")
	case p.Job != "" && !jobForm.MatchString(p.Job):
		return p, fault.New(fault.Invalid, "%q is no national job role code, which is R and four digits.", p.Job)
	case !p.Until.IsZero() && (!p.Until.After(now) || !p.Until.After(p.Since)):
		return p, fault.New(fault.Invalid, "A role ends after it begins, and not in the past.")
	}
	p.ID = profileID(id, p.Role, p.Organisation)
	if p.Review.IsZero() {
		p.Review = now.Add(ReviewEvery)
	}
	err := g.Administer(ctx, by, id, Work{Act: "role-given", Reason: reason, Ends: true, Roles: []Profile{p}, Do: func(tx *store.Tx, m Member) (string, error) {
		if m.Role == Patient {
			return "", fault.New(fault.Invalid, "A patient signs in as a patient. Staff have a user of their own for their work.")
		}
		for _, have := range m.Roles() {
			if have.ID == p.ID {
				return "", fault.New(fault.Conflict, "This user has the role already. To change its dates, end it first.")
			}
		}
		if p.Since.IsZero() {
			p.Since = tx.At()
		}
		var tenants []string
		for _, t := range p.Tenants {
			tenants = append(tenants, t.String())
		}
		_, err := tx.Exec(`INSERT INTO access_profile (lane, user_id, id, role, organisation, tenants, job, since, until, review) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
			ON CONFLICT (lane, user_id, id) DO UPDATE SET tenants = excluded.tenants, job = excluded.job, since = excluded.since, until = excluded.until, review = excluded.review`,
			int64(g.userLane(id)), id, p.ID, string(p.Role), p.Organisation.String(), strings.Join(tenants, " "), p.Job, p.Since.UnixMicro(), micros(p.Until), p.Review.UnixMicro())
		return p.words(), err
	}})
	return p, err
}

func (p Profile) words() string { return string(p.Role) + " " + p.Organisation.String() }

// EndRole takes a further role from a user: sessions in it end at their next request, and tokens made for the user end.
// Errors: those of Administer; fault.NotFound when they do not have it.
func (g *Gate) EndRole(ctx context.Context, by Principal, id, role, reason string) error {
	m, err := g.Member(ctx, id)
	if err != nil {
		return err
	}
	for _, p := range m.Roles()[1:] {
		if p.ID != role {
			continue
		}
		return g.Administer(ctx, by, id, Work{Act: "role-ended", Reason: reason, Ends: true, Roles: []Profile{p}, Do: func(tx *store.Tx, _ Member) (string, error) {
			at := tx.At().UnixMicro()
			_, err := tx.Exec(`UPDATE access_profile SET until = ? WHERE lane = ? AND user_id = ? AND id = ? AND until > ?`, at, int64(g.userLane(id)), id, role, at)
			return p.words(), err
		}})
	}
	return fault.New(fault.NotFound, "The user does not have this role.")
}

// Reviewed says that one of a user's roles was looked at and is right, their first when role is ""; it is looked at again in a year, or
// on next when that is given. Errors: those of Administer; fault.NotFound when they do not have the role.
func (g *Gate) Reviewed(ctx context.Context, by Principal, id, role, reason string, next time.Time) error {
	m, err := g.Member(ctx, id)
	if err != nil {
		return err
	}
	if next.IsZero() {
		next = g.opt.Clock.Now().Add(ReviewEvery)
	}
	for i, p := range m.Roles() {
		if p.ID != role && (i > 0 || role != "") {
			continue
		}
		return g.Administer(ctx, by, id, Work{Act: "reviewed", Reason: reason, Roles: []Profile{p}, Do: func(tx *store.Tx, m Member) (detail string, err error) {
			if i == 0 {
				_, err = tx.Exec(`UPDATE access_user SET review = ? WHERE lane = ? AND id = ?`, next.UnixMicro(), int64(g.userLane(id)), id)
			} else {
				_, err = tx.Exec(`UPDATE access_profile SET review = ? WHERE lane = ? AND user_id = ? AND id = ?`, next.UnixMicro(), int64(g.userLane(id)), id, role)
			}
			return p.words(), err
		}})
	}
	return fault.New(fault.NotFound, "The user does not have this role.")
}

// EndLeavers ends those whose last day has passed, and the tokens of those a role of whom has: what pages and sign-in do not let through
// from the very instant on. It is a job.
func (g *Gate) EndLeavers(ctx context.Context, by Principal) error {
	now := g.opt.Clock.Now().UnixMicro()
	leavers, err := g.idsWhere(ctx, `SELECT id FROM access_user WHERE ended = 0 AND leaves > 0 AND leaves <= ? LIMIT 1000`, now)
	if err != nil {
		return err
	}
	for _, id := range leavers {
		if err := g.Leave(ctx, by, id, "the last day has passed"); err != nil {
			return err
		}
	}
	lapsed, err := g.idsWhere(ctx, `SELECT DISTINCT u.id FROM access_profile p JOIN access_user u ON u.lane = p.lane AND u.id = p.user_id WHERE p.until <= ? AND p.until > u.changed AND u.ended = 0 LIMIT 1000`, now)
	if err != nil {
		return err
	}
	for _, id := range lapsed {
		if err := g.Administer(ctx, by, id, Work{Act: "role-lapsed", Ends: true, Do: func(*store.Tx, Member) (string, error) { return "", nil }}); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gate) idsWhere(ctx context.Context, query string, args ...any) ([]string, error) {
	var list []string
	err := g.db.Read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(query, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			list = append(list, id)
		}
		return rows.Err()
	})
	return list, err
}
