//go:build pkcs11

package pkcs11

import (
	"crypto"
	"crypto/elliptic"
	"crypto/rand"
	"os"
	"strings"
	"time"

	"github.com/ThalesGroup/crypto11"

	"github.com/openspine/openspine/fault"
	"github.com/openspine/openspine/network"
)

// Keys are the keys in a device. They implement network.Keys.
type Keys struct {
	device *crypto11.Context
}

var _ network.Keys = (*Keys)(nil)

// sessionWait is how long a signature waits for one of the device's sessions.
const sessionWait = 10 * time.Second

// Open logs in to the device at l. Errors: fault.Unavailable when the module, the token or the PIN is not right; fault.Invalid for a file
// of the PIN that others can read.
func Open(l Location) (*Keys, error) {
	pin, err := l.pin()
	if err != nil {
		return nil, err
	}
	config := &crypto11.Config{Path: l.Module, TokenLabel: l.Token, Pin: pin, PoolWaitTimeout: sessionWait}
	if l.Token == "" {
		config.TokenSerial = l.Serial
	}
	device, err := crypto11.Configure(config)
	if err != nil {
		return nil, fault.Wrap(err, fault.Unavailable, "network-keys: the device is not there, or takes not the PIN: %v", err)
	}
	return &Keys{device}, nil
}

// pin reads the PIN; the line's end does not belong to it.
func (l Location) pin() (string, error) {
	info, err := os.Stat(l.PIN)
	if err == nil && info.Mode().Perm()&0o077 != 0 {
		return "", fault.New(fault.Invalid, "network-keys: others can read the file of the PIN, %s: chmod 600 it", l.PIN)
	}
	text, err := os.ReadFile(l.PIN)
	if err != nil {
		return "", fault.Wrap(err, fault.Unavailable, "network-keys: the file of the PIN cannot be read: %v", err)
	}
	return strings.TrimRight(string(text), "\r\n"), nil
}

// Make makes a key on P-256 in the device, under a name that it does not have yet. Errors: fault.Conflict, fault.Unavailable.
func (k *Keys) Make(name string) (crypto.Signer, error) {
	switch _, err := k.Open(name); {
	case err == nil:
		return nil, fault.New(fault.Conflict, "the device has a key called %s already", name)
	case !fault.Is(err, fault.NotFound):
		return nil, err
	}
	id := make([]byte, 16)
	if _, err := rand.Read(id); err != nil {
		return nil, err
	}
	key, err := k.device.GenerateECDSAKeyPairWithLabel(id, []byte(name), elliptic.P256())
	if err != nil {
		return nil, failed(err)
	}
	return key, nil
}

// Open is a key that was made. Errors: fault.NotFound, fault.Unavailable.
func (k *Keys) Open(name string) (crypto.Signer, error) {
	key, err := k.find(name)
	if err != nil {
		return nil, err
	}
	return key, nil
}

func (k *Keys) find(name string) (crypto11.Signer, error) {
	if name == "" || strings.ContainsRune(name, 0) {
		return nil, fault.New(fault.Invalid, "no key is called so")
	}
	all, err := k.device.FindKeyPairs(nil, []byte(name))
	switch {
	case err != nil:
		return nil, failed(err)
	case len(all) == 0:
		return nil, fault.New(fault.NotFound, "the device has no key called %s", name)
	case len(all) > 1:
		return nil, fault.New(fault.Conflict, "the device has %d keys called %s", len(all), name)
	}
	return all[0], nil
}

// Remove takes a key that signs no longer out of the device; one that is not there is gone already. Error: fault.Unavailable.
func (k *Keys) Remove(name string) error {
	key, err := k.find(name)
	if fault.Is(err, fault.NotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := key.Delete(); err != nil {
		return failed(err)
	}
	return nil
}

// Close logs out.
func (k *Keys) Close() error { return k.device.Close() }

func failed(err error) error {
	return fault.Wrap(err, fault.Unavailable, "the device of the authority's keys failed: %v", err)
}
