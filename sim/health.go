package sim

import (
	"math"
	"math/rand/v2"
	"slices"
)

// episode is one pathway in one person's life.
type episode struct {
	*pathway
	onset Day
	over  Day // the day it ended; zero while it lasts
}

// health is what a person has or had, worked out anew and alike wherever it is asked for.
type health struct {
	episodes []episode
	allergy  *allergy // nil when there is none known
	smoking  coded
	end      Day // today, or the day of death
}

func (k *Country) healthOf(p *Person) health {
	r := k.random(purposeHealth, p.draw)
	h := health{end: k.today}
	if p.Died != 0 {
		h.end = p.Died
	}
	age := p.Born.years(h.end)
	for i := range k.clinic.pathways {
		path := &k.clinic.pathways[i]
		lot, when := r.Float64(), r.Float64() // drawn for everyone, so that one pathway's table does not move another's
		cast := slices.Contains(p.health, path.Name)
		fits := age >= path.Ages[0] && (path.Sex == "" || path.Sex == p.Gender) && (path.Lasting || age <= path.Ages[1])
		if !cast && (p.Key != "" || !fits || lot >= path.Share) {
			continue
		}
		if e := h.begin(p, path, when, cast); e.onset > p.Born {
			h.episodes = append(h.episodes, e)
		}
	}
	if lot, when := r.Float64(), r.Float64(); !p.Hospital.IsZero() && p.Key == "" {
		k.attend(p, &h, age, lot, when)
	}
	lot := r.Float64()
	for i := range k.clinic.Allergy {
		a := &k.clinic.Allergy[i]
		if lot < a.Share {
			h.allergy = a
			break
		}
		lot -= a.Share
	}
	if slices.Contains(p.health, "penicillin allergy") {
		h.allergy = &k.clinic.Allergy[0]
	}
	lot = r.Float64()
	for _, s := range k.clinic.Smoking {
		if h.smoking = s.Code; lot < s.Share {
			break
		}
		lot -= s.Share
	}
	return h
}

// attend gives somebody with a hospital chart a reason for it, where chance has given none.
func (k *Country) attend(p *Person, h *health, age int, lot, when float64) {
	if slices.ContainsFunc(h.episodes, func(e episode) bool { return e.Hospital != nil }) {
		return
	}
	var reasons []*pathway
	for i := range k.clinic.pathways {
		if path := &k.clinic.pathways[i]; path.Attendance && age >= path.Ages[0] && age <= path.Ages[1] {
			reasons = append(reasons, path)
		}
	}
	if len(reasons) == 0 {
		return
	}
	if e := h.begin(p, reasons[int(lot*float64(len(reasons)))], when, false); e.onset > p.Born && e.onset+Day(e.Hospital.After) <= h.end {
		h.episodes = append(h.episodes, e)
	}
}

// begin places a pathway in a life: a lasting one anywhere in the ages at which it begins, up to twenty years back;
// another within the last two years.
func (h *health) begin(p *Person, path *pathway, when float64, cast bool) episode {
	e := episode{pathway: path}
	if !path.Lasting {
		span := 720
		if cast {
			span = max(30, path.Days/2)
		}
		e.onset = notZero(max(h.end-Day(8+when*float64(span)), p.Born+30))
		if over := e.onset + Day(path.Days); over < h.end {
			e.over = notZero(over)
		}
		return e
	}
	first := max(p.Born+Day(path.Ages[0]*365), h.end-20*365)
	last := min(p.Born+Day(path.Ages[1]*365), h.end-30)
	if cast {
		first, last = max(p.Born+100, h.end-6*365), h.end-2*365
	}
	if last < first {
		last = first
	}
	e.onset = notZero(first + Day(when*float64(last-first)))
	return e
}

// at is the value that a series has reached some days into treatment.
func (s series) at(r *rand.Rand, days int) float64 {
	towards := 1 - math.Exp(-float64(max(days, 0))/300)
	return s.from + (s.to-s.from)*towards + r.NormFloat64()*s.spread
}

// insteadOfPenicillin is the medicine that somebody allergic to penicillin gets.
const insteadOfPenicillin = "doxycycline"
