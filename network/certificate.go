package network

import (
	"crypto/x509"
	"errors"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
)

// What certificates say beside their keys: as addresses (RFC 5280 section 4.2.1.6, uniformResourceIdentifier), for they name no hosts.
const (
	nodeURN      = "urn:openspine:node:"
	orgURN       = "urn:openspine:organisation:"
	authorityURN = "urn:openspine:authority"
)

// maxOrganisations bounds how many organisations one node may speak for.
const maxOrganisations = 1000

// holder is what a certificate says of who holds it.
type holder struct {
	Peer
	serial string // in hexadecimal
	root   string // fingerprint of the root under which it was verified
	since  time.Time
	until  time.Time
}

// uris are what the certificate of p says.
func (p Peer) uris() []*url.URL {
	texts := []string{nodeURN + p.Node.String()}
	for _, o := range p.Organisations {
		texts = append(texts, orgURN+o.String())
	}
	if p.Authority {
		texts = append(texts, authorityURN)
	}
	all := make([]*url.URL, len(texts))
	for i, t := range texts {
		all[i] = &url.URL{Scheme: "urn", Opaque: strings.TrimPrefix(t, "urn:")}
	}
	return all
}

// peerOf reads what a certificate says. Errors: fault.Forbidden when it is none of a node's.
func peerOf(c *x509.Certificate) (Peer, error) {
	var p Peer
	for _, u := range c.URIs {
		text := u.String()
		if name, ok := strings.CutPrefix(text, nodeURN); ok && p.Node.IsZero() {
			node, err := ParseNodeID(name)
			if err != nil || node.String() != name {
				return Peer{}, fault.New(fault.Forbidden, "the certificate names a node that cannot be")
			}
			p.Node = node
			continue
		}
		if code, ok := strings.CutPrefix(text, orgURN); ok && len(p.Organisations) < maxOrganisations {
			org, err := ident.ParseODSCode(code)
			if err != nil {
				return Peer{}, fault.New(fault.Forbidden, "the certificate names an organisation that cannot be")
			}
			p.Organisations = append(p.Organisations, org)
			continue
		}
		if text != authorityURN {
			return Peer{}, fault.New(fault.Forbidden, "the certificate says what a node's does not")
		}
		p.Authority = true
	}
	if p.Node.IsZero() || !slices.Contains(p.Organisations, p.Node.Organisation()) {
		return Peer{}, fault.New(fault.Forbidden, "the certificate is not a node's")
	}
	return p, nil
}

// trust is whose certificates a node takes: the roots of the programme's authority, and the list of what holds no longer.
type trust struct {
	edition int64
	roots   []*x509.Certificate
	former  []*x509.Certificate // retired roots: what they signed may still be renewed
	crosses []*x509.Certificate // each new root's key, certified by the root before
	list    *x509.RevocationList
	revoked map[string]time.Time // by serial
}

// fingerprint names a certificate.
func fingerprint(c *x509.Certificate) string { return hexSum(c.Raw) }

// fingerprints are those of the trusted roots.
func (t *trust) fingerprints() []string {
	var all []string
	for _, r := range t.roots {
		all = append(all, fingerprint(r))
	}
	return all
}

// How verify says that a certificate was good once, and may be renewed: its time is over, or the root that it is under was retired.
var (
	errExpired = fault.New(fault.Unauthenticated, "the certificate has expired")
	errFormer  = fault.New(fault.Unauthenticated, "the root of the certificate was retired")
)

// once reports whether err says that a certificate was good once.
func once(err error) bool { return errors.Is(err, errExpired) || errors.Is(err, errFormer) }

// leeway is by how much a certificate may be used before its beginning and after its end.
type leeway struct{ before, after time.Duration }

// verify is who holds the chain of certificates certs, at now. Clocks differ: the certificate may begin and end by some leeway later
// and earlier than now says. Errors: errExpired and errFormer, with the holder; fault.Forbidden when it is another authority's, or none.
func (t *trust) verify(certs []*x509.Certificate, now time.Time, slack leeway) (holder, error) {
	if len(certs) == 0 {
		return holder{}, fault.New(fault.Unauthenticated, "no certificate was shown")
	}
	leaf := certs[0]
	at := now
	if at.Before(leaf.NotBefore) {
		if at = leaf.NotBefore; at.Sub(now) > slack.before {
			return holder{}, fault.New(fault.Unauthenticated, "the certificate of %s begins at %s, and the clock here says %s: set the clock that is wrong", name(leaf), stamp(leaf.NotBefore), stamp(now))
		}
	}
	late := now.Sub(leaf.NotAfter)
	if late > 0 {
		at = leaf.NotAfter
	}
	options := x509.VerifyOptions{Roots: pool(t.roots), Intermediates: pool(certs[1:], t.crosses), CurrentTime: at, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}
	chains, err := leaf.Verify(options)
	former := false
	if err != nil && len(t.former) > 0 {
		options.Roots, former = pool(t.former), true
		chains, err = leaf.Verify(options)
	}
	if err != nil {
		return holder{}, fault.Wrap(err, fault.Forbidden, "the certificate of %s is not one of this programme's authority", name(leaf))
	}
	p, err := peerOf(leaf)
	if err != nil {
		return holder{}, err
	}
	chain := chains[0]
	h := holder{Peer: p, serial: leaf.SerialNumber.Text(16), root: issuerKey(chain), since: leaf.NotBefore, until: leaf.NotAfter}
	switch {
	case late > slack.after:
		return h, errExpired
	case former:
		return h, errFormer
	}
	return h, nil
}

func pool(lists ...[]*x509.Certificate) *x509.CertPool {
	p := x509.NewCertPool()
	for _, list := range lists {
		for _, c := range list {
			p.AddCert(c)
		}
	}
	return p
}

// issuerKey says under which key a certificate was signed, whichever certificate of that key the chain went through.
func issuerKey(chain []*x509.Certificate) string {
	if len(chain) < 2 {
		return ""
	}
	return hexSum(chain[1].RawSubjectPublicKeyInfo)
}

func name(c *x509.Certificate) string {
	if c.Subject.CommonName == "" {
		return "a stranger"
	}
	return c.Subject.CommonName
}

func stamp(t time.Time) string { return t.UTC().Format("2006-01-02 15:04 MST") }

// signedBy reports whether one of roots signed c, or made it.
func signedBy(c *x509.Certificate, roots []*x509.Certificate) bool {
	return slices.ContainsFunc(roots, func(r *x509.Certificate) bool { return c.CheckSignatureFrom(r) == nil })
}
