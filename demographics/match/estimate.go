package match

import (
	"context"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
)

// Counts are pairs by their pattern.
type Counts []int64

// NewCounts makes counts of nothing.
func NewCounts() Counts { return make(Counts, patterns) }

// EstimateOptions say how Estimate goes about it.
type EstimateOptions struct {
	// Seed of the sample of random pairs.
	Seed uint64
	// Sample is how many random pairs u is counted from; 0 means two million.
	Sample int
	// Workers is how many goroutines compare; at least 1.
	Workers int
	// Progress is told what is being done and how far it is; nil for nobody.
	Progress func(step string, done, total int)
}

// Estimation says how a model was come by.
type Estimation struct {
	People int
	// Sampled is how many random pairs were compared for u.
	Sampled int
	Passes  []Pass
}

// Pass is one run of EM over the pairs that share one thing.
type Pass struct {
	// Shared is what the pairs share, for example "birth date"; the field that says so is not estimated from them.
	Shared string
	Fixed  []Field
	// Share of the blocks that was taken: all, 1, unless they held too many pairs.
	Share float64
	Pairs int64
	// Matches is how many of the pairs are one person, as EM expects.
	Matches    float64
	Iterations int
	// Converged is false when EM was stopped at its last iteration, or when there were too few matches to learn from.
	Converged bool
	m         [fields][8]float64
}

// passes of Estimate: what the pairs share, and which fields that decides. Each is blind where another sees.
var passesOf = []struct {
	shared string
	fixed  []Field
	key    Keyer
}{
	{"birth date", []Field{Birth}, func(p *Person, dst []Key) []Key {
		if !p.Birth.whole() {
			return dst
		}
		return append(dst, key('B', uint64(p.Birth), "", ""))
	}},
	{"family and first name now", []Field{Family, Given}, func(p *Person, dst []Key) []Key {
		if len(p.Names) == 0 || p.Names[0].Family == "" || p.Names[0].Given == "" {
			return dst
		}
		return append(dst, key('N', 0, p.Names[0].Family, first(p.Names[0].Given)))
	}},
}

// fewest is how many matches a pass must expect before m is learnt from it.
const fewest = 30

// maxIterations of EM, and the change of m below which it has converged.
const (
	maxIterations = 200
	stillness     = 1e-6
)

// Estimate learns a model from the people in x, without anybody saying which pairs are one person: u and the shares of names
// by counting, m and the prior by expectation–maximisation (Dempster, Laird and Rubin, JRSS B 39, 1977) over the pairs that
// share a birth date, and over those that share a name. What the data cannot say keeps from's figure.
// Errors: the context's.
func Estimate(ctx context.Context, x *Index, from *Model, o EstimateOptions) (*Model, Estimation, error) {
	report := Estimation{People: x.Len()}
	m := &Model{M: from.M, U: from.U, Prior: from.Prior}
	m.shares(x)
	sampled, err := m.countU(ctx, x, o)
	if err != nil {
		return nil, report, err
	}
	report.Sampled = sampled
	for _, spec := range passesOf {
		if o.Progress != nil {
			o.Progress("pairs that share "+spec.shared, 0, 1)
		}
		counts, taken, err := countPairs(ctx, x, spec.key, o.Workers)
		if err != nil {
			return nil, report, err
		}
		pass := m.expect(counts, spec.fixed)
		pass.Shared, pass.Fixed, pass.Share = spec.shared, spec.fixed, taken
		report.Passes = append(report.Passes, pass)
	}
	m.combine(from, report.Passes, x.Len())
	return m, report, nil
}

// shares counts how common names are.
func (m *Model) shares(x *Index) {
	families, givens := map[string]int{}, map[string]int{}
	total := 0
	var p Person
	for i := range x.Len() {
		if err := x.Person(i, &p); err != nil {
			panic(err) // Append wrote it
		}
		if len(p.Names) == 0 {
			continue
		}
		total++
		families[strings.Clone(p.Names[0].Family)]++
		givens[strings.Clone(first(p.Names[0].Given))]++
	}
	m.Families, m.RareFamily = commonest(families, total)
	m.Givens, m.RareGiven = commonest(givens, total)
}

