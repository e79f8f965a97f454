package definition

import (
	"cmp"
	"slices"
	"sync"
)

// parameters are the search parameters of a set, by resource type and by URL.
type parameters struct {
	byType map[string][]SearchParameter
	byURL  map[string]*SearchParameter
}

// setParameters readies the parameters of s, to be decoded and spread over types on first use.
func (s *Set) setParameters(all func() []SearchParameter) {
	s.allParams = sync.OnceValue(all)
	s.params = sync.OnceValue(func() *parameters { return indexParameters(s.allParams(), s.resources, s.IsA) })
}

// indexParameters spreads parameters over the resource types they apply to; a later one replaces an earlier one of
// the same code on the same type, so that a package may refine the base.
func indexParameters(all []SearchParameter, resources []string, isA func(name, ancestor string) bool) *parameters {
	p := &parameters{byType: map[string][]SearchParameter{}, byURL: map[string]*SearchParameter{}}
	for i := range all {
		p.byURL[all[i].URL] = &all[i]
	}
	for _, r := range resources {
		seen := map[string]int{}
		var list []SearchParameter
		for _, sp := range all {
			if !slices.ContainsFunc(sp.Base, func(b string) bool { return isA(r, b) }) {
				continue
			}
			if at, had := seen[sp.Code]; had {
				list[at] = sp
				continue
			}
			seen[sp.Code] = len(list)
			list = append(list, sp)
		}
		slices.SortFunc(list, func(a, b SearchParameter) int { return cmp.Compare(a.Code, b.Code) })
		p.byType[r] = list
	}
	return p
}

// searchParameter draws the facts out of a SearchParameter resource.
func searchParameter(r *tree) SearchParameter {
	sp := SearchParameter{
		Code: r.val("code"), URL: r.val("url"), Type: r.val("type"), Expression: r.val("expression"),
		Base: r.vals("base"), Targets: r.vals("target"),
		Modifiers: r.vals("modifier"), Comparators: r.vals("comparator"), Chains: r.vals("chain"),
		SingleOr: r.val("multipleOr") == "false", SingleAnd: r.val("multipleAnd") == "false",
	}
	for _, c := range r.all("component") {
		sp.Components = append(sp.Components, Component{Definition: c.val("definition"), Expression: c.val("expression")})
	}
	return sp
}

// compartment draws the facts out of a CompartmentDefinition resource.
func compartment(r *tree) *Compartment {
	c := &Compartment{Code: r.val("code"), URL: r.val("url"), Params: map[string][]string{}}
	for _, k := range r.all("resource") {
		if params := k.vals("param"); len(params) > 0 {
			c.Params[k.val("code")] = params
		}
	}
	return c
}
