package network

import (
	"context"
	"crypto/x509"
	"errors"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/store"
)

// MakeToken makes a token with which node can join once, within lasts (a day when zero, a week at most). others are organisations that the
// node may speak for beside its own. Errors: fault.Invalid.
func (a *Authority) MakeToken(ctx context.Context, by access.Principal, node NodeID, others []ident.ODSCode, addresses []string, lasts time.Duration, reason string) (Token, error) {
	self := a.self()
	switch {
	case lasts == 0:
		lasts = tokenLife
	case lasts < time.Minute || lasts > maxToLive:
		return Token{}, fault.New(fault.Invalid, "a token is good for a minute at least and a week at most")
	}
	if node == self {
		return Token{}, fault.New(fault.Invalid, "%s is the authority itself", node)
	}
	if len(others) >= maxOrganisations {
		return Token{}, fault.New(fault.Invalid, "a node speaks for %d organisations at most", maxOrganisations)
	}
	if len(addresses) == 0 {
		return Token{}, fault.New(fault.Invalid, "say where other nodes dial this one, with --address HOST:PORT")
	}
	secret, err := randomHex(a.rand, secretBytes)
	if err != nil {
		return Token{}, err
	}
	t := Token{Node: node, Authority: self, Addresses: addresses, Root: fingerprint(a.issuer.Load().cert), Secret: secret, Until: a.clock.Now().Add(lasts).Truncate(time.Second)}
	if err := t.check(); err != nil {
		return Token{}, err
	}
	orgs := organisationsOf(node, others)
	err = a.db.Write(ctx, a.lanes(by, node), func(tx *store.Tx) error {
		_, err := tx.Exec(`INSERT INTO network_token (lane, hash, node, organisations, made, until, made_by, used, asked, serial) VALUES (?, ?, ?, ?, ?, ?, ?, 0, '', '')`,
			a.lane, secretHash(secret), node.String(), joinCodes(orgs), tx.At(), t.Until, by.ID)
		if err != nil {
			return err
		}
		return a.note(ctx, tx, by, node, "token", "for "+joinCodes(orgs)+" until "+stamp(t.Until), reason)
	})
	return t, err
}

// self is the authority's own node.
func (a *Authority) self() NodeID {
	h, err := a.files.readHome()
	if err != nil {
		return NodeID{}
	}
	return h.Authority
}

// ticket is a token as it is kept.
type ticket struct {
	node          NodeID
	organisations []ident.ODSCode
	until         time.Time
	used          int64
	asked, serial string
}

func (a *Authority) ticketIn(tx *store.Tx, hash string) (t ticket, err error) {
	var node, orgs string
	var until int64
	err = tx.QueryRow(`SELECT node, organisations, until, used, asked, serial FROM network_token WHERE lane = ? AND hash = ?`, a.lane, hash).
		Scan(&node, &orgs, &until, &t.used, &t.asked, &t.serial)
	if fault.Is(err, fault.NotFound) {
		return t, fault.New(fault.Forbidden, "The authority has made no such token: ask it for one.")
	}
	if err != nil {
		return t, err
	}
	t.until = time.UnixMicro(until).UTC()
	t.node, err = ParseNodeID(node)
	if err == nil {
		t.organisations, err = splitCodes(orgs)
	}
	return t, err
}

// good is why a token may not be used for key, if it may not. used says that it was, for the same key.
func (t ticket) good(key string, now time.Time) (used bool, err error) {
	switch {
	case t.used != 0 && t.asked == key:
		return true, nil
	case t.used != 0:
		return false, fault.New(fault.Conflict, "This token was used at %s, by another key than yours. If that was not you, tell the authority at once: a stranger is on the network as %s. Ask for a new token.",
			stamp(time.UnixMicro(t.used)), t.node)
	case now.After(t.until):
		return false, fault.New(fault.Forbidden, "This token was good until %s: ask the authority for a new one.", stamp(t.until))
	}
	return false, nil
}

// Admit gives the holder of a token's secret a certificate of the key that csr is about. The same key and token get the same certificate, as
// often as they ask while it is good; what the node had before is revoked. Errors: fault.Invalid; fault.Forbidden for a token that is not
// known or too old; fault.Conflict for one that was used for another key.
func (a *Authority) Admit(ctx context.Context, secret string, csr *x509.CertificateRequest) ([]*x509.Certificate, error) {
	if err := checkRequest(csr); err != nil {
		return nil, err
	}
	hash, key := secretHash(secret), hexSum(csr.RawSubjectPublicKeyInfo)
	var t ticket
	err := a.db.Read(ctx, func(tx *store.Tx) (err error) {
		t, err = a.ticketIn(tx, hash)
		return err
	})
	if err != nil {
		return nil, err
	}
	used, err := t.good(key, a.clock.Now())
	if err != nil {
		return nil, a.refused(ctx, t.node, err)
	}
	if used {
		return a.given(ctx, t.node, key)
	}
	c, err := a.certify(Peer{Node: t.node, Organisations: t.organisations}, csr.PublicKey)
	if err != nil {
		return nil, err
	}
	by := access.Service("network/"+t.node.String(), t.node.Organisation())
	again := false
	err = a.db.Write(ctx, a.lanes(by, t.node), func(tx *store.Tx) error {
		now, err := a.ticketIn(tx, hash)
		if err != nil {
			return err
		}
		if again, err = now.good(key, tx.At()); again || err != nil {
			return err // somebody was quicker
		}
		if err := a.endIn(tx, t.node); err != nil {
			return err
		}
		serial := c.SerialNumber.Text(16)
		if _, err := tx.Exec(`UPDATE network_token SET used = ?, asked = ?, serial = ? WHERE lane = ? AND hash = ?`, tx.At(), key, serial, a.lane, hash); err != nil {
			return err
		}
		if err := errors.Join(a.enter(tx, Peer{Node: t.node, Organisations: t.organisations}, serial), a.keep(tx, c, t.node)); err != nil {
			return err
		}
		return a.note(ctx, tx, by, t.node, "joined", "certificate "+serial, "with a token")
	})
	switch {
	case err != nil:
		return nil, err
	case again:
		return a.given(ctx, t.node, key)
	}
	if err := errors.Join(a.load(ctx), a.catchUp(ctx)); err != nil {
		return nil, err // whoever asks again gets the same certificate
	}
	return a.chainOf(c), nil
}

