package network

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/openspine/openspine/fault"
)

// How far a certificate may be used outside its time. Who dials in is measured by this node's clock, which is the authority's, and must
// only not be refused because that clock was set back. Who dials out may have a clock that is hours wrong, and must still find its way.
var (
	takenSlack   = leeway{before: 24 * time.Hour}
	dialledSlack = leeway{before: 24 * time.Hour, after: 24 * time.Hour}
)

// accept takes connections until ctx ends.
func (n *Network) accept(ctx context.Context) {
	stop := context.AfterFunc(ctx, func() { _ = n.listener.Close() })
	defer stop()
	var shaking sync.WaitGroup
	defer shaking.Wait()
	for {
		raw, err := n.listener.Accept()
		if ctx.Err() != nil || errors.Is(err, net.ErrClosed) {
			if raw != nil {
				_ = raw.Close()
			}
			return
		}
		if err != nil {
			n.log.Error("a connection could not be taken", "cause", err)
			select {
			case <-ctx.Done():
				return
			case <-n.clock.After(n.timing.First):
			}
			continue
		}
		select {
		case n.shakes <- struct{}{}:
		default:
			_ = raw.Close() // too many at once; whoever it was dials again
			continue
		}
		shaking.Go(func() {
			defer func() { <-n.shakes }()
			if err := n.welcome(ctx, raw); err != nil {
				n.log.Info("a connection was refused", "from", raw.RemoteAddr().String(), "cause", err)
				_ = raw.Close()
			}
		})
	}
}

// welcome shakes hands with whoever dialled in and gives the connection to where it belongs.
func (n *Network) welcome(ctx context.Context, raw net.Conn) error {
	if n.home.Load() == nil {
		return fault.New(fault.Unavailable, "this node belongs to no network yet")
	}
	t := tls.Server(raw, n.serverTLS())
	shake, cancel := context.WithTimeout(ctx, n.timing.Answer)
	defer cancel()
	if err := t.HandshakeContext(shake); err != nil {
		return err
	}
	state := t.ConnectionState()
	h, stale := holder{}, error(nil)
	if len(state.PeerCertificates) > 0 {
		h, stale = n.trust.Load().verify(state.PeerCertificates, n.clock.Now(), takenSlack)
	}
	if stale != nil && !once(stale) {
		h = holder{} // at the door only: a token is asked for
	}
	c := n.newConn(t, state.NegotiatedProtocol, false, h, stale)
	switch c.kind {
	case forAsking:
		return n.answer(c)
	case forJoin:
		return n.admit(c)
	}
	if err := n.takes(c); err != nil {
		return c.end(err)
	}
	caller, err := n.newCaller(ctx, c)
	if err != nil {
		return err
	}
	l := n.linkTo(h.Peer)
	l.use(caller)
	l.rose()
	return nil
}

// admit serves somebody who has no certificate that is good, for a short while and few at a time.
func (n *Network) admit(c *conn) error {
	select {
	case n.doors <- struct{}{}:
	default:
		return c.end(fault.New(fault.TooMany, "too many nodes join at once"))
	}
	limit := time.AfterFunc(3*n.timing.Answer, func() { _ = c.end(errStalled) })
	n.aside(func() {
		<-c.gone
		limit.Stop()
		<-n.doors
	})
	return n.answer(c)
}

// serverTLS is how this node shakes hands with who dials in. A certificate of another authority ends the handshake; one that was revoked or has expired is told so in
// words, in the answer to whatever it asks.
func (n *Network) serverTLS() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS13, Time: n.clock.Now, NextProtos: []string{forAsking, forAnswer, forJoin}, SessionTicketsDisabled: true,
		ClientAuth: tls.RequestClientCert,
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) {
			id, t := n.identity.Load(), n.trust.Load()
			if id == nil {
				return nil, fault.New(fault.Unavailable, "this node belongs to no network yet")
			}
			return certificateOf(id.key, slices.Concat(id.chain, t.roots)), nil // the roots for who joins, and knows a fingerprint
		},
		VerifyConnection: func(s tls.ConnectionState) error {
			switch s.NegotiatedProtocol {
			case forJoin:
				return nil // a token is asked for, or a certificate that may be renewed
			case forAsking, forAnswer:
				_, err := n.trust.Load().verify(s.PeerCertificates, n.clock.Now(), takenSlack)
				if once(err) {
					return nil
				}
				return err
			}
			return fault.New(fault.Invalid, "the other end does not say what the connection is for")
		}}
}

func certificateOf(key any, chain []*x509.Certificate) *tls.Certificate {
	c := &tls.Certificate{PrivateKey: key, Leaf: chain[0]}
	for _, x := range chain {
		c.Certificate = append(c.Certificate, x.Raw)
	}
	return c
}

// dial opens a connection to the authority for one purpose. Errors: fault.Unavailable, in words that say what to do.
func (n *Network) dial(ctx context.Context, address, kind string) (*conn, error) {
	ctx, cancel := context.WithTimeout(ctx, n.timing.Answer)
	defer cancel()
	to := n.home.Load().Authority
	raw, err := n.opt.Dial(ctx, address)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "%s cannot be reached at %s: %v", to, address, err)
	}
	id := n.identity.Load()
	var h holder
	t := tls.Client(raw, &tls.Config{MinVersion: tls.VersionTLS13, Time: n.clock.Now, NextProtos: []string{kind},
		InsecureSkipVerify: true, // VerifyConnection does it: a node is known by its name on the network, not by that of a host
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) {
			return certificateOf(id.key, id.chain), nil
		},
		VerifyConnection: func(s tls.ConnectionState) error {
			var err error
			if h, err = n.trust.Load().verify(s.PeerCertificates, n.now(to), dialledSlack); err != nil {
				return err
			}
			if !h.Authority || h.Node != to {
				return fault.New(fault.Forbidden, "%s is %s, and not the authority's node %s", address, h.Node, to)
			}
			return n.trust.Load().holds(h)
		}})
	if err := t.HandshakeContext(ctx); err != nil {
		_ = raw.Close()
		var ours *fault.Error
		if errors.As(err, &ours) {
			return nil, fault.Wrap(err, fault.Unavailable, "%s at %s is not who it should be: %s", to, address, fault.MessageOf(ours))
		}
		return nil, fault.Wrap(err, fault.Unavailable, "no secure connection to %s at %s: %v", to, address, err)
	}
	return n.newConn(t, kind, true, h, nil), nil
}

// now is the time as a peer's clock says it, as far as is known: this node's may be wrong.
func (n *Network) now(peer NodeID) time.Time {
	now := n.clock.Now()
	if l := n.link(peer); l != nil {
		return now.Add(l.ahead())
	}
	return now
}

// answer serves a connection. It waits until the server takes it.
func (n *Network) answer(c *conn) error {
	select {
	case n.served <- c:
		return nil
	case <-n.stopped:
		return c.end(errStopping)
	}
}

// feed gives the server the connections on which to answer, whoever dialled them.
type feed struct{ n *Network }

// Accept is the next.
func (f feed) Accept() (net.Conn, error) {
	select {
	case c := <-f.n.served:
		return c, nil
	case <-f.n.stopped:
		return nil, net.ErrClosed
	}
}

// Close has nothing to close.
func (feed) Close() error { return nil }

// Addr is none.
func (feed) Addr() net.Addr { return &net.IPAddr{} }
