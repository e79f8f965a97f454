package fhirpath

import (
	"math/big"
	"slices"
	"strings"
)

// The units are those of the Unified Code for Units of Measure (https://ucum.org/ucum) that health records use: the
// case-sensitive codes, their prefixes, and for each what it is in terms of others. Units of arbitrary measure ([IU],
// [pfu] …) are dimensions of their own. Logarithmic scales (pH, B) are too: they convert to nothing else.

// ucumPrefixes are the powers of ten, and of two for data.
var ucumPrefixes = map[string]string{
	"Y": "1e24", "Z": "1e21", "E": "1e18", "P": "1e15", "T": "1e12", "G": "1e9", "M": "1e6", "k": "1e3", "h": "1e2", "da": "1e1",
	"d": "1e-1", "c": "1e-2", "m": "1e-3", "u": "1e-6", "n": "1e-9", "p": "1e-12", "f": "1e-15", "a": "1e-18", "z": "1e-21", "y": "1e-24",
	"Ki": "1024", "Mi": "1048576", "Gi": "1073741824", "Ti": "1099511627776",
}

// ucumUnit says that one of a unit is factor times the unit expression of. A base unit has no such expression.
type ucumUnit struct {
	factor, of string
	metric     bool   // takes prefixes
	offset     string // of a temperature scale: added before factor is applied
}

