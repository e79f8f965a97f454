package format

import "strings"

// Medicine is what a line of medication says. Each part is text as people write it; what is not known is left out.
type Medicine struct {
	Name      string // generic: amoxicillin
	Strength  string // 500 mg
	Form      string // capsules
	Dose      string // 1 capsule
	Route     string // oral
	Frequency string // three times a day
}

// String is the line: "amoxicillin 500 mg capsules — DOSE 1 capsule — oral — three times a day". The name is in lower
// case; amounts have a space before their unit, units that are mistaken for one another are in full.
func (m Medicine) String() string {
	what := join(" ", strings.ToLower(clean(m.Name)), amounts(m.Strength), clean(m.Form))
	dose := amounts(m.Dose)
	if dose != "" {
		dose = "DOSE " + dose
	}
	return join(" — ", what, dose, clean(m.Route), clean(m.Frequency))
}

func join(sep string, parts ...string) string {
	var kept []string
	for _, p := range parts {
		if p != "" {
			kept = append(kept, p)
		}
	}
	return strings.Join(kept, sep)
}

// doseUnits are the units that a line of medication is mended to. The list is short on purpose: "1 a day" is no unit.
var doseUnits = map[string]string{
	"ug": "microgram", "µg": "microgram", "μg": "microgram", "mcg": "microgram", "micrograms": "microgram",
	"ng": "nanogram", "nanograms": "nanogram", "iu": "unit", "u": "unit", "units": "unit", "ml": "mL", "mg": "mg", "g": "g", "kg": "kg", "l": "L",
}

// doseUnit mends a unit and, in "mg/5ml", the amount that it is in.
func doseUnit(unit string) string {
	per, in, ok := strings.Cut(unit, "/")
	if ok {
		if number, rest := splitAmount(in); number != "" {
			return doseUnit(per) + "/" + join(" ", number, doseUnit(rest))
		}
		return doseUnit(per) + "/" + doseUnit(in)
	}
	if w, ok := doseUnits[strings.ToLower(unit)]; ok {
		return w
	}
	return unit
}

// unitWords are units as they are written for people: from UCUM codes (https://ucum.org) and common spellings. Micro and
// nano are in full, because ug, mcg and mg have been mistaken for one another.
var unitWords = map[string]string{
	"ug": "microgram", "µg": "microgram", "μg": "microgram", "mcg": "microgram", "micrograms": "microgram",
	"ng": "nanogram", "nanograms": "nanogram", "iu": "unit", "[iu]": "unit", "u": "unit", "units": "unit",
	"ml": "mL", "l": "L", "mmol/l": "mmol/L", "umol/l": "micromol/L", "µmol/l": "micromol/L", "μmol/l": "micromol/L",
	"ug/l": "microgram/L", "ng/l": "nanogram/L", "ng/ml": "nanogram/mL", "ug/ml": "microgram/mL",
	"g/l": "g/L", "u/l": "unit/L", "10*9/l": "10⁹/L", "10*12/l": "10¹²/L", "cel": "°C", "mm[hg]": "mmHg",
	"{beats}/min": "beats/min", "/min": "per minute", "kg/m2": "kg/m²", "[degf]": "°F", "ml/min": "mL/min",
	"ml/min/{1.73_m2}": "mL/min/1.73 m²", "mm/h": "mm/hour", "h": "hour", "d": "day", "wk": "week", "mo": "month", "a": "year", "1": "",
}

// Unit is a unit as people read it: "ug" is "microgram". A unit that is not in the list is given back as it came.
func Unit(unit string) string {
	unit = clean(unit)
	if w, ok := unitWords[strings.ToLower(unit)]; ok {
		return w
	}
	return unit
}

// Quantity is an amount of a medicine: no zero after a point (5 mg, never 5.0 mg), a zero before one (0.5 mg, never
// .5 mg), a space before the unit. The value is a decimal number as text, as FHIR's JSON has it.
func Quantity(value, unit string) string {
	return join(" ", trimZeros(leadingZero(clean(value))), Unit(unit))
}

// Measured is a measured result: every digit that the laboratory reported is kept, for they say how sure it is.
func Measured(value, unit string) string {
	unit = Unit(unit)
	if unit == "%" {
		return leadingZero(clean(value)) + unit
	}
	return join(" ", leadingZero(clean(value)), unit)
}

func leadingZero(v string) string {
	switch {
	case strings.HasPrefix(v, "."):
		return "0" + v
	case strings.HasPrefix(v, "-."):
		return "-0" + v[1:]
	}
	return v
}

func trimZeros(v string) string {
	if !strings.Contains(v, ".") || strings.Trim(v, "-0123456789.") != "" {
		return v
	}
	return strings.TrimSuffix(strings.TrimRight(v, "0"), ".")
}

// amounts mends every amount in a short text: "500mg" is "500 mg", "5.0 mg" is "5 mg", "100 mcg" is "100 microgram".
func amounts(s string) string {
	var out []string
	for _, word := range strings.Fields(clean(s)) {
		number, unit := splitAmount(word)
		if number == "" {
			if len(out) > 0 && isNumber(out[len(out)-1]) {
				word = doseUnit(word)
			}
			out = append(out, word)
			continue
		}
		out = append(out, trimZeros(leadingZero(number)))
		if unit != "" {
			out = append(out, doseUnit(unit))
		}
	}
	return strings.Join(out, " ")
}

// splitAmount parts "500mg" into "500" and "mg", and "100mg/5ml" into "100" and "mg/5ml". A word that does not open with
// a number, or where what follows is not a unit, has no number.
func splitAmount(word string) (number, unit string) {
	n := len(word) - len(strings.TrimLeft(word, "0123456789.,"))
	number, unit = word[:n], word[n:]
	if !isNumber(number) || strings.HasPrefix(unit, "-") || strings.HasPrefix(unit, "/") || strings.HasPrefix(unit, "%") {
		return "", ""
	}
	return number, unit
}

func isNumber(s string) bool {
	return strings.Trim(s, "0123456789.,") == "" && strings.ContainsAny(s, "0123456789")
}
