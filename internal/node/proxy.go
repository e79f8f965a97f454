package node

import (
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
)

// proxies are the addresses of those who pass requests on, and whose word is taken for where these come from.
type proxies []netip.Prefix

// proxies parses the addresses of the configuration. Errors: fault.Invalid.
func (c Config) proxies() (proxies, error) {
	var list proxies
	for _, text := range c.TrustedProxies {
		p, err := netip.ParsePrefix(text)
		if err != nil {
			var ip netip.Addr
			if ip, err = netip.ParseAddr(text); err == nil {
				p = netip.PrefixFrom(ip, ip.BitLen())
			}
		}
		switch {
		case err != nil || strings.Contains(text, "%") || p.Addr().Is4In6():
			return nil, fault.New(fault.Invalid, "trusted-proxies: %q is no address; write 10.1.2.3, 10.1.2.0/24 or 2001:db8::/32", text)
		case p.Bits() == 0:
			return nil, fault.New(fault.Invalid, "trusted-proxies: %s is everybody: whoever calls could then say that they are anybody else", text)
		}
		list = append(list, p.Masked())
	}
	return list, nil
}

func (p proxies) trust(ip netip.Addr) bool {
	return slices.ContainsFunc(p, func(prefix netip.Prefix) bool { return prefix.Contains(ip) })
}

// caller is where a request comes from, as http.Request.RemoteAddr: who connected, unless that is a trusted proxy. Then it is the last in
// X-Forwarded-For who is not one: what stands before that was written by whoever called, and is not believed. Something that is no address
// ends the search, with the last proxy.
func (p proxies) caller(r *http.Request) string {
	if len(p) == 0 {
		return r.RemoteAddr
	}
	peer, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil || !p.trust(plainAddr(peer.Addr())) {
		return r.RemoteAddr
	}
	at := plainAddr(peer.Addr())
	hops := strings.Split(strings.Join(r.Header.Values("X-Forwarded-For"), ","), ",")
	for _, hop := range slices.Backward(hops) {
		ip, ok := hopAddr(strings.TrimSpace(hop))
		if !ok {
			break
		}
		if at = ip; !p.trust(ip) {
			break
		}
	}
	return net.JoinHostPort(at.String(), "0")
}

func plainAddr(ip netip.Addr) netip.Addr { return ip.Unmap().WithZone("") }

// hopAddr reads one part of X-Forwarded-For: an address, in brackets or not, with a port or not.
func hopAddr(s string) (netip.Addr, bool) {
	if at, err := netip.ParseAddrPort(s); err == nil {
		return plainAddr(at.Addr()), true
	}
	ip, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(s, "["), "]"))
	return plainAddr(ip), err == nil
}