var ucumUnits = map[string]ucumUnit{
	// the base units
	"m": {metric: true}, "s": {metric: true}, "g": {metric: true}, "rad": {metric: true}, "K": {metric: true}, "C": {metric: true}, "cd": {metric: true},
	// plain numbers
	"10*": {"10", "1", false, ""}, "10^": {"10", "1", false, ""}, "%": {"0.01", "1", false, ""}, "[ppth]": {"1e-3", "1", false, ""},
	"[ppm]": {"1e-6", "1", false, ""}, "[ppb]": {"1e-9", "1", false, ""}, "[pptr]": {"1e-12", "1", false, ""},
	"[pi]": {"3.1415926535897932384626433832795028841971693993751058209749445923", "1", false, ""},
	"mol":  {"6.0221367e23", "1", true, ""}, "eq": {"1", "mol", true, ""}, "osm": {"1", "mol", true, ""},
	// SI and what is used with it
	"sr": {"1", "rad2", true, ""}, "Hz": {"1", "s-1", true, ""}, "N": {"1e3", "g.m/s2", true, ""}, "Pa": {"1", "N/m2", true, ""},
	"J": {"1", "N.m", true, ""}, "W": {"1", "J/s", true, ""}, "A": {"1", "C/s", true, ""}, "V": {"1", "J/C", true, ""},
	"F": {"1", "C/V", true, ""}, "Ohm": {"1", "V/A", true, ""}, "S": {"1", "Ohm-1", true, ""}, "Wb": {"1", "V.s", true, ""},
	"T": {"1", "Wb/m2", true, ""}, "H": {"1", "Wb/A", true, ""}, "lm": {"1", "cd.sr", true, ""}, "lx": {"1", "lm/m2", true, ""},
	"Bq": {"1", "s-1", true, ""}, "Gy": {"1", "J/kg", true, ""}, "Sv": {"1", "J/kg", true, ""}, "kat": {"1", "mol/s", true, ""},
	"l": {"1", "dm3", true, ""}, "L": {"1", "dm3", true, ""}, "t": {"1e3", "kg", true, ""}, "ar": {"100", "m2", true, ""},
	"bar": {"1e5", "Pa", true, ""}, "u": {"1.6605402e-24", "g", true, ""}, "eV": {"1.60217733e-19", "J", true, ""}, "pc": {"3.085678e16", "m", true, ""},
	"gf": {"9.80665", "g.m/s2", true, ""}, "dyn": {"1", "g.cm/s2", true, ""}, "erg": {"1", "dyn.cm", true, ""}, "P": {"1", "dyn.s/cm2", true, ""},
	"St": {"1", "cm2/s", true, ""}, "Ci": {"37e9", "Bq", true, ""}, "R": {"2.58e-4", "C/kg", true, ""}, "RAD": {"100", "erg/g", true, ""}, "REM": {"1", "RAD", true, ""},
	"U": {"1", "umol/min", true, ""}, "cal": {"4.184", "J", true, ""}, "[Cal]": {"1", "kcal", false, ""}, "m[H2O]": {"9.80665", "kPa", true, ""}, "m[Hg]": {"133.322", "kPa", true, ""},
	"atm": {"101325", "Pa", false, ""}, "att": {"1", "kgf/cm2", false, ""}, "[psi]": {"1", "[lbf_av]/[sin_i]", false, ""}, "[lbf_av]": {"9.80665", "[lb_av].m/s2", false, ""},
	"by": {"8", "bit", true, ""}, "bit": {"1", "1", true, ""}, "Bd": {"1", "s-1", true, ""},
	// angles
	"deg": {"2", "[pi].rad/360", false, ""}, "'": {"1", "deg/60", false, ""}, "''": {"1", "'/60", false, ""}, "gon": {"0.9", "deg", false, ""},
	// time
	"min": {"60", "s", false, ""}, "h": {"60", "min", false, ""}, "d": {"24", "h", false, ""}, "wk": {"7", "d", false, ""},
	"a": {"365.25", "d", false, ""}, "a_j": {"365.25", "d", false, ""}, "a_g": {"365.2425", "d", false, ""}, "a_t": {"365.24219", "d", false, ""},
	"mo": {"1", "a/12", false, ""}, "mo_j": {"1", "a_j/12", false, ""}, "mo_g": {"1", "a_g/12", false, ""}, "mo_s": {"29.53059", "d", false, ""},
	// lengths, areas and volumes of the customary systems
	"[in_i]": {"2.54", "cm", false, ""}, "[ft_i]": {"12", "[in_i]", false, ""}, "[yd_i]": {"3", "[ft_i]", false, ""}, "[mi_i]": {"5280", "[ft_i]", false, ""}, "[fth_i]": {"6", "[ft_i]", false, ""},
	"[nmi_i]": {"1852", "m", false, ""}, "[kn_i]": {"1", "[nmi_i]/h", false, ""}, "[sin_i]": {"1", "[in_i]2", false, ""}, "[sft_i]": {"1", "[ft_i]2", false, ""}, "[cin_i]": {"1", "[in_i]3", false, ""}, "[cft_i]": {"1", "[ft_i]3", false, ""},
	"[in_us]": {"1", "[ft_us]/12", false, ""}, "[ft_us]": {"1200", "m/3937", false, ""}, "[yd_us]": {"3", "[ft_us]", false, ""}, "[mi_us]": {"5280", "[ft_us]", false, ""},
	"[gal_us]": {"231", "[in_i]3", false, ""}, "[qt_us]": {"1", "[gal_us]/4", false, ""}, "[pt_us]": {"1", "[qt_us]/2", false, ""}, "[gil_us]": {"1", "[pt_us]/4", false, ""},
	"[foz_us]": {"1", "[gil_us]/4", false, ""}, "[fdr_us]": {"1", "[foz_us]/8", false, ""}, "[min_us]": {"1", "[fdr_us]/60", false, ""}, "[cup_us]": {"16", "[tbs_us]", false, ""}, "[tbs_us]": {"1", "[foz_us]/2", false, ""}, "[tsp_us]": {"1", "[tbs_us]/3", false, ""},
	"[cup_m]": {"240", "mL", false, ""}, "[tsp_m]": {"5", "mL", false, ""}, "[tbs_m]": {"15", "mL", false, ""}, "[foz_m]": {"30", "mL", false, ""},
	"[gal_br]": {"4.54609", "l", false, ""}, "[qt_br]": {"1", "[gal_br]/4", false, ""}, "[pt_br]": {"1", "[qt_br]/2", false, ""}, "[gil_br]": {"1", "[pt_br]/4", false, ""}, "[foz_br]": {"1", "[gil_br]/5", false, ""},
	"[Ch]": {"1", "mm/3", false, ""}, "[drp]": {"1", "ml/20", false, ""}, "[diop]": {"1", "m-1", false, ""}, "Ao": {"0.1", "nm", false, ""}, "[hnsf'U]": {}, "[MET]": {"3.5", "mL/min/kg", false, ""},
	// weights
	"[gr]": {"64.79891", "mg", false, ""}, "[lb_av]": {"7000", "[gr]", false, ""}, "[oz_av]": {"1", "[lb_av]/16", false, ""}, "[dr_av]": {"1", "[oz_av]/16", false, ""}, "[stone_av]": {"14", "[lb_av]", false, ""},
	"[scwt_av]": {"100", "[lb_av]", false, ""}, "[ston_av]": {"2000", "[lb_av]", false, ""}, "[lton_av]": {"2240", "[lb_av]", false, ""}, "[oz_tr]": {"480", "[gr]", false, ""}, "[lb_tr]": {"12", "[oz_tr]", false, ""}, "[lb_ap]": {"12", "[oz_ap]", false, ""}, "[oz_ap]": {"480", "[gr]", false, ""},
	// temperatures; a degree alone has its zero elsewhere than the kelvin
	"Cel": {"1", "K", true, "273.15"}, "[degF]": {"5", "K/9", false, "459.67"}, "[degRe]": {"5", "K/4", false, "218.52"},
	// arbitrary measures and scales
	"[IU]": {metric: true}, "[iU]": {"1", "[IU]", true, ""}, "[arb'U]": {}, "[USP'U]": {}, "[GPL'U]": {}, "[MPL'U]": {}, "[APL'U]": {}, "[beth'U]": {}, "[anti'Xa'U]": {}, "[todd'U]": {}, "[dye'U]": {}, "[smgy'U]": {},
	"[bdsk'U]": {}, "[ka'U]": {}, "[knk'U]": {}, "[mclg'U]": {}, "[tb'U]": {}, "[CCID_50]": {}, "[TCID_50]": {}, "[EID_50]": {}, "[PFU]": {}, "[FFU]": {}, "[CFU]": {}, "[pfu]": {}, "[IR]": {}, "[BAU]": {}, "[AU]": {}, "[Amb'a'1'U]": {}, "[PNU]": {}, "[Lf]": {},
	"[D'ag'U]": {}, "[FEU]": {}, "[ELU]": {}, "[EU]": {}, "[HPF]": {"1", "1", false, ""}, "[LPF]": {"100", "1", false, ""}, "[pH]": {}, "B": {metric: true}, "Np": {metric: true}, "[p'diop]": {}, "[S]": {}, "[car_m]": {"0.2", "g", false, ""}, "[car_Au]": {"1", "/24", false, ""},
}

