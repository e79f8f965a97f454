package record

import (
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/search"
)

// mostRounds bounds how often :iterate goes on from what it has included.
const mostRounds = 16

// included follows _include and _revinclude from the matches, and (:iterate) from what was included.
func (f *finder) included(q Query, matches []Version) ([]Version, error) {
	if len(q.includes) == 0 || len(matches) == 0 {
		return nil, nil
	}
	w := &including{f: f, seen: map[Ref]bool{}}
	for _, v := range matches {
		w.seen[v.Ref] = true
	}
	from := matches
	for round := 0; len(from) > 0 && round < mostRounds; round++ {
		start := len(w.found)
		for _, inc := range q.includes {
			if round > 0 && !inc.iterate {
				continue
			}
			var err error
			if inc.reverse {
				err = w.backward(inc, from)
			} else {
				err = w.forward(inc, from)
			}
			if err != nil {
				return nil, err
			}
		}
		from = w.found[start:]
	}
	return w.found, nil
}

type including struct {
	f     *finder
	seen  map[Ref]bool
	found []Version
}

func (w *including) add(v Version) error {
	if w.seen[v.Ref] {
		return nil
	}
	w.seen[v.Ref] = true
	w.found = append(w.found, v)
	if len(w.found) > w.f.r.limits.Included {
		return fault.New(fault.TooCostly, "This search would include more than %d resources. Ask for fewer on a page.", w.f.r.limits.Included)
	}
	return nil
}

// forward adds what the resources refer to.
func (w *including) forward(inc include, from []Version) error {
	wanted := map[string][]string{} // type → ids
	for _, v := range from {
		if inc.source != "*" && v.Type != inc.source || v.Resource == nil {
			continue
		}
		entries, err := w.f.r.index.extract.Extract(v.Resource)
		if err != nil {
			return err
		}
		for i := range entries {
			ref, ok := entries[i].Value.(search.Reference)
			if !ok || inc.param != "*" && entries[i].Code != inc.param || inc.target != "" && ref.Type != inc.target {
				continue
			}
			to := Ref{w.f.tenant, ref.Type, ref.ID}
			if ref.Relative() && !w.seen[to] && w.f.r.index.isResource(ref.Type) {
				wanted[ref.Type] = append(wanted[ref.Type], ref.ID)
			}
		}
	}
	for _, typ := range w.f.r.index.types() {
		if err := w.named(typ, wanted[typ]); err != nil {
			return err
		}
	}
	return nil
}

// named adds the resources of a type with these ids that the scope shows.
func (w *including) named(typ string, ids []string) error {
	for len(ids) > 0 {
		n := min(len(ids), mostParts/2)
		c := cond{code: "_id", form: formID}
		for _, id := range ids[:n] {
			c.values = append(c.values, value{text: id})
		}
		err := w.f.each(typ, []cond{c}, maxCount, func(s *subject) error { return w.add(s.version) })
		if err != nil {
			return err
		}
		ids = ids[n:]
	}
	return nil
}

// backward adds what refers to the resources.
func (w *including) backward(inc include, from []Version) error {
	var refs []string
	for _, v := range from {
		if inc.target == "" || v.Type == inc.target {
			refs = append(refs, v.Ref.String())
		}
	}
	codes := []string{inc.param}
	if inc.param == "*" {
		codes = nil
		for _, sp := range w.f.r.index.defs.SearchParameters(inc.source) {
			if sp.Type == "reference" {
				codes = append(codes, sp.Code)
			}
		}
	}
	for _, code := range codes {
		for rest := refs; len(rest) > 0; {
			n := min(len(rest), mostParts/2)
			c := cond{code: code, form: formReference, values: []value{{refs: rest[:n]}}}
			err := w.f.each(inc.source, []cond{c}, w.f.r.limits.Included, func(s *subject) error { return w.add(s.version) })
			if err != nil {
				return err
			}
			rest = rest[n:]
		}
	}
	return nil
}
