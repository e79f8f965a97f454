package referral

import (
	"context"
	"encoding/json"
	"strconv"
	"time"

	"github.com/openspine/openspine/booking"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
	"github.com/openspine/openspine/web"
	"github.com/openspine/openspine/web/format"
)

// Limit is how long the patient may wait yet. What was returned with advice, or assessed, waits no more; what was rejected, cancelled or missed does.
func (r Referral) Limit() booking.Limit {
	w := booking.Wait{Priority: string(r.Priority), Began: r.PathwayStart, Seen: r.Attended && r.State == Booked, Over: !r.Open() || r.State == TriageResponse || r.State == AssessmentResult}
	if r.Appointment != nil {
		w.Booked = r.Appointment.Start
	}
	return w.Limit()
}

// instants is a limit as the rows have it.
func instants(l booking.Limit) (last, flagged int64) { return micros(l.Last), micros(l.From) }

func micros(t time.Time) int64 {
	if t.IsZero() {
		return 0
	}
	return t.UnixMicro()
}

// Flagged are how many referrals are near the limit of their wait, or will be seen after it; and how many have passed it.
func (s *Referrals) Flagged(ctx context.Context) (near, passed int64, err error) {
	now := s.k.Clock.Now()
	err = s.read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT count(*), coalesce(sum(CASE WHEN limit_day < ? THEN 1 ELSE 0 END), 0) FROM referral_case WHERE flagged > 0 AND flagged <= ?`,
			format.Midnight(now).UnixMicro(), now.UnixMicro()).Scan(&near, &passed)
	})
	return near - passed, passed, err
}

// mostReckoned is how many referrals of an earlier edition are gone through in one round.
const mostReckoned = 500

// reckonDue reckons the limits of referrals that an earlier edition wrote.
func (s *Referrals) reckonDue(ctx context.Context) error {
	var old [][2]string // chart and UBRN
	err := s.read(ctx, func(tx *store.Tx) error {
		old = nil
		rows, err := tx.Query(`SELECT chart, ubrn FROM referral_case WHERE flagged = -1 LIMIT ?`, int64(mostReckoned))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var x [2]string
			if err := rows.Scan(&x[0], &x[1]); err != nil {
				return err
			}
			old = append(old, x)
		}
		return rows.Err()
	})
	for _, x := range old {
		if err == nil {
			err = s.reckon(ctx, x[0], x[1])
		}
	}
	return err
}

func (s *Referrals) reckon(ctx context.Context, chart, ubrn string) error {
	lane := s.chartLane(chart)
	return s.k.DB.Write(ctx, []store.Lane{lane}, func(tx *store.Tx) error {
		var body []byte
		var r Referral
		err := tx.QueryRow(`SELECT body FROM referral_case WHERE lane = ? AND chart = ? AND ubrn = ?`, int64(lane), chart, ubrn).Scan(&body)
		if err != nil {
			return err
		}
		if err := json.Unmarshal(body, &r); err != nil {
			return fault.Wrap(err, fault.Internal, "a referral cannot be read")
		}
		last, flagged := instants(r.Limit())
		return tx.Queue(`UPDATE referral_case SET limit_day = ?, flagged = ? WHERE lane = ? AND chart = ? AND ubrn = ?`, last, flagged, int64(lane), chart, ubrn)
	})
}

// limitWords is how a wait stands, in words; empty while it need not be shown.
func limitWords(ctx context.Context, l booking.Limit, now time.Time) string {
	if !l.Flagged(now) {
		return ""
	}
	return web.LimitWords(ctx, l.Left(now), l.Diagnosis, l.Booked)
}

// limitDays is how many days are left, for a file of figures; empty while no limit runs.
func limitDays(l booking.Limit, now time.Time) string {
	if l.Last.IsZero() {
		return ""
	}
	return strconv.Itoa(l.Left(now))
}
