package directory

import (
	"cmp"
	"context"
	"math"
	"slices"
	"strconv"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Query is what somebody looks for. Every part that is given must hold.
type Query struct {
	// Text is an ODS code, a postcode or its beginning, or the beginnings of words of a name in any order, as they are typed.
	Text string
	// Role is a role that it holds now, for example RO76.
	Role string
	// Postcode is a postcode or its beginning.
	Postcode string
	// Closed includes those that are not open.
	Closed bool
	// Near is an outward code; with Distance, the nearest come first, and those whose place is not known last.
	Near     string
	Distance bool
	// Sort is name, code, town, postcode or state instead of the likeliest first.
	Sort       string
	Descending bool
	// Limit is how many to return, 20 when zero, and Offset how many to leave out before.
	Limit, Offset int
}

// Found is one organisation of a search.
type Found struct {
	Code     ident.ODSCode
	Name     string
	Town     string
	Postcode string
	Role     string // the primary one
	Setting  string // the prescribing setting; empty for none
	State    State
	Opened   Day
	Closed   Day
	Km       float64 // from Query.Near, with Query.Distance; -1 where it is not known
}

// Results are what a search found, the likeliest first.
type Results struct {
	Found []Found
	Total int
}

// mostTyped bounds the words of a search.
const mostTyped = 8

// Search finds organisations as somebody types: by code, by the beginning of any words of the name, by role and by postcode. An open one
// comes before a closed one, and one whose name begins with what was typed before one that has it further on.
// Errors: fault.Invalid for more than eight words; fault.Unavailable while the directory's tables are being written anew.
func (d *Directory) Search(ctx context.Context, q Query) (out Results, err error) {
	if err := d.k.Records.Whole("directory"); err != nil {
		return out, err
	}
	if q.Limit == 0 {
		q.Limit = 20
	}
	cond, first, err := q.where()
	if err != nil {
		return out, err
	}
	if q.Distance {
		return d.nearest(ctx, q, cond)
	}
	order, orderArgs := q.order(first)
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		out = Results{}
		if err := tx.QueryRow(`SELECT count(*) FROM directory_organisation o WHERE `+cond.sql(), cond.args...).Scan(&out.Total); err != nil {
			return err
		}
		args := append(append(slices.Clone(cond.args), orderArgs...), q.Limit, q.Offset)
		out.Found, err = foundIn(tx, cond.sql()+` ORDER BY `+order+` LIMIT ? OFFSET ?`, args...)
		return err
	})
	return out, err
}

// order is how what is found is ordered, and its arguments.
func (q Query) order(first string) (string, []any) {
	columns := map[string]string{"name": "folded", "code": "code", "town": "foldtown", "postcode": "postcode", "state": "state"}
	if column := columns[q.Sort]; column != "" {
		direction := ""
		if q.Descending {
			direction = " DESC"
		}
		return column + direction + `, folded, code`, nil
	}
	return `CASE WHEN code = ? THEN 0 ELSE 1 END, active DESC, CASE WHEN folded LIKE ? ESCAPE '\' THEN 0 ELSE 1 END, folded, code`, []any{strings.ToUpper(first), like(first) + "%"}
}

// foundIn are the organisations of which a condition holds, with what follows it.
func foundIn(tx *store.Tx, rest string, args ...any) ([]Found, error) {
	list, err := texts(tx, `SELECT code, name, town, postcode, role, state, opened, closed, setting FROM directory_organisation o WHERE `+rest, 9, args...)
	if err != nil {
		return nil, err
	}
	var found []Found
	for _, row := range list {
		f := Found{Name: row[1], Town: row[2], Postcode: spaced(row[3]), Role: row[4], State: State(row[5]), Opened: Day(row[6]), Closed: Day(row[7]), Setting: row[8], Km: -1}
		if f.Code, err = ident.ParseODSCode(row[0]); err != nil {
			return nil, err
		}
		found = append(found, f)
	}
	return found, nil
}

// nearest are the organisations that fit, the nearest first. There are some 3,000 outward codes: how far each is is worked out once, and those of
// the same distance are taken together, until there are enough.
func (d *Directory) nearest(ctx context.Context, q Query, cond where) (out Results, err error) {
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		out = Results{}
		counts, err := texts(tx, `SELECT outward, CAST(count(*) AS TEXT) FROM directory_organisation o WHERE `+cond.sql()+` GROUP BY outward`, 2, cond.args...)
		if err != nil {
			return err
		}
		fine, err := outwardsIn(tx)
		if err != nil {
			return err
		}
		type ring struct {
			outward string
			km      float64
			n       int
		}
		var rings []ring
		for _, row := range counts {
			km, ok := apart(fine, q.Near, row[0])
			if !ok {
				km = math.Inf(1)
			}
			n, err := strconv.Atoi(row[1])
			if err != nil {
				return fault.Wrap(err, fault.Internal, "counting organisations")
			}
			rings = append(rings, ring{row[0], km, n})
			out.Total += n
		}
		slices.SortFunc(rings, func(a, b ring) int { return cmp.Or(cmp.Compare(a.km, b.km), cmp.Compare(a.outward, b.outward)) })
		skip := q.Offset
		for _, r := range rings {
			if skip >= r.n {
				skip -= r.n
				continue
			}
			if len(out.Found) == q.Limit {
				break
			}
			list, err := foundIn(tx, cond.sql()+` AND o.outward = ? ORDER BY folded, code LIMIT ? OFFSET ?`, append(slices.Clone(cond.args), r.outward, q.Limit-len(out.Found), skip)...)
			if err != nil {
				return err
			}
			for i := range list {
				if !math.IsInf(r.km, 1) {
					list[i].Km = r.km
				}
			}
			out.Found, skip = append(out.Found, list...), 0
		}
		return nil
	})
	return out, err
}

