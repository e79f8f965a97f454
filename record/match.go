package record

import (
	"math"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir/search"
)

// subject is a resource that a search looks at, with what it can be found by.
type subject struct {
	row     row
	version Version
	extract *search.Index
	drawn   map[string][]search.Value // by parameter, as they were asked for
}

// of are the values of one parameter. Most searches ask for one or two of the dozens that a resource has.
func (s *subject) of(code string) []search.Value {
	if values, ok := s.drawn[code]; ok {
		return values
	}
	values, err := s.extract.Values(s.version.Resource, code)
	if err != nil {
		return nil // only a type that is not defined fails, and none such is stored
	}
	if s.drawn == nil {
		s.drawn = make(map[string][]search.Value, 2)
	}
	s.drawn[code] = values
	return values
}

// holds reports whether the subject satisfies a condition that concerns nothing but itself. Chains and _has are settled
// by the search that knows the others. at is when the search runs, for ap.
func (s *subject) holds(c *cond, at time.Time) (bool, error) {
	switch c.form {
	case formID:
		return anyOf(c.values, func(v *value) bool { return v.text == s.row.id }), nil
	case formUpdated:
		us := s.row.at
		return anyOf(c.values, func(v *value) bool { return dateHolds(v, search.Date{Lo: us, Hi: us}, at) }), nil
	case formText:
		text := search.Content(s.version.Resource)
		if c.code == "_text" {
			text = search.Narrative(s.version.Resource)
		}
		return anyOf(c.values, func(v *value) bool { return hasWords(text, v.folded) }), nil
	case formMissing:
		missing := len(s.of(c.code)) == 0
		return anyOf(c.values, func(v *value) bool { return v.missing == missing }), nil
	case formIn:
		return s.inSet(c)
	case formCompartment:
		return s.inCompartment(c), nil
	}
	found := false
	for _, have := range s.of(c.code) {
		if anyOf(c.values, func(v *value) bool { return valueHolds(c, v, have, at) }) {
			found = true
			break
		}
	}
	return found != (c.modifier == "not"), nil
}

func anyOf(values []value, holds func(*value) bool) bool {
	for i := range values {
		if holds(&values[i]) {
			return true
		}
	}
	return false
}

func (s *subject) inSet(c *cond) (bool, error) {
	in := false
	for _, have := range s.of(c.code) {
		t, ok := have.(search.Token)
		if !ok || t.Code == "" {
			continue
		}
		member, known := c.set.Contains(systemOf(t), t.Code)
		if !known {
			return false, fault.New(fault.Unprocessable, "%s: whether %s is in that value set cannot be told here.", c.name(), t.Code)
		}
		in = in || member
	}
	return in == (c.modifier == "in"), nil
}

func (s *subject) inCompartment(c *cond) bool {
	if s.version.Type == c.ctype && c.about(s.row.id) {
		return true
	}
	for _, code := range c.codes {
		for _, have := range s.of(code) {
			if ref, ok := have.(search.Reference); ok && ref.Relative() && ref.Type == c.ctype && c.about(ref.ID) {
				return true
			}
		}
	}
	return false
}

// about reports whether id is whose compartment is searched.
func (c *cond) about(id string) bool { return id == c.cid || slices.Contains(c.kin, id) }

// valueHolds compares one indexed value with one alternative of a parameter.
func valueHolds(c *cond, want *value, have search.Value, at time.Time) bool {
	switch have := have.(type) {
	case search.Token:
		return tokenHolds(c, want, have)
	case search.String:
		switch c.modifier {
		case "exact":
			return have.Text == want.text
		case "contains":
			return strings.Contains(have.Folded, want.folded)
		}
		return strings.HasPrefix(have.Folded, want.folded)
	case search.Date:
		return dateHolds(want, have, at)
	case search.Number:
		return numberHolds(want.prefix, want.number, have)
	case search.Quantity:
		return quantityHolds(want, have)
	case search.Reference:
		return referenceHolds(c, want, have)
	case search.URI:
		switch c.modifier {
		case "below":
			return have.URI == want.text || strings.HasPrefix(have.URI, strings.TrimSuffix(want.text, "/")+"/")
		case "above":
			return have.URI == want.text || strings.HasPrefix(want.text, strings.TrimSuffix(have.URI, "/")+"/")
		}
		return have.URI == want.text
	case search.Near:
		return distance(want.lat, want.lon, have.Latitude, have.Longitude) <= want.km
	case search.Composite:
		return compositeHolds(c, want, have, at)
	}
	return false
}

