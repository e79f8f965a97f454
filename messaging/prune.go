package messaging

import (
	"context"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// prunedAtOnce is how many messages one transaction prunes.
const prunedAtOnce = 500

// unusedFor is how long a file is kept that no message takes along.
const unusedFor = 7 * 24 * time.Hour

// Prune drops what has ended longer ago than any backup reaches back (Options.Keep), and files that nothing needs: a job for the quiet hours.
// Messages that wait for anybody are never pruned. What was pruned stays in the ledgers' sums.
func (p *Post) Prune(ctx context.Context) error {
	var streams []place
	err := p.db.Read(ctx, func(tx *store.Tx) error {
		streams = nil
		rows, err := tx.Query(`SELECT lane, queue FROM post_stream ORDER BY lane, queue`)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var s place
			if err := rows.Scan(&s.lane, &s.queue); err != nil {
				return err
			}
			streams = append(streams, s)
		}
		return rows.Err()
	})
	for _, s := range streams {
		for more := err == nil; more && err == nil; {
			more, err = p.prune(ctx, &s)
		}
	}
	if err != nil {
		return err
	}
	return p.pruneFiles(ctx)
}

// prune drops some of a queue's oldest messages in a lane, from s.num on, which it moves; more means that there may be older ones than allowed behind.
func (p *Post) prune(ctx context.Context, s *place) (more bool, err error) {
	before := p.clock.Now().Add(-p.o.Keep).UnixMicro()
	from := s.num
	err = p.db.Write(ctx, []store.Lane{s.lane}, func(tx *store.Tx) error {
		more, s.num = false, from
		rows, err := tx.Query(`SELECT num, state, source, ended, at, delivered FROM post_message WHERE lane = ? AND queue = ? AND num > ? ORDER BY num LIMIT ?`, s.lane, s.queue, from, prunedAtOnce)
		if err != nil {
			return err
		}
		type sum struct{ queue, source, state int64 }
		sums := map[sum]int64{}
		var gone []int64
		seen := 0
		for rows.Next() {
			var num, state, source, ended, at, delivered int64
			if err := rows.Scan(&num, &state, &source, &ended, &at, &delivered); err != nil {
				return err
			}
			seen++
			s.num = num
			if more = at < before; !more {
				break
			}
			if !State(state).Final() || ended >= before { //nolint:gosec // as it was put
				continue
			}
			gone = append(gone, num)
			k := sum{s.queue, source, state}
			if delivered == 0 {
				k.queue = 0 // it never went on
			}
			sums[k]++
		}
		rows.Close()
		if err := rows.Err(); err != nil {
			return err
		}
		more = more && seen == prunedAtOnce
		for k, n := range sums {
			if _, err := tx.Exec(`INSERT INTO post_pruned (lane, queue, source, state, messages) VALUES (?, ?, ?, ?, ?) ON CONFLICT (lane, queue, source, state) DO UPDATE SET messages = post_pruned.messages + excluded.messages`,
				s.lane, k.queue, k.source, k.state, n); err != nil {
				return err
			}
		}
		return drop(tx, *s, gone)
	})
	return more, err
}

// drop takes messages and all that belongs to them away, but for those that are still to be told of.
func drop(tx *store.Tx, s place, nums []int64) error {
	for _, num := range nums {
		for _, table := range []string{"post_message", "post_body", "post_event", "post_attach", "post_answer"} {
			if err := tx.Queue(`DELETE FROM `+table+` WHERE lane = ? AND queue = ? AND num = ?`, s.lane, s.queue, num); err != nil {
				return err
			}
		}
	}
	return nil
}

// pruneFiles drops files that no message needs and nobody keeps.
func (p *Post) pruneFiles(ctx context.Context) error {
	var ids []string
	err := p.db.Read(ctx, func(tx *store.Tx) error {
		ids = nil
		rows, err := tx.Query(`SELECT file FROM post_file f WHERE used < ? AND NOT EXISTS (SELECT 1 FROM post_attach a WHERE a.hash = f.hash) AND NOT EXISTS (SELECT 1 FROM post_keep k WHERE k.hash = f.hash) LIMIT 1000`, p.clock.Now().Add(-unusedFor))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var id string
			if err := rows.Scan(&id); err != nil {
				return err
			}
			ids = append(ids, id)
		}
		return rows.Err()
	})
	for _, id := range ids {
		if err != nil {
			return err
		}
		if err = p.forgetFile(ctx, id); err == nil {
			err = p.dropFile(ctx, id)
		}
	}
	return err
}

// forgetFile makes a file one that no message can take along any more, unless one just has.
func (p *Post) forgetFile(ctx context.Context, id string) error {
	return p.db.Write(ctx, []store.Lane{p.fileLane(id)}, func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE post_file SET whole = 0, hash = ? WHERE lane = ? AND file = ? AND used < ?`, []byte{}, p.fileLane(id), id, p.clock.Now().Add(-unusedFor))
		if err == nil && n == 0 {
			return fault.New(fault.Conflict, "the file is in use again")
		}
		return err
	})
}
