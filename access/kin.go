package access

import (
	"context"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Charts that are found to be one person are kin: who has a relationship with one has it with the others, from the commit
// that joins them to the commit that parts them, whenever it was made. What hides a chart stays with that chart.
//
// Whoever signs in as one of them is each of them, as is the person whom a token's patient/ scopes are about.
//
// Relationships with the others are rows of their own, so that a decision still asks about one chart: the kind of such a
// row says which chart it is had through.

// through marks the kind of a relationship that is had through another chart of the same person.
const through = " through "

// JoinKin makes each chart of ones and each of others one person, in a transaction that holds the lanes of the two that were
// found to be one; it is for record, which keeps the links.
func (g *Gate) JoinKin(tx *store.Tx, tenant ident.ODSCode, ones, others []string) error {
	return g.eachPair(ones, others, func(chart, other string) error {
		err := tx.Queue(`INSERT INTO access_kin (lane, tenant, chart, other, other_lane) VALUES (?, ?, ?, ?, ?) ON CONFLICT (lane, tenant, chart, other) DO NOTHING`,
			int64(g.Lane(tenant, chart)), tenant.String(), chart, other, int64(g.Lane(tenant, other)))
		if err != nil {
			return err
		}
		had, err := g.relationsOf(tx, tenant, chart)
		if err != nil {
			return err
		}
		for _, r := range had {
			r.kind += through + chart
			if err := g.relate(tx, tenant, other, r); err != nil {
				return err
			}
		}
		return nil
	})
}

// PartKin makes each chart of ones and each of others two people again: what either had through the other ends. The rows stay, to
// explain what was done while they held.
func (g *Gate) PartKin(tx *store.Tx, tenant ident.ODSCode, ones, others []string) error {
	return g.eachPair(ones, others, func(chart, other string) error {
		lane := int64(g.Lane(tenant, chart))
		if err := tx.Queue(`DELETE FROM access_kin WHERE lane = ? AND tenant = ? AND chart = ? AND other = ?`, lane, tenant.String(), chart, other); err != nil {
			return err
		}
		now := tx.At().UnixMicro()
		return tx.Queue(`UPDATE access_relation SET until = ? WHERE lane = ? AND tenant = ? AND chart = ? AND until > ? AND kind LIKE ?`,
			now, lane, tenant.String(), chart, now, "%"+through+other)
	})
}

func (g *Gate) eachPair(ones, others []string, do func(chart, other string) error) error {
	for _, a := range ones {
		for _, b := range others {
			if err := do(a, b); err != nil {
				return err
			}
			if err := do(b, a); err != nil {
				return err
			}
		}
	}
	return nil
}

// held is a relationship as its row has it, but for whose chart it is.
type held struct {
	subject, kind, basis, by string
	strength, until          int64
}

func (r Relationship) held() held {
	return held{r.subject(), r.Kind, r.Basis, r.By, int64(r.strength()), micros(r.Until)}
}

// relationsOf are a chart's own relationships that hold now.
func (g *Gate) relationsOf(tx *store.Tx, tenant ident.ODSCode, chart string) ([]held, error) {
	rows, err := tx.Query(`SELECT subject, kind, basis, given_by, strength, until FROM access_relation WHERE lane = ? AND tenant = ? AND chart = ? AND until > ?`,
		int64(g.Lane(tenant, chart)), tenant.String(), chart, tx.At().UnixMicro())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var all []held
	for rows.Next() {
		var r held
		if err := rows.Scan(&r.subject, &r.kind, &r.basis, &r.by, &r.strength, &r.until); err != nil {
			return nil, err
		}
		if !strings.Contains(r.kind, through) {
			all = append(all, r)
		}
	}
	return all, rows.Err()
}

const relationColumns = `INSERT INTO access_relation (lane, tenant, chart, subject, kind, strength, since, until, basis, given_by) `

const relationAgain = ` ON CONFLICT (lane, tenant, chart, subject, kind) DO UPDATE SET until = excluded.until, basis = excluded.basis, given_by = excluded.given_by`

// relate writes a relationship with one chart.
func (g *Gate) relate(tx *store.Tx, tenant ident.ODSCode, chart string, r held) error {
	return tx.Queue(relationColumns+`VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)`+relationAgain,
		int64(g.Lane(tenant, chart)), tenant.String(), chart, r.subject, r.kind, r.strength, tx.At().UnixMicro(), r.until, r.basis, r.by)
}

// relateKin writes a relationship with a chart for the other charts of its person, if there are any.
func (g *Gate) relateKin(tx *store.Tx, tenant ident.ODSCode, chart string, r held) error {
	if chart == Everyone {
		return nil
	}
	return tx.Queue(relationColumns+`SELECT k.other_lane, k.tenant, k.other, CAST(? AS TEXT), CAST(? AS TEXT), CAST(? AS BIGINT), CAST(? AS BIGINT), CAST(? AS BIGINT),
		CAST(? AS TEXT), CAST(? AS TEXT) FROM access_kin k WHERE k.lane = ? AND k.tenant = ? AND k.chart = ?`+relationAgain,
		r.subject, r.kind+through+chart, r.strength, tx.At().UnixMicro(), r.until, r.basis, r.by, int64(g.Lane(tenant, chart)), tenant.String(), chart)
}

// endKin ends what the other charts of a person have through one of a chart's relationships.
func (g *Gate) endKin(tx *store.Tx, tenant ident.ODSCode, chart string, r held) error {
	return tx.Queue(`UPDATE access_relation SET until = ? WHERE tenant = ? AND subject = ? AND kind = ? AND until > ?
		AND (lane, chart) IN (SELECT k.other_lane, k.other FROM access_kin k WHERE k.lane = ? AND k.tenant = ? AND k.chart = ?)`,
		tx.At().UnixMicro(), tenant.String(), r.subject, r.kind+through+chart, tx.At().UnixMicro(), int64(g.Lane(tenant, chart)), tenant.String(), chart)
}

// self reports whether chart is another chart of the person whom p is, or whom p's patient/ scopes are about.
func (g *Gate) self(tx *store.Tx, p Principal, tenant ident.ODSCode, chart string) (bool, error) {
	person := p.person()
	if person == "" || person == chart {
		return false, nil
	}
	one := 0
	err := tx.QueryRow(`SELECT 1 FROM access_kin WHERE lane = ? AND tenant = ? AND chart = ? AND other = ?`,
		int64(g.Lane(tenant, person)), tenant.String(), person, chart).Scan(&one)
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	return err == nil, err
}

// selves are all charts in a tenant of the person whom p is, or whom p's patient/ scopes are about, the one that p names first; nil when they
// are about nobody.
func (g *Gate) selves(tx *store.Tx, p Principal, tenant ident.ODSCode) ([]string, error) {
	person := p.person()
	if person == "" {
		return nil, nil
	}
	return g.Kin(tx, tenant, person)
}

// Kin are all charts in a tenant of one person, chart first: itself alone, unless charts were found to be one person.
func (g *Gate) Kin(tx *store.Tx, tenant ident.ODSCode, chart string) ([]string, error) {
	rows, err := tx.Query(`SELECT other FROM access_kin WHERE lane = ? AND tenant = ? AND chart = ? ORDER BY other`, int64(g.Lane(tenant, chart)), tenant.String(), chart)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	charts := []string{chart}
	for rows.Next() {
		var other string
		if err := rows.Scan(&other); err != nil {
			return nil, err
		}
		charts = append(charts, other)
	}
	return charts, rows.Err()
}

// Selves are all charts in a tenant of a patient who is signed in, the one that their account names first.
func (g *Gate) Selves(ctx context.Context, p Principal, tenant ident.ODSCode) (charts []string, err error) {
	err = g.db.Read(ctx, func(tx *store.Tx) error {
		charts, err = g.selves(tx, p, tenant)
		return err
	})
	return charts, err
}
