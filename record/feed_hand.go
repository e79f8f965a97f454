package record

import (
	"context"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// hand gives a watch what it wants of a piece in one Write, and moves its cursor past the piece.
func (f *Feed) hand(ctx context.Context, w *Watch, lane store.Lane, s stretch) error {
	lanes := []store.Lane{lane}
	if w.Lanes != nil {
		for _, c := range s.wanted {
			lanes = append(lanes, w.Lanes(c)...)
		}
	}
	return f.r.db.Write(ctx, lanes, func(tx *store.Tx) error {
		from, mine, err := f.take(tx, w, lane)
		if err != nil || !mine {
			return err
		}
		blocked, err := parkedCharts(tx, w, lane)
		if err != nil {
			return err
		}
		for _, c := range s.wanted {
			if c.Seq <= from {
				continue // another process was quicker
			}
			if err := f.one(tx, w, c, blocked); err != nil {
				return err
			}
		}
		_, err = tx.Exec(`UPDATE record_watch SET seq = ?, lease = 0, holder = '' WHERE lane = ? AND watch = ?`, max(from, s.last), lane, w.Name)
		return err
	})
}

// take makes this feed the lane's for the length of its Write, if no other has it, and says from where to go on.
func (f *Feed) take(tx *store.Tx, w *Watch, lane store.Lane) (from int64, mine bool, err error) {
	from, holder, lease, err := cursorOf(tx, w, lane)
	if err != nil {
		return 0, false, err
	}
	if from < 0 {
		from = 0
		_, err := tx.Exec(`INSERT INTO record_watch (lane, watch, seq, lease, holder) VALUES (?, ?, ?, ?, ?)`,
			lane, w.Name, from, tx.At().Add(f.o.Lease), f.holder)
		return from, true, err
	}
	if holder != "" && holder != f.holder && lease > tx.At().UnixMicro() {
		return from, false, nil
	}
	_, err = tx.Exec(`UPDATE record_watch SET lease = ?, holder = ? WHERE lane = ? AND watch = ?`, tx.At().Add(f.o.Lease), f.holder, lane, w.Name)
	return from, true, err
}

// one hands on one change, or parks it when it fails or its chart is blocked.
func (f *Feed) one(tx *store.Tx, w *Watch, c Version, blocked map[string]bool) error {
	key := parkKey(c)
	reason := "waits for an earlier change of the same chart"
	tries := 0
	if !blocked[key] {
		err := tx.Savepoint(func() error { return w.Handle(tx.Context(), tx, c) })
		if err == nil {
			return nil
		}
		if retryable(err) {
			return err
		}
		reason, tries = fault.MessageOf(err), 1
		blocked[key] = true
		f.o.Logger.Warn("record: a watch could not handle a change", "watch", w.Name, "type", c.Type, "error", err)
	}
	_, err := tx.Exec(`INSERT INTO record_parked (lane, watch, chart, seq, tries, due, reason) VALUES (?, ?, ?, ?, ?, ?, ?)`,
		c.Lane, w.Name, key, c.Seq, tries, tx.At().Add(backoff(tries)), reason)
	return err
}

// retryable failures are the database's own, and stop the whole Write rather than a chart.
func retryable(err error) bool {
	k := fault.KindOf(err)
	return k == fault.Full || k == fault.Unavailable || k == fault.Timeout
}

// parkKey is what a failed change holds up: its chart, or for what is in nobody's chart the resource.
func parkKey(c Version) string {
	if c.Chart == "" {
		return c.Type + "/" + c.ID
	}
	return c.Chart
}

func backoff(tries int) time.Duration {
	return min(time.Second<<min(tries, 12), time.Hour)
}

func parkedCharts(tx *store.Tx, w *Watch, lane store.Lane) (map[string]bool, error) {
	rows, err := tx.Query(`SELECT DISTINCT chart FROM record_parked WHERE lane = ? AND watch = ?`, lane, w.Name)
	if err != nil {
		return nil, err
	}
	charts := map[string]bool{}
	for rows.Next() {
		var chart string
		if err := rows.Scan(&chart); err != nil {
			return nil, err
		}
		charts[chart] = true
	}
	return charts, rows.Err()
}

// retryDue tries each chart whose first parked change is due.
func (f *Feed) retryDue(ctx context.Context, w *Watch, lane store.Lane) error {
	var charts []string
	err := f.r.db.Read(ctx, func(tx *store.Tx) error {
		charts = nil
		rows, err := tx.Query(`SELECT chart FROM record_parked WHERE lane = ? AND watch = ? AND tries > 0 AND due <= ? ORDER BY due LIMIT 100`, lane, w.Name, f.r.clock.Now())
		if err != nil {
			return err
		}
		for rows.Next() {
			var chart string
			if err := rows.Scan(&chart); err != nil {
				return err
			}
			charts = append(charts, chart)
		}
		return rows.Err()
	})
	for _, chart := range charts {
		if err == nil {
			err = f.replay(ctx, w, lane, chart, release{})
		}
	}
	return err
}

// release is what a person decided about what a chart holds up: to leave its first change out, and what else is done in the same commit.
type release struct {
	skip  int64 // the sequence of the change that is left out; 0 for none
	lanes []store.Lane
	also  func(tx *store.Tx) error
}

// replay hands on what is parked of one chart, in order, until one fails again.
func (f *Feed) replay(ctx context.Context, w *Watch, lane store.Lane, chart string, how release) error {
	return f.r.db.Write(ctx, append([]store.Lane{lane}, how.lanes...), func(tx *store.Tx) error {
		seqs, tries, err := parkedOf(tx, w, lane, chart)
		if err != nil {
			return err
		}
		if how.skip > 0 && (len(seqs) == 0 || seqs[0] != how.skip) {
			return fault.New(fault.Conflict, "That change does not wait any more.")
		}
		if how.also != nil {
			if err := how.also(tx); err != nil {
				return err
			}
		}
		for i, seq := range seqs {
			if seq != how.skip {
				c, err := f.r.changeAt(tx, lane, seq)
				if err != nil {
					return err
				}
				if err := tx.Savepoint(func() error { return w.Handle(tx.Context(), tx, c) }); err != nil {
					_, xerr := tx.Exec(`UPDATE record_parked SET tries = ?, due = ?, reason = ? WHERE lane = ? AND watch = ? AND chart = ? AND seq = ?`,
						tries[i]+1, tx.At().Add(backoff(tries[i]+1)), fault.MessageOf(err), lane, w.Name, chart, seq)
					return xerr
				}
			}
			if _, err := tx.Exec(`DELETE FROM record_parked WHERE lane = ? AND watch = ? AND chart = ? AND seq = ?`, lane, w.Name, chart, seq); err != nil {
				return err
			}
		}
		return nil
	})
}

func parkedOf(tx *store.Tx, w *Watch, lane store.Lane, chart string) (seqs []int64, tries []int, err error) {
	rows, err := tx.Query(`SELECT seq, tries FROM record_parked WHERE lane = ? AND watch = ? AND chart = ? ORDER BY seq`, lane, w.Name, chart)
	if err != nil {
		return nil, nil, err
	}
	for rows.Next() {
		var seq int64
		var n int
		if err := rows.Scan(&seq, &n); err != nil {
			return nil, nil, err
		}
		seqs, tries = append(seqs, seq), append(tries, n)
	}
	return seqs, tries, rows.Err()
}