// unitValue is a unit in terms of the base units: how many of them, to which powers.
type unitValue struct {
	factor *big.Rat
	dims   map[string]int
	offset *big.Rat // of a temperature scale standing alone
}

func one() unitValue { return unitValue{factor: big.NewRat(1, 1), dims: map[string]int{}} }

// times multiplies u by v to the power n. It reports false for powers that no unit has.
func (u *unitValue) times(v unitValue, n int) bool {
	if n > 60 || n < -60 {
		return false
	}
	step := v.factor
	if n < 0 {
		if step.Sign() == 0 {
			return false
		}
		step = new(big.Rat).Inv(step)
	}
	for range max(n, -n) {
		u.factor.Mul(u.factor, step)
	}
	if u.factor.Num().BitLen()+u.factor.Denom().BitLen() > 1<<14 {
		return false
	}
	for d, power := range v.dims {
		if u.dims[d] += power * n; u.dims[d] == 0 {
			delete(u.dims, d)
		}
	}
	return true
}

// dimension is the powers of the base units as text, to be compared.
func (u *unitValue) dimension() string {
	if len(u.dims) == 0 {
		return ""
	}
	names := make([]string, 0, len(u.dims))
	for d := range u.dims {
		names = append(names, d)
	}
	slices.Sort(names)
	var b strings.Builder
	for _, d := range names {
		b.WriteString(d)
		b.WriteString(big.NewInt(int64(u.dims[d])).String())
		b.WriteByte(' ')
	}
	return b.String()
}

// parseUnit reads a UCUM code. ok is false for a code that is malformed or not known here.
func parseUnit(code string) (unitValue, bool) {
	if len(code) > 200 {
		return unitValue{}, false
	}
	p := unitParser{s: code}
	u, ok := p.term(0)
	if !ok || p.at != len(p.s) {
		return unitValue{}, false
	}
	return u, true
}

type unitParser struct {
	s  string
	at int
}

