package simulate

import (
	"strings"

	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/store"
)

// deed is something that a handler did.
type deed struct {
	node         *node
	key          int
	conversation string
}

// check holds the country, at rest, to what was promised.
func (w *world) check() {
	deeds := map[int][]deed{}
	all := map[*node][]deed{}
	for _, n := range w.nodes {
		all[n] = w.deedsOf(n)
		for _, d := range all[n] {
			deeds[d.key] = append(deeds[d.key], d)
		}
	}
	sent := map[int]bool{}
	for _, n := range w.nodes {
		w.checkSent(n, deeds, sent)
	}
	for _, n := range w.nodes {
		w.checkOrder(n, all[n], sent)
	}
	restored := false
	for _, n := range w.nodes {
		restored = restored || n.lost
	}
	for key, list := range deeds {
		if !sent[key] && (!restored || len(list) > 1) {
			w.broken("message %d was handled %d times and nobody sent it", key, len(list))
		}
	}
	for _, n := range w.nodes {
		w.checkHeld(n)
		w.checkLedgers(n)
	}
}

// checkOrder looks at the order of each conversation. What its sender sent in days that a restore has lost is no part of it: another restore, of a copy
// from before, may bring back what those days had replaced.
func (w *world) checkOrder(n *node, list []deed, sent map[int]bool) {
	last := map[string]int{}
	for _, d := range list {
		if strings.HasSuffix(d.conversation, "/") || !sent[d.key] {
			continue
		}
		if d.key <= last[d.conversation] {
			w.broken("%s handled %d after %d in %s", n.name, d.key, last[d.conversation], d.conversation)
		}
		last[d.conversation] = d.key
	}
}

// deedsOf reads what was done at a node.
func (w *world) deedsOf(n *node) (list []deed) {
	err := n.db.Read(w.ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT key, conversation FROM sim_deed WHERE lane = 0 ORDER BY n`)
		if err != nil {
			return err
		}
		for rows.Next() {
			d := deed{node: n}
			if err := rows.Scan(&d.key, &d.conversation); err != nil {
				return err
			}
			list = append(list, d)
		}
		return rows.Err()
	})
	if err != nil {
		w.broken("%s cannot be read: %v", n.name, err)
	}
	return list
}

// checkSent looks for what became of everything that was sent at a node.
func (w *world) checkSent(n *node, deeds map[int][]deed, sent map[int]bool) {
	type row struct {
		key int
		id  string
	}
	var list []row
	err := n.db.Read(w.ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT key, id FROM sim_sent WHERE lane = 0 ORDER BY key`)
		if err != nil {
			return err
		}
		for rows.Next() {
			var r row
			if err := rows.Scan(&r.key, &r.id); err != nil {
				return err
			}
			list = append(list, r)
		}
		return rows.Err()
	})
	if err != nil {
		w.broken("%s cannot be read: %v", n.name, err)
	}
	for _, r := range list {
		sent[r.key] = true
		w.res.Sent++
		known, err := n.post.ByID(w.ctx, r.id)
		if err != nil || len(known) == 0 {
			w.broken("%s does not know message %d, which it sent: %v", n.name, r.key, err)
			continue
		}
		it, done := known[len(known)-1], len(deeds[r.key])
		switch {
		case done > 1:
			w.broken("message %d was handled %d times", r.key, done)
		case done == 1 && it.State != messaging.Handled:
			w.broken("message %d was handled, and its sender believes that it is %s", r.key, it.State)
		case done == 1:
			w.res.Handled++
		case it.State == messaging.Parked || it.State == messaging.Delivered:
			w.res.Parked++
			w.checkVisible(r.key, r.id)
		case it.State == messaging.Refused || it.State == messaging.Expired || it.State == messaging.Abandoned:
			w.res.Ended++
		default:
			w.broken("message %d was not handled, and its sender believes that it is %s", r.key, it.State)
		}
		if it.State.Final() {
			w.checkTold(n, r.key, r.id, it.State)
		}
	}
}

// checkTold looks whether the sender's service learnt how a message ended, and that only once.
func (w *world) checkTold(n *node, key int, id string, s messaging.State) {
	var told int
	err := n.db.Read(w.ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT count(*) FROM sim_told WHERE lane = 0 AND id = ? AND state = ?`, id, int64(s)).Scan(&told)
	})
	if err != nil || told == 0 {
		w.broken("the sender of message %d was not told that it was %s: %v", key, s, err)
	}
}

// checkVisible looks for a message that was not handled among those that are parked somewhere, or wait behind one.
func (w *world) checkVisible(key int, id string) {
	for _, n := range w.nodes {
		list, err := n.post.ByID(w.ctx, id)
		if err != nil {
			w.broken("%s cannot be searched: %v", n.name, err)
		}
		for _, it := range list {
			if it.Held != nil && (it.Held.Parked || it.Held.Why == "behind") {
				return
			}
		}
	}
	w.broken("message %d was not handled and is parked nowhere", key)
}

// checkHeld looks at what is held: at rest all of it waits for a person, has an owner, or waits behind one that does.
func (w *world) checkHeld(n *node) {
	list, _, err := n.post.Held(w.ctx, messaging.Worklist{Limit: 500})
	if err != nil {
		w.broken("%s cannot be searched: %v", n.name, err)
	}
	for _, it := range list {
		if it.Held.Owner == "" || it.Held.Since.IsZero() || !it.Held.Parked && it.Held.Why != "behind" {
			w.broken("at rest %s holds a message that is %s, owned by %q", n.name, it.Held.Why, it.Held.Owner)
		}
	}
}

// checkLedgers compares the node's ledger with each of its peers'.
func (w *world) checkLedgers(n *node) {
	for _, o := range w.nodes {
		if o == n || n.name != "X26" && o.name != "X26" {
			continue
		}
		r, err := n.post.Reconcile(w.ctx, o.id)
		if err != nil {
			w.broken("%s and %s cannot compare ledgers: %v", n.name, o.name, err)
			continue
		}
		if !r.Even() || r.OnTheWay > 0 {
			w.broken("the ledgers of %s and %s differ: %+v, %d on the way", n.name, o.name, r.Differences, r.OnTheWay)
		}
	}
}
