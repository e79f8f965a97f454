package mesh_test

import (
	"bytes"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/hex"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"reflect"
	"strings"
	"testing"
	"time"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/internal/clock"
	"github.com/openspine/openspine/mesh"
)

// authority gives client certificates.
type authority struct {
	t    *testing.T
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newAuthority(t *testing.T) *authority {
	t.Helper()
	a := &authority{t: t, dir: t.TempDir()}
	a.cert, a.key = a.make("ca", &x509.Certificate{Subject: pkix.Name{CommonName: "test authority"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign})
	a.revokes(1)
	return a
}

// make makes a certificate and writes it with its key into the authority's folder.
func (a *authority) make(file string, template *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	a.t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		a.t.Fatal(err)
	}
	if template.SerialNumber, err = rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 100)); err != nil {
		a.t.Fatal(err)
	}
	if template.NotBefore.IsZero() {
		template.NotBefore, template.NotAfter = time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	}
	parent, signer := template, key
	if a.cert != nil {
		parent, signer = a.cert, a.key
	}
	der, err := x509.CreateCertificate(rand.Reader, template, parent, &key.PublicKey, signer)
	if err != nil {
		a.t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		a.t.Fatal(err)
	}
	for name, block := range map[string]*pem.Block{file + ".pem": {Type: "CERTIFICATE", Bytes: der}, file + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(filepath.Join(a.dir, name), pem.EncodeToMemory(block), 0o600); err != nil {
			a.t.Fatal(err)
		}
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		a.t.Fatal(err)
	}
	return cert, key
}

// client makes a client certificate for a name.
func (a *authority) client(file, name string, template x509.Certificate) *x509.Certificate {
	a.t.Helper()
	template.Subject, template.KeyUsage, template.ExtKeyUsage = pkix.Name{CommonName: name}, x509.KeyUsageDigitalSignature, []x509.ExtKeyUsage{x509.ExtKeyUsageClientAuth}
	cert, _ := a.make(file, &template)
	return cert
}

// overTLS is a world that is reached over TLS alone, with client certificates.
func overTLS(t *testing.T, a *authority) *world {
	t.Helper()
	cfg := config(t.TempDir())
	cfg.Open, cfg.TLSAddr, cfg.MeshClientCA = false, "127.0.0.1:0", filepath.Join(a.dir, "ca.pem")
	cfg.MeshClientCRL = filepath.Join(a.dir, "crl.pem")
	w := openedAt(t, cfg, clock.System())
	w.clock = clock.NewFake(time.Now())
	if err := w.o.Demo(t.Context()); err != nil {
		t.Fatal(err)
	}
	return w
}

// with asks for an inbox over TLS with a certificate of the authority's folder; none for "".
func (w *world) with(a *authority, file, mailbox string) answer {
	w.t.Helper()
	pool := x509.NewCertPool()
	text, err := os.ReadFile(filepath.Join(w.data, "tls-cert.pem"))
	if err != nil || !pool.AppendCertsFromPEM(text) {
		w.t.Fatal("no certificate of the node", err)
	}
	c := &tls.Config{RootCAs: pool}
	if file != "" {
		pair, err := tls.LoadX509KeyPair(filepath.Join(a.dir, file+".pem"), filepath.Join(a.dir, file+".key"))
		if err != nil {
			w.t.Fatal(err)
		}
		c.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
	}
	w.client, w.url = &http.Client{Transport: &http.Transport{TLSClientConfig: c}}, w.n.SecureURL()
	defer w.client.CloseIdleConnections()
	return w.as(mailbox, "GET", "/"+mailbox+"/inbox", "")
}

