package node_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/openspine/openspine/internal/node"
)

func TestDeliveriesAreReadFromTheConfiguration(t *testing.T) {
	c, err := configured(t, "deliveries:\n  - endpoint: lab\n    token-url: https://auth.example.com/token\n    client: spine\n    key-id: k1\n    key-file: /etc/k1.pem\n  - endpoint: clinic\n    token-file: /etc/token\n")
	want := []node.DeliveryConfig{{Endpoint: "lab", TokenURL: "https://auth.example.com/token", Client: "spine", KeyID: "k1", KeyFile: "/etc/k1.pem"}, {Endpoint: "clinic", TokenFile: "/etc/token"}}
	if err != nil || len(c.Deliveries) != 2 || c.Deliveries[0] != want[0] || c.Deliveries[1] != want[1] {
		t.Errorf("%+v (%v)", c.Deliveries, err)
	}
	for text, want := range map[string]string{
		"deliveries: 12":                      "deliveries must be a list",
		"deliveries: {endpoint: lab}":         "deliveries must be a list",
		"deliveries: [lab]":                   "deliveries[0] must be settings, one under another",
		"deliveries: [{endpoint: a}, 7]":      "deliveries[1] must be settings",
		"deliveries: [{endpoint: a, key: b}]": "deliveries[0]: unknown setting key; there are: address, ca-file, cert-file, cert-key-file, client, endpoint, key-file, key-id, token-file, token-url",
	} {
		if _, err := configured(t, text+"\n"); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, not %q", text, err, want)
		}
	}
}

// What a delivery names is read when the node opens: what cannot be used stops it there, and says which.
func TestABadDeliveryIsNamedAtTheStart(t *testing.T) {
	dir := t.TempDir()
	file := func(name, holds string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(holds), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	junk, two := file("junk.pem", "no certificate"), file("token", "one\ntwo\n")
	for want, d := range map[string]node.DeliveryConfig{
		"token-url must begin with https://, and needs client": {TokenURL: "http://auth.example.com", Client: "a", KeyFile: junk},
		"and needs client, key-id and key-file":                {TokenURL: "https://auth.example.com", KeyFile: junk},
		"cannot read key-file":                                 {TokenURL: "https://auth.example.com", Client: "a", KeyID: "b", KeyFile: filepath.Join(dir, "none")},
		"cannot read token-file":                               {TokenFile: filepath.Join(dir, "none")},
		"token-file holds no token, or more than one line":     {TokenFile: two},
		"cannot read ca-file":                                  {CAFile: filepath.Join(dir, "none")},
		"ca-file holds no certificate":                         {CAFile: junk},
		"cert-file and cert-key-file":                          {CertFile: junk, CertKeyFile: junk},
	} {
		cfg := config(t.TempDir())
		d.Endpoint = "lab"
		cfg.Deliveries = []node.DeliveryConfig{d}
		n, err := node.Open(t.Context(), cfg, node.Options{})
		if err == nil {
			_ = n.Close() // it must not have opened
		}
		if err == nil || !strings.Contains(err.Error(), want) || !strings.Contains(err.Error(), "lab") {
			t.Errorf("%+v: %v, not %q", d, err, want)
		}
	}
}
