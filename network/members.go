package network

import (
	"context"
	"strings"
	"time"

	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// Member is a node as the authority knows it.
type Member struct {
	Node          NodeID
	Organisations []ident.ODSCode
	Authority     bool
	Joined        time.Time
	Revoked       time.Time // zero while it is a member
	Reason        string    // why it was revoked
	Trusts        []string  // fingerprints of the roots that it said it trusts
	Serial        string    // of its certificate
	Root          string    // which key signed that
	Since, Until  time.Time // of its certificate
}

// Members are the nodes that joined, by name.
func (a *Authority) Members(ctx context.Context) (all []Member, err error) {
	self := a.self()
	err = a.db.Read(ctx, func(tx *store.Tx) error {
		all = nil
		rows, err := tx.Query(`SELECT n.node, n.organisations, n.joined, n.revoked, n.reason, n.trusts, n.serial, coalesce(c.root, ''), coalesce(c.since, 0), coalesce(c.until, 0)
			FROM network_node n LEFT JOIN network_certificate c ON c.lane = n.lane AND c.serial = n.serial WHERE n.lane = ? ORDER BY n.node`, a.lane)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var m Member
			var node, orgs, trusts string
			var joined, revoked, since, until int64
			if err := rows.Scan(&node, &orgs, &joined, &revoked, &m.Reason, &trusts, &m.Serial, &m.Root, &since, &until); err != nil {
				return err
			}
			if m.Node, err = ParseNodeID(node); err != nil {
				return err
			}
			if m.Organisations, err = splitCodes(orgs); err != nil {
				return err
			}
			m.Trusts, m.Authority = strings.Fields(trusts), m.Node == self
			m.Joined, m.Revoked, m.Since, m.Until = instant(joined), instant(revoked), instant(since), instant(until)
			all = append(all, m)
		}
		return rows.Err()
	})
	return all, err
}

// instant is a time as it is kept: µs since 1970, zero for none.
func instant(us int64) time.Time {
	if us == 0 {
		return time.Time{}
	}
	return time.UnixMicro(us).UTC()
}

// Expiry is how many certificates end in a week.
type Expiry struct {
	Week  time.Time // its Monday, 00:00 UTC
	Count int64
}

// Expiries count, week by week, when the certificates that are in use end: a day on which all end together is seen long before.
// Those of members that ended already and were not renewed are in the week of their end.
func (a *Authority) Expiries(ctx context.Context) (all []Expiry, err error) {
	const week = int64(7 * 24 * time.Hour / time.Microsecond)
	const monday = int64(4 * 24 * time.Hour / time.Microsecond) // 5 January 1970 was one
	err = a.db.Read(ctx, func(tx *store.Tx) error {
		all = nil
		rows, err := tx.Query(`SELECT (c.until - ?) / ? AS week, count(*) FROM network_node n JOIN network_certificate c ON c.lane = n.lane AND c.serial = n.serial
			WHERE n.lane = ? AND n.revoked = 0 GROUP BY 1 ORDER BY 1`, monday, week, a.lane)
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var w int64
			var e Expiry
			if err := rows.Scan(&w, &e.Count); err != nil {
				return err
			}
			e.Week = time.UnixMicro(w*week + monday).UTC()
			all = append(all, e)
		}
		return rows.Err()
	})
	return all, err
}

// told notes which roots a node trusts, as it said.
func (a *Authority) told(ctx context.Context, h holder, trusts []string) error {
	return a.db.Write(ctx, []store.Lane{a.lane}, func(tx *store.Tx) error {
		if err := a.standsIn(tx, h); err != nil {
			return err
		}
		_, err := tx.Exec(`INSERT INTO network_node (lane, node, organisations, joined, revoked, reason, trusts, serial) VALUES (?, ?, ?, ?, 0, '', ?, ?)
			ON CONFLICT (lane, node) DO UPDATE SET trusts = excluded.trusts, serial = excluded.serial`,
			a.lane, h.Node.String(), joinCodes(h.Organisations), tx.At(), strings.Join(trusts, " "), h.serial)
		return err
	})
}
