package search

import (
	"math"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
)

// ParseNumber is the range that a decimal's digits allow: half of the last digit's worth to either side. What is no
// number is fault.Invalid.
func ParseNumber(s string) (Number, error) {
	if n, ok := parseNumber(s); ok {
		return n, nil
	}
	return Number{}, fault.New(fault.Invalid, "this is not a number: it should look like 100, -5.40 or 1e2")
}

func parseNumber(s string) (Number, bool) {
	if s == "" || strings.Trim(s, "0123456789+-.eE") != "" {
		return Number{}, false
	}
	v, err := strconv.ParseFloat(s, 64)
	if err != nil {
		return Number{}, false
	}
	mantissa, power, _ := strings.Cut(strings.ToLower(s), "e")
	exponent := 0
	if power != "" {
		if exponent, err = strconv.Atoi(power); err != nil {
			return Number{}, false
		}
	}
	if dot := strings.IndexByte(mantissa, '.'); dot >= 0 {
		exponent -= len(mantissa) - dot - 1
	}
	half := 0.5 * math.Pow10(exponent)
	return Number{Lo: v - half, Hi: v + half, Value: v}, true
}

func (w *walker) number(typ string, n fhir.Node) {
	switch typ {
	case "integer", "positiveInt", "unsignedInt":
		if v, err := strconv.ParseFloat(n.String(), 64); err == nil {
			w.add(Number{v, v, v})
		}
	case "decimal":
		if v, ok := parseNumber(n.String()); ok {
			w.add(v)
		}
	case "Range":
		if q, ok := rangeOf(n); ok {
			w.add(q.Number)
		}
	}
}

func (w *walker) quantity(typ string, n fhir.Node) {
	switch typ {
	case "Quantity", "Age", "Count", "Distance", "Duration", "SimpleQuantity", "MoneyQuantity":
		if w.recall(n) {
			return
		}
		if q, ok := quantityOf(n); ok {
			w.addKnown(n, q)
		}
	case "Money":
		if v, ok := parseNumber(n.Field("value").String()); ok {
			currency := n.Field("currency").String()
			w.add(Quantity{Number: v, System: Currencies, Code: currency, Unit: currency})
		}
	case "Range":
		if q, ok := rangeOf(n); ok {
			w.add(q)
		}
	case "SampledData":
		if q, ok := sampled(n); ok {
			w.add(q)
		}
	}
}

// quantityOf reads a Quantity; a comparator opens its range at one side ("<5" is everything below).
func quantityOf(n fhir.Node) (Quantity, bool) {
	v, ok := parseNumber(n.Field("value").String())
	if !ok {
		return Quantity{}, false
	}
	switch n.Field("comparator").String() {
	case "<":
		v.Lo, v.Hi = math.Inf(-1), v.Value
	case "<=":
		v.Lo = math.Inf(-1)
	case ">", ">=":
		v.Hi = math.Inf(1)
	}
	q := Quantity{Number: v, System: n.Field("system").String(), Code: n.Field("code").String(), Unit: n.Field("unit").String()}
	q.Base = base(q)
	return q, true
}

// rangeOf reads a Range as one quantity from low to high; a missing end is open.
func rangeOf(n fhir.Node) (Quantity, bool) {
	low, hasLow := quantityOf(n.Field("low"))
	high, hasHigh := quantityOf(n.Field("high"))
	switch {
	case !hasLow && !hasHigh:
		return Quantity{}, false
	case !hasLow:
		high.Lo = math.Inf(-1)
		high.Base = base(high)
		return high, true
	case !hasHigh:
		low.Hi = math.Inf(1)
		low.Base = base(low)
		return low, true
	}
	low.Hi, low.Value = high.Hi, (low.Value+high.Value)/2
	low.Base = base(low)
	return low, low.Lo <= low.Hi
}

// sampled reads SampledData as one quantity from its least to its greatest value.
func sampled(n fhir.Node) (Quantity, bool) {
	origin, ok := quantityOf(n.Field("origin"))
	if !ok {
		return Quantity{}, false
	}
	factor := 1.0
	if f, err := strconv.ParseFloat(n.Field("factor").String(), 64); err == nil {
		factor = f
	}
	lo, hi := math.Inf(1), math.Inf(-1)
	for s := range strings.FieldsSeq(n.Field("data").String()) {
		if v, err := strconv.ParseFloat(s, 64); err == nil && !math.IsNaN(v) && !math.IsInf(v, 0) {
			v = origin.Value + v*factor
			lo, hi = min(lo, v), max(hi, v)
		}
	}
	if lo > hi {
		return Quantity{}, false
	}
	origin.Number = Number{lo, hi, (lo + hi) / 2}
	origin.Base = base(origin)
	return origin, true
}

func base(q Quantity) Measure {
	if q.System != UCUM {
		return Measure{}
	}
	m, _ := Canonical(q.Number, q.Code)
	return m
}

