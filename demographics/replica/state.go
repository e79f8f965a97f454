package replica

import (
	"context"
	"strconv"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Status is how one hospital's copy stands.
type Status struct {
	Tenant ident.ODSCode
	Name   string
	// Counts are how many patients are in each state, those included whose records are restricted here.
	Counts map[State]int
	// Open is how many a person must look into and nobody has; Hidden how many of them concern restricted records.
	Open, Hidden int
	// Due is how many should have been asked about by now.
	Due int
	// Oldest is when the authority last answered about the patient about whom it answered longest ago; zero when it never did of anybody.
	Oldest time.Time
	// Stale is how many have an answer that is older than twice the cadence.
	Stale int
	// Answered is when the authority last answered at all; Failing since when it does not, with Error; Paused since when a person has stopped
	// it, and who, and why.
	Answered, Failing, Again, Paused time.Time
	Error, PausedBy, Reason          string
	Every                            time.Duration
	Rate                             float64
}

// People is how many patients there are.
func (s Status) People() int {
	n := 0
	for _, c := range s.Counts {
		n += c
	}
	return n
}

// Status says how the copy of a hospital stands. Error: fault.NotFound where the node keeps none.
func (r *Replica) Status(ctx context.Context, tenant ident.ODSCode) (Status, error) {
	f, err := r.of(tenant)
	if err != nil {
		return Status{}, err
	}
	return f.status(ctx)
}

// open is the condition of the worklist: states that ask for a person, before a person has decided.
const open = `state IN ('mismatch', 'superseded', 'absent', 'invalid', 'differs') AND settled = 0`

func (f *follower) status(ctx context.Context) (Status, error) {
	now := f.k.Clock.Now()
	s := Status{Tenant: f.Tenant, Name: f.name, Every: f.Every, Rate: f.Rate}
	tenant := f.Tenant.String()
	err := f.k.DB.Read(ctx, func(tx *store.Tx) error {
		s.Counts = map[State]int{}
		l, err := f.linkIn(tx)
		if err != nil {
			return err
		}
		s.Answered, s.Failing, s.Again, s.Paused, s.Error, s.PausedBy, s.Reason = l.answered, l.failing, l.again, l.paused, l.err, l.pausedBy, l.reason
		rows, err := tx.Query(`SELECT state, count(*) FROM replica_person WHERE tenant = ? GROUP BY state`, tenant)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var state string
			var n int
			if err := rows.Scan(&state, &n); err != nil {
				return err
			}
			s.Counts[State(state)] = n
		}
		if err := rows.Err(); err != nil {
			return err
		}
		for _, one := range []struct {
			into  *int
			where string
			args  []any
		}{{&s.Open, open, nil}, {&s.Hidden, open + ` AND hidden <> 0`, nil},
			{&s.Due, `number <> '' AND due <= ?`, []any{now.UnixMicro()}},
			{&s.Stale, `number <> '' AND checked > 0 AND checked < ?`, []any{f.staleBefore(now).UnixMicro()}}} {
			if err := tx.QueryRow(`SELECT count(*) FROM replica_person WHERE tenant = ? AND `+one.where, append([]any{tenant}, one.args...)...).Scan(one.into); err != nil {
				return err
			}
		}
		var oldest int64
		if err := tx.QueryRow(`SELECT coalesce(min(checked), 0) FROM replica_person WHERE tenant = ? AND checked > 0`, tenant).Scan(&oldest); err != nil {
			return err
		}
		s.Oldest = timeOf(oldest)
		return nil
	})
	return s, err
}

// staleBefore is when an answer must have come for it not to be stale now.
func (f *follower) staleBefore(now time.Time) time.Time { return now.Add(-2 * f.Every) }

// stale reports whether what is known of a patient may be behind, and since when: since the way to the authority was stopped or failed, if they
// have been due since; else since their answer grew too old.
func (f *follower) stale(r row, l link, now time.Time) (since time.Time, is bool) {
	switch {
	case r.number == "" || r.checked.IsZero():
		return time.Time{}, false
	case !l.paused.IsZero() && r.checked.Before(l.paused):
		return l.paused, true
	case !l.failing.IsZero():
		return l.failing, true
	case r.checked.Before(f.staleBefore(now)):
		return r.checked.Add(2 * f.Every), true
	}
	return time.Time{}, false
}

func itoa(n int64) string { return strconv.FormatInt(n, 10) }
