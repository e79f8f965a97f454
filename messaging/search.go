package messaging

import (
	"context"
	"fmt"
	"math"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Query selects messages. Zero fields select all.
type Query struct {
	ID           string
	Organisation ident.ODSCode // sender or recipient
	With         ident.ODSCode // sender or recipient as well: what passed between the two
	Workflow     string
	States       []State
	From, To     time.Time // sent at From or later, and before To
	Oldest       bool      // the oldest first, otherwise the latest
	Limit        int       // 1 to 500; 50 when zero
	After        *Page     // of the page before
}

// Page is where a search goes on.
type Page struct {
	ID    string // of the last message that was looked at
	Ref   Ref    // its place, unless Whole
	Whole bool   // every message with that ID was looked at
}

// String is the page's text, for addresses.
func (p Page) String() string {
	if p.Whole {
		return p.ID
	}
	return p.ID + "." + p.Ref.String()
}

// ParsePage reads what Page.String made. Errors: fault.Invalid.
func ParsePage(s string) (*Page, error) {
	id, ref, placed := strings.Cut(s, ".")
	p := Page{ID: id, Whole: !placed}
	if len(id) != 18 {
		return nil, fault.New(fault.Invalid, "That is no page of messages.")
	}
	var err error
	if placed {
		p.Ref, err = ParseRef(ref)
	}
	return &p, err
}

// At is about when the message at which a search goes on was sent.
func (p Page) At() time.Time { return timeOf(p.ID) }

const (
	searchFew    = 1000   // an index with fewer entries that match is read rather than compared with others
	searchWindow = 20_000 // messages that one search looks at, when what it reads holds others than those that are looked for
)

// Search finds messages in the order of when they were sent. It reads the index that narrows most of id, organisation, workflow and state, and looks at a bounded
// number of messages, however many there are: a page may therefore hold fewer than Limit, or none, and next says how far it came; next is nil after the last page.
func (p *Post) Search(ctx context.Context, q Query) (list []Item, next *Page, err error) {
	return p.search(ctx, q, searchWindow)
}

func (p *Post) search(ctx context.Context, q Query, window int) (list []Item, next *Page, err error) {
	limit := min(max(q.Limit, 0), 500)
	if limit == 0 {
		limit = 50
	}
	err = p.db.Read(ctx, func(tx *store.Tx) error {
		list, next = nil, nil
		s := searching{tx: tx, q: q, limit: limit, window: window}
		if err := s.choose(); err != nil {
			return err
		}
		bound, err := s.bound()
		if err != nil {
			return err
		}
		if list, err = s.read(bound); err != nil {
			return err
		}
		switch {
		case len(list) > limit:
			list = list[:limit]
			next = &Page{ID: list[limit-1].ID, Ref: list[limit-1].Ref}
		case bound != "":
			next = &Page{ID: bound, Whole: true}
		}
		return nil
	})
	return list, next, err
}

// searching is one search under way.
type searching struct {
	tx     *store.Tx
	q      Query
	limit  int
	window int    // how many messages it looks at at most
	arms   []cond // what is read, each by an index of its own: together, every message that can match, each in one of them
	rest   []cond // what is asked of each message besides
}

// cond is a condition on a message m. The first of a list may name the tables to read, if they are more than the messages.
type cond struct {
	text string
	args []any
	from string
}

// tables are those that an arm reads.
func (c cond) tables() string {
	if c.from != "" {
		return c.from
	}
	return `post_message m`
}

// ofState are the arms that find messages of a state: nil for those that are handled, which most are.
func ofState(state State) (arms []cond) {
	if state == Handled {
		return nil
	}
	arms = []cond{{text: `m.state = ? AND m.state <> 4 AND (m.state <> 2 OR m.turn > 0)`, args: []any{int64(state)}}} // as the index says
	if state == Delivered {
		const first = `m.state = 2 AND m.turn = 0`
		arms = append(arms, cond{text: `s.next > s.done + 1 AND ` + first, from: `post_stream s JOIN post_message m ON m.lane = s.lane AND m.queue = s.queue AND m.num > s.done`},
			cond{text: `h.why > 0 AND m.num <= s.done AND ` + first, from: `post_held h JOIN post_stream s ON s.lane = h.lane AND s.queue = h.queue JOIN post_message m ON m.lane = h.lane AND m.queue = h.queue AND m.num = h.num`})
	}
	return arms
}

func and(list ...cond) (string, []any) {
	texts, args := make([]string, len(list)), []any(nil)
	for i, c := range list {
		texts[i], args = c.text, append(args, c.args...)
	}
	return strings.Join(texts, ` AND `), args
}

// span is the condition on ids that follows from times and the page before. Ids sort by the time that they were given.
func (s *searching) span() cond {
	c := cond{text: `m.id > ?`, args: []any{lowestID(s.q.From)}}
	add := func(text string, args ...any) { c.text, c.args = c.text+` AND `+text, append(c.args, args...) }
	if !s.q.To.IsZero() {
		add(`m.id < ?`, lowestID(s.q.To))
	}
	after := s.q.After
	if after == nil {
		return c
	}
	sign := `<`
	if s.q.Oldest {
		sign = `>`
	}
	if after.Whole {
		add(`m.id `+sign+` ?`, after.ID)
	} else {
		add(`m.id `+sign+`= ?`, after.ID) // for the index
		add(`(m.id, m.lane, m.queue, m.num) `+sign+` (?, ?, ?, ?)`, after.ID, after.Ref.Lane, after.Ref.Queue, after.Ref.Num)
	}
	return c
}

// ways are the indexes that a search may read: each a list of arms, and what it leaves to be asked of each message.
func (s *searching) ways() (arms [][]cond, rests []cond) {
	add := func(rest cond, list ...cond) { arms, rests = append(arms, list), append(rests, rest) }
	if id := s.q.ID; id != "" {
		c := cond{text: `m.id = ?`, args: []any{id}}
		add(c, c)
	}
	if o := s.q.Organisation.String(); o != "" {
		add(cond{text: `(m.sender = ? OR m.recipient = ?)`, args: []any{o, o}}, cond{text: `m.sender = ?`, args: []any{o}}, cond{text: `m.recipient = ? AND m.sender <> ?`, args: []any{o, o}})
	}
	if w := s.q.Workflow; w != "" {
		c := cond{text: `m.workflow = ?`, args: []any{w}}
		add(c, c)
	}
	if len(s.q.States) > 0 {
		var list []cond
		rest, open := cond{text: `m.state IN (?` + strings.Repeat(`, ?`, len(s.q.States)-1) + `)`}, true
		for _, state := range s.q.States {
			rest.args = append(rest.args, int64(state))
			list = append(list, ofState(state)...)
			open = open && state != Handled
		}
		if !open {
			list = nil // found by time
		}
		add(rest, list...)
	}
	return arms, rests
}

// choose takes the way that reads least.
func (s *searching) choose() error {
	arms, rests := s.ways()
	best, least := -1, int64(math.MaxInt64)
	for i, way := range arms {
		if way == nil {
			continue
		}
		n, err := s.count(way)
		if err != nil {
			return err
		}
		if n < least {
			best, least = i, n
		}
	}
	s.arms = []cond{{text: `m.id <> ''`}}
	if o := s.q.With.String(); o != "" {
		s.rest = append(s.rest, cond{text: `(m.sender = ? OR m.recipient = ?)`, args: []any{o, o}})
	}
	for i, rest := range rests {
		if i == best {
			s.arms = arms[i]
		} else {
			s.rest = append(s.rest, rest)
		}
	}
	return nil
}

// count is how many messages a way reads, up to few.
func (s *searching) count(way []cond) (n int64, err error) {
	for _, arm := range way {
		where, args := and(arm, s.span())
		var some int64
		if err := s.tx.QueryRow(`SELECT count(*) FROM (SELECT m.id FROM `+arm.tables()+` WHERE `+where+` LIMIT ?) AS few`, append(args, searchFew)...).Scan(&some); err != nil {
			return 0, err
		}
		n += some
	}
	return n, nil
}

func (s *searching) order() string {
	if s.q.Oldest {
		return ` ORDER BY m.id, m.lane, m.queue, m.num`
	}
	return ` ORDER BY m.id DESC, m.lane DESC, m.queue DESC, m.num DESC`
}

// bound is the id up to which this search looks; empty when it looks to the end.
func (s *searching) bound() (bound string, err error) {
	if len(s.rest) == 0 {
		return "", nil // all that is read matches
	}
	direction := ` DESC`
	if s.q.Oldest {
		direction = ``
	}
	for _, arm := range s.arms {
		where, args := and(arm, s.span())
		var id string
		err := s.tx.QueryRow(`SELECT m.id FROM `+arm.tables()+` WHERE `+where+` ORDER BY m.id`+direction+` LIMIT 1 OFFSET ?`, append(args, s.window)...).Scan(&id)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return "", err
		}
		if bound == "" || (id > bound) != s.q.Oldest {
			bound = id
		}
	}
	return bound, nil
}

