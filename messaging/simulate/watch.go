package simulate

import (
	"fmt"

	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// watch says, of the message that is watched, where each node has it and what it believes of it, whenever that has changed.
func (w *world) watch() {
	if w.o.Watch == 0 || w.o.Log == nil {
		return
	}
	for _, n := range w.nodes {
		if n.DB == nil || !n.Up || n.Disk.Dark() {
			continue
		}
		now, err := w.whereabouts(n)
		if err != nil || now == w.seen[n.Name] {
			continue
		}
		w.seen[n.Name] = now
		_, _ = fmt.Fprintf(w.o.Log, "    %s (life %.4s): %s\n", n.Name, n.DB.Incarnation(), now)
	}
}

// whereabouts are the rows of the watched message at a node.
func (w *world) whereabouts(n *node) (all string, err error) {
	err = n.DB.Read(w.Ctx, func(tx *store.Tx) error {
		if w.watched == "" {
			_ = tx.QueryRow(`SELECT id FROM sim_sent WHERE lane = 0 AND key = ?`, w.o.Watch).Scan(&w.watched) // not sent yet, or not here
		}
		all = "none"
		rows, err := tx.Query(`SELECT q.kind, q.name, q.incarnation, m.num, s.done, s.tried, m.state, m.base, m.turn, m.heard, coalesce(o.peer, ''), coalesce(o.incarnation, ''), m.number, coalesce(h.why, 0)
			FROM post_message m JOIN post_queue q ON q.lane = 0 AND q.queue = m.queue JOIN post_stream s ON s.lane = m.lane AND s.queue = m.queue
			LEFT JOIN post_source o ON o.lane = 0 AND o.source = m.source LEFT JOIN post_held h ON h.lane = m.lane AND h.queue = m.queue AND h.num = m.num
			WHERE m.id = ? ORDER BY m.at, m.num`, w.watched)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var kind, name, life, peer, peerLife string
			var num, done, tried, state, base, turn, heard, number, held int64
			if err := rows.Scan(&kind, &name, &life, &num, &done, &tried, &state, &base, &turn, &heard, &peer, &peerLife, &number, &held); err != nil {
				return err
			}
			if all == "none" {
				all = ""
			}
			all += fmt.Sprintf("[%s %s %.4s #%d (done %d, tried %d) %s, turn %d+%d, heard %d.%d", kind, name, life, num, done, tried, messaging.State(state), base, turn, heard>>32, heard&(1<<32-1)) //nolint:gosec // as it was put
			if peer != "" {
				all += fmt.Sprintf(", came from %s %.4s #%d", peer, peerLife, number)
			}
			if held > 0 {
				all += fmt.Sprintf(", held %d", held)
			}
			all += "] "
		}
		return rows.Err()
	})
	return all, err
}
