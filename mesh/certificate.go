package mesh

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/openspine/openspine/fault"
)

// Certificates checks the client certificates of programs. A nil one asks for none, unless a mailbox names its own. It is safe for concurrent use.
type Certificates struct {
	roots       *x509.CertPool
	authorities []*x509.Certificate

	lists   string // a file of revocation lists; empty for none
	mu      sync.Mutex
	read    os.FileInfo     // of the file when it was read last
	revoked map[string]bool // by serialOf
}

// NewCertificates trusts what the authorities in a PEM file have signed. Error: fault.Invalid.
func NewCertificates(file []byte) (*Certificates, error) {
	c := &Certificates{roots: x509.NewCertPool()}
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "CERTIFICATE" {
			continue
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "the file holds a certificate that cannot be read")
		}
		c.roots.AddCert(cert)
		c.authorities = append(c.authorities, cert)
	}
	if len(c.authorities) == 0 {
		return nil, fault.New(fault.Invalid, "the file holds no certificate of an authority (PEM)")
	}
	return c, nil
}

// Revoked refuses from now on what the revocation lists in a file name (PEM, X509 CRL; RFC 5280 section 5), each signed by one of the authorities. The file is read again when it changes; while it
// cannot be read, what it said before holds. Error: fault.Invalid when it cannot be read now.
func (c *Certificates) Revoked(file string) error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.lists = file
	return c.again()
}

// again reads the revocation lists if their file is another than it was.
func (c *Certificates) again() error {
	info, err := os.Stat(c.lists)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the file of revocation lists cannot be read")
	}
	if c.read != nil && os.SameFile(c.read, info) && c.read.ModTime().Equal(info.ModTime()) && c.read.Size() == info.Size() {
		return nil
	}
	file, err := os.ReadFile(c.lists)
	if err != nil {
		return fault.Wrap(err, fault.Invalid, "the file of revocation lists cannot be read")
	}
	revoked, err := c.parse(file)
	if err == nil {
		c.revoked, c.read = revoked, info
	}
	return err
}

// parse is what the revocation lists of a file name. Error: fault.Invalid, also for a list that none of the authorities has signed.
func (c *Certificates) parse(file []byte) (map[string]bool, error) {
	revoked, lists := map[string]bool{}, 0
	for block, rest := pem.Decode(file); block != nil; block, rest = pem.Decode(rest) {
		if block.Type != "X509 CRL" {
			continue
		}
		list, err := x509.ParseRevocationList(block.Bytes)
		if err != nil {
			return nil, fault.Wrap(err, fault.Invalid, "a revocation list cannot be read")
		}
		if !slices.ContainsFunc(c.authorities, func(a *x509.Certificate) bool { return list.CheckSignatureFrom(a) == nil }) {
			return nil, fault.New(fault.Invalid, "a revocation list was signed by none of the authorities")
		}
		lists++
		for _, e := range list.RevokedCertificateEntries {
			revoked[serialOf(list.RawIssuer, e.SerialNumber)] = true
		}
	}
	if lists == 0 {
		return nil, fault.New(fault.Invalid, "the file holds no revocation list (PEM)")
	}
	return revoked, nil
}

// serialOf is a certificate by who gave it, and its number.
func serialOf(issuer []byte, serial *big.Int) string {
	return string(issuer) + "\x00" + serial.String()
}

// isRevoked reports whether a certificate of a chain was revoked by who gave it.
func (c *Certificates) isRevoked(chains [][]*x509.Certificate) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.lists == "" {
		return false
	}
	_ = c.again() // what was read before holds
	return slices.ContainsFunc(chains, func(chain []*x509.Certificate) bool {
		return slices.ContainsFunc(chain, func(cert *x509.Certificate) bool { return c.revoked[serialOf(cert.RawIssuer, cert.SerialNumber)] })
	})
}

// trusted refuses a connection whose client certificate is missing, has run out or was signed by somebody else.
func (c *Certificates) trusted(r *http.Request, now time.Time) error {
	if c == nil || r.TLS == nil {
		return nil
	}
	if len(r.TLS.PeerCertificates) == 0 {
		return fault.New(fault.Forbidden, "A client certificate is needed: configure your program with the one that was given to your organisation.")
	}
	between := x509.NewCertPool()
	for _, cert := range r.TLS.PeerCertificates[1:] {
		between.AddCert(cert)
	}
	leaf := r.TLS.PeerCertificates[0]
	if now.After(leaf.NotAfter) {
		return fault.New(fault.Forbidden, "The client certificate has run out: ask the administrator of this node for another.")
	}
	chains, err := leaf.Verify(x509.VerifyOptions{Roots: c.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}})
	if err != nil {
		return fault.Wrap(err, fault.Forbidden, "The client certificate was not given by an authority that this node trusts: use the one that was given to your organisation.")
	}
	if c.isRevoked(chains) {
		return fault.New(fault.Forbidden, "The client certificate has been revoked by who gave it: ask the administrator of this node for another.")
	}
	return nil
}

// commonName is how the names of MESH certificates end: local_id.ods_code.api.mesh-client.nhs.uk (published: "Get a TLS certificate").
const commonName = ".api.mesh-client.nhs.uk"

// organisationOf is the ODS code in a certificate's name; ok is false when it has another form.
func organisationOf(name string) (ods string, ok bool) {
	rest, ok := strings.CutSuffix(strings.ToLower(name), commonName)
	if !ok {
		return "", false
	}
	i := strings.LastIndexByte(rest, '.')
	if i <= 0 || i == len(rest)-1 {
		return "", false
	}
	return strings.ToUpper(rest[i+1:]), true
}

// owned refuses a certificate that is another organisation's than the mailbox's, or not the one that the mailbox names.
func (c *Certificates) owned(r *http.Request, b *Mailbox, _ time.Time) error {
	if r.TLS == nil || c == nil && b.Certificate == "" {
		return nil
	}
	if len(r.TLS.PeerCertificates) == 0 {
		return fault.New(fault.Forbidden, "A client certificate is needed: configure your program with the one that was given to your organisation.")
	}
	leaf := r.TLS.PeerCertificates[0]
	if b.Certificate != "" {
		if sum := sha256.Sum256(leaf.Raw); hex.EncodeToString(sum[:]) != b.Certificate {
			return fault.New(fault.Forbidden, "The client certificate is not the one of this mailbox: use the one that was given for it.")
		}
		return nil
	}
	if ods, ok := organisationOf(leaf.Subject.CommonName); !ok || ods != b.ODS.String() {
		return fault.New(fault.Forbidden, "The client certificate is not one of the organisation that this mailbox belongs to: its name must be LOCAL.%s%s.", b.ODS, commonName)
	}
	return nil
}
