package network

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"maps"
	"math/big"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// Revoke ends a node's membership: every certificate that it has holds no longer, here at once and at every linked node within seconds.
// Errors: fault.NotFound; fault.Invalid without a reason, or for the authority's own node.
func (a *Authority) Revoke(ctx context.Context, by access.Principal, node NodeID, reason string) error {
	if strings.TrimSpace(reason) == "" {
		return fault.New(fault.Invalid, "Say why: it is kept with what you do.")
	}
	if node == a.self() {
		return fault.New(fault.Invalid, "This is the authority itself: a network without it cannot be put right.")
	}
	err := a.db.Write(ctx, a.lanes(by, node), func(tx *store.Tx) error {
		n, err := tx.Exec(`UPDATE network_node SET revoked = ?, reason = ? WHERE lane = ? AND node = ? AND revoked = 0`, tx.At(), strings.TrimSpace(reason), a.lane, node.String())
		if err != nil {
			return err
		}
		if n == 0 {
			return fault.New(fault.NotFound, "No node %s is a member of the network.", node)
		}
		if err := a.endIn(tx, node); err != nil {
			return err
		}
		return a.note(ctx, tx, by, node, "revoked", "", reason)
	})
	if err != nil {
		return err
	}
	return a.revise(ctx)
}

// endIn marks every certificate of a node as revoked. The list follows in a commit of its own, now or, after a crash, at the next start; here
// the mark holds by itself.
func (a *Authority) endIn(tx *store.Tx, node NodeID) error {
	_, err := tx.Exec(`UPDATE network_certificate SET revoked = ? WHERE lane = ? AND node = ? AND revoked = 0`, tx.At(), a.lane, node.String())
	return err
}

// marked are the certificates that are marked as revoked and could still be used or renewed.
func (a *Authority) marked(ctx context.Context) (serials map[string]time.Time, err error) {
	err = a.db.Read(ctx, func(tx *store.Tx) error {
		serials = map[string]time.Time{}
		rows, err := tx.Query(`SELECT serial, revoked FROM network_certificate WHERE lane = ? AND revoked <> 0 AND until > ?`, a.lane, a.clock.Now().Add(-RenewGrace))
		if err != nil {
			return err
		}
		defer rows.Close()
		for rows.Next() {
			var serial string
			var at int64
			if err := rows.Scan(&serial, &at); err != nil {
				return err
			}
			serials[serial] = instant(at)
		}
		return rows.Err()
	})
	return serials, err
}

// catchUp makes the list say what is marked, when a crash came between.
func (a *Authority) catchUp(ctx context.Context) error {
	t := a.known.Load()
	if len(t.revoked) == len(revokedIn(t.list)) {
		return nil
	}
	return a.revise(ctx)
}

// listLife is for how long a list of revoked certificates says it is good. Nodes do not go by it: they learn of each new list in seconds.
const listLife = 365 * 24 * time.Hour

// revise makes a new edition of what every node has to know: all that is marked as revoked, and the roots as they are now.
func (a *Authority) revise(ctx context.Context) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	if err := a.load(ctx); err != nil {
		return err
	}
	err := a.reviseFrom(ctx, a.known.Load().edition, nil)
	if err != nil && a.changed != nil {
		a.changed(a.known.Load()) // here it holds at once, though there is no list to tell others by
	}
	return err
}

// reviseFrom is revise, with an edition above another one as well, and with further serials, which it marks.
func (a *Authority) reviseFrom(ctx context.Context, above int64, further []string) error {
	old, now := a.known.Load(), a.clock.Now()
	r := a.issuer.Load()
	signer, err := a.signer(r)
	if err != nil {
		return err
	}
	revoked := map[string]time.Time{}
	for _, serial := range further {
		revoked[serial] = now
	}
	maps.Copy(revoked, old.revoked)
	edition := max(old.edition, above) + 1
	list := &x509.RevocationList{Number: big.NewInt(edition), ThisUpdate: now, NextUpdate: now.Add(listLife)}
	for serial, at := range revoked {
		n, ok := new(big.Int).SetString(serial, 16)
		if !ok {
			return fault.New(fault.Internal, "a revoked serial is not a number")
		}
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: at})
	}
	slices.SortFunc(list.RevokedCertificateEntries, func(x, y x509.RevocationListEntry) int { return x.SerialNumber.Cmp(y.SerialNumber) })
	der, err := x509.CreateRevocationList(rand.Reader, list, r.cert, signer)
	if err != nil {
		return err
	}
	err = a.db.Write(ctx, []store.Lane{a.lane}, func(tx *store.Tx) error {
		for _, serial := range further {
			if _, err := tx.Exec(`UPDATE network_certificate SET revoked = ? WHERE lane = ? AND serial = ? AND revoked = 0`, tx.At(), a.lane, serial); err != nil {
				return err
			}
		}
		_, err := tx.Exec(`INSERT INTO network_news (lane, edition, revoked) VALUES (?, ?, ?) ON CONFLICT (lane) DO UPDATE SET edition = excluded.edition, revoked = excluded.revoked`,
			a.lane, edition, der)
		return err
	})
	if err != nil {
		return err
	}
	if err := a.load(ctx); err != nil {
		return err
	}
	if a.changed != nil {
		a.changed(a.known.Load())
	}
	return nil
}

// remember takes over what a list says that the authority itself signed and has forgotten: it was restored from a backup, and a node knows what
// was revoked since. Errors: fault.Forbidden when it is not the authority's own.
func (a *Authority) remember(ctx context.Context, list *x509.RevocationList) error {
	a.changing.Lock()
	defer a.changing.Unlock()
	if err := a.load(ctx); err != nil {
		return err
	}
	t := a.known.Load()
	if !signedList(list, slices.Concat(t.roots, t.former)) {
		return fault.New(fault.Forbidden, "the list of what is revoked is not this authority's")
	}
	if !list.Number.IsInt64() || list.Number.Int64() <= t.edition {
		return nil
	}
	var serials []string
	for serial := range revokedIn(list) {
		serials = append(serials, serial)
	}
	slices.Sort(serials)
	return a.reviseFrom(ctx, list.Number.Int64(), serials)
}

func signedList(list *x509.RevocationList, roots []*x509.Certificate) bool {
	return slices.ContainsFunc(roots, func(r *x509.Certificate) bool { return list.CheckSignatureFrom(r) == nil })
}

func revokedIn(list *x509.RevocationList) map[string]time.Time {
	all := map[string]time.Time{}
	if list != nil {
		for _, e := range list.RevokedCertificateEntries {
			all[e.SerialNumber.Text(16)] = e.RevocationTime
		}
	}
	return all
}

func errRevoked(node NodeID) error {
	return fault.New(fault.Forbidden, "The certificate of %s was revoked. If it is to come back, ask the authority for a new token and join again.", node)
}

// holds is why a certificate holds no longer, if it does not.
func (t *trust) holds(h holder) error {
	if _, ok := t.revoked[h.serial]; ok {
		return errRevoked(h.Node)
	}
	return nil
}
