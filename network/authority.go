package network

import (
	"context"
	"crypto"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"errors"
	"io"
	"maps"
	"math/big"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/ident"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/store"
)

// How long things last.
const (
	rootLife  = 15 * 365 * 24 * time.Hour
	tokenLife = 24 * time.Hour
	maxToLive = 7 * 24 * time.Hour // of a token
	// CertificateLife is for how long a node's certificate is good; it is renewed after two thirds of that.
	CertificateLife = 60 * 24 * time.Hour
	// RenewGrace is for how long after its end a certificate may still be renewed: a node that was cut off comes back by itself.
	RenewGrace = 30 * 24 * time.Hour
	// ExpiryAlarm is how long before its end a certificate that was not renewed is an alarm.
	ExpiryAlarm = 15 * 24 * time.Hour
	backdate    = time.Hour // by which certificates begin early, for clocks that are late
)

// Keys keep the authority's own keys. Files are the default; another implementation may leave them in a device, for only crypto.Signer
// is asked of them. Keys are named by what Make was given, and are never handed out.
type Keys interface {
	Make(name string) (crypto.Signer, error)
	Open(name string) (crypto.Signer, error)
	Remove(name string) error
}

// Authority is the programme's own certificate authority. It is where the node is on which it was founded.
type Authority struct {
	db    *store.DB
	gate  *access.Gate
	clock clock.Clock
	rand  io.Reader
	files folder
	keys  Keys
	life  time.Duration
	lane  store.Lane

	changing sync.Mutex // roots and what is revoked change one at a time
	known    atomic.Pointer[trust]
	issuer   atomic.Pointer[root]
	changed  func(*trust) // told of each new edition
}

// root is a certificate under which the authority signs or signed.
type root struct {
	cert, crossed *x509.Certificate
	state         string
	since         time.Time
}

// States of a root.
const (
	rootNext    = "next"
	rootIssuing = "issuing"
	rootOld     = "old"
	rootRetired = "retired"
)

func (r root) key() string { return hexSum(r.cert.RawSubjectPublicKeyInfo) }

// Found makes the programme's authority on this node: its first root, and this node's own certificate. others are organisations that the node
// speaks for beside its own; addresses are where other nodes dial it. Errors: fault.Conflict when the node belongs to a network already.
func (n *Network) Found(ctx context.Context, by access.Principal, node NodeID, others []ident.ODSCode, addresses []string) error {
	n.joining.Lock()
	defer n.joining.Unlock()
	if n.home.Load() != nil {
		return fault.New(fault.Conflict, "This node is %s of a network already.", n.Self())
	}
	for _, a := range addresses {
		if err := checkAddress(a); err != nil {
			return err
		}
	}
	a := n.newAuthority()
	if err := a.firstRoot(ctx, by, node); err != nil {
		return err
	}
	peer := Peer{Node: node, Organisations: organisationsOf(node, others), Authority: true}
	id, err := a.certifySelf(ctx, peer)
	if err != nil {
		return err
	}
	h := home{Node: node, Authority: node, Addresses: addresses, Edition: a.known.Load().edition}
	if err := errors.Join(n.files.writeIdentity(id), n.files.writeTrust(a.known.Load()), n.files.writeHome(h)); err != nil {
		return err
	}
	return n.settle(ctx)
}

// firstRoot makes the root, unless a founding that was broken off has made it.
func (a *Authority) firstRoot(ctx context.Context, by access.Principal, node NodeID) error {
	if err := a.load(ctx); err != nil {
		return err
	}
	if a.issuer.Load() == nil {
		cert, err := a.makeRoot(node)
		if err != nil {
			return err
		}
		err = a.db.Write(ctx, a.lanes(by, node), func(tx *store.Tx) error {
			if err := a.putRoot(tx, root{cert: cert, state: rootIssuing}); err != nil {
				return err
			}
			return a.note(ctx, tx, by, node, "founded", "root "+fingerprint(cert)[:16], "the authority of the programme")
		})
		if err := errors.Join(err, a.load(ctx)); err != nil {
			return err
		}
	}
	return a.revise(ctx)
}

func organisationsOf(node NodeID, others []ident.ODSCode) []ident.ODSCode {
	all := []ident.ODSCode{node.Organisation()}
	for _, o := range others {
		if !slices.Contains(all, o) {
			all = append(all, o)
		}
	}
	return all
}

func (a *Authority) lanes(by access.Principal, node NodeID) []store.Lane {
	return append(a.gate.ChangeLanes(by, nodeSubject(node)), a.lane)
}

// nodeSubject names a node in the history of what was changed.
func nodeSubject(node NodeID) string { return "node/" + node.String() }