// commonest keeps the 2,000 commonest names with their share, and gives the mean share of the rest.
func commonest(count map[string]int, total int) (shares map[string]float64, rare float64) {
	const kept = 2000
	names := make([]string, 0, len(count))
	for n := range count {
		names = append(names, n)
	}
	slices.SortFunc(names, func(a, b string) int {
		if c := count[b] - count[a]; c != 0 {
			return c
		}
		return strings.Compare(a, b)
	})
	shares = map[string]float64{}
	rest := 0
	for i, n := range names {
		if i < kept && n != "" {
			shares[n] = float64(count[n]) / float64(total)
		} else {
			rest += count[n]
		}
	}
	rare = 1 / float64(max(total, 1))
	if more := len(names) - kept; more > 0 {
		rare = float64(max(rest, 1)) / float64(more) / float64(total)
	}
	return shares, rare
}

// countU counts the levels of pairs taken at random, nearly all of which are two people.
func (m *Model) countU(ctx context.Context, x *Index, o EstimateOptions) (int, error) {
	sample := o.Sample
	if sample == 0 {
		sample = 2_000_000
	}
	if x.Len() < 2 {
		return 0, ctx.Err()
	}
	random := rand.New(rand.NewPCG(o.Seed, 0x6d61746368))
	counts := NewCounts()
	var a, b Person
	for n := range sample {
		if n%4096 == 0 && ctx.Err() != nil {
			return n, ctx.Err()
		}
		if n%65536 == 0 && o.Progress != nil {
			o.Progress("random pairs", n, sample)
		}
		i, j := random.IntN(x.Len()), random.IntN(x.Len()-1)
		if j >= i {
			j++
		}
		if err := x.Person(i, &a); err != nil {
			return n, err
		}
		if err := x.Person(j, &b); err != nil {
			return n, err
		}
		counts[Compare(&a, &b)]++
	}
	for _, f := range Fields() {
		m.U[f] = shareOf(counts, f, m.U[f])
	}
	return sample, nil
}

// shareOf is how often each level of f occurs among pairs that have f, with half a pair added to each so that what was not seen is
// rare rather than impossible. Twins, who are too rare to be met by chance, keep what was said before.
func shareOf(counts Counts, f Field, before [8]float64) (out [8]float64) {
	var of [8]float64
	total := 0.0
	for p, n := range counts {
		if n == 0 {
			continue
		}
		l := Pattern(p).Level(f)
		if twins(f, l) {
			l = GivenDiffers
		}
		of[l] += float64(n)
	}
	for l := 1; l < f.Levels(); l++ {
		if !twins(f, Level(l)) {
			of[l] += 0.5
			total += of[l]
		}
	}
	for l := 1; l < f.Levels(); l++ {
		if twins(f, Level(l)) {
			out[l] = before[l]
		} else {
			out[l] = of[l] / total
		}
	}
	return out
}

// ruled reports whether a level is what Default says, whatever the data: twins, and birth dates with nothing in common, which
// parents and children who share a name and a home would make look like a common error.
func ruled(f Field, l Level) bool {
	return twins(f, l) || f == Birth && l == BirthDiffers
}

func twins(f Field, l Level) bool { return f == Given && l == GivenTwin }

// enough is how many pairs EM is given at most.
const enough = 20_000_000

