package record

import (
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/search"
)

// A chain (Observation?patient.name=smith) or _has is settled in one of two ways: by finding the other resources first,
// when they are few enough to hold, and then what refers to them; or, when something else narrows the search, by looking at
// the other resource of each candidate. Either way the other resource is found under the scope.

// hop finds the other resources of a chain or _has, unless they are too many.
func (f *finder) hop(p *plan, pc *planned) error {
	refs := map[string]bool{}
	overflow := false
	looked := f.looked
	for typ, conds := range pc.c.inner {
		err := f.each(typ, conds, f.r.limits.Set, func(s *subject) error {
			if pc.c.form == formHas {
				addRefs(refs, s, pc.c.via, p.typ)
			} else {
				refs[s.version.Ref.String()] = true
			}
			return nil
		})
		if fault.Is(err, fault.TooCostly) {
			overflow = true
			break
		}
		if err != nil {
			return err
		}
	}
	if overflow || len(refs) > f.r.limits.Set {
		f.looked = looked
		return nil // asked row by row
	}
	if err := f.addKin(refs); err != nil {
		return err
	}
	pc.refs = refs
	if pc.c.form == formHas {
		return f.residents(p, pc)
	}
	return f.estimate(p, pc)
}

func addRefs(refs map[string]bool, s *subject, code, typ string) {
	for _, have := range s.of(code) {
		if ref, ok := have.(search.Reference); ok && ref.Relative() && ref.Type == typ {
			refs[refKey(ref)] = true
		}
	}
}

// residents turns the references that _has came to into a list of candidates.
func (f *finder) residents(p *plan, pc *planned) error {
	src := &source{list: []resident{}, exact: true}
	for ref := range pc.refs {
		w, err := f.r.find(f.tx, Ref{f.tenant, p.typ, ref[len(p.typ)+1:]})
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		src.list = append(src.list, resident{lane: w.lane, rid: w.rid})
	}
	src.list = sortResidents(src.list)
	pc.src, pc.est = src, len(src.list)
	return nil
}

// each visits every resource of a type that satisfies conds, up to most; more are too costly.
func (f *finder) each(typ string, conds []cond, most int, visit func(*subject) error) error {
	p, none, err := f.plan(typ, conds, nil, 0)
	if err != nil || none {
		return err
	}
	n := 0
	return f.run(p, nil, func(s *subject, _ place) (bool, error) {
		if n++; n > most {
			return false, tooCostly()
		}
		return true, visit(s)
	})
}

// chained reports whether one of the subject's references leads to a resource that satisfies the chain.
func (f *finder) chained(pc *planned, s *subject) (bool, error) {
	for _, have := range s.of(pc.c.code) {
		ref, ok := have.(search.Reference)
		if !ok || !ref.Relative() {
			continue
		}
		if pc.refs != nil {
			if pc.refs[refKey(ref)] {
				return true, nil
			}
			continue
		}
		conds, ok := pc.c.inner[ref.Type]
		if !ok {
			continue
		}
		if ok, err := f.fitPerson(ref, conds); err != nil || ok {
			return ok, err
		}
	}
	return false, nil
}

// fitPerson is fit for whom a reference names, in any of their charts.
func (f *finder) fitPerson(ref search.Reference, conds []cond) (bool, error) {
	ok, err := f.fit(ref, conds)
	if err != nil || ok || ref.Type != "Patient" {
		return ok, err
	}
	kin, err := f.kin(ref.ID)
	for _, id := range kin {
		if ok, err := f.fit(search.Reference{Type: ref.Type, ID: id}, conds); err != nil || ok {
			return ok, err
		}
	}
	return false, err
}

// fit reports whether the resource that ref names is visible and satisfies conds. Answers are kept for the search.
func (f *finder) fit(ref search.Reference, conds []cond) (bool, error) {
	key := fitKey{&conds[0], refKey(ref)}
	if ok, known := f.fits[key]; known {
		return ok, nil
	}
	ok, err := f.fitNow(ref, conds)
	if err == nil {
		f.fits[key] = ok
	}
	return ok, err
}

func (f *finder) fitNow(ref search.Reference, conds []cond) (bool, error) {
	kind, known := f.r.words.kind(f.tenant.String(), ref.Type)
	if !known || !f.scope.Allows(ref.Type) {
		return false, nil
	}
	w, err := f.r.find(f.tx, Ref{f.tenant, ref.Type, ref.ID})
	if fault.Is(err, fault.NotFound) {
		return false, nil
	}
	if err != nil {
		return false, err
	}
	p := &plan{typ: ref.Type, kind: kind, drive: driveList}
	for i := range conds {
		p.conds = append(p.conds, &planned{c: &conds[i]})
	}
	subjects, err := f.fetch(p, []resident{{lane: w.lane, rid: w.rid}})
	if err != nil || len(subjects) == 0 {
		return false, err
	}
	return f.satisfies(p, subjects[0])
}

// referred reports whether a resource that satisfies the _has refers to the subject.
func (f *finder) referred(pc *planned, s *subject) (bool, error) {
	self := s.version.Ref.String()
	if pc.refs != nil {
		return pc.refs[self], nil
	}
	refs := []string{self}
	if s.version.Type == "Patient" {
		kin, err := f.kin(s.version.ID)
		if err != nil {
			return false, err
		}
		for _, id := range kin {
			refs = append(refs, "Patient/"+id)
		}
	}
	conds := append([]cond{{code: pc.c.via, form: formReference, values: []value{{refs: refs}}}}, pc.c.inner[pc.c.target]...)
	p, none, err := f.plan(pc.c.target, conds, nil, 1)
	if err != nil || none {
		return false, err
	}
	found := false
	err = f.run(p, nil, func(*subject, place) (bool, error) {
		found = true
		return false, nil
	})
	return found, err
}