func (a *Authority) note(ctx context.Context, tx *store.Tx, by access.Principal, node NodeID, act, detail, reason string) error {
	return a.gate.NoteChange(ctx, tx, by, access.Change{Subject: nodeSubject(node), Act: act, Detail: detail, Reason: strings.TrimSpace(reason)})
}

// load reads the roots and what is revoked.
func (a *Authority) load(ctx context.Context) error {
	var roots []root
	var edition int64
	var list []byte
	err := a.db.Read(ctx, func(tx *store.Tx) error {
		var err error
		if roots, err = a.rootsIn(tx); err != nil {
			return err
		}
		err = tx.QueryRow(`SELECT edition, revoked FROM network_news WHERE lane = ?`, a.lane).Scan(&edition, &list)
		if fault.Is(err, fault.NotFound) {
			edition, list, err = 0, nil, nil
		}
		return err
	})
	if err != nil {
		return err
	}
	t := &trust{edition: edition}
	for _, r := range roots {
		if r.state == rootRetired {
			t.former = append(t.former, r.cert)
		} else {
			t.roots = append(t.roots, r.cert)
		}
		if r.crossed != nil {
			t.crosses = append(t.crosses, r.crossed)
		}
		if r.state == rootIssuing {
			a.issuer.Store(&r)
		}
	}
	if list != nil {
		if t.list, err = x509.ParseRevocationList(list); err != nil {
			return fault.Wrap(err, fault.Internal, "the list of what is revoked is damaged")
		}
	}
	if t.revoked, err = a.marked(ctx); err != nil {
		return err
	}
	maps.Copy(t.revoked, revokedIn(t.list))
	a.known.Store(t)
	return nil
}

func (a *Authority) rootsIn(tx *store.Tx) (all []root, err error) {
	rows, err := tx.Query(`SELECT state, since, cert, crossed FROM network_root WHERE lane = ? ORDER BY since, fingerprint`, a.lane)
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	for rows.Next() {
		var r root
		var cert, crossed []byte
		var since int64
		if err := rows.Scan(&r.state, &since, &cert, &crossed); err != nil {
			return nil, err
		}
		r.since = time.UnixMicro(since).UTC()
		if r.cert, err = x509.ParseCertificate(cert); err != nil {
			return nil, err
		}
		if len(crossed) > 0 {
			if r.crossed, err = x509.ParseCertificate(crossed); err != nil {
				return nil, err
			}
		}
		all = append(all, r)
	}
	return all, rows.Err()
}

func (a *Authority) putRoot(tx *store.Tx, r root) error {
	crossed := []byte{}
	if r.crossed != nil {
		crossed = r.crossed.Raw
	}
	_, err := tx.Exec(`INSERT INTO network_root (lane, fingerprint, state, since, cert, crossed) VALUES (?, ?, ?, ?, ?, ?)`,
		a.lane, fingerprint(r.cert), r.state, tx.At(), r.cert.Raw, crossed)
	return err
}

func (a *Authority) serial() (*big.Int, error) {
	b := make([]byte, 16)
	if _, err := io.ReadFull(a.rand, b); err != nil {
		return nil, err
	}
	b[0] = b[0]&0x7f | 0x40 // positive, and always as long
	return new(big.Int).SetBytes(b), nil
}

// makeRoot makes a key and a certificate of it by itself; node is whose authority it is.
func (a *Authority) makeRoot(node NodeID) (*x509.Certificate, error) {
	serial, err := a.serial()
	if err != nil {
		return nil, err
	}
	now := a.clock.Now()
	keyName := "root-" + serial.Text(16)[:12]
	key, err := a.keys.Make(keyName)
	if err != nil {
		return nil, err
	}
	template := rootTemplate(node, serial, keyName, now)
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// rootTemplate is what a root says. Its subject's serial number is the name of its key.
func rootTemplate(node NodeID, serial *big.Int, keyName string, now time.Time) *x509.Certificate {
	return &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: "OpenSpine authority of " + node.String(), SerialNumber: keyName},
		NotBefore: now.Add(-backdate), NotAfter: now.Add(rootLife), KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign,
		BasicConstraintsValid: true, IsCA: true, MaxPathLen: 1}
}

// signer is the key of a root.
func (a *Authority) signer(r *root) (crypto.Signer, error) {
	return a.keys.Open(r.cert.Subject.SerialNumber)
}

// certify makes a certificate of key for p, under the root that signs at present. It is not given out before it is kept.
func (a *Authority) certify(p Peer, key crypto.PublicKey) (*x509.Certificate, error) {
	r := a.issuer.Load()
	if r == nil {
		return nil, fault.New(fault.Unavailable, "the authority has no root to sign with")
	}
	signer, err := a.signer(r)
	if err != nil {
		return nil, err
	}
	serial, err := a.serial()
	if err != nil {
		return nil, err
	}
	now := a.clock.Now()
	template := &x509.Certificate{SerialNumber: serial, Subject: pkix.Name{CommonName: p.Node.String()}, NotBefore: now.Add(-backdate), NotAfter: now.Add(a.life),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth, x509.ExtKeyUsageServerAuth},
		BasicConstraintsValid: true, URIs: p.uris()}
	der, err := x509.CreateCertificate(rand.Reader, template, r.cert, key, signer)
	if err != nil {
		return nil, err
	}
	return x509.ParseCertificate(der)
}

