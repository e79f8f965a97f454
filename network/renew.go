package network

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"hash/fnv"
	"net/http"
	"slices"
	"time"

	"github.com/openspine/openspine/fault"
)

// application asks for a certificate.
type application struct {
	Secret  string `json:"secret,omitempty"` // of a token
	Request []byte `json:"request"`          // PKCS #10 (RFC 2986), DER
}

// certified is the answer.
type certified struct {
	Chain [][]byte `json:"chain"` // the certificate first
	News  news     `json:"news"`
}

const maxApplication = 64 << 10

// dueAt is when a certificate is renewed: after two thirds of its life, a thirtieth of it sooner or later. When is told by the certificate, so that a restart
// changes nothing.
func dueAt(c *x509.Certificate) time.Time {
	life := c.NotAfter.Sub(c.NotBefore)
	h := fnv.New32a()
	_, _ = h.Write(c.SerialNumber.Bytes()) // a hash never fails
	jitter := time.Duration(float64(life) / 30 * (float64(h.Sum32())/(1<<31) - 1))
	return c.NotBefore.Add(life*2/3 + jitter)
}

// due reports whether this node's certificate should be renewed: by its age, or because another key signs now.
func (n *Network) due(root string) bool {
	id := n.identity.Load()
	if !n.now(n.home.Load().Authority).Before(dueAt(id.chain[0])) {
		return true
	}
	h, err := n.trust.Load().verify(id.chain, id.chain[0].NotAfter, leeway{})
	return err != nil || root != "" && h.root != root
}

// renew gets a certificate for a new key over the link.
func (n *Network) renew(ctx context.Context, c *caller, l *link) error {
	ctx, cancel := context.WithTimeout(ctx, n.timing.Answer)
	defer cancel()
	key, request, err := n.applyWith("")
	if err != nil {
		return err
	}
	var got certified
	if _, err := c.ask(ctx, l, http.MethodPost, "/network/renew", request, &got); err != nil {
		return err
	}
	return n.wear(key, got)
}

// applyWith asks for a certificate of the key that is kept for it.
func (n *Network) applyWith(secret string) (crypto.Signer, application, error) {
	key, err := n.files.pendingKey()
	if err != nil {
		return nil, application{}, err
	}
	der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{Subject: pkix.Name{CommonName: "a node"}}, key)
	return key, application{Secret: secret, Request: der}, err
}

// wear takes a certificate into use.
func (n *Network) wear(key crypto.Signer, got certified) error {
	chain, err := parseAll(got.Chain)
	if err != nil {
		return err
	}
	h, err := n.trust.Load().verify(chain, n.now(n.home.Load().Authority), dialledSlack)
	if err != nil {
		return err
	}
	own, ok := chain[0].PublicKey.(interface{ Equal(crypto.PublicKey) bool })
	if !ok || !own.Equal(key.Public()) || h.Node != n.Self() {
		return fault.New(fault.Forbidden, "the certificate that came is not for this node")
	}
	id := identity{key, chain}
	if err := n.files.writeIdentity(id); err != nil {
		return err
	}
	n.identity.Store(&id)
	n.log.Info("certificate renewed", "until", chain[0].NotAfter)
	return n.files.remove(pendingFile)
}

// takeRenewal gives the node at the other end a new certificate.
func (n *Network) takeRenewal(w http.ResponseWriter, r *http.Request, c *conn) {
	a := n.office.Load()
	if a == nil {
		Refuse(w, fault.New(fault.Forbidden, "Certificates come from the authority's node."))
		return
	}
	var asked application
	if err := readJSON(r.Body, maxApplication, &asked); err != nil {
		Refuse(w, err)
		return
	}
	csr, err := x509.ParseCertificateRequest(asked.Request)
	if err != nil {
		Refuse(w, fault.Wrap(err, fault.Invalid, "the request for a certificate is not understood"))
		return
	}
	if c.holder.Node.IsZero() {
		Refuse(w, fault.New(fault.Forbidden, "The certificate that was shown is none of this authority's: join with a token."))
		return
	}
	chain, err := a.Renew(r.Context(), c.holder, csr)
	if err != nil {
		Refuse(w, err)
		return
	}
	n.give(w, chain)
}

