package search

import (
	"slices"

	"github.com/openspine/openspine/fhir"
)

// Membership says that a resource belongs to somebody's or something's compartment.
type Membership struct {
	// Code is Patient, Encounter, RelatedPerson, Practitioner or Device.
	Code string
	// ID is the logical id of the resource that the compartment is about.
	ID string
}

// self is how a compartment definition writes that the resource itself is what the compartment is about.
const self = "{def}"

// Compartments lists whose compartments the resource belongs to by its relative references, each once, by compartment in the order of their
// codes and then in the order of the definition's parameters (https://hl7.org/fhir/R4/compartmentdefinition.html).
func (x *Index) Compartments(r *fhir.Resource) []Membership {
	var all []Membership
	for _, code := range x.defs.Compartments() {
		for _, id := range x.members(r, code) {
			all = append(all, Membership{code, id})
		}
	}
	return all
}

func (x *Index) members(r *fhir.Resource, code string) []string {
	c := x.defs.Compartment(code)
	if c == nil {
		return nil
	}
	var ids []string
	if r.Type() == code && r.ID() != "" {
		ids = append(ids, r.ID())
	}
	for _, param := range c.Params[r.Type()] {
		if param == self {
			continue
		}
		values, err := x.Values(r, param)
		if err != nil {
			return ids
		}
		for _, v := range values {
			if ref, ok := v.(Reference); ok && ref.Relative() && ref.Type == code && !slices.Contains(ids, ref.ID) {
				ids = append(ids, ref.ID)
			}
		}
	}
	return ids
}
