package access

import (
	"context"
	"encoding/base64"
	"fmt"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// The reason for breaking the glass or claiming a relationship, in characters.
const (
	ReasonMin = 10
	ReasonMax = 500
)

// Alert is what a privacy officer reviews: somebody opened a chart on their own say-so.
type Alert struct {
	ID           string // opaque; for Acknowledge
	At           time.Time
	Tenant       ident.ODSCode
	Chart        string
	Kind         string // KindBreakGlass, KindSelfClaimed or KindRevealed
	Actor        string
	ActorName    string
	Role         Role
	Organisation ident.ODSCode
	Reason       string
	Until        time.Time // when the access ends or ended
	Reviewed     time.Time // zero while it waits
	ReviewedBy   string
	Outcome      string // Justified or NeedsAction; "" while it waits
	Note         string
}

// Outcomes of a review.
const (
	Justified   = "justified"
	NeedsAction = "needs-action"
)

// BreakGlass opens a person's chart to p for a limited time, hidden or not, and tells the privacy officer. place is the
// person's Patient resource. The relationship, the alert and the entry on the account are one commit.
// Errors: fault.Invalid for a reason shorter than ReasonMin or longer than ReasonMax characters; fault.Forbidden for a
// role that may not; NotHere for a person who is not there.
func (g *Gate) BreakGlass(ctx context.Context, p Principal, place Place, reason string) (until time.Time, err error) {
	return g.reach(WithPurpose(ctx, "ETREAT"), p, BreakGlass, KindBreakGlass, g.opt.BreakGlassFor, place, reason)
}

// ClaimRelationship is p's own word that they look after a person who can be found: a relationship for a limited time,
// with a reason, of which the privacy officer is told. Errors: as BreakGlass; NotHere for a hidden person.
func (g *Gate) ClaimRelationship(ctx context.Context, p Principal, place Place, reason string) (until time.Time, err error) {
	return g.reach(ctx, p, Claim, KindSelfClaimed, g.opt.SelfClaimFor, place, reason)
}

func (g *Gate) reach(ctx context.Context, p Principal, a Action, kind string, lasts time.Duration, place Place, reason string) (until time.Time, err error) {
	reason = strings.TrimSpace(reason)
	if n := utf8.RuneCountInString(reason); n < ReasonMin || n > ReasonMax || !utf8.ValidString(reason) {
		return until, fault.New(fault.Invalid, "Say why you need to open this record, in %d to %d characters. The privacy officer will read it.", ReasonMin, ReasonMax)
	}
	place.Type, place.Founding = "Patient", false
	grant, err := g.Decide(ctx, p, a, place)
	if err != nil {
		return until, err
	}
	if !place.Exists || place.Chart == "" {
		return until, g.refuse(ctx, p, a, place, grant.Purpose(), "not-there", NotHere())
	}
	lane := g.Lane(place.Tenant, place.Chart)
	err = g.db.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		until = tx.At().Add(lasts)
		err := g.Relate(tx, Relationship{Tenant: place.Tenant, Chart: place.Chart, User: p.ID, Kind: kind, Until: until, Basis: reason, By: p.ID})
		if err != nil {
			return err
		}
		if err := g.alert(tx, lane, p, place, kind, reason, until); err != nil {
			return err
		}
		_, err = g.audit.Append(tx, lane, entryOf(p, string(a), place, grant.Purpose(), grant.Basis(), audit.OutcomeOK, reason, requestOf(ctx)))
		return err
	})
	return until, err
}

// GoodReason is fault.Unprocessable unless reason says something that a privacy officer can review.
func GoodReason(reason string) error {
	if n := utf8.RuneCountInString(strings.TrimSpace(reason)); n < ReasonMin || n > 2*ReasonMax {
		return fault.New(fault.Unprocessable, "This takes away what hides a record. Say why (X-Reason), in at least %d characters; the privacy officer will read it.", ReasonMin)
	}
	return nil
}

// revealed tells the privacy officer of each label that an act takes away.
func (g *Gate) revealed(tx *store.Tx, grants []Grant) error {
	for _, gr := range grants {
		pl := gr.p.place
		if pl.Reveals == "" || pl.Chart == "" {
			continue
		}
		if err := g.alert(tx, g.Lane(pl.Tenant, pl.Chart), gr.p.principal, pl, KindRevealed, pl.Reveals, tx.At()); err != nil {
			return err
		}
	}
	return nil
}

func (g *Gate) alert(tx *store.Tx, lane store.Lane, p Principal, place Place, kind, reason string, until time.Time) error {
	_, err := tx.Exec(`INSERT INTO access_alert (lane, id, at, tenant, chart, kind, actor, actor_name, role, organisation, reason, until, reviewed_at, reviewed_by, outcome, note)
		SELECT ?, 1 + coalesce((SELECT max(id) FROM access_alert WHERE lane = ?), 0), ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, 0, '', '', ''`,
		int64(lane), int64(lane), tx.At().UnixMicro(), place.Tenant.String(), place.Chart, kind, p.ID, p.Name, string(p.Role), p.Organisation.String(), reason, until.UnixMicro())
	return err
}