func (n *Network) give(w http.ResponseWriter, chain []*x509.Certificate) {
	t := n.trust.Load()
	got := certified{News: news{Edition: t.edition, Revoked: t.list.Raw}}
	for _, c := range chain {
		got.Chain = append(got.Chain, c.Raw)
	}
	for _, c := range t.roots {
		got.News.Roots = append(got.News.Roots, c.Raw)
	}
	for _, c := range t.crosses {
		got.News.Crosses = append(got.News.Crosses, c.Raw)
	}
	writeJSON(w, got)
}

// atTheDoor answers somebody who has no certificate that is good: with one, for a token or for one that has expired.
func (n *Network) atTheDoor(w http.ResponseWriter, r *http.Request, c *conn) {
	a := n.office.Load()
	switch {
	case a == nil:
		Refuse(w, fault.New(fault.NotFound, "The authority of this network is not here, but at %s.", n.home.Load().Authority))
	case r.Method == http.MethodPost && r.URL.Path == "/network/renew":
		n.takeRenewal(w, r, c)
	case r.Method == http.MethodPost && r.URL.Path == "/network/join":
		n.takeToken(w, r, a)
	default:
		Refuse(w, fault.New(fault.NotFound, "There is nothing at this address."))
	}
}

func (n *Network) takeToken(w http.ResponseWriter, r *http.Request, a *Authority) {
	var asked application
	if err := readJSON(r.Body, maxApplication, &asked); err != nil {
		Refuse(w, err)
		return
	}
	csr, err := x509.ParseCertificateRequest(asked.Request)
	if err != nil {
		Refuse(w, fault.Wrap(err, fault.Invalid, "the request for a certificate is not understood"))
		return
	}
	chain, err := a.Admit(r.Context(), asked.Secret, csr)
	if err != nil {
		Refuse(w, err)
		return
	}
	if p, err := peerOf(chain[0]); err == nil {
		n.linkTo(p)
	}
	n.give(w, chain)
}

// renewExpired gets a new certificate for one that has expired, at the authority's door.
func (n *Network) renewExpired(ctx context.Context, address string) error {
	ctx, cancel := context.WithTimeout(ctx, n.timing.Answer)
	defer cancel()
	c, err := n.dial(ctx, address, forJoin)
	if err != nil {
		return err
	}
	door, err := n.newCaller(ctx, c)
	if err != nil {
		return fault.Wrap(err, fault.Unavailable, "the connection broke")
	}
	defer door.close()
	key, request, err := n.applyWith("")
	if err != nil {
		return err
	}
	var got certified
	if _, err := door.ask(ctx, n.link(n.home.Load().Authority), http.MethodPost, "/network/renew", request, &got); err != nil {
		return err
	}
	if t, err := n.trust.Load().follow(got.News); err == nil {
		n.trust.Store(t)
	}
	return n.wear(key, got)
}

// Join makes this node a member of the network that a token is for. It may be called again with the same token until it succeeds.
// Errors: fault.Conflict when the node belongs to a network already, or the token was used by another; fault.Forbidden; fault.Unavailable.
func (n *Network) Join(ctx context.Context, t Token) error {
	n.joining.Lock()
	defer n.joining.Unlock()
	if h := n.home.Load(); h != nil {
		if n.office.Load() != nil || !n.mayRejoin() {
			return fault.New(fault.Conflict, "This node is %s of a network already.", h.Node)
		}
		if h.Node != t.Node {
			return fault.New(fault.Conflict, "This node is %s, and the token is for %s.", h.Node, t.Node)
		}
	}
	var last error
	for _, address := range t.Addresses {
		got, key, roots, err := n.enrol(ctx, t, address)
		if err == nil {
			return n.settleIn(ctx, t, key, got, roots)
		}
		if last = err; !fault.Is(err, fault.Unavailable) {
			break
		}
	}
	return last
}

