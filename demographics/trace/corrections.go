package trace

import (
	"context"
	"embed"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

//go:embed schema/*.sql
var schemaFiles embed.FS

// The states of a correction that somebody asks for:
//
//	waiting ── somebody takes it on ──► waiting, owned ──► right: it was put right
//	   └──────────────────────────────────────┘       └──► stays: it was not, and why
//	                      └──► withdrawn: the person does not ask any more
const (
	stateWaiting = "waiting"
	stateRight   = "right"
	stateStays   = "stays"
	stateGone    = "withdrawn"
)

// correction is what a person asks to have put right of their details, and the answer.
type correction struct {
	ID               int64
	At               time.Time
	Person           string        // the NHS number under which it was asked
	Organisation     ident.ODSCode // whose worklist it is on
	Part, Words      string
	State            string
	Owner, OwnerName string // "" while nobody looks into it
	Taken            time.Time
	Answered         time.Time // zero while it waits
	AnsweredBy       string
	Answer           string
}

// reference is the number that a person quotes.
func (c correction) reference() string { return fmt.Sprintf("%06d", c.ID) }

func (c correction) waits() bool { return c.State == stateWaiting }

// wrongs are the parts of a record that a person asks about, for they cannot change them themself.
func wrongs() []string { return []string{"name", "birth", "gender", "address", "practice", "other"} }

// Words that people write, in characters.
const (
	wordsMin = 5
	wordsMax = 1000
)

const correctionColumns = `id, at, person, organisation, part, words, state, owner, owner_name, taken, answered, answered_by, answer`

func (c *correction) scan(row interface{ Scan(...any) error }) error {
	var at, taken, answered int64
	var organisation string
	err := row.Scan(&c.ID, &at, &c.Person, &organisation, &c.Part, &c.Words, &c.State, &c.Owner, &c.OwnerName, &taken, &answered, &c.AnsweredBy, &c.Answer)
	if err != nil {
		return err
	}
	if c.Organisation, err = ident.ParseODSCode(organisation); err != nil {
		return fault.Wrap(err, fault.Internal, "a correction is on nobody's worklist")
	}
	c.At, c.Taken, c.Answered = time.UnixMicro(at).UTC(), time.UnixMicro(taken).UTC(), time.UnixMicro(answered).UTC()
	return nil
}

// correctionLane is where all of them stand.
func (f *face) correctionLane() store.Lane {
	return f.k.DB.LaneOf(f.k.National.String(), "corrections")
}

// correctionPlace is the place of a person's corrections, for decisions.
func (f *face) correctionPlace(p access.Place) access.Place {
	p.Type, p.ID, p.Exists = access.TypeCorrection, "", false
	return p
}

// worklistOf is whose worklist a person's request lands on: their practice's where this node keeps its records, else the records office's.
func (f *face) worklistOf(v *visit) ident.ODSCode {
	code, err := ident.ParseODSCode(v.person.Version.Resource.Get("generalPractitioner.0.identifier.value").String())
	if err == nil && slices.Contains(f.worklists(), code) {
		return code
	}
	return f.k.National
}

// worklists are the organisations that have one.
func (f *face) worklists() []ident.ODSCode {
	all := []ident.ODSCode{f.k.National}
	for _, t := range f.k.Tenants {
		if t.Kind == "practice" {
			all = append(all, t.Code)
		}
	}
	return all
}

// ask keeps a request. A second one about the same part, while the first waits, is refused: fault.Conflict.
func (f *face) ask(ctx context.Context, g access.Grant, v *visit, part, words string) (id int64, err error) {
	lane := int64(f.correctionLane())
	err = f.k.Gate.Act(ctx, []access.Grant{g}, []store.Lane{f.correctionLane()}, func(tx *store.Tx) error {
		var waiting int64
		if err := tx.QueryRow(`SELECT count(*) FROM trace_correction WHERE lane = ? AND person = ? AND part = ? AND state = 'waiting'`, lane, v.id(), part).Scan(&waiting); err != nil {
			return err
		}
		if waiting > 0 {
			return fault.New(fault.Conflict, "This was asked already, and waits for an answer.")
		}
		return tx.QueryRow(`INSERT INTO trace_correction (lane, id, at, person, organisation, asked_by, part, words, state, owner, owner_name, taken, answered, answered_by, answer)
			SELECT ?, 1 + coalesce((SELECT max(id) FROM trace_correction WHERE lane = ?), 0), ?, ?, ?, ?, ?, ?, 'waiting', '', '', 0, 0, '', '' RETURNING id`,
			lane, lane, tx.At().UnixMicro(), v.id(), f.worklistOf(v).String(), v.viewer.ID, part, words).Scan(&id)
	})
	return id, err
}

// ownCorrections are what a person asked under any of their numbers, newest first, 100 at most.
func (f *face) ownCorrections(ctx context.Context, p access.Principal) (list []correction, err error) {
	numbers, err := f.k.Gate.Selves(ctx, p, f.k.National)
	if err != nil {
		return nil, err
	}
	err = f.k.DB.Read(ctx, func(tx *store.Tx) error {
		list = nil
		for _, n := range numbers {
			more, err := readCorrections(tx, `lane = ? AND person = ? ORDER BY id DESC LIMIT 100`, int64(f.correctionLane()), n)
			if err != nil {
				return err
			}
			list = append(list, more...)
		}
		return nil
	})
	slices.SortFunc(list, func(a, b correction) int { return int(b.ID - a.ID) })
	return list, err
}

func readCorrections(tx *store.Tx, where string, args ...any) (list []correction, err error) {
	rows, err := tx.Query(`SELECT `+correctionColumns+` FROM trace_correction WHERE `+where, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var c correction
		if err := c.scan(rows); err != nil {
			return nil, err
		}
		list = append(list, c)
	}
	return list, rows.Err()
}

// correctionQuery selects a page of a worklist.
type correctionQuery struct {
	Answered     bool          // those that are answered, else those that wait
	Organisation ident.ODSCode // zero for everybody's, as the records office sees them
	Owner        string        // a user's id; "" for anybody's
	Newest       bool          // first; else the oldest
	After, Limit int
}

// corrections are a page of a worklist, and how many there are in all.
func (f *face) corrections(ctx context.Context, q correctionQuery) (list []correction, total int, err error) {
	where, args := `lane = ? AND state = 'waiting'`, []any{int64(f.correctionLane())}
	if q.Answered {
		where = `lane = ? AND state IN ('right', 'stays', 'withdrawn')`
	}
	if !q.Organisation.IsZero() {
		where, args = where+` AND organisation = ?`, append(args, q.Organisation.String())
	}
	if q.Owner != "" {
		where, args = where+` AND owner = ?`, append(args, q.Owner)
	}
	order := ` ORDER BY id`
	if q.Newest {
		order = ` ORDER BY id DESC`
	}
	err = f.k.DB.Read(ctx, func(tx *store.Tx) (err error) {
		if err := tx.QueryRow(`SELECT count(*) FROM trace_correction WHERE `+where, args...).Scan(&total); err != nil {
			return err
		}
		list, err = readCorrections(tx, where+order+` LIMIT ? OFFSET ?`, slices.Concat(args, []any{int64(q.Limit), int64(q.After)})...)
		return err
	})
	return list, total, err
}

// correctionOf is one request of a worklist. Error: access.NotHere for one that is not there, or on another's.
func (f *face) correctionOf(ctx context.Context, id int64, worklist ident.ODSCode) (c correction, err error) {
	err = f.k.DB.Read(ctx, func(tx *store.Tx) error {
		list, err := readCorrections(tx, `lane = ? AND id = ?`, int64(f.correctionLane()), id)
		if err != nil {
			return err
		}
		if len(list) == 0 || !worklist.IsZero() && list[0].Organisation != worklist {
			return access.NotHere()
		}
		c = list[0]
		return nil
	})
	return c, err
}

// takeCorrection makes p the one who looks into a request; giving it back makes it nobody's. Error: fault.Conflict when it is answered.
func (f *face) takeCorrection(ctx context.Context, g access.Grant, c correction, p access.Principal, giveBack bool) error {
	return f.k.Gate.Act(ctx, []access.Grant{g}, []store.Lane{f.correctionLane()}, func(tx *store.Tx) error {
		owner, name, taken := p.ID, p.Name, tx.At().UnixMicro()
		if giveBack {
			owner, name, taken = "", "", 0
		}
		return answeredAlready(tx.Exec(`UPDATE trace_correction SET owner = ?, owner_name = ?, taken = ? WHERE lane = ? AND id = ? AND state = 'waiting'`,
			owner, name, taken, int64(f.correctionLane()), c.ID))
	})
}

// answerCorrection tells the person what became of their request. Error: fault.Conflict when somebody else has answered.
func (f *face) answerCorrection(ctx context.Context, g access.Grant, c correction, p access.Principal, state, answer string) error {
	return f.k.Gate.Act(ctx, []access.Grant{g}, []store.Lane{f.correctionLane()}, func(tx *store.Tx) error {
		return answeredAlready(tx.Exec(`UPDATE trace_correction SET state = ?, answered = ?, answered_by = ?, answer = ?, owner = ?, owner_name = ? WHERE lane = ? AND id = ? AND state = 'waiting'`,
			state, tx.At().UnixMicro(), p.Name, strings.TrimSpace(answer), p.ID, p.Name, int64(f.correctionLane()), c.ID))
	})
}

// withdrawCorrection takes back what a person asked, while nobody has answered; it stays on the list of those that are answered. Error: fault.Conflict when somebody has.
func (f *face) withdrawCorrection(ctx context.Context, g access.Grant, c correction, p access.Principal) error {
	return f.k.Gate.Act(ctx, []access.Grant{g}, []store.Lane{f.correctionLane()}, func(tx *store.Tx) error {
		return answeredAlready(tx.Exec(`UPDATE trace_correction SET state = ?, answered = ?, answered_by = ? WHERE lane = ? AND id = ? AND person = ? AND state = 'waiting'`,
			stateGone, tx.At().UnixMicro(), p.Name, int64(f.correctionLane()), c.ID, c.Person))
	})
}

// answeredAlready is the conflict when an update of what must be waiting changed nothing.
func answeredAlready(n int64, err error) error {
	if err == nil && n == 0 {
		return fault.New(fault.Conflict, "Somebody else has answered this meanwhile, or it was withdrawn. Look at it again.")
	}
	return err
}
