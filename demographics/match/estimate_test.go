package match_test

import (
	"context"
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"github.com/openspine/openspine/demographics/match"
)

// made is a population of which it is known who is whom.
type made struct {
	people []match.Person
	who    []int // which person each record is of
	same   int   // pairs of records that are one person
}

var (
	syllables = []string{"ba", "den", "ford", "gar", "hol", "kin", "lam", "mor", "nor", "pel", "ros", "sut", "ton", "well", "wick", "ham"}
	givens    = []string{"amy", "ben", "cara", "dev", "ella", "finn", "gita", "hugo", "iris", "jack", "kofi", "lena", "maya", "noah", "omar", "priya", "quinn", "rosa", "sana", "tariq", "una", "vera", "will", "xena", "yusuf", "zoe"}
)

// population makes people in households, some of them twins, and second records of some with errors of known frequency.
func population(r *rand.Rand, people, seconds int) made {
	var m made
	for len(m.people) < people {
		family := syllables[r.IntN(16)] + syllables[r.IntN(16)] + syllables[r.IntN(4)]
		place := match.Place{Postcode: fmt.Sprintf("q%c%d%d%c%c", 'a'+r.IntN(20), r.IntN(90), r.IntN(10), 'a'+r.IntN(26), 'a'+r.IntN(26)), Line: fmt.Sprintf("%dmill%s", r.IntN(200), syllables[r.IntN(16)])}
		number := fmt.Sprintf("077009%05d", r.IntN(100000))
		birth := match.Date(0)
		names := r.Perm(len(givens))
		for child := range 1 + r.IntN(3) {
			if birth == 0 || child < 2 || r.IntN(10) > 0 {
				birth = match.Date((1930+r.IntN(90))*10000 + (1+r.IntN(12))*100 + 1 + r.IntN(28))
			}
			p := match.Person{Birth: birth, Gender: "mf"[r.IntN(2)], Places: []match.Place{place}, Numbers: []string{number},
				Names: []match.Name{{Family: family, Given: givens[names[child]]}}}
			if r.IntN(4) == 0 {
				p.Numbers = nil
			}
			m.who = append(m.who, len(m.people))
			m.people = append(m.people, p)
		}
	}
	known := len(m.people)
	for range seconds {
		i := r.IntN(known)
		for _, other := range m.who {
			if other == i {
				m.same++
			}
		}
		m.who = append(m.who, i)
		m.people = append(m.people, second(r, m.people[i]))
	}
	return m
}

// How often a second record differs from the first.
const (
	newFamily, slipFamily, slipBirth, moved, newNumber = 0.06, 0.05, 0.04, 0.3, 0.4
)

func second(r *rand.Rand, p match.Person) match.Person {
	name := p.Names[0]
	switch c := r.Float64(); {
	case c < newFamily:
		name.Family = syllables[r.IntN(16)] + "son"
	case c < newFamily+slipFamily:
		name.Family = name.Family[:3] + name.Family[4:]
	}
	if r.Float64() < slipBirth {
		p.Birth = p.Birth - p.Birth%10 + (p.Birth%10+1)%10
		if p.Birth%100 == 0 {
			p.Birth++
		}
	}
	if r.Float64() < moved {
		p.Places = []match.Place{{Postcode: fmt.Sprintf("z%c%d%d%c%c", 'a'+r.IntN(20), r.IntN(90), r.IntN(10), 'a'+r.IntN(26), 'a'+r.IntN(26)), Line: "1newroad"}}
	}
	if r.Float64() < newNumber {
		p.Numbers = []string{fmt.Sprintf("078009%05d", r.IntN(100000))}
	}
	p.Names = []match.Name{name}
	return p
}

