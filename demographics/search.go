package demographics

import (
	"cmp"
	"context"
	"github.com/openspine/openspine/demographics/match"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/fhir"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// hit is somebody whom a search found.
type hit struct {
	person string
	score  float64
	// reasons say what the score is made of, where the search explains itself; by is the superseded number that was found.
	reasons []Reason
	by      string
	why     []match.Reason // of somebody who is taken for query.like
}

// search: search for a patient (specification, paths/patient-search). Whoever is shown is on the account as found.
func (s *register) search(c *call) error {
	values, err := url.ParseQuery(c.r.URL.RawQuery)
	if err != nil {
		return refuse(validationError, "The address cannot be read: check what follows each percent sign.")
	}
	q, err := parseQuery(values, c.mode, s.today())
	if err != nil {
		return err
	}
	scope, err := c.ask.Scope(access.Trace, "Patient")
	if err != nil {
		return err
	}
	people, err := s.find(c.r.Context(), scope, &q)
	if err != nil {
		return err
	}
	set, err := s.searchset(c.r.Context(), scope, people)
	if err != nil {
		return err
	}
	return c.sendValue(http.StatusOK, set)
}

// today is the day, in days since 1970.
func (s *register) today() int32 { return int32(s.k.Clock.Now().Unix() / 86400) }

// searchset is a Bundle of people, best first (schemas/PatientSearch.yaml).
func (s *register) searchset(ctx context.Context, scope access.Scope, people []hit) (fhir.Value, error) {
	refs := make([]record.Ref, len(people))
	for i, m := range people {
		refs[i] = record.Ref{Tenant: s.k.National, Type: "Patient", ID: m.person}
	}
	versions, err := s.k.Records.ReadAll(ctx, scope, refs)
	if err != nil {
		return fhir.Value{}, err
	}
	scores := map[string]float64{}
	for _, m := range people {
		scores[m.person] = m.score
	}
	var entries []any
	for _, v := range versions {
		f := found{version: v, label: v.Label()}
		entries = append(entries, fhir.Obj("fullUrl", s.k.BaseURL()+Base+"/Patient/"+v.ID, "resource", brief(f),
			"search", fhir.Obj("score", scores[v.ID])))
	}
	return s.bundle(entries), nil
}

// bundle is a searchset of entries, at the time of the answer.
func (s *register) bundle(entries []any, more ...any) fhir.Value {
	pairs := append([]any{"resourceType", "Bundle", "type", "searchset", "timestamp", s.k.Clock.Now().UTC().Format("2006-01-02T15:04:05+00:00"),
		"total", len(entries)}, more...)
	return fhir.Obj(append(pairs, "entry", fhir.Arr(entries...))...)
}

// whole refuses to look for anybody while what people are found by is being written anew: somebody who is there would be missed.
func (s *register) whole() error {
	if err := s.k.Records.Whole("demographics"); err != nil {
		return refuse(serviceUnavailable, "%s", fault.MessageOf(err))
	}
	return nil
}

// find is everybody who answers the question, best first. Errors: TOO_MANY_MATCHES when there are more than the question allows,
// or when too many would have to be looked at.
func (s *register) find(ctx context.Context, scope access.Scope, q *query) (matches []hit, err error) {
	if err := s.whole(); err != nil {
		return nil, err
	}
	err = s.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		f := s.finder(tx, scope, q)
		if err := f.candidates(); err != nil {
			return err
		}
		matches, err = f.survivors()
		return err
	})
	if err != nil {
		return nil, err
	}
	if len(matches) > q.most {
		return nil, refuse(tooManyMatches, "")
	}
	slices.SortFunc(matches, func(a, b hit) int {
		return cmp.Or(-cmp.Compare(a.score, b.score), cmp.Compare(a.person, b.person))
	})
	return matches, nil
}

// survivors are the matches with the surviving record in the place of a superseded one, each person once.
func (f *finder) survivors() ([]hit, error) {
	best := map[string]hit{}
	var order []string
	for _, m := range f.matches {
		to, err := f.s.k.Records.SurvivorIn(f.tx, f.s.k.National, m.person)
		if err != nil {
			return nil, err
		}
		if m.score < 0 { // invalidated: only whoever supersedes it is shown
			if to == m.person {
				continue
			}
			m.score = -m.score
		}
		was, known := best[to]
		if !known {
			order = append(order, to)
		}
		if to != m.person {
			m.person, m.by = to, m.person
		}
		if !known || m.score > was.score {
			best[to] = m
		}
	}
	out := make([]hit, len(order))
	for i, person := range order {
		out[i] = best[person]
	}
	return out, nil
}

