package access

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// DormantAfter is after how long without a sign-in an account is dormant.
const DormantAfter = 90 * 24 * time.Hour

// ReviewSoon is how long before its date a review is on the worklist.
const ReviewSoon = 30 * 24 * time.Hour

// MemberQuery asks for a page of users.
type MemberQuery struct {
	Organisation ident.ODSCode // those who have a role there; zero for everybody
	Text         string        // part of a name, or the beginning of an id
	Role         Role
	Show         string // one of Shows; "" for active
	Sort         string // name, id, last-in or review
	Descending   bool
	After        string // the cursor of the page before
	Before       string // the cursor of the page after
	Limit        int    // 50 when zero; at most 10,000
}

// Shows lists what a MemberQuery may show: those who may sign in, those who may not (suspended, ended), everybody, those who leave
// within 30 days, those who have not signed in for DormantAfter, and those a review of whom is due within ReviewSoon or overdue.
func Shows() []string {
	return []string{"active", "suspended", "ended", "all", "leaving", "dormant", "due", "overdue"}
}

// memberSorts are the columns by which users are listed.
var memberSorts = map[string]string{"name": "u.name", "id": "u.id", "last-in": "u.last_in", "review": "u.review"}

// MemberPage is a page of users, with the cursors of the pages beside it and how many there are in all.
type MemberPage struct {
	List           []Member
	Previous, Next string
	Total          int
}

