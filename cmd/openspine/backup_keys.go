package main

import (
	"archive/tar"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/pbkdf2"
	"crypto/rand"
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/openspine/openspine/fault"
)

// By which keys a node shows who it is on the network, and reads the passwords of its mailboxes: files of its data folder that no backup holds as they are. Whoever
// asks for it gets them into the backup enciphered (AES-256-GCM) under a secret that is kept elsewhere than the backup.
const (
	backupKeys    = "keys"
	networkFolder = "network"
	mailKey       = "mesh.key"

	sealedMagic   = "openspine keys 1\n"
	saltBytes     = 16
	secretRounds  = 600_000 // of PBKDF2 with SHA-256
	secretShort   = 20      // characters
	mostKeysBytes = 64 << 20
)

// secretOf is the secret in a file; where there is no file and one may be made, a new one. made says that it was.
func secretOf(path string, may bool) (secret string, made bool, err error) {
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) && may {
		secret = rand.Text() + rand.Text()
		err = os.WriteFile(path, []byte(secret+"\n"), 0o600)
		return secret, true, fault.Wrap(err, fault.Unavailable, "the secret cannot be kept in %s: %v", path, err)
	}
	if err != nil {
		return "", false, fault.Wrap(err, fault.NotFound, "the secret cannot be read from %s: %v", path, err)
	}
	if secret = strings.TrimSpace(string(text)); len(secret) < secretShort {
		return "", false, fault.New(fault.Invalid, "%s holds a secret of less than %d characters", path, secretShort)
	}
	return secret, false, nil
}

// packKeys is a tar of the keys in a data folder; empty when there are none.
func packKeys(data string) ([]byte, error) {
	var out bytes.Buffer
	t, n := tar.NewWriter(&out), 0
	list, err := filepath.Glob(filepath.Join(data, networkFolder, "*"))
	if err != nil {
		return nil, err
	}
	for _, path := range append(list, filepath.Join(data, mailKey)) {
		about, err := os.Stat(path)
		if errors.Is(err, fs.ErrNotExist) || err == nil && (!about.Mode().IsRegular() || strings.HasPrefix(about.Name(), ".")) {
			continue
		}
		rel, rerr := filepath.Rel(data, path)
		if err := errors.Join(err, rerr); err != nil {
			return nil, err
		}
		if err := addNamed(t, filepath.ToSlash(rel), path); err != nil {
			return nil, err
		}
		n++
	}
	if err := t.Close(); err != nil || n == 0 {
		return nil, err
	}
	return out.Bytes(), nil
}

func sealer(secret string, salt []byte) (cipher.AEAD, error) {
	key, err := pbkdf2.Key(sha256.New, secret, salt, secretRounds, 32)
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCMWithRandomNonce(block)
}

// sealKeys enciphers what packKeys made.
func sealKeys(secret string, plain []byte) ([]byte, error) {
	salt := make([]byte, saltBytes)
	if _, err := rand.Read(salt); err != nil {
		return nil, err
	}
	aead, err := sealer(secret, salt)
	if err != nil {
		return nil, err
	}
	return aead.Seal(append([]byte(sealedMagic), salt...), nil, plain, []byte(sealedMagic)), nil
}

// openKeys deciphers what sealKeys made. Error: fault.Unprocessable for another secret, or what is damaged.
func openKeys(secret string, sealed []byte) ([]byte, error) {
	rest, ok := bytes.CutPrefix(sealed, []byte(sealedMagic))
	if !ok || len(rest) < saltBytes {
		return nil, fault.New(fault.Unprocessable, "the keys in the backup are damaged, or of another version")
	}
	aead, err := sealer(secret, rest[:saltBytes])
	if err != nil {
		return nil, err
	}
	plain, err := aead.Open(nil, nil, rest[saltBytes:], []byte(sealedMagic))
	return plain, fault.Wrap(err, fault.Unprocessable, "the keys in the backup are enciphered under another secret, or damaged")
}

// putKeys writes what packKeys made into a data folder.
func putKeys(data string, plain []byte) error {
	t := tar.NewReader(bytes.NewReader(plain))
	for {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fault.Wrap(err, fault.Unprocessable, "the keys in the backup are damaged: %v", err)
		}
		dir, name := filepath.Split(filepath.FromSlash(h.Name))
		if h.Name != mailKey && (dir != networkFolder+string(filepath.Separator) || !filepath.IsLocal(name)) {
			return fault.New(fault.Unprocessable, "the backup holds %q, which no backup does", h.Name)
		}
		if err := extract(filepath.Join(data, dir, name), t); err != nil {
			return err
		}
	}
}

// lacks says which keys of a data folder a backup does not hold.
func lacks(w io.Writer, data string) error {
	var names []string
	for _, name := range []string{networkFolder, mailKey} {
		if _, err := os.Stat(filepath.Join(data, name)); err == nil {
			names = append(names, name)
		}
	}
	if len(names) == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "It does not hold %s, the keys by which this node shows who it is on the network and reads its mailboxes' passwords. Copy them to where keys are kept, or include them enciphered: --keys-under FILE\n", strings.Join(names, " and "))
	return err
}

const restoredWithout = "It holds no keys: a node of a network joins it again with a token (openspine network join), and its mailboxes get other passwords, unless the folder network and mesh.key are put back.\n"
