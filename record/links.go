package record

import (
	"context"
	"slices"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Link says that two charts are one person: Survivor speaks for Chart until the link is ended. No row is re-keyed, so
// that ending it gives each chart back what was written in it.
type Link struct {
	Tenant          ident.ODSCode
	Chart, Survivor string
	Since           time.Time
	Until           time.Time // zero while it holds
	Reason          string    // why they were linked
	EndedReason     string    // why it was ended
	seq             int64
}

const linkHolds = int64(1) << 62

// LinkLanes are what a Write that links or unlinks must hold.
func (r *Records) LinkLanes(tenant ident.ODSCode, chart, survivor string) []store.Lane {
	return []store.Lane{r.db.LaneOf(tenant.String(), chart), r.db.LaneOf(tenant.String(), survivor)}
}

// Merge links chart to survivor, with grants to update both patients that gate gave, and makes their charts kin (see
// access.Gate.JoinKin): whoever may see the one may see the other. Errors: fault.Conflict when chart is linked already, or
// survivor (through others) to chart; fault.Invalid without a reason.
func (r *Records) Merge(tx *store.Tx, gate *access.Gate, tenant ident.ODSCode, chart, survivor, reason string, grants ...access.Grant) error {
	if reason == "" || chart == survivor {
		return fault.New(fault.Invalid, "Two charts are linked, and for a reason.")
	}
	if err := linkGrants(tenant, chart, survivor, grants); err != nil {
		return err
	}
	if to, err := r.survivor(tx, tenant, chart); err != nil || to != chart {
		return conflictOr(err, "That chart is linked to another already.")
	}
	if to, err := r.survivor(tx, tenant, survivor); err != nil || to == chart {
		return conflictOr(err, "Those charts are linked the other way round.")
	}
	ones, others, err := r.groups(tx, tenant, chart, survivor)
	if err != nil {
		return err
	}
	if err := gate.JoinKin(tx, tenant, ones, others); err != nil {
		return err
	}
	by := grants[0].Principal()
	word := by.ID + "\x1f" + by.Name
	for _, lane := range slices.Compact(r.LinkLanes(tenant, chart, survivor)) {
		seq, err := tx.Seq(lane)
		if err != nil {
			return err
		}
		if _, err := tx.Exec(`INSERT INTO record_actor (lane, num, word) VALUES (?, ?, ?) ON CONFLICT (lane, num) DO NOTHING`, lane, actorNum(word), word); err != nil {
			return err
		}
		_, err = tx.Exec(`INSERT INTO chart_link (lane, tenant, chart, seq, survivor, since, until, reason, actor) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)`,
			lane, tenant.String(), chart, seq, survivor, tx.At(), linkHolds, reason, actorNum(word))
		if err != nil {
			return err
		}
	}
	return nil
}

// Unmerge ends the link of chart to survivor, and the kinship that came of it. Error: fault.NotFound when there is none.
func (r *Records) Unmerge(tx *store.Tx, gate *access.Gate, tenant ident.ODSCode, chart, survivor, reason string, grants ...access.Grant) error {
	if reason == "" {
		return fault.New(fault.Invalid, "A link is ended for a reason.")
	}
	if err := linkGrants(tenant, chart, survivor, grants); err != nil {
		return err
	}
	ended := int64(0)
	for _, lane := range slices.Compact(r.LinkLanes(tenant, chart, survivor)) {
		n, err := tx.Exec(`UPDATE chart_link SET until = ?, ended_reason = ? WHERE lane = ? AND tenant = ? AND chart = ? AND survivor = ? AND until = ?`,
			tx.At(), reason, lane, tenant.String(), chart, survivor, linkHolds)
		if err != nil {
			return err
		}
		ended += n
	}
	if ended == 0 {
		return fault.New(fault.NotFound, "Those charts are not linked.")
	}
	ones, others, err := r.groups(tx, tenant, chart, survivor)
	if err != nil {
		return err
	}
	return gate.PartKin(tx, tenant, ones, others)
}

// groups are what is one person with each of two charts that no link joins.
func (r *Records) groups(tx *store.Tx, tenant ident.ODSCode, a, b string) (ofA, ofB []string, err error) {
	if ofA, err = r.person(tx, tenant, a); err != nil {
		return nil, nil, err
	}
	ofB, err = r.person(tx, tenant, b)
	return ofA, ofB, err
}

func linkGrants(tenant ident.ODSCode, chart, survivor string, grants []access.Grant) error {
	for _, id := range []string{chart, survivor} {
		covered := slices.ContainsFunc(grants, func(g access.Grant) bool {
			return g.Valid() && g.Action() == access.Update && g.Tenant() == tenant && g.Chart() == id && g.Place().Type == "Patient"
		})
		if !covered {
			return fault.New(fault.Internal, "no grant to update one of the charts was handed in")
		}
	}
	return nil
}

func conflictOr(err error, message string) error {
	if err != nil {
		return err
	}
	return fault.New(fault.Conflict, "%s", message)
}

// survivor follows the links from chart to the one that speaks for it; chart itself when there is none.
func (r *Records) survivor(tx *store.Tx, tenant ident.ODSCode, chart string) (string, error) {
	for range 32 {
		var to string
		err := tx.QueryRow(`SELECT survivor FROM chart_link WHERE lane = ? AND tenant = ? AND chart = ? AND until = ?`,
			r.db.LaneOf(tenant.String(), chart), tenant.String(), chart, linkHolds).Scan(&to)
		if fault.Is(err, fault.NotFound) {
			return chart, nil
		}
		if err != nil {
			return "", err
		}
		chart = to
	}
	return "", fault.New(fault.Internal, "the links of a chart go round in a circle")
}

// Survivor is the chart that speaks for a person: chart itself unless it has been linked to another.
func (r *Records) Survivor(ctx context.Context, tenant ident.ODSCode, chart string) (string, error) {
	var to string
	err := r.db.Read(ctx, func(tx *store.Tx) (err error) {
		to, err = r.SurvivorIn(tx, tenant, chart)
		return err
	})
	return to, err
}

// SurvivorIn is Survivor within a transaction.
func (r *Records) SurvivorIn(tx *store.Tx, tenant ident.ODSCode, chart string) (string, error) {
	return r.survivor(tx, tenant, chart)
}

// Charts are all that are one person with chart, the surviving one first: what a reader of the person must show Grants for.
func (r *Records) Charts(ctx context.Context, tenant ident.ODSCode, chart string) (charts []string, err error) {
	err = r.db.Read(ctx, func(tx *store.Tx) error {
		charts, err = r.person(tx, tenant, chart)
		return err
	})
	return charts, err
}

// mostCharts is how many charts of one person are followed.
const mostCharts = 64

// person is Charts within a transaction.
func (r *Records) person(tx *store.Tx, tenant ident.ODSCode, chart string) ([]string, error) {
	head, err := r.survivor(tx, tenant, chart)
	if err != nil {
		return nil, err
	}
	charts := []string{head}
	for i := 0; i < len(charts) && i < mostCharts; i++ {
		joined, err := r.joined(tx, tenant, charts[i])
		if err != nil {
			return nil, err
		}
		for _, c := range joined {
			if !slices.Contains(charts, c) {
				charts = append(charts, c)
			}
		}
	}
	return charts, nil
}

func (r *Records) joined(tx *store.Tx, tenant ident.ODSCode, survivor string) ([]string, error) {
	rows, err := tx.Query(`SELECT chart FROM chart_link WHERE lane = ? AND tenant = ? AND survivor = ? AND until = ? ORDER BY chart`,
		r.db.LaneOf(tenant.String(), survivor), tenant.String(), survivor, linkHolds)
	if err != nil {
		return nil, err
	}
	var charts []string
	for rows.Next() {
		var c string
		if err := rows.Scan(&c); err != nil {
			return nil, err
		}
		charts = append(charts, c)
	}
	return charts, rows.Err()
}

// Links are a chart's links, ended ones included, oldest first.
func (r *Records) Links(ctx context.Context, tenant ident.ODSCode, chart string) ([]Link, error) {
	var links []Link
	err := r.db.Read(ctx, func(tx *store.Tx) error {
		links = nil
		rows, err := tx.Query(`SELECT chart, survivor, since, until, reason, ended_reason, seq FROM chart_link
			WHERE lane = ? AND tenant = ? AND (chart = ? OR survivor = ?) ORDER BY since, seq`,
			r.db.LaneOf(tenant.String(), chart), tenant.String(), chart, chart)
		if err != nil {
			return err
		}
		for rows.Next() {
			l := Link{Tenant: tenant}
			var until int64
			if err := rows.Scan(&l.Chart, &l.Survivor, &l.Since, &until, &l.Reason, &l.EndedReason, &l.seq); err != nil {
				return err
			}
			if until != linkHolds {
				l.Until = time.UnixMicro(until).UTC()
			}
			links = append(links, l)
		}
		return rows.Err()
	})
	return links, err
}
