package network

import (
	"context"
	"crypto/rand"
	"crypto/x509"
	"errors"
	"slices"
	"strings"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/store"
)

// A root is changed in three steps, none of which stops anything:
//
//	Begin   a new root is made and certified by the old one; within seconds every linked node trusts both
//	Cross   the new root signs from now on; every node renews its certificate at once
//	Retire  the old root is trusted no longer, and its key is forgotten
//
// Each step waits until every member has followed the one before, or is told to leave behind who has not: a node that was cut off meanwhile finds its way by the
// certificate of the new root's key that the old root signed.

// Begin makes the next root. Errors: fault.Conflict while another one is being brought in.
func (a *Authority) Begin(ctx context.Context, by access.Principal, reason string) error {
	if err := a.load(ctx); err != nil {
		return err
	}
	if n := len(a.known.Load().roots); n != 1 {
		return fault.New(fault.Conflict, "A new root is being brought in already: cross over to it, and retire the old one, first.")
	}
	old := a.issuer.Load()
	cert, err := a.makeRoot(a.self())
	if err != nil {
		return err
	}
	crossed, err := a.cross(old, cert)
	if err != nil {
		return err
	}
	return a.step(ctx, by, "rollover begun", reason, func(tx *store.Tx) error {
		return a.putRoot(tx, root{cert: cert, crossed: crossed, state: rootNext})
	})
}

// cross certifies the key of next by old, so that whoever trusts old can come to trust it.
func (a *Authority) cross(old *root, next *x509.Certificate) (*x509.Certificate, error) {
	signer, err := a.signer(old)
	if err != nil {
		return nil, err
	}
	serial, err := a.serial()
	if err != nil {
		return nil, err
	}
	template := rootTemplate(a.self(), serial, next.Subject.SerialNumber, a.clock.Now())
	template.Subject = next.Subject
	if template.NotAfter.After(old.cert.NotAfter) {
		template.NotAfter = old.cert.NotAfter
	}
	template.MaxPathLen, template.MaxPathLenZero = 0, true
	der, err := x509.CreateCertificate(rand.Reader, template, old.cert, next.PublicKey, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// Cross has the next root sign from now on. With force, nodes that do not trust it yet are left to find their way.
// Errors: fault.Conflict when there is no next root, or nodes that do not trust it yet; the message names some.
func (a *Authority) Cross(ctx context.Context, by access.Principal, force bool, reason string) error {
	next, err := a.rootIn(ctx, rootNext, "There is no new root: begin a rollover first.")
	if err != nil {
		return err
	}
	if err := a.followed(ctx, force, "do not trust the new root yet", func(m Member) bool { return slices.Contains(m.Trusts, fingerprint(next.cert)) }); err != nil {
		return err
	}
	return a.step(ctx, by, "rollover crossed", reason, func(tx *store.Tx) error {
		return errors.Join(a.setRoot(tx, fingerprint(a.issuer.Load().cert), rootOld), a.setRoot(tx, fingerprint(next.cert), rootIssuing))
	})
}

// Retire ends the trust in the old root. Errors: fault.Conflict when there is none, or nodes whose certificates are under it.
func (a *Authority) Retire(ctx context.Context, by access.Principal, force bool, reason string) error {
	old, err := a.rootIn(ctx, rootOld, "There is no old root to retire.")
	if err != nil {
		return err
	}
	if err := a.followed(ctx, force, "still have a certificate of the old root", func(m Member) bool { return m.Root == a.issuer.Load().key() }); err != nil {
		return err
	}
	err = a.step(ctx, by, "rollover done", reason, func(tx *store.Tx) error { return a.setRoot(tx, fingerprint(old.cert), rootRetired) })
	if err != nil {
		return err
	}
	return a.keys.Remove(old.cert.Subject.SerialNumber)
}

func (a *Authority) rootIn(ctx context.Context, state, none string) (found root, err error) {
	err = a.db.Read(ctx, func(tx *store.Tx) error {
		all, err := a.rootsIn(tx)
		if err != nil {
			return err
		}
		i := slices.IndexFunc(all, func(r root) bool { return r.state == state })
		if i < 0 {
			return fault.New(fault.Conflict, "%s", none)
		}
		found = all[i]
		return nil
	})
	return found, err
}

func (a *Authority) setRoot(tx *store.Tx, fp, state string) error {
	_, err := tx.Exec(`UPDATE network_root SET state = ?, since = ? WHERE lane = ? AND fingerprint = ?`, state, tx.At(), a.lane, fp)
	return err
}

// step changes roots, on the account, and tells every node.
func (a *Authority) step(ctx context.Context, by access.Principal, act, reason string, do func(tx *store.Tx) error) error {
	err := a.db.Write(ctx, a.lanes(by, a.self()), func(tx *store.Tx) error {
		if err := do(tx); err != nil {
			return err
		}
		return a.note(ctx, tx, by, a.self(), act, "", reason)
	})
	if err != nil {
		return err
	}
	return a.revise(ctx)
}

// followed is fault.Conflict while members have not followed the last step, unless they are to be left behind.
func (a *Authority) followed(ctx context.Context, force bool, how string, has func(Member) bool) error {
	if force {
		return nil
	}
	members, err := a.Members(ctx)
	if err != nil {
		return err
	}
	var behind []string
	for _, m := range members {
		if m.Revoked.IsZero() && !m.Authority && m.Until.Add(RenewGrace).After(a.clock.Now()) && !has(m) {
			behind = append(behind, m.Node.String())
		}
	}
	if len(behind) == 0 {
		return nil
	}
	few := behind
	if len(few) > 5 {
		few = append(slices.Clip(few[:5]), "…")
	}
	return fault.New(fault.Conflict, "%d nodes %s: %s. Wait until they are linked, or leave them behind with --force: a node that is cut off finds its way by itself when it comes back.", len(behind), how, strings.Join(few, ", "))
}
