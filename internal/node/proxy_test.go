package node

import (
	"net/http"
	"net/netip"
	"strings"
	"testing"
)

func trusting(t testing.TB, list ...string) proxies {
	t.Helper()
	p, err := Config{TrustedProxies: list}.proxies()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

func TestACallerIsKnownBehindTrustedProxiesOnly(t *testing.T) {
	p := trusting(t, "10.1.0.0/16", "2001:db8::7")
	for _, c := range []struct{ peer, forwarded, want string }{
		{"203.0.113.9:4711", "", "203.0.113.9:4711"},
		{"203.0.113.9:4711", "198.51.100.4", "203.0.113.9:4711"},                              // nobody's word but a proxy's
		{"10.1.0.3:80", "198.51.100.4", "198.51.100.4:0"},                                     //
		{"10.1.0.3:80", "198.51.100.4, 10.1.0.9", "198.51.100.4:0"},                           // two proxies
		{"10.1.0.3:80", "192.0.2.1, 198.51.100.4", "198.51.100.4:0"},                          // what a caller wrote is not believed
		{"10.1.0.3:80", "10.1.0.9, 198.51.100.4", "198.51.100.4:0"},                           // nor when it names a proxy
		{"[2001:db8::7]:80", "2001:db8:5::1", "[2001:db8:5::1]:0"},                            //
		{"[::ffff:10.1.0.3]:80", "[2001:db8:5::1]:443, 198.51.100.4:50", "198.51.100.4:0"},    // with ports
		{"10.1.0.3:80", "::ffff:198.51.100.4", "198.51.100.4:0"},                              //
		{"10.1.0.3:80", "198.51.100.4, unknown, 10.1.0.9", "10.1.0.9:0"},                      // where the trail ends
		{"10.1.0.3:80", "", "10.1.0.3:0"},                                                     // a proxy that says nothing
		{"10.1.0.3:80", "198.51.100.4\n203.0.113.5", "203.0.113.5:0"},                         // two lines
		{"@", "198.51.100.4", "@"},                                                            //
		{"10.1.0.3:80", "10.1.0.8,10.1.0.9", "10.1.0.8:0"},                                    // a proxy's own request
		{"10.2.0.3:80", "198.51.100.4", "10.2.0.3:80"},                                        // next door to one
		{"[2001:db8::8]:80", "198.51.100.4", "[2001:db8::8]:80"},                              //
		{"10.1.0.3:80", strings.Repeat("x", 4096) + ", 198.51.100.4,,10.1.0.9", "10.1.0.9:0"}, // an empty part is no address
	} {
		r := &http.Request{RemoteAddr: c.peer, Header: http.Header{}}
		for _, line := range strings.Split(c.forwarded, "\n") {
			r.Header.Add("X-Forwarded-For", line)
		}
		if got := p.caller(r); got != c.want {
			t.Errorf("%s with %.60q is %s, not %s", c.peer, c.forwarded, got, c.want)
		}
	}
	r := &http.Request{RemoteAddr: "10.1.0.3:80", Header: http.Header{"X-Forwarded-For": {"198.51.100.4"}}}
	if got := proxies(nil).caller(r); got != r.RemoteAddr {
		t.Errorf("without trusted proxies: %s", got)
	}
}

func TestTrustedProxiesAreAddresses(t *testing.T) {
	for text, want := range map[string]string{"proxy.example": "is no address", "10.0.0.0/40": "is no address", "fe80::1%eth0": "is no address", "0.0.0.0/0": "is everybody", "::/0": "is everybody"} {
		if _, err := (Config{TrustedProxies: []string{text}}).proxies(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, not %q", text, err, want)
		}
	}
}

// FuzzForwarded holds whatever is forwarded to: nobody but a trusted proxy says where a request comes from, and what comes of it is an
// address that the last trusted proxy named, or a proxy's own.
func FuzzForwarded(f *testing.F) {
	f.Add("10.1.0.3:80", "198.51.100.4, 10.1.0.9")
	f.Add("203.0.113.9:1", "10.1.0.3")
	f.Add("[2001:db8::7]:80", "[2001:db8:5::1]:443,,x")
	p := trusting(f, "10.1.0.0/16", "2001:db8::7")
	f.Fuzz(func(t *testing.T, peer, forwarded string) {
		got := p.caller(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {forwarded}}})
		at, err := netip.ParseAddrPort(peer)
		if err != nil || !p.trust(plainAddr(at.Addr())) {
			if got != peer {
				t.Fatalf("%q said that it is %q", peer, got)
			}
			return
		}
		named, err := netip.ParseAddrPort(got)
		if err != nil {
			t.Fatalf("%q is no address: %v", got, err)
		}
		if p.trust(named.Addr()) {
			return
		}
		// The caller's own prefix changes nothing.
		more := p.caller(&http.Request{RemoteAddr: peer, Header: http.Header{"X-Forwarded-For": {"192.0.2.77", forwarded}}})
		if more != got {
			t.Fatalf("what a caller wrote first made %q of %q", more, got)
		}
	})
}
