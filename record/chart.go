package record

import (
	"context"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// laneKey is what a resource's lane is the hash of.
func laneKey(chart, typ, id string) string {
	if chart != "" {
		return chart
	}
	return typ + "/" + id
}

func (r *Records) homeLane(tenant ident.ODSCode, chart, typ, id string) store.Lane {
	return r.db.LaneOf(tenant.String(), laneKey(chart, typ, id))
}

// idLane is where a resource is looked for when only its id is known. A Patient's is that of its chart.
func (r *Records) idLane(ref Ref) store.Lane {
	if ref.Type == "Patient" {
		return r.db.LaneOf(ref.Tenant.String(), ref.ID)
	}
	return r.db.LaneOf(ref.Tenant.String(), laneKey("", ref.Type, ref.ID))
}

const confidentiality = "http://terminology.hl7.org/CodeSystem/v3-Confidentiality"

// labelOf is what the resource says of its own confidentiality: R or V on a Patient restricts the person, on anything
// else seals the item.
func labelOf(res *fhir.Resource) access.Label {
	for tag := range res.Get("meta.security").Items() {
		if tag.Field("system").String() != confidentiality {
			continue
		}
		if code := tag.Field("code").String(); code == "R" || code == "V" {
			if res.Type() == "Patient" {
				return access.Restricted
			}
			return access.Sealed
		}
	}
	return 0
}

// labelled is what the draft's resource is labelled with once it says res. Security labels last: content that says nothing
// of security keeps the label that stands, and only content that names another, or a patch that takes it out, ends it
// (https://hl7.org/fhir/R4/resource.html#Meta: labels and tags are kept across updates unless they are taken away).
func (d *Draft) labelled(before, res *fhir.Resource) access.Label {
	label := labelOf(res)
	if d.was == nil || res.Get("meta.security").Exists() {
		return label
	}
	if d.change.Verb == Patch && before != nil && before.Get("meta.security").Exists() {
		return label
	}
	return label | d.was.label&ownLabel(d.ref.Type)
}

// ownLabel is the label that a resource of a type gives itself.
func ownLabel(typ string) access.Label {
	if typ == "Patient" {
		return access.Restricted
	}
	return access.Sealed
}

// chartLabel is what hides the whole chart: the label of its Patient, as it stands in tx.
func (r *Records) chartLabel(tx *store.Tx, tenant ident.ODSCode, chart string) (access.Label, error) {
	label, _, err := r.registered(tx, tenant, chart)
	return label, err
}

// registered is chartLabel, and whether there is, or was, a Patient of that id at all.
func (r *Records) registered(tx *store.Tx, tenant ident.ODSCode, chart string) (label access.Label, known bool, err error) {
	if chart == "" {
		return 0, false, nil
	}
	kind, ok, err := r.words.kindIn(tx, tenant.String(), "Patient")
	if err != nil || !ok {
		return 0, false, err
	}
	err = tx.QueryRow(`SELECT label FROM record_resource WHERE lane = ? AND kind = ? AND id = ?`,
		r.db.LaneOf(tenant.String(), chart), kind, chart).Scan(&label)
	if fault.Is(err, fault.NotFound) {
		return 0, false, nil
	}
	return label & access.Restricted, err == nil, err
}

// inChart is the condition that a row of record_resource is in a chart: lane, lane again, chart, tenant. So written, SQLite's planner goes
// by the index of charts (which leaves out what is in none, hence the <>), else it walks the whole lane; and without the CAST it would
// plan anew for each chart, to see whether the index holds it.
const inChart = `lane = ? AND rid IN (SELECT rid FROM record_resource WHERE lane = ? AND chart = CAST(? AS TEXT) AND chart <> '') AND tenant = ?`

// Sealed is how many entries of g's chart are sealed by the person's choice, whatever they are: a number, and nothing of what they say.
// g is a grant to see access.TypeSealed there.
func (r *Records) Sealed(ctx context.Context, g access.Grant) (n int64, err error) {
	if err := g.Covers(access.Place{Tenant: g.Tenant(), Chart: g.Chart(), Type: access.TypeSealed}); err != nil {
		return 0, err
	}
	err = r.db.Read(ctx, func(tx *store.Tx) error {
		lane := r.db.LaneOf(g.Tenant().String(), g.Chart())
		return tx.QueryRow(`SELECT count(*) FROM record_resource WHERE `+inChart+` AND op < 3 AND (label & ?) <> 0`,
			lane, lane, g.Chart(), g.Tenant().String(), int64(access.Sealed)).Scan(&n)
	})
	return n, err
}
