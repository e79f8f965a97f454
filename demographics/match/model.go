package match

import (
	"encoding/json"
	"math"

	"github.com/openspine/openspine/fault"
)

// Model is the weights, and what they come from. It is plain data: a person can read it, and it can be kept with the results
// that it gave. A Model is not changed once it is in use.
type Model struct {
	// M is, for each field and level, how often pairs that are one person show that level, of those where neither
	// side is missing; U the same for pairs that are two people.
	M, U [fields][8]float64
	// Prior is the probability that two records taken at random are one person.
	Prior float64
	// Families and Givens are the share of people who bear each common family name and each first name: to agree on
	// a rare name says more than to agree on a common one. A name that is not listed has the share RareFamily or RareGiven.
	Families, Givens      map[string]float64
	RareFamily, RareGiven float64
}

// Default is the model before anything was estimated: chances from what is known of clerical errors and of the names, birthdays
// and districts of a country, rounded.
func Default() *Model {
	m := &Model{Prior: 1e-7, RareFamily: 1e-4, RareGiven: 1e-3}
	m.M[Family] = [8]float64{0, 0.92, 0.03, 0.04, 0.01}
	m.U[Family] = [8]float64{0, 0.002, 0.001, 0.015, 0.982}
	m.M[Given] = [8]float64{0, 0.88, 0.08, 0.03, 0.01, ruledM}
	m.U[Given] = [8]float64{0, 0.008, 0.012, 0.03, 0.95, ruledU}
	m.M[Birth] = [8]float64{0, 0.96, 0.025, 0.01, 0.005}
	m.U[Birth] = [8]float64{0, 0.00004, 0.0006, 0.003, 0.99636}
	m.M[Gender] = [8]float64{0, 0.995, 0.005}
	m.U[Gender] = [8]float64{0, 0.5, 0.5}
	m.M[Contact] = [8]float64{0, 0.45, 0.12, 0.2, 0.06, 0.08, 0.04, 0.05}
	m.U[Contact] = [8]float64{0, 1e-6, 1e-6, 1e-6, 1e-5, 1e-6, 0.002, 0.997981}
	m.M[Death] = [8]float64{0, 0.98, 0.02}
	m.U[Death] = [8]float64{0, 0.002, 0.998}
	return m
}

// Twins are ruled, not estimated: they agree on everything that families share, so that the data alone would call them one.
const ruledM, ruledU = 1e-9, 1e-3

// Weight is the evidence of a level in bits: log2(m/u); 0 for Missing.
func (m *Model) Weight(f Field, l Level) float64 {
	if l == Missing {
		return 0
	}
	return math.Log2(m.M[f][l] / m.U[f][l])
}

// Verdict is what to do with a pair.
type Verdict uint8

// The verdicts.
const (
	// Different: leave them.
	Different Verdict = iota
	// Possible: a person decides.
	Possible
	// Probable: one person, so far as records can tell. Still a person merges; but a create or a trace may say so.
	Probable
)

// String is the verdict's word.
func (v Verdict) String() string { return [...]string{"different", "possible", "probable"}[v] }

// The probabilities from which a pair is Possible and Probable.
const (
	PossibleFrom = 0.5
	ProbableFrom = 0.99
)

// Veto says why a pair is not Probable whatever its weight, and with TwinVeto not even Possible; NoVeto is none.
type Veto uint8

// The vetoes.
const (
	NoVeto    Veto = iota
	TwinVeto       // born on one day into one household, with different first names
	GivenVeto      // the first names have nothing in common
	BirthVeto      // the birth dates have nothing in common: a parent and a child who share a name
	DeathVeto      // the one died years before the other
)

// String is the veto's word, "" for none.
func (v Veto) String() string { return [...]string{"", "twin", "given", "birth", "death"}[v] }

// Result is what a model says of a pair.
type Result struct {
	Pattern Pattern
	// Weight is the evidence in bits, the prior left out.
	Weight float64
	// Probability that the two are one person, 0 to 1.
	Probability float64
	Verdict     Verdict
	Veto        Veto
}

// Reason is one field's share of a result.
type Reason struct {
	Field Field
	Level Level
	// Weight in bits; above 0 speaks for one person, below 0 for two.
	Weight float64
}

// Score compares two people.
func (m *Model) Score(a, b *Person) Result {
	p := Compare(a, b)
	w := 0.0
	for _, f := range Fields() {
		w += m.evidence(p, f, a, b)
	}
	r := Result{Pattern: p, Weight: w, Probability: probability(w + logOdds(m.Prior)), Veto: vetoOf(p)}
	switch {
	case r.Probability < PossibleFrom || r.Veto == TwinVeto:
	case r.Probability < ProbableFrom || r.Veto != NoVeto:
		r.Verdict = Possible
	default:
		r.Verdict = Probable
	}
	return r
}

