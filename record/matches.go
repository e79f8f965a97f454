package record

import (
	"slices"

	"github.com/openspine/openspine/fault"
)

// Matches reports whether a version, whoever may see it, satisfies a query by what it says itself: for whoever watches the record by the criteria of a search.
// A voided version satisfies none. Errors: fault.Invalid for a query that Matchable refuses.
func (r *Records) Matches(q Query, v Version) (bool, error) {
	if err := q.Matchable(); err != nil || v.Deleted {
		return false, err
	}
	conds, ok := q.conds[v.Type]
	if !ok && q.Type != v.Type && !slices.Contains(q.Types, v.Type) {
		return false, nil
	}
	s := &subject{row: row{id: v.ID, at: v.At.UnixMicro()}, version: v, extract: r.index.extract}
	for i := range conds {
		held, err := s.holds(&conds[i], r.clock.Now())
		if err != nil || !held {
			return false, err
		}
	}
	return true, nil
}

// Matchable is fault.Invalid unless a query asks of each resource only what it says itself: no chain, no _has, nothing included, sorted or counted.
func (q Query) Matchable() error {
	for _, conds := range q.conds {
		for _, c := range conds {
			if c.form == formChain || c.form == formHas {
				return fault.New(fault.Invalid, "%s asks about another resource than the one that changes; criteria are about that one alone.", c.name())
			}
		}
	}
	if len(q.includes) > 0 || len(q.sort) > 0 || q.Cursor != "" {
		return fault.New(fault.Invalid, "Criteria say which resources; they include, sort and page nothing.")
	}
	return nil
}
