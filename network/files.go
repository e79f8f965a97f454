package network

import (
	"bytes"
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/json"
	"encoding/pem"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"github.com/openspine/openspine/fault"
)

// What a node keeps of itself, in files of a folder of its own beside its data. Keys are readable by their owner alone and leave
// the folder never: not over the network, and not in a backup.
const (
	nodeFile    = "node.pem"    // the key, its certificate and those between it and a root
	trustFile   = "trust.pem"   // the trusted roots, and the list of what holds no longer
	homeFile    = "home.json"   // which node this is, and where the authority is
	pendingFile = "pending.pem" // a key for which a certificate has been asked
)

const (
	blockKey   = "PRIVATE KEY"
	blockCert  = "CERTIFICATE"
	blockCross = "OPENSPINE CROSS CERTIFICATE"
	blockList  = "X509 CRL"
	maxFile    = 4 << 20
)

// home is which node this is, and where its authority is.
type home struct {
	Node      NodeID   `json:"node"`
	Authority NodeID   `json:"authority"`
	Addresses []string `json:"at,omitempty"` // of the authority; none when this is it
	Edition   int64    `json:"edition"`      // of what it knows of roots and revocations
}

// identity is what a node shows: its key and certificates.
type identity struct {
	key   crypto.Signer
	chain []*x509.Certificate // the node's own first; roots are left out
}

type folder string

func (f folder) path(name string) string { return filepath.Join(string(f), name) }

// write puts a file in its place whole or not at all, and returns when it is durable.
func (f folder) write(name string, text []byte) (err error) {
	if err := os.MkdirAll(string(f), 0o700); err != nil {
		return fault.Wrap(err, fault.Unavailable, "the folder %s cannot be made: %v", f, err)
	}
	defer func() {
		err = fault.Wrap(err, fault.Unavailable, "the file %s cannot be written: %v", f.path(name), err)
	}()
	t, err := os.CreateTemp(string(f), "."+name+"-") // 0600
	if err != nil {
		return err
	}
	_, err = t.Write(text)
	if err = errors.Join(err, t.Sync(), t.Close()); err == nil {
		err = os.Rename(t.Name(), f.path(name))
	}
	if err != nil {
		return errors.Join(err, os.Remove(t.Name()))
	}
	d, err := os.Open(string(f))
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// read is a file's text. Errors: fault.NotFound when there is none.
func (f folder) read(name string) ([]byte, error) {
	file, err := os.Open(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fault.Wrap(err, fault.NotFound, "there is no file %s", f.path(name))
	}
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "the file %s cannot be read: %v", f.path(name), err)
	}
	text, err := io.ReadAll(io.LimitReader(file, maxFile))
	return text, errors.Join(err, file.Close())
}

func (f folder) remove(name string) error {
	err := os.Remove(f.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

func (f folder) writeHome(h home) error {
	text, err := json.Marshal(h)
	if err != nil {
		return err
	}
	return f.write(homeFile, text)
}

func (f folder) readHome() (h home, err error) {
	text, err := f.read(homeFile)
	if err != nil {
		return h, err
	}
	if err := json.Unmarshal(text, &h); err != nil || h.Node.IsZero() || h.Authority.IsZero() {
		return h, fault.Wrap(errors.Join(err, errDamaged), fault.Unavailable, "the file %s is damaged: restore it, or join again with a new token", f.path(homeFile))
	}
	return h, nil
}

var errDamaged = errors.New("what it holds is not whole")

// newKey makes a key: ECDSA over P-256. Where a signature is made with it, and with which random numbers, is the standard library's.
func newKey() (crypto.Signer, error) { return ecdsa.GenerateKey(elliptic.P256(), rand.Reader) }

func encodeKey(key crypto.Signer) ([]byte, error) {
	der, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return nil, err
	}
	return pem.EncodeToMemory(&pem.Block{Type: blockKey, Bytes: der}), nil
}

func (f folder) writeIdentity(id identity) error {
	text, err := encodeKey(id.key)
	if err != nil {
		return err
	}
	return f.write(nodeFile, append(text, encodeCerts(blockCert, id.chain)...))
}

func encodeCerts(block string, certs []*x509.Certificate) []byte {
	var out bytes.Buffer
	for _, c := range certs {
		out.Write(pem.EncodeToMemory(&pem.Block{Type: block, Bytes: c.Raw}))
	}
	return out.Bytes()
}

// bundle is what a file of PEM blocks holds.
type bundle struct {
	key            crypto.Signer
	certs, crosses []*x509.Certificate
	list           *x509.RevocationList
}

func parseBundle(text []byte) (b bundle, err error) {
	for {
		var block *pem.Block
		if block, text = pem.Decode(text); block == nil {
			return b, nil
		}
		switch block.Type {
		case blockKey:
			key, err := x509.ParsePKCS8PrivateKey(block.Bytes)
			if err != nil {
				return b, err
			}
			signer, ok := key.(crypto.Signer)
			if !ok {
				return b, errDamaged
			}
			b.key = signer
		case blockList:
			if b.list, err = x509.ParseRevocationList(block.Bytes); err != nil {
				return b, err
			}
		case blockCert, blockCross:
			c, err := x509.ParseCertificate(block.Bytes)
			if err != nil {
				return b, err
			}
			if block.Type == blockCert {
				b.certs = append(b.certs, c)
			} else {
				b.crosses = append(b.crosses, c)
			}
		}
	}
}

func (f folder) readBundle(name string) (bundle, error) {
	text, err := f.read(name)
	if err != nil {
		return bundle{}, err
	}
	b, err := parseBundle(text)
	return b, fault.Wrap(err, fault.Unavailable, "the file %s is damaged: restore it, or join again with a new token", f.path(name))
}

func (f folder) readIdentity() (identity, error) {
	b, err := f.readBundle(nodeFile)
	if err == nil && (b.key == nil || len(b.certs) == 0) {
		err = fault.Wrap(errDamaged, fault.Unavailable, "the file %s is damaged: restore it, or join again with a new token", f.path(nodeFile))
	}
	return identity{b.key, b.certs}, err
}

func (f folder) writeTrust(t *trust) error {
	text := append(encodeCerts(blockCert, t.roots), encodeCerts(blockCross, t.crosses)...)
	if t.list != nil {
		text = append(text, pem.EncodeToMemory(&pem.Block{Type: blockList, Bytes: t.list.Raw})...)
	}
	return f.write(trustFile, text)
}

func (f folder) readTrust(edition int64) (*trust, error) {
	b, err := f.readBundle(trustFile)
	if err != nil {
		return nil, err
	}
	return newTrust(edition, b.certs, nil, b.crosses, b.list), nil
}

func newTrust(edition int64, roots, former, crosses []*x509.Certificate, list *x509.RevocationList) *trust {
	t := &trust{edition: edition, roots: roots, former: former, crosses: crosses, list: list, revoked: revokedIn(list)}
	return t
}

// pendingKey is the key for which a certificate is being asked, the same until there is an answer: whoever asks again after a lost reply
// gets the certificate that was made.
func (f folder) pendingKey() (crypto.Signer, error) {
	b, err := f.readBundle(pendingFile)
	if err == nil && b.key != nil {
		return b.key, nil
	}
	if err != nil && !fault.Is(err, fault.NotFound) {
		return nil, err
	}
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	text, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return key, f.write(pendingFile, text)
}
