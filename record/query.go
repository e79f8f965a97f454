package record

import (
	"github.com/openspine/openspine/fhir/definition"
	"github.com/openspine/openspine/fhir/search"
	"github.com/openspine/openspine/ident"
)

// Query is a search that was understood. ParseQuery makes it.
type Query struct {
	Type  string   // the type searched; "" when Types says which
	Types []string // the types of a search over several, in order

	Count    int    // entries on a page, 0 for none (a count alone)
	Total    string // none, estimate or accurate; "" leaves it to the record
	Summary  string // true, text, data, count or false: for whoever renders
	Elements []string
	Cursor   string // Page.Next of the page before

	conds    map[string][]cond // by type
	sort     []sortKey
	includes []include
	text     string // the query in one order, to bind cursors to
}

// cond is one parameter that a resource must satisfy.
type cond struct {
	code     string
	form     form
	param    *definition.SearchParameter
	modifier string
	values   []value // any of them

	set    *definition.ValueSet // :in, :not-in
	inner  map[string][]cond    // chain, has: what the other resource must satisfy, by its type
	via    string               // has: the parameter of the other resource that refers to this one
	target string               // has: the other's type
	ctype  string               // compartment: Patient …
	cid    string
	kin    []string // compartment: the ids of the person's other charts
	codes  []string // compartment: the parameters that put a resource of this type in it
}

// form is how a condition is understood and found.
type form uint8

const (
	formToken form = iota
	formString
	formDate
	formNumber
	formQuantity
	formReference
	formURI
	formComposite
	formNear
	formID          // _id
	formUpdated     // _lastUpdated
	formText        // _text, _content
	formMissing     // :missing
	formIn          // :in, :not-in
	formIdentifier  // reference:identifier
	formOfType      // token:of-type
	formTokenText   // token:text
	formChain       // reference.parameter
	formHas         // _has
	formCompartment // /Patient/123/…
)

// value is one alternative of a parameter.
type value struct {
	prefix       string // eq, ne, gt …
	text         string // string, id
	folded       string
	anySystem    bool // token: no bar was given
	system, code string
	lo, hi       int64          // date: µs, both included
	number       search.Number  // number, quantity
	base         search.Measure // quantity: in the base unit, where it converts
	refs         []string       // reference: "Patient/123", for each type that it may be; or an absolute URL
	version      string
	missing      bool
	lat, lon, km float64
	parts        []value // composite
}

type sortKey struct {
	code  string
	param *definition.SearchParameter // nil for _id and _lastUpdated
	desc  bool
}

// include is one _include or _revinclude.
type include struct {
	reverse bool
	iterate bool
	source  string // the type that refers
	param   string // "*" for every reference
	target  string // "" for any
}

// identifiers are the identifier values that the query names, if a resource must carry one of them: one list for each
// such parameter. There is no list when the query does not bind its matches so.
func (q Query) identifiers() [][]string {
	var lists [][]string
	for _, c := range q.conds[q.Type] {
		if c.code != "identifier" || c.form != formToken || c.modifier != "" {
			continue
		}
		var values []string
		for _, v := range c.values {
			if v.code == "" {
				return nil
			}
			values = append(values, v.code)
		}
		lists = append(lists, values)
	}
	return lists
}

// charts are the patients one of whom the query names as the one that its matches are about.
func (q Query) charts() []string {
	for _, c := range q.conds[q.Type] {
		switch {
		case q.Type == "Patient" && c.form == formID:
			var ids []string
			for _, v := range c.values {
				ids = append(ids, v.text)
			}
			return ids
		case c.form == formReference && c.modifier == "" && definesChart(q.Type, c.code):
			if ids := patientsOf(c.values); ids != nil {
				return ids
			}
		}
	}
	return nil
}

// definesChart reports whether the chart of a type's resources is always what the parameter refers to; see search.Chart.
func definesChart(typ, code string) bool {
	switch typ {
	case "Account", "Appointment", "AppointmentResponse", "AuditEvent", "Person", "Provenance", "ResearchSubject", "Task":
		return false
	}
	return code == "patient" || code == "subject" || code == "beneficiary"
}

func patientsOf(values []value) []string {
	var ids []string
	for _, v := range values {
		found := false
		for _, ref := range v.refs {
			if id, ok := search.PatientID(ref); ok {
				ids, found = append(ids, id), true
			}
		}
		if !found {
			return nil
		}
	}
	return ids
}

// AboutChart is the one patient whose chart the query asks for, if it asks for one: Observation?patient=1, /Patient/1/Observation.
func (q Query) AboutChart() (string, bool) {
	if charts := q.charts(); len(charts) == 1 {
		return charts[0], true
	}
	for _, conds := range q.conds {
		for _, c := range conds {
			if c.form == formCompartment && c.ctype == "Patient" {
				return c.cid, true
			}
		}
	}
	return "", false
}

// Concerns lists the types that the search may show: for access to decide on.
func (q Query) Concerns() []string {
	if q.Type != "" {
		return []string{q.Type}
	}
	return q.Types
}

// InCompartment narrows a query to what belongs to a patient, encounter, practitioner, related person or device. The query's
// type, or those of its types that can, must be able to belong there.
func (r *Records) InCompartment(q Query, compartment string, id ident.FHIRID) (Query, error) {
	def := r.index.defs.Compartment(compartment)
	if def == nil {
		return q, unknownCompartment(compartment)
	}
	types := q.Concerns()
	if q.Type == "" && len(types) == 0 {
		types = r.index.types()
	}
	conds := map[string][]cond{}
	var kept []string
	for _, typ := range types {
		codes := def.Params[typ]
		self := typ == compartment
		if len(codes) == 0 && !self {
			continue
		}
		c := cond{code: compartment, form: formCompartment, ctype: compartment, cid: id.String(), codes: codes}
		kept = append(kept, typ)
		conds[typ] = append([]cond{c}, q.conds[typ]...)
	}
	if len(kept) == 0 {
		return q, notInCompartment(q.Type, compartment)
	}
	q.conds = conds
	if q.Type == "" {
		q.Types = kept
	}
	q.text = compartment + "/" + id.String() + "/" + q.text
	return q, nil
}
