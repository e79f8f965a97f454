package audit

import (
	"context"
	"encoding/base64"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Look is what one user or system did in one chart on one day: a line of "who looked at me".
type Look struct {
	Day          time.Time // midnight UTC
	Actor        string
	ActorName    string
	Role         string
	Organisation ident.ODSCode
	First, Last  time.Time
	Times        int // how many entries that were allowed
	Refused      int // and how many that were refused or failed
	Actions      []string
	Purposes     []string
	Bases        []string
}

// LookPage is a page of looks, the newest day first.
type LookPage struct {
	Looks []Look
	Next  string // for the next call; "" on the last page
}

// Looked lists who looked at a chart, or changed it, or tried to: one line per user and day, the newest day first.
// limit is 1 to 1,000, 50 when zero; after is LookPage.Next of the page before. Errors: fault.Invalid for another limit or cursor.
func (l *Log) Looked(ctx context.Context, tenant ident.ODSCode, chart string, limit int, after string) (LookPage, error) {
	if limit == 0 {
		limit = 50
	}
	if limit < 1 || limit > 1000 || chart == "" || tenant.IsZero() {
		return LookPage{}, fault.New(fault.Invalid, "name a chart and its tenant, and a page of 1 to 1,000 lines")
	}
	day, actor := int64(1)<<40, int64(0)
	if after != "" {
		b, err := base64.RawURLEncoding.DecodeString(after)
		if err == nil {
			_, err = fmt.Sscanf(string(b), "%d %d", &day, &actor)
		}
		if err != nil {
			return LookPage{}, fault.New(fault.Invalid, "the page cursor is not one that this list gave")
		}
	}
	lane := int64(l.db.LaneOf(tenant.String(), chart))
	var page LookPage
	err := l.db.Read(ctx, func(tx *store.Tx) error {
		page = LookPage{}
		rows, err := tx.Query(`SELECT g.day, g.actor, a.actor, a.name, a.role, a.organisation, t.action, t.purpose, t.basis, t.outcome, g.n, g.first, g.last
			FROM (SELECT at / 86400000000 AS day, actor, act, count(*) AS n, min(at) AS first, max(at) AS last
				FROM audit_entry WHERE lane = ? AND chart = (SELECT id FROM audit_chart WHERE lane = ? AND tenant = ? AND chart = ?)
				GROUP BY at / 86400000000, actor, act) g
			JOIN audit_actor a ON a.lane = ? AND a.id = g.actor
			JOIN audit_act t ON t.lane = ? AND t.id = g.act
			WHERE (g.day, g.actor) < (?, ?) ORDER BY g.day DESC, g.actor DESC, g.act`,
			lane, lane, tenant.String(), chart, lane, lane, day, actor)
		if err != nil {
			return err
		}
		defer rows.Close()
		return page.fill(rows, limit)
	})
	return page, err
}

// fill merges rows of one user and day into one line each, up to limit lines.
func (p *LookPage) fill(rows *store.Rows, limit int) error {
	var lastDay, lastActor int64
	for rows.Next() {
		var day, actor, n, first, last int64
		var organisation, action, purpose, basis, outcome string
		var k Look
		if err := rows.Scan(&day, &actor, &k.Actor, &k.ActorName, &k.Role, &organisation, &action, &purpose, &basis, &outcome, &n, &first, &last); err != nil {
			return err
		}
		if len(p.Looks) == 0 || day != lastDay || actor != lastActor {
			if len(p.Looks) == limit {
				p.Next = base64.RawURLEncoding.EncodeToString(fmt.Appendf(nil, "%d %d", lastDay, lastActor))
				return nil
			}
			var err error
			if k.Organisation, err = code(organisation); err != nil {
				return err
			}
			k.Day, k.First, k.Last = time.UnixMicro(day*86400_000_000).UTC(), time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC()
			p.Looks = append(p.Looks, k)
			lastDay, lastActor = day, actor
		}
		p.Looks[len(p.Looks)-1].add(action, purpose, basis, outcome, int(n), time.UnixMicro(first).UTC(), time.UnixMicro(last).UTC())
	}
	return rows.Err()
}

func (k *Look) add(action, purpose, basis, outcome string, n int, first, last time.Time) {
	if outcome == OutcomeOK {
		k.Times += n
	} else {
		k.Refused += n
	}
	if first.Before(k.First) {
		k.First = first
	}
	k.Last = maxTime(k.Last, last)
	for list, value := range map[*[]string]string{&k.Actions: action, &k.Purposes: purpose, &k.Bases: basis} {
		if value != "" && !slices.Contains(*list, value) {
			*list = append(*list, value)
		}
	}
}

// Each calls fn with every entry that q selects, newest first, a page at a time: for exports. q.Limit is the size of a page.
func (l *Log) Each(ctx context.Context, q Query, fn func(Entry) error) error {
	if q.Limit == 0 {
		q.Limit = 1000
	}
	for {
		page, err := l.Search(ctx, q)
		if err != nil {
			return err
		}
		for _, e := range page.Entries {
			if err := fn(e); err != nil {
				return err
			}
		}
		if page.Next == "" {
			return nil
		}
		q.After = page.Next
	}
}

// ID names an entry for ever: its lane and sequence.
func (e Entry) ID() string { return fmt.Sprintf("%d-%d", e.Lane, e.Seq) }

// ByID is the entry that Entry.ID names. Errors: fault.NotFound.
func (l *Log) ByID(ctx context.Context, id string) (Entry, error) {
	var lane, seq int64
	none := fault.New(fault.NotFound, "There is no such entry.")
	if n, err := fmt.Sscanf(id, "%d-%d", &lane, &seq); err != nil || n != 2 || lane < 0 || lane >= int64(l.db.Lanes()) ||
		strings.TrimSpace(id) != (Entry{Lane: int32(lane), Seq: seq}).ID() {
		return Entry{}, none
	}
	var e Entry
	err := l.db.Read(ctx, func(tx *store.Tx) error {
		rows, err := readRows(tx, store.Lane(lane), seq, seq)
		if err != nil {
			return err
		}
		if len(rows) == 0 {
			return none
		}
		e = rows[0]
		return nil
	})
	return e, err
}
