package access

import (
	"context"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// ReviewEvery is how often somebody's access is looked at again.
const ReviewEvery = 365 * 24 * time.Hour

// Member is a user as administrators keep them: joiners, movers and leavers.
type Member struct {
	User
	Joined    time.Time // their access begins then; zero when not known
	Leaves    time.Time // the user is ended then; zero when not known
	Review    time.Time // when their access is to be looked at again; zero for never
	Ended     time.Time // zero while they may sign in
	Suspended bool      // Ended may be taken back
	LastIn    time.Time // their last sign-in; zero for never
	Further   []Profile // every further role, those that ended and those yet to begin included
}

// Roles are the roles that a user has or will have: the first, then the further ones that have not ended.
func (m Member) Roles() []Profile {
	first := m.first()
	first.Since, first.Until, first.Review = m.Joined, m.Leaves, m.Review
	return append([]Profile{first}, slices.DeleteFunc(slices.Clone(m.Further), func(p Profile) bool { return p.over })...)
}

var (
	userIDForm = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._-]{0,63}$`)
	jobForm    = regexp.MustCompile(`^R[0-9]{4}$`)
)

// Check is fault.Invalid, in words for whoever typed it, unless what is kept of a user holds together.
func (m Member) Check() error {
	switch {
	case !userIDForm.MatchString(m.ID):
		return fault.New(fault.Invalid, "A user's id is up to 64 letters, digits, dots, dashes and underscores.")
	case strings.TrimSpace(m.Name) == "" || len(m.Name) > 200:
		return fault.New(fault.Invalid, "A user has a name, of at most 200 letters.")
	case !m.Role.Known():
		return fault.New(fault.Invalid, "There is no role %q.", m.Role)
	case m.Job != "" && !jobForm.MatchString(m.Job):
		return fault.New(fault.Invalid, "%q is no national job role code, which is R and four digits.", m.Job)
	case m.Proofed != "" && m.Proofed != "P5" && m.Proofed != "P9":
		return fault.New(fault.Invalid, "An identity is proofed to P5 or P9.")
	case m.Role == SystemClient:
		return fault.New(fault.Invalid, "A system is a client, not a user.")
	case m.Role == Patient && m.Person == "":
		return fault.New(fault.Invalid, "A patient who signs in needs a chart.")
	case m.Role != Patient && m.Organisation.IsZero():
		return fault.New(fault.Invalid, "A member of staff belongs to an organisation.")
	case !m.Leaves.IsZero() && !m.Joined.IsZero() && m.Leaves.Before(m.Joined):
		return fault.New(fault.Invalid, "Nobody leaves before they join.")
	}
	return nil
}

// Outcome is what a change of a user came to, or would.
type Outcome struct {
	Act    string   // added, changed, moved; "" when nothing changes
	Fields []string // what changes
}

// plan compares a user with what is to be kept of them. What new leaves out (dates, job, proof) stays as it is.
func (m Member) plan(new *Member) Outcome {
	var o Outcome
	keep := func(at *time.Time, old time.Time) {
		if *at = at.Truncate(time.Microsecond); at.IsZero() {
			*at = old
		}
	}
	keep(&new.Joined, m.Joined)
	keep(&new.Leaves, m.Leaves)
	keep(&new.Review, m.Review)
	if new.Role == m.Role && new.Organisation == m.Organisation {
		if new.Job == "" {
			new.Job = m.Job
		}
		if new.Tenants == nil {
			new.Tenants = m.Tenants
		}
	}
	if new.Proofed == "" {
		new.Proofed = m.Proofed
	}
	new.Demo = m.Demo
	for _, f := range []struct {
		name  string
		other bool
	}{{"name", m.Name != new.Name}, {"role", m.Role != new.Role}, {"organisation", m.Organisation != new.Organisation}, {"patient", m.Person != new.Person}, {"job", m.Job != new.Job},
		{"proofed", m.Proofed != new.Proofed}, {"joins", !m.Joined.Equal(new.Joined)}, {"leaves", !m.Leaves.Equal(new.Leaves)}, {"review", !m.Review.Equal(new.Review)}, {"tenants", !slices.Equal(m.Tenants, new.Tenants)}} {
		if f.other {
			o.Fields = append(o.Fields, f.name)
		}
	}
	if len(o.Fields) > 0 {
		o.Act = "changed"
	}
	if m.Role != new.Role || m.Organisation != new.Organisation {
		o.Act = "moved"
	}
	return o
}

// PlanMember says what PutMember would do, and whether it may; it changes nothing. Errors: as PutMember.
func (g *Gate) PlanMember(ctx context.Context, by Principal, m Member) (Outcome, error) {
	if err := m.Check(); err != nil {
		return Outcome{}, err
	}
	old, err := g.Member(ctx, m.ID)
	if fault.Is(err, fault.NotFound) {
		return Outcome{Act: "added"}, g.mayAdminister(ctx, by, m.ID, []Profile{m.first()})
	}
	if err != nil {
		return Outcome{}, err
	}
	if !old.Ended.IsZero() && !old.Suspended {
		return Outcome{}, fault.New(fault.Conflict, "This user's access ended on %s. Restore it first.", old.Ended.Format("02-Jan-2006"))
	}
	o := old.plan(&m)
	if o.Act == "" {
		return o, g.Sees(ctx, by, old)
	}
	return o, g.mayAdminister(ctx, by, m.ID, append(old.Roles(), m.first()))
}

// PutMember adds somebody, or changes what is kept of them, in one commit with its account and its history. A member without a review
// date gets one in a year. Whoever gets another role or organisation is a mover: further roles end, and so do sessions, tokens and
// their own relationships with patients; they keep only what the new post gives. What is as it was is not written again.
// Errors: fault.Invalid, in words for whoever typed it; fault.Conflict for somebody whose access has ended; those of Administer.
func (g *Gate) PutMember(ctx context.Context, by Principal, m Member, reason string) (Outcome, error) {
	o, err := g.PlanMember(ctx, by, m)
	switch {
	case err != nil || o.Act == "":
		return o, err
	case o.Act == "added":
		return o, g.addMember(ctx, by, m, reason)
	}
	w := Work{Act: o.Act, Reason: reason, Ends: true, Do: func(tx *store.Tx, old Member) (string, error) {
		next := m
		old.plan(&next)
		return strings.Join(o.Fields, ", "), g.writeMember(tx, next)
	}}
	if o.Act == "moved" {
		held, err := g.bondLanes(ctx, m.ID)
		if err != nil {
			return o, err
		}
		w.Lanes = held
		do := w.Do
		w.Do = func(tx *store.Tx, old Member) (string, error) {
			if err := g.leavePost(tx, old.ID, held); err != nil {
				return "", err
			}
			detail, err := do(tx, old)
			return detail + ": " + string(old.Role) + " " + old.Organisation.String() + " → " + string(m.Role) + " " + m.Organisation.String(), err
		}
	}
	if err := g.Administer(ctx, by, m.ID, w); err != nil || o.Act != "moved" {
		return o, err
	}
	return o, g.forgetSessions(ctx, by, m.ID, EndedChanged)
}

func (g *Gate) addMember(ctx context.Context, by Principal, m Member, reason string) error {
	now := g.opt.Clock.Now()
	if m.Joined.IsZero() {
		m.Joined = now
	}
	if m.Review.IsZero() {
		m.Review = now.Add(ReviewEvery)
	}
	return g.db.Write(ctx, g.ChangeLanes(by, UserSubject(m.ID)), func(tx *store.Tx) error {
		if _, err := g.memberIn(tx, m.ID); !fault.Is(err, fault.NotFound) {
			if err == nil {
				err = fault.New(fault.Conflict, "Somebody else has just added this user.")
			}
			return err
		}
		if _, err := putUser(tx, g.userLane(m.ID), m.User); err != nil {
			return err
		}
		if err := g.writeMember(tx, m); err != nil {
			return err
		}
		return g.NoteChange(ctx, tx, by, Change{Subject: UserSubject(m.ID), Act: "added", Detail: strings.TrimSpace(string(m.Role) + " " + m.Organisation.String()), Reason: strings.TrimSpace(reason)})
	})
}

// writeMember writes what administrators keep of a user who is there.
func (g *Gate) writeMember(tx *store.Tx, m Member) error {
	var tenants []string
	for _, t := range m.Tenants {
		tenants = append(tenants, t.String())
	}
	_, err := tx.Exec(`UPDATE access_user SET name = ?, role = ?, organisation = ?, person = ?, tenants = ?, job = ?, proofed = ?, joined = ?, leaves = ?, review = ? WHERE lane = ? AND id = ?`,
		m.Name, string(m.Role), m.Organisation.String(), m.Person, strings.Join(tenants, " "), m.Job, m.Proofed, zeroOr(m.Joined), zeroOr(m.Leaves), zeroOr(m.Review), int64(g.userLane(m.ID)), m.ID)
	return err
}

// bondLanes are the lanes of the charts that a user has a relationship of their own with.
func (g *Gate) bondLanes(ctx context.Context, id string) ([]store.Lane, error) {
	var lanes []store.Lane
	err := g.db.Read(ctx, func(tx *store.Tx) error {
		lanes = nil
		rows, err := tx.Query(`SELECT DISTINCT lane FROM access_relation WHERE subject = ? AND until > ? AND kind <> 'self'`, "user:"+id, tx.At().UnixMicro())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var lane int64
			if err := rows.Scan(&lane); err != nil {
				return err
			}
			lanes = append(lanes, store.Lane(lane))
		}
		return rows.Err()
	})
	return lanes, err
}

// leavePost ends what a post gave beside its role: further roles, and the user's own relationships with patients. Those of a lane that
// is not held began after the act was asked for.
func (g *Gate) leavePost(tx *store.Tx, id string, held []store.Lane) error {
	at := tx.At().UnixMicro()
	if _, err := tx.Exec(`UPDATE access_profile SET until = ? WHERE lane = ? AND user_id = ? AND until > ?`, at, int64(g.userLane(id)), id, at); err != nil {
		return err
	}
	for _, lane := range held {
		if _, err := tx.Exec(`UPDATE access_relation SET until = ? WHERE lane = ? AND subject = ? AND until > ? AND kind <> 'self'`, at, int64(lane), "user:"+id, at); err != nil {
			return err
		}
	}
	return nil
}

func zeroOr(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// known is an instant, or the zero time when it is not known.
func known(at int64) time.Time {
	if at == 0 {
		return time.Time{}
	}
	return time.UnixMicro(at).UTC()
}