// countPairs counts the patterns of the pairs that share a key, or of a share of them if they are more than enough.
func countPairs(ctx context.Context, x *Index, keyer Keyer, workers int) (Counts, float64, error) {
	shared := NewIndex(keyer)
	var p Person
	for i := range x.Len() {
		if err := x.Person(i, &p); err != nil {
			return nil, 0, err
		}
		shared.Add(&p)
	}
	parts := make([]Counts, max(1, workers))
	for i := range parts {
		parts[i] = NewCounts()
	}
	o := PairOptions{Workers: len(parts), MaxBlock: 5000, MaxPairs: enough}
	done, err := shared.Pairs(ctx, o, func(worker, _, _ int, a, b *Person) {
		parts[worker][Compare(a, b)]++
	})
	total := parts[0]
	for _, part := range parts[1:] {
		for p, n := range part {
			total[p] += n
		}
	}
	return total, done.Share, err
}

// expect runs EM over counted pairs: which share of them are one person, and m of each field that is not fixed; u stays.
// Pairs on a level that is ruled on are left out.
func (m *Model) expect(counts Counts, fixed []Field) Pass {
	var pass Pass
	seen := make([]Pattern, 0, 1024)
	for p, n := range counts {
		if at := Pattern(p); n > 0 && at.Level(Given) != GivenTwin && at.Level(Birth) != BirthDiffers {
			seen = append(seen, Pattern(p))
			pass.Pairs += n
		}
	}
	if pass.Pairs == 0 {
		return pass
	}
	pass.m = m.M
	share := 0.01
	for pass.Iterations = 1; pass.Iterations <= maxIterations; pass.Iterations++ {
		var expected [fields][8]float64
		matches := 0.0
		for _, p := range seen {
			odds := math.Log2(share / (1 - share))
			for _, f := range Fields() {
				if l := p.Level(f); l != Missing && !slices.Contains(fixed, f) {
					odds += math.Log2(pass.m[f][l] / m.U[f][l])
				}
			}
			g := probability(odds) * float64(counts[p])
			matches += g
			for _, f := range Fields() {
				expected[f][p.Level(f)] += g
			}
		}
		moved := pass.maximise(expected, fixed, m)
		next := min(max(matches/float64(pass.Pairs), 1e-9), 0.999)
		moved = max(moved, math.Abs(next-share))
		share, pass.Matches = next, matches
		if moved < stillness {
			pass.Converged = true
			break
		}
	}
	pass.Converged = pass.Converged && pass.Matches >= fewest
	return pass
}

// maximise sets m to what was expected, with a few pairs of the model before as a prior, and says how far it moved.
func (pass *Pass) maximise(expected [fields][8]float64, fixed []Field, before *Model) (moved float64) {
	const prior = 2.0 // pairs
	for _, f := range Fields() {
		if slices.Contains(fixed, f) {
			continue
		}
		total := prior
		for l := 1; l < f.Levels(); l++ {
			total += expected[f][l]
		}
		for l := 1; l < f.Levels(); l++ {
			if ruled(f, Level(l)) {
				continue
			}
			v := (expected[f][l] + prior*before.M[f][l]) / total
			moved = max(moved, math.Abs(v-pass.m[f][l]))
			pass.m[f][l] = v
		}
	}
	return moved
}

// combine takes each field's m from the passes that could see it, weighted by how many matches they saw, and the prior from the
// pass that saw most.
func (m *Model) combine(from *Model, passes []Pass, people int) {
	most := 0.0
	for _, f := range Fields() {
		var sum [8]float64
		weight := 0.0
		for _, p := range passes {
			if !p.Converged || slices.Contains(p.Fixed, f) {
				continue
			}
			weight += p.Matches
			for l := range sum {
				sum[l] += p.Matches * p.m[f][l]
			}
			most = max(most, p.Matches/p.Share)
		}
		for l := range sum {
			if weight > 0 && !ruled(f, Level(l)) {
				m.M[f][l] = sum[l] / weight
			} else {
				m.M[f][l] = from.M[f][l]
			}
		}
	}
	if pairs := float64(people) * float64(people-1) / 2; most > 0 && pairs > 0 {
		m.Prior = min(most/pairs, 0.5)
	}
}