// finder looks for people in one snapshot.
type finder struct {
	s       *register
	tx      *store.Tx
	scope   access.Scope
	q       *query
	seen    map[string]bool
	looked  int
	counted bool // that there are not too many is known
	matches []hit
	enough  int // of matches, to see whether they are too many already
}

func (s *register) finder(tx *store.Tx, scope access.Scope, q *query) *finder {
	return &finder{s: s, tx: tx, scope: scope, q: q, seen: map[string]bool{}, enough: q.most}
}

// Bounds of what one search looks at: people in all, and people born on one day before those are narrowed by sound.
const (
	mostLooked = 20_000
	mostOfADay = 4_000
	wideDays   = 366
)

// candidates looks at the smallest set of people that holds all who can match.
func (f *finder) candidates() error {
	q := f.q
	from, to := q.born.span()
	narrow := q.born.hi-q.born.lo <= 31
	switch {
	case q.email != "" && !narrow:
		return f.byKey("e", q.email)
	case q.telephone != "" && !narrow:
		return f.byKey("t", q.telephone)
	case q.fuzzy:
		if q.postcode.asked() {
			if err := f.byKey("p", squeezed(q.postcode.text)); err != nil {
				return err
			}
		}
		return f.bySound(from, to)
	case q.postcode.asked() && !q.postcode.wild() && !narrow:
		return f.byKey("p", squeezed(q.postcode.text))
	case !q.family.wild() && len(q.family.begin()) <= familyBytes:
		return f.byNamed("demographics_name", `n.family = ? AND n.born >= ? AND n.born <= ?`, q.family.begin(), from, to)
	case q.born.hi-q.born.lo <= wideDays:
		return f.byBirth(from, to)
	}
	begin := clipped(q.family.begin())
	return f.byNamed("demographics_name", `n.family >= ? AND n.family < ? AND n.born >= ? AND n.born <= ?`, begin, begin+"\U0010FFFF", from, to)
}

// bySound looks at everybody born on the day, who are few; on days that many people have for want of knowing theirs, and for
// ranges, at those whose names sound so, in either order.
func (f *finder) bySound(from, to int64) error {
	if to-from <= 1 {
		var n int
		err := f.tx.QueryRow(`SELECT count(*) FROM (SELECT 1 FROM demographics_born p WHERE `+f.inLane("p")+`p.born >= ? AND p.born <= ? LIMIT ?) AS c`,
			from, to, mostOfADay).Scan(&n)
		if err != nil {
			return err
		}
		if f.counted = n < mostOfADay; f.counted {
			return f.byBirth(from, to)
		}
	}
	sounds := map[string]bool{}
	for _, p := range append([]pattern{f.q.family}, f.q.given...) {
		if name := p.begin(); name != "" {
			sounds[match.Sound(name)] = true
		}
	}
	delete(sounds, "")
	for sound := range sounds {
		if err := f.byNamed("demographics_sound", `n.sound = ? AND n.born >= ? AND n.born <= ?`, sound, from, to); err != nil {
			return err
		}
	}
	return nil
}

// inLane names the lane where there is but one, so that the tables' own order serves.
func (f *finder) inLane(alias string) string {
	if f.s.k.DB.Lanes() == 1 {
		return alias + ".lane = 0 AND "
	}
	return ""
}

// byNamed looks at the people of a range of names or sounds, known as n. SQLite would begin with everybody born then, but for the CROSS.
func (f *finder) byNamed(table, where string, args ...any) error {
	return f.by(table+` n`, ` CROSS JOIN demographics_born p WHERE p.lane = n.lane AND p.born = n.born AND p.person = n.person AND `, f.inLane("n")+where, args...)
}

func (f *finder) byBirth(from, to int64) error {
	return f.by(`demographics_born p`, ` WHERE `, f.inLane("p")+`p.born >= ? AND p.born <= ?`, from, to)
}

// by looks at the people of a range of a table, whom join finds. That there are too many is found out before any of them is looked at.
func (f *finder) by(table, join, where string, args ...any) error {
	if !f.counted {
		var n int
		if err := f.tx.QueryRow(`SELECT count(*) FROM (SELECT 1 FROM `+table+` WHERE `+where+` LIMIT ?) AS c`, append(slices.Clone(args), mostLooked+1)...).Scan(&n); err != nil {
			return err
		}
		if n > mostLooked {
			return refuse(tooManyMatches, "")
		}
	}
	return f.look(table+join+where, args...)
}

func (f *finder) byKey(kind, text string) error {
	return f.look(`demographics_key k CROSS JOIN `+theirDay+` WHERE w.lane = k.lane AND w.person = k.person AND `+f.inLane("k")+`k.hash = ?`, keyHash(kind, text))
}

// theseAtOnce is how many people one statement looks at by their numbers: always as many, so that it is planned once.
const theseAtOnce = 16