// scale is a unit as a multiple of its base unit.
type scale struct {
	base   string
	factor float64
}

// scales are the units that are common in care and convert by a factor alone. Units that count something particular
// ([iU], {cells}) are their own base.
var scales = map[string]scale{
	"kg": {"g", 1e3}, "g": {"g", 1}, "mg": {"g", 1e-3}, "ug": {"g", 1e-6}, "ng": {"g", 1e-9}, "pg": {"g", 1e-12}, "t": {"g", 1e6},
	"[lb_av]": {"g", 453.59237}, "[oz_av]": {"g", 28.349523125}, "[stone_av]": {"g", 6350.29318},
	"km": {"m", 1e3}, "m": {"m", 1}, "dm": {"m", 1e-1}, "cm": {"m", 1e-2}, "mm": {"m", 1e-3}, "um": {"m", 1e-6}, "nm": {"m", 1e-9},
	"[in_i]": {"m", 0.0254}, "[ft_i]": {"m", 0.3048}, "[yd_i]": {"m", 0.9144}, "[mi_i]": {"m", 1609.344},
	"L": {"L", 1}, "l": {"L", 1}, "dL": {"L", 1e-1}, "dl": {"L", 1e-1}, "cL": {"L", 1e-2}, "mL": {"L", 1e-3}, "ml": {"L", 1e-3},
	"uL": {"L", 1e-6}, "ul": {"L", 1e-6}, "nL": {"L", 1e-9}, "fL": {"L", 1e-15}, "pL": {"L", 1e-12},
	"mol": {"mol", 1}, "mmol": {"mol", 1e-3}, "umol": {"mol", 1e-6}, "nmol": {"mol", 1e-9}, "pmol": {"mol", 1e-12},
	"eq": {"eq", 1}, "meq": {"eq", 1e-3}, "osm": {"osm", 1}, "mosm": {"osm", 1e-3},
	"s": {"s", 1}, "ms": {"s", 1e-3}, "us": {"s", 1e-6}, "min": {"s", 60}, "h": {"s", 3600}, "d": {"s", 86400}, "wk": {"s", 604800},
	"mo": {"s", 2629800}, "a": {"s", 31557600},
	"Pa": {"Pa", 1}, "hPa": {"Pa", 100}, "kPa": {"Pa", 1e3}, "mm[Hg]": {"Pa", 133.322}, "cm[H2O]": {"Pa", 98.0665}, "bar": {"Pa", 1e5}, "mbar": {"Pa", 100},
	"J": {"J", 1}, "kJ": {"J", 1e3}, "cal": {"J", 4.184}, "kcal": {"J", 4184}, "Hz": {"Hz", 1}, "kHz": {"Hz", 1e3},
	"U": {"U", 1}, "mU": {"U", 1e-3}, "kU": {"U", 1e3}, "[iU]": {"[iU]", 1}, "[IU]": {"[iU]", 1}, "k[iU]": {"[iU]", 1e3}, "m[iU]": {"[iU]", 1e-3},
	"V": {"V", 1}, "mV": {"V", 1e-3}, "A": {"A", 1}, "mA": {"A", 1e-3}, "1": {"1", 1}, "%": {"1", 1e-2}, "10*3": {"1", 1e3}, "10*6": {"1", 1e6},
	"10*9": {"1", 1e9}, "10*12": {"1", 1e12}, "K": {"K", 1}, "m2": {"m2", 1}, "cm2": {"m2", 1e-4},
}

// Canonical converts a range in a UCUM unit to the unit's base form: "mg/dL" to "g.L-1", written "g/L". It knows single
// units that are common in care and one quotient of two; ok is false for any other.
func Canonical(n Number, code string) (m Measure, ok bool) {
	switch code {
	case "Cel":
		return Measure{Number{n.Lo + 273.15, n.Hi + 273.15, n.Value + 273.15}, "K"}, true
	case "[degF]":
		f := func(v float64) float64 { return (v + 459.67) * 5 / 9 }
		return Measure{Number{f(n.Lo), f(n.Hi), f(n.Value)}, "K"}, true
	}
	over, under, quotient := strings.Cut(code, "/")
	s, ok := unit(over)
	if !ok && !(quotient && over == "") {
		return Measure{}, false
	}
	if over == "" {
		s = scale{"1", 1}
	}
	if quotient {
		d, ok := unit(under)
		if !ok {
			return Measure{}, false
		}
		s = scale{s.base + "/" + d.base, s.factor / d.factor}
	}
	return Measure{Number{n.Lo * s.factor, n.Hi * s.factor, n.Value * s.factor}, s.base}, true
}

// unit finds a single unit; an annotation in braces says what is counted and does not change it.
func unit(code string) (scale, bool) {
	if i := strings.IndexByte(code, '{'); i >= 0 && strings.HasSuffix(code, "}") {
		if code = code[:i]; code == "" {
			code = "1"
		}
	}
	s, ok := scales[code]
	return s, ok
}
