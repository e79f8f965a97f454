package bookings

import (
	"fmt"

	"github.com/openspine/openspine/store"
)

// watch says of the slot that is watched what each side knows of it, whenever that has changed.
func (w *world) watch() {
	if w.o.Watch == "" || w.Log == nil {
		return
	}
	for _, n := range w.nodes {
		if n.DB == nil || !n.Up || n.Disk.Dark() {
			continue
		}
		now, err := n.whereabouts(w.o.Watch)
		if err != nil || now == w.seen[n.Name] {
			continue
		}
		w.seen[n.Name] = now
		_, _ = fmt.Fprintf(w.Log, "    %s (life %.4s): %s\n", n.Name, n.DB.Incarnation(), now)
	}
}

// whereabouts are the rows of a slot at a node.
func (n *node) whereabouts(slot string) (all string, err error) {
	query := `SELECT epoch, base, '' FROM hospital_slot WHERE id = ?`
	if n.Name == "X26" {
		query = `SELECT epoch, base, ' state ' || state || ' recalled ' || recalled || ' ' || ubrn FROM referral_slot WHERE slot = ?`
	}
	err = n.DB.Read(n.w.Ctx, func(tx *store.Tx) error {
		all = "not known"
		return each(tx, query, func(r *store.Rows) error {
			var epoch, base int64
			var more string
			if err := r.Scan(&epoch, &base, &more); err != nil {
				return err
			}
			all = fmt.Sprintf("epoch %d since %d%s", epoch, base, more)
			return nil
		}, slot)
	})
	if err == nil {
		q := `SELECT sure, round FROM hospital_standing`
		if n.Name == "X26" {
			q = `SELECT sure, round FROM referral_standing WHERE provider = 'RQY'`
		}
		err = n.DB.Read(n.w.Ctx, func(tx *store.Tx) error {
			return each(tx, q, func(r *store.Rows) error {
				var sure int64
				var round string
				err := r.Scan(&sure, &round)
				all += fmt.Sprintf(" sure %d %s", sure, round)
				return err
			})
		})
	}
	return all, err
}
