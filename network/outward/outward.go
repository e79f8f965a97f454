// Package outward is how this node calls addresses that somebody else has named: where a subscriber wants to be told, where a third party takes
// its post. Whoever may name an address could name one inside our own walls, and have the node ask there in its own name; so
// what is not a public address is refused, unless whoever runs the node has allowed it.
//
// The look is at the address that is dialled, after names were resolved and for each connection, so that a name which means one thing
// when it is entered and another when it is called opens nothing. Redirects are not followed and proxies of the environment not used.
package outward

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"strings"
	"syscall"
	"time"

	"github.com/openspine/openspine/fault"
)

// Options say whom this node calls, and how.
type Options struct {
	// Allow are ranges that may be called although they are not public; an http address is called only in one of them.
	Allow []netip.Prefix
	// Within is how long one request may take with its answer; 30 seconds by default.
	Within time.Duration
	// TLS is a base to start from: roots, a client certificate. Nil is the system's.
	TLS *tls.Config
}

// ParseAllow reads addresses and ranges as a configuration writes them: 10.1.2.3 or 10.1.0.0/16. Errors: fault.Invalid.
func ParseAllow(list []string) ([]netip.Prefix, error) {
	var all []netip.Prefix
	for _, text := range list {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			a, aerr := netip.ParseAddr(text)
			if aerr != nil {
				return nil, fault.Wrap(err, fault.Invalid, "%q is neither an address nor a range of them, such as 10.1.0.0/16", text)
			}
			p = netip.PrefixFrom(a.Unmap(), a.Unmap().BitLen())
		}
		all = append(all, p.Masked())
	}
	return all, nil
}

// inside are ranges that belong to nobody on the public internet, beside those that netip knows: "this" network, shared address space,
// protocol assignments, documentation, benchmarking, 6to4 and its relay, NAT64, reserved (IANA special-purpose registries, RFC 6890).
func inside() []netip.Prefix {
	var all []netip.Prefix
	for _, s := range []string{"0.0.0.0/8", "100.64.0.0/10", "192.0.0.0/24", "192.0.2.0/24", "192.88.99.0/24", "198.18.0.0/15", "198.51.100.0/24", "203.0.113.0/24", "240.0.0.0/4",
		"64:ff9b::/96", "64:ff9b:1::/48", "100::/64", "2001::/23", "2001:db8::/32", "2002::/16", "3fff::/20", "fec0::/10"} {
		all = append(all, netip.MustParsePrefix(s))
	}
	return all
}

// Public reports whether an address belongs to the public internet.
func Public(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	if !a.IsValid() || a.IsUnspecified() || a.IsLoopback() || a.IsPrivate() || a.IsLinkLocalUnicast() || a.IsMulticast() {
		return false
	}
	for _, p := range inside() {
		if p.Contains(a) {
			return false
		}
	}
	return true
}

// May reports whether an address may be called.
func (o Options) May(a netip.Addr) bool { return Public(a) || o.allowed(a) }

func (o Options) allowed(a netip.Addr) bool {
	a = a.Unmap().WithZone("")
	for _, p := range o.Allow {
		if p.Contains(a) {
			return true
		}
	}
	return false
}

// Check is fault.Invalid, in words for whoever enters it, unless a URL is one that this node would call: https (or http to an allowed
// address), a host, no credentials, no fragment. A name is looked up only when it is called.
func (o Options) Check(raw string) error {
	u, err := url.Parse(raw)
	switch {
	case err != nil || u.Host == "" || u.Hostname() == "" || len(raw) > 2000 || strings.ContainsFunc(raw, func(r rune) bool { return r <= ' ' || r > '~' }):
		return fault.New(fault.Invalid, "The address is not a URL such as https://example.org/events.")
	case u.Scheme != "https" && u.Scheme != "http":
		return fault.New(fault.Invalid, "The address begins with https://.")
	case u.User != nil:
		return fault.New(fault.Invalid, "The address carries a name or password; send what you need as a header.")
	case u.Fragment != "":
		return fault.New(fault.Invalid, "The address has a part after #, which is never sent.")
	}
	a, err := netip.ParseAddr(u.Hostname())
	if host := strings.TrimSuffix(strings.ToLower(u.Hostname()), "."); host == "localhost" || strings.HasSuffix(host, ".localhost") {
		a, err = netip.AddrFrom4([4]byte{127, 0, 0, 1}), nil
	}
	if err == nil && !o.May(a) {
		return fault.New(fault.Invalid, "The address is not on the public internet, and this node may not call it.")
	}
	if u.Scheme == "http" && (err != nil || !o.allowed(a)) {
		return fault.New(fault.Invalid, "The address begins with http://; events go to https:// alone.")
	}
	return nil
}

// Client is an HTTP client that calls what Options allow: a dial to anything else fails with fault.Forbidden. It follows no redirect.
// Callers bound what they read of an answer.
func Client(o Options) *http.Client {
	if o.Within <= 0 {
		o.Within = 30 * time.Second
	}
	dial := func(plain bool) func(ctx context.Context, network, addr string) (net.Conn, error) {
		d := &net.Dialer{Timeout: 10 * time.Second, KeepAlive: 30 * time.Second, Control: func(_, addr string, _ syscall.RawConn) error {
			ap, err := netip.ParseAddrPort(addr)
			if err != nil || !o.May(ap.Addr()) || plain && !o.allowed(ap.Addr()) {
				return fault.New(fault.Forbidden, "The address leads to a place that this node may not call.")
			}
			return nil
		}}
		return d.DialContext
	}
	config := &tls.Config{MinVersion: tls.VersionTLS12}
	if o.TLS != nil {
		config = o.TLS.Clone()
	}
	secure := dial(false)
	return &http.Client{
		Timeout:       o.Within,
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
		Transport: &chooser{plain: &http.Transport{DialContext: dial(true), DisableCompression: true, IdleConnTimeout: time.Minute, MaxIdleConnsPerHost: 4, MaxResponseHeaderBytes: 64 << 10},
			secure: &http.Transport{DialContext: secure, TLSClientConfig: config, ForceAttemptHTTP2: true, TLSHandshakeTimeout: 10 * time.Second, DisableCompression: true, IdleConnTimeout: time.Minute,
				MaxIdleConnsPerHost: 4, MaxResponseHeaderBytes: 64 << 10}},
	}
}

// chooser sends http and https by transports of their own, for http goes to allowed addresses alone.
type chooser struct{ plain, secure *http.Transport }

func (c *chooser) RoundTrip(r *http.Request) (*http.Response, error) {
	if r.URL.Scheme == "http" {
		return c.plain.RoundTrip(r)
	}
	return c.secure.RoundTrip(r)
}

// CloseIdleConnections is for http.Client.CloseIdleConnections.
func (c *chooser) CloseIdleConnections() {
	c.plain.CloseIdleConnections()
	c.secure.CloseIdleConnections()
}
