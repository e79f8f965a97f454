package demographics

import (
	"math"
	"slices"

	"github.com/openspine/openspine/demographics/match"
)

// How a match is scored. Each criterion of the question counts the same: a name, a postcode with a wildcard by how alike the letters
// are (Jaro-Winkler, the star counting as a letter), a date, a gender or a practice as 1 or 0; telephone and mail decide whether a
// person is shown and do not count. The published answers follow: Me* and MEEK are 0.7778 alike, and with birth date and practice
// the mean is the published 0.9259; DN17* and DN17 4AA give 0.965; Smythe, Mat and three more for Smith, Sam give 0.8827.

// matching is whether a person answers the question, and how well.
func (q *query) matching(f *features) (score float64, ok bool) {
	if q.like != nil {
		return q.same(f)
	}
	if !q.born.holds(f.born) || q.gender != 0 && q.gender != f.gender || !q.reached(f) {
		return 0, false
	}
	if !q.fuzzy && (q.died.asked && !q.died.holds(f.died) || q.practice != "" && q.practice != f.practice) {
		return 0, false
	}
	postal, lives := q.postalScore(f)
	if !lives && !q.fuzzy {
		return 0, false
	}
	names, ok := q.nameScore(f, lives)
	if !ok {
		return 0, false
	}
	sum, count := names+1, q.namesAsked()+1 // the birth date
	for _, c := range []struct{ asked, holds bool }{{q.gender != 0, true}, {q.died.asked, q.died.holds(f.died)}, {q.practice != "", q.practice == f.practice}} {
		if c.asked {
			count++
			sum += float64(flag(c.holds))
		}
	}
	if q.postcode.asked() {
		count++
		sum += postal
	}
	score = math.Round(sum/float64(count)*1e4) / 1e4
	return score, !q.exact || score == 1
}

// same is whether a person is taken for the one who is about to be registered: the weights of the library that also finds duplicates
// say that they are probably one, of one birth date but for a slip, and not known to live elsewhere, for a large country has many of one
// name and day. Nobody can overrule the answer, so it is a sure one; what is only possible goes to the records office.
func (q *query) same(f *features) (score float64, ok bool) {
	if q.thatDay && !q.born.holds(f.born) {
		return 0, false
	}
	has := f.compared()
	r := q.model.Score(q.like, &has)
	if b := r.Pattern.Level(match.Birth); r.Probability < takenFrom || r.Veto != match.NoVeto || b != match.BirthSame && b != match.BirthSlip {
		return 0, false
	}
	c := r.Pattern.Level(match.Contact)
	return r.Probability, c != match.ContactDiffers && c != match.ContactArea
}

// explainLike says what speaks for somebody being the one who was described.
func (q *query) explainLike(f *features) []match.Reason {
	has := f.compared()
	return q.model.Explain(q.like, &has)
}

// unlocated is q for a restricted person: where they live speaks neither for nor against them, and finds nobody by itself.
func (q *query) unlocated() *query {
	like := *q.like
	like.Places, like.Numbers = nil, nil
	other := *q
	other.like, other.postcode, other.thatDay = &like, pattern{}, true
	return &other
}

// takenFrom is the probability from which somebody new is taken for somebody who is there.
const takenFrom = 0.95

func (q *query) namesAsked() int { return len(q.given) + int(flag(q.family.asked())) }

// reached reports whether the telephone number and mail address are the person's.
func (q *query) reached(f *features) bool {
	has := func(list []pastText, text string) bool {
		return text == "" || slices.ContainsFunc(list, func(t pastText) bool { return t.text == text && (q.history || !t.past) })
	}
	return has(f.phones, q.telephone) && has(f.emails, q.email)
}

// postalScore is how like the postcode in the question one of the person's is, and whether it is the same.
func (q *query) postalScore(f *features) (best float64, lives bool) {
	if !q.postcode.asked() {
		return 0, true
	}
	asked := match.Letters(q.postcode.text)
	for _, p := range f.postcodes {
		if p.past && !q.history {
			continue
		}
		same := q.postcode.matches(squeezed(p.text))
		if lives = lives || same; same && !q.postcode.wild() {
			return 1, true
		}
		if same || q.fuzzy {
			best = max(best, match.JaroWinkler(asked, match.Letters(p.text)))
		}
	}
	return best, lives
}