// Explain says what each field adds to the weight of a pair, in the order of Fields.
func (m *Model) Explain(a, b *Person) []Reason {
	p := Compare(a, b)
	out := make([]Reason, 0, fields)
	for _, f := range Fields() {
		out = append(out, Reason{f, p.Level(f), m.evidence(p, f, a, b)})
	}
	return out
}

// evidence is what a field adds to the weight of a pair. What relatives share is no evidence for one person where the rest
// says that they are relatives: not the address of two who were born on different days, nor address and family name of two who
// have different first names.
func (m *Model) evidence(p Pattern, f Field, a, b *Person) float64 {
	w := m.weigh(f, p.Level(f), a, b)
	relatives := p.Level(Birth) == BirthDiffers && f == Contact
	if g := p.Level(Given); g == GivenDiffers || g == GivenTwin {
		relatives = f == Contact || f == Family
	}
	if relatives {
		return min(w, 0)
	}
	return w
}

// weigh is Weight, with the share of the name they agree on in place of the chance to agree on any.
func (m *Model) weigh(f Field, l Level, a, b *Person) float64 {
	if l != FamilySame && l != GivenSame || f != Family && f != Given || len(a.Names) == 0 || len(b.Names) == 0 {
		return m.Weight(f, l)
	}
	if f == Family {
		return math.Log2(m.M[f][l] / share(m.Families, m.RareFamily, a.Names[0].Family))
	}
	return math.Log2(m.M[f][l] / share(m.Givens, m.RareGiven, first(a.Names[0].Given)))
}

func share(of map[string]float64, rare float64, name string) float64 {
	if s, ok := of[name]; ok {
		return s
	}
	return rare
}

func vetoOf(p Pattern) Veto {
	switch {
	case p.Level(Given) == GivenTwin:
		return TwinVeto
	case p.Level(Given) == GivenDiffers:
		return GivenVeto
	case p.Level(Birth) == BirthDiffers:
		return BirthVeto
	case p.Level(Death) == Differs:
		return DeathVeto
	}
	return NoVeto
}

// logOdds of a probability, in bits.
func logOdds(p float64) float64 { return math.Log2(p / (1 - p)) }

// probability of log-odds in bits.
func probability(bits float64) float64 { return 1 / (1 + math.Exp2(-bits)) }

// modelFile is a model as JSON.
type modelFile struct {
	Prior      float64                         `json:"prior"`
	Levels     map[string]map[string]levelFile `json:"levels"`
	Families   map[string]float64              `json:"families"`
	Givens     map[string]float64              `json:"givens"`
	RareFamily float64                         `json:"rareFamily"`
	RareGiven  float64                         `json:"rareGiven"`
}

type levelFile struct {
	M      float64 `json:"m"`
	U      float64 `json:"u"`
	Weight float64 `json:"weight"`
}

// MarshalJSON writes the model with its words: each field, each level, m, u and the weight they give.
func (m *Model) MarshalJSON() ([]byte, error) {
	out := modelFile{m.Prior, map[string]map[string]levelFile{}, m.Families, m.Givens, m.RareFamily, m.RareGiven}
	for _, f := range Fields() {
		levels := map[string]levelFile{}
		for l := Level(1); int(l) < f.Levels(); l++ {
			levels[f.Word(l)] = levelFile{m.M[f][l], m.U[f][l], m.Weight(f, l)}
		}
		out.Levels[f.String()] = levels
	}
	return json.Marshal(out)
}

// UnmarshalJSON reads what MarshalJSON wrote; the weights are reckoned anew. Errors: fault.Invalid for a level that is
// missing or a probability that is not above 0 and at most 1.
func (m *Model) UnmarshalJSON(b []byte) error {
	var in modelFile
	if err := json.Unmarshal(b, &in); err != nil {
		return fault.Wrap(err, fault.Invalid, "The model for matching is not JSON of the expected shape.")
	}
	out := Model{Prior: in.Prior, Families: in.Families, Givens: in.Givens, RareFamily: in.RareFamily, RareGiven: in.RareGiven}
	for _, f := range Fields() {
		for l := Level(1); int(l) < f.Levels(); l++ {
			v := in.Levels[f.String()][f.Word(l)]
			if !chance(v.M) || !chance(v.U) {
				return fault.New(fault.Invalid, "The model for matching lacks a probability for %s, %s.", f, f.Word(l))
			}
			out.M[f][l], out.U[f][l] = v.M, v.U
		}
	}
	if !chance(out.Prior) || out.Prior == 1 || !chance(out.RareFamily) || !chance(out.RareGiven) {
		return fault.New(fault.Invalid, "The model for matching lacks its prior or the share of a rare name.")
	}
	for _, of := range []map[string]float64{out.Families, out.Givens} {
		for _, s := range of {
			if !chance(s) {
				return fault.New(fault.Invalid, "The model for matching has a name with a share that is no probability.")
			}
		}
	}
	*m = out
	return nil
}

func chance(p float64) bool { return p > 0 && p <= 1 }
