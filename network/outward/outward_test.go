package outward_test

import (
	"errors"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"testing"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network/outward"
)

func TestOnlyPublicAddresses(t *testing.T) {
	t.Parallel()
	for text, public := range map[string]bool{
		"93.184.216.34": true, "2606:2800:220:1:248:1893:25c8:1946": true, "127.0.0.1": false, "10.0.0.1": false, "172.16.9.1": false, "192.168.1.1": false, "169.254.169.254": false, "100.64.0.1": false,
		"0.0.0.0": false, "224.0.0.1": false, "255.255.255.255": false, "::1": false, "::": false, "fe80::1%eth0": false, "fd00::1": false, "::ffff:127.0.0.1": false, "::ffff:10.0.0.1": false,
		"64:ff9b::7f00:1": false, "2002:7f00:1::": false, "2001::1": false, "ff02::1": false, "198.18.0.1": false, "240.0.0.1": false,
	} {
		if got := outward.Public(netip.MustParseAddr(text)); got != public {
			t.Errorf("%s: public %v, want %v", text, got, public)
		}
	}
}

func TestAddressesThatAreEntered(t *testing.T) {
	t.Parallel()
	allow, err := outward.ParseAllow([]string{"10.9.0.0/16", "127.0.0.2"})
	if err != nil {
		t.Fatal(err)
	}
	o := outward.Options{Allow: allow}
	for text, good := range map[string]bool{
		"https://example.org/x?y=1": true, "https://93.184.216.34:8443/": true, "https://10.9.1.1/": true, "http://10.9.1.1/": true, "http://127.0.0.2/": true,
		"http://example.org/": false, "https://127.0.0.1/": false, "https://localhost/": false, "https://a.localhost./": false, "https://[::1]/": false, "https://[::ffff:10.0.0.1]/": false,
		"https://169.254.169.254/latest": false, "ftp://example.org/": false, "https://": false, "https://u:p@example.org/": false, "https://example.org/#x": false, "https://exa mple.org/": false, "": false, "//example.org": false,
	} {
		if err := o.Check(text); (err == nil) != good {
			t.Errorf("%s: %v", text, err)
		}
	}
	if _, err := outward.ParseAllow([]string{"home"}); !fault.Is(err, fault.Invalid) {
		t.Errorf("a range that is none: %v", err)
	}
}

// FuzzCheck: what is accepted names an address that the client itself would dial, or a name.
func FuzzCheck(f *testing.F) {
	for _, s := range []string{"https://example.org", "http://127.0.0.1", "https://[::ffff:127.0.0.1]:1/", "https://0x7f.1/", "https://2130706433/"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, raw string) {
		if (outward.Options{}).Check(raw) != nil {
			return
		}
		r, err := http.NewRequest(http.MethodPost, raw, nil)
		if err != nil {
			t.Fatalf("%q passes and is no address: %v", raw, err)
		}
		if a, err := netip.ParseAddr(r.URL.Hostname()); err == nil && !outward.Public(a) || r.URL.Scheme != "https" {
			t.Fatalf("%q passes", raw)
		}
	})
}

func TestTheGuardIsAtTheDial(t *testing.T) {
	t.Parallel()
	calls := 0
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		calls++
		http.Redirect(w, r, "http://127.0.0.1:1/", http.StatusFound)
	}))
	defer srv.Close()
	guarded := outward.Client(outward.Options{})
	defer guarded.CloseIdleConnections()
	resp, err := guarded.Get(srv.URL)
	if err == nil {
		resp.Body.Close()
		t.Fatal("a private address was called")
	}
	var refused *fault.Error
	if !errors.As(err, &refused) || refused.Kind() != fault.Forbidden || calls != 0 {
		t.Errorf("%v after %d calls", err, calls)
	}
	allow, err := outward.ParseAllow([]string{"127.0.0.0/8"})
	if err != nil {
		t.Fatal(err)
	}
	open := outward.Client(outward.Options{Allow: allow})
	defer open.CloseIdleConnections()
	resp, err = open.Get(srv.URL)
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if resp.StatusCode != http.StatusFound || calls != 1 {
		t.Errorf("a redirect was followed: %d", resp.StatusCode)
	}
}