// chainOf is what the holder of a certificate shows with it: also what ties its root to the one before.
func (a *Authority) chainOf(c *x509.Certificate) []*x509.Certificate {
	return append([]*x509.Certificate{c}, a.known.Load().crosses...)
}

// keep writes down a certificate that is about to be given out.
func (a *Authority) keep(tx *store.Tx, c *x509.Certificate, node NodeID) error {
	_, err := tx.Exec(`INSERT INTO network_certificate (lane, serial, node, asked, root, since, until, revoked, der) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?)`,
		a.lane, c.SerialNumber.Text(16), node.String(), hexSum(c.RawSubjectPublicKeyInfo), a.issuer.Load().key(), c.NotBefore, c.NotAfter, c.Raw)
	return err
}

// certifySelf makes a key and a certificate for the authority's own node.
func (a *Authority) certifySelf(ctx context.Context, p Peer) (identity, error) {
	key, err := newKey()
	if err != nil {
		return identity{}, err
	}
	c, err := a.certify(p, key.Public())
	if err != nil {
		return identity{}, err
	}
	err = a.db.Write(ctx, []store.Lane{a.lane}, func(tx *store.Tx) error {
		if err := a.enter(tx, p, c.SerialNumber.Text(16)); err != nil {
			return err
		}
		return a.keep(tx, c, p.Node)
	})
	return identity{key, a.chainOf(c)}, err
}

// enter puts a node among the members, or brings what is known of it up to date.
func (a *Authority) enter(tx *store.Tx, p Peer, serial string) error {
	_, err := tx.Exec(`INSERT INTO network_node (lane, node, organisations, joined, revoked, reason, trusts, serial) VALUES (?, ?, ?, ?, 0, '', '', ?)
		ON CONFLICT (lane, node) DO UPDATE SET organisations = excluded.organisations, revoked = 0, reason = '', serial = excluded.serial`,
		a.lane, p.Node.String(), joinCodes(p.Organisations), tx.At(), serial)
	return err
}

func joinCodes(codes []ident.ODSCode) string {
	words := make([]string, len(codes))
	for i, c := range codes {
		words[i] = c.String()
	}
	return strings.Join(words, " ")
}

func splitCodes(s string) (codes []ident.ODSCode, err error) {
	for word := range strings.FieldsSeq(s) {
		c, err := ident.ParseODSCode(word)
		if err != nil {
			return nil, err
		}
		codes = append(codes, c)
	}
	return codes, nil
}

// fileKeys keeps keys in files that only their owner can read.
type fileKeys struct{ folder folder }

// Make makes a key and keeps it.
func (k fileKeys) Make(name string) (crypto.Signer, error) {
	key, err := newKey()
	if err != nil {
		return nil, err
	}
	text, err := encodeKey(key)
	if err != nil {
		return nil, err
	}
	return key, k.folder.write(name+".pem", text)
}

// Open is a key that was made. Errors: fault.NotFound.
func (k fileKeys) Open(name string) (crypto.Signer, error) {
	if strings.ContainsAny(name, `/\`) {
		return nil, fault.New(fault.Invalid, "no key is called so")
	}
	b, err := k.folder.readBundle(name + ".pem")
	if err == nil && b.key == nil {
		err = fault.New(fault.Unavailable, "the key of the authority is not in its file")
	}
	return b.key, err
}

// Remove forgets a key that signs no longer.
func (k fileKeys) Remove(name string) error { return k.folder.remove(name + ".pem") }

// movingKeys makes keys in a device and finds those that were made in files before, so that a rollover moves an authority into its device.
type movingKeys struct {
	Keys
	before fileKeys
}

// Open is a key of the device, or one in a file.
func (k movingKeys) Open(name string) (crypto.Signer, error) {
	key, err := k.Keys.Open(name)
	if fault.Is(err, fault.NotFound) {
		if old, oldErr := k.before.Open(name); oldErr == nil {
			return old, nil
		}
	}
	return key, err
}

// Remove forgets a key wherever it is.
func (k movingKeys) Remove(name string) error {
	return errors.Join(k.Keys.Remove(name), k.before.Remove(name))
}

func randomHex(r io.Reader, n int) (string, error) {
	b := make([]byte, n)
	_, err := io.ReadFull(r, b)
	return hex.EncodeToString(b), err
}
