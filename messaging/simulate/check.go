package simulate

import (
	"fmt"
	"strings"

	"github.com/openspine/openspine/messaging"
	"github.com/openspine/openspine/messaging/simulate/country"
	"github.com/openspine/openspine/store"
)

// deed is something that a handler did.
type deed struct {
	node             *node
	key              int
	id, conversation string
	outside          bool // at a system elsewhere, which no restore takes back
}

// check holds the country, at rest, to what was promised.
func (w *world) check() {
	deeds := map[int][]deed{}
	all, outside := map[*node][]deed{}, map[*node][]deed{}
	for _, n := range w.nodes {
		all[n] = w.deedsOf(n)
		for _, d := range all[n] {
			deeds[d.key] = append(deeds[d.key], d)
		}
	}
	for _, v := range w.outside {
		d := deed{v.n, v.key, v.id, v.conversation, true}
		deeds[v.key] = append(deeds[v.key], d)
		outside[v.n] = append(outside[v.n], d)
	}
	sent := map[int]bool{}
	for _, n := range w.nodes {
		w.checkSent(n, deeds, sent)
	}
	for _, n := range w.nodes {
		w.checkOrder(n, all[n], sent)
		w.checkOrder(n, outside[n], sent)
		w.checkFiles(n, all[n])
	}
	for key, list := range deeds {
		if !sent[key] && (!w.Restored() || len(list) > 1) {
			w.Break("message %d was handled %d times and nobody sent it", key, len(list))
		}
	}
	for _, n := range w.nodes {
		w.checkHeld(n)
		w.checkLedgers(n)
	}
}

// checkOrder looks at the order of each conversation. What its sender sent in days that a restore has lost is no part of it: another restore, of a copy
// from before, may bring back what those days had replaced. A message that a person redirected comes to its new conversation when that person decides.
func (w *world) checkOrder(n *node, list []deed, sent map[int]bool) {
	last := map[string]int{}
	for _, d := range list {
		if strings.HasSuffix(d.conversation, "/") || !sent[d.key] || w.redirected[d.id] != nil {
			continue
		}
		if d.key <= last[d.conversation] {
			w.Break("%s handled %d after %d in %s", n.Name, d.key, last[d.conversation], d.conversation)
		}
		last[d.conversation] = d.key
	}
}

// deedsOf reads what was done at a node.
func (w *world) deedsOf(n *node) (list []deed) {
	err := n.DB.Read(w.Ctx, func(tx *store.Tx) error {
		list = nil
		rows, err := tx.Query(`SELECT key, id, conversation FROM sim_deed WHERE lane = 0 ORDER BY n`)
		if err != nil {
			return err
		}
		for rows.Next() {
			d := deed{node: n}
			if err := rows.Scan(&d.key, &d.id, &d.conversation); err != nil {
				return err
			}
			list = append(list, d)
		}
		return rows.Err()
	})
	if err != nil {
		w.Break("%s cannot be read: %v", n.Name, err)
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
	err := n.DB.Read(w.Ctx, func(tx *store.Tx) error {
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
		w.Break("%s cannot be read: %v", n.Name, err)
	}
	for _, r := range list {
		sent[r.key] = true
		w.res.Sent++
		known, err := n.Post.ByID(w.Ctx, r.id)
		if err != nil || len(known) == 0 {
			w.Break("%s does not know message %d, which it sent: %v", n.Name, r.key, err)
			continue
		}
		it, done := known[0], len(deeds[r.key])
		switch free := w.undecided(r.id); {
		case done > 1 && (!free || twice(deeds[r.key])):
			w.Break("message %d was handled %d times", r.key, done)
		case done >= 1 && it.State != messaging.Handled && !free && !w.unsaid(deeds[r.key][0], it.State):
			w.Break("message %d was handled, and its sender believes that it is %s", r.key, it.State)
		case done >= 1 && it.State != messaging.Handled:
			w.res.Ended++
		case done >= 1:
			w.res.Handled++
			w.checkAnswer(n, r.key, deeds[r.key])
		case it.State == messaging.Parked || it.State == messaging.Delivered:
			w.res.Parked++
			w.checkVisible(r.key, r.id)
			w.checkCause(n, r.key, known[0])
		case it.State == messaging.Refused || it.State == messaging.Expired || it.State == messaging.Abandoned:
			w.res.Ended++
		default:
			w.Break("message %d was not handled, and its sender believes that it is %s", r.key, it.State)
		}
		if it.State.Final() {
			w.checkTold(n, r.key, r.id, it.State)
		}
	}
}

// undecided reports whether a person redirected a message in days that a restore may have taken back, so that it may be decided about anew.
func (w *world) undecided(id string) bool {
	for _, n := range w.redirected[id] {
		if n.Lost {
			return true
		}
	}
	return false
}

// twice reports whether one place has handled a message more than once.
func twice(list []deed) bool {
	seen := map[string]bool{}
	for _, d := range list {
		place := d.node.Name + " " + d.conversation
		if seen[place] {
			return true
		}
		seen[place] = true
	}
	return false
}

// unsaid reports whether a system elsewhere may have taken a message although its sender believes otherwise: its answer was lost, and the message's time was
// up before it could be asked again; or a restore took back what it had said.
func (w *world) unsaid(d deed, s messaging.State) bool {
	return d.outside && (s == messaging.Expired || d.node.Lost)
}

// checkAnswer looks whether the sender has the answer of a system elsewhere that is reached from its own node.
func (w *world) checkAnswer(n *node, key int, list []deed) {
	if d := list[0]; len(list) > 1 || !d.outside || d.node != n || w.redirected[d.id] != nil {
		return
	}
	var answer string
	err := n.DB.Read(w.Ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT answer FROM sim_told WHERE lane = 0 AND id = ? AND state = ?`, list[0].id, int64(messaging.Handled)).Scan(&answer)
	})
	if want := fmt.Sprint("taken ", key); err != nil || answer != want {
		w.Break("the sender of message %d has the answer %q: %v", key, answer, err)
	}
}

// checkTold looks whether the sender's service learnt how a message ended and, where no restore has made anybody do something again, that only once.
func (w *world) checkTold(n *node, key int, id string, s messaging.State) {
	var told, ends int
	err := n.DB.Read(w.Ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT coalesce(sum(CASE WHEN state = ? THEN 1 ELSE 0 END), 0), coalesce(sum(CASE WHEN state >= ? THEN 1 ELSE 0 END), 0) FROM sim_told WHERE lane = 0 AND id = ?`,
			int64(s), int64(messaging.Handled), id).Scan(&told, &ends)
	})
	switch {
	case err != nil || told == 0:
		w.Break("the sender of message %d was not told that it was %s: %v", key, s, err)
	case ends > 1 && !w.Restored():
		w.Break("the sender of message %d was told of %d ends, the last that it was %s", key, ends, s)
	}
}