// conditions are what q selects, for users u.
func (q MemberQuery) conditions(now time.Time) (cond string, args []any, err error) {
	cond = `1 = 1`
	add := func(c string, a ...any) { cond, args = cond+" AND "+c, append(args, a...) }
	at := now.UnixMicro()
	reviewed := `((u.review > 0 AND u.review <= ?) OR EXISTS (SELECT 1 FROM access_profile p WHERE p.lane = u.lane AND p.user_id = u.id AND p.until > ? AND p.review > 0 AND p.review <= ?))`
	switch q.Show {
	case "", "active":
		add(`u.ended = 0`)
	case "suspended":
		add(`u.ended <> 0 AND u.suspended = 1`)
	case "ended":
		add(`u.ended <> 0 AND u.suspended = 0`)
	case "all":
	case "leaving":
		add(`u.ended = 0 AND u.leaves > 0 AND u.leaves <= ?`, now.Add(ReviewSoon).UnixMicro())
	case "dormant":
		old := now.Add(-DormantAfter).UnixMicro()
		add(`u.ended = 0 AND u.last_in < ? AND u.joined < ?`, old, old)
	case "due", "overdue":
		until := at
		if q.Show == "due" {
			until = now.Add(ReviewSoon).UnixMicro()
		}
		add(`u.ended = 0 AND `+reviewed, until, at, until)
	default:
		return "", nil, fault.New(fault.Invalid, "Users are shown as one of: %s.", strings.Join(Shows(), ", "))
	}
	if !q.Organisation.IsZero() {
		add(`(u.organisation = ? OR EXISTS (SELECT 1 FROM access_profile p WHERE p.lane = u.lane AND p.user_id = u.id AND p.organisation = ? AND p.until > ?))`, q.Organisation.String(), q.Organisation.String(), at)
	}
	if q.Role != "" {
		add(`(u.role = ? OR EXISTS (SELECT 1 FROM access_profile p WHERE p.lane = u.lane AND p.user_id = u.id AND p.role = ? AND p.until > ?))`, string(q.Role), string(q.Role), at)
	}
	if text := strings.TrimSpace(q.Text); text != "" {
		like := strings.NewReplacer(`\`, `\\`, `%`, `\%`, `_`, `\_`).Replace(strings.ToLower(text))
		add(`(lower(u.name) LIKE ? ESCAPE '\' OR lower(u.id) LIKE ? ESCAPE '\')`, "%"+like+"%", like+"%")
	}
	return cond, args, nil
}

// memberCursor is where a page ends.
type memberCursor struct {
	Text   string `json:"t,omitempty"`
	Number int64  `json:"n,omitempty"`
	ID     string `json:"id"`
}

func (c memberCursor) String() string {
	b, err := json.Marshal(c)
	if err != nil {
		return ""
	}
	return base64.RawURLEncoding.EncodeToString(b)
}

func (q MemberQuery) cursorOf(m Member) string {
	c := memberCursor{ID: m.ID}
	switch q.Sort {
	case "last-in":
		c.Number = zeroOr(m.LastIn)
	case "review":
		c.Number = zeroOr(m.Review)
	case "id":
		c.Text = m.ID
	default:
		c.Text = m.Name
	}
	return c.String()
}

func (q MemberQuery) numeric() bool { return q.Sort == "last-in" || q.Sort == "review" }

// page adds the order, the place and the limit of a page to its conditions.
func (q MemberQuery) page(cond string, args []any, limit int) (string, []any, error) {
	column, ok := memberSorts[q.Sort]
	if !ok {
		return "", nil, fault.New(fault.Invalid, "Users are not ordered by %s.", q.Sort)
	}
	from, down := q.After, q.Descending
	if q.Before != "" {
		from, down = q.Before, !down
	}
	sign, order := ">", ""
	if down {
		sign, order = "<", " DESC"
	}
	if from != "" {
		var c memberCursor
		b, err := base64.RawURLEncoding.DecodeString(from)
		if err != nil || json.Unmarshal(b, &c) != nil {
			return "", nil, fault.New(fault.NotFound, "There is no such page.")
		}
		var value any = c.Text
		if q.numeric() {
			value = c.Number
		}
		cond, args = cond+` AND (`+column+`, u.id) `+sign+` (?, ?)`, append(args, value, c.ID)
	}
	return cond + ` ORDER BY ` + column + order + `, u.id` + order + ` LIMIT ?`, append(args, limit+1), nil
}

// Members are the users that q asks for. Errors: fault.Invalid, fault.NotFound for a foreign cursor.
func (g *Gate) Members(ctx context.Context, q MemberQuery) (MemberPage, error) {
	if q.Sort == "" {
		q.Sort = "name"
	}
	if q.Limit <= 0 || q.Limit > 10_000 {
		q.Limit = 50
	}
	var p MemberPage
	err := g.db.Read(ctx, func(tx *store.Tx) error {
		p = MemberPage{}
		cond, args, err := q.conditions(tx.At())
		if err != nil {
			return err
		}
		if err := tx.QueryRow(`SELECT count(*) FROM access_user u WHERE `+cond, args...).Scan(&p.Total); err != nil {
			return err
		}
		if cond, args, err = q.page(cond, args, q.Limit); err != nil {
			return err
		}
		list, err := g.membersIn(tx, cond, args...)
		if err != nil {
			return err
		}
		p.List, p.Previous, p.Next = paged(list, AlertQuery{Limit: q.Limit, After: q.After, Before: q.Before}, q.cursorOf)
		return nil
	})
	return p, err
}

// Member is a user as administrators keep them, whether or not they may sign in. Errors: fault.NotFound.
func (g *Gate) Member(ctx context.Context, id string) (Member, error) {
	var m Member
	err := g.db.Read(ctx, func(tx *store.Tx) (err error) {
		m, err = g.memberIn(tx, id)
		return err
	})
	return m, err
}

func (g *Gate) memberIn(tx *store.Tx, id string) (Member, error) {
	list, err := g.membersIn(tx, `u.lane = ? AND u.id = ?`, int64(g.userLane(id)), id)
	if err != nil {
		return Member{}, err
	}
	if len(list) == 0 {
		return Member{}, noUser()
	}
	return list[0], nil
}

func (g *Gate) membersIn(tx *store.Tx, cond string, args ...any) ([]Member, error) {
	list, err := scanMembers(tx, cond, args...)
	if err != nil {
		return nil, err
	}
	for i := range list {
		if list[i].Further, err = g.furtherIn(tx, list[i].ID); err != nil {
			return nil, err
		}
	}
	return list, nil
}

func scanMembers(tx *store.Tx, cond string, args ...any) ([]Member, error) {
	rows, err := tx.Query(`SELECT u.id, u.name, u.role, u.organisation, u.person, u.tenants, u.demo, u.edition, u.job, u.proofed, u.joined, u.leaves, u.review, u.ended, u.suspended, u.last_in
		FROM access_user u WHERE `+cond, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Member
	for rows.Next() {
		m, err := scanMember(rows)
		if err != nil {
			return nil, err
		}
		list = append(list, m)
	}
	return list, rows.Err()
}

func scanMember(rows *store.Rows) (Member, error) {
	var m Member
	var organisation, tenants string
	var joined, leaves, review, ended, lastIn int64
	err := rows.Scan(&m.ID, &m.Name, (*string)(&m.Role), &organisation, &m.Person, &tenants, &m.Demo, &m.Edition, &m.Job, &m.Proofed, &joined, &leaves, &review, &ended, &m.Suspended, &lastIn)
	if err != nil {
		return m, err
	}
	if organisation != "" {
		if m.Organisation, err = ident.ParseODSCode(organisation); err != nil {
			return m, err
		}
	}
	m.Joined, m.Leaves, m.Review, m.Ended, m.LastIn = known(joined), known(leaves), known(review), known(ended), known(lastIn)
	m.Tenants, err = parseTenants(strings.Fields(tenants))
	return m, err
}

// furtherIn are all further roles that a user has, had and will have.
func (g *Gate) furtherIn(tx *store.Tx, id string) ([]Profile, error) {
	rows, err := tx.Query(`SELECT id, role, organisation, tenants, job, since, until, review FROM access_profile WHERE lane = ? AND user_id = ? ORDER BY since, id`, int64(g.userLane(id)), id)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Profile
	for rows.Next() {
		p, err := scanProfile(rows)
		if err != nil {
			return nil, err
		}
		p.over = !p.Until.IsZero() && !p.Until.After(tx.At())
		list = append(list, p)
	}
	return list, rows.Err()
}