// Nobody tells Estimate which pairs are one person; what it learns is what was put in.
func TestEstimateLearnsWhatErrorsThereAre(t *testing.T) {
	made := population(rand.New(rand.NewPCG(7, 7)), 20_000, 1_500)
	x := match.NewIndex(match.Keys)
	for i := range made.people {
		x.Add(&made.people[i])
	}
	m, report, err := match.Estimate(context.Background(), x, match.Default(), match.EstimateOptions{Seed: 3, Sample: 400_000, Workers: 2})
	if err != nil {
		t.Fatal(err)
	}
	for _, pass := range report.Passes {
		if !pass.Converged {
			t.Errorf("%s: not converged: %+v", pass.Shared, pass)
		}
	}
	near := func(what string, got, want, within float64) {
		t.Helper()
		if math.Abs(got-want) > within {
			t.Errorf("%s: estimated %.4f, put in %.4f", what, got, want)
		}
	}
	near("family same", m.M[match.Family][match.FamilySame], 1-newFamily-slipFamily, 0.03)
	near("birth same", m.M[match.Birth][match.BirthSame], 1-slipBirth, 0.02)
	near("gender same by chance", m.U[match.Gender][match.Same], 0.5, 0.01)
	near("contact all", m.M[match.Contact][match.ContactAll], 0.75*(1-moved)*(1-newNumber), 0.05)
	pairs := float64(x.Len()) * float64(x.Len()-1) / 2
	near("prior, as pairs", m.Prior*pairs, float64(made.same), 150)
	if m.M[match.Given][match.GivenTwin] != match.Default().M[match.Given][match.GivenTwin] {
		t.Error("twins were learnt, not ruled on")
	}

	var probable, right, found, vetoed int
	if _, err := x.Pairs(context.Background(), match.PairOptions{Workers: 1, MaxBlock: 500}, func(_, i, j int, a, b *match.Person) {
		r := m.Score(a, b)
		is := made.who[i] == made.who[j]
		if r.Verdict == match.Probable {
			probable++
			if is {
				right++
			}
		}
		if r.Verdict != match.Different && is {
			found++
		}
		if r.Veto == match.TwinVeto && r.Verdict == match.Probable {
			vetoed++
		}
	}); err != nil {
		t.Fatal(err)
	}
	t.Logf("%d probable, %d of them right; %d of %d found; %s", probable, right, found, made.same, fmt.Sprint(report))
	if float64(right) < 0.99*float64(probable) || float64(found) < 0.93*float64(made.same) || vetoed > 0 {
		t.Errorf("%d probable, %d of them right; %d of %d found; %d vetoed pairs probable", probable, right, found, made.same, vetoed)
	}
}

// With nobody to learn from, the model stays what it was.
func TestEstimateOfFewKeepsTheModel(t *testing.T) {
	for _, n := range []int{0, 1, 2} {
		x := match.NewIndex(match.Keys)
		for range n {
			x.Add(&match.Person{Birth: 19800101})
		}
		m, _, err := match.Estimate(context.Background(), x, match.Default(), match.EstimateOptions{Sample: 10})
		if err != nil || m.M != match.Default().M || m.Prior != match.Default().Prior {
			t.Errorf("%d people: %v, prior %g", n, err, m.Prior)
		}
	}
}

func BenchmarkScore(b *testing.B) {
	made := population(rand.New(rand.NewPCG(7, 7)), 1000, 100)
	m := match.Default()
	for i := 0; b.Loop(); i++ {
		m.Score(&made.people[i%1000], &made.people[(i*7)%1000])
	}
}

// One million people against themselves: -bench Self -benchtime 1x.
func BenchmarkSelf(b *testing.B) {
	for _, n := range []int{100_000, 1_000_000} {
		b.Run(fmt.Sprint(n), func(b *testing.B) {
			made := population(rand.New(rand.NewPCG(7, 7)), n, n/50)
			m := match.Default()
			for b.Loop() {
				x := match.NewIndex(match.Keys)
				for i := range made.people {
					x.Add(&made.people[i])
				}
				found := make([]int, 2)
				r, err := x.Pairs(context.Background(), match.PairOptions{Workers: 2, MaxBlock: 500}, func(w, _, _ int, p, q *match.Person) {
					if m.Score(p, q).Verdict != match.Different {
						found[w]++
					}
				})
				if err != nil {
					b.Fatal(err)
				}
				b.ReportMetric(float64(r.Pairs), "pairs")
				b.ReportMetric(float64(found[0]+found[1]), "found")
			}
		})
	}
}
