package access

import (
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// Grant says that one principal may do one action at one place, why, and until when. Only this package makes Grants
// that open anything: the zero Grant covers nothing.
type Grant struct{ p *grant }

type grant struct {
	principal Principal
	action    Action
	place     Place
	purpose   string
	basis     string
	request   string
	made      time.Time
	needsBond bool  // rests on a relationship, which must still hold when a write is committed
	entry     int64 // inside Gate.Act: the sequence of its entry on the account
}

// Valid reports whether g was made by a decision.
func (g Grant) Valid() bool { return g.p != nil }

// Principal is who was granted.
func (g Grant) Principal() Principal { return g.get().principal }

// Tenant is whose record.
func (g Grant) Tenant() ident.ODSCode { return g.get().place.Tenant }

// Chart is whose chart within the tenant; "" where no person is concerned.
func (g Grant) Chart() string { return g.get().place.Chart }

// Action is what was granted.
func (g Grant) Action() Action { return g.get().action }

// Place is where.
func (g Grant) Place() Place { return g.get().place }

// Opens reports whether the grant is for a: what may be amended in the national demographics service may be created and updated
// there.
func (g Grant) Opens(a Action) bool {
	w := g.get()
	return g.p != nil && (w.action == a || w.action == Amend && (a == Create || a == Update))
}

// Purpose is why, as a code of HL7 v3 PurposeOfUse.
func (g Grant) Purpose() string { return g.get().purpose }

// Basis names the rule that permits, and the relationship it rests on: "clinician-relationship: care-team".
func (g Grant) Basis() string { return g.get().basis }

var noGrant = grant{}

func (g Grant) get() *grant {
	if g.p == nil {
		return &noGrant
	}
	return g.p
}

// Covers is nil when the grant opens place, and fault.Internal when it does not: a function that was handed a grant
// for one record and reaches for another is a mistake of ours, and stops here.
// A grant for a type as a whole (no ID) covers each resource of that type in the same chart.
func (g Grant) Covers(place Place) error {
	w := g.get().place
	switch {
	case g.p == nil:
		return fault.New(fault.Internal, "there is no grant")
	case place.Tenant != w.Tenant:
		return fault.New(fault.Internal, "the grant is for another tenant")
	case place.Chart != w.Chart:
		return fault.New(fault.Internal, "the grant is for another chart")
	case place.Author != "" && place.Author != w.Author:
		return fault.New(fault.Internal, "the grant is for what somebody else wrote")
	case place.Reveals != "" && w.Reveals == "":
		return fault.New(fault.Internal, "the grant does not let a label be taken away")
	case place.Type != w.Type:
		return fault.New(fault.Internal, "the grant is for type %q, not %q", w.Type, place.Type)
	case w.ID != "" && place.ID != w.ID:
		return fault.New(fault.Internal, "the grant is for another resource")
	case place.Label&^w.Label&hidden != 0:
		return fault.New(fault.Internal, "the grant was made before the place was hidden")
	}
	return nil
}
