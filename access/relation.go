package access

import (
	"context"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Everyone is the chart of a Relationship with everybody in the tenant, whoever is added later included. It never opens
// what is hidden.
const Everyone = "*"

// Kinds of relationship that this package gives itself. Services give others: "care-team", "referral", "admission" …
const (
	KindRegistered  = "registered"   // the organisation registered the person here
	KindSelfClaimed = "self-claimed" // the user said so, and the privacy officer was told
	KindBreakGlass  = "break-glass"

	KindRevealed = "revealed" // of an Alert, not a relationship: a label that hid something was taken away
)

// Relationship is a reason to open somebody's chart.
type Relationship struct {
	Tenant       ident.ODSCode
	Chart        string // or Everyone
	User         string // a user's id; or
	Organisation ident.ODSCode
	Kind         string
	Until        time.Time // zero for no end
	Basis        string    // why, in words or as a reference; never clinical detail
	By           string    // who says so: a user or service
}

const (
	strengthShared = 1
	strengthDirect = 2
	strengthBroken = 3
)

func (r Relationship) subject() string {
	if r.User != "" {
		return "user:" + r.User
	}
	return "org:" + r.Organisation.String()
}

func (r Relationship) strength() int {
	switch {
	case r.User == "" || r.Kind == KindSelfClaimed || r.Chart == Everyone:
		return strengthShared
	case r.Kind == KindBreakGlass:
		return strengthBroken
	}
	return strengthDirect
}

// Relate records a relationship as part of a service's own transaction, which must hold the lane of the chart (Lane),
// so that whoever is named may open the chart from the very commit on. Saying it again changes its end and its basis.
// Errors: fault.Internal when it names neither a user nor an organisation, or both, or no chart.
func (g *Gate) Relate(tx *store.Tx, r Relationship) error {
	if r.Chart == "" || r.Tenant.IsZero() || r.Kind == "" || (r.User == "") == r.Organisation.IsZero() {
		return fault.New(fault.Internal, "a relationship names a chart in a tenant, a kind, and either a user or an organisation")
	}
	if err := g.relate(tx, r.Tenant, r.Chart, r.held()); err != nil {
		return err
	}
	return g.relateKin(tx, r.Tenant, r.Chart, r.held())
}

// EndRelation ends a relationship now; the row stays, to explain what was done while it held.
func (g *Gate) EndRelation(tx *store.Tx, r Relationship) error {
	n, err := tx.Exec(`UPDATE access_relation SET until = ? WHERE lane = ? AND tenant = ? AND chart = ? AND subject = ? AND kind = ? AND until > ?`,
		tx.At().UnixMicro(), int64(g.Lane(r.Tenant, r.Chart)), r.Tenant.String(), r.Chart, r.subject(), r.Kind, tx.At().UnixMicro())
	if err == nil && n == 0 {
		return fault.New(fault.NotFound, "there is no such relationship to end")
	}
	if err != nil {
		return err
	}
	return g.endKin(tx, r.Tenant, r.Chart, r.held())
}

// Restrict hides a whole person (Restricted), or shows them again (0), as part of the caller's transaction, which
// must hold the lane of the chart. It holds for everything in the chart, whatever the resources' own labels say.
func (g *Gate) Restrict(tx *store.Tx, tenant ident.ODSCode, chart string, label Label, reason, by string) error {
	lane := int64(g.Lane(tenant, chart))
	if label == 0 {
		_, err := tx.Exec(`DELETE FROM access_restriction WHERE lane = ? AND tenant = ? AND chart = ?`, lane, tenant.String(), chart)
		return err
	}
	_, err := tx.Exec(`INSERT INTO access_restriction (lane, tenant, chart, label, since, reason, given_by) VALUES (?, ?, ?, ?, ?, ?, ?)
		ON CONFLICT (lane, tenant, chart) DO UPDATE SET label = excluded.label, reason = excluded.reason, given_by = excluded.given_by`,
		lane, tenant.String(), chart, int64(label), tx.At().UnixMicro(), reason, by)
	return err
}

// Lane is the lane of a chart, for transactions that relate or restrict.
func (g *Gate) Lane(tenant ident.ODSCode, chart string) store.Lane {
	return g.db.LaneOf(tenant.String(), chart)
}

// bondFor is what p is to a chart as far as it is asked for: what hides the chart, and only where it can matter p's relationships.
func (g *Gate) bondFor(tx *store.Tx, p Principal, k chartOf, related bool) (bond, error) {
	if related || k.chart == "" || k.tenant.IsZero() {
		return g.bondIn(tx, p, k.tenant, k.chart)
	}
	var b bond
	err := tx.QueryRow(`SELECT label FROM access_restriction WHERE lane = ? AND tenant = ? AND chart = ?`,
		int64(g.Lane(k.tenant, k.chart)), k.tenant.String(), k.chart).Scan(&b.label)
	if err != nil && !fault.Is(err, fault.NotFound) {
		return b, err
	}
	b.self, err = g.self(tx, p, k.tenant, k.chart)
	return b, err
}

// bondIn reads what p is to a chart, and what hides the chart, at the transaction's instant. One query, in which each part is one
// step into an index: an IN would build a table of its two values each time.
func (g *Gate) bondIn(tx *store.Tx, p Principal, tenant ident.ODSCode, chart string) (bond, error) {
	if chart == "" || tenant.IsZero() {
		return bond{}, nil
	}
	lane, all, in := int64(g.Lane(tenant, chart)), int64(g.Lane(tenant, Everyone)), tenant.String()
	user, org, now := "user:"+p.ID, "org:"+p.Organisation.String(), tx.At().UnixMicro()
	rows, err := tx.Query(bondQuery,
		lane, in, chart, org, now,
		lane, in, chart, user, now,
		all, in, Everyone, org, now,
		all, in, Everyone, user, now,
		lane, in, chart)
	if err != nil {
		return bond{}, err
	}
	defer rows.Close()
	var b bond
	for rows.Next() {
		var strength int64
		var kind string
		if err := rows.Scan(&strength, &kind); err != nil {
			return bond{}, err
		}
		b.add(strength, kind)
	}
	if err := rows.Err(); err != nil {
		return b, err
	}
	rows.Close()
	b.self, err = g.self(tx, p, tenant, chart)
	return b, err
}

func (b *bond) add(strength int64, kind string) {
	switch {
	case strength < 0:
		b.label |= Label(-strength)
		return
	case strength == strengthBroken:
		b.broken = true
	case strength == strengthDirect:
		b.direct = true
	}
	if b.kind == "" || strength == strengthDirect || b.kind == KindBreakGlass {
		b.kind = kind
	}
	b.related = true
}

const (
	bondEach  = `SELECT strength, kind FROM access_relation WHERE lane = ? AND tenant = ? AND chart = ? AND subject = ? AND until` + unindexed + ` > ? UNION ALL `
	bondQuery = bondEach + bondEach + bondEach + bondEach + `SELECT -label, '' FROM access_restriction WHERE lane = ? AND tenant = ? AND chart = ?`
)

// unindexed follows a column that must not tempt the planner: without it a question about one chart and one organisation is
// answered by walking all of the organisation's relationships, for an index ends in this column.
const unindexed = " + 0"

// bondOf is bondIn over a snapshot of its own.
func (g *Gate) bondOf(ctx context.Context, p Principal, tenant ident.ODSCode, chart string) (bond, error) {
	if chart == "" || tenant.IsZero() {
		return bond{}, nil
	}
	var b bond
	err := g.db.Read(ctx, func(tx *store.Tx) (err error) {
		b, err = g.bondIn(tx, p, tenant, chart)
		return err
	})
	return b, err
}
