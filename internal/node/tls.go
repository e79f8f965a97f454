package node

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"os"
	"path/filepath"
	"time"

	"github.com/openspine/openspine/fault"
)

// tlsConfig serves the configured certificate, or one that the node makes for itself and keeps beside its data, so that
// a client that trusted it once still does after a restart.
func (n *Node) tlsConfig() (*tls.Config, error) {
	certFile, keyFile := n.cfg.TLSCert, n.cfg.TLSKey
	if (certFile == "") != (keyFile == "") {
		return nil, fault.New(fault.Invalid, "tls-cert and tls-key go together: give both or neither")
	}
	if certFile == "" {
		certFile, keyFile = filepath.Join(n.cfg.Data, "tls-cert.pem"), filepath.Join(n.cfg.Data, "tls-key.pem")
		if err := n.selfSign(certFile, keyFile); err != nil {
			return nil, err
		}
	}
	cert, err := tls.LoadX509KeyPair(certFile, keyFile)
	if err != nil {
		return nil, fault.Wrap(err, fault.Invalid, "the certificate %s and its key cannot be read: %v", certFile, err)
	}
	c := &tls.Config{Certificates: []tls.Certificate{cert}, MinVersion: tls.VersionTLS12, NextProtos: []string{"h2", "http/1.1"}, Time: n.clock.Now}
	if n.cfg.MeshClientCA != "" {
		c.ClientAuth = tls.RequestClientCert // looked at where the programs of mailboxes call: people who read pages need none
	}
	return c, nil
}

// selfSign makes a certificate for loopback names unless a valid one is there.
func (n *Node) selfSign(certFile, keyFile string) error {
	if pair, err := tls.LoadX509KeyPair(certFile, keyFile); err == nil && pair.Leaf != nil && n.clock.Now().Before(pair.Leaf.NotAfter) {
		return nil
	}
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	serial, err := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 120))
	if err != nil {
		return err
	}
	now := n.clock.Now()
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: n.cfg.Name}, NotBefore: now.Add(-time.Hour), NotAfter: now.AddDate(1, 0, 0),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth}, BasicConstraintsValid: true,
		DNSNames: []string{"localhost"}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1), net.IPv6loopback}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		return err
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	if err := os.WriteFile(keyFile, pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: private}), 0o600); err != nil {
		return err
	}
	return os.WriteFile(certFile, pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o644)
}