func (p *unitParser) peek() byte {
	if p.at < len(p.s) {
		return p.s[p.at]
	}
	return 0
}

// term reads components joined by . and /.
func (p *unitParser) term(depth int) (unitValue, bool) {
	if depth > 8 {
		return unitValue{}, false
	}
	total, power := one(), 1
	if p.peek() == '/' {
		p.at++
		power = -1
	}
	for first := true; ; first = false {
		u, n, ok := p.component(depth)
		if !ok {
			return unitValue{}, false
		}
		next := p.peek()
		alone := first && power == 1 && n == 1 && next != '.' && next != '/'
		if alone {
			return u, true
		}
		if !total.times(u, power*n) {
			return unitValue{}, false
		}
		switch next {
		case '.':
			power = 1
		case '/':
			power = -1
		default:
			return total, true
		}
		p.at++
	}
}

// component reads one unit with its exponent, a number, an annotation or a term in parentheses.
func (p *unitParser) component(depth int) (u unitValue, exponent int, ok bool) {
	switch c := p.peek(); {
	case c == '(':
		p.at++
		u, ok = p.term(depth + 1)
		if !ok || p.peek() != ')' {
			return u, 0, false
		}
		p.at++
		return u, 1, true
	case c == '{':
		return one(), 1, p.annotation()
	case isDigit(c) && !strings.HasPrefix(p.s[p.at:], "10*") && !strings.HasPrefix(p.s[p.at:], "10^"):
		start := p.at
		for isDigit(p.peek()) {
			p.at++
		}
		u = one()
		_, ok = u.factor.SetString(p.s[start:p.at])
		return u, 1, ok && p.annotation()
	}
	return p.simple()
}

// annotation steps over {text}, if it is there.
func (p *unitParser) annotation() bool {
	if p.peek() != '{' {
		return true
	}
	end := strings.IndexByte(p.s[p.at:], '}')
	if end < 0 {
		return false
	}
	p.at += end + 1
	return true
}

func (p *unitParser) simple() (u unitValue, exponent int, ok bool) {
	start := p.at
	if strings.HasPrefix(p.s[start:], "10*") || strings.HasPrefix(p.s[start:], "10^") {
		p.at += 3
	} else {
		for inside := false; p.at < len(p.s); p.at++ {
			c := p.s[p.at]
			if c == '[' || c == ']' {
				inside = c == '['
			} else if !inside && (isDigit(c) || strings.IndexByte(".()/{}+-", c) >= 0) {
				break
			}
		}
	}
	if u, ok = unitAtom(p.s[start:p.at]); !ok {
		return u, 0, false
	}
	exponent, sign := 0, 1
	if c := p.peek(); c == '+' || c == '-' {
		if c == '-' {
			sign = -1
		}
		p.at++
	}
	digits := p.at
	for isDigit(p.peek()) && p.at-digits < 3 {
		exponent = exponent*10 + int(p.peek()-'0')
		p.at++
	}
	if p.at == digits {
		if p.s[p.at-1] == '+' || p.s[p.at-1] == '-' {
			return u, 0, false
		}
		exponent = 1
	}
	return u, exponent * sign, p.annotation()
}

// unitAtom is a unit by its code, with or without a prefix.
func unitAtom(code string) (unitValue, bool) {
	if def, ok := ucumUnits[code]; ok {
		return def.value(code, "1")
	}
	for _, n := range [...]int{1, 2} {
		if len(code) <= n {
			break
		}
		prefix, known := ucumPrefixes[code[:n]]
		if def, ok := ucumUnits[code[n:]]; known && ok && def.metric {
			return def.value(code[n:], prefix)
		}
	}
	return unitValue{}, false
}

func (d ucumUnit) value(code, prefix string) (unitValue, bool) {
	u := one()
	if d.of == "" {
		u.dims[code] = 1
	} else {
		of, ok := parseUnit(d.of)
		if !ok {
			return u, false
		}
		u = of
		factor, _ := new(big.Rat).SetString(d.factor)
		u.factor.Mul(u.factor, factor)
	}
	scale, _ := new(big.Rat).SetString(prefix)
	u.factor.Mul(u.factor, scale)
	if d.offset != "" && prefix == "1" {
		u.offset, _ = new(big.Rat).SetString(d.offset)
	}
	return u, true
}
