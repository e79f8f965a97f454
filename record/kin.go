package record

import (
	"maps"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/search"
)

// A person may have several charts (see Link). Whoever searches for what is about one of them, by a reference to the patient or
// in the patient's compartment, finds what is about any of them; so do chains and _has, for which a person is as one of their charts
// says, under what the caller may see. Each resource keeps the number that it came with.

// withKin is q with each condition that names a patient naming every chart of that person.
func (f *finder) withKin(q Query) (Query, error) {
	changed := false
	for typ, conds := range q.conds {
		wider, err := f.kinOf(conds)
		if err != nil {
			return q, err
		}
		if wider == nil {
			continue
		}
		if !changed {
			q.conds, changed = maps.Clone(q.conds), true
		}
		q.conds[typ] = wider
	}
	return q, nil
}

// kinOf is conds with every chart of the persons they name, nil when that changes nothing.
func (f *finder) kinOf(conds []cond) ([]cond, error) {
	var out []cond
	for i := range conds {
		wider, changed, err := f.kinCond(conds[i])
		if err != nil {
			return nil, err
		}
		if changed {
			if out == nil {
				out = slices.Clone(conds)
			}
			out[i] = wider
		}
	}
	return out, nil
}

func (f *finder) kinCond(c cond) (cond, bool, error) {
	switch {
	case c.form == formChain || c.form == formHas:
		changed := false
		inner := c.inner
		for typ, conds := range c.inner {
			wider, err := f.kinOf(conds)
			if err != nil {
				return c, false, err
			}
			if wider == nil {
				continue
			}
			if !changed {
				inner, changed = maps.Clone(c.inner), true
			}
			inner[typ] = wider
		}
		c.inner = inner
		return c, changed, nil
	case c.form == formCompartment && c.ctype == "Patient":
		kin, err := f.kin(c.cid)
		c.kin = kin
		return c, len(kin) > 0, err
	case c.form == formReference:
		changed := false
		values := c.values
		for i, v := range values {
			for _, ref := range v.refs {
				id, ok := search.PatientID(ref)
				if !ok {
					continue
				}
				kin, err := f.kin(id)
				if err != nil {
					return c, false, err
				}
				if len(kin) == 0 {
					continue
				}
				if !changed {
					values, changed = slices.Clone(values), true
				}
				values[i].refs = slices.Clone(values[i].refs)
				for _, other := range kin {
					values[i].refs = append(values[i].refs, "Patient/"+other)
				}
			}
		}
		c.values = values
		return c, changed, nil
	}
	return c, false, nil
}

// kin are the other charts of the person whose chart is id. Answers are kept for the search.
func (f *finder) kin(id string) ([]string, error) {
	if kin, known := f.kins[id]; known {
		return kin, nil
	}
	charts, err := f.r.person(f.tx, f.tenant, id)
	if err != nil {
		return nil, err
	}
	kin := slices.DeleteFunc(charts, func(c string) bool { return c == id })
	f.kins[id] = kin
	return kin, nil
}

// linkedAtOnce is about how many charts one statement asks whether they are linked, in two parts each.
const linkedAtOnce = mostParts / 2

// addKin adds to refs, each Type/id, the other charts of the people among them.
func (f *finder) addKin(refs map[string]bool) error {
	var ids []string
	for ref := range refs {
		if id, ok := strings.CutPrefix(ref, "Patient/"); ok {
			ids = append(ids, id)
		}
	}
	if len(ids) > linkedAtOnce {
		one := 0
		err := f.tx.QueryRow(`SELECT 1 FROM chart_link WHERE tenant = ? AND until = ? LIMIT 1`, f.tenant.String(), linkHolds).Scan(&one)
		if fault.Is(err, fault.NotFound) {
			return nil // nobody here has two charts
		}
		if err != nil {
			return err
		}
	}
	slices.Sort(ids)
	for some := range slices.Chunk(ids, linkedAtOnce) {
		linked, err := f.linked(some)
		if err != nil {
			return err
		}
		for _, id := range linked {
			kin, err := f.kin(id)
			if err != nil {
				return err
			}
			for _, other := range kin {
				refs["Patient/"+other] = true
			}
		}
	}
	return nil
}

// linked are those of some charts that a link names.
func (f *finder) linked(ids []string) ([]string, error) {
	var query []string
	var args []any
	for _, id := range ids {
		for _, column := range []string{"chart", "survivor"} {
			query = append(query, `SELECT `+column+` FROM chart_link WHERE lane = ? AND tenant = ? AND `+column+` = ? AND until = ?`)
			args = append(args, f.r.db.LaneOf(f.tenant.String(), id), f.tenant.String(), id, linkHolds)
		}
	}
	rows, err := f.tx.Query(strings.Join(query, ` UNION `), args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var linked []string
	for rows.Next() {
		var id string
		if err := rows.Scan(&id); err != nil {
			return nil, err
		}
		linked = append(linked, id)
	}
	return linked, rows.Err()
}