// spaced is a postcode with its space, or as it is written where it is none.
func spaced(s string) string {
	if pc, err := ident.ParsePostcode(s); err == nil {
		return pc.String()
	}
	return s
}

// where is the query as a condition; first is what was typed, folded, which puts the best first.
func (q Query) where() (w where, first string, err error) {
	typed := wordsOf(q.Text)
	first = strings.Join(typed, " ")
	if len(typed) > mostTyped {
		return w, first, fault.New(fault.Invalid, "Type at most eight words.")
	}
	if q.Role != "" {
		w.and(`EXISTS (SELECT 1 FROM directory_role r WHERE r.code = o.code AND r.role = ?)`, q.Role)
	}
	if p := squeezed(q.Postcode); p != "" {
		w.and(`o.postcode >= ? AND o.postcode < ?`, p, p+"\U0010FFFF")
	}
	if !q.Closed {
		w.and(`o.active = 1`)
	}
	if len(typed) == 0 {
		if strings.TrimSpace(q.Text) != "" {
			w.and(`1 = 0`) // only what is in no word was typed
		}
		return w, first, nil
	}
	inner, args := byWords(typed)
	either := []string{`o.code IN (` + inner + `)`}
	if squeezed := strings.ToUpper(strings.Join(typed, "")); len(typed) <= 2 {
		either = append(either, `o.code = ?`)
		args = append(args, squeezed)
		if looksPostal(squeezed) {
			either = append(either, `o.postcode >= ? AND o.postcode < ?`)
			args = append(args, squeezed, squeezed+"\U0010FFFF")
		}
	}
	w.any(either, args)
	return w, first, nil
}

// looksPostal reports whether a text could begin a postcode: one or two letters and a digit.
func looksPostal(s string) bool {
	i := strings.IndexAny(s, "0123456789")
	return i == 1 || i == 2
}

// byWords is a query for the codes of names of which each typed word begins a word. The longest word is looked up first.
func byWords(typed []string) (query string, args []any) {
	list := slices.Clone(typed)
	slices.SortStableFunc(list, func(a, b string) int { return len(b) - len(a) })
	for i, w := range list {
		w = clip(w)
		one := `SELECT code FROM directory_word WHERE word >= ? AND word < ?`
		if i > 0 {
			one = `EXISTS (SELECT 1 FROM directory_word x WHERE x.code = directory_word.code AND x.word >= ? AND x.word < ?)`
			query += ` AND ` + one
		} else {
			query = one
		}
		args = append(args, w, w+"\U0010FFFF")
	}
	return query, args
}

// Successor is who answers for an organisation today: itself while it is open, or the last of those who took over one from the other.
// via are those in between. Errors: fault.NotFound when the code is not in the directory; fault.Conflict when several took over, whose
// message names them.
func (d *Directory) Successor(ctx context.Context, code ident.ODSCode) (now Organisation, via []ident.ODSCode, err error) {
	for range 20 {
		if now, err = d.Organisation(ctx, code); err != nil || now.State != Closed || len(now.Successions) == 0 {
			return now, via, err
		}
		if len(now.Successions) > 1 {
			var names []string
			for _, s := range now.Successions {
				names = append(names, s.Successor.String())
			}
			return now, via, fault.New(fault.Conflict, "%s was taken over by several: %s.", code, strings.Join(names, ", "))
		}
		via, code = append(via, code), now.Successions[0].Successor
		if slices.Contains(via, code) {
			return now, via, fault.New(fault.Conflict, "%s took over from itself in a circle.", code)
		}
	}
	return now, via, fault.New(fault.Conflict, "The line of those who took over from %s is too long.", code)
}

// Relationships are what an organisation is to others (from it) and others to it, those that have ended included.
func (d *Directory) Relationships(ctx context.Context, code ident.ODSCode) (from, to []Relationship, err error) {
	err = d.k.DB.Read(ctx, func(tx *store.Tx) error {
		if from, err = relationsWhere(tx, `source = ?`, code.String()); err != nil {
			return err
		}
		to, err = relationsWhere(tx, `target = ?`, code.String())
		return err
	})
	return from, to, err
}
