//go:build pkcs11

package pkcs11_test

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/sha256"
	"crypto/x509"
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/openspine/openspine/access"
	"github.com/openspine/openspine/audit"
	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network"
	"github.com/openspine/openspine/network/pkcs11"
	"github.com/openspine/openspine/store"
)

// softModule is where Debian's softhsm2 puts its module.
const softModule = "/usr/lib/softhsm/libsofthsm2.so"

// device makes a token of SoftHSM for the test.
func device(t *testing.T) pkcs11.Location {
	t.Helper()
	dir := t.TempDir()
	t.Setenv("SOFTHSM2_CONF", filepath.Join(dir, "conf"))
	l := pkcs11.Location{Module: softModule, Token: "Authority's keys", PIN: filepath.Join(dir, "pin")}
	for name, text := range map[string]string{"conf": "directories.tokendir = " + filepath.Join(dir, "tokens") + "\nobjectstore.backend = file\n", "pin": "4321\n"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if err := os.Mkdir(filepath.Join(dir, "tokens"), 0o700); err != nil {
		t.Fatal(err)
	}
	if out, err := exec.Command("softhsm2-util", "--init-token", "--free", "--label", l.Token, "--so-pin", "9876", "--pin", "4321").CombinedOutput(); err != nil {
		t.Fatalf("a token of SoftHSM cannot be made (apt-get install softhsm2): %v\n%s", err, out)
	}
	return l
}

func TestKeysInADevice(t *testing.T) {
	l := device(t)
	keys, err := pkcs11.Open(l)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Open("root-1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a key that was not made: %v", err)
	}
	made, err := keys.Make("root-1")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := keys.Make("root-1"); !fault.Is(err, fault.Conflict) {
		t.Errorf("a second key of the same name: %v", err)
	}
	if err := keys.Close(); err != nil {
		t.Fatal(err)
	}
	if keys, err = pkcs11.Open(l); err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	again, err := keys.Open("root-1")
	if err != nil {
		t.Fatal(err)
	}
	digest := sha256.Sum256([]byte("a certificate"))
	signature, err := again.Sign(rand.Reader, digest[:], crypto.SHA256)
	if pub, ok := made.Public().(*ecdsa.PublicKey); err != nil || !ok || !ecdsa.VerifyASN1(pub, digest[:], signature) {
		t.Errorf("what the device signed does not hold: %v", err)
	}
	if err := keys.Remove("root-1"); err != nil {
		t.Fatal(err)
	}
	if err := keys.Remove("root-1"); err != nil {
		t.Errorf("a key that is gone: %v", err)
	}
	if _, err := keys.Open("root-1"); !fault.Is(err, fault.NotFound) {
		t.Errorf("a key that was removed: %v", err)
	}
}

func TestAPINThatIsNotRight(t *testing.T) {
	l := device(t)
	if err := os.WriteFile(l.PIN, []byte("1111"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := pkcs11.Open(l); !fault.Is(err, fault.Unavailable) {
		t.Errorf("a wrong PIN: %v", err)
	}
	if err := os.Chmod(l.PIN, 0o644); err != nil {
		t.Fatal(err)
	}
	if _, err := pkcs11.Open(l); !fault.Is(err, fault.Invalid) {
		t.Errorf("a PIN for everybody: %v", err)
	}
}

// open opens a network over a database beside folder; keys are in files where there are none.
func open(t *testing.T, folder string, keys network.Keys) *network.Network {
	t.Helper()
	ctx, dir := t.Context(), filepath.Dir(folder)
	db, err := store.Open(ctx, filepath.Join(dir, "network.db"), store.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = db.Close() })
	if err := db.Migrate(ctx, audit.Schema(), access.Schema(), network.Schema()); err != nil {
		t.Fatal(err)
	}
	log, err := audit.Open(db, filepath.Join(dir, "account"), audit.Options{})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = log.Close() })
	gate, err := access.Open(access.Options{DB: db, Audit: log})
	if err != nil {
		t.Fatal(err)
	}
	n, err := network.Open(ctx, network.Options{DB: db, Gate: gate, Folder: folder, Keys: keys})
	if err != nil {
		t.Fatal(err)
	}
	return n
}

