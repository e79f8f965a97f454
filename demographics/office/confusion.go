package office

import (
	"context"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/demographics/match"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/record"
	"github.com/openspine/openspine/store"
)

// The states of a confusion.
const (
	stateOne = "one" // one person after all: they changed their name, their birth date was wrong …
	stateTwo = "two" // two people: the change belongs to somebody else
)

// confusion is a change after which a record no longer looks like the person it was about.
type confusion struct {
	Person           string
	Version          int64
	State            string
	Probability      float64
	Pattern          match.Pattern
	Found            time.Time
	Actor            string
	Owner, OwnerName string
	Decided          time.Time
	DecidedBy        string
	Reason           string
}

// changed looks at each change of a Patient: would the record before and the record after pass for one person, if they came
// under two numbers? Where they live does not matter: people move.
func (o *office) changed(_ context.Context, tx *store.Tx, v record.Version) error {
	if v.Tenant != o.k.National || v.Deleted || v.Ver < 2 {
		return nil
	}
	before, ok, err := o.k.Records.Before(tx, v)
	if err != nil || !ok || before.Deleted {
		return err
	}
	day := v.At.UTC().Format(time.DateOnly)
	was, is := match.FromPatient(before.Resource, day), match.FromPatient(v.Resource, day)
	if !strange(&was, &is) {
		return nil
	}
	r := match.Default().Score(&was, &is)
	return tx.Queue(`INSERT INTO office_confusion (lane, person, ver, state, hidden, probability, weight, pattern, found, actor, owner, owner_name, taken, decided, decided_by, reason)
		VALUES (?, ?, ?, 'open', ?, ?, ?, ?, ?, ?, '', '', 0, 0, '', '') ON CONFLICT (lane, person, ver) DO NOTHING`,
		int64(o.lane()), v.ID, v.Ver, bit(v.Label()&access.Restricted != 0), millionths(r.Probability), thousandths(r.Weight), int64(r.Pattern), tx.At().UnixMicro(), v.Name)
}

// strange reports whether a record was changed more than one life changes at once: of family name, given name, birth date and
// gender, two at least no longer agree. Names that are kept as former names agree.
func strange(was, is *match.Person) bool {
	p := match.Compare(was, is)
	lost := 0
	for _, gone := range []bool{
		p.Level(match.Family) == match.FamilyDiffers,
		p.Level(match.Given) == match.GivenDiffers || p.Level(match.Given) == match.GivenTwin,
		p.Level(match.Birth) == match.BirthDiffers,
		p.Level(match.Gender) == match.Differs,
	} {
		if gone {
			lost++
		}
	}
	return lost >= 2
}

const confusionColumns = `person, ver, state, probability, pattern, found, actor, owner, owner_name, decided, decided_by, reason`

func (c *confusion) scan(row interface{ Scan(...any) error }) error {
	var probability, pattern, found, decided int64
	if err := row.Scan(&c.Person, &c.Version, &c.State, &probability, &pattern, &found, &c.Actor, &c.Owner, &c.OwnerName, &decided, &c.DecidedBy, &c.Reason); err != nil {
		return err
	}
	c.Probability, c.Pattern = float64(probability)/1e6, match.Pattern(pattern)
	c.Found, c.Decided = time.UnixMicro(found).UTC(), time.UnixMicro(decided).UTC()
	return nil
}

// confusions are a page of the worklist, oldest first, how many there are in that state, and how many more concern restricted people.
func (o *office) confusions(ctx context.Context, state string, after, limit int) (list []confusion, total, hidden int, err error) {
	err = o.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		for _, n := range []struct {
			hidden int64
			into   *int
		}{{0, &total}, {1, &hidden}} {
			if err := tx.QueryRow(`SELECT count(*) FROM office_confusion WHERE lane = ? AND state = ? AND hidden = ?`, int64(o.lane()), state, n.hidden).Scan(n.into); err != nil {
				return err
			}
		}
		rows, err := tx.Query(`SELECT `+confusionColumns+` FROM office_confusion WHERE lane = ? AND state = ? AND hidden = 0 ORDER BY found, person, ver LIMIT ? OFFSET ?`,
			int64(o.lane()), state, int64(limit), int64(after))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var c confusion
			if err := c.scan(rows); err != nil {
				return err
			}
			list = append(list, c)
		}
		return rows.Err()
	})
	return list, total, hidden, err
}

// confusionOf is one confusion. Error: access.NotHere for one that is not there, or that hides somebody.
func (o *office) confusionOf(ctx context.Context, person string, version int64) (confusion, error) {
	var c confusion
	err := o.k.DB.Read(ctx, func(tx *store.Tx) error {
		return c.scan(tx.QueryRow(`SELECT `+confusionColumns+` FROM office_confusion WHERE lane = ? AND person = ? AND ver = ? AND hidden = 0`, int64(o.lane()), person, version))
	})
	if fault.Is(err, fault.NotFound) {
		return c, access.NotHere()
	}
	return c, err
}

// settle records what a person found a confusion to be: stateOne or stateTwo.
func (o *office) settle(ctx context.Context, grants []access.Grant, at confusion, state string, by access.Principal, reason string) error {
	return o.k.Gate.Act(ctx, grants, []store.Lane{o.lane()}, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE office_confusion SET state = ?, decided = ?, decided_by = ?, reason = ? WHERE lane = ? AND person = ? AND ver = ? AND state = 'open'`,
			state, tx.At().UnixMicro(), by.Name, reason, int64(o.lane()), at.Person, at.Version)
		return decidedAlready(n, err)
	})
}
