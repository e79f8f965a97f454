package mesh

import (
	"crypto/sha256"
	"crypto/x509"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/openspine/openspine/fault"
)

// Certificates checks the client certificates of programs. A nil one asks for none, unless a mailbox names its own.
type Certificates struct{ roots *x509.CertPool }

// NewCertificates trusts what the authorities in a PEM file have signed. Error: fault.Invalid.
func NewCertificates(pem []byte) (*Certificates, error) {
	c := &Certificates{x509.NewCertPool()}
	if !c.roots.AppendCertsFromPEM(pem) {
		return nil, fault.New(fault.Invalid, "the file holds no certificate of an authority (PEM)")
	}
	return c, nil
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
	if _, err := leaf.Verify(x509.VerifyOptions{Roots: c.roots, Intermediates: between, CurrentTime: now, KeyUsages: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}}); err != nil {
		return fault.Wrap(err, fault.Forbidden, "The client certificate was not given by an authority that this node trusts: use the one that was given to your organisation.")
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