// AlertQuery selects alerts, or objections, newest first unless the oldest are to come first.
type AlertQuery struct {
	Oldest  bool
	Waiting bool   // only those not reviewed or answered yet
	Limit   int    // 1 to 200; 50 when zero
	After   string // AlertPage.Next of the page before
	Before  string // AlertPage.Previous of the page after; instead of After
}

// AlertPage is a page of alerts.
type AlertPage struct {
	Alerts   []Alert
	Next     string // "" on the last page
	Previous string // "" on the first page
	Waiting  int    // how many wait in all
}

// concerns is the condition on access_alert for what p reviews: alerts about people in the records of p's organisation, or
// raised by its staff in any records, and the same for each of p's Tenants.
func concerns(p Principal) (cond string, args []any) {
	marks := ""
	for i, t := range append([]ident.ODSCode{p.Organisation}, p.Tenants...) {
		if i > 0 {
			marks += ", "
		}
		marks, args = marks+"?", append(args, t.String())
	}
	return "(tenant IN (" + marks + ") OR organisation IN (" + marks + "))", append(args, args...)
}

// alerts are what access_alert holds.
func alerts() reviews[Alert] {
	return reviews[Alert]{TypeAlert, "access_alert", "reviewed_at = 0", "There is no such alert.", readAlerts, func(al Alert) string { return al.ID }}
}

// Alerts lists the alerts that concern p's organisation or one of p's Tenants: about people in its records, or raised by
// its staff, in any records. Errors: fault.Forbidden for a role that does not review; fault.Invalid for a foreign cursor.
func (g *Gate) Alerts(ctx context.Context, p Principal, q AlertQuery) (AlertPage, error) {
	page, err := alerts().page(ctx, g, p, q)
	return AlertPage{Alerts: page.rows, Next: page.next, Previous: page.previous, Waiting: page.waiting}, err
}

func readAlerts(tx *store.Tx, cond string, args ...any) ([]Alert, error) {
	rows, err := tx.Query(`SELECT lane, id, at, tenant, chart, kind, actor, actor_name, role, organisation, reason, until, reviewed_at, reviewed_by, outcome, note
		FROM access_alert WHERE `+cond, args...)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	var list []Alert
	for rows.Next() {
		var al Alert
		var lane, id, at, until, reviewed int64
		var tenant, organisation string
		if err := rows.Scan(&lane, &id, &at, &tenant, &al.Chart, &al.Kind, &al.Actor, &al.ActorName, (*string)(&al.Role), &organisation, &al.Reason,
			&until, &reviewed, &al.ReviewedBy, &al.Outcome, &al.Note); err != nil {
			return nil, err
		}
		al.ID, al.At, al.Until = alertID(at, lane, id), time.UnixMicro(at).UTC(), time.UnixMicro(until).UTC()
		if reviewed != 0 {
			al.Reviewed = time.UnixMicro(reviewed).UTC()
		}
		if al.Tenant, al.Organisation, err = organisations(tenant, organisation); err != nil {
			return nil, err
		}
		list = append(list, al)
	}
	return list, rows.Err()
}

// AlertByID is one alert. Errors: as Alerts; fault.NotFound when it does not concern p.
func (g *Gate) AlertByID(ctx context.Context, p Principal, id string) (Alert, error) {
	return alerts().one(ctx, g, p, id)
}

// Acknowledge records the review of an alert: Justified or NeedsAction, with a note. A review can be changed; the account
// keeps each. Errors: fault.Forbidden for a role that does not review, and for reviewing what one did oneself; fault.NotFound.
func (g *Gate) Acknowledge(ctx context.Context, p Principal, id, outcome, note string) error {
	if outcome != Justified && outcome != NeedsAction {
		return fault.New(fault.Invalid, "A review ends as %s or %s.", Justified, NeedsAction)
	}
	if len(note) > 4*ReasonMax {
		return fault.New(fault.Invalid, "The note is too long.")
	}
	_, lane, n, err := parseAlertID(id)
	if err != nil {
		return err
	}
	grant, err := g.Decide(ctx, p, Update, Place{Tenant: p.Organisation, Type: TypeAlert, ID: fmt.Sprint(n)})
	if err != nil {
		return err
	}
	return g.Act(ctx, []Grant{grant}, []store.Lane{store.Lane(lane)}, func(tx *store.Tx) error {
		al, err := alerts().in(tx, p, id)
		if err != nil {
			return err
		}
		if al.Actor == p.ID {
			return fault.New(fault.Forbidden, "Somebody else must review what you did.")
		}
		_, err = tx.Exec(`UPDATE access_alert SET reviewed_at = ?, reviewed_by = ?, outcome = ?, note = ? WHERE lane = ? AND id = ?`,
			tx.At().UnixMicro(), p.ID, outcome, note, lane, n)
		return err
	})
}

func alertID(at, lane, id int64) string {
	return base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d.%d.%d", at, lane, id))
}

func parseAlertID(s string) (at, lane, id int64, err error) {
	b, err := base64.RawURLEncoding.DecodeString(s)
	if err == nil {
		_, err = fmt.Sscanf(string(b), "%d.%d.%d", &at, &lane, &id)
	}
	if err != nil || lane < 0 || lane > 1<<30 || id < 0 || alertID(at, lane, id) != s {
		return 0, 0, 0, fault.New(fault.NotFound, "There is no such alert.")
	}
	return at, lane, id, nil
}