// statement is the query that reads a page, up to a bound.
func (s *searching) statement(bound string) (text string, args []any) {
	var union []string
	for i, arm := range s.arms {
		conds := append([]cond{arm, s.span()}, s.rest...)
		switch {
		case bound == "":
		case s.q.Oldest:
			conds = append(conds, cond{text: `m.id <= ?`, args: []any{bound}})
		default:
			conds = append(conds, cond{text: `m.id >= ?`, args: []any{bound}})
		}
		where, more := and(conds...)
		union = append(union, fmt.Sprintf(`SELECT * FROM (SELECT m.lane, m.queue, m.num FROM %s WHERE %s%s LIMIT ?) AS arm%d`, arm.tables(), where, s.order(), i))
		args = append(append(args, more...), s.limit+1)
	}
	return `SELECT ` + itemColumns + ` FROM (` + strings.Join(union, ` UNION ALL `) + `) AS found JOIN post_message m ON m.lane = found.lane AND m.queue = found.queue AND m.num = found.num` +
		itemJoins + s.order() + ` LIMIT ?`, append(args, s.limit+1)
}

func (s *searching) read(bound string) ([]Item, error) {
	text, args := s.statement(bound)
	return scanItems(s.tx, text, args...)
}

// lowestID is below every id given from t on.
func lowestID(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	var id [9]byte
	ms := t.UnixMilli()
	for i := 8; i >= 0; i-- {
		id[i] = alphabet[ms&31]
		ms >>= 5
	}
	return string(id[:])
}

// timeOf is when an id was given, to the millisecond; zero for what is no id.
func timeOf(id string) time.Time {
	if len(id) < 9 {
		return time.Time{}
	}
	var ms int64
	for _, c := range []byte(id[:9]) {
		n := strings.IndexByte(alphabet, c)
		if n < 0 {
			return time.Time{}
		}
		ms = ms<<5 | int64(n)
	}
	return time.UnixMilli(ms).UTC()
}