// nameScore is the sum of what each name in the question counts, by the best of the person's names that match. A fuzzy search that
// names gender and postcode as well finds people there by one of the two names alone: a published answer to Mat Smythe has Sam
// Smith of the same postcode.
func (q *query) nameScore(f *features, lives bool) (best float64, ok bool) {
	_, _, best, ok = q.bestName(f, lives)
	return best, ok
}

// bestName is the name by which the person matches best, and whether in the wrong order.
func (q *query) bestName(f *features, lives bool) (name *nameFeature, crossed bool, best float64, ok bool) {
	one := q.fuzzy && q.gender != 0 && q.postcode.asked() && lives
	take := func(n *nameFeature, score float64, inWrongOrder bool) {
		if !ok || score > best {
			name, crossed, best, ok = n, inWrongOrder, score, true
		}
	}
	for i := range f.names {
		n := &f.names[i]
		if n.past && !q.history {
			continue
		}
		if q.matchesName(n, one) {
			take(n, q.likeness(n.family, n.given), false)
		}
		if q.fuzzy && len(n.given) > 0 && q.matchesCrossed(n) {
			take(n, transposed*q.likeness(n.given[0], append([]string{n.family}, n.given[1:]...)), true)
		}
	}
	return name, crossed, best, ok
}

// transposed is what a family name in the place of a given name costs.
const transposed = 0.95

// likeness is how alike the names in the question are to a name, each given name with the one in the same place.
func (q *query) likeness(family string, given []string) float64 {
	sum := 0.0
	if q.family.asked() {
		sum += likeness(q.family.text, family)
	}
	for i, g := range q.given {
		if i < len(given) {
			sum += likeness(g.text, given[i])
		}
	}
	return sum
}

func likeness(asked, has string) float64 {
	if asked == has {
		return 1
	}
	return match.JaroWinkler(match.Letters(asked), match.Letters(has))
}

// matchesName reports whether a name is one that the question describes: to the letter, or, in a fuzzy search, to the ear; one
// says that either the family name or the given names suffice.
func (q *query) matchesName(n *nameFeature, one bool) bool {
	if q.fuzzy {
		family := q.family.asked() && match.Alike(q.family.begin(), match.Plain(n.family))
		given := len(q.given) > 0 && q.anyGiven(n.given)
		if one {
			return family || given
		}
		return (family || !q.family.asked()) && (given || len(q.given) == 0)
	}
	if q.family.asked() && !q.family.matches(match.Plain(n.family)) {
		return false
	}
	at := 0 // given names in the order in which they are recorded, some of which the question may leave out
	for _, g := range q.given {
		if g.wild() {
			if at > 0 || len(n.given) == 0 || !g.matches(match.Plain(n.given[0])) {
				return false
			}
			at = 1
			continue
		}
		for at < len(n.given) && !g.matches(match.Plain(n.given[at])) {
			at++
		}
		if at == len(n.given) {
			return false
		}
		at++
	}
	return true
}

// anyGiven reports whether each given name in the question is like one of these.
func (q *query) anyGiven(given []string) bool {
	for _, g := range q.given {
		if !slices.ContainsFunc(given, func(has string) bool { return match.Alike(g.begin(), match.Plain(has)) }) {
			return false
		}
	}
	return true
}

// matchesCrossed reports whether a name is the question's with family and given name changed about.
func (q *query) matchesCrossed(n *nameFeature) bool {
	if !q.family.asked() || len(q.given) == 0 {
		return false
	}
	return match.Alike(q.given[0].begin(), match.Plain(n.family)) &&
		slices.ContainsFunc(n.given, func(has string) bool { return match.Alike(q.family.begin(), match.Plain(has)) })
}