// An authority whose keys are in a device founds, signs and changes its root like any other; no file holds a root's key.
func TestAnAuthorityWithItsKeysInADevice(t *testing.T) {
	keys, err := pkcs11.Open(device(t))
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	ctx, folder := t.Context(), filepath.Join(t.TempDir(), "network")
	n := open(t, folder, keys)
	nation := network.MustNodeID("X26")
	admin := access.Service("test", nation.Organisation())
	if err := n.Found(ctx, admin, nation, nil, []string{"spine.example:8444"}); err != nil {
		t.Fatal(err)
	}
	a, err := n.Authority()
	if err != nil {
		t.Fatal(err)
	}
	admit := func(node string) []*x509.Certificate {
		token, err := a.MakeToken(ctx, admin, network.MustNodeID(node), nil, []string{"spine.example:8444"}, 0, "")
		if err != nil {
			t.Fatal(err)
		}
		key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
		if err != nil {
			t.Fatal(err)
		}
		der, err := x509.CreateCertificateRequest(rand.Reader, &x509.CertificateRequest{}, key)
		if err != nil {
			t.Fatal(err)
		}
		csr, err := x509.ParseCertificateRequest(der)
		if err != nil {
			t.Fatal(err)
		}
		chain, err := a.Admit(ctx, token.Secret, csr)
		if err != nil {
			t.Fatal(err)
		}
		return chain
	}
	before := admit("RQX")[0]
	for _, step := range []func() error{
		func() error { return a.Begin(ctx, admin, "a new device") },
		func() error { return a.Cross(ctx, admin, true, "a new device") },
		func() error { return a.Retire(ctx, admin, true, "a new device") },
		func() error { return a.Revoke(ctx, admin, network.MustNodeID("RQX"), "it was stolen") },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	after := admit("RQY")[0]
	if before.Issuer.SerialNumber == after.Issuer.SerialNumber {
		t.Error("the root did not change")
	}
	if _, err := keys.Open(before.Issuer.SerialNumber); !fault.Is(err, fault.NotFound) {
		t.Errorf("the key of the root before is in the device yet: %v", err)
	}
	root, err := keys.Open(after.Issuer.SerialNumber)
	if err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(after.RawTBSCertificate)
	if pub, ok := root.Public().(*ecdsa.PublicKey); !ok || !ecdsa.VerifyASN1(pub, sum[:], after.Signature) {
		t.Error("a certificate was not signed by the device")
	}
	if files, err := filepath.Glob(filepath.Join(folder, "root-*")); err != nil || len(files) > 0 {
		t.Errorf("files of roots' keys: %v (%v)", files, err)
	}
}

// A rollover moves an authority that has its keys in files into a device.
func TestAnAuthorityMovesIntoADevice(t *testing.T) {
	keys, err := pkcs11.Open(device(t))
	if err != nil {
		t.Fatal(err)
	}
	defer keys.Close()
	ctx, folder := t.Context(), filepath.Join(t.TempDir(), "network")
	nation := network.MustNodeID("X26")
	admin := access.Service("test", nation.Organisation())
	if err := open(t, folder, nil).Found(ctx, admin, nation, nil, []string{"spine.example:8444"}); err != nil {
		t.Fatal(err)
	}
	files := func() []string {
		list, err := filepath.Glob(filepath.Join(folder, "root-*"))
		if err != nil {
			t.Fatal(err)
		}
		return list
	}
	before := files()
	a, err := open(t, folder, keys).Authority()
	if err != nil || len(before) != 1 {
		t.Fatal(before, err)
	}
	for _, step := range []func() error{
		func() error { return a.Begin(ctx, admin, "into the device") },
		func() error { return a.Cross(ctx, admin, true, "into the device") },
		func() error { return a.Retire(ctx, admin, true, "into the device") },
	} {
		if err := step(); err != nil {
			t.Fatal(err)
		}
	}
	if left := files(); len(left) > 0 {
		t.Errorf("files of roots' keys: %v", left)
	}
}
