package record

import (
	"maps"
	"slices"

	"github.com/openspine/openspine/fhir/search"
)

// A person may have several charts (see Link). Whoever searches for what is about one of them, by a reference to the patient or
// in the patient's compartment, finds what is about any of them; each resource keeps the number that it came with.

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

// kin are the other charts of the person whose chart is id.
func (f *finder) kin(id string) ([]string, error) {
	charts, err := f.r.person(f.tx, f.tenant, id)
	if err != nil {
		return nil, err
	}
	return slices.DeleteFunc(charts, func(c string) bool { return c == id }), nil
}
