package main

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"

	"github.com/openspine/openspine/fault"
)

// Keys leave a data folder enciphered, come back as they were under the same secret, and under no other.
func TestKeysAreBackedUpUnderASecret(t *testing.T) {
	t.Parallel()
	from, to := t.TempDir(), t.TempDir()
	files := map[string]string{"network/node.pem": "a key", "network/home.json": "{}", "mesh.key": "another"}
	if plain, err := packKeys(from); err != nil || plain != nil {
		t.Fatalf("the keys of a folder without any: %q %v", plain, err)
	}
	if err := os.Mkdir(filepath.Join(from, "network"), 0o700); err != nil {
		t.Fatal(err)
	}
	for name, text := range files {
		if err := os.WriteFile(filepath.Join(from, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	path := filepath.Join(t.TempDir(), "secret")
	if _, _, err := secretOf(path, false); !fault.Is(err, fault.NotFound) {
		t.Errorf("a secret that is not there: %v", err)
	}
	secret, made, err := secretOf(path, true)
	if err != nil || !made {
		t.Fatal(made, err)
	}
	if again, made, err := secretOf(path, true); again != secret || made || err != nil {
		t.Errorf("the secret is made again: %v %v", made, err)
	}
	plain, err := packKeys(from)
	if err != nil {
		t.Fatal(err)
	}
	sealed, err := sealKeys(secret, plain)
	if err != nil || bytes.Contains(sealed, []byte("a key")) {
		t.Fatalf("sealed: %v", err)
	}
	if _, err := openKeys(secret+"x", sealed); !fault.Is(err, fault.Unprocessable) {
		t.Errorf("another secret: %v", err)
	}
	for _, i := range []int{0, len(sealedMagic), len(sealed) - 1} {
		bad := bytes.Clone(sealed)
		bad[i] ^= 1
		if _, err := openKeys(secret, bad); !fault.Is(err, fault.Unprocessable) {
			t.Errorf("damaged at %d: %v", i, err)
		}
	}
	opened, err := openKeys(secret, sealed)
	if err == nil {
		err = putKeys(to, opened)
	}
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range files {
		if got, err := os.ReadFile(filepath.Join(to, name)); err != nil || string(got) != want {
			t.Errorf("%s is %q (%v)", name, got, err)
		}
	}
}
