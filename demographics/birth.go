package demographics

import (
	"encoding/json"
	"strconv"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
)

// birth: a record at birth. The body is a Bundle that holds the child, a Patient without NHS number; who gave birth, a Patient or
// RelatedPerson with one; and, if it was weighed, an Observation. The child gets a number, is found from then on, and keeps where and
// in which order it was born (examples/postPdsRecordAtBirthResponses).
func (s *register) birth(c *call) error {
	return s.enrol(c, func(body any) (object, error) {
		r := rules{mode: c.mode, now: s.k.Clock.Now().UTC()}
		return s.delivered(c, r, body)
	})
}

// mostGrams bounds a birth weight.
const mostGrams = 9999

// delivered reads a notice of a birth.
func (s *register) delivered(c *call, r rules, body any) (object, error) {
	bundle, _ := body.(object)
	entries, _ := bundle["entry"].([]any)
	var child object
	at, mother := "", ""
	for i, v := range entries {
		entry, _ := v.(object)
		res, _ := entry["resource"].(object)
		here := "entry/" + strconv.Itoa(i) + "/resource"
		number, numbered := numberOf(res)
		switch kind := textIn(res, "resourceType"); {
		case (kind == "Patient" || kind == "RelatedPerson") && numbered:
			if number == "" {
				return nil, missing(here + "/identifier/0/value")
			}
			mother = number
		case kind == "Patient":
			child, at = res, here+"/"
		case kind == "Observation":
			if err := weight(here, res); err != nil {
				return nil, err
			}
		}
	}
	if child == nil {
		return nil, missing("entry")
	}
	for _, name := range []string{"name", "address", "gender", "birthDate"} {
		if child[name] == nil {
			return nil, missing(at + name)
		}
	}
	if mother == "" {
		return nil, missing("entry/identifier")
	}
	n, err := ident.ParseNHSNumber(mother)
	if err != nil {
		return nil, invalidIn("entry/identifier/0/value", mother)
	}
	if _, err := s.person(c, n, access.Trace); err != nil {
		return nil, err
	}
	if born := textIn(child, "birthDate"); isDate(born) && born < r.now.AddDate(0, -6, 0).Format(time.DateOnly) {
		return nil, refuse(invalidCreate, "Invalid create with error - the birth date is more than six months ago")
	}
	var keep []any
	list, _ := child["extension"].([]any)
	for i, v := range list {
		item, _ := v.(object)
		if textIn(item, "url") == BirthPlaceURL {
			if err := r.extension(at+"extension/"+strconv.Itoa(i), BirthPlaceURL, item, nil); err != nil {
				return nil, err
			}
			keep = append(keep, item)
		}
	}
	return r.identity(child, at, keep)
}

// numberOf is the NHS number that a resource carries; ok reports whether it has such an identifier.
func numberOf(res object) (number string, ok bool) {
	list, _ := res["identifier"].([]any)
	for _, v := range list {
		if id, is := v.(object); is && textIn(id, "system") == ident.SystemNHSNumber {
			return textIn(id, "value"), true
		}
	}
	return "", false
}

// weight holds a birth weight in grams.
func weight(at string, observation object) error {
	q, given := observation["valueQuantity"].(object)
	if !given {
		return nil
	}
	if q["value"] == nil {
		return missing(at + "/valueQuantity/value")
	}
	n, _ := q["value"].(json.Number)
	if grams, err := n.Int64(); err != nil || grams < 1 || grams > mostGrams {
		return invalidIn(at+"/valueQuantity/value", written(q["value"]))
	}
	return nil
}
