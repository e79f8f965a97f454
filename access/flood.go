package access

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/store"
)

// refusalsPerMinute is how many refusals of one principal are put on the account singly in a minute. What goes beyond is counted
// and goes on the account as one line: a flood of refusals must not become a flood of commits.
const refusalsPerMinute = 60

// floodedPrincipals bounds how many principals are counted at once.
const floodedPrincipals = 10_000

type flood struct {
	mu      sync.Mutex
	counted map[string]*flooded
}

type flooded struct {
	since   time.Time
	n       int
	skipped int
}

// take reports whether this refusal is written, and how many before it were only counted.
func (f *flood) take(user string, now time.Time) (write bool, skipped int) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counted == nil || len(f.counted) >= floodedPrincipals {
		f.counted = map[string]*flooded{}
	}
	c := f.counted[user]
	if c == nil || now.Sub(c.since) >= time.Minute || now.Before(c.since) {
		if c != nil {
			skipped = c.skipped
		}
		c = &flooded{since: now}
		f.counted[user] = c
	}
	c.n++
	if c.n > refusalsPerMinute && c.n%1000 != 0 {
		c.skipped++
		return false, 0
	}
	skipped, c.skipped = skipped+c.skipped, 0
	return true, skipped
}

// refuse puts a refusal on the account and returns why, or the failure to account for it.
func (g *Gate) refuse(ctx context.Context, p Principal, a Action, place Place, purpose, basis string, why error) error {
	write, skipped := g.flood.take(p.ID, g.opt.Clock.Now())
	if !write {
		return why
	}
	var what tally
	what.add(place)
	detail := what.String()
	if skipped > 0 {
		detail += fmt.Sprintf(" (and %d further refusals)", skipped)
	}
	lane := g.accountLane(p, place)
	err := g.db.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		_, err := g.audit.Append(tx, lane, entryOf(p, string(a), place, purpose, basis, audit.OutcomeRefused, detail, requestOf(ctx)))
		return err
	})
	if err != nil {
		return err
	}
	return why
}

// Refuse puts on the account that p was refused a at place, for a reason that was found before the rules were asked: a role that
// a page is not for. It returns why, or the failure to account for it.
func (g *Gate) Refuse(ctx context.Context, p Principal, a Action, place Place, why error) error {
	return g.refuse(ctx, p, a, place, purposeOf(ctx, p.Role), "role", why)
}
