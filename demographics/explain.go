package demographics

import (
	"slices"

	"github.com/openspine/openspine/demographics/match"
)

// Agreement is how what was asked for compares with what the register has.
type Agreement string

// The ways in which they compare.
const (
	Agrees   Agreement = "agrees"
	Nearly   Agreement = "nearly"
	Differs  Agreement = "differs"
	NotThere Agreement = "missing" // the register has nothing to compare with
	Formerly Agreement = "formerly"
)

// Reason is one criterion of a search and what it contributes to a match. The score is the mean of the shares that count.
type Reason struct {
	// Field is the search parameter: family, given, birthdate, gender, address-postalcode …
	Field string
	// Asked is what was asked for and Has what the register has; Has is empty where there is nothing, or the two are the same.
	Asked, Has string
	Agreement  Agreement
	// How says why two that are not the same are nearly so: accent, wildcard, sound, slip, order (another of the given names), crossed (family and
	// given name changed about), range, or letters (alike in their letters alone). Empty for what agrees.
	How string
	// Past says that it was so formerly.
	Past bool
	// Share is from 0 to 1. Telephone and mail decide whether somebody is found and do not count.
	Share  float64
	Counts bool
}

// explain says criterion by criterion why a person matches; it is asked of matches alone.
func (q *query) explain(f *features) []Reason {
	_, lives := q.postalScore(f)
	name, crossed, _, ok := q.bestName(f, lives)
	if !ok {
		return nil
	}
	why := q.explainNames(name, crossed)
	born := Reason{Field: pBorn, Agreement: Agrees, Share: 1, Counts: true}
	if q.born.lo != q.born.hi {
		born.How = "range"
	}
	why = append(why, born)
	if q.gender != 0 {
		why = append(why, Reason{Field: pGender, Agreement: Agrees, Share: 1, Counts: true})
	}
	if q.died.asked {
		why = append(why, whether(pDied, "", q.died.holds(f.died), f.died != noDay))
	}
	if q.practice != "" {
		why = append(why, whether(pPractice, f.practice, q.practice == f.practice, f.practice != ""))
	}
	if q.postcode.asked() {
		why = append(why, q.explainPostcode(f))
	}
	for _, r := range []struct {
		field, asked string
		list         []pastText
	}{{pPhone, q.telephone, f.phones}, {pEmail, q.email, f.emails}} {
		if r.asked == "" {
			continue
		}
		why = append(why, Reason{Field: r.field, Asked: r.asked, Agreement: nowOrThen(!slices.ContainsFunc(r.list, func(t pastText) bool { return t.text == r.asked && !t.past })), Share: 1})
	}
	return why
}

// whether is a criterion that holds or does not.
func whether(field, has string, holds, there bool) Reason {
	switch {
	case holds:
		return Reason{Field: field, Agreement: Agrees, Share: 1, Counts: true}
	case there:
		return Reason{Field: field, Has: has, Agreement: Differs, Counts: true}
	}
	return Reason{Field: field, Agreement: NotThere, Counts: true}
}

func nowOrThen(past bool) Agreement {
	if past {
		return Formerly
	}
	return Agrees
}

// explainNames compares the name of a match part by part.
func (q *query) explainNames(n *nameFeature, crossed bool) []Reason {
	family, given, weight := n.family, n.given, 1.0
	if crossed {
		family, given, weight = n.given[0], append([]string{n.family}, n.given[1:]...), transposed
	}
	part := func(field string, asked pattern, has string, all []string) Reason {
		r := Reason{Field: field, Asked: asked.text, Has: has, Counts: true}
		if has != "" {
			r.Share = weight * likeness(asked.text, has)
		}
		r.Agreement, r.How = kinship(asked, has, all)
		r.Past = n.past
		switch {
		case crossed && has != "":
			r.Agreement, r.How = Nearly, "crossed"
		case n.past && r.Agreement == Agrees:
			r.Agreement = Formerly
		}
		if r.Share == 1 {
			r.Has = ""
		}
		return r
	}
	var why []Reason
	if q.family.asked() {
		why = append(why, part(pFamily, q.family, family, nil))
	}
	for i, g := range q.given {
		has := ""
		if i < len(given) {
			has = given[i]
		}
		why = append(why, part(pGiven, g, has, given))
	}
	return why
}

// kinship is how a name that was asked for is like one that the register has, in the place of all.
func kinship(asked pattern, has string, all []string) (Agreement, string) {
	a, b := asked.begin(), match.Plain(has)
	switch {
	case asked.wild() && has != "" && asked.matches(b):
		return Agrees, "wildcard"
	case has != "" && likeness(asked.text, has) == 1:
		return Agrees, ""
	case has != "" && a == b:
		return Nearly, "accent"
	case slices.ContainsFunc(all, func(s string) bool { return s != has && match.Plain(s) == a }):
		return Nearly, "order"
	case has == "":
		return NotThere, ""
	case len(a) >= 4 && len(b) >= 4 && match.OneSlip(a, b):
		return Nearly, "slip"
	case match.Alike(a, b):
		return Nearly, "sound"
	case slices.ContainsFunc(all, func(s string) bool { return match.Alike(a, match.Plain(s)) }):
		return Nearly, "order"
	}
	return Differs, ""
}

// explainPostcode compares the best of the person's postcodes, as postalScore does.
func (q *query) explainPostcode(f *features) Reason {
	r := Reason{Field: pPostcode, Asked: q.postcode.text, Agreement: NotThere, Counts: true}
	asked := match.Letters(q.postcode.text)
	for _, p := range f.postcodes {
		if p.past && !q.history {
			continue
		}
		same, share := q.postcode.matches(squeezed(p.text)), 0.0
		switch {
		case same && !q.postcode.wild():
			share = 1
		case same || q.fuzzy:
			share = match.JaroWinkler(asked, match.Letters(p.text))
		}
		if r.Agreement != NotThere && share <= r.Share {
			continue
		}
		r.Share, r.Has, r.Agreement, r.How = share, p.text, Differs, ""
		switch {
		case same:
			r.Agreement = nowOrThen(p.past)
			if q.postcode.wild() {
				r.How = "wildcard"
			} else {
				r.Has = ""
			}
		case share >= 0.9:
			r.Agreement, r.How = Nearly, "letters"
		}
	}
	return r
}