// A program shows a certificate of its own organisation, good now and given by whom the node trusts; plain HTTP is not spoken.
func TestAClientCertificateIsTheOrganisationsOwn(t *testing.T) {
	t.Parallel()
	a, stranger := newAuthority(t), newAuthority(t)
	w := overTLS(t, a)
	good := a.client("good", "SERVER001.X26.api.mesh-client.nhs.uk", x509.Certificate{})
	a.client("second", "SERVER002.X26.api.mesh-client.nhs.uk", x509.Certificate{})
	a.client("other", "SERVER001.X27.api.mesh-client.nhs.uk", x509.Certificate{})
	a.client("unnamed", "X26", x509.Certificate{})
	a.client("old", "SERVER001.X26.api.mesh-client.nhs.uk", x509.Certificate{NotBefore: time.Now().Add(-48 * time.Hour), NotAfter: time.Now().Add(-24 * time.Hour)})
	lost := a.client("lost", "SERVER003.X26.api.mesh-client.nhs.uk", x509.Certificate{})
	stranger.client("forged", "SERVER001.X26.api.mesh-client.nhs.uk", x509.Certificate{})
	if a := w.as(first, "GET", "/"+first+"/inbox", ""); a.status != http.StatusForbidden || !strings.Contains(a.body, "over TLS") {
		t.Errorf("plain HTTP is answered %v", a)
	}
	refused := func(a *authority, file, says string) {
		t.Helper()
		if got := w.with(a, file, first); got.status != http.StatusForbidden || !strings.Contains(got.body, says) {
			t.Errorf("%s is answered %v, want 403 and %q", file, got, says)
		}
	}
	if got := w.with(a, "good", first); got.status != http.StatusOK {
		t.Errorf("the right certificate is answered %v", got)
	}
	refused(a, "", "client certificate is needed")
	refused(a, "other", "not one of the organisation")
	refused(a, "unnamed", "not one of the organisation")
	refused(a, "old", "run out")
	refused(stranger, "forged", "authority that this node trusts")
	if got := w.with(a, "lost", first); got.status != http.StatusOK {
		t.Errorf("before it is revoked, a certificate is answered %v", got)
	}
	a.revokes(2, lost.SerialNumber)
	refused(a, "lost", "has been revoked")
	if got := w.with(a, "good", first); got.status != http.StatusOK {
		t.Errorf("while another is revoked, the right certificate is answered %v", got)
	}
	if err := os.WriteFile(filepath.Join(a.dir, "crl.pem"), []byte("half a file"), 0o600); err != nil {
		t.Fatal(err)
	}
	refused(a, "lost", "has been revoked")
	for _, file := range []string{filepath.Join(a.dir, "crl.pem"), filepath.Join(a.dir, "ca.pem"), filepath.Join(stranger.dir, "crl.pem"), filepath.Join(a.dir, "none.pem")} {
		if err := mustAuthorities(t, a).Revoked(file); !fault.Is(err, fault.Invalid) {
			t.Errorf("%s is taken for revocation lists: %v", filepath.Base(file), err)
		}
	}
	sum := sha256.Sum256(good.Raw)
	b, err := w.o.Mailbox(t.Context(), first)
	if err != nil {
		t.Fatal(err)
	}
	b.Certificate = strings.ToUpper(hex.EncodeToString(sum[:]))
	if err := w.o.Put(t.Context(), admin(), *b, "", "its certificate is known"); err != nil {
		t.Fatal(err)
	}
	if got := w.with(a, "good", first); got.status != http.StatusOK {
		t.Errorf("the named certificate is answered %v", got)
	}
	refused(a, "second", "not the one of this mailbox")
}

// revokes writes the authority's revocation list anew.
func (a *authority) revokes(number int64, serials ...*big.Int) {
	a.t.Helper()
	list := &x509.RevocationList{Number: big.NewInt(number), ThisUpdate: time.Now().Add(-time.Minute), NextUpdate: time.Now().Add(time.Hour)}
	for _, n := range serials {
		list.RevokedCertificateEntries = append(list.RevokedCertificateEntries, x509.RevocationListEntry{SerialNumber: n, RevocationTime: time.Now()})
	}
	der, err := x509.CreateRevocationList(rand.Reader, list, a.cert, a.key)
	if err != nil {
		a.t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(a.dir, "crl.pem"), pem.EncodeToMemory(&pem.Block{Type: "X509 CRL", Bytes: der}), 0o600); err != nil {
		a.t.Fatal(err)
	}
}

func mustAuthorities(t *testing.T, a *authority) *mesh.Certificates {
	t.Helper()
	text, err := os.ReadFile(filepath.Join(a.dir, "ca.pem"))
	if err != nil {
		t.Fatal(err)
	}
	c, err := mesh.NewCertificates(text)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestTheNPMClient has the package nhs-mesh-client of npm send and collect: simple, compressed and in chunks, over TLS with client certificates.
func TestTheNPMClient(t *testing.T) {
	t.Parallel()
	root, err := filepath.Abs("..")
	if err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("OPENSPINE_NODE_ROOT"); dir != "" {
		root = dir
	}
	node, err := exec.LookPath("node")
	if err == nil {
		_, err = os.Stat(filepath.Join(root, "node_modules", "nhs-mesh-client"))
	}
	if err != nil {
		if os.Getenv("CI") == "true" {
			t.Fatalf("nhs-mesh-client is required when CI=true; npm ci installs it: %v", err)
		}
		t.Skipf("no nhs-mesh-client; npm ci installs it: %v", err)
	}
	a := newAuthority(t)
	w := overTLS(t, a)
	a.client("X26", "SERVER001.X26.api.mesh-client.nhs.uk", x509.Certificate{})
	a.client("X27", "SERVER001.X27.api.mesh-client.nhs.uk", x509.Certificate{})
	cmd := exec.CommandContext(t.Context(), node, filepath.Join("testdata", "client.mjs"))
	cmd.Env = append(os.Environ(), "OPENSPINE_NODE_ROOT="+root, "URL="+w.n.SecureURL(), "CERTS="+a.dir, "CA="+filepath.Join(w.data, "tls-cert.pem"), "NODE_NO_WARNINGS=1")
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	text, err := cmd.Output()
	if err != nil {
		t.Fatalf("%v\n%s%s", err, text, stderr.String())
	}
	type read struct {
		Status     int
		From, Text string
	}
	var got struct {
		Shake, Waiting, Left, Acknowledged int
		Sent                               []int
		Read                               []read
	}
	if err := json.Unmarshal(text, &got); err != nil {
		t.Fatalf("%v: %s", err, text)
	}
	if got.Shake != 200 || got.Waiting != 3 || got.Left != 0 || got.Acknowledged != 200 || !reflect.DeepEqual(got.Sent, []int{202, 202, 202}) {
		t.Errorf("%+v", got)
	}
	if want := []read{{200, first, "This is a test"}, {200, first, "This is compressed"}, {206, first, "the same"}}; !reflect.DeepEqual(got.Read, want) {
		t.Errorf("it reads %+v, want %+v", got.Read, want)
	}
}