// checkVisible looks for a message that was not handled among those that are parked somewhere, or wait behind one.
func (w *world) checkVisible(key int, id string) {
	for _, n := range w.nodes {
		list, err := n.Post.ByID(w.Ctx, id)
		if err != nil {
			w.Break("%s cannot be searched: %v", n.Name, err)
		}
		for _, it := range list {
			if it.Held != nil && (it.Held.Parked || it.Held.Why == "behind") {
				return
			}
		}
	}
	w.Break("message %d was not handled and is parked nowhere", key)
}

// checkCause looks whether a message that is parked is one that nobody can handle. Where the node that sent it, or the one in the middle, was restored it
// may be lost.
func (w *world) checkCause(from *node, key int, it messaging.Item) {
	if from.Lost || w.nodes[0].Lost {
		return
	}
	if m := w.moodOf(key, it.Message.To.String()); it.State == messaging.Parked && w.redirected[it.ID] == nil && !m.poison && m.until == 0 {
		w.Break("message %d is parked and there is no cause", key)
	}
}

// checkHeld looks at what is held: at rest all of it waits for a person, has an owner, or waits behind one that does.
func (w *world) checkHeld(n *node) {
	list, _, err := n.Post.Held(w.Ctx, messaging.Worklist{Limit: 500})
	if err != nil {
		w.Break("%s cannot be searched: %v", n.Name, err)
	}
	for _, it := range list {
		if country.Hopeless(it) && w.Restored() {
			continue
		}
		if it.Held.Owner == "" || it.Held.Since.IsZero() || !it.Held.Parked && it.Held.Why != "behind" {
			w.Break("at rest %s holds a message that is %s, owned by %q", n.Name, it.Held.Why, it.Held.Owner)
		}
	}
}

// checkLedgers compares the node's ledger with each of its peers'.
func (w *world) checkLedgers(n *node) {
	for _, o := range w.nodes {
		if o == n || n.Name != "X26" && o.Name != "X26" {
			continue
		}
		r, err := n.Post.Reconcile(w.Ctx, o.ID)
		if err != nil {
			w.Break("%s and %s cannot compare ledgers: %v", n.Name, o.Name, err)
			continue
		}
		if !r.Even() || r.OnTheWay > 0 {
			w.Break("the ledgers of %s and %s differ: %+v, %d on the way", n.Name, o.Name, r.Differences, r.OnTheWay)
		}
	}
}
