package referral

import (
	"context"
	"encoding/json"
	"math"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Worklist is what somebody looks for among referrals. Every part that is given must hold.
type Worklist struct {
	Practice ident.ODSCode // who referred
	Provider ident.ODSCode // whose it is now
	Chart    string        // of one person
	States   []State       // none means all
	// Unread leaves out what the provider has accepted.
	Unread bool
	// Due leaves out what stands in the future: those whose appointment has passed and of whom nothing is known since.
	Due bool
	// Closed shows those whose episode is over as well.
	Closed bool
	// Ended takes in those whose outpatient episode is over.
	Ended bool
	// Limit is how many at most, those whose wait is flagged first (see Referral.Limit), then those that have waited longest; 500 when zero.
	Limit int
}

// kin are the charts of one person, whatever number each was found by.
func (s *Referrals) kin(ctx context.Context, chart string) (charts []string, err error) {
	err = s.read(ctx, func(tx *store.Tx) error {
		charts, err = s.k.Gate.Kin(tx, s.k.National, chart)
		return err
	})
	return charts, err
}

// Waiting are the referrals of a worklist that the scope shows, those whose wait nears its limit or has passed it first, then those that have waited longest: each is on the account as shown.
func (s *Referrals) Waiting(ctx context.Context, scope access.Scope, q Worklist) (list []Referral, err error) {
	list, err = s.waitingIn(ctx, scope, q)
	s.shown(scope, list)
	return list, err
}

// shown puts referrals on the account as shown.
func (s *Referrals) shown(scope access.Scope, list []Referral) {
	for _, r := range list {
		scope.Disclose(s.place(r.Chart, r.UBRN, false))
	}
}

// waitingIn is Waiting for who shows only a part of it, and says of which (shown).
func (s *Referrals) waitingIn(ctx context.Context, scope access.Scope, q Worklist) (list []Referral, err error) {
	cond, args := scope.Where(access.Columns{Lane: "c.lane", Chart: "c.chart", Label: "0", Author: "''"}, access.TypeBooking)
	where := "(" + cond + ")"
	and := func(text string, more ...any) {
		where += " AND " + text
		args = append(args, more...)
	}
	if !q.Closed {
		and("c.closed = 0")
	}
	if !q.Practice.IsZero() {
		and("c.practice = ?", q.Practice.String())
	}
	if !q.Provider.IsZero() {
		and("c.provider = ?", q.Provider.String())
	}
	if q.Chart != "" {
		kin, err := s.kin(ctx, q.Chart)
		if err != nil {
			return nil, err
		}
		var each []string
		for _, chart := range kin {
			each = append(each, "c.lane = ? AND c.chart = ?")
			args = append(args, int64(s.chartLane(chart)), chart)
		}
		and("(" + strings.Join(each, " OR ") + ")")
	}
	if len(q.States) > 0 {
		marks := ""
		var states []any
		for _, x := range q.States {
			marks += ", ?"
			states = append(states, string(x))
		}
		and("c.state IN ("+marks[2:]+")", states...)
	}
	if q.Unread {
		and("c.accepted = 0")
	}
	if q.Due {
		and("c.starts > 0 AND c.starts < ? AND c.attended = 0", s.k.Clock.Now().UnixMicro())
	}
	if q.Limit <= 0 {
		q.Limit = 500
	}
	err = s.read(ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT c.body FROM referral_case c WHERE `+where+` ORDER BY CASE WHEN c.flagged > 0 AND c.flagged <= ? THEN c.limit_day ELSE ? END, c.since, c.ubrn LIMIT ?`,
			append(args, s.k.Clock.Now().UnixMicro(), int64(math.MaxInt64), int64(q.Limit))...)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var body []byte
			if err := rows.Scan(&body); err != nil {
				return err
			}
			var r Referral
			if err := json.Unmarshal(body, &r); err != nil {
				return err
			}
			list = append(list, r)
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for i := range list {
			if err := s.stillOffered(tx, &list[i]); err != nil {
				return err
			}
		}
		return nil
	})
	for i := range list {
		s.unheard(&list[i])
	}
	return list, err
}

// Age is how long a referral has been in its state.
func (r Referral) Age(now time.Time) time.Duration { return now.Sub(r.Since) }
