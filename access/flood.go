package access

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/store"
)

// refusalsPerMinute is how many refusals of one principal are put on the account singly in a minute. The next one says that
// those after it are counted; how many they were and over what time goes on the account as one line when the minute is over. A flood of
// refusals does not become a flood of commits, and none of it is lost: were the node to die, the account still says that there was one.
const refusalsPerMinute = 60

// floodedPrincipals bounds how many principals are counted at once.
const floodedPrincipals = 10_000

// actionRefusals is the action of the line that sums up refusals, and basisFlood its basis.
const (
	actionRefusals = "refusals"
	basisFlood     = "counted"
)

type flood struct {
	mu      sync.Mutex
	counted map[string]*flooded
	due     []flooded // over, and not on the account yet
}

// flooded is what one principal was refused in one minute.
type flooded struct {
	principal   Principal
	since       time.Time
	n, skipped  int
	first, last time.Time // of those that were only counted
}

// take reports whether this refusal is written, and whether it is the last one to be, after which they are counted.
func (f *flood) take(p Principal, now time.Time) (write, last bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.counted == nil {
		f.counted = map[string]*flooded{}
	}
	if len(f.counted) >= floodedPrincipals {
		f.sweep(now, true)
	}
	c := f.counted[p.ID]
	if c == nil || c.over(now) {
		if c != nil && c.skipped > 0 {
			f.due = append(f.due, *c)
		}
		c = &flooded{principal: p, since: now}
		f.counted[p.ID] = c
	}
	c.n++
	if c.n <= refusalsPerMinute {
		return true, c.n == refusalsPerMinute
	}
	if c.skipped == 0 {
		c.first = now
	}
	c.skipped++
	c.last = now
	return false, false
}

func (c *flooded) over(now time.Time) bool {
	return now.Sub(c.since) >= time.Minute || now.Before(c.since)
}

// sweep moves what is over, or all of it, to due.
func (f *flood) sweep(now time.Time, all bool) {
	for id, c := range f.counted {
		if !all && !c.over(now) {
			continue
		}
		if c.skipped > 0 {
			f.due = append(f.due, *c)
		}
		delete(f.counted, id)
	}
}

// Summarise puts on the account how many refusals were only counted, a line for each principal and minute that is over; with all, also
// of the minutes that are not. It is called every few seconds and when the node stops.
func (g *Gate) Summarise(ctx context.Context, all bool) error {
	g.flood.mu.Lock()
	g.flood.sweep(g.opt.Clock.Now(), all)
	due := g.flood.due
	g.flood.due = nil
	g.flood.mu.Unlock()
	if len(due) == 0 {
		return nil
	}
	lanes := make([]store.Lane, len(due))
	for i, c := range due {
		lanes[i] = g.accountLane(c.principal, Place{})
	}
	err := g.db.Write(ctx, lanes, func(tx *store.Tx) error {
		for i, c := range due {
			detail := fmt.Sprintf("%d further refusals from %s to %s", c.skipped, c.first.UTC().Format(time.RFC3339), c.last.UTC().Format(time.RFC3339))
			_, err := g.audit.Append(tx, lanes[i], entryOf(c.principal, actionRefusals, Place{}, "", basisFlood, audit.OutcomeRefused, detail, ""))
			if err != nil {
				return err
			}
		}
		return nil
	})
	if err != nil {
		g.flood.mu.Lock()
		defer g.flood.mu.Unlock()
		g.flood.due = append(g.flood.due, due...)
	}
	return err
}

// summariseEvery is how soon after its minute a line that sums up is on the account.
const summariseEvery = 5 * time.Second

// Run sums up refusals until ctx ends, and then what is left.
func (g *Gate) Run(ctx context.Context) error {
	tick := time.NewTicker(summariseEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return g.Summarise(context.WithoutCancel(ctx), true)
		case <-tick.C:
			if err := g.Summarise(ctx, false); err != nil && ctx.Err() == nil {
				g.opt.Logger.Error("refusals that were counted are not on the account yet", "cause", err)
			}
		}
	}
}

// refuse puts a refusal on the account and returns why, or the failure to account for it.
func (g *Gate) refuse(ctx context.Context, p Principal, a Action, place Place, purpose, basis string, why error) error {
	write, last := g.flood.take(p, g.opt.Clock.Now())
	if !write {
		return why
	}
	var what tally
	what.add(place)
	detail := what.String()
	if last {
		detail += " (further refusals of this minute are counted)"
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
