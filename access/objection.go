package access

import (
	"context"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Objection is a person's question about a look at their record that they did not expect:
//
//	waiting ── a privacy officer takes it on ──► owned ── answered ──► the person reads the answer
//
// An answer can be changed; the account keeps that it was.
type Objection struct {
	ID           string // opaque
	At           time.Time
	Tenant       ident.ODSCode
	Chart        string
	Person       string // the user who asks
	Entry        string // audit.Entry.ID of the look
	LookedAt     time.Time
	Actor        string // who looked
	ActorName    string
	Organisation ident.ODSCode
	Words        string
	Owner        string // the privacy officer's user id; "" while nobody looks into it
	OwnerName    string
	Answered     time.Time // zero while it waits
	Outcome      string    // InOrder or NotInOrder; "" while it waits
	Answer       string
}

// What a privacy officer finds.
const (
	InOrder    = "in-order"
	NotInOrder = "not-in-order"
)

// Object puts a person's question to the privacy officer: look is the entry on the account that they ask about, words what they ask, in
// ReasonMin to ReasonMax characters. A second question about the same entry is the first one. Errors: fault.Invalid; NotHere for an entry
// that is not about p's own record.
func (g *Gate) Object(ctx context.Context, p Principal, look audit.Entry, words string) (id string, err error) {
	words = strings.TrimSpace(words)
	if n := utf8.RuneCountInString(words); n < ReasonMin || n > ReasonMax || !utf8.ValidString(words) {
		return "", fault.New(fault.Invalid, "Say what you want to know, in %d to %d characters.", ReasonMin, ReasonMax)
	}
	grant, err := g.Decide(ctx, p, Create, Place{Tenant: look.Tenant, Chart: look.Chart, Type: TypeObjection})
	if err != nil {
		return "", err
	}
	lane := g.Lane(look.Tenant, look.Chart)
	err = g.Act(ctx, []Grant{grant}, []store.Lane{lane}, func(tx *store.Tx) error {
		asked, err := readObjections(tx, `lane = ? AND tenant = ? AND chart = ? AND entry = ?`, int64(lane), look.Tenant.String(), look.Chart, look.ID())
		if err != nil {
			return err
		}
		if len(asked) > 0 {
			id = asked[0].ID
			return nil
		}
		var n int64
		err = tx.QueryRow(`INSERT INTO access_objection (lane, id, at, tenant, chart, person, entry, looked_at, actor, actor_name, organisation, words, owner, owner_name, answered_at, outcome, answer)
			SELECT ?, 1 + coalesce((SELECT max(id) FROM access_objection WHERE lane = ?), 0), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, '', '', 0, '', '' RETURNING id`,
			int64(lane), int64(lane), tx.At().UnixMicro(), look.Tenant.String(), look.Chart, p.ID, look.ID(), look.At.UnixMicro(), look.Actor, look.ActorName, look.Organisation.String(), words).Scan(&n)
		id = alertID(tx.At().UnixMicro(), int64(lane), n)
		return err
	})
	return id, err
}

// OwnObjections are what p asked about a chart of their own, newest first, 100 at most.
func (g *Gate) OwnObjections(ctx context.Context, p Principal, chart audit.Chart) ([]Objection, error) {
	grant, err := g.Decide(ctx, p, Search, Place{Tenant: chart.Tenant, Chart: chart.Chart, Type: TypeObjection})
	if err != nil {
		return nil, err
	}
	var list []Objection
	err = g.db.Read(ctx, func(tx *store.Tx) (err error) {
		list, err = readObjections(tx, `lane = ? AND tenant = ? AND chart = ? ORDER BY id DESC LIMIT 100`, int64(g.Lane(chart.Tenant, chart.Chart)), chart.Tenant.String(), chart.Chart)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, g.Account(ctx, []Grant{grant}, nil)
}

// ObjectionPage is a page of objections, newest first.
type ObjectionPage struct {
	Objections []Objection
	Next       string // "" on the last page
	Previous   string // "" on the first page
	Waiting    int    // how many wait in all
}

// objections are what access_objection holds.
func objections() reviews[Objection] {
	return reviews[Objection]{TypeObjection, "access_objection", "answered_at = 0", "There is no such question.", readObjections, func(o Objection) string { return o.ID }}
}

// Objections lists those that concern p, as Alerts does, newest first. Errors: as Alerts.
func (g *Gate) Objections(ctx context.Context, p Principal, q AlertQuery) (ObjectionPage, error) {
	page, err := objections().page(ctx, g, p, q)
	return ObjectionPage{Objections: page.rows, Next: page.next, Previous: page.previous, Waiting: page.waiting}, err
}

// ObjectionByID is one objection that concerns p. Errors: as AlertByID.
func (g *Gate) ObjectionByID(ctx context.Context, p Principal, id string) (Objection, error) {
	return objections().one(ctx, g, p, id)
}

// TakeObjection makes p the one who looks into it, whoever was before. Errors: as AnswerObjection.
func (g *Gate) TakeObjection(ctx context.Context, p Principal, id string) error {
	return g.onObjection(ctx, p, id, `owner = ?, owner_name = ?`, p.ID, p.Name)
}

// AnswerObjection gives the person the answer: InOrder or NotInOrder, and why, in ReasonMin to 4 × ReasonMax characters.
// Errors: fault.Invalid; fault.Forbidden for a role that does not review, and for a look of one's own; fault.NotFound.
func (g *Gate) AnswerObjection(ctx context.Context, p Principal, id, outcome, answer string) error {
	if outcome != InOrder && outcome != NotInOrder {
		return fault.New(fault.Invalid, "A question is answered with %s or %s.", InOrder, NotInOrder)
	}
	if n := utf8.RuneCountInString(answer); n < ReasonMin || n > 4*ReasonMax || !utf8.ValidString(answer) {
		return fault.New(fault.Invalid, "An answer has %d to %d characters.", ReasonMin, 4*ReasonMax)
	}
	return g.onObjection(ctx, p, id, `owner = ?, owner_name = ?, outcome = ?, answer = ?, answered_at = ?`, p.ID, p.Name, outcome, answer)
}

// onObjection changes one objection; a fifth assignment is the instant of the change.
func (g *Gate) onObjection(ctx context.Context, p Principal, id, set string, values ...any) error {
	_, lane, n, err := parseAlertID(id)
	if err != nil {
		return err
	}
	grant, err := g.Decide(ctx, p, Update, Place{Tenant: p.Organisation, Type: TypeObjection, ID: fmt.Sprint(n)})
	if err != nil {
		return err
	}
	return g.Act(ctx, []Grant{grant}, []store.Lane{store.Lane(lane)}, func(tx *store.Tx) error {
		o, err := objections().in(tx, p, id)
		if err != nil {
			return err
		}
		if o.Actor == p.ID {
			return fault.New(fault.Forbidden, "Somebody else must answer for what you did.")
		}
		args := append([]any{}, values...)
		if strings.Count(set, "?") > len(values) {
			args = append(args, tx.At().UnixMicro())
		}
		_, err = tx.Exec(`UPDATE access_objection SET `+set+` WHERE lane = ? AND id = ?`, append(args, lane, n)...)
		return err
	})
}

func readObjections(tx *store.Tx, cond string, args ...any) ([]Objection, error) {
	rows, err := tx.Query(`SELECT lane, id, at, tenant, chart, person, entry, looked_at, actor, actor_name, organisation, words, owner, owner_name, answered_at, outcome, answer
		FROM access_objection WHERE `+cond, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Objection
	for rows.Next() {
		var o Objection
		var lane, id, at, looked, answered int64
		var tenant, organisation string
		if err := rows.Scan(&lane, &id, &at, &tenant, &o.Chart, &o.Person, &o.Entry, &looked, &o.Actor, &o.ActorName, &organisation, &o.Words, &o.Owner, &o.OwnerName,
			&answered, &o.Outcome, &o.Answer); err != nil {
			return nil, err
		}
		o.ID, o.At, o.LookedAt = alertID(at, lane, id), time.UnixMicro(at).UTC(), time.UnixMicro(looked).UTC()
		if answered != 0 {
			o.Answered = time.UnixMicro(answered).UTC()
		}
		if o.Tenant, o.Organisation, err = organisations(tenant, organisation); err != nil {
			return nil, err
		}
		list = append(list, o)
	}
	return list, rows.Err()
}