// mayRejoin reports whether the authority takes this node no longer, so that a new token may be used.
func (n *Network) mayRejoin() bool {
	l := n.link(n.home.Load().Authority)
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.state == StateRefused || n.clock.Now().After(n.identity.Load().chain[0].NotAfter)
}

// enrol goes to the authority's door with a token. The authority is known by the fingerprint of its root.
func (n *Network) enrol(ctx context.Context, t Token, address string) (got certified, key crypto.Signer, root *trust, err error) {
	ctx, cancel := context.WithTimeout(ctx, n.timing.Answer)
	defer cancel()
	raw, err := n.opt.Dial(ctx, address)
	if err != nil {
		return got, nil, nil, fault.Wrap(err, fault.Unavailable, "%s cannot be reached at %s: %v", t.Authority, address, err)
	}
	secure := tls.Client(raw, &tls.Config{MinVersion: tls.VersionTLS13, Time: n.clock.Now, NextProtos: []string{forJoin}, InsecureSkipVerify: true, // by fingerprint, below
		VerifyConnection: func(s tls.ConnectionState) (err error) {
			root, err = t.recognise(s.PeerCertificates, n.clock.Now())
			return err
		}})
	if err := secure.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		return got, nil, nil, fault.Wrap(err, fault.Forbidden, "%s is not the authority of this token: %v", address, err)
	}
	c := n.newConn(secure, forJoin, true, holder{Peer: Peer{Node: t.Authority}}, nil)
	door, err := n.newCaller(ctx, c)
	if err != nil {
		return got, nil, nil, fault.Wrap(err, fault.Unavailable, "the connection broke")
	}
	defer door.close()
	key, request, err := n.applyWith(t.Secret)
	if err != nil {
		return got, nil, nil, err
	}
	l := newLink(n, Peer{Node: t.Authority})
	_, err = door.ask(ctx, l, http.MethodPost, "/network/join", request, &got)
	return got, key, root, err
}

// recognise is what to trust of the certificates that were shown: the root whose fingerprint the token carries, when it leads to the authority.
func (t Token) recognise(shown []*x509.Certificate, now time.Time) (*trust, error) {
	i := slices.IndexFunc(shown, func(c *x509.Certificate) bool { return fingerprint(c) == t.Root })
	if i < 0 {
		return nil, fault.New(fault.Forbidden, "it does not show the root that the token names")
	}
	found := newTrust(0, []*x509.Certificate{shown[i]}, nil, nil, nil)
	h, err := found.verify(shown, now, dialledSlack)
	if err == nil && (!h.Authority || h.Node != t.Authority) {
		err = fault.New(fault.Forbidden, "it is %s", h.Node)
	}
	return found, err
}

// settleIn writes down what this node is from now on. The file that says so comes last.
func (n *Network) settleIn(ctx context.Context, t Token, key crypto.Signer, got certified, root *trust) error {
	trusted, err := root.follow(got.News)
	if err != nil {
		return err
	}
	chain, err := parseAll(got.Chain)
	if err != nil {
		return err
	}
	h, err := trusted.verify(chain, n.clock.Now(), dialledSlack)
	if err != nil {
		return err
	}
	if h.Node != t.Node {
		return fault.New(fault.Forbidden, "the certificate that came is for %s, and the token for %s", h.Node, t.Node)
	}
	if err := errors.Join(n.files.writeIdentity(identity{key, chain}), n.files.writeTrust(trusted),
		n.files.writeHome(home{Node: t.Node, Authority: t.Authority, Addresses: t.Addresses, Edition: trusted.edition})); err != nil {
		return err
	}
	if err := n.files.remove(pendingFile); err != nil {
		return err
	}
	return n.settle(ctx)
}