// refused puts on the account that somebody came with a token that was used or too old.
func (a *Authority) refused(ctx context.Context, node NodeID, why error) error {
	by := access.Service("network/"+node.String(), node.Organisation())
	err := a.db.Write(ctx, []store.Lane{a.gate.DeedLane(by)}, func(tx *store.Tx) error {
		return a.gate.Record(ctx, tx, by, access.Deed{Action: access.ActCredential, Basis: "join", Detail: nodeSubject(node), Refused: true})
	})
	return errors.Join(why, err)
}

// given is the certificate that was made of a key for a node.
func (a *Authority) given(ctx context.Context, node NodeID, key string) ([]*x509.Certificate, error) {
	var der []byte
	err := a.db.Read(ctx, func(tx *store.Tx) error {
		return tx.QueryRow(`SELECT der FROM network_certificate WHERE lane = ? AND node = ? AND asked = ? AND revoked = 0 ORDER BY until DESC LIMIT 1`,
			a.lane, node.String(), key).Scan(&der)
	})
	if fault.Is(err, fault.NotFound) {
		return nil, fault.New(fault.Forbidden, "The certificate that was made for %s holds no longer: ask the authority for a new token.", node)
	}
	if err != nil {
		return nil, err
	}
	c, err := x509.ParseCertificate(der)
	if err != nil {
		return nil, err
	}
	return a.chainOf(c), nil
}

// checkRequest refuses a request whose key is not the asker's, or is weaker than ours. What else it says does not count: who the certificate is
// about is what the token, or the certificate before it, says.
func checkRequest(csr *x509.CertificateRequest) error {
	if csr.PublicKeyAlgorithm != x509.ECDSA || csr.SignatureAlgorithm != x509.ECDSAWithSHA256 {
		return fault.New(fault.Invalid, "the key must be ECDSA over P-256")
	}
	if err := csr.CheckSignature(); err != nil {
		return fault.Wrap(err, fault.Invalid, "the request is not signed with the key that it is about")
	}
	return nil
}

// Renew gives the holder of a certificate another one for the key that csr is about. The same key gets the same certificate.
// Errors: fault.Forbidden for a certificate that was revoked, or has expired too long ago.
func (a *Authority) Renew(ctx context.Context, h holder, csr *x509.CertificateRequest) ([]*x509.Certificate, error) {
	if err := checkRequest(csr); err != nil {
		return nil, err
	}
	if err := a.known.Load().holds(h); err != nil {
		return nil, err
	}
	if a.clock.Now().After(h.until.Add(RenewGrace)) {
		return nil, fault.New(fault.Forbidden, "The certificate of %s expired at %s, more than %d days ago: ask the authority for a new token, and join again.", h.Node, stamp(h.until), int(RenewGrace.Hours()/24))
	}
	key := hexSum(csr.RawSubjectPublicKeyInfo)
	if chain, err := a.given(ctx, h.Node, key); err == nil && chain[0].NotAfter.After(a.clock.Now().Add(a.life/2)) {
		return chain, nil
	}
	c, err := a.certify(h.Peer, csr.PublicKey)
	if err != nil {
		return nil, err
	}
	err = a.db.Write(ctx, []store.Lane{a.lane}, func(tx *store.Tx) error {
		if err := a.standsIn(tx, h); err != nil {
			return err
		}
		if err := a.enter(tx, h.Peer, c.SerialNumber.Text(16)); err != nil {
			return err
		}
		return a.keep(tx, c, h.Node)
	})
	if err != nil {
		return nil, err
	}
	return a.chainOf(c), nil
}

// standsIn looks again, in the commit, whether a certificate was revoked. One that is not known was given out in a time that a restored backup has
// forgotten: that it is the authority's own was seen when it was shown.
func (a *Authority) standsIn(tx *store.Tx, h holder) error {
	for _, ask := range []struct{ query, key string }{
		{`SELECT revoked FROM network_certificate WHERE lane = ? AND serial = ?`, h.serial},
		{`SELECT revoked FROM network_node WHERE lane = ? AND node = ?`, h.Node.String()},
	} {
		var revoked int64
		err := tx.QueryRow(ask.query, a.lane, ask.key).Scan(&revoked)
		if fault.Is(err, fault.NotFound) {
			continue
		}
		if err != nil {
			return err
		}
		if revoked != 0 {
			return errRevoked(h.Node)
		}
	}
	return nil
}
