package office

import (
	"context"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics"
	"github.com/openspine/openspine/demographics/match"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// The states of a pair.
const (
	stateOpen      = "open"
	stateMerged    = "merged"
	stateDifferent = "different"
	stateLapsed    = "lapsed"
)

// pair is two numbers that may be one person.
type pair struct {
	A, B             string
	State            string
	Verdict          match.Verdict
	Probability      float64
	Weight           float64
	Pattern          match.Pattern
	Veto             string
	Found            time.Time
	Owner, OwnerName string
	Taken            time.Time
	Survivor         string
	Decided          time.Time
	DecidedBy        string
	Reason           string
}

// other is the number that is not n.
func (p pair) other(n string) string {
	if n == p.A {
		return p.B
	}
	return p.A
}

const pairColumns = `a, b, state, verdict, probability, weight, pattern, veto, found, owner, owner_name, taken, survivor, decided, decided_by, reason`

func (p *pair) scan(row interface{ Scan(...any) error }) error {
	var verdict, probability, weight, pattern, found, taken, decided int64
	if err := row.Scan(&p.A, &p.B, &p.State, &verdict, &probability, &weight, &pattern, &p.Veto, &found, &p.Owner, &p.OwnerName, &taken, &p.Survivor, &decided, &p.DecidedBy, &p.Reason); err != nil {
		return err
	}
	p.Verdict, p.Probability, p.Weight, p.Pattern = match.Verdict(verdict), float64(probability)/1e6, float64(weight)/1e3, match.Pattern(pattern)
	p.Found, p.Taken, p.Decided = time.UnixMicro(found).UTC(), time.UnixMicro(taken).UTC(), time.UnixMicro(decided).UTC()
	return nil
}

// pairQuery selects pairs that hide nobody.
type pairQuery struct {
	State  string
	Owner  string // a user's id; "" for everybody's
	Oldest bool   // by age, else the likeliest first
	After  int    // how many to leave out
	Limit  int
}

// pairs are a page of the worklist, how many there are in that state, and how many more concern restricted people.
func (o *office) pairs(ctx context.Context, q pairQuery) (list []pair, total, hidden int, err error) {
	where := ` WHERE lane = ? AND state = ? AND hidden = 0`
	args := []any{int64(o.lane()), q.State}
	if q.Owner != "" {
		where += ` AND owner = ?`
		args = append(args, q.Owner)
	}
	order := ` ORDER BY probability DESC, a, b`
	if q.Oldest {
		order = ` ORDER BY found, a, b`
	}
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		if err := tx.QueryRow(`SELECT count(*) FROM office_pair`+where, args...).Scan(&total); err != nil {
			return err
		}
		if err := tx.QueryRow(`SELECT count(*) FROM office_pair WHERE lane = ? AND state = ? AND hidden = 1`, int64(o.lane()), q.State).Scan(&hidden); err != nil {
			return err
		}
		rows, err := tx.Query(`SELECT `+pairColumns+` FROM office_pair`+where+order+` LIMIT ? OFFSET ?`, append(args, int64(q.Limit), int64(q.After))...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var p pair
			if err := p.scan(rows); err != nil {
				return err
			}
			list = append(list, p)
		}
		return rows.Err()
	})
	return list, total, hidden, err
}

// pairOf is one pair, in either order of its numbers. Error: access.NotHere for one that is not there, or that hides somebody.
func (o *office) pairOf(ctx context.Context, a, b string) (pair, error) {
	var p pair
	err := o.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		p, err = o.pairIn(tx, a, b)
		return err
	})
	return p, err
}

func (o *office) pairIn(tx *store.Tx, a, b string) (pair, error) {
	if a > b {
		a, b = b, a
	}
	var p pair
	err := p.scan(tx.QueryRow(`SELECT `+pairColumns+` FROM office_pair WHERE lane = ? AND a = ? AND b = ? AND hidden = 0`, int64(o.lane()), a, b))
	if fault.Is(err, fault.NotFound) {
		return p, access.NotHere()
	}
	return p, err
}

