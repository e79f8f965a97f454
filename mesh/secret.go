package mesh

import (
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"

	"github.com/openspine/openspine/fault"
)

// keyFile is the key with which the passwords of mailboxes are enciphered: the protocol needs them as they are, a backup does not.
const keyFile = "mesh.key"

// secrets enciphers what must not be read from the database.
type secrets struct{ aead cipher.AEAD }

// openSecrets reads the key of a data folder, or makes it.
func openSecrets(data string) (secrets, error) {
	path := filepath.Join(data, keyFile)
	key, err := os.ReadFile(path)
	if errors.Is(err, os.ErrNotExist) {
		key = make([]byte, 32)
		if _, err := rand.Read(key); err != nil {
			return secrets{}, err
		}
		if err := writeKey(path, key); err != nil {
			return secrets{}, fault.Wrap(err, fault.Internal, "the key of the mailboxes cannot be kept in %s", path)
		}
	} else if err != nil {
		return secrets{}, fault.Wrap(err, fault.Internal, "the key of the mailboxes cannot be read from %s", path)
	}
	if len(key) != 32 {
		return secrets{}, fault.New(fault.Invalid, "%s does not hold a key of 32 bytes: put back a copy of it, or remove it and give each mailbox another password", path)
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return secrets{}, err
	}
	aead, err := cipher.NewGCM(block)
	return secrets{aead}, err
}

// writeKey writes the key so that it is there whole or not at all.
func writeKey(path string, key []byte) error {
	f, err := os.OpenFile(path+".new", os.O_WRONLY|os.O_CREATE|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	_, err = f.Write(key)
	if err := errors.Join(err, f.Sync(), f.Close()); err != nil {
		return err
	}
	return os.Rename(path+".new", path)
}

// seal enciphers a secret; about is what it belongs to, and opens nothing else.
func (s secrets) seal(secret, about string) ([]byte, error) {
	nonce := make([]byte, s.aead.NonceSize())
	if _, err := rand.Read(nonce); err != nil {
		return nil, err
	}
	return s.aead.Seal(nonce, nonce, []byte(secret), []byte(about)), nil
}

// open deciphers what seal made. Errors: fault.Unavailable when it was made with another key.
func (s secrets) open(sealed []byte, about string) (string, error) {
	if len(sealed) < s.aead.NonceSize() {
		return "", fault.New(fault.Unavailable, "no password is kept")
	}
	text, err := s.aead.Open(nil, sealed[:s.aead.NonceSize()], sealed[s.aead.NonceSize():], []byte(about))
	if err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "the password was kept with another key: put %s back into the data folder, or give another password", keyFile)
	}
	return string(text), nil
}
