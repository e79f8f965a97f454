//go:build !pkcs11

package pkcs11

import (
	"crypto"

	"github.com/openspine/openspine/fault"
)

// Keys are the keys in a device; this program was built without them.
type Keys struct{}

// Open says that this program cannot load a module. Error: fault.Unavailable.
func Open(Location) (*Keys, error) { return nil, without() }

// Make fails as Open does.
func (*Keys) Make(string) (crypto.Signer, error) { return nil, without() }

// Open fails as the package's Open does.
func (*Keys) Open(string) (crypto.Signer, error) { return nil, without() }

// Remove fails as Open does.
func (*Keys) Remove(string) error { return without() }

// Close has nothing to close.
func (*Keys) Close() error { return nil }

func without() error {
	return fault.New(fault.Unavailable, "network-keys names a device, and this program was built without PKCS #11: build it with a C compiler and -tags pkcs11")
}