// these looks at those of some people, by their numbers, whom a search by birthday or postcode would come upon.
func (f *finder) these(ids []string) error {
	from, to := f.q.born.span()
	near, also := `w.born >= ? AND w.born <= ?`, []any{from, to}
	if f.q.postcode.asked() {
		near += ` OR EXISTS (SELECT 1 FROM demographics_key h WHERE h.lane = w.lane AND h.hash = ? AND h.person = w.person)`
		also = append(also, keyHash("p", squeezed(f.q.postcode.text)))
	}
	people := `(VALUES (CAST(? AS BIGINT), CAST(? AS TEXT))` + strings.Repeat(`, (?, ?)`, theseAtOnce-1) + `) AS k CROSS JOIN ` + theirDay +
		` WHERE w.lane = k.column1 AND w.person = k.column2 AND (` + near + `)`
	for some := range slices.Chunk(ids, theseAtOnce) {
		args := make([]any, 0, 2*theseAtOnce+len(also))
		for i := range theseAtOnce {
			id := some[min(i, len(some)-1)]
			args = append(args, int64(f.s.k.DB.LaneOf(f.s.k.National.String(), id)), id)
		}
		if err := f.look(people, append(args, also...)...); err != nil {
			return err
		}
	}
	return nil
}

// look compares each person of a range with the question, as far as the scope shows them. When it has come by enough it stops to see whether
// those are too many, and if they are not (some may be one person), it goes over the range again, past those whom it has seen.
func (f *finder) look(from string, args ...any) error {
	before := f.looked
	all, err := f.lookFor(from, args...)
	if all || err != nil {
		return err
	}
	people, err := f.survivors()
	if err != nil {
		return err
	}
	if len(people) > f.q.most || len(f.matches) > 4*mostMatches {
		return refuse(tooManyMatches, "")
	}
	f.looked, f.enough = before, 2*f.enough
	return f.look(from, args...)
}

// lookFor is look until there are more than enough matches: then all is false.
func (f *finder) lookFor(from string, args ...any) (all bool, err error) {
	cond, more := f.scope.Where(access.Columns{Lane: "p.lane", Chart: "p.person", Label: "p.label", Author: "''"}, "Patient")
	rows, err := f.tx.Query(`SELECT p.person, p.hidden, p.label, p.features FROM `+from+` AND (`+cond+`) LIMIT ?`,
		append(append(args, more...), mostLooked+1-f.looked)...)
	if err != nil {
		return false, err
	}
	defer rows.Close()
	var person string
	var hidden bool
	var label access.Label
	var packed []byte
	for rows.Next() {
		if err := rows.Scan(&person, &hidden, &label, &packed); err != nil {
			return false, err
		}
		if f.looked++; f.looked > mostLooked {
			return false, refuse(tooManyMatches, "")
		}
		if f.seen[person] {
			continue
		}
		f.seen[person] = true
		if label&access.Restricted != 0 && f.q.like == nil && (f.q.postcode.asked() || f.q.practice != "") {
			continue // where they are must not be learnt by asking
		}
		features, err := unpackFeatures(packed)
		if err != nil {
			return false, err
		}
		q := f.q
		if q.like != nil && label&access.Restricted != 0 && q.shown {
			q = q.unlocated()
		}
		score, ok := q.matching(&features)
		if !ok {
			continue
		}
		if hidden {
			score = -score
		}
		found := hit{person: person, score: score}
		if q.explained {
			found.reasons = q.explain(&features)
		}
		if q.like != nil {
			found.why = q.explainLike(&features)
		}
		if f.matches = append(f.matches, found); len(f.matches) > f.enough {
			return false, nil
		}
	}
	return true, rows.Err()
}

// featuresIn are those of one person whom the scope shows; false when there is nobody, or nobody who is shown.
func (s *register) featuresIn(ctx context.Context, scope access.Scope, person string) (f features, here bool, err error) {
	lane := s.k.DB.LaneOf(s.k.National.String(), person)
	cond, more := scope.Where(access.Columns{Lane: "p.lane", Chart: "p.person", Label: "p.label", Author: "''"}, "Patient")
	err = s.k.DB.Read(ctx, func(tx *store.Tx) error {
		f, here = features{}, false
		var packed []byte
		err := tx.QueryRow(`SELECT p.features FROM `+theirDay+` WHERE w.lane = ? AND w.person = ? AND p.hidden = 0 AND (`+cond+`)`,
			append([]any{int64(lane), person}, more...)...).Scan(&packed)
		if fault.Is(err, fault.NotFound) {
			return nil
		}
		if err != nil {
			return err
		}
		here = true
		f, err = unpackFeatures(packed)
		return err
	})
	return f, here, err
}