// take makes p the one who looks into a pair; giving it back makes it nobody's. Error: fault.Conflict when it is no longer open.
func (o *office) take(ctx context.Context, grants []access.Grant, at pair, p access.Principal, giveBack bool) error {
	return o.k.Gate.Act(ctx, grants, []store.Lane{o.lane()}, func(tx *store.Tx) error {
		owner, name, taken := p.ID, p.Name, tx.At().UnixMicro()
		if giveBack {
			owner, name, taken = "", "", 0
		}
		n, err := tx.Exec(`UPDATE office_pair SET owner = ?, owner_name = ?, taken = ? WHERE lane = ? AND a = ? AND b = ? AND state = 'open'`,
			owner, name, taken, int64(o.lane()), at.A, at.B)
		return decidedAlready(n, err)
	})
}

// decidedAlready is the conflict when an update of what must be open changed nothing.
func decidedAlready(n int64, err error) error {
	if err == nil && n == 0 {
		return fault.New(fault.Conflict, "Somebody else has decided this meanwhile. Look at it again.")
	}
	return err
}

// differ records that a person found two people.
func (o *office) differ(ctx context.Context, grants []access.Grant, at pair, by access.Principal, reason string) error {
	return o.k.Gate.Act(ctx, grants, []store.Lane{o.lane()}, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE office_pair SET state = 'different', decided = ?, decided_by = ?, reason = ? WHERE lane = ? AND a = ? AND b = ? AND state = 'open'`,
			tx.At().UnixMicro(), by.Name, reason, int64(o.lane()), at.A, at.B)
		return decidedAlready(n, err)
	})
}

// merge makes the other number of a pair part of the survivor, with grants to update both.
func (o *office) merge(ctx context.Context, grants []access.Grant, at pair, survivor string, by access.Principal, reason string) error {
	chart := at.other(survivor)
	lanes := append(o.k.Records.LinkLanes(o.k.National, chart, survivor), o.lane())
	return o.k.Gate.Act(ctx, grants, lanes, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE office_pair SET state = 'merged', survivor = ?, decided = ?, decided_by = ?, reason = ? WHERE lane = ? AND a = ? AND b = ? AND state = 'open'`,
			survivor, tx.At().UnixMicro(), by.Name, reason, int64(o.lane()), at.A, at.B)
		if err := decidedAlready(n, err); err != nil {
			return err
		}
		if err := o.k.Records.Merge(tx, o.k.Gate, o.k.National, chart, survivor, reason, grants...); err != nil {
			return err
		}
		return demographics.NumberChanged(tx, o.k.DB.LaneOf(o.k.National.String(), chart), chart)
	})
}

// part makes two people again of a merged pair, which goes back on the worklist, taken by whoever parted them.
func (o *office) part(ctx context.Context, grants []access.Grant, at pair, by access.Principal, reason string) error {
	chart := at.other(at.Survivor)
	lanes := append(o.k.Records.LinkLanes(o.k.National, chart, at.Survivor), o.lane())
	return o.k.Gate.Act(ctx, grants, lanes, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE office_pair SET state = 'open', survivor = '', owner = ?, owner_name = ?, taken = ?, found = ?, decided = ?, decided_by = ?, reason = ?
			WHERE lane = ? AND a = ? AND b = ? AND state = 'merged'`, by.ID, by.Name, tx.At().UnixMicro(), tx.At().UnixMicro(), tx.At().UnixMicro(), by.Name, reason,
			int64(o.lane()), at.A, at.B)
		if err := decidedAlready(n, err); err != nil {
			return err
		}
		if err := o.k.Records.Unmerge(tx, o.k.Gate, o.k.National, chart, at.Survivor, reason, grants...); err != nil {
			return err
		}
		return demographics.NumberChanged(tx, o.k.DB.LaneOf(o.k.National.String(), chart), chart)
	})
}
