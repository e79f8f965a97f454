package node

import (
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"maps"
	"os"
	"slices"
	"strings"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network/outward"
	"github.com/openspine/openspine/postroom"
)

// DeliveryConfig is how this node shows a third party, to whom it delivers post, who it is.
type DeliveryConfig struct {
	Endpoint                         string // the id of the Endpoint in the directory
	Address                          string // where it is; empty where the directory says it
	TokenURL, Client, KeyID, KeyFile string // OAuth 2 client credentials with a signed JWT
	TokenFile                        string // a token that is shown as it is
	CertFile, CertKeyFile, CAFile    string // a client certificate, and the authorities of the third party's
}

func deliveryFields(c *DeliveryConfig) map[string]*string {
	return map[string]*string{"endpoint": &c.Endpoint, "address": &c.Address, "token-url": &c.TokenURL, "client": &c.Client, "key-id": &c.KeyID, "key-file": &c.KeyFile,
		"token-file": &c.TokenFile, "cert-file": &c.CertFile, "cert-key-file": &c.CertKeyFile, "ca-file": &c.CAFile}
}

// DeliverySettings are the keys that a delivery may have in a configuration file.
func DeliverySettings() []string {
	return slices.Sorted(maps.Keys(deliveryFields(new(DeliveryConfig))))
}

// readDeliveries reads what stands below deliveries. A key that it does not know is refused by name.
func readDeliveries(path string, raw any) ([]DeliveryConfig, error) {
	if raw == nil {
		return nil, nil
	}
	list, ok := raw.([]any)
	if !ok {
		return nil, fault.New(fault.Invalid, "%s: deliveries must be a list", path)
	}
	all := make([]DeliveryConfig, len(list))
	for i, item := range list {
		entry, ok := item.(map[string]any)
		if !ok {
			return nil, fault.New(fault.Invalid, "%s: deliveries[%d] must be settings, one under another", path, i)
		}
		fields := deliveryFields(&all[i])
		for _, key := range slices.Sorted(maps.Keys(entry)) {
			at, known := fields[key]
			if !known {
				return nil, fault.New(fault.Invalid, "%s: deliveries[%d]: unknown setting %s; there are: %s", path, i, key, strings.Join(DeliverySettings(), ", "))
			}
			*at = fmt.Sprint(entry[key])
		}
	}
	return all, nil
}

// deliveries are the accesses to third parties that are configured.
func (n *Node) deliveries() ([]postroom.Access, error) {
	var all []postroom.Access
	for _, c := range n.cfg.Deliveries {
		a, err := c.access()
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "deliveries: %s: %s", c.Endpoint, fault.MessageOf(err))
		}
		all = append(all, a)
	}
	return all, nil
}

func (c DeliveryConfig) access() (a postroom.Access, err error) {
	a.Endpoint, a.Address = c.Endpoint, c.Address
	read := func(setting, file string) []byte {
		text, rerr := os.ReadFile(file)
		if rerr != nil && err == nil {
			err = fault.Wrap(rerr, fault.Invalid, "cannot read %s: %v", setting, rerr)
		}
		return text
	}
	if c.TokenURL != "" {
		if !strings.HasPrefix(c.TokenURL, "https://") || c.Client == "" || c.KeyFile == "" {
			return a, fault.New(fault.Invalid, "token-url must begin with https://, and needs client, key-id and key-file")
		}
		a.OAuth = &outward.OAuth{TokenURL: c.TokenURL, ID: c.Client, KeyID: c.KeyID, Key: read("key-file", c.KeyFile)}
	}
	if c.TokenFile != "" {
		if a.Token = strings.TrimSpace(string(read("token-file", c.TokenFile))); err == nil && (a.Token == "" || strings.ContainsFunc(a.Token, func(r rune) bool { return r <= ' ' || r > '~' })) {
			return a, fault.New(fault.Invalid, "token-file holds no token, or more than one line")
		}
	}
	if c.CAFile != "" {
		a.Roots = x509.NewCertPool()
		if !a.Roots.AppendCertsFromPEM(read("ca-file", c.CAFile)) && err == nil {
			err = fault.New(fault.Invalid, "ca-file holds no certificate")
		}
	}
	if c.CertFile != "" && err == nil {
		pair, perr := tls.LoadX509KeyPair(c.CertFile, c.CertKeyFile)
		if perr != nil {
			return a, fault.Wrap(perr, fault.Invalid, "cert-file and cert-key-file: %v", perr)
		}
		a.Certificate = &pair
	}
	return a, err
}