func compositeHolds(c *cond, want *value, have search.Composite, at time.Time) bool {
	if len(have.Parts) != len(want.parts) {
		return false
	}
	plain := cond{code: c.code, param: c.param}
	for i := range have.Parts {
		if !valueHolds(&plain, &want.parts[i], have.Parts[i], at) {
			return false
		}
	}
	return true
}

func tokenHolds(c *cond, want *value, have search.Token) bool {
	switch c.form {
	case formTokenText:
		return hasWords(search.Fold(have.Text), want.folded)
	case formOfType:
		for _, t := range have.Types {
			if t.System == want.system && t.Code == want.text && strings.EqualFold(have.Code, want.code) {
				return true
			}
		}
		return false
	}
	return sameToken(want, have)
}

func sameToken(want *value, have search.Token) bool {
	if have.Code == "" {
		return false
	}
	switch {
	case want.anySystem:
	case want.system == "":
		if have.System != "" {
			return false
		}
	case systemOf(have) != want.system:
		return false
	}
	return want.code == "" || strings.EqualFold(have.Code, want.code)
}

// hasWords reports whether text, folded, begins with want or has a word that does.
func hasWords(text, want string) bool {
	return strings.HasPrefix(text, want) || strings.Contains(text, " "+want)
}

func referenceHolds(c *cond, want *value, have search.Reference) bool {
	if c.form == formIdentifier {
		return sameToken(want, have.Identifier)
	}
	if want.version != "" && have.Version != want.version {
		return false
	}
	key := refKey(have)
	for _, ref := range want.refs {
		if ref == key {
			return true
		}
	}
	return false
}

// refKey is a reference as conditions write it: "Type/id" within the tenant, else the address.
func refKey(ref search.Reference) string {
	if ref.Relative() {
		return ref.Type + "/" + ref.ID
	}
	return ref.URL
}

// dateHolds compares spans of time as https://hl7.org/fhir/R4/search.html#prefix says.
func dateHolds(want *value, have search.Date, at time.Time) bool {
	within := have.Lo >= want.lo && have.Hi <= want.hi
	switch want.prefix {
	case "ne":
		return !within
	case "gt":
		return have.Hi > want.hi
	case "lt":
		return have.Lo < want.lo
	case "ge":
		return within || have.Hi > want.hi
	case "le":
		return within || have.Lo < want.lo
	case "sa":
		return have.Lo > want.hi
	case "eb":
		return have.Hi < want.lo
	case "ap":
		lo, hi := around(want, at)
		return have.Lo <= hi && have.Hi >= lo
	}
	return within
}

// around widens a span by a tenth of its distance from now, and a day at least.
func around(want *value, at time.Time) (lo, hi int64) {
	gap := at.UnixMicro() - want.lo
	if gap < 0 {
		gap = -gap
	}
	gap = max(gap/10, day)
	return want.lo - gap, want.hi + gap
}

func numberHolds(prefix string, want, have search.Number) bool {
	lo, hi := have.Value, have.Value
	if !isPoint(have) {
		lo, hi = have.Lo, have.Hi
	}
	within := lo >= want.Lo && hi <= want.Hi && (hi < want.Hi || lo == hi && hi == want.Value)
	switch prefix {
	case "ne":
		return !within
	case "gt":
		return hi > want.Value
	case "lt":
		return lo < want.Value
	case "ge":
		return within || hi >= want.Value
	case "le":
		return within || lo <= want.Value
	case "sa":
		return lo > want.Value
	case "eb":
		return hi < want.Value
	case "ap":
		tenth := math.Abs(want.Value) / 10
		return lo <= want.Value+tenth && hi >= want.Value-tenth
	}
	return within
}

func quantityHolds(want *value, have search.Quantity) bool {
	switch {
	case want.system == "" && want.code == "":
		return numberHolds(want.prefix, want.number, have.Number)
	case want.system == "":
		return (have.Code == want.code || have.Unit == want.code) && numberHolds(want.prefix, want.number, have.Number)
	case have.System == want.system && have.Code == want.code:
		return numberHolds(want.prefix, want.number, have.Number)
	}
	return want.base.Code != "" && have.Base.Code == want.base.Code && numberHolds(want.prefix, want.base.Number, have.Base.Number)
}

// distance is kilometres over the sphere.
func distance(lat1, lon1, lat2, lon2 float64) float64 {
	const radius, degree = 6371.0, math.Pi / 180
	a := math.Sin((lat2 - lat1) * degree / 2)
	b := math.Sin((lon2 - lon1) * degree / 2)
	h := a*a + math.Cos(lat1*degree)*math.Cos(lat2*degree)*b*b
	return 2 * radius * math.Asin(math.Min(1, math.Sqrt(h)))
}
