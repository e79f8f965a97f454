package network

import (
	"context"
	"net/http"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Cut is a link that somebody has cut on purpose: nothing goes over it until it is healed.
type Cut struct {
	At     time.Time
	By     string // their name
	Reason string
}

func (c Cut) fault(node NodeID) error {
	return fault.New(fault.Unavailable, "The link to %s was cut at %s by %s: %s", node, stamp(c.At), c.By, c.Reason)
}

func (n *Network) cutOf(peer NodeID) (Cut, bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	c, ok := n.cuts[peer]
	return c, ok
}

func (n *Network) loadCuts(ctx context.Context) error {
	cuts := map[NodeID]Cut{}
	err := n.opt.DB.Read(ctx, func(tx *store.Tx) error {
		rows, err := tx.Query(`SELECT peer, at, by_name, reason FROM network_cut WHERE lane = ?`, n.lane())
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var peer string
			var at int64
			var c Cut
			if err := rows.Scan(&peer, &at, &c.By, &c.Reason); err != nil {
				return err
			}
			id, err := ParseNodeID(peer)
			if err != nil {
				return err
			}
			c.At = instant(at)
			cuts[id] = c
		}
		return rows.Err()
	})
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.cuts = cuts
	close(n.recut)
	n.recut = make(chan struct{})
	n.mu.Unlock()
	return nil
}

// CutLink cuts the link to a peer on purpose, on the account: nothing goes over it, in either direction, until HealLink. What must not be lost waits.
// Errors: fault.NotFound without such a peer, fault.Invalid without a reason, fault.Conflict when it is cut already.
func (n *Network) CutLink(ctx context.Context, by access.Principal, peer NodeID, reason string) error {
	return n.recutLink(ctx, by, peer, "cut", reason, func(tx *store.Tx) (int64, error) {
		return tx.Exec(`INSERT INTO network_cut (lane, peer, at, by_name, reason) VALUES (?, ?, ?, ?, ?) ON CONFLICT (lane, peer) DO NOTHING`,
			n.lane(), peer.String(), tx.At(), by.Name, strings.TrimSpace(reason))
	})
}

// HealLink lets the link to a peer that was cut come back. Errors: as of CutLink.
func (n *Network) HealLink(ctx context.Context, by access.Principal, peer NodeID, reason string) error {
	return n.recutLink(ctx, by, peer, "healed", reason, func(tx *store.Tx) (int64, error) {
		return tx.Exec(`DELETE FROM network_cut WHERE lane = ? AND peer = ?`, n.lane(), peer.String())
	})
}

func (n *Network) recutLink(ctx context.Context, by access.Principal, peer NodeID, act, reason string, do func(*store.Tx) (int64, error)) error {
	l := n.link(peer)
	if l == nil {
		return errNoLink(peer)
	}
	if strings.TrimSpace(reason) == "" {
		return fault.New(fault.Invalid, "Say why: it is kept with what you do.")
	}
	lanes := append(n.opt.Gate.ChangeLanes(by, nodeSubject(peer)), n.lane())
	err := n.opt.DB.Write(ctx, lanes, func(tx *store.Tx) error {
		done, err := do(tx)
		if err != nil {
			return err
		}
		if done == 0 {
			return fault.New(fault.Conflict, "The link to %s is not to be %s: it is so already.", peer, act)
		}
		return n.opt.Gate.NoteChange(ctx, tx, by, access.Change{Subject: nodeSubject(peer), Act: "link " + act, Reason: strings.TrimSpace(reason)})
	})
	if err != nil {
		return err
	}
	if err := n.loadCuts(ctx); err != nil {
		return err
	}
	if cut, ok := n.cutOf(peer); ok {
		n.endLink(peer, cut.fault(peer))
		l.fell(StateCut, cut.fault(peer))
	} else {
		l.healed()
		n.happened(peer, "healed", strings.TrimSpace(reason))
	}
	return nil
}

// healed says that nobody holds the link cut; it is down until it has come back.
func (l *link) healed() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.count(l.n.clock.Now())
	if l.state == StateCut {
		l.state, l.since = StateDown, l.n.clock.Now()
	}
}

// pathHealed is where a node asks to be told when its link, which was cut at the other end, is healed.
const pathHealed = "/network/healed"

// tellHealed answers a node whose link is cut here as soon as it is not, or after a while, for it to ask again. The connection carries nothing else meanwhile.
func (n *Network) tellHealed(w http.ResponseWriter, r *http.Request, c *conn) {
	late, waited := n.clock.After(n.timing.Last), false
	for {
		n.mu.Lock()
		again := n.recut
		n.mu.Unlock()
		err := n.admits(c)
		_, cut := n.cutOf(c.holder.Node)
		switch {
		case err == nil && !cut && !waited:
			err = fault.New(fault.NotFound, "The link is not cut here.")
		case err == nil && !cut:
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if err != nil {
			Refuse(w, err)
			return
		}
		waited = true
		select {
		case <-again:
		case <-late:
			w.WriteHeader(http.StatusNoContent)
			return
		case <-r.Context().Done():
			return
		case <-n.stopped:
			return
		}
	}
}

// untilHealed waits, on a connection whose requests the other end refuses because it has cut the link, until that is over or it is time to ask again.
// Errors: fault.NotFound when the link is not cut there; those of asking.
func (n *Network) untilHealed(ctx context.Context, l *link, c *caller) error {
	ctx, cancel := context.WithTimeout(ctx, n.timing.Last+n.timing.Answer)
	defer cancel()
	_, err := c.ask(ctx, l, http.MethodPost, pathHealed, nil, nil)
	return err
}

// endLink closes every connection to a peer.
func (n *Network) endLink(peer NodeID, why error) {
	n.mu.Lock()
	var all []*conn
	for c := range n.conns {
		if c.holder.Node == peer {
			all = append(all, c)
		}
	}
	n.mu.Unlock()
	for _, c := range all {
		_ = c.end(why)
	}
}

func errNoLink(peer NodeID) error {
	return fault.New(fault.NotFound, "This node has no link to %s.", peer)
}
