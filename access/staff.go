package access

import (
	"context"
	"regexp"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// ReviewEvery is how often somebody's access is looked at again.
const ReviewEvery = 365 * 24 * time.Hour

// Member is a user as administrators keep them: joiners, movers and leavers.
type Member struct {
	User
	Joined time.Time // zero when not known
	Leaves time.Time // the user is ended then; zero when not known
	Review time.Time // when their access is to be looked at again; zero for never
	Ended  time.Time // zero while they may sign in
}

var (
	userIDForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	jobForm    = regexp.MustCompile(`^R[0-9]{4}$`)
)

// PutMember adds somebody, or changes what is kept of them; by is on the account. It says whether they are new. A member without
// a review date gets one in a year. Errors: fault.Invalid, in words for whoever typed it.
func (g *Gate) PutMember(ctx context.Context, by Principal, m Member) (added bool, err error) {
	switch {
	case !userIDForm.MatchString(m.ID):
		return false, fault.New(fault.Invalid, "A user's id is up to 64 letters, digits, dots, dashes and underscores.")
	case m.Job != "" && !jobForm.MatchString(m.Job):
		return false, fault.New(fault.Invalid, "%q is no national job role code, which is R and four digits.", m.Job)
	case m.Proofed != "" && m.Proofed != "P5" && m.Proofed != "P9":
		return false, fault.New(fault.Invalid, "An identity is proofed to P5 or P9.")
	case m.Role == SystemClient:
		return false, fault.New(fault.Invalid, "A system is a client, not a user.")
	case !m.Leaves.IsZero() && !m.Joined.IsZero() && m.Leaves.Before(m.Joined):
		return false, fault.New(fault.Invalid, "Nobody leaves before they join.")
	}
	now := g.opt.Clock.Now()
	if m.Joined.IsZero() {
		m.Joined = now
	}
	if m.Review.IsZero() {
		m.Review = now.Add(ReviewEvery)
	}
	_, err = g.UserByID(ctx, m.ID)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return false, err
	}
	added = err != nil
	if err := g.PutUser(ctx, m.User); err != nil {
		return false, err
	}
	lane := g.userLane(m.ID)
	what := "changed user "
	if added {
		what = "added user "
	}
	return added, g.db.Write(ctx, []store.Lane{lane, g.DeedLane(by)}, func(tx *store.Tx) error {
		_, err := tx.Exec(`UPDATE access_user SET job = ?, proofed = ?, joined = CASE WHEN joined = 0 THEN CAST(? AS BIGINT) ELSE joined END, leaves = ?, review = ? WHERE lane = ? AND id = ?`,
			m.Job, m.Proofed, m.Joined.UnixMicro(), zeroOr(m.Leaves), zeroOr(m.Review), int64(lane), m.ID)
		if err != nil {
			return err
		}
		return g.Record(ctx, tx, by, Deed{Action: ActAdminister, Basis: "user", Detail: what + m.ID + " as " + string(m.Role)})
	})
}

func zeroOr(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Reviewed says that a user's access was looked at and is right; it is looked at again in a year. Errors: fault.NotFound.
func (g *Gate) Reviewed(ctx context.Context, by Principal, id string) error {
	lane := g.userLane(id)
	return g.db.Write(ctx, []store.Lane{lane, g.DeedLane(by)}, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE access_user SET review = ? WHERE lane = ? AND id = ? AND ended = 0`, tx.At().Add(ReviewEvery).UnixMicro(), int64(lane), id)
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "There is no such user.")
		}
		return g.Record(ctx, tx, by, Deed{Action: ActAdminister, Basis: "review", Detail: "user " + id})
	})
}

// Leave ends a user: they sign in no more, and their sessions and tokens end. Errors: fault.NotFound.
func (g *Gate) Leave(ctx context.Context, by Principal, id string) error {
	if err := g.EndUser(ctx, id); err != nil {
		return err
	}
	return g.db.Write(ctx, []store.Lane{g.DeedLane(by)}, func(tx *store.Tx) error {
		return g.Record(ctx, tx, by, Deed{Action: ActAdminister, Basis: "user", Detail: "ended user " + id})
	})
}

// Members lists users by name. overdue leaves only those whose access should have been looked at by now, the longest overdue first.
func (g *Gate) Members(ctx context.Context, overdue bool) ([]Member, error) {
	now := g.opt.Clock.Now().UnixMicro()
	if overdue {
		return g.members(ctx, `ended = 0 AND review > 0 AND review <= ? ORDER BY review, id LIMIT 1000`, now)
	}
	return g.members(ctx, `ended = 0 ORDER BY name, id LIMIT 10000`)
}

// EndLeavers ends those whose last day has passed; it is a job.
func (g *Gate) EndLeavers(ctx context.Context, by Principal) error {
	list, err := g.members(ctx, `ended = 0 AND leaves > 0 AND leaves <= ? LIMIT 1000`, g.opt.Clock.Now().UnixMicro())
	if err != nil {
		return err
	}
	for _, m := range list {
		if err := g.Leave(ctx, by, m.ID); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gate) members(ctx context.Context, cond string, args ...any) ([]Member, error) {
	var list []Member
	err := g.db.Read(ctx, func(tx *store.Tx) error {
		list = nil
		users, err := readUsers(tx, cond, args...)
		if err != nil {
			return err
		}
		for _, u := range users {
			m := Member{User: u}
			var joined, leaves, review int64
			if err := tx.QueryRow(`SELECT joined, leaves, review FROM access_user WHERE lane = ? AND id = ?`, int64(g.userLane(u.ID)), u.ID).Scan(&joined, &leaves, &review); err != nil {
				return err
			}
			m.Joined, m.Leaves, m.Review = known(joined), known(leaves), known(review)
			list = append(list, m)
		}
		return nil
	})
	return list, err
}

// known is an instant, or the zero time when it is not known.
func known(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.UnixMicro(at).UTC()
}
