package record

import (
	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Who adds or takes away an identifier holds the lane of its value, and so does who asks for it before writing. So of
// a hundred callers who would each create what carries one identifier, ninety-nine see what the first has created.

func (r *Records) claimLane(tenant ident.ODSCode, typ, value string) store.Lane {
	return r.db.LaneOf(tenant.String(), "claim\x00"+typ+"\x00"+value)
}

// identifierValues are the values of a resource's own identifiers.
func identifierValues(res *fhir.Resource) []string {
	var values []string
	for _, path := range []string{"identifier", "masterIdentifier"} {
		for id := range res.Get(path).Items() {
			if v := id.Field("value").String(); v != "" {
				values = append(values, v)
			}
		}
	}
	return values
}

// criteriaLanes are what must be held so that nothing can come to match, or cease to match, the query meanwhile:
// the lanes of the identifier values it names, or that of the patient it names, or else every lane.
func (r *Records) criteriaLanes(tenant ident.ODSCode, q Query) []store.Lane {
	if r.db.Lanes() <= 1 {
		return nil
	}
	if named := q.identifiers(); len(named) > 0 {
		values := named[0]
		lanes := make([]store.Lane, len(values))
		for i, v := range values {
			lanes[i] = r.claimLane(tenant, q.Type, v)
		}
		return lanes
	}
	if charts := q.charts(); len(charts) > 0 {
		lanes := make([]store.Lane, len(charts))
		for i, chart := range charts {
			lanes[i] = r.db.LaneOf(tenant.String(), chart)
		}
		return lanes
	}
	all := make([]store.Lane, r.db.Lanes())
	for i := range all {
		all[i] = store.Lane(i)
	}
	return all
}

// resolve finds what the draft's criteria match and makes the draft concern it. It is done when a conditional
// create has found its resource, or a conditional delete nothing.
func (r *Records) resolve(tx *store.Tx, d *Draft) (done bool, err error) {
	c := d.change.Criteria
	found, err := r.matches(tx, c.Scope, c.Query, 2)
	if err != nil {
		return false, err
	}
	switch {
	case len(found) > 1:
		return false, fault.New(fault.PreconditionFailed, "The criteria match more than one %s; they must match one at most.", d.ref.Type)
	case len(found) == 1 && d.change.Verb == Create:
		v := found[0]
		d.matched, d.ref = &v, v.Ref
		c.Scope.Disclose(v.place())
		return true, nil
	case len(found) == 1:
		if given := d.change.Ref.ID; given != "" && given != found[0].ID {
			return false, fault.New(fault.Invalid, "The resource's id is not that of what the criteria match.")
		}
		d.ref = found[0].Ref
		return false, nil
	case d.change.Verb == Patch:
		return false, fault.New(fault.NotFound, "The criteria match no %s.", d.ref.Type)
	}
	d.ref = d.change.Ref
	return false, nil
}

// place is where a version stands, for access.
func (v Version) place() access.Place {
	return placed(access.Place{Tenant: v.Tenant, Chart: v.Chart, Type: v.Type, ID: v.ID, Label: access.Label(v.label), Exists: true}, v.author)
}

// placed is a place with its author, if it is in nobody's chart.
func placed(pl access.Place, author string) access.Place {
	if pl.Chart == "" {
		pl.Author = author
	}
	return pl
}
