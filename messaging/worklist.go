package messaging

import (
	"context"
	"maps"
	"slices"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// The orders of a worklist.
const (
	ByAge      = "age"
	ByOwner    = "owner"
	ByWorkflow = "workflow"
)

// Worklist selects messages that are out of their queue's course. Zero fields select all of them.
type Worklist struct {
	Parked        bool          // only those that wait for a person
	Organisation  ident.ODSCode // sender or recipient
	Workflow      string
	Owner         string
	Order         string // ByAge when empty; those of one rank by age
	Reverse       bool
	Limit, Offset int // at most 500; 50 when zero
}

// worklistOrders are the columns of each order. Ages begin with the oldest.
func worklistOrders() map[string]string {
	return map[string]string{"": `h.since`, ByAge: `h.since`, ByOwner: `h.owner`, ByWorkflow: `m.workflow`}
}

func (l Worklist) where() (string, []any) {
	text, args := `h.why > 0`, []any(nil)
	add := func(cond string, values ...any) { text, args = text+` AND `+cond, append(args, values...) }
	if l.Parked {
		text = `h.why = 4` // as its index says
	}
	if o := l.Organisation.String(); o != "" {
		add(`(m.sender = ? OR m.recipient = ?)`, o, o)
	}
	if l.Workflow != "" {
		add(`m.workflow = ?`, l.Workflow)
	}
	if l.Owner != "" {
		add(`h.owner = ?`, l.Owner)
	}
	return text, args
}

const heldTables = ` FROM post_held h JOIN post_message m ON m.lane = h.lane AND m.queue = h.queue AND m.num = h.num`

// Held lists what is out of its queue's course, the oldest first unless l says otherwise, and how many there are in all.
func (p *Post) Held(ctx context.Context, l Worklist) (list []Item, total int64, err error) {
	by, known := worklistOrders()[l.Order]
	if !known {
		return nil, 0, fault.New(fault.Invalid, "There is no such order of a worklist.")
	}
	if l.Reverse {
		by += ` DESC`
	}
	limit := min(max(l.Limit, 0), 500)
	if limit == 0 {
		limit = 50
	}
	where, args := l.where()
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		if err := tx.QueryRow(`SELECT count(*)`+heldTables+` WHERE `+where, args...).Scan(&total); err != nil {
			return err
		}
		list, err = scanItems(tx, `SELECT `+itemColumns+heldTables+` JOIN post_queue q ON q.lane = 0 AND q.queue = m.queue WHERE `+where+
			` ORDER BY `+by+`, h.since, m.lane, m.queue, m.num LIMIT ? OFFSET ?`, append(args, limit, max(l.Offset, 0))...)
		if err != nil {
			return err
		}
		for i := range list {
			if err := countBehind(tx, &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	return list, total, err
}

// countBehind says how many messages of its conversation wait behind a held one.
func countBehind(tx *store.Tx, it *Item) error {
	if it.Conversation == "" || it.Held == nil {
		return nil
	}
	return tx.QueryRow(`SELECT count(*) FROM post_held WHERE lane = ? AND queue = ? AND sender = ? AND conversation = ? AND num > ?`,
		it.Ref.Lane, it.Ref.Queue, it.From.String(), it.Conversation, it.Ref.Num).Scan(&it.Held.Behind)
}

// Parked lists what waits for a person, the oldest first, most at most.
func (p *Post) Parked(ctx context.Context, most int) ([]Item, error) {
	list, _, err := p.Held(ctx, Worklist{Parked: true, Limit: most})
	return list, err
}

// ParkedSum is how much waits for a person.
type ParkedSum struct {
	Count  int64
	Oldest time.Time // since when the oldest waits; zero when there is none
}

// ParkedSum counts what waits for a person, of one organisation's post if it is given.
func (p *Post) ParkedSum(ctx context.Context, organisation ident.ODSCode) (sum ParkedSum, err error) {
	where, args := Worklist{Parked: true, Organisation: organisation}.where()
	tables := ` FROM post_held h`
	if !organisation.IsZero() {
		tables = heldTables
	}
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		var oldest int64
		if err := tx.QueryRow(`SELECT count(*), coalesce(min(h.since), 0)`+tables+` WHERE `+where, args...).Scan(&sum.Count, &oldest); err != nil {
			return err
		}
		sum.Oldest = fromMicros(oldest)
		return nil
	})
	return sum, err
}

// Owners lists who looks after what waits for a person.
func (p *Post) Owners(ctx context.Context, organisation ident.ODSCode) (owners []string, err error) {
	where, args := Worklist{Parked: true, Organisation: organisation}.where()
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		owners = nil
		rows, err := tx.Query(`SELECT DISTINCT h.owner`+heldTables+` WHERE `+where+` ORDER BY h.owner LIMIT 200`, args...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var owner string
			if err := rows.Scan(&owner); err != nil {
				return err
			}
			owners = append(owners, owner)
		}
		return rows.Err()
	})
	return owners, err
}

// Kinds are the kinds of destination that a route may lead to.
func (p *Post) Kinds() []string {
	return append([]string{kindNode}, slices.Sorted(maps.Keys(p.couriers))...)
}
